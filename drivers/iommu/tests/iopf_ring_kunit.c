// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: the page request ring that feeds it
 *
 * The ring has eight entries here. A request that finds it full is lost; if it was a last page the
 * IOMMU has answered it by itself, and the endpoint asks again if it still wants the page.
 */
#include <linux/mman.h>

#include "iopf_kunit.h"
#if SVA_CORE
#include "../iopf.h"
#endif

#define RING	8

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

/* One process on two endpoints behind a small ring */
struct small_ring {
	struct soft_iommu *iommu;
	struct iopf_bond *a;
	struct iopf_bond *b;
	unsigned long mem;
};

static struct small_ring make_ring(struct kunit *test)
{
	struct soft_iommu_config iommu_config = { .prq_entries = RING };
	struct soft_endpoint_config ep_config = { .pasid_bits = 20, .credits = 64 };
	struct sva_proc *proc = sva_proc_start(test);
	struct small_ring r;

	r.iommu = sva_add_iommu(test, &iommu_config);
	r.a = iopf_bind(test, sva_add_endpoint(test, r.iommu, &ep_config, true), proc);
	r.b = iopf_bind(test, sva_add_endpoint(test, r.iommu, &ep_config, true), proc);
	r.mem = sva_proc_map(proc, 64 * PAGE_SIZE);
	return r;
}

static u64 lost_requests(struct small_ring *r)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(r->iommu, &stats);
	return stats.prq_lost;
}

static bool is_there(struct iopf_bond *bond, unsigned long addr)
{
	return soft_ats_translate(bond->ep, bond->pasid, addr, IOPF_READ) & IOPF_READ;
}

/* Fills the ring with last pages of @bond, and loses some more, while no thread takes them. */
static void overflow(struct kunit *test, struct small_ring *r, struct iopf_bond *bond,
		     unsigned int nr)
{
	u64 lost = lost_requests(r);

	soft_iommu_hold_prq(r->iommu, true);
	for (unsigned int i = 0; i < nr; i++)
		iopf_last(bond, 100 + i, r->mem + (32 + i) * PAGE_SIZE, IOPF_READ);
	KUNIT_EXPECT_GT(test, lost_requests(r), lost);
	soft_iommu_hold_prq(r->iommu, false);
	soft_iommu_sync_prq(r->iommu);
}

static void overflow_loses_no_answer(struct kunit *test)
{
	struct small_ring r = make_ring(test);

	overflow(test, &r, r.a, 2 * RING);
	for (unsigned int i = 0; i < 2 * RING; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(r.a, 100 + i), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(r.iommu), 2 * RING);
}

/* What was in the ring when it overflowed is served like any other request. */
static void entries_behind_an_overflow_are_served(struct kunit *test)
{
	struct small_ring r = make_ring(test);
	unsigned int served = 0;

	overflow(test, &r, r.a, 2 * RING);
	for (unsigned int i = 0; i < 2 * RING; i++) {
		KUNIT_EXPECT_EQ(test, iopf_answer(r.a, 100 + i), OK);
		served += is_there(r.a, r.mem + (32 + i) * PAGE_SIZE);
	}
	KUNIT_EXPECT_EQ(test, served, 2 * RING - lost_requests(&r));
	KUNIT_EXPECT_GE(test, served, RING - 1);
}

static void ring_works_after_each_of_many_overflows(struct kunit *test)
{
	struct small_ring r = make_ring(test);

	for (unsigned int i = 0; i < 20; i++) {
		overflow(test, &r, i & 1 ? r.a : r.b, 2 * RING);
		for (unsigned int j = 0; j < 2 * RING; j++)
			KUNIT_EXPECT_EQ(test, iopf_answer(i & 1 ? r.a : r.b, 100 + j), OK);
		KUNIT_EXPECT_EQ(test, iopf_ask(r.a, 0, r.mem + i * PAGE_SIZE, IOPF_READ), OK);
		KUNIT_EXPECT_TRUE(test, is_there(r.a, r.mem + i * PAGE_SIZE));
	}
	KUNIT_EXPECT_EQ(test, iopf_responses(r.iommu), 20 * (2 * RING + 1));
}

/* The other device has lost nothing; its half-sent group must stay whole. */
static void overflow_spares_partials_of_other_devices(struct kunit *test)
{
	struct small_ring r = make_ring(test);

	iopf_partial(r.b, 1, r.mem, IOPF_READ);
	iopf_partial(r.b, 1, r.mem + PAGE_SIZE, IOPF_READ);
	soft_iommu_sync_prq(r.iommu);
	overflow(test, &r, r.a, 2 * RING);
	KUNIT_EXPECT_EQ(test, iopf_ask(r.b, 1, r.mem + 2 * PAGE_SIZE, IOPF_READ), OK);
	for (unsigned int i = 0; i < 3; i++)
		KUNIT_EXPECT_TRUE(test, is_there(r.b, r.mem + i * PAGE_SIZE));
	for (unsigned int i = 0; i < 2 * RING; i++)
		iopf_answer(r.a, 100 + i);
}

static void overflow_spares_whole_groups_of_its_device(struct kunit *test)
{
	struct small_ring r = make_ring(test);

	iopf_partial(r.a, 1, r.mem, IOPF_READ);
	soft_iommu_sync_prq(r.iommu);
	overflow(test, &r, r.a, 2 * RING);
	KUNIT_EXPECT_EQ(test, iopf_ask(r.a, 1, r.mem + PAGE_SIZE, IOPF_READ), OK);
	KUNIT_EXPECT_TRUE(test, is_there(r.a, r.mem));
	for (unsigned int i = 0; i < 2 * RING; i++)
		iopf_answer(r.a, 100 + i);
}

/* Its last page may have been lost: then it meets a group that has nothing to do with it. */
static void partial_left_by_an_overflow_spoils_no_later_group(struct kunit *test)
{
	struct small_ring r = make_ring(test);

	iopf_partial(r.a, 1, 0, IOPF_READ);
	soft_iommu_sync_prq(r.iommu);
	overflow(test, &r, r.a, 2 * RING);
	KUNIT_EXPECT_EQ(test, iopf_ask(r.a, 1, r.mem, IOPF_READ), OK);
	KUNIT_EXPECT_TRUE(test, is_there(r.a, r.mem));
	/* That was its only chance. */
	iopf_partial(r.a, 1, 0, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(r.a, 1, r.mem, IOPF_READ), BAD);
	for (unsigned int i = 0; i < 2 * RING; i++)
		iopf_answer(r.a, 100 + i);
}

static void dma_of_two_devices_gets_through_a_small_ring(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20, .credits = 64 };
	struct small_ring r = make_ring(test);
	unsigned long mem = sva_proc_map(r.a->proc, SZ_1M);
	struct iopf_bond *c;

	c = iopf_bind(test, sva_add_endpoint(test, r.iommu, &config, true), r.a->proc);
	KUNIT_ASSERT_EQ(test, soft_storm_start(r.a->ep, r.a->pasid, mem, SZ_1M, true), 0);
	KUNIT_ASSERT_EQ(test, soft_storm_start(r.b->ep, r.b->pasid, mem, SZ_1M, false), 0);
	for (unsigned int i = 0; i < 64; i++) {
		overflow(test, &r, c, RING + 4);
		for (unsigned int j = 0; j < RING + 4; j++)
			KUNIT_EXPECT_EQ(test, iopf_answer(c, 100 + j), OK);
		if (sva_proc_madvise(r.a->proc, mem, SZ_1M, MADV_DONTNEED))
			KUNIT_FAIL(test, "madvise failed");
	}
	KUNIT_EXPECT_TRUE(test, sva_becomes(soft_storm_done(r.a->ep)));
	KUNIT_EXPECT_TRUE(test, sva_becomes(soft_storm_done(r.b->ep)));
	soft_storm_stop(r.a->ep);
	soft_storm_stop(r.b->ep);
	KUNIT_EXPECT_EQ(test, soft_pri_outstanding(r.a->ep), 0);
	KUNIT_EXPECT_EQ(test, soft_pri_outstanding(r.b->ep), 0);
}

static void stop_marker_is_not_answered(struct kunit *test)
{
	struct small_ring r = make_ring(test);
	struct soft_iommu_stats stats;

	for (unsigned int i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, soft_pri_stop_marker(r.a->ep, r.a->pasid), 0);
		soft_iommu_sync_prq(r.iommu);
	}
	soft_iommu_read_stats(r.iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.prq_stop_markers, 4);
	KUNIT_EXPECT_EQ(test, iopf_responses(r.iommu), 0);
}

static void stop_marker_leaves_groups_alone(struct kunit *test)
{
	struct small_ring r = make_ring(test);

	iopf_partial(r.a, 0, r.mem, IOPF_READ);
	KUNIT_EXPECT_EQ(test, soft_pri_stop_marker(r.a->ep, r.a->pasid), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(r.a, 0, r.mem + PAGE_SIZE, IOPF_READ), OK);
	KUNIT_EXPECT_TRUE(test, is_there(r.a, r.mem));
	KUNIT_EXPECT_EQ(test, iopf_responses(r.iommu), 1);
}

#define PASID_VALID	IOMMU_FAULT_PAGE_REQUEST_PASID_VALID

static int ask_raw(struct kunit *test, struct soft_endpoint *ep, ioasid_t pasid, u32 flags)
{
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE | flags,
		.pasid = pasid,
		.grpid = 9,
		.perm = IOPF_READ,
		.addr = SZ_4M,
	};

	KUNIT_ASSERT_EQ(test, soft_pri_send(ep, &prm), 0);
	return soft_pri_wait(ep, pasid, 9, IOPF_LONG_MS);
}

static u64 auto_responses(struct small_ring *r)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(r->iommu, &stats);
	return stats.auto_responses;
}

/* Some IOMMUs refuse it themselves, others leave that to software. */
static void refuse_unbound(struct kunit *test, bool by_software)
{
	struct small_ring r = make_ring(test);
	ioasid_t pasid = r.a->pasid;

	sva_quarantine(test, 0);
	soft_iommu_take_all(r.iommu, by_software);
	KUNIT_EXPECT_EQ(test, ask_raw(test, r.a->ep, pasid + 1, PASID_VALID), BAD);
	iopf_unbind(r.a);
	KUNIT_EXPECT_EQ(test, ask_raw(test, r.a->ep, pasid, PASID_VALID), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(r.iommu), 2);
	KUNIT_EXPECT_EQ(test, auto_responses(&r), by_software ? 0 : 2);
	/* The other device's bond is not touched. */
	KUNIT_EXPECT_EQ(test, iopf_ask(r.b, 9, r.mem, IOPF_READ), OK);
}

static void request_for_an_unbound_pasid_is_refused_once(struct kunit *test)
{
	refuse_unbound(test, true);
}

static void iommu_may_refuse_unbound_pasids_itself(struct kunit *test)
{
	refuse_unbound(test, false);
}

static void request_without_a_pasid_is_refused_once(struct kunit *test)
{
	struct small_ring r = make_ring(test);

	KUNIT_EXPECT_EQ(test, ask_raw(test, r.a->ep, 0, 0), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(r.iommu), 1);
	KUNIT_EXPECT_EQ(test, auto_responses(&r), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(r.a, 9, r.mem, IOPF_READ), OK);
}

#if SVA_CORE
#define SHARED_RING	64
#define SHARERS		4

/* Devices on one ring, each with as many requests outstanding as it has been granted */
struct sharers {
	struct soft_iommu *iommu;
	struct iopf_bond *bonds[SHARERS];
	u32 granted[SHARERS];
	unsigned long mem;
};

static u32 grant(struct sharers *s, unsigned int i)
{
	s->granted[i] = iopf_grant_credits(soft_endpoint_dev(s->bonds[i]->ep), SHARED_RING);
	return s->granted[i];
}

static struct sharers *make_sharers(struct kunit *test)
{
	struct soft_iommu_config iommu_config = { .prq_entries = SHARED_RING };
	struct soft_endpoint_config ep_config = { .pasid_bits = 20, .credits = SHARED_RING };
	struct sharers *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct sva_proc *proc = sva_proc_start(test);

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->iommu = sva_add_iommu(test, &iommu_config);
	s->mem = sva_proc_map(proc, SHARERS * SHARED_RING * PAGE_SIZE);
	for (unsigned int i = 0; i < SHARERS; i++)
		s->bonds[i] = iopf_bind(test, sva_add_endpoint(test, s->iommu, &ep_config, true),
					proc);
	return s;
}

/* All that they have been granted at once, while no thread reads the ring: nothing is lost. */
static void credits_of_all_devices_fit_into_the_ring(struct kunit *test)
{
	struct sharers *s = make_sharers(test);
	struct soft_iommu_stats stats;
	unsigned int page = 0;

	/* Half of what is left, less the room for stop markers; they want more. */
	KUNIT_EXPECT_EQ(test, grant(s, 0), 28);
	KUNIT_EXPECT_EQ(test, grant(s, 1), 14);
	KUNIT_EXPECT_EQ(test, grant(s, 2), 8);
	soft_iommu_hold_prq(s->iommu, true);
	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int j = 0; j < s->granted[i]; j++, page++)
			iopf_last(s->bonds[i], j, s->mem + page * PAGE_SIZE, IOPF_READ);
	for (unsigned int i = 0; i < SHARED_RING / IOPF_MARKER_SHARE; i++)
		KUNIT_EXPECT_EQ(test, soft_pri_stop_marker(s->bonds[0]->ep, s->bonds[0]->pasid), 0);
	soft_iommu_hold_prq(s->iommu, false);
	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int j = 0; j < s->granted[i]; j++)
			KUNIT_EXPECT_EQ(test, iopf_answer(s->bonds[i], j), OK);
	soft_iommu_read_stats(s->iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.prq_requests, page);
	KUNIT_EXPECT_EQ(test, stats.prq_lost, 0);
}

static void latecomer_gets_a_few_credits(struct kunit *test)
{
	struct sharers *s = make_sharers(test);

	for (unsigned int i = 0; i < SHARERS - 1; i++)
		grant(s, i);
	KUNIT_EXPECT_EQ(test, grant(s, SHARERS - 1), IOPF_MIN_CREDITS);
}

static void credits_come_back_when_a_device_leaves(struct kunit *test)
{
	struct sharers *s = make_sharers(test);
	struct device *first = soft_endpoint_dev(s->bonds[0]->ep);
	struct iopf_queue *queue = soft_iommu_iopf_queue(s->iommu);

	for (unsigned int i = 0; i < 3; i++)
		grant(s, i);
	/* To ask again is not to have more. */
	KUNIT_EXPECT_EQ(test, grant(s, 1), 10);
	iopf_queue_remove_device(queue, first);
	KUNIT_EXPECT_EQ(test, iopf_grant_credits(first, SHARED_RING), 0);
	KUNIT_EXPECT_EQ(test, grant(s, 1), 24);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(queue, first), 0);
	KUNIT_EXPECT_EQ(test, grant(s, 0), 12);
}

/* A platform device does not say what it can use. */
static void device_is_granted_no_more_than_it_can_use(struct kunit *test)
{
	struct sharers *s = make_sharers(test);
	struct device *dev = soft_endpoint_dev(s->bonds[0]->ep);

	KUNIT_EXPECT_EQ(test, iopf_grant_credits(dev, 2048), 256);
	KUNIT_EXPECT_EQ(test, iopf_grant_credits(dev, 512), 224);
}
#endif

struct seen {
	u32 grpid[64];
	unsigned int nr;
};

static int see_report(const struct soft_iommu_event *event, void *data)
{
	struct seen *seen = data;

	if (seen->nr < ARRAY_SIZE(seen->grpid))
		seen->grpid[seen->nr++] = event->grpid;
	return 0;
}

static void requests_are_reported_in_ring_order(struct kunit *test)
{
	struct seen *seen = kunit_kzalloc(test, sizeof(*seen), GFP_KERNEL);
	struct small_ring r = make_ring(test);

	KUNIT_ASSERT_NOT_NULL(test, seen);
	soft_iommu_set_hook(r.iommu, SOFT_AT_REPORT, see_report, seen);
	for (unsigned int i = 0; i < 64; i++) {
		iopf_last(i % 3 ? r.a : r.b, i, r.mem + i * PAGE_SIZE, IOPF_READ);
		if (i % 4 == 3)
			soft_iommu_sync_prq(r.iommu);
	}
	soft_iommu_set_hook(r.iommu, SOFT_AT_REPORT, NULL, NULL);
	KUNIT_EXPECT_EQ(test, seen->nr, 64);
	for (unsigned int i = 0; i < 64; i++) {
		KUNIT_EXPECT_EQ(test, seen->grpid[i], i);
		KUNIT_EXPECT_EQ(test, iopf_answer(i % 3 ? r.a : r.b, i), OK);
	}
}

static struct kunit_case iopf_ring_cases[] = {
	KUNIT_CASE(overflow_loses_no_answer),
	KUNIT_CASE(entries_behind_an_overflow_are_served),
	KUNIT_CASE(ring_works_after_each_of_many_overflows),
	KUNIT_CASE(overflow_spares_partials_of_other_devices),
	KUNIT_CASE(overflow_spares_whole_groups_of_its_device),
	KUNIT_CASE(partial_left_by_an_overflow_spoils_no_later_group),
	KUNIT_CASE(dma_of_two_devices_gets_through_a_small_ring),
	KUNIT_CASE(stop_marker_is_not_answered),
	KUNIT_CASE(stop_marker_leaves_groups_alone),
	KUNIT_CASE(request_for_an_unbound_pasid_is_refused_once),
	KUNIT_CASE(iommu_may_refuse_unbound_pasids_itself),
	KUNIT_CASE(request_without_a_pasid_is_refused_once),
#if SVA_CORE
	KUNIT_CASE(credits_of_all_devices_fit_into_the_ring),
	KUNIT_CASE(latecomer_gets_a_few_credits),
	KUNIT_CASE(credits_come_back_when_a_device_leaves),
	KUNIT_CASE(device_is_granted_no_more_than_it_can_use),
#endif
	KUNIT_CASE(requests_are_reported_in_ring_order),
	{}
};

static struct kunit_suite iopf_ring_suite = {
	.name = "iopf_ring",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_ring_cases,
};

kunit_test_suite(iopf_ring_suite);

MODULE_DESCRIPTION("KUnit tests for the page request ring of the I/O page fault queue");
MODULE_LICENSE("GPL");
