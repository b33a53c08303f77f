// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: resets
 *
 * A reset makes a device forget the PRG indices that it waits for, and it may use them again at
 * once: a response to an old request must not meet a new one. iopf_quiesce_device() answers all
 * pending groups while the device still listens. From then on until iopf_resume_device() the queue
 * drops new requests, and sends no responses of handlers that keep groups to themselves. A device
 * that loses power does not listen: the queue drops what it has pending without a response. The
 * IOMMU driver sends no ATC invalidation to a device in reset, since it would wait for the
 * completion.
 *
 * A device that stalls has no tags: the IOMMU holds its transactions, whatever the device does, and
 * they would be held for ever. So the queue answers all of them, before a loss of power and during
 * a reset, too: Invalid Request, which ends the transaction.
 *
 * Calls nest: a driver may call iopf_quiesce_device() and then reset its device with the PCI core's
 * functions, which call iopf_pause(); or two threads may reset one device. The first pause begins
 * the reset, the end of the last one ends it; a pause in between waits until the first one is done.
 * iopf_pauses_add() and iopf_pauses_del() have the rules.
 *
 * struct dev_iommu of the device has the reasons of the pause (pauses) and what becomes of requests
 * (flow): a driver may give up in the middle and take its device from the fault queue, and the next
 * driver bring it back, and all that time the device answers nothing. A pause of a device that is
 * neither attached to a PASID nor on a queue, and has no ATS, is only noted; it takes effect when
 * the device is (iopf-atc.c).
 *
 * Locks: see iopf-priv.h.
 *
 * Lifetime: a pause lasts until all of its reasons are gone, or the device leaves its IOMMU. The
 * PCI core may begin or end one at that very time, with no lock that keeps the device there. So
 * iopf_pause() takes a reference to struct dev_iommu, and looks at dev_iommu.gone under reset_lock:
 * while that is held and gone is not set, the IOMMU driver has its data of the device.
 */
#include <linux/cleanup.h>
#include <linux/iommu.h>
#include <linux/limits.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/wait.h>
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iopf-priv.h"

/* Claims all that the device has asked; the caller sends no answers. */
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

/* Finishes the claimed groups as if their responses had been sent. */
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

/* A device that joins a fault queue later sees the flow that the caller has written before. */
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
	/* A device that has left its queue meanwhile has nothing pending and nothing in flight. */
	idev = iopf_device_get_settled(dev);
	if (!idev)
		return;
	/* A reporter that has not seen the new flow has listed its group when it unlocks. */
	scoped_guard(mutex, &idev->fp.lock) {
		guard(spinlock)(&idev->lock);
		idev->resets++;
		idev->stats.resets++;
		iopf_forget_pending(idev, &mine);
	}
	iopf_finish_forgotten(idev, &mine);
	/* A handler that keeps its groups may be sending a response right now. */
	wait_event(idev->wait, !iopf_is_answering(idev, &iopf_all, U64_MAX));
}

/* Returns false if @dev is paused already, or has nothing to pause: see iopf_atc_pause(). */
static bool iopf_note_pause(struct device *dev, enum iopf_pause_reason reason, bool *on_queue)
{
	guard(mutex)(&dev->iommu->lock);
	*on_queue = rcu_access_pointer(dev->iommu->fault_param);
	return iopf_atc_pause(dev, reason, *on_queue);
}

/* A device that does not lose power still listens; for one that stalls the IOMMU does. */
static void iopf_answer_before_reset(struct device *dev, enum iopf_pause_reason reason)
{
	if (reason != IOPF_PAUSE_SLEEP)
		iopf_drain_hw_pasid(dev, IOMMU_PASID_INVALID);
	else if (iopf_stalls(dev))
		iopf_drain_pasid(dev, IOMMU_PASID_INVALID);
}

static void iopf_begin_reset(struct device *dev, enum iopf_pause_reason reason)
{
	bool on_queue;

	lockdep_assert_held(&dev->iommu->reset_lock);

	if (!iopf_note_pause(dev, reason, &on_queue)) {
		/* A flush may have found it before its last PASID was detached. */
		if (dev->iommu->max_pasids)
			synchronize_rcu();
		return;
	}

	trace_iopf_reset(dev, true);
	if (on_queue)
		iopf_answer_before_reset(dev, reason);
	iopf_enter_reset(dev);
	/* An RCU reader that has not seen the new flow may still send an ATC invalidation. */
	synchronize_rcu();
}

/* An error that is read later would count as one from after the reset. */
static void iopf_await_errors(struct device *dev)
{
	const struct iommu_sva_ops *ops = dev_iommu_ops(dev)->sva_ops;

	if (ops && ops->await_errors)
		ops->await_errors(dev);
}

/* If no invalidation has failed since @failures was read, the device holds nothing stale. */
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
 * iopf_quiesce_device - Prepare for the reset of a device
 * @dev: the device. If it is on no fault queue, only what is said of invalidations applies.
 *
 * Answers all page requests of the device, those in the hardware queue too. On return none is
 * pending, no answer is in flight, the IOMMU waits for no ATC invalidation of @dev, and none of
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
 * driver calls them itself around a reset that only it knows of; around that of a PF also for each
 * of its VFs: iopf_resume_device() when the VF's own state has been restored. Calls nest: the last
 * iopf_resume_device() ends what the first iopf_quiesce_device() has begun. Nothing else ends it,
 * not even that @dev leaves its fault queue: a driver that gives up calls iopf_resume_device() when
 * @dev answers again, or has ATS disabled.
 *
 * Context: process, may sleep; does not wait for faults that are being served.
 */
void iopf_quiesce_device(struct device *dev)
{
	iopf_pause(dev, IOPF_PAUSE_DRIVER);
}
EXPORT_SYMBOL_GPL(iopf_quiesce_device);

/**
 * iopf_resume_device - Go on with a device that has come out of its reset
 * @dev: a device for which iopf_quiesce_device() was called, with ATS, PASID and PRI enabled again
 *
 * Does nothing while other callers of iopf_quiesce_device() have not called this yet. Drops what
 * the device asked before the reset and is still in the hardware queue. Has the ATC forget
 * everything, since the IOMMU driver sent it no invalidations in between; if the device completes
 * that, earlier invalidations that it did not complete no longer count.
 *
 * Context: process, may sleep; as iopf_quiesce_device().
 */
void iopf_resume_device(struct device *dev)
{
	iopf_unpause(dev, IOPF_PAUSE_DRIVER);
}
EXPORT_SYMBOL_GPL(iopf_resume_device);

/* Returns NULL if @dev is behind no IOMMU. */
static struct dev_iommu *iopf_param_get(struct device *dev)
{
	struct dev_iommu *param;

	guard(rcu)();
	param = READ_ONCE(dev->iommu);
	return param && refcount_inc_not_zero(&param->users) ? param : NULL;
}

DEFINE_FREE(iopf_param_put, struct dev_iommu *, iopf_param_put(_T))

/**
 * iopf_pause() - Take a device out of work
 * @dev: the device, which may be leaving its IOMMU: then the function does nothing
 * @reason: IOPF_PAUSE_DRIVER: see iopf_quiesce_device(); IOPF_PAUSE_RESET and IOPF_PAUSE_ERROR: the
 *	same, by the PCI core, whose second call does nothing; IOPF_PAUSE_SLEEP: the device loses
 *	power and has nothing outstanding, and interrupts of the IOMMU may be off
 *
 * Context: process, sleeps.
 */
void iopf_pause(struct device *dev, enum iopf_pause_reason reason)
{
	struct dev_iommu *param __free(iopf_param_put) = iopf_param_get(dev);

	if (!param)
		return;
	guard(mutex)(&param->reset_lock);
	if (!param->gone)
		iopf_begin_reset(dev, reason);
}

/**
 * iopf_unpause() - Bring a device back that has ATS, PASID and PRI enabled
 * @dev: the device; the function does nothing if iopf_pause() was not called for that @reason
 * @reason: as for iopf_pause()
 *
 * As iopf_resume_device().
 *
 * Context: process, may sleep.
 */
void iopf_unpause(struct device *dev, enum iopf_pause_reason reason)
{
	struct dev_iommu *param __free(iopf_param_put) = iopf_param_get(dev);

	if (!param || !READ_ONCE(param->pauses))
		return;
	guard(mutex)(&param->reset_lock);
	if (!param->gone)
		iopf_end_reset(dev, reason);
}

/**
 * iopf_device_leaves() - Wait until no pause and no flush uses a device
 * @dev: a device without bonds, which is about to leave its IOMMU; does nothing the second time
 *
 * For the IOMMU core, before the IOMMU driver frees its data of @dev. From then on iopf_pause() and
 * iopf_unpause() leave @dev alone, and the statistics do not name it.
 *
 * Context: process, sleeps, for no longer than the IOMMU waits for a device.
 */
void iopf_device_leaves(struct device *dev)
{
	struct dev_iommu *param = dev->iommu;

	scoped_guard(mutex, &param->reset_lock) {
		if (param->gone)
			return;
		param->gone = true;
	}
	iopf_stats_forget(dev);
	/* A flush may have found it before its last PASID was detached. */
	if (param->max_pasids)
		synchronize_rcu();
}

/**
 * iopf_device_in_reset - May an ATC invalidation be sent to a device?
 * @dev: a device behind an IOMMU
 *
 * For vendor drivers: a device in a reset does not answer, and an IOMMU that waits for it delays
 * all its users. The reset makes the device forget its translations, or iopf_resume_device() does.
 *
 * Context: any; the call and the submission are in one RCU read-side section.
 * Return: true between iopf_quiesce_device() and iopf_resume_device(), if @dev had ATS enabled at
 * the first, or is or was on a fault queue or attached to a PASID in that time; and when @dev has
 * left its IOMMU.
 */
bool iopf_device_in_reset(struct device *dev)
{
	struct dev_iommu *param;

	guard(rcu)();
	param = READ_ONCE(dev->iommu);
	return !param || READ_ONCE(param->flow) == IOPF_IN_RESET;
}
EXPORT_SYMBOL_GPL(iopf_device_in_reset);
