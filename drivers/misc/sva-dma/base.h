/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the driver uses of the SVA core that a kernel without that core lacks. There listeners are
 * not told of faults, faults that a driver reports fail, a page request may take for ever, also one
 * that a channel waits for which is to stop, and answers may come after a reset or a loss of power;
 * everything else works.
 */
#ifndef _SVA_DMA_BASE_H
#define _SVA_DMA_BASE_H

#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/list.h>

enum iommu_sva_fault_reason {
	IOMMU_SVA_FAULT_NO_MAPPING = 1,
	IOMMU_SVA_FAULT_NO_ACCESS,
	IOMMU_SVA_FAULT_NO_PAGE,
	IOMMU_SVA_FAULT_TIMEOUT,
	IOMMU_SVA_FAULT_EXITED,
	IOMMU_SVA_FAULT_ABORTED,
};

struct iommu_sva_fault {
	u64 addr;
	u32 perm;
	enum iommu_sva_fault_reason reason;
};

struct iommu_sva_listener {
	struct list_head node;
	void (*notify)(struct iommu_sva_listener *listener, const struct iommu_sva_fault *fault);
};

static inline int iommu_sva_listen(struct iommu_sva *handle, struct iommu_sva_listener *listener)
{
	return -EOPNOTSUPP;
}

static inline void iommu_sva_unlisten(struct iommu_sva *handle,
				      struct iommu_sva_listener *listener)
{
}

static inline int iommu_sva_handle_fault(struct iommu_sva *handle, unsigned long addr, u32 perm)
{
	return -EOPNOTSUPP;
}

static inline int iopf_set_timeout(struct device *dev, unsigned int ms)
{
	return -EOPNOTSUPP;
}

static inline void iopf_answer_unserved(struct device *dev, ioasid_t pasid)
{
}

static inline void iopf_quiesce_device(struct device *dev)
{
}

static inline void iopf_resume_device(struct device *dev)
{
}

#endif /* _SVA_DMA_BASE_H */
