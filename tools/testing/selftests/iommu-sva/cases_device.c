// SPDX-License-Identifier: GPL-2.0-only
/* The driver: reset, unbind and removal under load, interrupts, and what it lets users ask. */

#define DEV_LEN	(64 * PAGE)

FIXTURE(device) {
	struct sva_env env;
	struct sva_queue q;
	__u8 *memory;
};

FIXTURE_SETUP(device)
{
	env_setup(_metadata, &self->env);
	start(&self->q, &self->env.sva[0]);
	self->memory = anon(DEV_LEN);
}

FIXTURE_TEARDOWN(device)
{
	sva_close(&self->q);
	env_teardown(_metadata, &self->env);
}

TEST_F(device, reset_during_dma_ends_the_job_and_keeps_the_queue)
{
	int i;

	for (i = 1; i < 8; i++) {
		__u64 resets = counter(_metadata, &self->q, SVA_DMA_CNT_RESETS);

		background(&self->q, sva_fill(self->memory, DEV_LEN, i));
		pci_write(self->env.sva[0].bdf, "reset", "1");
		EXPECT_EQ(resets + 1, counter(_metadata, &self->q, SVA_DMA_CNT_RESETS));
		ASSERT_NE(SVA_DMA_RUNNING, sva_peek(&self->q).status);
		memset(self->memory, 0x80 | i, DEV_LEN);
		/* The same mapping, channel and PASID serve the next job. */
		EXPECT_EQ(sva_fnv1a(self->memory, DEV_LEN),
			  run_ok(&self->q, sva_checksum(self->memory, DEV_LEN)).value);
		run_ok(&self->q, sva_fill(anon(DEV_LEN), DEV_LEN, 1));
		ASSERT_EQ(-1, differs(self->memory, DEV_LEN, 0x80 | i));
	}
}

/* The way from D3hot to D0 is a reset: the function forgets all it knew (PCIe 6.0, 5.3.1.4). */
TEST_F(device, queue_works_after_the_function_was_in_d3hot)
{
	const char *bdf = self->env.sva[0].bdf;
	int i;

	pci_write(bdf, "reset_method", "pm");
	for (i = 1; i < 4; i++) {
		background(&self->q, sva_fill(self->memory, DEV_LEN, i));
		pci_write(bdf, "reset", "1");
		memset(self->memory, 0x80 | i, DEV_LEN);
		EXPECT_EQ(sva_fnv1a(self->memory, DEV_LEN),
			  run_ok(&self->q, sva_checksum(self->memory, DEV_LEN)).value);
		run_ok(&self->q, sva_fill(anon(DEV_LEN), DEV_LEN, 1));
		ASSERT_EQ(-1, differs(self->memory, DEV_LEN, 0x80 | i));
	}
	pci_write(bdf, "reset_method", "default");
	/* No counter says that there was a reset. */
	memset(&self->env.before[0], 0, sizeof(self->env.before[0]));
}

TEST_F(device, reset_spares_the_other_device)
{
	struct sva_queue other;

	start(&other, &self->env.sva[1]);
	background(&other, sva_fill(self->memory, DEV_LEN, 0x61));
	pci_write(self->env.sva[0].bdf, "reset", "1");
	EXPECT_EQ(SVA_DMA_RUNNING, sva_wait_progress(&other, DEV_LEN).status);
	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&other).status);
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x61));
	sva_close(&other);
}

/* Resets the device each time a job has got through. */
static int reset_again_and_again(struct line line, void *arg)
{
	const struct sva_device *device = arg;
	char path[128];
	int i;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", device->bdf);
	for (i = 0; i < 10; i++) {
		CHECK(await(line));
		CHECK(!sva_write_text(path, "1"));
	}
	return 0;
}

TEST_F(device, resets_while_queues_open_start_and_close)
{
	struct sva_job job = sva_fill(self->memory, DEV_LEN, 0x60);
	__s64 end = sva_now_ms() + 2 * SVA_TIMEOUT_MS;
	int error, status = 0, worked = 0;
	struct sva_queue q;
	struct peer peer;

	peer_start(_metadata, &peer, reset_again_and_again, &self->env.sva[0]);
	while (waitpid(peer.pid, &status, WNOHANG) == 0) {
		ASSERT_GT(end, sva_now_ms()) {
			TH_LOG("%d jobs have got through", worked);
		}
		error = sva_open(&q, &self->env.sva[0]);
		if (!error)
			error = sva_start(&q);
		if (!error && sva_run(&q, &job).status == SVA_DMA_DONE && worked++ < 10)
			post(peer.line);
		sva_close(&q);
		/* Nothing but "in reset, try again" may come in between. */
		ASSERT_TRUE(!error || error == -EAGAIN) {
			TH_LOG("%s", q.error);
		}
	}
	hang_up(peer.line);
	EXPECT_EQ(0, status);
	EXPECT_LE(10, worked);
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 0x62));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x62));
}

/* A process whose device loses its driver in the middle of a job. */
static int lose_the_driver(struct line line, void *arg)
{
	__u8 *memory = mmap(ANYWHERE, DEV_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sva_job job = sva_fill(memory, DEV_LEN, 1);
	struct sva_dma_counters counters;
	struct sva_queue q;

	CHECK(memory != MAP_FAILED);
	CHECK(!sva_open(&q, arg));
	CHECK(!sva_start(&q));
	job.repeat = SVA_FOREVER;
	job.pace = 1000;
	sva_submit(&q, &job);
	CHECK(sva_wait_progress(&q, DEV_LEN).status == SVA_DMA_RUNNING);
	post(line);
	CHECK(await(line));

	/* Job page, file and DMA are dead; the process is not. */
	CHECK(probe(q.job + SVA_DMA_JOB_STATUS) == SIGBUS);
	CHECK(sva_counters(&q, &counters) == -ENXIO);
	CHECK(sva_stop(&q) == -ENXIO);
	memset(memory, 0x7b, DEV_LEN);
	CHECK(await(line));
	CHECK(differs(memory, DEV_LEN, 0x7b) == -1);
	sva_close(&q);
	return 0;
}

static void find_again(struct __test_metadata *_metadata, struct sva_device *device,
		       const char *bdf)
{
	ASSERT_EQ(0, sva_find_again(device, bdf)) {
		TH_LOG("%s did not come back", bdf);
	}
}

TEST_F(device, driver_is_unbound_under_a_running_job)
{
	const char *bdf = self->env.sva[0].bdf;
	char address[32];
	struct peer peer;
	int i;

	snprintf(address, sizeof(address), "%s", bdf);
	sva_close(&self->q);
	for (i = 0; i < 3; i++) {
		peer_start(_metadata, &peer, lose_the_driver, &self->env.sva[0]);
		ASSERT_TRUE(await(peer.line));
		pci_write(address, "driver/unbind", address);
		post(peer.line);
		ASSERT_EQ(0, sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", address));
		find_again(_metadata, &self->env.sva[0], address);
		start(&self->q, &self->env.sva[0]);
		run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 0x63 + i));
		EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x63 + i));
		post(peer.line);
		peer_ends_well(&peer);
		sva_close(&self->q);
	}
	/* The driver clears the counters when it takes a device. */
	memset(&self->env.before[0], 0, sizeof(self->env.before[0]));
}

TEST_F(device, device_is_removed_under_a_running_job)
{
	struct peer peer;
	char address[32];

	snprintf(address, sizeof(address), "%s", self->env.sva[0].bdf);
	sva_close(&self->q);
	peer_start(_metadata, &peer, lose_the_driver, &self->env.sva[0]);
	ASSERT_TRUE(await(peer.line));
	pci_write(address, "remove", "1");
	post(peer.line);
	ASSERT_EQ(0, sva_rescan(address));
	find_again(_metadata, &self->env.sva[0], address);
	start(&self->q, &self->env.sva[0]);
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 0x66));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x66));
	post(peer.line);
	peer_ends_well(&peer);
	memset(&self->env.before[0], 0, sizeof(self->env.before[0]));
}

/* Sleeps in poll() before the event that has to wake it. */
struct poller {
	pthread_t thread;
	int fd;
	pid_t tid;
	int ready;
	short events;
};

static void *poll_queue(void *arg)
{
	struct poller *p = arg;
	struct pollfd ready = { .fd = p->fd, .events = POLLIN };

	__atomic_store_n(&p->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	p->ready = poll(&ready, 1, SVA_TIMEOUT_MS);
	p->events = ready.revents;
	return NULL;
}

static bool thread_sleeps(pid_t tid)
{
	char path[64], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (file)
		fclose(file);
	return state == 'S';
}

static void poller_start(struct __test_metadata *_metadata, struct poller *p, int fd)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	pid_t tid;

	*p = (struct poller) { .fd = fd };
	ASSERT_EQ(0, pthread_create(&p->thread, NULL, poll_queue, p));
	do {
		sva_relax();
		tid = __atomic_load_n(&p->tid, __ATOMIC_ACQUIRE);
	} while (!(tid && thread_sleeps(tid)) && sva_now_ms() < end);
	ASSERT_TRUE(thread_sleeps(tid));
}

static void poller_was_told_at(struct __test_metadata *_metadata, int line, struct poller *p,
			       short events)
{
	ASSERT_EQ(0, pthread_join(p->thread, NULL));
	EXPECT_EQ(1, p->ready) {
		TH_LOG("line %d: the driver did not wake it", line);
	}
	EXPECT_EQ(events, p->events) {
		TH_LOG("line %d", line);
	}
}

#define poller_was_told(...)	poller_was_told_at(_metadata, __LINE__, __VA_ARGS__)

TEST_F(device, interrupt_wakes_poll)
{
	struct pollfd ready = { .fd = self->q.fd, .events = POLLIN };
	struct sva_job job = sva_fill(self->memory, DEV_LEN, 0x67);
	struct poller poller;
	int i;

	/* Nothing has been submitted. */
	EXPECT_EQ(0, poll(&ready, 1, 0));
	job.op |= SVA_DMA_OP_IRQ;
	for (i = 0; i < 20; i++) {
		poller_start(_metadata, &poller, self->q.fd);
		sva_submit(&self->q, &job);
		poller_was_told(&poller, POLLIN);
		ASSERT_EQ(SVA_DMA_DONE, sva_peek(&self->q).status);
		/* Stopped and started, it waits for the next job. */
		ASSERT_EQ(0, sva_stop(&self->q));
		ASSERT_EQ(0, sva_start(&self->q));
	}
}

/* One that waits for a job, and one that has not even been started */
TEST_F(device, poll_tells_of_a_device_that_has_gone)
{
	struct poller poller[2];
	struct sva_queue other;
	char bdf[32];

	snprintf(bdf, sizeof(bdf), "%s", self->env.sva[0].bdf);
	ASSERT_EQ(0, sva_open(&other, &self->env.sva[0]));
	poller_start(_metadata, &poller[0], self->q.fd);
	poller_start(_metadata, &poller[1], other.fd);
	pci_write(bdf, "driver/unbind", bdf);
	poller_was_told(&poller[0], POLLERR | POLLHUP);
	poller_was_told(&poller[1], POLLERR | POLLHUP);
	sva_close(&other);
	sva_close(&self->q);

	ASSERT_EQ(0, sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", bdf));
	find_again(_metadata, &self->env.sva[0], bdf);
	memset(&self->env.before[0], 0, sizeof(self->env.before[0]));
	start(&self->q, &self->env.sva[0]);
}

/* What the driver logs about a function that does not react */
#define DEAF	"sva-dma .*(did not (stop|come back|obey)|running)"

TEST_F(device, poll_tells_of_a_device_that_did_not_come_back)
{
	const char *bdf = self->env.sva[0].bdf;
	struct sva_dma_counters counters;
	struct poller poller[2];
	struct sva_queue other;

	self->env.noisy = true;
	kmsg_mark("SVA-EXPECT", DEAF);
	ASSERT_EQ(0, sva_open(&other, &self->env.sva[0]));
	poller_start(_metadata, &poller[0], self->q.fd);
	poller_start(_metadata, &poller[1], other.fd);
	/* The reset restores the configuration of a function that does not react. */
	pci_listens(bdf, false);
	pci_write(bdf, "reset", "1");
	poller_was_told(&poller[0], POLLERR | POLLHUP);
	poller_was_told(&poller[1], POLLERR | POLLHUP);
	EXPECT_EQ(-EIO, sva_counters(&self->q, &counters));
	EXPECT_EQ(SIGBUS, probe(self->q.job + SVA_DMA_JOB_STATUS));

	/* Another reset, and all is well. */
	pci_listens(bdf, true);
	pci_write(bdf, "reset", "1");
	kmsg_mark("SVA-EXPECT-END", "");
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 0x69));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x69));
	sva_close(&other);
}

/* ---- from owner to owner ---- */

/* The counts of a device that has done nothing since the driver took it, but for one job. */
static void did_nothing_else(struct __test_metadata *_metadata, struct sva_env *env,
			     struct sva_queue *q)
{
	struct sva_dma_counters counters;

	ASSERT_EQ(0, sva_settled_counters(q, &counters));
	EXPECT_EQ(1, counters.value[SVA_DMA_CNT_JOBS_DONE]);
	EXPECT_EQ(0, counters.value[SVA_DMA_CNT_JOBS_FAILED]);
	EXPECT_EQ(0, counters.value[SVA_DMA_CNT_PRI_INVALID]);
	EXPECT_EQ(0, counters.value[SVA_DMA_CNT_ATS_ERRORS]);
	EXPECT_EQ(DEV_LEN, counters.value[SVA_DMA_CNT_BYTES_WRITTEN]);
	EXPECT_EQ(0, iopf_count(&env->sva[0], "stray"));
}

TEST_F(device, function_that_does_not_stop_is_reset_when_the_driver_leaves)
{
	__u8 *other = anon(DEV_LEN);
	char bdf[32];

	snprintf(bdf, sizeof(bdf), "%s", self->env.sva[0].bdf);
	self->env.noisy = true;
	background(&self->q, sva_fill(self->memory, DEV_LEN, 0x71));
	kmsg_mark("SVA-EXPECT", DEAF);
	pci_listens(bdf, false);
	pci_write(bdf, "driver/unbind", bdf);
	kmsg_mark("SVA-EXPECT-END", "");
	memset(self->memory, 0x72, DEV_LEN);
	sva_close(&self->q);

	/* The next driver turns on what the job would need. */
	ASSERT_EQ(0, sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", bdf));
	find_again(_metadata, &self->env.sva[0], bdf);
	memset(&self->env.before[0], 0, sizeof(self->env.before[0]));
	start(&self->q, &self->env.sva[0]);
	run_ok(&self->q, sva_fill(other, DEV_LEN, 0x73));
	did_nothing_else(_metadata, &self->env, &self->q);
	EXPECT_EQ(-1, differs(other, DEV_LEN, 0x73));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x72));
}

static volatile __u32 *map_registers(const char *bdf)
{
	char path[128];
	void *regs;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return MAP_FAILED;
	regs = mmap(ANYWHERE, SVA_DMA_BAR_SIZE, RW, MAP_SHARED, fd, 0);
	close(fd);
	return regs;
}

/* Several reads without a branch between them */
#define ID_READS	8

struct reader {
	volatile __u32 *regs;
	bool stop;
	__u64 rounds;
	__u64 wrong;
};

static void *read_the_id(void *arg)
{
	struct reader *r = arg;
	__u32 id[ID_READS];
	int i;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		id[0] = r->regs[SVA_DMA_REG_ID / 4];
		id[1] = r->regs[SVA_DMA_REG_ID / 4];
		id[2] = r->regs[SVA_DMA_REG_ID / 4];
		id[3] = r->regs[SVA_DMA_REG_ID / 4];
		id[4] = r->regs[SVA_DMA_REG_ID / 4];
		id[5] = r->regs[SVA_DMA_REG_ID / 4];
		id[6] = r->regs[SVA_DMA_REG_ID / 4];
		id[7] = r->regs[SVA_DMA_REG_ID / 4];
		for (i = 0; i < ID_READS; i++)
			r->wrong += id[i] != SVA_DMA_ID;
		__atomic_add_fetch(&r->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* What a CPU reads is of the device that it asks, whatever becomes of another one's registers. */
TEST_F(device, registers_are_the_devices_own_while_others_come_and_go)
{
	struct reader reader = { .regs = map_registers(self->env.sva[0].bdf) };
	const char *other = self->env.no_pri.bdf;
	pthread_t thread;
	__u64 rounds;
	int i;

	ASSERT_NE(MAP_FAILED, reader.regs);
	ASSERT_NE('\0', other[0]);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_the_id, &reader));
	for (i = 0; i < 200; i++) {
		rounds = __atomic_load_n(&reader.rounds, __ATOMIC_RELAXED);
		pci_listens(other, false);
		pci_listens(other, true);
		/* It has read since, also if there is one CPU for both. */
		while (__atomic_load_n(&reader.rounds, __ATOMIC_RELAXED) == rounds)
			sched_yield();
	}
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, reader.wrong);
	munmap((void *)reader.regs, SVA_DMA_BAR_SIZE);
}

/* Without a driver the function is no bus master: the job waits until it is. */
static void start_a_job_by_hand(struct __test_metadata *_metadata, const char *bdf,
				__u32 channel, __u32 pasid, const struct sva_job *job)
{
	volatile __u32 *regs = map_registers(bdf);
	volatile __u32 *block, *page;

	ASSERT_NE(MAP_FAILED, regs);
	block = regs + (SVA_DMA_CHAN_BASE + channel * SVA_DMA_CHAN_STRIDE) / 4;
	page = regs + (SVA_DMA_JOB_BASE + channel * SVA_DMA_JOB_STRIDE) / 4;
	regs[SVA_DMA_REG_CTRL / 4] = SVA_DMA_CTRL_ENABLE;
	block[SVA_DMA_CHAN_PASID / 4] = pasid;
	block[SVA_DMA_CHAN_CTRL / 4] = SVA_DMA_CHAN_ENABLE;
	page[SVA_DMA_JOB_OP / 4] = job->op;
	page[SVA_DMA_JOB_DST / 4] = job->dst;
	page[SVA_DMA_JOB_DST / 4 + 1] = job->dst >> 32;
	page[SVA_DMA_JOB_LEN / 4] = job->len;
	page[SVA_DMA_JOB_ARG0 / 4] = job->arg0;
	page[SVA_DMA_JOB_REPEAT / 4] = SVA_FOREVER;
	page[SVA_DMA_JOB_START / 4] = 1;
	EXPECT_EQ(SVA_DMA_RUNNING, page[SVA_DMA_JOB_STATUS / 4]);
	munmap((void *)regs, SVA_DMA_BAR_SIZE);
}

TEST_F(device, function_that_runs_is_stopped_before_the_driver_makes_it_a_master)
{
	struct sva_job job = sva_fill(self->memory, DEV_LEN, 0x74);
	__u8 *other = anon(DEV_LEN);
	struct sva_queue second;
	__u32 last;
	char bdf[32];

	snprintf(bdf, sizeof(bdf), "%s", self->env.sva[0].bdf);
	memset(self->memory, 0x75, DEV_LEN);
	/* The process has one PASID on all devices: the job would find its memory. */
	start(&second, &self->env.sva[1]);
	last = self->q.info.channels - 1;
	sva_close(&self->q);
	pci_write(bdf, "driver/unbind", bdf);
	pci_listens(bdf, true);
	start_a_job_by_hand(_metadata, bdf, last, second.info.pasid, &job);

	ASSERT_EQ(0, sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", bdf));
	find_again(_metadata, &self->env.sva[0], bdf);
	memset(&self->env.before[0], 0, sizeof(self->env.before[0]));
	start(&self->q, &self->env.sva[0]);
	EXPECT_EQ(second.info.pasid, self->q.info.pasid);
	run_ok(&self->q, sva_fill(other, DEV_LEN, 0x76));
	did_nothing_else(_metadata, &self->env, &self->q);
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x75));
	sva_close(&second);
}

TEST_F(device, job_page_tells_nothing_of_its_last_owner)
{
	__u32 reg, channel = self->q.info.channel;
	int i;

	for (i = 0; i < 2; i++) {
		/* A result and where it came from, or an address that failed */
		if (!i)
			run_ok(&self->q, sva_checksum(self->memory, DEV_LEN));
		else
			refused(&self->q, sva_copy(self->memory, (void *)8, 8));
		sva_close(&self->q);
		start(&self->q, &self->env.sva[0]);
		ASSERT_EQ(channel, self->q.info.channel);
		for (reg = 0; reg <= SVA_DMA_JOB_PASSES; reg += 4)
			EXPECT_EQ(0, *(volatile __u32 *)(self->q.job + reg)) {
				TH_LOG("round %d: register %#x", i, reg);
			}
	}
}

/* An ordinary program can neither start nor map a queue of another process. */
static int use_the_others_queue(int unstarted, int unmapped)
{
	if (setgid(65534) || setuid(65534))
		return 1;
	if (!ioctl(unstarted, UACCE_CMD_START_Q) || errno != EPERM)
		return 2;
	if (mmap(ANYWHERE, PAGE, RW, MAP_SHARED, unmapped, 0) != MAP_FAILED || errno != EPERM)
		return 3;
	return 0;
}

TEST_F(device, queue_is_for_the_process_that_opened_it)
{
	struct sva_queue other;
	pid_t child;
	int status;

	ASSERT_EQ(0, sva_open(&other, &self->env.sva[0]));
	ASSERT_EQ(0, munmap((void *)self->q.job, PAGE));
	self->q.job = NULL;
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(use_the_others_queue(other.fd, self->q.fd));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));

	ASSERT_EQ(0, sva_start(&other));
	run_ok(&other, sva_fill(self->memory, DEV_LEN, 0x77));
	ASSERT_EQ(0, sva_stop(&self->q));
	ASSERT_EQ(0, sva_start(&self->q));
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 0x78));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x78));
	sva_close(&other);
}

/* ---- pause ---- */

struct watcher {
	volatile __u8 *job;
	bool stop;
	__s64 longest;		/* ms that a look took */
};

static void *watch_the_job_page(void *arg)
{
	struct watcher *w = arg;
	__s64 now, last = sva_now_ms();

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		(void)*(volatile __u32 *)(w->job + SVA_DMA_JOB_STATUS);
		now = sva_now_ms();
		if (now - last > __atomic_load_n(&w->longest, __ATOMIC_RELAXED))
			__atomic_store_n(&w->longest, now - last, __ATOMIC_RELAXED);
		last = now;
	}
	return NULL;
}

#define FLR_MS	100		/* at the least: PCIe 6.0, section 6.6.2 */

/* A read in the middle of a reset has no meaning; the reader waits until the reset is over. */
TEST_F(device, job_page_is_out_of_reach_during_a_reset)
{
	struct watcher watcher = { .job = self->q.job };
	pthread_t thread;
	__s64 end;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, watch_the_job_page, &watcher));
	for (i = 0; i < 5; i++) {
		__atomic_store_n(&watcher.longest, 0, __ATOMIC_RELAXED);
		pci_write(self->env.sva[0].bdf, "reset", "1");
		/* The read that has waited returns a moment later. */
		end = sva_now_ms() + SVA_TIMEOUT_MS;
		while (__atomic_load_n(&watcher.longest, __ATOMIC_RELAXED) < FLR_MS &&
		       sva_now_ms() < end)
			sva_relax();
		EXPECT_LE(FLR_MS, __atomic_load_n(&watcher.longest, __ATOMIC_RELAXED)) {
			break;
		}
	}
	__atomic_store_n(&watcher.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

/*
 * Frees page frames that a device writes to, one region after the other, and looks whether it goes
 * on writing to them. Each region is a job's of its own: one that waits for a page leaves the
 * others.
 */
#define THIEF_REGIONS	8
#define THIEF_PAGES	8
#define THIEF_LEN	(THIEF_PAGES * PAGE)

struct thief {
	__u8 *region[THIEF_REGIONS];
	bool stop;
	size_t again;
	int wrong;
};

static void steal_frames(struct thief *thief, void *region)
{
	__u64 freed[THIEF_PAGES], now[THIEF_PAGES];
	__u8 *other = mmap(ANYWHERE, THIEF_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	frames_of(region, THIEF_PAGES, freed);
	madvise(region, THIEF_LEN, MADV_DONTNEED);
	memset(other, 0xee, THIEF_LEN);
	frames_of(other, THIEF_PAGES, now);
	thief->again += frames_in_common(freed, now, THIEF_PAGES);
	sva_relax();
	thief->wrong += differs(other, THIEF_LEN, 0xee) != -1;
	munmap(other, THIEF_LEN);
}

static void *thief_loop(void *arg)
{
	struct thief *thief = arg;
	int i = 0;

	stay_on_this_cpu();
	while (!__atomic_load_n(&thief->stop, __ATOMIC_RELAXED))
		steal_frames(thief, thief->region[i++ % THIEF_REGIONS]);
	return NULL;
}

/*
 * From the moment when the kernel sends a device no invalidations any more, because it is about to
 * be reset, the device must not write, even if it did not react to the stop.
 */
TEST_F(device, function_that_does_not_stop_writes_nothing_during_its_reset)
{
	const char *bdf = self->env.sva[0].bdf;
	struct sva_queue q[THIEF_REGIONS];
	struct thief thief = {};
	pthread_t thread;
	int i, round;

	self->env.noisy = true;
	for (i = 0; i < THIEF_REGIONS; i++) {
		thief.region[i] = anon(THIEF_LEN);
		start(&q[i], &self->env.sva[0]);
	}
	kmsg_mark("SVA-EXPECT", self->env.sva[0].stall ? DEAF "|" EVENT_OF_A_STALL : DEAF);
	ASSERT_EQ(0, pthread_create(&thread, NULL, thief_loop, &thief));
	for (round = 0; round < 6; round++) {
		for (i = 0; i < THIEF_REGIONS; i++)
			background(&q[i], sva_fill(thief.region[i], THIEF_LEN, 0xdd));
		pci_listens(bdf, false);
		pci_write(bdf, "reset", "1");
		pci_listens(bdf, true);
		pci_write(bdf, "reset", "1");
	}
	__atomic_store_n(&thief.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	kmsg_mark("SVA-EXPECT-END", "");
	EXPECT_EQ(0, thief.wrong);
	EXPECT_LE(THIEF_PAGES, thief.again);
	for (i = 0; i < THIEF_REGIONS; i++)
		sva_close(&q[i]);
}

TEST_F(device, abort_ends_a_job)
{
	background(&self->q, sva_fill(self->memory, DEV_LEN, 0x68));
	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&self->q).status);
	memset(self->memory, 0, DEV_LEN);
	EXPECT_EQ(sva_fnv1a(self->memory, DEV_LEN),
		  run_ok(&self->q, sva_checksum(self->memory, DEV_LEN)).value);
}

/* ---- a device that completes no ATC invalidation ---- */

/* What VT-d and AMD's IOMMU, or SMMUv3, log; and the core */
#define TIME_OUT_X86 "DMAR: (VT-d detected Invalidation|QI (HEAD|PRIOR): |Invalidation Time-out|" \
	"DRHD: handling fault)|Event logged .IOTLB_INV_TIMEOUT |has not completed an ATC invalidation"
#define TIME_OUT_SMMU "arm-smmu-v3 .*: (CMDQ error .*: ATC invalidate timeout|unexpected global " \
	"error|CMD_SYNC timeout|commands take long)|has not completed an ATC invalidation"

/*
 * ATC invalidations that the function has got since its reset. Each that it does not complete makes
 * the IOMMU wait, so they are what delays others: counted, since a slow machine takes longer.
 */
static __u32 invalidations(const volatile __u32 *regs)
{
	regs += SVA_DMA_REG_COUNTERS / 4;
	return regs[2 * SVA_DMA_CNT_INV_PASID] + regs[2 * SVA_DMA_CNT_INV_GLOBAL];
}

/* A process that has a bond when it exits */
static int exit_with_a_bond(struct line line, void *arg)
{
	__u8 *memory = mmap(ANYWHERE, DEV_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sva_job job = sva_fill(memory, DEV_LEN, 1);
	struct sva_queue q;

	CHECK(memory != MAP_FAILED);
	CHECK(!sva_open(&q, arg));
	CHECK(!sva_start(&q));
	CHECK(sva_run(&q, &job).status == SVA_DMA_DONE);
	post(line);
	CHECK(await(line));
	return 0;
}

/* One that has nothing to do with the device, but with its IOMMU */
static int unmap_a_line(struct line line, void *arg)
{
	__s64 end = sva_now_ms() + 2 * SVA_TIMEOUT_MS;
	struct pollfd told = { .fd = line.in, .events = POLLIN };
	struct sva_job job;
	struct sva_queue q;
	void *memory;

	CHECK(!sva_open(&q, arg));
	CHECK(!sva_start(&q));
	post(line);
	while (!poll(&told, 1, 0) && sva_now_ms() < end) {
		memory = mmap(ANYWHERE, DEV_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(memory != MAP_FAILED);
		job = sva_fill(memory, DEV_LEN, 1);
		CHECK(sva_run(&q, &job).status == SVA_DMA_DONE);
		CHECK(!munmap(memory, DEV_LEN));
	}
	CHECK(sva_now_ms() < end);
	sva_close(&q);
	return 0;
}

/* What the device may still translate is not given out until it has been reset. */
static void refuses_binds(struct __test_metadata *_metadata, const struct sva_device *device)
{
	struct sva_queue q;
	int error;

	error = sva_open(&q, device);
	if (!error)
		error = sva_start(&q);
	EXPECT_EQ(-EBUSY, error);
	sva_close(&q);
	EXPECT_LT(0, iopf_count(device, "unconfirmed"));
}

TEST_F(device, invalidations_that_are_never_completed_delay_others_once)
{
	__u8 *first = anon(DEV_LEN), *second = anon(DEV_LEN);
	struct sva_device *device = &self->env.sva[0];
	volatile __u32 *regs = map_registers(device->bdf);
	struct peer exits, neighbour;
	struct sva_queue other;
	char bdf[32];
	__u32 asked;

	if (device->stall)
		SKIP(return, NO_PAGE_REQUESTS);
	ASSERT_NE(MAP_FAILED, regs);
	snprintf(bdf, sizeof(bdf), "%s", device->bdf);
	self->env.noisy = true;
	start(&other, &self->env.sva[1]);
	run_ok(&self->q, sva_fill(first, DEV_LEN, 1));
	run_ok(&self->q, sva_fill(second, DEV_LEN, 1));
	run_ok(&other, sva_fill(first, DEV_LEN, 2));
	peer_start(_metadata, &exits, exit_with_a_bond, device);
	ASSERT_TRUE(await(exits.line));
	peer_start(_metadata, &neighbour, unmap_a_line, &self->env.sva[1]);
	ASSERT_TRUE(await(neighbour.line));
	/* fork() has made these read-only. */
	run_ok(&self->q, sva_fill(first, DEV_LEN, 1));
	run_ok(&other, sva_fill(first, DEV_LEN, 2));

	kmsg_mark("SVA-EXPECT", env_has_smmu() ? TIME_OUT_SMMU : TIME_OUT_X86);
	regs[SVA_DMA_REG_BEHAVIOUR / 4] = SVA_DMA_INV_HANG;
	asked = invalidations(regs);
	munmap(first, DEV_LEN);
	EXPECT_LT(asked, invalidations(regs));
	/* Others wait no more: it is asked for nothing until its reset. */
	asked = invalidations(regs);
	/* Both had cached it; the invalidation for this one was not lost with the other's. */
	refused(&other, sva_fill(first, DEV_LEN, 3));
	munmap(second, DEV_LEN);
	post(exits.line);
	peer_ends_well(&exits);
	post(neighbour.line);
	peer_ends_well(&neighbour);
	sva_close(&self->q);
	EXPECT_EQ(asked, invalidations(regs));
	refuses_binds(_metadata, device);

	/* The reset brings back what the model's properties say. */
	pci_write(bdf, "reset", "1");
	start(&self->q, device);
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 4));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 4));

	regs[SVA_DMA_REG_BEHAVIOUR / 4] = SVA_DMA_INV_HANG;
	pci_write(bdf, "driver/unbind", bdf);
	pci_write(bdf, "remove", "1");
	sva_close(&self->q);
	ASSERT_EQ(0, sva_rescan(bdf));
	find_again(_metadata, device, bdf);
	pci_write(bdf, "reset", "1");
	kmsg_mark("SVA-EXPECT-END", "");
	start(&self->q, device);
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 5));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 5));
	sva_close(&other);
	memset(&self->env.before[0], 0, sizeof(self->env.before[0]));
}

/* Counts of one job that no invalidation came in between of: the kernel may move pages. */
static void undisturbed(struct __test_metadata *_metadata, struct sva_queue *q,
			struct sva_job job, __u64 *requests, __u64 *hits)
{
	struct sva_dma_counters before, after;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, sva_counters(q, &before));
		run_ok(q, job);
		ASSERT_EQ(0, sva_counters(q, &after));
		if (before.value[SVA_DMA_CNT_INV_ENTRIES] == after.value[SVA_DMA_CNT_INV_ENTRIES])
			break;
		run_ok(q, job);
	}
	*requests = env_delta(&before, &after, SVA_DMA_CNT_ATS_REQUESTS);
	*hits = env_delta(&before, &after, SVA_DMA_CNT_ATC_HITS);
}

TEST_F(device, second_pass_is_served_from_the_atc)
{
	__u64 requests, hits;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 1));
	undisturbed(_metadata, &self->q, sva_fill(self->memory, DEV_LEN, 2), &requests, &hits);
	EXPECT_EQ(0, requests);
	EXPECT_EQ(DEV_LEN / DMA_PAGE, hits);
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 2));

	requests = counter(_metadata, &self->q, SVA_DMA_CNT_ATS_REQUESTS);
	ASSERT_EQ(0, sva_control(&self->q, SVA_DMA_CTRL_DROP_ATC));
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 3));
	EXPECT_LE(requests + DEV_LEN / PAGE,
		  counter(_metadata, &self->q, SVA_DMA_CNT_ATS_REQUESTS));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 3));
}

TEST_F(device, munmap_invalidates_with_pasid_only_what_it_must)
{
	__u64 global = counter(_metadata, &self->q, SVA_DMA_CNT_INV_GLOBAL);
	struct sva_dma_counters before, after;
	/* Pages askew may take some of their neighbours with them, if that saves commands. */
	__u8 *memory = anon_aligned(_metadata, DEV_LEN);
	int i;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	/* After reclaim the next unmapping flushes all of the mm; fork() passes that on. */
	*(char *)memory = 1;
	ASSERT_EQ(0, madvise(memory, PAGE, MADV_DONTNEED));
	/* What is not touched stays in the ATC, unless the kernel moves a page at the same time. */
	for (i = 0; i < 10; i++) {
		run_ok(&self->q, sva_fill(memory, DEV_LEN, 1));
		ASSERT_EQ(0, sva_counters(&self->q, &before));
		ASSERT_EQ(0, madvise(memory, 4 * PAGE, MADV_DONTNEED));
		run_ok(&self->q, sva_fill(memory + DEV_LEN / 2, DEV_LEN / 2, 2));
		ASSERT_EQ(0, sva_counters(&self->q, &after));
		if (env_delta(&before, &after, SVA_DMA_CNT_INV_ENTRIES) == 4)
			break;
	}
	EXPECT_EQ(4, env_delta(&before, &after, SVA_DMA_CNT_INV_ENTRIES));
	EXPECT_LE(1, env_delta(&before, &after, SVA_DMA_CNT_INV_PASID));
	EXPECT_EQ(0, env_delta(&before, &after, SVA_DMA_CNT_ATS_REQUESTS));
	EXPECT_EQ(global, counter(_metadata, &self->q, SVA_DMA_CNT_INV_GLOBAL));
}

TEST_F(device, arguments_of_ioctls_are_checked)
{
	struct sva_dma_raw raw = {};
	struct sva_dma_info info;
	__u32 word;
	int fd = self->q.fd;

	EXPECT_EQ(-1, ioctl(fd, _IO('W', 0x7f)));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_INFO, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_COUNTERS, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_RAW_SEND, NULL));
	EXPECT_EQ(EFAULT, errno);

	word = SVA_DMA_CTRL_ENABLE;
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_CONTROL, &word));
	EXPECT_EQ(EINVAL, errno);
	word = 0;
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_CONTROL, &word));
	EXPECT_EQ(EINVAL, errno);
	word = ~0U;
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_FLAGS, &word));
	EXPECT_EQ(EINVAL, errno);
	word = SVA_DMA_CHAN_NO_PRI;
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_FLAGS, &word));
	EXPECT_EQ(EBUSY, errno);

	raw.pasid = 1 << 20;
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_RAW_SEND, &raw));
	EXPECT_EQ(EINVAL, errno);
	raw.pasid = 1;
	raw.flags = 1U << 31;
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_RAW_SEND, &raw));
	EXPECT_EQ(EINVAL, errno);
	raw.flags = 0;
	raw.reserved = 1;
	EXPECT_EQ(-1, ioctl(fd, SVA_DMA_IOC_RAW_SEND, &raw));
	EXPECT_EQ(EINVAL, errno);

	/* Starting twice is an error, querying again is none. */
	EXPECT_EQ(-1, ioctl(fd, UACCE_CMD_START_Q));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, ioctl(fd, SVA_DMA_IOC_INFO, &info));
	EXPECT_EQ(self->q.info.pasid, info.pasid);
	EXPECT_EQ(self->q.info.channel, info.channel);
}

TEST_F(device, raw_access_needs_a_capability)
{
	pid_t child = fork();
	int status;

	ASSERT_LE(0, child);
	if (!child) {
		__u32 word = SVA_DMA_CTRL_DROP_ATC;
		struct sva_dma_raw raw = {};
		struct sva_dma_counters counters;

		if (setuid(65534))
			_exit(1);
		if (!ioctl(self->q.fd, SVA_DMA_IOC_CONTROL, &word) || errno != EPERM)
			_exit(2);
		if (!ioctl(self->q.fd, SVA_DMA_IOC_RAW_SEND, &raw) || errno != EPERM)
			_exit(3);
		if (!ioctl(self->q.fd, SVA_DMA_IOC_RAW_RECV, &word) || errno != EPERM)
			_exit(4);
		_exit(ioctl(self->q.fd, SVA_DMA_IOC_COUNTERS, &counters) ? 5 : 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST_F(device, job_page_is_mapped_whole_shared_and_once)
{
	int page = getpagesize();
	struct sva_queue q;

	ASSERT_EQ(0, sva_open(&q, &self->env.sva[0]));
	EXPECT_EQ(MAP_FAILED, mmap(ANYWHERE, page, RW, MAP_SHARED, q.fd, 0));
	EXPECT_EQ(ENXIO, errno);
	ASSERT_EQ(0, ioctl(q.fd, UACCE_CMD_START_Q));
	EXPECT_EQ(MAP_FAILED, mmap(ANYWHERE, 2 * page, RW, MAP_SHARED, q.fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(ANYWHERE, page, RW, MAP_PRIVATE, q.fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(ANYWHERE, page, RW, MAP_SHARED, q.fd, page));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(ANYWHERE, page, RW, MAP_SHARED, q.fd, 64 * page));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(ANYWHERE, page, RW, MAP_SHARED, self->q.fd, 0));
	EXPECT_EQ(EEXIST, errno);
	sva_close(&q);
}

TEST_F(device, stopped_queue_takes_no_job)
{
	struct sva_job job = sva_fill(self->memory, PAGE, 1);

	run_ok(&self->q, job);
	ASSERT_EQ(0, sva_stop(&self->q));
	job = sva_fill(self->memory, PAGE, 2);
	EXPECT_EQ(SVA_DMA_ERR_DISABLED, sva_run(&self->q, &job).status);
	EXPECT_EQ(-1, differs(self->memory, PAGE, 1));
	ASSERT_EQ(0, sva_start(&self->q));
	run_ok(&self->q, job);
	EXPECT_EQ(-1, differs(self->memory, PAGE, 2));
}
