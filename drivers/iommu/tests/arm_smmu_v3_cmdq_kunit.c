// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: CPUs that wait for others, for room in the command queue, or
 * later for what they have submitted
 */
#include <kunit/static_stub.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/irqreturn.h>
#include <linux/preempt.h>
#include <linux/prandom.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/time64.h>

#include "arm_smmu_v3_kunit.h"

/* Devices that are being cut off */

/**
 * struct smmu_cutter - a CPU that changes what the SMMU believes of a device
 * @work: where it does so
 * @t: whose first device
 * @in: it has begun
 * @done: it is done
 * @trusts: the device has been reset, and is believed again
 */
struct smmu_cutter {
	struct work_struct work;
	struct smmu_test *t;
	struct completion in;
	bool done;
	bool trusts;
};

static void smmu_cut(struct work_struct *work)
{
	struct smmu_cutter *cutter = container_of(work, struct smmu_cutter, work);
	struct arm_smmu_master *master = &cutter->t->fn[0]->master;

	guard(spinlock_irqsave)(&master->ste_lock);
	WRITE_ONCE(master->atc_lost, true);
	complete(&cutter->in);
	/* The SMMU takes its time for the CFGI_STE. */
	mdelay(50);
	if (cutter->trusts)
		WRITE_ONCE(master->atc_lost, false);
	WRITE_ONCE(cutter->done, true);
}

static void smmu_begin_cut(struct smmu_cutter *cutter)
{
	init_completion(&cutter->in);
	INIT_WORK_ONSTACK(&cutter->work, smmu_cut);
	schedule_work(&cutter->work);
	wait_for_completion(&cutter->in);
}

static void smmu_end_cut(struct smmu_cutter *cutter)
{
	KUNIT_EXPECT_TRUE(cutter->t->test, READ_ONCE(cutter->done));
	flush_work(&cutter->work);
	destroy_work_on_stack(&cutter->work);
}

/* What a flush is told that comes in between; it must not go on before the other CPU is done. */
static bool ask_meanwhile(struct smmu_test *t, bool trusts)
{
	struct smmu_cutter cutter = { .t = t, .trusts = trusts };
	bool may;

	smmu_begin_cut(&cutter);
	scoped_guard(rcu)
		may = arm_smmu_sva_ask(&t->fn[0]->master, SVA_SSID);
	smmu_end_cut(&cutter);
	return may;
}

/* The memory that the flush is for would go while the SMMU still believes the device. */
static void flush_without_a_device_waits_until_it_is_cut_off(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	KUNIT_EXPECT_FALSE(test, ask_meanwhile(t, false));
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(&t->fn[0]->pdev.dev));
}

/* It goes on using its ATC. */
static void device_that_is_believed_again_is_asked(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	KUNIT_EXPECT_TRUE(test, ask_meanwhile(t, true));
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(&t->fn[0]->pdev.dev));
}

/* What the kernel's domain has mapped goes, too. */
static void detach_from_a_domain_of_the_kernel_waits_for_the_cut_off(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cutter cutter = { .t = t };

	smmu_begin_cut(&cutter);
	KUNIT_EXPECT_EQ(test, arm_smmu_sva_inv_master(&t->fn[0]->master, IOMMU_NO_PASID), 0);
	smmu_end_cut(&cutter);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 0);
}

/* A queue that does not go on */

/* CPU time in which a submission that is not going to end has shown that */
#define SMMU_ENDLESS_NS		(10ULL * NSEC_PER_SEC)

/**
 * struct smmu_full - a command queue without room
 * @work: makes room if the submission does not end by itself
 * @t: whose queue
 * @cons: its consumer index
 * @runtime: CPU time that the submitter has had when it began
 * @returned: the submission has ended
 * @endless: it would not have
 */
struct smmu_full {
	struct work_struct work;
	struct smmu_test *t;
	u32 cons;
	u64 runtime;
	bool returned;
	bool endless;
};

static void smmu_watch(struct work_struct *work)
{
	struct smmu_full *full = container_of(work, struct smmu_full, work);
	struct sched_entity *se = &full->t->task->se;

	while (!READ_ONCE(full->returned)) {
		if (READ_ONCE(se->sum_exec_runtime) - full->runtime > SMMU_ENDLESS_NS) {
			WRITE_ONCE(full->endless, true);
			WRITE_ONCE(full->cons, READ_ONCE(full->t->reg[0]));
		}
		msleep(20);
	}
}

static void smmu_fill(struct smmu_full *full)
{
	struct arm_smmu_queue *q = &full->t->smmu->cmdq.q;
	u32 prod = full->t->reg[0];

	/* As far behind as it can be; the driver looks at the register when its copy says so. */
	full->cons = prod ^ BIT(q->llq.max_n_shift);
	q->cons_reg = (u32 __iomem __force *)&full->cons;
	WRITE_ONCE(q->llq.cons, full->cons);
}

static void smmu_empty(struct smmu_full *full)
{
	struct arm_smmu_queue *q = &full->t->smmu->cmdq.q;

	q->cons_reg = q->prod_reg;
	WRITE_ONCE(q->llq.cons, full->t->reg[0]);
}

/* Submits to a full queue; on another CPU, a worker ends what would not end. */
static void submit_to_full(struct smmu_test *t, unsigned int cpu)
{
	struct smmu_full full = { .t = t, .runtime = READ_ONCE(current->se.sum_exec_runtime) };

	smmu_fill(&full);
	INIT_WORK_ONSTACK(&full.work, smmu_watch);
	schedule_work_on(cpu, &full.work);
	arm_smmu_sva_sync(t->smmu);
	WRITE_ONCE(full.returned, true);
	flush_work(&full.work);
	destroy_work_on_stack(&full.work);
	smmu_empty(&full);
	KUNIT_EXPECT_FALSE(t->test, full.endless);
}

/* It has been turned off with its queue full: no room comes any more. */
static void full_queue_of_an_smmu_that_is_off_is_not_waited_for(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	unsigned int cpu;

	t->smmu->shut_down = true;
	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	if (cpu < nr_cpu_ids)
		submit_to_full(t, cpu);
	migrate_enable();
	t->smmu->shut_down = false;
	if (cpu >= nr_cpu_ids)
		kunit_skip(test, "needs two CPUs");
	expect_no_cmd(t);
}

/* It terminates all transactions, and is not to be waited for by each flush. */
static void smmu_in_service_failure_mode_gets_no_commands(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	void __iomem *base = t->smmu->base;

	attach_both(t);
	writel_relaxed(0, base + ARM_SMMU_CR0ACK);
	writel_relaxed(GERROR_SFM_ERR, base + ARM_SMMU_GERROR);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, t->smmu), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, readl_relaxed(base + ARM_SMMU_CR0), 0);
	KUNIT_EXPECT_EQ(test, readl_relaxed(base + ARM_SMMU_GERRORN), GERROR_SFM_ERR);
	invalidate(t, SZ_1M, SZ_2M);
	expect_no_cmd(t);
	t->smmu->shut_down = false;
	detach_both(t);
}

/* Flushes in halves */

static const struct iommu_sva_range smmu_pages = { .start = SZ_1G, .end = SZ_1G + 4 * PAGE_SIZE };
static const struct iommu_sva_range smmu_all = { .end = ULONG_MAX };
static const struct iommu_sva_range smmu_exit = { .end = ULONG_MAX, .exits = true };

static bool start_flush(struct smmu_test *t, const struct iommu_sva_range *range,
			u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	guard(rcu)();
	return arm_smmu_sva_ops.start_flush(&t->sdom.smmu_domain.domain, range, notes);
}

static void await_flush(struct smmu_test *t, const struct iommu_sva_range *range,
			u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	guard(rcu)();
	KUNIT_EXPECT_TRUE(t->test, arm_smmu_sva_ops.await_flush(&t->sdom.smmu_domain.domain,
								range, notes));
}

/* The wait for the TLB, then both ATCs and the wait for these: of so many 4 KiB pages each */
static void expect_second_half(struct smmu_test *t, unsigned int order)
{
	struct smmu_cmd cmd;

	expect_cmd(t, OP_SYNC);
	for (unsigned int n = 0; n < 2; n++) {
		cmd = expect_cmd(t, OP_ATC_INV);
		KUNIT_EXPECT_EQ(t->test, cmd_atc_order(&cmd), order);
	}
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
}

static void tlb_is_invalidated_while_the_submitter_does_not_wait(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	u64 notes[IOMMU_SVA_FLUSH_NOTES];

	attach_both(t);
	KUNIT_EXPECT_TRUE(test, start_flush(t, &smmu_pages, notes));
	expect_cmd(t, OP_TLBI_VA);
	expect_no_cmd(t);
	await_flush(t, &smmu_pages, notes);
	expect_second_half(t, PAGE_SHIFT - 12 + 2);
	KUNIT_EXPECT_TRUE(test, start_flush(t, &smmu_all, notes));
	expect_cmd(t, OP_TLBI_ASID);
	expect_no_cmd(t);
	await_flush(t, &smmu_all, notes);
	expect_second_half(t, 52);
	detach_both(t);
}

static void exit_in_halves_quiets_cds_first(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	u64 notes[IOMMU_SVA_FLUSH_NOTES];
	struct smmu_cmd cmd;

	attach_both(t);
	KUNIT_EXPECT_TRUE(test, start_flush(t, &smmu_exit, notes));
	expect_quiet_cds(t);
	KUNIT_EXPECT_TRUE(test, find_cmd(t, OP_TLBI_ASID, &cmd));
	expect_no_cmd(t);
	await_flush(t, &smmu_exit, notes);
	expect_second_half(t, 52);
	detach_both(t);
}

/* 4.4.1.1: from the address on, (NUM + 1) * 2^SCALE pages of the granule TG; 0 is not a granule. */
static void expect_tlbi(struct smmu_test *t, const struct smmu_cmd *cmd, u64 *first, u64 *last)
{
	unsigned int scale = FIELD_GET(GENMASK_ULL(24, 20), cmd->w[0]);
	unsigned int num = FIELD_GET(GENMASK_ULL(16, 12), cmd->w[0]);
	unsigned int tg = FIELD_GET(GENMASK_ULL(11, 10), cmd->w[1]);

	KUNIT_ASSERT_EQ(t->test, cmd_op(cmd), OP_TLBI_VA);
	KUNIT_EXPECT_EQ(t->test, 10 + 2 * tg, PAGE_SHIFT);
	KUNIT_EXPECT_EQ(t->test, FIELD_GET(GENMASK_ULL(63, 48), cmd->w[0]),
			t->sdom.smmu_domain.cd.asid);
	/* Tables go, too; and without a level the command needs two pages. */
	KUNIT_EXPECT_EQ(t->test, cmd->w[1] & (GENMASK_ULL(9, 8) | 1), 0);
	KUNIT_EXPECT_NE(t->test, num | scale, 0);
	*first = cmd->w[1] >> PAGE_SHIFT;
	*last = *first + ((num + 1ULL) << scale) - 1;
}

static void expect_tlbi_cover(struct smmu_test *t, u64 first, u64 last)
{
	u64 from, to, next = first;
	struct smmu_cmd cmd;
	unsigned int n = 0;

	while (next_cmd(t, &cmd)) {
		expect_tlbi(t, &cmd, &from, &to);
		KUNIT_ASSERT_LE(t->test, from, next);
		next = max(next, to + 1);
		n++;
	}
	KUNIT_EXPECT_GT(t->test, next, last);
	KUNIT_EXPECT_LE(t->test, n, SVA_COST_ALL);
}

static void half_of_a_flush_covers_random_ranges(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	u64 notes[IOMMU_SVA_FLUSH_NOTES];
	struct iommu_sva_range range;
	struct rnd_state rnd;

	attach_both(t);
	prandom_seed_state(&rnd, SVA_SEED);
	for (unsigned int i = 0; i < 500; i++) {
		u64 pages = 1 + (prandom_u32_state(&rnd) % SZ_128K >>
				 prandom_u32_state(&rnd) % 17);
		u64 pfn = prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32;

		range = (struct iommu_sva_range){
			.start = pfn << PAGE_SHIFT, .end = (pfn + pages) << PAGE_SHIFT,
		};
		KUNIT_ASSERT_TRUE(test, start_flush(t, &range, notes));
		expect_tlbi_cover(t, pfn, pfn + pages - 1);
		await_flush(t, &range, notes);
		skip_cmds(t);
	}
	detach_both(t);
}

/* A page for each command: as many as a list has room for */
static void half_of_a_flush_without_ranges_is_one_list(struct kunit *test)
{
	struct iommu_sva_range range = { .start = SZ_1G, .end = SZ_1G + 64 * PAGE_SIZE };
	struct smmu_test *t = test->priv;
	u64 notes[IOMMU_SVA_FLUSH_NOTES];

	attach_both(t);
	t->smmu->features &= ~ARM_SMMU_FEAT_RANGE_INV;
	KUNIT_EXPECT_TRUE(test, start_flush(t, &range, notes));
	for (unsigned int n = 0; n < 64; n++) {
		struct smmu_cmd cmd = expect_cmd(t, OP_TLBI_VA);

		KUNIT_EXPECT_EQ(test, cmd.w[1], SZ_1G + n * PAGE_SIZE);
	}
	expect_no_cmd(t);
	await_flush(t, &range, notes);
	skip_cmds(t);
	range.end += PAGE_SIZE;
	KUNIT_EXPECT_FALSE(test, start_flush(t, &range, notes));
	expect_no_cmd(t);
	KUNIT_EXPECT_TRUE(test, start_flush(t, &smmu_all, notes));
	expect_cmd(t, OP_TLBI_ASID);
	await_flush(t, &smmu_all, notes);
	detach_both(t);
}

/* Some need a CMD_SYNC behind each list. A domain may have lost its last device. */
static void flush_that_has_no_halves(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	u64 notes[IOMMU_SVA_FLUSH_NOTES];

	KUNIT_EXPECT_FALSE(test, start_flush(t, &smmu_pages, notes));
	KUNIT_EXPECT_FALSE(test, start_flush(t, &smmu_exit, notes));
	attach_both(t);
	t->smmu->options |= ARM_SMMU_OPT_CMDQ_FORCE_SYNC;
	KUNIT_EXPECT_FALSE(test, start_flush(t, &smmu_pages, notes));
	t->smmu->options &= ~ARM_SMMU_OPT_CMDQ_FORCE_SYNC;
	expect_no_cmd(t);
	detach_both(t);
}

/* A CMD_SYNC waits for its own queue only; the thread may have moved to another CPU. */
static void halves_of_a_flush_share_a_queue(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	u64 notes[IOMMU_SVA_FLUSH_NOTES];
	u32 *reg = smmu_add_queue(t);

	attach_both(t);
	t->smmu->features &= ~ARM_SMMU_FEAT_ATS;
	smmu_use_queue(t, true);
	KUNIT_EXPECT_TRUE(test, start_flush(t, &smmu_pages, notes));
	KUNIT_EXPECT_EQ(test, *reg, 1);
	smmu_use_queue(t, false);
	await_flush(t, &smmu_pages, notes);
	KUNIT_EXPECT_EQ(test, *reg, 2);
	expect_no_cmd(t);
	t->smmu->features |= ARM_SMMU_FEAT_ATS;
	detach_both(t);
}

/* Commands that take long */

static unsigned int smmu_warnings;

static void smmu_count_warning(struct arm_smmu_device *smmu, u32 cons)
{
	smmu_warnings++;
}

/* The CPU that polls may not have run meanwhile. */
static void queue_that_goes_on_is_not_complained_of(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_sva_wait wait = {};
	u32 cons = t->reg[0] + 1;

	smmu_warnings = 0;
	kunit_activate_static_stub(test, arm_smmu_sva_warn_slow, smmu_count_warning);
	t->smmu->cmdq.q.cons_reg = (u32 __iomem __force *)&cons;
	for (unsigned int polls = 0; polls < 10; polls++, cons++)
		KUNIT_EXPECT_TRUE(test, smmu_waits_on(t, &wait));
	KUNIT_EXPECT_EQ(test, smmu_warnings, 0);
	/* It was there before a second of polls. */
	cons--;
	for (unsigned int polls = 0; polls < 10; polls++)
		KUNIT_EXPECT_TRUE(test, smmu_waits_on(t, &wait));
	KUNIT_EXPECT_EQ(test, smmu_warnings, 1);
	t->smmu->cmdq.q.cons_reg = t->smmu->cmdq.q.prod_reg;
}

static struct kunit_case arm_smmu_v3_cmdq_cases[] = {
	KUNIT_CASE(flush_without_a_device_waits_until_it_is_cut_off),
	KUNIT_CASE(device_that_is_believed_again_is_asked),
	KUNIT_CASE(detach_from_a_domain_of_the_kernel_waits_for_the_cut_off),
	KUNIT_CASE(full_queue_of_an_smmu_that_is_off_is_not_waited_for),
	KUNIT_CASE(smmu_in_service_failure_mode_gets_no_commands),
	KUNIT_CASE(tlb_is_invalidated_while_the_submitter_does_not_wait),
	KUNIT_CASE(exit_in_halves_quiets_cds_first),
	KUNIT_CASE(half_of_a_flush_covers_random_ranges),
	KUNIT_CASE(half_of_a_flush_without_ranges_is_one_list),
	KUNIT_CASE(flush_that_has_no_halves),
	KUNIT_CASE(halves_of_a_flush_share_a_queue),
	KUNIT_CASE(queue_that_goes_on_is_not_complained_of),
	{}
};

static struct kunit_suite arm_smmu_v3_cmdq_suite = {
	.name = "arm_smmu_v3_cmdq",
	.init = smmu_test_init,
	.exit = smmu_test_exit,
	.test_cases = arm_smmu_v3_cmdq_cases,
};

kunit_test_suite(arm_smmu_v3_cmdq_suite);
