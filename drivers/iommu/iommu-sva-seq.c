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
 * A device with many requests under way asks for many pages behind a window before fault-around has
 * mapped the next one. So a window that is not small has a gap: fault-around leaves out a page in
 * its second half. The request for that one opens the next window, which begins behind this one,
 * while the device is busy with what is left of it. The limit of windows is one of both together.
 *
 * A sequence goes up or down. It counts places, see sva_seq_place(): behind the place of a page is
 * that of the page which the device wants next, in either direction.
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
	/* Most processes have none in use, and they are large. */
	if (seqs->nr)
		memset(seqs, 0, sizeof(*seqs));
	for (int i = 0; i < ARRAY_SIZE(seqs->hints); i++)
		seqs->hints[i] = NO_HINT;
}

/* The hint that a request for @page leaves, and one for another page that a fault maps with it */
static unsigned long *hint_of(struct sva_seqs *seqs, unsigned long page)
{
	return &seqs->hints[hash_64(page / FAULT_PAGES, SVA_SEQ_HINT_BITS)];
}

static void hint_remember(struct sva_seqs *seqs, unsigned long page)
{
	WRITE_ONCE(*hint_of(seqs, page), page);
}

/*
 * The hint that @page follows, and in which direction: that of the page beside it, or of any that
 * one fault has mapped with the page beside it. NULL: there is none. Inline: random access pays for
 * it, with each request.
 */
static __always_inline unsigned long *hint_find(struct sva_seqs *seqs, unsigned long page,
						bool *down)
{
	unsigned long *hint = hint_of(seqs, page), last = READ_ONCE(*hint), beside;

	*down = last == page + 1;
	if (*down || last == page - 1)
		return hint;
	/* The first page that one fault maps follows those below, the last one those above. */
	*down = !IS_ALIGNED(page, FAULT_PAGES);
	if (*down && !IS_ALIGNED(page + 1, FAULT_PAGES))
		return NULL;
	beside = *down ? page + 1 : page - 1;
	hint = hint_of(seqs, beside);
	return READ_ONCE(*hint) / FAULT_PAGES == beside / FAULT_PAGES ? hint : NULL;
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
	bool down;

	for (unsigned int i = 0; i < nr; i++)
		if (page - READ_ONCE(seqs->near[i].first) < READ_ONCE(seqs->near[i].pages))
			return true;
	if (hint_find(seqs, page, &down))
		return true;
	hint_remember(seqs, page);
	return false;
}

/* The window and its neighbourhood, in places, which may wrap around at either end of memory */
static unsigned long seq_near_first(const struct sva_seq *seq)
{
	return seq->first - SVA_SEQ_NEAR;
}

static unsigned long seq_near_pages(const struct sva_seq *seq)
{
	return seq->next - seq->first + 2 * SVA_SEQ_NEAR;
}

/* Updates the copy of a sequence that sva_seqs_concern() reads. */
static void seq_publish(struct sva_seqs *seqs, struct sva_seq *seq)
{
	unsigned int i = seq - seqs->seqs;
	unsigned long first = 0, pages = 0;

	if (seq->key) {
		pages = seq_near_pages(seq);
		/* The lowest page is the last place of those that go down. */
		first = seq_near_first(seq);
		if (seq->down)
			first = sva_seq_place(seq, first + pages - 1);
	}
	WRITE_ONCE(seqs->near[i].first, first);
	WRITE_ONCE(seqs->near[i].pages, pages);
}

static bool seq_is_near(const struct sva_seq *seq, unsigned long place)
{
	return place - seq_near_first(seq) < seq_near_pages(seq);
}

/* Notes that a page mapped ahead is used, since a request has asked for it. */
static void seq_note_asked(struct sva_seq *seq, unsigned long place)
{
	if (seq->busy || place - seq->first >= SVA_WINDOW_MAX)
		return;
	if (__test_and_clear_bit(place - seq->first, seq->ahead))
		seq->asked++;
}

static bool seq_awaits(const struct sva_seq *seq, unsigned long place)
{
	return place == seq->next || sva_seq_is_gap(seq, place);
}

/* Does a request for the page at @place make the sequence go on? */
static bool seq_goes_on(struct sva_seqs *seqs, struct sva_seq *seq, unsigned long place)
{
	if (!seq_awaits(seq, place)) {
		seq_note_asked(seq, place);
		return false;
	}
	if (!seq->busy)
		return true;
	if (place != seq->next)
		return false;
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
	unsigned long place;

	for (unsigned int i = 0; i < seqs->nr; i++) {
		seq = &seqs->seqs[i];
		place = sva_seq_place(seq, page);
		if (seq->key != key || seq->kind != kind || !seq_is_near(seq, place))
			continue;
		if (seq_awaits(seq, place))
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

static struct sva_seq *seq_begin(struct sva_seqs *seqs, const void *key, u32 kind, bool down)
{
	struct sva_seq *seq = seq_make_room(seqs);

	if (!seq)
		return NULL;
	WRITE_ONCE(seqs->nr, max(seqs->nr, (unsigned int)(seq - seqs->seqs) + 1));
	/*
	 * How the last window of another device's sequence was used can't be counted here, nor that
	 * of one in the other direction.
	 */
	if (seq->key != key || seq->down != down) {
		bitmap_zero(seq->ahead, SVA_WINDOW_MAX);
		seq->asked = 0;
	}
	seq->key = key;
	seq->kind = kind;
	seq->down = down;
	seq->gap = 0;
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
	bool down;

	if (seq) {
		if (!seq_goes_on(seqs, seq, sva_seq_place(seq, page)))
			return NULL;
		seq->busy = true;
		return seq;
	}

	hint = hint_find(seqs, page, &down);
	if (hint)
		WRITE_ONCE(*hint, NO_HINT);
	hint_remember(seqs, page);
	return hint ? seq_begin(seqs, key, kind, down) : NULL;
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
	return min(size, max);
}

/*
 * The device has come to @place. Moves the begin of the bitmap behind that. Returns how many places
 * are left of the last window.
 */
static unsigned int seq_leave_behind(struct sva_seq *seq, unsigned long place)
{
	unsigned int left = 0;

	if (sva_seq_is_gap(seq, place)) {
		left = seq->next - place - 1;
		bitmap_shift_right(seq->ahead, seq->ahead, seq->gap + 1, SVA_WINDOW_MAX);
	} else {
		bitmap_zero(seq->ahead, SVA_WINDOW_MAX);
	}
	seq->first = place + 1;
	return left;
}

/**
 * sva_seq_open() - Begin the next window of a sequence
 * @seqs: of the process
 * @seq: the sequence, the caller's
 * @page: the page whose request makes it go on; the window begins behind it, or behind the last
 *	one if that is in the last one's gap
 * @used: pages of the last window, before @page, that are known to be used
 * @unused: such pages that are known not to be used
 * @max: the largest window allowed, in pages, what is left of the last one included
 *
 * Context: any; the caller holds the lock of @seqs.
 * Return: how many pages the caller should map ahead, from &sva_seq.begin on; 0 if the sequence
 * ends. The caller maps as many of them as it can, but for the gap, sets their bits in
 * &sva_seq.ahead, and always calls sva_seq_close().
 */
unsigned int sva_seq_open(struct sva_seqs *seqs, struct sva_seq *seq,
			  unsigned long page, unsigned int used, unsigned int unused,
			  unsigned int max)
{
	unsigned int size, left = seq_leave_behind(seq, sva_seq_place(seq, page));

	max = min(max, SVA_WINDOW_MAX);
	max -= min(max, left);
	/* There is no page below the first. */
	if (seq->down && page - left < max)
		max = page - left;
	size = seq_next_size(seq, used + seq->asked, unused, max);
	seq->size = size;
	seq->begin = seq->first + left;
	seq->next = seq->begin + size;
	seq->gap = size < SVA_WINDOW_GAP ? 0 : left + size - min(size / 2, SVA_GAP_TO_END);
	seq->stamp = seqs->ticks++;
	seq->asked = 0;
	seq_publish(seqs, seq);
	return size;
}

/**
 * sva_seq_close() - End the work on a window
 * @seqs: of the process
 * @seq: the sequence, not the caller's any more
 * @end: the first place behind the window as it was mapped; if that is where it began, and nothing
 *	is left of the window before, the sequence ends
 *
 * Context: any; the caller holds the lock of @seqs.
 */
void sva_seq_close(struct sva_seqs *seqs, struct sva_seq *seq, unsigned long end)
{
	unsigned long pages = end - seq->begin;

	seq->busy = false;
	if (end == seq->first || !seq->key)
		sva_seq_forget(seqs, seq);
	else if (pages < seq->size || pages > seq->next - seq->begin)
		seq->next = end;
	/* The window has ended before it. */
	if (seq->gap >= end - seq->first)
		seq->gap = 0;
	seq_publish(seqs, seq);
}

/* Each request looks at all sequences that are in use, and those before them. */
static void seqs_trim(struct sva_seqs *seqs)
{
	unsigned int nr = seqs->nr;

	while (nr && !seqs->seqs[nr - 1].key && !seqs->seqs[nr - 1].busy)
		nr--;
	WRITE_ONCE(seqs->nr, nr);
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
	seqs_trim(seqs);
}
