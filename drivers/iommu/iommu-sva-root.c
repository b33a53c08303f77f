// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing: the page-table root that the IOMMU walks
 *
 * The user-only root (x86). The kernel half of a process's top-level table changes without any MMU
 * notifier, so an IOMMU that walks mm->pgd may keep using freed kernel page-table pages. Here it
 * walks a page that belongs to the io_mm: the user half mirrors mm->pgd, the kernel half is zero.
 *
 * A slot that goes. Before the mm core frees an upper-level table it flushes the table's range;
 * each invalidation first copies the slots that it covers. So a stale slot never outlives the table
 * it points to. No memory comes into such a slot before its flush is over: a table goes when no
 * mapping is left in its range, and a thread that makes a new mapping there waits for mmap_lock,
 * which the thread that unmaps holds until then.
 *
 * A slot that comes. __pud_alloc(), or with five levels __p4d_alloc(), is where the kernel puts a
 * table into a slot of the user half; iommu_sva_populate() puts it into both roots, the io_mm's
 * first, so that a device can use memory in the slot as soon as any thread can. A later copy would
 * be too late for a thread that finds the slot filled, does not call those functions, and tells a
 * device of its memory from user space. So a device learns of a slot without page requests, and may
 * have none.
 *
 *	and an invalidation	copies under root_lock, which is held over both stores: it sees
 *				the slot empty in both roots, or filled in both
 *	and a bind		shows its io_mm under page_table_lock, which the function that fills
 *				a slot holds, and copies all slots afterwards: a slot was filled
 *				before, and is copied, or is filled with the io_mm in sight
 *				(so an invalidation has nothing to do for slots that are empty in
 *				our root; it looks at the others only, of which a process has few.
 *				Everything is invalidated for each page that reclaim takes.)
 *	and the last unbind	hides the io_mm under the same lock: it stays until that is released
 *	and the exit		leaves our root empty from there on, under root_lock; the mm's is
 *				filled all the same
 *	and folded levels	with four levels an entry of p4d_t is one of the top level: what
 *				counts is whether it lies in the user half of mm->pgd
 *
 * No other code fills a slot. hugetlb, userfaultfd, mremap() and remap_pfn_range() allocate their
 * tables with these functions; a child gets tables from fork(), but no bonds. All other code that
 * writes to a top level writes to its kernel half, to tables that no process has, or to page-table
 * isolation's user copy of mm->pgd.
 *
 * Locks: io_mm.root_lock, innermost. Lifetime: the root is in one object with the io_mm, so it goes
 * after the last detach. It is empty when the object goes, as the next owner expects it: a bind
 * would have to clear a page of which a process uses some five slots.
 */
#include <asm/pgalloc.h>
#include <linux/bitmap.h>
#include <linux/compiler.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/spinlock.h>

#include "iommu-sva-priv.h"

#ifdef CONFIG_X86_64
/* CPU and IOMMU set it as they walk, each in its own table. */
#define SVA_ROOT_IGNORED	_PAGE_ACCESSED
/* Page-table isolation sets it in the kernel's view of the user half, which no IOMMU uses. */
#define SVA_ROOT_DROPPED	_PAGE_NX
#define SVA_ROOT_SLOTS		(PTRS_PER_PGD / 2)
#define SVA_ROOT_RUN		16

void io_mm_init_root(struct io_mm *io_mm)
{
	io_mm->root = (void *)io_mm - SVA_ROOT_SIZE;
}

/* For the next owner of the memory. A slot that is not marked as filled is empty. */
void io_mm_empty_root(struct io_mm *io_mm)
{
	unsigned long i;

	for_each_set_bit(i, io_mm->filled, SVA_ROOT_SLOTS)
		io_mm->root[i] = __pgd(0);
	bitmap_zero(io_mm->filled, SVA_ROOT_SLOTS);
	io_mm->exited = false;
}

static pgdval_t io_mm_slot(struct io_mm *io_mm, unsigned long i)
{
	return pgd_val(READ_ONCE(io_mm->notifier.mm->pgd[i])) & ~SVA_ROOT_DROPPED;
}

static bool io_mm_slot_in_sync(struct io_mm *io_mm, unsigned long i)
{
	return !((io_mm_slot(io_mm, i) ^ pgd_val(READ_ONCE(io_mm->root[i]))) & ~SVA_ROOT_IGNORED);
}

static void io_mm_copy_slot(struct io_mm *io_mm, unsigned long i)
{
	pgdval_t slot = io_mm_slot(io_mm, i);

	WRITE_ONCE(io_mm->root[i], __pgd(slot));
	__assign_bit(i, io_mm->filled, slot);
}

static pgdval_t sva_any_of_four(const pgd_t *slots)
{
	return pgd_val(slots[0]) | pgd_val(slots[1]) | pgd_val(slots[2]) | pgd_val(slots[3]);
}

/* Is one of SVA_ROOT_RUN slots filled? */
static bool sva_any_slot(const pgd_t *slots)
{
	/* What a bind must copy was there before. It may miss what another thread fills now. */
	return data_race(sva_any_of_four(slots) | sva_any_of_four(slots + 4) |
			 sva_any_of_four(slots + 8) | sva_any_of_four(slots + 12));
}

/* Brings all slots up to date, for a bind: ours that are filled, then theirs. Most are empty. */
void io_mm_mirror_all(struct io_mm *io_mm)
{
	const pgd_t *theirs = io_mm->notifier.mm->pgd;
	unsigned long i, run;

	guard(spinlock)(&io_mm->root_lock);
	if (io_mm->exited)
		return;
	for_each_set_bit(i, io_mm->filled, SVA_ROOT_SLOTS)
		if (!io_mm_slot_in_sync(io_mm, i))
			io_mm_copy_slot(io_mm, i);
	for (run = 0; run < SVA_ROOT_SLOTS; run += SVA_ROOT_RUN) {
		if (!sva_any_slot(theirs + run))
			continue;
		for (i = run; i < run + SVA_ROOT_RUN; i++)
			if (pgd_val(READ_ONCE(theirs[i])) && !io_mm_slot_in_sync(io_mm, i))
				io_mm_copy_slot(io_mm, i);
	}
}

/* Brings the slots of @start to @last, inclusive, up to date: some may have gone. */
void io_mm_mirror(struct io_mm *io_mm, unsigned long start, unsigned long last)
{
	unsigned long i, end = SVA_ROOT_SLOTS;

	if (start >= TASK_SIZE_MAX)
		return;
	if (last < TASK_SIZE_MAX)
		end = pgd_index(last) + 1;

	guard(spinlock)(&io_mm->root_lock);
	if (io_mm->exited)
		return;
	i = pgd_index(start);
	for_each_set_bit_from(i, io_mm->filled, end)
		if (!io_mm_slot_in_sync(io_mm, i))
			io_mm_copy_slot(io_mm, i);
}

/**
 * __iommu_sva_populate() - Put a table into a slot of a process's page table
 * @mm: of the process, which may have no bonds
 * @slot: an empty entry of the top level or, with five levels, of the level below it
 * @table: an empty table; other CPUs see it empty, too
 *
 * For iommu_sva_populate().
 *
 * Context: mm->page_table_lock is held.
 * Return: true if the table is in the slot now; false if the caller must put it there.
 */
bool __iommu_sva_populate(struct mm_struct *mm, void *slot, void *table)
{
	unsigned long i = ((unsigned long)slot - (unsigned long)mm->pgd) / sizeof(pgd_t);
	struct sva_mm_data *data = sva_mm_data(mm);
	struct io_mm *io_mm = data ? data->io_mm : NULL;

	lockdep_assert_held(&mm->page_table_lock);

	if (!io_mm || i >= SVA_ROOT_SLOTS)
		return false;

	guard(spinlock)(&io_mm->root_lock);
	if (!io_mm->exited) {
		WRITE_ONCE(io_mm->root[i], __pgd(_PAGE_TABLE | __pa(table)));
		__set_bit(i, io_mm->filled);
	}
	/* The io_mm's root first */
	smp_wmb();
	if (pgtable_l5_enabled())
		pgd_populate(mm, slot, table);
	else
		p4d_populate(mm, slot, table);
	return true;
}

void io_mm_clear_root(struct io_mm *io_mm)
{
	guard(spinlock)(&io_mm->root_lock);
	io_mm->exited = true;
	for (unsigned long i = 0; i < SVA_ROOT_SLOTS; i++)
		WRITE_ONCE(io_mm->root[i], __pgd(0));
}

#else /* !CONFIG_X86_64: user and kernel have separate tables, and the IOMMU walks mm->pgd */

void io_mm_init_root(struct io_mm *io_mm)
{
	io_mm->root = io_mm->notifier.mm->pgd;
}

void io_mm_empty_root(struct io_mm *io_mm)
{
	io_mm->exited = false;
}

void io_mm_mirror_all(struct io_mm *io_mm)
{
}

void io_mm_mirror(struct io_mm *io_mm, unsigned long start, unsigned long last)
{
}

void io_mm_clear_root(struct io_mm *io_mm)
{
	guard(spinlock)(&io_mm->root_lock);
	io_mm->exited = true;
}
#endif

bool io_mm_has_exited(struct io_mm *io_mm)
{
	guard(spinlock)(&io_mm->root_lock);
	return io_mm->exited;
}

/**
 * iommu_sva_root() - Get the top-level page table of an SVA domain
 * @domain: an SVA domain that the core is attaching to a device
 *
 * For vendor drivers, in their set_dev_pasid(). On x86 it is not mm->pgd, but a page whose kernel
 * half is zero. It stays until the last device is detached; after the mm's exit it is empty.
 *
 * Context: inside set_dev_pasid().
 * Return: the table, in the CPU's format; its physical address goes into the PASID entry.
 */
pgd_t *iommu_sva_root(struct iommu_domain *domain)
{
	return sva_mm_data(domain->mm)->io_mm->root;
}
EXPORT_SYMBOL_GPL(iommu_sva_root);
