// SPDX-License-Identifier: GPL-2.0-only
/* What a device's faults are charged to, and where they count. */
#define ACCOUNTS_LEN	(4 * MiB)
#define GROUPS		"/sys/fs/cgroup/"
#define GROUP		GROUPS "sva-accounts/"

FIXTURE(accounts) {
	struct sva_env env;
	struct sva_queue q;
};

/* This process, and those it starts, are in a group of their own. */
FIXTURE_SETUP(accounts)
{
	env_setup(_metadata, &self->env);
	ASSERT_EQ(0, sva_write_text(GROUPS "cgroup.subtree_control", "+memory"));
	rmdir(GROUP);	/* what a case that failed has left */
	ASSERT_EQ(0, mkdir(GROUP, 0755));
	ASSERT_EQ(0, sva_write_text(GROUP "cgroup.procs", "0"));
	start(&self->q, &self->env.sva[0]);
}

FIXTURE_TEARDOWN(accounts)
{
	sva_close(&self->q);
	EXPECT_EQ(0, sva_write_text(GROUPS "cgroup.procs", "0"));
	EXPECT_EQ(0, rmdir(GROUP));
	env_teardown(_metadata, &self->env);
}

/* A number of the group's: that in @file, or the one behind @name there. */
static long group_number(const char *file, const char *name)
{
	char path[128], field[64];
	long value, found = -1;
	FILE *numbers;

	snprintf(path, sizeof(path), GROUP "%s", file);
	if (!name)
		return read_number(path);
	numbers = fopen(path, "re");
	while (numbers && fscanf(numbers, "%63s %ld", field, &value) == 2)
		if (!strcmp(field, name))
			found = value;
	if (numbers)
		fclose(numbers);
	return found;
}

TEST_F(accounts, memory_is_charged_to_the_group_of_the_process)
{
	__u8 *memory = anon(ACCOUNTS_LEN);
	long before = group_number("memory.current", NULL);

	ASSERT_LE(0, before);
	run_ok(&self->q, sva_fill(memory, ACCOUNTS_LEN, 0x31));
	EXPECT_LE(before + (long)ACCOUNTS_LEN, group_number("memory.current", NULL));
	munmap(memory, ACCOUNTS_LEN);
}

static int remount_groups(const char *options)
{
	return mount("none", GROUPS, "cgroup2", MS_REMOUNT, options);
}

/* Memory groups count them if the hierarchy is mounted so. */
TEST_F(accounts, hugetlb_page_is_charged_to_the_group_of_the_process)
{
	const size_t len = 2 * HUGETLB_PAGE;
	__u8 *huge = mmap(ANYWHERE, len, RW,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	long before = group_number("memory.current", NULL);

	if (huge == MAP_FAILED)
		SKIP(return, NO_HUGE_POOL);
	ASSERT_EQ(0, remount_groups("memory_hugetlb_accounting"));
	run_ok(&self->q, sva_fill(huge, len, 0x36));
	EXPECT_LE(before + (long)len, group_number("memory.current", NULL));
	EXPECT_EQ(0, remount_groups(""));
	munmap(huge, len);
}

/* Without a reservation by mmap(), each page is reserved for the group when it is allocated. */
TEST_F(accounts, hugetlb_limit_of_the_group_holds_for_the_device_of_its_process)
{
	const size_t len = 2 * HUGETLB_PAGE;
	__u8 *huge;

	ASSERT_EQ(0, sva_write_text(GROUPS "cgroup.subtree_control", "+hugetlb"));
	ASSERT_EQ(0, sva_write_text(GROUP "hugetlb.2MB.max", "2097152"));
	huge = mmap(ANYWHERE, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		    MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	ASSERT_NE(MAP_FAILED, huge);
	run_ok(&self->q, sva_fill(huge, HUGETLB_PAGE, 0x37));
	EXPECT_EQ(HUGETLB_PAGE, group_number("hugetlb.2MB.current", NULL));
	EXPECT_EQ(HUGETLB_PAGE, group_number("hugetlb.2MB.rsvd.current", NULL));
	refused(&self->q, sva_fill(huge + HUGETLB_PAGE, PAGE, 0x37));
	EXPECT_EQ(HUGETLB_PAGE, group_number("hugetlb.2MB.current", NULL));
	EXPECT_LE(1, group_number("hugetlb.2MB.events", "max"));
	munmap(huge, len);
	EXPECT_EQ(0, group_number("hugetlb.2MB.current", NULL));
}

/* What perf counts of this thread's page faults; -1 without perf */
static int count_faults(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
		.config = PERF_COUNT_SW_PAGE_FAULTS,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static long faults_counted(int fd)
{
	__u64 value;

	return fd >= 0 && read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

TEST_F(accounts, faults_count_for_the_group_and_not_for_a_thread)
{
	int perf = count_faults();
	long pages = ACCOUNTS_LEN / PAGE, faults = group_number("memory.stat", "pgfault");
	struct rusage first, second, third;
	__u8 *memory = anon(2 * ACCOUNTS_LEN);

	getrusage(RUSAGE_SELF, &first);
	run_ok(&self->q, sva_fill(memory, ACCOUNTS_LEN, 0x33));
	getrusage(RUSAGE_SELF, &second);
	EXPECT_GT(pages / 4, faults_counted(perf));
	memset(memory + ACCOUNTS_LEN, 0x34, ACCOUNTS_LEN);
	getrusage(RUSAGE_SELF, &third);
	EXPECT_GT(pages / 4, second.ru_minflt - first.ru_minflt);
	EXPECT_LE(pages, third.ru_minflt - second.ru_minflt);
	if (perf >= 0)
		EXPECT_LE(pages, faults_counted(perf));
	/* The latest are not in the group's sum yet. */
	EXPECT_LE(faults + 2 * pages - pages / 4, group_number("memory.stat", "pgfault"));
	munmap(memory, 2 * ACCOUNTS_LEN);
	close(perf);
}

/* What the kernel says when it kills for want of memory */
#define OOM_REPORT	"oom|Comm:|Workqueue:|Call [Tt]race|[Oo]ut of memory"

static int use_too_much(struct line line, void *arg)
{
	const size_t len = 64 * MiB;
	__u8 *memory = mmap(ANYWHERE, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sva_job job = sva_fill(memory, len, 0x35);
	struct sva_queue q;

	CHECK(memory != MAP_FAILED);
	CHECK(!sva_write_text(GROUP "cgroup.procs", "0"));
	CHECK(!sva_open(&q, arg));
	CHECK(!sva_start(&q));
	sva_run(&q, &job);
	/* Whatever became of the job, this process should not have. */
	return 1;
}

/* A process whose device uses too much is killed, and its memory goes. */
static void exceed_limit(struct __test_metadata *_metadata, struct sva_device *device)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	struct peer peer;
	int status = 0;

	ASSERT_EQ(0, sva_write_text(GROUP "memory.max", "33554432"));
	ASSERT_EQ(0, sva_write_text(GROUP "memory.swap.max", "0"));
	peer_start(_metadata, &peer, use_too_much, device);
	EXPECT_EQ(peer.pid, waitpid(peer.pid, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	hang_up(peer.line);
	EXPECT_LE(1, group_number("memory.events", "oom_kill"));
	/* The worker that served its last fault has let go of its memory. */
	while (group_number("memory.current", NULL) > 4 * MiB && sva_now_ms() < end)
		sva_relax();
	EXPECT_GE(4 * MiB, group_number("memory.current", NULL));
}

TEST_F(accounts, limit_of_the_group_kills_the_process_whose_device_exceeds_it)
{
	self->env.noisy = true;
	kmsg_mark("SVA-EXPECT", OOM_REPORT);
	/* It is the only one of the group. */
	ASSERT_EQ(0, sva_write_text(GROUPS "cgroup.procs", "0"));
	exceed_limit(_metadata, &self->env.sva[1]);
	kmsg_mark("SVA-EXPECT-END", "");
}

static int stay_in_group(struct line line, void *arg)
{
	CHECK(!sva_write_text(GROUP "cgroup.procs", "0"));
	CHECK(tell(line, "", 1));
	await(line);
	return 0;
}

/* The kernel waits for the memory of the one that it has killed. */
TEST_F(accounts, limit_of_the_group_spares_the_other_processes_of_it)
{
	struct peer others[3];
	char told;
	int i;

	self->env.noisy = true;
	kmsg_mark("SVA-EXPECT", OOM_REPORT);
	ASSERT_EQ(0, sva_write_text(GROUPS "cgroup.procs", "0"));
	for (i = 0; i < 3; i++) {
		peer_start(_metadata, &others[i], stay_in_group, NULL);
		ASSERT_TRUE(hear(others[i].line, &told, sizeof(told)));
	}
	exceed_limit(_metadata, &self->env.sva[1]);
	EXPECT_EQ(1, group_number("memory.events", "oom_kill"));
	for (i = 0; i < 3; i++) {
		post(others[i].line);
		peer_ends_well(&others[i]);
	}
	kmsg_mark("SVA-EXPECT-END", "");
}
