// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fixture of the suites of VT-d's back-end: an IOMMU in memory, and the functions behind it
 */
#include <kunit/static_stub.h>

#include "intel_vtd_kunit.h"

static struct vtd_event *vtd_add_event(struct vtd *vtd, enum vtd_event_kind kind)
{
	struct vtd_event *event = &vtd->events[min(vtd->nr, VTD_EVENTS - 1)];

	KUNIT_EXPECT_LT(vtd->test, vtd->nr, VTD_EVENTS);
	*event = (struct vtd_event){ .kind = kind };
	vtd->nr++;
	return event;
}

/* The places where the back-end meets hardware */

static int vtd_submit(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count,
		      unsigned long options)
{
	struct vtd *vtd = kunit_get_current_test()->priv;

	KUNIT_EXPECT_PTR_EQ(vtd->test, iommu, vtd->hw);
	for (unsigned int i = 0; i < count; i++)
		vtd_add_event(vtd, VTD_DESC)->desc = desc[i];
	if (vtd->on_submit)
		vtd->on_submit(vtd, options);
	vtd_add_event(vtd, VTD_SUBMITTED)->options = options;
	return 0;
}

/* Hardware reads the queue whenever the submitter looks at the clock, which stands still. */
static u64 vtd_run_queue(void)
{
	struct vtd *vtd = kunit_get_current_test()->priv;
	u32 *head = vtd_reg(vtd, DMAR_IQH_REG), tail = *vtd_reg(vtd, DMAR_IQT_REG);
	const struct qi_desc *ring = vtd->hw->qi->desc, *desc;

	for (; *head != tail; *head = (*head + sizeof(*ring)) % (QI_LENGTH * sizeof(*ring))) {
		desc = &ring[*head / sizeof(*ring)];
		if ((desc->qw0 & 0xf) == VTD_WAIT && (desc->qw0 & QI_IWD_STATUS_WRITE)) {
			WRITE_ONCE(*(int *)phys_to_virt(desc->qw1), desc->qw0 >> 32);
			vtd_add_event(vtd, VTD_SUBMITTED);
		} else {
			vtd_add_event(vtd, VTD_DESC)->desc = *desc;
		}
	}
	return 0;
}

/* For what the base driver submits */
void vtd_add_queue(struct vtd *vtd)
{
	struct kunit *test = vtd->test;
	struct q_inval *qi = kunit_kzalloc(test, sizeof(*qi), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, qi);
	raw_spin_lock_init(&qi->q_lock);
	qi->desc = kunit_kcalloc(test, QI_LENGTH, sizeof(struct qi_desc), GFP_KERNEL);
	qi->desc_status = kunit_kcalloc(test, QI_LENGTH, sizeof(*qi->desc_status), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, qi->desc && qi->desc_status);
	qi->free_cnt = QI_LENGTH;
	vtd->hw->qi = qi;
	vtd->hw->gcmd = DMA_GCMD_TE;
	kunit_activate_static_stub(test, intel_qi_clock, vtd_run_queue);
}

/* What configuration space says */
static bool vtd_is_present(struct pci_dev *pdev)
{
	return !container_of(pdev, struct vtd_dev, pdev)->absent;
}

static void vtd_store(struct pasid_entry *entry, unsigned int word, u64 val)
{
	struct vtd *vtd = kunit_get_current_test()->priv;
	struct vtd_event *event;

	WRITE_ONCE(entry->val[word], val);
	event = vtd_add_event(vtd, VTD_STORE);
	event->entry = entry;
	event->snap = *entry;
}

static void vtd_clear_status(struct intel_iommu *iommu, u32 bits)
{
	struct vtd *vtd = kunit_get_current_test()->priv;

	/* With room in the ring, hardware would mix the next requests with those before. */
	if (bits & DMA_PRS_PRO)
		KUNIT_EXPECT_EQ(vtd->test, *vtd_reg(vtd, DMAR_PQH_REG),
				*vtd_reg(vtd, DMAR_PQT_REG));
	vtd->posted |= bits;
	vtd_add_event(vtd, VTD_CLEAR)->bits = bits;
}

static u32 vtd_status(struct intel_iommu *iommu)
{
	struct vtd *vtd = kunit_get_current_test()->priv;

	*vtd_reg(vtd, DMAR_PRS_REG) &= ~vtd->posted;
	vtd->posted = 0;
	return *vtd_reg(vtd, DMAR_PRS_REG);
}

/* The IOMMU and its functions */

static void vtd_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	if (domain->type == IOMMU_DOMAIN_SVA)
		intel_svm_remove_dev_pasid(domain, dev, pasid);
}

static const struct iommu_ops vtd_ops = {
	.domain_alloc_sva = intel_svm_domain_alloc,
	.remove_dev_pasid = vtd_remove_dev_pasid,
	.page_response = intel_iommu_page_response,
	.sva_ops = &intel_sva_ops,
};

static int vtd_info_cmp(struct rb_node *node, const struct rb_node *other)
{
	const struct device_domain_info *a = rb_entry(node, struct device_domain_info, node);
	const struct device_domain_info *b = rb_entry(other, struct device_domain_info, node);

	return PCI_DEVID(a->bus, a->devfn) - PCI_DEVID(b->bus, b->devfn);
}

void vtd_add_dev(struct vtd *vtd, unsigned int n)
{
	struct kunit *test = vtd->test;
	struct device *dev;
	struct vtd_dev *d;

	d = kunit_kzalloc(test, sizeof(*d), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, d);
	d->table.table = (void *)get_zeroed_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, d->table.table);
	d->table.max_pasid = VTD_MAX_PASID;

	dev = &d->pdev.dev;
	d->pdev.error_state = pci_channel_io_normal;
	d->info = (struct device_domain_info){
		.bus = 0x3a,
		.devfn = PCI_DEVFN(2 + n, 1),
		.pfsid = 0x3a10 + n,
		.ats_qdep = 9 + n,
		.ats_enabled = 1,
		.pasid_enabled = 1,
		.pri_enabled = 1,
		.dev = dev,
		.iommu = vtd->hw,
		.pasid_table = &d->table,
	};
	d->param.iommu_dev = &vtd->unit;
	d->param.max_pasids = VTD_MAX_PASID;
	d->param.priv = &d->info;

	backend_add_fn(test, dev, &d->param, "intel-svm-kunit", n);
	rb_find_add(&d->info.node, &vtd->hw->device_rbtree, vtd_info_cmp);
	vtd->dev[n] = d;
	backend_join(test, dev, &d->group, vtd->hw->iopf_queue);
}

static void vtd_remove_dev(struct vtd *vtd, unsigned int n)
{
	struct vtd_dev *d = vtd->dev[n];
	struct pasid_dir_entry *dir;

	if (!d)
		return;
	backend_remove_fn(&d->pdev.dev, d->group, vtd->hw->iopf_queue);

	dir = d->table.table;
	for (unsigned int i = 0; i < VTD_MAX_PASID >> PASID_PDE_SHIFT; i++)
		free_page((unsigned long)get_pasid_table_from_pde(&dir[i]));
	free_page((unsigned long)dir);
}

/* A test that wants the thread calls it itself: see vtd_interrupt(). */
static void vtd_awake(struct irq_work *awake)
{
}

static struct vtd *vtd_make_iommu(struct kunit *test)
{
	struct vtd *vtd;

	vtd = kunit_kzalloc(test, sizeof(*vtd), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vtd);
	vtd->test = test;
	vtd->task = current;
	test->priv = vtd;

	vtd->regs = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	vtd->events = kunit_kcalloc(test, VTD_EVENTS, sizeof(*vtd->events), GFP_KERNEL);
	vtd->hw = kunit_kzalloc(test, sizeof(*vtd->hw), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, vtd->regs && vtd->events && vtd->hw);
	vtd->hw->reg = (void __iomem __force *)vtd->regs;
	vtd->hw->cap = VTD_CAP;
	vtd->hw->ecap = VTD_ECAP;
	vtd->hw->agaw = 2;
	vtd->hw->node = NUMA_NO_NODE;
	vtd->hw->flags = VTD_FLAG_SVM_CAPABLE;
	vtd->hw->device_rbtree = RB_ROOT;
	spin_lock_init(&vtd->hw->device_rbtree_lock);
	spin_lock_init(&vtd->hw->lock);
	raw_spin_lock_init(&vtd->hw->register_lock);
	mutex_init(&vtd->hw->iopf_lock);
	ratelimit_default_init(&vtd->hw->prq_unknown);
	ratelimit_default_init(&vtd->hw->prq_overflow);
	strscpy(vtd->hw->name, "dmar-kunit", sizeof(vtd->hw->name));
	init_irq_work(&vtd->hw->prq_awake, vtd_awake);
	vtd->hw->prq = kunit_kcalloc(test, PRQ_ENTRIES, sizeof(*vtd->hw->prq), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vtd->hw->prq);
	vtd->hw->iopf_queue = iopf_queue_alloc("intel-svm-kunit");
	KUNIT_ASSERT_NOT_NULL(test, vtd->hw->iopf_queue);

	return vtd;
}

int vtd_test_init(struct kunit *test)
{
	struct vtd *vtd = vtd_make_iommu(test);

	vtd->unit.ops = &vtd_ops;
	vtd->sdom.iommu = vtd->hw;
	spin_lock_init(&vtd->sdom.lock);
	INIT_LIST_HEAD(&vtd->sdom.devs);
	backend_init_domain(&vtd->plain, &vtd_ops);
	vtd_add_dev(vtd, 0);
	vtd_add_dev(vtd, 1);

	kunit_activate_static_stub(test, intel_svm_submit, vtd_submit);
	kunit_activate_static_stub(test, intel_svm_store, vtd_store);
	kunit_activate_static_stub(test, intel_prq_clear_status, vtd_clear_status);
	kunit_activate_static_stub(test, intel_prq_status, vtd_status);
	kunit_activate_static_stub(test, intel_prq_step, backend_long_step);
	kunit_activate_static_stub(test, intel_svm_is_present, vtd_is_present);
	return 0;
}

void vtd_test_exit(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	if (!vtd || !vtd->hw)
		return;
	KUNIT_EXPECT_TRUE(test, list_empty(&vtd->sdom.devs));
	for (unsigned int n = 0; n < VTD_DEVS; n++)
		vtd_remove_dev(vtd, n);
	iopf_queue_free(vtd->hw->iopf_queue);
}
