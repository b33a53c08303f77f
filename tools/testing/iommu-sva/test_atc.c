// SPDX-License-Identifier: GPL-2.0-only
/*
 * ATC invalidations that a device does not complete: what it may still hold is not given out.
 */
#include <iopf.h>

#include "test.h"

#define LAST	7

static struct vendor_dev *dev, *beside;

/* Two devices, each in a group of its own, with PASIDs up to LAST */
static void set_up(void)
{
	dev = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);
	beside = vendor_dev_new(dev->iommu, LAST + 1, CREDITS);
	vendor_enable(dev);
	vendor_enable(beside);
}

/* @dev has had PASID @pasid, which is free again. */
static void use(struct vendor_dev *dev, ioasid_t pasid, bool confirmed)
{
	SIM_EQ(iopf_atc_use(dev_of(dev), pasid), 0);
	if (!confirmed)
		iopf_atc_unconfirmed(dev_of(dev), pasid);
	iopf_atc_leave(dev_of(dev), pasid);
}

static bool is_given(struct vendor_dev *dev, ioasid_t pasid)
{
	ioasid_t got;
	bool given = false;

	for (unsigned int i = 0; i < LAST; i++) {
		got = iommu_alloc_global_pasid(dev_of(dev));
		if (got == IOMMU_PASID_INVALID)
			break;
		given |= got == pasid;
		iommu_free_global_pasid(got);
	}
	return given;
}

TEST(pasid_whose_invalidation_is_unconfirmed_is_not_given_out)
{
	set_up();
	use(dev, 2, false);
	for (ioasid_t pasid = 1; pasid <= LAST; pasid++) {
		SIM_EQ(is_given(dev, pasid), pasid != 2);
		SIM_EQ(is_given(beside, pasid), pasid != 2);
	}
	iopf_atc_confirmed(dev_of(dev));
	SIM_CHECK(is_given(dev, 2));
}

TEST(confirmed_pasid_is_given_out)
{
	set_up();
	use(dev, 2, true);
	SIM_CHECK(is_given(dev, 2));
	SIM_EQ(sim_nr_logged(), 0);
}

TEST(unconfirmed_pasid_is_held_after_its_number_was_allocated)
{
	ioasid_t pasid;

	set_up();
	pasid = iommu_alloc_global_pasid(dev_of(dev));
	SIM_EQ(iopf_atc_use(dev_of(dev), pasid), 0);
	iopf_atc_unconfirmed(dev_of(dev), pasid);
	SIM_CHECK(!is_given(dev, pasid));
	iopf_atc_leave(dev_of(dev), pasid);
	iommu_free_global_pasid(pasid);
	SIM_CHECK(!is_given(dev, pasid));
}

TEST(unconfirmed_for_all_pasids_holds_those_that_the_device_uses)
{
	set_up();
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	SIM_EQ(iopf_atc_use(dev_of(dev), 5), 0);
	SIM_EQ(iopf_atc_use(dev_of(beside), 3), 0);
	use(dev, 4, true);
	iopf_atc_unconfirmed(dev_of(dev), IOMMU_PASID_INVALID);
	iopf_atc_leave(dev_of(dev), 2);
	iopf_atc_leave(dev_of(dev), 5);
	iopf_atc_leave(dev_of(beside), 3);
	for (ioasid_t pasid = 1; pasid <= LAST; pasid++)
		SIM_EQ(is_given(dev, pasid), pasid != 2 && pasid != 5);
}

/* What is attached all the time is no news: a reset does not take bonds away. */
TEST(pasid_that_stays_attached_is_confirmed_with_the_rest)
{
	set_up();
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	iopf_atc_unconfirmed(dev_of(dev), 2);
	iopf_atc_confirmed(dev_of(dev));
	SIM_CHECK(is_given(dev, 2));
	SIM_EQ(iopf_atc_use(dev_of(dev), 3), 0);
	iopf_atc_unconfirmed(dev_of(dev), IOMMU_PASID_INVALID);
	iopf_atc_leave(dev_of(dev), 2);
	iopf_atc_leave(dev_of(dev), 3);
	SIM_CHECK(!is_given(dev, 2));
	SIM_CHECK(!is_given(dev, 3));
}

/* A use that goes while a reset looks for failures must not hide one. */
TEST(confirmed_use_that_goes_hides_no_failure)
{
	unsigned int before;

	set_up();
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	SIM_EQ(iopf_atc_use(dev_of(dev), 3), 0);
	iopf_atc_unconfirmed(dev_of(dev), 2);
	iopf_atc_confirmed(dev_of(dev));
	before = iopf_atc_failures(dev_of(dev));
	iopf_atc_leave(dev_of(dev), 2);
	SIM_EQ(iopf_atc_failures(dev_of(dev)), before);
	iopf_atc_unconfirmed(dev_of(dev), IOMMU_PASID_INVALID);
	SIM_CHECK(iopf_atc_failures(dev_of(dev)) != before);
	iopf_atc_leave(dev_of(dev), 3);
}

/* Else a device with few PASIDs would lose all of them to others that hang. */
TEST(held_pasid_is_for_other_groups_if_there_is_no_other)
{
	set_up();
	for (ioasid_t pasid = 1; pasid <= LAST; pasid++)
		SIM_EQ(iopf_atc_use(dev_of(dev), pasid), 0);
	iopf_atc_unconfirmed(dev_of(dev), IOMMU_PASID_INVALID);
	for (ioasid_t pasid = 1; pasid <= LAST; pasid++)
		iopf_atc_leave(dev_of(dev), pasid);
	SIM_EQ(iommu_alloc_global_pasid(dev_of(dev)), IOMMU_PASID_INVALID);
	for (ioasid_t pasid = 1; pasid <= LAST; pasid++)
		SIM_CHECK(is_given(beside, pasid));
	iopf_atc_confirmed(dev_of(dev));
	SIM_CHECK(is_given(dev, 1));
}

TEST(unconfirmed_device_gets_no_pasid)
{
	set_up();
	use(dev, 2, false);
	SIM_EQ(iopf_atc_use(dev_of(dev), 3), -EBUSY);
	SIM_CHECK(iopf_atc_is_unconfirmed(dev_of(dev)));
	SIM_CHECK(!iopf_atc_is_unconfirmed(dev_of(beside)));
	use(beside, 3, true);
	iopf_atc_confirmed(dev_of(beside));
	SIM_EQ(iopf_atc_use(dev_of(dev), 3), -EBUSY);
	iopf_atc_confirmed(dev_of(dev));
	SIM_CHECK(!iopf_atc_is_unconfirmed(dev_of(dev)));
	use(dev, 3, true);
}

/* The kernel's own, which the core knows nothing of */
TEST(unconfirmed_pasid_that_was_never_bound_counts_as_well)
{
	set_up();
	iopf_atc_unconfirmed(dev_of(dev), 6);
	iopf_atc_unconfirmed(dev_of(dev), 6);
	SIM_CHECK(!is_given(dev, 6));
	iopf_atc_unconfirmed(dev_of(beside), IOMMU_PASID_INVALID);
	SIM_EQ(iopf_atc_use(dev_of(dev), 3), -EBUSY);
	SIM_EQ(iopf_atc_use(dev_of(beside), 3), -EBUSY);
	iopf_atc_confirmed(dev_of(dev));
	SIM_CHECK(is_given(dev, 6));
	use(dev, 3, true);
	iopf_atc_confirmed(dev_of(beside));
	use(beside, 3, true);
}

TEST(device_that_leaves_the_iommu_holds_nothing)
{
	set_up();
	use(dev, 2, false);
	use(beside, 3, false);
	iopf_atc_forget(dev_of(dev));
	SIM_CHECK(is_given(dev, 2));
	SIM_CHECK(!is_given(dev, 3));
	use(dev, 4, true);
}

TEST(unconfirmed_invalidations_are_counted_and_logged_once)
{
	u64 counts[IOPF_NR_COUNTS];

	set_up();
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	for (unsigned int i = 0; i < 5; i++)
		iopf_atc_unconfirmed(dev_of(dev), 2);
	SIM_EQ(sim_nr_logged(), 1);
	iopf_atc_unconfirmed(dev_of(beside), IOMMU_PASID_INVALID);
	SIM_EQ(sim_nr_logged(), 2);
	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	SIM_EQ(counts[IOPF_UNCONFIRMED], 5);
	iopf_atc_confirmed(dev_of(dev));
	iopf_atc_unconfirmed(dev_of(dev), 2);
	SIM_EQ(sim_nr_logged(), 3);
}

TEST(want_of_memory_when_hardware_fails_loses_nothing_that_is_used)
{
	set_up();
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	sim_fail_alloc(1);
	iopf_atc_unconfirmed(dev_of(dev), 2);
	SIM_CHECK(!sim_alloc_failed());
	/* A PASID that was not noted as used leaves no trace. */
	iopf_atc_unconfirmed(dev_of(dev), 3);
	SIM_CHECK(sim_alloc_failed());
	iopf_atc_leave(dev_of(dev), 2);
	SIM_CHECK(!is_given(dev, 2));
	SIM_CHECK(is_given(dev, 3));
	iopf_atc_confirmed(dev_of(dev));
	sim_fail_alloc(1);
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), -ENOMEM);
}

/* Bonds, invalidations and resets */

TEST(device_that_keeps_its_atc_is_not_bound_until_a_reset)
{
	struct mm_struct *mm = test_mm(), *next = test_mm();
	struct iommu_sva *sva, *other;
	u32 pasid;

	set_up();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	dev->keeps_atc = true;
	sim_touch(mm, PAGE(1), true);
	sim_munmap(mm, BASE);
	test_no_bind(dev, next, -EBUSY);
	SIM_CHECK(!next->iommu_mm);
	other = test_bind(beside, next);
	iommu_sva_unbind_device(other);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(!is_given(beside, pasid));

	/* It has hung in its reset, too. */
	test_reset(dev);
	test_no_bind(dev, next, -EBUSY);
	SIM_CHECK(!is_given(beside, pasid));

	dev->keeps_atc = false;
	test_reset(dev);
	SIM_CHECK(is_given(beside, pasid));
	iommu_sva_unbind_device(test_bind(dev, next));
	mmput(mm);
	mmput(next);
}

TEST(bond_that_survives_the_reset_gives_its_pasid_back)
{
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	u32 pasid;

	set_up();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	dev->keeps_atc = true;
	sim_touch(mm, PAGE(1), true);
	sim_munmap(mm, BASE);
	dev->keeps_atc = false;
	test_reset(dev);
	SIM_CHECK(!iopf_atc_is_unconfirmed(dev_of(dev)));
	iommu_sva_unbind_device(sva);
	SIM_CHECK(is_given(dev, pasid));
	mmput(mm);
}

/* Invalidations at the end of a process and of a bond count as well. */
TEST(unbind_that_is_not_confirmed_holds_the_pasid)
{
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	u32 pasid;

	set_up();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	mmput(mm);
	sim_settle();
	SIM_CHECK(!iopf_atc_is_unconfirmed(dev_of(dev)));
	dev->keeps_atc = true;
	/* Even if there is no memory just then */
	sim_fail_alloc(1);
	iommu_sva_unbind_device(sva);
	sim_fail_alloc(0);
	SIM_CHECK(iopf_atc_is_unconfirmed(dev_of(dev)));
	SIM_CHECK(!is_given(dev, pasid));
}

TEST(group_with_a_device_that_keeps_its_atc_is_not_bound)
{
	struct mm_struct *mm = test_mm(), *next = test_mm();
	struct iommu_sva *sva;

	set_up();
	vendor_join_group(beside, dev);
	sva = test_bind(dev, mm);
	beside->keeps_atc = true;
	iommu_sva_unbind_device(sva);
	test_no_bind(dev, next, -EBUSY);
	SIM_CHECK(!iopf_atc_is_unconfirmed(dev_of(dev)));
	beside->keeps_atc = false;
	test_reset(beside);
	iommu_sva_unbind_device(test_bind(dev, next));
	mmput(mm);
	mmput(next);
}

TEST(bind_that_fails_for_want_of_memory_leaves_no_use)
{
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	unsigned int n = 0;

	set_up();
	do {
		sim_fail_alloc(++n);
		sva = iommu_sva_bind_device(dev_of(dev), mm);
		/* Without memory for its number there is no PASID. */
		if (IS_ERR(sva))
			SIM_CHECK(PTR_ERR(sva) == -ENOMEM || PTR_ERR(sva) == -ENOSPC);
		sim_settle();
	} while (IS_ERR(sva));
	SIM_CHECK(n > 3);
	sim_fail_alloc(0);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* The vendor fails if it sends an invalidation to a device in a reset. */
static void unmap_during_a_reset(struct vendor_dev *dev, struct mm_struct *mm, unsigned int resets)
{
	unsigned int flushes = dev->flushes;

	sim_mmap(mm, SLOT(2), 1, VM_READ | VM_WRITE);
	sim_touch(mm, SLOT(2), true);
	SIM_CHECK(vendor_dma(dev, 1, SLOT(2), true));
	for (unsigned int i = 0; i < resets; i++)
		iopf_quiesce_device(dev_of(dev));
	vendor_begin_reset(dev);
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	sim_munmap(mm, SLOT(2));
	vendor_end_reset(dev);
	for (unsigned int i = 1; i < resets; i++)
		iopf_resume_device(dev_of(dev));
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, flushes);
	iopf_resume_device(dev_of(dev));
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, flushes + 1);
	SIM_CHECK(!vendor_dma(dev, 1, SLOT(2), false));
}

/* A device without page requests, on which a process is bound */
static void reset_on_no_queue(unsigned int resets)
{
	struct vendor_dev *mute = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(mute, mm);

	unmap_during_a_reset(mute, mm, resets);
	iopf_resume_device(dev_of(mute));
	SIM_CHECK(!iopf_device_in_reset(dev_of(mute)));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(device_on_no_queue_is_sent_nothing_during_its_reset)
{
	reset_on_no_queue(1);
}

TEST(resets_of_a_device_on_no_queue_nest)
{
	reset_on_no_queue(3);
}

/* The PCI core says each of its reasons once; a bind in between is for later, too. */
TEST(device_on_no_queue_is_paused_for_each_reason)
{
	struct vendor_dev *mute = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *sva = test_bind(mute, mm), *second;
	struct device *d = dev_of(mute);

	iopf_pause(d, IOPF_PAUSE_SLEEP);
	iopf_pause(d, IOPF_PAUSE_SLEEP);
	iopf_pause(d, IOPF_PAUSE_RESET);
	second = test_bind(mute, other);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(iopf_device_in_reset(d));
	iopf_unpause(d, IOPF_PAUSE_SLEEP);
	SIM_CHECK(iopf_device_in_reset(d));
	iopf_unpause(d, IOPF_PAUSE_RESET);
	SIM_CHECK(!iopf_device_in_reset(d));
	SIM_EQ(mute->flushes, 1);
	iommu_sva_unbind_device(second);
	mmput(other);
	mmput(mm);
}

/* The IOMMU driver's own flushes for the kernel's DMA reach an NVMe drive, say. */
TEST(device_with_ats_is_paused_though_nothing_is_bound)
{
	struct vendor_dev *drive = vendor_dev_new(vendor_iommu_new(0), LAST + 1, 0);
	struct device *d = dev_of(drive);

	drive->pdev.ats_enabled = true;
	iopf_pause(d, IOPF_PAUSE_RESET);
	SIM_CHECK(iopf_device_in_reset(d));
	SIM_EQ(drive->flushes, 0);
	iopf_unpause(d, IOPF_PAUSE_RESET);
	SIM_CHECK(!iopf_device_in_reset(d));
	SIM_EQ(drive->flushes, 1);
}

/* The kernel's own invalidation, sent just before, times out when the device is in its reset. */
TEST(failure_during_a_reset_on_no_queue_does_not_end_it)
{
	struct vendor_dev *mute = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(mute, mm);
	struct device *d = dev_of(mute);

	iopf_quiesce_device(d);
	for (ioasid_t pasid = 2; pasid <= LAST; pasid++)
		iopf_atc_unconfirmed(d, pasid);
	iopf_atc_unconfirmed(d, IOMMU_NO_PASID);
	SIM_CHECK(iopf_device_in_reset(d));
	iopf_resume_device(d);
	SIM_CHECK(!iopf_device_in_reset(d));
	SIM_EQ(mute->flushes, 1);
	SIM_CHECK(!iopf_atc_is_unconfirmed(d));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(bind_during_a_pause_is_sent_nothing)
{
	struct vendor_dev *mute = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);
	struct mm_struct *mm = test_mm();
	struct device *d = dev_of(mute);
	struct iommu_sva *sva;

	iopf_pause(d, IOPF_PAUSE_RESET);
	SIM_CHECK(!iopf_device_in_reset(d));
	vendor_begin_reset(mute);
	sva = test_bind(mute, mm);
	SIM_CHECK(iopf_device_in_reset(d));
	sim_touch(mm, PAGE(1), true);
	sim_munmap(mm, PAGE(1));
	vendor_end_reset(mute);
	iopf_unpause(d, IOPF_PAUSE_RESET);
	SIM_CHECK(!iopf_device_in_reset(d));
	SIM_EQ(mute->flushes, 1);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* An invalidation that was sent before the pause fails in it. */
TEST(failure_during_a_pause_is_sent_nothing)
{
	struct vendor_dev *mute = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);
	struct device *d = dev_of(mute);

	iopf_pause(d, IOPF_PAUSE_SLEEP);
	SIM_CHECK(!iopf_device_in_reset(d));
	iopf_atc_unconfirmed(d, 2);
	SIM_CHECK(iopf_device_in_reset(d));
	iopf_unpause(d, IOPF_PAUSE_SLEEP);
	SIM_CHECK(!iopf_device_in_reset(d));
	SIM_CHECK(!iopf_atc_is_unconfirmed(d));
}

/* Its PASID may be given out at once, since the device forgets it before it may use it. */
TEST(unbind_during_a_reset_on_no_queue_leaves_nothing_behind)
{
	struct vendor_dev *mute = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(mute, mm);
	struct device *d = dev_of(mute);

	sim_touch(mm, PAGE(1), true);
	SIM_CHECK(vendor_dma(mute, 1, PAGE(1), true));
	iopf_quiesce_device(d);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(iopf_device_in_reset(d));
	iopf_resume_device(d);
	SIM_CHECK(!iopf_device_in_reset(d));
	SIM_EQ(mute->flushes, 1);
	SIM_CHECK(!vendor_dma(mute, 1, PAGE(1), false));
	mmput(mm);
}

static void give_up(struct vendor_dev *of, ioasid_t pasid)
{
	iopf_drain_gives_up(dev_of(of), pasid);
}

/* Its requests may be read when the PASID is another process's. */
TEST(pasid_whose_drain_has_given_up_is_held_until_a_reset_that_drains)
{
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *sva;
	u32 pasid;

	set_up();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	vendor_hooks.draining = give_up;
	iommu_sva_unbind_device(sva);
	SIM_CHECK(!is_given(beside, pasid));
	test_no_bind(dev, other, -EBUSY);
	/* The thread still does not run. */
	test_reset(dev);
	SIM_CHECK(!is_given(beside, pasid));
	test_no_bind(dev, other, -EBUSY);
	vendor_hooks.draining = NULL;
	test_reset(dev);
	SIM_CHECK(is_given(beside, pasid));
	iommu_sva_unbind_device(test_bind(dev, other));
	mmput(other);
	mmput(mm);
}

/* Another device, or the machine, may be why its requests are not read. */
TEST(drain_that_gives_up_does_not_blame_its_device)
{
	struct vendor_dev *mute = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);

	set_up();
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	give_up(dev, 2);
	SIM_EQ(sim_nr_logged(), 1);
	SIM_CHECK(strstr(sim_last_logged(), "page requests are not read"));
	SIM_CHECK(!strstr(sim_last_logged(), "ATC"));
	iopf_atc_leave(dev_of(dev), 2);
	SIM_CHECK(!is_given(dev, 2));
	/* A device on no queue is held, too, and its log says so. */
	give_up(mute, 3);
	SIM_EQ(sim_nr_logged(), 2);
	SIM_CHECK(strstr(sim_last_logged(), "page requests are not read"));
	SIM_CHECK(iopf_atc_is_unconfirmed(dev_of(mute)));
}

/* What was not completed before is over when the flush after the reset is. */
TEST(reset_confirms_a_device_on_no_queue)
{
	struct vendor_dev *mute = vendor_dev_new(vendor_iommu_new(0), LAST + 1, CREDITS);
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *sva = test_bind(mute, mm);
	struct device *d = dev_of(mute);

	iopf_atc_unconfirmed(d, 1);
	test_no_bind(mute, other, -EBUSY);
	mute->keeps_atc = true;
	iopf_quiesce_device(d);
	iopf_resume_device(d);
	test_no_bind(mute, other, -EBUSY);
	mute->keeps_atc = false;
	iopf_quiesce_device(d);
	iopf_resume_device(d);
	iommu_sva_unbind_device(test_bind(mute, other));
	iommu_sva_unbind_device(sva);
	mmput(other);
	mmput(mm);
}

static void fail_all(void *arg)
{
	iopf_atc_unconfirmed(arg, IOMMU_PASID_INVALID);
}

/* Either the device is not bound any more, or what it gets is among what it may still hold. */
EXPLORE(new_use_against_a_failure)
{
	int ret;

	set_up();
	sim_spawn("interrupt", fail_all, dev_of(dev));
	ret = iopf_atc_use(dev_of(dev), 2);
	SIM_CHECK(!ret || ret == -EBUSY);
	sim_settle();
	SIM_EQ(iopf_atc_use(dev_of(dev), 3), -EBUSY);
	iopf_atc_leave(dev_of(dev), 2);
	SIM_EQ(iopf_atc_holds(2, NULL), !ret);
	iopf_atc_confirmed(dev_of(dev));
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	iopf_atc_leave(dev_of(dev), 2);
}

/* What an invalidation that comes too late finds has gone, or goes with the device. */
EXPLORE(failure_against_the_end_of_a_device)
{
	set_up();
	vendor_disable(beside);
	sim_spawn("interrupt", fail_all, dev_of(beside));
	vendor_leave(beside);
	sim_settle();
	SIM_CHECK(!iopf_atc_holds(2, NULL));
	SIM_CHECK(!iopf_atc_is_unconfirmed(dev_of(beside)));
}

/* Each is in the list of those that have failed, until it is confirmed. */
TEST(failures_of_two_devices_are_confirmed_one_by_one)
{
	set_up();
	use(dev, 2, false);
	use(beside, 3, false);
	SIM_CHECK(iopf_atc_holds(2, NULL) && iopf_atc_holds(3, NULL));
	SIM_CHECK(!iopf_atc_holds(2, dev_of(beside)->iommu_group));
	iopf_atc_confirmed(dev_of(dev));
	SIM_CHECK(!iopf_atc_holds(2, NULL) && iopf_atc_holds(3, NULL));
	iopf_atc_confirmed(dev_of(beside));
	SIM_CHECK(!iopf_atc_holds(3, NULL));
}

TEST(pasid_in_use_is_not_used_again)
{
	set_up();
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	sim_expect_warnings(1);
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), -EBUSY);
	iopf_atc_leave(dev_of(dev), 2);
	SIM_EQ(iopf_atc_use(dev_of(dev), 2), 0);
	iopf_atc_leave(dev_of(dev), 2);
}
