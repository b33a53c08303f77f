// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: what is mapped ahead of a device that streams
 *
 * What is left alone is in sva_around_limits_kunit.c.
 */
#include <linux/mman.h>
#include <linux/sizes.h>
#include <linux/unistd.h>
#include <uapi/linux/memfd.h>

#include "sva_around_kunit.h"

/* Every byte of the memory, by the device; returns how often it had to ask. */
static u64 device_writes(struct iopf_bond *bond, unsigned long addr, size_t len, u8 seed)
{
	u8 *buf = new_buffer(bond->test);
	u64 before = requests(bond);

	for (size_t at = 0; at < len; at += SZ_64K) {
		make_pattern(buf, SZ_64K, at, seed);
		KUNIT_ASSERT_EQ(bond->test, soft_dma_write(bond->ep, bond->pasid, addr + at, buf,
							   SZ_64K), 0);
	}
	return requests(bond) - before;
}

static void cpu_reads(struct iopf_bond *bond, unsigned long addr, size_t len, u8 seed)
{
	u8 *buf = new_buffer(bond->test);

	for (size_t at = 0; at < len; at += SZ_64K) {
		KUNIT_ASSERT_EQ(bond->test, sva_proc_read(bond->proc, addr + at, buf, SZ_64K), 0);
		expect_pattern(bond->test, buf, at, seed);
	}
}

/* Anonymous memory */

static void reads_of_fresh_memory_make_few_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, LARGE);

	KUNIT_EXPECT_LE(test, run(bond, mem, LARGE_PAGES, false), REQUESTS(LARGE));
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, LARGE_PAGES), LARGE_PAGES);
}

static void writes_to_fresh_memory_make_few_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, LARGE);

	KUNIT_EXPECT_LE(test, device_writes(bond, mem, LARGE, 1), REQUESTS(LARGE));
	cpu_reads(bond, mem, LARGE, 1);
}

static void shared_anonymous_memory_counts_as_such(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = map_shared(bond, LARGE);

	KUNIT_EXPECT_LE(test, device_writes(bond, mem, LARGE, 2), REQUESTS(LARGE));
	cpu_reads(bond, mem, LARGE, 2);
}

/* After fork() a write copies the page: only the one that was asked for. */
static void copies_on_write_are_not_made_ahead(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_1M);
	struct sva_proc *child;

	cpu_writes(bond, mem, SZ_1M, 3);
	child = sva_proc_fork(bond->proc);
	KUNIT_EXPECT_EQ(test, run(bond, mem, 40, true), 40);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
	sva_proc_exit(child);
}

static void expect_windows_across_slots(struct kunit *test,
					u64 (*go)(struct iopf_bond *bond, unsigned long addr,
						  unsigned long pages, bool write))
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = (3UL << PGDIR_SHIFT) - 8 * PAGE_SIZE;

	if (mem >= TASK_SIZE)
		kunit_skip(test, "user space has no such slot");
	sva_proc_map_at(bond->proc, mem, 16 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, go(bond, mem, 16, true), 4);
}

static void window_crosses_into_a_fresh_top_level_slot(struct kunit *test)
{
	expect_windows_across_slots(test, run);
}

static void huge_pages_need_nothing_ahead(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "no huge pages");
	mem = sva_proc_map(bond->proc, 5 * PMD_SIZE);
	mem = ALIGN(mem, PMD_SIZE);
	KUNIT_ASSERT_EQ(test, sva_proc_madvise(bond->proc, mem, 4 * PMD_SIZE, MADV_HUGEPAGE), 0);
	/* A stream of small pages up to there */
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(bond->proc, mem, PMD_SIZE, MADV_NOHUGEPAGE), 0);
	run(bond, mem + PMD_SIZE - 40 * PAGE_SIZE, 40, true);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem + PMD_SIZE, PMD_SIZE / PAGE_SIZE), 0);
	KUNIT_EXPECT_LE(test, run(bond, mem + PMD_SIZE, 3 * PMD_SIZE / PAGE_SIZE, true), 3);
}

/* The pages of one group follow each other, though the first brings them all. */
static void hugetlb_pages_need_nothing_ahead(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem;

	if (!IS_ENABLED(CONFIG_HUGETLBFS) || PMD_SIZE != SZ_2M)
		kunit_skip(test, "no huge pages of 2 MiB");
	sva_sysfs_set(test, "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "4");
	mem = sva_proc_mmap(bond->proc, 0, 4 * PMD_SIZE, RW,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(mem));
	for (unsigned int i = 0; i < 7; i++)
		iopf_partial(bond, 1, mem + i * PAGE_SIZE, IOPF_RW);
	iopf_last(bond, 1, mem + 7 * PAGE_SIZE, IOPF_RW);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 1), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, run(bond, mem, 4 * PMD_SIZE / PAGE_SIZE, true), 3);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, 4 * PMD_SIZE), 0);
}

#define THP		"kernel/mm/transparent_hugepage/"

/* A block of small pages and three that may be huge, in one mapping; then the device comes by. */
static void expect_huge_pages_on_request(struct iopf_bond *bond, bool write)
{
	unsigned long mem = ALIGN(sva_proc_map(bond->proc, 5 * PMD_SIZE), PMD_SIZE);

	KUNIT_EXPECT_EQ(bond->test, sva_cpu_get(bond->proc, mem), 0);
	KUNIT_ASSERT_EQ(bond->test, sva_proc_madvise(bond->proc, mem, 4 * PMD_SIZE, MADV_HUGEPAGE),
			0);
	run(bond, mem + PMD_SIZE - 40 * PAGE_SIZE, 40, write);
	KUNIT_EXPECT_GT(bond->test, ahead(bond), 0);
	for (unsigned int i = 1; i < 4; i++)
		KUNIT_EXPECT_EQ(bond->test, run(bond, mem + i * PMD_SIZE, PMD_SIZE / PAGE_SIZE,
						write), 1);
}

static void huge_pages_are_not_brought_ahead(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "no huge pages");
	/* The first block stays as it is. */
	sva_sysfs_set(test, THP "khugepaged/max_ptes_none", "0");
	expect_huge_pages_on_request(bind_first(test), true);
	/* What is only read gets memory of its own, too. */
	sva_sysfs_set(test, THP "use_zero_page", "0");
	expect_huge_pages_on_request(bind_first(test), false);
}

/* The page cache */

static long new_memfd(struct iopf_bond *bond, size_t len, u8 seed)
{
	long fd = sva_proc_syscall(bond->proc, __NR_memfd_create,
				   sva_proc_string(bond->proc, "around"), MFD_CLOEXEC, 0, 0, 0, 0);

	KUNIT_ASSERT_GE(bond->test, fd, 0L);
	fill_fd(bond, fd, len, seed);
	return fd;
}

static void page_cache_makes_few_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	long fd = new_memfd(bond, LARGE, 4);
	unsigned long shared = map_fd(bond, fd, LARGE, RW, MAP_SHARED);
	unsigned long private = map_fd(bond, fd, LARGE, RW, MAP_PRIVATE);
	unsigned long again = map_fd(bond, fd, LARGE, RW, MAP_SHARED);

	KUNIT_EXPECT_LE(test, device_reads(bond, shared, LARGE, 4), REQUESTS(LARGE));
	KUNIT_EXPECT_LE(test, device_reads(bond, private, LARGE, 4), REQUESTS(LARGE));
	KUNIT_EXPECT_LE(test, device_writes(bond, again, LARGE / 2, 5), REQUESTS(LARGE));
	cpu_reads(bond, shared, LARGE / 2, 5);
}

static void files_make_few_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	long fd = new_file(bond, LARGE, 6);
	unsigned long mem = map_fd(bond, fd, LARGE, PROT_READ, MAP_SHARED);

	KUNIT_EXPECT_LE(test, device_reads(bond, mem, LARGE, 6), REQUESTS(LARGE));
}

static void nobody_but_the_device_dirties_a_file(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	long fd = new_file(bond, SZ_1M, 7);
	unsigned long mem = map_fd(bond, fd, SZ_1M, RW, MAP_SHARED);

	KUNIT_EXPECT_EQ(test, run(bond, mem, 40, true), 40);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
}

/* A write to a private mapping copies the page: of a file, or of shared memory. */
static void nobody_but_the_device_copies_a_file(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	long fds[] = { new_file(bond, SZ_1M, 7), new_memfd(bond, SZ_1M, 7) };
	unsigned long mem;

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		mem = map_fd(bond, fds[i], SZ_1M, RW, MAP_PRIVATE);
		KUNIT_EXPECT_EQ(test, run(bond, mem, 40, true), 40);
		KUNIT_EXPECT_EQ(test, ahead(bond), 0);
	}
}

/* Streams */

static void several_streams_at_once(struct kunit *test)
{
	struct iopf_bond *bonds[2] = { bind_first(test) };
	unsigned long mem[SVA_SEQS];
	u64 before;

	bonds[1] = iopf_bind(test, fixture(test)->ep[1], bonds[0]->proc);
	for (unsigned int i = 0; i < SVA_SEQS; i++)
		mem[i] = sva_proc_map(bonds[0]->proc, SZ_4M);
	before = requests(bonds[0]) + requests(bonds[1]);
	for (unsigned long page = 0; page < SZ_4M / PAGE_SIZE; page++)
		for (unsigned int i = 0; i < SVA_SEQS; i++)
			run(bonds[i % 2], mem[i] + page * PAGE_SIZE, 1, i & 2);
	KUNIT_EXPECT_LE(test, requests(bonds[0]) + requests(bonds[1]) - before, SVA_SEQS * 12);
}

/* Every byte of the memory, from the last block to the first; returns how often it had to ask. */
static u64 device_writes_down(struct iopf_bond *bond, unsigned long addr, size_t len, u8 seed)
{
	u8 *buf = new_buffer(bond->test);
	u64 before = requests(bond);

	for (size_t at = len; at; at -= SZ_64K) {
		make_pattern(buf, SZ_64K, at - SZ_64K, seed);
		for (size_t i = SZ_64K; i; i -= PAGE_SIZE)
			KUNIT_ASSERT_EQ(bond->test,
					soft_dma_write(bond->ep, bond->pasid,
						       addr + at - SZ_64K + i - PAGE_SIZE,
						       buf + i - PAGE_SIZE, PAGE_SIZE), 0);
	}
	return requests(bond) - before;
}

static void streams_that_go_down_make_few_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, LARGE);

	KUNIT_EXPECT_LE(test, device_writes_down(bond, mem, LARGE, 6), REQUESTS(LARGE));
	cpu_reads(bond, mem, LARGE, 6);
}

static void files_are_streamed_downwards(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	long fd = new_file(bond, LARGE, 7);
	unsigned long mem = map_fd(bond, fd, LARGE, PROT_READ, MAP_SHARED);

	KUNIT_EXPECT_LE(test, run_down(bond, mem, LARGE_PAGES, false), REQUESTS(LARGE));
	KUNIT_EXPECT_EQ(test, device_reads(bond, mem, LARGE, 7), 0);
}

/* A mapping between two others; a window ends at either side of a table of page tables. */
static void windows_that_go_down_cross_into_a_top_level_slot(struct kunit *test)
{
	expect_windows_across_slots(test, run_down);
}

/* The device has no need to ask for the page behind a window if that is there. */
static void pages_that_are_there_move_the_end_of_a_window_that_goes_down(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	for (unsigned int i = 40; i <= 50; i++)
		sva_poke(test, bond->proc, mem + i * PAGE_SIZE, 1);
	/* Requests for three pages, and behind the windows of 4 and of 8: 56, and 39, not 47 */
	KUNIT_EXPECT_EQ(test, run_down(bond, mem + 23 * PAGE_SIZE, 41, true), 5);
}

/* The last stream is still known, and its last window is where the next one will come along. */
static void memory_that_is_used_again_is_streamed_again(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_1M);
	u64 asked = run(bond, mem, SZ_1M / PAGE_SIZE, true);

	for (unsigned int i = 0; i < 2 * SVA_SEQS; i++) {
		KUNIT_EXPECT_EQ(test, sva_proc_madvise(bond->proc, mem, SZ_1M, MADV_DONTNEED), 0);
		KUNIT_EXPECT_LE(test, run(bond, mem, SZ_1M / PAGE_SIZE, true), 2 * asked);
	}
}

/* As a device does that has many requests under way: the credits of the fixture are 16. */
static void requests_under_way_are_no_obstacle(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_8M), page = 0;
	u64 asked = 0;

	while (page < SZ_8M / PAGE_SIZE) {
		for (unsigned int i = 0; i < 16; i++)
			iopf_last(bond, i, mem + (page + i) * PAGE_SIZE, IOPF_RW);
		for (unsigned int i = 0; i < 16; i++)
			KUNIT_ASSERT_EQ(test, iopf_answer(bond, i), IOMMU_PAGE_RESP_SUCCESS);
		asked += 16;
		/* It uses what it has got, up to the first page that it has not. */
		while (page < SZ_8M / PAGE_SIZE && mapped(bond, mem + page * PAGE_SIZE, 1)) {
			u64 word;

			KUNIT_ASSERT_EQ(test, soft_dma_try(bond->ep, bond->pasid,
							   mem + page * PAGE_SIZE, true, &word,
							   sizeof(word)), 0);
			page++;
		}
		if (page + 16 > SZ_8M / PAGE_SIZE)
			break;
	}
	KUNIT_EXPECT_LE(test, asked, 512);
}

/* The same, one after the other: 4,096 requests for a GiB */
static void accesses_under_way_are_no_obstacle(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, LARGE);
	u64 before = requests(bond);

	iopf_pipeline(bond, mem, LARGE_PAGES, 16);
	KUNIT_EXPECT_LE(test, requests(bond) - before, 4 * REQUESTS(LARGE));
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, LARGE_PAGES), LARGE_PAGES);
}

/* Windows of 4, 8, 16, 32 and 64 pages, the last two with a gap. The device asks for the first. */
static void window_begins_behind_what_is_left_of_the_last_one(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_1M);

	KUNIT_EXPECT_EQ(test, run(bond, mem, 49, true), 5);
	KUNIT_EXPECT_EQ(test, ahead(bond), 4 + 8 + 16 + 31);
	KUNIT_EXPECT_EQ(test, run(bond, mem + 49 * PAGE_SIZE, 1, true), 1);
	KUNIT_EXPECT_EQ(test, ahead(bond), 4 + 8 + 16 + 31 + 63);
}

/* So many pages are mapped and not used at the most: a window. */
static void stream_that_stops_leaves_a_window(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, LARGE), most = 0;

	for (unsigned long i = 0; i < LARGE_PAGES - SVA_WINDOW_DEFAULT; i += 16) {
		run(bond, mem + i * PAGE_SIZE, 16, true);
		most = max(most, mapped(bond, mem + (i + 16) * PAGE_SIZE,
					min(2 * SVA_WINDOW_DEFAULT, LARGE_PAGES - i - 16)));
	}
	KUNIT_EXPECT_GT(test, most, SVA_WINDOW_DEFAULT / 2);
	KUNIT_EXPECT_LE(test, most, SVA_WINDOW_DEFAULT);
}

static void groups_of_many_pages_are_streams(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_4M), page = 0, asked = 0;

	while (page + 8 <= SZ_4M / PAGE_SIZE) {
		for (unsigned int i = 0; i < 7; i++)
			iopf_partial(bond, 1, mem + (page + i) * PAGE_SIZE, IOPF_RW);
		iopf_last(bond, 1, mem + (page + 7) * PAGE_SIZE, IOPF_RW);
		KUNIT_ASSERT_EQ(test, iopf_answer(bond, 1), IOMMU_PAGE_RESP_SUCCESS);
		asked += 8;
		while (page < SZ_4M / PAGE_SIZE && mapped(bond, mem + page * PAGE_SIZE, 1))
			run(bond, mem + page++ * PAGE_SIZE, 1, true);
	}
	KUNIT_EXPECT_LE(test, asked, 160);
}

/* The device asks for each page that is not there, and reads all; returns how often it asked. */
static u64 ask_along(struct iopf_bond *bond, unsigned long addr, unsigned long pages, u32 perm)
{
	u64 before = requests(bond), word;

	for (; pages; pages--, addr += PAGE_SIZE) {
		if (!mapped(bond, addr, 1))
			KUNIT_ASSERT_EQ(bond->test, iopf_ask(bond, 0, addr, perm),
					IOMMU_PAGE_RESP_SUCCESS);
		KUNIT_ASSERT_EQ(bond->test, soft_dma_try(bond->ep, bond->pasid, addr, false, &word,
							 sizeof(word)), 0);
	}
	return requests(bond) - before;
}

static unsigned long map_code(struct iopf_bond *bond, unsigned long pages)
{
	unsigned long mem = sva_proc_mmap(bond->proc, 0, pages * PAGE_SIZE, PROT_READ | PROT_EXEC,
					  MAP_PRIVATE | MAP_ANONYMOUS);

	KUNIT_ASSERT_FALSE(bond->test, IS_ERR_VALUE(mem));
	return mem;
}

#define IOPF_CODE	(IOPF_READ | IOMMU_FAULT_PERM_EXEC)

/* Windows of 4, 8 and 16 pages, as for other access */
static void code_is_streamed_like_data(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = map_code(bond, 64);

	KUNIT_EXPECT_EQ(test, ask_along(bond, mem, 21, IOPF_CODE), 4);
	KUNIT_EXPECT_EQ(test, ahead(bond), 28);
}

/* What comes to the end of a window with other access is another stream, and not one yet. */
static void access_of_another_kind_does_not_go_on_with_a_stream(struct kunit *test)
{
	static const u32 kinds[][2] = {
		{ IOPF_CODE, IOPF_READ }, { IOPF_READ, IOPF_CODE },
	};
	struct iopf_bond *bond = bind_first(test);

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		unsigned long mem = map_code(bond, 64);

		KUNIT_EXPECT_EQ(test, ask_along(bond, mem, 6, kinds[i][0]), 2);
		KUNIT_EXPECT_EQ(test, ask_along(bond, mem + 6 * PAGE_SIZE, 1, kinds[i][1]), 1);
		KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64), 7);
	}
}

/* Accounting */

static void expect_account(struct iopf_bond *bond, u64 pages, u64 used, u64 unused)
{
	KUNIT_EXPECT_EQ(bond->test, iopf_counted(bond->ep, IOPF_AHEAD), pages);
	KUNIT_EXPECT_EQ(bond->test, iopf_counted(bond->ep, IOPF_AHEAD_USED), used);
	KUNIT_EXPECT_EQ(bond->test, iopf_counted(bond->ep, IOPF_AHEAD_UNUSED), unused);
}

/* Windows of 4, 8 and 16 pages; the last one is used in part. */
static void used_and_unused_pages_are_counted(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, run(bond, mem, 21, true), 4);
	expect_account(bond, 28, 12, 0);
	iopf_unbind(bond);
	expect_account(bond, 28, 17, 11);
}

/* Three requests; windows of 4, 8 and 16 pages; the last one is used in part. */
static void pages_of_a_stream_that_goes_down_are_counted(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, run_down(bond, mem + 42 * PAGE_SIZE, 22, true), 5);
	expect_account(bond, 28, 12, 0);
	iopf_unbind(bond);
	expect_account(bond, 28, 17, 11);
}

/* What the device has yet to use when it asks for a gap is not counted before it has come by. */
static void pages_behind_a_gap_are_counted_later(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 257 * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem + 256 * PAGE_SIZE, PAGE_SIZE), 0);
	run(bond, mem, 256, true);
	iopf_unbind(bond);
	expect_account(bond, ahead(bond), ahead(bond), 0);
}

static void exit_of_the_process_closes_the_account(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	run(bond, mem, 10, false);
	sva_proc_exit(bond->proc);
	expect_account(bond, 12, 7, 5);
	iopf_unbind(bond);
	expect_account(bond, 12, 7, 5);
}

/* What the CPU uses is used. Pages that are gone are nothing. */
static void uses_of_the_process_count(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	run(bond, mem, 2, true);
	sva_poke(test, bond->proc, mem + 3 * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem + 4 * PAGE_SIZE, PAGE_SIZE), 0);
	iopf_unbind(bond);
	expect_account(bond, 4, 1, 2);
}

/* After the window of four pages, none of which is used, there is no other. */
static void unused_windows_end_a_stream(struct kunit *test)
{
	static const unsigned int pages[] = { 0, 1, 6, 7 };
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	for (unsigned int i = 0; i < ARRAY_SIZE(pages); i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + pages[i] * PAGE_SIZE, IOPF_RW),
				IOMMU_PAGE_RESP_SUCCESS);
	expect_account(bond, 4, 0, 4);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64), 8);
}

/* Flags that no IOMMU sets must not be cleared, and say nothing. */
static void pages_count_as_nothing_without_accessed_flags(struct kunit *test)
{
	struct sva_driver *drv = sva_driver(test, fixture(test)->ep[0]);
	struct iopf_bond *bond;
	unsigned long mem;

	drv->sva_ops.hw_access_flag = false;
	bond = bind_first(test);
	mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, run(bond, mem, 21, true), 4);
	iopf_unbind(bond);
	expect_account(bond, 28, 0, 0);
}

/* No device is left to keep the account of. */
static void bond_outlives_its_device_s_page_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);
	struct iopf_queue *queue = soft_iommu_iopf_queue(fixture(test)->iommu);

	run(bond, mem, 21, true);
	iopf_queue_remove_device(queue, fixture(test)->dev[0]);
	iopf_unbind(bond);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(queue, fixture(test)->dev[0]), 0);
	expect_account(bond, 0, 0, 0);
}

/* The knob */

static void nothing_is_mapped_ahead_if_not_wanted(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	sva_sysfs_set(test, KNOB, "0");
	KUNIT_EXPECT_EQ(test, run(bond, mem, 32, true), 32);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64), 32);
	/* Half way */
	sva_sysfs_put(test, KNOB, "4");
	KUNIT_EXPECT_LT(test, run(bond, mem + 32 * PAGE_SIZE, 32, true), 10);
}

static void limit_of_windows_holds(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_1M);

	sva_sysfs_set(test, KNOB, "6");
	KUNIT_EXPECT_EQ(test, run(bond, mem, 6 + 7 * 20, true), 2 + 20);
}

static long write_knob(struct iopf_bond *bond, const char *value)
{
	unsigned long at = sva_proc_string(bond->proc, "/sys/" KNOB);
	long fd = sva_proc_syscall(bond->proc, __NR_openat, AT_FDCWD, at, O_WRONLY, 0, 0, 0), ret;

	KUNIT_ASSERT_GE(bond->test, fd, 0L);
	at = sva_proc_string(bond->proc, value);
	ret = sva_proc_syscall(bond->proc, __NR_write, fd, at, strlen(value), 0, 0, 0);
	sva_proc_syscall(bond->proc, __NR_close, fd, 0, 0, 0, 0, 0);
	return ret;
}

static void limit_of_windows_has_limits(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	char most[16], beyond[16];

	scnprintf(most, sizeof(most), "%u", SVA_WINDOW_MAX);
	scnprintf(beyond, sizeof(beyond), "%u", SVA_WINDOW_MAX + 1);
	sva_sysfs_set(test, KNOB, most);
	KUNIT_EXPECT_EQ(test, write_knob(bond, beyond), -EINVAL);
	KUNIT_EXPECT_EQ(test, write_knob(bond, "-1"), -EINVAL);
	KUNIT_EXPECT_EQ(test, write_knob(bond, "many"), -EINVAL);
	KUNIT_EXPECT_EQ(test, write_knob(bond, "1"), 1);
}

/* Races; stale translations and what is left behind are the fixture's */

static void mappings_go_while_windows_come(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_4M);
	u64 before;

	KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, mem, SZ_4M, true), 0);
	KUNIT_EXPECT_TRUE(test, sva_becomes(ahead(bond) > 0));
	before = ahead(bond);
	for (unsigned int i = 0; i < 40; i++) {
		unsigned long at = mem + i % 8 * SZ_512K;

		KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, at, SZ_512K), 0);
		sva_proc_map_at(bond->proc, at, SZ_512K);
		KUNIT_EXPECT_EQ(test, sva_proc_madvise(bond->proc, mem, SZ_4M, MADV_DONTNEED), 0);
	}
	/* The last round has left no page, however few windows came before. */
	KUNIT_EXPECT_TRUE(test, sva_becomes(ahead(bond) > before));
	KUNIT_EXPECT_GT(test, soft_storm_stop(bond->ep), 0);
}

/**
 * struct unmapping - 32 of 64 pages that are just being unmapped
 * @bond: of whom
 * @mem: the pages. The first is a mapping of its own, behind which there is a flush.
 * @begun: that flush is about to be sent: no mapping is left, but the tables of the others are
 * @go: it may be sent
 */
struct unmapping {
	struct iopf_bond *bond;
	unsigned long mem;
	bool begun;
	bool go;
};

static struct unmapping *prepare_unmapping(struct iopf_bond *bond)
{
	struct unmapping *un = kunit_kzalloc(bond->test, sizeof(*un), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(bond->test, un);
	un->bond = bond;
	un->mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);
	sva_poke(bond->test, bond->proc, un->mem, 1);
	sva_proc_mprotect(bond->proc, un->mem, PAGE_SIZE, PROT_READ);
	/* Such a mapping is not flushed together with others. */
	set_vma_flags(bond, un->mem, VM_MIXEDMAP);
	return un;
}

/* Nothing but RCU and mmap_lock, for reading, is held here. */
static int stop_in_flush(const struct soft_iommu_event *event, void *data)
{
	unsigned long end = jiffies + SVA_PATIENCE;
	struct unmapping *un = data;

	WRITE_ONCE(un->begun, true);
	while (!READ_ONCE(un->go) && time_before(jiffies, end))
		cpu_relax();
	return 0;
}

static long unmap_fn(void *data)
{
	struct unmapping *un = data;

	return sva_proc_munmap(un->bond->proc, un->mem, 32 * PAGE_SIZE);
}

static struct sva_job *begin_unmapping(struct unmapping *un)
{
	struct kunit *test = un->bond->test;
	struct sva_job *job;

	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_INVALIDATE, stop_in_flush, un);
	job = sva_job(test, unmap_fn, un);
	KUNIT_EXPECT_TRUE(test, sva_becomes(READ_ONCE(un->begun)));
	return job;
}

static void end_unmapping(struct unmapping *un, struct sva_job *job)
{
	struct kunit *test = un->bond->test;

	WRITE_ONCE(un->go, true);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(job));
	KUNIT_EXPECT_EQ(test, sva_job_wait(job), 0);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_INVALIDATE, NULL, NULL);
}

/* munmap() frees the tables, and mmap_lock does not keep it from that. */
static void tables_without_a_mapping_are_not_reviewed(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct unmapping *un = prepare_unmapping(bond);
	struct sva_job *unmap, *unbind;

	run(bond, un->mem + PAGE_SIZE, 10, true);
	KUNIT_EXPECT_EQ(test, ahead(bond), 12);
	unmap = begin_unmapping(un);
	unbind = iopf_unbind_job(bond);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	expect_account(bond, 12, 4, 0);
	end_unmapping(un, unmap);
}

static void tables_without_a_mapping_begin_no_stream(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct unmapping *un = prepare_unmapping(bond);
	struct sva_job *unmap;

	run(bond, un->mem + 31 * PAGE_SIZE, 1, true);
	unmap = begin_unmapping(un);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, un->mem + 32 * PAGE_SIZE, IOPF_RW),
			IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
	end_unmapping(un, unmap);
}

static void bond_ends_while_windows_come(struct kunit *test)
{
	for (unsigned int i = 0; i < 10; i++) {
		struct iopf_bond *bond = bind_first(test);
		unsigned long mem = sva_proc_map(bond->proc, SZ_4M);
		u64 before = ahead(bond);

		/* To be refused after the unbind is what it is about. */
		KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, mem, SZ_4M, true), 0);
		KUNIT_EXPECT_TRUE(test, sva_becomes(ahead(bond) > before));
		iopf_unbind(bond);
		soft_storm_stop(bond->ep);
	}
}

static void process_exits_while_windows_come(struct kunit *test)
{
	for (unsigned int i = 0; i < 10; i++) {
		struct iopf_bond *bond = bind_first(test);
		unsigned long mem = sva_proc_map(bond->proc, SZ_4M);
		u64 before = ahead(bond);

		KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, mem, SZ_4M, true), 0);
		KUNIT_EXPECT_TRUE(test, sva_becomes(ahead(bond) > before));
		sva_proc_kill(bond->proc);
		soft_storm_stop(bond->ep);
		iopf_unbind(bond);
	}
}

static struct kunit_case sva_around_cases[] = {
	KUNIT_CASE(reads_of_fresh_memory_make_few_requests),
	KUNIT_CASE(writes_to_fresh_memory_make_few_requests),
	KUNIT_CASE(shared_anonymous_memory_counts_as_such),
	KUNIT_CASE(copies_on_write_are_not_made_ahead),
	KUNIT_CASE(window_crosses_into_a_fresh_top_level_slot),
	KUNIT_CASE(huge_pages_need_nothing_ahead),
	KUNIT_CASE(hugetlb_pages_need_nothing_ahead),
	KUNIT_CASE(huge_pages_are_not_brought_ahead),
	KUNIT_CASE(page_cache_makes_few_requests),
	KUNIT_CASE(files_make_few_requests),
	KUNIT_CASE(nobody_but_the_device_dirties_a_file),
	KUNIT_CASE(nobody_but_the_device_copies_a_file),
	KUNIT_CASE(several_streams_at_once),
	KUNIT_CASE(streams_that_go_down_make_few_requests),
	KUNIT_CASE(files_are_streamed_downwards),
	KUNIT_CASE(windows_that_go_down_cross_into_a_top_level_slot),
	KUNIT_CASE(pages_that_are_there_move_the_end_of_a_window_that_goes_down),
	KUNIT_CASE(memory_that_is_used_again_is_streamed_again),
	KUNIT_CASE(requests_under_way_are_no_obstacle),
	KUNIT_CASE(accesses_under_way_are_no_obstacle),
	KUNIT_CASE(window_begins_behind_what_is_left_of_the_last_one),
	KUNIT_CASE(stream_that_stops_leaves_a_window),
	KUNIT_CASE(groups_of_many_pages_are_streams),
	KUNIT_CASE(code_is_streamed_like_data),
	KUNIT_CASE(access_of_another_kind_does_not_go_on_with_a_stream),
	KUNIT_CASE(used_and_unused_pages_are_counted),
	KUNIT_CASE(pages_of_a_stream_that_goes_down_are_counted),
	KUNIT_CASE(pages_behind_a_gap_are_counted_later),
	KUNIT_CASE(exit_of_the_process_closes_the_account),
	KUNIT_CASE(uses_of_the_process_count),
	KUNIT_CASE(unused_windows_end_a_stream),
	KUNIT_CASE(pages_count_as_nothing_without_accessed_flags),
	KUNIT_CASE(bond_outlives_its_device_s_page_requests),
	KUNIT_CASE(nothing_is_mapped_ahead_if_not_wanted),
	KUNIT_CASE(limit_of_windows_holds),
	KUNIT_CASE(limit_of_windows_has_limits),
	KUNIT_CASE(mappings_go_while_windows_come),
	KUNIT_CASE(tables_without_a_mapping_are_not_reviewed),
	KUNIT_CASE(tables_without_a_mapping_begin_no_stream),
	KUNIT_CASE(bond_ends_while_windows_come),
	KUNIT_CASE(process_exits_while_windows_come),
	{}
};

static struct kunit_suite sva_around_suite = {
	.name = "iommu_sva_around",
	.init = around_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_around_cases,
};

kunit_test_suite(sva_around_suite);

MODULE_DESCRIPTION("KUnit tests for fault-around of SVA");
MODULE_LICENSE("GPL");
