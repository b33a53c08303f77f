// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <misc/uacce/uacce.h>

#include "sva_queue.h"

#define UACCE_CLASS	"/sys/class/uacce"
#define GONE		0xffffffffU
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define FNV_OFFSET	0xcbf29ce484222325ULL
#define FNV_PRIME	0x100000001b3ULL

__s64 sva_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void sva_relax(void)
{
	nanosleep(&(struct timespec) { .tv_nsec = 100000 }, NULL);
}

int sva_log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	lseek(fd, 0, SEEK_END);
	return fd;
}

/* What the kernel says of its clocks and timers on a machine whose CPUs have not run for a while */
static int is_of_a_busy_machine(const char *text, size_t len)
{
	static const char * const clocks[] = {
		"hrtimer: interrupt took", "clocksource: ", "tsc: ",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(clocks); i++)
		if (len >= strlen(clocks[i]) && !memcmp(text, clocks[i], strlen(clocks[i])))
			return 1;
	return 0;
}

/*
 * SMMUv3's driver logs events at level info. An IOMMU's driver that speaks while tests run has an
 * event or an error to report, but for a queue or a log that overflows, which loses no request.
 */
enum sva_log sva_log_kind(const char *record)
{
	static const char * const drivers[] = {
		"arm-smmu-v3 ", "DMAR: ", "DMAR-IR: ", "AMD-Vi: ", "iommu: ",
	};
	const char *text = strchr(record, ';');
	int level = atoi(record);
	size_t i, len;

	/* A level with a facility is that of a program, which may be the test. */
	if (!text || level > 7)
		return SVA_LOG_FINE;
	len = strcspn(++text, "\n");
	/* A suppressed message has been logged once, with its own level. */
	if (memmem(text, len, "callbacks suppressed", 20) || is_of_a_busy_machine(text, len))
		return SVA_LOG_FINE;
	if (level <= 4)
		return SVA_LOG_WARNING;
	for (i = 0; i < ARRAY_SIZE(drivers); i++)
		if (memmem(text, len, drivers[i], strlen(drivers[i])) &&
		    !memmem(text, len, "queue overflowed", 16) &&
		    !memmem(text, len, "PPR log restarting", 18))
			return SVA_LOG_IOMMU_EVENT;
	return SVA_LOG_FINE;
}

__u64 sva_fnv1a(const void *data, size_t len)
{
	const __u8 *byte = data;
	__u64 hash = FNV_OFFSET;

	while (len--)
		hash = (hash ^ *byte++) * FNV_PRIME;
	return hash;
}

/* errno as a negative number, after keeping a line about it. */
__attribute__((format(printf, 2, 3)))
static int failed(struct sva_queue *queue, const char *what, ...)
{
	int error = errno;
	va_list args;
	int n;

	va_start(args, what);
	n = vsnprintf(queue->error, sizeof(queue->error), what, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(queue->error))
		snprintf(queue->error + n, sizeof(queue->error) - n, ": %s", strerror(error));
	return -error;
}

/* Length read, or -1; the text ends in NUL, a line feed at its end is removed. */
static int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return -1;
	if (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return n;
}

static bool has_ext_capability(const char *bdf, __u16 wanted)
{
	char path[128];
	__u32 header;
	int offset = PCI_CFG_SPACE_SIZE;
	bool found = false;
	int fd, hops;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* A capability takes 8 bytes at least: more hops than that would be a loop. */
	for (hops = (PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8; offset && hops; hops--) {
		if (pread(fd, &header, sizeof(header), offset) != sizeof(header))
			break;
		if (PCI_EXT_CAP_ID(header) == wanted) {
			found = true;
			break;
		}
		offset = PCI_EXT_CAP_NEXT(header);
	}
	close(fd);
	return found;
}

static int describe(struct sva_device *device, const char *name)
{
	char path[PATH_MAX], link[PATH_MAX], flags[32];
	ssize_t n;

	memset(device, 0, sizeof(*device));
	if (strlen(name) > 32)
		return -1;
	snprintf(device->node, sizeof(device->node), "/dev/%.32s", name);
	snprintf(device->uacce, sizeof(device->uacce), UACCE_CLASS "/%.32s", name);

	snprintf(path, sizeof(path), "%s/device", device->uacce);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -1;
	link[n] = '\0';
	snprintf(device->bdf, sizeof(device->bdf), "%.31s", strrchr(link, '/') + 1);

	snprintf(path, sizeof(path), "%s/flags", device->uacce);
	if (read_text(path, flags, sizeof(flags)) <= 0)
		return -1;
	device->sva = strtoul(flags, NULL, 0) & 1; /* UACCE_DEV_SVA */
	device->pasid = has_ext_capability(device->bdf, PCI_EXT_CAP_ID_PASID);
	device->pri = has_ext_capability(device->bdf, PCI_EXT_CAP_ID_PRI);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/of_node/dma-can-stall", device->bdf);
	device->stall = !access(path, F_OK);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/own_faults", device->bdf);
	device->own_faults = read_text(path, flags, sizeof(flags)) > 0 && atoi(flags);
	return 0;
}

static int by_bdf(const void *a, const void *b)
{
	return strcmp(((const struct sva_device *)a)->bdf, ((const struct sva_device *)b)->bdf);
}

int sva_devices(struct sva_device *devices, int max)
{
	DIR *dir = opendir(UACCE_CLASS);
	struct dirent *entry;
	int n = 0;

	if (!dir)
		return 0;
	while (n < max && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "sva_dma-", 8) && !describe(&devices[n], entry->d_name))
			n++;
	closedir(dir);
	qsort(devices, n, sizeof(*devices), by_bdf);
	return n;
}

int sva_find_again(struct sva_device *device, const char *bdf)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	struct sva_device all[SVA_MAX_DEVICES];
	struct stat st;
	int n, i;

	do {
		n = sva_devices(all, SVA_MAX_DEVICES);
		for (i = 0; i < n; i++) {
			if (strcmp(all[i].bdf, bdf) || stat(all[i].node, &st))
				continue;
			*device = all[i];
			return 0;
		}
		sva_relax();
	} while (sva_now_ms() < end);
	return -ENODEV;
}

int sva_rescan(const char *bdf)
{
	const char *colon = strrchr(bdf, ':');
	char path[PATH_MAX];

	if (!colon)
		return -EINVAL;
	snprintf(path, sizeof(path), "/sys/class/pci_bus/%.*s/rescan", (int)(colon - bdf), bdf);
	return sva_write_text(path, "1");
}

int sva_available(const struct sva_device *device)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "%s/available_instances", device->uacce);
	if (read_text(path, text, sizeof(text)) <= 0)
		return -errno;
	return atoi(text);
}

static int read_info(struct sva_queue *queue)
{
	if (ioctl(queue->fd, SVA_DMA_IOC_INFO, &queue->info))
		return failed(queue, "SVA_DMA_IOC_INFO");
	return 0;
}

int sva_open(struct sva_queue *queue, const struct sva_device *device)
{
	int ret;

	*queue = (struct sva_queue)SVA_QUEUE_CLOSED;
	queue->fd = open(device->node, O_RDWR | O_CLOEXEC);
	if (queue->fd < 0)
		return failed(queue, "open %s", device->node);
	ret = read_info(queue);
	if (ret)
		sva_close(queue);
	return ret;
}

int sva_start(struct sva_queue *queue)
{
	void *page;

	if (ioctl(queue->fd, UACCE_CMD_START_Q))
		return failed(queue, "UACCE_CMD_START_Q");
	if (!queue->job) {
		page = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd,
			    UACCE_QFRT_MMIO * getpagesize());
		if (page == MAP_FAILED)
			return failed(queue, "mmap of the job page");
		queue->job = page;
	}
	return read_info(queue);
}

int sva_stop(struct sva_queue *queue)
{
	return ioctl(queue->fd, UACCE_CMD_PUT_Q) ? failed(queue, "UACCE_CMD_PUT_Q") : 0;
}

void sva_close(struct sva_queue *queue)
{
	if (queue->job)
		munmap((void *)queue->job, getpagesize());
	if (queue->fd >= 0)
		close(queue->fd);
	queue->job = NULL;
	queue->fd = -1;
}

static __u32 job_read(struct sva_queue *queue, unsigned int reg)
{
	return *(volatile __u32 *)(queue->job + reg);
}

static void job_write(struct sva_queue *queue, unsigned int reg, __u32 value)
{
	*(volatile __u32 *)(queue->job + reg) = value;
}

/* In two halves, high half checked again: the register may move on in between. */
static __u64 job_read64(struct sva_queue *queue, unsigned int reg)
{
	__u32 high, low;

	do {
		high = job_read(queue, reg + 4);
		low = job_read(queue, reg);
	} while (job_read(queue, reg + 4) != high);
	return (__u64)high << 32 | low;
}

static void job_write64(struct sva_queue *queue, unsigned int reg, __u64 value)
{
	job_write(queue, reg, value);
	job_write(queue, reg + 4, value >> 32);
}

void sva_submit(struct sva_queue *queue, const struct sva_job *job)
{
	job_write(queue, SVA_DMA_JOB_OP, job->op);
	job_write64(queue, SVA_DMA_JOB_SRC, job->src);
	job_write64(queue, SVA_DMA_JOB_DST, job->dst);
	job_write64(queue, SVA_DMA_JOB_LEN, job->len);
	job_write64(queue, SVA_DMA_JOB_ARG0, job->arg0);
	job_write64(queue, SVA_DMA_JOB_ARG1, job->arg1);
	job_write(queue, SVA_DMA_JOB_REPEAT, job->repeat);
	job_write(queue, SVA_DMA_JOB_PACE, job->pace);
	job_write64(queue, SVA_DMA_JOB_STEP, job->step);
	/* What the CPU wrote to memory must be there before the device looks. */
	__sync_synchronize();
	job_write(queue, SVA_DMA_JOB_START, 1);
}

struct sva_result sva_peek(struct sva_queue *queue)
{
	struct sva_result result;

	/*
	 * Status first: once it says that the job has ended, the rest does not change, unless a
	 * reset makes all of it zero. Then the status has changed, too.
	 */
	do {
		result.status = job_read(queue, SVA_DMA_JOB_STATUS);
		__sync_synchronize();
		result.passes = job_read(queue, SVA_DMA_JOB_PASSES);
		result.value = job_read64(queue, SVA_DMA_JOB_RESULT);
		result.bytes = job_read64(queue, SVA_DMA_JOB_BYTES);
		result.fault_addr = job_read64(queue, SVA_DMA_JOB_FAULT_ADDR);
		__sync_synchronize();
	} while (result.status != SVA_DMA_RUNNING &&
		 (int)job_read(queue, SVA_DMA_JOB_STATUS) != result.status);
	return result;
}

/* The registers of a device that has just gone, or is about to be reset, read all ones. */
static bool job_ended(struct sva_queue *queue)
{
	__u32 status = job_read(queue, SVA_DMA_JOB_STATUS);

	return status != SVA_DMA_RUNNING && status != GONE;
}

static struct sva_result wait_job(struct sva_queue *queue, __u64 bytes)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	struct sva_result result;

	while (!job_ended(queue) && job_read64(queue, SVA_DMA_JOB_BYTES) < bytes) {
		if (sva_now_ms() > end) {
			result = sva_peek(queue);
			result.status = -ETIMEDOUT;
			return result;
		}
		sva_relax();
	}
	return sva_peek(queue);
}

struct sva_result sva_wait(struct sva_queue *queue)
{
	return wait_job(queue, UINT64_MAX);
}

struct sva_result sva_wait_progress(struct sva_queue *queue, __u64 bytes)
{
	return wait_job(queue, job_read64(queue, SVA_DMA_JOB_BYTES) + bytes);
}

struct sva_result sva_run(struct sva_queue *queue, const struct sva_job *job)
{
	sva_submit(queue, job);
	return sva_wait(queue);
}

struct sva_result sva_abort(struct sva_queue *queue)
{
	job_write(queue, SVA_DMA_JOB_ABORT, 1);
	return sva_wait(queue);
}

int sva_counters(struct sva_queue *queue, struct sva_dma_counters *counters)
{
	if (ioctl(queue->fd, SVA_DMA_IOC_COUNTERS, counters))
		return failed(queue, "SVA_DMA_IOC_COUNTERS");
	return 0;
}

int sva_settled_counters(struct sva_queue *queue, struct sva_dma_counters *counters)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	int ret;

	for (;;) {
		ret = sva_counters(queue, counters);
		if (ret || !counters->pri_pending)
			return ret;
		if (sva_now_ms() > end) {
			errno = ETIMEDOUT;
			return failed(queue, "a page request group is still unanswered");
		}
		sva_relax();
	}
}

int sva_control(struct sva_queue *queue, __u32 bits)
{
	return ioctl(queue->fd, SVA_DMA_IOC_CONTROL, &bits) ?
	       failed(queue, "SVA_DMA_IOC_CONTROL") : 0;
}

int sva_raw_send(struct sva_queue *queue, __u32 pasid, __u64 addr, __u32 flags)
{
	struct sva_dma_raw raw = { .addr = addr, .pasid = pasid, .flags = flags };

	if (ioctl(queue->fd, SVA_DMA_IOC_RAW_SEND, &raw))
		return failed(queue, "SVA_DMA_IOC_RAW_SEND");
	return raw.status;
}

int sva_raw_recv(struct sva_queue *queue, int timeout_ms, __u32 *resp)
{
	__s64 end = sva_now_ms() + timeout_ms;

	while (ioctl(queue->fd, SVA_DMA_IOC_RAW_RECV, resp)) {
		if (errno != ENODATA || sva_now_ms() > end)
			return failed(queue, "SVA_DMA_IOC_RAW_RECV");
		sva_relax();
	}
	return 0;
}

int sva_listen(struct sva_queue *queue, int fd)
{
	return ioctl(queue->fd, SVA_DMA_IOC_FAULT_FD, &fd) ?
	       failed(queue, "SVA_DMA_IOC_FAULT_FD") : 0;
}

int sva_next_fault(struct sva_queue *queue, struct sva_dma_fault *fault)
{
	return ioctl(queue->fd, SVA_DMA_IOC_FAULT, fault) ? failed(queue, "SVA_DMA_IOC_FAULT") : 0;
}

int sva_use_pasid(struct sva_queue *queue, __u32 pasid)
{
	return ioctl(queue->fd, SVA_DMA_IOC_PASID, &pasid) ?
	       failed(queue, "SVA_DMA_IOC_PASID") : 0;
}

const char *sva_status_name(int status)
{
	static const char * const names[] = {
		[SVA_DMA_IDLE] = "idle",
		[SVA_DMA_RUNNING] = "running",
		[SVA_DMA_DONE] = "done",
		[SVA_DMA_ERR_OP] = "impossible operation",
		[SVA_DMA_ERR_TRANSLATION] = "translation refused",
		[SVA_DMA_ERR_PRI_INVALID] = "page request answered Invalid Request",
		[SVA_DMA_ERR_PRI_FAILURE] = "page request answered Response Failure",
		[SVA_DMA_ERR_ATS] = "translation request failed",
		[SVA_DMA_ERR_BUS] = "not memory",
		[SVA_DMA_ERR_STOPPED] = "stopped",
		[SVA_DMA_ERR_DISABLED] = "channel not enabled",
		[SVA_DMA_ERR_FAULT] = "fault not served",
	};

	if (status < 0)
		return strerror(-status);
	if (status >= (int)ARRAY_SIZE(names) || !names[status])
		return "unknown status";
	return names[status];
}

const char *sva_counter_name(int counter)
{
	static const char * const names[SVA_DMA_NR_COUNTERS] = {
		[SVA_DMA_CNT_JOBS_DONE] = "jobs done",
		[SVA_DMA_CNT_JOBS_FAILED] = "jobs failed",
		[SVA_DMA_CNT_BYTES_READ] = "bytes read",
		[SVA_DMA_CNT_BYTES_WRITTEN] = "bytes written",
		[SVA_DMA_CNT_ATC_HITS] = "ATC hits",
		[SVA_DMA_CNT_ATC_MISSES] = "ATC misses",
		[SVA_DMA_CNT_ATC_EVICTIONS] = "ATC evictions",
		[SVA_DMA_CNT_ATS_REQUESTS] = "translation requests",
		[SVA_DMA_CNT_ATS_GRANTED] = "translations granted",
		[SVA_DMA_CNT_ATS_DENIED] = "translations denied",
		[SVA_DMA_CNT_ATS_ERRORS] = "translation errors",
		[SVA_DMA_CNT_PRI_REQUESTS] = "page requests",
		[SVA_DMA_CNT_PRI_GROUPS] = "page request groups",
		[SVA_DMA_CNT_PRI_SUCCESS] = "answered Success",
		[SVA_DMA_CNT_PRI_INVALID] = "answered Invalid Request",
		[SVA_DMA_CNT_PRI_FAILURE] = "answered Response Failure",
		[SVA_DMA_CNT_PRI_UNEXPECTED] = "unexpected answers",
		[SVA_DMA_CNT_PRI_REFUSED] = "page requests refused",
		[SVA_DMA_CNT_PRI_CREDIT_WAITS] = "waits for a credit",
		[SVA_DMA_CNT_PRI_STOP_MARKERS] = "stop markers",
		[SVA_DMA_CNT_INV_PASID] = "invalidations with a PASID",
		[SVA_DMA_CNT_INV_GLOBAL] = "invalidations without a PASID",
		[SVA_DMA_CNT_INV_ENTRIES] = "ATC entries invalidated",
		[SVA_DMA_CNT_RESETS] = "resets",
		[SVA_DMA_CNT_STALLS] = "stalls",
		[SVA_DMA_CNT_STALLS_RETRIED] = "stalls retried",
		[SVA_DMA_CNT_STALLS_ABORTED] = "stalls aborted",
		[SVA_DMA_CNT_INV_LATE] = "late invalidations",
		[SVA_DMA_CNT_FAULTS] = "own faults",
		[SVA_DMA_CNT_FAULTS_RESUMED] = "own faults resumed",
		[SVA_DMA_CNT_FAULTS_FAILED] = "own faults failed",
		[SVA_DMA_CNT_FAULT_WAITS] = "waits for room in the fault log",
	};

	return counter >= 0 && counter < SVA_DMA_NR_COUNTERS ? names[counter] : "?";
}

long sva_iopf_count(const struct sva_device *device, const char *name)
{
	char path[128], field[32];
	long value, found = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/iommu-sva/devices/%s", device->bdf);
	file = fopen(path, "re");
	while (file && fscanf(file, "%31s %ld", field, &value) == 2)
		if (!strcmp(field, name))
			found = value;
	if (file)
		fclose(file);
	return found;
}

int sva_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n, len = strlen(text);
	int error;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	error = n < 0 ? -errno : 0;
	close(fd);
	return n == len ? 0 : error ?: -EIO;
}

__u64 sva_frame_of(const volatile void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	__u64 entry = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)addr / getpagesize() * sizeof(entry)) !=
	    sizeof(entry))
		entry = 0;
	close(fd);
	/* Present, not swapped */
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static void shrink_slabs(void)
{
	glob_t slabs;
	size_t i;

	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &slabs))
		return;
	/* A cache that is going has no use for it. */
	for (i = 0; i < slabs.gl_pathc; i++)
		sva_write_text(slabs.gl_pathv[i], "1");
	globfree(&slabs);
}

long sva_slab_kb(void)
{
	char line[128];
	long kb = -1;
	FILE *file;

	shrink_slabs();
	file = fopen("/proc/meminfo", "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "SUnreclaim: %ld", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb;
}
