// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two or more at the same time: binds, unbinds and invalidations
 *
 * Also that processes which have nothing to do with each other do not wait for each other.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched.h>

#ifdef CONFIG_X86
#include <asm/hardirq.h>
#endif

#include "sva_stage.h"
#if SVA_CORE
#include "../iommu-sva-priv.h"
#endif

static void unbind_scene(struct sva_scene *scene)
{
	iommu_sva_unbind_device(scene->sva);
}

static bool domains_become(struct soft_iommu *iommu, unsigned int nr)
{
	return sva_becomes(soft_iommu_domains(iommu) == nr);
}

/* Invalidations while devices come and go */

struct unmapper {
	struct kunit *test;
	struct sva_proc *proc;
	unsigned long addr;
	struct sva_count *invalidated;
	bool called;
};

static int unmap_here(const struct soft_iommu_event *event, void *data)
{
	struct unmapper *unmapper = data;
	int before = sva_counted(unmapper->invalidated);

	if (unmapper->called)
		return 0;
	unmapper->called = true;
	KUNIT_EXPECT_EQ(unmapper->test,
			sva_proc_munmap(unmapper->proc, unmapper->addr, PAGE_SIZE), 0L);
	KUNIT_EXPECT_GT(unmapper->test, sva_counted(unmapper->invalidated), before);
	return 0;
}

static struct unmapper *unmap_at(struct kunit *test, enum soft_iommu_point point,
				 struct sva_proc *proc, unsigned long addr)
{
	struct unmapper *unmapper = kunit_kzalloc(test, sizeof(*unmapper), GFP_KERNEL);
	struct sva_fixture *fix = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, unmapper);
	unmapper->test = test;
	unmapper->proc = proc;
	unmapper->addr = addr;
	unmapper->invalidated = sva_count(test, fix->iommu, SOFT_AT_INVALIDATE, NULL);
	soft_iommu_set_hook(fix->iommu, point, unmap_here, unmapper);
	return unmapper;
}

/* The domain is on the list before anything can be cached through it. */
static void invalidation_reaches_a_domain_before_its_first_attach(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	unsigned long addr = sva_proc_map(proc, 2 * PAGE_SIZE);
	struct unmapper *unmapper;
	struct iommu_sva *sva;

	sva_poke(test, proc, addr, 1);
	sva_poke(test, proc, addr + PAGE_SIZE, 2);
	unmapper = unmap_at(test, SOFT_AT_SET_PASID, proc, addr);
	sva = sva_bind(test, fix->ep[0], proc);
	KUNIT_EXPECT_TRUE(test, unmapper->called);
	SVA_EXPECT_REFUSED(test, fix->ep[0], iommu_sva_get_pasid(sva), addr);
	SVA_EXPECT_READS(test, fix->ep[0], iommu_sva_get_pasid(sva), addr + PAGE_SIZE, 2);
	iommu_sva_unbind_device(sva);
}

static void invalidation_reaches_a_domain_that_gets_a_second_device(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 2);
	struct unmapper *unmapper;
	struct iommu_sva *other;

	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	unmapper = unmap_at(test, SOFT_AT_SET_PASID, scene.proc, scene.addr);
	other = sva_bind(test, fix->ep[1], scene.proc);
	KUNIT_EXPECT_TRUE(test, unmapper->called);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, scene.addr);
	SVA_EXPECT_REFUSED(test, fix->ep[1], scene.pasid, scene.addr);
	unbind_scene(&scene);
	iommu_sva_unbind_device(other);
}

/* It leaves the list only when the device can no longer use what it has cached. */
static void invalidation_reaches_a_domain_until_its_last_detach(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 2);
	struct unmapper *unmapper;

	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	unmapper = unmap_at(test, SOFT_AT_REMOVE_PASID, scene.proc, scene.addr);
	unbind_scene(&scene);
	KUNIT_EXPECT_TRUE(test, unmapper->called);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, scene.addr);
}

/* With one PASID to give, the next bond has the number of the last one. */
static void unbind_leaves_nothing_in_the_caches(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 1 };
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = sva_add_endpoint(test, fix->iommu, &config, true);
	struct sva_scene scene = sva_scene(test, ep, 4);
	struct iommu_sva *again;

	for (int i = 0; i < 4; i++)
		SVA_EXPECT_READS(test, ep, 1, scene.addr + i * PAGE_SIZE, sva_mark(i));
	unbind_scene(&scene);
	/* No invalidation comes of this: no device is bound. */
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(scene.proc, scene.addr, 4 * PAGE_SIZE,
					       MADV_DONTNEED), 0L);
	again = sva_bind(test, ep, scene.proc);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(again), 1U);
	for (int i = 0; i < 4; i++)
		SVA_EXPECT_READS(test, ep, 1, scene.addr + i * PAGE_SIZE, 0);
	iommu_sva_unbind_device(again);
}

/* Waiting */

/* @stuck hangs at @hold. Meanwhile @proc binds @ep, uses it and unbinds; then @stuck ends, too. */
static void visit_during(struct kunit *test, struct sva_hold *hold, struct sva_job *stuck,
			 struct soft_endpoint *ep, struct sva_proc *proc)
{
	struct sva_job *visit;

	KUNIT_EXPECT_TRUE(test, sva_hold_caught(hold));
	visit = sva_job_visit(test, ep, proc);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(visit));

	sva_hold_release(hold);
	KUNIT_EXPECT_EQ(test, sva_job_wait(stuck), 0L);
	KUNIT_EXPECT_EQ(test, sva_job_wait(visit), 0L);
}

/* Bind and unbind of one process hang in a vendor driver; other processes do not notice. */
static void bind_does_not_wait(struct kunit *test, enum soft_iommu_point point, bool unbinding)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *slow = sva_proc_start(test), *other = sva_proc_start(test);
	struct iommu_sva *sva = unbinding ? sva_bind(test, fix->ep[0], slow) : NULL;
	struct sva_hold *hold = sva_hold(test, fix->iommu, point, fix->dev[0]);
	struct sva_job *stuck;

	if (unbinding)
		stuck = sva_job_unbind(test, sva);
	else
		stuck = sva_job_visit(test, fix->ep[0], slow);
	visit_during(test, hold, stuck, fix->ep[1], other);
}

static void nobody_waits_for_the_bind_of_another_process(struct kunit *test)
{
	bind_does_not_wait(test, SOFT_AT_SET_PASID, false);
}

static void nobody_waits_for_the_domain_of_another_process(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_iommu *iommu = sva_add_iommu(test, NULL);
	struct soft_endpoint *far = sva_add_endpoint(test, iommu, &config, true);
	struct sva_proc *slow = sva_proc_start(test), *other = sva_proc_start(test);
	struct sva_fixture *fix = test->priv;
	struct sva_hold *hold = sva_hold(test, iommu, SOFT_AT_DOMAIN_ALLOC, NULL);
	struct sva_job *stuck = sva_job_visit(test, far, slow);

	visit_during(test, hold, stuck, fix->ep[0], other);
}

static void nobody_waits_for_the_unbind_of_another_process(struct kunit *test)
{
	bind_does_not_wait(test, SOFT_AT_REMOVE_PASID, true);
}

#if SVA_CORE
/* A second device is being bound, or unbound; the first bond has one more user meanwhile. */
static void sharing_does_not_wait(struct kunit *test, enum soft_iommu_point point, bool unbinding)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct iommu_sva *sva = sva_bind(test, fix->ep[0], proc);
	struct iommu_sva *other = unbinding ? sva_bind(test, fix->ep[1], proc) : NULL;
	struct sva_hold *hold = sva_hold(test, fix->iommu, point, fix->dev[1]);
	struct sva_job *stuck;

	if (unbinding)
		stuck = sva_job_unbind(test, other);
	else
		stuck = sva_job_visit(test, fix->ep[1], proc);
	visit_during(test, hold, stuck, fix->ep[0], proc);
	iommu_sva_unbind_device(sva);
}

static void sharing_a_bond_waits_for_no_bind(struct kunit *test)
{
	sharing_does_not_wait(test, SOFT_AT_SET_PASID, false);
}

static void sharing_a_bond_waits_for_no_unbind(struct kunit *test)
{
	sharing_does_not_wait(test, SOFT_AT_REMOVE_PASID, true);
}
#endif

/* A page that never comes, as from a file server that has died. */
static void nobody_waits_for_a_stuck_fault_of_another_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_proc *other = sva_proc_start(test);
	struct sva_gate *gate = sva_gate(test);
	unsigned long addr = sva_gate_map(gate, scene.proc, PAGE_SIZE);
	struct sva_job *unbind, *near, *far;

	KUNIT_EXPECT_EQ(test, sva_ask(fix->ep[0], scene.pasid, addr, IOMMU_FAULT_PERM_READ, 1), 0);
	KUNIT_EXPECT_TRUE(test, sva_gate_reached(gate, 1));
	unbind = sva_job_unbind(test, scene.sva);
	near = sva_job_visit(test, fix->ep[0], other);
	far = sva_job_visit(test, fix->ep[1], other);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(far));
	KUNIT_EXPECT_TRUE(test, sva_job_ends(near));
	sva_gate_open(gate);
	sva_job_wait(unbind);
	KUNIT_EXPECT_EQ(test, sva_job_wait(near), 0L);
	KUNIT_EXPECT_EQ(test, sva_job_wait(far), 0L);
}

static void unbind_does_not_wait_for_a_stuck_fault(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_gate *gate = sva_gate(test);
	unsigned long addr = sva_gate_map(gate, scene.proc, PAGE_SIZE);
	struct sva_job *unbind;

	KUNIT_EXPECT_EQ(test, sva_ask(fix->ep[0], scene.pasid, addr, IOMMU_FAULT_PERM_READ, 5), 0);
	KUNIT_EXPECT_TRUE(test, sva_gate_reached(gate, 1));
	unbind = sva_job_unbind(test, scene.sva);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	/* The answer is given in the place of the one who serves it. */
	KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, 5, 30000),
			(int)IOMMU_PAGE_RESP_INVALID);
	sva_gate_open(gate);
	sva_job_wait(unbind);
}

/* Many at once */

struct rounds {
	struct soft_endpoint *ep;
	struct sva_proc *proc;
	unsigned long addr;
	unsigned int nr;
};

/* Returns how many rounds went wrong. */
static long bind_in_rounds(void *arg)
{
	struct rounds *rounds = arg;
	long bad = 0;

	for (unsigned int i = 0; i < rounds->nr; i++) {
		struct iommu_sva *sva = iommu_sva_bind_device(soft_endpoint_dev(rounds->ep),
							      sva_proc_mm(rounds->proc));
		u64 value = 0;

		if (IS_ERR(sva)) {
			bad++;
			continue;
		}
		if (soft_dma_read(rounds->ep, iommu_sva_get_pasid(sva), rounds->addr, &value,
				  sizeof(value)) || value != 11)
			bad++;
		iommu_sva_unbind_device(sva);
		cond_resched();
	}
	return bad;
}

static void run_rounds(struct kunit *test, struct rounds *rounds, unsigned int nr)
{
	struct sva_job *job[4];

	for (unsigned int i = 0; i < nr; i++)
		sva_poke(test, rounds[i].proc, rounds[i].addr, 11);
	for (unsigned int i = 0; i < nr; i++)
		job[i] = sva_job(test, bind_in_rounds, &rounds[i]);
	for (unsigned int i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, sva_job_wait(job[i]), 0L);
}

static void one_pair_is_bound_by_many_at_once(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct rounds rounds = { fix->ep[0], proc, sva_proc_map(proc, PAGE_SIZE), 60 };
	struct rounds many[4] = { rounds, rounds, rounds, rounds };

	run_rounds(test, many, 4);
	KUNIT_EXPECT_TRUE(test, domains_become(fix->iommu, 0));
}

static void processes_and_devices_are_bound_at_once(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct rounds many[4];

	for (int i = 0; i < 4; i++) {
		many[i].ep = fix->ep[i % 2];
		many[i].proc = i < 2 ? sva_proc_start(test) : many[i - 2].proc;
		many[i].addr = i < 2 ? sva_proc_map(many[i].proc, PAGE_SIZE) : many[i - 2].addr;
		many[i].nr = 60;
	}
	/* Both processes meet on each device. */
	swap(many[2].ep, many[3].ep);
	run_rounds(test, many, 4);
	KUNIT_EXPECT_TRUE(test, domains_become(fix->iommu, 0));
}

/**
 * struct sibling - a thread that runs while another one binds
 * @thread: the thread
 * @addr: what it writes to
 * @written: its latest value there
 * @pasid: what it finds when it looks for the PASID of its process
 * @stop: it shall end
 */
struct sibling {
	struct sva_proc *thread;
	unsigned long addr;
	u64 written;
	u32 pasid;
	bool stop;
};

/* Where an ENQCMD of a thread finds it that has none yet */
static u32 pasid_of_current(void)
{
	const struct iommu_mm_data *data;

	guard(rcu)();
	data = READ_ONCE(current->mm->iommu_mm);
	return data ? data->pasid : IOMMU_PASID_INVALID;
}

/* Runs in the process. It does not sleep: an interrupt is what would reach it. */
static long write_until_told(void *arg)
{
	unsigned long end = jiffies + 2 * SVA_PATIENCE;
	struct sibling *sibling = arg;

	while (!READ_ONCE(sibling->stop) && time_before(jiffies, end)) {
		u64 next = sibling->written + 1;

		if (copy_to_user((void __user *)sibling->addr, &next, sizeof(next)))
			return -EFAULT;
		WRITE_ONCE(sibling->written, next);
		WRITE_ONCE(sibling->pasid, pasid_of_current());
		cond_resched();
	}
	return 0;
}

static long run_sibling(void *arg)
{
	struct sibling *sibling = arg;

	return sva_proc_call(sibling->thread, write_until_told, sibling);
}

static void start_siblings(struct kunit *test, struct sva_proc *proc, struct sibling *siblings,
			   struct sva_job **jobs, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		siblings[i].thread = sva_proc_thread(proc);
		siblings[i].addr = sva_proc_map(proc, PAGE_SIZE);
		siblings[i].pasid = IOMMU_PASID_INVALID;
		/* One on each CPU: wherever the bind is made, one runs on another. */
		KUNIT_ASSERT_EQ(test, set_cpus_allowed_ptr(sva_proc_task(siblings[i].thread),
							   cpumask_of(i)), 0);
		jobs[i] = sva_job(test, run_sibling, &siblings[i]);
		KUNIT_ASSERT_TRUE(test, sva_becomes(READ_ONCE(siblings[i].written)));
	}
}

static void stop_siblings(struct kunit *test, struct sibling *siblings, struct sva_job **jobs,
			  unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		WRITE_ONCE(siblings[i].stop, true);
	for (unsigned int i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, sva_job_wait(jobs[i]), 0L);
}

static void siblings_run_while_the_process_is_bound(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct sibling *siblings = kunit_kcalloc(test, 2, sizeof(*siblings), GFP_KERNEL);
	struct sva_job *jobs[2];

	KUNIT_ASSERT_NOT_NULL(test, siblings);
	if (num_online_cpus() < 2)
		kunit_skip(test, "no CPU for a sibling");
	start_siblings(test, proc, siblings, jobs, 2);
	for (int round = 0; round < 20; round++) {
		struct iommu_sva *sva = sva_bind(test, fix->ep[round % 2], proc);
		u32 pasid = iommu_sva_get_pasid(sva);

		for (int i = 0; i < 2; i++) {
			u64 seen = 0, before = READ_ONCE(siblings[i].written);

			KUNIT_EXPECT_TRUE(test, sva_becomes(READ_ONCE(siblings[i].pasid) == pasid));
			KUNIT_EXPECT_TRUE(test,
					  sva_becomes(READ_ONCE(siblings[i].written) > before));
			KUNIT_EXPECT_EQ(test, soft_dma_read(fix->ep[round % 2], pasid,
							    siblings[i].addr, &seen, sizeof(seen)),
					0);
			KUNIT_EXPECT_GE(test, seen, before);
		}
		iommu_sva_unbind_device(sva);
		for (int i = 0; i < 2 && !sva_pasid_stays_with_mm(); i++)
			KUNIT_EXPECT_TRUE(test, sva_becomes(READ_ONCE(siblings[i].pasid) ==
							    IOMMU_PASID_INVALID));
	}
	stop_siblings(test, siblings, jobs, 2);
}

#ifdef CONFIG_X86
static void interrupt_nothing(void *info)
{
}

/* Function calls on all CPUs by interrupts, but for those that flush TLBs */
static unsigned int calls_by_interrupt(void)
{
	unsigned int calls = 0;
	int cpu;

	for_each_online_cpu(cpu)
		calls += READ_ONCE(per_cpu(irq_stat, cpu).irq_call_count) -
			 READ_ONCE(per_cpu(irq_stat, cpu).irq_tlb_count);
	return calls;
}

/*
 * A thread that runs finds the PASID when it needs it. Now and then the kernel interrupts a CPU for
 * another reason, and more often during a bind the slower the machine: so one of many sees none.
 */
static void siblings_are_not_interrupted_by_a_bind(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct sibling *siblings = kunit_kcalloc(test, 2, sizeof(*siblings), GFP_KERNEL);
	unsigned int least = UINT_MAX, before = calls_by_interrupt();
	struct sva_job *jobs[2];

	KUNIT_ASSERT_NOT_NULL(test, siblings);
	if (num_online_cpus() < 2)
		kunit_skip(test, "no CPU for a sibling");
	/* These would be seen; more than one, as a flush of TLBs may be counted at that time. */
	for (int i = 0; i < 20; i++)
		on_each_cpu(interrupt_nothing, NULL, true);
	KUNIT_ASSERT_GT(test, calls_by_interrupt(), before);

	start_siblings(test, proc, siblings, jobs, 2);
	for (int round = 0; round < 20 || (least && round < 500); round++) {
		struct iommu_sva *sva;

		before = calls_by_interrupt();
		sva = sva_bind(test, fix->ep[round % 2], proc);
		least = min(least, calls_by_interrupt() - before);
		iommu_sva_unbind_device(sva);
	}
	KUNIT_EXPECT_EQ(test, least, 0);
	stop_siblings(test, siblings, jobs, 2);
}
#endif

#if SVA_CORE && defined(CONFIG_X86_64)
struct drop {
	struct sva_scene scene;
	bool go;
};

static long drop_page(void *arg)
{
	struct drop *drop = arg;

	while (!READ_ONCE(drop->go))
		usleep_range(100, 200);
	return sva_proc_madvise(drop->scene.proc, drop->scene.addr, PAGE_SIZE, MADV_DONTNEED);
}

/*
 * Even if the slots of process and device are the same: the thread that has the lock may have read
 * the one, and not have written the other.
 */
static void invalidation_waits_for_a_slot_that_is_being_copied(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct drop drop = { .scene = sva_scene(test, fix->ep[0], 1) };
	struct io_mm *io_mm = container_of(drop.scene.sva, struct sva_bond, sva)->io_mm;
	struct sva_count *flushes;
	struct sva_job *job;
	int early = 0;

	SVA_EXPECT_READS(test, fix->ep[0], drop.scene.pasid, drop.scene.addr, sva_mark(0));
	flushes = sva_count(test, fix->iommu, SOFT_AT_INVALIDATE, NULL);
	job = sva_job(test, drop_page, &drop);
	scoped_guard(spinlock, &io_mm->root_lock) {
		WRITE_ONCE(drop.go, true);
		for (unsigned int ms = 0; ms < 300 && !early; ms++) {
			mdelay(1);
			early = sva_counted(flushes);
		}
	}
	KUNIT_EXPECT_EQ(test, early, 0);
	KUNIT_EXPECT_EQ(test, sva_job_wait(job), 0);
	KUNIT_EXPECT_GT(test, sva_counted(flushes), 0);
	iommu_sva_unbind_device(drop.scene.sva);
}
#endif

/* References */

static void many_rounds_leave_nothing_behind(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct rounds rounds = { fix->ep[0], proc, sva_proc_map(proc, PAGE_SIZE), 200 };

	run_rounds(test, &rounds, 1);
	KUNIT_EXPECT_TRUE(test, domains_become(fix->iommu, 0));
	KUNIT_EXPECT_EQ(test, soft_iommu_check(fix->iommu), 0U);
}

static struct kunit_case sva_races_cases[] = {
	KUNIT_CASE(invalidation_reaches_a_domain_before_its_first_attach),
	KUNIT_CASE(invalidation_reaches_a_domain_that_gets_a_second_device),
	KUNIT_CASE(invalidation_reaches_a_domain_until_its_last_detach),
	KUNIT_CASE(unbind_leaves_nothing_in_the_caches),
	KUNIT_CASE(nobody_waits_for_the_bind_of_another_process),
	KUNIT_CASE(nobody_waits_for_the_domain_of_another_process),
	KUNIT_CASE(nobody_waits_for_the_unbind_of_another_process),
#if SVA_CORE
	KUNIT_CASE(sharing_a_bond_waits_for_no_bind),
	KUNIT_CASE(sharing_a_bond_waits_for_no_unbind),
#endif
	KUNIT_CASE(nobody_waits_for_a_stuck_fault_of_another_process),
	KUNIT_CASE(unbind_does_not_wait_for_a_stuck_fault),
	KUNIT_CASE(one_pair_is_bound_by_many_at_once),
	KUNIT_CASE(processes_and_devices_are_bound_at_once),
	KUNIT_CASE(siblings_run_while_the_process_is_bound),
#ifdef CONFIG_X86
	KUNIT_CASE(siblings_are_not_interrupted_by_a_bind),
#endif
#if SVA_CORE && defined(CONFIG_X86_64)
	KUNIT_CASE(invalidation_waits_for_a_slot_that_is_being_copied),
#endif
	KUNIT_CASE(many_rounds_leave_nothing_behind),
	{}
};

static struct kunit_suite sva_races_suite = {
	.name = "iommu_sva_races",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_races_cases,
};

kunit_test_suite(sva_races_suite);

MODULE_DESCRIPTION("KUnit tests: bonds of the SVA core that come and go at the same time");
MODULE_LICENSE("GPL");
