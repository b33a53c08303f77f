/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Software IOMMU: an IOMMU and PCIe-like endpoints made of kernel code, for tests
 *
 * What is real: the IOMMU core sees an ordinary driver (struct iommu_ops) and ordinary devices. The
 * walker reads the live page tables of the bound mm, without locks, and sets accessed and dirty
 * bits atomically. Translations are kept in an IOTLB, a paging-structure cache and one ATC per
 * endpoint, all bounded and set-associative, and are used until they are invalidated or replaced.
 * Invalidations are commands in a queue with a completion. Page requests go through a ring with a
 * size and an overflow bit. An endpoint's DMA moves bytes through cached translations only.
 *
 * What hardware would do wrong with a wrong core is a violation: a byte moved through a freed page,
 * a walk of a freed table, a kernel-half entry that was read, a response for a group that is not
 * outstanding, a second response, a response never sent, a PASID entry changed while present, an
 * ATC invalidation for a device in a reset, an answer to what a reset has made it forget.
 * Violations are kept with a text that says what happened; a test fails if there are any.
 *
 * Tests force races with hooks and holds, never with delays: see enum soft_iommu_point and the
 * functions named soft_*_hold().
 */
#ifndef _DRIVERS_IOMMU_SOFT_IOMMU_H
#define _DRIVERS_IOMMU_SOFT_IOMMU_H

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/types.h>

struct soft_backend;
struct soft_iommu;
struct soft_endpoint;

/**
 * struct soft_cache_config - geometry of a set-associative cache
 * @sets: power of two
 * @ways: entries per set; the least recently used one is replaced
 */
struct soft_cache_config {
	unsigned int sets;
	unsigned int ways;
};

/**
 * struct soft_iommu_config - what an IOMMU is made of
 * @pasid_bits: width of its PASID table, 1 to 20; 0 means 20
 * @prq_entries: size of the page request ring, power of two; 0 means 64
 * @iotlb: 0, 0 means 16 sets of 4
 * @psc: paging-structure cache; 0, 0 means 8 sets of 4
 * @backend: another driver than its own; then it has no ring, and no hook but SOFT_AT_RESPONSE
 */
struct soft_iommu_config {
	unsigned int pasid_bits;
	unsigned int prq_entries;
	struct soft_cache_config iotlb;
	struct soft_cache_config psc;
	const struct soft_backend *backend;
};

/**
 * struct soft_endpoint_config - what an endpoint is made of
 * @pasid_bits: width of its PASIDs; 0: no PASID capability
 * @no_pri: it has no Page Request Interface
 * @no_ats: it has no ATC and makes untranslated requests; without translation requests there are no
 *	page requests either
 * @credits: page requests it may have outstanding (groups and partials); 0 means 16
 * @atc: 0, 0 means 8 sets of 4
 * @group_of: shares the IOMMU group of that endpoint; NULL: a group of its own
 */
struct soft_endpoint_config {
	unsigned int pasid_bits;
	bool no_pri;
	bool no_ats;
	unsigned int credits;
	struct soft_cache_config atc;
	struct soft_endpoint *group_of;
};

/* Operations counted by an IOMMU and its endpoints. */
struct soft_iommu_stats {
	u64 translations;	/* looked up in the IOTLB */
	u64 iotlb_hits;
	u64 psc_hits;
	u64 walks;
	u64 entries_read;	/* page-table entries, by walks */
	u64 kernel_half_reads;	/* of these, of the root's kernel half with the entry present */
	u64 atc_hits;
	u64 ats_requests;
	u64 cmd_iotlb;		/* invalidation commands by kind */
	u64 cmd_atc;
	u64 cmd_pasid;
	u64 cmd_wait;
	u64 waits;		/* of threads, for commands that they have submitted */
	u64 iotlb_dropped;	/* entries that invalidations have removed */
	u64 atc_dropped;
	u64 prq_requests;	/* page requests that reached the ring */
	u64 prq_overflows;
	u64 prq_lost;		/* requests thrown away by a full ring */
	u64 prq_stop_markers;
	u64 responses[16];	/* by code, as they left the core */
	u64 response_batches;	/* submissions that these came in */
	u64 auto_responses;	/* given by the IOMMU itself (overflow, no PASID entry) */
	u64 drain_turns;	/* times that a drain looked for its requests in the ring */
	u64 drain_looked;	/* requests in the ring that it looked at */
};

/**
 * enum soft_iommu_point - places where a test may step in
 * @SOFT_AT_REPORT: the PRQ thread is about to report a request to the core. May sleep.
 * @SOFT_AT_RESPONSE: the core answers a group, the response has not left yet. May sleep.
 * @SOFT_AT_INVALIDATE: an invalidation is about to be submitted. Atomic.
 * @SOFT_AT_RELEASE: the core announces the exit of an mm. Atomic.
 * @SOFT_AT_WAIT: a thread is about to wait for the commands of one of these two. Atomic.
 * @SOFT_AT_SET_PASID: a PASID entry is about to be set. May sleep; an error makes attach fail.
 * @SOFT_AT_REMOVE_PASID: a PASID entry is about to be cleared. May sleep.
 * @SOFT_AT_DRAIN: the core drains (device, PASID). May sleep.
 * @SOFT_AT_DOMAIN_ALLOC: an SVA domain is about to be made. May sleep; an error makes it fail.
 * @SOFT_NR_POINTS: how many there are
 */
enum soft_iommu_point {
	SOFT_AT_REPORT,
	SOFT_AT_RESPONSE,
	SOFT_AT_INVALIDATE,
	SOFT_AT_RELEASE,
	SOFT_AT_WAIT,
	SOFT_AT_SET_PASID,
	SOFT_AT_REMOVE_PASID,
	SOFT_AT_DRAIN,
	SOFT_AT_DOMAIN_ALLOC,
	SOFT_NR_POINTS,
};

/**
 * struct soft_iommu_event - what a hook is told
 * @point: where
 * @dev: the endpoint's device, or NULL (invalidate, release, wait)
 * @pasid: which one, or IOMMU_PASID_INVALID if the point has none
 * @start: of an invalidation; the address of a page request
 * @end: of an invalidation, exclusive, as the core said
 * @code: of a response
 * @grpid: of a page request or response
 */
struct soft_iommu_event {
	enum soft_iommu_point point;
	struct device *dev;
	ioasid_t pasid;
	unsigned long start;
	unsigned long end;
	int code;
	u32 grpid;
};

/* Returns 0, or an error where enum soft_iommu_point says that one has an effect. */
typedef int (*soft_iommu_hook_t)(const struct soft_iommu_event *event, void *data);

struct soft_iommu *soft_iommu_create(const struct soft_iommu_config *config);
void soft_iommu_destroy(struct soft_iommu *iommu);
void soft_iommu_set_hook(struct soft_iommu *iommu, enum soft_iommu_point point,
			 soft_iommu_hook_t hook, void *data);
void soft_iommu_read_stats(struct soft_iommu *iommu, struct soft_iommu_stats *stats);
/* Live SVA domains: 0 when all bonds have gone and RCU has run. */
unsigned int soft_iommu_domains(struct soft_iommu *iommu);
struct iopf_queue *soft_iommu_iopf_queue(struct soft_iommu *iommu);

/*
 * Violations. soft_iommu_check() adds those that only show at the end (groups without a response)
 * and waits until the ring and the command queue are empty. Returns how many there are.
 */
unsigned int soft_iommu_check(struct soft_iommu *iommu);
/* Text of violation n, "" behind the last one. A text stays until the IOMMU goes. */
const char *soft_iommu_violation(struct soft_iommu *iommu, unsigned int n);
/* For tests of the bench itself and of lying devices: forgets them; returns how many there were. */
unsigned int soft_iommu_forgive(struct soft_iommu *iommu);

/* The PRQ thread stops to take requests from the ring, or goes on; returns when it has stopped. */
void soft_iommu_hold_prq(struct soft_iommu *iommu, bool hold);
/* It goes on after some ticks, by an interrupt: a thread that waits for that may sleep. */
void soft_iommu_release_prq_later(struct soft_iommu *iommu, unsigned int ticks);
/* It may serve a request itself that is alone in the ring, as real drivers' do. Not by default. */
void soft_iommu_serve_single(struct soft_iommu *iommu, bool on);
/* Responses of the core are recorded but do not reach endpoints; released in order of sending. */
void soft_iommu_hold_responses(struct soft_iommu *iommu, bool hold);
/* Commands complete only after @spins turns of the thread that waits; 0: at once. */
void soft_iommu_delay_commands(struct soft_iommu *iommu, unsigned int spins);
/* Commands between two waits are carried out in reverse order: hardware may do that. */
void soft_iommu_reorder_commands(struct soft_iommu *iommu, bool on);
/* Hardware bug on purpose: invalidations of that kind complete without being carried out. */
enum soft_inval_kind { SOFT_INVAL_IOTLB, SOFT_INVAL_PSC, SOFT_INVAL_ATC };
void soft_iommu_ignore_invalidations(struct soft_iommu *iommu, enum soft_inval_kind kind, bool on);
/* Waits until the ring is empty and each request taken from it has been reported. */
void soft_iommu_sync_prq(struct soft_iommu *iommu);
/*
 * An IOMMU that puts all page requests into the ring; by default it answers those with a PASID
 * without an entry itself.
 */
void soft_iommu_take_all(struct soft_iommu *iommu, bool on);

/*
 * What requests cost. Armed, the meter runs from the first request that is read out of the ring to
 * the last one of so many responses; soft_meter_wait() returns the ticks of get_cycles() that were
 * not spent on what hardware would do itself, or 0 if these responses never came.
 */
void soft_meter_arm(struct soft_iommu *iommu, unsigned int responses);
u64 soft_meter_wait(struct soft_iommu *iommu);

/*
 * The endpoint is a platform device behind the IOMMU: probed, with IOMMU_DEV_FEAT_IOPF and
 * IOMMU_DEV_FEAT_SVA still disabled. Returns an ERR_PTR.
 */
struct soft_endpoint *soft_endpoint_create(struct soft_iommu *iommu,
					   const struct soft_endpoint_config *config);
/* Orderly: the device leaves the IOMMU core first. */
void soft_endpoint_destroy(struct soft_endpoint *ep);
struct device *soft_endpoint_dev(struct soft_endpoint *ep);
/* Surprise removal: from now on it does nothing and hears nothing. Destroy it afterwards. */
void soft_endpoint_unplug(struct soft_endpoint *ep);
/*
 * Function-level reset: ATC empty, outstanding requests and tags forgotten, DMA aborted. Until its
 * end the device sends nothing, and an ATC invalidation that reaches it is a violation. So is, from
 * the begin on, an answer to what it asked before: iopf_quiesce_device() comes first.
 * soft_endpoint_reset() is both. A device that has left its reset completes invalidations, and
 * still sends nothing: iopf_resume_device() comes between that and the end.
 */
void soft_endpoint_begin_reset(struct soft_endpoint *ep);
void soft_endpoint_leave_reset(struct soft_endpoint *ep);
void soft_endpoint_end_reset(struct soft_endpoint *ep);
void soft_endpoint_reset(struct soft_endpoint *ep);

/*
 * DMA with a PASID, by virtual address, of any length; asks for missing pages by page requests and
 * tries again as long as the answer is Success. Runs in the caller's context and sleeps. Returns 0;
 * -EFAULT: refused (Invalid Request, or aborted without PRI); -EIO: Response Failure;
 * -ETIMEDOUT: no answer within the endpoint's patience; -ENODEV: reset, unplugged or stopped.
 *
 * A transaction that is refused since its PASID has no entry, or that was not translated before, is
 * reported; so all functions that make one sleep.
 */
int soft_dma_read(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, void *buf,
		  size_t len);
int soft_dma_write(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, const void *buf,
		   size_t len);
/* 8 bytes, naturally aligned; *old is what was there. */
int soft_dma_cmpxchg(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, u64 *old,
		     u64 new);
/* One access without page requests: what is in the ATC or comes from one translation request. */
int soft_dma_try(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, bool write,
		 void *buf, size_t len);
/* Untranslated DMA (no ATS): IOTLB or walk; -EFAULT if that fails. */
int soft_dma_untranslated(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, bool write,
			  void *buf, size_t len);
/* A translation request: returns IOMMU_FAULT_PERM_* that were granted; fills the ATC. */
unsigned int soft_ats_translate(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr,
				unsigned int perm);
/* Milliseconds that DMA waits for a response; default 30,000. */
void soft_endpoint_patience(struct soft_endpoint *ep, unsigned int ms);

/* DMA in the background, until stopped: pages of [addr, addr + len) in turn, read or written. */
int soft_storm_start(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, size_t len,
		     bool write);
/* How many accesses have ended well so far */
u64 soft_storm_done(struct soft_endpoint *ep);
/* Returns how many accesses ended well; waits for the last one. */
u64 soft_storm_stop(struct soft_endpoint *ep);

/*
 * Raw messages. prm->flags: IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE and _PASID_VALID. Sending takes a
 * credit; -EBUSY if there is none left, unless the endpoint lies.
 */
int soft_pri_send(struct soft_endpoint *ep, const struct iommu_fault_page_request *prm);
/* PASID Stop Marker (PCIe 6.0, section 10.4.1.2): L R W = 100b, no response. */
int soft_pri_stop_marker(struct soft_endpoint *ep, ioasid_t pasid);
/* Waits for the response to (pasid, grpid): its code, or -ETIMEDOUT after @ms. */
int soft_pri_wait(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid, unsigned int ms);
/* Groups whose last page was sent and whose response has not arrived. */
unsigned int soft_pri_outstanding(struct soft_endpoint *ep);
/* A device that takes no notice of its credits. */
void soft_endpoint_lie_about_credits(struct soft_endpoint *ep, bool on);
/* A device that takes no notice of ATC invalidations. */
void soft_endpoint_lie_about_invalidations(struct soft_endpoint *ep, bool on);

#endif /* _DRIVERS_IOMMU_SOFT_IOMMU_H */
