/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page-table entries as stage 1 of the SMMUv3 with hardware update of flags (HTTU) sees them: valid
 * bit, rights of user accesses, hierarchical rights of tables, access flag, and the dirty state,
 * which is "not read-only" where the modifier bit (DBM) allows that (Arm ARM, D8.3 and D8.5). A run
 * of contiguous entries is one translation.
 */
#ifndef _DRIVERS_IOMMU_SOFT_IOMMU_WALK_ARM64_H
#define _DRIVERS_IOMMU_SOFT_IOMMU_WALK_ARM64_H

/* Pages of the lowest three levels are of type PageTable. */
#define SOFT_TABLES_ARE_MARKED	1

/* Hierarchical rights, in descriptors of tables. */
#define SOFT_TABLE_NO_USER	BIT_ULL(61)
#define SOFT_TABLE_NO_WRITE	BIT_ULL(62)

static bool soft_hw_reaches(unsigned long addr)
{
	return addr < TASK_SIZE_64;
}

/* The kernel has a root of its own. */
static bool soft_hw_is_kernel_slot(unsigned long addr)
{
	return false;
}

static unsigned int soft_hw_table_perm(u64 val)
{
	unsigned int perm = SOFT_ALL_PERMS;

	if (val & SOFT_TABLE_NO_USER)
		return 0;
	if (val & SOFT_TABLE_NO_WRITE)
		perm &= ~IOMMU_FAULT_PERM_WRITE;
	if (val & PMD_TABLE_UXN)
		perm &= ~IOMMU_FAULT_PERM_EXEC;
	return perm;
}

static unsigned int soft_hw_leaf_perm(u64 val)
{
	unsigned int perm = 0;

	if (val & PTE_USER)
		perm |= IOMMU_FAULT_PERM_READ;
	if ((val & PTE_USER) && (!(val & PTE_RDONLY) || (val & PTE_DBM)))
		perm |= IOMMU_FAULT_PERM_WRITE;
	if (!(val & PTE_UXN))
		perm |= IOMMU_FAULT_PERM_EXEC;
	return perm;
}

static unsigned int soft_hw_leaf_shift(enum soft_level level, u64 val)
{
	if (val & PTE_CONT) {
		if (level == SOFT_PTE)
			return CONT_PTE_SHIFT;
		if (level == SOFT_PMD)
			return CONT_PMD_SHIFT;
	}
	return soft_level_shift(level);
}

static void soft_hw_view(enum soft_level level, u64 val, struct soft_view *view)
{
	bool bit1 = val & PTE_TABLE_BIT;

	/* At the last level bit 1 says "page", above it says "table". */
	view->leaf = level == SOFT_PTE || !bit1;
	view->present = (val & PTE_VALID) && (level == SOFT_PTE ? bit1 : bit1 || level <= SOFT_PUD);
	view->perm = view->leaf ? soft_hw_leaf_perm(val) : soft_hw_table_perm(val);
	view->shift = view->leaf ? soft_hw_leaf_shift(level, val) : soft_level_shift(level);
	view->pfn = __pte_to_phys(__pte(val)) >> PAGE_SHIFT;
	view->pfn &= ~0ULL << (view->shift - PAGE_SHIFT);
}

static u64 soft_hw_used(u64 val, bool leaf, bool write)
{
	if (!leaf)
		return val;
	val |= PTE_AF;
	return write ? val & ~PTE_RDONLY : val;
}

static unsigned int soft_hw_cacheable(u64 val, unsigned int perm)
{
	return val & PTE_RDONLY ? perm & ~IOMMU_FAULT_PERM_WRITE : perm;
}

static bool soft_hw_update(void *entry, u64 old, u64 new)
{
	return cmpxchg((u64 *)entry, old, new) == old;
}

#endif /* _DRIVERS_IOMMU_SOFT_IOMMU_WALK_ARM64_H */
