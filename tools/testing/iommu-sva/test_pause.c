// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pauses of devices that are not like the usual one: one that stalls, and one that is just leaving
 * its IOMMU.
 */
#include <iopf.h>

#include "test.h"

static struct vendor_dev *dev;
static struct mm_struct *mm;
static struct iommu_sva *sva;
static struct vendor_request *requests[8];
static unsigned int nr_requests;
static u32 pasid;

static void bind(void)
{
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
}

static void tear_down(void)
{
	sim_settle();
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static void sleep_and_wake(void *arg)
{
	iopf_pause(dev_of(dev), IOPF_PAUSE_SLEEP);
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_unpause(dev_of(dev), IOPF_PAUSE_SLEEP);
	vendor_start(dev);
}

/* A device that stalls: the IOMMU holds each transaction until it is answered, in a reset, too. */

static void set_up_stalling(void)
{
	dev = vendor_dev_new(vendor_iommu_new(0), 16, 0);
	dev->max_requests = CREDITS;
	dev->stalls = true;
	vendor_enable(dev);
	bind();
	nr_requests = 0;
}

TEST(stall_in_a_reset_is_refused)
{
	struct vendor_request *r[2];
	u64 counts[IOPF_NR_COUNTS];

	set_up_stalling();
	iopf_quiesce_device(dev_of(dev));
	r[0] = vendor_ask(dev, pasid, 0, PAGE(0));
	r[1] = vendor_post(dev, pasid, 1, PAGE(1), READ, true);
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_resume_device(dev_of(dev));
	for (u32 i = 0; i < 2; i++) {
		test_answered(r[i], INVALID);
		SIM_EQ(r[i]->error, -ESHUTDOWN);
	}
	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	SIM_EQ(counts[IOPF_DRAINED], 2);
	SIM_EQ(counts[IOPF_STALE], 0);
	vendor_start(dev);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	tear_down();
}

static void no_drain(struct vendor_dev *of, ioasid_t of_pasid)
{
	sim_fail("a drain waits for an interrupt that may be off");
}

TEST(stall_is_answered_before_a_sleep)
{
	struct vendor_request *r;
	struct sim_door door;

	set_up_stalling();
	test_shut(mm, &door);
	r = vendor_ask(dev, pasid, 1, PAGE(2));
	sim_settle();
	vendor_hooks.draining = no_drain;
	sleep_and_wake(NULL);
	vendor_hooks.draining = NULL;
	test_answered(r, INVALID);
	door.shut = false;
	tear_down();
}

static struct iopf_group *kept;

static int keep(struct iopf_group *group)
{
	iopf_group_dequeue(group);
	kept = group;
	return 0;
}

/* A handler that keeps its groups to itself answers when it likes. */
TEST(stall_from_before_a_reset_is_answered_after_it)
{
	struct vendor_request *r;

	set_up_stalling();
	vendor_domain_of(dev, pasid)->domain.iopf_handler = keep;
	r = vendor_ask(dev, pasid, 3, PAGE(0));
	test_reset(dev);
	iopf_group_response(kept, SUCCESS);
	iopf_free_group(kept);
	test_answered(r, SUCCESS);
	tear_down();
}

static void stall(void *arg)
{
	for (u32 i = 0; i < 3; i++)
		requests[nr_requests++] = vendor_post(dev, pasid, i, PAGE(i), READ, true);
}

/* A transaction that is not stalled yet when the device stops is not sent. */
static void all_settled(void)
{
	sim_settle();
	for (unsigned int i = 0; i < nr_requests; i++)
		SIM_EQ(requests[i]->answers, !requests[i]->forgotten);
}

EXPLORE(reset_against_stalls)
{
	set_up_stalling();
	requests[nr_requests++] = vendor_ask(dev, pasid, 5, PAGE(5));
	sim_spawn("device", stall, NULL);
	sim_spawn("reset", test_reset, dev);
	all_settled();
	tear_down();
}

EXPLORE(sleep_against_stalls)
{
	set_up_stalling();
	requests[nr_requests++] = vendor_ask(dev, pasid, 5, PAGE(5));
	sim_spawn("device", stall, NULL);
	sim_spawn("sleep", sleep_and_wake, NULL);
	all_settled();
	tear_down();
}

/* Error recovery, which holds no lock of the device's, and hot removal */

static void recover(void *arg)
{
	iopf_pause(dev_of(dev), IOPF_PAUSE_RESET);
	iopf_unpause(dev_of(dev), IOPF_PAUSE_RESET);
}

static void take_away(void *arg)
{
	vendor_disable(dev);
	vendor_leave(dev);
}

EXPLORE(pause_against_removal)
{
	dev = test_dev();
	sim_spawn("recovery", recover, NULL);
	sim_spawn("removal", take_away, NULL);
	sim_settle();
	SIM_CHECK(dev->left);
}

/* The driver has left it on its queue, which release_device() makes up for. */
static void take_away_at_once(void *arg)
{
	iopf_device_leaves(dev_of(dev));
	take_away(NULL);
}

EXPLORE(pause_against_removal_from_a_queue)
{
	dev = test_dev();
	sim_spawn("removal", take_away_at_once, NULL);
	sim_spawn("recovery", recover, NULL);
	sim_settle();
	SIM_CHECK(dev->left);
}

static void look_up(void *arg)
{
	u64 counts[IOPF_NR_COUNTS];

	iopf_read_counts(dev_of(dev), counts);
	iopf_device_in_reset(dev_of(dev));
}

EXPLORE(look_up_against_removal)
{
	u64 counts[IOPF_NR_COUNTS];

	dev = test_dev();
	sim_spawn("look-up", look_up, NULL);
	sim_spawn("removal", take_away, NULL);
	sim_settle();
	SIM_EQ(iopf_read_counts(dev_of(dev), counts), -ENODEV);
}

/* On a domain's list, where a flush finds it, until its last PASID has been detached. */
static bool listed;

static void flush_from_list(void *arg)
{
	rcu_read_lock();
	if (listed) {
		sim_point("flush");
		if (dev->left)
			sim_fail("a flush uses a device that has left");
	}
	rcu_read_unlock();
}

static void detach_and_take_away(void *arg)
{
	listed = false;
	take_away(NULL);
}

EXPLORE(flush_against_removal)
{
	dev = test_dev();
	listed = true;
	sim_spawn("flush", flush_from_list, NULL);
	sim_spawn("removal", detach_and_take_away, NULL);
	sim_settle();
	SIM_CHECK(dev->left);
}

/* What has left completes nothing: an IOMMU that asked it would wait. */
TEST(device_that_has_left_is_not_asked_and_not_paused)
{
	dev = test_dev();
	take_away(NULL);
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	recover(NULL);
	SIM_EQ(dev->flushes, 0);
}
