// SPDX-License-Identifier: GPL-2.0-only
/* Addresses the device may not touch, and page faults that take a special course. */

FIXTURE(faults) {
	struct sva_env env;
	struct sva_queue q;
};

FIXTURE_SETUP(faults)
{
	env_setup(_metadata, &self->env);
	start(&self->q, &self->env.sva[0]);
}

FIXTURE_TEARDOWN(faults)
{
	/* A refusal has no lasting effect: the device goes on working. */
	run_ok(&self->q, sva_fill(anon(PAGE), PAGE, 1));
	sva_close(&self->q);
	env_teardown(_metadata, &self->env);
}

TEST_F(faults, unmapped_address_is_refused)
{
	__u8 *gone = anon(PAGE);

	munmap(gone, PAGE);
	EXPECT_EQ(0, refused(&self->q, sva_fill(gone, 8, 1)).bytes);
	EXPECT_EQ(0, refused(&self->q, sva_checksum(gone, 8)).bytes);
}

TEST_F(faults, null_page_is_refused)
{
	refused(&self->q, sva_fill(NULL, 8, 1));
	refused(&self->q, sva_checksum((void *)8, 8));
}

/*
 * The kernel's half has 256 top-level slots: the device sees none of them. No translation request
 * fails: the device hears that nothing is there, and asks for the page.
 */
TEST_F(faults, every_kernel_slot_is_refused)
{
	__u64 errors = counter(_metadata, &self->q, SVA_DMA_CNT_ATS_ERRORS);
	__u64 slot, address;

	for (slot = 256; slot < 512; slot++) {
		address = 0xffff000000000000ULL | slot << 39;
		EXPECT_EQ(0, refused(&self->q, sva_checksum((void *)address, 8)).bytes);
	}
	/* Image, direct map and vmalloc space at their usual places. */
	refused(&self->q, sva_fill((void *)0xffffffff81000000ULL, 8, 1));
	refused(&self->q, sva_fill((void *)0xffff888000100000ULL, 8, 1));
	refused(&self->q, sva_fill((void *)0xffffc90000000000ULL, 8, 1));
	EXPECT_EQ(0, refused(&self->q, sva_checksum((void *)~7ULL, 8)).bytes);
	EXPECT_EQ(errors, counter(_metadata, &self->q, SVA_DMA_CNT_ATS_ERRORS));
}

TEST_F(faults, non_canonical_address_is_refused)
{
	int bit;

	for (bit = 47; bit < 63; bit++)
		EXPECT_EQ(0, refused(&self->q, sva_checksum((void *)(1ULL << bit), 8)).bytes);
	EXPECT_EQ(0, refused(&self->q, sva_fill((void *)0xfffeffffffff0000ULL, 8, 1)).bytes);
}

TEST_F(faults, write_to_read_only_memory_is_refused)
{
	__u8 *memory = anon(4 * PAGE);

	memset(memory, 0x2a, 4 * PAGE);
	ASSERT_EQ(0, mprotect(memory, 4 * PAGE, PROT_READ));
	EXPECT_EQ(0, refused(&self->q, sva_fill(memory, 4 * PAGE, 0xff)).bytes);
	refused(&self->q, sva_cas(memory, 0x2a2a2a2a2a2a2a2aULL, 0));
	EXPECT_EQ(-1, differs(memory, 4 * PAGE, 0x2a));
	EXPECT_EQ(sva_fnv1a(memory, PAGE), run_ok(&self->q, sva_checksum(memory, PAGE)).value);
}

TEST_F(faults, write_to_program_text_is_refused)
{
	__u64 sum = sva_fnv1a((void *)sva_fnv1a, 64);

	refused(&self->q, sva_fill((void *)((uintptr_t)sva_fnv1a & ~7UL), 8, 0xcc));
	EXPECT_EQ(sum, sva_fnv1a((void *)sva_fnv1a, 64));
}

TEST_F(faults, inaccessible_memory_is_refused_and_not_populated)
{
	__u8 *memory = anon_at(_metadata, 16 * PAGE, PROT_NONE);

	refused(&self->q, sva_checksum(memory, 16 * PAGE));
	refused(&self->q, sva_fill(memory, 16 * PAGE, 1));
	EXPECT_EQ(0, smaps_kb(memory, "Rss"));
}

TEST_F(faults, execute_request_for_data_is_refused)
{
	__u8 *memory = anon(PAGE);
	struct sva_job job = sva_checksum(memory, 8);

	memory[0] = 0xc3;
	job.op |= SVA_DMA_OP_EXEC;
	refused(&self->q, job);
}

/*
 * VT-d's entries grant none, and AMD's driver enables PASIDs without it: a device that is told of
 * the page would ask again, for ever.
 */
TEST_F(faults, execute_request_for_code_is_refused_by_an_iommu_that_grants_none)
{
	__u8 *memory = anon_at(_metadata, PAGE, RW | PROT_EXEC);
	struct sva_job job = sva_checksum(memory, 8);
	/* A function whose PASID capability does not permit it does not even ask. */
	const __u64 asks = !env_has_amd();
	__u64 served, refusals;

	job.op |= SVA_DMA_OP_EXEC;
	if (env_has_smmu()) {
		run_ok(&self->q, sva_checksum(memory, 8));
		return;
	}
	served = counter(_metadata, &self->q, SVA_DMA_CNT_PRI_SUCCESS);
	refusals = counter(_metadata, &self->q, SVA_DMA_CNT_PRI_INVALID);
	refused(&self->q, job);
	EXPECT_EQ(served, counter(_metadata, &self->q, SVA_DMA_CNT_PRI_SUCCESS));
	EXPECT_EQ(refusals + asks, counter(_metadata, &self->q, SVA_DMA_CNT_PRI_INVALID));
	run_ok(&self->q, sva_checksum(memory, 8));
}

TEST_F(faults, privileged_request_is_refused)
{
	struct sva_job job = sva_checksum(anon(PAGE), 8);

	job.op |= SVA_DMA_OP_PRIV;
	refused(&self->q, job);
}

TEST_F(faults, job_stops_exactly_where_the_mapping_ends)
{
	__u8 *memory = anon(16 * PAGE);
	struct sva_result result;

	munmap(memory + 8 * PAGE, PAGE);
	result = refused(&self->q, sva_fill(memory, 16 * PAGE, 0x4a));
	EXPECT_EQ(8 * PAGE, result.bytes);
	EXPECT_EQ((uintptr_t)memory + 8 * PAGE, result.fault_addr);
	EXPECT_EQ(-1, differs(memory, 8 * PAGE, 0x4a));
	EXPECT_EQ(-1, differs(memory + 9 * PAGE, 7 * PAGE, 0));
}

TEST_F(faults, group_that_reaches_past_the_mapping_is_refused_as_a_whole)
{
	__u8 *memory = anon(16 * PAGE);
	struct sva_job job = sva_fill(memory, 16 * PAGE, 0x4b);
	struct sva_result result;

	munmap(memory + 8 * PAGE, 8 * PAGE);
	job.op |= sva_group(16);
	result = refused(&self->q, job);
	EXPECT_GE(8 * PAGE, result.bytes);
	/* Page by page, the device can access the pages that are there. */
	run_ok(&self->q, sva_fill(memory, 8 * PAGE, 0x4c));
	EXPECT_EQ(-1, differs(memory, 8 * PAGE, 0x4c));
}

static uintptr_t stack_start(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from = 0;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (strstr(line, "[stack]"))
			break;
		line[0] = '\0';
	}
	if (maps)
		fclose(maps);
	return sscanf(line, "%lx-", &from) == 1 ? from : 0;
}

TEST_F(faults, stack_grows_under_the_device)
{
	uintptr_t bottom = stack_start();
	__u8 *below = (__u8 *)(bottom - 64 * KiB);

	ASSERT_NE(0, bottom);
	run_ok(&self->q, sva_fill(below, 8, 0x61));
	EXPECT_GE((uintptr_t)below, stack_start());
	EXPECT_EQ(-1, differs(below, 8, 0x61));
}

TEST_F(faults, stack_does_not_grow_past_its_limit)
{
	struct rlimit limit = { .rlim_cur = 1 * MiB, .rlim_max = 1 * MiB };
	uintptr_t bottom = stack_start();

	ASSERT_NE(0, bottom);
	ASSERT_EQ(0, setrlimit(RLIMIT_STACK, &limit));
	refused(&self->q, sva_fill((void *)(bottom - 2 * MiB), 8, 0x62));
	EXPECT_EQ(bottom, stack_start());
}

struct supplier {
	int fd;
	__u8 *page;
	int pages;
	int served;
};

/* Supplies each missing page of a userfaultfd range with the contents of one page. */
static void *supply(void *arg)
{
	struct supplier *supplier = arg;
	struct pollfd ready = { .fd = supplier->fd, .events = POLLIN };

	while (supplier->served < supplier->pages && poll(&ready, 1, SVA_TIMEOUT_MS) == 1) {
		struct uffdio_copy copy = { .src = (uintptr_t)supplier->page, .len = PAGE };
		struct uffd_msg msg;

		if (read(supplier->fd, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			break;
		copy.dst = msg.arg.pagefault.address & ~(PAGE - 1);
		if (!ioctl(supplier->fd, UFFDIO_COPY, &copy))
			supplier->served++;
	}
	return NULL;
}

static int uffd_register(struct __test_metadata *_metadata, void *memory, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)memory, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(fd, UFFDIO_REGISTER, &range));
	return fd;
}

TEST_F(faults, userfaultfd_supplies_the_pages_the_device_asks_for)
{
	struct supplier supplier = { .pages = 16 };
	__u8 *memory = anon(16 * PAGE), *copy = anon(16 * PAGE);
	pthread_t thread;
	int i;

	supplier.page = anon(PAGE);
	pattern(supplier.page, PAGE, 31);
	supplier.fd = uffd_register(_metadata, memory, 16 * PAGE);
	ASSERT_EQ(0, pthread_create(&thread, NULL, supply, &supplier));
	run_ok(&self->q, sva_copy(copy, memory, 16 * PAGE));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(16, supplier.served);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(-1, differs_from_pattern(copy + i * PAGE, PAGE, 31));
	close(supplier.fd);
}

TEST_F(faults, many_channels_ask_for_the_same_pages)
{
	__u8 *memory = anon(64 * PAGE);
	struct sva_queue q[8];
	struct sva_job job = sva_fill(memory, 64 * PAGE, 0x71);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(q); i++)
		start(&q[i], &self->env.sva[i & 1]);
	for (i = 0; i < ARRAY_SIZE(q); i++)
		sva_submit(&q[i], &job);
	for (i = 0; i < ARRAY_SIZE(q); i++)
		EXPECT_EQ(SVA_DMA_DONE, sva_wait(&q[i]).status);
	EXPECT_EQ(-1, differs(memory, 64 * PAGE, 0x71));
	for (i = 0; i < ARRAY_SIZE(q); i++)
		sva_close(&q[i]);
}

struct mapper {
	bool stop;
	int rounds;
};

/* Takes the mmap lock for writing all the time. */
static void *map_and_unmap(void *arg)
{
	struct mapper *mapper = arg;

	while (!__atomic_load_n(&mapper->stop, __ATOMIC_RELAXED)) {
		void *memory = mmap(ANYWHERE, 16 * PAGE, RW,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		mprotect(memory, PAGE, PROT_READ);
		munmap(memory, 16 * PAGE);
		mapper->rounds++;
	}
	return NULL;
}

TEST_F(faults, pages_are_served_while_the_process_maps_and_unmaps)
{
	struct mapper mapper = {};
	size_t len = 2 * MiB;
	__u8 *memory = anon(len);
	pthread_t thread;

	ASSERT_EQ(0, without_huge_pages(memory, len));
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_and_unmap, &mapper));
	run_ok(&self->q, sva_fill(memory, len, 0x72));
	__atomic_store_n(&mapper.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-1, differs(memory, len, 0x72));
	EXPECT_LT(0, mapper.rounds);
}

TEST_F(faults, device_registers_are_no_memory)
{
	struct sva_job job = sva_fill((void *)self->q.job, PAGE, 0xff);
	struct sva_result result = sva_run(&self->q, &job);

	/* The mapping is there, but it maps no memory. */
	EXPECT_TRUE(is_refusal(result.status) || result.status == SVA_DMA_ERR_BUS) {
		TH_LOG("%s", sva_status_name(result.status));
	}
	EXPECT_EQ(0, result.bytes);
}

TEST_F(faults, impossible_jobs_are_rejected)
{
	__u8 *memory = anon(PAGE);
	struct sva_job job = sva_fill(memory, 0, 1);

	EXPECT_EQ(SVA_DMA_ERR_OP, sva_run(&self->q, &job).status);
	job = sva_fill(memory, 8, 1);
	job.op = 0xf;
	EXPECT_EQ(SVA_DMA_ERR_OP, sva_run(&self->q, &job).status);
	EXPECT_EQ(-1, differs(memory, PAGE, 0));
}

TEST_F(faults, many_bad_addresses_leave_the_log_quiet)
{
	int i;

	for (i = 0; i < 300; i++)
		refused(&self->q, sva_fill((void *)(PAGE + i * 8UL), 8, 1));
	/* The teardown looks at the log. */
}
