// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each request is counted once when it comes and once for what becomes of it.
 */
#include "test.h"

static struct vendor_dev *dev;
static struct mm_struct *mm;
static struct iommu_sva *sva;

static void set_up(void)
{
	dev = test_dev();
	mm = test_mm();
	sva = test_bind(dev, mm);
}

/* There were @requests; @nr of them count as @what, and none as @other. */
static void expect_counts(u64 requests, enum iopf_count what, u64 nr, enum iopf_count other)
{
	u64 counts[IOPF_NR_COUNTS];

	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	SIM_EQ(counts[IOPF_REQUESTS], requests);
	SIM_EQ(counts[what], nr);
	SIM_EQ(counts[other], 0);
}

TEST(served_requests_are_counted)
{
	set_up();
	for (u32 i = 0; i < 3; i++)
		test_answered(vendor_ask(dev, 1, i, PAGE(i)), SUCCESS);
	expect_counts(3, IOPF_SERVED, 3, IOPF_FAILED);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(refused_request_counts_as_failed)
{
	set_up();
	test_answered(vendor_ask(dev, 1, 0, SLOT(1)), INVALID);
	expect_counts(1, IOPF_FAILED, 1, IOPF_SERVED);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(request_after_exit_is_no_failure)
{
	set_up();
	mmput(mm);
	test_answered(vendor_ask(dev, 1, 0, BASE), INVALID);
	expect_counts(1, IOPF_EXITED, 1, IOPF_FAILED);
	iommu_sva_unbind_device(sva);
}

TEST(request_that_waits_at_exit_is_no_failure)
{
	struct vendor_request *r;

	set_up();
	r = vendor_ask(dev, 1, 0, BASE);
	mmput(mm);
	test_answered(r, INVALID);
	expect_counts(1, IOPF_EXITED, 1, IOPF_FAILED);
	iommu_sva_unbind_device(sva);
}
