// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: what a batch of page requests costs
 *
 * The meter is armed with a number of responses. It begins when the PRQ thread reads the first
 * request out of the ring and ends when the core has written the last of these responses. What the
 * software IOMMU does in between that hardware would do itself (to free a place in the ring, to
 * keep the ledger, to carry a response to the endpoint) is silicon: it is done with preemption
 * disabled, so that it can be told apart from the core's work by a clock, and is taken off.
 *
 * The rest means something if there is one CPU and it has nothing else to do.
 *
 * Locks: soft_meter.lock.
 */
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/timex.h>

#include "soft-priv.h"

/* Ticks for what hardware would do, of all software IOMMUs */
static DEFINE_PER_CPU(u64, soft_silicon);

static u64 soft_silicon_sum(void)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(soft_silicon, cpu));
	return sum;
}

void soft_meter_init(struct soft_iommu *iommu)
{
	spin_lock_init(&iommu->meter.lock);
	init_completion(&iommu->meter.done);
}

void soft_meter_arm(struct soft_iommu *iommu, unsigned int responses)
{
	struct soft_meter *meter = &iommu->meter;

	guard(spinlock)(&meter->lock);
	reinit_completion(&meter->done);
	WRITE_ONCE(meter->began, 0);
	WRITE_ONCE(meter->left, responses);
}

u64 soft_meter_wait(struct soft_iommu *iommu)
{
	struct soft_meter *meter = &iommu->meter;

	if (!wait_for_completion_timeout(&meter->done, SOFT_LONG_TIME))
		return 0;
	guard(spinlock)(&meter->lock);
	return meter->ended - meter->began;
}

/* A request has been read out of the ring; that began at @began. */
void soft_meter_request(struct soft_iommu *iommu, u64 began)
{
	struct soft_meter *meter = &iommu->meter;

	if (!READ_ONCE(meter->left) || READ_ONCE(meter->began))
		return;
	guard(spinlock)(&meter->lock);
	/* Ticks of silicon count as if they came before. */
	WRITE_ONCE(meter->began, began - soft_silicon_sum());
}

/* The core has written a response, at @now. */
void soft_meter_response(struct soft_iommu *iommu, u64 now)
{
	struct soft_meter *meter = &iommu->meter;

	if (!READ_ONCE(meter->left))
		return;
	scoped_guard(spinlock, &meter->lock) {
		if (!meter->left)
			return;
		WRITE_ONCE(meter->left, meter->left - 1);
		if (meter->left)
			return;
		meter->ended = now - soft_silicon_sum();
	}
	complete(&meter->done);
}

/* What hardware would do begins, and ends. */
u64 soft_silicon_begin(void)
{
	preempt_disable();
	return get_cycles();
}

void soft_silicon_end(u64 begin)
{
	__this_cpu_add(soft_silicon, get_cycles() - begin);
	preempt_enable();
}
