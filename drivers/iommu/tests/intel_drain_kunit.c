// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core: drains of page requests (VT-d 4.1, section 7.10)
 */
#include <kunit/static_stub.h>
#include <kunit/test-bug.h>

#include "intel_vtd_kunit.h"

static void drain_pushes_with_pasid_selective_flushes(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc[PRQ_MAX_PUSH];

	guard(rcu)();
	KUNIT_ASSERT_EQ(test, intel_prq_make_push(desc, &vtd->dev[0]->info, VTD_PASID), 3);
	KUNIT_EXPECT_EQ(test, desc[0].qw0, VTD_WAIT | BIT_ULL(6));
	KUNIT_EXPECT_EQ(test, desc[1].qw0 & 0xf, VTD_IOTLB);
	KUNIT_EXPECT_EQ(test, desc[1].qw0 >> 32, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_iotlb_order(&desc[1]), SVA_ORDER_ALL);
	KUNIT_EXPECT_EQ(test, desc[2].qw0 & 0xf, VTD_ATC);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc[2].qw0), VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_atc_order(&desc[2]), SVA_ORDER_ALL);
}

static void drain_without_pasid_pushes_with_plain_flushes(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc[PRQ_MAX_PUSH];

	guard(rcu)();
	KUNIT_ASSERT_EQ(test, intel_prq_make_push(desc, &vtd->dev[0]->info, IOMMU_NO_PASID), 3);
	KUNIT_EXPECT_EQ(test, desc[0].qw0, VTD_WAIT | BIT_ULL(6));
	KUNIT_EXPECT_EQ(test, desc[1].qw0 & 0xf, QI_IOTLB_TYPE);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16), desc[1].qw0), FLPT_DEFAULT_DID);
	KUNIT_EXPECT_EQ(test, desc[2].qw0 & 0xf, QI_DIOTLB_TYPE);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(47, 32), desc[2].qw0), VTD_RID);
}

static void drain_of_a_device_without_ats_has_no_atc_flush(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc[PRQ_MAX_PUSH];

	guard(rcu)();
	vtd->dev[0]->info.ats_enabled = 0;
	KUNIT_EXPECT_EQ(test, intel_prq_make_push(desc, &vtd->dev[0]->info, VTD_PASID), 2);
	vtd->dev[1]->pdev.error_state = pci_channel_io_perm_failure;
	KUNIT_EXPECT_EQ(test, intel_prq_make_push(desc, &vtd->dev[1]->info, VTD_PASID), 2);
}

static void drain_of_a_device_without_pri_does_nothing(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->dev[0]->info.pri_enabled = 0;
	intel_iommu_drain_pasid_prq(&vtd->dev[0]->pdev.dev, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
}

/* Comes when the test sleeps. */
static void vtd_irq_work(struct work_struct *work)
{
	struct vtd *vtd = container_of(work, struct vtd, irq);

	backend_wait_until_asleep(vtd->task);
	*vtd_reg(vtd, DMAR_PRS_REG) = 0;
	vtd_interrupt(vtd);
	*vtd_reg(vtd, DMAR_PRS_REG) = 0;
	wake_up_var(&vtd->hw->prq_seq_number);
}

/* Drains. Each submission calls @on_submit, which may schedule @work. */
static void vtd_drain_while(struct vtd *vtd, void (*on_submit)(struct vtd *vtd, unsigned long opts),
			    work_func_t work)
{
	INIT_WORK(&vtd->irq, work);
	vtd->on_submit = on_submit;
	intel_iommu_drain_pasid_prq(&vtd->dev[0]->pdev.dev, VTD_PASID);
}

static void vtd_ring_fills(struct vtd *vtd, unsigned long options)
{
	if (!(options & QI_OPT_WAIT_DRAIN) || vtd_submissions(vtd))
		return;
	vtd_push_group(vtd, 0x12);
	schedule_work(&vtd->irq);
}

/* Hardware first, then software, then the responses */
static void drain_answers_what_hardware_still_held(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	const struct vtd_event *last;

	vtd_attach_plain(vtd);
	vtd->plain.hold = true;
	vtd_drain_while(vtd, vtd_ring_fills, vtd_irq_work);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 1);
	vtd_expect_response(vtd, 0, 0x12, 1);
	/* Behind the response there is a wait that says it has left. */
	last = &vtd->events[vtd->nr - 1];
	KUNIT_EXPECT_EQ(test, last->kind, VTD_SUBMITTED);
	KUNIT_EXPECT_EQ(test, last->options, QI_OPT_WAIT_DRAIN);
	KUNIT_EXPECT_TRUE(test, last > vtd_find(vtd, VTD_RESPONSE, 0));
	/* The handler is late, and says nothing. */
	iopf_group_response(vtd->plain.held, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(vtd->plain.held);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 1);
	flush_work(&vtd->irq);
	vtd_detach_plain(vtd);
}

static void drain_waits_for_the_interrupt_thread(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_drain_while(vtd, vtd_ring_fills, vtd_irq_work);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 1);
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_seq_number, 1);
	flush_work(&vtd->irq);
	vtd_detach_plain(vtd);
}

static void vtd_ring_overflows_once(struct vtd *vtd, unsigned long options)
{
	if (vtd->nr > 3)
		return;
	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	schedule_work(&vtd->irq);
}

/* Requests that found no room may still be held back: once more. */
static void drain_pushes_again_after_an_overflow(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_drain_while(vtd, vtd_ring_overflows_once, vtd_irq_work);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), 3);
	flush_work(&vtd->irq);
}

static void vtd_overflow_comes_and_goes(struct vtd *vtd, unsigned long options)
{
	if (vtd_count(vtd, VTD_ATC) == 1)
		vtd->hw->prq_losses++;
}

/* The interrupt thread may be done with it before the drain looks. */
static void drain_notices_an_overflow_that_is_over(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->on_submit = vtd_overflow_comes_and_goes;
	intel_iommu_drain_pasid_prq(&vtd->dev[0]->pdev.dev, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
}

static void vtd_overflow_ends(struct vtd *vtd, unsigned long options)
{
	*vtd_reg(vtd, DMAR_PRS_REG) &= ~DMA_PRS_PRO;
}

/* The interrupt thread has counted it before the drain begins, and clears it after the push. */
static void drain_notices_an_overflow_that_ends_meanwhile(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->hw->prq_losses++;
	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	vtd->on_submit = vtd_overflow_ends;
	intel_iommu_drain_pasid_prq(&vtd->dev[0]->pdev.dev, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
}

#define VTD_FOR_EVER	20

static void vtd_ring_overflows_for_ever(struct vtd *vtd, unsigned long options)
{
	if (vtd_type(&vtd->events[vtd->nr - 1]) != VTD_ATC ||
	    vtd_count(vtd, VTD_ATC) >= VTD_FOR_EVER)
		return;
	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	schedule_work(&vtd->irq);
}

/* It may be another device that ignores its credits. */
static void drain_ends_though_the_ring_overflows_for_ever(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_drain_while(vtd, vtd_ring_overflows_for_ever, vtd_irq_work);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), PRQ_MAX_PUSHES);
	/* The rest of the drain is done all the same. */
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), PRQ_MAX_PUSHES + 1);
	flush_work(&vtd->irq);
}

/*
 * All PASIDs: the flushes are those of a drain without one. The device is about to be reset,
 * perhaps because it hangs: nothing may need its help.
 */
static void drain_of_all_pasids_does_not_ask_the_device(struct kunit *test)
{
	struct qi_desc desc[PRQ_MAX_PUSH], plain[PRQ_MAX_PUSH];
	const struct device_domain_info *info;
	struct vtd *vtd = test->priv;

	info = &vtd->dev[0]->info;
	scoped_guard(rcu) {
		KUNIT_ASSERT_EQ(test, intel_prq_make_push(desc, info, IOMMU_PASID_INVALID), 2);
		KUNIT_ASSERT_EQ(test, intel_prq_make_push(plain, info, IOMMU_NO_PASID), 3);
	}
	KUNIT_EXPECT_MEMEQ(test, desc, plain, 2 * sizeof(*desc));
	vtd->nr = 0;
	iopf_quiesce_device(&vtd->dev[0]->pdev.dev);
	KUNIT_EXPECT_GE(test, vtd_submissions(vtd), 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, QI_DIOTLB_TYPE), 0);
	iopf_resume_device(&vtd->dev[0]->pdev.dev);
}

static void vtd_sleep_work(struct work_struct *work)
{
	struct vtd *vtd = container_of(work, struct vtd, irq);

	backend_wait_until_asleep(vtd->task);
	vtd_sleep(vtd, vtd->hw, 0);
	vtd_interrupt(vtd);
}

static void drain_that_slept_goes_on(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_drain_while(vtd, vtd_ring_fills, vtd_sleep_work);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 1);
	flush_work(&vtd->irq);
	vtd_detach_plain(vtd);
}

static void vtd_sleeps_once(struct vtd *vtd, unsigned long options)
{
	vtd->on_submit = NULL;
	intel_prq_suspend(vtd->hw);
}

/* A ring that was full before is empty afterwards, and requests may have been held back. */
static void drain_pushes_again_after_a_sleep(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->on_submit = vtd_sleeps_once;
	intel_iommu_drain_pasid_prq(&vtd->dev[0]->pdev.dev, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
}

static DECLARE_COMPLETION(vtd_drained);
static bool vtd_drained_in_time;

static unsigned long vtd_endless_step(void)
{
	return 120 * HZ;
}

static void vtd_sleep_work_sees_the_end(struct work_struct *work)
{
	vtd_sleep_work(work);
	vtd_drained_in_time = wait_for_completion_timeout(&vtd_drained, 40 * HZ);
}

/* Sleep takes away the bit that it waits for. The end of sleep wakes the drain: no step passes. */
static void drain_that_slept_over_an_overflow_goes_on(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	kunit_activate_static_stub(test, intel_prq_step, vtd_endless_step);
	reinit_completion(&vtd_drained);
	vtd_drain_while(vtd, vtd_ring_overflows_once, vtd_sleep_work_sees_the_end);
	complete(&vtd_drained);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
	flush_work(&vtd->irq);
	KUNIT_EXPECT_TRUE(test, vtd_drained_in_time);
}

static unsigned long vtd_short_step(void)
{
	return 1;
}

static void vtd_drain_without_the_thread(struct vtd *vtd)
{
	struct kunit *test = kunit_get_current_test();
	struct device *dev = &vtd->dev[0]->pdev.dev;

	kunit_activate_static_stub(test, intel_prq_step, vtd_short_step);
	KUNIT_EXPECT_FALSE(test, iopf_atc_holds(VTD_PASID, NULL));
	intel_iommu_drain_pasid_prq(dev, VTD_PASID);
	/* The rest of the drain is done all the same. */
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), 2);
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(dev));
	KUNIT_EXPECT_TRUE(test, iopf_atc_holds(VTD_PASID, NULL));
}

/* What is read later must not find another process's. */
static void drain_gives_up_an_interrupt_thread_that_does_not_run(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_push_group(vtd, 0x12);
	vtd_drain_without_the_thread(vtd);
	vtd_interrupt(vtd);
}

static void drain_gives_up_an_overflow_that_nobody_ends(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	vtd_drain_without_the_thread(vtd);
	*vtd_reg(vtd, DMAR_PRS_REG) = 0;
}

static struct kunit_case intel_drain_cases[] = {
	KUNIT_CASE(drain_pushes_with_pasid_selective_flushes),
	KUNIT_CASE(drain_without_pasid_pushes_with_plain_flushes),
	KUNIT_CASE(drain_of_a_device_without_ats_has_no_atc_flush),
	KUNIT_CASE(drain_of_a_device_without_pri_does_nothing),
	KUNIT_CASE(drain_of_all_pasids_does_not_ask_the_device),
	KUNIT_CASE(drain_answers_what_hardware_still_held),
	KUNIT_CASE(drain_waits_for_the_interrupt_thread),
	KUNIT_CASE(drain_pushes_again_after_an_overflow),
	KUNIT_CASE(drain_notices_an_overflow_that_is_over),
	KUNIT_CASE(drain_notices_an_overflow_that_ends_meanwhile),
	KUNIT_CASE(drain_ends_though_the_ring_overflows_for_ever),
	KUNIT_CASE(drain_that_slept_goes_on),
	KUNIT_CASE(drain_that_slept_over_an_overflow_goes_on),
	KUNIT_CASE(drain_pushes_again_after_a_sleep),
	KUNIT_CASE(drain_gives_up_an_interrupt_thread_that_does_not_run),
	KUNIT_CASE(drain_gives_up_an_overflow_that_nobody_ends),
	{}
};

static struct kunit_suite intel_drain_suite = {
	.name = "intel_drain",
	.init = vtd_test_init,
	.exit = vtd_test_exit,
	.test_cases = intel_drain_cases,
};

kunit_test_suite(intel_drain_suite);
