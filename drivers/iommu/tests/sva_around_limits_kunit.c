// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: what is left alone
 *
 * Accesses that are no stream, memory that a window must not touch, and memory that is scarce.
 */
#include <linux/memcontrol.h>
#include <linux/mman.h>
#include <linux/page_counter.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/unistd.h>
#include <linux/userfaultfd.h>

#include "sva_around_kunit.h"

/* The page cache */

/* A hole in a file of a mounted file system stays one. */
static void expect_hole_on(struct kunit *test, const char *type)
{
	struct iopf_bond *bond = bind_first(test);
	long fd = new_file_on(bond, type, SZ_64K, 8);
	unsigned long mem;

	KUNIT_ASSERT_EQ(test, sva_proc_syscall(bond->proc, __NR_ftruncate, fd, SZ_1M, 0, 0, 0, 0),
			0);
	mem = map_fd(bond, fd, SZ_1M, PROT_READ, MAP_SHARED) + SZ_64K;
	run(bond, mem, 4, false);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, (SZ_1M - SZ_64K) / PAGE_SIZE), 4);
}

static void holes_of_files_are_not_filled_ahead(struct kunit *test)
{
	expect_hole_on(test, "ramfs");
}

/* Its user has set the size of the file system, for what is written. */
static void holes_of_a_mounted_tmpfs_are_not_filled_ahead(struct kunit *test)
{
	expect_hole_on(test, "tmpfs");
}

/* The page at which a window is to end */
#define HALT	40

/* A device that reads up to there has had windows, and none has got past. */
static void expect_halt(struct iopf_bond *bond, unsigned long mem)
{
	KUNIT_EXPECT_LT(bond->test, run(bond, mem, HALT, false), HALT / 2);
	KUNIT_EXPECT_GT(bond->test, mapped(bond, mem + (HALT - 1) * PAGE_SIZE, 1), 0);
	KUNIT_EXPECT_EQ(bond->test, mapped(bond, mem + HALT * PAGE_SIZE, 1), 0);
}

/* The page of a new file that a device comes to at HALT; @mem: where the file is mapped */
static struct folio *new_file_to_halt(struct iopf_bond *bond, u8 seed, unsigned long *mem)
{
	long fd = new_file(bond, 128 * PAGE_SIZE, seed);

	*mem = map_fd(bond, fd, 128 * PAGE_SIZE, PROT_READ, MAP_SHARED);
	return cached_folio(bond, *mem + HALT * PAGE_SIZE);
}

/* It is for the device, when it comes there, to have more of the file read. */
static void pages_that_ask_for_read_ahead_are_left_to_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct folio *folio;
	unsigned long mem;

	folio = new_file_to_halt(bond, 11, &mem);
	folio_set_readahead(folio);
	expect_halt(bond, mem);
	KUNIT_EXPECT_TRUE(test, folio_test_readahead(folio));
	KUNIT_EXPECT_EQ(test, run(bond, mem + HALT * PAGE_SIZE, 1, false), 1);
	folio_clear_readahead(folio);
	folio_put(folio);
}

/* To bring it up to date takes I/O. */
static void pages_that_are_not_up_to_date_are_left_to_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct folio *folio;
	unsigned long mem;

	folio = new_file_to_halt(bond, 12, &mem);
	folio_clear_uptodate(folio);
	expect_halt(bond, mem);
	KUNIT_EXPECT_FALSE(test, folio_test_uptodate(folio));
	/* The request has it read. */
	KUNIT_EXPECT_EQ(test, run(bond, mem + HALT * PAGE_SIZE, 1, false), 1);
	KUNIT_EXPECT_TRUE(test, folio_test_uptodate(folio));
	folio_put(folio);
}

static void what_is_swapped_out_is_left_to_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_1M);

	sva_swap_on(test, 2 * SZ_1M / PAGE_SIZE);
	cpu_writes(bond, mem, SZ_1M, 9);
	KUNIT_ASSERT_TRUE(test, sva_becomes(page_out(bond, mem, SZ_1M)));
	/* Behind its end there may be other memory. */
	device_reads(bond, mem, SZ_1M - SZ_64K, 9);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
}

/* One page in the middle of a window is swapped out: that ends there. */
static void windows_end_at_what_is_swapped_out(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);
	unsigned long out = mem + 10 * PAGE_SIZE;

	sva_swap_on(test, 2 * SZ_1M / PAGE_SIZE);
	sva_poke(test, bond->proc, out, 1);
	KUNIT_ASSERT_TRUE(test, sva_becomes(page_out(bond, out, PAGE_SIZE)));
	/* Windows of 4 pages and of 8, cut to 3 */
	KUNIT_EXPECT_EQ(test, run(bond, mem, 10, true), 3);
	KUNIT_EXPECT_EQ(test, ahead(bond), 4 + 3);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64), 10);
}

static void windows_that_go_down_end_at_what_is_swapped_out(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE), out = mem + 52 * PAGE_SIZE;

	sva_swap_on(test, 2 * SZ_1M / PAGE_SIZE);
	sva_poke(test, bond->proc, out, 1);
	KUNIT_ASSERT_TRUE(test, sva_becomes(page_out(bond, out, PAGE_SIZE)));
	/* Requests for three pages; windows of 4 pages, and of 8, cut to 3 */
	KUNIT_EXPECT_EQ(test, run_down(bond, mem + 53 * PAGE_SIZE, 11, true), 4);
	KUNIT_EXPECT_EQ(test, ahead(bond), 4 + 3);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64), 11);
}

/* Random access */

static void random_access_maps_nothing_ahead(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, LARGE), asked = 0;
	u32 seed = 1;

	for (unsigned int i = 0; i < 1000; i++) {
		seed = seed * 1664525 + 1013904223;
		asked += run(bond, mem + (seed >> 8) % LARGE_PAGES * PAGE_SIZE, 1, true);
	}
	KUNIT_EXPECT_GT(test, asked, 500);
	KUNIT_EXPECT_LE(test, mapped(bond, mem, LARGE_PAGES), asked + asked / 20);
	KUNIT_EXPECT_LE(test, ahead(bond), asked / 20);
}

static void strides_map_nothing_ahead(struct kunit *test)
{
	static const unsigned int strides[] = { 2, 3, 5, 16, 17, 32 };
	struct iopf_bond *bond = bind_first(test);

	for (unsigned int i = 0; i < ARRAY_SIZE(strides); i++) {
		unsigned long mem = sva_proc_map(bond->proc, 64 * strides[i] * PAGE_SIZE);

		for (unsigned int k = 0; k < 64; k++)
			run(bond, mem + k * strides[i] * PAGE_SIZE, 1, true);
		KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64 * strides[i]), 64);
	}
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
}

static void strides_down_map_nothing_ahead(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 128 * PAGE_SIZE);

	for (int k = 63; k >= 0; k--)
		run(bond, mem + 2 * k * PAGE_SIZE, 1, true);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 128), 64);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
}

/* The first two requests of a stream come in the wrong order. It goes up all the same. */
static void requests_that_overtake_are_no_stream_that_goes_down(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	run(bond, mem + 21 * PAGE_SIZE, 1, true);
	run(bond, mem + 20 * PAGE_SIZE, 1, true);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
	KUNIT_EXPECT_LE(test, run(bond, mem + 22 * PAGE_SIZE, 42, true), 6);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 20), 0);
}

/* What is not mapped ahead */

/* Windows begin behind pages 6 and 15: the border is where one begins, in it, and at its end. */
static void windows_end_with_their_mapping(struct kunit *test)
{
	static const unsigned int borders[] = { 16, 24, 32 };

	for (unsigned int i = 0; i < ARRAY_SIZE(borders); i++) {
		struct iopf_bond *bond = bind_first(test);
		unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);
		unsigned long other = mem + borders[i] * PAGE_SIZE;

		sva_proc_mprotect(bond->proc, other, (64 - borders[i]) * PAGE_SIZE, PROT_READ);
		KUNIT_EXPECT_LE(test, run(bond, mem, borders[i], false), 4);
		KUNIT_EXPECT_EQ(test, mapped(bond, other, 64 - borders[i]), 0);
	}
}

/* Windows that go down begin below pages 61, 56 and 47 of 64: as above. */
static void windows_that_go_down_end_with_their_mapping(struct kunit *test)
{
	static const unsigned int borders[] = { 47, 40, 32 };

	for (unsigned int i = 0; i < ARRAY_SIZE(borders); i++) {
		struct iopf_bond *bond = bind_first(test);
		unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

		sva_proc_mprotect(bond->proc, mem, borders[i] * PAGE_SIZE, PROT_READ);
		KUNIT_EXPECT_LE(test, run_down(bond, mem + borders[i] * PAGE_SIZE, 64 - borders[i],
					       true), 6);
		KUNIT_EXPECT_EQ(test, mapped(bond, mem, borders[i]), 0);
	}
}

/* Each page that is used is asked for, and no other is mapped; @mem has 64, none of them used. */
static void expect_nothing_ahead(struct iopf_bond *bond, unsigned long mem, bool write)
{
	KUNIT_EXPECT_EQ(bond->test, run(bond, mem, 16, write), 16);
	KUNIT_EXPECT_EQ(bond->test, mapped(bond, mem, 64), 16);
	KUNIT_EXPECT_EQ(bond->test, ahead(bond), 0);
}

static void pages_locked_on_fault_stay_away(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	KUNIT_ASSERT_EQ(test, sva_proc_syscall(bond->proc, __NR_mlock2, mem, 64 * PAGE_SIZE,
					       MLOCK_ONFAULT, 0, 0, 0), 0);
	expect_nothing_ahead(bond, mem, true);
}

/* As after mlock() and then MADV_DONTNEED_LOCKED: what is there stays there. */
static void locked_memory_is_left_alone(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	KUNIT_ASSERT_EQ(test, sva_proc_syscall(bond->proc, __NR_mlock, mem, 64 * PAGE_SIZE, 0, 0,
					       0, 0), 0);
	KUNIT_ASSERT_EQ(test, sva_proc_madvise(bond->proc, mem, 64 * PAGE_SIZE,
					       MADV_DONTNEED_LOCKED), 0);
	KUNIT_EXPECT_EQ(test, run(bond, mem, 16, true), 16);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64), 16);
}

static void memory_that_may_vanish_is_left_alone(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_mmap(bond->proc, 0, 64 * PAGE_SIZE, RW,
					  MAP_DROPPABLE | MAP_ANONYMOUS);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(mem));
	KUNIT_EXPECT_EQ(test, run(bond, mem, 16, true), 16);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
}

static void advice_of_random_access_is_followed(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	KUNIT_ASSERT_EQ(test, sva_proc_madvise(bond->proc, mem, 64 * PAGE_SIZE, MADV_RANDOM), 0);
	expect_nothing_ahead(bond, mem, true);
}

static void stacks_are_left_alone(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_mmap(bond->proc, 0, 64 * PAGE_SIZE, RW,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(mem));
	expect_nothing_ahead(bond, mem, true);
}

/* A driver's fault handler may make more of a call than to map a page. */
static void memory_of_drivers_is_left_alone(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct sva_gate *gate = sva_gate(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, 64 * PAGE_SIZE);

	sva_gate_open(gate);
	expect_nothing_ahead(bond, mem, false);
}

/* A driver may have pages of the page cache in its mappings, with a flag that says so. */
static void mappings_of_drivers_are_known_by_their_flags(struct kunit *test)
{
	static const vm_flags_t flags[] = { VM_IO, VM_PFNMAP, VM_MIXEDMAP };
	struct iopf_bond *bond = bind_first(test);

	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		unsigned long mem = map_shared(bond, 64 * PAGE_SIZE);

		set_vma_flags(bond, mem, flags[i]);
		KUNIT_EXPECT_EQ_MSG(test, run(bond, mem, 16, true), 16, "flag %#lx", flags[i]);
	}
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
}

static void userfaultfd_is_told_of_nothing_more(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);
	struct iopf_monitor m;
	struct uffd_msg msg;

	iopf_monitor_start(&m, bond, mem, 64 * PAGE_SIZE);
	for (unsigned int i = 0; i < 16; i++) {
		struct uffdio_zeropage zero = {
			.range = { .start = mem + i * PAGE_SIZE, .len = PAGE_SIZE },
		};

		iopf_last(bond, 0, mem + i * PAGE_SIZE, IOPF_READ);
		KUNIT_ASSERT_TRUE(test, iopf_monitor_wait(&m, &msg));
		KUNIT_EXPECT_EQ(test, msg.arg.pagefault.address & PAGE_MASK, zero.range.start);
		iopf_monitor_ioctl(&m, UFFDIO_ZEROPAGE, &zero, sizeof(zero));
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), IOMMU_PAGE_RESP_SUCCESS);
	}
	KUNIT_EXPECT_EQ(test, sva_proc_syscall(bond->proc, __NR_read, m.fd, m.scratch, sizeof(msg),
					       0, 0, 0), -EAGAIN);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
}

#ifdef CONFIG_MEMCG_V1
/* A group has not been refused anything so far. */
static void expect_no_failures(struct kunit *test, const char *failcnt)
{
	char failures[24];

	KUNIT_EXPECT_GT(test, sva_sysfs_get(test, failcnt, failures, sizeof(failures)), 0L);
	KUNIT_EXPECT_STREQ(test, strim(failures), "0");
}

/* Seven of eight MiB: the next window would not fit, and is left out. @sub is of /memcg/a. */
static void expect_limit_of_group(struct kunit *test, const char *sub)
{
	struct iopf_bond *bond = bind_first(test), *other = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_16M);
	char procs[48];

	iopf_memcg_make(other);
	if (*sub)
		iopf_memcg_make_within(other, "/a/b");
	sva_sysfs_put(test, "/memcg/a/memory.limit_in_bytes", "8388608");
	scnprintf(procs, sizeof(procs), "/memcg/a%s/cgroup.procs", sub);
	iopf_memcg_enter(bond, procs);

	run(bond, mem, (SZ_8M - SZ_1M) / PAGE_SIZE, true);
	KUNIT_EXPECT_GT(test, ahead(bond), SZ_4M / PAGE_SIZE);
	expect_no_failures(test, "/memcg/a/memory.failcnt");

	iopf_memcg_enter(bond, "/memcg/cgroup.procs");
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, SZ_16M), 0);
	if (*sub)
		iopf_memcg_remove_within(other, "/a/b");
	iopf_memcg_remove(other);
}

static void memory_group_is_not_driven_to_its_limit(struct kunit *test)
{
	expect_limit_of_group(test, "");
}

/* What a group within it is charged, so is the group around it. */
static void group_of_groups_is_not_driven_to_its_limit(struct kunit *test)
{
	expect_limit_of_group(test, "/b");
}

/*
 * What is swapped out counts, too: of memory and swap together there are 2048 pages, of which 256
 * are in the swap. A window begins at 1,542 pages; memory alone would have room for most of it.
 */
static void memory_with_swap_is_not_driven_to_its_limit(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test), *other = bind_first(test);
	unsigned long old = sva_proc_map(bond->proc, 256 * PAGE_SIZE);
	unsigned long mem = sva_proc_map(bond->proc, 2048 * PAGE_SIZE);
	char limit[24];

	scnprintf(limit, sizeof(limit), "%lu", 2048 * PAGE_SIZE);
	sva_swap_on(test, 512);
	iopf_memcg_make(other);
	sva_sysfs_put(test, "/memcg/a/memory.limit_in_bytes", limit);
	sva_sysfs_put(test, "/memcg/a/memory.memsw.limit_in_bytes", limit);
	iopf_memcg_enter(bond, "/memcg/a/cgroup.procs");
	cpu_writes(bond, old, 256 * PAGE_SIZE, 13);
	KUNIT_ASSERT_TRUE(test, sva_becomes(page_out(bond, old, 256 * PAGE_SIZE)));

	run(bond, mem, 1600, true);
	KUNIT_EXPECT_GT(test, ahead(bond), 1024);
	expect_no_failures(test, "/memcg/a/memory.memsw.failcnt");

	iopf_memcg_enter(bond, "/memcg/cgroup.procs");
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, 2048 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, old, 256 * PAGE_SIZE), 0);
	iopf_memcg_remove(other);
}

KUNIT_DEFINE_ACTION_WRAPPER(put_memcg, mem_cgroup_put, struct mem_cgroup *);

/*
 * What memory.high sets. It is a file of cgroup v2, which has no memory groups while v1 has them.
 * A window would begin at 1,542 pages and end beyond the mark; what the device asks for itself does
 * not come near.
 */
static void memory_group_is_not_driven_to_its_high_mark(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test), *other = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 2048 * PAGE_SIZE);
	struct mem_cgroup *memcg;

	iopf_memcg_make(other);
	iopf_memcg_enter(bond, "/memcg/a/cgroup.procs");
	memcg = get_mem_cgroup_from_mm(sva_proc_mm(bond->proc));
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_memcg, memcg), 0);
	KUNIT_ASSERT_FALSE(test, mem_cgroup_is_root(memcg));
	page_counter_set_high(&memcg->memory, 1728);

	run(bond, mem, 1545, true);
	KUNIT_EXPECT_GT(test, ahead(bond), 1024);
	KUNIT_EXPECT_LE(test, memcg->memory.watermark, 1728);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&memcg->memory_events[MEMCG_HIGH]), 0);

	iopf_memcg_enter(bond, "/memcg/cgroup.procs");
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, 2048 * PAGE_SIZE), 0);
	iopf_memcg_remove(other);
}
#endif

static void scarce_memory_is_left_to_others(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	iopf_make_memory_scarce(test);
	KUNIT_EXPECT_EQ(test, run(bond, mem, 16, true), 16);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64), 16);
}

static struct kunit_case sva_around_limits_cases[] = {
	KUNIT_CASE(holes_of_files_are_not_filled_ahead),
	KUNIT_CASE(holes_of_a_mounted_tmpfs_are_not_filled_ahead),
	KUNIT_CASE(pages_that_ask_for_read_ahead_are_left_to_requests),
	KUNIT_CASE(pages_that_are_not_up_to_date_are_left_to_requests),
	KUNIT_CASE(what_is_swapped_out_is_left_to_requests),
	KUNIT_CASE(windows_end_at_what_is_swapped_out),
	KUNIT_CASE(windows_that_go_down_end_at_what_is_swapped_out),
	KUNIT_CASE(random_access_maps_nothing_ahead),
	KUNIT_CASE(strides_map_nothing_ahead),
	KUNIT_CASE(strides_down_map_nothing_ahead),
	KUNIT_CASE(requests_that_overtake_are_no_stream_that_goes_down),
	KUNIT_CASE(windows_end_with_their_mapping),
	KUNIT_CASE(windows_that_go_down_end_with_their_mapping),
	KUNIT_CASE(pages_locked_on_fault_stay_away),
	KUNIT_CASE(locked_memory_is_left_alone),
	KUNIT_CASE(memory_that_may_vanish_is_left_alone),
	KUNIT_CASE(advice_of_random_access_is_followed),
	KUNIT_CASE(stacks_are_left_alone),
	KUNIT_CASE(memory_of_drivers_is_left_alone),
	KUNIT_CASE(mappings_of_drivers_are_known_by_their_flags),
	KUNIT_CASE(userfaultfd_is_told_of_nothing_more),
#ifdef CONFIG_MEMCG_V1
	KUNIT_CASE(memory_group_is_not_driven_to_its_limit),
	KUNIT_CASE(group_of_groups_is_not_driven_to_its_limit),
	KUNIT_CASE(memory_with_swap_is_not_driven_to_its_limit),
	KUNIT_CASE(memory_group_is_not_driven_to_its_high_mark),
#endif
	KUNIT_CASE(scarce_memory_is_left_to_others),
	{}
};

static struct kunit_suite sva_around_limits_suite = {
	.name = "iommu_sva_around_limits",
	.init = around_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_around_limits_cases,
};

kunit_test_suite(sva_around_limits_suite);

MODULE_DESCRIPTION("KUnit tests for what fault-around of SVA leaves alone");
MODULE_LICENSE("GPL");
