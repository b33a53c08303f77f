// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices without page requests. One has a fault log of its own, and its driver has the faults
 * served; another one has nothing: what is not there is aborted.
 */
#include <sys/eventfd.h>

#define OWN_LEN		(64 * PAGE)

/* How often memory in fresh slots is handed to a device, and how often a slot comes and goes */
static unsigned long handovers = 4096, slot_rounds = 200;
/* Seconds that a case may take which does that as often as make test-long has it */
#define LONG_TIME	3600

static __u8 *slot_address(unsigned int slot)
{
	return (__u8 *)((uintptr_t)slot << 39);
}

static __u8 *map_slot(unsigned int slot, size_t len)
{
	return mmap(slot_address(slot), len, RW,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* ---- a fault log ---- */

FIXTURE(own) {
	struct sva_env env;
	struct sva_queue q;
	__u8 *memory;
};

FIXTURE_SETUP(own)
{
	env_setup(_metadata, &self->env);
	ASSERT_NE('\0', self->env.own.node[0]) {
		TH_LOG("no device with a fault log");
	}
	start(&self->q, &self->env.own);
	self->memory = anon(OWN_LEN);
}

FIXTURE_TEARDOWN(own)
{
	run_ok(&self->q, sva_fill(anon(PAGE), PAGE, 1));
	EXPECT_EQ(0, counter(_metadata, &self->q, SVA_DMA_CNT_PRI_REQUESTS));
	sva_close(&self->q);
	all_channels_back(&self->env.own);
	env_teardown(_metadata, &self->env);
}

/* The device has stopped at @address, and the process has no such memory, or not for that. */
static void fails_at(struct __test_metadata *_metadata, int line, struct sva_queue *q,
		     struct sva_job job, const void *address, __u64 bytes)
{
	struct sva_result result = sva_run(q, &job);

	EXPECT_EQ(SVA_DMA_ERR_FAULT, result.status) {
		TH_LOG("line %d: %s", line, sva_status_name(result.status));
	}
	EXPECT_EQ((uintptr_t)address, result.fault_addr);
	EXPECT_EQ(bytes, result.bytes);
}

#define fails(...)	fails_at(_metadata, __LINE__, __VA_ARGS__)

TEST_F(own, untouched_heap_is_read_and_written)
{
	size_t len = 1 * MiB, i;
	__u8 *heap = malloc(len), *copy = malloc(len);

	ASSERT_NE(NULL, heap);
	ASSERT_NE(NULL, copy);
	ASSERT_EQ(0, without_huge_pages((void *)(((uintptr_t)heap + PAGE) & ~(PAGE - 1)),
					len - PAGE));
	run_ok(&self->q, sva_fill(heap, len, 0x5a));
	EXPECT_EQ(-1, differs(heap, len, 0x5a));
	EXPECT_LE(len / PAGE - 1, counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS));
	pattern(heap, len, 5);
	run_ok(&self->q, sva_copy(copy, heap, len));
	EXPECT_EQ(-1, differs_from_pattern(copy, len, 5));
	EXPECT_EQ(sva_fnv1a(heap, len), run_ok(&self->q, sva_checksum(copy, len)).value);
	EXPECT_EQ(0, counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS_FAILED));

	/* Neighbours of the device's bytes stay what they are. */
	memset(self->memory, 0x11, PAGE);
	ASSERT_EQ(0, madvise(self->memory, PAGE, MADV_DONTNEED));
	run_ok(&self->q, sva_fill(self->memory + 64, 64, 0x22));
	for (i = 0; i < PAGE; i++)
		ASSERT_EQ(i >= 64 && i < 128 ? 0x22 : 0, self->memory[i]);
	free(heap);
	free(copy);
}

TEST_F(own, stream_of_faults_maps_ahead)
{
	__u64 before = counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS);

	env_fault_around("64");
	ASSERT_EQ(0, without_huge_pages(self->memory, OWN_LEN));
	run_ok(&self->q, sva_fill(self->memory, OWN_LEN, 0x23));
	EXPECT_EQ(-1, differs(self->memory, OWN_LEN, 0x23));
	EXPECT_GT(OWN_LEN / PAGE / 2, counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS) - before);
}

TEST_F(own, forbidden_access_ends_the_job_and_listeners_hear)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	__u8 *none = anon_at(_metadata, PAGE, PROT_NONE);

	ASSERT_EQ(0, sva_listen(&self->q, fd));
	fails(&self->q, sva_fill(none, 8, 1), none, 0);
	fault_is(&self->q, fd, none, SVA_DMA_FAULT_WRITE, SVA_DMA_FAULT_NO_ACCESS);
	EXPECT_EQ(0, sva_frame_of(none));

	memset(self->memory, 0x2a, OWN_LEN);
	ASSERT_EQ(0, mprotect(self->memory + 2 * PAGE, PAGE, PROT_READ));
	fails(&self->q, sva_fill(self->memory, OWN_LEN, 0x2b), self->memory + 2 * PAGE, 2 * PAGE);
	fault_is(&self->q, fd, self->memory + 2 * PAGE, SVA_DMA_FAULT_WRITE,
		 SVA_DMA_FAULT_NO_ACCESS);
	EXPECT_EQ(-1, differs(self->memory, 2 * PAGE, 0x2b));
	EXPECT_EQ(-1, differs(self->memory + 2 * PAGE, OWN_LEN - 2 * PAGE, 0x2a));

	ASSERT_EQ(0, munmap(none, PAGE));
	fails(&self->q, sva_checksum(none, 8), none, 0);
	fault_is(&self->q, fd, none, SVA_DMA_FAULT_READ, SVA_DMA_FAULT_NO_MAPPING);
	fails(&self->q, sva_fill((void *)0xffff888000100000ULL, 8, 1),
	      (void *)0xffff888000100000ULL, 0);
	close(fd);
}

TEST_F(own, munmap_under_dma_ends_the_job)
{
	__u8 *other;
	int i;

	for (i = 0; i < 5; i++) {
		background(&self->q, sva_fill(self->memory, OWN_LEN, 0x31));
		ASSERT_EQ(0, munmap(self->memory, OWN_LEN));
		EXPECT_EQ(SVA_DMA_ERR_FAULT, sva_wait(&self->q).status);
		other = mmap(self->memory, OWN_LEN, RW,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1,
			     0);
		ASSERT_EQ(self->memory, other);
		EXPECT_EQ(-1, differs(other, OWN_LEN, 0));
	}
}

/* What goes under the device's hands comes back: the job notices nothing. */
TEST_F(own, pages_that_go_under_dma_are_brought_again)
{
	__u64 before = counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS);
	int i;

	background(&self->q, sva_fill(self->memory, OWN_LEN, 0x32));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, madvise(self->memory, OWN_LEN, MADV_DONTNEED));
		ASSERT_EQ(SVA_DMA_RUNNING, sva_wait_progress(&self->q, 2 * OWN_LEN).status);
		EXPECT_EQ(-1, differs(self->memory, OWN_LEN, 0x32));
	}
	EXPECT_LE(before + 20, counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS));
	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&self->q).status);
}

TEST_F(own, process_ends_during_dma)
{
	struct victim_user user = { .device = &self->env.own };
	struct peer peer;
	int i;

	for (i = 0; i < 4; i++) {
		user.leave = i & 1;
		user.close_file = i & 2;
		peer_start(_metadata, &peer, run_for_ever, &user);
		ASSERT_TRUE(await(peer.line));
		if (user.leave) {
			peer_ends_well(&peer);
		} else {
			ASSERT_EQ(0, kill(peer.pid, SIGKILL));
			EXPECT_EQ(SIGKILL, peer_wait(&peer));
		}
	}
}

/* The file stays open elsewhere; the driver is told that there is no process to serve. */
TEST_F(own, queue_of_a_process_that_has_exited_ends_its_jobs)
{
	struct sva_queue q = SVA_QUEUE_CLOSED;
	struct peer peer;
	struct gift gift;
	int pidfd;

	peer_start(_metadata, &peer, give_queue_away, &self->env.own);
	ASSERT_TRUE(hear(peer.line, &gift, sizeof(gift)));
	pidfd = syscall(SYS_pidfd_open, peer.pid, 0);
	ASSERT_LE(0, pidfd);
	q.fd = syscall(SYS_pidfd_getfd, pidfd, gift.fd, 0);
	ASSERT_LE(0, q.fd);
	close(pidfd);
	ASSERT_EQ(0, sva_stop(&q));
	ASSERT_EQ(0, sva_start(&q));
	run_ok(&q, sva_checksum(gift.memory, LIFE_LEN));
	post(peer.line);
	peer_ends_well(&peer);
	fails(&q, sva_checksum(gift.memory, LIFE_LEN), gift.memory, 0);
	sva_close(&q);
}

TEST_F(own, all_channels_fault_at_once)
{
	size_t len = 16 * PAGE, i, channels = self->q.info.channels;
	__u8 *memory = anon(channels * len);
	struct sva_queue q[SVA_DMA_MAX_CHANNELS];
	struct sva_job job;

	for (i = 1; i < channels; i++)
		start(&q[i], &self->env.own);
	for (i = 1; i < channels; i++) {
		job = sva_fill(memory + i * len, len, i);
		sva_submit(&q[i], &job);
	}
	for (i = 1; i < channels; i++) {
		EXPECT_EQ(SVA_DMA_DONE, sva_wait(&q[i]).status);
		EXPECT_EQ(-1, differs(memory + i * len, len, i));
	}
	TH_LOG("%llu of %llu faults found the log full",
	       (unsigned long long)counter(_metadata, &self->q, SVA_DMA_CNT_FAULT_WAITS),
	       (unsigned long long)counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS));
	for (i = 1; i < channels; i++)
		sva_close(&q[i]);
}

/* A job whose page a monitor holds back; returns the monitor's descriptor. */
static int held_back_at(struct __test_metadata *_metadata, struct sva_queue *q, __u8 *memory)
{
	struct sva_job job = sva_fill(memory, 8, 0x43);
	struct pollfd ready = { .events = POLLIN };
	struct uffd_msg msg;

	ready.fd = uffd_register(_metadata, memory, PAGE);
	sva_submit(q, &job);
	ASSERT_EQ(1, poll(&ready, 1, SVA_TIMEOUT_MS));
	ASSERT_EQ(sizeof(msg), read(ready.fd, &msg, sizeof(msg)));
	return ready.fd;
}

#define held_back(...)	held_back_at(_metadata, __VA_ARGS__)

/* The page comes, with a pattern that the device is not to spoil. */
static void let_come_at(struct __test_metadata *_metadata, int fd, __u8 *memory)
{
	struct uffdio_copy copy = { .dst = (uintptr_t)memory, .len = PAGE };
	__u8 *page = anon(PAGE);

	pattern(page, PAGE, 7);
	copy.src = (uintptr_t)page;
	ASSERT_EQ(0, ioctl(fd, UFFDIO_COPY, &copy));
	munmap(page, PAGE);
}

#define let_come(...)	let_come_at(_metadata, __VA_ARGS__)

TEST_F(own, close_does_not_wait_for_a_fault)
{
	int channels = self->q.info.channels;
	struct sva_queue q;
	int fd, i;

	for (i = 0; i < 3; i++) {
		start(&q, &self->env.own);
		fd = held_back(&q, self->memory + i * PAGE);
		sva_close(&q);
		/* Its channel has a new owner, whose faults do not queue behind the old one's. */
		EXPECT_EQ(channels - 1, env_wait_available(&self->env.own, channels - 1));
		start(&q, &self->env.own);
		run_ok(&q, sva_fill(anon(PAGE), PAGE, 2));
		let_come(fd, self->memory + i * PAGE);
		run_ok(&q, sva_fill(anon(PAGE), PAGE, 3));
		EXPECT_EQ(-1, differs_from_pattern(self->memory + i * PAGE, PAGE, 7));
		sva_close(&q);
		close(fd);
	}
}

TEST_F(own, stop_forgets_the_fault)
{
	struct sva_job job = sva_fill(self->memory + PAGE, PAGE, 0x44);
	int fd = held_back(&self->q, self->memory);

	ASSERT_EQ(0, sva_stop(&self->q));
	ASSERT_EQ(0, sva_start(&self->q));
	sva_submit(&self->q, &job);
	let_come(fd, self->memory);
	EXPECT_EQ(SVA_DMA_DONE, sva_wait(&self->q).status);
	EXPECT_EQ(-1, differs(self->memory + PAGE, PAGE, 0x44));
	EXPECT_EQ(-1, differs_from_pattern(self->memory, PAGE, 7));
	close(fd);
}

/* Its fault fails when the owner has given it up, and has started another job. */
TEST_F(own, fault_of_a_job_that_was_given_up_does_not_end_the_next)
{
	struct sva_job job = sva_fill(self->memory + PAGE, 4 * PAGE, 0x45);
	int fd = held_back(&self->q, self->memory);

	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&self->q).status);
	sva_submit(&self->q, &job);
	ASSERT_EQ(0, munmap(self->memory, PAGE));
	close(fd);
	EXPECT_EQ(SVA_DMA_DONE, sva_wait(&self->q).status);
	EXPECT_EQ(-1, differs(self->memory + PAGE, 4 * PAGE, 0x45));
}

TEST_F(own, reset_does_not_wait_for_a_fault)
{
	int fd = held_back(&self->q, self->memory);

	pci_write(self->env.own.bdf, "reset", "1");
	EXPECT_EQ(SVA_DMA_IDLE, sva_peek(&self->q).status);
	let_come(fd, self->memory);
	run_ok(&self->q, sva_fill(self->memory + PAGE, PAGE, 0x46));
	EXPECT_EQ(-1, differs(self->memory + PAGE, PAGE, 0x46));
	EXPECT_EQ(-1, differs_from_pattern(self->memory, PAGE, 7));
	close(fd);
}

static void *unbind_driver(void *arg)
{
	const struct sva_device *device = arg;
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", device->bdf);
	return (void *)(intptr_t)sva_write_text(path, device->bdf);
}

TEST_F(own, driver_leaves_while_a_fault_is_served)
{
	int fd = held_back(&self->q, self->memory);
	char bdf[sizeof(self->env.own.bdf)];
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	pthread_t thread;
	void *error;

	memcpy(bdf, self->env.own.bdf, sizeof(bdf));
	ASSERT_EQ(0, pthread_create(&thread, NULL, unbind_driver, &self->env.own));
	while (probe(self->q.job) != SIGBUS && sva_now_ms() < end)
		sva_relax();
	let_come(fd, self->memory);
	ASSERT_EQ(0, pthread_join(thread, &error));
	EXPECT_EQ(NULL, error);
	EXPECT_EQ(-1, differs_from_pattern(self->memory, PAGE, 7));
	sva_close(&self->q);
	close(fd);
	ASSERT_EQ(0, sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", bdf));
	find_again(_metadata, &self->env.own, bdf);
	start(&self->q, &self->env.own);
}

/* Of another process's PASID: the driver does not serve it with this one's memory. */
TEST_F(own, fault_with_a_pasid_of_another_is_not_served)
{
	struct sva_job job = sva_fill(self->memory, 8, 0x47);
	struct holding other;
	struct sva_queue q;
	struct peer peer;

	peer_start(_metadata, &peer, hold_pasid, &self->env.own);
	ASSERT_TRUE(hear(peer.line, &other, sizeof(other)));
	ASSERT_EQ(0, other.error);
	ASSERT_EQ(0, sva_open(&q, &self->env.own));
	ASSERT_NE(other.pasid, q.info.pasid);
	ASSERT_EQ(0, sva_use_pasid(&q, other.pasid));
	ASSERT_EQ(0, sva_start(&q));
	EXPECT_EQ(SVA_DMA_ERR_FAULT, sva_run(&q, &job).status);
	EXPECT_EQ(0, sva_frame_of(self->memory));
	sva_close(&q);
	post(peer.line);
	peer_ends_well(&peer);
}

TEST_F_TIMEOUT(own, slots_come_and_go_under_dma, LONG_TIME)
{
	__u64 before = counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS);
	unsigned long i;
	__u8 *page;

	for (i = 0; i < slot_rounds; i++) {
		unsigned int slot = 64 + i % 64;

		page = map_slot(slot, PAGE);
		ASSERT_EQ(slot_address(slot), page);
		pattern(page, PAGE, i);
		ASSERT_EQ(sva_fnv1a(page, PAGE), run_ok(&self->q, sva_checksum(page, PAGE)).value);
		background(&self->q, sva_fill(page, PAGE, i));
		ASSERT_EQ(-1, differs(page, PAGE, i));
		ASSERT_EQ(0, munmap(page, PAGE));
		ASSERT_EQ(SVA_DMA_ERR_FAULT, sva_wait(&self->q).status);

		/* Nothing of the table before is used. */
		ASSERT_EQ(page, map_slot(slot, PAGE));
		ASSERT_EQ(-1, differs(page, PAGE, 0));
		ASSERT_EQ(0, munmap(page, PAGE));
	}
	/* One for each slot that the process took away */
	EXPECT_EQ(before + slot_rounds, counter(_metadata, &self->q, SVA_DMA_CNT_FAULTS));
}

/* ---- nothing ---- */

FIXTURE(bare) {
	struct sva_env env;
	struct sva_queue q;
	__u8 *memory;
};

FIXTURE_SETUP(bare)
{
	env_setup(_metadata, &self->env);
	ASSERT_NE('\0', self->env.no_pri.node[0]) {
		TH_LOG("no device with PASID but without PRI");
	}
	start(&self->q, &self->env.no_pri);
	self->memory = anon(OWN_LEN);
}

FIXTURE_TEARDOWN(bare)
{
	memset(self->memory, 1, PAGE);
	run_ok(&self->q, sva_fill(self->memory, PAGE, 2));
	EXPECT_EQ(-1, differs(self->memory, PAGE, 2));
	sva_close(&self->q);
	all_channels_back(&self->env.no_pri);
	env_teardown(_metadata, &self->env);
}

TEST_F(bare, memory_that_is_there_works)
{
	__u8 *copy = anon(OWN_LEN);

	pattern(self->memory, OWN_LEN, 9);
	memset(copy, 0, OWN_LEN);
	run_ok(&self->q, sva_copy(copy, self->memory, OWN_LEN));
	EXPECT_EQ(-1, differs_from_pattern(copy, OWN_LEN, 9));
	EXPECT_EQ(sva_fnv1a(copy, OWN_LEN), run_ok(&self->q, sva_checksum(copy, OWN_LEN)).value);
	run_ok(&self->q, sva_fill(copy, OWN_LEN, 0x71));
	EXPECT_EQ(-1, differs(copy, OWN_LEN, 0x71));
}

/* What the IOMMUs' drivers log of an access that the tables do not grant */
#define ABORTED	"DMAR: (DRHD: handling fault|.*PASID 0x)|" EVENT_OF_A_STALL		\
		"|Event logged .IO_PAGE_FAULT "

TEST_F(bare, missing_memory_is_aborted_and_listeners_hear)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), lines = 0;
	const char *said = env_has_smmu() ? "arm-smmu-v3" :
			   env_has_amd() ? "IO_PAGE_FAULT" : "fault addr";
	int wanted = env_has_smmu() ? 5 : 1;
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	__u8 *there = self->memory + PAGE;
	struct sva_result result;
	char line[256] = "";

	self->env.noisy = true;
	kmsg_mark("SVA-EXPECT", ABORTED);
	ASSERT_EQ(0, sva_listen(&self->q, fd));
	there[0] = 1;
	result = refused(&self->q, sva_fill(self->memory, 2 * PAGE, 0x72));
	EXPECT_EQ(SVA_DMA_ERR_TRANSLATION, result.status);
	EXPECT_EQ(0, result.bytes);
	EXPECT_EQ((uintptr_t)self->memory, result.fault_addr);
	fault_is(&self->q, fd, self->memory, 0, SVA_DMA_FAULT_ABORTED);
	EXPECT_EQ(0, sva_frame_of(self->memory));

	/* All lines of the report are in the log before its end is marked. */
	while (lines < wanted && sva_now_ms() < end) {
		lines += env_complaints(&self->env, said, line, sizeof(line));
		sva_relax();
	}
	EXPECT_LE(wanted, lines);
	kmsg_mark("SVA-EXPECT-END", "");
	close(fd);
}

static int write_touched_memory(struct line line, void *arg)
{
	__u8 *memory = mmap(ANYWHERE, OWN_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
			    0);
	struct sva_job job = sva_fill(memory, OWN_LEN, 0x73);
	struct sva_queue q;

	CHECK(memory != MAP_FAILED);
	memset(memory, 1, OWN_LEN);
	CHECK(!sva_open(&q, arg));
	CHECK(!sva_start(&q));
	job.repeat = SVA_FOREVER;
	job.pace = 1000;
	sva_submit(&q, &job);
	CHECK(sva_wait_progress(&q, 2 * OWN_LEN).status == SVA_DMA_RUNNING);
	post(line);
	await(line);
	return 1;
}

TEST_F(bare, process_ends_during_dma)
{
	struct peer peer;
	int i;

	for (i = 0; i < 3; i++) {
		peer_start(_metadata, &peer, write_touched_memory, &self->env.no_pri);
		ASSERT_TRUE(await(peer.line));
		ASSERT_EQ(0, kill(peer.pid, SIGKILL));
		EXPECT_EQ(SIGKILL, peer_wait(&peer));
	}
	/* The teardown finds all channels, and no word of it in the log. */
}

/* ---- threads that fill slots, or find them filled, and hand memory to the device ---- */

#define RACERS	16U
#define SLOTS	32U

struct slot_race {
	pthread_barrier_t barrier;
	unsigned long rounds;
	bool stop;
};

struct racer {
	struct slot_race *race;
	struct sva_queue q;
	unsigned int number;
	unsigned long handed, failed;
	int status;
};

static void *hand_over(void *arg)
{
	struct racer *racer = arg;
	struct sva_job job;
	unsigned int i;

	for (;;) {
		pthread_barrier_wait(&racer->race->barrier);
		if (racer->race->stop)
			return NULL;
		for (i = 0; i < SLOTS; i++) {
			__u64 *word = (__u64 *)(slot_address(16 + i) + racer->number * PAGE);
			struct sva_result result;

			*word = (uintptr_t)word ^ racer->handed;
			job = sva_checksum(word, sizeof(*word));
			result = sva_run(&racer->q, &job);
			racer->handed++;
			if (result.status == SVA_DMA_DONE &&
			    result.value == sva_fnv1a(word, sizeof(*word)))
				continue;
			racer->failed++;
			racer->status = result.status;
		}
		pthread_barrier_wait(&racer->race->barrier);
	}
}

TEST_F_TIMEOUT(bare, fresh_slots_are_handed_over_by_many_threads, LONG_TIME)
{
	struct slot_race race = { .rounds = handovers / (RACERS * SLOTS) };
	pthread_t thread[RACERS];
	struct racer racer[RACERS] = {};
	unsigned long round, handed = 0;
	unsigned int i;

	sva_close(&self->q);
	all_channels_back(&self->env.no_pri);
	ASSERT_EQ(0, pthread_barrier_init(&race.barrier, NULL, RACERS + 1));
	for (i = 0; i < RACERS; i++) {
		racer[i].race = &race;
		racer[i].number = i;
		start(&racer[i].q, &self->env.no_pri);
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, hand_over, &racer[i]));
	}
	for (round = 0; round < race.rounds; round++) {
		for (i = 0; i < SLOTS; i++)
			EXPECT_EQ(slot_address(16 + i), map_slot(16 + i, RACERS * PAGE));
		pthread_barrier_wait(&race.barrier);
		pthread_barrier_wait(&race.barrier);
		for (i = 0; i < SLOTS; i++)
			EXPECT_EQ(0, munmap(slot_address(16 + i), RACERS * PAGE));
	}
	race.stop = true;
	pthread_barrier_wait(&race.barrier);
	for (i = 0; i < RACERS; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_EQ(0, racer[i].failed) {
			TH_LOG("thread %u: %s", i, sva_status_name(racer[i].status));
		}
		handed += racer[i].handed;
		sva_close(&racer[i].q);
	}
	EXPECT_EQ(race.rounds * RACERS * SLOTS, handed);
	TH_LOG("%lu hand-overs", handed);
	start(&self->q, &self->env.no_pri);
}
