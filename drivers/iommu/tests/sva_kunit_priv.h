/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the fixture share
 *
 * Locks: sva_proc.call_lock, one call at a time. bench.lock guards lists, which jobs may change.
 */
#ifndef _DRIVERS_IOMMU_TESTS_SVA_KUNIT_PRIV_H
#define _DRIVERS_IOMMU_TESTS_SVA_KUNIT_PRIV_H

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/wait.h>

#include "sva_kunit.h"

/* Longer than anything that happens at all, on a slow emulator on a busy machine. */
#define SVA_LIMIT	(100 * HZ)
#define SVA_LIMIT_US	(100UL * USEC_PER_SEC)
#define SVA_POLL_US	500

enum sva_call_state { CALL_NONE, CALL_POSTED, CALL_DONE };

/**
 * struct sva_proc - a process, or a further thread of one
 * @bench: the fixture it belongs to
 * @node: in &bench.procs
 * @ready: it has started, or will not
 * @task: with a reference; NULL if it could not be started
 * @pid: of the thread group, with a reference
 * @mm: with a reference to mm_count
 * @scratch: a page of the process for strings and structures of system calls
 * @call_lock: one call at a time
 * @wait: woken when @call or @gone changes
 * @call: what the process shall do, and whether it has
 * @exit: the process shall end instead
 * @gone: it will take no more calls
 * @fn: of the call
 * @arg: of the call
 * @result: of the call
 */
struct sva_proc {
	struct bench *bench;
	struct list_head node;
	struct completion ready;
	struct task_struct *task;
	struct pid *pid;
	struct mm_struct *mm;
	unsigned long scratch;
	struct mutex call_lock;	/* one call at a time */
	wait_queue_head_t wait;
	enum sva_call_state call;
	bool exit;
	bool gone;
	long (*fn)(void *arg);
	void *arg;
	long result;
};

/**
 * struct bench - what the fixture keeps
 * @fx: what tests see
 * @lock: guards the lists
 * @backend: the driver of its IOMMUs, or NULL: the soft IOMMU's own
 * @spawner: parent of all processes
 * @procs: struct sva_proc
 * @iommus: struct bench_iommu, the latest first
 * @endpoints: struct bench_endpoint, the latest first
 * @settings: struct bench_setting, the latest first
 * @clerk: a process for system calls of the fixture itself, if there were any
 * @swap: swap space is on
 * @pasids: PASIDs were in use before the test
 * @around: the largest window of fault-around before the test
 */
struct bench {
	struct sva_fixture fx;
	struct mutex lock;	/* of the lists */
	const struct soft_backend *backend;
	struct kthread_worker *spawner;
	struct list_head procs;
	struct list_head iommus;
	struct list_head endpoints;
	struct list_head settings;
	struct sva_proc *clerk;
	bool swap;
	bool pasids;
	unsigned int around;
};

struct bench_iommu {
	struct list_head node;
	struct soft_iommu *iommu;
};

struct bench_endpoint {
	struct list_head node;
	struct soft_endpoint *ep;
	bool enabled;
};

struct bench_setting {
	struct list_head node;
	char path[96];
	char old[32];
};

static inline struct bench *to_bench(struct kunit *test)
{
	return container_of((struct sva_fixture *)test->priv, struct bench, fx);
}

static inline struct kunit *proc_test(struct sva_proc *proc)
{
	return proc->bench->fx.test;
}

/* sva_proc.c */
int sva_lazy_init(void);
void sva_end_procs(struct bench *bench, bool clerk);
void sva_check_mms(struct bench *bench, bool clerk);
void sva_free_procs(struct bench *bench);

/* sva_settings.c */
void sva_settings_back(struct bench *bench);
void sva_swap_off(struct bench *bench);

#endif /* _DRIVERS_IOMMU_TESTS_SVA_KUNIT_PRIV_H */
