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
 * The uses of a device say what it may hold. The core adds a use before it attaches the (device,
 * PASID), so that nothing has to be allocated when hardware fails. A use ends when the core
 * detaches the PASID, or, if an invalidation for it is unconfirmed then, with the reset. After a
 * reset iopf_resume_device() has all of the ATC invalidated; only if the device completes that are
 * the uses confirmed.
 *
 * A device of another group may have a PASID that this device holds: the core does not attach it
 * here, since it does not bind this device.
 *
 * Vendor drivers send no invalidations to a device that is paused, in a reset or asleep;
 * iopf-reset.c has it flushed afterwards. The device's struct dev_iommu has that state, and the
 * uses, so these outlast binds, drivers and fault queues. Most functions that sleep are neither in
 * use nor on a fault queue, and have no ATS, with which they would cache the kernel's own
 * translations: their pause takes effect when they are in use.
 *
 * Locks: the lock of dev_iommu.atc_uses, with interrupts off: an invalidation may fail in any
 * context. MMU notifiers look at dev_iommu.flow without it. Inside it unconfirmed_lock, innermost,
 * for the few devices that have failed. Binds of different devices share no lock here.
 *
 * Lifetime: a use goes with its attachment, or with the flush that confirms it; all of a device go
 * with iopf_atc_forget(), which the IOMMU core calls before the device goes.
 */
#include <linux/bits.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "iopf.h"

/*
 * A use is a value in dev_iommu.atc_uses: whether the PASID is attached to the device, and how many
 * invalidations were not completed, in units of ATC_FAILURE. If there were any it has the mark.
 */
#define ATC_ATTACHED	BIT(0)
#define ATC_FAILURE	BIT(1)
#define ATC_UNCONFIRMED	XA_MARK_0
/* The index of IOMMU_PASID_INVALID: any PASID, of an invalidation that fits no use */
#define ATC_ANY		BIT(20)

/* dev_iommu.unconfirmed of devices with uses that are marked */
static LIST_HEAD(unconfirmed_devices);
static DEFINE_SPINLOCK(unconfirmed_lock);

static unsigned long atc_index(ioasid_t pasid)
{
	return pasid == IOMMU_PASID_INVALID ? ATC_ANY : pasid;
}

static void atc_assert_held(struct dev_iommu *param)
{
	lockdep_assert_held(&param->atc_uses.xa_lock);
}

/* The value of a use. False: there is none. */
static bool atc_read(struct dev_iommu *param, unsigned long index, unsigned long *use)
{
	void *entry = xa_load(&param->atc_uses, index);

	*use = entry ? xa_to_value(entry) : 0;
	return entry;
}

/* Changes a use that is there, which needs no memory. It keeps its mark. */
static void atc_write(struct dev_iommu *param, unsigned long index, unsigned long use)
{
	atc_assert_held(param);
	__xa_store(&param->atc_uses, index, xa_mk_value(use), 0);
}

/* For callers without the lock, too */
static bool atc_is_unconfirmed(struct dev_iommu *param)
{
	return !list_empty(&param->unconfirmed);
}

/* Puts a device in the list, or takes it from there, after marks have changed. */
static void atc_list(struct dev_iommu *param)
{
	bool marked = xa_marked(&param->atc_uses, ATC_UNCONFIRMED);

	atc_assert_held(param);
	if (marked == atc_is_unconfirmed(param))
		return;
	guard(spinlock)(&unconfirmed_lock);
	if (marked)
		list_add(&param->unconfirmed, &unconfirmed_devices);
	else
		list_del_init(&param->unconfirmed);
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
	struct dev_iommu *param;

	guard(rcu)();
	param = READ_ONCE(dev->iommu);
	return param && atc_is_unconfirmed(param);
}
EXPORT_SYMBOL_GPL(iopf_atc_is_unconfirmed);

/* Puts a paused device in reset that was neither in use nor on a fault queue before. */
static void atc_obey_pause(struct dev_iommu *param)
{
	atc_assert_held(param);
	if (param->pauses && param->flow == IOPF_RUNNING)
		WRITE_ONCE(param->flow, IOPF_IN_RESET);
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
	struct dev_iommu *param = dev->iommu;
	bool is_unconfirmed;
	int ret;

	guard(spinlock_irq)(&param->atc_uses.xa_lock);
	/* Drops the lock if it needs memory, so the look at the device comes after it. */
	ret = __xa_insert(&param->atc_uses, pasid, xa_mk_value(ATC_ATTACHED), GFP_KERNEL);
	is_unconfirmed = atc_is_unconfirmed(param);
	WARN_ON_ONCE(ret == -EBUSY && !is_unconfirmed);
	if (!ret && is_unconfirmed) {
		__xa_erase(&param->atc_uses, pasid);
		ret = -EBUSY;
	}
	if (!ret)
		atc_obey_pause(param);
	return ret;
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
	struct dev_iommu *param = dev->iommu;
	unsigned long use;

	guard(spinlock_irqsave)(&param->atc_uses.xa_lock);
	if (!atc_read(param, pasid, &use))
		return;
	if (xa_get_mark(&param->atc_uses, pasid, ATC_UNCONFIRMED))
		atc_write(param, pasid, use & ~ATC_ATTACHED);
	else
		__xa_erase(&param->atc_uses, pasid);
}

static bool atc_mark_use(struct dev_iommu *param, unsigned long index)
{
	unsigned long use;

	if (!atc_read(param, index, &use))
		return false;
	atc_write(param, index, use + ATC_FAILURE);
	__xa_set_mark(&param->atc_uses, index, ATC_UNCONFIRMED);
	return true;
}

/* Marks what the device may hold of @pasid. Returns false if there is no such use. */
static bool atc_mark(struct dev_iommu *param, ioasid_t pasid)
{
	unsigned long index;
	bool found = false;
	void *use;

	if (pasid != IOMMU_PASID_INVALID)
		return atc_mark_use(param, pasid);
	xa_for_each(&param->atc_uses, index, use)
		found |= atc_mark_use(param, index);
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
	unsigned long index = atc_index(pasid);
	struct dev_iommu *param;
	bool is_first;

	iopf_device_count(dev, IOPF_UNCONFIRMED, 1);
	guard(rcu)();
	param = READ_ONCE(dev->iommu);
	if (!param)
		return false;
	guard(spinlock_irqsave)(&param->atc_uses.xa_lock);
	/* After iopf_atc_forget() a use would stay for ever. */
	if (!param->dev)
		return false;
	is_first = !atc_is_unconfirmed(param);
	/* Not a use of the core's: the kernel's DMA, perhaps. It keeps binds out, too. */
	if (!atc_mark(param, pasid) &&
	    !__xa_insert(&param->atc_uses, index, xa_mk_value(0), GFP_ATOMIC)) {
		atc_mark_use(param, index);
		atc_obey_pause(param);
	}
	atc_list(param);
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
	struct dev_iommu *param = dev->iommu;
	unsigned long index;
	void *use;

	guard(spinlock_irqsave)(&param->atc_uses.xa_lock);
	xa_for_each(&param->atc_uses, index, use) {
		if (all || !(xa_to_value(use) & ATC_ATTACHED)) {
			__xa_erase(&param->atc_uses, index);
			continue;
		}
		/* When the use goes, what iopf_atc_failures() counts must not shrink. */
		atc_write(param, index, ATC_ATTACHED);
		__xa_clear_mark(&param->atc_uses, index, ATC_UNCONFIRMED);
	}
	atc_list(param);
	if (all)
		param->dev = NULL;
}

/**
 * iopf_atc_confirmed() - Note that a device holds no translations that it should have forgotten
 * @dev: a device that has completed an invalidation of all of its ATC, or has disabled ATS
 *
 * Context: any.
 */
void iopf_atc_confirmed(struct device *dev)
{
	if (atc_is_unconfirmed(dev->iommu))
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
	struct dev_iommu *param;

	/* Binds of all processes look at it: its line stays in their caches. */
	if (list_empty(&unconfirmed_devices))
		return false;
	guard(spinlock_irqsave)(&unconfirmed_lock);
	list_for_each_entry(param, &unconfirmed_devices, unconfirmed)
		if (xa_get_mark(&param->atc_uses, pasid, ATC_UNCONFIRMED) &&
		    (!group || param->dev->iommu_group == group))
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
	struct dev_iommu *param = dev->iommu;
	unsigned int failures = 0;
	unsigned long index;
	void *use;

	guard(spinlock_irqsave)(&param->atc_uses.xa_lock);
	xa_for_each(&param->atc_uses, index, use)
		failures += xa_to_value(use) / ATC_FAILURE;
	return failures;
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

	guard(spinlock_irqsave)(&param->atc_uses.xa_lock);
	if (!iopf_pauses_add(&param->pauses, reason))
		return false;
	if (!on_queue && xa_empty(&param->atc_uses) && !atc_is_enabled(dev))
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

	guard(spinlock_irqsave)(&param->atc_uses.xa_lock);
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
	struct dev_iommu *param = dev->iommu;

	guard(spinlock_irqsave)(&param->atc_uses.xa_lock);
	atc_obey_pause(param);
}
