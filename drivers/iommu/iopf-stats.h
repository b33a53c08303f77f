/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O page fault queue: statistics of bonds, devices and queues
 *
 * Always on. Who takes, claims or coalesces a request counts it under the device's lock, which it
 * holds anyway: what is counted for each request are plain numbers, and no memory is allocated.
 *
 * A request is counted in one place: with the bond that its PASID belongs to, or with the device if
 * that has none. When a bond goes, its numbers are added to the device's; when a device leaves its
 * queue, to the queue's. So the numbers of a device are its own and those of its bonds, since it
 * has joined its queue.
 */
#ifndef _DRIVERS_IOMMU_IOPF_STATS_H
#define _DRIVERS_IOMMU_IOPF_STATS_H

#include <linux/bitops.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/timex.h>

struct iopf_device;
struct seq_file;

/*
 * Buckets of a histogram. Bucket n has what took from 2^n to 2^(n + 1) - 1 ticks of iopf_clock(),
 * bucket 0 also what took none. So there is one for each difference, and no need to look. In the
 * last one are differences below zero: the clocks of two CPUs may differ a little. Readers find
 * them in bucket 0.
 */
#define IOPF_LATENCIES		64
#define IOPF_BOND_BITS		6

/**
 * struct iopf_stats - what has become of page requests
 * @counts: by enum iopf_count, from IOPF_REQUESTS to IOPF_OVERRUN. Of a device and a queue:
 *	without the requests that found no attachment, which &iopf_device.counts has.
 * @reasons: of IOPF_FAILED: by enum iommu_sva_fault_reason; 0: any other
 * @coalesced: groups that waited for the result of another one for the same page
 * @batches: how often a worker has answered; between two batches it took new groups
 * @drains: how often a drain, or the removal of the device, has answered what was pending
 * @resets: of a device and a queue: how often the device was reset
 * @latency: groups by the time from the report of the last page until a thread claimed the answer,
 *	after which it sends the response
 * @majors: groups whose pages the kernel had to wait for: major faults
 * @ahead: IOPF_AHEAD, IOPF_AHEAD_USED and IOPF_AHEAD_UNUSED
 *
 * &iopf_device.lock guards all but @majors and @ahead.
 */
struct iopf_stats {
	u64 counts[IOPF_OVERRUN + 1];
	u64 reasons[IOMMU_SVA_FAULT_NO_PAGE + 1];
	u64 coalesced;
	u64 batches;
	u64 drains;
	u64 resets;
	u64 latency[IOPF_LATENCIES];
	atomic64_t majors;
	atomic64_t ahead[3];
};

/**
 * struct iopf_bond_stats - the statistics of a (device, PASID) that belongs to a process
 * @node: in the list of all
 * @siblings: on the bond's list: its group may have several devices
 * @hash: in &iopf_device.bonds, while @idev is set
 * @dev: the device
 * @idev: the device on its fault queue, or NULL; guarded by the lock of the list of all
 * @handle: what the bond is attached with: how requests find it
 * @pasid: the PASID
 * @pid: the process that had the mm at the bind, in the initial namespace; 0: unknown
 * @comm: its name then
 * @stats: the numbers
 * @past: those that @stats had when the device last left a queue, which has them
 *
 * Lives from before the attachment until after the last drain, so what a slot of a group of @handle
 * points to is there until the group has been answered.
 */
struct iopf_bond_stats {
	struct list_head node;
	struct list_head siblings;
	struct hlist_node hash;
	struct device *dev;
	struct iopf_device *idev;
	const struct iommu_attach_handle *handle;
	ioasid_t pasid;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	struct iopf_stats stats;
	struct iopf_stats past;
};

/**
 * struct iopf_reading - statistics at one moment
 * @stats: the numbers
 * @pending: groups that have been reported and not answered
 * @partials: requests whose last page has not come
 * @overflows: of a queue: how often the hardware queue has overflowed
 * @devices: of a queue: how many devices are on it
 */
struct iopf_reading {
	struct iopf_stats stats;
	unsigned int pending;
	unsigned int partials;
	u64 overflows;
	unsigned int devices;
};

/*
 * What latencies are measured with: a few instructions, where ktime_get() takes a percent of a page
 * request.
 */
static inline u64 iopf_clock(void)
{
#if defined(CONFIG_X86) || defined(CONFIG_ARM64)
	return get_cycles();
#else
	return ktime_get_mono_fast_ns();
#endif
}

static inline unsigned int iopf_latency_bucket(u64 from, u64 to)
{
	return __fls((to - from) | 1);
}

u64 iopf_clock_to_ns(u64 ticks);
u64 iopf_ns_since(u64 then);

int iopf_bond_add(struct list_head *bonds, struct device *dev, ioasid_t pasid,
		  const struct iommu_attach_handle *handle, struct mm_struct *mm);
void iopf_bonds_del(struct list_head *bonds);
void iopf_bond_count(struct list_head *bonds, enum iopf_count what, u64 nr);
int iopf_read_stats(struct device *dev, struct iopf_reading *reading);
int iopf_read_bond(struct device *dev, ioasid_t pasid, struct iopf_reading *reading);

pid_t iopf_pid_of_bond(struct device *dev, ioasid_t pasid);

/* For debugfs */
void iopf_show_stats(struct seq_file *m, struct device *dev);
void *iopf_bonds_start(struct seq_file *m, loff_t *pos);
void *iopf_bonds_next(struct seq_file *m, void *v, loff_t *pos);
int iopf_bonds_show(struct seq_file *m, void *v);
void *iopf_queues_start(struct seq_file *m, loff_t *pos);
void *iopf_queues_next(struct seq_file *m, void *v, loff_t *pos);
int iopf_queues_show(struct seq_file *m, void *v);
void iopf_stats_stop(struct seq_file *m, void *v);

#endif /* _DRIVERS_IOMMU_IOPF_STATS_H */
