/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fixture of tests with two devices behind one IOMMU, bound to one process. Each test file has one
 * of its own.
 */
#ifndef _IOMMU_SVA_HARNESS_PAIR_H
#define _IOMMU_SVA_HARNESS_PAIR_H

#include "test.h"

static struct vendor_dev *dev, *beside;
static struct mm_struct *mm;
static struct iommu_sva *sva, *other;
static u32 pasid;

static void set_up(void)
{
	dev = test_dev();
	beside = test_dev_beside(dev);
	mm = test_mm();
	sva = test_bind(dev, mm);
	other = test_bind(beside, mm);
	pasid = iommu_sva_get_pasid(sva);
}

static void tear_down(void)
{
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(other);
	mmput(mm);
}

#endif /* _IOMMU_SVA_HARNESS_PAIR_H */
