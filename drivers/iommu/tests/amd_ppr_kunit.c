// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD's back-end of the SVA core: page requests, their responses, and the PPR log
 */
#include <kunit/static_stub.h>

#include "../iopf-priv.h"
#include "amd_kunit.h"
#include "map_touched.h"

/* Reading entries of the log (2.6.1) */

static void each_field_of_a_request_is_read(struct kunit *test)
{
	const u64 req[2] = {
		amdvi_ppr_0(amdvi_devid(0), 0xabcde, 0x1a5 | AMDVI_LAST,
			    AMDVI_R | AMDVI_US | AMDVI_GN), 0x7f0000201000,
	};
	struct iopf_fault evt;

	memset(&evt, 0xff, sizeof(evt));
	amd_ppr_decode(req, true, &evt);
	KUNIT_EXPECT_EQ(test, evt.fault.type, IOMMU_FAULT_PAGE_REQ);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.addr, 0x7f0000201000);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.grpid, 0x1a5);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.pasid, 0xabcde);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.perm, IOMMU_FAULT_PERM_READ);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.flags, IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
			IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID);
}

/* Not every function wants its PASID in a response: PCIe 6.0, section 10.5.2.3. */
static void response_has_a_pasid_if_the_device_wants_it(struct kunit *test)
{
	const u64 req[2] = { amdvi_ppr_0(1, 5, AMDVI_LAST, AMDVI_R | AMDVI_US | AMDVI_GN), 0 };
	struct amdvi_event event;
	struct amd_sva_cmd cmd;
	struct iopf_fault evt;

	amd_ppr_decode(req, false, &evt);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.flags, IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
			IOMMU_FAULT_PAGE_REQUEST_PASID_VALID);
	amd_ppr_make_response(&cmd, 1, &evt.fault.prm, IOMMU_PAGE_RESP_SUCCESS);
	amdvi_read_cmd(&cmd, &event);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_pasid(&event), IOMMU_PASID_INVALID);
	KUNIT_EXPECT_EQ(test, event.qw[0], 7ULL << 60 | 1);
}

static void each_permission_is_its_own(struct kunit *test)
{
	for (unsigned int bits = 0; bits < 16; bits++) {
		u16 flags = AMDVI_GN;
		u32 perm = 0;
		struct iopf_fault evt;
		u64 req[2] = {};

		if (bits & 1) {
			flags |= AMDVI_R;
			perm |= IOMMU_FAULT_PERM_READ;
		}
		if (bits & 2) {
			flags |= AMDVI_W;
			perm |= IOMMU_FAULT_PERM_WRITE;
		}
		if (bits & 4) {
			flags |= AMDVI_X;
			perm |= IOMMU_FAULT_PERM_EXEC;
		}
		/* The bit says that it is a user's request. */
		if (bits & 8)
			flags |= AMDVI_US;
		else
			perm |= IOMMU_FAULT_PERM_PRIV;
		req[0] = amdvi_ppr_0(1, 1, 0, flags);
		amd_ppr_decode(req, true, &evt);
		KUNIT_EXPECT_EQ(test, evt.fault.prm.perm, perm);
	}
}

/* Bits 63:57 are whatever the device has sent; it is the handler's to refuse. */
static void address_is_read_to_the_last_bit(struct kunit *test)
{
	const u64 req[2] = { amdvi_ppr_0(1, 1, 0, AMDVI_R | AMDVI_US | AMDVI_GN),
			     0xdead7fffffff7000 };
	struct iopf_fault evt;

	amd_ppr_decode(req, true, &evt);
	KUNIT_EXPECT_EQ(test, evt.fault.prm.addr, 0xdead7fffffff7000);
}

/* PCIe 6.0, section 10.4.1.2.1: last, and neither read nor write */
static void only_lrw_100_is_a_stop_marker(struct kunit *test)
{
	for (unsigned int bits = 0; bits < 8; bits++) {
		const u64 req[2] = {
			amdvi_ppr_0(1, 1, 7 | (bits & 4 ? AMDVI_LAST : 0), AMDVI_GN | AMDVI_US |
				    (bits & 1 ? AMDVI_R : 0) | (bits & 2 ? AMDVI_W : 0)), 0x1000,
		};

		KUNIT_EXPECT_EQ(test, amd_ppr_is_stop_marker(req), bits == 4);
	}
}

/* Writing responses (2.4.7) */

KUNIT_ARRAY_PARAM(amdvi_code, backend_codes, backend_code_desc);

static void response_command_has_the_code_of_pcie(struct kunit *test)
{
	const struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			 IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID,
		.pasid = 0xabcde,
		.grpid = 0x1a5,
	};
	const struct backend_code *code = test->param_value;
	struct amdvi_event event;
	struct amd_sva_cmd cmd;

	memset(&cmd, 0xff, sizeof(cmd));
	amd_ppr_make_response(&cmd, amdvi_devid(0), &prm, code->core);
	amdvi_read_cmd(&cmd, &event);
	KUNIT_EXPECT_EQ(test, event.qw[0], 7ULL << 60 | 0xabcdeULL << 32 | amdvi_devid(0));
	KUNIT_EXPECT_EQ(test, event.qw[1], (u64)code->wire << 44 | 0x1a5ULL << 32 | BIT(2));
}

/* The log */

static void request_is_served_and_answered_with_its_names(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	const struct amdvi_event *event;

	amdvi_attach_plain(vi);
	amdvi_push_group(vi, 0x155);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 1);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 1);
	amdvi_expect_response(vi, 0, 0x155, 0);
	event = amdvi_find(vi, AMDVI_RESPONSE, 0);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(event), amdvi_devid(0));
	KUNIT_EXPECT_EQ(test, amdvi_cmd_pasid(event), AMDVI_PASID);
	amdvi_detach_plain(vi);
}

/* One answer for a group of several pages, which comes with the last of them */
static void group_is_complete_with_its_last_page(struct kunit *test)
{
	const u16 flags = AMDVI_R | AMDVI_US | AMDVI_GN;
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	for (unsigned int i = 0; i < 3; i++)
		amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 9, flags), i << 12);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 0);
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 9 | AMDVI_LAST, flags), 3 << 12);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 1);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 1);
	amdvi_expect_response(vi, 0, 9, 0);
	amdvi_detach_plain(vi);
}

/* Answers to many groups: in order, in as few submissions as there is room for */
static void answers_to_many_groups_share_a_submission(struct kunit *test)
{
	const unsigned int nr = AMD_SVA_BATCH + 3;
	struct iopf_response *responses;
	struct amdvi *vi = test->priv;
	unsigned int submissions = 0;
	struct iopf_fault *last;

	responses = kunit_kcalloc(test, nr, sizeof(*responses), GFP_KERNEL);
	last = kunit_kcalloc(test, nr, sizeof(*last), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, responses && last);
	for (unsigned int i = 0; i < nr; i++) {
		last[i].fault.prm.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
					  IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
		last[i].fault.prm.pasid = AMDVI_PASID + i;
		last[i].fault.prm.grpid = 0x100 + i;
		responses[i].last = &last[i];
		responses[i].resp.code = i & 1 ? IOMMU_PAGE_RESP_INVALID : IOMMU_PAGE_RESP_SUCCESS;
	}

	amd_ppr_page_responses(&vi->dev[0]->pdev.dev, responses, nr);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), nr);
	for (unsigned int i = 0; i < vi->nr; i++)
		submissions += vi->events[i].kind == AMDVI_SUBMITTED;
	KUNIT_EXPECT_EQ(test, submissions, 2);
	for (unsigned int i = 0; i < nr; i++) {
		const struct amdvi_event *event = amdvi_find(vi, AMDVI_RESPONSE, i);

		amdvi_expect_response(vi, i, 0x100 + i, i & 1);
		KUNIT_EXPECT_EQ(test, amdvi_cmd_pasid(event), AMDVI_PASID + i);
		KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(event), amdvi_devid(0));
	}
}

static void failure_leaves_as_fifteen(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	vi->plain.answer = IOMMU_PAGE_RESP_FAILURE;
	amdvi_push_group(vi, 1);
	amdvi_interrupt(vi);
	amdvi_expect_response(vi, 0, 1, 15);
	amdvi_detach_plain(vi);
}

static void non_canonical_address_reaches_the_handler_whole(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 7 | AMDVI_LAST,
				   AMDVI_R | AMDVI_US | AMDVI_GN), 0x8000000000001000);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.last.addr, 0x8000000000001000);
	amdvi_detach_plain(vi);
}

static void log_is_walked_in_order_and_around_its_end(struct kunit *test)
{
	const unsigned int entries = amd_iommu_pprlog_size / PPRLOG_ENTRY_SIZE;
	struct amdvi *vi = test->priv;
	unsigned int n = 0;

	amdvi_attach_plain(vi);
	while (n <= 2 * entries) {
		vi->nr = 0;
		for (unsigned int i = 0; i < 200; i++)
			amdvi_push_group(vi, i);
		amdvi_interrupt(vi);
		n += 200;
		for (unsigned int i = 0; i < 200; i++)
			amdvi_expect_response(vi, i, i, 0);
		KUNIT_ASSERT_EQ(test, *amdvi_reg(vi, MMIO_PPR_HEAD_OFFSET),
				n % entries * PPRLOG_ENTRY_SIZE);
	}
	amdvi_detach_plain(vi);
}

static void spurious_interrupt_does_nothing(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
	KUNIT_EXPECT_EQ(test, *amdvi_reg(vi, MMIO_PPR_HEAD_OFFSET), 0);
}

/* An entry may come later than the interrupt: what is of type 0 is not there yet (erratum 733). */
#define AMDVI_LATE	3

/* Hardware takes so many delays, whatever the time. */
static void amdvi_write_late(unsigned int us)
{
	struct amdvi *vi = kunit_get_current_test()->priv;

	if (++vi->looks == AMDVI_LATE)
		*(u64 *)vi->hw->ppr_log = amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 3 | AMDVI_LAST,
						      AMDVI_R | AMDVI_US | AMDVI_GN);
}

static void late_entry_is_waited_for(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	kunit_activate_static_stub(test, amd_sva_delay, amdvi_write_late);
	amdvi_attach_plain(vi);
	amdvi_push(vi, 0, 0x1000);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->looks, AMDVI_LATE);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 1);
	amdvi_expect_response(vi, 0, 3, 0);
	amdvi_detach_plain(vi);
}

/* So it must not be mistaken for one that was there a turn before. */
static void entry_is_cleared_before_hardware_may_write_it_again(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	for (unsigned int i = 0; i < 20; i++)
		amdvi_push_group(vi, i);
	amdvi_interrupt(vi);
	for (unsigned int i = 0; i < 20 * PPRLOG_ENTRY_SIZE / sizeof(u64); i++)
		KUNIT_EXPECT_EQ(test, ((u64 *)vi->hw->ppr_log)[i], 0);
	amdvi_detach_plain(vi);
}

static void amdvi_send_group(struct kunit *test, unsigned int prg)
{
	amdvi_push_group(test->priv, prg);
}

static void amdvi_handle_interrupt(struct kunit *test)
{
	amdvi_interrupt(test->priv);
}

/* Its release waits for the report, not only for the look-up. */
static void device_stays_from_look_up_to_report(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	backend_expect_to_stay(test, &vi->plain, &vi->hw->sva->lock, amdvi_send_group,
			       amdvi_handle_interrupt);
	amdvi_detach_plain(vi);
}

/* Requests that can't be served */

static void stop_marker_is_not_answered(struct kunit *test)
{
	const u16 flags = AMDVI_US | AMDVI_GN;
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 3 | AMDVI_LAST, flags), 0);
	/* Nor is one of an unknown device. */
	amdvi_push(vi, amdvi_ppr_0(0x9999, AMDVI_PASID, 3 | AMDVI_LAST, flags), 0);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 0);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 0);
	KUNIT_EXPECT_EQ(test, *amdvi_reg(vi, MMIO_PPR_HEAD_OFFSET),
			*amdvi_reg(vi, MMIO_PPR_TAIL_OFFSET));
	amdvi_detach_plain(vi);
}

/**
 * struct amdvi_bad - a kind of request that is refused, or that its handler has to look at
 * @name: of the kind
 * @flip: bits of the first word that differ from those of a good request
 * @addr: its address
 * @answered: hardware is told
 * @code: with this code
 * @served: it is the handler's
 */
struct amdvi_bad {
	const char *name;
	u64 flip;
	u64 addr;
	bool answered;
	unsigned int code;
	bool served;
};

static const struct amdvi_bad amdvi_bad_ones[] = {
	{ "of an unknown function", BIT_ULL(14), 0x1000, true, 1 },
	{ "without a PASID", BIT_ULL(56), 0x1000, true, 1 },
	{ "for PASID 0", (u64)AMDVI_PASID << 16, 0x1000, true, 1 },
	{ "for an unbound PASID", BIT_ULL(16), 0x1000, true, 1 },
	{ "for a PASID beyond the device's", BIT_ULL(31), 0x1000, true, 1 },
	{ "for a PASID of 20 bits", BIT_ULL(45), 0x1000, true, 1 },
	{ "with reserved bits", BIT_ULL(55), 0x1000, true, 1 },
	{ "of an unknown type", BIT_ULL(63), 0x1000, false },
	{ "with an address that is not canonical", 0, 0x8000000000001000, true, 0, true },
	{ "with privilege", BIT_ULL(54), 0x1000, true, 0, true },
	{ "to execute", BIT_ULL(49), 0x1000, true, 0, true },
};

KUNIT_ARRAY_PARAM_DESC(amdvi_bad, amdvi_bad_ones, name);

static void amdvi_push_bad(struct amdvi *vi, const struct amdvi_bad *bad, unsigned int prg)
{
	const u64 good = amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, prg | AMDVI_LAST,
				     AMDVI_R | AMDVI_US | AMDVI_GN);

	amdvi_push(vi, good ^ bad->flip, bad->addr);
}

static void bad_request_is_answered_and_others_are_served(struct kunit *test)
{
	const struct amdvi_bad *bad = test->param_value;
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	amdvi_push_group(vi, 1);
	amdvi_push_bad(vi, bad, 2);
	amdvi_push_group(vi, 3);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, bad->served ? 3 : 2);
	KUNIT_ASSERT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), bad->answered ? 3 : 2);
	for (unsigned int n = 0; n < amdvi_count(vi, AMDVI_RESPONSE); n++) {
		const struct amdvi_event *event = amdvi_find(vi, AMDVI_RESPONSE, n);
		unsigned int prg = FIELD_GET(GENMASK_ULL(40, 32), event->qw[1]);

		amdvi_expect_response(vi, n, prg, prg == 2 ? bad->code : 0);
		/* To the function that asked, known or not. */
		KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(event), (u16)(amdvi_devid(0) ^
				(prg == 2 ? (u16)bad->flip : 0)));
	}
	amdvi_detach_plain(vi);
}

#define AMDVI_BAD_ONES	1000

static void bad_requests_leave_a_bounded_log(struct kunit *test)
{
	const struct amdvi_bad *bad = test->param_value;
	unsigned long start = jiffies;
	struct amdvi *vi = test->priv;
	u64 before = backend_log_records();

	amdvi_attach_plain(vi);
	for (unsigned int i = 0; i < AMDVI_BAD_ONES; i++) {
		vi->nr = 0;
		amdvi_push_bad(vi, bad, i % 512);
		amdvi_interrupt(vi);
		KUNIT_ASSERT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), bad->answered);
	}
	KUNIT_EXPECT_EQ(test, vi->plain.groups, bad->served ? AMDVI_BAD_ONES : 0);
	KUNIT_EXPECT_LE(test, backend_log_records() - before, backend_max_records(start));
	amdvi_detach_plain(vi);
}

/* An answer is for a group, and closes it at the device. */
static void partial_that_cannot_be_reported_is_not_answered(struct kunit *test)
{
	const u16 flags = AMDVI_R | AMDVI_US | AMDVI_GN;
	struct amdvi *vi = test->priv;

	amdvi_push(vi, amdvi_ppr_0(0x9999, AMDVI_PASID, 4, flags), 0x1000);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 0);
	amdvi_push(vi, amdvi_ppr_0(0x9999, AMDVI_PASID, 4 | AMDVI_LAST, flags), 0x2000);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 1);
	amdvi_expect_response(vi, 0, 4, 1);
}

/* Overflow (2.6) */

static void amdvi_run_interrupt(struct amdvi *vi)
{
	amdvi_interrupt(vi);
	amd_iommu_restart_ppr_log(vi->hw);
}

/* Has the queue marked its partial? Then the error of that does not count for a later group. */
static bool amdvi_partial_is_marked(struct amdvi *vi)
{
	struct iopf_device *idev __free(iopf_device_put) =
		iopf_device_get(&vi->dev[0]->pdev.dev);

	guard(spinlock)(&idev->lock);
	return list_first_entry(&idev->partials, struct iopf_slot, node)->maybe_stale;
}

/* What remains of a group whose last page was dropped must not meet a later one of its index. */
static void log_that_overflowed_is_started_when_it_is_empty(struct kunit *test)
{
	const u16 flags = AMDVI_R | AMDVI_US | AMDVI_GN;
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 4, flags), 0x5000);
	amdvi_push_group(vi, 1);
	vi->stopped = true;
	amdvi_run_interrupt(vi);
	KUNIT_EXPECT_FALSE(test, vi->stopped);
	KUNIT_EXPECT_EQ(test, vi->restarts, 1);
	KUNIT_EXPECT_EQ(test, vi->hw->sva->losses, 1);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 1);
	KUNIT_EXPECT_TRUE(test, amdvi_partial_is_marked(vi));
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 4 | AMDVI_LAST, flags), 0x6000);
	amdvi_run_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 2);
	KUNIT_EXPECT_EQ(test, vi->plain.last.addr, 0x6000);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 2);
	KUNIT_EXPECT_EQ(test, vi->restarts, 1);
	amdvi_detach_plain(vi);
}

/* The log may fill up again between the reader's last look and the restart. */
static void restart_reads_what_came_since_the_reader_looked(struct kunit *test)
{
	const u16 flags = AMDVI_R | AMDVI_US | AMDVI_GN;
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	amdvi_interrupt(vi);
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, 4, flags), 0x5000);
	amdvi_push_group(vi, 1);
	vi->stopped = true;
	amd_iommu_restart_ppr_log(vi->hw);
	KUNIT_EXPECT_FALSE(test, vi->stopped);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 1);
	KUNIT_EXPECT_TRUE(test, amdvi_partial_is_marked(vi));
	amdvi_detach_plain(vi);
}

static void log_that_runs_is_not_started_again(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_run_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->restarts, 0);
	KUNIT_EXPECT_EQ(test, vi->hw->sva->losses, 0);
}

/* The base's handler clears a status bit that was set after it has looked. */
static void overflow_that_the_handler_misses_is_over_soon(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	amdvi_push_group(vi, 1);
	vi->stopped = true;
	amdvi_interrupt(vi);
	KUNIT_EXPECT_FALSE(test, vi->stopped);
	KUNIT_EXPECT_EQ(test, vi->restarts, 1);
	KUNIT_EXPECT_EQ(test, vi->hw->sva->losses, 1);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 1);
	amdvi_detach_plain(vi);
}

/* At boot the thread may look before hardware knows where the log is. */
static void log_that_is_not_enabled_is_not_started(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	*amdvi_reg(vi, MMIO_CONTROL_OFFSET) = 0;
	vi->stopped = true;
	amdvi_run_interrupt(vi);
	KUNIT_EXPECT_EQ(test, *amdvi_reg(vi, MMIO_CONTROL_OFFSET), 0);
	KUNIT_EXPECT_EQ(test, vi->restarts, 0);
}

/* Drain */

static void drain_of_a_device_without_page_requests_does_nothing(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	vi->dev[0]->data.ppr = 0;
	amd_ppr_drain(&vi->dev[0]->pdev.dev, AMDVI_PASID);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
}

static void amdvi_device_sends_late(struct amdvi *vi, bool wait)
{
	vi->on_submit = NULL;
	amdvi_push_group(vi, 0x12);
}

/*
 * Hardware first, then software, then the responses. What the flush of the ATC has pushed into the
 * log is read by the drain itself; its group is answered though its handler is not done.
 */
static void drain_answers_what_hardware_still_held(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	const struct amdvi_event *atc;

	amdvi_attach_plain(vi);
	vi->plain.hold = true;
	vi->on_submit = amdvi_device_sends_late;
	amd_ppr_drain(&vi->dev[0]->pdev.dev, AMDVI_PASID);
	atc = amdvi_find(vi, AMDVI_ATC, 0);
	KUNIT_ASSERT_NOT_NULL(test, atc);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_pasid(atc), AMDVI_PASID);
	KUNIT_EXPECT_EQ(test, amdvi_order(atc), SVA_ORDER_ALL);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 1);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 1);
	amdvi_expect_response(vi, 0, 0x12, 1);
	/* A wait for the response says that it has left. */
	KUNIT_EXPECT_TRUE(test, vi->events[vi->nr - 1].waited);
	KUNIT_EXPECT_TRUE(test, &vi->events[vi->nr - 1] > amdvi_find(vi, AMDVI_RESPONSE, 0));
	/* The handler is late, and says nothing. */
	iopf_group_response(vi->plain.held, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(vi->plain.held);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 1);
	amdvi_detach_plain(vi);
}

static void amdvi_log_stops_once(struct amdvi *vi, bool wait)
{
	vi->on_submit = NULL;
	vi->stopped = true;
}

/* Requests that found no room may still be held back: once more. */
static void drain_pushes_again_after_an_overflow(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	vi->on_submit = amdvi_log_stops_once;
	amd_ppr_drain(&vi->dev[0]->pdev.dev, AMDVI_PASID);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 2);
	KUNIT_EXPECT_EQ(test, vi->restarts, 1);
	/* A drain that begins before the log runs has to see that count change. */
	KUNIT_EXPECT_EQ(test, vi->losses, 0);
}

#define AMDVI_FOR_EVER	20

static void amdvi_log_stops(struct amdvi *vi, bool wait)
{
	vi->stopped = amdvi_count(vi, AMDVI_ATC) < AMDVI_FOR_EVER;
}

/* It may be another device that ignores its credits. */
static void drain_ends_though_the_log_overflows_for_ever(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	vi->on_submit = amdvi_log_stops;
	amd_ppr_drain(&vi->dev[0]->pdev.dev, AMDVI_PASID);
	vi->on_submit = NULL;
	KUNIT_EXPECT_GT(test, amdvi_count(vi, AMDVI_ATC), 1);
	KUNIT_EXPECT_LE(test, amdvi_count(vi, AMDVI_ATC), 10);
}

/* The device is about to be reset, perhaps because it hangs: nothing may need its help. */
static void drain_of_all_pasids_does_not_ask_the_device(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	vi->nr = 0;
	iopf_quiesce_device(&vi->dev[0]->pdev.dev);
	KUNIT_EXPECT_GE(test, amdvi_waits(vi), 1);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 0);
	iopf_resume_device(&vi->dev[0]->pdev.dev);
}

/* Reset */

static void request_from_before_the_reset_is_dropped(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_plain(vi);
	iopf_quiesce_device(&vi->dev[0]->pdev.dev);
	amdvi_push_group(vi, 5);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 0);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_RESPONSE), 0);
	iopf_resume_device(&vi->dev[0]->pdev.dev);
	amdvi_push_group(vi, 5);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, vi->plain.groups, 1);
	amdvi_expect_response(vi, 0, 5, 0);
	amdvi_detach_plain(vi);
}

/* Refused DMA, which the event log tells of (2.5.3) */

static u64 amdvi_strays(struct amdvi *vi, unsigned int n)
{
	return backend_strays(vi->test, &vi->dev[n]->pdev.dev);
}

/* No driver can have forgotten to stop a PASID that its device cannot have. */
static void request_beyond_the_devices_pasids_is_no_stray(struct kunit *test)
{
	const u16 flags = AMDVI_R | AMDVI_US | AMDVI_GN;
	struct amdvi *vi = test->priv;

	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_MAX_PASIDS, AMDVI_LAST, flags), 0x1000);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 0);
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, AMDVI_LAST, flags), 0x1000);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 1);
}

static bool amdvi_fault(struct amdvi *vi, unsigned int type, u16 devid, u32 pasid)
{
	const u32 event[4] = { devid | (pasid & 0xf0000),
			       (pasid & 0xffff) | BIT(16) | type << EVENT_TYPE_SHIFT, 0x1000 };

	return amd_sva_event(vi->hw, event);
}

static void dma_with_a_pasid_that_is_not_bound_is_counted(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	KUNIT_EXPECT_FALSE(test, amdvi_fault(vi, EVENT_TYPE_IO_FAULT, amdvi_devid(0),
					     AMDVI_PASID));
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 1);
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 1), 0);
}

/* An IOMMU that has room for fewer PASIDs than the device says so with another event (2.5.9). */
static void request_beyond_all_tables_is_counted(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	KUNIT_EXPECT_FALSE(test, amdvi_fault(vi, EVENT_TYPE_INV_DEV_REQ, amdvi_devid(0), 0xfffe));
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 1);
}

/* Of what the IOMMU could not read in memory the device is innocent (2.5.4, 2.5.5). */
static void unreadable_table_is_no_stray(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	KUNIT_EXPECT_FALSE(test, amdvi_fault(vi, EVENT_TYPE_DEV_TAB_ERR, amdvi_devid(0),
					     AMDVI_PASID));
	KUNIT_EXPECT_FALSE(test, amdvi_fault(vi, EVENT_TYPE_PAGE_TAB_ERR, amdvi_devid(0),
					     AMDVI_PASID));
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 0);
}

/* It went to a wrong address: the process's mistake, not the driver's. */
static void dma_with_a_bound_pasid_is_no_stray(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct iommu_sva *sva;

	map_touched(test, 1);
	sva = amdvi_bind(vi, 0);
	KUNIT_EXPECT_FALSE(test, amdvi_fault(vi, EVENT_TYPE_IO_FAULT, amdvi_devid(0),
					     iommu_sva_get_pasid(sva)));
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 0);
	iommu_sva_unbind_device(sva);
}

/* Its device has not been stopped yet, and what it does is of no interest. */
static void dma_after_the_exit_of_its_process_is_not_logged(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct iommu_sva *sva;

	map_touched(test, 1);
	sva = amdvi_bind(vi, 0);
	amd_sva_ops.release(sva->handle.domain);
	KUNIT_EXPECT_TRUE(test, amdvi_fault(vi, EVENT_TYPE_IO_FAULT, amdvi_devid(0),
					    iommu_sva_get_pasid(sva)));
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 0);
	iommu_sva_unbind_device(sva);
}

static void dma_of_an_unknown_function_is_nobodys(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	KUNIT_EXPECT_FALSE(test, amdvi_fault(vi, EVENT_TYPE_IO_FAULT, 0x9999, AMDVI_PASID));
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0) + amdvi_strays(vi, 1), 0);
}

/* Devices that come and go */

/* A virtual function has the page requests of its physical one, and no registers for them. */
static struct device *amdvi_make_virtual(struct amdvi *vi)
{
	struct amdvi_dev *vf = vi->dev[0], *pf = vi->dev[1];

	vf->pdev.is_virtfn = 1;
	vf->pdev.physfn = &pf->pdev;
	vf->data.flags = AMD_IOMMU_DEVICE_FLAG_PRI_SUP;
	pf->pdev.pri_enabled = 1;
	pf->pdev.pasid_required = 1;
	return &vf->pdev.dev;
}

static bool amdvi_is_on_queue(struct device *dev)
{
	u64 counts[IOPF_NR_COUNTS];

	return !iopf_read_counts(dev, counts);
}

/* What a driver has left running is not held against the next one. */
static void strays_go_with_the_driver(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct device *dev = amdvi_make_virtual(vi);

	amdvi_push_group(vi, 1);
	amdvi_interrupt(vi);
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 1);
	KUNIT_EXPECT_TRUE(test, pasid_is_in_quarantine(AMDVI_PASID, NULL));
	amd_ppr_disable(dev);
	KUNIT_EXPECT_FALSE(test, pasid_is_in_quarantine(AMDVI_PASID, NULL));
	KUNIT_EXPECT_FALSE(test, amdvi_is_on_queue(dev));
	/* And again: a driver may have failed before it enabled them. */
	amd_ppr_disable(dev);
	KUNIT_EXPECT_EQ(test, amd_ppr_enable(dev), 0);
	KUNIT_EXPECT_EQ(test, amd_ppr_enable(dev), 0);
	KUNIT_EXPECT_EQ(test, amdvi_strays(vi, 0), 0);
	KUNIT_EXPECT_TRUE(test, vi->dev[0]->data.pri_enabled);
}

/* The next driver need not enable anything. */
static void device_that_has_left_is_back_when_it_is_bound(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct device *dev = amdvi_make_virtual(vi);
	struct iommu_sva *sva;

	map_touched(test, 1);
	amd_ppr_disable(dev);
	amdvi_push_group(vi, 2);
	amdvi_interrupt(vi);
	amdvi_expect_response(vi, 0, 2, 1);
	sva = amdvi_bind(vi, 0);
	KUNIT_EXPECT_TRUE(test, amdvi_is_on_queue(dev));
	KUNIT_EXPECT_TRUE(test, vi->dev[0]->data.pri_enabled);
	iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_TRUE(test, amdvi_is_on_queue(dev));
}

/* Or no domain for SVA: the device table entry would not let requests in. */
static void device_without_page_requests_has_none_to_enable(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct device *dev = amdvi_make_virtual(vi);
	struct iommu_dev_data *data = &vi->dev[0]->data;

	amd_ppr_disable(dev);
	data->flags = 0;
	KUNIT_EXPECT_EQ(test, amd_ppr_enable(dev), 0);
	KUNIT_EXPECT_FALSE(test, amdvi_is_on_queue(dev));
	data->flags = AMD_IOMMU_DEVICE_FLAG_PRI_SUP;
	data->atc_live = false;
	KUNIT_EXPECT_EQ(test, amd_ppr_enable(dev), 0);
	KUNIT_EXPECT_FALSE(test, amdvi_is_on_queue(dev));
}

static struct kunit_case amd_ppr_cases[] = {
	KUNIT_CASE(each_field_of_a_request_is_read),
	KUNIT_CASE(response_has_a_pasid_if_the_device_wants_it),
	KUNIT_CASE(each_permission_is_its_own),
	KUNIT_CASE(address_is_read_to_the_last_bit),
	KUNIT_CASE(only_lrw_100_is_a_stop_marker),
	KUNIT_CASE_PARAM(response_command_has_the_code_of_pcie, amdvi_code_gen_params),
	KUNIT_CASE(request_is_served_and_answered_with_its_names),
	KUNIT_CASE(group_is_complete_with_its_last_page),
	KUNIT_CASE(answers_to_many_groups_share_a_submission),
	KUNIT_CASE(failure_leaves_as_fifteen),
	KUNIT_CASE(non_canonical_address_reaches_the_handler_whole),
	KUNIT_CASE(log_is_walked_in_order_and_around_its_end),
	KUNIT_CASE(spurious_interrupt_does_nothing),
	KUNIT_CASE(late_entry_is_waited_for),
	KUNIT_CASE(entry_is_cleared_before_hardware_may_write_it_again),
	KUNIT_CASE(device_stays_from_look_up_to_report),
	KUNIT_CASE(stop_marker_is_not_answered),
	KUNIT_CASE_PARAM(bad_request_is_answered_and_others_are_served, amdvi_bad_gen_params),
	KUNIT_CASE_PARAM(bad_requests_leave_a_bounded_log, amdvi_bad_gen_params),
	KUNIT_CASE(partial_that_cannot_be_reported_is_not_answered),
	KUNIT_CASE(log_that_overflowed_is_started_when_it_is_empty),
	KUNIT_CASE(restart_reads_what_came_since_the_reader_looked),
	KUNIT_CASE(log_that_runs_is_not_started_again),
	KUNIT_CASE(overflow_that_the_handler_misses_is_over_soon),
	KUNIT_CASE(log_that_is_not_enabled_is_not_started),
	KUNIT_CASE(drain_of_a_device_without_page_requests_does_nothing),
	KUNIT_CASE(drain_answers_what_hardware_still_held),
	KUNIT_CASE(drain_pushes_again_after_an_overflow),
	KUNIT_CASE(drain_ends_though_the_log_overflows_for_ever),
	KUNIT_CASE(drain_of_all_pasids_does_not_ask_the_device),
	KUNIT_CASE(request_from_before_the_reset_is_dropped),
	KUNIT_CASE(request_beyond_the_devices_pasids_is_no_stray),
	KUNIT_CASE(dma_with_a_pasid_that_is_not_bound_is_counted),
	KUNIT_CASE(request_beyond_all_tables_is_counted),
	KUNIT_CASE(unreadable_table_is_no_stray),
	KUNIT_CASE(dma_with_a_bound_pasid_is_no_stray),
	KUNIT_CASE(dma_after_the_exit_of_its_process_is_not_logged),
	KUNIT_CASE(dma_of_an_unknown_function_is_nobodys),
	KUNIT_CASE(strays_go_with_the_driver),
	KUNIT_CASE(device_that_has_left_is_back_when_it_is_bound),
	KUNIT_CASE(device_without_page_requests_has_none_to_enable),
	{}
};

static struct kunit_suite amd_ppr_suite = {
	.name = "amd_ppr",
	.init = amdvi_test_init,
	.exit = amdvi_test_exit,
	.test_cases = amd_ppr_cases,
};

kunit_test_suite(amd_ppr_suite);
