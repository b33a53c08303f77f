// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bonds: who may bind, what a bond gives, what is left when it goes or cannot be made
 *
 * Also that processes which have nothing to do with each other do not wait for each other.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/platform_device.h>
#include <linux/sched/mm.h>

#ifdef CONFIG_X86
#include <asm/hardirq.h>
#endif

#include "../iommu-priv.h"
#include "sva_stage.h"

static void unbind_scene(struct sva_scene *scene)
{
	iommu_sva_unbind_device(scene->sva);
}

static bool domains_become(struct soft_iommu *iommu, unsigned int nr)
{
	return sva_becomes(soft_iommu_domains(iommu) == nr);
}

/* The error of a bind that must fail; a bond made by mistake is undone. */
static int bind_error(struct soft_endpoint *ep, struct sva_proc *proc)
{
	struct iommu_sva *sva = iommu_sva_bind_device(soft_endpoint_dev(ep), sva_proc_mm(proc));

	if (IS_ERR(sva))
		return PTR_ERR(sva);
	iommu_sva_unbind_device(sva);
	return 0;
}

/* What a bond gives */

static void bound_device_shares_memory_with_the_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 2);
	u64 value = 7;

	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	KUNIT_EXPECT_EQ(test, soft_dma_write(fix->ep[0], scene.pasid, scene.addr + PAGE_SIZE,
					     &value, sizeof(value)), 0);
	SVA_EXPECT_HOLDS(test, scene.proc, scene.addr + PAGE_SIZE, 7);
	sva_poke(test, scene.proc, scene.addr, 8);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, 8);
	unbind_scene(&scene);
}

/* Neither the device nor the CPU has touched the page before. */
static void bound_device_faults_memory_in(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	unsigned long fresh = sva_proc_map(scene.proc, 3 * PAGE_SIZE);
	char text[] = "across a page boundary";

	KUNIT_EXPECT_EQ(test, soft_dma_write(fix->ep[0], scene.pasid, fresh + PAGE_SIZE - 7,
					     text, sizeof(text)), 0);
	memset(text, 0, sizeof(text));
	KUNIT_EXPECT_EQ(test, sva_proc_read(scene.proc, fresh + PAGE_SIZE - 7, text,
					    sizeof(text)), 0);
	KUNIT_EXPECT_STREQ(test, text, "across a page boundary");
	unbind_scene(&scene);
}

static long bind_current(void *dev)
{
	return (long)iommu_sva_bind_device(dev, current->mm);
}

static void process_binds_itself(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	unsigned long addr = sva_proc_map(proc, PAGE_SIZE);
	struct iommu_sva *sva = (void *)sva_proc_call(proc, bind_current, fix->dev[0]);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sva);
	sva_poke(test, proc, addr, 3);
	SVA_EXPECT_READS(test, fix->ep[0], iommu_sva_get_pasid(sva), addr, 3);
	iommu_sva_unbind_device(sva);
}

static void unbound_device_is_refused(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);

	/* A PASID is good on the devices that are bound, on no other. */
	SVA_EXPECT_REFUSED(test, fix->ep[1], scene.pasid, scene.addr);
	unbind_scene(&scene);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, scene.addr);
	SVA_EXPECT_HOLDS(test, scene.proc, scene.addr, sva_mark(0));
}

static void second_bind_shares_the_bond(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct iommu_sva *again = sva_bind(test, fix->ep[0], scene.proc);

	KUNIT_EXPECT_PTR_EQ(test, again, scene.sva);
	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 1U);
	iommu_sva_unbind_device(again);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(scene.sva), scene.pasid);
	unbind_scene(&scene);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, scene.addr);
}

static void each_bind_needs_its_unbind(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_count *removed = sva_count(test, fix->iommu, SOFT_AT_REMOVE_PASID, NULL);
	const int binds = 50;

	for (int i = 0; i < binds; i++)
		KUNIT_EXPECT_PTR_EQ(test, sva_bind(test, fix->ep[0], scene.proc), scene.sva);
	for (int i = 0; i < binds; i++)
		iommu_sva_unbind_device(scene.sva);
	KUNIT_EXPECT_EQ(test, sva_counted(removed), 0);
	unbind_scene(&scene);
	KUNIT_EXPECT_EQ(test, sva_counted(removed), 1);
}

static void two_devices_share_one_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct iommu_sva *other = sva_bind(test, fix->ep[1], scene.proc);

	KUNIT_EXPECT_PTR_NE(test, other, scene.sva);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(other), scene.pasid);
	SVA_EXPECT_READS(test, fix->ep[1], scene.pasid, scene.addr, sva_mark(0));
	unbind_scene(&scene);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, scene.addr);
	SVA_EXPECT_READS(test, fix->ep[1], scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(other);
}

static void two_processes_share_one_device(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene one = sva_scene(test, fix->ep[0], 1);
	struct sva_scene two = sva_scene(test, fix->ep[0], 1);
	unsigned long addr = 0x10000000;

	KUNIT_EXPECT_NE(test, one.pasid, two.pasid);
	/* The same address means something else in each. */
	sva_proc_map_at(one.proc, addr, PAGE_SIZE);
	sva_proc_map_at(two.proc, addr, PAGE_SIZE);
	sva_poke(test, one.proc, addr, 1);
	sva_poke(test, two.proc, addr, 2);
	SVA_EXPECT_READS(test, fix->ep[0], one.pasid, addr, 1);
	SVA_EXPECT_READS(test, fix->ep[0], two.pasid, addr, 2);
	SVA_EXPECT_READS(test, fix->ep[0], one.pasid, addr, 1);
	unbind_scene(&one);
	SVA_EXPECT_READS(test, fix->ep[0], two.pasid, addr, 2);
	unbind_scene(&two);
}

static void processes_and_devices_in_all_pairs(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene[4];
	struct iommu_sva *other[4];

	for (int i = 0; i < 4; i++) {
		scene[i] = sva_scene(test, fix->ep[0], 1);
		other[i] = sva_bind(test, fix->ep[1], scene[i].proc);
		sva_poke(test, scene[i].proc, scene[i].addr, i);
	}
	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 4U);
	for (int i = 0; i < 4; i++) {
		SVA_EXPECT_READS(test, fix->ep[0], scene[i].pasid, scene[i].addr, i);
		SVA_EXPECT_READS(test, fix->ep[1], scene[i].pasid, scene[i].addr, i);
	}
	for (int i = 0; i < 4; i++) {
		unbind_scene(&scene[i]);
		iommu_sva_unbind_device(other[i]);
	}
}

/* Domains */

static void devices_behind_one_iommu_share_a_domain(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct iommu_sva *other = sva_bind(test, fix->ep[1], scene.proc);

	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 1U);
	KUNIT_EXPECT_PTR_EQ(test, other->handle.domain, scene.sva->handle.domain);
	unbind_scene(&scene);
	iommu_sva_unbind_device(other);
	KUNIT_EXPECT_TRUE(test, domains_become(fix->iommu, 0));
}

static void devices_behind_two_iommus_have_a_domain_each(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct sva_fixture *fix = test->priv;
	struct soft_iommu *iommu = sva_add_iommu(test, NULL);
	struct soft_endpoint *far = sva_add_endpoint(test, iommu, &config, true);
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct iommu_sva *other = sva_bind(test, far, scene.proc);

	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 1U);
	KUNIT_EXPECT_EQ(test, soft_iommu_domains(iommu), 1U);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	SVA_EXPECT_READS(test, far, scene.pasid, scene.addr, sva_mark(0));
	/* An invalidation must reach both. */
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(scene.proc, scene.addr, PAGE_SIZE), 0L);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, scene.addr);
	SVA_EXPECT_REFUSED(test, far, scene.pasid, scene.addr);
	unbind_scene(&scene);
	iommu_sva_unbind_device(other);
}

static void last_unbind_frees_the_domain(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);

	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 1U);
	unbind_scene(&scene);
	KUNIT_EXPECT_TRUE(test, domains_become(fix->iommu, 0));
}

/* -EINVAL is how a domain says that the device needs another one. */
static void device_that_a_domain_does_not_take_gets_its_own(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_count *set = sva_count(test, fix->iommu, SOFT_AT_SET_PASID, fix->dev[1]);
	struct iommu_sva *other;

	set->fail_at = 1;
	set->error = -EINVAL;
	other = sva_bind(test, fix->ep[1], scene.proc);
	KUNIT_EXPECT_EQ(test, sva_counted(set), 2);
	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 2U);
	SVA_EXPECT_READS(test, fix->ep[1], scene.pasid, scene.addr, sva_mark(0));
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(scene.proc, scene.addr, PAGE_SIZE), 0L);
	SVA_EXPECT_REFUSED(test, fix->ep[1], scene.pasid, scene.addr);
	unbind_scene(&scene);
	iommu_sva_unbind_device(other);
}

#if SVA_CORE
/* An error is not a reason to try another domain. */
static void error_of_a_domain_is_final(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_count *set = sva_count(test, fix->iommu, SOFT_AT_SET_PASID, fix->dev[1]);

	set->fail_at = 1;
	set->error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, bind_error(fix->ep[1], scene.proc), -ENOMEM);
	KUNIT_EXPECT_EQ(test, sva_counted(set), 1);
	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 1U);
	SVA_EXPECT_REFUSED(test, fix->ep[1], scene.pasid, scene.addr);
	unbind_scene(&scene);
}
#endif

/* Groups */

static void add_group(struct kunit *test, struct soft_endpoint *ep[], unsigned int nr)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct sva_fixture *fix = test->priv;

	for (unsigned int i = 0; i < nr; i++) {
		ep[i] = sva_add_endpoint(test, fix->iommu, &config, true);
		config.group_of = ep[0];
	}
}

static void members_of_a_group_share_a_bond(struct kunit *test)
{
	struct soft_endpoint *ep[3];
	struct sva_scene scene;
	struct iommu_sva *again;

	add_group(test, ep, 3);
	scene = sva_scene(test, ep[0], 1);
	for (int i = 0; i < 3; i++)
		SVA_EXPECT_READS(test, ep[i], scene.pasid, scene.addr, sva_mark(0));
	again = sva_bind(test, ep[2], scene.proc);
	KUNIT_EXPECT_PTR_EQ(test, again, scene.sva);
	unbind_scene(&scene);
	SVA_EXPECT_READS(test, ep[1], scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(again);
	for (int i = 0; i < 3; i++)
		SVA_EXPECT_REFUSED(test, ep[i], scene.pasid, scene.addr);
}

/* The k-th member can't be attached: those before it are detached again, the others not touched. */
static void fail_member(struct kunit *test, unsigned int k)
{
	struct sva_fixture *fix = test->priv;
	struct sva_count *set, *removed;
	struct soft_endpoint *ep[3];
	struct sva_scene scene;

	add_group(test, ep, 3);
	/* The process has a PASID and a domain already, by another device. */
	scene = sva_scene(test, fix->ep[0], 1);
	set = sva_count(test, fix->iommu, SOFT_AT_SET_PASID, NULL);
	removed = sva_count(test, fix->iommu, SOFT_AT_REMOVE_PASID, NULL);
	set->fail_at = k + 1;
	set->error = -EIO;

	/* Where an error makes the core try a new domain, that one attaches all three. */
	KUNIT_EXPECT_EQ(test, bind_error(ep[0], scene.proc), SVA_CORE ? -EIO : 0);
	if (SVA_CORE) {
		KUNIT_EXPECT_EQ(test, sva_counted(set), k + 1);
		KUNIT_EXPECT_EQ(test, sva_counted(removed), k);
	}
	for (int i = 0; i < 3; i++)
		SVA_EXPECT_REFUSED(test, ep[i], scene.pasid, scene.addr);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	unbind_scene(&scene);
}

static void failure_at_first_member_leaves_none_attached(struct kunit *test)
{
	fail_member(test, 0);
}

static void failure_at_second_member_leaves_none_attached(struct kunit *test)
{
	fail_member(test, 1);
}

static void failure_at_last_member_leaves_none_attached(struct kunit *test)
{
	fail_member(test, 2);
}

/* The same with the first domain of a process: nothing of it is left. */
static void failure_in_a_group_undoes_the_first_bind(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	unsigned long addr = sva_proc_map(proc, PAGE_SIZE);
	struct soft_endpoint *ep[3];

	add_group(test, ep, 3);
	sva_poke(test, proc, addr, 1);
	for (int k = 1; k <= 3; k++) {
		struct sva_count *set = sva_count(test, fix->iommu, SOFT_AT_SET_PASID, NULL);
		struct sva_count *removed = sva_count(test, fix->iommu, SOFT_AT_REMOVE_PASID,
						      NULL);

		set->fail_at = k;
		set->error = -ENODEV;
		KUNIT_EXPECT_EQ(test, bind_error(ep[1], proc), -ENODEV);
		KUNIT_EXPECT_EQ(test, sva_counted(set), k);
		KUNIT_EXPECT_EQ(test, sva_counted(removed), k - 1);
		KUNIT_EXPECT_TRUE(test, domains_become(fix->iommu, 0));
	}
	soft_iommu_set_hook(fix->iommu, SOFT_AT_SET_PASID, NULL, NULL);
	KUNIT_EXPECT_EQ(test, bind_error(ep[1], proc), 0);
}

static void member_without_pasid_does_not_keep_others_from_binding(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *able = sva_add_endpoint(test, fix->iommu, &config, true);
	struct sva_count *set, *removed;
	struct soft_endpoint *plain;
	struct sva_scene scene;

	config = (struct soft_endpoint_config){ .group_of = able };
	plain = sva_add_endpoint(test, fix->iommu, &config, false);
	set = sva_count(test, fix->iommu, SOFT_AT_SET_PASID, soft_endpoint_dev(plain));
	removed = sva_count(test, fix->iommu, SOFT_AT_REMOVE_PASID, soft_endpoint_dev(plain));

	scene = sva_scene(test, able, 1);
	SVA_EXPECT_READS(test, able, scene.pasid, scene.addr, sva_mark(0));
	KUNIT_EXPECT_EQ(test, soft_ats_translate(plain, scene.pasid, scene.addr,
						 IOMMU_FAULT_PERM_READ), 0U);
	unbind_scene(&scene);
	KUNIT_EXPECT_EQ(test, sva_counted(set), 0);
	KUNIT_EXPECT_EQ(test, sva_counted(removed), 0);
}

/* Refusals */

static void device_without_iommu_is_refused(struct kunit *test)
{
	struct platform_device *pdev = platform_device_register_simple("sva-lone", -1, NULL, 0);
	struct sva_proc *proc = sva_proc_start(test);
	struct iommu_sva *sva;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pdev);
	sva = iommu_sva_bind_device(&pdev->dev, sva_proc_mm(proc));
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sva), -ENODEV);
	KUNIT_EXPECT_FALSE(test, mm_valid_pasid(sva_proc_mm(proc)));
	platform_device_unregister(pdev);
}

static void device_without_pasid_is_refused(struct kunit *test)
{
	struct soft_endpoint_config config = { };
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = sva_add_endpoint(test, fix->iommu, &config, false);
	struct sva_proc *proc = sva_proc_start(test);

	/* A base kernel finds no PASID that fits. */
	KUNIT_EXPECT_EQ(test, bind_error(ep, proc), SVA_CORE ? -EOPNOTSUPP : -ENOSPC);
	KUNIT_EXPECT_FALSE(test, mm_valid_pasid(sva_proc_mm(proc)));
}

#if SVA_CORE
static void needs_page_requests(struct kunit *test, const struct soft_endpoint_config *config)
{
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = sva_add_endpoint(test, fix->iommu, config, false);
	struct sva_proc *proc = sva_proc_start(test);

	if (!IS_ENABLED(CONFIG_X86_64))
		kunit_skip(test, "only a root that the core keeps needs page requests");
	KUNIT_EXPECT_EQ(test, bind_error(ep, proc), -EOPNOTSUPP);
	KUNIT_EXPECT_FALSE(test, mm_valid_pasid(sva_proc_mm(proc)));
	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 0U);
}

/* It could not learn of new top-level slots. */
static void device_without_page_requests_is_refused(struct kunit *test)
{
	const struct soft_endpoint_config config = { .pasid_bits = 20, .no_pri = true };

	needs_page_requests(test, &config);
}

static void device_with_page_requests_disabled_is_refused(struct kunit *test)
{
	const struct soft_endpoint_config config = { .pasid_bits = 20 };

	needs_page_requests(test, &config);
}

static void process_that_has_exited_is_refused(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct mm_struct *mm = sva_proc_mm(proc);

	mmgrab(mm);
	sva_proc_exit(proc);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(iommu_sva_bind_device(fix->dev[0], mm)), -ESRCH);
	KUNIT_EXPECT_FALSE(test, mm_valid_pasid(mm));
	mmdrop(mm);
}

static void process_that_has_exited_gets_no_second_device(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct mm_struct *mm = sva_proc_mm(scene.proc);

	mmgrab(mm);
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(iommu_sva_bind_device(fix->dev[1], mm)), -ESRCH);
	/* Not even a second reference to the bond that is there. */
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(iommu_sva_bind_device(fix->dev[0], mm)), -ESRCH);
	unbind_scene(&scene);
	mmdrop(mm);
}
#endif

static void device_too_narrow_for_the_pasid_is_refused(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 1 };
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *narrow = sva_add_endpoint(test, fix->iommu, &config, true);
	ioasid_t one = iommu_alloc_global_pasid(soft_endpoint_dev(narrow));
	struct sva_scene scene;

	KUNIT_EXPECT_EQ(test, one, 1U);
	scene = sva_scene(test, fix->ep[0], 1);
	iommu_free_global_pasid(one);
	/* The one that fits is free again, but a process has only one PASID. */
	KUNIT_EXPECT_EQ(test, bind_error(narrow, scene.proc), -EOVERFLOW);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	unbind_scene(&scene);
}

static int squat(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
		 struct iommu_domain *old)
{
	return 0;
}

static const struct iommu_domain_ops squatter_ops = {
	.set_dev_pasid = squat,
};

/* The group has something else for the PASID; the hardware knows nothing of it. */
static void pasid_in_use_on_the_device_is_busy(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct iommu_attach_handle handle = { };
	struct iommu_domain squatter = {
		.type = IOMMU_DOMAIN_UNMANAGED,
		.ops = &squatter_ops,
		.owner = dev_iommu_ops(fix->dev[1]),
	};

	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(&squatter, fix->dev[1], scene.pasid,
							&handle), 0);
	KUNIT_EXPECT_EQ(test, bind_error(fix->ep[1], scene.proc), -EBUSY);
	iommu_detach_device_pasid(&squatter, fix->dev[1], scene.pasid);
	/* The software IOMMU has seen an entry go that never came. */
	KUNIT_EXPECT_EQ(test, soft_iommu_forgive(fix->iommu), 1U);
	KUNIT_EXPECT_EQ(test, bind_error(fix->ep[1], scene.proc), 0);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	unbind_scene(&scene);
}

/* What the vendor driver says comes out of bind, and everything done so far is undone. */
static void vendor_fails(struct kunit *test, enum soft_iommu_point point, int error)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct mm_struct *mm = sva_proc_mm(proc);
	struct sva_count *count = sva_count(test, fix->iommu, point, NULL);
	int users = atomic_read(&mm->mm_users);
	struct iommu_sva *sva;

	count->fail_at = 1;
	count->error = error;
	KUNIT_EXPECT_EQ(test, bind_error(fix->ep[0], proc), error);
	KUNIT_EXPECT_EQ(test, sva_counted(count), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm_users), users);
	KUNIT_EXPECT_TRUE(test, domains_become(fix->iommu, 0));
	if (!sva_pasid_stays_with_mm())
		KUNIT_EXPECT_FALSE(test, mm_valid_pasid(mm));

	/* Binding again works as if nothing had been. */
	sva = sva_bind(test, fix->ep[0], proc);
	KUNIT_EXPECT_EQ(test, soft_iommu_domains(fix->iommu), 1U);
	iommu_sva_unbind_device(sva);
}

static void error_at_domain_alloc_is_passed_on(struct kunit *test)
{
	vendor_fails(test, SOFT_AT_DOMAIN_ALLOC, -ENOMEM);
	vendor_fails(test, SOFT_AT_DOMAIN_ALLOC, -EIO);
	vendor_fails(test, SOFT_AT_DOMAIN_ALLOC, -EOPNOTSUPP);
}

static void error_at_attach_is_passed_on(struct kunit *test)
{
	vendor_fails(test, SOFT_AT_SET_PASID, -ENOMEM);
	vendor_fails(test, SOFT_AT_SET_PASID, -EIO);
	vendor_fails(test, SOFT_AT_SET_PASID, -EBUSY);
	vendor_fails(test, SOFT_AT_SET_PASID, -EINVAL);
}

static void failure_for_one_device_leaves_the_other_bound(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_iommu *iommu = sva_add_iommu(test, NULL);
	struct soft_endpoint *far = sva_add_endpoint(test, iommu, &config, true);
	struct sva_count *set = sva_count(test, iommu, SOFT_AT_SET_PASID, NULL);

	set->fail_at = 1;
	set->error = -EIO;
	KUNIT_EXPECT_EQ(test, bind_error(far, scene.proc), -EIO);
	KUNIT_EXPECT_TRUE(test, domains_become(iommu, 0));
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(scene.sva), scene.pasid);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	unbind_scene(&scene);
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
	/* No invalidation comes of this: nobody is bound. */
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(scene.proc, scene.addr, 4 * PAGE_SIZE,
					       MADV_DONTNEED), 0L);
	again = sva_bind(test, ep, scene.proc);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(again), 1U);
	for (int i = 0; i < 4; i++)
		SVA_EXPECT_READS(test, ep, 1, scene.addr + i * PAGE_SIZE, 0);
	iommu_sva_unbind_device(again);
}

/* Waiting */

/* Bind and unbind of one process hang in a vendor driver; other processes do not notice. */
static void bind_does_not_wait(struct kunit *test, enum soft_iommu_point point, bool unbinding)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *slow = sva_proc_start(test), *other = sva_proc_start(test);
	struct iommu_sva *sva = unbinding ? sva_bind(test, fix->ep[0], slow) : NULL;
	struct sva_hold *hold = sva_hold(test, fix->iommu, point, fix->dev[0]);
	struct sva_job *stuck, *visit;

	if (unbinding)
		stuck = sva_job_unbind(test, sva);
	else
		stuck = sva_job_visit(test, fix->ep[0], slow);
	KUNIT_EXPECT_TRUE(test, sva_hold_caught(hold));
	visit = sva_job_visit(test, fix->ep[1], other);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(visit));

	sva_hold_release(hold);
	KUNIT_EXPECT_EQ(test, sva_job_wait(stuck), 0L);
	KUNIT_EXPECT_EQ(test, sva_job_wait(visit), 0L);
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
	struct sva_job *stuck = sva_job_visit(test, far, slow), *visit;

	KUNIT_EXPECT_TRUE(test, sva_hold_caught(hold));
	visit = sva_job_visit(test, fix->ep[0], other);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(visit));
	sva_hold_release(hold);
	KUNIT_EXPECT_EQ(test, sva_job_wait(stuck), 0L);
	KUNIT_EXPECT_EQ(test, sva_job_wait(visit), 0L);
}

static void nobody_waits_for_the_unbind_of_another_process(struct kunit *test)
{
	bind_does_not_wait(test, SOFT_AT_REMOVE_PASID, true);
}

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
 * another reason: so at least one of the binds sees none.
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
	for (int round = 0; round < 20; round++) {
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

/* References */

static void bond_does_not_keep_the_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct mm_struct *mm = sva_proc_mm(proc);
	int users = atomic_read(&mm->mm_users);
	struct sva_scene scene = { };

	scene.sva = sva_bind(test, fix->ep[0], proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(atomic_read(&mm->mm_users) == users));
	unbind_scene(&scene);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm_users), users);
}

/* Nor does a page request, once it is served. */
static void served_fault_does_not_keep_the_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct mm_struct *mm = sva_proc_mm(scene.proc);
	int users = atomic_read(&mm->mm_users);
	unsigned long fresh = sva_proc_map(scene.proc, 8 * PAGE_SIZE);

	for (int i = 0; i < 8; i++)
		SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, fresh + i * PAGE_SIZE, 0);
	KUNIT_EXPECT_TRUE(test, sva_becomes(atomic_read(&mm->mm_users) == users));
	unbind_scene(&scene);
}

static void bond_keeps_the_mm_structure(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct mm_struct *mm = sva_proc_mm(scene.proc);

	sva_proc_exit(scene.proc);
	/* The domain still points to it: KASAN would tell. */
	KUNIT_EXPECT_PTR_EQ(test, scene.sva->handle.domain->mm, mm);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm_users), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&mm->mm_count), 0);
	unbind_scene(&scene);
}

static void many_rounds_leave_nothing_behind(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);
	struct rounds rounds = { fix->ep[0], proc, sva_proc_map(proc, PAGE_SIZE), 200 };

	run_rounds(test, &rounds, 1);
	KUNIT_EXPECT_TRUE(test, domains_become(fix->iommu, 0));
	KUNIT_EXPECT_EQ(test, soft_iommu_check(fix->iommu), 0U);
}

static struct kunit_case sva_bind_cases[] = {
	KUNIT_CASE(bound_device_shares_memory_with_the_process),
	KUNIT_CASE(bound_device_faults_memory_in),
	KUNIT_CASE(process_binds_itself),
	KUNIT_CASE(unbound_device_is_refused),
	KUNIT_CASE(second_bind_shares_the_bond),
	KUNIT_CASE(each_bind_needs_its_unbind),
	KUNIT_CASE(two_devices_share_one_process),
	KUNIT_CASE(two_processes_share_one_device),
	KUNIT_CASE(processes_and_devices_in_all_pairs),
	KUNIT_CASE(devices_behind_one_iommu_share_a_domain),
	KUNIT_CASE(devices_behind_two_iommus_have_a_domain_each),
	KUNIT_CASE(last_unbind_frees_the_domain),
	KUNIT_CASE(device_that_a_domain_does_not_take_gets_its_own),
#if SVA_CORE
	KUNIT_CASE(error_of_a_domain_is_final),
#endif
	KUNIT_CASE(members_of_a_group_share_a_bond),
	KUNIT_CASE(failure_at_first_member_leaves_none_attached),
	KUNIT_CASE(failure_at_second_member_leaves_none_attached),
	KUNIT_CASE(failure_at_last_member_leaves_none_attached),
	KUNIT_CASE(failure_in_a_group_undoes_the_first_bind),
	KUNIT_CASE(member_without_pasid_does_not_keep_others_from_binding),
	KUNIT_CASE(device_without_iommu_is_refused),
	KUNIT_CASE(device_without_pasid_is_refused),
#if SVA_CORE
	KUNIT_CASE(device_without_page_requests_is_refused),
	KUNIT_CASE(device_with_page_requests_disabled_is_refused),
	KUNIT_CASE(process_that_has_exited_is_refused),
	KUNIT_CASE(process_that_has_exited_gets_no_second_device),
#endif
	KUNIT_CASE(device_too_narrow_for_the_pasid_is_refused),
	KUNIT_CASE(pasid_in_use_on_the_device_is_busy),
	KUNIT_CASE(error_at_domain_alloc_is_passed_on),
	KUNIT_CASE(error_at_attach_is_passed_on),
	KUNIT_CASE(failure_for_one_device_leaves_the_other_bound),
	KUNIT_CASE(invalidation_reaches_a_domain_before_its_first_attach),
	KUNIT_CASE(invalidation_reaches_a_domain_that_gets_a_second_device),
	KUNIT_CASE(invalidation_reaches_a_domain_until_its_last_detach),
	KUNIT_CASE(unbind_leaves_nothing_in_the_caches),
	KUNIT_CASE(nobody_waits_for_the_bind_of_another_process),
	KUNIT_CASE(nobody_waits_for_the_domain_of_another_process),
	KUNIT_CASE(nobody_waits_for_the_unbind_of_another_process),
	KUNIT_CASE(nobody_waits_for_a_stuck_fault_of_another_process),
	KUNIT_CASE(unbind_does_not_wait_for_a_stuck_fault),
	KUNIT_CASE(one_pair_is_bound_by_many_at_once),
	KUNIT_CASE(processes_and_devices_are_bound_at_once),
	KUNIT_CASE(siblings_run_while_the_process_is_bound),
#ifdef CONFIG_X86
	KUNIT_CASE(siblings_are_not_interrupted_by_a_bind),
#endif
	KUNIT_CASE(bond_does_not_keep_the_process),
	KUNIT_CASE(served_fault_does_not_keep_the_process),
	KUNIT_CASE(bond_keeps_the_mm_structure),
	KUNIT_CASE(many_rounds_leave_nothing_behind),
	{}
};

static struct kunit_suite sva_bind_suite = {
	.name = "iommu_sva_bind",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_bind_cases,
};

kunit_test_suite(sva_bind_suite);

MODULE_DESCRIPTION("KUnit tests: bonds of the SVA core");
MODULE_LICENSE("GPL");
