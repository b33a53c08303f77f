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
 * @notes: of the vendor driver
 */
struct sva_flush {
	struct iommu_domain *domain;
	u64 notes[IOMMU_SVA_FLUSH_NOTES];
};

/* Flushes that a thread starts before it waits; on the stack of one that may be deep in reclaim */
#define SVA_MAX_FLUSHES		16

static void sva_await_flushes(struct sva_flush *flush, unsigned int nr,
			      const struct iommu_sva_range *range)
{
	for (; nr; nr--, flush++)
		flush->domain->owner->sva_ops->await_flush(flush->domain, range, flush->notes);
}

static void sva_flush_domain(struct sva_domain *sdom, const struct iommu_sva_range *range)
{
	const struct iommu_sva_ops *ops = sdom->domain->owner->sva_ops;

	if (range->exits)
		ops->release(sdom->domain);
	else
		ops->invalidate_range(sdom->domain, range->start, range->end);
}

/* Returns false if there is nothing to wait for. */
static bool sva_start_flush(struct sva_domain *sdom, const struct iommu_sva_range *range,
			    struct sva_flush *flush)
{
	const struct iommu_sva_ops *ops = sdom->domain->owner->sva_ops;

	if (!ops->start_flush) {
		sva_flush_domain(sdom, range);
		return false;
	}
	flush->domain = sdom->domain;
	ops->start_flush(sdom->domain, range, flush->notes);
	return true;
}

/*
 * Starts the flush of each domain but the last, has that carried out as a whole, and then waits for
 * the others: all IOMMUs work at the same time.
 */
static noinline void io_mm_flush_several(struct io_mm *io_mm, const struct iommu_sva_range *range)
{
	struct sva_flush started[SVA_MAX_FLUSHES];
	struct sva_domain *sdom, *last = NULL;
	unsigned int nr = 0;

	list_for_each_entry_rcu(sdom, &io_mm->domains, node) {
		if (!sdom->domain->owner->sva_ops)
			continue;
		if (nr == SVA_MAX_FLUSHES) {
			sva_await_flushes(started, nr, range);
			nr = 0;
		}
		if (last)
			nr += sva_start_flush(last, range, &started[nr]);
		last = sdom;
	}
	if (last)
		sva_flush_domain(last, range);
	sva_await_flushes(started, nr, range);
}

/* A single domain, as most processes have it, takes no more stack than its driver needs. */
void io_mm_flush(struct io_mm *io_mm, const struct iommu_sva_range *range)
{
	struct sva_domain *sdom, *only = NULL;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "domains and devices may go");

	list_for_each_entry_rcu(sdom, &io_mm->domains, node) {
		if (!sdom->domain->owner->sva_ops)
			continue;
		if (only) {
			io_mm_flush_several(io_mm, range);
			return;
		}
		only = sdom;
	}
	if (only)
		sva_flush_domain(only, range);
}
