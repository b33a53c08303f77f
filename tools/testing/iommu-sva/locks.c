// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks: who has them, in which order they are taken, and what is forbidden with them held.
 */
#include "sim.h"

#define MAX_CLASSES	64

static const char *classes[MAX_CLASSES];
static u64 taken_inside[MAX_CLASSES];
static unsigned int nr_classes;

void sim_locks_reset(void)
{
	nr_classes = 0;
	memset(taken_inside, 0, sizeof(taken_inside));
}

bool sim_cpu_is_wanted;

void (*sim_taken)(const void *lock, const char *class);

static unsigned int class_of(const struct sim_lock *lock)
{
	unsigned int i;

	for (i = 0; i < nr_classes; i++)
		if (classes[i] == lock->class)
			return i;
	if (nr_classes == MAX_CLASSES)
		sim_fail("too many lock classes");
	classes[nr_classes] = lock->class;
	return nr_classes++;
}

static bool is_inside(unsigned int inner, unsigned int outer)
{
	u64 seen = 0, todo = 1ULL << outer;

	while (todo) {
		unsigned int class = (unsigned int)__builtin_ctzll(todo);

		if (class == inner)
			return true;
		seen |= 1ULL << class;
		todo = (todo | taken_inside[class]) & ~seen;
	}
	return false;
}

static void check_order(const struct sim_lock *lock)
{
	unsigned int inner = class_of(lock);

	for (unsigned int i = 0; i < current->nr_held; i++) {
		unsigned int outer = class_of(current->held[i]);

		if (is_inside(outer, inner))
			sim_fail("lock order: %s inside %s, and elsewhere the other way round",
				 lock->class, current->held[i]->class);
		taken_inside[outer] |= 1ULL << inner;
	}
}

static bool can_own(void *arg)
{
	struct sim_lock *lock = arg;

	return !lock->owner && !lock->readers;
}

static bool can_read(void *arg)
{
	return !((struct sim_lock *)arg)->owner;
}

bool sim_lock_is_held(const struct sim_lock *lock)
{
	for (unsigned int i = 0; i < current->nr_held; i++)
		if (current->held[i] == lock)
			return true;
	return false;
}

void sim_lock(struct sim_lock *lock, bool shared)
{
	if (!lock->class)
		sim_fail("a lock is used before its initialisation");
	if (lock->kind != SIM_SPINLOCK)
		sim_might_sleep(lock->class);
	if (sim_lock_is_held(lock))
		sim_fail("%s taken twice", lock->class);
	check_order(lock);
	sim_point(lock->class);
	lock->waiters++;
	sim_block_atomic(shared ? can_read : can_own, lock, lock->class);
	lock->waiters--;
	if (shared)
		lock->readers++;
	else
		lock->owner = current;
	if (current->nr_held == SIM_HELD_MAX)
		sim_fail("too many locks held");
	current->held[current->nr_held++] = lock;
	current->spinning += lock->kind == SIM_SPINLOCK;
	if (sim_taken)
		sim_taken(lock, lock->class);
}

void sim_unlock(struct sim_lock *lock)
{
	enum sim_lock_kind kind = lock->kind;
	unsigned int i;

	for (i = 0; i < current->nr_held; i++)
		if (current->held[i] == lock)
			break;
	if (i == current->nr_held)
		sim_fail("%s released, but not held", lock->class);
	current->nr_held--;
	for (; i < current->nr_held; i++)
		current->held[i] = current->held[i + 1];
	current->spinning -= kind == SIM_SPINLOCK;
	if (lock->owner)
		lock->owner = NULL;
	else
		lock->readers--;
	sim_point("unlock");
	/* A mutex must not be freed before mutex_unlock() has returned. */
	if (kind == SIM_MUTEX && lock->kind != kind)
		sim_fail("a mutex changes while it is released");
}
