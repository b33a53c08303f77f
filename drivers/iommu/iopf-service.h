/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O page faults: services, for owners that have one as a part of their own structure
 *
 * Only iopf-service.c and its neighbours use the fields of services and workers. The owner calls
 * the functions below; its handlers see struct iopf_job.
 */
#ifndef _DRIVERS_IOMMU_IOPF_SERVICE_H
#define _DRIVERS_IOMMU_IOPF_SERVICE_H

#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "iopf.h"

/*
 * The most groups of one service that may be in work at the same time. More would let one process
 * with faults that never end (userfaultfd, FUSE) hold all workers; fewer would serialise the
 * devices and channels of an ordinary one.
 */
#define IOPF_MAX_WORKERS		4
/* Groups that a worker serves with one reference to the mm, and answers with one submission. */
#define IOPF_BATCH		32
#define IOPF_PAGE_HASH_BITS	5

struct iopf_device;
struct iopf_wq;

/**
 * struct iopf_worker - one of the workers of a service, and what it works on
 * @job: what @svc's handler sees of it
 * @work: queued on the workqueue of @svc's wq
 * @starting: it is queued and does not run yet, and @svc was idle before
 * @svc: the service it works for
 * @group: the group in work; NULL if a drain has taken it. Guarded by @svc's lock.
 * @pos: the request of @group in work; same guard
 * @late_device: the device whose group a drain has taken, with a reference; same guard
 * @done: groups that are served and not answered, through &iopf_group.node; same guard
 * @has_blocked: the handler may have blocked in this batch
 * @taken: how many groups this batch has had
 * @since: when the first group of @done was put there, in jiffies
 * @prm: a copy of the request in work, which stays when @group goes
 */
struct iopf_worker {
	struct iopf_job job;
	struct work_struct work;
	bool starting;
	struct iopf_service *svc;
	struct iopf_group *group;
	struct iopf_fault *pos;
	struct iopf_device *late_device;
	struct list_head done;
	bool has_blocked;
	unsigned int taken;
	unsigned long since;
	struct iommu_fault_page_request prm;
};

/**
 * struct iopf_service - groups that workers serve, with an upper bound on the workers
 * @users: callers of iopf_service_use(), each group handed to it and not yet freed,
 *	each worker at work
 * @lock: guards all below and the workers; nests inside the fault queue's device lock
 * @waiting: groups that no worker has taken yet, oldest first, through &iopf_group.node
 * @nr_waiting: how many these are
 * @idle: bit n: worker n neither runs nor is queued
 * @nr_running: workers that are neither idle nor blocked
 * @pages: the groups of one request that wait or are in work, by page. Groups that ask for the same
 *	page are in &iopf_slot.coalesced of the first one.
 * @inline_at: when the thread that reads a hardware queue last served a group though something else
 *	waited for its CPU, in jiffies
 * @inline_fails: such a thread could not serve the latest group that it tried without blocking, and
 *	no worker has served a batch so since
 * @ops: what it does
 * @wq: where its workers are queued; NULL before the first bind
 * @workers: the workers
 */
struct iopf_service {
	refcount_t users;
	spinlock_t lock;	/* of all below, and the workers */
	struct list_head waiting;
	unsigned int nr_waiting;
	unsigned long idle;
	unsigned int nr_running;
	struct hlist_head pages[1 << IOPF_PAGE_HASH_BITS];
	unsigned long inline_at;
	bool inline_fails;
	const struct iopf_service_ops *ops;
	struct iopf_wq *wq;
	struct iopf_worker workers[IOPF_MAX_WORKERS];
};

void iopf_service_init(struct iopf_service *svc, const struct iopf_service_ops *ops);
void iopf_service_begin(struct iopf_service *svc);
int iopf_service_get_wq(struct iopf_service *svc);
void iopf_service_destroy(struct iopf_service *svc);
bool iopf_service_use(struct iopf_service *svc);
void iopf_service_add(struct iopf_service *svc, struct iopf_group *group);

/**
 * iopf_service_put_many - Cease to be so many users of a service
 * @svc: the service; its &iopf_service_ops.free is called when the last user is gone
 * @nr: how many, at least 1
 *
 * Context: any that may take a spinlock.
 */
static inline void iopf_service_put_many(struct iopf_service *svc, unsigned int nr)
{
	if (refcount_sub_and_test(nr, &svc->users))
		svc->ops->free(svc);
}

/* The same, for one user */
static inline void iopf_service_put(struct iopf_service *svc)
{
	iopf_service_put_many(svc, 1);
}

/**
 * iopf_job_group_pending - Does the group in work still need a response?
 * @job: as passed to &iopf_service_ops.serve
 *
 * A handler asks before long work: a drain or the removal of the device may have answered the
 * group.
 *
 * Context: process, inside &iopf_service_ops.serve.
 * Return: false if the group has been answered.
 */
static inline bool iopf_job_group_pending(struct iopf_job *job)
{
	return READ_ONCE(container_of(job, struct iopf_worker, job)->group);
}

#endif /* _DRIVERS_IOMMU_IOPF_SERVICE_H */
