// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bench: how many page requests a device's DMA needs
 *
 * The DMA engine of an endpoint goes over memory of its process that is not mapped yet, one access
 * after the other, each when the one before is done, or with several under way. What is counted are
 * requests in the ring. The memory is smaller than a GiB; counts are scaled to one.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "sva_bench.h"

#define STREAM_BYTES	SZ_64M
#define STREAM_PAGES	(STREAM_BYTES / PAGE_SIZE)
#define GIB_PAGES	(SZ_1G / PAGE_SIZE)
#define PAGE_WORDS	(PAGE_SIZE / sizeof(u64))
/* Of a pattern, and of random accesses */
#define ACCESSES	2048

static u64 requests(struct bench_bond *b)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(b->iommu, &stats);
	return stats.prq_requests;
}

/* What page @nr of a stream holds: no two words are the same. */
static void fill_page(u64 *page, unsigned int nr)
{
	for (unsigned int i = 0; i < PAGE_WORDS; i++)
		page[i] = sva_mark(nr * PAGE_WORDS + i);
}

static unsigned int wrong_bytes(const u8 *page, const u8 *want)
{
	unsigned int wrong = 0;

	if (memcmp(page, want, PAGE_SIZE))
		for (unsigned int i = 0; i < PAGE_SIZE; i++)
			wrong += page[i] != want[i];
	return wrong;
}

/**
 * struct stream - memory that a device goes over
 * @addr: of it, in the process
 * @page: as it is
 * @want: as it should be
 */
struct stream {
	unsigned long addr;
	u64 *page;
	u64 *want;
};

static struct stream *make_stream(struct kunit *test, unsigned long addr)
{
	struct stream *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->addr = addr;
	s->page = kunit_kmalloc(test, PAGE_SIZE, GFP_KERNEL);
	s->want = kunit_kmalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->page);
	KUNIT_ASSERT_NOT_NULL(test, s->want);
	return s;
}

/* The CPU reads what the device has written; returns how many bytes are wrong. */
static long cpu_compares(void *data)
{
	struct stream *s = data;
	long wrong = 0;

	for (unsigned int i = 0; i < STREAM_PAGES; i++) {
		fill_page(s->want, i);
		if (copy_from_user(s->page, (void __user *)(s->addr + i * PAGE_SIZE), PAGE_SIZE))
			return -EFAULT;
		wrong += wrong_bytes((u8 *)s->page, (u8 *)s->want);
	}
	return wrong;
}

static long cpu_writes(void *data)
{
	struct stream *s = data;

	for (unsigned int i = 0; i < STREAM_PAGES; i++) {
		fill_page(s->page, i);
		if (copy_to_user((void __user *)(s->addr + i * PAGE_SIZE), s->page, PAGE_SIZE))
			return -EFAULT;
	}
	return 0;
}

void bench_sequential_anonymous(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, 2);
	unsigned long addr = sva_proc_map(b->bond->proc, STREAM_BYTES);
	struct stream *s = make_stream(test, addr);
	u64 before = requests(b);
	long wrong;

	for (unsigned int i = 0; i < STREAM_PAGES; i++) {
		fill_page(s->page, i);
		KUNIT_ASSERT_EQ(test, soft_dma_write(b->bond->ep, b->bond->pasid,
						     addr + i * PAGE_SIZE, s->page, PAGE_SIZE), 0);
	}
	bench_report(test, "sequential_anonymous", (requests(b) - before) * GIB_PAGES, STREAM_PAGES,
		     "requests/GiB");
	wrong = sva_proc_call(b->bond->proc, cpu_compares, s);
	KUNIT_ASSERT_GE(test, wrong, 0);
	bench_report(test, "sequential_anonymous_wrong", wrong, 1, "bytes");
}

/* The device reads a file that is in the page cache, and mapped by its process. */
static void sequential_file(struct bench_bond *b, long fd, const char *name)
{
	struct sva_proc *proc = b->bond->proc;
	struct kunit *test = b->test;
	unsigned long addr;
	struct stream *s;
	u64 before, wrong = 0;
	char text[40];

	KUNIT_ASSERT_GE(test, fd, 0);
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(proc, __NR_ftruncate, fd, STREAM_BYTES, 0, 0, 0, 0),
			0);
	addr = sva_proc_syscall(proc, __NR_mmap, 0, STREAM_BYTES, PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	s = make_stream(test, addr);
	KUNIT_ASSERT_EQ(test, sva_proc_call(proc, cpu_writes, s), 0);
	/* The page cache keeps them. */
	KUNIT_ASSERT_EQ(test, sva_proc_madvise(proc, addr, STREAM_BYTES, MADV_DONTNEED), 0);

	before = requests(b);
	for (unsigned int i = 0; i < STREAM_PAGES; i++) {
		KUNIT_ASSERT_EQ(test, soft_dma_read(b->bond->ep, b->bond->pasid,
						    addr + i * PAGE_SIZE, s->page, PAGE_SIZE), 0);
		fill_page(s->want, i);
		wrong += wrong_bytes((u8 *)s->page, (u8 *)s->want);
	}
	bench_report(test, name, (requests(b) - before) * GIB_PAGES, STREAM_PAGES, "requests/GiB");
	scnprintf(text, sizeof(text), "%s_wrong", name);
	bench_report(test, text, wrong, 1, "bytes");
}

void bench_sequential_page_cache(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, 2);

	sequential_file(b, bench_memfd(b), "sequential_page_cache");
}

void bench_sequential_file(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, 2);

	sequential_file(b, bench_file(b), "sequential_file");
}

/* Patterns of accesses: which page is the n-th? */

static unsigned int forward(struct bench_bond *b, unsigned int n)
{
	return n;
}

static unsigned int backward(struct bench_bond *b, unsigned int n)
{
	return STREAM_PAGES - 1 - n;
}

static unsigned int every_second(struct bench_bond *b, unsigned int n)
{
	return 2 * n;
}

static unsigned int every_eighth(struct bench_bond *b, unsigned int n)
{
	return 8 * n;
}

static unsigned int two_streams(struct bench_bond *b, unsigned int n)
{
	return n / 2 + (n % 2) * STREAM_PAGES / 2;
}

static unsigned int at_random(struct bench_bond *b, unsigned int n)
{
	return (b->addrs[n] - b->mem) / PAGE_SIZE;
}

/* The device writes 8 bytes to each page, so that reads are not served by the zero page. */
static void write_page(struct bench_bond *b, unsigned int page)
{
	u64 word = 1;

	KUNIT_ASSERT_EQ(b->test, soft_dma_write(b->bond->ep, b->bond->pasid,
						b->mem + page * PAGE_SIZE, &word, sizeof(word)), 0);
}

static u64 requests_of(struct bench_bond *b,
		       unsigned int (*page)(struct bench_bond *b, unsigned int n))
{
	u64 before = requests(b);

	for (unsigned int n = 0; n < ACCESSES; n++)
		write_page(b, page(b, n));
	return requests(b) - before;
}

/* From the first half of the memory to the second */
static u64 requests_of_copy(struct bench_bond *b)
{
	u64 before = requests(b), word;

	for (unsigned int n = 0; n < ACCESSES / 2; n++) {
		KUNIT_ASSERT_EQ(b->test, soft_dma_read(b->bond->ep, b->bond->pasid,
						       b->mem + n * PAGE_SIZE, &word,
						       sizeof(word)), 0);
		write_page(b, STREAM_PAGES / 2 + n);
	}
	return requests(b) - before;
}

void bench_patterns(struct kunit *test)
{
	static const struct {
		const char *name;
		unsigned int (*page)(struct bench_bond *b, unsigned int n);
	} patterns[] = {
		{ "pattern_forward", forward },
		{ "pattern_backward", backward },
		{ "pattern_two_streams", two_streams },
		{ "pattern_every_second", every_second },
		{ "pattern_every_eighth", every_eighth },
		{ "pattern_random", at_random },
	};

	for (int i = 0; i < ARRAY_SIZE(patterns); i++) {
		struct bench_bond *b = bench_bond(test, NULL, STREAM_PAGES);

		bench_report(test, patterns[i].name, requests_of(b, patterns[i].page) * GIB_PAGES,
			     ACCESSES, "requests/GiB");
		bench_forget_pages(b);
	}
	bench_report(test, "pattern_copy",
		     requests_of_copy(bench_bond(test, NULL, STREAM_PAGES)) * GIB_PAGES, ACCESSES,
		     "requests/GiB");
}

/* A device with many accesses under way */
void bench_under_way(struct kunit *test)
{
	static const unsigned int nrs[] = { 4, 16, 64 };
	char name[24];

	for (unsigned int i = 0; i < ARRAY_SIZE(nrs); i++) {
		struct bench_bond *b = bench_bond(test, NULL, STREAM_PAGES);
		u64 before = requests(b);

		iopf_pipeline(b->bond, b->mem, STREAM_PAGES, nrs[i]);
		scnprintf(name, sizeof(name), "pattern_under_way_%u", nrs[i]);
		bench_report(test, name, (requests(b) - before) * GIB_PAGES, STREAM_PAGES,
			     "requests/GiB");
		bench_forget_pages(b);
	}
}

/* Pages that are there, exactly. */
static u64 resident(struct bench_bond *b)
{
	return get_mm_counter_sum(sva_proc_mm(b->bond->proc), MM_ANONPAGES);
}

/* A stream that stops after @at pages, or later, wherever that leaves most pages unused */
void bench_stream_that_stops(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, STREAM_PAGES);
	const unsigned int at = STREAM_PAGES * 3 / 4, end = STREAM_PAGES - SZ_4M / PAGE_SIZE;
	u64 before = resident(b), unused = 0;

	for (unsigned int n = 0; n < end; n++) {
		write_page(b, n);
		if (n >= at)
			unused = max(unused, resident(b) - before - n - 1);
	}
	bench_report(test, "stopped_unused", unused * 100, at, "% of pages");
}

void bench_random(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, STREAM_PAGES);
	u64 before, mapped;

	bench_report(test, "random_request", bench_batch(b, BENCH_BATCH), BENCH_BATCH,
		     "instructions/request");
	sva_fault_around_limit(0);
	bench_report(test, "random_request_off", bench_batch(b, BENCH_BATCH), BENCH_BATCH,
		     "instructions/request");
	sva_fault_around_limit(BENCH_AROUND);

	bench_forget_pages(b);
	before = resident(b);
	requests_of(b, at_random);
	mapped = resident(b) - before;
	bench_report(test, "random_untouched", (mapped - ACCESSES) * 100, mapped, "% of pages");
}
