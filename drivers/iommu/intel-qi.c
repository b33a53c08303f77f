// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d invalidation queue: devices that do not complete ATC invalidations
 *
 * Hardware waits for a device up to a limit of its own, then reports an Invalidation Time-out Error
 * and aborts all waits in the queue (VT-d 4.1, section 6.5.2.10). The submitting CPUs submit again,
 * without descriptors for the device that hangs: it costs each of them one time-out, and they send
 * the device no more until it has been reset. Dropped invalidations are unconfirmed (iopf-atc.c).
 * Page group responses that hardware has fetched have left, and are not submitted again: a second
 * response could meet a new group with the same index. A wait that hardware fetches after the error
 * completes, though invalidations ahead of it were aborted: their CPU submits again, too.
 *
 * Hardware names the device that hangs with the error. If it does not (section 11.4.9.9: the ID is
 * zero), CPUs submit descriptors one by one; a device hangs if its descriptor is aborted QI_ABORTS
 * times, since other devices may be the reason for one abort.
 *
 * Hardware that reports no error leaves the queue stuck: waits complete in order. A submitter looks
 * each QI_LOOK which submission is the oldest that is not finished. If that is the same for
 * QI_LOOKS times QI_LOOK, the submitter aborts all waits itself, as an error would have done, and
 * restarts the queue. A queue that goes on is waited for, however much work others have put into
 * it. The oldest submission has the culprit. If it asks one device, that device hangs; if it asks
 * several, CPUs submit each descriptor alone from then on, and the next time-out tells. If it asks
 * none, the IOMMU itself does not work. Then memory is not safe: as with any other command that the
 * IOMMU does not execute, the machine panics, after QI_STUCK restarts in a row. A submission that
 * completes in between resets the count (qi_submit_sync()).
 *
 * The time is that of the system's clock. The clock may stand still: early, while the machine falls
 * asleep, or because it counts ticks and interrupts are off. Then the submitter counts its delays.
 * It delays also in a wait that is longer than QI_SPIN: each look takes q_lock, which others need
 * to submit, and reads a register. An IOMMU that a hypervisor emulates may not come to anything
 * else while it answers these reads.
 *
 * A flush of several IOMMUs submits to all of them before it waits for one (intel_qi_post()). Slots
 * are free again when their submitter has found them done, not when hardware has read them. So a
 * thread that has not waited yet must not wait for slots of another queue: the thread that has them
 * may be waiting for slots of the first.
 *
 * Locks: q_inval.q_lock, inside of which a restart takes intel_iommu.register_lock. Interrupts are
 * off while a submitter waits. PCIe lets a device take a minute for an invalidation; no CPU can
 * wait so long.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/atomic.h>
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/irqflags.h>
#include <linux/minmax.h>
#include <linux/nmi.h>
#include <linux/panic.h>
#include <linux/processor.h>
#include <linux/ratelimit.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <linux/timekeeping.h>

#include "intel/iommu.h"
#include "intel/perf.h"
#include "intel/trace.h"
#include "intel-svm.h"
#include "iommu-sva-wait.h"
#include "iopf.h"

#define QI_TYPE			GENMASK_ULL(3, 0)
#define QI_ATC_SID		GENMASK_ULL(47, 32)
#define QI_PASID_ATC_SID	GENMASK_ULL(31, 16)
#define QI_PASID_ATC_PASID	GENMASK_ULL(51, 32)

/* After so many aborts of one descriptor in a row its device hangs, */
#define QI_ABORTS		3
/* or after so many, if hardware names a device each time, but none that is known. */
#define QI_NAMED_ABORTS		32

/* How long a submitter spins before it delays, in ns. Hardware that works is done by then. */
#define QI_SPIN			(SVA_WAIT_PART * (u64)NSEC_PER_USEC)
/* How long it waits before it looks where hardware is, in ns, */
#define QI_LOOK			((u64)NSEC_PER_SEC)
/* and how often it finds hardware where it was before, when it gives up */
#define QI_LOOKS		5
/* How often in a row the queue may be stuck with no device to blame */
#define QI_STUCK		3

/* Replaces a descriptor that must not be submitted */
static const struct qi_desc qi_fence = { .qw0 = QI_IWD_TYPE | QI_IWD_FENCE };

/**
 * intel_svm_submit() - Have hardware carry out descriptors, and wait until it has
 * @iommu: the IOMMU
 * @desc: the descriptors; they may complete in any order
 * @count: how many; with 0 the function waits for what was submitted before
 * @options: QI_OPT_WAIT_DRAIN, or 0
 *
 * Context: any; spins.
 * Return: 0, or the error of qi_submit_sync().
 */
int intel_svm_submit(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count,
		     unsigned long options)
{
	KUNIT_STATIC_STUB_REDIRECT(intel_svm_submit, iommu, desc, count, options);
	return qi_submit_sync(iommu, desc, count, options);
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_submit);

static bool qi_is_atc(const struct qi_desc *desc)
{
	u64 type = FIELD_GET(QI_TYPE, desc->qw0);

	return type == QI_DIOTLB_TYPE || type == QI_DEIOTLB_TYPE;
}

static bool qi_has_atc(const struct qi_desc *desc, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (qi_is_atc(&desc[i]))
			return true;
	return false;
}

static u16 qi_atc_rid(const struct qi_desc *desc)
{
	if (FIELD_GET(QI_TYPE, desc->qw0) == QI_DIOTLB_TYPE)
		return FIELD_GET(QI_ATC_SID, desc->qw0);
	return FIELD_GET(QI_PASID_ATC_SID, desc->qw0);
}

static ioasid_t qi_atc_pasid(const struct qi_desc *desc)
{
	if (FIELD_GET(QI_TYPE, desc->qw0) == QI_DIOTLB_TYPE)
		return IOMMU_NO_PASID;
	if (desc->qw1 & SVM_ATC_GLOBAL)
		return IOMMU_PASID_INVALID;
	return FIELD_GET(QI_PASID_ATC_PASID, desc->qw0);
}

/* The device stays for the caller's RCU read-side section. */
static struct device_domain_info *qi_find(struct intel_iommu *iommu, u16 rid)
{
	struct device *dev = device_rbtree_find(iommu, rid);

	return dev ? dev_iommu_priv_get(dev) : NULL;
}

/**
 * intel_qi_timed_out() - Note an Invalidation Time-out Error
 * @iommu: the IOMMU that has reported it
 * @rid: ID of the device that it is about; 0 if hardware does not tell
 *
 * From then on CPUs send that device no ATC invalidations, until intel_qi_trust().
 *
 * Context: any; an RCU read-side section, or interrupts off.
 */
void intel_qi_timed_out(struct intel_iommu *iommu, u16 rid)
{
	struct device_domain_info *info;

	if (!rid) {
		WRITE_ONCE(iommu->ite_unnamed, true);
		return;
	}
	info = qi_find(iommu, rid);
	if (info && !xchg(&info->atc_hangs, true))
		atomic_inc(&iommu->atc_hanging);
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_timed_out);

/**
 * intel_qi_trust() - Let ATC invalidations be sent to a device again
 * @info: a device that has been reset, or is about to go
 *
 * Context: any.
 */
void intel_qi_trust(struct device_domain_info *info)
{
	if (xchg(&info->atc_hangs, false))
		atomic_dec(&info->iommu->atc_hanging);
}

/* Returns true if there was something to drop. */
static bool qi_drop(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count)
{
	struct device_domain_info *info;
	bool dropped = false;

	guard(rcu)();
	for (unsigned int i = 0; i < count; i++) {
		if (!qi_is_atc(&desc[i]))
			continue;
		info = qi_find(iommu, qi_atc_rid(&desc[i]));
		if (info && !READ_ONCE(info->atc_hangs))
			continue;
		if (info)
			iopf_atc_unconfirmed(info->dev, qi_atc_pasid(&desc[i]));
		desc[i] = qi_fence;
		dropped = true;
	}
	return dropped;
}

/**
 * intel_qi_drop() - Take ATC invalidations out that their devices would not complete
 * @iommu: the IOMMU
 * @desc: the descriptors; those for devices that hang, or have gone, become fences
 * @count: how many
 *
 * Context: any.
 */
void intel_qi_drop(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count)
{
	if (unlikely(atomic_read(&iommu->atc_hanging)))
		qi_drop(iommu, desc, count);
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_drop);

/**
 * intel_qi_drop_sent() - Take page group responses out that hardware has sent
 * @iommu: the IOMMU
 * @desc: the descriptors of a submission that was aborted; responses that have left become fences
 * @count: how many
 * @index: the slot of the first of them
 *
 * Context: &q_inval.q_lock is held.
 */
void intel_qi_drop_sent(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count,
			unsigned int index)
{
	for (unsigned int i = 0; i < count; i++)
		if (FIELD_GET(QI_TYPE, desc[i].qw0) == QI_PGRP_RESP_TYPE &&
		    iommu->qi->desc_status[(index + i) % QI_LENGTH] == QI_ABORT)
			desc[i] = qi_fence;
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_drop_sent);

/**
 * intel_qi_has_lost() - Has a time-out aborted ATC invalidations, but not the wait behind them?
 * @iommu: the IOMMU
 * @desc: the descriptors of a submission whose wait has completed
 * @count: how many
 * @index: the slot of the first of them
 *
 * Hardware aborts the waits that it has fetched (VT-d 4.1, section 6.5.2.10). A wait that it
 * fetches after the error completes, since the invalidations ahead of it are no longer pending.
 *
 * Context: &q_inval.q_lock is held.
 * Return: true if the caller must treat the submission as aborted.
 */
bool intel_qi_has_lost(struct intel_iommu *iommu, const struct qi_desc *desc, unsigned int count,
		       unsigned int index)
{
	const int *status = iommu->qi->desc_status;

	for (unsigned int i = 0; i < count; i++)
		if (qi_is_atc(&desc[i]) && status[(index + i) % QI_LENGTH] == QI_ABORT)
			return true;
	return false;
}

/**
 * intel_qi_try_again() - Handle a submission that a time-out has aborted
 * @iommu: the IOMMU
 * @desc: the descriptors; see intel_qi_drop()
 * @count: how many
 * @options: as for qi_submit_sync()
 * @aborts: how often time-outs have aborted this submission, 1 or more
 *
 * Context: as qi_submit_sync().
 * Return: true if the caller must submit again, false if all is done.
 */
bool intel_qi_try_again(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count,
			unsigned long options, unsigned int aborts)
{
	bool named = !READ_ONCE(iommu->ite_unnamed);

	if (qi_drop(iommu, desc, count) || !qi_has_atc(desc, count))
		return true;
	if (named && aborts < QI_NAMED_ABORTS)
		return true;
	if (count > 1) {
		for (unsigned int i = 0; i < count; i++)
			intel_svm_submit(iommu, &desc[i], 1, i == count - 1 ? options : 0);
		return false;
	}
	if (aborts >= QI_ABORTS) {
		scoped_guard(rcu)
			intel_qi_timed_out(iommu, qi_atc_rid(desc));
		qi_drop(iommu, desc, count);
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_try_again);

/* Hardware that reports no time-out */

/* The clock in ns; works with interrupts off, and while timekeeping is suspended */
VISIBLE_IF_KUNIT u64 intel_qi_clock(void)
{
	KUNIT_STATIC_STUB_REDIRECT(intel_qi_clock);
	return ktime_get_mono_fast_ns();
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_clock);

VISIBLE_IF_KUNIT void intel_qi_delay(unsigned int us)
{
	KUNIT_STATIC_STUB_REDIRECT(intel_qi_delay, us);
	udelay(us);
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_delay);

/**
 * intel_qi_is_late() - Must a submitter look whether hardware goes on?
 * @wait: the state of the wait; the caller zeroes it when the wait begins
 *
 * Context: any; the caller holds no locks that other threads wait for.
 * Return: true if the caller must call intel_qi_check_progress().
 */
bool intel_qi_is_late(struct sva_wait *wait)
{
	bool moved = sva_wait_look(wait, intel_qi_clock());
	unsigned int us = sva_wait_pace(wait);

	if (moved && sva_wait_ns(wait) < QI_SPIN) {
		cpu_relax();
		return false;
	}
	intel_qi_delay(us);
	if (!moved)
		sva_wait_delayed(wait, us);
	return sva_wait_ns(wait) > QI_LOOK;
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_is_late);

/* Hardware begins at slot 0 when it is enabled (section 11.4.9.1). */
VISIBLE_IF_KUNIT void intel_qi_enable(struct intel_iommu *iommu, bool on)
{
	struct sva_wait wait = {};

	KUNIT_STATIC_STUB_REDIRECT(intel_qi_enable, iommu, on);
	guard(raw_spinlock)(&iommu->register_lock);
	if (on)
		iommu->gcmd |= DMA_GCMD_QIE;
	else
		iommu->gcmd &= ~DMA_GCMD_QIE;
	writel(iommu->gcmd, iommu->reg + DMAR_GCMD_REG);
	while (FIELD_GET(DMA_GSTS_QIES, readl(iommu->reg + DMAR_GSTS_REG)) != on)
		if (intel_qi_is_late(&wait) && sva_wait_found_in(&wait, on) > QI_LOOKS)
			panic("%s: DMAR hardware is malfunctioning\n", iommu->name);
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_enable);

static struct qi_desc *qi_slot(struct intel_iommu *iommu, unsigned int slot)
{
	return iommu->qi->desc + (slot << qi_shift(iommu));
}

/* Is the descriptor the wait at the end of a submission? */
static bool qi_ends_submission(const struct qi_desc *desc)
{
	return FIELD_GET(QI_TYPE, desc->qw0) == QI_IWD_TYPE && (desc->qw0 & QI_IWD_STATUS_WRITE);
}

/* The slot of the wait of the oldest submission that is not finished; at the latest @wait_index */
static int qi_oldest(struct intel_iommu *iommu, int wait_index)
{
	struct q_inval *qi = iommu->qi;
	int slot = qi->free_tail;

	lockdep_assert_held(&qi->q_lock);

	while (slot != wait_index && (READ_ONCE(qi->desc_status[slot]) != QI_IN_USE ||
				      !qi_ends_submission(qi_slot(iommu, slot))))
		slot = (slot + 1) % QI_LENGTH;
	return slot;
}

/* Finds the devices that the submission with its wait in slot @end has asked, and blames them. */
static void qi_blame(struct intel_iommu *iommu, int end)
{
	unsigned int asked = 0;
	u16 rid = 0;

	lockdep_assert_held(&iommu->qi->q_lock);

	for (int slot = iommu->qi->free_tail; slot != end; slot = (slot + 1) % QI_LENGTH) {
		const struct qi_desc *desc = qi_slot(iommu, slot);

		if (qi_is_atc(desc)) {
			asked += !asked || qi_atc_rid(desc) != rid;
			rid = qi_atc_rid(desc);
		} else if (qi_ends_submission(desc)) {
			asked = 0;
		}
	}
	pr_err_ratelimited("%s: invalidations do not complete, %u device(s) asked, last %#x\n",
			   iommu->name, asked, rid);
	if (asked)
		intel_qi_timed_out(iommu, asked == 1 ? rid : 0);
	else if (++iommu->qi_stuck == QI_STUCK)
		panic("%s: DMAR hardware is malfunctioning\n", iommu->name);
}

/*
 * Marks slots as a time-out error does, for their submitters: those that hardware has fetched, and
 * the waits of all others, which must be submitted again, too.
 */
static void qi_abort_all(struct intel_iommu *iommu)
{
	int head = readl(iommu->reg + DMAR_IQH_REG) >> qi_shift(iommu);
	struct q_inval *qi = iommu->qi;
	bool fetched = true;

	lockdep_assert_held(&qi->q_lock);

	for (int slot = qi->free_tail; slot != qi->free_head; slot = (slot + 1) % QI_LENGTH) {
		fetched &= slot != head;
		if (qi->desc_status[slot] == QI_IN_USE &&
		    (fetched || qi_ends_submission(qi_slot(iommu, slot))))
			qi->desc_status[slot] = QI_ABORT;
	}
}

/* Hardware begins at slot 0, submitters go on where they are: fills fences in between. */
static void qi_restart(struct intel_iommu *iommu)
{
	struct q_inval *qi = iommu->qi;

	lockdep_assert_held(&qi->q_lock);

	qi_abort_all(iommu);
	intel_qi_enable(iommu, false);
	for (int slot = 0; slot < qi->free_head; slot++)
		memcpy(qi_slot(iommu, slot), &qi_fence, 1 << qi_shift(iommu));
	writel(0, iommu->reg + DMAR_IQT_REG);
	intel_qi_enable(iommu, true);
	writel(qi->free_head << qi_shift(iommu), iommu->reg + DMAR_IQT_REG);
}

/**
 * intel_qi_check_progress() - Abort all submissions if hardware has stopped, and reports no error
 * @iommu: the IOMMU
 * @wait: the state of the submitter's wait, of which intel_qi_is_late() has returned true
 * @wait_index: the slot of the wait at the end of the submission
 *
 * Does nothing if the wait is over, or if hardware has finished a submission not long ago.
 * Otherwise aborts all submissions under way; their CPUs call intel_qi_try_again(), which leaves
 * out devices that are known to hang, and reports their translations as unconfirmed.
 *
 * Context: &q_inval.q_lock is held, with interrupts off.
 */
void intel_qi_check_progress(struct intel_iommu *iommu, struct sva_wait *wait, int wait_index)
{
	int oldest;

	lockdep_assert_held(&iommu->qi->q_lock);

	/* It is known why this CPU does nothing else. */
	touch_nmi_watchdog();
	if (READ_ONCE(iommu->qi->desc_status[wait_index]) != QI_IN_USE)
		return;
	oldest = qi_oldest(iommu, wait_index);
	if (sva_wait_found_in(wait, oldest) <= QI_LOOKS)
		return;
	scoped_guard(rcu)
		qi_blame(iommu, oldest);
	qi_restart(iommu);
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_check_progress);

/* Submissions that the thread waits for later */

/* The caller has found room for @count descriptors and a wait. */
static void qi_add(struct intel_iommu *iommu, const struct qi_desc *desc, unsigned int count)
{
	struct q_inval *qi = iommu->qi;
	int slot = qi->free_head, wait_slot = (slot + count) % QI_LENGTH;
	const struct qi_desc wait = {
		.qw0 = QI_IWD_STATUS_DATA(QI_DONE) | QI_IWD_STATUS_WRITE | QI_IWD_TYPE,
		.qw1 = virt_to_phys(&qi->desc_status[wait_slot]),
	};

	lockdep_assert_held(&qi->q_lock);

	for (unsigned int i = 0; i <= count; i++, slot = (slot + 1) % QI_LENGTH) {
		memcpy(qi_slot(iommu, slot), i < count ? &desc[i] : &wait, 1 << qi_shift(iommu));
		qi->desc_status[slot] = QI_IN_USE;
		if (i < count)
			trace_qi_submit(iommu, desc[i].qw0, desc[i].qw1, desc[i].qw2, desc[i].qw3);
	}
	qi->free_head = slot;
	qi->free_cnt -= count + 1;
	writel(slot << qi_shift(iommu), iommu->reg + DMAR_IQT_REG);
}

/**
 * intel_qi_post() - Have hardware carry out descriptors, and do not wait until it has
 * @iommu: the IOMMU
 * @desc: the descriptors, no page group responses; they may complete in any order
 * @count: how many, 1 or more
 * @posted: what the caller needs for intel_qi_await()
 *
 * The submission keeps its slots until intel_qi_await(). An interrupt handler that waited for them
 * on this CPU would wait for ever; so would two threads that wait for each other's. So interrupts
 * stay off, and the thread waits for room in no queue before it has awaited all that it has posted.
 *
 * Context: any; spins for locks only. Interrupts are off afterwards, if it returns true.
 * Return: false if the queue has no room, or if the caller must use intel_svm_submit(): since a
 * device hangs, or latencies are measured.
 */
bool intel_qi_post(struct intel_iommu *iommu, const struct qi_desc *desc, unsigned int count,
		   struct intel_qi_posted *posted)
{
	struct q_inval *qi = iommu->qi;
	unsigned long flags;
	bool has_room;

	if (atomic_read(&iommu->atc_hanging) ||
	    dmar_latency_enabled(iommu, DMAR_LATENCY_INV_IOTLB))
		return false;

	local_irq_save(flags);
	scoped_guard(raw_spinlock, &qi->q_lock) {
		*posted = (struct intel_qi_posted){ qi->free_head, count, flags };
		/* And for the wait, and one slot between head and tail */
		has_room = qi->free_cnt >= (int)count + 2;
		if (has_room)
			qi_add(iommu, desc, count);
	}
	if (!has_room)
		local_irq_restore(flags);
	return has_room;
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_post);

/* Spins until the wait in @wait_slot is over; returns what has ended it. */
static int qi_await(struct intel_iommu *iommu, int index, int wait_slot)
{
	struct q_inval *qi = iommu->qi;
	struct sva_wait wait = {};
	bool late;
	int ret;

	lockdep_assert_held(&qi->q_lock);

	while (READ_ONCE(qi->desc_status[wait_slot]) != QI_DONE) {
		ret = qi_check_fault(iommu, index, wait_slot);
		if (ret)
			return ret;
		raw_spin_unlock(&qi->q_lock);
		late = intel_qi_is_late(&wait);
		raw_spin_lock(&qi->q_lock);
		if (late)
			intel_qi_check_progress(iommu, &wait, wait_slot);
	}
	return 0;
}

/**
 * intel_qi_await() - Wait until hardware has carried out what was posted
 * @iommu: the IOMMU
 * @posted: what intel_qi_post() has left. Of several the caller awaits the last one first.
 *
 * Context: as intel_qi_post() has left it; spins. Interrupts are as before that call afterwards.
 * Return: false if an error has aborted the submission. The caller submits the descriptors with
 * intel_svm_submit(), which leaves those out that their devices do not complete.
 */
bool intel_qi_await(struct intel_iommu *iommu, const struct intel_qi_posted *posted)
{
	int slot = posted->index, wait_slot = (slot + posted->count) % QI_LENGTH, ret;
	struct q_inval *qi = iommu->qi;

	scoped_guard(raw_spinlock, &qi->q_lock) {
		ret = qi_await(iommu, slot, wait_slot);
		for (; slot != wait_slot; slot = (slot + 1) % QI_LENGTH) {
			if (!ret && intel_qi_has_lost(iommu, qi_slot(iommu, slot), 1, slot))
				ret = -EAGAIN;
			qi->desc_status[slot] = QI_FREE;
		}
		qi->desc_status[wait_slot] = QI_FREE;
		if (!ret)
			iommu->qi_stuck = 0;
		reclaim_free_desc(qi);
	}
	local_irq_restore(posted->flags);
	return !ret;
}
EXPORT_SYMBOL_IF_KUNIT(intel_qi_await);
