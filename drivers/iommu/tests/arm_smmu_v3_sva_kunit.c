// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: attaching and binding, and what they need
 */
#include <linux/sizes.h>

#include "arm_smmu_v3_kunit.h"
#include "map_touched.h"
#include "sva_stage.h"

/* Attaching, releasing, detaching */

static void release_quiets_each_cd_and_flushes_all(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_both(t);
	arm_smmu_sva_ops.release(&t->sdom.smmu_domain.domain);
	expect_quiet_cds(t);
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

static void sva_needs_page_faults_first_where_a_device_stalls(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	master->iopf_enabled = false;
	master->pri_capable = false;
	master->stall_enabled = true;
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_sva(master), -EINVAL);
	master->stall_enabled = false;
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_sva(master), 0);
	KUNIT_EXPECT_TRUE(test, arm_smmu_master_sva_enabled(master));
	arm_smmu_master_disable_sva(master);
	master->pri_capable = true;
	master->iopf_enabled = true;
}

/* Its driver has fault handling of its own: the device sends no page requests then. */
static void device_with_page_requests_may_do_without(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	map_touched(test, 1);
	arm_smmu_master_disable_sva(master);
	arm_smmu_master_disable_iopf(master);
	KUNIT_ASSERT_EQ(test, arm_smmu_master_enable_sva(master), 0);
	iommu_sva_unbind_device(bind(t, 0));
	KUNIT_EXPECT_FALSE(test, master->pri_enabled);
}

/* Moves the second function into the first one's group. */
static void share_group(struct smmu_test *t)
{
	struct device *dev = &t->fn[1]->pdev.dev;

	backend_leave_group(dev);
	KUNIT_ASSERT_EQ(t->test, iommu_group_add_device(t->fn[0]->group, dev), 0);
}

static void member_that_has_not_enabled_sva_does_not_fail_its_group(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct iommu_sva *sva;
	u32 pasid;

	share_group(t);
	arm_smmu_master_disable_sva(&t->fn[1]->master);
	map_touched(test, 1);
	sva = bind(t, 0);
	pasid = iommu_sva_get_pasid(sva);
	KUNIT_EXPECT_TRUE(test, cd_is_valid(smmu_cd(t, 0, pasid)));
	KUNIT_EXPECT_TRUE(test, cd_is_valid(smmu_cd(t, 1, pasid)));
	/* It keeps its stream table entry: there is no domain to go back to here. */
	arm_smmu_master_enable_sva(&t->fn[1]->master);
	iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_FALSE(test, cd_is_valid(smmu_cd(t, 1, pasid)));
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

/* Its driver clears the enables of both queues: devices of the crashed kernel go on. */
static void kernel_that_takes_a_dump_offers_no_page_requests(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	t->fn[0]->pdev.pri_cap = 1;
	master->pri_capable = false;
	smmu_enable(t, CR0_EVTQEN);
	arm_smmu_sva_probe_pri(master);
	KUNIT_EXPECT_FALSE(test, master->pri_capable);
	KUNIT_EXPECT_FALSE(test, arm_smmu_master_iopf_supported(master));
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_sva(master), 0);
	/* Any other kernel */
	smmu_enable(t, CR0_EVTQEN | CR0_PRIQEN);
	arm_smmu_sva_probe_pri(master);
	KUNIT_EXPECT_TRUE(test, master->pri_capable);
	KUNIT_EXPECT_TRUE(test, arm_smmu_master_iopf_supported(master));
	t->fn[0]->pdev.pri_cap = 0;
}

static void kernel_that_takes_a_dump_lets_no_device_stall(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	master->pri_capable = false;
	master->stall_enabled = true;
	smmu_enable(t, 0);
	/* Where an SMMU can do nothing else, the device can't be used so. */
	t->smmu->features |= ARM_SMMU_FEAT_STALL_FORCE;
	arm_smmu_sva_probe_pri(master);
	KUNIT_EXPECT_TRUE(test, master->stall_enabled);
	KUNIT_EXPECT_FALSE(test, arm_smmu_master_iopf_supported(master));
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_sva(master), -EOPNOTSUPP);
	t->smmu->features &= ~ARM_SMMU_FEAT_STALL_FORCE;
	arm_smmu_sva_probe_pri(master);
	KUNIT_EXPECT_FALSE(test, master->stall_enabled);
	KUNIT_EXPECT_FALSE(test, arm_smmu_master_iopf_supported(master));
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_sva(master), 0);
	smmu_enable(t, CR0_EVTQEN | CR0_PRIQEN);
	master->pri_capable = true;
}

/* ATS comes with the first translating domain; until then there is nothing to ask for. */
static void page_faults_are_enabled_before_ats(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;
	struct device *dev = &t->fn[0]->pdev.dev;

	arm_smmu_master_disable_iopf(master);
	KUNIT_EXPECT_NULL(test, rcu_access_pointer(dev->iommu->fault_param));
	master->atc_live = false;
	KUNIT_EXPECT_EQ(test, arm_smmu_master_enable_iopf(master), 0);
	KUNIT_EXPECT_TRUE(test, master->iopf_enabled);
	KUNIT_EXPECT_FALSE(test, master->pri_enabled);
	KUNIT_EXPECT_NOT_NULL(test, rcu_access_pointer(dev->iommu->fault_param));
	master->atc_live = true;
}

/* With the core and a real address space */

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

struct smmu_bind_job {
	struct work_struct work;
	struct device *dev;
	struct mm_struct *mm;
	bool bound;
	struct completion done;
};

static void smmu_bind_work(struct work_struct *work)
{
	struct smmu_bind_job *job = container_of(work, struct smmu_bind_job, work);
	struct iommu_sva *sva = iommu_sva_bind_device(job->dev, job->mm);

	job->bound = !IS_ERR(sva);
	if (job->bound)
		iommu_sva_unbind_device(sva);
	complete(&job->done);
}

/* Its attach or detach may wait for hardware, for as long as that takes. */
static void bind_and_unbind_wait_for_no_other_device(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_bind_job job = { .dev = &t->fn[0]->pdev.dev };

	map_touched(test, 1);
	job.mm = current->mm;
	init_completion(&job.done);
	INIT_WORK_ONSTACK(&job.work, smmu_bind_work);
	mutex_lock(&arm_smmu_asid_lock);
	mutex_lock(&t->fn[1]->master.lock);
	schedule_work(&job.work);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&job.done, SVA_PATIENCE), 0);
	mutex_unlock(&t->fn[1]->master.lock);
	mutex_unlock(&arm_smmu_asid_lock);
	flush_work(&job.work);
	destroy_work_on_stack(&job.work);
	KUNIT_EXPECT_TRUE(test, job.bound);
}

/*
 * What the device can do without a PASID does not depend on whether others are bound. There is no
 * domain here for that, which would be attached again.
 */
static void last_unbind_leaves_the_stream_table_entry_alone(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	map_touched(test, 1);
	for (unsigned int n = 0; n < 2; n++) {
		iommu_sva_unbind_device(bind(t, 0));
		KUNIT_EXPECT_FALSE(test, arm_smmu_ssids_in_use(&master->cd_table));
		KUNIT_EXPECT_TRUE(test, master->cd_table.in_ste);
		KUNIT_EXPECT_TRUE(test, master->ste_ats_enabled);
		KUNIT_EXPECT_TRUE(test, master->atc_live);
	}
}

/* It is bound and unbound as others are; what it may have cached goes with the reset. */
static void bind_of_a_device_in_a_reset_asks_nothing_of_it(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;
	struct iommu_sva *sva;

	map_touched(test, 1);
	iopf_quiesce_device(dev);
	skip_cmds(t);
	sva = bind(t, 0);
	iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 0);
	iopf_resume_device(dev);
}

static void expect_refused_bind(struct smmu_test *t, int error)
{
	struct arm_smmu_master *master = &t->fn[0]->master;
	struct iommu_sva *sva;

	sva = iommu_sva_bind_device(&t->fn[0]->pdev.dev, current->mm);
	KUNIT_EXPECT_EQ(t->test, PTR_ERR_OR_ZERO(sva), error);
	/* Else the end of the case waits for it. */
	if (!IS_ERR(sva))
		iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_FALSE(t->test, arm_smmu_ssids_in_use(&master->cd_table));
}

static void bind_fails_without_the_ats_that_was_promised(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	map_touched(test, 1);
	scoped_guard(mutex, &master->lock)
		arm_smmu_sva_start_ats(master, -EBUSY);
	expect_refused_bind(t, -EBUSY);
	scoped_guard(rcu)
		KUNIT_EXPECT_FALSE(test, arm_smmu_sva_has_atc(master));
}

/* As that of a virtual function whose physical one has another smallest translation unit */
static void bind_fails_if_ats_cannot_be_enabled(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *vf = &t->fn[0]->pdev;
	struct arm_smmu_master *master = &t->fn[0]->master;

	map_touched(test, 1);
	vf->is_virtfn = true;
	vf->physfn = &t->fn[1]->pdev;
	t->smmu->pgsize_bitmap = PAGE_SIZE;
	master->ats_enabled = false;
	WRITE_ONCE(master->atc_live, false);
	expect_refused_bind(t, -EINVAL);
	vf->is_virtfn = false;
}

/* Until it can: a virtual function can't before its physical one has page requests enabled. */
static void bind_fails_without_page_requests(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *vf = &t->fn[0]->pdev, *pf = &t->fn[1]->pdev;
	struct arm_smmu_master *master = &t->fn[0]->master;

	map_touched(test, 1);
	smmu_forget_pri(t);
	vf->is_virtfn = true;
	vf->physfn = pf;
	expect_refused_bind(t, -EINVAL);
	pf->pri_enabled = true;
	iommu_sva_unbind_device(bind(t, 0));
	KUNIT_EXPECT_TRUE(test, master->pri_enabled);
	pf->pri_enabled = false;
	vf->is_virtfn = false;
}

/* Whatever the core knows of it: an invalidation may fail when the bind has begun. */
static void device_that_is_cut_off_is_not_bound(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	map_touched(test, 1);
	WRITE_ONCE(master->atc_lost, true);
	expect_refused_bind(t, -EBUSY);
	WRITE_ONCE(master->atc_lost, false);
	iommu_sva_unbind_device(bind(t, 0));
}

/* The SMMU refuses all that the device would send. */
static void device_of_an_smmu_that_is_off_is_not_bound(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	map_touched(test, 1);
	WRITE_ONCE(t->smmu->shut_down, true);
	expect_refused_bind(t, -EIO);
	WRITE_ONCE(t->smmu->shut_down, false);
	iommu_sva_unbind_device(bind(t, 0));
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
	KUNIT_CASE(release_quiets_each_cd_and_flushes_all),
	KUNIT_CASE(release_leaves_a_cleared_cd_alone),
	KUNIT_CASE(detach_clears_the_cd_and_then_the_atc),
	KUNIT_CASE(detached_device_is_not_flushed_any_more),
	KUNIT_CASE(device_of_another_smmu_is_not_mine),
	KUNIT_CASE(device_without_the_feature_is_refused),
	KUNIT_CASE(each_missing_capability_is_noticed),
	KUNIT_CASE(sva_needs_page_faults_first_where_a_device_stalls),
	KUNIT_CASE(device_with_page_requests_may_do_without),
	KUNIT_CASE(member_that_has_not_enabled_sva_does_not_fail_its_group),
	KUNIT_CASE(faults_of_a_stalling_device_need_one_stream),
	KUNIT_CASE(kernel_that_takes_a_dump_offers_no_page_requests),
	KUNIT_CASE(kernel_that_takes_a_dump_lets_no_device_stall),
	KUNIT_CASE(page_faults_are_enabled_before_ats),
	KUNIT_CASE(bound_cd_leads_to_the_process),
	KUNIT_CASE(munmap_has_flushed_when_it_returns),
	KUNIT_CASE(devices_of_one_smmu_share_the_asid),
	KUNIT_CASE(bind_and_unbind_wait_for_no_other_device),
	KUNIT_CASE(last_unbind_leaves_the_stream_table_entry_alone),
	KUNIT_CASE(bind_of_a_device_in_a_reset_asks_nothing_of_it),
	KUNIT_CASE(bind_fails_without_the_ats_that_was_promised),
	KUNIT_CASE(bind_fails_if_ats_cannot_be_enabled),
	KUNIT_CASE(bind_fails_without_page_requests),
	KUNIT_CASE(device_that_is_cut_off_is_not_bound),
	KUNIT_CASE(device_of_an_smmu_that_is_off_is_not_bound),
	KUNIT_CASE(unbind_drains_detaches_and_drains),
	{}
};

static struct kunit_suite arm_smmu_v3_sva_suite = {
	.name = "arm_smmu_v3_sva",
	.init = smmu_test_init,
	.exit = smmu_test_exit,
	.test_cases = arm_smmu_v3_sva_cases,
};

kunit_test_suite(arm_smmu_v3_sva_suite);
