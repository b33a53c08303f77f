// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver of the test endpoint: unhandled faults
 *
 * A queue whose user wants to know of unhandled faults listens to its bond, from the first
 * SVA_DMA_IOC_FAULT_FD until put_queue(), which comes before the unbind. Several queues of one
 * process share the bond; each has a listener of its own. The listener puts each fault into a ring
 * of the queue, where the oldest makes room, and signals an eventfd. Locks:
 * sva_dma_queue.fault_lock, innermost (main.c).
 */
#include <linux/cleanup.h>
#include <linux/eventfd.h>
#include <linux/iommu.h>
#include <linux/kfifo.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>

#include "sva-dma.h"

/* What the core says of a fault is what the user gets. */
static_assert((int)SVA_DMA_FAULT_NO_MAPPING == (int)IOMMU_SVA_FAULT_NO_MAPPING);
static_assert((int)SVA_DMA_FAULT_NO_ACCESS == (int)IOMMU_SVA_FAULT_NO_ACCESS);
static_assert((int)SVA_DMA_FAULT_NO_PAGE == (int)IOMMU_SVA_FAULT_NO_PAGE);
static_assert((int)SVA_DMA_FAULT_TIMEOUT == (int)IOMMU_SVA_FAULT_TIMEOUT);
static_assert((int)SVA_DMA_FAULT_EXITED == (int)IOMMU_SVA_FAULT_EXITED);
static_assert((int)SVA_DMA_FAULT_ABORTED == (int)IOMMU_SVA_FAULT_ABORTED);
static_assert(SVA_DMA_FAULT_READ == IOMMU_FAULT_PERM_READ);
static_assert(SVA_DMA_FAULT_WRITE == IOMMU_FAULT_PERM_WRITE);
static_assert(SVA_DMA_FAULT_EXEC == IOMMU_FAULT_PERM_EXEC);
static_assert(SVA_DMA_FAULT_PRIV == IOMMU_FAULT_PERM_PRIV);

void sva_dma_faults_init(struct sva_dma_queue *sq)
{
	spin_lock_init(&sq->fault_lock);
	INIT_KFIFO(sq->faults);
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

void sva_dma_drop_eventfd(struct sva_dma_queue *sq)
{
	struct eventfd_ctx *old = sva_dma_swap_eventfd(sq, NULL);

	if (old)
		eventfd_ctx_put(old);
}

/**
 * sva_dma_listen() - Record the faults of a queue's bond from now on
 * @sq: the queue; uacce->mutex is held
 * @eventfd: to be signalled for each; the queue takes the reference over, also on error
 *
 * Return: 0, or the error of iommu_sva_listen(), after which no eventfd is left.
 */
int sva_dma_listen(struct sva_dma_queue *sq, struct eventfd_ctx *eventfd)
{
	int ret = 0;

	eventfd = sva_dma_swap_eventfd(sq, eventfd);
	if (eventfd)
		eventfd_ctx_put(eventfd);
	if (sq->listening)
		return 0;
	/* After the eventfd is there: nothing that is recorded goes without a signal. */
	sq->listener.notify = sva_dma_heard;
	ret = iommu_sva_listen(sq->handle, &sq->listener);
	sq->listening = !ret;
	if (ret)
		sva_dma_drop_eventfd(sq);
	return ret;
}

void sva_dma_unlisten(struct sva_dma_queue *sq)
{
	if (sq->listening)
		iommu_sva_unlisten(sq->handle, &sq->listener);
	sq->listening = false;
	sva_dma_drop_eventfd(sq);
}

/* The oldest fault that was recorded. -ENODATA: there is none. */
int sva_dma_next_fault(struct sva_dma_queue *sq, struct sva_dma_fault *fault)
{
	guard(spinlock_irq)(&sq->fault_lock);
	if (!kfifo_get(&sq->faults, fault))
		return -ENODATA;
	fault->lost = sq->lost;
	sq->lost = 0;
	return 0;
}
