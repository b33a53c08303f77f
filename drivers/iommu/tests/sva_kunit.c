// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes to bind, and the fixture of the SVA suites
 *
 * A process comes from kernel_clone() without CLONE_VM, as a program's would, only that it starts
 * in a function of ours and never returns to user mode. The function serves calls: it waits, can be
 * killed while it does, and runs what a test posts. What has to be a kernel thread's child, so that
 * nobody has to reap it, is: a spawner clones the first generation, and CLONE_PARENT makes it the
 * parent of the others.
 *
 * At exit everything is compared with what it was. An mm is gone when our reference is the only one
 * left. Idle CPUs may keep one as their lazy address space: evict_lazy_mms() takes it from them.
 *
 * A fixture that finds bonds left does not free what they point to: the test has failed by then,
 * and the ones after it shall run.
 *
 * Locks: sva_proc.call_lock, one call at a time. bench.lock guards lists, which jobs may change.
 */
#define pr_fmt(fmt) "sva-kunit: " fmt

#include <kunit/test-bug.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/iopoll.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/major.h>
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

#include "sva_kunit.h"
#if SVA_CORE
#include "../iommu-sva-around.h"
#include "../iopf.h"
#endif

/* Longer than anything that happens at all, on a slow emulator on a busy machine. */
#define SVA_LIMIT	(100 * HZ)
#define SVA_LIMIT_US	(100UL * USEC_PER_SEC)
#define SVA_POLL_US	500

#define SVA_RAM_DISK	"/dev/ram0"

enum sva_call_state { CALL_NONE, CALL_POSTED, CALL_DONE };

/**
 * struct sva_proc - a process, or a further thread of one
 * @bench: the fixture it belongs to
 * @node: in &bench.procs
 * @ready: it has started, or will not
 * @task: with a reference; NULL if it could not be started
 * @pid: of the thread group, with a reference
 * @mm: with a reference to mm_count
 * @scratch: a page of the process for strings and structures of system calls
 * @call_lock: one call at a time
 * @wait: woken when @call or @gone changes
 * @call: what the process shall do, and whether it has
 * @exit: the process shall end instead
 * @gone: it will take no more calls
 * @fn: of the call
 * @arg: of the call
 * @result: of the call
 */
struct sva_proc {
	struct bench *bench;
	struct list_head node;
	struct completion ready;
	struct task_struct *task;
	struct pid *pid;
	struct mm_struct *mm;
	unsigned long scratch;
	struct mutex call_lock;	/* one call at a time */
	wait_queue_head_t wait;
	enum sva_call_state call;
	bool exit;
	bool gone;
	long (*fn)(void *arg);
	void *arg;
	long result;
};

/**
 * struct bench - what the fixture keeps
 * @fx: what tests see
 * @lock: guards the lists
 * @spawner: parent of all processes
 * @procs: struct sva_proc
 * @iommus: struct bench_iommu, the latest first
 * @endpoints: struct bench_endpoint, the latest first
 * @settings: struct bench_setting, the latest first
 * @clerk: a process for system calls of the fixture itself, if there were any
 * @swap: swap space is on
 * @pasids: PASIDs were in use before the test
 * @around: the largest window of fault-around before the test
 */
struct bench {
	struct sva_fixture fx;
	struct mutex lock;	/* of the lists */
	struct kthread_worker *spawner;
	struct list_head procs;
	struct list_head iommus;
	struct list_head endpoints;
	struct list_head settings;
	struct sva_proc *clerk;
	bool swap;
	bool pasids;
	unsigned int around;
};

struct bench_iommu {
	struct list_head node;
	struct soft_iommu *iommu;
};

struct bench_endpoint {
	struct list_head node;
	struct soft_endpoint *ep;
	bool enabled;
};

struct bench_setting {
	struct list_head node;
	char path[96];
	char old[32];
};

static struct bench *to_bench(struct kunit *test)
{
	return container_of((struct sva_fixture *)test->priv, struct bench, fx);
}

static struct kunit *proc_test(struct sva_proc *proc)
{
	return proc->bench->fx.test;
}

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
	/* Somebody else may have had the last reference. */
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

bool sva_proc_forget(struct sva_proc *proc)
{
	bool is_free;

	if (read_poll_timeout(sva_mm_is_free, is_free, is_free, SVA_POLL_US, 20 * USEC_PER_SEC,
			      false, proc->mm, 1))
		return false;
	scoped_guard(mutex, &proc->bench->lock)
		list_del(&proc->node);
	sva_proc_free(proc);
	return true;
}

/* Settings of the system */

static struct sva_proc *sva_clerk(struct kunit *test)
{
	struct bench *bench = to_bench(test);
	static const char * const where[][2] = {
		{ "sysfs", "/sys" }, { "debugfs", "/sys/kernel/debug" }, { "proc", "/proc" },
	};
	struct sva_proc *clerk = bench->clerk;
	long ret;

	if (clerk)
		return clerk;
	clerk = sva_proc_start(test);
	for (int i = 0; i < ARRAY_SIZE(where); i++) {
		unsigned long type = clerk->scratch, dir = type + 32;
		char text[64] = {};

		strscpy(text, where[i][0], 32);
		strscpy(text + 32, where[i][1], 32);
		sva_proc_pass(clerk, text, sizeof(text));
		sva_proc_syscall(clerk, __NR_mkdirat, AT_FDCWD, dir, 0755, 0, 0, 0);
		/* It stays mounted for the tests to come. */
		ret = sva_proc_syscall(clerk, __NR_mount, type, dir, type, 0, 0, 0);
		KUNIT_ASSERT_TRUE_MSG(test, !ret || ret == -EBUSY, "mount %s: %ld", where[i][0],
				      ret);
	}
	bench->clerk = clerk;
	return clerk;
}

/* Reads or writes a whole file; returns the length or -errno. */
static long sva_file_io(struct sva_proc *clerk, const char *path, char *buf, size_t len, bool write)
{
	unsigned long user;
	long fd, ret;

	user = sva_proc_string(clerk, path);
	fd = sva_proc_syscall(clerk, __NR_openat, AT_FDCWD, user, write ? O_WRONLY : O_RDONLY, 0, 0,
			      0);
	if (fd < 0)
		return fd;
	if (write)
		sva_proc_pass(clerk, buf, len);
	ret = sva_proc_syscall(clerk, write ? __NR_write : __NR_read, fd, user, len, 0, 0, 0);
	if (!write && ret > 0 && sva_proc_read(clerk, user, buf, ret))
		ret = -EFAULT;
	sva_proc_syscall(clerk, __NR_close, fd, 0, 0, 0, 0, 0);
	return ret;
}

/* "always [madvise] never" has the value madvise. */
static void sva_setting_value(char *text)
{
	char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;

	if (close) {
		*close = 0;
		memmove(text, open + 1, close - open);
	}
	strim(text);
}

static void sva_setting_path(const char *path, char *full, size_t len)
{
	/* /proc/sys has no other name. */
	if (path[0] == '/')
		strscpy(full, path, len);
	else
		scnprintf(full, len, "/sys/%s", path);
}

long sva_sysfs_get(struct kunit *test, const char *path, char *buf, size_t len)
{
	char full[96];
	long ret;

	sva_setting_path(path, full, sizeof(full));
	ret = sva_file_io(sva_clerk(test), full, buf, len - 1, false);
	buf[max(ret, 0L)] = 0;
	return ret;
}

void sva_sysfs_put(struct kunit *test, const char *path, const char *value)
{
	char full[96];
	long ret;

	sva_setting_path(path, full, sizeof(full));
	ret = sva_file_io(sva_clerk(test), full, (char *)value, strlen(value), true);
	KUNIT_EXPECT_EQ_MSG(test, ret, (long)strlen(value), "%s <- %s", path, value);
}

void sva_sysfs_set(struct kunit *test, const char *path, const char *value)
{
	struct bench_setting *setting;
	long ret;

	setting = kzalloc(sizeof(*setting), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, setting);
	strscpy(setting->path, path);
	ret = sva_sysfs_get(test, path, setting->old, sizeof(setting->old));
	if (ret < 0) {
		kfree(setting);
		KUNIT_FAIL(test, "%s: %ld", path, ret);
		return;
	}
	sva_setting_value(setting->old);
	list_add(&setting->node, &to_bench(test)->settings);
	sva_sysfs_put(test, path, value);
}

static void sva_settings_back(struct bench *bench)
{
	struct bench_setting *setting, *next;

	list_for_each_entry_safe(setting, next, &bench->settings, node) {
		sva_sysfs_put(bench->fx.test, setting->path, setting->old);
		list_del(&setting->node);
		kfree(setting);
	}
}

/* Swap space */

/* The first page of a swap area, as mkswap(8) writes it. */
static void sva_swap_header(struct kunit *test, unsigned int pages)
{
	struct sva_proc *clerk = sva_clerk(test);
	union swap_header *header = kzalloc(PAGE_SIZE, GFP_KERNEL);
	unsigned long user;
	long fd, ret;

	KUNIT_ASSERT_NOT_NULL(test, header);
	header->info.version = 1;
	header->info.last_page = pages;
	memcpy(header->magic.magic, "SWAPSPACE2", 10);

	user = sva_proc_string(clerk, SVA_RAM_DISK);
	fd = sva_proc_syscall(clerk, __NR_openat, AT_FDCWD, user, O_RDWR, 0, 0, 0);
	sva_proc_pass(clerk, header, PAGE_SIZE);
	ret = sva_proc_syscall(clerk, __NR_write, fd, user, PAGE_SIZE, 0, 0, 0);
	sva_proc_syscall(clerk, __NR_close, fd, 0, 0, 0, 0, 0);
	kfree(header);
	KUNIT_ASSERT_EQ_MSG(test, ret, (long)PAGE_SIZE, "%s (%ld)", SVA_RAM_DISK, fd);
}

void sva_swap_on(struct kunit *test, unsigned int pages)
{
	struct sva_proc *clerk = sva_clerk(test);
	unsigned long path;

	path = sva_proc_string(clerk, "/dev");
	sva_proc_syscall(clerk, __NR_mkdirat, AT_FDCWD, path, 0755, 0, 0, 0);
	path = sva_proc_string(clerk, SVA_RAM_DISK);
	sva_proc_syscall(clerk, __NR_mknodat, AT_FDCWD, path, S_IFBLK | 0600,
			 new_encode_dev(MKDEV(RAMDISK_MAJOR, 0)), 0, 0);
	sva_swap_header(test, pages);

	path = sva_proc_string(clerk, SVA_RAM_DISK);
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(clerk, __NR_swapon, path, 0, 0, 0, 0, 0), 0);
	to_bench(test)->swap = true;
}

static void sva_swap_off(struct bench *bench)
{
	unsigned long path;

	if (!bench->swap)
		return;
	path = sva_proc_string(bench->clerk, SVA_RAM_DISK);
	KUNIT_EXPECT_EQ(bench->fx.test,
			sva_proc_syscall(bench->clerk, __NR_swapoff, path, 0, 0, 0, 0, 0), 0);
	bench->swap = false;
}

/* IOMMUs and endpoints */

struct soft_iommu *sva_add_iommu(struct kunit *test, const struct soft_iommu_config *config)
{
	struct soft_iommu *iommu = soft_iommu_create(config);
	struct bench *bench = to_bench(test);
	struct bench_iommu *entry;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, iommu);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry) {
		soft_iommu_destroy(iommu);
		KUNIT_FAIL_AND_ABORT(test, "no memory for an IOMMU");
	}
	entry->iommu = iommu;
	guard(mutex)(&bench->lock);
	list_add(&entry->node, &bench->iommus);
	return iommu;
}

static int sva_enable(struct device *dev)
{
	int ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_IOPF);

	if (ret)
		return ret;
	ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA);
	if (ret)
		iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
	return ret;
}

struct soft_endpoint *sva_add_endpoint(struct kunit *test, struct soft_iommu *iommu,
				       const struct soft_endpoint_config *config, bool enable)
{
	struct bench_endpoint *entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	struct bench *bench = to_bench(test);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, entry);
	entry->ep = soft_endpoint_create(iommu, config);
	if (IS_ERR_OR_NULL(entry->ep)) {
		ret = PTR_ERR(entry->ep);
		kfree(entry);
		KUNIT_FAIL_AND_ABORT(test, "soft_endpoint_create(): %d", ret);
		return NULL;
	}
	scoped_guard(mutex, &bench->lock)
		list_add(&entry->node, &bench->endpoints);
	if (enable) {
		ret = sva_enable(soft_endpoint_dev(entry->ep));
		KUNIT_ASSERT_EQ_MSG(test, ret, 0, "SVA could not be enabled");
		entry->enabled = true;
	}
	return entry->ep;
}

void sva_forget_endpoint(struct kunit *test, struct soft_endpoint *ep)
{
	struct bench *bench = to_bench(test);
	struct bench_endpoint *entry, *next;

	guard(mutex)(&bench->lock);
	list_for_each_entry_safe(entry, next, &bench->endpoints, node) {
		if (entry->ep == ep) {
			list_del(&entry->node);
			kfree(entry);
		}
	}
}

struct iommu_sva *sva_bind(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc)
{
	struct iommu_sva *sva = iommu_sva_bind_device(soft_endpoint_dev(ep), sva_proc_mm(proc));

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(sva), "bind: %ld", PTR_ERR(sva));
	return sva;
}

/* The fixture */

static bool sva_domains_are_gone(struct soft_iommu *iommu)
{
	if (!soft_iommu_domains(iommu))
		return true;
	rcu_barrier();
	return !soft_iommu_domains(iommu);
}

static bool sva_check_domains(struct bench *bench)
{
	struct bench_iommu *entry;
	bool all = true, gone;

	list_for_each_entry(entry, &bench->iommus, node) {
		if (!read_poll_timeout(sva_domains_are_gone, gone, gone, SVA_POLL_US,
				       5 * USEC_PER_SEC, false, entry->iommu))
			continue;
		KUNIT_FAIL(bench->fx.test, "%u SVA domains left: bonds that were not ended?",
			   soft_iommu_domains(entry->iommu));
		all = false;
	}
	return all;
}

#if SVA_CORE
static bool sva_device_is_idle(struct device *dev)
{
	return !iopf_device_busy(dev);
}

static void sva_check_slots(struct bench *bench)
{
	struct bench_endpoint *entry;
	bool idle;

	list_for_each_entry(entry, &bench->endpoints, node) {
		struct device *dev = soft_endpoint_dev(entry->ep);

		if (read_poll_timeout(sva_device_is_idle, idle, idle, SVA_POLL_US, SVA_LIMIT_US,
				      false, dev))
			KUNIT_FAIL(bench->fx.test, "%s: %u groups, lanes or partials left",
				   dev_name(dev), iopf_device_busy(dev));
	}
}

static void sva_check_pasids(struct bench *bench)
{
	/* With ENQCMD they go with the mm, and that has been waited for. */
	if (!bench->pasids && iommu_pasids_in_use())
		KUNIT_FAIL(bench->fx.test, "a PASID is left");
}
#else
static unsigned int sva_around_limit(unsigned int pages)
{
	return 0;
}

static bool iommu_pasids_in_use(void)
{
	return false;
}

static void sva_check_slots(struct bench *bench)
{
}

static void sva_check_pasids(struct bench *bench)
{
}
#endif

static void sva_check_violations(struct bench *bench)
{
	struct bench_iommu *entry;

	list_for_each_entry(entry, &bench->iommus, node) {
		unsigned int nr = soft_iommu_check(entry->iommu);

		for (unsigned int i = 0; i < nr; i++)
			KUNIT_FAIL(bench->fx.test, "violation: %s",
				   soft_iommu_violation(entry->iommu, i));
	}
}

/* The clerk is still needed when the others are gone. */
static bool sva_is_clerk(struct bench *bench, struct sva_proc *proc)
{
	return proc == bench->clerk;
}

static void sva_end_procs(struct bench *bench, bool clerk)
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

static void sva_check_mms(struct bench *bench, bool clerk)
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

static void sva_free_procs(struct bench *bench)
{
	struct sva_proc *proc, *next;

	list_for_each_entry_safe(proc, next, &bench->procs, node)
		sva_proc_free(proc);
}

static void sva_destroy_endpoints(struct bench *bench)
{
	struct bench_endpoint *entry, *next;

	list_for_each_entry_safe(entry, next, &bench->endpoints, node) {
		struct device *dev = soft_endpoint_dev(entry->ep);

		if (entry->enabled) {
			iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA);
			iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
		}
		soft_endpoint_destroy(entry->ep);
		kfree(entry);
	}
}

static void sva_destroy_iommus(struct bench *bench)
{
	struct bench_iommu *entry, *next;

	list_for_each_entry_safe(entry, next, &bench->iommus, node) {
		soft_iommu_destroy(entry->iommu);
		kfree(entry);
	}
}

int sva_fixture_init(struct kunit *test)
{
	static const struct soft_endpoint_config config = { .pasid_bits = 20, .credits = 16 };
	struct bench *bench;

	if (!sva_nobody)
		sva_nobody = mm_alloc();
	bench = kzalloc(sizeof(*bench), GFP_KERNEL);
	if (!sva_nobody || !bench)
		return -ENOMEM;

	bench->fx.test = test;
	bench->pasids = iommu_pasids_in_use();
	bench->around = sva_around_limit(0);
	mutex_init(&bench->lock);
	INIT_LIST_HEAD(&bench->procs);
	INIT_LIST_HEAD(&bench->iommus);
	INIT_LIST_HEAD(&bench->endpoints);
	INIT_LIST_HEAD(&bench->settings);
	bench->spawner = kthread_create_worker(0, "sva-spawner");
	if (IS_ERR(bench->spawner)) {
		int ret = PTR_ERR(bench->spawner);

		sva_around_limit(bench->around);
		kfree(bench);
		return ret;
	}
	test->priv = &bench->fx;

	bench->fx.iommu = sva_add_iommu(test, &(struct soft_iommu_config) {});
	for (int i = 0; i < ARRAY_SIZE(bench->fx.ep); i++) {
		bench->fx.ep[i] = sva_add_endpoint(test, bench->fx.iommu, &config, true);
		bench->fx.dev[i] = soft_endpoint_dev(bench->fx.ep[i]);
	}
	return 0;
}

void sva_fixture_exit(struct kunit *test)
{
	struct bench *bench;
	bool clean;

	if (!test->priv)
		return;
	bench = to_bench(test);

	sva_end_procs(bench, false);
	clean = sva_check_domains(bench);
	sva_check_violations(bench);
	sva_check_slots(bench);
	if (clean) {
		sva_destroy_endpoints(bench);
		sva_destroy_iommus(bench);
	}
	/* KSM, if a test has switched it on, lets go of an mm while it runs. */
	sva_check_mms(bench, false);
	sva_settings_back(bench);
	sva_swap_off(bench);
	sva_end_procs(bench, true);
	sva_check_mms(bench, true);
	sva_check_pasids(bench);
	sva_free_procs(bench);
	kthread_destroy_worker(bench->spawner);
	sva_around_limit(bench->around);
	kfree(bench);
	test->priv = NULL;
}
