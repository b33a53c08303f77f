// SPDX-License-Identifier: GPL-2.0-only
/* The device reads and writes every kind of anonymous memory, by virtual address. */

FIXTURE(memory) {
	struct sva_env env;
	struct sva_queue q;
};

FIXTURE_SETUP(memory)
{
	env_setup(_metadata, &self->env);
	start(&self->q, &self->env.sva[0]);
}

FIXTURE_TEARDOWN(memory)
{
	sva_close(&self->q);
	env_teardown(_metadata, &self->env);
}

TEST_F(memory, untouched_heap_reads_as_zero)
{
	size_t len = 4 * MiB, i;
	__u64 served = counter(_metadata, &self->q, env_served(&self->env));
	__u8 *heap = malloc(len);
	struct sva_result result;
	__u64 zeros = 0xcbf29ce484222325ULL;

	ASSERT_NE(NULL, heap);
	for (i = 0; i < len; i++)
		zeros *= 0x100000001b3ULL;
	result = run_ok(&self->q, sva_checksum(heap, len));
	EXPECT_EQ(zeros, result.value);
	EXPECT_LT(served, counter(_metadata, &self->q, env_served(&self->env)));
	free(heap);
}

TEST_F(memory, untouched_heap_takes_the_devices_bytes)
{
	size_t len = 4 * MiB;
	__u64 served = counter(_metadata, &self->q, env_served(&self->env));
	__u8 *heap = malloc(len);

	ASSERT_NE(NULL, heap);
	run_ok(&self->q, sva_fill(heap, len, 0x5a));
	EXPECT_EQ(-1, differs(heap, len, 0x5a));
	/* Each page is there because it was asked for, and asked for alone. */
	EXPECT_LE(served + len / PAGE / 2, counter(_metadata, &self->q, env_served(&self->env)));
	free(heap);
}

TEST_F(memory, device_that_streams_needs_few_requests)
{
	size_t len = 16 * MiB;
	__u64 served = counter(_metadata, &self->q, env_served(&self->env));
	long ahead = iopf_count(&self->env.sva[0], "ahead");
	__u8 *mem = anon(len);

	env_fault_around("64");
	EXPECT_EQ(0, without_huge_pages(mem, len));
	run_ok(&self->q, sva_fill(mem, len, 0x3c));
	EXPECT_EQ(-1, differs(mem, len, 0x3c));
	/* Once for 65 pages, and the requests until windows are that large, or are so again */
	EXPECT_GE(served + len / PAGE / 65 + 64,
		  counter(_metadata, &self->q, env_served(&self->env)));
	EXPECT_LT(ahead + (long)(len / PAGE / 2), iopf_count(&self->env.sva[0], "ahead"));
}

TEST_F(memory, brk_heap_is_shared)
{
	size_t len = 64 * KiB;
	__u8 *heap = sbrk(len);

	ASSERT_NE((void *)-1, heap);
	run_ok(&self->q, sva_fill(heap, len, 0x11));
	EXPECT_EQ(-1, differs(heap, len, 0x11));
	pattern(heap, len, 7);
	EXPECT_EQ(sva_fnv1a(heap, len), run_ok(&self->q, sva_checksum(heap, len)).value);
}

TEST_F(memory, stack_is_shared)
{
	__u8 array[3 * PAGE];

	pattern(array, sizeof(array), 3);
	EXPECT_EQ(sva_fnv1a(array, sizeof(array)),
		  run_ok(&self->q, sva_checksum(array, sizeof(array))).value);
	run_ok(&self->q, sva_fill(array, sizeof(array), 0x77));
	EXPECT_EQ(-1, differs(array, sizeof(array), 0x77));
}

TEST_F(memory, program_text_is_readable)
{
	const void *text = (void *)((uintptr_t)sva_fnv1a & ~(PAGE - 1));

	EXPECT_EQ(sva_fnv1a(text, PAGE), run_ok(&self->q, sva_checksum(text, PAGE)).value);
}

TEST_F(memory, copy_brings_every_byte_to_untouched_memory)
{
	size_t len = 1 * MiB;
	__u8 *src = anon(len), *dst = anon(len);

	pattern(src, len, 42);
	run_ok(&self->q, sva_copy(dst, src, len));
	EXPECT_EQ(-1, differs_from_pattern(dst, len, 42));
	EXPECT_EQ(-1, differs_from_pattern(src, len, 42));
}

TEST_F(memory, unaligned_copy_touches_nothing_else)
{
	size_t len = 3 * PAGE + 77;
	__u8 *src = anon(5 * PAGE), *dst = anon(6 * PAGE);
	__u8 *to = dst + PAGE - 5;

	memset(dst, 0xee, 6 * PAGE);
	pattern(src + 13, len, 9);
	run_ok(&self->q, sva_copy(to, src + 13, len));
	EXPECT_EQ(-1, differs(dst, to - dst, 0xee));
	EXPECT_EQ(-1, differs_from_pattern(to, len, 9));
	EXPECT_EQ(-1, differs(to + len, dst + 6 * PAGE - (to + len), 0xee));
}

TEST_F(memory, write_after_read_of_an_untouched_page)
{
	__u8 *page = anon(PAGE), *other = anon(PAGE);

	/* Both read as the shared zero page; only one is written. */
	run_ok(&self->q, sva_checksum(page, PAGE));
	run_ok(&self->q, sva_checksum(other, PAGE));
	run_ok(&self->q, sva_fill(page, PAGE, 0xa5));
	EXPECT_EQ(-1, differs(page, PAGE, 0xa5));
	EXPECT_EQ(-1, differs(other, PAGE, 0));
	EXPECT_EQ(-1, differs(anon(PAGE), PAGE, 0));
}

TEST_F(memory, cpu_and_device_see_each_others_writes_at_once)
{
	volatile __u64 *word = (volatile __u64 *)anon(PAGE);
	__u64 i;

	for (i = 1; i <= 300; i++) {
		word[0] = i;
		run_ok(&self->q, sva_copy((void *)&word[8], (void *)&word[0], 8));
		ASSERT_EQ(i, word[8]);
	}
}

TEST_F(memory, shared_anonymous_memory_reaches_the_other_process)
{
	size_t len = 256 * KiB;
	__u8 *shared = mmap(ANYWHERE, len, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;
	int status;

	ASSERT_NE(MAP_FAILED, shared);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;

		while (*(volatile __u8 *)(shared + len - 1) != 0x3c && sva_now_ms() < end)
			sva_relax();
		_exit(differs(shared, len, 0x3c) == -1 ? 0 : 1);
	}
	run_ok(&self->q, sva_fill(shared, len, 0x3c));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(memory, hugetlb_pages)
{
	size_t len = 4 * HUGETLB_PAGE;
	__u8 *huge = mmap(ANYWHERE, len, RW,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);

	if (huge == MAP_FAILED)
		SKIP(return, NO_HUGE_POOL);
	run_ok(&self->q, sva_fill(huge, len, 0x21));
	EXPECT_EQ(-1, differs(huge, len, 0x21));
	/* With larger pages it is contiguous ones, which the IOMMU need not take together. */
	if (PAGE == 4 * KiB)
		EXPECT_ATC_ENTRIES(&self->env, &self->q, huge, len, len / HUGETLB_PAGE);
	pattern(huge + HUGETLB_PAGE, HUGETLB_PAGE, 5);
	EXPECT_EQ(sva_fnv1a(huge, 2 * HUGETLB_PAGE),
		  run_ok(&self->q, sva_checksum(huge, 2 * HUGETLB_PAGE)).value);
	munmap(huge, len);
	refused(&self->q, sva_fill(huge, 8, 0));
}

TEST_F(memory, transparent_huge_page_comes_by_one_request)
{
	__u8 *huge = anon_aligned(_metadata, 2 * HUGE_PAGE);
	__u64 before;

	if (!env_has_huge_pages())
		SKIP(return, NO_HUGE_PAGES);
	if (!env_has_room())
		SKIP(return, NO_ROOM);
	ASSERT_EQ(0, madvise(huge, 2 * HUGE_PAGE, MADV_HUGEPAGE));
	before = counter(_metadata, &self->q, env_served(&self->env));
	run_ok(&self->q, sva_fill(huge, HUGE_PAGE, 0x42));
	EXPECT_EQ(HUGE_PAGE / KiB, smaps_kb(huge, "AnonHugePages"));
	EXPECT_GE(before + 2, counter(_metadata, &self->q, env_served(&self->env)));
	EXPECT_EQ(-1, differs(huge, HUGE_PAGE, 0x42));
	EXPECT_ATC_ENTRIES(&self->env, &self->q, huge, HUGE_PAGE, 1);
	EXPECT_EQ(-1, differs(huge + HUGE_PAGE, HUGE_PAGE, 0));
}

TEST_F(memory, small_pages_collapse_under_the_device)
{
	__u8 *huge = anon_aligned(_metadata, HUGE_PAGE);
	__u8 i;

	if (!env_has_huge_pages())
		SKIP(return, NO_HUGE_PAGES);
	if (!env_has_room())
		SKIP(return, NO_ROOM);
	run_ok(&self->q, sva_fill(huge, HUGE_PAGE, 1));
	for (i = 2; i < 12; i++) {
		/* The contents move to a huge page, then that is split again. */
		ASSERT_EQ(0, madvise(huge, HUGE_PAGE, MADV_COLLAPSE));
		EXPECT_EQ(HUGE_PAGE / KiB, smaps_kb(huge, "AnonHugePages"));
		EXPECT_EQ(-1, differs(huge, HUGE_PAGE, i - 1));
		run_ok(&self->q, sva_fill(huge, HUGE_PAGE, i));
		EXPECT_EQ(-1, differs(huge, HUGE_PAGE, i));
		EXPECT_ATC_ENTRIES(&self->env, &self->q, huge, HUGE_PAGE, 1);
		ASSERT_EQ(0, mprotect(huge + 5 * PAGE, PAGE, PROT_READ));
		ASSERT_EQ(0, mprotect(huge + 5 * PAGE, PAGE, RW));
	}
}

TEST_F(memory, huge_page_splits_under_the_device)
{
	__u8 *huge = anon_aligned(_metadata, HUGE_PAGE);
	__u8 *hole = huge + 100 * PAGE;

	if (!env_has_huge_pages())
		SKIP(return, NO_HUGE_PAGES);
	if (!env_has_room())
		SKIP(return, NO_ROOM);
	ASSERT_EQ(0, madvise(huge, HUGE_PAGE, MADV_HUGEPAGE));
	run_ok(&self->q, sva_fill(huge, HUGE_PAGE, 0x10));
	EXPECT_ATC_ENTRIES(&self->env, &self->q, huge, HUGE_PAGE, 1);
	ASSERT_EQ(0, mprotect(hole, PAGE, PROT_READ));
	EXPECT_ATC_ENTRIES(&self->env, &self->q, huge, HUGE_PAGE, HUGE_PAGE / PAGE);

	refused(&self->q, sva_fill(hole, PAGE, 0x20));
	run_ok(&self->q, sva_fill(huge, hole - huge, 0x20));
	run_ok(&self->q, sva_fill(hole + PAGE, huge + HUGE_PAGE - hole - PAGE, 0x20));
	EXPECT_EQ(-1, differs(huge, hole - huge, 0x20));
	EXPECT_EQ(-1, differs(hole, PAGE, 0x10));
	EXPECT_EQ(-1, differs(hole + PAGE, huge + HUGE_PAGE - hole - PAGE, 0x20));
}

TEST_F(memory, sixty_four_megabytes_in_groups_of_32_pages)
{
	size_t len = 64 * MiB;
	__u64 groups = counter(_metadata, &self->q, SVA_DMA_CNT_PRI_GROUPS);
	__u64 pages = counter(_metadata, &self->q, SVA_DMA_CNT_PRI_REQUESTS);
	struct sva_job job = sva_fill(anon(len), len, 0x66);
	__u8 *memory = (__u8 *)job.dst;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	job.op |= sva_group(32);
	run_ok(&self->q, job);
	EXPECT_EQ(-1, differs(memory, len, 0x66));
	groups = counter(_metadata, &self->q, SVA_DMA_CNT_PRI_GROUPS) - groups;
	pages = counter(_metadata, &self->q, SVA_DMA_CNT_PRI_REQUESTS) - pages;
	EXPECT_LT(groups, len / DMA_PAGE / 16);
	EXPECT_LE(pages, groups * 32);
}

TEST_F(memory, sparse_access_brings_only_what_it_touches)
{
	size_t len = 64 * MiB, step = 64 * PAGE, at;
	struct sva_job job = sva_fill(anon(len), len, 0x18);
	__u8 *memory = (__u8 *)job.dst;

	job.step = step;
	run_ok(&self->q, job);
	for (at = 0; at < len; at += step) {
		ASSERT_EQ(-1, differs(memory + at, 8, 0x18));
		ASSERT_EQ(-1, differs(memory + at + 8, PAGE - 8, 0));
	}
}

TEST_F(memory, random_access_over_sixty_four_megabytes)
{
	size_t words = 64 * MiB / 8;
	__u64 *memory = (__u64 *)anon(64 * MiB);
	__u32 seed = 1234, again = 1234;
	int i;

	for (i = 0; i < 400; i++) {
		__u64 *word = &memory[next_random(&seed) % words];

		/* This shows a place that was used twice. */
		ASSERT_EQ(0, *word);
		run_ok(&self->q, sva_fill(word, 8, 1 + i % 255));
		ASSERT_EQ(-1, differs(word, 8, 1 + i % 255));
	}
	/* Nothing that was written later has hit what was written before. */
	for (i = 0; i < 400; i++)
		ASSERT_EQ(-1, differs(&memory[next_random(&again) % words], 8, 1 + i % 255));
}

struct adder {
	__u64 *word;
	__u64 added;
	bool stop;
};

static void *add_on_cpu(void *arg)
{
	struct adder *adder = arg;

	while (!__atomic_load_n(&adder->stop, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(adder->word, 1, __ATOMIC_SEQ_CST);
		adder->added++;
		if (!(adder->added % 4))
			sva_relax();
	}
	return NULL;
}

TEST_F(memory, compare_and_swap_is_atomic_against_the_cpu)
{
	struct adder adder = { .word = (__u64 *)anon(PAGE) };
	__u64 won = 0, seen = 0;
	pthread_t thread;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, add_on_cpu, &adder));
	for (i = 0; i < 5000 && won < 100; i++) {
		__u64 old = run_ok(&self->q, sva_cas(adder.word, seen, seen + 1)).value;

		won += old == seen;
		seen = old == seen ? seen + 1 : old;
	}
	__atomic_store_n(&adder.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_LT(0, won);
	EXPECT_EQ(adder.added + won, *adder.word);
}

TEST_F(memory, locked_memory_needs_no_page_request)
{
	size_t len = 512 * KiB;
	__u8 *memory = anon(len);
	__u32 no_pri = SVA_DMA_CHAN_NO_PRI;
	__u64 before;
	struct sva_queue q;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	ASSERT_EQ(0, mlock(memory, len));
	ASSERT_EQ(0, sva_open(&q, &self->env.sva[0]));
	ASSERT_EQ(0, ioctl(q.fd, SVA_DMA_IOC_FLAGS, &no_pri));
	ASSERT_EQ(0, sva_start(&q));
	before = counter(_metadata, &q, SVA_DMA_CNT_PRI_REQUESTS);
	run_ok(&q, sva_fill(memory, len, 0x0d));
	EXPECT_EQ(-1, differs(memory, len, 0x0d));
	EXPECT_EQ(before, counter(_metadata, &q, SVA_DMA_CNT_PRI_REQUESTS));

	/* The same channel may not ask for missing pages. */
	refused(&q, sva_fill(anon(PAGE), PAGE, 1));
	sva_close(&q);
}

/* More pages than CPUs keep for themselves before they can be found and swapped out. */
#define SWAP_LEN	(128 * PAGE)

TEST_F(memory, pages_come_back_from_swap)
{
	size_t len = SWAP_LEN;
	__u8 *memory = anon(len);

	if (!env_has_swap())
		SKIP(return, NO_SWAP);
	pattern(memory, len, 21);
	ASSERT_EQ(0, madvise(memory, len, MADV_PAGEOUT));
	ASSERT_LT(0, smaps_kb(memory, "Swap"));
	EXPECT_EQ(run_ok(&self->q, sva_checksum(memory, len)).value, sva_fnv1a(memory, len));
	EXPECT_EQ(-1, differs_from_pattern(memory, len, 21));
}

TEST_F(memory, what_the_device_wrote_survives_swapping)
{
	size_t len = SWAP_LEN;
	__u8 *memory = anon(len);
	__u8 i;

	if (!env_has_swap())
		SKIP(return, NO_SWAP);
	/*
	 * From the second round on, pages come clean from swap, are read first, and only then
	 * written: without the dirty bit the old copy in swap would come back.
	 */
	for (i = 1; i < 8; i++) {
		run_ok(&self->q, sva_checksum(memory, len));
		run_ok(&self->q, sva_fill(memory, len, i));
		ASSERT_EQ(0, madvise(memory, len, MADV_PAGEOUT));
		ASSERT_EQ(-1, differs(memory, len, i));
		ASSERT_EQ(0, madvise(memory, len, MADV_PAGEOUT));
	}
	EXPECT_LT(0, smaps_kb(memory, "Swap"));
}
