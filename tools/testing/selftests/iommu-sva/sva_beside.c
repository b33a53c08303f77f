// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva_beside: a library for LD_PRELOAD. Each process that has it has a device at work in its memory
 * from its start to its end: the device copies one half of an area to the other, again and again.
 * The program knows nothing of that, and must do what it does without; at its end, by exit() or
 * _exit(), the bytes must be right. A child of fork() gets a device of its own, as does a program
 * after exec().
 *
 * Works where SVA_BESIDE names a file, to whose end each process writes lines:
 *   BOUND <pid> <address> <length>     the area, for those who want to disturb it from outside
 *   RIGHT <pid> <bytes>                all bytes were right; the device has moved so many
 *   WITHOUT <pid> <reason>             there was no channel, or no memory: the program runs alone
 *   WRONG <pid> <reason>
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sva_queue.h"

#define PAGES		16	/* of each half */
#define PACE_NS		500000	/* of device time between two pages */
#define LEAST_FD	700	/* programs may expect the low numbers */

/**
 * struct beside - the device of this process
 * @owner: the process; 0: none. A child has its parent's until it has its own.
 * @log: where lines go; NULL: the library does nothing
 * @device: that it uses
 * @area: source, and then target
 * @len: of each
 */
static struct beside {
	pid_t owner;
	const char *log;
	struct sva_device device;
	struct sva_queue q;
	__u64 *area;
	size_t len;
} beside = { .q = SVA_QUEUE_CLOSED };

__attribute__((format(printf, 1, 2)))
static void say(const char *what, ...)
{
	char line[256];
	va_list args;
	int n, fd;

	va_start(args, what);
	n = vsnprintf(line, sizeof(line), what, args);
	va_end(args);
	if (n < 0 || n >= (int)sizeof(line))
		return;
	fd = open(beside.log, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, line, n) != n)
		errno = 0;
	close(fd);
}

static __u64 word(size_t i, __u64 salt)
{
	__u64 x = (salt << 32 ^ i) * 0x9e3779b97f4a7c15ULL;

	return x ^ x >> 29;
}

static void fill_source(__u64 salt)
{
	size_t i;

	for (i = 0; i < beside.len / 8; i++)
		beside.area[i] = word(i, salt);
}

/* Where the first @len bytes of either half are not what they should be; -1: nowhere */
static long wrong_at(__u64 salt, __u64 len)
{
	size_t words = (len < beside.len ? len : beside.len) / 8, i;

	for (i = 0; i < beside.len / 8; i++)
		if (((volatile __u64 *)beside.area)[i] != word(i, salt))
			return i * 8;
	for (i = 0; i < words; i++)
		if (((volatile __u64 *)beside.area)[beside.len / 8 + i] != word(i, salt))
			return beside.len + i * 8;
	return -1;
}

static struct sva_job copy_job(void)
{
	return sva_copy((__u8 *)beside.area + beside.len, beside.area, beside.len);
}

static void let_go(void)
{
	sva_close(&beside.q);
	if (beside.area)
		munmap(beside.area, 2 * beside.len);
	beside.area = NULL;
}

/* The queue's file is out of the program's way, if the program leaves room there. */
static void move_file(void)
{
	int fd = fcntl(beside.q.fd, F_DUPFD_CLOEXEC, LEAST_FD);

	if (fd < 0)
		return;
	close(beside.q.fd);
	beside.q.fd = fd;
}

static int take_device(void)
{
	struct sva_job job;
	int ret;

	beside.len = PAGES * getpagesize();
	beside.area = mmap(NULL, 2 * beside.len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (beside.area == MAP_FAILED) {
		beside.area = NULL;
		return -ENOMEM;
	}
	ret = sva_open(&beside.q, &beside.device);
	if (ret)
		return ret;
	move_file();
	ret = sva_start(&beside.q);
	if (ret)
		return ret;
	fill_source(getpid());
	job = copy_job();
	job.repeat = SVA_FOREVER;
	job.pace = PACE_NS;
	sva_submit(&beside.q, &job);
	return 0;
}

/* More processes than channels, or PASIDs, and limits of the program's own are no mistake. */
static void begin(void)
{
	int error = errno, ret = take_device();

	if (!ret) {
		beside.owner = getpid();
		say("BOUND %d %p %zu\n", getpid(), (void *)beside.area, 2 * beside.len);
	} else {
		say("%s %d %s\n", ret == -EBUSY || ret == -ENOSPC || ret == -ENOMEM ||
		    ret == -EMFILE || ret == -ENFILE || ret == -EAGAIN ? "WITHOUT" : "WRONG",
		    getpid(), beside.q.error[0] ? beside.q.error : strerror(-ret));
		let_go();
	}
	errno = error;
}

/* What the parent's device does concerns the parent's memory alone. */
static void begin_child(void)
{
	if (!beside.log)
		return;
	beside.owner = 0;
	/* The job page has not come along. */
	beside.q.job = NULL;
	let_go();
	begin();
}

/* A program that has taken the area away, or closed all files, is on its own. */
static void check(void)
{
	struct sva_result result = sva_abort(&beside.q);
	__u64 bytes = result.bytes;
	struct sva_job job = copy_job();
	long at;

	if (result.status != SVA_DMA_ERR_STOPPED) {
		say("WRONG %d the job has ended: %s at %#llx\n", getpid(),
		    sva_status_name(result.status), (unsigned long long)result.fault_addr);
		return;
	}
	/* Before the end of the first pass the target is in part what it was. */
	at = wrong_at(getpid(), result.passes ? beside.len : 0);
	if (at < 0) {
		fill_source(~getpid());
		result = sva_run(&beside.q, &job);
		at = wrong_at(~getpid(), beside.len);
	}
	if (result.status != SVA_DMA_DONE)
		say("WRONG %d the last copy: %s\n", getpid(), sva_status_name(result.status));
	else if (at >= 0)
		say("WRONG %d a byte at %ld of %zu\n", getpid(), at, 2 * beside.len);
	else
		say("RIGHT %d %llu\n", getpid(), (unsigned long long)(bytes + result.bytes));
}

/* Threads may exit at once; a child of vfork() shares its parent's memory and is not the owner. */
static void finish(void)
{
	pid_t owner = getpid();

	if (!__atomic_compare_exchange_n(&beside.owner, &owner, 0, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return;
	check();
	let_go();
}

__attribute__((constructor))
static void load(void)
{
	struct sva_device all[SVA_MAX_DEVICES];
	int n = sva_devices(all, SVA_MAX_DEVICES), i, good = 0;

	beside.log = getenv("SVA_BESIDE");
	if (!beside.log)
		return;
	for (i = 0; i < n; i++)
		if (all[i].pasid && (all[i].pri || all[i].stall) && !all[i].own_faults)
			all[good++] = all[i];
	if (!good) {
		say("WRONG %d there is no device\n", getpid());
		beside.log = NULL;
		return;
	}
	beside.device = all[getpid() % good];
	pthread_atfork(NULL, NULL, begin_child);
	begin();
}

__attribute__((destructor))
static void unload(void)
{
	finish();
}

/* In place of libc's, which would not come by here */
__attribute__((noreturn, visibility("default")))
void _exit(int status)
{
	finish();
	for (;;)
		syscall(SYS_exit_group, status);
}

__attribute__((noreturn, visibility("default"), alias("_exit")))
void _Exit(int status);
