/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Software IOMMU: another driver in the place of its own
 *
 * A vendor's back-end meets the SVA core's suites here. The endpoints stay, with all that stands
 * behind them: DMA engine, ATC, IOTLB, paging-structure cache, the walker of live page tables, the
 * ledger of responses. What a vendor brings is the driver, which the IOMMU core calls, and the
 * hardware that it writes for: tables, a queue of page requests, commands.
 *
 *	suites --bind, unbind--> SVA core --iommu_ops, iommu_sva_ops--> the driver
 *	  |                                                               |
 *	  | DMA                                                           | tables, commands
 *	  v                                                               v
 *	endpoints --soft_backend.root, .page_request--> the driver's hardware, made of memory
 *	         <--soft_backend_flush_*(), soft_backend_respond()--
 *
 * A driver that forgets an invalidation, answers a group twice or lets tables of the dead be
 * walked causes a violation, and the case that runs fails.
 *
 * soft_backend_register() names a back-end, from an initcall; then each case of the suites
 * conform_* runs on it. drivers/iommu/tests/table_iommu.c is an example.
 */
#ifndef _DRIVERS_IOMMU_SOFT_BACKEND_H
#define _DRIVERS_IOMMU_SOFT_BACKEND_H

#include <linux/iommu.h>

struct soft_iommu;

/**
 * struct soft_backend - a driver for the software IOMMU's endpoints
 * @name: of parameters in the report of the suites
 * @ops: the driver. probe_device() returns soft_backend_probe(), and release_device() calls
 *	soft_backend_release(); a driver that finds its instances in another way has a copy of its
 *	table here, with these two replaced. dev_iommu_priv_set() is the driver's.
 */
struct soft_backend {
	const char *name;
	const struct iommu_ops *ops;

	/**
	 * @start: An instance is made: set its hardware and its fault queue up. The caller
	 * registers @core with the IOMMU core afterwards; the driver may lower its max_pasids.
	 *
	 * Context: Process.
	 * Return: what soft_backend_data() of the instance's devices gives, or an ERR_PTR.
	 */
	void *(*start)(struct soft_iommu *iommu, struct iommu_device *core);

	/**
	 * @stop: The instance goes; all its devices have gone.
	 *
	 * Context: Process.
	 */
	void (*stop)(void *data);

	/**
	 * @domains: How many SVA domains of the instance there are.
	 */
	unsigned int (*domains)(void *data);

	/**
	 * @root: Hardware looks a PASID up: where does a walk for @dev begin? Reads what the driver
	 * has written into its tables.
	 *
	 * Context: Atomic. No invalidation is carried out meanwhile.
	 * Return: the root; NULL if the entry names no tables; ERR_PTR(-ENXIO) if there is none.
	 */
	pgd_t *(*root)(struct device *dev, ioasid_t pasid);

	/**
	 * @page_request: A page request has arrived: put it into the hardware queue. It is
	 * complete as iommu_report_device_fault() takes it. NULL if no device has PRI.
	 *
	 * Context: Process, must not sleep.
	 * Return: 0; -ENOSPC if it is lost, for want of room: a last page is answered Success, so
	 * that the device asks again; -ENXIO if it is refused: answered Invalid Request.
	 */
	int (*page_request)(struct device *dev, const struct iopf_fault *evt);

	/**
	 * @sync: Wait until what is in the hardware queue now has been reported.
	 *
	 * Context: Process, may sleep.
	 */
	void (*sync)(void *data);
};

/* From an initcall; built-in suites run after these. -ENOSPC: there are too many. */
int soft_backend_register(const struct soft_backend *backend);
/* The first one, or the one behind @backend; NULL: there are no more. */
const struct soft_backend *soft_backend_next(const struct soft_backend *backend);
bool soft_backend_is_registered(const void *backend);

/* What the driver calls: in the place of firmware and of the PCI core ... */
struct iommu_device *soft_backend_probe(struct device *dev);
void soft_backend_release(struct device *dev);
void *soft_backend_data(struct device *dev);
/* -ENODEV: the device has no PRI. Requests may come as soon as, and until, these are called. */
int soft_backend_enable_pri(struct device *dev);
void soft_backend_disable_pri(struct device *dev);
/* After iopf_queue_remove_device(): from now on a response is a violation. */
void soft_backend_left_queue(struct device *dev);

/*
 * ... and of hardware. Flushes are complete when they return. [@start, @last] are bytes, both
 * inclusive; IOMMU_PASID_INVALID means all PASIDs. Atomic.
 */
void soft_backend_flush_iotlb(struct soft_iommu *iommu, ioasid_t pasid, unsigned long start,
			      unsigned long last);
void soft_backend_flush_atc(struct device *dev, ioasid_t pasid, unsigned long start,
			    unsigned long last);
/* @evt as iommu_ops.page_response() gets it. */
void soft_backend_respond(struct device *dev, const struct iopf_fault *evt,
			  const struct iommu_page_response *resp);
/* Waits until the responses that have been sent have reached the device. */
void soft_backend_await_responses(struct device *dev, ioasid_t pasid);

#endif /* _DRIVERS_IOMMU_SOFT_BACKEND_H */
