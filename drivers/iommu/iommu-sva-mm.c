// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing: what a device may do in an mm
 *
 * A device's fault is a fault of the process: the device may access what the process could, may
 * grow a stack as far as the process's limits allow, and gets memory on the nodes where the process
 * would, as long as one of the process's threads is alive. A thread that serves takes these limits
 * and nodes over and gives them back; only kernel threads do so.
 *
 * Locks: mmap_lock, or a VMA's, which sva_server.vma keeps; task_lock() for policies and nodes.
 */
#include <linux/capability.h>
#include <linux/cpuset.h>
#include <linux/iommu.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/rcupdate.h>
#include <linux/resource.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/workqueue.h>

#include "iommu-sva-priv.h"

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

/* A stack grows as far as the limits of its process allow, not the worker's. */
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
 * expand_stack() applies the limits of its caller. A kernel thread, whose own limits mean nothing,
 * takes over those of the process for the call; it has no limit of locked memory, so sva_may_lock()
 * applies that. Drops mmap_lock on failure.
 */
static struct vm_area_struct *sva_lend_limits(struct mm_struct *mm, struct vm_area_struct *vma,
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

/**
 * struct sva_growth - a stack that a kernel thread grows for a thread of another process
 * @work: what it does
 * @mm: whose stack
 * @addr: the address that the stack must reach
 */
struct sva_growth {
	struct work_struct work;
	struct mm_struct *mm;
	unsigned long addr;
};

static void sva_grow(struct work_struct *work)
{
	struct sva_growth *growth = container_of(work, struct sva_growth, work);

	mmap_read_lock(growth->mm);
	if (sva_find_vma(growth->mm, growth->addr))
		mmap_read_unlock(growth->mm);
}

/* A thread of another process can't take limits over: it shares its own with its process. */
static struct vm_area_struct *sva_have_it_grown(struct mm_struct *mm, unsigned long addr)
{
	struct sva_growth growth = { .mm = mm, .addr = addr };
	struct vm_area_struct *vma;

	mmap_read_unlock(mm);
	INIT_WORK_ONSTACK(&growth.work, sva_grow);
	queue_work(system_unbound_wq, &growth.work);
	flush_work(&growth.work);
	destroy_work_on_stack(&growth.work);
	if (mmap_read_lock_killable(mm))
		return NULL;
	vma = find_vma(mm, addr);
	if (vma && vma->vm_start <= addr)
		return vma;
	mmap_read_unlock(mm);
	return NULL;
}

static struct vm_area_struct *sva_expand_stack(struct mm_struct *mm, struct vm_area_struct *vma,
					       unsigned long addr)
{
	if (current->flags & PF_KTHREAD)
		return sva_lend_limits(mm, vma, addr);
	/* A thread of the process has the right limits. */
	if (current->mm == mm)
		return expand_stack(mm, addr);
	return sva_have_it_grown(mm, addr);
}

/* Looks up the VMA of an address, growing a stack into it. Drops mmap_lock if there is none. */
struct vm_area_struct *sva_find_vma(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	if (vma && vma->vm_start <= addr)
		return vma;
	if (vma && (vma->vm_flags & VM_GROWSDOWN))
		return sva_expand_stack(mm, vma, addr);
	mmap_read_unlock(mm);
	return NULL;
}

#if defined(CONFIG_NUMA) && defined(CONFIG_MEMCG)
/* cpusets and the OOM killer read the policy under the lock. */
static struct mempolicy *sva_change_policy(struct mempolicy *policy)
{
	struct mempolicy *old = current->mempolicy;

	task_lock(current);
	current->mempolicy = policy;
	task_unlock(current);
	return old;
}

/* Copies the policy: when cpusets change, the kernel changes each thread's policy in place. */
static void sva_get_nodes(struct task_struct *owner, struct sva_nodes *nodes, nodemask_t *mems)
{
	task_lock(owner);
	if (owner->mempolicy) {
		nodes->policy = *owner->mempolicy;
		nodes->has_policy = true;
	}
#ifdef CONFIG_CPUSETS
	*mems = owner->mems_allowed;
#endif
	task_unlock(owner);
}

/**
 * sva_lend_nodes() - Make the current thread allocate where a process would
 * @nodes: zeroed
 * @mm: of the process. Its owner's nodes count; that is the first thread if it has not exited.
 *
 * The allocator uses memory policy and cpuset of the current thread. Those of a kernel thread mean
 * nothing. A thread of another process keeps its own.
 *
 * Context: process.
 */
void sva_lend_nodes(struct sva_nodes *nodes, struct mm_struct *mm)
{
	nodemask_t mems = cpuset_current_mems_allowed;
	struct task_struct *owner;

	if (!(current->flags & PF_KTHREAD))
		return;
	scoped_guard(rcu) {
		owner = rcu_dereference(mm->owner);
		if (!owner || (!READ_ONCE(owner->mempolicy) && !cpusets_enabled()))
			return;
		sva_get_nodes(owner, nodes, &mems);
	}
	if (nodes->has_policy)
		nodes->old_policy = sva_change_policy(&nodes->policy);
	if (cpusets_enabled() && !nodes_equal(mems, cpuset_current_mems_allowed)) {
		set_mems_allowed(mems);
		nodes->has_mems = true;
	}
}

/**
 * sva_return_nodes() - Undo sva_lend_nodes()
 * @nodes: as there
 *
 * Nodes may have come or gone meanwhile: the thread gets those of its cpuset now.
 *
 * Context: as there, the same thread.
 */
void sva_return_nodes(const struct sva_nodes *nodes)
{
	if (nodes->has_policy)
		sva_change_policy(nodes->old_policy);
	if (nodes->has_mems)
		set_mems_allowed(cpuset_mems_allowed(current));
}
#endif

/**
 * sva_unlock_vma() - Let go of the VMA that a server keeps from one request to the next
 * @server: the thread that serves
 *
 * Context: the thread of @server.
 */
void sva_unlock_vma(struct sva_server *server)
{
	if (server->vma)
		vma_end_read(server->vma);
	server->vma = NULL;
}

/**
 * sva_fault_is_wanted() - Does the caller or the device still want the result?
 * @server: the thread that serves
 *
 * Return: false if the group has been answered, or if the thread must give up or has been killed.
 */
bool sva_fault_is_wanted(const struct sva_server *server)
{
	if (READ_ONCE(server->stop))
		return false;
	return server->job ? iopf_job_group_pending(server->job) :
				!fatal_signal_pending(current);
}

/**
 * sva_fault_aborted() - Must the server give the fault up?
 * @server: the thread that serves, with a reference to mm_users
 *
 * Return: true if the process has exited or is being killed, or if the result is not wanted.
 */
bool sva_fault_aborted(const struct sva_server *server)
{
	return !sva_fault_is_wanted(server) ||
	       test_bit(MMF_UNSTABLE, &sva_server_mm(server)->flags) ||
	       io_mm_is_dead(server->io_mm);
}
