/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page-table entries for architectures whose format is not described here: by the kernel's own
 * predicates. Flags are not set: a page that is not young, or is to be written and not dirty, is
 * asked for by a page request, and the fault handler sets them.
 */
#ifndef _DRIVERS_IOMMU_SOFT_IOMMU_WALK_GENERIC_H
#define _DRIVERS_IOMMU_SOFT_IOMMU_WALK_GENERIC_H

/* Not all architectures mark their tables, or use whole pages for them. */
#define SOFT_TABLES_ARE_MARKED	0

static bool soft_hw_reaches(unsigned long addr)
{
	return addr < TASK_SIZE;
}

static bool soft_hw_is_kernel_slot(unsigned long addr)
{
	return false;
}

static unsigned int soft_hw_perm(bool young, bool write, bool dirty)
{
	if (!young)
		return 0;
	return IOMMU_FAULT_PERM_READ | (write && dirty ? IOMMU_FAULT_PERM_WRITE : 0);
}

static void soft_hw_view_pte(pte_t pte, struct soft_view *view)
{
	view->leaf = true;
	view->present = pte_present(pte) && pte_access_permitted(pte, false);
	view->perm = soft_hw_perm(pte_young(pte), pte_write(pte), pte_dirty(pte));
	view->pfn = pte_pfn(pte);
}

static void soft_hw_view_pmd(pmd_t pmd, struct soft_view *view)
{
	view->leaf = pmd_leaf(pmd);
	view->present = !pmd_none(pmd) && (view->leaf ? pmd_present(pmd) : !pmd_bad(pmd));
	view->perm = SOFT_ALL_PERMS;
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	if (view->leaf) {
		view->perm = soft_hw_perm(pmd_young(pmd), pmd_write(pmd), pmd_dirty(pmd));
		view->pfn = pmd_pfn(pmd);
	}
#else
	view->present &= !view->leaf;
#endif
}

static void soft_hw_view(enum soft_level level, u64 val, struct soft_view *view)
{
	*view = (struct soft_view){ .shift = soft_level_shift(level), .perm = SOFT_ALL_PERMS };
	switch (level) {
	case SOFT_PTE:
		soft_hw_view_pte(__pte(val), view);
		break;
	case SOFT_PMD:
		soft_hw_view_pmd(__pmd(val), view);
		break;
	case SOFT_PUD:
		/* A huge leaf here is not described: the access is refused. */
		view->present = !pud_none(__pud(val)) && !pud_leaf(__pud(val)) &&
				!pud_bad(__pud(val));
		break;
	case SOFT_P4D:
		view->present = !p4d_none(__p4d(val)) && !p4d_bad(__p4d(val));
		break;
	case SOFT_PGD:
		view->present = !pgd_none(__pgd(val)) && !pgd_bad(__pgd(val));
		break;
	}
}

static u64 soft_hw_used(u64 val, bool leaf, bool write)
{
	return val;
}

static unsigned int soft_hw_cacheable(u64 val, unsigned int perm)
{
	return perm;
}

static bool soft_hw_update(void *entry, u64 old, u64 new)
{
	return true;
}

#endif /* _DRIVERS_IOMMU_SOFT_IOMMU_WALK_GENERIC_H */
