// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fixture of the suites of the SMMUv3 back-end: an SMMU in memory, and the functions behind it
 */
#include <kunit/device.h>
#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>

#include "arm_smmu_v3_kunit.h"

static void smmu_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	if (domain->type == IOMMU_DOMAIN_SVA)
		arm_smmu_remove_dev_pasid(dev, pasid, domain);
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

static const struct iommu_ops smmu_test_ops = {
	.domain_alloc_sva = arm_smmu_sva_domain_alloc,
	.remove_dev_pasid = smmu_remove_dev_pasid,
	.page_response = smmu_page_response,
	.sva_ops = &arm_smmu_sva_ops,
};

/* Configuration space: all bits of all registers are set; an absent function has no vendor. */
static int smmu_read_config(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *val)
{
	struct smmu_test *t = bus->sysdata;

	*val = where == PCI_VENDOR_ID && !t->absent ? 0x11e81234 : GENMASK(size * 8 - 1, 0);
	return PCIBIOS_SUCCESSFUL;
}

static int smmu_write_config(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 val)
{
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops smmu_pci_ops = {
	.read = smmu_read_config,
	.write = smmu_write_config,
};

static bool smmu_stream_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct arm_smmu_stream, node)->id <
	       rb_entry(b, struct arm_smmu_stream, node)->id;
}

static struct smmu_fn *smmu_make_fn(struct smmu_test *t, unsigned int n)
{
	struct kunit *test = t->test;
	struct smmu_fn *fn;
	struct device *dev;

	fn = kunit_kzalloc(test, sizeof(*fn), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fn);
	dev = &fn->pdev.dev;
	fn->pdev.error_state = pci_channel_io_normal;
	fn->pdev.bus = t->bus;
	fn->pdev.ats_cap = 1;
	fn->pdev.pri_enabled = true;
	fn->fwspec.flags = IOMMU_FWSPEC_PCI_RC_ATS;
	fn->stream.id = SVA_SID + n;
	fn->stream.master = &fn->master;

	fn->master.smmu = t->smmu;
	fn->master.dev = dev;
	mutex_init(&fn->master.lock);
	spin_lock_init(&fn->master.ste_lock);
	arm_smmu_sva_init_lines(fn->master.lines);
	fn->master.streams = &fn->stream;
	fn->master.num_streams = 1;
	fn->master.ats_enabled = true;
	fn->master.atc_live = true;
	fn->master.ste_ats_enabled = true;
	fn->master.pri_capable = true;
	fn->master.ssid_bits = ilog2(SVA_SSIDS);
	fn->master.cd_table.in_ste = 1;
	fn->master.cd_table.s1fmt = STRTAB_STE_0_S1FMT_LINEAR;
	fn->master.cd_table.linear.num_ents = SVA_SSIDS;
	fn->master.cd_table.linear.table = kunit_kcalloc(test, SVA_SSIDS,
							 sizeof(struct arm_smmu_cd), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fn->master.cd_table.linear.table);

	return fn;
}

static void smmu_add_fn(struct smmu_test *t, unsigned int n)
{
	struct smmu_fn *fn = smmu_make_fn(t, n);
	struct device *dev = &fn->pdev.dev;

	fn->param.iommu_dev = &t->unit;
	fn->param.max_pasids = SVA_SSIDS;
	fn->param.priv = &fn->master;
	fn->param.fwspec = &fn->fwspec;

	backend_add_fn(t->test, dev, &fn->param, "smmu-sva-kunit", n);
	t->fn[n] = fn;
	/* Now that the bus does not hear of it any more: the driver asks whether it is PCI. */
	dev->bus = &pci_bus_type;
	rb_add(&fn->stream.node, &t->smmu->streams, smmu_stream_less);
	backend_join(t->test, dev, &fn->group, t->smmu->evtq.iopf);
	fn->master.iopf_enabled = true;
	fn->master.pri_enabled = true;
	fn->master.sva_enabled = true;
}

static void smmu_remove_fn(struct smmu_test *t, unsigned int n)
{
	struct smmu_fn *fn = t->fn[n];

	if (!fn)
		return;
	fn->pdev.dev.bus = NULL;
	backend_remove_fn(&fn->pdev.dev, fn->group, t->smmu->evtq.iopf);
}

void smmu_init_queue(struct smmu_test *t, struct arm_smmu_queue *q, unsigned int shift, u32 *prod,
		     u32 *cons, size_t dwords)
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

/* Which queues hardware writes to */
/* A queue of the CPU itself, as where an implementation has several. Returns where its index is. */
u32 *smmu_add_queue(struct smmu_test *t)
{
	u32 *reg = kunit_kzalloc(t->test, sizeof(*reg), GFP_KERNEL);

	t->other = kunit_kzalloc(t->test, sizeof(*t->other), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(t->test, reg && t->other);
	smmu_init_queue(t, &t->other->q, 6, reg, reg, CMDQ_ENT_DWORDS);
	KUNIT_ASSERT_EQ(t->test, arm_smmu_cmdq_init(t->smmu, t->other), 0);
	return reg;
}

static struct arm_smmu_cmdq *smmu_other_queue(struct arm_smmu_device *smmu,
					      struct arm_smmu_cmdq_ent *ent)
{
	return ((struct smmu_test *)kunit_get_current_test()->priv)->other;
}

/* The test is on a CPU with a queue of its own, or on another one. */
void smmu_use_queue(struct smmu_test *t, bool use)
{
	static const struct arm_smmu_impl_ops impl_ops = {
		.get_secondary_cmdq = smmu_other_queue,
	};

	t->smmu->impl_ops = use ? &impl_ops : NULL;
}

void smmu_enable(struct smmu_test *t, u32 queues)
{
	writel_relaxed(queues, t->smmu->base + ARM_SMMU_CR0);
}

static struct smmu_test *smmu_make_smmu(struct kunit *test)
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
	t->page = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->page);
	smmu->base = (void __iomem __force *)t->page;
	smmu_enable(t, CR0_EVTQEN | CR0_PRIQEN);
	writel_relaxed(CR0_SMMUEN, smmu->base + ARM_SMMU_CR0ACK);
	smmu->dev = dev;
	smmu->features = ARM_SMMU_FEAT_RANGE_INV | ARM_SMMU_FEAT_ATS | ARM_SMMU_FEAT_PRI |
			 ARM_SMMU_FEAT_STALLS | ARM_SMMU_FEAT_SVA;
	smmu->asid_bits = 16;
	smmu->strtab_cfg.linear.num_ents = SVA_SID + 2;
	smmu->strtab_cfg.linear.table = kunit_kcalloc(test, SVA_SID + 2,
						      sizeof(struct arm_smmu_ste), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, smmu->strtab_cfg.linear.table);
	smmu->streams = RB_ROOT;
	mutex_init(&smmu->streams_mutex);
	smmu_init_queue(t, &smmu->cmdq.q, 10, &t->reg[0], &t->reg[0], CMDQ_ENT_DWORDS);
	KUNIT_ASSERT_EQ(test, arm_smmu_cmdq_init(smmu, &smmu->cmdq), 0);
	smmu_init_queue(t, &smmu->priq.q, SVA_PRIQ_SHIFT, &t->reg[1], &t->reg[2], PRIQ_ENT_DWORDS);
	smmu_init_queue(t, &smmu->evtq.q, 4, &t->reg[3], &t->reg[4], EVTQ_ENT_DWORDS);
	arm_smmu_sva_init_lines(smmu->priq.lines);
	smmu->priq.q.irq = 1;
	smmu->evtq.q.irq = 1;
	smmu->evtq.iopf = iopf_queue_alloc("smmu-sva-kunit");
	KUNIT_ASSERT_NOT_NULL(test, smmu->evtq.iopf);

	return t;
}

int smmu_test_init(struct kunit *test)
{
	struct smmu_test *t = smmu_make_smmu(test);

	t->bus = kunit_kzalloc(test, sizeof(*t->bus), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->bus);
	t->bus->ops = &smmu_pci_ops;
	t->bus->sysdata = t;

	kunit_activate_static_stub(test, arm_smmu_sva_step, backend_long_step);
	t->unit.ops = &smmu_test_ops;
	backend_init_domain(&t->plain, &smmu_test_ops);
	smmu_init_sdom(t);
	smmu_add_fn(t, 0);
	smmu_add_fn(t, 1);
	return 0;
}

void smmu_test_exit(struct kunit *test)
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
