// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of pages, the device sees: huge pages, reclaim, migration, deduplication, files,
 * write protection by userfaultfd
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/sizes.h>
#include <linux/swap.h>
#include <linux/userfaultfd.h>
#include <linux/userfaultfd_k.h>
#include <asm/unistd.h>

#include "../../../mm/internal.h"
#include "sva_notifier_kunit.h"

/* Page tables as they are */

static unsigned long pfn_of(struct view *v, unsigned long addr)
{
	return look(v, v->s.proc, addr).pfn;
}

/* Huge pages */

/* A huge page that is one, filled and used. */
static unsigned long huge_page(struct view *v, u8 seed)
{
	unsigned long addr = 32UL << PUD_SHIFT;

	map_at(v, addr, HUGE, ANON);
	KUNIT_ASSERT_EQ(v->test, sva_proc_madvise(v->s.proc, addr, HUGE, MADV_HUGEPAGE), 0);
	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, seed);
	if (!look(v, v->s.proc, addr).huge)
		KUNIT_FAIL_AND_ABORT(v->test, "no huge page was to be had");
	stash_translations(v, addr, SOME * PAGE_SIZE);
	return addr;
}

static void a_huge_page_split_by_munmap_keeps_the_rest(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr + PAGE_SIZE, 3 * PAGE_SIZE), 0);
	KUNIT_EXPECT_FALSE(test, look(v, v->s.proc, addr).huge);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + PAGE_SIZE, 3 * PAGE_SIZE);
	device_sees(v, addr + 4 * PAGE_SIZE, 4 * PAGE_SIZE, 4 * PAGE_SIZE, 1);
	end_view(v);
}

static void a_huge_page_split_by_mprotect_is_read_only_there(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, PAGE_SIZE, PROT_READ), 0);
	device_may_only_read(v, addr, PAGE_SIZE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr + PAGE_SIZE, PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr + PAGE_SIZE, PAGE_SIZE, 0, 2);
	end_view(v);
}

static void a_huge_page_made_read_only_is_not_written(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, HUGE, PROT_READ), 0);
	KUNIT_EXPECT_TRUE(test, look(v, v->s.proc, addr).huge);
	device_may_only_read(v, addr, SOME * PAGE_SIZE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void a_part_of_a_huge_page_given_up_reads_zero(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, 2 * PAGE_SIZE, MADV_DONTNEED), 0);
	device_sees(v, addr, 2 * PAGE_SIZE, 0, 0);
	device_sees(v, addr + 2 * PAGE_SIZE, 6 * PAGE_SIZE, 2 * PAGE_SIZE, 1);
	end_view(v);
}

static void a_huge_page_unmapped_is_gone(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, HUGE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

static void a_huge_page_moved_is_at_its_new_place_only(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1), to = addr + 4 * HUGE;

	map_at(v, to, HUGE, ANON);
	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, HUGE, HUGE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, to), (long)to);
	KUNIT_EXPECT_TRUE(test, look(v, v->s.proc, to).huge);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_sees(v, to, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void a_huge_page_is_copied_on_a_device_write_after_fork(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	device_writes(v, addr, 2 * PAGE_SIZE, 2);
	cpu_sees(v, child, addr, SOME * PAGE_SIZE, 0, 1);
	cpu_sees(v, v->s.proc, addr, 2 * PAGE_SIZE, 0, 2);
	device_sees(v, addr + 2 * PAGE_SIZE, 6 * PAGE_SIZE, 2 * PAGE_SIZE, 1);
	end_view(v);
}

/* The small pages are freed, and so is their table. */
static void pages_collapsed_to_a_huge_one_are_followed(struct kunit *test)
{
	unsigned long addr = 32UL << PUD_SHIFT;
	struct view *v = new_view(test);

	map_at(v, addr, HUGE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_ASSERT_FALSE(test, look(v, v->s.proc, addr).huge);
	KUNIT_ASSERT_EQ(test, sva_proc_madvise(v->s.proc, addr, HUGE, MADV_COLLAPSE), 0);
	KUNIT_ASSERT_TRUE(test, look(v, v->s.proc, addr).huge);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

/* Pages that are larger than one and smaller than a huge one; on arm64 contiguous entries. */
static unsigned long medium_page(struct view *v, u8 seed)
{
	unsigned long addr = 32UL << PUD_SHIFT;

	sva_sysfs_set(v->test, THP "hugepages-64kB/enabled", "always");
	map_at(v, addr, SZ_64K, ANON);
	cpu_writes(v, v->s.proc, addr, SZ_64K, seed);
	KUNIT_ASSERT_EQ_MSG(v->test, pfn_of(v, addr) + SZ_64K / PAGE_SIZE - 1,
			    pfn_of(v, addr + SZ_64K - PAGE_SIZE), "not one page of 64 kB");
	if (IS_ENABLED(CONFIG_ARM64_CONTPTE))
		KUNIT_ASSERT_TRUE(v->test, look(v, v->s.proc, addr).contiguous);
	stash_translations(v, addr, SZ_64K);
	return addr;
}

static void a_page_of_64_kb_is_used_at_each_of_its_pages(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = medium_page(v, 1);

	device_sees(v, addr, SZ_64K, 0, 1);
	device_writes(v, addr, SZ_64K, 2);
	cpu_sees(v, v->s.proc, addr, SZ_64K, 0, 2);
	end_view(v);
}

/*
 * The CPU has made the page dirty, so a request to write looks like one that was served already.
 * Read-only and back: the entries are clean, and one of them is asked for alone.
 */
static void a_request_for_one_of_contiguous_entries_is_served(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = medium_page(v, 1);
	u32 grpid = 1;

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SZ_64K, PROT_READ), 0);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SZ_64K, RW), 0);
	cpu_writes(v, v->s.proc, addr, PAGE_SIZE, 2);
	for (size_t at = 0; at < SZ_64K; at += PAGE_SIZE, grpid++) {
		KUNIT_ASSERT_EQ(test, sva_ask(v->ep, v->s.pasid, addr + at, IOMMU_FAULT_PERM_WRITE,
					      grpid), 0);
		KUNIT_EXPECT_EQ(test, soft_pri_wait(v->ep, v->s.pasid, grpid, 30000),
				IOMMU_PAGE_RESP_SUCCESS);
		KUNIT_EXPECT_NE(test, soft_ats_translate(v->ep, v->s.pasid, addr + at,
							 IOMMU_FAULT_PERM_WRITE) &
				IOMMU_FAULT_PERM_WRITE, 0U);
	}
	device_writes(v, addr, SZ_64K, 3);
	cpu_sees(v, v->s.proc, addr, SZ_64K, 0, 3);
	end_view(v);
}

static void a_page_of_64_kb_cut_by_munmap_keeps_the_rest(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = medium_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr + 4 * PAGE_SIZE, PAGE_SIZE), 0);
	device_sees(v, addr, 4 * PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + 4 * PAGE_SIZE, PAGE_SIZE);
	device_sees(v, addr + 5 * PAGE_SIZE, SZ_64K - 5 * PAGE_SIZE, 5 * PAGE_SIZE, 1);
	end_view(v);
}

/* Reclaim, migration, deduplication: the kernel's own reasons */

static unsigned long some_swapped_pages(struct view *v)
{
	unsigned long addr;

	sva_swap_on(v->test, 2048);
	addr = some_pages(v, SOME, 1);
	page_out(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_TRUE(v->test, look(v, v->s.proc, addr).swapped);
	return addr;
}

static void device_reads_what_was_swapped_out(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_swapped_pages(v);

	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void device_writes_to_what_was_swapped_out(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_swapped_pages(v);

	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

/* Only the device has written since the page was last on the disk: its dirty bit decides. */
static void bytes_of_the_device_are_swapped_out(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr;

	sva_swap_on(test, 2048);
	addr = some_pages(v, SOME, 1);
	page_out(v, addr, SOME * PAGE_SIZE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	page_out(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, look(v, v->s.proc, addr).swapped);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void a_huge_page_swapped_out_comes_back(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr;

	sva_swap_on(test, 2048);
	addr = huge_page(v, 1);
	page_out(v, addr, HUGE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static struct folio *another_folio(struct folio *src, unsigned long private)
{
	return folio_alloc(GFP_HIGHUSER_MOVABLE, folio_order(src));
}

/* Runs in the process: moves the page at an address elsewhere, as compaction would. */
static long migrate_page_at(void *arg)
{
	struct folio *folio;
	struct page *page;
	LIST_HEAD(list);
	long ret = 0;

	if (get_user_pages_fast(*(unsigned long *)arg, 1, 0, &page) != 1)
		return -EFAULT;
	folio = page_folio(page);
	/* Only what is on an LRU list, and not in a CPU's batch for it, can be isolated. */
	lru_add_drain_all();
	if (!folio_isolate_lru(folio))
		ret = -EBUSY;
	folio_put(folio);
	if (ret)
		return ret;

	node_stat_mod_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio),
			    folio_nr_pages(folio));
	list_add(&folio->lru, &list);
	if (!migrate_pages(&list, another_folio, NULL, 0, MIGRATE_SYNC, MR_SYSCALL, NULL))
		return 0;
	putback_movable_pages(&list);
	return -EAGAIN;
}

static void migrated_pages_are_followed(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	unsigned long pfn, at;

	for (unsigned int i = 0; i < SOME; i++) {
		at = addr + i * PAGE_SIZE;
		pfn = pfn_of(v, at);
		KUNIT_ASSERT_EQ(test, sva_proc_call(v->s.proc, migrate_page_at, &at), 0);
		KUNIT_EXPECT_NE(test, pfn_of(v, at), pfn);
	}
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void merge_same_pages(struct view *v)
{
	sva_sysfs_set(v->test, "kernel/mm/ksm/sleep_millisecs", "0");
	sva_sysfs_set(v->test, "kernel/mm/ksm/pages_to_scan", "100");
	sva_sysfs_set(v->test, "kernel/mm/ksm/run", "1");
}

/* Two pages with the same bytes, which have become one. */
static unsigned long merged_pages(struct view *v, u8 seed)
{
	unsigned long addr = sva_proc_map(v->s.proc, 2 * PAGE_SIZE);

	prepare(v, addr, PAGE_SIZE, seed);
	prepare(v, addr + PAGE_SIZE, PAGE_SIZE, seed);
	KUNIT_ASSERT_EQ(v->test, sva_proc_madvise(v->s.proc, addr, 2 * PAGE_SIZE, MADV_MERGEABLE),
			0);
	merge_same_pages(v);
	KUNIT_ASSERT_TRUE_MSG(v->test, sva_becomes(pfn_of(v, addr) &&
						   pfn_of(v, addr) == pfn_of(v, addr + PAGE_SIZE)),
			      "the pages were not merged");
	return addr;
}

static void merged_pages_read_the_same(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = merged_pages(v, 5);

	device_sees(v, addr, PAGE_SIZE, 0, 5);
	device_sees(v, addr + PAGE_SIZE, PAGE_SIZE, 0, 5);
	end_view(v);
}

static void a_device_write_unmerges_a_page(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = merged_pages(v, 6);

	device_writes(v, addr, PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, PAGE_SIZE, 0, 2);
	cpu_sees(v, v->s.proc, addr + PAGE_SIZE, PAGE_SIZE, 0, 6);
	device_sees(v, addr + PAGE_SIZE, PAGE_SIZE, 0, 6);
	end_view(v);
}

static void pages_unmerged_by_request_are_followed(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = merged_pages(v, 7);

	device_sees(v, addr, PAGE_SIZE, 0, 7);
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, 2 * PAGE_SIZE, MADV_UNMERGEABLE),
			0);
	KUNIT_EXPECT_NE(test, pfn_of(v, addr), pfn_of(v, addr + PAGE_SIZE));
	cpu_writes(v, v->s.proc, addr, PAGE_SIZE, 3);
	device_sees(v, addr, PAGE_SIZE, 0, 3);
	device_sees(v, addr + PAGE_SIZE, PAGE_SIZE, 0, 7);
	end_view(v);
}

/* Files */

static long new_file(struct view *v, size_t len)
{
	unsigned long name = sva_proc_string(v->s.proc, "bench");
	long fd = sva_proc_syscall(v->s.proc, __NR_memfd_create, name, 0, 0, 0, 0, 0);

	KUNIT_ASSERT_GE(v->test, fd, 0L);
	KUNIT_ASSERT_EQ(v->test, sva_proc_syscall(v->s.proc, __NR_ftruncate, fd, len, 0, 0, 0, 0),
			0);
	return fd;
}

static unsigned long map_file(struct view *v, long fd, size_t len, unsigned long flags)
{
	unsigned long addr = sva_proc_syscall(v->s.proc, __NR_mmap, 0, len, RW, flags, fd, 0);

	KUNIT_ASSERT_FALSE(v->test, IS_ERR_VALUE(addr));
	return addr;
}

static void a_truncated_file_is_out_of_reach(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);

	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_syscall(v->s.proc, __NR_ftruncate, fd, 3 * PAGE_SIZE, 0, 0,
					       0, 0), 0);
	device_sees(v, addr, 3 * PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + 3 * PAGE_SIZE, 5 * PAGE_SIZE);
	end_view(v);
}

static void a_hole_punched_into_a_file_reads_zero(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);

	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_syscall(v->s.proc, __NR_fallocate, fd,
					       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					       PAGE_SIZE, 2 * PAGE_SIZE, 0, 0), 0);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_sees(v, addr + PAGE_SIZE, 2 * PAGE_SIZE, 0, 0);
	device_sees(v, addr + 3 * PAGE_SIZE, 5 * PAGE_SIZE, 3 * PAGE_SIZE, 1);
	end_view(v);
}

static void a_file_is_the_same_for_two_mappings(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);
	unsigned long other = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);

	prepare(v, addr, SOME * PAGE_SIZE, 1);
	stash_translations(v, other, SOME * PAGE_SIZE);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, other, SOME * PAGE_SIZE, 0, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_sees(v, other, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void a_private_file_page_is_copied_on_a_device_write(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long shared = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_PRIVATE);

	prepare(v, shared, SOME * PAGE_SIZE, 1);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, shared, SOME * PAGE_SIZE, 0, 1);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	device_sees(v, shared, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void a_private_file_page_is_copied_on_a_cpu_write(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long shared = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_PRIVATE);

	prepare(v, shared, SOME * PAGE_SIZE, 1);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 2);
	device_sees(v, shared, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

/* Pages from the pool of huge pages */
static void a_hugetlb_page_unmapped_is_gone(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr;

	sva_sysfs_set(test, "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "4");
	addr = sva_proc_mmap(v->s.proc, 0, HUGE, RW, ANON | MAP_HUGETLB);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, HUGE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

/* Write protection by userfaultfd, lifted by the first write: the device's counts as one */

static long watch_writes(struct view *v, unsigned long addr, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct uffdio_register reg = { .range = { addr, len }, .mode = UFFDIO_REGISTER_MODE_WP };
	long fd = sva_proc_syscall(v->s.proc, __NR_userfaultfd, O_CLOEXEC, 0, 0, 0, 0, 0);

	KUNIT_ASSERT_GE(v->test, fd, 0L);
	KUNIT_ASSERT_EQ(v->test, sva_proc_syscall(v->s.proc, __NR_ioctl, fd, UFFDIO_API,
						  sva_proc_pass(v->s.proc, &api, sizeof(api)), 0, 0,
						  0), 0);
	KUNIT_ASSERT_EQ(v->test, sva_proc_syscall(v->s.proc, __NR_ioctl, fd, UFFDIO_REGISTER,
						  sva_proc_pass(v->s.proc, &reg, sizeof(reg)), 0, 0,
						  0), 0);
	return fd;
}

static void write_protection_by_userfaultfd_is_noticed(struct kunit *test)
{
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct view *v;
	unsigned long arg;
	long fd;

	if (!IS_ENABLED(CONFIG_HAVE_ARCH_USERFAULTFD_WP))
		kunit_skip(test, "this architecture has no write protection by userfaultfd");
	v = new_view(test);
	wp.range.start = some_pages(v, SOME, 1);
	wp.range.len = SOME * PAGE_SIZE;
	fd = watch_writes(v, wp.range.start, wp.range.len);
	arg = sva_proc_pass(v->s.proc, &wp, sizeof(wp));
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(v->s.proc, __NR_ioctl, fd, UFFDIO_WRITEPROTECT, arg,
					       0, 0, 0), 0);
	KUNIT_ASSERT_TRUE(test, look(v, v->s.proc, wp.range.start).uffd_wp);

	device_sees(v, wp.range.start, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, wp.range.start, PAGE_SIZE, 2);
	KUNIT_EXPECT_FALSE(test, look(v, v->s.proc, wp.range.start).uffd_wp);
	KUNIT_EXPECT_TRUE(test, look(v, v->s.proc, wp.range.start + PAGE_SIZE).uffd_wp);
	cpu_sees(v, v->s.proc, wp.range.start, PAGE_SIZE, 0, 2);
	end_view(v);
}

static struct kunit_case sva_notifier_pages_cases[] = {
	KUNIT_CASE(a_huge_page_split_by_munmap_keeps_the_rest),
	KUNIT_CASE(a_huge_page_split_by_mprotect_is_read_only_there),
	KUNIT_CASE(a_huge_page_made_read_only_is_not_written),
	KUNIT_CASE(a_part_of_a_huge_page_given_up_reads_zero),
	KUNIT_CASE(a_huge_page_unmapped_is_gone),
	KUNIT_CASE(a_huge_page_moved_is_at_its_new_place_only),
	KUNIT_CASE(a_huge_page_is_copied_on_a_device_write_after_fork),
	KUNIT_CASE(pages_collapsed_to_a_huge_one_are_followed),
	KUNIT_CASE(a_page_of_64_kb_is_used_at_each_of_its_pages),
	KUNIT_CASE(a_request_for_one_of_contiguous_entries_is_served),
	KUNIT_CASE(a_page_of_64_kb_cut_by_munmap_keeps_the_rest),
	KUNIT_CASE(device_reads_what_was_swapped_out),
	KUNIT_CASE(device_writes_to_what_was_swapped_out),
	KUNIT_CASE(bytes_of_the_device_are_swapped_out),
	KUNIT_CASE(a_huge_page_swapped_out_comes_back),
	KUNIT_CASE(migrated_pages_are_followed),
	KUNIT_CASE_SLOW(merged_pages_read_the_same),
	KUNIT_CASE_SLOW(a_device_write_unmerges_a_page),
	KUNIT_CASE_SLOW(pages_unmerged_by_request_are_followed),
	KUNIT_CASE(a_truncated_file_is_out_of_reach),
	KUNIT_CASE(a_hole_punched_into_a_file_reads_zero),
	KUNIT_CASE(a_file_is_the_same_for_two_mappings),
	KUNIT_CASE(a_private_file_page_is_copied_on_a_device_write),
	KUNIT_CASE(a_private_file_page_is_copied_on_a_cpu_write),
	KUNIT_CASE(a_hugetlb_page_unmapped_is_gone),
	KUNIT_CASE(write_protection_by_userfaultfd_is_noticed),
	{}
};

static struct kunit_suite sva_notifier_pages_suite = {
	.name = "iommu_sva_notifier_pages",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_notifier_pages_cases,
};

kunit_test_suite(sva_notifier_pages_suite);
