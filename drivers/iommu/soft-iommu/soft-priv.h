/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Software IOMMU: what its files share
 *
 * Locks, outermost first. All are per IOMMU or per endpoint.
 *
 *	soft_iommu.lock			list of endpoints, look-up to report (mutex)
 *	soft_domain.lock		PASID entries of a domain
 *	  soft_cmdq.lock		command ring
 *	    soft_iommu.traffic		rwlock: each DMA chunk, translation request and walk is a
 *					reader; each invalidation is a writer while it is carried
 *					out, and so waits for those that may use what it removes
 *	      soft_cache.lock		lines of one cache
 *	soft_prq.lock			page request ring
 *	  soft_endpoint.lock		groups, credits and state of one endpoint
 *	soft_ledger.lock		violations; innermost
 *
 * Whatever an MMU notifier reaches takes spinlocks only.
 */
#ifndef _DRIVERS_IOMMU_SOFT_IOMMU_PRIV_H
#define _DRIVERS_IOMMU_SOFT_IOMMU_PRIV_H

#include <linux/completion.h>
#include <linux/hashtable.h>
#include <linux/iommu.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "soft-iommu.h"

/* On this project's core vendor drivers have no MMU notifier; on the base they have one. */
#ifdef _LINUX_IOMMU_SVA_API_H
#define SOFT_SVA_CORE	1
#else
#define SOFT_SVA_CORE	0
#endif

#define SOFT_RW		(IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE)
#define SOFT_CMDQ_SIZE	64
#define SOFT_CMDQ_TRACE	16
/* Nothing here takes this long, on any machine, unless it never ends. */
#define SOFT_LONG_TIME	(60 * HZ)

/* cache.c */

/**
 * struct soft_line - what a cache holds in one place, and what it is found by
 * @pasid: tag
 * @shift: tag; the line covers 1 << shift bytes
 * @va: tag; a multiple of that
 * @perm: IOMMU_FAULT_PERM_* that are granted
 * @val: of a translation: page frame number of @va. Of the paging-structure cache: the entry.
 */
struct soft_line {
	ioasid_t pasid;
	unsigned int shift;
	unsigned long va;
	unsigned int perm;
	u64 val;
};

struct soft_cache;

struct soft_cache *soft_cache_alloc(const struct soft_cache_config *config, unsigned int sets,
				    unsigned int ways);
void soft_cache_free(struct soft_cache *cache);
bool soft_cache_find(struct soft_cache *cache, ioasid_t pasid, unsigned long addr,
		     struct soft_line *line);
bool soft_cache_find_sized(struct soft_cache *cache, ioasid_t pasid, unsigned long addr,
			   unsigned int shift, struct soft_line *line);
void soft_cache_add(struct soft_cache *cache, const struct soft_line *line);
unsigned int soft_cache_drop(struct soft_cache *cache, ioasid_t pasid, unsigned long start,
			     unsigned long last);
unsigned int soft_cache_lines(struct soft_cache *cache);

/* cmdq.c */

enum soft_cmd_kind { SOFT_CMD_IOTLB, SOFT_CMD_ATC, SOFT_CMD_PASID, SOFT_CMD_WAIT };

/**
 * struct soft_cmd - an invalidation command
 * @kind: what to forget; SOFT_CMD_WAIT: complete when all before it are
 * @pasid: whose
 * @start: first byte
 * @last: last byte, inclusive
 * @ep: whose ATC or PASID table
 */
struct soft_cmd {
	enum soft_cmd_kind kind;
	ioasid_t pasid;
	unsigned long start;
	unsigned long last;
	struct soft_endpoint *ep;
};

/**
 * struct soft_cmdq - the ring of invalidation commands
 * @lock: guards all below
 * @ring: slot i holds the commands i, i + size, ...
 * @head: number of the next command to be carried out
 * @tail: number of the next command to be put in
 * @delay: turns that a wait takes
 * @turns: how many of them are left
 * @users: threads that submit or wait now
 * @reorder: carry out the commands between two waits backwards
 * @ignore: by enum soft_inval_kind
 * @carried_out: how many commands, so far
 * @trace: kinds of the latest ones, in the order in which they were carried out
 */
struct soft_cmdq {
	spinlock_t lock;	/* of all below */
	struct soft_cmd ring[SOFT_CMDQ_SIZE];
	u64 head;
	u64 tail;
	unsigned int delay;
	unsigned int turns;
	unsigned int users;
	bool reorder;
	bool ignore[3];
	u64 carried_out;
	enum soft_cmd_kind trace[SOFT_CMDQ_TRACE];
};

void soft_cmdq_init(struct soft_iommu *iommu);
u64 soft_cmdq_submit(struct soft_iommu *iommu, const struct soft_cmd *cmd);
bool soft_cmdq_turn(struct soft_iommu *iommu, u64 nr);
void soft_cmdq_begin(struct soft_iommu *iommu);
u64 soft_cmdq_post(struct soft_iommu *iommu);
void soft_cmdq_await(struct soft_iommu *iommu, u64 nr);
void soft_cmdq_end(struct soft_iommu *iommu);
void soft_cmdq_check(struct soft_iommu *iommu);

/* prq.c */

/**
 * struct soft_request - what stands in the page request ring
 * @rid: number of the endpoint
 * @epoch: of its resets, when it sent the request
 * @stop_marker: wants no answer
 * @prm: the request
 */
struct soft_request {
	u32 rid;
	unsigned int epoch;
	bool stop_marker;
	struct iommu_fault_page_request prm;
};

/**
 * struct soft_prq - the page request ring and the thread that empties it
 * @lock: guards all below but @thread
 * @ring: slot i holds the requests i, i + size, ...; size is a power of two
 * @size: how many it holds
 * @head: number of the oldest one; it is in the ring until it has been reported
 * @tail: number of the next to come
 * @overflow: a request was lost; none is taken until software clears the bit
 * @hold: the thread takes nothing
 * @release: takes @hold away
 * @serves_single: the thread serves a request that is alone in the ring
 * @take_all: requests with a PASID without an entry are taken, too
 * @busy: the thread has the request @head in hand
 * @serving: the thread serves the request that it has reported last
 * @work: wakes the thread
 * @idle: woken after each step of the thread
 * @thread: the PRQ thread
 */
struct soft_prq {
	spinlock_t lock;	/* of all below but thread */
	struct soft_request *ring;
	unsigned int size;
	u64 head;
	u64 tail;
	bool overflow;
	bool hold;
	struct timer_list release;
	bool serves_single;
	bool take_all;
	bool busy;
	bool serving;
	wait_queue_head_t work;
	wait_queue_head_t idle;
	struct task_struct *thread;
};

void soft_prq_init(struct soft_iommu *iommu, unsigned int entries);
int soft_prq_start(struct soft_iommu *iommu);
void soft_prq_stop(struct soft_iommu *iommu);
void soft_prq_put(struct soft_iommu *iommu, const struct soft_request *req,
		  struct soft_endpoint *ep);
void soft_prq_drain(struct soft_endpoint *ep, ioasid_t pasid);
void soft_prq_sync_single(struct soft_iommu *iommu);

/* meter.c */

/**
 * struct soft_meter - see the head of meter.c
 * @lock: guards all below but @done
 * @left: responses until the end; 0: not armed
 * @began: ticks, less those of silicon, when the first request was read; 0: not yet
 * @ended: the same when the last response was written
 * @done: the last response was written
 */
struct soft_meter {
	spinlock_t lock;	/* of all below but done */
	unsigned int left;
	u64 began;
	u64 ended;
	struct completion done;
};

void soft_meter_init(struct soft_iommu *iommu);
void soft_meter_request(struct soft_iommu *iommu, u64 began);
void soft_meter_response(struct soft_iommu *iommu, u64 now);
u64 soft_silicon_begin(void);
void soft_silicon_end(u64 begin);

/* ledger.c */

#define SOFT_VIOLATIONS		64
#define SOFT_VIOLATION_LEN	160
#define SOFT_DOUBTS		16
#define SOFT_NR_COUNTERS	(sizeof(struct soft_iommu_stats) / sizeof(u64))

/**
 * struct soft_doubt - a page that a walk has taken for a table
 * @pasid: whose table
 * @first: first address that it has mapped
 * @last: last one
 * @text: of the violation, if it is one
 */
struct soft_doubt {
	ioasid_t pasid;
	unsigned long first;
	unsigned long last;
	char text[SOFT_VIOLATION_LEN];
};

/**
 * struct soft_ledger - what went wrong, and how often things were done
 * @lock: guards all below but @counters
 * @nr: violations so far
 * @forgiven: of them, the first so many count no more
 * @text: of the first SOFT_VIOLATIONS ones
 * @nr_doubts: how many @doubts there are
 * @doubts: see ledger.c
 * @counters: struct soft_iommu_stats, member by member
 */
struct soft_ledger {
	spinlock_t lock;	/* of all below but counters */
	unsigned int nr;
	unsigned int forgiven;
	char text[SOFT_VIOLATIONS][SOFT_VIOLATION_LEN];
	unsigned int nr_doubts;
	struct soft_doubt doubts[SOFT_DOUBTS];
	atomic64_t counters[SOFT_NR_COUNTERS];
};

__printf(2, 3) void soft_violation(struct soft_iommu *iommu, const char *fmt, ...);
void soft_doubt(struct soft_iommu *iommu, const struct soft_doubt *doubt);
void soft_doubts_end(struct soft_iommu *iommu, ioasid_t pasid, unsigned long first,
		     unsigned long last);
void soft_doubts_account(struct soft_iommu *iommu);
int soft_hook(struct soft_iommu *iommu, const struct soft_iommu_event *event);
void soft_hook_atomic(struct soft_iommu *iommu, const struct soft_iommu_event *event);

/* One more of what the member of struct soft_iommu_stats counts. */
#define soft_count_n(iommu, member, n)							\
	atomic64_add(n, &(iommu)->ledger.counters[offsetof(struct soft_iommu_stats, member) /	\
						  sizeof(u64)])
#define soft_count(iommu, member)	soft_count_n(iommu, member, 1)

/* soft-iommu.c */

/**
 * struct soft_hook - a test's function at one point
 * @fn: or NULL
 * @data: for @fn
 */
struct soft_hook {
	soft_iommu_hook_t fn;
	void *data;
};

/**
 * struct soft_iommu - an instance
 * @core: what the IOMMU core knows
 * @ref: the creator's, each domain's, each endpoint's
 * @lock: guards @endpoints; held from the look-up of an endpoint until its request is reported
 * @endpoints: those that the IOMMU core has probed
 * @backend: another driver than its own, or NULL
 * @backend_data: of that driver
 * @iopf: the fault queue; NULL if another driver has one
 * @traffic: see the head of this file
 * @iotlb: translations
 * @psc: entries that name page tables
 * @cmdq: invalidation queue
 * @prq: page request ring
 * @meter: what requests cost
 * @held_lock: guards @hold_responses, @held, @delivering and &soft_group.held
 * @hold_responses: responses wait on @held
 * @held: struct soft_group, in order of sending
 * @delivering: a response that was held is on its way to that endpoint
 * @hook_lock: guards @hooks
 * @hooks: by enum soft_iommu_point
 * @domains: how many there are
 * @ledger: violations and counters
 */
struct soft_iommu {
	struct iommu_device core;
	struct kref ref;
	struct mutex lock;	/* of endpoints */
	struct list_head endpoints;
	const struct soft_backend *backend;
	void *backend_data;
	struct iopf_queue *iopf;
	rwlock_t traffic;
	struct soft_cache *iotlb;
	struct soft_cache *psc;
	struct soft_cmdq cmdq;
	struct soft_prq prq;
	struct soft_meter meter;
	spinlock_t held_lock;	/* of hold_responses, held, delivering */
	bool hold_responses;
	struct list_head held;
	struct soft_endpoint *delivering;
	spinlock_t hook_lock;	/* of hooks */
	struct soft_hook hooks[SOFT_NR_POINTS];
	atomic_t domains;
	struct soft_ledger ledger;
};

/**
 * struct soft_domain - an SVA domain
 * @domain: what the IOMMU core knows
 * @iommu: with a reference
 * @lock: guards @entries, @pasid, @released
 * @entries: the PASID entries that name it
 * @pasid: the one that it is attached to, or IOMMU_PASID_INVALID
 * @released: the mm has gone: no entry may name its tables
 * @notifier: on a base kernel
 */
struct soft_domain {
	struct iommu_domain domain;
	struct soft_iommu *iommu;
	spinlock_t lock;	/* of entries, pasid, released */
	struct list_head entries;
	ioasid_t pasid;
	bool released;
	struct mmu_notifier notifier;
};

/**
 * struct soft_pasid_entry - an entry of an endpoint's PASID table
 * @node: in &soft_domain.entries
 * @ep: whose table it is in
 * @sdom: what it names
 * @mm: whose tables @root is the top of
 * @root: where walks begin; NULL: present, but nothing is mapped
 */
struct soft_pasid_entry {
	struct list_head node;
	struct soft_endpoint *ep;
	struct soft_domain *sdom;
	struct mm_struct *mm;
	pgd_t *root;
};

void soft_iommu_get(struct soft_iommu *iommu);
void soft_iommu_put(struct soft_iommu *iommu);
extern const struct iommu_ops soft_iommu_ops;

/* walk.c */

int soft_walk(struct soft_iommu *iommu, const struct soft_pasid_entry *entry, ioasid_t pasid,
	      unsigned long addr, unsigned int perm, struct soft_line *line);
const char *soft_page_state(u64 pfn);

/* endpoint.c */

/**
 * struct soft_group - the page requests of one (PASID, PRG index)
 * @node: in &soft_endpoint.groups
 * @ep: the endpoint that sent them
 * @pasid: 0 if they carry none
 * @grpid: PRG index
 * @asked: last pages that entered the ring, less those that a reset made the device forget
 * @answered: responses of the core
 * @credits: taken by its requests, not given back yet
 * @pending: the device waits for an answer
 * @code: of the latest answer
 * @held: in &soft_iommu.held
 * @held_code: the answer that is held
 * @held_epoch: of the request that it answers
 */
struct soft_group {
	struct hlist_node node;
	struct soft_endpoint *ep;
	ioasid_t pasid;
	u32 grpid;
	unsigned int asked;
	unsigned int answered;
	unsigned int credits;
	bool pending;
	int code;
	struct list_head held;
	int held_code;
	unsigned int held_epoch;
};

/**
 * enum soft_reset - where a device is in a reset
 * @SOFT_RUNNING: in none
 * @SOFT_IN_RESET: it sends nothing and completes no invalidations
 * @SOFT_LEAVES_RESET: it sends nothing
 */
enum soft_reset {
	SOFT_RUNNING,
	SOFT_IN_RESET,
	SOFT_LEAVES_RESET,
};

/**
 * struct soft_endpoint - a device
 * @node: in &soft_iommu.endpoints
 * @iommu: with a reference
 * @pdev: what the driver core knows
 * @rid: its number, never used again
 * @has_pri: it can ask for pages
 * @has_ats: it can ask for translations
 * @group_of: see struct soft_endpoint_config
 * @prq_end: number of the place behind its latest request in the ring. Guarded by soft_prq.lock.
 * @pasids: its PASID table: struct soft_pasid_entry by PASID
 * @latch_lock: guards @latch_pasid and @latch; a leaf inside traffic
 * @latch_pasid: of the entry that was used last
 * @latch: that entry, until a PASID command drops it
 * @atc: its own translations
 * @sva: IOMMU_DEV_FEAT_SVA is enabled
 * @iopf: IOMMU_DEV_FEAT_IOPF is enabled. Guarded by @lock, as is all below.
 * @removed: it has left the fault queue: no response may follow
 * @lock: guards what says so
 * @groups: struct soft_group by (PASID, PRG index)
 * @max_credits: granted
 * @credits: left
 * @next_tag: where the DMA engine begins to look for a PRG index
 * @tags: PRG indices that the DMA engine uses now
 * @epoch: of resets: what began before has been aborted
 * @reset: whether it sends, and completes invalidations
 * @stopped: a Response Failure has switched page requests off
 * @unplugged: nothing is left but the data structure
 * @lies_credits: it takes no notice of its credits
 * @lies_atc: it takes no notice of invalidations
 * @patience: milliseconds
 * @wait: woken when something of the above has changed
 * @storm: DMA in the background
 */
struct soft_endpoint {
	struct list_head node;
	struct soft_iommu *iommu;
	struct platform_device *pdev;
	u32 rid;
	bool has_pri;
	bool has_ats;
	struct soft_endpoint *group_of;
	u64 prq_end;
	struct xarray pasids;
	spinlock_t latch_lock;	/* of latch_pasid, latch */
	ioasid_t latch_pasid;
	struct soft_pasid_entry *latch;
	struct soft_cache *atc;
	bool sva;
	bool iopf;
	bool removed;
	spinlock_t lock;	/* of all above that say so and all below */
	DECLARE_HASHTABLE(groups, 7);
	unsigned int max_credits;
	unsigned int credits;
	unsigned int next_tag;
	DECLARE_BITMAP(tags, 512);
	unsigned int epoch;
	enum soft_reset reset;
	bool stopped;
	bool unplugged;
	bool lies_credits;
	bool lies_atc;
	unsigned int patience;
	wait_queue_head_t wait;
	struct soft_storm *storm;
};

/* Between begin and end of a reset a device does no DMA and sends no requests. */
static inline bool soft_is_silent(const struct soft_endpoint *ep)
{
	return READ_ONCE(ep->reset) != SOFT_RUNNING;
}

/* pasid.c */

const char *soft_endpoint_name(struct soft_endpoint *ep);
struct soft_pasid_entry *soft_find_pasid(struct soft_endpoint *ep, ioasid_t pasid,
					 struct soft_pasid_entry *made);
bool soft_has_pasid(struct soft_endpoint *ep, ioasid_t pasid);
void soft_forget_pasid(struct soft_endpoint *ep, ioasid_t pasid);
void soft_report_abort(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr);

/* pri.c */

void soft_pri_enable(struct soft_endpoint *ep);
bool soft_pri_disable(struct soft_endpoint *ep);
void soft_pri_left_queue(struct soft_endpoint *ep);
bool soft_pri_enters(struct soft_endpoint *ep, const struct soft_request *req);
void soft_pri_is_lost(struct soft_endpoint *ep, const struct soft_request *req);
void soft_pri_deliver(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid, unsigned int epoch,
		      int code);
void soft_pri_response(struct soft_endpoint *ep, const struct iommu_page_response *resp,
		       unsigned int epoch);
void soft_pri_drain(struct soft_endpoint *ep, ioasid_t pasid);
void soft_pri_account(struct soft_endpoint *ep);
void soft_pri_begin_reset(struct soft_endpoint *ep);
void soft_pri_end_reset(struct soft_endpoint *ep);
void soft_pri_free(struct soft_endpoint *ep);
int soft_pri_ask(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, unsigned int perm,
		 unsigned int epoch);

#endif /* _DRIVERS_IOMMU_SOFT_IOMMU_PRIV_H */
