// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bench: page requests on the path of AMD's back-end
 *
 * The same batches as those of the software IOMMU, in a suite of their own, since a second fixture
 * comes to the bench's: an IOMMU of AMD's whose registers, PPR log and command buffer are memory.
 * Requests go from the log through amd-ppr.c, and responses through it and amd-cmds.c into the
 * command buffer. None of the stubs that the KUnit suites put there is active. Hardware answers at
 * once and takes no instructions: what a COMPLETION_WAIT stores is there beforehand, and before a
 * batch the head of the command buffer is where its tail is.
 *
 * What is counted begins when the reader of the log is called, and ends when the last response has
 * been submitted and waited for. The thread of the test is the reader. It has real-time priority;
 * so a worker runs when the log is empty, as behind the PRQ thread of the software IOMMU.
 */
#include <kunit/static_stub.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/limits.h>
#include <linux/sched.h>
#include <linux/timex.h>

#include "amd_kunit.h"
#include "sva_bench.h"

#define AMD_LIMIT	(100 * HZ)
/* So many ticks nothing is done, before the log is read: a worker is asleep then. */
#define AMD_QUIET	3

/**
 * struct bench_amd - the device behind AMD's IOMMU, and a batch of its requests
 * @vi: the IOMMU
 * @fixture: the bench's own, which is &kunit.priv but in calls of the IOMMU's
 * @b: a process and its memory; its bond with the software IOMMU's endpoint is not used
 * @sva: the bond of the same process and the device; NULL: none
 * @ops: of the IOMMU, with responses that are counted
 * @sva_ops: the same
 * @left: responses of the batch that are still to come
 * @ended: when the last of them had been submitted
 * @done: that has happened
 */
struct bench_amd {
	struct amdvi *vi;
	void *fixture;
	struct bench_bond *b;
	struct iommu_sva *sva;
	struct iommu_ops ops;
	struct iommu_sva_ops sva_ops;
	atomic_t left;
	u64 ended;
	struct completion done;
};

static struct bench_amd bench_amd;

/* Responses */

static void amd_count(unsigned int nr)
{
	if (!atomic_sub_and_test(nr, &bench_amd.left))
		return;
	bench_amd.ended = get_cycles();
	complete(&bench_amd.done);
}

static void amd_respond(struct device *dev, struct iopf_fault *evt,
			struct iommu_page_response *resp)
{
	amd_iommu_page_response(dev, evt, resp);
	amd_count(1);
}

static void amd_respond_all(struct device *dev, const struct iopf_response *responses,
			    unsigned int nr)
{
	amd_ppr_page_responses(dev, responses, nr);
	amd_count(nr);
}

/* The device */

static void amd_use_hardware(struct kunit *test, struct amdvi *vi)
{
	kunit_deactivate_static_stub(test, amd_sva_submit);
	kunit_deactivate_static_stub(test, amd_sva_store);
	kunit_deactivate_static_stub(test, amd_ppr_status);
	*vi->hw->cmd_sem = S64_MAX;
	*amdvi_reg(vi, MMIO_STATUS_OFFSET) = MMIO_STATUS_PPR_RUN_MASK;

	bench_amd.sva_ops = amd_sva_ops;
	bench_amd.sva_ops.page_responses = amd_respond_all;
	bench_amd.ops = *vi->hw->iommu.ops;
	bench_amd.ops.sva_ops = &bench_amd.sva_ops;
	bench_amd.ops.page_response = amd_respond;
	vi->hw->iommu.ops = &bench_amd.ops;
}

/* All commands so far have been carried out. */
static void amd_carry_out(struct amdvi *vi)
{
	*amdvi_reg(vi, MMIO_CMD_HEAD_OFFSET) = *amdvi_reg(vi, MMIO_CMD_TAIL_OFFSET);
}

static int bench_amd_init(struct kunit *test)
{
	int ret = bench_init(test);

	if (ret)
		return ret;
	bench_amd.fixture = test->priv;
	ret = amdvi_test_init(test);
	bench_amd.vi = test->priv;
	test->priv = bench_amd.fixture;
	if (ret)
		return ret;
	init_completion(&bench_amd.done);
	amd_use_hardware(test, bench_amd.vi);
	return 0;
}

static void bench_amd_exit(struct kunit *test)
{
	struct iommu_sva *sva = xchg(&bench_amd.sva, NULL);

	amd_carry_out(bench_amd.vi);
	if (sva)
		iommu_sva_unbind_device(sva);
	test->priv = bench_amd.vi;
	amdvi_test_exit(test);
	test->priv = bench_amd.fixture;
	bench_exit(test);
}

/* Batches */

static void amd_fill_log(struct amdvi *vi, struct bench_bond *b, unsigned int nr)
{
	u32 pasid = iommu_sva_get_pasid(bench_amd.sva);

	for (unsigned int i = 0; i < nr; i++)
		amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), pasid, i | AMDVI_LAST,
					   AMDVI_R | AMDVI_W | AMDVI_US | AMDVI_GN), b->addrs[i]);
}

/* Stubs are looked for in threads that belong to a test: here that would be counted. */
static u64 amd_read_log(struct kunit *test, struct amdvi *vi)
{
	u64 began;

	current->kunit_test = NULL;
	began = get_cycles();
	amd_iommu_poll_ppr_log(vi->hw);
	current->kunit_test = test;
	return began;
}

static u64 amd_round(struct kunit *test, unsigned int nr)
{
	struct bench_amd *amd = &bench_amd;
	u64 began;

	amd_carry_out(amd->vi);
	bench_shuffle(amd->b);
	bench_forget_pages(amd->b);
	amd_fill_log(amd->vi, amd->b, nr);
	amd_carry_out(amd->vi);
	reinit_completion(&amd->done);
	atomic_set(&amd->left, nr);
	schedule_timeout_uninterruptible(AMD_QUIET);
	began = amd_read_log(test, amd->vi);
	KUNIT_ASSERT_NE_MSG(test, wait_for_completion_timeout(&amd->done, AMD_LIMIT), 0UL,
			    "responses are missing");
	return amd->ended - began;
}

static u64 amd_batch(struct kunit *test, unsigned int nr)
{
	u64 ticks[BENCH_ROUNDS];

	for (unsigned int i = 0; i < BENCH_ROUNDS; i++)
		ticks[i] = amd_round(test, nr);
	return bench_median(ticks, BENCH_ROUNDS);
}

static void amd_batches(struct kunit *test)
{
	struct bench_amd *amd = &bench_amd;

	sva_fault_around_limit(0);
	amd->b = bench_bond(test, NULL, BENCH_PAGES);
	amd->sva = iommu_sva_bind_device(&amd->vi->dev[0]->pdev.dev,
					 sva_proc_mm(amd->b->bond->proc));
	if (IS_ERR(amd->sva)) {
		KUNIT_FAIL(test, "bind: %pe", amd->sva);
		amd->sva = NULL;
		return;
	}
	bench_report(test, "amd_batch_1", amd_batch(test, 1), 1, "instructions/request");
	bench_report(test, "amd_batch_32", amd_batch(test, BENCH_BATCH), BENCH_BATCH,
		     "instructions/request");
}

static struct kunit_case bench_amd_cases[] = {
	KUNIT_CASE_SLOW(amd_batches),
	{}
};

static struct kunit_suite bench_amd_suite = {
	.name = "iommu_sva_bench_count_amd",
	.init = bench_amd_init,
	.exit = bench_amd_exit,
	.test_cases = bench_amd_cases,
};

kunit_test_suite(bench_amd_suite);
