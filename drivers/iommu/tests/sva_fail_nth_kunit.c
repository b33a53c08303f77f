// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVA and I/O page faults when memory is short: each allocation of an operation fails once, in turn
 *
 * task_struct.fail_nth makes the nth allocation of that task fail, and tells by going to zero that
 * it did. An operation is repeated with n = 1, 2, ... until it makes fewer than n allocations.
 * Whatever fails must say -ENOMEM and leave nothing behind; the fixture looks for what is left.
 *
 * Workers serve page requests. They are reached through a mapping of the test (struct sva_gate):
 * its fault handler runs in the worker, and sets the worker up for the next page of the group.
 */
#include <linux/mman.h>
#include <linux/sched.h>

#include "iopf_kunit.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

/* More than any operation here allocates */
#define MANY	1000

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

/*
 * Settings that make fail_nth reach every allocation, in silence; and, of tasks with make_it_fail,
 * let all allocations fail.
 */
static const struct {
	const char *path;
	const char *value;
} settings[] = {
	{ "kernel/debug/failslab/ignore-gfp-wait", "N" },
	{ "kernel/debug/failslab/verbose", "0" },
	{ "kernel/debug/failslab/task-filter", "Y" },
	{ "kernel/debug/failslab/times", "-1" },
	{ "kernel/debug/failslab/probability", "100" },
	{ "kernel/debug/fail_page_alloc/ignore-gfp-wait", "N" },
	{ "kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "kernel/debug/fail_page_alloc/min-order", "0" },
	{ "kernel/debug/fail_page_alloc/verbose", "0" },
	{ "kernel/debug/fail_page_alloc/task-filter", "Y" },
	{ "kernel/debug/fail_page_alloc/times", "-1" },
	{ "kernel/debug/fail_page_alloc/probability", "100" },
};

static int fail_nth_init(struct kunit *test)
{
	int ret = iopf_fixture_init(test);

	for (unsigned int i = 0; i < ARRAY_SIZE(settings) && !ret; i++)
		sva_sysfs_set(test, settings[i].path, settings[i].value);
	return ret;
}

/* Operations in the test's own task */

/**
 * struct operation - what is tried with failing allocations
 * @test: the test
 * @go: does it; 0 or a negative error, which means that nothing was done
 * @undo: takes a success back, without failures; NULL: nothing to do
 * @ep: for these
 * @proc: likewise
 * @sva: likewise
 * @queue: likewise
 */
struct operation {
	struct kunit *test;
	int (*go)(struct operation *op);
	void (*undo)(struct operation *op);
	struct soft_endpoint *ep;
	struct sva_proc *proc;
	struct iommu_sva *sva;
	struct iopf_queue *queue;
};

/* Returns how many allocations were made to fail. */
static unsigned int fail_each(struct operation *op)
{
	unsigned int n, left;
	int ret;

	for (n = 1; n < MANY; n++) {
		current->fail_nth = n;
		ret = op->go(op);
		left = current->fail_nth;
		current->fail_nth = 0;

		if (!ret && op->undo)
			op->undo(op);
		if (left) {
			KUNIT_EXPECT_EQ_MSG(op->test, ret, 0, "fails with nothing made to fail");
			break;
		}
		if (ret)
			KUNIT_EXPECT_EQ_MSG(op->test, ret, -ENOMEM, "allocation %u", n);
	}
	KUNIT_EXPECT_LT(op->test, n, MANY);
	return n - 1;
}

/*
 * How many allocations @op needs. Debugging aids of the kernel (the stacks that KASAN keeps)
 * allocate now and then, too, inside whatever runs; what @op needs, it needs each time.
 */
static unsigned int least_allocations(struct operation *op)
{
	unsigned int least = MANY;

	for (int i = 0; i < 3 && least; i++)
		least = min(least, fail_each(op));
	return least;
}

static int go_bind(struct operation *op)
{
	op->sva = iommu_sva_bind_device(soft_endpoint_dev(op->ep), sva_proc_mm(op->proc));
	return PTR_ERR_OR_ZERO(op->sva);
}

static void undo_bind(struct operation *op)
{
	iommu_sva_unbind_device(op->sva);
}

static void bind_fails_cleanly(struct kunit *test)
{
	struct operation op = {
		.test = test, .go = go_bind, .undo = undo_bind,
		.ep = fixture(test)->ep[0], .proc = sva_proc_start(test),
	};
	struct iopf_bond *bond;

	/* At least: bond, PASID, domain, notifier */
	KUNIT_EXPECT_GE(test, fail_each(&op), 4);
	bond = iopf_bind(test, op.ep, op.proc);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, sva_proc_map(op.proc, PAGE_SIZE), IOPF_READ), OK);
}

/* Low numbers need no memory. These do: the allocator gives them out in turn. */
static void bind_does_not_take_a_shortage_for_exhaustion(struct kunit *test)
{
	struct operation op = {
		.test = test, .go = go_bind, .undo = undo_bind,
		.ep = fixture(test)->ep[0], .proc = sva_proc_start(test),
	};
	const unsigned int nr = 3000;
	ioasid_t *pasids = kunit_kcalloc(test, nr, sizeof(*pasids), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pasids);
	KUNIT_ASSERT_EQ(test, sva_take_pasids(soft_endpoint_dev(op.ep), pasids, nr), nr);
	sva_give_pasids(pasids, nr);
	KUNIT_EXPECT_GE(test, fail_each(&op), 4);
}

/* The process has a bond already, which must come to no harm. */
static void bind_of_a_second_device_fails_cleanly(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct operation op = {
		.test = test, .go = go_bind, .undo = undo_bind,
		.ep = fixture(test)->ep[1], .proc = bond->proc,
	};
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	KUNIT_EXPECT_GE(test, fail_each(&op), 1);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

static void bind_to_a_second_iommu_fails_cleanly(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct operation op = {
		.test = test, .go = go_bind, .undo = undo_bind, .proc = bond->proc,
	};
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	op.ep = sva_add_endpoint(test, sva_add_iommu(test, NULL), &config, true);
	/* A domain of its own */
	KUNIT_EXPECT_GE(test, fail_each(&op), 2);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

static int go_bind_again(struct operation *op)
{
	struct iommu_sva *sva;

	sva = iommu_sva_bind_device(soft_endpoint_dev(op->ep), sva_proc_mm(op->proc));
	if (!IS_ERR(sva))
		iommu_sva_unbind_device(sva);
	return PTR_ERR_OR_ZERO(sva);
}

static void sharing_a_bond_allocates_nothing(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct operation op = {
		.test = test, .go = go_bind_again, .ep = bond->ep, .proc = bond->proc,
	};

	KUNIT_EXPECT_EQ(test, least_allocations(&op), 0);
}

/* Unbind cannot fail: with any of its allocations failing, the bond is gone. */
static void unbind_does_not_fail(struct kunit *test)
{
	struct sva_proc *proc = sva_proc_start(test);
	struct iopf_bond *bond;
	unsigned int n, left;
	unsigned long mem = sva_proc_map(proc, PAGE_SIZE);

	for (n = 1; n < MANY; n++) {
		bond = iopf_bind(test, fixture(test)->ep[0], proc);
		iopf_partial(bond, 1, mem, IOPF_READ);
		soft_iommu_sync_prq(fixture(test)->iommu);
		current->fail_nth = n;
		iopf_unbind(bond);
		left = current->fail_nth;
		current->fail_nth = 0;
		KUNIT_EXPECT_FALSE(test, soft_ats_translate(bond->ep, bond->pasid, mem, IOPF_READ));
		if (left)
			break;
	}
	KUNIT_EXPECT_LT(test, n, MANY);
}

static int go_alloc_queue(struct operation *op)
{
	op->queue = iopf_queue_alloc("fail_nth");
	return op->queue ? 0 : -ENOMEM;
}

static void undo_alloc_queue(struct operation *op)
{
	iopf_queue_free(op->queue);
}

static void queue_allocation_fails_cleanly(struct kunit *test)
{
	struct operation op = {
		.test = test, .go = go_alloc_queue, .undo = undo_alloc_queue,
	};

	KUNIT_EXPECT_GE(test, fail_each(&op), 2);
}

static int go_add_device(struct operation *op)
{
	return iopf_queue_add_device(op->queue, soft_endpoint_dev(op->ep));
}

static void undo_add_device(struct operation *op)
{
	iopf_queue_remove_device(op->queue, soft_endpoint_dev(op->ep));
}

static void device_add_fails_cleanly(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct operation op = {
		.test = test, .go = go_add_device, .undo = undo_add_device, .ep = bond->ep,
		.queue = soft_iommu_iopf_queue(fixture(test)->iommu),
	};
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	undo_add_device(&op);
	KUNIT_EXPECT_GE(test, fail_each(&op), 1);
	KUNIT_EXPECT_EQ(test, go_add_device(&op), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

static int go_remove_device(struct operation *op)
{
	undo_add_device(op);
	return 0;
}

static void undo_remove_device(struct operation *op)
{
	KUNIT_EXPECT_EQ(op->test, go_add_device(op), 0);
}

/* Removal has to answer, with memory or without. */
static void device_removal_allocates_nothing(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct operation op = {
		.test = test, .go = go_remove_device, .undo = undo_remove_device, .ep = bond->ep,
		.queue = soft_iommu_iopf_queue(fixture(test)->iommu),
	};

	iopf_partial(bond, 0, 0, IOPF_READ);
	soft_iommu_sync_prq(fixture(test)->iommu);
	KUNIT_EXPECT_EQ(test, least_allocations(&op), 0);
}

static int go_enable(struct operation *op)
{
	struct device *dev = soft_endpoint_dev(op->ep);
	int ret;

	ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_IOPF);
	if (ret)
		return ret;
	ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA);
	if (ret)
		iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
	return ret;
}

static void undo_enable(struct operation *op)
{
	struct device *dev = soft_endpoint_dev(op->ep);

	KUNIT_EXPECT_EQ(op->test, iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA), 0);
	KUNIT_EXPECT_EQ(op->test, iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF), 0);
}

static void enabling_features_fails_cleanly(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct operation op = { .test = test, .go = go_enable, .undo = undo_enable };

	op.ep = sva_add_endpoint(test, fixture(test)->iommu, &config, false);
	KUNIT_EXPECT_GE(test, fail_each(&op), 1);
	KUNIT_EXPECT_EQ(test, go_enable(&op), 0);
	iopf_unbind(iopf_bind(test, op.ep, NULL));
	undo_enable(&op);
}

/* Reports, which the PRQ thread makes */

/**
 * struct watched_report - a report with an allocation that fails, if there is one
 * @thread: whose report it was; it stays as long as the IOMMU
 * @armed: the next report is it
 */
struct watched_report {
	struct task_struct *thread;
	bool armed;
};

/*
 * The thread's next allocation is to fail; the report is all that it does until it is idle again,
 * but for waiting.
 */
static int arm_report(const struct soft_iommu_event *event, void *data)
{
	struct watched_report *w = data;

	if (w->armed) {
		w->armed = false;
		w->thread = current;
		current->fail_nth = 1;
	}
	return 0;
}

/* Did the latest report allocate? */
static bool report_has_allocated(struct kunit *test, struct watched_report *w)
{
	bool allocated;

	soft_iommu_sync_prq(fixture(test)->iommu);
	KUNIT_ASSERT_NOT_NULL(test, w->thread);
	allocated = !READ_ONCE(w->thread->fail_nth);
	WRITE_ONCE(w->thread->fail_nth, 0);
	w->thread = NULL;
	return allocated;
}

static void report_allocates_nothing(struct kunit *test)
{
	struct watched_report *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 16 * PAGE_SIZE);

	KUNIT_ASSERT_NOT_NULL(test, w);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_REPORT, arm_report, w);
	for (unsigned int i = 0; i < 8; i++) {
		w->armed = true;
		iopf_partial(bond, i, mem + 2 * i * PAGE_SIZE, IOPF_WRITE);
		KUNIT_EXPECT_FALSE_MSG(test, report_has_allocated(test, w), "partial %u", i);
		w->armed = true;
		iopf_last(bond, i, mem + (2 * i + 1) * PAGE_SIZE, IOPF_WRITE);
		KUNIT_EXPECT_FALSE_MSG(test, report_has_allocated(test, w), "last page %u", i);
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), OK);
	}
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_REPORT, NULL, NULL);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 8);
}

/* Refusals: a PASID that is not bound any more, and a device beyond its allowance */
static void refusal_allocates_nothing(struct kunit *test)
{
	struct watched_report *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);

	KUNIT_ASSERT_NOT_NULL(test, w);
	iopf_queue_remove_device(soft_iommu_iopf_queue(fixture(test)->iommu),
				 soft_endpoint_dev(bond->ep));
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_REPORT, arm_report, w);
	w->armed = true;
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0, IOPF_READ), BAD);
	KUNIT_EXPECT_FALSE(test, report_has_allocated(test, w));
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_REPORT, NULL, NULL);
	KUNIT_EXPECT_EQ(test, iopf_queue_add_device(soft_iommu_iopf_queue(fixture(test)->iommu),
						    soft_endpoint_dev(bond->ep)), 0);
}

/* Service, which workers do */

/**
 * struct watched_service - a page that is served with its nth allocation failing
 * @n: which
 * @armed: the worker has been told
 * @left: what the worker's fail_nth was afterwards
 */
struct watched_service {
	unsigned int n;
	bool armed;
	unsigned int left;
};

/* Page 0 of the gate stands before the page in question in its group, page 1 behind it. */
static void arm_worker(unsigned long index, void *data)
{
	struct watched_service *w = data;

	if (index == 0) {
		if (!w->armed)
			current->fail_nth = w->n;
		w->armed = true;
	} else {
		w->left = current->fail_nth;
		current->fail_nth = 0;
	}
}

/* Every table on the way to a page, and the page: none of these failures is the device's. */
static void service_outlasts_each_failed_allocation(struct kunit *test)
{
	struct watched_service *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct sva_gate *gate = sva_gate(test);
	unsigned long edges, mem;
	struct soft_iommu_stats stats;

	KUNIT_ASSERT_NOT_NULL(test, w);
	sva_gate_on_fault(gate, arm_worker, w);
	sva_gate_open(gate);
	for (w->n = 1; w->n < MANY; w->n++) {
		edges = sva_gate_map(gate, bond->proc, 2 * PAGE_SIZE);
		/* Far from everything else: its tables are still to be made. */
		mem = ((unsigned long)w->n << 32) + SZ_1G;
		KUNIT_ASSERT_EQ(test, sva_proc_mmap(bond->proc, mem, PAGE_SIZE,
						    PROT_READ | PROT_WRITE, MAP_FIXED |
						    MAP_PRIVATE | MAP_ANONYMOUS), mem);
		w->left = 0;
		w->armed = false;
		iopf_partial(bond, 0, edges, IOPF_READ);
		iopf_partial(bond, 0, mem, IOPF_WRITE);
		KUNIT_ASSERT_EQ_MSG(test, iopf_ask(bond, 0, edges + PAGE_SIZE, IOPF_READ), OK,
				    "allocation %u", w->n);
		KUNIT_EXPECT_EQ(test, soft_ats_translate(bond->ep, bond->pasid, mem, IOPF_RW),
				IOPF_RW);
		if (w->left)
			break;
	}
	/* At least: two tables and the page */
	KUNIT_EXPECT_GT(test, w->n, 3);
	KUNIT_EXPECT_LT(test, w->n, MANY);
	soft_iommu_read_stats(fixture(test)->iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.responses[2] + stats.responses[15], 0);
}

static void starve_worker(unsigned long index, void *data)
{
	current->make_it_fail = 1;
}

static int feed_worker(const struct soft_iommu_event *event, void *data)
{
	if (current->make_it_fail)
		*(bool *)data = true;
	current->make_it_fail = 0;
	return 0;
}

/* Memory does not come back: the request is refused, but the device may ask for others. */
static void lasting_shortage_is_an_invalid_request(struct kunit *test)
{
	bool *starved = kunit_kzalloc(test, sizeof(*starved), GFP_KERNEL);
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct sva_gate *gate = sva_gate(test);
	unsigned long edge = sva_gate_map(gate, bond->proc, 1 * PAGE_SIZE);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	KUNIT_ASSERT_NOT_NULL(test, starved);
	sva_gate_on_fault(gate, starve_worker, NULL);
	sva_gate_open(gate);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RESPONSE, feed_worker, starved);
	iopf_partial(bond, 0, edge, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_WRITE), BAD);
	KUNIT_EXPECT_TRUE(test, *starved);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RESPONSE, NULL, NULL);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_WRITE), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 2);
}

static struct kunit_case sva_fail_nth_cases[] = {
	KUNIT_CASE(bind_fails_cleanly),
	KUNIT_CASE(bind_does_not_take_a_shortage_for_exhaustion),
	KUNIT_CASE(bind_of_a_second_device_fails_cleanly),
	KUNIT_CASE(bind_to_a_second_iommu_fails_cleanly),
	KUNIT_CASE(sharing_a_bond_allocates_nothing),
	KUNIT_CASE(unbind_does_not_fail),
	KUNIT_CASE(queue_allocation_fails_cleanly),
	KUNIT_CASE(device_add_fails_cleanly),
	KUNIT_CASE(device_removal_allocates_nothing),
	KUNIT_CASE(enabling_features_fails_cleanly),
	KUNIT_CASE(report_allocates_nothing),
	KUNIT_CASE(refusal_allocates_nothing),
	KUNIT_CASE(service_outlasts_each_failed_allocation),
	KUNIT_CASE(lasting_shortage_is_an_invalid_request),
	{}
};

static struct kunit_suite sva_fail_nth_suite = {
	.name = "iommu_sva_fail_nth",
	.init = fail_nth_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_fail_nth_cases,
};

kunit_test_suite(sva_fail_nth_suite);

MODULE_DESCRIPTION("KUnit tests for SVA with failing allocations");
MODULE_LICENSE("GPL");
