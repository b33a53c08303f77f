// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation fails, one after the other: the error is the documented one and nothing is left.
 */
#include "test.h"

/* Calls @try until no allocation is left to fail; returns how many there were. */
static unsigned int fail_each(void (*try)(void *arg, bool may_fail), void *arg)
{
	for (unsigned int nth = 1; ; nth++) {
		size_t before;
		bool failed;

		sim_settle();
		before = sim_nr_live();
		sim_fail_alloc(nth);
		try(arg, true);
		failed = sim_alloc_failed();
		sim_fail_alloc(0);
		sim_settle();
		SIM_EQ(sim_nr_live(), before);
		if (!failed)
			return nth - 1;
		/* And after the failure it works. */
		try(arg, false);
	}
}

struct pair {
	struct vendor_dev *dev;
	struct mm_struct *mm;
};

static void try_bind(void *arg, bool may_fail)
{
	struct pair *pair = arg;
	struct iommu_sva *sva = iommu_sva_bind_device(dev_of(pair->dev), pair->mm);

	if (!IS_ERR(sva)) {
		SIM_CHECK(!sim_alloc_failed() || !may_fail);
		iommu_sva_unbind_device(sva);
		return;
	}
	SIM_CHECK(may_fail && sim_alloc_failed());
	/* The allocator of PASIDs does not say why it has none. */
	SIM_CHECK(PTR_ERR(sva) == -ENOMEM || PTR_ERR(sva) == -ENOSPC);
}

TEST(first_bind_with_each_allocation_failing)
{
	struct pair pair = { .dev = test_dev(), .mm = test_mm() };

	/* The list of notifiers stays with the mm. */
	iommu_sva_unbind_device(test_bind(pair.dev, pair.mm));
	SIM_CHECK(fail_each(try_bind, &pair) >= 6);
	mmput(pair.mm);
}

TEST(second_bind_with_each_allocation_failing)
{
	struct vendor_dev *dev = test_dev();
	struct pair beside = { .dev = test_dev_beside(dev), .mm = test_mm() };
	struct pair elsewhere = { .dev = test_dev(), .mm = beside.mm };
	struct iommu_sva *sva = test_bind(dev, beside.mm);
	u32 pasid = iommu_sva_get_pasid(sva);

	SIM_EQ(fail_each(try_bind, &beside), 3);
	SIM_CHECK(fail_each(try_bind, &elsewhere) >= 4);
	SIM_EQ(iommu_sva_get_pasid(sva), pasid);
	test_answered(vendor_ask(dev, pasid, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(beside.mm);
}

TEST(first_bind_ever_of_an_mm_with_each_allocation_failing)
{
	struct vendor_dev *dev = test_dev();
	bool failed = true;

	for (unsigned int nth = 1; failed; nth++) {
		struct pair pair = { .dev = dev, .mm = test_mm() };

		sim_fail_alloc(nth);
		try_bind(&pair, true);
		failed = sim_alloc_failed();
		sim_fail_alloc(0);
		mmput(pair.mm);
	}
}

TEST(bind_through_the_old_domain_alloc_with_each_allocation_failing)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(VENDOR_OLD_ALLOC), 16, 4);
	struct pair pair = { .dev = dev, .mm = test_mm() };

	vendor_enable(dev);
	iommu_sva_unbind_device(test_bind(pair.dev, pair.mm));
	SIM_CHECK(fail_each(try_bind, &pair) >= 6);
	mmput(pair.mm);
}

static void try_add(void *arg, bool may_fail)
{
	struct vendor_dev *dev = arg;
	int ret = iopf_queue_add_device(dev->iommu->queue, dev_of(dev));

	if (!ret) {
		SIM_CHECK(!may_fail || !sim_alloc_failed());
		iopf_queue_remove_device(dev->iommu->queue, dev_of(dev));
		return;
	}
	SIM_CHECK(may_fail && sim_alloc_failed());
	SIM_EQ(ret, -ENOMEM);
	SIM_CHECK(!dev->param->fault_param);
}

TEST(add_device_with_each_allocation_failing)
{
	SIM_EQ(fail_each(try_add, vendor_dev_new(vendor_iommu_new(0), 16, 4)), 1);
}

static void try_queue(void *arg, bool may_fail)
{
	struct iopf_queue *queue = iopf_queue_alloc("queue");

	SIM_EQ(!queue, may_fail && sim_alloc_failed());
	iopf_queue_free(queue);
}

TEST(queue_alloc_with_each_allocation_failing)
{
	SIM_EQ(fail_each(try_queue, NULL), 2);
}

/* Nothing is allocated from the request to the response. */
TEST(nothing_is_allocated_per_request)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	unsigned int before = sim_nr_allocs();

	for (u32 i = 0; i < 300; i++) {
		vendor_send(dev, 1, i & 0x1ff, PAGE(i % PAGES), READ, false);
		if (i % 3)
			vendor_ask(dev, 1, i & 0x1ff, PAGE(i % PAGES));
		if (i % 5 == 0)
			sim_settle();
		if (i % 50 == 0)
			iopf_drain_pasid(dev_of(dev), 1);
		if (i % 60 == 0)
			iopf_queue_discard_partial(dev->iommu->queue);
	}
	SIM_EQ(sim_nr_allocs(), before);
	sim_fail_alloc(1);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(!sim_alloc_failed());
	vendor_disable(dev);
	SIM_CHECK(!sim_alloc_failed());
	sim_fail_alloc(0);
	mmput(mm);
}
