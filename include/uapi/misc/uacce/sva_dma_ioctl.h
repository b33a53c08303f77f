/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ioctls of /dev/sva_dma-N, beside those of uacce.
 *
 * UACCE_CMD_START_Q takes a channel, gives it the PASID of the process that opened the file and
 * enables it; the channel stays with the file until the file is closed, because the job page may
 * be mapped. UACCE_CMD_PUT_Q stops the channel; it can be started again.
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

/*
 * Errors common to all: -EAGAIN while the device is being reset (for UACCE_CMD_START_Q too),
 * -EIO when it did not come back, -ENXIO when the driver has let go of it.
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

#endif /* _UAPI_MISC_UACCE_SVA_DMA_IOCTL_H */
