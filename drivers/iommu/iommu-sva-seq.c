// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: which device works its way up through memory?
 *
 * A request that follows another one by a page, or by what one fault maps of the page cache, begins
 * a sequence, which gets a window of a few pages.
 * A window proves itself by a request for the very page behind it, which a device that skips
 * about has no reason to make: then the next window is twice as large. Until that request nothing
 * is mapped: what the device asks for inside of the window, or near to it, was under way already or
 * has overtaken another request. A window most of which turns out to be unused makes the next one a
 * quarter, and a sequence whose windows have become too small is one no longer.
 *
 * Random access pays for a look at a few numbers: sva_seqs_concern() takes no lock. It may read
 * what another one is just writing; then a sequence begins a request later, or a closer look
 * finds nothing.
 *
 * Nothing here knows of memory, processes or devices. The caller serialises all but
 * sva_seqs_concern(). A sequence that sva_seq_find() has returned belongs to the caller until
 * sva_seq_close(): its pages may be mapped, and those of its last window looked at, without any
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
 * sva_seqs_init() - No sequences yet
 * @seqs: zeroed memory
 */
void sva_seqs_init(struct sva_seqs *seqs)
{
	for (int i = 0; i < ARRAY_SIZE(seqs->hints); i++)
		seqs->hints[i] = NO_HINT;
}

/* The one place where a request is remembered that @page would follow */
static unsigned long *hint_of(struct sva_seqs *seqs, unsigned long page)
{
	return &seqs->hints[hash_64(page / FAULT_PAGES, SVA_SEQ_HINT_BITS)];
}

static void hint_remember(struct sva_seqs *seqs, unsigned long page)
{
	WRITE_ONCE(*hint_of(seqs, page + 1), page + 1);
}

/* What @page follows, when a device that sequences has got all before that; or NULL */
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
 * sva_seqs_concern() - Has a request to do with a sequence?
 * @seqs: of the process
 * @page: what was asked for
 *
 * If not, the request is remembered, so that the next one may make it a sequence.
 *
 * Context: any; no lock is needed.
 * Return: true if a closer look with sva_seq_find() is worth while.
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

/* What sva_seqs_concern() sees of a sequence follows what is true. */
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

/* A request for what was mapped ahead: it is used, whatever its accessed flag says. */
static void seq_note_asked(struct sva_seq *seq, unsigned long page)
{
	if (seq->busy || page < seq->first || page - seq->first >= SVA_WINDOW_MAX)
		return;
	if (__test_and_clear_bit(page - seq->first, seq->ahead))
		seq->asked++;
}

/* True if @page is the one that makes the sequence go on. */
static bool seq_goes_on(struct sva_seqs *seqs, struct sva_seq *seq,
			unsigned long page)
{
	if (page != seq->next) {
		seq_note_asked(seq, page);
		return false;
	}
	if (!seq->busy)
		return true;
	/* The window in work does not know yet that the device has got through. */
	seq->next++;
	seq_publish(seqs, seq);
	return false;
}

/*
 * The sequence to which a request belongs; first of all the one that it makes go on: where memory
 * is used again, the window that an earlier sequence has left behind is no obstacle to the next
 * one.
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
	/* Only its owner can tell how another one's last window was used. */
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
 * sva_seq_find() - The sequence that goes on with a request
 * @seqs: of the process
 * @key: whose request it is; not NULL
 * @kind: access that it asks for
 * @page: what it asks for
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

/* How many pages the next window shall have; 0: none. */
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
 * @page: the request that makes it go on; the window begins behind it
 * @used: pages of the last window that are known to be used
 * @unused: and known not to be
 * @max: the largest window that may be
 *
 * Context: any; the caller holds the lock of @seqs.
 * Return: how many pages are to be mapped ahead; 0 if the sequence is none. The caller maps them,
 * or as many as it can, sets their bits in &sva_seq.ahead, and calls sva_seq_close() anyway.
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
 * sva_seq_close() - The window is mapped
 * @seqs: of the process
 * @seq: the sequence, not the caller's any more
 * @end: the first page that the window does not hold; if that is where it began, there is no
 *	sequence
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
 * sva_seq_forget() - There is no such sequence any more
 * @seqs: of the process
 * @seq: the sequence. If it is in work, what is being done comes to nothing.
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
