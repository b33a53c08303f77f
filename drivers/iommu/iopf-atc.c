// SPDX-License-Identifier: GPL-2.0-only
/*
 * ATC invalidations that were not completed
 *
 * A device that does not complete an invalidation of its address translation cache (PCIe 6.0,
 * section 10.3) may go on using memory that has been given to others, and no software can say
 * when that ends: a reset of the device does end it. Until then
 *
 *	the device is not bound
 *	a PASID whose translations it may still hold is not given out in its group
 *
 * What a device may hold is known at any time: a use is noted before the (device, PASID) is
 * attached, in memory of its own, so that nothing has to be allocated when hardware fails. A use
 * ends when the PASID is detached, or, if an invalidation for it is unconfirmed then, with the
 * reset. After a reset iopf_resume_device() has all of the ATC invalidated, and only if that is
 * completed the uses are confirmed.
 *
 * Another device may have a PASID that is held: it is never attached on the device that holds it,
 * since that is not bound.
 *
 * A device that is paused, in a reset or asleep, is sent no invalidations, and flushed afterwards
 * (iopf-reset.c). That is known with the device, in struct dev_iommu, and lasts whoever binds it or
 * takes it to and from fault queues meanwhile. Most functions that sleep have nothing to do with
 * all this: what is to happen in a pause begins when a device is used, or on a fault queue.
 *
 * Lifetime: a use goes with its attachment, or with the flush that confirms it; all of a device go
 * with iopf_atc_forget(), which comes before the device does.
 *
 * Locks: uses_lock, innermost, with interrupts off: an invalidation may fail in any context. MMU
 * notifiers look at nr_unconfirmed and dev_iommu.flow without it.
 */
#include <linux/device.h>
#include <linux/hash.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "iopf.h"

#define ATC_HASH_BITS	8

/**
 * struct atc_use - a device may hold translations of a PASID
 * @hash: in uses, by @pasid
 * @dev: the device
 * @pasid: the PASID; IOMMU_PASID_INVALID: of some that are not known
 * @attached: the PASID is attached to the device
 * @unconfirmed: an invalidation was not completed
 * @failures: how many were not
 */
struct atc_use {
	struct hlist_node hash;
	struct device *dev;
	ioasid_t pasid;
	bool attached;
	bool unconfirmed;
	unsigned int failures;
};

static struct hlist_head uses[1 << ATC_HASH_BITS];
static unsigned int nr_unconfirmed;
/* of uses, and dev_iommu.pauses; of nr_unconfirmed for writers, and of who leaves IOPF_RUNNING */
static DEFINE_SPINLOCK(uses_lock);

/* Of all devices: there are few, and no caller is in a hurry. */
#define for_each_use(use, next)							\
	for (unsigned int _i = 0; _i < ARRAY_SIZE(uses); _i++)			\
		hlist_for_each_entry_safe(use, next, &uses[_i], hash)

static struct hlist_head *atc_bucket(ioasid_t pasid)
{
	return &uses[hash_32(pasid, ATC_HASH_BITS)];
}

static struct atc_use *atc_find(struct device *dev, ioasid_t pasid)
{
	struct atc_use *use;

	lockdep_assert_held(&uses_lock);
	hlist_for_each_entry(use, atc_bucket(pasid), hash)
		if (use->dev == dev && use->pasid == pasid)
			return use;
	return NULL;
}

static struct atc_use *atc_add(struct device *dev, ioasid_t pasid, gfp_t gfp)
{
	struct atc_use *use = kzalloc(sizeof(*use), gfp);

	if (!use)
		return NULL;
	use->dev = dev;
	use->pasid = pasid;
	return use;
}

static void atc_set_unconfirmed(struct atc_use *use, bool unconfirmed)
{
	lockdep_assert_held(&uses_lock);
	WRITE_ONCE(nr_unconfirmed, nr_unconfirmed + unconfirmed - use->unconfirmed);
	use->unconfirmed = unconfirmed;
}

static void atc_remove(struct atc_use *use)
{
	lockdep_assert_held(&uses_lock);
	atc_set_unconfirmed(use, false);
	hlist_del_init(&use->hash);
	kfree(use);
}

static bool atc_is_unconfirmed(struct device *dev)
{
	struct hlist_node *next;
	struct atc_use *use;

	lockdep_assert_held(&uses_lock);
	if (!nr_unconfirmed)
		return false;
	for_each_use(use, next)
		if (use->dev == dev && use->unconfirmed)
			return true;
	return false;
}

/**
 * iopf_atc_is_unconfirmed() - Has a device left an ATC invalidation uncompleted?
 * @dev: the device
 *
 * Context: any.
 * Return: true from iopf_atc_unconfirmed() to iopf_atc_confirmed().
 */
bool iopf_atc_is_unconfirmed(struct device *dev)
{
	if (!READ_ONCE(nr_unconfirmed))
		return false;
	guard(spinlock_irqsave)(&uses_lock);
	return atc_is_unconfirmed(dev);
}
EXPORT_SYMBOL_GPL(iopf_atc_is_unconfirmed);

/* What pauses a device begins now for one that has had nothing to do with it before. */
static void atc_obey_pause(struct device *dev)
{
	struct dev_iommu *param = dev->iommu;

	lockdep_assert_held(&uses_lock);
	if (param->pauses && param->flow == IOPF_RUNNING)
		WRITE_ONCE(param->flow, IOPF_IN_RESET);
}

static void atc_insert(struct atc_use *use)
{
	lockdep_assert_held(&uses_lock);
	atc_obey_pause(use->dev);
	hlist_add_head(&use->hash, atc_bucket(use->pasid));
}

/**
 * iopf_atc_use() - A device is about to be attached to a PASID
 * @dev: the device
 * @pasid: the PASID
 *
 * Context: process, may sleep.
 * Return: 0; -EBUSY if @dev has left an ATC invalidation uncompleted; -ENOMEM.
 */
int iopf_atc_use(struct device *dev, ioasid_t pasid)
{
	struct atc_use *use = atc_add(dev, pasid, GFP_KERNEL);

	if (!use)
		return -ENOMEM;
	use->attached = true;
	scoped_guard(spinlock_irqsave, &uses_lock) {
		if (!atc_is_unconfirmed(dev) && !WARN_ON_ONCE(atc_find(dev, pasid))) {
			atc_insert(use);
			return 0;
		}
	}
	kfree(use);
	return -EBUSY;
}

/**
 * iopf_atc_leave() - A device is not attached to a PASID any more
 * @dev: the device
 * @pasid: a PASID for which iopf_atc_use() was called; nothing happens if it was not, or failed
 *
 * All invalidations that belong to the end of the attachment have been completed, or reported with
 * iopf_atc_unconfirmed().
 *
 * Context: any.
 */
void iopf_atc_leave(struct device *dev, ioasid_t pasid)
{
	struct atc_use *use;

	guard(spinlock_irqsave)(&uses_lock);
	use = atc_find(dev, pasid);
	if (!use || !use->attached)
		return;
	use->attached = false;
	if (!use->unconfirmed)
		atc_remove(use);
}

/* Marks what @dev may hold of @pasid. Returns false if there is no such use. */
static bool atc_mark(struct device *dev, ioasid_t pasid)
{
	struct hlist_node *next;
	struct atc_use *use;
	bool found = false;

	lockdep_assert_held(&uses_lock);
	for_each_use(use, next) {
		if (use->dev != dev || (pasid != IOMMU_PASID_INVALID && use->pasid != pasid))
			continue;
		atc_set_unconfirmed(use, true);
		use->failures++;
		found = true;
	}
	return found;
}

/**
 * iopf_atc_unconfirmed() - An ATC invalidation was not completed
 * @dev: the device that should have
 * @pasid: the PASID that it was for; IOMMU_PASID_INVALID: all of its PASIDs
 *
 * For vendor drivers: the IOMMU has reported a time-out or an error, or the invalidation was not
 * sent because @dev has not completed others. Not if @dev is in a reset, cut off or gone: what it
 * holds then is invalidated before it may use it, see iopf_resume_device().
 *
 * Until that @dev is not bound, and @pasid is not given out. It is logged once.
 *
 * Context: any; the caller keeps @dev.
 */
void iopf_atc_unconfirmed(struct device *dev, ioasid_t pasid)
{
	struct atc_use *use;
	bool is_first;

	iopf_device_count(dev, IOPF_UNCONFIRMED, 1);
	scoped_guard(spinlock_irqsave, &uses_lock) {
		is_first = !atc_is_unconfirmed(dev);
		/* Nothing of the core's, the kernel's DMA perhaps; but a reason not to bind it. */
		if (!atc_mark(dev, pasid)) {
			use = atc_add(dev, pasid, GFP_ATOMIC);
			if (use) {
				atc_insert(use);
				atc_set_unconfirmed(use, true);
				use->failures++;
			}
		}
	}
	if (is_first)
		dev_warn(dev,
			 "has not completed an ATC invalidation: no binds until it is reset\n");
}
EXPORT_SYMBOL_GPL(iopf_atc_unconfirmed);

/* Of a device, what is not attached any more; with @all the rest, too. Nothing is unconfirmed. */
static void atc_settle(struct device *dev, bool all)
{
	struct hlist_node *next;
	struct atc_use *use;

	guard(spinlock_irqsave)(&uses_lock);
	for_each_use(use, next) {
		if (use->dev != dev)
			continue;
		if (all || !use->attached)
			atc_remove(use);
		else
			atc_set_unconfirmed(use, false);
	}
}

/**
 * iopf_atc_confirmed() - A device holds no translations that it should have forgotten
 * @dev: a device that has completed an invalidation of all of its ATC, or has disabled ATS
 *
 * Context: any.
 */
void iopf_atc_confirmed(struct device *dev)
{
	if (READ_ONCE(nr_unconfirmed))
		atc_settle(dev, false);
}

/**
 * iopf_atc_forget() - A device leaves the IOMMU
 * @dev: the device, which can translate nothing any more
 *
 * Context: any.
 */
void iopf_atc_forget(struct device *dev)
{
	atc_settle(dev, true);
}

/**
 * iopf_atc_holds() - Must a PASID not be given out?
 * @pasid: the PASID
 * @group: where it will be used; NULL: anywhere
 *
 * Context: any.
 * Return: true if a device, of @group, may still hold translations of @pasid.
 */
bool iopf_atc_holds(ioasid_t pasid, const struct iommu_group *group)
{
	struct atc_use *use;

	if (!READ_ONCE(nr_unconfirmed))
		return false;
	guard(spinlock_irqsave)(&uses_lock);
	hlist_for_each_entry(use, atc_bucket(pasid), hash)
		if (use->pasid == pasid && use->unconfirmed &&
		    (!group || use->dev->iommu_group == group))
			return true;
	return false;
}

/**
 * iopf_atc_failures() - How many invalidations has a device not completed?
 * @dev: the device
 *
 * Context: any.
 * Return: a number that grows with each that is reported, until iopf_atc_confirmed().
 */
unsigned int iopf_atc_failures(struct device *dev)
{
	unsigned int failures = 0;
	struct hlist_node *next;
	struct atc_use *use;

	guard(spinlock_irqsave)(&uses_lock);
	for_each_use(use, next)
		if (use->dev == dev)
			failures += use->failures;
	return failures;
}

static bool atc_is_used(struct device *dev)
{
	struct hlist_node *next;
	struct atc_use *use;

	lockdep_assert_held(&uses_lock);
	for_each_use(use, next)
		if (use->dev == dev)
			return true;
	return false;
}

/**
 * iopf_atc_pause() - One more reason why a device must be left alone
 * @dev: the device
 * @reason: why; IOPF_PAUSE_DRIVER nests, the others are noted once
 * @on_queue: it is on a fault queue, and does not leave or join one during the call
 *
 * Context: any; &dev_iommu.reset_lock is held.
 * Return: true if @dev is IOPF_STOPPING now, and the caller is to bring it to IOPF_IN_RESET.
 */
bool iopf_atc_pause(struct device *dev, enum iopf_pause_reason reason, bool on_queue)
{
	struct dev_iommu *param = dev->iommu;

	guard(spinlock_irqsave)(&uses_lock);
	if (!iopf_pauses_add(&param->pauses, reason))
		return false;
	if (!on_queue && !atc_is_used(dev))
		return false;
	WRITE_ONCE(param->flow, IOPF_STOPPING);
	return true;
}

/**
 * iopf_atc_unpause() - Undo iopf_atc_pause()
 * @dev: the device
 * @reason: as for iopf_atc_pause(); nothing happens if that was not called
 *
 * Context: any; &dev_iommu.reset_lock is held.
 * Return: true if @dev is IOPF_IN_RESET, and the caller is to bring it to IOPF_RUNNING.
 */
bool iopf_atc_unpause(struct device *dev, enum iopf_pause_reason reason)
{
	struct dev_iommu *param = dev->iommu;

	guard(spinlock_irqsave)(&uses_lock);
	return iopf_pauses_del(&param->pauses, reason) && param->flow != IOPF_RUNNING;
}

/**
 * iopf_atc_obey_pause() - A device is about to join a fault queue
 * @dev: the device; if it is paused it is in a reset from now on
 *
 * Context: any.
 */
void iopf_atc_obey_pause(struct device *dev)
{
	guard(spinlock_irqsave)(&uses_lock);
	atc_obey_pause(dev);
}
