// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page fault queue: what a request may do to an address space
 */
#include <linux/memcontrol.h>
#include <linux/mman.h>
#include <linux/percpu_counter.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/userfaultfd.h>

#include "iopf_kunit.h"

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

static u64 anon_pages(struct iopf_bond *bond)
{
	return percpu_counter_sum(&sva_proc_mm(bond->proc)->rss_stat[MM_ANONPAGES]);
}

/* What is asked for */

struct access {
	const char *name;
	unsigned long prot;
	u32 perm;
	int code;
};

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

static const struct access accesses[] = {
	{ "read_of_read_only", PROT_READ, IOPF_READ, OK },
	{ "write_of_read_only", PROT_READ, IOPF_WRITE, BAD },
	{ "read_and_write_of_read_only", PROT_READ, IOPF_RW, BAD },
	{ "exec_of_read_only", PROT_READ, IOMMU_FAULT_PERM_EXEC, BAD },
	{ "read_of_writable", PROT_READ | PROT_WRITE, IOPF_READ, OK },
	{ "write_of_writable", PROT_READ | PROT_WRITE, IOPF_WRITE, OK },
	{ "read_and_write_of_writable", PROT_READ | PROT_WRITE, IOPF_RW, OK },
	{ "exec_of_writable", PROT_READ | PROT_WRITE, IOMMU_FAULT_PERM_EXEC, BAD },
	/* As for the CPU: what can be written can be read. */
	{ "read_of_write_only", PROT_WRITE, IOPF_READ, OK },
	{ "exec_of_executable", PROT_READ | PROT_EXEC, IOMMU_FAULT_PERM_EXEC | IOPF_READ, OK },
	{ "write_of_executable", PROT_READ | PROT_EXEC, IOPF_WRITE, BAD },
	{ "read_of_inaccessible", PROT_NONE, IOPF_READ, BAD },
	{ "write_of_inaccessible", PROT_NONE, IOPF_WRITE, BAD },
	{ "nothing_of_inaccessible", PROT_NONE, 0, BAD },
	{ "privileged_read", PROT_READ | PROT_WRITE, IOPF_READ | IOMMU_FAULT_PERM_PRIV, BAD },
	{ "privileged_write", PROT_READ | PROT_WRITE, IOPF_WRITE | IOMMU_FAULT_PERM_PRIV, BAD },
};

KUNIT_ARRAY_PARAM_DESC(access, accesses, name);

static void access_is_checked_as_for_the_cpu(struct kunit *test)
{
	const struct access *access = test->param_value;
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_mmap(bond->proc, 0, PAGE_SIZE, access->prot,
					  MAP_PRIVATE | MAP_ANONYMOUS);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(mem));
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, access->perm), access->code);
	/* Nothing is made present for who may not use it. */
	if (access->code == BAD)
		KUNIT_EXPECT_EQ(test, anon_pages(bond), 0);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

/* @addr is counted from @base, if there is one: neither is known before boot. */
struct place {
	const char *name;
	u64 addr;
	u64 (*base)(void);
};

static u64 end_of_user_space(void)
{
	return TASK_SIZE_MAX;
}

static u64 kernel_memory(void)
{
	return PAGE_OFFSET;
}

static const struct place places[] = {
	{ "null", 0 },
	{ "last_page_of_user_space", -PAGE_SIZE, end_of_user_space },
	{ "first_page_beyond", 0, end_of_user_space },
	{ "not_canonical", 1ULL << 62 },
	{ "bit_63", 1ULL << 63 },
	{ "kernel_memory", 0, kernel_memory },
	{ "last_page_of_all", ~0ULL << PAGE_SHIFT },
};

KUNIT_ARRAY_PARAM_DESC(place, places, name);

static void address_outside_the_process_is_refused(struct kunit *test)
{
	const struct place *place = test->param_value;
	u64 addr = place->addr + (place->base ? place->base() : 0);
	struct iopf_bond *bond = bind_first(test);

	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, addr, IOPF_READ), BAD);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, addr, IOPF_WRITE), BAD);
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 2);
}

static void unmapped_memory_is_refused_and_may_be_mapped_again(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	KUNIT_ASSERT_EQ(test, sva_proc_munmap(bond->proc, mem, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), BAD);
	KUNIT_ASSERT_EQ(test, sva_proc_mmap(bond->proc, mem, PAGE_SIZE, PROT_READ,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED), mem);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
}

/* One bad page spoils the answer; the good ones before it are there. */
static void one_bad_page_makes_the_group_invalid(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 2 * PAGE_SIZE);

	iopf_partial(bond, 0, mem, IOPF_WRITE);
	iopf_partial(bond, 0, 0, IOPF_WRITE);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + PAGE_SIZE, IOPF_WRITE), BAD);
	KUNIT_EXPECT_TRUE(test, is_there(bond, mem, IOPF_WRITE));
	KUNIT_EXPECT_EQ(test, iopf_responses(fixture(test)->iommu), 1);
}

static void stack_grows_for_the_device(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long stack = sva_proc_mmap(bond->proc, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(stack));
	for (unsigned int i = 1; i <= 16; i *= 4) {
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, stack - i * PAGE_SIZE, IOPF_WRITE), OK);
		KUNIT_EXPECT_TRUE(test, is_there(bond, stack - i * PAGE_SIZE, IOPF_WRITE));
	}
}

/* The default limit is 8 MB, and 16 MB below there is nothing else. */
static void stack_does_not_grow_beyond_its_limit(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long space = sva_proc_map(bond->proc, SZ_64M), stack = space + SZ_32M;

	KUNIT_ASSERT_EQ(test, sva_proc_munmap(bond->proc, space, SZ_64M), 0);
	KUNIT_ASSERT_EQ(test, sva_proc_mmap(bond->proc, stack, PAGE_SIZE, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
					    MAP_FIXED), stack);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, stack - SZ_16M, IOPF_WRITE), BAD);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, stack, IOPF_WRITE), OK);
}

static void set_memlock_limit(struct iopf_bond *bond, unsigned long len)
{
	struct rlimit64 limit = { .rlim_cur = len, .rlim_max = len };

	KUNIT_ASSERT_EQ(bond->test, sva_proc_syscall(bond->proc, __NR_prlimit64, 0, RLIMIT_MEMLOCK,
						     sva_proc_pass(bond->proc, &limit,
								   sizeof(limit)), 0, 0, 0), 0);
}

/* The process has no CAP_IPC_LOCK, whatever the thread has that serves the request. */
static void locked_stack_does_not_grow_beyond_the_limit_of_locked_memory(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long stack = sva_proc_mmap(bond->proc, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(stack));
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(bond->proc, __NR_mlock, stack, PAGE_SIZE, 0, 0, 0,
					       0), 0);
	set_memlock_limit(bond, 4 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, stack - 4 * PAGE_SIZE, IOPF_WRITE), OK);
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(bond->proc, __NR_setresuid, 1, 1, 1, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, stack - 5 * PAGE_SIZE, IOPF_WRITE), BAD);
	set_memlock_limit(bond, 3 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, stack - 4 * PAGE_SIZE, IOPF_WRITE), OK);
}

static void missing_page_is_fetched_from_the_userfaultfd_monitor(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, 2 * PAGE_SIZE);
	struct uffdio_copy copy = { .dst = mem, .len = PAGE_SIZE };
	struct uffd_msg msg = {};
	struct iopf_monitor m = {};
	u64 magic = 0x5a5a1234;

	iopf_monitor_start(&m, bond, mem, 2 * PAGE_SIZE);
	iopf_last(bond, 0, mem, IOPF_WRITE);
	KUNIT_ASSERT_TRUE_MSG(test, iopf_monitor_wait(&m, &msg),
			      "answered without asking the monitor");
	KUNIT_EXPECT_EQ(test, msg.event, UFFD_EVENT_PAGEFAULT);
	KUNIT_EXPECT_EQ(test, msg.arg.pagefault.address & PAGE_MASK, mem);

	copy.src = m.scratch + PAGE_SIZE;
	KUNIT_ASSERT_EQ(test, sva_proc_write(bond->proc, copy.src, &magic, sizeof(magic)), 0);
	iopf_monitor_ioctl(&m, UFFDIO_COPY, &copy, sizeof(copy));
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
	magic = 0;
	KUNIT_EXPECT_EQ(test, soft_dma_read(bond->ep, bond->pasid, mem, &magic, sizeof(magic)), 0);
	KUNIT_EXPECT_EQ(test, magic, 0x5a5a1234);
}

/* Whom the kernel asks where it asks the current thread */
struct server {
	unsigned int flags;
	bool has_mm;
	bool has_policy;
	struct mem_cgroup *charged;
};

static void see_server(unsigned long index, void *arg)
{
	struct server *server = arg;

	server->flags = current->flags;
	server->has_mm = current->mm;
#ifdef CONFIG_NUMA
	server->has_policy = current->mempolicy;
#endif
#ifdef CONFIG_MEMCG
	server->charged = current->active_memcg;
#endif
}

/* Time is the worker's; the memory group is the process's, and so is its policy: none. */
static void fault_is_a_worker_s_but_charged_to_the_process(struct kunit *test)
{
	struct server *server = kunit_kzalloc(test, sizeof(*server), GFP_KERNEL);
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct mem_cgroup *memcg;

	KUNIT_ASSERT_NOT_NULL(test, server);
	sva_gate_on_fault(s.gate, see_server, server);
	sva_gate_open(s.gate);
	KUNIT_EXPECT_EQ(test, iopf_ask(s.bond, 0, s.mem, IOPF_READ), OK);
	sva_gate_on_fault(s.gate, NULL, NULL);
	KUNIT_EXPECT_TRUE(test, server->flags & PF_WQ_WORKER);
	KUNIT_EXPECT_FALSE(test, server->has_mm);
	KUNIT_EXPECT_FALSE(test, server->has_policy);
	memcg = get_mem_cgroup_from_mm(sva_proc_mm(s.bond->proc));
	if (SVA_CORE)
		KUNIT_EXPECT_PTR_EQ(test, server->charged, memcg);
	mem_cgroup_put(memcg);
}

/* A fault that waits for a file server does not keep the process from mapping memory. */
static void mmap_lock_is_free_while_a_file_is_read(struct kunit *test)
{
	struct sva_gate *gate = sva_gate(test);
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, PAGE_SIZE);

	iopf_last(bond, 0, mem, IOPF_READ);
	iopf_await(test, gate, 1);
	KUNIT_EXPECT_FALSE(test, rwsem_is_locked(&sva_proc_mm(bond->proc)->mmap_lock));
	sva_gate_open(gate);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
}

static void page_asked_for_twice_is_found_the_second_time(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	iopf_partial(bond, 0, mem, IOPF_READ);
	iopf_partial(bond, 0, mem, IOPF_WRITE);
	iopf_last(bond, 0, mem, IOPF_WRITE);
	iopf_last(bond, 1, mem, IOPF_WRITE);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), OK);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 1), OK);
	KUNIT_EXPECT_TRUE(test, is_there(bond, mem, IOPF_WRITE));
	KUNIT_EXPECT_EQ(test, anon_pages(bond), 1);
}

/* Writes to pages that fork() has made read-only: each page needs a bounded number of requests. */
static void writes_after_fork_do_not_fault_for_ever(struct kunit *test)
{
	struct soft_iommu_stats before, after;
	struct iopf_bond *bond = bind_first(test);
	const size_t len = 32 * PAGE_SIZE;
	unsigned long mem = sva_proc_map(bond->proc, len);
	struct sva_proc *child;
	u64 val;

	KUNIT_ASSERT_EQ(test, sva_proc_madvise(bond->proc, mem, len, MADV_POPULATE_WRITE), 0);
	child = sva_proc_fork(bond->proc);
	soft_iommu_read_stats(fixture(test)->iommu, &before);
	for (unsigned int i = 0; i < 64; i++) {
		val = i;
		KUNIT_EXPECT_EQ(test, soft_dma_write(bond->ep, bond->pasid,
						     mem + (i % 32) * PAGE_SIZE, &val,
						     sizeof(val)), 0);
	}
	soft_iommu_read_stats(fixture(test)->iommu, &after);
	KUNIT_EXPECT_LE(test, after.prq_requests - before.prq_requests, 64);
	KUNIT_EXPECT_EQ(test, sva_proc_read(child, mem, &val, sizeof(val)), 0);
	KUNIT_EXPECT_EQ(test, val, 0);
}

static void same_page_of_two_devices(struct kunit *test)
{
	struct sva_proc *proc = sva_proc_start(test);
	struct iopf_bond *a = iopf_bind(test, fixture(test)->ep[0], proc);
	struct iopf_bond *b = iopf_bind(test, fixture(test)->ep[1], proc);
	unsigned long mem = sva_proc_map(proc, 64 * PAGE_SIZE);

	for (unsigned int i = 0; i < 64; i++) {
		iopf_last(a, i, mem + i * PAGE_SIZE, IOPF_WRITE);
		iopf_last(b, i, mem + i * PAGE_SIZE, IOPF_WRITE);
		KUNIT_EXPECT_EQ(test, iopf_answer(a, i), OK);
		KUNIT_EXPECT_EQ(test, iopf_answer(b, i), OK);
	}
	KUNIT_EXPECT_EQ(test, anon_pages(a), 64);
}

/* Each time the request fills a 512 GB slot of the top-level table, too. */
static void success_means_that_the_retry_finds_the_page(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long addr;

	for (unsigned int i = 1; i <= 32; i++) {
		addr = (unsigned long)i << 41 | get_random_u32() << PAGE_SHIFT;
		if (addr >= TASK_SIZE_MAX - PAGE_SIZE)
			break;
		KUNIT_ASSERT_EQ(test, sva_proc_mmap(bond->proc, addr, PAGE_SIZE,
						    PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED), addr);
		KUNIT_EXPECT_FALSE(test, is_there(bond, addr, IOPF_READ));
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, addr, i & 1 ? IOPF_READ : IOPF_RW), OK);
		KUNIT_EXPECT_TRUE(test, is_there(bond, addr, i & 1 ? IOPF_READ : IOPF_RW));
	}
}

static void read_page_may_be_written_after_another_request(struct kunit *test)
{
	struct iopf_bond *bond = bind_first(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
	KUNIT_EXPECT_FALSE(test, is_there(bond, mem, IOPF_WRITE));
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_WRITE), OK);
	KUNIT_EXPECT_TRUE(test, is_there(bond, mem, IOPF_WRITE));
}

static struct kunit_case iopf_serve_cases[] = {
	KUNIT_CASE_PARAM(access_is_checked_as_for_the_cpu, access_gen_params),
	KUNIT_CASE_PARAM(address_outside_the_process_is_refused, place_gen_params),
	KUNIT_CASE(unmapped_memory_is_refused_and_may_be_mapped_again),
	KUNIT_CASE(one_bad_page_makes_the_group_invalid),
	KUNIT_CASE(stack_grows_for_the_device),
	KUNIT_CASE(stack_does_not_grow_beyond_its_limit),
	KUNIT_CASE(locked_stack_does_not_grow_beyond_the_limit_of_locked_memory),
	KUNIT_CASE(missing_page_is_fetched_from_the_userfaultfd_monitor),
	KUNIT_CASE(fault_is_a_worker_s_but_charged_to_the_process),
	KUNIT_CASE(mmap_lock_is_free_while_a_file_is_read),
	KUNIT_CASE(page_asked_for_twice_is_found_the_second_time),
	KUNIT_CASE(writes_after_fork_do_not_fault_for_ever),
	KUNIT_CASE(same_page_of_two_devices),
	KUNIT_CASE(success_means_that_the_retry_finds_the_page),
	KUNIT_CASE(read_page_may_be_written_after_another_request),
	{}
};

static struct kunit_suite iopf_serve_suite = {
	.name = "iopf_serve",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = iopf_serve_cases,
};

kunit_test_suite(iopf_serve_suite);

SVA_CONFORM_SUITE(iopf_serve, iopf_fixture_init, iopf_fixture_exit,
		  SVA_CONFORM_CASE(unmapped_memory_is_refused_and_may_be_mapped_again),
		  SVA_CONFORM_CASE(one_bad_page_makes_the_group_invalid),
		  SVA_CONFORM_CASE(stack_grows_for_the_device),
		  SVA_CONFORM_CASE(page_asked_for_twice_is_found_the_second_time),
		  SVA_CONFORM_CASE(writes_after_fork_do_not_fault_for_ever),
		  SVA_CONFORM_CASE(same_page_of_two_devices),
		  SVA_CONFORM_CASE(success_means_that_the_retry_finds_the_page),
		  SVA_CONFORM_CASE(read_page_may_be_written_after_another_request));

MODULE_DESCRIPTION("KUnit tests for how the I/O page fault queue serves requests");
MODULE_LICENSE("GPL");
