/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulator's controls: how a test controls tasks, memory, address spaces and the log.
 *
 * A task runs until it blocks, ends, or is preempted at a point (each lock operation, atomic
 * operation, READ_ONCE() and WRITE_ONCE(), driver callback, cond_resched()). Whether it is
 * preempted, and which runs next - a task, queued work, or an RCU callback whose grace period is
 * over - the policy decides. The default one never preempts and takes the oldest.
 */
#ifndef _IOMMU_SVA_HARNESS_SIM_H
#define _IOMMU_SVA_HARNESS_SIM_H

#include "custom.h"

/**
 * struct sim_policy - which task, work or callback runs
 * @preempt: asked at each point; NULL: never
 * @choose: which of n (two or more) candidates runs next; NULL: the first. In order: tasks, works
 *	and RCU callbacks by age, then a task that has been preempted.
 * @newest_first: tasks stand in line by age, the youngest before the others
 */
struct sim_policy {
	bool (*preempt)(const char *what);
	unsigned int (*choose)(unsigned int n);
	bool newest_first;
};

extern struct sim_policy sim_policy;

/* Begin and end with a clean state. The latter fails if anything is left. */
void sim_begin(void);
void sim_end(void);

void sim_spawn(const char *name, void (*fn)(void *arg), void *arg);
/* Lets all others run until they have ended or wait for something. */
void sim_settle(void);
/* Lets one other task, work or callback run. */
void sim_yield(void);
/* Waits, and lets others run, until the condition is true. Not for interrupt context. */
void sim_block(bool (*condition)(void *arg), void *arg, const char *what);
/*
 * Called, if not NULL, when @current takes a lock, and for what the kernel has under locks of its
 * own: @class names it
 */
extern void (*sim_taken)(const void *lock, const char *class);
/* No RCU callbacks until it is released. */
void sim_hold_rcu(bool hold);
/* Time passes: delayed works that are due are queued. */
void sim_advance(unsigned long ms);
/* No other task runs in between; nests. */
void sim_nosched(bool on);
unsigned int sim_nr_tasks(void);
unsigned int sim_nr_works(void);

/* The largest window of fault-around; 0, as at the begin of a test: there is none. */
extern unsigned int sim_around_pages;

/* A door: a task that passes it while it is shut waits. */
struct sim_door {
	bool shut;
	unsigned int waiting;
};

void sim_pass(struct sim_door *door);

/* The nth allocation from now on fails; 0: none. The number of allocations so far, failed or not */
void sim_fail_alloc(unsigned int nth);
unsigned int sim_nr_allocs(void);
unsigned int sim_nr_failed_allocs(void);
/* Has the allocation that was to fail come? */
bool sim_alloc_failed(void);
void *sim_alloc_sure(size_t size, const char *where);
size_t sim_nr_live(void);

void sim_expect_warnings(unsigned int n);
unsigned int sim_nr_logged(void);
/* Without the device's name */
const char *sim_last_logged(void);

/*
 * Runs @scenario again and again: preempted at its first point, at its second, ... And all that
 * once more, with the youngest task first.
 */
void sim_explore(void (*scenario)(void));
/* Runs @scenario @rounds times, with schedules out of a pseudo-random sequence. */
void sim_shake(void (*scenario)(void), unsigned int rounds);
/* The next of that sequence; 0 outside sim_shake(). */
unsigned int sim_random(unsigned int n);

#define SIM_CHECK(condition) \
	do { \
		if (!(condition)) \
			sim_fail("%s:%d: %s", __FILE__, __LINE__, #condition); \
	} while (0)
#define SIM_EQ(a, b) \
	do { \
		long long sim_a = (a), sim_b = (b); \
		if (sim_a != sim_b) \
			sim_fail("%s:%d: %s is %lld, %s is %lld", __FILE__, __LINE__, \
				 #a, sim_a, #b, sim_b); \
	} while (0)

/* Address spaces */

struct mm_struct *sim_mm_new(void);
/* Puts a reference that no thread of the process holds */
void sim_mmput_other(struct mm_struct *mm);
/* [@start, @start + @pages), @flags of VM_* */
void sim_mmap(struct mm_struct *mm, unsigned long start, unsigned long pages, unsigned long flags);
/* Unmaps the VMA that starts at @start; its tables are freed. */
void sim_munmap(struct mm_struct *mm, unsigned long start);
/* Removes pages only, as MADV_DONTNEED does. */
void sim_zap(struct mm_struct *mm, unsigned long start, unsigned long end);
/* The CPU touches a page. */
void sim_touch(struct mm_struct *mm, unsigned long addr, bool write);
/* All MMU notifiers are told, under a page-table lock. */
void sim_invalidate(struct mm_struct *mm, unsigned long start, unsigned long end);
/* The TLB is flushed of a range that may be larger than what was unmapped. */
void sim_flush(struct mm_struct *mm, unsigned long start, unsigned long end);
/* Called when an unmapping has told all notifiers, and before anything is freed */
extern void (*sim_invalidated)(struct mm_struct *mm, unsigned long start, unsigned long end);
/* Is there a notifier to be called? */
bool sim_mm_is_watched(struct mm_struct *mm);
/* What a page-table walk from @pgd finds */
enum sim_walk { SIM_WALK_NO_TABLE, SIM_WALK_NO_PAGE, SIM_WALK_READ, SIM_WALK_WRITE };
enum sim_walk sim_walk(pgdval_t entry, unsigned long addr);
/* Leaves a fault as handle_mm_fault() does when it gives up the locks. */
vm_fault_t sim_fault_unlocked(struct vm_area_struct *vma, unsigned int flags, vm_fault_t result);
/* Maps the page; what handle_mm_fault() does by default. */
vm_fault_t sim_fault_map(struct vm_area_struct *vma, unsigned long addr, unsigned int flags);

/* Internal to the shims */
void sim_block_atomic(bool (*condition)(void *arg), void *arg, const char *what);
void sim_locks_reset(void);
void sim_mem_check_free(const void *p, size_t size);
bool sim_rcu_ripe(const struct rcu_head *head);
void sim_srcu_read_lock(void);
void sim_srcu_read_unlock(void);
void sim_synchronize_srcu(void);
void sim_call_srcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void sim_mem_reset(void);
void sim_mem_check_empty(void);

#endif /* _IOMMU_SVA_HARNESS_SIM_H */
