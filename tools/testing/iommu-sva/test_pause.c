// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pauses of a device that is just leaving its IOMMU.
 */
#include <iopf.h>

#include "test.h"

static struct vendor_dev *dev;
static struct mm_struct *mm;
static struct iommu_sva *sva;

static void bind(void)
{
	mm = test_mm();
	sva = test_bind(dev, mm);
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

static void unmap(void *arg)
{
	sim_munmap(mm, BASE);
}

static void unbind_and_take_away(void *arg)
{
	iommu_sva_unbind_device(sva);
	take_away(NULL);
}

/* The flush has found the device before its last PASID was detached. */
EXPLORE(flush_against_removal)
{
	dev = test_dev();
	bind();
	sim_touch(mm, PAGE(1), true);
	sim_spawn("munmap", unmap, NULL);
	sim_spawn("removal", unbind_and_take_away, NULL);
	sim_settle();
	mmput(mm);
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
