// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the table IOMMU's driver writes for its hardware
 *
 * A back-end has such a suite of its own, beside those of the core that run on it (conform_*).
 */
#include <linux/io.h>

#include "../iommu-priv.h"
#include "../soft-iommu/soft-backend.h"
#include "iopf_kunit.h"
#include "table_iommu.h"

#define EXCESS	8

/* This back-end only, however many there are. */
static const void *table_gen_params(const void *prev, char *desc)
{
	strscpy(desc, table_backend.name, KUNIT_PARAM_DESC_SIZE);
	return prev ? NULL : &table_backend;
}

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static struct soft_iommu_stats stats_of(struct kunit *test)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(fixture(test)->iommu, &stats);
	return stats;
}

static void entry_names_the_root_until_unbind(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	phys_addr_t root = virt_to_phys(iommu_sva_root(bond->sva->handle.domain));

	KUNIT_EXPECT_EQ(test, table_pasid_entry(fixture(test)->dev[0], bond->pasid),
			TABLE_PRESENT | root);
	KUNIT_EXPECT_EQ(test, table_pasid_entry(fixture(test)->dev[1], bond->pasid), 0ULL);
	iopf_unbind(bond);
	KUNIT_EXPECT_EQ(test, table_pasid_entry(fixture(test)->dev[0], bond->pasid), 0ULL);
}

static void release_leaves_an_entry_without_tables(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iommu_domain *domain = bond->sva->handle.domain;
	struct device *dev = fixture(test)->dev[0];

	sva_proc_exit(bond->proc);
	KUNIT_EXPECT_EQ(test, table_pasid_entry(dev, bond->pasid), TABLE_PRESENT);
	/* Nor does an entry that is set again later name them. */
	dev_iommu_ops(dev)->remove_dev_pasid(dev, bond->pasid, domain);
	KUNIT_EXPECT_EQ(test, domain->ops->set_dev_pasid(domain, dev, bond->pasid, NULL), 0);
	KUNIT_EXPECT_EQ(test, table_pasid_entry(dev, bond->pasid), TABLE_PRESENT);
}

/* One flush of the IOTLB, and one of the ATC of each device. */
static void range_takes_one_flush_of_each_cache(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_bond *other = iopf_bind(test, fixture(test)->ep[1], bond->proc);
	struct iommu_domain *domain = bond->sva->handle.domain;
	struct soft_iommu_stats before, after;

	KUNIT_EXPECT_PTR_EQ(test, other->sva->handle.domain, domain);
	before = stats_of(test);
	dev_iommu_ops(fixture(test)->dev[0])->sva_ops->invalidate_range(domain, 0, PAGE_SIZE);
	after = stats_of(test);
	KUNIT_EXPECT_EQ(test, after.cmd_iotlb - before.cmd_iotlb, 1ULL);
	KUNIT_EXPECT_EQ(test, after.cmd_atc - before.cmd_atc, 2ULL);
}

static void device_in_a_reset_is_sent_no_flush(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iommu_domain *domain = bond->sva->handle.domain;
	struct soft_iommu_stats before, after;

	iopf_begin_reset(bond->ep);
	before = stats_of(test);
	dev_iommu_ops(fixture(test)->dev[0])->sva_ops->invalidate_range(domain, 0, PAGE_SIZE);
	after = stats_of(test);
	KUNIT_EXPECT_EQ(test, after.cmd_iotlb - before.cmd_iotlb, 1ULL);
	KUNIT_EXPECT_EQ(test, after.cmd_atc, before.cmd_atc);
	iopf_end_reset(bond->ep);
	KUNIT_EXPECT_EQ(test, stats_of(test).cmd_atc - after.cmd_atc, 1ULL);
}

/* What finds no room is answered Success, so that the device asks again. */
static void overflow_loses_no_group(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct soft_iommu *iommu = fixture(test)->iommu;
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	soft_endpoint_lie_about_credits(bond->ep, true);
	table_hold_reader(fixture(test)->dev[0], true);
	for (unsigned int i = 0; i < TABLE_RING + EXCESS; i++)
		iopf_last(bond, i, mem, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_responses(iommu), EXCESS);
	table_hold_reader(fixture(test)->dev[0], false);
	for (unsigned int i = 0; i < TABLE_RING + EXCESS; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, iopf_responses(iommu), TABLE_RING + EXCESS);

	/* The overflow is over: nothing else is lost. */
	soft_iommu_sync_prq(iommu);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, stats_of(test).prq_lost, EXCESS);
}

static struct kunit_case table_iommu_cases[] = {
	KUNIT_CASE_PARAM(entry_names_the_root_until_unbind, table_gen_params),
	KUNIT_CASE_PARAM(release_leaves_an_entry_without_tables, table_gen_params),
	KUNIT_CASE_PARAM(range_takes_one_flush_of_each_cache, table_gen_params),
	KUNIT_CASE_PARAM(device_in_a_reset_is_sent_no_flush, table_gen_params),
	KUNIT_CASE_PARAM(overflow_loses_no_group, table_gen_params),
	{}
};

static struct kunit_suite table_iommu_suite = {
	.name = "table_iommu",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = table_iommu_cases,
};

kunit_test_suite(table_iommu_suite);

MODULE_DESCRIPTION("KUnit tests: the table IOMMU, an example of a back-end");
MODULE_LICENSE("GPL");
