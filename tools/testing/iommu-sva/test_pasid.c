// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASID numbers: which process gets which, and when they come back.
 */
#include "test.h"

static u32 pasid_of_a_round(struct vendor_dev *dev, struct mm_struct *mm)
{
	struct iommu_sva *sva = test_bind(dev, mm);
	u32 pasid = iommu_sva_get_pasid(sva);

	iommu_sva_unbind_device(sva);
	return pasid;
}

TEST(freed_pasid_is_the_last_to_come_back)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 8, 4);
	struct mm_struct *mm = test_mm();

	vendor_enable(dev);
	for (u32 round = 0; round < 3; round++)
		for (u32 pasid = 1; pasid < 8; pasid++)
			SIM_EQ(pasid_of_a_round(dev, mm), pasid);
	mmput(mm);
}

TEST(pasids_in_use_are_passed_over)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 8, 4);
	struct mm_struct *mm = test_mm(), *holders[3];
	struct iommu_sva *held[3];
	static const u32 order[] = { 5, 6, 7, 1, 3, 5, 6, 7, 1, 3 };

	vendor_enable(dev);
	/* 2, 4 and then the one after it, freed again */
	SIM_EQ(pasid_of_a_round(dev, mm), 1);
	for (unsigned int i = 0; i < 2; i++) {
		holders[i] = test_mm();
		held[i] = test_bind(dev, holders[i]);
		SIM_EQ(iommu_sva_get_pasid(held[i]), 2 + 2 * i);
		if (!i)
			SIM_EQ(pasid_of_a_round(dev, mm), 3);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++)
		SIM_EQ(pasid_of_a_round(dev, mm), order[i]);
	for (unsigned int i = 0; i < 2; i++) {
		iommu_sva_unbind_device(held[i]);
		mmput(holders[i]);
	}
	mmput(mm);
}

TEST(exhausted_pasids_are_enospc_and_unbind_makes_room)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 8, 4);
	struct mm_struct *mms[7], *extra = test_mm();
	struct iommu_sva *held[7];

	vendor_enable(dev);
	for (unsigned int i = 0; i < 7; i++) {
		mms[i] = test_mm();
		held[i] = test_bind(dev, mms[i]);
	}
	test_no_bind(dev, extra, -ENOSPC);
	test_no_bind(dev, extra, -ENOSPC);
	SIM_CHECK(!extra->iommu_mm);
	for (unsigned int i = 3; i < 10; i++) {
		iommu_sva_unbind_device(held[i % 7]);
		held[i % 7] = test_bind(dev, extra);
		SIM_EQ(iommu_sva_get_pasid(held[i % 7]), i % 7 + 1);
		iommu_sva_unbind_device(held[i % 7]);
		held[i % 7] = test_bind(dev, mms[i % 7]);
		SIM_EQ(iommu_sva_get_pasid(held[i % 7]), i % 7 + 1);
	}
	for (unsigned int i = 0; i < 7; i++) {
		iommu_sva_unbind_device(held[i]);
		mmput(mms[i]);
	}
	mmput(extra);
}

/* A narrow device goes round its own numbers, also if a wide one is far ahead of them. */
TEST(narrow_device_goes_round_its_own_numbers)
{
	struct vendor_dev *narrow = vendor_dev_new(vendor_iommu_new(0), 8, 4);
	struct vendor_dev *wide = vendor_dev_new(narrow->iommu, 1 << 20, 4);
	struct mm_struct *mm = test_mm();
	u32 last = 0;

	vendor_enable(narrow);
	vendor_enable(wide);
	for (unsigned int i = 0; i < 20; i++)
		pasid_of_a_round(wide, mm);
	for (unsigned int i = 0; i < 14; i++) {
		u32 pasid = pasid_of_a_round(narrow, mm);

		SIM_EQ(pasid, last % 7 + 1);
		last = pasid;
		pasid_of_a_round(wide, mm);
	}
	mmput(mm);
}

TEST(pasid_fits_the_device)
{
	struct vendor_iommu *iommu = vendor_iommu_new(0);
	struct mm_struct *mm = test_mm();

	for (u32 max = 2; max < 40; max++) {
		struct vendor_dev *dev = vendor_dev_new(iommu, max, 4);

		vendor_enable(dev);
		for (unsigned int i = 0; i < 3; i++) {
			u32 pasid = pasid_of_a_round(dev, mm);

			SIM_CHECK(pasid >= 1 && pasid < max);
		}
		vendor_disable(dev);
	}
	mmput(mm);
}

TEST(pasid_that_does_not_fit_a_second_device_is_eoverflow)
{
	struct vendor_dev *wide = test_dev(), *narrow = vendor_dev_new(wide->iommu, 4, 4);
	struct vendor_dev *exact = vendor_dev_new(wide->iommu, 5, 4);
	struct mm_struct *mms[4];
	struct iommu_sva *held[4], *sva;

	vendor_enable(narrow);
	vendor_enable(exact);
	for (unsigned int i = 0; i < 4; i++) {
		mms[i] = test_mm();
		held[i] = test_bind(wide, mms[i]);
	}
	test_no_bind(narrow, mms[3], -EOVERFLOW);
	SIM_EQ(mms[3]->iommu_mm->pasid, 4);
	sva = test_bind(exact, mms[3]);
	iommu_sva_unbind_device(sva);
	sva = test_bind(narrow, mms[2]);
	iommu_sva_unbind_device(sva);
	for (unsigned int i = 0; i < 4; i++) {
		iommu_sva_unbind_device(held[i]);
		mmput(mms[i]);
	}
}

TEST(device_with_one_pasid_or_none_gets_none)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 1, 4);

	SIM_EQ(iommu_alloc_global_pasid(dev_of(dev)), IOMMU_PASID_INVALID);
	dev->param->max_pasids = 0;
	SIM_EQ(iommu_alloc_global_pasid(dev_of(dev)), IOMMU_PASID_INVALID);
	dev->param->max_pasids = 2;
	SIM_EQ(iommu_alloc_global_pasid(dev_of(dev)), 1);
	SIM_EQ(iommu_alloc_global_pasid(dev_of(dev)), IOMMU_PASID_INVALID);
	iommu_free_global_pasid(1);
}

/* Both begin their search at the same number. */
TEST(search_below_the_start_of_a_wider_device_stays_within_the_width)
{
	struct vendor_iommu *iommu = vendor_iommu_new(0);
	struct vendor_dev *wide = vendor_dev_new(iommu, 7, 4);
	struct vendor_dev *narrow = vendor_dev_new(iommu, 4, 4);

	for (ioasid_t pasid = 1; pasid < 6; pasid++)
		SIM_EQ(iommu_alloc_global_pasid(dev_of(wide)), pasid);
	iommu_free_global_pasid(4);
	iommu_free_global_pasid(5);
	SIM_EQ(iommu_alloc_global_pasid(dev_of(narrow)), IOMMU_PASID_INVALID);
	iommu_free_global_pasid(2);
	SIM_EQ(iommu_alloc_global_pasid(dev_of(narrow)), 2);
	for (ioasid_t pasid = 1; pasid < 4; pasid++)
		iommu_free_global_pasid(pasid);
}

TEST(freeing_no_pasid_warns)
{
	sim_expect_warnings(1);
	iommu_free_global_pasid(IOMMU_PASID_INVALID);
}

TEST(pasid_survives_the_process_until_unbind)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 2, 4);
	struct mm_struct *mm = test_mm(), *next = test_mm();
	struct iommu_sva *sva;

	vendor_enable(dev);
	sva = test_bind(dev, mm);
	mmput(mm);
	sim_settle();
	test_no_bind(dev, next, -ENOSPC);
	SIM_EQ(iommu_sva_get_pasid(sva), 1);
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(test_bind(dev, next));
	mmput(next);
}

TEST(pasid_is_kept_while_another_bond_is)
{
	struct vendor_dev *a = vendor_dev_new(vendor_iommu_new(0), 2, 4);
	struct vendor_dev *b = vendor_dev_new(a->iommu, 2, 4);
	struct mm_struct *mm = test_mm(), *next = test_mm();
	struct iommu_sva *first, *second;

	vendor_enable(a);
	vendor_enable(b);
	first = test_bind(a, mm);
	second = test_bind(b, mm);
	iommu_sva_unbind_device(first);
	test_no_bind(a, next, -ENOSPC);
	first = test_bind(a, mm);
	iommu_sva_unbind_device(second);
	test_no_bind(a, next, -ENOSPC);
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(test_bind(a, next));
	mmput(mm);
	mmput(next);
}

#ifdef CONFIG_X86
/* Tasks may hold the PASID in an MSR. */
TEST(with_enqcmd_the_pasid_stays_with_the_mm)
{
	struct vendor_dev *dev = test_dev(), *narrow = vendor_dev_new(dev->iommu, 2, 4);
	struct mm_struct *mm = test_mm(), *other = test_mm();
	u32 pasid;

	vendor_enable(narrow);
	sim_has_enqcmd = true;
	pasid_of_a_round(dev, other);
	pasid = pasid_of_a_round(dev, mm);
	sim_settle();
	SIM_EQ(mm->iommu_mm->pasid, pasid);
	SIM_EQ(pasid_of_a_round(dev, mm), pasid);
	test_no_bind(narrow, mm, -EOVERFLOW);
	SIM_EQ(mm->iommu_mm->pasid, pasid);
	mmput(mm);
	mmput(other);
	sim_settle();
	sim_has_enqcmd = false;
}

TEST(with_enqcmd_the_pasid_is_freed_with_the_mm)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 2, 4);
	struct mm_struct *mm = test_mm(), *next = test_mm();
	struct iommu_sva *sva;

	vendor_enable(dev);
	sim_has_enqcmd = true;
	mmgrab(mm);
	sva = test_bind(dev, mm);
	mmput(mm);
	iommu_sva_unbind_device(sva);
	sim_settle();
	test_no_bind(dev, next, -ENOSPC);
	mmdrop(mm);
	SIM_EQ(pasid_of_a_round(dev, next), 1);
	mmput(next);
	sim_settle();
	sim_has_enqcmd = false;
}
#endif
