// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d's invalidation queue: what becomes of a submission that a time-out has aborted
 *
 * In most cases there is no hardware: a case says which device the error was about, and looks at
 * what would be submitted next. Others submit to a queue that is read whenever the submitter looks
 * at the clock. There no wait completes behind an invalidation that a device does not complete, and
 * no error is reported.
 */
#include <kunit/device.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/time64.h>
#include <linux/timekeeping.h>

#include "../iopf.h"
#include "intel_qi_kunit.h"

static int qi_submit(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count,
		     unsigned long options)
{
	struct kunit *test = kunit_get_current_test();
	struct qi *qi = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, iommu, &qi->hw);
	KUNIT_EXPECT_EQ(test, count, 1);
	KUNIT_ASSERT_LT(test, qi->nr_alone, QI_ALONE);
	qi->options[qi->nr_alone] = options;
	qi->alone[qi->nr_alone++] = *desc;
	return 0;
}

static int qi_info_cmp(struct rb_node *node, const struct rb_node *other)
{
	return rb_entry(node, struct device_domain_info, node)->devfn -
	       rb_entry(other, struct device_domain_info, node)->devfn;
}

static void qi_add_dev(struct kunit *test, unsigned int n)
{
	struct qi *qi = test->priv;
	struct qi_dev *d = &qi->dev[n];
	struct device *dev;

	dev = kunit_device_register(test, n ? "intel-qi-kunit1" : "intel-qi-kunit0");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	d->dev = dev;
	d->info = (struct device_domain_info){
		.bus = 0x3a, .devfn = PCI_DEVFN(2 + n, 1), .pfsid = 0x3a10, .ats_qdep = 9,
		.ats_enabled = 1, .dev = dev, .iommu = &qi->hw,
	};
	dev_iommu_init_sva(&d->param, dev);
	d->param.priv = &d->info;
	dev->iommu = &d->param;
	rb_find_add(&d->info.node, &qi->hw.device_rbtree, qi_info_cmp);
}

/* An IOTLB invalidation, one ATC invalidation for each device, and one more for the first */
static void qi_make_batch(struct qi *qi)
{
	intel_svm_make_iotlb_desc(&qi->desc[0], 5, 0x1000, 0);
	intel_svm_make_atc_desc(&qi->desc[1], &qi->dev[0].info, 5, 0x1000, 0);
	intel_svm_make_atc_desc(&qi->desc[2], &qi->dev[1].info, 5, 0x1000, 0);
	qi_desc_dev_iotlb(qi_rid(qi, 0), 0x3a10, 9, 0x1000, 0, &qi->desc[3]);
}

int intel_qi_test_init(struct kunit *test)
{
	struct qi *qi = kunit_kzalloc(test, sizeof(*qi), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, qi);
	test->priv = qi;
	qi->hw.device_rbtree = RB_ROOT;
	spin_lock_init(&qi->hw.device_rbtree_lock);
	for (unsigned int n = 0; n < QI_DEVS; n++)
		qi_add_dev(test, n);
	qi_make_batch(qi);
	kunit_activate_static_stub(test, intel_svm_submit, qi_submit);
	return 0;
}

void intel_qi_test_exit(struct kunit *test)
{
	struct qi *qi = test->priv;

	for (unsigned int n = 0; qi && n < QI_DEVS; n++) {
		if (!qi->dev[n].dev)
			continue;
		iopf_atc_forget(qi->dev[n].dev);
		qi->dev[n].dev->iommu = NULL;
	}
}

void qi_time_out(struct qi *qi, u16 rid)
{
	guard(rcu)();
	intel_qi_timed_out(&qi->hw, rid);
}

static bool qi_is_fence(const struct qi_desc *desc)
{
	return desc->qw0 == (QI_IWD_TYPE | QI_IWD_FENCE) && !desc->qw1;
}

/* Are just the descriptors in @dropped fences now, and the others as they were? */
void qi_expect_dropped(struct kunit *test, unsigned long dropped)
{
	struct qi *qi = test->priv;
	struct qi_desc now[ARRAY_SIZE(qi->desc)];

	memcpy(now, qi->desc, sizeof(now));
	qi_make_batch(qi);
	for (unsigned int i = 0; i < ARRAY_SIZE(now); i++) {
		if (dropped & BIT(i))
			KUNIT_EXPECT_TRUE(test, qi_is_fence(&now[i]));
		else
			KUNIT_EXPECT_MEMEQ(test, &now[i], &qi->desc[i], sizeof(now[i]));
	}
	memcpy(qi->desc, now, sizeof(now));
}

static const struct qi_desc qi_response = {
	.qw0 = QI_PGRP_RESP_TYPE | QI_PGRP_PASID(5), .qw1 = 8,
};

/* All at once, so that a submitter who would wait for ever does not */
static void qi_ring_end(struct qi_ring *ring)
{
	for (unsigned int slot = 0; slot < QI_LENGTH; slot++)
		if (ring->status[slot] == QI_IN_USE)
			WRITE_ONCE(ring->status[slot], QI_DONE);
}

/* Hardware reads the queue. */
void qi_ring_run(struct qi *qi)
{
	struct qi_ring *ring = qi->ring;
	unsigned int tail = readl(qi->hw.reg + DMAR_IQT_REG) / sizeof(ring->desc[0]);

	if (ring->rests && ring->rests--)
		return;
	while (ring->head != tail && !ring->rests) {
		const struct qi_desc *desc = &ring->desc[ring->head];
		unsigned int type = desc->qw0 & 0xf;

		if (type == QI_DEIOTLB_TYPE)
			ring->is_stuck |= (u16)(desc->qw0 >> 16) == ring->hangs;
		if (type == QI_DEIOTLB_TYPE && (u16)(desc->qw0 >> 16) == ring->aborted) {
			ring->status[ring->head] = QI_ABORT;
			intel_qi_timed_out(&qi->hw, ring->aborted);
		}
		ring->iotlb += type == QI_EIOTLB_TYPE;
		ring->responses += type == QI_PGRP_RESP_TYPE;
		if (type == QI_IWD_TYPE && (desc->qw0 & QI_IWD_STATUS_WRITE) && !ring->is_stuck) {
			WRITE_ONCE(*(int *)phys_to_virt(desc->qw1), desc->qw0 >> 32);
			ring->rests = ring->naps;
		}
		ring->head = (ring->head + 1) % QI_LENGTH;
	}
	writel(ring->head * sizeof(ring->desc[0]), qi->hw.reg + DMAR_IQH_REG);
}

static u64 qi_ring_clock(void)
{
	struct qi *qi = kunit_get_current_test()->priv;
	struct qi_ring *ring = qi->ring;
	struct qi_desc *other = ring->other;

	if (!ring->tick || !(ring->looks % ring->tick))
		ring->now += ring->look;
	qi_ring_run(qi);
	if (++ring->looks > QI_MAX_LOOKS)
		qi_ring_end(ring);
	if (other && ring->is_stuck) {
		ring->other = NULL;
		qi_submit_sync(&qi->hw, other, 1, 0);
	}
	return ring->now;
}

static void qi_ring_delay(unsigned int us)
{
	struct qi *qi = kunit_get_current_test()->priv;

	qi->ring->delayed += us;
}

static void qi_ring_enable(struct intel_iommu *iommu, bool on)
{
	struct qi *qi = kunit_get_current_test()->priv;
	struct qi_ring *ring = qi->ring;

	ring->head = 0;
	ring->is_stuck = on && ring->sticks && ring->sticks--;
	ring->most_stuck = max_t(unsigned int, ring->most_stuck, qi->hw.qi_stuck);
	ring->iotlb = 0;
	ring->restarts += !on;
	ring->rests = 0;
}

void qi_add_ring(struct kunit *test)
{
	struct qi_ring *ring = kunit_kzalloc(test, sizeof(*ring), GFP_KERNEL);
	struct qi *qi = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, ring);
	ring->regs = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ring->regs);
	ring->look = QI_LOOK;
	raw_spin_lock_init(&ring->inval.q_lock);
	ring->inval.desc = ring->desc;
	ring->inval.desc_status = ring->status;
	ring->inval.free_cnt = QI_LENGTH;
	qi->ring = ring;
	qi->hw.qi = &ring->inval;
	qi->hw.reg = (void __iomem __force *)ring->regs;
	qi->hw.ecap = QI_ECAP;
	strscpy(qi->hw.name, "dmar-kunit", sizeof(qi->hw.name));
	kunit_deactivate_static_stub(test, intel_svm_submit);
	kunit_activate_static_stub(test, intel_qi_clock, qi_ring_clock);
	kunit_activate_static_stub(test, intel_qi_delay, qi_ring_delay);
	kunit_activate_static_stub(test, intel_qi_enable, qi_ring_enable);
}

void qi_submit_batch(struct kunit *test, unsigned int count)
{
	struct qi *qi = test->priv;

	KUNIT_EXPECT_EQ(test, qi_submit_sync(&qi->hw, qi->desc, count, 0), 0);
	KUNIT_EXPECT_EQ(test, qi->ring->inval.free_cnt, QI_LENGTH);
	KUNIT_EXPECT_LE(test, qi->ring->looks, QI_MAX_LOOKS);
}

static bool qi_try_again(struct qi *qi, unsigned int aborts)
{
	return intel_qi_try_again(&qi->hw, qi->desc, ARRAY_SIZE(qi->desc), QI_OPT_WAIT_DRAIN,
				  aborts);
}

static void time_out_drops_what_is_for_that_device(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_time_out(qi, qi_rid(qi, 0));
	KUNIT_EXPECT_TRUE(test, qi_try_again(qi, 1));
	qi_expect_dropped(test, BIT(1) | BIT(3));
	KUNIT_EXPECT_EQ(test, qi->nr_alone, 0);
}

static void device_that_hangs_is_sent_nothing_more(struct kunit *test)
{
	struct qi *qi = test->priv;

	intel_qi_drop(&qi->hw, qi->desc, ARRAY_SIZE(qi->desc));
	qi_expect_dropped(test, 0);
	qi_time_out(qi, qi_rid(qi, 1));
	intel_qi_drop(&qi->hw, qi->desc, ARRAY_SIZE(qi->desc));
	qi_expect_dropped(test, BIT(2));
}

static void device_that_was_reset_is_sent_to_again(struct kunit *test)
{
	struct qi *qi = test->priv;

	/* Several submissions may be in flight. */
	qi_time_out(qi, qi_rid(qi, 0));
	qi_time_out(qi, qi_rid(qi, 0));
	qi_time_out(qi, qi_rid(qi, 1));
	intel_qi_trust(&qi->dev[0].info);
	intel_qi_drop(&qi->hw, qi->desc, ARRAY_SIZE(qi->desc));
	qi_expect_dropped(test, BIT(2));
	intel_qi_trust(&qi->dev[1].info);
	intel_qi_trust(&qi->dev[1].info);
	KUNIT_EXPECT_EQ(test, atomic_read(&qi->hw.atc_hanging), 0);
	qi_make_batch(qi);
	intel_qi_drop(&qi->hw, qi->desc, ARRAY_SIZE(qi->desc));
	qi_expect_dropped(test, 0);
}

static void submission_of_others_is_made_again_whole(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_time_out(qi, qi_rid(qi, 0));
	KUNIT_EXPECT_TRUE(test, intel_qi_try_again(&qi->hw, &qi->desc[2], 1, 0, 1));
	KUNIT_EXPECT_TRUE(test, intel_qi_try_again(&qi->hw, &qi->desc[0], 1, 0, 100));
	qi_expect_dropped(test, 0);
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(qi->dev[1].dev));
}

/* They have left before the wait was fetched that is aborted. */
static void page_responses_are_not_sent_again(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->desc[0] = qi_response;
	qi->ring->status[6] = QI_ABORT;
	intel_qi_drop_sent(&qi->hw, qi->desc, ARRAY_SIZE(qi->desc), 6);
	qi_time_out(qi, qi_rid(qi, 1));
	KUNIT_EXPECT_TRUE(test, qi_try_again(qi, 1));
	qi_expect_dropped(test, BIT(0) | BIT(2));
}

/* Another CPU notes the error; hardware had not fetched the wait, which completes. */
static void invalidation_aborted_ahead_of_a_wait_is_made_again(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	KUNIT_ASSERT_EQ(test, iopf_atc_use(qi->dev[1].dev, 5), 0);
	qi->ring->aborted = qi_rid(qi, 1);
	qi_submit_batch(test, ARRAY_SIZE(qi->desc));
	qi_expect_dropped(test, BIT(2));
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(qi->dev[1].dev));
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(qi->dev[0].dev));
}

static void device_that_has_gone_is_not_waited_for(struct kunit *test)
{
	struct qi *qi = test->priv;

	rb_erase(&qi->dev[1].info.node, &qi->hw.device_rbtree);
	qi_time_out(qi, qi_rid(qi, 1));
	KUNIT_EXPECT_TRUE(test, qi_try_again(qi, 1));
	qi_expect_dropped(test, BIT(2));
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(qi->dev[1].dev));
}

static void what_is_dropped_is_unconfirmed(struct kunit *test)
{
	struct qi *qi = test->priv;
	struct device *dev = qi->dev[1].dev;

	KUNIT_ASSERT_EQ(test, iopf_atc_use(dev, 5), 0);
	KUNIT_ASSERT_EQ(test, iopf_atc_use(dev, 6), 0);
	qi_time_out(qi, qi_rid(qi, 1));
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(dev));
	qi_try_again(qi, 1);
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(dev));
	KUNIT_EXPECT_TRUE(test, iopf_atc_holds(5, NULL));
	KUNIT_EXPECT_FALSE(test, iopf_atc_holds(6, NULL));
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(qi->dev[0].dev));
	/* Of all PASIDs */
	intel_svm_make_atc_all_desc(&qi->desc[0], &qi->dev[1].info);
	intel_qi_drop(&qi->hw, qi->desc, 1);
	KUNIT_EXPECT_TRUE(test, iopf_atc_holds(6, NULL));
}

static void without_ids_each_descriptor_goes_alone(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_time_out(qi, 0);
	KUNIT_EXPECT_FALSE(test, qi_try_again(qi, 1));
	KUNIT_ASSERT_EQ(test, qi->nr_alone, ARRAY_SIZE(qi->desc));
	for (unsigned int i = 0; i < ARRAY_SIZE(qi->desc); i++) {
		KUNIT_EXPECT_MEMEQ(test, &qi->alone[i], &qi->desc[i], sizeof(qi->desc[i]));
		KUNIT_EXPECT_EQ(test, qi->options[i], i == 3 ? QI_OPT_WAIT_DRAIN : 0);
	}
}

/* Once, it may be another's fault. */
static void without_ids_a_device_hangs_that_fails_again_and_again(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_time_out(qi, 0);
	for (unsigned int aborts = 1; aborts < 3; aborts++) {
		KUNIT_EXPECT_TRUE(test, intel_qi_try_again(&qi->hw, &qi->desc[2], 1, 0, aborts));
		qi_expect_dropped(test, 0);
	}
	KUNIT_EXPECT_TRUE(test, intel_qi_try_again(&qi->hw, &qi->desc[2], 1, 0, 3));
	qi_expect_dropped(test, BIT(2));
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(qi->dev[1].dev));
}

/* Hardware may know the device by another ID than software. */
static void ids_of_strangers_do_not_go_on_for_ever(struct kunit *test)
{
	struct qi *qi = test->priv;
	unsigned int aborts = 0;

	qi_time_out(qi, 0x1234);
	while (aborts < 100 && intel_qi_try_again(&qi->hw, &qi->desc[1], 1, 0, ++aborts) &&
	       !qi_is_fence(&qi->desc[1]))
		;
	KUNIT_EXPECT_GT(test, aborts, 8);
	KUNIT_EXPECT_LT(test, aborts, 100);
	qi_expect_dropped(test, BIT(1));
}

/* Hardware that reports no time-out */

static void wait_that_hardware_does_not_end_is_bounded(struct kunit *test)
{
	struct qi *qi = test->priv;
	u64 begin;

	qi_add_ring(test);
	KUNIT_ASSERT_EQ(test, iopf_atc_use(qi->dev[0].dev, 5), 0);
	/* The queue has been full some times: old descriptors stand everywhere. */
	for (unsigned int i = 0; i < QI_LENGTH; i++)
		qi_submit_batch(test, 2);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 0);
	begin = qi->ring->now;
	qi->ring->hangs = qi_rid(qi, 0);
	qi_submit_batch(test, 2);
	qi_expect_dropped(test, BIT(1));
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
	KUNIT_EXPECT_GE(test, qi->ring->now - begin, QI_TIME);
	KUNIT_EXPECT_LE(test, qi->ring->now - begin, QI_TIME + QI_TIME / 4);
	/* The rest has been executed since, and nothing that was old. */
	KUNIT_EXPECT_EQ(test, qi->ring->iotlb, 1);
	KUNIT_EXPECT_TRUE(test, iopf_atc_holds(5, NULL));
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(qi->dev[0].dev));
	/* It is asked no more. */
	qi_make_batch(qi);
	qi_submit_batch(test, 2);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
}

static void device_that_hangs_is_found_among_several(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->hangs = qi_rid(qi, 1);
	qi_submit_batch(test, 3);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 2);
	qi_expect_dropped(test, BIT(2));
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(qi->dev[1].dev));
	KUNIT_EXPECT_FALSE(test, qi->dev[0].info.atc_hangs);
}

static void submission_behind_one_that_is_stuck_is_not_blamed(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->hangs = qi_rid(qi, 0);
	qi->ring->other = &qi->desc[2];
	qi_submit_batch(test, 2);
	KUNIT_EXPECT_NULL(test, qi->ring->other);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
	qi_expect_dropped(test, BIT(1));
	KUNIT_EXPECT_FALSE(test, qi->dev[1].info.atc_hangs);
}

static void response_behind_one_that_is_stuck_leaves_once(struct kunit *test)
{
	struct qi_desc response = qi_response;
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->hangs = qi_rid(qi, 0);
	qi->ring->other = &response;
	qi_submit_batch(test, 2);
	KUNIT_EXPECT_EQ(test, qi->ring->responses, 1);
}

/* What hardware has not fetched has not left. */
static void response_that_hardware_has_not_read_leaves_after_the_restart(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->desc[0] = qi_response;
	qi->ring->rests = UINT_MAX;
	qi_submit_batch(test, 1);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
	KUNIT_EXPECT_EQ(test, qi->ring->responses, 1);
}

/* A virtual machine may be stopped, and all of its time has passed when it goes on. */
static void time_in_which_the_cpu_was_stopped_does_not_count(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->rests = 100;
	qi->ring->look = 100 * QI_TIME;
	qi_submit_batch(test, 2);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 0);
	qi_expect_dropped(test, 0);
}

/* Each look takes the queue's lock, and reads a register. */
static void looks_of_a_long_wait_are_far_apart(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->look = NSEC_PER_USEC;
	qi->ring->rests = 10;
	qi_submit_batch(test, 1);
	KUNIT_EXPECT_EQ(test, qi->ring->delayed, 0);
	qi->ring->look = NSEC_PER_MSEC;
	qi->ring->rests = 100;
	qi_submit_batch(test, 1);
	KUNIT_EXPECT_GE(test, qi->ring->delayed, 80 * USEC_PER_MSEC);
	KUNIT_EXPECT_LE(test, qi->ring->delayed, 100 * USEC_PER_MSEC);
}

/* Early, in suspend, or where it counts the ticks of a CPU whose interrupts are off */
static void wait_is_bounded_though_the_clock_stands_still(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->look = 0;
	qi->ring->hangs = qi_rid(qi, 0);
	qi_submit_batch(test, 2);
	qi_expect_dropped(test, BIT(1));
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
	KUNIT_EXPECT_GE(test, qi->ring->delayed * NSEC_PER_USEC, QI_TIME);
	KUNIT_EXPECT_LE(test, qi->ring->delayed * NSEC_PER_USEC, QI_TIME + QI_TIME / 4);
}

/* A submitter that reads a coarse clock must not wait much longer than hardware takes. */
static void clock_that_stands_still_delays_an_honest_wait_by_little(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->look = 0;
	qi->ring->rests = 5;
	qi_submit_batch(test, 2);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 0);
	KUNIT_EXPECT_LE(test, qi->ring->delayed, 5);
	qi_expect_dropped(test, 0);
}

/*
 * Where udelay() has been calibrated on a busy machine, 50 delays of up to a millisecond take no
 * longer than a tick. Hardware takes a second.
 */
static void delays_do_not_count_while_the_clock_moves(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->look = 4 * NSEC_PER_MSEC;
	qi->ring->tick = 50;
	qi->ring->rests = 50 * 250;
	qi_submit_batch(test, 2);
	KUNIT_EXPECT_GT(test, qi->ring->delayed * NSEC_PER_USEC, QI_TIME);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 0);
	qi_expect_dropped(test, 0);
}

/* No rate that other code measures counts: that of a TSC which is not calibrated may be 0. */
static void clock_of_the_system_is_in_nanoseconds(struct kunit *test)
{
	u64 begin = ktime_get_mono_fast_ns();
	u64 now = intel_qi_clock();
	u64 end = ktime_get_mono_fast_ns();

	/* It may go back by a little when timekeeping adjusts it. */
	KUNIT_EXPECT_GE(test, (s64)(now - begin), -(s64)NSEC_PER_MSEC);
	KUNIT_EXPECT_GE(test, (s64)(end - now), -(s64)NSEC_PER_MSEC);
}

static void iommu_that_is_stuck_without_a_device_is_restarted(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->is_stuck = true;
	qi_submit_batch(test, 1);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
	KUNIT_EXPECT_EQ(test, qi->ring->iotlb, 1);
	qi_expect_dropped(test, 0);
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(qi->dev[0].dev));
}

static void restarts_in_a_row_count_against_the_iommu(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->is_stuck = true;
	qi->ring->sticks = 1;
	qi_submit_batch(test, 1);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 2);
	KUNIT_EXPECT_EQ(test, qi->ring->most_stuck, 2);
	KUNIT_EXPECT_EQ(test, qi->hw.qi_stuck, 0);
}

/* Once in a while, over months: the third in a row would be a panic. */
static void restarts_with_work_in_between_are_no_reason_to_panic(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	for (unsigned int i = 1; i <= 4; i++) {
		qi->ring->is_stuck = true;
		qi_submit_batch(test, 1);
		KUNIT_EXPECT_EQ(test, qi->ring->restarts, i);
		KUNIT_ASSERT_EQ(test, qi->hw.qi_stuck, 0);
	}
	KUNIT_EXPECT_EQ(test, qi->ring->most_stuck, 1);
}

static struct kunit_case intel_qi_cases[] = {
	KUNIT_CASE(time_out_drops_what_is_for_that_device),
	KUNIT_CASE(device_that_hangs_is_sent_nothing_more),
	KUNIT_CASE(device_that_was_reset_is_sent_to_again),
	KUNIT_CASE(submission_of_others_is_made_again_whole),
	KUNIT_CASE(page_responses_are_not_sent_again),
	KUNIT_CASE(invalidation_aborted_ahead_of_a_wait_is_made_again),
	KUNIT_CASE(device_that_has_gone_is_not_waited_for),
	KUNIT_CASE(what_is_dropped_is_unconfirmed),
	KUNIT_CASE(without_ids_each_descriptor_goes_alone),
	KUNIT_CASE(without_ids_a_device_hangs_that_fails_again_and_again),
	KUNIT_CASE(ids_of_strangers_do_not_go_on_for_ever),
	KUNIT_CASE(wait_that_hardware_does_not_end_is_bounded),
	KUNIT_CASE(device_that_hangs_is_found_among_several),
	KUNIT_CASE(submission_behind_one_that_is_stuck_is_not_blamed),
	KUNIT_CASE(response_behind_one_that_is_stuck_leaves_once),
	KUNIT_CASE(response_that_hardware_has_not_read_leaves_after_the_restart),
	KUNIT_CASE(time_in_which_the_cpu_was_stopped_does_not_count),
	KUNIT_CASE(looks_of_a_long_wait_are_far_apart),
	KUNIT_CASE(wait_is_bounded_though_the_clock_stands_still),
	KUNIT_CASE(clock_that_stands_still_delays_an_honest_wait_by_little),
	KUNIT_CASE(delays_do_not_count_while_the_clock_moves),
	KUNIT_CASE(clock_of_the_system_is_in_nanoseconds),
	KUNIT_CASE(iommu_that_is_stuck_without_a_device_is_restarted),
	KUNIT_CASE(restarts_in_a_row_count_against_the_iommu),
	KUNIT_CASE(restarts_with_work_in_between_are_no_reason_to_panic),
	{}
};

static struct kunit_suite intel_qi_suite = {
	.name = "intel_qi",
	.init = intel_qi_test_init,
	.exit = intel_qi_test_exit,
	.test_cases = intel_qi_cases,
};

kunit_test_suite(intel_qi_suite);
