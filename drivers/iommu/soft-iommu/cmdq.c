// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: invalidation commands
 *
 * Software puts commands into a ring and a wait command behind them, and spins until that is
 * complete: it may be inside an MMU notifier, under page-table spinlocks. The threads that spin
 * carry the commands out, in turns, so that a test decides how long a completion takes, in turns
 * and not in time: with a delay of n a wait completes in turn n + 1 of the thread that waits.
 *
 * Each command is carried out as a writer of soft_iommu.traffic: when it is done, no transaction is
 * under way that uses what it has removed. That is what the wait command of hardware promises.
 *
 * Hardware may carry out commands in any order unless a wait stands between them. Code that needs
 * an order (IOTLB before ATC: else the ATC is filled again from the IOTLB) puts a wait there.
 *
 * Locks: soft_cmdq.lock, outside of soft_iommu.traffic (soft-priv.h).
 */
#include "soft-priv.h"

/* An ATC invalidation for a device in a reset would stop hardware for all devices: a violation. */
static void soft_check_awake(struct soft_iommu *iommu, struct soft_endpoint *ep)
{
	if (READ_ONCE(ep->reset) == SOFT_IN_RESET)
		soft_violation(iommu, "%s: an ATC invalidation for a device that is in a reset",
			       soft_endpoint_name(ep));
}

static void soft_cmd_execute(struct soft_iommu *iommu, const struct soft_cmd *cmd)
{
	struct soft_cmdq *q = &iommu->cmdq;

	lockdep_assert_held(&q->lock);

	q->trace[q->carried_out++ % ARRAY_SIZE(q->trace)] = cmd->kind;
	guard(write_lock)(&iommu->traffic);
	switch (cmd->kind) {
	case SOFT_CMD_IOTLB:
		soft_count(iommu, cmd_iotlb);
		if (!q->ignore[SOFT_INVAL_IOTLB])
			soft_count_n(iommu, iotlb_dropped,
				     soft_cache_drop(iommu->iotlb, cmd->pasid, cmd->start,
						     cmd->last));
		if (!q->ignore[SOFT_INVAL_PSC]) {
			soft_cache_drop(iommu->psc, cmd->pasid, cmd->start, cmd->last);
			soft_doubts_end(iommu, cmd->pasid, cmd->start, cmd->last);
		}
		break;
	case SOFT_CMD_ATC:
		soft_count(iommu, cmd_atc);
		soft_check_awake(iommu, cmd->ep);
		if (!q->ignore[SOFT_INVAL_ATC] && !READ_ONCE(cmd->ep->lies_atc))
			soft_count_n(iommu, atc_dropped,
				     soft_cache_drop(cmd->ep->atc, cmd->pasid, cmd->start,
						     cmd->last));
		break;
	case SOFT_CMD_PASID:
		soft_count(iommu, cmd_pasid);
		soft_forget_pasid(cmd->ep, cmd->pasid);
		break;
	case SOFT_CMD_WAIT:
		soft_count(iommu, cmd_wait);
		break;
	}
}

static struct soft_cmd *soft_cmd_at(struct soft_cmdq *q, u64 nr)
{
	return &q->ring[nr % SOFT_CMDQ_SIZE];
}

/* Carries out the oldest commands, up to and with the next wait. */
static void soft_cmdq_run(struct soft_iommu *iommu)
{
	struct soft_cmdq *q = &iommu->cmdq;
	u64 end = q->head, nr;

	lockdep_assert_held(&q->lock);

	while (end < q->tail && soft_cmd_at(q, end)->kind != SOFT_CMD_WAIT)
		end++;
	for (nr = q->head; nr < end; nr++)
		soft_cmd_execute(iommu, soft_cmd_at(q, q->reorder ? end - 1 - (nr - q->head) : nr));
	if (end < q->tail)
		soft_cmd_execute(iommu, soft_cmd_at(q, end++));
	q->head = end;
	q->turns = q->delay;
}

/* Takes a turn, for a thread that waits for command @nr. True if the command is complete. */
bool soft_cmdq_turn(struct soft_iommu *iommu, u64 nr)
{
	struct soft_cmdq *q = &iommu->cmdq;

	guard(spinlock)(&q->lock);
	if (q->head > nr)
		return true;
	if (q->turns)
		q->turns--;
	else
		soft_cmdq_run(iommu);
	return q->head > nr;
}

/* Puts a command into the ring and returns its number. Does not wait for it. */
u64 soft_cmdq_submit(struct soft_iommu *iommu, const struct soft_cmd *cmd)
{
	struct soft_cmdq *q = &iommu->cmdq;

	guard(spinlock)(&q->lock);
	/* Hardware, too, fetches from a full ring while software waits for room. */
	if (q->tail - q->head == SOFT_CMDQ_SIZE)
		soft_cmdq_run(iommu);
	*soft_cmd_at(q, q->tail) = *cmd;
	return q->tail++;
}

/* Announces commands; to be followed by soft_cmdq_end(), or by _post() and _await(). */
void soft_cmdq_begin(struct soft_iommu *iommu)
{
	guard(spinlock)(&iommu->cmdq.lock);
	iommu->cmdq.users++;
}

/* Submits a wait command, for soft_cmdq_await(). */
u64 soft_cmdq_post(struct soft_iommu *iommu)
{
	return soft_cmdq_submit(iommu, &(struct soft_cmd){ .kind = SOFT_CMD_WAIT });
}

/* Returns when the wait command @nr is complete, and so all that was submitted before. */
void soft_cmdq_await(struct soft_iommu *iommu, u64 nr)
{
	struct soft_cmdq *q = &iommu->cmdq;

	soft_count(iommu, waits);
	while (!soft_cmdq_turn(iommu, nr))
		cpu_relax();

	guard(spinlock)(&q->lock);
	q->users--;
}

void soft_cmdq_end(struct soft_iommu *iommu)
{
	soft_cmdq_await(iommu, soft_cmdq_post(iommu));
}

/* Commands are in the ring, but the thread that put them there did not wait for them. */
void soft_cmdq_check(struct soft_iommu *iommu)
{
	struct soft_cmdq *q = &iommu->cmdq;
	u64 left = 0;

	scoped_guard(spinlock, &q->lock) {
		if (q->users)
			return;
		left = q->tail - q->head;
		while (q->head < q->tail)
			soft_cmdq_run(iommu);
	}
	if (left)
		soft_violation(iommu, "an invalidation ended before its wait: %llu commands left",
			       left);
}

void soft_cmdq_init(struct soft_iommu *iommu)
{
	spin_lock_init(&iommu->cmdq.lock);
}

void soft_iommu_delay_commands(struct soft_iommu *iommu, unsigned int spins)
{
	guard(spinlock)(&iommu->cmdq.lock);
	iommu->cmdq.delay = spins;
	iommu->cmdq.turns = spins;
}

void soft_iommu_reorder_commands(struct soft_iommu *iommu, bool on)
{
	guard(spinlock)(&iommu->cmdq.lock);
	iommu->cmdq.reorder = on;
}

void soft_iommu_ignore_invalidations(struct soft_iommu *iommu, enum soft_inval_kind kind, bool on)
{
	guard(spinlock)(&iommu->cmdq.lock);
	iommu->cmdq.ignore[kind] = on;
}
