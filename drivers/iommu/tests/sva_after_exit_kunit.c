// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bonds that outlive their process: the driver's release, resets, unbind, the PASID's next user
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>

#include "../iommu-priv.h"
#include "sva_exit_kunit.h"

/* The driver's queue is mapped into the process, and its release() unbinds. */

static void unbind_on_release(void *sva)
{
	iommu_sva_unbind_device(sva);
}

static void mapped_queue_goes_with_its_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_gate *queue = sva_gate(test);

	sva_gate_map(queue, scene.proc, PAGE_SIZE);
	sva_gate_on_release(queue, unbind_on_release, scene.sva);
	sva_gate_forget_file(queue);
	sva_proc_exit(scene.proc);
	/* A bond that kept mm_users would keep the mapping, and that the file and so the bond. */
	KUNIT_EXPECT_TRUE(test, sva_gate_file_released(queue));
	KUNIT_EXPECT_TRUE(test, sva_becomes(!soft_iommu_domains(fix->iommu)));
}

static void mapped_queue_goes_with_its_process_during_dma(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	unsigned long mem = sva_proc_map(scene.proc, 64 * PAGE_SIZE);
	struct sva_gate *queue = sva_gate(test);

	sva_gate_map(queue, scene.proc, PAGE_SIZE);
	sva_gate_on_release(queue, unbind_on_release, scene.sva);
	sva_gate_forget_file(queue);
	KUNIT_ASSERT_EQ(test, soft_storm_start(fix->ep[0], scene.pasid, mem, 64 * PAGE_SIZE, true),
			0);
	KUNIT_EXPECT_TRUE(test, sva_becomes(successes(fix->iommu) > 8));
	sva_proc_kill(scene.proc);
	KUNIT_EXPECT_TRUE(test, sva_gate_file_released(queue));
	soft_storm_stop(fix->ep[0]);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, mem);
}

/* After the exit */

/* A device that is reset loses its entries before and gets them again after. May be refused. */
static void reset_device(struct soft_endpoint *ep, struct sva_scene *scene)
{
	struct iommu_domain *domain = scene->sva->handle.domain;
	struct device *dev = soft_endpoint_dev(ep);

	dev_iommu_ops(dev)->remove_dev_pasid(dev, scene->pasid, domain);
	soft_endpoint_reset(ep);
	domain->ops->set_dev_pasid(domain, dev, scene->pasid, NULL);
}

static void reset_after_exit_brings_no_tables_back(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 4);

	touch_all(test, fix->ep[0], &scene, 4);
	sva_proc_exit(scene.proc);
	reset_device(fix->ep[0], &scene);
	expect_gone(test, fix->ep[0], &scene, 4);
	iommu_sva_unbind_device(scene.sva);
}

/* A user of the mm that learns of its end later than the SVA core, while the tables still stand. */
struct late_user {
	struct mmu_notifier notifier;
	struct kunit *test;
	struct sva_scene *scene;
	bool called;
};

static void reset_in_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct late_user *late = container_of(notifier, struct late_user, notifier);
	struct sva_fixture *fix = late->test->priv;

	late->called = true;
	reset_device(fix->ep[0], late->scene);
	expect_gone(late->test, fix->ep[0], late->scene, 4);
}

static const struct mmu_notifier_ops late_user_ops = {
	.release = reset_in_release,
};

static void reset_during_exit_brings_no_tables_back(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = { .proc = sva_proc_start(test) };
	struct late_user *late = kunit_kzalloc(test, sizeof(*late), GFP_KERNEL);
	struct mm_struct *mm = sva_proc_mm(scene.proc);

	KUNIT_ASSERT_NOT_NULL(test, late);
	scene.addr = sva_proc_map(scene.proc, 4 * PAGE_SIZE);
	for (int i = 0; i < 4; i++)
		sva_poke(test, scene.proc, scene.addr + i * PAGE_SIZE, sva_mark(i));
	late->test = test;
	late->scene = &scene;
	late->notifier.ops = &late_user_ops;
	/* The kernel tells the notifier that was registered last first. */
	KUNIT_ASSERT_EQ(test, mmu_notifier_register(&late->notifier, mm), 0);
	scene.sva = sva_bind(test, fix->ep[0], scene.proc);
	scene.pasid = iommu_sva_get_pasid(scene.sva);
	touch_all(test, fix->ep[0], &scene, 4);

	mmgrab(mm);
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_TRUE(test, late->called);
	expect_gone(test, fix->ep[0], &scene, 4);
	mmu_notifier_unregister(&late->notifier, mm);
	iommu_sva_unbind_device(scene.sva);
	mmdrop(mm);
}

static void pasid_meets_nobody_elses_memory(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 1 };
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = sva_add_endpoint(test, fix->iommu, &config, true);
	struct sva_proc *proc = sva_proc_start(test);
	struct sva_scene dies, next;

	if (sva_pasid_stays_with_mm())
		kunit_skip(test, "the fixture keeps the mm, and that the PASID");
	dies = sva_scene(test, ep, 4);
	touch_all(test, ep, &dies, 4);
	sva_proc_exit(dies.proc);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(iommu_sva_bind_device(soft_endpoint_dev(ep),
								    sva_proc_mm(proc))), -ENOSPC);
	iommu_sva_unbind_device(dies.sva);
	KUNIT_ASSERT_TRUE(test, sva_pasids_free(test, ep, 1));
	next = sva_scene(test, ep, 8);
	KUNIT_EXPECT_EQ(test, next.pasid, dies.pasid);
	touch_all(test, ep, &next, 8);
	iommu_sva_unbind_device(next.sva);
}

/* Requests that came after the exit and are still out when the bond goes. */
static void unbind_after_exit_answers_everything(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);

	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, ask_partial(fix->ep[0], scene.pasid, scene.addr, 30), 0);
	for (int i = 0; i < 6; i++)
		KUNIT_EXPECT_EQ(test, ask(fix->ep[0], scene.pasid, scene.addr, i), 0);
	iommu_sva_unbind_device(scene.sva);
	for (int i = 0; i < 6; i++)
		KUNIT_EXPECT_EQ(test, soft_pri_wait(fix->ep[0], scene.pasid, i, ANSWER_MS),
				INVALID);
	KUNIT_EXPECT_EQ(test, soft_iommu_check(fix->iommu), 0U);
	KUNIT_EXPECT_TRUE(test, sva_becomes(!soft_iommu_domains(fix->iommu)));
}

static void bond_of_the_dead_counts_its_users(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct iommu_sva *again = sva_bind(test, fix->ep[0], scene.proc);

	sva_proc_exit(scene.proc);
	iommu_sva_unbind_device(again);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(scene.sva), scene.pasid);
	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 1U);
	expect_gone(test, fix->ep[0], &scene, 1);
	iommu_sva_unbind_device(scene.sva);
}

static void many_processes_come_and_go(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;

	for (int i = 0; i < 20; i++) {
		struct sva_scene scene = sva_scene(test, fix->ep[i % 2], 4);

		touch_all(test, fix->ep[i % 2], &scene, 4);
		if (i % 3)
			sva_proc_exit(scene.proc);
		else
			sva_proc_kill(scene.proc);
		expect_gone(test, fix->ep[i % 2], &scene, 4);
		iommu_sva_unbind_device(scene.sva);
	}
	KUNIT_EXPECT_TRUE(test, sva_becomes(!soft_iommu_domains(fix->iommu)));
}

static struct kunit_case sva_after_exit_cases[] = {
	KUNIT_CASE(mapped_queue_goes_with_its_process),
	KUNIT_CASE(mapped_queue_goes_with_its_process_during_dma),
	KUNIT_CASE(reset_after_exit_brings_no_tables_back),
	KUNIT_CASE(reset_during_exit_brings_no_tables_back),
	KUNIT_CASE(pasid_meets_nobody_elses_memory),
	KUNIT_CASE(unbind_after_exit_answers_everything),
	KUNIT_CASE(bond_of_the_dead_counts_its_users),
	KUNIT_CASE(many_processes_come_and_go),
	{}
};

static struct kunit_suite sva_after_exit_suite = {
	.name = "iommu_sva_after_exit",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_after_exit_cases,
};

kunit_test_suite(sva_after_exit_suite);

SVA_CONFORM_SUITE(sva_after_exit, sva_fixture_init, sva_stage_exit,
		  SVA_CONFORM_CASE(mapped_queue_goes_with_its_process),
		  SVA_CONFORM_CASE(reset_after_exit_brings_no_tables_back),
		  SVA_CONFORM_CASE(reset_during_exit_brings_no_tables_back),
		  SVA_CONFORM_CASE(unbind_after_exit_answers_everything),
		  SVA_CONFORM_CASE(bond_of_the_dead_counts_its_users));

MODULE_DESCRIPTION("KUnit tests: bonds of the SVA core whose process is gone");
MODULE_LICENSE("GPL");
