// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: the time limit for faults that may take for ever
 *
 * No case measures how long something took, but for "not before its time". A limit that must not
 * be reached is hours away.
 */
#include <linux/delay.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>

#include "iopf_kunit.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

#define SOON_MS		20
#define NEVER_MS	(4 * 3600 * 1000)

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static void set_limit(struct iopf_bond *bond, unsigned int ms)
{
	KUNIT_ASSERT_EQ(bond->test, iopf_set_timeout(soft_endpoint_dev(bond->ep), ms), 0);
}

static void ask_slow(struct iopf_slow *s, u32 grpid)
{
	iopf_last(s->bond, grpid, s->mem + grpid * PAGE_SIZE, IOPF_READ);
	soft_iommu_sync_prq(fixture(s->bond->test)->iommu);
}

struct ear {
	struct iommu_sva_listener listener;
	struct iommu_sva_fault fault;
	atomic_t told;
};

static void ear_notify(struct iommu_sva_listener *listener, const struct iommu_sva_fault *fault)
{
	struct ear *ear = container_of(listener, struct ear, listener);

	ear->fault = *fault;
	atomic_inc(&ear->told);
}

static struct ear *listen(struct iopf_bond *bond)
{
	struct ear *ear = kunit_kzalloc(bond->test, sizeof(*ear), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(bond->test, ear);
	ear->listener.notify = ear_notify;
	KUNIT_ASSERT_EQ(bond->test, iommu_sva_listen(bond->sva, &ear->listener), 0);
	return ear;
}

static void there_is_no_limit_by_default(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	ask_slow(&s, 0);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
}

/* Once; no listener hears of what the fault comes to in the end. */
static void stuck_fault_is_answered_once(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	ask_slow(&s, 3);
	iopf_await(test, s.gate, 1);
	set_limit(s.bond, SOON_MS);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 3), BAD);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_TIMED_OUT), 1);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_LATE), 0);
	set_limit(s.bond, 0);
	/* The index is free at once. */
	ask_slow(&s, 3);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 3), OK);
	KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_counted(s.bond->ep, IOPF_LATE) == 1));
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 2);
}

static void userfaultfd_without_a_monitor_is_answered(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct iopf_monitor m = {};
	struct uffd_msg msg;

	iopf_monitor_start(&m, bond, mem, PAGE_SIZE);
	iopf_last(bond, 0, mem, IOPF_WRITE);
	KUNIT_EXPECT_TRUE(test, iopf_monitor_wait(&m, &msg));
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(bond, 0));
	set_limit(bond, SOON_MS);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), BAD);
	iopf_unbind(bond);
	sva_proc_exit(bond->proc);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

/* More groups than workers: those that no worker has begun to serve have waited as long. */
static void group_that_waits_for_a_worker_is_answered_too(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	for (unsigned int i = 0; i < 10; i++)
		ask_slow(&s, i);
	set_limit(s.bond, SOON_MS);
	for (unsigned int i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), BAD);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_TIMED_OUT), 10);
	set_limit(s.bond, 0);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, s.mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 11);
}

static void younger_group_keeps_its_time(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	unsigned long since, limit = msecs_to_jiffies(10 * SOON_MS);
	struct sva_hold *hold;

	hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_RESPONSE,
			soft_endpoint_dev(s.bond->ep));
	set_limit(s.bond, 10 * SOON_MS);
	ask_slow(&s, 0);
	/* The time of the first is over. */
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	since = jiffies;
	ask_slow(&s, 1);
	sva_hold_release(hold);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), BAD);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 1), BAD);
	KUNIT_EXPECT_TRUE(test, time_after_eq(jiffies, since + limit));
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_TIMED_OUT), 2);
}

static void no_group_is_answered_before_its_time(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	unsigned long since, limit = msecs_to_jiffies(5 * SOON_MS);

	set_limit(s.bond, 5 * SOON_MS);
	for (unsigned int i = 0; i < 8; i++) {
		since = jiffies;
		ask_slow(&s, i);
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), BAD);
		KUNIT_EXPECT_TRUE(test, time_after_eq(jiffies, since + limit));
	}
}

static void limit_holds_for_what_is_pending(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	ask_slow(&s, 0);
	set_limit(s.bond, NEVER_MS);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	set_limit(s.bond, SOON_MS);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), BAD);
}

static void limit_that_is_raised_or_switched_off_answers_nothing(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	set_limit(s.bond, NEVER_MS);
	ask_slow(&s, 0);
	set_limit(s.bond, 2 * NEVER_MS);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	set_limit(s.bond, 0);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_TIMED_OUT), 0);
}

/* The watch may come for the one setting or the other. */
static void limit_that_is_switched_off_at_once_answers_nothing(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	ask_slow(&s, 0);
	for (unsigned int i = 0; i < 200; i++) {
		set_limit(s.bond, NEVER_MS);
		set_limit(s.bond, 0);
	}
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_TIMED_OUT), 0);
}

static struct iopf_bond *late_bond;
static int (*late_handler)(struct iopf_group *group);

static int hand_over_late(struct iopf_group *group)
{
	/* If it does not become so the group is served, which the case notices. */
	sva_becomes(iopf_counted(late_bond->ep, IOPF_TIMED_OUT) == 1);
	return late_handler(group);
}

/* Between the group's last page and its way to the service the time is over. */
static void limit_that_comes_before_the_service_answers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct iommu_domain *domain = bond->sva->handle.domain;

	late_bond = bond;
	late_handler = domain->iopf_handler;
	domain->iopf_handler = hand_over_late;
	set_limit(bond, SOON_MS);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), BAD);
	soft_iommu_sync_prq(fixture(test)->iommu);
	set_limit(bond, 0);
	domain->iopf_handler = late_handler;
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 2);
}

static void fault_that_is_served_in_time_is_not_counted(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 32 * PAGE_SIZE);

	set_limit(bond, NEVER_MS);
	for (unsigned int i = 0; i < 32; i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, i, mem + i * PAGE_SIZE, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_TIMED_OUT), 0);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_SERVED), 32);
}

/* Other processes of the device, other devices of the process */
static void other_bonds_are_unharmed(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct iopf_bond *beside = iopf_bind(test, s.bond->ep, NULL);
	struct iopf_bond *elsewhere = iopf_bind(test, fixture(test)->ep[1], s.bond->proc);
	unsigned long mem = sva_proc_map(beside->proc, PAGE_SIZE);

	iopf_last(elsewhere, 0, s.mem + 8 * PAGE_SIZE, IOPF_READ);
	for (unsigned int i = 0; i < 4; i++)
		ask_slow(&s, i);
	set_limit(s.bond, SOON_MS);
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), BAD);
	set_limit(s.bond, NEVER_MS);
	KUNIT_EXPECT_EQ(test, iopf_ask(beside, 0, mem, IOPF_READ), OK);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(elsewhere, 0));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(elsewhere, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, s.mem, IOPF_READ), OK);
}

static void listener_is_told_of_the_timeout(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct ear *ear = listen(s.bond);

	ask_slow(&s, 5);
	iopf_await(test, s.gate, 1);
	set_limit(s.bond, SOON_MS);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 5), BAD);
	KUNIT_EXPECT_EQ(test, ear->fault.reason, IOMMU_SVA_FAULT_TIMEOUT);
	KUNIT_EXPECT_EQ(test, ear->fault.addr, s.mem + 5 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ear->fault.perm, IOPF_READ);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_TRUE(test, sva_becomes(!soft_pri_outstanding(s.bond->ep) &&
					    iopf_counted(s.bond->ep, IOPF_LATE) == 1));
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 1);
	iommu_sva_unlisten(s.bond->sva, &ear->listener);
}

/* The late result would have been a failure, too: it is not told. */
static void late_failure_is_told_to_nobody(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct ear *ear = listen(s.bond);

	ask_slow(&s, 0);
	iopf_await(test, s.gate, 1);
	set_limit(s.bond, SOON_MS);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), BAD);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(s.bond->proc, s.mem, 16 * PAGE_SIZE), 0);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_counted(s.bond->ep, IOPF_LATE) == 1));
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 1);
	iommu_sva_unlisten(s.bond->sva, &ear->listener);
}

/* Handlers */

static void group_that_a_handler_keeps_is_answered(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);

	iopf_last(bond, 0, 0, IOPF_READ);
	/* The time may be over before the handler gets it. */
	iopf_keeper_await(test, keeper, 1);
	set_limit(bond, SOON_MS);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), BAD);
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 1);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_TIMED_OUT), 1);
}

static void group_that_a_handler_has_dequeued_is_not(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct iopf_group *group;

	iopf_last(bond, 0, 0, IOPF_READ);
	iopf_last(bond, 1, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 2);
	group = iopf_keeper_take(keeper);
	iopf_group_dequeue(group);
	set_limit(bond, SOON_MS);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 1), BAD);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(bond, 0));
	iopf_group_response(group, OK);
	iopf_free_group(group);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 1);
}

/* The end of a bond or device while the limit is armed */

static void removal_with_an_armed_limit(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct device *dev = soft_endpoint_dev(s.bond->ep);
	struct iopf_queue *queue = soft_iommu_iopf_queue(fixture(test)->iommu);

	set_limit(s.bond, NEVER_MS);
	for (unsigned int i = 0; i < 6; i++)
		ask_slow(&s, i);
	iopf_queue_remove_device(queue, dev);
	for (unsigned int i = 0; i < 6; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), BAD);
	KUNIT_EXPECT_EQ(test, iopf_set_timeout(dev, SOON_MS), -ENODEV);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(queue, dev), 0);
	/* Back without a limit */
	iopf_last(s.bond, 7, s.mem + 7 * PAGE_SIZE, IOPF_READ);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 7));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 7), OK);
}

/* A driver that disables page requests, and the next one that enables them, start without one. */
static void limit_does_not_outlast_a_disable(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct device *dev = soft_endpoint_dev(s.bond->ep);
	struct iopf_queue *queue = soft_iommu_iopf_queue(fixture(test)->iommu);

	set_limit(s.bond, SOON_MS);
	iopf_queue_remove_device(queue, dev);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(queue, dev), 0);
	ask_slow(&s, 0);
	iopf_await(test, s.gate, 1);
	msleep(3 * SOON_MS);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_counted(s.bond->ep, IOPF_TIMED_OUT), 0);
}

static int set_limit_at_response(const struct soft_iommu_event *event, void *data)
{
	int *error = data;

	*error = iopf_set_timeout(event->dev, SOON_MS);
	return 0;
}

/* Its last answers are on their way: a watch would outlive it. */
static void device_that_is_leaving_gets_no_limit(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct device *dev = soft_endpoint_dev(s.bond->ep);
	struct iopf_queue *queue = soft_iommu_iopf_queue(fixture(test)->iommu);
	int error = 0;

	ask_slow(&s, 0);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RESPONSE, set_limit_at_response, &error);
	iopf_queue_remove_device(queue, dev);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RESPONSE, NULL, NULL);
	KUNIT_EXPECT_EQ(test, error, -ENODEV);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), BAD);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(queue, dev), 0);
}

/* The limit has claimed the group and is sending the answer. */
static void unbind_waits_for_the_answer_of_the_limit(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct sva_job *unbind;
	struct sva_hold *hold;

	hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_RESPONSE,
			soft_endpoint_dev(s.bond->ep));
	set_limit(s.bond, SOON_MS);
	ask_slow(&s, 0);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	unbind = iopf_unbind_job(s.bond);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(unbind));
	sva_hold_release(hold);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

/* Each is answered by the one or by the other. */
static void limit_and_drain_race_for_the_answer(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	u64 drained, late;

	set_limit(s.bond, 1);
	for (unsigned int i = 0; i < 60; i++) {
		iopf_last(s.bond, i % 8, s.mem, IOPF_READ);
		iopf_drain_pasid(soft_endpoint_dev(s.bond->ep), s.bond->pasid);
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i % 8), BAD);
	}
	drained = iopf_counted(s.bond->ep, IOPF_DRAINED);
	late = iopf_counted(s.bond->ep, IOPF_TIMED_OUT);
	KUNIT_EXPECT_EQ(test, drained + late, 60);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 60);
}

static void device_on_no_queue_has_no_limit(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, false);
	u64 counts[IOPF_NR_COUNTS];

	KUNIT_EXPECT_EQ(test, iopf_set_timeout(soft_endpoint_dev(ep), SOON_MS), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopf_read_counts(soft_endpoint_dev(ep), counts), -ENODEV);
}

static struct kunit_case iopf_limit_cases[] = {
	KUNIT_CASE(there_is_no_limit_by_default),
	KUNIT_CASE(stuck_fault_is_answered_once),
	KUNIT_CASE(userfaultfd_without_a_monitor_is_answered),
	KUNIT_CASE(group_that_waits_for_a_worker_is_answered_too),
	KUNIT_CASE(younger_group_keeps_its_time),
	KUNIT_CASE(no_group_is_answered_before_its_time),
	KUNIT_CASE(limit_holds_for_what_is_pending),
	KUNIT_CASE(limit_that_is_raised_or_switched_off_answers_nothing),
	KUNIT_CASE(limit_that_is_switched_off_at_once_answers_nothing),
	KUNIT_CASE(limit_that_comes_before_the_service_answers),
	KUNIT_CASE(fault_that_is_served_in_time_is_not_counted),
	KUNIT_CASE(other_bonds_are_unharmed),
	KUNIT_CASE(listener_is_told_of_the_timeout),
	KUNIT_CASE(late_failure_is_told_to_nobody),
	KUNIT_CASE(group_that_a_handler_keeps_is_answered),
	KUNIT_CASE(group_that_a_handler_has_dequeued_is_not),
	KUNIT_CASE(removal_with_an_armed_limit),
	KUNIT_CASE(limit_does_not_outlast_a_disable),
	KUNIT_CASE(device_that_is_leaving_gets_no_limit),
	KUNIT_CASE(unbind_waits_for_the_answer_of_the_limit),
	KUNIT_CASE(limit_and_drain_race_for_the_answer),
	KUNIT_CASE(device_on_no_queue_has_no_limit),
	{}
};

static struct kunit_suite iopf_limit_suite = {
	.name = "iopf_limit",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_limit_cases,
};

kunit_test_suite(iopf_limit_suite);

MODULE_DESCRIPTION("KUnit tests for the time limit of I/O page faults");
MODULE_LICENSE("GPL");
