// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bench: faults without a page request
 *
 * Those that a driver has served, and those of a process that no device knows. The second kind is
 * where a kernel with this core must not differ from one without.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pgtable.h>
#include <linux/timex.h>
#include <linux/uaccess.h>

#include "sva_bench.h"

#define SLOTS		32
#define SLOT_ROUNDS	BENCH_ROUNDS

/* The slots of the top level that a program uses are near both ends. */
static unsigned long slot_addr(unsigned int i)
{
	return (unsigned long)(i + 16) << PGDIR_SHIFT;
}

/* Returns what the fault took. The tables go with the memory: the next one finds none. */
static long touch_fresh_slot(unsigned long addr)
{
	u64 ticks;

	if (vm_mmap(NULL, addr, PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, 0) != addr)
		return -ENOMEM;
	ticks = get_cycles();
	if (put_user(1, (u8 __user *)addr))
		return -EFAULT;
	ticks = get_cycles() - ticks;
	return vm_munmap(addr, PAGE_SIZE) ?: ticks;
}

static long touch_fresh_slots(void *data)
{
	u64 *ticks = data;

	for (unsigned int i = 0; i < SLOTS; i++) {
		long ret = touch_fresh_slot(slot_addr(i));

		if (ret < 0)
			return ret;
		ticks[i] = ret;
	}
	return 0;
}

/* A process that has never been bound puts tables into slots of its top level. */
void bench_slots(struct kunit *test)
{
	u64 *ticks = kunit_kcalloc(test, SLOT_ROUNDS * SLOTS, sizeof(*ticks), GFP_KERNEL);
	struct sva_proc *proc = sva_proc_start(test);

	KUNIT_ASSERT_NOT_NULL(test, ticks);
	for (unsigned int i = 0; i < SLOT_ROUNDS; i++)
		KUNIT_ASSERT_EQ(test, sva_proc_call(proc, touch_fresh_slots, &ticks[i * SLOTS]),
				0L);
	bench_report(test, "fresh_slot", bench_median(ticks, SLOT_ROUNDS * SLOTS), 1,
		     "instructions/fault");
}

#if SVA_CORE
/* The same pages as those of a batch, each in a call, of a kernel thread as a driver's is. */
void bench_own_fault(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);
	u64 ticks[BENCH_ROUNDS];
	int error = 0;

	sva_fault_around_limit(0);
	for (unsigned int i = 0; i < BENCH_ROUNDS; i++) {
		bench_shuffle(b);
		bench_forget_pages(b);
		ticks[i] = get_cycles();
		for (unsigned int n = 0; n < BENCH_BATCH; n++)
			error |= iommu_sva_handle_fault(b->bond->sva, b->addrs[n], IOPF_RW);
		ticks[i] = get_cycles() - ticks[i];
		KUNIT_ASSERT_EQ(test, error, 0);
	}
	bench_report(test, "own_fault", bench_median(ticks, BENCH_ROUNDS), BENCH_BATCH,
		     "instructions/fault");
}
#endif
