// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing in debugfs, below iommu-sva/
 *
 *	strays		PASIDs in quarantine
 *	devices/NAME	counts of a device on a fault queue, by enum iopf_count, and its statistics
 *	bonds		statistics of each (device, PASID) that belongs to a process
 *	queues		statistics of each fault queue
 *
 * Documentation/ABI/testing/debugfs-iommu-sva says what programs may rely on.
 *
 * Locks: none of its own. Lifetime: a device's file goes before the device leaves its fault queue.
 */
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/init.h>
#include <linux/iommu.h>
#include <linux/seq_file.h>

#include "iopf.h"
#include "iopf-stats.h"

static struct dentry *devices_dir;

static const char * const count_names[IOPF_NR_COUNTS] = {
	[IOPF_REQUESTS] = "requests",
	[IOPF_SERVED] = "served",
	[IOPF_FAILED] = "failed",
	[IOPF_EXITED] = "exited",
	[IOPF_DRAINED] = "drained",
	[IOPF_TIMED_OUT] = "timed-out",
	[IOPF_STRAY] = "stray",
	[IOPF_OVERRUN] = "overrun",
	[IOPF_LOST] = "lost",
	[IOPF_LATE] = "late",
	[IOPF_STALE] = "forgotten",
	[IOPF_AHEAD] = "ahead",
	[IOPF_AHEAD_USED] = "ahead-used",
	[IOPF_AHEAD_UNUSED] = "ahead-unused",
	[IOPF_UNCONFIRMED] = "unconfirmed",
};

static int counts_show(struct seq_file *m, void *v)
{
	u64 counts[IOPF_NR_COUNTS];
	int ret;

	ret = iopf_read_counts(m->private, counts);
	if (ret)
		return ret;
	for (int i = 0; i < IOPF_NR_COUNTS; i++)
		seq_printf(m, "%s %llu\n", count_names[i], counts[i]);
	iopf_show_stats(m, m->private);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counts);

static int strays_show(struct seq_file *m, void *v)
{
	pasid_show_strays(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(strays);

static const struct seq_operations bonds_sops = {
	.start = iopf_bonds_start,
	.next = iopf_bonds_next,
	.stop = iopf_bonds_stop,
	.show = iopf_bonds_show,
};
DEFINE_SEQ_ATTRIBUTE(bonds);

static const struct seq_operations queues_sops = {
	.start = iopf_queues_start,
	.next = iopf_queues_next,
	.stop = iopf_queues_stop,
	.show = iopf_queues_show,
};
DEFINE_SEQ_ATTRIBUTE(queues);

/**
 * iopf_debugfs_add() - Show the counts of a device
 * @dev: a device on a fault queue; the caller calls iopf_debugfs_remove() before the device leaves
 *	it
 *
 * Context: process, may sleep.
 */
void iopf_debugfs_add(struct device *dev)
{
	debugfs_create_file(dev_name(dev), 0444, devices_dir, dev, &counts_fops);
}

/**
 * iopf_debugfs_remove() - Undo iopf_debugfs_add()
 * @dev: the device
 *
 * Context: process; waits for readers.
 */
void iopf_debugfs_remove(struct device *dev)
{
	debugfs_lookup_and_remove(dev_name(dev), devices_dir);
}

/* Runs before IOMMU drivers add devices to their queues. */
static int __init sva_debugfs_init(void)
{
	struct dentry *dir = debugfs_create_dir("iommu-sva", NULL);

	devices_dir = debugfs_create_dir("devices", dir);
	debugfs_create_file("strays", 0444, dir, NULL, &strays_fops);
	debugfs_create_file("bonds", 0444, dir, NULL, &bonds_fops);
	debugfs_create_file("queues", 0444, dir, NULL, &queues_fops);
	return 0;
}
core_initcall(sva_debugfs_init);
