// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two or more at the same time. An EXPLORE test is run once for each point of its course, with
 * the task that is there preempted until all others can't go on; a SHAKE test is run under many
 * pseudo-random schedules.
 */
#include "test.h"

static struct vendor_dev *dev, *beside;
static struct mm_struct *mm;
static struct iommu_sva *sva;
static struct vendor_request *requests[16];
static unsigned int nr_requests;
static u32 pasid;

static void set_up(void)
{
	dev = test_dev();
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	nr_requests = 0;
}

static void tear_down(void)
{
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static void ask(u32 grpid, unsigned long addr)
{
	struct vendor_request *r = vendor_ask(dev, pasid, grpid, addr);

	requests[nr_requests++] = r;
}

static void ask_twice(void *arg)
{
	vendor_send(dev, pasid, 1, PAGE(0), READ, false);
	ask(0, PAGE(1));
	ask(1, PAGE(2));
}

static void unbind(void *arg)
{
	iommu_sva_unbind_device(arg);
}

/* Tasks always run before works; this one comes between a worker's steps. */
static unsigned int gets;

static bool is_at_work(void *arg)
{
	return mm->gets > gets;
}

static void await_worker(void)
{
	sim_block(is_at_work, NULL, "a worker");
}

static void unbind_under_work(void *arg)
{
	await_worker();
	iommu_sva_unbind_device(sva);
}

static void drain(void *arg)
{
	unsigned int before = nr_requests;

	iopf_drain_pasid(dev_of(dev), pasid);
	/* The requests that had been reported by then are answered. */
	for (unsigned int i = 0; i < before; i++)
		SIM_EQ(requests[i]->answers, 1);
}

static void flush(void *arg)
{
	unsigned int before = nr_requests;

	SIM_EQ(iopf_queue_flush_dev(dev_of(dev)), 0);
	for (unsigned int i = 0; i < before; i++)
		SIM_EQ(requests[i]->answers, 1);
}

static void put(void *arg)
{
	mmput(arg);
}

static void bind_beside(void *arg)
{
	struct iommu_sva *other = iommu_sva_bind_device(dev_of(beside), mm);

	if (IS_ERR(other))
		SIM_EQ(PTR_ERR(other), -ESRCH);
	else
		iommu_sva_unbind_device(other);
}

static void all_answered(void)
{
	sim_settle();
	for (unsigned int i = 0; i < nr_requests; i++)
		SIM_EQ(requests[i]->answers, 1);
}

EXPLORE(unbind_against_requests)
{
	set_up();
	sim_spawn("device", ask_twice, NULL);
	sim_spawn("unbind", unbind, sva);
	all_answered();
	mmput(mm);
}

/* The worker is about to tell listeners, of whom there are none, when the bond goes. */
EXPLORE(unbind_against_a_refusal)
{
	set_up();
	gets = mm->gets;
	ask(0, SLOT(2));
	sim_spawn("unbind", unbind_under_work, NULL);
	all_answered();
	mmput(mm);
}

EXPLORE(unbind_against_the_interrupt_thread)
{
	set_up();
	for (u32 i = 0; i < 3; i++)
		requests[nr_requests++] = vendor_post(dev, pasid, i, PAGE(i), READ, true);
	iommu_sva_unbind_device(sva);
	/* The device had stopped: no request came too late. */
	for (u32 i = 0; i < 3; i++) {
		SIM_EQ(requests[i]->answers, 1);
		SIM_EQ(requests[i]->error, 0);
	}
	mmput(mm);
}

EXPLORE(drain_against_service)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("drain", drain, NULL);
	all_answered();
	tear_down();
}

EXPLORE(drain_against_requests)
{
	set_up();
	sim_spawn("device", ask_twice, NULL);
	sim_spawn("drain", drain, NULL);
	all_answered();
	tear_down();
}

EXPLORE(drain_against_drain)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("first", drain, NULL);
	sim_spawn("second", drain, NULL);
	all_answered();
	tear_down();
}

EXPLORE(flush_against_drain)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("flush", flush, NULL);
	sim_spawn("drain", drain, NULL);
	all_answered();
	tear_down();
}

EXPLORE(flush_against_requests)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("flush", flush, NULL);
	sim_spawn("device", ask_twice, NULL);
	all_answered();
	tear_down();
}

static void remove_and_return(void *arg)
{
	vendor_disable(dev);
	vendor_enable(dev);
}

EXPLORE(removal_against_service)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("removal", remove_and_return, NULL);
	all_answered();
	tear_down();
}

EXPLORE(removal_against_drain)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("drain", drain, NULL);
	sim_spawn("removal", remove_and_return, NULL);
	all_answered();
	tear_down();
}

EXPLORE(removal_against_unbind)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("unbind", unbind, sva);
	sim_spawn("removal", remove_and_return, NULL);
	all_answered();
	mmput(mm);
}

/* A report that has found the device when it is removed */
static void remove_at_once(void *arg)
{
	iopf_queue_remove_device(dev->iommu->queue, dev_of(dev));
	dev->on_queue = false;
	for (unsigned int i = 0; i < nr_requests; i++)
		SIM_EQ(requests[i]->answers, 1);
}

EXPLORE(removal_against_requests)
{
	set_up();
	sim_spawn("device", ask_twice, NULL);
	sim_spawn("removal", remove_at_once, NULL);
	all_answered();
	tear_down();
}

EXPLORE(exit_against_service)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("exit", put, mm);
	all_answered();
	iommu_sva_unbind_device(sva);
}

EXPLORE(exit_against_requests)
{
	set_up();
	sim_spawn("device", ask_twice, NULL);
	sim_spawn("exit", put, mm);
	all_answered();
	iommu_sva_unbind_device(sva);
	SIM_EQ(sim_nr_logged(), 0);
}

EXPLORE(exit_against_unbind)
{
	set_up();
	ask_twice(NULL);
	sim_spawn("unbind", unbind, sva);
	sim_spawn("exit", put, mm);
	all_answered();
}

/* Tracing names the device, which its driver may free when the unbind has returned. */
static bool (*explorer)(const char *what);
static bool device_may_go;

static void unbind_device_that_goes(void *arg)
{
	iommu_sva_unbind_device(sva);
	device_may_go = true;
}

static bool look_at_device(const char *what)
{
	if (!strcmp(what, "trace_iommu_sva_fault"))
		SIM_CHECK(!device_may_go);
	return explorer(what);
}

EXPLORE(exit_looks_at_no_device_after_its_unbind)
{
	set_up();
	device_may_go = false;
	explorer = sim_policy.preempt;
	sim_policy.preempt = look_at_device;
	sim_spawn("exit", put, mm);
	sim_spawn("unbind", unbind_device_that_goes, NULL);
	sim_settle();
}

static void abort_dma(void *arg)
{
	for (unsigned int i = 0; i < 3; i++)
		iommu_sva_report_abort(dev_of(dev), pasid, PAGE(i));
}

EXPLORE(unbind_against_aborts)
{
	set_up();
	sim_spawn("abort", abort_dma, NULL);
	sim_spawn("unbind", unbind, sva);
	sim_settle();
	mmput(mm);
}

EXPLORE(exit_against_bind)
{
	set_up();
	beside = test_dev();
	sim_spawn("bind", bind_beside, NULL);
	sim_spawn("exit", put, mm);
	sim_settle();
	iommu_sva_unbind_device(sva);
}

/* The last user goes while a task binds, with a lock that closing a file would take too. */
static struct mutex caller_lock;

static void bind_under_lock(void *arg)
{
	mutex_lock(&caller_lock);
	bind_beside(arg);
	mutex_unlock(&caller_lock);
}

EXPLORE(exit_against_bind_under_a_lock)
{
	set_up();
	mutex_init(&caller_lock);
	beside = test_dev();
	sim_spawn("bind", bind_under_lock, NULL);
	sim_spawn("exit", put, mm);
	sim_settle();
	iommu_sva_unbind_device(sva);
}

EXPLORE(bind_against_unbind_of_the_same_pair)
{
	set_up();
	beside = dev;
	sim_spawn("bind", bind_beside, NULL);
	sim_spawn("unbind", unbind, sva);
	sim_settle();
	SIM_CHECK(!mm->iommu_mm);
	mmput(mm);
}

/* One of the binds shares the bond, or finds it ending, or makes the next one. */
EXPLORE(binds_against_unbinds_of_a_shared_bond)
{
	set_up();
	SIM_CHECK(test_bind(dev, mm) == sva);
	beside = dev;
	sim_spawn("bind", bind_beside, NULL);
	sim_spawn("unbind", unbind, sva);
	sim_spawn("unbind too", unbind, sva);
	sim_settle();
	SIM_CHECK(!mm->iommu_mm);
	mmput(mm);
}

/* Stops the task "unbind" before it takes the io_mm's lock, and again when it has released that. */
static unsigned int unbind_stops;

static bool stop_unbind(const char *what)
{
	bool stop = !strcmp(current->name, "unbind") &&
		    (unbind_stops ? unbind_stops == 1 && !strcmp(what, "unlock") :
				    !!strstr(what, "&io_mm->lock"));

	unbind_stops += stop;
	return stop;
}

static bool has_unlocked(void *arg)
{
	return unbind_stops == 2;
}

static void bind_until_unbind_has_unlocked(void *arg)
{
	SIM_CHECK(test_bind(dev, mm) == sva);
	sim_block(has_unlocked, NULL, "the other unbind");
	iommu_sva_unbind_device(sva);
}

/* Who seemed to be the last user is not, and releases the lock while the last one frees it. */
TEST(unbind_releases_the_lock_before_the_last_one_frees_it)
{
	set_up();
	unbind_stops = 0;
	sim_policy.preempt = stop_unbind;
	sim_spawn("unbind", unbind, sva);
	sim_spawn("bind", bind_until_unbind_has_unlocked, NULL);
	sim_settle();
	sim_policy.preempt = NULL;
	SIM_EQ(unbind_stops, 2);
	SIM_CHECK(!mm->iommu_mm);
	mmput(mm);
}

EXPLORE(bind_against_unbind_of_another_device)
{
	set_up();
	beside = test_dev_beside(dev);
	sim_spawn("bind", bind_beside, NULL);
	sim_spawn("unbind", unbind, sva);
	sim_settle();
	SIM_CHECK(!mm->iommu_mm);
	mmput(mm);
}

EXPLORE(bind_against_bind)
{
	dev = test_dev();
	beside = dev;
	mm = test_mm();
	sim_spawn("first", bind_beside, NULL);
	sim_spawn("second", bind_beside, NULL);
	sim_settle();
	SIM_CHECK(!mm->iommu_mm);
	mmput(mm);
}

static u32 pasids[2];
static unsigned int nr_pasids;

static void bind_other(void *arg)
{
	struct mm_struct *other = test_mm();
	struct iommu_sva *bond = test_bind(dev, other);

	pasids[nr_pasids++] = iommu_sva_get_pasid(bond);
	iommu_sva_unbind_device(bond);
	mmput(other);
}

/* Two searches, one start: the next PASID must be behind both. */
EXPLORE(pasids_under_bind_against_bind)
{
	u32 given;

	dev = test_dev();
	nr_pasids = 0;
	sim_spawn("first", bind_other, NULL);
	sim_spawn("second", bind_other, NULL);
	sim_settle();
	given = iommu_alloc_global_pasid(dev_of(dev));
	SIM_EQ(nr_pasids, 2);
	SIM_CHECK(pasids[0] != pasids[1] && pasids[0] != given && pasids[1] != given);
	iommu_free_global_pasid(given);
}

static void unmap(void *arg)
{
	sim_munmap(mm, BASE);
	vendor_check_stale(mm, BASE, PAGE(PAGES));
}

static void touch_by_dma(void *arg)
{
	vendor_dma(dev, pasid, PAGE(1), true);
	sim_point("device");
	vendor_dma(dev, pasid, PAGE(2), false);
}

/* Entries of memory that was unmapped, in the root or elsewhere */
static void nothing_is_left(void)
{
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(1), false));
	SIM_CHECK(!vendor_root(dev, pasid)[0].pgd);
}

EXPLORE(munmap_against_service_and_dma)
{
	set_up();
	sim_touch(mm, PAGE(1), true);
	ask_twice(NULL);
	sim_spawn("dma", touch_by_dma, NULL);
	sim_spawn("munmap", unmap, NULL);
	sim_spawn("dma", touch_by_dma, NULL);
	all_answered();
	nothing_is_left();
	tear_down();
}

static void unmap_under_work(void *arg)
{
	await_worker();
	unmap(NULL);
}

/* The table is freed while the worker copies the slot that points to it. */
EXPLORE(munmap_against_the_copy_of_a_new_slot)
{
	set_up();
	gets = mm->gets;
	ask(0, PAGE(1));
	sim_spawn("munmap", unmap_under_work, NULL);
	all_answered();
	nothing_is_left();
	tear_down();
}

static void unmap_beside_a_bind(void)
{
	sim_spawn("bind", bind_beside, NULL);
	sim_spawn("munmap", unmap, NULL);
	sim_settle();
	nothing_is_left();
	tear_down();
}

#ifdef CONFIG_X86_64
/* What a thread finds in the mm's top level a device finds in its own, at any time. */
static bool look_at_root(const char *what)
{
	pgd_t *root = vendor_root(dev, pasid);

	for (unsigned int i = 0; root && mm->mm_users.counter && i < PTRS_PER_PGD / 2; i++)
		if (mm->pgd[i].pgd)
			SIM_EQ(root[i].pgd, mm->pgd[i].pgd & ~_PAGE_NX);
	return explorer(what);
}

static void set_up_slots(void)
{
	set_up();
	for (unsigned int i = 1; i <= 3; i++)
		sim_mmap(mm, SLOT(i), 1, VM_READ | VM_WRITE);
	explorer = sim_policy.preempt;
	sim_policy.preempt = look_at_root;
}

static void fill_slots(void *arg)
{
	for (unsigned int i = 1; i <= 3; i++) {
		sim_touch(mm, SLOT(i), true);
		sim_point("slot filled");
	}
}

/* Of all that there is, as when much was unmapped */
static void flush_all(void *arg)
{
	for (unsigned int i = 0; i < 3; i++)
		sim_flush(mm, 0, ULONG_MAX);
}

EXPLORE(slot_that_is_filled_against_a_flush)
{
	set_up_slots();
	sim_spawn("fill", fill_slots, NULL);
	sim_spawn("flush", flush_all, NULL);
	sim_settle();
	for (unsigned int i = 1; i <= 3; i++)
		SIM_CHECK(vendor_dma(dev, pasid, SLOT(i), true));
	tear_down();
}

/* Two threads: one fills it, one finds it filled and goes to the device with that. */
static void hand_over(void *arg)
{
	for (unsigned int i = 1; i <= 3; i++) {
		if (mm->pgd[i].pgd) {
			sim_touch(mm, SLOT(i), true);
			SIM_CHECK(vendor_dma(dev, pasid, SLOT(i), true));
		}
		sim_point("next slot");
	}
}

EXPLORE(slot_that_is_filled_against_a_thread_that_finds_it_filled)
{
	set_up_slots();
	sim_spawn("fill", fill_slots, NULL);
	for (unsigned int i = 0; i < 3; i++)
		sim_spawn("hand over", hand_over, NULL);
	sim_settle();
	tear_down();
}

static void bind_again(void *arg)
{
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	for (unsigned int i = 1; i <= 3; i++)
		if (mm->pgd[i].pgd)
			SIM_CHECK(vendor_root(dev, pasid)[i].pgd);
}

EXPLORE(slot_that_is_filled_against_a_bind)
{
	set_up_slots();
	iommu_sva_unbind_device(sva);
	sim_spawn("fill", fill_slots, NULL);
	sim_spawn("bind", bind_again, NULL);
	sim_settle();
	for (unsigned int i = 1; i <= 3; i++)
		SIM_CHECK(vendor_dma(dev, pasid, SLOT(i), true));
	tear_down();
}

/* The thread that fills a slot has found an io_mm that goes. */
EXPLORE(slot_that_is_filled_against_the_last_unbind)
{
	set_up_slots();
	sim_spawn("fill", fill_slots, NULL);
	sim_spawn("unbind", unbind, sva);
	sim_settle();
	mmput(mm);
}

EXPLORE(slot_that_is_filled_against_the_last_unbind_with_enqcmd)
{
	sim_has_enqcmd = true;
	set_up_slots();
	sim_spawn("fill", fill_slots, NULL);
	sim_spawn("unbind", unbind, sva);
	sim_settle();
	mmput(mm);
}

static void unmap_slots(void *arg)
{
	for (unsigned int i = 1; i <= 3; i++)
		sim_munmap(mm, SLOT(i));
}

EXPLORE(slot_that_is_filled_against_its_unmapping)
{
	set_up_slots();
	fill_slots(NULL);
	sim_munmap(mm, SLOT(3));
	sim_spawn("munmap", unmap_slots, NULL);
	sim_spawn("flush", flush_all, NULL);
	sim_mmap(mm, SLOT(4), 1, VM_READ | VM_WRITE);
	sim_touch(mm, SLOT(4), true);
	sim_settle();
	for (unsigned int i = 1; i <= 3; i++)
		SIM_CHECK(!vendor_root(dev, pasid)[i].pgd);
	tear_down();
}

/* Slots that come and go; each thread has its own, and hands over what it has touched. */
static void come_and_go(void *arg)
{
	unsigned long n = (unsigned long)arg;

	for (unsigned int i = 0; i < 4; i++) {
		unsigned long addr = SLOT(8 * n + sim_random(8));

		sim_mmap(mm, addr, 1, VM_READ | VM_WRITE);
		sim_touch(mm, addr, true);
		sim_point("hand-over");
		SIM_CHECK(vendor_dma(dev, pasid, addr, sim_random(2)));
		if (!sim_random(3))
			sim_flush(mm, 0, ULONG_MAX);
		sim_munmap(mm, addr);
		SIM_CHECK(!vendor_dma(dev, pasid, addr, false));
	}
}

SHAKE(slots_that_come_and_go_under_hand_overs)
{
	set_up();
	explorer = sim_policy.preempt;
	sim_policy.preempt = look_at_root;
	for (unsigned long n = 1; n <= 4; n++)
		sim_spawn("thread", come_and_go, (void *)n);
	sim_settle();
	tear_down();
}
#endif

/* The same while a bind copies it: nothing that the bind holds keeps the table. */
EXPLORE(munmap_against_a_bind_that_copies_a_new_slot)
{
	set_up();
	beside = test_dev_beside(dev);
	sim_touch(mm, PAGE(1), true);
	unmap_beside_a_bind();
}

EXPLORE(munmap_against_bind)
{
	dev = test_dev();
	beside = test_dev_beside(dev);
	mm = test_mm();
	sim_touch(mm, PAGE(1), true);
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	touch_by_dma(NULL);
	unmap_beside_a_bind();
}

EXPLORE(munmap_against_unbind)
{
	set_up();
	sim_touch(mm, PAGE(1), true);
	ask(0, PAGE(1));
	sim_settle();
	touch_by_dma(NULL);
	sim_spawn("unbind", unbind, sva);
	sim_spawn("munmap", unmap, NULL);
	sim_settle();
	mmput(mm);
}

/* Reclaim looks at an mm while its last user goes. */
static void reclaim(void *arg)
{
	spin_lock(&mm->page_table_lock);
	sim_invalidate(mm, BASE, PAGE(4));
	spin_unlock(&mm->page_table_lock);
}

EXPLORE(reclaim_against_exit)
{
	pgd_t *root;

	set_up();
	sim_touch(mm, PAGE(1), true);
	ask(0, PAGE(1));
	sim_settle();
	root = vendor_root(dev, pasid);
	mmgrab(mm);
	sim_spawn("exit", put, mm);
	sim_spawn("reclaim", reclaim, NULL);
	sim_settle();
	for (unsigned int i = 0; root != mm->pgd && i < PTRS_PER_PGD; i++)
		SIM_CHECK(!root[i].pgd);
	mmdrop(mm);
	iommu_sva_unbind_device(sva);
}

static vm_fault_t fail_second_page(struct vm_area_struct *vma, unsigned long addr,
				   unsigned int flags)
{
	return addr == PAGE(2) ? VM_FAULT_SIGBUS : sim_fault_map(vma, addr, flags);
}

EXPLORE(overflow_against_service)
{
	set_up();
	mm->fault = fail_second_page;
	ask_twice(NULL);
	vendor_send(dev, pasid, 5, PAGE(2), READ, false);
	iopf_queue_discard_partial(dev->iommu->queue);
	ask(5, PAGE(1));
	all_answered();
	SIM_EQ(requests[2]->code, SUCCESS);
	tear_down();
}

/* Everything at once */

static vm_fault_t sometimes_slow(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	if (!sim_random(4)) {
		sim_fault_unlocked(vma, flags, 0);
		sim_point("slow fault");
		sim_point("slow fault");
		return VM_FAULT_RETRY;
	}
	return sim_fault_map(vma, addr, flags);
}

static void storm_device(void *arg)
{
	struct vendor_dev *of = arg;

	for (u32 i = 0; i < 6; i++) {
		if (sim_random(3))
			vendor_send(of, 1 + sim_random(3), sim_random(2), PAGE(sim_random(4)), READ,
				    false);
		vendor_ask(of, 1 + sim_random(3), sim_random(2), PAGE(sim_random(PAGES + 1)));
		vendor_dma(of, 1 + sim_random(3), PAGE(sim_random(4)), sim_random(2));
	}
}

static void storm_process(void *arg)
{
	struct mm_struct *of = test_mm();

	of->fault = sometimes_slow;
	for (u32 i = 0; i < 3; i++) {
		struct iommu_sva *bond = iommu_sva_bind_device(dev_of(sim_random(2) ? dev : beside),
							       of);

		SIM_CHECK(!IS_ERR(bond));
		switch (sim_random(4)) {
		case 0:
			sim_munmap(of, BASE);
			vendor_check_stale(of, BASE, PAGE(PAGES));
			sim_mmap(of, BASE, PAGES, VM_READ | VM_WRITE);
			break;
		case 1:
			sim_zap(of, PAGE(0), PAGE(3));
			break;
		case 2:
			iopf_drain_pasid(dev_of(dev), iommu_sva_get_pasid(bond));
			break;
		}
		if (i == 2)
			mmput(of);
		iommu_sva_unbind_device(bond);
	}
}

SHAKE(storm_of_processes_and_devices)
{
	dev = test_dev();
	beside = sim_random(2) ? test_dev_beside(dev) : test_dev();
	for (unsigned int i = 0; i < 3; i++)
		sim_spawn("process", storm_process, NULL);
	sim_spawn("device", storm_device, dev);
	sim_spawn("device", storm_device, beside);
	sim_settle();
}

SHAKE(storm_with_removals)
{
	set_up();
	beside = test_dev_beside(dev);
	mm->fault = sometimes_slow;
	sim_spawn("device", ask_twice, NULL);
	sim_spawn("drain", drain, NULL);
	sim_spawn("bind", bind_beside, NULL);
	sim_spawn("munmap", unmap, NULL);
	sim_spawn("removal", remove_at_once, NULL);
	sim_spawn("exit", put, mm);
	sim_settle();
	iommu_sva_unbind_device(sva);
}
