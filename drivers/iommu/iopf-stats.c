// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: statistics of bonds, devices and queues
 *
 * iopf-stats.h says what is counted, and under which lock. This file has what binds, devices that
 * come and go, and readers need: no page request waits for it.
 *
 * Lists. Each device has a list of its bonds, with a lock of its own: binds for different devices
 * share none. Devices that have, or had, a bond are on one list, all queues on another, and each
 * queue has a second list of its devices: the lock of the first one is held while threads wait for
 * hardware. A bond whose device is on a fault queue is also in the device's hash, where requests
 * find it.
 *
 * Locks: see iopf-priv.h.
 *
 * Lifetime: a bond's numbers outlive all groups that point to them (struct iopf_bond_stats); those
 * of a device and of a queue are parts of these.
 */
#include <linux/atomic.h>
#include <linux/iommu.h>
#include <linux/math64.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#if defined(CONFIG_ARM64)
#include <clocksource/arm_arch_timer.h>
#endif

#include "iommu-priv.h"
#include "iopf-priv.h"

static LIST_HEAD(bound_devices);	/* dev_iommu.bound */
static LIST_HEAD(all_queues);
/* of bound_devices, all_queues, iopf_own_queue.devices; iopf_device.own for writers */
static DEFINE_MUTEX(stats_lock);

/* Ticks of iopf_clock() in a millisecond */
static u32 iopf_clock_khz(void)
{
#if defined(CONFIG_X86)
	return tsc_khz ?: 1000000;
#elif defined(CONFIG_ARM64)
	return arch_timer_get_rate() / 1000 ?: 1000000;
#else
	return 1000000;
#endif
}

/**
 * iopf_clock_to_ns() - Convert a difference of two values of iopf_clock() to time
 * @ticks: the difference, in ticks of iopf_clock()
 *
 * Context: any.
 * Return: nanoseconds, rounded down.
 */
u64 iopf_clock_to_ns(u64 ticks)
{
	return mul_u64_u32_div(ticks, 1000000, iopf_clock_khz());
}

/**
 * iopf_ns_since() - Time since a value of iopf_clock()
 * @then: iopf_clock() at that time
 *
 * Context: any.
 * Return: nanoseconds; 0 if @then is ahead, since the clocks of two CPUs may differ a little.
 */
u64 iopf_ns_since(u64 then)
{
	s64 ticks = iopf_clock() - then;

	return ticks > 0 ? iopf_clock_to_ns(ticks) : 0;
}

/* Adds @more to @sum, or with @times -1 subtracts it. */
static void iopf_stats_mix(struct iopf_stats *sum, const struct iopf_stats *more, s64 times)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sum->counts); i++)
		sum->counts[i] += times * more->counts[i];
	for (unsigned int i = 0; i < ARRAY_SIZE(sum->reasons); i++)
		sum->reasons[i] += times * more->reasons[i];
	for (unsigned int i = 0; i < IOPF_LATENCIES - 1; i++)
		sum->latency[i] += times * more->latency[i];
	sum->latency[0] += times * more->latency[IOPF_LATENCIES - 1];
	for (unsigned int i = 0; i < ARRAY_SIZE(sum->ahead); i++)
		atomic64_add(times * atomic64_read(&more->ahead[i]), &sum->ahead[i]);
	atomic64_add(times * atomic64_read(&more->majors), &sum->majors);
	sum->coalesced += times * more->coalesced;
	sum->batches += times * more->batches;
	sum->drains += times * more->drains;
	sum->resets += times * more->resets;
}

static void iopf_stats_add(struct iopf_stats *sum, const struct iopf_stats *more)
{
	iopf_stats_mix(sum, more, 1);
}

/* Bonds */

static void iopf_bond_name(struct iopf_bond_stats *bond, struct mm_struct *mm)
{
	struct task_struct *task;

	guard(rcu)();
#ifdef CONFIG_MEMCG
	task = rcu_dereference(mm->owner);
#else
	task = current->mm == mm ? current : NULL;
#endif
	if (!task)
		return;
	bond->pid = task_tgid_nr(task);
	get_task_comm(bond->comm, task);
}

static void iopf_bond_join(struct iopf_bond_stats *bond, struct iopf_device *idev)
{
	lockdep_assert_held(&bond->dev->iommu->bonds_lock);

	bond->idev = idev;
	guard(spinlock)(&idev->lock);
	hlist_add_head(&bond->hash, iopf_bond_bucket(idev, bond->pasid));
	/* An earlier handle, freed since, may have had the same address. */
	idev->recent_handle = NULL;
}

/* The numbers of a bond go to @heir: to the device if the bond ends, else a copy to the queue. */
static void iopf_bond_leave(struct iopf_bond_stats *bond, struct iopf_stats *heir)
{
	struct iopf_device *idev = bond->idev;

	lockdep_assert_held(&bond->dev->iommu->bonds_lock);

	bond->idev = NULL;
	guard(spinlock)(&idev->lock);
	hlist_del_init(&bond->hash);
	if (idev->recent_handle == bond->handle)
		idev->recent_handle = NULL;
	iopf_stats_add(heir, &bond->stats);
}

/* The first bond of a device */
static void iopf_list_device(struct dev_iommu *param)
{
	guard(mutex)(&stats_lock);
	if (list_empty(&param->bound))
		list_add_tail(&param->bound, &bound_devices);
}

/**
 * iopf_stats_forget() - Forget a device that leaves the IOMMU
 * @dev: the device, without bonds
 *
 * Context: process, may sleep.
 */
void iopf_stats_forget(struct device *dev)
{
	guard(mutex)(&stats_lock);
	list_del_init(&dev->iommu->bound);
}

/**
 * iopf_bond_add() - Add statistics of a (device, PASID) that is about to belong to a process
 * @bond: the statistics, zeroed
 * @bonds: the list that they are added to, for iopf_bonds_del()
 * @dev: the device, on a fault queue or not
 * @pasid: the PASID
 * @handle: passed to iommu_attach_device_pasid() later
 * @mm: of the process
 *
 * Context: process, may sleep.
 */
void iopf_bond_add(struct iopf_bond_stats *bond, struct list_head *bonds, struct device *dev,
		   ioasid_t pasid, const struct iommu_attach_handle *handle, struct mm_struct *mm)
{
	struct iopf_device *idev __free(iopf_device_put) = NULL;
	struct dev_iommu *param = dev->iommu;

	bond->dev = dev;
	bond->pasid = pasid;
	bond->handle = handle;
	iopf_bond_name(bond, mm);
	list_add_tail(&bond->siblings, bonds);

	if (list_empty(&param->bound))
		iopf_list_device(param);
	guard(mutex)(&param->bonds_lock);
	list_add_tail(&bond->node, &param->bonds);
	/* Under the lock: a device that leaves its queue meanwhile finds the bond in the list. */
	idev = iopf_device_get(dev);
	if (idev && idev->own)
		iopf_bond_join(bond, idev);
}

/**
 * iopf_bonds_del() - Undo iopf_bond_add() for all devices of a bond
 * @bonds: the list, which stays as it is. All its devices have been detached and drained.
 *
 * Context: process, may sleep. The statistics are the caller's alone afterwards.
 */
void iopf_bonds_del(struct list_head *bonds)
{
	struct iopf_bond_stats *bond;

	list_for_each_entry(bond, bonds, siblings) {
		guard(mutex)(&bond->dev->iommu->bonds_lock);
		if (bond->idev)
			iopf_bond_leave(bond, &bond->idev->stats);
		list_del(&bond->node);
	}
}

/**
 * iopf_bond_count() - Count pages mapped ahead for a bond, outside of a worker
 * @bonds: the list that iopf_bond_add() has filled; iopf_bonds_del() does not run during the call
 * @what: IOPF_AHEAD, IOPF_AHEAD_USED or IOPF_AHEAD_UNUSED. Of several devices the first counts it.
 * @nr: pages
 *
 * Context: any.
 */
void iopf_bond_count(struct list_head *bonds, enum iopf_count what, u64 nr)
{
	struct iopf_bond_stats *bond;

	bond = list_first_entry_or_null(bonds, struct iopf_bond_stats, siblings);
	if (bond)
		iopf_count_ahead(&bond->stats, what, nr);
}

/* Devices and queues */

/**
 * iopf_stats_add_device() - Note that a device joins a fault queue
 * @own: the queue
 * @idev: the device
 *
 * Context: process, may sleep.
 */
void iopf_stats_add_device(struct iopf_own_queue *own, struct iopf_device *idev)
{
	struct dev_iommu *param = idev->fp.dev->iommu;
	struct iopf_bond_stats *bond;

	guard(mutex)(&stats_lock);
	list_add_tail(&idev->stats_node, &own->devices);
	guard(mutex)(&param->bonds_lock);
	idev->own = own;
	list_for_each_entry(bond, &param->bonds, node) {
		/* What the bond has counted before is not since the device has joined. */
		scoped_guard(spinlock, &idev->lock)
			iopf_stats_mix(&idev->stats, &bond->stats, -1);
		iopf_bond_join(bond, idev);
	}
}

static void iopf_read_device(struct iopf_device *idev, struct iopf_reading *sum)
{
	struct iopf_bond_stats *bond;

	guard(spinlock)(&idev->lock);
	iopf_stats_add(&sum->stats, &idev->stats);
	for (int i = 0; i < ARRAY_SIZE(idev->bonds); i++)
		hlist_for_each_entry(bond, &idev->bonds[i], hash)
			iopf_stats_add(&sum->stats, &bond->stats);
	sum->pending += list_count_nodes(&idev->fp.faults) + list_count_nodes(&idev->answering);
	sum->partials += list_count_nodes(&idev->partials);
	sum->devices++;
}

/**
 * iopf_stats_remove_device() - Note that a device has left its fault queue
 * @idev: the device, with nothing pending; iopf_device_get() finds it no more
 *
 * Context: process, may sleep.
 */
void iopf_stats_remove_device(struct iopf_device *idev)
{
	struct hlist_node *next;
	struct iopf_bond_stats *bond;

	guard(mutex)(&stats_lock);
	guard(mutex)(&idev->fp.dev->iommu->bonds_lock);
	scoped_guard(spinlock, &idev->lock)
		iopf_stats_add(&idev->own->past, &idev->stats);
	for (int i = 0; i < ARRAY_SIZE(idev->bonds); i++) {
		hlist_for_each_entry_safe(bond, next, &idev->bonds[i], hash)
			iopf_bond_leave(bond, &idev->own->past);
	}
	list_del(&idev->stats_node);
	idev->own = NULL;
}

/**
 * iopf_stats_add_queue() - Add a new fault queue to the statistics
 * @own: the queue, with its name
 *
 * Context: process, may sleep.
 */
void iopf_stats_add_queue(struct iopf_own_queue *own)
{
	guard(mutex)(&stats_lock);
	INIT_LIST_HEAD(&own->devices);
	list_add_tail(&own->node, &all_queues);
}

/**
 * iopf_stats_remove_queue() - Undo iopf_stats_add_queue()
 * @own: the queue, without devices
 *
 * Context: process, may sleep.
 */
void iopf_stats_remove_queue(struct iopf_own_queue *own)
{
	guard(mutex)(&stats_lock);
	list_del(&own->node);
}

/* Readers */

/**
 * iopf_read_stats() - Read the statistics of a device
 * @dev: the device
 * @reading: filled with the numbers since the device joined its queue
 *
 * Context: process, may sleep.
 * Return: 0, or -ENODEV if @dev is on no queue.
 */
int iopf_read_stats(struct device *dev, struct iopf_reading *reading)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	memset(reading, 0, sizeof(*reading));
	if (!idev)
		return -ENODEV;
	guard(mutex)(&stats_lock);
	if (!idev->own)
		return -ENODEV;
	iopf_read_device(idev, reading);
	return 0;
}

static unsigned int iopf_count_of(const struct list_head *groups, const struct iopf_stats *stats)
{
	struct iopf_group *group;
	unsigned int nr = 0;

	list_for_each_entry(group, groups, pending_node)
		nr += group_slot(group)->stats == stats;
	return nr;
}

static void iopf_read_bond_locked(struct iopf_bond_stats *bond, struct iopf_reading *reading)
{
	struct iopf_device *idev = bond->idev;

	lockdep_assert_held(&bond->dev->iommu->bonds_lock);

	memset(reading, 0, sizeof(*reading));
	if (!idev) {
		iopf_stats_add(&reading->stats, &bond->stats);
		return;
	}
	guard(spinlock)(&idev->lock);
	iopf_stats_add(&reading->stats, &bond->stats);
	reading->pending = iopf_count_of(&idev->fp.faults, &bond->stats) +
			   iopf_count_of(&idev->answering, &bond->stats);
}

/**
 * iopf_read_bond() - Read the statistics of a bond
 * @dev: the device
 * @pasid: the PASID of the bond
 * @reading: filled with the numbers since the bind
 *
 * Context: process, may sleep.
 * Return: 0, or -ENOENT if there is no such bond.
 */
int iopf_read_bond(struct device *dev, ioasid_t pasid, struct iopf_reading *reading)
{
	struct dev_iommu *param = dev->iommu;
	struct iopf_bond_stats *bond;

	guard(mutex)(&param->bonds_lock);
	list_for_each_entry(bond, &param->bonds, node) {
		if (bond->pasid != pasid)
			continue;
		iopf_read_bond_locked(bond, reading);
		return 0;
	}
	return -ENOENT;
}

/**
 * iopf_pid_of_bond() - Which process uses a (device, PASID)?
 * @dev: the device, on a fault queue
 * @pasid: the PASID
 *
 * For tracepoints.
 *
 * Context: any that may take a spinlock, but not under &iopf_device.lock.
 * Return: the process that had the mm at the bind, in the initial PID namespace; 0: unknown, or
 * there is no bond.
 */
pid_t iopf_pid_of_bond(struct device *dev, ioasid_t pasid)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);
	struct iopf_bond_stats *bond;

	if (!idev)
		return 0;
	guard(spinlock)(&idev->lock);
	hlist_for_each_entry(bond, iopf_bond_bucket(idev, pasid), hash)
		if (bond->pasid == pasid)
			return bond->pid;
	return 0;
}

#ifdef CONFIG_DEBUG_FS
static const char * const count_names[IOPF_OVERRUN + 1] = {
	[IOPF_REQUESTS] = "requests",
	[IOPF_SERVED] = "served",
	[IOPF_FAILED] = "failed",
	[IOPF_EXITED] = "exited",
	[IOPF_DRAINED] = "drained",
	[IOPF_TIMED_OUT] = "timed-out",
	[IOPF_OVERRUN] = "overrun",
};

static const char * const reason_names[IOMMU_SVA_FAULT_NO_PAGE + 1] = {
	[0] = "other-failures",
	[IOMMU_SVA_FAULT_NO_MAPPING] = "no-mapping",
	[IOMMU_SVA_FAULT_NO_ACCESS] = "no-access",
	[IOMMU_SVA_FAULT_NO_PAGE] = "no-page",
};

/*
 * Shows what iopf_read_counts() does not tell. Writes each name, the character @is, the number and
 * @after, which is a space or the end of a line.
 */
static void iopf_show_new(struct seq_file *m, const struct iopf_reading *r, char is, char after)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(reason_names); i++)
		seq_printf(m, "%s%c%llu%c", reason_names[i], is, r->stats.reasons[i], after);
	seq_printf(m, "coalesced%c%llu%cmajor-faults%c%lld%c", is, r->stats.coalesced, after, is,
		   (s64)atomic64_read(&r->stats.majors), after);
	seq_printf(m, "batches%c%llu%cdrains%c%llu%cpending%c%u%c", is, r->stats.batches, after, is,
		   r->stats.drains, after, is, r->pending, after);
}

static u64 iopf_latency_below(unsigned int bucket)
{
	return iopf_clock_to_ns(BIT_ULL(bucket + 1)) + 1;
}

/* On one line, pairs: an upper limit in nanoseconds, and how many groups are below it */
static void iopf_show_latency(struct seq_file *m, const struct iopf_reading *r)
{
	char between = '=';

	seq_puts(m, "latency-ns");
	for (unsigned int i = 0; i < IOPF_LATENCIES; i++) {
		if (!r->stats.latency[i])
			continue;
		seq_printf(m, "%c%llu:%llu", between, iopf_latency_below(i), r->stats.latency[i]);
		between = ',';
	}
	if (between == '=')
		seq_puts(m, "=-");
}

static void iopf_show_record(struct seq_file *m, const struct iopf_reading *r)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(count_names); i++)
		if (count_names[i])
			seq_printf(m, "%s=%llu ", count_names[i], r->stats.counts[i]);
	iopf_show_new(m, r, '=', ' ');
	seq_printf(m, "ahead=%lld ahead-used=%lld ahead-unused=%lld ",
		   (s64)atomic64_read(&r->stats.ahead[0]), (s64)atomic64_read(&r->stats.ahead[1]),
		   (s64)atomic64_read(&r->stats.ahead[2]));
	iopf_show_latency(m, r);
}

/**
 * iopf_show_stats() - Show what iopf_read_counts() does not tell of a device, a number on a line
 * @m: the file to write to
 * @dev: the device
 *
 * Context: process, may sleep.
 */
void iopf_show_stats(struct seq_file *m, struct device *dev)
{
	struct iopf_reading *r __free(kfree) = kzalloc(sizeof(*r), GFP_KERNEL);

	if (!r || iopf_read_stats(dev, r))
		return;
	iopf_show_new(m, r, ' ', '\n');
	seq_printf(m, "partials %u\nresets %llu\n", r->partials, r->stats.resets);
	for (unsigned int i = 0; i < IOPF_LATENCIES; i++)
		if (r->stats.latency[i])
			seq_printf(m, "latency-below-%llu-ns %llu\n", iopf_latency_below(i),
				   r->stats.latency[i]);
}

/* Each line is a record. Devices and queues cannot come or go between start and stop. */

/* Of @param, or of the first device behind it that has a bond; its bonds_lock is held then. */
static struct iopf_bond_stats *iopf_first_bond(struct dev_iommu *param)
{
	struct iopf_bond_stats *bond = NULL;

	list_for_each_entry_from(param, &bound_devices, bound) {
		mutex_lock(&param->bonds_lock);
		bond = list_first_entry_or_null(&param->bonds, struct iopf_bond_stats, node);
		if (bond)
			break;
		mutex_unlock(&param->bonds_lock);
	}
	return bond;
}

static struct iopf_bond_stats *iopf_next_bond(struct iopf_bond_stats *bond)
{
	struct dev_iommu *param = bond->dev->iommu;

	if (!list_is_last(&bond->node, &param->bonds))
		return list_next_entry(bond, node);
	mutex_unlock(&param->bonds_lock);
	return iopf_first_bond(list_next_entry(param, bound));
}

void *iopf_bonds_start(struct seq_file *m, loff_t *pos)
{
	struct iopf_bond_stats *bond;

	mutex_lock(&stats_lock);
	bond = iopf_first_bond(list_first_entry(&bound_devices, struct dev_iommu, bound));
	for (loff_t i = 0; i < *pos && bond; i++)
		bond = iopf_next_bond(bond);
	return bond;
}

void *iopf_bonds_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return iopf_next_bond(v);
}

void iopf_bonds_stop(struct seq_file *m, void *v)
{
	struct iopf_bond_stats *bond = v;

	if (bond)
		mutex_unlock(&bond->dev->iommu->bonds_lock);
	mutex_unlock(&stats_lock);
}

int iopf_bonds_show(struct seq_file *m, void *v)
{
	struct iopf_reading *r __free(kfree) = kzalloc(sizeof(*r), GFP_KERNEL);
	struct iopf_bond_stats *bond = v;

	if (!r)
		return -ENOMEM;
	iopf_read_bond_locked(bond, r);
	seq_printf(m, "device=%s pasid=%u pid=%d ", dev_name(bond->dev), bond->pasid, bond->pid);
	iopf_show_record(m, r);
	/* Last, since the name of a process may have any character */
	seq_puts(m, " comm=");
	seq_escape(m, bond->comm, "\n\\");
	seq_putc(m, '\n');
	return 0;
}

void *iopf_queues_start(struct seq_file *m, loff_t *pos)
{
	mutex_lock(&stats_lock);
	return seq_list_start(&all_queues, *pos);
}

void *iopf_queues_next(struct seq_file *m, void *v, loff_t *pos)
{
	return seq_list_next(v, &all_queues, pos);
}

void iopf_queues_stop(struct seq_file *m, void *v)
{
	mutex_unlock(&stats_lock);
}

int iopf_queues_show(struct seq_file *m, void *v)
{
	struct iopf_reading *r __free(kfree) = kzalloc(sizeof(*r), GFP_KERNEL);
	struct iopf_own_queue *own = list_entry(v, struct iopf_own_queue, node);
	struct iopf_device *idev;

	if (!r)
		return -ENOMEM;
	iopf_stats_add(&r->stats, &own->past);
	list_for_each_entry(idev, &own->devices, stats_node)
		iopf_read_device(idev, r);
	seq_puts(m, "queue=");
	seq_escape(m, own->name, " \t\n\\");
	seq_printf(m, " devices=%u overflows=%llu resets=%llu partials=%u ", r->devices,
		   READ_ONCE(own->overflows), r->stats.resets, r->partials);
	iopf_show_record(m, r);
	seq_putc(m, '\n');
	return 0;
}
#endif

/* What is counted of a device without its bonds, and logged */

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
 * @nr: how many to add
 *
 * Context: any.
 */
void iopf_device_count(struct device *dev, enum iopf_count what, u64 nr)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (idev)
		atomic64_add(nr, &idev->counts[what]);
}

/**
 * iopf_may_log - May a vendor driver log a line about a device?
 * @dev: the device
 * @line: the kind of line; each kind has its own limit for each device
 *
 * Context: any.
 * Return: true if it may; false if there were many of that kind lately, or if @dev is on no queue.
 */
bool iopf_may_log(struct device *dev, enum iopf_line line)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	return idev && __ratelimit(&idev->lines[line]);
}
