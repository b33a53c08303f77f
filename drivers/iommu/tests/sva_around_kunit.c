// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: what is mapped ahead of a device that streams, and what is not
 *
 * A device that has no hold of a page asks for it, so the requests that it needed say which pages
 * were there before. Page tables are looked at where that would not show.
 */
#include <linux/memcontrol.h>
#include <linux/mman.h>
#include <linux/page_counter.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#include <linux/sizes.h>
#include <linux/swap.h>
#include <linux/unistd.h>
#include <linux/userfaultfd.h>
#include <linux/vmalloc.h>
#include <uapi/linux/memfd.h>

#include "iopf_kunit.h"
#include "../iommu-sva-around.h"
#include "../iopf.h"

#define KNOB		"module/iommu_sva/parameters/fault_around_pages"
#define LARGE		SZ_32M
#define LARGE_PAGES	(LARGE / PAGE_SIZE)
/* 1,024 for a GiB, and with larger pages a request for so many of them */
#define REQUESTS(len)	(1024ULL * (len) / SZ_1G)
#define RW		(PROT_READ | PROT_WRITE)

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static struct iopf_bond *bind_first(struct kunit *test)
{
	return iopf_bind(test, fixture(test)->ep[0], NULL);
}

static u64 requests(struct iopf_bond *bond)
{
	return iopf_counted(bond->ep, IOPF_REQUESTS);
}

static u64 ahead(struct iopf_bond *bond)
{
	return iopf_counted(bond->ep, IOPF_AHEAD);
}

/* The byte at offset @i of memory with @seed */
static u8 pattern(u8 seed, size_t i)
{
	return seed + i + (i >> 8) * 7 + (i >> 16) * 13;
}

/* The device reads or writes a word of each page; returns how often it had to ask. */
static u64 run(struct iopf_bond *bond, unsigned long addr, unsigned long pages, bool write)
{
	u64 before = requests(bond), word = 0;

	for (unsigned long i = 0; i < pages; i++, addr += PAGE_SIZE) {
		int ret = write ? soft_dma_write(bond->ep, bond->pasid, addr, &word, sizeof(word)) :
				  soft_dma_read(bond->ep, bond->pasid, addr, &word, sizeof(word));

		KUNIT_ASSERT_EQ_MSG(bond->test, ret, 0, "page %lu", i);
	}
	return requests(bond) - before;
}

static u8 *new_buffer(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, SZ_64K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

/* Every byte of the memory, by the device; returns how often it had to ask. */
static u64 device_writes(struct iopf_bond *bond, unsigned long addr, size_t len, u8 seed)
{
	u8 *buf = new_buffer(bond->test);
	u64 before = requests(bond);

	for (size_t at = 0; at < len; at += SZ_64K) {
		for (size_t i = 0; i < SZ_64K; i++)
			buf[i] = pattern(seed, at + i);
		KUNIT_ASSERT_EQ(bond->test, soft_dma_write(bond->ep, bond->pasid, addr + at, buf,
							   SZ_64K), 0);
	}
	return requests(bond) - before;
}

static void expect_pattern(struct kunit *test, const u8 *buf, size_t at, u8 seed)
{
	for (size_t i = 0; i < SZ_64K; i++)
		if (buf[i] != pattern(seed, at + i))
			KUNIT_FAIL_AND_ABORT(test, "byte %zu is wrong", at + i);
}

static u64 device_reads(struct iopf_bond *bond, unsigned long addr, size_t len, u8 seed)
{
	u8 *buf = new_buffer(bond->test);
	u64 before = requests(bond);

	for (size_t at = 0; at < len; at += SZ_64K) {
		KUNIT_ASSERT_EQ(bond->test, soft_dma_read(bond->ep, bond->pasid, addr + at, buf,
							  SZ_64K), 0);
		expect_pattern(bond->test, buf, at, seed);
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

static void cpu_writes(struct iopf_bond *bond, unsigned long addr, size_t len, u8 seed)
{
	u8 *buf = new_buffer(bond->test);

	for (size_t at = 0; at < len; at += SZ_64K) {
		for (size_t i = 0; i < SZ_64K; i++)
			buf[i] = pattern(seed, at + i);
		KUNIT_ASSERT_EQ(bond->test, sva_proc_write(bond->proc, addr + at, buf, SZ_64K), 0);
	}
}

static int count_present(pte_t *pte, unsigned long addr, unsigned long next, struct mm_walk *walk)
{
	unsigned long *nr = walk->private;

	*nr += pte_present(ptep_get(pte));
	return 0;
}

/* How many pages of the memory are mapped, huge ones left aside */
static unsigned long mapped(struct iopf_bond *bond, unsigned long addr, unsigned long pages)
{
	static const struct mm_walk_ops ops = {
		.pte_entry = count_present,
		.walk_lock = PGWALK_RDLOCK,
	};
	struct mm_struct *mm = sva_proc_mm(bond->proc);
	unsigned long nr = 0;

	mmap_read_lock(mm);
	walk_page_range(mm, addr, addr + pages * PAGE_SIZE, &ops, &nr);
	mmap_read_unlock(mm);
	return nr;
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

static unsigned long map_shared(struct iopf_bond *bond, size_t len)
{
	unsigned long mem = sva_proc_mmap(bond->proc, 0, len, RW, MAP_SHARED | MAP_ANONYMOUS);

	KUNIT_ASSERT_FALSE(bond->test, IS_ERR_VALUE(mem));
	return mem;
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

static void window_crosses_into_a_fresh_top_level_slot(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = (3UL << PGDIR_SHIFT) - 8 * PAGE_SIZE;

	if (mem >= TASK_SIZE)
		kunit_skip(test, "user space has no such slot");
	sva_proc_map_at(bond->proc, mem, 16 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, run(bond, mem, 16, true), 4);
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

static unsigned long map_fd(struct iopf_bond *bond, long fd, size_t len, unsigned long prot,
			    unsigned long flags)
{
	unsigned long mem = sva_proc_syscall(bond->proc, __NR_mmap, 0, len, prot, flags, fd, 0);

	KUNIT_ASSERT_FALSE(bond->test, IS_ERR_VALUE(mem));
	return mem;
}

static void fill_fd(struct iopf_bond *bond, long fd, size_t len, u8 seed)
{
	unsigned long mem;

	KUNIT_ASSERT_EQ(bond->test, sva_proc_syscall(bond->proc, __NR_ftruncate, fd, len, 0, 0, 0,
						     0), 0);
	mem = map_fd(bond, fd, len, RW, MAP_SHARED);
	cpu_writes(bond, mem, len, seed);
	KUNIT_ASSERT_EQ(bond->test, sva_proc_munmap(bond->proc, mem, len), 0);
}

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

struct fs_paths {
	char type[16];
	char dir[16];
	char file[32];
};

/* A file on a file system of its own, of type @type */
static long new_file_on(struct iopf_bond *bond, const char *type, size_t len, u8 seed)
{
	struct fs_paths paths = { .dir = "/around", .file = "/around/file" };
	unsigned long at, dir;
	long fd, ret;

	strscpy(paths.type, type);
	at = sva_proc_pass(bond->proc, &paths, sizeof(paths));
	dir = at + offsetof(struct fs_paths, dir);
	sva_proc_syscall(bond->proc, __NR_mkdirat, AT_FDCWD, dir, 0700, 0, 0, 0);
	ret = sva_proc_syscall(bond->proc, __NR_mount, at, dir, at, 0, 0, 0);
	KUNIT_ASSERT_EQ(bond->test, ret, 0);
	fd = sva_proc_syscall(bond->proc, __NR_openat, AT_FDCWD,
			      at + offsetof(struct fs_paths, file), O_RDWR | O_CREAT, 0600, 0, 0);
	KUNIT_ASSERT_GE(bond->test, fd, 0L);
	/* Lazily: it goes with its last file. */
	sva_proc_syscall(bond->proc, __NR_umount2, dir, MNT_DETACH, 0, 0, 0, 0);
	fill_fd(bond, fd, len, seed);
	return fd;
}

static long new_file(struct iopf_bond *bond, size_t len, u8 seed)
{
	return new_file_on(bond, "ramfs", len, seed);
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

/* With a reference */
static struct folio *cached_folio(struct iopf_bond *bond, unsigned long addr)
{
	struct mm_struct *mm = sva_proc_mm(bond->proc);
	struct vm_area_struct *vma;
	struct folio *folio;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	folio = filemap_get_folio(vma->vm_file->f_mapping, linear_page_index(vma, addr));
	mmap_read_unlock(mm);
	KUNIT_ASSERT_FALSE(bond->test, IS_ERR(folio));
	return folio;
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

/* It is for the device, when it comes there, to have more of the file read. */
static void pages_that_ask_for_read_ahead_are_left_to_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	long fd = new_file(bond, 128 * PAGE_SIZE, 11);
	unsigned long mem = map_fd(bond, fd, 128 * PAGE_SIZE, PROT_READ, MAP_SHARED);
	struct folio *folio = cached_folio(bond, mem + HALT * PAGE_SIZE);

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
	long fd = new_file(bond, 128 * PAGE_SIZE, 12);
	unsigned long mem = map_fd(bond, fd, 128 * PAGE_SIZE, PROT_READ, MAP_SHARED);
	struct folio *folio = cached_folio(bond, mem + HALT * PAGE_SIZE);

	folio_clear_uptodate(folio);
	expect_halt(bond, mem);
	KUNIT_EXPECT_FALSE(test, folio_test_uptodate(folio));
	/* The request has it read. */
	KUNIT_EXPECT_EQ(test, run(bond, mem + HALT * PAGE_SIZE, 1, false), 1);
	KUNIT_EXPECT_TRUE(test, folio_test_uptodate(folio));
	folio_put(folio);
}

static bool swap_out(struct iopf_bond *bond, unsigned long mem, size_t len)
{
	/* What is on its way to a list, on any CPU, cannot be taken from it. */
	lru_add_drain_all();
	sva_proc_madvise(bond->proc, mem, len, MADV_PAGEOUT);
	return !mapped(bond, mem, len / PAGE_SIZE);
}

static void what_is_swapped_out_is_left_to_requests(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_1M);

	sva_swap_on(test, 2 * SZ_1M / PAGE_SIZE);
	cpu_writes(bond, mem, SZ_1M, 9);
	KUNIT_ASSERT_TRUE(test, sva_becomes(swap_out(bond, mem, SZ_1M)));
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
	KUNIT_ASSERT_TRUE(test, sva_becomes(swap_out(bond, out, PAGE_SIZE)));
	/* Windows of 4 pages and of 8, cut to 3 */
	KUNIT_EXPECT_EQ(test, run(bond, mem, 10, true), 3);
	KUNIT_EXPECT_EQ(test, ahead(bond), 4 + 3);
	KUNIT_EXPECT_EQ(test, mapped(bond, mem, 64), 10);
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

static void backwards_is_no_stream(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	for (int i = 63; i >= 0; i--)
		KUNIT_EXPECT_EQ(test, run(bond, mem + i * PAGE_SIZE, 1, true), 1);
	KUNIT_EXPECT_EQ(test, ahead(bond), 0);
}

/* Streams */

static void several_streams_at_once(struct kunit *test)
{
	struct iopf_bond *bonds[2] = { bind_first(test) };
	unsigned long mem[SVA_STREAMS];
	u64 before;

	bonds[1] = iopf_bind(test, fixture(test)->ep[1], bonds[0]->proc);
	for (unsigned int i = 0; i < SVA_STREAMS; i++)
		mem[i] = sva_proc_map(bonds[0]->proc, SZ_4M);
	before = requests(bonds[0]) + requests(bonds[1]);
	for (unsigned long page = 0; page < SZ_4M / PAGE_SIZE; page++)
		for (unsigned int i = 0; i < SVA_STREAMS; i++)
			run(bonds[i % 2], mem[i] + page * PAGE_SIZE, 1, i & 2);
	KUNIT_EXPECT_LE(test, requests(bonds[0]) + requests(bonds[1]) - before, SVA_STREAMS * 12);
}

/* The last stream is still known, and its last window is where the next one will come along. */
static void memory_that_is_used_again_is_streamed_again(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_4M);
	u64 asked = run(bond, mem, SZ_4M / PAGE_SIZE, true);

	for (unsigned int i = 0; i < 2 * SVA_STREAMS; i++) {
		KUNIT_EXPECT_EQ(test, sva_proc_madvise(bond->proc, mem, SZ_4M, MADV_DONTNEED), 0);
		KUNIT_EXPECT_LE(test, run(bond, mem, SZ_4M / PAGE_SIZE, true), 2 * asked);
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

/* Who knows what a driver's fault handler makes of being called. */
static void memory_of_drivers_is_left_alone(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct sva_gate *gate = sva_gate(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, 64 * PAGE_SIZE);

	sva_gate_open(gate);
	expect_nothing_ahead(bond, mem, false);
}

static void set_vma_flags(struct iopf_bond *bond, unsigned long mem, vm_flags_t flags)
{
	struct mm_struct *mm = sva_proc_mm(bond->proc);

	mmap_write_lock(mm);
	vm_flags_set(vma_lookup(mm, mem), flags);
	mmap_write_unlock(mm);
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
	KUNIT_ASSERT_TRUE(test, sva_becomes(swap_out(bond, old, 256 * PAGE_SIZE)));

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
 * The mark is where a window would go that begins at 1,542 pages.
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
	page_counter_set_high(&memcg->memory, 1856);

	run(bond, mem, 1664, true);
	KUNIT_EXPECT_GT(test, ahead(bond), 1024);
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

	drv->sva_ops.sets_accessed = false;
	bond = bind_first(test);
	mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, run(bond, mem, 21, true), 4);
	iopf_unbind(bond);
	expect_account(bond, 28, 0, 0);
}

/* There is nobody to keep the account any more. */
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

static int around_init(struct kunit *test)
{
	int ret = iopf_fixture_init(test);

	sva_around_limit(SVA_WINDOW_DEFAULT);
	return ret;
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
	KUNIT_CASE(holes_of_files_are_not_filled_ahead),
	KUNIT_CASE(holes_of_a_mounted_tmpfs_are_not_filled_ahead),
	KUNIT_CASE(pages_that_ask_for_read_ahead_are_left_to_requests),
	KUNIT_CASE(pages_that_are_not_up_to_date_are_left_to_requests),
	KUNIT_CASE(what_is_swapped_out_is_left_to_requests),
	KUNIT_CASE(windows_end_at_what_is_swapped_out),
	KUNIT_CASE(random_access_maps_nothing_ahead),
	KUNIT_CASE(strides_map_nothing_ahead),
	KUNIT_CASE(backwards_is_no_stream),
	KUNIT_CASE(several_streams_at_once),
	KUNIT_CASE(memory_that_is_used_again_is_streamed_again),
	KUNIT_CASE(requests_under_way_are_no_obstacle),
	KUNIT_CASE(groups_of_many_pages_are_streams),
	KUNIT_CASE(code_is_streamed_like_data),
	KUNIT_CASE(access_of_another_kind_does_not_go_on_with_a_stream),
	KUNIT_CASE(windows_end_with_their_mapping),
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
	KUNIT_CASE(used_and_unused_pages_are_counted),
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
