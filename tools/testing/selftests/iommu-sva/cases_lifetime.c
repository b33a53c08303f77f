// SPDX-License-Identifier: GPL-2.0-only
/* Bonds, PASIDs and channels: which process has them, how long, and what is left after its end. */

#define AFTER_EXEC	"--after-exec"
#define LIFE_LEN	(16 * PAGE)

FIXTURE(lifetime) {
	struct sva_env env;
};

FIXTURE_SETUP(lifetime)
{
	env_setup(_metadata, &self->env);
}

FIXTURE_TEARDOWN(lifetime)
{
	env_teardown(_metadata, &self->env);
}

TEST_F(lifetime, two_files_of_a_process_share_its_pasid)
{
	__u8 *memory = anon(LIFE_LEN);
	struct sva_queue a, b;

	start(&a, &self->env.sva[0]);
	start(&b, &self->env.sva[0]);
	EXPECT_EQ(a.info.pasid, b.info.pasid);
	EXPECT_NE(a.info.channel, b.info.channel);
	run_ok(&a, sva_fill(memory, LIFE_LEN, 1));
	sva_close(&a);
	/* The bond is still needed by the other one. */
	run_ok(&b, sva_fill(memory, LIFE_LEN, 2));
	EXPECT_EQ(-1, differs(memory, LIFE_LEN, 2));
	run_ok(&b, sva_fill(anon(PAGE), PAGE, 3));
	sva_close(&b);
}

TEST_F(lifetime, process_on_two_devices_has_one_pasid)
{
	__u8 *memory = anon(LIFE_LEN), *copy = anon(LIFE_LEN);
	struct sva_queue q[2];
	int i;

	for (i = 0; i < 2; i++)
		start(&q[i], &self->env.sva[i]);
	EXPECT_EQ(q[0].info.pasid, q[1].info.pasid);
	run_ok(&q[0], sva_fill(memory, LIFE_LEN, 0x31));
	run_ok(&q[1], sva_copy(copy, memory, LIFE_LEN));
	EXPECT_EQ(-1, differs(copy, LIFE_LEN, 0x31));

	/* One bond goes; the other device must still get the invalidations. */
	sva_close(&q[0]);
	run_ok(&q[1], sva_fill(memory, LIFE_LEN, 0x32));
	ASSERT_EQ(0, munmap(memory, LIFE_LEN));
	refused(&q[1], sva_fill(memory, 8, 1));
	sva_close(&q[1]);
}

TEST_F(lifetime, both_devices_hear_of_an_unmapping)
{
	__u8 *memory = anon(LIFE_LEN);
	struct sva_queue q[2];
	int i;

	for (i = 0; i < 2; i++) {
		start(&q[i], &self->env.sva[i]);
		run_ok(&q[i], sva_fill(memory, LIFE_LEN, i));
		run_ok(&q[i], sva_fill(memory, LIFE_LEN, i));
	}
	ASSERT_EQ(0, munmap(memory, LIFE_LEN));
	for (i = 0; i < 2; i++) {
		refused(&q[i], sva_fill(memory + LIFE_LEN - PAGE, 8, 1));
		sva_close(&q[i]);
	}
}

struct tenant {
	const struct sva_device *device;
	__u8 *memory;
	__u8 byte;
};

/* Works on the same virtual addresses as its siblings, on its own memory. */
static int tenant_works(struct line line, void *arg)
{
	struct tenant *t = arg;
	struct sva_queue q[2];
	int round, i;

	for (i = 0; i < 2; i++) {
		CHECK(!sva_open(&q[i], &t->device[i]));
		CHECK(!sva_start(&q[i]));
	}
	CHECK(tell(line, &q[0].info.pasid, 4));
	CHECK(await(line));
	for (round = 0; round < 20; round++) {
		struct sva_job fill = sva_fill(t->memory, LIFE_LEN, t->byte);
		struct sva_job sum = sva_checksum(t->memory, LIFE_LEN);
		struct sva_result result;

		CHECK(sva_run(&q[round & 1], &fill).status == SVA_DMA_DONE);
		CHECK(differs(t->memory, LIFE_LEN, t->byte) == -1);
		result = sva_run(&q[~round & 1], &sum);
		CHECK(result.status == SVA_DMA_DONE);
		CHECK(result.value == sva_fnv1a(t->memory, LIFE_LEN));
		CHECK(!madvise(t->memory, LIFE_LEN, MADV_DONTNEED));
	}
	for (i = 0; i < 2; i++)
		sva_close(&q[i]);
	return 0;
}

TEST_F(lifetime, two_processes_on_two_devices_do_not_meet)
{
	__u8 *memory = anon(LIFE_LEN);
	struct tenant tenant[2] = {
		{ .device = self->env.sva, .memory = memory, .byte = 0x51 },
		{ .device = self->env.sva, .memory = memory, .byte = 0x52 },
	};
	struct peer peer[2];
	__u32 pasid[2];
	int i;

	for (i = 0; i < 2; i++) {
		peer_start(_metadata, &peer[i], tenant_works, &tenant[i]);
		ASSERT_TRUE(hear(peer[i].line, &pasid[i], 4));
	}
	EXPECT_NE(pasid[0], pasid[1]);
	for (i = 0; i < 2; i++)
		post(peer[i].line);
	for (i = 0; i < 2; i++)
		peer_ends_well(&peer[i]);
	EXPECT_EQ(-1, differs(memory, LIFE_LEN, 0));
}

struct worker {
	const struct sva_device *device;
	__u8 *memory;
	__u8 byte;
	int failed_line;
};

/* Like CHECK(), but ends only the thread. */
static void worker_check_at(struct worker *w, int line, bool holds)
{
	if (holds)
		return;
	w->failed_line = line;
	pthread_exit(NULL);
}

#define WORKER_CHECK(w, condition)	worker_check_at(w, __LINE__, condition)

static void *work_on_own_channel(void *arg)
{
	struct worker *w = arg;
	struct sva_queue q;
	int i;

	for (i = 0; i < 4; i++) {
		struct sva_job job = sva_fill(w->memory, LIFE_LEN, w->byte + i);

		WORKER_CHECK(w, !sva_open(&q, w->device));
		WORKER_CHECK(w, !sva_start(&q));
		WORKER_CHECK(w, sva_run(&q, &job).status == SVA_DMA_DONE);
		WORKER_CHECK(w, differs(w->memory, LIFE_LEN, w->byte + i) == -1);
		WORKER_CHECK(w, !madvise(w->memory, LIFE_LEN, MADV_DONTNEED));
		sva_close(&q);
	}
	return NULL;
}

TEST_F(lifetime, threads_bind_submit_and_unbind_at_the_same_time)
{
	struct worker worker[10] = {};
	pthread_t thread[ARRAY_SIZE(worker)];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(worker); i++) {
		worker[i].device = &self->env.sva[i & 1];
		worker[i].memory = anon(LIFE_LEN);
		worker[i].byte = i * 16;
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, work_on_own_channel, &worker[i]));
	}
	for (i = 0; i < ARRAY_SIZE(worker); i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_EQ(0, worker[i].failed_line);
	}
}

/* A process with DMA running for ever, its job page mapped; it waits for its end. */
struct victim_user {
	const struct sva_device *device;
	bool close_file;
	bool leave;
};

static int run_for_ever(struct line line, void *arg)
{
	struct victim_user *user = arg;
	__u8 *memory = mmap(ANYWHERE, 1 * MiB, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sva_job job = sva_fill(memory, 1 * MiB, 0xdd);
	struct sva_queue q;

	CHECK(memory != MAP_FAILED);
	CHECK(!sva_open(&q, user->device));
	CHECK(!sva_start(&q));
	job.repeat = SVA_FOREVER;
	job.pace = 1000;
	sva_submit(&q, &job);
	CHECK(sva_wait_progress(&q, 2 * MiB).status == SVA_DMA_RUNNING);
	if (user->close_file)
		close(q.fd); /* the mapping keeps the file */
	post(line);
	if (user->leave)
		return 0;
	await(line);
	return 1;
}

static void all_channels_back_at(struct __test_metadata *_metadata, int line,
				 const struct sva_device *device)
{
	struct sva_queue q;
	int channels;

	ASSERT_EQ(0, sva_open(&q, device)) {
		TH_LOG("line %d: %s", line, q.error);
	}
	channels = q.info.channels;
	sva_close(&q);
	EXPECT_EQ(channels, env_wait_available(device, channels)) {
		TH_LOG("line %d: a channel did not come back", line);
	}
}

#define all_channels_back(...)	all_channels_back_at(_metadata, __LINE__, __VA_ARGS__)

TEST_F(lifetime, exit_with_dma_running_and_job_page_mapped)
{
	struct victim_user user = { .device = &self->env.sva[0], .leave = true };
	struct peer peer;

	peer_start(_metadata, &peer, run_for_ever, &user);
	ASSERT_TRUE(await(peer.line));
	peer_ends_well(&peer);
	all_channels_back(&self->env.sva[0]);
}

TEST_F(lifetime, exit_when_only_the_mapping_holds_the_file)
{
	struct victim_user user = {
		.device = &self->env.sva[0], .close_file = true, .leave = true,
	};
	struct peer peer;

	peer_start(_metadata, &peer, run_for_ever, &user);
	ASSERT_TRUE(await(peer.line));
	peer_ends_well(&peer);
	all_channels_back(&self->env.sva[0]);
}

TEST_F(lifetime, killed_during_dma)
{
	struct victim_user user = { .device = &self->env.sva[0] };
	struct peer peer;
	int i;

	for (i = 0; i < 3; i++) {
		peer_start(_metadata, &peer, run_for_ever, &user);
		ASSERT_TRUE(await(peer.line));
		ASSERT_EQ(0, kill(peer.pid, SIGKILL));
		EXPECT_EQ(SIGKILL, peer_wait(&peer));
		all_channels_back(&self->env.sva[0]);
	}
	/* The teardown checks that the log has no complaint. */
}

struct gift {
	__u8 *memory;
	int fd;
};

/* Its queue is taken over by the parent, whose file keeps the bond when this process is gone. */
static int give_queue_away(struct line line, void *arg)
{
	struct gift gift = {
		.memory = mmap(ANYWHERE, LIFE_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	};
	struct sva_job job = sva_fill(gift.memory, LIFE_LEN, 0x77);
	struct sva_queue q;

	CHECK(!sva_open(&q, arg));
	CHECK(!sva_start(&q));
	CHECK(sva_run(&q, &job).status == SVA_DMA_DONE);
	/* A file has one job page: the parent wants to map it. */
	CHECK(!munmap((void *)q.job, getpagesize()));
	gift.fd = q.fd;
	CHECK(tell(line, &gift, sizeof(gift)));
	CHECK(await(line));
	return 0;
}

TEST_F(lifetime, bond_outlives_its_process_but_reaches_no_memory)
{
	struct sva_queue q = SVA_QUEUE_CLOSED, own;
	struct peer peer;
	struct gift gift;
	int pidfd;

	start(&own, &self->env.sva[0]);
	peer_start(_metadata, &peer, give_queue_away, &self->env.sva[0]);
	ASSERT_TRUE(hear(peer.line, &gift, sizeof(gift)));
	pidfd = syscall(SYS_pidfd_open, peer.pid, 0);
	ASSERT_LE(0, pidfd);
	q.fd = syscall(SYS_pidfd_getfd, pidfd, gift.fd, 0);
	ASSERT_LE(0, q.fd);
	close(pidfd);
	/* It has been started; stop it and start it here to get the job page. */
	ASSERT_EQ(0, sva_stop(&q));
	ASSERT_EQ(0, sva_start(&q)) {
		TH_LOG("%s", q.error);
	}
	run_ok(&q, sva_checksum(gift.memory, LIFE_LEN));
	post(peer.line);
	peer_ends_well(&peer);

	/* Its PASID is still allocated and maps no memory. */
	refused(&q, sva_checksum(gift.memory, LIFE_LEN));
	refused(&q, sva_fill(gift.memory, LIFE_LEN, 1));
	EXPECT_NE(own.info.pasid, q.info.pasid);
	run_ok(&own, sva_fill(anon(PAGE), PAGE, 1));
	sva_close(&q);
	sva_close(&own);
}

/* What the program does when it finds itself executed with an open queue. */
static int after_exec(int fd)
{
	struct sva_queue q = { .fd = fd };
	__u8 *memory = mmap(ANYWHERE, LIFE_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sva_job job = sva_fill(memory, LIFE_LEN, 1);
	struct sva_result result;

	CHECK(memory != MAP_FAILED);
	memset(memory, 0x3e, LIFE_LEN);
	if (sva_stop(&q))
		return errno == EBADF ? 2 : 3;
	CHECK(!sva_start(&q));
	/* The bond is with the address space before exec(), not with this one. */
	result = sva_run(&q, &job);
	CHECK(is_refusal(result.status));
	CHECK(differs(memory, LIFE_LEN, 0x3e) == -1);
	sva_close(&q);
	return 0;
}

struct exec_user {
	const struct sva_device *device;
	bool keep;
};

static int exec_with_dma_running(struct line line, void *arg)
{
	struct exec_user *user = arg;
	__u8 *memory = mmap(ANYWHERE, LIFE_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sva_job job = sva_fill(memory, LIFE_LEN, 1);
	struct sva_queue q;
	char fd[16];

	CHECK(memory != MAP_FAILED);
	CHECK(!sva_open(&q, user->device));
	CHECK(!sva_start(&q));
	if (user->keep)
		CHECK(!fcntl(q.fd, F_SETFD, 0));
	job.repeat = SVA_FOREVER;
	job.pace = 1000;
	sva_submit(&q, &job);
	CHECK(sva_wait_progress(&q, LIFE_LEN).status == SVA_DMA_RUNNING);
	snprintf(fd, sizeof(fd), "%d", q.fd);
	execl("/proc/self/exe", "sva_test", AFTER_EXEC, fd, NULL);
	return 1;
}

TEST_F(lifetime, exec_leaves_the_device_without_memory)
{
	struct exec_user user = { .device = &self->env.sva[0], .keep = true };
	struct peer peer;

	peer_start(_metadata, &peer, exec_with_dma_running, &user);
	peer_ends_well(&peer);
	all_channels_back(&self->env.sva[0]);
}

TEST_F(lifetime, exec_closes_the_queue)
{
	struct exec_user user = { .device = &self->env.sva[0] };
	struct peer peer;

	peer_start(_metadata, &peer, exec_with_dma_running, &user);
	EXPECT_EQ(2, WEXITSTATUS(peer_wait(&peer)));
	all_channels_back(&self->env.sva[0]);
}

static int tell_pasid(struct line line, void *arg)
{
	struct sva_queue q;

	CHECK(!sva_open(&q, arg));
	CHECK(tell(line, &q.info.pasid, 4));
	return 0;
}

TEST_F(lifetime, freed_pasid_is_not_handed_out_at_once)
{
	__u32 pasid[8];
	struct peer peer;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(pasid); i++) {
		peer_start(_metadata, &peer, tell_pasid, &self->env.sva[0]);
		ASSERT_TRUE(hear(peer.line, &pasid[i], 4));
		peer_ends_well(&peer);
		EXPECT_NE(0, pasid[i]);
		for (j = 0; j < i; j++)
			EXPECT_NE(pasid[j], pasid[i]);
	}
}

TEST_F(lifetime, stop_is_the_end_of_all_writes)
{
	__u8 *memory = anon(LIFE_LEN), *seen = anon(LIFE_LEN);
	struct sva_queue q;
	__u8 i;

	start(&q, &self->env.sva[0]);
	for (i = 1; i < 20; i++) {
		background(&q, sva_fill(memory, LIFE_LEN, i));
		ASSERT_EQ(0, sva_stop(&q));
		memset(memory, 0x80 | i, LIFE_LEN);
		memcpy(seen, memory, LIFE_LEN);
		ASSERT_NE(SVA_DMA_RUNNING, sva_peek(&q).status);
		/* Another start gives the channel back, without the old job. */
		ASSERT_EQ(0, sva_start(&q));
		EXPECT_EQ(SVA_DMA_IDLE, sva_peek(&q).status);
		ASSERT_EQ(0, memcmp(seen, memory, LIFE_LEN));
	}
	sva_close(&q);
}

TEST_F(lifetime, close_is_the_end_of_all_writes)
{
	__u8 *memory = anon(LIFE_LEN);
	struct sva_queue q;
	__u8 i;

	for (i = 1; i < 20; i++) {
		start(&q, &self->env.sva[0]);
		background(&q, sva_fill(memory, LIFE_LEN, i));
		sva_close(&q);
		memset(memory, 0x80 | i, LIFE_LEN);
		/* Give a late write time to arrive. */
		start(&q, &self->env.sva[1]);
		run_ok(&q, sva_checksum(memory, LIFE_LEN));
		sva_close(&q);
		ASSERT_EQ(-1, differs(memory, LIFE_LEN, 0x80 | i));
	}
}

static int use_the_device(struct line line, void *arg)
{
	__u8 *memory = mmap(ANYWHERE, LIFE_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sva_job job = sva_fill(memory, LIFE_LEN, 0x2b);
	struct sva_queue q;
	int i;

	for (i = 0; i < 10; i++) {
		CHECK(!sva_open(&q, arg));
		CHECK(!sva_start(&q));
		CHECK(sva_run(&q, &job).status == SVA_DMA_DONE);
		CHECK(differs(memory, LIFE_LEN, 0x2b) == -1);
		CHECK(!madvise(memory, LIFE_LEN, MADV_DONTNEED));
		sva_close(&q);
	}
	return 0;
}

TEST_F(lifetime, stuck_fault_delays_nobody_else)
{
	__u8 *stuck = anon(PAGE), *page = anon(PAGE);
	struct uffdio_copy copy = { .dst = (uintptr_t)stuck, .src = (uintptr_t)page, .len = PAGE };
	struct sva_job job = sva_fill(stuck, 8, 1);
	struct sva_dma_counters before, now;
	struct sva_queue q;
	struct uffd_msg msg;
	struct pollfd ready = { .events = POLLIN };
	struct peer peer;
	int fd, i;

	fd = uffd_register(_metadata, stuck, PAGE);
	ready.fd = fd;
	start(&q, &self->env.sva[0]);
	ASSERT_EQ(0, sva_counters(&q, &before));
	sva_submit(&q, &job);
	ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
	ASSERT_EQ(sizeof(msg), read(fd, &msg, sizeof(msg)));
	ASSERT_EQ(0, sva_counters(&q, &now));
	ASSERT_EQ(1, now.pri_pending);

	/* The fault stays unserved. Other processes bind, work and unbind, on both devices. */
	for (i = 0; i < 2; i++) {
		peer_start(_metadata, &peer, use_the_device, &self->env.sva[i]);
		peer_ends_well(&peer);
	}

	/* Not even this bond waits for its own fault; but it leaves no request unanswered. */
	sva_close(&q);
	ASSERT_EQ(0, sva_open(&q, &self->env.sva[0]));
	ASSERT_EQ(0, sva_counters(&q, &now));
	EXPECT_EQ(0, now.pri_pending);
	sva_close(&q);
	peer_start(_metadata, &peer, use_the_device, &self->env.sva[0]);
	peer_ends_well(&peer);
	ASSERT_EQ(0, ioctl(fd, UFFDIO_COPY, &copy));
	close(fd);
}

/* Each round leaves a fault behind that is never served. */
TEST_F(lifetime, abandoned_faults_do_not_use_up_the_device)
{
	__u8 *stuck = anon(PAGE);
	struct sva_job job = sva_fill(stuck, 8, 1);
	__s64 end = sva_now_ms() + 2 * SVA_TIMEOUT_MS;
	struct sva_dma_counters counters;
	struct sva_queue q;
	struct peer peer;
	int fd, i;

	fd = uffd_register(_metadata, stuck, PAGE);
	for (i = 0; i < 60; i++) {
		start(&q, &self->env.sva[0]);
		sva_submit(&q, &job);
		do {
			ASSERT_EQ(0, sva_counters(&q, &counters));
		} while (!counters.pri_pending && sva_peek(&q).status == SVA_DMA_RUNNING &&
			 sva_now_ms() < end);
		ASSERT_EQ(1, counters.pri_pending);
		sva_close(&q);
	}
	peer_start(_metadata, &peer, use_the_device, &self->env.sva[0]);
	peer_ends_well(&peer);
	close(fd);
}

#define MANY_FAULTS	150	/* more than channels, and than room is kept for 64 stalls */

/* Until the count of requests, or of stalls, grows */
static void await_fault(struct __test_metadata *_metadata, struct sva_queue *q, int kind,
			__u64 before)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;

	while (counter(_metadata, q, kind) == before && sva_now_ms() < end)
		sva_relax();
	ASSERT_LT(before, counter(_metadata, q, kind));
}

/*
 * A job that is stopped leaves its fault behind, which the driver cannot call back. However many
 * wait like that, up to what hardware and credits allow, none is refused.
 */
TEST_F(lifetime, stopped_jobs_leave_many_faults_and_none_is_refused)
{
	bool stall = self->env.sva[0].stall;
	int kind = stall ? SVA_DMA_CNT_STALLS : SVA_DMA_CNT_PRI_GROUPS;
	int refusal = stall ? SVA_DMA_CNT_STALLS_ABORTED : SVA_DMA_CNT_PRI_INVALID;
	__u8 *stuck = anon(MANY_FAULTS * PAGE), *pages = anon(MANY_FAULTS * PAGE);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)stuck, .src = (uintptr_t)pages, .len = MANY_FAULTS * PAGE,
	};
	struct sva_dma_counters before, after;
	struct sva_queue q;
	int fd, i;

	memset(pages, 0x2c, MANY_FAULTS * PAGE);
	fd = uffd_register(_metadata, stuck, MANY_FAULTS * PAGE);
	start(&q, &self->env.sva[0]);
	ASSERT_EQ(0, sva_counters(&q, &before));
	for (i = 0; i < MANY_FAULTS; i++) {
		struct sva_job job = sva_checksum(stuck + i * PAGE, 8);
		__u64 faults = counter(_metadata, &q, kind);

		sva_submit(&q, &job);
		await_fault(_metadata, &q, kind, faults);
		ASSERT_EQ(0, sva_stop(&q));
		ASSERT_EQ(0, sva_start(&q));
	}
	ASSERT_EQ(0, ioctl(fd, UFFDIO_COPY, &copy));
	ASSERT_EQ(0, sva_settled_counters(&q, &after));
	EXPECT_EQ(0, env_delta(&before, &after, refusal));
	run_ok(&q, sva_checksum(stuck, MANY_FAULTS * PAGE));
	EXPECT_EQ(-1, differs(stuck, MANY_FAULTS * PAGE, 0x2c));
	sva_close(&q);
	close(fd);
}

static int fault_for_ever(struct line line, void *arg)
{
	struct sva_job job;
	struct sva_queue q;
	struct uffdio_api api = { .api = UFFD_API };
	__u8 *memory = mmap(ANYWHERE, LIFE_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)memory, .len = LIFE_LEN },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct pollfd ready = { .events = POLLIN };

	ready.fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	CHECK(ready.fd >= 0);
	CHECK(!ioctl(ready.fd, UFFDIO_API, &api));
	CHECK(!ioctl(ready.fd, UFFDIO_REGISTER, &range));
	CHECK(!sva_open(&q, arg));
	CHECK(!sva_start(&q));
	job = sva_fill(memory, LIFE_LEN, 1);
	sva_submit(&q, &job);
	CHECK(poll(&ready, 1, SVA_TIMEOUT_MS) == 1);
	post(line);
	await(line);
	return 1;
}

TEST_F(lifetime, killed_while_a_fault_waits_for_its_user)
{
	struct peer peer;
	int i;

	for (i = 0; i < 3; i++) {
		peer_start(_metadata, &peer, fault_for_ever, &self->env.sva[0]);
		ASSERT_TRUE(await(peer.line));
		ASSERT_EQ(0, kill(peer.pid, SIGKILL));
		EXPECT_EQ(SIGKILL, peer_wait(&peer));
		all_channels_back(&self->env.sva[0]);
	}
}
