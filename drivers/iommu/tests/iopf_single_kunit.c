// SPDX-License-Identifier: GPL-2.0-only
/*
 * Single page requests: what the thread that reads the ring serves itself, and what workers do
 *
 * It serves a request only if its CPU has nothing else to do, or once in a tick, which a test
 * cannot promise. So a case that wants it to serve gives it many chances, of which it must take a
 * good part; one in which it must not holds for each request. Who serves a request answers it.
 */
#include <linux/delay.h>
#include <linux/memcontrol.h>
#include <linux/mman.h>
#include <linux/sizes.h>

#include "sva_around_kunit.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID
#define MANY	8
/* Fresh pages, and how many of them the reporter serves at least, on a slow and busy machine */
#define CHANCES	128
#define TAKEN	(CHANCES / 8)

/**
 * struct single_seen - who has answered
 * @by_reporter: answers by the thread that reads the ring
 * @by_worker: by another thread
 */
struct single_seen {
	atomic_t by_reporter;
	atomic_t by_worker;
};

static struct single_seen single_seen;

static int seen_all(void)
{
	return atomic_read(&single_seen.by_reporter) + atomic_read(&single_seen.by_worker);
}

static int see_response(const struct soft_iommu_event *event, void *data)
{
	struct single_seen *seen = data;

	if (strcmp(current->comm, "soft-iommu-prq"))
		atomic_inc(&seen->by_worker);
	else
		atomic_inc(&seen->by_reporter);
	return 0;
}

/* An interrupt lets the ring go while all threads sleep. */
static int ask_asleep(struct iopf_bond *bond, unsigned long addr, u32 perm)
{
	struct soft_iommu *iommu = fixture(bond->test)->iommu;

	soft_iommu_hold_prq(iommu, true);
	iopf_last(bond, 0, addr, perm);
	soft_iommu_release_prq_later(iommu, 2);
	return iopf_answer(bond, 0);
}

/* A worker serves two pages without blocking, so that the reporter tries again. */
static void let_reporter_try(struct iopf_bond *bond)
{
	unsigned long mem = sva_proc_map(bond->proc, 4 * PAGE_SIZE);
	struct soft_iommu *iommu = fixture(bond->test)->iommu;

	soft_iommu_hold_prq(iommu, true);
	iopf_last(bond, 0, mem, IOPF_RW);
	iopf_last(bond, 1, mem + 2 * PAGE_SIZE, IOPF_RW);
	soft_iommu_release_prq_later(iommu, 2);
	KUNIT_EXPECT_EQ(bond->test, iopf_answer(bond, 0), OK);
	KUNIT_EXPECT_EQ(bond->test, iopf_answer(bond, 1), OK);
}

/* MANY requests, each @step behind the one before: all are served, and none by the reporter. */
static void expect_workers(struct iopf_bond *bond, unsigned long mem, size_t step, u32 perm)
{
	for (unsigned int i = 0; i < MANY; i++) {
		let_reporter_try(bond);
		KUNIT_EXPECT_EQ(bond->test, ask_asleep(bond, mem + i * step, perm), OK);
	}
	KUNIT_EXPECT_EQ(bond->test, atomic_read(&single_seen.by_reporter), 0);
	KUNIT_EXPECT_EQ(bond->test, atomic_read(&single_seen.by_worker), 3 * MANY);
}

static unsigned long map_fresh(struct iopf_bond *bond, size_t len)
{
	return sva_proc_map(bond->proc, len);
}

/* On a busy host something else may be waiting for the CPU nearly always. */
static void expect_reporter(struct iopf_bond *bond, u32 perm,
			    unsigned long (*map)(struct iopf_bond *bond, size_t len),
			    void (*verify)(struct iopf_bond *bond, unsigned long addr, u64 mine))
{
	unsigned int chances = 0;

	do {
		unsigned long mem = map(bond, CHANCES * PAGE_SIZE);

		for (unsigned int i = 0; i < CHANCES; i++) {
			KUNIT_ASSERT_EQ(bond->test, ask_asleep(bond, mem + i * PAGE_SIZE, perm),
					OK);
			if (verify)
				verify(bond, mem + i * PAGE_SIZE, 0x5a5a + i);
		}
		chances += CHANCES;
	} while (atomic_read(&single_seen.by_reporter) < TAKEN && chances < 16 * CHANCES);
	/* All have been answered, each once. */
	KUNIT_EXPECT_EQ(bond->test, seen_all(), chances);
	KUNIT_EXPECT_GE(bond->test, atomic_read(&single_seen.by_reporter), TAKEN);
}

static void fresh_page_is_written_by_way_of_the_reporter(struct kunit *test)
{
	expect_reporter(iopf_bind(test, fixture(test)->ep[0], NULL), IOPF_RW, map_fresh, NULL);
}

static void fresh_page_is_read_by_way_of_the_reporter(struct kunit *test)
{
	expect_reporter(iopf_bind(test, fixture(test)->ep[0], NULL), IOPF_READ, map_fresh, NULL);
}

static void expect_same_page(struct iopf_bond *bond, unsigned long addr, u64 mine)
{
	u64 word = 0;

	KUNIT_EXPECT_EQ(bond->test, soft_dma_write(bond->ep, bond->pasid, addr, &mine,
						   sizeof(mine)), 0);
	KUNIT_EXPECT_EQ(bond->test, sva_proc_read(bond->proc, addr, &word, sizeof(word)), 0);
	KUNIT_EXPECT_EQ(bond->test, word, mine);
}

/* What it served is what the device sees, and the process. */
static void page_of_the_reporter_is_the_process_s(struct kunit *test)
{
	expect_reporter(iopf_bind(test, fixture(test)->ep[0], NULL), IOPF_RW, map_fresh,
			expect_same_page);
}

static void shared_memory_is_written_by_way_of_the_reporter(struct kunit *test)
{
	expect_reporter(iopf_bind(test, fixture(test)->ep[0], NULL), IOPF_RW, map_shared,
			expect_same_page);
}

static void ring_that_holds_more_is_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, MANY * PAGE_SIZE);
	struct soft_iommu *iommu = fixture(test)->iommu;

	soft_iommu_hold_prq(iommu, true);
	for (unsigned int i = 0; i < MANY; i++)
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_RW);
	soft_iommu_release_prq_later(iommu, 2);
	for (unsigned int i = 0; i < MANY; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), OK);
	KUNIT_EXPECT_EQ(test, atomic_read(&single_seen.by_reporter), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&single_seen.by_worker), MANY);
}

/* A copy is made, and caches are flushed for it. */
static void copy_on_write_is_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, MANY * PAGE_SIZE);
	struct sva_proc *child;
	u8 byte = 1;

	for (unsigned int i = 0; i < MANY; i++)
		KUNIT_ASSERT_EQ(test, sva_proc_write(bond->proc, mem + i * PAGE_SIZE, &byte, 1), 0);
	child = sva_proc_fork(bond->proc);
	expect_workers(bond, mem, PAGE_SIZE, IOPF_RW);
	sva_proc_exit(child);
}

/* Though the pages are in the page cache: that may change before they are mapped. */
static void files_are_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	long fd = new_file(bond, MANY * SZ_128K, 1);
	unsigned long mem = map_fd(bond, fd, MANY * SZ_128K, PROT_READ, MAP_SHARED);

	expect_workers(bond, mem, SZ_128K, IOPF_READ);
}

/* Reading it in again is I/O. */
static void shared_memory_that_is_swapped_out_is_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = map_shared(bond, MANY * SZ_128K);

	sva_swap_on(test, 4 * SZ_1M / PAGE_SIZE);
	for (unsigned int i = 0; i < MANY; i++)
		sva_poke(test, bond->proc, mem + i * SZ_128K, 1);
	KUNIT_ASSERT_TRUE(test, sva_becomes(page_out(bond, mem, MANY * SZ_128K)));
	expect_workers(bond, mem, SZ_128K, IOPF_RW);
}

/* The ring is read while a request waits for the lock. */
static void shared_memory_that_is_locked_is_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_bond *other = iopf_bind(test, fixture(test)->ep[1], NULL);
	unsigned long mem = map_shared(bond, MANY * SZ_128K);
	unsigned long fresh = sva_proc_map(other->proc, MANY * PAGE_SIZE);

	for (unsigned int i = 0; i < MANY; i++)
		sva_poke(test, bond->proc, mem + i * SZ_128K, 1);
	/* The pages stay in the page cache. */
	KUNIT_ASSERT_EQ(test, sva_proc_madvise(bond->proc, mem, MANY * SZ_128K, MADV_DONTNEED), 0);
	for (unsigned int i = 0; i < MANY; i++) {
		struct folio *folio = cached_folio(bond, mem + i * SZ_128K);
		bool is_read;

		folio_lock(folio);
		let_reporter_try(other);
		soft_iommu_hold_prq(fixture(test)->iommu, true);
		iopf_last(bond, 0, mem + i * SZ_128K, IOPF_RW);
		soft_iommu_release_prq_later(fixture(test)->iommu, 2);
		KUNIT_EXPECT_FALSE(test, iopf_is_answered(bond, 0));
		iopf_last(other, 2, fresh + i * PAGE_SIZE, IOPF_RW);
		is_read = sva_becomes(iopf_is_answered(other, 2));
		folio_unlock(folio);
		folio_put(folio);
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
		KUNIT_EXPECT_EQ(test, iopf_answer(other, 2), OK);
		KUNIT_ASSERT_TRUE(test, is_read);
	}
}

/* A device that uses a file pays for an attempt of the reporter once. */
static void reporter_that_had_to_wait_does_not_try_again(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	long fd = new_file(bond, MANY * SZ_128K, 1);
	unsigned long mem = map_fd(bond, fd, MANY * SZ_128K, PROT_READ, MAP_SHARED);
	unsigned long fresh = sva_proc_map(bond->proc, MANY * 2 * PAGE_SIZE);

	for (unsigned int i = 0; i < MANY; i++)
		KUNIT_EXPECT_EQ(test, ask_asleep(bond, mem + i * SZ_128K, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, ask_asleep(bond, fresh, IOPF_RW), OK);
	KUNIT_EXPECT_EQ(test, atomic_read(&single_seen.by_reporter), 0);
}

/* Each request is for memory where a huge page would go. */
static void huge_pages_are_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) || PMD_SIZE > SZ_4M)
		kunit_skip(test, "no huge pages of which there is room for some");
	mem = ALIGN(sva_proc_map(bond->proc, (MANY + 1) * PMD_SIZE), PMD_SIZE);
	KUNIT_ASSERT_EQ(test, sva_proc_madvise(bond->proc, mem, MANY * PMD_SIZE, MADV_HUGEPAGE), 0);
	expect_workers(bond, mem, PMD_SIZE, IOPF_RW);
	/* So many blocks are what khugepaged scans at once: it keeps the mm for the next time. */
	sva_hurry_khugepaged(test);
}

static void scarce_memory_is_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, MANY * PAGE_SIZE);

	iopf_make_memory_scarce(test);
	expect_workers(bond, mem, PAGE_SIZE, IOPF_RW);
}

#ifdef CONFIG_MEMCG_V1
/* Less than CPUs charge in advance */
static void memory_group_near_its_limit_is_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_bond *other = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, MANY * PAGE_SIZE);
	char limit[24];

	iopf_memcg_make(other);
	snprintf(limit, sizeof(limit), "%lu", 120 * PAGE_SIZE);
	sva_sysfs_put(test, "/memcg/a/memory.limit_in_bytes", limit);
	iopf_memcg_enter(bond, "/memcg/a/cgroup.procs");
	expect_workers(bond, mem, PAGE_SIZE, IOPF_RW);

	iopf_memcg_enter(bond, "/memcg/cgroup.procs");
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, MANY * PAGE_SIZE), 0);
	iopf_memcg_remove(other);
}
#endif

static void refusals_are_for_workers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	KUNIT_ASSERT_EQ(test, sva_proc_munmap(bond->proc, mem, PAGE_SIZE), 0);
	for (unsigned int i = 0; i < MANY; i++)
		KUNIT_EXPECT_EQ(test, ask_asleep(bond, mem, IOPF_RW), BAD);
	KUNIT_EXPECT_EQ(test, atomic_read(&single_seen.by_worker), MANY);
}

/* Fresh memory, which could be had at once if the access was allowed. */
static void forbidden_accesses_are_for_workers(struct kunit *test)
{
	static const struct {
		unsigned long prot;
		u32 perm;
	} forbidden[] = {
		{ PROT_READ, IOPF_RW },
		{ PROT_READ | PROT_WRITE, IOMMU_FAULT_PERM_EXEC },
		{ PROT_NONE, IOPF_READ },
	};
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, MANY * PAGE_SIZE);

	for (unsigned int i = 0; i < ARRAY_SIZE(forbidden); i++) {
		KUNIT_ASSERT_EQ(test, sva_proc_mprotect(bond->proc, mem, MANY * PAGE_SIZE,
							forbidden[i].prot), 0);
		for (unsigned int j = 0; j < MANY; j++)
			KUNIT_EXPECT_EQ(test, ask_asleep(bond, mem + j * PAGE_SIZE,
							 forbidden[i].perm), BAD);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&single_seen.by_worker), ARRAY_SIZE(forbidden) * MANY);
}

/* No other process's requests wait for a fault that takes for ever. */
static void ring_is_read_while_a_single_request_waits(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct iopf_bond *other = iopf_bind(test, fixture(test)->ep[1], NULL);
	unsigned long mem = sva_proc_map(other->proc, MANY * PAGE_SIZE);

	KUNIT_ASSERT_NOT_NULL(test, s.gate);
	iopf_last(s.bond, 0, s.mem, IOPF_RW);
	for (unsigned int i = 0; i < MANY; i++)
		KUNIT_EXPECT_EQ(test, ask_asleep(other, mem + i * PAGE_SIZE, IOPF_RW), OK);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
}

/* One request at a time, each for the page behind the one before */
static void stream_of_single_requests_is_mapped_ahead(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 256 * PAGE_SIZE);
	u64 word = 0;

	sva_fault_around_limit(SVA_WINDOW_DEFAULT);
	for (unsigned int i = 0; i < 256; i++)
		KUNIT_ASSERT_EQ(test, soft_dma_write(bond->ep, bond->pasid, mem + i * PAGE_SIZE,
						     &word, sizeof(word)), 0);
	KUNIT_EXPECT_LE(test, seen_all(), 16);
	KUNIT_EXPECT_GT(test, iopf_counted(bond->ep, IOPF_AHEAD), 256 / 2);
}

/* The process ends, the device goes on, and so does another process. */
static void exits_while_single_requests_come(struct kunit *test)
{
	for (unsigned int i = 0; i < 10; i++) {
		struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
		unsigned long mem = sva_proc_map(bond->proc, SZ_4M);
		int before = seen_all();

		KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, mem, SZ_4M, true), 0);
		/* The first time the reporter has served one, of 1024 chances. */
		KUNIT_EXPECT_TRUE(test, sva_becomes(i ? seen_all() > before :
						    atomic_read(&single_seen.by_reporter) > 0));
		sva_proc_kill(bond->proc);
		soft_storm_stop(bond->ep);
		iopf_unbind(bond);
	}
}

static int see_late_response(const struct soft_iommu_event *event, void *data)
{
	int ret = see_response(event, data);

	msleep(50);
	return ret;
}

/* The ring is empty, and no worker runs, but the reporter has not answered yet. */
static void final_check_waits_for_the_reporter(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, CHANCES * PAGE_SIZE);
	struct soft_iommu *iommu = fixture(test)->iommu;

	soft_iommu_set_hook(iommu, SOFT_AT_RESPONSE, see_late_response, &single_seen);
	for (int i = 0; i < CHANCES && !atomic_read(&single_seen.by_reporter); i++) {
		soft_iommu_hold_prq(iommu, true);
		iopf_last(bond, 0, mem + i * PAGE_SIZE, IOPF_RW);
		soft_iommu_release_prq_later(iommu, 2);
		KUNIT_ASSERT_TRUE(test, sva_becomes(seen_all() > i));
		KUNIT_EXPECT_EQ(test, soft_iommu_check(iommu), 0);
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&single_seen.by_reporter), 1);
}

static int single_init(struct kunit *test)
{
	int ret = iopf_fixture_init(test);

	if (ret)
		return ret;
	atomic_set(&single_seen.by_reporter, 0);
	atomic_set(&single_seen.by_worker, 0);
	soft_iommu_serve_single(fixture(test)->iommu, true);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RESPONSE, see_response, &single_seen);
	return 0;
}

static struct kunit_case iopf_single_cases[] = {
	KUNIT_CASE(fresh_page_is_written_by_way_of_the_reporter),
	KUNIT_CASE(fresh_page_is_read_by_way_of_the_reporter),
	KUNIT_CASE(page_of_the_reporter_is_the_process_s),
	KUNIT_CASE(ring_that_holds_more_is_for_workers),
	KUNIT_CASE(copy_on_write_is_for_workers),
	KUNIT_CASE(shared_memory_is_written_by_way_of_the_reporter),
	KUNIT_CASE(files_are_for_workers),
	KUNIT_CASE(shared_memory_that_is_swapped_out_is_for_workers),
	KUNIT_CASE(shared_memory_that_is_locked_is_for_workers),
	KUNIT_CASE(reporter_that_had_to_wait_does_not_try_again),
	KUNIT_CASE(huge_pages_are_for_workers),
	KUNIT_CASE(scarce_memory_is_for_workers),
#ifdef CONFIG_MEMCG_V1
	KUNIT_CASE(memory_group_near_its_limit_is_for_workers),
#endif
	KUNIT_CASE(refusals_are_for_workers),
	KUNIT_CASE(forbidden_accesses_are_for_workers),
	KUNIT_CASE(ring_is_read_while_a_single_request_waits),
	KUNIT_CASE(stream_of_single_requests_is_mapped_ahead),
	KUNIT_CASE(exits_while_single_requests_come),
	KUNIT_CASE(final_check_waits_for_the_reporter),
	{}
};

static struct kunit_suite iopf_single_suite = {
	.name = "iopf_single",
	.init = single_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_single_cases,
};

kunit_test_suite(iopf_single_suite);

MODULE_DESCRIPTION("KUnit tests for page requests that are alone in the ring");
MODULE_LICENSE("GPL");
