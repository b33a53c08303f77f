// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core counts each request once when it comes and once for its result.
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

TEST(failure_counts_for_its_own_request_of_a_batch)
{
	struct vendor_request *r[3];

	set_up();
	for (u32 i = 0; i < 3; i++)
		r[i] = vendor_ask(dev, 1, i, i == 1 ? SLOT(1) : PAGE(i));
	for (u32 i = 0; i < 3; i++)
		test_answered(r[i], i == 1 ? INVALID : SUCCESS);
	expect_counts(3, IOPF_SERVED, 2, IOPF_EXITED);
	expect_counts(3, IOPF_FAILED, 1, IOPF_DRAINED);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(request_that_a_drain_answers_is_no_failure)
{
	struct vendor_request *r;

	set_up();
	r = vendor_ask(dev, 1, 0, BASE);
	iopf_drain_pasid(dev_of(dev), 1);
	test_answered(r, INVALID);
	expect_counts(1, IOPF_DRAINED, 1, IOPF_FAILED);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(request_without_pasid_counts_as_failed)
{
	set_up();
	test_answered(vendor_ask(dev, IOMMU_PASID_INVALID, 0, BASE), INVALID);
	expect_counts(1, IOPF_FAILED, 1, IOPF_STRAY);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(partial_that_makes_room_counts_as_lost)
{
	set_up();
	for (u32 i = 0; i < CREDITS + SPARE; i++)
		vendor_send(dev, 1, i, BASE, READ, false);
	expect_counts(CREDITS + SPARE, IOPF_LOST, 0, IOPF_OVERRUN);
	for (u32 i = 0; i < 3; i++)
		vendor_send(dev, 1, 100 + i, BASE, READ, false);
	expect_counts(CREDITS + SPARE + 3, IOPF_LOST, 3, IOPF_OVERRUN);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(request_beyond_the_allowance_counts_as_overrun)
{
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	for (u32 i = 0; i < CREDITS + SPARE; i++)
		vendor_ask(dev, 1, i, BASE);
	sim_settle();
	expect_counts(CREDITS + SPARE, IOPF_OVERRUN, 0, IOPF_LOST);
	test_answered(vendor_ask(dev, 1, 100, BASE), INVALID);
	expect_counts(CREDITS + SPARE + 1, IOPF_OVERRUN, 1, IOPF_LOST);
	vendor_send(dev, 1, 101, BASE, READ, false);
	expect_counts(CREDITS + SPARE + 2, IOPF_OVERRUN, 2, IOPF_LOST);
	door.shut = false;
	sim_settle();
	expect_counts(CREDITS + SPARE + 2, IOPF_SERVED, CREDITS + SPARE, IOPF_FAILED);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static struct vendor_request *refused;

static void ask_while_stopping(struct vendor_dev *from, ioasid_t pasid)
{
	refused = vendor_ask(from, 1, 0, BASE);
}

TEST(requests_around_a_reset_are_counted)
{
	struct vendor_request *r;

	set_up();
	vendor_hooks.draining = ask_while_stopping;
	iopf_quiesce_device(dev_of(dev));
	vendor_hooks.draining = NULL;
	SIM_EQ(refused->error, -ESHUTDOWN);
	expect_counts(1, IOPF_DRAINED, 1, IOPF_STALE);
	r = vendor_ask(dev, 1, 1, BASE);
	SIM_EQ(r->error, 0);
	/* By the device, since it is in its reset */
	r->forgotten = true;
	expect_counts(2, IOPF_STALE, 1, IOPF_FAILED);
	iopf_resume_device(dev_of(dev));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}
