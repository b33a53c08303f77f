/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of AMD's back-end have in common
 *
 * There is no hardware. The registers of the IOMMU and its PPR log are memory; commands and stores
 * to GCR3 entries arrive here instead of there, one event each, in the order in which hardware
 * would see them. A test reads them as AMD's publication 48882 says that hardware does. Two PCI
 * functions stand in an IOMMU group each, on a fault queue, so that binding, faulting and draining
 * go through the core.
 */
#ifndef _DRIVERS_IOMMU_TESTS_AMD_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_AMD_KUNIT_H

#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/pci.h>

#include "../amd-sva.h"
#include "../iopf.h"
#include "backend_kunit.h"

#define AMDVI_SEED		6120117
#define AMDVI_EVENTS		2048
#define AMDVI_DEVS		20
/* In the second level of a GCR3 table of two */
#define AMDVI_PASID		0x2345
#define AMDVI_MAX_PASIDS	0x4000
#define AMDVI_ROOT		0x12345000ULL
#define AMDVI_BUS		0x3a
/* scan-log knows it. */
#define AMDVI_INDEX		9999
#define AMDVI_REGS		SZ_16K
/* What SVA needs, and no more: PPR, GT, GLX for 27 bits, PASmax of 16 bits, EPH, five levels */
#define AMDVI_EFR		(BIT_ULL(1) | BIT_ULL(4) | 1ULL << 12 | 2ULL << 14 | 15ULL << 32 | \
				 BIT_ULL(50))

/* Command opcodes (2.4) */
#define AMDVI_WAIT		1
#define AMDVI_PAGES		3
#define AMDVI_ATC		4
#define AMDVI_RESPONSE		7

enum amdvi_event_kind {
	AMDVI_STORE,		/* to a GCR3 entry: val is what hardware sees after it */
	AMDVI_CMD,		/* a command */
	AMDVI_SUBMITTED,	/* those above; waited: a COMPLETION_WAIT is behind them */
};

struct amdvi_event {
	enum amdvi_event_kind kind;
	u64 qw[2];
	bool waited;
	u64 *entry;
	u64 val;
};

struct amdvi_dev {
	struct pci_dev pdev;
	struct iommu_dev_data data;
	struct dev_iommu param;
	struct iommu_group *group;
	bool absent;
};

/**
 * struct amdvi - an IOMMU, functions behind it, and what they have seen
 * @test: whose priv it is
 * @hw: the IOMMU
 * @seg: the PCI segment of all functions
 * @regs: memory that &amd_iommu.mmio_base points to
 * @sdom: an SVA domain for tests that do without an mm
 * @dev: the functions; two of them unless a test adds more
 * @plain: for tests of the PPR log
 * @events: in order
 * @nr: how many
 * @on_submit: called with each submission, before it completes
 * @fail: what the next submission that is waited for returns; once
 * @fail_early: the same of one that is not waited for
 * @started: events until the first half of a flush was over
 * @looks: how often a thread has looked for what has not happened yet
 * @stopped: the PPR log has overflowed, and not been started again
 * @restarts: how often it was
 * @losses: amd_sva_iommu.losses when it was last
 * @efr: what amd_iommu_efr was before the test
 * @snp: the same of amd_iommu_snp_en
 */
struct amdvi {
	struct kunit *test;
	struct amd_iommu *hw;
	struct amd_iommu_pci_seg *seg;
	void *regs;
	struct amd_sva_domain sdom;
	struct amdvi_dev *dev[AMDVI_DEVS];
	struct backend_domain plain;
	struct amdvi_event *events;
	unsigned int nr;
	void (*on_submit)(struct amdvi *vi, bool wait);
	int fail;
	int fail_early;
	unsigned int started;
	unsigned int looks;
	bool stopped;
	unsigned int restarts;
	unsigned long losses;
	u64 efr;
	bool snp;
};

/* amd_kunit.c */
int amdvi_test_init(struct kunit *test);
void amdvi_test_exit(struct kunit *test);
void amdvi_add_dev(struct amdvi *vi, unsigned int n);

static inline u32 *amdvi_reg(struct amdvi *vi, unsigned int reg)
{
	return vi->regs + reg;
}

static inline u16 amdvi_devid(unsigned int n)
{
	return PCI_DEVID(AMDVI_BUS, PCI_DEVFN(2 + n, 1));
}

/* Each function has a DomainID of its own for its guest translations. */
static inline u16 amdvi_domid(unsigned int n)
{
	return 0x4321 + n;
}

/* Reading commands as the IOMMU and the device do */

static inline unsigned int amdvi_code(const struct amdvi_event *event)
{
	return event->kind == AMDVI_CMD ? event->qw[0] >> 60 : 0;
}

static inline void amdvi_read_cmd(const struct amd_sva_cmd *cmd, struct amdvi_event *event)
{
	*event = (struct amdvi_event){
		.kind = AMDVI_CMD,
		.qw = { cmd->data[0] | (u64)cmd->data[1] << 32,
			cmd->data[2] | (u64)cmd->data[3] << 32 },
	};
}

/* 2.4.3: with S, the lowest zero bit of the address says how much of it counts. */
static inline unsigned int amdvi_order(const struct amdvi_event *event)
{
	if (!(event->qw[1] & BIT_ULL(0)))
		return 0;
	return ffz(event->qw[1] >> 12) + 1;
}

static inline u64 amdvi_pfn(const struct amdvi_event *event)
{
	unsigned int order = amdvi_order(event);

	return order >= SVA_ORDER_ALL ? 0 : event->qw[1] >> 12 >> order << order;
}

/* The PASID is somewhere else in each command (2.4.3, 2.4.4, 2.4.7). Only with GN there is one. */
static inline u32 amdvi_cmd_pasid(const struct amdvi_event *event)
{
	if (!(event->qw[1] & BIT_ULL(2)))
		return IOMMU_PASID_INVALID;
	switch (amdvi_code(event)) {
	case AMDVI_PAGES:
		return FIELD_GET(GENMASK_ULL(19, 0), event->qw[0]);
	case AMDVI_ATC:
		return FIELD_GET(GENMASK_ULL(55, 48), event->qw[0]) |
		       FIELD_GET(GENMASK_ULL(23, 16), event->qw[0]) << 8 |
		       FIELD_GET(GENMASK_ULL(59, 56), event->qw[0]) << 16;
	case AMDVI_RESPONSE:
		return FIELD_GET(GENMASK_ULL(51, 32), event->qw[0]);
	}
	return IOMMU_PASID_INVALID;
}

/* Of INVALIDATE_IOMMU_PAGES */
static inline u16 amdvi_cmd_domid(const struct amdvi_event *event)
{
	return FIELD_GET(GENMASK_ULL(47, 32), event->qw[0]);
}

/* Of INVALIDATE_IOTLB_PAGES and COMPLETE_PPR_REQUEST */
static inline u16 amdvi_cmd_devid(const struct amdvi_event *event)
{
	return FIELD_GET(GENMASK_ULL(15, 0), event->qw[0]);
}

static inline const struct amdvi_event *amdvi_find(struct amdvi *vi, unsigned int code,
						   unsigned int n)
{
	for (unsigned int i = 0; i < vi->nr; i++)
		if (amdvi_code(&vi->events[i]) == code && !n--)
			return &vi->events[i];
	return NULL;
}

static inline unsigned int amdvi_count(struct amdvi *vi, unsigned int code)
{
	unsigned int n = 0;

	while (amdvi_find(vi, code, n))
		n++;
	return n;
}

static inline bool amdvi_covers(struct amdvi *vi, unsigned int code, u64 pfn)
{
	const struct amdvi_event *event;

	for (unsigned int n = 0; (event = amdvi_find(vi, code, n)); n++)
		if ((pfn - amdvi_pfn(event)) >> amdvi_order(event) == 0)
			return true;
	return false;
}

/* Submissions that were waited for */
static inline unsigned int amdvi_waits(struct amdvi *vi)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < vi->nr; i++)
		n += vi->events[i].kind == AMDVI_SUBMITTED && vi->events[i].waited;
	return n;
}

/* Attaching, flushing, binding */

static inline int amdvi_attach(struct amdvi *vi, unsigned int n)
{
	return amd_sva_attach(&vi->sdom, &vi->dev[n]->pdev.dev, AMDVI_PASID, AMDVI_ROOT);
}

static inline void amdvi_detach(struct amdvi *vi, unsigned int n)
{
	amd_iommu_remove_dev_pasid(&vi->dev[n]->pdev.dev, AMDVI_PASID, &vi->sdom.domain);
}

/* For tests of flushes: attached devices, and nothing seen yet */
static inline void amdvi_attach_both(struct amdvi *vi)
{
	KUNIT_ASSERT_EQ(vi->test, amdvi_attach(vi, 0), 0);
	KUNIT_ASSERT_EQ(vi->test, amdvi_attach(vi, 1), 0);
	vi->nr = 0;
}

static inline void amdvi_detach_both(struct amdvi *vi)
{
	amdvi_detach(vi, 0);
	amdvi_detach(vi, 1);
}

static inline void amdvi_invalidate(struct amdvi *vi, unsigned long start, unsigned long end)
{
	amd_sva_ops.invalidate_range(&vi->sdom.domain, start, end);
}

/* Both halves of a flush; what happens in between is @between's. */
static inline void amdvi_flush_in_halves(struct amdvi *vi, const struct iommu_sva_range *range,
					 void (*between)(struct amdvi *vi))
{
	u64 notes[IOMMU_SVA_FLUSH_NOTES];

	guard(rcu)();
	KUNIT_ASSERT_TRUE(vi->test, amd_sva_ops.start_flush(&vi->sdom.domain, range, notes));
	between(vi);
	KUNIT_EXPECT_TRUE(vi->test, amd_sva_ops.await_flush(&vi->sdom.domain, range, notes));
}

static inline struct iommu_sva *amdvi_bind(struct amdvi *vi, unsigned int n)
{
	return backend_bind(vi->test, &vi->dev[n]->pdev.dev);
}

/* The GCR3 entry as hardware finds it: a table of two levels (2.2.6.3); NULL without a table */
static inline u64 *amdvi_entry(struct amdvi *vi, unsigned int n, u32 pasid)
{
	u64 first = vi->dev[n]->data.gcr3_info.gcr3_tbl[pasid >> 9 & 0x1ff];
	u64 *table = phys_to_virt(first & GENMASK_ULL(51, 12));

	return first & 1 ? &table[pasid & 0x1ff] : NULL;
}

/* Page requests (2.6), and their entries in the log */

#define AMDVI_X			BIT(1)
#define AMDVI_R			BIT(2)
#define AMDVI_W			BIT(5)
#define AMDVI_US		BIT(6)
#define AMDVI_GN		BIT(8)
#define AMDVI_LAST		BIT(9)	/* of the tag */

static inline u64 amdvi_ppr_0(u16 devid, u32 pasid, u16 tag, u16 flags)
{
	return devid | (pasid & 0xffffULL) << 16 | (u64)tag << 32 | (u64)(pasid >> 16) << 42 |
	       (u64)flags << 48 | BIT_ULL(60);
}

/* What hardware does with a page request, if there is room */
static inline void amdvi_push(struct amdvi *vi, u64 qw0, u64 addr)
{
	u32 *tail = amdvi_reg(vi, MMIO_PPR_TAIL_OFFSET);
	u64 *entry = (u64 *)(vi->hw->ppr_log + *tail);

	KUNIT_ASSERT_LT(vi->test, *tail, amd_iommu_pprlog_size);
	entry[0] = qw0;
	entry[1] = addr;
	*tail = (*tail + PPRLOG_ENTRY_SIZE) % amd_iommu_pprlog_size;
	KUNIT_ASSERT_NE(vi->test, *tail, *amdvi_reg(vi, MMIO_PPR_HEAD_OFFSET));
}

static inline void amdvi_push_group(struct amdvi *vi, unsigned int prg)
{
	amdvi_push(vi, amdvi_ppr_0(amdvi_devid(0), AMDVI_PASID, prg | AMDVI_LAST,
				   AMDVI_R | AMDVI_US | AMDVI_GN), 0x1000);
}

static inline void amdvi_interrupt(struct amdvi *vi)
{
	amd_iommu_poll_ppr_log(vi->hw);
}

static inline void amdvi_attach_plain(struct amdvi *vi)
{
	backend_attach(vi->test, &vi->plain, &vi->dev[0]->pdev.dev, AMDVI_PASID);
}

static inline void amdvi_detach_plain(struct amdvi *vi)
{
	iommu_detach_device_pasid(&vi->plain.domain, &vi->dev[0]->pdev.dev, AMDVI_PASID);
}

/* A drain takes a response as sent when the back-end returns: each has to be waited for. */
static inline void amdvi_expect_response(struct amdvi *vi, unsigned int n, unsigned int prg,
					 unsigned int code)
{
	const struct amdvi_event *event = amdvi_find(vi, AMDVI_RESPONSE, n);

	KUNIT_ASSERT_NOT_NULL(vi->test, event);
	KUNIT_EXPECT_EQ(vi->test, FIELD_GET(GENMASK_ULL(41, 32), event->qw[1]), prg);
	KUNIT_EXPECT_EQ(vi->test, FIELD_GET(GENMASK_ULL(47, 44), event->qw[1]), code);
	while (event->kind == AMDVI_CMD && event < &vi->events[vi->nr])
		event++;
	KUNIT_EXPECT_TRUE(vi->test, event->kind == AMDVI_SUBMITTED && event->waited);
}

#endif /* _DRIVERS_IOMMU_TESTS_AMD_KUNIT_H */
