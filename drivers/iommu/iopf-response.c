// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: which thread answers a group, and when its slots are free again
 *
 * A group is pending until one thread claims it under the device's lock: its handler, a drain, the
 * time limit, or the removal of the device. Only the claimer sends the response.
 *
 *	PENDING --claim--> RESPONDING --sent--> ANSWERED --iopf_free_group()--> free
 *
 * At most IOPF_SPARE_SLOTS responses of a device are in flight: the device may use a credit again
 * as soon as it has the response, before the slot is free, and it has that many slots to spare.
 *
 * Locks: see iopf-priv.h.
 *
 * Lifetime. A group keeps its slots, its device and its service until it is free. A handler may
 * free its group before the response has left; then the claimer frees the slots.
 */
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/wait.h>
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iopf-priv.h"

/* Frees the slots of all pages of a group but the last, which holds the response. */
void iopf_put_other_pages(struct iopf_device *idev, struct iopf_slot *slot)
{
	struct iopf_fault *iopf, *next;

	lockdep_assert_held(&idev->lock);

	list_for_each_entry_safe(iopf, next, &slot->group.faults, list) {
		if (iopf == &slot->group.last_fault)
			continue;
		list_del(&iopf->list);
		list_add(&fault_slot(iopf)->node, &idev->free);
	}
}

/* Frees all slots of an answered group; the caller puts its references afterwards. */
static struct iopf_service *iopf_put_slots(struct iopf_device *idev, struct iopf_slot *slot)
{
	struct iopf_service *svc = slot->svc;
	struct iopf_fault *iopf, *next;

	lockdep_assert_held(&idev->lock);

	list_for_each_entry_safe(iopf, next, &slot->group.faults, list)
		list_add(&fault_slot(iopf)->node, &idev->free);
	slot->svc = NULL;
	return svc;
}

static void iopf_put_refs(struct iopf_device *idev, struct iopf_service *svc)
{
	if (svc)
		iopf_service_put(svc);
	iopf_device_put(idev);
}

/* Answers a last page that is in no group. Other pages want no response. */
void iopf_refuse_last(struct device *dev, struct iopf_fault *last, enum iopf_count why)
{
	struct iommu_page_response resp = {
		.pasid = last->fault.prm.pasid,
		.grpid = last->fault.prm.grpid,
		.code = IOMMU_PAGE_RESP_INVALID,
	};

	if (!iopf_is_last(last))
		return;
	if (trace_iopf_response_enabled())
		trace_iopf_response(dev, &resp, why, iopf_pid_of_bond(dev, resp.pasid),
				    iopf_clock());
	dev_iommu_ops(dev)->page_response(dev, last, &resp);
}

static void iopf_send(struct device *dev, struct iopf_response *batch, unsigned int nr)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	if (ops->sva_ops && ops->sva_ops->page_responses) {
		ops->sva_ops->page_responses(dev, batch, nr);
		return;
	}
	for (unsigned int i = 0; i < nr; i++)
		ops->page_response(dev, batch[i].last, &batch[i].resp);
}

/* Groups of one service, as those of a worker's batch are, cost one operation. */
void iopf_put_all(struct iopf_device *idev, const struct iopf_refs *refs)
{
	for (unsigned int i = 0, first = 0; i < refs->nr; first = i) {
		struct iopf_service *svc = refs->svc[first];

		while (++i < refs->nr && refs->svc[i] == svc)
			;
		if (svc)
			iopf_service_put_many(svc, i - first);
	}
	if (refs->nr && refcount_sub_and_test(refs->nr, &idev->fp.users))
		kvfree_rcu(idev, fp.rcu);
}

void iopf_finish_slot(struct iopf_device *idev, struct iopf_slot *slot, struct iopf_refs *refs)
{
	lockdep_assert_held(&idev->lock);
	list_del_init(&slot->group.pending_node);
	slot->state = IOPF_ANSWERED;
	if (!slot->orphan) {
		list_del_init(&slot->node);
		return;
	}
	/* Those of its other pages are free already, see iopf_put_other_pages(). */
	list_move(&slot->node, &idev->free);
	refs->svc[refs->nr++] = slot->svc;
}

/* Sends the answers to the first @todo of the claimed groups in @mine, which count as in flight. */
void iopf_respond_batch(struct iopf_device *idev, struct list_head *mine, unsigned int todo)
{
	/* Not cleared: most batches are short. */
	struct iopf_response batch[IOPF_BATCH] __uninitialized;
	struct iopf_refs refs __uninitialized;
	struct iopf_slot *slot;
	unsigned int nr = 0;

	list_for_each_entry(slot, mine, node) {
		struct iopf_fault *last = &slot->group.last_fault;

		iopf_count(idev, slot->why);
		batch[nr] = (struct iopf_response){
			.last = last,
			.resp.pasid = last->fault.prm.pasid,
			.resp.grpid = last->fault.prm.grpid,
			.resp.code = slot->code,
		};
		if (trace_iopf_response_enabled())
			trace_iopf_response(idev->fp.dev, &batch[nr].resp, slot->why,
					    iopf_slot_pid(idev, slot), slot->reported);
		if (++nr == todo)
			break;
	}
	iopf_send(idev->fp.dev, batch, nr);

	refs.nr = 0;
	scoped_guard(spinlock, &idev->lock) {
		WRITE_ONCE(idev->in_flight, idev->in_flight - nr);
		while (nr--)
			iopf_finish_slot(idev, list_first_entry(mine, struct iopf_slot, node),
					 &refs);
	}
	if (wq_has_sleeper(&idev->wait))
		wake_up_all(&idev->wait);
	iopf_put_all(idev, &refs);
}

/* How many answers of @mine may be sent now? They count as in flight from here on. */
static unsigned int iopf_reserve_in_flight(struct iopf_device *idev, const struct list_head *mine)
{
	struct iopf_slot *slot;
	unsigned int nr = 0;

	guard(spinlock)(&idev->lock);
	list_for_each_entry(slot, mine, node) {
		if (nr == IOPF_BATCH || idev->in_flight == IOPF_SPARE_SLOTS)
			break;
		WRITE_ONCE(idev->in_flight, idev->in_flight + 1);
		nr++;
	}
	return nr;
}

/* Other threads have all spare slots in flight; hardware bounds the wait. */
void iopf_wait_in_flight(struct iopf_device *idev)
{
	wait_event(idev->wait, READ_ONCE(idev->in_flight) < IOPF_SPARE_SLOTS);
}

/* The caller has a reference to @idev of its own: the groups' references go here. */
void iopf_respond(struct iopf_device *idev, struct list_head *mine)
{
	while (!list_empty(mine)) {
		unsigned int nr = iopf_reserve_in_flight(idev, mine);

		if (nr)
			iopf_respond_batch(idev, mine, nr);
		else
			iopf_wait_in_flight(idev);
	}
}

void iopf_answer_group(struct iopf_group *group, enum iommu_page_response_code code,
		       enum iopf_count why)
{
	struct iopf_device *idev = group_device(group);
	struct iopf_slot *slot = group_slot(group);
	LIST_HEAD(mine);

	scoped_guard(spinlock, &idev->lock) {
		if (slot->state != IOPF_PENDING)
			return;
		if (iopf_is_stale(idev, slot)) {
			iopf_count(idev, IOPF_STALE);
			slot->state = IOPF_ANSWERED;
			list_del_init(&group->pending_node);
			return;
		}
		iopf_set_answer(slot, code, why);
		slot->reason = 0;
		iopf_count_answer(idev, slot, iopf_clock());
		iopf_claim(idev, slot, false, &mine);
	}
	iopf_respond(idev, &mine);
}

/**
 * iopf_group_response - Answer a group
 * @group: a group that the caller, its handler, owns
 * @status: the answer, in the codes of the PRG Response message (PCIe 6.0, section 10.4.2.2)
 *
 * Does nothing if a drain or the time limit has answered the group already, or if the device has
 * left the queue or been reset. The caller still owns the group afterwards.
 *
 * Context: process, may sleep if the vendor's page_response() does.
 */
void iopf_group_response(struct iopf_group *group, enum iommu_page_response_code status)
{
	iopf_answer_group(group, status,
			  status == IOMMU_PAGE_RESP_SUCCESS ? IOPF_SERVED : IOPF_FAILED);
}
EXPORT_SYMBOL_GPL(iopf_group_response);

/**
 * iopf_group_dequeue - Reserve the response to a group for its handler
 * @group: a group that the caller, its handler, owns
 *
 * For handlers that pass page requests on to user space. They must answer all groups of an
 * attachment themselves before it goes.
 *
 * Context: any that may take a spinlock.
 */
void iopf_group_dequeue(struct iopf_group *group)
{
	guard(spinlock)(&group_device(group)->lock);
	list_del_init(&group->pending_node);
}
EXPORT_SYMBOL_GPL(iopf_group_dequeue);

/**
 * iopf_free_group - Give a group back after iopf_group_response()
 * @group: a group that the caller, its handler, owns
 *
 * Context: any that may take a spinlock.
 */
void iopf_free_group(struct iopf_group *group)
{
	struct iopf_device *idev = group_device(group);
	struct iopf_slot *slot = group_slot(group);
	struct iopf_service *svc;

	scoped_guard(spinlock, &idev->lock) {
		WARN_ON_ONCE(slot->state == IOPF_PENDING);
		if (slot->state == IOPF_RESPONDING) {
			slot->orphan = true;
			/* As in iopf_claim(): the response will give all credits back. */
			iopf_put_other_pages(idev, slot);
			return;
		}
		list_del_init(&group->pending_node);
		svc = iopf_put_slots(idev, slot);
	}
	iopf_put_refs(idev, svc);
}
EXPORT_SYMBOL_GPL(iopf_free_group);
