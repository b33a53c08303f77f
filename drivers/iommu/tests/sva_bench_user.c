// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPU's own page faults: a program in user mode
 *
 * The processes of the fixture never leave the kernel. A further thread does: it starts in a
 * function that fills in its user registers and returns, like exec() does. The program is position
 * independent; what it needs it has in registers and in the tables that they point to. It reads the
 * time stamp counter itself, so what it measures is the way into the kernel, the fault, and the way
 * back, as a program pays for it.
 */
#include <linux/completion.h>
#include <linux/iopoll.h>
#include <linux/mman.h>
#include <linux/pid.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/stringify.h>
#include <linux/uaccess.h>
#include <asm/processor.h>
#include <asm/ptrace.h>
#include <uapi/asm/unistd_64.h>

#include "sva_bench.h"

#define POLL_US		(20 * USEC_PER_MSEC)
#define LIMIT_US	(100UL * USEC_PER_SEC)

/*
 * r12, r13: memory and length; r14: table of addresses; r15: how many; rbp: rounds;
 * rbx: table of results
 */
asm(".pushsection .rodata\n"
	"bench_program:\n"
	"1:	mov	%r12, %rdi\n"
	"	mov	%r13, %rsi\n"
	"	mov	$" __stringify(MADV_DONTNEED) ", %edx\n"
	"	mov	$" __stringify(__NR_madvise) ", %eax\n"
	"	syscall\n"
	"	mov	%r14, %rsi\n"
	"	mov	%r15, %rdi\n"
	"	rdtsc\n"
	"	shl	$32, %rdx\n"
	"	or	%rdx, %rax\n"
	"	mov	%rax, %r8\n"
	"2:	mov	(%rsi), %rax\n"
	"	movb	$1, (%rax)\n"
	"	add	$8, %rsi\n"
	"	dec	%rdi\n"
	"	jnz	2b\n"
	"	rdtsc\n"
	"	shl	$32, %rdx\n"
	"	or	%rdx, %rax\n"
	"	sub	%r8, %rax\n"
	"	mov	%rax, (%rbx)\n"
	"	add	$8, %rbx\n"
	"	dec	%rbp\n"
	"	jnz	1b\n"
	"	xor	%edi, %edi\n"
	"	mov	$" __stringify(__NR_exit) ", %eax\n"
	"	syscall\n"
	"bench_program_end:\n"
	"	.popsection\n");

/**
 * struct bench_start - a thread that is to run the program
 * @regs: to begin with
 * @pid: of the thread, with a reference
 * @ready: it has begun, and needs this no more
 */
struct bench_start {
	struct pt_regs regs;
	struct pid *pid;
	struct completion ready;
};

static int bench_thread(void *data)
{
	struct pt_regs *regs = task_pt_regs(current);
	struct bench_start *start = data;

	start_thread(regs, start->regs.ip, start->regs.sp);
	regs->r12 = start->regs.r12;
	regs->r13 = start->regs.r13;
	regs->r14 = start->regs.r14;
	regs->r15 = start->regs.r15;
	regs->bp = start->regs.bp;
	regs->bx = start->regs.bx;
	start->pid = get_pid(task_pid(current));
	complete(&start->ready);
	return 0;
}

static long bench_clone(void *data)
{
	struct kernel_clone_args args = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
		.fn = bench_thread,
		.fn_arg = data,
	};
	struct bench_start *start = data;
	pid_t pid = kernel_clone(&args);

	if (pid < 0)
		return pid;
	wait_for_completion(&start->ready);
	return 0;
}

static bool bench_has_ended(struct pid *pid)
{
	guard(rcu)();
	return !pid_task(pid, PIDTYPE_PID);
}

void bench_touch(struct kunit *test, struct sva_proc *proc, const struct bench_touch *touch)
{
	size_t addrs = touch->nr * sizeof(*touch->addrs);
	size_t ticks = touch->rounds * sizeof(*touch->ticks);
	size_t tables = PAGE_ALIGN(addrs) + PAGE_ALIGN(ticks);
	unsigned long code, data;
	struct bench_start start = {};
	bool ended;

	code = sva_proc_mmap(proc, 0, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(code));
	data = sva_proc_map(proc, tables);
	KUNIT_ASSERT_EQ(test, sva_proc_write(proc, code, bench_program,
					     bench_program_end - bench_program), 0);
	/* The table of results, too, is there before the program begins. */
	KUNIT_ASSERT_EQ(test, sva_proc_write(proc, data, touch->addrs, addrs), 0);
	memset(touch->ticks, 0, ticks);
	KUNIT_ASSERT_EQ(test, sva_proc_write(proc, data + PAGE_ALIGN(addrs), touch->ticks, ticks),
			0);

	init_completion(&start.ready);
	start.regs.ip = code;
	start.regs.r12 = touch->mem;
	start.regs.r13 = touch->len;
	start.regs.r14 = data;
	start.regs.r15 = touch->nr;
	start.regs.bp = touch->rounds;
	start.regs.bx = data + PAGE_ALIGN(addrs);
	KUNIT_ASSERT_EQ(test, sva_proc_call(proc, bench_clone, &start), 0);
	KUNIT_EXPECT_EQ_MSG(test, read_poll_timeout(bench_has_ended, ended, ended, POLL_US,
						    LIMIT_US, false, start.pid), 0,
			    "the program does not end");
	put_pid(start.pid);

	KUNIT_ASSERT_EQ(test, sva_proc_read(proc, data + PAGE_ALIGN(addrs), touch->ticks, ticks),
			0);
	sva_proc_munmap(proc, data, tables);
	sva_proc_munmap(proc, code, PAGE_SIZE);
}
