// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: PASIDs that a device uses without being bound
 *
 * Quarantine. The table of strays remembers each (device, PASID) that is used without being bound,
 * and the allocator does not give the PASID out until the device has not used it for some time. The
 * table has a fixed number of entries, and a share of them for each device, so that a device which
 * invents PASIDs can't exhaust them for all: if it exceeds its share, it may not be bound itself.
 *
 * Strays of a few devices could take all PASIDs from a device that has few. If no other number is
 * free, the allocator gives it one that is in quarantine for other devices only: none in its own
 * group uses it. And a stray may come when its PASID has a new owner already. If the device's group
 * has not been bound to that owner yet, the stray is what an earlier owner began: bind refuses the
 * device to the new one until the quarantine is over (io_mm_get_pasid()). If it has been, the stray
 * counts as the owner's, and a driver that binds again has stopped the device.
 *
 * Locks: see iopf-priv.h.
 *
 * Lifetime: an entry of the table goes when its quarantine is over and another stray looks for
 * room, or when its device leaves its fault queue.
 */
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/moduleparam.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iopf-priv.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX	"iommu_sva."

#define PASID_STRAYS		64
#define PASID_STRAYS_PER_DEVICE	8

static unsigned int quarantine_ms = 10000;
module_param(quarantine_ms, uint, 0644);
MODULE_PARM_DESC(quarantine_ms, "Time without strays after which a PASID may be used again");

/**
 * struct pasid_stray - a device uses a PASID that is not bound on it
 * @dev: the device; NULL in an unused entry
 * @pasid: the PASID
 * @ends: when its quarantine ends, by get_jiffies_64()
 * @count: how often
 */
struct pasid_stray {
	struct device *dev;
	ioasid_t pasid;
	u64 ends;
	u64 count;
};

static struct pasid_stray strays[PASID_STRAYS];
static unsigned int strays_used;
static DEFINE_SPINLOCK(strays_lock);	/* of strays, strays_used for writers */

/* When the quarantine ends of a PASID that has just been used without being bound */
static u64 pasid_quarantine_ends(void)
{
	return get_jiffies_64() + msecs_to_jiffies(READ_ONCE(quarantine_ms));
}

static bool stray_is_over(const struct pasid_stray *stray)
{
	return time_after_eq64(get_jiffies_64(), stray->ends);
}

static void stray_forget(struct pasid_stray *stray)
{
	lockdep_assert_held(&strays_lock);
	stray->dev = NULL;
	WRITE_ONCE(strays_used, strays_used - 1);
}

/* The entry of (device, PASID), or an unused one; NULL: none is free, or the share is used up. */
static struct pasid_stray *stray_entry(struct device *dev, ioasid_t pasid)
{
	struct pasid_stray *stray, *unused = NULL;
	unsigned int share = 0;

	lockdep_assert_held(&strays_lock);

	for (stray = strays; stray < strays + PASID_STRAYS; stray++) {
		if (stray->dev == dev && stray->pasid == pasid)
			return stray;
		if (stray->dev && stray_is_over(stray))
			stray_forget(stray);
		if (!stray->dev)
			unused = stray;
		else if (stray->dev == dev)
			share++;
	}
	return share < PASID_STRAYS_PER_DEVICE ? unused : NULL;
}

/*
 * Puts a PASID in quarantine that @dev has used without being bound. False if there is no room for
 * it: then @dev must not be bound for some time.
 */
static bool pasid_note_stray(struct device *dev, ioasid_t pasid)
{
	struct pasid_stray *stray;

	guard(spinlock)(&strays_lock);
	stray = stray_entry(dev, pasid);
	if (!stray)
		return false;
	if (!stray->dev) {
		*stray = (struct pasid_stray){ .dev = dev, .pasid = pasid };
		WRITE_ONCE(strays_used, strays_used + 1);
	}
	stray->ends = pasid_quarantine_ends();
	stray->count++;
	trace_iommu_sva_quarantine(dev, pasid, stray->count);
	return true;
}

/**
 * iopf_forget_strays() - Forget the strays of a device
 * @dev: the device, which leaves its fault queue
 *
 * Context: any that may take a spinlock.
 */
void iopf_forget_strays(struct device *dev)
{
	guard(spinlock)(&strays_lock);
	for (struct pasid_stray *stray = strays; stray < strays + PASID_STRAYS; stray++)
		if (stray->dev == dev)
			stray_forget(stray);
}

/* The next entry behind @stray (NULL: the first entry) that keeps @pasid in quarantine. */
static struct pasid_stray *stray_next(struct pasid_stray *stray, ioasid_t pasid)
{
	lockdep_assert_held(&strays_lock);
	for (stray = stray ? stray + 1 : strays; stray < strays + PASID_STRAYS; stray++)
		if (stray->dev && stray->pasid == pasid && !stray_is_over(stray))
			return stray;
	return NULL;
}

/**
 * pasid_is_in_quarantine() - Is a PASID in quarantine?
 * @pasid: the PASID
 * @group: the group that the PASID is for, whose devices share one PASID table; NULL: any
 *
 * Context: any that may take a spinlock.
 * Return: true while a device of @group uses @pasid without being bound.
 */
bool pasid_is_in_quarantine(ioasid_t pasid, const struct iommu_group *group)
{
	struct pasid_stray *stray = NULL;

	if (!READ_ONCE(strays_used))
		return false;

	guard(spinlock)(&strays_lock);
	while ((stray = stray_next(stray, pasid)))
		if (!group || stray->dev->iommu_group == group)
			return true;
	return false;
}

#ifdef CONFIG_DEBUG_FS
/* The table of strays, for debugfs. */
void pasid_show_strays(struct seq_file *m)
{
	seq_puts(m, "pasid device strays ms-left\n");
	guard(spinlock)(&strays_lock);
	for (struct pasid_stray *stray = strays; stray < strays + PASID_STRAYS; stray++)
		if (stray->dev && !stray_is_over(stray))
			seq_printf(m, "%u %s %llu %u\n", stray->pasid, dev_name(stray->dev),
				   stray->count, jiffies_to_msecs(stray->ends - get_jiffies_64()));
}
#endif

void iopf_note_stray(struct iopf_device *idev, ioasid_t pasid, u64 addr, const char *what)
{
	bool noted = pasid_note_stray(idev->fp.dev, pasid);

	iopf_count(idev, IOPF_STRAY);
	if (!noted) {
		guard(spinlock)(&idev->lock);
		WRITE_ONCE(idev->bind_blocked_until, pasid_quarantine_ends());
	}
	iopf_warn(idev, STRAY, "%s for %#llx with PASID %u, which is not bound: %s\n", what, addr,
		  pasid, noted ? "it stays in quarantine while this goes on" :
		  "one of many, no more binds while this goes on");
}

/**
 * iopf_report_stray - Report DMA that the IOMMU has refused
 * @dev: the device; must not go away during the call
 * @pasid: PASID of the transaction
 * @addr: its address
 *
 * For vendor drivers. If nothing is attached to (@dev, @pasid), the driver of @dev has not stopped
 * its DMA before it unbound: the function logs that and keeps the PASID in quarantine. A domain may
 * be attached without a handle: to the PASID that a driver uses for the kernel's own DMA.
 *
 * Context: process, may sleep.
 */
void iopf_report_stray(struct device *dev, ioasid_t pasid, u64 addr)
{
	struct iopf_device *idev __free(iopf_device_put) = iopf_device_get(dev);

	if (!idev)
		return;
	/* The table must not name a device after its removal. */
	guard(mutex)(&idev->fp.lock);
	if (!idev->gone && !iommu_pasid_is_attached(dev->iommu_group, pasid))
		iopf_note_stray(idev, pasid, addr, "DMA");
}
EXPORT_SYMBOL_GPL(iopf_report_stray);

/**
 * iopf_device_may_bind - May a device be bound?
 * @dev: the device
 *
 * Context: process.
 * Return: false while it uses more PASIDs that are not bound than its share of the table holds; the
 * function logs that.
 */
bool iopf_device_may_bind(struct device *dev)
{
	struct iopf_device *idev;

	guard(rcu)();
	idev = iopf_device_find(dev);
	/* Most devices have never been blocked: it costs each bind a look. */
	if (!idev || !READ_ONCE(idev->bind_blocked_until))
		return true;
	scoped_guard(spinlock, &idev->lock)
		if (time_after_eq64(get_jiffies_64(), idev->bind_blocked_until))
			return true;
	iopf_warn(idev, BIND_BLOCKED, "uses too many PASIDs that are not bound\n");
	return false;
}
