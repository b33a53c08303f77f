// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: resets
 *
 * A reset makes a device forget the PRG indices that it waits for, and it may use them again at
 * once: a response to an old request must not meet a new one. iopf_quiesce_device() answers all
 * pending groups while the device still listens. From then on until iopf_resume_device() the queue
 * drops new requests, and responses of handlers that keep groups to themselves are not sent. A
 * device that loses power does not listen: what it has pending is dropped without a response. The
 * IOMMU driver sends no ATC invalidation to a device in reset, since it would wait for the
 * completion.
 *
 * Calls nest: a driver may call iopf_quiesce_device() and then reset its device with the PCI core's
 * functions, which call iopf_pause(); or two threads may reset one device. The first pause begins
 * the reset, the end of the last one ends it; a pause in between waits until the first one is done.
 * iopf_pauses_add() and iopf_pauses_del() have the rules.
 *
 * Why a device is paused, and what that means for its requests, is known with the device, in struct
 * dev_iommu: a driver may give up in the middle, take its device from the fault queue, and the next
 * one bring it back, and all that time the device answers nothing. A pause of a device that is
 * neither used nor on a queue is only noted, until it is (iopf-atc.c).
 *
 * Locks: see iopf-priv.h.
 */
#include <linux/iommu.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/wait.h>
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iopf-priv.h"

/* Nothing of what the device has asked is answered any more. */
static void iopf_forget_pending(struct iopf_device *idev, struct list_head *mine)
{
	struct iopf_group *group, *more;
	struct iopf_slot *slot, *next;

	lockdep_assert_held(&idev->lock);

	list_for_each_entry_safe(slot, next, &idev->partials, node)
		iopf_drop_partial(idev, slot);
	list_for_each_entry_safe(group, more, &idev->fp.faults, pending_node) {
		slot = group_slot(group);
		iopf_count(idev, IOPF_STALE);
		iopf_claim(idev, slot, iopf_revoke(idev, slot), mine);
	}
}

/* As if the responses had been sent. */
static void iopf_finish_forgotten(struct iopf_device *idev, struct list_head *mine)
{
	struct iopf_slot *slot;
	struct iopf_refs refs;

	while (!list_empty(mine)) {
		refs.nr = 0;
		scoped_guard(spinlock, &idev->lock)
			while (refs.nr < IOPF_BATCH && !list_empty(mine)) {
				slot = list_first_entry(mine, struct iopf_slot, node);
				iopf_finish_slot(idev, slot, &refs);
			}
		iopf_put_all(idev, &refs);
	}
	/* For iopf_queue_flush_dev() */
	wake_up_all(&idev->wait);
}

/* Who joins a fault queue later sees what the caller has written before. */
static struct iopf_device *iopf_device_get_settled(struct device *dev)
{
	guard(mutex)(&dev->iommu->lock);
	return iopf_device_get(dev);
}

static void iopf_enter_reset(struct device *dev)
{
	struct iopf_device *idev __free(iopf_device_put) = NULL;
	LIST_HEAD(mine);

	WRITE_ONCE(dev->iommu->flow, IOPF_IN_RESET);
	/* One that has left its queue meanwhile has nothing pending, and no answer on its way. */
	idev = iopf_device_get_settled(dev);
	if (!idev)
		return;
	/* A reporter that has not seen the new flow has listed its group when it is done. */
	scoped_guard(mutex, &idev->fp.lock) {
		guard(spinlock)(&idev->lock);
		idev->resets++;
		idev->stats.resets++;
		iopf_forget_pending(idev, &mine);
	}
	iopf_finish_forgotten(idev, &mine);
	/* A handler that keeps its groups may be sending a response right now. */
	wait_event(idev->wait, !iopf_is_answering(idev, &iopf_all));
}

/* Returns false if @dev is paused already, or if that concerns nobody yet. */
static bool iopf_note_pause(struct device *dev, enum iopf_pause_reason reason, bool *on_queue)
{
	guard(mutex)(&dev->iommu->lock);
	*on_queue = rcu_access_pointer(dev->iommu->fault_param);
	return iopf_atc_pause(dev, reason, *on_queue);
}

static void iopf_begin_reset(struct device *dev, enum iopf_pause_reason reason)
{
	bool on_queue;

	lockdep_assert_held(&dev->iommu->reset_lock);

	if (!iopf_note_pause(dev, reason, &on_queue))
		return;

	trace_iopf_reset(dev, true);
	/* The device listens, and what it has asked is answered; else that is forgotten. */
	if (on_queue && reason != IOPF_PAUSE_SLEEP)
		iopf_drain_hw_pasid(dev, IOMMU_PASID_INVALID);
	iopf_enter_reset(dev);
	/* An RCU reader that has not seen the new flow may still send an ATC invalidation. */
	synchronize_rcu();
}

/* What is read later is taken for an error of the time after the reset. */
static void iopf_await_errors(struct device *dev)
{
	const struct iommu_sva_ops *ops = dev_iommu_ops(dev)->sva_ops;

	if (ops && ops->await_errors)
		ops->await_errors(dev);
}

/* If nothing has failed since @failures, the device holds nothing that it should not. */
static void iopf_flush_atc(struct device *dev, unsigned int failures)
{
	const struct iommu_sva_ops *ops = dev_iommu_ops(dev)->sva_ops;

	if (ops && ops->flush_atc)
		ops->flush_atc(dev);
	if (iopf_atc_failures(dev) == failures)
		iopf_atc_confirmed(dev);
}

static void iopf_end_reset(struct device *dev, enum iopf_pause_reason reason)
{
	unsigned int failures = iopf_atc_failures(dev);

	lockdep_assert_held(&dev->iommu->reset_lock);

	if (!iopf_atc_unpause(dev, reason))
		return;

	/* Requests from before may still be in the hardware queue. */
	if (reason != IOPF_PAUSE_SLEEP && rcu_access_pointer(dev->iommu->fault_param))
		iopf_drain_hw_pasid(dev, IOMMU_PASID_INVALID);
	iopf_await_errors(dev);
	WRITE_ONCE(dev->iommu->flow, IOPF_RUNNING);
	iopf_flush_atc(dev, failures);
	trace_iopf_reset(dev, false);
}

/**
 * iopf_quiesce_device - A device is about to be reset
 * @dev: the device. On no queue it has no page requests; what is said of invalidations holds.
 *
 * All page requests of the device are answered, those in the hardware queue too. On return there
 * is none, no answer is on its way, the IOMMU waits for no ATC invalidation of @dev, and none of
 * that begins before iopf_resume_device(). Bonds stay; binds and unbinds are possible.
 *
 * The order around a function-level reset (PCIe 6.0, sections 6.6.2 and 10.4):
 *
 * 1. the device's driver stops its DMA, as far as it can
 * 2. iopf_quiesce_device()
 * 3. the reset, after which ATS, PASID and PRI are enabled as before
 * 4. iopf_resume_device()
 * 5. the driver starts DMA again
 *
 * The PCI core does 2 and 4 around its own resets, error recovery and pcie_flr(), see iopf-pci.c. A
 * driver calls them itself around a reset that only it knows of, and if that is of a PF, for each
 * of its VFs: iopf_resume_device() when the VF's own state has been restored. Calls nest: the last
 * iopf_resume_device() ends what the first iopf_quiesce_device() has begun. Nothing else does, not
 * even that @dev leaves its fault queue: a driver that gives up calls it when @dev answers again,
 * or has ATS disabled.
 *
 * Context: process, may sleep; does not wait for faults that are being served.
 */
void iopf_quiesce_device(struct device *dev)
{
	iopf_pause(dev, IOPF_PAUSE_DRIVER);
}
EXPORT_SYMBOL_GPL(iopf_quiesce_device);

/**
 * iopf_resume_device - A device has come out of its reset
 * @dev: a device for which iopf_quiesce_device() was called, with ATS, PASID and PRI enabled again
 *
 * Nothing happens while there are others who have called that, and not this.
 * What the device asked before the reset and is still in the hardware queue is dropped; its ATC is
 * told to forget everything, since it was not told of invalidations in between. If it completes
 * that, invalidations that it did not complete before are over.
 *
 * Context: process, may sleep; as iopf_quiesce_device().
 */
void iopf_resume_device(struct device *dev)
{
	iopf_unpause(dev, IOPF_PAUSE_DRIVER);
}
EXPORT_SYMBOL_GPL(iopf_resume_device);

/**
 * iopf_pause() - A device is taken out of work
 * @dev: the device
 * @reason: IOPF_PAUSE_DRIVER: see iopf_quiesce_device(); IOPF_PAUSE_RESET: the same, by the PCI
 *	core, where nothing happens if that has been said before; IOPF_PAUSE_SLEEP: the device loses
 *	power and has nothing outstanding, and interrupts of the IOMMU may be off
 *
 * Context: process, sleeps.
 */
void iopf_pause(struct device *dev, enum iopf_pause_reason reason)
{
	if (!dev->iommu)
		return;
	guard(mutex)(&dev->iommu->reset_lock);
	iopf_begin_reset(dev, reason);
}

/**
 * iopf_unpause() - A device has been brought back, with ATS, PASID and PRI enabled
 * @dev: the device; nothing happens if iopf_pause() was not called for that @reason
 * @reason: as for iopf_pause()
 *
 * As iopf_resume_device().
 *
 * Context: process, may sleep.
 */
void iopf_unpause(struct device *dev, enum iopf_pause_reason reason)
{
	if (!dev->iommu || !READ_ONCE(dev->iommu->pauses))
		return;
	guard(mutex)(&dev->iommu->reset_lock);
	iopf_end_reset(dev, reason);
}

/**
 * iopf_device_in_reset - May an ATC invalidation be sent to a device?
 * @dev: a device behind an IOMMU
 *
 * For vendor drivers: a device in a reset does not answer, and an IOMMU that waits for it stops all
 * its users. The reset makes the device forget its translations, or iopf_resume_device() does.
 *
 * Context: any. Asked and acted upon in one RCU read-side section.
 * Return: true between iopf_quiesce_device() and iopf_resume_device(), if @dev is or was on
 * a fault queue or attached to a PASID in that time.
 */
bool iopf_device_in_reset(struct device *dev)
{
	return READ_ONCE(dev->iommu->flow) == IOPF_IN_RESET;
}
EXPORT_SYMBOL_GPL(iopf_device_in_reset);
