// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process exits: before, during and after the actions of its device.
 */
#include "test.h"

TEST(exit_takes_the_tables_away_and_keeps_the_pasid)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_domain *domain = vendor_domain_of(dev, 1);

	sim_touch(mm, BASE, true);
	test_answered(vendor_ask(dev, 1, 0, BASE), SUCCESS);
	SIM_CHECK(vendor_dma(dev, 1, BASE, true));
	mmput(mm);
	SIM_EQ(domain->released, 1);
	SIM_EQ(domain->attached, 1);
	SIM_CHECK(!vendor_dma(dev, 1, BASE, false));
	SIM_EQ(iommu_sva_get_pasid(sva), 1);
	iommu_sva_unbind_device(sva);
	SIM_EQ(sim_nr_logged(), 0);
}

TEST(requests_after_exit_are_refused_without_work_or_log)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r;
	unsigned int allocs;

	mmput(mm);
	allocs = sim_nr_allocs();
	for (u32 i = 0; i < 100; i++) {
		vendor_send(dev, 1, i, BASE, READ, false);
		r = vendor_ask(dev, 1, i, BASE);
		SIM_EQ(r->answers, 1);
		SIM_EQ(r->code, INVALID);
		SIM_EQ(r->error, 0);
		SIM_EQ(sim_nr_works(), 0);
	}
	SIM_EQ(sim_nr_allocs(), allocs);
	SIM_EQ(sim_nr_logged(), 0);
	iommu_sva_unbind_device(sva);
}

TEST(exit_releases_each_domain_once)
{
	struct vendor_dev *a = test_dev(), *b = test_dev(), *c = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *bonds[] = { test_bind(a, mm), test_bind(b, mm), test_bind(c, mm) };
	struct vendor_domain *first = vendor_domain_of(a, 1), *second = vendor_domain_of(b, 1);

	mmput(mm);
	SIM_EQ(first->released, 1);
	SIM_EQ(second->released, 1);
	for (unsigned int i = 0; i < 3; i++)
		iommu_sva_unbind_device(bonds[i]);
}

TEST(fault_that_is_queued_at_exit_is_refused)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r = vendor_ask(dev, 1, 0, BASE);

	SIM_EQ(r->answers, 0);
	mmgrab(mm);
	mmput(mm);
	test_answered(r, INVALID);
	SIM_EQ(mm->faults, 0);
	mmdrop(mm);
	iommu_sva_unbind_device(sva);
}

/* The worker's mm_users keep the tables until it is done, although the process has ended. */
TEST(exit_waits_for_the_fault_in_work_and_runs_elsewhere)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r;
	struct sim_door door;

	test_shut(mm, &door);
	mm->no_vma_lock = true;
	r = vendor_ask(dev, 1, 0, BASE);
	test_unanswered(r);
	mmgrab(mm);
	mmput(mm);
	SIM_CHECK(!mm->exited);
	door.shut = false;
	test_answered(r, INVALID);
	/* It was the only user that was left, so no thread needed the page. */
	SIM_EQ(mm->faults, 1);
	SIM_CHECK(mm->exited);
	mmdrop(mm);
	iommu_sva_unbind_device(sva);
}

TEST(bind_after_exit_fails_beside_a_bond_that_is)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(a, mm);

	mmput(mm);
	test_no_bind(b, mm, -ESRCH);
	test_no_bind(a, mm, -ESRCH);
	iommu_sva_unbind_device(sva);
}

TEST(mm_is_freed_after_the_last_bond)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	mmput(mm);
	sim_settle();
	/* By the notifier and the domain */
	SIM_EQ(mm->mm_count.counter, 2);
	iommu_sva_unbind_device(sva);
}

TEST(exit_between_unbind_and_the_grace_period)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();

	sim_hold_rcu(true);
	iommu_sva_unbind_device(test_bind(dev, mm));
	mmput(mm);
}

/* fork() copies the mm's structure, not what the bond has put there. */
TEST(unbind_of_one_mm_leaves_the_copy_alone)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm(), *child = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm), *copy;

	SIM_CHECK(!child->iommu_mm);
	copy = test_bind(dev, child);
	mmput(mm);
	iommu_sva_unbind_device(sva);
	test_answered(vendor_ask(dev, iommu_sva_get_pasid(copy), 0, BASE), SUCCESS);
	mmput(child);
	iommu_sva_unbind_device(copy);
}

static struct mm_struct *exit_at_detach;

static void exit_task(void *arg)
{
	struct mm_struct *mm = exit_at_detach;

	mmput(mm);
	exit_at_detach = NULL;
}

static bool has_exited(void *arg)
{
	return !exit_at_detach;
}

/* On another CPU: this one holds locks. */
static void exit_now(struct vendor_domain *domain, struct vendor_dev *dev)
{
	sim_spawn("exit", exit_task, NULL);
	sim_block(has_exited, NULL, "the exit");
}

TEST(exit_in_the_middle_of_unbind)
{
	struct vendor_dev *dev = test_dev();

	exit_at_detach = test_mm();
	vendor_hooks.detaching = exit_now;
	iommu_sva_unbind_device(test_bind(dev, exit_at_detach));
}

/* An invalidation by reclaim must not fill the root of an mm that has exited. */
TEST(root_stays_empty_after_exit)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	pgd_t *root = vendor_root(dev, 1);

	if (root == mm->pgd) {
		mmput(mm);
		iommu_sva_unbind_device(sva);
		return;
	}
	sim_touch(mm, BASE, true);
	sim_zap(mm, BASE, PAGE(1));
	SIM_CHECK(root[0].pgd);
	mmput(mm);
	for (unsigned int i = 0; i < PTRS_PER_PGD; i++)
		SIM_CHECK(!root[i].pgd);
	iommu_sva_unbind_device(sva);
}

/*
 * A fault that never ends keeps mm_users, and so does a debugger: that is no reason to go on
 * serving a process that has no thread any more.
 */
static struct vendor_request *ask_page(struct vendor_dev *dev, unsigned int n)
{
	return vendor_ask(dev, 1, n, PAGE(n));
}

static u64 counted(struct vendor_dev *dev, enum iopf_count what)
{
	u64 counts[IOPF_NR_COUNTS];

	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	return counts[what];
}

TEST(process_that_has_exited_is_not_served_beside_a_stuck_fault)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *stuck;
	struct sim_door door;

	test_shut(mm, &door);
	stuck = ask_page(dev, 0);
	test_unanswered(stuck);
	mmgrab(mm);
	mmput(mm);
	mm->fault = NULL;
	for (u32 i = 1; i < 4; i++)
		test_answered(ask_page(dev, i), INVALID);
	SIM_EQ(mm->faults, 1);
	SIM_EQ(counted(dev, IOPF_EXITED), 3);
	SIM_EQ(counted(dev, IOPF_FAILED), 0);
	door.shut = false;
	test_answered(stuck, INVALID);
	SIM_EQ(counted(dev, IOPF_EXITED), 4);
	SIM_CHECK(mm->exited);
	mmdrop(mm);
	iommu_sva_unbind_device(sva);
}

/* Each worker would find that the other one still holds the mm. */
TEST(overlapping_faults_do_not_keep_a_process_that_has_exited)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r[2];
	struct sim_door door;

	test_shut(mm, &door);
	for (u32 i = 0; i < 2; i++) {
		r[i] = ask_page(dev, i);
		test_unanswered(r[i]);
	}
	SIM_EQ(mm->mm_users.counter, 3);
	mmgrab(mm);
	mmput(mm);
	door.shut = false;
	test_all_answered(r, 2, INVALID);
	SIM_EQ(mm->faults, 2);
	SIM_CHECK(mm->exited);
	mmdrop(mm);
	iommu_sva_unbind_device(sva);
}

/* A request that was handed over before the exit, and not served yet */
TEST(group_that_waits_at_the_exit_is_refused_beside_a_stuck_fault)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *stuck, *r;
	struct sim_door door;

	test_shut(mm, &door);
	stuck = ask_page(dev, 0);
	test_unanswered(stuck);
	mm->fault = NULL;
	r = ask_page(dev, 1);
	SIM_EQ(r->answers, 0);
	mmgrab(mm);
	mmput(mm);
	test_answered(r, INVALID);
	SIM_EQ(mm->faults, 1);
	door.shut = false;
	test_answered(stuck, INVALID);
	mmdrop(mm);
	iommu_sva_unbind_device(sva);
}

TEST(debugger_does_not_have_a_process_served_that_has_exited)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	SIM_CHECK(mmget_not_zero(mm));
	mmput(mm);
	/* Without memory groups the core cannot tell a debugger from a thread. */
	test_answered(ask_page(dev, 0), IS_ENABLED(CONFIG_MEMCG) ? INVALID : SUCCESS);
	sim_mmput_other(mm);
	iommu_sva_unbind_device(sva);
}

TEST(killed_process_is_not_served_though_a_thread_is_stuck)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct sim_door door;
	struct vendor_request *r;

	if (IS_ENABLED(CONFIG_MEMCG)) {
		test_shut(mm, &door);
		r = ask_page(dev, 0);
		test_unanswered(r);
		mm->owner->signal->flags |= SIGNAL_GROUP_EXIT;
		test_answered(ask_page(dev, 1), INVALID);
		door.shut = false;
		test_answered(r, INVALID);
		SIM_EQ(mm->faults, 1);
		SIM_EQ(counted(dev, IOPF_EXITED), 2);
		/* One of several processes that share it: the others go on. */
		mm->flags |= 1UL << MMF_MULTIPROCESS;
		test_answered(ask_page(dev, 2), SUCCESS);
	}
	mmput(mm);
	iommu_sva_unbind_device(sva);
}

static bool has_been_killed(void *task)
{
	return fatal_signal_pending(task);
}

/* A charge to a full memory group goes on until there is room, or the thread has been killed. */
static vm_fault_t fault_without_room(struct vm_area_struct *vma, unsigned long addr,
				     unsigned int flags)
{
	sim_block(has_been_killed, current, "room in the memory group");
	return VM_FAULT_OOM;
}

static vm_fault_t fault_of_a_thread_that_lives(struct vm_area_struct *vma, unsigned long addr,
					       unsigned int flags)
{
	SIM_CHECK(!fatal_signal_pending(current));
	sim_fault_map(vma, addr, flags);
	return 0;
}

/* Else the OOM killer, which waits for its victim's memory, kills one process after another. */
TEST(fault_that_waits_for_memory_ends_with_the_victim_of_the_oom_killer)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm(), *other = test_mm(), *unbound = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm), *bond = test_bind(dev, other);
	struct vendor_request *r[3];

	mm->fault = fault_without_room;
	r[0] = ask_page(dev, 0);
	r[1] = ask_page(dev, 1);
	/* The worker of the first one gets it next. */
	r[2] = vendor_ask(dev, 1, 2, PAGE(0));
	test_unanswered(r[0]);
	iommu_sva_stop_serving(unbound);
	iommu_sva_stop_serving(other);
	test_unanswered(r[0]);
	iommu_sva_stop_serving(mm);
	test_all_answered(r, 3, INVALID);
	SIM_EQ(counted(dev, IOPF_EXITED), 3);
	SIM_EQ(mm->mm_users.counter, 1);

	/* The worker's next process is not the victim. */
	other->fault = fault_of_a_thread_that_lives;
	test_answered(vendor_ask(dev, iommu_sva_get_pasid(bond), 3, PAGE(0)), SUCCESS);
	mmput(mm);
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(bond);
	mmput(other);
	mmput(unbound);
}

static struct iommu_sva *bond_of_own_fault;
static struct task_struct *caller;
static int error_of_own_fault;

static void report_own_fault(void *flags)
{
	caller = current;
	current->flags = flags ? PF_KTHREAD : 0;
	error_of_own_fault = iommu_sva_handle_fault(bond_of_own_fault, PAGE(0), READ);
	/* A kernel thread goes on to serve others. */
	SIM_CHECK(!flags || !fatal_signal_pending(current));
}

static void have_own_fault_reported(void *flags)
{
	error_of_own_fault = 1;
	sim_spawn("caller", report_own_fault, flags);
	sim_settle();
	SIM_EQ(error_of_own_fault, 1);
}

/* A thread of another process is not to blame. */
TEST(own_fault_of_a_kernel_thread_ends_with_the_victim_of_the_oom_killer)
{
	struct mm_struct *mm = test_mm();

	bond_of_own_fault = test_bind(test_dev(), mm);
	mm->fault = fault_without_room;
	have_own_fault_reported(mm);
	iommu_sva_stop_serving(mm);
	sim_settle();
	SIM_EQ(error_of_own_fault, -EINTR);

	have_own_fault_reported(NULL);
	iommu_sva_stop_serving(mm);
	sim_settle();
	SIM_EQ(error_of_own_fault, 1);
	caller->killed = true;
	sim_settle();
	SIM_EQ(error_of_own_fault, -EINTR);
	iommu_sva_unbind_device(bond_of_own_fault);
	mmput(mm);
}

/* What goes on in the tests below */
static struct vendor_dev *device;
static struct mm_struct *space;
static struct iommu_sva *bond;

static void set_up(void)
{
	device = test_dev();
	space = test_mm();
	bond = test_bind(device, space);
	space->fault = fault_without_room;
}

static struct vendor_request *ask_device(unsigned int n)
{
	return vendor_ask(device, iommu_sva_get_pasid(bond), n, PAGE(n));
}

static void exit_of_process(void *arg)
{
	mmput(space);
}

/* The OOM killer finds no such process any more, and would kill those that are left. */
TEST(fault_that_waits_for_memory_ends_with_its_process)
{
	struct vendor_request *r[2];

	/* Without memory groups the mm core does not know that an mm has lost its last thread. */
	if (!IS_ENABLED(CONFIG_MEMCG))
		return;
	set_up();
	r[0] = ask_device(0);
	r[1] = ask_device(1);
	test_unanswered(r[0]);
	mmput(space);
	test_all_answered(r, 2, INVALID);
	SIM_EQ(counted(device, IOPF_EXITED), 2);
	SIM_CHECK(space->exited);
	iommu_sva_unbind_device(bond);
}

EXPLORE(fault_that_waits_for_memory_against_exit)
{
	struct vendor_request *r;

	if (!IS_ENABLED(CONFIG_MEMCG))
		return;
	set_up();
	r = ask_device(0);
	sim_spawn("exit", exit_of_process, NULL);
	test_answered(r, INVALID);
	SIM_CHECK(space->exited);
	iommu_sva_unbind_device(bond);
}

TEST(own_fault_of_a_kernel_thread_ends_with_its_process)
{
	if (!IS_ENABLED(CONFIG_MEMCG))
		return;
	set_up();
	bond_of_own_fault = bond;
	have_own_fault_reported(space);
	mmput(space);
	sim_settle();
	SIM_EQ(error_of_own_fault, -ESRCH);
	SIM_CHECK(space->exited);
	iommu_sva_unbind_device(bond);
}

/* After that the OOM killer does not reach the worker. */
TEST(fault_that_waits_for_memory_ends_with_the_last_bond)
{
	struct iommu_sva *other;
	struct vendor_request *r;

	set_up();
	other = test_bind(test_dev_beside(device), space);
	r = ask_device(0);
	test_unanswered(r);
	iommu_sva_unbind_device(bond);
	test_answered(r, INVALID);
	SIM_EQ(space->mm_users.counter, 2);
	iommu_sva_unbind_device(other);
	sim_settle();
	SIM_EQ(space->mm_users.counter, 1);
	mmput(space);
}

static void unbind(void *arg)
{
	iommu_sva_unbind_device(bond);
}

EXPLORE(fault_that_waits_for_memory_against_the_last_unbind)
{
	struct vendor_request *r;

	set_up();
	r = ask_device(0);
	sim_spawn("unbind", unbind, NULL);
	sim_settle();
	SIM_EQ(r->answers, 1);
	SIM_EQ(space->mm_users.counter, 1);
	mmput(space);
}

static vm_fault_t fault_with_room_for_others(struct vm_area_struct *vma, unsigned long addr,
					     unsigned int flags)
{
	if (addr == PAGE(0))
		return fault_without_room(vma, addr, flags);
	return fault_of_a_thread_that_lives(vma, addr, flags);
}

static struct vendor_request *request_of_new_bond;

static void bind_anew(void *arg)
{
	iommu_sva_unbind_device(bond);
	bond = test_bind(device, space);
	request_of_new_bond = ask_device(1);
}

/* The worker whose fault has ended with the last bond may get it. */
TEST(request_of_a_new_bond_is_served_by_the_worker_of_the_last_one)
{
	set_up();
	space->fault = fault_with_room_for_others;
	test_unanswered(ask_device(0));
	bind_anew(NULL);
	test_answered(request_of_new_bond, SUCCESS);
	SIM_EQ(space->mm_users.counter, 1);
	mmput(space);
	iommu_sva_unbind_device(bond);
}

EXPLORE(new_bond_against_the_fault_of_the_last_one)
{
	set_up();
	space->fault = fault_with_room_for_others;
	ask_device(0);
	sim_spawn("bind", bind_anew, NULL);
	sim_settle();
	test_answered(request_of_new_bond, SUCCESS);
	SIM_EQ(space->mm_users.counter, 1);
	mmput(space);
	iommu_sva_unbind_device(bond);
}
