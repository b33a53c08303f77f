// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes to bind
 *
 * A process comes from kernel_clone() without CLONE_VM, as a program's would, only that it starts
 * in a function of ours and never returns to user mode. The function serves calls: it waits, can be
 * killed while it does, and runs what a test posts. What has to be a kernel thread's child, so that
 * no task has to reap it, is: a spawner clones the first generation, and CLONE_PARENT makes it the
 * parent of the others.
 *
 * An mm is gone when our reference is the only one left. Idle CPUs may keep one as their lazy
 * address space: evict_lazy_mms() takes it from them.
 */
#include <linux/completion.h>
#include <linux/iopoll.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched/debug.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <asm/syscall.h>

#include "sva_kunit_priv.h"

/* The process's side */

static bool sva_proc_is(struct sva_proc *proc, enum sva_call_state state)
{
	/* Pairs with sva_proc_say(): fn and arg, or result, are there. */
	return smp_load_acquire(&proc->call) == state;
}

static void sva_proc_say(struct sva_proc *proc, enum sva_call_state state)
{
	/* Pairs with sva_proc_is(). */
	smp_store_release(&proc->call, state);
	wake_up_all(&proc->wait);
}

static bool sva_proc_has_work(struct sva_proc *proc)
{
	return sva_proc_is(proc, CALL_POSTED) || READ_ONCE(proc->exit);
}

static void sva_proc_serve(struct sva_proc *proc)
{
	while (!wait_event_killable(proc->wait, sva_proc_has_work(proc))) {
		if (proc->exit)
			return;
		proc->result = proc->fn(proc->arg);
		sva_proc_say(proc, CALL_DONE);
	}
}

static void sva_proc_announce(struct sva_proc *proc)
{
	proc->task = get_task_struct(current);
	proc->pid = get_pid(task_tgid(current));
	mmgrab(current->mm);
	proc->mm = current->mm;
	complete(&proc->ready);
}

/* Where processes and threads start. */
static int sva_proc_main(void *data)
{
	struct sva_proc *proc = data;

	/* Kernel threads ignore all signals, and their children would. */
	scoped_guard(spinlock_irq, &unrcu_pointer(current->sighand)->siglock)
		flush_signal_handlers(current, 1);
	set_task_comm(current, "sva-proc");
	sva_proc_announce(proc);

	sva_proc_serve(proc);

	WRITE_ONCE(proc->gone, true);
	wake_up_all(&proc->wait);
	do_group_exit(0);
}

/* In the context of the parent, or with its mm. */
static int sva_proc_clone(struct sva_proc *proc, u64 flags)
{
	struct kernel_clone_args args = {
		.flags = flags,
		/* Threads and siblings take the signal from the group and from the parent. */
		.exit_signal = flags ? 0 : SIGCHLD,
		.fn = sva_proc_main,
		.fn_arg = proc,
	};
	pid_t pid = kernel_clone(&args);

	if (pid < 0)
		return pid;
	wait_for_completion(&proc->ready);
	return 0;
}

/* An mm as exec() makes it, without a program in it. */
static struct mm_struct *sva_make_mm(void)
{
	struct mm_struct *mm = mm_alloc();

	if (mm) {
		mm->task_size = TASK_SIZE;
		arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	}
	return mm;
}

struct spawn {
	struct kthread_work work;
	struct sva_proc *proc;
	int ret;
};

static void sva_spawn(struct kthread_work *work)
{
	struct spawn *spawn = container_of(work, struct spawn, work);
	struct mm_struct *mm = sva_make_mm();

	spawn->ret = -ENOMEM;
	if (!mm)
		return;
	kthread_use_mm(mm);
	spawn->ret = sva_proc_clone(spawn->proc, 0);
	kthread_unuse_mm(mm);
	mmput(mm);
}

/* The test's side */

static struct sva_proc *sva_proc_alloc(struct bench *bench)
{
	struct sva_proc *proc = kzalloc(sizeof(*proc), GFP_KERNEL);

	if (!proc)
		return NULL;
	proc->bench = bench;
	init_completion(&proc->ready);
	mutex_init(&proc->call_lock);
	init_waitqueue_head(&proc->wait);
	scoped_guard(mutex, &bench->lock)
		list_add(&proc->node, &bench->procs);
	return proc;
}

static void sva_proc_free(struct sva_proc *proc)
{
	if (proc->task) {
		mmdrop(proc->mm);
		put_pid(proc->pid);
		put_task_struct(proc->task);
	}
	kfree(proc);
}

static long sva_map_scratch(void *arg)
{
	return vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, 0);
}

struct sva_proc *sva_proc_start(struct kunit *test)
{
	struct bench *bench = to_bench(test);
	struct sva_proc *proc = sva_proc_alloc(bench);
	struct spawn spawn = { .proc = proc };

	KUNIT_ASSERT_NOT_NULL(test, proc);
	kthread_init_work(&spawn.work, sva_spawn);
	kthread_queue_work(bench->spawner, &spawn.work);
	kthread_flush_work(&spawn.work);
	KUNIT_ASSERT_EQ_MSG(test, spawn.ret, 0, "no process could be started");

	proc->scratch = sva_proc_call(proc, sva_map_scratch, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(proc->scratch));
	return proc;
}

static long sva_call_fork(void *arg)
{
	return sva_proc_clone(arg, CLONE_PARENT);
}

static long sva_call_thread(void *arg)
{
	return sva_proc_clone(arg, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
				   CLONE_THREAD);
}

static struct sva_proc *sva_proc_beget(struct sva_proc *proc, long (*fn)(void *arg))
{
	struct sva_proc *child = sva_proc_alloc(proc->bench);
	struct kunit *test = proc_test(proc);

	KUNIT_ASSERT_NOT_NULL(test, child);
	child->scratch = proc->scratch;
	KUNIT_ASSERT_EQ_MSG(test, sva_proc_call(proc, fn, child), 0,
			    "the process could not be cloned");
	return child;
}

struct sva_proc *sva_proc_fork(struct sva_proc *proc)
{
	return sva_proc_beget(proc, sva_call_fork);
}

struct sva_proc *sva_proc_thread(struct sva_proc *proc)
{
	struct sva_proc *thread = sva_proc_beget(proc, sva_call_thread);

	/* Strings of two calls at the same time must not meet. */
	thread->scratch = sva_proc_call(thread, sva_map_scratch, NULL);
	KUNIT_ASSERT_FALSE(proc_test(proc), IS_ERR_VALUE(thread->scratch));
	return thread;
}

struct mm_struct *sva_proc_mm(struct sva_proc *proc)
{
	return proc->mm;
}

struct task_struct *sva_proc_task(struct sva_proc *proc)
{
	return proc->task;
}

long sva_proc_call(struct sva_proc *proc, long (*fn)(void *arg), void *arg)
{
	guard(mutex)(&proc->call_lock);
	if (READ_ONCE(proc->gone))
		return -ESRCH;

	proc->fn = fn;
	proc->arg = arg;
	sva_proc_say(proc, CALL_POSTED);
	if (!wait_event_timeout(proc->wait, sva_proc_is(proc, CALL_DONE) || READ_ONCE(proc->gone),
				SVA_LIMIT)) {
		sched_show_task(proc->task);
		KUNIT_FAIL(proc_test(proc), "a call of a process does not end: %ps", fn);
		return -ETIMEDOUT;
	}
	return sva_proc_is(proc, CALL_DONE) ? proc->result : -ESRCH;
}

struct sva_syscall {
	unsigned int nr;
	unsigned long args[6];
};

static long sva_call_syscall(void *arg)
{
	const struct sva_syscall *call = arg;
	struct pt_regs regs = {};
#ifdef CONFIG_X86_64
	regs.orig_ax = call->nr;
	regs.di = call->args[0];
	regs.si = call->args[1];
	regs.dx = call->args[2];
	regs.r10 = call->args[3];
	regs.r8 = call->args[4];
	regs.r9 = call->args[5];
	return x64_sys_call(&regs, call->nr);
#else
	regs.syscallno = call->nr;
	memcpy(regs.regs, call->args, sizeof(call->args));
	return sys_call_table[call->nr](&regs);
#endif
}

long sva_proc_syscall(struct sva_proc *proc, unsigned int nr, unsigned long a, unsigned long b,
		      unsigned long c, unsigned long d, unsigned long e, unsigned long f)
{
	struct sva_syscall call = { .nr = nr, .args = { a, b, c, d, e, f } };

	KUNIT_ASSERT_LT(proc_test(proc), nr, NR_syscalls);
	return sva_proc_call(proc, sva_call_syscall, &call);
}

unsigned long sva_proc_mmap(struct sva_proc *proc, unsigned long addr, size_t len,
			    unsigned long prot, unsigned long flags)
{
	return sva_proc_syscall(proc, __NR_mmap, addr, len, prot, flags, -1UL, 0);
}

unsigned long sva_proc_map(struct sva_proc *proc, size_t len)
{
	unsigned long addr = sva_proc_mmap(proc, 0, len, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS);

	KUNIT_ASSERT_FALSE_MSG(proc_test(proc), IS_ERR_VALUE(addr), "mmap: %ld", (long)addr);
	return addr;
}

long sva_proc_munmap(struct sva_proc *proc, unsigned long addr, size_t len)
{
	return sva_proc_syscall(proc, __NR_munmap, addr, len, 0, 0, 0, 0);
}

long sva_proc_mprotect(struct sva_proc *proc, unsigned long addr, size_t len, unsigned long prot)
{
	return sva_proc_syscall(proc, __NR_mprotect, addr, len, prot, 0, 0, 0);
}

long sva_proc_madvise(struct sva_proc *proc, unsigned long addr, size_t len, int advice)
{
	return sva_proc_syscall(proc, __NR_madvise, addr, len, advice, 0, 0, 0);
}

void sva_proc_page_out(struct sva_proc *proc, unsigned long addr, size_t len)
{
	/* A page in the batch of a CPU, any of them, is on no list for reclaim to take it from. */
	lru_add_drain_all();
	KUNIT_ASSERT_EQ(proc_test(proc), sva_proc_madvise(proc, addr, len, MADV_PAGEOUT), 0);
}

long sva_proc_mremap(struct sva_proc *proc, unsigned long addr, size_t old_len, size_t new_len,
		     unsigned long flags, unsigned long new_addr)
{
	return sva_proc_syscall(proc, __NR_mremap, addr, old_len, new_len, flags, new_addr, 0);
}

struct sva_copy {
	unsigned long addr;
	void *buf;
	size_t len;
};

static long sva_call_write(void *arg)
{
	const struct sva_copy *copy = arg;

	return copy_to_user((void __user *)copy->addr, copy->buf, copy->len) ? -EFAULT : 0;
}

static long sva_call_read(void *arg)
{
	const struct sva_copy *copy = arg;

	return copy_from_user(copy->buf, (void __user *)copy->addr, copy->len) ? -EFAULT : 0;
}

int sva_proc_write(struct sva_proc *proc, unsigned long addr, const void *buf, size_t len)
{
	struct sva_copy copy = { .addr = addr, .buf = (void *)buf, .len = len };

	return sva_proc_call(proc, sva_call_write, &copy);
}

int sva_proc_read(struct sva_proc *proc, unsigned long addr, void *buf, size_t len)
{
	struct sva_copy copy = { .addr = addr, .buf = buf, .len = len };

	return sva_proc_call(proc, sva_call_read, &copy);
}

unsigned long sva_proc_pass(struct sva_proc *proc, const void *data, size_t len)
{
	KUNIT_ASSERT_LE(proc_test(proc), len, PAGE_SIZE);
	KUNIT_ASSERT_EQ(proc_test(proc), sva_proc_write(proc, proc->scratch, data, len), 0);
	return proc->scratch;
}

unsigned long sva_proc_string(struct sva_proc *proc, const char *text)
{
	return sva_proc_pass(proc, text, strlen(text) + 1);
}

/* The end of a process */

static bool sva_proc_is_gone(struct sva_proc *proc)
{
	struct task_struct *leader = READ_ONCE(proc->task->group_leader);

	return READ_ONCE(leader->exit_state) && thread_group_empty(leader);
}

static bool sva_mm_has_exited(struct mm_struct *mm)
{
	return !atomic_read(&mm->mm_users) && mtree_empty(&mm->mm_mt);
}

void sva_proc_wait_gone(struct sva_proc *proc)
{
	bool exited;

	if (!wait_event_timeout(proc->pid->wait_pidfd, sva_proc_is_gone(proc), SVA_LIMIT)) {
		sched_show_task(proc->task);
		KUNIT_FAIL(proc_test(proc), "a process does not exit");
		return;
	}
	/* Another thread may have had the last reference. */
	if (read_poll_timeout(sva_mm_has_exited, exited, exited, SVA_POLL_US, SVA_LIMIT_US, false,
			      proc->mm))
		KUNIT_FAIL(proc_test(proc), "the mm of a process that is gone has %d users",
			   atomic_read(&proc->mm->mm_users));
}

bool sva_proc_has_left(struct sva_proc *proc)
{
	return !READ_ONCE(proc->task->mm);
}

void sva_proc_send_kill(struct sva_proc *proc)
{
	kill_pid(proc->pid, SIGKILL, 1);
}

void sva_proc_kill(struct sva_proc *proc)
{
	sva_proc_send_kill(proc);
	sva_proc_wait_gone(proc);
}

void sva_proc_exit(struct sva_proc *proc)
{
	scoped_guard(mutex, &proc->call_lock) {
		WRITE_ONCE(proc->exit, true);
		wake_up_all(&proc->wait);
	}
	sva_proc_wait_gone(proc);
}

/* Lazy address spaces */

/* What CPUs borrow instead; made once, never freed. */
static struct mm_struct *sva_nobody;

int sva_lazy_init(void)
{
	if (!sva_nobody)
		sva_nobody = mm_alloc();
	return sva_nobody ? 0 : -ENOMEM;
}

static void sva_borrow_nobody(struct work_struct *work)
{
	kthread_use_mm(sva_nobody);
	kthread_unuse_mm(sva_nobody);
}

static void evict_lazy_mms(void)
{
	schedule_on_each_cpu(sva_borrow_nobody);
}

/* What a process that has ended leaves to be freed later: notifiers, domains, lazy CPUs. */
static void sva_settle(void)
{
	mmu_notifier_synchronize();
	rcu_barrier();
	evict_lazy_mms();
}

static bool sva_mm_is_free(struct mm_struct *mm, int own)
{
	if (atomic_read(&mm->mm_count) == own)
		return true;
	sva_settle();
	return atomic_read(&mm->mm_count) == own;
}

void sva_proc_forget_thread(struct sva_proc *thread)
{
	scoped_guard(mutex, &thread->bench->lock)
		list_del(&thread->node);
	sva_proc_free(thread);
}

bool sva_proc_forget(struct sva_proc *proc)
{
	bool is_free;

	if (read_poll_timeout(sva_mm_is_free, is_free, is_free, SVA_POLL_US, 20 * USEC_PER_SEC,
			      false, proc->mm, 1))
		return false;
	sva_proc_forget_thread(proc);
	return true;
}

/* All processes of a fixture */

/* The clerk is still needed when the others are gone. */
static bool sva_is_clerk(struct bench *bench, struct sva_proc *proc)
{
	return proc == bench->clerk;
}

void sva_end_procs(struct bench *bench, bool clerk)
{
	struct sva_proc *proc;

	list_for_each_entry(proc, &bench->procs, node) {
		if (!proc->task || sva_is_clerk(bench, proc) != clerk)
			continue;
		if (!sva_proc_is_gone(proc))
			sva_proc_send_kill(proc);
		sva_proc_wait_gone(proc);
	}
}

/* References that the fixture itself has to an mm: one for each of its threads. */
static int sva_own_references(struct bench *bench, struct mm_struct *mm)
{
	struct sva_proc *proc;
	int own = 0;

	list_for_each_entry(proc, &bench->procs, node)
		own += proc->mm == mm;
	return own;
}

void sva_check_mms(struct bench *bench, bool clerk)
{
	struct sva_proc *proc;
	bool is_free;

	list_for_each_entry(proc, &bench->procs, node) {
		int own = sva_own_references(bench, proc->mm);

		if (proc->mm && sva_is_clerk(bench, proc) == clerk &&
		    read_poll_timeout(sva_mm_is_free, is_free, is_free, SVA_POLL_US,
				      20 * USEC_PER_SEC, false, proc->mm, own))
			KUNIT_FAIL(bench->fx.test, "%d references to the mm of a process are left",
				   atomic_read(&proc->mm->mm_count) - own);
	}
}

void sva_free_procs(struct bench *bench)
{
	struct sva_proc *proc, *next;

	list_for_each_entry_safe(proc, next, &bench->procs, node)
		sva_proc_free(proc);
}
