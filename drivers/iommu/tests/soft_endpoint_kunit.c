// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the software IOMMU: its endpoints, what they ask for, and how the ledger keeps
 * the answers
 */
#include <linux/mm.h>

#include "soft_iommu_kunit.h"

static int bench_send(struct bench *bench, u32 grpid, unsigned long addr, u32 flags)
{
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | flags,
		.pasid = bench->pasid,
		.grpid = grpid,
		.perm = IOMMU_FAULT_PERM_READ,
		.addr = addr,
	};

	return soft_pri_send(bench->ep, &prm);
}

static int bench_send_last(struct bench *bench, u32 grpid)
{
	return bench_send(bench, grpid, bench->addr + grpid * PAGE_SIZE,
			  IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE);
}

static int bench_wait(struct bench *bench, u32 grpid)
{
	return soft_pri_wait(bench->ep, bench->pasid, grpid, BENCH_PATIENCE);
}

/* A response that the driver is made to send. */
static void bench_respond(struct bench *bench, u32 grpid, int code)
{
	struct iommu_page_response resp = {
		.pasid = bench->pasid,
		.grpid = grpid,
		.code = code,
	};
	struct iopf_fault evt = {
		.fault.prm.private_data = { READ_ONCE(bench->ep->epoch) },
	};

	soft_iommu_ops.page_response(bench->dev, &evt, &resp);
}

/* The page request ring */

static void ring_that_overflows_answers_success_itself(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats stats;

	soft_endpoint_lie_about_credits(bench->ep, true);
	soft_iommu_hold_prq(bench->iommu, true);
	for (u32 grpid = 0; grpid < 4; grpid++)
		KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, grpid));
	KUNIT_EXPECT_EQ(test, 4, soft_pri_outstanding(bench->ep));
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 4));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 4));
	KUNIT_EXPECT_EQ(test, 4, soft_pri_outstanding(bench->ep));

	soft_iommu_hold_prq(bench->iommu, false);
	for (u32 grpid = 0; grpid < 4; grpid++)
		KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, grpid));
	stats = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, 1, stats.prq_overflows);
	KUNIT_EXPECT_EQ(test, 1, stats.prq_lost);
	KUNIT_EXPECT_EQ(test, 1, stats.auto_responses);
	KUNIT_EXPECT_EQ(test, 4, stats.responses[IOMMU_PAGE_RESP_SUCCESS]);
}

static int hold_in_hook(const struct soft_iommu_event *event, void *data)
{
	struct completion *hold = data;

	wait_for_completion(hold);
	return 0;
}

/* There is room again, but software has not cleared the bit. */
static void overflow_lasts_until_the_ring_is_empty(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_prq *prq = &bench->iommu->prq;
	DECLARE_COMPLETION_ONSTACK(hold);

	soft_endpoint_lie_about_credits(bench->ep, true);
	soft_iommu_set_hook(bench->iommu, SOFT_AT_REPORT, hold_in_hook, &hold);
	for (u32 grpid = 0; grpid < 5; grpid++)
		KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, grpid));
	complete(&hold);
	wait_event(prq->idle, READ_ONCE(prq->head));
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 5));
	KUNIT_EXPECT_EQ(test, 2, bench_stats(bench).prq_lost);
	KUNIT_EXPECT_EQ(test, 1, bench_stats(bench).prq_overflows);

	complete_all(&hold);
	soft_iommu_sync_prq(bench->iommu);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 6));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 6));
	KUNIT_EXPECT_EQ(test, 5, bench_stats(bench).prq_requests);
	soft_iommu_set_hook(bench->iommu, SOFT_AT_REPORT, NULL, NULL);
}

static void stop_marker_gets_no_response(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats stats;

	KUNIT_EXPECT_EQ(test, 0, soft_pri_stop_marker(bench->ep, bench->pasid));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	stats = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, 1, stats.prq_stop_markers);
	KUNIT_EXPECT_EQ(test, 0, stats.prq_requests);
	for (int code = 0; code < 16; code++)
		KUNIT_EXPECT_EQ(test, 0, stats.responses[code]);
}

static void requests_take_credits_and_responses_return_them(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_prq(bench->iommu, true);
	for (int i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, 0, bench_send(bench, 1, bench->addr + i * PAGE_SIZE, 0));
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, -EBUSY, bench_send_last(bench, 2));
	KUNIT_EXPECT_EQ(test, 1, soft_pri_outstanding(bench->ep));

	soft_iommu_hold_prq(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	KUNIT_EXPECT_EQ(test, 4, READ_ONCE(bench->ep->credits));
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 2));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 2));
}

static void held_responses_arrive_in_order(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_responses(bench->iommu, true);
	for (u32 grpid = 1; grpid <= 3; grpid++) {
		KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, grpid));
		KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	}
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, soft_pri_wait(bench->ep, bench->pasid, 1, 0));
	KUNIT_EXPECT_EQ(test, 3, bench_stats(bench).responses[IOMMU_PAGE_RESP_SUCCESS]);
	KUNIT_EXPECT_EQ(test, 3, list_count_nodes(&bench->iommu->held));
	KUNIT_EXPECT_EQ(test, 1, list_first_entry(&bench->iommu->held, struct soft_group,
						  held)->grpid);
	soft_iommu_hold_responses(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, 0, soft_pri_outstanding(bench->ep));
}

/* The ledger */

static void second_response_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	bench_respond(bench, 1, IOMMU_PAGE_RESP_SUCCESS);
	bench_expect_violation(bench, "second response");
}

static void response_for_an_unknown_group_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_respond(bench, 77, IOMMU_PAGE_RESP_INVALID);
	bench_expect_violation(bench, "group 77 that was never sent");
}

/* The endpoint waits for the response to a last page which is not reported. */
static void bench_ask_unreported(struct bench *bench, struct kunit *test)
{
	const struct soft_request req = {
		.epoch = READ_ONCE(bench->ep->epoch),
		.prm = {
			.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
			.pasid = bench->pasid,
			.grpid = 1,
		},
	};

	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	KUNIT_EXPECT_TRUE(test, soft_pri_enters(bench->ep, &req));
}

static void response_that_never_comes_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_ask_unreported(bench, test);
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_check(bench->iommu));
	bench_expect_violation(bench, "group 1: 1 responses never came");
}

static void response_code_that_pcie_lacks_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_ask_unreported(bench, test);
	bench_respond(bench, 1, 2);
	bench_expect_violation(bench, "response 2, which PCIe does not define");
}

static void response_after_removal_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_unbind(bench);
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_disable_feature(bench->dev, IOMMU_DEV_FEAT_SVA));
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_disable_feature(bench->dev, IOMMU_DEV_FEAT_IOPF));
	bench_respond(bench, 1, IOMMU_PAGE_RESP_INVALID);
	bench_expect_violation(bench, "after the device has left the fault queue");
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_enable_feature(bench->dev, IOMMU_DEV_FEAT_IOPF));
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_enable_feature(bench->dev, IOMMU_DEV_FEAT_SVA));
}

static void violations_beyond_the_room_for_texts_are_counted(struct kunit *test)
{
	struct bench *bench = &the_bench;

	for (int i = 0; i < SOFT_VIOLATIONS + 10; i++)
		soft_violation(bench->iommu, "violation %d", i);
	KUNIT_EXPECT_STREQ(test, "violation 63", soft_iommu_violation(bench->iommu, 63));
	KUNIT_EXPECT_STREQ(test, "", soft_iommu_violation(bench->iommu, SOFT_VIOLATIONS));
	KUNIT_EXPECT_EQ(test, SOFT_VIOLATIONS + 10, soft_iommu_forgive(bench->iommu));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
}

/* Endpoints */

static void reset_forgets_what_was_asked(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_prq(bench->iommu, true);
	for (u32 grpid = 0; grpid < 4; grpid++)
		KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, grpid));
	soft_endpoint_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, soft_pri_outstanding(bench->ep));
	KUNIT_EXPECT_EQ(test, 4, READ_ONCE(bench->ep->credits));

	/* The core, which was not told, answers all the same; no device listens. */
	soft_iommu_hold_prq(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, 4, soft_iommu_check(bench->iommu));
	KUNIT_EXPECT_NOT_NULL(test, strstr(soft_iommu_violation(bench->iommu, 3),
					   "that the device forgot in a reset"));
	KUNIT_EXPECT_EQ(test, 4, soft_iommu_forgive(bench->iommu));
	KUNIT_EXPECT_EQ(test, 4, bench_stats(bench).responses[IOMMU_PAGE_RESP_SUCCESS]);
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, soft_pri_wait(bench->ep, bench->pasid, 0, 0));
	KUNIT_EXPECT_EQ(test, 4, READ_ONCE(bench->ep->credits));
}

static void reset_empties_the_atc(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_touch(bench, bench->addr);
	KUNIT_EXPECT_EQ(test, 1, soft_cache_lines(bench->ep->atc));
	soft_endpoint_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, soft_cache_lines(bench->ep->atc));
	KUNIT_EXPECT_EQ(test, 0, bench_read(bench, bench->addr));
}

static int reset_in_hook(const struct soft_iommu_event *event, void *data)
{
	soft_endpoint_reset(data);
	return 0;
}

static void dma_that_waits_is_aborted_by_a_reset(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	soft_iommu_set_hook(bench->iommu, SOFT_AT_REPORT, reset_in_hook, bench->ep);
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word,
						     8));
	soft_iommu_set_hook(bench->iommu, SOFT_AT_REPORT, NULL, NULL);
	/* It was reported all the same. */
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_check(bench->iommu));
	bench_expect_violation(bench, "that the device forgot in a reset");
	KUNIT_EXPECT_EQ(test, 0, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word, 8));
}

/* Which of the two is answered first is the workers' affair. */
static void old_answer_after_a_reset_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_prq(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	soft_endpoint_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	soft_iommu_hold_prq(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_check(bench->iommu));
	bench_expect_violation(bench, "that the device forgot in a reset");
}

static void endpoint_in_reset_does_nothing(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	bench_touch(bench, bench->addr);
	soft_endpoint_begin_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, -ENODEV, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_pri_stop_marker(bench->ep, bench->pasid));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word,
						     8));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_try(bench->ep, bench->pasid, bench->addr, false,
						    &word, 8));
	KUNIT_EXPECT_EQ(test, 0, soft_ats_translate(bench->ep, bench->pasid, bench->addr,
						    IOMMU_FAULT_PERM_READ));
	soft_endpoint_end_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, bench_read(bench, bench->addr));
}

static void atc_invalidation_in_a_reset_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_touch(bench, bench->addr);
	soft_endpoint_begin_reset(bench->ep);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	soft_endpoint_end_reset(bench->ep);
	bench_expect_violation(bench, "a device that is in a reset");
}

static void endpoint_that_has_left_its_reset_only_invalidates(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	bench_touch(bench, bench->addr);
	soft_endpoint_begin_reset(bench->ep);
	soft_endpoint_leave_reset(bench->ep);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	KUNIT_EXPECT_EQ(test, -ENODEV, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_try(bench->ep, bench->pasid, bench->addr, false,
						    &word, 8));
	soft_endpoint_end_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
}

#if SVA_CORE
static void all_translations_are_flushed_from_the_atc(struct kunit *test)
{
	struct bench *bench = &the_bench;

	for (int i = 0; i < 4; i++)
		bench_touch(bench, bench->addr + i * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 4, soft_cache_lines(bench->ep->atc));
	soft_iommu_ops.sva_ops->flush_atc(bench->dev);
	KUNIT_EXPECT_EQ(test, 0, soft_cache_lines(bench->ep->atc));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
}

static long drain_all(void *dev)
{
	soft_iommu_ops.sva_ops->drain(dev, IOMMU_PASID_INVALID);
	return 0;
}

static void drain_waits_for_held_responses(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct sva_job *drain;

	soft_iommu_hold_responses(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	drain = sva_job(test, drain_all, bench->dev);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(drain));
	soft_iommu_hold_responses(bench->iommu, false);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(drain));
	KUNIT_EXPECT_EQ(test, 0, soft_pri_outstanding(bench->ep));
}
#endif

static void unplugged_endpoint_does_and_hears_nothing(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	soft_iommu_hold_prq(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	soft_endpoint_unplug(bench->ep);
	soft_iommu_hold_prq(bench->iommu, false);

	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	KUNIT_EXPECT_EQ(test, 1, bench_stats(bench).responses[IOMMU_PAGE_RESP_SUCCESS]);
	KUNIT_EXPECT_EQ(test, 1, soft_pri_outstanding(bench->ep));
	KUNIT_EXPECT_EQ(test, -ENODEV, bench_send_last(bench, 2));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word,
						     8));
	KUNIT_EXPECT_EQ(test, 0, soft_ats_translate(bench->ep, bench->pasid, bench->addr,
						    IOMMU_FAULT_PERM_READ));
}

static void response_failure_silences_the_endpoint_until_a_reset(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_prq(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	soft_pri_deliver(bench->ep, bench->pasid, 1, READ_ONCE(bench->ep->epoch), 15);
	KUNIT_EXPECT_EQ(test, 15, bench_wait(bench, 1));
	KUNIT_EXPECT_EQ(test, -ENODEV, bench_send_last(bench, 2));
	soft_iommu_hold_prq(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	soft_endpoint_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 2));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 2));
}

static void dma_gives_up_when_its_patience_ends(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	soft_endpoint_patience(bench->ep, 1);
	soft_iommu_hold_prq(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, soft_dma_read(bench->ep, bench->pasid, bench->addr,
							&word, 8));
	soft_iommu_hold_prq(bench->iommu, false);
}

static void endpoint_without_pri_has_no_iopf(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_endpoint *ep;
	u64 word;

	ep = bench_add(bench, (struct soft_endpoint_config){ .no_pri = true });
	KUNIT_EXPECT_NE(test, 0, iommu_dev_enable_feature(soft_endpoint_dev(ep),
							  IOMMU_DEV_FEAT_IOPF));
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_enable_feature(soft_endpoint_dev(ep),
							  IOMMU_DEV_FEAT_SVA));
	KUNIT_EXPECT_EQ(test, -EFAULT, soft_dma_read(ep, bench->pasid, bench->addr, &word, 8));
	KUNIT_EXPECT_EQ(test, 0, bench_stats(bench).prq_requests);
	bench_destroy(bench, ep);
}

static void endpoint_without_ats_has_nothing_to_invalidate(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats before, after;
	struct soft_endpoint *ep;
	struct iommu_sva *sva;
	u64 word = 1;

	bench_touch(bench, bench->addr);
	ep = bench_add(bench, (struct soft_endpoint_config){ .no_ats = true });
	sva = bench_bind(bench, ep);
	before = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, 0, soft_dma_write(ep, bench->pasid, bench->addr, &word, 8));
	KUNIT_EXPECT_EQ(test, 0, soft_ats_translate(ep, bench->pasid, bench->addr,
						    IOMMU_FAULT_PERM_READ));
	KUNIT_EXPECT_EQ(test, before.ats_requests, bench_stats(bench).ats_requests);

	/* Each time one command for the IOMMU, and one for the other endpoint */
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	after = bench_stats(bench);
	KUNIT_EXPECT_GT(test, after.cmd_atc, before.cmd_atc);
	KUNIT_EXPECT_EQ(test, after.cmd_atc - before.cmd_atc, after.cmd_iotlb - before.cmd_iotlb);
	KUNIT_EXPECT_EQ(test, -EFAULT, soft_dma_write(ep, bench->pasid, bench->addr, &word, 8));
	iommu_sva_unbind_device(sva);
	bench_destroy(bench, ep);
}

static void endpoints_may_share_an_iommu_group(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_endpoint *ep;

	ep = bench_add(bench, (struct soft_endpoint_config){ .group_of = bench->ep });
	KUNIT_EXPECT_PTR_EQ(test, bench->dev->iommu_group, soft_endpoint_dev(ep)->iommu_group);
	bench_destroy(bench, ep);
}

static void device_that_leaves_with_a_pasid_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_endpoint *ep;
	struct soft_pasid_entry *entry;
	struct iommu_domain *domain;

	entry = xa_load(&bench->ep->pasids, bench->pasid);
	domain = &entry->sdom->domain;
	ep = bench_add(bench, (struct soft_endpoint_config){ });
	KUNIT_ASSERT_EQ(test, 0, domain->ops->set_dev_pasid(domain, soft_endpoint_dev(ep),
							    bench->pasid, NULL));
	bench_destroy(bench, ep);
	bench_expect_violation(bench, "leaves while it is attached");
}

static void storm_makes_accesses_until_it_is_stopped(struct kunit *test)
{
	struct bench *bench = &the_bench;

	KUNIT_ASSERT_EQ(test, 0, soft_storm_start(bench->ep, bench->pasid, bench->addr, BENCH_LEN,
						  true));
	KUNIT_EXPECT_EQ(test, -EBUSY, soft_storm_start(bench->ep, bench->pasid, bench->addr,
						       BENCH_LEN, true));
	KUNIT_EXPECT_TRUE(test, sva_becomes(bench_stats(bench).prq_requests >= BENCH_PAGES));
	KUNIT_EXPECT_GE(test, soft_storm_stop(bench->ep), BENCH_PAGES - 1);
	KUNIT_EXPECT_EQ(test, 0, soft_storm_stop(bench->ep));
}

static struct kunit_case soft_endpoint_cases[] = {
	KUNIT_CASE(ring_that_overflows_answers_success_itself),
	KUNIT_CASE(overflow_lasts_until_the_ring_is_empty),
	KUNIT_CASE(stop_marker_gets_no_response),
	KUNIT_CASE(requests_take_credits_and_responses_return_them),
	KUNIT_CASE(held_responses_arrive_in_order),
	KUNIT_CASE(second_response_is_a_violation),
	KUNIT_CASE(response_for_an_unknown_group_is_a_violation),
	KUNIT_CASE(response_that_never_comes_is_a_violation),
	KUNIT_CASE(response_code_that_pcie_lacks_is_a_violation),
	KUNIT_CASE(response_after_removal_is_a_violation),
	KUNIT_CASE(violations_beyond_the_room_for_texts_are_counted),
	KUNIT_CASE(reset_forgets_what_was_asked),
	KUNIT_CASE(reset_empties_the_atc),
	KUNIT_CASE(dma_that_waits_is_aborted_by_a_reset),
	KUNIT_CASE(old_answer_after_a_reset_is_a_violation),
	KUNIT_CASE(endpoint_in_reset_does_nothing),
	KUNIT_CASE(atc_invalidation_in_a_reset_is_a_violation),
	KUNIT_CASE(endpoint_that_has_left_its_reset_only_invalidates),
#if SVA_CORE
	KUNIT_CASE(all_translations_are_flushed_from_the_atc),
	KUNIT_CASE(drain_waits_for_held_responses),
#endif
	KUNIT_CASE(unplugged_endpoint_does_and_hears_nothing),
	KUNIT_CASE(response_failure_silences_the_endpoint_until_a_reset),
	KUNIT_CASE(dma_gives_up_when_its_patience_ends),
	KUNIT_CASE(endpoint_without_pri_has_no_iopf),
	KUNIT_CASE(endpoint_without_ats_has_nothing_to_invalidate),
	KUNIT_CASE(endpoints_may_share_an_iommu_group),
	KUNIT_CASE(device_that_leaves_with_a_pasid_is_a_violation),
	KUNIT_CASE(storm_makes_accesses_until_it_is_stopped),
	{ }
};

static struct kunit_suite soft_endpoint_suite = {
	.name = "soft_endpoint",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = soft_endpoint_cases,
};

kunit_test_suite(soft_endpoint_suite);
