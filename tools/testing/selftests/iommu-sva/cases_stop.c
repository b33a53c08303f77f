// SPDX-License-Identifier: GPL-2.0-only
/* Channels that are slow to stop, or do not. The fixture is that of cases_device.c. */

#define STOP_MS		5000	/* so long the driver waits for a channel, then it resets */

/* Selects what STOP does, until the function is reset. Returns what it was. */
static __u32 stop_mode(struct __test_metadata *_metadata, const char *bdf, __u32 mode)
{
	volatile __u32 *regs = map_registers(bdf);
	__u32 before;

	ASSERT_NE(MAP_FAILED, regs);
	before = regs[SVA_DMA_REG_BEHAVIOUR / 4];
	regs[SVA_DMA_REG_BEHAVIOUR / 4] = (before & ~SVA_DMA_STOP) | mode;
	munmap((void *)regs, SVA_DMA_BAR_SIZE);
	return before & SVA_DMA_STOP;
}

/* Submits a job whose page userfaultfd @fd keeps back; waits until the kernel asks for the page. */
static void wait_for_a_page(struct __test_metadata *_metadata, struct sva_queue *q, void *page,
			    int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	struct sva_job job = sva_fill(page, 8, 0x51);
	struct uffd_msg msg;

	sva_submit(q, &job);
	ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
	ASSERT_EQ(sizeof(msg), read(fd, &msg, sizeof(msg)));
	ASSERT_EQ(SVA_DMA_RUNNING, sva_peek(q).status);
}

/*
 * A device without stop markers has stopped when all is answered. A fault that never ends must not
 * keep it from that, nor may another queue of the process lose its job.
 */
TEST_F(device, channel_that_waits_for_answers_stops_before_its_fault_ends)
{
	__u8 *stuck = anon(2 * PAGE), *page = anon(PAGE);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)stuck + PAGE, .src = (uintptr_t)page, .len = PAGE,
	};
	const char *bdf = self->env.sva[0].bdf;
	__u64 resets, asked;
	struct sva_queue q;
	__u32 mode;
	int fd;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	memset(page, 0x50, PAGE);
	fd = uffd_register(_metadata, stuck, 2 * PAGE);
	start(&q, &self->env.sva[0]);
	ASSERT_EQ(self->q.info.pasid, q.info.pasid);
	resets = counter(_metadata, &q, SVA_DMA_CNT_RESETS);
	mode = stop_mode(_metadata, bdf, SVA_DMA_STOP_WAIT);
	wait_for_a_page(_metadata, &q, stuck, fd);
	wait_for_a_page(_metadata, &self->q, stuck + PAGE, fd);

	asked = counter(_metadata, &q, SVA_DMA_CNT_PRI_GROUPS);
	ASSERT_EQ(0, sva_stop(&q));
	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_peek(&q).status);
	/* The driver has not lost its patience. */
	EXPECT_EQ(resets, counter(_metadata, &q, SVA_DMA_CNT_RESETS));

	/* The other one has had to ask again, and gets its page. */
	await_fault(_metadata, &self->q, SVA_DMA_CNT_PRI_GROUPS, asked);
	EXPECT_EQ(SVA_DMA_RUNNING, sva_peek(&self->q).status);
	ASSERT_EQ(0, ioctl(fd, UFFDIO_COPY, &copy));
	EXPECT_EQ(SVA_DMA_DONE, sva_wait(&self->q).status);
	EXPECT_EQ(-1, differs(stuck + PAGE, 8, 0x51));
	EXPECT_EQ(-1, differs(stuck + PAGE + 8, PAGE - 8, 0x50));

	ASSERT_EQ(0, sva_start(&q));
	run_ok(&q, sva_fill(self->memory, DEV_LEN, 0x52));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x52));
	sva_close(&q);
	stop_mode(_metadata, bdf, mode);
	close(fd);
}

TEST_F(device, channel_that_ignores_stop_is_reset_and_writes_no_more)
{
	const char *bdf = self->env.sva[0].bdf;
	__u8 *memory = anon(DEV_LEN);
	__u64 resets = counter(_metadata, &self->q, SVA_DMA_CNT_RESETS);
	struct sva_queue q;
	__s64 took;

	self->env.noisy = true;
	start(&q, &self->env.sva[0]);
	background(&q, sva_fill(memory, DEV_LEN, 0x53));
	stop_mode(_metadata, bdf, SVA_DMA_STOP_HANG);
	kmsg_mark("SVA-EXPECT", DEAF);
	took = sva_now_ms();
	sva_close(&q);
	took = sva_now_ms() - took;
	EXPECT_LE(STOP_MS, took);
	memset(memory, 0x54, DEV_LEN);

	/* The access to the job page waits until the reset is over. */
	run_ok(&self->q, sva_fill(self->memory, DEV_LEN, 0x55));
	EXPECT_EQ(resets + 1, counter(_metadata, &self->q, SVA_DMA_CNT_RESETS));
	EXPECT_EQ(-1, differs(self->memory, DEV_LEN, 0x55));
	EXPECT_EQ(-1, differs(memory, DEV_LEN, 0x54));
	kmsg_mark("SVA-EXPECT-END", "");
}
