// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD's back-end of the SVA core: GCR3 entries, the exit of a process, devices that do not answer
 */
#include <kunit/static_stub.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "amd_kunit.h"
#include "map_touched.h"

/* Entries */

static void entry_leads_to_that_root(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, amd_sva_make_entry(AMDVI_ROOT), AMDVI_ROOT | 1);
}

static unsigned int amdvi_stores(struct amdvi *vi)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < vi->nr; i++)
		n += vi->events[i].kind == AMDVI_STORE;
	return n;
}

/*
 * One word: hardware finds nothing, or the whole entry. What it may have cached from before, that
 * there is nothing, goes after that.
 */
static void attach_is_one_store_and_then_a_flush(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	KUNIT_ASSERT_EQ(test, amdvi_attach(vi, 0), 0);
	KUNIT_ASSERT_EQ(test, vi->nr, 3);
	KUNIT_EXPECT_EQ(test, vi->events[0].kind, AMDVI_STORE);
	KUNIT_EXPECT_EQ(test, vi->events[0].val, AMDVI_ROOT | 1);
	KUNIT_EXPECT_PTR_EQ(test, vi->events[0].entry, amdvi_entry(vi, 0, AMDVI_PASID));
	KUNIT_EXPECT_EQ(test, amdvi_code(&vi->events[1]), AMDVI_PAGES);
	KUNIT_EXPECT_EQ(test, amdvi_order(&vi->events[1]), SVA_ORDER_ALL);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_pasid(&vi->events[1]), AMDVI_PASID);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_domid(&vi->events[1]), amdvi_domid(0));
	KUNIT_EXPECT_TRUE(test, vi->events[2].waited);
	amdvi_detach(vi, 0);
}

/* The device hears of invalidations from before its entry is there. */
static void amdvi_flush_while_attaching(struct amdvi *vi, bool wait)
{
	vi->on_submit = NULL;
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
}

static void device_is_flushed_before_its_attach_is_over(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	vi->on_submit = amdvi_flush_while_attaching;
	KUNIT_ASSERT_EQ(test, amdvi_attach(vi, 0), 0);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	vi->nr = 0;
	/* And until it is not there any more. */
	vi->on_submit = amdvi_flush_while_attaching;
	amdvi_detach(vi, 0);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 2);
	vi->nr = 0;
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
}

/* The entry goes, then what the IOMMU has cached of it, then what it could refill: the ATC. */
static void detach_clears_then_flushes_tlb_and_atc(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	unsigned int pages = 0, atcs = 0;

	amdvi_attach_both(vi);
	amdvi_detach(vi, 0);
	KUNIT_EXPECT_EQ(test, vi->events[0].kind, AMDVI_STORE);
	KUNIT_EXPECT_EQ(test, vi->events[0].val, 0);
	KUNIT_EXPECT_EQ(test, amdvi_stores(vi), 1);
	for (unsigned int i = 1; i < vi->nr; i++) {
		const struct amdvi_event *event = &vi->events[i];

		if (event->kind != AMDVI_CMD)
			continue;
		KUNIT_EXPECT_EQ(test, amdvi_order(event), SVA_ORDER_ALL);
		KUNIT_EXPECT_EQ(test, amdvi_cmd_pasid(event), AMDVI_PASID);
		if (amdvi_code(event) == AMDVI_PAGES) {
			KUNIT_EXPECT_EQ(test, amdvi_cmd_domid(event), amdvi_domid(0));
			KUNIT_EXPECT_EQ(test, atcs, 0);
			pages++;
		} else {
			KUNIT_EXPECT_EQ(test, amdvi_code(event), AMDVI_ATC);
			KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(event), amdvi_devid(0));
			atcs++;
		}
	}
	KUNIT_EXPECT_EQ(test, pages, 1);
	KUNIT_EXPECT_EQ(test, atcs, 1);
	KUNIT_EXPECT_TRUE(test, vi->events[vi->nr - 1].waited);
	KUNIT_EXPECT_EQ(test, *amdvi_entry(vi, 1, AMDVI_PASID), AMDVI_ROOT | 1);
	amdvi_detach(vi, 1);
}

static void neighbours_in_a_table_do_not_meet(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct device *dev;

	dev = &vi->dev[0]->pdev.dev;
	KUNIT_ASSERT_EQ(test, amdvi_attach(vi, 0), 0);
	KUNIT_ASSERT_EQ(test, amd_sva_attach(&vi->sdom, dev, AMDVI_PASID + 1, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, *amdvi_entry(vi, 0, AMDVI_PASID), AMDVI_ROOT | 1);
	KUNIT_EXPECT_EQ(test, *amdvi_entry(vi, 0, AMDVI_PASID + 1), SZ_4K | 1);
	amd_iommu_remove_dev_pasid(dev, AMDVI_PASID + 1, &vi->sdom.domain);
	KUNIT_EXPECT_EQ(test, *amdvi_entry(vi, 0, AMDVI_PASID), AMDVI_ROOT | 1);
	KUNIT_EXPECT_EQ(test, *amdvi_entry(vi, 0, AMDVI_PASID + 1), 0);
	amdvi_detach(vi, 0);
}

/* A table of the second level stays, and is found again. */
static void second_pasid_of_a_table_makes_no_table(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	u64 first;

	KUNIT_ASSERT_EQ(test, amdvi_attach(vi, 0), 0);
	first = vi->dev[0]->data.gcr3_info.gcr3_tbl[AMDVI_PASID >> 9];
	amdvi_detach(vi, 0);
	KUNIT_ASSERT_EQ(test, amdvi_attach(vi, 0), 0);
	KUNIT_EXPECT_EQ(test, vi->dev[0]->data.gcr3_info.gcr3_tbl[AMDVI_PASID >> 9], first);
	amdvi_detach(vi, 0);
}

static void pasid_in_use_is_refused_and_left_alone(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	KUNIT_ASSERT_EQ(test, amdvi_attach(vi, 0), 0);
	vi->nr = 0;
	KUNIT_EXPECT_EQ(test, amd_sva_attach(&vi->sdom, &vi->dev[0]->pdev.dev, AMDVI_PASID,
					     SZ_4K), -EBUSY);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
	KUNIT_EXPECT_EQ(test, *amdvi_entry(vi, 0, AMDVI_PASID), AMDVI_ROOT | 1);
	amdvi_detach(vi, 0);
}

/* 0 is for requests without a PASID. */
static void pasid_that_has_no_entry_is_refused(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct device *dev;

	dev = &vi->dev[0]->pdev.dev;
	KUNIT_EXPECT_EQ(test, amd_sva_attach(&vi->sdom, dev, AMDVI_MAX_PASIDS, AMDVI_ROOT),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, amd_sva_attach(&vi->sdom, dev, 0, AMDVI_ROOT), -ENODEV);
	/* A table of one level has 512. */
	vi->dev[0]->data.gcr3_info.glx = 0;
	KUNIT_EXPECT_EQ(test, amd_sva_attach(&vi->sdom, dev, 512, AMDVI_ROOT), -ENODEV);
	vi->dev[0]->data.gcr3_info.glx = 1;
	vi->dev[0]->data.pasid_enabled = 0;
	KUNIT_EXPECT_EQ(test, amdvi_attach(vi, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
}

static void device_of_another_iommu_is_not_mine(struct kunit *test)
{
	struct amd_iommu *other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	struct amdvi *vi = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, other);
	vi->sdom.iommu = other;
	KUNIT_EXPECT_EQ(test, amdvi_attach(vi, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
	vi->sdom.iommu = vi->hw;
}

/* Exit */

/*
 * The entry stays, and leads to a root that the core has emptied: requests get R=W=0 without an
 * event. All caches go, with one wait for all devices.
 */
static void release_keeps_entries_and_waits_once(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amd_sva_ops.release(&vi->sdom.domain);
	KUNIT_EXPECT_EQ(test, amdvi_stores(vi), 0);
	KUNIT_ASSERT_EQ(test, vi->nr, 5);
	for (unsigned int n = 0; n < 2; n++) {
		KUNIT_EXPECT_EQ(test, amdvi_code(&vi->events[n]), AMDVI_PAGES);
		KUNIT_EXPECT_EQ(test, amdvi_code(&vi->events[2 + n]), AMDVI_ATC);
	}
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, amdvi_order(&vi->events[i]), SVA_ORDER_ALL);
	KUNIT_EXPECT_TRUE(test, vi->events[4].waited);
	amdvi_detach_both(vi);
}

static void release_of_nothing_does_nothing(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amd_sva_ops.release(&vi->sdom.domain);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
}

static void amdvi_many_desc(const unsigned int *devs, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u devices", *devs);
}

/* What fits into one batch, the first number that does not, and more */
static const unsigned int amdvi_many[] = {
	1, 2, AMD_SVA_BATCH / 2, AMD_SVA_BATCH / 2 + 1, AMDVI_DEVS,
};

KUNIT_ARRAY_PARAM(amdvi_many, amdvi_many, amdvi_many_desc);

/* The exit of a process waits for hardware with interrupts off. */
static void release_waits_once_for_all_devices(struct kunit *test)
{
	unsigned int devs = *(const unsigned int *)test->param_value, seen = 0;
	struct amdvi *vi = test->priv;

	for (unsigned int n = 0; n < devs; n++) {
		if (!vi->dev[n])
			amdvi_add_dev(vi, n);
		KUNIT_ASSERT_EQ(test, amdvi_attach(vi, n), 0);
	}
	vi->nr = 0;
	amd_sva_ops.release(&vi->sdom.domain);
	KUNIT_EXPECT_EQ(test, amdvi_waits(vi), 1);
	KUNIT_EXPECT_TRUE(test, vi->events[vi->nr - 1].waited);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_PAGES), devs);
	KUNIT_ASSERT_EQ(test, amdvi_count(vi, AMDVI_ATC), devs);
	for (unsigned int n = 0; n < devs; n++)
		seen |= BIT(PCI_SLOT(amdvi_cmd_devid(amdvi_find(vi, AMDVI_ATC, n))) - 2);
	KUNIT_EXPECT_EQ(test, seen, GENMASK(devs - 1, 0));
	for (unsigned int n = 0; n < devs; n++)
		amdvi_detach(vi, n);
}

/* Flushes in halves, of a process whose devices are behind several IOMMUs */

static void amdvi_note_started(struct amdvi *vi)
{
	vi->started = vi->nr;
}

static void flush_in_halves_is_submitted_and_waited_for_later(struct kunit *test)
{
	const struct iommu_sva_range range = { .start = SZ_1M, .end = SZ_2M };
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amdvi_flush_in_halves(vi, &range, amdvi_note_started);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_PAGES), 2);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 2);
	/* Commands for both kinds of caches, and then the wait alone */
	KUNIT_ASSERT_EQ(test, vi->started, 5);
	KUNIT_ASSERT_EQ(test, vi->nr, 6);
	KUNIT_EXPECT_EQ(test, vi->events[4].kind, AMDVI_SUBMITTED);
	KUNIT_EXPECT_FALSE(test, vi->events[4].waited);
	KUNIT_EXPECT_TRUE(test, vi->events[5].waited);
	KUNIT_EXPECT_FALSE(test, vi->sdom.exited);
	amdvi_detach_both(vi);
}

static void release_in_halves_flushes_everything_and_is_noted(struct kunit *test)
{
	const struct iommu_sva_range range = { .end = ULONG_MAX, .exits = true };
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amdvi_flush_in_halves(vi, &range, amdvi_note_started);
	KUNIT_EXPECT_TRUE(test, vi->sdom.exited);
	KUNIT_EXPECT_EQ(test, amdvi_stores(vi), 0);
	KUNIT_EXPECT_EQ(test, amdvi_waits(vi), 1);
	KUNIT_ASSERT_EQ(test, vi->started, 5);
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, amdvi_order(&vi->events[i]), SVA_ORDER_ALL);
	amdvi_detach_both(vi);
}

/* More commands than fit into a batch: each batch is submitted once. */
static void flush_in_halves_of_many_blocks_waits_once(struct kunit *test)
{
	const struct iommu_sva_range range = {
		.start = BACKEND_SIX_BLOCKS_START, .end = BACKEND_SIX_BLOCKS_END,
	};
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amdvi_flush_in_halves(vi, &range, amdvi_note_started);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_PAGES), 12);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 12);
	KUNIT_EXPECT_EQ(test, amdvi_waits(vi), 1);
	KUNIT_EXPECT_EQ(test, vi->nr, vi->started + 1);
	KUNIT_EXPECT_TRUE(test, vi->events[vi->nr - 1].waited);
	amdvi_detach_both(vi);
}

/* Devices that do not answer */

static bool amdvi_is_unconfirmed(struct amdvi *vi, unsigned int n)
{
	return iopf_atc_is_unconfirmed(&vi->dev[n]->pdev.dev);
}

/* The event names the device; others go on. */
static void device_that_timed_out_is_not_asked_any_more(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amd_sva_timed_out(vi->hw, amdvi_devid(0));
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 1));
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_PAGES), 2);
	KUNIT_ASSERT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(amdvi_find(vi, AMDVI_ATC, 0)), amdvi_devid(1));
	amdvi_detach_both(vi);
	KUNIT_EXPECT_EQ(test, amdvi_attach(vi, 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, amdvi_attach(vi, 1), 0);
	amdvi_detach(vi, 1);
}

/* What the thread that reads the event log does with one */
static void time_out_event_marks_its_device(struct kunit *test)
{
	const u32 event[4] = { amdvi_devid(1), EVENT_TYPE_IOTLB_INV_TO << EVENT_TYPE_SHIFT };
	const u32 stranger[4] = { 0x9999, EVENT_TYPE_IOTLB_INV_TO << EVENT_TYPE_SHIFT };
	struct amdvi *vi = test->priv;

	KUNIT_EXPECT_FALSE(test, amd_sva_event(vi->hw, event));
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 1));
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_FALSE(test, amd_sva_event(vi->hw, stranger));
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 0));
}

/* Which device it was is not known: none of them has confirmed anything. */
static void flush_that_failed_is_unconfirmed_for_all(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	vi->fail = -EIO;
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 1));
	amdvi_detach_both(vi);
}

/* The error is of the first part of a list. */
static void flush_whose_beginning_failed_is_unconfirmed(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	vi->fail_early = -EIO;
	amdvi_invalidate(vi, BACKEND_SIX_BLOCKS_START, BACKEND_SIX_BLOCKS_END);
	KUNIT_EXPECT_EQ(test, vi->fail_early, 0);
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 1));
	amdvi_detach_both(vi);
}

/* There is nothing to wait for: hardware has been turned off. */
static void flush_in_halves_that_failed_is_unconfirmed(struct kunit *test)
{
	const struct iommu_sva_range range = { .start = SZ_1M, .end = SZ_2M };
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	vi->fail_early = -EIO;
	amdvi_flush_in_halves(vi, &range, amdvi_note_started);
	KUNIT_EXPECT_EQ(test, amdvi_waits(vi), 0);
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 1));
	amdvi_detach_both(vi);
}

/* Whose it was stands in the event log, which its thread may not have read yet. */
static void flush_whose_beginning_timed_out_looks_for_the_device(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	u32 *event = (u32 *)vi->hw->evt_buf;

	amdvi_attach_both(vi);
	event[0] = amdvi_devid(1);
	event[1] = EVENT_TYPE_IOTLB_INV_TO << EVENT_TYPE_SHIFT;
	*amdvi_reg(vi, MMIO_EVT_TAIL_OFFSET) = EVTLOG_ENTRY_SIZE;
	vi->fail_early = -ETIMEDOUT;
	amdvi_invalidate(vi, BACKEND_SIX_BLOCKS_START, BACKEND_SIX_BLOCKS_END);
	KUNIT_EXPECT_EQ(test, vi->fail_early, 0);
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 1));
	amdvi_detach_both(vi);
}

/* Another CPU has marked the device, and has not said so yet. */
static void flush_that_leaves_a_device_out_says_so(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	vi->dev[0]->data.atc_hangs = true;
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 1));
	amdvi_detach_both(vi);
}

static void amdvi_first_times_out(struct amdvi *vi, bool wait)
{
	amd_sva_timed_out(vi->hw, amdvi_devid(0));
	vi->fail = -ETIMEDOUT;
	vi->on_submit = NULL;
}

static void flush_that_timed_out_is_unconfirmed_for_one(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	vi->on_submit = amdvi_first_times_out;
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 1));
	amdvi_detach_both(vi);
}

/* The link is down, and hotplug has not noticed yet. */
static void device_that_is_not_there_is_not_asked_at_detach(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	vi->dev[0]->absent = true;
	amdvi_detach(vi, 0);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 0);
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	amdvi_detach(vi, 1);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 1));
}

/* Reset */

static void device_in_reset_is_not_told_of_invalidations(struct kunit *test)
{
	unsigned long addr = map_touched(test, 1);
	struct amdvi *vi = test->priv;
	struct iommu_sva *sva[2];

	sva[0] = amdvi_bind(vi, 0);
	sva[1] = amdvi_bind(vi, 1);
	iopf_quiesce_device(&vi->dev[0]->pdev.dev);
	vi->nr = 0;
	KUNIT_EXPECT_EQ(test, vm_munmap(addr, PAGE_SIZE), 0);
	KUNIT_EXPECT_GE(test, amdvi_count(vi, AMDVI_PAGES), 2);
	KUNIT_EXPECT_GE(test, amdvi_count(vi, AMDVI_ATC), 1);
	for (unsigned int n = 0; n < amdvi_count(vi, AMDVI_ATC); n++)
		KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(amdvi_find(vi, AMDVI_ATC, n)),
				amdvi_devid(1));
	vi->nr = 0;
	iommu_sva_unbind_device(sva[0]);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 0);
	iopf_resume_device(&vi->dev[0]->pdev.dev);
	iommu_sva_unbind_device(sva[1]);
}

/* INVALIDATE_IOTLB_PAGES has no form for all PASIDs: one for each that is attached, one without. */
static void device_out_of_reset_forgets_all(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	unsigned int with = 0, without = 0;

	amdvi_attach_both(vi);
	iopf_quiesce_device(&vi->dev[0]->pdev.dev);
	vi->nr = 0;
	iopf_resume_device(&vi->dev[0]->pdev.dev);
	KUNIT_ASSERT_EQ(test, amdvi_count(vi, AMDVI_ATC), 2);
	for (unsigned int n = 0; n < 2; n++) {
		const struct amdvi_event *event = amdvi_find(vi, AMDVI_ATC, n);

		KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(event), amdvi_devid(0));
		KUNIT_EXPECT_EQ(test, amdvi_order(event), SVA_ORDER_ALL);
		with += amdvi_cmd_pasid(event) == AMDVI_PASID;
		without += amdvi_cmd_pasid(event) == IOMMU_PASID_INVALID;
	}
	KUNIT_EXPECT_EQ(test, with, 1);
	KUNIT_EXPECT_EQ(test, without, 1);
	KUNIT_EXPECT_TRUE(test, vi->events[vi->nr - 1].waited);
	amdvi_detach_both(vi);
}

static void device_out_of_reset_is_asked_though_it_has_hung(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amd_sva_timed_out(vi->hw, amdvi_devid(0));
	iopf_quiesce_device(&vi->dev[0]->pdev.dev);
	vi->nr = 0;
	iopf_resume_device(&vi->dev[0]->pdev.dev);
	KUNIT_EXPECT_GE(test, amdvi_count(vi, AMDVI_ATC), 1);
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_EQ(test, amdvi_attach(vi, 0), 0);
	amdvi_detach(vi, 0);
}

/* The thread that reads the log is late: it has read it when the driver looks a second time. */
static u32 amdvi_read_event_late(struct amd_iommu *iommu)
{
	struct amdvi *vi = kunit_get_current_test()->priv;

	if (++vi->looks == 2) {
		amd_sva_event(iommu, (u32 *)iommu->evt_buf);
		*amdvi_reg(vi, MMIO_EVT_HEAD_OFFSET) = EVTLOG_ENTRY_SIZE;
	}
	return *amdvi_reg(vi, MMIO_EVT_HEAD_OFFSET);
}

static void time_out_from_before_a_reset_does_not_outlast_it(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	u32 *event = (u32 *)vi->hw->evt_buf;

	event[0] = amdvi_devid(0);
	event[1] = EVENT_TYPE_IOTLB_INV_TO << EVENT_TYPE_SHIFT;
	*amdvi_reg(vi, MMIO_EVT_TAIL_OFFSET) = EVTLOG_ENTRY_SIZE;
	iopf_quiesce_device(&vi->dev[0]->pdev.dev);
	kunit_activate_static_stub(test, amd_sva_event_head, amdvi_read_event_late);
	iopf_resume_device(&vi->dev[0]->pdev.dev);
	KUNIT_EXPECT_EQ(test, vi->looks, 2);
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 0));
	KUNIT_EXPECT_EQ(test, amdvi_attach(vi, 0), 0);
	amdvi_detach(vi, 0);
}

/* A reset that was of no use */
static void device_that_does_not_come_out_of_reset_is_not_asked(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct device *dev = &vi->dev[0]->pdev.dev;

	iopf_quiesce_device(dev);
	vi->dev[0]->absent = true;
	vi->nr = 0;
	iopf_resume_device(dev);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 0);
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	vi->dev[0]->absent = false;
	vi->dev[0]->pdev.error_state = pci_channel_io_frozen;
	iopf_quiesce_device(dev);
	iopf_resume_device(dev);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 0);
	KUNIT_EXPECT_TRUE(test, amdvi_is_unconfirmed(vi, 0));
	vi->dev[0]->pdev.error_state = pci_channel_io_normal;
	iopf_quiesce_device(dev);
	iopf_resume_device(dev);
	KUNIT_EXPECT_GE(test, amdvi_count(vi, AMDVI_ATC), 1);
	KUNIT_EXPECT_FALSE(test, amdvi_is_unconfirmed(vi, 0));
}

/* With the core and a real address space */

static void bound_entry_leads_to_the_user_half_only(struct kunit *test)
{
	unsigned long addr = map_touched(test, 1);
	struct amdvi *vi = test->priv;
	struct iommu_sva *sva;
	const pgd_t *root;
	u64 *entry;

	sva = amdvi_bind(vi, 0);
	entry = amdvi_entry(vi, 0, iommu_sva_get_pasid(sva));
	KUNIT_ASSERT_NOT_NULL(test, entry);
	KUNIT_EXPECT_EQ(test, *entry & ~PAGE_MASK, 1);
	root = phys_to_virt(*entry & PAGE_MASK);
	KUNIT_EXPECT_PTR_NE(test, root, (const pgd_t *)current->mm->pgd);
	KUNIT_EXPECT_NE(test, pgd_val(root[pgd_index(addr)]), 0);
	for (unsigned int i = PTRS_PER_PGD / 2; i < PTRS_PER_PGD; i++)
		KUNIT_EXPECT_EQ(test, pgd_val(root[i]), 0);
	iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_EQ(test, *entry, 0);
}

static void munmap_has_flushed_when_it_returns(struct kunit *test)
{
	unsigned long addr = map_touched(test, 7);
	struct amdvi *vi = test->priv;
	struct iommu_sva *sva;

	sva = amdvi_bind(vi, 0);
	vi->nr = 0;
	KUNIT_EXPECT_EQ(test, vm_munmap(addr, 7 * PAGE_SIZE), 0);
	for (unsigned int i = 0; i < 7; i++) {
		KUNIT_EXPECT_TRUE(test, amdvi_covers(vi, AMDVI_PAGES, (addr >> 12) + i));
		KUNIT_EXPECT_TRUE(test, amdvi_covers(vi, AMDVI_ATC, (addr >> 12) + i));
	}
	KUNIT_EXPECT_TRUE(test, vi->events[vi->nr - 1].waited);
	iommu_sva_unbind_device(sva);
}

/* An NPU of AMD's: its driver enables no feature before it binds, and it sends no page requests. */
static void device_without_page_requests_is_bound_as_it_is(struct kunit *test)
{
	unsigned long addr = map_touched(test, 1);
	struct amdvi *vi = test->priv;
	struct iommu_sva *sva;
	u64 *entry;

	iopf_queue_remove_device(vi->hw->iopf_queue, &vi->dev[0]->pdev.dev);
	vi->dev[0]->data.ppr = 0;
	vi->dev[0]->data.pri_enabled = 0;
	sva = amdvi_bind(vi, 0);
	entry = amdvi_entry(vi, 0, iommu_sva_get_pasid(sva));
	KUNIT_ASSERT_NOT_NULL(test, entry);
	KUNIT_EXPECT_EQ(test, *entry & 1, 1);
	vi->nr = 0;
	KUNIT_EXPECT_EQ(test, vm_munmap(addr, PAGE_SIZE), 0);
	KUNIT_EXPECT_TRUE(test, amdvi_covers(vi, AMDVI_PAGES, addr >> 12));
	KUNIT_EXPECT_TRUE(test, amdvi_covers(vi, AMDVI_ATC, addr >> 12));
	iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_EQ(test, *entry, 0);
}

/* Its driver would offer its users what no bind gives them. */
static void sva_is_not_enabled_for_a_device_that_cannot_be_bound(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct iommu_dev_data *data = &vi->dev[0]->data;
	struct device *dev = &vi->dev[0]->pdev.dev;
	u64 *table = data->gcr3_info.gcr3_tbl;

	KUNIT_EXPECT_EQ(test, amd_sva_enable(dev), 0);
	data->pasid_enabled = 0;
	KUNIT_EXPECT_EQ(test, amd_sva_enable(dev), -EOPNOTSUPP);
	data->pasid_enabled = 1;
	data->gcr3_info.gcr3_tbl = NULL;
	KUNIT_EXPECT_EQ(test, amd_sva_enable(dev), -EOPNOTSUPP);
	data->gcr3_info.gcr3_tbl = table;
	/* Without EPHSup */
	amd_iommu_efr &= ~FEATURE_EPHSUP;
	KUNIT_EXPECT_EQ(test, amd_sva_enable(dev), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
}

/* Events of a process that has exited (2.5) */

/* After the detach the driver no longer knows of the exit, and would log the events. */
static void detach_after_exit_waits_for_the_event_log(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	KUNIT_ASSERT_EQ(test, amdvi_attach(vi, 0), 0);
	amd_sva_ops.release(&vi->sdom.domain);
	*amdvi_reg(vi, MMIO_EVT_TAIL_OFFSET) = EVTLOG_ENTRY_SIZE;
	kunit_activate_static_stub(test, amd_sva_event_head, amdvi_read_event_late);
	amdvi_detach(vi, 0);
	KUNIT_EXPECT_EQ(test, *amdvi_reg(vi, MMIO_EVT_HEAD_OFFSET), EVTLOG_ENTRY_SIZE);
}

/* Other devices may fill it as fast as it is read. */
static void detach_ends_though_the_event_log_does_not(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	KUNIT_ASSERT_EQ(test, amdvi_attach(vi, 0), 0);
	amd_sva_ops.release(&vi->sdom.domain);
	*amdvi_reg(vi, MMIO_EVT_TAIL_OFFSET) = EVTLOG_ENTRY_SIZE;
	amdvi_detach(vi, 0);
	KUNIT_EXPECT_EQ(test, *amdvi_reg(vi, MMIO_EVT_HEAD_OFFSET), 0);
	KUNIT_EXPECT_EQ(test, *amdvi_entry(vi, 0, AMDVI_PASID), 0);
}

static struct kunit_case amd_gcr3_cases[] = {
	KUNIT_CASE(entry_leads_to_that_root),
	KUNIT_CASE(attach_is_one_store_and_then_a_flush),
	KUNIT_CASE(device_is_flushed_before_its_attach_is_over),
	KUNIT_CASE(detach_clears_then_flushes_tlb_and_atc),
	KUNIT_CASE(neighbours_in_a_table_do_not_meet),
	KUNIT_CASE(second_pasid_of_a_table_makes_no_table),
	KUNIT_CASE(pasid_in_use_is_refused_and_left_alone),
	KUNIT_CASE(pasid_that_has_no_entry_is_refused),
	KUNIT_CASE(device_of_another_iommu_is_not_mine),
	KUNIT_CASE(release_keeps_entries_and_waits_once),
	KUNIT_CASE(release_of_nothing_does_nothing),
	KUNIT_CASE_PARAM(release_waits_once_for_all_devices, amdvi_many_gen_params),
	KUNIT_CASE(flush_in_halves_is_submitted_and_waited_for_later),
	KUNIT_CASE(release_in_halves_flushes_everything_and_is_noted),
	KUNIT_CASE(flush_in_halves_of_many_blocks_waits_once),
	KUNIT_CASE(device_that_timed_out_is_not_asked_any_more),
	KUNIT_CASE(time_out_event_marks_its_device),
	KUNIT_CASE(flush_that_failed_is_unconfirmed_for_all),
	KUNIT_CASE(flush_whose_beginning_failed_is_unconfirmed),
	KUNIT_CASE(flush_in_halves_that_failed_is_unconfirmed),
	KUNIT_CASE(flush_whose_beginning_timed_out_looks_for_the_device),
	KUNIT_CASE(flush_that_leaves_a_device_out_says_so),
	KUNIT_CASE(flush_that_timed_out_is_unconfirmed_for_one),
	KUNIT_CASE(device_that_is_not_there_is_not_asked_at_detach),
	KUNIT_CASE(device_in_reset_is_not_told_of_invalidations),
	KUNIT_CASE(device_out_of_reset_forgets_all),
	KUNIT_CASE(device_out_of_reset_is_asked_though_it_has_hung),
	KUNIT_CASE(time_out_from_before_a_reset_does_not_outlast_it),
	KUNIT_CASE(device_that_does_not_come_out_of_reset_is_not_asked),
	KUNIT_CASE(bound_entry_leads_to_the_user_half_only),
	KUNIT_CASE(munmap_has_flushed_when_it_returns),
	KUNIT_CASE(device_without_page_requests_is_bound_as_it_is),
	KUNIT_CASE(sva_is_not_enabled_for_a_device_that_cannot_be_bound),
	KUNIT_CASE(detach_after_exit_waits_for_the_event_log),
	KUNIT_CASE(detach_ends_though_the_event_log_does_not),
	{}
};

static struct kunit_suite amd_gcr3_suite = {
	.name = "amd_gcr3",
	.init = amdvi_test_init,
	.exit = amdvi_test_exit,
	.test_cases = amd_gcr3_cases,
};

kunit_test_suite(amd_gcr3_suite);
