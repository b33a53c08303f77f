/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O page fault queue: statistics of bonds, devices and queues
 *
 * Always on. The thread that takes, claims or coalesces a request counts it under the device's
 * lock, which it holds anyway: the counts of requests are plain numbers, and nothing is allocated.
 *
 * One place counts a request: the bond that its PASID belongs to, or the device if there is none.
 * When a bond ends the device gets its numbers; when a device leaves its queue the queue gets the
 * device's. So the numbers of a device since it joined its queue are its own and those of its
 * bonds. Those of a bond that is older are subtracted from the device's own when it joins.
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
 * Buckets of a histogram. Bucket n counts groups that took from 2^n to 2^(n + 1) - 1 ticks of
 * iopf_clock(), bucket 0 also those that took none. So each difference has a bucket, without a
 * test. The last one counts differences below zero, since the clocks of two CPUs may differ a
 * little; readers get them in bucket 0.
 */
#define IOPF_LATENCIES		64
#define IOPF_BOND_BITS		6

/**
 * struct iopf_stats - counts of page requests and their answers
 * @counts: by enum iopf_count, from IOPF_REQUESTS to IOPF_OVERRUN. Of a device and a queue:
 *	without the requests that found no attachment, which &iopf_device.counts has.
 * @reasons: the groups counted as IOPF_FAILED, by enum iommu_sva_fault_reason; 0: any other reason
 * @coalesced: groups that waited for the result of another one for the same page
 * @batches: how often a worker has answered; it takes new groups between two batches
 * @drains: how often a drain, or the removal of the device, has answered what was pending
 * @resets: of a device and a queue: how often the device was reset
 * @latency: groups, by the time from the report of the last page until a thread claimed the group
 *	to send its response
 * @majors: pages that the kernel had to wait for: major faults
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
 * @node: in &dev_iommu.bonds
 * @siblings: in &sva_bond.stats: the bond's group may have several devices
 * @hash: in &iopf_device.bonds, while @idev is set
 * @dev: the device
 * @idev: the device on its fault queue, or NULL; guarded by &dev_iommu.bonds_lock
 * @handle: of the bond's attachment; requests find the bond by it
 * @pasid: the PASID
 * @pid: the process that had the mm at the bind, in the initial namespace; 0: unknown
 * @comm: its name then
 * @stats: the numbers
 *
 * Lives from before the attachment until after the last drain, and so longer than any slot of a
 * group that points to it.
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
};

/**
 * struct iopf_reading - statistics at one moment
 * @stats: the numbers
 * @pending: groups that have been reported and not answered
 * @partials: requests that wait for the last page of their group
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
 * The clock of latencies. It takes a few instructions; ktime_get() would take a percent of a page
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

void iopf_bond_add(struct iopf_bond_stats *bond, struct list_head *bonds, struct device *dev,
		   ioasid_t pasid, const struct iommu_attach_handle *handle, struct mm_struct *mm);
void iopf_bonds_del(struct list_head *bonds);
void iopf_stats_forget(struct device *dev);
void iopf_bond_count(struct list_head *bonds, enum iopf_count what, u64 nr);
int iopf_read_stats(struct device *dev, struct iopf_reading *reading);
int iopf_read_bond(struct device *dev, ioasid_t pasid, struct iopf_reading *reading);

pid_t iopf_pid_of_bond(struct device *dev, ioasid_t pasid);

/* For debugfs */
void iopf_show_stats(struct seq_file *m, struct device *dev);
void *iopf_bonds_start(struct seq_file *m, loff_t *pos);
void *iopf_bonds_next(struct seq_file *m, void *v, loff_t *pos);
void iopf_bonds_stop(struct seq_file *m, void *v);
int iopf_bonds_show(struct seq_file *m, void *v);
void *iopf_queues_start(struct seq_file *m, loff_t *pos);
void *iopf_queues_next(struct seq_file *m, void *v, loff_t *pos);
void iopf_queues_stop(struct seq_file *m, void *v);
int iopf_queues_show(struct seq_file *m, void *v);

#endif /* _DRIVERS_IOMMU_IOPF_STATS_H */
