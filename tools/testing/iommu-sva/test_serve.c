// SPDX-License-Identifier: GPL-2.0-only
/*
 * Serving: what a request may do to an address space, and how long it is tried.
 */
#include "test.h"

struct served {
	struct vendor_dev *dev;
	struct mm_struct *mm;
	struct iommu_sva *sva;
};

static struct served start(void)
{
	struct served s = { .dev = test_dev(), .mm = test_mm() };

	s.sva = test_bind(s.dev, s.mm);
	return s;
}

static void stop(struct served *s)
{
	/* The workers have put their references to the process and its memory group. */
	sim_settle();
	SIM_EQ(s->mm->mm_users.counter, 1);
	SIM_EQ(s->mm->memcg_refs, 0);
	iommu_sva_unbind_device(s->sva);
	mmput(s->mm);
}

static u32 answer(struct served *s, unsigned long addr, u32 perm)
{
	struct vendor_request *r = vendor_send(s->dev, 1, 0, addr, perm, true);

	sim_settle();
	SIM_EQ(r->answers, 1);
	return r->code;
}

TEST(page_is_served_and_can_be_used)
{
	struct served s = start();

	SIM_CHECK(!vendor_dma(s.dev, 1, PAGE(2), false));
	SIM_EQ(answer(&s, PAGE(2), READ), SUCCESS);
	SIM_CHECK(vendor_dma(s.dev, 1, PAGE(2), false));
	SIM_CHECK(!vendor_dma(s.dev, 1, PAGE(2), true));
	SIM_EQ(answer(&s, PAGE(2), READ | WRITE), SUCCESS);
	SIM_CHECK(vendor_dma(s.dev, 1, PAGE(2), true));
	stop(&s);
}

TEST(access_goes_into_the_flags)
{
	static const struct {
		u32 perm;
		unsigned int set, clear;
	} cases[] = {
		{ READ, 0, FAULT_FLAG_WRITE | FAULT_FLAG_INSTRUCTION },
		{ WRITE, FAULT_FLAG_WRITE, FAULT_FLAG_INSTRUCTION },
		{ READ | WRITE, FAULT_FLAG_WRITE, FAULT_FLAG_INSTRUCTION },
		{ EXEC, FAULT_FLAG_INSTRUCTION, FAULT_FLAG_WRITE },
		{ READ | EXEC, FAULT_FLAG_INSTRUCTION, FAULT_FLAG_WRITE },
	};
	const unsigned int always = FAULT_FLAG_REMOTE | FAULT_FLAG_USER | FAULT_FLAG_ALLOW_RETRY |
				    FAULT_FLAG_KILLABLE;
	struct served s = start();

	sim_mmap(s.mm, SLOT(1), 8, VM_READ | VM_WRITE | VM_EXEC);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		SIM_EQ(answer(&s, SLOT(1), cases[i].perm), SUCCESS);
		SIM_EQ(s.mm->fault_flags & cases[i].set, cases[i].set);
		SIM_EQ(s.mm->fault_flags & cases[i].clear, 0);
		SIM_EQ(s.mm->fault_flags & always, always);
		SIM_EQ(s.mm->fault_flags & FAULT_FLAG_TRIED, 0);
	}
	stop(&s);
}

/* A device that is told that the page is there, and does not get it, would ask for ever. */
TEST(what_the_iommu_cannot_grant_is_refused)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(VENDOR_NO_EXECUTE), 16, CREDITS);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	u32 pasid;

	vendor_enable(dev);
	sim_mmap(mm, SLOT(1), 8, VM_READ | VM_WRITE | VM_EXEC);
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	test_answered(vendor_send(dev, pasid, 0, SLOT(1), READ | EXEC, true), INVALID);
	test_answered(vendor_send(dev, pasid, 0, SLOT(1), EXEC, true), INVALID);
	SIM_EQ(mm->faults, 0);
	test_answered(vendor_send(dev, pasid, 0, SLOT(1), READ | WRITE, true), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(vma_grants_or_refuses)
{
	static const struct {
		unsigned long flags;
		u32 perm;
		bool ok;
	} cases[] = {
		{ VM_READ, READ, true },
		{ VM_READ, WRITE, false },
		{ VM_READ, READ | WRITE, false },
		{ VM_READ, EXEC, false },
		{ VM_READ | VM_WRITE, WRITE, true },
		{ VM_READ | VM_WRITE, READ | EXEC, false },
		{ VM_READ | VM_WRITE, READ | WRITE | EXEC, false },
		{ VM_READ | VM_EXEC, READ | EXEC, true },
		{ VM_READ | VM_EXEC, WRITE | EXEC, false },
		{ VM_EXEC, EXEC, true },
		/* PROT_NONE forbids each kind of access. */
		{ 0, READ, false },
		{ 0, WRITE, false },
		{ 0, EXEC, false },
	};
	struct served s = start();

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		u32 code = INVALID - cases[i / 2].ok;
		unsigned int faults = s.mm->faults;

		sim_mmap(s.mm, SLOT(1), 1, cases[i / 2].flags);
		/* With the VMA's lock, and with mmap_lock */
		s.mm->no_vma_lock = i & 1;
		SIM_EQ(answer(&s, SLOT(1), cases[i / 2].perm), code);
		SIM_EQ(s.mm->faults - faults, cases[i / 2].ok);
		sim_munmap(s.mm, SLOT(1));
	}
	stop(&s);
}

TEST(request_for_nothing_or_for_privileges_is_refused)
{
	struct served s = start();

	SIM_EQ(answer(&s, BASE, 0), INVALID);
	SIM_EQ(answer(&s, BASE, PRIV), INVALID);
	SIM_EQ(answer(&s, BASE, PRIV | READ), INVALID);
	SIM_EQ(answer(&s, BASE, PRIV | READ | WRITE), INVALID);
	SIM_EQ(s.mm->faults, 0);
	stop(&s);
}

TEST(address_outside_any_mapping_is_refused)
{
	static const unsigned long addrs[] = {
		0, BASE - 1, PAGE(PAGES), SLOT(1), TASK_SIZE_MAX - 1, TASK_SIZE_MAX,
		TASK_SIZE_MAX + PAGE_SIZE, 1UL << 47, 1UL << 63, ULONG_MAX & ~(PAGE_SIZE - 1),
	};
	struct served s = start();

	for (unsigned int i = 0; i < ARRAY_SIZE(addrs); i++)
		SIM_EQ(answer(&s, addrs[i], READ), INVALID);
	SIM_EQ(s.mm->faults, 0);
	SIM_EQ(sim_nr_logged(), 0);
	stop(&s);
}

/* A VMA that ends where user space ends must not be reached through the address behind it. */
TEST(end_of_user_space_is_exclusive)
{
	struct served s = start();

	sim_mmap(s.mm, TASK_SIZE_MAX - PAGE_SIZE, 2, VM_READ);
	SIM_EQ(answer(&s, TASK_SIZE_MAX - PAGE_SIZE, READ), SUCCESS);
	SIM_EQ(answer(&s, TASK_SIZE_MAX, READ), INVALID);
	SIM_EQ(s.mm->faults, 1);
	stop(&s);
}

/* The mm's tables have shadow stacks as read-only for all but the CPU's own pushes. */
TEST(shadow_stack_can_be_read_and_not_written)
{
	struct served s = start();

	sim_mmap(s.mm, SLOT(2), 1, VM_READ | VM_WRITE | VM_SHADOW_STACK);
	SIM_EQ(answer(&s, SLOT(2), READ), SUCCESS);
	if (VM_SHADOW_STACK) {
		SIM_EQ(answer(&s, SLOT(2), WRITE), INVALID);
		SIM_EQ(answer(&s, SLOT(2), READ | WRITE), INVALID);
		SIM_EQ(s.mm->faults, 1);
	}
	stop(&s);
}

TEST(read_needs_what_the_cpu_needs)
{
	struct served s = start();

	sim_mmap(s.mm, SLOT(2), 1, VM_EXEC);
	sim_mmap(s.mm, SLOT(3), 1, VM_WRITE);
	SIM_EQ(answer(&s, SLOT(2), EXEC), SUCCESS);
	SIM_EQ(answer(&s, SLOT(2), READ), SUCCESS);
	SIM_EQ(answer(&s, SLOT(3), READ), SUCCESS);
#ifdef CONFIG_ARM64
	sim_has_epan = true;
	SIM_EQ(answer(&s, SLOT(2), EXEC), SUCCESS);
	SIM_EQ(answer(&s, SLOT(2), READ), INVALID);
	SIM_EQ(answer(&s, SLOT(2), READ | EXEC), INVALID);
	SIM_EQ(answer(&s, SLOT(3), READ), SUCCESS);
	sim_has_epan = false;
#endif
	stop(&s);
}

TEST(stack_grows_up_to_the_process_s_limit)
{
	struct served s = start();
	unsigned long top = SLOT(2) + 64 * PAGE_SIZE;

	if (!IS_ENABLED(CONFIG_MEMCG)) {
		stop(&s);
		return;
	}
	sim_mmap(s.mm, top - PAGE_SIZE, 1, VM_READ | VM_WRITE | VM_GROWSDOWN);
	s.mm->owner->signal->rlim[RLIMIT_STACK].rlim_cur = 8 * PAGE_SIZE;
	SIM_EQ(answer(&s, top - 5 * PAGE_SIZE, READ | WRITE), SUCCESS);
	SIM_CHECK(vendor_dma(s.dev, 1, top - 5 * PAGE_SIZE, true));
	SIM_EQ(answer(&s, top - 9 * PAGE_SIZE, READ | WRITE), INVALID);
	SIM_EQ(answer(&s, top - 8 * PAGE_SIZE - 1, READ | WRITE), INVALID);
	SIM_EQ(answer(&s, top - 8 * PAGE_SIZE, READ | WRITE), SUCCESS);
	/* More than any worker's, if the process may */
	s.mm->owner->signal->rlim[RLIMIT_STACK].rlim_cur = 40 * PAGE_SIZE;
	SIM_EQ(answer(&s, top - 40 * PAGE_SIZE, READ | WRITE), SUCCESS);
	stop(&s);
}

TEST(stack_grows_as_far_as_the_process_s_other_limits_allow)
{
	struct served s = start();
	unsigned long top = SLOT(2) + 64 * PAGE_SIZE;
	struct rlimit *rlim = s.mm->task->signal->rlim;

	if (!IS_ENABLED(CONFIG_MEMCG)) {
		stop(&s);
		return;
	}
	sim_mmap(s.mm, top - PAGE_SIZE, 1, VM_READ | VM_WRITE | VM_GROWSDOWN);
	/* All that it has mapped, and four pages */
	rlim[RLIMIT_AS].rlim_cur = (PAGES + 1 + 4) * PAGE_SIZE;
	SIM_EQ(answer(&s, top - 6 * PAGE_SIZE, READ), INVALID);
	SIM_EQ(answer(&s, top - 5 * PAGE_SIZE, READ), SUCCESS);
	rlim[RLIMIT_AS].rlim_cur = RLIM_INFINITY;
	/* Of what grows locked, two pages more */
	s.mm->vmas->next->vm_flags |= VM_LOCKED;
	s.mm->locked_vm = 5;
	rlim[RLIMIT_MEMLOCK].rlim_cur = 7 * PAGE_SIZE;
	SIM_EQ(answer(&s, top - 8 * PAGE_SIZE, READ), INVALID);
	SIM_EQ(answer(&s, top - 7 * PAGE_SIZE, READ), SUCCESS);
	stop(&s);
}

static vm_fault_t charge_over_high(struct vm_area_struct *vma, unsigned long addr,
				   unsigned int flags)
{
	current->memcg_nr_pages_over_high++;
	return sim_fault_map(vma, addr, flags);
}

TEST(worker_is_slowed_down_for_the_process_that_it_serves)
{
	struct served s = start();

	if (IS_ENABLED(CONFIG_MEMCG)) {
		sim_throttled = 0;
		s.mm->fault = charge_over_high;
		s.mm->fault_is_quick = true;
		for (unsigned int i = 0; i < 3; i++)
			SIM_EQ(answer(&s, PAGE(i), READ | WRITE), SUCCESS);
		SIM_EQ(sim_throttled, 3);
	}
	stop(&s);
}

/* Where the last fault has had its memory from, and who has served it */
static struct {
	struct task_struct *task;
	const struct mempolicy *policy;
	nodemask_t nodes, mems;
} allocated;

static vm_fault_t note_nodes(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	allocated.task = current;
	allocated.policy = current->mempolicy;
	allocated.mems = current->mems_allowed;
	allocated.nodes.bits = allocated.policy ? allocated.policy->nodes.bits : 0;
	return sim_fault_map(vma, addr, flags);
}

static void expect_own_nodes(const struct task_struct *task)
{
	SIM_CHECK(!task->mempolicy);
	SIM_EQ(task->mems_allowed.bits, SIM_NODES);
}

TEST(worker_allocates_where_the_process_would)
{
	struct mempolicy policy = { .nodes = { 2 } };
	struct served s = start();

	if (!IS_ENABLED(CONFIG_NUMA)) {
		stop(&s);
		return;
	}
	s.mm->fault = note_nodes;
	s.mm->fault_is_quick = true;
	s.mm->owner->mempolicy = &policy;
	SIM_EQ(answer(&s, PAGE(0), READ | WRITE), SUCCESS);
	SIM_EQ(allocated.nodes.bits, 2);
	SIM_EQ(allocated.mems.bits, SIM_NODES);
	expect_own_nodes(allocated.task);
	/* The worker's cpuset may change, and with that the policy that it has. */
	SIM_CHECK(allocated.policy != &policy);

	sim_cpusets = true;
	s.mm->owner->mempolicy = NULL;
	s.mm->owner->mems_allowed.bits = 6;
	SIM_EQ(answer(&s, PAGE(1), READ | WRITE), SUCCESS);
	SIM_CHECK(!allocated.policy);
	SIM_EQ(allocated.mems.bits, 6);
	expect_own_nodes(allocated.task);
	stop(&s);
}

TEST(only_a_stack_grows)
{
	struct served s = start();

	SIM_EQ(answer(&s, BASE - PAGE_SIZE, READ), INVALID);
	SIM_EQ(s.mm->vmas->vm_start, BASE);
	stop(&s);
}

TEST(stack_of_a_process_whose_owner_is_not_known_has_the_worker_s_limit)
{
	struct served s = start();
	unsigned long top = SLOT(2) + 64 * PAGE_SIZE;

	sim_mmap(s.mm, top - PAGE_SIZE, 1, VM_READ | VM_WRITE | VM_GROWSDOWN);
	if (!IS_ENABLED(CONFIG_MEMCG))
		s.mm->owner->signal->rlim[RLIMIT_STACK].rlim_cur = 64 * PAGE_SIZE;
	SIM_EQ(answer(&s, top - 16 * PAGE_SIZE, READ), SUCCESS);
	SIM_EQ(answer(&s, top - 17 * PAGE_SIZE, READ), INVALID);
	stop(&s);
}

/* A script for handle_mm_fault(): what it returns, call by call; then it maps the page. */
static struct {
	vm_fault_t results[40];
	unsigned int flags[40];
	unsigned int n, at;
	void (*between)(struct mm_struct *mm);
} script;

static vm_fault_t scripted_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	vm_fault_t result = 0;

	SIM_CHECK(script.at < ARRAY_SIZE(script.flags));
	if (script.at < script.n)
		result = script.results[script.at];
	script.flags[script.at++] = flags;
	if (script.between)
		script.between(vma->vm_mm);
	if (!(result & (VM_FAULT_ERROR | VM_FAULT_RETRY)))
		sim_fault_map(vma, addr, flags);
	if (result & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
		sim_fault_unlocked(vma, flags, 0);
	return result;
}

static void write_script(struct mm_struct *mm, vm_fault_t result, unsigned int n)
{
	memset(&script, 0, sizeof(script));
	for (script.n = 0; script.n < n; script.n++)
		script.results[script.n] = result;
	mm->fault = scripted_fault;
}

TEST(retry_goes_from_the_vma_lock_to_mmap_lock)
{
	struct served s = start();

	write_script(s.mm, VM_FAULT_RETRY, 1);
	SIM_EQ(answer(&s, BASE, READ), SUCCESS);
	SIM_EQ(script.at, 2);
	SIM_CHECK(script.flags[0] & FAULT_FLAG_VMA_LOCK);
	SIM_CHECK(!(script.flags[1] & (FAULT_FLAG_VMA_LOCK | FAULT_FLAG_TRIED)));
	stop(&s);
}

TEST(second_try_after_io_says_so)
{
	struct served s = start();

	write_script(s.mm, VM_FAULT_RETRY | VM_FAULT_MAJOR, 1);
	SIM_EQ(answer(&s, BASE, READ), SUCCESS);
	SIM_EQ(script.at, 2);
	SIM_CHECK(script.flags[1] & FAULT_FLAG_TRIED);
	stop(&s);
}

TEST(retry_goes_on_until_the_fault_is_served)
{
	struct served s = start();

	/* Odd tries have the VMA's lock, even ones mmap_lock */
	write_script(s.mm, VM_FAULT_RETRY, 31);
	SIM_EQ(answer(&s, BASE, READ), SUCCESS);
	SIM_EQ(script.at, 32);
	for (unsigned int i = 2; i < 32; i++)
		SIM_CHECK(script.flags[i] & FAULT_FLAG_TRIED);
	stop(&s);
}

TEST(completed_fault_has_released_its_lock)
{
	struct served s = start();

	write_script(s.mm, VM_FAULT_COMPLETED, 4);
	SIM_EQ(answer(&s, PAGE(0), READ), SUCCESS);
	SIM_EQ(script.at, 1);
	s.mm->no_vma_lock = true;
	SIM_EQ(answer(&s, PAGE(1), READ), SUCCESS);
	SIM_EQ(script.at, 2);
	stop(&s);
}

TEST(bus_errors_and_poison_are_refused_at_once)
{
	static const vm_fault_t errors[] = { VM_FAULT_SIGBUS, VM_FAULT_SIGSEGV, VM_FAULT_HWPOISON };
	struct served s = start();

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(errors); i++) {
		s.mm->no_vma_lock = i & 1;
		write_script(s.mm, errors[i / 2], 2);
		SIM_EQ(answer(&s, BASE, READ), INVALID);
		SIM_EQ(script.at, 1);
	}
	stop(&s);
}

TEST(want_of_memory_is_tried_again)
{
	struct served s = start();

	write_script(s.mm, VM_FAULT_OOM, 15);
	SIM_EQ(answer(&s, BASE, READ), SUCCESS);
	SIM_EQ(script.at, 16);
	stop(&s);
}

TEST(want_of_memory_is_not_tried_for_ever)
{
	struct served s = start();

	write_script(s.mm, VM_FAULT_OOM, 40);
	SIM_EQ(answer(&s, BASE, READ), INVALID);
	SIM_EQ(script.at, 16);
	stop(&s);
}

static void kill_at_third(struct mm_struct *mm)
{
	if (script.at == 3)
		mm->flags |= 1UL << MMF_UNSTABLE;
}

TEST(killed_process_is_not_served_any_longer)
{
	static const vm_fault_t results[] = { VM_FAULT_OOM, VM_FAULT_RETRY };
	struct served s = start();

	s.mm->no_vma_lock = true;
	for (unsigned int i = 0; i < 2; i++) {
		write_script(s.mm, results[i], 40);
		script.between = kill_at_third;
		s.mm->flags = 0;
		SIM_EQ(answer(&s, BASE, READ), INVALID);
		SIM_EQ(script.at, 3);
	}
	stop(&s);
}

static void exit_at_third(struct mm_struct *mm)
{
	if (script.at == 3)
		mmput(mm);
}

TEST(process_that_has_exited_is_not_served_any_longer)
{
	struct served s = start();

	s.mm->no_vma_lock = true;
	write_script(s.mm, VM_FAULT_OOM, 40);
	script.between = exit_at_third;
	SIM_EQ(answer(&s, BASE, READ), INVALID);
	SIM_EQ(script.at, 3);
	iommu_sva_unbind_device(s.sva);
}

static struct served *drained;

static void drain_at_third(struct mm_struct *mm)
{
	if (script.at == 3)
		iopf_drain_pasid(dev_of(drained->dev), 1);
}

TEST(request_that_was_answered_elsewhere_is_not_served_any_longer)
{
	struct served s = start();

	drained = &s;
	s.mm->no_vma_lock = true;
	write_script(s.mm, VM_FAULT_RETRY, 40);
	script.between = drain_at_third;
	SIM_EQ(answer(&s, BASE, READ), INVALID);
	SIM_EQ(script.at, 3);
	stop(&s);
}

static vm_fault_t memcg_oom_fault(struct vm_area_struct *vma, unsigned long addr,
				  unsigned int flags)
{
	current->in_memcg_oom = true;
	return VM_FAULT_OOM;
}

static vm_fault_t nosy_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	SIM_CHECK(!current->in_memcg_oom);
	return sim_fault_map(vma, addr, flags);
}

static vm_fault_t oom_then_nosy_fault(struct vm_area_struct *vma, unsigned long addr,
				      unsigned int flags)
{
	SIM_CHECK(!current->in_memcg_oom);
	if (!script.at++)
		return memcg_oom_fault(vma, addr, flags);
	return sim_fault_map(vma, addr, flags);
}

/* State of cgroup v1 that stays on a worker would affect the next process. */
TEST(worker_keeps_no_memcg_state)
{
	struct served s = start();

	script.at = 0;
	s.mm->fault = oom_then_nosy_fault;
	SIM_EQ(answer(&s, BASE, READ), SUCCESS);
	SIM_EQ(script.at, 2);
	/* Two pages, one worker */
	s.mm->fault = memcg_oom_fault;
	SIM_EQ(answer(&s, PAGE(1), READ), INVALID);
	s.mm->fault = nosy_fault;
	SIM_EQ(answer(&s, PAGE(2), READ), SUCCESS);
	stop(&s);
}

TEST(unmapping_during_a_fault_is_no_harm)
{
	struct served s = start();
	struct vendor_request *r;
	struct sim_door door;

	test_shut(s.mm, &door);
	r = vendor_ask(s.dev, 1, 0, BASE);
	test_unanswered(r);
	sim_munmap(s.mm, BASE);
	door.shut = false;
	test_answered(r, INVALID);
	SIM_CHECK(!vendor_dma(s.dev, 1, BASE, false));
	stop(&s);
}
