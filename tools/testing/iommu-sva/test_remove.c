// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues, and devices that come and go.
 */
#include "test.h"

TEST(removal_answers_everything)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *first = test_bind(dev, mm), *second = test_bind(dev, other);
	struct vendor_request *r[20];
	struct sim_door door;

	test_shut(mm, &door);
	for (u32 i = 0; i < 20; i++) {
		vendor_send(dev, 1 + i % 2, i, BASE, READ, false);
		r[i] = vendor_ask(dev, 1 + i % 2, i, BASE);
		if (i == 10)
			sim_settle();
	}
	vendor_send(dev, 1, 99, BASE, READ, false);
	/* Checks the ledger when it returns. */
	vendor_disable(dev);
	for (u32 i = 0; i < 20; i++)
		SIM_EQ(r[i]->answers, 1);
	door.shut = false;
	sim_settle();
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
	mmput(other);
}

static struct sim_door response_door;

static void respond_through_door(struct vendor_request *request, u32 code)
{
	sim_pass(&response_door);
}

struct call {
	struct vendor_dev *dev;
	bool done;
};

static void call_remove(void *arg)
{
	struct call *call = arg;

	vendor_disable(call->dev);
	call->done = true;
}

TEST(removal_waits_for_answers_on_their_way)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct call call = { .dev = dev };
	struct vendor_request *r;

	response_door.shut = true;
	vendor_hooks.responding = respond_through_door;
	r = vendor_ask(dev, 1, 0, BASE);
	sim_settle();
	sim_spawn("remove", call_remove, &call);
	sim_settle();
	SIM_CHECK(!call.done);
	response_door.shut = false;
	sim_settle();
	SIM_CHECK(call.done);
	SIM_EQ(r->answers, 1);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(device_may_come_back)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (unsigned int i = 0; i < 5; i++) {
		vendor_send(dev, 1, 3, SLOT(1), READ, false);
		vendor_disable(dev);
		vendor_enable(dev);
		/* Without what it had sent before */
		test_answered(vendor_ask(dev, 1, 3, BASE), SUCCESS);
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(device_may_come_back_while_old_faults_are_stuck)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *old, *new;
	struct sim_door door;

	test_shut(mm, &door);
	old = vendor_ask(dev, 1, 0, BASE);
	sim_settle();
	vendor_disable(dev);
	SIM_EQ(old->code, INVALID);
	vendor_enable(dev);
	new = vendor_ask(dev, 1, 0, BASE);
	test_unanswered(new);
	door.shut = false;
	test_answered(new, SUCCESS);
	SIM_EQ(old->answers, 1);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(request_of_a_device_on_no_queue_is_refused)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, 4);
	struct vendor_request *r = vendor_ask(dev, 1, 0, BASE);

	SIM_EQ(r->error, -ENODEV);
	test_answered(r, INVALID);
	r = vendor_send(dev, 1, 0, BASE, READ, false);
	SIM_EQ(r->error, -ENODEV);
	test_unanswered(r);
	vendor_enable(dev);
	vendor_disable(dev);
	r = vendor_ask(dev, 1, 0, BASE);
	SIM_EQ(r->error, -ENODEV);
	test_answered(r, INVALID);
}

/* Only page requests get page responses. */
TEST(other_events_are_not_answered)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, 4);
	struct iopf_fault evt = {
		.fault = { .type = 77, .prm.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE },
	};

	SIM_EQ(iommu_report_device_fault(dev_of(dev), &evt), -EINVAL);
}

TEST(device_is_on_one_queue_at_a_time)
{
	struct vendor_dev *dev = test_dev();
	struct vendor_iommu *other = vendor_iommu_new(0);

	SIM_EQ(iopf_queue_add_device(dev->iommu->queue, dev_of(dev)), -EBUSY);
	SIM_EQ(iopf_queue_add_device(other->queue, dev_of(dev)), -EBUSY);
}

TEST(driver_that_cannot_answer_is_refused)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(VENDOR_NO_RESPONSE), 16, 4);

	SIM_EQ(iopf_queue_add_device(dev->iommu->queue, dev_of(dev)), -ENODEV);
	SIM_CHECK(!dev->param->fault_param);
}

TEST(removal_from_another_queue_warns_and_does_nothing)
{
	struct vendor_dev *dev = test_dev();
	struct vendor_iommu *other = vendor_iommu_new(0);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	sim_expect_warnings(1);
	iopf_queue_remove_device(other->queue, dev_of(dev));
	test_answered(vendor_ask(dev, 1, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(second_removal_warns)
{
	struct vendor_dev *dev = test_dev();

	vendor_disable(dev);
	sim_expect_warnings(1);
	iopf_queue_remove_device(dev->iommu->queue, dev_of(dev));
}

TEST(queue_takes_its_devices_with_it)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a), *c = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(b, mm);
	struct vendor_request *r = vendor_ask(b, 1, 0, BASE);

	iopf_queue_free(a->iommu->queue);
	a->iommu->queue = NULL;
	SIM_CHECK(!a->param->fault_param && !b->param->fault_param && !c->param->fault_param);
	SIM_EQ(r->answers, 1);
	a->on_queue = false;
	b->on_queue = false;
	c->on_queue = false;
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

struct queue_call {
	struct iopf_queue *queue;
	bool done;
};

static void call_free(void *arg)
{
	struct queue_call *call = arg;

	iopf_queue_free(call->queue);
	call->done = true;
}

/* Workers may go on serving faults of the process: the groups have been answered. */
TEST(queue_does_not_wait_for_a_fault_that_never_ends)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct queue_call call = { .queue = dev->iommu->queue };
	struct vendor_request *r;
	struct sim_door door;

	test_shut(mm, &door);
	r = vendor_ask(dev, 1, 0, BASE);
	sim_settle();
	dev->on_queue = false;
	dev->iommu->queue = NULL;
	sim_spawn("free", call_free, &call);
	sim_settle();
	SIM_CHECK(call.done);
	SIM_EQ(r->answers, 1);
	door.shut = false;
	sim_settle();
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(no_queue_is_freed_silently)
{
	iopf_queue_free(NULL);
}

TEST(bond_outlives_page_requests)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	vendor_disable(dev);
	sim_touch(mm, BASE, true);
	sim_zap(mm, BASE, PAGE(1));
	iommu_sva_unbind_device(sva);
	mmput(mm);
}
