// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: collect page requests into groups, have them served, answer each once
 *
 * Collect. A vendor driver reports page requests one by one, or several of one device at once, in
 * the order of its hardware queue. Requests of a group wait as partials until the last page
 * arrives; then the group goes to the handler of the domain that is attached to its (device,
 * PASID).
 *
 * Serve. The handler owns the group until iopf_free_group(). An SVA domain gives it to the service
 * of its io_mm: a list and a few lanes (workers), so that a fault which takes for ever holds a lane
 * of its own process and nothing else. A lane takes a batch of groups with one reference to the mm
 * and answers them together: at the end of the batch, when the clock has ticked, or before it does
 * something that may take long (iopf_lane_may_wait()). Another lane is started when all that are at
 * work may be waiting for somebody, or when there is more than a batch for each and a CPU is
 * left for others.
 *
 * A lone request. If there is nothing else to do for its process, nor for its CPU, the thread that
 * reads the hardware queue is the lane for once, and spares the way to a worker and back. That
 * thread is there for all devices of the IOMMU, so it takes one page only, which is at hand; what
 * it would have to wait for goes to a worker (iopf_lane_may_wait()).
 *
 * Fair share. A lane that has just been started, of a process that asks now and then, may find all
 * CPUs busy with lanes of others that never end. These end their batch as soon as there is such a
 * lane on their workqueue, and queue themselves behind it.
 *
 * Room for all. A workqueue works on so many items at a time, and a lane may be stuck for ever:
 * lanes of processes that do nothing but hang must not keep another one's from starting. So a
 * workqueue has no more services than it can run the lanes of, and another one is made for the
 * next. The time limit has a workqueue apart.
 *
 * One page, many requests. Groups of a single request for the same page and access hang on the
 * first of them, whichever device they came from, and are done with it if it succeeds. If it is
 * taken away, the next takes its place; if it fails they are served one by one, since each bond is
 * told.
 *
 * Answer. A group is pending until somebody claims it under the device lock: its handler, a drain,
 * the time limit, or the removal of the device. The claimer, and nobody else, sends the response.
 *
 *	PENDING --claim--> RESPONDING --sent--> ANSWERED --iopf_free_group()--> free
 *
 * A PENDING group that a service has is in exactly one place, under iopf_service.lock: waiting,
 * hanging on another one, in work, or done and not claimed yet.
 *
 * A drain does not wait for handlers: it answers Invalid Request in their place. From a lane it
 * takes the group away; the lane notices when it is done with the request in work, of which it has
 * a copy. What a lane needs (service, io_mm, mm) is held by the lane, not by the attachment. The
 * time limit, if one is set, does the same to groups that have waited too long.
 *
 * Reset. A reset makes a device forget the PRG indices that it waits for, and it may use them again
 * at once: an answer to an old request must not meet a new one. iopf_quiesce_device() answers all
 * there is while the device still listens; from then on until iopf_resume_device() requests are
 * dropped and answers of handlers that keep groups for themselves come to nothing. Nor is a
 * device in a reset told of invalidations, for which an IOMMU would wait.
 *
 * Memory. Nothing is allocated per request. Each device has as many slots as it may have page
 * requests outstanding, and some more for answers on their way; of these there are never more than
 * that, whoever sends them. So a device that keeps to its credits is never refused, whatever the
 * order in which its answers come and slots become free. (A handler that keeps groups to itself
 * lets go of them as soon as they are answered.) A slot holds a group or a partial. If none is
 * free, the oldest partial goes: partials are the only requests that a device can send without
 * end. A group that has lost a page is served without it; the device asks again. If there is no
 * partial either, the device has exceeded its allowance and is answered Invalid Request.
 *
 * Locks:
 *
 *	iopf_device.reset_lock		one quiesce or resume at a time
 *	iopf_queue.lock			devices of a queue
 *	  dev_iommu.lock		dev_iommu.fault_param
 *	    iommu_fault_param.lock	one reporter at a time: look-up to hand-over is one step
 *	      iopf_device.lock		slots, lists and states of one device
 *	        iopf_service.lock
 *
 *	crews_lock			which service is on which workqueue; talks to no hardware
 *
 * ops->page_response() and sva_ops->page_responses() are called without spinlocks.
 */
#define pr_fmt(fmt) "iopf: " fmt

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/hash.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pci.h>
#include <linux/ratelimit.h>
#include <linux/sched/stat.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define CREATE_TRACE_POINTS
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iopf.h"

#define IOPF_HASH_BITS		6
/* For a device that does not say how many requests it may have outstanding. */
#define IOPF_DEFAULT_CREDITS	256
#define IOPF_MAX_CREDITS	2048
#define IOPF_ALL_IDLE		GENMASK(IOPF_LANES - 1, 0)
/*
 * Slots beyond the credits: for answers that are being sent. A device may use a credit again as
 * soon as it has the answer, and that is before the slot is back.
 */
#define IOPF_SPARE_SLOTS	IOPF_BATCH

enum iopf_state {
	IOPF_PENDING,
	IOPF_RESPONDING,
	IOPF_ANSWERED,
};

/**
 * struct iopf_crew - a workqueue for the lanes of some services
 * @node: in crews
 * @wq: the workqueue
 * @services: how many services have it; taken under crews_lock, let go of without
 * @starting: lanes that do not run yet, of services that had nothing to do
 */
struct iopf_crew {
	struct list_head node;
	struct workqueue_struct *wq;
	atomic_t services;
	atomic_t starting;
};

static LIST_HEAD(crews);
static unsigned int nr_queues;		/* fault queues, without which no crew is needed */
static DEFINE_MUTEX(crews_lock);	/* of crews, nr_queues */

/**
 * enum iopf_flow - what becomes of requests that are reported
 * @IOPF_RUNNING: they are taken
 * @IOPF_STOPPING: a reset is near: they are answered Invalid Request
 * @IOPF_IN_RESET: the device has forgotten them, or is about to: they are dropped
 */
enum iopf_flow {
	IOPF_RUNNING,
	IOPF_STOPPING,
	IOPF_IN_RESET,
};

/* Lines about a device in the kernel's log. Each kind has a limit of its own, for each device. */
enum iopf_line {
	IOPF_LINE_STRAY,
	IOPF_LINE_UNFIT,
	IOPF_LINE_NO_PASID,
	IOPF_LINE_NO_HANDLER,
	IOPF_LINE_OVERRUN,
	IOPF_LINE_TIMEOUT,
	IOPF_NR_LINES,
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
 * @node: in &iopf_device.free, &iopf_device.partials, or among the answers that somebody sends
 * @hash: of a partial, by (PASID, PRG index); of a group in &iopf_service.pages
 * @same: groups that ask for the same page, through &iopf_group.node. With @hash guarded by the
 *	service's lock.
 * @seq: of a group: its number, for waiting until all older ones are answered
 * @since: of a group: when it was complete, in jiffies
 * @resets: of a group: &iopf_device.resets then
 * @state: of a group
 * @code: of a group that is not PENDING, or that a lane is done with: its answer
 * @why: and how it is counted
 * @svc: the service that serves the group, with a reference; NULL for other handlers
 * @lane: the lane that works on the group; guarded by the service's lock
 * @waits: in &iopf_service.waiting; same guard
 * @orphan: the group's handler has let go of it, the responder frees it
 * @suspect: of a partial: its last page may have been lost in an overflow
 */
struct iopf_slot {
	struct iopf_group group;
	struct list_head node;
	struct hlist_node hash;
	struct list_head same;
	u64 seq;
	unsigned long since;
	unsigned int resets;
	enum iopf_state state;
	enum iommu_page_response_code code;
	enum iopf_count why;
	struct iopf_service *svc;
	struct iopf_lane *lane;
	bool waits;
	bool orphan;
	bool suspect;
};

/**
 * struct iopf_device - a device on a fault queue
 * @fp: the part that the rest of the kernel knows; fp.faults holds the PENDING groups
 * @lock: guards all below, fp.faults, and every field of the slots
 * @wait: woken when a group has been answered
 * @answering: the RESPONDING groups, through &iopf_group.pending_node
 * @on_wire: answers that are being sent; at most IOPF_SPARE_SLOTS
 * @free: unused slots
 * @partials: slots that hold a partial, oldest first
 * @buckets: the same, by (PASID, PRG index)
 * @seq: number of the latest group
 * @reset_lock: one quiesce or resume at a time
 * @in_resets: who has quiesced the device and not resumed it; guarded by @reset_lock
 * @gone: removed from its queue: no more responses
 * @resets: how many resets there have been
 * @credits: what iopf_grant_credits() has given it; guarded by the queue's lock
 * @limit: how long a group may be pending, in jiffies; 0: for ever
 * @unfit_until: the device may not be bound until then (get_jiffies_64())
 * @flow: guarded by fp.lock instead
 * @is_lone: what is reported is all that the hardware queue holds; same guard
 * @lone: the lane that the reporter is to be; same guard
 * @watch: answers groups that have been pending for too long
 * @lines: rate limits, by enum iopf_line
 * @counts: by enum iopf_count; not guarded
 * @slots: all of them
 */
struct iopf_device {
	struct iommu_fault_param fp;
	spinlock_t lock;	/* of all below */
	wait_queue_head_t wait;
	struct list_head answering;
	unsigned int on_wire;
	struct list_head free;
	struct list_head partials;
	struct hlist_head buckets[1 << IOPF_HASH_BITS];
	u64 seq;
	struct mutex reset_lock;	/* of in_resets */
	unsigned int in_resets;
	bool gone;
	unsigned int resets;
	u32 credits;
	unsigned long limit;
	u64 unfit_until;
	enum iopf_flow flow;
	bool is_lone;
	struct iopf_lane *lone;
	struct delayed_work watch;
	struct ratelimit_state lines[IOPF_NR_LINES];
	atomic64_t counts[IOPF_NR_COUNTS];
	struct iopf_slot slots[];
};

static struct iopf_slot *group_slot(struct iopf_group *group)
{
	return container_of(group, struct iopf_slot, group);
}

static struct iopf_slot *fault_slot(struct iopf_fault *iopf)
{
	return container_of(iopf, struct iopf_slot, group.last_fault);
}

static struct iopf_device *group_device(struct iopf_group *group)
{
	return container_of(group->fault_param, struct iopf_device, fp);
}

static void iopf_count(struct iopf_device *idev, enum iopf_count what)
{
	atomic64_inc(&idev->counts[what]);
}

/* References to a device's slots: one of the queue, one per group. */

static struct iopf_device *iopf_device_get(struct device *dev)
{
	struct iommu_fault_param *fp;

	if (!dev->iommu)
		return NULL;
	guard(rcu)();
	fp = rcu_dereference(dev->iommu->fault_param);
	if (!fp || !refcount_inc_not_zero(&fp->users))
		return NULL;
	return container_of(fp, struct iopf_device, fp);
}

static void iopf_device_put(struct iopf_device *idev)
{
	if (idev && refcount_dec_and_test(&idev->fp.users))
		kvfree_rcu(idev, fp.rcu);
}

DEFINE_FREE(iopf_device_put, struct iopf_device *, iopf_device_put(_T))

/* Slots */

static struct hlist_head *iopf_bucket(struct iopf_device *idev,
				      const struct iommu_fault_page_request *prm)
{
	return &idev->buckets[hash_32(prm->pasid ^ (prm->grpid << 20), IOPF_HASH_BITS)];
}

static void iopf_drop_partial(struct iopf_device *idev, struct iopf_slot *slot)
{
	lockdep_assert_held(&idev->lock);
	hlist_del_init(&slot->hash);
	list_move(&slot->node, &idev->free);
}

static struct iopf_slot *iopf_get_slot(struct iopf_device *idev)
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
	slot->lane = NULL;
	slot->orphan = false;
	slot->suspect = false;
	INIT_LIST_HEAD(&slot->same);
	return slot;
}

/* Returns the slots of a group's pages but for the last, with which it is answered. */
static void iopf_put_other_pages(struct iopf_device *idev, struct iopf_slot *slot)
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

/* Returns all slots of an answered group; the caller gives up its references afterwards. */
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

static void iopf_set_answer(struct iopf_slot *slot, enum iommu_page_response_code code,
			    enum iopf_count why)
{
	slot->code = code;
	slot->why = why;
}

/* Crews */

/*
 * How many services a workqueue has room for. Of what it may work on at a time each node has its
 * share, by its CPUs, and at least WQ_DFL_MIN_ACTIVE.
 */
static unsigned int iopf_crew_size(void)
{
	unsigned int cpus = num_online_cpus(), least = cpus, share;
	int node;

	for_each_node_state(node, N_CPU) {
		share = cpumask_weight_and(cpumask_of_node(node), cpu_online_mask);
		if (share)
			least = min(least, share);
	}
	return max(WQ_MAX_ACTIVE * least / cpus, WQ_DFL_MIN_ACTIVE) / IOPF_LANES;
}

static struct iopf_crew *iopf_find_crew(void)
{
	unsigned int size = iopf_crew_size();
	struct iopf_crew *crew;

	lockdep_assert_held(&crews_lock);

	list_for_each_entry(crew, &crews, node)
		if (atomic_read(&crew->services) < size)
			return crew;

	crew = kzalloc(sizeof(*crew), GFP_KERNEL);
	if (!crew)
		return NULL;
	crew->wq = alloc_workqueue("iopf_lanes", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!crew->wq) {
		kfree(crew);
		return NULL;
	}
	list_add_tail(&crew->node, &crews);
	return crew;
}

/* While there are fault queues, workqueues wait for the next process. */
static void iopf_free_crews(struct work_struct *work)
{
	struct iopf_crew *crew, *next;

	guard(mutex)(&crews_lock);
	list_for_each_entry_safe(crew, next, &crews, node) {
		if (nr_queues || atomic_read(&crew->services))
			continue;
		list_del(&crew->node);
		/* A lane may be about to return. */
		destroy_workqueue(crew->wq);
		kfree(crew);
	}
}

static DECLARE_WORK(iopf_free_crews_work, iopf_free_crews);

static void iopf_count_queues(int nr)
{
	scoped_guard(mutex, &crews_lock)
		nr_queues += nr;
	if (nr < 0)
		iopf_free_crews(NULL);
}

/**
 * iopf_service_hire - Find workers for a service
 * @svc: the service; nothing happens if it has some. It keeps them until iopf_service_destroy().
 *
 * Context: process, may sleep; the caller keeps other callers for the same service out.
 * Return: 0, or -ENOMEM.
 */
int iopf_service_hire(struct iopf_service *svc)
{
	if (svc->crew)
		return 0;
	guard(mutex)(&crews_lock);
	svc->crew = iopf_find_crew();
	if (!svc->crew)
		return -ENOMEM;
	atomic_inc(&svc->crew->services);
	return 0;
}

/**
 * iopf_service_destroy - Undo iopf_service_init() and iopf_service_hire()
 * @svc: the service, which has no users any more
 *
 * Context: any that may take a spinlock.
 */
void iopf_service_destroy(struct iopf_service *svc)
{
	if (svc->crew && atomic_dec_and_test(&svc->crew->services))
		queue_work(system_wq, &iopf_free_crews_work);
}

/* Services */

static bool iopf_asks_same(const struct iopf_group *a, const struct iopf_group *b)
{
	const struct iommu_fault_page_request *x = &a->last_fault.fault.prm;
	const struct iommu_fault_page_request *y = &b->last_fault.fault.prm;

	return !((x->addr ^ y->addr) & PAGE_MASK) && x->perm == y->perm;
}

static struct hlist_head *iopf_page_bucket(struct iopf_service *svc, const struct iopf_group *group)
{
	u64 page = group->last_fault.fault.prm.addr >> PAGE_SHIFT;

	return &svc->pages[hash_64(page, IOPF_PAGE_HASH_BITS)];
}

static void iopf_service_line_up(struct iopf_service *svc, struct iopf_group *group,
				 struct list_head *before)
{
	lockdep_assert_held(&svc->lock);
	list_add_tail(&group->node, before);
	group_slot(group)->waits = true;
	svc->nr_waiting++;
}

static void iopf_service_step_out(struct iopf_service *svc, struct iopf_group *group)
{
	struct iopf_slot *slot = group_slot(group);

	lockdep_assert_held(&svc->lock);
	list_del_init(&group->node);
	svc->nr_waiting -= slot->waits;
	slot->waits = false;
}

/* Has the group wait for what another one asks for. False if there is none: it is the first. */
static bool iopf_service_merge(struct iopf_service *svc, struct iopf_group *group)
{
	struct hlist_head *bucket = iopf_page_bucket(svc, group);
	struct iopf_slot *first;

	lockdep_assert_held(&svc->lock);

	if (group->fault_count > 1)
		return false;
	hlist_for_each_entry(first, bucket, hash) {
		if (iopf_asks_same(&first->group, group)) {
			list_add_tail(&group->node, &first->same);
			return true;
		}
	}
	hlist_add_head(&group_slot(group)->hash, bucket);
	return false;
}

static struct iopf_lane *iopf_service_claim_lane(struct iopf_service *svc, unsigned long nr)
{
	struct iopf_lane *lane = &svc->lanes[nr];

	lockdep_assert_held(&svc->lock);
	__clear_bit(nr, &svc->idle);
	svc->nr_running++;
	refcount_inc(&svc->users);
	return lane;
}

static noinline void iopf_service_start_lane(struct iopf_service *svc)
{
	unsigned long nr = find_first_bit(&svc->idle, IOPF_LANES);
	bool was_idle = svc->idle == IOPF_ALL_IDLE;
	struct iopf_lane *lane;

	if (nr >= IOPF_LANES || !svc->nr_waiting)
		return;
	lane = iopf_service_claim_lane(svc, nr);
	lane->starting = was_idle;
	if (was_idle)
		atomic_inc(&svc->crew->starting);
	queue_work(svc->crew->wq, &lane->work);
}

/*
 * Starts a lane if none gets on, or if those that do have much to do. One CPU is left to others: a
 * process that floods the queue shall not slow them down.
 */
static void iopf_service_kick(struct iopf_service *svc)
{
	unsigned int running = svc->nr_running;

	lockdep_assert_held(&svc->lock);

	if (!running || (svc->nr_waiting > running * IOPF_BATCH &&
			 running + 1 < num_online_cpus()))
		iopf_service_start_lane(svc);
}

/* Groups that hung on one that is not waited for any more line up themselves, behind the next. */
static void iopf_service_promote(struct iopf_service *svc, struct iopf_slot *first)
{
	struct iopf_group *group;
	struct iopf_slot *slot;

	lockdep_assert_held(&svc->lock);

	hlist_del_init(&first->hash);
	group = list_first_entry_or_null(&first->same, struct iopf_group, node);
	if (!group)
		return;
	slot = group_slot(group);
	list_del(&group->node);
	iopf_service_line_up(svc, group, svc->waiting.next);
	list_splice_init(&first->same, &slot->same);
	hlist_add_head(&slot->hash, iopf_page_bucket(svc, group));
	iopf_service_kick(svc);
}

/* The group is on no list. */
static void iopf_lane_keep(struct iopf_lane *lane, struct iopf_group *group)
{
	iopf_set_answer(group_slot(group), lane->code, lane->why);
	list_add_tail(&group->node, &lane->done);
}

/* The group in work, unless it has been taken away, is done; and so are those that ask the same. */
static void iopf_lane_finish(struct iopf_lane *lane)
{
	struct iopf_service *svc = lane->svc;
	struct iopf_group *group = lane->group, *same, *next;
	struct list_head *first;
	struct iopf_slot *slot;

	lockdep_assert_held(&svc->lock);

	if (lane->away)
		svc->nr_running++;
	lane->away = false;
	if (!group)
		return;
	slot = group_slot(group);
	slot->lane = NULL;
	WRITE_ONCE(lane->group, NULL);

	hlist_del_init(&slot->hash);
	if (list_empty(&lane->done))
		lane->since = jiffies;
	iopf_lane_keep(lane, group);
	first = svc->waiting.next;
	list_for_each_entry_safe(same, next, &slot->same, node) {
		list_del(&same->node);
		/* Of a failure each bond is told apart. */
		if (lane->code == IOMMU_PAGE_RESP_SUCCESS)
			iopf_lane_keep(lane, same);
		else
			iopf_service_line_up(svc, same, first);
	}
}

static void iopf_lane_copy(struct iopf_lane *lane)
{
	lockdep_assert_held(&lane->svc->lock);
	lane->prm = lane->pos->fault.prm;
	lane->suspect = fault_slot(lane->pos)->suspect;
	lane->has_next = !list_is_last(&lane->pos->list, &lane->group->faults);
	lane->is_new = true;
}

/* Does a process that had nothing to do wait for a CPU? */
static bool iopf_lane_gives_way(const struct iopf_lane *lane)
{
	return atomic_read(&lane->svc->crew->starting);
}

static bool iopf_lane_start(struct iopf_lane *lane)
{
	struct iopf_service *svc = lane->svc;
	struct iopf_group *group;

	lockdep_assert_held(&svc->lock);

	group = list_first_entry_or_null(&svc->waiting, struct iopf_group, node);
	if (!group || lane->taken == IOPF_BATCH ||
	    (lane->taken && (lane->is_reporter || iopf_lane_gives_way(lane))))
		return false;
	lane->taken++;
	iopf_service_step_out(svc, group);
	group_slot(group)->lane = lane;
	lane->group = group;
	lane->pos = list_first_entry(&group->faults, struct iopf_fault, list);
	lane->why = IOPF_SERVED;
	iopf_lane_copy(lane);
	return true;
}

static void iopf_lane_answer(struct iopf_lane *lane);

/**
 * iopf_lane_next_group - The next group of the batch that a lane works on
 * @lane: the lane, as passed to &iopf_service_ops.serve
 *
 * The group before gets the answer in &iopf_lane.code: when &iopf_service_ops.serve returns, or
 * sooner if the batch takes long.
 *
 * Context: process, inside &iopf_service_ops.serve, no locks held but what &iopf_service_ops.rest
 * lets go of.
 * Return: true if there is one, whose requests iopf_lane_next() returns; false when the batch is
 * over.
 */
bool iopf_lane_next_group(struct iopf_lane *lane)
{
	struct iopf_device *late;
	bool started, due;

	scoped_guard(spinlock, &lane->svc->lock) {
		late = lane->late;
		lane->late = NULL;
		iopf_lane_finish(lane);
		started = iopf_lane_start(lane);
		due = started && !list_empty(&lane->done) && time_before(lane->since, jiffies);
	}
	if (late) {
		iopf_count(late, IOPF_LATE);
		iopf_device_put(late);
	}
	if (due)
		iopf_lane_answer(lane);
	return started;
}

/* The group in work waits again, in front of all others. */
static void iopf_lane_put_back(struct iopf_lane *lane)
{
	struct iopf_service *svc = lane->svc;
	struct iopf_group *group;

	guard(spinlock)(&svc->lock);
	group = lane->group;
	if (!group)
		return;
	group_slot(group)->lane = NULL;
	WRITE_ONCE(lane->group, NULL);
	iopf_service_line_up(svc, group, svc->waiting.next);
}

/**
 * iopf_lane_may_wait - A lane is about to do something that may take long
 * @lane: the lane, as passed to &iopf_service_ops.serve
 *
 * So that nobody has to wait for it, what the lane has done is answered now, and another lane goes
 * on with what there is to do. If the lane is the thread that reads the hardware queue, its group
 * goes to a worker.
 *
 * Context: process, inside &iopf_service_ops.serve, no locks held but what &iopf_service_ops.rest
 * lets go of.
 * Return: true if the lane may go on; false if the group is not its any more.
 */
bool iopf_lane_may_wait(struct iopf_lane *lane)
{
	struct iopf_service *svc = lane->svc;

	if (lane->is_reporter) {
		iopf_lane_put_back(lane);
		return false;
	}
	if (lane->away)
		return true;
	lane->away = true;
	scoped_guard(spinlock, &svc->lock) {
		svc->nr_running--;
		iopf_service_kick(svc);
	}
	iopf_lane_answer(lane);
	return true;
}

/* False if nothing is left to do, or if it is not for this thread, or not before others' turn. */
static bool iopf_lane_goes_on(struct iopf_lane *lane)
{
	struct iopf_service *svc = lane->svc;
	bool was_reporter;

	guard(spinlock)(&svc->lock);
	lane->taken = 0;
	was_reporter = lane->is_reporter;
	lane->is_reporter = false;
	if (list_empty(&svc->waiting)) {
		__set_bit(lane - svc->lanes, &svc->idle);
		svc->nr_running--;
		return false;
	}
	if (!was_reporter && !iopf_lane_gives_way(lane))
		return true;
	refcount_inc(&svc->users);
	queue_work(svc->crew->wq, &lane->work);
	return false;
}

static void iopf_lane_work(struct work_struct *work)
{
	struct iopf_lane *lane = container_of(work, struct iopf_lane, work);
	struct iopf_service *svc = lane->svc;

	if (lane->starting) {
		lane->starting = false;
		atomic_dec(&svc->crew->starting);
	}
	do {
		svc->ops->serve(lane);
		/* Without what it held: an answer that takes long must not delay an exit. */
		iopf_lane_answer(lane);
		cond_resched();
	} while (iopf_lane_goes_on(lane));
	/* The lane may be at work again, on another CPU. */
	iopf_service_put(svc);
}

/**
 * iopf_serve_lone() - Serve what iopf_report_lone() has left to the caller
 * @lane: what that returned; NULL: nothing
 *
 * To be called at once, when the entry of the hardware queue has been given back.
 *
 * Context: process, no locks held. May sleep for a short time, as for a page request whose page is
 * at hand.
 */
void iopf_serve_lone(struct iopf_lane *lane)
{
	struct iopf_service *svc;

	if (!lane)
		return;
	svc = lane->svc;
	svc->ops->serve(lane);
	iopf_lane_answer(lane);
	iopf_lane_goes_on(lane);
	iopf_service_put(svc);
}
EXPORT_SYMBOL_GPL(iopf_serve_lone);

/**
 * iopf_lane_next - The next request of the group that a lane works on
 * @lane: the lane, as passed to &iopf_service_ops.serve
 *
 * Context: process, inside &iopf_service_ops.serve.
 * Return: the request, valid until the next call; NULL after the last one, or if the group's
 * answer is no longer wanted.
 */
const struct iommu_fault_page_request *iopf_lane_next(struct iopf_lane *lane)
{
	if (!lane->is_new) {
		if (!lane->has_next)
			return NULL;
		guard(spinlock)(&lane->svc->lock);
		if (!lane->group)
			return NULL;
		lane->pos = list_next_entry(lane->pos, list);
		iopf_lane_copy(lane);
	}
	lane->is_new = false;
	return iopf_lane_is_wanted(lane) ? &lane->prm : NULL;
}

/**
 * iopf_lane_is_wanted - Does anybody still wait for what a lane does?
 * @lane: the lane, as passed to &iopf_service_ops.serve
 *
 * A service that is about to do something long asks first: a drain or the removal of the device
 * may have answered in its place.
 *
 * Context: process, inside &iopf_service_ops.serve.
 * Return: false if the group has been answered.
 */
bool iopf_lane_is_wanted(struct iopf_lane *lane)
{
	return READ_ONCE(lane->group);
}

/**
 * iopf_lane_handle - The attachment that a lane works for
 * @lane: the lane, as passed to &iopf_service_ops.serve
 *
 * Whoever ends an attachment drains it first and waits for RCU before it frees the handle.
 *
 * Context: inside &iopf_service_ops.serve and an RCU read-side section, with which the handle goes.
 * Return: the handle, or NULL if the group has been answered.
 */
struct iommu_attach_handle *iopf_lane_handle(struct iopf_lane *lane)
{
	guard(spinlock)(&lane->svc->lock);
	return lane->group ? lane->group->attach_handle : NULL;
}

/**
 * iopf_lane_count - Count for the device that a lane works for
 * @lane: the lane, as passed to &iopf_service_ops.serve
 * @what: what is counted
 * @nr: how much of that
 *
 * Context: inside &iopf_service_ops.serve.
 */
void iopf_lane_count(struct iopf_lane *lane, enum iopf_count what, u64 nr)
{
	struct iopf_device *idev;

	guard(spinlock)(&lane->svc->lock);
	idev = lane->group ? group_device(lane->group) : lane->late;
	if (idev)
		atomic64_add(nr, &idev->counts[what]);
}

/**
 * iopf_service_init - Prepare a service
 * @svc: the service, in memory that &iopf_service_ops.free gives back
 * @ops: what it does
 *
 * It has no users yet.
 */
void iopf_service_init(struct iopf_service *svc, const struct iopf_service_ops *ops)
{
	refcount_set(&svc->users, 0);
	spin_lock_init(&svc->lock);
	INIT_LIST_HEAD(&svc->waiting);
	svc->idle = IOPF_ALL_IDLE;
	svc->ops = ops;
	for (int i = 0; i < IOPF_LANES; i++) {
		INIT_WORK(&svc->lanes[i].work, iopf_lane_work);
		INIT_LIST_HEAD(&svc->lanes[i].done);
		svc->lanes[i].svc = svc;
	}
}

/**
 * iopf_service_use - Become a user of a service, which may have none
 * @svc: the service
 *
 * Context: any; the caller keeps other callers for the same service out.
 * Return: true if there was no user before.
 */
bool iopf_service_use(struct iopf_service *svc)
{
	if (refcount_inc_not_zero(&svc->users))
		return false;
	refcount_set(&svc->users, 1);
	return true;
}

/**
 * iopf_service_put - Cease to be a user of a service
 * @svc: the service; its &iopf_service_ops.free is called when the last user is gone
 *
 * Context: any that may take a spinlock.
 */
void iopf_service_put(struct iopf_service *svc)
{
	if (refcount_dec_and_test(&svc->users))
		svc->ops->free(svc);
}

/*
 * Is the thread that reports the group to serve it, too? Not if a process waits for this CPU: the
 * thread may be one that others have to wait for, as threads of interrupts are.
 */
static bool iopf_is_for_reporter(struct iopf_device *idev, struct iopf_service *svc,
				 const struct iopf_group *group)
{
	lockdep_assert_held(&svc->lock);
	return idev->is_lone && group->fault_count == 1 && svc->idle == IOPF_ALL_IDLE &&
	       single_task_running();
}

static void iopf_service_hand_out(struct iopf_device *idev, struct iopf_service *svc,
				  const struct iopf_group *group)
{
	if (!iopf_is_for_reporter(idev, svc, group)) {
		iopf_service_kick(svc);
		return;
	}
	idev->lone = iopf_service_claim_lane(svc, 0);
	idev->lone->is_reporter = true;
}

/**
 * iopf_service_add - Have a group served
 * @svc: the service
 * @group: a group that the caller, its domain's &iommu_domain.iopf_handler, owns
 *
 * The service answers and frees the group.
 *
 * Context: process; the caller is inside iommu_report_device_fault().
 */
void iopf_service_add(struct iopf_service *svc, struct iopf_group *group)
{
	struct iopf_device *idev = group_device(group);
	struct iopf_slot *slot = group_slot(group);

	scoped_guard(spinlock, &idev->lock) {
		/* The time limit may have come first. */
		if (slot->state == IOPF_PENDING) {
			refcount_inc(&svc->users);
			slot->svc = svc;

			guard(spinlock)(&svc->lock);
			if (!iopf_service_merge(svc, group)) {
				iopf_service_line_up(svc, group, &svc->waiting);
				iopf_service_hand_out(idev, svc, group);
			}
			return;
		}
	}
	iopf_free_group(group);
}

/* Takes a group away from its service. True if nobody but the caller has it now. */
static bool iopf_take_back(struct iopf_device *idev, struct iopf_slot *slot)
{
	struct iopf_service *svc = slot->svc;

	lockdep_assert_held(&idev->lock);

	if (!svc)
		return false;
	guard(spinlock)(&svc->lock);
	if (slot->lane) {
		WRITE_ONCE(slot->lane->group, NULL);
		refcount_inc(&idev->fp.users);
		slot->lane->late = idev;
		slot->lane = NULL;
	} else {
		iopf_service_step_out(svc, &slot->group);
	}
	iopf_service_promote(svc, slot);
	return true;
}

/* Answering */

/*
 * Whoever claims a group puts it on a list of its own, by &iopf_slot.node, and sends the answer.
 * @orphan: the group's handler does not have it any more: it is freed after the answer
 */
static void iopf_claim(struct iopf_device *idev, struct iopf_slot *slot, bool orphan,
		       struct list_head *mine)
{
	lockdep_assert_held(&idev->lock);
	slot->state = IOPF_RESPONDING;
	slot->orphan = orphan;
	if (orphan)
		iopf_put_other_pages(idev, slot);
	list_move_tail(&slot->group.pending_node, &idev->answering);
	list_add_tail(&slot->node, mine);
}

static bool iopf_is_last(const struct iopf_fault *evt)
{
	return evt->fault.prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
}

/* For a last page that is not in a group, see iopf_respond(). Nobody waits for other pages. */
static void iopf_refuse_last(struct device *dev, struct iopf_fault *last, enum iopf_count why)
{
	struct iommu_page_response resp = {
		.pasid = last->fault.prm.pasid,
		.grpid = last->fault.prm.grpid,
		.code = IOMMU_PAGE_RESP_INVALID,
	};

	if (!iopf_is_last(last))
		return;
	trace_iopf_response(dev, &resp, why);
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

/* References that go with answered groups; those of their device all at once. */
struct iopf_refs {
	struct iopf_service *svc[IOPF_BATCH];
	unsigned int nr;
};

static void iopf_put_all(struct iopf_device *idev, const struct iopf_refs *refs)
{
	for (unsigned int i = 0; i < refs->nr; i++)
		if (refs->svc[i])
			iopf_service_put(refs->svc[i]);
	if (refs->nr && refcount_sub_and_test(refs->nr, &idev->fp.users))
		kvfree_rcu(idev, fp.rcu);
}

static void iopf_finish_slot(struct iopf_device *idev, struct iopf_slot *slot,
			     struct iopf_refs *refs)
{
	lockdep_assert_held(&idev->lock);
	list_del_init(&slot->node);
	list_del_init(&slot->group.pending_node);
	slot->state = IOPF_ANSWERED;
	if (slot->orphan)
		refs->svc[refs->nr++] = iopf_put_slots(idev, slot);
}

/*
 * Sends the answers to the first @todo of the claimed groups in @mine, which count as on the wire.
 */
static void iopf_respond_batch(struct iopf_device *idev, struct list_head *mine, unsigned int todo)
{
	/* What is not used is not cleared: most batches are short. */
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
		trace_iopf_response(idev->fp.dev, &batch[nr].resp, slot->why);
		if (++nr == todo)
			break;
	}
	iopf_send(idev->fp.dev, batch, nr);

	refs.nr = 0;
	scoped_guard(spinlock, &idev->lock) {
		WRITE_ONCE(idev->on_wire, idev->on_wire - nr);
		while (nr--)
			iopf_finish_slot(idev, list_first_entry(mine, struct iopf_slot, node),
					 &refs);
	}
	if (wq_has_sleeper(&idev->wait))
		wake_up_all(&idev->wait);
	iopf_put_all(idev, &refs);
}

/* How many answers of @mine may be sent now? They count as on the wire from here on. */
static unsigned int iopf_get_wire(struct iopf_device *idev, const struct list_head *mine)
{
	struct iopf_slot *slot;
	unsigned int nr = 0;

	guard(spinlock)(&idev->lock);
	list_for_each_entry(slot, mine, node) {
		if (nr == IOPF_BATCH || idev->on_wire == IOPF_SPARE_SLOTS)
			break;
		WRITE_ONCE(idev->on_wire, idev->on_wire + 1);
		nr++;
	}
	return nr;
}

/* Others are sending as much as there is room for: that takes as long as it takes hardware. */
static void iopf_wait_for_wire(struct iopf_device *idev)
{
	wait_event(idev->wait, READ_ONCE(idev->on_wire) < IOPF_SPARE_SLOTS);
}

/* The caller keeps @idev: the groups' references go. */
static void iopf_respond(struct iopf_device *idev, struct list_head *mine)
{
	while (!list_empty(mine)) {
		unsigned int nr = iopf_get_wire(idev, mine);

		if (nr)
			iopf_respond_batch(idev, mine, nr);
		else
			iopf_wait_for_wire(idev);
	}
}

/* After a reset, or its removal, a device must not hear of what it asked before. */
static bool iopf_is_forgotten(struct iopf_device *idev, const struct iopf_slot *slot)
{
	lockdep_assert_held(&idev->lock);
	return idev->gone || slot->resets != idev->resets;
}

static void iopf_answer(struct iopf_group *group, enum iommu_page_response_code code,
			enum iopf_count why)
{
	struct iopf_device *idev = group_device(group);
	struct iopf_slot *slot = group_slot(group);
	LIST_HEAD(mine);

	scoped_guard(spinlock, &idev->lock) {
		if (slot->state != IOPF_PENDING)
			return;
		if (iopf_is_forgotten(idev, slot)) {
			iopf_count(idev, IOPF_FORGOTTEN);
			slot->state = IOPF_ANSWERED;
			list_del_init(&group->pending_node);
			return;
		}
		iopf_set_answer(slot, code, why);
		iopf_claim(idev, slot, false, &mine);
	}
	iopf_respond(idev, &mine);
}

static struct iopf_device *iopf_lane_done_device(struct iopf_lane *lane)
{
	struct iopf_device *idev;

	guard(spinlock)(&lane->svc->lock);
	if (list_empty(&lane->done))
		return NULL;
	idev = group_device(list_first_entry(&lane->done, struct iopf_group, node));
	refcount_inc(&idev->fp.users);
	return idev;
}

/*
 * Claims what a lane has done for a device, as much as may be sent now. Returns how many answers
 * that is, which count as on the wire.
 */
static unsigned int iopf_lane_claim(struct iopf_lane *lane, struct iopf_device *idev,
				    struct list_head *mine)
{
	struct iopf_group *group, *next;
	struct iopf_refs refs __uninitialized;
	unsigned int nr = 0;

	refs.nr = 0;
	scoped_guard(spinlock, &idev->lock) {
		unsigned int room = min(IOPF_BATCH, IOPF_SPARE_SLOTS - idev->on_wire);

		guard(spinlock)(&lane->svc->lock);
		list_for_each_entry_safe(group, next, &lane->done, node) {
			struct iopf_slot *slot = group_slot(group);

			if (group_device(group) != idev)
				continue;
			if (!room--)
				break;
			list_del_init(&group->node);
			iopf_claim(idev, slot, true, mine);
			nr++;
			if (iopf_is_forgotten(idev, slot)) {
				iopf_count(idev, IOPF_FORGOTTEN);
				iopf_finish_slot(idev, slot, &refs);
				nr--;
			}
		}
		WRITE_ONCE(idev->on_wire, idev->on_wire + nr);
	}
	iopf_put_all(idev, &refs);
	return nr;
}

/* Answers what a lane has done. */
static void iopf_lane_answer(struct iopf_lane *lane)
{
	struct iopf_device *idev;
	unsigned int nr;
	LIST_HEAD(mine);

	lane->svc->ops->rest(lane);
	while ((idev = iopf_lane_done_device(lane))) {
		nr = iopf_lane_claim(lane, idev, &mine);
		if (nr)
			iopf_respond_batch(idev, &mine, nr);
		else
			iopf_wait_for_wire(idev);
		iopf_device_put(idev);
	}
}

/**
 * iopf_group_response - Answer a group
 * @group: a group that the caller, its handler, owns
 * @status: the answer, in the codes of the PRG Response message (PCIe 6.0, section 10.4.2.2)
 *
 * Does nothing if the group has been answered already, by a drain or the time limit, or if the
 * device has left the queue or been reset. The caller still owns the group afterwards.
 *
 * Context: process, may sleep if the vendor's page_response() does.
 */
void iopf_group_response(struct iopf_group *group, enum iommu_page_response_code status)
{
	iopf_answer(group, status, status == IOMMU_PAGE_RESP_SUCCESS ? IOPF_SERVED : IOPF_FAILED);
}
EXPORT_SYMBOL_GPL(iopf_group_response);

/**
 * iopf_group_dequeue - Keep a group from being answered by anybody but its handler
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
			return;
		}
		list_del_init(&group->pending_node);
		svc = iopf_put_slots(idev, slot);
	}
	iopf_put_refs(idev, svc);
}
EXPORT_SYMBOL_GPL(iopf_free_group);

/**
 * struct iopf_whose - what a drain is about
 * @pasid: requests with that PASID; IOMMU_PASID_INVALID: with any, or with none
 * @handle: and, of groups, those that the attachment was found for; NULL: all
 */
struct iopf_whose {
	ioasid_t pasid;
	const struct iommu_attach_handle *handle;
};

static bool iopf_of_pasid(const struct iopf_fault *iopf, const struct iopf_whose *whose)
{
	return whose->pasid == IOMMU_PASID_INVALID || iopf->fault.prm.pasid == whose->pasid;
}

static bool iopf_is_in(const struct iopf_group *group, const struct iopf_whose *whose)
{
	return iopf_of_pasid(&group->last_fault, whose) &&
	       (!whose->handle || group->attach_handle == whose->handle);
}

static bool iopf_is_answering(struct iopf_device *idev, const struct iopf_whose *whose)
{
	struct iopf_group *group;

	guard(spinlock)(&idev->lock);
	list_for_each_entry(group, &idev->answering, pending_node)
		if (iopf_is_in(group, whose))
			return true;
	return false;
}

/* Claims a group in the place of its handler. */
static void iopf_seize(struct iopf_device *idev, struct iopf_slot *slot, enum iopf_count why,
		       struct list_head *mine)
{
	iopf_set_answer(slot, IOMMU_PAGE_RESP_INVALID, why);
	iopf_claim(idev, slot, iopf_take_back(idev, slot), mine);
}

/* Answers Invalid Request to everything that is pending in @whose, and forgets the partials. */
static void iopf_abort_pending(struct iopf_device *idev, const struct iopf_whose *whose, bool gone)
{
	struct iopf_group *group, *next;
	struct iopf_slot *slot, *more;
	LIST_HEAD(mine);

	lockdep_assert_held(&idev->fp.lock);

	scoped_guard(spinlock, &idev->lock) {
		list_for_each_entry_safe(slot, more, &idev->partials, node)
			if (iopf_of_pasid(&slot->group.last_fault, whose))
				iopf_drop_partial(idev, slot);

		list_for_each_entry_safe(group, next, &idev->fp.faults, pending_node) {
			if (!iopf_is_in(group, whose))
				continue;
			iopf_seize(idev, group_slot(group), IOPF_DRAINED, &mine);
		}
		idev->gone |= gone;
	}
	iopf_respond(idev, &mine);
}

/* The same, and waits until answers that others are just sending have left. */
static void iopf_abort(struct iopf_device *idev, const struct iopf_whose *whose, bool gone)
{
	/* A reporter that found the attachment has put its group on the list when it is done. */
	scoped_guard(mutex, &idev->fp.lock)
		iopf_abort_pending(idev, whose, gone);
	wait_event(idev->wait, !iopf_is_answering(idev, whose));
}

static const struct iopf_whose iopf_all = { .pasid = IOMMU_PASID_INVALID };

/**
 * iopf_drain_pasid - Answer all that a device has asked with a PASID
 * @dev: the device
 * @pasid: a PASID that @dev has stopped to use
 *
 * Partials are forgotten, groups that nobody has answered yet are answered Invalid Request, and
 * answers on their way are waited for. Handlers are not: a fault that takes for ever delays
 * nobody. The vendor driver must have pushed the requests in its hardware queue through to
 * iommu_report_device_fault() first.
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
 * iopf_drain_attachment - Answer what has found an attachment that is none
 * @dev: the device
 * @pasid: the PASID
 * @handle: what iommu_attach_device_pasid() was called with, in vain: it was found until then
 *
 * As iopf_drain_pasid(). The requests of another attachment of the same PASID, which may be why
 * this one has failed, are not touched but for partials.
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
 * iopf_drain_through - Answer all that a device has asked, down to its hardware queue
 * @dev: the device, which has stopped to use the PASID
 * @pasid: a PASID, or IOMMU_PASID_INVALID for all
 *
 * Context: process, may sleep.
 */
void iopf_drain_through(struct device *dev, ioasid_t pasid)
{
	const struct iommu_sva_ops *ops = dev_iommu_ops(dev)->sva_ops;

	if (ops && ops->drain)
		ops->drain(dev, pasid);
	else
		iopf_drain_pasid(dev, pasid);
}

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
 * Waits for the groups that workers serve, of this device only and no later ones. A fault that
 * takes for ever is waited for; a driver that wants a PASID back uses iopf_drain_pasid().
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

/* Reset */

/*
 * Resets nest, or meet: a driver that resets its device by the PCI core's calls, and has called
 * iopf_quiesce_device() before, or two who do not know of each other. The first begins, the last
 * ends it; who comes in between has nothing to do but to wait until it has begun.
 */

static void iopf_set_flow(struct iopf_device *idev, enum iopf_flow flow)
{
	guard(mutex)(&idev->fp.lock);
	WRITE_ONCE(idev->flow, flow);
	if (flow != IOPF_IN_RESET)
		return;
	guard(spinlock)(&idev->lock);
	idev->resets++;
}

/**
 * iopf_quiesce_device - A device is about to be reset
 * @dev: the device; nothing happens if it is on no queue
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
 * The PCI core does 2 and 4 in pci_reset_function() and in the resets of a slot or bus. A driver
 * calls them itself around a reset that only it knows of. Calls nest: the last
 * iopf_resume_device() ends what the first iopf_quiesce_device() has begun.
 *
 * Context: process, may sleep; does not wait for faults that are being served.
 */
void iopf_quiesce_device(struct device *dev)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (!idev)
		return;

	guard(mutex)(&idev->reset_lock);
	if (idev->in_resets++)
		return;

	trace_iopf_reset(dev, true);
	iopf_set_flow(idev, IOPF_STOPPING);
	iopf_drain_through(dev, IOMMU_PASID_INVALID);
	iopf_set_flow(idev, IOPF_IN_RESET);
	/* A handler that keeps its groups may just be sending an answer. */
	wait_event(idev->wait, !iopf_is_answering(idev, &iopf_all));
	/* Whoever has not seen that yet may still be sending an ATC invalidation. */
	synchronize_rcu();
}
EXPORT_SYMBOL_GPL(iopf_quiesce_device);

/**
 * iopf_resume_device - A device has come out of its reset
 * @dev: a device for which iopf_quiesce_device() was called, with ATS, PASID and PRI enabled again
 *
 * Nothing happens while there are others who have called that, and not this.
 * What the device asked before the reset and is still in the hardware queue is dropped; its ATC is
 * told to forget everything, since it was not told of invalidations in between.
 *
 * Context: process, may sleep; as iopf_quiesce_device().
 */
void iopf_resume_device(struct device *dev)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	const struct iommu_sva_ops *ops;

	if (!idev)
		return;

	guard(mutex)(&idev->reset_lock);
	if (!idev->in_resets || --idev->in_resets)
		return;

	iopf_drain_through(dev, IOMMU_PASID_INVALID);
	iopf_set_flow(idev, IOPF_RUNNING);
	ops = dev_iommu_ops(dev)->sva_ops;
	if (ops && ops->flush_atc)
		ops->flush_atc(dev);
	trace_iopf_reset(dev, false);
}
EXPORT_SYMBOL_GPL(iopf_resume_device);

/**
 * iopf_device_in_reset - May an ATC invalidation be sent to a device?
 * @dev: a device behind an IOMMU
 *
 * For vendor drivers: a device in a reset does not answer, and an IOMMU that waits for it stops
 * everybody. The device forgets its translations by itself; iopf_resume_device() sees to that.
 *
 * Context: any. Asked and acted upon in one RCU read-side section.
 * Return: true between iopf_quiesce_device() and iopf_resume_device().
 */
bool iopf_device_in_reset(struct device *dev)
{
	struct iommu_fault_param *fp;

	guard(rcu)();
	fp = rcu_dereference(dev->iommu->fault_param);
	return fp && READ_ONCE(container_of(fp, struct iopf_device, fp)->flow) == IOPF_IN_RESET;
}
EXPORT_SYMBOL_GPL(iopf_device_in_reset);

/* The time limit */

static void iopf_tell_timeout(struct iopf_slot *slot)
{
	struct iopf_service *svc = slot->svc;

	if (!svc || !svc->ops->timed_out)
		return;
	/* Nobody ends the attachment while an answer to it is on its way. */
	guard(rcu)();
	svc->ops->timed_out(slot->group.attach_handle, &slot->group.last_fault.fault.prm);
}

static void iopf_watch(struct work_struct *work)
{
	struct iopf_device *idev = container_of(to_delayed_work(work), struct iopf_device, watch);
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
				mod_delayed_work(idev->fp.queue->wq, &idev->watch, end - now);
				break;
			}
			iopf_seize(idev, group_slot(group), IOPF_TIMED_OUT, &mine);
		}
	}

	list_for_each_entry(slot, &mine, node) {
		iopf_warn(idev, TIMEOUT,
			  "page request for %#llx with PASID %u exceeds its time limit\n",
			  slot->group.last_fault.fault.prm.addr,
			  slot->group.last_fault.fault.prm.pasid);
		iopf_tell_timeout(slot);
	}
	iopf_respond(idev, &mine);
}

/**
 * iopf_set_time_limit - Limit the time that a page request may take
 * @dev: a device on a fault queue
 * @ms: milliseconds from the last page of a group to its answer; 0: no limit, the default
 *
 * A fault may take for ever: a file server that has died, a userfaultfd without a monitor. When
 * the limit is over the group is answered Invalid Request, the listeners of the bond are told,
 * and the result that may still come is dropped. The limit holds for groups that are pending
 * already, too; not for those that a handler has taken with iopf_group_dequeue().
 *
 * Context: process.
 * Return: 0, or -ENODEV if @dev is on no queue.
 */
int iopf_set_time_limit(struct device *dev, unsigned int ms)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (!idev)
		return -ENODEV;

	guard(spinlock)(&idev->lock);
	if (idev->gone)
		return -ENODEV;
	idev->limit = ms ? msecs_to_jiffies(ms) ?: 1 : 0;
	/* It may wait for an older and longer limit. */
	if (idev->limit)
		mod_delayed_work(idev->fp.queue->wq, &idev->watch, 0);
	return 0;
}
EXPORT_SYMBOL_GPL(iopf_set_time_limit);

/* Strays */

static void iopf_note_stray(struct iopf_device *idev, ioasid_t pasid, u64 addr, const char *what)
{
	bool noted = pasid_note_stray(idev->fp.dev, pasid);

	iopf_count(idev, IOPF_STRAY);
	if (!noted) {
		guard(spinlock)(&idev->lock);
		idev->unfit_until = pasid_quarantine_ends();
	}
	iopf_warn(idev, STRAY, "%s for %#llx with PASID %u, which is not bound: %s\n", what, addr,
		  pasid, noted ? "it stays in quarantine while this goes on" :
		  "one of many, no more binds while this goes on");
}

/**
 * iopf_report_stray - Tell of DMA that the IOMMU has refused
 * @dev: the device; must not go away during the call
 * @pasid: PASID of the transaction
 * @addr: its address
 *
 * For vendor drivers. If nothing is attached to (@dev, @pasid), the driver of @dev has not stopped
 * its DMA before it unbound: that is logged, and the PASID stays in quarantine. A domain may be
 * attached without a handle: to the PASID that a driver has for the kernel's own DMA.
 *
 * Context: process, may sleep.
 */
void iopf_report_stray(struct device *dev, ioasid_t pasid, u64 addr)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (!idev)
		return;
	/* After its removal the device must not be remembered. */
	guard(mutex)(&idev->fp.lock);
	if (!idev->gone && !iommu_pasid_is_attached(dev->iommu_group, pasid))
		iopf_note_stray(idev, pasid, addr, "DMA");
}
EXPORT_SYMBOL_GPL(iopf_report_stray);

/**
 * iopf_device_is_fit - May a device be bound?
 * @dev: the device
 *
 * Context: process.
 * Return: false while it uses more PASIDs that are not bound than are remembered; that is logged.
 */
bool iopf_device_is_fit(struct device *dev)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (!idev)
		return true;
	scoped_guard(spinlock, &idev->lock)
		if (time_after_eq64(get_jiffies_64(), idev->unfit_until))
			return true;
	iopf_warn(idev, UNFIT, "uses too many PASIDs that are not bound\n");
	return false;
}

/**
 * iopf_read_counts - What has happened to the page requests of a device
 * @dev: the device
 * @counts: filled, by enum iopf_count; since the device was added to its queue
 *
 * Context: process.
 * Return: 0, or -ENODEV if @dev is on no queue.
 */
int iopf_read_counts(struct device *dev, u64 counts[IOPF_NR_COUNTS])
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (!idev)
		return -ENODEV;
	for (int i = 0; i < IOPF_NR_COUNTS; i++)
		counts[i] = atomic64_read(&idev->counts[i]);
	return 0;
}
EXPORT_SYMBOL_GPL(iopf_read_counts);

/**
 * iopf_device_count - Count for a device
 * @dev: the device; nothing happens if it is on no queue
 * @what: what is counted
 * @nr: how much of that
 *
 * Context: any.
 */
void iopf_device_count(struct device *dev, enum iopf_count what, u64 nr)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (idev)
		atomic64_add(nr, &idev->counts[what]);
}

/* Collecting */

/**
 * struct iopf_found - what the latest request was for: the next is probably for the same
 * @pasid: its PASID, or IOMMU_NO_PASID
 * @handle: attached to that; stays while iommu_fault_param.lock is held, since whoever detaches it
 *	drains. NULL: nothing is remembered.
 */
struct iopf_found {
	ioasid_t pasid;
	struct iommu_attach_handle *handle;
};

static struct iommu_attach_handle *iopf_find_handle(struct device *dev, ioasid_t pasid)
{
	struct iommu_attach_handle *handle;

	handle = iommu_attach_handle_get(dev->iommu_group, pasid, 0);
	/* With a PASID table in the hands of user space, all PASIDs belong to the nested domain. */
	if (IS_ERR(handle) && pasid != IOMMU_NO_PASID && dev_iommu_ops(dev)->user_pasid_table)
		handle = iommu_attach_handle_get(dev->iommu_group, IOMMU_NO_PASID,
						 IOMMU_DOMAIN_NESTED);
	if (IS_ERR_OR_NULL(handle) || !handle->domain->iopf_handler)
		return NULL;
	return handle;
}

static int iopf_add_partial(struct iopf_device *idev, const struct iopf_fault *evt)
{
	struct iopf_slot *slot;

	guard(spinlock)(&idev->lock);
	slot = iopf_get_slot(idev);
	if (!slot)
		return -EBUSY;
	slot->group.last_fault.fault = evt->fault;
	list_add_tail(&slot->node, &idev->partials);
	hlist_add_head(&slot->hash, iopf_bucket(idev, &evt->fault.prm));
	return 0;
}

/* Moves the partials of the group into it, in the order of their arrival. */
static void iopf_take_partials(struct iopf_device *idev, struct iopf_group *group)
{
	const struct iommu_fault_page_request *last = &group->last_fault.fault.prm;
	struct iopf_slot *slot;
	struct hlist_node *next;

	lockdep_assert_held(&idev->lock);

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
					   struct iommu_attach_handle *handle)
{
	struct iopf_group *group;
	struct iopf_slot *slot;

	guard(spinlock)(&idev->lock);
	slot = iopf_get_slot(idev);
	if (!slot)
		return NULL;

	slot->seq = ++idev->seq;
	slot->since = jiffies;
	slot->resets = idev->resets;
	group = &slot->group;
	group->last_fault.fault = evt->fault;
	group->attach_handle = handle;
	group->fault_param = &idev->fp;
	group->fault_count = 1;
	group->cookie = 0;
	INIT_LIST_HEAD(&group->node);
	INIT_LIST_HEAD(&group->faults);
	list_add(&group->last_fault.list, &group->faults);
	iopf_take_partials(idev, group);
	list_add_tail(&group->pending_node, &idev->fp.faults);
	refcount_inc(&idev->fp.users);
	if (idev->limit)
		queue_delayed_work(idev->fp.queue->wq, &idev->watch, idev->limit);
	return group;
}

/* Nobody handles page requests for that PASID, or for none. Returns how that is counted. */
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

/* On error @why says as what a last page is refused. */
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
		ret = iopf_add_partial(idev, evt);
		if (ret)
			iopf_count(idev, IOPF_OVERRUN);
		return ret;
	}

	group = iopf_build_group(idev, evt, found->handle);
	if (!group) {
		iopf_count(idev, IOPF_OVERRUN);
		iopf_warn(idev, OVERRUN, "more page requests outstanding than granted\n");
		return -EBUSY;
	}

	ret = found->handle->domain->iopf_handler(group);
	if (ret) {
		iopf_answer(group, IOMMU_PAGE_RESP_INVALID,
			    ret == -ESRCH ? IOPF_EXITED : IOPF_FAILED);
		iopf_free_group(group);
	}
	return 0;
}

static int iopf_collect(struct iopf_device *idev, struct iopf_fault *evt, struct iopf_found *found)
{
	enum iopf_count why = IOPF_DRAINED;
	int ret;

	/* Held while a refusal is sent, too: quiesce and removal wait for that. */
	lockdep_assert_held(&idev->fp.lock);

	iopf_count(idev, IOPF_REQUESTS);
	trace_iopf_request(idev->fp.dev, &evt->fault.prm);
	if (idev->flow == IOPF_IN_RESET) {
		iopf_count(idev, IOPF_FORGOTTEN);
		return 0;
	}

	if (idev->gone) {
		ret = -ENODEV;
	} else if (idev->flow == IOPF_STOPPING) {
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
 * @evt: the request, copied. PASID Stop Markers must not be reported: they want no answer.
 *
 * If the request closes its group, the group goes to the handler of the domain that is attached to
 * its PASID. Otherwise it waits for the last page. A request that can't be taken is answered
 * Invalid Request at once if it is a last page, and dropped if not: the group's last page is still
 * to come.
 *
 * Requests of one device must be reported in the order in which they arrived.
 *
 * Context: process (a threaded interrupt handler); may sleep for a short time, never for memory,
 * I/O or a handler's work.
 * Return: 0 if the request was taken, or dropped because a reset has made the device forget it; or
 *
 * * -EINVAL: it is no page request, or no domain that handles page faults is attached
 * * -ENODEV: the device is on no queue
 * * -EBUSY: the device has more requests outstanding than it may
 * * -ESHUTDOWN: the device is about to be reset
 */
int iommu_report_device_fault(struct device *dev, struct iopf_fault *evt)
{
	struct iopf_device *idev __free(iopf_device_put) = NULL;

	if (evt->fault.type != IOMMU_FAULT_PAGE_REQ)
		return -EINVAL;

	idev = iopf_device_get(dev);
	if (idev) {
		struct iopf_found found = {};

		guard(mutex)(&idev->fp.lock);
		return iopf_collect(idev, evt, &found);
	}
	iopf_refuse_last(dev, evt, IOPF_DRAINED);
	return -ENODEV;
}
EXPORT_SYMBOL_GPL(iommu_report_device_fault);

/**
 * iopf_report_batch() - Take page requests from a vendor driver
 * @dev: the device that sent them; must not go away during the call
 * @evts: the requests, in the order of their arrival, copied
 * @nr: how many
 *
 * As iommu_report_device_fault() for each of them, for less.
 *
 * Context: as iommu_report_device_fault().
 */
void iopf_report_batch(struct device *dev, struct iopf_fault *evts, unsigned int nr)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	struct iopf_found found = {};

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
 * iopf_report_lone() - Take a page request that is all there is in the hardware queue
 * @dev: the device that sent it; must not go away during the call
 * @evt: the request, copied
 *
 * As iommu_report_device_fault(). If there is nothing else to do, the caller serves it.
 *
 * Context: as iommu_report_device_fault(); the thread that reads the hardware queue.
 * Return: what the caller passes to iopf_serve_lone(), NULL if a worker serves the request, or
 * nobody. Not to be passed on to another thread.
 */
struct iopf_lane *iopf_report_lone(struct device *dev, struct iopf_fault *evt)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	struct iopf_found found = {};

	if (!idev) {
		iopf_refuse_last(dev, evt, IOPF_DRAINED);
		return NULL;
	}
	guard(mutex)(&idev->fp.lock);
	idev->lone = NULL;
	idev->is_lone = true;
	iopf_collect(idev, evt, &found);
	idev->is_lone = false;
	return idev->lone;
}
EXPORT_SYMBOL_GPL(iopf_report_lone);

/**
 * iopf_queue_discard_partial - The hardware queue has overflowed
 * @queue: the queue whose devices may have lost requests
 *
 * Last pages may be among what was lost. The partials that wait for them must not make a later
 * group fail; nor are they thrown away, since most belong to groups that are still whole.
 *
 * Context: process. The caller must not report requests of the same queue at the same time.
 * Return: 0, or -EINVAL if @queue is NULL.
 */
int iopf_queue_discard_partial(struct iopf_queue *queue)
{
	struct iommu_fault_param *fp;
	struct iopf_device *idev;
	struct iopf_slot *slot;

	if (!queue)
		return -EINVAL;

	guard(mutex)(&queue->lock);
	list_for_each_entry(fp, &queue->devices, queue_list) {
		idev = container_of(fp, struct iopf_device, fp);
		guard(spinlock)(&idev->lock);
		list_for_each_entry(slot, &idev->partials, node)
			slot->suspect = true;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(iopf_queue_discard_partial);

/* Devices and queues */

/* The most page requests that the device can have outstanding (PCIe 6.0, section 10.5.2.4). */
static u32 iopf_credits(struct device *dev)
{
	const struct iommu_sva_ops *ops = dev_iommu_ops(dev)->sva_ops;
	u32 credits = ops && ops->max_requests ? ops->max_requests(dev) : 0;

	/* It is given no less, as page requests are: iopf_grant_credits(). */
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

static struct iopf_device *iopf_device_alloc(struct iopf_queue *queue, struct device *dev)
{
	u32 nr = iopf_credits(dev) + IOPF_SPARE_SLOTS;
	struct iopf_device *idev;

	idev = kvzalloc(struct_size(idev, slots, nr), GFP_KERNEL);
	if (!idev)
		return NULL;

	mutex_init(&idev->fp.lock);
	mutex_init(&idev->reset_lock);
	refcount_set(&idev->fp.users, 1);
	idev->fp.dev = dev;
	idev->fp.queue = queue;
	INIT_LIST_HEAD(&idev->fp.partial);
	INIT_LIST_HEAD(&idev->fp.faults);

	spin_lock_init(&idev->lock);
	init_waitqueue_head(&idev->wait);
	INIT_DELAYED_WORK(&idev->watch, iopf_watch);
	idev->unfit_until = get_jiffies_64();
	INIT_LIST_HEAD(&idev->answering);
	INIT_LIST_HEAD(&idev->free);
	INIT_LIST_HEAD(&idev->partials);
	for (u32 i = 0; i < nr; i++)
		list_add_tail(&idev->slots[i].node, &idev->free);
	for (u32 i = 0; i < IOPF_NR_LINES; i++)
		ratelimit_state_init(&idev->lines[i], DEFAULT_RATELIMIT_INTERVAL,
				     DEFAULT_RATELIMIT_BURST);
	return idev;
}

/**
 * iopf_queue_add_device - Let a device's page requests in
 * @queue: the queue of the device's IOMMU
 * @dev: the device, whose IOMMU driver must have a page_response() operation
 *
 * To be called before the device may send page requests. Reserves the memory for as many as it can
 * have outstanding.
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

	list_add(&idev->fp.queue_list, &queue->devices);
	rcu_assign_pointer(param->fault_param, &idev->fp);
	iopf_debugfs_add(dev);
	return 0;
}
EXPORT_SYMBOL_GPL(iopf_queue_add_device);

/**
 * iopf_grant_credits - How many page requests a device may have outstanding
 * @dev: on a fault queue, with page requests not enabled yet
 * @entries: of the hardware queue that @dev shares with the others on the fault queue
 *
 * Each device gets what it can use, but no more than half of what is left, so that together they
 * do not overflow the hardware queue; and a latecomer gets a few all the same. The credits come
 * back when the device leaves the fault queue.
 *
 * Context: process, may sleep.
 * Return: the number for the device's Outstanding Page Request Allocation (PCIe 6.0, section
 * 10.5.2.5), at least 1; 0 if @dev is on no queue.
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

	/* Found until all is answered, so that a drain does not return before that either. */
	idev = container_of(fp, struct iopf_device, fp);
	iopf_abort(idev, &iopf_all, true);
	cancel_delayed_work_sync(&idev->watch);
	iopf_debugfs_remove(dev);

	scoped_guard(mutex, &dev->iommu->lock) {
		rcu_assign_pointer(dev->iommu->fault_param, NULL);
		list_del(&fp->queue_list);
	}
	pasid_forget_device(dev);
	iopf_device_put(idev);
}

/**
 * iopf_queue_remove_device - Shut a device's page requests out
 * @queue: the queue that @dev was added to
 * @dev: the device
 *
 * Everything that is pending is answered Invalid Request, and nothing is answered after the
 * return. Before, the vendor driver stops new requests from reaching its hardware queue and
 * empties that; after, it disables PRI on the device.
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
	struct iopf_queue *queue = kzalloc(sizeof(*queue), GFP_KERNEL);

	if (!queue)
		return NULL;

	/* Nothing on it may wait for what lanes wait for. */
	queue->wq = alloc_workqueue("iopf_queue/%s", WQ_UNBOUND, 0, name);
	if (!queue->wq) {
		kfree(queue);
		return NULL;
	}

	mutex_init(&queue->lock);
	INIT_LIST_HEAD(&queue->devices);
	iopf_count_queues(1);
	return queue;
}
EXPORT_SYMBOL_GPL(iopf_queue_alloc);

/**
 * iopf_queue_free - Undo iopf_queue_alloc()
 * @queue: the queue, or NULL. Devices that are still on it are removed.
 *
 * The vendor driver must have stopped to report requests.
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

	destroy_workqueue(queue->wq);
	kfree(queue);
	iopf_count_queues(-1);
}
EXPORT_SYMBOL_GPL(iopf_queue_free);

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: waits for all lanes that are at work, or about to start. */
void iopf_flush_lanes(void)
{
	struct iopf_crew *crew;

	guard(mutex)(&crews_lock);
	list_for_each_entry(crew, &crews, node)
		flush_workqueue(crew->wq);
}

/* For tests: groups that somebody has not let go of, lanes at work, and partials. */
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
