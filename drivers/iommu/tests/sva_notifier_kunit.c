// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the process does to its memory, the device sees: munmap() and mmap(), mprotect(), mremap(),
 * madvise(), fork()
 *
 * Pages that are no ordinary anonymous ones, and what the kernel does to pages, are in
 * sva_notifier_pages_kunit.c.
 */
#include <linux/mman.h>
#include <linux/sizes.h>

#include "sva_notifier_kunit.h"

/* munmap and mmap */

static void munmap_ends_access(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

static void munmap_in_the_middle_leaves_the_rest(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr + 2 * PAGE_SIZE, 3 * PAGE_SIZE), 0);
	device_sees(v, addr, 2 * PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + 2 * PAGE_SIZE, 3 * PAGE_SIZE);
	device_sees(v, addr + 5 * PAGE_SIZE, 3 * PAGE_SIZE, 5 * PAGE_SIZE, 1);
	end_view(v);
}

static void mapping_again_shows_the_new_pages(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void mapping_over_a_mapping_replaces_it(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	device_writes(v, addr, PAGE_SIZE, 3);
	cpu_sees(v, v->s.proc, addr, PAGE_SIZE, 0, 3);
	device_sees(v, addr + PAGE_SIZE, (SOME - 1) * PAGE_SIZE, 0, 0);
	end_view(v);
}

/* The page table goes with its last mapping; what was cached of it must not be walked. */
static void a_freed_page_table_is_not_walked(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = 16UL << PUD_SHIFT;

	for (u8 seed = 1; seed <= 4; seed++) {
		map_at(v, addr, SOME * PAGE_SIZE, ANON);
		prepare(v, addr, SOME * PAGE_SIZE, seed);
		KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
		device_is_refused(v, addr, SOME * PAGE_SIZE);
	}
	end_view(v);
}

static void munmap_of_a_range_across_page_tables(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = (16UL << PUD_SHIFT) - 4 * PAGE_SIZE;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr + PAGE_SIZE, 6 * PAGE_SIZE), 0);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + PAGE_SIZE, 6 * PAGE_SIZE);
	device_sees(v, addr + 7 * PAGE_SIZE, PAGE_SIZE, 7 * PAGE_SIZE, 1);
	end_view(v);
}

static void munmap_at_the_end_of_the_address_space(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = DEFAULT_MAP_WINDOW - SOME * PAGE_SIZE;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

static void munmap_at_the_start_of_the_address_space(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = SZ_64K;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

/* A device whose ATC holds all of them: the invalidation is for many pages. */
static void munmap_of_many_pages_reaches_each(struct kunit *test)
{
	static const struct soft_endpoint_config config = {
		.pasid_bits = 20,
		.atc = { .sets = 128, .ways = 8 },
	};
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = sva_add_endpoint(test, fix->iommu, &config, true);
	struct view *v = view_of(test, ep, sva_proc_start(test));
	const unsigned int pages = 600;
	unsigned long addr = some_pages(v, pages, 1);
	u64 value = 0;

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, pages * PAGE_SIZE), 0);
	for (unsigned int i = 0; i < pages; i++)
		KUNIT_EXPECT_EQ(test, soft_dma_try(ep, v->s.pasid, addr + i * PAGE_SIZE, true,
						   &value, sizeof(value)), -EFAULT);
	end_view(v);
}

/* Pages here and there in a mapping that is larger than any count of pages to flush. */
/* More pages than x86's CPUs flush one by one: for them it is the whole address space. */
static void munmap_of_many_pages_leaves_what_is_far_away(struct kunit *test)
{
	const unsigned long addr = 0x20000000000, size = 256 * PAGE_SIZE;
	struct sva_fixture *fix = test->priv;
	struct view *v = new_view(test);
	unsigned long other = some_pages(v, SOME, 2);
	struct soft_iommu_stats before, after;

	map_at(v, addr, size, ANON);
	prepare(v, addr, size, 1);
	device_sees(v, other, SOME * PAGE_SIZE, 0, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, size), 0);
	soft_iommu_read_stats(fix->iommu, &before);
	device_sees(v, other, SOME * PAGE_SIZE, 0, 2);
	soft_iommu_read_stats(fix->iommu, &after);
	KUNIT_EXPECT_EQ(test, after.ats_requests, before.ats_requests);
	device_is_refused(v, addr, size);
	end_view(v);
}

static void munmap_of_a_sparse_gigabyte(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = sva_proc_mmap(v->s.proc, 0, SZ_1G, RW, ANON | MAP_NORESERVE);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	for (size_t at = 0; at < SZ_1G; at += SZ_128M + 3 * PAGE_SIZE)
		prepare(v, addr + at, PAGE_SIZE, 1 + at / SZ_128M);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SZ_1G), 0);
	for (size_t at = 0; at < SZ_1G; at += SZ_128M + 3 * PAGE_SIZE)
		device_is_refused(v, addr + at, PAGE_SIZE);
	end_view(v);
}

/* Each top-level slot is known as soon as it is filled, and forgotten with its table. */
static void fresh_top_level_slots_come_and_go(struct kunit *test)
{
	struct view *v = new_view(test);

	for (unsigned int turn = 1; turn <= 2; turn++)
		for (unsigned long slot = 20; slot < 28; slot++) {
			unsigned long addr = slot << PGDIR_SHIFT;

			if (addr >= DEFAULT_MAP_WINDOW)
				addr = slot << PUD_SHIFT;
			map_at(v, addr, PAGE_SIZE, ANON);
			prepare(v, addr, PAGE_SIZE, turn * slot);
			device_sees(v, addr, PAGE_SIZE, 0, turn * slot);
			KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, PAGE_SIZE), 0);
			device_is_refused(v, addr, PAGE_SIZE);
		}
	end_view(v);
}

static void both_devices_hear_of_an_unmapping(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct view *v = new_view(test);
	struct view *w = view_of(test, fix->ep[1], v->s.proc);
	unsigned long addr = some_pages(v, SOME, 1);

	stash_translations(w, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_is_refused(w, addr, SOME * PAGE_SIZE);
	end_view(w);
	end_view(v);
}

/* The same address in another process: its translations stay. */
static void another_process_keeps_its_translations(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct view *v = new_view(test);
	struct view *w = new_view(test);
	unsigned long addr = 16UL << PUD_SHIFT;
	struct soft_iommu_stats before, after;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	map_at(w, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	prepare(w, addr, SOME * PAGE_SIZE, 2);
	stash_translations(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(w->s.proc, addr, SOME * PAGE_SIZE), 0);
	soft_iommu_read_stats(fix->iommu, &before);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	soft_iommu_read_stats(fix->iommu, &after);
	KUNIT_EXPECT_EQ(test, after.ats_requests, before.ats_requests);
	device_is_refused(w, addr, SOME * PAGE_SIZE);
	end_view(w);
	end_view(v);
}

/* mprotect */

static void read_only_ends_writes_but_not_reads(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, PROT_READ), 0);
	device_may_only_read(v, addr, SOME * PAGE_SIZE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void prot_none_ends_access(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, PROT_NONE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

static void protection_given_back_lets_the_device_in_again(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, PROT_NONE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, RW), 0);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void memory_made_writable_can_be_written(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = sva_proc_mmap(v->s.proc, 0, SOME * PAGE_SIZE, PROT_READ, ANON);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	device_may_only_read(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, RW), 0);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void protecting_one_page_leaves_its_neighbours(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr + PAGE_SIZE, PAGE_SIZE, PROT_NONE),
			0);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + PAGE_SIZE, PAGE_SIZE);
	device_sees(v, addr + 2 * PAGE_SIZE, 6 * PAGE_SIZE, 2 * PAGE_SIZE, 1);
	end_view(v);
}

/* mremap */

static void moved_memory_is_at_its_new_place_only(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	unsigned long to = sva_proc_map(v->s.proc, SOME * PAGE_SIZE);

	prepare(v, to, SOME * PAGE_SIZE, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, SOME * PAGE_SIZE, SOME * PAGE_SIZE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, to), (long)to);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_sees(v, to, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

/* Aligned as a whole page table is: the kernel moves the table, not the entries. */
static void a_moved_page_table_is_at_its_new_place_only(struct kunit *test)
{
	unsigned long addr = 16UL << PUD_SHIFT, to = addr + 4 * HUGE;
	struct view *v = new_view(test);

	map_at(v, addr, HUGE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	map_at(v, to, HUGE, ANON);
	prepare(v, to, SOME * PAGE_SIZE, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, HUGE, HUGE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, to), (long)to);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_sees(v, to, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void memory_that_grows_keeps_its_bytes(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = 16UL << PUD_SHIFT;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, SOME * PAGE_SIZE,
					      2 * SOME * PAGE_SIZE, 0, 0), (long)addr);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_sees(v, addr + SOME * PAGE_SIZE, SOME * PAGE_SIZE, 0, 0);
	end_view(v);
}

static void memory_that_shrinks_loses_its_end(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, SOME * PAGE_SIZE, 3 * PAGE_SIZE, 0,
					      0), (long)addr);
	device_sees(v, addr, 3 * PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + 3 * PAGE_SIZE, 5 * PAGE_SIZE);
	end_view(v);
}

static void pages_moved_away_leave_zero(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	long to = sva_proc_mremap(v->s.proc, addr, SOME * PAGE_SIZE, SOME * PAGE_SIZE,
				  MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE((unsigned long)to));
	device_sees(v, to, SOME * PAGE_SIZE, 0, 1);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	end_view(v);
}

/* madvise */

static void dontneed_makes_the_device_read_zero(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, SOME * PAGE_SIZE, MADV_DONTNEED),
			0);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	end_view(v);
}

static void dontneed_of_one_page_leaves_its_neighbours(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr + PAGE_SIZE, PAGE_SIZE,
					       MADV_DONTNEED), 0);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_sees(v, addr + PAGE_SIZE, PAGE_SIZE, 0, 0);
	device_sees(v, addr + 2 * PAGE_SIZE, 6 * PAGE_SIZE, 2 * PAGE_SIZE, 1);
	end_view(v);
}

/*
 * MADV_FREE makes the pages clean. If the device goes on with a translation that was dirty then,
 * its new bytes are in a page that reclaim may throw away.
 */
static void bytes_written_after_madv_free_stay(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr;

	sva_swap_on(test, 2048);
	addr = some_pages(v, SOME, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, SOME * PAGE_SIZE, MADV_FREE), 0);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	page_out(v, addr, SOME * PAGE_SIZE);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

/* fork and copy on write */

static void parent_writes_are_seen_after_fork(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 2);
	cpu_sees(v, child, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void child_writes_are_not_seen_by_the_parents_device(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	cpu_writes(v, child, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	cpu_sees(v, child, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

/* The pages became read-only behind the device's back, so to speak. */
static void device_writes_stay_out_of_the_childs_memory(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, child, addr, SOME * PAGE_SIZE, 0, 1);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void devices_of_parent_and_child_stay_apart(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);
	struct view *w = view_of(test, fix->ep[1], child);

	KUNIT_EXPECT_NE(test, v->s.pasid, w->s.pasid);
	device_writes(w, addr, SOME * PAGE_SIZE, 3);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	device_sees(w, addr, SOME * PAGE_SIZE, 0, 3);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(w);
	end_view(v);
}

/* Without a second owner the page is not copied any more: the device writes in place. */
static void parent_gets_its_pages_back_when_the_child_ends(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	sva_proc_exit(child);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void the_zero_page_is_replaced_by_a_cpu_write(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = sva_proc_map(v->s.proc, SOME * PAGE_SIZE);

	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, 1);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void the_zero_page_is_replaced_by_a_device_write(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = sva_proc_map(v->s.proc, SOME * PAGE_SIZE);

	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 0);
	device_writes(v, addr, SOME * PAGE_SIZE, 1);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

/* Write protection by userfaultfd, lifted by the first write: the device's counts as one */

/* Everything at once: DMA without pause while mappings change under it. The fixture judges. */
static void mappings_change_under_running_dma(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	size_t len = SOME * PAGE_SIZE;

	KUNIT_ASSERT_EQ(test, soft_storm_start(v->ep, v->s.pasid, addr, len, true), 0);
	for (unsigned int turn = 0; turn < 30; turn++) {
		KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, len, MADV_DONTNEED), 0);
		KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, len / 2, PROT_READ), 0);
		map_at(v, addr + len / 2, len / 2, ANON);
		KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, len, RW), 0);
		map_at(v, addr, len, ANON);
	}
	/* The last mapping is one that the device may write. */
	KUNIT_EXPECT_TRUE(test, sva_becomes(look(v, v->s.proc, addr).write));
	KUNIT_EXPECT_GT(test, soft_storm_stop(v->ep), 0ULL);
	end_view(v);
}

static struct kunit_case sva_notifier_cases[] = {
	KUNIT_CASE(munmap_ends_access),
	KUNIT_CASE(munmap_in_the_middle_leaves_the_rest),
	KUNIT_CASE(mapping_again_shows_the_new_pages),
	KUNIT_CASE(mapping_over_a_mapping_replaces_it),
	KUNIT_CASE(a_freed_page_table_is_not_walked),
	KUNIT_CASE(munmap_of_a_range_across_page_tables),
	KUNIT_CASE(munmap_at_the_end_of_the_address_space),
	KUNIT_CASE(munmap_at_the_start_of_the_address_space),
	KUNIT_CASE_SLOW(munmap_of_many_pages_reaches_each),
	KUNIT_CASE(munmap_of_many_pages_leaves_what_is_far_away),
	KUNIT_CASE(munmap_of_a_sparse_gigabyte),
	KUNIT_CASE(fresh_top_level_slots_come_and_go),
	KUNIT_CASE(both_devices_hear_of_an_unmapping),
	KUNIT_CASE(another_process_keeps_its_translations),
	KUNIT_CASE(read_only_ends_writes_but_not_reads),
	KUNIT_CASE(prot_none_ends_access),
	KUNIT_CASE(protection_given_back_lets_the_device_in_again),
	KUNIT_CASE(memory_made_writable_can_be_written),
	KUNIT_CASE(protecting_one_page_leaves_its_neighbours),
	KUNIT_CASE(moved_memory_is_at_its_new_place_only),
	KUNIT_CASE(a_moved_page_table_is_at_its_new_place_only),
	KUNIT_CASE(memory_that_grows_keeps_its_bytes),
	KUNIT_CASE(memory_that_shrinks_loses_its_end),
	KUNIT_CASE(pages_moved_away_leave_zero),
	KUNIT_CASE(dontneed_makes_the_device_read_zero),
	KUNIT_CASE(dontneed_of_one_page_leaves_its_neighbours),
	KUNIT_CASE(bytes_written_after_madv_free_stay),
	KUNIT_CASE(parent_writes_are_seen_after_fork),
	KUNIT_CASE(child_writes_are_not_seen_by_the_parents_device),
	KUNIT_CASE(device_writes_stay_out_of_the_childs_memory),
	KUNIT_CASE(devices_of_parent_and_child_stay_apart),
	KUNIT_CASE(parent_gets_its_pages_back_when_the_child_ends),
	KUNIT_CASE(the_zero_page_is_replaced_by_a_cpu_write),
	KUNIT_CASE(the_zero_page_is_replaced_by_a_device_write),
	KUNIT_CASE(mappings_change_under_running_dma),
	{}
};

static struct kunit_suite sva_notifier_suite = {
	.name = "iommu_sva_notifier",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_notifier_cases,
};

kunit_test_suite(sva_notifier_suite);
