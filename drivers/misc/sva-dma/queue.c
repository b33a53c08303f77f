// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver of the test endpoint: open files
 *
 * The operations that uacce calls, and the interrupt. The model, the locks and the lifetime are in
 * main.c.
 */
#include <linux/capability.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uacce.h>

#include "sva-dma.h"

#define FAULT_RETRY_US		1000

static int sva_dma_no_bond(struct sva_dma *sva, int error)
{
	dev_err_ratelimited(&sva->pdev->dev, "no queue without SVA: %s (%pe)\n",
			    sva_dma_missing_cap(sva->pdev), ERR_PTR(error));
	return error;
}

/*
 * uacce found no SVA when it registered this device. A bind tells the program why: the error of the
 * core is what open() returns. A bind that succeeds is undone and refused, too.
 */
static int sva_dma_refused_bind(struct sva_dma *sva)
{
	struct iommu_sva *bond = iommu_sva_bind_device(&sva->pdev->dev, current->mm);

	if (IS_ERR(bond))
		return sva_dma_no_bond(sva, PTR_ERR(bond));

	iommu_sva_unbind_device(bond);
	dev_err_ratelimited(&sva->pdev->dev, "SVA was denied, yet a bond was granted\n");
	return -EPROTO;
}

/* The bond of a queue, which uacce has made if it knows how. */
static int sva_dma_take_bond(struct sva_dma_queue *sq)
{
	if (!sq->sva->own_binds) {
		sq->handle = sq->uq->handle;
		sq->own_pasid = sq->uq->pasid;
		return 0;
	}
	sq->bond = sva_dma_bond_make(sq->sva);
	if (IS_ERR(sq->bond))
		return sva_dma_no_bond(sq->sva, PTR_ERR(sq->bond));
	sq->handle = sq->bond->handle;
	sq->own_pasid = iommu_sva_get_pasid(sq->handle);
	return 0;
}

static int sva_dma_get_queue(struct uacce_device *uacce, unsigned long pasid,
			     struct uacce_queue *q)
{
	struct sva_dma *sva = uacce->priv;
	struct sva_dma_queue *sq;
	int ret;

	if (!sva->own_binds && !(uacce->flags & UACCE_DEV_SVA))
		return sva_dma_refused_bind(sva);

	sq = kzalloc(sizeof(*sq), GFP_KERNEL_ACCOUNT);
	if (!sq)
		return -ENOMEM;

	sq->sva = sva;
	sq->uq = q;
	ret = sva_dma_take_bond(sq);
	if (ret) {
		kfree(sq);
		return ret;
	}
	sq->channel = -1;
	sq->pasid = sq->own_pasid;
	sva_dma_faults_init(sq);
	sq->mm = current->mm;
	mmgrab(sq->mm);
	q->priv = sq;
	guard(mutex)(&sva->lock);
	list_add(&sq->node, &sva->queues);
	return 0;
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
		sva_dma_forget_fault(sq);
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
	sva_dma_unlisten(sq);
	/* uacce's own bond goes next. */
	if (sq->bond)
		sva_dma_bond_put(sq->bond);
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

irqreturn_t sva_dma_irq(int irq, void *data)
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

	/* No sva_dma.lock: poll() must not wait for a stop. A change of the state wakes it. */
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
	return status != SVA_DMA_IDLE && status != SVA_DMA_RUNNING && status != SVA_DMA_GONE;
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

const struct uacce_ops sva_dma_uacce_ops = {
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
