// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core
 *
 * A domain is one io_mm on one IOMMU: a PASID, the devices that may use it, and the root that the
 * core keeps. This file writes the PASID-table entries and flushes caches:
 *
 *	attach	entry present, first-stage translation from the io_mm's root
 *	release	entry present, root empty, fault processing disabled: untranslated requests are
 *		aborted without a log line, translation requests get R=W=0
 *	detach	entry not present; what still arrives is a driver's mistake and is logged
 *
 * Devices are on the domain's list before their entry is present and until it and all caches are
 * cleared. Flushes walk the list under RCU.
 *
 * A flush is PASID-selective and of a range, or somewhat more if that takes fewer descriptors
 * (iommu-sva-blocks.h). Descriptors for the IOTLB stand before those for ATCs, because the IOMMU
 * may serve a translation request from the IOTLB (VT-d 4.1, section 6.5.2.5). One wait covers all
 * that fits into a batch.
 *
 * Locks: svm_domain.lock guards the list for writers, and keeps a detach and a release from writing
 * one PASID entry at the same time. No thread submits descriptors under it.
 *
 * Lifetime: the core frees a domain after its last detach; a struct svm_dev goes a grace period
 * after its detach; PASID tables go with the device.
 */
#define pr_fmt(fmt) "DMAR: " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/cpufeature.h>
#include <linux/dmar.h>
#include <linux/iommu.h>
#include <linux/mm_types.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "intel/iommu.h"
#include "intel/pasid.h"
#include "intel-svm.h"
#include "iommu-pages.h"
#include "iopf.h"

/**
 * struct svm_dev - a device of a domain
 * @node: in &svm_domain.devs
 * @info: the device
 * @pasid: the PASID of the io_mm
 * @entry: the PASID entry of (device, PASID)
 * @rcu: defers the free past flushes
 */
struct svm_dev {
	struct list_head node;
	struct device_domain_info *info;
	ioasid_t pasid;
	struct pasid_entry *entry;
	struct rcu_head rcu;
};

static struct svm_domain *to_svm_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct svm_domain, domain);
}

/* Descriptors */

VISIBLE_IF_KUNIT void intel_svm_make_iotlb_desc(struct qi_desc *desc, ioasid_t pasid, u64 addr,
						unsigned int order)
{
	unsigned long pages = order == SVA_ORDER_ALL ? -1UL : 1UL << order;

	*desc = (struct qi_desc){};
	qi_desc_piotlb(FLPT_DEFAULT_DID, pasid, addr, pages, 0, desc);
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_make_iotlb_desc);

VISIBLE_IF_KUNIT void intel_svm_make_atc_desc(struct qi_desc *desc,
					      const struct device_domain_info *info,
					      ioasid_t pasid, u64 addr, unsigned int order)
{
	*desc = (struct qi_desc){};
	qi_desc_dev_iotlb_pasid(PCI_DEVID(info->bus, info->devfn), info->pfsid, pasid,
				info->ats_qdep, addr, order, desc);
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_make_atc_desc);

/* Everything of all PASIDs */
VISIBLE_IF_KUNIT void intel_svm_make_atc_all_desc(struct qi_desc *desc,
						  const struct device_domain_info *info)
{
	intel_svm_make_atc_desc(desc, info, 0, 0, SVA_ORDER_ALL);
	desc->qw1 |= SVM_ATC_GLOBAL;
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_make_atc_all_desc);

/* Everything without a PASID: the kernel's DMA, which the one above does not cover */
static void svm_make_atc_untagged_desc(struct qi_desc *desc, const struct device_domain_info *info)
{
	qi_desc_dev_iotlb(PCI_DEVID(info->bus, info->devfn), info->pfsid, info->ats_qdep, 0,
			  MAX_AGAW_PFN_WIDTH, desc);
}

VISIBLE_IF_KUNIT void intel_svm_make_pasid_cache_desc(struct qi_desc *desc, ioasid_t pasid)
{
	*desc = (struct qi_desc){
		.qw0 = QI_PC_TYPE | QI_PC_GRAN(QI_PC_PASID_SEL) | QI_PC_DID(FLPT_DEFAULT_DID) |
		       QI_PC_PASID(pasid),
	};
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_make_pasid_cache_desc);

static void svm_make_fence_desc(struct qi_desc *desc)
{
	*desc = (struct qi_desc){ .qw0 = QI_IWD_TYPE | QI_IWD_FENCE };
}

/* Batches of descriptors */

/**
 * struct svm_batch - descriptors that are submitted together
 * @iommu: to which they go
 * @count: how many there are
 * @whole: they must not be submitted in parts
 * @overflow: nor can they be submitted together
 * @desc: the descriptors
 */
struct svm_batch {
	struct intel_iommu *iommu;
	unsigned int count;
	bool whole;
	bool overflow;
	struct qi_desc desc[SVM_BATCH];
};

static void svm_submit(struct svm_batch *batch)
{
	if (batch->count)
		intel_svm_submit(batch->iommu, batch->desc, batch->count, 0);
	batch->count = 0;
}

static struct qi_desc *svm_next_desc(struct svm_batch *batch)
{
	if (batch->count == SVM_BATCH && batch->whole) {
		batch->overflow = true;
		batch->count = 0;
	}
	if (batch->count == SVM_BATCH)
		svm_submit(batch);
	return &batch->desc[batch->count++];
}

static void svm_add_iotlb(struct svm_batch *batch, ioasid_t pasid, struct sva_blocks b)
{
	do {
		intel_svm_make_iotlb_desc(svm_next_desc(batch), pasid, b.pfn << VTD_PAGE_SHIFT,
					  sva_block_order(&b));
	} while (sva_next_block(&b));
}

static void svm_add_atc(struct svm_batch *batch, const struct svm_dev *sdev, struct sva_blocks b)
{
	const struct device_domain_info *info = sdev->info;

	if (!intel_svm_has_atc(info))
		return;
	do {
		intel_svm_make_atc_desc(svm_next_desc(batch), info, sdev->pasid,
					b.pfn << VTD_PAGE_SHIFT, sva_block_order(&b));
	} while (sva_next_block(&b));
}

/* Some devices need each ATC invalidation twice, the second after the first has completed. */
static void svm_repeat_atc(struct svm_batch *batch, const struct svm_dev *sdev,
			   const struct sva_blocks b)
{
	if (sdev->info->dtlb_extra_inval)
		svm_add_atc(batch, sdev, b);
}

/* Adds invalidations of all that the IOMMU itself may have cached of a PASID. */
static void svm_add_entry(struct svm_batch *batch, ioasid_t pasid)
{
	/* The PASID cache first, completely: its contents refill the others (6.5.3.3). */
	intel_svm_make_pasid_cache_desc(svm_next_desc(batch), pasid);
	svm_make_fence_desc(svm_next_desc(batch));
	svm_add_iotlb(batch, pasid, sva_all_blocks());
}

/* Flushes all caches of IOMMU and device after a change of a PASID entry. */
static void svm_flush_entry(struct intel_iommu *iommu, const struct svm_dev *sdev)
{
	const struct sva_blocks all = sva_all_blocks();
	struct svm_batch batch = { .iommu = iommu };
	bool ask;

	guard(rcu)();
	svm_add_entry(&batch, sdev->pasid);
	ask = intel_svm_may_ask(sdev->info, sdev->pasid);
	if (ask)
		svm_add_atc(&batch, sdev, all);
	svm_submit(&batch);
	if (ask)
		svm_repeat_atc(&batch, sdev, all);
	svm_submit(&batch);
}

/* The device has been reset. It may answer, hang again, or not have come back. */
static void intel_svm_flush_atc(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct qi_desc desc[2];
	unsigned int count;

	guard(rcu)();
	if (!info->ats_enabled)
		return;
	if (intel_svm_drops_atc(info)) {
		iopf_atc_unconfirmed(dev, IOMMU_PASID_INVALID);
		return;
	}
	intel_qi_trust(info);
	for (unsigned int n = 0; n <= info->dtlb_extra_inval; n++) {
		if (!intel_svm_may_ask(info, IOMMU_PASID_INVALID))
			return;
		count = 0;
		/* Others would not understand it. */
		if (info->pasid_enabled)
			intel_svm_make_atc_all_desc(&desc[count++], info);
		svm_make_atc_untagged_desc(&desc[count++], info);
		intel_svm_submit(info->iommu, desc, count, 0);
	}
}

/* PASID entries (VT-d 4.1, section 9.6): contents */

VISIBLE_IF_KUNIT void intel_svm_make_entry(struct pasid_entry *target,
					   const struct intel_iommu *iommu, phys_addr_t root,
					   bool la57)
{
	*target = (struct pasid_entry){};
	pasid_set_flptr(target, root);
	pasid_set_flpm(target, la57);
	pasid_set_domain_id(target, FLPT_DEFAULT_DID);
	pasid_set_address_width(target, iommu->agaw);
	pasid_set_page_snoop(target, true);
	pasid_set_translation_type(target, PASID_ENTRY_PGTT_FL_ONLY);
	pasid_set_bits(&target->val[0], PASID_PTE_PRESENT, PASID_PTE_PRESENT);
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_make_entry);

/* Like a live entry, but the IOMMU logs no refusals. The core has emptied the root. */
VISIBLE_IF_KUNIT void intel_svm_make_exit_entry(struct pasid_entry *target,
						const struct pasid_entry *live)
{
	*target = *live;
	pasid_set_bits(&target->val[0], PASID_PTE_FPD, PASID_PTE_FPD);
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_make_exit_entry);

/*
 * PASID entries: how to write them. Hardware reads them at any time, word by word. While the first
 * word says not present, no other counts; while it says present, only the first may change.
 */

VISIBLE_IF_KUNIT void intel_svm_store(struct pasid_entry *entry, unsigned int word, u64 val)
{
	KUNIT_STATIC_STUB_REDIRECT(intel_svm_store, entry, word, val);
	WRITE_ONCE(entry->val[word], val);
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_store);

static void svm_write_back(struct intel_iommu *iommu, void *p, size_t size)
{
	if (!ecap_coherent(iommu->ecap))
		clflush_cache_range(p, size);
}

/* From not present to present: writes the first word last. */
static void svm_publish_entry(struct intel_iommu *iommu, struct pasid_entry *entry,
			      const struct pasid_entry *target)
{
	for (unsigned int word = ARRAY_SIZE(entry->val) - 1; word > 0; word--)
		intel_svm_store(entry, word, target->val[word]);
	dma_wmb();
	intel_svm_store(entry, 0, target->val[0]);
	svm_write_back(iommu, entry, sizeof(*entry));
}

/* From present to present, or to not present with all else unchanged: one store */
static void svm_change_entry(struct intel_iommu *iommu, struct pasid_entry *entry, u64 first)
{
	intel_svm_store(entry, 0, first);
	dma_wmb();
	svm_write_back(iommu, entry, sizeof(*entry));
}

/* The entry is not present any more, nor in any cache. */
static void svm_wipe_entry(struct intel_iommu *iommu, struct pasid_entry *entry)
{
	for (unsigned int word = 0; word < ARRAY_SIZE(entry->val); word++)
		intel_svm_store(entry, word, 0);
	svm_write_back(iommu, entry, sizeof(*entry));
}

/* Finds the entry; allocates its table if need be. The base driver frees tables with the device. */
static struct pasid_entry *svm_get_entry(struct device_domain_info *info, ioasid_t pasid)
{
	struct pasid_dir_entry *pde;
	struct pasid_entry *table;
	u64 none = 0;

	if (pasid >= info->pasid_table->max_pasid)
		return NULL;

	pde = (struct pasid_dir_entry *)info->pasid_table->table + (pasid >> PASID_PDE_SHIFT);
	if (!pasid_pde_is_present(pde)) {
		table = iommu_alloc_page_node(info->iommu->node, GFP_KERNEL);
		if (!table)
			return NULL;
		svm_write_back(info->iommu, table, PAGE_SIZE);
		/* An attach of another PASID may have stored a table first. */
		if (try_cmpxchg64(&pde->val, &none, virt_to_phys(table) | PASID_PTE_PRESENT))
			svm_write_back(info->iommu, pde, sizeof(*pde));
		else
			iommu_free_page(table);
	}
	return get_pasid_table_from_pde(pde) + (pasid & PASID_PTE_MASK);
}

/* Flushes of a process's memory. Of an exit the entries are changed first. */

/* Not for an entry that a detach has cleared: it would become valid again. */
static void svm_exit_entry(struct svm_domain *sdom, const struct svm_dev *sdev)
{
	struct pasid_entry target;

	guard(spinlock)(&sdom->lock);
	if (!pasid_pte_is_present(sdev->entry))
		return;
	intel_svm_make_exit_entry(&target, sdev->entry);
	svm_change_entry(sdom->iommu, sdev->entry, target.val[0]);
}

static void svm_exit_entries(struct svm_domain *sdom)
{
	struct svm_dev *sdev;

	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		svm_exit_entry(sdom, sdev);
}

/* What ATCs must forget */
static struct sva_blocks svm_atc_blocks(const struct iommu_sva_range *range)
{
	static const struct sva_costs costs = {
		.max_order = SVA_ORDER_ALL, .pages = SVA_COST_PAGES, .all = SVA_COST_ALL,
	};

	return sva_make_blocks(range->start, range->end, &costs);
}

static void svm_add_iotlb_range(struct svm_batch *batch, ioasid_t pasid,
				const struct iommu_sva_range *range)
{
	const struct sva_costs costs = {
		.max_order = cap_max_amask_val(batch->iommu->cap),
		.pages = SVA_COST_PAGES,
		.all = SVA_COST_ALL,
	};

	svm_add_iotlb(batch, pasid, sva_make_blocks(range->start, range->end, &costs));
}

/*
 * Adds what a flush invalidates: of the IOMMU, then of the ATCs of all devices. Does not leave a
 * device out that is being detached: the detach may not have flushed yet, and the mm core frees
 * pages after this. Returns false if there is no device.
 */
static bool svm_add_flush(struct svm_batch *batch, struct svm_domain *sdom,
			  const struct iommu_sva_range *range, const struct sva_blocks atc)
{
	struct svm_dev *sdev;

	sdev = list_first_or_null_rcu(&sdom->devs, struct svm_dev, node);
	if (!sdev)
		return false;
	if (range->exits)
		svm_add_entry(batch, sdev->pasid);
	else
		svm_add_iotlb_range(batch, sdev->pasid, range);
	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		svm_add_atc(batch, sdev, atc);
	return true;
}

/*
 * Waits for hardware with interrupts off: once for all devices, as long as their descriptors fit
 * into a batch.
 */
static void svm_flush(struct svm_domain *sdom, const struct iommu_sva_range *range)
{
	const struct sva_blocks atc = svm_atc_blocks(range);
	struct svm_batch batch = { .iommu = sdom->iommu };
	struct svm_dev *sdev;

	if (!svm_add_flush(&batch, sdom, range, atc))
		return;
	svm_submit(&batch);
	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		svm_repeat_atc(&batch, sdev, atc);
	svm_submit(&batch);
}

static void intel_svm_invalidate_range(struct iommu_domain *domain, unsigned long start,
				       unsigned long end)
{
	const struct iommu_sva_range range = { .start = start, .end = end };

	guard(rcu)();
	svm_flush(to_svm_domain(domain), &range);
}

static void intel_svm_release(struct iommu_domain *domain)
{
	const struct iommu_sva_range range = { .end = ULONG_MAX, .exits = true };
	struct svm_domain *sdom = to_svm_domain(domain);

	guard(rcu)();
	svm_exit_entries(sdom);
	svm_flush(sdom, &range);
}

static bool svm_repeats_atcs(struct svm_domain *sdom)
{
	struct svm_dev *sdev;

	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		if (sdev->info->dtlb_extra_inval)
			return true;
	return false;
}

static_assert(sizeof(struct intel_qi_posted) <= IOMMU_SVA_FLUSH_NOTES * sizeof(u64));

static bool intel_svm_start_flush(struct iommu_domain *domain,
				  const struct iommu_sva_range *range,
				  u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	struct svm_domain *sdom = to_svm_domain(domain);
	struct svm_batch batch = { .iommu = sdom->iommu, .whole = true };

	if (svm_repeats_atcs(sdom))
		return false;
	if (range->exits)
		svm_exit_entries(sdom);
	return svm_add_flush(&batch, sdom, range, svm_atc_blocks(range)) && !batch.overflow &&
	       intel_qi_post(sdom->iommu, batch.desc, batch.count, (void *)notes);
}

static bool intel_svm_await_flush(struct iommu_domain *domain,
				  const struct iommu_sva_range *range,
				  u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	return intel_qi_await(to_svm_domain(domain)->iommu, (const void *)notes);
}

static void svm_clear_entry(struct svm_domain *sdom, const struct svm_dev *sdev)
{
	struct pasid_entry *entry = sdev->entry;

	scoped_guard(spinlock, &sdom->lock) {
		if (WARN_ON(!pasid_pte_is_present(entry)))
			return;
		svm_change_entry(sdom->iommu, entry, entry->val[0] & ~(u64)PASID_PTE_PRESENT);
	}
	svm_flush_entry(sdom->iommu, sdev);

	/* Hardware no longer uses the entry; only now may the rest of it change. */
	svm_wipe_entry(sdom->iommu, entry);
}

/* Hardware may have cached that there is no entry, or need its write buffer flushed. */
static void svm_announce_entry(struct intel_iommu *iommu, const struct svm_dev *sdev)
{
	struct svm_batch batch = { .iommu = iommu };

	if (!cap_caching_mode(iommu->cap)) {
		iommu_flush_write_buffer(iommu);
		return;
	}
	svm_add_entry(&batch, sdev->pasid);
	svm_submit(&batch);
}

static void svm_remove_dev(struct svm_domain *sdom, struct svm_dev *sdev)
{
	scoped_guard(spinlock, &sdom->lock)
		list_del_rcu(&sdev->node);
	kfree_rcu(sdev, rcu);
}

VISIBLE_IF_KUNIT int intel_svm_attach(struct svm_domain *sdom, struct device *dev, ioasid_t pasid,
				      phys_addr_t root)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct pasid_entry target;
	struct svm_dev *sdev;

	if (info->iommu != sdom->iommu)
		return -EINVAL;
	if (READ_ONCE(info->atc_hangs))
		return -EBUSY;

	sdev = kzalloc(sizeof(*sdev), GFP_KERNEL);
	if (!sdev)
		return -ENOMEM;
	sdev->info = info;
	sdev->pasid = pasid;
	sdev->entry = svm_get_entry(info, pasid);
	if (!sdev->entry || pasid_pte_is_present(sdev->entry)) {
		int ret = sdev->entry ? -EBUSY : -ENODEV;

		kfree(sdev);
		return ret;
	}

	intel_svm_make_entry(&target, sdom->iommu, root, cpu_feature_enabled(X86_FEATURE_LA57));
	scoped_guard(spinlock, &sdom->lock) {
		list_add_rcu(&sdev->node, &sdom->devs);
		svm_publish_entry(sdom->iommu, sdev->entry, &target);
	}
	svm_announce_entry(sdom->iommu, sdev);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_attach);

static int intel_svm_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
				   ioasid_t pasid, struct iommu_domain *old)
{
	return intel_svm_attach(to_svm_domain(domain), dev, pasid, __pa(iommu_sva_root(domain)));
}

/**
 * intel_svm_remove_dev_pasid() - Detach a (device, PASID) from an SVA domain
 * @domain: the domain that is attached
 * @dev: the device
 * @pasid: the PASID
 *
 * On return @dev can no longer translate with @pasid (VT-d 4.1, section 6.5.3.3). The core drains
 * page requests, before and after.
 *
 * Context: process.
 */
void intel_svm_remove_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct svm_domain *sdom = to_svm_domain(domain);
	struct svm_dev *sdev;

	/* Only attach and detach change the list; the core holds io_mm.lock around both. */
	list_for_each_entry(sdev, &sdom->devs, node) {
		if (sdev->info->dev == dev && sdev->pasid == pasid) {
			svm_clear_entry(sdom, sdev);
			svm_remove_dev(sdom, sdev);
			return;
		}
	}
	WARN_ON_ONCE(1);
}

static void intel_svm_domain_free(struct iommu_domain *domain)
{
	kfree(to_svm_domain(domain));
}

static const struct iommu_domain_ops intel_svm_domain_ops = {
	.set_dev_pasid = intel_svm_set_dev_pasid,
	.free = intel_svm_domain_free,
};

/**
 * intel_svm_domain_alloc() - Make a domain for an io_mm and the IOMMU of a device
 * @dev: the device
 * @mm: the mm of the io_mm
 *
 * Context: process, may sleep.
 * Return: the domain, -ENODEV if the IOMMU can't do SVA, or -ENOMEM.
 */
struct iommu_domain *intel_svm_domain_alloc(struct device *dev, struct mm_struct *mm)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct svm_domain *sdom;

	if (!(info->iommu->flags & VTD_FLAG_SVM_CAPABLE))
		return ERR_PTR(-ENODEV);

	sdom = kzalloc(sizeof(*sdom), GFP_KERNEL);
	if (!sdom)
		return ERR_PTR(-ENOMEM);
	sdom->domain.ops = &intel_svm_domain_ops;
	sdom->iommu = info->iommu;
	spin_lock_init(&sdom->lock);
	INIT_LIST_HEAD(&sdom->devs);
	return &sdom->domain;
}

const struct iommu_sva_ops intel_sva_ops = {
	.walks_io_mm_root = true,
	.hw_access_flag = true,
	/* PASID entries have execute requests disabled (9.6). */
	.no_execute = true,
	.invalidate_range = intel_svm_invalidate_range,
	.release = intel_svm_release,
	.start_flush = intel_svm_start_flush,
	.await_flush = intel_svm_await_flush,
	.drain = intel_iommu_drain_pasid_prq,
	.page_responses = intel_iommu_page_responses,
	.flush_atc = intel_svm_flush_atc,
};

VISIBLE_IF_KUNIT const char *intel_svm_missing_cap(u64 cap, u64 ecap, bool cpu_has_1g,
						   bool cpu_has_la57)
{
	if (!ecap_pasid(ecap))
		return "PASID";
	if (!ecap_flts(ecap))
		return "first-stage translation";
	if (!ecap_smpwc(ecap))
		return "coherent page walks";
	if (!ecap_prs(ecap))
		return "page requests";
	if (!ecap_pds(ecap))
		return "page request drain";
	if (cpu_has_1g && !cap_fl1gp_support(cap))
		return "1 GiB pages, which the CPU has";
	if (cpu_has_la57 && !cap_fl5lp_support(cap))
		return "5-level paging, which the CPU uses";
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_missing_cap);

/**
 * intel_svm_check() - Find out whether an IOMMU can do SVA
 * @iommu: an IOMMU whose capabilities have been read
 *
 * Sets VTD_FLAG_SVM_CAPABLE, or says what is missing (VT-d 4.1, sections 11.4.2 and 11.4.3).
 *
 * Context: process.
 */
void intel_svm_check(struct intel_iommu *iommu)
{
	const char *missing;

	if (!sm_supported(iommu))
		return;

	missing = intel_svm_missing_cap(iommu->cap, iommu->ecap,
					cpu_feature_enabled(X86_FEATURE_GBPAGES),
					cpu_feature_enabled(X86_FEATURE_LA57));
	if (missing)
		pr_info("%s: no SVA: it lacks %s\n", iommu->name, missing);
	else
		iommu->flags |= VTD_FLAG_SVM_CAPABLE;
}
