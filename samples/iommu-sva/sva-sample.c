// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sample: a driver that uses Shared Virtual Addressing, without a framework
 *
 * Model. Each sva-dma endpoint is a file, /dev/sva_sample-<PCI name>. read() binds the process that
 * calls it, has the device write to the caller's buffer, waits for that, stops the device and
 * unbinds. The kernel neither pins nor copies the buffer. A driver for more than a sample binds
 * when the file is opened and unbinds when it is released; what it has to do in between, around
 * resets and at the end is the same.
 *
 * Who stops what before unbind. sva_sample_end() returns when the device sends nothing more with
 * the PASID. A device that does not stop within STOP_TIMEOUT_US loses its bus mastering, which ends
 * its DMA, and is reset after the unbind.
 *
 * Pause: reset and suspend. The job that runs is lost; read() finds that out and fails. The core
 * answers the page requests of the device, and bonds stay.
 *
 * Lifetime. remove() stops the device, waits until read() has unbound, and only then disables the
 * features. struct sva_sample stays until the last file is closed.
 *
 * Locks, outermost first:
 *
 *	device lock		(PCI core: probe, remove, reset)
 *	  sva_sample.busy	one read() at a time; held while its job runs
 *	    sva_sample.lock	state and registers; held for as long as a stop takes
 *
 * Under sva_sample.busy the device lock is only tried for: remove() holds it and waits.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <uapi/misc/uacce/sva_dma.h>

#define STOP_POLL_US	50
#define STOP_FIRST_US	(5 * USEC_PER_MSEC)
#define STOP_TIMEOUT_US	(5 * USEC_PER_SEC)

/* What the device writes */
#define SVA_SAMPLE_BYTES	0x5a5a5a5a5a5a5a5aULL

/**
 * enum sva_sample_state - what may be done with the device
 * @SVA_SAMPLE_OFF: probe() has not ended, or remove() has begun
 * @SVA_SAMPLE_READY: jobs can be started
 * @SVA_SAMPLE_PAUSED: a reset or the suspend of the machine: no register is touched
 * @SVA_SAMPLE_STUCK: it did not stop, or did not come back; it is no bus master
 */
enum sva_sample_state {
	SVA_SAMPLE_OFF,
	SVA_SAMPLE_READY,
	SVA_SAMPLE_PAUSED,
	SVA_SAMPLE_STUCK,
};

/**
 * struct sva_sample - a device
 * @ref: of the driver and of each open file
 * @pdev: until remove() returns
 * @regs: BAR 0
 * @misc: its file
 * @busy: see above
 * @lock: of what follows
 * @state: what may be done
 * @channels: how many it has; channel 0 is used
 * @pasid: of the job
 * @running: there is a job that has not ended
 * @wait: for @running
 */
struct sva_sample {
	struct kref ref;
	struct pci_dev *pdev;
	void __iomem *regs;
	struct miscdevice misc;
	struct mutex busy;	/* read() */
	struct mutex lock;	/* state, registers */
	enum sva_sample_state state;
	unsigned int channels;
	u32 pasid;
	bool running;
	wait_queue_head_t wait;
};

static void __iomem *chan_reg(struct sva_sample *s, unsigned int channel, unsigned int reg)
{
	return s->regs + SVA_DMA_CHAN_BASE + channel * SVA_DMA_CHAN_STRIDE + reg;
}

static void __iomem *job_reg(struct sva_sample *s, unsigned int reg)
{
	return s->regs + SVA_DMA_JOB_BASE + reg;
}

/* Stopping */

/*
 * Returns 0 if the device is quiet, as one that is gone is; -EBUSY if not; -EIO if it is there and
 * does not listen, so that it has not heard of a stop either.
 */
static int sva_sample_look(struct sva_sample *s)
{
	unsigned int channel;
	u32 status;

	if (readl(s->regs + SVA_DMA_REG_ID) != SVA_DMA_ID)
		return pci_device_is_present(s->pdev) ? -EIO : 0;

	for (channel = 0; channel < s->channels; channel++) {
		status = readl(chan_reg(s, channel, SVA_DMA_CHAN_STATUS));
		if (status & (SVA_DMA_CHAN_ENABLED | SVA_DMA_CHAN_BUSY))
			return -EBUSY;
	}
	return 0;
}

/*
 * A device may wait for the answers to its page requests before it has stopped, and a fault may
 * never end: so those are answered, again and again in growing intervals.
 */
static int sva_sample_stop(struct sva_sample *s)
{
	unsigned int channel;
	u64 us, total = 0;
	int ret;

	lockdep_assert_held(&s->lock);

	for (channel = 0; channel < s->channels; channel++)
		writel(SVA_DMA_CHAN_STOP, chan_reg(s, channel, SVA_DMA_CHAN_CTRL));
	for (us = STOP_FIRST_US; ; us *= 2) {
		read_poll_timeout(sva_sample_look, ret, ret != -EBUSY, STOP_POLL_US, us, false, s);
		total += us;
		if (ret != -EBUSY || total >= STOP_TIMEOUT_US)
			return ret;
		iopf_answer_unserved(&s->pdev->dev, s->pasid);
	}
}

/* From here on it reads and writes no memory. */
static void sva_sample_silence(struct sva_sample *s)
{
	struct pci_dev *pdev = s->pdev;

	pci_clear_master(pdev);
	if (pci_device_is_present(pdev) && !pci_wait_for_pending_transaction(pdev))
		dev_err(&pdev->dev, "transactions are still pending\n");
}

static void sva_sample_give_up(struct sva_sample *s)
{
	lockdep_assert_held(&s->lock);

	s->running = false;
	wake_up(&s->wait);
}

/* A job */

static int sva_sample_start(struct sva_sample *s, u32 pasid, char __user *buf, size_t len)
{
	guard(mutex)(&s->lock);

	if (s->state != SVA_SAMPLE_READY)
		return s->state == SVA_SAMPLE_OFF ? -ENODEV : -EIO;

	s->pasid = pasid;
	writel(pasid, chan_reg(s, 0, SVA_DMA_CHAN_PASID));
	writel(0, chan_reg(s, 0, SVA_DMA_CHAN_VECTOR));
	writel(SVA_DMA_CHAN_ENABLE, chan_reg(s, 0, SVA_DMA_CHAN_CTRL));

	/* The address is the process's own. */
	writeq((uintptr_t)buf, job_reg(s, SVA_DMA_JOB_DST));
	writeq(len, job_reg(s, SVA_DMA_JOB_LEN));
	writeq(SVA_SAMPLE_BYTES, job_reg(s, SVA_DMA_JOB_ARG0));
	writel(0, job_reg(s, SVA_DMA_JOB_REPEAT));
	writel(0, job_reg(s, SVA_DMA_JOB_PACE));
	writeq(0, job_reg(s, SVA_DMA_JOB_STEP));
	writel(SVA_DMA_OP_FILL | SVA_DMA_OP_IRQ, job_reg(s, SVA_DMA_JOB_OP));
	s->running = true;
	writel(1, job_reg(s, SVA_DMA_JOB_START));
	return 0;
}

/* An interrupt of an earlier job may be late: the register tells. */
static irqreturn_t sva_sample_irq(int irq, void *data)
{
	struct sva_sample *s = data;

	guard(mutex)(&s->lock);

	if (s->state == SVA_SAMPLE_READY && s->running &&
	    readl(job_reg(s, SVA_DMA_JOB_STATUS)) != SVA_DMA_RUNNING)
		sva_sample_give_up(s);
	return IRQ_HANDLED;
}

/* The job has ended, or is to end. The device is done with the PASID when this returns. */
static int sva_sample_end(struct sva_sample *s)
{
	int ret = -EIO;

	guard(mutex)(&s->lock);

	s->running = false;
	/* The thread that has changed the state has stopped the device. */
	if (s->state != SVA_SAMPLE_READY)
		return -EIO;

	switch (readl(job_reg(s, SVA_DMA_JOB_STATUS))) {
	case SVA_DMA_DONE:
		ret = 0;
		break;
	case SVA_DMA_ERR_TRANSLATION:
	case SVA_DMA_ERR_PRI_INVALID:
		ret = -EFAULT;
		break;
	}
	if (sva_sample_stop(s)) {
		dev_err(&s->pdev->dev, "the device did not stop, resetting it\n");
		sva_sample_silence(s);
		s->state = SVA_SAMPLE_STUCK;
	}
	return ret;
}

/* If the lock is not to be had, its holder resets a device that is stuck, or has just done so. */
static void sva_sample_recover(struct sva_sample *s)
{
	int ret;

	if (READ_ONCE(s->state) != SVA_SAMPLE_STUCK)
		return;
	ret = pci_try_reset_function(s->pdev);
	if (ret)
		dev_err(&s->pdev->dev, "not reset: %pe\n", ERR_PTR(ret));
}

static int sva_sample_run(struct sva_sample *s, char __user *buf, size_t len)
{
	struct iommu_sva *handle;
	int ret, result;

	lockdep_assert_held(&s->busy);

	/* From remove() on the device is not ours. */
	if (READ_ONCE(s->state) == SVA_SAMPLE_OFF)
		return -ENODEV;
	sva_sample_recover(s);
	handle = iommu_sva_bind_device(&s->pdev->dev, current->mm);
	if (IS_ERR(handle))
		return PTR_ERR(handle);

	ret = sva_sample_start(s, iommu_sva_get_pasid(handle), buf, len);
	if (!ret) {
		ret = wait_event_interruptible(s->wait, !READ_ONCE(s->running));
		result = sva_sample_end(s);
		ret = ret ?: result;
	}
	iommu_sva_unbind_device(handle);
	sva_sample_recover(s);
	return ret;
}

/* The file */

static void sva_sample_free(struct kref *ref)
{
	kfree(container_of(ref, struct sva_sample, ref));
}

static void sva_sample_put(void *data)
{
	struct sva_sample *s = data;

	kref_put(&s->ref, sva_sample_free);
}

static int sva_sample_open(struct inode *inode, struct file *file)
{
	/* misc_open() puts it there, and keeps misc_deregister() away. */
	struct sva_sample *s = container_of(file->private_data, struct sva_sample, misc);

	kref_get(&s->ref);
	file->private_data = s;
	return nonseekable_open(inode, file);
}

static int sva_sample_release(struct inode *inode, struct file *file)
{
	sva_sample_put(file->private_data);
	return 0;
}

static ssize_t sva_sample_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct sva_sample *s = file->private_data;
	int ret;

	if (!len)
		return 0;
	if (!current->mm)
		return -EINVAL;
	ret = mutex_lock_interruptible(&s->busy);
	if (ret)
		return ret;
	ret = sva_sample_run(s, buf, len);
	mutex_unlock(&s->busy);
	return ret ? ret : (ssize_t)len;
}

static const struct file_operations sva_sample_fops = {
	.owner = THIS_MODULE,
	.open = sva_sample_open,
	.release = sva_sample_release,
	.read = sva_sample_read,
};

/* Pauses */

static void sva_sample_pause(struct sva_sample *s)
{
	guard(mutex)(&s->lock);

	if (s->state == SVA_SAMPLE_OFF)
		return;
	if (s->state == SVA_SAMPLE_READY) {
		if (sva_sample_stop(s))
			dev_warn(&s->pdev->dev, "the device did not stop before a reset\n");
		/* The IOMMU driver sends it no invalidations in a reset: it must not write. */
		sva_sample_silence(s);
	}
	s->state = SVA_SAMPLE_PAUSED;
	sva_sample_give_up(s);
}

static void sva_sample_go_on(struct sva_sample *s)
{
	guard(mutex)(&s->lock);

	if (s->state == SVA_SAMPLE_OFF)
		return;
	if (readl(s->regs + SVA_DMA_REG_ID) != SVA_DMA_ID || sva_sample_look(s)) {
		sva_sample_silence(s);
		s->state = SVA_SAMPLE_STUCK;
		dev_err(&s->pdev->dev, "the device did not come back\n");
		return;
	}
	pci_set_master(s->pdev);
	writel(SVA_DMA_CTRL_ENABLE, s->regs + SVA_DMA_REG_CTRL);
	s->state = SVA_SAMPLE_READY;
}

static void sva_sample_reset_prepare(struct pci_dev *pdev)
{
	sva_sample_pause(pci_get_drvdata(pdev));
}

static void sva_sample_reset_done(struct pci_dev *pdev)
{
	sva_sample_go_on(pci_get_drvdata(pdev));
}

/* The PCI core calls iopf_quiesce_device() and iopf_resume_device() in between. */
static const struct pci_error_handlers sva_sample_err_handlers = {
	.reset_prepare = sva_sample_reset_prepare,
	.reset_done = sva_sample_reset_done,
};

static int sva_sample_suspend(struct device *dev)
{
	sva_sample_pause(dev_get_drvdata(dev));
	iopf_quiesce_device(dev);
	return 0;
}

static int sva_sample_resume(struct device *dev)
{
	iopf_resume_device(dev);
	sva_sample_go_on(dev_get_drvdata(dev));
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(sva_sample_pm_ops, sva_sample_suspend, sva_sample_resume);

/* Begin and end */

static int sva_sample_check(struct sva_sample *s)
{
	struct pci_dev *pdev = s->pdev;

	if (readl(s->regs + SVA_DMA_REG_ID) != SVA_DMA_ID || pdev->revision != SVA_DMA_REVISION)
		return dev_err_probe(&pdev->dev, -ENODEV, "unknown device\n");
	s->channels = FIELD_GET(SVA_DMA_CAP_CHANNELS, readl(s->regs + SVA_DMA_REG_CAP));
	if (!s->channels || s->channels > SVA_DMA_MAX_CHANNELS)
		return dev_err_probe(&pdev->dev, -ENODEV, "impossible number of channels\n");
	return 0;
}

/* The owner before may have been another kernel: no bus master before it is quiet. */
static int sva_sample_start_clean(struct sva_sample *s)
{
	struct device *dev = &s->pdev->dev;
	int ret;

	scoped_guard(mutex, &s->lock) {
		sva_sample_silence(s);
		writel(0, s->regs + SVA_DMA_REG_CTRL);
		ret = sva_sample_stop(s);
	}
	if (!ret)
		return 0;
	/* probe() has the device lock. */
	ret = pci_reset_function_locked(s->pdev) ?: sva_sample_look(s);
	return ret ? dev_err_probe(dev, ret, "the device runs and cannot be stopped\n") : 0;
}

static int sva_sample_enable_sva(struct device *dev)
{
	int ret;

	ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_IOPF);
	if (ret)
		return dev_err_probe(dev, ret, "no page requests\n");
	ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA);
	if (ret) {
		iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
		return dev_err_probe(dev, ret, "no SVA\n");
	}
	return 0;
}

static void sva_sample_disable_sva(struct device *dev)
{
	iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA);
	iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
}

/* Also of a driver that probe() has not finished. */
static void sva_sample_leave(struct sva_sample *s)
{
	struct pci_dev *pdev = s->pdev;
	int ret = -EIO;

	scoped_guard(mutex, &s->lock) {
		if (s->state == SVA_SAMPLE_READY)
			ret = sva_sample_stop(s);
		if (!ret)
			writel(0, s->regs + SVA_DMA_REG_CTRL);
		sva_sample_silence(s);
		s->state = SVA_SAMPLE_OFF;
		sva_sample_give_up(s);
	}
	if (!ret || !pci_device_is_present(pdev))
		return;
	ret = pci_reset_function_locked(pdev);
	if (ret)
		dev_err(&pdev->dev, "reset failed: %pe\n", ERR_PTR(ret));
}

static int sva_sample_register(struct sva_sample *s)
{
	struct device *dev = &s->pdev->dev;
	int ret;

	pci_set_master(s->pdev);
	writel(SVA_DMA_CTRL_ENABLE | SVA_DMA_CTRL_CLEAR | SVA_DMA_CTRL_DROP_ATC,
	       s->regs + SVA_DMA_REG_CTRL);
	ret = sva_sample_enable_sva(dev);
	if (ret)
		return ret;

	scoped_guard(mutex, &s->lock)
		s->state = SVA_SAMPLE_READY;
	s->misc.minor = MISC_DYNAMIC_MINOR;
	s->misc.fops = &sva_sample_fops;
	s->misc.parent = dev;
	ret = misc_register(&s->misc);
	if (ret) {
		sva_sample_leave(s);
		sva_sample_disable_sva(dev);
		return dev_err_probe(dev, ret, "no character device\n");
	}
	return 0;
}

static struct sva_sample *sva_sample_alloc(struct pci_dev *pdev)
{
	struct sva_sample *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return ERR_PTR(-ENOMEM);
	kref_init(&s->ref);
	mutex_init(&s->busy);
	mutex_init(&s->lock);
	init_waitqueue_head(&s->wait);
	s->pdev = pdev;
	s->pasid = IOMMU_PASID_INVALID;
	pci_set_drvdata(pdev, s);
	return s;
}

static int sva_sample_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct sva_sample *s;
	int ret;

	s = sva_sample_alloc(pdev);
	if (IS_ERR(s))
		return PTR_ERR(s);
	/* Undone last, when neither the interrupt nor a reset finds it any more. */
	ret = devm_add_action_or_reset(dev, sva_sample_put, s);
	if (ret)
		return ret;
	s->misc.name = devm_kasprintf(dev, GFP_KERNEL, "sva_sample-%s", pci_name(pdev));
	if (!s->misc.name)
		return -ENOMEM;

	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(dev, ret, "cannot enable the device\n");
	if (pci_resource_len(pdev, 0) < SVA_DMA_BAR_SIZE)
		return dev_err_probe(dev, -ENODEV, "BAR 0 is too small\n");
	s->regs = pcim_iomap_region(pdev, 0, "sva-sample");
	if (IS_ERR(s->regs))
		return dev_err_probe(dev, PTR_ERR(s->regs), "cannot map BAR 0\n");
	ret = sva_sample_check(s) ?: sva_sample_start_clean(s);
	if (ret)
		return ret;

	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (ret < 0)
		return dev_err_probe(dev, ret, "no MSI-X vector\n");
	ret = devm_request_threaded_irq(dev, pci_irq_vector(pdev, 0), NULL, sva_sample_irq,
					IRQF_ONESHOT, dev_name(dev), s);
	if (ret)
		return dev_err_probe(dev, ret, "no interrupt\n");
	return sva_sample_register(s);
}

/* The device lock is held: read() can't reset the device meanwhile. */
static void sva_sample_remove(struct pci_dev *pdev)
{
	struct sva_sample *s = pci_get_drvdata(pdev);

	misc_deregister(&s->misc);
	sva_sample_leave(s);
	/* A read() that was under way has unbound when this is free. Later ones do not bind. */
	mutex_lock(&s->busy);
	mutex_unlock(&s->busy);
	sva_sample_disable_sva(&pdev->dev);
}

static void sva_sample_shutdown(struct pci_dev *pdev)
{
	sva_sample_leave(pci_get_drvdata(pdev));
}

static const struct pci_device_id sva_sample_ids[] = {
	{ PCI_DEVICE(SVA_DMA_VENDOR_ID, SVA_DMA_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, sva_sample_ids);

static struct pci_driver sva_sample_driver = {
	.name = "sva-sample",
	.id_table = sva_sample_ids,
	.probe = sva_sample_probe,
	.remove = sva_sample_remove,
	.shutdown = sva_sample_shutdown,
	.err_handler = &sva_sample_err_handlers,
	.driver.pm = pm_sleep_ptr(&sva_sample_pm_ops),
};
module_pci_driver(sva_sample_driver);

MODULE_DESCRIPTION("Shared Virtual Addressing sample");
MODULE_LICENSE("GPL");
