// SPDX-License-Identifier: GPL-2.0-only
/*
 * Draining: answers all of one (device, PASID), waits for nothing else.
 */
#include "test.h"

TEST(drain_answers_what_waits)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r[CREDITS];

	for (u32 i = 0; i < CREDITS; i++)
		r[i] = vendor_ask(dev, 1, i, BASE);
	iopf_drain_pasid(dev_of(dev), 1);
	for (u32 i = 0; i < CREDITS; i++) {
		SIM_EQ(r[i]->answers, 1);
		SIM_EQ(r[i]->code, INVALID);
	}
	sim_settle();
	SIM_EQ(mm->faults, 0);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(drain_leaves_other_pasids_and_devices_alone)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *bonds[] = { test_bind(a, mm), test_bind(b, mm), test_bind(a, other) };
	struct vendor_request *gone, *kept[2];

	/* Their partials too */
	vendor_send(a, 1, 0, SLOT(1), READ, false);
	vendor_send(a, 2, 0, SLOT(1), READ, false);
	vendor_send(b, 1, 0, SLOT(1), READ, false);
	gone = vendor_ask(a, 1, 1, BASE);
	kept[0] = vendor_ask(a, 2, 1, BASE);
	kept[1] = vendor_ask(b, 1, 1, BASE);
	iopf_drain_pasid(dev_of(a), 1);
	SIM_EQ(gone->code, INVALID);
	SIM_EQ(gone->answers, 1);
	test_answered(kept[0], SUCCESS);
	test_answered(kept[1], SUCCESS);
	test_answered(vendor_ask(a, 1, 0, BASE), SUCCESS);
	test_answered(vendor_ask(a, 2, 0, BASE), INVALID);
	test_answered(vendor_ask(b, 1, 0, BASE), INVALID);
	for (unsigned int i = 0; i < 3; i++)
		iommu_sva_unbind_device(bonds[i]);
	mmput(mm);
	mmput(other);
}

TEST(drain_answers_in_the_place_of_a_fault_that_takes_for_ever)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r;
	struct sim_door door;

	test_shut(mm, &door);
	r = vendor_ask(dev, 1, 0, BASE);
	test_unanswered(r);
	SIM_EQ(door.waiting, 1);
	iopf_drain_pasid(dev_of(dev), 1);
	SIM_EQ(r->answers, 1);
	SIM_EQ(r->code, INVALID);
	SIM_EQ(door.waiting, 1);
	/* The same index may be used again at once. */
	r = vendor_ask(dev, 1, 0, BASE);
	door.shut = false;
	test_answered(r, SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* A device that is told to stop gets its answers; what else uses the PASID asks again. */
TEST(answer_unserved_ends_the_wait_of_a_device_that_stops)
{
	struct vendor_dev *dev = test_dev(), *beside = test_dev_beside(dev);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *bonds[] = { test_bind(dev, mm), test_bind(beside, mm) };
	struct vendor_request *stuck, *waits, *other, *again;
	struct sim_door door;

	test_shut(mm, &door);
	stuck = vendor_ask(dev, 1, 0, BASE);
	test_unanswered(stuck);
	waits = vendor_ask(dev, 1, 1, BASE);
	other = vendor_ask(beside, 1, 0, BASE);
	vendor_send(dev, 1, 2, BASE, READ, false);
	iopf_answer_unserved(dev_of(dev), 2);
	SIM_EQ(stuck->answers, 0);
	iopf_answer_unserved(dev_of(dev), 1);
	SIM_EQ(stuck->answers, 1);
	SIM_EQ(stuck->code, SUCCESS);
	SIM_EQ(waits->answers, 1);
	SIM_EQ(waits->code, SUCCESS);
	test_unanswered(other);

	/* Its indices are free, the group that has begun goes on, and the bond serves it. */
	again = vendor_ask(dev, 1, 0, BASE);
	test_unanswered(again);
	waits = vendor_ask(dev, 1, 2, BASE);
	door.shut = false;
	test_answered(again, SUCCESS);
	test_answered(waits, SUCCESS);
	test_answered(other, SUCCESS);
	SIM_EQ(stuck->answers, 1);
	for (unsigned int i = 0; i < 2; i++)
		iommu_sva_unbind_device(bonds[i]);
	mmput(mm);
}

TEST(drain_in_the_middle_of_a_group)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r;
	struct sim_door door;

	test_shut(mm, &door);
	for (unsigned int i = 0; i < 3; i++)
		vendor_send(dev, 1, 0, PAGE(i), READ, false);
	r = vendor_ask(dev, 1, 0, PAGE(3));
	test_unanswered(r);
	iopf_drain_pasid(dev_of(dev), 1);
	SIM_EQ(r->answers, 1);
	door.shut = false;
	sim_settle();
	/* The first page was tried with its VMA's lock; no retry with mmap_lock follows a drain. */
	SIM_EQ(mm->faults, 1);
	for (u32 i = 0; i < 2 * (CREDITS + SPARE); i++)
		test_answered(vendor_ask(dev, 1, i, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static struct sim_door response_door;
static struct vendor_request *slow_response;

static void respond_through_door(struct vendor_request *request, u32 code)
{
	if (request == slow_response || !slow_response)
		sim_pass(&response_door);
}

struct call {
	struct vendor_dev *dev;
	ioasid_t pasid;
	bool done;
	int result;
};

static void call_drain(void *arg)
{
	struct call *call = arg;

	iopf_drain_pasid(dev_of(call->dev), call->pasid);
	call->done = true;
}

static void call_flush(void *arg)
{
	struct call *call = arg;

	call->result = iopf_queue_flush_dev(dev_of(call->dev));
	call->done = true;
}

/* A response that a worker is just sending has left when the drain returns. */
TEST(drain_waits_for_answers_on_their_way)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct call call = { .dev = dev, .pasid = 1 };
	struct vendor_request *r;

	slow_response = NULL;
	response_door.shut = true;
	vendor_hooks.responding = respond_through_door;
	r = vendor_ask(dev, 1, 0, BASE);
	sim_settle();
	SIM_EQ(r->answers, 1);
	sim_spawn("drain", call_drain, &call);
	sim_settle();
	SIM_CHECK(!call.done);
	response_door.shut = false;
	sim_settle();
	SIM_CHECK(call.done);
	SIM_EQ(r->code, SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static struct sim_door doors[2];

static void respond_through_own_door(struct vendor_request *r, u32 code)
{
	sim_pass(&doors[r->grpid]);
}

static void call_answer(void *arg)
{
	struct call *call = arg;

	iopf_answer_unserved(dev_of(call->dev), call->pasid);
}

/* A device that goes on asking has a response in flight at any time. */
TEST(drain_does_not_wait_for_answers_to_later_groups)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct call call = { .dev = dev, .pasid = 1 };
	struct vendor_request *r;

	doors[0].shut = true;
	doors[1].shut = true;
	vendor_hooks.responding = respond_through_own_door;
	vendor_ask(dev, 1, 0, BASE);
	sim_settle();
	sim_spawn("drain", call_drain, &call);
	sim_settle();
	r = vendor_ask(dev, 1, 1, BASE);
	sim_spawn("answer", call_answer, &call);
	sim_settle();
	SIM_EQ(doors[1].waiting, 1);
	SIM_CHECK(!call.done);
	doors[0].shut = false;
	sim_settle();
	SIM_CHECK(call.done);
	doors[1].shut = false;
	test_answered(r, SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(drain_does_not_wait_for_answers_of_others)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *bonds[] = { test_bind(a, mm), test_bind(b, mm), test_bind(a, other) };
	struct vendor_request *r;

	response_door.shut = true;
	vendor_hooks.responding = respond_through_door;
	r = vendor_ask(a, 2, 0, BASE);
	slow_response = r;
	sim_settle();
	SIM_EQ(response_door.waiting, 1);
	/* A drain that waited would deadlock. */
	iopf_drain_pasid(dev_of(a), 1);
	iopf_drain_pasid(dev_of(b), 2);
	iopf_drain_pasid(dev_of(b), 1);
	response_door.shut = false;
	test_answered(r, SUCCESS);
	for (unsigned int i = 0; i < 3; i++)
		iommu_sva_unbind_device(bonds[i]);
	mmput(mm);
	mmput(other);
}

TEST(two_drains_of_one_pasid_wait_for_each_other)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct call first = { .dev = dev, .pasid = 1 }, second = first;
	struct vendor_request *r;

	slow_response = NULL;
	response_door.shut = true;
	vendor_hooks.responding = respond_through_door;
	r = vendor_ask(dev, 1, 0, BASE);
	sim_spawn("first", call_drain, &first);
	sim_spawn("second", call_drain, &second);
	sim_settle();
	SIM_CHECK(!first.done && !second.done);
	response_door.shut = false;
	sim_settle();
	SIM_CHECK(first.done && second.done);
	SIM_EQ(r->answers, 1);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static struct iopf_group *kept;

static int keep(struct iopf_group *group)
{
	kept = group;
	return 0;
}

/* The handler is too late to answer; the group it frees stays until the response has left. */
TEST(handler_is_done_while_a_drain_answers_in_its_place)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct call call = { .dev = dev, .pasid = 1 };
	struct vendor_request *r, *next;

	vendor_domain_of(dev, 1)->domain.iopf_handler = keep;
	r = vendor_ask(dev, 1, 0, BASE);
	slow_response = r;
	response_door.shut = true;
	vendor_hooks.responding = respond_through_door;
	sim_spawn("drain", call_drain, &call);
	sim_settle();
	SIM_EQ(response_door.waiting, 1);
	iopf_group_response(kept, SUCCESS);
	iopf_free_group(kept);
	SIM_CHECK(!call.done);
	response_door.shut = false;
	test_answered(r, INVALID);
	SIM_CHECK(call.done);
	next = vendor_ask(dev, 1, 1, BASE);
	iopf_group_response(kept, SUCCESS);
	iopf_free_group(kept);
	test_answered(next, SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static struct mm_struct *served_mm;
static unsigned int gets;

static bool is_at_work(void *arg)
{
	return served_mm->gets > gets;
}

static void drain_under_work(void *arg)
{
	sim_block(is_at_work, NULL, "a worker");
	call_drain(arg);
}

/* Before it answers a worker checks that the group is still its own. */
static bool stop_worker(const char *what)
{
	return current->work && !strcmp(what, "READ_ONCE");
}

TEST(drain_comes_when_a_worker_has_just_taken_the_group)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct call call = { .dev = dev, .pasid = 1 };
	struct vendor_request *r;

	served_mm = mm;
	gets = mm->gets;
	r = vendor_ask(dev, 1, 0, BASE);
	sim_spawn("drain", drain_under_work, &call);
	sim_policy.preempt = stop_worker;
	test_answered(r, INVALID);
	sim_policy.preempt = NULL;
	SIM_EQ(mm->faults, 0);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(request_for_the_page_of_a_drained_one_hangs_on_the_next)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *bonds[] = { test_bind(a, mm), test_bind(b, mm) };
	struct vendor_request *first, *next, *late;

	first = vendor_ask(a, 1, 0, BASE);
	next = vendor_ask(b, 1, 0, BASE);
	iopf_drain_pasid(dev_of(a), 1);
	late = vendor_ask(b, 1, 1, BASE);
	test_answered(first, INVALID);
	test_answered(next, SUCCESS);
	test_answered(late, SUCCESS);
	SIM_EQ(mm->faults, 1);
	iommu_sva_unbind_device(bonds[0]);
	iommu_sva_unbind_device(bonds[1]);
	mmput(mm);
}

TEST(drain_of_a_device_on_no_queue_does_nothing)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, 4);

	iopf_drain_pasid(dev_of(dev), 1);
}

TEST(unbind_with_a_fault_that_takes_for_ever)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r[8];
	struct sim_door door;

	test_shut(mm, &door);
	for (u32 i = 0; i < 8; i++)
		r[i] = vendor_ask(dev, 1, i, BASE);
	sim_settle();
	iommu_sva_unbind_device(sva);
	for (u32 i = 0; i < 8; i++) {
		SIM_EQ(r[i]->answers, 1);
		SIM_EQ(r[i]->code, INVALID);
	}
	SIM_CHECK(door.waiting);
	/* The workers' references keep the notifier, the io_mm and the mm until they are done. */
	SIM_CHECK(sim_mm_is_watched(mm));
	door.shut = false;
	sim_settle();
	SIM_CHECK(!sim_mm_is_watched(mm));
	mmput(mm);
}

TEST(rebind_while_workers_of_the_old_bond_are_stuck)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r;
	struct sim_door door;

	test_shut(mm, &door);
	vendor_ask(dev, 1, 0, BASE);
	sim_settle();
	iommu_sva_unbind_device(sva);
	sva = test_bind(dev, mm);
	SIM_EQ(iommu_sva_get_pasid(sva), 2);
	/* Three workers are left for it. */
	mm->fault = NULL;
	r = vendor_ask(dev, 2, 0, BASE);
	test_answered(r, SUCCESS);
	SIM_EQ(door.waiting, 1);
	door.shut = false;
	sim_settle();
	test_answered(vendor_ask(dev, 2, 0, PAGE(1)), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(stuck_fault_delays_no_other_process)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *stuck = test_mm(), *mm = test_mm();
	struct iommu_sva *held = test_bind(dev, stuck), *sva;
	struct sim_door door;

	test_shut(stuck, &door);
	for (u32 i = 0; i < 8; i++)
		vendor_ask(dev, 1, i, PAGE(i));
	sim_settle();
	SIM_EQ(door.waiting, 4);
	sva = test_bind(dev, mm);
	test_answered(vendor_ask(dev, 2, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
	SIM_EQ(door.waiting, 4);
	door.shut = false;
	sim_settle();
	iommu_sva_unbind_device(held);
	mmput(stuck);
}

TEST(unbind_takes_what_is_still_in_the_hardware_s_queue)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r[3];

	for (u32 i = 0; i < 3; i++)
		r[i] = vendor_post(dev, 1, i, BASE, READ, true);
	iommu_sva_unbind_device(sva);
	for (u32 i = 0; i < 3; i++) {
		SIM_EQ(r[i]->answers, 1);
		SIM_EQ(r[i]->error, 0);
	}
	/* The drain does not count as a mistake of the device. */
	SIM_EQ(sim_nr_logged(), 0);
	mmput(mm);
}

static struct vendor_request *late;

static void ask_late(struct vendor_domain *domain, struct vendor_dev *dev)
{
	late = vendor_ask(dev, 1, 9, BASE);
}

TEST(request_between_first_drain_and_detach_is_answered_before_unbind_returns)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	vendor_hooks.detaching = ask_late;
	iommu_sva_unbind_device(sva);
	SIM_EQ(late->answers, 1);
	mmput(mm);
}

TEST(core_drains_for_a_driver_that_does_not)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(VENDOR_NO_DRAIN), 16, 4);
	struct mm_struct *mm = test_mm();
	struct vendor_request *r;
	struct iommu_sva *sva;

	vendor_enable(dev);
	sva = test_bind(dev, mm);
	r = vendor_ask(dev, 1, 0, BASE);
	vendor_hooks.detaching = ask_late;
	iommu_sva_unbind_device(sva);
	SIM_EQ(r->answers, 1);
	SIM_EQ(r->code, INVALID);
	SIM_EQ(late->answers, 1);
	mmput(mm);
}

static unsigned int attached_at_drain[2], nr_drains;
static ioasid_t drained_pasid;

static void note_drain(struct vendor_dev *dev, ioasid_t pasid)
{
	SIM_CHECK(nr_drains < 2);
	drained_pasid = pasid;
	attached_at_drain[nr_drains++] = !!vendor_domain_of(dev, pasid);
}

TEST(drained_before_detach_and_after_it)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	vendor_hooks.draining = note_drain;
	iommu_sva_unbind_device(sva);
	SIM_EQ(nr_drains, 2);
	SIM_EQ(drained_pasid, 1);
	SIM_EQ(attached_at_drain[0], 1);
	SIM_EQ(attached_at_drain[1], 0);
	mmput(mm);
}

TEST(every_member_of_a_group_is_drained)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct vendor_request *r[2];
	struct iommu_sva *sva;
	struct sim_door door;

	vendor_join_group(b, a);
	sva = test_bind(a, mm);
	test_shut(mm, &door);
	r[0] = vendor_ask(a, 1, 0, BASE);
	r[1] = vendor_ask(b, 1, 0, BASE);
	iommu_sva_unbind_device(sva);
	SIM_EQ(r[0]->answers, 1);
	SIM_EQ(r[1]->answers, 1);
	door.shut = false;
	mmput(mm);
}

TEST(partials_of_a_drained_pasid_do_not_meet_its_next_owner)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 2, 4);
	struct mm_struct *mm = test_mm(), *next = test_mm();
	struct iommu_sva *sva;

	vendor_enable(dev);
	sva = test_bind(dev, mm);
	vendor_send(dev, 1, 0, SLOT(1), READ, false);
	iommu_sva_unbind_device(sva);
	sva = test_bind(dev, next);
	SIM_EQ(iommu_sva_get_pasid(sva), 1);
	test_answered(vendor_ask(dev, 1, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
	mmput(next);
}

/* Flush: waits, and answers nothing itself */

TEST(flush_waits_for_groups_that_are_served)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct call call = { .dev = dev };
	struct vendor_request *r, *later;
	struct sim_door door;

	test_shut(mm, &door);
	r = vendor_ask(dev, 1, 0, BASE);
	sim_spawn("flush", call_flush, &call);
	sim_settle();
	SIM_CHECK(!call.done);
	/* The flush does not wait for one that comes later. */
	later = vendor_ask(dev, 1, 1, BASE);
	sim_settle();
	iopf_drain_pasid(dev_of(dev), 2);
	SIM_CHECK(!call.done);
	mm->fault = NULL;
	door.shut = false;
	sim_settle();
	SIM_CHECK(call.done);
	SIM_EQ(call.result, 0);
	SIM_EQ(r->code, SUCCESS);
	SIM_EQ(later->code, SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(flush_does_not_wait_for_later_groups)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct call call = { .dev = dev };
	struct vendor_request *r, *later;
	struct sim_door door;

	slow_response = NULL;
	response_door.shut = true;
	vendor_hooks.responding = respond_through_door;
	r = vendor_ask(dev, 1, 0, PAGE(0));
	sim_settle();
	SIM_EQ(response_door.waiting, 1);
	sim_spawn("flush", call_flush, &call);
	sim_settle();
	SIM_CHECK(!call.done);
	test_shut(mm, &door);
	later = vendor_ask(dev, 1, 1, PAGE(1));
	sim_settle();
	response_door.shut = false;
	sim_settle();
	SIM_EQ(door.waiting, 1);
	SIM_CHECK(call.done);
	SIM_EQ(r->answers, 1);
	SIM_EQ(later->answers, 0);
	door.shut = false;
	test_answered(later, SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(flush_waits_for_no_other_device_and_for_no_partial)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);
	struct sim_door door;

	test_shut(mm, &door);
	vendor_ask(a, 1, 0, BASE);
	vendor_send(b, 1, 0, BASE, READ, false);
	sim_settle();
	SIM_EQ(iopf_queue_flush_dev(dev_of(b)), 0);
	door.shut = false;
	sim_settle();
	SIM_EQ(iopf_queue_flush_dev(dev_of(a)), 0);
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

TEST(flush_of_a_device_on_no_queue_is_enodev)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, 4);

	sim_expect_warnings(1);
	SIM_EQ(iopf_queue_flush_dev(dev_of(dev)), -ENODEV);
}
