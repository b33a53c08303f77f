// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver of sva-dma, the PCIe test endpoint of the SVA core, on the uacce framework.
 *
 * Model. One open file of /dev/sva_dma-N is one bond between the device and the process that
 * opened it (uacce binds and unbinds), and, once it has been started, one channel of the device.
 * Opening takes no channel, so the number of bonds is not limited by the number of channels. A
 * channel is kept from the first start until the file goes away or the driver lets go of the
 * device, since a mapping of its job page may exist that long; the next owner finds the job page
 * scrubbed. Jobs are submitted by the process through the job page; the driver sees only the start
 * and the stop of a channel and its interrupt.
 *
 * Whose memory. A queue works on the memory of the process that opened the file, whoever holds the
 * descriptor. So only that process may start it and map its job page, or one with CAP_SYS_RAWIO,
 * which may choose any PASID anyway.
 *
 * Who stops what before unbind. uacce calls stop_queue() before it unbinds, on close, on
 * UACCE_CMD_PUT_Q and in uacce_remove(). stop_queue() returns when the device issues nothing more
 * for the channel. If the device does not obey within STOP_TIMEOUT_US, or does not listen, bus
 * mastering is taken from it, which ends its DMA and translation requests; what it had sent is
 * waited for (sva_dma_silence()); and a function-level reset is scheduled. Page requests are
 * messages, which bus mastering does not stop: those that come between unbind and reset are strays.
 *
 * Pause: reset and suspend. reset_prepare() stops all channels and takes bus mastering away, even
 * from a device that does not obey. Then the PCI core has iopf_quiesce_device() answer all page
 * requests, so that no answer arrives for a group that the reset made the device forget, resets,
 * and calls iopf_resume_device(). reset_done() gives each started queue its channel, PASID and
 * ENABLE back; a job that ran is gone and its job page reads SVA_DMA_IDLE. Suspend and resume do
 * the same around a loss of power. In between no register is touched and no job page is mapped:
 * who touches one tries again until that is over.
 *
 * From owner to owner. probe() takes nothing for granted: it stops what runs, or resets the
 * function, before it makes it a bus master. remove() and shutdown() stop all channels before
 * anything is unbound, and reset a function that has failed; recovery, which needs the device lock
 * that they hold, is over by then.
 *
 * Faults. A queue whose user wants to know of unhandled faults listens to its bond, from the first
 * SVA_DMA_IOC_FAULT_FD until put_queue(), which uacce calls before it unbinds. Several queues of
 * one process share the bond; each has a listener of its own. What the listener hears goes into
 * a ring of the queue, the oldest making room, and wakes an eventfd.
 *
 * A device that cannot do SVA still gets its file, so that a program learns why: open() fails
 * with the error of iommu_sva_bind_device(), and the log names what is missing.
 *
 * Lifetime. struct sva_dma is device managed and goes after remove(). struct sva_dma_queue
 * belongs to a uacce_queue from get_queue() to put_queue(). After uacce_remove(), uacce lets no
 * file operation reach this driver.
 *
 * Locks, outermost first:
 *
 *	device lock			(PCI core: probe, remove, reset)
 *	  uacce->mutex			(uacce: open, release, ioctl, remove)
 *	    mm->mmap_lock		(page faults in ioctl, mmap)
 *	      uacce_queue.mutex		(uacce: mmap, poll, remove)
 *	        sva_dma.lock		state of the device and of the channels
 *	          sva_dma.irq_lock	owners against the interrupt handler
 *	sva_dma_queue.fault_lock	the queue's faults; taken by the listener, innermost
 *
 * As uacce stops queues under uacce_queue.mutex, no user memory is touched under sva_dma.lock.
 * Under uacce->mutex the device lock may only be tried for; that is why the reset is in a work.
 * A fault on a job page only tries for sva_dma.lock: its holder may be waiting for the device.
 */
#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/kfifo.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/uacce.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <uapi/misc/uacce/sva_dma_ioctl.h>

#ifndef _LINUX_IOMMU_SVA_API_H
#include "base.h"
#endif

#define STOP_POLL_US		50
#define STOP_TIMEOUT_US		(5 * USEC_PER_SEC)
#define RECOVER_RETRY		msecs_to_jiffies(100)
#define FAULT_RETRY_US		1000
#define GONE			(~0U)	/* what a register of an absent device reads */
#define PASID_BITS		20	/* in a PCIe prefix */
#define MAX_FAULTS		16	/* that a queue keeps, a power of two */
#define RAW_FLAGS		(SVA_DMA_RAW_PRGI | SVA_DMA_RAW_READ | SVA_DMA_RAW_WRITE |	\
				 SVA_DMA_RAW_LAST | SVA_DMA_RAW_EXEC | SVA_DMA_RAW_PRIV |	\
				 SVA_DMA_RAW_STOP_MARKER)

/**
 * enum sva_dma_state - may registers be touched?
 * @SVA_DMA_LEFT: no; probe() has not got that far, or remove() or shutdown() has begun
 * @SVA_DMA_READY: yes
 * @SVA_DMA_PAUSED: no, between reset_prepare() and reset_done(), or suspend and resume
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
 * struct sva_dma - one endpoint
 * @pdev: PCI function
 * @regs: BAR 0
 * @uacce: character device
 * @recover: resets the function after a channel failed to stop
 * @channels: number of channels in @chan; channel n raises MSI-X vector n
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
	int channel;
	u32 flags;
	u32 pasid;
	bool started;
	bool listening;
	struct iommu_sva_listener listener;
	spinlock_t fault_lock; /* all below */
	struct eventfd_ctx *eventfd;
	u64 lost;
	DECLARE_KFIFO(faults, struct sva_dma_fault, MAX_FAULTS);
};

/* What the core says of a fault is what the user gets. */
static_assert((int)SVA_DMA_FAULT_NO_MAPPING == (int)IOMMU_SVA_FAULT_NO_MAPPING);
static_assert((int)SVA_DMA_FAULT_NO_ACCESS == (int)IOMMU_SVA_FAULT_NO_ACCESS);
static_assert((int)SVA_DMA_FAULT_NO_PAGE == (int)IOMMU_SVA_FAULT_NO_PAGE);
static_assert((int)SVA_DMA_FAULT_TIMEOUT == (int)IOMMU_SVA_FAULT_TIMEOUT);
static_assert((int)SVA_DMA_FAULT_EXITED == (int)IOMMU_SVA_FAULT_EXITED);
static_assert(SVA_DMA_FAULT_READ == IOMMU_FAULT_PERM_READ);
static_assert(SVA_DMA_FAULT_WRITE == IOMMU_FAULT_PERM_WRITE);
static_assert(SVA_DMA_FAULT_EXEC == IOMMU_FAULT_PERM_EXEC);
static_assert(SVA_DMA_FAULT_PRIV == IOMMU_FAULT_PERM_PRIV);

static void __iomem *chan_reg(struct sva_dma *sva, unsigned int channel, unsigned int reg)
{
	return sva->regs + SVA_DMA_CHAN_BASE + channel * SVA_DMA_CHAN_STRIDE + reg;
}

static void __iomem *job_reg(struct sva_dma *sva, unsigned int channel, unsigned int reg)
{
	return sva->regs + SVA_DMA_JOB_BASE + channel * SVA_DMA_JOB_STRIDE + reg;
}

static int sva_dma_state_error(struct sva_dma *sva)
{
	lockdep_assert_held(&sva->lock);

	switch (sva->state) {
	case SVA_DMA_READY:
		return 0;
	case SVA_DMA_PAUSED:
	case SVA_DMA_STUCK:
		return -EAGAIN;
	case SVA_DMA_LEFT:
		return -ENXIO;
	default:
		return -EIO;
	}
}

static void sva_dma_set_state(struct sva_dma *sva, enum sva_dma_state state)
{
	lockdep_assert_held(&sva->lock);

	/* Pairs with the read in sva_dma_is_updated(). */
	WRITE_ONCE(sva->state, state);
}

static unsigned long sva_dma_all(struct sva_dma *sva)
{
	return GENMASK(sva->channels - 1, 0);
}

static void sva_dma_chan_enable(struct sva_dma_queue *sq)
{
	struct sva_dma *sva = sq->sva;

	lockdep_assert_held(&sva->lock);

	writel(sq->pasid, chan_reg(sva, sq->channel, SVA_DMA_CHAN_PASID));
	writel(sq->channel, chan_reg(sva, sq->channel, SVA_DMA_CHAN_VECTOR));
	writel(SVA_DMA_CHAN_ENABLE | sq->flags, chan_reg(sva, sq->channel, SVA_DMA_CHAN_CTRL));
}

/*
 * Returns 0 if the channels are quiet, as those of an absent device are, and -EBUSY if one is not.
 * -EIO: the device is there but does not listen, so it has not heard of a stop either.
 */
static int sva_dma_look(struct sva_dma *sva, unsigned long channels)
{
	unsigned int channel;
	u32 status;

	if (readl(sva->regs + SVA_DMA_REG_ID) != SVA_DMA_ID)
		return pci_device_is_present(sva->pdev) ? -EIO : 0;

	for_each_set_bit(channel, &channels, SVA_DMA_MAX_CHANNELS) {
		status = readl(chan_reg(sva, channel, SVA_DMA_CHAN_STATUS));
		if (status & (SVA_DMA_CHAN_ENABLED | SVA_DMA_CHAN_BUSY))
			return -EBUSY;
	}
	return 0;
}

/* One time limit for all of them. Returns 0 when the channels are quiet. */
static int sva_dma_stop(struct sva_dma *sva, unsigned long channels)
{
	unsigned int channel;
	int ret;

	lockdep_assert_held(&sva->lock);

	for_each_set_bit(channel, &channels, SVA_DMA_MAX_CHANNELS)
		writel(SVA_DMA_CHAN_STOP, chan_reg(sva, channel, SVA_DMA_CHAN_CTRL));
	read_poll_timeout(sva_dma_look, ret, ret != -EBUSY, STOP_POLL_US, STOP_TIMEOUT_US, false,
			  sva, channels);
	return ret;
}

/*
 * After this the function reads and writes no memory, whatever it thinks it is doing. Clearing the
 * bit is no flush: reads are over when "Transactions Pending" says so, and the answer that says so
 * pushes ahead of it the writes and page requests that were sent before.
 */
static void sva_dma_silence(struct sva_dma *sva)
{
	struct pci_dev *pdev = sva->pdev;

	pci_clear_master(pdev);
	if (pci_device_is_present(pdev) && !pci_wait_for_pending_transaction(pdev))
		dev_err(&pdev->dev, "transactions are still pending\n");
}

/* No job page is mapped when this returns, and none will be before the state is READY again. */
static void sva_dma_zap(struct sva_dma *sva)
{
	struct sva_dma_queue *sq;

	lockdep_assert_held(&sva->lock);

	list_for_each_entry(sq, &sva->queues, node)
		if (sq->channel >= 0)
			unmap_mapping_range(sq->uq->mapping, 0, 0, 1);
}

/* For those who sleep in poll(): the state has changed. */
static void sva_dma_wake(struct sva_dma *sva)
{
	struct sva_dma_queue *sq;

	lockdep_assert_held(&sva->lock);

	list_for_each_entry(sq, &sva->queues, node)
		wake_up_interruptible(&sq->uq->wait);
}

static void sva_dma_is_stuck(struct sva_dma *sva, unsigned int channel)
{
	lockdep_assert_held(&sva->lock);

	sva_dma_silence(sva);
	sva_dma_set_state(sva, SVA_DMA_STUCK);
	sva_dma_zap(sva);
	dev_err(&sva->pdev->dev, "channel %u did not stop, resetting the function\n", channel);
	/* Not while the machine suspends. */
	queue_delayed_work(system_freezable_wq, &sva->recover, 0);
}

static void sva_dma_recover(struct work_struct *work)
{
	struct sva_dma *sva = container_of(to_delayed_work(work), struct sva_dma, recover);
	int ret;

	/* Another reset, of the user's or the PCI core's, will do. */
	if (READ_ONCE(sva->state) != SVA_DMA_STUCK)
		return;

	/* remove() holds the device lock while it waits for this work: never wait for that lock. */
	ret = pci_try_reset_function(sva->pdev);
	if (ret == -EAGAIN) {
		queue_delayed_work(system_freezable_wq, &sva->recover, RECOVER_RETRY);
		return;
	}
	if (!ret)
		return;

	dev_err(&sva->pdev->dev, "reset failed: %pe\n", ERR_PTR(ret));
	guard(mutex)(&sva->lock);
	if (sva->state == SVA_DMA_STUCK) {
		sva_dma_set_state(sva, SVA_DMA_FAILED);
		sva_dma_wake(sva);
	}
}

static const char *sva_dma_lack(struct pci_dev *pdev)
{
	if (!device_iommu_mapped(&pdev->dev))
		return "no IOMMU in front of the device";
	if (!pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PASID))
		return "the device has no PASID";
	if (!pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ATS))
		return "the device has no ATS";
	if (!pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PRI))
		return "the device has no PRI";
	return "the IOMMU refused";
}

/*
 * The kernel denied SVA to this device when it was probed. What the core says to a bind
 * nevertheless is what the program gets to see; it must not say yes.
 */
static int sva_dma_refused_bind(struct sva_dma *sva)
{
	struct iommu_sva *bond = iommu_sva_bind_device(&sva->pdev->dev, current->mm);
	int ret = PTR_ERR_OR_ZERO(bond);

	if (!ret) {
		iommu_sva_unbind_device(bond);
		dev_err_ratelimited(&sva->pdev->dev, "SVA was denied, yet a bond was granted\n");
		return -EPROTO;
	}

	dev_err_ratelimited(&sva->pdev->dev, "no queue without SVA: %s (%pe)\n",
			    sva_dma_lack(sva->pdev), ERR_PTR(ret));
	return ret;
}

static int sva_dma_get_queue(struct uacce_device *uacce, unsigned long pasid,
			     struct uacce_queue *q)
{
	struct sva_dma *sva = uacce->priv;
	struct sva_dma_queue *sq;

	if (!(uacce->flags & UACCE_DEV_SVA))
		return sva_dma_refused_bind(sva);

	sq = kzalloc(sizeof(*sq), GFP_KERNEL_ACCOUNT);
	if (!sq)
		return -ENOMEM;

	sq->sva = sva;
	sq->uq = q;
	sq->channel = -1;
	sq->pasid = pasid;
	spin_lock_init(&sq->fault_lock);
	INIT_KFIFO(sq->faults);
	sq->mm = current->mm;
	mmgrab(sq->mm);
	q->priv = sq;
	guard(mutex)(&sva->lock);
	list_add(&sq->node, &sva->queues);
	return 0;
}

/* A fault of the bond. Atomic: the core holds no lock, but an RCU read-side section. */
static void sva_dma_heard(struct iommu_sva_listener *listener, const struct iommu_sva_fault *fault)
{
	struct sva_dma_queue *sq = container_of(listener, struct sva_dma_queue, listener);
	const struct sva_dma_fault record = {
		.addr = fault->addr,
		.access = fault->perm,
		.reason = fault->reason,
	};

	guard(spinlock_irqsave)(&sq->fault_lock);
	if (kfifo_is_full(&sq->faults)) {
		kfifo_skip(&sq->faults);
		sq->lost++;
	}
	kfifo_put(&sq->faults, record);
	if (sq->eventfd)
		eventfd_signal(sq->eventfd);
}

/* Returns the one that was there before. */
static struct eventfd_ctx *sva_dma_swap_eventfd(struct sva_dma_queue *sq, struct eventfd_ctx *new)
{
	guard(spinlock_irq)(&sq->fault_lock);
	swap(sq->eventfd, new);
	return new;
}

static void sva_dma_drop_eventfd(struct sva_dma_queue *sq)
{
	struct eventfd_ctx *old = sva_dma_swap_eventfd(sq, NULL);

	if (old)
		eventfd_ctx_put(old);
}

static int sva_dma_listen(struct sva_dma_queue *sq)
{
	int ret;

	if (sq->listening)
		return 0;
	sq->listener.notify = sva_dma_heard;
	ret = iommu_sva_listen(sq->uq->handle, &sq->listener);
	sq->listening = !ret;
	return ret;
}

static void sva_dma_unlisten(struct sva_dma_queue *sq)
{
	if (sq->listening)
		iommu_sva_unlisten(sq->uq->handle, &sq->listener);
	sq->listening = false;
	sva_dma_drop_eventfd(sq);
}

/*
 * What the last owner left in the job page is not for the next one. What only the device writes, a
 * start clears, which starts nothing while the channel is not enabled.
 */
static void sva_dma_chan_scrub(struct sva_dma *sva, unsigned int channel)
{
	unsigned int reg;

	lockdep_assert_held(&sva->lock);

	for (reg = SVA_DMA_JOB_OP; reg < SVA_DMA_JOB_START; reg += 4)
		writel(0, job_reg(sva, channel, reg));
	writel(1, job_reg(sva, channel, SVA_DMA_JOB_START));
}

static int sva_dma_take_channel(struct sva_dma_queue *sq)
{
	struct sva_dma *sva = sq->sva;
	unsigned int channel;

	lockdep_assert_held(&sva->lock);

	for (channel = 0; channel < sva->channels; channel++) {
		if (sva->chan[channel].owner)
			continue;
		sva_dma_chan_scrub(sva, channel);
		scoped_guard(spinlock_irq, &sva->irq_lock)
			sva->chan[channel].owner = sq;
		/* Pairs with the acquires in sva_dma_is_updated() and sva_dma_mmap(). */
		smp_store_release(&sq->channel, channel);
		return 0;
	}
	return -EBUSY;
}

/* May the caller make the device work on the memory of the process that opened the file? */
static bool sva_dma_may_use(struct sva_dma_queue *sq)
{
	return current->mm == sq->mm || capable(CAP_SYS_RAWIO);
}

static int sva_dma_start_queue(struct uacce_queue *q)
{
	struct sva_dma_queue *sq = q->priv;
	struct sva_dma *sva = sq->sva;
	int ret;

	if (!sva_dma_may_use(sq))
		return -EPERM;

	guard(mutex)(&sva->lock);

	ret = sva_dma_state_error(sva);
	if (!ret && sq->channel < 0)
		ret = sva_dma_take_channel(sq);
	if (ret)
		return ret;

	sq->started = true;
	sva_dma_chan_enable(sq);
	return 0;
}

static void sva_dma_stop_queue(struct uacce_queue *q)
{
	struct sva_dma_queue *sq = q->priv;
	struct sva_dma *sva = sq->sva;

	scoped_guard(mutex, &sva->lock) {
		sq->started = false;
		/* In every other state the channel has been stopped, or silenced. */
		if (sva->state == SVA_DMA_READY && sva_dma_stop(sva, BIT(sq->channel)))
			sva_dma_is_stuck(sva, sq->channel);
	}
	wake_up_interruptible(&q->wait);
}

static void sva_dma_put_queue(struct uacce_queue *q)
{
	struct sva_dma_queue *sq = q->priv;
	struct sva_dma *sva = sq->sva;

	scoped_guard(mutex, &sva->lock) {
		list_del(&sq->node);
		if (sq->channel >= 0) {
			guard(spinlock_irq)(&sva->irq_lock);
			sva->chan[sq->channel].owner = NULL;
		}
	}
	/* uacce unbinds next. */
	sva_dma_unlisten(sq);
	q->priv = NULL;
	mmdrop(sq->mm);
	kfree(sq);
}

static int sva_dma_available(struct uacce_device *uacce)
{
	struct sva_dma *sva = uacce->priv;
	unsigned int channel;
	int n = 0;

	guard(mutex)(&sva->lock);
	for (channel = 0; channel < sva->channels; channel++)
		n += !sva->chan[channel].owner;
	return n;
}

static irqreturn_t sva_dma_irq(int irq, void *data)
{
	struct sva_dma_chan *chan = data;

	guard(spinlock)(&chan->sva->irq_lock);
	if (chan->owner)
		wake_up_interruptible(&chan->owner->uq->wait);
	return IRQ_HANDLED;
}

/* Readable while the latest job has ended; an error when no device will ever end it. */
static int sva_dma_is_updated(struct uacce_queue *q)
{
	struct sva_dma_queue *sq = q->priv;
	struct sva_dma *sva = sq->sva;
	u32 status;

	/* No sva_dma.lock: poll() must not wait for a stop. Who changes the state wakes us. */
	switch (READ_ONCE(sva->state)) {
	case SVA_DMA_READY:
		break;
	case SVA_DMA_PAUSED:
	case SVA_DMA_STUCK:
		return 0;
	default:
		return -EIO;
	}

	/* Pairs with the release in sva_dma_take_channel(). */
	if (smp_load_acquire(&sq->channel) < 0)
		return 0;
	status = readl(job_reg(sva, sq->channel, SVA_DMA_JOB_STATUS));
	/* All ones: a reset has just begun, or a removal is about to. */
	return status != SVA_DMA_IDLE && status != SVA_DMA_RUNNING && status != GONE;
}

static int sva_dma_mmap(struct uacce_queue *q, struct vm_area_struct *vma,
			struct uacce_qfile_region *qfr)
{
	struct sva_dma_queue *sq = q->priv;

	/* A job page must not show a part of its neighbour's. */
	BUILD_BUG_ON(PAGE_SIZE > SVA_DMA_JOB_STRIDE);

	if (!sva_dma_may_use(sq))
		return -EPERM;
	if (qfr->type != UACCE_QFRT_MMIO || vma->vm_end - vma->vm_start != PAGE_SIZE ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* Pairs with the release in sva_dma_take_channel(). */
	if (smp_load_acquire(&sq->channel) < 0)
		return -ENXIO;

	/* Only from the fault handler on is the mapping one that sva_dma_zap() finds. */
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	return 0;
}

/*
 * The access is tried again until the device may be touched, or never will be. Between two tries
 * the process holds no lock and can be killed.
 */
static vm_fault_t sva_dma_fault(struct uacce_queue *q, struct vm_fault *vmf)
{
	struct sva_dma_queue *sq = q->priv;
	struct sva_dma *sva = sq->sva;
	vm_fault_t ret = VM_FAULT_NOPAGE;
	bool ready = false;
	phys_addr_t page;

	if (mutex_trylock(&sva->lock)) {
		ready = sva->state == SVA_DMA_READY;
		page = pci_resource_start(sva->pdev, 0) + SVA_DMA_JOB_BASE +
		       sq->channel * SVA_DMA_JOB_STRIDE;
		if (ready)
			ret = vmf_insert_pfn(vmf->vma, vmf->address, PHYS_PFN(page));
		else if (sva_dma_state_error(sva) != -EAGAIN)
			ret = VM_FAULT_SIGBUS;
		mutex_unlock(&sva->lock);
	}
	if (!ready && ret == VM_FAULT_NOPAGE)
		usleep_range(FAULT_RETRY_US, 2 * FAULT_RETRY_US);
	return ret;
}

static long sva_dma_ioc_info(struct sva_dma_queue *sq, void *arg)
{
	u32 cap = readl(sq->sva->regs + SVA_DMA_REG_CAP);
	struct sva_dma_info *info = arg;

	*info = (struct sva_dma_info) {
		.channel = sq->channel < 0 ? SVA_DMA_NO_CHANNEL : sq->channel,
		.pasid = sq->uq->pasid,
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

	if (raw->reserved || raw->flags & ~RAW_FLAGS || raw->pasid >> PASID_BITS)
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

	if (resp == GONE)
		return -EIO;
	if (!(resp & SVA_DMA_RAW_RESP_VALID))
		return -ENODATA;

	*(u32 *)arg = resp;
	return 0;
}

static long sva_dma_ioc_pasid(struct sva_dma_queue *sq, void *arg)
{
	u32 pasid = *(u32 *)arg;

	if (pasid >> PASID_BITS)
		return -EINVAL;
	if (sq->started)
		return -EBUSY;

	sq->pasid = pasid ?: sq->uq->pasid;
	return 0;
}

static long sva_dma_ioc_fault_fd(struct sva_dma_queue *sq, void *arg)
{
	struct eventfd_ctx *eventfd;
	int fd = *(s32 *)arg;
	int ret;

	if (fd == -1) {
		sva_dma_drop_eventfd(sq);
		return 0;
	}

	eventfd = eventfd_ctx_fdget(fd);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	eventfd = sva_dma_swap_eventfd(sq, eventfd);
	if (eventfd)
		eventfd_ctx_put(eventfd);

	/* After the eventfd is there: nothing that is recorded goes without a signal. */
	ret = sva_dma_listen(sq);
	if (ret)
		sva_dma_drop_eventfd(sq);
	return ret;
}

static long sva_dma_ioc_fault(struct sva_dma_queue *sq, void *arg)
{
	struct sva_dma_fault *fault = arg;

	guard(spinlock_irq)(&sq->fault_lock);
	if (!kfifo_get(&sq->faults, fault))
		return -ENODATA;
	fault->lost = sq->lost;
	sq->lost = 0;
	return 0;
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

static long sva_dma_ioctl(struct uacce_queue *q, unsigned int cmd, unsigned long arg)
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

	/* User memory is touched without sva_dma.lock, see the head comment. */
	if (_IOC_DIR(cmd) & _IOC_WRITE && copy_from_user(&karg, uarg, _IOC_SIZE(cmd)))
		return -EFAULT;
	ret = sva_dma_handle_ioc(q->priv, ioc, &karg);
	if (!ret && _IOC_DIR(cmd) & _IOC_READ && copy_to_user(uarg, &karg, _IOC_SIZE(cmd)))
		return -EFAULT;
	return ret;
}

static const struct uacce_ops sva_dma_uacce_ops = {
	.get_available_instances = sva_dma_available,
	.get_queue = sva_dma_get_queue,
	.put_queue = sva_dma_put_queue,
	.start_queue = sva_dma_start_queue,
	.stop_queue = sva_dma_stop_queue,
	.is_q_updated = sva_dma_is_updated,
	.mmap = sva_dma_mmap,
	.fault = sva_dma_fault,
	.ioctl = sva_dma_ioctl,
};

/* The device is about to lose what it knows, or its power. */
static void sva_dma_pause(struct sva_dma *sva)
{
	guard(mutex)(&sva->lock);

	if (sva->state == SVA_DMA_LEFT)
		return;
	if (sva->state == SVA_DMA_READY) {
		if (sva_dma_stop(sva, sva_dma_all(sva)))
			dev_warn(&sva->pdev->dev, "a channel did not stop before a reset\n");
		sva_dma_silence(sva);
	}
	sva_dma_set_state(sva, SVA_DMA_PAUSED);
	sva_dma_zap(sva);
}

/* It has been reset, or has its power again. Was it really, and is it still the one? */
static void sva_dma_go_on(struct sva_dma *sva)
{
	struct sva_dma_queue *sq;

	guard(mutex)(&sva->lock);

	if (sva->state == SVA_DMA_LEFT)
		return;
	if (readl(sva->regs + SVA_DMA_REG_ID) != SVA_DMA_ID ||
	    sva_dma_look(sva, sva_dma_all(sva))) {
		sva_dma_silence(sva);
		sva_dma_set_state(sva, SVA_DMA_FAILED);
		dev_err(&sva->pdev->dev, "the device did not come back from a reset\n");
		sva_dma_wake(sva);
		return;
	}

	pci_set_master(sva->pdev);
	writel(SVA_DMA_CTRL_ENABLE, sva->regs + SVA_DMA_REG_CTRL);
	sva_dma_set_state(sva, SVA_DMA_READY);
	list_for_each_entry(sq, &sva->queues, node)
		if (sq->started)
			sva_dma_chan_enable(sq);
	sva_dma_wake(sva);
}

static void sva_dma_reset_prepare(struct pci_dev *pdev)
{
	sva_dma_pause(pci_get_drvdata(pdev));
}

static void sva_dma_reset_done(struct pci_dev *pdev)
{
	sva_dma_go_on(pci_get_drvdata(pdev));
}

static const struct pci_error_handlers sva_dma_err_handlers = {
	.reset_prepare = sva_dma_reset_prepare,
	.reset_done = sva_dma_reset_done,
};

/*
 * As around a reset. Configuration space, ATS, PASID and PRI included, is the PCI core's to save
 * and restore; bonds and PASIDs are the kernel's, and stay.
 */
static int sva_dma_suspend(struct device *dev)
{
	sva_dma_pause(dev_get_drvdata(dev));
	iopf_quiesce_device(dev);
	return 0;
}

static int sva_dma_resume(struct device *dev)
{
	iopf_resume_device(dev);
	sva_dma_go_on(dev_get_drvdata(dev));
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(sva_dma_pm_ops, sva_dma_suspend, sva_dma_resume);

static ssize_t fault_time_limit_ms_show(struct device *dev, struct device_attribute *attr,
					char *buf)
{
	struct sva_dma *sva = dev_get_drvdata(dev);

	guard(mutex)(&sva->lock);
	return sysfs_emit(buf, "%u\n", sva->fault_limit);
}

static ssize_t fault_time_limit_ms_store(struct device *dev, struct device_attribute *attr,
					 const char *buf, size_t count)
{
	struct sva_dma *sva = dev_get_drvdata(dev);
	unsigned int limit;
	int ret;

	ret = kstrtouint(buf, 0, &limit);
	if (ret)
		return ret;

	guard(mutex)(&sva->lock);
	ret = iopf_set_time_limit(dev, limit);
	if (ret)
		return ret;
	sva->fault_limit = limit;
	return count;
}
static DEVICE_ATTR_RW(fault_time_limit_ms);

static struct attribute *sva_dma_attrs[] = {
	&dev_attr_fault_time_limit_ms.attr,
	NULL,
};
ATTRIBUTE_GROUPS(sva_dma);

static int sva_dma_check(struct sva_dma *sva)
{
	struct device *dev = &sva->pdev->dev;
	u32 id = readl(sva->regs + SVA_DMA_REG_ID);

	if (id != SVA_DMA_ID || sva->pdev->revision != SVA_DMA_REVISION)
		return dev_err_probe(dev, -ENODEV, "unknown device: id %#x revision %u\n", id,
				     sva->pdev->revision);

	sva->channels = FIELD_GET(SVA_DMA_CAP_CHANNELS, readl(sva->regs + SVA_DMA_REG_CAP));
	if (!sva->channels || sva->channels > SVA_DMA_MAX_CHANNELS)
		return dev_err_probe(dev, -ENODEV, "impossible number of channels: %u\n",
				     sva->channels);
	return 0;
}

static int sva_dma_request_irqs(struct sva_dma *sva)
{
	struct pci_dev *pdev = sva->pdev;
	int i, ret;

	ret = pci_alloc_irq_vectors(pdev, sva->channels, sva->channels, PCI_IRQ_MSIX);
	if (ret < 0)
		return dev_err_probe(&pdev->dev, ret, "no MSI-X vector for each channel\n");

	for (i = 0; i < sva->channels; i++) {
		sva->chan[i].sva = sva;
		ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, i), sva_dma_irq, 0,
				       dev_name(&pdev->dev), &sva->chan[i]);
		if (ret)
			return dev_err_probe(&pdev->dev, ret, "no interrupt for vector %d\n", i);
	}
	return 0;
}

static int sva_dma_register(struct sva_dma *sva)
{
	struct device *dev = &sva->pdev->dev;
	struct uacce_interface interface = {
		.name = "sva_dma",
		.flags = UACCE_DEV_SVA,
		.ops = &sva_dma_uacce_ops,
	};
	struct uacce_device *uacce;
	int ret;

	uacce = uacce_alloc(dev, &interface);
	if (IS_ERR(uacce))
		return dev_err_probe(dev, PTR_ERR(uacce), "no uacce device\n");

	if (!(uacce->flags & UACCE_DEV_SVA))
		dev_err(dev, "no SVA, opening will fail: %s\n", sva_dma_lack(sva->pdev));

	uacce->priv = sva;
	uacce->algs = "fill\ncopy\nchecksum\ncas";
	uacce->api_ver = "sva_dma_v1";
	uacce->qf_pg_num[UACCE_QFRT_MMIO] = 1;
	sva->uacce = uacce;

	ret = uacce_register(uacce);
	if (ret) {
		uacce_remove(uacce);
		return dev_err_probe(dev, ret, "no character device\n");
	}
	return 0;
}

/*
 * The owner before may have left the device in the middle of a job: the kernel before a kexec,
 * or a program that was given the function. It must not go on when it is a bus master again.
 */
static int sva_dma_start_clean(struct sva_dma *sva)
{
	struct device *dev = &sva->pdev->dev;
	int ret;

	scoped_guard(mutex, &sva->lock) {
		sva_dma_silence(sva);
		writel(0, sva->regs + SVA_DMA_REG_CTRL);
		ret = sva_dma_stop(sva, sva_dma_all(sva));
	}
	if (!ret)
		return 0;

	/* probe() has the device lock. */
	ret = pci_reset_function_locked(sva->pdev) ?: sva_dma_look(sva, sva_dma_all(sva));
	return ret ? dev_err_probe(dev, ret, "the device runs and cannot be stopped\n") : 0;
}

static int sva_dma_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct sva_dma *sva;
	int ret;

	sva = devm_kzalloc(dev, sizeof(*sva), GFP_KERNEL);
	if (!sva)
		return -ENOMEM;

	sva->pdev = pdev;
	mutex_init(&sva->lock);
	INIT_LIST_HEAD(&sva->queues);
	spin_lock_init(&sva->irq_lock);
	INIT_DELAYED_WORK(&sva->recover, sva_dma_recover);

	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(dev, ret, "cannot enable the device\n");
	if (pci_resource_len(pdev, 0) < SVA_DMA_BAR_SIZE)
		return dev_err_probe(dev, -ENODEV, "BAR 0 is too small\n");
	sva->regs = pcim_iomap_region(pdev, 0, "sva-dma");
	if (IS_ERR(sva->regs))
		return dev_err_probe(dev, PTR_ERR(sva->regs), "cannot map BAR 0\n");

	ret = sva_dma_check(sva);
	if (ret)
		return ret;

	pci_set_drvdata(pdev, sva);
	ret = sva_dma_start_clean(sva);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = sva_dma_request_irqs(sva);
	if (ret)
		return ret;

	/* Nothing of an earlier owner of the device may linger: its ATC, its counts. */
	writel(SVA_DMA_CTRL_ENABLE | SVA_DMA_CTRL_CLEAR | SVA_DMA_CTRL_DROP_ATC,
	       sva->regs + SVA_DMA_REG_CTRL);
	scoped_guard(mutex, &sva->lock)
		sva_dma_set_state(sva, SVA_DMA_READY);
	return sva_dma_register(sva);
}

/*
 * The end of the driver's hold on the device. When this returns, nobody gets at it any more, and it
 * is quiet; if it did not obey, it has been reset. The device lock is held, so the work that would
 * have reset it cannot.
 */
static void sva_dma_leave(struct sva_dma *sva)
{
	struct pci_dev *pdev = sva->pdev;
	int ret = -EIO;

	disable_delayed_work_sync(&sva->recover);
	scoped_guard(mutex, &sva->lock) {
		if (sva->state == SVA_DMA_READY)
			ret = sva_dma_stop(sva, sva_dma_all(sva));
		if (!ret)
			writel(0, sva->regs + SVA_DMA_REG_CTRL);
		sva_dma_silence(sva);
		sva_dma_set_state(sva, SVA_DMA_LEFT);
		sva_dma_zap(sva);
	}
	if (!ret || !pci_device_is_present(pdev))
		return;

	dev_err(&pdev->dev, "let go of while it did not obey, resetting the function\n");
	ret = pci_reset_function_locked(pdev);
	if (ret)
		dev_err(&pdev->dev, "reset failed: %pe\n", ERR_PTR(ret));
}

static void sva_dma_remove(struct pci_dev *pdev)
{
	struct sva_dma *sva = pci_get_drvdata(pdev);

	sva_dma_leave(sva);
	/* Unbinds, takes the mappings away, wakes those who wait. */
	uacce_remove(sva->uacce);
}

static void sva_dma_shutdown(struct pci_dev *pdev)
{
	sva_dma_leave(pci_get_drvdata(pdev));
}

static const struct pci_device_id sva_dma_ids[] = {
	{ PCI_DEVICE(SVA_DMA_VENDOR_ID, SVA_DMA_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, sva_dma_ids);

static struct pci_driver sva_dma_driver = {
	.name = "sva-dma",
	.id_table = sva_dma_ids,
	.probe = sva_dma_probe,
	.remove = sva_dma_remove,
	.shutdown = sva_dma_shutdown,
	.err_handler = &sva_dma_err_handlers,
	.dev_groups = sva_dma_groups,
	.driver.pm = pm_sleep_ptr(&sva_dma_pm_ops),
};
module_pci_driver(sva_dma_driver);

MODULE_DESCRIPTION("PCIe test endpoint for Shared Virtual Addressing");
MODULE_LICENSE("GPL");
