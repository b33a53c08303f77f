// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: devices that come and go
 *
 * A device leaves its queue while requests are pending, being served, being answered or about to
 * be reported. Each is answered once, and none after the device has gone.
 */
#include <linux/mman.h>

#include "iopf_kunit.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

#define CREDITS	16

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static void leave(struct iopf_bond *bond)
{
	iopf_queue_remove_device(soft_iommu_iopf_queue(fixture(bond->test)->iommu),
				 soft_endpoint_dev(bond->ep));
}

static int join(struct iopf_bond *bond)
{
	return iopf_queue_add_device(soft_iommu_iopf_queue(fixture(bond->test)->iommu),
				     soft_endpoint_dev(bond->ep));
}

static long leave_fn(void *bond)
{
	leave(bond);
	return 0;
}

/* What the device and the groups refer to; stays while the test looks at it. */
static struct iommu_fault_param *hold_param(struct iopf_bond *bond)
{
	struct iommu_fault_param *fp;

	guard(rcu)();
	fp = rcu_dereference(soft_endpoint_dev(bond->ep)->iommu->fault_param);
	refcount_inc(&fp->users);
	return fp;
}

static void drop_param(struct iommu_fault_param *fp)
{
	if (refcount_dec_and_test(&fp->users))
		kvfree_rcu(fp, rcu);
}

/*
 * For each number of groups that a device can have pending. The handler still owns its groups
 * afterwards, and each of them keeps what it refers to.
 */
static void removal_answers_all_that_is_pending(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct iommu_fault_param *fp;
	unsigned int refs;
	u64 responses = 0;

	for (unsigned int n = 0; n <= CREDITS; n++) {
		for (unsigned int i = 0; i < n; i++)
			iopf_last(bond, i, 0, IOPF_READ);
		iopf_keeper_await(test, keeper, n);
		/* A thread that reports a request has a reference of its own until it is done. */
		soft_iommu_sync_prq(fixture(test)->iommu);
		fp = hold_param(bond);
		leave(bond);
		refs = refcount_read(&fp->users) - 1;
		KUNIT_EXPECT_EQ(test, join(bond), 0);
		drop_param(fp);

		for (unsigned int i = 0; i < n; i++)
			KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), BAD);
		responses += n;
		KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), responses);
		KUNIT_ASSERT_EQ_MSG(test, refs, n, "groups were freed under their handler");
		KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), n);
		KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), responses);
	}
}

static void removal_forgets_partials(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	for (unsigned int i = 0; i < 8; i++)
		iopf_partial(bond, i, 0, IOPF_READ);
	soft_iommu_sync_prq(fixture(test)->iommu);
	leave(bond);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 0);
	KUNIT_EXPECT_EQ(test, join(bond), 0);
	for (unsigned int i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, i, mem, IOPF_READ), OK);
}

static void device_works_after_each_return_to_its_queue(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 16 * PAGE_SIZE);

	for (unsigned int i = 0; i < 16; i++) {
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + i * PAGE_SIZE, IOPF_WRITE), OK);
		leave(bond);
		KUNIT_EXPECT_EQ(test, join(bond), 0);
	}
}

static void request_of_a_device_on_no_queue_is_refused_once(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	leave(bond);
	iopf_partial(bond, 0, mem, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
	KUNIT_EXPECT_EQ(test, join(bond), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

static void removal_waits_for_an_answer_on_its_way(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct sva_job *removal;
	struct sva_hold *hold;

	hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_RESPONSE,
			soft_endpoint_dev(bond->ep));
	iopf_last(bond, 0, mem, IOPF_READ);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	removal = sva_job(test, leave_fn, bond);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(removal));
	sva_hold_release(hold);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(removal));
	KUNIT_EXPECT_EQ(test, join(bond), 0);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

static void device_is_on_one_queue_only(struct kunit *test)
{
	struct iopf_queue *queue = iopf_queue_alloc("kunit");
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);

	KUNIT_ASSERT_NOT_NULL(test, queue);
	KUNIT_EXPECT_EQ(test, join(bond), -EBUSY);
	KUNIT_EXPECT_EQ(test, iopf_queue_add_device(queue, soft_endpoint_dev(bond->ep)), -EBUSY);
	leave(bond);
	KUNIT_EXPECT_EQ(test, iopf_queue_add_device(queue, soft_endpoint_dev(bond->ep)), 0);
	KUNIT_EXPECT_EQ(test, join(bond), -EBUSY);
	iopf_queue_remove_device(queue, soft_endpoint_dev(bond->ep));
	KUNIT_EXPECT_EQ(test, join(bond), 0);
	iopf_queue_free(queue);
}

static void queue_takes_its_devices_along(struct kunit *test)
{
	struct iopf_queue *queue = iopf_queue_alloc("kunit");
	struct iopf_bond *bonds[2];
	unsigned long mem;

	KUNIT_ASSERT_NOT_NULL(test, queue);
	for (unsigned int i = 0; i < 2; i++) {
		bonds[i] = iopf_bind(test, fixture(test)->ep[i], NULL);
		mem = sva_proc_map(bonds[i]->proc, PAGE_SIZE);
		leave(bonds[i]);
		KUNIT_ASSERT_EQ(test, iopf_queue_add_device(queue, soft_endpoint_dev(bonds[i]->ep)),
				0);
		KUNIT_EXPECT_EQ(test, iopf_ask(bonds[i], 0, mem, IOPF_READ), OK);
	}
	iopf_queue_free(queue);
	for (unsigned int i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, join(bonds[i]), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(bonds[0], 0, 0, IOPF_READ), BAD);
}

static void no_queue_may_be_freed(struct kunit *test)
{
	iopf_queue_free(NULL);
	KUNIT_EXPECT_EQ(test, iopf_queue_discard_partial(NULL), -EINVAL);
}

/* The thread that reads the ring has a request, and is about to report it to the core. */

static long unbind_and_destroy_fn(void *arg)
{
	struct iopf_bond *bond = arg;

	iopf_unbind(bond);
	soft_endpoint_destroy(bond->ep);
	return 0;
}

static long unplug_and_destroy_fn(void *arg)
{
	struct iopf_bond *bond = arg;

	soft_endpoint_unplug(bond->ep);
	return unbind_and_destroy_fn(arg);
}

static void leave_between_look_up_and_report(struct kunit *test, long (*fn)(void *arg))
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct sva_job *removal;
	struct soft_endpoint *ep;
	struct iopf_bond *bond;
	struct sva_hold *hold;

	for (unsigned int i = 0; i < 4; i++) {
		ep = sva_add_endpoint(test, fixture(test)->iommu, &config, true);
		bond = iopf_bind(test, ep, NULL);
		hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_REPORT,
				soft_endpoint_dev(bond->ep));
		iopf_last(bond, 0, 0, IOPF_READ);
		KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
		sva_forget_endpoint(test, ep);
		removal = sva_job(test, fn, bond);
		KUNIT_EXPECT_TRUE(test, sva_job_waits(removal));
		sva_hold_release(hold);
		KUNIT_ASSERT_TRUE(test, sva_job_ends(removal));
		KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), i + 1);
	}
}

static void device_leaves_between_look_up_and_report(struct kunit *test)
{
	leave_between_look_up_and_report(test, unbind_and_destroy_fn);
}

static void device_is_unplugged_between_look_up_and_report(struct kunit *test)
{
	leave_between_look_up_and_report(test, unplug_and_destroy_fn);
}

#if SVA_CORE
/**
 * struct late_report - a report that has found its device and has not got further when that leaves
 * @bond: of the device
 * @inside: another report is in the handler, and keeps all others waiting
 * @go: it may end
 * @groups: how many the handler got
 * @last: flags of the late request
 */
struct late_report {
	struct iopf_bond *bond;
	struct completion inside;
	struct completion go;
	atomic_t groups;
	u32 last;
};

static int stop_in_report(struct iopf_group *group)
{
	struct late_report *late = group->attach_handle->domain->fault_data;

	atomic_inc(&late->groups);
	complete_all(&late->inside);
	wait_for_completion_timeout(&late->go, 2 * SVA_PATIENCE);
	iopf_group_response(group, OK);
	iopf_free_group(group);
	return 0;
}

static long late_report_fn(void *data)
{
	struct late_report *late = data;
	struct iopf_fault evt = {
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm = {
			.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | late->last,
			.pasid = late->bond->pasid,
			.grpid = 7,
			.perm = IOPF_READ,
		},
	};

	return iommu_report_device_fault(soft_endpoint_dev(late->bond->ep), &evt);
}

static struct late_report *make_late_report(struct kunit *test, u32 last)
{
	struct late_report *late = kunit_kzalloc(test, sizeof(*late), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, late);
	late->bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	late->last = last;
	init_completion(&late->inside);
	init_completion(&late->go);
	late->bond->sva->handle.domain->fault_data = late;
	late->bond->sva->handle.domain->iopf_handler = stop_in_report;
	return late;
}

/* The removal comes first, then the report, both to what the first report holds. */
static void leave_under_a_late_report(struct kunit *test, u32 last)
{
	struct late_report *late = make_late_report(test, last);
	struct sva_job *removal, *report;

	iopf_last(late->bond, 0, 0, IOPF_READ);
	KUNIT_ASSERT_TRUE(test, wait_for_completion_timeout(&late->inside, SVA_PATIENCE));
	removal = sva_job(test, leave_fn, late->bond);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(removal));
	report = sva_job(test, late_report_fn, late);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(report));
	complete_all(&late->go);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(removal) && sva_job_ends(report));

	KUNIT_EXPECT_EQ(test, sva_job_wait(report), -ENODEV);
	KUNIT_EXPECT_EQ(test, atomic_read(&late->groups), 1);
	KUNIT_EXPECT_EQ(test, iopf_answer(late->bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1 + !!last);
	/* The ledger does not know of the late request. */
	KUNIT_EXPECT_EQ(test, soft_iommu_forgive(fixture(test)->iommu), !!last);
	KUNIT_EXPECT_EQ(test, join(late->bond), 0);
}

static void late_report_of_a_last_page_is_refused_once(struct kunit *test)
{
	leave_under_a_late_report(test, IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE);
}

static void late_report_of_a_partial_is_dropped(struct kunit *test)
{
	leave_under_a_late_report(test, 0);
}
#endif

/* Under load */

static void leave_under_a_storm(struct kunit *test, bool surprise)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct iopf_bond *bond;
	struct soft_endpoint *ep;
	unsigned long mem;
	u64 before;

	for (unsigned int i = 0; i < 8; i++) {
		ep = sva_add_endpoint(test, fixture(test)->iommu, &config, true);
		bond = iopf_bind(test, ep, NULL);
		mem = sva_proc_map(bond->proc, SZ_4M);
		before = iopf_responses(fixture(test)->iommu);
		KUNIT_ASSERT_EQ(test, soft_storm_start(ep, bond->pasid, mem, SZ_4M, true), 0);
		KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_responses(fixture(test)->iommu) >=
						    before + 8));
		if (surprise)
			soft_endpoint_unplug(ep);
		iopf_unbind(bond);
		soft_storm_stop(ep);
		if (!surprise)
			KUNIT_EXPECT_EQ(test, soft_pri_outstanding(ep), 0);
		sva_forget_endpoint(test, ep);
		soft_endpoint_destroy(ep);
	}
}

static void device_leaves_under_a_storm(struct kunit *test)
{
	leave_under_a_storm(test, false);
}

static void device_is_unplugged_under_a_storm(struct kunit *test)
{
	leave_under_a_storm(test, true);
}

/* The device goes while its faults are being served and takes a while to be told. */
static void device_is_unplugged_while_being_served(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, true);
	struct sva_gate *gate = sva_gate(test);
	struct iopf_bond *bond = iopf_bind(test, ep, NULL);
	unsigned long mem = sva_gate_map(gate, bond->proc, 8 * PAGE_SIZE);
	struct sva_job *removal;

	for (unsigned int i = 0; i < 8; i++)
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_READ);
	iopf_await(test, gate, 1);
	sva_forget_endpoint(test, ep);
	removal = sva_job(test, unplug_and_destroy_fn, bond);
	KUNIT_EXPECT_TRUE_MSG(test, sva_job_ends(removal),
			      "removal waits for a fault that never ends");
	sva_gate_open(gate);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(removal));
}

static void disabling_page_faults_answers_all_that_is_pending(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct device *dev = soft_endpoint_dev(bond->ep);

	for (unsigned int i = 0; i < 8; i++)
		iopf_last(bond, i, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 8);
	KUNIT_EXPECT_EQ(test, iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA), 0);
	KUNIT_EXPECT_EQ(test, iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF), 0);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 8);
	/* The handler comes late: there is no device to answer any more. */
	if (SVA_CORE)
		KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 8);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 8);
	KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_IOPF), 0);
	KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA), 0);
}

#if SVA_CORE
/*
 * The base frees groups that workers still have: what follows would bring its kernel down. The
 * first case of this suite shows that there by counting references.
 */

/* Some groups are at work, the others wait for a worker. */
static void removal_waits_for_no_worker(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct sva_gate *gate = sva_gate(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, CREDITS * PAGE_SIZE);
	struct sva_job *removal;

	for (unsigned int i = 0; i < CREDITS; i++)
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_READ);
	iopf_await(test, gate, 2);
	soft_iommu_sync_prq(fixture(test)->iommu);
	removal = sva_job(test, leave_fn, bond);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(removal));
	for (unsigned int i = 0; i < CREDITS; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), BAD);

	KUNIT_EXPECT_EQ(test, join(bond), 0);
	sva_gate_open(gate);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + PAGE_SIZE, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), CREDITS + 1);
}

static void nothing_is_answered_after_removal(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct sva_gate *gate = sva_gate(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, CREDITS * PAGE_SIZE);
	u64 responses;

	for (unsigned int i = 0; i < CREDITS; i++)
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_READ);
	iopf_await(test, gate, 1);
	soft_iommu_sync_prq(fixture(test)->iommu);
	leave(bond);
	responses = iopf_responses(fixture(test)->iommu);
	sva_gate_open(gate);
	iopf_unbind(bond);
	/* All workers have come to their end when the process has. */
	sva_proc_exit(bond->proc);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), responses);
	KUNIT_EXPECT_EQ(test, join(bond), 0);
}

/* A handler that lets go of its group while the removal answers it */
static void group_is_freed_while_removal_answers_it(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct sva_job *removal;
	struct sva_hold *hold;

	iopf_last(bond, 0, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 1);
	hold = sva_hold(test, fixture(test)->iommu, SOFT_AT_RESPONSE,
			soft_endpoint_dev(bond->ep));
	removal = sva_job(test, leave_fn, bond);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 1);
	sva_hold_release(hold);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(removal));
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
	KUNIT_EXPECT_EQ(test, join(bond), 0);
}

/* Taken off the list of pending groups, like those that wait for user space: not removal's. */
static void dequeued_group_is_not_answered_once_the_device_has_gone(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_group *group = iopf_ask_keeper(bond, iopf_keep(bond), 0);

	iopf_group_dequeue(group);
	leave(bond);
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 0);
	/* The ledger misses that answer; nothing else is wrong. */
	KUNIT_EXPECT_EQ(test, soft_iommu_check(fixture(test)->iommu), 1);
	soft_iommu_forgive(fixture(test)->iommu);
	soft_endpoint_reset(bond->ep);
	KUNIT_EXPECT_EQ(test, join(bond), 0);
}

static void queue_with_pending_faults_may_be_freed(struct kunit *test)
{
	struct iopf_queue *queue = iopf_queue_alloc("kunit");
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_keeper *keeper = iopf_keep(bond);

	KUNIT_ASSERT_NOT_NULL(test, queue);
	leave(bond);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(queue, soft_endpoint_dev(bond->ep)), 0);
	for (unsigned int i = 0; i < 4; i++)
		iopf_last(bond, i, 0, IOPF_READ);
	iopf_keeper_await(test, keeper, 4);
	iopf_queue_free(queue);
	KUNIT_EXPECT_EQ(test, iopf_keeper_finish(keeper, OK), 4);
	for (unsigned int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 4);
	KUNIT_EXPECT_EQ(test, join(bond), 0);
}

struct traveller {
	struct iopf_bond *bond;
	bool done;
};

static long come_and_go_fn(void *arg)
{
	struct traveller *traveller = arg;
	int ret = 0;

	for (unsigned int i = 0; i < 200 && !ret; i++) {
		leave(traveller->bond);
		ret = join(traveller->bond);
	}
	WRITE_ONCE(traveller->done, true);
	return ret;
}

/* Requests, answers and removals in any order: the IOMMU's ledger has the last word. */
static void removal_races_with_requests_and_answers(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, CREDITS * PAGE_SIZE);
	struct traveller *traveller = kunit_kzalloc(test, sizeof(*traveller), GFP_KERNEL);
	struct sva_job *come_and_go;
	unsigned int asked = 0;

	KUNIT_ASSERT_NOT_NULL(test, traveller);
	traveller->bond = bond;
	come_and_go = sva_job(test, come_and_go_fn, traveller);
	do {
		for (unsigned int i = 0; i < CREDITS; i++)
			iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_WRITE);
		for (unsigned int i = 0; i < CREDITS; i++)
			KUNIT_EXPECT_GE(test, iopf_answer(bond, i), 0);
		asked += CREDITS;
		sva_proc_madvise(bond->proc, mem, CREDITS * PAGE_SIZE, MADV_DONTNEED);
	} while (!READ_ONCE(traveller->done));
	KUNIT_EXPECT_EQ(test, sva_job_wait(come_and_go), 0);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), asked);
}
#endif /* SVA_CORE */

static struct kunit_case iopf_remove_cases[] = {
	KUNIT_CASE(removal_answers_all_that_is_pending),
	KUNIT_CASE(removal_forgets_partials),
	KUNIT_CASE(device_works_after_each_return_to_its_queue),
	KUNIT_CASE(request_of_a_device_on_no_queue_is_refused_once),
	KUNIT_CASE(removal_waits_for_an_answer_on_its_way),
	KUNIT_CASE(device_is_on_one_queue_only),
	KUNIT_CASE(queue_takes_its_devices_along),
	KUNIT_CASE(no_queue_may_be_freed),
	KUNIT_CASE(device_leaves_between_look_up_and_report),
	KUNIT_CASE(device_is_unplugged_between_look_up_and_report),
#if SVA_CORE
	KUNIT_CASE(late_report_of_a_last_page_is_refused_once),
	KUNIT_CASE(late_report_of_a_partial_is_dropped),
#endif
	KUNIT_CASE(device_leaves_under_a_storm),
	KUNIT_CASE(device_is_unplugged_under_a_storm),
	KUNIT_CASE(device_is_unplugged_while_being_served),
	KUNIT_CASE(disabling_page_faults_answers_all_that_is_pending),
#if SVA_CORE
	KUNIT_CASE(removal_waits_for_no_worker),
	KUNIT_CASE(nothing_is_answered_after_removal),
	KUNIT_CASE(group_is_freed_while_removal_answers_it),
	KUNIT_CASE(dequeued_group_is_not_answered_once_the_device_has_gone),
	KUNIT_CASE(queue_with_pending_faults_may_be_freed),
	KUNIT_CASE(removal_races_with_requests_and_answers),
#endif
	{}
};

static struct kunit_suite iopf_remove_suite = {
	.name = "iopf_remove",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_remove_cases,
};

kunit_test_suite(iopf_remove_suite);

MODULE_DESCRIPTION("KUnit tests for removal from the I/O page fault queue");
MODULE_LICENSE("GPL");
