/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O page fault queue: what its files share
 *
 *	iopf-pci.c	when the PCI core takes a function out of work
 *	io-pgfault.c	takes requests, makes groups of them; devices and queues
 *	iopf-reset.c	a device's reset
 *	iopf-drain.c	answers in the place of handlers: drain, removal, time limit
 *	iopf-stray.c	requests and DMA with PASIDs that are not bound; quarantine
 *	iopf-service.c	workers that serve groups of an address space
 *	iopf-response.c	which thread answers a group, and when its slots are free again
 *	iopf-atc.c	what devices may hold in their ATC, and whether it is confirmed
 *	iopf-stats.c	statistics: bonds, devices, queues; readers
 *
 * Each calls what is below it, and none calls back.
 *
 * Locks:
 *
 *	iommu_group.mutex		(IOMMU core) while a device leaves its IOMMU
 *	  dev_iommu.reset_lock		one quiesce or resume of a device at a time; dev_iommu.gone
 *	iopf_queue.lock			devices of a queue
 *	  dev_iommu.lock		dev_iommu.fault_param
 *	    stats_lock			(iopf-stats.c) lists of devices and queues; talks to no
 *					hardware
 *	      dev_iommu.bonds_lock	(iopf-stats.c) statistics of one device's bonds
 *	    iommu_fault_param.lock	one reporter at a time: look-up to hand-over is one step
 *	      iopf_device.lock		slots, lists and states of one device
 *	        iopf_service.lock
 *	        strays_lock		(iopf-stray.c)
 *	dev_iommu.atc_uses		(iopf-atc.c) its lock, interrupts off; dev_iommu.pauses
 *	  unconfirmed_lock		(iopf-atc.c) innermost
 *
 *	iopf_wqs_lock			which service is on which workqueue; talks to no hardware
 *
 * ops->page_response() and sva_ops->page_responses() are called without spinlocks.
 */
#ifndef _DRIVERS_IOMMU_IOPF_PRIV_H
#define _DRIVERS_IOMMU_IOPF_PRIV_H

#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "iommu-priv.h"
#include "iopf.h"
#include "iopf-service.h"
#include "iopf-stats.h"

#define IOPF_HASH_BITS		6
/*
 * Slots beyond the credits, for answers in flight. A device may use a credit again as soon as it
 * has the answer, which is before the queue has freed the slot.
 */
#define IOPF_SPARE_SLOTS	IOPF_BATCH

enum iopf_state {
	IOPF_PENDING,
	IOPF_RESPONDING,
	IOPF_ANSWERED,
};

#define iopf_warn(idev, line, ...)					\
	do {								\
		struct iopf_device *_dev = (idev);			\
									\
		if (__ratelimit(&_dev->lines[IOPF_LINE_##line]))	\
			dev_warn(_dev->fp.dev, __VA_ARGS__);		\
	} while (0)

/**
 * struct iopf_slot - room for one group, or for one partial in group.last_fault
 * @group: what handlers see
 * @node: in &iopf_device.free, &iopf_device.partials, or on the list of the claimer
 * @hash: of a partial: in &iopf_device.buckets; of a group: in &iopf_service.pages
 * @coalesced: groups that ask for the same page, through &iopf_group.node. The service's lock
 *	guards it, and a group's @hash.
 * @seq: of a group: its number, for waiting until all older ones are answered
 * @since: of a group: when it was complete, in jiffies
 * @resets: of a group: &iopf_device.resets at that time
 * @state: of a group
 * @code: the answer, of a group that is not PENDING or that a worker has served
 * @why: how that answer is counted
 * @reason: with IOPF_FAILED: what listeners are told; 0: nothing
 * @reported: of a group: when its last page was reported, by iopf_clock()
 * @stats: of a partial, or a group that is not ANSWERED: the bond's or the device's statistics that
 *	count it
 * @svc: the service that serves the group, with a reference; NULL for other handlers
 * @worker: the worker that works on the group; guarded by the service's lock
 * @waits: the group is in &iopf_service.waiting; same guard
 * @orphan: the group's handler has let go of it, and the claimer frees it
 * @maybe_stale: of a partial: its last page may have been lost in an overflow
 */
struct iopf_slot {
	struct iopf_group group;
	struct list_head node;
	struct hlist_node hash;
	struct list_head coalesced;
	u64 seq;
	unsigned long since;
	unsigned int resets;
	enum iopf_state state;
	enum iommu_page_response_code code;
	enum iopf_count why;
	enum iommu_sva_fault_reason reason;
	u64 reported;
	struct iopf_stats *stats;
	struct iopf_service *svc;
	struct iopf_worker *worker;
	bool waits;
	bool orphan;
	bool maybe_stale;
};

/**
 * struct iopf_device - a device on a fault queue
 * @fp: the part that the rest of the kernel knows; fp.faults holds the PENDING groups
 * @lock: guards all below, fp.faults, and every field of the slots
 * @wait: woken when a group has been answered
 * @answering: the RESPONDING groups, through &iopf_group.pending_node
 * @in_flight: answers that are being sent; at most IOPF_SPARE_SLOTS
 * @free: unused slots
 * @partials: slots that hold a partial, oldest first
 * @buckets: the partials again, by (PASID, PRG index)
 * @seq: number of the latest group
 * @stalls: the IOMMU holds what the device has asked until it is answered; does not change
 * @gone: removed from its queue: no more responses
 * @resets: how many resets there have been
 * @credits: what iopf_grant_credits() has given the device; guarded by the queue's lock
 * @limit: how long a group may be pending, in jiffies; 0: for ever
 * @bind_blocked_until: the device may not be bound until then (get_jiffies_64()); 0: it has never
 *	been blocked
 * @is_single: the request being reported is all that the hardware queue holds; guarded by fp.lock
 * @inline_worker: the worker whose work the reporter is to do; guarded by fp.lock
 * @timeout_work: answers groups that have been pending for too long
 * @lines: rate limits, by enum iopf_line
 * @counts: by enum iopf_count; not guarded
 * @stats: what no bond counts, and the numbers of bonds that have ended, less what bonds had
 *	counted before the device joined its queue
 * @bonds: struct iopf_bond_stats, by PASID
 * @recent_handle: the attachment that the latest request has found, or NULL
 * @recent_stats: the statistics that counted that request
 * @own: its queue; guarded by stats_lock and &dev_iommu.bonds_lock: either for readers
 * @stats_node: in &iopf_own_queue.devices; guarded by stats_lock
 * @slots: all of them
 */
struct iopf_device {
	struct iommu_fault_param fp;
	spinlock_t lock;	/* of all below */
	wait_queue_head_t wait;
	struct list_head answering;
	unsigned int in_flight;
	struct list_head free;
	struct list_head partials;
	struct hlist_head buckets[1 << IOPF_HASH_BITS];
	u64 seq;
	bool stalls;
	bool gone;
	unsigned int resets;
	u32 credits;
	unsigned long limit;
	u64 bind_blocked_until;
	bool is_single;
	struct iopf_worker *inline_worker;
	struct delayed_work timeout_work;
	struct ratelimit_state lines[IOPF_NR_LINES];
	atomic64_t counts[IOPF_NR_COUNTS];
	struct iopf_stats stats;
	struct hlist_head bonds[1 << IOPF_BOND_BITS];
	const struct iommu_attach_handle *recent_handle;
	struct iopf_stats *recent_stats;
	struct iopf_own_queue *own;
	struct list_head stats_node;
	struct iopf_slot slots[];
};

/**
 * struct iopf_own_queue - a fault queue, with the fields that only its own files use
 * @queue: the part that the rest of the kernel knows
 * @name: of the IOMMU
 * @overflows: how often its hardware queue has overflowed; guarded by @queue's lock for writers
 * @node: in the list of all; guarded by stats_lock, as is all below
 * @devices: struct iopf_device
 * @past: the numbers of devices that have left
 */
struct iopf_own_queue {
	struct iopf_queue queue;
	char name[32];
	u64 overflows;
	struct list_head node;
	struct list_head devices;
	struct iopf_stats past;
};

static inline struct iopf_own_queue *to_own_queue(struct iopf_queue *queue)
{
	return container_of(queue, struct iopf_own_queue, queue);
}

static inline struct iopf_slot *group_slot(struct iopf_group *group)
{
	return container_of(group, struct iopf_slot, group);
}

static inline struct iopf_slot *fault_slot(struct iopf_fault *iopf)
{
	return container_of(iopf, struct iopf_slot, group.last_fault);
}

static inline struct iopf_device *group_device(struct iopf_group *group)
{
	return container_of(group->fault_param, struct iopf_device, fp);
}

static inline void iopf_count(struct iopf_device *idev, enum iopf_count what)
{
	atomic64_inc(&idev->counts[what]);
}

static inline struct hlist_head *iopf_bond_bucket(struct iopf_device *idev, ioasid_t pasid)
{
	return &idev->bonds[pasid % (1 << IOPF_BOND_BITS)];
}

/* The statistics that count a request which has found @handle; the next often finds the same. */
static inline struct iopf_stats *iopf_stats_of(struct iopf_device *idev, ioasid_t pasid,
					       const struct iommu_attach_handle *handle)
{
	struct iopf_bond_stats *bond;

	lockdep_assert_held(&idev->lock);

	if (likely(idev->recent_handle == handle))
		return idev->recent_stats;
	idev->recent_handle = handle;
	idev->recent_stats = &idev->stats;
	hlist_for_each_entry(bond, iopf_bond_bucket(idev, pasid), hash)
		if (bond->handle == handle)
			idev->recent_stats = &bond->stats;
	return idev->recent_stats;
}

/* The process that a group belongs to which is not ANSWERED; 0: unknown, or none */
static inline pid_t iopf_slot_pid(const struct iopf_device *idev, const struct iopf_slot *slot)
{
	return slot->stats == &idev->stats ? 0 :
	       container_of(slot->stats, struct iopf_bond_stats, stats)->pid;
}

/* A thread is about to claim the group: its answer, and why, are set. */
static inline void iopf_count_answer(struct iopf_device *idev, const struct iopf_slot *slot,
				     u64 now)
{
	struct iopf_stats *stats = slot->stats;

	lockdep_assert_held(&idev->lock);

	stats->counts[slot->why]++;
	if (slot->why == IOPF_FAILED)
		stats->reasons[slot->reason]++;
	stats->latency[iopf_latency_bucket(slot->reported, now)]++;
}

static inline void iopf_count_ahead(struct iopf_stats *stats, enum iopf_count what, u64 nr)
{
	if (what >= IOPF_AHEAD && what <= IOPF_AHEAD_UNUSED)
		atomic64_add(nr, &stats->ahead[what - IOPF_AHEAD]);
}

/* References to a device's slots: one of the queue, one per group. */

/* NULL: the device is on no fault queue. Inside an RCU read-side section, for which it stays */
static inline struct iopf_device *iopf_device_find(struct device *dev)
{
	struct iommu_fault_param *fp;
	struct dev_iommu *param;

	/* The device may be leaving its IOMMU. */
	param = READ_ONCE(dev->iommu);
	if (!param)
		return NULL;
	fp = rcu_dereference(param->fault_param);
	return fp ? container_of(fp, struct iopf_device, fp) : NULL;
}

static inline struct iopf_device *iopf_device_get(struct device *dev)
{
	struct iopf_device *idev;

	guard(rcu)();
	idev = iopf_device_find(dev);
	return idev && refcount_inc_not_zero(&idev->fp.users) ? idev : NULL;
}

static inline void iopf_device_put(struct iopf_device *idev)
{
	if (idev && refcount_dec_and_test(&idev->fp.users))
		kvfree_rcu(idev, fp.rcu);
}

DEFINE_FREE(iopf_device_put, struct iopf_device *, iopf_device_put(_T))

static inline void iopf_drop_partial(struct iopf_device *idev, struct iopf_slot *slot)
{
	lockdep_assert_held(&idev->lock);
	hlist_del_init(&slot->hash);
	list_move(&slot->node, &idev->free);
}

static inline void iopf_set_answer(struct iopf_slot *slot, enum iommu_page_response_code code,
				   enum iopf_count why)
{
	slot->code = code;
	slot->why = why;
}

static inline bool iopf_is_last(const struct iopf_fault *evt)
{
	return evt->fault.prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
}

/*
 * After a reset or its removal the queue must not answer what a device asked before. The IOMMU
 * remembers what has stalled.
 */
static inline bool iopf_is_stale(struct iopf_device *idev, const struct iopf_slot *slot)
{
	lockdep_assert_held(&idev->lock);
	return idev->gone || (!idev->stalls && slot->resets != idev->resets);
}

static inline bool iopf_stalls(struct device *dev)
{
	const struct iommu_sva_ops *ops = dev_iommu_ops(dev)->sva_ops;

	return ops && ops->stalls && ops->stalls(dev);
}

/* iopf-response.c */

/**
 * struct iopf_refs - references that go with answered groups of one device
 * @svc: of each group: its service, or NULL
 * @nr: how many groups
 */
struct iopf_refs {
	struct iopf_service *svc[IOPF_BATCH];
	unsigned int nr;
};

void iopf_put_other_pages(struct iopf_device *idev, struct iopf_slot *slot);
void iopf_refuse_last(struct device *dev, struct iopf_fault *last, enum iopf_count why);
void iopf_put_all(struct iopf_device *idev, const struct iopf_refs *refs);
void iopf_finish_slot(struct iopf_device *idev, struct iopf_slot *slot, struct iopf_refs *refs);
void iopf_respond_batch(struct iopf_device *idev, struct list_head *mine, unsigned int todo);
void iopf_wait_in_flight(struct iopf_device *idev);
void iopf_respond(struct iopf_device *idev, struct list_head *mine);
void iopf_answer_group(struct iopf_group *group, enum iommu_page_response_code code,
		       enum iopf_count why);

/*
 * Claims a group: puts it on the caller's list @mine, by &iopf_slot.node. The caller sends the
 * response. Inline: most groups have one page, and a worker claims each of a batch.
 * @orphan: the group's handler no longer has it, and the claimer frees it after the answer
 */
static inline void iopf_claim(struct iopf_device *idev, struct iopf_slot *slot, bool orphan,
			      struct list_head *mine)
{
	lockdep_assert_held(&idev->lock);
	slot->state = IOPF_RESPONDING;
	slot->orphan = orphan;
	if (orphan && slot->group.fault_count > 1)
		iopf_put_other_pages(idev, slot);
	list_move_tail(&slot->group.pending_node, &idev->answering);
	list_add_tail(&slot->node, mine);
}

/* iopf-service.c */
void iopf_count_queues(int nr);
bool iopf_revoke(struct iopf_device *idev, struct iopf_slot *slot);

/* iopf-drain.c */
/**
 * struct iopf_whose - what a drain is about
 * @pasid: requests with that PASID; IOMMU_PASID_INVALID: with any, or with none
 * @handle: and, of groups, those that the attachment was found for; NULL: all
 */
struct iopf_whose {
	ioasid_t pasid;
	const struct iommu_attach_handle *handle;
};

extern const struct iopf_whose iopf_all;

bool iopf_is_answering(struct iopf_device *idev, const struct iopf_whose *whose, u64 seq);
void iopf_abort(struct iopf_device *idev, const struct iopf_whose *whose, bool gone);
void iopf_timeout_work(struct work_struct *work);

/* iopf-stats.c */
void iopf_stats_add_device(struct iopf_own_queue *own, struct iopf_device *idev);
void iopf_stats_remove_device(struct iopf_device *idev);
void iopf_stats_add_queue(struct iopf_own_queue *own);
void iopf_stats_remove_queue(struct iopf_own_queue *own);

/* iopf-stray.c */
void iopf_note_stray(struct iopf_device *idev, ioasid_t pasid, u64 addr, const char *what);
void iopf_forget_strays(struct device *dev);

#endif /* _DRIVERS_IOMMU_IOPF_PRIV_H */
