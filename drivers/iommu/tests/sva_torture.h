/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Torture on the software IOMMU: what its files share
 */
#ifndef _DRIVERS_IOMMU_TESTS_SVA_TORTURE_H
#define _DRIVERS_IOMMU_TESTS_SVA_TORTURE_H

#include <linux/jiffies.h>
#include <linux/prandom.h>

#include "iopf_kunit.h"

#define WORKERS		2
#define ACTORS		2	/* of a worker */
#define SHARED		2	/* endpoints of the fixture */
#define OWN		SHARED	/* the worker's own one */
#define PAGES		1024U
#define LEN		(PAGES * PAGE_SIZE)
/* Where an actor has its memory: aligned for huge pages */
#define BASE(actor)	(SZ_1G + (actor) * SZ_64M)
#define STORM		(BASE(ACTORS) + 0UL)
#define STORM_PAGES	16U
#define STORM_LEN	(STORM_PAGES * PAGE_SIZE)
/* Pages of a change, bytes of a transaction, steps of a process */
#define MOST_PAGES	64U
#define MOST_BYTES	(3 * PAGE_SIZE)
#define MOST_STEPS	300U

enum end { END_EXIT, END_KILL, END_UNBIND, END_UNPLUG, NR_ENDS };

enum sum { STEPS, TRANSACTIONS, REFUSED, BYTES, INJECTED, RESETS, NR_SUMS };

/**
 * struct torture - what all threads share
 * @test: the case
 * @fix: its fixture
 * @seed: of this case
 * @until: jiffies
 * @failed: something was wrong: all threads come to an end
 * @resets: odd while the first endpoint is in a reset, and another number afterwards
 * @sums: of all
 * @ended: processes, by how they ended
 */
struct torture {
	struct kunit *test;
	struct sva_fixture *fix;
	u64 seed;
	unsigned long until;
	bool failed;
	unsigned int resets;
	atomic64_t sums[NR_SUMS];
	atomic_t ended[NR_ENDS];
};

struct worker;

/**
 * struct actor - changes its memory, and has endpoints read and write it
 * @worker: whose it is
 * @proc: the thread of the process that makes its calls
 * @nr: its number in the worker
 * @base: its memory
 * @step: the present one
 * @random: the sequence
 * @shadow: what is in its memory
 * @buf: MOST_BYTES of a transaction, and as many that were found
 * @prot: of each page; -1: not mapped
 */
struct actor {
	struct worker *worker;
	struct sva_proc *proc;
	unsigned int nr;
	unsigned long base;
	unsigned int step;
	struct rnd_state random;
	u8 *shadow;
	u8 *buf;
	s8 prot[PAGES];
};

/**
 * struct worker - a process, and another one when that has ended
 * @t: what all share
 * @nr: its number
 * @run: how many processes came before
 * @dying: the process is about to end: what an actor finds wrong may be due to that
 * @iommu: that of its own endpoint
 * @ep: the endpoints; its own one is the last
 * @proc: the process
 * @sva: the bonds
 * @pasid: of all of them
 * @asked: page requests beside those of DMA
 * @actors: those who work for it
 */
struct worker {
	struct torture *t;
	unsigned int nr;
	unsigned int run;
	bool dying;
	struct soft_iommu *iommu;
	struct soft_endpoint *ep[SHARED + 1];
	struct sva_proc *proc;
	struct iommu_sva *sva[SHARED + 1];
	u32 pasid;
	unsigned int asked;
	struct actor actors[ACTORS];
};

static inline unsigned int pick(struct actor *a, unsigned int n)
{
	return prandom_u32_state(&a->random) % n;
}

static inline void add(struct torture *t, enum sum what, u64 n)
{
	atomic64_add(n, &t->sums[what]);
}

static inline bool is_over(const struct torture *t)
{
	return READ_ONCE(t->failed) || time_after(jiffies, t->until);
}

/* sva_torture_kunit.c */

/* Something is wrong, and fails the test, unless the actor's process is about to end. */
__printf(2, 3)
void complain(struct actor *a, const char *fmt, ...);

/* sva_torture_memory.c */

/* Are all these pages mapped, with at least that protection? */
bool torture_has(const struct actor *a, unsigned int first, unsigned int nr, int prot);
/* Fresh memory, in the place of what is there */
void torture_map(struct actor *a, unsigned int first, unsigned int nr);
/* Compares a page that can be read with the shadow. */
void torture_check_page(struct actor *a, unsigned int page);
/* DMA, or what the CPU does with memory, at random */
void torture_memory(struct actor *a);

#endif /* _DRIVERS_IOMMU_TESTS_SVA_TORTURE_H */
