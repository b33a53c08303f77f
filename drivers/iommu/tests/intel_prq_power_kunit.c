// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core: set-up, sleep and tear-down of the page request queue
 */
#include "intel_vtd_kunit.h"
#include "sva_stage.h"

/* Its registers are memory, and its interrupt never comes by itself. */
static struct intel_iommu *vtd_enable_prq(struct vtd *vtd)
{
	struct intel_iommu *hw = kunit_kzalloc(vtd->test, sizeof(*hw), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(vtd->test, hw);
	hw->reg = vtd->hw->reg;
	hw->node = NUMA_NO_NODE;
	hw->seq_id = 1;
	hw->device_rbtree = RB_ROOT;
	spin_lock_init(&hw->device_rbtree_lock);
	raw_spin_lock_init(&hw->register_lock);
	mutex_init(&hw->iopf_lock);
	KUNIT_ASSERT_EQ(vtd->test, intel_iommu_enable_prq(hw), 0);
	synchronize_irq(hw->pr_irq);
	return hw;
}

/* A stop marker, so that there is no answer */
static void vtd_push_marker(struct intel_iommu *hw)
{
	u64 tail = dmar_readq(hw->reg + DMAR_PQT_REG);

	hw->prq[tail / sizeof(*hw->prq)].qw[1] = VTD_L;
	dmar_writeq(hw->reg + DMAR_PQT_REG, tail + sizeof(*hw->prq));
}

/* As another kernel has left it */
static void queue_starts_clean(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *hw;

	*vtd_reg(vtd, DMAR_PRS_REG) = DMA_PRS_PPR | DMA_PRS_PRO;
	*vtd_reg64(vtd, DMAR_PQA_REG) = 0x1234000 | 7;
	*vtd_reg64(vtd, DMAR_PQH_REG) = 0;
	*vtd_reg64(vtd, DMAR_PQT_REG) = 0;
	hw = vtd_enable_prq(vtd);
	KUNIT_EXPECT_EQ(test, vtd->nr, 1);
	KUNIT_EXPECT_EQ(test, vtd->events[0].kind, VTD_CLEAR);
	KUNIT_EXPECT_EQ(test, vtd->events[0].bits, DMA_PRS_PPR | DMA_PRS_PRO);
	KUNIT_EXPECT_EQ(test, vtd->posted, 0);
	/*
	 * The thread has looked, for what came before there was an interrupt: it has written PPR,
	 * to what is memory here.
	 */
	KUNIT_EXPECT_EQ(test, *vtd_reg(vtd, DMAR_PRS_REG), DMA_PRS_PPR);
	KUNIT_EXPECT_EQ(test, hw->prq_losses, 0);
	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(hw), 0);
}

static void queue_starts_empty(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *hw;

	*vtd_reg64(vtd, DMAR_PQH_REG) = 0x40;
	*vtd_reg64(vtd, DMAR_PQT_REG) = 0xa0;
	hw = vtd_enable_prq(vtd);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQH_REG), 0);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQT_REG), 0);
	KUNIT_EXPECT_EQ(test, hw->prq_seq_number, 0);
	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(hw), 0);
}

/* Holds the lock from the time that the test is told to the time that the test sleeps. */
static void vtd_hold_iopf_lock(struct work_struct *work)
{
	struct vtd *vtd = container_of(work, struct vtd, irq);

	guard(mutex)(&vtd->late->iopf_lock);
	complete(&vtd->locked);
	wait_for_completion(&vtd->ends);
	backend_wait_until_asleep(vtd->task);
}

/* It is in the middle of a request when the queue is taken down. */
static void late_thread_finds_no_stale_entries(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->late = vtd_enable_prq(vtd);
	init_completion(&vtd->locked);
	init_completion(&vtd->ends);
	INIT_WORK(&vtd->irq, vtd_hold_iopf_lock);
	schedule_work(&vtd->irq);
	wait_for_completion(&vtd->locked);
	vtd_push_marker(vtd->late);
	*vtd_reg(vtd, DMAR_PRS_REG) = 0;
	irq_wake_thread(vtd->late->pr_irq, vtd->late);
	/* It has written PPR, to what is memory here. */
	KUNIT_EXPECT_TRUE(test, sva_becomes(READ_ONCE(*vtd_reg(vtd, DMAR_PRS_REG))));
	complete(&vtd->ends);
	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(vtd->late), 0);
	KUNIT_EXPECT_EQ(test, vtd->late->prq_seq_number, 1);
	flush_work(&vtd->irq);
}

static const unsigned int vtd_event_regs[] = {
	DMAR_PECTL_REG, DMAR_PEDATA_REG, DMAR_PEADDR_REG, DMAR_PEUADDR_REG,
};

static void registers_are_as_before_sleep(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	for (unsigned int i = 0; i < 3; i++)
		vtd_push_group(vtd, i);
	vtd_interrupt(vtd);
	for (unsigned int i = 0; i < ARRAY_SIZE(vtd_event_regs); i++)
		*vtd_reg(vtd, vtd_event_regs[i]) = 0x1000 + i;
	vtd_sleep(vtd, vtd->hw, 0);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQA_REG),
			virt_to_phys(vtd->hw->prq) | PRQ_ORDER);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQH_REG), 3 * sizeof(struct page_req_dsc));
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQT_REG), 3 * sizeof(struct page_req_dsc));
	for (unsigned int i = 0; i < ARRAY_SIZE(vtd_event_regs); i++)
		KUNIT_EXPECT_EQ(test, *vtd_reg(vtd, vtd_event_regs[i]), 0x1000 + i);
	vtd_detach_plain(vtd);
}

static void requests_in_the_ring_are_served_after_sleep(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_push_group(vtd, 0);
	vtd_interrupt(vtd);
	vtd_push_group(vtd, 1);
	vtd_push_group(vtd, 2);
	vtd_sleep(vtd, vtd->hw, 0x60);
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	/* Those, and nothing that is older; and the ring goes on behind them. */
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_seq_number, 3);
	vtd_push_group(vtd, 3);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 4);
	for (unsigned int i = 0; i < 4; i++)
		vtd_expect_response(vtd, i, i, 0);
	vtd_detach_plain(vtd);
}

/* Devices may have forgotten the rest of a group; once. */
static void sleep_counts_as_a_loss(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_sleep(vtd, vtd->hw, 0);
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_losses, 1);
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_NONE);
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_losses, 1);
}

static void vtd_expect_end_of_sleep(struct backend_domain *plain)
{
	struct vtd *vtd = container_of(plain, struct vtd, plain);

	KUNIT_EXPECT_EQ(vtd->test, vtd->hw->prq_resumed, plain->groups == 1);
}

/* A device may have forgotten what it had not asked completely. */
static void partials_of_before_a_sleep_meet_nothing_of_after(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd->plain.on_report = vtd_expect_end_of_sleep;
	vtd_push_group(vtd, 1);
	vtd_sleep(vtd, vtd->hw, 0);
	vtd_push_group(vtd, 2);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 2);
	vtd->plain.on_report = NULL;
	vtd_detach_plain(vtd);
}

/* No interrupt comes for what came in before. */
static void resume_has_the_ring_looked_at(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *hw;

	hw = vtd_enable_prq(vtd);
	vtd_push_marker(hw);
	vtd_sleep(vtd, hw, 0);
	synchronize_irq(hw->pr_irq);
	KUNIT_EXPECT_EQ(test, hw->prq_seq_number, 1);
	KUNIT_EXPECT_EQ(test, hw->prq_losses, 1);
	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(hw), 0);
}

static void iommu_without_a_queue_sleeps(struct kunit *test)
{
	struct intel_iommu *hw = kunit_kzalloc(test, sizeof(*hw), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, hw);
	intel_prq_suspend(hw);
	intel_prq_resume(hw);
	KUNIT_EXPECT_FALSE(test, hw->prq_resumed);
}

static void queue_is_set_up_and_taken_down(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *hw;

	hw = vtd_enable_prq(vtd);
	KUNIT_EXPECT_NE(test, hw->pr_irq, 0);
	KUNIT_EXPECT_NOT_NULL(test, hw->iopf_queue);
	KUNIT_EXPECT_EQ(test, dmar_readq(hw->reg + DMAR_PQH_REG), 0);
	KUNIT_EXPECT_EQ(test, dmar_readq(hw->reg + DMAR_PQA_REG),
			virt_to_phys(hw->prq) | PRQ_ORDER);

	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(hw), 0);
	KUNIT_EXPECT_EQ(test, dmar_readq(hw->reg + DMAR_PQA_REG), 0);
	KUNIT_EXPECT_EQ(test, hw->pr_irq, 0);
	KUNIT_EXPECT_NULL(test, hw->iopf_queue);
	KUNIT_EXPECT_NULL(test, hw->prq);
}

static struct kunit_case intel_prq_power_cases[] = {
	KUNIT_CASE(queue_starts_clean),
	KUNIT_CASE(queue_starts_empty),
	KUNIT_CASE(late_thread_finds_no_stale_entries),
	KUNIT_CASE(registers_are_as_before_sleep),
	KUNIT_CASE(requests_in_the_ring_are_served_after_sleep),
	KUNIT_CASE(sleep_counts_as_a_loss),
	KUNIT_CASE(partials_of_before_a_sleep_meet_nothing_of_after),
	KUNIT_CASE(resume_has_the_ring_looked_at),
	KUNIT_CASE(iommu_without_a_queue_sleeps),
	KUNIT_CASE(queue_is_set_up_and_taken_down),
	{}
};

static struct kunit_suite intel_prq_power_suite = {
	.name = "intel_prq_power",
	.init = vtd_test_init,
	.exit = vtd_test_exit,
	.test_cases = intel_prq_power_cases,
};

kunit_test_suite(intel_prq_power_suite);
