// SPDX-License-Identifier: GPL-2.0-only
/*
 * Single requests: which ones the thread that reads the hardware queue serves, and which it must
 * not.
 */
#include <iopf.h>

#include "pair.h"

static struct vendor_request *send(unsigned long addr, bool by_reporter)
{
	struct vendor_request *r = vendor_prepare(dev, pasid, 0, addr);

	SIM_EQ(vendor_send_single(r), by_reporter);
	return r;
}

TEST(single_request_is_served_by_the_thread_that_reports_it)
{
	struct vendor_request *r;

	set_up();
	r = send(PAGE(0), true);
	/* No worker has run yet. */
	SIM_EQ(r->answers, 1);
	SIM_EQ(r->code, SUCCESS);
	SIM_EQ(mm->faults, 1);
	r = send(PAGE(1), true);
	test_answered(r, SUCCESS);
	SIM_EQ(current->vma_locks, 0);
	/* Not single: a worker's */
	r = vendor_ask(dev, pasid, 1, PAGE(2));
	SIM_EQ(r->answers, 0);
	test_answered(r, SUCCESS);
	tear_down();
}

TEST(reporter_whose_cpu_is_wanted_serves_one_request_in_a_tick)
{
	struct vendor_request *r;

	set_up();
	sim_cpu_is_wanted = true;
	for (unsigned int i = 0; i < 3; i++) {
		r = send(PAGE(4 * i), true);
		SIM_EQ(r->answers, 1);
		r = send(PAGE(4 * i + 2), false);
		SIM_EQ(r->answers, 0);
		test_answered(r, SUCCESS);
		jiffies++;
	}
	/* On a CPU with nothing else to do there is no limit. */
	sim_cpu_is_wanted = false;
	r = send(PAGE(12), true);
	SIM_EQ(r->answers, 1);
	sim_cpu_is_wanted = true;
	r = send(PAGE(14), true);
	SIM_EQ(r->answers, 1);
	sim_cpu_is_wanted = false;
	tear_down();
}

TEST(reporter_does_not_wait_for_memory)
{
	struct vendor_request *r;

	set_up();
	mm->is_short = true;
	r = send(PAGE(0), true);
	SIM_EQ(r->answers, 0);
	SIM_EQ(mm->faults, 0);
	test_answered(r, SUCCESS);
	SIM_EQ(mm->faults, 1);
	tear_down();
}

TEST(reporter_does_not_wait_for_whoever_serves_a_fault)
{
	struct vendor_request *r;
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	r = send(PAGE(0), true);
	test_unanswered(r);
	door.shut = false;
	test_answered(r, SUCCESS);
	tear_down();
}

static vm_fault_t retry_under_vma_lock(struct vm_area_struct *vma, unsigned long addr,
				       unsigned int flags)
{
	if (flags & FAULT_FLAG_VMA_LOCK)
		return sim_fault_unlocked(vma, flags, VM_FAULT_RETRY);
	return sim_fault_map(vma, addr, flags);
}

/* A worker serves a page without blocking: the reporter may try again. */
static void worker_serves(unsigned long addr)
{
	test_answered(vendor_ask(dev, pasid, 1, addr), SUCCESS);
}

/* Until a worker has served a page without blocking */
TEST(reporter_does_not_try_again_where_it_had_to_wait)
{
	struct vendor_request *r;
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	door.shut = false;
	r = send(PAGE(0), true);
	SIM_EQ(r->answers, 0);
	test_answered(r, SUCCESS);
	for (unsigned int i = 2; i < 8; i += 2) {
		r = send(PAGE(i), false);
		test_answered(r, SUCCESS);
	}
	mm->fault = sim_fault_map;
	mm->fault_is_quick = true;
	worker_serves(PAGE(10));
	r = send(PAGE(12), true);
	SIM_EQ(r->answers, 1);
	tear_down();
}

TEST(reporter_does_not_wait_for_mmap_lock)
{
	struct vendor_request *r;

	set_up();
	mm->no_vma_lock = true;
	r = send(PAGE(0), true);
	SIM_EQ(r->answers, 0);
	SIM_EQ(mm->faults, 0);
	test_answered(r, SUCCESS);
	mm->no_vma_lock = false;
	worker_serves(PAGE(4));
	mm->fault = retry_under_vma_lock;
	mm->fault_is_quick = true;
	r = send(PAGE(1), true);
	SIM_EQ(r->answers, 0);
	test_answered(r, SUCCESS);
	tear_down();
}

TEST(single_request_that_cannot_be_served_is_refused_once)
{
	set_up();
	test_answered(send(SLOT(3), true), INVALID);
	worker_serves(PAGE(0));
	test_answered(send(TASK_SIZE_MAX, true), INVALID);
	tear_down();
}

TEST(single_request_without_a_bond_is_refused_at_once)
{
	struct vendor_request *r;

	set_up();
	r = vendor_prepare(dev, pasid + 1, 0, PAGE(0));
	SIM_EQ(vendor_send_single(r), false);
	SIM_EQ(r->answers, 1);
	SIM_EQ(r->code, INVALID);
	tear_down();
}

TEST(single_request_of_a_device_on_no_queue_is_refused_at_once)
{
	struct vendor_request *r;

	dev = vendor_dev_new(vendor_iommu_new(0), 16, CREDITS);
	r = vendor_prepare(dev, 1, 0, BASE);
	SIM_EQ(vendor_send_single(r), false);
	test_answered(r, INVALID);
}

TEST(group_of_many_pages_is_for_a_worker)
{
	struct vendor_request *r;

	set_up();
	vendor_send(dev, pasid, 0, PAGE(0), READ, false);
	r = send(PAGE(1), false);
	SIM_EQ(r->answers, 0);
	test_answered(r, SUCCESS);
	tear_down();
}

TEST(process_that_has_a_worker_at_work_needs_no_reporter)
{
	struct vendor_request *first, *r;
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	first = vendor_ask(beside, pasid, 1, PAGE(1));
	test_unanswered(first);
	mm->fault = NULL;
	r = send(PAGE(0), false);
	SIM_EQ(r->answers, 0);
	test_answered(r, SUCCESS);
	test_unanswered(first);
	door.shut = false;
	test_answered(first, SUCCESS);
	tear_down();
}

static struct sim_door doors[2];

static vm_fault_t fault_at_own_door(struct vm_area_struct *vma, unsigned long addr,
				    unsigned int flags)
{
	mm->fault_data = &doors[addr == PAGE(1)];
	return test_fault_at_door(vma, addr, flags);
}

/* The worker that the reporter would use is idle again, the other one is not. */
TEST(process_whose_second_worker_is_at_work_needs_no_reporter)
{
	struct vendor_request *waiting[2], *r;

	set_up();
	mm->fault = fault_at_own_door;
	for (u32 i = 0; i < 2; i++) {
		doors[i] = (struct sim_door){ .shut = true };
		waiting[i] = vendor_ask(beside, pasid, i, PAGE(i));
		test_unanswered(waiting[i]);
	}
	doors[0].shut = false;
	test_answered(waiting[0], SUCCESS);
	mm->fault = NULL;
	r = send(PAGE(2), false);
	test_answered(r, SUCCESS);
	test_unanswered(waiting[1]);
	doors[1].shut = false;
	test_answered(waiting[1], SUCCESS);
	tear_down();
}

static struct vendor_request *meanwhile[2];

static vm_fault_t more_requests_come(struct vm_area_struct *vma, unsigned long addr,
				     unsigned int flags)
{
	if (addr == PAGE(0))
		for (u32 i = 0; i < 2; i++)
			meanwhile[i] = vendor_ask(beside, pasid, i, PAGE(1 + i));
	return sim_fault_map(vma, addr, flags);
}

TEST(reporter_serves_one_request_and_leaves_the_rest)
{
	struct vendor_request *r;

	set_up();
	mm->fault = more_requests_come;
	mm->fault_is_quick = true;
	r = send(PAGE(0), true);
	SIM_EQ(r->answers, 1);
	SIM_EQ(mm->faults, 1);
	test_all_answered(meanwhile, 2, SUCCESS);
	tear_down();
}

static void drain(void *arg)
{
	iopf_drain_pasid(dev_of(arg), pasid);
}

static bool first_is_answered(void *arg)
{
	return dev->requests->answers;
}

static vm_fault_t drain_comes(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	sim_spawn("drain", drain, dev);
	sim_block(first_is_answered, NULL, "the drain");
	return sim_fault_map(vma, addr, flags);
}

TEST(drain_does_not_wait_for_the_reporter)
{
	struct vendor_request *r;

	set_up();
	mm->fault = drain_comes;
	mm->fault_is_quick = true;
	r = send(PAGE(0), true);
	test_answered(r, INVALID);
	mm->fault = NULL;
	test_answered(send(PAGE(1), true), SUCCESS);
	tear_down();
}

TEST(single_request_that_another_one_hangs_on_answers_both)
{
	struct vendor_request *r;

	set_up();
	mm->is_short = true;
	r = send(PAGE(0), true);
	SIM_EQ(r->answers, 0);
	meanwhile[0] = vendor_ask(beside, pasid, 0, PAGE(0));
	test_answered(r, SUCCESS);
	test_answered(meanwhile[0], SUCCESS);
	tear_down();
}

TEST(single_requests_of_an_exited_process_are_refused)
{
	struct vendor_request *r;

	set_up();
	iommu_sva_unbind_device(other);
	mmput(mm);
	sim_settle();
	r = vendor_prepare(dev, pasid, 0, PAGE(1));
	SIM_EQ(vendor_send_single(r), false);
	test_answered(r, INVALID);
	iommu_sva_unbind_device(sva);
}

TEST(device_that_streams_one_page_at_a_time_is_mapped_ahead)
{
	struct vendor_request *r;

	set_up();
	sim_around_pages = 8;
	r = send(PAGE(0), true);
	SIM_EQ(r->answers, 1);
	/* Continues the first: a worker maps ahead. */
	r = send(PAGE(1), true);
	SIM_EQ(r->answers, 0);
	test_answered(r, SUCCESS);
	SIM_EQ(sim_walk(pgd_val(mm->pgd[pgd_index(BASE)]), PAGE(2)), SIM_WALK_READ);
	sim_around_pages = 0;
	tear_down();
}

static void ask_single(void *arg)
{
	struct vendor_dev *from = arg;

	for (u32 i = 0; i < 4; i++)
		vendor_post(from, pasid, i, PAGE(sim_random(4)), READ, true);
}

static void ask_beside(void *arg)
{
	for (u32 i = 0; i < 4; i++)
		vendor_ask(arg, pasid, i, PAGE(i));
}

SHAKE(single_requests_against_drains_and_workers)
{
	set_up();
	dev->iommu->serves_single = true;
	mm->is_short = sim_random(2);
	sim_spawn("device", ask_single, dev);
	sim_spawn("device", ask_beside, beside);
	sim_spawn("drain", drain, dev);
	sim_spawn("drain", drain, beside);
	sim_settle();
	vendor_check_answered(dev, IOMMU_PASID_INVALID, vendor_nr_requests());
	vendor_check_answered(beside, IOMMU_PASID_INVALID, vendor_nr_requests());
	SIM_EQ(sim_nr_tasks(), 0);
	tear_down();
}

TEST(drain_takes_a_single_request_that_is_left_to_a_worker)
{
	struct vendor_request *r;

	set_up();
	mm->is_short = true;
	r = send(PAGE(0), true);
	SIM_EQ(r->answers, 0);
	iopf_drain_pasid(dev_of(dev), pasid);
	SIM_EQ(r->answers, 1);
	test_answered(r, INVALID);
	SIM_EQ(mm->faults, 0);
	for (u32 i = 0; i < 4; i++)
		test_answered(vendor_ask(dev, pasid, i, PAGE(i)), SUCCESS);
	tear_down();
}

EXPLORE(single_request_that_is_left_to_a_worker_against_a_drain)
{
	struct vendor_request *r;

	set_up();
	mm->is_short = true;
	sim_spawn("drain", drain, dev);
	r = vendor_prepare(dev, pasid, 0, PAGE(0));
	vendor_send_single(r);
	sim_settle();
	SIM_EQ(r->answers, 1);
	tear_down();
}

static bool ask_before_service(const char *what)
{
	if (!strcmp(what, "mmget_not_zero") && !meanwhile[0])
		for (u32 i = 0; i < 2; i++)
			meanwhile[i] = vendor_ask(beside, pasid, i, PAGE(1 + i));
	return false;
}

static unsigned long first_fault;

static vm_fault_t note_first_fault(struct vm_area_struct *vma, unsigned long addr,
				   unsigned int flags)
{
	first_fault = first_fault ?: addr;
	return sim_fault_map(vma, addr, flags);
}

TEST(single_request_that_is_left_to_a_worker_keeps_its_place)
{
	struct vendor_request *r;

	set_up();
	meanwhile[0] = NULL;
	first_fault = 0;
	mm->fault = note_first_fault;
	mm->no_vma_lock = true;
	sim_policy.preempt = ask_before_service;
	r = send(PAGE(0), true);
	sim_policy.preempt = NULL;
	SIM_EQ(r->answers, 0);
	test_answered(r, SUCCESS);
	test_all_answered(meanwhile, 2, SUCCESS);
	SIM_EQ(first_fault, PAGE(0));
	tear_down();
}

TEST(worker_of_an_earlier_single_request_is_not_handed_out_again)
{
	struct vendor_request *r;

	set_up();
	sim_cpu_is_wanted = true;
	send(PAGE(0), true);
	r = send(PAGE(1), false);
	test_answered(r, SUCCESS);
	sim_cpu_is_wanted = false;
	SIM_EQ(mm->faults, 2);
	tear_down();
}

static struct sim_door far_door;

/* During the reporter's request one of another IOMMU's device comes, and never ends. */
static vm_fault_t far_request_comes(struct vm_area_struct *vma, unsigned long addr,
				    unsigned int flags)
{
	if (addr == PAGE(0))
		meanwhile[0] = vendor_ask(beside, pasid, 0, PAGE(1));
	else
		sim_pass(&far_door);
	return sim_fault_map(vma, addr, flags);
}

TEST(what_a_reporter_leaves_is_served_on_the_queue_that_it_came_from)
{
	dev = test_dev();
	beside = test_dev();
	mm = test_mm();
	sva = test_bind(dev, mm);
	other = test_bind(beside, mm);
	pasid = iommu_sva_get_pasid(sva);
	far_door.shut = true;
	mm->fault = far_request_comes;
	mm->fault_is_quick = true;
	test_answered(send(PAGE(0), true), SUCCESS);
	SIM_EQ(far_door.waiting, 1);
	/* The queue of the first device can be freed. */
	iommu_sva_unbind_device(sva);
	vendor_disable(dev);
	iopf_queue_free(dev->iommu->queue);
	dev->iommu->queue = NULL;
	test_unanswered(meanwhile[0]);
	far_door.shut = false;
	test_answered(meanwhile[0], SUCCESS);
	iommu_sva_unbind_device(other);
	mmput(mm);
}
