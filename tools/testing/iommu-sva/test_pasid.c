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

/* More than a part of the allocator's bitmap has */
#define MANY	9000

static struct device *wide_dev(void)
{
	return dev_of(vendor_dev_new(vendor_iommu_new(0), MANY, 4));
}

TEST(all_numbers_of_a_wide_device_are_given_and_come_back)
{
	static const u32 freed[] = { 1, 4095, 4096, 8191, 8192, MANY - 1 };
	struct device *dev = wide_dev();

	for (u32 pasid = 1; pasid < MANY; pasid++)
		SIM_EQ(iommu_alloc_global_pasid(dev), pasid);
	SIM_EQ(iommu_alloc_global_pasid(dev), IOMMU_PASID_INVALID);
	for (unsigned int i = 0; i < ARRAY_SIZE(freed); i++)
		iommu_free_global_pasid(freed[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(freed); i++) {
		u32 pasid = iommu_alloc_global_pasid(dev);
		bool known = false;

		for (unsigned int j = 0; j < ARRAY_SIZE(freed); j++)
			known |= pasid == freed[j];
		SIM_CHECK(known);
	}
	SIM_EQ(iommu_alloc_global_pasid(dev), IOMMU_PASID_INVALID);
	for (u32 pasid = 1; pasid < MANY; pasid++)
		iommu_free_global_pasid(pasid);
}

/* Processes that have been there for long do not make the others' numbers come back sooner. */
TEST(numbers_behind_many_in_use_come_back_in_turn)
{
	struct device *dev = wide_dev();
	u32 held = 5000;

	for (u32 pasid = 1; pasid <= held; pasid++)
		SIM_EQ(iommu_alloc_global_pasid(dev), pasid);
	for (unsigned int round = 0; round < 2; round++) {
		for (u32 pasid = held + 1; pasid < MANY; pasid++) {
			SIM_EQ(iommu_alloc_global_pasid(dev), pasid);
			iommu_free_global_pasid(pasid);
		}
	}
	for (u32 pasid = 1; pasid <= held; pasid++)
		iommu_free_global_pasid(pasid);
}

TEST(no_memory_for_numbers_gives_none)
{
	struct device *dev = wide_dev();

	sim_fail_alloc(1);
	SIM_EQ(iommu_alloc_global_pasid(dev), IOMMU_PASID_INVALID);
	iommu_free_global_pasid(iommu_alloc_global_pasid(dev));
}

TEST(numbers_that_are_not_in_use_are_not_freed)
{
	struct device *dev = wide_dev();
	static const u32 unused[] = { 1, 2, 8000, BIT(20), IOMMU_PASID_INVALID };
	u32 pasid = iommu_alloc_global_pasid(dev);

	iommu_free_global_pasid(pasid);
	for (unsigned int i = 0; i < ARRAY_SIZE(unused); i++) {
		sim_expect_warnings(1);
		iommu_free_global_pasid(unused[i]);
	}
}

static struct device *shared_dev;
static u32 taken[2];

static void take_number(void *arg)
{
	*(u32 *)arg = iommu_alloc_global_pasid(shared_dev);
}

static void take_two_at_once(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(taken); i++)
		sim_spawn("bind", take_number, &taken[i]);
	sim_settle();
	SIM_CHECK(taken[0] != taken[1]);
	for (unsigned int i = 0; i < ARRAY_SIZE(taken); i++) {
		SIM_CHECK(taken[i] && taken[i] <= shared_dev->iommu->max_pasids - 1);
		iommu_free_global_pasid(taken[i]);
	}
}

/* Each search sees all numbers, whatever the other one does. */
EXPLORE(two_binds_at_once_get_the_last_two_numbers)
{
	shared_dev = dev_of(vendor_dev_new(vendor_iommu_new(0), 3, 4));
	take_two_at_once();
}

/* Where a part of the bitmap begins, which is not there in the first search */
EXPLORE(two_binds_at_once_make_one_part_of_the_bitmap)
{
	size_t live;
	u32 pasid;

	shared_dev = dev_of(vendor_dev_new(vendor_iommu_new(0), BIT(20), 4));
	sim_nosched(true);
	do {
		pasid = iommu_alloc_global_pasid(shared_dev);
		iommu_free_global_pasid(pasid);
	} while (pasid % 4096 != 4095);
	sim_nosched(false);
	live = sim_nr_live();
	take_two_at_once();
	SIM_EQ(sim_nr_live() - live, 1);
}

TEST(start_of_searches_goes_round_with_them)
{
	struct device *dev = dev_of(vendor_dev_new(vendor_iommu_new(0), 8, 4));

	for (u32 pasid = 1; pasid <= 7; pasid++)
		SIM_EQ(iommu_alloc_global_pasid(dev), pasid);
	/* From 1 on: 5 is the first. Then from 6 on: the first is below. */
	iommu_free_global_pasid(5);
	SIM_EQ(iommu_alloc_global_pasid(dev), 5);
	iommu_free_global_pasid(3);
	SIM_EQ(iommu_alloc_global_pasid(dev), 3);
	iommu_free_global_pasid(3);
	iommu_free_global_pasid(5);
	SIM_EQ(iommu_alloc_global_pasid(dev), 5);
	iommu_free_global_pasid(5);
	SIM_EQ(iommu_alloc_global_pasid(dev), 3);
	iommu_free_global_pasid(3);
	for (u32 pasid = 1; pasid <= 7; pasid++)
		if (pasid != 3 && pasid != 5)
			iommu_free_global_pasid(pasid);
}
