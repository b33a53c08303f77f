// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD's back-end of the SVA core: the PPR log when it is set up and over a sleep; devices that go
 */
#include <kunit/static_stub.h>
#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/rcupdate.h>

#include "amd_kunit.h"

/* The log */

/* The log runs while it is enabled. */
static u32 amdvi_status_of_log(struct amd_iommu *hw)
{
	return readl(hw->mmio_base + MMIO_CONTROL_OFFSET) & BIT(CONTROL_PPRLOG_EN) ?
	       MMIO_STATUS_PPR_RUN_MASK : 0;
}

/*
 * An IOMMU of the test's own, with the other's registers. The register of the log takes a physical
 * address, which the other's log in vmalloc space does not have: both get a log that has one.
 */
static struct amd_iommu *amdvi_init_log(struct amdvi *vi)
{
	struct amd_iommu *hw = kunit_kzalloc(vi->test, sizeof(*hw), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(vi->test, hw);
	kunit_activate_static_stub(vi->test, amd_ppr_status, amdvi_status_of_log);
	hw->index = AMDVI_INDEX;
	hw->pci_seg = vi->seg;
	hw->mmio_base = vi->hw->mmio_base;
	hw->ppr_log = kunit_kzalloc(vi->test, amd_iommu_pprlog_size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(vi->test, hw->ppr_log);
	vi->hw->ppr_log = hw->ppr_log;
	raw_spin_lock_init(&hw->lock);
	KUNIT_ASSERT_EQ(vi->test, amd_iommu_iopf_init(hw), 0);
	return hw;
}

static struct amd_iommu *amdvi_enable_log(struct amdvi *vi)
{
	struct amd_iommu *hw = amdvi_init_log(vi);

	amd_iommu_enable_ppr_log(hw);
	return hw;
}

static const unsigned int amdvi_log_bits[] = {
	CONTROL_PPR_EN, CONTROL_PPRINT_EN, CONTROL_PPRLOG_EN,
};

static void amdvi_expect_log(struct amdvi *vi, bool on, unsigned int entries)
{
	u32 control = *amdvi_reg(vi, MMIO_CONTROL_OFFSET);

	for (unsigned int i = 0; i < ARRAY_SIZE(amdvi_log_bits); i++)
		KUNIT_EXPECT_EQ(vi->test, !!(control & BIT(amdvi_log_bits[i])), on);
	KUNIT_EXPECT_EQ(vi->test, *amdvi_reg(vi, MMIO_PPR_HEAD_OFFSET),
			entries * PPRLOG_ENTRY_SIZE);
	KUNIT_EXPECT_EQ(vi->test, *amdvi_reg(vi, MMIO_PPR_TAIL_OFFSET),
			entries * PPRLOG_ENTRY_SIZE);
}

static void log_of_another_kernel_is_stopped_and_set_up_anew(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct amd_iommu *hw;
	u64 log;

	*amdvi_reg(vi, MMIO_CONTROL_OFFSET) = BIT(CONTROL_PPRINT_EN) | BIT(CONTROL_PPRLOG_EN);
	*amdvi_reg(vi, MMIO_PPR_HEAD_OFFSET) = 3 * PPRLOG_ENTRY_SIZE;
	*amdvi_reg(vi, MMIO_PPR_TAIL_OFFSET) = 7 * PPRLOG_ENTRY_SIZE;
	hw = amdvi_init_log(vi);
	amdvi_expect_log(vi, false, 0);
	amd_iommu_enable_ppr_log(hw);
	amdvi_expect_log(vi, true, 0);
	/* Its length in entries is a power of two. */
	log = readq(hw->mmio_base + MMIO_PPR_LOG_OFFSET);
	KUNIT_EXPECT_EQ(test, PPRLOG_ENTRY_SIZE << FIELD_GET(GENMASK_ULL(59, 56), log),
			amd_iommu_pprlog_size);
	amd_iommu_iopf_uninit(hw);
}

/* Two logs, one control register */

#define AMDVI_STARTS	10000

/* A thread that starts the event log; @lost: how often a bit was clear that only it clears */
struct amdvi_starter {
	struct work_struct work;
	struct amd_iommu *hw;
	unsigned int lost;
	bool done;
};

static bool amdvi_is_enabled(struct amd_iommu *hw, unsigned int intr, unsigned int log)
{
	u64 bits = BIT(intr) | BIT(log);

	return (readq(hw->mmio_base + MMIO_CONTROL_OFFSET) & bits) == bits;
}

/* scan-log knows the name. */
static void amdvi_start_event_log(struct work_struct *work)
{
	struct amdvi_starter *event = container_of(work, struct amdvi_starter, work);

	for (unsigned int i = 0; i < AMDVI_STARTS; i++) {
		amd_iommu_restart_log(event->hw, "amd-kunit", CONTROL_EVT_INT_EN,
				      CONTROL_EVT_LOG_EN, MMIO_STATUS_EVT_RUN_MASK,
				      MMIO_STATUS_EVT_OVERFLOW_MASK);
		event->lost += !amdvi_is_enabled(event->hw, CONTROL_EVT_INT_EN, CONTROL_EVT_LOG_EN);
		cond_resched();
	}
	WRITE_ONCE(event->done, true);
}

/* The interrupt thread starts the event log, a drain the PPR log: neither undoes the other. */
static void logs_restarted_at_once_both_run(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct amdvi_starter event = { .hw = amdvi_enable_log(vi) };
	struct amd_iommu *hw = event.hw;
	unsigned int lost = 0;

	INIT_WORK_ONSTACK(&event.work, amdvi_start_event_log);
	queue_work(system_unbound_wq, &event.work);
	do {
		amd_iommu_restart_log(hw, "amd-kunit", CONTROL_PPRINT_EN, CONTROL_PPRLOG_EN,
				      MMIO_STATUS_PPR_RUN_MASK, MMIO_STATUS_PPR_OVERFLOW_MASK);
		lost += !amdvi_is_enabled(hw, CONTROL_PPRINT_EN, CONTROL_PPRLOG_EN);
		/* Stops it as well. */
		amd_iommu_enable_ppr_log(hw);
		lost += !amdvi_is_enabled(hw, CONTROL_PPRINT_EN, CONTROL_PPRLOG_EN);
		cond_resched();
	} while (!READ_ONCE(event.done));
	flush_work(&event.work);
	destroy_work_on_stack(&event.work);
	KUNIT_EXPECT_EQ(test, event.lost, 0);
	KUNIT_EXPECT_EQ(test, lost, 0);
	amd_iommu_iopf_uninit(hw);
	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
}

/* Sleep */

/* A stop marker: it wants no answer, which a thread that is not the test's could not send. */
static void amdvi_push_marker(struct amdvi *vi)
{
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 3 | AMDVI_LAST,
				   AMDVI_US | AMDVI_GN), 0);
}

/* All registers are lost. As in syscore, interrupts are off, and no task may be woken up. */
static void amdvi_sleep(struct amdvi *vi, struct amd_iommu *hw)
{
	bool scheduled;

	local_irq_disable();
	amd_ppr_suspend(hw);
	memset(vi->regs, 0, AMDVI_REGS);
	amd_iommu_enable_ppr_log(hw);
	/* For the work item, in whose thread no stub is active. */
	*amdvi_reg(vi, MMIO_STATUS_OFFSET) = MMIO_STATUS_PPR_RUN_MASK;
	scheduled = work_busy(&hw->sva->work);
	local_irq_enable();
	KUNIT_EXPECT_FALSE(vi->test, scheduled);
	irq_work_sync(&hw->sva->awake);
	flush_work(&hw->sva->work);
}

static void registers_of_the_log_are_as_before_a_sleep(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct amd_iommu *hw = amdvi_enable_log(vi);

	for (unsigned int i = 0; i < 3; i++)
		amdvi_push_marker(vi);
	amd_iommu_poll_ppr_log(hw);
	amdvi_sleep(vi, hw);
	amdvi_expect_log(vi, true, 3);
	KUNIT_EXPECT_EQ(test, readq(hw->mmio_base + MMIO_PPR_LOG_OFFSET) & GENMASK_ULL(51, 12),
			virt_to_phys(hw->ppr_log));
	amd_iommu_iopf_uninit(hw);
}

/* No interrupt comes for what came in before. */
static void what_is_in_the_log_is_read_after_a_sleep(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct amd_iommu *hw = amdvi_enable_log(vi);

	amdvi_push_marker(vi);
	amd_iommu_poll_ppr_log(hw);
	amdvi_push_marker(vi);
	amdvi_push_marker(vi);
	amdvi_sleep(vi, hw);
	KUNIT_EXPECT_EQ(test, *amdvi_reg(vi, MMIO_PPR_HEAD_OFFSET), 3 * PPRLOG_ENTRY_SIZE);
	KUNIT_EXPECT_EQ(test, hw->sva->head, 3 * PPRLOG_ENTRY_SIZE);
	KUNIT_EXPECT_FALSE(test, hw->sva->resumed);
	amd_iommu_iopf_uninit(hw);
}

static void amdvi_expect_end_of_sleep(struct backend_domain *plain)
{
	struct amdvi *vi = container_of(plain, struct amdvi, plain);

	KUNIT_EXPECT_EQ(vi->test, vi->hw->sva->resumed, plain->groups == 1);
}

/* A device may have forgotten what it had not asked completely. */
static void partials_of_before_a_sleep_meet_nothing_of_after(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	vi->plain.on_report = amdvi_expect_end_of_sleep;
	amdvi_push_group(vi, 1);
	amd_ppr_suspend(vi->hw);
	amdvi_push_group(vi, 2);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 2);
	vi->plain.on_report = NULL;
	amdvi_detach_plain(vi);
}

static void amdvi_sleeps_once(struct amdvi *vi, bool wait)
{
	vi->on_submit = NULL;
	amd_ppr_suspend(vi->hw);
}

/* It starts a log that had stopped, which may have held requests back. */
static void drain_pushes_again_after_a_sleep(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	vi->on_submit = amdvi_sleeps_once;
	amd_ppr_drain(&vi->dev[0]->pdev.dev, AMDVI_PASID);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 2);
	KUNIT_EXPECT_FALSE(test, vi->hw->sva->resumed);
}

static void iommu_without_page_requests_sleeps(struct kunit *test)
{
	struct amd_iommu *hw = kunit_kzalloc(test, sizeof(*hw), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, hw);
	amd_ppr_suspend(hw);
	amd_iommu_enable_ppr_log(hw);
	KUNIT_EXPECT_NULL(test, hw->sva);
}

/* Devices that go */

static void amdvi_take_away(struct amdvi *vi, unsigned int n)
{
	struct iommu_dev_data *dev_data = &vi->dev[n]->data;

	/* There is no configuration space to disable it in. */
	dev_data->pri_enabled = 0;
	guard(mutex)(&dev_data->mutex);
	amd_iommu_iopf_remove_device(vi->hw, dev_data);
}

/* A flush may have found it on its domain's list. */
static void device_is_kept_for_the_flushes_that_know_it(struct kunit *test)
{
	struct rcu_gp_oldstate grace;
	struct amdvi *vi = test->priv;

	iopf_queue_remove_device(vi->hw->iopf_queue, &vi->dev[0]->pdev.dev);
	vi->dev[0]->data.ppr = 0;
	get_state_synchronize_rcu_full(&grace);
	amdvi_take_away(vi, 0);
	KUNIT_EXPECT_TRUE(test, poll_state_synchronize_rcu_full(&grace));
	KUNIT_EXPECT_FALSE(test, vi->dev[0]->data.atc_live);
	KUNIT_EXPECT_TRUE(test, vi->dev[1]->data.atc_live);
}

/* The core answers all requests of a device before it goes; a late one belongs to no device. */
static void device_that_goes_leaves_no_request(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_push_group(vi, 4);
	amdvi_take_away(vi, 0);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 1);
	amdvi_expect_response(vi, 0, 4, 1);
	amdvi_push_group(vi, 5);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 2);
	amdvi_expect_response(vi, 1, 5, 1);
}

static struct kunit_case amd_power_cases[] = {
	KUNIT_CASE(log_of_another_kernel_is_stopped_and_set_up_anew),
	KUNIT_CASE(logs_restarted_at_once_both_run),
	KUNIT_CASE(registers_of_the_log_are_as_before_a_sleep),
	KUNIT_CASE(what_is_in_the_log_is_read_after_a_sleep),
	KUNIT_CASE(partials_of_before_a_sleep_meet_nothing_of_after),
	KUNIT_CASE(drain_pushes_again_after_a_sleep),
	KUNIT_CASE(iommu_without_page_requests_sleeps),
	KUNIT_CASE(device_is_kept_for_the_flushes_that_know_it),
	KUNIT_CASE(device_that_goes_leaves_no_request),
	{}
};

static struct kunit_suite amd_power_suite = {
	.name = "amd_power",
	.init = amdvi_test_init,
	.exit = amdvi_test_exit,
	.test_cases = amd_power_cases,
};

kunit_test_suite(amd_power_suite);
