// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bench: what page requests cost, on this core and on a base's
 *
 * Nothing is tested here but that the measurement makes sense. What is measured is printed as
 *
 *	# CASE: bench: NAME VALUE UNIT
 *
 * for scripts/bench/bench, which boots two kernels with this suite and compares. Suites for two
 * machines: iommu_sva_bench_count, and that of AMD's back-end, which has this in front of its name,
 * are for one emulated CPU whose time stamp counter counts instructions (and the first says so if
 * it does not), iommu_sva_bench_parallel is for two CPUs.
 *
 * A batch. The PRQ thread is held, the requests of the batch are put into the ring, the thread is
 * let go; the meter of the software IOMMU takes the time from the first request that is read to
 * the last response, less what hardware would do. The thread of the test has the same real-time
 * priority as the PRQ thread, so that nothing of it falls into that time. There is no other work:
 * neither idle loop nor timer but the tick, and of some rounds the median is taken.
 *
 * The pages of a batch are random ones of a region whose page tables stay, like those that the
 * CPU touches, so that the two do the same. Fault-around is off: two pages that are neighbours by
 * accident would be a stream, and a request that maps more than its page does more than a fault.
 * What it costs where it does not help, and what it brings, has cases of its own; there it is on.
 */
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/sched/prio.h>
#include <linux/timex.h>

#include "sva_bench.h"

#define CALIBRATION	100000

/* So many turns of two instructions; on an emulator that counts, so many ticks. */
static void clock_counts_instructions(struct kunit *test)
{
	unsigned long turns;
	u64 ticks[BENCH_ROUNDS];

	for (unsigned int i = 0; i < BENCH_ROUNDS; i++) {
		ticks[i] = get_cycles();
		turns = CALIBRATION;
		asm volatile("1: dec %0; jnz 1b" : "+r" (turns) : : "cc");
		ticks[i] = get_cycles() - ticks[i];
	}
	bench_report(test, "ticks_per_instruction", bench_median(ticks, BENCH_ROUNDS),
		     2 * CALIBRATION, "ticks");
}

static void batches(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);
	char name[16];

	sva_fault_around_limit(0);
	for (unsigned int nr = 1; nr <= 64; nr *= 2) {
		scnprintf(name, sizeof(name), "batch_%u", nr);
		bench_report(test, name, bench_batch(b, nr), nr, "instructions/request");
	}
}

/* What both have in common, called as the CPU's fault handler calls it. */
static long call_handle_mm_fault(void *data)
{
	unsigned int flags = FAULT_FLAG_DEFAULT | FAULT_FLAG_USER | FAULT_FLAG_WRITE;
	struct bench_bond *b = data;
	u64 sum = 0, begin;

	for (unsigned int i = 0; i < BENCH_BATCH; i++) {
		struct vm_area_struct *vma = lock_vma_under_rcu(current->mm, b->addrs[i]);
		vm_fault_t fault;

		if (!vma)
			return -EFAULT;
		begin = get_cycles();
		fault = handle_mm_fault(vma, b->addrs[i], flags | FAULT_FLAG_VMA_LOCK, NULL);
		sum += get_cycles() - begin;
		if (fault & (VM_FAULT_RETRY | VM_FAULT_ERROR))
			return -EFAULT;
		vma_end_read(vma);
	}
	return sum;
}

static void cpu_faults(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);
	u64 ticks[BENCH_ROUNDS];
	struct bench_touch touch = {
		.mem = b->mem,
		.len = BENCH_PAGES * PAGE_SIZE,
		.addrs = b->addrs,
		.nr = BENCH_BATCH,
		.rounds = BENCH_ROUNDS,
		.ticks = ticks,
	};
	long ret;

	bench_touch(test, b->bond->proc, &touch);
	bench_report(test, "cpu_fault", bench_median(ticks, BENCH_ROUNDS), BENCH_BATCH,
		     "instructions/fault");

	for (unsigned int i = 0; i < BENCH_ROUNDS; i++) {
		bench_forget_pages(b);
		ret = sva_proc_call(b->bond->proc, call_handle_mm_fault, b);
		KUNIT_ASSERT_GT(test, ret, 0);
		ticks[i] = ret;
	}
	bench_report(test, "handle_mm_fault", bench_median(ticks, BENCH_ROUNDS), BENCH_BATCH,
		     "instructions/fault");
}

/* Between the release of the ring and the last response; handle_mm_fault() itself has none. */
static void allocations_and_locks(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);
	struct bench_events events = { .mm = sva_proc_mm(b->bond->proc) };
	u64 allocations = 0, locks = 0, before[2];

	sva_fault_around_limit(0);
	bench_watch(test, &events);
	for (unsigned int i = 0; i < BENCH_ROUNDS; i++) {
		bench_shuffle(b);
		bench_forget_pages(b);
		bench_fill_ring(b, BENCH_BATCH);
		before[0] = atomic64_read(&events.allocations);
		before[1] = atomic64_read(&events.mmap_locks);
		bench_empty_ring(b, BENCH_BATCH);
		allocations += atomic64_read(&events.allocations) - before[0];
		locks += atomic64_read(&events.mmap_locks) - before[1];
	}
	bench_unwatch(&events);
	bench_report(test, "allocations", allocations, BENCH_ROUNDS * BENCH_BATCH, "per request");
	bench_report(test, "mmap_locks", locks, BENCH_ROUNDS * BENCH_BATCH, "per request");
}

int bench_init(struct kunit *test)
{
	int ret;

	sched_set_fifo(current);
	ret = iopf_fixture_init(test);
	if (!ret)
		sva_fault_around_limit(BENCH_AROUND);
	return ret;
}

void bench_exit(struct kunit *test)
{
	iopf_fixture_exit(test);
	sched_set_normal(current, 0);
}

static struct kunit_case bench_count_cases[] = {
	KUNIT_CASE_SLOW(clock_counts_instructions),
	KUNIT_CASE_SLOW(batches),
	KUNIT_CASE_SLOW(cpu_faults),
	KUNIT_CASE_SLOW(allocations_and_locks),
	KUNIT_CASE_SLOW(bench_slots),
#if SVA_CORE
	KUNIT_CASE_SLOW(bench_own_fault),
#endif
	KUNIT_CASE_SLOW(bench_one_page),
	KUNIT_CASE_SLOW(bench_sequential_anonymous),
	KUNIT_CASE_SLOW(bench_sequential_page_cache),
	KUNIT_CASE_SLOW(bench_sequential_file),
	KUNIT_CASE_SLOW(bench_patterns),
	KUNIT_CASE_SLOW(bench_under_way),
	KUNIT_CASE_SLOW(bench_stream_that_stops),
	KUNIT_CASE_SLOW(bench_random),
	KUNIT_CASE_SLOW(bench_many_vmas),
	KUNIT_CASE_SLOW(bench_many_processes),
	KUNIT_CASE_SLOW(bench_busy_cpu),
	KUNIT_CASE_SLOW(bench_singles_of_files),
	KUNIT_CASE_SLOW(bench_drain),
	KUNIT_CASE_SLOW(bench_binds),
	KUNIT_CASE_SLOW(bench_munmap),
	KUNIT_CASE_SLOW(bench_commands),
	KUNIT_CASE_SLOW(bench_bonds),
	KUNIT_CASE_SLOW(bench_invalidate_all),
	KUNIT_CASE_SLOW(bench_sharing),
	KUNIT_CASE_SLOW(bench_exit_of_bonds),
	KUNIT_CASE_SLOW(bench_many_mms),
	KUNIT_CASE_SLOW(bench_partials),
	{}
};

static struct kunit_suite bench_count_suite = {
	.name = "iommu_sva_bench_count",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = bench_count_cases,
};

static struct kunit_case bench_parallel_cases[] = {
	KUNIT_CASE_SLOW(bench_parallel),
	KUNIT_CASE_SLOW(bench_flood),
	{}
};

static struct kunit_suite bench_parallel_suite = {
	.name = "iommu_sva_bench_parallel",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = bench_parallel_cases,
};

kunit_test_suites(&bench_count_suite, &bench_parallel_suite);

MODULE_DESCRIPTION("Bench of the SVA core and the I/O page fault queue");
MODULE_LICENSE("GPL");
