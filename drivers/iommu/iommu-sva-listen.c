// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing: listeners
 *
 * The core calls the listeners of a bond when it could not serve a fault, when the IOMMU has
 * aborted a transaction, and when the process exits.
 *
 * Locks: sva_bond.lock, for writers of the list. The core calls listeners under RCU, without locks;
 * they may not sleep.
 *
 * Lifetime: the listener is the caller's; iommu_sva_unlisten() waits until no thread calls it.
 */
#include <linux/iommu.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iommu-sva-priv.h"

static void bond_tell_of(struct sva_bond *bond, struct device *dev,
			 const struct iommu_sva_fault *fault)
{
	struct iommu_sva_listener *listener;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the bond may go");

	trace_iommu_sva_fault(dev, bond->pasid, fault);
	list_for_each_entry_rcu(listener, &bond->listeners, node)
		listener->notify(listener, fault);
}

void bond_notify_fault(struct sva_bond *bond, const struct iommu_sva_fault *fault)
{
	bond_tell_of(bond, bond->sva.dev, fault);
}

/* The process has exited: the last thing that listeners hear. */
void bond_tell_exit(struct sva_bond *bond)
{
	const struct iommu_sva_fault exited = { .reason = IOMMU_SVA_FAULT_EXITED };

	WRITE_ONCE(bond->exited, true);
	bond_notify_fault(bond, &exited);
}

/**
 * iommu_sva_listen() - Add a listener to a bond
 * @handle: the bond, which all binds of the same device and process share
 * @listener: with &iommu_sva_listener.notify set; the caller keeps it until iommu_sva_unlisten()
 *	has returned, and calls that before its unbind
 *
 * A listener hears of the faults of all users of the bond. The core may call it before this
 * returns, and on several CPUs at the same time.
 *
 * Context: process, may sleep.
 * Return: 0; -ESRCH if the process has exited: then the core has nothing more to tell.
 */
int iommu_sva_listen(struct iommu_sva *handle, struct iommu_sva_listener *listener)
{
	struct sva_bond *bond = container_of(handle, struct sva_bond, sva);

	scoped_guard(spinlock, &bond->lock)
		list_add_rcu(&listener->node, &bond->listeners);
	/* Ordered by root_lock: either the exit finds the listener, or we find the exit. */
	if (!io_mm_has_exited(bond->io_mm))
		return 0;
	iommu_sva_unlisten(handle, listener);
	return -ESRCH;
}
EXPORT_SYMBOL_GPL(iommu_sva_listen);

/**
 * iommu_sva_unlisten() - Undo iommu_sva_listen()
 * @handle: the bond
 * @listener: the listener; the core does not call it any more when this returns
 *
 * Context: process, sleeps; not from &iommu_sva_listener.notify.
 */
void iommu_sva_unlisten(struct iommu_sva *handle, struct iommu_sva_listener *listener)
{
	struct sva_bond *bond = container_of(handle, struct sva_bond, sva);

	scoped_guard(spinlock, &bond->lock)
		list_del_rcu(&listener->node);
	synchronize_rcu();
}
EXPORT_SYMBOL_GPL(iommu_sva_unlisten);

/* False if @dev has no bond with that PASID. */
static bool sva_tell_abort(struct device *dev, ioasid_t pasid, u64 addr)
{
	const struct iommu_sva_fault fault = { .addr = addr, .reason = IOMMU_SVA_FAULT_ABORTED };
	struct iommu_attach_handle *handle;

	/*
	 * A grace period passes between detach and free of a bond; not of what the bond points to.
	 */
	guard(rcu)();
	handle = iommu_attach_handle_get(dev->iommu_group, pasid, IOMMU_DOMAIN_SVA);
	if (IS_ERR(handle))
		return false;
	if (!READ_ONCE(to_bond(handle)->exited))
		bond_tell_of(to_bond(handle), dev, &fault);
	return true;
}

/**
 * iommu_sva_report_abort() - Report DMA that the IOMMU has refused
 * @dev: the device; must not go away during the call
 * @pasid: PASID of the transaction
 * @addr: its address, or 0 if that is not known
 *
 * For vendor drivers. If @dev is bound to a process with @pasid, the listeners of the bond hear of
 * it. If nothing is attached to @pasid, the DMA is a stray: see iopf_report_stray().
 *
 * Context: process, may sleep.
 */
void iommu_sva_report_abort(struct device *dev, ioasid_t pasid, u64 addr)
{
	if (!sva_tell_abort(dev, pasid, addr))
		iopf_report_stray(dev, pasid, addr);
}
EXPORT_SYMBOL_GPL(iommu_sva_report_abort);
