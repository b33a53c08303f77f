// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD back-end of the SVA core: GCR3 entries and flushes
 *
 * A domain is one io_mm on one IOMMU: the devices that may use it, and the root that the core
 * keeps. The GCR3 entry of (device, PASID) is, after
 *
 *	attach	valid, leads to the io_mm's root
 *	release	the same; the root has been emptied by the core
 *	detach	not valid
 *
 * An entry is one word, so there is no state in between. After the exit of the process it stays:
 * the walk ends at an empty root, and a translation request gets R=W=0 without an event, as for any
 * page that is not there (2.2.6, 2.5). DTE.SA and DTE.SE, which suppress events, concern all of a
 * device, whose other processes live on; so the thread that reads the event log drops the event of
 * an untranslated request if its process has exited. After a detach the thread could not tell; so
 * the detach waits until the thread has read the log.
 *
 * Devices are on the domain's list before their entry is valid and until it and all caches are
 * cleared. Flushes walk the list under RCU.
 *
 * A flush is of a range, or somewhat more if that takes fewer commands (iommu-sva-blocks.h). Each
 * device has a DomainID of its own, by which the IOMMU tags what it caches: INVALIDATE_IOMMU_PAGES
 * for each device, then INVALIDATE_IOTLB_PAGES for each with ATS, since the IOMMU may serve a
 * translation request from its TLB; and one COMPLETION_WAIT for all (2.4.1, 2.4.3, 2.4.4). The exit
 * of a process waits for hardware with interrupts off, too: once for all devices. If several IOMMUs
 * are to flush, each gets its commands first, and a COMPLETION_WAIT when the thread waits for it.
 *
 * Locks:
 *
 *	iommu_group.mutex		or, in a reset, dev_iommu.reset_lock (fault queue)
 *	  iommu_dev_data.mutex		(base) the GCR3 table, ATS and PRI of a device
 *	    amd_sva_iommu.lock		reading the PPR log; devices come and go
 *	      (fault queue)
 *	amd_sva_domain.lock		list of devices; innermost
 *	amd_iommu.lock			(base) the command buffer; innermost
 *
 * Lifetime: the core frees a domain after its last detach; a struct amd_sva_dev goes a grace period
 * after its detach; GCR3 tables go with the device's own.
 */
#define pr_fmt(fmt) "AMD-Vi: " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/cpufeature.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/mm_types.h>
#include <linux/pci.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <asm/iommu.h>

#include "amd-sva.h"
#include "iommu-pages.h"
#include "iommu-priv.h"
#include "iopf.h"
#include "iopf-pci.h"

/* Flags of IO_PAGE_FAULT (2.5.3) and INVALID_DEVICE_REQUEST (2.5.9) */
#define EVENT_FLAG_GN		BIT(0)

#define GCR3_LEAF_ENTRIES	512

/* How long a caller waits for the thread that reads the event log, and how often it looks */
#define EVENTS_TIMEOUT_US	100000
#define EVENTS_POLL_US		50

/**
 * struct amd_sva_dev - a device of a domain
 * @node: in &amd_sva_domain.devs
 * @dev_data: the device
 * @pasid: the PASID of the io_mm
 * @rcu: defers the free past flushes
 */
struct amd_sva_dev {
	struct list_head node;
	struct iommu_dev_data *dev_data;
	ioasid_t pasid;
	struct rcu_head rcu;
};

static struct amd_sva_domain *to_sva_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct amd_sva_domain, domain);
}

/* Flushes */

static void sva_add_domain(struct amd_sva_list *list, struct amd_sva_domain *sdom,
			   const struct sva_blocks b)
{
	struct amd_sva_dev *sdev;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "devices may go");

	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		amd_sva_add_pages(list, sdev->dev_data, sdev->pasid, b);
	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		if (amd_sva_ask(sdev->dev_data, sdev->pasid))
			amd_sva_add_atc(list, sdev->dev_data, sdev->pasid, b);
}

/* Finds the devices that have not completed theirs. @ret: the error of the wait, if any */
static void sva_check_domain(struct amd_sva_domain *sdom, int ret)
{
	struct amd_sva_dev *sdev;

	if (likely(!ret))
		return;
	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		if (amd_sva_has_atc(sdev->dev_data))
			amd_sva_check_atc(sdev->dev_data, sdev->pasid, ret);
}

static struct sva_blocks sva_range_blocks(unsigned long start, unsigned long end)
{
	/* The costs of the IOMMU's TLB and of ATCs: each device takes commands for both. */
	static const struct sva_costs costs = {
		.max_order = SVA_ORDER_ALL, .pages = SVA_COST_PAGES, .all = SVA_COST_ALL,
	};

	return sva_make_blocks(start, end, &costs);
}

static void amd_sva_invalidate_range(struct iommu_domain *domain, unsigned long start,
				     unsigned long end)
{
	struct amd_sva_domain *sdom = to_sva_domain(domain);
	struct amd_sva_list list;

	guard(rcu)();
	if (list_empty(&sdom->devs))
		return;
	amd_sva_start_list(&list, sdom->iommu);
	sva_add_domain(&list, sdom, sva_range_blocks(start, end));
	sva_check_domain(sdom, amd_sva_end_list(&list));
}

static void amd_sva_release(struct iommu_domain *domain)
{
	struct amd_sva_domain *sdom = to_sva_domain(domain);

	WRITE_ONCE(sdom->exited, true);
	amd_sva_invalidate_range(domain, 0, ULONG_MAX);
}

static_assert(sizeof(struct amd_sva_posted) <= IOMMU_SVA_FLUSH_NOTES * sizeof(u64));

/* The caller's RCU read-side section lasts until the wait is over. */
static bool amd_sva_start_flush(struct iommu_domain *domain, const struct iommu_sva_range *range,
				u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	struct amd_sva_domain *sdom = to_sva_domain(domain);
	struct amd_sva_list list;

	if (range->exits)
		WRITE_ONCE(sdom->exited, true);
	amd_sva_begin_post(&list, sdom->iommu, (struct amd_sva_posted *)notes);
	sva_add_domain(&list, sdom, sva_range_blocks(range->start, range->end));
	amd_sva_post_list(&list, (struct amd_sva_posted *)notes);
	return true;
}

static bool amd_sva_await_flush(struct iommu_domain *domain, const struct iommu_sva_range *range,
				u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	struct amd_sva_domain *sdom = to_sva_domain(domain);

	sva_check_domain(sdom, amd_sva_await_posted(sdom->iommu,
						    (const struct amd_sva_posted *)notes));
	return true;
}

/* Invalidates a GCR3 entry that the IOMMU may have cached as not valid. */
static void sva_announce_entry(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	struct amd_sva_list list;

	amd_sva_start_list(&list, get_amd_iommu_from_dev_data(dev_data));
	amd_sva_add_pages(&list, dev_data, pasid, sva_all_blocks());
	amd_sva_end_list(&list);
}

/* Invalidates all that IOMMU and device may have cached of a PASID whose entry has been cleared. */
static void sva_flush_entry(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	const struct sva_blocks all = sva_all_blocks();
	struct amd_sva_list list;
	bool ask;
	int ret;

	guard(rcu)();
	amd_sva_start_list(&list, get_amd_iommu_from_dev_data(dev_data));
	amd_sva_add_pages(&list, dev_data, pasid, all);
	ask = amd_sva_ask_present(dev_data, pasid);
	if (ask)
		amd_sva_add_atc(&list, dev_data, pasid, all);
	ret = amd_sva_end_list(&list);
	if (ask)
		amd_sva_check_atc(dev_data, pasid, ret);
	else if (ret == -EIO)
		iopf_atc_unconfirmed(dev_data->dev, pasid);
}

/* GCR3 tables (2.2.6.3) */

VISIBLE_IF_KUNIT u64 amd_sva_make_entry(phys_addr_t root)
{
	return __sme_set(root) | GCR3_VALID;
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_make_entry);

/* One store: hardware may read the entry at any time, as a whole. */
VISIBLE_IF_KUNIT void amd_sva_store(u64 *entry, u64 val)
{
	KUNIT_STATIC_STUB_REDIRECT(amd_sva_store, entry, val);
	WRITE_ONCE(*entry, val);
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_store);

/* Returns false if there is no memory. The base driver frees tables with the device's own. */
static bool gcr3_add_table(struct iommu_dev_data *dev_data, u64 *entry)
{
	struct amd_iommu *iommu = get_amd_iommu_from_dev_data(dev_data);
	u64 *table, none = 0;

	table = iommu_alloc_page_node(iommu->dev ? dev_to_node(&iommu->dev->dev) : NUMA_NO_NODE,
				      GFP_KERNEL);
	if (!table)
		return false;
	/* An attach of another PASID may have stored a table first. */
	if (!try_cmpxchg64(entry, &none, iommu_virt_to_phys(table) | GCR3_VALID))
		iommu_free_page(table);
	return true;
}

/* The table of the lowest level that has the entry of @pasid, or NULL */
static u64 *gcr3_leaf(struct iommu_dev_data *dev_data, ioasid_t pasid, bool alloc)
{
	const struct gcr3_tbl_info *info = &dev_data->gcr3_info;
	u64 *table = info->gcr3_tbl;

	for (int level = info->glx; table && level > 0; level--) {
		u64 *entry = &table[(pasid >> (9 * level)) % GCR3_LEAF_ENTRIES];

		if (!(READ_ONCE(*entry) & GCR3_VALID) &&
		    (!alloc || !gcr3_add_table(dev_data, entry)))
			return NULL;
		table = iommu_phys_to_virt(READ_ONCE(*entry) & PAGE_MASK);
	}
	return table;
}

/* Finds the entry of @pasid; allocates its table if there is none. NULL: there is no memory. */
VISIBLE_IF_KUNIT u64 *amd_sva_get_entry(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	u64 *leaf = gcr3_leaf(dev_data, pasid, true);

	return leaf ? &leaf[pasid % GCR3_LEAF_ENTRIES] : NULL;
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_get_entry);

/* A device whose domain has no guest tables has no GCR3 table either. */
static bool sva_has_entry(const struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	if (!dev_data->pasid_enabled || dev_data->ats_enabled != READ_ONCE(dev_data->atc_live))
		return false;
	return dev_data->gcr3_info.gcr3_tbl && pasid && pasid < dev_data->max_pasids &&
	       !(pasid >> (9 * (dev_data->gcr3_info.glx + 1)));
}

/* Adds invalidations for all PASIDs attached, and for translations without a PASID. */
static void sva_add_all_atc(struct amd_sva_list *list, struct iommu_dev_data *dev_data)
{
	const struct sva_blocks all = sva_all_blocks();

	amd_sva_add_atc(list, dev_data, IOMMU_NO_PASID, all);
	for (ioasid_t pasid = 0; pasid < dev_data->max_pasids; pasid += GCR3_LEAF_ENTRIES) {
		u64 *leaf = gcr3_leaf(dev_data, pasid, false);

		for (unsigned int i = 0; leaf && i < GCR3_LEAF_ENTRIES; i++)
			if (pasid + i && (READ_ONCE(leaf[i]) & GCR3_VALID))
				amd_sva_add_atc(list, dev_data, pasid + i, all);
	}
}

VISIBLE_IF_KUNIT u32 amd_sva_event_head(struct amd_iommu *iommu)
{
	KUNIT_STATIC_STUB_REDIRECT(amd_sva_event_head, iommu);
	return readl(iommu->mmio_base + MMIO_EVT_HEAD_OFFSET);
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_event_head);

/* Waits until the event log is empty; not for ever, since other devices may keep filling it. */
static void sva_await_events(struct amd_iommu *iommu)
{
	u32 head;

	read_poll_timeout(amd_sva_event_head, head,
			  head == readl(iommu->mmio_base + MMIO_EVT_TAIL_OFFSET), EVENTS_POLL_US,
			  EVENTS_TIMEOUT_US, false, iommu);
}

static void amd_sva_await_errors(struct device *dev)
{
	sva_await_events(get_amd_iommu_from_dev(dev));
}

/* The device has been reset. It may answer, hang again, or not have come back. */
static void amd_sva_flush_dev_atc(struct device *dev)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
	struct amd_sva_list list;

	/* The mutex keeps the GCR3 table. */
	guard(mutex)(&dev_data->mutex);
	guard(rcu)();
	if (!READ_ONCE(dev_data->atc_live))
		return;
	if (!iopf_pci_can_answer(to_pci_dev(dev))) {
		iopf_atc_unconfirmed(dev, IOMMU_PASID_INVALID);
		return;
	}
	WRITE_ONCE(dev_data->atc_hangs, false);
	if (!amd_sva_ask_present(dev_data, IOMMU_PASID_INVALID))
		return;
	amd_sva_start_list(&list, get_amd_iommu_from_dev_data(dev_data));
	sva_add_all_atc(&list, dev_data);
	amd_sva_check_atc(dev_data, IOMMU_PASID_INVALID, amd_sva_end_list(&list));
}

/* Attaching and detaching */

VISIBLE_IF_KUNIT int amd_sva_attach(struct amd_sva_domain *sdom, struct device *dev,
				    ioasid_t pasid, phys_addr_t root)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
	struct amd_sva_dev *sdev;
	u64 *entry;

	if (get_amd_iommu_from_dev(dev) != sdom->iommu)
		return -EINVAL;
	if (!sva_has_entry(dev_data, pasid))
		return -ENODEV;
	if (READ_ONCE(dev_data->atc_hangs))
		return -EBUSY;

	entry = amd_sva_get_entry(dev_data, pasid);
	if (!entry)
		return -ENOMEM;
	if (READ_ONCE(*entry) & GCR3_VALID)
		return -EBUSY;
	sdev = kzalloc(sizeof(*sdev), GFP_KERNEL);
	if (!sdev)
		return -ENOMEM;
	sdev->dev_data = dev_data;
	sdev->pasid = pasid;

	scoped_guard(spinlock, &sdom->lock)
		list_add_rcu(&sdev->node, &sdom->devs);
	amd_sva_store(entry, amd_sva_make_entry(root));
	sva_announce_entry(dev_data, pasid);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_attach);

static int amd_sva_set_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
				 struct iommu_domain *old)
{
	return amd_sva_attach(to_sva_domain(domain), dev, pasid, __pa(iommu_sva_root(domain)));
}

/* Not valid any more, nor in any cache */
static void sva_clear_entry(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	u64 *leaf = gcr3_leaf(dev_data, pasid, false);

	/* The table is gone only if a driver has broken the rules: it outlives all PASIDs. */
	if (WARN_ON_ONCE(!leaf))
		return;
	amd_sva_store(&leaf[pasid % GCR3_LEAF_ENTRIES], 0);
	sva_flush_entry(dev_data, pasid);
}

/**
 * amd_iommu_remove_dev_pasid() - Detach a (device, PASID) from an SVA domain
 * @dev: the device
 * @pasid: the PASID
 * @domain: the domain that is attached
 *
 * On return @dev can no longer translate with @pasid. The core drains page requests, before and
 * after. If the process has exited, the thread that reads the event log has read all events of it.
 *
 * Context: process; may sleep.
 */
void amd_iommu_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
	struct amd_sva_domain *sdom = to_sva_domain(domain);
	struct amd_sva_dev *sdev;

	/* Only attach and detach change the list; the core holds io_mm.lock around both. */
	list_for_each_entry(sdev, &sdom->devs, node) {
		if (sdev->dev_data == dev_data && sdev->pasid == pasid) {
			sva_clear_entry(dev_data, pasid);
			if (READ_ONCE(sdom->exited))
				sva_await_events(sdom->iommu);
			scoped_guard(spinlock, &sdom->lock)
				list_del_rcu(&sdev->node);
			kfree_rcu(sdev, rcu);
			return;
		}
	}
	WARN_ON_ONCE(1);
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_remove_dev_pasid);

/* Domains */

static void amd_sva_domain_free(struct iommu_domain *domain)
{
	kfree(to_sva_domain(domain));
}

static const struct iommu_domain_ops amd_sva_domain_ops = {
	.set_dev_pasid = amd_sva_set_dev_pasid,
	.free = amd_sva_domain_free,
};

/**
 * amd_iommu_domain_alloc_sva() - Make a domain for an io_mm and the IOMMU of a device
 * @dev: the device
 * @mm: the mm of the io_mm
 *
 * Context: process, may sleep.
 * Return: the domain, or -ENOMEM.
 */
struct iommu_domain *amd_iommu_domain_alloc_sva(struct device *dev, struct mm_struct *mm)
{
	struct amd_sva_domain *sdom = kzalloc(sizeof(*sdom), GFP_KERNEL);

	if (!sdom)
		return ERR_PTR(-ENOMEM);
	sdom->domain.ops = &amd_sva_domain_ops;
	sdom->iommu = get_amd_iommu_from_dev(dev);
	spin_lock_init(&sdom->lock);
	INIT_LIST_HEAD(&sdom->devs);
	return &sdom->domain;
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_domain_alloc_sva);

/* Events (2.5) */

/* Has the process that @dev uses with @pasid exited? */
static bool sva_has_exited(struct device *dev, ioasid_t pasid)
{
	struct iommu_attach_handle *handle;

	/* The core frees bonds and domains a grace period after the detach. */
	guard(rcu)();
	handle = iommu_attach_handle_get(dev->iommu_group, pasid, IOMMU_DOMAIN_SVA);
	return !IS_ERR(handle) && READ_ONCE(to_sva_domain(handle->domain)->exited);
}

/* Reports an aborted request with a PASID. Returns true if the event must not be logged. */
static bool sva_aborted(struct amd_iommu *iommu, u16 devid, ioasid_t pasid, u64 addr)
{
	struct iommu_dev_data *dev_data;

	/* The lock keeps devices from going away between look-up and report. */
	guard(mutex)(&iommu->sva->lock);
	dev_data = xa_load(&iommu->sva->devs, devid);
	if (!dev_data)
		return false;
	if (sva_has_exited(dev_data->dev, pasid))
		return true;
	iommu_sva_report_abort(dev_data->dev, pasid, addr);
	return false;
}

/**
 * amd_sva_event() - Handle an entry of the event log
 * @iommu: the IOMMU
 * @event: the entry, which hardware has written
 *
 * Context: process, may sleep; the thread that reads the event log.
 * Return: true if the caller must not log it, since its process has exited.
 */
bool amd_sva_event(struct amd_iommu *iommu, const u32 event[4])
{
	u16 devid = (event[0] >> EVENT_DEVID_SHIFT) & EVENT_DEVID_MASK;
	u32 flags = (event[1] >> EVENT_FLAGS_SHIFT) & EVENT_FLAGS_MASK;
	ioasid_t pasid = (event[0] & EVENT_DOMID_MASK_HI) | (event[1] & EVENT_DOMID_MASK_LO);

	if (!iommu->sva)
		return false;
	switch ((event[1] >> EVENT_TYPE_SHIFT) & EVENT_TYPE_MASK) {
	case EVENT_TYPE_IOTLB_INV_TO:
		amd_sva_timed_out(iommu, devid);
		return false;
	case EVENT_TYPE_IO_FAULT:
	/* Among others, a PASID beyond the device's GCR3 table */
	case EVENT_TYPE_INV_DEV_REQ:
		return (flags & EVENT_FLAG_GN) &&
		       sva_aborted(iommu, devid, pasid, ((u64)event[3] << 32) | event[2]);
	default:
		return false;
	}
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_event);

/* What IOMMUs and devices can */

VISIBLE_IF_KUNIT const char *amd_sva_missing_cap(u64 efr, bool snp, bool cpu_has_la57)
{
	unsigned int pasid_bits = FIELD_GET(FEATURE_PASMAX, efr) + 1;

	if (!(efr & FEATURE_GT))
		return "guest translation";
	if (!(efr & FEATURE_PPR))
		return "page requests";
	if (!(efr & FEATURE_EPHSUP))
		return "enhanced handling of page requests";
	if (pasid_bits > 9 * (FIELD_GET(FEATURE_GLX, efr) + 1))
		return "GCR3 tables for all of its PASIDs";
	if (cpu_has_la57 && FIELD_GET(FEATURE_GATS, efr) != GUEST_PGTABLE_5_LEVEL)
		return "5-level paging, which the CPU uses";
	/* A DTE without host tables (Mode 0) is prohibited then. */
	if (snp)
		return "guest translation alone, which SNP rules out";
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_missing_cap);

/* amd_iommu_efr has the features that all IOMMUs have in common. */
static const char *sva_missing_cap(void)
{
	return amd_sva_missing_cap(amd_iommu_efr, amd_iommu_snp_en,
				   cpu_feature_enabled(X86_FEATURE_LA57));
}

/**
 * amd_iommu_pasid_supported() - Can the IOMMUs do SVA?
 *
 * Context: any.
 * Return: true if they can (3.4, Extended Feature Register).
 */
bool amd_iommu_pasid_supported(void)
{
	return !sva_missing_cap();
}

/**
 * amd_sva_check() - Log what the IOMMUs lack for SVA
 *
 * Context: process; when their features have been read.
 */
void amd_sva_check(void)
{
	const char *missing = sva_missing_cap();

	if (missing)
		pr_info("no SVA: the IOMMUs lack %s\n", missing);
}

/**
 * amd_sva_enable() - Enable IOMMU_DEV_FEAT_SVA for the driver of a device
 * @dev: the device
 *
 * There is nothing to enable: its domain has enabled PASIDs. A driver learns here that no bind will
 * succeed, before it offers SVA to its users; the bind says why.
 *
 * Context: process.
 * Return: 0, or -EOPNOTSUPP: the IOMMUs lack what SVA needs, or @dev has no PASIDs, or its domain
 * has no guest tables.
 */
int amd_sva_enable(struct device *dev)
{
	if (sva_missing_cap() || !sva_has_entry(dev_iommu_priv_get(dev), IOMMU_FIRST_GLOBAL_PASID))
		return -EOPNOTSUPP;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_enable);

/* The domain enables PASIDs: the driver of @dev need not. */
static int amd_sva_check_device(struct device *dev)
{
	const struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
	const char *missing = sva_missing_cap();

	if (missing) {
		dev_err_ratelimited(dev, "no SVA: the IOMMUs lack %s\n", missing);
		return -EOPNOTSUPP;
	}
	if (!sva_has_entry(dev_data, IOMMU_FIRST_GLOBAL_PASID)) {
		dev_err_ratelimited(dev, "no SVA: its DMA needs an identity domain or v2 tables\n");
		return -EOPNOTSUPP;
	}
	return amd_ppr_check_device(dev);
}

const struct iommu_sva_ops amd_sva_ops = {
	.walks_io_mm_root = true,
	.hw_access_flag = true,
	/* Entries grant it, but the base driver enables devices' PASIDs without it. */
	.no_execute = true,
	.check_device = amd_sva_check_device,
	.invalidate_range = amd_sva_invalidate_range,
	.release = amd_sva_release,
	.start_flush = amd_sva_start_flush,
	.await_flush = amd_sva_await_flush,
	.drain = amd_ppr_drain,
	.page_responses = amd_ppr_page_responses,
	.await_errors = amd_sva_await_errors,
	.flush_atc = amd_sva_flush_dev_atc,
};
