// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: drains of page requests and stalls
 */
#include <kunit/static_stub.h>
#include <kunit/test-bug.h>

#include "arm_smmu_v3_kunit.h"
#include "sva_stage.h"

static void count_of_an_index_is_less_than_two_rounds_ahead(struct kunit *test)
{
	const struct arm_smmu_queue *q = &((struct smmu_test *)test->priv)->smmu->priq.q;
	const u32 round = 2 * SVA_PRIQ_SIZE;

	for (unsigned long handled = 0; handled < 5 * SVA_PRIQ_SIZE; handled++) {
		for (u32 ahead = 0; ahead < round; ahead++) {
			u32 prod = (handled + ahead) % round;

			KUNIT_ASSERT_EQ(test, arm_smmu_count_at(q, handled, prod),
					handled + ahead);
			KUNIT_ASSERT_EQ(test, arm_smmu_count_at(q, handled, prod | OVERFLOW),
					handled + ahead);
		}
	}
}

/* Hardware gives its requests up to the queue, then a wait; the answers are followed by another. */
static void drain_pushes_and_ends_with_a_wait(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_plain(t);
	t->plain.hold = true;
	push_last(t, 9);
	interrupt(t);
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	cmd = expect_cmd(t, OP_ATC_INV);
	KUNIT_EXPECT_EQ(test, cmd_sid(&cmd), SVA_SID);
	KUNIT_EXPECT_EQ(test, cmd_ssid(&cmd), SVA_SSID);
	KUNIT_EXPECT_EQ(test, cmd_atc_order(&cmd), 52);
	expect_cmd(t, OP_SYNC);
	expect_response(t, 9, 1);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	/* Its handler comes too late, and says nothing. */
	iopf_group_response(t->plain.held, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(t->plain.held);
	expect_no_cmd(t);
	detach_plain(t);
}

/* The CPU that drains is not the one that has answered, and waits for its own queue only. */
static void answers_and_the_wait_for_them_share_a_queue(struct kunit *test)
{
	struct arm_smmu_cmdq_ent resume = { .opcode = CMDQ_OP_RESUME, .resume.sid = SVA_SID };
	struct smmu_test *t = test->priv;
	u32 *reg = smmu_add_queue(t);

	attach_plain(t);
	t->plain.hold = true;
	push_last(t, 9);
	interrupt(t);
	smmu_use_queue(t, true);
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	arm_smmu_cmdq_issue_cmd(t->smmu, &resume);
	smmu_use_queue(t, false);
	/* The ATC's invalidation, which is waited for there */
	KUNIT_EXPECT_EQ(test, *reg, 2);
	expect_response(t, 9, 1);
	expect_cmd(t, OP_SYNC);
	expect_cmd(t, OP_RESUME);
	expect_no_cmd(t);
	iopf_free_group(t->plain.held);
	detach_plain(t);
}

static void drain_leaves_other_pasids_alone(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	t->plain.hold = true;
	push_last(t, 9);
	interrupt(t);
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID + 1);
	expect_cmd(t, OP_ATC_INV);
	expect_cmd(t, OP_SYNC);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	iopf_group_response(t->plain.held, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(t->plain.held);
	expect_response(t, 9, 2);
	detach_plain(t);
}

static void drain_of_a_device_without_faults_does_nothing(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	t->fn[0]->master.iopf_enabled = false;
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	expect_no_cmd(t);
}

static void smmu_priq_work(struct work_struct *work)
{
	struct smmu_test *t = container_of(work, struct smmu_test, irq);

	arm_smmu_sva_priq_thread(t->smmu);
}

/* Holds the streams from the time that the test is told to the time that the test sleeps. */
static void smmu_hold_streams(struct work_struct *work)
{
	struct smmu_test *t = container_of(work, struct smmu_test, holder);

	guard(mutex)(&t->smmu->streams_mutex);
	complete(&t->held);
	wait_for_completion(&t->drains);
	backend_wait_until_asleep(t->task);
}

/* The entry has left the queue, and can't be reported while another thread has the streams. */
static void drain_waits_for_the_pri_queue(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	INIT_WORK(&t->irq, smmu_priq_work);
	INIT_WORK(&t->holder, smmu_hold_streams);
	init_completion(&t->held);
	init_completion(&t->drains);
	push_last(t, 0x12);
	schedule_work(&t->holder);
	wait_for_completion(&t->held);
	schedule_work(&t->irq);
	KUNIT_EXPECT_TRUE(test, sva_becomes(priq_is_empty(t)));
	complete(&t->drains);
	/* A drain that does not sleep comes back before the entry is reported. */
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	KUNIT_EXPECT_EQ(test, READ_ONCE(t->plain.groups), 1);
	KUNIT_EXPECT_EQ(test, READ_ONCE(t->smmu->priq.q.handled), 1);
	flush_work(&t->holder);
	flush_work(&t->irq);
	detach_plain(t);
}

/* As the base's event thread does it */
static int smmu_report_stall(struct smmu_test *t)
{
	struct iopf_fault evt = {
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm = {
			.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
				 IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
			.pasid = SVA_SSID,
			.grpid = 0x34,
			.perm = IOMMU_FAULT_PERM_READ,
		},
	};

	return iommu_report_device_fault(&t->fn[0]->pdev.dev, &evt);
}

static void smmu_evtq_work(struct work_struct *work)
{
	struct smmu_test *t = container_of(work, struct smmu_test, irq);

	backend_wait_until_asleep(t->task);
	smmu_report_stall(t);
	arm_smmu_sva_handled(&t->smmu->evtq.q, 1);
}

static void drain_of_a_stalling_device_waits_for_the_event_queue(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	t->fn[0]->master.pri_capable = false;
	t->fn[0]->master.stall_enabled = true;
	attach_plain(t);
	t->plain.hold = true;
	INIT_WORK(&t->irq, smmu_evtq_work);
	t->reg[3]++;
	schedule_work(&t->irq);
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	flush_work(&t->irq);
	KUNIT_EXPECT_EQ(test, t->plain.groups, 1);
	expect_cmd(t, OP_SYNC);
	cmd = expect_cmd(t, OP_RESUME);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(15, 0), cmd.w[1]), 0x34);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	iopf_free_group(t->plain.held);
	detach_plain(t);
}

/* Makes it a device that stalls, on the fault queue and with a domain that takes faults. */
static void smmu_make_stalling(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;

	iopf_queue_remove_device(t->smmu->evtq.iopf, dev);
	t->fn[0]->master.pri_capable = false;
	t->fn[0]->master.atc_live = false;
	t->fn[0]->master.stall_enabled = true;
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(t->smmu->evtq.iopf, dev), 0);
	attach_plain(t);
}

/* The SMMU holds the transaction, whatever becomes of the device. */
static void stall_in_a_reset_is_terminated(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	smmu_make_stalling(test);
	iopf_quiesce_device(&t->fn[0]->pdev.dev);
	expect_cmd(t, OP_SYNC);
	expect_cmd(t, OP_SYNC);
	KUNIT_EXPECT_EQ(test, smmu_report_stall(t), -ESHUTDOWN);
	KUNIT_EXPECT_EQ(test, t->plain.groups, 0);
	cmd = expect_cmd(t, OP_RESUME);
	KUNIT_EXPECT_EQ(test, FIELD_GET(CMDQ_RESUME_1_STAG, cmd.w[1]), 0x34);
	/* As the suite's own page_response() writes it */
	KUNIT_EXPECT_EQ(test, FIELD_GET(CMDQ_RESUME_0_RESP, cmd.w[0]), IOMMU_PAGE_RESP_INVALID);
	expect_no_cmd(t);
	iopf_resume_device(&t->fn[0]->pdev.dev);
	expect_cmd(t, OP_SYNC);
	expect_cmd(t, OP_SYNC);
	KUNIT_EXPECT_EQ(test, smmu_report_stall(t), 0);
	KUNIT_EXPECT_EQ(test, t->plain.groups, 1);
	expect_cmd(t, OP_RESUME);
	expect_no_cmd(t);
	detach_plain(t);
}

static void smmu_disable_work(struct work_struct *work)
{
	struct smmu_test *t = container_of(work, struct smmu_test, disable);

	arm_smmu_master_disable_iopf(&t->fn[0]->master);
}

/* It comes while the last requests are waited for, and enables ATS. */
static void attach_does_not_enable_page_requests_that_are_being_disabled(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	t->fn[0]->pdev.pri_cap = 0x240;
	INIT_WORK(&t->irq, smmu_priq_work);
	INIT_WORK(&t->disable, smmu_disable_work);
	push_last(t, 0x12);
	mutex_lock(&t->smmu->streams_mutex);
	schedule_work(&t->irq);
	KUNIT_EXPECT_TRUE(test, sva_becomes(priq_is_empty(t)));
	schedule_work(&t->disable);
	KUNIT_EXPECT_TRUE(test, sva_becomes(!READ_ONCE(master->pri_enabled)));
	scoped_guard(mutex, &master->lock)
		arm_smmu_sva_start_ats(master, 0);
	KUNIT_EXPECT_FALSE(test, master->pri_enabled);
	KUNIT_EXPECT_FALSE(test, t->fn[0]->pdev.pri_enabled);
	mutex_unlock(&t->smmu->streams_mutex);
	flush_work(&t->disable);
	flush_work(&t->irq);
	KUNIT_EXPECT_FALSE(test, master->iopf_enabled);
	KUNIT_EXPECT_NULL(test, rcu_access_pointer(t->fn[0]->pdev.dev.iommu->fault_param));
}

static unsigned long smmu_short_step(void)
{
	return 1;
}

/* What is read later must not find another process's. */
static void drain_gives_up_an_interrupt_thread_that_does_not_run(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;

	kunit_activate_static_stub(test, arm_smmu_sva_step, smmu_short_step);
	push_last(t, 9);
	KUNIT_EXPECT_FALSE(test, iopf_atc_holds(SVA_SSID, NULL));
	arm_smmu_sva_drain(dev, SVA_SSID);
	expect_cmd(t, OP_ATC_INV);
	expect_cmd(t, OP_SYNC);
	/* The rest of the drain is done all the same. */
	expect_cmd(t, OP_SYNC);
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(dev));
	KUNIT_EXPECT_TRUE(test, iopf_atc_holds(SVA_SSID, NULL));
	interrupt(t);
}

static struct kunit_case arm_smmu_v3_drain_cases[] = {
	KUNIT_CASE(count_of_an_index_is_less_than_two_rounds_ahead),
	KUNIT_CASE(drain_pushes_and_ends_with_a_wait),
	KUNIT_CASE(answers_and_the_wait_for_them_share_a_queue),
	KUNIT_CASE(drain_leaves_other_pasids_alone),
	KUNIT_CASE(drain_of_a_device_without_faults_does_nothing),
	KUNIT_CASE(drain_waits_for_the_pri_queue),
	KUNIT_CASE(drain_of_a_stalling_device_waits_for_the_event_queue),
	KUNIT_CASE(stall_in_a_reset_is_terminated),
	KUNIT_CASE(attach_does_not_enable_page_requests_that_are_being_disabled),
	KUNIT_CASE(drain_gives_up_an_interrupt_thread_that_does_not_run),
	{}
};

static struct kunit_suite arm_smmu_v3_drain_suite = {
	.name = "arm_smmu_v3_drain",
	.init = smmu_test_init,
	.exit = smmu_test_exit,
	.test_cases = arm_smmu_v3_drain_cases,
};

kunit_test_suite(arm_smmu_v3_drain_suite);
