// SPDX-License-Identifier: GPL-2.0-only
/* What happens when a resource runs out, or a device lacks a capability; and what leaks. */

FIXTURE(limits) {
	struct sva_env env;
};

FIXTURE_SETUP(limits)
{
	env_setup(_metadata, &self->env);
}

FIXTURE_TEARDOWN(limits)
{
	env_teardown(_metadata, &self->env);
}

TEST_F(limits, thousand_bind_cycles_leave_nothing_behind)
{
	__u8 *memory = anon(PAGE);
	struct sva_queue q;
	long before = 0, after;
	int i, warm_up = 200;

	/* Caches fill up in the first cycles; what grows after that is a leak. */
	for (i = 0; i < 1000 + warm_up; i++) {
		if (i == warm_up)
			before = sva_slab_kb();
		ASSERT_EQ(0, sva_open(&q, &self->env.sva[i & 1])) {
			TH_LOG("cycle %d: %s", i, q.error);
		}
		if (i % 8 == 0) {
			ASSERT_EQ(0, sva_start(&q));
			run_ok(&q, sva_fill(memory, 8, i));
		}
		sva_close(&q);
	}
	ASSERT_LT(0, before);
	/* One object of 1 KiB per cycle would be 1000. Frees that RCU defers take their time. */
	for (i = 0; i < 60; i++) {
		after = sva_slab_kb();
		if (after < before + 700)
			break;
		usleep(500000);
	}
	EXPECT_GT(before + 700, after) {
		TH_LOG("slab grew from %ld KiB to %ld KiB", before, after);
	}
}

struct holding {
	int error;
	__u32 pasid;
};

static int hold_pasid(struct line line, void *arg)
{
	struct sva_queue q;
	struct holding holding = { .error = sva_open(&q, arg) };

	holding.pasid = q.info.pasid;
	CHECK(tell(line, &holding, sizeof(holding)));
	await(line);
	return 0;
}

/* Siblings have copies of the line, so the end of the file would not tell. */
static void let_go(struct __test_metadata *_metadata, struct peer *peer)
{
	post(peer->line);
	peer_ends_well(peer);
}

#define HOLDERS	300

static struct holding start_holder(struct __test_metadata *_metadata, struct peer *peer,
				   const struct sva_device *device)
{
	struct holding holding;

	peer_start(_metadata, peer, hold_pasid, (void *)device);
	ASSERT_TRUE(hear(peer->line, &holding, sizeof(holding)));
	return holding;
}

/* Returns how many processes have got a PASID, the last of them @last, until @error came. */
static int fill_pasid_space(struct __test_metadata *_metadata, struct peer *peer, int *error,
			    const struct sva_device *device, __u32 *last)
{
	struct holding holding;
	int n;

	for (n = 0; n < HOLDERS; n++) {
		holding = start_holder(_metadata, &peer[n], device);
		*error = holding.error;
		if (holding.error) {
			let_go(_metadata, &peer[n]);
			break;
		}
		*last = holding.pasid;
	}
	return n;
}

/* A device uses the PASID of a process that is gone. */
static __u32 make_stray(struct __test_metadata *_metadata, struct sva_device *device)
{
	struct sva_queue q;
	struct peer peer;
	__u32 pasid;

	peer_start(_metadata, &peer, tell_pasid, device);
	ASSERT_TRUE(hear(peer.line, &pasid, sizeof(pasid)));
	peer_ends_well(&peer);
	ASSERT_EQ(0, sva_open(&q, device));
	raw_send(&q, pasid, NULL, RAW_READ | 1);
	raw_answer(&q, 1, PRI_INVALID);
	sva_close(&q);
	return pasid;
}

/* On a machine whose PASIDs have 8 bits: see PASID_BITS in scripts/test/boot. */
TEST_F(limits, no_pasid_left_is_enospc_and_recovers)
{
	struct holding holding;
	struct peer peer[HOLDERS + 1];
	int error = 0, held, i;
	struct sva_queue q;
	__u32 stray = 0, last;

	/* A number that the second device misuses is the last that processes of the first get. */
	if (!self->env.sva[1].stall) {
		self->env.noisy = true;
		long_quarantine(_metadata);
		stray = make_stray(_metadata, &self->env.sva[1]);
	}
	held = fill_pasid_space(_metadata, peer, &error, &self->env.sva[0], &last);
	EXPECT_EQ(-ENOSPC, error);
	EXPECT_EQ(stray ?: last, last);
	EXPECT_LT(200, held);
	EXPECT_EQ(-ENOSPC, sva_open(&q, &self->env.sva[1]));

	/* One goes, one fits in; then it is full again. */
	let_go(_metadata, &peer[--held]);
	holding = start_holder(_metadata, &peer[held], &self->env.sva[0]);
	EXPECT_EQ(0, holding.error);
	held++;
	EXPECT_EQ(-ENOSPC, sva_open(&q, &self->env.sva[0]));

	if (stray)
		end_quarantine(_metadata, &self->env, 1, stray);

	/* All go, and there is room again. */
	for (i = 0; i < held; i++)
		let_go(_metadata, &peer[i]);
	ASSERT_EQ(0, sva_open(&q, &self->env.sva[0]));
	sva_close(&q);
	TH_LOG("%d processes were bound at a time", held);
}

/* A stopped device may keep translations, and without a bond the core does not invalidate them. */
TEST_F(limits, pasid_used_again_finds_nothing_of_before)
{
	__u8 *memory = anon(PAGE), *before = anon(PAGE);
	struct sva_queue q;
	bool again = false;
	__u32 pasid;
	int i;

	start(&q, &self->env.sva[0]);
	run_ok(&q, sva_fill(memory, PAGE, 0x11));
	pasid = q.info.pasid;
	sva_close(&q);
	/* The frame stays in use: a new one at the address is another. */
	ASSERT_EQ(before, mremap(memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, before));
	ASSERT_EQ(memory, mmap(memory, PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memset(memory, 0x22, PAGE);

	for (i = 0; i < 2 * HOLDERS && !again; i++) {
		start(&q, &self->env.sva[0]);
		again = q.info.pasid == pasid;
		if (again) {
			EXPECT_EQ(sva_fnv1a(memory, PAGE),
				  run_ok(&q, sva_checksum(memory, PAGE)).value);
			run_ok(&q, sva_fill(memory, PAGE, 0x33));
			EXPECT_EQ(-1, differs(memory, PAGE, 0x33));
			EXPECT_EQ(-1, differs(before, PAGE, 0x11));
		}
		sva_close(&q);
	}
	EXPECT_TRUE(again);
}

TEST_F(limits, channels_run_out_and_come_back)
{
	struct sva_queue q[SVA_DMA_MAX_CHANNELS + 1];
	__u8 *memory = anon(PAGE);
	__u32 i, channels;

	start(&q[0], &self->env.sva[0]);
	channels = q[0].info.channels;
	for (i = 1; i < channels; i++)
		start(&q[i], &self->env.sva[0]);
	EXPECT_EQ(0, sva_available(&self->env.sva[0]));

	/* Opening is a bond, not a channel. */
	ASSERT_EQ(0, sva_open(&q[channels], &self->env.sva[0]));
	EXPECT_EQ(-EBUSY, sva_start(&q[channels]));
	sva_close(&q[3]);
	EXPECT_EQ(0, sva_start(&q[channels]));
	EXPECT_EQ(q[3].info.channel, q[channels].info.channel);
	run_ok(&q[channels], sva_fill(memory, PAGE, 0x55));
	EXPECT_EQ(-1, differs(memory, PAGE, 0x55));
	for (i = 0; i <= channels; i++)
		sva_close(&q[i]);
}

TEST_F(limits, device_without_pasid_is_refused_with_a_clear_error)
{
	char line[256] = "";
	struct sva_queue q;

	ASSERT_NE('\0', self->env.no_pasid.node[0]) {
		TH_LOG("no device without PASID");
	}
	EXPECT_FALSE(self->env.no_pasid.sva);
	EXPECT_EQ(-EOPNOTSUPP, sva_open(&q, &self->env.no_pasid)) {
		TH_LOG("%s", q.error);
	}
	EXPECT_LT(0, env_complaints(&self->env, "the device has no PASID", line, sizeof(line)));
	TH_LOG("%s", line);
	self->env.noisy = true;
}
