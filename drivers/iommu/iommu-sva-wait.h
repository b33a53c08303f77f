/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long a thread has spun for hardware
 *
 * Back-ends give hardware up, or panic, if it has done nothing for some seconds. A wait that seems
 * longer than it is would end a machine that works.
 *
 * Time counts by the clock, but no look adds more than SVA_WAIT_STEP: a hypervisor may have stopped
 * the CPU, which then has not looked whether hardware is done. The clock may stand still, as while
 * timekeeping is suspended, or where it counts the ticks of a CPU whose interrupts are off. Then
 * delays count, but only those since it moved last: a kernel that has calibrated udelay() on a busy
 * machine makes delays that are much shorter than they say.
 *
 * A queue may be full of work of others, and a wait for its end take long though hardware works. So
 * back-ends look where hardware is, and give it up if it stays in one place (sva_wait_found_in()).
 *
 * A wait is a value on the caller's stack, which it zeroes: no locks.
 */
#ifndef _DRIVERS_IOMMU_IOMMU_SVA_WAIT_H
#define _DRIVERS_IOMMU_IOMMU_SVA_WAIT_H

#include <linux/minmax.h>
#include <linux/time64.h>
#include <linux/types.h>

/* In ns: the tick of a kernel with HZ=100 */
#define SVA_WAIT_STEP		(10 * (u64)NSEC_PER_MSEC)
/* Delays, in us: a part of the wait so far, within these limits */
#define SVA_WAIT_PART		16U
#define SVA_WAIT_MIN_DELAY	1U
#define SVA_WAIT_MAX_DELAY	1000U

/**
 * struct sva_wait - a wait for hardware
 * @last: the clock at the last look, in ns
 * @waited: by the clock, in ns
 * @still: delays since the clock has moved, in ns
 * @looked: there was a look
 * @place: where hardware was found last
 * @found: how often in a row it was found there
 */
struct sva_wait {
	u64 last;
	u64 waited;
	u64 still;
	bool looked;
	u32 place;
	unsigned int found;
};

/**
 * sva_wait_ns() - How long has the thread waited?
 * @wait: the wait
 *
 * Context: any.
 * Return: the time, in ns.
 */
static inline u64 sva_wait_ns(const struct sva_wait *wait)
{
	return max(wait->waited, wait->still);
}

/**
 * sva_wait_pace() - How long may the thread delay before it looks at the hardware again?
 * @wait: the wait
 *
 * Short delays come first, because hardware that works is done in some microseconds.
 *
 * Context: any.
 * Return: the delay, 1 to 1,000 us.
 */
static inline unsigned int sva_wait_pace(const struct sva_wait *wait)
{
	return clamp(sva_wait_ns(wait) / (SVA_WAIT_PART * NSEC_PER_USEC),
		     SVA_WAIT_MIN_DELAY, SVA_WAIT_MAX_DELAY);
}

/**
 * sva_wait_look() - Count the time since the last look at the clock
 * @wait: the wait
 * @now: the clock, in ns
 *
 * Context: any.
 * Return: true if the clock has moved, or was not looked at before; false if only delays count.
 */
static inline bool sva_wait_look(struct sva_wait *wait, u64 now)
{
	u64 step = now - wait->last;
	bool first = !wait->looked;

	wait->last = now;
	wait->looked = true;
	if (first)
		return true;
	if ((s64)step <= 0)
		return false;
	wait->waited += min(step, SVA_WAIT_STEP);
	wait->still = 0;
	return true;
}

/**
 * sva_wait_delayed() - Count a delay while the clock stands still
 * @wait: the wait
 * @us: the delay, in us
 *
 * Context: any.
 */
static inline void sva_wait_delayed(struct sva_wait *wait, unsigned int us)
{
	wait->still += us * (u64)NSEC_PER_USEC;
}

/**
 * sva_wait_found_in() - Note where hardware is, and begin to count time anew
 * @wait: the wait
 * @place: a number that is another one when hardware has done something
 *
 * Context: any.
 * Return: how often in a row hardware has been found in @place, this time included.
 */
static inline unsigned int sva_wait_found_in(struct sva_wait *wait, u32 place)
{
	unsigned int found = wait->found && place == wait->place ? wait->found + 1 : 1;

	*wait = (struct sva_wait){ .place = place, .found = found };
	return found;
}

#endif /* _DRIVERS_IOMMU_IOMMU_SVA_WAIT_H */
