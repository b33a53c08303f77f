// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: endpoints by name, and their PASID tables as a transaction sees them
 *
 * A PASID entry is made complete and then published; nothing in it changes but @root, once, in one
 * store, to NULL. The IOMMU latches the entry that an endpoint has used last, and goes by that
 * until a PASID command tells it to forget: that is its PASID cache. If another driver writes the
 * entries, they are looked up each time.
 *
 * On this project's core a transaction whose PASID has no entry is reported.
 */
#include <linux/platform_device.h>

#include "soft-backend.h"
#include "soft-priv.h"

struct device *soft_endpoint_dev(struct soft_endpoint *ep)
{
	return &ep->pdev->dev;
}

const char *soft_endpoint_name(struct soft_endpoint *ep)
{
	return dev_name(&ep->pdev->dev);
}

/*
 * The entry that a transaction uses, or NULL. Readers of soft_iommu.traffic only. One that another
 * driver has written is made into @made.
 */
struct soft_pasid_entry *soft_find_pasid(struct soft_endpoint *ep, ioasid_t pasid,
					 struct soft_pasid_entry *made)
{
	const struct soft_backend *backend = ep->iommu->backend;

	if (backend) {
		made->ep = ep;
		made->mm = NULL;
		made->root = backend->root(soft_endpoint_dev(ep), pasid);
		return IS_ERR(made->root) ? NULL : made;
	}
	guard(spinlock)(&ep->latch_lock);
	if (!ep->latch || ep->latch_pasid != pasid) {
		ep->latch = xa_load(&ep->pasids, pasid);
		ep->latch_pasid = pasid;
	}
	return ep->latch;
}

/* Is there an entry? It may go at any time. */
bool soft_has_pasid(struct soft_endpoint *ep, ioasid_t pasid)
{
	return xa_load(&ep->pasids, pasid);
}

void soft_forget_pasid(struct soft_endpoint *ep, ioasid_t pasid)
{
	guard(spinlock)(&ep->latch_lock);
	if (ep->latch_pasid == pasid)
		ep->latch = NULL;
}

/* A transaction of @ep was aborted. */
void soft_report_abort(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr)
{
#if SOFT_SVA_CORE
	iommu_sva_report_abort(soft_endpoint_dev(ep), pasid, addr);
#endif
}
