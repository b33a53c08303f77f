// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver of the test endpoint: ioctls of an open file
 *
 * An ioctl touches user memory without sva_dma.lock: uacce stops queues under uacce_queue.mutex,
 * which is outside of that lock and inside of mmap_lock (main.c has model, locks and lifetime).
 */
#include <linux/bitfield.h>
#include <linux/capability.h>
#include <linux/eventfd.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/uaccess.h>

#include "sva-dma.h"

#define RAW_FLAGS		(SVA_DMA_RAW_PRGI | SVA_DMA_RAW_READ | SVA_DMA_RAW_WRITE |	\
				 SVA_DMA_RAW_LAST | SVA_DMA_RAW_EXEC | SVA_DMA_RAW_PRIV |	\
				 SVA_DMA_RAW_STOP_MARKER)

static long sva_dma_ioc_info(struct sva_dma_queue *sq, void *arg)
{
	u32 cap = readl(sq->sva->regs + SVA_DMA_REG_CAP);
	struct sva_dma_info *info = arg;

	*info = (struct sva_dma_info) {
		.channel = sq->channel < 0 ? SVA_DMA_NO_CHANNEL : sq->channel,
		.pasid = sq->own_pasid,
		.channels = sq->sva->channels,
		.pasid_bits = FIELD_GET(SVA_DMA_CAP_PASID_BITS, cap),
		.atc_entries = FIELD_GET(SVA_DMA_CAP_ATC_ENTRIES, cap),
	};
	return 0;
}

static long sva_dma_ioc_counters(struct sva_dma_queue *sq, void *arg)
{
	struct sva_dma_counters *counters = arg;
	struct sva_dma *sva = sq->sva;
	int i;

	/*
	 * Pending is read first: when it is 0 the counts of groups and of answers agree, unless
	 * a group was sent in between.
	 */
	counters->pri_pending = !!(readl(sva->regs + SVA_DMA_REG_STATUS) &
				   SVA_DMA_STATUS_PRI_PENDING);
	for (i = 0; i < SVA_DMA_NR_COUNTERS; i++)
		counters->value[i] = readq(sva->regs + SVA_DMA_REG_COUNTERS + 8 * i);
	return 0;
}

static long sva_dma_ioc_control(struct sva_dma_queue *sq, void *arg)
{
	u32 bits = *(u32 *)arg;

	if (!bits || bits & ~(SVA_DMA_CTRL_CLEAR | SVA_DMA_CTRL_DROP_ATC))
		return -EINVAL;

	writel(SVA_DMA_CTRL_ENABLE | bits, sq->sva->regs + SVA_DMA_REG_CTRL);
	return 0;
}

static long sva_dma_ioc_flags(struct sva_dma_queue *sq, void *arg)
{
	u32 flags = *(u32 *)arg;

	if (flags & ~SVA_DMA_CHAN_NO_PRI)
		return -EINVAL;
	if (sq->started)
		return -EBUSY;

	sq->flags = flags;
	return 0;
}

static long sva_dma_ioc_raw_send(struct sva_dma_queue *sq, void *arg)
{
	struct sva_dma *sva = sq->sva;
	struct sva_dma_raw *raw = arg;

	if (raw->reserved || raw->flags & ~RAW_FLAGS || raw->pasid >> SVA_DMA_PASID_BITS)
		return -EINVAL;

	writeq(raw->addr, sva->regs + SVA_DMA_REG_RAW_ADDR);
	writel(raw->pasid, sva->regs + SVA_DMA_REG_RAW_PASID);
	writel(raw->flags, sva->regs + SVA_DMA_REG_RAW_SEND);
	raw->status = readl(sva->regs + SVA_DMA_REG_RAW_STATUS);
	return 0;
}

static long sva_dma_ioc_raw_recv(struct sva_dma_queue *sq, void *arg)
{
	u32 resp = readl(sq->sva->regs + SVA_DMA_REG_RAW_RESP);

	if (resp == SVA_DMA_GONE)
		return -EIO;
	if (!(resp & SVA_DMA_RAW_RESP_VALID))
		return -ENODATA;

	*(u32 *)arg = resp;
	return 0;
}

static long sva_dma_ioc_pasid(struct sva_dma_queue *sq, void *arg)
{
	u32 pasid = *(u32 *)arg;

	if (pasid >> SVA_DMA_PASID_BITS)
		return -EINVAL;
	if (sq->started)
		return -EBUSY;

	sq->pasid = pasid ?: sq->own_pasid;
	return 0;
}

static long sva_dma_ioc_fault_fd(struct sva_dma_queue *sq, void *arg)
{
	struct eventfd_ctx *eventfd;
	int fd = *(s32 *)arg;

	if (fd == -1) {
		sva_dma_drop_eventfd(sq);
		return 0;
	}
	eventfd = eventfd_ctx_fdget(fd);
	return IS_ERR(eventfd) ? PTR_ERR(eventfd) : sva_dma_listen(sq, eventfd);
}

static long sva_dma_ioc_fault(struct sva_dma_queue *sq, void *arg)
{
	return sva_dma_next_fault(sq, arg);
}

#define IOC_RAW_IO	0x1	/* needs CAP_SYS_RAWIO */
#define IOC_ANY_STATE	0x2	/* of the queue only: needs neither the device nor sva_dma.lock */

static const struct sva_dma_ioc {
	unsigned int cmd;
	unsigned int flags;
	long (*handle)(struct sva_dma_queue *sq, void *arg);
} sva_dma_iocs[] = {
	{ SVA_DMA_IOC_INFO, 0, sva_dma_ioc_info },
	{ SVA_DMA_IOC_COUNTERS, 0, sva_dma_ioc_counters },
	{ SVA_DMA_IOC_CONTROL, IOC_RAW_IO, sva_dma_ioc_control },
	{ SVA_DMA_IOC_FLAGS, 0, sva_dma_ioc_flags },
	{ SVA_DMA_IOC_RAW_SEND, IOC_RAW_IO, sva_dma_ioc_raw_send },
	{ SVA_DMA_IOC_RAW_RECV, IOC_RAW_IO, sva_dma_ioc_raw_recv },
	{ SVA_DMA_IOC_FAULT_FD, IOC_ANY_STATE, sva_dma_ioc_fault_fd },
	{ SVA_DMA_IOC_FAULT, IOC_ANY_STATE, sva_dma_ioc_fault },
	{ SVA_DMA_IOC_PASID, IOC_RAW_IO, sva_dma_ioc_pasid },
};

static long sva_dma_handle_ioc(struct sva_dma_queue *sq, const struct sva_dma_ioc *ioc, void *arg)
{
	struct sva_dma *sva = sq->sva;

	if (ioc->flags & IOC_ANY_STATE)
		return ioc->handle(sq, arg);

	guard(mutex)(&sva->lock);
	return sva_dma_state_error(sva) ?: ioc->handle(sq, arg);
}

long sva_dma_ioctl(struct uacce_queue *q, unsigned int cmd, unsigned long arg)
{
	const struct sva_dma_ioc *ioc = sva_dma_iocs;
	void __user *uarg = (void __user *)arg;
	union {
		struct sva_dma_info info;
		struct sva_dma_counters counters;
		struct sva_dma_raw raw;
		struct sva_dma_fault fault;
		u32 word;
	} karg = {};
	long ret;

	while (ioc->cmd != cmd)
		if (++ioc == sva_dma_iocs + ARRAY_SIZE(sva_dma_iocs))
			return -ENOTTY;
	if ((ioc->flags & IOC_RAW_IO) && !capable(CAP_SYS_RAWIO))
		return -EPERM;

	if (_IOC_DIR(cmd) & _IOC_WRITE && copy_from_user(&karg, uarg, _IOC_SIZE(cmd)))
		return -EFAULT;
	ret = sva_dma_handle_ioc(q->priv, ioc, &karg);
	if (!ret && _IOC_DIR(cmd) & _IOC_READ && copy_to_user(uarg, &karg, _IOC_SIZE(cmd)))
		return -EFAULT;
	return ret;
}
