// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices and processes that go away in the middle of a storm of page requests.
 *
 * A round of the storm: two processes bind one device; each runs two queues that ask for pages as
 * fast as the process unmaps them, and write words that name the round, the process and the queue.
 * When both run, one thing ends: a process, its memory, its bonds, or the device. Then the case
 * verifies what the processes saw, that no word was another's, that each group was answered once,
 * that the channels are back, that a fresh bond works, that the kernel logged nothing and no device
 * used a PASID without a bond. A bystander on the second device is not affected.
 */

#define STORM_LEN	(32 * PAGE)
#define STORM_QUEUES	2
#define STORM_PEERS	2
#define STORM_ROUND_S	(5 * SVA_TIMEOUT_MS / 1000)

static unsigned int storm_rounds = 24;
static __u32 storm_seed = 1;

enum storm_end {
	STORM_EXIT,		/* the process exits */
	STORM_KILL,		/* it is killed */
	STORM_UNMAP,		/* it unmaps its memory and goes on with other */
	STORM_UNBIND,		/* it closes its queues and opens others */
	STORM_ENDS_PROCESS,	/* those above are one process's, those below the device's */
	STORM_FLR = STORM_ENDS_PROCESS,
	STORM_REBIND,		/* driver unbound and bound */
	STORM_REMOVE,		/* device removed and found again */
	STORM_ENDS,
};

static const char * const storm_end_name[STORM_ENDS] = {
	"exit", "kill", "munmap", "unbind", "FLR", "driver unbind", "remove and rescan",
};

/* Which process of which round. */
struct storm_who {
	const struct sva_device *device;
	__u32 round;
	__u16 peer;
};

struct storm {
	struct sva_queue q[STORM_QUEUES];
	struct churn churn;
	__u8 *memory;
	struct storm_who who;
};

static void storm_open(struct storm *s, const struct sva_device *device)
{
	int i;

	for (i = 0; i < STORM_QUEUES; i++) {
		CHECK(!sva_open(&s->q[i], device));
		CHECK(!sva_start(&s->q[i]));
	}
}

/* Its first byte is not zero, see churn_loop(). */
static __u64 storm_word(const struct storm *s, int queue)
{
	return (__u64)s->who.round << 32 | (__u64)s->who.peer << 16 | (queue + 1);
}

/* No word of another process, nor one of an earlier round, is in the memory. */
static void storm_is_own(const struct storm *s)
{
	const volatile __u64 *words = (const volatile __u64 *)s->memory;
	size_t i;

	for (i = 0; i < STORM_LEN / 8; i++) {
		/* Both queues may be writing. */
		__u64 word = words[i];

		CHECK(!word || word == storm_word(s, 0) || word == storm_word(s, 1));
	}
}

static void storm_submit(struct storm *s)
{
	int i;

	for (i = 0; i < STORM_QUEUES; i++) {
		struct sva_job job = sva_fill(s->memory, STORM_LEN, 0);

		job.arg0 = storm_word(s, i);
		job.op |= sva_group(1 + 3 * i);
		job.repeat = SVA_FOREVER;
		sva_submit(&s->q[i], &job);
	}
	for (i = 0; i < STORM_QUEUES; i++)
		CHECK(sva_wait_progress(&s->q[i], STORM_LEN / 2).status == SVA_DMA_RUNNING);
}

/* The bond works: what the device reads is what the process wrote, and the other way round. */
static void storm_works(struct storm *s, __u8 byte)
{
	struct sva_job fill = sva_fill(s->memory, STORM_LEN, byte);
	struct sva_job sum = sva_checksum(s->memory, STORM_LEN);
	struct sva_result result;

	CHECK(sva_run(&s->q[0], &fill).status == SVA_DMA_DONE);
	CHECK(differs(s->memory, STORM_LEN, byte) == -1);
	pattern(s->memory, STORM_LEN, byte);
	result = sva_run(&s->q[1], &sum);
	CHECK(result.status == SVA_DMA_DONE);
	CHECK(result.value == sva_fnv1a(s->memory, STORM_LEN));
}

static void storm_close(struct storm *s)
{
	int i;

	for (i = 0; i < STORM_QUEUES; i++)
		sva_close(&s->q[i]);
}

static __u8 *storm_memory(void)
{
	void *memory = mmap(ANYWHERE, STORM_LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED);
	return memory;
}

static void storm_unmaps(struct storm *s)
{
	int i;

	churn_end(&s->churn);
	storm_is_own(s);
	CHECK(!munmap(s->memory, STORM_LEN));
	for (i = 0; i < STORM_QUEUES; i++)
		CHECK(is_refusal(sva_wait(&s->q[i]).status));
	s->memory = storm_memory();
	storm_works(s, 0x21);
}

static void storm_unbinds(struct storm *s, const struct sva_device *device)
{
	storm_close(s);
	churn_end(&s->churn);
	storm_is_own(s);
	storm_open(s, device);
	storm_works(s, 0x22);
}

/* The device was reset and works as before; only its jobs are gone. */
static void storm_was_reset(struct storm *s)
{
	int i;

	churn_end(&s->churn);
	storm_is_own(s);
	for (i = 0; i < STORM_QUEUES; i++)
		CHECK(sva_peek(&s->q[i]).status == SVA_DMA_IDLE);
	storm_works(s, 0x23);
}

/* The device has gone, the memory has not. */
static void storm_lost_its_device(struct storm *s)
{
	struct sva_dma_counters counters;
	int i;

	churn_end(&s->churn);
	storm_is_own(s);
	for (i = 0; i < STORM_QUEUES; i++) {
		CHECK(probe(s->q[i].job + SVA_DMA_JOB_STATUS) == SIGBUS);
		CHECK(sva_counters(&s->q[i], &counters) == -ENXIO);
	}
	memset(s->memory, 0x24, STORM_LEN);
	CHECK(differs(s->memory, STORM_LEN, 0x24) == -1);
}

static int storm_process(struct line line, void *arg)
{
	struct storm s = { .memory = storm_memory(), .who = *(struct storm_who *)arg };
	const struct sva_device *device = s.who.device;
	__u32 end;

	storm_open(&s, device);
	CHECK(churn_start(&s.churn, s.memory, STORM_LEN));
	storm_submit(&s);
	post(line);
	CHECK(hear(line, &end, sizeof(end)));
	switch (end) {
	case STORM_EXIT:
		return 0;
	case STORM_UNMAP:
		storm_unmaps(&s);
		break;
	case STORM_UNBIND:
		storm_unbinds(&s, device);
		break;
	case STORM_FLR:
		storm_was_reset(&s);
		break;
	case STORM_REBIND:
	case STORM_REMOVE:
		storm_lost_its_device(&s);
		break;
	default:
		CHECK(false);
	}
	storm_close(&s);
	return 0;
}

/**
 * struct storm_site - the machine of a storm
 * @env: the storm uses its first device
 * @bystander: a queue of the second device, whose job never ends
 * @bdf: the first device's PCI address
 * @strays: uses of a PASID without a bond that the first device is known for
 * @round: the present one
 */
struct storm_site {
	struct sva_env env;
	struct sva_queue bystander;
	char bdf[32];
	long strays;
	__u32 round;
};

FIXTURE(storm) {
	struct storm_site site;
};

FIXTURE_SETUP(storm)
{
	struct storm_site *site = &self->site;

	env_setup(_metadata, &site->env);
	snprintf(site->bdf, sizeof(site->bdf), "%s", site->env.sva[0].bdf);
	site->strays = iopf_count(&site->env.sva[0], "stray");
	start(&site->bystander, &site->env.sva[1]);
	background(&site->bystander, sva_fill(anon(STORM_LEN), STORM_LEN, 0x11));
}

FIXTURE_TEARDOWN(storm)
{
	struct storm_site *site = &self->site;

	EXPECT_EQ(SVA_DMA_ERR_STOPPED, sva_abort(&site->bystander).status);
	sva_close(&site->bystander);
	env_teardown(_metadata, &site->env);
}

/* The case tells a process how to end; it ends the device itself, and tells the process then. */
static void storm_strikes(struct __test_metadata *_metadata, struct storm_site *site,
			  __u32 end, struct peer *peer, __u32 *state)
{
	__u32 i, own;
	bool told;

	switch (end) {
	case STORM_FLR:
		pci_write(site->bdf, "reset", "1");
		break;
	case STORM_REBIND:
		pci_write(site->bdf, "driver/unbind", site->bdf);
		break;
	case STORM_REMOVE:
		pci_write(site->bdf, "remove", "1");
		break;
	}
	for (i = 0; i < STORM_PEERS; i++) {
		/* The second process meets an end of its own, at about the same time. */
		own = end < STORM_ENDS_PROCESS && i ? next_random(state) % STORM_ENDS_PROCESS : end;
		told = own == STORM_KILL ? !kill(peer[i].pid, SIGKILL) :
					   tell(peer[i].line, &own, sizeof(own));
		ASSERT_TRUE(told);
	}
}

static void storm_comes_back(struct __test_metadata *_metadata, struct storm_site *site,
			     __u32 end)
{
	int error;

	if (end == STORM_REBIND)
		error = sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", site->bdf);
	else if (end == STORM_REMOVE)
		error = sva_rescan(site->bdf);
	else
		return;
	ASSERT_EQ(0, error);
	find_again(_metadata, &site->env.sva[0], site->bdf);
	/* A device starts with all counts at zero. */
	memset(&site->env.before[0], 0, sizeof(site->env.before[0]));
	site->strays = 0;
}

static void storm_is_over(struct __test_metadata *_metadata, struct storm_site *site)
{
	struct sva_dma_counters after;
	char line[256] = "";
	struct sva_queue q;
	__u8 *memory = anon(PAGE);

	start(&q, &site->env.sva[0]);
	run_ok(&q, sva_fill(memory, PAGE, 0x12));
	EXPECT_EQ(-1, differs(memory, PAGE, 0x12));
	ASSERT_EQ(0, sva_settled_counters(&q, &after));
	env_ledger(_metadata, &site->env.before[0], &after);
	site->env.before[0] = after;
	EXPECT_EQ(q.info.channels - 1, env_wait_available(&site->env.sva[0], q.info.channels - 1));
	sva_close(&q);
	ASSERT_EQ(0, munmap(memory, PAGE));

	EXPECT_EQ(SVA_DMA_RUNNING, sva_wait_progress(&site->bystander, STORM_LEN).status);
	/* A stalled access that the SMMU was told to retry may do so after the unbind. */
	if (site->env.sva[0].stall) {
		env_complaints(&site->env, "which is not bound", line, sizeof(line));
		return;
	}
	EXPECT_EQ(site->strays, iopf_count(&site->env.sva[0], "stray"));
	EXPECT_EQ(0, env_complaints(&site->env, NULL, line, sizeof(line))) {
		TH_LOG("%s", line);
	}
}

static void storm_round(struct __test_metadata *_metadata, struct storm_site *site, __u32 end,
			__u32 *state)
{
	struct storm_who who = { .device = &site->env.sva[0], .round = ++site->round };
	struct peer peer[STORM_PEERS];
	int i, status;

	for (i = 0; i < STORM_PEERS; i++) {
		who.peer = i + 1;
		peer_start(_metadata, &peer[i], storm_process, &who);
	}
	for (i = 0; i < STORM_PEERS; i++)
		ASSERT_TRUE(await(peer[i].line));
	storm_strikes(_metadata, site, end, peer, state);
	for (i = 0; i < STORM_PEERS; i++) {
		status = peer_wait(&peer[i]);
		ASSERT_TRUE(!status || status == SIGKILL) {
			TH_LOG("a process failed with wait status %#x", status);
		}
	}
	storm_comes_back(_metadata, site, end);
	storm_is_over(_metadata, site);
}

/* Every wait in a round is bounded: a process that still runs now is stuck in the kernel. */
static void storm_is_stuck(int sig)
{
	static const char text[] = "# a round does not end: the kernel's log says who is blocked\n";

	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(KSFT_FAIL);
	sva_write_text("/proc/sysrq-trigger", "w");
	_exit(KSFT_FAIL);
}

/* --rounds and --seed say how many, and which; the first rounds take each end once. */
TEST_F_TIMEOUT(storm, lifecycle_storm, 24 * 3600)
{
	__u32 state = storm_seed * 2654435761U | 1, end;
	unsigned int round, count[STORM_ENDS] = {};

	TH_LOG("seed %u, %u rounds", storm_seed, storm_rounds);
	signal(SIGALRM, storm_is_stuck);
	/* See storm_is_over(): of a stray SMMUv3 makes an event. */
	if (self->site.env.sva[0].stall)
		kmsg_mark("SVA-ALLOW", EVENT_OF_A_STALL);
	for (round = 0; round < storm_rounds; round++) {
		end = round < STORM_ENDS ? round : next_random(&state) % STORM_ENDS;
		alarm(STORM_ROUND_S);
		storm_round(_metadata, &self->site, end, &state);
		count[end]++;
		ASSERT_TRUE(_metadata->exit_code == KSFT_PASS) {
			TH_LOG("round %u failed: %s", round, storm_end_name[end]);
		}
		if (round % 500 == 499)
			TH_LOG("%u rounds", round + 1);
	}
	alarm(0);
	if (self->site.env.sva[0].stall)
		kmsg_mark("SVA-ALLOW-END", "");
	for (end = 0; end < STORM_ENDS; end++)
		TH_LOG("%s: %u", storm_end_name[end], count[end]);
}

/* The slot's power goes: the device is gone for good. Each boot has one device for this case. */
TEST_F(storm, slot_is_powered_off_under_a_storm)
{
	char path[128], bdf[32], address[32];
	struct storm_site *site = &self->site;
	struct storm_who who = { .device = &site->env.spare, .round = 1, .peer = 1 };
	__u32 end = STORM_REMOVE;
	struct peer peer;
	glob_t slots;
	FILE *file;
	size_t i;

	if (site->env.spare.stall)
		SKIP(return, "functions of the root complex have no slot");
	ASSERT_NE('\0', site->env.spare.node[0]) {
		TH_LOG("no third sva-dma device: this case uses it up");
	}
	snprintf(bdf, sizeof(bdf), "%s", site->env.spare.bdf);
	peer_start(_metadata, &peer, storm_process, &who);
	ASSERT_TRUE(await(peer.line));

	/* A slot's address is that of the device in it, without the function. */
	path[0] = '\0';
	ASSERT_EQ(0, glob("/sys/bus/pci/slots/*/address", 0, NULL, &slots));
	for (i = 0; i < slots.gl_pathc; i++) {
		file = fopen(slots.gl_pathv[i], "re");
		if (file && fscanf(file, "%31s", address) == 1 &&
		    !strncmp(address, bdf, strlen(address)))
			snprintf(path, sizeof(path), "%.*s/power",
				 (int)(strrchr(slots.gl_pathv[i], '/') - slots.gl_pathv[i]),
				 slots.gl_pathv[i]);
		if (file)
			fclose(file);
	}
	globfree(&slots);
	ASSERT_EQ(0, sva_write_text(path, "0")) {
		TH_LOG("no power switch for the slot of %s", bdf);
	}
	ASSERT_TRUE(tell(peer.line, &end, sizeof(end)));
	peer_ends_well(&peer);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	EXPECT_EQ(-1, access(path, F_OK));
	storm_is_over(_metadata, site);
}
