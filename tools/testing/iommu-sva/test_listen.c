// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listeners: the core tells them of faults that it could not serve, and of the exit; once each, and
 * not after unlisten.
 */
#include "test.h"

struct ear {
	struct iommu_sva_listener listener;
	struct iommu_sva_fault fault;
	unsigned int told;
	bool deaf;
};

static struct vendor_dev *dev;
static struct mm_struct *mm;
static struct iommu_sva *sva;
static u32 pasid;

static void hear(struct iommu_sva_listener *listener, const struct iommu_sva_fault *fault)
{
	struct ear *ear = container_of(listener, struct ear, listener);

	SIM_CHECK(rcu_read_lock_held());
	SIM_CHECK(!ear->deaf);
	sim_point("listener");
	SIM_CHECK(!ear->deaf);
	ear->fault = *fault;
	ear->told++;
}

static struct ear *make_ear(void)
{
	struct ear *ear = sim_alloc_sure(sizeof(*ear), __func__);

	ear->listener.notify = hear;
	return ear;
}

static struct ear *listen(struct iommu_sva *to)
{
	struct ear *ear = make_ear();

	SIM_EQ(iommu_sva_listen(to, &ear->listener), 0);
	return ear;
}

static void unlisten(struct iommu_sva *to, struct ear *ear)
{
	iommu_sva_unlisten(to, &ear->listener);
	ear->deaf = true;
}

static void set_up(void)
{
	dev = test_dev();
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
}

static void expect_told(struct ear *ear, unsigned int times, enum iommu_sva_fault_reason reason,
			unsigned long addr, u32 perm)
{
	SIM_EQ(ear->told, times);
	SIM_EQ(ear->fault.reason, reason);
	SIM_EQ(ear->fault.addr, addr);
	SIM_EQ(ear->fault.perm, perm);
}

static void refused(unsigned long addr, u32 perm)
{
	test_answered(vendor_send(dev, pasid, 0, addr, perm, true), INVALID);
}

static vm_fault_t fail_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	return VM_FAULT_SIGBUS;
}

TEST(each_reason_is_told)
{
	struct ear *ear;

	set_up();
	sim_mmap(mm, SLOT(1), 1, VM_READ);
	ear = listen(sva);
	refused(SLOT(2), WRITE);
	expect_told(ear, 1, IOMMU_SVA_FAULT_NO_MAPPING, SLOT(2), WRITE);
	refused(SLOT(1), WRITE);
	expect_told(ear, 2, IOMMU_SVA_FAULT_NO_ACCESS, SLOT(1), WRITE);
	refused(PAGE(0), READ | PRIV);
	expect_told(ear, 3, IOMMU_SVA_FAULT_NO_ACCESS, PAGE(0), READ | PRIV);
	refused(PAGE(0), 0);
	expect_told(ear, 4, IOMMU_SVA_FAULT_NO_ACCESS, PAGE(0), 0);
	refused(TASK_SIZE_MAX, READ);
	expect_told(ear, 5, IOMMU_SVA_FAULT_NO_MAPPING, TASK_SIZE_MAX, READ);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	SIM_EQ(ear->told, 5);
	mm->fault = fail_fault;
	refused(PAGE(1), READ);
	expect_told(ear, 6, IOMMU_SVA_FAULT_NO_PAGE, PAGE(1), READ);
	unlisten(sva, ear);
	refused(PAGE(1), READ);
	kfree(ear);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static vm_fault_t exit_meanwhile(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	sim_fault_unlocked(vma, flags, 0);
	if (!(flags & FAULT_FLAG_VMA_LOCK))
		mmput(mm);
	return VM_FAULT_RETRY;
}

/* The process exits before its fault is served: listeners are told of the exit only. */
TEST(fault_of_a_process_that_goes_meanwhile_is_not_told)
{
	struct ear *ear;

	set_up();
	ear = listen(sva);
	mm->fault = exit_meanwhile;
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), INVALID);
	expect_told(ear, 1, IOMMU_SVA_FAULT_EXITED, 0, 0);
	unlisten(sva, ear);
	kfree(ear);
	iommu_sva_unbind_device(sva);
}

static bool has_been_unbound;

static bool may_fail(void *arg)
{
	return has_been_unbound;
}

static vm_fault_t fail_after_unbind(struct vm_area_struct *vma, unsigned long addr,
				    unsigned int flags)
{
	sim_block(may_fail, NULL, "the unbind");
	return VM_FAULT_SIGBUS;
}

/* The bond has been freed by then. */
TEST(fault_that_fails_after_the_unbind_is_not_told)
{
	struct vendor_request *r;

	set_up();
	has_been_unbound = false;
	mm->fault = fail_after_unbind;
	r = vendor_ask(dev, pasid, 0, PAGE(0));
	test_unanswered(r);
	iommu_sva_unbind_device(sva);
	test_answered(r, INVALID);
	has_been_unbound = true;
	sim_settle();
	mmput(mm);
}

/* With mmap_lock in the place of the VMA's lock */
TEST(access_is_refused_by_both_ways_to_a_vma)
{
	struct ear *ear;

	set_up();
	sim_mmap(mm, SLOT(1), 1, VM_READ);
	ear = listen(sva);
	for (unsigned int i = 0; i < 2; i++) {
		refused(SLOT(1), WRITE);
		expect_told(ear, i + 1, IOMMU_SVA_FAULT_NO_ACCESS, SLOT(1), WRITE);
	}
	unlisten(sva, ear);
	kfree(ear);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(suspect_page_is_not_told)
{
	struct ear *ear;

	set_up();
	ear = listen(sva);
	vendor_send(dev, pasid, 4, SLOT(3), READ, false);
	SIM_EQ(iopf_queue_discard_partial(dev->iommu->queue), 0);
	test_answered(vendor_ask(dev, pasid, 4, PAGE(0)), SUCCESS);
	SIM_EQ(ear->told, 0);
	unlisten(sva, ear);
	kfree(ear);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(listeners_of_a_bond_and_of_others)
{
	struct vendor_dev *beside;
	struct iommu_sva *again, *elsewhere;
	struct ear *ears[3];

	set_up();
	beside = test_dev_beside(dev);
	again = test_bind(dev, mm);
	elsewhere = test_bind(beside, mm);
	ears[0] = listen(sva);
	ears[1] = listen(again);
	ears[2] = listen(elsewhere);
	refused(SLOT(2), READ);
	SIM_EQ(ears[0]->told, 1);
	SIM_EQ(ears[1]->told, 1);
	SIM_EQ(ears[2]->told, 0);
	mmput(mm);
	sim_settle();
	expect_told(ears[0], 2, IOMMU_SVA_FAULT_EXITED, 0, 0);
	expect_told(ears[1], 2, IOMMU_SVA_FAULT_EXITED, 0, 0);
	expect_told(ears[2], 1, IOMMU_SVA_FAULT_EXITED, 0, 0);
	refused(PAGE(0), READ);
	SIM_EQ(ears[0]->told, 2);
	unlisten(sva, ears[0]);
	unlisten(again, ears[1]);
	unlisten(elsewhere, ears[2]);
	iommu_sva_unbind_device(again);
	iommu_sva_unbind_device(elsewhere);
	iommu_sva_unbind_device(sva);
	for (unsigned int i = 0; i < 3; i++)
		kfree(ears[i]);
}

TEST(exited_process_has_no_listeners)
{
	struct ear *ear = make_ear();

	set_up();
	mmput(mm);
	sim_settle();
	SIM_EQ(iommu_sva_listen(sva, &ear->listener), -ESRCH);
	ear->deaf = true;
	refused(PAGE(0), READ);
	SIM_EQ(ear->told, 0);
	iommu_sva_unbind_device(sva);
	kfree(ear);
}

TEST(listener_left_at_unbind_warns)
{
	struct ear *ear;

	set_up();
	ear = listen(sva);
	sim_expect_warnings(1);
	iommu_sva_unbind_device(sva);
	kfree(ear);
	mmput(mm);
}

/* Races */

static struct ear *ear;
static int listened;

static void put(void *arg)
{
	mmput(arg);
}

static void do_listen(void *arg)
{
	listened = iommu_sva_listen(sva, &ear->listener);
	if (listened)
		ear->deaf = true;
}

/* The listener is told of the exit, or the request is refused, or both; never neither. */
EXPLORE(listen_against_exit)
{
	set_up();
	ear = make_ear();
	sim_spawn("exit", put, mm);
	sim_spawn("listen", do_listen, NULL);
	sim_settle();
	SIM_CHECK(listened == -ESRCH || (!listened && ear->told == 1));
	SIM_CHECK(ear->told <= 1);
	if (!listened)
		unlisten(sva, ear);
	iommu_sva_unbind_device(sva);
	kfree(ear);
}

static void do_unlisten(void *arg)
{
	unlisten(sva, ear);
}

EXPLORE(unlisten_against_exit)
{
	set_up();
	ear = listen(sva);
	sim_spawn("exit", put, mm);
	sim_spawn("unlisten", do_unlisten, NULL);
	sim_settle();
	SIM_CHECK(ear->told <= 1);
	iommu_sva_unbind_device(sva);
	kfree(ear);
}

EXPLORE(unlisten_against_a_fault)
{
	struct vendor_request *r;

	set_up();
	ear = listen(sva);
	r = vendor_ask(dev, pasid, 0, SLOT(2));
	sim_spawn("unlisten", do_unlisten, NULL);
	test_answered(r, INVALID);
	kfree(ear);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static void end_bond(void *arg)
{
	unlisten(sva, ear);
	kfree(ear);
	iommu_sva_unbind_device(sva);
}

/* The bond goes while a worker is about to tell its listeners. */
EXPLORE(fault_against_unbind_with_a_listener)
{
	struct vendor_request *r;

	set_up();
	ear = listen(sva);
	r = vendor_ask(dev, pasid, 0, SLOT(2));
	sim_spawn("unbind", end_bond, NULL);
	sim_settle();
	SIM_EQ(r->answers, 1);
	mmput(mm);
}

static void unlisten_and_free(void *arg)
{
	unlisten(sva, arg);
	kfree(arg);
}

EXPLORE(listeners_leave_at_the_same_time)
{
	set_up();
	sim_spawn("one", unlisten_and_free, listen(sva));
	sim_spawn("two", unlisten_and_free, listen(sva));
	sim_settle();
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* Two come at the same time, one goes. */
static void listen_and_unlisten(void *arg)
{
	struct ear *mine = listen(sva);

	unlisten(sva, mine);
	kfree(mine);
}

EXPLORE(listeners_come_and_go_under_faults)
{
	struct vendor_request *r;

	set_up();
	ear = listen(sva);
	sim_spawn("one", listen_and_unlisten, NULL);
	sim_spawn("two", listen_and_unlisten, NULL);
	r = vendor_ask(dev, pasid, 0, SLOT(2));
	test_answered(r, INVALID);
	SIM_EQ(ear->told, 1);
	unlisten(sva, ear);
	kfree(ear);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* The IOMMU has refused DMA: of a device that asks for pages, and of one that can't. */
static void hear_of_aborts(struct vendor_dev *of)
{
	struct ear *ear;

	dev = of;
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	ear = listen(sva);
	iommu_sva_report_abort(dev_of(dev), pasid, PAGE(3));
	expect_told(ear, 1, IOMMU_SVA_FAULT_ABORTED, PAGE(3), 0);
	/* Another process's */
	iommu_sva_report_abort(dev_of(dev), pasid + 1, PAGE(4));
	SIM_EQ(ear->told, 1);
	mmput(mm);
	expect_told(ear, 2, IOMMU_SVA_FAULT_EXITED, 0, 0);
	iommu_sva_report_abort(dev_of(dev), pasid, PAGE(5));
	SIM_EQ(ear->told, 2);
	unlisten(sva, ear);
	kfree(ear);
	iommu_sva_unbind_device(sva);
}

TEST(aborts_are_told_and_are_no_strays)
{
	u64 counts[IOPF_NR_COUNTS];

	hear_of_aborts(test_dev());
	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	/* That of the other PASID was. */
	SIM_EQ(counts[IOPF_STRAY], 1);
	iommu_sva_report_abort(dev_of(dev), pasid, PAGE(5));
	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	SIM_EQ(counts[IOPF_STRAY], 2);
}

TEST(aborts_of_a_device_without_page_requests_are_told)
{
	hear_of_aborts(vendor_dev_new(vendor_iommu_new(0), 16, 0));
	SIM_EQ(sim_nr_logged(), 0);
}
