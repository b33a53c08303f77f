// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing: bonds between devices and address spaces
 *
 * Model (the words are defined in include/linux/iommu.h):
 *
 *	io_mm		one per mm with at least one bond; is the mm's MMU notifier
 *	  domains	one per IOMMU instance, or per set of devices that can share one
 *	    bonds	one per device (per IOMMU group), reference counted
 *
 * An io_mm holds mm_count through its notifier, never mm_users: a process that has mapped a
 * device's queue must not keep its own mappings alive by that. Workers take mm_users only while
 * they serve, and serve a process only while one of its threads is alive (io_mm_is_dead()).
 *
 * A domain is on the io_mm's list before the first device can translate through it and leaves it
 * after the last one can no longer, so that every invalidation reaches every cache that may
 * hold something.
 *
 * The life of a PASID:
 *
 *	1. First bond of the mm: allocated, cyclically. Workers serve page requests from the mm.
 *	2. The process is killed or exits: the core refuses requests without a log line.
 *	   The mm exits: the IOMMU loses the page tables.
 *	   The core neither sleeps nor drains. The PASID stays allocated.
 *	3. The last unbind of a device: the core drains (device, PASID), detaches it, which
 *	   invalidates its caches, and drains again. After that of the last device the PASID is
 *	   free - unless the CPU has ENQCMD: then tasks may hold it in an MSR, and the mm core
 *	   frees it with the mm itself.
 *	4. The queue refuses and logs requests with a PASID that is not bound on the device, and
 *	   the allocator keeps the PASID in quarantine while that goes on (iopf-stray.c).
 *
 * Locks:
 *
 *	io_mm.lock		bind and unbind of one mm; domains, bonds, PASID
 *	  iopf_wqs_lock		(iopf-service.c) each 64th process
 *	  stats_lock		(iopf-stats.c) the first bond of a device
 *	  dev_iommu.bonds_lock	(iopf-stats.c) statistics of the device's bonds
 *	  dev_iommu.atc_uses	(iopf-atc.c) its lock: what the device's ATC may hold
 *	  iommu_group.mutex	(inside iommu_attach_device_pasid() and its counterpart)
 *	    vendor locks
 *	mm->page_table_lock	which io_mm an mm has, for threads that fill its top-level slots
 *				and for the mm core when the process goes
 *	  io_mm.root_lock	contents of the root; innermost
 *	sva_bond.lock		listeners; taken alone
 *
 * Binds share a bond that has users, and all unbinds but the last leave it, without io_mm.lock: its
 * count is zero from the moment when it begins to end. A bind looks for it under RCU, which keeps
 * the io_mm; not the device, which may go with the last user, and whose group is only compared.
 *
 * MMU notifier callbacks run under page-table spinlocks: they walk the domains under RCU and take
 * only root_lock and the locks with which the vendor driver submits invalidations. They hold none
 * of these between the start of a flush and the wait for it, while they start others. Binds and
 * unbinds of processes with different devices share no lock but the first two of those above, which
 * few of them take, and no thread waits for hardware under these.
 *
 * Lifetime. The io_mm lives while its notifier has references: that of its service, whose users are
 * bonds, groups and workers, and those of binds under way. A bond goes a grace period after its
 * last unbind, or with the PASID; a domain goes a grace period after its last bond.
 */
#include <linux/init.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iommu-sva-priv.h"

/* The PASID of an mm */

static bool sva_pasid_stays_with_mm(void)
{
#ifdef CONFIG_X86
	return cpu_feature_enabled(X86_FEATURE_ENQCMD);
#else
	return false;
#endif
}

/* Has the group had a bond since the mm has its PASID? If it has one now, no bind asks. */
static bool sva_was_bound(const struct sva_mm_data *data, const struct iommu_group *group)
{
	const struct sva_bond *bond;

	for (bond = data->past; bond; bond = bond->past)
		if (bond->group == group)
			return true;
	return false;
}

static void sva_forget_past(struct sva_mm_data *data)
{
	struct sva_bond *bond;

	while ((bond = data->past)) {
		data->past = bond->past;
		kfree_rcu(bond, rcu);
	}
}

static int io_mm_get_pasid(struct io_mm *io_mm, struct device *dev)
{
	struct mm_struct *mm = io_mm->notifier.mm;
	struct sva_mm_data *data = sva_mm_data(mm);

	lockdep_assert_held(&io_mm->lock);

	/*
	 * IOMMUs know no pointers with tags; the kernel refuses these to a process with a PASID.
	 */
	if (!arch_pgtable_dma_compat(mm))
		return -EBUSY;
	if (data) {
		if (data->data.pasid >= dev->iommu->max_pasids)
			return -EOVERFLOW;
		/* The group goes on with what an earlier owner of the PASID began. */
		if (!sva_was_bound(data, dev->iommu_group) &&
		    pasid_is_in_quarantine(data->data.pasid, dev->iommu_group))
			return -EBUSY;
	} else {
		data = kzalloc(sizeof(*data), GFP_KERNEL);
		if (!data)
			return -ENOMEM;
		data->data.pasid = iommu_alloc_global_pasid(dev);
		if (data->data.pasid == IOMMU_PASID_INVALID) {
			kfree(data);
			return -ENOSPC;
		}
		INIT_LIST_HEAD(&data->data.sva_domains);
	}
	io_mm->pasid = data->data.pasid;
	/* From here on __iommu_sva_populate() finds the io_mm. */
	guard(spinlock)(&mm->page_table_lock);
	/* Pairs with the dependency in sva_bind_again(). */
	smp_store_release(&data->io_mm, io_mm);
	/* Readers without the lock see the PASID when they see the pointer. */
	smp_store_release(&mm->iommu_mm, &data->data);
	return 0;
}

/* Frees the PASID if the last bond has gone, or the first one could not be made. */
static void io_mm_put_pasid(struct io_mm *io_mm)
{
	struct mm_struct *mm = io_mm->notifier.mm;
	struct sva_mm_data *data = sva_mm_data(mm);

	lockdep_assert_held(&io_mm->lock);

	if (!list_empty(&io_mm->bonds) || io_mm->pasid == IOMMU_PASID_INVALID)
		return;

	io_mm->pasid = IOMMU_PASID_INVALID;
	/* What workers still serve has been answered; the mm core does not find them after this. */
	io_mm_stop_servers(io_mm, SVA_UNBOUND);
	/* The mm core holds the lock while it uses the io_mm. */
	scoped_guard(spinlock, &mm->page_table_lock) {
		WRITE_ONCE(data->io_mm, NULL);
		if (!sva_pasid_stays_with_mm())
			WRITE_ONCE(mm->iommu_mm, NULL);
	}
	if (sva_pasid_stays_with_mm())
		return;
	sva_forget_past(data);
	iommu_free_global_pasid(data->data.pasid);
	kfree_rcu(data, rcu);
}

/**
 * mm_pasid_drop() - Free the PASID of an mm that is being freed
 * @mm: an mm without references
 *
 * Context: any; the mm core calls it.
 */
void mm_pasid_drop(struct mm_struct *mm)
{
	struct sva_mm_data *data = sva_mm_data(mm);

	if (!data)
		return;

	sva_forget_past(data);
	mm->iommu_mm = NULL;
	iommu_free_global_pasid(data->data.pasid);
	kfree(data);
}

/* MMU notifier */

static void io_mm_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	const struct iommu_sva_range range = { .start = start, .end = end };
	struct io_mm *io_mm = to_io_mm(mn);
	u64 began = iopf_clock();

	io_mm_mirror(io_mm, start, end - 1);

	guard(rcu)();
	io_mm_flush(io_mm, &range);
	trace_iommu_sva_invalidate(READ_ONCE(io_mm->pasid), start, end, began);
}

static void io_mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	const struct iommu_sva_range range = { .end = ULONG_MAX, .exits = true };
	struct io_mm *io_mm = to_io_mm(mn);
	struct sva_bond *bond;

	io_mm_clear_root(io_mm);

	guard(rcu)();
	io_mm_flush(io_mm, &range);
	list_for_each_entry_rcu(bond, &io_mm->bonds, node) {
		sva_fault_around_forget(&io_mm->around, mm, &bond->sva);
		bond_tell_exit(bond);
	}
	/* Pairs with io_mm_await_release(): no more use of bonds and devices. */
	smp_store_release(&io_mm->released, true);
}

/*
 * After an unbind has taken a bond from the list, waits for an exit of the mm that has found it
 * there. The exit looks at the device, which may go as soon as the unbind is over, and changes what
 * the IOMMU has for the PASID, which may have a new owner then. Ordered by root_lock: either the
 * exit finds the list without the bond, or the unbind finds the exit.
 */
static void io_mm_await_release(struct io_mm *io_mm)
{
	/* Pairs with io_mm_release(). */
	if (io_mm_has_exited(io_mm) && !smp_load_acquire(&io_mm->released))
		synchronize_rcu();
}

/*
 * Memory of io_mms, each with its root in front. A bind gets it as io_mm_construct() has made it:
 * io_mm_free() leaves it so, and has to clear no more than the process has used.
 */
static struct kmem_cache *io_mm_cache;

static void io_mm_construct(void *object)
{
	struct io_mm *io_mm = object + SVA_ROOT_SIZE;

	memset(object, 0, SVA_ROOT_SIZE + sizeof(*io_mm));
	mutex_init(&io_mm->lock);
	spin_lock_init(&io_mm->root_lock);
	spin_lock_init(&io_mm->servers_lock);
	INIT_LIST_HEAD(&io_mm->servers);
	INIT_LIST_HEAD(&io_mm->domains);
	INIT_LIST_HEAD(&io_mm->bonds);
	io_mm->pasid = IOMMU_PASID_INVALID;
	iopf_service_init(&io_mm->svc, &sva_service_ops);
	sva_fault_around_init(&io_mm->around);
}

static int __init io_mm_create_cache(void)
{
	io_mm_cache = kmem_cache_create("io_mm", SVA_ROOT_SIZE + sizeof(struct io_mm),
					SVA_ROOT_SIZE, SLAB_ACCOUNT | SLAB_PANIC, io_mm_construct);
	return 0;
}
core_initcall(io_mm_create_cache);

static struct mmu_notifier *io_mm_alloc(struct mm_struct *mm)
{
	void *object = kmem_cache_alloc(io_mm_cache, GFP_KERNEL_ACCOUNT);
	struct io_mm *io_mm;

	if (!object)
		return ERR_PTR(-ENOMEM);

	io_mm = object + SVA_ROOT_SIZE;
	io_mm->notifier.mm = mm;
	io_mm_init_root(io_mm);
	iopf_service_begin(&io_mm->svc);
	return &io_mm->notifier;
}

static void io_mm_free_rcu(struct rcu_head *rcu)
{
	struct io_mm *io_mm = container_of(rcu, struct io_mm, rcu);

	kmem_cache_free(io_mm_cache, (void *)io_mm - SVA_ROOT_SIZE);
}

static void io_mm_free(struct mmu_notifier *mn)
{
	struct io_mm *io_mm = to_io_mm(mn);

	iopf_service_destroy(&io_mm->svc);
	io_mm_empty_root(io_mm);
	sva_fault_around_reset(&io_mm->around);
	io_mm->released = false;
	/* sva_bind_again() may still look at the list of bonds. */
	call_rcu(&io_mm->rcu, io_mm_free_rcu);
}

static const struct mmu_notifier_ops io_mm_notifier_ops = {
	.arch_invalidate_secondary_tlbs = io_mm_invalidate,
	.release = io_mm_release,
	.alloc_notifier = io_mm_alloc,
	.free_notifier = io_mm_free,
};

/* Domains */

static void sva_domain_free(struct work_struct *work)
{
	struct sva_domain *sdom = container_of(to_rcu_work(work), struct sva_domain, free);
	struct module *owner = sdom->domain->owner->owner;

	iommu_domain_free(sdom->domain);
	/* Not in the vendor driver: the last put of its module there could unload running code. */
	module_put(owner);
	kfree(sdom);
}

static struct iommu_domain *sva_vendor_domain(struct device *dev, struct mm_struct *mm)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_domain *domain;

	if (ops->domain_alloc_sva)
		domain = ops->domain_alloc_sva(dev, mm);
	else if (ops->domain_alloc)
		domain = ops->domain_alloc(IOMMU_DOMAIN_SVA) ?: ERR_PTR(-ENOMEM);
	else
		domain = ERR_PTR(-EOPNOTSUPP);
	if (IS_ERR(domain))
		return domain;

	domain->type = IOMMU_DOMAIN_SVA;
	domain->owner = ops;
	domain->iopf_handler = sva_iopf_handler;
	mmgrab(mm);
	domain->mm = mm;
	return domain;
}

static struct sva_domain *io_mm_add_domain(struct io_mm *io_mm, struct device *dev)
{
	struct sva_domain *sdom;

	lockdep_assert_held(&io_mm->lock);

	sdom = kzalloc(sizeof(*sdom), GFP_KERNEL);
	if (!sdom)
		return ERR_PTR(-ENOMEM);
	/* The device holds the module, too, but the domain may outlive the device. */
	__module_get(dev_iommu_ops(dev)->owner);
	sdom->domain = sva_vendor_domain(dev, io_mm->notifier.mm);
	if (IS_ERR(sdom->domain)) {
		int ret = PTR_ERR(sdom->domain);

		module_put(dev_iommu_ops(dev)->owner);
		kfree(sdom);
		return ERR_PTR(ret);
	}
	if (!sdom->domain->owner->sva_ops || !sdom->domain->owner->sva_ops->hw_access_flag)
		WRITE_ONCE(io_mm->around.no_hw_access_flag, true);
	INIT_RCU_WORK(&sdom->free, sva_domain_free);
	list_add_rcu(&sdom->node, &io_mm->domains);
	return sdom;
}

static void io_mm_put_domain(struct io_mm *io_mm, struct sva_domain *sdom)
{
	lockdep_assert_held(&io_mm->lock);

	if (sdom->bonds)
		return;
	list_del_rcu(&sdom->node);
	queue_rcu_work(system_wq, &sdom->free);
}

static int sva_drain_attachment(struct device *dev, void *data)
{
	struct sva_bond *bond = data;

	iopf_drain_attachment(dev, bond->pasid, &bond->sva.handle);
	return 0;
}

static int sva_leave_atc(struct device *dev, void *data)
{
	struct sva_bond *bond = data;

	iopf_atc_leave(dev, bond->pasid);
	return 0;
}

static void bond_leave_atcs(struct sva_bond *bond)
{
	iommu_group_for_each_dev(bond->sva.dev->iommu_group, bond, sva_leave_atc);
}

static int sva_prepare_device(struct device *dev, void *data)
{
	struct sva_bond *bond = data;
	struct iopf_bond_stats *stats;
	int ret;

	if (!dev->iommu->max_pasids)
		return 0;
	ret = iopf_atc_use(dev, bond->pasid);
	if (ret)
		return ret;
	stats = list_empty(&bond->stats) ? &bond->first_stats :
		kzalloc(sizeof(*stats), GFP_KERNEL_ACCOUNT);
	if (!stats)
		return -ENOMEM;
	iopf_bond_add(stats, &bond->stats, dev, bond->pasid, &bond->sva.handle,
		      bond->io_mm->notifier.mm);
	return 0;
}

/*
 * Notes what the devices' ATCs may hold, from before they can translate with the PASID, and adds
 * statistics, before they can send requests, which keep a pointer to these.
 */
static int bond_prepare_devices(struct sva_bond *bond)
{
	return iommu_group_for_each_dev(bond->sva.dev->iommu_group, bond, sva_prepare_device);
}

static void bond_end_stats(struct sva_bond *bond)
{
	struct iopf_bond_stats *stats, *next;

	iopf_bonds_del(&bond->stats);
	list_for_each_entry_safe(stats, next, &bond->stats, siblings)
		if (stats != &bond->first_stats)
			kfree(stats);
	INIT_LIST_HEAD(&bond->stats);
}

/*
 * Attaches the group to the domain. After an error no request names the bond or the domain: for a
 * while requests could find the attachment, those of a member of the group that was attached, or of
 * a device that uses a stray PASID; the drain answers them.
 */
static int bond_try_domain(struct sva_bond *bond, struct sva_domain *sdom)
{
	struct device *dev = bond->sva.dev;
	int ret;

	ret = iommu_attach_device_pasid(sdom->domain, dev, bond->pasid, &bond->sva.handle);
	if (ret)
		iommu_group_for_each_dev(dev->iommu_group, bond, sva_drain_attachment);
	return ret;
}

/* Attaches the device to a domain that takes it: -EINVAL is a domain's way to say "not mine". */
static int bond_attach(struct sva_bond *bond)
{
	struct io_mm *io_mm = bond->io_mm;
	struct device *dev = bond->sva.dev;
	struct sva_domain *sdom;
	int ret;

	lockdep_assert_held(&io_mm->lock);

	list_for_each_entry(sdom, &io_mm->domains, node) {
		if (sdom->domain->owner != dev_iommu_ops(dev))
			continue;
		ret = bond_try_domain(bond, sdom);
		if (!ret)
			goto attached;
		if (ret != -EINVAL)
			return ret;
	}

	sdom = io_mm_add_domain(io_mm, dev);
	if (IS_ERR(sdom))
		return PTR_ERR(sdom);
	ret = bond_try_domain(bond, sdom);
	if (ret) {
		io_mm_put_domain(io_mm, sdom);
		return ret;
	}
attached:
	sdom->bonds++;
	bond->sdom = sdom;
	return 0;
}

static int sva_drain_device(struct device *dev, void *data)
{
	if (dev->iommu->max_pasids)
		iopf_drain_hw_pasid(dev, *(ioasid_t *)data);
	return 0;
}

static void bond_drain(struct sva_bond *bond)
{
	iommu_group_for_each_dev(bond->sva.dev->iommu_group, &bond->pasid, sva_drain_device);
}

/* After the drain: a worker that still serves a request of the bond begins no sequence any more. */
static void bond_forget_sequences(struct sva_bond *bond)
{
	struct io_mm *io_mm = bond->io_mm;
	struct mm_struct *mm = io_mm->notifier.mm;

	/* If the mm has exited, io_mm_release() has done it. */
	if (!mmget_not_zero(mm))
		return;
	sva_fault_around_forget(&io_mm->around, mm, &bond->sva);
	mmput_async(mm);
}

/*
 * Drains twice: before the detach, what the device was allowed to ask, which is not logged; after
 * it, what it has asked since, so that nothing is left when the PASID gets a new owner.
 */
static void bond_detach(struct sva_bond *bond)
{
	lockdep_assert_held(&bond->io_mm->lock);

	bond_drain(bond);
	iommu_detach_device_pasid(bond->sdom->domain, bond->sva.dev, bond->pasid);
	bond_drain(bond);
	bond_leave_atcs(bond);
	bond_forget_sequences(bond);

	bond->sdom->bonds--;
	io_mm_put_domain(bond->io_mm, bond->sdom);
}

/* Bonds */

/* The bond of the device's group, with one more user. Inside an RCU read-side section */
static struct sva_bond *io_mm_share_bond(struct io_mm *io_mm, struct device *dev)
{
	struct sva_bond *bond;

	list_for_each_entry_rcu(bond, &io_mm->bonds, node)
		if (bond->group == dev->iommu_group && refcount_inc_not_zero(&bond->sva.users))
			return bond;
	return NULL;
}

static struct sva_bond *bond_alloc(struct io_mm *io_mm, struct device *dev)
{
	struct sva_bond *bond = kzalloc(sizeof(*bond), GFP_KERNEL_ACCOUNT);

	if (!bond)
		return NULL;
	refcount_set(&bond->sva.users, 1);
	bond->sva.dev = dev;
	bond->group = dev->iommu_group;
	bond->io_mm = io_mm;
	spin_lock_init(&bond->lock);
	INIT_LIST_HEAD(&bond->listeners);
	INIT_LIST_HEAD(&bond->stats);
	return bond;
}

/*
 * A bond has ended. What the group still does with the PASID counts as the mm's: the bond itself
 * notes that, as long as the mm has the PASID, since an end can't fail for want of memory.
 */
static void bond_end(struct sva_bond *bond)
{
	struct sva_mm_data *data = sva_mm_data(bond->io_mm->notifier.mm);

	lockdep_assert_held(&bond->io_mm->lock);

	if (sva_was_bound(data, bond->group)) {
		kfree_rcu(bond, rcu);
	} else {
		bond->past = data->past;
		data->past = bond;
	}
}

static struct sva_bond *io_mm_add_bond(struct io_mm *io_mm, struct device *dev)
{
	struct sva_bond *bond;
	int ret;

	lockdep_assert_held(&io_mm->lock);

	bond = bond_alloc(io_mm, dev);
	if (!bond)
		return ERR_PTR(-ENOMEM);
	ret = io_mm_get_pasid(io_mm, dev);
	if (ret)
		goto err_free;
	bond->pasid = io_mm->pasid;

	io_mm_mirror_all(io_mm);
	ret = bond_prepare_devices(bond);
	if (!ret)
		ret = bond_attach(bond);
	if (ret)
		goto err_pasid;

	list_add_rcu(&bond->node, &io_mm->bonds);
	trace_iommu_sva_bind(dev, bond->pasid);
	return bond;

err_pasid:
	bond_leave_atcs(bond);
	bond_forget_sequences(bond);
	bond_end_stats(bond);
	io_mm_put_pasid(io_mm);
err_free:
	/* The bond could be found for a moment: a worker may still look at its listeners. */
	kfree_rcu(bond, rcu);
	return ERR_PTR(ret);
}

static int sva_check_device(struct device *dev)
{
	const struct iommu_ops *ops;

	if (!dev->iommu_group || !dev->iommu || !dev->iommu->iommu_dev)
		return -ENODEV;

	/* The device still has the translations of a kernel that has crashed. */
	if (dev->iommu->attach_deferred)
		return -EBUSY;

	ops = dev_iommu_ops(dev);
	if (!dev->iommu->max_pasids) {
		dev_err_ratelimited(dev, "SVA needs PASID, which device or IOMMU lack\n");
		return -EOPNOTSUPP;
	}
	/* On x86 the IOMMU must not walk mm->pgd. */
	if (IS_ENABLED(CONFIG_X86) && (!ops->sva_ops || !ops->sva_ops->walks_io_mm_root)) {
		dev_err_ratelimited(dev, "SVA is not safe with this IOMMU driver on x86\n");
		return -EOPNOTSUPP;
	}
	if (ops->sva_ops && ops->sva_ops->check_device) {
		int ret = ops->sva_ops->check_device(dev);

		if (ret)
			return ret;
	}
	return iopf_device_may_bind(dev) ? 0 : -EBUSY;
}

static struct iommu_sva *io_mm_bind(struct mm_struct *mm, struct device *dev)
{
	struct mmu_notifier *mn;
	struct sva_bond *bond = NULL;
	struct io_mm *io_mm;
	bool keep = false;
	int ret;

	mn = mmu_notifier_get(&io_mm_notifier_ops, mm);
	if (IS_ERR(mn))
		return ERR_CAST(mn);
	io_mm = to_io_mm(mn);

	scoped_guard(mutex, &io_mm->lock) {
		scoped_guard(rcu)
			bond = io_mm_share_bond(io_mm, dev);
		if (!bond) {
			/*
			 * Before the device can ask for anything. When the service gets its first
			 * user it takes over this reference to the notifier.
			 */
			keep = iopf_service_use(&io_mm->svc);
			ret = iopf_service_get_wq(&io_mm->svc);
			bond = ret ? ERR_PTR(ret) : io_mm_add_bond(io_mm, dev);
		}
	}
	/* Not under the lock, which goes with the last reference. */
	if (!keep)
		mmu_notifier_put(mn);
	if (IS_ERR(bond)) {
		iopf_service_put(&io_mm->svc);
		return ERR_CAST(bond);
	}
	return &bond->sva;
}

/* Shares a bond that exists and does not end, without lock or allocation. NULL: there is none. */
static struct iommu_sva *sva_bind_again(struct mm_struct *mm, struct device *dev)
{
	struct sva_mm_data *data;
	struct sva_bond *bond;
	struct io_mm *io_mm;

	guard(rcu)();
	data = sva_mm_data(mm);
	io_mm = data ? READ_ONCE(data->io_mm) : NULL;
	bond = io_mm ? io_mm_share_bond(io_mm, dev) : NULL;
	return bond ? &bond->sva : NULL;
}

/**
 * iommu_sva_bind_device() - Let a device use the address space of a process
 * @dev: the device. If it is to send page requests, iommu_dev_enable_feature() has enabled
 *	IOMMU_DEV_FEAT_IOPF and then IOMMU_DEV_FEAT_SVA on it.
 * @mm: the address space; the caller holds a reference to its mm_users, or it is current->mm
 *
 * Afterwards transactions of @dev with the PASID that iommu_sva_get_pasid() returns use @mm's
 * mappings, and the core serves the device's page requests for missing pages (PCIe 6.0, chapter
 * 10). A device without page requests can use the pages that are there; the IOMMU aborts other
 * accesses, and if the device reports those to its driver, iommu_sva_handle_fault() brings the
 * page. If @dev and @mm are bound already, the bond is shared; each successful call needs its own
 * iommu_sva_unbind_device().
 *
 * The bond does not keep the process alive, nor does it end with it: see
 * Documentation/driver-api/iommu-sva.rst for what a driver must do when the process exits.
 *
 * Context: process, may sleep; takes @mm's mmap_lock unless the bond is shared. Does not wait for
 * binds of other processes.
 * Return: the bond, or an ERR_PTR:
 *
 * * -ENODEV: @dev is behind no IOMMU
 * * -EOPNOTSUPP: PASID or the IOMMU driver's support is missing; the log says which of them
 * * -ESRCH: @mm has exited
 * * -ENOSPC: no PASID is free that fits @dev
 * * -EOVERFLOW: @mm has a PASID already that does not fit @dev
 * * -EBUSY: the PASID of @mm is attached to something else on @dev; or @dev goes on using many
 *   PASIDs that are not bound any more, or @mm's, to which it has not been bound; or @dev has not
 *   completed an ATC invalidation and not been reset since; or @mm uses tagged addresses (x86:
 *   LAM), which devices would not understand; or, after a crash, the IOMMU still has the crashed
 *   kernel's translations for @dev, until a feature of @dev is enabled or its first DMA mapping
 * * -ENOMEM, or what the IOMMU driver returns
 */
struct iommu_sva *iommu_sva_bind_device(struct device *dev, struct mm_struct *mm)
{
	struct iommu_sva *sva;
	int ret;

	ret = sva_check_device(dev);
	if (ret)
		return ERR_PTR(ret);

	if (!mmget_not_zero(mm))
		return ERR_PTR(-ESRCH);
	sva = sva_bind_again(mm, dev) ?: io_mm_bind(mm, dev);
	/* The last reference would close files here, under whatever locks the caller holds. */
	mmput_async(mm);
	return sva;
}
EXPORT_SYMBOL_GPL(iommu_sva_bind_device);

/**
 * iommu_sva_unbind_device() - Undo one iommu_sva_bind_device()
 * @handle: the bond
 *
 * When the last user of the bond is gone, the device can no longer translate with the PASID, all it
 * has asked for is answered, and the allocator may give the PASID to another process. The caller
 * has stopped the device from using the PASID before, and waited until its transactions have left
 * (PCIe 6.0, section 10.4.1.2: stop request or the device's own way).
 *
 * Context: process, may sleep. Does not wait for faults that are being served, nor for other
 * devices or processes.
 */
void iommu_sva_unbind_device(struct iommu_sva *handle)
{
	struct sva_bond *bond = container_of(handle, struct sva_bond, sva);
	struct io_mm *io_mm = bond->io_mm;
	bool last;

	/* While there are other users the bond stays. */
	if (refcount_dec_not_one(&handle->users))
		return;

	/* The io_mm has the lock, and must outlive its release below. */
	refcount_inc(&io_mm->svc.users);

	scoped_guard(mutex, &io_mm->lock) {
		last = refcount_dec_and_test(&handle->users);
		if (last) {
			WARN_ON_ONCE(!list_empty(&bond->listeners));
			list_del_rcu(&bond->node);
			bond_detach(bond);
			io_mm_await_release(io_mm);
			bond_end_stats(bond);
			trace_iommu_sva_unbind(handle->dev, bond->pasid);
			bond_end(bond);
			io_mm_put_pasid(io_mm);
		}
	}
	if (last)
		iopf_service_put(&io_mm->svc);
	iopf_service_put(&io_mm->svc);
}
EXPORT_SYMBOL_GPL(iommu_sva_unbind_device);

/**
 * iommu_sva_get_pasid() - Get the PASID of a bond
 * @handle: the bond
 *
 * Context: any.
 * Return: the number that the device must put on its transactions, 1 to 2^20 - 1.
 */
u32 iommu_sva_get_pasid(struct iommu_sva *handle)
{
	return container_of(handle, struct sva_bond, sva)->pasid;
}
EXPORT_SYMBOL_GPL(iommu_sva_get_pasid);
