// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core: what it writes for hardware, and in which order
 *
 * There is no hardware. The registers of the IOMMU are memory; descriptors and stores to PASID
 * entries arrive here instead of there, one event each, in the order in which hardware would see
 * them. A test reads them as VT-d 4.1 says that hardware does. Two PCI functions stand in an IOMMU
 * group each, on a fault queue, so that binding, faulting and draining go through the core.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/interrupt.h>
#include <linux/iommu.h>
#include <linux/kmsg_dump.h>
#include <linux/mman.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/prandom.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>

#include "../intel-svm.h"
#include "map_touched.h"

#define VTD_SEED		6120117
#define VTD_EVENTS		1024
#define VTD_DEVS		20
#define VTD_PASID		0x2345
#define VTD_MAX_PASID		0x4000
#define VTD_ROOT		0x12345000ULL
/* Everything that SVA needs, coherent, and no more */
#define VTD_ECAP		(BIT_ULL(0) | BIT_ULL(29) | BIT_ULL(40) | BIT_ULL(42) | \
				 BIT_ULL(43) | BIT_ULL(47) | BIT_ULL(48))
#define VTD_MAMV		18
#define VTD_CAP			(BIT_ULL(56) | BIT_ULL(60) | (u64)VTD_MAMV << 48)

/* Descriptor types */
#define VTD_IOTLB		6
#define VTD_PASID_CACHE		7
#define VTD_ATC			8
#define VTD_WAIT		5
#define VTD_RESPONSE		9

enum vtd_event_kind {
	VTD_STORE,	/* a word of a PASID entry; snap is the entry after it */
	VTD_DESC,	/* a descriptor */
	VTD_SUBMITTED,	/* the wait behind those above: they have completed. options: of the wait */
	VTD_CLEAR,	/* of page request status bits */
};

struct vtd_event {
	enum vtd_event_kind kind;
	struct qi_desc desc;
	unsigned long options;
	u32 bits;
	struct pasid_entry *entry;
	struct pasid_entry snap;
};

struct vtd_dev {
	struct pci_dev pdev;
	struct device_domain_info info;
	struct dev_iommu param;
	struct pasid_table table;
	struct iommu_group *group;
	struct iommu_attach_handle handle;
};

/**
 * struct vtd - an IOMMU, functions behind it, and what they have seen
 * @test: whose priv it is
 * @hw: the IOMMU
 * @unit: of the IOMMU core, with operations that are the back-end's
 * @regs: memory that &intel_iommu.reg points to
 * @sdom: an SVA domain for tests that do without an mm
 * @dev: the functions; two of them unless a test adds more
 * @plain: a domain that takes page faults, for tests of the page request queue
 * @events: in order
 * @nr: how many
 * @answer: what @plain's handler says
 * @seen: the last page of the latest group that @plain's handler got
 * @groups: how many it got
 * @on_report: called by @plain's handler, inside the report of the group
 * @left: whether the function could have gone inside the last report
 * @on_submit: called with each submission, before it completes
 * @held: the group that @plain's handler keeps, if @hold
 * @hold: do not answer
 * @irq: stands for the interrupt thread, where a test must wait for it
 * @task: the test's
 * @posted: page request status bits that are being cleared: a read of the register pushes the write
 * @late: an IOMMU with a queue and an interrupt of its own
 * @locked: its lock is held
 * @grace: an RCU grace period after this one is over
 */
struct vtd {
	struct kunit *test;
	struct intel_iommu *hw;
	struct iommu_device unit;
	void *regs;
	struct svm_domain sdom;
	struct vtd_dev *dev[VTD_DEVS];
	struct iommu_domain plain;
	struct vtd_event *events;
	unsigned int nr;
	enum iommu_page_response_code answer;
	struct iommu_fault_page_request seen;
	unsigned int groups;
	void (*on_report)(struct vtd *vtd);
	int left;
	void (*on_submit)(struct vtd *vtd, unsigned long options);
	struct iopf_group *held;
	bool hold;
	struct work_struct irq;
	struct task_struct *task;
	u32 posted;
	struct intel_iommu *late;
	struct completion locked;
	struct rcu_gp_oldstate grace;
};

static u32 *vtd_reg(struct vtd *vtd, unsigned int reg)
{
	return vtd->regs + reg;
}

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

/* Reading descriptors as the IOMMU and the device do */

static unsigned int vtd_type(const struct vtd_event *event)
{
	return event->kind == VTD_DESC ? event->desc.qw0 & 0xf : 0;
}

/* 6.5.2.4: pages that a PASID-based IOTLB invalidation covers; order 52 is all. */
static u64 vtd_iotlb_pfn(const struct qi_desc *desc)
{
	return desc->qw1 >> 12;
}

static unsigned int vtd_iotlb_order(const struct qi_desc *desc)
{
	if (FIELD_GET(GENMASK_ULL(5, 4), desc->qw0) == 2)
		return SVM_ORDER_ALL;
	return FIELD_GET(GENMASK_ULL(5, 0), desc->qw1);
}

/* 6.5.2.6: with S, the lowest zero bit of the address says how much of it counts. */
static unsigned int vtd_atc_order(const struct qi_desc *desc)
{
	if (!(desc->qw1 & BIT_ULL(11)))
		return 0;
	return ffz(desc->qw1 >> 12) + 1;
}

static u64 vtd_atc_pfn(const struct qi_desc *desc)
{
	unsigned int order = vtd_atc_order(desc);

	return order == SVM_ORDER_ALL ? 0 : desc->qw1 >> 12 >> order << order;
}

static const struct vtd_event *vtd_find(struct vtd *vtd, unsigned int type, unsigned int n)
{
	for (unsigned int i = 0; i < vtd->nr; i++)
		if (vtd_type(&vtd->events[i]) == type && !n--)
			return &vtd->events[i];
	return NULL;
}

static unsigned int vtd_count(struct vtd *vtd, unsigned int type)
{
	unsigned int n = 0;

	while (vtd_find(vtd, type, n))
		n++;
	return n;
}

static unsigned int vtd_submissions(struct vtd *vtd)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < vtd->nr; i++)
		n += vtd->events[i].kind == VTD_SUBMITTED;
	return n;
}

/* Checks that the descriptors of @type are, in order, the blocks of exactly [first, last]. */
static void vtd_expect_pages(struct vtd *vtd, unsigned int type, u64 first, u64 last)
{
	const struct vtd_event *event;
	unsigned int order;
	u64 pfn = first;

	for (unsigned int n = 0; (event = vtd_find(vtd, type, n)); n++) {
		bool atc = type == VTD_ATC;

		order = atc ? vtd_atc_order(&event->desc) : vtd_iotlb_order(&event->desc);
		KUNIT_ASSERT_EQ(vtd->test, pfn, atc ? vtd_atc_pfn(&event->desc) :
						      vtd_iotlb_pfn(&event->desc));
		KUNIT_ASSERT_EQ(vtd->test, pfn & ((1ULL << order) - 1), 0);
		pfn += 1ULL << order;
	}
	KUNIT_ASSERT_EQ(vtd->test, pfn, last + 1);
}

/* Fixture */

static int vtd_set_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			     struct iommu_domain *old)
{
	return 0;
}

static void vtd_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	if (domain->type == IOMMU_DOMAIN_SVA)
		intel_svm_remove_dev_pasid(domain, dev, pasid);
}

static int vtd_take_group(struct iopf_group *group)
{
	struct vtd *vtd = container_of(group->attach_handle->domain, struct vtd, plain);

	vtd->seen = group->last_fault.fault.prm;
	vtd->groups++;
	if (vtd->on_report)
		vtd->on_report(vtd);
	if (vtd->hold) {
		vtd->held = group;
		return 0;
	}
	iopf_group_response(group, vtd->answer);
	iopf_free_group(group);
	return 0;
}

static const struct iommu_domain_ops vtd_plain_ops = {
	.set_dev_pasid = vtd_set_dev_pasid,
};

static const struct iommu_ops vtd_ops = {
	.domain_alloc_sva = intel_svm_domain_alloc,
	.remove_dev_pasid = vtd_remove_dev_pasid,
	.page_response = intel_iommu_page_response,
	.sva_ops = &intel_sva_ops,
};

static void vtd_release_pdev(struct device *dev)
{
	/* Its memory is the test's. */
}

static int vtd_info_cmp(struct rb_node *node, const struct rb_node *other)
{
	const struct device_domain_info *a = rb_entry(node, struct device_domain_info, node);
	const struct device_domain_info *b = rb_entry(other, struct device_domain_info, node);

	return PCI_DEVID(a->bus, a->devfn) - PCI_DEVID(b->bus, b->devfn);
}

static void vtd_add_dev(struct vtd *vtd, unsigned int n)
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
		.pri_enabled = 1,
		.dev = dev,
		.iommu = vtd->hw,
		.pasid_table = &d->table,
	};
	mutex_init(&d->param.lock);
	d->param.iommu_dev = &vtd->unit;
	d->param.max_pasids = VTD_MAX_PASID;
	d->param.priv = &d->info;

	device_initialize(dev);
	dev->release = vtd_release_pdev;
	dev->iommu = &d->param;
	KUNIT_ASSERT_EQ(test, dev_set_name(dev, "intel-svm-kunit%u", n), 0);
	KUNIT_ASSERT_EQ(test, device_add(dev), 0);
	rb_find_add(&d->info.node, &vtd->hw->device_rbtree, vtd_info_cmp);
	vtd->dev[n] = d;

	d->group = iommu_group_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, d->group);
	KUNIT_ASSERT_EQ(test, iommu_group_add_device(d->group, dev), 0);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(vtd->hw->iopf_queue, dev), 0);
}

static void vtd_remove_dev(struct vtd *vtd, unsigned int n)
{
	struct vtd_dev *d = vtd->dev[n];
	struct pasid_dir_entry *dir;

	if (!d)
		return;
	if (rcu_access_pointer(d->param.fault_param))
		iopf_queue_remove_device(vtd->hw->iopf_queue, &d->pdev.dev);
	/* The group would free it, as if the core had made it. */
	d->pdev.dev.iommu = NULL;
	if (d->pdev.dev.iommu_group)
		iommu_group_remove_device(&d->pdev.dev);
	if (!IS_ERR_OR_NULL(d->group))
		iommu_group_put(d->group);
	device_del(&d->pdev.dev);
	put_device(&d->pdev.dev);

	dir = d->table.table;
	for (unsigned int i = 0; i < VTD_MAX_PASID >> PASID_PDE_SHIFT; i++)
		free_page((unsigned long)get_pasid_table_from_pde(&dir[i]));
	free_page((unsigned long)dir);
}

static int intel_svm_test_init(struct kunit *test)
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
	raw_spin_lock_init(&vtd->hw->register_lock);
	mutex_init(&vtd->hw->iopf_lock);
	strscpy(vtd->hw->name, "dmar-kunit", sizeof(vtd->hw->name));
	vtd->hw->prq = kunit_kcalloc(test, PRQ_ENTRIES, sizeof(*vtd->hw->prq), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vtd->hw->prq);
	vtd->hw->iopf_queue = iopf_queue_alloc("intel-svm-kunit");
	KUNIT_ASSERT_NOT_NULL(test, vtd->hw->iopf_queue);

	vtd->unit.ops = &vtd_ops;
	vtd->sdom.iommu = vtd->hw;
	spin_lock_init(&vtd->sdom.lock);
	INIT_LIST_HEAD(&vtd->sdom.devs);
	vtd->plain.type = IOMMU_DOMAIN_UNMANAGED;
	vtd->plain.ops = &vtd_plain_ops;
	vtd->plain.owner = &vtd_ops;
	vtd->plain.iopf_handler = vtd_take_group;
	vtd_add_dev(vtd, 0);
	vtd_add_dev(vtd, 1);

	kunit_activate_static_stub(test, intel_svm_submit, vtd_submit);
	kunit_activate_static_stub(test, intel_svm_store, vtd_store);
	kunit_activate_static_stub(test, intel_prq_clear_status, vtd_clear_status);
	kunit_activate_static_stub(test, intel_prq_status, vtd_status);
	return 0;
}

static void intel_svm_test_exit(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	if (!vtd || !vtd->hw)
		return;
	KUNIT_EXPECT_TRUE(test, list_empty(&vtd->sdom.devs));
	for (unsigned int n = 0; n < VTD_DEVS; n++)
		vtd_remove_dev(vtd, n);
	iopf_queue_free(vtd->hw->iopf_queue);
}

static int vtd_attach(struct vtd *vtd, unsigned int n)
{
	return intel_svm_attach(&vtd->sdom, &vtd->dev[n]->pdev.dev, VTD_PASID, VTD_ROOT);
}

static void vtd_detach(struct vtd *vtd, unsigned int n)
{
	intel_svm_remove_dev_pasid(&vtd->sdom.domain, &vtd->dev[n]->pdev.dev, VTD_PASID);
}

/* For tests of flushes: attached devices, and nothing seen yet */
static void vtd_attach_both(struct vtd *vtd)
{
	KUNIT_ASSERT_EQ(vtd->test, vtd_attach(vtd, 0), 0);
	KUNIT_ASSERT_EQ(vtd->test, vtd_attach(vtd, 1), 0);
	vtd->nr = 0;
}

static void vtd_detach_both(struct vtd *vtd)
{
	vtd_detach(vtd, 0);
	vtd_detach(vtd, 1);
}

static void vtd_invalidate(struct vtd *vtd, unsigned long start, unsigned long end)
{
	intel_sva_ops.invalidate_range(&vtd->sdom.domain, start, end);
}

static struct pasid_entry *vtd_entry(struct vtd *vtd, unsigned int n)
{
	struct pasid_dir_entry *dir = vtd->dev[n]->table.table;
	struct pasid_entry *table = get_pasid_table_from_pde(&dir[VTD_PASID >> PASID_PDE_SHIFT]);

	return table ? &table[VTD_PASID & PASID_PTE_MASK] : NULL;
}

/* Capabilities */

struct vtd_lack {
	const char *name;
	u64 cap;
	u64 ecap;
};

static const struct vtd_lack vtd_lacks[] = {
	{ "PASID", 0, BIT_ULL(40) },
	{ "first-stage translation", 0, BIT_ULL(47) },
	{ "coherent page walks", 0, BIT_ULL(48) },
	{ "page requests", 0, BIT_ULL(29) },
	{ "page request drain", 0, BIT_ULL(42) },
	{ "1 GiB pages, which the CPU has", BIT_ULL(56), 0 },
	{ "5-level paging, which the CPU uses", BIT_ULL(60), 0 },
};

KUNIT_ARRAY_PARAM_DESC(vtd_lack, vtd_lacks, name);

static void each_missing_capability_is_named(struct kunit *test)
{
	const struct vtd_lack *lack = test->param_value;
	const char *said = intel_svm_what_lacks(VTD_CAP & ~lack->cap, VTD_ECAP & ~lack->ecap,
						true, true);

	KUNIT_ASSERT_NOT_NULL(test, said);
	KUNIT_EXPECT_STREQ(test, said, lack->name);
}

static void nothing_else_is_asked_for(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, intel_svm_what_lacks(VTD_CAP, VTD_ECAP, true, true));
	KUNIT_EXPECT_NULL(test, intel_svm_what_lacks(VTD_CAP, ~0ULL, true, true));
}

/* What the CPU's tables never hold the IOMMU need not know. */
static void page_sizes_and_levels_follow_the_cpu(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, intel_svm_what_lacks(0, VTD_ECAP, false, false));
	KUNIT_EXPECT_NOT_NULL(test, intel_svm_what_lacks(BIT_ULL(60), VTD_ECAP, true, false));
	KUNIT_EXPECT_NULL(test, intel_svm_what_lacks(BIT_ULL(56), VTD_ECAP, true, false));
	KUNIT_EXPECT_NOT_NULL(test, intel_svm_what_lacks(BIT_ULL(56), VTD_ECAP, false, true));
	KUNIT_EXPECT_NULL(test, intel_svm_what_lacks(BIT_ULL(60), VTD_ECAP, false, true));
}

static bool vtd_is_marked(struct vtd *vtd)
{
	vtd->hw->flags = 0;
	intel_svm_check(vtd->hw);
	return vtd->hw->flags & VTD_FLAG_SVM_CAPABLE;
}

static void capable_iommu_is_marked(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	KUNIT_EXPECT_TRUE(test, vtd_is_marked(vtd));
}

static void incapable_iommu_is_not_marked(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->hw->ecap &= ~BIT_ULL(29);
	KUNIT_EXPECT_FALSE(test, vtd_is_marked(vtd));
}

static void legacy_mode_iommu_is_not_marked(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->hw->ecap &= ~BIT_ULL(43);
	KUNIT_EXPECT_FALSE(test, vtd_is_marked(vtd));
}

static void incapable_iommu_has_no_domains(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct iommu_domain *domain;

	vtd->hw->flags = 0;
	domain = intel_svm_domain_alloc(&vtd->dev[0]->pdev.dev, NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(domain), -ENODEV);
}

/* Ranges */

static unsigned int vtd_walk(struct kunit *test, struct svm_blocks b, unsigned int max_order,
			     u64 *first, u64 *last)
{
	unsigned int n = 0, order;

	*first = b.pfn;
	do {
		order = intel_svm_block_order(&b);
		KUNIT_ASSERT_LE(test, order, max_order);
		KUNIT_ASSERT_EQ(test, b.pfn & ((1UL << order) - 1), 0);
		if (n)
			KUNIT_ASSERT_EQ(test, b.pfn, *last + 1);
		*last = b.pfn + (1UL << order) - 1;
		n++;
	} while (intel_svm_next_block(&b));
	return n;
}

static void vtd_expect_blocks(struct kunit *test, unsigned long start, unsigned long end,
			      unsigned int count, u64 first, u64 last)
{
	u64 got_first, got_last;
	unsigned int n;

	n = vtd_walk(test, intel_svm_make_blocks(start, end, VTD_MAMV), SVM_ORDER_ALL, &got_first,
		     &got_last);
	KUNIT_EXPECT_EQ(test, n, count);
	KUNIT_EXPECT_EQ(test, got_first, first);
	KUNIT_EXPECT_EQ(test, got_last, last);
}

static void one_page_is_one_block(struct kunit *test)
{
	vtd_expect_blocks(test, 0, SZ_4K, 1, 0, 0);
	vtd_expect_blocks(test, 0x7ffffffff000, 0x800000000000, 1, 0x7ffffffff, 0x7ffffffff);
}

static void huge_pages_are_one_block(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_1G, SZ_1G + SZ_2M, 1, 0x40000, 0x401ff);
	vtd_expect_blocks(test, SZ_1G, SZ_2G, 1, 0x40000, 0x7ffff);
}

static void range_from_zero_is_split_by_size_alone(struct kunit *test)
{
	vtd_expect_blocks(test, 0, 7 * SZ_4K, 3, 0, 6);
}

static void pages_across_an_alignment_are_two_blocks(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_2M - SZ_4K, SZ_2M + SZ_4K, 2, 511, 512);
}

static void bytes_within_pages_cover_the_pages(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_1M + 1, SZ_1M + 2, 1, 256, 256);
	vtd_expect_blocks(test, SZ_1M + 4095, SZ_1M + 4097, 1, 256, 257);
}

static void everything_is_one_block(struct kunit *test)
{
	vtd_expect_blocks(test, 0, ~0UL, 1, 0, GENMASK_ULL(51, 0));
}

static void end_of_the_address_space_is_everything(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_4K, ~0UL, 1, 0, GENMASK_ULL(51, 0));
}

/* 2^18 pages at most in a block: 33 of them are too many descriptors. */
static void range_of_too_many_blocks_is_everything(struct kunit *test)
{
	vtd_expect_blocks(test, 0, 32UL * SZ_1G, 32, 0, (32UL * SZ_1G >> 12) - 1);
	vtd_expect_blocks(test, 0, 33UL * SZ_1G, 1, 0, GENMASK_ULL(51, 0));
}

/* No page too few, none too many, no block askew, no address mask beyond MAMV */
static void random_ranges_are_covered_exactly(struct kunit *test)
{
	struct rnd_state rnd;
	unsigned int whole = 0;

	prandom_seed_state(&rnd, VTD_SEED);
	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int mamv = prandom_u32_state(&rnd) % SVM_ORDER_ALL;
		u64 pfn = (u64)prandom_u32_state(&rnd) << 4 >> prandom_u32_state(&rnd) % 36;
		u64 pages = 1 + ((u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32);
		u64 first, last;
		unsigned int n;
		struct svm_blocks b;

		b = intel_svm_make_blocks(pfn << 12, (pfn + pages) << 12, mamv);
		n = vtd_walk(test, b, b.max_order, &first, &last);
		KUNIT_ASSERT_LE(test, n, SVM_MAX_BLOCKS);
		if (b.max_order == SVM_ORDER_ALL) {
			whole++;
			KUNIT_ASSERT_EQ(test, last, GENMASK_ULL(51, 0));
		} else {
			KUNIT_ASSERT_EQ(test, b.max_order, mamv);
			KUNIT_ASSERT_EQ(test, first, pfn);
			KUNIT_ASSERT_EQ(test, last, pfn + pages - 1);
		}
	}
	/* Both kinds have been seen, more than a few times. */
	KUNIT_EXPECT_GT(test, whole, 1000);
	KUNIT_EXPECT_LT(test, whole, 19000);
}

/* Descriptors */

static void iotlb_descriptor_names_pasid_and_pages(struct kunit *test)
{
	struct qi_desc desc;

	intel_svm_make_iotlb_desc(&desc, 0xabcde, 0x7f0000200000, 9);
	KUNIT_EXPECT_EQ(test, desc.qw0, 6 | 3 << 4 | 1 << 16 | 0xabcdeULL << 32);
	KUNIT_EXPECT_EQ(test, desc.qw1, 0x7f0000200000 | 9);
	KUNIT_EXPECT_EQ(test, desc.qw2 | desc.qw3, 0);
}

static void iotlb_descriptor_of_everything_is_pasid_selective(struct kunit *test)
{
	struct qi_desc desc;

	intel_svm_make_iotlb_desc(&desc, 0xabcde, 0, SVM_ORDER_ALL);
	KUNIT_EXPECT_EQ(test, desc.qw0, 6 | 2 << 4 | 1 << 16 | 0xabcdeULL << 32);
	KUNIT_EXPECT_EQ(test, desc.qw1 | desc.qw2 | desc.qw3, 0);
}

/* Upper-level tables are freed too: the invalidation hint would keep what is cached of them. */
static void iotlb_descriptor_has_no_invalidation_hint(struct kunit *test)
{
	struct qi_desc desc;

	for (unsigned int order = 0; order <= VTD_MAMV; order++) {
		intel_svm_make_iotlb_desc(&desc, 1, 0, order);
		KUNIT_EXPECT_FALSE(test, desc.qw1 & BIT_ULL(6));
	}
}

static void atc_descriptor_names_device_and_pasid(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc;

	intel_svm_make_atc_desc(&desc, &vtd->dev[1]->info, 0xabcde, 0x7f0000201000, 0);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(3, 0), desc.qw0), VTD_ATC);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(8, 4), desc.qw0), 10);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16), desc.qw0), 0x3a19);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc.qw0), 0xabcde);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(15, 12), desc.qw0) |
			      FIELD_GET(GENMASK_ULL(63, 52), desc.qw0) << 4, 0x3a11);
	KUNIT_EXPECT_EQ(test, desc.qw1, 0x7f0000201000);
}

/* 0 means 32, as in the ATS capability. */
static void atc_descriptor_holds_a_queue_depth_of_five_bits(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc;

	for (unsigned int depth = 0; depth <= 32; depth++) {
		vtd->dev[0]->info.ats_qdep = depth;
		intel_svm_make_atc_desc(&desc, &vtd->dev[0]->info, 1, 0, 0);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(8, 4), desc.qw0), depth % 32);
	}
}

static void atc_size_field_is_read_back_at_any_order(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc;

	for (unsigned int order = 0; order <= SVM_ORDER_ALL; order++) {
		u64 pfn = order < 30 ? (0x7e5a5a5a5ULL >> order | 1) << order : 0;

		intel_svm_make_atc_desc(&desc, &vtd->dev[0]->info, 1, pfn << 12, order);
		KUNIT_EXPECT_EQ(test, vtd_atc_order(&desc), order);
		KUNIT_EXPECT_EQ(test, vtd_atc_pfn(&desc), pfn);
		KUNIT_EXPECT_FALSE(test, desc.qw1 & GENMASK_ULL(10, 0));
	}
}

static void pasid_cache_descriptor_is_pasid_selective(struct kunit *test)
{
	struct qi_desc desc;

	intel_svm_make_pasid_cache_desc(&desc, 0xabcde);
	KUNIT_EXPECT_EQ(test, desc.qw0, 7 | 1 << 4 | 1 << 16 | 0xabcdeULL << 32);
	KUNIT_EXPECT_EQ(test, desc.qw1 | desc.qw2 | desc.qw3, 0);
}

/* Flushes of ranges */

static void flush_covers_random_ranges(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct rnd_state rnd;

	vtd_attach_both(vtd);
	vtd->dev[1]->info.ats_enabled = 0;
	prandom_seed_state(&rnd, VTD_SEED);
	for (unsigned int i = 0; i < 2000; i++) {
		u64 pfn = (u64)prandom_u32_state(&rnd) << 3 >> prandom_u32_state(&rnd) % 35;
		u64 pages = 1 + (prandom_u32_state(&rnd) % SZ_128K >>
				 prandom_u32_state(&rnd) % 17);

		vtd->nr = 0;
		vtd_invalidate(vtd, pfn << 12, (pfn + pages) << 12);
		vtd_expect_pages(vtd, VTD_IOTLB, pfn, pfn + pages - 1);
		vtd_expect_pages(vtd, VTD_ATC, pfn, pfn + pages - 1);
	}
	vtd_detach_both(vtd);
}

/* A translation request may be served from the IOTLB: 6.5.2.5. */
static void iotlb_goes_before_atc_and_both_before_one_wait(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, SZ_1M, SZ_1M + SZ_4K);
	KUNIT_ASSERT_EQ(test, vtd->nr, 4);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[0]), VTD_IOTLB);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[1]), VTD_ATC);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[2]), VTD_ATC);
	KUNIT_EXPECT_EQ(test, vtd->events[3].kind, VTD_SUBMITTED);
	vtd_detach_both(vtd);
}

static void flush_of_many_blocks_keeps_the_order(struct kunit *test)
{
	const unsigned long start = SZ_2M - SZ_4K, end = start + 1023 * SZ_4K;
	struct vtd *vtd = test->priv;
	bool atc = false;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, start, end);
	KUNIT_EXPECT_GT(test, vtd_submissions(vtd), 1);
	KUNIT_EXPECT_EQ(test, vtd->events[vtd->nr - 1].kind, VTD_SUBMITTED);
	for (unsigned int i = 0; i < vtd->nr; i++) {
		atc |= vtd_type(&vtd->events[i]) == VTD_ATC;
		KUNIT_EXPECT_FALSE(test, atc && vtd_type(&vtd->events[i]) == VTD_IOTLB);
	}
	vtd_expect_pages(vtd, VTD_IOTLB, start >> 12, (end >> 12) - 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2 * vtd_count(vtd, VTD_IOTLB));
	vtd_detach_both(vtd);
}

static void flush_reaches_each_device(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	u16 rids = 0;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, SZ_1M, SZ_1M + SZ_4K);
	for (unsigned int n = 0; n < 2; n++) {
		const struct qi_desc *desc = &vtd_find(vtd, VTD_ATC, n)->desc;

		rids ^= FIELD_GET(GENMASK_ULL(31, 16), desc->qw0);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc->qw0), VTD_PASID);
	}
	KUNIT_EXPECT_EQ(test, rids, 0x3a11 ^ 0x3a19);
	vtd_detach_both(vtd);
}

static void flush_of_everything_carries_the_pasid(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	const struct qi_desc *atc;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, 0, ~0UL);
	atc = &vtd_find(vtd, VTD_ATC, 0)->desc;
	KUNIT_EXPECT_EQ(test, vtd_atc_order(atc), SVM_ORDER_ALL);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), atc->qw0), VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
	vtd_detach_both(vtd);
}

static void device_without_ats_hears_nothing(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd->dev[0]->info.ats_enabled = 0;
	vtd_invalidate(vtd, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vtd_detach_both(vtd);
}

/* It would never complete, and with it nobody's. */
static void unplugged_device_hears_nothing(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd->dev[1]->pdev.error_state = pci_channel_io_perm_failure;
	vtd_invalidate(vtd, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vtd_detach_both(vtd);
}

/* An error may have cut it off for a while, or its PF. */
static void device_that_is_cut_off_hears_nothing(struct kunit *test)
{
	struct pci_dev *pf = kunit_kzalloc(test, sizeof(*pf), GFP_KERNEL);
	struct vtd *vtd = test->priv;
	struct pci_dev *vf;

	KUNIT_ASSERT_NOT_NULL(test, pf);
	vtd_attach_both(vtd);
	vtd->dev[0]->pdev.error_state = pci_channel_io_frozen;
	vf = &vtd->dev[1]->pdev;
	vf->is_virtfn = 1;
	vf->physfn = pf;
	pf->error_state = pci_channel_io_perm_failure;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	pf->error_state = pci_channel_io_normal;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vtd_detach_both(vtd);
	vf->is_virtfn = 0;
}

static void device_that_needs_it_is_told_twice(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd->dev[1]->info.dtlb_extra_inval = 1;
	vtd_invalidate(vtd, SZ_1M, SZ_1M + SZ_4K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 3);
	/* The second time when the first has completed */
	KUNIT_EXPECT_EQ(test, vtd->events[3].kind, VTD_SUBMITTED);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[4]), VTD_ATC);
	KUNIT_EXPECT_EQ(test, vtd->events[4].desc.qw1, vtd->events[2].desc.qw1);
	KUNIT_EXPECT_EQ(test, vtd->events[5].kind, VTD_SUBMITTED);
	vtd_detach_both(vtd);
}

static void domain_without_devices_is_not_flushed(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_invalidate(vtd, 0, ~0UL);
	vtd_invalidate(vtd, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
}

/* PASID entries */

static void entry_says_first_stage_from_that_root(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pasid_entry e;

	memset(&e, 0xff, sizeof(e));
	intel_svm_make_entry(&e, vtd->hw, VTD_ROOT, false);
	/* Present, AW 2, first stage only; DID 1, walks snoop; 4 levels */
	KUNIT_EXPECT_EQ(test, e.val[0], 1 | 2 << 2 | 1 << 6);
	KUNIT_EXPECT_EQ(test, e.val[1], 1 | BIT_ULL(23));
	KUNIT_EXPECT_EQ(test, e.val[2], VTD_ROOT);
	for (unsigned int word = 3; word < 8; word++)
		KUNIT_EXPECT_EQ(test, e.val[word], 0);
}

static void entry_has_as_many_levels_as_the_cpu(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pasid_entry e;

	intel_svm_make_entry(&e, vtd->hw, VTD_ROOT, true);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(3, 2), e.val[2]), 1);
	KUNIT_EXPECT_EQ(test, e.val[2] & PAGE_MASK, VTD_ROOT);
}

/* A process has no business with supervisor pages. */
static void entry_allows_no_supervisor_requests(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pasid_entry e;

	intel_svm_make_entry(&e, vtd->hw, VTD_ROOT, true);
	KUNIT_EXPECT_FALSE(test, e.val[2] & BIT_ULL(0));
}

static void exit_entry_differs_in_fault_processing_only(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pasid_entry live, gone;

	intel_svm_make_entry(&live, vtd->hw, VTD_ROOT, false);
	intel_svm_make_exit_entry(&gone, &live);
	KUNIT_EXPECT_EQ(test, gone.val[0], live.val[0] | BIT_ULL(1));
	KUNIT_EXPECT_MEMEQ(test, &gone.val[1], &live.val[1], 7 * sizeof(u64));
}

/* Each snapshot that says "present" must hold all that @want holds, but for fault processing. */
static void vtd_expect_whole(struct vtd *vtd, const struct pasid_entry *want)
{
	for (unsigned int i = 0; i < vtd->nr; i++) {
		const struct pasid_entry *snap = &vtd->events[i].snap;

		if (vtd->events[i].kind != VTD_STORE || !(snap->val[0] & 1))
			continue;
		KUNIT_EXPECT_EQ(vtd->test, snap->val[0] & ~BIT_ULL(1), want->val[0]);
		KUNIT_EXPECT_MEMEQ(vtd->test, &snap->val[1], &want->val[1], 7 * sizeof(u64));
	}
}

static void attach_never_shows_half_an_entry(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pasid_entry want;

	intel_svm_make_entry(&want, vtd->hw, VTD_ROOT, cpu_feature_enabled(X86_FEATURE_LA57));
	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	KUNIT_EXPECT_EQ(test, vtd->nr, 8);
	vtd_expect_whole(vtd, &want);
	/* The one store that makes it present is the last. */
	for (unsigned int i = 0; i < vtd->nr; i++)
		KUNIT_EXPECT_EQ(test, vtd->events[i].snap.val[0] & 1, i == 7);
	KUNIT_EXPECT_MEMEQ(test, vtd_entry(vtd, 0), &want, sizeof(want));
	vtd_detach(vtd, 0);
}

static void attach_over_remains_never_shows_them(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pasid_entry want;

	intel_svm_make_entry(&want, vtd->hw, VTD_ROOT, cpu_feature_enabled(X86_FEATURE_LA57));
	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	vtd_detach(vtd, 0);
	memset(vtd_entry(vtd, 0), 0xfe, sizeof(struct pasid_entry));
	vtd->nr = 0;
	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	vtd_expect_whole(vtd, &want);
	vtd_detach(vtd, 0);
}

static void release_is_one_store_and_then_a_flush(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pasid_entry live;

	vtd_attach_both(vtd);
	vtd_detach(vtd, 1);
	live = *vtd_entry(vtd, 0);
	vtd->nr = 0;
	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd->events[0].kind, VTD_STORE);
	KUNIT_EXPECT_EQ(test, vtd->events[0].snap.val[0], live.val[0] | BIT_ULL(1));
	vtd_expect_whole(vtd, &live);
	for (unsigned int i = 1; i < vtd->nr; i++)
		KUNIT_EXPECT_NE(test, vtd->events[i].kind, VTD_STORE);
	vtd_detach(vtd, 0);
}

/* 6.5.3.3: the PASID cache refills the IOTLB, and that the ATC. */
static void vtd_expect_entry_flush(struct vtd *vtd, unsigned int at)
{
	const struct vtd_event *e = &vtd->events[at];

	KUNIT_ASSERT_GE(vtd->test, vtd->nr, at + 5);
	KUNIT_EXPECT_EQ(vtd->test, vtd_type(&e[0]), VTD_PASID_CACHE);
	KUNIT_EXPECT_EQ(vtd->test, e[0].desc.qw0 >> 32, VTD_PASID);
	KUNIT_EXPECT_EQ(vtd->test, vtd_type(&e[1]), VTD_WAIT);
	KUNIT_EXPECT_TRUE(vtd->test, e[1].desc.qw0 & BIT_ULL(6));
	KUNIT_EXPECT_EQ(vtd->test, vtd_type(&e[2]), VTD_IOTLB);
	KUNIT_EXPECT_EQ(vtd->test, vtd_iotlb_order(&e[2].desc), SVM_ORDER_ALL);
	KUNIT_EXPECT_EQ(vtd->test, vtd_type(&e[3]), VTD_ATC);
	KUNIT_EXPECT_EQ(vtd->test, vtd_atc_order(&e[3].desc), SVM_ORDER_ALL);
}

static void vtd_many_desc(const unsigned int *devs, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u devices", *devs);
}

/* What fits into one batch, the first number that does not, and more */
static const unsigned int vtd_many[] = { 1, 2, 8, SVM_BATCH - 3, SVM_BATCH - 2, VTD_DEVS };

KUNIT_ARRAY_PARAM(vtd_many, vtd_many, vtd_many_desc);

static void vtd_attach_many(struct vtd *vtd, unsigned int devs)
{
	for (unsigned int n = 0; n < devs; n++) {
		if (!vtd->dev[n])
			vtd_add_dev(vtd, n);
		KUNIT_ASSERT_EQ(vtd->test, vtd_attach(vtd, n), 0);
	}
	vtd->nr = 0;
}

/*
 * The exit of a process waits for hardware with interrupts off. First all entries, then one flush
 * of all that the IOMMU has cached, then the ATC of each device, and one wait for each batch.
 */
static void release_waits_once_for_all_devices(struct kunit *test)
{
	unsigned int devs = *(const unsigned int *)test->param_value, batches, rids = 0;
	struct vtd *vtd = test->priv;
	const struct vtd_event *e;

	vtd_attach_many(vtd, devs);
	batches = DIV_ROUND_UP(3 + devs, SVM_BATCH);
	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), batches);
	KUNIT_ASSERT_EQ(test, vtd->nr, devs + 3 + devs + batches);
	for (unsigned int n = 0; n < devs; n++) {
		KUNIT_EXPECT_EQ(test, vtd->events[n].kind, VTD_STORE);
		KUNIT_EXPECT_TRUE(test, vtd_entry(vtd, n)->val[0] & BIT_ULL(1));
	}
	vtd_expect_entry_flush(vtd, devs);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), devs);
	for (unsigned int n = 0; n < vtd_count(vtd, VTD_ATC); n++) {
		e = vtd_find(vtd, VTD_ATC, n);
		KUNIT_EXPECT_EQ(test, vtd_atc_order(&e->desc), SVM_ORDER_ALL);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), e->desc.qw0), VTD_PASID);
		rids |= BIT(PCI_SLOT(FIELD_GET(GENMASK_ULL(31, 16), e->desc.qw0)) - 2);
	}
	KUNIT_EXPECT_EQ(test, rids, GENMASK(devs - 1, 0));
	KUNIT_EXPECT_EQ(test, vtd->events[vtd->nr - 1].kind, VTD_SUBMITTED);
	for (unsigned int n = 0; n < devs; n++)
		vtd_detach(vtd, n);
}

/* The second time is behind the one wait for the first. */
static void release_tells_twice_who_needs_it(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_many(vtd, 8);
	vtd->dev[2]->info.dtlb_extra_inval = 1;
	vtd->dev[5]->info.dtlb_extra_inval = 1;
	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), 2);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 10);
	KUNIT_ASSERT_EQ(test, vtd->nr, 8 + 3 + 8 + 1 + 2 + 1);
	KUNIT_EXPECT_EQ(test, vtd->events[19].kind, VTD_SUBMITTED);
	KUNIT_EXPECT_EQ(test, vtd->events[22].kind, VTD_SUBMITTED);
	for (unsigned int n = 0; n < 8; n++)
		vtd_detach(vtd, n);
}

/* The entry changes only when no cache holds it. */
static void detach_wipes_after_the_flush(struct kunit *test)
{
	const struct pasid_entry nothing = {};
	struct vtd *vtd = test->priv;
	struct pasid_entry live;

	vtd_attach_both(vtd);
	vtd_detach(vtd, 1);
	live = *vtd_entry(vtd, 0);
	vtd->nr = 0;
	vtd_detach(vtd, 0);
	KUNIT_EXPECT_EQ(test, vtd->nr, 14);
	KUNIT_EXPECT_EQ(test, vtd->events[0].kind, VTD_STORE);
	KUNIT_EXPECT_EQ(test, vtd->events[0].snap.val[0], live.val[0] & ~BIT_ULL(0));
	KUNIT_EXPECT_MEMEQ(test, &vtd->events[0].snap.val[1], &live.val[1], 7 * sizeof(u64));
	vtd_expect_entry_flush(vtd, 1);
	KUNIT_EXPECT_EQ(test, vtd->events[5].kind, VTD_SUBMITTED);
	for (unsigned int i = 6; i < vtd->nr; i++) {
		KUNIT_EXPECT_EQ(test, vtd->events[i].kind, VTD_STORE);
		KUNIT_EXPECT_FALSE(test, vtd->events[i].snap.val[0] & 1);
	}
	KUNIT_EXPECT_MEMEQ(test, vtd_entry(vtd, 0), &nothing, sizeof(nothing));
}

static void detach_after_release_leaves_nothing(struct kunit *test)
{
	const struct pasid_entry nothing = {};
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	intel_sva_ops.release(&vtd->sdom.domain);
	vtd_detach_both(vtd);
	KUNIT_EXPECT_MEMEQ(test, vtd_entry(vtd, 0), &nothing, sizeof(nothing));
	KUNIT_EXPECT_MEMEQ(test, vtd_entry(vtd, 1), &nothing, sizeof(nothing));
}

/* A detach that is between its two steps has the entry in its hands. */
static void release_leaves_a_cleared_entry_alone(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	u64 first;

	vtd_attach_both(vtd);
	first = vtd_entry(vtd, 0)->val[0];
	vtd_entry(vtd, 0)->val[0] = first & ~1ULL;
	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd_entry(vtd, 0)->val[0], first & ~1ULL);
	KUNIT_ASSERT_EQ(test, vtd->nr, 7);
	KUNIT_EXPECT_PTR_EQ(test, vtd->events[0].entry, vtd_entry(vtd, 1));
	for (unsigned int i = 1; i < vtd->nr; i++)
		KUNIT_EXPECT_NE(test, vtd->events[i].kind, VTD_STORE);
	vtd_entry(vtd, 0)->val[0] = first;
	vtd_detach_both(vtd);
}

/* Nobody waits for hardware when there is nothing to tell it. */
static void release_of_nothing_does_nothing(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	u64 first;

	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	first = vtd_entry(vtd, 0)->val[0];
	vtd_entry(vtd, 0)->val[0] = first & ~1ULL;
	vtd->nr = 0;
	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
	vtd_entry(vtd, 0)->val[0] = first;
	vtd_detach(vtd, 0);
}

static void pasid_in_use_is_refused_and_left_alone(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pasid_entry live;

	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	live = *vtd_entry(vtd, 0);
	vtd->nr = 0;
	KUNIT_EXPECT_EQ(test, vtd_attach(vtd, 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
	KUNIT_EXPECT_MEMEQ(test, vtd_entry(vtd, 0), &live, sizeof(live));
	vtd_detach(vtd, 0);
}

static void pasid_beyond_the_table_is_refused(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	KUNIT_EXPECT_EQ(test, intel_svm_attach(&vtd->sdom, &vtd->dev[0]->pdev.dev, VTD_MAX_PASID,
					       VTD_ROOT), -ENODEV);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
}

static void device_of_another_iommu_is_not_mine(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, other);
	vtd->dev[0]->info.iommu = other;
	KUNIT_EXPECT_EQ(test, vtd_attach(vtd, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
}

static void neighbours_in_a_table_do_not_meet(struct kunit *test)
{
	struct device *dev;
	struct vtd *vtd = test->priv;

	dev = &vtd->dev[0]->pdev.dev;
	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	KUNIT_ASSERT_EQ(test, intel_svm_attach(&vtd->sdom, dev, VTD_PASID + 1, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, vtd_entry(vtd, 0)[1].val[2] & PAGE_MASK, SZ_4K);
	KUNIT_EXPECT_EQ(test, vtd_entry(vtd, 0)[0].val[2] & PAGE_MASK, VTD_ROOT);
	intel_svm_remove_dev_pasid(&vtd->sdom.domain, dev, VTD_PASID + 1);
	KUNIT_EXPECT_TRUE(test, pasid_pte_is_present(vtd_entry(vtd, 0)));
	vtd_detach(vtd, 0);
}

/* With caching mode, hardware remembers that there was nothing. */
static void caching_mode_is_told_of_a_new_entry(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->hw->cap |= BIT_ULL(7);
	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	KUNIT_ASSERT_EQ(test, vtd->nr, 12);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[8]), VTD_PASID_CACHE);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[9]), VTD_WAIT);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[10]), VTD_IOTLB);
	KUNIT_EXPECT_EQ(test, vtd->events[11].kind, VTD_SUBMITTED);
	vtd_detach(vtd, 0);
}

/* Nothing but write-backs is added where walks of the tables are not coherent. */
static void incoherent_iommu_sees_the_same_stores(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->hw->ecap &= ~BIT_ULL(0);
	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	KUNIT_EXPECT_EQ(test, vtd->nr, 8);
	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd->nr, 14);
	vtd_detach(vtd, 0);
	KUNIT_EXPECT_EQ(test, vtd->nr, 28);
}

/* Page requests: reading descriptors */

#define VTD_REQ_0(rid, pasid)	(1 | BIT_ULL(8) | (u64)(rid) << 16 | (u64)(pasid) << 32)
#define VTD_REQ_1(addr, prg, bits)	((addr) | (u64)(prg) << 3 | (bits))
#define VTD_R			1
#define VTD_W			2
#define VTD_L			4
#define VTD_RID			0x3a11

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

/* Page requests: writing responses */

static const u32 vtd_codes[][2] = {
	{ IOMMU_PAGE_RESP_SUCCESS, 0 },
	{ IOMMU_PAGE_RESP_INVALID, 1 },
	{ IOMMU_PAGE_RESP_FAILURE, 15 },
};

static void vtd_code_desc(const u32 (*code)[2], char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "code %u", (*code)[1]);
}

KUNIT_ARRAY_PARAM(vtd_code, vtd_codes, vtd_code_desc);

static void response_descriptor_has_the_code_of_pcie(struct kunit *test)
{
	const struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		.pasid = 0xabcde,
		.grpid = 0x1a5,
	};
	const u32 *code = test->param_value;
	struct qi_desc desc;

	intel_prq_make_response(&desc, VTD_RID, &prm, code[0]);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(3, 0), desc.qw0), VTD_RESPONSE);
	KUNIT_EXPECT_EQ(test, FIELD_GET(BIT_ULL(4), desc.qw0), 1);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(15, 12), desc.qw0), code[1]);
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

/* Page requests: the ring */

static u64 *vtd_reg64(struct vtd *vtd, unsigned int reg)
{
	return vtd->regs + reg;
}

/* What hardware does with a page request, if there is room */
static void vtd_push(struct vtd *vtd, u64 qw0, u64 qw1)
{
	u64 *tail = vtd_reg64(vtd, DMAR_PQT_REG);
	struct page_req_dsc *ring = vtd->hw->prq;

	KUNIT_ASSERT_LT(vtd->test, *tail, PRQ_ENTRIES * sizeof(*ring));
	ring[*tail / sizeof(*ring)] = (struct page_req_dsc){ .qw = { qw0, qw1 } };
	*tail = (*tail + sizeof(*ring)) % (PRQ_ENTRIES * sizeof(*ring));
	KUNIT_ASSERT_NE(vtd->test, *tail, *vtd_reg64(vtd, DMAR_PQH_REG));
	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PPR;
}

static void vtd_push_group(struct vtd *vtd, unsigned int prg)
{
	vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID), VTD_REQ_1(0x1000, prg, VTD_R | VTD_L));
}

static irqreturn_t vtd_interrupt(struct vtd *vtd)
{
	return intel_prq_thread(0, vtd->hw);
}

static void vtd_attach_plain(struct vtd *vtd)
{
	struct vtd_dev *d = vtd->dev[0];

	KUNIT_ASSERT_EQ(vtd->test, 0,
			iommu_attach_device_pasid(&vtd->plain, &d->pdev.dev, VTD_PASID,
						  &d->handle));
}

static void vtd_detach_plain(struct vtd *vtd)
{
	iommu_detach_device_pasid(&vtd->plain, &vtd->dev[0]->pdev.dev, VTD_PASID);
}

static void vtd_expect_response(struct vtd *vtd, unsigned int n, unsigned int prg,
				unsigned int code)
{
	const struct vtd_event *event = vtd_find(vtd, VTD_RESPONSE, n);

	KUNIT_ASSERT_NOT_NULL(vtd->test, event);
	KUNIT_EXPECT_EQ(vtd->test, FIELD_GET(GENMASK_ULL(11, 3), event->desc.qw1), prg);
	KUNIT_EXPECT_EQ(vtd->test, FIELD_GET(GENMASK_ULL(15, 12), event->desc.qw0), code);
}

static void request_is_served_and_answered_with_its_names(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	const struct qi_desc *desc;

	vtd_attach_plain(vtd);
	vtd_push_group(vtd, 0x155);
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, vtd->groups, 1);
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
	vtd->answer = IOMMU_PAGE_RESP_FAILURE;
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
	/* Nor is one of a device or PASID that nobody knows. */
	vtd_push(vtd, VTD_REQ_0(0x9999, VTD_PASID), VTD_REQ_1(0, 3, VTD_L));
	vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID) & ~BIT_ULL(8), VTD_REQ_1(0, 3, VTD_L));
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 0);
	KUNIT_EXPECT_EQ(test, vtd->groups, 0);
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
	KUNIT_EXPECT_EQ(test, vtd->groups, 0);
	vtd_expect_response(vtd, 0, 5, 1);
	KUNIT_EXPECT_FALSE(test, vtd_find(vtd, VTD_RESPONSE, 0)->desc.qw0 & BIT_ULL(4));
	vtd_detach_plain(vtd);
}

static void request_for_an_unbound_pasid_is_refused(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_push_group(vtd, 6);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->groups, 0);
	vtd_expect_response(vtd, 0, 6, 1);
}

/* Would take the function away: its release waits for the report, not only for the look-up. */
static int vtd_try_to_leave(struct vtd *vtd)
{
	if (!mutex_trylock(&vtd->hw->iopf_lock))
		return -EBUSY;
	mutex_unlock(&vtd->hw->iopf_lock);
	return 0;
}

static void vtd_leave_in_report(struct vtd *vtd)
{
	vtd->left = vtd_try_to_leave(vtd);
}

/* A lone request, and several that are reported at once */
static void device_stays_from_look_up_to_report(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd->on_report = vtd_leave_in_report;
	for (unsigned int nr = 1; nr < 4; nr++) {
		vtd->left = 0;
		vtd->groups = 0;
		for (unsigned int i = 0; i < nr; i++)
			vtd_push_group(vtd, i);
		vtd_interrupt(vtd);
		KUNIT_EXPECT_EQ(test, vtd->groups, nr);
		KUNIT_EXPECT_EQ(test, vtd->left, -EBUSY);
	}
	/* When the interrupt is over, it may go. */
	KUNIT_EXPECT_EQ(test, vtd_try_to_leave(vtd), 0);
	vtd_detach_plain(vtd);
}

static void non_canonical_address_reaches_the_handler_whole(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID),
		 VTD_REQ_1(0x8000000000001000, 7, VTD_R | VTD_L));
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->seen.addr, 0x8000000000001000);
	vtd_detach_plain(vtd);
}

static u64 vtd_log_records(void)
{
	struct kmsg_dump_iter iter = {};

	kmsg_dump_rewind(&iter);
	return iter.next_seq;
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

#define VTD_BAD_ONES	4000

/*
 * Of each kind at most ten lines in five seconds, and one that counts the others; the first five
 * seconds may have begun before.
 */
static void bad_requests_leave_a_bounded_log(struct kunit *test)
{
	const struct vtd_bad *bad = test->param_value;
	unsigned long start = jiffies;
	struct vtd *vtd = test->priv;
	u64 before = vtd_log_records();

	vtd_attach_plain(vtd);
	for (unsigned int i = 0; i < VTD_BAD_ONES; i++) {
		vtd->nr = 0;
		vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID) ^ bad->flip,
			 VTD_REQ_1(bad->addr, i % 512, VTD_R | VTD_L));
		vtd_interrupt(vtd);
		KUNIT_ASSERT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 1);
		vtd_expect_response(vtd, 0, i % 512, bad->code);
	}
	KUNIT_EXPECT_EQ(test, vtd->groups, bad->code ? 0 : VTD_BAD_ONES);
	KUNIT_EXPECT_LE(test, vtd_log_records() - before, 11 * (2 + (jiffies - start) / (5 * HZ)));
	vtd_detach_plain(vtd);
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
	if (vtd->groups < 5)
		vtd_push_group(vtd, vtd->groups);
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
	KUNIT_EXPECT_EQ(test, vtd->groups, 5);
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

/* Whoever waits for the bit is woken afterwards, and reads it on another CPU. */
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

/* Page requests: drain (7.10) */

static void drain_pushes_with_pasid_selective_flushes(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc[PRQ_MAX_PUSH];

	guard(rcu)();
	KUNIT_ASSERT_EQ(test, intel_prq_make_push(desc, &vtd->dev[0]->info, VTD_PASID), 3);
	KUNIT_EXPECT_EQ(test, desc[0].qw0, VTD_WAIT | BIT_ULL(6));
	KUNIT_EXPECT_EQ(test, desc[1].qw0 & 0xf, VTD_IOTLB);
	KUNIT_EXPECT_EQ(test, desc[1].qw0 >> 32, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_iotlb_order(&desc[1]), SVM_ORDER_ALL);
	KUNIT_EXPECT_EQ(test, desc[2].qw0 & 0xf, VTD_ATC);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc[2].qw0), VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_atc_order(&desc[2]), SVM_ORDER_ALL);
}

static void drain_without_pasid_pushes_with_plain_flushes(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc[PRQ_MAX_PUSH];

	guard(rcu)();
	KUNIT_ASSERT_EQ(test, intel_prq_make_push(desc, &vtd->dev[0]->info, IOMMU_NO_PASID), 3);
	KUNIT_EXPECT_EQ(test, desc[0].qw0, VTD_WAIT | BIT_ULL(6));
	KUNIT_EXPECT_EQ(test, desc[1].qw0 & 0xf, QI_IOTLB_TYPE);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16), desc[1].qw0), FLPT_DEFAULT_DID);
	KUNIT_EXPECT_EQ(test, desc[2].qw0 & 0xf, QI_DIOTLB_TYPE);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(47, 32), desc[2].qw0), VTD_RID);
}

static void drain_of_a_device_without_ats_has_no_atc_flush(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc[PRQ_MAX_PUSH];

	guard(rcu)();
	vtd->dev[0]->info.ats_enabled = 0;
	KUNIT_EXPECT_EQ(test, intel_prq_make_push(desc, &vtd->dev[0]->info, VTD_PASID), 2);
	vtd->dev[1]->pdev.error_state = pci_channel_io_perm_failure;
	KUNIT_EXPECT_EQ(test, intel_prq_make_push(desc, &vtd->dev[1]->info, VTD_PASID), 2);
}

static void drain_of_a_device_without_pri_does_nothing(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->dev[0]->info.pri_enabled = 0;
	intel_iommu_drain_pasid_prq(&vtd->dev[0]->pdev.dev, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
}

/* Comes when the test sleeps. */
static void vtd_irq_work(struct work_struct *work)
{
	struct vtd *vtd = container_of(work, struct vtd, irq);

	while (READ_ONCE(vtd->task->__state) != TASK_UNINTERRUPTIBLE)
		cond_resched();
	*vtd_reg(vtd, DMAR_PRS_REG) = 0;
	vtd_interrupt(vtd);
	*vtd_reg(vtd, DMAR_PRS_REG) = 0;
	wake_up_var(&vtd->hw->prq_seq_number);
}

/* Drains. Each submission calls @on_submit, which may schedule @work. */
static void vtd_drain_while(struct vtd *vtd, void (*on_submit)(struct vtd *vtd, unsigned long opts),
			    work_func_t work)
{
	INIT_WORK(&vtd->irq, work);
	vtd->on_submit = on_submit;
	intel_iommu_drain_pasid_prq(&vtd->dev[0]->pdev.dev, VTD_PASID);
}

static void vtd_ring_fills(struct vtd *vtd, unsigned long options)
{
	if (!(options & QI_OPT_WAIT_DRAIN) || vtd_submissions(vtd))
		return;
	vtd_push_group(vtd, 0x12);
	schedule_work(&vtd->irq);
}

/* Hardware first, then software, then the responses */
static void drain_answers_what_hardware_still_held(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	const struct vtd_event *last;

	vtd_attach_plain(vtd);
	vtd->hold = true;
	vtd_drain_while(vtd, vtd_ring_fills, vtd_irq_work);
	KUNIT_EXPECT_EQ(test, vtd->groups, 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 1);
	vtd_expect_response(vtd, 0, 0x12, 1);
	/* Behind the response there is a wait that says it has left. */
	last = &vtd->events[vtd->nr - 1];
	KUNIT_EXPECT_EQ(test, last->kind, VTD_SUBMITTED);
	KUNIT_EXPECT_EQ(test, last->options, QI_OPT_WAIT_DRAIN);
	KUNIT_EXPECT_TRUE(test, last > vtd_find(vtd, VTD_RESPONSE, 0));
	/* The handler is late, and says nothing. */
	iopf_group_response(vtd->held, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(vtd->held);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 1);
	flush_work(&vtd->irq);
	vtd_detach_plain(vtd);
}

static void drain_waits_for_the_interrupt_thread(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_drain_while(vtd, vtd_ring_fills, vtd_irq_work);
	KUNIT_EXPECT_EQ(test, vtd->groups, 1);
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_seq_number, 1);
	flush_work(&vtd->irq);
	vtd_detach_plain(vtd);
}

static void vtd_ring_overflows_once(struct vtd *vtd, unsigned long options)
{
	if (vtd->nr > 3)
		return;
	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	schedule_work(&vtd->irq);
}

/* Requests that found no room may still be held back: once more. */
static void drain_pushes_again_after_an_overflow(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_drain_while(vtd, vtd_ring_overflows_once, vtd_irq_work);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), 3);
	flush_work(&vtd->irq);
}

static void vtd_overflow_comes_and_goes(struct vtd *vtd, unsigned long options)
{
	if (vtd_count(vtd, VTD_ATC) == 1)
		vtd->hw->prq_losses++;
}

/* The interrupt thread may be done with it before the drain looks. */
static void drain_notices_an_overflow_that_is_over(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->on_submit = vtd_overflow_comes_and_goes;
	intel_iommu_drain_pasid_prq(&vtd->dev[0]->pdev.dev, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
}

#define VTD_FOR_EVER	20

static void vtd_ring_overflows_for_ever(struct vtd *vtd, unsigned long options)
{
	if (vtd_type(&vtd->events[vtd->nr - 1]) != VTD_ATC ||
	    vtd_count(vtd, VTD_ATC) >= VTD_FOR_EVER)
		return;
	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PRO;
	schedule_work(&vtd->irq);
}

/* It may be another device that ignores its credits. */
static void drain_ends_though_the_ring_overflows_for_ever(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_drain_while(vtd, vtd_ring_overflows_for_ever, vtd_irq_work);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), PRQ_MAX_PUSHES);
	/* The rest of the drain is done all the same. */
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), PRQ_MAX_PUSHES + 1);
	flush_work(&vtd->irq);
}

/* All PASIDs: the flushes are those of a drain without one. */
static void drain_of_all_pasids_pushes_with_plain_flushes(struct kunit *test)
{
	struct qi_desc desc[PRQ_MAX_PUSH], plain[PRQ_MAX_PUSH];
	const struct device_domain_info *info;
	struct vtd *vtd = test->priv;

	info = &vtd->dev[0]->info;
	guard(rcu)();
	KUNIT_ASSERT_EQ(test, intel_prq_make_push(desc, info, IOMMU_PASID_INVALID), 3);
	KUNIT_ASSERT_EQ(test, intel_prq_make_push(plain, info, IOMMU_NO_PASID), 3);
	KUNIT_EXPECT_MEMEQ(test, desc, plain, sizeof(desc));
}

/* With the core and a real address space */

static struct iommu_sva *vtd_bind(struct vtd *vtd, unsigned int n)
{
	struct iommu_sva *sva = iommu_sva_bind_device(&vtd->dev[n]->pdev.dev, current->mm);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(vtd->test, sva);
	return sva;
}

static struct pasid_entry *vtd_entry_of(struct vtd *vtd, unsigned int n, u32 pasid)
{
	struct pasid_dir_entry *dir = vtd->dev[n]->table.table;
	struct pasid_entry *table = get_pasid_table_from_pde(&dir[pasid >> PASID_PDE_SHIFT]);

	KUNIT_ASSERT_NOT_NULL(vtd->test, table);
	return &table[pasid & PASID_PTE_MASK];
}

static void bound_entry_leads_to_the_user_half_only(struct kunit *test)
{
	unsigned long addr = map_touched(test, 1);
	struct vtd *vtd = test->priv;
	struct pasid_entry *entry;
	struct iommu_sva *sva;
	const pgd_t *root;

	sva = vtd_bind(vtd, 0);
	entry = vtd_entry_of(vtd, 0, iommu_sva_get_pasid(sva));
	KUNIT_EXPECT_TRUE(test, pasid_pte_is_present(entry));
	root = phys_to_virt(entry->val[2] & PAGE_MASK);
	KUNIT_EXPECT_PTR_NE(test, root, (const pgd_t *)current->mm->pgd);
	KUNIT_EXPECT_NE(test, pgd_val(root[pgd_index(addr)]), 0);
	for (unsigned int i = PTRS_PER_PGD / 2; i < PTRS_PER_PGD; i++)
		KUNIT_EXPECT_EQ(test, pgd_val(root[i]), 0);
	iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_FALSE(test, pasid_pte_is_present(entry));
}

static bool vtd_iotlb_covers(struct vtd *vtd, u64 pfn)
{
	const struct vtd_event *event;

	for (unsigned int n = 0; (event = vtd_find(vtd, VTD_IOTLB, n)); n++)
		if ((pfn - vtd_iotlb_pfn(&event->desc)) >> vtd_iotlb_order(&event->desc) == 0)
			return true;
	return false;
}

static void munmap_has_flushed_when_it_returns(struct kunit *test)
{
	unsigned long addr = map_touched(test, 7);
	struct vtd *vtd = test->priv;
	struct iommu_sva *sva;

	sva = vtd_bind(vtd, 0);
	vtd->nr = 0;
	KUNIT_EXPECT_EQ(test, vm_munmap(addr, 7 * PAGE_SIZE), 0);
	for (unsigned int i = 0; i < 7; i++)
		KUNIT_EXPECT_TRUE(test, vtd_iotlb_covers(vtd, (addr >> 12) + i));
	KUNIT_EXPECT_GT(test, vtd_count(vtd, VTD_ATC), 0);
	KUNIT_EXPECT_EQ(test, vtd->events[vtd->nr - 1].kind, VTD_SUBMITTED);
	iommu_sva_unbind_device(sva);
}

static void devices_of_one_iommu_share_the_iotlb_flush(struct kunit *test)
{
	unsigned long addr = map_touched(test, 1);
	struct iommu_sva *sva[2];
	struct vtd *vtd = test->priv;

	sva[0] = vtd_bind(vtd, 0);
	sva[1] = vtd_bind(vtd, 1);
	vtd->nr = 0;
	KUNIT_EXPECT_EQ(test, vm_munmap(addr, PAGE_SIZE), 0);
	KUNIT_EXPECT_GT(test, vtd_count(vtd, VTD_IOTLB), 0);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2 * vtd_count(vtd, VTD_IOTLB));
	iommu_sva_unbind_device(sva[0]);
	iommu_sva_unbind_device(sva[1]);
}

static void unbind_drains_detaches_and_drains(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	unsigned int drains = 0, drains_before = 0;
	struct iommu_sva *sva;
	bool cleared = false;

	map_touched(test, 1);
	sva = vtd_bind(vtd, 0);
	vtd->nr = 0;
	iommu_sva_unbind_device(sva);
	for (unsigned int i = 0; i < vtd->nr; i++) {
		const struct vtd_event *event = &vtd->events[i];

		if (event->kind == VTD_STORE && !cleared) {
			cleared = true;
			drains_before = drains;
		}
		drains += event->kind == VTD_SUBMITTED && event->options == QI_OPT_WAIT_DRAIN;
	}
	KUNIT_EXPECT_TRUE(test, cleared);
	KUNIT_EXPECT_EQ(test, drains_before, 2);
	KUNIT_EXPECT_EQ(test, drains, 4);
}

/* Reset */

/* 6.5.2.6: with G the PASID does not count. */
static void flush_of_all_pasids_names_the_device_only(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc;

	intel_svm_make_atc_all_desc(&desc, &vtd->dev[0]->info);
	KUNIT_EXPECT_EQ(test, desc.qw0 & 0xf, VTD_ATC);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16), desc.qw0), VTD_RID);
	KUNIT_EXPECT_EQ(test, FIELD_GET(BIT_ULL(0), desc.qw1), 1);
	KUNIT_EXPECT_EQ(test, vtd_atc_order(&desc), SVM_ORDER_ALL);
}

static void device_in_reset_is_not_told_of_invalidations(struct kunit *test)
{
	unsigned long addr = map_touched(test, 1);
	struct vtd *vtd = test->priv;
	struct iommu_sva *sva[2];

	sva[0] = vtd_bind(vtd, 0);
	sva[1] = vtd_bind(vtd, 1);
	iopf_quiesce_device(&vtd->dev[0]->pdev.dev);
	vtd->nr = 0;
	KUNIT_EXPECT_EQ(test, vm_munmap(addr, PAGE_SIZE), 0);
	/* The IOTLB is flushed, and the other device. */
	KUNIT_EXPECT_GE(test, vtd_count(vtd, VTD_IOTLB), 1);
	KUNIT_EXPECT_GE(test, vtd_count(vtd, VTD_ATC), 1);
	for (unsigned int n = 0; n < vtd_count(vtd, VTD_ATC); n++)
		KUNIT_EXPECT_NE(test, FIELD_GET(GENMASK_ULL(31, 16),
						vtd_find(vtd, VTD_ATC, n)->desc.qw0), VTD_RID);
	vtd->nr = 0;
	iommu_sva_unbind_device(sva[0]);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	iopf_resume_device(&vtd->dev[0]->pdev.dev);
	iommu_sva_unbind_device(sva[1]);
}

static void device_out_of_reset_forgets_all(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc all;

	intel_svm_make_atc_all_desc(&all, &vtd->dev[0]->info);
	iopf_quiesce_device(&vtd->dev[0]->pdev.dev);
	vtd->nr = 0;
	iopf_resume_device(&vtd->dev[0]->pdev.dev);
	KUNIT_ASSERT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	KUNIT_EXPECT_MEMEQ(test, &vtd_find(vtd, VTD_ATC, 0)->desc, &all, sizeof(all));
	KUNIT_EXPECT_EQ(test, vtd->events[vtd->nr - 1].kind, VTD_SUBMITTED);
}

static void request_from_before_the_reset_is_dropped(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	iopf_quiesce_device(&vtd->dev[0]->pdev.dev);
	vtd_push_group(vtd, 5);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->groups, 0);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 0);
	iopf_resume_device(&vtd->dev[0]->pdev.dev);
	vtd_push_group(vtd, 5);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->groups, 1);
	vtd_expect_response(vtd, 0, 5, 0);
	vtd_detach_plain(vtd);
}

/* Refused DMA */

static u64 vtd_strays(struct vtd *vtd, unsigned int n)
{
	u64 counts[IOPF_NR_COUNTS];

	KUNIT_ASSERT_EQ(vtd->test, iopf_read_counts(&vtd->dev[n]->pdev.dev, counts), 0);
	return counts[IOPF_STRAY];
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
	KUNIT_ASSERT_EQ(test, iommu_attach_device_pasid(&vtd->plain, dev, VTD_PASID, NULL), 0);
	intel_prq_dma_fault(vtd->hw, VTD_RID, VTD_PASID, 0x1000);
	intel_prq_flush_dma_faults();
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0), 0);
	/* Nobody serves its page requests. */
	vtd_push_group(vtd, 8);
	vtd_interrupt(vtd);
	vtd_expect_response(vtd, 0, 8, 1);
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0), 0);
	vtd_detach_plain(vtd);

	intel_prq_dma_fault(vtd->hw, VTD_RID, VTD_PASID, 0x1000);
	intel_prq_flush_dma_faults();
	KUNIT_EXPECT_EQ(test, vtd_strays(vtd, 0), 1);
}

/* A device that goes */

static void vtd_note_grace_period(struct vtd *vtd, unsigned long options)
{
	get_state_synchronize_rcu_full(&vtd->grace);
}

/* The flush has looked at the device, and waits for its answer. */
static void device_is_kept_for_the_flushes_that_know_it(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd->on_submit = vtd_note_grace_period;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	vtd->on_submit = NULL;
	intel_svm_stop_atc(&vtd->dev[0]->info);
	KUNIT_EXPECT_TRUE(test, poll_state_synchronize_rcu_full(&vtd->grace));
	vtd->nr = 0;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vtd_detach_both(vtd);
}

/* Set-up, sleep, tear-down */

/* Its registers are memory, and its interrupt never comes by itself. */
static struct intel_iommu *vtd_enable_prq(struct vtd *vtd)
{
	struct intel_iommu *hw = kunit_kzalloc(vtd->test, sizeof(*hw), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(vtd->test, hw);
	hw->reg = vtd->hw->reg;
	hw->node = NUMA_NO_NODE;
	hw->seq_id = 1;
	hw->device_rbtree = RB_ROOT;
	spin_lock_init(&hw->device_rbtree_lock);
	raw_spin_lock_init(&hw->register_lock);
	mutex_init(&hw->iopf_lock);
	KUNIT_ASSERT_EQ(vtd->test, intel_iommu_enable_prq(hw), 0);
	synchronize_irq(hw->pr_irq);
	return hw;
}

/* A stop marker, so that nobody is answered */
static void vtd_push_marker(struct intel_iommu *hw)
{
	u64 tail = dmar_readq(hw->reg + DMAR_PQT_REG);

	hw->prq[tail / sizeof(*hw->prq)].qw[1] = VTD_L;
	dmar_writeq(hw->reg + DMAR_PQT_REG, tail + sizeof(*hw->prq));
}

/* As another kernel has left it */
static void queue_starts_clean(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *hw;

	*vtd_reg(vtd, DMAR_PRS_REG) = DMA_PRS_PPR | DMA_PRS_PRO;
	*vtd_reg64(vtd, DMAR_PQA_REG) = 0x1234000 | 7;
	*vtd_reg64(vtd, DMAR_PQH_REG) = 0;
	*vtd_reg64(vtd, DMAR_PQT_REG) = 0;
	hw = vtd_enable_prq(vtd);
	KUNIT_EXPECT_EQ(test, vtd->nr, 1);
	KUNIT_EXPECT_EQ(test, vtd->events[0].kind, VTD_CLEAR);
	KUNIT_EXPECT_EQ(test, vtd->events[0].bits, DMA_PRS_PPR | DMA_PRS_PRO);
	KUNIT_EXPECT_EQ(test, vtd->posted, 0);
	/*
	 * The thread has looked, for what came before there was an interrupt: it has written PPR,
	 * to what is memory here.
	 */
	KUNIT_EXPECT_EQ(test, *vtd_reg(vtd, DMAR_PRS_REG), DMA_PRS_PPR);
	KUNIT_EXPECT_EQ(test, hw->prq_losses, 0);
	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(hw), 0);
}

static void queue_starts_empty(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *hw;

	*vtd_reg64(vtd, DMAR_PQH_REG) = 0x40;
	*vtd_reg64(vtd, DMAR_PQT_REG) = 0xa0;
	hw = vtd_enable_prq(vtd);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQH_REG), 0);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQT_REG), 0);
	KUNIT_EXPECT_EQ(test, hw->prq_seq_number, 0);
	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(hw), 0);
}

static void vtd_hold_iopf_lock(struct work_struct *work)
{
	struct vtd *vtd = container_of(work, struct vtd, irq);

	guard(mutex)(&vtd->late->iopf_lock);
	complete(&vtd->locked);
	msleep(300);
}

/* It is in the middle of a request when the queue is taken down. */
static void late_thread_finds_no_stale_entries(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->late = vtd_enable_prq(vtd);
	init_completion(&vtd->locked);
	INIT_WORK(&vtd->irq, vtd_hold_iopf_lock);
	schedule_work(&vtd->irq);
	wait_for_completion(&vtd->locked);
	vtd_push_marker(vtd->late);
	irq_wake_thread(vtd->late->pr_irq, vtd->late);
	msleep(50);
	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(vtd->late), 0);
	KUNIT_EXPECT_EQ(test, vtd->late->prq_seq_number, 1);
	flush_work(&vtd->irq);
}

static const unsigned int vtd_event_regs[] = {
	DMAR_PECTL_REG, DMAR_PEDATA_REG, DMAR_PEADDR_REG, DMAR_PEUADDR_REG,
};

/* The IOMMU loses its power, and another kernel may have had it in between. */
static void vtd_sleep(struct vtd *vtd, struct intel_iommu *hw, u8 remains)
{
	intel_prq_suspend(hw);
	memset(vtd->regs, remains, DMAR_PEUADDR_REG + sizeof(u32));
	*vtd_reg(vtd, DMAR_PRS_REG) = 0;
	intel_prq_resume(hw);
}

static void registers_are_as_before_sleep(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	for (unsigned int i = 0; i < 3; i++)
		vtd_push_group(vtd, i);
	vtd_interrupt(vtd);
	for (unsigned int i = 0; i < ARRAY_SIZE(vtd_event_regs); i++)
		*vtd_reg(vtd, vtd_event_regs[i]) = 0x1000 + i;
	vtd_sleep(vtd, vtd->hw, 0);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQA_REG),
			virt_to_phys(vtd->hw->prq) | PRQ_ORDER);
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQH_REG), 3 * sizeof(struct page_req_dsc));
	KUNIT_EXPECT_EQ(test, *vtd_reg64(vtd, DMAR_PQT_REG), 3 * sizeof(struct page_req_dsc));
	for (unsigned int i = 0; i < ARRAY_SIZE(vtd_event_regs); i++)
		KUNIT_EXPECT_EQ(test, *vtd_reg(vtd, vtd_event_regs[i]), 0x1000 + i);
	vtd_detach_plain(vtd);
}

static void requests_in_the_ring_are_served_after_sleep(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_push_group(vtd, 0);
	vtd_interrupt(vtd);
	vtd_push_group(vtd, 1);
	vtd_push_group(vtd, 2);
	vtd_sleep(vtd, vtd->hw, 0x60);
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	/* Those, and nothing that is older; and the ring goes on behind them. */
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_seq_number, 3);
	vtd_push_group(vtd, 3);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 4);
	for (unsigned int i = 0; i < 4; i++)
		vtd_expect_response(vtd, i, i, 0);
	vtd_detach_plain(vtd);
}

/* Devices may have forgotten the rest of a group; once. */
static void sleep_counts_as_a_loss(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_sleep(vtd, vtd->hw, 0);
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_losses, 1);
	KUNIT_EXPECT_EQ(test, vtd_interrupt(vtd), IRQ_NONE);
	KUNIT_EXPECT_EQ(test, vtd->hw->prq_losses, 1);
}

/* No interrupt comes for what came in before. */
static void resume_has_the_ring_looked_at(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *hw;

	hw = vtd_enable_prq(vtd);
	vtd_push_marker(hw);
	vtd_sleep(vtd, hw, 0);
	synchronize_irq(hw->pr_irq);
	KUNIT_EXPECT_EQ(test, hw->prq_seq_number, 1);
	KUNIT_EXPECT_EQ(test, hw->prq_losses, 1);
	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(hw), 0);
}

static void vtd_sleep_work(struct work_struct *work)
{
	struct vtd *vtd = container_of(work, struct vtd, irq);

	while (READ_ONCE(vtd->task->__state) != TASK_UNINTERRUPTIBLE)
		cond_resched();
	vtd_sleep(vtd, vtd->hw, 0);
	vtd_interrupt(vtd);
}

static void drain_that_slept_goes_on(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	vtd_drain_while(vtd, vtd_ring_fills, vtd_sleep_work);
	KUNIT_EXPECT_EQ(test, vtd->groups, 1);
	flush_work(&vtd->irq);
	vtd_detach_plain(vtd);
}

/* Sleep takes away the bit that it waits for. */
static void drain_that_slept_over_an_overflow_goes_on(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_drain_while(vtd, vtd_ring_overflows_once, vtd_sleep_work);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
	flush_work(&vtd->irq);
}

static void iommu_without_a_queue_sleeps(struct kunit *test)
{
	struct intel_iommu *hw = kunit_kzalloc(test, sizeof(*hw), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, hw);
	intel_prq_suspend(hw);
	intel_prq_resume(hw);
	KUNIT_EXPECT_FALSE(test, hw->prq_resumed);
}

static void queue_is_set_up_and_taken_down(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct intel_iommu *hw;

	hw = vtd_enable_prq(vtd);
	KUNIT_EXPECT_NE(test, hw->pr_irq, 0);
	KUNIT_EXPECT_NOT_NULL(test, hw->iopf_queue);
	KUNIT_EXPECT_EQ(test, dmar_readq(hw->reg + DMAR_PQH_REG), 0);
	KUNIT_EXPECT_EQ(test, dmar_readq(hw->reg + DMAR_PQA_REG),
			virt_to_phys(hw->prq) | PRQ_ORDER);

	KUNIT_EXPECT_EQ(test, intel_iommu_finish_prq(hw), 0);
	KUNIT_EXPECT_EQ(test, dmar_readq(hw->reg + DMAR_PQA_REG), 0);
	KUNIT_EXPECT_EQ(test, hw->pr_irq, 0);
	KUNIT_EXPECT_NULL(test, hw->iopf_queue);
	KUNIT_EXPECT_NULL(test, hw->prq);
}

static struct kunit_case intel_svm_cases[] = {
	KUNIT_CASE_PARAM(each_missing_capability_is_named, vtd_lack_gen_params),
	KUNIT_CASE(nothing_else_is_asked_for),
	KUNIT_CASE(page_sizes_and_levels_follow_the_cpu),
	KUNIT_CASE(capable_iommu_is_marked),
	KUNIT_CASE(incapable_iommu_is_not_marked),
	KUNIT_CASE(legacy_mode_iommu_is_not_marked),
	KUNIT_CASE(incapable_iommu_has_no_domains),
	KUNIT_CASE(one_page_is_one_block),
	KUNIT_CASE(huge_pages_are_one_block),
	KUNIT_CASE(range_from_zero_is_split_by_size_alone),
	KUNIT_CASE(pages_across_an_alignment_are_two_blocks),
	KUNIT_CASE(bytes_within_pages_cover_the_pages),
	KUNIT_CASE(everything_is_one_block),
	KUNIT_CASE(end_of_the_address_space_is_everything),
	KUNIT_CASE(range_of_too_many_blocks_is_everything),
	KUNIT_CASE(random_ranges_are_covered_exactly),
	KUNIT_CASE(iotlb_descriptor_names_pasid_and_pages),
	KUNIT_CASE(iotlb_descriptor_of_everything_is_pasid_selective),
	KUNIT_CASE(iotlb_descriptor_has_no_invalidation_hint),
	KUNIT_CASE(atc_descriptor_names_device_and_pasid),
	KUNIT_CASE(atc_descriptor_holds_a_queue_depth_of_five_bits),
	KUNIT_CASE(atc_size_field_is_read_back_at_any_order),
	KUNIT_CASE(pasid_cache_descriptor_is_pasid_selective),
	KUNIT_CASE(flush_covers_random_ranges),
	KUNIT_CASE(iotlb_goes_before_atc_and_both_before_one_wait),
	KUNIT_CASE(flush_of_many_blocks_keeps_the_order),
	KUNIT_CASE(flush_reaches_each_device),
	KUNIT_CASE(flush_of_everything_carries_the_pasid),
	KUNIT_CASE(device_without_ats_hears_nothing),
	KUNIT_CASE(unplugged_device_hears_nothing),
	KUNIT_CASE(device_that_is_cut_off_hears_nothing),
	KUNIT_CASE(device_that_needs_it_is_told_twice),
	KUNIT_CASE(domain_without_devices_is_not_flushed),
	KUNIT_CASE(entry_says_first_stage_from_that_root),
	KUNIT_CASE(entry_has_as_many_levels_as_the_cpu),
	KUNIT_CASE(entry_allows_no_supervisor_requests),
	KUNIT_CASE(exit_entry_differs_in_fault_processing_only),
	KUNIT_CASE(attach_never_shows_half_an_entry),
	KUNIT_CASE(attach_over_remains_never_shows_them),
	KUNIT_CASE(release_is_one_store_and_then_a_flush),
	KUNIT_CASE_PARAM(release_waits_once_for_all_devices, vtd_many_gen_params),
	KUNIT_CASE(release_tells_twice_who_needs_it),
	KUNIT_CASE(detach_wipes_after_the_flush),
	KUNIT_CASE(detach_after_release_leaves_nothing),
	KUNIT_CASE(release_leaves_a_cleared_entry_alone),
	KUNIT_CASE(release_of_nothing_does_nothing),
	KUNIT_CASE(pasid_in_use_is_refused_and_left_alone),
	KUNIT_CASE(pasid_beyond_the_table_is_refused),
	KUNIT_CASE(device_of_another_iommu_is_not_mine),
	KUNIT_CASE(neighbours_in_a_table_do_not_meet),
	KUNIT_CASE(caching_mode_is_told_of_a_new_entry),
	KUNIT_CASE(incoherent_iommu_sees_the_same_stores),
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
	KUNIT_CASE(spurious_interrupt_is_not_handled),
	KUNIT_CASE(pending_bit_is_cleared_before_the_ring_is_read),
	KUNIT_CASE(ring_is_walked_in_order_and_around_its_end),
	KUNIT_CASE(overflow_is_cleared_when_the_ring_is_empty),
	KUNIT_CASE(overflow_of_an_empty_ring_is_handled),
	KUNIT_CASE(overflow_has_been_cleared_when_a_drain_is_woken),
	KUNIT_CASE(count_of_an_index_is_less_than_a_ring_ahead),
	KUNIT_CASE(drain_pushes_with_pasid_selective_flushes),
	KUNIT_CASE(drain_without_pasid_pushes_with_plain_flushes),
	KUNIT_CASE(drain_of_a_device_without_ats_has_no_atc_flush),
	KUNIT_CASE(drain_of_a_device_without_pri_does_nothing),
	KUNIT_CASE(drain_of_all_pasids_pushes_with_plain_flushes),
	KUNIT_CASE(drain_answers_what_hardware_still_held),
	KUNIT_CASE(drain_waits_for_the_interrupt_thread),
	KUNIT_CASE(drain_pushes_again_after_an_overflow),
	KUNIT_CASE(drain_notices_an_overflow_that_is_over),
	KUNIT_CASE(drain_ends_though_the_ring_overflows_for_ever),
	KUNIT_CASE(bound_entry_leads_to_the_user_half_only),
	KUNIT_CASE(munmap_has_flushed_when_it_returns),
	KUNIT_CASE(devices_of_one_iommu_share_the_iotlb_flush),
	KUNIT_CASE(unbind_drains_detaches_and_drains),
	KUNIT_CASE(flush_of_all_pasids_names_the_device_only),
	KUNIT_CASE(device_in_reset_is_not_told_of_invalidations),
	KUNIT_CASE(device_out_of_reset_forgets_all),
	KUNIT_CASE(request_from_before_the_reset_is_dropped),
	KUNIT_CASE(dma_with_a_pasid_that_is_not_bound_is_counted),
	KUNIT_CASE(dma_with_a_bound_pasid_is_no_stray),
	KUNIT_CASE(dma_of_an_unknown_function_is_nobodys),
	KUNIT_CASE(pasid_attached_without_a_handle_is_no_stray),
	KUNIT_CASE(device_is_kept_for_the_flushes_that_know_it),
	KUNIT_CASE(queue_starts_clean),
	KUNIT_CASE(queue_starts_empty),
	KUNIT_CASE(late_thread_finds_no_stale_entries),
	KUNIT_CASE(registers_are_as_before_sleep),
	KUNIT_CASE(requests_in_the_ring_are_served_after_sleep),
	KUNIT_CASE(sleep_counts_as_a_loss),
	KUNIT_CASE(resume_has_the_ring_looked_at),
	KUNIT_CASE(drain_that_slept_goes_on),
	KUNIT_CASE(drain_that_slept_over_an_overflow_goes_on),
	KUNIT_CASE(iommu_without_a_queue_sleeps),
	KUNIT_CASE(queue_is_set_up_and_taken_down),
	{}
};

static struct kunit_suite intel_svm_suite = {
	.name = "intel_svm",
	.init = intel_svm_test_init,
	.exit = intel_svm_test_exit,
	.test_cases = intel_svm_cases,
};

kunit_test_suite(intel_svm_suite);
