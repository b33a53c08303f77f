// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core: page requests, their responses, and the ring
 */
#include <linux/prandom.h>

#include "intel_vtd_kunit.h"

/* Reading descriptors */

static void each_field_of_a_request_is_read(struct kunit *test)
{
	struct page_req_dsc req = { .qw = { VTD_REQ_0(VTD_RID, 0xabcde),
					    VTD_REQ_1(0x7f0000201000, 0x1a5, VTD_R | VTD_L) } };
	struct iopf_fault evt;

	memset(&evt, 0xff, sizeof(evt));
	intel_prq_decode(&req, &evt);
	KUNIT_EXPECT_EQ(test, evt.fault.type, IOMMU_FAULT_PAGE_REQ);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.addr, 0x7f0000201000);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.grpid, 0x1a5);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.pasid, 0xabcde);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.perm, IOMMU_FAULT_PERM_READ);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.flags, IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
			IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID);
}

static void each_permission_is_its_own(struct kunit *test)
{
	for (unsigned int bits = 0; bits < 16; bits++) {
		u64 exec = bits & 4 ? BIT_ULL(52) : 0, priv = bits & 8 ? BIT_ULL(53) : 0;
		struct page_req_dsc req = { .qw = { VTD_REQ_0(VTD_RID, 1) | exec | priv,
						    VTD_REQ_1(0, 0, bits & 3) } };
		struct iopf_fault evt;
		u32 perm = 0;

		if (bits & 1)
			perm |= IOMMU_FAULT_PERM_READ;
		if (bits & 2)
			perm |= IOMMU_FAULT_PERM_WRITE;
		if (exec)
			perm |= IOMMU_FAULT_PERM_EXEC;
		if (priv)
			perm |= IOMMU_FAULT_PERM_PRIV;
		intel_prq_decode(&req, &evt);
		KUNIT_EXPECT_EQ(test, evt.fault.prm.perm, perm);
	}
}

/* Bits 63:57 are whatever the device has sent; it is the handler's to refuse. */
static void address_is_read_to_the_last_bit(struct kunit *test)
{
	struct page_req_dsc req = { .qw = { VTD_REQ_0(VTD_RID, 1),
					    VTD_REQ_1(0xdead7fffffff7000, 0, VTD_R) } };
	struct iopf_fault evt;

	intel_prq_decode(&req, &evt);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.addr, 0xdead7fffffff7000);
}

static void request_without_pasid_has_none(struct kunit *test)
{
	struct page_req_dsc req = { .qw = { VTD_REQ_0(VTD_RID, 0xabcde) & ~BIT_ULL(8),
					    VTD_REQ_1(0, 0, VTD_R) } };
	struct iopf_fault evt;

	intel_prq_decode(&req, &evt);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.pasid, 0);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.flags, 0);
}

/* PCIe 6.0, section 10.4.1.2.1: last, and neither read nor write */
static void only_lrw_100_is_a_stop_marker(struct kunit *test)
{
	struct page_req_dsc req = { .qw = { VTD_REQ_0(VTD_RID, 1) } };

	for (unsigned int bits = 0; bits < 8; bits++) {
		req.qw[1] = VTD_REQ_1(0x1000, 7, bits);
		KUNIT_EXPECT_EQ(test, intel_prq_is_stop_marker(&req), bits == VTD_L);
	}
}

/* Writing responses */

KUNIT_ARRAY_PARAM(vtd_code, backend_codes, backend_code_desc);

static void response_descriptor_has_the_code_of_pcie(struct kunit *test)
{
	const struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		.pasid = 0xabcde,
		.grpid = 0x1a5,
	};
	const struct backend_code *code = test->param_value;
	struct qi_desc desc;

	intel_prq_make_response(&desc, VTD_RID, &prm, code->core);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(3, 0), desc.qw0), VTD_RESPONSE);
	KUNIT_EXPECT_EQ(test, FIELD_GET(BIT_ULL(4), desc.qw0), 1);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(15, 12), desc.qw0), code->wire);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16), desc.qw0), VTD_RID);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc.qw0), 0xabcde);
	/* Nothing but the group: what old specifications had beside it is reserved. */
	KUNIT_EXPECT_EQ(test, desc.qw1, 0x1a5 << 3);
	KUNIT_EXPECT_EQ(test, desc.qw2 | desc.qw3, 0);
}

static void response_without_pasid_names_none(struct kunit *test)
{
	const struct iommu_fault_page_request prm = { .pasid = 0xabcde, .grpid = 0x1ff };
	struct qi_desc desc;

	intel_prq_make_response(&desc, VTD_RID, &prm, QI_RESP_INVALID);
	KUNIT_EXPECT_EQ(test, desc.qw0, 9 | 1 << 12 | VTD_RID << 16);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(11, 3), desc.qw1), 0x1ff);
}

/* The ring */

static void request_is_served_and_answered_with_its_names(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	const struct qi_desc *desc;

	vtd_attach_plain(vtd);
	vtd_push_group(vtd, 0x155);
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 1);
	vtd_expect_response(vtd, 0, 0x155, 0);
	desc = &vtd_find(vtd, VTD_RESPONSE, 0)->desc;
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16), desc->qw0), VTD_RID);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc->qw0), VTD_PASID);
	vtd_detach_plain(vtd);
}

/* Answers to many groups: in order, and waited for once for as many as there is room. */
static void answers_to_many_groups_share_a_submission(struct kunit *test)
{
	struct iopf_response *responses;
	struct iopf_fault *last;
	struct vtd *vtd = test->priv;
	const unsigned int nr = PRQ_MAX_RESPONSES + 3;

	responses = kunit_kcalloc(test, nr, sizeof(*responses), GFP_KERNEL);
	last = kunit_kcalloc(test, nr, sizeof(*last), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, responses && last);
	for (unsigned int i = 0; i < nr; i++) {
		last[i].fault.prm.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
		last[i].fault.prm.pasid = VTD_PASID + i;
		last[i].fault.prm.grpid = 0x100 + i;
		responses[i].last = &last[i];
		responses[i].resp.code = i & 1 ? IOMMU_PAGE_RESP_INVALID : IOMMU_PAGE_RESP_SUCCESS;
	}

	intel_iommu_page_responses(&vtd->dev[0]->pdev.dev, responses, nr);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), nr);
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), 2);
	KUNIT_EXPECT_EQ(test, vtd->events[PRQ_MAX_RESPONSES].kind, VTD_SUBMITTED);
	for (unsigned int i = 0; i < nr; i++) {
		const struct qi_desc *desc = &vtd_find(vtd, VTD_RESPONSE, i)->desc;

		vtd_expect_response(vtd, i, 0x100 + i, i & 1);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc->qw0), VTD_PASID + i);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16), desc->qw0), VTD_RID);
	}
}

static void failure_leaves_as_fifteen(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd->plain.answer = IOMMU_PAGE_RESP_FAILURE;
	vtd_push_group(vtd, 1);
	vtd_interrupt(vtd);
	vtd_expect_response(vtd, 0, 1, 15);
	vtd_detach_plain(vtd);
}

static void stop_marker_is_not_answered(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID), VTD_REQ_1(0, 3, VTD_L));
	/* Nor is one of an unknown device or PASID. */
	vtd_push(vtd, VTD_REQ_0(0x9999, VTD_PASID), VTD_REQ_1(0, 3, VTD_L));
	vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID) & ~BIT_ULL(8), VTD_REQ_1(0, 3, VTD_L));
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 0);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 0);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQH_REG), *vtd_reg64(vtd, DMAR_PQT_REG));
	vtd_detach_plain(vtd);
}

static void request_of_an_unknown_device_is_refused(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_push(vtd, VTD_REQ_0(0x9999, VTD_PASID), VTD_REQ_1(0x1000, 4, VTD_R));
	vtd_push(vtd, VTD_REQ_0(0x9999, VTD_PASID), VTD_REQ_1(0x2000, 4, VTD_R | VTD_L));
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 1);
	vtd_expect_response(vtd, 0, 4, 1);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16),
					vtd_find(vtd, VTD_RESPONSE, 0)->desc.qw0), 0x9999);
}

static void request_without_pasid_is_refused_without(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID) & ~BIT_ULL(8),
		 VTD_REQ_1(0x1000, 5, VTD_R | VTD_L));
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 0);
	vtd_expect_response(vtd, 0, 5, 1);
	KUNIT_EXPECT_FALSE(test, vtd_find(vtd, VTD_RESPONSE, 0)->desc.qw0 & BIT_ULL(4));
	vtd_detach_plain(vtd);
}

static void request_for_an_unbound_pasid_is_refused(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_push_group(vtd, 6);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 0);
	vtd_expect_response(vtd, 0, 6, 1);
}

static void vtd_send_group(struct kunit *test, unsigned int prg)
{
	vtd_push_group(test->priv, prg);
}

static void vtd_handle_interrupt(struct kunit *test)
{
	vtd_interrupt(test->priv);
}

/* Its release waits for the report, not only for the look-up. */
static void device_stays_from_look_up_to_report(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	backend_expect_to_stay(test, &vtd->plain, &vtd->hw->iopf_lock, vtd_send_group,
			       vtd_handle_interrupt);
	vtd_detach_plain(vtd);
}

static void non_canonical_address_reaches_the_handler_whole(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID),
		 VTD_REQ_1(0x8000000000001000, 7, VTD_R | VTD_L));
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->plain.last.addr, 0x8000000000001000);
	vtd_detach_plain(vtd);
}

/**
 * struct vtd_bad - a kind of request that a user can make a device send by the million
 * @name: of the kind
 * @flip: bits of the first word that differ from those of a good request
 * @addr: its address
 * @code: the answer
 */
struct vtd_bad {
	const char *name;
	u64 flip;
	u64 addr;
	unsigned int code;
};

static const struct vtd_bad vtd_bad_ones[] = {
	{ "without a PASID", BIT_ULL(8), 0x1000, 1 },
	{ "of an unknown function", BIT_ULL(30), 0x1000, 1 },
	{ "for an unbound PASID", BIT_ULL(32), 0x1000, 1 },
	{ "with an address that is not canonical", 0, 0x8000000000001000, 0 },
	{ "with privilege", BIT_ULL(53), 0x1000, 0 },
	{ "to execute", BIT_ULL(52), 0x1000, 0 },
	{ "with privilege to execute", BIT_ULL(52) | BIT_ULL(53), 0x1000, 0 },
};

KUNIT_ARRAY_PARAM_DESC(vtd_bad, vtd_bad_ones, name);

#define VTD_BAD_ONES	1000

static void bad_requests_leave_a_bounded_log(struct kunit *test)
{
	const struct vtd_bad *bad = test->param_value;
	unsigned long start = jiffies;
	struct vtd *vtd = test->priv;
	u64 before = backend_log_records();

	vtd_attach_plain(vtd);
	for (unsigned int i = 0; i < VTD_BAD_ONES; i++) {
		vtd->nr = 0;
		vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID) ^ bad->flip,
			 VTD_REQ_1(bad->addr, i % 512, VTD_R | VTD_L));
		vtd_interrupt(vtd);
		KUNIT_ASSERT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 1);
		vtd_expect_response(vtd, 0, i % 512, bad->code);
	}
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, bad->code ? 0 : VTD_BAD_ONES);
	KUNIT_EXPECT_LE(test, backend_log_records() - before, backend_max_records(start));
	vtd_detach_plain(vtd);
}

static void lines_about_a_bad_device_leave_room_for_others(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	u64 before;

	for (unsigned int i = 0; i < 100; i++) {
		vtd->nr = 0;
		vtd_push(vtd, VTD_REQ_0(VTD_RID, 0) & ~BIT_ULL(8),
			 VTD_REQ_1(0x1000, i, VTD_R | VTD_L));
		vtd_interrupt(vtd);
	}
	before = backend_log_records();
	vtd_push(vtd, VTD_REQ_0(VTD_RID_1, 0) & ~BIT_ULL(8), VTD_REQ_1(0x1000, 0, VTD_R | VTD_L));
	vtd_interrupt(vtd);
	KUNIT_EXPECT_GT(test, backend_log_records(), before);
}

static void spurious_interrupt_is_not_handled(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_NONE);
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_seq_number, 0);
}

/* What comes after the tail was read raises the interrupt again. */
static void pending_bit_is_cleared_before_the_ring_is_read(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_push_group(vtd, 1);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->events[0].kind, VTD_CLEAR);
	KUNIT_EXPECT_EQ(test, vtd->events[0].bits, DMA_PRS_PPR);
	vtd_detach_plain(vtd);
}

static void ring_is_walked_in_order_and_around_its_end(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	unsigned int n = 0;

	vtd_attach_plain(vtd);
	for (unsigned int turn = 0; turn < 11; turn++) {
		vtd->nr = 0;
		for (unsigned int i = 0; i < 200; i++)
			vtd_push_group(vtd, i);
		vtd_interrupt(vtd);
		n += 200;
		for (unsigned int i = 0; i < 200; i++)
			vtd_expect_response(vtd, i, i, 0);
		KUNIT_ASSERT_EQ(test, vtd->hw->prq_seq_number, n);
		KUNIT_ASSERT_EQ(test, *vtd_reg64(vtd, DMAR_PQH_REG), n % PRQ_ENTRIES * 32);
	}
	KUNIT_EXPECT_GT(test, n, PRQ_ENTRIES);
	vtd_detach_plain(vtd);
}

static void vtd_fill_as_long_as_it_is_emptied(struct vtd *vtd, unsigned long options)
{
	if (vtd->plain.groups < 5)
		vtd_push_group(vtd, vtd->plain.groups);
}

/* Checked by vtd_clear_status(), too. */
static void overflow_is_cleared_when_the_ring_is_empty(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	const struct vtd_event *last;

	vtd_attach_plain(vtd);
	vtd_push_group(vtd, 0);
	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	vtd->on_submit = vtd_fill_as_long_as_it_is_emptied;
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	last = &vtd->events[vtd->nr - 1];
	KUNIT_EXPECT_EQ(test, last->kind, VTD_CLEAR);
	KUNIT_EXPECT_EQ(test, last->bits, DMA_PRS_PRO);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 5);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 5);
	vtd_detach_plain(vtd);
}

static void overflow_of_an_empty_ring_is_handled(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, *vtd_reg(vtd, DMAR_PRS_REG), 0);
}

/* A thread that waits for the bit is woken afterwards, and reads it on another CPU. */
static void overflow_has_been_cleared_when_a_drain_is_woken(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->posted & DMA_PRS_PRO, 0);
	KUNIT_EXPECT_EQ(test, *vtd_reg(vtd, DMAR_PRS_REG), 0);
}

/* A count that a drain waits for: less than a ring ahead, at that index; also when counts wrap. */
static void count_of_an_index_is_less_than_a_ring_ahead(struct kunit *test)
{
	struct rnd_state rnd;

	prandom_seed_state(&rnd, VTD_SEED);
	for (unsigned int i = 0; i < 10000; i++) {
		unsigned long seq = (unsigned long)prandom_u32_state(&rnd) << 32 |
				    prandom_u32_state(&rnd);
		unsigned long index = prandom_u32_state(&rnd) % PRQ_ENTRIES;
		unsigned long count;

		if (i % 4 == 0)
			seq = -(seq % PRQ_ENTRIES);
		count = intel_prq_count_at(seq, index);
		KUNIT_ASSERT_LT(test, count - seq, PRQ_ENTRIES);
		KUNIT_ASSERT_EQ(test, count % PRQ_ENTRIES, index);
	}
	KUNIT_EXPECT_EQ(test, intel_prq_count_at(7, 7), 7);
	KUNIT_EXPECT_EQ(test, intel_prq_count_at(7, 6), 7 + PRQ_ENTRIES - 1);
}

/* Refused DMA */

static u64 vtd_strays(struct vtd *vtd, unsigned int n)
{
	return backend_strays(vtd->test, &vtd->dev[n]->pdev.dev);
}

static void dma_with_a_pasid_that_is_not_bound_is_counted(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	intel_prq_dma_fault(vtd->hw, VTD_RID, VTD_PASID, 0x1000);
	intel_prq_flush_dma_faults();
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0), 1);
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 1), 0);
}

/* It went to a wrong address: the process's mistake, not the driver's. */
static void dma_with_a_bound_pasid_is_no_stray(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	intel_prq_dma_fault(vtd->hw, VTD_RID, VTD_PASID, 0x1000);
	intel_prq_flush_dma_faults();
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0), 0);
	vtd_detach_plain(vtd);
}

static void dma_of_an_unknown_function_is_nobodys(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	intel_prq_dma_fault(vtd->hw, VTD_RID ^ 0x4000, VTD_PASID, 0x1000);
	intel_prq_flush_dma_faults();
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0) + vtd_strays(vtd, 1), 0);
}

/* A PASID for the kernel's own DMA: its driver keeps no handle. What is refused is its mistake. */
static void pasid_attached_without_a_handle_is_no_stray(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct device *dev;

	dev = &vtd->dev[0]->pdev.dev;
	KUNIT_ASSERT_EQ(test, 0,
			iommu_attach_device_pasid(&vtd->plain.domain, dev, VTD_PASID, NULL));
	intel_prq_dma_fault(vtd->hw, VTD_RID, VTD_PASID, 0x1000);
	intel_prq_flush_dma_faults();
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0), 0);
	/* No handler serves its page requests. */
	vtd_push_group(vtd, 8);
	vtd_interrupt(vtd);
	vtd_expect_response(vtd, 0, 8, 1);
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0), 0);
	vtd_detach_plain(vtd);

	intel_prq_dma_fault(vtd->hw, VTD_RID, VTD_PASID, 0x1000);
	intel_prq_flush_dma_faults();
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0), 1);
}

static struct kunit_case intel_prq_cases[] = {
	KUNIT_CASE(each_field_of_a_request_is_read),
	KUNIT_CASE(each_permission_is_its_own),
	KUNIT_CASE(address_is_read_to_the_last_bit),
	KUNIT_CASE(request_without_pasid_has_none),
	KUNIT_CASE(only_lrw_100_is_a_stop_marker),
	KUNIT_CASE_PARAM(response_descriptor_has_the_code_of_pcie, vtd_code_gen_params),
	KUNIT_CASE(response_without_pasid_names_none),
	KUNIT_CASE(answers_to_many_groups_share_a_submission),
	KUNIT_CASE(request_is_served_and_answered_with_its_names),
	KUNIT_CASE(failure_leaves_as_fifteen),
	KUNIT_CASE(stop_marker_is_not_answered),
	KUNIT_CASE(request_of_an_unknown_device_is_refused),
	KUNIT_CASE(request_without_pasid_is_refused_without),
	KUNIT_CASE(request_for_an_unbound_pasid_is_refused),
	KUNIT_CASE(non_canonical_address_reaches_the_handler_whole),
	KUNIT_CASE(device_stays_from_look_up_to_report),
	KUNIT_CASE_PARAM(bad_requests_leave_a_bounded_log, vtd_bad_gen_params),
	KUNIT_CASE(lines_about_a_bad_device_leave_room_for_others),
	KUNIT_CASE(spurious_interrupt_is_not_handled),
	KUNIT_CASE(pending_bit_is_cleared_before_the_ring_is_read),
	KUNIT_CASE(ring_is_walked_in_order_and_around_its_end),
	KUNIT_CASE(overflow_is_cleared_when_the_ring_is_empty),
	KUNIT_CASE(overflow_of_an_empty_ring_is_handled),
	KUNIT_CASE(overflow_has_been_cleared_when_a_drain_is_woken),
	KUNIT_CASE(count_of_an_index_is_less_than_a_ring_ahead),
	KUNIT_CASE(dma_with_a_pasid_that_is_not_bound_is_counted),
	KUNIT_CASE(dma_with_a_bound_pasid_is_no_stray),
	KUNIT_CASE(dma_of_an_unknown_function_is_nobodys),
	KUNIT_CASE(pasid_attached_without_a_handle_is_no_stray),
	{}
};

static struct kunit_suite intel_prq_suite = {
	.name = "intel_prq",
	.init = vtd_test_init,
	.exit = vtd_test_exit,
	.test_cases = intel_prq_cases,
};

kunit_test_suite(intel_prq_suite);
