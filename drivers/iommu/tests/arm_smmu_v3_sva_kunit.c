// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: flushes, page requests, stalls, drains
 *
 * There is no hardware. The queues are the driver's own, in memory, and so are their registers. The
 * command queue's two indices are one word, so each command counts as carried out at once; a test
 * reads the commands from the queue, in order, and decodes them as the SMMUv3 architecture
 * (IHI 0070) says. Page requests and events are put in by the test. Two PCI functions stand in an
 * IOMMU group each, on a fault queue, so that binding, faulting and draining go through the core.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pci.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "../arm-smmu-v3-sva.h"
#include "sva_stage.h"
#include "map_touched.h"

#define SVA_SEED	700118
#define SVA_SSID	5
#define SVA_SSIDS	64
#define SVA_SID		0x310
#define SVA_PRIQ_SHIFT	4
#define SVA_PRIQ_SIZE	BIT(SVA_PRIQ_SHIFT)

/* Opcodes of commands */
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

/* An event, chapter 7 */
#define EVT_BAD_SUBSTREAMID	0x08
#define EVT_BAD_CD		0x0a
#define EVT_TRANSLATION		0x10
#define EVT_SSV			BIT_ULL(11)

struct smmu_fn {
	struct pci_dev pdev;
	struct dev_iommu param;
	struct iommu_fwspec fwspec;
	struct arm_smmu_master master;
	struct arm_smmu_stream stream;
	struct iommu_group *group;
	struct iommu_attach_handle handle;
};

/**
 * struct smmu_test - an SMMU, two functions behind it, and what they have seen
 * @test: whose priv it is
 * @smmu: its queues are in memory
 * @unit: of the IOMMU core, with operations that are the back-end's
 * @reg: indices: of the command queue, then producer and consumer of the PRI and the event queue
 * @seen: where the test has read the command queue to
 * @fn: the functions
 * @sdom: an SVA domain for tests that do without an mm
 * @plain: a domain that takes page faults, for tests of queues
 * @answer: what @plain's handler says
 * @last: the last page of the latest group that @plain's handler got
 * @pages: of that group
 * @groups: how many it got
 * @held: the group that @plain's handler keeps, if @hold
 * @hold: do not answer
 * @irq: stands for an interrupt thread, where the test must wait for it
 * @drain: stands for a thread that drains the faults of the first function
 * @drained: @drain has done so
 * @task: the test's
 */
struct smmu_test {
	struct kunit *test;
	struct arm_smmu_device *smmu;
	struct iommu_device unit;
	u32 *reg;
	u32 seen;
	struct smmu_fn *fn[2];
	struct smmu_sva_domain sdom;
	struct iommu_domain plain;
	enum iommu_page_response_code answer;
	struct iommu_fault_page_request last;
	size_t pages;
	unsigned int groups;
	struct iopf_group *held;
	bool hold;
	struct work_struct irq;
	struct work_struct drain;
	struct completion drained;
	struct task_struct *task;
};

/* Commands */

struct smmu_cmd {
	u64 w[CMDQ_ENT_DWORDS];
};

static unsigned int cmd_op(const struct smmu_cmd *cmd)
{
	return FIELD_GET(GENMASK_ULL(7, 0), cmd->w[0]);
}

/* ATC_INV, PRI_RESP and CFGI_CD have these in the same place. */
static u32 cmd_sid(const struct smmu_cmd *cmd)
{
	return FIELD_GET(GENMASK_ULL(63, 32), cmd->w[0]);
}

static u32 cmd_ssid(const struct smmu_cmd *cmd)
{
	return FIELD_GET(GENMASK_ULL(31, 12), cmd->w[0]);
}

static bool cmd_has_ssid(const struct smmu_cmd *cmd)
{
	return cmd->w[0] & BIT_ULL(11);
}

static unsigned int cmd_atc_order(const struct smmu_cmd *cmd)
{
	return FIELD_GET(GENMASK_ULL(5, 0), cmd->w[1]);
}

static u64 cmd_atc_pfn(const struct smmu_cmd *cmd)
{
	return cmd->w[1] >> 12;
}

static bool next_cmd(struct smmu_test *t, struct smmu_cmd *cmd)
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

static void skip_cmds(struct smmu_test *t)
{
	t->seen = t->reg[0];
}

static struct smmu_cmd expect_cmd(struct smmu_test *t, unsigned int op)
{
	struct smmu_cmd cmd;

	KUNIT_ASSERT_TRUE(t->test, next_cmd(t, &cmd));
	KUNIT_ASSERT_EQ(t->test, cmd_op(&cmd), op);
	return cmd;
}

static void expect_no_cmd(struct smmu_test *t)
{
	struct smmu_cmd cmd;

	KUNIT_EXPECT_FALSE_MSG(t->test, next_cmd(t, &cmd), "unexpected command %#x", cmd_op(&cmd));
}

/* Passes over commands up to and including the next of that kind. */
static bool find_cmd(struct smmu_test *t, unsigned int op, struct smmu_cmd *cmd)
{
	while (next_cmd(t, cmd))
		if (cmd_op(cmd) == op)
			return true;
	return false;
}

/* Fixture */

static int smmu_plain_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
				    ioasid_t pasid, struct iommu_domain *old)
{
	return 0;
}

/* What the base driver keeps of an attachment goes with it. */
static void smmu_forget_master_domain(struct arm_smmu_domain *dom, struct arm_smmu_master *master)
{
	struct arm_smmu_master_domain *md, *next;

	list_for_each_entry_safe(md, next, &dom->devices, devices_elm) {
		if (md->master != master)
			continue;
		list_del(&md->devices_elm);
		kfree(md);
	}
}

static void smmu_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	if (domain->type != IOMMU_DOMAIN_SVA)
		return;
	scoped_guard(mutex, &arm_smmu_asid_lock)
		arm_smmu_sva_detach(domain, master, pasid);
	smmu_forget_master_domain(to_smmu_domain(domain), master);
}

/* Stalls are answered by the base driver; here one command is as good as another. */
static void smmu_page_response(struct device *dev, struct iopf_fault *evt,
			       struct iommu_page_response *resp)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_RESUME,
		.resume.sid = SVA_SID,
		.resume.stag = resp->grpid,
		.resume.resp = resp->code,
	};

	if (master->pri_capable)
		arm_smmu_sva_page_response(master, evt, resp);
	else
		arm_smmu_cmdq_issue_cmd(master->smmu, &cmd);
}

static int smmu_take_group(struct iopf_group *group)
{
	struct smmu_test *t = container_of(group->attach_handle->domain, struct smmu_test, plain);

	t->last = group->last_fault.fault.prm;
	t->pages = group->fault_count;
	t->groups++;
	if (t->hold) {
		t->held = group;
		return 0;
	}
	iopf_group_response(group, t->answer);
	iopf_free_group(group);
	return 0;
}

static const struct iommu_domain_ops smmu_plain_ops = {
	.set_dev_pasid = smmu_plain_set_dev_pasid,
};

static const struct iommu_ops smmu_test_ops = {
	.domain_alloc_sva = arm_smmu_sva_domain_alloc,
	.remove_dev_pasid = smmu_remove_dev_pasid,
	.page_response = smmu_page_response,
	.sva_ops = &arm_smmu_sva_ops,
};

static void smmu_release_pdev(struct device *dev)
{
	/* Its memory is the test's. */
}

static bool smmu_stream_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct arm_smmu_stream, node)->id <
	       rb_entry(b, struct arm_smmu_stream, node)->id;
}

static void smmu_add_fn(struct smmu_test *t, unsigned int n)
{
	struct kunit *test = t->test;
	struct smmu_fn *fn;
	struct device *dev;

	fn = kunit_kzalloc(test, sizeof(*fn), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fn);
	dev = &fn->pdev.dev;
	fn->pdev.error_state = pci_channel_io_normal;
	fn->pdev.ats_cap = 1;
	fn->fwspec.flags = IOMMU_FWSPEC_PCI_RC_ATS;
	fn->stream.id = SVA_SID + n;
	fn->stream.master = &fn->master;

	fn->master.smmu = t->smmu;
	fn->master.dev = dev;
	fn->master.streams = &fn->stream;
	fn->master.num_streams = 1;
	fn->master.ats_enabled = true;
	fn->master.ste_ats_enabled = true;
	fn->master.pri_capable = true;
	fn->master.ssid_bits = ilog2(SVA_SSIDS);
	fn->master.cd_table.in_ste = 1;
	fn->master.cd_table.s1fmt = STRTAB_STE_0_S1FMT_LINEAR;
	fn->master.cd_table.linear.num_ents = SVA_SSIDS;
	fn->master.cd_table.linear.table = kunit_kcalloc(test, SVA_SSIDS,
							 sizeof(struct arm_smmu_cd), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fn->master.cd_table.linear.table);

	mutex_init(&fn->param.lock);
	fn->param.iommu_dev = &t->unit;
	fn->param.max_pasids = SVA_SSIDS;
	fn->param.priv = &fn->master;
	fn->param.fwspec = &fn->fwspec;

	device_initialize(dev);
	dev->release = smmu_release_pdev;
	dev->iommu = &fn->param;
	KUNIT_ASSERT_EQ(test, dev_set_name(dev, "smmu-sva-kunit%u", n), 0);
	KUNIT_ASSERT_EQ(test, device_add(dev), 0);
	t->fn[n] = fn;
	/* Now that the bus does not hear of it any more: the driver asks whether it is PCI. */
	dev->bus = &pci_bus_type;
	rb_add(&fn->stream.node, &t->smmu->streams, smmu_stream_less);

	fn->group = iommu_group_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fn->group);
	KUNIT_ASSERT_EQ(test, iommu_group_add_device(fn->group, dev), 0);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(t->smmu->evtq.iopf, dev), 0);
	fn->master.iopf_enabled = true;
	fn->master.sva_enabled = true;
}

static void smmu_remove_fn(struct smmu_test *t, unsigned int n)
{
	struct smmu_fn *fn = t->fn[n];
	struct device *dev;

	if (!fn)
		return;
	dev = &fn->pdev.dev;
	dev->bus = NULL;
	if (rcu_access_pointer(fn->param.fault_param))
		iopf_queue_remove_device(t->smmu->evtq.iopf, dev);
	/* The group would free it, as if the core had made it. */
	dev->iommu = NULL;
	if (dev->iommu_group)
		iommu_group_remove_device(dev);
	if (!IS_ERR_OR_NULL(fn->group))
		iommu_group_put(fn->group);
	device_del(dev);
	put_device(dev);
}

static void smmu_init_queue(struct smmu_test *t, struct arm_smmu_queue *q, unsigned int shift,
			    u32 *prod, u32 *cons, size_t dwords)
{
	struct kunit *test = t->test;

	q->llq.max_n_shift = shift;
	KUNIT_ASSERT_EQ(test, arm_smmu_init_one_queue(t->smmu, q, NULL, 0, 0, dwords, "queue"), 0);
	q->prod_reg = (u32 __iomem __force *)prod;
	q->cons_reg = (u32 __iomem __force *)cons;
}

static void smmu_init_sdom(struct smmu_test *t)
{
	struct arm_smmu_domain *dom = &t->sdom.smmu_domain;

	spin_lock_init(&t->sdom.lock);
	INIT_LIST_HEAD(&t->sdom.devs);
	spin_lock_init(&dom->devices_lock);
	INIT_LIST_HEAD(&dom->devices);
	dom->smmu = t->smmu;
	dom->cd.asid = 0x77;
	dom->domain.type = IOMMU_DOMAIN_SVA;
	dom->domain.pgsize_bitmap = PAGE_SIZE;
}

static int arm_smmu_v3_sva_init(struct kunit *test)
{
	struct arm_smmu_device *smmu;
	struct smmu_test *t;
	struct device *dev;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->test = test;
	t->task = current;
	test->priv = t;
	dev = kunit_device_register(test, "arm-smmu-v3-sva");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	dev->dma_mask = &dev->coherent_dma_mask;
	KUNIT_ASSERT_EQ(test, dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)), 0);

	smmu = kunit_kzalloc(test, sizeof(*smmu), GFP_KERNEL);
	t->reg = kunit_kcalloc(test, 5, sizeof(*t->reg), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, smmu && t->reg);
	t->smmu = smmu;
	smmu->dev = dev;
	smmu->features = ARM_SMMU_FEAT_RANGE_INV | ARM_SMMU_FEAT_ATS | ARM_SMMU_FEAT_PRI |
			 ARM_SMMU_FEAT_STALLS | ARM_SMMU_FEAT_SVA;
	smmu->asid_bits = 16;
	smmu->streams = RB_ROOT;
	mutex_init(&smmu->streams_mutex);
	smmu_init_queue(t, &smmu->cmdq.q, 10, &t->reg[0], &t->reg[0], CMDQ_ENT_DWORDS);
	KUNIT_ASSERT_EQ(test, arm_smmu_cmdq_init(smmu, &smmu->cmdq), 0);
	smmu_init_queue(t, &smmu->priq.q, SVA_PRIQ_SHIFT, &t->reg[1], &t->reg[2], PRIQ_ENT_DWORDS);
	smmu_init_queue(t, &smmu->evtq.q, 4, &t->reg[3], &t->reg[4], EVTQ_ENT_DWORDS);
	smmu->priq.q.irq = 1;
	smmu->evtq.q.irq = 1;
	smmu->evtq.iopf = iopf_queue_alloc("smmu-sva-kunit");
	KUNIT_ASSERT_NOT_NULL(test, smmu->evtq.iopf);

	t->unit.ops = &smmu_test_ops;
	t->plain.type = IOMMU_DOMAIN_UNMANAGED;
	t->plain.ops = &smmu_plain_ops;
	t->plain.owner = &smmu_test_ops;
	t->plain.iopf_handler = smmu_take_group;
	smmu_init_sdom(t);
	smmu_add_fn(t, 0);
	smmu_add_fn(t, 1);
	return 0;
}

static void arm_smmu_v3_sva_exit(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	if (!t || !t->smmu || !t->smmu->evtq.iopf)
		return;
	smmu_remove_fn(t, 0);
	smmu_remove_fn(t, 1);
	iopf_queue_free(t->smmu->evtq.iopf);
	/* SVA domains are freed after a while, and flush then. */
	arm_smmu_sva_notifier_synchronize();
}

static struct arm_smmu_cd *smmu_cd(struct smmu_test *t, unsigned int n, u32 ssid)
{
	return arm_smmu_get_cd_ptr(&t->fn[n]->master, ssid);
}

static bool cd_is_valid(const struct arm_smmu_cd *cd)
{
	return le64_to_cpu(cd->data[0]) & BIT_ULL(31);
}

/* Attached by hand, with a CD that leads nowhere yet */
static void attach_both(struct smmu_test *t)
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

static void detach(struct smmu_test *t, unsigned int n)
{
	guard(mutex)(&arm_smmu_asid_lock);
	arm_smmu_sva_detach(&t->sdom.smmu_domain.domain, &t->fn[n]->master, SVA_SSID);
}

static void detach_both(struct smmu_test *t)
{
	detach(t, 0);
	detach(t, 1);
}

static void invalidate(struct smmu_test *t, unsigned long start, unsigned long end)
{
	arm_smmu_sva_ops.invalidate_range(&t->sdom.smmu_domain.domain, start, end);
}

/* Flushes */

/* Reads the ATC invalidations of one device: naturally aligned blocks, no gap, no overlap. */
static unsigned int read_atc_blocks(struct smmu_test *t, struct smmu_cmd *cmd, u64 *first,
				    u64 *last)
{
	u32 sid = cmd_sid(cmd);
	unsigned int n = 0;

	do {
		unsigned int order = cmd_atc_order(cmd);
		u64 pfn = cmd_atc_pfn(cmd);

		KUNIT_ASSERT_TRUE(t->test, cmd_has_ssid(cmd));
		KUNIT_ASSERT_EQ(t->test, cmd_ssid(cmd), SVA_SSID);
		KUNIT_ASSERT_EQ(t->test, pfn & ((1ULL << order) - 1), 0);
		if (n)
			KUNIT_ASSERT_EQ(t->test, pfn, *last + 1);
		else
			*first = pfn;
		*last = pfn + (1ULL << order) - 1;
		n++;
	} while (next_cmd(t, cmd) && cmd_op(cmd) == OP_ATC_INV && cmd_sid(cmd) == sid);
	return n;
}

static void skip_tlb_flush(struct smmu_test *t)
{
	struct smmu_cmd cmd;

	KUNIT_ASSERT_TRUE(t->test, find_cmd(t, OP_SYNC, &cmd));
}

/* Both devices hear of exactly these 4 KiB pages, in that many blocks. */
static void expect_atc(struct smmu_test *t, unsigned long start, unsigned long end,
		       unsigned int blocks, u64 first, u64 last)
{
	struct smmu_cmd cmd;
	u64 got_first, got_last;

	invalidate(t, start, end);
	skip_tlb_flush(t);
	cmd = expect_cmd(t, OP_ATC_INV);
	for (unsigned int n = 0; n < 2; n++) {
		KUNIT_ASSERT_EQ(t->test, cmd_op(&cmd), OP_ATC_INV);
		KUNIT_EXPECT_EQ(t->test, read_atc_blocks(t, &cmd, &got_first, &got_last), blocks);
		KUNIT_EXPECT_EQ(t->test, got_first, first);
		KUNIT_EXPECT_EQ(t->test, got_last, last);
	}
	KUNIT_EXPECT_EQ(t->test, cmd_op(&cmd), OP_SYNC);
	expect_no_cmd(t);
}

static void aligned_range_is_one_block(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, SZ_1G, SZ_1G + SZ_2M, 1, SZ_1G >> 12, ((SZ_1G + SZ_2M) >> 12) - 1);
	expect_atc(t, 0, SZ_64K, 1, 0, 15);
	detach_both(t);
}

static void range_across_an_alignment_is_two_blocks(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, SZ_2M - SZ_64K, SZ_2M + SZ_64K, 2, 496, 527);
	detach_both(t);
}

static void everything_is_one_block_with_the_pasid(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, 0, ~0UL, 1, 0, GENMASK_ULL(51, 0));
	detach_both(t);
}

/* One page askew at both ends of 2^33 pages would take 64 blocks and more. */
static void range_of_too_many_blocks_is_everything(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, SZ_64K, BIT(45) - SZ_64K, 1, 0, GENMASK_ULL(51, 0));
	detach_both(t);
}

/* No page too few, none too many - or everything; and never many commands */
static void random_ranges_are_flushed_exactly(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	unsigned int whole = 0;
	struct rnd_state rnd;

	attach_both(t);
	t->fn[1]->master.ats_enabled = false;
	prandom_seed_state(&rnd, SVA_SEED);
	for (unsigned int i = 0; i < 4000; i++) {
		u64 pfn = (u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32;
		u64 pages = 1 + ((u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32);
		unsigned int n, per_page = PAGE_SIZE >> 12;
		struct smmu_cmd cmd;
		u64 first, last;

		invalidate(t, pfn * PAGE_SIZE, (pfn + pages) * PAGE_SIZE);
		skip_tlb_flush(t);
		cmd = expect_cmd(t, OP_ATC_INV);
		n = read_atc_blocks(t, &cmd, &first, &last);
		KUNIT_ASSERT_LE(test, n, SMMU_ATC_MAX_BLOCKS);
		if (last == GENMASK_ULL(51, 0)) {
			whole++;
			continue;
		}
		KUNIT_ASSERT_EQ(test, first, pfn * per_page);
		KUNIT_ASSERT_EQ(test, last, (pfn + pages) * per_page - 1);
	}
	KUNIT_EXPECT_LT(test, whole, 1000);
	t->fn[1]->master.ats_enabled = true;
	detach_both(t);
}

static void device_without_ats_hears_nothing(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	t->fn[0]->master.ats_enabled = false;
	t->fn[1]->master.ats_enabled = false;
	invalidate(t, SZ_1M, SZ_2M);
	expect_cmd(t, OP_TLBI_VA);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	detach_both(t);
}

static unsigned int atc_commands_of(struct smmu_test *t, u32 sid)
{
	struct smmu_cmd cmd;
	unsigned int n = 0;

	while (next_cmd(t, &cmd))
		n += cmd_op(&cmd) == OP_ATC_INV && cmd_sid(&cmd) == sid;
	return n;
}

/* It would not answer, and everybody would wait. */
static void device_in_a_reset_hears_nothing(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;

	attach_both(t);
	iopf_quiesce_device(dev);
	skip_cmds(t);
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 0);
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID + 1), 1);
	iopf_resume_device(dev);
	skip_cmds(t);
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 1);
	detach_both(t);
}

static void domain_without_devices_is_not_flushed(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	invalidate(t, SZ_1M, SZ_2M);
	expect_no_cmd(t);
}

/* Section 4.5.1: the TLB is clean before the first ATC invalidation is consumed. */
static void tlb_is_waited_for_before_the_atc(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_both(t);
	invalidate(t, SZ_1M, SZ_1M + 3 * SZ_64K);
	expect_cmd(t, OP_TLBI_VA);
	expect_cmd(t, OP_SYNC);
	while (next_cmd(t, &cmd) && cmd_op(&cmd) == OP_ATC_INV)
		;
	KUNIT_EXPECT_EQ(test, cmd_op(&cmd), OP_SYNC);
	expect_no_cmd(t);
	detach_both(t);
}

/* On an SMMU that takes one page per command */
static void commands_of_a_flush_are_bounded_without_ranges(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;
	unsigned int n = 0;

	attach_both(t);
	t->smmu->features &= ~(ARM_SMMU_FEAT_RANGE_INV | ARM_SMMU_FEAT_ATS);
	invalidate(t, SZ_1G, SZ_1G + SMMU_TLB_MAX_PAGES * PAGE_SIZE);
	while (next_cmd(t, &cmd))
		n += cmd_op(&cmd) == OP_TLBI_VA;
	KUNIT_EXPECT_EQ(test, n, SMMU_TLB_MAX_PAGES);
	invalidate(t, SZ_1G, SZ_1G + (SMMU_TLB_MAX_PAGES + 1) * PAGE_SIZE);
	expect_cmd(t, OP_TLBI_ASID);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	detach_both(t);
}

/* Attaching, releasing, detaching */

static void release_quiets_each_cd_and_flushes_all(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_cd gone;
	struct smmu_cmd cmd;

	attach_both(t);
	arm_smmu_sva_ops.release(&t->sdom.smmu_domain.domain);
	for (unsigned int n = 0; n < 2; n++) {
		arm_smmu_make_sva_cd(&gone, &t->fn[n]->master, NULL,
				     t->sdom.smmu_domain.cd.asid);
		KUNIT_EXPECT_MEMEQ(test, smmu_cd(t, n, SVA_SSID), &gone, sizeof(gone));
	}
	KUNIT_ASSERT_TRUE(test, find_cmd(t, OP_TLBI_ASID, &cmd));
	expect_cmd(t, OP_SYNC);
	for (unsigned int n = 0; n < 2; n++) {
		cmd = expect_cmd(t, OP_ATC_INV);
		KUNIT_EXPECT_EQ(test, cmd_atc_order(&cmd), 52);
		KUNIT_EXPECT_EQ(test, cmd_ssid(&cmd), SVA_SSID);
	}
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	detach_both(t);
}

/* The exit of the mm meets the unbind of one of its devices. */
static void release_leaves_a_cleared_cd_alone(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_cd none = {};

	attach_both(t);
	scoped_guard(spinlock, &t->sdom.lock)
		arm_smmu_clear_cd(&t->fn[0]->master, SVA_SSID);
	arm_smmu_sva_ops.release(&t->sdom.smmu_domain.domain);
	KUNIT_EXPECT_MEMEQ(test, smmu_cd(t, 0, SVA_SSID), &none, sizeof(none));
	KUNIT_EXPECT_EQ(test, t->fn[0]->master.cd_table.used_ssids, 0);
	KUNIT_EXPECT_TRUE(test, cd_is_valid(smmu_cd(t, 1, SVA_SSID)));
	KUNIT_EXPECT_EQ(test, t->fn[1]->master.cd_table.used_ssids, 1);
	detach_both(t);
}

static void detach_clears_the_cd_and_then_the_atc(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_both(t);
	detach(t, 0);
	KUNIT_EXPECT_FALSE(test, cd_is_valid(smmu_cd(t, 0, SVA_SSID)));
	KUNIT_EXPECT_TRUE(test, cd_is_valid(smmu_cd(t, 1, SVA_SSID)));
	cmd = expect_cmd(t, OP_CFGI_CD);
	KUNIT_EXPECT_EQ(test, cmd_sid(&cmd), SVA_SID);
	expect_cmd(t, OP_SYNC);
	while (next_cmd(t, &cmd) && cmd_op(&cmd) != OP_ATC_INV)
		KUNIT_EXPECT_TRUE(test, cmd_op(&cmd) == OP_CFGI_CD || cmd_op(&cmd) == OP_SYNC);
	KUNIT_EXPECT_EQ(test, cmd_sid(&cmd), SVA_SID);
	KUNIT_EXPECT_EQ(test, cmd_ssid(&cmd), SVA_SSID);
	KUNIT_EXPECT_TRUE(test, cmd_has_ssid(&cmd));
	KUNIT_EXPECT_EQ(test, cmd_atc_order(&cmd), 52);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	detach(t, 1);
}

static void detached_device_is_not_flushed_any_more(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_both(t);
	detach(t, 0);
	skip_cmds(t);
	invalidate(t, SZ_2M, SZ_4M);
	while (next_cmd(t, &cmd))
		if (cmd_op(&cmd) == OP_ATC_INV)
			KUNIT_EXPECT_EQ(test, cmd_sid(&cmd), SVA_SID + 1);
	detach(t, 1);
}

static void device_of_another_smmu_is_not_mine(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;
	struct arm_smmu_device other = {};
	struct iommu_domain *domain;

	domain = arm_smmu_sva_domain_alloc(dev, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	t->fn[0]->master.smmu = &other;
	KUNIT_EXPECT_EQ(test, domain->ops->set_dev_pasid(domain, dev, SVA_SSID, NULL), -EINVAL);
	/* Whatever else there may be: the core shows each domain to each device. */
	t->fn[0]->master.sva_enabled = false;
	KUNIT_EXPECT_EQ(test, domain->ops->set_dev_pasid(domain, dev, SVA_SSID, NULL), -EINVAL);
	t->fn[0]->master.sva_enabled = true;
	t->fn[0]->master.smmu = t->smmu;
	KUNIT_EXPECT_TRUE(test, list_empty(&to_smmu_sva_domain(domain)->devs));
	domain->ops->free(domain);
}

/* Its driver has not asked for that, or could not have it. */
static void device_without_the_feature_is_refused(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct iommu_sva *sva;

	t->fn[0]->master.sva_enabled = false;
	map_touched(test, 1);
	sva = iommu_sva_bind_device(&t->fn[0]->pdev.dev, current->mm);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sva), -EOPNOTSUPP);
	expect_no_cmd(t);
}

/* Page requests: reading them */

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

/* Page requests: answering them */

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

/* Page requests: the queue */

/* What hardware does with a page request. Returns false if it was discarded. */
static bool push_request(struct smmu_test *t, u64 w0, u64 w1)
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

static bool push_last(struct smmu_test *t, unsigned int prg)
{
	return push_request(t, REQ_0(SVA_SID, SVA_SSID, REQ_SSV | REQ_LAST | REQ_R),
			    REQ_1(0x1000, prg));
}

static bool priq_is_empty(struct smmu_test *t)
{
	return t->reg[1] == t->reg[2];
}

static void interrupt(struct smmu_test *t)
{
	KUNIT_EXPECT_EQ(t->test, arm_smmu_sva_priq_thread(t->smmu), IRQ_HANDLED);
	KUNIT_EXPECT_TRUE(t->test, priq_is_empty(t));
}

static void attach_plain(struct smmu_test *t)
{
	struct smmu_fn *fn = t->fn[0];

	KUNIT_ASSERT_EQ(t->test, 0, iommu_attach_device_pasid(&t->plain, &fn->pdev.dev, SVA_SSID,
							      &fn->handle));
}

static void detach_plain(struct smmu_test *t)
{
	iommu_detach_device_pasid(&t->plain, &t->fn[0]->pdev.dev, SVA_SSID);
}

static void expect_response(struct smmu_test *t, unsigned int prg, unsigned int code)
{
	struct smmu_cmd cmd = expect_cmd(t, OP_PRI_RESP);

	KUNIT_EXPECT_EQ(t->test, FIELD_GET(GENMASK_ULL(8, 0), cmd.w[1]), prg);
	KUNIT_EXPECT_EQ(t->test, FIELD_GET(GENMASK_ULL(13, 12), cmd.w[1]), code);
}

static void request_is_served_and_answered_with_its_names(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_plain(t);
	t->fn[0]->master.prg_needs_pasid = true;
	push_last(t, 0x155);
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->groups, 1);
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
	/* Nor is one of a stream that nobody knows. */
	push_request(t, REQ_0(0x9999, SVA_SSID, REQ_SSV | REQ_LAST), 3);
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->groups, 0);
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

static void request_for_an_unbound_pasid_is_refused(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	push_last(t, 6);
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->groups, 0);
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
	KUNIT_EXPECT_EQ(test, t->groups, sent);
	KUNIT_EXPECT_EQ(test, t->smmu->priq.q.handled, sent);
	detach_plain(t);
}

/* An answer gives a credit back, for which there must be room: notes in chapter 8. */
static int smmu_answer_and_ask_again(struct iopf_group *group)
{
	struct smmu_test *t = container_of(group->attach_handle->domain, struct smmu_test, plain);

	t->groups++;
	if (t->groups <= 3 * SVA_PRIQ_SIZE)
		KUNIT_EXPECT_TRUE(t->test, push_last(t, t->groups % 512));
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
	return 0;
}

static void entry_has_left_the_queue_before_it_is_answered(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	t->plain.iopf_handler = smmu_answer_and_ask_again;
	for (unsigned int n = 0; n < SVA_PRIQ_SIZE; n++)
		KUNIT_ASSERT_TRUE(test, push_last(t, n));
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->groups, 4 * SVA_PRIQ_SIZE);
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
	KUNIT_EXPECT_EQ(test, t->groups, SVA_PRIQ_SIZE);
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
	struct smmu_test *t = container_of(group->attach_handle->domain, struct smmu_test, plain);

	t->groups++;
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
	t->plain.iopf_handler = smmu_expect_overflow;
	while (push_last(t, 1))
		;
	interrupt(t);
	KUNIT_EXPECT_EQ(test, t->groups, SVA_PRIQ_SIZE);
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
	KUNIT_EXPECT_EQ(test, t->groups, 4 * SVA_PRIQ_SIZE);
	detach_plain(t);
}

static void thread_without_requests_sends_nothing(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	interrupt(t);
	expect_no_cmd(t);
	KUNIT_EXPECT_EQ(test, t->smmu->priq.q.handled, 0);
}

/* Credits */

static u32 grant(struct smmu_test *t, u32 wanted)
{
	guard(mutex)(&arm_smmu_asid_lock);
	return arm_smmu_grant_credits(t->smmu, wanted);
}

/* Together less than the queue holds, so that stop markers have room, too */
static void credits_are_shared_out_by_halves(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	u32 sum = 0, got, before = ~0U;

	t->smmu->priq.q.llq.max_n_shift = 9;
	for (unsigned int n = 0; n < 4; n++) {
		got = grant(t, 4096);
		KUNIT_EXPECT_LT(test, got, before);
		before = got;
		sum += got;
	}
	KUNIT_EXPECT_LE(test, sum, 448);
	KUNIT_EXPECT_EQ(test, t->smmu->priq.granted, sum);
	t->smmu->priq.q.llq.max_n_shift = SVA_PRIQ_SHIFT;
}

static void device_gets_no_more_than_it_can_use(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	t->smmu->priq.q.llq.max_n_shift = 9;
	KUNIT_EXPECT_EQ(test, grant(t, 3), 3);
	KUNIT_EXPECT_EQ(test, t->smmu->priq.granted, 3);
	t->smmu->priq.q.llq.max_n_shift = SVA_PRIQ_SHIFT;
}

static void latecomer_gets_a_few_all_the_same(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	t->smmu->priq.granted = 10000;
	KUNIT_EXPECT_EQ(test, grant(t, 4096), 8);
}

static void stalling_device_has_what_the_smmu_can_hold(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	t->smmu->evtq.max_stalls = 400;
	KUNIT_EXPECT_EQ(test, arm_smmu_sva_ops.max_requests(&t->fn[0]->pdev.dev), 0);
	master->stall_enabled = true;
	KUNIT_EXPECT_EQ(test, arm_smmu_sva_ops.max_requests(&t->fn[0]->pdev.dev), 400);
	master->stall_enabled = false;
}

/* A virtual function: it uses the page requests of its physical one, and has no registers here. */
static void credits_come_back_when_page_requests_stop(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *vf = &t->fn[0]->pdev, *pf = &t->fn[1]->pdev;
	struct arm_smmu_master *master = &t->fn[0]->master;

	vf->is_virtfn = true;
	vf->physfn = pf;
	vf->error_state = pci_channel_io_perm_failure;
	vf->pri_enabled = true;
	pf->pri_enabled = true;
	scoped_guard(mutex, &arm_smmu_asid_lock) {
		KUNIT_EXPECT_EQ(test, arm_smmu_sva_start_pri(master), 0);
		KUNIT_EXPECT_GT(test, master->pri_credits, 0);
		KUNIT_EXPECT_EQ(test, t->smmu->priq.granted, master->pri_credits);
		arm_smmu_sva_stop_pri(master);
		KUNIT_EXPECT_EQ(test, master->pri_credits, 0);
		KUNIT_EXPECT_EQ(test, t->smmu->priq.granted, 0);
		/* Nor does a device keep any that can't ask. */
		vf->pri_enabled = false;
		pf->pri_enabled = false;
		KUNIT_EXPECT_NE(test, arm_smmu_sva_start_pri(master), 0);
		KUNIT_EXPECT_EQ(test, t->smmu->priq.granted, 0);
	}
	vf->error_state = pci_channel_io_normal;
	vf->is_virtfn = false;
}

/* Drains */

static void count_of_an_index_is_less_than_two_rounds_ahead(struct kunit *test)
{
	const struct arm_smmu_queue *q = &((struct smmu_test *)test->priv)->smmu->priq.q;
	const u32 round = 2 * SVA_PRIQ_SIZE;

	for (unsigned long handled = 0; handled < 5 * SVA_PRIQ_SIZE; handled++) {
		for (u32 ahead = 0; ahead < round; ahead++) {
			u32 prod = (handled + ahead) % round;

			KUNIT_ASSERT_EQ(test, arm_smmu_count_at(q, handled, prod),
					handled + ahead);
			KUNIT_ASSERT_EQ(test, arm_smmu_count_at(q, handled, prod | OVERFLOW),
					handled + ahead);
		}
	}
}

/* Hardware gives its requests up to the queue, then a wait; the answers are followed by another. */
static void drain_pushes_and_ends_with_a_wait(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_plain(t);
	t->hold = true;
	push_last(t, 9);
	interrupt(t);
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	cmd = expect_cmd(t, OP_ATC_INV);
	KUNIT_EXPECT_EQ(test, cmd_sid(&cmd), SVA_SID);
	KUNIT_EXPECT_EQ(test, cmd_ssid(&cmd), SVA_SSID);
	KUNIT_EXPECT_EQ(test, cmd_atc_order(&cmd), 52);
	expect_cmd(t, OP_SYNC);
	expect_response(t, 9, 1);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	/* Its handler comes too late, and says nothing. */
	iopf_group_response(t->held, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(t->held);
	expect_no_cmd(t);
	detach_plain(t);
}

static void drain_leaves_other_pasids_alone(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	t->hold = true;
	push_last(t, 9);
	interrupt(t);
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID + 1);
	expect_cmd(t, OP_ATC_INV);
	expect_cmd(t, OP_SYNC);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	iopf_group_response(t->held, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(t->held);
	expect_response(t, 9, 2);
	detach_plain(t);
}

static void drain_of_a_device_without_faults_does_nothing(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	t->fn[0]->master.iopf_enabled = false;
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	expect_no_cmd(t);
}

static void smmu_priq_work(struct work_struct *work)
{
	struct smmu_test *t = container_of(work, struct smmu_test, irq);

	arm_smmu_sva_priq_thread(t->smmu);
}

static void smmu_drain_work(struct work_struct *work)
{
	struct smmu_test *t = container_of(work, struct smmu_test, drain);

	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	complete(&t->drained);
}

/* The entry has left the queue, and can't be reported while the test has the streams. */
static void drain_waits_for_the_pri_queue(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_plain(t);
	INIT_WORK(&t->irq, smmu_priq_work);
	INIT_WORK(&t->drain, smmu_drain_work);
	init_completion(&t->drained);
	push_last(t, 0x12);
	mutex_lock(&t->smmu->streams_mutex);
	schedule_work(&t->irq);
	KUNIT_EXPECT_TRUE(test, sva_becomes(priq_is_empty(t)));
	schedule_work(&t->drain);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&t->drained, HZ / 5), 0);
	mutex_unlock(&t->smmu->streams_mutex);
	flush_work(&t->drain);
	KUNIT_EXPECT_EQ(test, t->groups, 1);
	KUNIT_EXPECT_EQ(test, t->smmu->priq.q.handled, 1);
	flush_work(&t->irq);
	detach_plain(t);
}

/* The interrupt comes when the test sleeps, and no earlier. */
static void wait_until_the_test_sleeps(struct smmu_test *t)
{
	while (READ_ONCE(t->task->__state) != TASK_UNINTERRUPTIBLE)
		cond_resched();
}

/* As the base's event thread does it */
static void smmu_evtq_work(struct work_struct *work)
{
	struct smmu_test *t = container_of(work, struct smmu_test, irq);
	struct iopf_fault evt = {
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm = {
			.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
				 IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
			.pasid = SVA_SSID,
			.grpid = 0x34,
			.perm = IOMMU_FAULT_PERM_READ,
		},
	};

	wait_until_the_test_sleeps(t);
	iommu_report_device_fault(&t->fn[0]->pdev.dev, &evt);
	arm_smmu_sva_handled(&t->smmu->evtq.q, 1);
}

static void drain_of_a_stalling_device_waits_for_the_event_queue(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	t->fn[0]->master.pri_capable = false;
	t->fn[0]->master.stall_enabled = true;
	attach_plain(t);
	t->hold = true;
	INIT_WORK(&t->irq, smmu_evtq_work);
	t->reg[3]++;
	schedule_work(&t->irq);
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	flush_work(&t->irq);
	KUNIT_EXPECT_EQ(test, t->groups, 1);
	expect_cmd(t, OP_SYNC);
	cmd = expect_cmd(t, OP_RESUME);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(15, 0), cmd.w[1]), 0x34);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	iopf_free_group(t->held);
	detach_plain(t);
}

/* Strays */

/* Events without a PASID, or for other reasons, say nothing about who is bound. */
static void only_a_missing_cd_is_the_use_of_an_unbound_pasid(struct kunit *test)
{
	const u64 name = (u64)SVA_SID << 32 | SVA_SSID << 12;
	const struct {
		u64 evt;
		u64 strays;
	} cases[] = {
		{ name | EVT_SSV | EVT_BAD_SUBSTREAMID, 1 },
		{ name | EVT_SSV | EVT_BAD_CD, 1 },
		{ name | EVT_BAD_SUBSTREAMID, 0 },
		{ name | EVT_SSV | EVT_TRANSLATION, 0 },
		{ (name ^ 0x9999ULL << 32) | EVT_SSV | EVT_BAD_CD, 0 },
	};
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;
	u64 before[IOPF_NR_COUNTS], after[IOPF_NR_COUNTS];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_ASSERT_EQ(test, iopf_read_counts(dev, before), 0);
		arm_smmu_sva_event(t->smmu, &cases[i].evt);
		KUNIT_ASSERT_EQ(test, iopf_read_counts(dev, after), 0);
		KUNIT_EXPECT_EQ_MSG(test, after[IOPF_STRAY] - before[IOPF_STRAY], cases[i].strays,
				    "event %u", i);
	}
}

/* Features */

static bool supported(struct smmu_test *t, u32 features, unsigned long pages, unsigned int pa_bits,
		      unsigned int asid_bits)
{
	struct arm_smmu_device *smmu = t->smmu;

	smmu->features = features;
	smmu->pgsize_bitmap = pages;
	smmu->oas = pa_bits;
	smmu->asid_bits = asid_bits;
	return arm_smmu_sva_supported(smmu);
}

/* The CPUs, whose page tables it is to walk, are the machine's. */
static void each_missing_capability_is_noticed(struct kunit *test)
{
	const u32 features = ARM_SMMU_FEAT_COHERENCY | ARM_SMMU_FEAT_VAX;
	const unsigned long pages = BIT(PAGE_SHIFT) | BIT(30);
	struct smmu_test *t = test->priv;

	if (vabits_actual == 52 && !IS_ENABLED(CONFIG_ARM64_64K_PAGES))
		kunit_skip(test, "the CPUs use another format of descriptors");
	KUNIT_EXPECT_TRUE(test, supported(t, features, pages, 52, 16));
	KUNIT_EXPECT_FALSE(test, supported(t, ARM_SMMU_FEAT_VAX, pages, 52, 16));
	KUNIT_EXPECT_FALSE(test, supported(t, features, SZ_1G, 52, 16));
	KUNIT_EXPECT_FALSE(test, supported(t, features, pages, 32, 16));
	KUNIT_EXPECT_FALSE(test, supported(t, features, pages, 52, 7));
}

static void sva_needs_page_faults_first_where_there_are_any(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	master->iopf_enabled = false;
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_sva(master), -EINVAL);
	/* A device whose faults are its own business */
	master->pri_capable = false;
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_sva(master), 0);
	KUNIT_EXPECT_TRUE(test, arm_smmu_master_sva_enabled(master));
	arm_smmu_master_disable_sva(master);
	master->pri_capable = true;
	master->iopf_enabled = true;
}

static void faults_of_a_stalling_device_need_one_stream(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	master->pri_capable = false;
	KUNIT_EXPECT_FALSE(test, arm_smmu_master_iopf_supported(master));
	master->stall_enabled = true;
	KUNIT_EXPECT_TRUE(test, arm_smmu_master_iopf_supported(master));
	master->num_streams = 2;
	KUNIT_EXPECT_FALSE(test, arm_smmu_master_iopf_supported(master));
	master->num_streams = 1;
}

/* ATS comes with the first translating domain; until then there is nothing to ask for. */
static void page_faults_are_enabled_before_ats(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;
	struct device *dev = &t->fn[0]->pdev.dev;

	arm_smmu_master_disable_iopf(master);
	KUNIT_EXPECT_NULL(test, rcu_access_pointer(dev->iommu->fault_param));
	master->ats_enabled = false;
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_iopf(master), 0);
	KUNIT_EXPECT_TRUE(test, master->iopf_enabled);
	KUNIT_EXPECT_EQ(test, master->pri_credits, 0);
	KUNIT_EXPECT_NOT_NULL(test, rcu_access_pointer(dev->iommu->fault_param));
	master->ats_enabled = true;
}

/* With the core and a real address space */

static struct iommu_sva *bind(struct smmu_test *t, unsigned int n)
{
	struct iommu_sva *sva = iommu_sva_bind_device(&t->fn[n]->pdev.dev, current->mm);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(t->test, sva);
	return sva;
}

static void bound_cd_leads_to_the_process(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_cd *cd;
	struct iommu_sva *sva;

	map_touched(test, 1);
	sva = bind(t, 0);
	cd = smmu_cd(t, 0, iommu_sva_get_pasid(sva));
	KUNIT_EXPECT_TRUE(test, cd_is_valid(cd));
	KUNIT_EXPECT_EQ(test, le64_to_cpu(cd->data[1]), virt_to_phys(current->mm->pgd));
	iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_FALSE(test, cd_is_valid(cd));
}

/* Does a TLB invalidation cover these bytes? */
static bool tlbi_covers(const struct smmu_cmd *cmd, unsigned long addr, unsigned long len)
{
	unsigned int tg = FIELD_GET(GENMASK_ULL(11, 10), cmd->w[1]);
	u64 num = FIELD_GET(GENMASK_ULL(16, 12), cmd->w[0]) + 1;
	u64 size = num << FIELD_GET(GENMASK_ULL(24, 20), cmd->w[0]) << (10 + 2 * tg);
	u64 va = cmd->w[1] & GENMASK_ULL(63, 12);

	return cmd_op(cmd) == OP_TLBI_ASID ||
	       (cmd_op(cmd) == OP_TLBI_VA && va <= addr && addr + len <= va + size);
}

static bool atc_covers(const struct smmu_cmd *cmd, unsigned long addr)
{
	return cmd_op(cmd) == OP_ATC_INV &&
	       (cmd_atc_order(cmd) == 52 ||
		((addr >> 12) ^ cmd_atc_pfn(cmd)) >> cmd_atc_order(cmd) == 0);
}

static void munmap_has_flushed_when_it_returns(struct kunit *test)
{
	unsigned long addr = map_touched(test, 5), tlb = 0, atc = 0;
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd, end = {};
	struct iommu_sva *sva;

	sva = bind(t, 0);
	skip_cmds(t);
	KUNIT_EXPECT_EQ(test, vm_munmap(addr, 5 * PAGE_SIZE), 0);
	while (next_cmd(t, &cmd)) {
		end = cmd;
		for (unsigned long i = 0; i < 5; i++) {
			unsigned long page = addr + i * PAGE_SIZE;

			tlb |= tlbi_covers(&cmd, page, PAGE_SIZE) ? BIT(i) : 0;
			/* Only what comes after the TLB counts. */
			atc |= (tlb & BIT(i)) && atc_covers(&cmd, page) ? BIT(i) : 0;
		}
	}
	KUNIT_EXPECT_EQ(test, tlb, GENMASK(4, 0));
	KUNIT_EXPECT_EQ(test, atc, GENMASK(4, 0));
	KUNIT_EXPECT_EQ(test, cmd_op(&end), OP_SYNC);
	iommu_sva_unbind_device(sva);
}

/* One TLB invalidation reaches what both have left there. */
static void devices_of_one_smmu_share_the_asid(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct iommu_sva *sva[2];
	u32 pasid;

	map_touched(test, 1);
	sva[0] = bind(t, 0);
	sva[1] = bind(t, 1);
	pasid = iommu_sva_get_pasid(sva[0]);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(sva[1]), pasid);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(smmu_cd(t, 0, pasid)->data[0]),
			le64_to_cpu(smmu_cd(t, 1, pasid)->data[0]));
	iommu_sva_unbind_device(sva[0]);
	iommu_sva_unbind_device(sva[1]);
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

/* Push and wait, answers and wait; the CD; its ATC; and once more */
static void unbind_drains_detaches_and_drains(struct kunit *test)
{
	static const u8 order[] = { OP_ATC_INV, OP_SYNC, OP_SYNC, OP_CFGI_CD, OP_SYNC, OP_CFGI_CD,
				    OP_SYNC, OP_ATC_INV, OP_SYNC, OP_ATC_INV, OP_SYNC, OP_SYNC };
	struct smmu_test *t = test->priv;
	struct iommu_sva *sva;

	map_touched(test, 1);
	sva = bind(t, 0);
	skip_cmds(t);
	iommu_sva_unbind_device(sva);
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++)
		expect_cmd(t, order[i]);
}

static struct kunit_case arm_smmu_v3_sva_cases[] = {
	KUNIT_CASE(aligned_range_is_one_block),
	KUNIT_CASE(range_across_an_alignment_is_two_blocks),
	KUNIT_CASE(everything_is_one_block_with_the_pasid),
	KUNIT_CASE(range_of_too_many_blocks_is_everything),
	KUNIT_CASE(random_ranges_are_flushed_exactly),
	KUNIT_CASE(device_without_ats_hears_nothing),
	KUNIT_CASE(device_in_a_reset_hears_nothing),
	KUNIT_CASE(domain_without_devices_is_not_flushed),
	KUNIT_CASE(tlb_is_waited_for_before_the_atc),
	KUNIT_CASE(commands_of_a_flush_are_bounded_without_ranges),
	KUNIT_CASE(release_quiets_each_cd_and_flushes_all),
	KUNIT_CASE(release_leaves_a_cleared_cd_alone),
	KUNIT_CASE(detach_clears_the_cd_and_then_the_atc),
	KUNIT_CASE(detached_device_is_not_flushed_any_more),
	KUNIT_CASE(device_of_another_smmu_is_not_mine),
	KUNIT_CASE(device_without_the_feature_is_refused),
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
	KUNIT_CASE(request_for_an_unbound_pasid_is_refused),
	KUNIT_CASE(queue_is_read_in_order_and_around_its_end),
	KUNIT_CASE(entry_has_left_the_queue_before_it_is_answered),
	KUNIT_CASE(overflow_is_acknowledged_when_the_queue_is_empty),
	KUNIT_CASE(overflow_is_pending_until_all_entries_are_reported),
	KUNIT_CASE(second_overflow_is_seen_as_well),
	KUNIT_CASE(thread_without_requests_sends_nothing),
	KUNIT_CASE(credits_are_shared_out_by_halves),
	KUNIT_CASE(device_gets_no_more_than_it_can_use),
	KUNIT_CASE(latecomer_gets_a_few_all_the_same),
	KUNIT_CASE(stalling_device_has_what_the_smmu_can_hold),
	KUNIT_CASE(credits_come_back_when_page_requests_stop),
	KUNIT_CASE(count_of_an_index_is_less_than_two_rounds_ahead),
	KUNIT_CASE(drain_pushes_and_ends_with_a_wait),
	KUNIT_CASE(drain_leaves_other_pasids_alone),
	KUNIT_CASE(drain_of_a_device_without_faults_does_nothing),
	KUNIT_CASE(drain_waits_for_the_pri_queue),
	KUNIT_CASE(drain_of_a_stalling_device_waits_for_the_event_queue),
	KUNIT_CASE(only_a_missing_cd_is_the_use_of_an_unbound_pasid),
	KUNIT_CASE(each_missing_capability_is_noticed),
	KUNIT_CASE(sva_needs_page_faults_first_where_there_are_any),
	KUNIT_CASE(faults_of_a_stalling_device_need_one_stream),
	KUNIT_CASE(page_faults_are_enabled_before_ats),
	KUNIT_CASE(bound_cd_leads_to_the_process),
	KUNIT_CASE(munmap_has_flushed_when_it_returns),
	KUNIT_CASE(devices_of_one_smmu_share_the_asid),
	KUNIT_CASE(partial_before_an_overflow_does_not_fail_a_later_group),
	KUNIT_CASE(unbind_drains_detaches_and_drains),
	{}
};

static struct kunit_suite arm_smmu_v3_sva_suite = {
	.name = "arm_smmu_v3_sva",
	.init = arm_smmu_v3_sva_init,
	.exit = arm_smmu_v3_sva_exit,
	.test_cases = arm_smmu_v3_sva_cases,
};

kunit_test_suite(arm_smmu_v3_sva_suite);
