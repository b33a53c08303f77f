// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scale model's memory, IDs and log: what mem.c is to the tests. Objects have whole lines of
 * their own, as those of different CPUs have with the kernel's allocator. What is leaked or used
 * after it was freed, the tests find.
 */
#include <sys/mman.h>

#include "scale.h"

#define ARENA_SIZE	(4UL << 30)
#define MAX_LINES	4096

/* @cache: that the object is of, or NULL; @lines: of the object, without this one */
struct header {
	const char *where;
	struct header *next;
	struct kmem_cache *cache;
	u32 lines;
} __attribute__((aligned(SCALE_LINE)));

/* @unused: objects as their owners have left them */
struct kmem_cache {
	const char *name;
	u32 lines;
	size_t align;
	void (*construct)(void *object);
	struct header *unused;
};

char *scale_arena;
size_t scale_arena_used;

static struct header *unused[MAX_LINES + 1], *freed;
static unsigned int nr_allocs;
static size_t nr_live;

void scale_mem_init(void)
{
	scale_arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	SIM_CHECK(scale_arena != MAP_FAILED);
}

static u32 first_line(const struct header *h)
{
	return ((char *)(h + 1) - scale_arena) / SCALE_LINE;
}

const char *scale_object_name(u32 first)
{
	return ((struct header *)(scale_arena + first * SCALE_LINE) - 1)->where;
}

static u32 lines_of(size_t size)
{
	SIM_CHECK(size && size <= MAX_LINES * SCALE_LINE);
	return (size + SCALE_LINE - 1) / SCALE_LINE;
}

/* The header ends where the aligned object begins. */
static struct header *take_new(u32 lines, size_t align)
{
	size_t object = (scale_arena_used + sizeof(struct header) + align - 1) / align * align;
	struct header *h;

	scale_arena_used = object - sizeof(*h);
	h = (struct header *)(scale_arena + scale_arena_used);
	scale_arena_used += (lines + 1) * SCALE_LINE;
	SIM_CHECK(scale_arena_used <= ARENA_SIZE);
	return h;
}

void *sim_alloc_sure(size_t size, const char *where)
{
	u32 lines = lines_of(size);
	struct header *h;

	nr_allocs++;
	nr_live++;
	h = unused[lines];
	if (h)
		unused[lines] = h->next;
	else
		h = take_new(lines, size == PAGE_SIZE ? PAGE_SIZE : SCALE_LINE);
	*h = (struct header){ .where = where, .lines = lines };
	scale_line_owner(first_line(h), lines);
	return memset(h + 1, 0, size);
}

void *sim_alloc(size_t size, gfp_t gfp, const char *where)
{
	return sim_alloc_sure(size, where);
}

void kfree(const void *p)
{
	struct header *h = (struct header *)p - 1;

	if (!p)
		return;
	nr_live--;
	h->next = freed;
	freed = h;
}

void scale_mem_recycle(void)
{
	while (freed) {
		struct header *h = freed;

		struct header **list = h->cache ? &h->cache->unused : &unused[h->lines];

		freed = h->next;
		h->next = *list;
		*list = h;
	}
}

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
				     unsigned int flags, void (*construct)(void *object))
{
	struct kmem_cache *cache = calloc(1, sizeof(*cache));

	SIM_CHECK(cache);
	cache->name = name;
	cache->lines = lines_of(size);
	cache->align = align > SCALE_LINE ? align : SCALE_LINE;
	cache->construct = construct;
	return cache;
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	struct header *h = cache->unused;

	nr_allocs++;
	nr_live++;
	if (h) {
		cache->unused = h->next;
	} else {
		h = take_new(cache->lines, cache->align);
		*h = (struct header){ .where = cache->name, .cache = cache, .lines = cache->lines };
		cache->construct(h + 1);
	}
	scale_line_owner(first_line(h), h->lines);
	return h + 1;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	kfree(object);
}

size_t sim_nr_live(void)
{
	return nr_live;
}

unsigned int sim_nr_allocs(void)
{
	return nr_allocs;
}

void sim_mem_reset(void)
{
}

void sim_mem_check_empty(void)
{
	SIM_EQ(nr_live, 0);
}

/* The core keeps them: they are no objects of what the CPUs do. */
unsigned long *bitmap_zalloc(unsigned int bits, gfp_t gfp)
{
	nr_live--;
	return sim_alloc(BITMAP_WORDS(bits) * sizeof(long), gfp, "bitmap of PASIDs");
}

void sim_log(const struct device *dev, const char *fmt, ...)
{
	sim_fail("%s logs: %s", dev->name, fmt);
}
