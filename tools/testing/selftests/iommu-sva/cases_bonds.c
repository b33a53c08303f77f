// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a bond, in its phases: quiet after the exit of its process, loud after the unbind; and
 * how drivers learn of faults in between: listeners, the time limit.
 */
#include <sys/eventfd.h>

#define BOND_LEN	(16 * PAGE)
#define LONG_MS		"600000"	/* longer than any case takes */
#define QUARANTINE	"/sys/module/iommu_sva/parameters/quarantine_ms"

FIXTURE(bonds) {
	struct sva_env env;
	struct sva_queue q;
	__u8 *memory;
	int eventfd;
};

FIXTURE_SETUP(bonds)
{
	env_setup(_metadata, &self->env);
	start(&self->q, &self->env.sva[0]);
	self->memory = anon(BOND_LEN);
	self->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->eventfd);
	ASSERT_EQ(0, sva_listen(&self->q, self->eventfd)) {
		TH_LOG("%s", self->q.error);
	}
}

FIXTURE_TEARDOWN(bonds)
{
	sva_close(&self->q);
	close(self->eventfd);
	env_teardown(_metadata, &self->env);
}

/* Waits for the eventfd and takes the fault that it was signalled for. */
static void fault_is_at(struct __test_metadata *_metadata, int line, struct sva_queue *q, int fd,
			const void *addr, __u32 access, __u32 reason)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	struct sva_dma_fault fault = {};
	__u64 count;

	ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS)) {
		TH_LOG("line %d: the eventfd was not signalled", line);
	}
	ASSERT_EQ(sizeof(count), read(fd, &count, sizeof(count)));
	EXPECT_EQ(1, count);
	ASSERT_EQ(0, sva_next_fault(q, &fault)) {
		TH_LOG("line %d: %s", line, q->error);
	}
	EXPECT_EQ((uintptr_t)addr, fault.addr) {
		TH_LOG("line %d", line);
	}
	EXPECT_EQ(access, fault.access) {
		TH_LOG("line %d", line);
	}
	EXPECT_EQ(reason, fault.reason) {
		TH_LOG("line %d", line);
	}
	EXPECT_EQ(0, fault.lost);
	EXPECT_EQ(-ENODATA, sva_next_fault(q, &fault));
}

#define fault_is(...)	fault_is_at(_metadata, __LINE__, __VA_ARGS__)

/* ---- listeners ---- */

TEST_F(bonds, eventfd_tells_of_a_missing_mapping)
{
	__u8 *gone = anon(PAGE);

	ASSERT_EQ(0, munmap(gone, PAGE));
	refused(&self->q, sva_fill(gone, 8, 1));
	fault_is(&self->q, self->eventfd, gone, SVA_DMA_FAULT_WRITE, SVA_DMA_FAULT_NO_MAPPING);
	refused(&self->q, sva_checksum(gone, 8));
	fault_is(&self->q, self->eventfd, gone, SVA_DMA_FAULT_READ, SVA_DMA_FAULT_NO_MAPPING);
}

TEST_F(bonds, eventfd_tells_of_access_that_the_mapping_forbids)
{
	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	ASSERT_EQ(0, mprotect(self->memory, BOND_LEN, PROT_READ));
	refused(&self->q, sva_fill(self->memory + PAGE, 8, 1));
	fault_is(&self->q, self->eventfd, self->memory + PAGE, SVA_DMA_FAULT_WRITE,
		 SVA_DMA_FAULT_NO_ACCESS);
	run_ok(&self->q, sva_checksum(self->memory, BOND_LEN));
	raw_send(&self->q, self->q.info.pasid, self->memory,
		 RAW_READ | SVA_DMA_RAW_PRIV | 1);
	raw_answer(&self->q, 1, PRI_INVALID);
	fault_is(&self->q, self->eventfd, self->memory, SVA_DMA_FAULT_READ | SVA_DMA_FAULT_PRIV,
		 SVA_DMA_FAULT_NO_ACCESS);
}

TEST_F(bonds, eventfd_tells_of_a_file_that_has_become_shorter)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	__u8 *memory;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	memory = mmap(ANYWHERE, PAGE, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, ftruncate(fd, 0));
	refused(&self->q, sva_checksum(memory, 8));
	fault_is(&self->q, self->eventfd, memory, SVA_DMA_FAULT_READ, SVA_DMA_FAULT_NO_PAGE);
	close(fd);
}

TEST_F(bonds, every_file_of_the_process_hears_of_its_faults)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct sva_queue second;

	start(&second, &self->env.sva[0]);
	ASSERT_EQ(0, sva_listen(&second, fd));
	refused(&self->q, sva_fill(NULL, 8, 1));
	fault_is(&self->q, self->eventfd, NULL, SVA_DMA_FAULT_WRITE, SVA_DMA_FAULT_NO_MAPPING);
	fault_is(&second, fd, NULL, SVA_DMA_FAULT_WRITE, SVA_DMA_FAULT_NO_MAPPING);

	/* One closes; the other is still signalled. */
	sva_close(&second);
	close(fd);
	refused(&self->q, sva_checksum(NULL, 8));
	fault_is(&self->q, self->eventfd, NULL, SVA_DMA_FAULT_READ, SVA_DMA_FAULT_NO_MAPPING);
}

TEST_F(bonds, latest_faults_are_kept_and_the_others_counted)
{
	struct sva_dma_fault fault;
	uintptr_t i;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	/* One after the other: the answer to each comes after it was recorded. */
	for (i = 0; i < 20; i++) {
		raw_send(&self->q, self->q.info.pasid, (void *)(i * PAGE), RAW_READ | i);
		raw_answer(&self->q, i, PRI_INVALID);
	}
	for (i = 4; i < 20; i++) {
		ASSERT_EQ(0, sva_next_fault(&self->q, &fault));
		EXPECT_EQ(i * PAGE, fault.addr);
		EXPECT_EQ(i == 4 ? 4 : 0, fault.lost);
	}
	EXPECT_EQ(-ENODATA, sva_next_fault(&self->q, &fault));
}

TEST_F(bonds, eventfd_can_be_changed_and_taken_back)
{
	int other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct sva_dma_fault fault;
	__u64 count;

	EXPECT_EQ(-EBADF, sva_listen(&self->q, 1000));
	EXPECT_EQ(-EINVAL, sva_listen(&self->q, self->env.kmsg));
	ASSERT_EQ(0, sva_listen(&self->q, other));
	refused(&self->q, sva_fill(NULL, 8, 1));
	fault_is(&self->q, other, NULL, SVA_DMA_FAULT_WRITE, SVA_DMA_FAULT_NO_MAPPING);
	ASSERT_EQ(0, sva_listen(&self->q, -1));
	refused(&self->q, sva_fill(NULL, 8, 1));
	EXPECT_EQ(-1, read(other, &count, sizeof(count)));
	EXPECT_EQ(-1, read(self->eventfd, &count, sizeof(count)));
	/* The driver records a fault that it signals to no eventfd, too. */
	EXPECT_EQ(0, sva_next_fault(&self->q, &fault));
	close(other);
}

/* ---- the quiet phase ---- */

TEST_F(bonds, requests_after_exit_are_refused_counted_and_not_logged)
{
	const struct sva_device *device = &self->env.sva[0];
	struct sva_queue q = SVA_QUEUE_CLOSED;
	long exited, stray, served;
	struct peer peer;
	struct gift gift;
	int pidfd, i;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	peer_start(_metadata, &peer, give_queue_away, &self->env.sva[0]);
	ASSERT_TRUE(hear(peer.line, &gift, sizeof(gift)));
	pidfd = syscall(SYS_pidfd_open, peer.pid, 0);
	q.fd = syscall(SYS_pidfd_getfd, pidfd, gift.fd, 0);
	ASSERT_LE(0, q.fd);
	close(pidfd);
	ASSERT_EQ(0, sva_stop(&q));
	ASSERT_EQ(0, sva_start(&q));
	ASSERT_EQ(0, sva_listen(&q, self->eventfd));
	run_ok(&q, sva_checksum(gift.memory, LIFE_LEN));

	/* The bond is told of the exit, once. */
	post(peer.line);
	peer_ends_well(&peer);
	fault_is(&q, self->eventfd, NULL, 0, SVA_DMA_FAULT_EXITED);

	exited = iopf_count(device, "exited");
	stray = iopf_count(device, "stray");
	served = iopf_count(device, "served");
	for (i = 0; i < 100; i++) {
		raw_send(&q, q.info.pasid, gift.memory, RAW_READ | i);
		raw_answer(&q, i, PRI_INVALID);
	}
	refused(&q, sva_fill(gift.memory, LIFE_LEN, 1));
	EXPECT_EQ(exited + 101, iopf_count(device, "exited"));
	EXPECT_EQ(stray, iopf_count(device, "stray"));
	EXPECT_EQ(served, iopf_count(device, "served"));
	sva_close(&q);
	/* The teardown checks that the log has no line. */
}

/* ---- the loud phase ---- */

/* How often @device has used @pasid without a bond, by the table of strays in debugfs. */
static long strays_of(const struct sva_device *device, __u32 pasid)
{
	FILE *file = fopen("/sys/kernel/debug/iommu-sva/strays", "re");
	char line[128], name[32];
	long found = 0, count;
	unsigned int number;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%u %31s %ld", &number, name, &count) == 3 && number == pasid &&
		    !strcmp(name, device->bdf))
			found = count;
	if (file)
		fclose(file);
	return found;
}

/* A line of the kernel's log that names device, PASID and address. */
static void stray_is_logged(struct __test_metadata *_metadata, struct sva_env *env, __u32 pasid,
			    const void *addr)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	char wanted[64], line[256] = "";

	snprintf(wanted, sizeof(wanted), "for 0x%lx with PASID %u,", (uintptr_t)addr, pasid);
	while (!env_complaints(env, wanted, line, sizeof(line)) && sva_now_ms() < end)
		sva_relax();
	EXPECT_NE(NULL, strstr(line, env->sva[0].bdf)) {
		TH_LOG("no line with '%s'", wanted);
	}
	env->noisy = true;
}

/* Quarantine that ends with the driver's hold on the device, not while the case runs. */
static void long_quarantine(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, sva_write_text(QUARANTINE, LONG_MS));
}

static void end_quarantine(struct __test_metadata *_metadata, struct sva_env *env, int i,
			   __u32 pasid)
{
	char bdf[32];

	snprintf(bdf, sizeof(bdf), "%s", env->sva[i].bdf);
	ASSERT_EQ(0, sva_write_text(QUARANTINE, "10000"));
	pci_write(bdf, "driver/unbind", bdf);
	ASSERT_EQ(0, sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", bdf));
	find_again(_metadata, &env->sva[i], bdf);
	memset(&env->before[i], 0, sizeof(env->before[i]));
	EXPECT_EQ(0, strays_of(&env->sva[i], pasid));
}

TEST_F(bonds, stray_request_is_refused_logged_and_counted)
{
	const struct sva_device *device = &self->env.sva[0];
	struct peer peer;
	__u32 pasid;
	long stray;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	peer_start(_metadata, &peer, hold_queue_open, &self->env.sva[0]);
	ASSERT_TRUE(hear(peer.line, &pasid, sizeof(pasid)));
	post(peer.line);
	peer_ends_well(&peer);

	long_quarantine(_metadata);
	stray = iopf_count(device, "stray");
	raw_send(&self->q, pasid, self->memory, RAW_READ | 9);
	raw_answer(&self->q, 9, PRI_INVALID);
	raw_send(&self->q, pasid, self->memory, RAW_WRITE | 9);
	raw_answer(&self->q, 9, PRI_INVALID);
	EXPECT_EQ(stray + 2, iopf_count(device, "stray"));
	EXPECT_EQ(2, strays_of(device, pasid));
	stray_is_logged(_metadata, &self->env, pasid, self->memory);

	/* The device may be bound by others. */
	run_ok(&self->q, sva_fill(self->memory, BOND_LEN, 1));
	sva_close(&self->q);
	end_quarantine(_metadata, &self->env, 0, pasid);
	start(&self->q, &self->env.sva[0]);
}

struct bad_driver {
	const struct sva_device *device;
	__u8 *memory;
};

/* The process whose PASID a queue goes on using. */
static int be_used_after_unbind(struct line line, void *arg)
{
	struct bad_driver *bad = arg;
	struct sva_queue q;

	CHECK(!sva_open(&q, bad->device));
	CHECK(tell(line, &q.info.pasid, sizeof(q.info.pasid)));
	CHECK(await(line));
	/* The device works here. Now the bond goes, and the driver does not stop the device. */
	CHECK(differs(bad->memory, BOND_LEN, 0x6a) == -1);
	sva_close(&q);
	CHECK(tell(line, "", 1));
	CHECK(await(line));
	memset(bad->memory, 0x6b, BOND_LEN);
	CHECK(await(line));
	CHECK(differs(bad->memory, BOND_LEN, 0x6b) == -1);
	return 0;
}

TEST_F(bonds, dma_that_goes_on_after_unbind_ends_and_is_logged)
{
	struct bad_driver bad = { .device = &self->env.sva[0], .memory = self->memory };
	/* SMMUv3 refuses a translation request without a context descriptor and records nothing. */
	bool stall = self->env.sva[0].stall, silent = env_has_smmu() && !stall;
	__u32 pasid, status = silent ? SVA_DMA_ERR_ATS : stall ? SVA_DMA_ERR_TRANSLATION :
					SVA_DMA_ERR_PRI_INVALID;
	struct sva_job again = sva_fill(self->memory, BOND_LEN, 0x6c);
	struct sva_queue q;
	struct peer peer;
	long stray;

	peer_start(_metadata, &peer, be_used_after_unbind, &bad);
	ASSERT_TRUE(hear(peer.line, &pasid, sizeof(pasid)));
	ASSERT_EQ(0, sva_open(&q, &self->env.sva[0]));
	ASSERT_EQ(0, sva_use_pasid(&q, pasid));
	ASSERT_EQ(0, sva_start(&q));
	EXPECT_EQ(-EBUSY, sva_use_pasid(&q, 0));
	background(&q, sva_fill(self->memory, BOND_LEN, 0x6a));
	long_quarantine(_metadata);
	stray = iopf_count(&self->env.sva[0], "stray");
	if (stall)
		kmsg_mark("SVA-EXPECT", EVENT_WITHOUT_CD);

	post(peer.line);
	ASSERT_TRUE(await(peer.line));
	EXPECT_EQ(status, sva_wait(&q).status);
	/* Requests during the unbind were drained; those that come now are strays. */
	EXPECT_EQ(status, sva_run(&q, &again).status);
	if (!silent) {
		await_iopf_count_above(&self->env.sva[0], "stray", stray);
		EXPECT_LE(1, strays_of(&self->env.sva[0], pasid));
		stray_is_logged(_metadata, &self->env, pasid, stall ? NULL :
				(void *)(uintptr_t)(sva_peek(&q).fault_addr & ~(PAGE - 1)));
	}

	/* No byte of the process is written any more; with its own PASID the queue works. */
	post(peer.line);
	refused(&q, sva_fill(self->memory, BOND_LEN, 0x6c));
	post(peer.line);
	peer_ends_well(&peer);
	ASSERT_EQ(0, sva_stop(&q));
	ASSERT_EQ(0, sva_use_pasid(&q, 0));
	ASSERT_EQ(0, sva_start(&q));
	/* A stall queues behind the events: when it is served, all of them are logged. */
	ASSERT_EQ(0, madvise(self->memory, BOND_LEN, MADV_DONTNEED));
	run_ok(&q, sva_fill(self->memory, BOND_LEN, 0x6d));
	if (stall)
		kmsg_mark("SVA-EXPECT-END", "");
	EXPECT_EQ(-1, differs(self->memory, BOND_LEN, 0x6d));
	sva_close(&q);
	sva_close(&self->q);
	end_quarantine(_metadata, &self->env, 0, pasid);
	start(&self->q, &self->env.sva[0]);
}

/* What VT-d and AMD's IOMMU log */
#define EVENT_OF_A_STRAY	"DMAR: (DRHD: handling fault|.*PASID 0xfffe)|" \
	"Event logged .INVALID_DEVICE_REQUEST .*pasid=0x0fffe"

/*
 * VT-d and AMD's IOMMU complete a translation request for a PASID without an entry with R=W=0 and
 * report nothing; what they report is, among others, a PASID that its table has no room for. With
 * all the PASIDs that the model can have there is none: see PASID_BITS in scripts/test/boot.
 */
TEST_F(bonds, dma_fault_of_the_iommu_is_a_stray)
{
	const __u32 pasid = 0xfffe;
	struct sva_job job = sva_fill(self->memory, 8, 1);
	struct sva_queue q;
	long stray;

	if (env_has_smmu())
		SKIP(return, "SMMUv3 records no event for a refused translation request");
	long_quarantine(_metadata);
	ASSERT_EQ(0, sva_open(&q, &self->env.sva[0]));
	EXPECT_EQ(-EINVAL, sva_use_pasid(&q, 1 << 20));
	ASSERT_EQ(0, sva_use_pasid(&q, pasid));
	ASSERT_EQ(0, sva_start(&q));
	stray = iopf_count(&self->env.sva[0], "stray");
	kmsg_mark("SVA-EXPECT", EVENT_OF_A_STRAY);
	EXPECT_EQ(SVA_DMA_ERR_ATS, sva_run(&q, &job).status);
	await_iopf_count(&self->env.sva[0], "stray", stray + 1);
	EXPECT_EQ(1, strays_of(&self->env.sva[0], pasid));
	stray_is_logged(_metadata, &self->env, pasid, self->memory);
	kmsg_mark("SVA-EXPECT-END", "");
	EXPECT_EQ(-1, differs(self->memory, BOND_LEN, 0));
	sva_close(&q);
	sva_close(&self->q);
	end_quarantine(_metadata, &self->env, 0, pasid);
	start(&self->q, &self->env.sva[0]);
}

/* ---- the time limit ---- */

#define LIMIT	"fault_time_limit_ms"

TEST_F(bonds, time_limit_answers_a_fault_that_nobody_serves)
{
	const struct sva_device *device = &self->env.sva[0];
	__u8 *stuck = anon(PAGE), *page = anon(PAGE);
	struct uffdio_copy copy = { .dst = (uintptr_t)stuck, .src = (uintptr_t)page, .len = PAGE };
	struct sva_job job = sva_fill(stuck, 8, 1);
	long timed_out = iopf_count(device, "timed-out"), late = iopf_count(device, "late");
	int fd = uffd_register(_metadata, stuck, PAGE);
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	memset(page, 0x4c, PAGE);
	self->env.noisy = true;
	pci_write(device->bdf, LIMIT, LONG_MS);
	sva_submit(&self->q, &job);
	/* Before it is being served its time must not be over: nothing would be late. */
	ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
	pci_write(device->bdf, LIMIT, "200");
	EXPECT_EQ(env_refusal(&self->env), sva_wait(&self->q).status);
	pci_write(device->bdf, LIMIT, LONG_MS);
	fault_is(&self->q, self->eventfd, stuck, SVA_DMA_FAULT_WRITE, SVA_DMA_FAULT_TIMEOUT);
	EXPECT_EQ(timed_out + 1, iopf_count(device, "timed-out"));
	EXPECT_EQ(late, iopf_count(device, "late"));

	/* The page comes after all: the device is not told, the process has it. */
	ASSERT_EQ(0, ioctl(fd, UFFDIO_COPY, &copy));
	await_iopf_count(device, "late", late + 1);
	EXPECT_EQ(-1, differs(stuck, PAGE, 0x4c));
	run_ok(&self->q, sva_fill(stuck, PAGE, 0x4d));
	EXPECT_EQ(-1, differs(stuck, PAGE, 0x4d));
	EXPECT_EQ(timed_out + 1, iopf_count(device, "timed-out"));
	pci_write(device->bdf, LIMIT, "0");
	close(fd);
}

TEST_F(bonds, time_limit_is_off_until_it_is_set_and_holds_for_what_is_pending)
{
	const struct sva_device *device = &self->env.sva[0];
	__u8 *stuck = anon(PAGE);
	struct sva_job job = sva_fill(stuck, 8, 1);
	struct pollfd ready = { .events = POLLIN };
	char path[128], limit[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/" LIMIT, device->bdf);
	EXPECT_EQ(0, read_number(path));
	EXPECT_EQ(-EINVAL, sva_write_text(path, "soon"));
	ready.fd = uffd_register(_metadata, stuck, PAGE);
	sva_submit(&self->q, &job);
	ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
	EXPECT_EQ(SVA_DMA_RUNNING, sva_peek(&self->q).status);
	self->env.noisy = true;
	pci_write(device->bdf, LIMIT, "50");
	EXPECT_EQ(50, read_number(path));
	EXPECT_EQ(env_refusal(&self->env), sva_wait(&self->q).status);
	fault_is(&self->q, self->eventfd, stuck, SVA_DMA_FAULT_WRITE, SVA_DMA_FAULT_TIMEOUT);
	pci_write(device->bdf, LIMIT, "0");
	file = fopen(path, "re");
	ASSERT_NE(NULL, file);
	EXPECT_NE(NULL, fgets(limit, sizeof(limit), file));
	EXPECT_STREQ("0\n", limit);
	fclose(file);
	close(ready.fd);
}

/* ---- reset ---- */

TEST_F(bonds, tags_are_used_again_after_a_reset)
{
	const struct sva_device *device = &self->env.sva[0];
	__u8 *stuck = anon(PAGE), *page = anon(PAGE);
	struct uffdio_copy copy = { .dst = (uintptr_t)stuck, .src = (uintptr_t)page, .len = PAGE };
	struct pollfd ready = { .events = POLLIN };
	struct uffd_msg msg;
	long late = iopf_count(device, "late");
	__u32 pasid = self->q.info.pasid;

	if (self->env.sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	ready.fd = uffd_register(_metadata, stuck, PAGE);
	raw_send(&self->q, pasid, stuck, RAW_WRITE | 5);
	raw_send(&self->q, pasid, self->memory, SVA_DMA_RAW_WRITE | 6);
	ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
	ASSERT_EQ(sizeof(msg), read(ready.fd, &msg, sizeof(msg)));
	/* The first is being served, the second never ends: the reset waits for neither. */
	pci_write(device->bdf, "reset", "1");

	raw_send(&self->q, pasid, NULL, RAW_READ | 6);
	raw_answer(&self->q, 6, PRI_INVALID);
	raw_send(&self->q, pasid, self->memory, RAW_WRITE | 6);
	raw_answer(&self->q, 6, PRI_SUCCESS);
	raw_send(&self->q, pasid, NULL, RAW_READ | 5);
	raw_answer(&self->q, 5, PRI_INVALID);
	raw_send(&self->q, pasid, stuck, RAW_WRITE | 5);
	EXPECT_SILENCE(&self->q);
	/* One page serves the old fault and the new one: the device gets the new one's response. */
	ASSERT_EQ(0, ioctl(ready.fd, UFFDIO_COPY, &copy));
	raw_answer(&self->q, 5, PRI_SUCCESS);
	await_iopf_count(device, "late", late + 1);
	EXPECT_SILENCE(&self->q);
	EXPECT_EQ(0, counter(_metadata, &self->q, SVA_DMA_CNT_PRI_UNEXPECTED));
	close(ready.fd);
}

/*
 * Unmaps pages again and again, so that the device has to ask for them: those that it has written
 * to since, because a device gives up on a page that it never gets. And a page of its own, so that
 * invalidations go on when the device does not.
 */
struct churn {
	pthread_t thread;
	volatile __u8 *memory;
	volatile __u8 *own;
	size_t pages;
	bool stop;
	__u64 times;
};

static bool drop_pages(volatile __u8 *memory, size_t pages)
{
	return !pages || !madvise((void *)memory, pages * PAGE, MADV_DONTNEED);
}

static void *churn_loop(void *arg)
{
	struct churn *churn = arg;
	__u32 state = 1;
	size_t i, n;

	while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
		i = next_random(&state) % churn->pages;
		for (n = 0; i + n < churn->pages && churn->memory[(i + n) * PAGE]; n++)
			;
		*churn->own = 1;
		if (!drop_pages(churn->memory + i * PAGE, n) || !drop_pages(churn->own, 1))
			abort();
		__atomic_add_fetch(&churn->times, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* What the device writes there must not begin with zero on any page. */
static bool churn_start(struct churn *churn, __u8 *memory, size_t len)
{
	*churn = (struct churn) {
		.memory = memory,
		.pages = len / PAGE,
		.own = mmap(ANYWHERE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	};
	return churn->own != MAP_FAILED &&
	       !pthread_create(&churn->thread, NULL, churn_loop, churn);
}

static void churn_end(struct churn *churn)
{
	__atomic_store_n(&churn->stop, true, __ATOMIC_RELAXED);
	pthread_join(churn->thread, NULL);
	munmap((void *)churn->own, PAGE);
}

static __u64 churn_times(struct churn *churn)
{
	return __atomic_load_n(&churn->times, __ATOMIC_RELAXED);
}

TEST_F(bonds, resets_under_a_storm_of_requests_and_invalidations)
{
	struct sva_dma_counters counters;
	struct churn churn;
	struct sva_queue q[4];
	__u64 times = 0;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(q); i++)
		start(&q[i], &self->env.sva[0]);
	if (self->env.sva[0].stall)
		kmsg_mark("SVA-ALLOW", EVENT_OF_A_STALL);
	ASSERT_TRUE(churn_start(&churn, self->memory, BOND_LEN));
	for (n = 1; n <= 8; n++) {
		for (i = 0; i < ARRAY_SIZE(q); i++) {
			struct sva_job job = sva_fill(self->memory, BOND_LEN, n);

			job.op |= sva_group(i + 1);
			job.repeat = SVA_FOREVER;
			sva_submit(&q[i], &job);
		}
		for (i = 0; i < ARRAY_SIZE(q); i++)
			ASSERT_EQ(SVA_DMA_RUNNING, sva_wait_progress(&q[i], BOND_LEN).status);
		times = churn_times(&churn);
		pci_write(self->env.sva[0].bdf, "reset", "1");
		/* Invalidations went on without waiting for a device in reset. */
		EXPECT_LT(times, churn_times(&churn));
		for (i = 0; i < ARRAY_SIZE(q); i++)
			ASSERT_EQ(SVA_DMA_IDLE, sva_peek(&q[i]).status);
		run_ok(&q[n % ARRAY_SIZE(q)], sva_fill(self->memory, BOND_LEN, n));
		ASSERT_EQ(0, sva_settled_counters(&self->q, &counters));
		EXPECT_EQ(0, counters.value[SVA_DMA_CNT_PRI_UNEXPECTED]);
		EXPECT_EQ(counters.value[SVA_DMA_CNT_PRI_GROUPS],
			  counters.value[SVA_DMA_CNT_PRI_SUCCESS] +
			  counters.value[SVA_DMA_CNT_PRI_INVALID]);
	}
	churn_end(&churn);
	/* The device sees nothing stale of what went on meanwhile. */
	memset(self->memory, 0x39, BOND_LEN);
	EXPECT_EQ(sva_fnv1a(self->memory, BOND_LEN),
		  run_ok(&self->q, sva_checksum(self->memory, BOND_LEN)).value);
	for (i = 0; i < ARRAY_SIZE(q); i++)
		sva_close(&q[i]);
	if (self->env.sva[0].stall)
		kmsg_mark("SVA-ALLOW-END", "");
}
