// SPDX-License-Identifier: GPL-2.0-only
/*
 * The system's PASID numbers
 *
 * The allocator gives numbers out cyclically: one that has just been freed is the last to come
 * back, so that a device which goes on using it by mistake meets no other process's memory for as
 * long as possible. It does not give a number out that a device uses without being bound
 * (iopf-stray.c), or whose translations a device may still hold (iopf-atc.c).
 *
 * Locks: pasids_lock, from the search to the allocation; to free a number takes no lock here.
 */
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mutex.h>

#include "iopf.h"

static DEFINE_IDA(pasids);
static DEFINE_MUTEX(pasids_lock);	/* of pasids_next, and from search to allocation */

/*
 * Where the search starts, by ilog2() of the device's number of PASIDs: behind the last one given
 * to a device of that width. With one start for all a narrow device would get its first free
 * number, the one just freed, whenever a wide device is ahead of it.
 */
static ioasid_t pasids_next[BITS_PER_TYPE(u32)];

/*
 * Takes a free PASID from @first to @last that is neither in quarantine nor held by a device that
 * has not completed an ATC invalidation; if @group is not NULL, only devices of @group count.
 */
static int pasid_take(ioasid_t first, ioasid_t last, const struct iommu_group *group)
{
	int pasid;

	lockdep_assert_held(&pasids_lock);

	for (;; first = pasid + 1) {
		if (first > last)
			return -ENOSPC;
		pasid = ida_alloc_range(&pasids, first, last, GFP_KERNEL);
		if (pasid < 0 || (!iopf_atc_holds(pasid, group) &&
				  !pasid_is_in_quarantine(pasid, group)))
			return pasid;
		ida_free(&pasids, pasid);
	}
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
	u32 max_pasids = dev->iommu->max_pasids;
	ioasid_t *next;
	int pasid;

	if (max_pasids <= IOMMU_FIRST_GLOBAL_PASID)
		return IOMMU_PASID_INVALID;

	guard(mutex)(&pasids_lock);
	next = &pasids_next[ilog2(max_pasids)];
	*next = clamp(*next, IOMMU_FIRST_GLOBAL_PASID, max_pasids - 1);
	pasid = pasid_search(*next, max_pasids, NULL);
	if (pasid == -ENOSPC && dev->iommu_group)
		pasid = pasid_search(*next, max_pasids, dev->iommu_group);
	if (pasid < 0)
		return IOMMU_PASID_INVALID;

	*next = pasid + 1 < max_pasids ? pasid + 1 : IOMMU_FIRST_GLOBAL_PASID;
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
	if (WARN_ON(pasid == IOMMU_PASID_INVALID))
		return;

	ida_free(&pasids, pasid);
}
EXPORT_SYMBOL_GPL(iommu_free_global_pasid);

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: true if not all PASIDs have been given back. */
bool iommu_pasids_in_use(void)
{
	return !ida_is_empty(&pasids);
}
#endif
