// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices without page requests: memory that is there, and iommu_sva_handle_fault()
 *
 * The endpoint has no PRI. What it cannot translate it aborts; the test, in the place of its
 * driver, has the fault served and tries again.
 */
#include <linux/mman.h>
#include <linux/moduleparam.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "iopf_kunit.h"
#include "../iommu-sva-around.h"

#define RW	(IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE)

static struct iopf_bond *bind_own(struct kunit *test)
{
	const struct soft_endpoint_config config = { .pasid_bits = 20, .no_pri = true };
	struct sva_fixture *fix = test->priv;

	return iopf_bind(test, sva_add_endpoint(test, fix->iommu, &config, false), NULL);
}

static int fault(struct iopf_bond *bond, unsigned long addr, u32 perm)
{
	return iommu_sva_handle_fault(bond->sva, addr, perm);
}

static int write_word(struct iopf_bond *bond, unsigned long addr, u64 word)
{
	return soft_dma_write(bond->ep, bond->pasid, addr, &word, sizeof(word));
}

static u64 page_requests(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(fix->iommu, &stats);
	return stats.prq_requests;
}

static void fault_that_a_driver_reports_brings_the_page(struct kunit *test)
{
	struct iopf_bond *bond = bind_own(test);
	unsigned long mem = sva_proc_map(bond->proc, 16 * PAGE_SIZE);

	for (unsigned int i = 0; i < 16; i++) {
		KUNIT_EXPECT_EQ(test, write_word(bond, mem + i * PAGE_SIZE, i), -EFAULT);
		KUNIT_EXPECT_EQ(test, fault(bond, mem + i * PAGE_SIZE + 8 * i, RW), 0);
		KUNIT_EXPECT_EQ(test, write_word(bond, mem + i * PAGE_SIZE, i), 0);
		SVA_EXPECT_HOLDS(test, bond->proc, mem + i * PAGE_SIZE, i);
	}
	KUNIT_EXPECT_EQ(test, page_requests(test), 0);
}

static void fault_that_cannot_be_served_has_its_error(struct kunit *test)
{
	struct iopf_bond *bond = bind_own(test);
	unsigned long mem = sva_proc_map(bond->proc, 3 * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(bond->proc, mem + PAGE_SIZE, PAGE_SIZE, PROT_READ),
			0);
	KUNIT_EXPECT_EQ(test, fault(bond, mem, RW), -EFAULT);
	KUNIT_EXPECT_EQ(test, fault(bond, TASK_SIZE_MAX, RW), -EFAULT);
	KUNIT_EXPECT_EQ(test, fault(bond, PAGE_OFFSET, IOMMU_FAULT_PERM_READ), -EFAULT);
	KUNIT_EXPECT_EQ(test, fault(bond, mem + PAGE_SIZE, RW), -EACCES);
	KUNIT_EXPECT_EQ(test, fault(bond, mem + PAGE_SIZE, IOMMU_FAULT_PERM_EXEC), -EACCES);
	KUNIT_EXPECT_EQ(test, fault(bond, mem + 2 * PAGE_SIZE, 0), -EACCES);
	KUNIT_EXPECT_EQ(test, fault(bond, mem + 2 * PAGE_SIZE, RW | IOMMU_FAULT_PERM_PRIV),
			-EACCES);
	KUNIT_EXPECT_EQ(test, fault(bond, mem + 2 * PAGE_SIZE, RW), 0);
	sva_proc_exit(bond->proc);
	KUNIT_EXPECT_EQ(test, fault(bond, mem + 2 * PAGE_SIZE, RW), -ESRCH);
}

/**
 * struct own_call - a call of iommu_sva_handle_fault() beside the test
 * @bond: the bond
 * @addr: the address
 */
struct own_call {
	struct iopf_bond *bond;
	unsigned long addr;
};

static long own_call(void *arg)
{
	struct own_call *call = arg;

	return fault(call->bond, call->addr, IOMMU_FAULT_PERM_READ);
}

/* The file server never answers; the process is killed, and goes when the page has come. */
static void fault_of_a_process_that_is_killed_ends(struct kunit *test)
{
	struct sva_gate *gate = sva_gate(test);
	struct iopf_bond *bond = bind_own(test);
	struct own_call call = { .bond = bond };
	struct sva_job *job;

	call.addr = sva_gate_map(gate, bond->proc, PAGE_SIZE);
	job = sva_job(test, own_call, &call);
	KUNIT_ASSERT_TRUE(test, sva_gate_reached(gate, 1));
	sva_proc_send_kill(bond->proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_proc_has_left(bond->proc)));
	KUNIT_EXPECT_EQ(test, fault(bond, call.addr, IOMMU_FAULT_PERM_READ), -ESRCH);
	sva_gate_open(gate);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(job));
	KUNIT_EXPECT_EQ(test, sva_job_wait(job), -ESRCH);
	sva_proc_wait_gone(bond->proc);
}

static void fault_that_hangs_delays_no_other(struct kunit *test)
{
	struct sva_gate *gate = sva_gate(test);
	struct iopf_bond *bond = bind_own(test);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct own_call call = { .bond = bond };
	struct sva_job *job;

	call.addr = sva_gate_map(gate, bond->proc, PAGE_SIZE);
	job = sva_job(test, own_call, &call);
	KUNIT_ASSERT_TRUE(test, sva_gate_reached(gate, 1));
	KUNIT_EXPECT_EQ(test, fault(bond, mem, RW), 0);
	KUNIT_EXPECT_EQ(test, write_word(bond, mem, 1), 0);
	sva_gate_open(gate);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(job));
	KUNIT_EXPECT_EQ(test, sva_job_wait(job), 0);
}

/* The default limit is 8 MB. */
static void fault_grows_a_stack_up_to_its_limit(struct kunit *test)
{
	struct iopf_bond *bond = bind_own(test);
	unsigned long space = sva_proc_map(bond->proc, SZ_64M), stack = space + SZ_32M;

	KUNIT_ASSERT_EQ(test, sva_proc_munmap(bond->proc, space, SZ_64M), 0);
	KUNIT_ASSERT_EQ(test, sva_proc_mmap(bond->proc, stack, PAGE_SIZE, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
					    MAP_FIXED), stack);
	KUNIT_EXPECT_EQ(test, fault(bond, stack - SZ_4M, RW), 0);
	KUNIT_EXPECT_EQ(test, write_word(bond, stack - SZ_4M, 1), 0);
	KUNIT_EXPECT_EQ(test, fault(bond, stack - SZ_16M, RW), -EFAULT);
}

/* From a thread of another process, whose limits stay what they are */
static void fault_that_another_process_has_served_grows_a_stack(struct kunit *test)
{
	struct iopf_bond *bond = bind_own(test);
	struct sva_proc *other = sva_proc_start(test);
	unsigned long space = sva_proc_map(bond->proc, SZ_2M), stack = space + SZ_1M;
	struct own_call call = { .bond = bond, .addr = stack - SZ_64K };

	KUNIT_ASSERT_EQ(test, sva_proc_munmap(bond->proc, space, SZ_2M), 0);
	KUNIT_ASSERT_EQ(test, sva_proc_mmap(bond->proc, stack, PAGE_SIZE, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
					    MAP_FIXED), stack);
	KUNIT_EXPECT_EQ(test, sva_proc_call(other, own_call, &call), 0L);
	SVA_EXPECT_READS(test, bond->ep, bond->pasid, call.addr, 0);
	/* And from one of its own */
	call.addr = stack - SZ_128K;
	KUNIT_EXPECT_EQ(test, sva_proc_call(bond->proc, own_call, &call), 0L);
	SVA_EXPECT_READS(test, bond->ep, bond->pasid, call.addr, 0);
}

#ifdef CONFIG_MEMCG_V1
/* Of a process that may not have more, and is not killed for it */
static void fault_is_charged_to_the_memory_group_of_the_process(struct kunit *test)
{
	struct iopf_bond *bond = bind_own(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_4M), pages = 0;
	int error = 0;

	iopf_memcg_make(bond);
	sva_sysfs_put(test, "/memcg/a/memory.limit_in_bytes", "1048576");
	sva_sysfs_put(test, "/memcg/a/memory.oom_control", "1");
	iopf_memcg_enter(bond, "/memcg/a/cgroup.procs");
	while (!error && pages < SZ_4M / PAGE_SIZE)
		error = fault(bond, mem + pages++ * PAGE_SIZE, RW);
	KUNIT_EXPECT_EQ(test, error, -ENOMEM);
	KUNIT_EXPECT_LE(test, pages, SZ_1M / PAGE_SIZE);
	sva_sysfs_put(test, "/memcg/a/memory.limit_in_bytes", "67108864");
	KUNIT_EXPECT_EQ(test, fault(bond, mem + SZ_2M, RW), 0);
	iopf_memcg_enter(bond, "/memcg/cgroup.procs");
	iopf_memcg_remove(bond);
}
#endif

static void faults_of_a_stream_map_ahead(struct kunit *test)
{
	unsigned int before = sva_fault_around_limit(64), faults = 0;
	struct iopf_bond *bond = bind_own(test);
	unsigned long mem = sva_proc_map(bond->proc, SZ_1M);

	for (unsigned long at = mem; at < mem + SZ_1M; at += PAGE_SIZE) {
		if (!write_word(bond, at, at))
			continue;
		faults++;
		KUNIT_EXPECT_EQ(test, fault(bond, at, RW), 0);
		KUNIT_EXPECT_EQ(test, write_word(bond, at, at), 0);
	}
	sva_fault_around_limit(before);
	KUNIT_EXPECT_LT(test, faults, 20U);
}

/* Many threads put tables into slots, or find them there, and give the device what they touched. */

#define RACERS	16
#define SLOTS	32

static unsigned int rounds = 20;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "Rounds of the race, 512 hand-overs each (196: 100,000)");

/**
 * struct race - threads of one process that hand memory over to a device
 * @bond: the bond
 * @handed: how often memory was handed over
 * @failed: how often the device could not use it
 */
struct race {
	struct iopf_bond *bond;
	atomic_t handed;
	atomic_t failed;
};

/**
 * struct racer - a thread of a race
 * @race: the race
 * @thread: the thread
 * @page: which page of each slot is its own
 */
struct racer {
	struct race *race;
	struct sva_proc *thread;
	unsigned int page;
};

static unsigned long slot_addr(unsigned int i)
{
	unsigned long addr = (unsigned long)(i + 16) << PGDIR_SHIFT;

	return addr < DEFAULT_MAP_WINDOW ? addr : (unsigned long)(i + 16) << PUD_SHIFT;
}

static long race_as_thread(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	u64 seen;

	for (unsigned int i = 0; i < SLOTS; i++) {
		unsigned long addr = slot_addr(i) + racer->page * PAGE_SIZE;

		if (put_user(addr, (u64 __user *)addr))
			return -EFAULT;
		atomic_inc(&race->handed);
		if (soft_dma_read(race->bond->ep, race->bond->pasid, addr, &seen, sizeof(seen)) ||
		    seen != addr)
			atomic_inc(&race->failed);
	}
	return 0;
}

static long race_job(void *arg)
{
	struct racer *racer = arg;

	return sva_proc_call(racer->thread, race_as_thread, racer);
}

static void fresh_slots_are_handed_over_by_many_threads(struct kunit *test)
{
	struct racer *racers = kunit_kcalloc(test, RACERS, sizeof(*racers), GFP_KERNEL);
	struct race race = { .bond = bind_own(test) };
	struct sva_job *jobs[RACERS];

	KUNIT_ASSERT_NOT_NULL(test, racers);
	for (unsigned int i = 0; i < RACERS; i++)
		racers[i] = (struct racer){ &race, sva_proc_thread(race.bond->proc), i };
	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int i = 0; i < SLOTS; i++)
			sva_proc_map_at(race.bond->proc, slot_addr(i), RACERS * PAGE_SIZE);
		for (unsigned int i = 0; i < RACERS; i++)
			jobs[i] = sva_job(test, race_job, &racers[i]);
		for (unsigned int i = 0; i < RACERS; i++)
			KUNIT_EXPECT_EQ(test, sva_job_wait(jobs[i]), 0);
		for (unsigned int i = 0; i < SLOTS; i++) {
			KUNIT_EXPECT_EQ(test, sva_proc_munmap(race.bond->proc, slot_addr(i),
							      RACERS * PAGE_SIZE), 0);
			SVA_EXPECT_REFUSED(test, race.bond->ep, race.bond->pasid, slot_addr(i));
		}
	}
	kunit_info(test, "%d hand-overs\n", atomic_read(&race.handed));
	KUNIT_EXPECT_EQ(test, atomic_read(&race.failed), 0);
	KUNIT_EXPECT_EQ(test, page_requests(test), 0);
}

static struct kunit_case sva_own_cases[] = {
	KUNIT_CASE(fault_that_a_driver_reports_brings_the_page),
	KUNIT_CASE(fault_that_cannot_be_served_has_its_error),
	KUNIT_CASE(fault_of_a_process_that_is_killed_ends),
	KUNIT_CASE(fault_that_hangs_delays_no_other),
	KUNIT_CASE(fault_grows_a_stack_up_to_its_limit),
	KUNIT_CASE(fault_that_another_process_has_served_grows_a_stack),
#ifdef CONFIG_MEMCG_V1
	KUNIT_CASE(fault_is_charged_to_the_memory_group_of_the_process),
#endif
	KUNIT_CASE(faults_of_a_stream_map_ahead),
	KUNIT_CASE(fresh_slots_are_handed_over_by_many_threads),
	{}
};

static struct kunit_suite sva_own_suite = {
	.name = "iommu_sva_own",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_own_cases,
};

kunit_test_suite(sva_own_suite);

MODULE_DESCRIPTION("KUnit tests for SVA devices without page requests");
MODULE_LICENSE("GPL");
