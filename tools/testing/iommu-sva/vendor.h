/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An invented vendor's IOMMU driver and hardware. Devices cache translations and use them until the
 * driver invalidates them; a ledger has every request and every response. Anything that would harm
 * a real driver or device is a violation.
 */
#ifndef _IOMMU_SVA_HARNESS_VENDOR_H
#define _IOMMU_SVA_HARNESS_VENDOR_H

#include <linux/iommu.h>

#include "sim.h"

#define VENDOR_CACHED	64
#define VENDOR_PASIDS	96

/* How a driver differs from the usual one */
enum vendor_quirk {
	/* No sva_ops: it has an MMU notifier of its own. */
	VENDOR_NO_SVA_OPS = 1 << 0,
	/* sva_ops without drain() */
	VENDOR_NO_DRAIN = 1 << 1,
	/* domain_alloc() instead of domain_alloc_sva() */
	VENDOR_OLD_ALLOC = 1 << 2,
	/* neither */
	VENDOR_NO_ALLOC = 1 << 3,
	/* no page_response() */
	VENDOR_NO_RESPONSE = 1 << 4,
	/* walks mm->pgd */
	VENDOR_WALKS_PGD = 1 << 5,
	/* all devices behind it can share a domain, even with other IOMMUs of the driver */
	VENDOR_SHARES_DOMAINS = 1 << 6,
	/* the PASID table is the guest's */
	VENDOR_USER_TABLE = 1 << 7,
	/* grants no execute permission */
	VENDOR_NO_EXECUTE = 1 << 8,
	/* sva_ops without start_flush() */
	VENDOR_NO_START = 1 << 9,
};

struct vendor_dev;

/**
 * struct vendor_iommu - one IOMMU instance
 * @ring: requests that the hardware has queued and the driver has not reported yet, in order
 * @reporting: the interrupt thread is reading the ring
 * @overflow: the ring has overflowed since the thread last looked
 * @serves_single: the thread itself serves a request that is alone in the ring
 */
struct vendor_iommu {
	struct iommu_device iommu;
	struct iommu_ops ops;
	struct iommu_sva_ops sva_ops;
	struct iopf_queue *queue;
	unsigned int quirks;
	struct vendor_request *ring;
	struct vendor_dev *devs;
	bool reporting, overflow, serves_single;
	struct vendor_iommu *next;
};

/**
 * struct vendor_request - an entry of the ledger
 * @reported: iommu_report_device_fault() was called, and returned @error
 * @stop_marker: it is none, but a PASID Stop Marker
 * @answering: the response is in flight
 * @forgotten: a reset has made the device forget it: no response may come any more
 * @answers: how often it was answered
 */
struct vendor_request {
	struct vendor_dev *dev;
	u64 id, addr;
	u32 pasid, grpid, perm, flags;
	bool reported, stop_marker, answering, forgotten;
	int error;
	unsigned int answers;
	u32 code;
	struct vendor_request *next, *next_in_ring;
};

/* A PASID entry: what the device translates with. @root NULL: the mm is gone. */
struct vendor_entry {
	ioasid_t pasid;
	struct vendor_domain *domain;
	pgd_t *root;
};

/* A cached translation, or, without @page, a cached top-level entry */
struct vendor_cached {
	ioasid_t pasid;
	unsigned long addr;
	pgdval_t table;
	bool page, write;
};

/**
 * struct vendor_dev - a device
 * @alone: its group, if it shares none
 * @requests: all it ever sent, latest first
 * @shut: iopf_queue_remove_device() has returned: no answers
 * @in_reset: it does nothing, and the driver may send it no invalidation
 * @invalidating: ATC invalidations that are in flight to it
 * @keeps_atc: it does not complete ATC invalidations, and goes on using what it has cached
 * @stopped: it has not been started since the reset, and sends no page requests
 * @stalls: it sends no page requests, but the IOMMU holds its transactions until they are answered
 * @left: it has left the IOMMU: the driver has no data of it any more
 * @submissions: page_responses() for it
 * @flushes: how often the driver has invalidated its whole ATC
 * @awaits: how often the driver has waited for errors from before a reset
 * @attach_error: what set_dev_pasid() returns
 * @max_requests: how many requests it may have outstanding, by the driver; 0: the driver does not
 * know
 */
struct vendor_dev {
	struct pci_dev pdev;
	struct dev_iommu *param;
	struct vendor_iommu *iommu;
	struct iommu_group alone;
	struct vendor_request *requests;
	bool on_queue, shut, in_reset, keeps_atc, stopped, left, stalls;
	unsigned int invalidating;
	unsigned int submissions;
	unsigned int flushes;
	unsigned int awaits;
	int attach_error;
	u32 max_requests;
	struct vendor_entry entries[VENDOR_PASIDS];
	struct vendor_cached cached[VENDOR_CACHED];
	unsigned int next_cached;
	struct vendor_dev *next;
};

/**
 * struct vendor_domain - an SVA domain
 * @attached: entries that name it
 * @invalidated: flushes of ranges that the driver has begun
 * @start: of the latest one
 * @end: of the latest one
 * @released: the driver has been told of the exit
 * @failed: the last flush has not been carried out
 * @under_way: flushes that have begun and that no task waits for yet
 */
struct vendor_domain {
	struct iommu_domain domain;
	struct vendor_iommu *iommu;
	unsigned int attached;
	unsigned int invalidated;
	bool released, failed;
	unsigned long start, end;
	unsigned int under_way;
};

/*
 * Hooks, NULL at the begin of a test; called without any lock of the vendor's. @attached and
 * @detaching: the device can translate. @attaching: it cannot yet, and may never. @starting: a
 * flush begins, of a range or since the mm has exited; @waiting: a task is about to wait for it.
 * @has_no_room: a flush cannot be started, only carried out as a whole. @fails: the IOMMU does not
 * carry out what was started.
 */
struct vendor_hooks {
	void (*attaching)(struct vendor_dev *dev, ioasid_t pasid);
	void (*attached)(struct vendor_domain *domain, struct vendor_dev *dev);
	void (*detaching)(struct vendor_domain *domain, struct vendor_dev *dev);
	void (*responding)(struct vendor_request *request, u32 code);
	bool (*has_no_room)(struct vendor_domain *domain);
	bool (*fails)(struct vendor_domain *domain);
	void (*starting)(struct vendor_domain *domain);
	void (*waiting)(struct vendor_domain *domain);
	void (*draining)(struct vendor_dev *dev, ioasid_t pasid);
};

extern struct vendor_hooks vendor_hooks;

/* The module of all drivers. Devices do not hold it: a test sees the core's references only. */
extern struct module vendor_module;

struct vendor_iommu *vendor_iommu_new(unsigned int quirks);
/* With @credits page requests, or without any notion of credits if 0. */
struct vendor_dev *vendor_dev_new(struct vendor_iommu *iommu, u32 max_pasids, u32 credits);
/* Makes @dev a member of @of's group. */
void vendor_join_group(struct vendor_dev *dev, struct vendor_dev *of);
/* Enables page requests; asserts success. Disables them. */
void vendor_enable(struct vendor_dev *dev);
void vendor_disable(struct vendor_dev *dev);
/* Takes a device without bonds, on no queue, from its IOMMU, as the base's IOMMU core does. */
void vendor_leave(struct vendor_dev *dev);

/*
 * A function-level reset; iopf_quiesce_device() has returned before. After its end software calls
 * iopf_resume_device(), and then the device's driver starts the device again.
 */
void vendor_begin_reset(struct vendor_dev *dev);
void vendor_end_reset(struct vendor_dev *dev);
void vendor_start(struct vendor_dev *dev);

/* Sends a page request and reports it at once. A device that is stopped does not send. */
struct vendor_request *vendor_send(struct vendor_dev *dev, ioasid_t pasid, u32 grpid,
				   unsigned long addr, u32 perm, bool last);
/* A last page that is reported with others of @dev, up to 8 at once. */
struct vendor_request *vendor_prepare(struct vendor_dev *dev, ioasid_t pasid, u32 grpid,
				      unsigned long addr);
void vendor_send_batch(struct vendor_dev *dev, struct vendor_request **r, unsigned int nr);
/* Reports what vendor_prepare() has made as single. True if the caller has to serve it. */
bool vendor_send_single(struct vendor_request *r);
/* Only puts it into the hardware's ring; an interrupt thread will take it. */
struct vendor_request *vendor_post(struct vendor_dev *dev, ioasid_t pasid, u32 grpid,
				   unsigned long addr, u32 perm, bool last);
/* A PASID Stop Marker in the ring; the driver must not report it, since it wants no answer. */
void vendor_post_stop_marker(struct vendor_dev *dev, ioasid_t pasid);
/* The ring has overflowed; the interrupt thread tells the queue. */
void vendor_overflow(struct vendor_iommu *iommu);
/* Number of the latest request */
u64 vendor_nr_requests(void);
/*
 * All last pages that @dev had reported up to request @id are answered, or those for @pasid if that
 * is not IOMMU_PASID_INVALID.
 */
void vendor_check_answered(struct vendor_dev *dev, ioasid_t pasid, u64 id);
/* The last page of a request for reading or writing, in group @grpid */
static inline struct vendor_request *vendor_ask(struct vendor_dev *dev, ioasid_t pasid, u32 grpid,
						unsigned long addr)
{
	return vendor_send(dev, pasid, grpid, addr, IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE,
			   true);
}

/* A transaction: true if it went through, false if a translation was missing. */
bool vendor_dma(struct vendor_dev *dev, ioasid_t pasid, unsigned long addr, bool write);
pgd_t *vendor_root(struct vendor_dev *dev, ioasid_t pasid);
struct vendor_domain *vendor_domain_of(struct vendor_dev *dev, ioasid_t pasid);
/* Nothing of [@start, @end) is cached by any device that is attached to @mm. */
void vendor_check_stale(struct mm_struct *mm, unsigned long start, unsigned long end);

/* Frees all that vendor_*_new() made, after a check of the ledger. */
void vendor_end(void);

#endif /* _IOMMU_SVA_HARNESS_VENDOR_H */
