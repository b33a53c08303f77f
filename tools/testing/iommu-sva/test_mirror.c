// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidations, and the root that the core keeps on x86. That an invalidation reaches every
 * attached device, that the root is up to date before the flush and that its kernel half is empty
 * is checked by the vendor's operations in every test.
 */
#include "test.h"

TEST(invalidations_are_forwarded_as_they_are)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_domain *domain = vendor_domain_of(dev, 1);
	unsigned int before = domain->invalidated;

	sim_zap(mm, PAGE(3), PAGE(5));
	SIM_EQ(domain->invalidated, before + 1);
	SIM_EQ(domain->start, PAGE(3));
	SIM_EQ(domain->end, PAGE(5));
	sim_zap(mm, 0, ULONG_MAX);
	SIM_EQ(domain->start, 0);
	SIM_EQ(domain->end, ULONG_MAX);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(invalidations_reach_each_domain_once)
{
	struct vendor_dev *a = test_dev(), *b = test_dev(), *c = test_dev_beside(b);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *bonds[] = { test_bind(a, mm), test_bind(b, mm), test_bind(c, mm) };
	struct vendor_domain *first = vendor_domain_of(a, 1), *second = vendor_domain_of(b, 1);
	unsigned int n = first->invalidated, m = second->invalidated;

	sim_zap(mm, PAGE(0), PAGE(1));
	SIM_EQ(first->invalidated, n + 1);
	SIM_EQ(second->invalidated, m + 1);
	/* The other one still, after one is gone. */
	iommu_sva_unbind_device(bonds[0]);
	m = second->invalidated;
	sim_zap(mm, PAGE(0), PAGE(1));
	SIM_EQ(second->invalidated, m + 1);
	iommu_sva_unbind_device(bonds[1]);
	iommu_sva_unbind_device(bonds[2]);
	mmput(mm);
}

TEST(invalidations_of_other_mms_are_not_forwarded)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm), *their = test_bind(dev, other);
	struct vendor_domain *domain = vendor_domain_of(dev, iommu_sva_get_pasid(sva));
	unsigned int before = domain->invalidated;

	sim_zap(other, PAGE(0), PAGE(1));
	SIM_EQ(domain->invalidated, before);
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(their);
	mmput(mm);
	mmput(other);
}

TEST(unmapped_page_is_out_of_reach_at_once)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (unsigned int i = 0; i < 4; i++) {
		test_answered(vendor_ask(dev, 1, 0, BASE), SUCCESS);
		SIM_CHECK(vendor_dma(dev, 1, BASE, true));
		sim_munmap(mm, BASE);
		vendor_check_forgotten(mm, BASE, PAGE(PAGES));
		SIM_CHECK(!vendor_dma(dev, 1, BASE, false));
		sim_mmap(mm, BASE, PAGES, VM_READ | VM_WRITE);
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

#ifdef CONFIG_X86_64

static void map_slots(struct mm_struct *mm, unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++)
		sim_mmap(mm, SLOT(i), 2, VM_READ | VM_WRITE);
}

TEST(bind_copies_every_slot_there_is)
{
	static const unsigned int slots[] = { 0, 1, 17, 254, 255 };
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva;

	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++) {
		map_slots(mm, slots[i], 1);
		sim_touch(mm, SLOT(slots[i]), true);
	}
	sva = test_bind(dev, mm);
	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		SIM_CHECK(vendor_dma(dev, 1, SLOT(slots[i]), true));
	SIM_EQ(mm->faults, 0);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(second_bind_copies_what_is_new)
{
	struct vendor_dev *a = test_dev(), *b = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *first = test_bind(a, mm), *second;

	map_slots(mm, 9, 1);
	sim_touch(mm, SLOT(9), true);
	SIM_CHECK(!vendor_dma(a, 1, SLOT(9), false));
	second = test_bind(b, mm);
	SIM_CHECK(vendor_dma(a, 1, SLOT(9), false));
	SIM_CHECK(vendor_dma(b, 1, SLOT(9), false));
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

TEST(served_fault_makes_its_slot_known)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva = test_bind(dev, mm);

	map_slots(mm, 0, 256);
	for (unsigned int i = 0; i < 256; i++) {
		/* Whether the CPU has been there before or not */
		if (i & 1)
			sim_touch(mm, SLOT(i), true);
		SIM_CHECK(!vendor_dma(dev, 1, SLOT(i), true));
		test_answered(vendor_ask(dev, 1, 0, SLOT(i)), SUCCESS);
		SIM_CHECK(vendor_dma(dev, 1, SLOT(i), true));
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(freed_table_is_out_of_the_root_before_it_is_freed)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (unsigned int i = 0; i < 256; i += 15) {
		map_slots(mm, i, 1);
		test_answered(vendor_ask(dev, 1, 0, SLOT(i)), SUCCESS);
		SIM_CHECK(vendor_dma(dev, 1, SLOT(i), true));
		sim_munmap(mm, SLOT(i));
		SIM_CHECK(!vendor_root(dev, 1)[i].pgd);
		SIM_CHECK(!vendor_dma(dev, 1, SLOT(i), true));
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* A slot is known after it; its neighbours are as they were. */
TEST(invalidation_brings_just_the_covered_slots_up_to_date)
{
	static const struct {
		unsigned long start, end;
		unsigned int first, last;
	} cases[] = {
		{ SLOT(3), SLOT(3) + 1, 3, 3 },
		{ SLOT(3), SLOT(4), 3, 3 },
		{ SLOT(4) - 1, SLOT(4), 3, 3 },
		{ SLOT(3), SLOT(4) + 1, 3, 4 },
		{ SLOT(4) - 1, SLOT(4) + 1, 3, 4 },
		{ SLOT(0), SLOT(1), 0, 0 },
		{ SLOT(255), TASK_SIZE_MAX, 255, 255 },
		{ SLOT(255), ULONG_MAX, 255, 255 },
		{ SLOT(254), TASK_SIZE_MAX - 1, 254, 255 },
		{ 0, ULONG_MAX, 0, 255 },
		{ 0, TASK_SIZE_MAX, 0, 255 },
	};

	for (unsigned int k = 0; k < ARRAY_SIZE(cases); k++) {
		struct vendor_dev *dev = test_dev();
		struct mm_struct *mm = sim_mm_new();
		struct iommu_sva *sva = test_bind(dev, mm);
		pgd_t *root = vendor_root(dev, iommu_sva_get_pasid(sva));

		map_slots(mm, 0, 256);
		for (unsigned int i = 0; i < 256; i++)
			sim_touch(mm, SLOT(i) + PAGE_SIZE, true);
		sim_zap(mm, cases[k].start, cases[k].end);
		for (unsigned int i = 0; i < 256; i++)
			SIM_EQ(!!root[i].pgd, i >= cases[k].first && i <= cases[k].last);
		iommu_sva_unbind_device(sva);
		mmput(mm);
	}
}

TEST(invalidation_of_the_kernel_s_half_touches_nothing)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva = test_bind(dev, mm);
	pgd_t *root = vendor_root(dev, 1);

	map_slots(mm, 0, 1);
	map_slots(mm, 128, 1);
	sim_touch(mm, SLOT(0), true);
	sim_touch(mm, SLOT(128), true);
	spin_lock(&mm->page_table_lock);
	sim_invalidate(mm, TASK_SIZE_MAX, ULONG_MAX);
	sim_invalidate(mm, TASK_SIZE_MAX, TASK_SIZE_MAX + PAGE_SIZE);
	sim_invalidate(mm, -SLOT(256), ULONG_MAX);
	sim_invalidate(mm, -SLOT(1), -PAGE_SIZE);
	spin_unlock(&mm->page_table_lock);
	for (unsigned int i = 0; i < PTRS_PER_PGD; i++)
		SIM_CHECK(!root[i].pgd);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* Whoever walks sets it; a copy that differs in nothing else is up to date. */
TEST(accessed_bit_is_no_difference)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	pgd_t *root;

	sim_touch(mm, BASE, true);
	sva = test_bind(dev, mm);
	root = vendor_root(dev, 1);
	root[0].pgd |= _PAGE_ACCESSED;
	sim_zap(mm, BASE, PAGE(1));
	SIM_CHECK(root[0].pgd & _PAGE_ACCESSED);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(no_execute_of_page_table_isolation_is_dropped)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;

	sim_touch(mm, BASE, true);
	SIM_CHECK(mm->pgd[0].pgd & _PAGE_NX);
	sva = test_bind(dev, mm);
	SIM_EQ(vendor_root(dev, 1)[0].pgd, mm->pgd[0].pgd & ~_PAGE_NX);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(root_is_not_the_mm_s)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	pgd_t *root = vendor_root(dev, 1);

	SIM_CHECK(root && root != mm->pgd);
	SIM_CHECK(!((unsigned long)root & (PAGE_SIZE - 1)));
	for (unsigned int i = PTRS_PER_PGD / 2; i < PTRS_PER_PGD; i++)
		SIM_CHECK(!root[i].pgd && mm->pgd[i].pgd);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(exit_empties_every_slot)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva;
	pgd_t *root;

	map_slots(mm, 0, 256);
	for (unsigned int i = 0; i < 256; i++)
		sim_touch(mm, SLOT(i), true);
	sva = test_bind(dev, mm);
	root = vendor_root(dev, 1);
	mmput(mm);
	for (unsigned int i = 0; i < PTRS_PER_PGD; i++)
		SIM_CHECK(!root[i].pgd);
	iommu_sva_unbind_device(sva);
}

TEST(failed_fault_makes_no_slot_known)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva = test_bind(dev, mm);

	sim_mmap(mm, SLOT(3), 1, VM_READ);
	test_answered(vendor_ask(dev, 1, 0, SLOT(3)), INVALID);
	SIM_CHECK(!vendor_root(dev, 1)[3].pgd);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

#else /* !CONFIG_X86_64 */

TEST(root_is_the_mm_s)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	SIM_CHECK(vendor_root(dev, 1) == mm->pgd);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

#endif
