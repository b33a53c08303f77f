// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: a worker, which is a process of two actors. Each is a thread with an arena and queues of
 * its own, which the other never touches; they share the mm, and so mmap_lock and the PASID. The
 * first may end the process, or have it begin anew with exec(); the second ends with it.
 */
#include "sva_torture.h"

/* How often an actor does what */
static const struct {
	enum t_op op;
	__u32 weight;
} t_weights[] = {
	{ T_FILL, 14 }, { T_COPY, 14 }, { T_CHECKSUM, 6 }, { T_CAS, 4 }, { T_ENDLESS, 3 },
	{ T_ABORT, 3 }, { T_REAP, 10 }, { T_WRITE, 8 }, { T_VERIFY, 4 },
	{ T_MMAP, 7 }, { T_MUNMAP, 6 }, { T_MREMAP, 6 }, { T_MPROTECT, 8 }, { T_DONTNEED, 8 },
	{ T_FREE, 3 }, { T_PUNCH, 3 }, { T_PAGEOUT, 3 }, { T_COLD, 1 }, { T_HUGEPAGE, 2 },
	{ T_NOHUGEPAGE, 1 }, { T_COLLAPSE, 2 }, { T_MERGEABLE, 2 }, { T_UNMERGEABLE, 1 },
	{ T_POPULATE, 2 }, { T_MONITOR, 1 },
	{ T_OPEN, 3 }, { T_CLOSE, 2 }, { T_RESTART, 2 }, { T_DROP_ATC, 1 }, { T_FORK, 1 },
};

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define STEPS_PER_LIFE	1500	/* of the first actor, on average; the process ends with it */
#define FULL_VERIFY	200	/* a look at all of the arena after so many steps */

static struct t_actor t_actor[T_ACTORS];
static int t_shared_fd, t_number;

static enum t_op choose(struct t_rng *rng)
{
	static __u32 sum;
	__u32 total = 0, at;
	size_t i;

	if (!sum) {
		for (i = 0; i < ARRAY_SIZE(t_weights); i++)
			total += t_weights[i].weight;
		sum = total;
	}
	at = t_random(rng, sum);
	for (i = 0; at >= t_weights[i].weight; i++)
		at -= t_weights[i].weight;
	return t_weights[i].op;
}

/* Few pages mostly, sometimes more than an ATC, a batch or a single invalidation can take */
static __u32 choose_length(struct t_rng *rng)
{
	switch (t_random(rng, 10)) {
	case 0:
		return 1 + t_random(rng, T_MAX_SLOTS / 2);
	case 1 ... 3:
		return 1 + t_random(rng, 64);
	default:
		return 1 + t_random(rng, 5);
	}
}

static int choose_device(struct t_actor *a)
{
	/* Most actors meet on the first device, which is the one that is disturbed. */
	if (t_random(&a->rng, 2))
		return 0;
	return t_random(&a->rng, t_shared->devices);
}

static int open_queue(struct t_actor *a, struct t_queue *tq)
{
	int device = choose_device(a);

	t_close(a, tq);
	tq->device = device;
	return t_open(a, tq);
}

static int verify(struct t_actor *a, __u32 first, __u32 nr)
{
	__u32 i;

	for (i = first; i < first + nr && i < (__u32)a->slots; i++)
		t_check(a, i, false);
	t_check_traps(a);
	return 0;
}

static int drop_atc(struct t_queue *tq)
{
	return tq->open ? sva_control(&tq->q, SVA_DMA_CTRL_DROP_ATC) : -EBADF;
}

/* The queue that was drawn, or another one that has no job */
static struct t_queue *free_queue(struct t_actor *a, struct t_queue *tq)
{
	int i;

	for (i = 0; i < T_QUEUES; i++, tq++) {
		if (tq == a->queue + T_QUEUES)
			tq = a->queue;
		if (tq->started && !tq->job.live)
			return tq;
	}
	return NULL;
}

static int submit(struct t_actor *a, struct t_queue *tq, enum t_op op, __u32 *first, __u32 *nr)
{
	struct t_queue *other = free_queue(a, tq);

	/* Rather a bind than another step without a job */
	if (!other && !tq->open)
		return open_queue(a, tq);
	return other ? t_submit(a, other, op, first, nr) : -EAGAIN;
}

static int act(struct t_actor *a, enum t_op op, __u32 *first, __u32 *nr)
{
	struct t_queue *tq = &a->queue[t_random(&a->rng, T_QUEUES)];

	switch (op) {
	case T_FILL ... T_ENDLESS:
		return submit(a, tq, op, first, nr);
	case T_ABORT:
		return t_abort(a, tq);
	case T_REAP:
		t_reap(a, *nr > 32);
		return 0;
	case T_VERIFY:
		return verify(a, *first, *nr);
	case T_OPEN:
		return tq->open ? -EEXIST : open_queue(a, tq);
	case T_CLOSE:
		if (!tq->open)
			return -EBADF;
		t_close(a, tq);
		return 0;
	case T_RESTART:
		return tq->open ? t_restart(a, tq) : -EBADF;
	case T_DROP_ATC:
		return drop_atc(tq);
	case T_FORK:
		return t_fork(a);
	default:
		return t_memory(a, op, first, nr);
	}
}

__attribute__((noreturn))
static void become(void)
{
	struct t_stream *stream = &t_shared->stream[t_number * T_ACTORS];
	char number[16], fd[16];
	int i;

	for (i = 0; i < T_ACTORS; i++)
		stream[i].run++;
	snprintf(number, sizeof(number), "%d", t_number);
	snprintf(fd, sizeof(fd), "%d", t_shared_fd);
	execl("/proc/self/exe", "sva_torture", "--worker", number, fd, NULL);
	t_fail(t_number * T_ACTORS, "exec: %s", strerror(errno));
}

/* Whatever is under way, the first actor ends the process. */
__attribute__((noreturn))
static void end_life(struct t_actor *a, enum t_op op)
{
	t_count(&t_shared->ops[op], 1);
	t_decided(a->number, op, 0, 0, 0);
	switch (op) {
	case T_EXEC:
		become();
	case T_EXIT:
		_exit(0);
	default:
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	}
}

/* What is drawn in a step depends on the step before all else, and only then on what it meets. */
static void step(struct t_actor *a, __u64 number)
{
	enum t_op op, end;
	__u32 first, nr;
	bool last;
	int ret;

	t_decide(&a->rng, a->number, a->run, number);
	op = choose(&a->rng);
	nr = choose_length(&a->rng);
	first = t_random(&a->rng, a->slots);
	last = !t_random(&a->rng, STEPS_PER_LIFE);
	end = T_EXEC + t_random(&a->rng, 3);
	t_begin(a->number, number);
	t_reap(a, false);
	t_reap_children(a, false);
	t_decided(a->number, op, first, nr, -EINPROGRESS);
	ret = act(a, op, &first, &nr);
	t_decided(a->number, op, first, nr, ret);
	if (!ret)
		t_count(&t_shared->ops[op], 1);
	if (number % FULL_VERIFY == 0)
		t_check_all(a);
	if (last && a == t_actor)
		end_life(a, end);
}

static void finish(struct t_actor *a)
{
	int i;

	t_reap(a, true);
	t_check_all(a);
	for (i = 0; i < T_QUEUES; i++)
		t_close(a, &a->queue[i]);
	t_reap_children(a, true);
	t_check_all(a);
	t_rest(a->number);
}

static void *live(void *arg)
{
	struct t_actor *a = arg;
	__u64 number;
	int i;

	t_stream = a->number;
	a->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	for (i = 0; i < T_QUEUES; i++) {
		t_decide(&a->rng, a->number, a->run, i);
		t_begin(a->number, 0);
		open_queue(a, &a->queue[i]);
	}
	for (number = T_QUEUES; !t_ending(); number++)
		step(a, number);
	finish(a);
	return NULL;
}

int t_worker(int worker, int shared_fd)
{
	struct t_stream *stream = &t_shared->stream[worker * T_ACTORS];
	pthread_t thread;
	int i;

	t_number = worker;
	t_shared_fd = shared_fd;
	t_catch_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	t_arena_init(&t_actor[0], worker * T_ACTORS, stream[0].run);
	t_arena_init(&t_actor[1], worker * T_ACTORS + 1, stream[0].run);
	for (i = 0; i < T_ACTORS; i++)
		stream[i].pid = getpid();
	if (pthread_create(&thread, NULL, live, &t_actor[1]))
		t_fail(worker * T_ACTORS, "no thread");
	live(&t_actor[0]);
	pthread_join(thread, NULL);
	return 0;
}
