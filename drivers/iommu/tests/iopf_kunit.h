/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of the I/O page fault queue have in common: page requests in one line, and
 * handlers that keep their groups.
 */
#ifndef _DRIVERS_IOMMU_TESTS_IOPF_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_IOPF_KUNIT_H

#include <linux/spinlock.h>
#include <linux/wait.h>

#include "sva_stage.h"

struct rnd_state;
struct uffd_msg;

/* What must happen is given this long; the machine may be slow and loaded. */
#define IOPF_LONG_MS	40000
/* What must not happen is watched for this long: it can only make a wrong kernel pass. */
#define IOPF_SHORT_MS	50

#define IOPF_READ	IOMMU_FAULT_PERM_READ
#define IOPF_WRITE	IOMMU_FAULT_PERM_WRITE
#define IOPF_RW		(IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE)

/* For struct kunit_suite, in place of sva_fixture_init() and sva_stage_exit(). */
int iopf_fixture_init(struct kunit *test);
void iopf_fixture_exit(struct kunit *test);

/**
 * struct iopf_bond - a process bound to an endpoint
 * @node: of those that the fixture undoes
 * @test: whose bond it is
 * @ep: the endpoint
 * @proc: the process
 * @sva: NULL when it has been undone
 * @pasid: on requests
 */
struct iopf_bond {
	struct list_head node;
	struct kunit *test;
	struct soft_endpoint *ep;
	struct sva_proc *proc;
	struct iommu_sva *sva;
	ioasid_t pasid;
};

/* A bond with @proc, or with a new process if that is NULL. Undone at exit if not before. */
struct iopf_bond *iopf_bind(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc);
void iopf_unbind(struct iopf_bond *bond);

/* Page requests; sending asserts success. iopf_ask() sends a last page and returns its code. */
void iopf_partial(struct iopf_bond *bond, u32 grpid, unsigned long addr, u32 perm);
void iopf_last(struct iopf_bond *bond, u32 grpid, unsigned long addr, u32 perm);
int iopf_ask(struct iopf_bond *bond, u32 grpid, unsigned long addr, u32 perm);
/* The code of a group that was sent before. */
int iopf_answer(struct iopf_bond *bond, u32 grpid);
/*
 * A device writes to each page, with @nr such accesses under way at a time: it begins one when the
 * one that is @nr before it is done.
 */
#define IOPF_PIPELINE_MAX	64
void iopf_pipeline(struct iopf_bond *bond, unsigned long addr, unsigned long pages,
		   unsigned int nr);
/*
 * A group of up to three pages that are there, or are not, out of @pages from @addr on and the one
 * behind them. Without credits it may be for another time.
 */
void iopf_ask_random(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid, unsigned long addr,
		     unsigned int pages, struct rnd_state *random);
/* Has the group been answered, or is it in the time of something that must not happen? */
bool iopf_is_answered(struct iopf_bond *bond, u32 grpid);
/* All codes that the IOMMU has sent so far, those of its own included. */
u64 iopf_responses(struct soft_iommu *iommu);

/* The same as sva_job_unbind(); the fixture leaves the bond alone. */
struct sva_job *iopf_unbind_job(struct iopf_bond *bond);

/* Asserts that @faults of them have come to the gate. */
void iopf_await(struct kunit *test, struct sva_gate *gate, unsigned int faults);

/**
 * struct iopf_keeper - a fault handler that keeps its groups
 * @lock: guards @groups and @nr
 * @groups: through &iopf_group.node, oldest first
 * @nr: of @groups
 * @wait: for @nr to grow
 */
struct iopf_keeper {
	spinlock_t lock;	/* of groups, nr */
	struct list_head groups;
	unsigned int nr;
	wait_queue_head_t wait;
};

/* From now on the groups of that bond's domain go to the keeper; asserts success. */
struct iopf_keeper *iopf_keep(struct iopf_bond *bond);
/* Asserts that it has @nr groups. */
void iopf_keeper_await(struct kunit *test, struct iopf_keeper *keeper, unsigned int nr);
struct iopf_group *iopf_keeper_take(struct iopf_keeper *keeper);
/* Sends a last page, whose group is all that the keeper gets, and takes that. */
struct iopf_group *iopf_ask_keeper(struct iopf_bond *bond, struct iopf_keeper *keeper, u32 grpid);
/* Answers all that it has, frees them and returns how many there were. */
unsigned int iopf_keeper_finish(struct iopf_keeper *keeper, enum iommu_page_response_code code);

/**
 * struct iopf_monitor - a userfaultfd for memory of a bond's process
 * @bond: the bond
 * @scratch: two pages of the process; the first holds what system calls pass by pointer
 * @fd: the userfaultfd, in the process
 */
struct iopf_monitor {
	struct iopf_bond *bond;
	unsigned long scratch;
	int fd;
};

/* For missing pages of [addr, addr + len). All of them assert success. */
void iopf_monitor_start(struct iopf_monitor *m, struct iopf_bond *bond, unsigned long addr,
			size_t len);
void iopf_monitor_ioctl(struct iopf_monitor *m, unsigned int cmd, void *arg, size_t size);
/* Reads one event; false if the device has got its answer without one. */
bool iopf_monitor_wait(struct iopf_monitor *m, struct uffd_msg *msg);

#if SVA_CORE
/* A reset as a driver does it: quiesce and begin, end and resume. Jobs of the same, one by one. */
void iopf_begin_reset(struct soft_endpoint *ep);
void iopf_end_reset(struct soft_endpoint *ep);
struct sva_job *iopf_quiesce_job(struct kunit *test, struct soft_endpoint *ep);
struct sva_job *iopf_resume_job(struct kunit *test, struct soft_endpoint *ep);
/* One of the counts of a device; the test fails if it is on no queue. */
u64 iopf_counted(struct soft_endpoint *ep, enum iopf_count what);
#endif

/*
 * A memory group below /memcg, made and removed by the process of a bond: /memcg/a, and those
 * within, as in "/a/b". Settings are for sva_sysfs_put(); a process enters a group by its
 * cgroup.procs.
 */
void iopf_memcg_make(struct iopf_bond *bond);
void iopf_memcg_remove(struct iopf_bond *bond);
void iopf_memcg_make_within(struct iopf_bond *bond, const char *sub);
void iopf_memcg_remove_within(struct iopf_bond *bond, const char *sub);
void iopf_memcg_enter(struct iopf_bond *bond, const char *procs);

/*
 * Until the end of the test allocations succeed, but each of them wakes kswapd: it finds that
 * there is nothing to do.
 */
void iopf_make_memory_scarce(struct kunit *test);

/**
 * struct iopf_slow - a process on an endpoint, with memory that takes as long as the test wants
 * @bond: the bond
 * @gate: behind @mem
 * @mem: 16 pages
 */
struct iopf_slow {
	struct iopf_bond *bond;
	struct sva_gate *gate;
	unsigned long mem;
};

/* On endpoint @ep of the fixture; undone at exit. */
struct iopf_slow iopf_make_slow(struct kunit *test, unsigned int ep);
/* @nr groups; as many as there are workers wait in the gate, the others behind them. */
void iopf_ask_slow(struct iopf_slow *s, unsigned int nr);

#endif /* _DRIVERS_IOMMU_TESTS_IOPF_KUNIT_H */
