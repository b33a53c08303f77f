// SPDX-License-Identifier: GPL-2.0-only
/* fork(): the device belongs to the parent's address space, and the child's stays its own. */

FIXTURE(fork) {
	struct sva_env env;
	struct sva_queue q;
};

/* How many pages the fork makes read-only at once: below and above what one flush can cover. */
FIXTURE_VARIANT(fork) {
	size_t pages;
};

FIXTURE_VARIANT_ADD(fork, one_page) {
	.pages = 1,
};

FIXTURE_VARIANT_ADD(fork, sixty_four_pages) {
	.pages = 64,
};

FIXTURE_VARIANT_ADD(fork, thousand_pages) {
	.pages = 1024,
};

FIXTURE_SETUP(fork)
{
	env_setup(_metadata, &self->env);
	start(&self->q, &self->env.sva[0]);
}

FIXTURE_TEARDOWN(fork)
{
	sva_close(&self->q);
	env_teardown(_metadata, &self->env);
}

struct fork_memory {
	__u8 *memory;
	size_t len;
	__u8 byte;
};

/* When told, the memory must be as it was when the process was made. */
static int memory_is_untouched(struct line line, void *arg)
{
	struct fork_memory *m = arg;

	CHECK(await(line));
	CHECK(differs(m->memory, m->len, m->byte) == -1);
	return 0;
}

TEST_F(fork, device_writes_stay_out_of_the_childs_memory)
{
	struct fork_memory m = { .len = variant->pages * PAGE, .byte = 0x0a };
	struct peer child;

	m.memory = anon(m.len);
	/* Twice: the second pass finds writable translations and leaves the ATC full of them. */
	run_ok(&self->q, sva_fill(m.memory, m.len, 0x01));
	run_ok(&self->q, sva_fill(m.memory, m.len, m.byte));
	peer_start(_metadata, &child, memory_is_untouched, &m);
	run_ok(&self->q, sva_fill(m.memory, m.len, 0x0b));
	post(child.line);
	peer_ends_well(&child);
	EXPECT_EQ(-1, differs(m.memory, m.len, 0x0b));
}

static int scribble(struct line line, void *arg)
{
	struct fork_memory *m = arg;

	memset(m->memory, 0xcc, m->len);
	post(line);
	return 0;
}

TEST_F(fork, childs_writes_stay_out_of_the_devices_sight)
{
	struct fork_memory m = { .len = variant->pages * PAGE };
	struct peer child;
	__u64 sum;

	m.memory = anon(m.len);
	pattern(m.memory, m.len, 6);
	sum = run_ok(&self->q, sva_checksum(m.memory, m.len)).value;
	peer_start(_metadata, &child, scribble, &m);
	ASSERT_TRUE(await(child.line));
	EXPECT_EQ(sum, run_ok(&self->q, sva_checksum(m.memory, m.len)).value);
	peer_ends_well(&child);
	EXPECT_EQ(-1, differs_from_pattern(m.memory, m.len, 6));
}

/* Nothing changes in this process between one look at its memory and the next. */
static int memory_stands_still(struct line line, void *arg)
{
	struct fork_memory *m = arg;
	__u8 *seen = malloc(m->len);

	CHECK(seen);
	memcpy(seen, m->memory, m->len);
	post(line);
	CHECK(await(line));
	CHECK(!memcmp(seen, m->memory, m->len));
	return 0;
}

TEST_F(fork, fork_under_writes_gives_the_child_a_snapshot)
{
	struct fork_memory m = { .len = variant->pages * PAGE };
	struct peer child;
	__u8 i;

	m.memory = anon(m.len);
	for (i = 1; i < 3; i++) {
		background(&self->q, sva_fill(m.memory, m.len, i));
		peer_start(_metadata, &child, memory_stands_still, &m);
		ASSERT_TRUE(await(child.line));
		EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&self->q).status);
		run_ok(&self->q, sva_fill(m.memory, m.len, 0xf0 + i));
		post(child.line);
		peer_ends_well(&child);
		EXPECT_EQ(-1, differs(m.memory, m.len, 0xf0 + i));
	}
}

TEST(child_has_neither_job_page_nor_pasid)
{
	struct sva_env env = {};
	struct sva_queue q, own;
	pid_t child;
	int status;

	env_setup(_metadata, &env);
	start(&q, &env.sva[0]);
	ASSERT_EQ(0, probe(q.job + SVA_DMA_JOB_STATUS));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		__u32 parents = q.info.pasid;

		if (probe(q.job + SVA_DMA_JOB_STATUS) != SIGSEGV)
			_exit(1);
		if (sva_open(&own, &env.sva[0]) || own.info.pasid == parents)
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	run_ok(&q, sva_fill(anon(PAGE), PAGE, 1));
	sva_close(&q);
	env_teardown(_metadata, &env);
}
