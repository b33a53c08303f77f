// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bonds: who may bind, what a bond gives, what is left when it goes or cannot be made
 */
#include <linux/mm.h>
#include <linux/platform_device.h>
#include <linux/sched/mm.h>

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
#if SVA_CORE && defined(CONFIG_X86_64)
/* The device's table, which no process has, is as the process's again. */
static void second_bind_brings_a_lost_slot_back(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	pgd_t *slot = iommu_sva_root(scene.sva->handle.domain) + pgd_index(scene.addr);
	struct iommu_sva *second;

	WRITE_ONCE(*slot, __pgd(0));
	second = sva_bind(test, fix->ep[1], scene.proc);
	KUNIT_EXPECT_NE(test, pgd_val(READ_ONCE(*slot)), 0UL);
	SVA_EXPECT_READS(test, fix->ep[1], scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(second);
	unbind_scene(&scene);
}
#endif

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
	struct platform_device *pdev = platform_device_register_simple("sva-single", -1, NULL, 0);
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
/* Memory that is there; what is not is aborted, without a page request. */
static void uses_what_is_there(struct kunit *test, const struct soft_endpoint_config *config)
{
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = sva_add_endpoint(test, fix->iommu, config, false);
	struct sva_scene scene = sva_scene(test, ep, 4);
	unsigned long fresh = sva_proc_map(scene.proc, PAGE_SIZE);
	unsigned int lines = sva_log_lines(test, soft_endpoint_dev(ep));
	struct soft_iommu_stats stats;

	for (unsigned int i = 0; i < 4; i++)
		SVA_EXPECT_READS(test, ep, scene.pasid, scene.addr + i * PAGE_SIZE, sva_mark(i));
	SVA_EXPECT_REFUSED(test, ep, scene.pasid, fresh);
	sva_poke(test, scene.proc, fresh, 7);
	SVA_EXPECT_READS(test, ep, scene.pasid, fresh, 7);
	soft_iommu_read_stats(fix->iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.prq_requests, 0ULL);
	sva_proc_exit(scene.proc);
	SVA_EXPECT_REFUSED(test, ep, scene.pasid, scene.addr);
	iommu_sva_unbind_device(scene.sva);
	KUNIT_EXPECT_EQ(test, sva_log_lines(test, soft_endpoint_dev(ep)), lines);
}

/* As drivers do that know of no features: those of devices with fault handling of their own. */
static void device_without_page_requests_uses_what_is_there(struct kunit *test)
{
	const struct soft_endpoint_config config = { .pasid_bits = 20, .no_pri = true };

	uses_what_is_there(test, &config);
}

static void device_with_page_requests_disabled_uses_what_is_there(struct kunit *test)
{
	const struct soft_endpoint_config config = { .pasid_bits = 20 };

	uses_what_is_there(test, &config);
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
#if SVA_CORE && defined(CONFIG_X86_64)
	KUNIT_CASE(second_bind_brings_a_lost_slot_back),
#endif
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
	KUNIT_CASE(device_without_page_requests_uses_what_is_there),
	KUNIT_CASE(device_with_page_requests_disabled_uses_what_is_there),
	KUNIT_CASE(process_that_has_exited_is_refused),
	KUNIT_CASE(process_that_has_exited_gets_no_second_device),
#endif
	KUNIT_CASE(device_too_narrow_for_the_pasid_is_refused),
	KUNIT_CASE(pasid_in_use_on_the_device_is_busy),
	KUNIT_CASE(error_at_domain_alloc_is_passed_on),
	KUNIT_CASE(error_at_attach_is_passed_on),
	KUNIT_CASE(failure_for_one_device_leaves_the_other_bound),
	KUNIT_CASE(bond_does_not_keep_the_process),
	KUNIT_CASE(served_fault_does_not_keep_the_process),
	KUNIT_CASE(bond_keeps_the_mm_structure),
	{}
};

static struct kunit_suite sva_bind_suite = {
	.name = "iommu_sva_bind",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_bind_cases,
};

kunit_test_suite(sva_bind_suite);

SVA_CONFORM_SUITE(sva_bind, sva_fixture_init, sva_stage_exit,
		  SVA_CONFORM_CASE(bound_device_shares_memory_with_the_process),
		  SVA_CONFORM_CASE(bound_device_faults_memory_in),
		  SVA_CONFORM_CASE(unbound_device_is_refused),
		  SVA_CONFORM_CASE(second_bind_shares_the_bond),
		  SVA_CONFORM_CASE(two_devices_share_one_process),
		  SVA_CONFORM_CASE(two_processes_share_one_device),
		  SVA_CONFORM_CASE(devices_behind_one_iommu_share_a_domain),
		  SVA_CONFORM_CASE(devices_behind_two_iommus_have_a_domain_each),
		  SVA_CONFORM_CASE(last_unbind_frees_the_domain),
		  SVA_CONFORM_CASE(device_without_pasid_is_refused),
		  SVA_CONFORM_CASE(device_without_page_requests_uses_what_is_there),
		  SVA_CONFORM_CASE(device_with_page_requests_disabled_uses_what_is_there),
		  SVA_CONFORM_CASE(process_that_has_exited_is_refused),
		  SVA_CONFORM_CASE(process_that_has_exited_gets_no_second_device),
		  SVA_CONFORM_CASE(bond_keeps_the_mm_structure));

MODULE_DESCRIPTION("KUnit tests: bonds of the SVA core");
MODULE_LICENSE("GPL");
