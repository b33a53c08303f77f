// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel says of a bond, and sva-top and sva-trace of the kernel, against what the
 * endpoint has counted itself: to the request.
 */
#define STATS_LEN	(256 * PAGE)

FIXTURE(stats) {
	struct sva_env env;
	struct sva_queue q;
};

FIXTURE_SETUP(stats)
{
	env_setup(_metadata, &self->env);
	start(&self->q, &self->env.sva[0]);
}

FIXTURE_TEARDOWN(stats)
{
	sva_close(&self->q);
	env_teardown(_metadata, &self->env);
}

/* A number of the text in front of @end, by the name that stands before it with @is in between */
static long long number_in(const char *text, const char *end, const char *name, const char *is)
{
	char wanted[64];
	const char *at;

	snprintf(wanted, sizeof(wanted), "%s%s", name, is);
	at = strstr(text, wanted);
	return at && (!end || at < end) ? atoll(at + strlen(wanted)) : -1;
}

/* The line of this process's bond */
static bool bond_line(const struct sva_device *device, char *line, size_t size)
{
	FILE *file = fopen("/sys/kernel/debug/iommu-sva/bonds", "re");
	char whose[64];
	bool found = false;

	snprintf(whose, sizeof(whose), "pid=%d ", getpid());
	while (file && !found && fgets(line, size, file))
		found = strstr(line, device->bdf) && strstr(line, whose);
	if (file)
		fclose(file);
	return found;
}

/* All that sva-top prints; false if it fails. */
static bool sva_top(char *text, size_t size)
{
	FILE *pipe = popen("sva-top --once --json", "re");
	size_t len;

	if (!pipe)
		return false;
	len = fread(text, 1, size - 1, pipe);
	text[len] = '\0';
	return !pclose(pipe);
}

/* Memory comes and goes under the device; the last job is refused. */
static void make_a_storm(struct __test_metadata *_metadata, struct sva_queue *q)
{
	__u8 *memory = anon(STATS_LEN);
	int i;

	for (i = 0; i < 4; i++) {
		run_ok(q, sva_fill(memory, STATS_LEN, 0x40 + i));
		EXPECT_EQ(-1, differs(memory, STATS_LEN, 0x40 + i));
		ASSERT_EQ(0, madvise(memory, STATS_LEN, MADV_DONTNEED));
	}
	ASSERT_EQ(0, munmap(memory, STATS_LEN));
	refused(q, sva_fill(memory, PAGE, 1));
}

TEST_F(stats, bond_and_sva_top_agree_with_the_endpoint)
{
	const struct sva_dma_counters *before = &self->env.before[0];
	static char line[4096], text[65536], whose[64];
	bool stall = self->env.sva[0].stall;
	long long requests, served, failed;
	struct sva_dma_counters after;
	char *bond, *end;

	make_a_storm(_metadata, &self->q);
	ASSERT_EQ(0, sva_settled_counters(&self->q, &after));
	requests = env_delta(before, &after, stall ? SVA_DMA_CNT_STALLS : SVA_DMA_CNT_PRI_REQUESTS);
	served = env_delta(before, &after,
			   stall ? SVA_DMA_CNT_STALLS_RETRIED : SVA_DMA_CNT_PRI_SUCCESS);
	failed = env_delta(before, &after,
			   stall ? SVA_DMA_CNT_STALLS_ABORTED : SVA_DMA_CNT_PRI_INVALID);
	ASSERT_LT(4, requests);

	ASSERT_TRUE(bond_line(&self->env.sva[0], line, sizeof(line)));
	EXPECT_EQ(requests, number_in(line, NULL, " requests", "=")) {
		TH_LOG("%s", line);
	}
	EXPECT_EQ(served, number_in(line, NULL, " served", "="));
	EXPECT_EQ(failed, number_in(line, NULL, " failed", "="));
	EXPECT_EQ(failed, number_in(line, NULL, " no-mapping", "="));
	EXPECT_EQ(0, number_in(line, NULL, " pending", "="));

	ASSERT_TRUE(sva_top(text, sizeof(text)));
	snprintf(whose, sizeof(whose), "\"pid\":%d,", getpid());
	bond = strstr(text, whose);
	ASSERT_NE(NULL, bond) {
		TH_LOG("%s", text);
	}
	end = strchr(bond, '}');
	EXPECT_EQ(requests, number_in(bond, end, "\"requests\"", ":"));
	EXPECT_EQ(served, number_in(bond, end, "\"served\"", ":"));
	EXPECT_EQ(failed, number_in(bond, end, "\"all_refused\"", ":"));
	EXPECT_LT(0, number_in(bond, end, "\"p50_ns\"", ":"));
}

TEST_F(stats, numbers_of_a_bond_stay_with_its_device)
{
	const struct sva_device *device = &self->env.sva[0];
	long before, bond;
	static char line[4096];

	before = iopf_count(device, "requests");
	make_a_storm(_metadata, &self->q);
	ASSERT_TRUE(bond_line(device, line, sizeof(line)));
	bond = number_in(line, NULL, " requests", "=");
	EXPECT_EQ(bond, iopf_count(device, "requests") - before);
	bond = iopf_count(device, "no-mapping");
	sva_close(&self->q);
	EXPECT_FALSE(bond_line(device, line, sizeof(line)));
	EXPECT_EQ(bond, iopf_count(device, "no-mapping"));
	start(&self->q, device);
	ASSERT_TRUE(bond_line(device, line, sizeof(line)));
	EXPECT_EQ(0, number_in(line, NULL, " requests", "="));
}

/* Of a device: page requests, groups answered Success, and others */
struct counted {
	long long requests, served, refused;
};

static struct counted counted_by_core(struct __test_metadata *_metadata,
				      const struct sva_device *device)
{
	static const char * const refused[] = {
		"failed", "exited", "drained", "timed-out", "overrun", "stray",
	};
	struct counted sum = {
		.requests = iopf_count(device, "requests"),
		.served = iopf_count(device, "served"),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++)
		sum.refused += iopf_count(device, refused[i]);
	return sum;
}

/* Two processes of the storm, one of which is killed; with stalls both end in order. */
static void storm_of_two(struct __test_metadata *_metadata, const struct sva_device *device)
{
	struct storm_who who = { .device = device, .round = 1 };
	__u32 end = STORM_UNMAP;
	struct peer peer[2];
	int i, status;

	for (i = 0; i < 2; i++) {
		who.peer = i + 1;
		peer_start(_metadata, &peer[i], storm_process, &who);
	}
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(await(peer[i].line));
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(i || device->stall ? tell(peer[i].line, &end, sizeof(end)) :
						 !kill(peer[i].pid, SIGKILL));
	for (i = 0; i < 2; i++) {
		status = peer_wait(&peer[i]);
		ASSERT_EQ(i || device->stall ? 0 : SIGKILL, status);
	}
}

TEST_F(stats, device_and_sva_top_agree_with_the_endpoint_after_a_storm)
{
	const struct sva_device *device = &self->env.sva[0];
	struct sva_dma_counters sent, after;
	struct counted before, now;
	static char text[65536];
	char whose[64], *record, *end;
	bool stall = device->stall;

	ASSERT_EQ(0, sva_settled_counters(&self->q, &sent));
	before = counted_by_core(_metadata, device);
	storm_of_two(_metadata, device);
	ASSERT_EQ(self->q.info.channels - 1,
		  env_wait_available(device, self->q.info.channels - 1));
	ASSERT_EQ(0, sva_settled_counters(&self->q, &after));
	now = counted_by_core(_metadata, device);
	ASSERT_LT(2 * STORM_QUEUES, now.requests - before.requests);
	EXPECT_EQ(env_delta(&sent, &after, stall ? SVA_DMA_CNT_STALLS : SVA_DMA_CNT_PRI_REQUESTS),
		  now.requests - before.requests);
	EXPECT_EQ(env_delta(&sent, &after,
			    stall ? SVA_DMA_CNT_STALLS_RETRIED : SVA_DMA_CNT_PRI_SUCCESS),
		  now.served - before.served);
	EXPECT_EQ(env_delta(&sent, &after,
			    stall ? SVA_DMA_CNT_STALLS_ABORTED : SVA_DMA_CNT_PRI_INVALID),
		  now.refused - before.refused);

	ASSERT_TRUE(sva_top(text, sizeof(text)));
	record = strstr(text, "\"devices\":[");
	ASSERT_NE(NULL, record);
	snprintf(whose, sizeof(whose), "{\"device\":\"%s\"", device->bdf);
	record = strstr(record, whose);
	ASSERT_NE(NULL, record) {
		TH_LOG("%s", text);
	}
	end = strchr(record, '}');
	EXPECT_EQ(now.requests, number_in(record, end, "\"requests\"", ":"));
	EXPECT_EQ(now.served, number_in(record, end, "\"served\"", ":"));
	EXPECT_EQ(now.refused, number_in(record, end, "\"all_refused\"", ":") +
			       number_in(record, end, "\"stray\"", ":"));
}

#define HIST_TRIGGERS	"/sys/kernel/tracing/events/iommu_sva/iopf_response/hist"

/* sva-trace, which traces until its input ends */
struct trace_script {
	pid_t pid;
	int input;
	FILE *output;
};

static bool trace_begin(struct trace_script *script, const char *option, const char *question)
{
	int in[2], out[2];
	char line[64];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return false;
	script->pid = fork();
	if (!script->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execlp("sva-trace", "sva-trace", option, "4096", question, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	script->input = in[1];
	script->output = fdopen(out[0], "r");
	return script->output && fgets(line, sizeof(line), script->output) &&
	       !strcmp(line, "# tracing\n");
}

static bool trace_end(struct trace_script *script, char *text, size_t size)
{
	int status = -1;
	size_t len;

	close(script->input);
	len = fread(text, 1, size - 1, script->output);
	text[len] = '\0';
	fclose(script->output);
	return waitpid(script->pid, &status, 0) == script->pid && !status;
}

/* The number that a line begins with, if it has @wanted in it; -1: there is no such line */
static long long number_of_line(const char *text, const char *wanted)
{
	const char *at = strstr(text, wanted);

	while (at && at > text && at[-1] != '\n')
		at--;
	return at ? atoll(at) : -1;
}

static long long answers_since(const struct sva_env *env, const struct sva_dma_counters *before,
			       const struct sva_dma_counters *after)
{
	if (env->sva[0].stall)
		return env_delta(before, after, SVA_DMA_CNT_STALLS_RETRIED) +
		       env_delta(before, after, SVA_DMA_CNT_STALLS_ABORTED);
	return env_delta(before, after, SVA_DMA_CNT_PRI_SUCCESS) +
	       env_delta(before, after, SVA_DMA_CNT_PRI_INVALID);
}

TEST_F(stats, sva_trace_agrees_with_the_endpoint)
{
	struct sva_dma_counters before, after;
	static char text[65536], whose[128];
	struct trace_script script;
	long long answers;

	snprintf(whose, sizeof(whose), " %d %s ", getpid(), self->env.sva[0].bdf);
	ASSERT_EQ(0, sva_settled_counters(&self->q, &before));
	ASSERT_TRUE(trace_begin(&script, "-b", "latency"));
	make_a_storm(_metadata, &self->q);
	ASSERT_EQ(0, sva_settled_counters(&self->q, &after));
	ASSERT_TRUE(trace_end(&script, text, sizeof(text)));
	answers = answers_since(&self->env, &before, &after);
	ASSERT_LT(4, answers);
	EXPECT_EQ(answers, number_of_line(text, whose)) {
		TH_LOG("%s", text);
	}

	/* Where the kernel counts, too: the first histogram is that of iopf_response. */
	if (access(HIST_TRIGGERS, F_OK))
		return;
	ASSERT_TRUE(trace_begin(&script, "-kb", "latency"));
	make_a_storm(_metadata, &self->q);
	ASSERT_EQ(0, sva_settled_counters(&self->q, &before));
	ASSERT_TRUE(trace_end(&script, text, sizeof(text)));
	EXPECT_EQ(answers_since(&self->env, &after, &before),
		  number_in(text, NULL, "Hits", ": ")) {
		TH_LOG("%s", text);
	}
}

TEST_F(stats, sva_trace_says_what_was_refused_and_why)
{
	static char text[65536], whose[128];
	struct sva_dma_counters counters;
	__u8 *memory = anon(PAGE);
	struct trace_script script;

	ASSERT_EQ(0, munmap(memory, PAGE));
	ASSERT_TRUE(trace_begin(&script, "-b", "refused"));
	refused(&self->q, sva_fill(memory, PAGE, 1));
	ASSERT_EQ(0, sva_settled_counters(&self->q, &counters));
	ASSERT_TRUE(trace_end(&script, text, sizeof(text)));
	snprintf(whose, sizeof(whose), " %d %s ", getpid(), self->env.sva[0].bdf);
	EXPECT_EQ(1, number_of_line(text, whose)) {
		TH_LOG("%s", text);
	}
	EXPECT_EQ(1, number_of_line(text, " no mapping ("));
}
