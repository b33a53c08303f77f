/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of a test's own thread, for suites that need no process
 */
#ifndef _IOMMU_TESTS_MAP_TOUCHED_H
#define _IOMMU_TESTS_MAP_TOUCHED_H

#include <kunit/test.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

/* Maps @pages pages of the test's address space, and touches each. */
static inline unsigned long map_touched(struct kunit *test, unsigned long pages)
{
	bool has_mm = current->mm;
	unsigned long addr = kunit_vm_mmap(test, NULL, 0, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
					   MAP_ANONYMOUS | MAP_PRIVATE, 0);

	/*
	 * The first call makes the thread an mm with kthread_use_mm(), whose reference the end of
	 * the thread does not drop. mm_users holds the mm until then.
	 */
	if (!has_mm && current->mm)
		mmdrop(current->mm);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	for (unsigned long i = 0; i < pages; i++)
		KUNIT_ASSERT_EQ(test, clear_user((void __user *)(addr + i * PAGE_SIZE), 8), 0);
	return addr;
}

#endif
