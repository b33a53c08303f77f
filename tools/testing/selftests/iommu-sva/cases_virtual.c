// SPDX-License-Identifier: GPL-2.0-only
/*
 * A virtual function beside its physical one: PASID and PRI are those of the physical function;
 * ATC, channels and page request indices are each one's own (PCIe 6.0, 9.3.7, 10.5.2).
 */

#define VIRTUAL_LEN	(32 * PAGE)
#define VIRTUAL_PRGI	5	/* of both functions at the same time */

FIXTURE(virtual) {
	struct sva_env env;
	struct sva_device device;
	struct sva_queue vf;
	struct sva_queue pf;
	__u8 *memory;
};

FIXTURE_SETUP(virtual)
{
	const char *bdf = self->env.sva[1].bdf, *name;
	char path[128], target[256];
	ssize_t len;

	env_setup(_metadata, &self->env);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/sriov_numvfs", bdf);
	if (access(path, W_OK))
		SKIP(return, "no device has virtual functions");
	pci_write(bdf, "sriov_numvfs", "1");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/virtfn0", bdf);
	len = readlink(path, target, sizeof(target) - 1);
	ASSERT_LT(0, len);
	target[len] = '\0';
	name = strrchr(target, '/') + 1;
	ASSERT_EQ(0, sva_find_again(&self->device, name)) {
		TH_LOG("the driver has not taken %s", name);
	}
	start(&self->vf, &self->device);
	start(&self->pf, &self->env.sva[1]);
	self->memory = anon(VIRTUAL_LEN);
}

FIXTURE_TEARDOWN(virtual)
{
	sva_close(&self->vf);
	sva_close(&self->pf);
	pci_write(self->env.sva[1].bdf, "sriov_numvfs", "0");
	env_teardown(_metadata, &self->env);
}

/* Each has its own count of page requests, and of translations that it had to forget. */
TEST_F(virtual, function_shares_the_pasid_and_no_translations)
{
	__u8 *other = anon(VIRTUAL_LEN);

	EXPECT_EQ(self->pf.info.pasid, self->vf.info.pasid);
	run_ok(&self->vf, sva_fill(self->memory, VIRTUAL_LEN, 0x31));
	EXPECT_EQ(-1, differs(self->memory, VIRTUAL_LEN, 0x31));
	EXPECT_LE(VIRTUAL_LEN / PAGE, counter(_metadata, &self->vf, SVA_DMA_CNT_PRI_SUCCESS));
	EXPECT_EQ(sva_fnv1a(self->memory, VIRTUAL_LEN),
		  run_ok(&self->pf, sva_checksum(self->memory, VIRTUAL_LEN)).value);
	run_ok(&self->pf, sva_fill(self->memory, VIRTUAL_LEN, 0x32));
	run_ok(&self->vf, sva_fill(self->memory, VIRTUAL_LEN, 0x33));
	run_ok(&self->vf, sva_fill(other, VIRTUAL_LEN, 0x34));

	munmap(self->memory, VIRTUAL_LEN);
	refused(&self->vf, sva_fill(self->memory, 8, 0x35));
	refused(&self->pf, sva_fill(self->memory, 8, 0x36));
	EXPECT_EQ(-1, differs(other, VIRTUAL_LEN, 0x34));
}

/* Both ask at the same time, with one index and one PASID; the answers differ. */
TEST_F(virtual, answers_go_to_the_function_that_has_asked)
{
	struct pollfd ready = { .events = POLLIN };
	struct sva_queue *late = &self->pf, *soon = &self->vf, *swap;
	struct uffd_msg msg;
	__u32 resp;
	int i;

	ready.fd = uffd_register(_metadata, self->memory, PAGE);
	for (i = 0; i < 2; i++) {
		raw_send(late, late->info.pasid, self->memory, RAW_WRITE | VIRTUAL_PRGI);
		ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
		ASSERT_EQ(sizeof(msg), read(ready.fd, &msg, sizeof(msg)));
		raw_send(soon, soon->info.pasid, NULL, RAW_WRITE | VIRTUAL_PRGI);
		raw_answer(soon, VIRTUAL_PRGI, PRI_INVALID);
		EXPECT_EQ(-ENODATA, sva_raw_recv(late, 0, &resp));
		let_come(ready.fd, self->memory);
		raw_answer(late, VIRTUAL_PRGI, PRI_SUCCESS);
		EXPECT_EQ(-ENODATA, sva_raw_recv(soon, 0, &resp));
		ASSERT_EQ(0, madvise(self->memory, PAGE, MADV_DONTNEED));
		swap = late;
		late = soon;
		soon = swap;
	}
	for (i = 0; i < 2; i++) {
		swap = i ? &self->vf : &self->pf;
		EXPECT_EQ(0, counter(_metadata, swap, SVA_DMA_CNT_PRI_FAILURE));
		run_ok(swap, sva_fill(anon(PAGE), PAGE, 0x37));
	}
	close(ready.fd);
}

/* It goes in the middle of a job; the physical function's goes on. */
TEST_F(virtual, function_leaves_its_physical_one_alone)
{
	__u8 *other = anon(VIRTUAL_LEN);

	background(&self->vf, sva_fill(self->memory, VIRTUAL_LEN, 0x38));
	background(&self->pf, sva_fill(other, VIRTUAL_LEN, 0x39));
	pci_write(self->env.sva[1].bdf, "sriov_numvfs", "0");
	memset(self->memory, 0x3a, VIRTUAL_LEN);
	EXPECT_EQ(SVA_DMA_RUNNING, sva_wait_progress(&self->pf, VIRTUAL_LEN).status);
	EXPECT_EQ(-1, differs(self->memory, VIRTUAL_LEN, 0x3a));
	EXPECT_EQ(SIGBUS, probe(self->vf.job + SVA_DMA_JOB_STATUS));
	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&self->pf).status);
	EXPECT_EQ(-1, differs(other, VIRTUAL_LEN, 0x39));
}

/* PASID and PRI that it uses go with the driver of the physical function. */
TEST_F(virtual, function_goes_before_its_physical_one)
{
	char pf[32], path[128];

	snprintf(pf, sizeof(pf), "%s", self->env.sva[1].bdf);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", self->device.bdf);
	background(&self->vf, sva_fill(self->memory, VIRTUAL_LEN, 0x3b));
	pci_write(pf, "driver/unbind", pf);
	EXPECT_EQ(-1, access(path, F_OK));
	memset(self->memory, 0x3c, VIRTUAL_LEN);
	sva_close(&self->vf);
	sva_close(&self->pf);

	ASSERT_EQ(0, sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", pf));
	find_again(_metadata, &self->env.sva[1], pf);
	memset(&self->env.before[1], 0, sizeof(self->env.before[1]));
	start(&self->pf, &self->env.sva[1]);
	EXPECT_EQ(sva_fnv1a(self->memory, VIRTUAL_LEN),
		  run_ok(&self->pf, sva_checksum(self->memory, VIRTUAL_LEN)).value);
	EXPECT_EQ(-1, differs(self->memory, VIRTUAL_LEN, 0x3c));
}
