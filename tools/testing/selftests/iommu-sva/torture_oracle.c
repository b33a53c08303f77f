// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: arenas, and what may be in them. The rules are in sva_torture.h. An arena and its shadow
 * belong to one actor, whose thread alone reads and settles them; only its jobs write beside it.
 */
#include "sva_torture.h"

#define WORDS	(t_page / 8)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)
#define RW	(PROT_READ | PROT_WRITE)

static void *map(struct t_actor *a, size_t len, int flags)
{
	void *memory = mmap(NULL, len, RW, flags, -1, 0);

	if (memory == MAP_FAILED)
		t_fail(a->number, "no memory: %s", strerror(errno));
	return memory;
}

/* The arena begins with a huge page: what the kernel can make one of is one. */
static __u8 *map_aligned(struct t_actor *a, size_t len)
{
	const size_t huge = 2UL << 20;
	uintptr_t all = (uintptr_t)map(a, len + huge, ANON | MAP_NORESERVE);
	uintptr_t start = (all + huge - 1) & ~(huge - 1);

	if (start > all)
		munmap((void *)all, start - all);
	munmap((void *)(start + len), all + huge - start);
	return (__u8 *)start;
}

void t_arena_init(struct t_actor *a, int stream, __u32 run)
{
	size_t shared;
	int i;

	memset(a, 0, sizeof(*a));
	a->number = stream;
	a->run = run;
	a->slots = T_ARENA / t_page;
	a->shared_slots = a->slots / T_SHARED_PART;
	shared = a->shared_slots * t_page;
	a->base = map_aligned(a, T_ARENA);
	a->shadow = map(a, T_ARENA, ANON);
	/* A child must not see its parent's shadow change: it has a copy. */
	a->memfd = memfd_create("torture", MFD_CLOEXEC);
	if (a->memfd < 0 || ftruncate(a->memfd, shared))
		t_fail(stream, "no shared memory: %s", strerror(errno));
	if (mmap(a->base, shared, RW, MAP_SHARED | MAP_FIXED, a->memfd, 0) != a->base)
		t_fail(stream, "shared memory is not mapped: %s", strerror(errno));
	a->alias = mmap(NULL, shared, RW, MAP_SHARED, a->memfd, 0);
	if (a->alias == MAP_FAILED)
		t_fail(stream, "shared memory is not mapped again: %s", strerror(errno));
	for (i = 0; i < 2; i++)
		a->trap[i] = map(a, T_TRAP, ANON);
	for (i = 0; i < a->slots; i++)
		a->slot[i] = (struct t_slot) { .mapped = true, .prot = RW, .writer = -1 };
	for (i = 0; i < T_QUEUES; i++) {
		a->queue[i].q = (struct sva_queue)SVA_QUEUE_CLOSED;
		a->queue[i].job.source = map(a, T_JOB_SLOTS * t_page, ANON);
	}
	a->nth = -1;
}

/* Never zero, and never the same twice: it names stream, run and use. */
__u64 t_tag(struct t_actor *a)
{
	return 0x5aULL << 56 | (__u64)(a->number & 0xff) << 48 |
	       (__u64)(a->run & 0xffff) << 32 | ++a->tags;
}

__u8 *t_at(struct t_actor *a, int slot)
{
	return a->base + slot * t_page;
}

static __u64 *shadow_of(struct t_actor *a, int slot)
{
	return (__u64 *)(a->shadow + slot * t_page);
}

const __u8 *t_readable(struct t_actor *a, int slot)
{
	if (slot < a->shared_slots)
		return a->alias + slot * t_page;
	if (!a->slot[slot].mapped || !(a->slot[slot].prot & PROT_READ))
		return NULL;
	return t_at(a, slot);
}

/* The slot that @addr is in; -1 if it is in none. */
static int slot_of(const struct t_actor *a, __u64 addr)
{
	__u64 at = addr - (uintptr_t)a->base;

	return at < T_ARENA ? (int)(at / t_page) : -1;
}

static __u32 op_of(const struct t_job *job)
{
	return job->what.op & SVA_DMA_OP_MASK;
}

static bool reads(const struct t_job *job)
{
	return op_of(job) == SVA_DMA_OP_COPY || op_of(job) == SVA_DMA_OP_CHECKSUM;
}

static bool writes(const struct t_job *job)
{
	return op_of(job) != SVA_DMA_OP_CHECKSUM;
}

/* Does @job put a word at @addr? Which one? */
static bool puts_word(const struct t_job *job, __u64 addr, __u64 *word)
{
	__u64 at = addr - job->what.dst;

	if (!writes(job) || at >= job->len || (job->what.step && at % job->what.step))
		return false;
	switch (op_of(job)) {
	case SVA_DMA_OP_FILL:
		*word = job->what.arg0;
		return true;
	case SVA_DMA_OP_COPY:
		memcpy(word, job->source + at, sizeof(*word));
		return true;
	default:
		*word = job->what.arg1;
		return true;
	}
}

/* Has something changed what @job copies to @addr since the job began? */
static bool source_changed(const struct t_actor *a, const struct t_job *job, __u64 addr)
{
	int slot;

	if (op_of(job) != SVA_DMA_OP_COPY)
		return false;
	slot = slot_of(a, job->what.src + (addr - job->what.dst));
	return slot < 0 || a->slot[slot].changed > job->when;
}

/* May @value be what @job has copied to @addr from a slot that changed meanwhile? */
static bool of_changed_source(const struct t_actor *a, const struct t_job *job, __u64 addr,
			      __u64 value)
{
	int slot = slot_of(a, job->what.src + (addr - job->what.dst));

	return !value || (slot >= 0 && a->slot[slot].word && value == a->slot[slot].word);
}

static bool left_by_kernel(const struct t_slot *slot, __u64 value)
{
	return (slot->lazy || slot->fresh) && (!value || (slot->word && value == slot->word));
}

/* May @value be at @addr, for which the shadow has @shadow? */
static bool may_be(const struct t_actor *a, const struct t_slot *slot, __u64 addr, __u64 shadow,
		   __u64 value)
{
	const struct t_job *job = slot->writer < 0 ? NULL : &a->queue[slot->writer].job;
	__u64 word;

	if (value == shadow || left_by_kernel(slot, value))
		return true;
	/* While a slot cannot be written, its shadow is exact. */
	if (!job || !slot->mapped || !(slot->prot & PROT_WRITE) || !puts_word(job, addr, &word))
		return false;
	return value == word ||
	       (source_changed(a, job, addr) && of_changed_source(a, job, addr, value));
}

/* In brackets: kind of memory, protection, writer, when the contents last changed, and the time */
__attribute__((noreturn))
static void wrong_word(struct t_actor *a, int slot, __u64 addr, __u64 shadow, __u64 value,
		       const char *why)
{
	const struct t_slot *s = &a->slot[slot];

	t_fail(a->number, "%s: slot %d, %#llx is %#llx, not %#llx (%s%s%s %d, %d, %llu of %llu)",
	       why, slot, (unsigned long long)addr, (unsigned long long)value,
	       (unsigned long long)shadow, slot < a->shared_slots ? "shared" : "private",
	       s->lazy ? " lazy" : "", s->fresh ? " fresh" : "", s->prot, s->writer,
	       (unsigned long long)s->changed, (unsigned long long)a->when);
}

/* Of @slot, whose contents are at @mem, and whose writer knows it as @known */
static void check_at(struct t_actor *a, int slot, const __u8 *mem, int known, bool adopt)
{
	const volatile __u64 *words = (const volatile __u64 *)mem;
	__u64 addr = (uintptr_t)t_at(a, known), *shadow = shadow_of(a, known), value;
	size_t i;

	t_count(&t_shared->verified, t_page);
	if (!memcmp(mem, shadow, t_page))
		return;
	for (i = 0; i < WORDS; i++) {
		value = words[i];
		if (!may_be(a, &a->slot[known], addr + i * 8, shadow[i], value))
			wrong_word(a, slot, addr + i * 8, shadow[i], value, "a word is wrong");
		if (adopt)
			shadow[i] = value;
	}
}

void t_check(struct t_actor *a, int slot, bool adopt)
{
	const __u8 *mem = t_readable(a, slot);

	if (!mem)
		return;
	check_at(a, slot, mem, slot, adopt);
	/* What has been read is there. */
	if (adopt)
		a->slot[slot].fresh = false;
}

void t_check_moved(struct t_actor *a, int from, int to)
{
	check_at(a, to, t_at(a, to), from, true);
	memcpy(shadow_of(a, to), shadow_of(a, from), t_page);
}

void t_check_all(struct t_actor *a)
{
	int i;

	for (i = 0; i < a->slots; i++)
		t_check(a, i, false);
	t_check_traps(a);
}

static void check_trap(struct t_actor *a, int which)
{
	const volatile __u64 *words = (const volatile __u64 *)a->trap[which];
	size_t i;

	if (!a->trap_word[which])
		return;
	for (i = 0; i < T_TRAP / 8; i++)
		if (words[i] != a->trap_word[which])
			t_fail(a->number, "a trap has changed: %p is %#llx, not %#llx",
			       (void *)&words[i], (unsigned long long)words[i],
			       (unsigned long long)a->trap_word[which]);
	t_count(&t_shared->verified, T_TRAP);
}

void t_check_traps(struct t_actor *a)
{
	check_trap(a, 0);
	check_trap(a, 1);
}

/* The frames that were given up last are those that the next page faults take. */
void t_set_trap(struct t_actor *a)
{
	int next = !a->trapped;
	__u64 *words = (__u64 *)a->trap[next];
	size_t i;

	a->trap_word[next] = t_tag(a);
	for (i = 0; i < T_TRAP / 8; i++)
		words[i] = a->trap_word[next];
	check_trap(a, a->trapped);
	madvise(a->trap[a->trapped], T_TRAP, MADV_DONTNEED);
	a->trap_word[a->trapped] = 0;
	a->trapped = next;
}

/* ---- jobs ---- */

static void first_and_last(const struct t_actor *a, __u64 addr, __u64 len, int *first, int *last)
{
	*first = slot_of(a, addr);
	*last = slot_of(a, addr + len - 1);
}

void t_job_starts(struct t_actor *a, struct t_queue *tq)
{
	struct t_job *job = &tq->job;
	int first, last, i;

	job->live = true;
	job->aborted = false;
	job->when = a->when;
	job->since = sva_now_ms();
	job->upset = t_upset(tq->device);
	if (writes(job)) {
		first_and_last(a, job->what.dst, job->len, &first, &last);
		for (i = first; i <= last; i++)
			a->slot[i].writer = tq - a->queue;
	}
	if (reads(job)) {
		first_and_last(a, job->what.src, job->len, &first, &last);
		for (i = first; i <= last; i++)
			a->slot[i].readers++;
		/* The shadow is what the job finds: its actor has settled these slots. */
		if (op_of(job) == SVA_DMA_OP_COPY)
			memcpy(job->source, a->shadow + (job->what.src - (uintptr_t)a->base),
			       job->len);
	}
	if (op_of(job) == SVA_DMA_OP_CAS)
		memcpy(job->source, a->shadow + (job->what.dst - (uintptr_t)a->base), 8);
}

/* How much of its first pass a job has certainly done, and beyond which it has done nothing */
static bool is_exact(const struct t_job *job, const struct sva_result *result, __u64 *done)
{
	*done = job->len;
	if (result->status == SVA_DMA_DONE)
		return op_of(job) != SVA_DMA_OP_CAS || !memcmp(job->source, &job->what.arg0, 8);
	if (result->status < 0 || result->status == SVA_DMA_IDLE || op_of(job) == SVA_DMA_OP_CAS)
		return false;
	if (result->passes)
		return true;
	*done = result->bytes;
	return !job->what.repeat && !job->what.step;
}

/* The device has no more to do with the slot, whose contents nothing but the job has changed. */
static void check_exactly(struct t_actor *a, int slot, const struct t_job *job, __u64 done)
{
	const volatile __u64 *words = (const volatile __u64 *)t_readable(a, slot);
	__u64 addr = (uintptr_t)t_at(a, slot), *shadow = shadow_of(a, slot), word, value;
	bool put = false;
	size_t i;

	for (i = 0; i < WORDS; i++, addr += 8) {
		value = words[i];
		if (puts_word(job, addr, &word) && addr - job->what.dst < done) {
			put = true;
			if (value != word && !(source_changed(a, job, addr) &&
					       of_changed_source(a, job, addr, value)))
				wrong_word(a, slot, addr, word, value, "a device's write is lost");
		} else if (value != shadow[i] && !left_by_kernel(&a->slot[slot], value)) {
			wrong_word(a, slot, addr, shadow[i], value, "a device wrote too much");
		}
		shadow[i] = value;
	}
	t_count(&t_shared->verified, t_page);
	a->slot[slot].fresh = false;
	/* A page that has been written is not given up any more. */
	if (put)
		a->slot[slot].lazy = false;
}

static void check_targets(struct t_actor *a, struct t_job *job, const struct sva_result *result)
{
	bool exact, none = false;
	int first, last, i;
	__u64 done;

	exact = is_exact(job, result, &done);
	/* A comparison that has failed puts nothing. */
	if (op_of(job) == SVA_DMA_OP_CAS && result->status == SVA_DMA_DONE && !exact) {
		none = result->value != job->what.arg0;
		done = 0;
	}
	first_and_last(a, job->what.dst, job->len, &first, &last);
	for (i = first; i <= last; i++) {
		/* What cannot be read has not been written since it could: its shadow is exact. */
		if (t_readable(a, i)) {
			if ((exact || none) && a->slot[i].changed <= job->when)
				check_exactly(a, i, job, done);
			else
				t_check(a, i, true);
		}
		a->slot[i].writer = -1;
	}
}

static void check_result(struct t_actor *a, struct t_job *job, const struct sva_result *result)
{
	__u64 at, wanted;
	int first, last, i;

	if (op_of(job) == SVA_DMA_OP_CAS) {
		i = slot_of(a, job->what.dst);
		memcpy(&wanted, job->source, 8);
		if (a->slot[i].changed > job->when || left_by_kernel(&a->slot[i], result->value))
			return;
	} else {
		first_and_last(a, job->what.src, job->len, &first, &last);
		for (i = first; i <= last; i++)
			if (a->slot[i].changed > job->when)
				return;
		at = job->what.src - (uintptr_t)a->base;
		wanted = sva_fnv1a(a->shadow + at, job->len);
	}
	t_count(&t_shared->verified, job->len);
	if (result->value != wanted)
		t_fail(a->number, "a device has read %#llx, not %#llx, of %#llx, %llu bytes",
		       (unsigned long long)result->value,
		       (unsigned long long)wanted, (unsigned long long)
		       (op_of(job) == SVA_DMA_OP_CAS ? job->what.dst : job->what.src),
		       (unsigned long long)job->len);
}

/* Was the address that the job was refused out of its reach at some time? */
static bool was_barred(const struct t_actor *a, const struct t_job *job, __u64 addr)
{
	int slot = slot_of(a, addr), first, last, need;
	const struct t_slot *s = &a->slot[slot];
	bool write = false;

	if (slot < 0)
		return false;
	/* The address may be that of the unit which the job has asked for. */
	if (writes(job)) {
		first_and_last(a, job->what.dst, job->len, &first, &last);
		write = first <= slot && slot <= last;
	}
	need = write ? PROT_WRITE : PROT_READ;
	return !s->mapped || !(s->prot & need) || s->barred[write] > job->when;
}

/*
 * Or one of the pages that were asked for in the same group? It is refused as a whole, and the job
 * names its first page. A group is of pages that the job lacks, from that one on.
 */
static bool group_was_barred(struct t_actor *a, const struct t_job *job, __u64 addr)
{
	int slot = slot_of(a, addr), first, last, i;

	if (was_barred(a, job, addr))
		return true;
	if (slot < 0 || (job->what.op & SVA_DMA_OP_GROUP) <= sva_group(1))
		return false;
	first_and_last(a, writes(job) ? job->what.dst : job->what.src, job->len, &first, &last);
	if (slot < first || slot > last)
		first_and_last(a, job->what.src, job->len, &first, &last);
	for (i = slot + 1; i <= last; i++)
		if (was_barred(a, job, (uintptr_t)t_at(a, i)))
			return true;
	return false;
}

static void judge_status(struct t_actor *a, struct t_queue *tq, const struct sva_result *result)
{
	struct t_job *job = &tq->job;
	__u64 addr = result->fault_addr;

	if (result->status == SVA_DMA_DONE || t_was_upset(tq->device, job->upset) ||
	    (result->status == -ENODEV && t_was_upset(tq->device, tq->upset)))
		return;
	switch (result->status) {
	case SVA_DMA_ERR_STOPPED:
		if (job->aborted)
			return;
		break;
	case SVA_DMA_ERR_TRANSLATION:
		/* It is also what a job says that is granted a page in vain, again and again. */
		if (!was_barred(a, job, addr) && !t_shared->device[tq->device].stall) {
			t_count(&t_shared->starved, 1);
			return;
		}
		if (was_barred(a, job, addr)) {
			t_count(&t_shared->refused, 1);
			return;
		}
		break;
	case SVA_DMA_ERR_PRI_INVALID:
		if (group_was_barred(a, job, addr)) {
			t_count(&t_shared->refused, 1);
			return;
		}
		break;
	case SVA_DMA_ERR_FAULT:
		if (was_barred(a, job, addr)) {
			t_count(&t_shared->refused, 1);
			return;
		}
		break;
	}
	/* A process that is being killed is not served any more, and does not get beyond this. */
	usleep(20000);
	t_fail(a->number, "%s: %#llx, %llu bytes (%s, operation %#x, %#llx, from %#llx, of %llu)",
	       sva_status_name(result->status), (unsigned long long)addr,
	       (unsigned long long)result->bytes, t_shared->device[tq->device].bdf, job->what.op,
	       (unsigned long long)job->what.dst, (unsigned long long)job->what.src,
	       (unsigned long long)job->len);
}

void t_job_ended(struct t_actor *a, struct t_queue *tq, struct sva_result result)
{
	struct t_job *job = &tq->job;
	int first, last, i;

	if (!job->live)
		return;
	job->live = false;
	t_count(&t_shared->jobs, 1);
	judge_status(a, tq, &result);
	if (result.status == -ENODEV)
		tq->started = false;
	/* What a device that was reset says of its job is not about the job. */
	if (result.status != SVA_DMA_DONE && t_was_upset(tq->device, job->upset))
		result.status = -ENODEV;
	if (result.status == SVA_DMA_DONE && op_of(job) >= SVA_DMA_OP_CHECKSUM)
		check_result(a, job, &result);
	if (writes(job))
		check_targets(a, job, &result);
	if (!reads(job))
		return;
	first_and_last(a, job->what.src, job->len, &first, &last);
	for (i = first; i <= last; i++)
		a->slot[i].readers--;
}
