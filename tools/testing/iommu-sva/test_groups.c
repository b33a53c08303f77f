// SPDX-License-Identifier: GPL-2.0-only
/*
 * Collecting: partials, groups, slots, overflow.
 */
#include "test.h"

TEST(last_page_alone_is_a_group)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (u32 i = 0; i < 100; i++)
		test_answered(vendor_ask(dev, 1, i & 0x1ff, PAGE(i % PAGES)), SUCCESS);
	SIM_EQ(mm->faults, 100);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static unsigned long faulted[8];
static unsigned int nr_faulted;

static vm_fault_t note_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	faulted[nr_faulted++ % ARRAY_SIZE(faulted)] = addr;
	return sim_fault_map(vma, addr, flags);
}

TEST(partials_are_served_before_the_last_page_and_answered_with_it)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r;

	mm->fault = note_fault;
	for (unsigned int i = 0; i < 3; i++)
		SIM_EQ(vendor_send(dev, 1, 7, PAGE(i), READ, false)->error, 0);
	sim_settle();
	SIM_EQ(nr_faulted, 0);
	r = vendor_ask(dev, 1, 7, PAGE(3));
	test_answered(r, SUCCESS);
	SIM_EQ(nr_faulted, 4);
	for (unsigned int i = 0; i < 4; i++)
		SIM_EQ(faulted[i], PAGE(i));
	/* The partials went with it. */
	test_answered(vendor_ask(dev, 1, 7, PAGE(4)), SUCCESS);
	SIM_EQ(nr_faulted, 5);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(group_with_one_bad_page_is_refused)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	vendor_send(dev, 1, 7, SLOT(1), READ, false);
	test_answered(vendor_ask(dev, 1, 7, PAGE(3)), INVALID);
	vendor_send(dev, 1, 7, PAGE(3), READ, false);
	test_answered(vendor_ask(dev, 1, 7, SLOT(1)), INVALID);
	test_answered(vendor_ask(dev, 1, 7, PAGE(3)), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* The key is the whole of (device, PASID, group index). */
TEST(partials_meet_their_own_last_page_only)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *bonds[] = { test_bind(a, mm), test_bind(b, mm), test_bind(a, other) };
	u32 pasid = iommu_sva_get_pasid(bonds[0]), their = iommu_sva_get_pasid(bonds[2]);

	/* A bad page, so that the group that has it is refused. */
	vendor_send(a, pasid, 3, SLOT(1), READ, false);
	test_answered(vendor_ask(a, their, 3, BASE), SUCCESS);
	test_answered(vendor_ask(b, pasid, 3, BASE), SUCCESS);
	for (u32 i = 0; i < 512; i++)
		if (i != 3)
			test_answered(vendor_ask(a, pasid, i, BASE), SUCCESS);
	test_answered(vendor_ask(a, pasid, 3, BASE), INVALID);
	for (unsigned int i = 0; i < 3; i++)
		iommu_sva_unbind_device(bonds[i]);
	mmput(mm);
	mmput(other);
}

/* PASIDs and indices whose mixture is the same number */
TEST(keys_that_hash_alike_are_told_apart)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 1 << 20, CREDITS);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;

	vendor_enable(dev);
	sva = test_bind(dev, mm);
	vendor_send(dev, 1, 5, SLOT(1), READ, false);
	vendor_send(dev, 1, 5 + 4096, SLOT(1), READ, false);
	test_answered(vendor_ask(dev, 1, 5 + 8192, BASE), SUCCESS);
	test_answered(vendor_ask(dev, 1, 5 + 4096, BASE), INVALID);
	test_answered(vendor_ask(dev, 1, 5, BASE), INVALID);
	test_answered(vendor_ask(dev, 1, 5, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* More PASIDs than any table of partials has places: some meet in one. */
TEST(partials_of_many_pasids_are_told_apart)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 1 << 20, 80);
	struct mm_struct *mms[80];
	struct iommu_sva *bonds[80];

	vendor_enable(dev);
	for (u32 i = 0; i < 80; i++) {
		mms[i] = test_mm();
		bonds[i] = test_bind(dev, mms[i]);
		SIM_EQ(iommu_sva_get_pasid(bonds[i]), i + 1);
	}
	/* Bad ones of the first half; the second half's groups must not have them. */
	for (u32 i = 0; i < 40; i++)
		vendor_send(dev, i + 1, 3, SLOT(1), READ, false);
	for (u32 i = 40; i < 80; i++)
		test_answered(vendor_ask(dev, i + 1, 3, BASE), SUCCESS);
	for (u32 i = 0; i < 40; i++)
		test_answered(vendor_ask(dev, i + 1, 3, BASE), INVALID);
	for (u32 i = 0; i < 80; i++) {
		iommu_sva_unbind_device(bonds[i]);
		mmput(mms[i]);
	}
}

TEST(groups_give_back_the_slots_of_their_partials)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r;

	for (u32 i = 0; i < 2 * (CREDITS + SPARE); i++) {
		for (unsigned int k = 0; k < 3; k++)
			vendor_send(dev, 1, i, PAGE(k), READ, false);
		r = vendor_ask(dev, 1, i, PAGE(3));
		/* Answered by a drain, or served, with all of them */
		if (i & 1)
			iopf_drain_pasid(dev_of(dev), 1);
		test_answered(r, i & 1 ? INVALID : SUCCESS);
		SIM_EQ(mm->faults, 4 * (i / 2 + 1));
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(device_that_never_sends_last_pages_harms_nobody)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);

	for (u32 i = 0; i < 1000; i++) {
		SIM_EQ(vendor_send(a, 1, i & 0x1ff, BASE, READ, false)->error, 0);
		if (i % 100 == 0) {
			test_answered(vendor_ask(a, 1, 0x1ff, BASE), SUCCESS);
			test_answered(vendor_ask(b, 1, i & 0x1ff, BASE), SUCCESS);
		}
	}
	SIM_EQ(sim_nr_logged(), 0);
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

TEST(oldest_partial_makes_room)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	/* One more than there are slots: the first, which is bad, goes. So does the last page's. */
	vendor_send(dev, 1, 0, SLOT(1), READ, false);
	for (u32 i = 1; i <= CREDITS + SPARE; i++)
		vendor_send(dev, 1, i, i == 2 ? SLOT(1) : PAGE(0), READ, false);
	test_answered(vendor_ask(dev, 1, 0, BASE), SUCCESS);
	test_answered(vendor_ask(dev, 1, 2, BASE), INVALID);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(device_that_exceeds_its_credits_is_refused_and_others_are_not)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);
	struct vendor_request *held[CREDITS + SPARE], *r;
	struct sim_door door;

	test_shut(mm, &door);
	for (u32 i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = vendor_ask(a, 1, i, BASE);
		SIM_EQ(held[i]->error, 0);
	}
	r = vendor_ask(a, 1, 100, BASE);
	SIM_EQ(r->error, -EBUSY);
	test_answered(r, INVALID);
	SIM_EQ(sim_nr_logged(), 1);
	/* A partial finds no room either, and is not answered. */
	r = vendor_send(a, 1, 100, BASE, READ, false);
	SIM_EQ(r->error, -EBUSY);
	test_unanswered(r);
	r = vendor_ask(b, 1, 0, BASE);
	SIM_EQ(r->error, 0);
	door.shut = false;
	test_answered(r, SUCCESS);
	for (u32 i = 0; i < ARRAY_SIZE(held); i++)
		test_answered(held[i], SUCCESS);
	/* And its slots are back. */
	for (u32 i = 0; i < 2 * ARRAY_SIZE(held); i++)
		test_answered(vendor_ask(a, 1, i, BASE), SUCCESS);
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

static void check_slots(struct vendor_dev *dev, unsigned int slots)
{
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	struct sim_door door;
	u32 pasid;

	vendor_enable(dev);
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	test_shut(mm, &door);
	for (u32 i = 0; i < slots; i++)
		SIM_EQ(vendor_ask(dev, pasid, i, BASE)->error, 0);
	SIM_EQ(vendor_ask(dev, pasid, slots, BASE)->error, -EBUSY);
	door.shut = false;
	sim_settle();
	iommu_sva_unbind_device(sva);
	mmput(mm);
	vendor_disable(dev);
	sim_settle();
}

TEST(slots_are_as_many_as_the_device_s_credits)
{
	struct vendor_iommu *iommu = vendor_iommu_new(0);
	struct vendor_dev *function = vendor_dev_new(iommu, 16, 9);
	struct vendor_dev *virtual = vendor_dev_new(iommu, 16, 77);
	struct vendor_dev *mute = vendor_dev_new(iommu, 16, 0);
	struct vendor_dev *platform = vendor_dev_new(iommu, 16, 5);
	struct vendor_dev *none = vendor_dev_new(iommu, 16, 1);

	check_slots(vendor_dev_new(iommu, 16, 1), 1 + SPARE);
	check_slots(vendor_dev_new(iommu, 16, 100), 100 + SPARE);
	/* A virtual function uses its physical function's capability. */
	virtual->pdev.physfn = &function->pdev;
	check_slots(virtual, 9 + SPARE);
	check_slots(mute, 256 + SPARE);
	platform->pdev.dev.is_pci = false;
	check_slots(platform, 256 + SPARE);
	none->pdev.pri_max_req = 0;
	check_slots(none, 1 + SPARE);
}

/* A device that stalls has as many slots as the IOMMU holds stalls: more than any grant. */
TEST(slots_are_as_many_as_the_driver_says)
{
	struct vendor_iommu *iommu = vendor_iommu_new(0);
	struct vendor_dev *stalls = vendor_dev_new(iommu, 16, 0);
	struct vendor_dev *function = vendor_dev_new(iommu, 16, 9);

	stalls->pdev.dev.is_pci = false;
	stalls->max_requests = 400;
	check_slots(stalls, 400 + SPARE);
	stalls->max_requests = 3000;
	check_slots(stalls, 3000 + SPARE);
	stalls->max_requests = 2;
	check_slots(stalls, 2 + SPARE);
	function->max_requests = 10;
	check_slots(function, 10 + SPARE);
	function->max_requests = 0;
	check_slots(function, 9 + SPARE);
}

TEST(absurd_credits_are_bounded)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, 0x80000000);

	check_slots(dev, 2048 + SPARE);
}

/*
 * A device that keeps to its credits. The task that answers it stops when the responses have left:
 * the device has them and asks again, and the slots are not free yet.
 */
#define HONEST	64
#define FAR	(BASE + 0x1000000)

static struct sim_door sent;
static unsigned int stops_at[2];

static void stand_still(struct vendor_request *r, u32 code)
{
	if (!--stops_at[r->addr >= FAR])
		sim_pass(&sent);
}

static unsigned int count_answered(struct vendor_request **r, unsigned int nr)
{
	unsigned int answered = 0;

	for (unsigned int i = 0; i < nr; i++)
		answered += r[i]->answers;
	return answered;
}

/* Asks for as many pages as have been answered. */
static void ask_on(struct vendor_dev *dev, u32 pasid, struct vendor_request **r)
{
	unsigned int nr = count_answered(r, HONEST);

	SIM_CHECK(nr);
	for (u32 i = 0; i < nr; i++) {
		r[HONEST + i] = vendor_ask(dev, pasid, HONEST + i, BASE + i * PAGE_SIZE);
		SIM_EQ(r[HONEST + i]->error, 0);
	}
	sent.shut = false;
	test_all_answered(r, HONEST + nr, SUCCESS);
}

static struct mm_struct *wide_mm(unsigned long start)
{
	struct mm_struct *mm = sim_mm_new();

	sim_mmap(mm, start, HONEST, VM_READ | VM_WRITE);
	return mm;
}

/* All credits, in turns for two processes. The answers to each stand still when all have left. */
static void ask_for_two(struct vendor_dev *dev, struct iommu_sva **sva, struct vendor_request **r)
{
	for (u32 i = 0; i < HONEST; i++)
		r[i] = vendor_ask(dev, iommu_sva_get_pasid(sva[i & 1]), i,
				  (i & 1 ? FAR : BASE) + i * PAGE_SIZE);
	sent.shut = true;
	stops_at[0] = HONEST / 2;
	stops_at[1] = HONEST / 2;
	vendor_hooks.responding = stand_still;
}

TEST(honest_device_is_not_refused_while_two_batches_of_answers_are_on_their_way)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, HONEST);
	struct mm_struct *mm[] = { wide_mm(BASE), wide_mm(FAR) };
	struct vendor_request *r[2 * HONEST];
	struct iommu_sva *sva[2];

	vendor_enable(dev);
	for (unsigned int i = 0; i < 2; i++)
		sva[i] = test_bind(dev, mm[i]);
	ask_for_two(dev, sva, r);
	sim_settle();
	ask_on(dev, iommu_sva_get_pasid(sva[0]), r);
	for (unsigned int i = 0; i < 2; i++) {
		iommu_sva_unbind_device(sva[i]);
		mmput(mm[i]);
	}
}

TEST(honest_device_is_not_refused_while_the_answer_to_a_large_group_is_on_its_way)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, HONEST);
	struct mm_struct *mm = wide_mm(BASE);
	struct vendor_request *last, *r[HONEST];
	struct iommu_sva *sva;
	u32 pasid;

	vendor_enable(dev);
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	for (u32 i = 1; i < HONEST; i++)
		vendor_send(dev, pasid, 0, BASE + i * PAGE_SIZE, READ, false);
	last = vendor_ask(dev, pasid, 0, BASE);
	sent.shut = true;
	stops_at[0] = 1;
	vendor_hooks.responding = stand_still;
	sim_settle();
	SIM_EQ(last->answers, 1);
	for (u32 i = 0; i < HONEST; i++) {
		r[i] = vendor_ask(dev, pasid, i, BASE + i * PAGE_SIZE);
		SIM_EQ(r[i]->error, 0);
	}
	sent.shut = false;
	test_all_answered(r, HONEST, SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static struct vendor_dev *drained;

static void drain_all(void *arg)
{
	iopf_drain_pasid(dev_of(drained), (ioasid_t)(unsigned long)arg);
}

/* Drains send responses, too, and one may run for each process. */
TEST(honest_device_is_not_refused_while_drains_answer)
{
	struct mm_struct *mm[] = { wide_mm(BASE), wide_mm(FAR), wide_mm(BASE) };
	struct vendor_request *r[2 * HONEST];
	struct iommu_sva *sva[3];
	struct sim_door door;
	unsigned int nr;

	drained = vendor_dev_new(vendor_iommu_new(0), 16, HONEST);
	vendor_enable(drained);
	for (unsigned int i = 0; i < 3; i++)
		sva[i] = test_bind(drained, mm[i]);
	test_shut(mm[0], &door);
	ask_for_two(drained, sva, r);
	/* The worker of the second process, and the drain of the first */
	sim_settle();
	sim_spawn("drain", drain_all, (void *)(unsigned long)iommu_sva_get_pasid(sva[0]));
	sim_settle();
	nr = count_answered(r, HONEST);
	SIM_EQ(nr, HONEST / 2);
	sent.shut = false;
	sim_settle();
	SIM_EQ(count_answered(r, HONEST), HONEST);
	door.shut = false;
	sim_settle();
	for (unsigned int i = 0; i < 3; i++) {
		iommu_sva_unbind_device(sva[i]);
		mmput(mm[i]);
	}
}

/* Together less than the ring holds: stop markers need room, too. */
TEST(devices_of_a_ring_share_its_credits)
{
	struct vendor_iommu *iommu = vendor_iommu_new(0);
	struct vendor_dev *greedy[4], *modest = vendor_dev_new(iommu, 16, 3);
	u32 before = ~0U, sum = 0;

	SIM_EQ(iopf_grant_credits(dev_of(modest), 2048), 0);
	vendor_enable(modest);
	SIM_EQ(iopf_grant_credits(dev_of(modest), 2048), 3);
	for (unsigned int i = 0; i < ARRAY_SIZE(greedy); i++) {
		u32 got;

		greedy[i] = vendor_dev_new(iommu, 16, 4096);
		vendor_enable(greedy[i]);
		got = iopf_grant_credits(dev_of(greedy[i]), 2048);
		SIM_CHECK(got < before);
		before = got;
		sum += got;
	}
	SIM_CHECK(sum + 3 <= 2048 - 2048 / 8);
	/* A device that asks again has returned its credits; so has one that was removed. */
	SIM_EQ(iopf_grant_credits(dev_of(modest), 2048), 3);
	SIM_EQ(iopf_grant_credits(dev_of(greedy[3]), 2048), before);
	vendor_disable(greedy[0]);
	SIM_CHECK(iopf_grant_credits(dev_of(greedy[3]), 2048) > before);
	SIM_EQ(iopf_grant_credits(dev_of(greedy[2]), 16), 8);
}

/* Its requests are those that its physical function may have outstanding. */
TEST(virtual_function_takes_no_credits_from_others)
{
	struct vendor_iommu *iommu = vendor_iommu_new(0);
	struct vendor_dev *physical = vendor_dev_new(iommu, 16, 4096);
	struct vendor_dev *virtual = vendor_dev_new(iommu, 16, 4096);
	u32 alone;

	virtual->pdev.physfn = &physical->pdev;
	vendor_enable(physical);
	vendor_enable(virtual);
	alone = iopf_grant_credits(dev_of(physical), 2048);
	SIM_EQ(iopf_grant_credits(dev_of(virtual), 2048), 0);
	SIM_EQ(iopf_grant_credits(dev_of(physical), 2048), alone);
}

TEST(request_with_a_pasid_that_is_not_bound)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r;

	r = vendor_ask(dev, 9, 0, BASE);
	SIM_EQ(r->error, -EINVAL);
	test_answered(r, INVALID);
	SIM_EQ(sim_nr_logged(), 1);
	r = vendor_send(dev, 9, 0, BASE, READ, false);
	SIM_EQ(r->error, -EINVAL);
	test_unanswered(r);
	/* Without any PASID: no domain is attached to that. */
	r = vendor_ask(dev, IOMMU_PASID_INVALID, 0, BASE);
	SIM_EQ(r->error, -EINVAL);
	test_answered(r, INVALID);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* After an overflow */

TEST(suspect_partial_does_not_fail_a_later_group)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	vendor_send(dev, 1, 3, SLOT(1), READ, false);
	SIM_EQ(iopf_queue_discard_partial(dev->iommu->queue), 0);
	test_answered(vendor_ask(dev, 1, 3, BASE), SUCCESS);
	/* Only once */
	vendor_send(dev, 1, 3, SLOT(1), READ, false);
	test_answered(vendor_ask(dev, 1, 3, BASE), INVALID);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(suspect_partial_is_served_all_the_same)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	vendor_send(dev, 1, 3, SLOT(1), READ, false);
	vendor_send(dev, 1, 3, PAGE(1), READ, false);
	iopf_queue_discard_partial(dev->iommu->queue);
	vendor_send(dev, 1, 3, PAGE(2), READ, false);
	test_answered(vendor_ask(dev, 1, 3, PAGE(3)), SUCCESS);
	for (unsigned int i = 1; i <= 3; i++)
		SIM_CHECK(vendor_dma(dev, 1, PAGE(i), false));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(last_page_of_a_suspect_group_still_counts)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	vendor_send(dev, 1, 3, PAGE(1), READ, false);
	iopf_queue_discard_partial(dev->iommu->queue);
	test_answered(vendor_ask(dev, 1, 3, SLOT(1)), INVALID);
	vendor_send(dev, 1, 3, PAGE(1), READ, false);
	iopf_queue_discard_partial(dev->iommu->queue);
	vendor_send(dev, 1, 3, SLOT(1), READ, false);
	test_answered(vendor_ask(dev, 1, 3, PAGE(2)), INVALID);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(overflow_is_for_all_devices_of_one_queue_only)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a), *c = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *bonds[] = { test_bind(a, mm), test_bind(b, mm), test_bind(c, mm) };

	vendor_send(a, 1, 3, SLOT(1), READ, false);
	vendor_send(b, 1, 3, SLOT(1), READ, false);
	vendor_send(c, 1, 3, SLOT(1), READ, false);
	iopf_queue_discard_partial(a->iommu->queue);
	test_answered(vendor_ask(a, 1, 3, BASE), SUCCESS);
	test_answered(vendor_ask(b, 1, 3, BASE), SUCCESS);
	test_answered(vendor_ask(c, 1, 3, BASE), INVALID);
	for (unsigned int i = 0; i < 3; i++)
		iommu_sva_unbind_device(bonds[i]);
	mmput(mm);
}

TEST(slot_forgets_that_it_was_suspect)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (u32 i = 0; i < CREDITS + SPARE; i++)
		vendor_send(dev, 1, i, BASE, READ, false);
	iopf_queue_discard_partial(dev->iommu->queue);
	/* All slots again, for others */
	for (u32 i = 0; i < CREDITS + SPARE - 1; i++) {
		vendor_send(dev, 1, 100 + i, SLOT(1), READ, false);
		test_answered(vendor_ask(dev, 1, 100 + i, BASE), INVALID);
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(all_partials_of_a_device_are_suspect_after_an_overflow)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (u32 i = 0; i < 3; i++)
		vendor_send(dev, 1, i, SLOT(1), READ, false);
	iopf_queue_discard_partial(dev->iommu->queue);
	for (u32 i = 0; i < 3; i++)
		test_answered(vendor_ask(dev, 1, i, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(overflow_of_no_queue_is_einval)
{
	SIM_EQ(iopf_queue_discard_partial(NULL), -EINVAL);
}

/* Handlers that serve groups themselves, as iommufd's does */

static struct iopf_group *caught[64];
static unsigned int nr_caught;
static int catch_error;

static int catch_group(struct iopf_group *group)
{
	if (catch_error)
		return catch_error;
	caught[nr_caught++] = group;
	return 0;
}

struct handler {
	struct vendor_dev *dev;
	struct iommu_domain domain;
	struct iommu_attach_handle handle;
};

static void install(struct handler *h, ioasid_t pasid, unsigned int type)
{
	nr_caught = 0;
	catch_error = 0;
	h->domain = (struct iommu_domain){ .type = type, .iopf_handler = catch_group };
	h->handle.domain = &h->domain;
	sim_attach_handle(dev_of(h->dev)->iommu_group, pasid, &h->handle);
}

TEST(handler_owns_the_group_until_it_lets_go)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	vendor_send(h.dev, 5, 1, PAGE(1), READ, false);
	r = vendor_ask(h.dev, 5, 1, PAGE(2));
	test_unanswered(r);
	SIM_EQ(nr_caught, 1);
	SIM_EQ(caught[0]->fault_count, 2);
	SIM_EQ(caught[0]->cookie, 0);
	SIM_CHECK(caught[0]->attach_handle == &h.handle);
	SIM_CHECK(caught[0]->fault_param->dev == dev_of(h.dev));
	SIM_EQ(caught[0]->last_fault.fault.prm.addr, PAGE(2));
	iopf_group_response(caught[0], IOMMU_PAGE_RESP_FAILURE);
	test_answered(r, IOMMU_PAGE_RESP_FAILURE);
	/* Of no effect */
	iopf_group_response(caught[0], SUCCESS);
	iopf_free_group(caught[0]);
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

/* All of its pages have slots. */
TEST(group_of_a_handler_gives_all_its_slots_back)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	for (u32 i = 0; i < 2 * (CREDITS + SPARE); i++) {
		nr_caught = 0;
		vendor_send(h.dev, 5, 1, PAGE(1), READ, false);
		vendor_send(h.dev, 5, 1, PAGE(2), READ, false);
		r = vendor_ask(h.dev, 5, 1, PAGE(3));
		test_unanswered(r);
		SIM_EQ(nr_caught, 1);
		SIM_EQ(caught[0]->fault_count, 3);
		iopf_group_response(caught[0], SUCCESS);
		iopf_free_group(caught[0]);
		test_answered(r, SUCCESS);
	}
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(group_whose_handler_fails_is_refused)
{
	struct handler h = { .dev = test_dev() };

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	catch_error = -ENOMEM;
	for (u32 i = 0; i < 2 * (CREDITS + SPARE); i++) {
		struct vendor_request *r = vendor_ask(h.dev, 5, i, BASE);

		SIM_EQ(r->error, 0);
		test_answered(r, INVALID);
	}
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(group_that_is_freed_without_an_answer_warns)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, 5, 0, BASE);
	sim_expect_warnings(1);
	iopf_free_group(caught[0]);
	/* The core does not answer it any more: the test closes its entry in the ledger. */
	r->answers = 1;
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(drain_answers_for_a_handler_that_takes_its_time)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, 5, 0, BASE);
	iopf_drain_pasid(dev_of(h.dev), 5);
	SIM_EQ(r->answers, 1);
	SIM_EQ(r->code, INVALID);
	iopf_group_response(caught[0], SUCCESS);
	iopf_free_group(caught[0]);
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(group_outlives_its_device_s_place_on_the_queue)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, 5, 0, BASE);
	vendor_disable(h.dev);
	sim_settle();
	SIM_EQ(r->code, INVALID);
	iopf_group_response(caught[0], SUCCESS);
	iopf_free_group(caught[0]);
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

/* A drain does not answer a group that its handler has removed from the device's list. */
TEST(group_that_is_dequeued_is_its_handler_s_alone)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, 5, 0, BASE);
	iopf_group_dequeue(caught[0]);
	iopf_drain_pasid(dev_of(h.dev), 5);
	test_unanswered(r);
	iopf_group_response(caught[0], SUCCESS);
	test_answered(r, SUCCESS);
	iopf_free_group(caught[0]);
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(group_that_is_dequeued_is_not_answered_after_the_removal)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, 5, 0, BASE);
	iopf_group_dequeue(caught[0]);
	iopf_queue_remove_device(h.dev->iommu->queue, dev_of(h.dev));
	h.dev->on_queue = false;
	h.dev->shut = true;
	SIM_EQ(r->answers, 0);
	iopf_group_response(caught[0], SUCCESS);
	SIM_EQ(r->answers, 0);
	iopf_free_group(caught[0]);
	r->answers = 1;
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(attachment_without_a_handler_is_as_none)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	h.domain.iopf_handler = NULL;
	r = vendor_ask(h.dev, 5, 0, BASE);
	SIM_EQ(r->error, -EINVAL);
	test_answered(r, INVALID);
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(request_without_pasid_goes_to_the_device_s_domain)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, IOMMU_NO_PASID, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, IOMMU_PASID_INVALID, 0, BASE);
	SIM_EQ(nr_caught, 1);
	iopf_group_response(caught[0], SUCCESS);
	iopf_free_group(caught[0]);
	test_answered(r, SUCCESS);
	/* But not one with a PASID that is not attached */
	r = vendor_ask(h.dev, 5, 0, BASE);
	SIM_EQ(r->error, -EINVAL);
	SIM_EQ(nr_caught, 1);
	sim_detach_handle(dev_of(h.dev)->iommu_group, IOMMU_NO_PASID);
}

TEST(pasids_of_a_guest_s_table_belong_to_the_nested_domain)
{
	struct handler h = { .dev = vendor_dev_new(vendor_iommu_new(VENDOR_USER_TABLE), 16, 4) };
	struct vendor_request *r;

	vendor_enable(h.dev);
	install(&h, IOMMU_NO_PASID, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, 5, 0, BASE);
	SIM_EQ(nr_caught, 1);
	iopf_group_response(caught[0], SUCCESS);
	iopf_free_group(caught[0]);
	test_answered(r, SUCCESS);
	/* Only if it is one */
	h.domain.type = IOMMU_DOMAIN_SVA;
	r = vendor_ask(h.dev, 5, 0, BASE);
	SIM_EQ(r->error, -EINVAL);
	test_answered(r, INVALID);
	sim_detach_handle(dev_of(h.dev)->iommu_group, IOMMU_NO_PASID);
}

static u64 counted(struct vendor_dev *dev, enum iopf_count what)
{
	u64 counts[IOPF_NR_COUNTS];

	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	return counts[what];
}

TEST(answers_of_a_handler_are_counted)
{
	struct handler h = { .dev = test_dev() };

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	for (u32 i = 0; i < 3; i++) {
		vendor_ask(h.dev, 5, i, BASE);
		iopf_group_response(caught[i], i ? INVALID : SUCCESS);
		iopf_free_group(caught[i]);
	}
	SIM_EQ(counted(h.dev, IOPF_SERVED), 1);
	SIM_EQ(counted(h.dev, IOPF_FAILED), 2);
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(answer_of_a_handler_after_a_reset_counts_as_forgotten)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, 5, 0, BASE);
	iopf_group_dequeue(caught[0]);
	iopf_quiesce_device(dev_of(h.dev));
	vendor_begin_reset(h.dev);
	iopf_group_response(caught[0], SUCCESS);
	SIM_EQ(r->answers, 0);
	SIM_EQ(counted(h.dev, IOPF_STALE), 1);
	SIM_EQ(counted(h.dev, IOPF_SERVED), 0);
	iopf_free_group(caught[0]);
	vendor_end_reset(h.dev);
	iopf_resume_device(dev_of(h.dev));
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(cookie_of_a_group_does_not_come_back)
{
	struct handler h = { .dev = test_dev() };

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	for (u32 i = 0; i < 2; i++) {
		vendor_ask(h.dev, 5, i, BASE);
		SIM_EQ(caught[i]->cookie, 0);
		caught[i]->cookie = 7;
		iopf_group_response(caught[i], SUCCESS);
		iopf_free_group(caught[i]);
	}
	SIM_CHECK(caught[0] == caught[1]);
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}

TEST(flush_does_not_wait_for_a_handler)
{
	struct handler h = { .dev = test_dev() };
	struct vendor_request *r;

	install(&h, 5, IOMMU_DOMAIN_NESTED);
	r = vendor_ask(h.dev, 5, 0, BASE);
	SIM_EQ(iopf_queue_flush_dev(dev_of(h.dev)), 0);
	SIM_EQ(r->answers, 0);
	iopf_group_response(caught[0], SUCCESS);
	iopf_free_group(caught[0]);
	sim_detach_handle(dev_of(h.dev)->iommu_group, 5);
}
