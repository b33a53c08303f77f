// SPDX-License-Identifier: GPL-2.0-only
/*
 * A libFuzzer target: any sequence of page requests, binds, exits, removals and failures, under any
 * schedule. No input makes a mistake that the documentation forbids the core's callers, so each
 * violation is the core's.
 *
 * Input: four bytes per action from the front (what, and three arguments), the schedule from the
 * back: after how many points the running task is preempted, and which runs next. Where the two
 * meet, the target takes all down and checks ledgers, references, IDs and allocations.
 */
#include "vendor.h"

#define NR_DEVS		3
#define NR_MMS		3
#define NR_BONDS	12
#define NR_PASIDS	8
#define CREDITS		2

#define BASE		0x100000UL
#define PAGES		4

/* Devices are numbered through; the third one is behind another vendor's IOMMU. */
static struct vendor_iommu *iommus[2];

static struct dev_state {
	struct vendor_dev *dev;
	/* being removed or added: not for other actions */
	bool moving;
	/* actions under way: it stays on its queue */
	unsigned int flushes;
} devs[NR_DEVS];

enum mood { SERVE, FAIL_BUS, FAIL_OOM, RETRY_ONCE, COMPLETE, WAIT, NR_MOODS };

static struct mm_state {
	struct mm_struct *mm;
	enum mood mood;
	bool retried;
	struct sim_door door;
} mms[NR_MMS];

static struct bond_state {
	struct iommu_sva *sva;
	struct vendor_dev *dev;
} bonds[NR_BONDS];

static const uint8_t *input;
static size_t front, back;
static unsigned int points_left;

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0:detect_stack_use_after_return=0:print_legend=0";
}

/* Schedule */

static uint8_t schedule_byte(void)
{
	return back > front ? input[--back] : 0;
}

static bool preempt(const char *what)
{
	(void)what;
	if (points_left--)
		return false;
	/* Without any byte left no task is preempted any more. */
	points_left = back > front ? schedule_byte() : UINT_MAX;
	return points_left != UINT_MAX;
}

static unsigned int choose(unsigned int n)
{
	return schedule_byte() % n;
}

/* Faults */

static vm_fault_t moody_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	struct mm_state *state = vma->vm_mm->fault_data;

	/* The process may be another one by now. */
	if (state->mm != vma->vm_mm)
		return sim_fault_map(vma, addr, flags);
	switch (state->mood) {
	case FAIL_BUS:
		return VM_FAULT_SIGBUS;
	case FAIL_OOM:
		current->in_memcg_oom = true;
		return VM_FAULT_OOM;
	case RETRY_ONCE:
		state->retried = !state->retried;
		if (state->retried)
			return sim_fault_unlocked(vma, flags, VM_FAULT_RETRY | VM_FAULT_MAJOR);
		break;
	case COMPLETE:
		sim_fault_map(vma, addr, flags);
		return sim_fault_unlocked(vma, flags, VM_FAULT_COMPLETED);
	case WAIT:
		sim_fault_unlocked(vma, flags, 0);
		sim_pass(&state->door);
		return VM_FAULT_RETRY;
	default:
		break;
	}
	return sim_fault_map(vma, addr, flags);
}

static void set_mood(struct mm_state *state, enum mood mood)
{
	state->mood = mood;
	state->door.shut = mood == WAIT;
}

static void new_mm(struct mm_state *state)
{
	struct mm_struct *mm = sim_mm_new();

	sim_mmap(mm, BASE, PAGES, VM_READ | VM_WRITE);
	sim_mmap(mm, 1UL << PGDIR_SHIFT, 1, VM_READ);
	sim_mmap(mm, (2UL << PGDIR_SHIFT) + 64 * PAGE_SIZE, 1, VM_READ | VM_WRITE | VM_GROWSDOWN);
	mm->fault = moody_fault;
	mm->fault_data = state;
	set_mood(state, SERVE);
	state->mm = mm;
}

static unsigned long address(uint8_t which)
{
	static const unsigned long addrs[] = {
		BASE, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, BASE + 3 * PAGE_SIZE,
		1UL << PGDIR_SHIFT, (2UL << PGDIR_SHIFT) + 60 * PAGE_SIZE, 3UL << PGDIR_SHIFT,
		TASK_SIZE_MAX,
	};

	return addrs[which % ARRAY_SIZE(addrs)];
}

/* The caller's reference to a process that may exit at any time */
static struct mm_struct *get_mm(uint8_t which)
{
	struct mm_struct *mm = mms[which % NR_MMS].mm;
	bool alive;

	sim_nosched(true);
	alive = mmget_not_zero(mm);
	sim_nosched(false);
	return alive ? mm : NULL;
}

/* Actions: what, and three arguments */

struct action {
	void (*run)(const struct action *action);
	uint8_t a, b, c;
};

static ioasid_t pasid_of(uint8_t which)
{
	which %= NR_PASIDS + 1;
	return which < NR_PASIDS ? which : IOMMU_PASID_INVALID;
}

static void do_request(const struct action *action)
{
	struct dev_state *state = &devs[action->a % NR_DEVS];
	uint8_t perm = action->c >> 3;

	if (state->moving || !state->dev->on_queue)
		return;
	vendor_post(state->dev, pasid_of(action->b), action->b >> 6, address(action->c), perm & 15,
		    !(action->c & 0x80));
}

/* More than the device has credits and the queue has room for */
static void do_flood(const struct action *action)
{
	struct action one = *action;

	for (unsigned int i = 0; i < 40; i++)
		do_request(&one);
}

static void do_stop_marker(const struct action *action)
{
	struct dev_state *state = &devs[action->a % NR_DEVS];

	if (!state->moving && state->dev->on_queue)
		vendor_post_stop_marker(state->dev, pasid_of(action->b));
}

static void do_bind(const struct action *action)
{
	struct mm_struct *mm = get_mm(action->b);
	struct vendor_dev *dev = devs[action->a % NR_DEVS].dev;
	struct bond_state *bond = &bonds[action->c % NR_BONDS];
	struct iommu_sva *sva;

	if (!mm)
		return;
	sva = iommu_sva_bind_device(&dev->pdev.dev, mm);
	if (!IS_ERR(sva)) {
		SIM_CHECK(iommu_sva_get_pasid(sva) - 1 < NR_PASIDS - 1);
		if (bond->sva)
			iommu_sva_unbind_device(sva);
		else
			*bond = (struct bond_state){ sva, dev };
	}
	sim_mmput_other(mm);
}

static void do_unbind(const struct action *action)
{
	struct bond_state *slot = &bonds[action->c % NR_BONDS], bond = *slot;
	u64 before = vendor_nr_requests();
	u32 pasid;

	if (!bond.sva)
		return;
	*slot = (struct bond_state){};
	pasid = iommu_sva_get_pasid(bond.sva);
	iommu_sva_unbind_device(bond.sva);
	/* Unless other binds share the bond, or another process has the PASID already */
	sim_nosched(true);
	if (!vendor_domain_of(bond.dev, pasid))
		vendor_check_answered(bond.dev, pasid, before);
	sim_nosched(false);
}

static void do_exit(const struct action *action)
{
	struct mm_state *state = &mms[action->b % NR_MMS];
	struct mm_struct *mm = state->mm;

	/* Let the tasks go on that wait for faults of the old process. */
	sim_nosched(true);
	new_mm(state);
	sim_nosched(false);
	mmput(mm);
}

static void do_move(const struct action *action)
{
	struct dev_state *state = &devs[action->a % NR_DEVS];
	struct vendor_dev *dev = state->dev;
	struct iopf_queue *queue = dev->iommu->queue;
	unsigned int failed = sim_nr_failed_allocs();

	if (state->moving || state->flushes)
		return;
	state->moving = true;
	if (dev->on_queue) {
		vendor_disable(dev);
	} else if (!iopf_queue_add_device(queue, &dev->pdev.dev)) {
		dev->shut = false;
		dev->on_queue = true;
	} else {
		/* Meanwhile another task may have asked for the next failure. */
		SIM_CHECK(sim_nr_failed_allocs() != failed);
	}
	state->moving = false;
}

static void do_drain(const struct action *action)
{
	struct vendor_dev *dev = devs[action->a % NR_DEVS].dev;
	ioasid_t pasid = pasid_of(action->b);
	u64 before = vendor_nr_requests();
	unsigned int reported = 0;

	/* The caller has to wait for requests in the ring, and for those being reported. */
	for (struct vendor_request *r = dev->requests; r; r = r->next)
		reported |= !r->reported;
	iopf_drain_pasid(&dev->pdev.dev, pasid);
	if (!reported)
		vendor_check_answered(dev, pasid, before);
}

static void do_flush(const struct action *action)
{
	struct dev_state *state = &devs[action->a % NR_DEVS];

	/* A caller's mistake if it is on no queue */
	if (!state->dev->on_queue || state->moving)
		return;
	state->flushes++;
	iopf_queue_flush_dev(&state->dev->pdev.dev);
	state->flushes--;
}

static void do_overflow(const struct action *action)
{
	vendor_overflow(iommus[action->a % 2]);
}

static void do_fail_alloc(const struct action *action)
{
	sim_fail_alloc(1 + action->a % 12);
}

static void do_settle(const struct action *action)
{
	sim_settle();
}

static void do_mood(const struct action *action)
{
	set_mood(&mms[action->b % NR_MMS], action->c % NR_MOODS);
}

static void do_kill(const struct action *action)
{
	mms[action->b % NR_MMS].mm->flags |= 1UL << MMF_UNSTABLE;
}

static void do_munmap(const struct action *action)
{
	struct mm_struct *mm = get_mm(action->b);

	if (!mm)
		return;
	sim_munmap(mm, BASE);
	sim_mmput_other(mm);
}

static void do_zap(const struct action *action)
{
	struct mm_struct *mm = get_mm(action->b);
	unsigned long start = action->a % 3 ? BASE + PAGE_SIZE : 0;

	if (!mm)
		return;
	sim_zap(mm, start, action->c & 1 ? ULONG_MAX : BASE + 3 * PAGE_SIZE);
	sim_mmput_other(mm);
}

static void do_dma(const struct action *action)
{
	vendor_dma(devs[action->a % NR_DEVS].dev, pasid_of(action->b), address(action->c),
		   action->c & 0x80);
}

static void do_hold_rcu(const struct action *action)
{
	sim_hold_rcu(action->a & 1);
}

static void do_yield(const struct action *action)
{
	for (unsigned int i = action->a % 8; i--; )
		sim_yield();
}

/* Actions that may wait for a fault run in tasks of their own; the others do each second time. */
static const struct {
	void (*run)(const struct action *action);
	bool may_wait, is_short;
} actions[] = {
	{ do_request, .is_short = true },
	{ do_request, .is_short = true },
	{ do_request, .is_short = true },
	{ do_bind },
	{ do_bind },
	{ do_unbind },
	{ do_exit },
	{ do_move },
	{ do_drain },
	{ do_flush, .may_wait = true },
	{ do_overflow, .is_short = true },
	{ do_fail_alloc, .is_short = true },
	{ do_settle, .is_short = true },
	{ do_mood, .is_short = true },
	{ do_munmap },
	{ do_zap },
	{ do_dma, .is_short = true },
	{ do_hold_rcu, .is_short = true },
	{ do_flood, .is_short = true },
	{ do_stop_marker, .is_short = true },
	{ do_kill, .is_short = true },
	{ do_yield, .is_short = true },
};

static void run_apart(void *arg)
{
	struct action action = *(struct action *)arg;

	kfree(arg);
	action.run(&action);
}

static void run_one(const uint8_t *bytes)
{
	unsigned int which = bytes[0] % ARRAY_SIZE(actions);
	struct action action = { actions[which].run, bytes[1], bytes[2], bytes[3] };
	struct action *copy;

	if (actions[which].is_short || (!actions[which].may_wait && bytes[0] & 0x80) ||
	    sim_nr_tasks() > 24) {
		if (!actions[which].may_wait)
			action.run(&action);
		return;
	}
	copy = sim_alloc_sure(sizeof(*copy), __func__);
	*copy = action;
	sim_spawn("action", run_apart, copy);
}

/* Starts from a clean state and must leave a clean state */

static void rewind_pasids(struct vendor_dev *dev)
{
	ioasid_t pasid;

	/* The allocator starts behind the last PASID; each input must get the same numbers. */
	do {
		pasid = iommu_alloc_global_pasid(&dev->pdev.dev);
		iommu_free_global_pasid(pasid);
	} while (pasid != NR_PASIDS - 1);
}

static void set_up(void)
{
	iommus[0] = vendor_iommu_new(0);
	iommus[0]->serves_single = true;
	iommus[1] = vendor_iommu_new(VENDOR_NO_DRAIN);
	for (unsigned int i = 0; i < NR_DEVS; i++) {
		devs[i] = (struct dev_state){
			.dev = vendor_dev_new(iommus[i / 2], NR_PASIDS, CREDITS),
		};
		vendor_enable(devs[i].dev);
	}
	rewind_pasids(devs[0].dev);
	for (unsigned int i = 0; i < NR_MMS; i++)
		new_mm(&mms[i]);
}

static void take_down(void)
{
	sim_policy = (struct sim_policy){};
	sim_fail_alloc(0);
	sim_hold_rcu(false);
	for (unsigned int i = 0; i < NR_MMS; i++)
		set_mood(&mms[i], SERVE);
	sim_settle();
	for (unsigned int i = 0; i < NR_BONDS; i++) {
		if (bonds[i].sva)
			iommu_sva_unbind_device(bonds[i].sva);
		bonds[i] = (struct bond_state){};
	}
	for (unsigned int i = 0; i < NR_MMS; i++)
		mmput(mms[i].mm);
	sim_settle();
	vendor_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	front = 0;
	back = size;
	sim_begin();
	set_up();
	points_left = schedule_byte();
	sim_policy = (struct sim_policy){ preempt, choose };
	while (front + 4 <= back) {
		front += 4;
		run_one(&data[front - 4]);
	}
	take_down();
	sim_end();
	return 0;
}
