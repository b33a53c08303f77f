/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page-table entries as first-stage translation of VT-d and the MMU of x86-64 see them: present bit
 * only (PROT_NONE keeps its other bits and is not present), user and write rights of each level,
 * accessed bits at each level, the dirty bit in leaves (Intel SDM, volume 3, chapter 5).
 */
#ifndef _DRIVERS_IOMMU_SOFT_IOMMU_WALK_X86_H
#define _DRIVERS_IOMMU_SOFT_IOMMU_WALK_X86_H

/* Pages of the lowest three levels are of type PageTable. */
#define SOFT_TABLES_ARE_MARKED	1

static bool soft_hw_reaches(unsigned long addr)
{
	return __is_canonical_address(addr, __VIRTUAL_MASK_SHIFT + 1);
}

/* The upper half of the root describes the kernel's memory. */
static bool soft_hw_is_kernel_slot(unsigned long addr)
{
	return (long)addr < 0;
}

static void soft_hw_view(enum soft_level level, u64 val, struct soft_view *view)
{
	view->present = val & _PAGE_PRESENT;
	view->leaf = level == SOFT_PTE || (level <= SOFT_PUD && (val & _PAGE_PSE));
	view->shift = soft_level_shift(level);
	view->pfn = (val & PHYSICAL_PAGE_MASK) >> PAGE_SHIFT;
	view->pfn &= ~0ULL << (view->shift - PAGE_SHIFT);
	view->perm = 0;
	if (!(val & _PAGE_USER))
		return;
	view->perm |= IOMMU_FAULT_PERM_READ;
	if (val & _PAGE_RW)
		view->perm |= IOMMU_FAULT_PERM_WRITE;
	if (!(val & _PAGE_NX))
		view->perm |= IOMMU_FAULT_PERM_EXEC;
}

/* What the entry becomes when it is used. */
static u64 soft_hw_used(u64 val, bool leaf, bool write)
{
	return val | _PAGE_ACCESSED | (leaf && write ? _PAGE_DIRTY : 0);
}

/* Rights that a cached copy of the leaf may grant: a first write has to set the dirty bit. */
static unsigned int soft_hw_cacheable(u64 val, unsigned int perm)
{
	return val & _PAGE_DIRTY ? perm : perm & ~IOMMU_FAULT_PERM_WRITE;
}

static bool soft_hw_update(void *entry, u64 old, u64 new)
{
	return cmpxchg((u64 *)entry, old, new) == old;
}

#endif /* _DRIVERS_IOMMU_SOFT_IOMMU_WALK_X86_H */
