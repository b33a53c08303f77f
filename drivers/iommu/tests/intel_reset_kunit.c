// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core: devices that are reset, do not answer, or go
 */
#include <linux/mm.h>
#include <linux/sizes.h>

#include "intel_vtd_kunit.h"
#include "map_touched.h"

/* Time-outs */

/* 11.4.9.9: with the error hardware says which device it was. */
static void time_out_error_names_the_device(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct q_inval *qi;

	vtd_add_queue(vtd);
	qi = vtd->hw->qi;
	/* Hardware has read a wait, and nothing else. */
	qi->desc_status[0] = QI_IN_USE;
	*vtd_reg(vtd, DMAR_IQH_REG) = sizeof(struct qi_desc);
	*vtd_reg(vtd, DMAR_FSTS_REG) = DMA_FSTS_ITE;
	*vtd_reg64(vtd, DMAR_IQER_REG) = (u64)VTD_RID << 32;
	kunit_info(test, "SVA-EXPECT DMAR: (VT-d detected |QI |)(Invalidation Time-out|HEAD|PRIOR)\n");
	scoped_guard(rcu)
		KUNIT_EXPECT_EQ(test, qi_check_fault(vtd->hw, 0, 0), -EAGAIN);
	kunit_info(test, "SVA-EXPECT-END\n");
	KUNIT_EXPECT_EQ(test, qi->desc_status[0], QI_ABORT);
	KUNIT_EXPECT_TRUE(test, vtd->dev[0]->info.atc_hangs);
	KUNIT_EXPECT_FALSE(test, vtd->dev[1]->info.atc_hangs);
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
	KUNIT_EXPECT_EQ(test, vtd_atc_order(&desc), SVA_ORDER_ALL);
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

static void device_out_of_reset_is_asked_though_it_has_hung(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	scoped_guard(rcu)
		intel_qi_timed_out(vtd->hw, VTD_RID);
	KUNIT_EXPECT_TRUE(test, vtd->dev[0]->info.atc_hangs);
	iopf_quiesce_device(&vtd->dev[0]->pdev.dev);
	vtd->nr = 0;
	iopf_resume_device(&vtd->dev[0]->pdev.dev);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	KUNIT_EXPECT_FALSE(test, vtd->dev[0]->info.atc_hangs);
	KUNIT_EXPECT_EQ(test, atomic_read(&vtd->hw->atc_hanging), 0);
}

static void virtual_function_hears_nothing_while_its_physical_one_is_reset(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pci_dev *pf = &vtd->dev[0]->pdev, *vf = &vtd->dev[1]->pdev;

	vtd_attach_both(vtd);
	backend_make_vf(test, pf, vf);
	iopf_pci_reset_begins(pf);
	vtd->nr = 0;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	iopf_pci_restored(pf);
	vtd->nr = 0;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vtd->nr = 0;
	iopf_pci_restored(vf);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vtd->nr = 0;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
	backend_unmake_vf(pf, vf);
	vtd_detach_both(vtd);
}

/* It is not flushed when the other one's pause ends. */
static void virtual_function_misses_nothing_in_a_pause_of_its_physical_one(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pci_dev *pf = &vtd->dev[0]->pdev, *vf = &vtd->dev[1]->pdev;

	vtd_attach_both(vtd);
	backend_make_vf(test, pf, vf);
	iopf_quiesce_device(&pf->dev);
	vtd->nr = 0;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	iopf_resume_device(&pf->dev);
	backend_unmake_vf(pf, vf);
	vtd_detach_both(vtd);
}

/* A reset that was of no use */
static void device_that_does_not_come_out_of_reset_is_not_asked(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct device *dev = &vtd->dev[0]->pdev.dev;

	iopf_quiesce_device(dev);
	vtd->dev[0]->absent = true;
	vtd->nr = 0;
	iopf_resume_device(dev);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(dev));
	/* Another one, after which it is there, but still cut off */
	vtd->dev[0]->absent = false;
	vtd->dev[0]->pdev.error_state = pci_channel_io_frozen;
	iopf_quiesce_device(dev);
	iopf_resume_device(dev);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(dev));
	vtd->dev[0]->pdev.error_state = pci_channel_io_normal;
	iopf_quiesce_device(dev);
	iopf_resume_device(dev);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(dev));
}

/* The link is down, and hotplug has not noticed yet. */
static void device_that_is_not_there_is_not_asked_at_detach(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd->dev[0]->absent = true;
	vtd->dev[0]->info.dtlb_extra_inval = 1;
	vtd_detach(vtd, 0);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(&vtd->dev[0]->pdev.dev));
	vtd_detach(vtd, 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(&vtd->dev[1]->pdev.dev));
}

static void device_that_is_not_there_is_not_asked_by_a_drain(struct kunit *test)
{
	struct qi_desc desc[PRQ_MAX_PUSH];
	struct vtd *vtd = test->priv;

	vtd->dev[0]->absent = true;
	guard(rcu)();
	KUNIT_EXPECT_EQ(test, intel_prq_make_push(desc, &vtd->dev[0]->info, VTD_PASID), 2);
	KUNIT_EXPECT_EQ(test, intel_prq_make_push(desc, &vtd->dev[1]->info, VTD_PASID), 3);
}

static void device_that_hangs_is_not_attached(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	scoped_guard(rcu)
		intel_qi_timed_out(vtd->hw, VTD_RID);
	KUNIT_EXPECT_EQ(test, vtd_attach(vtd, 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, vtd_attach(vtd, 1), 0);
	vtd_detach(vtd, 1);
}

static void request_from_before_the_reset_is_dropped(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_plain(vtd);
	iopf_quiesce_device(&vtd->dev[0]->pdev.dev);
	vtd_push_group(vtd, 5);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 0);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_RESPONSE), 0);
	iopf_resume_device(&vtd->dev[0]->pdev.dev);
	vtd_push_group(vtd, 5);
	vtd_interrupt(vtd);
	KUNIT_EXPECT_EQ(test, vtd->plain.groups, 1);
	vtd_expect_response(vtd, 0, 5, 0);
	vtd_detach_plain(vtd);
}

/* The base driver's own flushes */

/* Configuration space has a function there. */
static int vtd_read_config(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *val)
{
	*val = PCI_VENDOR_ID_INTEL;
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops vtd_config_ops = { .read = vtd_read_config };

/* A domain of the kernel's DMA that both functions use, the first one also with a PASID */
static struct dmar_domain *vtd_attach_kernel(struct vtd *vtd)
{
	struct kunit *test = vtd->test;
	struct iommu_domain_info *on = kunit_kzalloc(test, sizeof(*on), GFP_KERNEL);
	struct dmar_domain *domain = kunit_kzalloc(test, sizeof(*domain), GFP_KERNEL);
	struct device *dev[] = { &vtd->dev[0]->pdev.dev, &vtd->dev[1]->pdev.dev };

	KUNIT_ASSERT_TRUE(test, on && domain);
	domain->qi_batch = kunit_kzalloc(test, sizeof(*domain->qi_batch), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domain->qi_batch);
	domain->use_first_level = true;
	spin_lock_init(&domain->cache_lock);
	INIT_LIST_HEAD(&domain->cache_tags);
	xa_init(&domain->iommu_array);
	on->did = 7;
	KUNIT_ASSERT_NULL(test, xa_store(&domain->iommu_array, vtd->hw->seq_id, on, GFP_KERNEL));
	KUNIT_ASSERT_EQ(test, cache_tag_assign_domain(domain, dev[0], IOMMU_NO_PASID), 0);
	KUNIT_ASSERT_EQ(test, cache_tag_assign_domain(domain, dev[0], VTD_PASID + 1), 0);
	KUNIT_ASSERT_EQ(test, cache_tag_assign_domain(domain, dev[1], IOMMU_NO_PASID), 0);
	return domain;
}

static void vtd_detach_kernel(struct vtd *vtd, struct dmar_domain *domain)
{
	cache_tag_unassign_domain(domain, &vtd->dev[1]->pdev.dev, IOMMU_NO_PASID);
	cache_tag_unassign_domain(domain, &vtd->dev[0]->pdev.dev, VTD_PASID + 1);
	cache_tag_unassign_domain(domain, &vtd->dev[0]->pdev.dev, IOMMU_NO_PASID);
	KUNIT_EXPECT_TRUE(vtd->test, list_empty(&domain->cache_tags));
	xa_destroy(&domain->iommu_array);
}

/* Each of the flushes once: how many ATC invalidations is each function sent? */
static void vtd_expect_flushed(struct vtd *vtd, struct dmar_domain *domain, unsigned int first,
			       unsigned int second)
{
	vtd->nr = 0;
	cache_tag_flush_range(domain, SZ_4K, SZ_8K - 1, 0);
	cache_tag_flush_all(domain);
	KUNIT_EXPECT_GE(vtd->test, vtd_count(vtd, VTD_IOTLB), 2);
	KUNIT_EXPECT_EQ(vtd->test, vtd_count_atc(vtd, VTD_RID), first);
	KUNIT_EXPECT_EQ(vtd->test, vtd_count_atc(vtd, VTD_RID_1), second);
	KUNIT_EXPECT_EQ(vtd->test, vtd->events[vtd->nr - 1].kind, VTD_SUBMITTED);
}

static void kernels_own_flush_leaves_a_device_in_reset_alone(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct dmar_domain *domain = vtd_attach_kernel(vtd);

	vtd_add_queue(vtd);
	vtd_expect_flushed(vtd, domain, 4, 2);
	iopf_quiesce_device(&vtd->dev[0]->pdev.dev);
	vtd_expect_flushed(vtd, domain, 0, 2);
	vtd->nr = 0;
	iopf_resume_device(&vtd->dev[0]->pdev.dev);
	/* What it has missed, with PASIDs and without */
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	KUNIT_ASSERT_EQ(test, vtd_count(vtd, VTD_ATC_UNTAGGED), 1);
	KUNIT_EXPECT_EQ(test, vtd_count_atc(vtd, VTD_RID), 2);
	KUNIT_EXPECT_EQ(test, vtd_find(vtd, VTD_ATC_UNTAGGED, 0)->desc.qw1,
			GENMASK_ULL(62, 12) | BIT_ULL(0));
	KUNIT_EXPECT_FALSE(test, vtd->dev[0]->info.atc_hangs);
	vtd_expect_flushed(vtd, domain, 4, 2);
	vtd_detach_kernel(vtd, domain);
}

/* Neither on a fault queue nor attached to a PASID: an NVMe drive, say */
static void kernels_own_flush_leaves_a_device_without_pasids_alone(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct dmar_domain *domain = vtd_attach_kernel(vtd);
	struct pci_dev *pdev = &vtd->dev[1]->pdev;

	vtd_add_queue(vtd);
	iopf_queue_remove_device(vtd->hw->iopf_queue, &pdev->dev);
	vtd->dev[1]->info.pasid_enabled = 0;
	pdev->dev.bus = &pci_bus_type;
	pdev->ats_enabled = 1;
	iopf_pci_reset_begins(pdev);
	vtd_expect_flushed(vtd, domain, 4, 0);
	vtd->nr = 0;
	iopf_pci_restored(pdev);
	/* With a PASID it would not know what to do. */
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	KUNIT_EXPECT_EQ(test, vtd_count_atc(vtd, VTD_RID_1), 1);
	vtd_expect_flushed(vtd, domain, 4, 2);
	pdev->dev.bus = NULL;
	vtd_detach_kernel(vtd, domain);
}

static void change_of_an_entry_leaves_a_device_in_reset_alone(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct pci_dev *pdev = &vtd->dev[0]->pdev;
	struct pci_bus *bus = kunit_kzalloc(test, sizeof(*bus), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, bus);
	bus->ops = &vtd_config_ops;
	pdev->bus = bus;
	vtd_add_queue(vtd);
	vtd_attach_both(vtd);
	intel_pasid_setup_page_snoop_control(vtd->hw, &pdev->dev, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_count_atc(vtd, VTD_RID), 1);
	iopf_quiesce_device(&pdev->dev);
	vtd->nr = 0;
	intel_pasid_setup_page_snoop_control(vtd->hw, &pdev->dev, VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_PASID_CACHE), 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, vtd_count_atc(vtd, VTD_RID), 0);
	iopf_resume_device(&pdev->dev);
	pdev->bus = NULL;
	vtd_detach_both(vtd);
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

static struct kunit_case intel_reset_cases[] = {
	KUNIT_CASE(time_out_error_names_the_device),
	KUNIT_CASE(flush_of_all_pasids_names_the_device_only),
	KUNIT_CASE(device_in_reset_is_not_told_of_invalidations),
	KUNIT_CASE(device_out_of_reset_forgets_all),
	KUNIT_CASE(device_out_of_reset_is_asked_though_it_has_hung),
	KUNIT_CASE(virtual_function_hears_nothing_while_its_physical_one_is_reset),
	KUNIT_CASE(virtual_function_misses_nothing_in_a_pause_of_its_physical_one),
	KUNIT_CASE(device_that_does_not_come_out_of_reset_is_not_asked),
	KUNIT_CASE(device_that_is_not_there_is_not_asked_at_detach),
	KUNIT_CASE(device_that_is_not_there_is_not_asked_by_a_drain),
	KUNIT_CASE(device_that_hangs_is_not_attached),
	KUNIT_CASE(request_from_before_the_reset_is_dropped),
	KUNIT_CASE(kernels_own_flush_leaves_a_device_in_reset_alone),
	KUNIT_CASE(kernels_own_flush_leaves_a_device_without_pasids_alone),
	KUNIT_CASE(change_of_an_entry_leaves_a_device_in_reset_alone),
	KUNIT_CASE(device_is_kept_for_the_flushes_that_know_it),
	{}
};

static struct kunit_suite intel_reset_suite = {
	.name = "intel_reset",
	.init = vtd_test_init,
	.exit = vtd_test_exit,
	.test_cases = intel_reset_cases,
};

kunit_test_suite(intel_reset_suite);
