// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ends of a bond in a storm, again and again
 *
 * A round: a process is bound, its memory comes and goes under DMA and page requests, and then one
 * of these happens in the middle of it: exit, SIGKILL, all memory unmapped, reset, unbind, surprise
 * removal. After each round all must be answered and nothing left. Which it is comes from a
 * pseudo-random sequence; its seed is printed. A case has 150 rounds if nothing else is said.
 *
 * The storm of a driver that unbinds without stopping it first is a stray: there is no quarantine
 * here, so that the PASIDs do not run out.
 *
 * Parameters, on the command line of the kernel: sva_storm_kunit.rounds, sva_storm_kunit.seed.
 */
#include <linux/mman.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>

#include "iopf_kunit.h"
#include "../iopf.h"

#define PAGES	32
#define LEN	(PAGES * PAGE_SIZE)
/* Rounds of one case at most */
#define CHUNK	500
/* What is only free after some RCU grace periods is looked at this often. */
#define SETTLE	64

static unsigned int rounds = 150;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "Rounds of the storm");
static unsigned int seed = 20260;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "Seed of the storm");

enum storm_end { END_EXIT, END_KILL, END_UNMAP, END_RESET, END_UNBIND, END_UNPLUG, NR_ENDS };

/**
 * struct storm - the state of a round
 * @test: the case
 * @iommu: the IOMMU
 * @ep: the endpoint, a new one after each removal
 * @proc: the process, a new one after each exit
 * @sva: the bond
 * @pasid: of the bond
 * @mem: LEN bytes of the process
 * @random: the sequence
 * @asked: raw requests that were sent
 * @ended: how often each end came
 */
struct storm {
	struct kunit *test;
	struct soft_iommu *iommu;
	struct soft_endpoint *ep;
	struct sva_proc *proc;
	struct iommu_sva *sva;
	u32 pasid;
	unsigned long mem;
	struct rnd_state random;
	unsigned int asked;
	unsigned int ended[NR_ENDS];
};

static unsigned int pick(struct storm *s, unsigned int n)
{
	return prandom_u32_state(&s->random) % n;
}

static void begin(struct storm *s)
{
	struct soft_endpoint_config config = { .pasid_bits = 8, .credits = 32 };

	if (!s->ep)
		s->ep = sva_add_endpoint(s->test, s->iommu, &config, true);
	if (!s->proc)
		s->proc = sva_proc_start(s->test);
	s->mem = sva_proc_map(s->proc, LEN);
	s->sva = sva_bind(s->test, s->ep, s->proc);
	s->pasid = iommu_sva_get_pasid(s->sva);
	KUNIT_ASSERT_EQ(s->test, soft_storm_start(s->ep, s->pasid, s->mem, LEN, pick(s, 2)), 0);
}

/* Indices of their own */
static void ask(struct storm *s)
{
	iopf_ask_random(s->ep, s->pasid, 1000 + s->asked++, s->mem, PAGES, &s->random);
}

static void rage(struct storm *s)
{
	s->asked = 0;
	for (unsigned int n = pick(s, 6); n; n--)
		ask(s);
	if (pick(s, 2))
		sva_proc_madvise(s->proc, s->mem, LEN, MADV_DONTNEED);
	for (unsigned int n = pick(s, 6); n; n--)
		ask(s);
}

static void unbind(struct storm *s)
{
	iommu_sva_unbind_device(s->sva);
	s->sva = NULL;
}

static void reset(struct storm *s)
{
	iopf_begin_reset(s->ep);
	soft_storm_stop(s->ep);
	iopf_end_reset(s->ep);
	/* It is as good as new. */
	KUNIT_EXPECT_EQ(s->test, soft_storm_start(s->ep, s->pasid, s->mem, LEN, true), 0);
	ask(s);
}

static void unplug(struct storm *s)
{
	soft_endpoint_unplug(s->ep);
	soft_storm_stop(s->ep);
	unbind(s);
	sva_remove_endpoint(s->test, s->ep);
	s->ep = NULL;
}

static void end(struct storm *s, enum storm_end how)
{
	s->ended[how]++;
	switch (how) {
	case END_EXIT:
		sva_proc_exit(s->proc);
		break;
	case END_KILL:
		sva_proc_kill(s->proc);
		break;
	case END_UNMAP:
		KUNIT_EXPECT_EQ(s->test, sva_proc_munmap(s->proc, s->mem, LEN), 0);
		break;
	case END_RESET:
		reset(s);
		break;
	case END_UNBIND:
		unbind(s);
		break;
	case END_UNPLUG:
		unplug(s);
		break;
	case NR_ENDS:
		break;
	}
}

/* The device has what it waits for, the bond goes, and nothing is left of either. */
static void verify(struct storm *s, unsigned int round, enum storm_end how)
{
	struct kunit *test = s->test;

	if (s->ep) {
		soft_storm_stop(s->ep);
		if (s->sva)
			unbind(s);
		KUNIT_ASSERT_TRUE_MSG(test, sva_becomes(!soft_pri_outstanding(s->ep)),
				      "round %u, end %d: requests without an answer", round, how);
		KUNIT_ASSERT_TRUE_MSG(test,
				      sva_becomes(!iopf_device_busy(soft_endpoint_dev(s->ep))),
				      "round %u, end %d: groups are left", round, how);
	}
	KUNIT_ASSERT_EQ_MSG(test, soft_iommu_check(s->iommu), 0, "round %u, end %d: %s", round, how,
			    soft_iommu_violation(s->iommu, 0));
	if (!sva_pasid_stays_with_mm())
		KUNIT_ASSERT_FALSE_MSG(test, iommu_pasids_in_use(), "round %u, end %d: a PASID",
				       round, how);
	if (how == END_EXIT || how == END_KILL) {
		KUNIT_ASSERT_TRUE_MSG(test, sva_proc_forget(s->proc),
				      "round %u, end %d: references to the mm", round, how);
		s->proc = NULL;
	} else {
		sva_proc_munmap(s->proc, s->mem, LEN);
	}
	if (round % SETTLE == SETTLE - 1)
		KUNIT_ASSERT_TRUE_MSG(test, sva_becomes(!soft_iommu_domains(s->iommu)),
				      "round %u, end %d: SVA domains", round, how);
}

static const void *storm_gen_params(const void *prev, char *desc)
{
	return sva_gen_parts(prev, desc, rounds, CHUNK, "round");
}

static void bonds_end_in_a_storm(struct kunit *test)
{
	unsigned int first = (uintptr_t)test->param_value - 1;
	unsigned int nr = min(rounds - first, CHUNK);
	struct storm *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct sva_fixture *fix = test->priv;
	unsigned long start = jiffies;
	enum storm_end how;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->test = test;
	s->iommu = fix->iommu;
	prandom_seed_state(&s->random, seed + first);
	sva_quarantine(test, 0);
	for (i = 0; i < nr; i++) {
		begin(s);
		rage(s);
		how = pick(s, NR_ENDS);
		end(s, how);
		verify(s, i, how);
		cond_resched();
	}
	kunit_info(test,
		   "seed %u: %u rounds in %u s: %u exits, %u kills, %u unmapped, %u resets, %u unbinds, %u removals\n",
		   seed + first, i, jiffies_to_msecs(jiffies - start) / 1000, s->ended[END_EXIT],
		   s->ended[END_KILL], s->ended[END_UNMAP], s->ended[END_RESET],
		   s->ended[END_UNBIND], s->ended[END_UNPLUG]);
	KUNIT_EXPECT_EQ(test, i, nr);
	/* Of so many rounds the sequence gives each end some. */
	for (how = 0; how < NR_ENDS && nr >= SETTLE; how++)
		KUNIT_EXPECT_GT_MSG(test, s->ended[how], 0, "end %d never came", how);
}

static struct kunit_case sva_storm_cases[] = {
	KUNIT_CASE_PARAM_ATTR(bonds_end_in_a_storm, storm_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite sva_storm_suite = {
	.name = "iommu_sva_storm",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_storm_cases,
};

kunit_test_suite(sva_storm_suite);

MODULE_DESCRIPTION("KUnit test for bonds that end in a storm of DMA and page requests");
MODULE_LICENSE("GPL");
