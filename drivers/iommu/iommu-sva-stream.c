// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: which device works its way up through memory?
 *
 * A request that follows another one by a page, or by what one fault maps of the page cache, begins
 * a stream, which gets a window of a few pages.
 * A window proves itself by a request for the very page behind it, which a device that skips
 * about has no reason to make: then the next window is twice as large. Until that request nothing
 * is mapped: what the device asks for inside of the window, or near to it, was under way already or
 * has overtaken another request. A window most of which turns out to be unused makes the next one a
 * quarter, and a stream whose windows have become too small is one no longer.
 *
 * Random access pays for a look at a few numbers: sva_streams_concern() takes no lock. It may read
 * what another one is just writing; then a stream begins a request later, or a closer look
 * finds nothing.
 *
 * Nothing here knows of memory, processes or devices. The caller serialises all but
 * sva_streams_concern(). A stream that sva_stream_find() has returned belongs to the caller until
 * sva_stream_close(): its pages may be mapped, and those of its last window looked at, without any
 * lock.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/hash.h>
#include <linux/minmax.h>

#include "iommu-sva-around.h"

/* No page of any process, and near to none. */
#define NO_HINT		(~0UL / 2)
/* A fault in the page cache maps this much, aligned, if it is there (fault_around_bytes in mm). */
#define FAULT_PAGES	((unsigned long)(SZ_64K >> PAGE_SHIFT))

/**
 * sva_streams_init() - No streams yet
 * @streams: zeroed memory
 */
void sva_streams_init(struct sva_streams *streams)
{
	for (int i = 0; i < ARRAY_SIZE(streams->hints); i++)
		streams->hints[i] = NO_HINT;
}

/* The one place where a request is remembered that @page would follow */
static unsigned long *hint_of(struct sva_streams *streams, unsigned long page)
{
	return &streams->hints[hash_64(page / FAULT_PAGES, SVA_STREAM_HINT_BITS)];
}

static void hint_remember(struct sva_streams *streams, unsigned long page)
{
	WRITE_ONCE(*hint_of(streams, page + 1), page + 1);
}

/* What @page follows, when a device that streams has got all before that; or NULL */
static unsigned long *hint_find(struct sva_streams *streams, unsigned long page)
{
	unsigned long *hint = hint_of(streams, page);

	if (page == READ_ONCE(*hint))
		return hint;
	if (!IS_ALIGNED(page, FAULT_PAGES))
		return NULL;
	hint = hint_of(streams, page - FAULT_PAGES);
	return page - READ_ONCE(*hint) < FAULT_PAGES ? hint : NULL;
}

/**
 * sva_streams_concern() - Has a request to do with a stream?
 * @streams: of the process
 * @page: what was asked for
 *
 * If not, the request is remembered, so that the next one may make it a stream.
 *
 * Context: any; no lock is needed.
 * Return: true if a closer look with sva_stream_find() is worth while.
 */
bool sva_streams_concern(struct sva_streams *streams, unsigned long page)
{
	unsigned int nr = READ_ONCE(streams->nr);

	for (unsigned int i = 0; i < nr; i++)
		if (page - READ_ONCE(streams->near[i].first) < READ_ONCE(streams->near[i].pages))
			return true;
	if (hint_find(streams, page))
		return true;
	hint_remember(streams, page);
	return false;
}

/* What sva_streams_concern() sees of a stream follows what is true. */
static void stream_publish(struct sva_streams *streams, struct sva_stream *stream)
{
	unsigned int i = stream - streams->streams;
	unsigned long first = 0, pages = 0;

	if (stream->key) {
		first = stream->first - min(stream->first, SVA_STREAM_NEAR);
		pages = stream->next + SVA_STREAM_NEAR - first;
	}
	WRITE_ONCE(streams->near[i].first, first);
	WRITE_ONCE(streams->near[i].pages, pages);
	if (i >= streams->nr)
		WRITE_ONCE(streams->nr, i + 1);
}

static bool stream_is_near(const struct sva_stream *stream, unsigned long page)
{
	return page + SVA_STREAM_NEAR >= stream->first && page < stream->next + SVA_STREAM_NEAR;
}

/* A request for what was mapped ahead: it is used, whatever its accessed flag says. */
static void stream_note_asked(struct sva_stream *stream, unsigned long page)
{
	if (stream->busy || page < stream->first || page - stream->first >= SVA_WINDOW_MAX)
		return;
	if (__test_and_clear_bit(page - stream->first, stream->ahead))
		stream->asked++;
}

/* True if @page is the one that makes the stream go on. */
static bool stream_goes_on(struct sva_streams *streams, struct sva_stream *stream,
			   unsigned long page)
{
	if (page != stream->next) {
		stream_note_asked(stream, page);
		return false;
	}
	if (!stream->busy)
		return true;
	/* The window in work does not know yet that the device has got through. */
	stream->next++;
	stream_publish(streams, stream);
	return false;
}

/*
 * The stream to which a request belongs; first of all the one that it makes go on: where memory is
 * used again, the window that an earlier stream has left behind is no obstacle to the next one.
 */
static struct sva_stream *stream_look_up(struct sva_streams *streams, const void *key, u32 kind,
					 unsigned long page)
{
	struct sva_stream *stream, *near = NULL;

	for (unsigned int i = 0; i < streams->nr; i++) {
		stream = &streams->streams[i];
		if (stream->key != key || stream->kind != kind || !stream_is_near(stream, page))
			continue;
		if (page == stream->next)
			return stream;
		near = near ?: stream;
	}
	return near;
}

static struct sva_stream *stream_make_room(struct sva_streams *streams)
{
	struct sva_stream *stream, *oldest = NULL;

	for (stream = streams->streams; stream < streams->streams + SVA_STREAMS; stream++) {
		if (stream->busy)
			continue;
		if (!stream->key)
			return stream;
		/* Ticks may wrap around. */
		if (!oldest || (int)(stream->stamp - oldest->stamp) < 0)
			oldest = stream;
	}
	return oldest;
}

static struct sva_stream *stream_begin(struct sva_streams *streams, const void *key, u32 kind)
{
	struct sva_stream *stream = stream_make_room(streams);

	if (!stream)
		return NULL;
	/* Only its owner can tell how another one's last window was used. */
	if (stream->key != key) {
		bitmap_zero(stream->ahead, SVA_WINDOW_MAX);
		stream->asked = 0;
	}
	stream->key = key;
	stream->kind = kind;
	stream->size = 0;
	stream->busy = true;
	return stream;
}

/**
 * sva_stream_find() - The stream that goes on with a request
 * @streams: of the process
 * @key: whose request it is; not NULL
 * @kind: access that it asks for
 * @page: what it asks for
 *
 * Context: any; the caller holds the lock of @streams.
 * Return: the stream, which belongs to the caller until sva_stream_close(); or NULL if there is
 * nothing to be mapped ahead now.
 */
struct sva_stream *sva_stream_find(struct sva_streams *streams, const void *key, u32 kind,
				   unsigned long page)
{
	struct sva_stream *stream = stream_look_up(streams, key, kind, page);
	unsigned long *hint;

	if (stream) {
		if (!stream_goes_on(streams, stream, page))
			return NULL;
		stream->busy = true;
		return stream;
	}

	hint = hint_find(streams, page);
	if (hint)
		WRITE_ONCE(*hint, NO_HINT);
	hint_remember(streams, page);
	return hint ? stream_begin(streams, key, kind) : NULL;
}

/* How many pages the next window shall have; 0: none. */
static unsigned int stream_next_size(const struct sva_stream *stream, unsigned int used,
				     unsigned int unused, unsigned int max)
{
	unsigned int size = SVA_WINDOW_MIN;

	if (stream->size) {
		size = unused > used ? stream->size / 4 : stream->size * 2;
		if (size < SVA_WINDOW_MIN && unused > used)
			return 0;
	}
	return min3(size, max, SVA_WINDOW_MAX);
}

/**
 * sva_stream_open() - Begin the next window of a stream
 * @streams: of the process
 * @stream: the stream, the caller's
 * @page: the request that makes it go on; the window begins behind it
 * @used: pages of the last window that are known to be used
 * @unused: and known not to be
 * @max: the largest window that may be
 *
 * Context: any; the caller holds the lock of @streams.
 * Return: how many pages are to be mapped ahead; 0 if the stream is none. The caller maps them, or
 * as many as it can, sets their bits in &sva_stream.ahead, and calls sva_stream_close() anyway.
 */
unsigned int sva_stream_open(struct sva_streams *streams, struct sva_stream *stream,
			     unsigned long page, unsigned int used, unsigned int unused,
			     unsigned int max)
{
	unsigned int size = stream_next_size(stream, used + stream->asked, unused, max);

	stream->size = size;
	stream->first = page + 1;
	stream->next = stream->first + size;
	stream->stamp = streams->ticks++;
	stream->asked = 0;
	bitmap_zero(stream->ahead, SVA_WINDOW_MAX);
	stream_publish(streams, stream);
	return size;
}

/**
 * sva_stream_close() - The window is mapped
 * @streams: of the process
 * @stream: the stream, not the caller's any more
 * @end: the first page that the window does not hold; if that is where it began, there is no
 *	stream
 *
 * Context: any; the caller holds the lock of @streams.
 */
void sva_stream_close(struct sva_streams *streams, struct sva_stream *stream, unsigned long end)
{
	unsigned long wanted = stream->first + stream->size;

	stream->busy = false;
	if (end == stream->first || !stream->key)
		sva_stream_forget(streams, stream);
	else if (end < wanted || end > stream->next)
		stream->next = end;
	stream_publish(streams, stream);
}

/**
 * sva_stream_forget() - There is no such stream any more
 * @streams: of the process
 * @stream: the stream. If it is in work, what is being done comes to nothing.
 *
 * Context: any; the caller holds the lock of @streams.
 */
void sva_stream_forget(struct sva_streams *streams, struct sva_stream *stream)
{
	stream->key = NULL;
	stream->asked = 0;
	if (!stream->busy)
		bitmap_zero(stream->ahead, SVA_WINDOW_MAX);
	stream_publish(streams, stream);
}
