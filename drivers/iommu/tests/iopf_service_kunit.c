// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: groups of one process that are served and answered together
 */
#include "iopf_kunit.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

/* Fits the credits of an endpoint, with which the ring holds them all. */
#define MANY	12
/* Fits the ring. */
#define VERY_MANY	48

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static struct soft_iommu_stats stats(struct kunit *test)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(fixture(test)->iommu, &stats);
	return stats;
}

static void sync(struct kunit *test)
{
	soft_iommu_sync_prq(fixture(test)->iommu);
}

/* Not a moment later either: nothing tells that a fault does not come. */
static void expect_faults(struct kunit *test, struct sva_gate *gate, unsigned int nr)
{
	schedule_timeout_uninterruptible(msecs_to_jiffies(IOPF_SHORT_MS));
	KUNIT_EXPECT_EQ(test, sva_gate_faults(gate), nr);
}

/* All that wait for one page are answered at once, when it has come. */
static void requests_for_one_page_are_served_once(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	u64 batches;

	for (unsigned int i = 0; i < MANY; i++)
		iopf_last(s.bond, i, s.mem + i, IOPF_READ);
	iopf_await(test, s.gate, 1);
	sync(test);
	batches = stats(test).response_batches;
	expect_faults(test, s.gate, 1);
	sva_gate_open(s.gate);
	for (unsigned int i = 0; i < MANY; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), OK);
	KUNIT_EXPECT_EQ(test, stats(test).response_batches, batches + 1);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_SERVED), MANY);
}

/* More than one submission of answers holds */
static void page_that_very_many_wait_for_is_served_once(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20, .credits = VERY_MANY };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, true);
	struct iopf_bond *bond = iopf_bind(test, ep, NULL);
	struct sva_gate *gate = sva_gate(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, PAGE_SIZE);

	for (unsigned int i = 0; i < VERY_MANY; i++)
		iopf_last(bond, i, mem, IOPF_READ);
	iopf_await(test, gate, 1);
	sync(test);
	expect_faults(test, gate, 1);
	sva_gate_open(gate);
	for (unsigned int i = 0; i < VERY_MANY; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), VERY_MANY);
}

static void requests_for_other_access_are_served_apart(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	iopf_last(s.bond, 0, s.mem, IOPF_READ);
	iopf_last(s.bond, 1, s.mem, IOPF_WRITE);
	iopf_await(test, s.gate, 2);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 1), OK);
}

/* The first device's request for a page is in work, and @nr of another device hang on it. */
static struct iopf_bond *ask_for_one_page(struct iopf_slow *s, unsigned int nr)
{
	struct kunit *test = s->bond->test;
	struct iopf_bond *other = iopf_bind(test, fixture(test)->ep[1], s->bond->proc);

	iopf_last(s->bond, 0, s->mem, IOPF_READ);
	iopf_await(test, s->gate, 1);
	for (unsigned int i = 0; i < nr; i++)
		iopf_last(other, i, s->mem, IOPF_READ);
	sync(test);
	return other;
}

static void devices_share_what_they_ask_for(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct iopf_bond *other = ask_for_one_page(&s, 1);

	expect_faults(test, s.gate, 1);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_answer(other, 0), OK);
}

/* The device that asked first goes away, the one whose request hangs on that does not. */
static void unbind_leaves_those_who_want_the_same_page(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct iopf_bond *other = ask_for_one_page(&s, 2);

	iopf_unbind(s.bond);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), BAD);
	iopf_await(test, s.gate, 2);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(other, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_answer(other, 1), OK);
}

static void unbind_takes_those_who_hang_on_another(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct iopf_bond *other = ask_for_one_page(&s, 1);

	iopf_unbind(other);
	KUNIT_EXPECT_EQ(test, iopf_answer(other, 0), BAD);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
}

/* In one batch or not: what is ready is not kept for what is slow. */
static void answers_do_not_wait_for_slow_memory(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	unsigned long mem = sva_proc_map(s.bond->proc, MANY * PAGE_SIZE);

	soft_iommu_hold_prq(fixture(test)->iommu, true);
	for (unsigned int i = 0; i < MANY; i++)
		iopf_last(s.bond, i, i == MANY / 2 ? s.mem : mem + i * PAGE_SIZE, IOPF_WRITE);
	soft_iommu_hold_prq(fixture(test)->iommu, false);
	for (unsigned int i = 0; i < MANY; i++)
		if (i != MANY / 2)
			KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), OK);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, MANY / 2));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, MANY / 2), OK);
}

/* Killed while one request of a batch is in work and the others wait. */
static void killed_process_leaves_no_request_of_a_batch(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct sva_job *killed;
	int code;

	iopf_ask_slow(&s, MANY);
	killed = sva_job_kill(test, s.bond->proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_proc_has_left(s.bond->proc)));
	sva_gate_open(s.gate);
	for (unsigned int i = 0; i < MANY; i++) {
		code = iopf_answer(s.bond, i);
		KUNIT_EXPECT_TRUE(test, code == OK || code == BAD);
	}
	KUNIT_EXPECT_TRUE(test, sva_job_ends(killed));
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), MANY);
}

static struct kunit_case iopf_service_cases[] = {
	KUNIT_CASE(requests_for_one_page_are_served_once),
	KUNIT_CASE(page_that_very_many_wait_for_is_served_once),
	KUNIT_CASE(requests_for_other_access_are_served_apart),
	KUNIT_CASE(devices_share_what_they_ask_for),
	KUNIT_CASE(unbind_leaves_those_who_want_the_same_page),
	KUNIT_CASE(unbind_takes_those_who_hang_on_another),
	KUNIT_CASE(answers_do_not_wait_for_slow_memory),
	KUNIT_CASE(killed_process_leaves_no_request_of_a_batch),
	{}
};

static struct kunit_suite iopf_service_suite = {
	.name = "iopf_service",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_service_cases,
};

kunit_test_suite(iopf_service_suite);

MODULE_DESCRIPTION("KUnit tests for the service of the I/O page fault queue");
MODULE_LICENSE("GPL");
