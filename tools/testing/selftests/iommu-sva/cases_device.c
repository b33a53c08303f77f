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
		CHECK(!write_text(path, "1"));
	}
	return 0;
}

TEST_F(device, resets_while_queues_open_start_and_close)
{
	struct sva_job job = sva_fill(self->memory, DEV_LEN, 0x60);
	int error, status = 0, worked = 0;
	struct sva_queue q;
	struct peer peer;

	peer_start(_metadata, &peer, reset_again_and_again, &self->env.sva[0]);
	while (waitpid(peer.pid, &status, WNOHANG) == 0) {
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
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	struct sva_device all[SVA_MAX_DEVICES];
	struct stat st;
	int n, i;

	do {
		n = sva_devices(all, SVA_MAX_DEVICES);
		for (i = 0; i < n; i++) {
			if (strcmp(all[i].bdf, bdf) || stat(all[i].node, &st))
				continue;
			*device = all[i];
			return;
		}
		sva_relax();
	} while (sva_now_ms() < end);
	ASSERT_TRUE(false) {
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
		ASSERT_EQ(0, write_text("/sys/bus/pci/drivers/sva-dma/bind", address));
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
	ASSERT_EQ(0, write_text("/sys/bus/pci/rescan", "1"));
	find_again(_metadata, &self->env.sva[0], address);
	start(&self->q, &self->env.sva[0]);
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 0x66));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x66));
	post(peer.line);
	peer_ends_well(&peer);
	memset(&self->env.before[0], 0, sizeof(self->env.before[0]));
}

TEST_F(device, interrupt_wakes_poll)
{
	struct pollfd ready = { .fd = self->q.fd, .events = POLLIN };
	struct sva_job job = sva_fill(self->memory, DEV_LEN, 0x67);
	int i;

	/* Nothing has been submitted. */
	EXPECT_EQ(0, poll(&ready, 1, 0));
	job.op |= SVA_DMA_OP_IRQ;
	for (i = 0; i < 20; i++) {
		sva_submit(&self->q, &job);
		ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
		EXPECT_EQ(POLLIN, ready.revents);
		ASSERT_EQ(SVA_DMA_DONE, sva_peek(&self->q).status);
	}
}

TEST_F(device, abort_ends_a_job)
{
	background(&self->q, sva_fill(self->memory, DEV_LEN, 0x68));
	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&self->q).status);
	memset(self->memory, 0, DEV_LEN);
	EXPECT_EQ(sva_fnv1a(self->memory, DEV_LEN),
		  run_ok(&self->q, sva_checksum(self->memory, DEV_LEN)).value);
}

TEST_F(device, second_pass_is_served_from_the_atc)
{
	__u64 requests, hits;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 1));
	requests = counter(_metadata, &self->q, SVA_DMA_CNT_ATS_REQUESTS);
	hits = counter(_metadata, &self->q, SVA_DMA_CNT_ATC_HITS);
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 2));
	EXPECT_EQ(requests, counter(_metadata, &self->q, SVA_DMA_CNT_ATS_REQUESTS));
	EXPECT_LE(hits + DEV_LEN / PAGE, counter(_metadata, &self->q, SVA_DMA_CNT_ATC_HITS));

	ASSERT_EQ(0, sva_control(&self->q, SVA_DMA_CTRL_DROP_ATC));
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 3));
	EXPECT_LE(requests + DEV_LEN / PAGE,
		  counter(_metadata, &self->q, SVA_DMA_CNT_ATS_REQUESTS));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 3));
}

TEST_F(device, munmap_invalidates_with_pasid_only_what_it_must)
{
	__u64 global = counter(_metadata, &self->q, SVA_DMA_CNT_INV_GLOBAL);
	__u64 pasid = counter(_metadata, &self->q, SVA_DMA_CNT_INV_PASID);
	__u64 requests;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	/* After reclaim the next unmapping flushes all of the mm; fork() passes that on. */
	*(char *)self->memory = 1;
	ASSERT_EQ(0, madvise(self->memory, PAGE, MADV_DONTNEED));
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 1));
	ASSERT_EQ(0, madvise(self->memory, 4 * PAGE, MADV_DONTNEED));
	EXPECT_LT(pasid, counter(_metadata, &self->q, SVA_DMA_CNT_INV_PASID));
	EXPECT_EQ(global, counter(_metadata, &self->q, SVA_DMA_CNT_INV_GLOBAL));
	/* What was not touched is still in the ATC. */
	requests = counter(_metadata, &self->q, SVA_DMA_CNT_ATS_REQUESTS);
	run_ok(&self->q, sva_fill(self->memory + DEV_LEN / 2, DEV_LEN / 2, 2));
	EXPECT_EQ(requests, counter(_metadata, &self->q, SVA_DMA_CNT_ATS_REQUESTS));
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

	/* Starting twice is a mistake, asking again is none. */
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
