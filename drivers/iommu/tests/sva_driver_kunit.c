// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a driver of an IOMMU may leave out of its operations, and what comes of that
 *
 * The driver is the software IOMMU's, with some of its operations taken away or replaced. Drivers
 * without struct iommu_sva_ops have page requests too, by way of iommufd.
 */
#include "../iommu-priv.h"
#include "iopf_kunit.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

/* Fits the credits of an endpoint. */
#define MANY	12

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static struct sva_driver *driver(struct kunit *test)
{
	return sva_driver(test, fixture(test)->ep[0]);
}

static struct iopf_bond *bind_first(struct kunit *test)
{
	return iopf_bind(test, fixture(test)->ep[0], NULL);
}

/* The error of a bind of that endpoint and a new process; a bond that was made is undone. */
static int bind_error(struct kunit *test, struct soft_endpoint *ep)
{
	struct sva_proc *proc = sva_proc_start(test);
	struct iommu_sva *sva = iommu_sva_bind_device(soft_endpoint_dev(ep), sva_proc_mm(proc));

	if (IS_ERR(sva))
		return PTR_ERR(sva);
	iommu_sva_unbind_device(sva);
	return 0;
}

/* Binding */

/* It would walk kernel page tables, which the core cannot see change. */
static void driver_that_walks_the_mm_s_root_is_refused_on_x86(struct kunit *test)
{
	int error = IS_ENABLED(CONFIG_X86) ? -EOPNOTSUPP : 0;
	struct sva_driver *drv = driver(test);

	drv->sva_ops.walks_io_mm_root = false;
	KUNIT_EXPECT_EQ(test, bind_error(test, fixture(test)->ep[0]), error);
	drv->ops.sva_ops = NULL;
	KUNIT_EXPECT_EQ(test, bind_error(test, fixture(test)->ep[0]), error);
	drv->sva_ops.walks_io_mm_root = true;
	drv->ops.sva_ops = &drv->sva_ops;
	KUNIT_EXPECT_EQ(test, bind_error(test, fixture(test)->ep[0]), 0);
}

/* What the IOMMU's own driver makes domains with */
static struct iommu_domain *(*make_domain)(struct device *dev, struct mm_struct *mm);
static struct device *made_for;

static struct iommu_domain *domain_by_type(unsigned int type)
{
	struct iommu_domain *domain;

	if (type != IOMMU_DOMAIN_SVA || !made_for)
		return NULL;
	domain = make_domain(made_for, NULL);
	return IS_ERR(domain) ? NULL : domain;
}

static void driver_that_makes_domains_by_type_is_bound(struct kunit *test)
{
	struct sva_driver *drv = driver(test);
	struct sva_scene scene;

	make_domain = drv->ops.domain_alloc_sva;
	drv->ops.domain_alloc_sva = NULL;
	KUNIT_EXPECT_EQ(test, bind_error(test, fixture(test)->ep[0]), -EOPNOTSUPP);
	drv->ops.domain_alloc = domain_by_type;
	made_for = NULL;
	KUNIT_EXPECT_EQ(test, bind_error(test, fixture(test)->ep[0]), -ENOMEM);
	made_for = fixture(test)->dev[0];
	scene = sva_scene(test, fixture(test)->ep[0], 1);
	SVA_EXPECT_READS(test, fixture(test)->ep[0], scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(scene.sva);
}

/* A domain is not even shown to another driver's device. */
static void devices_of_two_drivers_share_a_process(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_iommu *other = sva_add_iommu(test, NULL);
	struct soft_endpoint *ep = sva_add_endpoint(test, other, &config, true);
	struct sva_scene scene = sva_scene(test, fixture(test)->ep[0], 1);
	struct iommu_sva *sva;

	sva_driver(test, ep);
	sva = sva_bind(test, ep, scene.proc);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(sva), scene.pasid);
	SVA_EXPECT_READS(test, ep, scene.pasid, scene.addr, sva_mark(0));
	SVA_EXPECT_READS(test, fixture(test)->ep[0], scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(scene.sva);
}

/* Page requests */

static void driver_without_batches_gets_answers_one_by_one(struct kunit *test)
{
	struct sva_driver *drv = driver(test);
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, MANY * PAGE_SIZE);
	struct soft_iommu_stats stats;

	drv->sva_ops.page_responses = NULL;
	soft_iommu_hold_prq(fixture(test)->iommu, true);
	for (unsigned int i = 0; i < MANY; i++)
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_RW);
	soft_iommu_hold_prq(fixture(test)->iommu, false);
	for (unsigned int i = 0; i < MANY; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), OK);
	soft_iommu_read_stats(fixture(test)->iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.response_batches, 0);
	KUNIT_EXPECT_EQ(test, stats.responses[OK], MANY);
}

static void unbind_without_a_drain_of_the_driver_answers_all(struct kunit *test)
{
	struct sva_driver *drv = driver(test);
	struct iopf_slow s = iopf_make_slow(test, 0);

	drv->sva_ops.drain = NULL;
	iopf_ask_slow(&s, MANY);
	iopf_unbind(s.bond);
	for (unsigned int i = 0; i < MANY; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, i), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), MANY);
}

static void reset_without_a_flush_of_the_driver_ends(struct kunit *test)
{
	struct sva_driver *drv = driver(test);
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	drv->sva_ops.flush_atc = NULL;
	iopf_begin_reset(bond->ep);
	iopf_end_reset(bond->ep);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_RW), OK);
}

/* The bond stands for an attachment of iommufd, which needs nothing of the table. */
static void page_requests_need_no_sva_operations(struct kunit *test)
{
	struct sva_driver *drv = driver(test);
	struct iopf_bond *bond = bind_first(test);
	struct iopf_keeper *keeper = iopf_keep(bond);

	drv->ops.sva_ops = NULL;
	iopf_last(bond, 0, 0, IOPF_READ);
	iopf_last(bond, 1, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 2);
	iopf_quiesce_device(soft_endpoint_dev(bond->ep));
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), BAD);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 1), BAD);
	soft_endpoint_reset(bond->ep);
	iopf_resume_device(soft_endpoint_dev(bond->ep));
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 2);
	iopf_last(bond, 1, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 1);
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 1);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 1), OK);
	/* No listener is told. */
	sva_proc_exit(bond->proc);
	iopf_unbind(bond);
}

static void device_that_cannot_be_answered_gets_on_no_queue(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, false);
	struct iopf_queue *queue = soft_iommu_iopf_queue(fixture(test)->iommu);
	struct sva_driver *drv = driver(test);

	drv->ops.page_response = NULL;
	KUNIT_EXPECT_EQ(test, iopf_queue_add_device(queue, soft_endpoint_dev(ep)), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopf_grant_credits(soft_endpoint_dev(ep), 64), 0);
}

/* A PASID table of user space: its PASIDs are all of the nested domain. */
#define USER_PASID	77

static int ask_with_user_pasid(struct soft_endpoint *ep)
{
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			 IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
		.pasid = USER_PASID,
		.perm = IOPF_READ,
	};
	int ret = soft_pri_send(ep, &prm);

	return ret ?: soft_pri_wait(ep, USER_PASID, 0, IOPF_LONG_MS);
}

static int attach_nested(struct iommu_domain *domain, struct device *dev)
{
	return 0;
}

static int serve_at_once(struct iopf_group *group)
{
	iopf_group_response(group, OK);
	iopf_free_group(group);
	return 0;
}

static void pasids_of_user_space_are_the_nested_domain_s(struct kunit *test)
{
	static const struct iommu_domain_ops nested_ops = { .attach_dev = attach_nested };
	struct soft_endpoint *ep = fixture(test)->ep[0];
	struct iommu_group *group = fixture(test)->dev[0]->iommu_group;
	struct sva_driver *drv = driver(test);
	struct iommu_attach_handle handle = {};
	struct iommu_domain nested = {
		.type = IOMMU_DOMAIN_NESTED,
		.ops = &nested_ops,
		.owner = &drv->ops,
		.iopf_handler = serve_at_once,
	};

	soft_iommu_take_all(fixture(test)->iommu, true);
	KUNIT_ASSERT_EQ(test, iommu_attach_group_handle(&nested, group, &handle), 0);
	KUNIT_EXPECT_EQ(test, ask_with_user_pasid(ep), BAD);
	drv->ops.user_pasid_table = true;
	KUNIT_EXPECT_EQ(test, ask_with_user_pasid(ep), OK);
	iommu_detach_group_handle(&nested, group);
	KUNIT_EXPECT_EQ(test, ask_with_user_pasid(ep), BAD);
	KUNIT_EXPECT_EQ(test, iopf_counted(ep, IOPF_STRAY), 2);
}

static struct kunit_case sva_driver_cases[] = {
	KUNIT_CASE(driver_that_walks_the_mm_s_root_is_refused_on_x86),
	KUNIT_CASE(driver_that_makes_domains_by_type_is_bound),
	KUNIT_CASE(devices_of_two_drivers_share_a_process),
	KUNIT_CASE(driver_without_batches_gets_answers_one_by_one),
	KUNIT_CASE(unbind_without_a_drain_of_the_driver_answers_all),
	KUNIT_CASE(reset_without_a_flush_of_the_driver_ends),
	KUNIT_CASE(page_requests_need_no_sva_operations),
	KUNIT_CASE(device_that_cannot_be_answered_gets_on_no_queue),
	KUNIT_CASE(pasids_of_user_space_are_the_nested_domain_s),
	{}
};

static struct kunit_suite sva_driver_suite = {
	.name = "iommu_sva_driver",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_driver_cases,
};

kunit_test_suite(sva_driver_suite);

MODULE_DESCRIPTION("KUnit tests: drivers of IOMMUs and the SVA core");
MODULE_LICENSE("GPL");
