// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core: PASID entries, and what goes before and after their changes
 */
#include <linux/mm.h>
#include <linux/sizes.h>

#include "intel_vtd_kunit.h"
#include "map_touched.h"

/* PASID entries */

static struct pasid_entry *vtd_entry(struct vtd *vtd, unsigned int n)
{
	struct pasid_dir_entry *dir = vtd->dev[n]->table.table;
	struct pasid_entry *table = get_pasid_table_from_pde(&dir[VTD_PASID >> PASID_PDE_SHIFT]);

	return table ? &table[VTD_PASID & PASID_PTE_MASK] : NULL;
}

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
	KUNIT_EXPECT_EQ(vtd->test, vtd_iotlb_order(&e[2].desc), SVA_ORDER_ALL);
	KUNIT_EXPECT_EQ(vtd->test, vtd_type(&e[3]), VTD_ATC);
	KUNIT_EXPECT_EQ(vtd->test, vtd_atc_order(&e[3].desc), SVA_ORDER_ALL);
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
		KUNIT_EXPECT_EQ(test, vtd_atc_order(&e->desc), SVA_ORDER_ALL);
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

/* No thread waits for hardware when there is nothing to tell it. */
static void release_of_nothing_does_nothing(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
}

/* The detach has cleared the entry and not flushed yet; the pages are freed after the release. */
static void release_flushes_what_a_detach_has_not(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	u64 first;

	KUNIT_ASSERT_EQ(test, vtd_attach(vtd, 0), 0);
	first = vtd_entry(vtd, 0)->val[0];
	vtd_entry(vtd, 0)->val[0] = first & ~1ULL;
	vtd->nr = 0;
	intel_sva_ops.release(&vtd->sdom.domain);
	KUNIT_EXPECT_EQ(test, vtd_entry(vtd, 0)->val[0], first & ~1ULL);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), 1);
	for (unsigned int i = 0; i < vtd->nr; i++)
		KUNIT_EXPECT_NE(test, vtd->events[i].kind, VTD_STORE);
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

/* With the core and a real address space */

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

static struct kunit_case intel_pasid_cases[] = {
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
	KUNIT_CASE(release_flushes_what_a_detach_has_not),
	KUNIT_CASE(pasid_in_use_is_refused_and_left_alone),
	KUNIT_CASE(pasid_beyond_the_table_is_refused),
	KUNIT_CASE(device_of_another_iommu_is_not_mine),
	KUNIT_CASE(neighbours_in_a_table_do_not_meet),
	KUNIT_CASE(caching_mode_is_told_of_a_new_entry),
	KUNIT_CASE(incoherent_iommu_sees_the_same_stores),
	KUNIT_CASE(bound_entry_leads_to_the_user_half_only),
	KUNIT_CASE(munmap_has_flushed_when_it_returns),
	KUNIT_CASE(devices_of_one_iommu_share_the_iotlb_flush),
	KUNIT_CASE(unbind_drains_detaches_and_drains),
	{}
};

static struct kunit_suite intel_pasid_suite = {
	.name = "intel_pasid",
	.init = vtd_test_init,
	.exit = vtd_test_exit,
	.test_cases = intel_pasid_cases,
};

kunit_test_suite(intel_pasid_suite);
