// SPDX-License-Identifier: GPL-2.0-only
/*
 * The system's PASID numbers
 *
 * Numbers are given out cyclically: one that has just been freed is the last to come back, so that
 * a device which goes on using it by mistake meets nobody else's memory for as long as possible.
 *
 * Quarantine. A (device, PASID) that is used without being bound is remembered, and the PASID is
 * not given out until the device has kept still with it for some time. The memory for that is
 * bounded, for all devices together and for each, so that a device which invents PASIDs can't take
 * them from everybody: what does not fit makes the device itself unfit to be bound.
 *
 * A device with few PASIDs would lose all of them to a few others that stray. If there is nothing
 * else, it is given a number that others use: where it is attached, nobody does. In return these
 * are not bound to that process until their quarantine is over.
 */
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>

#include "iopf.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX	"iommu_sva."

#define PASID_STRAYS		64
#define PASID_STRAYS_PER_DEVICE	8

static unsigned int quarantine_ms = 10000;
module_param(quarantine_ms, uint, 0644);
MODULE_PARM_DESC(quarantine_ms, "Time without strays after which a PASID may be used again");

/**
 * struct pasid_stray - a device uses a PASID that is not bound on it
 * @dev: the device; NULL in an unused entry
 * @pasid: the PASID
 * @ends: when its quarantine ends, by get_jiffies_64()
 * @count: how often
 * @given: the PASID has been given to another device all the same
 */
struct pasid_stray {
	struct device *dev;
	ioasid_t pasid;
	u64 ends;
	u64 count;
	bool given;
};

static DEFINE_IDA(pasids);
static DEFINE_MUTEX(pasids_lock);	/* of pasids_next, and from search to allocation */

static struct pasid_stray strays[PASID_STRAYS];
static unsigned int strays_used;
static DEFINE_SPINLOCK(strays_lock);	/* of strays, strays_used for writers */

/*
 * Where the search starts, by ilog2() of the device's number of PASIDs: behind the last one given
 * to a device of that width. One start for all would send a narrow device back to its first
 * free number, the one just freed, whenever a wide device is ahead of it.
 */
static ioasid_t pasids_next[BITS_PER_TYPE(u32)];

/* Quarantine */

/**
 * pasid_quarantine_ends() - When a device may be trusted again that has just used a stray PASID
 *
 * Return: the time, as get_jiffies_64() will tell it.
 */
u64 pasid_quarantine_ends(void)
{
	return get_jiffies_64() + msecs_to_jiffies(READ_ONCE(quarantine_ms));
}

static bool stray_is_over(const struct pasid_stray *stray)
{
	return time_after_eq64(get_jiffies_64(), stray->ends);
}

static void stray_forget(struct pasid_stray *stray)
{
	lockdep_assert_held(&strays_lock);
	stray->dev = NULL;
	WRITE_ONCE(strays_used, strays_used - 1);
}

/* The entry of (device, PASID), or one to use for it, or NULL if the device has had its share. */
static struct pasid_stray *stray_entry(struct device *dev, ioasid_t pasid)
{
	struct pasid_stray *stray, *unused = NULL;
	unsigned int share = 0;

	lockdep_assert_held(&strays_lock);

	for (stray = strays; stray < strays + PASID_STRAYS; stray++) {
		if (stray->dev == dev && stray->pasid == pasid)
			return stray;
		if (stray->dev && stray_is_over(stray))
			stray_forget(stray);
		if (!stray->dev)
			unused = stray;
		else if (stray->dev == dev)
			share++;
	}
	return share < PASID_STRAYS_PER_DEVICE ? unused : NULL;
}

/**
 * pasid_note_stray() - A device has used a PASID that is not bound on it
 * @dev: the device; pasid_forget_device() is called before it goes
 * @pasid: the PASID, which is not given out for some time
 *
 * Context: any that may take a spinlock.
 * Return: false if there is no room to remember it: @dev must not be bound for some time.
 */
bool pasid_note_stray(struct device *dev, ioasid_t pasid)
{
	struct pasid_stray *stray;

	guard(spinlock)(&strays_lock);
	stray = stray_entry(dev, pasid);
	if (!stray)
		return false;
	if (!stray->dev) {
		*stray = (struct pasid_stray){ .dev = dev, .pasid = pasid };
		WRITE_ONCE(strays_used, strays_used + 1);
	}
	stray->ends = pasid_quarantine_ends();
	stray->count++;
	return true;
}

/**
 * pasid_forget_device() - No stray of a device can come any more
 * @dev: the device, which leaves its fault queue
 *
 * Context: any that may take a spinlock.
 */
void pasid_forget_device(struct device *dev)
{
	guard(spinlock)(&strays_lock);
	for (struct pasid_stray *stray = strays; stray < strays + PASID_STRAYS; stray++)
		if (stray->dev == dev)
			stray_forget(stray);
}

/* The next entry behind @stray, or the first one if that is NULL, which holds @pasid back. */
static struct pasid_stray *stray_next(struct pasid_stray *stray, ioasid_t pasid)
{
	lockdep_assert_held(&strays_lock);
	for (stray = stray ? stray + 1 : strays; stray < strays + PASID_STRAYS; stray++)
		if (stray->dev && stray->pasid == pasid && !stray_is_over(stray))
			return stray;
	return NULL;
}

/*
 * May nobody have @pasid? With @group, nobody in that group: devices of a group have one PASID
 * table, and strays of others are noted as given, in case they are to be attached.
 */
static bool pasid_is_in_quarantine(ioasid_t pasid, const struct iommu_group *group)
{
	struct pasid_stray *stray = NULL;

	if (!READ_ONCE(strays_used))
		return false;

	guard(spinlock)(&strays_lock);
	while ((stray = stray_next(stray, pasid)))
		if (!group || stray->dev->iommu_group == group)
			return true;
	while ((stray = stray_next(stray, pasid)))
		stray->given = true;
	return false;
}

/**
 * pasid_is_barred() - Must a device not be attached to a PASID?
 * @dev: the device
 * @pasid: a PASID that has been given out, possibly for another device
 *
 * Context: any that may take a spinlock.
 * Return: true while it, or one of its group, goes on with what an earlier owner of @pasid began.
 */
bool pasid_is_barred(struct device *dev, ioasid_t pasid)
{
	struct pasid_stray *stray = NULL;

	if (!READ_ONCE(strays_used))
		return false;

	guard(spinlock)(&strays_lock);
	while ((stray = stray_next(stray, pasid)))
		if (stray->given && stray->dev->iommu_group == dev->iommu_group)
			return true;
	return false;
}

#ifdef CONFIG_DEBUG_FS
/* The table of strays, for debugfs. */
void pasid_show_strays(struct seq_file *m)
{
	seq_puts(m, "pasid device strays ms-left\n");
	guard(spinlock)(&strays_lock);
	for (struct pasid_stray *stray = strays; stray < strays + PASID_STRAYS; stray++)
		if (stray->dev && !stray_is_over(stray))
			seq_printf(m, "%u %s %llu %u\n", stray->pasid, dev_name(stray->dev),
				   stray->count, jiffies_to_msecs(stray->ends - get_jiffies_64()));
}
#endif

/* Allocation */

/* A free PASID from @first to @last that is not in quarantine, for @group if that is not NULL. */
static int pasid_take(ioasid_t first, ioasid_t last, const struct iommu_group *group)
{
	int pasid;

	lockdep_assert_held(&pasids_lock);

	for (;; first = pasid + 1) {
		if (first > last)
			return -ENOSPC;
		pasid = ida_alloc_range(&pasids, first, last, GFP_KERNEL);
		if (pasid < 0 || !pasid_is_in_quarantine(pasid, group))
			return pasid;
		ida_free(&pasids, pasid);
	}
}

/* The same of all that are less than @max_pasids, from @start on and then from the first one. */
static int pasid_search(ioasid_t start, u32 max_pasids, const struct iommu_group *group)
{
	int pasid = pasid_take(start, max_pasids - 1, group);

	if (pasid == -ENOSPC && start > IOMMU_FIRST_GLOBAL_PASID)
		pasid = pasid_take(IOMMU_FIRST_GLOBAL_PASID, start - 1, group);
	return pasid;
}

/**
 * iommu_alloc_global_pasid() - Allocate a PASID that nobody else in the system has
 * @dev: the device that will use it; the PASID fits its width
 *
 * Context: process, may sleep.
 * Return: the PASID, at least IOMMU_FIRST_GLOBAL_PASID; or IOMMU_PASID_INVALID if @dev has no
 * PASID support, none is free that no device of its group uses without being bound, or there is
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
 * iommu_free_global_pasid() - Give back what iommu_alloc_global_pasid() returned
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
