// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine that sleeps: suspend to memory. Endpoints and IOMMU lose all they know. On SMMUv3's
 * machine, whose firmware has no such state, it is suspend to idle: the endpoints alone lose it, in
 * D3hot.
 */
#define POWER_LEN	(64 * PAGE)
#define ALARM		"/sys/class/rtc/rtc0/wakealarm"

FIXTURE(power) {
	struct sva_env env;
	struct sva_queue q[2];
	__u8 *memory;
};

FIXTURE_SETUP(power)
{
	int i;

	if (access(ALARM, W_OK) || access("/sys/power/state", W_OK))
		SKIP(return, "the kernel cannot sleep, or has no clock that wakes it up");
	env_setup(_metadata, &self->env);
	for (i = 0; i < 2; i++)
		start(&self->q[i], &self->env.sva[i]);
	self->memory = anon(POWER_LEN);
}

FIXTURE_TEARDOWN(power)
{
	int i;

	/* The devices' counters have started again. */
	memset(self->env.before, 0, sizeof(self->env.before));
	for (i = 0; i < 2; i++)
		sva_close(&self->q[i]);
	env_teardown(_metadata, &self->env);
}

/* Firmware takes longer to fall asleep than a kernel that idles. */
static const char *alarm_time(void)
{
	char states[64] = "";
	int fd = open("/sys/power/mem_sleep", O_RDONLY);

	if (fd >= 0) {
		if (read(fd, states, sizeof(states) - 1) < 0)
			states[0] = 0;
		close(fd);
	}
	return strstr(states, "deep") ? "+20" : "+15";
}

/*
 * Returns when the machine is awake again. The alarm is for runs without WAKE=1, with which the
 * emulator wakes it up: one that comes before a slow machine sleeps is lost.
 */
static void sleep_a_while_at(struct __test_metadata *_metadata, int line)
{
	long before = read_number("/sys/power/suspend_stats/success");

	sva_write_text(ALARM, "0");
	ASSERT_EQ(0, sva_write_text(ALARM, alarm_time())) {
		TH_LOG("line %d: no alarm", line);
	}
	ASSERT_EQ(0, sva_write_text("/sys/power/state", "mem")) {
		TH_LOG("line %d: the machine does not sleep", line);
	}
	sva_write_text(ALARM, "0");
	ASSERT_EQ(before + 1, read_number("/sys/power/suspend_stats/success")) {
		TH_LOG("line %d: the machine has not slept", line);
	}
}

#define sleep_a_while()	sleep_a_while_at(_metadata, __LINE__)

/* All a device did before was forgotten: its counters have begun with 0. */
static void expect_power_was_lost(struct __test_metadata *_metadata, struct sva_queue *q)
{
	EXPECT_EQ(0, counter(_metadata, q, SVA_DMA_CNT_BYTES_WRITTEN)) {
		TH_LOG("the device knows what it did before the sleep");
	}
}

TEST_F(power, sleep_ends_the_job_and_keeps_the_queue)
{
	__u32 pasid = self->q[0].info.pasid;
	int i;

	for (i = 1; i < 4; i++) {
		__u8 *fresh = anon(POWER_LEN);

		background(&self->q[0], sva_fill(self->memory, POWER_LEN, i));
		sleep_a_while();
		expect_power_was_lost(_metadata, &self->q[0]);
		ASSERT_EQ(SVA_DMA_IDLE, sva_peek(&self->q[0]).status);
		memset(self->memory, 0x80 | i, POWER_LEN);

		/* The same mapping, channel and PASID serve the next job and its page requests. */
		EXPECT_EQ(sva_fnv1a(self->memory, POWER_LEN),
			  run_ok(&self->q[0], sva_checksum(self->memory, POWER_LEN)).value);
		run_ok(&self->q[0], sva_fill(fresh, POWER_LEN, i));
		EXPECT_EQ(-1, differs(fresh, POWER_LEN, i));
		EXPECT_LE(POWER_LEN / PAGE,
			  counter(_metadata, &self->q[0], env_served(&self->env)));
		/* What was running is not. */
		ASSERT_EQ(-1, differs(self->memory, POWER_LEN, 0x80 | i));
		munmap(fresh, POWER_LEN);
	}
	ASSERT_EQ(0, sva_stop(&self->q[0]));
	ASSERT_EQ(0, sva_start(&self->q[0]));
	EXPECT_EQ(pasid, self->q[0].info.pasid);
}

TEST_F(power, what_is_unmapped_after_a_sleep_is_out_of_reach)
{
	struct sva_job job = sva_fill(self->memory, POWER_LEN, 0x41);
	int i;

	for (i = 0; i < 2; i++)
		run_ok(&self->q[i], job);
	sleep_a_while();
	for (i = 0; i < 2; i++) {
		expect_power_was_lost(_metadata, &self->q[i]);
		run_ok(&self->q[i], job);
	}
	munmap(self->memory, POWER_LEN);
	for (i = 0; i < 2; i++)
		refused(&self->q[i], sva_fill(self->memory, 8, 0x42));
}

/* No sleep waits for a fault, nor does the end of the bond afterwards. */
TEST_F(power, fault_that_waits_keeps_no_machine_awake)
{
	__u8 *page = anon(PAGE);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)self->memory, .src = (uintptr_t)page, .len = PAGE,
	};
	struct sva_job job = sva_fill(self->memory, 8, 0x43);
	struct pollfd ready = { .events = POLLIN };
	struct uffd_msg msg;

	pattern(page, PAGE, 7);
	ready.fd = uffd_register(_metadata, self->memory, PAGE);
	sva_submit(&self->q[0], &job);
	ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
	ASSERT_EQ(sizeof(msg), read(ready.fd, &msg, sizeof(msg)));
	sleep_a_while();
	ASSERT_EQ(SVA_DMA_IDLE, sva_peek(&self->q[0]).status);

	/* The page comes, and is not for a request of before. */
	ASSERT_EQ(0, ioctl(ready.fd, UFFDIO_COPY, &copy));
	run_ok(&self->q[0], job);
	EXPECT_EQ(0, counter(_metadata, &self->q[0], SVA_DMA_CNT_PRI_UNEXPECTED));
	EXPECT_EQ(-1, differs(self->memory, 8, 0x43));
	ASSERT_EQ(0, sva_stop(&self->q[0]));
	close(ready.fd);
}

/* The same for a fault that a driver has served, which is out of the core's reach. */
TEST_F(power, own_fault_that_waits_keeps_no_machine_awake)
{
	struct sva_queue q;
	int fd;

	start(&q, &self->env.own);
	fd = held_back(&q, self->memory);
	sleep_a_while();
	ASSERT_EQ(SVA_DMA_IDLE, sva_peek(&q).status);
	let_come(fd, self->memory);
	run_ok(&q, sva_fill(self->memory + PAGE, PAGE, 0x46));
	EXPECT_EQ(-1, differs(self->memory + PAGE, PAGE, 0x46));
	EXPECT_EQ(-1, differs_from_pattern(self->memory, PAGE, 7));
	sva_close(&q);
	close(fd);
}

/* A process that sleeps with the machine while its device writes to its memory. */
static int write_for_ever(struct line line, void *arg)
{
	__u8 *memory = mmap(ANYWHERE, POWER_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sva_job job = sva_fill(memory, POWER_LEN, 0x44);
	struct sva_queue q;

	CHECK(memory != MAP_FAILED);
	CHECK(!sva_open(&q, arg));
	CHECK(!sva_start(&q));
	job.repeat = SVA_FOREVER;
	job.pace = 1000;
	do {
		sva_submit(&q, &job);
		CHECK(sva_wait_progress(&q, POWER_LEN).status == SVA_DMA_RUNNING);
		post(line);
	} while (await(line) && sva_peek(&q).status == SVA_DMA_IDLE);
	return 1;
}

TEST_F(power, process_that_has_slept_can_be_killed)
{
	struct peer peer[2];
	int i;

	for (i = 0; i < 2; i++) {
		peer_start(_metadata, &peer[i], write_for_ever, &self->env.sva[i]);
		ASSERT_TRUE(await(peer[i].line));
	}
	sleep_a_while();
	for (i = 0; i < 2; i++) {
		/* One whose device writes again, and one whose device has forgotten the job. */
		if (!i) {
			post(peer[i].line);
			ASSERT_TRUE(await(peer[i].line));
		}
		ASSERT_EQ(0, kill(peer[i].pid, SIGKILL));
		EXPECT_EQ(SIGKILL, peer_wait(&peer[i]));
		run_ok(&self->q[i], sva_fill(self->memory, POWER_LEN, 0x45 + i));
		EXPECT_EQ(-1, differs(self->memory, POWER_LEN, 0x45 + i));
	}
}
