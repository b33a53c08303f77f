// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listeners: who is told of faults that could not be served, and of the exit of the process
 *
 * Also the quiet phase between exit and unbind, in which listeners are told of nothing more.
 */
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/unistd.h>
#include <uapi/linux/memfd.h>

#include "iopf_kunit.h"
#include "../iopf.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

static struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

/**
 * struct ear - a listener that writes down what it is told
 * @listener: what the core sees
 * @bond: of whom
 * @told: how often
 * @fault: the latest
 * @in_rcu: each time inside an RCU read-side section
 * @stop: does not return before @go
 * @begun: it has been called
 * @go: it may return
 */
struct ear {
	struct iommu_sva_listener listener;
	struct iopf_bond *bond;
	atomic_t told;
	struct iommu_sva_fault fault;
	bool in_rcu;
	bool stop;
	bool begun;
	bool go;
};

static void ear_notify(struct iommu_sva_listener *listener, const struct iommu_sva_fault *fault)
{
	struct ear *ear = container_of(listener, struct ear, listener);
	unsigned long end = jiffies + SVA_PATIENCE;

	ear->fault = *fault;
	ear->in_rcu &= rcu_read_lock_held();
	WRITE_ONCE(ear->begun, true);
	while (ear->stop && !READ_ONCE(ear->go) && time_before(jiffies, end))
		cpu_relax();
	atomic_inc(&ear->told);
}

static struct ear *make_ear(struct iopf_bond *bond)
{
	struct ear *ear = kunit_kzalloc(bond->test, sizeof(*ear), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(bond->test, ear);
	ear->listener.notify = ear_notify;
	ear->bond = bond;
	ear->in_rcu = true;
	return ear;
}

static struct ear *listen(struct iopf_bond *bond)
{
	struct ear *ear = make_ear(bond);

	KUNIT_ASSERT_EQ(bond->test, iommu_sva_listen(bond->sva, &ear->listener), 0);
	return ear;
}

static void unlisten(struct ear *ear)
{
	iommu_sva_unlisten(ear->bond->sva, &ear->listener);
	KUNIT_EXPECT_TRUE(ear->bond->test, ear->in_rcu);
}

static void expect_told(struct ear *ear, int times, enum iommu_sva_fault_reason reason,
			unsigned long addr, u32 perm)
{
	KUNIT_EXPECT_EQ(ear->bond->test, atomic_read(&ear->told), times);
	KUNIT_EXPECT_EQ(ear->bond->test, ear->fault.reason, reason);
	KUNIT_EXPECT_EQ(ear->bond->test, ear->fault.addr, addr);
	KUNIT_EXPECT_EQ(ear->bond->test, ear->fault.perm, perm);
}

/* Reasons */

static void fault_where_nothing_is_mapped(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct ear *ear = listen(bond);

	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0x10000, IOPF_READ), BAD);
	expect_told(ear, 1, IOMMU_SVA_FAULT_NO_MAPPING, 0x10000, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, TASK_SIZE_MAX, IOPF_RW), BAD);
	expect_told(ear, 2, IOMMU_SVA_FAULT_NO_MAPPING, TASK_SIZE_MAX & PAGE_MASK, IOPF_RW);
	unlisten(ear);
}

static void fault_without_permission(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 2 * PAGE_SIZE);
	struct ear *ear = listen(bond);

	sva_proc_mprotect(bond->proc, mem, PAGE_SIZE, PROT_READ);
	sva_proc_mprotect(bond->proc, mem + PAGE_SIZE, PAGE_SIZE, PROT_NONE);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_WRITE), BAD);
	expect_told(ear, 1, IOMMU_SVA_FAULT_NO_ACCESS, mem, IOPF_WRITE);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + PAGE_SIZE, IOPF_READ), BAD);
	expect_told(ear, 2, IOMMU_SVA_FAULT_NO_ACCESS, mem + PAGE_SIZE, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ | IOMMU_FAULT_PERM_PRIV), BAD);
	expect_told(ear, 3, IOMMU_SVA_FAULT_NO_ACCESS, mem, IOPF_READ | IOMMU_FAULT_PERM_PRIV);
	unlisten(ear);
}

/* The file has become shorter than its mapping. */
static void fault_beyond_the_end_of_a_file(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct ear *ear = listen(bond);
	unsigned long mem;
	long fd;

	fd = sva_proc_syscall(bond->proc, __NR_memfd_create, sva_proc_string(bond->proc, "ear"),
			      MFD_CLOEXEC, 0, 0, 0, 0);
	KUNIT_ASSERT_GE(test, fd, 0L);
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(bond->proc, __NR_ftruncate, fd, PAGE_SIZE, 0, 0, 0,
					       0), 0);
	mem = sva_proc_syscall(bond->proc, __NR_mmap, 0, 2 * PAGE_SIZE, PROT_READ, MAP_SHARED, fd,
			       0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(mem));
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + PAGE_SIZE, IOPF_READ), BAD);
	expect_told(ear, 1, IOMMU_SVA_FAULT_NO_PAGE, mem + PAGE_SIZE, IOPF_READ);
	unlisten(ear);
}

/* Of the pages of a group the one that could not be had. */
static void page_of_a_group_is_named(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 3 * PAGE_SIZE);
	struct ear *ear = listen(bond);

	sva_proc_munmap(bond->proc, mem + PAGE_SIZE, PAGE_SIZE);
	iopf_partial(bond, 0, mem, IOPF_READ);
	iopf_partial(bond, 0, mem + PAGE_SIZE, IOPF_READ);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + 2 * PAGE_SIZE, IOPF_READ), BAD);
	expect_told(ear, 1, IOMMU_SVA_FAULT_NO_MAPPING, mem + PAGE_SIZE, IOPF_READ);
	unlisten(ear);
}

static void fault_that_is_served_is_not_told(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, 16 * PAGE_SIZE);
	struct ear *ear = listen(bond);

	for (unsigned int i = 0; i < 16; i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem + i * PAGE_SIZE, IOPF_RW), OK);
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 0);
	unlisten(ear);
}

/* A drain has answered in its place: the driver has stopped, and wants to hear nothing. */
static void fault_that_was_drained_is_not_told(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct sva_gate *gate = sva_gate(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, PAGE_SIZE);
	struct ear *ear = listen(bond);

	iopf_last(bond, 0, mem, IOPF_READ);
	iopf_await(test, gate, 1);
	iopf_drain_pasid(soft_endpoint_dev(bond->ep), bond->pasid);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(bond->proc, mem, PAGE_SIZE), 0);
	sva_gate_open(gate);
	KUNIT_EXPECT_TRUE(test, sva_becomes(iopf_counted(bond->ep, IOPF_LATE) == 1));
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 0);
	unlisten(ear);
}

/* Who is told */

static void all_listeners_of_a_bond_are_told(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iommu_sva *again = sva_bind(test, bond->ep, bond->proc);
	struct ear *first = listen(bond), *second = make_ear(bond);

	/* One bond, whichever handle */
	KUNIT_EXPECT_EQ(test, iommu_sva_listen(again, &second->listener), 0);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0, IOPF_READ), BAD);
	expect_told(first, 1, IOMMU_SVA_FAULT_NO_MAPPING, 0, IOPF_READ);
	expect_told(second, 1, IOMMU_SVA_FAULT_NO_MAPPING, 0, IOPF_READ);
	unlisten(first);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0, IOPF_READ), BAD);
	KUNIT_EXPECT_EQ(test, atomic_read(&first->told), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&second->told), 2);
	unlisten(second);
	iommu_sva_unbind_device(again);
}

static void listener_of_another_bond_is_not_told(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_bond *device = iopf_bind(test, fixture(test)->ep[1], bond->proc);
	struct iopf_bond *process = iopf_bind(test, bond->ep, NULL);
	struct ear *ears[] = { listen(device), listen(process) };

	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0, IOPF_READ), BAD);
	for (unsigned int i = 0; i < ARRAY_SIZE(ears); i++) {
		KUNIT_EXPECT_EQ(test, atomic_read(&ears[i]->told), 0);
		unlisten(ears[i]);
	}
}

static void nobody_is_told_after_unlisten(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct ear *ear = listen(bond);

	unlisten(ear);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0, IOPF_READ), BAD);
	sva_proc_exit(bond->proc);
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 0);
}

static long unlisten_fn(void *data)
{
	struct ear *ear = data;

	iommu_sva_unlisten(ear->bond->sva, &ear->listener);
	return atomic_read(&ear->told);
}

static void unlisten_waits_for_whoever_tells(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct ear *ear = make_ear(bond);
	struct sva_job *job;

	ear->stop = true;
	KUNIT_ASSERT_EQ(test, iommu_sva_listen(bond->sva, &ear->listener), 0);
	iopf_last(bond, 0, 0, IOPF_READ);
	KUNIT_EXPECT_TRUE(test, sva_becomes(READ_ONCE(ear->begun)));
	job = sva_job(test, unlisten_fn, ear);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(job));
	WRITE_ONCE(ear->go, true);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(job));
	KUNIT_EXPECT_EQ(test, sva_job_wait(job), 1L);
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), BAD);
}

/* The exit */

static void exit_is_told_once(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct iopf_bond *other = iopf_bind(test, fixture(test)->ep[1], bond->proc);
	struct ear *ears[] = { listen(bond), listen(bond), listen(other) };

	sva_proc_exit(bond->proc);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0, IOPF_READ), BAD);
	for (unsigned int i = 0; i < ARRAY_SIZE(ears); i++) {
		expect_told(ears[i], 1, IOMMU_SVA_FAULT_EXITED, 0, 0);
		unlisten(ears[i]);
	}
}

/* The exit comes with the end of the fault, and is all that is told. */
static void kill_during_a_fault_that_is_stuck_is_told_once(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct sva_gate *gate = sva_gate(test);
	unsigned long mem = sva_gate_map(gate, bond->proc, PAGE_SIZE);
	struct ear *ear = listen(bond);
	struct sva_job *kill;

	iopf_last(bond, 0, mem, IOPF_READ);
	iopf_await(test, gate, 1);
	kill = sva_job_kill(test, bond->proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_proc_has_left(bond->proc)));
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 0);
	sva_gate_open(gate);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(kill));
	KUNIT_EXPECT_EQ(test, iopf_answer(bond, 0), BAD);
	expect_told(ear, 1, IOMMU_SVA_FAULT_EXITED, 0, 0);
	unlisten(ear);
}

static void there_is_nothing_to_hear_after_the_exit(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct ear *ear = make_ear(bond);

	sva_proc_exit(bond->proc);
	KUNIT_EXPECT_EQ(test, iommu_sva_listen(bond->sva, &ear->listener), -ESRCH);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, 0, IOPF_READ), BAD);
	iopf_unbind(bond);
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 0);
}

struct slow_exit {
	struct ear *ear;
	bool begun;
	bool go;
};

static int stop_in_release(const struct soft_iommu_event *event, void *data)
{
	unsigned long end = jiffies + SVA_PATIENCE;
	struct slow_exit *slow = data;

	WRITE_ONCE(slow->begun, true);
	while (!READ_ONCE(slow->go) && time_before(jiffies, end))
		cpu_relax();
	return 0;
}

static long listen_fn(void *data)
{
	struct ear *ear = data;

	return iommu_sva_listen(ear->bond->sva, &ear->listener);
}

/* The exit is noted already, the listeners are about to be told: it is too late to join them. */
static void listen_in_the_middle_of_the_exit(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct slow_exit *slow = kunit_kzalloc(test, sizeof(*slow), GFP_KERNEL);
	struct ear *early = listen(bond), *late = make_ear(bond);
	struct sva_job *exit, *job;

	KUNIT_ASSERT_NOT_NULL(test, slow);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RELEASE, stop_in_release, slow);
	exit = sva_job_exit(test, bond->proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(READ_ONCE(slow->begun)));
	job = sva_job(test, listen_fn, late);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(job));
	WRITE_ONCE(slow->go, true);
	KUNIT_ASSERT_TRUE(test, sva_job_ends(exit));
	KUNIT_ASSERT_TRUE(test, sva_job_ends(job));
	KUNIT_EXPECT_EQ(test, sva_job_wait(job), (long)-ESRCH);
	KUNIT_EXPECT_EQ(test, atomic_read(&late->told), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&early->told), 1);
	unlisten(early);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RELEASE, NULL, NULL);
}

/*
 * The exit may have found the bond, and would look at a device that has gone by then; or change
 * what the IOMMU has for the PASID, which must not be another process's by then.
 */
static void unbind_in_the_middle_of_the_exit(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct slow_exit *slow = kunit_kzalloc(test, sizeof(*slow), GFP_KERNEL);
	struct sva_job *exit, *unbind;

	KUNIT_ASSERT_NOT_NULL(test, slow);
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RELEASE, stop_in_release, slow);
	exit = sva_job_exit(test, bond->proc);
	KUNIT_EXPECT_TRUE(test, sva_becomes(READ_ONCE(slow->begun)));
	unbind = iopf_unbind_job(bond);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(unbind));
	KUNIT_EXPECT_TRUE(test, iommu_pasids_in_use());
	WRITE_ONCE(slow->go, true);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(unbind));
	KUNIT_EXPECT_TRUE(test, sva_job_ends(exit));
	soft_iommu_set_hook(fixture(test)->iommu, SOFT_AT_RELEASE, NULL, NULL);
}

/* A listener that joins is told of the exit, or learns that it was too late: always one of them. */
static void listen_and_exit_race(struct kunit *test)
{
	for (unsigned int i = 0; i < 40; i++) {
		struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
		struct sva_job *exit = sva_job_exit(test, bond->proc);
		struct ear *ear = make_ear(bond);
		int ret = iommu_sva_listen(bond->sva, &ear->listener);

		KUNIT_ASSERT_TRUE(test, sva_job_ends(exit));
		KUNIT_EXPECT_TRUE(test, !ret || ret == -ESRCH);
		if (!ret) {
			expect_told(ear, 1, IOMMU_SVA_FAULT_EXITED, 0, 0);
			unlisten(ear);
		}
		iopf_unbind(bond);
	}
}

/* The quiet phase */

static int note_who_answers(const struct soft_iommu_event *event, void *data)
{
	atomic_t *others = data;

	/* The thread that empties the ring is called that. */
	if (strcmp(current->comm, "soft-iommu-prq"))
		atomic_inc(others);
	return 0;
}

/*
 * Requests after the exit are refused where they are reported: no worker is troubled, nothing is
 * logged, and nothing is left of them. Twice as many cost twice as much and no more.
 */
static void requests_after_the_exit_are_refused_on_the_spot(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct soft_iommu *iommu = fixture(test)->iommu;
	atomic_t *others = kunit_kzalloc(test, sizeof(*others), GFP_KERNEL);
	unsigned int lines;

	KUNIT_ASSERT_NOT_NULL(test, others);
	sva_proc_exit(bond->proc);
	lines = sva_log_lines(test, soft_endpoint_dev(bond->ep));
	soft_iommu_set_hook(iommu, SOFT_AT_RESPONSE, note_who_answers, others);
	for (unsigned int i = 0; i < 600; i++)
		KUNIT_EXPECT_EQ(test, iopf_ask(bond, i % 300, i * PAGE_SIZE, IOPF_READ), BAD);
	soft_iommu_set_hook(iommu, SOFT_AT_RESPONSE, NULL, NULL);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_EXITED), 600);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_FAILED), 0);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_STRAY), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(others), 0);
	KUNIT_EXPECT_TRUE(test, sva_becomes(!iopf_device_busy(soft_endpoint_dev(bond->ep))));
	KUNIT_EXPECT_EQ(test, sva_log_lines(test, soft_endpoint_dev(bond->ep)), lines);
}

/* DMA without a translation request before it: the IOMMU aborts it, and says so. */
static void abort_is_told_and_is_no_stray(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);
	struct ear *ear = listen(bond);
	u64 word = 0;

	KUNIT_EXPECT_EQ(test, soft_dma_untranslated(bond->ep, bond->pasid, mem, true, &word, 8),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 1);
	KUNIT_EXPECT_EQ(test, ear->fault.reason, IOMMU_SVA_FAULT_ABORTED);
	KUNIT_EXPECT_EQ(test, ear->fault.addr, mem);
	KUNIT_EXPECT_TRUE(test, ear->in_rcu);
	sva_poke(test, bond->proc, mem, 1);
	KUNIT_EXPECT_EQ(test, soft_dma_untranslated(bond->ep, bond->pasid, mem, true, &word, 8), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 1);
	iommu_sva_unlisten(bond->sva, &ear->listener);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_STRAY), 0);
}

static void abort_after_the_exit_is_not_told(struct kunit *test)
{
	struct iopf_bond *bond = iopf_bind(test, fixture(test)->ep[0], NULL);
	struct ear *ear = listen(bond);
	u64 word = 0;

	sva_proc_exit(bond->proc);
	KUNIT_EXPECT_EQ(test, ear->fault.reason, IOMMU_SVA_FAULT_EXITED);
	KUNIT_EXPECT_EQ(test, soft_dma_untranslated(bond->ep, bond->pasid, 0, false, &word, 8),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, atomic_read(&ear->told), 1);
	iommu_sva_unlisten(bond->sva, &ear->listener);
	KUNIT_EXPECT_EQ(test, iopf_counted(bond->ep, IOPF_STRAY), 0);
}

static struct kunit_case sva_listen_cases[] = {
	KUNIT_CASE(fault_where_nothing_is_mapped),
	KUNIT_CASE(fault_without_permission),
	KUNIT_CASE(fault_beyond_the_end_of_a_file),
	KUNIT_CASE(page_of_a_group_is_named),
	KUNIT_CASE(fault_that_is_served_is_not_told),
	KUNIT_CASE(fault_that_was_drained_is_not_told),
	KUNIT_CASE(all_listeners_of_a_bond_are_told),
	KUNIT_CASE(listener_of_another_bond_is_not_told),
	KUNIT_CASE(nobody_is_told_after_unlisten),
	KUNIT_CASE(unlisten_waits_for_whoever_tells),
	KUNIT_CASE(exit_is_told_once),
	KUNIT_CASE(kill_during_a_fault_that_is_stuck_is_told_once),
	KUNIT_CASE(there_is_nothing_to_hear_after_the_exit),
	KUNIT_CASE(listen_in_the_middle_of_the_exit),
	KUNIT_CASE(unbind_in_the_middle_of_the_exit),
	KUNIT_CASE(listen_and_exit_race),
	KUNIT_CASE(requests_after_the_exit_are_refused_on_the_spot),
	KUNIT_CASE(abort_is_told_and_is_no_stray),
	KUNIT_CASE(abort_after_the_exit_is_not_told),
	{}
};

static struct kunit_suite sva_listen_suite = {
	.name = "iommu_sva_listen",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_listen_cases,
};

kunit_test_suite(sva_listen_suite);

MODULE_DESCRIPTION("KUnit tests for listeners of SVA faults and of the quiet phase after exit");
MODULE_LICENSE("GPL");
