// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: finds sequences in the requests of devices
 *
 * A request that follows another one by a page, or by as many pages as one fault maps of the page
 * cache, begins a sequence, which gets a window of a few pages. A window proves itself by a request
 * for the very page behind it, which a device with random access has no reason to make: then the
 * next window is twice as large. Until that request fault-around maps nothing: requests for pages
 * inside of the window, or near to it, were under way already or have overtaken others. After a
 * window most of which is unused the next one is a quarter of it, and a sequence whose windows
 * become too small ends.
 *
 * Random access pays only for reading a few numbers: sva_seqs_concern() takes no lock. It may read
 * numbers that another thread is writing; then a sequence begins a request later, or sva_seq_find()
 * finds nothing.
 *
 * This file knows nothing of memory, processes or devices. Locks: the caller serialises all but
 * sva_seqs_concern(). A sequence that sva_seq_find() has returned belongs to the caller until
 * sva_seq_close(): the caller may map its pages, and read those of its last window, without any
 * lock.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/hash.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "iommu-sva-around.h"

/* A number that is no page of a process, nor near to one */
#define NO_HINT		(~0UL / 2)
/* How many cached pages a fault maps, aligned (fault_around_bytes in mm) */
#define FAULT_PAGES	((unsigned long)(SZ_64K >> PAGE_SHIFT))

/**
 * sva_seqs_init() - Initialise the sequences of a process
 * @seqs: zeroed memory, or what a process has left that no thread serves any more
 */
void sva_seqs_init(struct sva_seqs *seqs)
{
	/* Most processes have none, and they are large. */
	if (seqs->nr)
		memset(seqs, 0, sizeof(*seqs));
	for (int i = 0; i < ARRAY_SIZE(seqs->hints); i++)
		seqs->hints[i] = NO_HINT;
}

/* The hint of the request that @page would follow */
static unsigned long *hint_of(struct sva_seqs *seqs, unsigned long page)
{
	return &seqs->hints[hash_64(page / FAULT_PAGES, SVA_SEQ_HINT_BITS)];
}

static void hint_remember(struct sva_seqs *seqs, unsigned long page)
{
	WRITE_ONCE(*hint_of(seqs, page + 1), page + 1);
}

/* The hint that @page follows, directly or behind pages that one fault has mapped; or NULL */
static unsigned long *hint_find(struct sva_seqs *seqs, unsigned long page)
{
	unsigned long *hint = hint_of(seqs, page);

	if (page == READ_ONCE(*hint))
		return hint;
	if (!IS_ALIGNED(page, FAULT_PAGES))
		return NULL;
	hint = hint_of(seqs, page - FAULT_PAGES);
	return page - READ_ONCE(*hint) < FAULT_PAGES ? hint : NULL;
}

/**
 * sva_seqs_concern() - May a request belong to a sequence?
 * @seqs: of the process
 * @page: what was asked for
 *
 * If not, the function stores a hint, so that the next request may make it a sequence.
 *
 * Context: any; no lock is needed.
 * Return: true if the caller should call sva_seq_find().
 */
bool sva_seqs_concern(struct sva_seqs *seqs, unsigned long page)
{
	unsigned int nr = READ_ONCE(seqs->nr);

	for (unsigned int i = 0; i < nr; i++)
		if (page - READ_ONCE(seqs->near[i].first) < READ_ONCE(seqs->near[i].pages))
			return true;
	if (hint_find(seqs, page))
		return true;
	hint_remember(seqs, page);
	return false;
}

/* Updates the copy of a sequence that sva_seqs_concern() reads. */
static void seq_publish(struct sva_seqs *seqs, struct sva_seq *seq)
{
	unsigned int i = seq - seqs->seqs;
	unsigned long first = 0, pages = 0;

	if (seq->key) {
		first = seq->first - min(seq->first, SVA_SEQ_NEAR);
		pages = seq->next + SVA_SEQ_NEAR - first;
	}
	WRITE_ONCE(seqs->near[i].first, first);
	WRITE_ONCE(seqs->near[i].pages, pages);
	if (i >= seqs->nr)
		WRITE_ONCE(seqs->nr, i + 1);
}

static bool seq_is_near(const struct sva_seq *seq, unsigned long page)
{
	return page + SVA_SEQ_NEAR >= seq->first && page < seq->next + SVA_SEQ_NEAR;
}

/* Notes that a page mapped ahead is used, since a request has asked for it. */
static void seq_note_asked(struct sva_seq *seq, unsigned long page)
{
	if (seq->busy || page < seq->first || page - seq->first >= SVA_WINDOW_MAX)
		return;
	if (__test_and_clear_bit(page - seq->first, seq->ahead))
		seq->asked++;
}

/* Does a request for @page make the sequence go on? */
static bool seq_goes_on(struct sva_seqs *seqs, struct sva_seq *seq,
			unsigned long page)
{
	if (page != seq->next) {
		seq_note_asked(seq, page);
		return false;
	}
	if (!seq->busy)
		return true;
	/* The device has got through while the next window is being mapped. */
	seq->next++;
	seq_publish(seqs, seq);
	return false;
}

/*
 * The sequence that a request belongs to, preferably one that it makes go on: so a window that an
 * earlier sequence has left behind does not stop a new sequence in the same memory.
 */
static struct sva_seq *seq_look_up(struct sva_seqs *seqs, const void *key, u32 kind,
				   unsigned long page)
{
	struct sva_seq *seq, *near = NULL;

	for (unsigned int i = 0; i < seqs->nr; i++) {
		seq = &seqs->seqs[i];
		if (seq->key != key || seq->kind != kind || !seq_is_near(seq, page))
			continue;
		if (page == seq->next)
			return seq;
		near = near ?: seq;
	}
	return near;
}

static struct sva_seq *seq_make_room(struct sva_seqs *seqs)
{
	struct sva_seq *seq, *oldest = NULL;

	for (seq = seqs->seqs; seq < seqs->seqs + SVA_SEQS; seq++) {
		if (seq->busy)
			continue;
		if (!seq->key)
			return seq;
		/* Ticks may wrap around. */
		if (!oldest || (int)(seq->stamp - oldest->stamp) < 0)
			oldest = seq;
	}
	return oldest;
}

static struct sva_seq *seq_begin(struct sva_seqs *seqs, const void *key, u32 kind)
{
	struct sva_seq *seq = seq_make_room(seqs);

	if (!seq)
		return NULL;
	/* How the last window of another device's sequence was used can't be counted here. */
	if (seq->key != key) {
		bitmap_zero(seq->ahead, SVA_WINDOW_MAX);
		seq->asked = 0;
	}
	seq->key = key;
	seq->kind = kind;
	seq->size = 0;
	seq->busy = true;
	return seq;
}

/**
 * sva_seq_find() - Find or begin the sequence that a request makes go on
 * @seqs: of the process
 * @key: the attachment of the device that sent the request; not NULL
 * @kind: the access that the request asks for
 * @page: the page that the request asks for
 *
 * Context: any; the caller holds the lock of @seqs.
 * Return: the sequence, which belongs to the caller until sva_seq_close(); or NULL if there is
 * nothing to be mapped ahead now.
 */
struct sva_seq *sva_seq_find(struct sva_seqs *seqs, const void *key, u32 kind,
			     unsigned long page)
{
	struct sva_seq *seq = seq_look_up(seqs, key, kind, page);
	unsigned long *hint;

	if (seq) {
		if (!seq_goes_on(seqs, seq, page))
			return NULL;
		seq->busy = true;
		return seq;
	}

	hint = hint_find(seqs, page);
	if (hint)
		WRITE_ONCE(*hint, NO_HINT);
	hint_remember(seqs, page);
	return hint ? seq_begin(seqs, key, kind) : NULL;
}

/* The size of the next window, in pages; 0: the sequence ends. */
static unsigned int seq_next_size(const struct sva_seq *seq, unsigned int used,
				  unsigned int unused, unsigned int max)
{
	unsigned int size = SVA_WINDOW_MIN;

	if (seq->size) {
		size = unused > used ? seq->size / 4 : seq->size * 2;
		if (size < SVA_WINDOW_MIN && unused > used)
			return 0;
	}
	return min3(size, max, SVA_WINDOW_MAX);
}

/**
 * sva_seq_open() - Begin the next window of a sequence
 * @seqs: of the process
 * @seq: the sequence, the caller's
 * @page: the page whose request makes it go on; the window begins behind it
 * @used: pages of the last window that are known to be used
 * @unused: pages of the last window that are known not to be used
 * @max: the largest window allowed, in pages
 *
 * Context: any; the caller holds the lock of @seqs.
 * Return: how many pages the caller should map ahead; 0 if the sequence ends. The caller maps as
 * many of them as it can, sets their bits in &sva_seq.ahead, and always calls sva_seq_close().
 */
unsigned int sva_seq_open(struct sva_seqs *seqs, struct sva_seq *seq,
			  unsigned long page, unsigned int used, unsigned int unused,
			  unsigned int max)
{
	unsigned int size = seq_next_size(seq, used + seq->asked, unused, max);

	seq->size = size;
	seq->first = page + 1;
	seq->next = seq->first + size;
	seq->stamp = seqs->ticks++;
	seq->asked = 0;
	bitmap_zero(seq->ahead, SVA_WINDOW_MAX);
	seq_publish(seqs, seq);
	return size;
}

/**
 * sva_seq_close() - End the work on a window
 * @seqs: of the process
 * @seq: the sequence, not the caller's any more
 * @end: the first page behind the window as it was mapped; if that is where it began, the sequence
 *	ends
 *
 * Context: any; the caller holds the lock of @seqs.
 */
void sva_seq_close(struct sva_seqs *seqs, struct sva_seq *seq, unsigned long end)
{
	unsigned long wanted = seq->first + seq->size;

	seq->busy = false;
	if (end == seq->first || !seq->key)
		sva_seq_forget(seqs, seq);
	else if (end < wanted || end > seq->next)
		seq->next = end;
	seq_publish(seqs, seq);
}

/**
 * sva_seq_forget() - End a sequence
 * @seqs: of the process
 * @seq: the sequence. If a thread works on it, that window is not followed up.
 *
 * Context: any; the caller holds the lock of @seqs.
 */
void sva_seq_forget(struct sva_seqs *seqs, struct sva_seq *seq)
{
	seq->key = NULL;
	seq->asked = 0;
	if (!seq->busy)
		bitmap_zero(seq->ahead, SVA_WINDOW_MAX);
	seq_publish(seqs, seq);
}
