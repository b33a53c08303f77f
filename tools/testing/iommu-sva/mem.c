// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that records what has not been freed, caches of objects, bitmaps, and the kernel log.
 */
#include <sanitizer/asan_interface.h>
#include <stdarg.h>
#include <stdio.h>

#include "sim.h"

#define MAX_LIVE	16384

static struct live {
	void *p;
	size_t size;
	const char *where;
} live[MAX_LIVE];
static size_t nr_live;

static unsigned int nr_allocs, nr_failed, fail_in, nr_logged;
static char last_logged[256];
static bool failed;

static void *record(void *p, size_t size, const char *where)
{
	if (!p || nr_live == MAX_LIVE)
		sim_fail("the host has no memory for %s()", where);
	live[nr_live++] = (struct live){ p, size, where };
	return p;
}

static void *take(size_t size, const char *where)
{
	void *p = size == PAGE_SIZE ? aligned_alloc(PAGE_SIZE, size) : malloc(size);

	return memset(record(p, size, where), 0, size);
}

static bool fails(gfp_t gfp, const char *where)
{
	if (gfp & GFP_KERNEL)
		sim_might_sleep(where);
	sim_point("alloc");
	nr_allocs++;
	if (!fail_in || --fail_in)
		return false;
	failed = true;
	nr_failed++;
	return true;
}

void *sim_alloc(size_t size, gfp_t gfp, const char *where)
{
	return fails(gfp, where) ? NULL : take(size, where);
}

void *sim_alloc_sure(size_t size, const char *where)
{
	return take(size, where);
}

static bool forget(const void *p)
{
	for (size_t i = nr_live; i--; ) {
		if (live[i].p != p)
			continue;
		sim_mem_check_free(p, live[i].size);
		live[i] = live[--nr_live];
		return true;
	}
	return false;
}

void kfree(const void *p)
{
	bool was_live = !p || forget(p);

	/* Twice, or never had: the sanitizer tells which, and where. */
	free((void *)p);
	if (!was_live)
		sim_fail("something is freed that was never allocated");
}

/* Caches of objects */

#define MAX_FREE	1024

struct kmem_cache {
	const char *name;
	size_t size;
	size_t align;
	void (*construct)(void *object);
	void *free[MAX_FREE];
	unsigned int nr_free;
};

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
				     unsigned int flags, void (*construct)(void *object))
{
	struct kmem_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		abort();
	cache->name = name;
	cache->align = align ?: sizeof(void *);
	cache->size = (size + cache->align - 1) / cache->align * cache->align;
	cache->construct = construct;
	return cache;
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *object;

	if (fails(gfp, cache->name))
		return NULL;
	if (cache->nr_free) {
		object = cache->free[--cache->nr_free];
		ASAN_UNPOISON_MEMORY_REGION(object, cache->size);
		return record(object, cache->size, cache->name);
	}
	object = record(aligned_alloc(cache->align, cache->size), cache->size, cache->name);
	cache->construct(object);
	return object;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	if (!forget(object) || cache->nr_free == MAX_FREE)
		sim_fail("an object of %s is freed that was never allocated", cache->name);
	ASAN_POISON_MEMORY_REGION(object, cache->size);
	cache->free[cache->nr_free++] = object;
}

void sim_fail_alloc(unsigned int nth)
{
	fail_in = nth;
	failed = false;
}

unsigned int sim_nr_failed_allocs(void)
{
	return nr_failed;
}

bool sim_alloc_failed(void)
{
	return failed;
}

unsigned int sim_nr_allocs(void)
{
	return nr_allocs;
}

size_t sim_nr_live(void)
{
	return nr_live;
}

void sim_mem_reset(void)
{
	nr_allocs = 0;
	fail_in = 0;
	failed = false;
	nr_logged = 0;
}

/* A bitmap, once there, may stay, but nothing in it may be in use. */
static bool may_stay(const struct live *object)
{
	const unsigned char *bytes = object->p;

	return !strcmp(object->where, "bitmap_zalloc") && !bytes[0] &&
	       !memcmp(bytes, bytes + 1, object->size - 1);
}

void sim_mem_check_empty(void)
{
	size_t nr_leaked = 0;

	for (size_t i = 0; i < nr_live; i++) {
		if (may_stay(&live[i]))
			continue;
		nr_leaked++;
		fprintf(stderr, "  %zu bytes of %s()\n", live[i].size, live[i].where);
	}
	if (nr_leaked)
		sim_fail("%zu objects are leaked", nr_leaked);
}

/* Bitmaps */

unsigned long *bitmap_zalloc(unsigned int bits, gfp_t gfp)
{
	return sim_alloc(BITMAP_WORDS(bits) * sizeof(long), gfp, __func__);
}

/* The log */

void sim_log(const struct device *dev, const char *fmt, ...)
{
	va_list args;

	nr_logged++;
	va_start(args, fmt);
	vsnprintf(last_logged, sizeof(last_logged), fmt, args);
	va_end(args);
	if (getenv("SIM_LOG"))
		fprintf(stderr, "%s: %s", dev->name, last_logged);
}

unsigned int sim_nr_logged(void)
{
	return nr_logged;
}

const char *sim_last_logged(void)
{
	return last_logged;
}
