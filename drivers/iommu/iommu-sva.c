// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing: bonds between devices and address spaces
 *
 * Model (the words are defined in include/linux/iommu.h):
 *
 *	io_mm		one per mm with at least one bond; is the mm's MMU notifier
 *	  domains	one per IOMMU instance, or per set of devices that can share one
 *	    bonds	one per device (per IOMMU group), reference counted
 *
 * An io_mm holds mm_count through its notifier, never mm_users: a queue that is mapped into the
 * process must not keep the process's mappings alive. Workers take mm_users only while they serve,
 * and serve nobody but a process that has a thread which would go on (io_mm_is_dead()).
 *
 * A domain is on the io_mm's list before the first device can translate through it and leaves it
 * after the last one can no longer, so that every invalidation reaches every cache that may
 * hold something.
 *
 * The life of a PASID:
 *
 *	1. First bond of the mm: allocated, cyclically. Page requests are served by the mm.
 *	2. The process is killed or exits: requests are refused without a log line.
 *	   The mm exits: the IOMMU loses the page tables.
 *	   Nothing sleeps and nothing is drained. The PASID stays allocated.
 *	3. Each unbind: (device, PASID) is drained, detached, its caches invalidated, and drained.
 *	   After the last one the PASID is free - unless the CPU has ENQCMD: then tasks may hold it
 *	   in an MSR, and it is freed with the mm itself.
 *	4. What a device sends with a PASID that is not bound on it is refused and logged, and the
 *	   PASID is given to nobody while that goes on (quarantine, see iommu-pasid.c).
 *
 * Listeners of a bond are told of faults that could not be served, and of the exit. They are
 * called under RCU, with no lock held, and may not sleep: so they wait for nobody; and who takes
 * one away waits for an RCU grace period, that is for no lock either.
 *
 * The user-only root (x86). The kernel half of a process's top-level table changes without any MMU
 * notifier, so an IOMMU that walks mm->pgd may keep using freed kernel page-table pages. Here it
 * walks a page that belongs to the io_mm: the user half mirrors mm->pgd, the kernel half is zero.
 * Slots are copied at bind, after a served fault, and, before the flush, at each invalidation that
 * covers them. Freed upper-level tables are announced as ranges by the flush that precedes their
 * free, so a stale slot never outlives the table it points to. A slot that is new in mm->pgd is
 * learned from the page request that it causes: devices without page requests are refused.
 *
 * Locks:
 *
 *	io_mm.lock		bind and unbind of one mm; domains, bonds, PASID
 *	  crews_lock		(io-pgfault.c)
 *	  iommu_group.mutex	(inside iommu_attach_device_pasid() and its counterpart)
 *	    vendor locks
 *	io_mm.root_lock		contents of the root; innermost
 *	sva_bond.lock		listeners; taken alone
 *
 *	a VMA's lock		of a lane, which keeps it from one request of a batch to the next
 *	  iopf_service.lock	while nobody waits for it; not while answers are sent, or mmap_lock
 *	  io_mm.root_lock	is waited for
 *
 * MMU notifier callbacks run under page-table spinlocks: they walk the domains under RCU and take
 * nothing but root_lock and what the vendor driver needs to submit invalidations. There is no
 * lock that processes share, but for the PASID allocator's and that of the lanes' workqueues, which
 * talk to no hardware.
 */
#define pr_fmt(fmt) "iommu-sva: " fmt

#include <linux/capability.h>
#include <linux/iommu.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/resource.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>
#include <linux/workqueue.h>
#include <trace/events/iommu_sva.h>

#include "iommu-priv.h"
#include "iommu-sva-around.h"
#include "iopf.h"

/* A fault that the mm cannot serve for want of memory is tried again this many times. */
#define SVA_OOM_TRIES	16
/* Beside VM_FAULT_SIGSEGV: there is no VMA. */
#define SVA_FAULT_NO_VMA	((__force vm_fault_t)0x1000000)

/**
 * struct io_mm - an address space that devices use
 * @notifier: counted by mmu_notifier_get()/_put(); one reference is @svc's
 * @lock: guards @domains and @bonds (for writers), @pasid
 * @domains: struct sva_domain, RCU
 * @bonds: struct sva_bond, RCU
 * @pasid: IOMMU_PASID_INVALID while there are no bonds
 * @root_lock: guards @root's contents and @exited
 * @root: what the IOMMU walks, if the architecture needs the core to keep it
 * @exited: the mm is gone, @root stays empty
 * @released: everybody has been told of that
 * @svc: serves page requests. Used by bonds, groups and lanes; without users it has given back its
 *	reference to @notifier, and the io_mm goes unless somebody is about to bind.
 * @around: what is mapped ahead of devices that stream
 * @serving: lanes that have a reference to mm_users
 */
struct io_mm {
	struct mmu_notifier notifier;
	struct mutex lock;	/* of domains, bonds, pasid */
	struct list_head domains;
	struct list_head bonds;
	ioasid_t pasid;
	spinlock_t root_lock;	/* of root's contents, exited */
	pgd_t *root;
	bool exited;
	bool released;
	struct iopf_service svc;
	struct sva_around around;
#ifndef CONFIG_MEMCG
	atomic_t serving;
#endif
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
 * struct sva_bond - a device may use an mm
 * @sva: what drivers see; sva.users counts successful binds
 * @node: in &io_mm.bonds
 * @io_mm: of the mm, kept by a reference to its service
 * @sdom: the domain that the device is attached to
 * @pasid: never changes
 * @lock: guards @listeners for writers
 * @listeners: struct iommu_sva_listener, RCU
 * @rcu: defers the free past whoever tells the listeners
 */
struct sva_bond {
	struct iommu_sva sva;
	struct list_head node;
	struct io_mm *io_mm;
	struct sva_domain *sdom;
	ioasid_t pasid;
	spinlock_t lock;	/* of listeners */
	struct list_head listeners;
	struct rcu_head rcu;
};

/**
 * struct sva_mm_data - what mm->iommu_mm points to
 * @data: the part that the rest of the kernel knows
 * @io_mm: NULL while the mm has no bond. Guarded by &io_mm.lock.
 * @rcu: defers the free past readers of mm->iommu_mm
 */
struct sva_mm_data {
	struct iommu_mm_data data;
	struct io_mm *io_mm;
	struct rcu_head rcu;
};

static struct io_mm *to_io_mm(struct mmu_notifier *mn)
{
	return container_of(mn, struct io_mm, notifier);
}

static struct sva_bond *to_bond(struct iommu_attach_handle *handle)
{
	return container_of(handle, struct sva_bond, sva.handle);
}

/* The PASID of an mm */

static bool sva_pasid_stays_with_mm(void)
{
#ifdef CONFIG_X86
	return cpu_feature_enabled(X86_FEATURE_ENQCMD);
#else
	return false;
#endif
}

static struct sva_mm_data *sva_mm_data(struct mm_struct *mm)
{
	struct iommu_mm_data *data = READ_ONCE(mm->iommu_mm);

	return data ? container_of(data, struct sva_mm_data, data) : NULL;
}

static int io_mm_get_pasid(struct io_mm *io_mm, struct device *dev)
{
	struct mm_struct *mm = io_mm->notifier.mm;
	struct sva_mm_data *data = sva_mm_data(mm);

	lockdep_assert_held(&io_mm->lock);

	/*
	 * Pointers with tags mean nothing to an IOMMU; and a process with a PASID is refused them.
	 */
	if (!arch_pgtable_dma_compat(mm))
		return -EBUSY;
	if (data) {
		if (data->data.pasid >= dev->iommu->max_pasids)
			return -EOVERFLOW;
		if (pasid_is_barred(dev, data->data.pasid))
			return -EBUSY;
	} else {
		data = kzalloc(sizeof(*data), GFP_KERNEL);
		if (!data)
			return -ENOMEM;
		data->data.pasid = iommu_alloc_global_pasid(dev);
		if (data->data.pasid == IOMMU_PASID_INVALID) {
			kfree(data);
			return -ENOSPC;
		}
		INIT_LIST_HEAD(&data->data.sva_domains);
		/* Readers see the PASID when they see the pointer. */
		smp_store_release(&mm->iommu_mm, &data->data);
	}
	data->io_mm = io_mm;
	io_mm->pasid = data->data.pasid;
	return 0;
}

/* The last bond has gone, or the first one could not be made. */
static void io_mm_put_pasid(struct io_mm *io_mm)
{
	struct mm_struct *mm = io_mm->notifier.mm;
	struct sva_mm_data *data = sva_mm_data(mm);

	lockdep_assert_held(&io_mm->lock);

	if (!list_empty(&io_mm->bonds) || io_mm->pasid == IOMMU_PASID_INVALID)
		return;

	data->io_mm = NULL;
	io_mm->pasid = IOMMU_PASID_INVALID;
	if (sva_pasid_stays_with_mm())
		return;
	WRITE_ONCE(mm->iommu_mm, NULL);
	iommu_free_global_pasid(data->data.pasid);
	kfree_rcu(data, rcu);
}

/**
 * mm_pasid_drop() - The mm is being freed: so is its PASID
 * @mm: an mm without references
 *
 * Context: any; called by the mm core.
 */
void mm_pasid_drop(struct mm_struct *mm)
{
	struct sva_mm_data *data = sva_mm_data(mm);

	if (!data)
		return;

	mm->iommu_mm = NULL;
	iommu_free_global_pasid(data->data.pasid);
	kfree(data);
}

/* The root that the IOMMU walks */

#ifdef CONFIG_X86_64
#define SVA_KEEPS_ROOT	1
/* Set by whoever walks the table, in the copy or in the original. */
#define SVA_ROOT_IGNORED	_PAGE_ACCESSED
/* Page-table isolation sets it for the kernel's view of the user half only. */
#define SVA_ROOT_DROPPED	_PAGE_NX
#define SVA_ROOT_SLOTS		(PTRS_PER_PGD / 2)

static int io_mm_alloc_root(struct io_mm *io_mm)
{
	io_mm->root = (pgd_t *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return io_mm->root ? 0 : -ENOMEM;
}

static void io_mm_free_root(struct io_mm *io_mm)
{
	free_page((unsigned long)io_mm->root);
}

static pgdval_t io_mm_slot(struct io_mm *io_mm, unsigned long i)
{
	return pgd_val(READ_ONCE(io_mm->notifier.mm->pgd[i])) & ~SVA_ROOT_DROPPED;
}

static bool io_mm_slot_is_right(struct io_mm *io_mm, unsigned long i)
{
	return !((io_mm_slot(io_mm, i) ^ pgd_val(READ_ONCE(io_mm->root[i]))) & ~SVA_ROOT_IGNORED);
}

/* Brings the slots of @start to @last, inclusive, up to date. */
static void io_mm_mirror(struct io_mm *io_mm, unsigned long start, unsigned long last)
{
	unsigned long i, end = SVA_ROOT_SLOTS;

	if (start >= TASK_SIZE_MAX)
		return;
	if (last < TASK_SIZE_MAX)
		end = pgd_index(last) + 1;

	guard(spinlock)(&io_mm->root_lock);
	if (io_mm->exited)
		return;
	for (i = pgd_index(start); i < end; i++)
		if (!io_mm_slot_is_right(io_mm, i))
			WRITE_ONCE(io_mm->root[i], __pgd(io_mm_slot(io_mm, i)));
}

/*
 * After a served fault, in whose range there is nearly never a new slot. To look without the lock
 * is not for invalidations: whoever has it may just be copying the slot that has been taken away.
 */
static void io_mm_mirror_served(struct io_mm *io_mm, unsigned long start, unsigned long last)
{
	if (pgd_index(start) != pgd_index(last) || !io_mm_slot_is_right(io_mm, pgd_index(start)))
		io_mm_mirror(io_mm, start, last);
}

static void io_mm_clear_root(struct io_mm *io_mm)
{
	guard(spinlock)(&io_mm->root_lock);
	io_mm->exited = true;
	for (unsigned long i = 0; i < SVA_ROOT_SLOTS; i++)
		WRITE_ONCE(io_mm->root[i], __pgd(0));
}

#else /* !CONFIG_X86_64: user and kernel have tables of their own, the IOMMU walks mm->pgd */
#define SVA_KEEPS_ROOT	0

static int io_mm_alloc_root(struct io_mm *io_mm)
{
	io_mm->root = io_mm->notifier.mm->pgd;
	return 0;
}

static void io_mm_free_root(struct io_mm *io_mm)
{
}

static void io_mm_mirror(struct io_mm *io_mm, unsigned long start, unsigned long last)
{
}

static void io_mm_mirror_served(struct io_mm *io_mm, unsigned long start, unsigned long last)
{
}

static void io_mm_clear_root(struct io_mm *io_mm)
{
	guard(spinlock)(&io_mm->root_lock);
	io_mm->exited = true;
}
#endif

/**
 * iommu_sva_root() - The top-level page table for an SVA domain
 * @domain: an SVA domain that the core is attaching to a device
 *
 * For vendor drivers, in their set_dev_pasid(). On x86 it is not mm->pgd: user half only. It stays
 * valid until the domain is freed; after the mm's exit it is empty.
 *
 * Context: inside set_dev_pasid().
 * Return: the table, in the CPU's format; its physical address goes into the PASID entry.
 */
pgd_t *iommu_sva_root(struct iommu_domain *domain)
{
	return sva_mm_data(domain->mm)->io_mm->root;
}
EXPORT_SYMBOL_GPL(iommu_sva_root);

/* Listeners */

static void bond_tell(struct sva_bond *bond, const struct iommu_sva_fault *fault)
{
	struct iommu_sva_listener *listener;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the bond may go");

	trace_iommu_sva_fault(bond->sva.dev, bond->pasid, fault);
	list_for_each_entry_rcu(listener, &bond->listeners, node)
		listener->notify(listener, fault);
}

static void sva_tell_fault(struct iommu_attach_handle *handle,
			   const struct iommu_fault_page_request *prm,
			   enum iommu_sva_fault_reason reason)
{
	const struct iommu_sva_fault fault = {
		.addr = prm->addr,
		.perm = prm->perm,
		.reason = reason,
	};

	bond_tell(to_bond(handle), &fault);
}

/* The time limit of a device has answered a group. */
static void sva_timed_out(struct iommu_attach_handle *handle,
			  const struct iommu_fault_page_request *prm)
{
	sva_tell_fault(handle, prm, IOMMU_SVA_FAULT_TIMEOUT);
}

static bool io_mm_has_exited(struct io_mm *io_mm)
{
	guard(spinlock)(&io_mm->root_lock);
	return io_mm->exited;
}

/**
 * iommu_sva_listen() - Be told of the faults of a bond
 * @handle: the bond, which binds of the same device and process share
 * @listener: with &iommu_sva_listener.notify set; the caller keeps it until
 *	iommu_sva_unlisten() has returned, which comes before the caller's unbind
 *
 * A listener hears of the faults of all users of the bond. It may be called before this returns,
 * on several CPUs at the same time.
 *
 * Context: process, may sleep.
 * Return: 0; -ESRCH if the process has exited: then there is nothing more to hear.
 */
int iommu_sva_listen(struct iommu_sva *handle, struct iommu_sva_listener *listener)
{
	struct sva_bond *bond = container_of(handle, struct sva_bond, sva);

	scoped_guard(spinlock, &bond->lock)
		list_add_rcu(&listener->node, &bond->listeners);
	/* Ordered by root_lock: either the exit finds the listener, or we find the exit. */
	if (!io_mm_has_exited(bond->io_mm))
		return 0;
	iommu_sva_unlisten(handle, listener);
	return -ESRCH;
}
EXPORT_SYMBOL_GPL(iommu_sva_listen);

/**
 * iommu_sva_unlisten() - Undo iommu_sva_listen()
 * @handle: the bond
 * @listener: is not called any more when this returns
 *
 * Context: process, sleeps; not from &iommu_sva_listener.notify.
 */
void iommu_sva_unlisten(struct iommu_sva *handle, struct iommu_sva_listener *listener)
{
	struct sva_bond *bond = container_of(handle, struct sva_bond, sva);

	scoped_guard(spinlock, &bond->lock)
		list_del_rcu(&listener->node);
	synchronize_rcu();
}
EXPORT_SYMBOL_GPL(iommu_sva_unlisten);

/* Serving page requests */

/* What can be executed can be read, unless the CPU's page tables tell the two apart. */
static bool sva_exec_implies_read(void)
{
#ifdef CONFIG_ARM64
	return !alternative_has_cap_unlikely(ARM64_HAS_EPAN);
#else
	return true;
#endif
}

/**
 * sva_vma_allows() - May a device access that memory?
 * @vma: the memory
 * @perm: how, IOMMU_FAULT_PERM_*
 *
 * Context: the VMA or its mm is locked.
 * Return: true if the process could, with instructions that are not for shadow stacks only. What is
 * served though it is not granted, the device asks for again, for ever.
 */
bool sva_vma_allows(struct vm_area_struct *vma, u32 perm)
{
	vm_flags_t readable = VM_READ | VM_WRITE;

	if (sva_exec_implies_read())
		readable |= VM_EXEC;
	if ((perm & IOMMU_FAULT_PERM_READ) && !(vma->vm_flags & readable))
		return false;
	if ((perm & IOMMU_FAULT_PERM_WRITE) &&
	    (!(vma->vm_flags & VM_WRITE) || (vma->vm_flags & VM_SHADOW_STACK)))
		return false;
	if ((perm & IOMMU_FAULT_PERM_EXEC) && !(vma->vm_flags & VM_EXEC))
		return false;
	return vma_is_accessible(vma);
}

/**
 * struct sva_limits - what a stack may grow to
 * @stack: RLIMIT_STACK
 * @as: RLIMIT_AS
 * @memlock: RLIMIT_MEMLOCK, if that is a limit for the process
 */
struct sva_limits {
	unsigned long stack;
	unsigned long as;
	unsigned long memlock;
};

/* The stack of a process grows as far as that process's own limits, not the worker's. */
static struct sva_limits sva_stack_limits(struct mm_struct *mm)
{
	struct task_struct *task = current;

	guard(rcu)();
#ifdef CONFIG_MEMCG
	task = rcu_dereference(mm->owner) ?: current;
#endif
	return (struct sva_limits){
		.stack = task_rlimit(task, RLIMIT_STACK),
		.as = task_rlimit(task, RLIMIT_AS),
		.memlock = has_capability_noaudit(task, CAP_IPC_LOCK) ? RLIM_INFINITY :
			   task_rlimit(task, RLIMIT_MEMLOCK),
	};
}

static unsigned long sva_set_own_limit(unsigned int which, unsigned long limit)
{
	struct rlimit *own = &current->signal->rlim[which];
	unsigned long old = own->rlim_cur;

	WRITE_ONCE(own->rlim_cur, limit);
	return old;
}

static bool sva_may_lock(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long addr,
			 const struct sva_limits *limits)
{
	unsigned long pages = (vma->vm_start - (addr & PAGE_MASK)) >> PAGE_SHIFT;

	return !(vma->vm_flags & VM_LOCKED) ||
	       mm->locked_vm + pages <= limits->memlock >> PAGE_SHIFT;
}

/*
 * expand_stack() asks for the limits of the thread that calls it. That is a worker, a process of
 * its own, whose limits mean nothing to anybody else: while it does so it has those of the
 * process. Of locked memory a worker may have as much as it likes. Drops mmap_lock on failure.
 */
static struct vm_area_struct *sva_expand_stack(struct mm_struct *mm, struct vm_area_struct *vma,
					       unsigned long addr)
{
	struct sva_limits limits = sva_stack_limits(mm);

	if (!sva_may_lock(mm, vma, addr, &limits)) {
		mmap_read_unlock(mm);
		return NULL;
	}
	limits.stack = sva_set_own_limit(RLIMIT_STACK, limits.stack);
	limits.as = sva_set_own_limit(RLIMIT_AS, limits.as);
	vma = expand_stack(mm, addr);
	sva_set_own_limit(RLIMIT_STACK, limits.stack);
	sva_set_own_limit(RLIMIT_AS, limits.as);
	return vma;
}

/* Looks up the VMA of an address, growing a stack into it. Drops mmap_lock if there is none. */
static struct vm_area_struct *sva_find_vma(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	if (vma && vma->vm_start <= addr)
		return vma;
	if (vma && (vma->vm_flags & VM_GROWSDOWN))
		return sva_expand_stack(mm, vma, addr);
	mmap_read_unlock(mm);
	return NULL;
}

/* Is it for others to say how long a fault takes: a file server, a monitor of page faults? */
static bool sva_others_decide(struct vm_area_struct *vma)
{
	return !vma_is_anonymous(vma) || userfaultfd_armed(vma);
}

/* May a fault take long? For the reporter that means all but what is at hand. */
static bool sva_may_wait(struct io_mm *io_mm, struct iopf_lane *lane, struct vm_area_struct *vma,
			 const struct iommu_fault_page_request *prm)
{
	return sva_others_decide(vma) ||
	       (lane->is_reporter && !sva_around_is_at_hand(&io_mm->around, vma, prm));
}

/* Does somebody who changes the VMA wait for us? */
static bool sva_is_wanted_by_writer(struct vm_area_struct *vma)
{
#ifdef CONFIG_PER_VMA_LOCK
	return rwsem_is_contended(&vma->vm_lock->lock);
#else
	return false;
#endif
}

/**
 * sva_rest() - Let go of the VMA that a lane has kept
 * @lane: the lane
 *
 * Context: the lane's, as &iopf_service_ops.rest.
 */
void sva_rest(struct iopf_lane *lane)
{
	if (lane->vma)
		vma_end_read(lane->vma);
	lane->vma = NULL;
}

/* Requests of a batch are often for one VMA: its lock may be there from the request before. */
static struct vm_area_struct *sva_lock_vma(struct mm_struct *mm, struct iopf_lane *lane,
					   unsigned long addr)
{
	struct vm_area_struct *vma = lane->vma;

	if (vma && addr >= vma->vm_start && addr < vma->vm_end)
		return vma;
	sva_rest(lane);
	lane->vma = lock_vma_under_rcu(mm, addr);
	return lane->vma;
}

/*
 * Has every thread of the process gone, or been killed? mm_users does not say so: lanes count in
 * it, of which each would keep the others going, and so does whoever looks at the process from
 * outside (/proc, ptrace).
 */
#ifdef CONFIG_MEMCG
static void io_mm_count_lane(struct io_mm *io_mm, int nr)
{
}

static bool io_mm_is_dead(struct io_mm *io_mm)
{
	struct mm_struct *mm = io_mm->notifier.mm;
	struct task_struct *owner;

	guard(rcu)();
	/*
	 * A thread that lets go of the mm hands it on to another one, of any process that has it.
	 */
	owner = rcu_dereference(mm->owner);
	if (!owner)
		return true;
	/* Of processes that share it (not vfork(), which is over soon) others may be alive. */
	return READ_ONCE(owner->signal->flags) & SIGNAL_GROUP_EXIT &&
	       !test_bit(MMF_MULTIPROCESS, &mm->flags);
}
#else
static void io_mm_count_lane(struct io_mm *io_mm, int nr)
{
	atomic_add(nr, &io_mm->serving);
}

static bool io_mm_is_dead(struct io_mm *io_mm)
{
	return atomic_read(&io_mm->notifier.mm->mm_users) <= atomic_read(&io_mm->serving);
}
#endif

/**
 * sva_fault_is_moot() - Has the result become useless?
 * @mm: whose memory; the caller has a reference to mm_users
 * @lane: the lane that serves the request
 *
 * Return: true if the process is gone or being killed, or the group was answered.
 */
bool sva_fault_is_moot(struct mm_struct *mm, struct iopf_lane *lane)
{
	return !iopf_lane_is_wanted(lane) || test_bit(MMF_UNSTABLE, &mm->flags) ||
	       io_mm_is_dead(container_of(lane->svc, struct io_mm, svc));
}

/*
 * One try, as the CPU's fault handler does it: with the VMA's lock if that is to be had, else with
 * mmap_lock. No lock is held on return but for the VMA's, in @lane, if nobody wants it and the next
 * fault in it waits for nobody either. VM_FAULT_RETRY: something was waited for, try again.
 */
static vm_fault_t sva_try_fault(struct io_mm *io_mm, struct iopf_lane *lane,
				const struct iommu_fault_page_request *prm, unsigned int flags)
{
	struct mm_struct *mm = io_mm->notifier.mm;
	struct vm_area_struct *vma;
	vm_fault_t fault;

	vma = sva_lock_vma(mm, lane, prm->addr);
	if (vma && !lane->away && sva_may_wait(io_mm, lane, vma, prm)) {
		if (!iopf_lane_may_wait(lane))
			return VM_FAULT_RETRY;
		vma = sva_lock_vma(mm, lane, prm->addr);
	}
	if (vma) {
		if (!sva_vma_allows(vma, prm->perm)) {
			sva_rest(lane);
			return VM_FAULT_SIGSEGV;
		}
		fault = handle_mm_fault(vma, prm->addr, flags | FAULT_FLAG_VMA_LOCK, NULL);
		if (fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
			lane->vma = NULL;
		else if (fault || sva_others_decide(vma) || sva_is_wanted_by_writer(vma))
			sva_rest(lane);
		if (!(fault & VM_FAULT_RETRY) || sva_fault_is_moot(mm, lane))
			return fault;
		if (fault & VM_FAULT_MAJOR)
			flags |= FAULT_FLAG_TRIED;
	}

	if (!iopf_lane_may_wait(lane))
		return VM_FAULT_RETRY;
	mmap_read_lock(mm);
	vma = sva_find_vma(mm, prm->addr);
	if (!vma)
		return VM_FAULT_SIGSEGV | SVA_FAULT_NO_VMA;
	if (!sva_vma_allows(vma, prm->perm)) {
		mmap_read_unlock(mm);
		return VM_FAULT_SIGSEGV;
	}
	fault = handle_mm_fault(vma, prm->addr, flags, NULL);
	if (!(fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
		mmap_read_unlock(mm);
	return fault;
}

static enum iommu_sva_fault_reason sva_fault_reason(vm_fault_t fault)
{
	if (!(fault & VM_FAULT_ERROR))
		return 0;
	if (!(fault & VM_FAULT_SIGSEGV))
		return IOMMU_SVA_FAULT_NO_PAGE;
	return fault & SVA_FAULT_NO_VMA ? IOMMU_SVA_FAULT_NO_MAPPING : IOMMU_SVA_FAULT_NO_ACCESS;
}

/*
 * A process above memory.high is slowed down on its way back to user space, where a worker never
 * gets: it would be slowed down inside a later fault, with the VMA's lock held, for this process or
 * for another one. So here, with no lock, while others go on with what there is to do.
 */
static void sva_throttle(struct iopf_lane *lane)
{
#ifdef CONFIG_MEMCG
	if (likely(!current->memcg_nr_pages_over_high))
		return;
	sva_rest(lane);
	if (iopf_lane_may_wait(lane))
		mem_cgroup_handle_over_high(GFP_KERNEL);
	else
		current->memcg_nr_pages_over_high = 0;
#endif
}

/* Returns 0 if the page is there; IOMMU_SVA_FAULT_EXITED if nobody is interested any more. */
static enum iommu_sva_fault_reason sva_serve_page(struct io_mm *io_mm, struct iopf_lane *lane,
						  const struct iommu_fault_page_request *prm)
{
	unsigned int flags = FAULT_FLAG_REMOTE | FAULT_FLAG_USER | FAULT_FLAG_ALLOW_RETRY |
			     FAULT_FLAG_KILLABLE;
	unsigned int oom = 0;
	vm_fault_t fault;

	/* A device acts for the user; and a request for no access asks for nothing. */
	if ((prm->perm & IOMMU_FAULT_PERM_PRIV) || !(prm->perm & ~IOMMU_FAULT_PERM_PRIV))
		return IOMMU_SVA_FAULT_NO_ACCESS;
	if (prm->addr >= TASK_SIZE_MAX)
		return IOMMU_SVA_FAULT_NO_MAPPING;
	if (prm->perm & IOMMU_FAULT_PERM_WRITE)
		flags |= FAULT_FLAG_WRITE;
	else if (prm->perm & IOMMU_FAULT_PERM_EXEC)
		flags |= FAULT_FLAG_INSTRUCTION;

	for (;;) {
		fault = sva_try_fault(io_mm, lane, prm, flags);

		/* Where that came from there may be more: swap. */
		if (fault & VM_FAULT_MAJOR)
			iopf_lane_may_wait(lane);
		sva_throttle(lane);
		/* cgroup v1 leaves it to the fault handler to wait; a worker serves others too. */
		if (task_in_memcg_oom(current))
			mem_cgroup_oom_synchronize(false);
		if (fault & VM_FAULT_RETRY)
			flags |= FAULT_FLAG_TRIED;
		else if (!(fault & VM_FAULT_OOM) || ++oom == SVA_OOM_TRIES)
			return sva_fault_reason(fault);
		if (sva_fault_is_moot(io_mm->notifier.mm, lane))
			return IOMMU_SVA_FAULT_EXITED;
		cond_resched();
	}
}

static void sva_tell_unserved(struct iopf_lane *lane, const struct iommu_fault_page_request *prm,
			      enum iommu_sva_fault_reason reason)
{
	struct iommu_attach_handle *handle;

	sva_rest(lane);
	guard(rcu)();
	handle = iopf_lane_handle(lane);
	if (handle && reason != IOMMU_SVA_FAULT_EXITED)
		sva_tell_fault(handle, prm, reason);
}

static enum iommu_page_response_code sva_serve_group(struct iopf_lane *lane, struct io_mm *io_mm)
{
	const struct iommu_fault_page_request *prm;
	enum iommu_sva_fault_reason reason;

	if (io_mm_is_dead(io_mm)) {
		lane->why = IOPF_EXITED;
		return IOMMU_PAGE_RESP_INVALID;
	}
	while ((prm = iopf_lane_next(lane))) {
		reason = sva_serve_page(io_mm, lane, prm);
		if (!reason) {
			io_mm_mirror_served(io_mm, prm->addr,
					    sva_around(&io_mm->around, io_mm->notifier.mm, lane,
						       prm));
		} else if (!lane->suspect) {
			sva_tell_unserved(lane, prm, reason);
			lane->why = reason == IOMMU_SVA_FAULT_EXITED ? IOPF_EXITED : IOPF_FAILED;
			return IOMMU_PAGE_RESP_INVALID;
		}
	}
	return IOMMU_PAGE_RESP_SUCCESS;
}

static void sva_refuse(struct iopf_lane *lane)
{
	while (iopf_lane_next_group(lane)) {
		lane->code = IOMMU_PAGE_RESP_INVALID;
		lane->why = IOPF_EXITED;
	}
}

static void sva_serve(struct iopf_lane *lane)
{
	struct io_mm *io_mm = container_of(lane->svc, struct io_mm, svc);
	struct mm_struct *mm = io_mm->notifier.mm;
	struct mem_cgroup *memcg, *old;

	if (!mmget_not_zero(mm)) {
		sva_refuse(lane);
		return;
	}
	io_mm_count_lane(io_mm, 1);

	/*
	 * Page-cache pages too are charged to the process's group, not to the worker's. A process
	 * that is dead has none, which io_mm_is_dead() tells afterwards.
	 */
	memcg = get_mem_cgroup_from_mm(mm);
	old = set_active_memcg(memcg);
	while (iopf_lane_next_group(lane))
		lane->code = sva_serve_group(lane, io_mm);
	sva_rest(lane);
	set_active_memcg(old);
	mem_cgroup_put(memcg);

	io_mm_count_lane(io_mm, -1);
	/* The last reference would run exit_mmap() here, and delay everybody behind us. */
	mmput_async(mm);
}

/* The last user of the service is gone. */
static void sva_put_notifier(struct iopf_service *svc)
{
	mmu_notifier_put(&container_of(svc, struct io_mm, svc)->notifier);
}

static const struct iopf_service_ops sva_service_ops = {
	.serve = sva_serve,
	.rest = sva_rest,
	.timed_out = sva_timed_out,
	.free = sva_put_notifier,
};

/* Called by the fault queue while the attachment is known to be there. */
static int sva_iopf_handler(struct iopf_group *group)
{
	struct io_mm *io_mm = to_bond(group->attach_handle)->io_mm;

	/* After the process's exit there is nothing to serve, and no reason to trouble a worker. */
	if (io_mm_is_dead(io_mm))
		return -ESRCH;
	iopf_service_add(&io_mm->svc, group);
	return 0;
}

/* MMU notifier */

static void io_mm_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	struct io_mm *io_mm = to_io_mm(mn);
	struct sva_domain *sdom;

	io_mm_mirror(io_mm, start, end - 1);

	guard(rcu)();
	list_for_each_entry_rcu(sdom, &io_mm->domains, node) {
		const struct iommu_sva_ops *ops = sdom->domain->owner->sva_ops;

		if (ops)
			ops->invalidate_range(sdom->domain, start, end);
	}
}

static void io_mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	const struct iommu_sva_fault exited = { .reason = IOMMU_SVA_FAULT_EXITED };
	struct io_mm *io_mm = to_io_mm(mn);
	struct sva_domain *sdom;
	struct sva_bond *bond;

	io_mm_clear_root(io_mm);

	guard(rcu)();
	list_for_each_entry_rcu(sdom, &io_mm->domains, node) {
		const struct iommu_sva_ops *ops = sdom->domain->owner->sva_ops;

		if (ops)
			ops->release(sdom->domain);
	}
	list_for_each_entry_rcu(bond, &io_mm->bonds, node) {
		sva_around_forget(&io_mm->around, mm, &bond->sva);
		bond_tell(bond, &exited);
	}
	/* Pairs with io_mm_await_release(): we are done with the bonds and their devices. */
	smp_store_release(&io_mm->released, true);
}

/*
 * For who has taken a bond from the list: the exit of the mm may have found it before, and looks at
 * the device, which may go as soon as the unbind is over. Ordered by root_lock: either the exit
 * finds the list without the bond, or we find the exit.
 */
static void io_mm_await_release(struct io_mm *io_mm)
{
	/* Pairs with io_mm_release(). */
	if (io_mm_has_exited(io_mm) && !smp_load_acquire(&io_mm->released))
		synchronize_rcu();
}

static struct mmu_notifier *io_mm_alloc(struct mm_struct *mm)
{
	struct io_mm *io_mm;

	io_mm = kzalloc(sizeof(*io_mm), GFP_KERNEL_ACCOUNT);
	if (!io_mm)
		return ERR_PTR(-ENOMEM);

	mutex_init(&io_mm->lock);
	spin_lock_init(&io_mm->root_lock);
	INIT_LIST_HEAD(&io_mm->domains);
	INIT_LIST_HEAD(&io_mm->bonds);
	io_mm->pasid = IOMMU_PASID_INVALID;
	io_mm->notifier.mm = mm;
	iopf_service_init(&io_mm->svc, &sva_service_ops);
	sva_around_init(&io_mm->around);
	if (io_mm_alloc_root(io_mm)) {
		kfree(io_mm);
		return ERR_PTR(-ENOMEM);
	}
	return &io_mm->notifier;
}

static void io_mm_free(struct mmu_notifier *mn)
{
	struct io_mm *io_mm = to_io_mm(mn);

	iopf_service_destroy(&io_mm->svc);
	io_mm_free_root(io_mm);
	kfree(io_mm);
}

static const struct mmu_notifier_ops io_mm_notifier_ops = {
	.arch_invalidate_secondary_tlbs = io_mm_invalidate,
	.release = io_mm_release,
	.alloc_notifier = io_mm_alloc,
	.free_notifier = io_mm_free,
};

/* Domains */

static void sva_domain_free(struct work_struct *work)
{
	struct sva_domain *sdom = container_of(to_rcu_work(work), struct sva_domain, free);
	struct module *owner = sdom->domain->owner->owner;

	iommu_domain_free(sdom->domain);
	/* From here, since who gives up his own module may not get to the end of his function. */
	module_put(owner);
	kfree(sdom);
}

static struct iommu_domain *sva_vendor_domain(struct device *dev, struct mm_struct *mm)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_domain *domain;

	if (ops->domain_alloc_sva)
		domain = ops->domain_alloc_sva(dev, mm);
	else if (ops->domain_alloc)
		domain = ops->domain_alloc(IOMMU_DOMAIN_SVA) ?: ERR_PTR(-ENOMEM);
	else
		domain = ERR_PTR(-EOPNOTSUPP);
	if (IS_ERR(domain))
		return domain;

	domain->type = IOMMU_DOMAIN_SVA;
	domain->owner = ops;
	domain->iopf_handler = sva_iopf_handler;
	mmgrab(mm);
	domain->mm = mm;
	return domain;
}

static struct sva_domain *io_mm_add_domain(struct io_mm *io_mm, struct device *dev)
{
	struct sva_domain *sdom;

	lockdep_assert_held(&io_mm->lock);

	sdom = kzalloc(sizeof(*sdom), GFP_KERNEL);
	if (!sdom)
		return ERR_PTR(-ENOMEM);
	/* The device holds the module, too, but the domain may outlive that. */
	__module_get(dev_iommu_ops(dev)->owner);
	sdom->domain = sva_vendor_domain(dev, io_mm->notifier.mm);
	if (IS_ERR(sdom->domain)) {
		int ret = PTR_ERR(sdom->domain);

		module_put(dev_iommu_ops(dev)->owner);
		kfree(sdom);
		return ERR_PTR(ret);
	}
	if (!sdom->domain->owner->sva_ops || !sdom->domain->owner->sva_ops->sets_accessed)
		WRITE_ONCE(io_mm->around.keeps_accessed, true);
	INIT_RCU_WORK(&sdom->free, sva_domain_free);
	list_add_rcu(&sdom->node, &io_mm->domains);
	return sdom;
}

static void io_mm_put_domain(struct io_mm *io_mm, struct sva_domain *sdom)
{
	lockdep_assert_held(&io_mm->lock);

	if (sdom->bonds)
		return;
	list_del_rcu(&sdom->node);
	queue_rcu_work(system_wq, &sdom->free);
}

static int sva_drain_attachment(struct device *dev, void *data)
{
	struct sva_bond *bond = data;

	iopf_drain_attachment(dev, bond->pasid, &bond->sva.handle);
	return 0;
}

/*
 * On error nothing names the bond or the domain any more, though the attachment could be found for
 * a while: by requests of a group's member that was attached, or of a device that uses a stray
 * PASID.
 */
static int bond_try_domain(struct sva_bond *bond, struct sva_domain *sdom)
{
	struct device *dev = bond->sva.dev;
	int ret;

	ret = iommu_attach_device_pasid(sdom->domain, dev, bond->pasid, &bond->sva.handle);
	if (ret)
		iommu_group_for_each_dev(dev->iommu_group, bond, sva_drain_attachment);
	return ret;
}

/* Attaches the device to a domain that takes it: -EINVAL is a domain's way to say "not mine". */
static int bond_attach(struct sva_bond *bond)
{
	struct io_mm *io_mm = bond->io_mm;
	struct device *dev = bond->sva.dev;
	struct sva_domain *sdom;
	int ret;

	lockdep_assert_held(&io_mm->lock);

	list_for_each_entry(sdom, &io_mm->domains, node) {
		if (sdom->domain->owner != dev_iommu_ops(dev))
			continue;
		ret = bond_try_domain(bond, sdom);
		if (!ret)
			goto attached;
		if (ret != -EINVAL)
			return ret;
	}

	sdom = io_mm_add_domain(io_mm, dev);
	if (IS_ERR(sdom))
		return PTR_ERR(sdom);
	ret = bond_try_domain(bond, sdom);
	if (ret) {
		io_mm_put_domain(io_mm, sdom);
		return ret;
	}
attached:
	sdom->bonds++;
	bond->sdom = sdom;
	return 0;
}

static int sva_drain_device(struct device *dev, void *data)
{
	if (dev->iommu->max_pasids)
		iopf_drain_through(dev, *(ioasid_t *)data);
	return 0;
}

static void bond_drain(struct sva_bond *bond)
{
	iommu_group_for_each_dev(bond->sva.dev->iommu_group, &bond->pasid, sva_drain_device);
}

/* Its requests are answered: who still serves one does not begin a stream any more. */
static void bond_forget_streams(struct sva_bond *bond)
{
	struct io_mm *io_mm = bond->io_mm;
	struct mm_struct *mm = io_mm->notifier.mm;

	/* At its exit the mm has done so itself. */
	if (!mmget_not_zero(mm))
		return;
	sva_around_forget(&io_mm->around, mm, &bond->sva);
	mmput_async(mm);
}

/*
 * Drained twice: before, what the device asked while it might, which is nobody's mistake; after,
 * what it has asked since, so that nothing is left when the PASID gets a new owner.
 */
static void bond_detach(struct sva_bond *bond)
{
	lockdep_assert_held(&bond->io_mm->lock);

	bond_drain(bond);
	iommu_detach_device_pasid(bond->sdom->domain, bond->sva.dev, bond->pasid);
	bond_drain(bond);
	bond_forget_streams(bond);

	bond->sdom->bonds--;
	io_mm_put_domain(bond->io_mm, bond->sdom);
}

/* Bonds */

static struct sva_bond *io_mm_find_bond(struct io_mm *io_mm, struct device *dev)
{
	struct sva_bond *bond;

	lockdep_assert_held(&io_mm->lock);

	list_for_each_entry(bond, &io_mm->bonds, node)
		if (bond->sva.dev->iommu_group == dev->iommu_group)
			return bond;
	return NULL;
}

static struct sva_bond *io_mm_add_bond(struct io_mm *io_mm, struct device *dev)
{
	struct sva_bond *bond;
	int ret;

	lockdep_assert_held(&io_mm->lock);

	bond = kzalloc(sizeof(*bond), GFP_KERNEL_ACCOUNT);
	if (!bond)
		return ERR_PTR(-ENOMEM);
	refcount_set(&bond->sva.users, 1);
	bond->sva.dev = dev;
	bond->io_mm = io_mm;
	spin_lock_init(&bond->lock);
	INIT_LIST_HEAD(&bond->listeners);

	ret = io_mm_get_pasid(io_mm, dev);
	if (ret)
		goto err_free;
	bond->pasid = io_mm->pasid;

	io_mm_mirror(io_mm, 0, ULONG_MAX);
	ret = bond_attach(bond);
	if (ret)
		goto err_pasid;

	list_add_rcu(&bond->node, &io_mm->bonds);
	trace_iommu_sva_bind(dev, bond->pasid);
	return bond;

err_pasid:
	bond_forget_streams(bond);
	io_mm_put_pasid(io_mm);
err_free:
	/* A lane that has served it for a moment may still look at its listeners. */
	kfree_rcu(bond, rcu);
	return ERR_PTR(ret);
}

static int sva_check_device(struct device *dev)
{
	const struct iommu_ops *ops;

	if (!dev->iommu_group || !dev->iommu || !dev->iommu->iommu_dev)
		return -ENODEV;

	ops = dev_iommu_ops(dev);
	if (!dev->iommu->max_pasids) {
		dev_err_ratelimited(dev, "SVA needs PASID, which device or IOMMU lack\n");
		return -EOPNOTSUPP;
	}
	/* On x86 the IOMMU must not walk mm->pgd; and what it walks is filled by page requests. */
	if (IS_ENABLED(CONFIG_X86) && (!ops->sva_ops || !ops->sva_ops->walks_io_mm_root)) {
		dev_err_ratelimited(dev, "SVA is not safe with this IOMMU driver on x86\n");
		return -EOPNOTSUPP;
	}
	if (!iopf_device_is_fit(dev))
		return -EBUSY;
	if (SVA_KEEPS_ROOT && !rcu_access_pointer(dev->iommu->fault_param)) {
		dev_err_ratelimited(dev, "SVA needs page requests (PRI), which are not enabled\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

static struct iommu_sva *io_mm_bind(struct mm_struct *mm, struct device *dev)
{
	struct mmu_notifier *mn;
	struct sva_bond *bond;
	struct io_mm *io_mm;
	bool keep = false;
	int ret;

	mn = mmu_notifier_get(&io_mm_notifier_ops, mm);
	if (IS_ERR(mn))
		return ERR_CAST(mn);
	io_mm = to_io_mm(mn);

	scoped_guard(mutex, &io_mm->lock) {
		bond = io_mm_find_bond(io_mm, dev);
		if (bond) {
			refcount_inc(&bond->sva.users);
		} else {
			/*
			 * Before the device can ask for anything. The service, when it gets its
			 * first user, takes over our reference to the notifier.
			 */
			keep = iopf_service_use(&io_mm->svc);
			ret = iopf_service_hire(&io_mm->svc);
			bond = ret ? ERR_PTR(ret) : io_mm_add_bond(io_mm, dev);
		}
	}
	/* Not under the lock, which may go with them. */
	if (!keep)
		mmu_notifier_put(mn);
	if (IS_ERR(bond)) {
		iopf_service_put(&io_mm->svc);
		return ERR_CAST(bond);
	}
	return &bond->sva;
}

/**
 * iommu_sva_bind_device() - Let a device use the address space of a process
 * @dev: the device. iommu_dev_enable_feature() must have enabled IOMMU_DEV_FEAT_IOPF and then
 *	IOMMU_DEV_FEAT_SVA on it.
 * @mm: the address space; the caller holds a reference to its mm_users, or it is current->mm
 *
 * Afterwards transactions of @dev with the PASID that iommu_sva_get_pasid() tells use @mm's
 * mappings, and missing pages are fetched by page requests (PCIe 6.0, chapter 10). If @dev and
 * @mm are bound already, the bond is shared; each successful call needs its own
 * iommu_sva_unbind_device().
 *
 * The bond does not keep the process alive, nor does it end with it: see
 * Documentation/driver-api/iommu-sva.rst for what a driver must do when the process exits.
 *
 * Context: process, may sleep; takes @mm's mmap_lock. Binds of other processes are not waited for.
 * Return: the bond, or an ERR_PTR:
 *
 * * -ENODEV: @dev is behind no IOMMU
 * * -EOPNOTSUPP: PASID, page requests or the IOMMU driver's support is missing; the log says which
 * * -ESRCH: @mm has exited
 * * -ENOSPC: no PASID is free that fits @dev
 * * -EOVERFLOW: @mm has a PASID already that does not fit @dev
 * * -EBUSY: the PASID of @mm is attached to something else on @dev; or @dev goes on using many
 *   PASIDs that are not bound any more, or @mm's, as that of an earlier owner; or @mm uses tagged
 *   addresses (x86: LAM), which devices would not understand
 * * -ENOMEM, or what the IOMMU driver returns
 */
struct iommu_sva *iommu_sva_bind_device(struct device *dev, struct mm_struct *mm)
{
	struct iommu_sva *sva;
	int ret;

	ret = sva_check_device(dev);
	if (ret)
		return ERR_PTR(ret);

	if (!mmget_not_zero(mm))
		return ERR_PTR(-ESRCH);
	sva = io_mm_bind(mm, dev);
	/* The last reference would close files here, under whatever locks the caller holds. */
	mmput_async(mm);
	return sva;
}
EXPORT_SYMBOL_GPL(iommu_sva_bind_device);

/**
 * iommu_sva_unbind_device() - Undo one iommu_sva_bind_device()
 * @handle: the bond
 *
 * When the last user of the bond is gone, the device can no longer translate with the PASID, all
 * it has asked for is answered, and the PASID may be given to another process. The caller has
 * stopped the device from using the PASID before, and waited until its transactions have left
 * (PCIe 6.0, section 10.4.1.2: stop request or the device's own way).
 *
 * Context: process, may sleep. Does not wait for faults that are being served, nor for other
 * devices or processes.
 */
void iommu_sva_unbind_device(struct iommu_sva *handle)
{
	struct sva_bond *bond = container_of(handle, struct sva_bond, sva);
	struct io_mm *io_mm = bond->io_mm;
	bool last;

	/* The lock goes with the io_mm, which the last unbind may end while we release it. */
	refcount_inc(&io_mm->svc.users);

	scoped_guard(mutex, &io_mm->lock) {
		last = refcount_dec_and_test(&handle->users);
		if (last) {
			WARN_ON_ONCE(!list_empty(&bond->listeners));
			list_del_rcu(&bond->node);
			bond_detach(bond);
			trace_iommu_sva_unbind(handle->dev, bond->pasid);
			io_mm_put_pasid(io_mm);
		}
	}
	if (last) {
		io_mm_await_release(io_mm);
		kfree_rcu(bond, rcu);
		iopf_service_put(&io_mm->svc);
	}
	iopf_service_put(&io_mm->svc);
}
EXPORT_SYMBOL_GPL(iommu_sva_unbind_device);

/**
 * iommu_sva_get_pasid() - The PASID of a bond
 * @handle: the bond
 *
 * Context: any.
 * Return: the number that the device must put on its transactions, 1 to 2^20 - 1.
 */
u32 iommu_sva_get_pasid(struct iommu_sva *handle)
{
	return container_of(handle, struct sva_bond, sva)->pasid;
}
EXPORT_SYMBOL_GPL(iommu_sva_get_pasid);
