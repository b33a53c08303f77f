// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing: serves page requests, and faults that drivers report
 *
 * A worker serves a page request as the CPU's fault handler serves a fault of a thread: with the
 * VMA's lock if it can be taken, else with mmap_lock; with the process's rights, limits, nodes and
 * accounting. It holds mm_users only while it serves, and serves a process only while that has a
 * thread that is not being killed.
 *
 * Out of memory. A worker that cannot charge a page to the process's group has the kernel kill a
 * process of the group, and waits for that to free its memory. That may be the process that the
 * worker serves, whose mm stays until the worker lets go of it; the kernel, which sees that process
 * gone and no memory freed, would kill the next one. A process that dies for another reason while
 * its worker waits, be it for a file server, is no candidate any more; its memory stays all the
 * same. So workers get a fatal signal, as if they were threads of the process, and stop waiting:
 *
 *	- when the OOM killer chooses the process, even if that is dying already, and when the mm
 *	  loses its last thread: the mm core calls iommu_sva_stop_serving();
 *	- when the last bond ends: the mm core does not find the io_mm after that, and all that the
 *	  worker serves has been answered. A new bond may give it more to do before it has noticed;
 *	  the signal does not count for that.
 *
 * Locks:
 *
 *	a VMA's lock		a worker keeps it from one request of a batch to the next, unless a
 *	  iopf_service.lock	writer waits for it; not while responses are sent, nor while the
 *				worker waits for mmap_lock
 *	task_lock()		of a victim of the OOM killer
 *	  mm->page_table_lock	sva_mm_data.io_mm
 *	    io_mm.servers_lock	also taken under io_mm.lock alone
 *	      sighand->siglock	of a worker
 *
 * Lifetime: struct sva_server is on the stack of the thread that serves, and on the io_mm's list of
 * servers meanwhile. Its caller keeps the io_mm: the worker by the service, a driver by its bond.
 */
#include <linux/iommu.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>

#include "iommu-sva-priv.h"

/* How often the server tries a fault that fails for want of memory */
#define SVA_OOM_TRIES	16
/* Added to VM_FAULT_SIGSEGV if there is no VMA */
#define SVA_FAULT_NO_VMA	((__force vm_fault_t)0x1000000)

static void sva_notify_fault(struct iommu_attach_handle *handle,
			     const struct iommu_fault_page_request *prm,
			     enum iommu_sva_fault_reason reason)
{
	const struct iommu_sva_fault fault = {
		.addr = prm->addr,
		.perm = prm->perm,
		.reason = reason,
	};

	bond_notify_fault(to_bond(handle), &fault);
}

/* The time limit of a device has answered a group. */
static void sva_timed_out(struct iommu_attach_handle *handle,
			  const struct iommu_fault_page_request *prm)
{
	sva_notify_fault(handle, prm, IOMMU_SVA_FAULT_TIMEOUT);
}

/* Does another program decide how long a fault takes: a file server, a userfaultfd monitor? */
static bool sva_others_decide(struct vm_area_struct *vma)
{
	return !vma_is_anonymous(vma) || userfaultfd_armed(vma);
}

/* May a fault block? Inline, yes unless sva_can_fault_nowait() is sure that it does not. */
static bool sva_may_wait(struct sva_server *server, struct vm_area_struct *vma,
			 const struct iommu_fault_page_request *prm)
{
	if (sva_server_is_inline(server))
		return !sva_can_fault_nowait(&server->io_mm->around, vma, prm);
	return sva_others_decide(vma);
}

/* Does a writer wait for the VMA's lock? */
static bool sva_is_wanted_by_writer(struct vm_area_struct *vma)
{
#ifdef CONFIG_PER_VMA_LOCK
	return rwsem_is_contended(&vma->vm_lock->lock);
#else
	return false;
#endif
}

/* Requests of a batch are often for one VMA: the server may have its lock from the one before. */
static struct vm_area_struct *sva_lock_vma(struct sva_server *server, unsigned long addr)
{
	struct vm_area_struct *vma = server->vma;

	if (vma && addr >= vma->vm_start && addr < vma->vm_end)
		return vma;
	sva_unlock_vma(server);
	server->vma = lock_vma_under_rcu(sva_server_mm(server), addr);
	return server->vma;
}

/*
 * Tries a fault once, as the CPU's fault handler does: with the VMA's lock if it can be taken, else
 * with mmap_lock. On return the server may hold the VMA's lock, if no writer waits for it and the
 * next fault in the VMA does not block; it holds no other lock. VM_FAULT_RETRY: it has blocked, try
 * again.
 */
static vm_fault_t sva_try_fault(struct sva_server *server,
				const struct iommu_fault_page_request *prm, unsigned int flags)
{
	struct mm_struct *mm = sva_server_mm(server);
	struct vm_area_struct *vma;
	vm_fault_t fault;

	vma = sva_lock_vma(server, prm->addr);
	if (vma && sva_server_is_prompt(server) && sva_may_wait(server, vma, prm)) {
		if (!sva_server_will_wait(server))
			return VM_FAULT_RETRY;
		vma = sva_lock_vma(server, prm->addr);
	}
	if (vma) {
		if (!sva_vma_allows(vma, prm->perm)) {
			sva_unlock_vma(server);
			return VM_FAULT_SIGSEGV;
		}
		fault = handle_mm_fault(vma, prm->addr, flags | FAULT_FLAG_VMA_LOCK, NULL);
		if (fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
			server->vma = NULL;
		else if (fault || sva_others_decide(vma) || sva_is_wanted_by_writer(vma))
			sva_unlock_vma(server);
		if (!(fault & VM_FAULT_RETRY) || sva_fault_aborted(server))
			return fault;
		if (fault & VM_FAULT_MAJOR)
			flags |= FAULT_FLAG_TRIED;
	}

	if (!sva_server_will_wait(server) || mmap_read_lock_killable(mm))
		return VM_FAULT_RETRY;
	vma = sva_find_vma(mm, prm->addr);
	if (!vma)
		return sva_fault_is_wanted(server) ? VM_FAULT_SIGSEGV | SVA_FAULT_NO_VMA :
						     VM_FAULT_RETRY;
	if (!sva_vma_allows(vma, prm->perm)) {
		mmap_read_unlock(mm);
		return VM_FAULT_SIGSEGV;
	}
	fault = handle_mm_fault(vma, prm->addr, flags, NULL);
	if (!(fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
		mmap_read_unlock(mm);
	return fault;
}

static int sva_fault_error(vm_fault_t fault)
{
	if (!(fault & VM_FAULT_ERROR))
		return 0;
	if (fault & VM_FAULT_OOM)
		return -ENOMEM;
	if (!(fault & VM_FAULT_SIGSEGV))
		return -EIO;
	return fault & SVA_FAULT_NO_VMA ? -EFAULT : -EACCES;
}

/* The reason that listeners hear; 0: they hear nothing. */
static enum iommu_sva_fault_reason sva_fault_reason(int error)
{
	switch (error) {
	case -EFAULT:
		return IOMMU_SVA_FAULT_NO_MAPPING;
	case -EACCES:
		return IOMMU_SVA_FAULT_NO_ACCESS;
	case -EIO:
	case -ENOMEM:
		return IOMMU_SVA_FAULT_NO_PAGE;
	default:
		return 0;
	}
}

/*
 * The kernel throttles a thread above memory.high on its way back to user space, which a worker
 * never takes: the kernel would throttle it inside a later fault, of this process or of another
 * one, with the VMA's lock held. So a worker is throttled here, without locks, while another worker
 * takes over what waits. A driver's caller that goes back to user space is throttled there.
 */
static void sva_throttle(struct sva_server *server)
{
#ifdef CONFIG_MEMCG
	if (likely(!current->memcg_nr_pages_over_high) || !(current->flags & PF_KTHREAD))
		return;
	sva_unlock_vma(server);
	if (sva_server_will_wait(server))
		mem_cgroup_handle_over_high(GFP_KERNEL);
	else
		current->memcg_nr_pages_over_high = 0;
#endif
}

/* Can the device get the access that it asks for, if the process has it? */
static bool sva_is_grantable(struct sva_server *server,
			     const struct iommu_fault_page_request *prm)
{
	const struct iommu_sva_ops *ops;
	struct iommu_attach_handle *handle;

	/* A device has the rights of the user's code; and a request for no access gets none. */
	if ((prm->perm & IOMMU_FAULT_PERM_PRIV) || !(prm->perm & ~IOMMU_FAULT_PERM_PRIV))
		return false;
	if (!(prm->perm & IOMMU_FAULT_PERM_EXEC))
		return true;
	guard(rcu)();
	handle = sva_server_handle(server);
	ops = handle ? handle->domain->owner->sva_ops : NULL;
	return !ops || !ops->no_execute;
}

/*
 * Returns 0 if the page is there. -EFAULT: there is no memory; -EACCES: not for that access;
 * -EIO: what is mapped could not give a page; -ENOMEM. -EINTR: the result is not wanted any more.
 */
static int sva_serve_page(struct sva_server *server, const struct iommu_fault_page_request *prm)
{
	unsigned int flags = FAULT_FLAG_REMOTE | FAULT_FLAG_USER | FAULT_FLAG_ALLOW_RETRY |
			     FAULT_FLAG_KILLABLE;
	unsigned int oom = 0;
	vm_fault_t fault;

	if (!sva_is_grantable(server, prm))
		return -EACCES;
	if (prm->addr >= TASK_SIZE_MAX)
		return -EFAULT;
	if (prm->perm & IOMMU_FAULT_PERM_WRITE)
		flags |= FAULT_FLAG_WRITE;
	else if (prm->perm & IOMMU_FAULT_PERM_EXEC)
		flags |= FAULT_FLAG_INSTRUCTION;

	for (;;) {
		fault = sva_try_fault(server, prm, flags);

		/* A major fault, as from swap, is seldom the last. */
		if (fault & VM_FAULT_MAJOR)
			sva_server_will_wait(server);
		sva_throttle(server);
		/* cgroup v1 leaves the wait to the fault handler: a worker does not wait. */
		if (task_in_memcg_oom(current))
			mem_cgroup_oom_synchronize(false);
		if (fault & VM_FAULT_RETRY)
			flags |= FAULT_FLAG_TRIED;
		else if (!(fault & VM_FAULT_OOM) || ++oom == SVA_OOM_TRIES)
			break;
		if (sva_fault_aborted(server))
			return -EINTR;
		cond_resched();
	}
	if (server->job && !(fault & VM_FAULT_ERROR) &&
	    (fault & VM_FAULT_MAJOR || flags & FAULT_FLAG_TRIED))
		iopf_job_count_major(server->job);
	return sva_fault_error(fault);
}

/* Not inline: what is told to listeners would need room on the stack of each request. */
static noinline void sva_notify_unserved(struct sva_server *server,
					 const struct iommu_fault_page_request *prm,
					 int error)
{
	enum iommu_sva_fault_reason reason = sva_fault_reason(error);
	struct iommu_attach_handle *handle;

	sva_unlock_vma(server);
	if (!reason)
		return;
	guard(rcu)();
	handle = sva_server_handle(server);
	if (handle)
		sva_notify_fault(handle, prm, reason);
}

/* Serves a request, and maps ahead if it continues a sequence. Tells listeners of a failure. */
static int sva_serve_request(struct sva_server *server, const struct iommu_fault_page_request *prm)
{
	int error = sva_serve_page(server, prm);

	if (!error)
		sva_fault_around(server, prm);
	else if (!server->job || !server->job->maybe_stale)
		sva_notify_unserved(server, prm, error);
	return error;
}

static enum iommu_page_response_code
sva_serve_group(struct sva_server *server, struct iopf_job *job,
		const struct iommu_fault_page_request *prm)
{
	int error;

	if (io_mm_is_dead(server->io_mm)) {
		job->why = IOPF_EXITED;
		return IOMMU_PAGE_RESP_INVALID;
	}
	/* A drain may have answered the group while the worker answered others. */
	while (prm && iopf_job_group_pending(job)) {
		error = sva_serve_request(server, prm);
		if (error && !job->maybe_stale) {
			job->why = error == -EINTR ? IOPF_EXITED : IOPF_FAILED;
			job->reason = sva_fault_reason(error);
			return IOMMU_PAGE_RESP_INVALID;
		}
		prm = job->has_next ? iopf_job_next(job) : NULL;
	}
	return IOMMU_PAGE_RESP_SUCCESS;
}

/* Ends a killable wait of @task, which is a kernel thread and so has no other use for signals. */
static void sva_set_killed(struct task_struct *task)
{
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return;
	sigaddset(&task->pending.signal, SIGKILL);
	signal_wake_up(task, true);
	unlock_task_sighand(task, &flags);
}

static void sva_clear_killed(void)
{
	unsigned long flags;

	if (!lock_task_sighand(current, &flags))
		return;
	sigdelset(&current->pending.signal, SIGKILL);
	recalc_sigpending();
	unlock_task_sighand(current, &flags);
}

/**
 * io_mm_stop_servers() - Abort the faults that kernel threads serve for devices
 * @io_mm: of the process
 * @why: SVA_UNBOUND: what is served has been answered, what comes later is wanted; SVA_DYING: the
 *	threads serve nothing more of what they have begun
 *
 * Does not interrupt threads of other processes, which may be in iommu_sva_handle_fault().
 *
 * Context: any but interrupts, possibly in a thread that serves a fault of the process.
 */
void io_mm_stop_servers(struct io_mm *io_mm, enum sva_stop why)
{
	struct sva_server *server;

	guard(spinlock)(&io_mm->servers_lock);
	list_for_each_entry(server, &io_mm->servers, node) {
		if (!(server->task->flags & PF_KTHREAD))
			continue;
		WRITE_ONCE(server->stop, why);
		sva_set_killed(server->task);
	}
}

/* A thread that begins to serve later finds the process dead, or is told when its threads go. */
void __iommu_sva_stop_serving(struct mm_struct *mm)
{
	struct sva_mm_data *data;

	guard(spinlock)(&mm->page_table_lock);
	data = sva_mm_data(mm);
	if (data && data->io_mm)
		io_mm_stop_servers(data->io_mm, SVA_DYING);
}

/* Not for the thread that reads the hardware queue: it does not wait for memory. */
static void sva_enlist(struct sva_server *server)
{
	server->task = current;
	INIT_LIST_HEAD(&server->node);
	if (sva_server_is_inline(server))
		return;
	guard(spinlock)(&server->io_mm->servers_lock);
	list_add(&server->node, &server->io_mm->servers);
}

static void sva_delist(struct sva_server *server)
{
	if (list_empty(&server->node))
		return;
	scoped_guard(spinlock, &server->io_mm->servers_lock)
		list_del(&server->node);
	if (server->stop)
		sva_clear_killed();
}

/* A group that a worker gets after the end of all bonds is of a new bond: it is to be served. */
static void sva_forget_unbind(struct sva_server *server)
{
	guard(spinlock)(&server->io_mm->servers_lock);
	if (server->stop != SVA_UNBOUND)
		return;
	WRITE_ONCE(server->stop, SVA_NOT_STOPPED);
	sva_clear_killed();
}

/* False if the process has exited. */
static bool sva_begin(struct sva_server *server)
{
	struct mm_struct *mm = sva_server_mm(server);

	if (!mmget_not_zero(mm))
		return false;
	io_mm_count_worker(server->io_mm, 1);

	/*
	 * The kernel charges page-cache pages, too, to the process's group, not to the worker's. A
	 * dead process has no group; io_mm_is_dead() finds out afterwards.
	 */
	server->memcg = get_mem_cgroup_from_mm(mm);
	server->old = set_active_memcg(server->memcg);
	sva_lend_nodes(&server->nodes, mm);
	sva_enlist(server);
	return true;
}

static void sva_end(struct sva_server *server)
{
	sva_unlock_vma(server);
	sva_delist(server);
	sva_return_nodes(&server->nodes);
	set_active_memcg(server->old);
	mem_cgroup_put(server->memcg);

	io_mm_count_worker(server->io_mm, -1);
	/* A last mmput() would run exit_mmap() here, and delay what waits for the worker. */
	mmput_async(sva_server_mm(server));
}

static void sva_refuse(struct iopf_job *job)
{
	while (iopf_job_next_group(job)) {
		job->code = IOMMU_PAGE_RESP_INVALID;
		job->why = IOPF_EXITED;
	}
}

static void sva_serve(struct iopf_service *svc, struct iopf_job *job)
{
	struct sva_server server = {
		.io_mm = container_of(svc, struct io_mm, svc),
		.job = job,
	};
	const struct iommu_fault_page_request *prm;

	if (!sva_begin(&server)) {
		sva_refuse(job);
		return;
	}
	job->server = &server;
	while ((prm = iopf_job_next_group(job))) {
		if (READ_ONCE(server.stop) == SVA_UNBOUND)
			sva_forget_unbind(&server);
		job->code = sva_serve_group(&server, job, prm);
	}
	job->server = NULL;
	sva_end(&server);
}

/* The worker is about to send answers: it lets go of the VMA. */
static void sva_unlock_job(struct iopf_job *job)
{
	if (job->server)
		sva_unlock_vma(job->server);
}

/* The last user of the service is gone. */
static void sva_put_notifier(struct iopf_service *svc)
{
	mmu_notifier_put(&container_of(svc, struct io_mm, svc)->notifier);
}

const struct iopf_service_ops sva_service_ops = {
	.serve = sva_serve,
	.unlock = sva_unlock_job,
	.timed_out = sva_timed_out,
	.free = sva_put_notifier,
};

/* The fault queue calls it while the attachment is certain to stay. */
int sva_iopf_handler(struct iopf_group *group)
{
	struct io_mm *io_mm = to_bond(group->attach_handle)->io_mm;

	/* After the process's exit there is nothing for a worker to serve. */
	if (io_mm_is_dead(io_mm))
		return -ESRCH;
	iopf_service_add(&io_mm->svc, group);
	return 0;
}

static int sva_serve_caller(struct sva_server *server, const struct iommu_fault_page_request *prm)
{
	int error = io_mm_is_dead(server->io_mm) ? -ESRCH : sva_serve_request(server, prm);

	switch (error) {
	case -EIO:
		return -EFAULT;
	case -EINTR:
		/* Is the process dying, or the caller alone? */
		return test_bit(MMF_UNSTABLE, &sva_server_mm(server)->flags) ||
		       io_mm_is_dead(server->io_mm) ? -ESRCH : -EINTR;
	default:
		return error;
	}
}

/**
 * iommu_sva_handle_fault() - Serve a fault that a device has reported by its own means
 * @handle: the bond of the device and the process; the caller's bind lasts until this returns
 * @addr: the address that the device could not use; any byte of the page
 * @perm: the access that failed: IOMMU_FAULT_PERM_READ, _WRITE, _EXEC, or several of them
 *
 * For drivers of devices that have no page requests, or do not use them: such a device writes
 * faults to a queue of its own, and its driver restarts the stopped work. The function serves the
 * fault as a worker serves a page request: with the rights, limits, memory group and locks of the
 * process, with fault-around, and only as long as the process lives. Threads that serve the same
 * page at the same time find it in the page table when the first of them is done. Listeners hear of
 * -EFAULT, -EACCES and -ENOMEM.
 *
 * On success the device may try again: the IOMMU finds the page now. If the page has gone again by
 * then, the device reports the next fault.
 *
 * The core does not track calls under way and cannot end them at an unbind. A driver stops the
 * device, waits for its calls (cancel_work_sync(), say), and then unbinds. Other drivers that share
 * the bond may unbind meanwhile.
 *
 * Context: process, may sleep for as long as a fault takes, and for ever if the provider of the
 * page (a file server, a monitor of userfaultfd) never answers, unless the caller or the process is
 * killed. The caller holds neither mmap_lock nor locks that the process needs to exit. Any number
 * of callers at the same time, kernel threads or threads of any process.
 * Return: 0, or:
 *
 * * -EFAULT: the process has no memory at @addr, or what is mapped there could not give a page
 * * -EACCES: it has, but not for that access; or @perm asks for nothing, or is privileged
 * * -ESRCH: the process has exited or is being killed
 * * -ENOMEM: a lasting want of memory
 * * -EINTR: the calling thread has been killed
 */
int iommu_sva_handle_fault(struct iommu_sva *handle, unsigned long addr, u32 perm)
{
	struct sva_bond *bond = container_of(handle, struct sva_bond, sva);
	struct sva_server server = { .io_mm = bond->io_mm, .bond = bond };
	const struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
		.pasid = bond->pasid,
		.perm = perm,
		.addr = addr & PAGE_MASK,
	};
	int error;

	might_sleep();
	if (!sva_begin(&server))
		return -ESRCH;
	error = sva_serve_caller(&server, &prm);
	sva_end(&server);
	return error;
}
EXPORT_SYMBOL_GPL(iommu_sva_handle_fault);
