// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices with fault handling of their own: iommu_sva_handle_fault(). What serves page requests
 * serves these, so that most of it is tested in test_serve.c.
 */
#include "test.h"

static struct vendor_dev *dev;
static struct mm_struct *mm;
static struct iommu_sva *sva;
static u32 pasid;

static void set_up_with(struct vendor_dev *of)
{
	dev = of;
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
}

/* A device without page requests */
static void set_up(void)
{
	set_up_with(vendor_dev_new(vendor_iommu_new(0), 16, 0));
}

static void tear_down(void)
{
	sim_settle();
	SIM_EQ(mm->mm_users.counter, 1);
	SIM_EQ(mm->memcg_refs, 0);
	SIM_CHECK(!current->memcg);
	iommu_sva_unbind_device(sva);
	SIM_EQ(sim_nr_logged(), 0);
	mmput(mm);
}

/* The caller is a thread of that process from now on; NULL: a kernel thread. */
static void become_thread_of(struct mm_struct *of)
{
	current->mm = of;
	current->flags = of ? 0 : PF_KTHREAD;
	current->signal = of ? of->task->signal : &current->own_signal;
}

static int fault(unsigned long addr, u32 perm)
{
	return iommu_sva_handle_fault(sva, addr, perm);
}

TEST(own_fault_brings_the_page)
{
	set_up();
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(2), false));
	SIM_EQ(fault(PAGE(2) + 123, READ), 0);
	SIM_CHECK(vendor_dma(dev, pasid, PAGE(2), false));
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(2), true));
	SIM_EQ(fault(PAGE(2), READ | WRITE), 0);
	SIM_CHECK(vendor_dma(dev, pasid, PAGE(2), true));
	SIM_EQ(mm->fault_flags & FAULT_FLAG_WRITE, FAULT_FLAG_WRITE);
	/* In a slot without a table */
	sim_mmap(mm, SLOT(3), 1, VM_READ | VM_WRITE);
	SIM_EQ(fault(SLOT(3), WRITE), 0);
	SIM_CHECK(vendor_dma(dev, pasid, SLOT(3), true));
	tear_down();
}

static vm_fault_t poisoned;

static vm_fault_t fail_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	return poisoned;
}

TEST(own_fault_has_an_error_for_each_reason)
{
	set_up();
	sim_mmap(mm, SLOT(1), 1, VM_READ);
	SIM_EQ(fault(SLOT(2), READ), -EFAULT);
	SIM_EQ(fault(TASK_SIZE_MAX, READ), -EFAULT);
	SIM_EQ(fault(ULONG_MAX, READ), -EFAULT);
	SIM_EQ(fault(SLOT(1), WRITE), -EACCES);
	SIM_EQ(fault(SLOT(1), EXEC), -EACCES);
	SIM_EQ(fault(PAGE(0), 0), -EACCES);
	SIM_EQ(fault(PAGE(0), READ | PRIV), -EACCES);
	SIM_EQ(mm->faults, 0);
	mm->fault = fail_fault;
	poisoned = VM_FAULT_SIGBUS;
	SIM_EQ(fault(PAGE(0), READ), -EFAULT);
	poisoned = VM_FAULT_HWPOISON;
	SIM_EQ(fault(PAGE(0), READ), -EFAULT);
	poisoned = VM_FAULT_OOM;
	SIM_EQ(fault(PAGE(0), READ), -ENOMEM);
	mm->fault = NULL;
	SIM_EQ(fault(PAGE(0), READ), 0);
	tear_down();
}

struct ear {
	struct iommu_sva_listener listener;
	struct iommu_sva_fault fault;
	unsigned int told;
};

static void hear(struct iommu_sva_listener *listener, const struct iommu_sva_fault *what)
{
	struct ear *ear = container_of(listener, struct ear, listener);

	ear->fault = *what;
	ear->told++;
}

TEST(own_fault_that_fails_is_told_to_listeners)
{
	struct ear ear = { .listener.notify = hear };

	set_up();
	SIM_EQ(iommu_sva_listen(sva, &ear.listener), 0);
	SIM_EQ(fault(PAGE(0), READ), 0);
	SIM_EQ(ear.told, 0);
	SIM_EQ(fault(SLOT(2) + 5, WRITE), -EFAULT);
	SIM_EQ(ear.told, 1);
	SIM_EQ(ear.fault.reason, IOMMU_SVA_FAULT_NO_MAPPING);
	SIM_EQ(ear.fault.addr, SLOT(2));
	SIM_EQ(ear.fault.perm, WRITE);
	SIM_EQ(fault(PAGE(0), EXEC), -EACCES);
	SIM_EQ(ear.told, 2);
	SIM_EQ(ear.fault.reason, IOMMU_SVA_FAULT_NO_ACCESS);
	mm->fault = fail_fault;
	poisoned = VM_FAULT_OOM;
	SIM_EQ(fault(PAGE(1), READ), -ENOMEM);
	SIM_EQ(ear.told, 3);
	SIM_EQ(ear.fault.reason, IOMMU_SVA_FAULT_NO_PAGE);
	iommu_sva_unlisten(sva, &ear.listener);
	tear_down();
}

TEST(own_fault_of_a_process_that_has_exited_is_refused)
{
	set_up();
	mmput(mm);
	SIM_EQ(fault(PAGE(0), READ), -ESRCH);
	iommu_sva_unbind_device(sva);
	SIM_EQ(sim_nr_logged(), 0);
}

#ifdef CONFIG_MEMCG
/* Though another process still looks at its memory */
TEST(own_fault_of_a_process_that_has_been_killed_is_refused)
{
	set_up();
	mmget_not_zero(mm);
	mmput(mm);
	SIM_EQ(fault(PAGE(0), READ), -ESRCH);
	SIM_EQ(mm->faults, 0);
	sim_mmput_other(mm);
	iommu_sva_unbind_device(sva);
}
#endif

static unsigned int tries;

static vm_fault_t kill_process(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	if (++tries == 3)
		mm->flags |= 1UL << MMF_UNSTABLE;
	return VM_FAULT_OOM;
}

TEST(own_fault_ends_when_its_process_is_killed)
{
	set_up();
	mm->fault = kill_process;
	tries = 0;
	SIM_EQ(fault(PAGE(0), READ), -ESRCH);
	SIM_EQ(tries, 3);
	mm->flags = 0;
	tear_down();
}

/* As a page that is waited for does it: the locks are given up. */
static vm_fault_t kill_caller(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	current->killed = ++tries == 3;
	return sim_fault_unlocked(vma, flags, VM_FAULT_RETRY);
}

TEST(own_fault_ends_when_its_caller_is_killed)
{
	struct ear ear = { .listener.notify = hear };

	set_up();
	SIM_EQ(iommu_sva_listen(sva, &ear.listener), 0);
	mm->fault = kill_caller;
	for (unsigned int i = 0; i < 2; i++) {
		mm->no_vma_lock = i;
		tries = 0;
		SIM_EQ(fault(PAGE(0), READ), -EINTR);
		SIM_EQ(tries, 3);
		current->killed = false;
	}
	SIM_EQ(ear.told, 0);
	iommu_sva_unlisten(sva, &ear.listener);
	tear_down();
}

TEST(caller_that_has_been_killed_waits_for_no_lock)
{
	set_up();
	mm->no_vma_lock = true;
	current->killed = true;
	SIM_EQ(fault(PAGE(0), READ), -EINTR);
	SIM_EQ(mm->faults, 0);
	current->killed = false;
	tear_down();
}

static vm_fault_t check_charge(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	SIM_CHECK(current->memcg && current->memcg->mm == mm);
	return sim_fault_map(vma, addr, flags);
}

/* Of whatever process the caller is */
TEST(own_fault_is_charged_to_the_process)
{
	struct mm_struct *other = test_mm();
	struct mem_cgroup *memcg, *old;

	set_up();
	mm->fault = check_charge;
	SIM_EQ(fault(PAGE(0), READ), 0);
	become_thread_of(mm);
	SIM_EQ(fault(PAGE(1), READ), 0);
	become_thread_of(other);
	memcg = get_mem_cgroup_from_mm(other);
	old = set_active_memcg(memcg);
	SIM_EQ(fault(PAGE(2), READ), 0);
	SIM_CHECK(set_active_memcg(old) == memcg);
	mem_cgroup_put(memcg);
	become_thread_of(NULL);
	SIM_EQ(mm->faults, 3);
	mmput(other);
	tear_down();
}

#ifdef CONFIG_MEMCG
static vm_fault_t charge_over_high(struct vm_area_struct *vma, unsigned long addr,
				   unsigned int flags)
{
	current->memcg_nr_pages_over_high++;
	return sim_fault_map(vma, addr, flags);
}

/* A thread that goes back to user space is slowed down there. */
TEST(kernel_thread_is_slowed_down_for_the_process_whose_own_fault_it_serves)
{
	set_up();
	sim_throttled = 0;
	mm->fault = charge_over_high;
	SIM_EQ(fault(PAGE(0), READ), 0);
	SIM_EQ(sim_throttled, 1);
	become_thread_of(mm);
	SIM_EQ(fault(PAGE(1), READ), 0);
	SIM_EQ(sim_throttled, 1);
	SIM_EQ(current->memcg_nr_pages_over_high, 1);
	current->memcg_nr_pages_over_high = 0;
	become_thread_of(NULL);
	tear_down();
}

#ifdef CONFIG_NUMA
static const struct mempolicy *policy_seen;

static vm_fault_t note_policy(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	policy_seen = current->mempolicy;
	return sim_fault_map(vma, addr, flags);
}

/* A kernel thread takes over what the process has, another process's thread keeps its own. */
TEST(own_fault_has_its_memory_from_where_the_caller_may)
{
	struct mempolicy policy = {}, own = {};
	struct mm_struct *other;

	set_up();
	other = sim_mm_new();
	mm->fault = note_policy;
	mm->owner->mempolicy = &policy;
	SIM_EQ(fault(PAGE(0), READ), 0);
	SIM_CHECK(policy_seen && policy_seen != &policy);
	SIM_CHECK(!current->mempolicy);
	become_thread_of(other);
	current->mempolicy = &own;
	SIM_EQ(fault(PAGE(1), READ), 0);
	SIM_CHECK(policy_seen == &own);
	SIM_CHECK(current->mempolicy == &own);
	current->mempolicy = NULL;
	become_thread_of(NULL);
	mmput(other);
	tear_down();
}
#endif

/* By the process's limits, of whatever process the caller is, which keeps its own. */
TEST(own_fault_grows_a_stack_as_far_as_the_process_may)
{
	unsigned long top = SLOT(2) + 64 * PAGE_SIZE;
	struct mm_struct *other = test_mm();
	struct mm_struct *callers[3];

	set_up();
	callers[0] = NULL;
	callers[1] = mm;
	callers[2] = other;
	for (unsigned int i = 0; i < ARRAY_SIZE(callers); i++) {
		sim_mmap(mm, top - PAGE_SIZE, 1, VM_READ | VM_WRITE | VM_GROWSDOWN);
		mm->task->signal->rlim[RLIMIT_STACK].rlim_cur = 40 * PAGE_SIZE;
		other->task->signal->rlim[RLIMIT_STACK].rlim_cur = 50 * PAGE_SIZE;
		become_thread_of(callers[i]);
		SIM_EQ(fault(top - 40 * PAGE_SIZE, WRITE), 0);
		SIM_CHECK(vendor_dma(dev, pasid, top - 40 * PAGE_SIZE, true));
		SIM_EQ(fault(top - 41 * PAGE_SIZE, WRITE), -EFAULT);
		become_thread_of(NULL);
		SIM_EQ(rlimit(RLIMIT_STACK), 16 * PAGE_SIZE);
		SIM_EQ(other->task->signal->rlim[RLIMIT_STACK].rlim_cur, 50 * PAGE_SIZE);
		sim_munmap(mm, top - 40 * PAGE_SIZE);
	}
	mmput(other);
	tear_down();
}
#endif

TEST(own_faults_of_a_stream_map_ahead)
{
	set_up();
	sim_around_pages = 8;
	SIM_EQ(fault(PAGE(0), WRITE), 0);
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(2), true));
	SIM_EQ(fault(PAGE(1), WRITE), 0);
	for (unsigned int i = 2; i <= 5; i++)
		SIM_CHECK(vendor_dma(dev, pasid, PAGE(i), true));
	SIM_EQ(mm->faults, 2);
	sim_around_pages = 0;
	tear_down();
}

/* Of which the counts tell, if the device is on a fault queue. */
TEST(pages_mapped_ahead_of_own_faults_are_counted)
{
	u64 counts[IOPF_NR_COUNTS];

	set_up_with(test_dev());
	sim_around_pages = 8;
	SIM_EQ(fault(PAGE(0), WRITE), 0);
	SIM_EQ(fault(PAGE(1), WRITE), 0);
	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	SIM_EQ(counts[IOPF_AHEAD], 4);
	SIM_EQ(counts[IOPF_REQUESTS], 0);
	sim_around_pages = 0;
	tear_down();
}

static unsigned int served;

static void serve_one(void *arg)
{
	SIM_EQ(fault((unsigned long)arg, READ | WRITE), 0);
	SIM_CHECK(vendor_dma(dev, pasid, (unsigned long)arg, true));
	served++;
}

EXPLORE(own_faults_for_one_page)
{
	set_up();
	served = 0;
	for (unsigned int i = 0; i < 3; i++)
		sim_spawn("caller", serve_one, (void *)PAGE(1));
	sim_settle();
	SIM_EQ(served, 3);
	tear_down();
}

/* A fault of the device that hangs delays neither page requests nor other callers. */
TEST(own_fault_that_hangs_delays_no_other_and_no_page_request)
{
	struct sim_door door;

	set_up_with(test_dev());
	served = 0;
	test_shut(mm, &door);
	for (unsigned int i = 0; i < 6; i++)
		sim_spawn("caller", serve_one, (void *)PAGE(i));
	sim_settle();
	SIM_EQ(door.waiting, 6);
	mm->fault = NULL;
	test_answered(vendor_ask(dev, pasid, 0, PAGE(7)), SUCCESS);
	SIM_EQ(fault(PAGE(8), READ), 0);
	door.shut = false;
	sim_settle();
	SIM_EQ(served, 6);
	tear_down();
}

static void put(void *arg)
{
	mmput(arg);
}

static void serve_until_exit(void *arg)
{
	int error = fault(PAGE(1), READ);

	SIM_CHECK(!error || error == -ESRCH);
}

EXPLORE(own_fault_against_exit)
{
	set_up();
	sim_spawn("caller", serve_until_exit, NULL);
	sim_spawn("exit", put, mm);
	sim_settle();
	SIM_EQ(fault(PAGE(1), READ), -ESRCH);
	iommu_sva_unbind_device(sva);
	SIM_EQ(sim_nr_logged(), 0);
}

/* Another user of the bond may unbind; the last one does when its own calls have returned. */
static void unbind_one(void *arg)
{
	iommu_sva_unbind_device(arg);
}

EXPLORE(own_fault_against_the_unbind_of_another_user_of_the_bond)
{
	set_up();
	SIM_CHECK(test_bind(dev, mm) == sva);
	served = 0;
	sim_spawn("caller", serve_one, (void *)PAGE(1));
	sim_spawn("unbind", unbind_one, sva);
	sim_settle();
	SIM_EQ(served, 1);
	tear_down();
}

static void serve_and_unbind(void *arg)
{
	SIM_EQ(fault(PAGE(1), READ), 0);
	iommu_sva_unbind_device(sva);
}

EXPLORE(own_fault_against_the_unbind_of_another_device)
{
	struct iommu_sva *other;

	set_up();
	other = test_bind(test_dev_beside(dev), mm);
	sim_spawn("caller", serve_and_unbind, NULL);
	sim_spawn("unbind", unbind_one, other);
	sim_settle();
	SIM_CHECK(!mm->iommu_mm);
	mmput(mm);
}

static void unmap(void *arg)
{
	sim_munmap(mm, BASE);
	vendor_check_stale(mm, BASE, PAGE(PAGES));
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(1), false));
}

static void serve_until_unmapped(void *arg)
{
	int error = fault(PAGE(1), WRITE);

	SIM_CHECK(!error || error == -EFAULT);
	vendor_dma(dev, pasid, PAGE(1), true);
}

EXPLORE(own_fault_against_munmap)
{
	set_up();
	sim_spawn("caller", serve_until_unmapped, NULL);
	sim_spawn("munmap", unmap, NULL);
	sim_settle();
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(1), false));
	tear_down();
}
