// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: CPUs that wait for others, or for room in the command queue
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/irqreturn.h>
#include <linux/preempt.h>
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

static struct kunit_case arm_smmu_v3_cmdq_cases[] = {
	KUNIT_CASE(flush_without_a_device_waits_until_it_is_cut_off),
	KUNIT_CASE(device_that_is_believed_again_is_asked),
	KUNIT_CASE(detach_from_a_domain_of_the_kernel_waits_for_the_cut_off),
	KUNIT_CASE(full_queue_of_an_smmu_that_is_off_is_not_waited_for),
	KUNIT_CASE(smmu_in_service_failure_mode_gets_no_commands),
	{}
};

static struct kunit_suite arm_smmu_v3_cmdq_suite = {
	.name = "arm_smmu_v3_cmdq",
	.init = smmu_test_init,
	.exit = smmu_test_exit,
	.test_cases = arm_smmu_v3_cmdq_cases,
};

kunit_test_suite(arm_smmu_v3_cmdq_suite);
