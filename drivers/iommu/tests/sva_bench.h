/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the bench have in common
 */
#ifndef _DRIVERS_IOMMU_TESTS_SVA_BENCH_H
#define _DRIVERS_IOMMU_TESTS_SVA_BENCH_H

#include <linux/prandom.h>

#include "iopf_kunit.h"

/* The largest window of fault-around, which a base kernel has not */
#if SVA_CORE
#include "../iommu-sva-around.h"
#define BENCH_AROUND	SVA_WINDOW_DEFAULT
#else
#define BENCH_AROUND	0
static inline unsigned int sva_fault_around_limit(unsigned int pages)
{
	return 0;
}
#endif

/* Of each value the median of so many rounds is taken. */
#define BENCH_ROUNDS	31
/* The batch that most values are for */
#define BENCH_BATCH	32
/* Memory for random accesses, where nothing else is said */
#define BENCH_PAGES	1024

/* For struct kunit_suite; see sva_bench_kunit.c. */
int bench_init(struct kunit *test);
void bench_exit(struct kunit *test);
/* Prints @sum / @nr for scripts/bench/bench; see sva_bench_kunit.c. */
void bench_report(struct kunit *test, const char *name, u64 sum, u64 nr, const char *unit);
u64 bench_median(u64 *values, unsigned int nr);

/**
 * struct bench_bond - a device bound to a process, and memory for random accesses
 * @test: the case
 * @iommu: has a ring for more than a batch
 * @bond: the bond
 * @mem: memory of the process, whose page tables are there
 * @pages: of it
 * @addrs: these pages in random order
 * @random: for that
 */
struct bench_bond {
	struct kunit *test;
	struct soft_iommu *iommu;
	struct iopf_bond *bond;
	unsigned long mem;
	unsigned int pages;
	unsigned long *addrs;
	struct rnd_state random;
};

/* On an IOMMU of its own, or on @iommu if that is not NULL; asserts success. */
struct bench_bond *bench_bond(struct kunit *test, struct soft_iommu *iommu, unsigned int pages);
/* Another process that the device of @other is bound to */
struct bench_bond *bench_bond_beside(struct bench_bond *other, unsigned int pages);
/* A new memfd, and a new file of a file system that is no part of shmem, as disks' are none */
long bench_memfd(struct bench_bond *b);
long bench_file(struct bench_bond *b);
void bench_shuffle(struct bench_bond *b);
/* Takes the pages away; the tables stay. */
void bench_forget_pages(struct bench_bond *b);
/* Holds the ring, and puts requests for the first @nr addresses in. */
void bench_fill_ring(struct bench_bond *b, unsigned int nr);
/* Lets the ring go, and waits until @nr responses are written; returns what the meter says. */
u64 bench_serve_ring(struct bench_bond *b, unsigned int nr);
/* The same, and they have arrived. */
u64 bench_empty_ring(struct bench_bond *b, unsigned int nr);
/* The same, and no thread runs when the ring is let go: neither the caller nor a worker. */
u64 bench_serve_asleep(struct bench_bond *b, unsigned int nr);
/* What the meter says of a batch of @nr random pages: the median. */
u64 bench_batch(struct bench_bond *b, unsigned int nr);
/* The same, of @nr random pages of each of several bonds of one device, taken in turns. */
u64 bench_batch_of(struct bench_bond **bonds, unsigned int nr_bonds, unsigned int nr);

/**
 * struct bench_events - what tracepoints count
 * @mm: the mm whose mmap_lock counts; NULL: all of them
 * @allocations: of slabs, by any thread
 * @mmap_locks: acquisitions
 * @contention: locks that were not free
 */
struct bench_events {
	struct mm_struct *mm;
	atomic64_t allocations;
	atomic64_t mmap_locks;
	atomic64_t contention;
};

void bench_watch(struct kunit *test, struct bench_events *events);
void bench_unwatch(struct bench_events *events);

/**
 * struct bench_touch - a program that touches pages, in user mode
 * @mem: what the program gives back (MADV_DONTNEED) at the begin of each round
 * @len: of it
 * @addrs: where it writes, in this order
 * @nr: of @addrs
 * @rounds: how often
 * @ticks: for each round what it took, from before the first write to after the last
 */
struct bench_touch {
	unsigned long mem;
	size_t len;
	const unsigned long *addrs;
	unsigned int nr;
	unsigned int rounds;
	u64 *ticks;
};

/* Its instructions */
extern const char bench_program[], bench_program_end[];
/* Runs it as a thread of @proc; asserts success. */
void bench_touch(struct kunit *test, struct sva_proc *proc, const struct bench_touch *touch);

/*
 * Cases, by the file that has them: sva_bench_fault.c, sva_bench_dma.c, sva_bench_kinds.c,
 * sva_bench_load.c, sva_bench_scale.c
 */
void bench_slots(struct kunit *test);
void bench_own_fault(struct kunit *test);
void bench_sequential_anonymous(struct kunit *test);
void bench_sequential_page_cache(struct kunit *test);
void bench_sequential_file(struct kunit *test);
void bench_under_way(struct kunit *test);
void bench_stream_that_stops(struct kunit *test);
void bench_patterns(struct kunit *test);
void bench_random(struct kunit *test);
void bench_many_vmas(struct kunit *test);
void bench_many_processes(struct kunit *test);
void bench_busy_cpu(struct kunit *test);
void bench_singles_of_files(struct kunit *test);
void bench_one_page(struct kunit *test);
void bench_partials(struct kunit *test);
void bench_drain(struct kunit *test);
void bench_binds(struct kunit *test);
void bench_munmap(struct kunit *test);
void bench_flood(struct kunit *test);
void bench_parallel(struct kunit *test);
void bench_commands(struct kunit *test);
void bench_bonds(struct kunit *test);
void bench_invalidate_all(struct kunit *test);
void bench_sharing(struct kunit *test);
void bench_exit_of_bonds(struct kunit *test);
void bench_many_mms(struct kunit *test);

#endif /* _DRIVERS_IOMMU_TESTS_SVA_BENCH_H */
