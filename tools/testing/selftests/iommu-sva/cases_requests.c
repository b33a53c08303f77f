// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page request messages that no correct device sends, one by one, and the responses: the kernel
 * answers each last request once, with the right code, and nothing else.
 */

#define RAW_READ	(SVA_DMA_RAW_READ | SVA_DMA_RAW_LAST)
#define RAW_WRITE	(SVA_DMA_RAW_WRITE | SVA_DMA_RAW_LAST)
#define PRI_SUCCESS	0
#define PRI_INVALID	1
/* A request that is unanswered after so many later ones of its PASID stays unanswered. */
#define LATER_REQUESTS	16
#define LATER_INDEX	0x1e0	/* and up: used for nothing else */

FIXTURE(requests) {
	struct sva_env env;
	struct sva_queue q;
	__u8 *memory;
};

FIXTURE_SETUP(requests)
{
	env_setup(_metadata, &self->env);
	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	start(&self->q, &self->env.sva[0]);
	self->memory = anon(32 * PAGE);
}

static void silence_at(struct __test_metadata *_metadata, int line, struct sva_queue *q);

FIXTURE_TEARDOWN(requests)
{
	/* No response is left or comes late, and the kernel serves the device as before. */
	silence_at(_metadata, __LINE__, &self->q);
	run_ok(&self->q, sva_fill(anon(PAGE), PAGE, 1));
	sva_close(&self->q);
	env_teardown(_metadata, &self->env);
}

static void raw_send_at(struct __test_metadata *_metadata, int line, struct sva_queue *q,
			__u32 pasid, const void *addr, __u32 flags)
{
	ASSERT_EQ(SVA_DMA_RAW_OK, sva_raw_send(q, pasid, (uintptr_t)addr, flags)) {
		TH_LOG("line %d: the request was not sent: %s", line, q->error);
	}
}

static void raw_answer_at(struct __test_metadata *_metadata, int line, struct sva_queue *q,
			  __u32 prgi, __u32 code)
{
	__u32 resp;

	ASSERT_EQ(0, sva_raw_recv(q, SVA_TIMEOUT_MS, &resp)) {
		TH_LOG("line %d: no answer: %s", line, q->error);
	}
	ASSERT_EQ(SVA_DMA_RAW_RESP_VALID | code << 12 | prgi, resp) {
		TH_LOG("line %d: index, code or presence differ", line);
	}
}

#define raw_send(...)	raw_send_at(_metadata, __LINE__, __VA_ARGS__)
#define raw_answer(...)	raw_answer_at(_metadata, __LINE__, __VA_ARGS__)

/*
 * Every second request does not make the interrupt thread wait, which serves it itself; a
 * worker of the process serves the others.
 */
static void silence_at(struct __test_metadata *_metadata, int line, struct sva_queue *q)
{
	__u8 *page = anon(2 * PAGE);
	__u32 i, resp;

	page[0] = 1;
	for (i = 0; i < LATER_REQUESTS; i++) {
		ASSERT_EQ(0, madvise(page + PAGE, PAGE, MADV_DONTNEED));
		raw_send_at(_metadata, line, q, q->info.pasid, page + (i & 1) * PAGE,
			    RAW_WRITE | (LATER_INDEX + i));
		raw_answer_at(_metadata, line, q, LATER_INDEX + i, PRI_SUCCESS);
	}
	EXPECT_EQ(-ENODATA, sva_raw_recv(q, 0, &resp)) {
		TH_LOG("line %d: an unexpected response: %#x", line, resp);
	}
	ASSERT_EQ(0, munmap(page, 2 * PAGE));
}

#define EXPECT_SILENCE(q)	silence_at(_metadata, __LINE__, q)

TEST_F(requests, request_for_a_mapped_page_succeeds)
{
	raw_send(&self->q, self->q.info.pasid, self->memory, RAW_WRITE | 7);
	raw_answer(&self->q, 7, PRI_SUCCESS);
	EXPECT_EQ(PAGE / KiB, smaps_kb(self->memory, "Rss"));
	EXPECT_SILENCE(&self->q);
}

TEST_F(requests, same_page_asked_for_again_succeeds_again)
{
	int i;

	for (i = 0; i < 20; i++) {
		raw_send(&self->q, self->q.info.pasid, self->memory, RAW_READ | i);
		raw_answer(&self->q, i, PRI_SUCCESS);
	}
}

TEST_F(requests, bad_addresses_are_invalid)
{
	__u64 bad[] = {
		0, PAGE, 0x0000800000000000ULL, 0xffff7fffffffffffULL, 0xffff800000000000ULL,
		0xffff888000000000ULL, 0xffffffff81000000ULL, ~0ULL,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		raw_send(&self->q, self->q.info.pasid, (void *)bad[i], RAW_READ | i);
		raw_answer(&self->q, i, PRI_INVALID);
		raw_send(&self->q, self->q.info.pasid, (void *)bad[i], RAW_WRITE | i);
		raw_answer(&self->q, i, PRI_INVALID);
	}
}

TEST_F(requests, access_that_the_mapping_forbids_is_invalid)
{
	__u32 pasid = self->q.info.pasid;

	ASSERT_EQ(0, mprotect(self->memory, PAGE, PROT_READ));
	raw_send(&self->q, pasid, self->memory, RAW_WRITE | 1);
	raw_answer(&self->q, 1, PRI_INVALID);
	raw_send(&self->q, pasid, self->memory, RAW_READ | 1);
	raw_answer(&self->q, 1, PRI_SUCCESS);
	raw_send(&self->q, pasid, self->memory, RAW_READ | SVA_DMA_RAW_EXEC | 1);
	raw_answer(&self->q, 1, PRI_INVALID);
	ASSERT_EQ(0, mprotect(self->memory, PAGE, PROT_NONE));
	raw_send(&self->q, pasid, self->memory, RAW_READ | 1);
	raw_answer(&self->q, 1, PRI_INVALID);
}

TEST_F(requests, privileged_request_is_invalid)
{
	__u32 pasid = self->q.info.pasid;

	self->env.noisy = true;
	raw_send(&self->q, pasid, self->memory, RAW_READ | SVA_DMA_RAW_PRIV | 2);
	raw_answer(&self->q, 2, PRI_INVALID);
	raw_send(&self->q, pasid, self->memory,
		 RAW_READ | SVA_DMA_RAW_PRIV | SVA_DMA_RAW_EXEC | 2);
	raw_answer(&self->q, 2, PRI_INVALID);
	EXPECT_EQ(0, smaps_kb(self->memory, "Rss"));
}

TEST_F(requests, stop_marker_is_not_answered)
{
	__u64 markers = counter(_metadata, &self->q, SVA_DMA_CNT_PRI_STOP_MARKERS);
	int i;

	for (i = 0; i < 50; i++)
		raw_send(&self->q, self->q.info.pasid, NULL, SVA_DMA_RAW_STOP_MARKER | i);
	EXPECT_EQ(markers + 50, counter(_metadata, &self->q, SVA_DMA_CNT_PRI_STOP_MARKERS));
	EXPECT_SILENCE(&self->q);
}

TEST_F(requests, group_of_several_requests_is_answered_once)
{
	__u32 pasid = self->q.info.pasid;
	int i;

	for (i = 0; i < 8; i++)
		raw_send(&self->q, pasid, self->memory + i * PAGE, SVA_DMA_RAW_WRITE | 3);
	EXPECT_SILENCE(&self->q);
	raw_send(&self->q, pasid, self->memory + 8 * PAGE, RAW_WRITE | 3);
	raw_answer(&self->q, 3, PRI_SUCCESS);
	EXPECT_SILENCE(&self->q);
	/* The last one brought the others with it. */
	EXPECT_EQ(9 * PAGE / KiB, smaps_kb(self->memory, "Rss"));
}

TEST_F(requests, one_bad_page_spoils_its_group)
{
	__u32 pasid = self->q.info.pasid;

	raw_send(&self->q, pasid, self->memory, SVA_DMA_RAW_READ | 4);
	raw_send(&self->q, pasid, NULL, SVA_DMA_RAW_READ | 4);
	raw_send(&self->q, pasid, self->memory + PAGE, RAW_READ | 4);
	raw_answer(&self->q, 4, PRI_INVALID);
}

TEST_F(requests, interleaved_groups_are_kept_apart)
{
	__u32 pasid = self->q.info.pasid, prgi;

	for (prgi = 10; prgi < 14; prgi++)
		raw_send(&self->q, pasid, self->memory + prgi * PAGE, SVA_DMA_RAW_READ | prgi);
	raw_send(&self->q, pasid, NULL, RAW_READ | 11);
	raw_answer(&self->q, 11, PRI_INVALID);
	for (prgi = 10; prgi < 14; prgi++) {
		if (prgi == 11)
			continue;
		raw_send(&self->q, pasid, self->memory, RAW_READ | prgi);
		raw_answer(&self->q, prgi, PRI_SUCCESS);
	}
}

static int hold_queue_open(struct line line, void *arg)
{
	struct sva_queue q;

	CHECK(!sva_open(&q, arg));
	CHECK(tell(line, &q.info.pasid, sizeof(q.info.pasid)));
	CHECK(await(line));
	sva_close(&q);
	return 0;
}

TEST_F(requests, same_index_under_two_pasids)
{
	__u32 pasid = self->q.info.pasid, other;
	struct peer peer;

	peer_start(_metadata, &peer, hold_queue_open, &self->env.sva[0]);
	ASSERT_TRUE(hear(peer.line, &other, sizeof(other)));
	ASSERT_NE(pasid, other);
	/* The other process has the same memory, untouched and writable. */
	raw_send(&self->q, pasid, self->memory, SVA_DMA_RAW_WRITE | 5);
	raw_send(&self->q, other, NULL, RAW_WRITE | 5);
	raw_answer(&self->q, 5, PRI_INVALID);
	EXPECT_SILENCE(&self->q);
	raw_send(&self->q, pasid, self->memory + PAGE, RAW_WRITE | 5);
	raw_answer(&self->q, 5, PRI_SUCCESS);
	EXPECT_EQ(2 * PAGE / KiB, smaps_kb(self->memory, "Rss"));
	post(peer.line);
	peer_ends_well(&peer);
}

TEST_F(requests, pasid_without_a_bond_is_invalid)
{
	__u32 unused[] = { 0, 200, 254 };
	size_t i;

	self->env.noisy = true;
	for (i = 0; i < ARRAY_SIZE(unused); i++) {
		ASSERT_NE(self->q.info.pasid, unused[i]);
		raw_send(&self->q, unused[i], self->memory, RAW_READ | 6);
		raw_answer(&self->q, 6, PRI_INVALID);
	}
	EXPECT_EQ(0, smaps_kb(self->memory, "Rss"));
}

TEST_F(requests, pasid_of_another_device_only_is_invalid)
{
	struct sva_queue second;
	__u32 pasid;
	struct peer peer;

	self->env.noisy = true;
	/* Bound to the second device, never to the first. */
	peer_start(_metadata, &peer, hold_queue_open, &self->env.sva[1]);
	ASSERT_TRUE(hear(peer.line, &pasid, sizeof(pasid)));
	raw_send(&self->q, pasid, self->memory, RAW_READ | 8);
	raw_answer(&self->q, 8, PRI_INVALID);

	ASSERT_EQ(0, sva_open(&second, &self->env.sva[1]));
	raw_send(&second, pasid, self->memory, RAW_READ | 8);
	raw_answer(&second, 8, PRI_SUCCESS);
	sva_close(&second);
	post(peer.line);
	peer_ends_well(&peer);
}

TEST_F(requests, pasid_is_invalid_after_unbind)
{
	__u32 pasid;
	struct peer peer;

	self->env.noisy = true;
	peer_start(_metadata, &peer, hold_queue_open, &self->env.sva[0]);
	ASSERT_TRUE(hear(peer.line, &pasid, sizeof(pasid)));
	raw_send(&self->q, pasid, self->memory, RAW_READ | 9);
	raw_answer(&self->q, 9, PRI_SUCCESS);
	post(peer.line);
	peer_ends_well(&peer);
	raw_send(&self->q, pasid, self->memory, RAW_READ | 9);
	raw_answer(&self->q, 9, PRI_INVALID);
}

#define INDICES		32
#define MOST_PIECES	5000

TEST_F(requests, device_that_never_ends_its_groups_hurts_only_itself)
{
	__u32 pasid = self->q.info.pasid, sent, prgi;
	int status = SVA_DMA_RAW_OK;
	struct sva_queue second;

	/* Pieces without a last request take credits until there are none. */
	for (sent = 0; sent < MOST_PIECES; sent++) {
		status = sva_raw_send(&self->q, pasid, (uintptr_t)self->memory,
				      SVA_DMA_RAW_READ | sent % INDICES);
		if (status != SVA_DMA_RAW_OK)
			break;
	}
	EXPECT_EQ(SVA_DMA_RAW_BUSY, status);
	EXPECT_LT(INDICES, sent);

	start(&second, &self->env.sva[1]);
	run_ok(&second, sva_fill(self->memory, 32 * PAGE, 1));
	sva_close(&second);

	/*
	 * There is no credit for a last request either: the reset takes the pieces back. What the
	 * kernel has collected of them must not disturb what comes later.
	 */
	self->env.noisy = true; /* the driver mentions what the reset drops */
	pci_write(self->env.sva[0].bdf, "reset", "1");
	for (prgi = 0; prgi < INDICES; prgi++) {
		raw_send(&self->q, pasid, self->memory, RAW_READ | prgi);
		raw_answer(&self->q, prgi, PRI_SUCCESS);
	}
}

/*
 * The kernel logs requests with a PASID that is not bound, at a limited rate, but not those for
 * memory that the process may not access.
 */
TEST_F(requests, thousand_bad_requests_do_not_flood_the_log)
{
	const struct {
		__u32 pasid;
		const void *addr;
		__u32 flags;
		int nr;
		int most;
	} kinds[] = {
		{ 250, self->memory, RAW_READ, 1000, 99 },
		{ self->q.info.pasid, self->memory, RAW_READ | SVA_DMA_RAW_PRIV, 200, 0 },
		{ self->q.info.pasid, self->memory, RAW_READ | SVA_DMA_RAW_EXEC, 200, 0 },
		{ self->q.info.pasid, (void *)0x8000000000001000ULL, RAW_READ, 200, 0 },
		{ self->q.info.pasid, NULL, RAW_WRITE, 200, 0 },
	};
	char line[256] = "";
	size_t k;
	int i;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < kinds[k].nr; i++) {
			raw_send(&self->q, kinds[k].pasid, kinds[k].addr,
				 kinds[k].flags | i % 16);
			raw_answer(&self->q, i % 16, PRI_INVALID);
		}
		EXPECT_GE(kinds[k].most, env_complaints(&self->env, NULL, line, sizeof(line))) {
			TH_LOG("kind %zu: %s", k, line);
		}
	}
}
