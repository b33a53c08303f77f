// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d's invalidation queue: submissions that the thread waits for later
 *
 * Interrupts are off between a submission and the end of the wait. A case expects nothing then.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/irqflags.h>

#include "../intel-svm.h"
#include "../iopf.h"
#include "intel_qi_kunit.h"

/**
 * struct qi_later - what has become of a submission
 * @posted: hardware was to carry it out
 * @off: interrupts were off then
 * @done: it has
 */
struct qi_later {
	bool posted, off, done;
};

static struct qi_later qi_submit_later(struct qi *qi, unsigned int count,
				       void (*between)(struct qi *qi))
{
	struct intel_qi_posted notes;
	struct qi_later later = {};

	later.posted = intel_qi_post(&qi->hw, qi->desc, count, &notes);
	if (!later.posted)
		return later;
	later.off = irqs_disabled();
	if (between)
		between(qi);
	later.done = intel_qi_await(&qi->hw, &notes);
	return later;
}

static void qi_expect_later(struct kunit *test, struct qi_later later, bool posted, bool done)
{
	struct qi *qi = test->priv;

	KUNIT_EXPECT_FALSE(test, irqs_disabled());
	KUNIT_EXPECT_EQ(test, later.posted, posted);
	KUNIT_EXPECT_EQ(test, later.off, posted);
	KUNIT_EXPECT_EQ(test, later.done, done);
	KUNIT_EXPECT_EQ(test, qi->ring->inval.free_cnt, QI_LENGTH);
}

static void hardware_works_while_the_submitter_does_not_wait(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi_expect_later(test, qi_submit_later(qi, 4, qi_ring_run), true, true);
	KUNIT_EXPECT_EQ(test, qi->ring->iotlb, 1);
	KUNIT_EXPECT_EQ(test, qi->ring->looks, 0);
	/* And where it has not read the queue yet */
	qi_expect_later(test, qi_submit_later(qi, 4, NULL), true, true);
	KUNIT_EXPECT_EQ(test, qi->ring->iotlb, 2);
}

static void submission_may_go_around_the_end_of_the_queue(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->head = QI_LENGTH - 3;
	qi->ring->inval.free_head = qi->ring->head;
	qi->ring->inval.free_tail = qi->ring->head;
	qi_expect_later(test, qi_submit_later(qi, 4, NULL), true, true);
	KUNIT_EXPECT_EQ(test, qi->ring->inval.free_head, 2);
	KUNIT_EXPECT_EQ(test, qi->ring->iotlb, 1);
	KUNIT_EXPECT_MEMEQ(test, &qi->ring->desc[0], &qi->desc[3], sizeof(qi->desc[3]));
}

/* Those of one thread are awaited in the reverse order; the last wait turns interrupts on. */
static void qi_submit_two(struct kunit *test)
{
	struct intel_qi_posted first, second;
	struct qi *qi = test->priv;
	bool done, off;

	done = intel_qi_post(&qi->hw, qi->desc, 4, &first) &&
	       intel_qi_post(&qi->hw, qi->desc, 2, &second) && intel_qi_await(&qi->hw, &second);
	off = irqs_disabled();
	done = done && intel_qi_await(&qi->hw, &first);
	KUNIT_EXPECT_TRUE(test, done);
	KUNIT_EXPECT_TRUE(test, off);
	KUNIT_EXPECT_FALSE(test, irqs_disabled());
	KUNIT_EXPECT_EQ(test, qi->ring->iotlb, 2);
	KUNIT_EXPECT_EQ(test, qi->ring->inval.free_cnt, QI_LENGTH);
}

static void several_submissions_are_under_way(struct kunit *test)
{
	qi_add_ring(test);
	qi_submit_two(test);
}

/* Each of two submissions takes most of the time after which hardware is given up. */
static void queue_that_goes_on_is_waited_for(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->rests = 800;
	qi->ring->naps = 800;
	qi_submit_two(test);
	KUNIT_EXPECT_GT(test, qi->ring->now, QI_TIME);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 0);
}

/* Four descriptors, a wait, and one slot that stays free */
static void queue_without_room_is_not_waited_for(struct kunit *test)
{
	struct qi_later later;
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->inval.free_cnt = 5;
	later = qi_submit_later(qi, 4, NULL);
	KUNIT_EXPECT_FALSE(test, later.posted);
	KUNIT_EXPECT_FALSE(test, irqs_disabled());
	KUNIT_EXPECT_EQ(test, qi->ring->looks, 0);
	KUNIT_EXPECT_EQ(test, qi->ring->inval.free_head, 0);
	qi->ring->inval.free_cnt = 6;
	KUNIT_EXPECT_TRUE(test, qi_submit_later(qi, 4, NULL).done);
	KUNIT_EXPECT_EQ(test, qi->ring->inval.free_cnt, 6);
}

/* It takes the submitter some time to leave out what is for a device that hangs. */
static void device_that_hangs_is_for_those_who_can_wait(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi_time_out(qi, qi_rid(qi, 1));
	qi_expect_later(test, qi_submit_later(qi, 4, NULL), false, false);
	KUNIT_EXPECT_EQ(test, qi->ring->inval.free_head, 0);
}

static void wait_that_comes_later_is_bounded(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	KUNIT_ASSERT_EQ(test, iopf_atc_use(qi->dev[0].dev, 5), 0);
	qi->ring->hangs = qi_rid(qi, 0);
	qi_expect_later(test, qi_submit_later(qi, 2, NULL), true, false);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
	/* A submission as a whole leaves the device out. */
	qi_submit_batch(test, 2);
	qi_expect_dropped(test, BIT(1));
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
	KUNIT_EXPECT_EQ(test, qi->ring->iotlb, 1);
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(qi->dev[0].dev));
}

static void invalidation_aborted_ahead_of_a_later_wait_is_not_done(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->aborted = qi_rid(qi, 1);
	qi_expect_later(test, qi_submit_later(qi, 4, NULL), true, false);
	KUNIT_EXPECT_TRUE(test, qi->dev[1].info.atc_hangs);
}

static void qi_other_gives_up(struct qi *qi)
{
	qi_submit_sync(&qi->hw, &qi->desc[0], 1, 0);
}

/* Another CPU restarts the queue before the submitter waits. */
static void submission_in_a_queue_that_was_restarted_is_not_done(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->hangs = qi_rid(qi, 0);
	qi_expect_later(test, qi_submit_later(qi, 2, qi_other_gives_up), true, false);
	KUNIT_EXPECT_EQ(test, qi->ring->restarts, 1);
	KUNIT_EXPECT_TRUE(test, qi->dev[0].info.atc_hangs);
}

static void later_wait_shows_that_the_iommu_works(struct kunit *test)
{
	struct qi *qi = test->priv;

	qi_add_ring(test);
	qi->ring->is_stuck = true;
	qi_expect_later(test, qi_submit_later(qi, 1, NULL), true, false);
	KUNIT_EXPECT_EQ(test, qi->hw.qi_stuck, 1);
	qi_expect_later(test, qi_submit_later(qi, 1, NULL), true, true);
	KUNIT_EXPECT_EQ(test, qi->hw.qi_stuck, 0);
}

static struct kunit_case intel_qi_later_cases[] = {
	KUNIT_CASE(hardware_works_while_the_submitter_does_not_wait),
	KUNIT_CASE(submission_may_go_around_the_end_of_the_queue),
	KUNIT_CASE(several_submissions_are_under_way),
	KUNIT_CASE(queue_that_goes_on_is_waited_for),
	KUNIT_CASE(queue_without_room_is_not_waited_for),
	KUNIT_CASE(device_that_hangs_is_for_those_who_can_wait),
	KUNIT_CASE(wait_that_comes_later_is_bounded),
	KUNIT_CASE(invalidation_aborted_ahead_of_a_later_wait_is_not_done),
	KUNIT_CASE(submission_in_a_queue_that_was_restarted_is_not_done),
	KUNIT_CASE(later_wait_shows_that_the_iommu_works),
	{}
};

static struct kunit_suite intel_qi_later_suite = {
	.name = "intel_qi_later",
	.init = intel_qi_test_init,
	.exit = intel_qi_test_exit,
	.test_cases = intel_qi_later_cases,
};

kunit_test_suite(intel_qi_later_suite);
