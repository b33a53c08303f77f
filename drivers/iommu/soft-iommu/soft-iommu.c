// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: the driver
 *
 * This file does what a vendor's driver does: it registers with the IOMMU core, makes SVA domains,
 * sets and clears PASID entries, sends invalidations and passes responses on. It is written as a
 * vendor's should be; the other files are "hardware".
 * A driver of another vendor can take its place: soft-backend.h.
 *
 * On this project's core it fills struct iommu_sva_ops, points the IOMMU at the io_mm's root and
 * sends nothing to a device in a reset. On a base kernel it has one MMU notifier per domain and
 * points the IOMMU at mm->pgd, as vendors do there, and drains after a PASID entry is gone: its
 * ring, then the fault queue.
 *
 * A domain's PASID entries are on its list before any transaction can use them, and leave it when
 * none can any more: so invalidations reach all that may be cached. Entries are found on the list
 * under soft_domain.lock; commands name endpoints, which stay until the commands are complete: the
 * thread that waits for these is in an RCU read-side section. Locks: soft-priv.h.
 *
 * Lifetime: creator, domains and endpoints hold references to the IOMMU.
 */
#include <linux/atomic.h>
#include <linux/mmu_notifier.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "soft-backend.h"
#include "soft-priv.h"

static struct soft_domain *to_soft(struct iommu_domain *domain)
{
	return container_of(domain, struct soft_domain, domain);
}

/* What the core offers beyond a base kernel's */

#if SOFT_SVA_CORE
static bool soft_is_in_reset(struct soft_endpoint *ep)
{
	return iopf_device_in_reset(soft_endpoint_dev(ep));
}
#else
static bool soft_is_in_reset(struct soft_endpoint *ep)
{
	return false;
}
#endif

/* Invalidation */

/* There is nothing to wait for. */
#define SOFT_NO_COMMAND		U64_MAX

static void soft_submit(struct soft_iommu *iommu, enum soft_cmd_kind kind, ioasid_t pasid,
			unsigned long start, unsigned long last, struct soft_endpoint *ep)
{
	soft_cmdq_submit(iommu, &(struct soft_cmd){
		.kind = kind, .pasid = pasid, .start = start, .last = last, .ep = ep,
	});
}

/* Later commands must not overtake those in the ring. */
static void soft_submit_fence(struct soft_iommu *iommu)
{
	soft_cmdq_submit(iommu, &(struct soft_cmd){ .kind = SOFT_CMD_WAIT });
}

/*
 * A device in a reset completes no invalidation, and its ATC is emptied when it is back. A reset
 * waits for an RCU grace period before it begins: the section lasts until the command is complete.
 */
static void soft_submit_atc(struct soft_endpoint *ep, ioasid_t pasid, unsigned long start,
			    unsigned long last)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "a reset may begin");
	if (ep->has_ats && !soft_is_in_reset(ep))
		soft_submit(ep->iommu, SOFT_CMD_ATC, pasid, start, last, ep);
}

/* IOTLB before ATC: what the ATC asks for afterwards must come from the page tables. */
static void soft_flush_range(struct soft_domain *sdom, unsigned long start, unsigned long last)
{
	struct soft_iommu *iommu = sdom->iommu;
	struct soft_pasid_entry *entry;

	lockdep_assert_held(&sdom->lock);

	soft_submit(iommu, SOFT_CMD_IOTLB, sdom->pasid, start, last, NULL);
	soft_submit_fence(iommu);
	list_for_each_entry(entry, &sdom->entries, node)
		soft_submit_atc(entry->ep, sdom->pasid, start, last);
}

/* Starts the flush of a range. Returns the command to wait for, or SOFT_NO_COMMAND. */
static u64 soft_start_invalidate(struct soft_domain *sdom, unsigned long start, unsigned long end)
{
	struct soft_iommu_event event = {
		.point = SOFT_AT_INVALIDATE,
		.pasid = READ_ONCE(sdom->pasid),
		.start = start,
		.end = end,
	};

	soft_hook_atomic(sdom->iommu, &event);
	if (end <= start)
		return SOFT_NO_COMMAND;

	guard(spinlock)(&sdom->lock);
	if (list_empty(&sdom->entries))
		return SOFT_NO_COMMAND;
	soft_cmdq_begin(sdom->iommu);
	/* Whole pages; the end of everything is the last byte. */
	soft_flush_range(sdom, start & PAGE_MASK, end == ~0UL ? end : (end - 1) | ~PAGE_MASK);
	return soft_cmdq_post(sdom->iommu);
}

/* As above, when the mm has exited */
static u64 soft_start_release(struct soft_domain *sdom)
{
	struct soft_iommu_event event = {
		.point = SOFT_AT_RELEASE,
		.pasid = READ_ONCE(sdom->pasid),
		.end = ~0UL,
	};
	struct soft_iommu *iommu = sdom->iommu;
	struct soft_pasid_entry *entry;

	soft_hook_atomic(iommu, &event);

	guard(spinlock)(&sdom->lock);
	sdom->released = true;
	if (list_empty(&sdom->entries))
		return SOFT_NO_COMMAND;
	soft_cmdq_begin(iommu);
	list_for_each_entry(entry, &sdom->entries, node) {
		WRITE_ONCE(entry->root, NULL);
		soft_submit(iommu, SOFT_CMD_PASID, sdom->pasid, 0, ~0UL, entry->ep);
	}
	soft_submit_fence(iommu);
	soft_flush_range(sdom, 0, ~0UL);
	return soft_cmdq_post(iommu);
}

static void soft_await(struct soft_domain *sdom, u64 nr)
{
	struct soft_iommu_event event = {
		.point = SOFT_AT_WAIT,
		.pasid = READ_ONCE(sdom->pasid),
	};

	if (nr == SOFT_NO_COMMAND)
		return;
	soft_hook_atomic(sdom->iommu, &event);
	soft_cmdq_await(sdom->iommu, nr);
}

/* The section keeps devices, and lasts until the commands that name them are complete. */
static void soft_domain_invalidate(struct soft_domain *sdom, unsigned long start,
				   unsigned long end)
{
	guard(rcu)();
	soft_await(sdom, soft_start_invalidate(sdom, start, end));
}

static void soft_domain_release(struct soft_domain *sdom)
{
	guard(rcu)();
	soft_await(sdom, soft_start_release(sdom));
}

/* PASID entries */

static pgd_t *soft_domain_root(struct soft_domain *sdom)
{
#if SOFT_SVA_CORE
	return iommu_sva_root(&sdom->domain);
#else
	return sdom->domain.mm->pgd;
#endif
}

static int soft_pasid_hook(struct soft_endpoint *ep, enum soft_iommu_point point, ioasid_t pasid)
{
	struct soft_iommu_event event = {
		.point = point,
		.dev = soft_endpoint_dev(ep),
		.pasid = pasid,
	};

	return soft_hook(ep->iommu, &event);
}

static int soft_domain_add(struct soft_domain *sdom, struct soft_pasid_entry *entry,
			   ioasid_t pasid)
{
	pgd_t *root = soft_domain_root(sdom);

	guard(spinlock)(&sdom->lock);
	if (!list_empty(&sdom->entries) && sdom->pasid != pasid)
		return -EINVAL;
	WRITE_ONCE(sdom->pasid, pasid);
	/*
	 * A late attachment must not name the tables of a process that has gone. On x86 the core's
	 * root is empty by then, so a driver need not check.
	 */
	entry->root = sdom->released && !IS_ENABLED(CONFIG_X86_64) ? NULL : root;
	list_add(&entry->node, &sdom->entries);
	return 0;
}

static void soft_domain_del(struct soft_domain *sdom, struct soft_pasid_entry *entry)
{
	guard(spinlock)(&sdom->lock);
	list_del(&entry->node);
}

static int soft_set_entry(struct soft_domain *sdom, struct soft_endpoint *ep, ioasid_t pasid)
{
	struct soft_pasid_entry *entry;
	int ret;

	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return -ENOMEM;
	entry->ep = ep;
	entry->sdom = sdom;
	entry->mm = sdom->domain.mm;

	ret = soft_domain_add(sdom, entry, pasid);
	if (ret)
		goto err_free;
	ret = xa_insert(&ep->pasids, pasid, entry, GFP_KERNEL);
	if (ret)
		goto err_del;
	return 0;

err_del:
	if (ret == -EBUSY)
		soft_violation(ep->iommu, "%s, PASID %u: the entry is set while it is present",
			       soft_endpoint_name(ep), pasid);
	soft_domain_del(sdom, entry);
err_free:
	kfree(entry);
	return ret;
}

static int soft_set_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			      struct iommu_domain *old)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);
	struct soft_domain *sdom = to_soft(domain);
	int ret;

	/* The core tries domains of other instances. */
	if (sdom->iommu != ep->iommu)
		return -EINVAL;
	ret = soft_pasid_hook(ep, SOFT_AT_SET_PASID, pasid);
	if (ret)
		return ret;
	return soft_set_entry(sdom, ep, pasid);
}

/* After this no transaction of @ep uses the PASID, nor anything that was cached for it. */
static void soft_clear_entry(struct soft_endpoint *ep, struct soft_pasid_entry *entry,
			     ioasid_t pasid)
{
	struct soft_iommu *iommu = ep->iommu;

	xa_erase(&ep->pasids, pasid);

	scoped_guard(rcu) {
		soft_cmdq_begin(iommu);
		soft_submit(iommu, SOFT_CMD_PASID, pasid, 0, ~0UL, ep);
		soft_submit_fence(iommu);
		soft_submit(iommu, SOFT_CMD_IOTLB, pasid, 0, ~0UL, NULL);
		soft_submit_fence(iommu);
		soft_submit_atc(ep, pasid, 0, ~0UL);
		soft_cmdq_end(iommu);
	}

	soft_domain_del(entry->sdom, entry);
	kfree(entry);
}

static void soft_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);
	struct soft_pasid_entry *entry;

	soft_pasid_hook(ep, SOFT_AT_REMOVE_PASID, pasid);

	entry = xa_load(&ep->pasids, pasid);
	if (!entry || &entry->sdom->domain != domain) {
		soft_violation(ep->iommu, "%s, PASID %u: an entry is removed that is %s",
			       soft_endpoint_name(ep), pasid,
			       entry ? "another domain's" : "not present");
		return;
	}
	soft_clear_entry(ep, entry, pasid);

	if (!SOFT_SVA_CORE && ep->iopf) {
		soft_pasid_hook(ep, SOFT_AT_DRAIN, pasid);
		soft_prq_drain(ep, pasid);
		iopf_queue_flush_dev(dev);
	}
}

/* Domains */

static void soft_domain_destroy(struct soft_domain *sdom)
{
	struct soft_iommu *iommu = sdom->iommu;

	kfree(sdom);
	atomic_dec(&iommu->domains);
	soft_iommu_put(iommu);
}

#if SOFT_SVA_CORE
static int soft_domain_watch(struct soft_domain *sdom, struct mm_struct *mm)
{
	return 0;
}

static void soft_domain_free(struct iommu_domain *domain)
{
	soft_domain_destroy(to_soft(domain));
}

static void soft_sva_invalidate(struct iommu_domain *domain, unsigned long start,
				unsigned long end)
{
	soft_domain_invalidate(to_soft(domain), start, end);
}

static void soft_sva_release(struct iommu_domain *domain)
{
	soft_domain_release(to_soft(domain));
}

static bool soft_sva_start_flush(struct iommu_domain *domain, const struct iommu_sva_range *range,
				 u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	struct soft_domain *sdom = to_soft(domain);

	notes[0] = range->exits ? soft_start_release(sdom) :
		   soft_start_invalidate(sdom, range->start, range->end);
	return true;
}

static bool soft_sva_await_flush(struct iommu_domain *domain, const struct iommu_sva_range *range,
				 u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	soft_await(to_soft(domain), notes[0]);
	return true;
}

static void soft_sva_drain(struct device *dev, ioasid_t pasid)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);

	soft_pasid_hook(ep, SOFT_AT_DRAIN, pasid);
	soft_prq_drain(ep, pasid);
	iopf_drain_pasid(dev, pasid);
	soft_pri_drain(ep, pasid);
}

static void soft_sva_flush_atc(struct device *dev)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);

	guard(rcu)();
	soft_cmdq_begin(ep->iommu);
	soft_submit_atc(ep, IOMMU_PASID_INVALID, 0, ~0UL);
	soft_cmdq_end(ep->iommu);
}

static void soft_page_responses(struct device *dev, const struct iopf_response *responses,
				unsigned int nr)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);

	soft_count(ep->iommu, response_batches);
	for (unsigned int i = 0; i < nr; i++)
		soft_pri_response(ep, &responses[i].resp,
				  responses[i].last->fault.prm.private_data[0]);
}

static const struct iommu_sva_ops soft_sva_ops = {
	.walks_io_mm_root = true,
	.hw_access_flag = IS_ENABLED(CONFIG_X86_64) || IS_ENABLED(CONFIG_ARM64),
	.invalidate_range = soft_sva_invalidate,
	.release = soft_sva_release,
	.start_flush = soft_sva_start_flush,
	.await_flush = soft_sva_await_flush,
	.drain = soft_sva_drain,
	.page_responses = soft_page_responses,
	.flush_atc = soft_sva_flush_atc,
};

#else /* a base kernel: the driver has an MMU notifier for each domain */

static void soft_mn_invalidate(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			       unsigned long end)
{
	soft_domain_invalidate(container_of(mn, struct soft_domain, notifier), start, end);
}

static void soft_mn_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	soft_domain_release(container_of(mn, struct soft_domain, notifier));
}

static void soft_mn_free(struct mmu_notifier *mn)
{
	soft_domain_destroy(container_of(mn, struct soft_domain, notifier));
}

static const struct mmu_notifier_ops soft_mn_ops = {
	.arch_invalidate_secondary_tlbs = soft_mn_invalidate,
	.release = soft_mn_release,
	.free_notifier = soft_mn_free,
};

static int soft_domain_watch(struct soft_domain *sdom, struct mm_struct *mm)
{
	sdom->notifier.ops = &soft_mn_ops;
	return mmu_notifier_register(&sdom->notifier, mm);
}

static void soft_domain_free(struct iommu_domain *domain)
{
	mmu_notifier_put(&to_soft(domain)->notifier);
}
#endif

static const struct iommu_domain_ops soft_sva_domain_ops = {
	.set_dev_pasid = soft_set_dev_pasid,
	.free = soft_domain_free,
};

static struct iommu_domain *soft_domain_alloc_sva(struct device *dev, struct mm_struct *mm)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);
	struct soft_domain *sdom;
	int ret;

	ret = soft_pasid_hook(ep, SOFT_AT_DOMAIN_ALLOC, IOMMU_PASID_INVALID);
	if (ret)
		return ERR_PTR(ret);
	sdom = kzalloc(sizeof(*sdom), GFP_KERNEL);
	if (!sdom)
		return ERR_PTR(-ENOMEM);
	sdom->domain.ops = &soft_sva_domain_ops;
	sdom->iommu = ep->iommu;
	sdom->pasid = IOMMU_PASID_INVALID;
	spin_lock_init(&sdom->lock);
	INIT_LIST_HEAD(&sdom->entries);

	ret = soft_domain_watch(sdom, mm);
	if (ret) {
		kfree(sdom);
		return ERR_PTR(ret);
	}
	soft_iommu_get(ep->iommu);
	atomic_inc(&ep->iommu->domains);
	return &sdom->domain;
}

/* Without a PASID nothing is translated: the bench has no such DMA. */
static int soft_attach_static(struct iommu_domain *domain, struct device *dev)
{
	return 0;
}

static const struct iommu_domain_ops soft_static_ops = {
	.attach_dev = soft_attach_static,
};

static struct iommu_domain soft_identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &soft_static_ops,
};

static struct iommu_domain soft_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &soft_static_ops,
};

/* Devices */

static struct iommu_device *soft_probe_device(struct device *dev)
{
	struct soft_endpoint *ep = dev_get_drvdata(dev);

	dev_iommu_priv_set(dev, ep);
	guard(mutex)(&ep->iommu->lock);
	list_add_tail(&ep->node, &ep->iommu->endpoints);
	return &ep->iommu->core;
}

static struct iommu_group *soft_device_group(struct device *dev)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);
	struct iommu_group *group;

	if (!ep->group_of)
		return generic_device_group(dev);
	group = iommu_group_get(soft_endpoint_dev(ep->group_of));
	return group ?: ERR_PTR(-ENODEV);
}

static int soft_def_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

static int soft_enable_iopf(struct soft_endpoint *ep)
{
	int ret;

	if (!ep->has_pri)
		return -ENODEV;
	ret = iopf_queue_add_device(ep->iommu->iopf, soft_endpoint_dev(ep));
	if (ret)
		return ret;
	soft_pri_enable(ep);
	return 0;
}

static int soft_disable_iopf(struct soft_endpoint *ep)
{
	if (!soft_pri_disable(ep))
		return -EINVAL;
	/* No more requests come; those that have come are reported before the device goes. */
	soft_prq_drain(ep, IOMMU_PASID_INVALID);
	iopf_queue_remove_device(ep->iommu->iopf, soft_endpoint_dev(ep));
	soft_pri_left_queue(ep);
	return 0;
}

static int soft_enable_feat(struct device *dev, enum iommu_dev_features feat)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);

	switch (feat) {
	case IOMMU_DEV_FEAT_IOPF:
		return soft_enable_iopf(ep);
	case IOMMU_DEV_FEAT_SVA:
		if (!dev->iommu->max_pasids)
			return -EOPNOTSUPP;
		if (ep->has_pri && !ep->iopf)
			return -EINVAL;
		ep->sva = true;
		return 0;
	default:
		return -ENODEV;
	}
}

static int soft_disable_feat(struct device *dev, enum iommu_dev_features feat)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);

	switch (feat) {
	case IOMMU_DEV_FEAT_IOPF:
		return ep->sva ? -EBUSY : soft_disable_iopf(ep);
	case IOMMU_DEV_FEAT_SVA:
		ep->sva = false;
		return 0;
	default:
		return -ENODEV;
	}
}

static void soft_release_device(struct device *dev)
{
	struct soft_endpoint *ep = dev_iommu_priv_get(dev);
	struct soft_pasid_entry *entry;
	unsigned long pasid;

	xa_for_each(&ep->pasids, pasid, entry) {
		soft_violation(ep->iommu, "%s, PASID %lu: the device leaves while it is attached",
			       soft_endpoint_name(ep), pasid);
		soft_clear_entry(ep, entry, pasid);
	}
	if (ep->iopf)
		soft_disable_iopf(ep);
	/* The ring may have commands that name it, of flushes from before its last detach. */
	synchronize_rcu_expedited();
	guard(mutex)(&ep->iommu->lock);
	list_del(&ep->node);
}

static void soft_page_response(struct device *dev, struct iopf_fault *evt,
			       struct iommu_page_response *resp)
{
	soft_pri_response(dev_iommu_priv_get(dev), resp, evt->fault.prm.private_data[0]);
}

const struct iommu_ops soft_iommu_ops = {
	.identity_domain = &soft_identity_domain,
	.blocked_domain = &soft_blocked_domain,
	.release_domain = &soft_blocked_domain,
	.domain_alloc_sva = soft_domain_alloc_sva,
	.probe_device = soft_probe_device,
	.release_device = soft_release_device,
	.device_group = soft_device_group,
	.def_domain_type = soft_def_domain_type,
	.dev_enable_feat = soft_enable_feat,
	.dev_disable_feat = soft_disable_feat,
	.page_response = soft_page_response,
	.remove_dev_pasid = soft_remove_dev_pasid,
	.pgsize_bitmap = PAGE_SIZE,
#if SOFT_SVA_CORE
	.sva_ops = &soft_sva_ops,
#endif
};

/* Instances */

void soft_iommu_get(struct soft_iommu *iommu)
{
	kref_get(&iommu->ref);
}

static void soft_iommu_free(struct kref *ref)
{
	struct soft_iommu *iommu = container_of(ref, struct soft_iommu, ref);

	soft_cache_free(iommu->iotlb);
	soft_cache_free(iommu->psc);
	kvfree(iommu);
}

void soft_iommu_put(struct soft_iommu *iommu)
{
	kref_put(&iommu->ref, soft_iommu_free);
}

static struct soft_iommu *soft_iommu_alloc(const struct soft_iommu_config *config)
{
	struct soft_iommu *iommu;

	iommu = kvzalloc(sizeof(*iommu), GFP_KERNEL);
	if (!iommu)
		return NULL;
	kref_init(&iommu->ref);
	mutex_init(&iommu->lock);
	INIT_LIST_HEAD(&iommu->endpoints);
	soft_meter_init(iommu);
	rwlock_init(&iommu->traffic);
	spin_lock_init(&iommu->held_lock);
	INIT_LIST_HEAD(&iommu->held);
	spin_lock_init(&iommu->hook_lock);
	spin_lock_init(&iommu->ledger.lock);
	soft_cmdq_init(iommu);
	soft_prq_init(iommu, config ? config->prq_entries : 0);
	iommu->backend = config ? config->backend : NULL;
	iommu->core.max_pasids = 1U << (config && config->pasid_bits ? config->pasid_bits : 20);
	iommu->iotlb = soft_cache_alloc(config ? &config->iotlb : NULL, 16, 4);
	iommu->psc = soft_cache_alloc(config ? &config->psc : NULL, 8, 4);
	if (!iommu->iotlb || !iommu->psc) {
		soft_iommu_put(iommu);
		return NULL;
	}
	return iommu;
}

/* Makes the core see it. */
static int soft_iommu_register(struct soft_iommu *iommu, const char *name)
{
	struct fwnode_handle *fwnode;
	int ret;

	fwnode = fwnode_create_software_node(NULL, NULL);
	if (IS_ERR(fwnode))
		return PTR_ERR(fwnode);
	iommu->core.fwnode = fwnode;
	ret = iommu_device_sysfs_add(&iommu->core, NULL, NULL, "%s", name);
	if (ret)
		goto err_fwnode;
	ret = iommu_device_register(&iommu->core,
				    iommu->backend ? iommu->backend->ops : &soft_iommu_ops, NULL);
	if (ret)
		goto err_sysfs;
	return 0;

err_sysfs:
	iommu_device_sysfs_remove(&iommu->core);
err_fwnode:
	fwnode_remove_software_node(fwnode);
	return ret;
}

static int soft_iommu_start(struct soft_iommu *iommu, const char *name)
{
	int ret;

	if (iommu->backend) {
		iommu->backend_data = iommu->backend->start(iommu, &iommu->core);
		return PTR_ERR_OR_ZERO(iommu->backend_data);
	}
	iommu->iopf = iopf_queue_alloc(name);
	if (!iommu->iopf)
		return -ENOMEM;
	ret = soft_prq_start(iommu);
	if (ret)
		iopf_queue_free(iommu->iopf);
	return ret;
}

static void soft_iommu_stop(struct soft_iommu *iommu)
{
	if (iommu->backend) {
		iommu->backend->stop(iommu->backend_data);
		return;
	}
	soft_prq_stop(iommu);
	iopf_queue_free(iommu->iopf);
}

/* Makes an IOMMU of the given kind; @config may be NULL. Returns an ERR_PTR. */
struct soft_iommu *soft_iommu_create(const struct soft_iommu_config *config)
{
	static atomic_t next_id;
	struct soft_iommu *iommu;
	char name[24];
	int ret;

	iommu = soft_iommu_alloc(config);
	if (!iommu)
		return ERR_PTR(-ENOMEM);

	scnprintf(name, sizeof(name), "soft-iommu%d", atomic_inc_return(&next_id));
	ret = soft_iommu_start(iommu, name);
	if (ret)
		goto err_put;
	ret = soft_iommu_register(iommu, name);
	if (ret)
		goto err_stop;
	return iommu;

err_stop:
	soft_iommu_stop(iommu);
err_put:
	soft_iommu_put(iommu);
	return ERR_PTR(ret);
}

/* Its endpoints have been destroyed. Domains may follow later. */
void soft_iommu_destroy(struct soft_iommu *iommu)
{
	struct fwnode_handle *fwnode = iommu->core.fwnode;

	WARN_ON(!list_empty(&iommu->endpoints));
	iommu_device_unregister(&iommu->core);
	iommu_device_sysfs_remove(&iommu->core);
	fwnode_remove_software_node(fwnode);
	soft_iommu_stop(iommu);
	soft_iommu_put(iommu);
}

unsigned int soft_iommu_domains(struct soft_iommu *iommu)
{
	if (iommu->backend)
		return iommu->backend->domains(iommu->backend_data);
	return atomic_read(&iommu->domains);
}

struct iopf_queue *soft_iommu_iopf_queue(struct soft_iommu *iommu)
{
	return iommu->iopf;
}
