// SPDX-License-Identifier: GPL-2.0-only
/*
 * When the system call that unmaps memory returns, the device cannot use that memory any more.
 * Either the device is idle and its ATC holds the old translation, which makes the outcome certain;
 * or it writes all the time, and the case checks memory that must not change.
 */

#define HOT_PAGES	64
#define HOT_LEN		(HOT_PAGES * PAGE)

FIXTURE(invalidate) {
	struct sva_env env;
	struct sva_queue q;
	__u8 *hot;		/* writable translations of it are in the ATC */
};

FIXTURE_SETUP(invalidate)
{
	env_setup(_metadata, &self->env);
	start(&self->q, &self->env.sva[0]);
	self->hot = anon(HOT_LEN);
	run_ok(&self->q, sva_fill(self->hot, HOT_LEN, 0xc1));
	run_ok(&self->q, sva_fill(self->hot, HOT_LEN, 0xc0));
}

FIXTURE_TEARDOWN(invalidate)
{
	sva_close(&self->q);
	env_teardown(_metadata, &self->env);
}

/*
 * Memory that is touched right after other memory was freed, and consists of the same page frames:
 * that they are the same is looked up. It is mapped before, as it must not get the address of what
 * was unmapped.
 */
#define VICTIM_BYTE	0xee
#define MOST_TRIES	50

struct victim {
	__u64 freed[HOT_PAGES];
	size_t again;		/* frames that were freed and came back, of all so far */
};

/* Before @memory is freed */
static void victim_remember(struct victim *v, const void *memory)
{
	stay_on_this_cpu();
	frames_of(memory, HOT_PAGES, v->freed);
}

/* Right after that */
static void victim_takes_over(struct victim *v, __u8 *other)
{
	__u64 now[HOT_PAGES];

	memset(other, VICTIM_BYTE, HOT_LEN);
	frames_of(other, HOT_PAGES, now);
	v->again += frames_in_common(v->freed, now, HOT_PAGES);
}

TEST_F(invalidate, munmap_ends_access_to_each_page)
{
	size_t at;

	ASSERT_EQ(0, munmap(self->hot, HOT_LEN));
	for (at = 0; at < HOT_LEN; at += PAGE) {
		EXPECT_EQ(0, refused(&self->q, sva_fill(self->hot + at, 8, 1)).bytes);
		EXPECT_EQ(0, refused(&self->q, sva_checksum(self->hot + at, 8)).bytes);
	}
}

TEST_F(invalidate, munmap_of_more_pages_than_one_invalidation_covers)
{
	size_t len = 1021 * PAGE, at;
	__u8 *memory = anon(len + 2 * PAGE);
	__u32 seed = 77;
	int i;

	run_ok(&self->q, sva_fill(memory, len + 2 * PAGE, 0x0c));
	ASSERT_EQ(0, munmap(memory + PAGE, len));
	for (at = PAGE; at <= len; at += PAGE * (1 + next_random(&seed) % 16))
		refused(&self->q, sva_fill(memory + at, 8, 1));
	for (i = 0; i < 2; i++)
		run_ok(&self->q, sva_fill(memory + i * (len + PAGE), PAGE, 0x0d));
}

TEST_F(invalidate, munmap_under_writes_leaves_no_stale_write)
{
	struct victim victim = {};
	struct sva_result result;
	__u8 *hot, *other;
	int i;

	for (i = 0; i < MOST_TRIES && victim.again < HOT_PAGES; i++) {
		hot = anon(HOT_LEN);
		other = anon(HOT_LEN);
		background(&self->q, sva_fill(hot, HOT_LEN, 0xdd));
		victim_remember(&victim, hot);
		ASSERT_EQ(0, munmap(hot, HOT_LEN));
		victim_takes_over(&victim, other);
		/* Without an invalidation the device would succeed once more. */
		result = sva_wait_progress(&self->q, HOT_LEN);
		ASSERT_EQ(-1, differs(other, HOT_LEN, VICTIM_BYTE));
		ASSERT_TRUE(is_refusal(result.status)) {
			TH_LOG("%s", sva_status_name(result.status));
		}
		EXPECT_LE((uintptr_t)hot, result.fault_addr);
		EXPECT_GT((uintptr_t)hot + HOT_LEN, result.fault_addr);
		ASSERT_EQ(0, munmap(other, HOT_LEN));
	}
	EXPECT_LE(HOT_PAGES, victim.again);
}

TEST_F(invalidate, munmap_under_reads_ends_the_job)
{
	struct victim victim = {};
	struct sva_result result;
	__u8 *to, *hot, *other;
	int i;

	for (i = 0; i < MOST_TRIES && victim.again < HOT_PAGES; i++) {
		to = anon(HOT_LEN);
		hot = anon(HOT_LEN);
		other = anon(HOT_LEN);
		memset(hot, 0xc0, HOT_LEN);
		background(&self->q, sva_copy(to, hot, HOT_LEN));
		victim_remember(&victim, hot);
		ASSERT_EQ(0, munmap(hot, HOT_LEN));
		victim_takes_over(&victim, other);
		result = sva_wait_progress(&self->q, HOT_LEN);
		/* The copy holds what was in the source, and nothing that came there later. */
		ASSERT_EQ(-1, differs(to, HOT_LEN, 0xc0));
		ASSERT_TRUE(is_refusal(result.status));
		ASSERT_EQ(0, munmap(to, HOT_LEN));
		ASSERT_EQ(0, munmap(other, HOT_LEN));
	}
	EXPECT_LE(HOT_PAGES, victim.again);
}

TEST_F(invalidate, read_only_mprotect_ends_writes_but_not_reads)
{
	ASSERT_EQ(0, mprotect(self->hot, HOT_LEN, PROT_READ));
	refused(&self->q, sva_fill(self->hot, HOT_LEN, 1));
	refused(&self->q, sva_fill(self->hot + HOT_LEN - PAGE, 8, 1));
	EXPECT_EQ(run_ok(&self->q, sva_checksum(self->hot, HOT_LEN)).value,
		  sva_fnv1a(self->hot, HOT_LEN));
	EXPECT_EQ(-1, differs(self->hot, HOT_LEN, 0xc0));
	ASSERT_EQ(0, mprotect(self->hot, HOT_LEN, RW));
	run_ok(&self->q, sva_fill(self->hot, HOT_LEN, 2));
	EXPECT_EQ(-1, differs(self->hot, HOT_LEN, 2));
}

TEST_F(invalidate, mprotect_none_ends_reads_and_writes)
{
	ASSERT_EQ(0, mprotect(self->hot, HOT_LEN, PROT_NONE));
	refused(&self->q, sva_fill(self->hot, HOT_LEN, 1));
	refused(&self->q, sva_checksum(self->hot, HOT_LEN));
	ASSERT_EQ(0, mprotect(self->hot, HOT_LEN, PROT_READ));
	EXPECT_EQ(-1, differs(self->hot, HOT_LEN, 0xc0));
}

TEST_F(invalidate, mprotect_under_writes_freezes_the_bytes)
{
	__u8 *seen = anon(HOT_LEN);
	struct sva_result result;
	__u8 i;

	for (i = 1; i < 20; i++) {
		background(&self->q, sva_fill(self->hot, HOT_LEN, i));
		ASSERT_EQ(0, mprotect(self->hot, HOT_LEN, PROT_READ));
		memcpy(seen, self->hot, HOT_LEN);
		result = sva_wait(&self->q);
		ASSERT_TRUE(is_refusal(result.status));
		ASSERT_EQ(0, memcmp(seen, self->hot, HOT_LEN));
		ASSERT_EQ(0, mprotect(self->hot, HOT_LEN, RW));
		/* What the CPU writes now must not be overwritten from a forgotten buffer. */
		memset(self->hot, 0x80 + i, HOT_LEN);
		ASSERT_EQ(-1, differs(self->hot, HOT_LEN, 0x80 + i));
	}
}

TEST_F(invalidate, dontneed_makes_the_device_read_zero)
{
	__u8 *zeros = anon(HOT_LEN);

	ASSERT_EQ(0, madvise(self->hot, HOT_LEN, MADV_DONTNEED));
	EXPECT_EQ(sva_fnv1a(zeros, HOT_LEN),
		  run_ok(&self->q, sva_checksum(self->hot, HOT_LEN)).value);
	EXPECT_EQ(-1, differs(self->hot, HOT_LEN, 0));
}

TEST_F(invalidate, dontneed_makes_the_device_write_new_pages)
{
	struct victim victim = {};
	__u8 *other;
	int i;

	for (i = 0; i < MOST_TRIES && victim.again < HOT_PAGES; i++) {
		other = anon(HOT_LEN);
		victim_remember(&victim, self->hot);
		ASSERT_EQ(0, madvise(self->hot, HOT_LEN, MADV_DONTNEED));
		victim_takes_over(&victim, other);
		run_ok(&self->q, sva_fill(self->hot, HOT_LEN, 0x44 + i));
		ASSERT_EQ(-1, differs(self->hot, HOT_LEN, 0x44 + i));
		ASSERT_EQ(-1, differs(other, HOT_LEN, VICTIM_BYTE));
		ASSERT_EQ(0, munmap(other, HOT_LEN));
	}
	EXPECT_LE(HOT_PAGES, victim.again);
}

TEST_F(invalidate, dontneed_under_writes_never_hits_freed_pages)
{
	struct victim victim = {};
	__u8 *other;
	size_t at;
	int i;

	background(&self->q, sva_fill(self->hot, HOT_LEN, 0xdd));
	for (i = 0; i < MOST_TRIES && (i < 20 || victim.again < HOT_PAGES); i++) {
		other = anon(HOT_LEN);
		victim_remember(&victim, self->hot);
		ASSERT_EQ(0, madvise(self->hot, HOT_LEN, MADV_DONTNEED));
		victim_takes_over(&victim, other);
		ASSERT_EQ(SVA_DMA_RUNNING, sva_wait_progress(&self->q, HOT_LEN).status);
		ASSERT_EQ(-1, differs(other, HOT_LEN, VICTIM_BYTE));
		munmap(other, HOT_LEN);
	}
	/* The device takes freed frames as well: what is counted is what this thread got. */
	EXPECT_LE(HOT_PAGES, victim.again);
	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&self->q).status);
	for (at = 0; at < HOT_LEN; at++)
		ASSERT_TRUE(self->hot[at] == 0xdd || self->hot[at] == 0);
}

TEST_F(invalidate, mremap_moves_the_devices_view_too)
{
	__u8 *old = self->hot, *new;

	pattern(old, HOT_LEN, 3);
	run_ok(&self->q, sva_checksum(old, HOT_LEN));
	new = mremap(old, HOT_LEN, HOT_LEN, MREMAP_MAYMOVE | MREMAP_FIXED, anon(HOT_LEN));
	ASSERT_NE(MAP_FAILED, new);
	refused(&self->q, sva_checksum(old, HOT_LEN));
	refused(&self->q, sva_fill(old + HOT_LEN / 2, 8, 1));
	EXPECT_EQ(sva_fnv1a(new, HOT_LEN), run_ok(&self->q, sva_checksum(new, HOT_LEN)).value);
	EXPECT_EQ(-1, differs_from_pattern(new, HOT_LEN, 3));
}

TEST_F(invalidate, mremap_under_writes_takes_the_pages_out_of_reach)
{
	__u8 *old = self->hot, *new;
	struct sva_result result;
	int i;

	for (i = 0; i < 20; i++) {
		background(&self->q, sva_fill(old, HOT_LEN, 0xdd));
		new = mremap(old, HOT_LEN, HOT_LEN, MREMAP_MAYMOVE | MREMAP_FIXED,
			     anon(HOT_LEN));
		ASSERT_NE(MAP_FAILED, new);
		memset(new, 0x12, HOT_LEN);
		result = sva_wait(&self->q);
		ASSERT_TRUE(is_refusal(result.status));
		ASSERT_EQ(-1, differs(new, HOT_LEN, 0x12));
		old = new;
	}
}

TEST_F(invalidate, growing_by_mremap_keeps_the_device_going)
{
	__u8 *old = self->hot;
	__u8 *new = mremap(old, HOT_LEN, 4 * HOT_LEN, MREMAP_MAYMOVE | MREMAP_FIXED,
			   anon(4 * HOT_LEN));

	ASSERT_NE(MAP_FAILED, new);
	refused(&self->q, sva_fill(old, 8, 1));
	run_ok(&self->q, sva_fill(new + HOT_LEN, 3 * HOT_LEN, 0x13));
	EXPECT_EQ(-1, differs(new, HOT_LEN, 0xc0));
	EXPECT_EQ(-1, differs(new + HOT_LEN, 3 * HOT_LEN, 0x13));
}

TEST_F(invalidate, fixed_mapping_replaces_what_the_device_sees)
{
	int fd = memfd_create("sva_test", MFD_CLOEXEC);
	__u8 *file;

	ASSERT_EQ(0, ftruncate(fd, HOT_LEN));
	file = mmap(ANYWHERE, HOT_LEN, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, file);
	pattern(file, HOT_LEN, 8);
	ASSERT_EQ(self->hot, mmap(self->hot, HOT_LEN, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	EXPECT_EQ(sva_fnv1a(file, HOT_LEN),
		  run_ok(&self->q, sva_checksum(self->hot, HOT_LEN)).value);
	run_ok(&self->q, sva_fill(self->hot, HOT_LEN, 0x14));
	EXPECT_EQ(-1, differs(file, HOT_LEN, 0x14));
}

TEST_F(invalidate, fixed_mapping_under_writes_spares_the_replaced_file)
{
	__u8 *seen = anon(HOT_LEN), *file[2];
	int fd[2], i;

	for (i = 0; i < 2; i++) {
		fd[i] = memfd_create("sva_test", MFD_CLOEXEC);
		ASSERT_EQ(0, ftruncate(fd[i], HOT_LEN));
		file[i] = mmap(ANYWHERE, HOT_LEN, RW, MAP_SHARED, fd[i], 0);
		ASSERT_NE(MAP_FAILED, file[i]);
	}
	background(&self->q, sva_fill(self->hot, HOT_LEN, 0xdd));
	for (i = 0; i < 12; i++) {
		ASSERT_EQ(self->hot, mmap(self->hot, HOT_LEN, RW, MAP_SHARED | MAP_FIXED,
					  fd[i & 1], 0));
		/* The file that was here before is not written any more. */
		memset(file[~i & 1], i, HOT_LEN);
		memcpy(seen, file[~i & 1], HOT_LEN);
		/* For an instant there was no mapping: the job may have failed there. */
		if (sva_wait_progress(&self->q, HOT_LEN).status != SVA_DMA_RUNNING)
			background(&self->q, sva_fill(self->hot, HOT_LEN, 0xdd));
		ASSERT_EQ(0, memcmp(seen, file[~i & 1], HOT_LEN));
	}
	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&self->q).status);
}

TEST_F(invalidate, munmap_inside_a_huge_page_spares_its_neighbours)
{
	__u8 *huge = anon_aligned(_metadata, HUGE_PAGE);
	__u8 *hole = huge + 300 * PAGE;

	if (!env_has_huge_pages())
		SKIP(return, NO_HUGE_PAGES);
	if (!env_has_room())
		SKIP(return, NO_ROOM);
	ASSERT_EQ(0, madvise(huge, HUGE_PAGE, MADV_HUGEPAGE));
	run_ok(&self->q, sva_fill(huge, HUGE_PAGE, 0x15));
	ASSERT_EQ(HUGE_PAGE / KiB, smaps_kb(huge, "AnonHugePages"));
	EXPECT_ATC_ENTRIES(&self->env, &self->q, huge, HUGE_PAGE, 1);
	ASSERT_EQ(0, munmap(hole, PAGE));
	refused(&self->q, sva_checksum(hole, 8));
	run_ok(&self->q, sva_fill(hole - PAGE, PAGE, 0x16));
	run_ok(&self->q, sva_fill(hole + PAGE, PAGE, 0x17));
	EXPECT_EQ(-1, differs(hole - 2 * PAGE, PAGE, 0x15));
	EXPECT_EQ(-1, differs(hole - PAGE, PAGE, 0x16));
	EXPECT_EQ(-1, differs(hole + PAGE, PAGE, 0x17));
}

TEST_F(invalidate, address_space_used_again_after_its_tables_were_freed)
{
	size_t len = 4 * HUGE_PAGE;
	__u8 *place = anon_aligned(_metadata, len);
	int i;

	/* Page-table pages of the range come and go with it: no cached upper level may survive. */
	for (i = 1; i < 60; i++) {
		size_t at = (i % 4) * HUGE_PAGE;

		run_ok(&self->q, sva_fill(place + at, 4 * PAGE, i));
		ASSERT_EQ(-1, differs(place + at, 4 * PAGE, i));
		ASSERT_EQ(0, munmap(place, len));
		refused(&self->q, sva_fill(place + at, 8, 0));
		ASSERT_EQ(place, mmap(place, len, RW, MAP_PRIVATE | MAP_ANONYMOUS |
				      MAP_NORESERVE | MAP_FIXED, -1, 0));
	}
}

#define MANY_PAGES	1500	/* more than the caches of the emulated IOMMUs hold */
#define NEIGHBOURS	8

/*
 * A table that is freed is gone for the device, also when so many other pages are in use that the
 * IOMMU has long dropped the translation which led through it: tables are cached on their own.
 */
TEST_F(invalidate, freed_table_is_forgotten_among_many_pages)
{
	__u8 *place = anon_aligned(_metadata, HUGE_PAGE), *many = anon(MANY_PAGES * PAGE);
	__u8 *neighbours;
	int i, j;

	memset(many, 1, MANY_PAGES * PAGE);
	for (i = 1; i < 6; i++) {
		run_ok(&self->q, sva_fill(place, PAGE, i));
		run_ok(&self->q, sva_checksum(many, MANY_PAGES * PAGE));
		ASSERT_EQ(0, munmap(place, HUGE_PAGE));
		/* The freed table may be the next that is needed: not for @place. */
		neighbours = anon_aligned(_metadata, NEIGHBOURS * HUGE_PAGE);
		for (j = 0; j < NEIGHBOURS; j++)
			memset(neighbours + j * HUGE_PAGE, 0x40 | j, PAGE);
		ASSERT_EQ(place, mmap(place, HUGE_PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS |
				      MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0));
		memset(place, 0x80 | i, PAGE);
		ASSERT_EQ(sva_fnv1a(place, PAGE),
			  run_ok(&self->q, sva_checksum(place, PAGE)).value);
		for (j = 0; j < NEIGHBOURS; j++)
			ASSERT_EQ(-1, differs(neighbours + j * HUGE_PAGE, PAGE, 0x40 | j));
		ASSERT_EQ(0, munmap(neighbours, NEIGHBOURS * HUGE_PAGE));
	}
}

TEST_F(invalidate, fresh_top_level_slots_come_and_go)
{
	uintptr_t slot_size = 1UL << 39, slot;

	/* One page in each of many 512 GiB slots that the process did not use before. */
	for (slot = 20; slot < 60; slot++) {
		__u8 *page = mmap((void *)(slot * slot_size), PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		ASSERT_NE(MAP_FAILED, page);
		/* Half of them are touched by the CPU first. */
		if (slot & 1)
			page[8] = 1;
		run_ok(&self->q, sva_fill(page, 8, slot));
		ASSERT_EQ(-1, differs(page, 8, slot));
		ASSERT_EQ(0, munmap(page, PAGE));
		refused(&self->q, sva_fill(page, 8, 1));
	}
}

struct shaker {
	__u8 *memory;
	size_t len;
	bool stop;
};

static void *shake(void *arg)
{
	struct shaker *shaker = arg;

	while (!__atomic_load_n(&shaker->stop, __ATOMIC_RELAXED)) {
		madvise(shaker->memory, shaker->len, MADV_COLLAPSE);
		madvise(shaker->memory, shaker->len, MADV_PAGEOUT);
		sva_write_text("/proc/sys/vm/compact_memory", "1");
	}
	return NULL;
}

TEST_F(invalidate, pages_that_move_lose_no_write)
{
	struct shaker shaker = { .len = env_has_room() ? HUGE_PAGE : HUGETLB_PAGE };
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	__u64 before[HOT_PAGES], after[HOT_PAGES];
	size_t pages = shaker.len / PAGE < HOT_PAGES ? shaker.len / PAGE : HOT_PAGES;
	pthread_t thread;
	int moves = 0;
	__u8 i;

	shaker.memory = anon_aligned(_metadata, HUGE_PAGE);
	run_ok(&self->q, sva_fill(shaker.memory, shaker.len, 0xff));
	ASSERT_EQ(0, pthread_create(&thread, NULL, shake, &shaker));
	/* Until most pages that are looked at have moved under twelve fills */
	for (i = 0; moves < 12 && sva_now_ms() < end; i++) {
		frames_of(shaker.memory, pages, before);
		run_ok(&self->q, sva_fill(shaker.memory, shaker.len, i));
		ASSERT_EQ(-1, differs(shaker.memory, shaker.len, i));
		frames_of(shaker.memory, pages, after);
		moves += frames_in_common(before, after, pages) < pages / 2;
	}
	__atomic_store_n(&shaker.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(12, moves);
}

#define KSM	"/sys/kernel/mm/ksm/"

TEST_F(invalidate, merged_pages_part_when_the_device_writes)
{
	__u8 *a = anon(HOT_LEN), *b = anon(HOT_LEN);
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	int i;

	pattern(a, PAGE, 1);
	for (i = 0; i < 64; i++) {
		memcpy(a + i * PAGE, a, PAGE);
		memcpy(b + i * PAGE, a, PAGE);
	}
	/* The device has both ranges writable when they are merged. */
	run_ok(&self->q, sva_copy(a, b, HOT_LEN));
	run_ok(&self->q, sva_copy(b, a, HOT_LEN));
	ASSERT_EQ(0, madvise(a, HOT_LEN, MADV_MERGEABLE));
	ASSERT_EQ(0, madvise(b, HOT_LEN, MADV_MERGEABLE));
	ASSERT_EQ(0, sva_write_text(KSM "sleep_millisecs", "1"));
	ASSERT_EQ(0, sva_write_text(KSM "pages_to_scan", "4096"));
	ASSERT_EQ(0, sva_write_text(KSM "run", "1"));
	while (read_number(KSM "pages_sharing") < 120 && sva_now_ms() < end)
		sva_relax();
	EXPECT_LE(120, read_number(KSM "pages_sharing"));
	ASSERT_EQ(0, sva_write_text(KSM "run", "0"));

	run_ok(&self->q, sva_fill(a, HOT_LEN, 0x19));
	EXPECT_EQ(-1, differs(a, HOT_LEN, 0x19));
	for (i = 0; i < 64; i++)
		EXPECT_EQ(-1, differs_from_pattern(b + i * PAGE, PAGE, 1));
	EXPECT_EQ(0, sva_write_text(KSM "run", "2"));
}

/*
 * Mappings come and go at random while two devices write. They write words to a slot of the arena
 * that name the slot and the round: a write through a stale translation puts a foreign word into a
 * slot, a late one a word of a round that is over, and one that is lost leaves a gap.
 */
#define CHURN_SLOTS	32
#define CHURN_SLOT_LEN	(8 * PAGE)
#define CHURN_WORDS	(CHURN_SLOT_LEN / 8)
#define CHURN_JOBS	200

struct churn_slot {
	__u64 *memory;
	__u32 changes;		/* of the mapping or the memory, by the process */
	__u32 oldest;		/* earlier rounds were over when the slot was last overwritten */
};

struct churner {
	pthread_mutex_t lock;	/* of the mappings, and slot.changes */
	struct churn_slot slot[CHURN_SLOTS];
	__u32 round;		/* the jobs of all earlier ones have ended */
	bool stop;
	int wrong;
};

static __u64 churn_word(__u32 slot, __u32 round)
{
	return (__u64)round << 32 | (slot + 1);
}

/* Each word is zero, or one of this slot and of a round that it may be of. */
static bool slot_is_clean(struct churner *churner, __u32 slot)
{
	struct churn_slot *s = &churner->slot[slot];
	__u64 word;
	size_t i;

	for (i = 0; i < CHURN_WORDS; i++) {
		word = *(volatile __u64 *)&s->memory[i];
		if (word && ((__u32)word != slot + 1 || word >> 32 < s->oldest ||
			     word >> 32 > __atomic_load_n(&churner->round, __ATOMIC_SEQ_CST)))
			return false;
	}
	return true;
}

static void overwrite_slot(struct churner *churner, __u32 slot)
{
	struct churn_slot *s = &churner->slot[slot];
	size_t i;

	s->oldest = __atomic_load_n(&churner->round, __ATOMIC_SEQ_CST);
	for (i = 0; i < CHURN_WORDS; i++)
		s->memory[i] = churn_word(slot, s->oldest);
}

static void change_slot(struct churner *churner, __u32 slot, __u32 how)
{
	void *memory = churner->slot[slot].memory;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	switch (how) {
	case 0:
		munmap(memory, CHURN_SLOT_LEN);
		mmap(memory, CHURN_SLOT_LEN, RW, flags, -1, 0);
		break;
	case 1:
		madvise(memory, CHURN_SLOT_LEN, MADV_DONTNEED);
		break;
	case 2:
		mprotect(memory, CHURN_SLOT_LEN, PROT_READ);
		churner->wrong += !slot_is_clean(churner, slot);
		mprotect(memory, CHURN_SLOT_LEN, RW);
		break;
	case 3:
		overwrite_slot(churner, slot);
		break;
	default:
		mmap(memory, CHURN_SLOT_LEN, RW, flags, -1, 0);
	}
}

static void *churn(void *arg)
{
	struct churner *churner = arg;
	__u32 seed = 20241117;

	while (!__atomic_load_n(&churner->stop, __ATOMIC_SEQ_CST)) {
		__u32 slot = next_random(&seed) % CHURN_SLOTS;
		__u32 how = next_random(&seed) % 6;

		if (how == 5) {
			churner->wrong += !slot_is_clean(churner, slot);
			continue;
		}
		pthread_mutex_lock(&churner->lock);
		churner->slot[slot].changes++;
		change_slot(churner, slot, how);
		pthread_mutex_unlock(&churner->lock);
	}
	return NULL;
}

/* A job on a slot. */
struct churn_job {
	__u32 slot;
	__u32 changes;		/* as they were before */
};

static void churn_submit(struct churner *churner, struct sva_queue *q, struct churn_job *cj,
			 __u32 *seed)
{
	struct sva_job job = { .op = SVA_DMA_OP_FILL, .len = CHURN_SLOT_LEN };

	cj->slot = next_random(seed) % CHURN_SLOTS;
	pthread_mutex_lock(&churner->lock);
	cj->changes = churner->slot[cj->slot].changes;
	pthread_mutex_unlock(&churner->lock);
	job.dst = (uintptr_t)churner->slot[cj->slot].memory;
	job.arg0 = churn_word(cj->slot, churner->round);
	job.op |= sva_group(1 + next_random(seed) % 8);
	sva_submit(q, &job);
}

/* Was the job undisturbed from before it began until now; and if so, is all there? */
static bool churn_look(struct churner *churner, const struct churn_job *cj, bool *lost)
{
	const struct churn_slot *s = &churner->slot[cj->slot];
	bool alone;
	size_t i;

	/* While it is held the memory is there. */
	pthread_mutex_lock(&churner->lock);
	alone = s->changes == cj->changes;
	for (i = 0; alone && i < CHURN_WORDS; i++)
		*lost |= s->memory[i] != churn_word(cj->slot, churner->round);
	pthread_mutex_unlock(&churner->lock);
	return alone;
}

TEST_F(invalidate, churn_of_mappings_under_two_devices)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	struct churner churner = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct churn_job job[2];
	struct sva_result result;
	struct sva_queue q[2];
	pthread_t thread;
	__u32 seed = 99;
	int i, done = 0, looked = 0;
	bool lost = false;
	__u8 *arena;

	arena = anon(CHURN_SLOTS * CHURN_SLOT_LEN);
	for (i = 0; i < CHURN_SLOTS; i++)
		churner.slot[i].memory = (__u64 *)(arena + i * CHURN_SLOT_LEN);
	for (i = 0; i < 2; i++)
		start(&q[i], &self->env.sva[i]);
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &churner));
	/* Until enough jobs have completed, and enough of those were undisturbed */
	while ((done < CHURN_JOBS || looked < CHURN_JOBS / 10) && sva_now_ms() < end) {
		__atomic_add_fetch(&churner.round, 1, __ATOMIC_SEQ_CST);
		for (i = 0; i < 2; i++)
			churn_submit(&churner, &q[i], &job[i], &seed);
		for (i = 0; i < 2; i++) {
			result = sva_wait(&q[i]);
			ASSERT_TRUE(result.status == SVA_DMA_DONE || is_refusal(result.status)) {
				TH_LOG("%s", sva_status_name(result.status));
			}
			if (result.status != SVA_DMA_DONE)
				continue;
			done++;
			looked += churn_look(&churner, &job[i], &lost);
		}
	}
	__atomic_store_n(&churner.stop, true, __ATOMIC_SEQ_CST);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_LE(CHURN_JOBS, done);
	EXPECT_LE(CHURN_JOBS / 10, looked);
	EXPECT_FALSE(lost);
	EXPECT_EQ(0, churner.wrong);
	for (i = 0; i < CHURN_SLOTS; i++)
		EXPECT_TRUE(slot_is_clean(&churner, i));
	for (i = 0; i < 2; i++)
		sva_close(&q[i]);
}
