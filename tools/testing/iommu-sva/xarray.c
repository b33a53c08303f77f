// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arrays of values, with a mark, as lists in the order of their indexes.
 */
#include "sim.h"

struct sim_entry {
	struct sim_entry *next;
	unsigned long index;
	void *value;
	bool marked;
};

/* Where the entry of @index is, or would be */
static struct sim_entry **place_of(struct xarray *xa, unsigned long index)
{
	struct sim_entry **at = &xa->entries;

	while (*at && (*at)->index < index)
		at = &(*at)->next;
	return at;
}

static struct sim_entry *find(struct xarray *xa, unsigned long index)
{
	struct sim_entry *entry = *place_of(xa, index);

	return entry && entry->index == index ? entry : NULL;
}

static void check_locked(struct xarray *xa)
{
	if (!lockdep_is_held(&xa->xa_lock))
		sim_fail("an array is changed without its lock");
}

void *xa_load(struct xarray *xa, unsigned long index)
{
	struct sim_entry *entry = find(xa, index);

	return entry ? entry->value : NULL;
}

bool xa_get_mark(struct xarray *xa, unsigned long index, int mark)
{
	struct sim_entry *entry = find(xa, index);

	return entry && entry->marked;
}

bool xa_marked(struct xarray *xa, int mark)
{
	for (struct sim_entry *entry = xa->entries; entry; entry = entry->next)
		if (entry->marked)
			return true;
	return false;
}

void *sim_xa_find(struct xarray *xa, unsigned long *index)
{
	struct sim_entry *entry = *place_of(xa, *index);

	if (!entry)
		return NULL;
	*index = entry->index;
	return entry->value;
}

/* Most of the time the kernel has memory at hand: the lock is dropped where that matters. */
static struct sim_entry *alloc_entry(struct xarray *xa, gfp_t gfp)
{
	bool drops = gfp & GFP_KERNEL && sim_policy.preempt;
	struct sim_entry *entry;

	if (drops)
		spin_unlock(&xa->xa_lock);
	entry = sim_alloc(sizeof(*entry), drops ? gfp : GFP_ATOMIC, "__xa_insert");
	if (drops)
		spin_lock(&xa->xa_lock);
	return entry;
}

int __xa_insert(struct xarray *xa, unsigned long index, void *value, gfp_t gfp)
{
	struct sim_entry **at, *entry;

	check_locked(xa);
	if (find(xa, index))
		return -EBUSY;
	entry = alloc_entry(xa, gfp);
	if (!entry)
		return -ENOMEM;
	if (find(xa, index)) {
		kfree(entry);
		return -EBUSY;
	}
	at = place_of(xa, index);
	*entry = (struct sim_entry){ .next = *at, .index = index, .value = value };
	*at = entry;
	return 0;
}

/* The core stores only where there is an entry, or no memory would be at hand. */
void *__xa_store(struct xarray *xa, unsigned long index, void *value, gfp_t gfp)
{
	struct sim_entry *entry = find(xa, index);
	void *old;

	check_locked(xa);
	if (!entry)
		sim_fail("an array has no entry %lu", index);
	old = entry->value;
	entry->value = value;
	return old;
}

void *__xa_erase(struct xarray *xa, unsigned long index)
{
	struct sim_entry **at = place_of(xa, index), *entry = *at;
	void *old;

	check_locked(xa);
	if (!entry || entry->index != index)
		return NULL;
	old = entry->value;
	*at = entry->next;
	kfree(entry);
	return old;
}

static void set_mark(struct xarray *xa, unsigned long index, bool marked)
{
	struct sim_entry *entry = find(xa, index);

	check_locked(xa);
	if (entry)
		entry->marked = marked;
}

void __xa_set_mark(struct xarray *xa, unsigned long index, int mark)
{
	set_mark(xa, index, true);
}

void __xa_clear_mark(struct xarray *xa, unsigned long index, int mark)
{
	set_mark(xa, index, false);
}
