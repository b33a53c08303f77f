// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver of the test endpoint: a device without page requests
 *
 * uacce binds devices with page requests, or stalls, only. For one without the driver itself binds
 * the process that opens a file, as that of a GPU or an NPU does. Memory that is there works. What
 * is not, a device without a fault log aborts; one with a fault log stops the channel, and says so:
 *
 *	interrupt thread	takes entries off the log, and queues the work of the file's bond
 *	work			has the fault served, which may take for ever, and then restarts
 *				the channel, or ends its job
 *
 * A channel has one fault at a time, so each bond has room for one. What the device or its owner
 * has left behind meanwhile is not restarted: sva_dma_forget_fault() makes the driver forget it
 * when the driver stops the channel, and the fault's tag makes the device ignore it when the owner
 * has ended the job.
 *
 * Lifetime. release() stops the channel and lets go of the bond, but does not wait for a fault that
 * is being served: the work has a reference to the bond, and the last user unbinds. That is safe,
 * since the device has stopped before. The work holds no lock while the core serves the fault: that
 * takes mmap_lock, which is outside of uacce_queue.mutex and of sva_dma.lock (main.c). remove()
 * waits for the works, as their code goes; they end at the latest when their processes are killed.
 *
 * Suspend, too, waits for no fault, so the workqueue is not freezable.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iommu.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "sva-dma.h"

#define LOG_PERM_SHIFT	8
#define LOG_PERM	(SVA_DMA_LOG_READ | SVA_DMA_LOG_WRITE | SVA_DMA_LOG_EXEC | SVA_DMA_LOG_PRIV)

static_assert(SVA_DMA_LOG_READ >> LOG_PERM_SHIFT == IOMMU_FAULT_PERM_READ);
static_assert(SVA_DMA_LOG_WRITE >> LOG_PERM_SHIFT == IOMMU_FAULT_PERM_WRITE);
static_assert(SVA_DMA_LOG_EXEC >> LOG_PERM_SHIFT == IOMMU_FAULT_PERM_EXEC);
static_assert(SVA_DMA_LOG_PRIV >> LOG_PERM_SHIFT == IOMMU_FAULT_PERM_PRIV);
static_assert(SVA_DMA_LOG_TAG == SVA_DMA_RESUME_TAG);

/* The device tries again what has faulted, or ends the job if @error. */
static void sva_dma_resume_chan(struct sva_dma *sva, unsigned int channel, u32 tag, int error)
{
	lockdep_assert_held(&sva->lock);

	writel(tag | (error ? SVA_DMA_RESUME_FAIL : 0),
	       chan_reg(sva, channel, SVA_DMA_CHAN_RESUME));
}

static void sva_dma_serve_fault(struct work_struct *work)
{
	struct sva_dma_bond *bond = container_of(work, struct sva_dma_bond, work);
	struct sva_dma *sva = bond->sva;
	struct sva_dma_own_fault fault;
	int error;

	scoped_guard(mutex, &sva->lock)
		fault = bond->fault;
	if (fault.nr) {
		error = iommu_sva_handle_fault(bond->handle, fault.addr, fault.perm);
		guard(mutex)(&sva->lock);
		if (sva->state == SVA_DMA_READY && bond->fault.nr == fault.nr)
			sva_dma_resume_chan(sva, fault.channel, fault.tag, error);
	}
	sva_dma_bond_put(bond);
}

/**
 * sva_dma_bond_make() - Bind the calling process to a device without page requests
 * @sva: the device
 *
 * Context: process, may sleep; takes mmap_lock.
 * Return: the bond, or what iommu_sva_bind_device() says.
 */
struct sva_dma_bond *sva_dma_bond_make(struct sva_dma *sva)
{
	struct sva_dma_bond *bond = kzalloc(sizeof(*bond), GFP_KERNEL_ACCOUNT);
	struct iommu_sva *handle;

	if (!bond)
		return ERR_PTR(-ENOMEM);

	handle = iommu_sva_bind_device(&sva->pdev->dev, current->mm);
	if (IS_ERR(handle)) {
		kfree(bond);
		return ERR_CAST(handle);
	}
	bond->handle = handle;
	bond->sva = sva;
	refcount_set(&bond->users, 1);
	INIT_WORK(&bond->work, sva_dma_serve_fault);
	return bond;
}

/**
 * sva_dma_bond_put() - Let go of a bond that sva_dma_bond_make() has made
 * @bond: the bond; its queue has been stopped, and does not listen any more
 *
 * Context: process, may sleep, but does not wait for a fault.
 */
void sva_dma_bond_put(struct sva_dma_bond *bond)
{
	if (!refcount_dec_and_test(&bond->users))
		return;
	iommu_sva_unbind_device(bond->handle);
	kfree(bond);
}

/* The channel has been stopped: what is being served for it is not to restart it. */
void sva_dma_forget_fault(struct sva_dma_queue *sq)
{
	lockdep_assert_held(&sq->sva->lock);

	if (sq->bond)
		sq->bond->fault.nr = 0;
}

/* False: there is no entry, or no device. */
static bool sva_dma_log_take(struct sva_dma *sva, struct sva_dma_own_fault *fault)
{
	u32 info = readl(sva->regs + SVA_DMA_REG_LOG_INFO);

	lockdep_assert_held(&sva->lock);

	if (info == SVA_DMA_GONE || !(info & SVA_DMA_LOG_VALID))
		return false;
	*fault = (struct sva_dma_own_fault) {
		.channel = FIELD_GET(SVA_DMA_LOG_CHANNEL, info),
		.tag = info & SVA_DMA_LOG_TAG,
		.perm = (info & LOG_PERM) >> LOG_PERM_SHIFT,
		.pasid = readl(sva->regs + SVA_DMA_REG_LOG_PASID),
		.addr = readq(sva->regs + SVA_DMA_REG_LOG_ADDR),
	};
	writel(1, sva->regs + SVA_DMA_REG_LOG_TAKE);
	return true;
}

/* Forgets the entries of the log: their jobs have ended. */
void sva_dma_log_clear(struct sva_dma *sva)
{
	unsigned int left = SVA_DMA_LOG_MAX + sva->channels;
	struct sva_dma_own_fault unused;

	while (sva->own_faults && left-- && sva_dma_log_take(sva, &unused))
		;
}

static void sva_dma_queue_fault(struct sva_dma *sva, struct sva_dma_own_fault *fault)
{
	struct sva_dma_queue *sq = sva->chan[fault->channel].owner;
	struct sva_dma_bond *bond = sq ? sq->bond : NULL;

	lockdep_assert_held(&sva->lock);

	/* An earlier owner's, or with a PASID that is not the owner's: see SVA_DMA_IOC_PASID */
	if (!bond || !sq->started || fault->pasid != sq->own_pasid) {
		sva_dma_resume_chan(sva, fault->channel, fault->tag, -ESRCH);
		return;
	}
	fault->nr = ++bond->faults;
	bond->fault = *fault;
	/* A work that runs, with a fault that is forgotten now, runs again. */
	refcount_inc(&bond->users);
	if (!queue_work(sva->fault_wq, &bond->work))
		refcount_dec(&bond->users);
}

/* The thread of the log's interrupt. It ends: while it holds the lock no channel is restarted. */
irqreturn_t sva_dma_log_irq(int irq, void *data)
{
	struct sva_dma *sva = data;
	struct sva_dma_own_fault fault;

	guard(mutex)(&sva->lock);
	while (sva->state == SVA_DMA_READY && sva_dma_log_take(sva, &fault)) {
		if (fault.channel < sva->channels)
			sva_dma_queue_fault(sva, &fault);
		else
			dev_err_ratelimited(&sva->pdev->dev, "fault of an unknown channel: %u\n",
					    fault.channel);
	}
	return IRQ_HANDLED;
}

static void sva_dma_disable_sva(void *dev)
{
	iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA);
}

static void sva_dma_destroy_wq(void *wq)
{
	destroy_workqueue(wq);
}

/* What keeps the function from SVA, for the log. */
const char *sva_dma_missing_cap(struct pci_dev *pdev)
{
	if (!device_iommu_mapped(&pdev->dev))
		return "no IOMMU in front of the device";
	if (!pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PASID))
		return "the device has no PASID";
	if (!pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ATS))
		return "the device has no ATS";
	return "the IOMMU refused";
}

/**
 * sva_dma_init_faults() - Make a device without page requests ready for binds
 * @sva: the device, in probe()
 *
 * If its IOMMU cannot do SVA it stays usable for programs that want to know why.
 *
 * Return: 0 or -ENOMEM.
 */
int sva_dma_init_faults(struct sva_dma *sva)
{
	struct device *dev = &sva->pdev->dev;
	int ret;

	/* Not IOMMU_DEV_FEAT_IOPF, which is about page requests and stalls */
	ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA);
	if (ret)
		dev_err(dev, "no SVA, opening will fail: %s (%pe)\n",
			sva_dma_missing_cap(sva->pdev), ERR_PTR(ret));
	else
		ret = devm_add_action_or_reset(dev, sva_dma_disable_sva, dev);
	if (ret == -ENOMEM || !sva->own_faults)
		return ret == -ENOMEM ? ret : 0;

	/* After the works, which unbind, SVA is disabled. */
	sva->fault_wq = alloc_workqueue("sva-dma-%s", WQ_UNBOUND, 0, dev_name(dev));
	if (!sva->fault_wq)
		return -ENOMEM;
	return devm_add_action_or_reset(dev, sva_dma_destroy_wq, sva->fault_wq);
}
