// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: groups, how they are collected and how they are answered
 */
#include <linux/kmsg_dump.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "iopf_kunit.h"

/* PRG indices have nine bits; a platform device's credits default to 256. */
#define GROUPS_MAX	512
/* As many as the page request ring takes at once; what follows are multiples */
#define BATCH		64
/* Many times what the log may have of them */
#define MALFORMED	1024
/* With KASAN, which keeps what is freed, their memory cannot be counted; and each takes longer. */
#define PARTIALS	(IS_ENABLED(CONFIG_KASAN) ? 2U * GROUPS_MAX : 16384U)

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

/* A process on the first endpoint. */
static struct iopf_bond *bind_first(struct kunit *test)
{
	return iopf_bind(test, fixture(test)->ep[0], NULL);
}

/* What a success promised: the retry finds the page. */
static bool is_there(struct iopf_bond *bond, unsigned long addr, u32 perm)
{
	return (soft_ats_translate(bond->ep, bond->pasid, addr, perm) & perm) == perm;
}

/* The i-th of many requests: sent in batches that fit the ring, and then reported in one go. */
static void before_request(struct kunit *test, unsigned int i)
{
	if (i % BATCH == 0)
		soft_iommu_hold_prq(fixture(test)->iommu, true);
}

static void after_request(struct kunit *test, unsigned int i)
{
	if (i % BATCH != BATCH - 1)
		return;
	soft_iommu_hold_prq(fixture(test)->iommu, false);
	soft_iommu_sync_prq(fixture(test)->iommu);
}

/* Collecting */

static void one_request_is_answered(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_RW), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_TRUE(test, is_there(bond, mem, IOPF_RW));
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

struct order {
	const char *name;
	unsigned int (*page)(unsigned int i, unsigned int n);
};

static unsigned int ascending(unsigned int i, unsigned int n)
{
	return i;
}

static unsigned int descending(unsigned int i, unsigned int n)
{
	return n - 1 - i;
}

static unsigned int inside_out(unsigned int i, unsigned int n)
{
	return (n + (i & 1 ? -1 - i : i)) / 2;
}

static const struct order orders[] = {
	{ "ascending", ascending },
	{ "descending", descending },
	{ "inside_out", inside_out },
};

KUNIT_ARRAY_PARAM_DESC(order, orders, name);

/* Groups of 2 to 16 pages, the last page being that of the order's last address */
static void whole_group_is_served(struct kunit *test)
{
	const struct order *order = test->param_value;
	struct iopf_bond *bond = bind_first(test);

	for (unsigned int n = 2; n <= 16; n++) {
		unsigned long mem = sva_proc_map(bond->proc, n * PAGE_SIZE);

		for (unsigned int i = 0; i < n - 1; i++)
			iopf_partial(bond, n, mem + order->page(i, n) * PAGE_SIZE, IOPF_WRITE);
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, n, mem + order->page(n - 1, n) * PAGE_SIZE,
					       IOPF_WRITE), IOMMU_PAGE_RESP_SUCCESS);
		for (unsigned int i = 0; i < n; i++)
			KUNIT_EXPECT_TRUE(test, is_there(bond, mem + i * PAGE_SIZE, IOPF_WRITE));
	}
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 15);
}

static void partial_of_another_pasid_is_not_taken(struct kunit *test)
{
	struct iopf_bond *a = bind_first(test), *b = bind_first(test);
	unsigned long mem_a = sva_proc_map(a->proc, PAGE_SIZE);
	unsigned long mem_b = sva_proc_map(b->proc, PAGE_SIZE);

	/* For b's process this address is an error, too: b must not be blamed for it. */
	iopf_partial(a, 5, 0, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(b, 5, mem_b, IOPF_READ), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, iopf_ask(a, 5, mem_a, IOPF_READ), IOMMU_PAGE_RESP_INVALID);
}

static void partial_of_another_device_is_not_taken(struct kunit *test)
{
	struct sva_proc *proc = sva_proc_start(test);
	struct iopf_bond *a = iopf_bind(test, fixture(test)->ep[0], proc);
	struct iopf_bond *b = iopf_bind(test, fixture(test)->ep[1], proc);
	unsigned long mem = sva_proc_map(proc, 2 * PAGE_SIZE);

	iopf_partial(a, 5, 0, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(b, 5, mem, IOPF_READ), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, iopf_ask(a, 5, mem + PAGE_SIZE, IOPF_READ),
			IOMMU_PAGE_RESP_INVALID);
}

static void partial_of_another_index_is_not_taken(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 2 * PAGE_SIZE);

	iopf_partial(bond, 1, 0, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 2, mem, IOPF_READ), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 1, mem + PAGE_SIZE, IOPF_READ),
			IOMMU_PAGE_RESP_INVALID);
}

static void groups_of_two_indices_may_interleave(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 6 * PAGE_SIZE);

	for (unsigned int i = 0; i < 4; i++)
		iopf_partial(bond, i & 1, mem + i * PAGE_SIZE, IOPF_WRITE);
	iopf_last(bond, 1, mem + 4 * PAGE_SIZE, IOPF_WRITE);
	iopf_last(bond, 0, mem + 5 * PAGE_SIZE, IOPF_WRITE);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 1), IOMMU_PAGE_RESP_SUCCESS);
	for (unsigned int i = 0; i < 6; i++)
		KUNIT_EXPECT_TRUE(test, is_there(bond, mem + i * PAGE_SIZE, IOPF_WRITE));
}

/* A function that was reset in the middle of a group begins anew with the same index. */
static void partials_without_last_page_join_the_next_group(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 3 * PAGE_SIZE);

	iopf_partial(bond, 7, mem, IOPF_WRITE);
	soft_iommu_sync_prq(fixture(test)->iommu);
	iopf_partial(bond, 7, mem + PAGE_SIZE, IOPF_WRITE);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 7, mem + 2 * PAGE_SIZE, IOPF_WRITE),
			IOMMU_PAGE_RESP_SUCCESS);
	for (unsigned int i = 0; i < 3; i++)
		KUNIT_EXPECT_TRUE(test, is_there(bond, mem + i * PAGE_SIZE, IOPF_WRITE));
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

static void partials_alone_are_not_answered(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	for (unsigned int i = 0; i < 8; i++)
		iopf_partial(bond, i, mem, IOPF_READ);
	soft_iommu_sync_prq(fixture(test)->iommu);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 0);
	KUNIT_EXPECT_FALSE(test, is_there(bond, mem, IOPF_READ));
}

/* A device that never sends a last page costs no more memory than its slots. */
static void endless_partials_are_bounded(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	unsigned long before, after;

	soft_endpoint_lie_about_credits(bond->ep, true);
	before = global_node_page_state_pages(NR_SLAB_UNRECLAIMABLE_B);
	for (unsigned int i = 0; i < PARTIALS; i++) {
		before_request(test, i);
		iopf_partial(bond, i % GROUPS_MAX, mem, IOPF_READ);
		after_request(test, i);
	}
	after = global_node_page_state_pages(NR_SLAB_UNRECLAIMABLE_B);
	/* KASAN keeps what is freed for a while. */
	if (!IS_ENABLED(CONFIG_KASAN))
		KUNIT_EXPECT_LT_MSG(test, after, before + SZ_256K / PAGE_SIZE,
				    "%u partials took %lu pages", PARTIALS, after - before);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 1, mem, IOPF_READ), IOMMU_PAGE_RESP_SUCCESS);
}

static void index_may_be_used_again_at_once(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 64 * PAGE_SIZE);

	for (unsigned int i = 0; i < 64; i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, 3, mem + i * PAGE_SIZE, IOPF_WRITE),
				IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 64);
}

static void all_indices_are_answered_once(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20, .credits = 64 };
	struct sva_fixture *f = fixture(test);
	struct iopf_bond *bond = iopf_bind(test, sva_add_endpoint(test, f->iommu, &config, true),
					   NULL);
	unsigned long mem = sva_proc_map(bond->proc, GROUPS_MAX * PAGE_SIZE);
	unsigned int i, j;

	for (i = 0; i < GROUPS_MAX; i += 32) {
		for (j = i; j < i + 32; j++)
			iopf_last(bond, j, mem + j * PAGE_SIZE, IOPF_WRITE);
		for (j = i; j < i + 32; j++)
			KUNIT_EXPECT_EQ(test, iopf_answer(bond, j), IOMMU_PAGE_RESP_SUCCESS);
	}
	KUNIT_EXPECT_EQ(test, iopf_responses(f->iommu), GROUPS_MAX);
}

/* What is asked for */

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

/* Answering */

static int failing_handler(struct iopf_group *group)
{
	return -EIO;
}

static void group_that_the_handler_refuses_is_invalid(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);

	bond->sva->handle.domain->iopf_handler = failing_handler;
	iopf_partial(bond, 0, 0, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0, IOPF_READ), BAD);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 1, 0, IOPF_READ), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 2);
}

/* PCIe 6.0, section 10.4.2.2: Success 0, Invalid Request 1, Response Failure 15, no others. */
static void codes_are_those_of_pcie(struct kunit *test)
{
	static const struct {
		enum iommu_page_response_code code;
		int wire;
	} codes[] = {
		{ IOMMU_PAGE_RESP_SUCCESS, 0 },
		{ IOMMU_PAGE_RESP_INVALID, 1 },
		{ IOMMU_PAGE_RESP_FAILURE, 15 },
	};
	struct iopf_bond *bond = bind_first(test);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct soft_iommu_stats stats;

	for (unsigned int i = 0; i < ARRAY_SIZE(codes); i++) {
		iopf_last(bond, i, 0, IOPF_READ);
		iopf_keeper_await(test, keeper, 1);
		iopf_keeper_finish(keeper, codes[i].code);
		KUNIT_EXPECT_EQ(test, iopf_answer(bond, i), codes[i].wire);
	}
	soft_iommu_read_stats(fixture(test)->iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.responses[2], 0);
}

static void second_answer_of_a_handler_is_ignored(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct iopf_group *group = iopf_ask_keeper(bond, iopf_keep(bond), 0);

	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
	iopf_free_group(group);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

/* As iommufd's fault queue does it: off the list, then answered whenever user space likes. */
static void dequeued_group_is_answered_by_its_handler(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct iopf_group *group = iopf_ask_keeper(bond, iopf_keep(bond), 0);

	iopf_group_dequeue(group);
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

static void handler_sees_requests_in_order_of_arrival(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	struct iopf_keeper *keeper = iopf_keep(bond);
	struct iopf_group *group;
	struct iopf_fault *iopf;
	unsigned int i = 0;

	for (i = 0; i < 9; i++)
		iopf_partial(bond, 4, i * PAGE_SIZE, IOPF_READ);
	iopf_last(bond, 4, i * PAGE_SIZE, IOPF_READ);
	iopf_keeper_await(test, keeper, 1);
	group = iopf_keeper_take(keeper);
	KUNIT_EXPECT_EQ(test, group->fault_count, 10);
	i = 0;
	list_for_each_entry(iopf, &group->faults, list)
		KUNIT_EXPECT_EQ(test, iopf->fault.prm.addr, i++ * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, i, 10);
	iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
	iopf_free_group(group);
}

/* The kernel's log at some time */
struct log_mark {
	u64 records;
	unsigned long since;
};

static struct log_mark mark_log(void)
{
	struct kmsg_dump_iter iter = {};

	kmsg_dump_rewind(&iter);
	return (struct log_mark){ .records = iter.next_seq, .since = jiffies };
}

/*
 * Of each kind of line at most ten in five seconds, and one that counts the others; the first five
 * seconds began before the case did.
 */
static void expect_bounded_log(struct kunit *test, struct log_mark mark)
{
	u64 lines = mark_log().records - mark.records;
	u64 bound = 11 * (2 + (jiffies - mark.since) / (5 * HZ));

	KUNIT_EXPECT_LE_MSG(test, lines, bound, "%llu lines of log", lines);
}

/* Limits */

static void excess_of_a_lying_device_is_refused(struct kunit *test)
{
	struct sva_gate *gate = sva_gate(test);
	struct iopf_bond *bond = bind_first(test);
	struct iopf_bond *other = iopf_bind(test, fixture(test)->ep[1], NULL);
	unsigned long mem = sva_gate_map(gate, bond->proc, GROUPS_MAX * PAGE_SIZE);
	unsigned long other_mem = sva_proc_map(other->proc, PAGE_SIZE);
	unsigned int refused, served = 0;
	struct log_mark mark = mark_log();

	soft_endpoint_lie_about_credits(bond->ep, true);
	for (unsigned int i = 0; i < GROUPS_MAX; i++) {
		before_request(test, i);
		iopf_last(bond, i, mem + i * PAGE_SIZE, IOPF_READ);
		after_request(test, i);
	}
	/* All others are held: what has been answered by now was refused. */
	refused = iopf_responses(fixture(test)->iommu);
	KUNIT_EXPECT_GT(test, refused, 0);
	KUNIT_EXPECT_LE(test, refused, GROUPS_MAX - 256);
	expect_bounded_log(test, mark);
	KUNIT_EXPECT_EQ(test, iopf_ask(other, 0, other_mem, IOPF_READ), OK);

	sva_gate_open(gate);
	for (unsigned int i = 0; i < GROUPS_MAX; i++)
		served += iopf_answer(bond, i) == OK;
	KUNIT_EXPECT_EQ(test, served, GROUPS_MAX - refused);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), GROUPS_MAX + 1);
	soft_endpoint_lie_about_credits(bond->ep, false);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

#ifdef CONFIG_MEMCG_V1
struct oom_left {
	unsigned int responses;
	unsigned int left;
};

static int see_oom_left(const struct soft_iommu_event *event, void *data)
{
	struct oom_left *see = data;

	see->responses++;
	see->left += !!current->memcg_in_oom;
	return 0;
}

/* A worker that has hit the limit of one process goes on to serve another's faults. */
static void memcg_limit_leaves_nothing_on_the_worker(struct kunit *test)
{
	struct oom_left *see = kunit_kzalloc(test, sizeof(*see), GFP_KERNEL);
	struct iopf_bond *bond = bind_first(test), *other = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_4M), pages = 0;

	KUNIT_ASSERT_NOT_NULL(test, see);
	iopf_memcg_make(other);
	sva_sysfs_put(test, "/memcg/a/memory.limit_in_bytes", "1048576");
	sva_sysfs_put(test, "/memcg/a/memory.oom_control", "1");
	iopf_memcg_enter(bond, "/memcg/a/cgroup.procs");

	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RESPONSE, see_oom_left, see);
	while (pages < SZ_4M / PAGE_SIZE &&
	       iopf_ask(bond, 0, mem + pages * PAGE_SIZE, IOPF_WRITE) == OK)
		pages++;
	KUNIT_EXPECT_LT(test, pages, SZ_1M / PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, iopf_ask(other, 0, sva_proc_map(other->proc, PAGE_SIZE), IOPF_WRITE),
			OK);
	KUNIT_EXPECT_EQ(test, see->responses, pages + 2);
	KUNIT_EXPECT_EQ(test, see->left, 0);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RESPONSE, NULL, NULL);

	sva_sysfs_put(test, "/memcg/a/memory.limit_in_bytes", "67108864");
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + pages * PAGE_SIZE, IOPF_WRITE), OK);
	iopf_memcg_enter(bond, "/memcg/cgroup.procs");
	iopf_memcg_remove(other);
}
#endif /* CONFIG_MEMCG_V1 */

struct malformed {
	const char *name;
	u32 flags;
	ioasid_t pasid;
};

/* Requests that a user can make a device send by the million, and that belong to no bond */
static const struct malformed malformed[] = {
	{ "without a PASID", IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE },
	{ "for an unbound PASID", IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
				  IOMMU_FAULT_PAGE_REQUEST_PASID_VALID, 0x12345 },
};

KUNIT_ARRAY_PARAM_DESC(malformed, malformed, name);

static void malformed_requests_leave_a_bounded_log(struct kunit *test)
{
	const struct malformed *kind = test->param_value;
	struct iommu_fault_page_request prm = { .flags = kind->flags, .pasid = kind->pasid };
	struct soft_endpoint *ep = fixture(test)->ep[0];
	struct soft_iommu_stats stats;
	struct log_mark mark;

	sva_quarantine(test, 0);
	/* Software gets to see them all. */
	soft_iommu_take_all(fixture(test)->iommu, true);
	soft_endpoint_lie_about_credits(ep, true);
	mark = mark_log();
	for (unsigned int i = 0; i < MALFORMED; i++) {
		before_request(test, i);
		prm.grpid = i % GROUPS_MAX;
		if (soft_pri_send(ep, &prm))
			KUNIT_FAIL(test, "request %u", i);
		after_request(test, i);
	}
	expect_bounded_log(test, mark);
	soft_iommu_read_stats(fixture(test)->iommu, &stats);
	KUNIT_EXPECT_EQ(test, stats.responses[BAD], MALFORMED);
}

/* What a process has no access to is its own affair. */
static void bad_addresses_leave_no_log(struct kunit *test)
{
	static const u32 perms[] = {
		IOPF_READ, IOPF_WRITE, 0, IOPF_RW | IOMMU_FAULT_PERM_PRIV,
		IOMMU_FAULT_PERM_EXEC, IOPF_READ | IOMMU_FAULT_PERM_EXEC | IOMMU_FAULT_PERM_PRIV,
	};
	/* In no mapping, in the kernel, and in the gap between the halves of the address space */
	const unsigned long addrs[] = { 0, PAGE_OFFSET, 1UL << 62, ~0UL };
	struct iopf_bond *bond = bind_first(test);
	unsigned int lines = sva_log_lines(test, fixture(test)->dev[0]);

	for (unsigned int i = 0; i < 480; i += 16) {
		for (unsigned int j = 0; j < 16; j++)
			iopf_last(bond, j, addrs[j % 4], perms[(i + j) / 4 % 6]);
		for (unsigned int j = 0; j < 16; j++)
			KUNIT_EXPECT_EQ(test, iopf_answer(bond, j), BAD);
	}
	KUNIT_EXPECT_EQ(test, sva_log_lines(test, fixture(test)->dev[0]), lines);
}

/* Nor is what it may read, but not write or execute. */
static void forbidden_accesses_leave_no_log(struct kunit *test)
{
	static const u32 perms[] = {
		IOPF_RW, IOMMU_FAULT_PERM_EXEC, IOPF_READ | IOMMU_FAULT_PERM_PRIV, 0,
	};
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	unsigned int lines;

	KUNIT_ASSERT_EQ(test, sva_proc_mprotect(bond->proc, mem, PAGE_SIZE, PROT_READ), 0);
	lines = sva_log_lines(test, fixture(test)->dev[0]);
	for (unsigned int i = 0; i < 256; i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, perms[i % 4]), BAD);
	KUNIT_EXPECT_EQ(test, sva_log_lines(test, fixture(test)->dev[0]), lines);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

#if SVA_CORE
static void what_is_no_page_request_is_not_taken(struct kunit *test)
{
	struct iopf_fault evt = { };

	KUNIT_EXPECT_EQ(test, iommu_report_device_fault(fixture(test)->dev[0], &evt), -EINVAL);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 0);
	KUNIT_EXPECT_EQ(test, iopf_counted(fixture(test)->ep[0], IOPF_REQUESTS), 0);
}

/* As drivers report that read one entry of their queue at a time */
static int report(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, u32 last)
{
	struct iopf_fault evt = {
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm = {
			.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | last,
			.pasid = pasid,
			.perm = IOPF_RW,
			.addr = addr,
		},
	};

	return iommu_report_device_fault(soft_endpoint_dev(ep), &evt);
}

static void requests_may_be_reported_one_by_one(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 2 * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, report(bond->ep, bond->pasid, mem, 0), 0);
	KUNIT_EXPECT_EQ(test, report(bond->ep, bond->pasid, mem + PAGE_SIZE,
				     IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE), 0);
	KUNIT_EXPECT_EQ(test, iopf_queue_flush_dev(soft_endpoint_dev(bond->ep)), 0);
	KUNIT_EXPECT_TRUE(test, is_there(bond, mem, IOPF_RW));
	KUNIT_EXPECT_TRUE(test, is_there(bond, mem + PAGE_SIZE, IOPF_RW));
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_SERVED), 1);
	/* The endpoint did not ask, and wonders about the answer. */
	KUNIT_EXPECT_EQ(test, soft_iommu_forgive(fixture(test)->iommu), 1U);
}

static void last_page_of_a_device_on_no_queue_is_refused(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_endpoint *ep = sva_add_endpoint(test, fixture(test)->iommu, &config, false);

	KUNIT_EXPECT_EQ(test, report(ep, 1, 0, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 0);
	KUNIT_EXPECT_EQ(test, report(ep, 1, 0, IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE), -ENODEV);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
	KUNIT_EXPECT_EQ(test, soft_iommu_forgive(fixture(test)->iommu), 1U);
}

/* What the OOM killer does to memory of a process that it cannot wait for */
static void fault_in_memory_that_is_being_reaped_is_given_up(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct mm_struct *mm = sva_proc_mm(s.bond->proc);

	iopf_ask_slow(&s, 1);
	set_bit(MMF_UNSTABLE, &mm->flags);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(s.bond, 0), BAD);
	clear_bit(MMF_UNSTABLE, &mm->flags);
	KUNIT_EXPECT_EQ(test, sva_gate_faults(s.gate), 1U);
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, s.mem, IOPF_READ), IOMMU_PAGE_RESP_SUCCESS);
}
#endif

static struct kunit_case iopf_groups_cases[] = {
	KUNIT_CASE(one_request_is_answered),
	KUNIT_CASE_PARAM(whole_group_is_served, order_gen_params),
	KUNIT_CASE(partial_of_another_pasid_is_not_taken),
	KUNIT_CASE(partial_of_another_device_is_not_taken),
	KUNIT_CASE(partial_of_another_index_is_not_taken),
	KUNIT_CASE(groups_of_two_indices_may_interleave),
	KUNIT_CASE(partials_without_last_page_join_the_next_group),
	KUNIT_CASE(partials_alone_are_not_answered),
	KUNIT_CASE(endless_partials_are_bounded),
	KUNIT_CASE(index_may_be_used_again_at_once),
	KUNIT_CASE(all_indices_are_answered_once),
	KUNIT_CASE(group_that_the_handler_refuses_is_invalid),
	KUNIT_CASE(codes_are_those_of_pcie),
	KUNIT_CASE(second_answer_of_a_handler_is_ignored),
	KUNIT_CASE(dequeued_group_is_answered_by_its_handler),
	KUNIT_CASE(handler_sees_requests_in_order_of_arrival),
	KUNIT_CASE(excess_of_a_lying_device_is_refused),
#ifdef CONFIG_MEMCG_V1
	KUNIT_CASE(memcg_limit_leaves_nothing_on_the_worker),
#endif
	KUNIT_CASE_PARAM(malformed_requests_leave_a_bounded_log, malformed_gen_params),
	KUNIT_CASE(bad_addresses_leave_no_log),
	KUNIT_CASE(forbidden_accesses_leave_no_log),
#if SVA_CORE
	KUNIT_CASE(what_is_no_page_request_is_not_taken),
	KUNIT_CASE(requests_may_be_reported_one_by_one),
	KUNIT_CASE(last_page_of_a_device_on_no_queue_is_refused),
	KUNIT_CASE(fault_in_memory_that_is_being_reaped_is_given_up),
#endif
	{}
};

static struct kunit_suite iopf_groups_suite = {
	.name = "iopf_groups",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_groups_cases,
};

kunit_test_suite(iopf_groups_suite);

SVA_CONFORM_SUITE(iopf_groups, iopf_fixture_init, iopf_fixture_exit,
		  SVA_CONFORM_CASE(one_request_is_answered),
		  SVA_CONFORM_CASE(partial_of_another_pasid_is_not_taken),
		  SVA_CONFORM_CASE(partial_of_another_device_is_not_taken),
		  SVA_CONFORM_CASE(partial_of_another_index_is_not_taken),
		  SVA_CONFORM_CASE(groups_of_two_indices_may_interleave),
		  SVA_CONFORM_CASE(partials_alone_are_not_answered),
		  SVA_CONFORM_CASE(index_may_be_used_again_at_once),
		  SVA_CONFORM_CASE(codes_are_those_of_pcie),
		  SVA_CONFORM_CASE(second_answer_of_a_handler_is_ignored),
		  SVA_CONFORM_CASE(handler_sees_requests_in_order_of_arrival));

MODULE_DESCRIPTION("KUnit tests for groups of the I/O page fault queue");
MODULE_LICENSE("GPL");
