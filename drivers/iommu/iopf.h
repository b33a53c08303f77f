/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O page faults: what the fault queue offers to the handlers inside the IOMMU core.
 */
#ifndef _DRIVERS_IOMMU_IOPF_H
#define _DRIVERS_IOMMU_IOPF_H

#include <linux/bits.h>
#include <linux/iommu.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>

struct pci_dev;
struct seq_file;

struct iopf_service;
struct iopf_worker;

/**
 * struct iopf_job - what a service's handler works on, and the answer that it gives
 * @server: the handler's: what it needs to know from one request to the next
 * @is_inline: the handler runs in the thread that reads the hardware queue, and must not wait
 * @blocked: the handler has called iopf_job_will_block() for the group in work, and may block
 * @has_next: the group has a request behind the one in work
 * @maybe_stale: the request may belong to a group that the device has given up: after an overflow
 *	of the hardware queue a partial may stay behind whose last page was lost, and meet a later
 *	group with the same PRG index. It is served, but its failure is not the group's.
 * @code: set by the handler: the answer to the group in work
 * @why: set with @code: how the group is counted; IOPF_SERVED to begin with
 * @reason: of IOPF_FAILED: what listeners are told; 0 to begin with
 *
 * The queue sets @is_inline, @blocked, @has_next and @maybe_stale; the handler sets the others.
 * Only the thread that serves looks at them.
 */
struct iopf_job {
	void *server;
	bool is_inline;
	bool blocked;
	bool has_next;
	bool maybe_stale;
	enum iommu_page_response_code code;
	enum iopf_count why;
	enum iommu_sva_fault_reason reason;
};

/**
 * struct iopf_service_ops - what a service does
 * @serve: for each group of a batch handles the request that iopf_job_next_group() returns, and
 *	those that iopf_job_next() returns after it, and sets &iopf_job.code. In process context,
 *	may sleep; the caller holds no locks.
 * @unlock: lets go of what @serve keeps from one request to the next. The worker calls it, inside
 *	@serve or after it, before it sends answers.
 * @timed_out: told that the time limit has answered a group in the place of @serve. Atomic, inside
 *	an RCU read-side section in which the attachment stays.
 * @free: called when the last user is gone, from any context that may take a spinlock
 */
struct iopf_service_ops {
	void (*serve)(struct iopf_service *svc, struct iopf_job *job);
	void (*unlock)(struct iopf_job *job);
	void (*timed_out)(struct iommu_attach_handle *handle,
			  const struct iommu_fault_page_request *prm);
	void (*free)(struct iopf_service *svc);
};

const struct iommu_fault_page_request *iopf_job_next_group(struct iopf_job *job);
const struct iommu_fault_page_request *iopf_job_next(struct iopf_job *job);
bool iopf_job_will_block(struct iopf_job *job);
struct iommu_attach_handle *iopf_job_handle(struct iopf_job *job);
void iopf_job_count(struct iopf_job *job, enum iopf_count what, u64 nr);
void iopf_job_count_major(struct iopf_job *job);
void iopf_device_count(struct device *dev, enum iopf_count what, u64 nr);

/* For the thread of a vendor driver that reads a hardware queue */
struct iopf_worker *iopf_report_single(struct device *dev, struct iopf_fault *evt);
void iopf_serve_inline(struct iopf_worker *worker);

/* Credits leave one entry in so many of a hardware queue to stop markers, which need none. */
#define IOPF_MARKER_SHARE	8
/* The least that a device gets, even when the queue has no credits left */
#define IOPF_MIN_CREDITS	8U

/* Of @entries, of which others have @granted: up to @wanted, but half of the rest. */
static inline u32 iopf_credit_share(u32 entries, u32 granted, u32 wanted)
{
	u32 all = entries - entries / IOPF_MARKER_SHARE;
	u32 left = all - min(all, granted);

	return min(wanted, max(left / 2, IOPF_MIN_CREDITS));
}

/* Answers all of a (device, PASID), in hardware too, by the vendor driver's drain. */
void iopf_drain_hw_pasid(struct device *dev, ioasid_t pasid);

/*
 * How long a drain waits for the thread that reads the hardware queue, which waits for no fault. In
 * steps: while a machine is stopped its clock goes on and the thread does not.
 */
#define IOPF_READER_STEPS	10
#define iopf_await_reader(var, cond, step) ({					\
	bool _met = false;							\
										\
	for (unsigned int _n = 0; !_met && _n < IOPF_READER_STEPS; _n++)	\
		_met = wait_var_event_timeout(var, cond, step);			\
	_met;									\
})

void iopf_drain_attachment(struct device *dev, ioasid_t pasid,
			   const struct iommu_attach_handle *handle);
bool iopf_device_may_bind(struct device *dev);

/* Lines about a device in the kernel's log. Each kind has its own limit for each device. */
enum iopf_line {
	IOPF_LINE_STRAY,
	IOPF_LINE_BIND_BLOCKED,
	IOPF_LINE_NO_PASID,
	IOPF_LINE_NO_HANDLER,
	IOPF_LINE_OVERRUN,
	IOPF_LINE_TIMEOUT,
	/* Page requests may come after the drain of their PASID. */
	IOPF_LINE_LATE,
	IOPF_NR_LINES,
};

#ifdef CONFIG_IOMMU_IOPF
bool iopf_may_log(struct device *dev, enum iopf_line line);
void iopf_drain_gives_up(struct device *dev, ioasid_t pasid);
#else
static inline void iopf_drain_gives_up(struct device *dev, ioasid_t pasid)
{
}

static inline bool iopf_may_log(struct device *dev, enum iopf_line line)
{
	return false;
}
#endif

/* iopf-reset.c */

/**
 * enum iopf_flow - what the queue does with requests that a device sends: &dev_iommu.flow
 * @IOPF_RUNNING: it takes them
 * @IOPF_STOPPING: a reset is near: it answers them Invalid Request
 * @IOPF_IN_RESET: the device has forgotten them, or is about to: it drops them; those of a device
 *	that stalls it answers as before. The vendor driver sends the device no ATC invalidations.
 */
enum iopf_flow {
	IOPF_RUNNING,
	IOPF_STOPPING,
	IOPF_IN_RESET,
};

enum iopf_pause_reason {
	IOPF_PAUSE_RESET,
	IOPF_PAUSE_ERROR,	/* error recovery has the device cut off, and resets it */
	IOPF_PAUSE_SLEEP,
	IOPF_PAUSE_DRIVER,	/* iopf_quiesce_device(); last */
};

/**
 * iopf_pauses_add() - Note one more reason why a device is paused
 * @pauses: a bit for each reason of the PCI core, which may give each several times; the bits above
 *	them count the calls of drivers, which nest
 * @reason: the reason
 *
 * Return: true if it is the only one.
 */
static inline bool iopf_pauses_add(unsigned int *pauses, enum iopf_pause_reason reason)
{
	unsigned int old = *pauses;

	*pauses = reason == IOPF_PAUSE_DRIVER ? old + BIT(reason) : old | BIT(reason);
	return !old;
}

/**
 * iopf_pauses_del() - Remove a reason why a device is paused
 * @pauses: see iopf_pauses_add()
 * @reason: the reason; the function does nothing if it has not been noted
 *
 * Return: true if that was the last one.
 */
static inline bool iopf_pauses_del(unsigned int *pauses, enum iopf_pause_reason reason)
{
	unsigned int old = *pauses;

	if (reason != IOPF_PAUSE_DRIVER)
		*pauses &= ~BIT(reason);
	else if (old >= BIT(reason))
		*pauses -= BIT(reason);
	return old && !*pauses;
}

void iopf_pause(struct device *dev, enum iopf_pause_reason reason);
void iopf_unpause(struct device *dev, enum iopf_pause_reason reason);

/* Drops a reference to what the IOMMU core knows of a device, or NULL; the core itself has one. */
static inline void iopf_param_put(struct dev_iommu *param)
{
	if (param && refcount_dec_and_test(&param->users))
		kfree_rcu(param, rcu);
}

#ifdef CONFIG_IOMMU_IOPF
void iopf_device_leaves(struct device *dev);
#else
static inline void iopf_device_leaves(struct device *dev)
{
}
#endif

/* iopf-atc.c */
int iopf_atc_use(struct device *dev, ioasid_t pasid);
void iopf_atc_leave(struct device *dev, ioasid_t pasid);
bool iopf_atc_is_unconfirmed(struct device *dev);
void iopf_atc_confirmed(struct device *dev);
unsigned int iopf_atc_failures(struct device *dev);
bool iopf_atc_pause(struct device *dev, enum iopf_pause_reason reason, bool on_queue);
bool iopf_atc_unpause(struct device *dev, enum iopf_pause_reason reason);
void iopf_atc_obey_pause(struct device *dev);
bool iopf_atc_hold(struct device *dev, ioasid_t pasid);
#ifdef CONFIG_IOMMU_IOPF
void iopf_atc_unconfirmed(struct device *dev, ioasid_t pasid);
bool iopf_atc_holds(ioasid_t pasid, const struct iommu_group *group);
void iopf_atc_forget(struct device *dev);
#else
static inline void iopf_atc_unconfirmed(struct device *dev, ioasid_t pasid)
{
}

static inline bool iopf_atc_holds(ioasid_t pasid, const struct iommu_group *group)
{
	return false;
}

static inline void iopf_atc_forget(struct device *dev)
{
}
#endif

/* iopf-stray.c */
#ifdef CONFIG_IOMMU_IOPF
bool pasid_is_in_quarantine(ioasid_t pasid, const struct iommu_group *group);
#else
static inline bool pasid_is_in_quarantine(ioasid_t pasid, const struct iommu_group *group)
{
	return false;
}
#endif
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
void iopf_flush_workers(void);
unsigned int iopf_device_busy(struct device *dev);
struct pci_dev *iopf_pci_next(struct pci_dev *from);
#endif

#endif /* _DRIVERS_IOMMU_IOPF_H */
