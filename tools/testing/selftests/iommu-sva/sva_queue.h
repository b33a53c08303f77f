/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A queue of the test endpoint: find a device, open, start, submit jobs, wait for them, close.
 *
 * A struct sva_queue is one open file of /dev/sva_dma-N: one bond of the device with this process
 * and, once it is started, one DMA channel. Functions return 0 or a negative errno; the queue's
 * error then holds one line that says what failed. Every wait ends, at the latest after
 * SVA_TIMEOUT_MS: the emulated machine may be slow, so that is long.
 */
#ifndef SVA_QUEUE_H
#define SVA_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>
#include <misc/uacce/sva_dma_ioctl.h>

#define SVA_TIMEOUT_MS	150000
#define SVA_MAX_DEVICES	8
#define SVA_FOREVER	0xffffffffU	/* for sva_job.repeat */

/**
 * struct sva_device - one test endpoint
 * @node: character device, "/dev/sva_dma-0"
 * @bdf: PCI address, "0000:01:00.0"
 * @uacce: directory in sysfs, "/sys/class/uacce/sva_dma-0"
 * @pasid: the device has the PASID capability
 * @pri: the device has the PRI capability
 * @stall: the IOMMU may keep its accesses waiting instead: there are no page requests and no ATC
 * @own_faults: the device has a fault log of its own instead
 * @sva: uacce was granted SVA, which it does not ask for if there are neither PRI nor stalls
 */
struct sva_device {
	char node[64];
	char bdf[32];
	char uacce[128];
	bool pasid;
	bool pri;
	bool stall;
	bool own_faults;
	bool sva;
};

struct sva_queue {
	int fd;
	volatile __u8 *job;
	struct sva_dma_info info;
	char error[256];
};

struct sva_job {
	__u32 op;
	__u32 repeat;
	__u32 pace;
	__u64 src;
	__u64 dst;
	__u64 len;
	__u64 arg0;
	__u64 arg1;
	__u64 step;
};

/* How a job ended. status is one of enum sva_dma_status, or a negative errno. */
struct sva_result {
	int status;
	__u32 passes;
	__u64 value;
	__u64 bytes;
	__u64 fault_addr;
};

#define SVA_QUEUE_CLOSED	{ .fd = -1 }

/* Devices in the order of their PCI addresses. Returns how many there are. */
int sva_devices(struct sva_device *devices, int max);
/* Waits for the device at @bdf, which may have another node after its driver was bound again. */
int sva_find_again(struct sva_device *device, const char *bdf);
/*
 * Has the kernel look for devices on the bus of @bdf only. When it looks at all of them, it may
 * take each port's numbers away for a moment, and with them the requester IDs of devices that work.
 */
int sva_rescan(const char *bdf);

/* Channels that are free, or a negative errno. */
int sva_available(const struct sva_device *device);

int sva_open(struct sva_queue *queue, const struct sva_device *device);

/* Take a channel, or start it again; map the job page unless it is mapped. */
int sva_start(struct sva_queue *queue);

/* When this returns, the device does nothing more for the queue. */
int sva_stop(struct sva_queue *queue);

/* Close the queue and free all it has, in any state. */
void sva_close(struct sva_queue *queue);

/* Write @job to the job page and start it. */
void sva_submit(struct sva_queue *queue, const struct sva_job *job);

/* The latest job as the job page shows it, whether or not it has ended. */
struct sva_result sva_peek(struct sva_queue *queue);

/* Wait until the latest job has ended. status is -ETIMEDOUT if it does not. */
struct sva_result sva_wait(struct sva_queue *queue);

/* Wait until the latest job has moved @bytes more, or has ended. */
struct sva_result sva_wait_progress(struct sva_queue *queue, __u64 bytes);

/* Submit and wait. */
struct sva_result sva_run(struct sva_queue *queue, const struct sva_job *job);

/* End the latest job and wait for that. */
struct sva_result sva_abort(struct sva_queue *queue);

int sva_counters(struct sva_queue *queue, struct sva_dma_counters *counters);

/* As sva_counters(), once no page request group is unanswered any more. */
int sva_settled_counters(struct sva_queue *queue, struct sva_dma_counters *counters);

/* SVA_DMA_CTRL_CLEAR, SVA_DMA_CTRL_DROP_ATC */
int sva_control(struct sva_queue *queue, __u32 bits);

/* Send one page request message. Returns SVA_DMA_RAW_* or a negative errno. */
int sva_raw_send(struct sva_queue *queue, __u32 pasid, __u64 addr, __u32 flags);

/* Take the oldest answer, waiting for one up to @timeout_ms; -ENODATA if none came. */
int sva_raw_recv(struct sva_queue *queue, int timeout_ms, __u32 *resp);

/* Have the eventfd @fd signalled for each fault of the bond that the kernel could not serve. */
int sva_listen(struct sva_queue *queue, int fd);

/* Take the oldest fault that was recorded; -ENODATA if there is none. */
int sva_next_fault(struct sva_queue *queue, struct sva_dma_fault *fault);

/* Use @pasid in place of the bond's from the next start on, as the device of a bad driver would. */
int sva_use_pasid(struct sva_queue *queue, __u32 pasid);
/* The number behind @name in the kernel's statistics of a device; -1: there is none */
long sva_iopf_count(const struct sva_device *device, const char *name);
/* Writes @text to a file of the kernel's; 0, or a negative error code */
int sva_write_text(const char *path, const char *text);
/* The page frame that @addr is in; 0: there is none, or the kernel does not say */
__u64 sva_frame_of(const volatile void *addr);
/*
 * Kernel memory in use that is not a cache of something else, in KiB; -1: not known. Free objects
 * that a slab cache keeps, or KASAN for a while, are given back first.
 */
long sva_slab_kb(void);

const char *sva_status_name(int status);
const char *sva_counter_name(int counter);

__s64 sva_now_ms(void);

/* Sleep a little between two looks at a condition. */
void sva_relax(void);

/* A reader of the kernel's log (/dev/kmsg), which does not wait and begins with what comes now */
int sva_log_open(void);

/* What a record of that log is */
enum sva_log {
	SVA_LOG_FINE,
	SVA_LOG_WARNING,	/* or worse */
	SVA_LOG_IOMMU_EVENT,	/* that an IOMMU's driver has logged, at whatever level */
};

enum sva_log sva_log_kind(const char *record);

/* What the device computes for SVA_DMA_OP_CHECKSUM. */
__u64 sva_fnv1a(const void *data, size_t len);

static inline __u32 sva_group(__u32 pages)
{
	return pages << SVA_DMA_OP_GROUP_SHIFT;
}

static inline struct sva_job sva_fill(const void *dst, size_t len, __u8 byte)
{
	return (struct sva_job) {
		.op = SVA_DMA_OP_FILL, .dst = (uintptr_t)dst, .len = len,
		.arg0 = byte * 0x0101010101010101ULL,
	};
}

static inline struct sva_job sva_copy(const void *dst, const void *src, size_t len)
{
	return (struct sva_job) {
		.op = SVA_DMA_OP_COPY, .dst = (uintptr_t)dst, .src = (uintptr_t)src, .len = len,
	};
}

static inline struct sva_job sva_checksum(const void *src, size_t len)
{
	return (struct sva_job) {
		.op = SVA_DMA_OP_CHECKSUM, .src = (uintptr_t)src, .len = len,
	};
}

static inline struct sva_job sva_cas(const void *dst, __u64 old, __u64 new)
{
	return (struct sva_job) {
		.op = SVA_DMA_OP_CAS, .dst = (uintptr_t)dst, .len = 8, .arg0 = old, .arg1 = new,
	};
}

#endif /* SVA_QUEUE_H */
