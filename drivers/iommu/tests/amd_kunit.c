// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fixture of the suites of AMD's back-end: an IOMMU in memory, and the functions behind it
 */
#include <asm/iommu.h>
#include <kunit/static_stub.h>
#include <linux/vmalloc.h>

#include "amd_kunit.h"

static struct amdvi_event *amdvi_add_event(struct amdvi *vi)
{
	struct amdvi_event *event = &vi->events[min(vi->nr, AMDVI_EVENTS - 1)];

	KUNIT_EXPECT_LT(vi->test, vi->nr, AMDVI_EVENTS);
	vi->nr++;
	return event;
}

/* The places where the back-end meets hardware */

static int amdvi_submit(struct amd_iommu *iommu, const struct amd_sva_cmd *cmds, unsigned int nr,
			bool wait)
{
	struct amdvi *vi = kunit_get_current_test()->priv;

	KUNIT_EXPECT_PTR_EQ(vi->test, iommu, vi->hw);
	for (unsigned int i = 0; i < nr; i++)
		amdvi_read_cmd(&cmds[i], amdvi_add_event(vi));
	if (vi->on_submit)
		vi->on_submit(vi, wait);
	*amdvi_add_event(vi) = (struct amdvi_event){ .kind = AMDVI_SUBMITTED, .waited = wait };
	return xchg(wait ? &vi->fail : &vi->fail_early, 0);
}

static void amdvi_store(u64 *entry, u64 val)
{
	struct amdvi *vi = kunit_get_current_test()->priv;

	WRITE_ONCE(*entry, val);
	*amdvi_add_event(vi) = (struct amdvi_event){
		.kind = AMDVI_STORE, .entry = entry, .val = val,
	};
}

/*
 * PPRLogRun (3.4, IOMMU Status Register). Software starts a log that has stopped: it turns the log
 * off, writes 1 to the overflow bit, and turns it on.
 */
static u32 amdvi_status(struct amd_iommu *iommu)
{
	struct amdvi *vi = kunit_get_current_test()->priv;
	u32 *status = amdvi_reg(vi, MMIO_STATUS_OFFSET);

	if (vi->stopped && (*status & MMIO_STATUS_PPR_OVERFLOW_MASK) &&
	    (*amdvi_reg(vi, MMIO_CONTROL_OFFSET) & BIT(CONTROL_PPRLOG_EN))) {
		/* Nothing enters a log that has stopped: it is empty now, or entries would mix. */
		KUNIT_EXPECT_EQ(vi->test, *amdvi_reg(vi, MMIO_PPR_HEAD_OFFSET),
				*amdvi_reg(vi, MMIO_PPR_TAIL_OFFSET));
		vi->stopped = false;
		vi->restarts++;
		vi->losses = iommu->sva->losses;
	}
	/* The event log runs, as before. */
	*status = MMIO_STATUS_EVT_RUN_MASK;
	return vi->stopped ? 0 : MMIO_STATUS_PPR_RUN_MASK;
}

/* What configuration space says */
static bool amdvi_is_present(struct pci_dev *pdev)
{
	return !container_of(pdev, struct amdvi_dev, pdev)->absent;
}

/* The IOMMU and its functions */

static void amdvi_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	if (domain->type == IOMMU_DOMAIN_SVA)
		amd_iommu_remove_dev_pasid(dev, pasid, domain);
}

static const struct iommu_ops amdvi_ops = {
	.domain_alloc_sva = amd_iommu_domain_alloc_sva,
	.remove_dev_pasid = amdvi_remove_dev_pasid,
	.page_response = amd_iommu_page_response,
	.sva_ops = &amd_sva_ops,
};

void amdvi_add_dev(struct amdvi *vi, unsigned int n)
{
	struct kunit *test = vi->test;
	struct amdvi_dev *d;

	d = kunit_kzalloc(test, sizeof(*d), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, d);
	d->pdev.error_state = pci_channel_io_normal;
	d->data = (struct iommu_dev_data){
		.dev = &d->pdev.dev,
		.devid = amdvi_devid(n),
		.max_pasids = AMDVI_MAX_PASIDS,
		.ats_qdep = 9 + n,
		.ats_enabled = 1,
		.atc_live = true,
		.pri_enabled = 1,
		.pasid_enabled = 1,
		.pri_tlp = 1,
		.ppr = 1,
		.gcr3_info = { .glx = 1, .domid = amdvi_domid(n) },
	};
	mutex_init(&d->data.mutex);
	spin_lock_init(&d->data.dte_lock);
	ratelimit_default_init(&d->data.rs);
	d->data.gcr3_info.gcr3_tbl = (void *)get_zeroed_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, d->data.gcr3_info.gcr3_tbl);
	d->param.iommu_dev = &vi->hw->iommu;
	d->param.max_pasids = AMDVI_MAX_PASIDS;
	d->param.priv = &d->data;

	backend_add_fn(test, &d->pdev.dev, &d->param, "amd-sva-kunit", n);
	vi->dev[n] = d;
	KUNIT_ASSERT_EQ(test, 0, xa_err(xa_store(&vi->hw->sva->devs, d->data.devid, &d->data,
						 GFP_KERNEL)));
	backend_join(test, &d->pdev.dev, &d->group, vi->hw->iopf_queue);
}

static void amdvi_remove_dev(struct amdvi *vi, unsigned int n)
{
	struct amdvi_dev *d = vi->dev[n];
	u64 *tables;

	if (!d)
		return;
	backend_remove_fn(&d->pdev.dev, d->group, vi->hw->iopf_queue);
	tables = d->data.gcr3_info.gcr3_tbl;
	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*tables); i++)
		if (tables[i] & 1)
			free_page((unsigned long)phys_to_virt(tables[i] & PAGE_MASK));
	free_page((unsigned long)tables);
}

static void *amdvi_zalloc(struct kunit *test, size_t size)
{
	void *memory = kunit_kzalloc(test, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	return memory;
}

KUNIT_DEFINE_ACTION_WRAPPER(amdvi_vfree, vfree, const void *);

/* A ring with no memory behind it: who walks past its end fails there. */
static void *amdvi_alloc_ring(struct kunit *test, size_t size)
{
	void *ring = vzalloc(size);

	KUNIT_ASSERT_NOT_NULL(test, ring);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, amdvi_vfree, ring), 0);
	return ring;
}

static void amdvi_make_iommu(struct kunit *test, struct amdvi *vi)
{
	struct amd_iommu *hw = amdvi_zalloc(test, sizeof(*hw));

	vi->hw = hw;
	vi->seg = amdvi_zalloc(test, sizeof(*vi->seg));
	vi->regs = amdvi_zalloc(test, AMDVI_REGS);
	hw->index = AMDVI_INDEX;
	hw->pci_seg = vi->seg;
	hw->mmio_base = (u8 __iomem __force *)vi->regs;
	*amdvi_reg(vi, MMIO_CONTROL_OFFSET) = BIT(CONTROL_PPRLOG_EN);
	*amdvi_reg(vi, MMIO_STATUS_OFFSET) = MMIO_STATUS_EVT_RUN_MASK;
	hw->cmd_buf = amdvi_alloc_ring(test, CMD_BUFFER_SIZE);
	hw->evt_buf = amdvi_alloc_ring(test, amd_iommu_evtlog_size);
	hw->ppr_log = amdvi_alloc_ring(test, amd_iommu_pprlog_size);
	hw->cmd_sem = amdvi_zalloc(test, sizeof(*hw->cmd_sem));
	raw_spin_lock_init(&hw->lock);
	hw->iommu.ops = &amdvi_ops;
	hw->sva = amdvi_zalloc(test, sizeof(*hw->sva));
	hw->sva->iommu = hw;
	mutex_init(&hw->sva->lock);
	xa_init(&hw->sva->devs);
	ratelimit_default_init(&hw->sva->unknown);
	ratelimit_default_init(&hw->sva->stuck);
	hw->iopf_queue = iopf_queue_alloc("amd-sva-kunit");
	KUNIT_ASSERT_NOT_NULL(test, hw->iopf_queue);
}

int amdvi_test_init(struct kunit *test)
{
	struct amdvi *vi = kunit_kzalloc(test, sizeof(*vi), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, vi);
	vi->test = test;
	vi->efr = amd_iommu_efr;
	vi->snp = amd_iommu_snp_en;
	test->priv = vi;
	amd_iommu_efr = AMDVI_EFR;
	amd_iommu_snp_en = false;
	vi->events = kunit_kcalloc(test, AMDVI_EVENTS, sizeof(*vi->events), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vi->events);
	amdvi_make_iommu(test, vi);
	vi->sdom.domain.type = IOMMU_DOMAIN_SVA;
	vi->sdom.iommu = vi->hw;
	spin_lock_init(&vi->sdom.lock);
	INIT_LIST_HEAD(&vi->sdom.devs);
	backend_init_domain(&vi->plain, &amdvi_ops);
	amdvi_add_dev(vi, 0);
	amdvi_add_dev(vi, 1);

	kunit_activate_static_stub(test, amd_sva_submit, amdvi_submit);
	kunit_activate_static_stub(test, amd_sva_store, amdvi_store);
	kunit_activate_static_stub(test, amd_sva_is_present, amdvi_is_present);
	kunit_activate_static_stub(test, amd_ppr_status, amdvi_status);
	return 0;
}

void amdvi_test_exit(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	if (!vi)
		return;
	amd_iommu_efr = vi->efr;
	amd_iommu_snp_en = vi->snp;
	if (!vi->hw || !vi->hw->iopf_queue)
		return;
	KUNIT_EXPECT_TRUE(test, list_empty(&vi->sdom.devs));
	for (unsigned int n = 0; n < AMDVI_DEVS; n++)
		amdvi_remove_dev(vi, n);
	xa_destroy(&vi->hw->sva->devs);
	iopf_queue_free(vi->hw->iopf_queue);
}
