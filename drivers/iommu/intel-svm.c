// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core
 *
 * A domain is one io_mm on one IOMMU: a PASID, the devices that may use it, and the root that the
 * core keeps. Its part is the PASID-table entry and the flushes:
 *
 *	attach	entry present, first-stage translation from the io_mm's root
 *	release	entry present, root empty, fault processing disabled: untranslated requests are
 *		aborted without a log line, translation requests get R=W=0
 *	detach	entry not present; what still arrives is a driver's mistake and is logged
 *
 * Devices are on the domain's list before their entry is present and until it and all caches are
 * cleared. Flushes walk the list under RCU.
 *
 * A flush is PASID-selective and exactly ranged, the IOTLB's descriptors before the ATCs', because
 * a translation request may be served from the IOTLB (VT-d 4.1, section 6.5.2.5). One wait
 * covers all that fits into a batch.
 *
 * The domain's lock guards the list for writers and the PASID entries of its devices against
 * a detach at the same time as a release. Nothing is submitted under it.
 */
#define pr_fmt(fmt) "DMAR: " fmt

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

/* Descriptors between two waits. They are on the stack, which may be deep in reclaim. */
#define SVM_BATCH		16
/* A range that splits into more naturally aligned blocks is flushed whole. */
#define SVM_MAX_BLOCKS		32

#define SVM_ORDER_ALL		(64 - VTD_PAGE_SHIFT)

/**
 * struct svm_domain - an io_mm on one IOMMU
 * @domain: what the core sees
 * @iommu: all devices of the domain are behind it
 * @lock: see the head of the file
 * @devs: struct svm_dev, RCU
 */
struct svm_domain {
	struct iommu_domain domain;
	struct intel_iommu *iommu;
	spinlock_t lock;	/* of devs, and of PASID entries */
	struct list_head devs;
};

/**
 * struct svm_dev - a device of a domain
 * @node: in &svm_domain.devs
 * @info: the device
 * @pasid: the PASID of the io_mm
 * @rcu: defers the free past flushes
 */
struct svm_dev {
	struct list_head node;
	struct device_domain_info *info;
	ioasid_t pasid;
	struct rcu_head rcu;
};

static struct svm_domain *to_svm_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct svm_domain, domain);
}

/* Batches of descriptors */

struct svm_batch {
	struct intel_iommu *iommu;
	unsigned int count;
	struct qi_desc desc[SVM_BATCH];
};

static void svm_submit(struct svm_batch *batch)
{
	if (batch->count)
		qi_submit_sync(batch->iommu, batch->desc, batch->count, 0);
	batch->count = 0;
}

static struct qi_desc *svm_next_desc(struct svm_batch *batch)
{
	struct qi_desc *desc;

	if (batch->count == SVM_BATCH)
		svm_submit(batch);
	desc = &batch->desc[batch->count++];
	memset(desc, 0, sizeof(*desc));
	return desc;
}

static void svm_add_iotlb(struct svm_batch *batch, ioasid_t pasid, u64 addr, unsigned int order)
{
	unsigned long pages = order == SVM_ORDER_ALL ? -1UL : 1UL << order;

	qi_desc_piotlb(FLPT_DEFAULT_DID, pasid, addr, pages, 0, svm_next_desc(batch));
}

static void svm_add_atc(struct svm_batch *batch, struct svm_dev *sdev, u64 addr,
			unsigned int order)
{
	struct device_domain_info *info = sdev->info;

	/* An invalidation that a device can't complete stops the whole queue. */
	if (!info->ats_enabled || pci_dev_is_disconnected(to_pci_dev(info->dev)))
		return;
	qi_desc_dev_iotlb_pasid(PCI_DEVID(info->bus, info->devfn), info->pfsid, sdev->pasid,
				info->ats_qdep, addr, order, svm_next_desc(batch));
}

/* Some devices need each ATC invalidation twice. */
static void svm_repeat_atc(struct svm_dev *sdev, u64 addr, unsigned int order)
{
	struct device_domain_info *info = sdev->info;

	if (info->ats_enabled && info->dtlb_extra_inval)
		quirk_extra_dev_tlb_flush(info, addr, order, sdev->pasid, info->ats_qdep);
}

/* The PASID cache first, completely: what it holds refills the others (6.5.3.3). */
static void svm_add_pasid_cache(struct svm_batch *batch, ioasid_t pasid)
{
	struct qi_desc *desc = svm_next_desc(batch);

	desc->qw0 = QI_PC_TYPE | QI_PC_GRAN(QI_PC_PASID_SEL) | QI_PC_DID(FLPT_DEFAULT_DID) |
		    QI_PC_PASID(pasid);
	desc = svm_next_desc(batch);
	desc->qw0 = QI_IWD_TYPE | QI_IWD_FENCE;
}

/* After a change of the device's PASID entry, or of everything it leads to */
static void svm_flush_entry(struct intel_iommu *iommu, struct svm_dev *sdev)
{
	struct svm_batch batch = { .iommu = iommu };

	svm_add_pasid_cache(&batch, sdev->pasid);
	svm_add_iotlb(&batch, sdev->pasid, 0, SVM_ORDER_ALL);
	svm_add_atc(&batch, sdev, 0, SVM_ORDER_ALL);
	svm_submit(&batch);
	svm_repeat_atc(sdev, 0, SVM_ORDER_ALL);
}

/* Ranges */

/**
 * struct svm_blocks - a range of pages, block by naturally aligned block
 * @pfn: first page of the current block
 * @last: last page of the range
 * @max_order: the largest block that an IOTLB descriptor can name
 */
struct svm_blocks {
	unsigned long pfn;
	unsigned long last;
	unsigned int max_order;
};

static unsigned int svm_block_order(const struct svm_blocks *b)
{
	unsigned int fits = ilog2(b->last - b->pfn + 1);
	unsigned int aligned = b->pfn ? __ffs(b->pfn) : BITS_PER_LONG;

	return min3(fits, aligned, b->max_order);
}

static bool svm_next_block(struct svm_blocks *b)
{
	unsigned long size = 1UL << svm_block_order(b);

	if (b->last - b->pfn < size)
		return false;
	b->pfn += size;
	return true;
}

static unsigned int svm_count_blocks(struct svm_blocks b, unsigned int limit)
{
	unsigned int count = 1;

	while (count <= limit && svm_next_block(&b))
		count++;
	return count;
}

static void svm_flush_blocks(struct svm_domain *sdom, const struct svm_blocks range)
{
	struct svm_batch batch = { .iommu = sdom->iommu };
	struct svm_dev *first, *sdev;
	struct svm_blocks b = range;

	first = list_first_or_null_rcu(&sdom->devs, struct svm_dev, node);
	if (!first)
		return;

	do {
		svm_add_iotlb(&batch, first->pasid, b.pfn << VTD_PAGE_SHIFT, svm_block_order(&b));
	} while (svm_next_block(&b));

	list_for_each_entry_rcu(sdev, &sdom->devs, node) {
		b = range;
		do {
			svm_add_atc(&batch, sdev, b.pfn << VTD_PAGE_SHIFT, svm_block_order(&b));
		} while (svm_next_block(&b));
	}
	svm_submit(&batch);

	list_for_each_entry_rcu(sdev, &sdom->devs, node) {
		b = range;
		do {
			svm_repeat_atc(sdev, b.pfn << VTD_PAGE_SHIFT, svm_block_order(&b));
		} while (svm_next_block(&b));
	}
}

static void svm_flush_all(struct svm_domain *sdom)
{
	struct svm_batch batch = { .iommu = sdom->iommu };
	struct svm_dev *first, *sdev;

	first = list_first_or_null_rcu(&sdom->devs, struct svm_dev, node);
	if (!first)
		return;

	svm_add_iotlb(&batch, first->pasid, 0, SVM_ORDER_ALL);
	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		svm_add_atc(&batch, sdev, 0, SVM_ORDER_ALL);
	svm_submit(&batch);
	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		svm_repeat_atc(sdev, 0, SVM_ORDER_ALL);
}

static void intel_svm_invalidate_range(struct iommu_domain *domain, unsigned long start,
				       unsigned long end)
{
	struct svm_domain *sdom = to_svm_domain(domain);
	struct svm_blocks range = {
		.pfn = start >> VTD_PAGE_SHIFT,
		.last = (end - 1) >> VTD_PAGE_SHIFT,
		.max_order = cap_max_amask_val(sdom->iommu->cap),
	};

	guard(rcu)();
	if (end == ULONG_MAX || svm_count_blocks(range, SVM_MAX_BLOCKS) > SVM_MAX_BLOCKS)
		svm_flush_all(sdom);
	else
		svm_flush_blocks(sdom, range);
}

/* PASID entries */

static struct pasid_entry *svm_pasid_entry(struct svm_dev *sdev)
{
	struct pasid_dir_entry *dir = sdev->info->pasid_table->table;
	struct pasid_entry *table = get_pasid_table_from_pde(&dir[sdev->pasid >> PASID_PDE_SHIFT]);

	return table ? &table[sdev->pasid & PASID_PTE_MASK] : NULL;
}

static void svm_write_back(struct intel_iommu *iommu, struct pasid_entry *entry)
{
	if (!ecap_coherent(iommu->ecap))
		clflush_cache_range(entry, sizeof(*entry));
}

static void intel_svm_release(struct iommu_domain *domain)
{
	struct svm_domain *sdom = to_svm_domain(domain);
	struct pasid_entry *entry;
	struct svm_dev *sdev;

	guard(rcu)();
	list_for_each_entry_rcu(sdev, &sdom->devs, node) {
		scoped_guard(spinlock, &sdom->lock) {
			entry = svm_pasid_entry(sdev);
			if (!entry || !pasid_pte_is_present(entry))
				continue;
			pasid_set_bits(&entry->val[0], PASID_PTE_FPD, PASID_PTE_FPD);
			svm_write_back(sdom->iommu, entry);
		}
		svm_flush_entry(sdom->iommu, sdev);
	}
}

static void svm_clear_entry(struct svm_domain *sdom, struct svm_dev *sdev)
{
	struct pasid_entry *entry = svm_pasid_entry(sdev);

	scoped_guard(spinlock, &sdom->lock) {
		if (WARN_ON(!entry || !pasid_pte_is_present(entry)))
			return;
		pasid_clear_present(entry);
		svm_write_back(sdom->iommu, entry);
	}
	svm_flush_entry(sdom->iommu, sdev);

	/* Hardware has let go of the entry; only now may the rest of it change. */
	pasid_clear_entry(entry);
	svm_write_back(sdom->iommu, entry);
}

static void svm_remove_dev(struct svm_domain *sdom, struct svm_dev *sdev)
{
	scoped_guard(spinlock, &sdom->lock)
		list_del_rcu(&sdev->node);
	kfree_rcu(sdev, rcu);
}

static int intel_svm_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
				   ioasid_t pasid, struct iommu_domain *old)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct svm_domain *sdom = to_svm_domain(domain);
	struct svm_dev *sdev;
	int flags, ret;

	if (info->iommu != sdom->iommu)
		return -EINVAL;

	sdev = kzalloc(sizeof(*sdev), GFP_KERNEL);
	if (!sdev)
		return -ENOMEM;
	sdev->info = info;
	sdev->pasid = pasid;
	scoped_guard(spinlock, &sdom->lock)
		list_add_rcu(&sdev->node, &sdom->devs);

	flags = cpu_feature_enabled(X86_FEATURE_LA57) ? PASID_FLAG_FL5LP : 0;
	ret = intel_pasid_setup_first_level(sdom->iommu, dev, iommu_sva_root(domain), pasid,
					    FLPT_DEFAULT_DID, flags);
	if (ret)
		svm_remove_dev(sdom, sdev);
	return ret;
}

/**
 * intel_svm_remove_dev_pasid() - Detach a (device, PASID) from an SVA domain
 * @domain: the domain that is attached
 * @dev: the device
 * @pasid: the PASID
 *
 * On return @dev can no longer translate with @pasid (VT-d 4.1, section 6.5.3.3). Page requests
 * are drained by the core, before and after.
 *
 * Context: process.
 */
void intel_svm_remove_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct svm_domain *sdom = to_svm_domain(domain);
	struct svm_dev *sdev;

	/* Only attach and detach change the list, and the group's mutex keeps them apart. */
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
	.invalidate_range = intel_svm_invalidate_range,
	.release = intel_svm_release,
	.drain = intel_iommu_drain_pasid_prq,
};

static const char *svm_what_lacks(struct intel_iommu *iommu)
{
	if (!pasid_supported(iommu))
		return "PASID";
	if (!ecap_flts(iommu->ecap))
		return "first-stage translation";
	if (!ecap_smpwc(iommu->ecap))
		return "coherent page walks";
	if (!ecap_prs(iommu->ecap))
		return "page requests";
	if (!ecap_pds(iommu->ecap))
		return "page request drain";
	if (cpu_feature_enabled(X86_FEATURE_GBPAGES) && !cap_fl1gp_support(iommu->cap))
		return "1 GiB pages, which the CPU has";
	if (cpu_feature_enabled(X86_FEATURE_LA57) && !cap_fl5lp_support(iommu->cap))
		return "5-level paging, which the CPU uses";
	return NULL;
}

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
	const char *lacks;

	if (!sm_supported(iommu))
		return;

	lacks = svm_what_lacks(iommu);
	if (lacks)
		pr_info("%s: no SVA: it lacks %s\n", iommu->name, lacks);
	else
		iommu->flags |= VTD_FLAG_SVM_CAPABLE;
}
