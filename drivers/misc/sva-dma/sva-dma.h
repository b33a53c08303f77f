/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Driver of the test endpoint: what its files share
 *
 *	main.c		PCI: probe, remove, reset, power
 *	queue.c		uacce: open files, their channels, job pages and interrupts
 *	ioctl.c		ioctls of an open file
 *	listener.c	unhandled faults of a queue's bond
 *	faults.c	a device without page requests: bonds, and the faults that it reports itself
 *	channel.c	registers: channels are started, stopped, silenced, recovered
 *
 * Each calls what is below it. The model and the locks are in main.c.
 */
#ifndef _SVA_DMA_H
#define _SVA_DMA_H

#include <linux/bits.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/kfifo.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/uacce.h>
#include <linux/workqueue.h>
#include <uapi/misc/uacce/sva_dma_ioctl.h>

#ifndef _LINUX_IOMMU_SVA_API_H
#include "base.h"
#endif

#define SVA_DMA_GONE		(~0U)	/* what a register of an absent device reads */
#define SVA_DMA_PASID_BITS	20	/* in a PCIe prefix */
#define SVA_DMA_MAX_FAULTS	16	/* that a queue keeps, a power of two */
#define SVA_DMA_LOG_MAX		256	/* entries of the fault log */

/**
 * enum sva_dma_state - may registers be touched?
 * @SVA_DMA_LEFT: no; probe() has not got that far, or remove() or shutdown() has begun
 * @SVA_DMA_READY: yes
 * @SVA_DMA_PAUSED: no, between reset_prepare() and reset_done(), error_detected() and resume(), or
 *	suspend and resume
 * @SVA_DMA_STUCK: no; a channel did not stop, and a reset is on its way
 * @SVA_DMA_FAILED: no; the device did not come out of a pause as it should
 */
enum sva_dma_state {
	SVA_DMA_LEFT,
	SVA_DMA_READY,
	SVA_DMA_PAUSED,
	SVA_DMA_STUCK,
	SVA_DMA_FAILED,
};

/**
 * struct sva_dma_chan - one DMA channel
 * @sva: the device it is part of
 * @owner: queue that has it, NULL while free; written under sva_dma.lock and sva_dma.irq_lock
 */
struct sva_dma_chan {
	struct sva_dma *sva;
	struct sva_dma_queue *owner;
};

/**
 * struct sva_dma_own_fault - an entry of the fault log
 * @nr: number of the fault, 0 for none
 * @channel: the channel that it has stopped
 * @tag: what the device calls it
 * @pasid: the channel's PASID
 * @perm: what the channel wanted, IOMMU_FAULT_PERM_*
 * @addr: the address that it could not use
 */
struct sva_dma_own_fault {
	u64 nr;
	unsigned int channel;
	u32 tag;
	u32 pasid;
	u32 perm;
	u64 addr;
};

/**
 * struct sva_dma_bond - a bond that the driver has made for an open file: no page requests
 * @users: the file, and @work while it is queued or runs
 * @sva: the device
 * @handle: the bond
 * @work: has @fault served, and restarts the channel
 * @faults: how many there were; sva_dma.lock
 * @fault: the latest; sva_dma.lock
 */
struct sva_dma_bond {
	refcount_t users;
	struct sva_dma *sva;
	struct iommu_sva *handle;
	struct work_struct work;
	u64 faults; /* sva_dma.lock */
	struct sva_dma_own_fault fault; /* sva_dma.lock */
};

/**
 * struct sva_dma - one endpoint
 * @pdev: PCI function
 * @regs: BAR 0
 * @uacce: character device
 * @recover: resets the function after a channel failed to stop
 * @channels: number of channels in @chan; channel n raises MSI-X vector n
 * @own_binds: it has no page requests: the driver binds, not uacce
 * @own_faults: it has a fault log, which raises MSI-X vector @channels
 * @fault_wq: works of bonds that have faults served
 * @lock: guards changes of @state and of owners, @queues, and all registers but the job pages
 * @state: see enum sva_dma_state; poll() reads it without @lock
 * @queues: struct sva_dma_queue of all open files
 * @fault_limit: milliseconds that a page request may take, 0: for ever; @lock
 * @irq_lock: guards owners against the interrupt handler
 * @chan: the channels
 */
struct sva_dma {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct uacce_device *uacce;
	struct delayed_work recover;
	unsigned int channels;
	bool own_binds;
	bool own_faults;
	struct workqueue_struct *fault_wq;
	struct mutex lock; /* state, owners, queues, registers, fault_limit */
	enum sva_dma_state state;
	struct list_head queues;
	unsigned int fault_limit;
	spinlock_t irq_lock; /* owners */
	struct sva_dma_chan chan[SVA_DMA_MAX_CHANNELS];
};

/**
 * struct sva_dma_queue - what the driver knows of one open file
 * @sva: the device
 * @uq: uacce's side
 * @node: in sva_dma.queues
 * @mm: of the process that opened the file; only compared
 * @handle: the bond, uacce's or that of @bond
 * @bond: a device without page requests, else NULL
 * @own_pasid: the bond's
 * @channel: channel number or -1; set once, and read by poll and mmap without sva_dma.lock
 * @flags: SVA_DMA_CHAN_NO_PRI or 0; sva_dma.lock
 * @pasid: what the channel uses: the bond's, unless SVA_DMA_IOC_PASID said otherwise; sva_dma.lock
 * @started: the channel is to run, now or again after a reset; sva_dma.lock
 * @listening: @listener hears of the bond's faults; uacce->mutex
 * @listener: records them
 * @fault_lock: guards all below
 * @eventfd: to be signalled, or NULL
 * @lost: faults overwritten since the latest was taken
 * @faults: not yet taken
 */
struct sva_dma_queue {
	struct sva_dma *sva;
	struct uacce_queue *uq;
	struct list_head node;
	struct mm_struct *mm;
	struct iommu_sva *handle;
	struct sva_dma_bond *bond;
	u32 own_pasid;
	int channel;
	u32 flags;
	u32 pasid;
	bool started;
	bool listening;
	struct iommu_sva_listener listener;
	spinlock_t fault_lock; /* all below */
	struct eventfd_ctx *eventfd;
	u64 lost;
	DECLARE_KFIFO(faults, struct sva_dma_fault, SVA_DMA_MAX_FAULTS);
};

static inline void __iomem *chan_reg(struct sva_dma *sva, unsigned int channel, unsigned int reg)
{
	return sva->regs + SVA_DMA_CHAN_BASE + channel * SVA_DMA_CHAN_STRIDE + reg;
}

static inline void __iomem *job_reg(struct sva_dma *sva, unsigned int channel, unsigned int reg)
{
	return sva->regs + SVA_DMA_JOB_BASE + channel * SVA_DMA_JOB_STRIDE + reg;
}

static inline unsigned long sva_dma_all(struct sva_dma *sva)
{
	return GENMASK(sva->channels - 1, 0);
}

/* queue.c */
extern const struct uacce_ops sva_dma_uacce_ops;
irqreturn_t sva_dma_irq(int irq, void *data);

/* ioctl.c */
long sva_dma_ioctl(struct uacce_queue *q, unsigned int cmd, unsigned long arg);

/* listener.c */
void sva_dma_faults_init(struct sva_dma_queue *sq);
int sva_dma_listen(struct sva_dma_queue *sq, struct eventfd_ctx *eventfd);
void sva_dma_unlisten(struct sva_dma_queue *sq);
void sva_dma_drop_eventfd(struct sva_dma_queue *sq);
int sva_dma_next_fault(struct sva_dma_queue *sq, struct sva_dma_fault *fault);

/* faults.c */
const char *sva_dma_missing_cap(struct pci_dev *pdev);
int sva_dma_init_faults(struct sva_dma *sva);
struct sva_dma_bond *sva_dma_bond_make(struct sva_dma *sva);
void sva_dma_bond_put(struct sva_dma_bond *bond);
void sva_dma_forget_fault(struct sva_dma_queue *sq);
void sva_dma_log_clear(struct sva_dma *sva);
irqreturn_t sva_dma_log_irq(int irq, void *data);

/* channel.c */
int sva_dma_state_error(struct sva_dma *sva);
void sva_dma_set_state(struct sva_dma *sva, enum sva_dma_state state);
void sva_dma_chan_enable(struct sva_dma_queue *sq);
void sva_dma_chan_scrub(struct sva_dma *sva, unsigned int channel);
int sva_dma_look(struct sva_dma *sva, unsigned long channels);
int sva_dma_stop(struct sva_dma *sva, unsigned long channels);
void sva_dma_silence(struct sva_dma *sva);
void sva_dma_zap(struct sva_dma *sva);
void sva_dma_wake(struct sva_dma *sva);
void sva_dma_is_stuck(struct sva_dma *sva, unsigned int channel);
void sva_dma_recover(struct work_struct *work);

#endif /* _SVA_DMA_H */
