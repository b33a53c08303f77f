// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: a device is reset while it is bound
 *
 * The reset makes it forget what it has asked, and it may use the same PRG index at once. The
 * ledger of the software IOMMU notes each answer that comes after the reset began, and each ATC
 * invalidation that reaches the device before its end.
 */
#include <kunit/device.h>
#include <linux/mman.h>

#include "iopf_kunit.h"
#include "../iopf.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static void reset(struct soft_endpoint *ep)
{
	iopf_begin_reset(ep);
	iopf_end_reset(ep);
}

static u64 atc_commands(struct kunit *test)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(fixture(test)->iommu, &stats);
	return stats.cmd_atc;
}

/* What is outstanding when the reset comes */

/* More groups than workers; the later results of their workers are dropped. */
static void quiesce_answers_what_is_being_served(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	iopf_ask_slow(&s, 12);
	iopf_quiesce_device(soft_endpoint_dev(s.bond->ep));
	for (unsigned int i = 0; i < 12; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), BAD);
	soft_endpoint_begin_reset(s.bond->ep);
	iopf_end_reset(s.bond->ep);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, s.mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_DRAINED), 12);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 12 + 1);
}

static void quiesce_answers_what_is_in_the_ring(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 8 * PAGE_SIZE);
	struct sva_job *quiesce;

	soft_iommu_hold_prq(fixture(test)->iommu, true);
	for (unsigned int i = 0; i < 8; i++)
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_READ);
	quiesce = iopf_quiesce_job(test, bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(quiesce));
	soft_iommu_hold_prq(fixture(test)->iommu, false);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(quiesce));
	KUNIT_EXPECT_EQ(test, soft_pri_outstanding(bond->ep), 0);
	for (unsigned int i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), BAD);
	soft_endpoint_reset(bond->ep);
	iopf_resume_device(soft_endpoint_dev(bond->ep));
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_DRAINED), 8);
}

static void quiesce_waits_for_an_answer_on_its_way(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct sva_job *quiesce;

	soft_iommu_hold_responses(fixture(test)->iommu, true);
	iopf_last(bond, 0, mem, IOPF_READ);
	KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_counted(bond->ep, IOPF_SERVED) == 1));
	quiesce = iopf_quiesce_job(test, bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(quiesce));
	soft_iommu_hold_responses(fixture(test)->iommu, false);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(quiesce));
	KUNIT_EXPECT_EQ(test, soft_pri_outstanding(bond->ep), 0);
	soft_endpoint_reset(bond->ep);
	iopf_resume_device(soft_endpoint_dev(bond->ep));
}

static void quiesce_forgets_partials(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	iopf_partial(bond, 4, 0, IOPF_READ);
	soft_iommu_sync_prq(fixture(test)->iommu);
	reset(bond->ep);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 4, mem, IOPF_READ), OK);
}

static void quiesce_answers_what_a_handler_keeps(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);

	for (unsigned int i = 0; i < 4; i++)
		iopf_last(bond, i, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 4);
	iopf_quiesce_device(soft_endpoint_dev(bond->ep));
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), BAD);
	soft_endpoint_reset(bond->ep);
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 4);
	iopf_resume_device(soft_endpoint_dev(bond->ep));
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 4);
}

/* A device that loses power forgets what it has asked: it gets no response, and may ask again. */
static void sleep_forgets_what_is_outstanding(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct device *dev = soft_endpoint_dev(s.bond->ep);

	iopf_ask_slow(&s, 12);
	iopf_partial(s.bond, 12, s.mem, IOPF_READ);
	soft_iommu_sync_prq(fixture(test)->iommu);
	iopf_pause(dev, IOPF_PAUSE_SLEEP);
	soft_endpoint_reset(s.bond->ep);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_STALE), 12);
	iopf_unpause(dev, IOPF_PAUSE_SLEEP);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, s.mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 12, s.mem + PAGE_SIZE, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 2);
}

static bool stalls(struct device *dev)
{
	return true;
}

/* The IOMMU has its transactions, and keeps them until they are answered. */
static void sleep_answers_what_is_outstanding_of_a_device_that_stalls(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct device *dev = soft_endpoint_dev(s.bond->ep);

	iopf_ask_slow(&s, 4);
	sva_driver(test, s.bond->ep)->sva_ops.stalls = stalls;
	iopf_pause(dev, IOPF_PAUSE_SLEEP);
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), BAD);
	soft_endpoint_reset(s.bond->ep);
	iopf_unpause(dev, IOPF_PAUSE_SLEEP);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_DRAINED), 4);
}

/* A handler that has taken the group with iopf_group_dequeue() answers when the device is back. */
static void answer_of_a_handler_after_the_reset_comes_to_nothing(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct iopf_group *old = iopf_ask_keeper(bond, keeper, 7);

	iopf_group_dequeue(old);
	reset(bond->ep);
	iopf_last(bond, 7, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 1);
	iopf_group_response(old, OK);
	iopf_free_group(old);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(bond, 7));
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_STALE), 1);
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 1);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 7), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

static void old_index_meets_no_old_answer(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	unsigned long mem = sva_proc_map(s.bond->proc, PAGE_SIZE);

	iopf_ask_slow(&s, 1);
	for (unsigned int i = 0; i < 8; i++) {
		reset(s.bond->ep);
		KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, mem, IOPF_READ), OK);
		KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, 0, IOPF_READ), BAD);
	}
	sva_gate_open(s.gate);
	KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_counted(s.bond->ep, IOPF_LATE) == 1));
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1 + 16);
}

/* Requests that come in between */

static void request_while_stopping_is_refused(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct sva_job *quiesce;
	struct sva_hold *hold;

	hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_DRAIN, soft_endpoint_dev(bond->ep));
	quiesce = iopf_quiesce_job(test, bond->ep);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	iopf_partial(bond, 3, 0, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 3, mem, IOPF_READ), BAD);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_STRAY), 0);
	sva_hold_release(hold);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(quiesce));
	soft_endpoint_reset(bond->ep);
	iopf_resume_device(soft_endpoint_dev(bond->ep));
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 3, mem, IOPF_READ), OK);
}

/* The refusal of a request is as much of an answer as any other. */
static void quiesce_waits_for_a_refusal_on_its_way(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct soft_iommu *iommu = fixture(test)->iommu;
	struct sva_hold *drain, *response;
	struct sva_job *quiesce;

	drain = sva_hold(test, iommu, SOFT_AT_DRAIN, soft_endpoint_dev(bond->ep));
	quiesce = iopf_quiesce_job(test, bond->ep);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(drain));
	response = sva_hold(test, iommu, SOFT_AT_RESPONSE, soft_endpoint_dev(bond->ep));
	iopf_last(bond, 0, 0, IOPF_READ);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(response));
	sva_hold_release(drain);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(quiesce));
	sva_hold_release(response);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(quiesce));
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), BAD);
	soft_endpoint_reset(bond->ep);
	iopf_resume_device(soft_endpoint_dev(bond->ep));
}

/* The device has not noticed yet that it is being reset. */
static void request_between_quiesce_and_reset_is_dropped(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	iopf_quiesce_device(soft_endpoint_dev(bond->ep));
	iopf_partial(bond, 1, 0, IOPF_READ);
	iopf_last(bond, 1, mem, IOPF_READ);
	soft_iommu_sync_prq(fixture(test)->iommu);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(bond, 1));
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_STALE), 2);
	soft_endpoint_begin_reset(bond->ep);
	iopf_end_reset(bond->ep);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 1, mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

static void old_request_in_the_ring_is_dropped_by_resume(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct sva_job *resume;

	iopf_quiesce_device(soft_endpoint_dev(bond->ep));
	soft_iommu_hold_prq(fixture(test)->iommu, true);
	for (unsigned int i = 0; i < 4; i++)
		iopf_last(bond, i, mem, IOPF_READ);
	soft_endpoint_reset(bond->ep);
	resume = iopf_resume_job(test, bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(resume));
	soft_iommu_hold_prq(fixture(test)->iommu, false);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(resume));
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, i, mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_STALE), 4);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 4);
}

static long end_reset_fn(void *ep)
{
	iopf_end_reset(ep);
	return 0;
}

/* The queue would drop what it asks: no test's reset may let it ask so early. */
static void device_asks_nothing_before_resume_is_over(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct sva_job *end;
	u64 value = 1;

	iopf_quiesce_device(soft_endpoint_dev(bond->ep));
	soft_iommu_hold_prq(fixture(test)->iommu, true);
	iopf_last(bond, 1, mem, IOPF_READ);
	soft_endpoint_begin_reset(bond->ep);
	end = sva_job(test, end_reset_fn, bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(end));
	KUNIT_EXPECT_EQ(test, soft_dma_write(bond->ep, bond->pasid, mem, &value, 8), -ENODEV);
	soft_iommu_hold_prq(fixture(test)->iommu, false);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(end));
	KUNIT_EXPECT_EQ(test, soft_dma_write(bond->ep, bond->pasid, mem, &value, 8), 0);
}

/* The ATC */

static void device_in_reset_is_told_of_no_invalidation(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_bond *other = iopf_bind(test, fixture(test)->ep[1], bond->proc);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	u64 value = 1, before;

	KUNIT_EXPECT_EQ(test, soft_dma_write(bond->ep, bond->pasid, mem, &value, 8), 0);
	KUNIT_EXPECT_EQ(test, soft_dma_write(other->ep, other->pasid, mem, &value, 8), 0);
	iopf_begin_reset(bond->ep);
	before = atc_commands(test);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, PAGE_SIZE), 0);
	/* The other device is. */
	KUNIT_EXPECT_EQ(test, atc_commands(test), before + 1);
	SVA_EXPECT_REFUSED(test, other->ep, other->pasid, mem);
	iopf_end_reset(bond->ep);
	SVA_EXPECT_REFUSED(test, bond->ep, bond->pasid, mem);
}

/* Translations that it has fetched between the end of the reset and resume */
static void resume_empties_the_atc(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	sva_poke(test, bond->proc, mem, 1);
	SVA_EXPECT_READS(test, bond->ep, bond->pasid, mem, 1);
	iopf_begin_reset(bond->ep);
	soft_endpoint_end_reset(bond->ep);
	SVA_EXPECT_READS(test, bond->ep, bond->pasid, mem, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(bond->proc, mem, PAGE_SIZE, MADV_DONTNEED), 0);
	sva_poke(test, bond->proc, mem, 2);
	iopf_resume_device(soft_endpoint_dev(bond->ep));
	SVA_EXPECT_READS(test, bond->ep, bond->pasid, mem, 2);
}

static void invalidations_are_sent_again_after_resume(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	u64 value = 1;

	reset(bond->ep);
	KUNIT_EXPECT_EQ(test, soft_dma_write(bond->ep, bond->pasid, mem, &value, 8), 0);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, PAGE_SIZE), 0);
	SVA_EXPECT_REFUSED(test, bond->ep, bond->pasid, mem);
}

struct slow_flush {
	struct iopf_bond *bond;
	unsigned long mem;
	bool begun;
	bool go;
};

/* The thread that sends it can't sleep, nor can this hook. */
static int stop_in_flush(const struct soft_iommu_event *event, void *data)
{
	unsigned long end = jiffies + SVA_PATIENCE;
	struct slow_flush *flush = data;

	WRITE_ONCE(flush->begun, true);
	while (!READ_ONCE(flush->go) && time_before(jiffies, end))
		cpu_relax();
	return 0;
}

static long unmap_fn(void *data)
{
	struct slow_flush *flush = data;

	return sva_proc_munmap(flush->bond->proc, flush->mem, PAGE_SIZE);
}

/* It may have seen that there is no reset, and send the command when there is one. */
static void quiesce_waits_for_an_invalidation_under_way(struct kunit *test)
{
	struct slow_flush *flush = kunit_kzalloc(test, sizeof(*flush), GFP_KERNEL);
	struct soft_iommu *iommu = fixture(test)->iommu;
	struct sva_job *unmap, *quiesce;
	u64 value = 1;

	KUNIT_ASSERT_NOT_NULL(test, flush);
	flush->bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	flush->mem = sva_proc_map(flush->bond->proc, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, soft_dma_write(flush->bond->ep, flush->bond->pasid, flush->mem,
					     &value, 8), 0);
	soft_iommu_set_hook(iommu, SOFT_AT_INVALIDATE, stop_in_flush, flush);
	unmap = sva_job(test, unmap_fn, flush);
	KUNIT_EXPECT_TRUE(test, sva_becomes(READ_ONCE(flush->begun)));
	quiesce = iopf_quiesce_job(test, flush->bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(quiesce));
	WRITE_ONCE(flush->go, true);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(quiesce));
	KUNIT_ASSERT_TRUE(test, sva_job_ends(unmap));
	soft_iommu_set_hook(iommu, SOFT_AT_INVALIDATE, NULL, NULL);
	soft_endpoint_reset(flush->bond->ep);
	iopf_resume_device(soft_endpoint_dev(flush->bond->ep));
}

/* Bonds, while the device is in a reset */

static void process_exits_during_a_reset(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	u64 value = 1;

	KUNIT_EXPECT_EQ(test, soft_dma_write(bond->ep, bond->pasid, mem, &value, 8), 0);
	iopf_begin_reset(bond->ep);
	sva_proc_kill(bond->proc);
	iopf_end_reset(bond->ep);
	SVA_EXPECT_REFUSED(test, bond->ep, bond->pasid, mem);
}

static void bond_ends_during_a_reset(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	u64 before;

	iopf_ask_slow(&s, 2);
	iopf_begin_reset(s.bond->ep);
	before = atc_commands(test);
	iopf_unbind(s.bond);
	KUNIT_EXPECT_EQ(test, atc_commands(test), before);
	iopf_end_reset(s.bond->ep);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 2);
}

static void bond_begins_during_a_reset(struct kunit *test)
{
	struct soft_endpoint *ep = fixture(test)->ep[0];
	struct iopf_bond *bond;
	unsigned long mem;

	iopf_begin_reset(ep);
	bond = iopf_bind(test, ep, NULL);
	iopf_end_reset(ep);
	mem = sva_proc_map(bond->proc, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
	SVA_EXPECT_READS(test, ep, bond->pasid, mem, 0);
}

static void bonds_outlast_a_reset(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	u64 value = 0x1234;

	KUNIT_EXPECT_EQ(test, soft_dma_write(bond->ep, bond->pasid, mem, &value, 8), 0);
	reset(bond->ep);
	SVA_EXPECT_READS(test, bond->ep, bond->pasid, mem, 0x1234);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_WRITE), OK);
}

static void other_device_notices_nothing_of_a_reset(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 1);
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(s.bond->proc, PAGE_SIZE);

	iopf_ask_slow(&s, 1);
	iopf_begin_reset(bond->ep);
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 1, mem, IOPF_READ), OK);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	iopf_end_reset(bond->ep);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
}

static void enable(struct kunit *test, struct soft_endpoint *ep, bool on)
{
	struct device *dev = soft_endpoint_dev(ep);

	if (on) {
		KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_IOPF), 0);
		KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA), 0);
	} else {
		KUNIT_EXPECT_EQ(test, iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA), 0);
		KUNIT_EXPECT_EQ(test, iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF), 0);
	}
}

/* Its driver gives up in the middle: the device answers nothing until the reset is over. */
static void device_leaves_its_queue_in_a_reset(struct kunit *test)
{
	struct soft_endpoint *ep = fixture(test)->ep[0];
	struct iopf_bond *bond = iopf_bind(test, ep, NULL);
	unsigned long mem;

	iopf_begin_reset(ep);
	iopf_unbind(bond);
	enable(test, ep, false);
	KUNIT_EXPECT_TRUE(test, iopf_device_in_reset(soft_endpoint_dev(ep)));
	iopf_end_reset(ep);
	KUNIT_EXPECT_FALSE(test, iopf_device_in_reset(soft_endpoint_dev(ep)));
	enable(test, ep, true);
	bond = iopf_bind(test, ep, NULL);
	mem = sva_proc_map(bond->proc, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

/* The API itself */

static void device_on_no_queue_needs_no_quiesce(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, false);
	struct device *dev = soft_endpoint_dev(ep);
	u64 before = atc_commands(test);

	iopf_quiesce_device(dev);
	KUNIT_EXPECT_FALSE(test, iopf_device_in_reset(dev));
	iopf_resume_device(dev);
	KUNIT_EXPECT_EQ(test, atc_commands(test), before);
}

/* One that has just been unbound: a flush may have found it on its domain's list. */
static void reset_of_a_device_on_no_queue_waits_for_flushes(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, false);
	struct device *dev = soft_endpoint_dev(ep);
	struct rcu_gp_oldstate grace;

	get_state_synchronize_rcu_full(&grace);
	iopf_quiesce_device(dev);
	KUNIT_EXPECT_TRUE(test, poll_state_synchronize_rcu_full(&grace));
	iopf_resume_device(dev);
}

static void resume_alone_does_nothing(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	u64 before = atc_commands(test);

	iopf_ask_slow(&s, 1);
	iopf_resume_device(soft_endpoint_dev(s.bond->ep));
	KUNIT_EXPECT_EQ(test, atc_commands(test), before);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
}

/* A driver may do it around a function that does it, too. */
static void quiesce_and_resume_may_come_twice(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct device *dev = soft_endpoint_dev(bond->ep);
	u64 before = atc_commands(test);

	iopf_quiesce_device(dev);
	KUNIT_EXPECT_TRUE(test, iopf_device_in_reset(dev));
	iopf_begin_reset(bond->ep);
	iopf_end_reset(bond->ep);
	iopf_resume_device(dev);
	KUNIT_EXPECT_FALSE(test, iopf_device_in_reset(dev));
	KUNIT_EXPECT_EQ(test, atc_commands(test), before + 1);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

static void resets_in_a_storm(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, SZ_1M);

	for (unsigned int i = 0; i < 30; i++) {
		u64 asked = iopf_counted(bond->ep, IOPF_REQUESTS);

		KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, mem, SZ_1M, true), 0);
		KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_counted(bond->ep, IOPF_REQUESTS) > asked));
		/* Now the first request may not have been served yet, now some have. */
		if (i % 2)
			KUNIT_EXPECT_TRUE(test, sva_becomes(soft_storm_done(bond->ep)));
		iopf_begin_reset(bond->ep);
		soft_storm_stop(bond->ep);
		iopf_end_reset(bond->ep);
		sva_proc_madvise(bond->proc, mem, SZ_1M, MADV_DONTNEED);
	}
	KUNIT_EXPECT_EQ(test, soft_pri_outstanding(bond->ep), 0);
}

static long destroy_fn(void *ep)
{
	soft_endpoint_destroy(ep);
	return 0;
}

/* Error recovery, say, does not hold the device lock. */
static void device_leaves_its_iommu_when_its_pause_has_begun(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, true);
	struct device *dev = get_device(soft_endpoint_dev(ep));
	struct sva_job *quiesce, *destroy;
	struct sva_hold *hold;

	hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_DRAIN, dev);
	quiesce = iopf_quiesce_job(test, ep);
	KUNIT_EXPECT_TRUE(test, sva_hold_caught(hold));
	sva_forget_endpoint(test, ep);
	destroy = sva_job(test, destroy_fn, ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(destroy));
	sva_hold_release(hold);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(quiesce));
	KUNIT_EXPECT_TRUE(test, sva_job_ends(destroy));

	iopf_quiesce_device(dev);
	KUNIT_EXPECT_TRUE(test, iopf_device_in_reset(dev));
	iopf_resume_device(dev);
	put_device(dev);
}

static void device_leaves_its_iommu_when_flushes_are_over(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, false);
	struct rcu_gp_oldstate grace;

	get_state_synchronize_rcu_full(&grace);
	sva_forget_endpoint(test, ep);
	soft_endpoint_destroy(ep);
	KUNIT_EXPECT_TRUE(test, poll_state_synchronize_rcu_full(&grace));
}

static void device_behind_no_iommu_is_no_matter(struct kunit *test)
{
	struct device *dev = kunit_device_register(test, "no-iommu");
	u64 counts[IOPF_NR_COUNTS];

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	iopf_quiesce_device(dev);
	iopf_resume_device(dev);
	KUNIT_EXPECT_EQ(test, iopf_set_timeout(dev, 1), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopf_read_counts(dev, counts), -ENODEV);
}

static struct kunit_case iopf_reset_cases[] = {
	KUNIT_CASE(quiesce_answers_what_is_being_served),
	KUNIT_CASE(quiesce_answers_what_is_in_the_ring),
	KUNIT_CASE(quiesce_waits_for_an_answer_on_its_way),
	KUNIT_CASE(quiesce_forgets_partials),
	KUNIT_CASE(quiesce_answers_what_a_handler_keeps),
	KUNIT_CASE(sleep_forgets_what_is_outstanding),
	KUNIT_CASE(sleep_answers_what_is_outstanding_of_a_device_that_stalls),
	KUNIT_CASE(answer_of_a_handler_after_the_reset_comes_to_nothing),
	KUNIT_CASE(old_index_meets_no_old_answer),
	KUNIT_CASE(request_while_stopping_is_refused),
	KUNIT_CASE(quiesce_waits_for_a_refusal_on_its_way),
	KUNIT_CASE(request_between_quiesce_and_reset_is_dropped),
	KUNIT_CASE(old_request_in_the_ring_is_dropped_by_resume),
	KUNIT_CASE(device_asks_nothing_before_resume_is_over),
	KUNIT_CASE(device_in_reset_is_told_of_no_invalidation),
	KUNIT_CASE(resume_empties_the_atc),
	KUNIT_CASE(invalidations_are_sent_again_after_resume),
	KUNIT_CASE(quiesce_waits_for_an_invalidation_under_way),
	KUNIT_CASE(process_exits_during_a_reset),
	KUNIT_CASE(bond_ends_during_a_reset),
	KUNIT_CASE(bond_begins_during_a_reset),
	KUNIT_CASE(bonds_outlast_a_reset),
	KUNIT_CASE(other_device_notices_nothing_of_a_reset),
	KUNIT_CASE(device_leaves_its_queue_in_a_reset),
	KUNIT_CASE(device_on_no_queue_needs_no_quiesce),
	KUNIT_CASE(reset_of_a_device_on_no_queue_waits_for_flushes),
	KUNIT_CASE(resume_alone_does_nothing),
	KUNIT_CASE(quiesce_and_resume_may_come_twice),
	KUNIT_CASE(resets_in_a_storm),
	KUNIT_CASE(device_leaves_its_iommu_when_its_pause_has_begun),
	KUNIT_CASE(device_leaves_its_iommu_when_flushes_are_over),
	KUNIT_CASE(device_behind_no_iommu_is_no_matter),
	{}
};

static struct kunit_suite iopf_reset_suite = {
	.name = "iopf_reset",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_reset_cases,
};

kunit_test_suite(iopf_reset_suite);

SVA_CONFORM_SUITE(iopf_reset, iopf_fixture_init, iopf_fixture_exit,
		  SVA_CONFORM_CASE(quiesce_answers_what_is_being_served),
		  SVA_CONFORM_CASE(quiesce_waits_for_an_answer_on_its_way),
		  SVA_CONFORM_CASE(quiesce_forgets_partials),
		  SVA_CONFORM_CASE(device_in_reset_is_told_of_no_invalidation),
		  SVA_CONFORM_CASE(resume_empties_the_atc),
		  SVA_CONFORM_CASE(invalidations_are_sent_again_after_resume),
		  SVA_CONFORM_CASE(process_exits_during_a_reset),
		  SVA_CONFORM_CASE(bonds_outlast_a_reset));

MODULE_DESCRIPTION("KUnit tests for resets of devices with I/O page faults");
MODULE_LICENSE("GPL");
