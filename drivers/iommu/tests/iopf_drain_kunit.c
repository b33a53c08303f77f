// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: taking a PASID back from a device, and flushing
 *
 * Faults that end only when the test says so (struct sva_gate) stand for a dead file server.
 */
#include <linux/mman.h>
#include <linux/percpu_counter.h>

#include "iopf_kunit.h"
#if SVA_CORE
#include "../iopf.h"
#endif

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

#define DEVICES	31
#define PROCS	8

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static void finish_slow(struct iopf_slow *s, unsigned int nr, int code)
{
	sva_gate_open(s->gate);
	for (unsigned int i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(s->bond->test, iopf_answer(s->bond, i), code);
}

/* Isolation */

struct crowd {
	struct sva_gate *gate;
	struct iopf_bond *bonds[DEVICES];
	unsigned long mem[DEVICES];
	atomic_t events;
};

static struct crowd *make_crowd(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct crowd *crowd = kunit_kzalloc(test, sizeof(*crowd), GFP_KERNEL);
	struct sva_fixture *f = fixture(test);

	KUNIT_ASSERT_NOT_NULL(test, crowd);
	crowd->gate = sva_gate(test);
	for (unsigned int i = 0; i < DEVICES; i++) {
		struct sva_proc *proc = i < PROCS ? NULL : crowd->bonds[i % PROCS]->proc;

		crowd->bonds[i] = iopf_bind(test, sva_add_endpoint(test, f->iommu, &config, true),
					    proc);
	}
	return crowd;
}

static int count_event(const struct soft_iommu_event *event, void *data)
{
	atomic_inc((atomic_t *)data);
	return 0;
}

static void idle_pasid_is_unbound_while_31_devices_wait(struct kunit *test)
{
	struct iopf_bond *idle = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct soft_iommu *iommu = fixture(test)->iommu;
	struct crowd *crowd = make_crowd(test);
	struct sva_job *unbind;
	unsigned int i;

	for (i = 0; i < DEVICES; i++) {
		crowd->mem[i] = sva_gate_map(crowd->gate, crowd->bonds[i]->proc, PAGE_SIZE);
		iopf_last(crowd->bonds[i], 0, crowd->mem[i], IOPF_READ);
	}
	/* Each process has one at least. */
	iopf_await(test, crowd->gate, PROCS);
	soft_iommu_sync_prq(iommu);

	soft_iommu_set_hook(iommu, SOFT_AT_RESPONSE, count_event, &crowd->events);
	unbind = iopf_unbind_job(idle);
	KUNIT_EXPECT_TRUE_MSG(test, sva_job_ends(unbind),
			      "unbind waits for the faults of others");
	/* The groups of the others were not touched. */
	KUNIT_EXPECT_EQ(test, atomic_read(&crowd->events), 0);

	sva_gate_open(crowd->gate);
	for (i = 0; i < DEVICES; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(crowd->bonds[i], 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(iommu), DEVICES);
	soft_iommu_set_hook(iommu, SOFT_AT_RESPONSE, NULL, NULL);
}

static void idle_pasid_is_unbound_while_31_devices_storm(struct kunit *test)
{
	struct iopf_bond *idle = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct crowd *crowd = make_crowd(test);
	struct sva_job *unbind;
	unsigned int i;

	for (i = 0; i < DEVICES; i++) {
		struct iopf_bond *bond = crowd->bonds[i];

		crowd->mem[i] = sva_proc_map(bond->proc, SZ_1M);
		KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, crowd->mem[i], SZ_1M,
						       true), 0);
	}
	KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_responses(fixture(test)->iommu) >= DEVICES));
	unbind = iopf_unbind_job(idle);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	for (i = 0; i < DEVICES; i++) {
		KUNIT_EXPECT_TRUE(test, sva_becomes(soft_storm_done(crowd->bonds[i]->ep)));
		soft_storm_stop(crowd->bonds[i]->ep);
	}
}

#if SVA_CORE
/*
 * Work of drains of an idle PASID, in steps: how often a drain looked whether its requests were
 * still in the ring, the requests in the ring that it looked at, and how often it went to sleep.
 * A drain that walks the requests of others, or waits for them, needs more steps as there are more.
 */
static u64 drain_steps(struct iopf_bond *bond, unsigned int drains)
{
	struct soft_iommu *iommu = fixture(bond->test)->iommu;
	struct soft_iommu_stats before, after;
	unsigned long slept = current->nvcsw;

	soft_iommu_read_stats(iommu, &before);
	for (unsigned int i = 0; i < drains; i++)
		iopf_drain_hw_pasid(soft_endpoint_dev(bond->ep), bond->pasid);
	soft_iommu_read_stats(iommu, &after);
	return after.drain_turns - before.drain_turns + after.drain_looked - before.drain_looked +
	       current->nvcsw - slept;
}

/* Bad addresses: such a storm asks for pages as long as it lasts. */
static void crowd_storms(struct kunit *test, struct crowd *crowd)
{
	for (unsigned int i = 0; i < DEVICES; i++) {
		struct iopf_bond *bond = crowd->bonds[i];

		KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, 0, SZ_1M, i & 1), 0);
	}
	for (unsigned int i = 0; i < DEVICES; i++)
		KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_counted(crowd->bonds[i]->ep,
								 IOPF_REQUESTS) > 1));
}

static void drain_of_an_idle_pasid_costs_the_same_under_load(struct kunit *test)
{
	struct iopf_bond *idle = iopf_bind(test, fixture(test)->ep[0], NULL);
	u64 unloaded = drain_steps(idle, 100), loaded;
	struct crowd *crowd = make_crowd(test);

	crowd->mem[0] = sva_gate_map(crowd->gate, crowd->bonds[0]->proc, PAGE_SIZE);
	iopf_last(crowd->bonds[0], 1000, crowd->mem[0], IOPF_READ);
	iopf_await(test, crowd->gate, 1);
	crowd_storms(test, crowd);
	loaded = drain_steps(idle, 100);
	kunit_info(test, "100 drains: %llu steps, under load %llu\n", unloaded, loaded);
	KUNIT_EXPECT_GE(test, unloaded, 100);
	KUNIT_EXPECT_LE(test, 10 * loaded, 12 * unloaded);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(crowd->bonds[0], 1000));
	for (unsigned int i = 0; i < DEVICES; i++)
		soft_storm_stop(crowd->bonds[i]->ep);
}
#endif

/* The other process has a fault that never ends on the very same device. */
static void unbind_waits_for_no_other_process_of_its_device(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct iopf_bond *idle = iopf_bind(test, s.bond->ep, NULL);

	iopf_ask_slow(&s, 1);
	KUNIT_EXPECT_TRUE_MSG(test, sva_job_ends(iopf_unbind_job(idle)),
			      "unbind waits for the faults of others");
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	finish_slow(&s, 1, OK);
}

static void unbind_waits_for_no_other_device_of_its_process(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct iopf_bond *idle = iopf_bind(test, fixture(test)->ep[1], s.bond->proc);

	iopf_ask_slow(&s, 1);
	KUNIT_EXPECT_TRUE_MSG(test, sva_job_ends(iopf_unbind_job(idle)),
			      "unbind waits for the faults of others");
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	finish_slow(&s, 1, OK);
}

/* Unbind with work outstanding */

static void unbind_waits_for_no_fault_of_its_own(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);

	iopf_ask_slow(&s, 1);
	KUNIT_EXPECT_TRUE_MSG(test, sva_job_ends(iopf_unbind_job(s.bond)),
			      "unbind waits for a fault that never ends");
	finish_slow(&s, 1, BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

/* More groups than workers: some are at work, some wait for a worker. */
static void unbind_answers_all_that_is_in_flight_once(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct sva_job *unbind;

	iopf_ask_slow(&s, 12);
	unbind = iopf_unbind_job(s.bond);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	finish_slow(&s, 12, BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 12);
}

/* The handler comes to its end when the answer has been given and the bond is gone. */
static void result_after_the_drain_is_dropped(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct iopf_bond *next;
	unsigned long mem;

	iopf_ask_slow(&s, 4);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(iopf_unbind_job(s.bond)));
	next = iopf_bind(test, s.bond->ep, s.bond->proc);
	mem = sva_proc_map(next->proc, PAGE_SIZE);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_ask(next, 20, mem, IOPF_READ), OK);
	sva_proc_exit(s.bond->proc);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 4 + 1);
}

/* The device has one PASID, so that the next bond has the same one. */
static void partials_go_with_the_bond(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 1 };
	struct iopf_bond *bond, *next;
	struct soft_endpoint *ep;
	unsigned long mem;

	ep = sva_add_endpoint(test, fixture(test)->iommu, &config, true);
	bond = iopf_bind(test, ep, NULL);
	mem = sva_proc_map(bond->proc, PAGE_SIZE);
	iopf_partial(bond, 3, 0, IOPF_READ);
	soft_iommu_sync_prq(fixture(test)->iommu);
	iopf_unbind(bond);
	next = iopf_bind(test, ep, bond->proc);
	KUNIT_ASSERT_EQ(test, next->pasid, bond->pasid);
	/* The bad page is forgotten. */
	KUNIT_EXPECT_EQ(test, iopf_ask(next, 3, mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

/* No thread takes requests from the ring: unbind waits until one does, and for their answers. */
static void requests_in_the_ring_are_answered_by_unbind(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 8 * PAGE_SIZE);
	struct sva_count *drains, *removals;
	struct sva_job *unbind;

	drains = sva_count(test, fixture(test)->iommu, SOFT_AT_DRAIN, NULL);
	removals = sva_count(test, fixture(test)->iommu, SOFT_AT_REMOVE_PASID, NULL);
	soft_iommu_hold_prq(fixture(test)->iommu, true);
	for (unsigned int i = 0; i < 8; i++)
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_WRITE);
	unbind = iopf_unbind_job(bond);
	if (SVA_CORE) {
		KUNIT_EXPECT_TRUE(test, sva_becomes(sva_counted(drains)));
		KUNIT_EXPECT_TRUE(test, sva_job_waits(unbind));
		/* They are the bond's: it is still there. */
		KUNIT_EXPECT_EQ(test, sva_counted(removals), 0);
	}
	KUNIT_EXPECT_EQ(test, soft_pri_outstanding(bond->ep), 8);
	soft_iommu_hold_prq(fixture(test)->iommu, false);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	KUNIT_EXPECT_EQ(test, soft_pri_outstanding(bond->ep), 0);
	for (unsigned int i = 0; i < 8; i++)
		KUNIT_EXPECT_GE(test, iopf_answer(bond, i), 0);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 8);
#if SVA_CORE
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_REQUESTS), 8);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_STRAY), 0);
#endif
}

/* The answer is on its way while the bond goes: unbind returns when it has left, not before. */
static void unbind_waits_for_an_answer_on_its_way(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct sva_job *unbind;
	struct sva_hold *hold;

	hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_RESPONSE,
			soft_endpoint_dev(bond->ep));
	iopf_last(bond, 0, mem, IOPF_READ);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	unbind = iopf_unbind_job(bond);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(unbind));
	sva_hold_release(hold);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

static void unbind_answers_what_a_handler_keeps(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);

	for (unsigned int i = 0; i < 8; i++)
		iopf_last(bond, i, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 8);
	iopf_unbind(bond);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 8);
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 8);
	for (unsigned int i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 8);
}

static u64 served(struct kunit *test)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(fixture(test)->iommu, &stats);
	return stats.responses[OK];
}

/* Unbinding, binding anew and exiting while a device never stops asking */
static void bonds_come_and_go_under_a_storm(struct kunit *test)
{
	struct sva_proc *proc = sva_proc_start(test);
	unsigned long mem = sva_proc_map(proc, SZ_2M);
	struct iopf_bond *bond;
	u64 before;

	/* What comes after an unbind is a stray, and there are many. */
	sva_quarantine(test, 0);
	for (unsigned int i = 0; i < 50; i++) {
		bond = iopf_bind(test, fixture(test)->ep[0], proc);
		before = served(test);
		KUNIT_ASSERT_EQ(test, soft_storm_start(bond->ep, bond->pasid, mem, SZ_2M, true), 0);
		KUNIT_EXPECT_TRUE(test, sva_becomes(served(test) > before));
		iopf_unbind(bond);
		soft_storm_stop(bond->ep);
		KUNIT_EXPECT_EQ(test, soft_pri_outstanding(bond->ep), 0);
		sva_proc_madvise(proc, mem, SZ_2M, MADV_DONTNEED);
	}
}

#if SVA_CORE
/* iopf_drain_pasid() itself */

static void drain_touches_its_pasid_only(struct kunit *test)
{
	struct iopf_slow a = iopf_make_slow(test, 0), b = iopf_make_slow(test, 0);

	iopf_ask_slow(&a, 2);
	iopf_last(b.bond, 8, b.mem, IOPF_READ);
	iopf_await(test, b.gate, 1);
	iopf_drain_pasid(soft_endpoint_dev(a.bond->ep), a.bond->pasid);
	KUNIT_EXPECT_EQ(test, iopf_answer(a.bond, 0), BAD);
	KUNIT_EXPECT_EQ(test, iopf_answer(a.bond, 1), BAD);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(b.bond, 8));
	sva_gate_open(b.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(b.bond, 8), OK);
}

static void drain_touches_its_device_only(struct kunit *test)
{
	struct iopf_slow a = iopf_make_slow(test, 0);
	struct iopf_bond *b = iopf_bind(test, fixture(test)->ep[1], a.bond->proc);

	iopf_ask_slow(&a, 1);
	iopf_last(b, 0, a.mem + PAGE_SIZE, IOPF_READ);
	iopf_await(test, a.gate, 2);
	iopf_drain_pasid(soft_endpoint_dev(a.bond->ep), a.bond->pasid);
	KUNIT_EXPECT_EQ(test, iopf_answer(a.bond, 0), BAD);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(b, 0));
	sva_gate_open(a.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(b, 0), OK);
}

/* Not before the request in work ends, and without asking for the rest of the group. */
static void worker_stops_when_its_group_has_been_answered(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct percpu_counter *rss;

	for (unsigned int i = 0; i < 15; i++)
		iopf_partial(s.bond, 0, s.mem + i * PAGE_SIZE, IOPF_READ);
	iopf_last(s.bond, 0, s.mem + 15 * PAGE_SIZE, IOPF_READ);
	iopf_await(test, s.gate, 1);
	iopf_drain_pasid(soft_endpoint_dev(s.bond->ep), s.bond->pasid);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), BAD);
	sva_gate_open(s.gate);
	/* The worker, done with that group, is there for the next one. */
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, s.mem + 15 * PAGE_SIZE, IOPF_READ), OK);
	rss = &sva_proc_mm(s.bond->proc)->rss_stat[MM_FILEPAGES];
	KUNIT_EXPECT_LE(test, percpu_counter_sum(rss), 2);
}

static void drain_of_nothing_returns(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);

	iopf_drain_pasid(soft_endpoint_dev(bond->ep), bond->pasid);
	iopf_drain_pasid(soft_endpoint_dev(bond->ep), bond->pasid + 1);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 0);
}

static void pasid_works_on_after_a_drain(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 8 * PAGE_SIZE);

	for (unsigned int i = 0; i < 8; i++) {
		iopf_drain_pasid(soft_endpoint_dev(bond->ep), bond->pasid);
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + i * PAGE_SIZE, IOPF_READ), OK);
	}
}

static long drain_fn(void *arg)
{
	struct iopf_bond *bond = arg;

	iopf_drain_pasid(soft_endpoint_dev(bond->ep), bond->pasid);
	return 0;
}

/* Both wait for an answer of a third, and both learn that it has left. */
static void two_drains_at_once_both_return(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 32 * PAGE_SIZE);
	struct sva_job *one, *two;
	struct sva_hold *hold;

	for (unsigned int i = 0; i < 32; i++) {
		hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_RESPONSE,
				soft_endpoint_dev(bond->ep));
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_READ);
		KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
		one = sva_job(test, drain_fn, bond);
		two = sva_job(test, drain_fn, bond);
		if (!i)
			KUNIT_EXPECT_TRUE(test, sva_job_waits(one) && sva_job_waits(two));
		sva_hold_release(hold);
		KUNIT_EXPECT_TRUE(test, sva_job_ends(one));
		KUNIT_EXPECT_TRUE(test, sva_job_ends(two));
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), OK);
	}
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 32);
}

/* The thread that claims the group answers it; the others find that it is done. */
static void drain_and_handler_race_for_the_answer(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct sva_job *drain;

	for (unsigned int i = 0; i < 200; i++) {
		iopf_last(bond, i, 0, IOPF_READ);
		iopf_keeper_await(test, keeper, 1);
		drain = sva_job(test, drain_fn, bond);
		KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 1);
		KUNIT_EXPECT_TRUE(test, sva_job_ends(drain));
		KUNIT_EXPECT_GE(test, iopf_answer(bond, i), 0);
	}
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 200);
}

/* Another device's bind has failed, or this one's with another domain. */
static void drain_of_an_attachment_leaves_others_alone(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct device *dev = soft_endpoint_dev(s.bond->ep);
	struct iommu_attach_handle other = { };

	iopf_ask_slow(&s, 2);
	iopf_drain_attachment(dev, s.bond->pasid, &other);
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	iopf_drain_attachment(dev, s.bond->pasid, &s.bond->sva->handle);
	finish_slow(&s, 2, BAD);
}

static void device_on_no_queue_has_nothing_to_drain(struct kunit *test)
{
	struct iopf_queue *queue = soft_iommu_iopf_queue(fixture(test)->iommu);
	struct device *dev = soft_endpoint_dev(fixture(test)->ep[0]);
	struct iommu_attach_handle handle = { };

	iopf_queue_remove_device(queue, dev);
	iopf_drain_pasid(dev, IOMMU_PASID_INVALID);
	iopf_drain_attachment(dev, 1, &handle);
	iopf_answer_unserved(dev, 1);
	KUNIT_EXPECT_EQ(test, iopf_queue_add_device(queue, dev), 0);
}

static long answer_fn(void *keeper)
{
	return iopf_keeper_finish(keeper, OK);
}

/* A drain has so many under way as may be, and another thread has one more. */
static void answer_waits_until_fewer_are_under_way(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20, .credits = 64 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, true);
	struct iopf_bond *bond = iopf_bind(test, ep, NULL), *other = iopf_bind(test, ep, NULL);
	struct iopf_keeper *keeper = iopf_keep(other);
	struct sva_gate *gate = sva_gate(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, 40 * PAGE_SIZE);
	struct sva_job *drain, *answer;
	struct sva_hold *hold;

	iopf_last(other, 0, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 1);
	for (unsigned int i = 1; i < 40; i++)
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_READ);
	soft_iommu_sync_prq(fixture(test)->iommu);

	hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_RESPONSE, soft_endpoint_dev(ep));
	drain = sva_job(test, drain_fn, bond);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	answer = sva_job(test, answer_fn, keeper);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(answer));
	sva_hold_release(hold);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(answer) && sva_job_ends(drain));
	KUNIT_EXPECT_EQ(test, iopf_answer(other, 0), OK);
	for (unsigned int i = 1; i < 40; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), BAD);
	sva_gate_open(gate);
}
#endif /* SVA_CORE */

/* iopf_queue_flush_dev() */

static long flush_fn(void *ep)
{
	return iopf_queue_flush_dev(soft_endpoint_dev(ep));
}

static void flush_waits_for_what_is_being_served(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct sva_job *flush;

	iopf_ask_slow(&s, 6);
	flush = sva_job(test, flush_fn, s.bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(flush));
	finish_slow(&s, 6, OK);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(flush));
	KUNIT_EXPECT_EQ(test, sva_job_wait(flush), 0);
}

static void flush_waits_for_an_answer_on_its_way(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct sva_hold *hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_RESPONSE,
					 soft_endpoint_dev(bond->ep));
	struct sva_job *flush;

	iopf_last(bond, 0, mem, IOPF_READ);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	flush = sva_job(test, flush_fn, bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(flush));
	sva_hold_release(hold);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(flush));
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), IOMMU_PAGE_RESP_SUCCESS);
}

static void flush_waits_for_no_later_request(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0), late = iopf_make_slow(test, 0);
	struct sva_job *flush;

	iopf_ask_slow(&s, 1);
	flush = sva_job(test, flush_fn, s.bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(flush));
	iopf_ask_slow(&late, 1);
	finish_slow(&s, 1, OK);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(flush));
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(late.bond, 0));
	finish_slow(&late, 1, OK);
}

static void flush_waits_for_nothing_that_a_handler_keeps(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct sva_job *flush;

	iopf_last(bond, 0, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 1);
	flush = sva_job(test, flush_fn, bond->ep);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(flush));
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, IOMMU_PAGE_RESP_SUCCESS), 1U);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), IOMMU_PAGE_RESP_SUCCESS);
}

static void flush_waits_for_no_other_device(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct sva_job *flush;

	iopf_ask_slow(&s, 1);
	flush = sva_job(test, flush_fn, fixture(test)->ep[1]);
	KUNIT_EXPECT_TRUE_MSG(test, sva_job_ends(flush),
			      "flush waits for another device");
	KUNIT_EXPECT_FALSE(test, iopf_is_answered(s.bond, 0));
	finish_slow(&s, 1, OK);
}

static void flush_of_an_idle_device_returns(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, flush_fn(fixture(test)->ep[0]), 0);
}

static struct kunit_case iopf_drain_cases[] = {
	KUNIT_CASE(idle_pasid_is_unbound_while_31_devices_wait),
	KUNIT_CASE(idle_pasid_is_unbound_while_31_devices_storm),
#if SVA_CORE
	KUNIT_CASE(drain_of_an_idle_pasid_costs_the_same_under_load),
#endif
	KUNIT_CASE(unbind_waits_for_no_other_process_of_its_device),
	KUNIT_CASE(unbind_waits_for_no_other_device_of_its_process),
	KUNIT_CASE(unbind_waits_for_no_fault_of_its_own),
	KUNIT_CASE(unbind_answers_all_that_is_in_flight_once),
	KUNIT_CASE(result_after_the_drain_is_dropped),
	KUNIT_CASE(partials_go_with_the_bond),
	KUNIT_CASE(requests_in_the_ring_are_answered_by_unbind),
	KUNIT_CASE(unbind_waits_for_an_answer_on_its_way),
	KUNIT_CASE(unbind_answers_what_a_handler_keeps),
	KUNIT_CASE(bonds_come_and_go_under_a_storm),
#if SVA_CORE
	KUNIT_CASE(drain_touches_its_pasid_only),
	KUNIT_CASE(drain_touches_its_device_only),
	KUNIT_CASE(worker_stops_when_its_group_has_been_answered),
	KUNIT_CASE(drain_of_nothing_returns),
	KUNIT_CASE(pasid_works_on_after_a_drain),
	KUNIT_CASE(two_drains_at_once_both_return),
	KUNIT_CASE(drain_and_handler_race_for_the_answer),
	KUNIT_CASE(drain_of_an_attachment_leaves_others_alone),
	KUNIT_CASE(device_on_no_queue_has_nothing_to_drain),
	KUNIT_CASE(answer_waits_until_fewer_are_under_way),
#endif
	KUNIT_CASE(flush_waits_for_what_is_being_served),
	KUNIT_CASE(flush_waits_for_an_answer_on_its_way),
	KUNIT_CASE(flush_waits_for_no_later_request),
	KUNIT_CASE(flush_waits_for_nothing_that_a_handler_keeps),
	KUNIT_CASE(flush_waits_for_no_other_device),
	KUNIT_CASE(flush_of_an_idle_device_returns),
	{}
};

static struct kunit_suite iopf_drain_suite = {
	.name = "iopf_drain",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_drain_cases,
};

kunit_test_suite(iopf_drain_suite);

SVA_CONFORM_SUITE(iopf_drain, iopf_fixture_init, iopf_fixture_exit,
		  SVA_CONFORM_CASE(unbind_waits_for_no_other_process_of_its_device),
		  SVA_CONFORM_CASE(unbind_waits_for_no_other_device_of_its_process),
		  SVA_CONFORM_CASE(unbind_waits_for_no_fault_of_its_own),
		  SVA_CONFORM_CASE(unbind_answers_all_that_is_in_flight_once),
		  SVA_CONFORM_CASE(result_after_the_drain_is_dropped),
		  SVA_CONFORM_CASE(partials_go_with_the_bond),
		  SVA_CONFORM_CASE(unbind_waits_for_an_answer_on_its_way),
		  SVA_CONFORM_CASE(unbind_answers_what_a_handler_keeps));

MODULE_DESCRIPTION("KUnit tests for draining the I/O page fault queue");
MODULE_LICENSE("GPL");
