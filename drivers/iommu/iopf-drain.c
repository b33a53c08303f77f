// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: answers in the place of handlers
 *
 * A drain does not wait for handlers: it answers Invalid Request in their place, and waits only for
 * responses in flight. It takes groups away from the workers that serve them. The time limit, if
 * one is set, does the same to groups that have waited too long. A driver that stops a device which
 * waits for its answers has the queue send them as Success (iopf_answer_unserved()): a device that
 * still wants the page asks again.
 *
 * Locks: see iopf-priv.h.
 */
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iopf-priv.h"

const struct iopf_whose iopf_all = { .pasid = IOMMU_PASID_INVALID };

static bool iopf_of_pasid(const struct iopf_fault *iopf, const struct iopf_whose *whose)
{
	return whose->pasid == IOMMU_PASID_INVALID || iopf->fault.prm.pasid == whose->pasid;
}

static bool iopf_is_in(const struct iopf_group *group, const struct iopf_whose *whose)
{
	return iopf_of_pasid(&group->last_fault, whose) &&
	       (!whose->handle || group->attach_handle == whose->handle);
}

/* Is the response to a group in @whose in flight, the group being no later than number @seq? */
bool iopf_is_answering(struct iopf_device *idev, const struct iopf_whose *whose, u64 seq)
{
	struct iopf_group *group;

	guard(spinlock)(&idev->lock);
	list_for_each_entry(group, &idev->answering, pending_node)
		if (group_slot(group)->seq <= seq && iopf_is_in(group, whose))
			return true;
	return false;
}

/* Claims a group in the place of its handler. */
static void iopf_take_group(struct iopf_device *idev, struct iopf_slot *slot,
			    enum iommu_page_response_code code, enum iopf_count why,
			    struct list_head *mine)
{
	iopf_set_answer(slot, code, why);
	iopf_count_answer(idev, slot, iopf_clock());
	iopf_claim(idev, slot, iopf_revoke(idev, slot), mine);
}

static void iopf_abort_group(struct iopf_device *idev, struct iopf_slot *slot, enum iopf_count why,
			     struct list_head *mine)
{
	iopf_take_group(idev, slot, IOMMU_PAGE_RESP_INVALID, why, mine);
}

static void iopf_count_drain(struct iopf_device *idev, ioasid_t pasid)
{
	struct iopf_stats *stats = &idev->stats;
	struct iopf_bond_stats *bond;

	lockdep_assert_held(&idev->lock);

	hlist_for_each_entry(bond, iopf_bond_bucket(idev, pasid), hash)
		if (bond->pasid == pasid)
			stats = &bond->stats;
	stats->drains++;
}

/*
 * Answers Invalid Request to everything that is pending in @whose, and forgets the partials.
 * Returns how many groups it has answered.
 */
static unsigned int iopf_abort_pending(struct iopf_device *idev, const struct iopf_whose *whose,
				       bool gone)
{
	struct iopf_group *group, *next;
	struct iopf_slot *slot, *more;
	unsigned int nr = 0;
	LIST_HEAD(mine);

	lockdep_assert_held(&idev->fp.lock);

	scoped_guard(spinlock, &idev->lock) {
		iopf_count_drain(idev, whose->pasid);
		list_for_each_entry_safe(slot, more, &idev->partials, node)
			if (iopf_of_pasid(&slot->group.last_fault, whose))
				iopf_drop_partial(idev, slot);

		list_for_each_entry_safe(group, next, &idev->fp.faults, pending_node) {
			if (!iopf_is_in(group, whose))
				continue;
			iopf_abort_group(idev, group_slot(group), IOPF_DRAINED, &mine);
			nr++;
		}
		idev->gone |= gone;
	}
	iopf_respond(idev, &mine);
	return nr;
}

/*
 * Abort, then wait for responses in flight: not for those to later groups, of which a device that
 * goes on asking has always one.
 */
void iopf_abort(struct iopf_device *idev, const struct iopf_whose *whose, bool gone)
{
	u64 began = iopf_clock(), seq;
	unsigned int nr;

	/* A reporter that has found the attachment has listed its group when it unlocks. */
	scoped_guard(mutex, &idev->fp.lock) {
		nr = iopf_abort_pending(idev, whose, gone);
		seq = idev->seq;
	}
	wait_event(idev->wait, !iopf_is_answering(idev, whose, seq));
	trace_iopf_drain(idev->fp.dev, whose->pasid, nr, began);
}

/**
 * iopf_drain_pasid - Answer all that a device has asked with a PASID
 * @dev: the device
 * @pasid: a PASID that @dev has stopped using; IOMMU_PASID_INVALID for all
 *
 * Drops partials, answers Invalid Request to pending groups, and waits for responses in flight.
 * Does not wait for handlers: a fault that never ends does not delay the caller. The vendor driver
 * reports the requests of its hardware queue first.
 *
 * Context: process, may sleep.
 */
void iopf_drain_pasid(struct device *dev, ioasid_t pasid)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (idev)
		iopf_abort(idev, &(struct iopf_whose){ .pasid = pasid }, false);
}
EXPORT_SYMBOL_GPL(iopf_drain_pasid);

/**
 * iopf_drain_attachment - Answer what has found an attachment that has failed
 * @dev: the device
 * @pasid: the PASID
 * @handle: passed to iommu_attach_device_pasid(), which has failed; requests could find it
 *	meanwhile
 *
 * As iopf_drain_pasid(), but leaves groups of another attachment of the same PASID alone, which may
 * be why this one has failed. It drops their partials.
 *
 * Context: process, may sleep.
 */
void iopf_drain_attachment(struct device *dev, ioasid_t pasid,
			   const struct iommu_attach_handle *handle)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	const struct iopf_whose whose = { .pasid = pasid, .handle = handle };

	if (idev)
		iopf_abort(idev, &whose, false);
}

/**
 * iopf_drain_hw_pasid - Answer all that a device has asked, down to its hardware queue
 * @dev: the device, which has stopped using the PASID
 * @pasid: a PASID, or IOMMU_PASID_INVALID for all
 *
 * Context: process, may sleep.
 */
void iopf_drain_hw_pasid(struct device *dev, ioasid_t pasid)
{
	const struct iommu_sva_ops *ops = dev_iommu_ops(dev)->sva_ops;

	if (ops && ops->drain)
		ops->drain(dev, pasid);
	else
		iopf_drain_pasid(dev, pasid);
}

/**
 * iopf_drain_gives_up() - Note that the thread that reads a hardware queue does not run
 * @dev: the device whose requests may still be in the queue
 * @pasid: the PASID that was to be drained, or IOMMU_PASID_INVALID for all
 *
 * For drains of vendor drivers, which go on with what the fault queue knows. A request that the
 * thread reads later finds no attachment, and is refused. It must not find another process's: so,
 * as after an invalidation that @dev has not completed, the core gives @pasid to no other process
 * and does not bind @dev until a reset, which drains, is over. Why the thread does not run is not
 * known here: the log does not blame @dev.
 *
 * Context: process, may sleep.
 */
void iopf_drain_gives_up(struct device *dev, ioasid_t pasid)
{
	bool is_first = iopf_atc_hold(dev, pasid);

	if (iopf_may_log(dev, IOPF_LINE_LATE) || is_first)
		dev_err(dev,
			"its IOMMU's page requests are not read: no binds until it is reset\n");
}
EXPORT_SYMBOL_GPL(iopf_drain_gives_up);

/**
 * iopf_answer_unserved - Answer what a device waits for, so that the device can stop
 * @dev: a device that its driver has told to stop, and that sends page requests: a device that
 *	stalls would stall again
 * @pasid: the PASID of the work that is to stop
 *
 * A device that sends no Stop Marker has stopped when all its page requests are answered (PCIe 6.0,
 * section 10.4.1.2), which a fault that never ends would put off for ever. This answers pending
 * groups Success in the place of their handlers, whose results are dropped. The device translates
 * again, and asks again for the pages that it still wants. Work that has been stopped wants none;
 * other work with the PASID goes on as if the page had come and gone.
 *
 * It does not answer requests that are still in the hardware queue, or later ones. So a driver
 * calls it again until the device has stopped, at growing intervals: a device may give up after too
 * many answers without effect.
 *
 * Context: process, may sleep. Waits for no handler.
 */
void iopf_answer_unserved(struct device *dev, ioasid_t pasid)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	const struct iopf_whose whose = { .pasid = pasid };
	struct iopf_group *group, *next;
	LIST_HEAD(mine);

	if (!idev)
		return;
	scoped_guard(spinlock, &idev->lock)
		list_for_each_entry_safe(group, next, &idev->fp.faults, pending_node)
			if (iopf_is_in(group, &whose))
				iopf_take_group(idev, group_slot(group), IOMMU_PAGE_RESP_SUCCESS,
						IOPF_DRAINED, &mine);
	iopf_respond(idev, &mine);
}
EXPORT_SYMBOL_GPL(iopf_answer_unserved);

static bool iopf_has_older(struct iopf_device *idev, u64 seq)
{
	struct iopf_group *group;

	guard(spinlock)(&idev->lock);
	list_for_each_entry(group, &idev->answering, pending_node)
		if (group_slot(group)->seq <= seq)
			return true;
	list_for_each_entry(group, &idev->fp.faults, pending_node)
		if (group_slot(group)->svc && group_slot(group)->seq <= seq)
			return true;
	return false;
}

/**
 * iopf_queue_flush_dev - Wait until all that a device has asked so far is answered
 * @dev: the device, which must be on a fault queue
 *
 * Waits for the groups of this device that workers serve, not for later ones. A fault that never
 * ends is waited for; a driver that wants a PASID back uses iopf_drain_pasid().
 *
 * Context: process, sleeps.
 * Return: 0, or -ENODEV if @dev is on no queue.
 */
int iopf_queue_flush_dev(struct device *dev)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	u64 seq;

	if (WARN_ON(!idev))
		return -ENODEV;

	scoped_guard(mutex, &idev->fp.lock)
		seq = idev->seq;
	wait_event(idev->wait, !iopf_has_older(idev, seq));
	return 0;
}
EXPORT_SYMBOL_GPL(iopf_queue_flush_dev);

/* The time limit */

static void iopf_notify_timeout(struct iopf_slot *slot)
{
	struct iopf_service *svc = slot->svc;

	if (!svc || !svc->ops->timed_out)
		return;
	/* The attachment stays until the response has left: its owner drains before it detaches. */
	guard(rcu)();
	svc->ops->timed_out(slot->group.attach_handle, &slot->group.last_fault.fault.prm);
}

void iopf_timeout_work(struct work_struct *work)
{
	struct iopf_device *idev = container_of(to_delayed_work(work), struct iopf_device,
						timeout_work);
	struct iopf_group *group, *next;
	unsigned long now = jiffies;
	struct iopf_slot *slot;
	LIST_HEAD(mine);

	scoped_guard(spinlock, &idev->lock) {
		/* Oldest first. */
		list_for_each_entry_safe(group, next, &idev->fp.faults, pending_node) {
			unsigned long end = group_slot(group)->since + idev->limit;

			if (!idev->limit)
				break;
			if (time_before(now, end)) {
				mod_delayed_work(idev->fp.queue->wq, &idev->timeout_work,
						 end - now);
				break;
			}
			iopf_abort_group(idev, group_slot(group), IOPF_TIMED_OUT, &mine);
		}
	}

	list_for_each_entry(slot, &mine, node) {
		iopf_warn(idev, TIMEOUT,
			  "page request for %#llx with PASID %u exceeds its time limit\n",
			  slot->group.last_fault.fault.prm.addr,
			  slot->group.last_fault.fault.prm.pasid);
		iopf_notify_timeout(slot);
	}
	iopf_respond(idev, &mine);
}

/**
 * iopf_set_timeout - Limit the time that a page request may take
 * @dev: a device on a fault queue
 * @ms: milliseconds from the last page of a group to its answer, rounded up to jiffies; 0: no
 *	limit, the default
 *
 * A fault may take for ever: a file server that has died, a userfaultfd without a monitor. At the
 * end of the limit the queue answers Invalid Request, tells the listeners of the bond, and drops
 * the handler's result if that still comes. The limit holds for groups that are pending already,
 * too; not for those that a handler has taken with iopf_group_dequeue().
 *
 * Context: process.
 * Return: 0, or -ENODEV if @dev is on no queue.
 */
int iopf_set_timeout(struct device *dev, unsigned int ms)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (!idev)
		return -ENODEV;

	guard(spinlock)(&idev->lock);
	if (idev->gone)
		return -ENODEV;
	idev->limit = ms ? msecs_to_jiffies(ms) ?: 1 : 0;
	/* The work may be queued for an older and longer limit. */
	if (idev->limit)
		mod_delayed_work(idev->fp.queue->wq, &idev->timeout_work, 0);
	return 0;
}
EXPORT_SYMBOL_GPL(iopf_set_timeout);
