// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: collect page requests into groups, have them served, answer each once
 *
 * Collect (here). A vendor driver reports page requests one by one, or several of one device at
 * once, in the order of its hardware queue. Requests of a group wait as partials until the last
 * page arrives; then the group goes to the handler of the domain that is attached to its (device,
 * PASID).
 *
 * Serve (iopf-service.c). The handler owns the group until iopf_free_group(). An SVA domain gives
 * it to the service of its io_mm.
 *
 * Answer (iopf-response.c). One thread claims a group and sends its response: the handler's; or
 * that of a drain, the time limit or a removal (iopf-drain.c), which do not wait for handlers.
 *
 * Reset (iopf-reset.c). A device in reset forgets what it has asked, and the queue must not answer
 * it. What has stalled the IOMMU holds, and the queue must answer it.
 *
 * Memory. The queue allocates nothing per request. Each device has as many slots as it may have
 * page requests outstanding, and IOPF_SPARE_SLOTS for responses in flight, of which there are never
 * more. So the queue never refuses a device that keeps to its credits, in whatever order responses
 * leave and slots become free. (A handler that keeps groups to itself frees each as soon as it has
 * answered it.) A slot holds a group or a partial. If none is free, the queue drops the oldest
 * partial: partials are the only requests that a device can send without end. The handler serves a
 * group that has lost a page without it; the device asks again. If there is no partial either, the
 * device has exceeded its credits, and the queue answers Invalid Request.
 *
 * Locks, and which file calls which: see iopf-priv.h.
 *
 * Lifetime. iopf_queue_add_device() makes a struct iopf_device with all of its slots. The queue has
 * a reference to it until the device leaves, and each group one until its slots are free.
 */
#include <linux/hash.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#define CREATE_TRACE_POINTS
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iopf-priv.h"

/* For a device that does not tell how many requests it may have outstanding */
#define IOPF_DEFAULT_CREDITS	256
#define IOPF_MAX_CREDITS	2048

static struct hlist_head *iopf_bucket(struct iopf_device *idev,
				      const struct iommu_fault_page_request *prm)
{
	return &idev->buckets[hash_32(prm->pasid ^ (prm->grpid << 20), IOPF_HASH_BITS)];
}

static __always_inline struct iopf_slot *iopf_get_slot(struct iopf_device *idev)
{
	struct iopf_slot *slot;

	lockdep_assert_held(&idev->lock);

	slot = list_first_entry_or_null(&idev->free, struct iopf_slot, node);
	if (!slot) {
		slot = list_first_entry_or_null(&idev->partials, struct iopf_slot, node);
		if (!slot)
			return NULL;
		iopf_count(idev, IOPF_LOST);
		iopf_drop_partial(idev, slot);
	}

	list_del_init(&slot->node);
	slot->state = IOPF_PENDING;
	slot->svc = NULL;
	slot->orphan = false;
	slot->maybe_stale = false;
	return slot;
}

/* Collecting */

/**
 * struct iopf_found - the attachment that the latest request found: the next often finds the same
 * @pasid: its PASID, or IOMMU_NO_PASID
 * @now: when the report began, by iopf_clock()
 * @handle: attached to @pasid; it stays while iommu_fault_param.lock is held, since its owner
 *	drains before it frees it. NULL: none is known.
 */
struct iopf_found {
	ioasid_t pasid;
	u64 now;
	struct iommu_attach_handle *handle;
};

static struct iommu_attach_handle *iopf_find_handle(struct device *dev, ioasid_t pasid)
{
	struct iommu_attach_handle *handle;

	handle = iommu_attach_handle_get(dev->iommu_group, pasid, 0);
	/* If user space has the PASID table, all PASIDs belong to the nested domain. */
	if (IS_ERR(handle) && pasid != IOMMU_NO_PASID && dev_iommu_ops(dev)->user_pasid_table)
		handle = iommu_attach_handle_get(dev->iommu_group, IOMMU_NO_PASID,
						 IOMMU_DOMAIN_NESTED);
	if (IS_ERR_OR_NULL(handle) || !handle->domain->iopf_handler)
		return NULL;
	return handle;
}

/* Counts a request of @found and takes a slot for it. NULL: there is none. */
static __always_inline struct iopf_slot *iopf_get_slot_for(struct iopf_device *idev,
							   const struct iopf_found *found)
{
	struct iopf_stats *stats = iopf_stats_of(idev, found->pasid, found->handle);
	struct iopf_slot *slot = iopf_get_slot(idev);

	stats->counts[IOPF_REQUESTS]++;
	if (slot)
		slot->stats = stats;
	else
		stats->counts[IOPF_OVERRUN]++;
	return slot;
}

static int iopf_add_partial(struct iopf_device *idev, const struct iopf_fault *evt,
			    const struct iopf_found *found)
{
	struct iopf_slot *slot;

	guard(spinlock)(&idev->lock);
	slot = iopf_get_slot_for(idev, found);
	if (!slot)
		return -EBUSY;
	slot->group.last_fault.fault = evt->fault;
	list_add_tail(&slot->node, &idev->partials);
	hlist_add_head(&slot->hash, iopf_bucket(idev, &evt->fault.prm));
	return 0;
}

/* Moves the partials of the group into it, in the order in which they arrived. */
static void iopf_take_partials(struct iopf_device *idev, struct iopf_group *group)
{
	const struct iommu_fault_page_request *last = &group->last_fault.fault.prm;
	struct iopf_slot *slot;
	struct hlist_node *next;

	lockdep_assert_held(&idev->lock);

	if (list_empty(&idev->partials))
		return;
	hlist_for_each_entry_safe(slot, next, iopf_bucket(idev, last), hash) {
		const struct iommu_fault_page_request *prm = &slot->group.last_fault.fault.prm;

		if (prm->pasid != last->pasid || prm->grpid != last->grpid)
			continue;
		hlist_del_init(&slot->hash);
		list_del_init(&slot->node);
		list_add(&slot->group.last_fault.list, &group->faults);
		group->fault_count++;
	}
}

static struct iopf_group *iopf_build_group(struct iopf_device *idev, const struct iopf_fault *evt,
					   const struct iopf_found *found)
{
	struct iopf_group *group;
	struct iopf_slot *slot;

	guard(spinlock)(&idev->lock);
	slot = iopf_get_slot_for(idev, found);
	if (!slot)
		return NULL;

	slot->reported = found->now;
	slot->seq = ++idev->seq;
	slot->since = jiffies;
	slot->resets = idev->resets;
	group = &slot->group;
	group->last_fault.fault = evt->fault;
	group->attach_handle = found->handle;
	group->fault_count = 1;
	group->cookie = 0;
	INIT_LIST_HEAD(&group->node);
	INIT_LIST_HEAD(&group->faults);
	list_add(&group->last_fault.list, &group->faults);
	iopf_take_partials(idev, group);
	list_add_tail(&group->pending_node, &idev->fp.faults);
	refcount_inc(&idev->fp.users);
	if (idev->limit)
		queue_delayed_work(idev->fp.queue->wq, &idev->timeout_work, idev->limit);
	return group;
}

/* The request has no handler: its PASID has none, or it has no PASID. Returns how to count it. */
static enum iopf_count iopf_refuse(struct iopf_device *idev,
				   const struct iommu_fault_page_request *prm)
{
	bool has_pasid = prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
	struct device *dev = idev->fp.dev;

	trace_iopf_stray(dev, prm);
	if (has_pasid && !iommu_pasid_is_attached(dev->iommu_group, prm->pasid)) {
		iopf_note_stray(idev, prm->pasid, prm->addr, "page request");
		return IOPF_STRAY;
	}
	iopf_count(idev, IOPF_FAILED);
	if (has_pasid)
		iopf_warn(idev, NO_HANDLER,
			  "page request for %#llx with PASID %u, which has no handler\n",
			  prm->addr, prm->pasid);
	else
		iopf_warn(idev, NO_PASID, "page request for %#llx without PASID\n", prm->addr);
	return IOPF_FAILED;
}

/* On error sets @why: how to count the refusal of a last page. */
static int iopf_take(struct iopf_device *idev, const struct iopf_fault *evt,
		     struct iopf_found *found, enum iopf_count *why)
{
	const struct iommu_fault_page_request *prm = &evt->fault.prm;
	struct device *dev = idev->fp.dev;
	ioasid_t pasid = IOMMU_NO_PASID;
	struct iopf_group *group;
	int ret;

	lockdep_assert_held(&idev->fp.lock);

	if (prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID)
		pasid = prm->pasid;
	if (!found->handle || found->pasid != pasid) {
		found->pasid = pasid;
		found->handle = iopf_find_handle(dev, pasid);
	}
	if (!found->handle) {
		*why = iopf_refuse(idev, prm);
		return -EINVAL;
	}

	*why = IOPF_OVERRUN;
	if (!iopf_is_last(evt)) {
		ret = iopf_add_partial(idev, evt, found);
		if (ret)
			iopf_count(idev, IOPF_OVERRUN);
		return ret;
	}

	group = iopf_build_group(idev, evt, found);
	if (!group) {
		iopf_count(idev, IOPF_OVERRUN);
		iopf_warn(idev, OVERRUN, "more page requests outstanding than there are slots\n");
		return -EBUSY;
	}

	ret = found->handle->domain->iopf_handler(group);
	if (ret) {
		iopf_answer_group(group, IOMMU_PAGE_RESP_INVALID,
				  ret == -ESRCH ? IOPF_EXITED : IOPF_FAILED);
		iopf_free_group(group);
	}
	return 0;
}

static int iopf_collect(struct iopf_device *idev, struct iopf_fault *evt, struct iopf_found *found)
{
	u32 flow = READ_ONCE(idev->fp.dev->iommu->flow);
	enum iopf_count why = IOPF_DRAINED;
	int ret;

	/* Held until a refusal has been sent, too: quiesce and removal wait for that. */
	lockdep_assert_held(&idev->fp.lock);

	iopf_count(idev, IOPF_REQUESTS);
	trace_iopf_request(idev->fp.dev, &evt->fault.prm);
	if (flow == IOPF_IN_RESET && !idev->stalls) {
		iopf_count(idev, IOPF_STALE);
		return 0;
	}

	if (idev->gone) {
		ret = -ENODEV;
	} else if (flow != IOPF_RUNNING) {
		iopf_count(idev, IOPF_DRAINED);
		ret = -ESHUTDOWN;
	} else {
		ret = iopf_take(idev, evt, found, &why);
	}
	if (ret)
		iopf_refuse_last(idev->fp.dev, evt, why);
	return ret;
}

/**
 * iommu_report_device_fault() - Take a page request from a vendor driver
 * @dev: the device that sent it; must not go away during the call
 * @evt: the request, which the function copies. Not a PASID Stop Marker: it wants no answer.
 *
 * If the request closes its group, the group goes to the handler of the domain that is attached to
 * its PASID. Otherwise it waits for the last page. If the queue can't take a request, it answers
 * Invalid Request at once to a last page, and drops any other: the group's last page is still to
 * come.
 *
 * The caller reports requests of one device in the order in which they arrived.
 *
 * Context: process (a threaded interrupt handler); may sleep for a short time, never for memory,
 * I/O or a handler's work.
 * Return: 0 if the queue has taken the request, or dropped it because a reset has made the device
 * forget it; or
 *
 * * -EINVAL: @evt is no page request, or no domain that handles page faults is attached to its
 *   PASID
 * * -ENODEV: the device is on no queue
 * * -EBUSY: the device has more requests outstanding than it may
 * * -ESHUTDOWN: the device is about to be reset; or it is in a reset, and stalls
 */
int iommu_report_device_fault(struct device *dev, struct iopf_fault *evt)
{
	struct iopf_device *idev __free(iopf_device_put) = NULL;

	if (evt->fault.type != IOMMU_FAULT_PAGE_REQ)
		return -EINVAL;

	idev = iopf_device_get(dev);
	if (idev) {
		struct iopf_found found = { .now = iopf_clock() };

		guard(mutex)(&idev->fp.lock);
		return iopf_collect(idev, evt, &found);
	}
	iopf_refuse_last(dev, evt, IOPF_DRAINED);
	return -ENODEV;
}
EXPORT_SYMBOL_GPL(iommu_report_device_fault);

/**
 * iopf_report_batch() - Take several page requests of one device from a vendor driver
 * @dev: the device that sent them; must not go away during the call
 * @evts: the requests, in the order in which they arrived; the function copies them
 * @nr: how many
 *
 * Does what iommu_report_device_fault() does for each, with one look-up of the device and one lock.
 *
 * Context: as iommu_report_device_fault().
 */
void iopf_report_batch(struct device *dev, struct iopf_fault *evts, unsigned int nr)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	struct iopf_found found = { .now = iopf_clock() };

	if (!idev) {
		for (unsigned int i = 0; i < nr; i++)
			iopf_refuse_last(dev, &evts[i], IOPF_DRAINED);
		return;
	}
	guard(mutex)(&idev->fp.lock);
	for (unsigned int i = 0; i < nr; i++)
		iopf_collect(idev, &evts[i], &found);
}
EXPORT_SYMBOL_GPL(iopf_report_batch);

/**
 * iopf_report_single() - Take the only page request in the hardware queue
 * @dev: the device that sent it; must not go away during the call
 * @evt: the request, which the function copies
 *
 * As iommu_report_device_fault(). If the service has nothing else to do, the caller serves it.
 *
 * Context: as iommu_report_device_fault(); the thread that reads the hardware queue.
 * Return: what the caller passes to iopf_serve_inline(), in the same thread; NULL if it has nothing
 * to serve.
 */
struct iopf_worker *iopf_report_single(struct device *dev, struct iopf_fault *evt)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	struct iopf_found found = { .now = iopf_clock() };

	if (!idev) {
		iopf_refuse_last(dev, evt, IOPF_DRAINED);
		return NULL;
	}
	guard(mutex)(&idev->fp.lock);
	idev->inline_worker = NULL;
	idev->is_single = true;
	iopf_collect(idev, evt, &found);
	idev->is_single = false;
	return idev->inline_worker;
}
EXPORT_SYMBOL_GPL(iopf_report_single);

/**
 * iopf_queue_discard_partial - Note that the hardware queue has overflowed
 * @queue: the queue whose devices may have lost requests
 *
 * Hardware may have lost last pages. The partials that wait for them must not make a later group
 * fail, so the queue marks all partials; it keeps them, since most belong to groups that are still
 * whole.
 *
 * Context: process. The caller must not report requests of the same queue at the same time.
 * Return: 0, or -EINVAL if @queue is NULL.
 */
int iopf_queue_discard_partial(struct iopf_queue *queue)
{
	struct iommu_fault_param *fp;
	struct iopf_own_queue *own;
	struct iopf_device *idev;
	struct iopf_slot *slot;

	if (!queue)
		return -EINVAL;

	guard(mutex)(&queue->lock);
	own = to_own_queue(queue);
	WRITE_ONCE(own->overflows, own->overflows + 1);
	trace_iopf_overflow(own->name, own->overflows);
	list_for_each_entry(fp, &queue->devices, queue_list) {
		idev = container_of(fp, struct iopf_device, fp);
		guard(spinlock)(&idev->lock);
		list_for_each_entry(slot, &idev->partials, node)
			slot->maybe_stale = true;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(iopf_queue_discard_partial);

/* Devices and queues */

static bool iopf_is_virtfn(struct device *dev)
{
	return dev_is_pci(dev) && pci_physfn(to_pci_dev(dev)) != to_pci_dev(dev);
}

/* The most page requests that the device can have outstanding (PCIe 6.0, section 10.5.2.4). */
static u32 iopf_credits(struct device *dev)
{
	const struct iommu_sva_ops *ops = dev_iommu_ops(dev)->sva_ops;
	u32 credits = ops && ops->max_requests ? ops->max_requests(dev) : 0;

	/* No upper limit: iopf_grant_credits() does not limit stalls. */
	if (credits)
		return credits;
	credits = IOPF_DEFAULT_CREDITS;
#ifdef CONFIG_PCI_PRI
	if (dev_is_pci(dev)) {
		struct pci_dev *pdev = pci_physfn(to_pci_dev(dev));

		if (pdev->pri_cap)
			pci_read_config_dword(pdev, pdev->pri_cap + PCI_PRI_MAX_REQ, &credits);
	}
#endif
	return clamp(credits, 1U, (u32)IOPF_MAX_CREDITS);
}

/* A free slot is coalesced with none, and no worker works on it. */
static void iopf_slot_init(struct iopf_device *idev, struct iopf_slot *slot)
{
	slot->group.fault_param = &idev->fp;
	INIT_LIST_HEAD(&slot->coalesced);
	list_add_tail(&slot->node, &idev->free);
}

static struct iopf_device *iopf_device_alloc(struct iopf_queue *queue, struct device *dev)
{
	u32 nr = iopf_credits(dev) + IOPF_SPARE_SLOTS;
	struct iopf_device *idev;

	idev = kvzalloc(struct_size(idev, slots, nr), GFP_KERNEL);
	if (!idev)
		return NULL;

	mutex_init(&idev->fp.lock);
	refcount_set(&idev->fp.users, 1);
	idev->fp.dev = dev;
	idev->fp.queue = queue;
	idev->stalls = iopf_stalls(dev);
	INIT_LIST_HEAD(&idev->fp.partial);
	INIT_LIST_HEAD(&idev->fp.faults);

	spin_lock_init(&idev->lock);
	init_waitqueue_head(&idev->wait);
	INIT_DELAYED_WORK(&idev->timeout_work, iopf_timeout_work);
	INIT_LIST_HEAD(&idev->answering);
	INIT_LIST_HEAD(&idev->free);
	INIT_LIST_HEAD(&idev->partials);
	for (u32 i = 0; i < nr; i++)
		iopf_slot_init(idev, &idev->slots[i]);
	for (u32 i = 0; i < IOPF_NR_LINES; i++)
		ratelimit_state_init(&idev->lines[i], DEFAULT_RATELIMIT_INTERVAL,
				     DEFAULT_RATELIMIT_BURST);
	return idev;
}

/**
 * iopf_queue_add_device - Put a device on a fault queue, so that its page requests are served
 * @queue: the queue of the device's IOMMU
 * @dev: the device, whose IOMMU driver must have a page_response() operation
 *
 * The vendor driver calls this before it lets the device send page requests. Allocates memory for
 * as many as the device can have outstanding. A device that is paused stays paused, see
 * iopf-reset.c.
 *
 * Context: process, may sleep.
 * Return: 0; -ENODEV if the IOMMU driver cannot answer; -EBUSY if the device is on a queue already;
 * -ENOMEM.
 */
int iopf_queue_add_device(struct iopf_queue *queue, struct device *dev)
{
	struct dev_iommu *param = dev->iommu;
	struct iopf_device *idev;

	if (!dev_iommu_ops(dev)->page_response)
		return -ENODEV;

	guard(mutex)(&queue->lock);
	guard(mutex)(&param->lock);
	if (rcu_access_pointer(param->fault_param))
		return -EBUSY;

	idev = iopf_device_alloc(queue, dev);
	if (!idev)
		return -ENOMEM;

	iopf_atc_obey_pause(dev);
	list_add(&idev->fp.queue_list, &queue->devices);
	rcu_assign_pointer(param->fault_param, &idev->fp);
	iopf_stats_add_device(to_own_queue(queue), idev);
	iopf_debugfs_add(dev);
	return 0;
}
EXPORT_SYMBOL_GPL(iopf_queue_add_device);

/**
 * iopf_grant_credits - How many page requests a device may have outstanding
 * @dev: on a fault queue, with page requests not enabled yet
 * @entries: size of the hardware queue that @dev shares with the others on the fault queue, in page
 *	requests
 *
 * Each device gets what it can use, but no more than half of what is left, so that together they do
 * not overflow the hardware queue. A device that comes late gets IOPF_MIN_CREDITS all the same. The
 * credits come back when the device leaves the fault queue. A virtual function shares the credits
 * of its physical function, and needs none of its own.
 *
 * Context: process, may sleep.
 * Return: the number for the device's Outstanding Page Request Allocation (PCIe 6.0, section
 * 10.5.2.5), at least 1; 0 if @dev is on no queue, or is a virtual function.
 */
u32 iopf_grant_credits(struct device *dev, u32 entries)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	struct iommu_fault_param *fp;
	u32 granted = 0;

	if (!idev)
		return 0;
	guard(mutex)(&idev->fp.queue->lock);
	idev->credits = 0;
	if (iopf_is_virtfn(dev))
		return 0;
	list_for_each_entry(fp, &idev->fp.queue->devices, queue_list)
		granted += container_of(fp, struct iopf_device, fp)->credits;
	idev->credits = iopf_credit_share(entries, granted, iopf_credits(dev));
	return idev->credits;
}
EXPORT_SYMBOL_GPL(iopf_grant_credits);

static void iopf_remove_locked(struct iopf_queue *queue, struct device *dev)
{
	struct iommu_fault_param *fp;
	struct iopf_device *idev;

	lockdep_assert_held(&queue->lock);

	scoped_guard(mutex, &dev->iommu->lock)
		fp = rcu_dereference_protected(dev->iommu->fault_param,
					       lockdep_is_held(&dev->iommu->lock));
	if (WARN_ON(!fp || fp->queue != queue))
		return;

	/* The device is found until all is answered: so a concurrent drain waits for that, too. */
	idev = container_of(fp, struct iopf_device, fp);
	iopf_abort(idev, &iopf_all, true);
	cancel_delayed_work_sync(&idev->timeout_work);
	iopf_debugfs_remove(dev);

	scoped_guard(mutex, &dev->iommu->lock) {
		rcu_assign_pointer(dev->iommu->fault_param, NULL);
		list_del(&fp->queue_list);
	}
	iopf_stats_remove_device(idev);
	iopf_forget_strays(dev);
	iopf_device_put(idev);
}

/**
 * iopf_queue_remove_device - Take a device off its fault queue
 * @queue: the queue that @dev was added to
 * @dev: the device
 *
 * Answers Invalid Request to everything that is pending; after the return the queue answers
 * nothing. Before the call the vendor driver stops new requests from reaching its hardware queue
 * and empties that; after it, it disables PRI on the device.
 *
 * Context: process, may sleep; does not wait for faults that are being served.
 */
void iopf_queue_remove_device(struct iopf_queue *queue, struct device *dev)
{
	guard(mutex)(&queue->lock);
	iopf_remove_locked(queue, dev);
}
EXPORT_SYMBOL_GPL(iopf_queue_remove_device);

/**
 * iopf_queue_alloc - Make a fault queue
 * @name: names the workqueue of its time limits; unique among IOMMUs
 *
 * Context: process, may sleep.
 * Return: the queue, or NULL if there is no memory.
 */
struct iopf_queue *iopf_queue_alloc(const char *name)
{
	struct iopf_own_queue *own = kzalloc(sizeof(*own), GFP_KERNEL);
	struct iopf_queue *queue;

	if (!own)
		return NULL;
	queue = &own->queue;

	/* No work on it may wait for what workers wait for. */
	queue->wq = alloc_workqueue("iopf_queue/%s", WQ_UNBOUND, 0, name);
	if (!queue->wq) {
		kfree(own);
		return NULL;
	}
	strscpy(own->name, name, sizeof(own->name));

	mutex_init(&queue->lock);
	INIT_LIST_HEAD(&queue->devices);
	iopf_stats_add_queue(own);
	iopf_count_queues(1);
	return queue;
}
EXPORT_SYMBOL_GPL(iopf_queue_alloc);

/**
 * iopf_queue_free - Undo iopf_queue_alloc()
 * @queue: the queue, or NULL. Devices that are still on it are removed.
 *
 * The vendor driver reports no more requests.
 *
 * Context: process, may sleep; does not wait for faults that are being served.
 */
void iopf_queue_free(struct iopf_queue *queue)
{
	struct iommu_fault_param *fp, *next;

	if (!queue)
		return;

	scoped_guard(mutex, &queue->lock)
		list_for_each_entry_safe(fp, next, &queue->devices, queue_list)
			iopf_remove_locked(queue, fp->dev);

	iopf_stats_remove_queue(to_own_queue(queue));
	destroy_workqueue(queue->wq);
	kfree(to_own_queue(queue));
	iopf_count_queues(-1);
}
EXPORT_SYMBOL_GPL(iopf_queue_free);

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: groups not freed yet, workers at work, and partials. */
unsigned int iopf_device_busy(struct device *dev)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (!idev)
		return 0;
	guard(spinlock)(&idev->lock);
	/* Less the queue's reference and ours */
	return refcount_read(&idev->fp.users) - 2 + list_count_nodes(&idev->partials);
}
#endif
