/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the SVA core adds to the IOMMU API.
 *
 * This header stands before the base kernel's in the search path of the whole build and includes
 * it, so that every file sees one set of definitions. Structures that the rest of the kernel
 * shares are never redefined here.
 */
#ifndef _LINUX_IOMMU_SVA_API_H
#define _LINUX_IOMMU_SVA_API_H

#include_next <linux/iommu.h>

/**
 * DOC: SVA terms
 *
 * PASID
 *	Process Address Space ID: the number that a device puts on a transaction to name the address
 *	space it means (PCIe 6.0, section 6.20). One mm has at most one PASID, the same on every
 *	device.
 * io_mm
 *	The core's view of one mm that at least one device may use: the PASID, the domains, the
 *	bonds, one MMU notifier and, on x86, the page-table root that the IOMMU walks.
 * domain
 *	What a vendor driver attaches to a (device, PASID): one per io_mm and IOMMU instance.
 * bond
 *	The permission of one device to use one mm: &struct iommu_sva, reference counted.
 * page request
 *	A PCIe PRI message (PCIe 6.0, section 10.4) or its platform equivalent, a stall: one page,
 *	one PASID, the access that the device wants.
 * group
 *	Page requests with one PASID and one PRG index. The device expects one answer for all.
 * last page
 *	The request that closes its group. Only it is answered.
 * partial
 *	A request of a group whose last page has not come yet.
 * response
 *	The answer to a group: Success, Invalid Request or Response Failure.
 * drain
 *	To see to it that every request which a (device, PASID) has sent is answered and that none
 *	is still on its way through hardware or software.
 * quiesce
 *	To stop serving: what happens when the mm exits. The PASID stays; requests are refused
 *	without a log line until the bond goes.
 */

/**
 * struct iommu_sva_ops - what the SVA core asks of a vendor driver
 *
 * Found through &iommu_ops.sva_ops. A driver with this table registers no MMU notifier of its own:
 * the core has one per mm and forwards. A driver without it must have its own, and is refused
 * on architectures where the IOMMU may not walk the CPU's page-table root.
 */
struct iommu_sva_ops {
	/**
	 * @walks_io_mm_root: The driver points the IOMMU at iommu_sva_root(), never at mm->pgd.
	 */
	bool walks_io_mm_root;

	/**
	 * @invalidate_range: Make the IOMMU and all devices of the domain forget the translations
	 * of [@start, @end), and every page-table page cached on the way to them. When it returns,
	 * no device can use a stale one. @start 0 and @end ~0UL mean everything.
	 *
	 * Context: Atomic, under page-table spinlocks and RCU: must not sleep or allocate.
	 */
	void (*invalidate_range)(struct iommu_domain *domain, unsigned long start,
				 unsigned long end);

	/**
	 * @release: The mm is gone. The core has emptied the root already. Forget all translations
	 * and see to it that further requests for the PASID are refused without a log line.
	 *
	 * Context: Atomic, as above. Called once per domain, before the page tables are freed.
	 */
	void (*release)(struct iommu_domain *domain);

	/**
	 * @drain: The driver of @dev has stopped using @pasid. Push the page requests of that PASID
	 * that are still in hardware through to iommu_report_device_fault(), have what software
	 * holds answered with iopf_drain_pasid(), and wait until the answers have left for the
	 * device. Must wait for no other device or PASID. Called before the domain is detached and
	 * again afterwards. If NULL, the core calls iopf_drain_pasid() itself.
	 *
	 * Context: Process, may sleep; the core holds the mutex of the io_mm and of the group.
	 */
	void (*drain)(struct device *dev, ioasid_t pasid);
};

#ifdef CONFIG_IOMMU_SVA
pgd_t *iommu_sva_root(struct iommu_domain *domain);
#endif

#ifdef CONFIG_IOMMU_IOPF
void iopf_drain_pasid(struct device *dev, ioasid_t pasid);
#else
static inline void iopf_drain_pasid(struct device *dev, ioasid_t pasid)
{
}
#endif

#endif /* _LINUX_IOMMU_SVA_API_H */
