/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of the SMMUv3 back-end have in common
 *
 * There is no hardware. The queues are the driver's own, in memory, and so are their registers. The
 * command queue's two indices are one word, so each command counts as carried out at once; a test
 * reads the commands from the queue, in order, and decodes them as the SMMUv3 architecture
 * (IHI 0070) says. Page requests and events are put in by the test. Two PCI functions stand in an
 * IOMMU group each, on a fault queue, so that binding, faulting and draining go through the core.
 */
#ifndef _DRIVERS_IOMMU_TESTS_ARM_SMMU_V3_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_ARM_SMMU_V3_KUNIT_H

#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/completion.h>
#include <linux/iommu.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/workqueue.h>

#include "../arm-smmu-v3-sva.h"
#include "../iopf.h"
#include "backend_kunit.h"

#define SVA_SEED	700118
#define SVA_SSID	5
#define SVA_SSIDS	64
#define SVA_SID		0x310
#define SVA_PRIQ_SHIFT	4
#define SVA_PRIQ_SIZE	BIT(SVA_PRIQ_SHIFT)

/* Opcodes of commands */
#define OP_CFGI_STE	0x03
#define OP_CFGI_CD	0x05
#define OP_TLBI_ASID	0x11
#define OP_TLBI_VA	0x12
#define OP_ATC_INV	0x40
#define OP_PRI_RESP	0x41
#define OP_RESUME	0x44
#define OP_SYNC		0x46

/* A page request, chapter 8 */
#define REQ_SSV		BIT_ULL(63)
#define REQ_LAST	BIT_ULL(62)
#define REQ_W		BIT_ULL(61)
#define REQ_R		BIT_ULL(60)
#define REQ_X		BIT_ULL(59)
#define REQ_PRIV	BIT_ULL(58)
#define REQ_0(sid, ssid, bits)	((u64)(sid) | (u64)(ssid) << 32 | (bits))
#define REQ_1(addr, prg)	((addr) | (u64)(prg))

#define OVERFLOW	BIT(31)

struct smmu_fn {
	struct pci_dev pdev;
	struct dev_iommu param;
	struct iommu_fwspec fwspec;
	struct arm_smmu_master master;
	struct arm_smmu_stream stream;
	struct iommu_group *group;
};

/**
 * struct smmu_test - an SMMU, two functions behind it, and what they have seen
 * @test: whose priv it is
 * @smmu: its queues are in memory
 * @unit: of the IOMMU core, with operations that are the back-end's
 * @bus: where the functions are, with their configuration spaces
 * @absent: though they are not there any more
 * @deaf_sid: this one completes no ATC invalidations
 * @other: a second command queue, if the test has made one
 * @page: the SMMU's registers, but for the queues' indices
 * @reg: indices: of the command queue, then producer and consumer of the PRI and the event queue
 * @seen: where the test has read the command queue to
 * @fn: the functions
 * @sdom: an SVA domain for tests that do without an mm
 * @plain: for tests of queues
 * @irq: stands for an interrupt thread, where the test must wait for it
 * @disable: stands for a thread that disables the faults of the first function
 * @holder: holds a lock while the test drains
 * @held: @holder has it
 * @drains: the test is about to drain
 * @task: the test's
 */
struct smmu_test {
	struct kunit *test;
	struct arm_smmu_device *smmu;
	struct iommu_device unit;
	struct pci_bus *bus;
	bool absent;
	u32 deaf_sid;
	struct arm_smmu_cmdq *other;
	void *page;
	u32 *reg;
	u32 seen;
	struct smmu_fn *fn[2];
	struct smmu_sva_domain sdom;
	struct backend_domain plain;
	struct work_struct irq;
	struct work_struct disable;
	struct work_struct holder;
	struct completion held;
	struct completion drains;
	struct task_struct *task;
};

/* arm_smmu_v3_kunit.c */
int smmu_test_init(struct kunit *test);
void smmu_test_exit(struct kunit *test);
void smmu_enable(struct smmu_test *t, u32 queues);
u32 *smmu_add_queue(struct smmu_test *t);
void smmu_use_queue(struct smmu_test *t, bool use);
void smmu_init_queue(struct smmu_test *t, struct arm_smmu_queue *q, unsigned int shift, u32 *prod,
		     u32 *cons, size_t dwords);

/* Commands */

struct smmu_cmd {
	u64 w[CMDQ_ENT_DWORDS];
};

static inline unsigned int cmd_op(const struct smmu_cmd *cmd)
{
	return FIELD_GET(GENMASK_ULL(7, 0), cmd->w[0]);
}

/* ATC_INV, PRI_RESP and CFGI_CD have these in the same place. */
static inline u32 cmd_sid(const struct smmu_cmd *cmd)
{
	return FIELD_GET(GENMASK_ULL(63, 32), cmd->w[0]);
}

static inline u32 cmd_ssid(const struct smmu_cmd *cmd)
{
	return FIELD_GET(GENMASK_ULL(31, 12), cmd->w[0]);
}

static inline bool cmd_has_ssid(const struct smmu_cmd *cmd)
{
	return cmd->w[0] & BIT_ULL(11);
}

static inline unsigned int cmd_atc_order(const struct smmu_cmd *cmd)
{
	return FIELD_GET(GENMASK_ULL(5, 0), cmd->w[1]);
}

static inline u64 cmd_atc_pfn(const struct smmu_cmd *cmd)
{
	return cmd->w[1] >> 12;
}

static inline bool next_cmd(struct smmu_test *t, struct smmu_cmd *cmd)
{
	const struct arm_smmu_queue *q = &t->smmu->cmdq.q;
	const u32 mask = BIT(q->llq.max_n_shift) - 1;

	*cmd = (struct smmu_cmd){};
	if (((t->seen ^ t->reg[0]) & mask) == 0)
		return false;
	for (unsigned int i = 0; i < CMDQ_ENT_DWORDS; i++)
		cmd->w[i] = le64_to_cpu(q->base[(t->seen & mask) * CMDQ_ENT_DWORDS + i]);
	t->seen++;
	return true;
}

static inline void skip_cmds(struct smmu_test *t)
{
	t->seen = t->reg[0];
}

static inline struct smmu_cmd expect_cmd(struct smmu_test *t, unsigned int op)
{
	struct smmu_cmd cmd;

	KUNIT_ASSERT_TRUE(t->test, next_cmd(t, &cmd));
	KUNIT_ASSERT_EQ(t->test, cmd_op(&cmd), op);
	return cmd;
}

static inline void expect_no_cmd(struct smmu_test *t)
{
	struct smmu_cmd cmd;

	KUNIT_EXPECT_FALSE_MSG(t->test, next_cmd(t, &cmd), "unexpected command %#x", cmd_op(&cmd));
}

/* Passes over commands up to and including the next of that kind. */
static inline bool find_cmd(struct smmu_test *t, unsigned int op, struct smmu_cmd *cmd)
{
	while (next_cmd(t, cmd))
		if (cmd_op(cmd) == op)
			return true;
	return false;
}

static inline unsigned int atc_commands_of(struct smmu_test *t, u32 sid)
{
	struct smmu_cmd cmd;
	unsigned int n = 0;

	while (next_cmd(t, &cmd))
		n += cmd_op(&cmd) == OP_ATC_INV && cmd_sid(&cmd) == sid;
	return n;
}

/* Attaching, flushing, binding */

static inline struct arm_smmu_cd *smmu_cd(struct smmu_test *t, unsigned int n, u32 ssid)
{
	return arm_smmu_get_cd_ptr(&t->fn[n]->master, ssid);
}

static inline bool cd_is_valid(const struct arm_smmu_cd *cd)
{
	return le64_to_cpu(cd->data[0]) & BIT_ULL(31);
}

/* Attached by hand, with a CD that leads nowhere yet */
static inline void attach_both(struct smmu_test *t)
{
	struct arm_smmu_cd cd;

	for (unsigned int n = 0; n < 2; n++) {
		struct arm_smmu_master *master = &t->fn[n]->master;

		KUNIT_ASSERT_EQ(t->test, arm_smmu_sva_add_dev(&t->sdom, master, SVA_SSID), 0);
		arm_smmu_make_sva_cd(&cd, master, &init_mm, t->sdom.smmu_domain.cd.asid);
		arm_smmu_write_cd_entry(master, SVA_SSID, smmu_cd(t, n, SVA_SSID), &cd);
	}
	skip_cmds(t);
}

/* Those of both devices abort in silence. */
static inline void expect_quiet_cds(struct smmu_test *t)
{
	struct arm_smmu_cd quiet;

	for (unsigned int n = 0; n < 2; n++) {
		arm_smmu_make_sva_cd(&quiet, &t->fn[n]->master, NULL,
				     t->sdom.smmu_domain.cd.asid);
		KUNIT_EXPECT_MEMEQ(t->test, smmu_cd(t, n, SVA_SSID), &quiet, sizeof(quiet));
	}
}

static inline void detach(struct smmu_test *t, unsigned int n)
{
	guard(mutex)(&t->fn[n]->master.lock);
	arm_smmu_sva_detach(&t->sdom.smmu_domain.domain, &t->fn[n]->master, SVA_SSID);
}

static inline void detach_both(struct smmu_test *t)
{
	detach(t, 0);
	detach(t, 1);
}

static inline void invalidate(struct smmu_test *t, unsigned long start, unsigned long end)
{
	arm_smmu_sva_ops.invalidate_range(&t->sdom.smmu_domain.domain, start, end);
}

static inline struct iommu_sva *bind(struct smmu_test *t, unsigned int n)
{
	return backend_bind(t->test, &t->fn[n]->pdev.dev);
}

/* Page requests */

static inline void smmu_forget_pri(struct smmu_test *t)
{
	for (unsigned int n = 0; n < 2; n++) {
		t->fn[n]->pdev.pri_enabled = false;
		t->fn[n]->master.pri_enabled = false;
	}
}

/* What hardware does with a page request. Returns false if it was discarded. */
static inline bool push_request(struct smmu_test *t, u64 w0, u64 w1)
{
	struct arm_smmu_queue *q = &t->smmu->priq.q;
	u32 *prod = &t->reg[1], *cons = &t->reg[2];
	u32 mask = 2 * SVA_PRIQ_SIZE - 1, next;

	if ((*prod ^ *cons) & OVERFLOW)
		return false;
	if (((*prod - *cons) & mask) == SVA_PRIQ_SIZE) {
		*prod ^= OVERFLOW;
		return false;
	}
	next = (*prod & mask) % SVA_PRIQ_SIZE * PRIQ_ENT_DWORDS;
	q->base[next] = cpu_to_le64(w0);
	q->base[next + 1] = cpu_to_le64(w1);
	*prod = (*prod & OVERFLOW) | ((*prod + 1) & mask);
	return true;
}

static inline bool push_last(struct smmu_test *t, unsigned int prg)
{
	return push_request(t, REQ_0(SVA_SID, SVA_SSID, REQ_SSV | REQ_LAST | REQ_R),
			    REQ_1(0x1000, prg));
}

static inline bool priq_is_empty(struct smmu_test *t)
{
	return t->reg[1] == t->reg[2];
}

static inline void interrupt(struct smmu_test *t)
{
	KUNIT_EXPECT_EQ(t->test, arm_smmu_sva_priq_thread(t->smmu), IRQ_HANDLED);
	KUNIT_EXPECT_TRUE(t->test, priq_is_empty(t));
}

static inline void attach_plain(struct smmu_test *t)
{
	backend_attach(t->test, &t->plain, &t->fn[0]->pdev.dev, SVA_SSID);
}

static inline void detach_plain(struct smmu_test *t)
{
	iommu_detach_device_pasid(&t->plain.domain, &t->fn[0]->pdev.dev, SVA_SSID);
}

static inline void expect_response(struct smmu_test *t, unsigned int prg, unsigned int code)
{
	struct smmu_cmd cmd = expect_cmd(t, OP_PRI_RESP);

	KUNIT_EXPECT_EQ(t->test, FIELD_GET(GENMASK_ULL(8, 0), cmd.w[1]), prg);
	KUNIT_EXPECT_EQ(t->test, FIELD_GET(GENMASK_ULL(13, 12), cmd.w[1]), code);
}

/* As the base driver asks after a second of polls */
static inline bool smmu_waits_on(struct smmu_test *t, struct arm_smmu_sva_wait *wait)
{
	guard(irqsave)();
	return arm_smmu_sva_wait_on(t->smmu, &t->smmu->cmdq, wait);
}

#endif /* _DRIVERS_IOMMU_TESTS_ARM_SMMU_V3_KUNIT_H */
