/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all tests share. Each test runs in a process of its own, begins with nothing and must leave
 * nothing; the first violation ends it.
 */
#ifndef _IOMMU_SVA_HARNESS_TEST_H
#define _IOMMU_SVA_HARNESS_TEST_H

#include "vendor.h"

enum test_kind {
	/* once, without preemption */
	TEST_PLAIN,
	/* again for each point, with a preemption there */
	TEST_EXPLORE,
	/* under many random schedules */
	TEST_SHAKE,
};

struct test {
	const char *name;
	void (*fn)(void);
	enum test_kind kind;
	struct test *next;
};

void test_register(struct test *test);

#define TEST_OF_KIND(id, how) \
	static void id(void); \
	static struct test test_##id = { .name = #id, .fn = id, .kind = how }; \
	static void __attribute__((constructor)) register_##id(void) \
	{ \
		test_register(&test_##id); \
	} \
	static void id(void)

#define TEST(id)	TEST_OF_KIND(id, TEST_PLAIN)
#define EXPLORE(id)	TEST_OF_KIND(id, TEST_EXPLORE)
#define SHAKE(id)	TEST_OF_KIND(id, TEST_SHAKE)

#define READ		IOMMU_FAULT_PERM_READ
#define WRITE		IOMMU_FAULT_PERM_WRITE
#define EXEC		IOMMU_FAULT_PERM_EXEC
#define PRIV		IOMMU_FAULT_PERM_PRIV
#define SUCCESS		IOMMU_PAGE_RESP_SUCCESS
#define INVALID		IOMMU_PAGE_RESP_INVALID

/* Where the VMA of test_mm() begins, and how many pages it has */
#define BASE		0x100000UL
#define PAGES		16
#define PAGE(n)		(BASE + (n) * PAGE_SIZE)
/* First address of the nth slot of the top-level table */
#define SLOT(n)		((unsigned long)(n) << PGDIR_SHIFT)
/* Credits that test_dev() grants, and slots that the queue has beyond them */
#define CREDITS		4
#define SPARE		32

/* An address space with readable and writable memory at BASE */
struct mm_struct *test_mm(void);
/* A device with 16 PASIDs and CREDITS requests, behind an IOMMU of its own; page requests are on */
struct vendor_dev *test_dev(void);
/* One more behind the same IOMMU */
struct vendor_dev *test_dev_beside(struct vendor_dev *dev);
/* Success is asserted. */
struct iommu_sva *test_bind(struct vendor_dev *dev, struct mm_struct *mm);
/* The bind must fail with @error. */
void test_no_bind(struct vendor_dev *dev, struct mm_struct *mm, int error);
/* Resets @dev, a struct vendor_dev, as its driver does; for sim_spawn(), too. */
void test_reset(void *dev);
/* Lets all run, then checks that it was answered with @code. */
void test_answered(struct vendor_request *request, u32 code);
void test_all_answered(struct vendor_request **requests, unsigned int nr, u32 code);
void test_unanswered(struct vendor_request *request);

/*
 * A fault handler for mm->fault that goes through a door before it maps the page. The door is in
 * mm->fault_data.
 */
vm_fault_t test_fault_at_door(struct vm_area_struct *vma, unsigned long addr, unsigned int flags);
void test_shut(struct mm_struct *mm, struct sim_door *door);

/* Called at the begin of each basic block of the core (-fsanitize-coverage=trace-pc). */
void __sanitizer_cov_trace_pc(void);
/* How often that was */
extern u64 nr_blocks;

static inline struct device *dev_of(struct vendor_dev *dev)
{
	return &dev->pdev.dev;
}

#endif /* _IOMMU_SVA_HARNESS_TEST_H */
