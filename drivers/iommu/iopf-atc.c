// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page faults: devices that do not complete ATC invalidations
 *
 * A device that does not complete an invalidation of its address translation cache (PCIe 6.0,
 * section 10.3) may go on using memory that the kernel has given to others. Only a reset of the
 * device ends that for certain. Until then the core
 *
 *	does not bind the device
 *	gives no PASID out in its group whose translations the device may still hold
 *
 * The list of uses says what a device may hold. The core adds a use before it attaches the (device,
 * PASID), so that nothing has to be allocated when hardware fails. A use ends when the core
 * detaches the PASID, or, if an invalidation for it is unconfirmed then, with the reset. After a
 * reset iopf_resume_device() has all of the ATC invalidated; only if the device completes that are
 * the uses confirmed.
 *
 * A device of another group may have a PASID that this device holds: the core does not attach it
 * here, since it does not bind this device.
 *
 * Vendor drivers send no invalidations to a device that is paused, in a reset or asleep;
 * iopf-reset.c has it flushed afterwards. struct dev_iommu of the device has that state, so it
 * outlasts binds, drivers and fault queues. Most functions that sleep are neither in use nor on a
 * fault queue, and have no ATS, with which they would cache the kernel's own translations: their
 * pause takes effect when they are in use.
 *
 * Locks: uses_lock, innermost, with interrupts off: an invalidation may fail in any context. MMU
 * notifiers look at nr_unconfirmed and dev_iommu.flow without it.
 *
 * Lifetime: a use goes with its attachment, or with the flush that confirms it; all of a device go
 * with iopf_atc_forget(), which the IOMMU core calls before the device goes.
 */
#include <linux/device.h>
#include <linux/hash.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "iopf.h"

/* So that with thousands of processes a bind finds a dozen uses in its bucket */
#define ATC_HASH_BITS	10

/**
 * struct atc_use - a device may hold translations of a PASID
 * @hash: in uses, by @pasid
 * @dev: the device
 * @pasid: the PASID; IOMMU_PASID_INVALID: any PASID, of an invalidation that fits no use
 * @attached: the PASID is attached to the device
 * @unconfirmed: an invalidation was not completed
 * @failures: how many invalidations were not completed, and are unconfirmed
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
/* of uses, dev_iommu.pauses; nr_unconfirmed for writers; held when flow leaves IOPF_RUNNING */
static DEFINE_SPINLOCK(uses_lock);

/* The uses of all devices: there are few, and no caller is in a hurry. */
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
	/* Binds of all processes read the number: its line stays in their caches. */
	if (use->unconfirmed == unconfirmed)
		return;
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
 * Return: true from iopf_atc_unconfirmed() until iopf_atc_confirmed().
 */
bool iopf_atc_is_unconfirmed(struct device *dev)
{
	if (!READ_ONCE(nr_unconfirmed))
		return false;
	guard(spinlock_irqsave)(&uses_lock);
	return atc_is_unconfirmed(dev);
}
EXPORT_SYMBOL_GPL(iopf_atc_is_unconfirmed);

/* Puts a paused device in reset that was neither in use nor on a fault queue before. */
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
 * iopf_atc_use() - Note that a device is about to be attached to a PASID
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
 * iopf_atc_leave() - Note that a device is not attached to a PASID any more
 * @dev: the device
 * @pasid: a PASID for which iopf_atc_use() was called; nothing happens if it was not, or failed
 *
 * The device has completed all invalidations that end the attachment, or the vendor driver has
 * reported them with iopf_atc_unconfirmed().
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
 * iopf_atc_hold() - Keep a device from binds, and a PASID that it may still use from others
 * @dev: the device
 * @pasid: the PASID; IOMMU_PASID_INVALID: all of its PASIDs
 *
 * Until iopf_atc_confirmed(). For callers that know another reason than iopf_atc_unconfirmed(),
 * and log it.
 *
 * Context: any; the caller keeps @dev.
 * Return: true if nothing was held for @dev before.
 */
bool iopf_atc_hold(struct device *dev, ioasid_t pasid)
{
	struct atc_use *use;
	bool is_first;

	iopf_device_count(dev, IOPF_UNCONFIRMED, 1);
	guard(spinlock_irqsave)(&uses_lock);
	is_first = !atc_is_unconfirmed(dev);
	/* Not a use of the core's: the kernel's DMA, perhaps. It keeps binds out, too. */
	if (!atc_mark(dev, pasid)) {
		use = atc_add(dev, pasid, GFP_ATOMIC);
		if (use) {
			atc_insert(use);
			atc_set_unconfirmed(use, true);
			use->failures++;
		}
	}
	return is_first;
}

/**
 * iopf_atc_unconfirmed() - Report an ATC invalidation that a device has not completed
 * @dev: the device
 * @pasid: the PASID that it was for; IOMMU_PASID_INVALID: all of its PASIDs
 *
 * For vendor drivers: the IOMMU has reported a time-out or an error, or the driver has not sent the
 * invalidation because @dev has not completed others. Not for a device that is in a reset, cut off
 * or gone: iopf_resume_device() has all that it holds invalidated before it may use that.
 *
 * Until iopf_atc_confirmed() the core does not bind @dev, and does not give @pasid out in its
 * group. The first report is logged.
 *
 * Context: any; the caller keeps @dev.
 */
void iopf_atc_unconfirmed(struct device *dev, ioasid_t pasid)
{
	if (iopf_atc_hold(dev, pasid))
		dev_warn(dev,
			 "has not completed an ATC invalidation: no binds until it is reset\n");
}
EXPORT_SYMBOL_GPL(iopf_atc_unconfirmed);

/* Removes the uses of @dev that are detached, with @all the rest, too; confirms what stays. */
static void atc_settle(struct device *dev, bool all)
{
	struct hlist_node *next;
	struct atc_use *use;

	guard(spinlock_irqsave)(&uses_lock);
	for_each_use(use, next) {
		if (use->dev != dev)
			continue;
		if (all || !use->attached) {
			atc_remove(use);
		} else {
			atc_set_unconfirmed(use, false);
			/* When the use goes, what iopf_atc_failures() counts must not shrink. */
			use->failures = 0;
		}
	}
}

/**
 * iopf_atc_confirmed() - Note that a device holds no translations that it should have forgotten
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
 * iopf_atc_forget() - Forget all uses of a device that leaves the IOMMU
 * @dev: the device, which can translate nothing any more
 *
 * Context: any.
 */
void iopf_atc_forget(struct device *dev)
{
	atc_settle(dev, true);
}

/**
 * iopf_atc_holds() - May a device still hold translations of a PASID?
 * @pasid: the PASID
 * @group: the group that is to use it; NULL: any
 *
 * Context: any.
 * Return: true if a device of @group may; then the allocator must not give @pasid out for that
 * group.
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
 * Return: a number that grows with each report, until iopf_atc_confirmed().
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

/* The IOMMU driver's own flushes for the kernel's DMA reach it. */
static bool atc_is_enabled(struct device *dev)
{
	return dev_is_pci(dev) && to_pci_dev(dev)->ats_enabled;
}

/**
 * iopf_atc_pause() - Note one more reason why a device is paused
 * @dev: the device
 * @reason: why; IOPF_PAUSE_DRIVER nests, the others are noted once
 * @on_queue: @dev is on a fault queue; it does not leave or join one during the call
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
	if (!on_queue && !atc_is_used(dev) && !atc_is_enabled(dev))
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
 * iopf_atc_obey_pause() - Note that a device is about to join a fault queue
 * @dev: the device; if it is paused its flow is IOPF_IN_RESET from now on
 *
 * Context: any.
 */
void iopf_atc_obey_pause(struct device *dev)
{
	guard(spinlock_irqsave)(&uses_lock);
	atc_obey_pause(dev);
}
