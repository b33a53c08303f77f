/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of the exit have in common: a device that asks, and the answers that it gets
 */
#ifndef _DRIVERS_IOMMU_TESTS_SVA_EXIT_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_SVA_EXIT_KUNIT_H

#include <linux/mm.h>

#include "sva_stage.h"

#define INVALID		((int)IOMMU_PAGE_RESP_INVALID)
#define SUCCESS		((int)IOMMU_PAGE_RESP_SUCCESS)

/* Milliseconds to wait for a response that must come. */
#define ANSWER_MS	jiffies_to_msecs(SVA_PATIENCE)

static inline int ask(struct soft_endpoint *ep, u32 pasid, unsigned long addr, u32 grpid)
{
	return sva_ask(ep, pasid, addr, IOMMU_FAULT_PERM_READ, grpid);
}

/* The same for a page that is not the last of its group */
static inline int ask_partial(struct soft_endpoint *ep, u32 pasid, unsigned long addr, u32 grpid)
{
	const struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		.pasid = pasid,
		.grpid = grpid,
		.perm = IOMMU_FAULT_PERM_READ,
		.addr = addr,
	};

	return soft_pri_send(ep, &prm);
}

static inline void expect_gone(struct kunit *test, struct soft_endpoint *ep,
			       struct sva_scene *scene, unsigned int pages)
{
	for (unsigned int i = 0; i < pages; i++)
		SVA_EXPECT_REFUSED(test, ep, scene->pasid, scene->addr + i * PAGE_SIZE);
}

static inline void touch_all(struct kunit *test, struct soft_endpoint *ep, struct sva_scene *scene,
			     unsigned int pages)
{
	for (unsigned int i = 0; i < pages; i++)
		SVA_EXPECT_READS(test, ep, scene->pasid, scene->addr + i * PAGE_SIZE, sva_mark(i));
}

static inline u64 successes(struct soft_iommu *iommu)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(iommu, &stats);
	return stats.responses[IOMMU_PAGE_RESP_SUCCESS];
}

#endif /* _DRIVERS_IOMMU_TESTS_SVA_EXIT_KUNIT_H */
