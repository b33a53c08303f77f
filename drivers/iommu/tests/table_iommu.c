// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table IOMMU: the smallest back-end of the SVA core, for an IOMMU that is memory
 *
 * It does what the core asks of an IOMMU driver and nothing else, so that a maintainer of another
 * driver can read it through: Documentation/driver-api/iommu-sva-backend.rst leads from function to
 * function. The core's suites run on it as on any back-end that soft_backend_register() names.
 *
 * The hardware: a device has a table of PASID entries of 64 bits, TABLE_PRESENT and the physical
 * address of the root. The IOMMU has a ring of page requests and caches; it forgets translations
 * when soft_backend_flush_*() say so.
 *
 * A device is on its domain's list before its entry can be used, and leaves it when nothing of the
 * entry is cached any more: an invalidation misses none.
 *
 * Locks, neither inside the other:
 *	table_domain.lock	bonds and their entries, held until a flush is complete
 *	table_iommu.lock	the ring
 */
#include <linux/init.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "../iommu-priv.h"
#include "../iopf.h"
#include "../soft-iommu/soft-backend.h"
#include "table_iommu.h"

#define TABLE_PASIDS	1024U
/* A step of a drain that waits for the reader, which on a busy emulator takes its time */
#define TABLE_STEP	(10 * HZ)

/**
 * struct table_request - a place of the ring
 * @dev: from which the request came
 * @evt: the request
 */
struct table_request {
	struct device *dev;
	struct iopf_fault evt;
};

/**
 * struct table_iommu - an instance
 * @hw: its caches
 * @iopf: its fault queue
 * @domains: how many there are
 * @lock: guards all below, and &table_device.pri
 * @ring: slot i holds the requests i, i + TABLE_RING, ...
 * @head: number of the oldest request that was not reported yet
 * @tail: number of the next to come
 * @overflow: one was lost; none is taken before the ring is empty
 * @hold: a test holds the reader
 * @reader: reports what is in the ring
 */
struct table_iommu {
	struct soft_iommu *hw;
	struct iopf_queue *iopf;
	atomic_t domains;
	spinlock_t lock;	/* of all below, and table_device.pri */
	struct table_request ring[TABLE_RING];
	u64 head;
	u64 tail;
	bool overflow;
	bool hold;
	struct work_struct reader;
};

/**
 * struct table_device - a device behind it
 * @iommu: the instance
 * @entries: the PASID table
 * @pri: the ring takes its requests
 */
struct table_device {
	struct table_iommu *iommu;
	u64 *entries;
	bool pri;
};

/**
 * struct table_bond - a device that is attached to a domain
 * @node: in &table_domain.bonds
 * @dev: the device
 * @entry: in the device's PASID table
 */
struct table_bond {
	struct list_head node;
	struct device *dev;
	u64 *entry;
};

/**
 * struct table_domain - an SVA domain
 * @domain: what the core knows
 * @iommu: its instance
 * @lock: guards all below
 * @bonds: struct table_bond
 * @pasid: of all bonds
 * @released: the process has gone: no entry may name its tables
 */
struct table_domain {
	struct iommu_domain domain;
	struct table_iommu *iommu;
	spinlock_t lock;	/* of all below */
	struct list_head bonds;
	ioasid_t pasid;
	bool released;
};

static struct table_domain *to_table(struct iommu_domain *domain)
{
	return container_of(domain, struct table_domain, domain);
}

/* Step 1: a bond without page requests */

/* A device in a reset completes no invalidation: the core has its ATC emptied afterwards. */
static void table_flush_atc_range(struct device *dev, ioasid_t pasid, unsigned long start,
				  unsigned long last)
{
	/* A reset waits for the end of this section before it begins. */
	guard(rcu)();
	if (!iopf_device_in_reset(dev))
		soft_backend_flush_atc(dev, pasid, start, last);
}

/* The IOTLB first: else an ATC would be filled from it again. */
static void table_flush(struct table_domain *dom, unsigned long start, unsigned long last)
{
	struct table_bond *bond;

	lockdep_assert_held(&dom->lock);
	if (list_empty(&dom->bonds))
		return;
	soft_backend_flush_iotlb(dom->iommu->hw, dom->pasid, start, last);
	list_for_each_entry(bond, &dom->bonds, node)
		table_flush_atc_range(bond->dev, dom->pasid, start, last);
}

static void table_invalidate_range(struct iommu_domain *domain, unsigned long start,
				   unsigned long end)
{
	struct table_domain *dom = to_table(domain);

	guard(spinlock)(&dom->lock);
	table_flush(dom, start, end - 1);
}

/* The entries stay, so that requests are refused as those of a PASID that is known. */
static void table_release(struct iommu_domain *domain)
{
	struct table_domain *dom = to_table(domain);
	struct table_bond *bond;

	guard(spinlock)(&dom->lock);
	dom->released = true;
	list_for_each_entry(bond, &dom->bonds, node)
		WRITE_ONCE(*bond->entry, TABLE_PRESENT);
	table_flush(dom, 0, ~0UL);
}

static int table_set_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			       struct iommu_domain *old)
{
	struct table_device *tdev = dev_iommu_priv_get(dev);
	struct table_domain *dom = to_table(domain);
	struct table_bond *bond;
	u64 entry = TABLE_PRESENT;

	if (dom->iommu != tdev->iommu)
		return -EINVAL;
	bond = kzalloc(sizeof(*bond), GFP_KERNEL);
	if (!bond)
		return -ENOMEM;
	bond->dev = dev;
	bond->entry = &tdev->entries[pasid];

	guard(spinlock)(&dom->lock);
	dom->pasid = pasid;
	list_add(&bond->node, &dom->bonds);
	if (!dom->released)
		entry |= virt_to_phys(iommu_sva_root(domain));
	WRITE_ONCE(*bond->entry, entry);
	return 0;
}

static void table_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	struct table_domain *dom = to_table(domain);
	struct table_bond *bond, *next;

	guard(spinlock)(&dom->lock);
	list_for_each_entry_safe(bond, next, &dom->bonds, node) {
		if (bond->dev != dev)
			continue;
		WRITE_ONCE(*bond->entry, 0);
		soft_backend_flush_iotlb(dom->iommu->hw, pasid, 0, ~0UL);
		table_flush_atc_range(dev, pasid, 0, ~0UL);
		list_del(&bond->node);
		kfree(bond);
	}
}

static void table_domain_free(struct iommu_domain *domain)
{
	struct table_domain *dom = to_table(domain);

	atomic_dec(&dom->iommu->domains);
	kfree(dom);
}

static const struct iommu_domain_ops table_domain_ops = {
	.set_dev_pasid = table_set_dev_pasid,
	.free = table_domain_free,
};

static struct iommu_domain *table_domain_alloc_sva(struct device *dev, struct mm_struct *mm)
{
	struct table_device *tdev = dev_iommu_priv_get(dev);
	struct table_domain *dom = kzalloc(sizeof(*dom), GFP_KERNEL);

	if (!dom)
		return ERR_PTR(-ENOMEM);
	dom->domain.ops = &table_domain_ops;
	dom->iommu = tdev->iommu;
	spin_lock_init(&dom->lock);
	INIT_LIST_HEAD(&dom->bonds);
	atomic_inc(&dom->iommu->domains);
	return &dom->domain;
}

/* Step 3: page requests */

static u64 table_entry(struct table_device *tdev, ioasid_t pasid)
{
	return pasid < TABLE_PASIDS ? READ_ONCE(tdev->entries[pasid]) : 0;
}

/* The hardware: a request arrives. */
static int table_page_request(struct device *dev, const struct iopf_fault *evt)
{
	struct table_device *tdev = dev_iommu_priv_get(dev);
	struct table_iommu *iommu = tdev->iommu;

	guard(spinlock)(&iommu->lock);
	if (!tdev->pri || !(table_entry(tdev, evt->fault.prm.pasid) & TABLE_PRESENT))
		return -ENXIO;
	if (iommu->tail - iommu->head == TABLE_RING)
		iommu->overflow = true;
	if (iommu->overflow)
		return -ENOSPC;
	iommu->ring[iommu->tail++ % TABLE_RING] = (struct table_request){ dev, *evt };
	queue_work(system_unbound_wq, &iommu->reader);
	return 0;
}

/* The oldest request, or NULL. It keeps its place until it has been reported. */
static struct table_request *table_oldest(struct table_iommu *iommu)
{
	guard(spinlock)(&iommu->lock);
	if (iommu->hold || iommu->head == iommu->tail)
		return NULL;
	return &iommu->ring[iommu->head % TABLE_RING];
}

/* Once the ring is empty it stays so: a group may have lost its last page. */
static void table_end_overflow(struct table_iommu *iommu)
{
	scoped_guard(spinlock, &iommu->lock)
		if (!iommu->overflow || iommu->head != iommu->tail)
			return;
	iopf_queue_discard_partial(iommu->iopf);
	guard(spinlock)(&iommu->lock);
	iommu->overflow = false;
}

static void table_read_requests(struct work_struct *work)
{
	struct table_iommu *iommu = container_of(work, struct table_iommu, reader);
	struct table_request *req;

	while ((req = table_oldest(iommu))) {
		iommu_report_device_fault(req->dev, &req->evt);
		scoped_guard(spinlock, &iommu->lock)
			iommu->head++;
		wake_up_var(&iommu->head);
	}
	table_end_overflow(iommu);
}

static void table_page_response(struct device *dev, struct iopf_fault *evt,
				struct iommu_page_response *resp)
{
	soft_backend_respond(dev, evt, resp);
}

/* Until what is in the ring now has been reported: false if the reader does not get that far. */
static bool table_await_reader(struct table_iommu *iommu)
{
	u64 end;

	scoped_guard(spinlock, &iommu->lock)
		end = iommu->tail;
	return iopf_await_reader(&iommu->head, READ_ONCE(iommu->head) >= end, TABLE_STEP);
}

static void table_drain(struct device *dev, ioasid_t pasid)
{
	struct table_device *tdev = dev_iommu_priv_get(dev);

	if (!table_await_reader(tdev->iommu))
		iopf_drain_gives_up(dev, pasid);
	iopf_drain_pasid(dev, pasid);
	soft_backend_await_responses(dev, pasid);
}

static void table_set_pri(struct table_device *tdev, bool on)
{
	guard(spinlock)(&tdev->iommu->lock);
	tdev->pri = on;
}

static void table_disable_iopf(struct device *dev)
{
	struct table_device *tdev = dev_iommu_priv_get(dev);

	soft_backend_disable_pri(dev);
	table_set_pri(tdev, false);
	table_await_reader(tdev->iommu);
	iopf_queue_remove_device(tdev->iommu->iopf, dev);
	soft_backend_left_queue(dev);
}

static int table_enable_iopf(struct device *dev)
{
	struct table_device *tdev = dev_iommu_priv_get(dev);
	int ret = iopf_queue_add_device(tdev->iommu->iopf, dev);

	if (ret)
		return ret;
	table_set_pri(tdev, true);
	ret = soft_backend_enable_pri(dev);
	if (ret)
		table_disable_iopf(dev);
	return ret;
}

/* Step 4: a device that was reset has not heard of invalidations meanwhile */

static void table_flush_atc(struct device *dev)
{
	table_flush_atc_range(dev, IOMMU_PASID_INVALID, 0, ~0UL);
}

static const struct iommu_sva_ops table_sva_ops = {
	.walks_io_mm_root = true,
	.hw_access_flag = IS_ENABLED(CONFIG_X86_64) || IS_ENABLED(CONFIG_ARM64),
	.invalidate_range = table_invalidate_range,
	.release = table_release,
	.drain = table_drain,
	.flush_atc = table_flush_atc,
};

/* What an IOMMU driver has without SVA, too: devices, and a domain for DMA without a PASID */

static int table_attach_static(struct iommu_domain *domain, struct device *dev)
{
	return 0;
}

static const struct iommu_domain_ops table_static_ops = {
	.attach_dev = table_attach_static,
};

static struct iommu_domain table_identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &table_static_ops,
};

static struct iommu_domain table_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &table_static_ops,
};

static int table_def_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

static struct iommu_device *table_probe_device(struct device *dev)
{
	struct table_device *tdev = kzalloc(sizeof(*tdev), GFP_KERNEL);

	if (!tdev)
		return ERR_PTR(-ENOMEM);
	tdev->iommu = soft_backend_data(dev);
	tdev->entries = kcalloc(TABLE_PASIDS, sizeof(*tdev->entries), GFP_KERNEL);
	if (!tdev->entries) {
		kfree(tdev);
		return ERR_PTR(-ENOMEM);
	}
	dev_iommu_priv_set(dev, tdev);
	return soft_backend_probe(dev);
}

static void table_release_device(struct device *dev)
{
	struct table_device *tdev = dev_iommu_priv_get(dev);

	if (tdev->pri)
		table_disable_iopf(dev);
	soft_backend_release(dev);
	kfree(tdev->entries);
	kfree(tdev);
}

static int table_enable_feat(struct device *dev, enum iommu_dev_features feat)
{
	switch (feat) {
	case IOMMU_DEV_FEAT_IOPF:
		return table_enable_iopf(dev);
	case IOMMU_DEV_FEAT_SVA:
		return dev->iommu->max_pasids ? 0 : -EOPNOTSUPP;
	default:
		return -ENODEV;
	}
}

static int table_disable_feat(struct device *dev, enum iommu_dev_features feat)
{
	if (feat == IOMMU_DEV_FEAT_IOPF)
		table_disable_iopf(dev);
	return 0;
}

static const struct iommu_ops table_iommu_ops = {
	.identity_domain = &table_identity_domain,
	.blocked_domain = &table_blocked_domain,
	.release_domain = &table_blocked_domain,
	.domain_alloc_sva = table_domain_alloc_sva,
	.probe_device = table_probe_device,
	.release_device = table_release_device,
	.device_group = generic_device_group,
	.def_domain_type = table_def_domain_type,
	.dev_enable_feat = table_enable_feat,
	.dev_disable_feat = table_disable_feat,
	.page_response = table_page_response,
	.remove_dev_pasid = table_remove_dev_pasid,
	.pgsize_bitmap = PAGE_SIZE,
	.sva_ops = &table_sva_ops,
};

/* Step 2: what the suites need to know of the hardware */

u64 table_pasid_entry(struct device *dev, ioasid_t pasid)
{
	return table_entry(dev_iommu_priv_get(dev), pasid);
}

void table_hold_reader(struct device *dev, bool hold)
{
	struct table_device *tdev = dev_iommu_priv_get(dev);

	scoped_guard(spinlock, &tdev->iommu->lock)
		tdev->iommu->hold = hold;
	flush_work(&tdev->iommu->reader);
	if (!hold)
		queue_work(system_unbound_wq, &tdev->iommu->reader);
}

static pgd_t *table_root(struct device *dev, ioasid_t pasid)
{
	u64 entry = table_pasid_entry(dev, pasid);

	if (!(entry & TABLE_PRESENT))
		return ERR_PTR(-ENXIO);
	entry &= ~TABLE_PRESENT;
	return entry ? phys_to_virt(entry) : NULL;
}

static void *table_start(struct soft_iommu *hw, struct iommu_device *core)
{
	struct table_iommu *iommu = kzalloc(sizeof(*iommu), GFP_KERNEL);
	static atomic_t next_id;
	char name[24];

	if (!iommu)
		return ERR_PTR(-ENOMEM);
	scnprintf(name, sizeof(name), "table-iommu%d", atomic_inc_return(&next_id));
	iommu->iopf = iopf_queue_alloc(name);
	if (!iommu->iopf) {
		kfree(iommu);
		return ERR_PTR(-ENOMEM);
	}
	iommu->hw = hw;
	core->max_pasids = min(core->max_pasids, TABLE_PASIDS);
	spin_lock_init(&iommu->lock);
	INIT_WORK(&iommu->reader, table_read_requests);
	return iommu;
}

static void table_stop(void *data)
{
	struct table_iommu *iommu = data;

	flush_work(&iommu->reader);
	iopf_queue_free(iommu->iopf);
	kfree(iommu);
}

static unsigned int table_domains(void *data)
{
	struct table_iommu *iommu = data;

	return atomic_read(&iommu->domains);
}

static void table_sync(void *data)
{
	struct table_iommu *iommu = data;

	flush_work(&iommu->reader);
}

const struct soft_backend table_backend = {
	.name = "table_iommu",
	.ops = &table_iommu_ops,
	.start = table_start,
	.stop = table_stop,
	.domains = table_domains,
	.root = table_root,
	.page_request = table_page_request,
	.sync = table_sync,
};

static int __init table_iommu_init(void)
{
	return soft_backend_register(&table_backend);
}
late_initcall(table_iommu_init);
