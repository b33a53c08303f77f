// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: a file whose server dies. A process maps a file of a FUSE file system and has a device
 * copy it. The server answers some reads, keeps one waiting, and ends: with that the kernel aborts
 * the connection, and what waits for the file gets SIGBUS, the device a refusal. Half of the
 * processes are killed meanwhile.
 *
 * The copy is right up to where it was refused, and nothing is behind that. It may be refused only
 * if the server gave up. The bond is as good as before.
 */
#include <linux/fuse.h>
#include <sys/mount.h>

#include "sva_torture.h"

#define DIR		"/tmp/sva-fuse"
#define NAME		"file"
#define PAGES		48
#define NODE		2
#define VALID		3600	/* seconds, for which the kernel may believe what it was told */
#define HOLD_MS		300	/* for which a read waits at most before the server ends */
#define LIFE_MS		400	/* of a process that is killed, at most */

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/**
 * struct site - what the three processes share
 * @gave_up: the server leaves a read without an answer
 * @reads: how many it answers
 * @hold: how long it keeps the last one waiting, in ms
 * @group: pages of a page request group of the device
 */
struct site {
	__u32 gave_up;
	__u32 reads;
	__u32 hold;
	__u32 group;
};

/* How the process that has the file copied ends, beside well */
enum { ENDED_WELL, NO_FILE, NO_BOND, STUCK, NO_REASON, WRONG_BYTES, TOO_MUCH, BOND_SPOILT };

static const char * const t_ends[] = {
	[NO_FILE] = "no file", [NO_BOND] = "no bond", [STUCK] = "the copy does not end",
	[NO_REASON] = "the copy was refused though all reads were answered",
	[WRONG_BYTES] = "bytes that were copied are wrong",
	[TOO_MUCH] = "bytes behind those that were copied have changed",
	[BOND_SPOILT] = "the device can't write to memory of the process after the copy",
};

static size_t file_len(void)
{
	return PAGES * t_page;
}

static __u64 word_at(__u64 offset)
{
	return t_mix(offset);
}

/* ---- the server ---- */

static void answer(int fd, const struct fuse_in_header *in, int error, const void *data, size_t len)
{
	static __u8 message[sizeof(struct fuse_out_header) + 65536];
	struct fuse_out_header out = {
		.len = sizeof(out) + len, .error = error, .unique = in->unique,
	};

	memcpy(message, &out, sizeof(out));
	if (len)
		memcpy(message + sizeof(out), data, len);
	/* The request may have been interrupted: then nothing waits for the answer. */
	if (write(fd, message, out.len) < 0)
		errno = 0;
}

static struct fuse_attr attributes(__u64 node)
{
	return (struct fuse_attr) {
		.ino = node, .nlink = 1, .blksize = t_page,
		.size = node == NODE ? file_len() : 0,
		.mode = node == NODE ? S_IFREG | 0444 : S_IFDIR | 0555,
	};
}

static void answer_init(int fd, const struct fuse_in_header *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 8 * t_page, .max_write = t_page, .time_gran = 1,
		.max_background = 12, .congestion_threshold = 9,
	};

	answer(fd, in, 0, &out, sizeof(out));
}

static void answer_entry(int fd, const struct fuse_in_header *in)
{
	struct fuse_entry_out out = {
		.nodeid = NODE, .entry_valid = VALID, .attr_valid = VALID,
		.attr = attributes(NODE),
	};

	answer(fd, in, 0, &out, sizeof(out));
}

static void answer_attributes(int fd, const struct fuse_in_header *in)
{
	struct fuse_attr_out out = { .attr_valid = VALID, .attr = attributes(in->nodeid) };

	answer(fd, in, 0, &out, sizeof(out));
}

static void answer_open(int fd, const struct fuse_in_header *in)
{
	struct fuse_open_out out = { .fh = 1 };

	answer(fd, in, 0, &out, sizeof(out));
}

static void answer_read(int fd, const struct fuse_in_header *in, struct site *site)
{
	const struct fuse_read_in *read_in = (const void *)(in + 1);
	static __u64 words[65536 / 8];
	size_t len = read_in->size, i;

	if (!site->reads--) {
		__atomic_store_n(&site->gave_up, 1, __ATOMIC_SEQ_CST);
		usleep(1000 * site->hold);
		_exit(0);
	}
	if (len > sizeof(words))
		len = sizeof(words);
	for (i = 0; i < len / 8; i++)
		words[i] = word_at(read_in->offset + i * 8);
	answer(fd, in, 0, words, len);
}

/* Serves until the file system is unmounted, or it gives up. */
__attribute__((noreturn))
static void serve(int fd, struct site *site)
{
	static __u64 request[(FUSE_MIN_READ_BUFFER + 65536) / 8];
	const struct fuse_in_header *in = (const void *)request;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (read(fd, request, sizeof(request)) < 0) {
			if (errno == ENODEV)
				_exit(0);
			continue;
		}
		switch (in->opcode) {
		case FUSE_INIT:
			answer_init(fd, in);
			break;
		case FUSE_LOOKUP:
			answer_entry(fd, in);
			break;
		case FUSE_GETATTR:
			answer_attributes(fd, in);
			break;
		case FUSE_OPEN:
			answer_open(fd, in);
			break;
		case FUSE_READ:
			answer_read(fd, in, site);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		case FUSE_FLUSH:
		case FUSE_RELEASE:
			answer(fd, in, 0, NULL, 0);
			break;
		default:
			answer(fd, in, -EOPNOTSUPP, NULL, 0);
		}
	}
}

/* ---- the process that has the file copied ---- */

/* The first @done bytes are the file's, the others as they were. */
static int judge(const volatile __u64 *words, __u64 done)
{
	size_t i;

	t_count(&t_shared->verified, file_len());
	for (i = 0; i < file_len() / 8; i++) {
		if (i * 8 < done && words[i] != word_at(i * 8))
			return WRONG_BYTES;
		if (i * 8 >= done && words[i])
			return TOO_MUCH;
	}
	return ENDED_WELL;
}

static int copy_file(struct sva_queue *q, const struct site *site, const void *source, void *target)
{
	struct sva_job job = sva_copy(target, source, file_len()), last;
	struct sva_result result;
	int end;

	job.op |= sva_group(site->group);
	result = sva_run(q, &job);
	if (result.status < 0)
		return STUCK;
	if (result.status != SVA_DMA_DONE && !__atomic_load_n(&site->gave_up, __ATOMIC_SEQ_CST))
		return NO_REASON;
	end = judge(target, result.status == SVA_DMA_DONE ? file_len() : result.bytes);
	if (end)
		return end;
	last = sva_fill(target, file_len(), 0x5a);
	return sva_run(q, &last).status == SVA_DMA_DONE ? ENDED_WELL : BOND_SPOILT;
}

__attribute__((noreturn))
static void use_file(const struct site *site)
{
	struct sva_device device = t_shared->device[1];
	int fd = open(DIR "/" NAME, O_RDONLY | O_CLOEXEC);
	struct sva_queue q = SVA_QUEUE_CLOSED;
	void *source, *target;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	source = mmap(NULL, file_len(), PROT_READ, MAP_PRIVATE, fd, 0);
	target = mmap(NULL, file_len(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (source == MAP_FAILED || target == MAP_FAILED)
		_exit(NO_FILE);
	if (sva_open(&q, &device))
		_exit(NO_BOND);
	/* All channels may be in use. */
	if (sva_start(&q))
		_exit(ENDED_WELL);
	_exit(copy_file(&q, site, source, target));
}

/* ---- the machine's stream ---- */

static pid_t start_server(struct site *site)
{
	char options[128];
	pid_t pid = -1;
	int fd;

	mkdir(DIR, 0755);
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,max_read=%zu",
		 fd, t_page);
	if (!mount("sva", DIR, "fuse", MS_NOSUID | MS_NODEV, options)) {
		pid = fork();
		if (!pid)
			serve(fd, site);
		if (pid < 0)
			umount2(DIR, MNT_DETACH);
	}
	/* The server has the only one: when it ends, so does the connection. */
	close(fd);
	return pid < 0 ? -errno : pid;
}

static void draw(struct t_rng *rng, struct site *site, __s64 *life)
{
	site->gave_up = 0;
	/* A few answer all. */
	site->reads = t_random(rng, PAGES + PAGES / 4);
	site->hold = t_random(rng, HOLD_MS);
	site->group = 1 + t_random(rng, 16);
	*life = t_random(rng, 2) ? t_random(rng, LIFE_MS) : 2 * SVA_TIMEOUT_MS;
}

static void check_end(int status, bool spared)
{
	size_t end = WEXITSTATUS(status);

	if (WIFEXITED(status) && end)
		t_fail(T_MACHINE, "a file whose server dies: %s",
		       end < ARRAY_SIZE(t_ends) ? t_ends[end] : "?");
	if (WIFSIGNALED(status) && (WTERMSIG(status) != SIGKILL || spared))
		t_fail(T_MACHINE, "a process whose file's server dies ended by signal %d",
		       WTERMSIG(status));
}

int t_fuse(struct t_rng *rng)
{
	struct site *site = mmap(NULL, sizeof(*site), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t server, user;
	int status = 0;
	__s64 life;

	if (site == MAP_FAILED)
		return -errno;
	draw(rng, site, &life);
	server = start_server(site);
	if (server < 0) {
		munmap(site, sizeof(*site));
		return server;
	}
	user = fork();
	if (!user)
		use_file(site);
	if (user > 0)
		status = t_await(user, life);
	kill(server, SIGKILL);
	t_await(server, 0);
	umount2(DIR, MNT_DETACH);
	munmap(site, sizeof(*site));
	if (user < 0)
		return -ENOMEM;
	check_end(status, life > SVA_TIMEOUT_MS);
	return 0;
}
