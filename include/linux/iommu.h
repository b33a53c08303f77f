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
#include <linux/list.h>

struct pci_dev;

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
 *	To have every request answered that a (device, PASID) has sent, so that none is still on its
 *	way through hardware or software.
 * quiesce
 *	To stop serving, which the core does when the mm exits. The PASID stays allocated; until the
 *	bond ends the core or the IOMMU refuses requests without a log line.
 * stray
 *	DMA or a page request with a PASID that is not bound on the device: the device's driver has
 *	not stopped the device before the unbind.
 * quarantine
 *	The state of a PASID while strays with it come: the allocator gives it to no other process.
 */

/**
 * struct iopf_response - an answer to a group of page requests
 * @last: the group's last page, which is what a device knows the group by
 * @resp: the answer
 */
struct iopf_response {
	struct iopf_fault *last;
	struct iommu_page_response resp;
};

/**
 * struct iommu_sva_range - what an IOMMU and the devices behind it must forget
 * @start: first byte
 * @end: the byte after the last; ~0UL, with @start 0, means everything
 * @exits: the mm has exited, as for &iommu_sva_ops.release; then the range is everything
 */
struct iommu_sva_range {
	unsigned long start;
	unsigned long end;
	bool exits;
};

/* What a driver may note of a flush, see &iommu_sva_ops.start_flush */
#define IOMMU_SVA_FLUSH_NOTES	2

/**
 * struct iommu_sva_ops - what the SVA core asks of a vendor driver
 *
 * The core finds it through &iommu_ops.sva_ops. A driver with this table registers no MMU notifier:
 * the core has one per mm and forwards. A driver without the table must have its own notifier, and
 * on architectures where the IOMMU may not walk the CPU's page-table root the core refuses to bind
 * its devices.
 */
struct iommu_sva_ops {
	/**
	 * @walks_io_mm_root: The driver points the IOMMU at iommu_sva_root(), never at mm->pgd.
	 */
	bool walks_io_mm_root;

	/**
	 * @hw_access_flag: The IOMMU sets the accessed flag of a page-table entry that it uses.
	 * Then the core clears the flags of pages that it has mapped ahead, and learns whether the
	 * device uses them.
	 */
	bool hw_access_flag;

	/**
	 * @check_device: May @dev be bound, after what its driver has enabled? The core asks for
	 * the device that a driver binds, not for the other members of its group:
	 * &iommu_domain_ops.set_dev_pasid says whether these can translate with a PASID. NULL: @dev
	 * may be bound.
	 *
	 * Context: Process.
	 * Return: 0, or the error that iommu_sva_bind_device() returns.
	 */
	int (*check_device)(struct device *dev);

	/**
	 * @no_execute: The IOMMU grants no device execute permission. The core refuses page
	 * requests for it: a device that hears Success and gets no permission would ask for ever.
	 */
	bool no_execute;

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
	 * @release: The mm has exited, and the core has emptied the root. Make the IOMMU and all
	 * devices of the domain forget all translations, and refuse further requests for the PASID
	 * without a log line.
	 *
	 * Context: Atomic, as above. Called for each domain, before the page tables are freed.
	 */
	void (*release)(struct iommu_domain *domain);

	/**
	 * @start_flush: Make hardware begin what @invalidate_range does, or @release if
	 * @range->exits, and do not wait until it is done. So several IOMMUs work at the same time.
	 * The core calls @await_flush for each that was started, in the same RCU read-side section,
	 * the last one first, and may start flushes of other domains in between. NULL: the core
	 * lets the IOMMU work alone.
	 *
	 * Context: As @invalidate_range. Must hold no lock on return. May leave interrupts off:
	 * @await_flush turns them on. Must not wait for other threads: they may wait for a flush
	 * that the caller has started, for the places that it takes in a queue.
	 * Return: false if the flush could not be started. Then the core calls @invalidate_range or
	 * @release, after it has waited for all flushes that it has started.
	 */
	bool (*start_flush)(struct iommu_domain *domain, const struct iommu_sva_range *range,
			    u64 notes[IOMMU_SVA_FLUSH_NOTES]);

	/**
	 * @await_flush: Wait for a flush. When it returns true, what @invalidate_range or @release
	 * promises is true. @notes are as @start_flush has left them. Set if @start_flush is.
	 *
	 * Context: As @start_flush.
	 * Return: false if the IOMMU has not carried the flush out: then the core calls
	 * @invalidate_range or @release, after it has waited for all others.
	 */
	bool (*await_flush)(struct iommu_domain *domain, const struct iommu_sva_range *range,
			    u64 notes[IOMMU_SVA_FLUSH_NOTES]);

	/**
	 * @drain: The driver of @dev has stopped using @pasid. Push the page requests of that PASID
	 * that are still in hardware through to iommu_report_device_fault(), have what software
	 * holds answered with iopf_drain_pasid(), and wait until the answers have left for the
	 * device. Must wait for no other device or PASID. The core calls it before it detaches the
	 * domain and again afterwards; also around a reset of @dev, with IOMMU_PASID_INVALID for
	 * all PASIDs: then it must not wait for @dev, which may hang. If NULL, the core calls
	 * iopf_drain_pasid() itself.
	 *
	 * Context: Process, may sleep; the core holds the mutex of the io_mm and of the group.
	 */
	void (*drain)(struct device *dev, ioasid_t pasid);

	/**
	 * @page_responses: Answer @nr groups of @dev, 1 to 32, with as few submissions to the
	 * hardware as possible. Does what &iommu_ops.page_response does for each of them. If NULL,
	 * and for single refusals, the core calls that.
	 *
	 * Context: Process, may sleep.
	 */
	void (*page_responses)(struct device *dev, const struct iopf_response *responses,
			       unsigned int nr);

	/**
	 * @max_requests: How many page requests hardware lets @dev have outstanding, if that is
	 * not what its PRI capability says: faults that an IOMMU stalls, for instance. The core
	 * has room for that many, whatever the number. NULL, or 0: the capability, or a guess.
	 *
	 * Context: Process, may sleep; when @dev is added to its fault queue.
	 */
	u32 (*max_requests)(struct device *dev);

	/**
	 * @stalls: Does the IOMMU hold a transaction of @dev until its fault is answered? It goes
	 * on doing so when @dev is reset or loses power. So the core answers such faults at any
	 * time, and in a reset Invalid Request, which ends the transaction; those of other devices
	 * it drops then. NULL: no.
	 *
	 * Context: Process, may sleep; the result is the same as long as @dev is on its fault
	 * queue.
	 */
	bool (*stalls)(struct device *dev);

	/**
	 * @await_errors: Wait until a thread has read what the IOMMU has logged of @dev. The core
	 * calls it at the end of a reset, while iopf_device_in_reset() is still true: an ATC
	 * invalidation that the IOMMU then reports as not completed is from before the reset, and
	 * @flush_atc makes up for it. The wait is bounded. NULL if the driver learns of errors at
	 * once.
	 *
	 * Context: Process, may sleep.
	 */
	void (*await_errors)(struct device *dev);

	/**
	 * @flush_atc: Make @dev forget all translations of all PASIDs. The core calls it when @dev
	 * comes out of a reset, during which the driver has sent @dev no invalidations; @dev may
	 * not be a bus master yet. If @dev does not complete it, the driver calls
	 * iopf_atc_unconfirmed(). NULL if devices have no ATC.
	 *
	 * Context: Process, may sleep.
	 */
	void (*flush_atc)(struct device *dev);
};

/**
 * enum iommu_sva_fault_reason - why a device did not get the page it asked for
 * @IOMMU_SVA_FAULT_NO_MAPPING: the process has no memory at that address
 * @IOMMU_SVA_FAULT_NO_ACCESS: it has, but not for that access
 * @IOMMU_SVA_FAULT_NO_PAGE: what is mapped there could not give a page: an error of I/O or of the
 *	memory itself, a file that has become shorter, a lasting want of memory
 * @IOMMU_SVA_FAULT_TIMEOUT: the page did not come within the device's time limit
 * @IOMMU_SVA_FAULT_EXITED: not a fault but the end of them: the process has exited. Told once.
 * @IOMMU_SVA_FAULT_ABORTED: the IOMMU has aborted a transaction, without a page request.
 *	That is what becomes of accesses of a device without page requests to memory that is not
 *	there, or not for that access. IOMMUs do not report all of them.
 */
enum iommu_sva_fault_reason {
	IOMMU_SVA_FAULT_NO_MAPPING = 1,
	IOMMU_SVA_FAULT_NO_ACCESS,
	IOMMU_SVA_FAULT_NO_PAGE,
	IOMMU_SVA_FAULT_TIMEOUT,
	IOMMU_SVA_FAULT_EXITED,
	IOMMU_SVA_FAULT_ABORTED,
};

/**
 * struct iommu_sva_fault - a fault that the core could not serve, or an aborted access
 * @addr: page that was asked for; 0 if the process has exited
 * @perm: access that was asked for, IOMMU_FAULT_PERM_*; 0 if that is not known
 * @reason: what was wrong
 */
struct iommu_sva_fault {
	u64 addr;
	u32 perm;
	enum iommu_sva_fault_reason reason;
};

/**
 * struct iommu_sva_listener - callback for the faults of a bond
 * @node: the core's
 * @notify: The core calls it for each fault that it could not serve, after which the device gets,
 *	or has got, Invalid Request; for transactions that the IOMMU has aborted; and for the exit
 *	of the process.
 *
 *	Context: Atomic, inside an RCU read-side section, no locks held: must not sleep, must not
 *	call the IOMMU API. It may wake a thread up, signal an eventfd or queue work.
 */
struct iommu_sva_listener {
	struct list_head node;
	void (*notify)(struct iommu_sva_listener *listener, const struct iommu_sva_fault *fault);
};

/**
 * enum iopf_count - what a fault queue counts for each device
 * @IOPF_REQUESTS: page requests reported, partials included
 * @IOPF_SERVED: groups answered Success
 * @IOPF_FAILED: groups that a handler could not serve: answered Invalid Request or Response Failure
 * @IOPF_EXITED: groups refused because the process has exited
 * @IOPF_DRAINED: groups answered by a drain, by a reset or by the removal of the device, or for a
 *	driver that stops the device
 * @IOPF_TIMED_OUT: groups answered by the time limit
 * @IOPF_STRAY: requests with a PASID that is not bound, and DMA that a vendor driver reported as
 *	such
 * @IOPF_OVERRUN: requests that found no slot: the device has more outstanding than it can have, by
 *	&iommu_sva_ops.max_requests or its PRI capability; iopf_grant_credits() may allow it fewer
 * @IOPF_LOST: partials thrown away to make room
 * @IOPF_LATE: results of workers that came after a drain or the time limit had answered the group
 * @IOPF_STALE: requests and answers dropped because a reset made the device forget them; none of a
 *	device that stalls
 * @IOPF_AHEAD: pages mapped that the device had not asked for yet, since it streams
 * @IOPF_AHEAD_USED: of these, pages that were used
 * @IOPF_AHEAD_UNUSED: of these, pages that the device had not used when its stream had got past
 *	them, or when the bond or the process ended
 * @IOPF_UNCONFIRMED: ATC invalidations that the device has not completed, or that the vendor driver
 *	has not sent since the device had not completed others; and drains that gave up
 * @IOPF_NR_COUNTS: how many there are
 */
enum iopf_count {
	IOPF_REQUESTS,
	IOPF_SERVED,
	IOPF_FAILED,
	IOPF_EXITED,
	IOPF_DRAINED,
	IOPF_TIMED_OUT,
	IOPF_STRAY,
	IOPF_OVERRUN,
	IOPF_LOST,
	IOPF_LATE,
	IOPF_STALE,
	IOPF_AHEAD,
	IOPF_AHEAD_USED,
	IOPF_AHEAD_UNUSED,
	IOPF_UNCONFIRMED,
	IOPF_NR_COUNTS,
};

#ifdef CONFIG_IOMMU_SVA
pgd_t *iommu_sva_root(struct iommu_domain *domain);
int iommu_sva_listen(struct iommu_sva *handle, struct iommu_sva_listener *listener);
void iommu_sva_unlisten(struct iommu_sva *handle, struct iommu_sva_listener *listener);
void iommu_sva_report_abort(struct device *dev, ioasid_t pasid, u64 addr);
int iommu_sva_handle_fault(struct iommu_sva *handle, unsigned long addr, u32 perm);
void __iommu_sva_stop_serving(struct mm_struct *mm);

/**
 * iommu_sva_stop_serving() - Give up the faults that are served for a process which goes
 * @mm: the process's. It has lost its last thread, or the OOM killer has chosen its process.
 *
 * For the mm core. Kernel threads that serve faults of @mm for devices hold references to
 * mm_users; they stop waiting, so that the memory goes as soon as the process does. Does not
 * interrupt threads of other processes, which may be in iommu_sva_handle_fault().
 *
 * Context: process, may hold task_lock() of any task, possibly in a thread that serves a fault of
 * @mm. The caller keeps @mm.
 */
static inline void iommu_sva_stop_serving(struct mm_struct *mm)
{
	if (unlikely(READ_ONCE(mm->iommu_mm)))
		__iommu_sva_stop_serving(mm);
}
#else
static inline void iommu_sva_stop_serving(struct mm_struct *mm)
{
}

static inline int iommu_sva_handle_fault(struct iommu_sva *handle, unsigned long addr, u32 perm)
{
	return -EOPNOTSUPP;
}

static inline int iommu_sva_listen(struct iommu_sva *handle, struct iommu_sva_listener *listener)
{
	return -EOPNOTSUPP;
}

static inline void iommu_sva_unlisten(struct iommu_sva *handle,
				      struct iommu_sva_listener *listener)
{
}
#endif

#if defined(CONFIG_IOMMU_SVA) && defined(CONFIG_X86_64)
bool __iommu_sva_populate(struct mm_struct *mm, void *slot, void *table);

/**
 * iommu_sva_populate() - Put a table into a slot of a process's page table
 * @mm: the process's
 * @slot: an entry that may be one of the top level: a pgd_t, or a p4d_t, which is the same with
 *	four levels
 * @table: the table, empty
 *
 * For the mm core, which calls it before it puts the table there itself. An IOMMU must see the
 * table no later than any CPU does.
 *
 * Context: mm->page_table_lock is held.
 * Return: true if the table is in the slot now; false if the caller must put it there.
 */
static inline bool iommu_sva_populate(struct mm_struct *mm, void *slot, void *table)
{
	return unlikely(mm->iommu_mm) && __iommu_sva_populate(mm, slot, table);
}
#else
static inline bool iommu_sva_populate(struct mm_struct *mm, void *slot, void *table)
{
	return false;
}
#endif

#ifdef CONFIG_IOMMU_IOPF
void iopf_report_batch(struct device *dev, struct iopf_fault *evts, unsigned int nr);
void iopf_drain_pasid(struct device *dev, ioasid_t pasid);
void iopf_answer_unserved(struct device *dev, ioasid_t pasid);
void iopf_quiesce_device(struct device *dev);
void iopf_resume_device(struct device *dev);
bool iopf_device_in_reset(struct device *dev);
void iopf_pci_reset_begins(struct pci_dev *pdev);
void iopf_pci_restored(struct pci_dev *pdev);
void iopf_pci_recovered(struct pci_dev *pdev);
void iopf_pci_sleeps(struct pci_dev *pdev);
void iopf_pci_wakes(struct pci_dev *pdev);
u32 iopf_grant_credits(struct device *dev, u32 entries);
void iopf_report_stray(struct device *dev, ioasid_t pasid, u64 addr);
int iopf_set_timeout(struct device *dev, unsigned int ms);
int iopf_read_counts(struct device *dev, u64 counts[IOPF_NR_COUNTS]);
#else
static inline void iopf_report_batch(struct device *dev, struct iopf_fault *evts, unsigned int nr)
{
}

static inline void iopf_drain_pasid(struct device *dev, ioasid_t pasid)
{
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

static inline bool iopf_device_in_reset(struct device *dev)
{
	return false;
}

static inline void iopf_pci_reset_begins(struct pci_dev *pdev)
{
}

static inline void iopf_pci_restored(struct pci_dev *pdev)
{
}

static inline void iopf_pci_recovered(struct pci_dev *pdev)
{
}

static inline void iopf_pci_sleeps(struct pci_dev *pdev)
{
}

static inline void iopf_pci_wakes(struct pci_dev *pdev)
{
}

static inline void iopf_report_stray(struct device *dev, ioasid_t pasid, u64 addr)
{
}

static inline u32 iopf_grant_credits(struct device *dev, u32 entries)
{
	return 0;
}

static inline int iopf_set_timeout(struct device *dev, unsigned int ms)
{
	return -EOPNOTSUPP;
}

static inline int iopf_read_counts(struct device *dev, u64 counts[IOPF_NR_COUNTS])
{
	return -EOPNOTSUPP;
}
#endif

#ifndef CONFIG_IOMMU_SVA
static inline void iommu_sva_report_abort(struct device *dev, ioasid_t pasid, u64 addr)
{
	iopf_report_stray(dev, pasid, addr);
}
#endif

#endif /* _LINUX_IOMMU_SVA_API_H */
