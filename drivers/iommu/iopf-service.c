// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: the workers of an address space
 *
 * A service has a list of waiting groups and up to IOPF_MAX_WORKERS workers, so that a fault which
 * never ends occupies a worker of its own process only. A worker serves a batch of groups with one
 * reference to the mm, and answers them together: at the end of the batch, at the next tick, or
 * before it blocks (iopf_job_will_block()). The service starts another worker when all running ones
 * may be blocked, or when more than a batch waits for each and one CPU stays free for other work.
 *
 * A single request. If its process has no other request, the thread that reads the hardware queue
 * serves it inline, without the switch to a worker and back. All devices behind the IOMMU depend on
 * that thread, so it serves one page only, and only if the fault does not block; otherwise the
 * request goes to a worker (iopf_job_will_block()), and so do the next ones, until a worker has not
 * blocked in a batch: a device that uses a file would pay for the attempt each time. If something
 * else waits for the CPU, the thread serves one request of a process in a tick: the worker would
 * take more of the CPU, but many requests must not keep others waiting.
 *
 * Fairness. A worker of a process that asks now and then may start while workers of other processes
 * keep all CPUs busy. These end their batch as soon as such a worker is queued on their workqueue,
 * and queue themselves behind it.
 *
 * Concurrency limit. A workqueue runs a limited number of items at a time, and a worker may be
 * stuck for ever. So that stuck workers can't keep another process's from starting, a workqueue
 * gets no more services than it can run all workers of; the next service gets another workqueue.
 * All of them may run on one NUMA node. By default a workqueue divides its limit among the nodes by
 * the CPUs that it may use there; hotplug, cpusets and isolcpus= make such parts small. A bind
 * joins the workqueue that the one before has found without a lock, as long as that has room.
 *
 * Coalescing. The service coalesces groups of one request each, for the same page and access, with
 * the first of them, whichever device sent them; they complete with it if it succeeds. If a drain
 * takes the first, the service promotes the next to its place. If the first fails, the service
 * serves them one by one, because it has to tell each bond's listeners.
 *
 * A pending group of a service is in exactly one place, under iopf_service.lock: waiting, coalesced
 * with another one, in work, or done and not claimed yet. The worker, not the attachment, holds
 * references to what it needs (service, io_mm, mm). It works on a copy of the request, and finds
 * out after that request that a drain has taken its group.
 *
 * Locks: see iopf-priv.h.
 *
 * Lifetime. A service is a part of its owner's structure, which &iopf_service_ops.free gives back
 * when the last user has gone. Each group and each worker that runs is a user.
 */
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/cpumask.h>
#include <linux/hash.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <trace/events/iommu_sva.h>

#include "iopf-priv.h"

#define IOPF_ALL_IDLE		GENMASK(IOPF_MAX_WORKERS - 1, 0)
/* How many services a workqueue has room for */
#define IOPF_WQ_SERVICES	(WQ_MAX_ACTIVE / IOPF_MAX_WORKERS)

/**
 * struct iopf_wq - a workqueue for the workers of some services
 * @node: in iopf_wqs
 * @queue: the workqueue
 * @services: how many services have it. IOPF_WQ_SERVICES: no other one may join, since it is full
 *	or about to be destroyed
 * @starting: workers that are queued and do not run yet, of services that were idle
 * @rcu: frees it: binds look at iopf_room under RCU
 */
struct iopf_wq {
	struct list_head node;
	struct workqueue_struct *queue;
	atomic_t services;
	atomic_t starting;
	struct rcu_head rcu;
};

static LIST_HEAD(iopf_wqs);
static struct iopf_wq __rcu *iopf_room;	/* in iopf_wqs, where room was found last; or NULL */
static unsigned int nr_queues;		/* fault queues; without any, no wq is needed */
static DEFINE_MUTEX(iopf_wqs_lock);	/* of iopf_wqs, nr_queues; iopf_room for writers */

static bool iopf_wq_join(struct iopf_wq *wq)
{
	return wq && atomic_add_unless(&wq->services, 1, IOPF_WQ_SERVICES);
}

static struct iopf_wq *iopf_wq_alloc(void)
{
	struct iopf_wq *wq = kzalloc(sizeof(*wq), GFP_KERNEL);

	if (!wq)
		return NULL;
	wq->queue = alloc_workqueue("iopf_workers", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!wq->queue) {
		kfree(wq);
		return NULL;
	}
	/* The least that a node may run at a time is the workqueue's whole limit. */
	workqueue_set_min_active(wq->queue, WQ_MAX_ACTIVE);
	atomic_set(&wq->services, 1);
	return wq;
}

/* A workqueue that counts one more service */
static struct iopf_wq *iopf_find_wq(void)
{
	struct iopf_wq *wq;

	lockdep_assert_held(&iopf_wqs_lock);

	list_for_each_entry(wq, &iopf_wqs, node) {
		if (iopf_wq_join(wq)) {
			/* It may have room for more: the next search begins with it. */
			list_move(&wq->node, &iopf_wqs);
			return wq;
		}
	}
	wq = iopf_wq_alloc();
	if (wq)
		list_add(&wq->node, &iopf_wqs);
	return wq;
}

/* While there are fault queues, workqueues stay for the next process. */
static void iopf_free_wqs(struct work_struct *work)
{
	struct iopf_wq *wq, *next;

	guard(mutex)(&iopf_wqs_lock);
	list_for_each_entry_safe(wq, next, &iopf_wqs, node) {
		if (nr_queues || atomic_cmpxchg(&wq->services, 0, IOPF_WQ_SERVICES))
			continue;
		list_del(&wq->node);
		if (rcu_access_pointer(iopf_room) == wq)
			rcu_assign_pointer(iopf_room, NULL);
		/* A worker may be about to return. */
		destroy_workqueue(wq->queue);
		kfree_rcu(wq, rcu);
	}
}

static DECLARE_WORK(iopf_free_wqs_work, iopf_free_wqs);

void iopf_count_queues(int nr)
{
	scoped_guard(mutex, &iopf_wqs_lock)
		nr_queues += nr;
	if (nr < 0)
		iopf_free_wqs(NULL);
}

/**
 * iopf_service_get_wq - Find a workqueue for the workers of a service
 * @svc: the service, which keeps the workqueue until iopf_service_destroy(). If it has one, the
 *	function does nothing.
 *
 * Context: process, may sleep; one caller at a time for each service.
 * Return: 0, or -ENOMEM.
 */
int iopf_service_get_wq(struct iopf_service *svc)
{
	struct iopf_wq *wq;

	if (svc->wq)
		return 0;
	scoped_guard(rcu) {
		wq = rcu_dereference(iopf_room);
		if (iopf_wq_join(wq)) {
			svc->wq = wq;
			return 0;
		}
	}
	guard(mutex)(&iopf_wqs_lock);
	wq = iopf_find_wq();
	if (!wq)
		return -ENOMEM;
	rcu_assign_pointer(iopf_room, wq);
	svc->wq = wq;
	return 0;
}

/**
 * iopf_service_destroy - Undo iopf_service_begin() and iopf_service_get_wq()
 * @svc: the service, which has no users any more
 *
 * Context: any that may take a spinlock.
 */
void iopf_service_destroy(struct iopf_service *svc)
{
	if (svc->wq && atomic_dec_and_test(&svc->wq->services))
		queue_work(system_wq, &iopf_free_wqs_work);
	svc->wq = NULL;
}

static struct iopf_worker *to_worker(struct iopf_job *job)
{
	return container_of(job, struct iopf_worker, job);
}

/* Waiting and coalesced groups */

static bool iopf_same_page(const struct iopf_group *a, const struct iopf_group *b)
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

static void iopf_service_enqueue(struct iopf_service *svc, struct iopf_group *group,
				 struct list_head *before)
{
	lockdep_assert_held(&svc->lock);
	list_add_tail(&group->node, before);
	group_slot(group)->waits = true;
	svc->nr_waiting++;
}

static void iopf_service_dequeue(struct iopf_service *svc, struct iopf_group *group)
{
	struct iopf_slot *slot = group_slot(group);

	lockdep_assert_held(&svc->lock);
	list_del_init(&group->node);
	svc->nr_waiting -= slot->waits;
	slot->waits = false;
}

/* Coalesces the group with one for the same page. False if there is none. */
static bool iopf_service_merge(struct iopf_service *svc, struct iopf_group *group)
{
	struct hlist_head *bucket = iopf_page_bucket(svc, group);
	struct iopf_slot *first;

	lockdep_assert_held(&svc->lock);

	if (group->fault_count > 1)
		return false;
	hlist_for_each_entry(first, bucket, hash) {
		if (iopf_same_page(&first->group, group)) {
			list_add_tail(&group->node, &first->coalesced);
			return true;
		}
	}
	hlist_add_head(&group_slot(group)->hash, bucket);
	return false;
}

/* Workers */

static struct iopf_worker *iopf_service_claim_worker(struct iopf_service *svc, unsigned long nr)
{
	struct iopf_worker *worker = &svc->workers[nr];

	lockdep_assert_held(&svc->lock);
	__clear_bit(nr, &svc->idle);
	svc->nr_running++;
	refcount_inc(&svc->users);
	return worker;
}

static noinline void iopf_service_start_worker(struct iopf_service *svc)
{
	unsigned long nr = find_first_bit(&svc->idle, IOPF_MAX_WORKERS);
	bool was_idle = svc->idle == IOPF_ALL_IDLE;
	struct iopf_worker *worker;

	if (nr >= IOPF_MAX_WORKERS || !svc->nr_waiting)
		return;
	worker = iopf_service_claim_worker(svc, nr);
	worker->starting = was_idle;
	if (was_idle)
		atomic_inc(&svc->wq->starting);
	queue_work(svc->wq->queue, &worker->work);
}

/*
 * Starts a worker if none is running, or if more than a batch waits for each that is. One CPU stays
 * free: a process that floods the queue must not slow others down.
 */
static void iopf_service_kick(struct iopf_service *svc)
{
	unsigned int running = svc->nr_running;

	lockdep_assert_held(&svc->lock);

	if (!running || (svc->nr_waiting > running * IOPF_BATCH &&
			 running + 1 < num_online_cpus()))
		iopf_service_start_worker(svc);
}

/* A group has left: the first of those coalesced with it takes its place. */
static void iopf_service_promote(struct iopf_service *svc, struct iopf_slot *first)
{
	struct iopf_group *group;
	struct iopf_slot *slot;

	lockdep_assert_held(&svc->lock);

	hlist_del_init(&first->hash);
	group = list_first_entry_or_null(&first->coalesced, struct iopf_group, node);
	if (!group)
		return;
	slot = group_slot(group);
	list_del(&group->node);
	iopf_service_enqueue(svc, group, svc->waiting.next);
	list_splice_init(&first->coalesced, &slot->coalesced);
	hlist_add_head(&slot->hash, iopf_page_bucket(svc, group));
	iopf_service_kick(svc);
}

/* The group is on no list. */
static void iopf_worker_add_done(struct iopf_worker *worker, struct iopf_group *group)
{
	struct iopf_slot *slot = group_slot(group);

	iopf_set_answer(slot, worker->job.code, worker->job.why);
	slot->reason = worker->job.reason;
	list_add_tail(&group->node, &worker->done);
}

/* Completes the group in work, unless a drain has taken it, and those coalesced with it. */
static void iopf_worker_complete(struct iopf_worker *worker)
{
	struct iopf_service *svc = worker->svc;
	struct iopf_group *group = worker->group, *same, *next;
	struct list_head *first;
	struct iopf_slot *slot;

	lockdep_assert_held(&svc->lock);

	if (worker->job.blocked)
		svc->nr_running++;
	worker->job.blocked = false;
	if (!group)
		return;
	slot = group_slot(group);
	slot->worker = NULL;
	WRITE_ONCE(worker->group, NULL);

	hlist_del_init(&slot->hash);
	if (list_empty(&worker->done))
		worker->since = jiffies;
	iopf_worker_add_done(worker, group);
	if (list_empty(&slot->coalesced))
		return;
	first = svc->waiting.next;
	list_for_each_entry_safe(same, next, &slot->coalesced, node) {
		list_del(&same->node);
		/* A failure must reach each bond's listeners. */
		if (worker->job.code == IOMMU_PAGE_RESP_SUCCESS)
			iopf_worker_add_done(worker, same);
		else
			iopf_service_enqueue(svc, same, first);
	}
}

static void iopf_worker_copy(struct iopf_worker *worker)
{
	lockdep_assert_held(&worker->svc->lock);
	worker->prm = worker->pos->fault.prm;
	worker->job.maybe_stale = fault_slot(worker->pos)->maybe_stale;
	worker->job.has_next = !list_is_last(&worker->pos->list, &worker->group->faults);
}

/* Does a worker of a process that was idle wait for a CPU? */
static bool iopf_worker_should_yield(const struct iopf_worker *worker)
{
	return atomic_read(&worker->svc->wq->starting);
}

static bool iopf_worker_start(struct iopf_worker *worker)
{
	struct iopf_service *svc = worker->svc;
	struct iopf_group *group;

	lockdep_assert_held(&svc->lock);

	if (list_empty(&svc->waiting) || worker->taken == IOPF_BATCH ||
	    (worker->taken && (worker->job.is_inline || iopf_worker_should_yield(worker))))
		return false;
	group = list_first_entry(&svc->waiting, struct iopf_group, node);
	worker->taken++;
	iopf_service_dequeue(svc, group);
	group_slot(group)->worker = worker;
	worker->group = group;
	worker->pos = list_first_entry(&group->faults, struct iopf_fault, list);
	worker->job.why = IOPF_SERVED;
	worker->job.reason = 0;
	iopf_worker_copy(worker);
	if (trace_iopf_serve_enabled()) {
		struct iopf_device *idev = group_device(group);
		struct iopf_slot *slot = group_slot(group);

		trace_iopf_serve(idev->fp.dev, &group->last_fault.fault.prm,
				 iopf_slot_pid(idev, slot), slot->reported);
	}
	return true;
}

static struct iopf_device *iopf_worker_done_device(struct iopf_worker *worker)
{
	struct iopf_device *idev;

	guard(spinlock)(&worker->svc->lock);
	if (list_empty(&worker->done))
		return NULL;
	idev = group_device(list_first_entry(&worker->done, struct iopf_group, node));
	refcount_inc(&idev->fp.users);
	return idev;
}

/*
 * Claims groups of a device that a worker has served, as many as may be sent now. Returns how many;
 * they count as in flight. None of them is stale: a removal or a reset revokes its groups.
 */
static unsigned int iopf_worker_claim(struct iopf_worker *worker, struct iopf_device *idev,
				      struct list_head *mine)
{
	struct iopf_group *group, *next;
	u64 now = iopf_clock();
	unsigned int nr = 0;

	scoped_guard(spinlock, &idev->lock) {
		unsigned int room = min(IOPF_BATCH, IOPF_SPARE_SLOTS - idev->in_flight);

		guard(spinlock)(&worker->svc->lock);
		list_for_each_entry_safe(group, next, &worker->done, node) {
			struct iopf_slot *slot = group_slot(group);

			if (group_device(group) != idev)
				continue;
			if (!room--)
				break;
			list_del_init(&group->node);
			iopf_claim(idev, slot, true, mine);
			iopf_count_answer(idev, slot, now);
			nr++;
		}
		/* All are of one device and one process, so of one bond */
		if (nr)
			list_first_entry(mine, struct iopf_slot, node)->stats->batches++;
		WRITE_ONCE(idev->in_flight, idev->in_flight + nr);
	}
	return nr;
}

/* Answers the groups that a worker has served. */
static void iopf_worker_answer(struct iopf_worker *worker)
{
	struct iopf_device *idev;
	unsigned int nr;
	LIST_HEAD(mine);

	worker->svc->ops->unlock(&worker->job);
	while ((idev = iopf_worker_done_device(worker))) {
		nr = iopf_worker_claim(worker, idev, &mine);
		if (nr)
			iopf_respond_batch(idev, &mine, nr);
		else
			iopf_wait_in_flight(idev);
		iopf_device_put(idev);
	}
}

/**
 * iopf_job_next_group - Go on to the next group of the batch that a worker works on
 * @job: as passed to &iopf_service_ops.serve
 *
 * The worker answers the group before with &iopf_job.code: when &iopf_service_ops.serve returns, or
 * sooner if the batch takes long.
 *
 * Context: process, inside &iopf_service_ops.serve, no locks held but what &iopf_service_ops.unlock
 * lets go of.
 * Return: the first request of the group, valid until the next call of this function or of
 * iopf_job_next(); NULL when the batch is over.
 */
const struct iommu_fault_page_request *iopf_job_next_group(struct iopf_job *job)
{
	struct iopf_worker *worker = to_worker(job);
	struct iopf_device *late;
	bool started, due;

	scoped_guard(spinlock, &worker->svc->lock) {
		late = worker->late_device;
		worker->late_device = NULL;
		iopf_worker_complete(worker);
		started = iopf_worker_start(worker);
		due = started && !list_empty(&worker->done) && time_before(worker->since, jiffies);
	}
	if (late) {
		iopf_count(late, IOPF_LATE);
		iopf_device_put(late);
	}
	if (due)
		iopf_worker_answer(worker);
	return started ? &worker->prm : NULL;
}

/* Puts the group in work back to the head of the waiting ones. */
static void iopf_worker_put_back(struct iopf_worker *worker)
{
	struct iopf_service *svc = worker->svc;
	struct iopf_group *group;

	guard(spinlock)(&svc->lock);
	svc->inline_fails = true;
	group = worker->group;
	if (!group)
		return;
	group_slot(group)->worker = NULL;
	WRITE_ONCE(worker->group, NULL);
	iopf_service_enqueue(svc, group, svc->waiting.next);
}

/**
 * iopf_job_will_block - Announce that the worker is about to block
 * @job: as passed to &iopf_service_ops.serve
 *
 * The worker answers the groups that it has completed, if there are any, and another worker takes
 * over what waits. If the worker is the thread that reads the hardware queue, its group goes to
 * another worker.
 *
 * Context: process, inside &iopf_service_ops.serve, no locks held but what &iopf_service_ops.unlock
 * lets go of.
 * Return: true if the worker may go on; false if it no longer has the group.
 */
bool iopf_job_will_block(struct iopf_job *job)
{
	struct iopf_worker *worker = to_worker(job);
	struct iopf_service *svc = worker->svc;
	bool due;

	if (worker->job.is_inline) {
		iopf_worker_put_back(worker);
		return false;
	}
	if (worker->job.blocked)
		return true;
	worker->job.blocked = true;
	scoped_guard(spinlock, &svc->lock) {
		svc->nr_running--;
		iopf_service_kick(svc);
		due = !list_empty(&worker->done);
		worker->has_blocked = true;
	}
	if (due)
		iopf_worker_answer(worker);
	return true;
}

/* False if nothing waits, or if the worker has queued itself behind another worker or thread. */
static bool iopf_worker_continue(struct iopf_worker *worker)
{
	struct iopf_service *svc = worker->svc;
	bool was_inline;

	guard(spinlock)(&svc->lock);
	worker->taken = 0;
	was_inline = worker->job.is_inline;
	worker->job.is_inline = false;
	if (!was_inline && !worker->has_blocked)
		svc->inline_fails = false;
	worker->has_blocked = false;
	if (list_empty(&svc->waiting)) {
		__set_bit(worker - svc->workers, &svc->idle);
		svc->nr_running--;
		return false;
	}
	if (!was_inline && !iopf_worker_should_yield(worker))
		return true;
	refcount_inc(&svc->users);
	queue_work(svc->wq->queue, &worker->work);
	return false;
}

static void iopf_worker_work(struct work_struct *work)
{
	struct iopf_worker *worker = container_of(work, struct iopf_worker, work);
	struct iopf_service *svc = worker->svc;

	if (worker->starting) {
		worker->starting = false;
		atomic_dec(&svc->wq->starting);
	}
	do {
		svc->ops->serve(svc, &worker->job);
		/* The handler holds nothing now: a slow answer must not delay an exit. */
		iopf_worker_answer(worker);
		cond_resched();
	} while (iopf_worker_continue(worker));
	/* The worker may run again already, on another CPU. */
	iopf_service_put(svc);
}

/**
 * iopf_serve_inline() - Serve what iopf_report_single() has left to the caller
 * @worker: what that returned; NULL: nothing
 *
 * The caller calls this as soon as it has given the entry of the hardware queue back.
 *
 * Context: process, no locks held. May sleep for a short time, as for a page request that is
 * served without waiting for I/O or memory.
 */
void iopf_serve_inline(struct iopf_worker *worker)
{
	struct iopf_service *svc;

	if (!worker)
		return;
	svc = worker->svc;
	svc->ops->serve(svc, &worker->job);
	iopf_worker_answer(worker);
	iopf_worker_continue(worker);
	iopf_service_put(svc);
}
EXPORT_SYMBOL_GPL(iopf_serve_inline);

/**
 * iopf_job_next - Go on to the next request of the group that a worker works on
 * @job: as passed to &iopf_service_ops.serve
 *
 * Only while &iopf_job.has_next is set.
 *
 * Context: process, inside &iopf_service_ops.serve.
 * Return: the request, valid until the next call; NULL if the group's answer is no longer wanted.
 */
const struct iommu_fault_page_request *iopf_job_next(struct iopf_job *job)
{
	struct iopf_worker *worker = to_worker(job);

	guard(spinlock)(&worker->svc->lock);
	if (!worker->group)
		return NULL;
	worker->pos = list_next_entry(worker->pos, list);
	iopf_worker_copy(worker);
	return &worker->prm;
}

/**
 * iopf_job_handle - The attachment that a worker works for
 * @job: as passed to &iopf_service_ops.serve
 *
 * The owner of a handle drains the attachment and waits for an RCU grace period before it frees it.
 *
 * Context: inside &iopf_service_ops.serve and an RCU read-side section, for which the handle stays.
 * Return: the handle, or NULL if the group has been answered.
 */
struct iommu_attach_handle *iopf_job_handle(struct iopf_job *job)
{
	struct iopf_worker *worker = to_worker(job);

	guard(spinlock)(&worker->svc->lock);
	return worker->group ? worker->group->attach_handle : NULL;
}

/**
 * iopf_job_count - Count for the device that a worker works for
 * @job: as passed to &iopf_service_ops.serve
 * @what: what is counted
 * @nr: how much of that
 *
 * Context: inside &iopf_service_ops.serve.
 */
void iopf_job_count(struct iopf_job *job, enum iopf_count what, u64 nr)
{
	struct iopf_worker *worker = to_worker(job);
	struct iopf_device *idev;

	guard(spinlock)(&worker->svc->lock);
	idev = worker->group ? group_device(worker->group) : worker->late_device;
	if (!idev)
		return;
	atomic64_add(nr, &idev->counts[what]);
	/* The bond of a group that a drain has taken may end before this. */
	iopf_count_ahead(worker->group ? group_slot(worker->group)->stats : &idev->stats, what, nr);
}

/**
 * iopf_job_count_major - Count a page that the kernel had to wait for
 * @job: as passed to &iopf_service_ops.serve
 *
 * Context: inside &iopf_service_ops.serve.
 */
void iopf_job_count_major(struct iopf_job *job)
{
	struct iopf_worker *worker = to_worker(job);

	guard(spinlock)(&worker->svc->lock);
	if (worker->group)
		atomic64_inc(&group_slot(worker->group)->stats->majors);
}

/* Services */

/**
 * iopf_service_init - Make a service, which may serve one owner after another
 * @svc: the service, in zeroed memory that &iopf_service_ops.free gives back
 * @ops: what it does
 *
 * Context: any. The service has no users yet.
 */
void iopf_service_init(struct iopf_service *svc, const struct iopf_service_ops *ops)
{
	refcount_set(&svc->users, 0);
	spin_lock_init(&svc->lock);
	INIT_LIST_HEAD(&svc->waiting);
	svc->idle = IOPF_ALL_IDLE;
	svc->ops = ops;
	for (int i = 0; i < IOPF_MAX_WORKERS; i++) {
		INIT_LIST_HEAD(&svc->workers[i].done);
		svc->workers[i].svc = svc;
	}
}

/**
 * iopf_service_begin - Prepare a service for an owner
 * @svc: the service: as iopf_service_init() or iopf_service_destroy() has left it
 *
 * Context: any. The service has no users yet.
 */
void iopf_service_begin(struct iopf_service *svc)
{
	svc->inline_at = jiffies - 1;
	svc->inline_fails = false;
	/* What checks the use of works forgets them when their memory is freed. */
	for (int i = 0; i < IOPF_MAX_WORKERS; i++)
		INIT_WORK(&svc->workers[i].work, iopf_worker_work);
}

/**
 * iopf_service_use - Become a user of a service, which may have none
 * @svc: the service
 *
 * Context: any; one caller at a time for each service.
 * Return: true if there was no user before.
 */
bool iopf_service_use(struct iopf_service *svc)
{
	if (refcount_inc_not_zero(&svc->users))
		return false;
	refcount_set(&svc->users, 1);
	return true;
}

/* Where something else waits for this CPU, an interrupt thread takes it for one group in a tick. */
static bool iopf_may_take_cpu(struct iopf_service *svc)
{
	if (single_task_running())
		return true;
	if (!time_before(svc->inline_at, jiffies))
		return false;
	svc->inline_at = jiffies;
	return true;
}

/* May the thread that reports the group serve it, too? */
static bool iopf_may_serve_inline(struct iopf_device *idev, struct iopf_service *svc,
				  const struct iopf_group *group)
{
	lockdep_assert_held(&svc->lock);
	return idev->is_single && group->fault_count == 1 && svc->idle == IOPF_ALL_IDLE &&
	       !svc->inline_fails && iopf_may_take_cpu(svc);
}

static void iopf_service_dispatch(struct iopf_device *idev, struct iopf_service *svc,
				  const struct iopf_group *group)
{
	if (!iopf_may_serve_inline(idev, svc, group)) {
		iopf_service_kick(svc);
		return;
	}
	idev->inline_worker = iopf_service_claim_worker(svc, 0);
	idev->inline_worker->job.is_inline = true;
}

/**
 * iopf_service_add - Hand a group over to a service
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
			if (iopf_service_merge(svc, group)) {
				slot->stats->coalesced++;
				return;
			}
			iopf_service_enqueue(svc, group, &svc->waiting);
			iopf_service_dispatch(idev, svc, group);
			return;
		}
	}
	iopf_free_group(group);
}

/* Takes a group away from its service. True if the caller is its only owner now. */
bool iopf_revoke(struct iopf_device *idev, struct iopf_slot *slot)
{
	struct iopf_service *svc = slot->svc;

	lockdep_assert_held(&idev->lock);

	if (!svc)
		return false;
	guard(spinlock)(&svc->lock);
	if (slot->worker) {
		WRITE_ONCE(slot->worker->group, NULL);
		refcount_inc(&idev->fp.users);
		slot->worker->late_device = idev;
		slot->worker = NULL;
	} else {
		iopf_service_dequeue(svc, &slot->group);
	}
	iopf_service_promote(svc, slot);
	return true;
}

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: waits for all workers that run or are queued. */
void iopf_flush_workers(void)
{
	struct iopf_wq *wq;

	guard(mutex)(&iopf_wqs_lock);
	list_for_each_entry(wq, &iopf_wqs, node)
		flush_workqueue(wq->queue);
}
#endif
