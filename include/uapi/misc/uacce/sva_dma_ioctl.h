/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ioctls of /dev/sva_dma-N, beside those of uacce.
 *
 * UACCE_CMD_START_Q takes a channel, gives it the PASID of the process that opened the file and
 * enables it; the channel stays with the file until the file is closed, because the job page may
 * be mapped. UACCE_CMD_PUT_Q stops the channel; it can be started again. Starting and mapping fail
 * with -EPERM in another process than that which opened the file, unless it has CAP_SYS_RAWIO.
 *
 * poll() says EPOLLIN when the latest job has ended, EPOLLERR | EPOLLHUP when no device will end
 * it.
 */
#ifndef _UAPI_MISC_UACCE_SVA_DMA_IOCTL_H
#define _UAPI_MISC_UACCE_SVA_DMA_IOCTL_H

#include <linux/types.h>
#include <linux/ioctl.h>
#include <misc/uacce/sva_dma.h>

#define SVA_DMA_NO_CHANNEL	0xffffffff

/**
 * struct sva_dma_info - what one open file has and what its device can do
 * @channel: channel of the file, SVA_DMA_NO_CHANNEL before the first start
 * @pasid: PASID of the bond
 * @channels: number of channels of the device
 * @pasid_bits: width of the PASIDs that the device can send
 * @atc_entries: size of the device's address translation cache
 * @reserved: zero
 */
struct sva_dma_info {
	__u32 channel;
	__u32 pasid;
	__u32 channels;
	__u32 pasid_bits;
	__u32 atc_entries;
	__u32 reserved;
};

/**
 * struct sva_dma_counters - snapshot of the device's counters
 * @value: indexed by enum sva_dma_counter
 * @pri_pending: 1 if a page request group was unanswered when the snapshot began
 * @reserved: zero
 */
struct sva_dma_counters {
	__u64 value[SVA_DMA_NR_COUNTERS];
	__u32 pri_pending;
	__u32 reserved;
};

/**
 * struct sva_dma_raw - one page request message, sane or not
 * @addr: address, whose low 12 bits are not sent
 * @pasid: PASID
 * @flags: SVA_DMA_RAW_* and the PRG index
 * @status: set by the call: SVA_DMA_RAW_OK, _BUSY or _REFUSED
 * @reserved: must be zero
 */
struct sva_dma_raw {
	__u64 addr;
	__u32 pasid;
	__u32 flags;
	__u32 status;
	__u32 reserved;
};

/* Bits of &struct sva_dma_fault.access */
#define SVA_DMA_FAULT_READ	0x1
#define SVA_DMA_FAULT_WRITE	0x2
#define SVA_DMA_FAULT_EXEC	0x4
#define SVA_DMA_FAULT_PRIV	0x8

/**
 * enum sva_dma_fault_reason - why the device did not get a page
 * @SVA_DMA_FAULT_NO_MAPPING: the process has nothing at that address
 * @SVA_DMA_FAULT_NO_ACCESS: it has, but not for that access
 * @SVA_DMA_FAULT_NO_PAGE: what is mapped there could not give the page
 * @SVA_DMA_FAULT_TIMEOUT: the page did not come within the device's fault_time_limit_ms
 * @SVA_DMA_FAULT_EXITED: the process of the bond has exited; the last one, with address 0
 * @SVA_DMA_FAULT_ABORTED: the IOMMU has aborted the access; access is 0
 */
enum sva_dma_fault_reason {
	SVA_DMA_FAULT_NO_MAPPING = 1,
	SVA_DMA_FAULT_NO_ACCESS,
	SVA_DMA_FAULT_NO_PAGE,
	SVA_DMA_FAULT_TIMEOUT,
	SVA_DMA_FAULT_EXITED,
	SVA_DMA_FAULT_ABORTED,
};

/**
 * struct sva_dma_fault - a fault of the bond that the kernel could not serve
 * @addr: page that the device asked for
 * @access: SVA_DMA_FAULT_READ and so on: what it asked for
 * @reason: enum sva_dma_fault_reason
 * @lost: faults that came before this one and were overwritten, since they were not read in time
 */
struct sva_dma_fault {
	__u64 addr;
	__u32 access;
	__u32 reason;
	__u64 lost;
};

/*
 * Errors common to all but SVA_DMA_IOC_FAULT_FD and SVA_DMA_IOC_FAULT: -EAGAIN while the device is
 * being reset, or about to be (for UACCE_CMD_START_Q too), -EIO when it did not come back. To all:
 * -ENXIO when the driver has let go of it.
 */
#define SVA_DMA_IOC_INFO	_IOR('W', 0x40, struct sva_dma_info)
#define SVA_DMA_IOC_COUNTERS	_IOR('W', 0x41, struct sva_dma_counters)

/* Takes SVA_DMA_CTRL_CLEAR and SVA_DMA_CTRL_DROP_ATC; needs CAP_SYS_RAWIO. */
#define SVA_DMA_IOC_CONTROL	_IOW('W', 0x42, __u32)

/* Takes SVA_DMA_CHAN_NO_PRI or 0; -EBUSY once the queue is started. */
#define SVA_DMA_IOC_FLAGS	_IOW('W', 0x43, __u32)

/* Sends one page request message as given; needs CAP_SYS_RAWIO. */
#define SVA_DMA_IOC_RAW_SEND	_IOWR('W', 0x44, struct sva_dma_raw)

/* Takes the oldest answer (SVA_DMA_RAW_RESP_*); -ENODATA if none; needs CAP_SYS_RAWIO. */
#define SVA_DMA_IOC_RAW_RECV	_IOR('W', 0x45, __u32)

/*
 * Takes an eventfd, which is signalled for each fault of the bond that the kernel could not serve,
 * and once when the process of the bond exits; or -1: no more. The bond is shared by all files that
 * a process has opened of one device, so each of them hears of the faults of all. From the first
 * call on faults are recorded, the latest 16 of them. -ESRCH if the process has exited.
 */
#define SVA_DMA_IOC_FAULT_FD	_IOW('W', 0x46, __s32)

/* Takes the oldest recorded fault; -ENODATA if there is none. */
#define SVA_DMA_IOC_FAULT	_IOR('W', 0x47, struct sva_dma_fault)

/*
 * Takes the PASID that the queue is to use in place of its bond's: what the device of a bad driver
 * does, one that does not stop it before it unbinds, or mixes up its queues. 0 gives the queue its
 * own back. -EBUSY once it is started; needs CAP_SYS_RAWIO.
 */
#define SVA_DMA_IOC_PASID	_IOW('W', 0x48, __u32)

#endif /* _UAPI_MISC_UACCE_SVA_DMA_IOCTL_H */
