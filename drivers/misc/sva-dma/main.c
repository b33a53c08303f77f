// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver of sva-dma, the PCIe test endpoint of the SVA core, on the uacce framework.
 *
 * Model. One open file of /dev/sva_dma-N is one bond between the device and the process that
 * opened it, and, once it has been started, one channel of the device. uacce binds and unbinds, or,
 * for a device without page requests, the driver does: see faults.c.
 * Opening takes no channel, so the number of bonds is not limited by the number of channels. A
 * channel is kept from the first start until the file goes away or the driver lets go of the
 * device, since a mapping of its job page may exist that long; the next owner finds the job page
 * scrubbed. Jobs are submitted by the process through the job page; the driver sees only the start
 * and the stop of a channel and its interrupt.
 *
 * Whose memory. A queue works on the memory of the process that opened the file, even if another
 * one holds the descriptor. So only that process may start it and map its job page, or one with
 * CAP_SYS_RAWIO, which may choose any PASID anyway.
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
 * the same around a loss of power, and the error handlers around the reset of the link that ends a
 * fatal error. In between no register is touched and no job page is mapped: an access is retried
 * until that is over. An error that is not fatal pauses nothing.
 *
 * From owner to owner. probe() takes nothing for granted: it stops what runs, or resets the
 * function, before it makes it a bus master. remove() and shutdown() stop all channels before
 * anything is unbound, and reset a function that has failed; recovery, which needs the device lock
 * that they hold, is over by then. After shutdown() no page request is left without an answer.
 *
 * Virtual functions, which sriov_numvfs makes, are devices like any other to this driver. PASID and
 * PRI of the physical function are theirs, too, so they go before it does. A reset of it takes them
 * along, and their driver does not hear of that.
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
 * A work that has a fault served holds none of them meanwhile, and waits for sva_dma.lock only.
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
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/interrupt.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci-ats.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/uacce.h>

#include "sva-dma.h"

/* The device is about to lose what it knows, or its power. */
static void sva_dma_pause(struct sva_dma *sva)
{
	struct sva_dma_queue *sq;

	guard(mutex)(&sva->lock);

	if (sva->state == SVA_DMA_LEFT)
		return;
	if (sva->state == SVA_DMA_READY) {
		if (sva_dma_stop(sva, sva_dma_all(sva)))
			dev_warn(&sva->pdev->dev, "a channel did not stop before a reset\n");
		sva_dma_silence(sva);
	}
	list_for_each_entry(sq, &sva->queues, node)
		sva_dma_forget_fault(sq);
	sva_dma_set_state(sva, SVA_DMA_PAUSED);
	sva_dma_zap(sva);
}

/* What slot_reset() restores is configuration space as it is when the device may work. */
static void sva_dma_set_master(struct sva_dma *sva)
{
	pci_set_master(sva->pdev);
	pci_save_state(sva->pdev);
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

	sva_dma_log_clear(sva);
	sva_dma_set_master(sva);
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

/* All that is below the port hears of an error. One that is not fatal has lost nothing. */
static pci_ers_result_t sva_dma_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	if (state == pci_channel_io_normal)
		return PCI_ERS_RESULT_CAN_RECOVER;

	sva_dma_pause(pci_get_drvdata(pdev));
	return state == pci_channel_io_frozen ? PCI_ERS_RESULT_NEED_RESET :
						PCI_ERS_RESULT_DISCONNECT;
}

/*
 * The port has reset its link. No lock is held from error_detected() on, so another reset may have
 * made the device go on before that.
 */
static pci_ers_result_t sva_dma_slot_reset(struct pci_dev *pdev)
{
	sva_dma_pause(pci_get_drvdata(pdev));
	pci_restore_state(pdev);
	return PCI_ERS_RESULT_RECOVERED;
}

static void sva_dma_error_resume(struct pci_dev *pdev)
{
	struct sva_dma *sva = pci_get_drvdata(pdev);

	if (READ_ONCE(sva->state) == SVA_DMA_PAUSED)
		sva_dma_go_on(sva);
}

static const struct pci_error_handlers sva_dma_err_handlers = {
	.error_detected = sva_dma_error_detected,
	.slot_reset = sva_dma_slot_reset,
	.resume = sva_dma_error_resume,
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
	ret = iopf_set_timeout(dev, limit);
	if (ret)
		return ret;
	sva->fault_limit = limit;
	return count;
}
static DEVICE_ATTR_RW(fault_time_limit_ms);

static ssize_t own_faults_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sva_dma *sva = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%d\n", sva->own_faults);
}
static DEVICE_ATTR_RO(own_faults);

static struct attribute *sva_dma_attrs[] = {
	&dev_attr_fault_time_limit_ms.attr,
	&dev_attr_own_faults.attr,
	NULL,
};
ATTRIBUTE_GROUPS(sva_dma);

static int sva_dma_check(struct sva_dma *sva)
{
	struct device *dev = &sva->pdev->dev;
	u32 id = readl(sva->regs + SVA_DMA_REG_ID);
	u32 cap = readl(sva->regs + SVA_DMA_REG_CAP);

	if (id != SVA_DMA_ID || sva->pdev->revision != SVA_DMA_REVISION)
		return dev_err_probe(dev, -ENODEV, "unknown device: id %#x revision %u\n", id,
				     sva->pdev->revision);

	sva->own_binds = !(cap & SVA_DMA_CAP_STALL) && !pci_pri_supported(sva->pdev);
	sva->own_faults = cap & SVA_DMA_CAP_FAULTS;
	sva->channels = FIELD_GET(SVA_DMA_CAP_CHANNELS, cap);
	if (!sva->channels || sva->channels > SVA_DMA_MAX_CHANNELS)
		return dev_err_probe(dev, -ENODEV, "impossible number of channels: %u\n",
				     sva->channels);
	return 0;
}

static int sva_dma_request_irqs(struct sva_dma *sva)
{
	unsigned int i, vectors = sva->channels + sva->own_faults;
	struct pci_dev *pdev = sva->pdev;
	int ret;

	ret = pci_alloc_irq_vectors(pdev, vectors, vectors, PCI_IRQ_MSIX);
	if (ret < 0)
		return dev_err_probe(&pdev->dev, ret, "no MSI-X vector for each channel\n");

	for (i = 0; i < sva->channels; i++) {
		sva->chan[i].sva = sva;
		ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, i), sva_dma_irq, 0,
				       dev_name(&pdev->dev), &sva->chan[i]);
		if (ret)
			return dev_err_probe(&pdev->dev, ret, "no interrupt for vector %u\n", i);
	}
	if (!sva->own_faults)
		return 0;
	ret = devm_request_threaded_irq(&pdev->dev, pci_irq_vector(pdev, i), NULL, sva_dma_log_irq,
					IRQF_ONESHOT, dev_name(&pdev->dev), sva);
	return ret ? dev_err_probe(&pdev->dev, ret, "no interrupt for the fault log\n") : 0;
}

static int sva_dma_register(struct sva_dma *sva)
{
	struct device *dev = &sva->pdev->dev;
	struct uacce_interface interface = {
		.name = "sva_dma",
		.flags = sva->own_binds ? 0 : UACCE_DEV_SVA,
		.ops = &sva_dma_uacce_ops,
	};
	struct uacce_device *uacce;
	int ret;

	uacce = uacce_alloc(dev, &interface);
	if (IS_ERR(uacce))
		return dev_err_probe(dev, PTR_ERR(uacce), "no uacce device\n");

	if (!sva->own_binds && !(uacce->flags & UACCE_DEV_SVA))
		dev_err(dev, "no SVA, opening will fail: %s\n", sva_dma_missing_cap(sva->pdev));

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
 * An earlier owner may have left the device in the middle of a job: the kernel before a kexec, or a
 * program that had the function through VFIO. The job must not go on when the device is a bus
 * master again. If the device waits for answers to page requests, which this kernel will not give,
 * a stop would not do: the device would send stop markers, though this kernel has not enabled PRI
 * yet. Only a reset makes it forget its requests.
 */
static int sva_dma_start_clean(struct sva_dma *sva)
{
	struct device *dev = &sva->pdev->dev;
	int ret = -EBUSY;

	scoped_guard(mutex, &sva->lock) {
		sva_dma_silence(sva);
		writel(0, sva->regs + SVA_DMA_REG_CTRL);
		if (!(readl(sva->regs + SVA_DMA_REG_STATUS) & SVA_DMA_STATUS_PRI_PENDING))
			ret = sva_dma_stop(sva, sva_dma_all(sva));
		if (!ret)
			sva_dma_log_clear(sva);
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
	ret = sva->own_binds ? sva_dma_init_faults(sva) : 0;
	if (ret)
		return ret;
	sva_dma_set_master(sva);
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
 * The driver lets go of the device. When this returns, no file operation reaches it, and it is
 * quiet; if it did not obey, it has been reset. The device lock is held, so the work that would
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

	/* Virtual functions use PASID and PRI of this one. */
	pci_disable_sriov(pdev);
	sva_dma_leave(sva);
	/* Unbinds, takes the mappings away, wakes sleepers in poll(). */
	uacce_remove(sva->uacce);
	/* The faults that are still being served have bonds of the device. */
	if (sva->fault_wq)
		flush_workqueue(sva->fault_wq);
}

/*
 * Bonds and faults that are being served outlive this. All page requests are answered, lest the
 * next kernel finds the device waiting, and no invalidation is sent to it any more.
 */
static void sva_dma_shutdown(struct pci_dev *pdev)
{
	sva_dma_leave(pci_get_drvdata(pdev));
	iopf_quiesce_device(&pdev->dev);
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
	.sriov_configure = pci_sriov_configure_simple,
	.err_handler = &sva_dma_err_handlers,
	.dev_groups = sva_dma_groups,
	.driver.pm = pm_sleep_ptr(&sva_dma_pm_ops),
};
module_pci_driver(sva_dma_driver);

MODULE_DESCRIPTION("PCIe test endpoint for Shared Virtual Addressing");
MODULE_LICENSE("GPL");
