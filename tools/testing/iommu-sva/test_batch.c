// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches: groups that are served and answered together, and requests for the same page.
 */
#include <iopf.h>
#include <iopf-service.h>

#include "pair.h"

/* Requests for the first @nr pages, all of them under way before the first is served */
static void serve_pages(u32 nr)
{
	struct vendor_request *r[PAGES];

	for (u32 i = 0; i < nr; i++)
		r[i] = vendor_ask(dev, pasid, i, PAGE(i));
	test_all_answered(r, nr, SUCCESS);
}

TEST(batch_is_answered_with_one_submission)
{
	set_up();
	serve_pages(PAGES);
	SIM_EQ(dev->submissions, 1);
	SIM_EQ(mm->faults, PAGES);
	tear_down();
}

TEST(batch_is_no_longer_than_it_may)
{
	struct vendor_request *r[IOPF_BATCH + 1];
	unsigned int gets;

	set_up();
	gets = mm->gets;
	/* Each page in three ways: none is the same as another. */
	for (u32 i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = vendor_send(dev, pasid, i, PAGE(i / 3), 1 + i % 3, true);
	test_all_answered(r, ARRAY_SIZE(r), SUCCESS);
	SIM_EQ(dev->submissions, 2);
	/* Two batches; the worker that was started for the second finds nothing left to serve. */
	SIM_EQ(mm->gets - gets, 3);
	tear_down();
}

TEST(each_device_of_a_batch_has_its_own_submission)
{
	struct vendor_request *r[8];

	set_up();
	for (u32 i = 0; i < 8; i++)
		r[i] = vendor_ask(i & 1 ? beside : dev, pasid, i, PAGE(i));
	test_all_answered(r, 8, SUCCESS);
	SIM_EQ(dev->submissions, 1);
	SIM_EQ(beside->submissions, 1);
	tear_down();
}

TEST(driver_without_batches_gets_answers_one_by_one)
{
	struct vendor_iommu *iommu = vendor_iommu_new(VENDOR_NO_DRAIN);

	iommu->sva_ops.page_responses = NULL;
	dev = vendor_dev_new(iommu, 16, CREDITS);
	vendor_enable(dev);
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	serve_pages(4);
	SIM_EQ(dev->submissions, 0);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(requests_for_one_page_are_served_once)
{
	struct vendor_request *r[CREDITS + SPARE];

	set_up();
	for (u32 i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = vendor_ask(i & 1 ? beside : dev, pasid, i, PAGE(3) + i);
	test_all_answered(r, ARRAY_SIZE(r), SUCCESS);
	SIM_EQ(mm->faults, 1);
	tear_down();
}

TEST(request_that_comes_during_the_service_of_its_page_waits_for_it)
{
	struct vendor_request *r[3];
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	for (u32 i = 0; i < 3; i++) {
		r[i] = vendor_ask(dev, pasid, i, PAGE(0));
		sim_settle();
		SIM_EQ(door.waiting, 1);
	}
	door.shut = false;
	test_all_answered(r, 3, SUCCESS);
	/* The door makes it two tries. */
	SIM_EQ(mm->faults, 2);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	SIM_EQ(mm->faults, 3);
	tear_down();
}

TEST(requests_for_different_access_are_served_apart)
{
	struct vendor_request *reading, *writing;

	set_up();
	reading = vendor_send(dev, pasid, 0, PAGE(0), READ, true);
	writing = vendor_send(dev, pasid, 1, PAGE(0), WRITE, true);
	test_answered(reading, SUCCESS);
	test_answered(writing, SUCCESS);
	SIM_EQ(mm->faults, 2);
	tear_down();
}

TEST(group_of_many_pages_stands_for_no_other)
{
	struct vendor_request *r[2];

	set_up();
	for (u32 i = 0; i < 2; i++) {
		vendor_send(dev, pasid, i, PAGE(i), READ, false);
		r[i] = vendor_ask(dev, pasid, i, PAGE(2));
	}
	test_answered(r[0], SUCCESS);
	test_answered(r[1], SUCCESS);
	SIM_EQ(mm->faults, 4);
	tear_down();
}

/* The first request goes, while it is served or before; those that wait for its page do not. */
TEST(drain_leaves_those_who_want_the_same_page)
{
	struct vendor_request *first, *rest[4];
	struct sim_door door;

	for (unsigned int in_work = 0; in_work < 2; in_work++) {
		set_up();
		test_shut(mm, &door);
		first = vendor_ask(dev, pasid, 0, PAGE(0));
		if (in_work)
			sim_settle();
		for (u32 i = 0; i < 4; i++)
			rest[i] = vendor_ask(beside, pasid, i, PAGE(0));
		iopf_drain_pasid(dev_of(dev), pasid);
		SIM_EQ(first->answers, 1);
		SIM_EQ(first->code, INVALID);
		sim_settle();
		SIM_EQ(door.waiting, 1 + in_work);
		door.shut = false;
		test_all_answered(rest, 4, SUCCESS);
		tear_down();
	}
}

TEST(drain_takes_those_who_hang_on_another)
{
	struct vendor_request *first, *rest[4];
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	first = vendor_ask(dev, pasid, 0, PAGE(0));
	for (u32 i = 0; i < 4; i++)
		rest[i] = vendor_ask(beside, pasid, i, PAGE(0));
	sim_settle();
	iopf_drain_pasid(dev_of(beside), pasid);
	for (u32 i = 0; i < 4; i++)
		SIM_EQ(rest[i]->code, INVALID);
	test_unanswered(first);
	door.shut = false;
	test_answered(first, SUCCESS);
	tear_down();
}

static unsigned int told;

static void hear(struct iommu_sva_listener *listener, const struct iommu_sva_fault *fault)
{
	told++;
}

TEST(refusal_of_a_page_is_told_for_each_request)
{
	struct iommu_sva_listener mine = { .notify = hear }, theirs = { .notify = hear };
	struct vendor_request *r[6];

	told = 0;
	set_up();
	SIM_EQ(iommu_sva_listen(sva, &mine), 0);
	SIM_EQ(iommu_sva_listen(other, &theirs), 0);
	for (u32 i = 0; i < 6; i++)
		r[i] = vendor_ask(i & 1 ? beside : dev, pasid, i, PAGE(PAGES));
	test_all_answered(r, 6, INVALID);
	SIM_EQ(told, 6);
	iommu_sva_unlisten(sva, &mine);
	iommu_sva_unlisten(other, &theirs);
	tear_down();
}

static vm_fault_t slow_second_page(struct vm_area_struct *vma, unsigned long addr,
				   unsigned int flags)
{
	return addr == PAGE(1) ? test_fault_at_door(vma, addr, flags) :
				 sim_fault_map(vma, addr, flags);
}

TEST(answers_do_not_wait_for_a_later_page_of_their_batch)
{
	struct vendor_request *r[3];
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	mm->fault = slow_second_page;
	for (u32 i = 0; i < 3; i++)
		r[i] = vendor_ask(dev, pasid, i, PAGE(i));
	test_answered(r[0], SUCCESS);
	test_answered(r[2], SUCCESS);
	test_unanswered(r[1]);
	door.shut = false;
	test_answered(r[1], SUCCESS);
	tear_down();
}

static vm_fault_t slow_clock(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	jiffies++;
	return sim_fault_map(vma, addr, flags);
}

TEST(long_batch_is_answered_as_it_goes)
{
	set_up();
	mm->fault = slow_clock;
	serve_pages(8);
	SIM_CHECK(dev->submissions > 1);
	tear_down();
}

TEST(answers_in_the_midst_of_a_batch_are_sent_without_the_vma_lock)
{
	set_up();
	mm->fault = slow_clock;
	mm->fault_is_quick = true;
	serve_pages(8);
	SIM_CHECK(dev->submissions > 1);
	tear_down();
}

/* The VMA's lock */

TEST(requests_of_a_batch_take_the_lock_of_their_vma_once)
{
	struct vendor_request *r[9];
	unsigned int locks;

	set_up();
	sim_mmap(mm, SLOT(1), 1, VM_READ | VM_WRITE);
	locks = mm->vma_locks;
	for (u32 i = 0; i < 9; i++)
		r[i] = vendor_ask(dev, pasid, i, i == 4 ? SLOT(1) : PAGE(i));
	test_all_answered(r, 9, SUCCESS);
	SIM_EQ(mm->vma_locks - locks, 3);
	tear_down();
}

static vm_fault_t known_to_wait(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	return sim_fault_map(vma, addr, flags);
}

TEST(lock_of_a_vma_whose_faults_may_wait_is_not_kept)
{
	unsigned int locks;

	set_up();
	mm->fault = known_to_wait;
	locks = mm->vma_locks;
	serve_pages(4);
	/* Before it answers the request before, the worker drops the VMA's lock. */
	SIM_EQ(mm->vma_locks - locks, 1 + 3 * 2);
	tear_down();
}

TEST(mmap_lock_is_taken_without_the_vma_lock_of_the_request_before)
{
	struct vendor_request *r[3];

	set_up();
	for (u32 i = 0; i < 3; i++)
		r[i] = vendor_ask(dev, pasid, i, i == 1 ? SLOT(1) : PAGE(i));
	test_answered(r[0], SUCCESS);
	test_answered(r[1], INVALID);
	test_answered(r[2], SUCCESS);
	tear_down();
}

static void hear_without_lock(struct iommu_sva_listener *listener,
			      const struct iommu_sva_fault *fault)
{
	SIM_EQ(fault->addr, TASK_SIZE_MAX);
	SIM_EQ(current->vma_locks, 0);
}

TEST(listener_is_told_without_the_vma_lock_of_the_request_before)
{
	struct iommu_sva_listener *ear = sim_alloc_sure(sizeof(*ear), __func__);
	struct vendor_request *r[2];

	set_up();
	ear->notify = hear_without_lock;
	SIM_EQ(iommu_sva_listen(sva, ear), 0);
	for (u32 i = 0; i < 2; i++)
		r[i] = vendor_ask(dev, pasid, i, i ? TASK_SIZE_MAX : PAGE(0));
	test_answered(r[0], SUCCESS);
	test_answered(r[1], INVALID);
	iommu_sva_unlisten(sva, ear);
	kfree(ear);
	tear_down();
}

static void unmap(void *arg)
{
	sim_munmap(mm, BASE);
}

static bool writer_waits(void *arg)
{
	struct vm_area_struct *vma = arg;

	return rwsem_is_contended(&vma->vm_lock->lock);
}

static vm_fault_t writer_comes(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	if (addr == PAGE(1)) {
		sim_spawn("munmap", unmap, NULL);
		sim_block(writer_waits, vma, "the writer");
	}
	return sim_fault_map(vma, addr, flags);
}

TEST(writer_of_a_vma_waits_for_one_request_of_a_batch)
{
	struct vendor_request *r[4];

	set_up();
	mm->fault = writer_comes;
	mm->fault_is_quick = true;
	for (u32 i = 0; i < 4; i++)
		r[i] = vendor_ask(dev, pasid, i, PAGE(i));
	for (u32 i = 0; i < 4; i++)
		test_answered(r[i], i < 2 ? SUCCESS : INVALID);
	SIM_EQ(mm->faults, 2);
	tear_down();
}

/* Served and not answered yet: a drain answers it, and the worker does not. */
static vm_fault_t drain_meanwhile(struct vm_area_struct *vma, unsigned long addr,
				  unsigned int flags)
{
	if (addr == PAGE(1))
		sim_point("drain comes");
	return sim_fault_map(vma, addr, flags);
}

static void drain(void *arg)
{
	iopf_drain_pasid(dev_of(arg), pasid);
}

static void ask_for_two(void *arg)
{
	for (u32 i = 0; i < 2; i++) {
		vendor_ask(arg, pasid, 2 * i, PAGE(0));
		vendor_ask(arg, pasid, 2 * i + 1, PAGE(1));
	}
}

SHAKE(drains_against_batches)
{
	set_up();
	mm->fault = sim_random(2) ? drain_meanwhile : NULL;
	sim_spawn("device", ask_for_two, dev);
	sim_spawn("device", ask_for_two, beside);
	sim_spawn("drain", drain, dev);
	sim_spawn("drain", drain, beside);
	sim_settle();
	vendor_check_answered(dev, IOMMU_PASID_INVALID, vendor_nr_requests());
	vendor_check_answered(beside, IOMMU_PASID_INVALID, vendor_nr_requests());
	SIM_EQ(sim_nr_tasks(), 0);
	tear_down();
}

/* Reported together, by a driver that has several in its ring */
TEST(requests_of_a_reported_batch_fare_as_they_would_alone)
{
	struct vendor_request *r[4];

	set_up();
	/* The last but one is for a PASID that is not bound. */
	for (u32 i = 0; i < 4; i++)
		r[i] = vendor_prepare(dev, i == 2 ? pasid + 1 : pasid, i, PAGE(i));
	vendor_send_batch(dev, r, 4);
	for (u32 i = 0; i < 4; i++)
		test_answered(r[i], i == 2 ? INVALID : SUCCESS);
	tear_down();
}

TEST(batch_of_a_device_that_is_on_no_queue)
{
	struct vendor_request *r;

	dev = vendor_dev_new(vendor_iommu_new(0), 16, CREDITS);
	r = vendor_prepare(dev, 1, 0, BASE);
	vendor_send_batch(dev, &r, 1);
	test_answered(r, INVALID);
}

/* The PASID field of a request without PASID holds a number that is bound. */
TEST(request_without_pasid_is_not_served_from_the_one_before)
{
	struct vendor_request *r[3];

	set_up();
	SIM_EQ(pasid, 1);
	for (u32 i = 0; i < 3; i++)
		r[i] = vendor_prepare(dev, i == 1 ? IOMMU_PASID_INVALID : pasid, i, PAGE(i));
	vendor_send_batch(dev, r, 3);
	for (u32 i = 0; i < 3; i++)
		test_answered(r[i], i == 1 ? INVALID : SUCCESS);
	SIM_EQ(mm->faults, 2);
	tear_down();
}

TEST(vma_of_the_request_before_serves_nothing_outside)
{
	const unsigned long addrs[] = { PAGE(0), PAGE(PAGES), PAGE(1), BASE - PAGE_SIZE, PAGE(2) };
	struct vendor_request *r[ARRAY_SIZE(addrs)];

	set_up();
	for (u32 i = 0; i < ARRAY_SIZE(addrs); i++)
		r[i] = vendor_ask(dev, pasid, i, addrs[i]);
	for (u32 i = 0; i < ARRAY_SIZE(addrs); i++)
		test_answered(r[i], i & 1 ? INVALID : SUCCESS);
	SIM_EQ(mm->faults, 3);
	tear_down();
}

static struct sim_door door;

/* The second page comes from swap; for the third one there is no memory. */
static vm_fault_t swap_then_wait(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	if (addr == PAGE(2))
		sim_pass(&door);
	sim_fault_map(vma, addr, flags);
	return addr == PAGE(1) ? VM_FAULT_MAJOR : 0;
}

TEST(answers_do_not_wait_behind_a_fault_that_took_long)
{
	struct vendor_request *r[3];

	set_up();
	door.shut = true;
	mm->fault = swap_then_wait;
	mm->fault_is_quick = true;
	for (u32 i = 0; i < 3; i++)
		r[i] = vendor_ask(dev, pasid, i, PAGE(i));
	test_answered(r[0], SUCCESS);
	test_unanswered(r[2]);
	door.shut = false;
	test_all_answered(r, 3, SUCCESS);
	tear_down();
}

static void unmap_second(void *arg)
{
	sim_munmap(mm, SLOT(2));
}

static bool mmap_lock_is_owned(void *arg)
{
	return mm->mmap_lock.l.owner;
}

static vm_fault_t munmap_comes(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	sim_spawn("munmap", unmap_second, NULL);
	sim_block(mmap_lock_is_owned, NULL, "munmap()");
	return sim_fault_map(vma, addr, flags);
}

TEST(answers_do_not_wait_for_mmap_lock)
{
	struct vm_area_struct *busy;
	struct vendor_request *r[2];

	set_up();
	sim_mmap(mm, SLOT(2), 1, VM_READ);
	busy = lock_vma_under_rcu(mm, SLOT(2));
	SIM_CHECK(busy);
	mm->fault = munmap_comes;
	mm->fault_is_quick = true;
	/* The second one is for no mapping: to find that out takes mmap_lock. */
	r[0] = vendor_ask(dev, pasid, 0, PAGE(0));
	r[1] = vendor_ask(dev, pasid, 1, SLOT(1));
	test_answered(r[0], SUCCESS);
	test_unanswered(r[1]);
	vma_end_read(busy);
	test_answered(r[1], INVALID);
	tear_down();
}

/* Only the thread that reads the hardware queue must not wait for memory. */
TEST(batch_of_pages_that_take_memory_stays_a_batch)
{
	set_up();
	mm->is_short = true;
	serve_pages(4);
	SIM_EQ(dev->submissions, 1);
	tear_down();
}

static unsigned long served[8];
static unsigned int nr_served;

static vm_fault_t note_page(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	served[nr_served++ % ARRAY_SIZE(served)] = addr;
	return sim_fault_map(vma, addr, flags);
}

/* In front of requests that came later */
TEST(next_one_for_a_page_takes_the_place_of_the_first)
{
	struct vendor_request *r[3];

	set_up();
	nr_served = 0;
	mm->fault = note_page;
	vendor_ask(dev, pasid, 0, PAGE(0));
	for (u32 i = 0; i < 3; i++)
		r[i] = vendor_ask(beside, pasid, i, PAGE(2 - i));
	iopf_drain_pasid(dev_of(dev), pasid);
	test_all_answered(r, 3, SUCCESS);
	SIM_EQ(nr_served, 3);
	SIM_EQ(served[0], PAGE(0));
	SIM_EQ(served[1], PAGE(2));
	SIM_EQ(served[2], PAGE(1));
	tear_down();
}

static u64 order[8];
static unsigned int nr_order;

static void note_answer(struct vendor_request *request, u32 code)
{
	order[nr_order++ % ARRAY_SIZE(order)] = request->id;
}

static void expect_order(struct vendor_request **r, unsigned int nr)
{
	SIM_EQ(nr_order, nr);
	for (unsigned int i = 0; i < nr; i++)
		SIM_EQ(order[i], r[i]->id);
}

TEST(requests_for_one_page_are_answered_in_the_order_of_their_arrival)
{
	struct vendor_request *r[5];

	set_up();
	nr_order = 0;
	vendor_hooks.responding = note_answer;
	for (u32 i = 0; i < 5; i++)
		r[i] = vendor_ask(dev, pasid, i, PAGE(0));
	test_all_answered(r, 5, SUCCESS);
	expect_order(r, 5);
	tear_down();
}

/* If a request fails, the next one for its page is served before requests that came later. */
TEST(requests_for_a_page_that_fails_keep_their_place)
{
	struct vendor_request *r[5];

	set_up();
	nr_order = 0;
	vendor_hooks.responding = note_answer;
	for (u32 i = 0; i < 5; i++)
		r[i] = vendor_ask(dev, pasid, i, i < 3 ? PAGE(PAGES) : PAGE(i));
	for (u32 i = 0; i < 5; i++)
		test_answered(r[i], i < 3 ? INVALID : SUCCESS);
	expect_order(r, 5);
	tear_down();
}

static bool latest_is_answered(void *arg)
{
	return dev->requests->answers;
}

static vm_fault_t drain_comes(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	sim_spawn("drain", drain, dev);
	sim_block(latest_is_answered, NULL, "the drain");
	return sim_fault_map(vma, addr, flags);
}

TEST(group_that_a_drain_takes_from_its_worker_has_no_next_page)
{
	struct vendor_request *r;

	set_up();
	mm->fault = drain_comes;
	mm->fault_is_quick = true;
	vendor_send(dev, pasid, 0, PAGE(0), READ, false);
	r = vendor_ask(dev, pasid, 0, PAGE(1));
	test_answered(r, INVALID);
	SIM_EQ(mm->faults, 1);
	tear_down();
}

TEST(drain_of_more_than_a_batch_answers_all)
{
	struct vendor_request *r[CREDITS + SPARE];

	set_up();
	for (u32 i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = vendor_ask(dev, pasid, i, PAGE(0));
	iopf_drain_pasid(dev_of(dev), pasid);
	test_all_answered(r, ARRAY_SIZE(r), INVALID);
	SIM_EQ(dev->submissions, 2);
	tear_down();
}

/* A group that waits for another's page is not in line, even if the last one in its slot was. */
TEST(drain_of_those_who_hang_on_another_leaves_the_line_as_it_is)
{
	struct vendor_request *first, *r[2];
	unsigned int gets;

	set_up();
	serve_pages(8);
	first = vendor_ask(beside, pasid, 0, PAGE(0));
	for (u32 i = 0; i < 8; i++)
		vendor_ask(dev, pasid, i, PAGE(0));
	iopf_drain_pasid(dev_of(dev), pasid);
	test_answered(first, SUCCESS);
	/* There is work for one worker. */
	gets = mm->gets;
	for (u32 i = 0; i < 2; i++)
		r[i] = vendor_ask(dev, pasid, i, PAGE(i));
	test_all_answered(r, 2, SUCCESS);
	SIM_EQ(mm->gets - gets, 1);
	tear_down();
}
