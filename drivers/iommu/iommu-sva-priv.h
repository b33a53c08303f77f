/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared Virtual Addressing: what the core's files share
 *
 *	iommu-sva.c		bind and unbind, domains, MMU notifier, PASID of an mm
 *	iommu-sva-fault.c	serves page requests
 *	iommu-sva-around.c	maps ahead of sequential accesses (and iommu-sva-seq.c)
 *	iommu-sva-mm.c		what a device may do in an mm
 *	iommu-sva-listen.c	tells listeners of faults and of the exit
 *	iommu-sva-flush.c	flushes of all IOMMUs of a process
 *	iommu-sva-root.c	the page-table root that the IOMMU walks
 *
 * Each calls what is below it, and none calls back. The locks are in iommu-sva.c.
 */
#ifndef _DRIVERS_IOMMU_IOMMU_SVA_PRIV_H
#define _DRIVERS_IOMMU_IOMMU_SVA_PRIV_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/container_of.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/pgtable.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "iommu-sva-around.h"
#include "iopf.h"
#include "iopf-service.h"
#include "iopf-stats.h"

/* Bytes of a root that the core keeps, in front of the io_mm */
#ifdef CONFIG_X86_64
#define SVA_ROOT_SIZE	PAGE_SIZE
#else
#define SVA_ROOT_SIZE	0UL
#endif

/**
 * struct io_mm - an address space that devices use
 * @notifier: counted by mmu_notifier_get()/_put(); @svc has one reference while it has users
 * @lock: guards @domains and @bonds (for writers), @pasid
 * @domains: struct sva_domain, RCU
 * @bonds: struct sva_bond, RCU
 * @pasid: IOMMU_PASID_INVALID while there are no bonds
 * @root_lock: guards @root's contents, @filled and @exited
 * @root: what the IOMMU walks; where the core keeps it, it is in front of the io_mm, in one object
 * @filled: slots of @root that are not empty, until the exit; after it, those that were
 * @exited: the mm has exited, and @root stays empty
 * @released: the core has told back-ends and listeners of the exit
 * @svc: serves page requests. Its users are bonds, groups and workers; when the last has gone it
 *	puts its reference to @notifier, and the io_mm goes unless a bind has another one.
 * @around: the sequences that fault-around maps ahead of
 * @rcu: defers the free past binds that look for a bond to share
 * @servers_lock: guards @servers; innermost
 * @servers: the struct sva_server of threads that may wait for memory
 * @serving: workers that have a reference to mm_users
 */
struct io_mm {
	struct mmu_notifier notifier;
	struct mutex lock;	/* of domains, bonds, pasid */
	struct list_head domains;
	struct list_head bonds;
	ioasid_t pasid;
	spinlock_t root_lock;	/* of root's contents, filled, exited */
	pgd_t *root;
#ifdef CONFIG_X86_64
	DECLARE_BITMAP(filled, PTRS_PER_PGD / 2);
#endif
	bool exited;
	bool released;
	struct iopf_service svc;
	struct sva_fault_around around;
	struct rcu_head rcu;
	spinlock_t servers_lock;	/* of servers */
	struct list_head servers;
#ifndef CONFIG_MEMCG
	atomic_t serving;
#endif
};

/**
 * struct sva_bond - a device may use an mm
 * @sva: what drivers see; sva.users counts successful binds
 * @node: in &io_mm.bonds
 * @group: of the device. Only compared, never followed: after the last unbind both may be gone. A
 *	group that has come to its address later was never bound to an earlier owner of the PASID.
 * @io_mm: of the mm, kept by a reference to its service
 * @sdom: the domain that the device is attached to
 * @pasid: never changes
 * @past: of a bond that has ended: the next one of &sva_mm_data.past
 * @stats: struct iopf_bond_stats, for each device of the group. Only the bind and the end of the
 *	bond change the list.
 * @first_stats: the first of @stats, and as a rule the only one
 * @exited: the core has told the listeners of the exit, or is about to
 * @lock: guards @listeners for writers
 * @listeners: struct iommu_sva_listener, RCU
 * @rcu: defers the free past readers of @listeners
 */
struct sva_bond {
	struct iommu_sva sva;
	struct list_head node;
	struct iommu_group *group;
	struct io_mm *io_mm;
	struct sva_domain *sdom;
	ioasid_t pasid;
	struct sva_bond *past;
	struct list_head stats;
	struct iopf_bond_stats first_stats;
	bool exited;
	spinlock_t lock;	/* of listeners */
	struct list_head listeners;
	struct rcu_head rcu;
};

/**
 * struct sva_domain - an IOMMU domain on an io_mm's list
 * @node: in &io_mm.domains
 * @domain: the vendor driver's
 * @bonds: how many bonds are attached to it
 * @free: waits for notifier callbacks that still see it
 */
struct sva_domain {
	struct list_head node;
	struct iommu_domain *domain;
	unsigned int bonds;
	struct rcu_work free;
};

/**
 * struct sva_mm_data - what mm->iommu_mm points to
 * @data: the part that the rest of the kernel knows
 * @io_mm: NULL while the mm has no bond. Written under &io_mm.lock and mm->page_table_lock; read
 *	under the latter, or RCU.
 * @past: of each group that has been bound since the mm has the PASID, the first bond that has
 *	ended, through &sva_bond.past; guarded by &io_mm.lock
 * @rcu: defers the free past readers of mm->iommu_mm
 */
struct sva_mm_data {
	struct iommu_mm_data data;
	struct io_mm *io_mm;
	struct sva_bond *past;
	struct rcu_head rcu;
};

/**
 * struct sva_nodes - memory policy and nodes that a kernel thread has taken over from a process
 * @policy: a copy of the process's memory policy, if @has_policy
 * @old_policy: the thread's own policy
 * @has_policy: the thread uses @policy now
 * @has_mems: the thread uses the nodes of the process's cpuset now
 */
struct sva_nodes {
	struct mempolicy policy;
	struct mempolicy *old_policy;
	bool has_policy;
	bool has_mems;
};

/**
 * enum sva_stop - why a thread that serves has got a fatal signal; the latest reason counts
 * @SVA_NOT_STOPPED: it has not
 * @SVA_UNBOUND: the last bond of the mm ends
 * @SVA_DYING: the mm has no thread any more, or the OOM killer has chosen the process
 */
enum sva_stop {
	SVA_NOT_STOPPED,
	SVA_UNBOUND,
	SVA_DYING,
};

/**
 * struct sva_server - a thread that serves faults of a process
 * @io_mm: of the process
 * @job: of a worker that serves page requests; NULL: the server is the thread that has called
 *	iommu_sva_handle_fault()
 * @bond: the bond that this thread serves
 * @vma: the VMA that the thread has locked, and keeps from one request to the next
 * @memcg: the process's memory group
 * @old: the group that was active before
 * @nodes: where the process would allocate
 * @node: in &io_mm.servers
 * @task: the thread
 * @stop: why the thread must give up. Written under &io_mm.servers_lock.
 */
struct sva_server {
	struct io_mm *io_mm;
	struct iopf_job *job;
	struct sva_bond *bond;
	struct vm_area_struct *vma;
	struct mem_cgroup *memcg;
	struct mem_cgroup *old;
	struct sva_nodes nodes;
	struct list_head node;
	struct task_struct *task;
	enum sva_stop stop;
};

static inline struct mm_struct *sva_server_mm(const struct sva_server *server)
{
	return server->io_mm->notifier.mm;
}

/* The server is about to block. False if it must not: then it no longer has the request. */
static inline bool sva_server_will_wait(struct sva_server *server)
{
	return !server->job || iopf_job_will_block(server->job);
}

/* Must the server call sva_server_will_wait() before it blocks? */
static inline bool sva_server_is_prompt(const struct sva_server *server)
{
	return server->job && !server->job->blocked;
}

/* Is the server the thread that reads the hardware queue? */
static inline bool sva_server_is_inline(const struct sva_server *server)
{
	return server->job && server->job->is_inline;
}

/* The attachment that is served; NULL if it has gone. Inside an RCU read-side section */
static inline struct iommu_attach_handle *sva_server_handle(struct sva_server *server)
{
	return server->job ? iopf_job_handle(server->job) : &server->bond->sva.handle;
}

static inline void bond_count(struct sva_bond *bond, enum iopf_count what, u64 nr)
{
	iopf_device_count(bond->sva.dev, what, nr);
	iopf_bond_count(&bond->stats, what, nr);
}

static inline void sva_server_count(struct sva_server *server, enum iopf_count what, u64 nr)
{
	if (server->job)
		iopf_job_count(server->job, what, nr);
	else
		bond_count(server->bond, what, nr);
}

static inline struct io_mm *to_io_mm(struct mmu_notifier *mn)
{
	return container_of(mn, struct io_mm, notifier);
}

static inline struct sva_bond *to_bond(struct iommu_attach_handle *handle)
{
	return container_of(handle, struct sva_bond, sva.handle);
}

static inline struct sva_mm_data *sva_mm_data(struct mm_struct *mm)
{
	struct iommu_mm_data *data = READ_ONCE(mm->iommu_mm);

	return data ? container_of(data, struct sva_mm_data, data) : NULL;
}

/* Inline, since each page request asks: may a device access a VMA, and is its process alive? */

/* Does the right to execute imply that to read? Not if the CPU's page tables tell them apart. */
static inline bool sva_exec_implies_read(void)
{
#ifdef CONFIG_ARM64
	return !alternative_has_cap_unlikely(ARM64_HAS_EPAN);
#else
	return true;
#endif
}

/**
 * sva_vma_allows() - May a device access a VMA?
 * @vma: the VMA
 * @perm: the access: IOMMU_FAULT_PERM_READ, _WRITE, _EXEC, or several of them
 *
 * Context: the VMA or its mm is locked.
 * Return: true if the process may, with instructions that are not for shadow stacks only. It must
 * not be true for what the IOMMU then refuses: the device would ask again for ever.
 */
static inline bool sva_vma_allows(struct vm_area_struct *vma, u32 perm)
{
	vm_flags_t readable = VM_READ | VM_WRITE;

	if (sva_exec_implies_read())
		readable |= VM_EXEC;
	if ((perm & IOMMU_FAULT_PERM_READ) && !(vma->vm_flags & readable))
		return false;
	if ((perm & IOMMU_FAULT_PERM_WRITE) &&
	    (!(vma->vm_flags & VM_WRITE) || (vma->vm_flags & VM_SHADOW_STACK)))
		return false;
	return !(perm & IOMMU_FAULT_PERM_EXEC) || (vma->vm_flags & VM_EXEC);
}

/*
 * Has every thread of the process exited, or been killed? mm_users does not tell: workers hold
 * references, and so do readers of /proc and tracers.
 */
#ifdef CONFIG_MEMCG
static inline void io_mm_count_worker(struct io_mm *io_mm, int nr)
{
}

static inline bool io_mm_is_dead(struct io_mm *io_mm)
{
	struct mm_struct *mm = io_mm->notifier.mm;
	struct task_struct *owner;

	/* Keeps the owner as guard(rcu)() does, without calls: each request comes here twice. */
	guard(preempt)();
	/*
	 * A thread that lets go of the mm makes another one its owner, of any process that has the
	 * mm.
	 */
	owner = rcu_dereference_sched(mm->owner);
	if (!owner)
		return true;
	/* Other processes that share the mm may be alive (not vfork(), which is over soon). */
	return READ_ONCE(owner->signal->flags) & SIGNAL_GROUP_EXIT &&
	       !test_bit(MMF_MULTIPROCESS, &mm->flags);
}
#else
static inline void io_mm_count_worker(struct io_mm *io_mm, int nr)
{
	atomic_add(nr, &io_mm->serving);
}

static inline bool io_mm_is_dead(struct io_mm *io_mm)
{
	return atomic_read(&io_mm->notifier.mm->mm_users) <= atomic_read(&io_mm->serving);
}
#endif

/* iommu-sva-flush.c */
void io_mm_flush(struct io_mm *io_mm, const struct iommu_sva_range *range);

/* iommu-sva-root.c */
void io_mm_init_root(struct io_mm *io_mm);
void io_mm_empty_root(struct io_mm *io_mm);
void io_mm_mirror_all(struct io_mm *io_mm);
void io_mm_mirror(struct io_mm *io_mm, unsigned long start, unsigned long last);
void io_mm_clear_root(struct io_mm *io_mm);
bool io_mm_has_exited(struct io_mm *io_mm);

/* iommu-sva-listen.c */
void bond_notify_fault(struct sva_bond *bond, const struct iommu_sva_fault *fault);
void bond_tell_exit(struct sva_bond *bond);

/* iommu-sva-mm.c */
struct vm_area_struct *sva_find_vma(struct mm_struct *mm, unsigned long addr);
void sva_unlock_vma(struct sva_server *server);
#if defined(CONFIG_NUMA) && defined(CONFIG_MEMCG)
void sva_lend_nodes(struct sva_nodes *nodes, struct mm_struct *mm);
void sva_return_nodes(const struct sva_nodes *nodes);
#else
static inline void sva_lend_nodes(struct sva_nodes *nodes, struct mm_struct *mm)
{
}

static inline void sva_return_nodes(const struct sva_nodes *nodes)
{
}
#endif
bool sva_fault_is_wanted(const struct sva_server *server);
bool sva_fault_aborted(const struct sva_server *server);

/* iommu-sva-fault.c */
extern const struct iopf_service_ops sva_service_ops;
int sva_iopf_handler(struct iopf_group *group);
void io_mm_stop_servers(struct io_mm *io_mm, enum sva_stop why);

#endif /* _DRIVERS_IOMMU_IOMMU_SVA_PRIV_H */
