// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: queues, jobs, and allocations that fail. Each actor has queues of its own and works on
 * them alone, beside the devices, the other actors and the machine; all memory of a job belongs to
 * its actor's arena.
 */
#include "sva_torture.h"

#define WORD	8

/* ---- allocations that fail ---- */

void t_inject(struct t_actor *a, __u32 nth)
{
	char text[16];
	int n;

	if (a->nth < 0 || !t_shared->inject)
		return;
	n = snprintf(text, sizeof(text), "%u", nth);
	if (pwrite(a->nth, text, n, 0) != n)
		t_fail(a->number, "fail-nth: %s", strerror(errno));
}

bool t_injected(struct t_actor *a)
{
	char text[16] = "";
	bool hit;

	if (a->nth < 0 || !t_shared->inject)
		return false;
	if (pread(a->nth, text, sizeof(text) - 1, 0) <= 0)
		t_fail(a->number, "fail-nth: %s", strerror(errno));
	hit = !atoi(text);
	if (!hit && pwrite(a->nth, "0", 1, 0) != 1)
		t_fail(a->number, "fail-nth: %s", strerror(errno));
	if (hit)
		t_count(&t_shared->injected, 1);
	return hit;
}

/* ---- queues ---- */

static const struct sva_device *device_of(const struct t_queue *tq)
{
	return &t_shared->device[tq->device];
}

static bool stalls(const struct t_queue *tq)
{
	return device_of(tq)->stall;
}

/* The same device may have another path when it comes back. */
static int open_once(struct t_actor *a, struct t_queue *tq)
{
	struct sva_device device = *device_of(tq);
	bool inject = !device.own_faults && !t_random(&a->rng, 4);
	__u32 nth = 1 + t_random(&a->rng, 30);
	int ret;

	if (inject)
		t_inject(a, nth);
	ret = sva_open(&tq->q, &device);
	if (inject && t_injected(a) && ret) {
		/* Nothing of the bind that failed may stand in the way of the next. */
		ret = sva_open(&tq->q, &device);
	}
	return ret;
}

static bool passes_by(int error)
{
	return error == -ENOENT || error == -ENXIO || error == -ENODEV || error == -EAGAIN ||
	       error == -EIO || error == -EBUSY;
}

int t_open(struct t_actor *a, struct t_queue *tq)
{
	int ret;

	tq->upset = t_upset(tq->device);
	ret = open_once(a, tq);
	if (ret) {
		/* uacce says -EINVAL if the device goes after the look-up of its node. */
		bool passes = passes_by(ret) || ret == -EINVAL;

		if (!t_was_upset(tq->device, tq->upset) || !passes)
			t_fail(a->number, "no bond with %s: %s", device_of(tq)->bdf, tq->q.error);
		return ret;
	}
	tq->open = true;
	ret = t_restart(a, tq);
	/* Let others have the channels. */
	if (ret)
		t_close(a, tq);
	return ret;
}

/* Starts a queue that is open and has no job. */
static int start(struct t_actor *a, struct t_queue *tq)
{
	int ret = sva_start(&tq->q);

	if (ret && ret != -EBUSY && !(t_was_upset(tq->device, tq->upset) && passes_by(ret)))
		t_fail(a->number, "no channel of %s: %s", device_of(tq)->bdf, tq->q.error);
	tq->started = !ret;
	return ret;
}

static struct sva_result gone(void)
{
	return (struct sva_result) { .status = -ENODEV };
}

/* How the job ended, or is: of a queue whose device has gone, -ENODEV. */
static struct sva_result look(struct t_queue *tq)
{
	struct sva_result result;

	if (T_GONE()) {
		T_STAYED();
		return gone();
	}
	result = sva_peek(&tq->q);
	T_STAYED();
	return result;
}

/* All ones: the device is just going. */
static bool has_ended(const struct sva_result *result)
{
	return result->status != SVA_DMA_RUNNING && result->status != -1;
}

/* Waits until the job has ended, whatever becomes of the device. */
static void await_job(struct t_actor *a, struct t_queue *tq)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	struct sva_result result;

	for (;;) {
		result = look(tq);
		if (has_ended(&result))
			break;
		if (sva_now_ms() > end)
			t_fail(a->number, "no end: %s, PASID %u, operation %#x, %#llx, from %#llx",
			       device_of(tq)->bdf, tq->q.info.pasid, tq->job.what.op,
			       (unsigned long long)tq->job.what.dst,
			       (unsigned long long)tq->job.what.src);
		sva_relax();
	}
	t_job_ended(a, tq, result);
}

static void end_job(struct t_queue *tq)
{
	if (!T_GONE())
		*(volatile __u32 *)(tq->q.job + SVA_DMA_JOB_ABORT) = 1;
	T_STAYED();
}

/* The job of a device that stalls may have an access under way, which nothing can call back. */
int t_abort(struct t_actor *a, struct t_queue *tq)
{
	if (!tq->job.live)
		return -EINVAL;
	if (!stalls(tq)) {
		tq->job.aborted = true;
		end_job(tq);
	}
	await_job(a, tq);
	return 0;
}

/* When this returns, the device does nothing more for the queue. */
static void stop(struct t_actor *a, struct t_queue *tq)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	int ret;

	if (!tq->started)
		return;
	if (tq->job.live && stalls(tq))
		await_job(a, tq);
	tq->job.aborted = true;
	while ((ret = sva_stop(&tq->q)) == -EAGAIN && sva_now_ms() < end)
		sva_relax();
	if (ret && !passes_by(ret))
		t_fail(a->number, "a queue of %s goes on: %s", device_of(tq)->bdf,
		       tq->q.error);
	if (tq->job.live)
		await_job(a, tq);
	tq->started = false;
}

void t_close(struct t_actor *a, struct t_queue *tq)
{
	if (!tq->open)
		return;
	stop(a, tq);
	sva_close(&tq->q);
	tq->open = false;
}

/* A queue that has lost its device for good is closed. */
int t_restart(struct t_actor *a, struct t_queue *tq)
{
	int ret;

	stop(a, tq);
	ret = start(a, tq);
	if (ret && ret != -EBUSY && ret != -EAGAIN)
		t_close(a, tq);
	return ret;
}

void t_reap(struct t_actor *a, bool all)
{
	struct t_stream *stream = &t_shared->stream[a->number];
	struct sva_result result;
	struct t_queue *tq;
	__s64 since = 0;
	int i;

	for (i = 0; i < T_QUEUES; i++) {
		tq = &a->queue[i];
		if (!tq->job.live)
			continue;
		result = look(tq);
		if (has_ended(&result))
			t_job_ended(a, tq, result);
		else if (all && tq->job.what.repeat == SVA_FOREVER)
			t_abort(a, tq);
		else if (all)
			await_job(a, tq);
		else if (tq->job.what.repeat != SVA_FOREVER && (!since || since > tq->job.since))
			since = tq->job.since;
	}
	__atomic_store_n(&stream->job_since, since, __ATOMIC_RELAXED);
}

/* ---- jobs ---- */

/*
 * Slots from @first on, at most @nr, that a job may use: a writer has them for its own, readers may
 * share them. Unless @bold they are within its reach.
 */
static int usable(struct t_actor *a, int first, int nr, bool write, bool bold)
{
	int need = write ? PROT_READ | PROT_WRITE : PROT_READ, n;
	struct t_slot *s = &a->slot[first];

	for (n = 0; n < nr && first + n < a->slots; n++, s++) {
		if (s->writer >= 0 || (write && s->readers))
			break;
		if (!bold && (!s->mapped || (s->prot & need) != need))
			break;
	}
	return n;
}

/* As usable(), from the first slot at or after @first where there is one */
static int find_usable(struct t_actor *a, __u32 *first, int nr, bool write, bool bold)
{
	int i, n;

	for (i = 0; i < a->slots; i++) {
		n = usable(a, (*first + i) % a->slots, nr, write, bold);
		if (n) {
			*first = (*first + i) % a->slots;
			return n;
		}
	}
	return 0;
}

/* What the device is about to read is what the shadow says, and stays. */
static bool settle(struct t_actor *a, int first, int nr)
{
	int i;

	for (i = first; i < first + nr; i++) {
		if (a->slot[i].lazy || !t_readable(a, i))
			return false;
		t_check(a, i, true);
	}
	return true;
}

/* Within @nr slots, where a range of words begins, and how long it is */
static __u64 place(struct t_actor *a, int first, int nr, __u64 *len)
{
	__u64 size = nr * t_page, skip = 0;

	if (t_random(&a->rng, 2)) {
		skip = t_random(&a->rng, t_page / WORD) * WORD;
		size -= skip + t_random(&a->rng, (t_page - skip) / WORD) * WORD;
	}
	*len = size;
	return (uintptr_t)t_at(a, first) + skip;
}

static void write_job(struct t_actor *a, struct sva_job *job, __u64 *len, enum t_op op, int first,
		      int nr)
{
	static const __u64 steps[] = { 0, 0, 0, 64, 512, 4096 + WORD };

	job->op = SVA_DMA_OP_FILL | sva_group(1 + t_random(&a->rng, 16));
	job->dst = place(a, first, nr, len);
	job->len = *len;
	job->arg0 = t_tag(a);
	job->step = steps[t_random(&a->rng, 6)];
	job->repeat = t_random(&a->rng, 4) ? 0 : t_random(&a->rng, 100);
	job->pace = t_random(&a->rng, 3) ? 0 : t_random(&a->rng, 20000);
	if (op == T_ENDLESS)
		job->repeat = SVA_FOREVER;
}

static int fill(struct t_actor *a, struct t_queue *tq, enum t_op op, __u32 *first, __u32 *nr)
{
	bool bold = !t_random(&a->rng, 8);
	int n = find_usable(a, first, *nr, true, bold);

	if (!n)
		return -EBUSY;
	*nr = n;
	/* No stop calls back the access of a device that stalls: its jobs end by themselves. */
	if (stalls(tq))
		op = T_FILL;
	write_job(a, &tq->job.what, &tq->job.len, op, *first, n);
	return 0;
}

static int copy(struct t_actor *a, struct t_queue *tq, __u32 *first, __u32 *nr)
{
	__u32 from = t_random(&a->rng, a->slots);
	bool bold = !t_random(&a->rng, 8);
	struct sva_job *job = &tq->job.what;
	int n = find_usable(a, first, *nr, true, bold), m, i;
	__u64 len;

	/* The job becomes the writer only when it starts: what it reads must be elsewhere. */
	m = find_usable(a, &from, n, false, false);
	if (!n || !m || (from < *first + n && *first < from + m) || !settle(a, from, m))
		return -EBUSY;
	i = m < n ? m : n;
	*nr = i;
	job->op = SVA_DMA_OP_COPY | sva_group(1 + t_random(&a->rng, 8));
	job->dst = place(a, *first, i, &tq->job.len);
	job->src = place(a, from, i, &len);
	if (len < tq->job.len)
		tq->job.len = len;
	job->len = tq->job.len;
	job->repeat = t_random(&a->rng, 4) ? 0 : t_random(&a->rng, 20);
	return 0;
}

static int checksum(struct t_actor *a, struct t_queue *tq, __u32 *first, __u32 *nr)
{
	int n = find_usable(a, first, *nr > 8 ? 8 : *nr, false, false);
	struct sva_job *job = &tq->job.what;

	if (!n || !settle(a, *first, n))
		return -EBUSY;
	*nr = n;
	job->op = SVA_DMA_OP_CHECKSUM | sva_group(1 + t_random(&a->rng, 8));
	job->src = place(a, *first, n, &tq->job.len);
	job->len = tq->job.len;
	return 0;
}

static int cas(struct t_actor *a, struct t_queue *tq, __u32 *first, __u32 *nr)
{
	struct sva_job *job = &tq->job.what;
	bool matches = t_random(&a->rng, 2);
	__u64 len;

	*nr = 1;
	if (!find_usable(a, first, 1, true, false) || !settle(a, *first, 1))
		return -EBUSY;
	job->op = SVA_DMA_OP_CAS;
	job->dst = place(a, *first, 1, &len);
	memcpy(&job->arg0, a->shadow + (job->dst - (uintptr_t)a->base), WORD);
	if (!matches)
		job->arg0 = ~job->arg0;
	job->arg1 = t_tag(a);
	tq->job.len = WORD;
	return 0;
}

int t_submit(struct t_actor *a, struct t_queue *tq, enum t_op op, __u32 *first, __u32 *nr)
{
	int ret;

	if (!tq->started || tq->job.live)
		return -EAGAIN;
	if (*nr > T_JOB_SLOTS)
		*nr = T_JOB_SLOTS;
	tq->job.what = (struct sva_job) {};
	switch (op) {
	case T_COPY:
		ret = copy(a, tq, first, nr);
		break;
	case T_CHECKSUM:
		ret = checksum(a, tq, first, nr);
		break;
	case T_CAS:
		ret = cas(a, tq, first, nr);
		break;
	default:
		ret = fill(a, tq, op, first, nr);
		break;
	}
	if (ret)
		return ret;
	t_job_starts(a, tq);
	if (T_GONE()) {
		T_STAYED();
		t_job_ended(a, tq, gone());
		return -ENODEV;
	}
	sva_submit(&tq->q, &tq->job.what);
	T_STAYED();
	return 0;
}
