/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the end-to-end cases share: the environment that each starts from and must leave behind,
 * and short names for frequent actions.
 *
 * The teardown checks the environment after every case: each page request group that a device sent
 * was answered exactly once, all channels are free again, and the kernel logged no complaint about
 * the IOMMU or a device. A case that provokes a complaint sets env.noisy.
 */
#ifndef SVA_TEST_H
#define SVA_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/pci_regs.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <misc/uacce/uacce.h>

#include "kselftest_harness.h"
#include "sva_link.h"
#include "sva_queue.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

#define KiB		1024UL
#define MiB		(1024 * KiB)
#define PAGE		((unsigned long)getpagesize())
#define HUGE_PAGE	(PAGE * PAGE / 8)	/* all that one table of pages maps */
#define HUGETLB_PAGE	(2 * MiB)		/* a block, or contiguous pages */
#define DMA_PAGE	(4 * KiB)		/* what a page request asks for */
#define ANYWHERE	NULL
#define RW		(PROT_READ | PROT_WRITE)

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/**
 * struct sva_env - the machine as a case finds it
 * @sva: two devices that can do all, page requests or stalls included
 * @spare: a third one, which only the case that takes it away uses
 * @no_pri: device without PRI, and without another way to ask for pages
 * @own: device without PRI that reports faults in a log of its own
 * @no_pasid: device without PASID
 * @before: counters of the first two when the case began
 * @kmsg: kernel log, read up to the present
 * @noisy: complaints in the kernel log are expected
 */
struct sva_env {
	struct sva_device sva[2];
	struct sva_device spare;
	struct sva_device no_pri;
	struct sva_device own;
	struct sva_device no_pasid;
	struct sva_dma_counters before[2];
	int kmsg;
	bool noisy;
};

/* ---- devices ---- */

static void env_find(struct __test_metadata *_metadata, struct sva_env *env)
{
	struct sva_device all[SVA_MAX_DEVICES];
	int n = sva_devices(all, SVA_MAX_DEVICES);
	int full = 0, i;

	for (i = 0; i < n; i++) {
		if (!all[i].pasid)
			env->no_pasid = all[i];
		else if (all[i].own_faults)
			env->own = all[i];
		else if (!all[i].pri && !all[i].stall)
			env->no_pri = all[i];
		else if (full < 2)
			env->sva[full++] = all[i];
		else
			env->spare = all[i];
	}
	ASSERT_EQ(2, full) {
		TH_LOG("two sva-dma devices with PASID, and PRI or stalls, are needed");
	}
}

/* Why a case is skipped for a device that stalls */
#define NO_PAGE_REQUESTS	"the device stalls: no page requests, no ATC"

/* Transparent huge pages of 512 MiB, which go with pages of 64 KiB, have no room in the guest. */
#define NO_ROOM		"huge pages are too large for the machine"

static bool env_has_room(void)
{
	return HUGE_PAGE <= 32 * MiB;
}

/* What not each kernel has, if it is not made for these cases */
#define NO_HUGE_PAGES	"the kernel has no transparent huge pages"
#define NO_HUGE_POOL	"no huge pages of 2 MiB are reserved"
#define NO_SWAP		"there is no swap space"

static bool env_has_huge_pages(void)
{
	return !access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK);
}

static bool env_has_swap(void)
{
	FILE *swaps = fopen("/proc/swaps", "r");
	char line[256];
	bool any;

	if (!swaps)
		return false;
	/* A line of heads, and one for each area */
	any = fgets(line, sizeof(line), swaps) && fgets(line, sizeof(line), swaps);
	fclose(swaps);
	return any;
}

/* 0: @len bytes at @mem will not become huge pages. */
static int without_huge_pages(void *mem, size_t len)
{
	return env_has_huge_pages() ? madvise(mem, len, MADV_NOHUGEPAGE) : 0;
}

static bool env_has_iommu(const char *units)
{
	glob_t found;
	bool any = !glob(units, 0, NULL, &found);

	globfree(&found);
	return any;
}

/* Is the IOMMU an SMMUv3? */
static bool env_has_smmu(void)
{
	return env_has_iommu("/sys/class/iommu/smmu3*");
}

/* Is it one of AMD's? */
static bool env_has_amd(void)
{
	return env_has_iommu("/sys/class/iommu/ivhd*");
}

/* How a job ends whose fault is answered Invalid Request. */
static __u32 env_refusal(const struct sva_env *env)
{
	return env->sva[0].stall ? SVA_DMA_ERR_TRANSLATION : SVA_DMA_ERR_PRI_INVALID;
}

/* The counter of how often the kernel has served the device */
static int env_served(const struct sva_env *env)
{
	return env->sva[0].stall ? SVA_DMA_CNT_STALLS_RETRIED : SVA_DMA_CNT_PRI_SUCCESS;
}

static void env_count(struct __test_metadata *_metadata, struct sva_env *env, int i,
		      struct sva_dma_counters *counters, int *channels)
{
	struct sva_queue q;

	ASSERT_EQ(0, sva_open(&q, &env->sva[i])) {
		TH_LOG("%s", q.error);
	}
	*channels = q.info.channels;
	EXPECT_EQ(0, sva_settled_counters(&q, counters)) {
		TH_LOG("%s: %s", env->sva[i].node, q.error);
	}
	sva_close(&q);
}

/* The largest window of fault-around, in pages. Without effect on a kernel that has none. */
static void env_fault_around(const char *pages)
{
	int fd = open("/sys/module/iommu_sva/parameters/fault_around_pages", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, pages, strlen(pages)) < 0)
			perror("fault_around_pages");
		close(fd);
	}
}

/* A reader of the kernel's log, of what it says from now on */
static int open_kmsg(struct __test_metadata *_metadata)
{
	int kmsg = sva_log_open();

	ASSERT_LE(0, kmsg);
	return kmsg;
}

/* Cases count page requests: fault-around is off except in those that test it. */
static void env_setup(struct __test_metadata *_metadata, struct sva_env *env)
{
	int i, channels;

	env_find(_metadata, env);
	env_fault_around("0");
	env->kmsg = open_kmsg(_metadata);
	for (i = 0; i < 2; i++)
		env_count(_metadata, env, i, &env->before[i], &channels);
}

/*
 * Lines of the kernel log since the last look that match @wanted and are warnings or worse; without
 * @wanted, those about the IOMMU or a device, and all events of an IOMMU.
 */
static int env_complaints(struct sva_env *env, const char *wanted, char *first, size_t size)
{
	char record[2048], *text;
	enum sva_log kind;
	int count = 0;
	ssize_t n;

	for (;;) {
		n = read(env->kmsg, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* the log has overrun the reader */
		if (n <= 0)
			return count;
		record[n] = '\0';
		kind = sva_log_kind(record);
		/* Marks in the log tell scan-log which events of a stall are right. */
		if (kind == SVA_LOG_FINE ||
		    (kind == SVA_LOG_IOMMU_EVENT && env->sva[0].stall && !wanted))
			continue;
		text = strchr(record, ';');
		if (wanted ? !strstr(text, wanted) : kind == SVA_LOG_WARNING &&
		    !strstr(text, "DMAR") && !strstr(text, "AMD-Vi") &&
		    !strcasestr(text, "mmu") && !strstr(text, "sva-dma") && !strstr(text, "iopf"))
			continue;
		if (!count++)
			snprintf(first, size, "%.*s", (int)strcspn(text + 1, "\n"), text + 1);
	}
}

static __u64 env_delta(const struct sva_dma_counters *before,
		       const struct sva_dma_counters *after, int counter)
{
	/* A reset makes the counters start again from zero. */
	if (before->value[SVA_DMA_CNT_RESETS] != after->value[SVA_DMA_CNT_RESETS] ||
	    before->value[counter] > after->value[counter])
		return after->value[counter];
	return after->value[counter] - before->value[counter];
}

static void env_ledger(struct __test_metadata *_metadata, const struct sva_dma_counters *before,
		       const struct sva_dma_counters *after)
{
	EXPECT_EQ(env_delta(before, after, SVA_DMA_CNT_PRI_GROUPS),
		  env_delta(before, after, SVA_DMA_CNT_PRI_SUCCESS) +
		  env_delta(before, after, SVA_DMA_CNT_PRI_INVALID) +
		  env_delta(before, after, SVA_DMA_CNT_PRI_FAILURE)) {
		TH_LOG("page request groups sent and answered differ");
	}
	EXPECT_EQ(0, env_delta(before, after, SVA_DMA_CNT_PRI_FAILURE));
	EXPECT_EQ(0, env_delta(before, after, SVA_DMA_CNT_PRI_UNEXPECTED));
}

/* Files are released a moment after their process is gone, when a worker held its mm. */
static int env_wait_available(const struct sva_device *device, int wanted)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;

	while (sva_available(device) != wanted && sva_now_ms() < end)
		sva_relax();
	return sva_available(device);
}

static void env_teardown(struct __test_metadata *_metadata, struct sva_env *env)
{
	struct sva_dma_counters after;
	char line[256] = "";
	int i, channels;

	for (i = 0; i < 2; i++) {
		env_count(_metadata, env, i, &after, &channels);
		env_ledger(_metadata, &env->before[i], &after);
		EXPECT_EQ(channels, env_wait_available(&env->sva[i], channels)) {
			TH_LOG("channels of %s did not come back", env->sva[i].node);
		}
	}
	i = env_complaints(env, NULL, line, sizeof(line));
	if (!env->noisy) {
		EXPECT_EQ(0, i) {
			TH_LOG("the kernel complained: %s", line);
		}
	}
	close(env->kmsg);
}

/* ---- jobs ---- */

static void start_at(struct __test_metadata *_metadata, int line, struct sva_queue *q,
		     const struct sva_device *device)
{
	ASSERT_EQ(0, sva_open(q, device)) {
		TH_LOG("line %d: %s", line, q->error);
	}
	ASSERT_EQ(0, sva_start(q)) {
		TH_LOG("line %d: %s", line, q->error);
	}
}

static struct sva_result run_ok_at(struct __test_metadata *_metadata, int line,
				   struct sva_queue *q, struct sva_job job)
{
	struct sva_result result = sva_run(q, &job);

	ASSERT_EQ(SVA_DMA_DONE, result.status) {
		TH_LOG("line %d: %s at %#llx after %llu bytes", line,
		       sva_status_name(result.status), (unsigned long long)result.fault_addr,
		       (unsigned long long)result.bytes);
	}
	return result;
}

/* The IOMMU or the kernel refused it; that is not a time-out, a stop, or a bad job. */
static bool is_refusal(int status)
{
	return status == SVA_DMA_ERR_TRANSLATION || status == SVA_DMA_ERR_PRI_INVALID ||
	       status == SVA_DMA_ERR_ATS || status == SVA_DMA_ERR_FAULT;
}

static struct sva_result refused_at(struct __test_metadata *_metadata, int line,
				    struct sva_queue *q, struct sva_job job)
{
	struct sva_result result = sva_run(q, &job);

	ASSERT_TRUE(is_refusal(result.status)) {
		TH_LOG("line %d: should have been refused: %s", line,
		       sva_status_name(result.status));
	}
	return result;
}

/* A job that goes on until it is refused or aborted; returns after its first pass. */
static void background_at(struct __test_metadata *_metadata, int line, struct sva_queue *q,
			  struct sva_job job)
{
	struct sva_result result;

	job.repeat = SVA_FOREVER;
	if (!job.pace)
		job.pace = 1000;
	sva_submit(q, &job);
	result = sva_wait_progress(q, job.len);
	ASSERT_EQ(SVA_DMA_RUNNING, result.status) {
		TH_LOG("line %d: %s at %#llx", line, sva_status_name(result.status),
		       (unsigned long long)result.fault_addr);
	}
}

#define start(...)	start_at(_metadata, __LINE__, __VA_ARGS__)
#define run_ok(...)	run_ok_at(_metadata, __LINE__, __VA_ARGS__)
#define refused(...)	refused_at(_metadata, __LINE__, __VA_ARGS__)
#define background(...)	background_at(_metadata, __LINE__, __VA_ARGS__)

static __u64 counter(struct __test_metadata *_metadata, struct sva_queue *q, int which)
{
	struct sva_dma_counters now;

	ASSERT_EQ(0, sva_counters(q, &now)) {
		TH_LOG("%s", q->error);
	}
	return now.value[which];
}

/*
 * How many entries of the ATC hold @len bytes at @addr, which are there and writable: as many as it
 * takes translation requests to fill an empty ATC. An invalidation in between, of pages that the
 * kernel moves, spoils the count: again.
 */
static __u64 atc_entries(struct __test_metadata *_metadata, struct sva_queue *q,
			 const void *addr, size_t len)
{
	struct sva_dma_counters before, after;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, sva_control(q, SVA_DMA_CTRL_DROP_ATC));
		ASSERT_EQ(0, sva_counters(q, &before));
		run_ok(q, sva_checksum(addr, len));
		ASSERT_EQ(0, sva_counters(q, &after));
		if (before.value[SVA_DMA_CNT_INV_ENTRIES] == after.value[SVA_DMA_CNT_INV_ENTRIES])
			break;
	}
	return after.value[SVA_DMA_CNT_ATS_REQUESTS] - before.value[SVA_DMA_CNT_ATS_REQUESTS];
}

/* A device that stalls has no ATC. */
#define EXPECT_ATC_ENTRIES(env, q, addr, len, wanted) do {				\
	if (!(env)->sva[0].stall) {							\
		EXPECT_EQ(wanted, atc_entries(_metadata, q, addr, len)) {		\
			TH_LOG("line %d: translations of another size", __LINE__);	\
		}									\
	}										\
} while (0)

/* ---- memory ---- */

static void *anon_at(struct __test_metadata *_metadata, size_t len, int prot)
{
	void *memory = mmap(ANYWHERE, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, memory);
	return memory;
}

#define anon(len)	((__u8 *)anon_at(_metadata, len, RW))

/* Address space whose huge pages are whole: @len bytes aligned to a huge page. */
static __u8 *anon_aligned(struct __test_metadata *_metadata, size_t len)
{
	void *memory = mmap(ANYWHERE, len + HUGE_PAGE, RW,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t start = (uintptr_t)memory;
	uintptr_t aligned = (start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);

	ASSERT_NE(MAP_FAILED, memory);
	munmap((void *)start, aligned - start);
	munmap((void *)(aligned + len), start + HUGE_PAGE - aligned);
	return (__u8 *)aligned;
}

/* Offset of the first byte that is not @byte, or -1. */
static ssize_t differs(const void *memory, size_t len, __u8 byte)
{
	const __u8 *p = memory;
	size_t i = 0;

	if (len && p[0] == byte && !memcmp(p, p + 1, len - 1))
		return -1;
	while (i < len && p[i] == byte)
		i++;
	return i < len ? (ssize_t)i : -1;
}

static __u32 next_random(__u32 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Bytes that differ from page to page and do not repeat within one. */
static void pattern(void *memory, size_t len, __u32 seed)
{
	__u32 state = seed * 2654435761U + 1;
	__u8 *p = memory;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = next_random(&state) >> 8;
}

static ssize_t differs_from_pattern(const void *memory, size_t len, __u32 seed)
{
	__u32 state = seed * 2654435761U + 1;
	const __u8 *p = memory;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != (__u8)(next_random(&state) >> 8))
			return i;
	return -1;
}

/* Value of @field, in KiB, of the mapping that holds @addr; -1 if there is none. */
static long smaps_kb(const void *addr, const char *field)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long from, to;
	bool inside = false;
	long value = -1;
	char line[512];

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= (uintptr_t)addr && (uintptr_t)addr < to;
		else if (inside && !strncmp(line, field, strlen(field)) &&
			 line[strlen(field)] == ':')
			value = atol(line + strlen(field) + 1);
	}
	fclose(file);
	return value;
}

static void frames_of(const void *memory, size_t pages, __u64 *frame)
{
	size_t i;

	for (i = 0; i < pages; i++)
		frame[i] = sva_frame_of((const __u8 *)memory + i * PAGE);
}

/* How many frames of @a are among those of @b. */
static size_t frames_in_common(const __u64 *a, const __u64 *b, size_t pages)
{
	size_t i, j, common = 0;

	for (i = 0; i < pages; i++)
		for (j = 0; a[i] && j < pages; j++)
			common += a[i] == b[j];
	return common;
}

/* This thread gets next the frames that it frees: they wait on lists of the CPU. */
static void stay_on_this_cpu(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
}

/*
 * For scan-log, which looks at the log afterwards: lines that match @pattern must (SVA-EXPECT) or
 * may (SVA-ALLOW) follow, up to the END of the same name.
 */
static void kmsg_mark(const char *what, const char *pattern)
{
	char line[256];

	snprintf(line, sizeof(line), "%s %s", what, pattern);
	sva_write_text("/dev/kmsg", line);
}

/* What the base logs of a transaction whose PASID has no context descriptor */
/* And of a stall that a reset refuses, or whose memory has gone meanwhile */
#define EVENT_OF_A_STALL \
	"arm-smmu-v3 .*: (event 0x(0[8a]|1[03]) received:|\\s+0x[0-9a-f]{16})$"
#define EVENT_WITHOUT_CD	"arm-smmu-v3 .*: (event 0x0[8a] received:|\\s+0x[0-9a-f]{16})$"

static long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

/* What the kernel counts of the page requests of a device: a line of its file in debugfs. */
static long iopf_count_at(struct __test_metadata *_metadata, int line,
			  const struct sva_device *device, const char *name)
{
	long found = sva_iopf_count(device, name);

	ASSERT_LE(0, found) {
		TH_LOG("line %d: no count '%s' of %s", line, name, device->bdf);
	}
	return found;
}

#define iopf_count(...)	iopf_count_at(_metadata, __LINE__, __VA_ARGS__)

static long await_iopf_count_from(struct __test_metadata *_metadata, int line,
				  const struct sva_device *device, const char *name, long least)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	long count;

	while ((count = iopf_count_at(_metadata, line, device, name)) < least &&
	       sva_now_ms() < end)
		sva_relax();
	ASSERT_LE(least, count) {
		TH_LOG("line %d: groups or requests '%s'", line, name);
	}
	return count;
}

static void await_iopf_count_at(struct __test_metadata *_metadata, int line,
				const struct sva_device *device, const char *name, long wanted)
{
	ASSERT_EQ(wanted, await_iopf_count_from(_metadata, line, device, name, wanted)) {
		TH_LOG("line %d: groups or requests '%s'", line, name);
	}
}

#define await_iopf_count_above(device, name, count)					\
	await_iopf_count_from(_metadata, __LINE__, device, name, (count) + 1)
#define await_iopf_count(...)	await_iopf_count_at(_metadata, __LINE__, __VA_ARGS__)

static void pci_write_at(struct __test_metadata *_metadata, int line, const char *bdf,
			 const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	ASSERT_EQ(0, sva_write_text(path, text)) {
		TH_LOG("line %d: writing to %s failed", line, path);
	}
}

#define pci_write(...)	pci_write_at(_metadata, __LINE__, __VA_ARGS__)

/*
 * Memory decoding of a function. Without it, its registers read all ones and ignore writes: the
 * function goes on with its jobs.
 */
static void pci_listens_at(struct __test_metadata *_metadata, int line, const char *bdf,
			   bool listens)
{
	char path[128];
	__u16 command;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_EQ(sizeof(command), pread(fd, &command, sizeof(command), PCI_COMMAND)) {
		TH_LOG("line %d: %s", line, path);
	}
	if (listens)
		command |= PCI_COMMAND_MEMORY;
	else
		command &= ~PCI_COMMAND_MEMORY;
	ASSERT_EQ(sizeof(command), pwrite(fd, &command, sizeof(command), PCI_COMMAND)) {
		TH_LOG("line %d: %s", line, path);
	}
	close(fd);
}

#define pci_listens(...)	pci_listens_at(_metadata, __LINE__, __VA_ARGS__)

/* ---- processes ---- */

/* Two pipes, one each way. */
struct line {
	int in;
	int out;
};

/* Another process, and a line to it. */
struct peer {
	pid_t pid;
	struct line line;
};

static bool tell(struct line line, const void *what, ssize_t len)
{
	return write(line.out, what, len) == len;
}

/* False if the other end is gone. */
static bool hear(struct line line, void *what, ssize_t len)
{
	return read(line.in, what, len) == len;
}

static void post(struct line line)
{
	if (!tell(line, "", 1))
		_exit(250);
}

static bool await(struct line line)
{
	char byte;

	return hear(line, &byte, 1);
}

static void hang_up(struct line line)
{
	close(line.in);
	close(line.out);
}

/* @body runs in the new process, whose exit status is what it returns. */
static void peer_start(struct __test_metadata *_metadata, struct peer *peer,
		       int (*body)(struct line line, void *arg), void *arg)
{
	int there[2], back[2];
	struct line line;

	ASSERT_EQ(0, pipe2(there, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(back, O_CLOEXEC));
	peer->line = (struct line) { .in = back[0], .out = there[1] };
	line = (struct line) { .in = there[0], .out = back[1] };
	fflush(NULL);
	peer->pid = fork();
	ASSERT_LE(0, peer->pid);
	if (!peer->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		hang_up(peer->line);
		_exit(body(line, arg));
	}
	hang_up(line);
}

static int peer_wait(struct peer *peer)
{
	int status = -1;

	hang_up(peer->line);
	if (waitpid(peer->pid, &status, 0) != peer->pid)
		return -1;
	return status;
}

static void peer_ends_well_at(struct __test_metadata *_metadata, int line, struct peer *peer)
{
	int status = peer_wait(peer);

	EXPECT_EQ(0, status) {
		TH_LOG("line %d: the other process failed with wait status %#x", line, status);
	}
}

#define peer_ends_well(...)	peer_ends_well_at(_metadata, __LINE__, __VA_ARGS__)

/* In a peer, or in a program that it has become: a false condition ends it. */
static void check_at(const char *file, int line, const char *condition, bool holds)
{
	if (holds)
		return;
	fprintf(stderr, "# %s:%d: %s\n", file, line, condition);
	fflush(stderr);
	_exit(1);
}

#define CHECK(condition)	check_at(__FILE__, __LINE__, #condition, condition)

/* Does reading @addr raise SIGSEGV or SIGBUS? Returns the signal, or 0. */
static sigjmp_buf probe_env;

static void probe_handler(int sig)
{
	siglongjmp(probe_env, sig);
}

static int probe(const volatile void *addr)
{
	struct sigaction new = { .sa_handler = probe_handler }, segv, bus;
	int sig;

	sigaction(SIGSEGV, &new, &segv);
	sigaction(SIGBUS, &new, &bus);
	sig = sigsetjmp(probe_env, 1);
	if (!sig)
		(void)*(const volatile __u32 *)addr;
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

#endif /* SVA_TEST_H */
