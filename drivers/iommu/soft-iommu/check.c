// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: the final check, and what may be wrong
 *
 * Most violations are noticed when they happen. soft_iommu_check() waits until all that is under
 * way has ended and adds those that show only then.
 *
 * Violations, and the files that notice them:
 *
 *	walk.c		a walk of a freed table, or of a page that is no table any more (ledger.c);
 *			a present entry of the root's kernel half was read
 *	dma.c		bytes to or from a page that is free or belongs to the kernel
 *	cmdq.c		an invalidation that ended before its wait; one of the ATC of a device
 *			that is in a reset
 *	soft-iommu.c	a PASID entry set while present, changed, or removed while it is not there;
 *			a device that leaves while PASIDs are attached
 *	pri.c		a response for a group that was never sent, a second one, none at all, one
 *			after the device has left the fault queue, one to a request that a reset
 *			has made the device forget, one with a code that PCIe lacks; a held one
 *			that a drain does not outlast
 *	prq.c		a drain that never ends
 *
 * Locks: see soft-priv.h.
 */
#include <linux/workqueue.h>

#include "soft-priv.h"
#if SOFT_SVA_CORE
#include "../iopf.h"
#endif

static u64 soft_responses(struct soft_iommu *iommu)
{
	struct soft_iommu_stats stats;
	u64 sum = 0;

	soft_iommu_read_stats(iommu, &stats);
	for (unsigned int i = 0; i < ARRAY_SIZE(stats.responses); i++)
		sum += stats.responses[i];
	return sum;
}

/* Groups that are being served get their answers; a worker may go on in a work item of its own. */
static void soft_iommu_sync_workers(struct soft_iommu *iommu)
{
	u64 before;

	do {
		before = soft_responses(iommu);
#if SOFT_SVA_CORE
		iopf_flush_workers();
#else
		flush_workqueue(iommu->iopf->wq);
#endif
	} while (soft_responses(iommu) != before);
}

unsigned int soft_iommu_check(struct soft_iommu *iommu)
{
	struct soft_ledger *ledger = &iommu->ledger;
	struct soft_endpoint *ep;

	soft_iommu_sync_prq(iommu);
	soft_prq_sync_single(iommu);
	/* Groups that were dropped get none. */
	soft_iommu_sync_workers(iommu);
	soft_cmdq_check(iommu);
	soft_doubts_account(iommu);
	scoped_guard(mutex, &iommu->lock)
		list_for_each_entry(ep, &iommu->endpoints, node)
			soft_pri_account(ep);

	guard(spinlock)(&ledger->lock);
	return ledger->nr - ledger->forgiven;
}
