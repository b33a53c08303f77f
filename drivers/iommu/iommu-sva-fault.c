// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing: page requests, and faults that drivers report, are served
 *
 * A worker serves a page request as the CPU's fault handler serves a fault of a thread: with the
 * VMA's lock if it can be taken, else with mmap_lock; with the process's rights, limits, nodes and
 * accounting. It holds mm_users only while it serves, and serves a process only while that has a
 * thread that is not being killed.
 *
 * Out of memory. A worker that cannot charge a page to the process's group has the kernel kill a
 * process of the group, and waits for that to free its memory. It may be the worker's own process,
 * whose mm then stays until the worker lets go of it; the kernel, which sees that process gone and
 * no memory freed, would kill the next one. So the OOM killer tells of its victims, and a worker
 * that serves one gets a fatal signal, as if it were a thread of it: it waits no longer.
 *
 * Locks:
 *
 *	a VMA's lock		a worker keeps it from one request of a batch to the next, unless a
 *	  iopf_service.lock	writer waits for it; not while responses are sent, nor while the
 *				worker waits for mmap_lock
 *	mm->page_table_lock	sva_mm_data.io_mm
 *	  io_mm.servers_lock
 *	    sighand->siglock
 */
#include <linux/iommu.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>

#include "iommu-sva-priv.h"

/* A fault that the mm cannot serve for want of memory is tried again this many times. */
#define SVA_OOM_TRIES	16
/* Beside VM_FAULT_SIGSEGV: there is no VMA. */
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

/* Does another party decide how long a fault takes: a file server, a userfaultfd monitor? */
static bool sva_others_decide(struct vm_area_struct *vma)
{
	return !vma_is_anonymous(vma) || userfaultfd_armed(vma);
}

/* May a fault block? An inline one may not at all. */
static bool sva_may_wait(struct sva_server *server, struct vm_area_struct *vma,
			 const struct iommu_fault_page_request *prm)
{
	return sva_others_decide(vma) ||
	       (sva_server_is_reporter(server) &&
		!sva_can_fault_nowait(&server->io_mm->around, vma, prm));
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

/* Requests of a batch are often for one VMA: its lock may be there from the request before. */
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
 * One try, as the CPU's fault handler does it: with the VMA's lock if that is to be had, else with
 * mmap_lock. On return only the VMA's lock may be held, in @server, if no writer waits for it and
 * the next fault in the VMA does not block. VM_FAULT_RETRY: it has blocked, try again.
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

/* What listeners are told; 0: nothing. */
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
 * The kernel throttles a process above memory.high on its way back to user space, which a worker
 * never takes: it would be throttled inside a later fault, with the VMA's lock held, of this
 * process or of another one. So here, without locks, while another worker takes over what waits. A
 * thread that goes back to user space is throttled there.
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

/* Can the device get what it asks for, if the process has it? */
static bool sva_is_grantable(struct sva_server *server,
			     const struct iommu_fault_page_request *prm)
{
	const struct iommu_sva_ops *ops;
	struct iommu_attach_handle *handle;

	/* A device acts for the user; and a request for no access asks for nothing. */
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

		/* Where that came from there may be more: swap. */
		if (fault & VM_FAULT_MAJOR)
			sva_server_will_wait(server);
		sva_throttle(server);
		/* cgroup v1 leaves it to the fault handler to wait; a worker serves others too. */
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

static void sva_notify_unserved(struct sva_server *server,
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

static enum iommu_page_response_code sva_serve_group(struct sva_server *server)
{
	const struct iommu_fault_page_request *prm;
	struct iopf_job *job = server->job;
	int error;

	if (io_mm_is_dead(server->io_mm)) {
		job->why = IOPF_EXITED;
		return IOMMU_PAGE_RESP_INVALID;
	}
	while ((prm = iopf_job_next(job))) {
		error = sva_serve_request(server, prm);
		if (error && !job->maybe_stale) {
			job->why = error == -EINTR ? IOPF_EXITED : IOPF_FAILED;
			job->reason = sva_fault_reason(error);
			return IOMMU_PAGE_RESP_INVALID;
		}
	}
	return IOMMU_PAGE_RESP_SUCCESS;
}

/* Ends what @task waits for, if that can be ended. A kernel thread has no other use for signals. */
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
 * iommu_sva_oom_victim() - The OOM killer has chosen a process
 * @mm: the process's
 *
 * For the mm core. Faults that kernel threads serve for devices are aborted, so that the memory
 * goes as soon as the process does. Threads of other processes, which may call
 * iommu_sva_handle_fault(), are not interrupted.
 *
 * Context: process, may be inside a fault that is served for @mm. The caller keeps @mm.
 */
void iommu_sva_oom_victim(struct mm_struct *mm)
{
	struct sva_server *server;
	struct sva_mm_data *data;

	guard(spinlock)(&mm->page_table_lock);
	data = sva_mm_data(mm);
	if (!data || !data->io_mm)
		return;
	guard(spinlock)(&data->io_mm->servers_lock);
	list_for_each_entry(server, &data->io_mm->servers, node) {
		if (!(server->task->flags & PF_KTHREAD))
			continue;
		WRITE_ONCE(server->killed, true);
		sva_set_killed(server->task);
	}
}

/* The thread that reads the hardware queue does not wait for memory. */
static void sva_enlist(struct sva_server *server)
{
	server->task = current;
	INIT_LIST_HEAD(&server->node);
	if (sva_server_is_reporter(server))
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
	if (server->killed)
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
	 * Page-cache pages too are charged to the process's group, not to the worker's. A process
	 * that is dead has none, which io_mm_is_dead() tells afterwards.
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
	/* The last reference would run exit_mmap() here, and delay what waits for the worker. */
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

	if (!sva_begin(&server)) {
		sva_refuse(job);
		return;
	}
	job->server = &server;
	while (iopf_job_next_group(job))
		job->code = sva_serve_group(&server);
	job->server = NULL;
	sva_end(&server);
}

/* Answers are about to be sent, by a worker that serves or has served. */
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

/* Called by the fault queue while the attachment is known to be there. */
int sva_iopf_handler(struct iopf_group *group)
{
	struct io_mm *io_mm = to_bond(group->attach_handle)->io_mm;

	/* After the process's exit there is nothing to serve, and no reason to trouble a worker. */
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
		/* Is it the process, or the caller alone? */
		return test_bit(MMF_UNSTABLE, &sva_server_mm(server)->flags) ||
		       io_mm_is_dead(server->io_mm) ? -ESRCH : -EINTR;
	default:
		return error;
	}
}

/**
 * iommu_sva_handle_fault() - Serve a fault that a device has reported by its own means
 * @handle: the bond of the device and the process. The caller does not undo its bind before this
 *	returns.
 * @addr: the address that the device could not use; any byte of the page
 * @perm: how it wanted to use it: IOMMU_FAULT_PERM_READ, _WRITE, _EXEC, or several of them
 *
 * For drivers of devices that have no page requests, or do not use them: they write faults to a
 * queue of their own, and their driver restarts what has been stopped. The fault is served as a
 * page request is: with the rights, limits, memory group and locks of the process, with
 * fault-around, and only as long as the process lives. Threads that serve the same page at the same
 * time find it in the page table when the first of them is done. Listeners are told of -EFAULT,
 * -EACCES and -ENOMEM.
 *
 * On success the device may try again: the IOMMU finds the page now. It may be gone again when the
 * device comes, which then reports the next fault.
 *
 * The core knows nothing of calls that are under way: it cannot end them at an unbind. A driver
 * stops the device, waits for its calls (cancel_work_sync(), say), and then unbinds. Others that
 * share the bond may unbind meanwhile.
 *
 * Context: process, may sleep for as long as a fault takes, and for ever if whatever provides the
 * page (a file server, a monitor of userfaultfd) never does, unless the caller or the process is
 * killed. Without mmap_lock, and without locks that the process needs to exit. Any number of
 * callers at the same time. The caller is a kernel thread or a process's.
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
