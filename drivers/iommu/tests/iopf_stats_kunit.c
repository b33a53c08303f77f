// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics of bonds, devices and queues, compared with the ledger of the software IOMMU
 *
 * The IOMMU counts what enters its ring and what leaves as a response; the core what it takes and
 * why it answers. They must agree to the request.
 */
#include <linux/mman.h>

#include "iopf_kunit.h"
#include "../iopf-stats.h"

#define PAGES	64
#define LEN	(PAGES * PAGE_SIZE)

static struct iopf_stats *read_device(struct kunit *test, struct soft_endpoint *ep)
{
	struct iopf_reading *reading = kunit_kzalloc(test, sizeof(*reading), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, reading);
	KUNIT_ASSERT_EQ(test, iopf_read_stats(soft_endpoint_dev(ep), reading), 0);
	return &reading->stats;
}

static struct iopf_stats *read_bond(struct iopf_bond *bond)
{
	struct kunit *test = bond->test;
	struct iopf_reading *reading = kunit_kzalloc(test, sizeof(*reading), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, reading);
	KUNIT_ASSERT_EQ(test, iopf_read_bond(soft_endpoint_dev(bond->ep), bond->pasid, reading),
			0);
	return &reading->stats;
}

static u64 all_answers(const struct iopf_stats *stats)
{
	u64 sum = 0;

	for (int i = IOPF_SERVED; i <= IOPF_TIMED_OUT; i++)
		sum += stats->counts[i];
	return sum;
}

static u64 all_latencies(const struct iopf_stats *stats)
{
	u64 sum = 0;

	for (int i = 0; i < IOPF_LATENCIES; i++)
		sum += stats->latency[i];
	return sum;
}

/* Of an IOMMU whose only device that asks is @ep's. All is answered. */
static void agree(struct kunit *test, struct soft_endpoint *ep, const struct iopf_stats *stats)
{
	struct sva_fixture *fix = test->priv;
	struct soft_iommu_stats ledger;
	u64 good, bad;

	soft_iommu_sync_prq(fix->iommu);
	KUNIT_ASSERT_TRUE(test, sva_becomes(!soft_pri_outstanding(ep)));
	soft_iommu_read_stats(fix->iommu, &ledger);
	good = ledger.responses[IOMMU_PAGE_RESP_SUCCESS];
	bad = ledger.responses[IOMMU_PAGE_RESP_INVALID];
	KUNIT_EXPECT_EQ(test, stats->counts[IOPF_REQUESTS], ledger.prq_requests);
	KUNIT_EXPECT_EQ(test, stats->counts[IOPF_SERVED], good);
	KUNIT_EXPECT_EQ(test, all_answers(stats), good + bad);
	KUNIT_EXPECT_EQ(test, all_latencies(stats), all_answers(stats));
	KUNIT_EXPECT_EQ(test, ledger.prq_lost, 0);
}

static void bond_agrees_with_the_ledger(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct iopf_bond *bond = iopf_bind(test, fix->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, LEN);
	struct iopf_stats *stats;

	for (u32 i = 0; i < 5; i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, i, mem + i * PAGE_SIZE, IOPF_RW),
				IOMMU_PAGE_RESP_SUCCESS);
	iopf_partial(bond, 5, mem, IOPF_READ);
	iopf_partial(bond, 5, mem + PAGE_SIZE, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 5, mem, IOPF_READ), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, LEN), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 6, mem, IOPF_READ), IOMMU_PAGE_RESP_INVALID);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 7, mem, IOPF_READ), IOMMU_PAGE_RESP_INVALID);

	stats = read_bond(bond);
	KUNIT_EXPECT_EQ(test, stats->counts[IOPF_REQUESTS], 10);
	KUNIT_EXPECT_EQ(test, stats->counts[IOPF_SERVED], 6);
	KUNIT_EXPECT_EQ(test, stats->counts[IOPF_FAILED], 2);
	KUNIT_EXPECT_EQ(test, stats->reasons[IOMMU_SVA_FAULT_NO_MAPPING], 2);
	agree(test, fix->ep[0], stats);
}

static void two_bonds_add_up_to_the_device(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct iopf_bond *bond[2];
	struct iopf_stats *stats;
	u64 requests = 0;

	for (u32 i = 0; i < 2; i++) {
		unsigned long mem;

		bond[i] = iopf_bind(test, fix->ep[0], NULL);
		mem = sva_proc_map(bond[i]->proc, LEN);
		for (u32 n = 0; n < 3 + i; n++)
			KUNIT_EXPECT_EQ(test, iopf_ask(bond[i], n, mem + n * PAGE_SIZE, IOPF_RW),
					IOMMU_PAGE_RESP_SUCCESS);
		stats = read_bond(bond[i]);
		KUNIT_EXPECT_EQ(test, stats->counts[IOPF_SERVED], 3 + i);
		requests += stats->counts[IOPF_REQUESTS];
	}
	stats = read_device(test, fix->ep[0]);
	KUNIT_EXPECT_EQ(test, stats->counts[IOPF_REQUESTS], requests);
	agree(test, fix->ep[0], stats);
	KUNIT_EXPECT_EQ(test, read_device(test, fix->ep[1])->counts[IOPF_REQUESTS], 0);
}

static void storm_agrees_with_the_ledger(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct iopf_bond *bond = iopf_bind(test, fix->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, LEN);
	struct iopf_stats *stats;

	KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, mem, LEN, true), 0);
	for (int i = 0; i < 50; i++) {
		sva_proc_madvise(bond->proc, mem, LEN, MADV_DONTNEED);
		schedule_timeout_idle(1);
	}
	KUNIT_EXPECT_TRUE(test, sva_becomes(soft_storm_done(bond->ep)));
	soft_storm_stop(bond->ep);
	stats = read_bond(bond);
	KUNIT_EXPECT_GT(test, stats->counts[IOPF_REQUESTS], 0);
	agree(test, fix->ep[0], stats);
	/* And when the bond has gone */
	iopf_unbind(bond);
	stats = read_device(test, fix->ep[0]);
	agree(test, fix->ep[0], stats);
	KUNIT_EXPECT_GE(test, stats->drains, 2);
}

static void killed_process_agrees_with_the_ledger(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct iopf_bond *bond = iopf_bind(test, fix->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, LEN);
	struct iopf_stats *stats;

	KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, mem, LEN, true), 0);
	schedule_timeout_idle(2);
	sva_proc_kill(bond->proc);
	soft_storm_stop(bond->ep);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 1, mem, IOPF_READ), IOMMU_PAGE_RESP_INVALID);
	stats = read_bond(bond);
	KUNIT_EXPECT_GE(test, stats->counts[IOPF_EXITED], 1);
	KUNIT_EXPECT_EQ(test, stats->counts[IOPF_FAILED], 0);
	agree(test, fix->ep[0], stats);
}

static void bond_knows_its_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct iopf_bond *bond = iopf_bind(test, fix->ep[0], NULL);
	struct iopf_reading *reading = kunit_kzalloc(test, sizeof(*reading), GFP_KERNEL);
	struct device *dev = soft_endpoint_dev(fix->ep[0]);
	pid_t pid = task_tgid_nr(sva_proc_task(bond->proc));
	ioasid_t pasid = bond->pasid;

	KUNIT_ASSERT_NOT_NULL(test, reading);
	KUNIT_EXPECT_EQ(test, iopf_pid_of_bond(dev, pasid), pid);
	KUNIT_EXPECT_EQ(test, iopf_read_bond(dev, pasid, reading), 0);
	iopf_unbind(bond);
	KUNIT_EXPECT_EQ(test, iopf_read_bond(dev, pasid, reading), -ENOENT);
	KUNIT_EXPECT_EQ(test, iopf_pid_of_bond(dev, pasid), 0);
}

#ifdef CONFIG_DEBUG_FS
/* How many bonds the file shows from @pos on. Each is one of @bonds. */
static unsigned int nr_listed(struct kunit *test, loff_t pos, struct iopf_bond **bonds,
			      unsigned int nr)
{
	struct iopf_bond_stats *stats = iopf_bonds_start(NULL, &pos);
	unsigned int listed;

	for (listed = 0; stats; listed++) {
		bool known = false;

		for (unsigned int i = 0; i < nr; i++)
			known |= stats->dev == soft_endpoint_dev(bonds[i]->ep) &&
				 stats->pasid == bonds[i]->pasid;
		KUNIT_EXPECT_TRUE(test, known);
		stats = iopf_bonds_next(NULL, stats, &pos);
	}
	iopf_bonds_stop(NULL, stats);
	return listed;
}

/* A device between two others has had a bond, and has none. */
static void bonds_of_all_devices_are_listed(struct kunit *test)
{
	const struct soft_endpoint_config config = { .pasid_bits = 8 };
	struct sva_fixture *fix = test->priv;
	struct iopf_bond *bonds[3];
	loff_t pos = 0;

	bonds[0] = iopf_bind(test, fix->ep[0], NULL);
	iopf_unbind(iopf_bind(test, fix->ep[1], NULL));
	bonds[1] = iopf_bind(test, sva_add_endpoint(test, fix->iommu, &config, true), NULL);
	bonds[2] = iopf_bind(test, fix->ep[0], NULL);
	for (unsigned int i = 0; i <= ARRAY_SIZE(bonds); i++)
		KUNIT_EXPECT_EQ(test, nr_listed(test, i, bonds, ARRAY_SIZE(bonds)),
				ARRAY_SIZE(bonds) - i);
	/* A reader that stops at the first one keeps no lock. */
	iopf_bonds_stop(NULL, iopf_bonds_start(NULL, &pos));
	iopf_unbind(bonds[0]);
	bonds[0] = bonds[2];
	KUNIT_EXPECT_EQ(test, nr_listed(test, 0, bonds, 2), 2);
}
#endif

static struct kunit_case iopf_stats_cases[] = {
	KUNIT_CASE(bond_agrees_with_the_ledger),
	KUNIT_CASE(two_bonds_add_up_to_the_device),
	KUNIT_CASE(storm_agrees_with_the_ledger),
	KUNIT_CASE(killed_process_agrees_with_the_ledger),
	KUNIT_CASE(bond_knows_its_process),
#ifdef CONFIG_DEBUG_FS
	KUNIT_CASE(bonds_of_all_devices_are_listed),
#endif
	{}
};

static struct kunit_suite iopf_stats_suite = {
	.name = "iopf_stats",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_stats_cases,
};

kunit_test_suite(iopf_stats_suite);

MODULE_DESCRIPTION("KUnit test for statistics of page requests");
MODULE_LICENSE("GPL");
