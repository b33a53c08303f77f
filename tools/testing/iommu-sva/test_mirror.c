// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidations, and the root that the core keeps on x86. That an invalidation reaches every
 * attached device, that the root is up to date before the flush and that its kernel half is empty
 * is checked by the vendor's operations in every test.
 */
#include <stdio.h>

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
	/* The other device still, after one is gone. */
	iommu_sva_unbind_device(bonds[0]);
	m = second->invalidated;
	sim_zap(mm, PAGE(0), PAGE(1));
	SIM_EQ(second->invalidated, m + 1);
	iommu_sva_unbind_device(bonds[1]);
	iommu_sva_unbind_device(bonds[2]);
	mmput(mm);
}

/* IOMMUs that work at the same time */

#define MANY	20

static struct {
	struct vendor_dev *dev[MANY];
	struct iommu_sva *sva[MANY];
	struct mm_struct *mm;
	ioasid_t pasid;
	unsigned int started, started_first, waited;
} all;

static void note_start(struct vendor_domain *domain)
{
	all.started++;
	all.started_first += !all.waited;
}

static void note_wait(struct vendor_domain *domain)
{
	all.waited++;
}

static void forget_flushes(void)
{
	all.started = 0;
	all.started_first = 0;
	all.waited = 0;
}

static void bind_all(unsigned int nr)
{
	all.mm = test_mm();
	for (unsigned int i = 0; i < nr; i++) {
		all.dev[i] = test_dev();
		all.sva[i] = test_bind(all.dev[i], all.mm);
	}
	all.pasid = iommu_sva_get_pasid(all.sva[0]);
	vendor_hooks.starting = note_start;
	vendor_hooks.waiting = note_wait;
	forget_flushes();
}

static void unbind_all(unsigned int nr)
{
	vendor_hooks = (struct vendor_hooks){};
	for (unsigned int i = 0; i < nr; i++)
		iommu_sva_unbind_device(all.sva[i]);
}

static void expect_flushes(unsigned int nr, unsigned int first)
{
	SIM_EQ(all.started, nr);
	SIM_EQ(all.waited, nr);
	SIM_EQ(all.started_first, first);
	forget_flushes();
}

TEST(all_iommus_start_before_any_is_waited_for)
{
	for (unsigned int nr = 1; nr <= 5; nr++) {
		bind_all(nr);
		sim_zap(all.mm, PAGE(0), PAGE(1));
		expect_flushes(nr, nr);
		unbind_all(nr);
		mmput(all.mm);
	}
}

TEST(all_iommus_learn_of_an_exit_before_any_is_waited_for)
{
	for (unsigned int nr = 1; nr <= 5; nr++) {
		bind_all(nr);
		mmput(all.mm);
		expect_flushes(nr, nr);
		unbind_all(nr);
	}
}

/* A thread has room for so many flushes under way, and does without more. */
TEST(more_iommus_than_can_be_started_at_once)
{
	bind_all(MANY);
	sim_zap(all.mm, PAGE(0), PAGE(1));
	SIM_CHECK(all.started_first >= 8);
	expect_flushes(MANY, all.started_first);
	for (unsigned int i = 0; i < MANY; i++)
		SIM_EQ(vendor_domain_of(all.dev[i], all.pasid)->end, PAGE(1));
	mmput(all.mm);
	SIM_CHECK(all.started_first >= 8);
	expect_flushes(MANY, all.started_first);
	unbind_all(MANY);
}

/* IOMMUs that have no room for a flush, or do not carry it out */
static unsigned int full;

static bool is_full(struct vendor_domain *domain)
{
	for (unsigned int i = 0; i < 4; i++)
		if (full >> i & 1 && vendor_domain_of(all.dev[i], all.pasid) == domain)
			return true;
	return false;
}

/* Queues are full in turn. A flush that has to wait for room does so when it holds no other up. */
TEST(iommu_without_room_is_flushed_all_the_same)
{
	bind_all(4);
	vendor_hooks.has_no_room = is_full;
	for (full = 0; full < 16; full++) {
		sim_zap(all.mm, PAGE(full), PAGE(full + 1));
		SIM_EQ(all.started, 4);
		SIM_EQ(all.waited, 4);
		for (unsigned int i = 0; i < 4; i++)
			SIM_EQ(vendor_domain_of(all.dev[i], all.pasid)->end, PAGE(full + 1));
		forget_flushes();
	}
	full = 5;
	mmput(all.mm);
	SIM_EQ(all.started, 4);
	SIM_EQ(all.waited, 4);
	unbind_all(4);
}

/* Others wait until the IOMMU has failed; then the flush that it lacks is alone under way. */
TEST(flush_that_fails_is_made_again)
{
	bind_all(4);
	for (unsigned int i = 0; i < 4; i++) {
		test_answered(vendor_ask(all.dev[i], all.pasid, i, BASE), SUCCESS);
		SIM_CHECK(vendor_dma(all.dev[i], all.pasid, BASE, true));
	}
	forget_flushes();
	vendor_hooks.fails = is_full;
	full = 6;
	sim_munmap(all.mm, BASE);
	vendor_check_stale(all.mm, BASE, PAGE(PAGES));
	SIM_EQ(all.started, 4 + 2);
	SIM_EQ(all.waited, 4 + 2);
	forget_flushes();
	mmput(all.mm);
	SIM_EQ(all.started, 4 + 2);
	unbind_all(4);
}

/* One that can only do both at once, between others */
TEST(driver_that_cannot_start_a_flush_carries_it_out)
{
	struct vendor_dev *other = vendor_dev_new(vendor_iommu_new(VENDOR_NO_START), 16, CREDITS);
	struct iommu_sva *sva;

	vendor_enable(other);
	for (unsigned int turn = 0; turn < 2; turn++) {
		bind_all(2);
		sva = test_bind(other, all.mm);
		test_answered(vendor_ask(other, all.pasid, 0, BASE), SUCCESS);
		SIM_CHECK(vendor_dma(other, all.pasid, BASE, true));
		forget_flushes();
		if (turn) {
			mmput(all.mm);
		} else {
			sim_munmap(all.mm, BASE);
			vendor_check_stale(all.mm, BASE, PAGE(PAGES));
		}
		SIM_EQ(all.started, all.waited);
		SIM_CHECK(!vendor_dma(other, all.pasid, BASE, false));
		unbind_all(2);
		iommu_sva_unbind_device(sva);
		if (!turn)
			mmput(all.mm);
	}
}

static void unbind_first(void *arg)
{
	iommu_sva_unbind_device(all.sva[0]);
}

static void unbind_second(void *arg)
{
	iommu_sva_unbind_device(all.sva[1]);
}

/* Domains go while a flush that has been started for them is under way. */
EXPLORE(flush_of_two_iommus_against_unbinds)
{
	bind_all(2);
	for (unsigned int i = 0; i < 2; i++) {
		test_answered(vendor_ask(all.dev[i], all.pasid, i, BASE), SUCCESS);
		SIM_CHECK(vendor_dma(all.dev[i], all.pasid, BASE, true));
	}
	sim_spawn("unbind", unbind_first, NULL);
	sim_spawn("unbind", unbind_second, NULL);
	sim_munmap(all.mm, BASE);
	vendor_check_stale(all.mm, BASE, PAGE(PAGES));
	sim_settle();
	SIM_EQ(all.started, all.waited);
	mmput(all.mm);
}

EXPLORE(flush_of_two_iommus_against_a_reset)
{
	bind_all(2);
	for (unsigned int i = 0; i < 2; i++) {
		test_answered(vendor_ask(all.dev[i], all.pasid, i, BASE), SUCCESS);
		SIM_CHECK(vendor_dma(all.dev[i], all.pasid, BASE, true));
	}
	sim_spawn("reset", test_reset, all.dev[0]);
	sim_munmap(all.mm, BASE);
	vendor_check_stale(all.mm, BASE, PAGE(PAGES));
	sim_settle();
	unbind_all(2);
	mmput(all.mm);
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
		vendor_check_stale(mm, BASE, PAGE(PAGES));
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

TEST(bind_copies_a_slot_wherever_it_is)
{
	struct vendor_dev *dev = test_dev();

	for (unsigned int i = 0; i < 256; i++) {
		struct mm_struct *mm = sim_mm_new();
		struct iommu_sva *sva;

		map_slots(mm, i, 1);
		sim_touch(mm, SLOT(i), true);
		sva = test_bind(dev, mm);
		SIM_CHECK(vendor_dma(dev, iommu_sva_get_pasid(sva), SLOT(i), true));
		iommu_sva_unbind_device(sva);
		mmput(mm);
		sim_settle();
	}
}

/* Binds a process that has nothing in its slots. */
static void expect_empty_root(struct vendor_dev *dev)
{
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva = test_bind(dev, mm);
	pgd_t *root = vendor_root(dev, iommu_sva_get_pasid(sva));

	for (unsigned int i = 0; i < 256; i++)
		SIM_EQ(root[i].pgd, 0);
	iommu_sva_unbind_device(sva);
	mmput(mm);
	sim_settle();
}

/* An io_mm gets the memory of another process's, which had slots at its bind and later. */
TEST(root_is_empty_after_another_process)
{
	struct vendor_dev *dev = test_dev();

	for (unsigned int exits = 0; exits < 2; exits++) {
		struct mm_struct *mm = sim_mm_new();
		struct iommu_sva *sva;

		map_slots(mm, 17, 3);
		map_slots(mm, 255, 1);
		sim_touch(mm, SLOT(17), true);
		sim_touch(mm, SLOT(255), true);
		sva = test_bind(dev, mm);
		sim_touch(mm, SLOT(18), true);
		if (exits)
			mmput(mm);
		iommu_sva_unbind_device(sva);
		if (!exits)
			mmput(mm);
		sim_settle();
		expect_empty_root(dev);
	}
}

TEST(slots_are_copied_after_another_process_has_exited)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva = test_bind(dev, mm);

	mmput(mm);
	iommu_sva_unbind_device(sva);
	sim_settle();
	mm = sim_mm_new();
	map_slots(mm, 3, 1);
	sim_touch(mm, SLOT(3), true);
	sva = test_bind(dev, mm);
	SIM_CHECK(vendor_dma(dev, iommu_sva_get_pasid(sva), SLOT(3), true));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* With and without ENQCMD, where the PASID of the process stays. */
TEST(slots_that_come_between_two_bonds_are_copied)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva;
	u32 pasid;

	map_slots(mm, 9, 2);
	for (unsigned int i = 0; i < 2; i++) {
		sim_has_enqcmd = i;
		iommu_sva_unbind_device(test_bind(dev, mm));
		sim_touch(mm, SLOT(9 + i), true);
		sva = test_bind(dev, mm);
		pasid = iommu_sva_get_pasid(sva);
		SIM_CHECK(vendor_dma(dev, pasid, SLOT(9 + i), true));
		iommu_sva_unbind_device(sva);
	}
	SIM_EQ(mm->faults, 0);
	mmput(mm);
}

/* It is in the device's reach as soon as in a thread's: whether that or a request has filled it. */
static void fill_all_slots(void)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva = test_bind(dev, mm);
	pgd_t *root = vendor_root(dev, 1);

	map_slots(mm, 0, 256);
	for (unsigned int i = 0; i < 256; i++) {
		if (i & 1) {
			sim_touch(mm, SLOT(i), true);
		} else {
			SIM_CHECK(!vendor_dma(dev, 1, SLOT(i), true));
			test_answered(vendor_ask(dev, 1, 0, SLOT(i)), SUCCESS);
		}
		SIM_CHECK(vendor_dma(dev, 1, SLOT(i), true));
		SIM_EQ(root[i].pgd, mm->pgd[i].pgd & ~_PAGE_NX);
	}
	SIM_EQ(mm->faults, 128);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(slot_is_known_as_soon_as_it_is_filled)
{
	fill_all_slots();
}

TEST(slot_is_known_as_soon_as_it_is_filled_with_five_levels)
{
	sim_has_la57 = true;
	fill_all_slots();
}

/* Neither a lower level's nor the kernel's is any of our business. */
TEST(other_entries_are_left_to_the_mm)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	pgd_t *below = sim_alloc_sure(PAGE_SIZE, __func__);
	struct iommu_sva *sva = test_bind(dev, mm);
	pgd_t *root = vendor_root(dev, 1);

	for (unsigned int n = 0; n < 2; n++) {
		sim_has_la57 = n;
		spin_lock(&mm->page_table_lock);
		for (unsigned int i = 0; i < PTRS_PER_PGD; i++) {
			SIM_CHECK(!iommu_sva_populate(mm, &below[i], below));
			SIM_CHECK(i < PTRS_PER_PGD / 2 ||
				  !iommu_sva_populate(mm, &mm->pgd[i], below));
		}
		spin_unlock(&mm->page_table_lock);
	}
	for (unsigned int i = 0; i < PTRS_PER_PGD; i++)
		SIM_CHECK(!root[i].pgd && !below[i].pgd);
	iommu_sva_unbind_device(sva);
	kfree(below);
	mmput(mm);
}

TEST(slot_that_comes_after_the_exit_stays_out_of_the_root)
{
	void *table = sim_alloc_sure(PAGE_SIZE, __func__);
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	pgd_t *root = vendor_root(dev, 1);

	mmgrab(mm);
	mmput(mm);
	spin_lock(&mm->page_table_lock);
	SIM_CHECK(iommu_sva_populate(mm, &mm->pgd[7], table));
	spin_unlock(&mm->page_table_lock);
	SIM_CHECK(mm->pgd[7].pgd && !root[7].pgd);
	iommu_sva_unbind_device(sva);
	mmdrop(mm);
	kfree(table);
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

/* Copies that have been lost are back after it; their neighbours are not. */
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
		for (unsigned int i = 0; i < 256; i++) {
			sim_touch(mm, SLOT(i) + PAGE_SIZE, true);
			root[i] = __pgd(0);
		}
		sim_zap(mm, cases[k].start, cases[k].end);
		for (unsigned int i = 0; i < 256; i++)
			SIM_EQ(!!root[i].pgd, i >= cases[k].first && i <= cases[k].last);
		iommu_sva_unbind_device(sva);
		mmput(mm);
	}
}

static u64 blocks_of_invalidating(struct mm_struct *mm, unsigned long end)
{
	u64 blocks = nr_blocks;

	sim_zap(mm, 0, end);
	return nr_blocks - blocks;
}

/* What the whole root costs on top of one page of it */
static u64 blocks_of_the_root(unsigned int slots)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva = test_bind(dev, mm);
	u64 page, all;

	map_slots(mm, 0, slots);
	for (unsigned int i = 0; i < slots; i++)
		sim_touch(mm, SLOT(i), true);
	page = blocks_of_invalidating(mm, PAGE_SIZE);
	sim_touch(mm, SLOT(0), true);
	all = blocks_of_invalidating(mm, ULONG_MAX);
	iommu_sva_unbind_device(sva);
	mmput(mm);
	return all - page;
}

/* As reclaim does, for each page: not at the price of 256 comparisons */
TEST(invalidation_of_everything_looks_at_filled_slots_only)
{
	u64 one = blocks_of_the_root(1), all = blocks_of_the_root(256);

	printf("# blocks of the root: %llu with one slot, %llu with all\n",
	       (unsigned long long)one, (unsigned long long)all);
	fflush(stdout);
	SIM_CHECK(one && one < 128);
	SIM_CHECK(all > one + 255);
}

/* A slot that the bind has found, one that came later, and one that came again */
TEST(slot_that_goes_is_gone_wherever_it_came_from)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = sim_mm_new();
	struct iommu_sva *sva;

	map_slots(mm, 63, 2);
	sim_touch(mm, SLOT(63), true);
	sva = test_bind(dev, mm);
	sim_touch(mm, SLOT(64), true);
	for (unsigned int i = 0; i < 2; i++) {
		SIM_CHECK(vendor_dma(dev, 1, SLOT(63), true));
		SIM_CHECK(vendor_dma(dev, 1, SLOT(64), true));
		sim_munmap(mm, SLOT(63));
		sim_munmap(mm, SLOT(64));
		SIM_CHECK(!vendor_root(dev, 1)[63].pgd && !vendor_root(dev, 1)[64].pgd);
		SIM_CHECK(!vendor_dma(dev, 1, SLOT(63), true));
		map_slots(mm, 63, 2);
		sim_touch(mm, SLOT(63), true);
		sim_touch(mm, SLOT(64), true);
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
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
	root[0] = __pgd(0);
	root[128] = __pgd(0);
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

/* CPU and IOMMU set it as they walk; a copy that differs in nothing else is up to date. */
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
