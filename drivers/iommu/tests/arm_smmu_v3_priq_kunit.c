// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: page requests and their credits, and strays
 */
#include "arm_smmu_v3_kunit.h"
#include "map_touched.h"

/* Reading page requests */

static void each_field_of_a_request_is_read(struct kunit *test)
{
	u64 req[] = { REQ_0(SVA_SID, 0xabcde, REQ_SSV | REQ_LAST | REQ_R),
		      REQ_1(0x7f0000201000, 0x1a5) };
	struct iopf_fault evt;

	memset(&evt, 0xff, sizeof(evt));
	arm_smmu_decode_ppr(req, true, &evt);
	KUNIT_EXPECT_EQ(test, evt.fault.type, IOMMU_FAULT_PAGE_REQ);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.addr, 0x7f0000201000);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.grpid, 0x1a5);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.pasid, 0xabcde);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.perm, IOMMU_FAULT_PERM_READ);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.flags, IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
			IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID);
	arm_smmu_decode_ppr(req, false, &evt);
	KUNIT_EXPECT_FALSE(test, evt.fault.prm.flags & IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID);
}

static void each_permission_is_its_own(struct kunit *test)
{
	static const struct {
		u64 bit;
		u32 perm;
	} map[] = {
		{ REQ_R, IOMMU_FAULT_PERM_READ },
		{ REQ_W, IOMMU_FAULT_PERM_WRITE },
		{ REQ_X, IOMMU_FAULT_PERM_EXEC },
		{ REQ_PRIV, IOMMU_FAULT_PERM_PRIV },
	};

	for (unsigned int bits = 0; bits < 16; bits++) {
		u64 req[] = { REQ_0(SVA_SID, 1, REQ_SSV), 0 };
		struct iopf_fault evt;
		u32 perm = 0;

		for (unsigned int i = 0; i < 4; i++) {
			req[0] |= bits & BIT(i) ? map[i].bit : 0;
			perm |= bits & BIT(i) ? map[i].perm : 0;
		}
		arm_smmu_decode_ppr(req, true, &evt);
		KUNIT_EXPECT_EQ(test, evt.fault.prm.perm, perm);
	}
}

/* What the SubstreamID field holds then is unknown. */
static void request_without_pasid_has_none(struct kunit *test)
{
	u64 req[] = { REQ_0(SVA_SID, 0xabcde, REQ_R), 0 };
	struct iopf_fault evt;

	arm_smmu_decode_ppr(req, true, &evt);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.pasid, 0);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.flags, 0);
}

static void only_lrw_100_with_pasid_is_a_stop_marker(struct kunit *test)
{
	for (unsigned int bits = 0; bits < 16; bits++) {
		u64 req[] = { REQ_0(SVA_SID, 1, (u64)bits << 60), 0 };

		/* SSV, L, W, R */
		KUNIT_EXPECT_EQ(test, arm_smmu_is_stop_marker(req), bits == 0b1100);
	}
}

/* Answering them */

static const u32 smmu_codes[][2] = {
	{ IOMMU_PAGE_RESP_SUCCESS, 2 },
	{ IOMMU_PAGE_RESP_INVALID, 1 },
	{ IOMMU_PAGE_RESP_FAILURE, 0 },
};

static void smmu_code_desc(const u32 (*code)[2], char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "code %u", (*code)[0]);
}

KUNIT_ARRAY_PARAM(smmu_code, smmu_codes, smmu_code_desc);

static void response_has_the_code_of_the_architecture(struct kunit *test)
{
	const struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID,
		.pasid = 0xabcde,
		.grpid = 0x1a5,
	};
	const u32 *code = test->param_value;
	struct smmu_test *t = test->priv;
	struct arm_smmu_cmdq_ent ent;
	struct smmu_cmd cmd;

	arm_smmu_make_pri_resp(&ent, SVA_SID, &prm, code[0]);
	arm_smmu_cmdq_issue_cmd(t->smmu, &ent);
	cmd = expect_cmd(t, OP_PRI_RESP);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(13, 12), cmd.w[1]), code[1]);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(8, 0), cmd.w[1]), 0x1a5);
	KUNIT_EXPECT_EQ(test, cmd_sid(&cmd), SVA_SID);
	KUNIT_EXPECT_EQ(test, cmd_ssid(&cmd), 0xabcde);
	KUNIT_EXPECT_TRUE(test, cmd_has_ssid(&cmd));
	expect_no_cmd(t);
}

/* PCIe 6.0, section 10.5.2.3: the function says whether it expects one. */
static void response_carries_a_pasid_only_if_required(struct kunit *test)
{
	const struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		.pasid = 0xabcde,
	};
	struct smmu_test *t = test->priv;
	struct arm_smmu_cmdq_ent ent;
	struct smmu_cmd cmd;

	arm_smmu_make_pri_resp(&ent, SVA_SID, &prm, IOMMU_PAGE_RESP_SUCCESS);
	arm_smmu_cmdq_issue_cmd(t->smmu, &ent);
	cmd = expect_cmd(t, OP_PRI_RESP);
	KUNIT_EXPECT_FALSE(test, cmd_has_ssid(&cmd));
	KUNIT_EXPECT_EQ(test, cmd_ssid(&cmd), 0);
}

/* The queue */

static void request_is_served_and_answered_with_its_names(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_plain(t);
	t->fn[0]->master.prg_needs_pasid = true;
	push_last(t, 0x155);
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->plain.groups, 1);
	cmd = expect_cmd(t, OP_PRI_RESP);
	KUNIT_EXPECT_EQ(test, cmd_sid(&cmd), SVA_SID);
	KUNIT_EXPECT_EQ(test, cmd_ssid(&cmd), SVA_SSID);
	KUNIT_EXPECT_TRUE(test, cmd_has_ssid(&cmd));
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(8, 0), cmd.w[1]), 0x155);
	expect_no_cmd(t);
	detach_plain(t);
}

static void stop_marker_is_not_answered(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	push_request(t, REQ_0(SVA_SID, SVA_SSID, REQ_SSV | REQ_LAST), 3);
	/* Nor is one of an unknown stream. */
	push_request(t, REQ_0(0x9999, SVA_SSID, REQ_SSV | REQ_LAST), 3);
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->plain.groups, 0);
	expect_no_cmd(t);
	detach_plain(t);
}

/* It looks like a stop marker, but those have a PASID. */
static void request_of_nothing_without_pasid_is_answered(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	push_request(t, REQ_0(SVA_SID, 0, REQ_LAST), 4);
	interrupt(t);
	expect_response(t, 4, 1);
	expect_no_cmd(t);
}

static void request_of_an_unknown_stream_is_refused_once(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	push_request(t, REQ_0(0x9999, SVA_SSID, REQ_SSV | REQ_R), REQ_1(0x1000, 4));
	push_request(t, REQ_0(0x9999, SVA_SSID, REQ_SSV | REQ_R | REQ_LAST), REQ_1(0x2000, 4));
	interrupt(t);
	expect_response(t, 4, 1);
	expect_no_cmd(t);
}

/* Its line may be the only hint at why it does not work. */
static void device_that_floods_the_log_does_not_silence_another(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct ratelimit_state *rs[2];

	for (unsigned int n = 0; n < 2; n++) {
		t->fn[n]->master.pri_capable = false;
		rs[n] = &t->fn[n]->master.lines[SMMU_LINE_STRANGER];
	}
	for (unsigned int i = 0; i < 2 * DEFAULT_RATELIMIT_BURST; i++) {
		push_last(t, i);
		interrupt(t);
	}
	push_request(t, REQ_0(SVA_SID + 1, SVA_SSID, REQ_SSV | REQ_LAST | REQ_R), REQ_1(0, 1));
	interrupt(t);
	KUNIT_EXPECT_GT(test, rs[0]->missed, 0);
	KUNIT_EXPECT_EQ(test, rs[1]->printed, 1);
	KUNIT_EXPECT_EQ(test, rs[1]->missed, 0);
}

static void request_for_an_unbound_pasid_is_refused(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	push_last(t, 6);
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->plain.groups, 0);
	expect_response(t, 6, 1);
	expect_no_cmd(t);
}

static void queue_is_read_in_order_and_around_its_end(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	unsigned int sent = 0, answered = 0;

	attach_plain(t);
	for (unsigned int turn = 0; turn < 11; turn++) {
		for (unsigned int n = 0; n < SVA_PRIQ_SIZE - turn % 3; n++)
			KUNIT_ASSERT_TRUE(test, push_last(t, sent++ % 512));
		interrupt(t);
		while (answered < sent)
			expect_response(t, answered++ % 512, 2);
		expect_no_cmd(t);
	}
	KUNIT_EXPECT_EQ(test, t->plain.groups, sent);
	KUNIT_EXPECT_EQ(test, t->smmu->priq.q.handled, sent);
	detach_plain(t);
}

/* An answer gives a credit back, for which there must be room: notes in chapter 8. */
static int smmu_answer_and_ask_again(struct iopf_group *group)
{
	struct smmu_test *t = container_of(to_backend_domain(group), struct smmu_test, plain);

	t->plain.groups++;
	if (t->plain.groups <= 3 * SVA_PRIQ_SIZE)
		KUNIT_EXPECT_TRUE(t->test, push_last(t, t->plain.groups % 512));
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
	return 0;
}

static void entry_has_left_the_queue_before_it_is_answered(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	t->plain.domain.iopf_handler = smmu_answer_and_ask_again;
	for (unsigned int n = 0; n < SVA_PRIQ_SIZE; n++)
		KUNIT_ASSERT_TRUE(test, push_last(t, n));
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->plain.groups, 4 * SVA_PRIQ_SIZE);
	KUNIT_EXPECT_FALSE(test, t->reg[1] & OVERFLOW);
	detach_plain(t);
}

static void overflow_is_acknowledged_when_the_queue_is_empty(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	for (unsigned int n = 0; n < SVA_PRIQ_SIZE; n++)
		KUNIT_ASSERT_TRUE(test, push_last(t, n));
	KUNIT_ASSERT_FALSE(test, push_last(t, 99));
	KUNIT_ASSERT_TRUE(test, t->reg[1] & OVERFLOW);
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->plain.groups, SVA_PRIQ_SIZE);
	/* What hardware has answered is not answered again. */
	for (unsigned int n = 0; n < SVA_PRIQ_SIZE; n++)
		expect_response(t, n, 2);
	expect_no_cmd(t);
	KUNIT_EXPECT_TRUE(test, push_last(t, 100));
	interrupt(t);
	expect_response(t, 100, 2);
	detach_plain(t);
}

static int smmu_expect_overflow(struct iopf_group *group)
{
	struct smmu_test *t = container_of(to_backend_domain(group), struct smmu_test, plain);

	t->plain.groups++;
	KUNIT_EXPECT_TRUE(t->test, (t->reg[1] ^ t->reg[2]) & OVERFLOW);
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
	return 0;
}

/* Hardware must not go on before the thread knows which groups have lost a page. */
static void overflow_is_pending_until_all_entries_are_reported(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	t->plain.domain.iopf_handler = smmu_expect_overflow;
	while (push_last(t, 1))
		;
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->plain.groups, SVA_PRIQ_SIZE);
	KUNIT_EXPECT_FALSE(test, (t->reg[1] ^ t->reg[2]) & OVERFLOW);
	detach_plain(t);
}

/* OVFLG and OVACKFLG are toggled, not set. */
static void second_overflow_is_seen_as_well(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	for (unsigned int turn = 0; turn < 4; turn++) {
		while (push_last(t, 1))
			;
		interrupt(t);
	}
	KUNIT_EXPECT_EQ(test, t->plain.groups, 4 * SVA_PRIQ_SIZE);
	detach_plain(t);
}

static void thread_without_requests_sends_nothing(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	interrupt(t);
	expect_no_cmd(t);
	KUNIT_EXPECT_EQ(test, t->smmu->priq.q.handled, 0);
}

static void interrupt_and_serve(struct smmu_test *t)
{
	interrupt(t);
	KUNIT_EXPECT_EQ(t->test, iopf_queue_flush_dev(&t->fn[0]->pdev.dev), 0);
}

/*
 * The last page of its group was lost; the device was told Success and uses the index again. The
 * partial asks for what is not there.
 */
static void partial_before_an_overflow_does_not_fail_a_later_group(struct kunit *test)
{
	unsigned long addr = map_touched(test, 1);
	struct smmu_test *t = test->priv;
	struct iommu_sva *sva = bind(t, 0);
	const u64 req = REQ_0(SVA_SID, iommu_sva_get_pasid(sva), REQ_SSV | REQ_R);

	push_request(t, req, REQ_1(0, 7));
	while (push_request(t, req | REQ_LAST, REQ_1(addr, 1)))
		;
	interrupt_and_serve(t);
	skip_cmds(t);
	push_request(t, req | REQ_LAST, REQ_1(addr, 7));
	interrupt_and_serve(t);
	expect_response(t, 7, 2);
	expect_no_cmd(t);
	/* Without an overflow it does. */
	push_request(t, req, REQ_1(0, 7));
	push_request(t, req | REQ_LAST, REQ_1(addr, 7));
	interrupt_and_serve(t);
	expect_response(t, 7, 1);
	iommu_sva_unbind_device(sva);
}

/* Credits */

/* Its registers say STOPPED, and all the credits that there can be. */
static void smmu_add_pri_registers(struct pci_dev *pdev)
{
	pdev->pri_cap = 0x240;
}

static int start_pri(struct smmu_test *t, unsigned int n)
{
	guard(mutex)(&t->fn[n]->master.lock);
	return arm_smmu_sva_start_pri(&t->fn[n]->master);
}

static void stop_pri(struct smmu_test *t, unsigned int n)
{
	guard(mutex)(&t->fn[n]->master.lock);
	arm_smmu_sva_stop_pri(&t->fn[n]->master);
}

/* However many it can use, and however large the queue */
static void device_gets_no_more_than_there_is_room_for(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *pdev = &t->fn[0]->pdev;

	smmu_forget_pri(t);
	smmu_add_pri_registers(pdev);
	t->smmu->priq.q.llq.max_n_shift = 19;
	KUNIT_EXPECT_EQ(test, start_pri(t, 0), 0);
	KUNIT_EXPECT_TRUE(test, pdev->pri_enabled);
	KUNIT_EXPECT_EQ(test, pdev->pri_reqs_alloc, 2048);
	stop_pri(t, 0);
	KUNIT_EXPECT_FALSE(test, pdev->pri_enabled);
	t->smmu->priq.q.llq.max_n_shift = SVA_PRIQ_SHIFT;
}

static void stalling_device_has_what_the_smmu_can_hold(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	t->smmu->evtq.max_stalls = 400;
	KUNIT_EXPECT_EQ(test, arm_smmu_sva_ops.max_requests(&t->fn[0]->pdev.dev), 0);
	KUNIT_EXPECT_FALSE(test, arm_smmu_sva_ops.stalls(&t->fn[0]->pdev.dev));
	master->stall_enabled = true;
	KUNIT_EXPECT_EQ(test, arm_smmu_sva_ops.max_requests(&t->fn[0]->pdev.dev), 400);
	KUNIT_EXPECT_TRUE(test, arm_smmu_sva_ops.stalls(&t->fn[0]->pdev.dev));
	master->stall_enabled = false;
}

/* It has no registers of its own, and its requests are those of its physical function. */
static void virtual_function_takes_no_credits_from_others(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *vf = &t->fn[0]->pdev, *pf = &t->fn[1]->pdev;
	u32 alone;

	smmu_forget_pri(t);
	t->smmu->priq.q.llq.max_n_shift = 9;
	smmu_add_pri_registers(pf);
	KUNIT_EXPECT_EQ(test, start_pri(t, 1), 0);
	alone = pf->pri_reqs_alloc;
	stop_pri(t, 1);

	vf->is_virtfn = true;
	vf->physfn = pf;
	pf->pri_enabled = true;
	KUNIT_EXPECT_EQ(test, start_pri(t, 0), 0);
	KUNIT_EXPECT_TRUE(test, t->fn[0]->master.pri_enabled);
	pf->pri_enabled = false;
	KUNIT_EXPECT_EQ(test, start_pri(t, 1), 0);
	KUNIT_EXPECT_EQ(test, pf->pri_reqs_alloc, alone);
	stop_pri(t, 1);
	stop_pri(t, 0);
	vf->is_virtfn = false;
	t->smmu->priq.q.llq.max_n_shift = SVA_PRIQ_SHIFT;
}

static void virtual_function_needs_page_requests_of_its_physical_one(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *vf = &t->fn[0]->pdev;

	smmu_forget_pri(t);
	vf->is_virtfn = true;
	vf->physfn = &t->fn[1]->pdev;
	KUNIT_EXPECT_NE(test, start_pri(t, 0), 0);
	KUNIT_EXPECT_FALSE(test, t->fn[0]->master.pri_enabled);
	vf->is_virtfn = false;
}

/* Strays */

/* An event, chapter 7 */
#define EVT_BAD_SUBSTREAMID	0x08
#define EVT_CD_FETCH		0x09
#define EVT_BAD_CD		0x0a
#define EVT_WALK_EABT		0x0b
#define EVT_TRANSLATION		0x10
#define EVT_ADDR_SIZE		0x11
#define EVT_ACCESS		0x12
#define EVT_PERMISSION		0x13
#define EVT_SSV			BIT_ULL(11)

/*
 * Of a transaction that was refused for want of a CD, or by the process's tables. Nothing is bound
 * here: each that is reported is a stray. Events without a PASID say nothing about who is bound,
 * and of what the SMMU could not read in memory the device is innocent.
 */
static void refused_transactions_with_a_pasid_are_reported(struct kunit *test)
{
	const u64 name = (u64)SVA_SID << 32 | SVA_SSID << 12;
	const struct {
		u64 evt[3];
		u64 strays;
	} cases[] = {
		{ { name | EVT_SSV | EVT_BAD_SUBSTREAMID }, 1 },
		{ { name | EVT_SSV | EVT_BAD_CD }, 1 },
		{ { name | EVT_BAD_SUBSTREAMID }, 0 },
		{ { name | EVT_SSV | EVT_TRANSLATION }, 1 },
		{ { name | EVT_SSV | EVT_ADDR_SIZE }, 1 },
		{ { name | EVT_SSV | EVT_ACCESS }, 1 },
		{ { name | EVT_SSV | EVT_PERMISSION }, 1 },
		{ { name | EVT_TRANSLATION }, 0 },
		{ { name | EVT_SSV | EVT_CD_FETCH }, 0 },
		{ { name | EVT_SSV | EVT_WALK_EABT }, 0 },
		{ { (name ^ 0x9999ULL << 32) | EVT_SSV | EVT_BAD_CD }, 0 },
	};
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;
	u64 before[IOPF_NR_COUNTS], after[IOPF_NR_COUNTS];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_ASSERT_EQ(test, iopf_read_counts(dev, before), 0);
		arm_smmu_sva_event(t->smmu, cases[i].evt);
		KUNIT_ASSERT_EQ(test, iopf_read_counts(dev, after), 0);
		KUNIT_EXPECT_EQ_MSG(test, after[IOPF_STRAY] - before[IOPF_STRAY], cases[i].strays,
				    "event %u", i);
	}
}

static struct kunit_case arm_smmu_v3_priq_cases[] = {
	KUNIT_CASE(each_field_of_a_request_is_read),
	KUNIT_CASE(each_permission_is_its_own),
	KUNIT_CASE(request_without_pasid_has_none),
	KUNIT_CASE(only_lrw_100_with_pasid_is_a_stop_marker),
	KUNIT_CASE_PARAM(response_has_the_code_of_the_architecture, smmu_code_gen_params),
	KUNIT_CASE(response_carries_a_pasid_only_if_required),
	KUNIT_CASE(request_is_served_and_answered_with_its_names),
	KUNIT_CASE(stop_marker_is_not_answered),
	KUNIT_CASE(request_of_nothing_without_pasid_is_answered),
	KUNIT_CASE(request_of_an_unknown_stream_is_refused_once),
	KUNIT_CASE(device_that_floods_the_log_does_not_silence_another),
	KUNIT_CASE(request_for_an_unbound_pasid_is_refused),
	KUNIT_CASE(queue_is_read_in_order_and_around_its_end),
	KUNIT_CASE(entry_has_left_the_queue_before_it_is_answered),
	KUNIT_CASE(overflow_is_acknowledged_when_the_queue_is_empty),
	KUNIT_CASE(overflow_is_pending_until_all_entries_are_reported),
	KUNIT_CASE(second_overflow_is_seen_as_well),
	KUNIT_CASE(thread_without_requests_sends_nothing),
	KUNIT_CASE(device_gets_no_more_than_there_is_room_for),
	KUNIT_CASE(stalling_device_has_what_the_smmu_can_hold),
	KUNIT_CASE(virtual_function_takes_no_credits_from_others),
	KUNIT_CASE(virtual_function_needs_page_requests_of_its_physical_one),
	KUNIT_CASE(refused_transactions_with_a_pasid_are_reported),
	KUNIT_CASE(partial_before_an_overflow_does_not_fail_a_later_group),
	{}
};

static struct kunit_suite arm_smmu_v3_priq_suite = {
	.name = "arm_smmu_v3_priq",
	.init = smmu_test_init,
	.exit = smmu_test_exit,
	.test_cases = arm_smmu_v3_priq_cases,
};

kunit_test_suite(arm_smmu_v3_priq_suite);
