/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the SVA suites have in common: user processes to bind, and a fixture that leaves nothing
 * behind.
 *
 * A struct sva_proc is a real process with an mm of its own. It executes kernel functions that the
 * test hands to it, so current, current->mm, fork and exit are what they are for a user's program.
 */
#ifndef _DRIVERS_IOMMU_TESTS_SVA_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_SVA_KUNIT_H

#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/mm.h>

#include "../soft-iommu/soft-iommu.h"

/* True on this project's core, false on a base kernel's. */
#ifdef _LINUX_IOMMU_SVA_API_H
#define SVA_CORE	1
#else
#define SVA_CORE	0
#endif

/* Cases that run on other back-ends, too: see soft-backend.h */
#define SVA_CONFORM	(SVA_CORE && IS_ENABLED(CONFIG_IOMMU_SVA_CONFORMANCE))

#if SVA_CONFORM
const void *sva_backend_gen_params(const void *prev, char *desc);

#define SVA_CONFORM_CASE(name)	KUNIT_CASE_PARAM(name, sva_backend_gen_params)
/*
 * A suite conform_@topic, of cases that know nothing of the soft IOMMU's own driver: no ring that
 * is held, no hook but that at a response. Each runs once for each back-end.
 */
#define SVA_CONFORM_SUITE(topic, setup, teardown, ...)				\
	static struct kunit_case topic##_conform_cases[] = { __VA_ARGS__, {} };	\
	static struct kunit_suite topic##_conform_suite = {			\
		.name = "conform_" #topic,					\
		.init = setup,							\
		.exit = teardown,						\
		.test_cases = topic##_conform_cases,				\
	};									\
	kunit_test_suite(topic##_conform_suite)
#else
#define SVA_CONFORM_SUITE(...)	static_assert(true)
#endif

struct sva_proc;

/* A process with an empty address space; ended by the fixture if the test does not. */
struct sva_proc *sva_proc_start(struct kunit *test);
/* Copies the address space as fork() does. */
struct sva_proc *sva_proc_fork(struct sva_proc *proc);
/* Another thread of the same process (CLONE_VM | CLONE_THREAD). */
struct sva_proc *sva_proc_thread(struct sva_proc *proc);
struct mm_struct *sva_proc_mm(struct sva_proc *proc);
struct task_struct *sva_proc_task(struct sva_proc *proc);
/* Runs fn(arg) in the process and returns its result. */
long sva_proc_call(struct sva_proc *proc, long (*fn)(void *arg), void *arg);
/* A system call, by number, as the process's program would make it. */
long sva_proc_syscall(struct sva_proc *proc, unsigned int nr, unsigned long a, unsigned long b,
		      unsigned long c, unsigned long d, unsigned long e, unsigned long f);
/* For system calls: copies up to a page into memory of the process, until the next time. */
unsigned long sva_proc_pass(struct sva_proc *proc, const void *data, size_t len);
unsigned long sva_proc_string(struct sva_proc *proc, const char *text);
/* Anonymous private memory anywhere, readable and writable, not touched; asserts success. */
unsigned long sva_proc_map(struct sva_proc *proc, size_t len);
unsigned long sva_proc_mmap(struct sva_proc *proc, unsigned long addr, size_t len,
			    unsigned long prot, unsigned long flags);
/* munmap(2) and so on, by the process; 0 or -errno; mremap: the address. */
long sva_proc_munmap(struct sva_proc *proc, unsigned long addr, size_t len);
long sva_proc_mprotect(struct sva_proc *proc, unsigned long addr, size_t len, unsigned long prot);
long sva_proc_madvise(struct sva_proc *proc, unsigned long addr, size_t len, int advice);
/* MADV_PAGEOUT. Reclaim passes over pages in use: callers look, and try again. */
void sva_proc_page_out(struct sva_proc *proc, unsigned long addr, size_t len);
long sva_proc_mremap(struct sva_proc *proc, unsigned long addr, size_t old_len, size_t new_len,
		     unsigned long flags, unsigned long new_addr);
/* The CPU's accesses; 0 or -EFAULT. */
int sva_proc_write(struct sva_proc *proc, unsigned long addr, const void *buf, size_t len);
int sva_proc_read(struct sva_proc *proc, unsigned long addr, void *buf, size_t len);
/* exit_group(0) or SIGKILL; return when the process is gone and its mm has exited. */
void sva_proc_exit(struct sva_proc *proc);
void sva_proc_kill(struct sva_proc *proc);
/* The two halves of sva_proc_kill(). */
void sva_proc_send_kill(struct sva_proc *proc);
void sva_proc_wait_gone(struct sva_proc *proc);
/* Has the process let go of its mm? Others, who serve a fault, may keep that from exiting. */
bool sva_proc_has_left(struct sva_proc *proc);
/*
 * Of a process without threads or children that is gone: what the fixture would do at exit, for
 * tests with very many of them. False if references to its mm are left.
 */
bool sva_proc_forget(struct sva_proc *proc);
/* First the same of each further thread; that one leaves the mm alone. */
void sva_proc_forget_thread(struct sva_proc *thread);

/**
 * struct sva_fixture - one software IOMMU with two endpoints, ready to bind
 * @test: whose priv it is
 * @iommu: with the defaults
 * @ep: with 20 PASID bits and 16 credits each, in IOMMU groups of their own, IOPF and SVA enabled
 * @dev: of these endpoints
 */
struct sva_fixture {
	struct kunit *test;
	struct soft_iommu *iommu;
	struct soft_endpoint *ep[2];
	struct device *dev[2];
};

/*
 * For struct kunit_suite. Exit fails the test unless processes, bonds, PASIDs, domains, groups and
 * mm references are as before and the IOMMU has no violation to tell of.
 *
 * There is no fault-around, so that each page is asked for that a device needs. Tests that want it
 * say so with sva_fault_around_limit().
 */
int sva_fixture_init(struct kunit *test);
void sva_fixture_exit(struct kunit *test);
/* More of them; destroyed by the fixture. IOPF and SVA are enabled if @enable. Asserts success. */
struct soft_iommu *sva_add_iommu(struct kunit *test, const struct soft_iommu_config *config);
struct soft_endpoint *sva_add_endpoint(struct kunit *test, struct soft_iommu *iommu,
				       const struct soft_endpoint_config *config, bool enable);
/* The test has destroyed the endpoint itself. */
void sva_forget_endpoint(struct kunit *test, struct soft_endpoint *ep);
/* One that was added with @enable, and has no bond any more, goes before the fixture does. */
void sva_remove_endpoint(struct kunit *test, struct soft_endpoint *ep);

/* Binds, asserting success; not undone by the fixture: a bond left is a failure. */
struct iommu_sva *sva_bind(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc);

/*
 * Settings: path below /sys, as in "kernel/mm/ksm/run" or "kernel/debug/failslab/probability", or
 * an absolute one. sva_sysfs_set() has the old value come back at exit.
 */
void sva_sysfs_set(struct kunit *test, const char *path, const char *value);
void sva_sysfs_put(struct kunit *test, const char *path, const char *value);
/* Up to a page, as a string; returns its length or -errno. */
long sva_sysfs_get(struct kunit *test, const char *path, char *buf, size_t len);
/* Has khugepaged let go soon of the mm that it stands at, for the rest of the test. */
void sva_hurry_khugepaged(struct kunit *test);
/* Swap space of @pages on a RAM disk for the rest of the test. */
void sva_swap_on(struct kunit *test, unsigned int pages);

#endif /* _DRIVERS_IOMMU_TESTS_SVA_KUNIT_H */
