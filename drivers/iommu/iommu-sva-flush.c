// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared Virtual Addressing: flushes of all IOMMUs of a process
 *
 * Model: a process has a domain for each IOMMU, and one flush concerns them all. A back-end that
 * can starts its hardware and waits for it later (&iommu_sva_ops.start_flush), so that IOMMUs work
 * at the same time; others flush and wait in one call.
 *
 * Locks: callers may be MMU notifier callbacks, under page-table spinlocks. The thread holds no
 * lock of a vendor driver between the start of a flush and the wait for it.
 *
 * Lifetime: domains and devices may go a grace period after they have left the list, so an RCU
 * read-side section spans the start and the wait.
 */
#include <linux/compiler.h>
#include <linux/iommu.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>

#include "iommu-sva-priv.h"

/**
 * struct sva_flush - a flush that has been started
 * @domain: of the IOMMU that works
 * @failed: the IOMMU has not carried it out
 * @notes: of the vendor driver
 */
struct sva_flush {
	struct iommu_domain *domain;
	bool failed;
	u64 notes[IOMMU_SVA_FLUSH_NOTES];
};

/* Flushes that a thread starts before it waits; on the stack of one that may be deep in reclaim */
#define SVA_MAX_FLUSHES		16

static void sva_flush_domain(struct iommu_domain *domain, const struct iommu_sva_range *range)
{
	const struct iommu_sva_ops *ops = domain->owner->sva_ops;

	if (range->exits)
		ops->release(domain);
	else
		ops->invalidate_range(domain, range->start, range->end);
}

/* Returns false if the flush has not been started. */
static bool sva_start_flush(struct iommu_domain *domain, const struct iommu_sva_range *range,
			    struct sva_flush *flush)
{
	const struct iommu_sva_ops *ops = domain->owner->sva_ops;

	flush->domain = domain;
	return ops->start_flush && ops->start_flush(domain, range, flush->notes);
}

static bool sva_await_flush(struct sva_flush *flush, const struct iommu_sva_range *range)
{
	const struct iommu_sva_ops *ops = flush->domain->owner->sva_ops;

	return ops->await_flush(flush->domain, range, flush->notes);
}

/* The last one first: a driver may have turned interrupts off, and turns them on as they were. */
static void sva_await_flushes(struct sva_flush *flushes, unsigned int nr,
			      const struct iommu_sva_range *range)
{
	unsigned int i;

	for (i = nr; i--;)
		flushes[i].failed = !sva_await_flush(&flushes[i], range);
	for (i = 0; i < nr; i++)
		if (unlikely(flushes[i].failed))
			sva_flush_domain(flushes[i].domain, range);
}

/*
 * Starts the flush of each domain, and then waits for them: all IOMMUs work at the same time. A
 * flush as a whole may wait for room in a queue, which flushes of other CPUs take, while these wait
 * for room that flushes of this thread take in other queues: it comes when none is under way.
 */
static noinline void io_mm_flush_several(struct io_mm *io_mm, const struct iommu_sva_range *range)
{
	struct sva_flush started[SVA_MAX_FLUSHES];
	struct sva_domain *sdom;
	unsigned int nr = 0;

	list_for_each_entry_rcu(sdom, &io_mm->domains, node) {
		if (!sdom->domain->owner->sva_ops)
			continue;
		if (nr < SVA_MAX_FLUSHES && sva_start_flush(sdom->domain, range, &started[nr])) {
			nr++;
			continue;
		}
		sva_await_flushes(started, nr, range);
		nr = 0;
		sva_flush_domain(sdom->domain, range);
	}
	sva_await_flushes(started, nr, range);
}

/* A single domain, as most processes have it, takes no more stack than its driver needs. */
void io_mm_flush(struct io_mm *io_mm, const struct iommu_sva_range *range)
{
	struct iommu_domain *only = NULL;
	struct sva_domain *sdom;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "domains and devices may go");

	list_for_each_entry_rcu(sdom, &io_mm->domains, node) {
		if (!sdom->domain->owner->sva_ops)
			continue;
		if (only) {
			io_mm_flush_several(io_mm, range);
			return;
		}
		only = sdom->domain;
	}
	if (only)
		sva_flush_domain(only, range);
}
