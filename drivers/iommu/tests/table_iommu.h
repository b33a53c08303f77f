/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suite of the table IOMMU looks at: PASID entries, and the ring of page requests
 */
#ifndef _DRIVERS_IOMMU_TESTS_TABLE_IOMMU_H
#define _DRIVERS_IOMMU_TESTS_TABLE_IOMMU_H

#include <linux/bits.h>
#include <linux/iommu.h>

struct soft_backend;

/* The other bits of an entry are the physical address of the root, or 0. */
#define TABLE_PRESENT	BIT_ULL(0)

/* Page requests that the ring holds */
#define TABLE_RING	64U

extern const struct soft_backend table_backend;

u64 table_pasid_entry(struct device *dev, ioasid_t pasid);
/* The reader reports no more of the IOMMU's requests, or goes on. */
void table_hold_reader(struct device *dev, bool hold);

#endif /* _DRIVERS_IOMMU_TESTS_TABLE_IOMMU_H */
