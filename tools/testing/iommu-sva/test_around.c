// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: which requests are a stream, and what a window maps.
 */
#include "test.h"
#include "iommu-sva-around.h"
#include "iopf.h"

#define KEY	((void *)8)
#define OTHER	((void *)16)

static struct sva_seqs *seqs;

static void begin(void)
{
	seqs = sim_alloc_sure(sizeof(*seqs), __func__);
	memset(seqs, 0, sizeof(*seqs));
	sva_seqs_init(seqs);
}

static void end(void)
{
	kfree(seqs);
}

/* A request whose window, if it gets one, is mapped at once. Returns the size of that. */
static unsigned int ask_as(const void *key, u32 kind, unsigned long page, unsigned int max)
{
	struct sva_seq *seq;
	unsigned int size;

	if (!sva_seqs_concern(seqs, page))
		return 0;
	seq = sva_seq_find(seqs, key, kind, page);
	if (!seq)
		return 0;
	size = sva_seq_open(seqs, seq, page, 0, 0, max);
	for (unsigned long place = seq->begin; place < seq->begin + size; place++)
		if (!sva_seq_is_gap(seq, place))
			__set_bit(place - seq->first, seq->ahead);
	sva_seq_close(seqs, seq, seq->begin + size);
	return size;
}

static unsigned int ask(unsigned long page)
{
	return ask_as(KEY, 0, page, 512);
}

/*
 * Opens the next window, of @size pages, of the stream that goes on at @page; of its last one so
 * many pages were used and unused. It is left to be closed.
 */
static struct sva_seq *open_at(unsigned long page, unsigned int used, unsigned int unused,
			       unsigned int size)
{
	struct sva_seq *seq = sva_seq_find(seqs, KEY, 0, page);

	SIM_CHECK(seq);
	SIM_EQ(sva_seq_open(seqs, seq, page, used, unused, 512), size);
	return seq;
}

/* A request for one of these pages is worth a closer look; one just outside is not. */
static void expect_near(unsigned long first, unsigned long end)
{
	for (unsigned long page = first; page < end; page++)
		SIM_CHECK(sva_seqs_concern(seqs, page));
	SIM_CHECK(!first || !sva_seqs_concern(seqs, first - 1));
	SIM_CHECK(!sva_seqs_concern(seqs, end));
}

TEST(stream_of_a_gibibyte_makes_few_requests)
{
	unsigned long page = 0x100, requests = 0;

	begin();
	while (page < 0x100 + 262144) {
		page += 1 + ask(page);
		requests++;
	}
	SIM_CHECK(requests <= 524);
	end();
}

/* The same by a device that has not used up a window when it asks for the next one */
TEST(stream_of_many_requests_under_way_makes_few_requests)
{
	unsigned long page = 0x100, requests = 0;
	struct sva_seq *seq;

	begin();
	seq = &seqs->seqs[0];
	ask(page++);
	while (page < 0x100 + 262144) {
		SIM_CHECK(ask(page) <= 512);
		page = seq->gap ? seq->first + seq->gap : seq->next;
		SIM_CHECK(seq->next - seq->first <= 512);
		requests++;
	}
	SIM_CHECK(requests <= 600);
	end();
}

TEST(windows_double_up_to_their_limit)
{
	unsigned long page = 0x100;

	begin();
	SIM_EQ(ask_as(KEY, 0, page++, 20), 0);
	for (unsigned int want = SVA_WINDOW_MIN; want < 40; want *= 2) {
		SIM_EQ(ask_as(KEY, 0, page, 20), min(want, 20U));
		page += 1 + min(want, 20U);
	}
	SIM_EQ(ask_as(KEY, 0, page, 20), 20);
	/* A smaller limit takes effect at once, also one below the least window. */
	SIM_EQ(ask_as(KEY, 0, page + 21, 3), 3);
	end();
}

TEST(random_requests_make_no_stream)
{
	u32 page = 1;

	begin();
	/* Never two in neighbouring blocks of 64 KiB */
	for (unsigned int i = 0; i < 10000; i++) {
		page = page * 1103515245 + 12345;
		SIM_EQ(ask(0x1000 + (page & ~31U)), 0);
	}
	SIM_EQ(seqs->nr, 0);
	end();
}

TEST(stream_that_goes_down_makes_few_requests)
{
	unsigned long page = 0x100 + 262144, requests = 0;

	begin();
	while (page > 0x100) {
		page -= 1 + ask(page);
		requests++;
	}
	SIM_CHECK(requests <= 524);
	end();
}

/* Windows of 4, 8, ... pages; the last one is as long as there are pages. */
TEST(stream_that_goes_down_ends_at_the_first_page)
{
	begin();
	SIM_EQ(ask(20), 0);
	SIM_EQ(ask(19), 4);
	SIM_EQ(ask(14), 8);
	SIM_EQ(ask(5), 5);
	SIM_EQ(ask(0), 0);
	SIM_EQ(ask(1), 0);
	end();
}

TEST(neighbourhood_of_a_window_that_goes_down)
{
	struct sva_seq *seq;

	begin();
	ask(100);
	SIM_EQ(ask(99), 4);
	expect_near(95 - SVA_SEQ_NEAR, 99 + SVA_SEQ_NEAR);
	/* The device reaches the end while the next window is being mapped. */
	seq = open_at(94, 0, 0, 8);
	for (unsigned long page = 85; page > 82; page--)
		SIM_EQ(ask(page), 0);
	expect_near(83 - SVA_SEQ_NEAR, 94 + SVA_SEQ_NEAR);
	sva_seq_close(seqs, seq, sva_seq_place(seq, 85));
	SIM_EQ(ask(82), 16);
	end();
}

/* A stream whose windows have grown to 32 pages; the last one opens behind page 72. */
static void begin_large(void)
{
	begin();
	ask(40);
	SIM_EQ(ask(41), 4);
	SIM_EQ(ask(46), 8);
	SIM_EQ(ask(55), 16);
	SIM_EQ(ask(72), 32);
}

/* The window behind 72 has pages 73 to 104; its gap is 89. */
TEST(gap_opens_the_next_window_behind_the_last)
{
	struct sva_seq *seq;

	begin_large();
	seq = &seqs->seqs[0];
	SIM_EQ(seq->first, 73);
	SIM_EQ(seq->next, 105);
	SIM_CHECK(!test_bit(16, seq->ahead));
	SIM_EQ(bitmap_weight(seq->ahead, SVA_WINDOW_MAX), 31);
	SIM_EQ(ask(89), 64);
	/* What is left of the last window, and the new one with its gap */
	SIM_EQ(seq->first, 90);
	SIM_EQ(seq->begin, 105);
	SIM_EQ(seq->next, 169);
	SIM_EQ(bitmap_weight(seq->ahead, SVA_WINDOW_MAX), 15 + 63);
	SIM_EQ(ask(105), 0);
	SIM_EQ(seq->asked, 1);
	SIM_EQ(ask(137), 128);
	SIM_EQ(seq->begin, 169);
	end();
}

/* As a device does that has many requests under way */
TEST(page_behind_a_window_with_a_gap_makes_it_grow)
{
	begin_large();
	SIM_EQ(ask(105), 64);
	SIM_EQ(seqs->seqs[0].first, 106);
	SIM_EQ(seqs->seqs[0].begin, 106);
	/* The gap of the window before is no gap any more. */
	SIM_EQ(ask(106 + 16), 0);
	SIM_EQ(ask(106 + 32), 128);
	end();
}

TEST(gap_of_a_window_in_work_opens_none)
{
	struct sva_seq *seq;

	begin_large();
	seq = open_at(89, 0, 0, 64);
	SIM_EQ(ask(137), 0);
	sva_seq_close(seqs, seq, 169);
	SIM_EQ(ask(169), 128);
	end();
}

/* The window ends before its gap, so that has none. */
TEST(window_that_was_cut_short_has_no_gap)
{
	begin_large();
	sva_seq_close(seqs, open_at(89, 0, 0, 64), 137);
	SIM_EQ(seqs->seqs[0].gap, 0);
	SIM_EQ(ask(137), 128);
	end();
	begin_large();
	sva_seq_close(seqs, open_at(89, 0, 0, 64), 138);
	SIM_EQ(ask(138), 128);
	end();
}

/* Nothing could be mapped, but the device may use what is left of the last window. */
TEST(window_that_came_to_nothing_leaves_the_last_one)
{
	begin_large();
	sva_seq_close(seqs, open_at(89, 0, 0, 64), 105);
	SIM_EQ(bitmap_weight(seqs->seqs[0].ahead, SVA_WINDOW_MAX), 15);
	SIM_EQ(ask(105), 128);
	end();
}

TEST(stream_begins_without_the_gap_of_the_one_before)
{
	struct sva_seq *seq;

	begin_large();
	seq = &seqs->seqs[0];
	sva_seq_forget(seqs, seq);
	SIM_EQ(ask(88), 0);
	SIM_EQ(ask(89), 4);
	SIM_EQ(seq->begin, 90);
	end();
}

/* Sequences that are not in use cost a request nothing; those in work and begun are in use. */
TEST(sequences_in_use_are_known)
{
	struct sva_seq *seq[2];

	begin();
	for (unsigned int i = 0; i < 2; i++) {
		ask(0x1000 * (i + 1));
		seq[i] = sva_seq_find(seqs, KEY, 0, 0x1000 * (i + 1) + 1);
		SIM_EQ(seqs->nr, i + 1);
	}
	sva_seq_forget(seqs, seq[1]);
	SIM_EQ(seqs->nr, 2);
	sva_seq_close(seqs, seq[1], 0x2002);
	SIM_EQ(seqs->nr, 1);
	sva_seq_open(seqs, seq[0], 0x1001, 0, 0, 512);
	sva_seq_close(seqs, seq[0], 0x1006);
	SIM_EQ(seqs->nr, 1);
	sva_seq_forget(seqs, seq[0]);
	SIM_EQ(seqs->nr, 0);
	end();
}

/* While another one is in use behind it */
TEST(sequence_that_is_forgotten_is_near_to_no_page)
{
	begin();
	for (unsigned int i = 1; i <= 2; i++) {
		ask(0x1000 * i);
		SIM_EQ(ask(0x1000 * i + 1), SVA_WINDOW_MIN);
	}
	SIM_CHECK(sva_seqs_concern(seqs, 0x1004));
	sva_seq_forget(seqs, &seqs->seqs[0]);
	SIM_EQ(seqs->nr, 2);
	SIM_CHECK(!sva_seqs_concern(seqs, 0x1004));
	SIM_CHECK(sva_seqs_concern(seqs, 0x2004));
	end();
}

/* What is left of a window and the next one have one bitmap. */
TEST(window_behind_a_gap_is_not_larger_than_the_bitmap)
{
	unsigned long page = 101;
	struct sva_seq *seq;

	begin();
	ask(100);
	seq = &seqs->seqs[0];
	for (unsigned int i = 0; i < 20; i++) {
		unsigned int size = ask_as(KEY, 0, page, ~0U);

		SIM_CHECK(size);
		SIM_CHECK(seq->next - seq->first <= SVA_WINDOW_MAX);
		SIM_CHECK(!seq->gap || seq->gap < seq->next - seq->first);
		page = seq->gap ? seq->first + seq->gap : seq->next;
	}
	end();
}

/* A stream that goes down: windows end at the first page, and what is left counts. */
TEST(gap_of_a_stream_that_goes_down)
{
	struct sva_seq *seq;

	begin();
	ask(101);
	SIM_EQ(ask(100), 4);
	SIM_EQ(ask(95), 8);
	SIM_EQ(ask(86), 16);
	/* Pages 68 to 37; the gap is 52 */
	SIM_EQ(ask(69), 32);
	SIM_EQ(ask(52), 37);
	seq = &seqs->seqs[0];
	SIM_EQ(seq->begin, sva_seq_place(seq, 36));
	SIM_EQ(sva_seq_place(seq, seq->next - 1), 0);
	end();
}

/* One way is not the other: a page on the other side of the window does not make it go on. */
TEST(requests_on_the_other_side_of_a_window_are_not_its_next)
{
	begin();
	ask(100);
	SIM_EQ(ask(99), 4);
	SIM_EQ(ask(96), 0);
	SIM_EQ(ask(101), 0);
	SIM_EQ(seqs->seqs[0].asked, 1);
	SIM_EQ(ask(94), 8);
	end();
}

/* The bits of a window say nothing in the other direction. */
TEST(stream_that_turns_leaves_no_bits)
{
	struct sva_seq *seq;

	begin();
	for (unsigned int i = 0; i < SVA_SEQS; i++) {
		ask(0x10000UL * (i + 1));
		SIM_EQ(ask(0x10000UL * (i + 1) + 1), 4);
	}
	/* The oldest makes room. */
	SIM_EQ(ask(0x200), 0);
	seq = sva_seq_find(seqs, KEY, 0, 0x1ff);
	SIM_CHECK(seq == &seqs->seqs[0]);
	SIM_EQ(bitmap_weight(seq->ahead, SVA_WINDOW_MAX), 0);
	end();
}

/* Requests under way, or that overtook another, neither widen the window nor end it. */
TEST(only_the_page_behind_a_window_makes_it_grow)
{
	begin();
	SIM_EQ(ask(100), 0);
	SIM_EQ(ask(101), 4);
	for (unsigned long page = 102; page < 106; page++)
		SIM_EQ(ask(page), 0);
	SIM_EQ(ask(108), 0);
	SIM_EQ(ask(107), 0);
	SIM_EQ(ask(98), 0);
	SIM_EQ(ask(106), 8);
	SIM_EQ(ask(115), 16);
	end();
}

TEST(page_asked_for_is_used)
{
	struct sva_seq *seq;

	begin();
	ask(100);
	ask(101);
	SIM_EQ(ask(103), 0);
	SIM_EQ(ask(103), 0);
	seq = sva_seq_find(seqs, KEY, 0, 106);
	SIM_EQ(seq->asked, 1);
	SIM_EQ(bitmap_weight(seq->ahead, SVA_WINDOW_MAX), 3);
	/* One page that was asked for outweighs one that was not used. */
	SIM_EQ(sva_seq_open(seqs, seq, 106, 0, 1, 512), 8);
	SIM_EQ(seq->asked, 0);
	sva_seq_close(seqs, seq, 115);
	end();
}

TEST(several_streams_at_once)
{
	unsigned long at[SVA_SEQS];

	begin();
	for (unsigned int i = 0; i < SVA_SEQS; i++) {
		at[i] = 0x10000UL * (i + 1);
		SIM_EQ(ask(at[i]++), 0);
		SIM_EQ(ask(at[i]), 4);
		at[i] += 5;
	}
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < SVA_SEQS; i++) {
			unsigned int size = ask(at[i]);

			SIM_EQ(size, min(8U << min(round, 6U), 512U));
			at[i] += 1 + size;
			/* Random access of another device drives none of them out. */
			ask_as(OTHER, 0, 0x9000000 + 1000 * (8 * round + i), 512);
		}
	}
	end();
}

/*
 * The window that the first stream has left behind overlaps the way of the second. The first page
 * gets no window: what seems to follow the next one downwards follows nothing that is mapped.
 */
TEST(memory_that_is_used_again_is_streamed_again)
{
	begin();
	for (unsigned int i = 0; i < 3 * SVA_SEQS; i++) {
		unsigned long page = 100, requests = 0;

		while (page < 356) {
			page += 1 + ask_as(KEY, 0, page, page == 100 ? 0 : 64);
			requests++;
		}
		SIM_CHECK(requests <= 9);
	}
	end();
}

TEST(oldest_stream_makes_room)
{
	begin();
	for (unsigned int i = 0; i <= SVA_SEQS; i++) {
		ask(0x10000UL * (i + 1));
		SIM_EQ(ask(0x10000UL * (i + 1) + 1), 4);
	}
	SIM_EQ(ask(0x10000 + 6), 0);
	SIM_EQ(ask(0x20000 + 6), 8);
	end();
}

/* Two devices, or reads and writes, in the same memory are streams of their own. */
TEST(streams_are_told_apart)
{
	begin();
	ask_as(KEY, 0, 100, 512);
	SIM_EQ(ask_as(KEY, 0, 101, 512), 4);
	SIM_EQ(ask_as(KEY, WRITE, 106, 512), 0);
	SIM_EQ(ask_as(OTHER, 0, 106, 512), 0);
	SIM_EQ(ask_as(KEY, 0, 106, 512), 8);
	SIM_EQ(ask_as(KEY, WRITE, 107, 512), 4);
	end();
}

/* The last page of a block of 64 KiB: the page expected next is in another block. */
TEST(request_makes_one_stream_begin)
{
	begin();
	ask(126);
	SIM_EQ(ask(127), 4);
	SIM_EQ(ask_as(OTHER, 0, 127, 512), 0);
	SIM_EQ(ask(132), 8);
	end();
}

TEST(unused_windows_shrink_until_there_is_no_stream)
{
	struct sva_seq *seq;
	unsigned long page = 1;

	begin();
	ask(0);
	for (unsigned int size = 4; size < 512; size *= 2) {
		SIM_EQ(ask(page), size);
		page += 1 + size;
	}
	for (unsigned int size = 64; size >= 4; size /= 4) {
		seq = open_at(page, 10, 11, size);
		page += 1 + size;
		sva_seq_close(seqs, seq, page);
	}
	seq = open_at(page, 1, 2, 0);
	sva_seq_close(seqs, seq, page + 1);
	SIM_CHECK(!seq->key);
	SIM_EQ(ask(page + 1), 0);
	end();
}

/* A stream whose window is being mapped is not taken over, and goes on behind newer requests. */
TEST(stream_in_work_is_left_alone)
{
	struct sva_seq *seq;

	begin();
	ask(100);
	SIM_CHECK(sva_seqs_concern(seqs, 101));
	seq = open_at(101, 0, 0, 4);
	__set_bit(0, seq->ahead);
	SIM_EQ(ask(102), 0);
	SIM_EQ(ask(106), 0);
	SIM_EQ(ask(107), 0);
	SIM_CHECK(test_bit(0, seq->ahead));
	sva_seq_close(seqs, seq, 106);
	SIM_EQ(ask(108), 8);
	end();
}

TEST(window_that_was_cut_short_goes_on_where_it_ended)
{
	begin();
	ask(100);
	SIM_EQ(ask(101), 4);
	sva_seq_close(seqs, open_at(106, 4, 0, 8), 110);
	SIM_EQ(ask(110), 16);
	/* Nothing at all could be mapped: no stream. */
	sva_seq_close(seqs, open_at(127, 4, 0, 32), 128);
	SIM_EQ(ask(128), 0);
	end();
}

TEST(stream_forgotten_in_work_comes_to_nothing)
{
	struct sva_seq *seq;

	begin();
	ask(100);
	seq = open_at(101, 0, 0, 4);
	sva_seq_forget(seqs, seq);
	sva_seq_close(seqs, seq, 106);
	SIM_EQ(ask(106), 0);
	SIM_CHECK(!seq->busy);
	end();
}

/* One fault in the page cache maps an aligned run: so far apart are a stream's requests. */
TEST(requests_a_fault_apart_are_a_stream)
{
	begin();
	SIM_EQ(ask(0x103), 0);
	SIM_EQ(ask(0x110), 4);
	SIM_EQ(ask(0x130), 0);
	SIM_EQ(ask(0x150), 0);
	/* Downwards its last page follows. */
	SIM_EQ(ask(0x32c), 0);
	SIM_EQ(ask(0x31f), 4);
	end();
}

TEST(requests_just_too_far_apart_are_no_stream)
{
	begin();
	/* Further away than a fault maps; and as far, but not at the start of a run */
	SIM_EQ(ask(0x13f), 0);
	SIM_EQ(ask(0x150), 0);
	SIM_EQ(ask(0x203), 0);
	SIM_EQ(ask(0x212), 0);
	SIM_EQ(ask(0x340), 0);
	SIM_EQ(ask(0x32f - 0x10), 0);
	SIM_EQ(ask(0x42c), 0);
	SIM_EQ(ask(0x41e), 0);
	end();
}

TEST(first_page_of_memory_follows_nothing)
{
	begin();
	SIM_EQ(ask(0), 0);
	SIM_EQ(ask(1), 4);
	end();
	/* Nor does the second one, if the first has not been asked for. */
	begin();
	SIM_EQ(ask(1), 0);
	end();
}

TEST(neighbourhood_of_a_window_is_known_without_the_lock)
{
	struct sva_seq *seq;

	begin();
	ask(100);
	SIM_EQ(ask(101), 4);
	expect_near(102 - SVA_SEQ_NEAR, 106 + SVA_SEQ_NEAR);
	/* The device reaches the end while the next window is being mapped. */
	seq = open_at(106, 0, 0, 8);
	expect_near(107 - SVA_SEQ_NEAR, 115 + SVA_SEQ_NEAR);
	for (unsigned long page = 115; page < 118; page++)
		SIM_EQ(ask(page), 0);
	expect_near(107 - SVA_SEQ_NEAR, 118 + SVA_SEQ_NEAR);
	sva_seq_close(seqs, seq, 115);
	expect_near(107 - SVA_SEQ_NEAR, 118 + SVA_SEQ_NEAR);
	sva_seq_forget(seqs, seq);
	SIM_CHECK(!sva_seqs_concern(seqs, 115));
	end();
}

TEST(neighbourhood_of_the_first_pages)
{
	begin();
	ask(0);
	SIM_EQ(ask(1), 4);
	expect_near(0, 6 + SVA_SEQ_NEAR);
	end();
}

/* Requests near a window begin no other one; those further away do. */
TEST(neighbourhood_of_a_window_ends_where_it_ends)
{
	static const struct {
		unsigned long before;
		unsigned int size;
	} cases[] = { { 92, 4 }, { 93, 0 }, { 112, 0 }, { 113, 4 } };

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sva_seq *seq;

		begin();
		SIM_EQ(ask(100), 0);
		SIM_EQ(ask(101), 4);
		/* As if it had been asked for before the stream began */
		*seqs->hints = 0;
		for (unsigned int k = 0; k < ARRAY_SIZE(seqs->hints); k++)
			seqs->hints[k] = cases[i].before;
		seq = sva_seq_find(seqs, KEY, 0, cases[i].before + 1);
		SIM_EQ(!!seq, !!cases[i].size);
		end();
	}
}

/* The bitmap of a stream is followed by the key of the next one. */
TEST(page_near_a_large_window_is_not_looked_up_beyond_its_bitmap)
{
	const void *odd = (void *)17;
	struct sva_seq *seq;
	unsigned long page = 101;

	begin();
	ask(100);
	for (unsigned int size = 4; size < SVA_WINDOW_MAX; size *= 2) {
		SIM_EQ(ask_as(KEY, 0, page, SVA_WINDOW_MAX - 4), size);
		page += 1 + size;
	}
	ask_as(odd, 0, 0x90000, 512);
	SIM_EQ(ask_as(odd, 0, 0x90001, 512), 4);
	SIM_CHECK(seqs->seqs[1].key == odd);
	SIM_EQ(ask_as(KEY, 0, page, SVA_WINDOW_MAX - 4), SVA_WINDOW_MAX - 4);
	seq = &seqs->seqs[0];
	for (unsigned int i = 0; i < 4; i++)
		SIM_EQ(ask(seq->first + SVA_WINDOW_MAX + i), 0);
	SIM_CHECK(seqs->seqs[1].key == odd);
	SIM_EQ(seq->asked, 0);
	end();
}

TEST(window_is_never_larger_than_its_bitmap)
{
	unsigned long page = 101;

	begin();
	ask(100);
	for (unsigned int size = 4; size < 8 * SVA_WINDOW_MAX; size *= 2) {
		SIM_EQ(ask_as(KEY, 0, page, ~0U), min(size, SVA_WINDOW_MAX));
		page += 1 + min(size, SVA_WINDOW_MAX);
	}
	end();
}

/* First request of stream @i, and the first one behind its first window */
#define STREAM(i)	(0x10000UL * ((i) + 1))
#define BEHIND(i)	(STREAM(i) + 6)

static void begin_all(void)
{
	for (unsigned int i = 0; i < SVA_SEQS; i++) {
		ask(STREAM(i));
		SIM_EQ(ask(STREAM(i) + 1), 4);
	}
}

TEST(oldest_stream_makes_room_when_ticks_wrap_around)
{
	begin();
	seqs->ticks = -(SVA_SEQS / 2);
	begin_all();
	ask(STREAM(SVA_SEQS));
	SIM_EQ(ask(STREAM(SVA_SEQS) + 1), 4);
	SIM_EQ(ask(BEHIND(0)), 0);
	SIM_EQ(ask(BEHIND(1)), 8);
	end();
}

TEST(stream_that_goes_on_is_not_the_oldest)
{
	begin();
	begin_all();
	SIM_EQ(ask(BEHIND(0)), 8);
	ask(STREAM(SVA_SEQS));
	SIM_EQ(ask(STREAM(SVA_SEQS) + 1), 4);
	SIM_EQ(ask(BEHIND(0) + 9), 16);
	SIM_EQ(ask(BEHIND(1)), 0);
	end();
}

TEST(forgotten_stream_makes_room_for_the_next)
{
	begin();
	begin_all();
	sva_seq_forget(seqs, &seqs->seqs[SVA_SEQS - 1]);
	ask(STREAM(SVA_SEQS));
	SIM_EQ(ask(STREAM(SVA_SEQS) + 1), 4);
	for (unsigned int i = 0; i < SVA_SEQS - 1; i++)
		SIM_EQ(ask(BEHIND(i)), 8);
	end();
}

TEST(stream_in_work_makes_no_room)
{
	struct sva_seq *busy[SVA_SEQS];

	begin();
	begin_all();
	for (unsigned int i = 0; i < SVA_SEQS; i++)
		busy[i] = open_at(BEHIND(i), 0, 0, 8);
	ask(STREAM(SVA_SEQS));
	SIM_CHECK(!sva_seq_find(seqs, KEY, 0, STREAM(SVA_SEQS) + 1));
	/* The youngest, but the only one that may */
	sva_seq_close(seqs, busy[SVA_SEQS - 1], BEHIND(SVA_SEQS - 1) + 9);
	ask(STREAM(SVA_SEQS + 1));
	SIM_CHECK(sva_seq_find(seqs, KEY, 0, STREAM(SVA_SEQS + 1) + 1) ==
		  busy[SVA_SEQS - 1]);
	end();
}

/* The result of a last window counts for the device that it was mapped for. */
TEST(stream_that_makes_room_leaves_its_bits_to_its_owner)
{
	struct sva_seq *seq;

	for (unsigned int own = 0; own < 2; own++) {
		const void *key = own ? KEY : OTHER;

		begin();
		begin_all();
		SIM_EQ(ask(STREAM(0) + 2), 0);
		ask_as(key, 0, STREAM(SVA_SEQS), 512);
		seq = sva_seq_find(seqs, key, 0, STREAM(SVA_SEQS) + 1);
		SIM_CHECK(seq == &seqs->seqs[0]);
		SIM_EQ(bitmap_weight(seq->ahead, SVA_WINDOW_MAX), own ? 3 : 0);
		SIM_EQ(seq->asked, own);
		/* From the next window on that has no effect. */
		SIM_EQ(sva_seq_open(seqs, seq, STREAM(SVA_SEQS) + 1, 0, 0, 512), 4);
		SIM_EQ(bitmap_weight(seq->ahead, SVA_WINDOW_MAX), 0);
		end();
	}
}

TEST(stream_of_writes_goes_on_with_writes)
{
	begin();
	SIM_EQ(ask_as(KEY, WRITE, 100, 512), 0);
	SIM_EQ(ask_as(KEY, WRITE, 101, 512), 4);
	SIM_EQ(ask_as(KEY, 0, 106, 512), 0);
	SIM_EQ(ask_as(KEY, WRITE, 106, 512), 8);
	end();
}

/* A huge page is more than was wanted. */
TEST(window_that_has_become_longer_goes_on_where_it_ended)
{
	begin();
	ask(100);
	SIM_EQ(ask(101), 4);
	sva_seq_close(seqs, open_at(106, 4, 0, 8), 512);
	SIM_EQ(ask(512), 16);
	end();
}

TEST(bits_of_a_window_in_work_outlive_its_stream)
{
	struct sva_seq *seq;

	begin();
	ask(100);
	seq = open_at(101, 0, 0, 4);
	__set_bit(2, seq->ahead);
	sva_seq_forget(seqs, seq);
	SIM_CHECK(test_bit(2, seq->ahead));
	sva_seq_close(seqs, seq, 106);
	SIM_EQ(bitmap_weight(seq->ahead, SVA_WINDOW_MAX), 0);
	end();
}

/* Memory of a process that has ended serves the next one. */
TEST(nothing_is_left_of_the_sequences_of_the_process_before)
{
	struct sva_seqs *fresh = sim_alloc_sure(sizeof(*fresh), __func__);

	begin();
	sva_seqs_init(fresh);
	ask(7);
	sva_seqs_init(seqs);
	SIM_CHECK(!memcmp(seqs, fresh, sizeof(*seqs)));
	ask(100);
	SIM_CHECK(ask(101));
	sva_seqs_init(seqs);
	SIM_CHECK(!memcmp(seqs, fresh, sizeof(*seqs)));
	kfree(fresh);
	end();
}

/* With the service */

struct flow {
	struct vendor_dev *dev;
	struct mm_struct *mm;
	struct iommu_sva *sva;
};

static struct flow flow_begin(unsigned int pages)
{
	struct flow f = { .dev = test_dev(), .mm = test_mm() };

	sim_around_pages = pages;
	f.sva = test_bind(f.dev, f.mm);
	return f;
}

static void flow_end(struct flow *f)
{
	iommu_sva_unbind_device(f->sva);
	mmput(f->mm);
	sim_around_pages = 0;
}

/* A device that reads or writes all of [@start, @end); returns how often it had to ask. */
static unsigned int flow_run(struct flow *f, unsigned long start, unsigned long end, bool write)
{
	unsigned int requests = 0;

	for (unsigned long addr = start; addr < end; addr += PAGE_SIZE) {
		struct vendor_request *r;

		if (vendor_dma(f->dev, 1, addr, write))
			continue;
		r = vendor_send(f->dev, 1, 0, addr, write ? READ | WRITE : READ, true);
		test_answered(r, SUCCESS);
		SIM_CHECK(vendor_dma(f->dev, 1, addr, write));
		requests++;
	}
	return requests;
}

TEST(device_that_streams_asks_less)
{
	struct flow f = flow_begin(512);
	u64 counts[IOPF_NR_COUNTS];

	SIM_EQ(flow_run(&f, BASE, PAGE(PAGES), true), 4);
	iopf_read_counts(dev_of(f.dev), counts);
	SIM_EQ(counts[IOPF_AHEAD], PAGES - 4);
	flow_end(&f);
}

/* The memory of its io_mm has been that of another process's. */
TEST(device_does_not_go_on_where_that_of_another_process_was)
{
	u64 counts[IOPF_NR_COUNTS];
	struct flow f;

	for (u32 i = 1; i < 3; i++) {
		f = flow_begin(512);
		test_answered(vendor_ask(f.dev, i, 0, PAGE(i)), SUCCESS);
		iopf_read_counts(dev_of(f.dev), counts);
		SIM_EQ(counts[IOPF_AHEAD], 0);
		flow_end(&f);
		sim_settle();
	}
}

TEST(windows_end_with_their_mapping)
{
	struct flow f = flow_begin(512);

	sim_mmap(f.mm, PAGE(PAGES), 4, VM_READ);
	SIM_EQ(flow_run(&f, BASE, PAGE(PAGES), false), 4);
	SIM_CHECK(!vendor_dma(f.dev, 1, PAGE(PAGES), false));
	flow_end(&f);
}

TEST(without_fault_around_every_page_is_asked_for)
{
	struct flow f = flow_begin(0);

	SIM_EQ(flow_run(&f, BASE, PAGE(PAGES), true), PAGES);
	flow_end(&f);
}

/* A window may reach into a part of memory for which the root has no entry yet. */
TEST(root_follows_a_window)
{
	struct flow f = flow_begin(512);
	unsigned long start = SLOT(2) - 8 * PAGE_SIZE;

	sim_mmap(f.mm, start, 16, VM_READ | VM_WRITE);
	SIM_EQ(flow_run(&f, start, start + 16 * PAGE_SIZE, true), 4);
	flow_end(&f);
}

static struct flow *drained;

static void drain_task(void *unused)
{
	iopf_drain_pasid(dev_of(drained->dev), 1);
}

static bool drain_at_window(const char *what)
{
	if (!drained || strcmp(what, "page mapped ahead"))
		return false;
	sim_spawn("drain", drain_task, NULL);
	return true;
}

/* A worker that has lost its group counts for the device of that group. */
TEST(pages_mapped_ahead_for_a_drained_request_are_counted)
{
	struct flow f = flow_begin(512);
	u64 counts[IOPF_NR_COUNTS];

	test_answered(vendor_ask(f.dev, 1, 0, PAGE(0)), SUCCESS);
	drained = &f;
	sim_policy.preempt = drain_at_window;
	test_answered(vendor_ask(f.dev, 1, 1, PAGE(1)), INVALID);
	sim_policy.preempt = NULL;
	drained = NULL;
	SIM_EQ(iopf_read_counts(dev_of(f.dev), counts), 0);
	SIM_EQ(counts[IOPF_LATE], 1);
	SIM_CHECK(counts[IOPF_AHEAD]);
	flow_end(&f);
}

static void exit_task(void *mm)
{
	mmput(mm);
}

static void unbind_task(void *sva)
{
	iommu_sva_unbind_device(sva);
}

/* The process exits and the bond ends while pages are being mapped ahead. */
EXPLORE(window_meets_exit_and_unbind)
{
	struct flow f = flow_begin(512);

	for (unsigned int i = 0; i < 3; i++)
		vendor_post(f.dev, 1, i, PAGE(i), READ | WRITE, true);
	sim_spawn("exit", exit_task, f.mm);
	sim_spawn("unbind", unbind_task, f.sva);
	sim_settle();
	sim_around_pages = 0;
}
