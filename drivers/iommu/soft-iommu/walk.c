// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: the page-table walker
 *
 * A walk reads the live page tables of a process, from the root that the PASID entry names, as
 * hardware does: without locks, entry by entry, each read once. It begins below the deepest level
 * that the paging-structure cache knows, so it may use tables that are no longer linked: only an
 * invalidation stops it from that. Accessed and dirty flags are set by compare-and-exchange; an
 * entry that has changed meanwhile is read again.
 *
 * A table page may be freed as soon as the invalidation that follows its unlinking has ended. Walks
 * are readers of soft_iommu.traffic, invalidations are writers: a walk that meets a page which is
 * free has caught the core at not invalidating. So has one that meets a page which is no page table
 * any more, if that invalidation does not come (ledger.c).
 *
 * Levels that the architecture, or this machine, folds into others are no levels here. What an
 * entry means is in the header of the architecture.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "soft-priv.h"

enum soft_level { SOFT_PTE, SOFT_PMD, SOFT_PUD, SOFT_P4D, SOFT_PGD };

#define SOFT_ALL_PERMS	(SOFT_RW | IOMMU_FAULT_PERM_EXEC)

/**
 * struct soft_view - what an entry means to hardware
 * @present: it takes part in translation
 * @leaf: it maps memory, else it names a table
 * @perm: what it allows, IOMMU_FAULT_PERM_*
 * @shift: of the memory that it describes
 * @pfn: first page of a leaf's memory
 */
struct soft_view {
	bool present;
	bool leaf;
	unsigned int perm;
	unsigned int shift;
	u64 pfn;
};

/**
 * struct soft_walk - a walk under way
 * @entry: PASID entry
 * @pasid: PASID
 * @addr: what to translate
 * @perm: what is wanted
 * @level: of the entry in hand
 * @ptr: where that is; in no table if it came from the paging-structure cache
 * @val: the entry in hand
 * @rights: what the levels above allow
 * @from_root: the entry in hand is the root's
 * @pgd: copy of the entry above @ptr, by level; as the others
 * @p4d: copy
 * @pud: copy
 * @pmd: copy
 */
struct soft_walk {
	const struct soft_pasid_entry *entry;
	ioasid_t pasid;
	unsigned long addr;
	unsigned int perm;
	enum soft_level level;
	void *ptr;
	u64 val;
	unsigned int rights;
	bool from_root;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;
};

static unsigned int soft_level_shift(enum soft_level level)
{
	switch (level) {
	case SOFT_PGD:
		return PGDIR_SHIFT;
	case SOFT_P4D:
		return P4D_SHIFT;
	case SOFT_PUD:
		return PUD_SHIFT;
	case SOFT_PMD:
		return PMD_SHIFT;
	default:
		return PAGE_SHIFT;
	}
}

#if defined(CONFIG_X86_64)
#include "walk-x86.h"
#elif defined(CONFIG_ARM64)
#include "walk-arm64.h"
#else
#include "walk-generic.h"
#endif

static bool soft_level_is_folded(struct mm_struct *mm, enum soft_level level)
{
	switch (level) {
	case SOFT_P4D:
		return mm_p4d_folded(mm);
	case SOFT_PUD:
		return mm_pud_folded(mm);
	case SOFT_PMD:
		return mm_pmd_folded(mm);
	default:
		return false;
	}
}

/* What has become of a page that has no owner; else NULL. */
static const char *soft_page_is_free(struct page *page)
{
	/* Pages on their way to the allocator have no references either. */
	return PageBuddy(page) || !page_count(page) ? "free" : NULL;
}

/* The page of a fourth level bears no mark. */
static bool soft_table_lacks_mark(const struct soft_walk *walk)
{
	return SOFT_TABLES_ARE_MARKED && walk->level <= SOFT_PUD &&
	       !PageTable(virt_to_page(walk->ptr));
}

static u64 soft_read_entry(const struct soft_walk *walk)
{
	switch (walk->level) {
	case SOFT_PGD:
		return pgd_val(READ_ONCE(*(pgd_t *)walk->ptr));
	case SOFT_P4D:
		return p4d_val(READ_ONCE(*(p4d_t *)walk->ptr));
	case SOFT_PUD:
		return pud_val(READ_ONCE(*(pud_t *)walk->ptr));
	case SOFT_PMD:
		return pmd_val(READ_ONCE(*(pmd_t *)walk->ptr));
	default:
		return pte_val(READ_ONCE(*(pte_t *)walk->ptr));
	}
}

/* From the entry @val at the level in hand to the next level's entry. */
static void soft_walk_down(struct soft_walk *walk, u64 val)
{
	unsigned long addr = walk->addr;

	switch (walk->level) {
	case SOFT_PGD:
		walk->pgd = __pgd(val);
		walk->ptr = p4d_offset_lockless((pgd_t *)walk->ptr, walk->pgd, addr);
		break;
	case SOFT_P4D:
		walk->p4d = __p4d(val);
		walk->ptr = pud_offset_lockless((p4d_t *)walk->ptr, walk->p4d, addr);
		break;
	case SOFT_PUD:
		walk->pud = __pud(val);
		walk->ptr = pmd_offset_lockless((pud_t *)walk->ptr, walk->pud, addr);
		break;
	default:
		walk->pmd = __pmd(val);
		walk->ptr = pte_offset_kernel(&walk->pmd, addr);
		break;
	}
	walk->level--;
}

/*
 * A level that is folded has no table: its entry is that of the level above, or, where the root's
 * geometry differs, another one of the same page.
 */
static void soft_walk_unfold(struct soft_walk *walk)
{
	while (walk->level > SOFT_PTE && soft_level_is_folded(walk->entry->mm, walk->level - 1)) {
		void *ptr = walk->ptr;

		soft_walk_down(walk, soft_read_entry(walk));
		if (walk->ptr >= (void *)walk && walk->ptr < (void *)(walk + 1))
			walk->ptr = ptr;
	}
}

/* Finds where to begin: below the deepest cached entry, or at @root. */
static void soft_walk_begin(struct soft_iommu *iommu, struct soft_walk *walk, pgd_t *root)
{
	struct soft_line line;

	for (walk->level = SOFT_PMD; walk->level <= SOFT_PGD; walk->level++) {
		/* An entry is cached under the lowest of the levels that it stands for. */
		if (soft_level_is_folded(walk->entry->mm, walk->level - 1) ||
		    !soft_cache_find_sized(iommu->psc, walk->pasid, walk->addr,
					   soft_level_shift(walk->level), &line))
			continue;
		soft_count(iommu, psc_hits);
		walk->rights = line.perm;
		walk->from_root = false;
		soft_walk_down(walk, line.val);
		return;
	}

	walk->level = SOFT_PGD;
	walk->ptr = pgd_offset_pgd(root, walk->addr);
	walk->rights = SOFT_ALL_PERMS;
	walk->from_root = true;
	soft_walk_unfold(walk);
}

static void soft_note_table(struct soft_iommu *iommu, const struct soft_walk *walk)
{
	struct soft_line line = {
		.pasid = walk->pasid,
		.shift = soft_level_shift(walk->level),
		.perm = walk->rights,
		.val = walk->val,
	};

	line.va = walk->addr & (~0UL << line.shift);
	soft_cache_add(iommu->psc, &line);
}

/* @state: NULL if it is only in doubt */
static void soft_complain_of_table(struct soft_iommu *iommu, const struct soft_walk *walk,
				   const char *state)
{
	unsigned long span = 1UL << soft_level_shift(walk->level + 1);
	struct soft_doubt doubt;

	doubt.pasid = walk->pasid;
	doubt.first = walk->addr & ~(span - 1);
	doubt.last = doubt.first + span - 1;
	snprintf(doubt.text, sizeof(doubt.text),
		 "%s, PASID %u: a walk for %#lx reads a level %d table that is %s",
		 soft_endpoint_name(walk->entry->ep), walk->pasid, walk->addr, walk->level + 1,
		 state ?: "used for something else");
	if (state)
		soft_violation(iommu, "%s", doubt.text);
	else
		soft_doubt(iommu, &doubt);
}

/*
 * The page of the entry in hand must be a table that has not been freed. One without a mark maps
 * nothing.
 */
static int soft_check_table(struct soft_iommu *iommu, const struct soft_walk *walk)
{
	const char *state = soft_page_is_free(virt_to_page(walk->ptr));

	if (!state && !soft_table_lacks_mark(walk))
		return 0;
	soft_complain_of_table(iommu, walk, state);
	return -EFAULT;
}

/* The entry in hand must not lead to tables that the kernel frees without telling the IOMMU. */
static int soft_check_root_entry(struct soft_iommu *iommu, const struct soft_walk *walk,
				 const struct soft_view *view)
{
	if (!walk->from_root || !view->present || !soft_hw_is_kernel_slot(walk->addr))
		return 0;
	soft_count(iommu, kernel_half_reads);
	soft_violation(iommu,
		       "%s, PASID %u: for %#lx an entry of the root's kernel half is read: %#llx",
		       soft_endpoint_name(walk->entry->ep), walk->pasid, walk->addr, walk->val);
	return -EFAULT;
}

/* Reads the entry in hand and sets its flags. -EFAULT: it ends the walk. */
static int soft_use_entry(struct soft_iommu *iommu, struct soft_walk *walk, struct soft_view *view)
{
	bool write = walk->perm & IOMMU_FAULT_PERM_WRITE;
	u64 used;

	do {
		walk->val = soft_read_entry(walk);
		soft_count(iommu, entries_read);
		soft_hw_view(walk->level, walk->val, view);
		if (soft_check_root_entry(iommu, walk, view))
			return -EFAULT;
		if (!view->present || (walk->perm & ~(walk->rights & view->perm)))
			return -EFAULT;
		used = soft_hw_used(walk->val, view->leaf, write);
	} while (used != walk->val && !soft_hw_update(walk->ptr, walk->val, used));

	walk->val = used;
	walk->rights &= view->perm;
	return 0;
}

/**
 * soft_walk() - Translate by the page tables
 * @iommu: the IOMMU
 * @entry: the PASID entry
 * @pasid: whose it is
 * @addr: what to translate
 * @perm: the access that is wanted; dirty flags are set for a write
 * @line: what a cache may keep: the page, and the rights that it grants
 *
 * Context: reader of soft_iommu.traffic.
 * Return: 0, or -EFAULT if the tables do not allow the access.
 */
int soft_walk(struct soft_iommu *iommu, const struct soft_pasid_entry *entry, ioasid_t pasid,
	      unsigned long addr, unsigned int perm, struct soft_line *line)
{
	struct soft_walk walk = { .entry = entry, .pasid = pasid, .addr = addr, .perm = perm };
	/* The exit of the process may take it from the entry at any time. */
	pgd_t *root = READ_ONCE(entry->root);
	struct soft_view view = { };

	lockdep_assert_held(&iommu->traffic);

	soft_count(iommu, walks);
	if (!root || !soft_hw_reaches(addr))
		return -EFAULT;

	soft_walk_begin(iommu, &walk, root);
	for (;;) {
		if (!walk.from_root && soft_check_table(iommu, &walk))
			return -EFAULT;
		if (soft_use_entry(iommu, &walk, &view))
			return -EFAULT;
		if (view.leaf)
			break;
		soft_note_table(iommu, &walk);
		soft_walk_down(&walk, walk.val);
		soft_walk_unfold(&walk);
		walk.from_root = false;
	}

	line->pasid = pasid;
	line->shift = view.shift;
	line->va = addr & (~0UL << view.shift);
	line->perm = soft_hw_cacheable(walk.val, walk.rights);
	line->val = view.pfn;
	return 0;
}

/* Why no byte may be moved to or from a page, or NULL. */
const char *soft_page_state(u64 pfn)
{
	struct page *page;
	const char *state;

	if (!pfn_valid(pfn))
		return "not memory";
	page = pfn_to_page(pfn);
	state = soft_page_is_free(page);
	if (!state && PageTable(page))
		state = "a page table";
	if (!state && PageSlab(page))
		state = "the kernel's";
	return state;
}
