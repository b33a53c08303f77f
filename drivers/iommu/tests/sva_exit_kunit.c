// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exit of a process that devices use, in each phase of what they do
 *
 * What must hold: no device translates through the tables of the dead, requests are refused
 * without a log line, nothing sleeps or is waited for, the PASID stays until unbind, the other
 * processes notice nothing.
 */
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/vmalloc.h>

#include "sva_exit_kunit.h"
#if SVA_CORE
#include "../iommu-sva-priv.h"
#endif

static unsigned int granted(struct soft_endpoint *ep, u32 pasid, unsigned long addr)
{
	return soft_ats_translate(ep, pasid, addr, IOMMU_FAULT_PERM_READ);
}

/* Phases */

static void exit_before_the_first_dma(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 2);

	sva_proc_exit(scene.proc);
	expect_gone(test, fix->ep[0], &scene, 2);
	iommu_sva_unbind_device(scene.sva);
}

static void exit_with_translations_cached(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 16);
	u64 value;

	touch_all(test, fix->ep[0], &scene, 16);
	/* Untranslated requests, too: they hit the IOTLB where the others hit the ATC. */
	KUNIT_EXPECT_EQ(test, soft_dma_untranslated(fix->ep[0], scene.pasid, scene.addr, false,
						    &value, sizeof(value)), 0);
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, soft_dma_untranslated(fix->ep[0], scene.pasid, scene.addr, false,
						    &value, sizeof(value)), -EFAULT);
	expect_gone(test, fix->ep[0], &scene, 16);
	iommu_sva_unbind_device(scene.sva);
}

static void kill_with_translations_cached(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 16);

	touch_all(test, fix->ep[0], &scene, 16);
	sva_proc_kill(scene.proc);
	expect_gone(test, fix->ep[0], &scene, 16);
	iommu_sva_unbind_device(scene.sva);
}

static void end_in_a_storm(struct kunit *test, bool write, void (*end)(struct sva_proc *proc))
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	unsigned long fresh = sva_proc_map(scene.proc, 256 * PAGE_SIZE);

	KUNIT_ASSERT_EQ(test, soft_storm_start(fix->ep[0], scene.pasid, fresh, 256 * PAGE_SIZE,
					       write), 0);
	/* It is on its way when pages have come by page requests. */
	KUNIT_EXPECT_TRUE(test, sva_becomes(successes(fix->iommu) > 8));
	end(scene.proc);
	expect_gone(test, fix->ep[0], &scene, 1);
	soft_storm_stop(fix->ep[0]);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, fresh);
	iommu_sva_unbind_device(scene.sva);
}

static void exit_while_a_device_reads(struct kunit *test)
{
	end_in_a_storm(test, false, sva_proc_exit);
}

static void exit_while_a_device_writes(struct kunit *test)
{
	end_in_a_storm(test, true, sva_proc_exit);
}

static void kill_while_a_device_writes(struct kunit *test)
{
	end_in_a_storm(test, true, sva_proc_kill);
}

/* The worker's reference is the last one to the mm; the fault ends, then the mm does. */
static void kill_while_a_fault_is_served(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_gate *gate = sva_gate(test);
	unsigned long addr = sva_gate_map(gate, scene.proc, PAGE_SIZE);
	struct sva_job *killed;

	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, addr, 1), 0);
	KUNIT_EXPECT_TRUE(test, sva_gate_reached(gate, 1));
	killed = sva_job_kill(test, scene.proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_proc_has_left(scene.proc)));
	sva_gate_open(gate);
	KUNIT_EXPECT_GE(test, soft_pri_wait(fix->ep[0], scene.pasid, 1, ANSWER_MS), 0);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(killed));
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, addr);
	iommu_sva_unbind_device(scene.sva);
}

/* More than there are workers: some are served, some wait, until a worker refuses them. */
static void kill_while_faults_wait_their_turn(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_gate *gate = sva_gate(test);
	unsigned long addr = sva_gate_map(gate, scene.proc, 12 * PAGE_SIZE);
	struct sva_job *killed;

	for (int i = 0; i < 12; i++)
		KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, addr + i * PAGE_SIZE, i), 0);
	KUNIT_EXPECT_TRUE(test, sva_gate_reached(gate, 1));
	killed = sva_job_kill(test, scene.proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_proc_has_left(scene.proc)));
	KUNIT_EXPECT_GE(test, soft_pri_outstanding(fix->ep[0]), 1U);
	sva_gate_open(gate);
	for (int i = 0; i < 12; i++)
		KUNIT_EXPECT_GE(test, soft_pri_wait(fix->ep[0], scene.pasid, i, ANSWER_MS), 0);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(killed));
	KUNIT_EXPECT_EQ(test, soft_pri_outstanding(fix->ep[0]), 0U);
	iommu_sva_unbind_device(scene.sva);
}

static void exit_with_a_request_in_the_ring(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);

	soft_iommu_hold_prq(fix->iommu, true);
	for (int i = 0; i < 5; i++)
		KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr, i), 0);
	sva_proc_exit(scene.proc);
	soft_iommu_hold_prq(fix->iommu, false);
	for (int i = 0; i < 5; i++)
		KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, i, ANSWER_MS),
				INVALID);
	iommu_sva_unbind_device(scene.sva);
}

/* Success has left the core but not reached the device when the pages go. */
static void exit_with_a_response_on_its_way(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_count *answered = sva_count(test, fix->iommu, SOFT_AT_RESPONSE, NULL);

	soft_iommu_hold_responses(fix->iommu, true);
	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr, 3), 0);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_counted(answered) == 1));
	sva_proc_exit(scene.proc);
	soft_iommu_hold_responses(fix->iommu, false);
	KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, 3, ANSWER_MS), SUCCESS);
	expect_gone(test, fix->ep[0], &scene, 1);
	iommu_sva_unbind_device(scene.sva);
}

/* A worker is just answering: exit does not wait for it, nor it for exit. */
static void exit_while_a_response_is_sent(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_hold *hold = sva_hold(test, fix->iommu, SOFT_AT_RESPONSE, fix->dev[0]);
	struct sva_job *exited;

	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr, 3), 0);
	KUNIT_EXPECT_TRUE(test, sva_hold_caught(hold));
	exited = sva_job_exit(test, scene.proc);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(exited));
	sva_hold_release(hold);
	KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, 3, ANSWER_MS), SUCCESS);
	iommu_sva_unbind_device(scene.sva);
}

/* The PRQ thread has a request in its hands. */
static void exit_while_a_request_is_reported(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_hold *hold = sva_hold(test, fix->iommu, SOFT_AT_REPORT, fix->dev[0]);

	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr, 9), 0);
	KUNIT_EXPECT_TRUE(test, sva_hold_caught(hold));
	sva_proc_exit(scene.proc);
	sva_hold_release(hold);
	KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, 9, ANSWER_MS), INVALID);
	iommu_sva_unbind_device(scene.sva);
}

/* A partial group is in the software when the process goes. */
static void exit_in_the_middle_of_a_group(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 2);

	KUNIT_EXPECT_EQ(test, ask_partial(fix->ep[0], scene.pasid, scene.addr, 4), 0);
	soft_iommu_sync_prq(fix->iommu);
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr + PAGE_SIZE, 4), 0);
	KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, 4, ANSWER_MS), INVALID);
	iommu_sva_unbind_device(scene.sva);
}

/* The process goes while a bind is between its domain and its device. */

struct ender {
	struct kunit *test;
	struct sva_proc *proc;
	struct sva_job *killed;
};

static int kill_here(const struct soft_iommu_event *event, void *data)
{
	struct ender *ender = data;
	struct mm_struct *mm;

	if (ender->killed)
		return 0;
	mm = sva_proc_mm(ender->proc);
	ender->killed = sva_job_kill(ender->test, ender->proc);
	/* Bind and its caller have the last references to mm_users. */
	KUNIT_EXPECT_TRUE(ender->test, sva_becomes(atomic_read(&mm->mm_users) <= 1 + SVA_CORE));
	return 0;
}

static struct ender *kill_at(struct kunit *test, enum soft_iommu_point point,
			     struct sva_proc *proc)
{
	struct ender *ender = kunit_kzalloc(test, sizeof(*ender), GFP_KERNEL);
	struct sva_fixture *fix = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, ender);
	ender->test = test;
	ender->proc = proc;
	soft_iommu_set_hook(fix->iommu, point, kill_here, ender);
	return ender;
}

static void kill_during_bind(struct kunit *test, enum soft_iommu_point point)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	unsigned long addr = sva_proc_map(proc, PAGE_SIZE);
	struct mm_struct *mm = sva_proc_mm(proc);
	struct ender *ender;
	struct iommu_sva *sva;

	sva_poke(test, proc, addr, 1);
	ender = kill_at(test, point, proc);
	KUNIT_ASSERT_TRUE(test, mmget_not_zero(mm));
	sva = iommu_sva_bind_device(fix->dev[0], mm);
	mmput(mm);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sva);
	KUNIT_ASSERT_NOT_NULL(test, ender->killed);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(ender->killed));
	SVA_EXPECT_REFUSED(test, fix->ep[0], iommu_sva_get_pasid(sva), addr);
	iommu_sva_unbind_device(sva);
}

static void kill_before_the_domain_is_made(struct kunit *test)
{
	kill_during_bind(test, SOFT_AT_DOMAIN_ALLOC);
}

static void kill_between_domain_and_attach(struct kunit *test)
{
	kill_during_bind(test, SOFT_AT_SET_PASID);
}

static void kill_while_a_second_device_is_bound(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 4);
	struct mm_struct *mm = sva_proc_mm(scene.proc);
	struct ender *ender = kill_at(test, SOFT_AT_SET_PASID, scene.proc);
	struct iommu_sva *other;

	touch_all(test, fix->ep[0], &scene, 4);
	KUNIT_ASSERT_TRUE(test, mmget_not_zero(mm));
	other = iommu_sva_bind_device(fix->dev[1], mm);
	mmput(mm);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(ender->killed));
	expect_gone(test, fix->ep[0], &scene, 4);
	expect_gone(test, fix->ep[1], &scene, 4);
	iommu_sva_unbind_device(scene.sva);
	if (!IS_ERR(other))
		iommu_sva_unbind_device(other);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(other), 0);
}

/* Unbind stops at @point until the process is gone. */
static void exit_during_unbind(struct kunit *test, enum soft_iommu_point point)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 4);
	struct sva_hold *hold;
	struct sva_job *unbind, *exited;

	touch_all(test, fix->ep[0], &scene, 4);
	hold = sva_hold(test, fix->iommu, point, fix->dev[0]);
	unbind = sva_job_unbind(test, scene.sva);
	KUNIT_EXPECT_TRUE(test, sva_hold_caught(hold));
	exited = sva_job_exit(test, scene.proc);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(exited));
	expect_gone(test, fix->ep[0], &scene, 4);
	sva_hold_release(hold);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	expect_gone(test, fix->ep[0], &scene, 4);
}

static void exit_while_unbind_detaches(struct kunit *test)
{
	exit_during_unbind(test, SOFT_AT_REMOVE_PASID);
}

#if SVA_CORE
static void exit_while_unbind_drains(struct kunit *test)
{
	exit_during_unbind(test, SOFT_AT_DRAIN);
}
#endif

/* What the others notice */

static void exit_leaves_other_processes_alone(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene dies = sva_scene(test, fix->ep[0], 4);
	struct sva_scene lives = sva_scene(test, fix->ep[0], 4);
	struct soft_iommu_stats before, after;

	touch_all(test, fix->ep[0], &dies, 4);
	touch_all(test, fix->ep[0], &lives, 4);
	sva_proc_exit(dies.proc);
	soft_iommu_read_stats(fix->iommu, &before);
	touch_all(test, fix->ep[0], &lives, 4);
	soft_iommu_read_stats(fix->iommu, &after);
	/* Not even its translations were thrown away. */
	KUNIT_EXPECT_EQ(test, after.atc_hits - before.atc_hits, 4ULL);
	KUNIT_EXPECT_EQ(test, after.ats_requests, before.ats_requests);
	expect_gone(test, fix->ep[0], &dies, 4);
	iommu_sva_unbind_device(dies.sva);
	touch_all(test, fix->ep[0], &lives, 4);
	iommu_sva_unbind_device(lives.sva);
}

static void exit_leaves_the_dma_of_others_alone(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene lives = sva_scene(test, fix->ep[1], 1);
	unsigned long mem = sva_proc_map(lives.proc, 64 * PAGE_SIZE);
	u64 before;

	KUNIT_ASSERT_EQ(test, soft_storm_start(fix->ep[1], lives.pasid, mem, 64 * PAGE_SIZE, true),
			0);
	for (int i = 0; i < 5; i++) {
		struct sva_scene dies = sva_scene(test, fix->ep[0], 4);

		touch_all(test, fix->ep[0], &dies, 4);
		sva_proc_kill(dies.proc);
		expect_gone(test, fix->ep[0], &dies, 4);
		/* It goes on, as far as to ask for all of its pages anew. */
		before = successes(fix->iommu);
		KUNIT_EXPECT_EQ(test, sva_proc_madvise(lives.proc, mem, 64 * PAGE_SIZE,
						       MADV_DONTNEED), 0L);
		KUNIT_EXPECT_TRUE(test, sva_becomes(successes(fix->iommu) >= before + 64));
		iommu_sva_unbind_device(dies.sva);
	}
	KUNIT_EXPECT_TRUE(test, sva_becomes(soft_storm_done(fix->ep[1]) >= 5 * 64));
	soft_storm_stop(fix->ep[1]);
	SVA_EXPECT_READS(test, fix->ep[1], lives.pasid, lives.addr, sva_mark(0));
	iommu_sva_unbind_device(lives.sva);
}

static void exit_of_a_child_leaves_its_parent_alone(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene parent = sva_scene(test, fix->ep[0], 4);
	struct sva_proc *child = sva_proc_fork(parent.proc);
	struct iommu_sva *sva = sva_bind(test, fix->ep[0], child);
	u32 pasid = iommu_sva_get_pasid(sva);

	SVA_EXPECT_READS(test, fix->ep[0], pasid, parent.addr, sva_mark(0));
	sva_proc_exit(child);
	SVA_EXPECT_REFUSED(test, fix->ep[0], pasid, parent.addr);
	touch_all(test, fix->ep[0], &parent, 4);
	iommu_sva_unbind_device(sva);
	touch_all(test, fix->ep[0], &parent, 4);
	iommu_sva_unbind_device(parent.sva);
}

static void exit_reaches_every_iommu(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct sva_fixture *fix = test->priv;
	struct soft_iommu *iommu = sva_add_iommu(test, NULL);
	struct soft_endpoint *far = sva_add_endpoint(test, iommu, &config, true);
	struct sva_scene scene = sva_scene(test, fix->ep[0], 4);
	struct iommu_sva *bond[2] = {
		sva_bind(test, fix->ep[1], scene.proc),
		sva_bind(test, far, scene.proc)
	};

	touch_all(test, fix->ep[0], &scene, 4);
	touch_all(test, fix->ep[1], &scene, 4);
	touch_all(test, far, &scene, 4);
	sva_proc_exit(scene.proc);
	expect_gone(test, fix->ep[0], &scene, 4);
	expect_gone(test, fix->ep[1], &scene, 4);
	expect_gone(test, far, &scene, 4);
	iommu_sva_unbind_device(bond[0]);
	iommu_sva_unbind_device(bond[1]);
	iommu_sva_unbind_device(scene.sva);
}

/* Answers after the exit */

static void translation_requests_are_granted_nothing(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);

	KUNIT_EXPECT_NE(test, granted(fix->ep[0], scene.pasid, scene.addr), 0U);
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, granted(fix->ep[0], scene.pasid, scene.addr), 0U);
	iommu_sva_unbind_device(scene.sva);
}

static void page_requests_are_answered_invalid_request(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);

	sva_proc_exit(scene.proc);
	for (int i = 0; i < 40; i++) {
		KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr, i), 0);
		KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, i, ANSWER_MS),
				INVALID);
	}
	iommu_sva_unbind_device(scene.sva);
}

/* What a device does after the exit of a process is no driver's mistake. */
static void nothing_is_logged_before_unbind(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	unsigned int lines;
	u64 value;

	/* That a line would be seen. */
	lines = sva_log_lines(test, fix->dev[0]);
	dev_info(fix->dev[0], "a line\n");
	KUNIT_EXPECT_EQ(test, sva_log_lines(test, fix->dev[0]), lines + 1);

	lines = sva_log_lines(test, fix->dev[0]);
	sva_proc_exit(scene.proc);
	expect_gone(test, fix->ep[0], &scene, 1);
	KUNIT_EXPECT_EQ(test, soft_dma_untranslated(fix->ep[0], scene.pasid, scene.addr, false,
						    &value, sizeof(value)), -EFAULT);
	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr, 1), 0);
	KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, 1, ANSWER_MS), INVALID);
	iommu_sva_unbind_device(scene.sva);
	KUNIT_EXPECT_EQ(test, sva_log_lines(test, fix->dev[0]), lines);
}

/* What exit does and does not do */

struct release_seen {
	atomic_t calls;
	atomic_t irqs_off;
	struct sva_gate *gate;
	atomic_t after_unmap;
};

static int look_at_release(const struct soft_iommu_event *event, void *data)
{
	struct release_seen *seen = data;

	atomic_inc(&seen->calls);
	if (irqs_disabled())
		atomic_inc(&seen->irqs_off);
	if (seen->gate && sva_gate_is_unmapped(seen->gate))
		atomic_inc(&seen->after_unmap);
	return 0;
}

static struct release_seen *watch_release(struct kunit *test, struct soft_iommu *iommu)
{
	struct release_seen *seen = kunit_kzalloc(test, sizeof(*seen), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, seen);
	soft_iommu_set_hook(iommu, SOFT_AT_RELEASE, look_at_release, seen);
	return seen;
}

/* However many devices: what takes long with interrupts off is waiting for each of them. */
static void release_is_announced_once_with_interrupts_on(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct sva_fixture *fix = test->priv;
	struct soft_iommu_stats before, after;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 4);
	struct release_seen *seen = watch_release(test, fix->iommu);
	struct iommu_sva *bond[6];

	for (int i = 0; i < 6; i++)
		bond[i] = sva_bind(test, sva_add_endpoint(test, fix->iommu, &config, true),
				   scene.proc);
	soft_iommu_read_stats(fix->iommu, &before);
	sva_proc_exit(scene.proc);
	soft_iommu_read_stats(fix->iommu, &after);
	KUNIT_EXPECT_EQ(test, atomic_read(&seen->calls), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&seen->irqs_off), 0);
	/* One wait for all of them. */
	KUNIT_EXPECT_LE(test, after.cmd_wait - before.cmd_wait, 3ULL);
	for (int i = 0; i < 6; i++)
		iommu_sva_unbind_device(bond[i]);
	iommu_sva_unbind_device(scene.sva);
}

static void release_comes_before_the_memory_goes(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct release_seen *seen = watch_release(test, fix->iommu);
	struct sva_gate *gate = sva_gate(test);

	sva_gate_map(gate, scene.proc, PAGE_SIZE);
	seen->gate = gate;
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, atomic_read(&seen->calls), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&seen->after_unmap), 0);
	KUNIT_EXPECT_TRUE(test, sva_gate_unmapped(gate));
	iommu_sva_unbind_device(scene.sva);
}

static void release_is_not_announced_after_unbind(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct release_seen *seen = watch_release(test, fix->iommu);

	iommu_sva_unbind_device(scene.sva);
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, atomic_read(&seen->calls), 0);
}

static void exit_drains_and_detaches_nothing(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_count *drains = sva_count(test, fix->iommu, SOFT_AT_DRAIN, NULL);
	struct sva_count *removes = sva_count(test, fix->iommu, SOFT_AT_REMOVE_PASID, NULL);

	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, sva_counted(drains), 0);
	KUNIT_EXPECT_EQ(test, sva_counted(removes), 0);
	iommu_sva_unbind_device(scene.sva);
	KUNIT_EXPECT_EQ(test, sva_counted(removes), 1);
	/* The exit does not spare unbind the drain: requests may have come since. */
	if (SVA_CORE)
		KUNIT_EXPECT_GE(test, sva_counted(drains), 1);
}

/* Exit of a process does not wait while the PRQ thread is stuck. */
static void exit_does_not_wait_for_the_fault_queue(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_hold *hold = sva_hold(test, fix->iommu, SOFT_AT_REPORT, NULL);
	struct sva_job *exited;

	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr, 1), 0);
	KUNIT_EXPECT_TRUE(test, sva_hold_caught(hold));
	exited = sva_job_exit(test, scene.proc);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(exited));
	sva_hold_release(hold);
	KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, 1, ANSWER_MS), INVALID);
	iommu_sva_unbind_device(scene.sva);
}

static long flush_queue(void *dev)
{
	return iopf_queue_flush_dev(dev);
}

/* The last reference to an mm is a worker's: taking the mm down is not the fault queue's work. */
static void memory_is_not_unmapped_inside_the_fault_queue(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct mm_struct *mm = sva_proc_mm(scene.proc);
	struct sva_gate *gate = sva_gate(test);
	unsigned long addr = sva_gate_map(gate, scene.proc, PAGE_SIZE);
	struct sva_job *killed, *flush;

	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, addr, 1), 0);
	KUNIT_EXPECT_TRUE(test, sva_gate_reached(gate, 1));
	mmgrab(mm);
	killed = sva_job_kill(test, scene.proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(atomic_read(&mm->mm_users) == 1));
	/* The unmapping hangs, as it may in the close() of a driver. */
	sva_gate_hold_unmap(gate);
	sva_gate_open(gate);
	KUNIT_EXPECT_TRUE(test, sva_gate_unmapped(gate));
	flush = sva_job(test, flush_queue, fix->dev[0]);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(flush));
	sva_gate_allow_unmap(gate);
	KUNIT_EXPECT_EQ(test, sva_job_wait(flush), 0L);
	sva_job_wait(killed);
	mmdrop(mm);
	iommu_sva_unbind_device(scene.sva);
}

#if SVA_CORE
/* A worker waits as the process's threads would, and must not keep the memory longer than they. */

struct wait_scene {
	struct sva_scene scene;
	struct sva_gate *gate;
	int users;
};

/* A fault waits for a page that never comes, as one for a charge to a full memory group may. */
static struct wait_scene make_a_worker_wait(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct wait_scene wait = {
		.scene = sva_scene(test, fix->ep[0], 1),
		.gate = sva_gate(test),
	};
	struct mm_struct *mm = sva_proc_mm(wait.scene.proc);
	unsigned long addr = sva_gate_map(wait.gate, wait.scene.proc, PAGE_SIZE);

	sva_gate_let_killed_go(wait.gate);
	wait.users = atomic_read(&mm->mm_users);
	KUNIT_EXPECT_EQ(test, ask(fix->ep[0], wait.scene.pasid, addr, 1), 0);
	KUNIT_EXPECT_TRUE(test, sva_gate_reached(wait.gate, 1));
	KUNIT_EXPECT_GT(test, atomic_read(&mm->mm_users), wait.users);
	return wait;
}

static void fault_in_work_is_aborted_with_its_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct wait_scene wait = make_a_worker_wait(test);
	struct sva_job *killed = sva_job_kill(test, wait.scene.proc);

	/* It ends when the mm has no user any more. */
	KUNIT_EXPECT_TRUE(test, sva_job_ends(killed));
	KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], wait.scene.pasid, 1, ANSWER_MS), INVALID);
	iommu_sva_unbind_device(wait.scene.sva);
}

/* Nor is the worker found from the mm any more, if the OOM killer chooses the process then. */
static void fault_in_work_is_aborted_with_the_last_bond(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct wait_scene wait = make_a_worker_wait(test);
	struct mm_struct *mm = sva_proc_mm(wait.scene.proc);
	struct iommu_sva *again;

	iommu_sva_unbind_device(wait.scene.sva);
	KUNIT_EXPECT_TRUE(test, sva_becomes(atomic_read(&mm->mm_users) <= wait.users));
	/* No signal is left that would end the faults of the next bond. */
	again = sva_bind(test, fix->ep[0], wait.scene.proc);
	SVA_EXPECT_READS(test, fix->ep[0], iommu_sva_get_pasid(again), wait.scene.addr,
			 sva_mark(0));
	iommu_sva_unbind_device(again);
}
#endif

/* Kernel half */

#ifdef CONFIG_X86_64
static unsigned long kernel_slot(unsigned int i)
{
	return -(1UL << (PGDIR_SHIFT + 8)) + ((unsigned long)i << PGDIR_SHIFT);
}

static void kernel_half_is_never_read(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct soft_iommu_stats stats;

	for (unsigned int i = 0; i < PTRS_PER_PGD / 2; i++)
		KUNIT_EXPECT_EQ(test, granted(fix->ep[0], scene.pasid, kernel_slot(i)), 0U);
	sva_proc_exit(scene.proc);
	for (unsigned int i = 0; i < PTRS_PER_PGD / 2; i++)
		KUNIT_EXPECT_EQ(test, granted(fix->ep[0], scene.pasid, kernel_slot(i)), 0U);
	iommu_sva_unbind_device(scene.sva);
	soft_iommu_read_stats(fix->iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.kernel_half_reads, 0ULL);
}

/* vfree() gives page-table pages back without telling any notifier. */
static void freed_kernel_tables_are_never_cached(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct soft_iommu_stats stats;

	for (int i = 0; i < 8; i++) {
		void *mem = vmalloc(64 * PAGE_SIZE);
		unsigned long addr = (unsigned long)mem;

		KUNIT_ASSERT_NOT_NULL(test, mem);
		memset(mem, 1, PAGE_SIZE);
		for (int j = 0; j < 64; j += 8)
			KUNIT_EXPECT_EQ(test, granted(fix->ep[0], scene.pasid,
						      addr + j * PAGE_SIZE), 0U);
		vfree(mem);
		KUNIT_EXPECT_EQ(test, granted(fix->ep[0], scene.pasid, addr), 0U);
	}
	soft_iommu_read_stats(fix->iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.kernel_half_reads, 0ULL);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(scene.sva);
}

#if SVA_CORE
static unsigned int slots_in_use(const pgd_t *root, unsigned int from, unsigned int to)
{
	unsigned int used = 0;

	for (unsigned int i = from; i < to; i++)
		used += !!pgd_val(READ_ONCE(root[i]));
	return used;
}

static void root_is_empty_after_exit(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	const pgd_t *root = iommu_sva_root(scene.sva->handle.domain);

	KUNIT_EXPECT_GT(test, slots_in_use(root, 0, PTRS_PER_PGD / 2), 0U);
	KUNIT_EXPECT_EQ(test, slots_in_use(root, PTRS_PER_PGD / 2, PTRS_PER_PGD), 0U);
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, slots_in_use(root, 0, PTRS_PER_PGD), 0U);
	/* A late invalidation brings nothing back. */
	io_mm_mirror(container_of(scene.sva, struct sva_bond, sva)->io_mm, 0, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, slots_in_use(root, 0, PTRS_PER_PGD), 0U);
	iommu_sva_unbind_device(scene.sva);
}
#endif
#endif /* CONFIG_X86_64 */

static struct kunit_case sva_exit_cases[] = {
	KUNIT_CASE(exit_before_the_first_dma),
	KUNIT_CASE(exit_with_translations_cached),
	KUNIT_CASE(kill_with_translations_cached),
	KUNIT_CASE(exit_while_a_device_reads),
	KUNIT_CASE(exit_while_a_device_writes),
	KUNIT_CASE(kill_while_a_device_writes),
	KUNIT_CASE(kill_while_a_fault_is_served),
	KUNIT_CASE(kill_while_faults_wait_their_turn),
	KUNIT_CASE(exit_with_a_request_in_the_ring),
	KUNIT_CASE(exit_with_a_response_on_its_way),
	KUNIT_CASE(exit_while_a_response_is_sent),
	KUNIT_CASE(exit_while_a_request_is_reported),
	KUNIT_CASE(exit_in_the_middle_of_a_group),
	KUNIT_CASE(kill_before_the_domain_is_made),
	KUNIT_CASE(kill_between_domain_and_attach),
	KUNIT_CASE(kill_while_a_second_device_is_bound),
	KUNIT_CASE(exit_while_unbind_detaches),
#if SVA_CORE
	KUNIT_CASE(exit_while_unbind_drains),
#endif
	KUNIT_CASE(exit_leaves_other_processes_alone),
	KUNIT_CASE(exit_leaves_the_dma_of_others_alone),
	KUNIT_CASE(exit_of_a_child_leaves_its_parent_alone),
	KUNIT_CASE(exit_reaches_every_iommu),
	KUNIT_CASE(translation_requests_are_granted_nothing),
	KUNIT_CASE(page_requests_are_answered_invalid_request),
	KUNIT_CASE(nothing_is_logged_before_unbind),
	KUNIT_CASE(release_is_announced_once_with_interrupts_on),
	KUNIT_CASE(release_comes_before_the_memory_goes),
	KUNIT_CASE(release_is_not_announced_after_unbind),
	KUNIT_CASE(exit_drains_and_detaches_nothing),
	KUNIT_CASE(exit_does_not_wait_for_the_fault_queue),
	KUNIT_CASE(memory_is_not_unmapped_inside_the_fault_queue),
#if SVA_CORE
	KUNIT_CASE(fault_in_work_is_aborted_with_its_process),
	KUNIT_CASE(fault_in_work_is_aborted_with_the_last_bond),
#endif
#ifdef CONFIG_X86_64
	KUNIT_CASE(kernel_half_is_never_read),
	KUNIT_CASE(freed_kernel_tables_are_never_cached),
#if SVA_CORE
	KUNIT_CASE(root_is_empty_after_exit),
#endif
#endif
	{}
};

static struct kunit_suite sva_exit_suite = {
	.name = "iommu_sva_exit",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_exit_cases,
};

kunit_test_suite(sva_exit_suite);

SVA_CONFORM_SUITE(sva_exit, sva_fixture_init, sva_stage_exit,
		  SVA_CONFORM_CASE(exit_before_the_first_dma),
		  SVA_CONFORM_CASE(exit_with_translations_cached),
		  SVA_CONFORM_CASE(exit_while_a_device_writes),
		  SVA_CONFORM_CASE(kill_while_a_fault_is_served),
		  SVA_CONFORM_CASE(kill_while_faults_wait_their_turn),
		  SVA_CONFORM_CASE(exit_with_a_response_on_its_way),
		  SVA_CONFORM_CASE(exit_while_a_response_is_sent),
		  SVA_CONFORM_CASE(exit_in_the_middle_of_a_group),
		  SVA_CONFORM_CASE(exit_leaves_other_processes_alone),
		  SVA_CONFORM_CASE(exit_of_a_child_leaves_its_parent_alone),
		  SVA_CONFORM_CASE(exit_reaches_every_iommu),
		  SVA_CONFORM_CASE(translation_requests_are_granted_nothing),
		  SVA_CONFORM_CASE(page_requests_are_answered_invalid_request),
		  SVA_CONFORM_CASE(nothing_is_logged_before_unbind));

MODULE_DESCRIPTION("KUnit tests: the exit of processes that devices use");
MODULE_LICENSE("GPL");
