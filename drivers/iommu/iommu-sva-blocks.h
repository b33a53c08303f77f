/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ranges of addresses as back-ends invalidate them: naturally aligned blocks of 2^n pages
 *
 * VT-d's descriptors, AMD's commands and PCIe's ATC invalidations all name such blocks of 4 KiB
 * pages, whatever the size of the CPU's. A range is a value on the caller's stack: no locks.
 *
 * A range that is not aligned takes several blocks, or fewer ones that cover more than the range.
 * Devices translate again what a flush covers beyond the range, which costs only time; what it
 * failed to cover would be a hole. So a range only ever grows. struct sva_costs says how far
 * growing pays.
 *
 * The middle of a range is its page number with the most trailing zeros. To its left blocks grow
 * towards it, to its right they shrink away from it: one block for each bit that is set in the
 * number of pages of that side. Rounding a side up to a multiple of a larger power of two saves
 * blocks at its outer end; each side is rounded by itself. One block around both sides is the last
 * choice.
 */
#ifndef _DRIVERS_IOMMU_IOMMU_SVA_BLOCKS_H
#define _DRIVERS_IOMMU_IOMMU_SVA_BLOCKS_H

#include <linux/bitops.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/types.h>

#define SVA_BLOCK_SHIFT		12
/* Size of a block that is everything, as log2 of the number of pages */
#define SVA_ORDER_ALL		(64 - SVA_BLOCK_SHIFT)

/**
 * struct sva_costs - costs of invalidating a kind of cache, in commands
 * @max_order: log2 of the pages of the largest block that a command names, up to SVA_ORDER_ALL
 * @pages: forgetting this many pages around a range, which are still mapped, costs one command
 * @all: forgetting everything costs this many commands, since a cache is only so large; so no range
 *	takes more commands than this
 */
struct sva_costs {
	unsigned int max_order;
	unsigned int pages;
	unsigned int all;
};

/*
 * Orders of magnitude, not measured on hardware, for caches of some hundred translations: getting
 * one back takes a sixteenth of the time of a command, since walks and translation requests
 * overlap, and threads wait for commands under spinlocks; and of 512 pages around a range that is
 * unmapped a cache holds one. So 64 pages anywhere are one block for 99 of 100 starts.
 */
#define SVA_COST_PAGES		(16 * 512)
#define SVA_COST_ALL		16

/**
 * struct sva_blocks - a range of pages, block by naturally aligned block
 * @pfn: first page of the current block
 * @last: last page of the range
 * @max_order: log2 of the pages of the largest block that hardware takes, up to SVA_ORDER_ALL
 */
struct sva_blocks {
	unsigned long pfn;
	unsigned long last;
	unsigned int max_order;
};

/**
 * sva_block_order() - Size of the current block
 * @b: the range
 *
 * Context: any.
 * Return: log2 of its number of pages; SVA_ORDER_ALL if it is everything.
 */
static inline unsigned int sva_block_order(const struct sva_blocks *b)
{
	unsigned int fits = ilog2(b->last - b->pfn + 1);
	unsigned int aligned = b->pfn ? __ffs(b->pfn) : BITS_PER_LONG;

	return min3(fits, aligned, b->max_order);
}

/**
 * sva_next_block() - Go on to the next block
 * @b: the range
 *
 * Context: any.
 * Return: false if there is none.
 */
static inline bool sva_next_block(struct sva_blocks *b)
{
	unsigned long size = 1UL << sva_block_order(b);

	if (b->last - b->pfn < size)
		return false;
	b->pfn += size;
	return true;
}

/**
 * sva_all_blocks() - Everything, as one block
 *
 * Context: any.
 * Return: the block.
 */
static inline struct sva_blocks sva_all_blocks(void)
{
	return (struct sva_blocks){
		.last = (1UL << SVA_ORDER_ALL) - 1,
		.max_order = SVA_ORDER_ALL,
	};
}

/* Blocks of a side of a range */
static inline unsigned long sva_count_blocks(unsigned long pages, unsigned int max_order)
{
	return (pages >> max_order) + hweight_long(pages & ((1UL << max_order) - 1));
}

/* The cost of @blocks blocks that cover @more pages beyond the range */
static inline u64 sva_cost(const struct sva_costs *costs, unsigned long blocks, unsigned long more)
{
	u64 all = (u64)costs->all * costs->pages;

	return min(blocks, costs->all + 1UL) * costs->pages + min_t(u64, more, all);
}

/* How many pages to invalidate on a side of a range that has @pages */
static inline unsigned long sva_widen(const struct sva_costs *costs, unsigned long pages)
{
	unsigned long size = pages, best = pages, step;
	u64 least = U64_MAX, cost;

	for (;;) {
		cost = sva_cost(costs, sva_count_blocks(size, costs->max_order), size - pages);
		if (cost < least) {
			least = cost;
			best = size;
		}
		step = 1UL << __ffs(size);
		if (step == size || step >> costs->max_order)
			return best;
		size += step;
	}
}

/**
 * sva_make_blocks() - The pages of a range of addresses
 * @start: first byte
 * @end: the byte after the last, or ~0UL for everything
 * @costs: of the cache that must forget them
 *
 * Context: any.
 * Return: the range at its first block, grown as far as that is cheaper; at most &sva_costs.all
 * blocks. An empty range gives everything.
 */
static inline struct sva_blocks sva_make_blocks(unsigned long start, unsigned long end,
						const struct sva_costs *costs)
{
	unsigned long first = start >> SVA_BLOCK_SHIFT, last = (end - 1) >> SVA_BLOCK_SHIFT;
	struct sva_blocks b = { .pfn = first, .last = last, .max_order = costs->max_order };
	unsigned long half, middle, left, right, nr, rest = ULONG_MAX;

	if (end <= start || end == ULONG_MAX)
		return sva_all_blocks();
	if (first == last)
		return b;

	half = 1UL << __fls(first ^ last);
	middle = last & -half;
	left = sva_widen(costs, middle - first);
	right = sva_widen(costs, last + 1 - middle);
	b.pfn = middle - left;
	b.last = middle + right - 1;

	nr = sva_count_blocks(left, costs->max_order) + sva_count_blocks(right, costs->max_order);
	if (2 * half <= 1UL << costs->max_order)
		rest = 2 * half - (last - first + 1);
	if (sva_cost(costs, nr, b.last - b.pfn - (last - first)) < sva_cost(costs, 1, rest))
		return b;
	if (rest == ULONG_MAX)
		return sva_all_blocks();
	b.pfn = middle - half;
	b.last = middle + half - 1;
	return b;
}

#endif /* _DRIVERS_IOMMU_IOMMU_SVA_BLOCKS_H */
