// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strays and the quarantine of their PASIDs. Its time is the default one, and passes when a test
 * says so.
 */
#include "test.h"

#define QUARANTINE	10000
#define PER_DEVICE	8

static u64 counted(struct vendor_dev *dev, enum iopf_count what)
{
	u64 counts[IOPF_NR_COUNTS];

	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	return counts[what];
}

static void stray(struct vendor_dev *dev, ioasid_t pasid)
{
	struct vendor_request *r = vendor_ask(dev, pasid, 0, BASE);

	SIM_EQ(r->error, -EINVAL);
	SIM_EQ(r->answers, 1);
	SIM_EQ(r->code, INVALID);
}

static bool can_be_had(struct vendor_dev *dev, ioasid_t pasid)
{
	ioasid_t got[64];
	unsigned int nr = 0;
	bool found = false;

	while (nr < 64) {
		got[nr] = iommu_alloc_global_pasid(dev_of(dev));
		if (got[nr] == IOMMU_PASID_INVALID)
			break;
		found |= got[nr++] == pasid;
	}
	while (nr)
		iommu_free_global_pasid(got[--nr]);
	return found;
}

static bool can_bind(struct vendor_dev *dev, int error)
{
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = iommu_sva_bind_device(dev_of(dev), mm);
	bool bound = !IS_ERR(sva);

	if (bound)
		iommu_sva_unbind_device(sva);
	else
		SIM_EQ(PTR_ERR(sva), error);
	mmput(mm);
	return bound;
}

TEST(request_after_unbind_puts_its_pasid_in_quarantine)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();

	iommu_sva_unbind_device(test_bind(dev, mm));
	SIM_CHECK(can_be_had(dev, 1));
	stray(dev, 1);
	SIM_EQ(counted(dev, IOPF_STRAY), 1);
	SIM_EQ(sim_nr_logged(), 1);
	SIM_CHECK(!can_be_had(dev, 1));
	SIM_CHECK(can_be_had(dev, 2));
	sim_advance(QUARANTINE - 1);
	SIM_CHECK(!can_be_had(dev, 1));
	sim_advance(1);
	SIM_CHECK(can_be_had(dev, 1));
	mmput(mm);
}

TEST(each_stray_begins_the_quarantine_anew)
{
	struct vendor_dev *dev = test_dev();

	stray(dev, 3);
	for (unsigned int i = 0; i < 5; i++) {
		sim_advance(QUARANTINE - 1);
		stray(dev, 3);
	}
	sim_advance(QUARANTINE - 1);
	SIM_CHECK(!can_be_had(dev, 3));
	sim_advance(1);
	SIM_CHECK(can_be_had(dev, 3));
}

TEST(dma_is_a_stray_only_without_a_bond)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	iopf_report_stray(dev_of(dev), 1, BASE);
	SIM_EQ(counted(dev, IOPF_STRAY), 0);
	SIM_EQ(sim_nr_logged(), 0);
	iommu_sva_unbind_device(sva);
	iopf_report_stray(dev_of(dev), 1, BASE);
	SIM_EQ(counted(dev, IOPF_STRAY), 1);
	SIM_EQ(counted(dev, IOPF_REQUESTS), 0);
	SIM_CHECK(!can_be_had(dev, 1));
	mmput(mm);
}

/* As a driver that has a PASID for the kernel's own DMA */
TEST(pasid_attached_without_a_handle_is_no_stray)
{
	struct vendor_dev *dev = test_dev();

	sim_attach_handle(dev_of(dev)->iommu_group, 1, NULL);
	iopf_report_stray(dev_of(dev), 1, BASE);
	stray(dev, 1);
	SIM_EQ(counted(dev, IOPF_STRAY), 0);
	SIM_EQ(counted(dev, IOPF_FAILED), 1);
	sim_detach_handle(dev_of(dev)->iommu_group, 1);
	SIM_CHECK(can_be_had(dev, 1));
}

TEST(stray_of_a_device_on_no_queue_is_not_noted)
{
	struct vendor_dev *plain = vendor_dev_new(vendor_iommu_new(0), 16, 4);

	iopf_report_stray(dev_of(plain), 1, BASE);
	SIM_CHECK(can_be_had(plain, 1));
	SIM_EQ(sim_nr_logged(), 0);
}

/* The field has no meaning then. */
TEST(request_without_pasid_puts_none_in_quarantine)
{
	struct vendor_dev *dev = test_dev();
	struct vendor_request *r = vendor_ask(dev, IOMMU_PASID_INVALID, 0, BASE);

	SIM_EQ(r->answers, 1);
	SIM_CHECK(can_be_had(dev, r->pasid));
	for (unsigned int i = 0; i < PER_DEVICE; i++)
		stray(dev, 100 + i);
	SIM_CHECK(can_bind(dev, 0));
}

TEST(ninth_stray_pasid_blocks_binds_of_the_device)
{
	struct vendor_dev *dev = test_dev(), *other = test_dev_beside(dev);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (unsigned int i = 0; i < PER_DEVICE; i++) {
		stray(dev, 100 + i);
		stray(dev, 100 + i);
	}
	SIM_CHECK(can_bind(dev, 0));
	stray(dev, 200);
	SIM_CHECK(!can_bind(dev, -EBUSY));
	SIM_CHECK(can_bind(other, 0));
	test_answered(vendor_ask(dev, iommu_sva_get_pasid(sva), 0, BASE), SUCCESS);
	sim_advance(QUARANTINE - 1);
	SIM_CHECK(!can_bind(dev, -EBUSY));
	sim_advance(1);
	SIM_CHECK(can_bind(dev, 0));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* Expired strays make room for new ones. */
TEST(room_for_strays_is_used_again)
{
	struct vendor_dev *dev = test_dev();

	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < PER_DEVICE; i++)
			stray(dev, 100 + round * PER_DEVICE + i);
		SIM_CHECK(can_bind(dev, 0));
		sim_advance(QUARANTINE);
	}
}

TEST(one_device_cannot_take_the_room_of_others)
{
	struct vendor_dev *bad = test_dev(), *dev = test_dev_beside(bad);

	for (unsigned int i = 0; i < 200; i++)
		stray(bad, 100 + i);
	stray(dev, 3);
	SIM_CHECK(!can_be_had(dev, 3));
	SIM_CHECK(can_bind(dev, 0));
}

TEST(room_for_all_devices_is_bounded_too)
{
	struct vendor_dev *dev[9];

	dev[0] = test_dev();
	for (unsigned int i = 1; i < 9; i++)
		dev[i] = test_dev_beside(dev[0]);
	for (unsigned int i = 0; i < 8; i++)
		for (unsigned int k = 0; k < PER_DEVICE; k++)
			stray(dev[i], 100 + k);
	stray(dev[8], 5);
	for (unsigned int i = 0; i < 8; i++)
		SIM_CHECK(can_bind(dev[i], 0));
	SIM_CHECK(!can_bind(dev[8], -EBUSY));
}

TEST(strays_go_with_their_device)
{
	struct vendor_dev *dev = test_dev(), *other = test_dev_beside(dev);

	stray(other, 4);
	stray(dev, 3);
	for (unsigned int i = 0; i < PER_DEVICE; i++)
		stray(dev, 100 + i);
	vendor_disable(dev);
	SIM_CHECK(can_be_had(other, 3));
	SIM_CHECK(!can_be_had(other, 4));
	vendor_enable(dev);
	SIM_CHECK(can_bind(dev, 0));
}

TEST(two_devices_with_the_same_stray)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);

	stray(a, 3);
	sim_advance(QUARANTINE / 2);
	stray(b, 3);
	vendor_disable(b);
	SIM_CHECK(!can_be_had(a, 3));
	vendor_enable(b);
	stray(b, 3);
	sim_advance(QUARANTINE - 1);
	SIM_CHECK(!can_be_had(b, 3));
	sim_advance(1);
	SIM_CHECK(can_be_had(a, 3));
}

TEST(quarantine_of_all_that_is_free_is_enospc)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 4, 4);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;

	vendor_enable(dev);
	sva = test_bind(dev, mm);
	stray(dev, 2);
	SIM_CHECK(can_bind(dev, 0));
	stray(dev, 3);
	SIM_CHECK(!can_bind(dev, -ENOSPC));
	sim_advance(QUARANTINE);
	SIM_CHECK(can_bind(dev, 0));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(stray_pasid_may_be_bound_elsewhere)
{
	struct vendor_dev *dev = test_dev(), *other = test_dev_beside(dev);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	iommu_sva_unbind_device(test_bind(other, mm));
	stray(other, 1);
	test_answered(vendor_ask(dev, 1, 0, BASE), SUCCESS);
	/* And the same process on that device: it has its PASID already. */
	iommu_sva_unbind_device(test_bind(other, mm));
	iommu_sva_unbind_device(sva);
	SIM_CHECK(!can_be_had(other, 1));
	mmput(mm);
}

/* All numbers of a device with 16 PASIDs, used by two others */
static void stray_everywhere(struct vendor_dev *a, struct vendor_dev *b)
{
	for (unsigned int i = 0; i < PER_DEVICE; i++) {
		stray(a, i + 1);
		stray(b, i + PER_DEVICE);
	}
}

TEST(strays_of_others_do_not_take_all_numbers_of_a_narrow_device)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a), *dev = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva, *other;
	u32 pasid;

	stray_everywhere(a, b);
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	test_answered(vendor_ask(dev, pasid, 0, BASE), SUCCESS);
	/* A device that uses it as another process's must not reach the memory of this one. */
	SIM_CHECK(pasid < PER_DEVICE);
	test_no_bind(a, mm, -EBUSY);
	stray(a, pasid);
	other = test_bind(b, mm);
	iommu_sva_unbind_device(other);
	sim_advance(QUARANTINE - 1);
	test_no_bind(a, mm, -EBUSY);
	sim_advance(1);
	iommu_sva_unbind_device(test_bind(a, mm));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* Binds @mm on @dev, with the number @pasid, which is free. */
static struct iommu_sva *bind_with(struct vendor_dev *dev, struct mm_struct *mm, u32 pasid)
{
	struct iommu_sva *sva = test_bind(dev, mm);

	while (iommu_sva_get_pasid(sva) != pasid) {
		iommu_sva_unbind_device(sva);
		sva = test_bind(dev, mm);
	}
	return sva;
}

/* The device goes on when its PASID is another process's, which is bound on another device. */
TEST(stray_that_comes_when_its_number_has_a_new_owner_keeps_the_device_from_that)
{
	struct vendor_dev *bad = test_dev(), *dev = test_dev_beside(bad);
	struct mm_struct *old = test_mm(), *mm = test_mm();
	struct iommu_sva *sva;

	iommu_sva_unbind_device(test_bind(bad, old));
	sva = bind_with(dev, mm, 1);
	/* Only a bond tells the two apart, not an attempt. */
	bad->attach_error = -EIO;
	test_no_bind(bad, mm, -EIO);
	bad->attach_error = 0;
	stray(bad, 1);
	test_no_bind(bad, mm, -EBUSY);
	iommu_sva_unbind_device(test_bind(bad, old));
	sim_advance(QUARANTINE - 1);
	test_no_bind(bad, mm, -EBUSY);
	sim_advance(1);
	iommu_sva_unbind_device(test_bind(bad, mm));
	/* This one is the new owner's. */
	stray(bad, 1);
	iommu_sva_unbind_device(test_bind(bad, mm));
	iommu_sva_unbind_device(sva);
	mmput(mm);
	mmput(old);
}

TEST(stray_for_its_owner_is_told_from_the_one_before_its_bond)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a), *dev = test_dev_beside(a);
	struct vendor_dev *member = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	u32 pasid;

	vendor_join_group(member, a);
	stray_everywhere(a, b);
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	SIM_CHECK(pasid < PER_DEVICE);
	test_no_bind(a, mm, -EBUSY);
	sim_advance(QUARANTINE);
	iommu_sva_unbind_device(test_bind(a, mm));
	stray(a, pasid);
	iommu_sva_unbind_device(test_bind(a, mm));
	/* All members were attached. */
	stray(member, pasid);
	iommu_sva_unbind_device(test_bind(member, mm));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

#ifdef CONFIG_X86
TEST(with_enqcmd_it_is_known_after_the_last_unbind_whose_a_stray_is)
{
	struct vendor_dev *dev = test_dev(), *other = test_dev_beside(dev);
	struct mm_struct *mm = test_mm();

	sim_has_enqcmd = true;
	iommu_sva_unbind_device(test_bind(dev, mm));
	iommu_sva_unbind_device(test_bind(dev, mm));
	stray(dev, 1);
	stray(other, 1);
	iommu_sva_unbind_device(test_bind(dev, mm));
	test_no_bind(other, mm, -EBUSY);
	mmput(mm);
	sim_settle();
	sim_has_enqcmd = false;
}
#endif

TEST(number_that_nobody_uses_is_given_before_one_that_another_device_does)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a), *dev = test_dev_beside(a);
	ioasid_t free = 11, pasid;

	for (unsigned int i = 0; i < PER_DEVICE; i++) {
		stray(a, i + 1);
		if (i + PER_DEVICE + 1 != free && i < PER_DEVICE - 1)
			stray(b, i + PER_DEVICE + 1);
	}
	pasid = iommu_alloc_global_pasid(dev_of(dev));
	SIM_EQ(pasid, free);
	iommu_free_global_pasid(pasid);
}

TEST(strays_of_a_group_s_member_are_the_group_s)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a), *dev = test_dev_beside(a);
	struct vendor_dev *apart = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;

	vendor_join_group(dev, a);
	stray_everywhere(a, b);
	sva = test_bind(dev, mm);
	/* One of those that only the stranger uses */
	SIM_CHECK(iommu_sva_get_pasid(sva) > PER_DEVICE);
	iommu_sva_unbind_device(sva);
	/* The group does not get a PASID that a member uses, even if another device has it. */
	sva = test_bind(apart, mm);
	for (u32 pasid = iommu_sva_get_pasid(sva); pasid > PER_DEVICE; ) {
		iommu_sva_unbind_device(sva);
		sva = test_bind(apart, mm);
		pasid = iommu_sva_get_pasid(sva);
	}
	test_no_bind(dev, mm, -EBUSY);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* Each device has so many lines of a kind in five seconds. */
#define LINES	10

TEST(device_that_strays_all_the_time_does_not_silence_another_one)
{
	struct vendor_dev *bad = test_dev(), *dev = test_dev_beside(bad);

	for (unsigned int i = 0; i < 3 * LINES; i++)
		stray(bad, 3);
	SIM_EQ(sim_nr_logged(), LINES);
	stray(dev, 4);
	SIM_EQ(sim_nr_logged(), LINES + 1);
	/* Nor lines of its own that say something else */
	vendor_ask(bad, IOMMU_PASID_INVALID, 0, BASE);
	SIM_EQ(sim_nr_logged(), LINES + 2);
	sim_advance(5 * HZ);
	stray(bad, 3);
	SIM_EQ(sim_nr_logged(), LINES + 3);
}

static void fail_to_bind_often(struct vendor_dev *dev, unsigned int nr)
{
	struct mm_struct *mm = test_mm();

	for (unsigned int i = 0; i < nr; i++)
		test_no_bind(dev, mm, -EBUSY);
	mmput(mm);
}

TEST(binds_of_a_blocked_device_do_not_silence_another_one)
{
	struct vendor_dev *bad = test_dev(), *dev = test_dev_beside(bad);
	unsigned int before;

	for (unsigned int i = 0; i <= PER_DEVICE; i++) {
		stray(bad, 100 + i);
		stray(dev, 100 + i);
	}
	before = sim_nr_logged();
	fail_to_bind_often(bad, 3 * LINES);
	SIM_EQ(sim_nr_logged() - before, LINES);
	fail_to_bind_often(dev, 1);
	SIM_EQ(sim_nr_logged() - before, LINES + 1);
}

/* A PASID comes back when all others have been used, however often. SVA_BINDS: how often. */
TEST(pasid_comes_back_after_all_others)
{
	const char *binds = getenv("SVA_BINDS");
	unsigned int nr = binds ? atoi(binds) : 1000;

	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 64, 4);
	struct mm_struct *mm = test_mm();
	u32 last = 0;

	vendor_enable(dev);
	for (unsigned int i = 0; i < nr; i++) {
		struct iommu_sva *sva = test_bind(dev, mm);
		u32 pasid = iommu_sva_get_pasid(sva);

		SIM_EQ(pasid, last % 63 + 1);
		last = pasid;
		iommu_sva_unbind_device(sva);
		/* Memory that waits for RCU must not pile up. */
		if (i % 64 == 0)
			sim_settle();
	}
	mmput(mm);
}

/* Races */

static struct vendor_dev *dev;
static ioasid_t astray;

static void go_astray(void *arg)
{
	stray(dev, 2);
	astray = 2;
	iopf_report_stray(dev_of(dev), 3, BASE);
	astray = 3;
}

/* A PASID that is allocated was allocated before its stray. */
static ioasid_t allocate_one(void)
{
	ioasid_t before = astray, pasid = iommu_alloc_global_pasid(dev_of(dev));

	SIM_CHECK(pasid != IOMMU_PASID_INVALID);
	SIM_CHECK(!before || pasid < 2 || pasid > before);
	return pasid;
}

static void allocate(void *arg)
{
	ioasid_t first = allocate_one(), second = allocate_one();

	SIM_CHECK(first != second);
	iommu_free_global_pasid(first);
	iommu_free_global_pasid(second);
}

EXPLORE(stray_against_allocation)
{
	dev = vendor_dev_new(vendor_iommu_new(0), 8, 4);
	vendor_enable(dev);
	astray = 0;
	sim_spawn("device", go_astray, NULL);
	sim_spawn("first", allocate, NULL);
	sim_spawn("second", allocate, NULL);
	sim_settle();
	SIM_CHECK(!can_be_had(dev, 2) && !can_be_had(dev, 3));
}

static void remove_and_return(void *arg)
{
	vendor_disable(dev);
	vendor_enable(dev);
}

EXPLORE(stray_against_removal)
{
	struct vendor_request *r;

	dev = test_dev();
	sim_spawn("removal", remove_and_return, NULL);
	r = vendor_ask(dev, 2, 0, BASE);
	iopf_report_stray(dev_of(dev), 3, BASE);
	sim_settle();
	SIM_EQ(r->answers, 1);
	vendor_disable(dev);
	/* No entry is left that names a device which may be gone. */
	SIM_CHECK(can_be_had(dev, 2) && can_be_had(dev, 3));
}

static void remove(void *arg)
{
	vendor_disable(dev);
}

/* A thread that has just found the device on its queue reports the stray. */
EXPLORE(stray_against_removal_for_good)
{
	dev = test_dev();
	sim_spawn("removal", remove, NULL);
	iopf_report_stray(dev_of(dev), 3, BASE);
	sim_settle();
	SIM_CHECK(can_be_had(dev, 3));
}

static struct mm_struct *mm;

static void bind_and_unbind(void *arg)
{
	struct iommu_sva *sva = test_bind(dev, mm);

	iommu_sva_unbind_device(sva);
}

EXPLORE(stray_against_bind_and_unbind)
{
	u32 pasid;

	dev = test_dev();
	mm = test_mm();
	/* The number that the bond will have */
	pasid = iommu_alloc_global_pasid(dev_of(dev)) % 15 + 1;
	iommu_free_global_pasid((pasid + 13) % 15 + 1);
	sim_spawn("bind", bind_and_unbind, NULL);
	for (unsigned int i = 0; i < 3; i++) {
		struct vendor_request *r = vendor_ask(dev, pasid, 0, BASE);

		iopf_report_stray(dev_of(dev), pasid, BASE);
		sim_settle();
		SIM_EQ(r->answers, 1);
	}
	mmput(mm);
}
