// SPDX-License-Identifier: GPL-2.0-only
/*
 * The system's PASID numbers
 *
 * The allocator gives numbers out cyclically: one that has just been freed is the last to come
 * back, so that a device which goes on using it by mistake meets no other process's memory for as
 * long as possible. It does not give a number out that a device uses without being bound
 * (iopf-stray.c), or whose translations a device may still hold (iopf-atc.c).
 *
 * Binds take no lock here: they find a number whose bit is clear, and set it. A part of the bitmap
 * exists from the first search that reaches it on; all of them take 128 KiB, after a million binds.
 */
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/find.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "iopf.h"

/* PCIe 6.0, section 6.20: 20 bits */
#define PASIDS		BIT(20)
#define PASIDS_OF_PART	BIT(12)

/* Which PASIDs are in use; a part that is not there has none */
static unsigned long *pasid_parts[PASIDS / PASIDS_OF_PART];

/*
 * Where the next search begins, less IOMMU_FIRST_GLOBAL_PASID and modulo the device's number of
 * PASIDs, by ilog2() of that number. With one start for all a narrow device would get its first
 * free number, the one just freed, whenever a wide device is ahead of it.
 */
static atomic_t pasids_next[BITS_PER_TYPE(u32)];

static unsigned long *pasid_part(ioasid_t pasid)
{
	unsigned long **at = &pasid_parts[pasid / PASIDS_OF_PART], *part, *first;

	part = READ_ONCE(*at);
	if (part)
		return part;
	part = bitmap_zalloc(PASIDS_OF_PART, GFP_KERNEL);
	if (!part)
		return NULL;
	first = cmpxchg(at, NULL, part);
	if (!first)
		return part;
	bitmap_free(part);
	return first;
}

/* Is @pasid in quarantine for @group, or held by a device of it? NULL: any group */
static bool pasid_is_kept(ioasid_t pasid, const struct iommu_group *group)
{
	return iopf_atc_holds(pasid, group) || pasid_is_in_quarantine(pasid, group);
}

/* Takes the first free PASID from @first to @last that is not kept from @group. */
static int pasid_take(ioasid_t first, ioasid_t last, const struct iommu_group *group)
{
	ioasid_t pasid = first;
	unsigned long *part;
	unsigned int bit;

	while (pasid <= last) {
		part = pasid_part(pasid);
		if (!part)
			return -ENOMEM;
		bit = find_next_zero_bit(part, PASIDS_OF_PART, pasid % PASIDS_OF_PART);
		pasid = round_down(pasid, PASIDS_OF_PART) + bit;
		/* Otherwise it is the first one of the next part. */
		if (bit < PASIDS_OF_PART && pasid <= last) {
			if (!pasid_is_kept(pasid, group) && !test_and_set_bit(bit, part))
				return pasid;
			pasid++;
		}
	}
	return -ENOSPC;
}

/* As pasid_take(), among all below @max_pasids: from @start on, then those before @start. */
static int pasid_search(ioasid_t start, u32 max_pasids, const struct iommu_group *group)
{
	int pasid = pasid_take(start, max_pasids - 1, group);

	if (pasid == -ENOSPC && start > IOMMU_FIRST_GLOBAL_PASID)
		pasid = pasid_take(IOMMU_FIRST_GLOBAL_PASID, start - 1, group);
	return pasid;
}

/**
 * iommu_alloc_global_pasid() - Allocate a PASID that is unique in the system
 * @dev: the device that will use it; the PASID is less than its number of PASIDs
 *
 * Context: process, may sleep.
 * Return: the PASID, at least IOMMU_FIRST_GLOBAL_PASID; or IOMMU_PASID_INVALID if @dev has no PASID
 * support, if no PASID is free that no device of its group uses without being bound, or if there is
 * no memory.
 */
ioasid_t iommu_alloc_global_pasid(struct device *dev)
{
	u32 max_pasids = min(dev->iommu->max_pasids, PASIDS), turn, start, span;
	atomic_t *next;
	int pasid;

	if (max_pasids <= IOMMU_FIRST_GLOBAL_PASID)
		return IOMMU_PASID_INVALID;

	span = max_pasids - IOMMU_FIRST_GLOBAL_PASID;
	next = &pasids_next[ilog2(max_pasids)];
	turn = atomic_fetch_inc(next);
	start = IOMMU_FIRST_GLOBAL_PASID + turn % span;
	pasid = pasid_search(start, max_pasids, NULL);
	if (pasid == -ENOSPC && dev->iommu_group)
		pasid = pasid_search(start, max_pasids, dev->iommu_group);
	if (pasid < 0)
		return IOMMU_PASID_INVALID;

	/* Behind those that are in use; not if other searches have begun meanwhile. */
	if (pasid != start)
		atomic_cmpxchg(next, turn + 1, turn + 1 + pasid - start);
	return pasid;
}
EXPORT_SYMBOL_GPL(iommu_alloc_global_pasid);

/**
 * iommu_free_global_pasid() - Free what iommu_alloc_global_pasid() returned
 * @pasid: no device may use it any more
 *
 * Context: any.
 */
void iommu_free_global_pasid(ioasid_t pasid)
{
	unsigned long *part;

	if (WARN_ON(pasid >= PASIDS))
		return;

	part = READ_ONCE(pasid_parts[pasid / PASIDS_OF_PART]);
	WARN_ON(!part || !test_and_clear_bit(pasid % PASIDS_OF_PART, part));
}
EXPORT_SYMBOL_GPL(iommu_free_global_pasid);

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: true if not all PASIDs have been given back. */
bool iommu_pasids_in_use(void)
{
	for (ioasid_t pasid = 0; pasid < PASIDS; pasid += PASIDS_OF_PART) {
		const unsigned long *part = READ_ONCE(pasid_parts[pasid / PASIDS_OF_PART]);

		if (part && !bitmap_empty(part, PASIDS_OF_PART))
			return true;
	}
	return false;
}
#endif
