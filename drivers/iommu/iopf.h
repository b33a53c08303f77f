/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O page faults: what the fault queue offers to the handlers inside the IOMMU core.
 */
#ifndef _DRIVERS_IOMMU_IOPF_H
#define _DRIVERS_IOMMU_IOPF_H

#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct seq_file;

/*
 * The most groups of one service that may be in work at the same time. More would let one process
 * with faults that never end (userfaultfd, FUSE) hold all workers; fewer would serialise the
 * devices and channels of an ordinary one.
 */
#define IOPF_LANES		4
/* Groups that a lane serves with one reference to the mm, and answers with one submission. */
#define IOPF_BATCH		32
#define IOPF_PAGE_HASH_BITS	5

struct iopf_crew;
struct iopf_device;
struct iopf_service;

/**
 * struct iopf_lane - one of the workers of a service, and what it works on
 * @work: queued on the workqueue of @svc's crew
 * @starting: it does not run yet, nor does another lane of @svc
 * @is_reporter: it is the thread that reads the hardware queue: it must not wait
 * @svc: the service it works for
 * @group: the group in work; NULL when somebody else has answered it. Guarded by @svc's lock.
 * @pos: the request of @group in work; same guard
 * @late: the device whose group has been taken away, with a reference; same guard
 * @done: groups that are served and not answered, through &iopf_group.node; same guard
 * @taken: how many groups this batch has had
 * @since: when the first group of @done was put there, in jiffies
 * @prm: a copy of the request in work, which stays when @group goes
 * @has_next: there is a request behind @prm
 * @away: it does something that may take long
 * @is_new: @prm has not been returned by iopf_lane_next() yet
 * @vma: for @serve: what it has locked, and keeps from one request to the next
 * @suspect: the request may belong to a group that the device has given up: after an overflow of
 *	the hardware queue a partial may stay behind whose last page was lost, and meet a later
 *	group with the same PRG index. It is served, but its failure is not the group's.
 * @code: set by &iopf_service_ops.serve: the answer to the group in work
 * @why: set with @code: how the group is counted; IOPF_SERVED to begin with
 */
struct iopf_lane {
	struct work_struct work;
	bool starting;
	bool is_reporter;
	struct iopf_service *svc;
	struct iopf_group *group;
	struct iopf_fault *pos;
	struct iopf_device *late;
	struct list_head done;
	unsigned int taken;
	unsigned long since;
	struct iommu_fault_page_request prm;
	bool has_next;
	bool away;
	bool is_new;
	struct vm_area_struct *vma;
	bool suspect;
	enum iommu_page_response_code code;
	enum iopf_count why;
};

/**
 * struct iopf_service_ops - what a service does
 * @serve: for each group of a batch, as iopf_lane_next_group() hands them out, handles the requests
 *	that iopf_lane_next() returns and sets &iopf_lane.code. In process context, may sleep, no
 *	locks held.
 * @rest: answers are about to be sent: what @serve keeps from one request to the next is let go.
 *	Inside @serve or after it.
 * @timed_out: the time limit has answered a group in the place of @serve. Atomic, inside an RCU
 *	read-side section in which the attachment stays.
 * @free: called when the last user is gone, from any context that may take a spinlock
 */
struct iopf_service_ops {
	void (*serve)(struct iopf_lane *lane);
	void (*rest)(struct iopf_lane *lane);
	void (*timed_out)(struct iommu_attach_handle *handle,
			  const struct iommu_fault_page_request *prm);
	void (*free)(struct iopf_service *svc);
};

/**
 * struct iopf_service - groups that workers serve, with an upper bound on the workers
 * @users: those who said so with iopf_service_use(), each group handed to it and not yet freed,
 *	each lane at work
 * @lock: guards all below and the lanes; nests inside the fault queue's device lock
 * @waiting: groups that no lane has taken yet, oldest first, through &iopf_group.node
 * @nr_waiting: how many these are
 * @idle: bit n: lane n has no work queued
 * @nr_running: lanes that are neither idle nor away
 * @pages: the groups that wait or are in work and ask for one page, by page. Groups that ask for
 *	the same hang on the first one.
 * @ops: what it does
 * @crew: where its lanes are queued; NULL before the first bind
 * @lanes: the workers
 */
struct iopf_service {
	refcount_t users;
	spinlock_t lock;	/* of all below, and the lanes */
	struct list_head waiting;
	unsigned int nr_waiting;
	unsigned long idle;
	unsigned int nr_running;
	struct hlist_head pages[1 << IOPF_PAGE_HASH_BITS];
	const struct iopf_service_ops *ops;
	struct iopf_crew *crew;
	struct iopf_lane lanes[IOPF_LANES];
};

void iopf_service_init(struct iopf_service *svc, const struct iopf_service_ops *ops);
int iopf_service_hire(struct iopf_service *svc);
void iopf_service_destroy(struct iopf_service *svc);
bool iopf_service_use(struct iopf_service *svc);
void iopf_service_put(struct iopf_service *svc);
void iopf_service_add(struct iopf_service *svc, struct iopf_group *group);

bool iopf_lane_next_group(struct iopf_lane *lane);
const struct iommu_fault_page_request *iopf_lane_next(struct iopf_lane *lane);
bool iopf_lane_may_wait(struct iopf_lane *lane);
bool iopf_lane_is_wanted(struct iopf_lane *lane);
struct iommu_attach_handle *iopf_lane_handle(struct iopf_lane *lane);
void iopf_lane_count(struct iopf_lane *lane, enum iopf_count what, u64 nr);
void iopf_device_count(struct device *dev, enum iopf_count what, u64 nr);

/* For the thread of a vendor driver that reads a hardware queue */
struct iopf_lane *iopf_report_lone(struct device *dev, struct iopf_fault *evt);
void iopf_serve_lone(struct iopf_lane *lane);

/* Of a hardware queue, one entry in this many is kept for stop markers, which need no credit. */
#define IOPF_MARKER_SHARE	8
/* What a device gets of a queue that has been given away */
#define IOPF_MIN_CREDITS	8U

/* Of a queue of @entries, @granted of them given away: up to @wanted, and half of what is left. */
static inline u32 iopf_credit_share(u32 entries, u32 granted, u32 wanted)
{
	u32 all = entries - entries / IOPF_MARKER_SHARE;
	u32 left = all - min(all, granted);

	return min(wanted, max(left / 2, IOPF_MIN_CREDITS));
}

/* Answers all of a (device, PASID) through hardware and software, as the vendor driver does it. */
void iopf_drain_through(struct device *dev, ioasid_t pasid);
void iopf_drain_attachment(struct device *dev, ioasid_t pasid,
			   const struct iommu_attach_handle *handle);
bool iopf_device_is_fit(struct device *dev);

/* Strays: see iommu-pasid.c */
bool pasid_note_stray(struct device *dev, ioasid_t pasid);
bool pasid_is_barred(struct device *dev, ioasid_t pasid);
void pasid_forget_device(struct device *dev);
u64 pasid_quarantine_ends(void);
void pasid_show_strays(struct seq_file *m);

#ifdef CONFIG_DEBUG_FS
void iopf_debugfs_add(struct device *dev);
void iopf_debugfs_remove(struct device *dev);
#else
static inline void iopf_debugfs_add(struct device *dev)
{
}

static inline void iopf_debugfs_remove(struct device *dev)
{
}
#endif

#if IS_ENABLED(CONFIG_KUNIT)
bool iommu_pasids_in_use(void);
void iopf_flush_lanes(void);
unsigned int iopf_device_busy(struct device *dev);
#endif

#endif /* _DRIVERS_IOMMU_IOPF_H */
