// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bench: page requests that are not for pages of one mapping, on a CPU with nothing else to do
 *
 * Batches that spread over mappings or over processes; and single requests that the thread which
 * reads the ring does not serve itself: what it costs to find that out must not make them dearer
 * than on a base.
 */
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/unistd.h>

#include "sva_bench.h"

#define KINDS_VMAS	8
#define KINDS_PROCESSES	4

/* Every other part of the memory is left out of core dumps, so each part is a mapping. */
static void split(struct bench_bond *b)
{
	unsigned long len = b->pages / KINDS_VMAS * PAGE_SIZE;

	for (unsigned int i = 0; i < KINDS_VMAS; i += 2)
		KUNIT_ASSERT_EQ(b->test, sva_proc_madvise(b->bond->proc, b->mem + i * len, len,
							  MADV_DONTDUMP), 0L);
}

void bench_many_vmas(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);

	sva_fault_around_limit(0);
	split(b);
	bench_report(test, "batch_32_8_vmas", bench_batch(b, BENCH_BATCH), BENCH_BATCH,
		     "instructions/request");
}

void bench_many_processes(struct kunit *test)
{
	struct bench_bond *bonds[KINDS_PROCESSES];

	sva_fault_around_limit(0);
	bonds[0] = bench_bond(test, NULL, BENCH_PAGES);
	for (unsigned int i = 1; i < KINDS_PROCESSES; i++)
		bonds[i] = bench_bond_beside(bonds[0], BENCH_PAGES);
	bench_report(test, "batch_32_4_processes",
		     bench_batch_of(bonds, KINDS_PROCESSES, BENCH_BATCH / KINDS_PROCESSES),
		     BENCH_BATCH, "instructions/request");
}

/* Any other thread runs before this one, which is runnable all the time. */
static int idle_loop(void *data)
{
	while (!kthread_should_stop())
		cond_resched();
	return 0;
}

void bench_busy_cpu(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);
	const struct sched_param param = { };
	struct task_struct *task;

	sva_fault_around_limit(0);
	task = kthread_create(idle_loop, NULL, "bench_busy");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	sched_setscheduler_nocheck(task, SCHED_IDLE, &param);
	wake_up_process(task);
	bench_report(test, "batch_1_busy", bench_batch(b, 1), 1, "instructions/request");
	kthread_stop(task);
}

/* The pages are in the page cache, and their tables are there. */
static void single_of_file(struct bench_bond *b, long fd, const char *name)
{
	struct sva_proc *proc = b->bond->proc;
	const size_t len = BENCH_PAGES * PAGE_SIZE;
	struct kunit *test = b->test;
	u8 byte = 1;

	KUNIT_ASSERT_GE(test, fd, 0L);
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(proc, __NR_ftruncate, fd, len, 0, 0, 0, 0), 0L);
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(proc, __NR_mmap, b->mem, len, PROT_READ | PROT_WRITE,
					       MAP_SHARED | MAP_FIXED, fd, 0), (long)b->mem);
	for (unsigned int i = 0; i < BENCH_PAGES; i++)
		KUNIT_ASSERT_EQ(test, sva_proc_write(proc, b->mem + i * PAGE_SIZE, &byte, 1), 0);
	bench_report(test, name, bench_batch(b, 1), 1, "instructions/request");
}

void bench_singles_of_files(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);

	sva_fault_around_limit(0);
	single_of_file(b, bench_memfd(b), "batch_1_memfd");
	single_of_file(b, bench_file(b), "batch_1_file");
}
