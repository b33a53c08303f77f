// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva_demo: shows on one screen what Shared Virtual Addressing is, with a PCIe device that works
 * in this program's own memory. Every number comes from the device, the kernel or a comparison of
 * bytes; the exit status is 0 if every claim is true.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sva_queue.h"

#define MiB		(1024UL * 1024)
#define HEAP		(32 * MiB)
#define SMALL		(1 * MiB)
#define GROUP		32	/* pages asked for at a time */
#define MAX_BONDS	5000	/* until a PASID must have come round again */

static struct sva_device device;
static struct sva_queue queue;
static struct sva_dma_counters mark;
static int failures, claims, kmsg = -1;

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fflush(stdout);
}

/* One line of the screen: what is claimed, and whether it is so. */
__attribute__((format(printf, 2, 3)))
static void claim(bool holds, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	claims++;
	failures += !holds;
	say("   %-72s %s\n", text, holds ? "ok" : "FAILED");
}

static void give_up(const char *what)
{
	say("sva_demo: %s\n", what);
	exit(1);
}

static void remember_counters(void)
{
	if (sva_settled_counters(&queue, &mark))
		give_up(queue.error);
}

static unsigned long long since(enum sva_dma_counter counter)
{
	struct sva_dma_counters now;

	if (sva_settled_counters(&queue, &now))
		give_up(queue.error);
	return now.value[counter] - mark.value[counter];
}

static unsigned char *get_memory(size_t size)
{
	unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		give_up("no memory");
	return memory;
}

static bool all_are(const unsigned char *memory, size_t size, unsigned char byte)
{
	return memory[0] == byte && !memcmp(memory, memory + 1, size - 1);
}

static size_t resident_pages(void *memory, size_t size)
{
	uintptr_t page = getpagesize();
	uintptr_t start = (uintptr_t)memory & ~(page - 1);
	size_t pages = ((uintptr_t)memory + size - start + page - 1) / page, count = 0, i;
	__u64 entry;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	for (i = 0; fd >= 0 && i < pages; i++)
		if (pread(fd, &entry, 8, (start / page + i) * 8) == 8)
			count += entry >> 63;
	close(fd);
	return count;
}

/* Warnings and worse, and events of an IOMMU, that the kernel logged since the last call. */
static int complaints(void)
{
	char record[2048];
	int count = 0;
	ssize_t n;

	if (kmsg < 0) {
		kmsg = sva_log_open();
		return kmsg < 0 ? -1 : 0;
	}
	while ((n = read(kmsg, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue; /* overrun: the next read goes on with what is left */
		record[n] = '\0';
		count += sva_log_kind(record) != SVA_LOG_FINE;
	}
	return count;
}

static void find_device(void)
{
	struct sva_device all[SVA_MAX_DEVICES];
	int n = sva_devices(all, SVA_MAX_DEVICES), i;

	for (i = 0; i < n && !all[i].sva; i++)
		;
	if (i == n)
		give_up(n ? "no sva-dma device was granted SVA: see the kernel log" :
			"no sva-dma device: is the driver loaded?");
	device = all[i];
	if (sva_open(&queue, &device) || sva_start(&queue))
		give_up(queue.error);
	say("A PCIe device in this program's memory\n"
	    "   PCI function %s, %s: channel %u of %u, ATC of %u entries\n"
	    "   iommu_sva_bind_device() gave this process PASID %u\n",
	    device.bdf, device.node, queue.info.channel, queue.info.channels,
	    queue.info.atc_entries, queue.info.pasid);
}

static void show_heap(void)
{
	unsigned char *heap = malloc(HEAP);
	struct sva_job job = sva_fill(heap, HEAP, 0x5a);
	struct sva_result result;
	size_t before, after, i;
	unsigned long long pages, groups, served;

	if (!heap)
		give_up("no memory");
	say("1. malloc() of %lu MiB that the program has not touched\n", HEAP / MiB);
	before = resident_pages(heap, HEAP);
	remember_counters();
	job.op |= sva_group(GROUP);
	result = sva_run(&queue, &job);
	after = resident_pages(heap, HEAP);
	pages = since(SVA_DMA_CNT_PRI_REQUESTS);
	groups = since(SVA_DMA_CNT_PRI_GROUPS);
	served = since(SVA_DMA_CNT_PRI_SUCCESS);
	claim(result.status == SVA_DMA_DONE && result.bytes == HEAP,
	      "the device wrote %llu MiB by virtual address: %s",
	      (unsigned long long)result.bytes / MiB, sva_status_name(result.status));
	if (device.stall)
		claim(since(SVA_DMA_CNT_STALLS_RETRIED),
		      "%llu of its accesses waited for the kernel to bring the page",
		      since(SVA_DMA_CNT_STALLS_RETRIED));
	else
		claim(pages && groups == served,
		      "it requested %llu pages in %llu groups; %llu groups served", pages, groups,
		      served);
	claim(after > before, "pages of it in memory: %zu before, %zu after", before, after);
	claim(all_are(heap, HEAP, 0x5a), "the CPU verified %lu MiB that the device wrote",
	      HEAP / MiB);

	for (i = 0; i < HEAP; i += 8)
		*(__u64 *)(heap + i) = i * 0x9e3779b97f4a7c15ULL;
	job = sva_checksum(heap, HEAP);
	result = sva_run(&queue, &job);
	claim(result.status == SVA_DMA_DONE && result.value == sva_fnv1a(heap, HEAP),
	      "the device read back %lu MiB that the CPU wrote: checksums agree", HEAP / MiB);
	free(heap);
}

static void show_fork(void)
{
	unsigned char *memory = get_memory(SMALL);
	struct sva_job job = sva_fill(memory, SMALL, 'a');
	int told[2], status = -1;
	bool wrote;
	pid_t child;
	char byte;

	say("2. copy-on-write: fork() while the device can write\n");
	if (sva_run(&queue, &job).status != SVA_DMA_DONE || pipe(told))
		give_up("the device could not write");
	child = fork();
	if (!child) {
		close(told[1]);
		_exit(read(told[0], &byte, 1) == 1 && all_are(memory, SMALL, 'a') ? 0 : 1);
	}
	job = sva_fill(memory, SMALL, 'b');
	wrote = sva_run(&queue, &job).status == SVA_DMA_DONE;
	if (write(told[1], "", 1) != 1 || waitpid(child, &status, 0) != child)
		give_up("the other process is gone");
	close(told[0]);
	close(told[1]);
	claim(wrote && all_are(memory, SMALL, 'b'), "the parent has the device's new bytes");
	claim(!status, "the child has the old ones, %lu KiB verified", SMALL / 1024);
	munmap(memory, SMALL);
}

static void show_munmap(void)
{
	/* Mapped now, so that it does not get the address of what goes; touched only later. */
	unsigned char *memory = get_memory(SMALL), *next = get_memory(SMALL);
	struct sva_job job = sva_fill(memory, SMALL, 0xdd);
	struct sva_result result;

	say("3. munmap() under running DMA\n");
	job.repeat = SVA_FOREVER;
	job.pace = 1000;
	sva_submit(&queue, &job);
	result = sva_wait_progress(&queue, 4 * SMALL);
	if (result.status != SVA_DMA_RUNNING)
		give_up(sva_status_name(result.status));
	munmap(memory, SMALL);
	/* This is likely to take the pages that the device wrote to until now. */
	memset(next, 0xee, SMALL);
	result = sva_wait(&queue);
	claim(result.status == SVA_DMA_ERR_PRI_INVALID || result.status == SVA_DMA_ERR_TRANSLATION,
	      "DMA ended after %llu passes: %s", (unsigned long long)result.passes,
	      sva_status_name(result.status));
	claim(all_are(next, SMALL, 0xee), "no stale byte in %lu KiB of the memory touched next",
	      SMALL / 1024);
	munmap(next, SMALL);
}

static void show_read_only(void)
{
	unsigned char *memory = get_memory(SMALL);
	struct sva_job job = sva_fill(memory, SMALL, 'x');
	struct sva_result result;

	say("4. write to memory made read-only\n");
	if (sva_run(&queue, &job).status != SVA_DMA_DONE)
		give_up("the device could not write");
	mprotect(memory, SMALL, PROT_READ);
	job = sva_fill(memory, SMALL, 'y');
	result = sva_run(&queue, &job);
	claim(result.status == SVA_DMA_ERR_PRI_INVALID || result.status == SVA_DMA_ERR_TRANSLATION,
	      "refused: %s", sva_status_name(result.status));
	claim(!result.bytes && all_are(memory, SMALL, 'x'), "and not a byte has changed");
	munmap(memory, SMALL);
}

/* Never returns: a process with a bond of its own; it writes its PASID to @fd. */
static void other_process(int fd, bool run)
{
	struct sva_queue q;
	struct sva_job job;

	if (sva_open(&q, &device))
		_exit(1);
	if (run) {
		job = sva_fill(get_memory(SMALL), SMALL, 0xcc);
		job.repeat = SVA_FOREVER;
		job.pace = 1000;
		if (sva_start(&q))
			_exit(1);
		sva_submit(&q, &job);
		if (sva_wait_progress(&q, 2 * SMALL).status != SVA_DMA_RUNNING)
			_exit(1);
	}
	if (write(fd, &q.info.pasid, sizeof(q.info.pasid)) != sizeof(q.info.pasid))
		_exit(1);
	while (run)
		pause();
	_exit(0);
}

/* PASID of another process, which is killed if it runs DMA; 0 if something failed. */
static unsigned int pasid_of_another(bool run)
{
	__u32 pasid = 0;
	int fd[2], status;
	pid_t child;

	if (pipe(fd))
		return 0;
	child = fork();
	if (!child)
		other_process(fd[1], run);
	close(fd[1]);
	if (read(fd[0], &pasid, sizeof(pasid)) != sizeof(pasid))
		pasid = 0;
	close(fd[0]);
	if (run)
		kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child ||
	    (run ? !WIFSIGNALED(status) : status))
		pasid = 0;
	return pasid;
}

static void show_kill(void)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	int free_before = sva_available(&device), logged, bonds;
	unsigned int pasid;

	say("5. kill -9 of another process during its DMA\n");
	complaints();
	remember_counters();
	pasid = pasid_of_another(true);
	while (sva_available(&device) != free_before && sva_now_ms() < end)
		sva_relax();
	logged = complaints();
	claim(pasid && sva_available(&device) == free_before,
	      "PASID %u: killed, DMA stopped, channel free again", pasid);
	claim(!logged, "lines of complaint in the kernel log: %d", logged);

	/* PASIDs are handed out in turn, so this one is used again when all others were. */
	for (bonds = 1; pasid && bonds <= MAX_BONDS; bonds++)
		if (pasid_of_another(false) == pasid)
			break;
	claim(pasid && bonds <= MAX_BONDS,
	      "PASID %u is back: handed out again after %d other bonds", pasid, bonds - 1);
}

int main(void)
{
	struct sva_dma_counters now;
	unsigned long long groups, answers;

	complaints();
	find_device();
	show_heap();
	show_fork();
	show_munmap();
	show_read_only();
	show_kill();

	if (sva_settled_counters(&queue, &now))
		give_up(queue.error);
	say("All in all\n");
	groups = now.value[SVA_DMA_CNT_PRI_GROUPS];
	answers = now.value[SVA_DMA_CNT_PRI_SUCCESS] + now.value[SVA_DMA_CNT_PRI_INVALID] +
		  now.value[SVA_DMA_CNT_PRI_FAILURE];
	claim(groups == answers && !now.value[SVA_DMA_CNT_PRI_UNEXPECTED],
	      "page request groups sent: %llu, answered: %llu, each exactly once", groups, answers);
	sva_close(&queue);
	say("%d claims, %d failed\n", claims, failures);
	return failures ? 1 : 0;
}
