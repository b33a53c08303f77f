// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: violations, doubts, counters and hooks
 *
 * A violation is something that hardware would do wrong because the core did. It may be noticed in
 * atomic context, under any lock but soft_ledger.lock: nothing is allocated, the first
 * SOFT_VIOLATIONS texts are kept and all are counted. They stay until the IOMMU goes.
 *
 * A doubt is about a page that a walk has taken for a table, and that bears no mark of one. The
 * kernel takes the mark away before it flushes, and frees the page after that. So until the flush
 * such a walk is right. If no invalidation of what the table has mapped follows, the page has been
 * given up, and the doubt becomes a violation (soft_iommu_check()).
 */
#include <linux/atomic.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>

#include "soft-backend.h"
#include "soft-priv.h"

void soft_violation(struct soft_iommu *iommu, const char *fmt, ...)
{
	struct soft_ledger *ledger = &iommu->ledger;
	va_list args;

	guard(spinlock)(&ledger->lock);
	if (ledger->nr < SOFT_VIOLATIONS) {
		va_start(args, fmt);
		vsnprintf(ledger->text[ledger->nr], SOFT_VIOLATION_LEN, fmt, args);
		va_end(args);
	}
	ledger->nr++;
}

static bool soft_is_doubted(const struct soft_ledger *ledger, const struct soft_doubt *doubt)
{
	lockdep_assert_held(&ledger->lock);

	for (unsigned int i = 0; i < ledger->nr_doubts; i++)
		if (ledger->doubts[i].pasid == doubt->pasid &&
		    ledger->doubts[i].first == doubt->first &&
		    ledger->doubts[i].last == doubt->last)
			return true;
	return false;
}

/* Notes @doubt. If there is no room for one more it is a violation. */
void soft_doubt(struct soft_iommu *iommu, const struct soft_doubt *doubt)
{
	struct soft_ledger *ledger = &iommu->ledger;

	scoped_guard(spinlock, &ledger->lock) {
		if (soft_is_doubted(ledger, doubt))
			return;
		if (ledger->nr_doubts < SOFT_DOUBTS) {
			ledger->doubts[ledger->nr_doubts++] = *doubt;
			return;
		}
	}
	soft_violation(iommu, "%s", doubt->text);
}

/* An invalidation of the paging-structure cache ends doubts about tables that map of its range. */
void soft_doubts_end(struct soft_iommu *iommu, ioasid_t pasid, unsigned long first,
		     unsigned long last)
{
	struct soft_ledger *ledger = &iommu->ledger;
	unsigned int left = 0;

	if (!READ_ONCE(ledger->nr_doubts))
		return;
	guard(spinlock)(&ledger->lock);
	for (unsigned int i = 0; i < ledger->nr_doubts; i++) {
		const struct soft_doubt *doubt = &ledger->doubts[i];

		if (doubt->pasid != pasid || doubt->first > last || doubt->last < first)
			ledger->doubts[left++] = *doubt;
	}
	ledger->nr_doubts = left;
}

/* What was invalidated never: no transaction is under way. */
void soft_doubts_account(struct soft_iommu *iommu)
{
	struct soft_ledger *ledger = &iommu->ledger;
	unsigned int nr;

	scoped_guard(spinlock, &ledger->lock) {
		nr = ledger->nr_doubts;
		ledger->nr_doubts = 0;
	}
	for (unsigned int i = 0; i < nr; i++)
		soft_violation(iommu, "%s", ledger->doubts[i].text);
}

const char *soft_iommu_violation(struct soft_iommu *iommu, unsigned int n)
{
	struct soft_ledger *ledger = &iommu->ledger;

	guard(spinlock)(&ledger->lock);
	n += ledger->forgiven;
	return n < min(ledger->nr, SOFT_VIOLATIONS) ? ledger->text[n] : "";
}

unsigned int soft_iommu_forgive(struct soft_iommu *iommu)
{
	struct soft_ledger *ledger = &iommu->ledger;
	unsigned int nr;

	guard(spinlock)(&ledger->lock);
	nr = ledger->nr - ledger->forgiven;
	ledger->forgiven = ledger->nr;
	return nr;
}

void soft_iommu_read_stats(struct soft_iommu *iommu, struct soft_iommu_stats *stats)
{
	u64 *value = (u64 *)stats;

	BUILD_BUG_ON(sizeof(*stats) % sizeof(u64));
	for (unsigned int i = 0; i < SOFT_NR_COUNTERS; i++)
		value[i] = atomic64_read(&iommu->ledger.counters[i]);
}

static int soft_hook_call(struct soft_iommu *iommu, const struct soft_iommu_event *event)
{
	struct soft_hook hook;

	scoped_guard(spinlock, &iommu->hook_lock)
		hook = iommu->hooks[event->point];
	return hook.fn ? hook.fn(event, hook.data) : 0;
}

/* Steps in at @event->point if the test wants that; returns what its function returns. */
int soft_hook(struct soft_iommu *iommu, const struct soft_iommu_event *event)
{
	might_sleep();
	return soft_hook_call(iommu, event);
}

/* The same where nothing may sleep. */
void soft_hook_atomic(struct soft_iommu *iommu, const struct soft_iommu_event *event)
{
	guard(rcu)();
	soft_hook_call(iommu, event);
}

/*
 * On return no call of an earlier atomic hook is under way. One that may sleep may still do so: the
 * test that makes it sleep knows when it has ended.
 */
void soft_iommu_set_hook(struct soft_iommu *iommu, enum soft_iommu_point point,
			 soft_iommu_hook_t hook, void *data)
{
	/* The others are in the driver that it replaces: they would never be called. */
	if (iommu->backend && point != SOFT_AT_RESPONSE)
		soft_violation(iommu, "%s has no hook %d", iommu->backend->name, point);
	scoped_guard(spinlock, &iommu->hook_lock)
		iommu->hooks[point] = (struct soft_hook){ .fn = hook, .data = data };
	if (point == SOFT_AT_INVALIDATE || point == SOFT_AT_RELEASE || point == SOFT_AT_WAIT)
		synchronize_rcu();
}
