// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: set-associative caches
 *
 * The IOTLB, the paging-structure cache and each endpoint's ATC are of this kind. A line is found
 * by (PASID, page size, address), in the set that the three select. A full set replaces the line
 * that was used least recently. Nothing else removes a line but an invalidation that overlaps it:
 * a cache does not know what happens to page tables.
 *
 * Pages of several sizes share a cache: a look-up tries those that have been put in so far.
 *
 * Locks: soft_cache.lock, innermost but for the ledger's. Lifetime: its owner's.
 */
#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "soft-priv.h"

/**
 * struct soft_way - one place of a set
 * @line: what it holds
 * @used: time of the last use; 0: it holds nothing
 */
struct soft_way {
	struct soft_line line;
	u64 used;
};

/**
 * struct soft_cache - a set-associative cache
 * @lock: guards all below
 * @sets: power of two
 * @ways: places in a set
 * @sizes: shifts of the lines that have been put in
 * @clock: counts uses
 * @way: all places, set by set
 */
struct soft_cache {
	spinlock_t lock;	/* of all below */
	unsigned int sets;
	unsigned int ways;
	u64 sizes;
	u64 clock;
	struct soft_way way[];
};

struct soft_cache *soft_cache_alloc(const struct soft_cache_config *config, unsigned int sets,
				    unsigned int ways)
{
	struct soft_cache *cache;

	if (config && config->sets) {
		sets = roundup_pow_of_two(config->sets);
		ways = max(config->ways, 1U);
	}
	cache = kvzalloc(struct_size(cache, way, sets * ways), GFP_KERNEL);
	if (!cache)
		return NULL;
	spin_lock_init(&cache->lock);
	cache->sets = sets;
	cache->ways = ways;
	return cache;
}

void soft_cache_free(struct soft_cache *cache)
{
	kvfree(cache);
}

/* Neighbours go to neighbouring sets, as in hardware: a test can fill a set on purpose. */
static struct soft_way *soft_cache_set(struct soft_cache *cache, ioasid_t pasid, unsigned long va,
				       unsigned int shift)
{
	unsigned long set = ((va >> shift) + pasid) & (cache->sets - 1);

	return &cache->way[set * cache->ways];
}

static bool soft_line_is(const struct soft_way *way, ioasid_t pasid, unsigned long va,
			 unsigned int shift)
{
	return way->used && way->line.pasid == pasid && way->line.shift == shift &&
	       way->line.va == va;
}

static struct soft_way *soft_cache_look(struct soft_cache *cache, ioasid_t pasid,
					unsigned long addr, unsigned int shift)
{
	unsigned long va = addr & (~0UL << shift);
	struct soft_way *way;

	lockdep_assert_held(&cache->lock);

	way = soft_cache_set(cache, pasid, va, shift);
	for (unsigned int i = 0; i < cache->ways; i++, way++)
		if (soft_line_is(way, pasid, va, shift))
			return way;
	return NULL;
}

/* The line of that size which covers @addr. */
bool soft_cache_find_sized(struct soft_cache *cache, ioasid_t pasid, unsigned long addr,
			   unsigned int shift, struct soft_line *line)
{
	struct soft_way *way;

	guard(spinlock)(&cache->lock);
	way = soft_cache_look(cache, pasid, addr, shift);
	if (!way)
		return false;
	way->used = ++cache->clock;
	*line = way->line;
	return true;
}

/* The line of any size which covers @addr, the smallest first. */
bool soft_cache_find(struct soft_cache *cache, ioasid_t pasid, unsigned long addr,
		     struct soft_line *line)
{
	struct soft_way *way;
	u64 sizes;

	guard(spinlock)(&cache->lock);
	for (sizes = cache->sizes; sizes; sizes &= sizes - 1) {
		way = soft_cache_look(cache, pasid, addr, __ffs64(sizes));
		if (!way)
			continue;
		way->used = ++cache->clock;
		*line = way->line;
		return true;
	}
	return false;
}

/* The place in its set for a line that is not there. */
static struct soft_way *soft_cache_victim(struct soft_cache *cache, const struct soft_line *line)
{
	struct soft_way *way, *oldest;

	lockdep_assert_held(&cache->lock);

	way = soft_cache_set(cache, line->pasid, line->va, line->shift);
	oldest = way;
	for (unsigned int i = 1; i < cache->ways; i++)
		if (way[i].used < oldest->used)
			oldest = &way[i];
	return oldest;
}

void soft_cache_add(struct soft_cache *cache, const struct soft_line *line)
{
	struct soft_way *way;

	guard(spinlock)(&cache->lock);
	way = soft_cache_look(cache, line->pasid, line->va, line->shift);
	if (!way)
		way = soft_cache_victim(cache, line);
	way->line = *line;
	way->used = ++cache->clock;
	cache->sizes |= BIT_ULL(line->shift);
}

static bool soft_line_overlaps(const struct soft_line *line, unsigned long start,
			       unsigned long last)
{
	return line->va <= last && line->va + BIT(line->shift) - 1 >= start;
}

/*
 * Forgets the lines of @pasid that overlap [@start, @last]; of all PASIDs, if it is
 * IOMMU_PASID_INVALID. Returns how many.
 */
unsigned int soft_cache_drop(struct soft_cache *cache, ioasid_t pasid, unsigned long start,
			     unsigned long last)
{
	unsigned int dropped = 0;

	guard(spinlock)(&cache->lock);
	for (unsigned int i = 0; i < cache->sets * cache->ways; i++) {
		struct soft_way *way = &cache->way[i];

		if (!way->used || !soft_line_overlaps(&way->line, start, last))
			continue;
		if (pasid != IOMMU_PASID_INVALID && way->line.pasid != pasid)
			continue;
		way->used = 0;
		dropped++;
	}
	return dropped;
}

/* How many places are taken. */
unsigned int soft_cache_lines(struct soft_cache *cache)
{
	unsigned int lines = 0;

	guard(spinlock)(&cache->lock);
	for (unsigned int i = 0; i < cache->sets * cache->ways; i++)
		lines += !!cache->way[i].used;
	return lines;
}
