/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of VT-d's back-end have in common
 *
 * There is no hardware. The registers of the IOMMU are memory; descriptors and stores to PASID
 * entries arrive here instead of there, one event each, in the order in which hardware would see
 * them. A test reads them as VT-d 4.1 says that hardware does. Two PCI functions stand in an IOMMU
 * group each, on a fault queue, so that binding, faulting and draining go through the core.
 */
#ifndef _DRIVERS_IOMMU_TESTS_INTEL_VTD_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_INTEL_VTD_KUNIT_H

#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/iommu.h>
#include <linux/irq_work.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>

#include "../intel-svm.h"
#include "../iopf.h"
#include "backend_kunit.h"

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
#define VTD_ATC_UNTAGGED	3	/* without a PASID */
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
	bool absent;
};

/**
 * struct vtd - an IOMMU, functions behind it, and what they have seen
 * @test: whose priv it is
 * @hw: the IOMMU
 * @unit: of the IOMMU core, with operations that are the back-end's
 * @regs: memory that &intel_iommu.reg points to
 * @sdom: an SVA domain for tests that do without an mm
 * @dev: the functions; two of them unless a test adds more
 * @plain: for tests of the page request queue
 * @events: in order
 * @nr: how many
 * @on_submit: called with each submission, before it completes
 * @irq: stands for the interrupt thread, where a test must wait for it
 * @task: the test's
 * @posted: page request status bits that are being cleared: a read of the register pushes the write
 * @late: an IOMMU with a queue and an interrupt of its own
 * @locked: its lock is held
 * @ends: the test is about to take the queue down
 * @grace: an RCU grace period after this one is over
 */
struct vtd {
	struct kunit *test;
	struct intel_iommu *hw;
	struct iommu_device unit;
	void *regs;
	struct svm_domain sdom;
	struct vtd_dev *dev[VTD_DEVS];
	struct backend_domain plain;
	struct vtd_event *events;
	unsigned int nr;
	void (*on_submit)(struct vtd *vtd, unsigned long options);
	struct work_struct irq;
	struct task_struct *task;
	u32 posted;
	struct intel_iommu *late;
	struct completion locked;
	struct completion ends;
	struct rcu_gp_oldstate grace;
};

/* intel_vtd_kunit.c */
int vtd_test_init(struct kunit *test);
void vtd_test_exit(struct kunit *test);
void vtd_add_dev(struct vtd *vtd, unsigned int n);
void vtd_add_queue(struct vtd *vtd);

static inline u32 *vtd_reg(struct vtd *vtd, unsigned int reg)
{
	return vtd->regs + reg;
}

static inline u64 *vtd_reg64(struct vtd *vtd, unsigned int reg)
{
	return vtd->regs + reg;
}

/* Reading descriptors as the IOMMU and the device do */

static inline unsigned int vtd_type(const struct vtd_event *event)
{
	return event->kind == VTD_DESC ? event->desc.qw0 & 0xf : 0;
}

/* 6.5.2.4: pages that a PASID-based IOTLB invalidation covers; order 52 is all. */
static inline u64 vtd_iotlb_pfn(const struct qi_desc *desc)
{
	return desc->qw1 >> 12;
}

static inline unsigned int vtd_iotlb_order(const struct qi_desc *desc)
{
	if (FIELD_GET(GENMASK_ULL(5, 4), desc->qw0) == 2)
		return SVA_ORDER_ALL;
	return FIELD_GET(GENMASK_ULL(5, 0), desc->qw1);
}

/* 6.5.2.6: with S, the lowest zero bit of the address says how much of it counts. */
static inline unsigned int vtd_atc_order(const struct qi_desc *desc)
{
	if (!(desc->qw1 & BIT_ULL(11)))
		return 0;
	return ffz(desc->qw1 >> 12) + 1;
}

static inline u64 vtd_atc_pfn(const struct qi_desc *desc)
{
	unsigned int order = vtd_atc_order(desc);

	return order == SVA_ORDER_ALL ? 0 : desc->qw1 >> 12 >> order << order;
}

static inline const struct vtd_event *vtd_find(struct vtd *vtd, unsigned int type,
					       unsigned int n)
{
	for (unsigned int i = 0; i < vtd->nr; i++)
		if (vtd_type(&vtd->events[i]) == type && !n--)
			return &vtd->events[i];
	return NULL;
}

static inline unsigned int vtd_count(struct vtd *vtd, unsigned int type)
{
	unsigned int n = 0;

	while (vtd_find(vtd, type, n))
		n++;
	return n;
}

/* ATC invalidations that name a device, with or without a PASID */
static inline unsigned int vtd_count_atc(struct vtd *vtd, u16 rid)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < vtd->nr; i++) {
		u64 qw0 = vtd->events[i].desc.qw0;
		unsigned int type = vtd_type(&vtd->events[i]);

		n += type == VTD_ATC && FIELD_GET(GENMASK_ULL(31, 16), qw0) == rid;
		n += type == VTD_ATC_UNTAGGED && FIELD_GET(GENMASK_ULL(47, 32), qw0) == rid;
	}
	return n;
}

static inline unsigned int vtd_submissions(struct vtd *vtd)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < vtd->nr; i++)
		n += vtd->events[i].kind == VTD_SUBMITTED;
	return n;
}

/* Attaching, flushing, binding */

static inline int vtd_attach(struct vtd *vtd, unsigned int n)
{
	return intel_svm_attach(&vtd->sdom, &vtd->dev[n]->pdev.dev, VTD_PASID, VTD_ROOT);
}

static inline void vtd_detach(struct vtd *vtd, unsigned int n)
{
	intel_svm_remove_dev_pasid(&vtd->sdom.domain, &vtd->dev[n]->pdev.dev, VTD_PASID);
}

/* For tests of flushes: attached devices, and nothing seen yet */
static inline void vtd_attach_both(struct vtd *vtd)
{
	KUNIT_ASSERT_EQ(vtd->test, vtd_attach(vtd, 0), 0);
	KUNIT_ASSERT_EQ(vtd->test, vtd_attach(vtd, 1), 0);
	vtd->nr = 0;
}

static inline void vtd_detach_both(struct vtd *vtd)
{
	vtd_detach(vtd, 0);
	vtd_detach(vtd, 1);
}

static inline void vtd_invalidate(struct vtd *vtd, unsigned long start, unsigned long end)
{
	intel_sva_ops.invalidate_range(&vtd->sdom.domain, start, end);
}

static inline struct iommu_sva *vtd_bind(struct vtd *vtd, unsigned int n)
{
	return backend_bind(vtd->test, &vtd->dev[n]->pdev.dev);
}

/* Page requests */

#define VTD_REQ_0(rid, pasid)	(1 | BIT_ULL(8) | (u64)(rid) << 16 | (u64)(pasid) << 32)
#define VTD_REQ_1(addr, prg, bits)	((addr) | (u64)(prg) << 3 | (bits))
#define VTD_R			1
#define VTD_W			2
#define VTD_L			4
#define VTD_RID			0x3a11
#define VTD_RID_1		0x3a19

/* What hardware does with a page request, if there is room */
static inline void vtd_push(struct vtd *vtd, u64 qw0, u64 qw1)
{
	u64 *tail = vtd_reg64(vtd, DMAR_PQT_REG);
	struct page_req_dsc *ring = vtd->hw->prq;

	KUNIT_ASSERT_LT(vtd->test, *tail, PRQ_ENTRIES * sizeof(*ring));
	ring[*tail / sizeof(*ring)] = (struct page_req_dsc){ .qw = { qw0, qw1 } };
	*tail = (*tail + sizeof(*ring)) % (PRQ_ENTRIES * sizeof(*ring));
	KUNIT_ASSERT_NE(vtd->test, *tail, *vtd_reg64(vtd, DMAR_PQH_REG));
	*vtd_reg(vtd, DMAR_PRS_REG) |= DMA_PRS_PPR;
}

static inline void vtd_push_group(struct vtd *vtd, unsigned int prg)
{
	vtd_push(vtd, VTD_REQ_0(VTD_RID, VTD_PASID), VTD_REQ_1(0x1000, prg, VTD_R | VTD_L));
}

static inline irqreturn_t vtd_interrupt(struct vtd *vtd)
{
	return intel_prq_thread(0, vtd->hw);
}

static inline void vtd_attach_plain(struct vtd *vtd)
{
	backend_attach(vtd->test, &vtd->plain, &vtd->dev[0]->pdev.dev, VTD_PASID);
}

static inline void vtd_detach_plain(struct vtd *vtd)
{
	iommu_detach_device_pasid(&vtd->plain.domain, &vtd->dev[0]->pdev.dev, VTD_PASID);
}

static inline void vtd_expect_response(struct vtd *vtd, unsigned int n, unsigned int prg,
				       unsigned int code)
{
	const struct vtd_event *event = vtd_find(vtd, VTD_RESPONSE, n);

	KUNIT_ASSERT_NOT_NULL(vtd->test, event);
	KUNIT_EXPECT_EQ(vtd->test, FIELD_GET(GENMASK_ULL(11, 3), event->desc.qw1), prg);
	KUNIT_EXPECT_EQ(vtd->test, FIELD_GET(GENMASK_ULL(15, 12), event->desc.qw0), code);
}

/*
 * The IOMMU loses its power, and another kernel may have had it in between. As in syscore,
 * interrupts are off, and no task may be woken up before they are on.
 */
static inline void vtd_sleep(struct vtd *vtd, struct intel_iommu *hw, u8 remains)
{
	bool waits;

	local_irq_disable();
	intel_prq_suspend(hw);
	memset(vtd->regs, remains, DMAR_PEUADDR_REG + sizeof(u32));
	*vtd_reg(vtd, DMAR_PRS_REG) = 0;
	intel_prq_resume(hw);
	waits = irq_work_is_pending(&hw->prq_awake);
	local_irq_enable();
	KUNIT_EXPECT_TRUE(vtd->test, waits);
	irq_work_sync(&hw->prq_awake);
}

#endif /* _DRIVERS_IOMMU_TESTS_INTEL_VTD_KUNIT_H */
