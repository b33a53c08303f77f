// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: the page request ring
 *
 * Endpoints put requests in at the tail; the PRQ thread reports them to the core in order, those of
 * one device in batches, and then frees their place. When a request finds no place, the overflow
 * bit is set, and until software clears it nothing is taken any more. Software clears it when the
 * ring is empty, and tells the core that partials may have lost their last page. To a last page
 * that is lost the IOMMU itself answers Success, so that the device asks again; a request with a
 * PASID that has no entry it answers Invalid Request (VT-d 5.0, section 7.4.1), unless
 * soft_iommu_take_all() says that it shall leave that to software, as other IOMMUs do.
 *
 * The thread drops stop markers, which want no answer.
 *
 * Another driver has a queue of its own: then this one is not used, and requests go to that.
 *
 * Locks: soft_prq.lock for the ring; soft_iommu.lock from the look-up of a device to its report.
 */
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/timex.h>

#include "soft-backend.h"
#include "soft-priv.h"
#if SOFT_SVA_CORE
#include "../iopf.h"
#endif

/* Requests that are reported at once */
#define SOFT_PRQ_BATCH		8

static struct soft_request *soft_prq_at(struct soft_prq *prq, u64 nr)
{
	return &prq->ring[nr & (prq->size - 1)];
}

static bool soft_is_last_page(const struct soft_request *req)
{
	return req->prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
}

/* Returns false if the ring has no room, or is shut since it had none. */
static bool soft_prq_try_put(struct soft_iommu *iommu, const struct soft_request *req,
			     struct soft_endpoint *ep)
{
	struct soft_prq *prq = &iommu->prq;

	guard(spinlock)(&prq->lock);
	if (!prq->overflow && prq->tail - prq->head == prq->size) {
		prq->overflow = true;
		soft_count(iommu, prq_overflows);
	}
	if (prq->overflow) {
		soft_count(iommu, prq_lost);
		return false;
	}
	if (!soft_pri_enters(ep, req))
		return true;
	if (req->stop_marker)
		soft_count(iommu, prq_stop_markers);
	else
		soft_count(iommu, prq_requests);
	*soft_prq_at(prq, prq->tail) = *req;
	prq->tail++;
	ep->prq_end = prq->tail;
	return true;
}

/* The IOMMU answers itself. */
static void soft_auto_response(struct soft_iommu *iommu, struct soft_endpoint *ep,
			       const struct soft_request *req, int code)
{
	if (req->stop_marker || !soft_is_last_page(req))
		return;
	soft_count(iommu, auto_responses);
	soft_pri_deliver(ep, req->prm.pasid, req->prm.grpid, req->epoch, code);
}

static void soft_prq_decode(const struct soft_request *req, struct iopf_fault *evt)
{
	*evt = (struct iopf_fault){
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm = req->prm,
	};
	if (req->prm.flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID)
		evt->fault.prm.flags |= IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
	/* Comes back with the answer, for the ledger. */
	evt->fault.prm.private_data[0] = req->epoch;
}

/* Another driver has a queue of its own. */
static void soft_prq_pass(struct soft_iommu *iommu, const struct soft_request *req,
			  struct soft_endpoint *ep)
{
	struct iopf_fault evt;
	int ret;

	if (req->stop_marker || !soft_pri_enters(ep, req))
		return;
	soft_count(iommu, prq_requests);
	soft_prq_decode(req, &evt);
	ret = iommu->backend->page_request(soft_endpoint_dev(ep), &evt);
	if (!ret)
		return;
	soft_count(iommu, prq_lost);
	soft_pri_is_lost(ep, req);
	soft_auto_response(iommu, ep, req, ret == -ENOSPC ? IOMMU_PAGE_RESP_SUCCESS :
							    IOMMU_PAGE_RESP_INVALID);
}

/* What the IOMMU does with a request that has arrived from @ep. */
void soft_prq_put(struct soft_iommu *iommu, const struct soft_request *req,
		  struct soft_endpoint *ep)
{
	if (iommu->backend) {
		soft_prq_pass(iommu, req, ep);
		return;
	}
	if (!req->stop_marker && (req->prm.flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID) &&
	    !READ_ONCE(iommu->prq.take_all) && !soft_has_pasid(ep, req->prm.pasid)) {
		soft_auto_response(iommu, ep, req, IOMMU_PAGE_RESP_INVALID);
		return;
	}
	if (!soft_prq_try_put(iommu, req, ep))
		soft_auto_response(iommu, ep, req, IOMMU_PAGE_RESP_SUCCESS);
	wake_up(&iommu->prq.work);
}

static bool soft_prq_has_work(struct soft_prq *prq)
{
	guard(spinlock)(&prq->lock);
	return !READ_ONCE(prq->hold) && (prq->head != prq->tail || prq->overflow);
}

/* Does a test step in before a report? A hook set before a request is sent is seen. */
static bool soft_prq_is_hooked(struct soft_iommu *iommu)
{
	return READ_ONCE(iommu->hooks[SOFT_AT_REPORT].fn);
}

/* Takes the oldest requests in hand, of one device; they stay in the ring. Returns how many. */
static unsigned int soft_prq_take(struct soft_iommu *iommu, struct soft_request *reqs,
				  bool *is_single)
{
	struct soft_prq *prq = &iommu->prq;
	u64 now = get_cycles();
	unsigned int nr = 0, max;

	scoped_guard(spinlock, &prq->lock) {
		if (READ_ONCE(prq->hold))
			return 0;
		/* A hook sees each request apart. */
		max = soft_prq_is_hooked(iommu) ? 1 : SOFT_PRQ_BATCH;
		for (u64 at = prq->head; at != prq->tail && nr < max; at++) {
			reqs[nr] = *soft_prq_at(prq, at);
			if (reqs[nr].rid != reqs[0].rid)
				break;
			nr++;
		}
		prq->busy = nr;
		*is_single = prq->serves_single && prq->tail - prq->head == 1;
	}
	if (nr)
		soft_meter_request(iommu, now);
	return nr;
}

/* @serves: the thread goes on with what it has reported */
static void soft_prq_done(struct soft_iommu *iommu, unsigned int nr, bool serves)
{
	struct soft_prq *prq = &iommu->prq;
	u64 begin = soft_silicon_begin();

	scoped_guard(spinlock, &prq->lock) {
		prq->head += nr;
		prq->busy = false;
		prq->serving = serves;
	}
	wake_up_all(&prq->idle);
	soft_silicon_end(begin);
}

static struct soft_endpoint *soft_find_endpoint(struct soft_iommu *iommu, u32 rid)
{
	struct soft_endpoint *ep;

	lockdep_assert_held(&iommu->lock);

	list_for_each_entry(ep, &iommu->endpoints, node)
		if (ep->rid == rid)
			return ep;
	return NULL;
}

static void soft_prq_hook(struct soft_iommu *iommu, const struct soft_request *req)
{
	struct soft_iommu_event event = {
		.point = SOFT_AT_REPORT,
		.pasid = req->prm.pasid,
		.start = req->prm.addr,
		.grpid = req->prm.grpid,
	};
	struct soft_endpoint *ep;

	scoped_guard(mutex, &iommu->lock) {
		ep = soft_find_endpoint(iommu, req->rid);
		if (!ep)
			return;
		event.dev = get_device(soft_endpoint_dev(ep));
	}
	soft_hook(iommu, &event);
	put_device(event.dev);
}

static struct iopf_worker *soft_report(struct device *dev, struct iopf_fault *evts, unsigned int nr,
				       bool is_single)
{
#if SOFT_SVA_CORE
	if (is_single)
		return iopf_report_single(dev, evts);
	iopf_report_batch(dev, evts, nr);
#else
	for (unsigned int i = 0; i < nr; i++)
		iommu_report_device_fault(dev, &evts[i]);
#endif
	return NULL;
}

static void soft_serve_single(struct soft_iommu *iommu, struct iopf_worker *worker)
{
#if SOFT_SVA_CORE
	struct soft_prq *prq = &iommu->prq;
	u64 begin;

	if (!worker)
		return;
	iopf_serve_inline(worker);
	begin = soft_silicon_begin();
	scoped_guard(spinlock, &prq->lock)
		prq->serving = false;
	wake_up_all(&prq->idle);
	soft_silicon_end(begin);
#endif
}

/* Of one device; @is_single: the ring holds nothing else. Returns what is to be served, or NULL. */
static struct iopf_worker *soft_prq_report(struct soft_iommu *iommu,
					   const struct soft_request *reqs,
					   unsigned int nr, bool is_single)
{
	struct iopf_fault evts[SOFT_PRQ_BATCH] __uninitialized;
	unsigned int nr_evts = 0;
	struct soft_endpoint *ep;

	for (unsigned int i = 0; i < nr; i++) {
		if (reqs[i].stop_marker)
			continue;
		/* Without one the device is looked up once, not twice: this is timed. */
		if (soft_prq_is_hooked(iommu))
			soft_prq_hook(iommu, &reqs[i]);
		soft_prq_decode(&reqs[i], &evts[nr_evts++]);
	}
	if (!nr_evts)
		return NULL;

	/* The device must not leave before the report is over. */
	guard(mutex)(&iommu->lock);
	ep = soft_find_endpoint(iommu, reqs[0].rid);
	return ep ? soft_report(soft_endpoint_dev(ep), evts, nr_evts, is_single) : NULL;
}

/* With the ring empty and the overflow bit set no request enters until this clears the bit. */
static void soft_prq_end_overflow(struct soft_iommu *iommu)
{
	struct soft_prq *prq = &iommu->prq;

	scoped_guard(spinlock, &prq->lock)
		if (!prq->overflow || prq->hold || prq->head != prq->tail)
			return;

	iopf_queue_discard_partial(iommu->iopf);
	scoped_guard(spinlock, &prq->lock)
		prq->overflow = false;
	wake_up_all(&prq->idle);
}

static int soft_prq_thread(void *data)
{
	struct soft_iommu *iommu = data;
	struct soft_request reqs[SOFT_PRQ_BATCH];
	struct soft_prq *prq = &iommu->prq;
	struct iopf_worker *worker;
	unsigned int nr;
	bool is_single;

	/* Like the thread of an interrupt, which this is for a real driver */
	sched_set_fifo(current);
	while (!kthread_should_stop()) {
		wait_event_idle(prq->work, soft_prq_has_work(prq) || kthread_should_stop());
		while ((nr = soft_prq_take(iommu, reqs, &is_single))) {
			worker = soft_prq_report(iommu, reqs, nr, is_single);
			soft_prq_done(iommu, nr, worker);
			soft_serve_single(iommu, worker);
		}
		soft_prq_end_overflow(iommu);
	}
	return 0;
}

static bool soft_prq_is_idle(struct soft_prq *prq)
{
	guard(spinlock)(&prq->lock);
	return !prq->busy;
}

static bool soft_prq_is_serving(struct soft_prq *prq)
{
	guard(spinlock)(&prq->lock);
	return prq->serving;
}

/* Waits until the thread serves no request itself. */
void soft_prq_sync_single(struct soft_iommu *iommu)
{
	wait_event(iommu->prq.idle, !soft_prq_is_serving(&iommu->prq));
}

static bool soft_prq_is_empty(struct soft_prq *prq)
{
	guard(spinlock)(&prq->lock);
	return prq->hold || (prq->head == prq->tail && !prq->overflow);
}

void soft_iommu_hold_prq(struct soft_iommu *iommu, bool hold)
{
	struct soft_prq *prq = &iommu->prq;

	if (iommu->backend)
		soft_violation(iommu, "%s has no ring to hold", iommu->backend->name);
	scoped_guard(spinlock, &prq->lock)
		prq->hold = hold;
	if (hold)
		wait_event(prq->idle, soft_prq_is_idle(prq));
	else
		wake_up(&prq->work);
}

void soft_iommu_serve_single(struct soft_iommu *iommu, bool on)
{
	guard(spinlock)(&iommu->prq.lock);
	iommu->prq.serves_single = on;
}

/* Without the lock: what it changes is seen by the thread, which sleeps, when that is woken. */
static void soft_prq_release(struct timer_list *timer)
{
	struct soft_prq *prq = container_of(timer, struct soft_prq, release);

	WRITE_ONCE(prq->hold, false);
	wake_up(&prq->work);
}

void soft_iommu_release_prq_later(struct soft_iommu *iommu, unsigned int ticks)
{
	mod_timer(&iommu->prq.release, jiffies + ticks);
}

void soft_iommu_take_all(struct soft_iommu *iommu, bool on)
{
	WRITE_ONCE(iommu->prq.take_all, on);
}

/* A thread that a test holds makes no progress to wait for. */
void soft_iommu_sync_prq(struct soft_iommu *iommu)
{
	if (iommu->backend)
		iommu->backend->sync(iommu->backend_data);
	else
		wait_event(iommu->prq.idle, soft_prq_is_empty(&iommu->prq));
}

static u64 soft_prq_end(struct soft_endpoint *ep)
{
	guard(spinlock)(&ep->iommu->prq.lock);
	return ep->prq_end;
}

/* Is one of the requests before @end still there? */
static bool soft_prq_holds(struct soft_endpoint *ep, ioasid_t pasid, u64 end)
{
	struct soft_iommu *iommu = ep->iommu;
	struct soft_prq *prq = &iommu->prq;

	soft_count(iommu, drain_turns);
	guard(spinlock)(&prq->lock);
	for (u64 nr = prq->head; nr < end; nr++) {
		const struct soft_request *req = soft_prq_at(prq, nr);

		soft_count(iommu, drain_looked);
		if (req->rid == ep->rid &&
		    (pasid == IOMMU_PASID_INVALID || req->prm.pasid == pasid))
			return true;
	}
	return false;
}

/*
 * Waits until what @ep has put into the ring so far with @pasid has been reported;
 * IOMMU_PASID_INVALID means any PASID. A device that has nothing there waits for nothing.
 */
void soft_prq_drain(struct soft_endpoint *ep, ioasid_t pasid)
{
	u64 end = soft_prq_end(ep);

	if (!wait_event_timeout(ep->iommu->prq.idle, !soft_prq_holds(ep, pasid, end),
				SOFT_LONG_TIME))
		soft_violation(ep->iommu, "%s, PASID %u: a drain does not end",
			       soft_endpoint_name(ep), pasid);
}

void soft_prq_init(struct soft_iommu *iommu, unsigned int entries)
{
	struct soft_prq *prq = &iommu->prq;

	prq->size = roundup_pow_of_two(entries ?: 64);
	spin_lock_init(&prq->lock);
	init_waitqueue_head(&prq->work);
	init_waitqueue_head(&prq->idle);
	timer_setup(&prq->release, soft_prq_release, 0);
}

int soft_prq_start(struct soft_iommu *iommu)
{
	struct soft_prq *prq = &iommu->prq;

	prq->ring = kvcalloc(prq->size, sizeof(*prq->ring), GFP_KERNEL);
	if (!prq->ring)
		return -ENOMEM;
	prq->thread = kthread_run(soft_prq_thread, iommu, "soft-iommu-prq");
	if (IS_ERR(prq->thread)) {
		kvfree(prq->ring);
		return PTR_ERR(prq->thread);
	}
	return 0;
}

void soft_prq_stop(struct soft_iommu *iommu)
{
	timer_shutdown_sync(&iommu->prq.release);
	kthread_stop(iommu->prq.thread);
	kvfree(iommu->prq.ring);
}
