// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver of the test endpoint: channels
 *
 * Starts, stops, silences and recovers channels through the device's registers. The model, the
 * locks and the lifetime are in main.c: the caller holds sva_dma.lock, except in the work that
 * recovers.
 */
#include <linux/bitops.h>
#include <linux/delay.h>
#include <linux/iopoll.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/wait.h>

#include "sva-dma.h"

#define STOP_POLL_US		50
#define STOP_FIRST_US		(5 * USEC_PER_MSEC)
#define STOP_TIMEOUT_US		(5 * USEC_PER_SEC)
#define RECOVER_RETRY		msecs_to_jiffies(100)

int sva_dma_state_error(struct sva_dma *sva)
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

void sva_dma_set_state(struct sva_dma *sva, enum sva_dma_state state)
{
	lockdep_assert_held(&sva->lock);

	/* Pairs with the read in sva_dma_is_updated(). */
	WRITE_ONCE(sva->state, state);
}

void sva_dma_chan_enable(struct sva_dma_queue *sq)
{
	struct sva_dma *sva = sq->sva;

	lockdep_assert_held(&sva->lock);

	writel(sq->pasid, chan_reg(sva, sq->channel, SVA_DMA_CHAN_PASID));
	writel(sq->channel, chan_reg(sva, sq->channel, SVA_DMA_CHAN_VECTOR));
	writel(SVA_DMA_CHAN_ENABLE | sq->flags, chan_reg(sva, sq->channel, SVA_DMA_CHAN_CTRL));
}

/*
 * The next owner must not see what the last one left in the job page. A start clears the registers
 * that only the device writes; it starts nothing while the channel is not enabled.
 */
void sva_dma_chan_scrub(struct sva_dma *sva, unsigned int channel)
{
	unsigned int reg;

	lockdep_assert_held(&sva->lock);

	for (reg = SVA_DMA_JOB_OP; reg < SVA_DMA_JOB_START; reg += 4)
		writel(0, job_reg(sva, channel, reg));
	writel(1, job_reg(sva, channel, SVA_DMA_JOB_START));
}

/*
 * Returns 0 if the channels are quiet, as those of an absent device are, and -EBUSY if one is not.
 * -EIO: the device is there but does not listen, so it has not heard of a stop either.
 */
int sva_dma_look(struct sva_dma *sva, unsigned long channels)
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

/*
 * A device without stop markers waits for the answers to its page requests before it says that a
 * channel has stopped. The faults behind them may never end.
 */
static void sva_dma_answer(struct sva_dma *sva, unsigned long channels)
{
	unsigned int channel;
	u32 pasid;

	for_each_set_bit(channel, &channels, SVA_DMA_MAX_CHANNELS) {
		pasid = readl(chan_reg(sva, channel, SVA_DMA_CHAN_PASID));
		if (pasid != SVA_DMA_GONE)
			iopf_answer_unserved(&sva->pdev->dev, pasid);
	}
}

/*
 * One time limit for all of them. Returns 0 when the channels are quiet. Other channels may use
 * the same PASIDs and have to ask again, so they are answered in longer and longer intervals.
 */
int sva_dma_stop(struct sva_dma *sva, unsigned long channels)
{
	unsigned int channel;
	u64 us, total = 0;
	int ret;

	lockdep_assert_held(&sva->lock);

	for_each_set_bit(channel, &channels, SVA_DMA_MAX_CHANNELS)
		writel(SVA_DMA_CHAN_STOP, chan_reg(sva, channel, SVA_DMA_CHAN_CTRL));
	for (us = STOP_FIRST_US; ; us *= 2) {
		read_poll_timeout(sva_dma_look, ret, ret != -EBUSY, STOP_POLL_US, us, false, sva,
				  channels);
		total += us;
		if (ret != -EBUSY || total >= STOP_TIMEOUT_US)
			return ret;
		sva_dma_answer(sva, channels);
	}
}

/*
 * After this the function reads and writes no memory, whatever it thinks it is doing. Clearing the
 * bit is no flush: reads are over when "Transactions Pending" says so, and the answer that says so
 * pushes ahead of it the writes and page requests that were sent before.
 */
void sva_dma_silence(struct sva_dma *sva)
{
	struct pci_dev *pdev = sva->pdev;

	pci_clear_master(pdev);
	if (pci_device_is_present(pdev) && !pci_wait_for_pending_transaction(pdev))
		dev_err(&pdev->dev, "transactions are still pending\n");
}

/* No job page is mapped when this returns, and none will be before the state is READY again. */
void sva_dma_zap(struct sva_dma *sva)
{
	struct sva_dma_queue *sq;

	lockdep_assert_held(&sva->lock);

	list_for_each_entry(sq, &sva->queues, node)
		if (sq->channel >= 0)
			unmap_mapping_range(sq->uq->mapping, 0, 0, 1);
}

/* The state has changed: wakes poll(). */
void sva_dma_wake(struct sva_dma *sva)
{
	struct sva_dma_queue *sq;

	lockdep_assert_held(&sva->lock);

	list_for_each_entry(sq, &sva->queues, node)
		wake_up_interruptible(&sq->uq->wait);
}

void sva_dma_is_stuck(struct sva_dma *sva, unsigned int channel)
{
	lockdep_assert_held(&sva->lock);

	sva_dma_silence(sva);
	sva_dma_set_state(sva, SVA_DMA_STUCK);
	sva_dma_zap(sva);
	dev_err(&sva->pdev->dev, "channel %u did not stop, resetting the function\n", channel);
	/* Not while the machine suspends. */
	queue_delayed_work(system_freezable_wq, &sva->recover, 0);
}

void sva_dma_recover(struct work_struct *work)
{
	struct sva_dma *sva = container_of(to_delayed_work(work), struct sva_dma, recover);
	int ret;

	/* A reset by the user or the PCI core has done it. */
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
