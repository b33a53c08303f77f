// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: what an actor does to its memory, and the processes that look at it. Only the actor's
 * thread changes mappings and shadow of its arena; beside it devices write to the slots of jobs, a
 * monitor fills slots that it watches, and a child of fork() has a copy.
 *
 * Each operation takes effect on the oracle's books after the system call has returned: from then
 * on its consequences are certain. The arena's time goes on before the call: what is under way then
 * may have met either state.
 */
#include <poll.h>
#include <sys/ioctl.h>

#include <linux/userfaultfd.h>

#include "sva_torture.h"

#define RW	(PROT_READ | PROT_WRITE)

#ifndef MADV_COLD
#define MADV_COLD		20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif

/* The same in all processes, so that KSM finds pages to share */
#define SAME_WORD	0x5b5b000000005b5bULL
#define CHILD_SLOTS	64
#define MOST_CHILDREN	2
/* What a monitor serves, at most, and how long it lives */
#define MONITOR_FAULTS	12
#define MONITOR_MS	2000

/* Makes what follows fail now and then; says whether it does. */
static bool tempt_fate(struct t_actor *a)
{
	bool inject = !t_random(&a->rng, 6);
	__u32 nth = 1 + t_random(&a->rng, 12);

	if (inject)
		t_inject(a, nth);
	return inject;
}

/* A call that failed for want of memory is made once more, without; then it must not. */
#define RETRIED(actor, call) ({						\
	struct t_actor *who_ = (actor);					\
	bool tempted_ = tempt_fate(who_);				\
	int tries_ = 0, error_;						\
	long ret_;							\
									\
	do {								\
		ret_ = (call);						\
		error_ = errno;						\
	} while (!tries_++ && tempted_ && t_injected(who_) && ret_ == -1); \
	who_->retried = tries_ > 1;					\
	errno = error_;							\
	ret_;								\
})

__attribute__((noreturn))
static void failed(struct t_actor *a, const char *what, int first, int nr)
{
	t_fail(a->number, "%s of %d slots from %d: %s", what, nr, first, strerror(errno));
}

static bool is_shared(const struct t_actor *a, int slot)
{
	return slot < a->shared_slots;
}

/* How many slots from @first on, at most @nr, are mapped, and of the same kind of memory */
static int run_of(const struct t_actor *a, int first, int nr)
{
	int end = is_shared(a, first) ? a->shared_slots : a->slots, n;

	for (n = 0; n < nr && first + n < end && a->slot[first + n].mapped; n++)
		;
	return n;
}

static void bar(struct t_actor *a, int slot, int prot)
{
	if (!(prot & PROT_READ))
		a->slot[slot].barred[0] = a->when;
	if (!(prot & PROT_WRITE))
		a->slot[slot].barred[1] = a->when;
}

/* Private memory that was dropped: zero, or what a monitor makes of it. */
static void dropped(struct t_actor *a, int slot)
{
	struct t_slot *s = &a->slot[slot];

	memset(a->shadow + slot * t_page, 0, t_page);
	s->changed = a->when;
	s->lazy = false;
	s->fresh = s->word;
}

static int do_munmap(struct t_actor *a, int first, int nr)
{
	int i;

	a->when++;
	if (RETRIED(a, munmap(t_at(a, first), nr * t_page)))
		failed(a, "munmap", first, nr);
	for (i = first; i < first + nr; i++) {
		/* What a device has written to shared memory is there, and no more comes. */
		if (is_shared(a, i))
			t_check(a, i, true);
		a->slot[i].mapped = false;
		a->slot[i].prot = PROT_NONE;
		bar(a, i, PROT_NONE);
		if (is_shared(a, i))
			continue;
		a->slot[i].word = 0;
		dropped(a, i);
	}
	t_set_trap(a);
	return 0;
}

/*
 * Over what is there, or in its place: a device finds the one or the other, and never nothing, but
 * after a failure: what was there may have gone already.
 */
static int do_mmap(struct t_actor *a, int first, int nr)
{
	bool shared = is_shared(a, first);
	int i, flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
	int end = shared ? a->shared_slots : a->slots, fd = shared ? a->memfd : -1;

	if (nr > end - first)
		nr = end - first;
	a->when++;
	if (RETRIED(a, (long)mmap(t_at(a, first), nr * t_page, RW, flags, fd,
				  shared ? first * t_page : 0)) != (long)t_at(a, first))
		failed(a, "mmap", first, nr);
	for (i = first; i < first + nr; i++) {
		/* Until now they were not within reach, if they were not. */
		bar(a, i, a->retried ? PROT_NONE : a->slot[i].prot);
		a->slot[i].mapped = true;
		a->slot[i].prot = RW;
		if (shared)
			continue;
		a->slot[i].word = 0;
		dropped(a, i);
	}
	t_set_trap(a);
	return 0;
}

/* Where @nr slots that no job uses have nothing mapped; -1: nowhere */
static int find_hole(struct t_actor *a, int nr)
{
	int start = t_random(&a->rng, a->slots), i, at, found = 0;

	for (i = 0; i < 2 * a->slots; i++) {
		at = (start + i) % a->slots;
		if (!at || is_shared(a, at) || a->slot[at].mapped || a->slot[at].writer >= 0 ||
		    a->slot[at].readers)
			found = 0;
		else if (++found == nr)
			return at - nr + 1;
	}
	return -1;
}

static void moved(struct t_actor *a, int from, int to, bool stays)
{
	struct t_slot *s = &a->slot[from], *t = &a->slot[to];
	bool readable = s->prot & PROT_READ;

	t->mapped = true;
	t->prot = s->prot;
	t->lazy = s->lazy;
	t->fresh = s->fresh;
	/* The monitor does not go along. */
	t->word = s->word;
	t->changed = a->when;
	bar(a, to, PROT_NONE);
	/* No device can write to what was there any more. */
	if (readable)
		t_check_moved(a, from, to);
	if (readable)
		t->fresh = false;
	else
		memcpy(a->shadow + to * t_page, a->shadow + from * t_page, t_page);
	if (!stays) {
		s->mapped = false;
		s->prot = PROT_NONE;
		s->word = 0;
		bar(a, from, PROT_NONE);
	}
	dropped(a, from);
}

/* Newer kernels move several mappings at once, and stop in the middle if one can't be moved. */
static bool is_there(struct t_actor *a, int slot)
{
	unsigned char core;

	return !mincore(t_at(a, slot), t_page, &core);
}

static int do_mremap(struct t_actor *a, int first, int *nr)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED, error = 0, to, i;
	bool stays = !t_random(&a->rng, 3);

	if (is_shared(a, first))
		return -EINVAL;
	/* One mapping, as far as is known */
	for (i = 1; i < *nr && a->slot[first + i].prot == a->slot[first].prot; i++)
		;
	*nr = i;
	to = find_hole(a, *nr);
	if (to < 0)
		return -ENOSPC;
	a->when++;
	if (mremap(t_at(a, first), *nr * t_page, *nr * t_page,
		   flags | (stays ? MREMAP_DONTUNMAP : 0), t_at(a, to)) == MAP_FAILED)
		error = errno;
	/* It was several mappings. */
	if (error && error != EFAULT && !(stays && error == EINVAL))
		failed(a, "mremap", first, *nr);
	for (i = 0; i < *nr; i++)
		if (!error || is_there(a, to + i))
			moved(a, first + i, to + i, stays);
	t_set_trap(a);
	return -error;
}

static int do_mprotect(struct t_actor *a, int first, int nr)
{
	static const int prots[] = { RW, RW, PROT_READ, PROT_NONE };
	int prot = prots[t_random(&a->rng, 4)], i;
	__u8 *memory = t_at(a, first);

	a->when++;
	if (prot != RW) {
		if (RETRIED(a, mprotect(memory, nr * t_page, PROT_READ)))
			failed(a, "mprotect", first, nr);
		/* What a device has written is there, and no more comes. */
		for (i = first; i < first + nr; i++) {
			bar(a, i, a->slot[i].prot & PROT_READ);
			if (a->slot[i].prot == PROT_NONE)
				a->slot[i].prot = PROT_READ;
			t_check(a, i, true);
			a->slot[i].prot = PROT_READ;
		}
	}
	if (prot != PROT_READ && RETRIED(a, mprotect(memory, nr * t_page, prot)))
		failed(a, "mprotect", first, nr);
	for (i = first; i < first + nr; i++) {
		bar(a, i, prot == RW ? a->slot[i].prot : prot);
		a->slot[i].prot = prot;
	}
	return 0;
}

static int do_dontneed(struct t_actor *a, int first, int nr)
{
	int i;

	a->when++;
	if (RETRIED(a, madvise(t_at(a, first), nr * t_page, MADV_DONTNEED)))
		failed(a, "MADV_DONTNEED", first, nr);
	if (is_shared(a, first))
		return 0;
	for (i = first; i < first + nr; i++)
		dropped(a, i);
	t_set_trap(a);
	return 0;
}

static int do_free(struct t_actor *a, int first, int nr)
{
	int i;

	if (is_shared(a, first))
		return -EINVAL;
	a->when++;
	if (madvise(t_at(a, first), nr * t_page, MADV_FREE))
		failed(a, "MADV_FREE", first, nr);
	for (i = first; i < first + nr; i++) {
		a->slot[i].lazy = true;
		a->slot[i].changed = a->when;
	}
	return 0;
}

/* The memory goes from under all its mappings. */
static int do_punch(struct t_actor *a, int first, int nr)
{
	int i;

	if (!is_shared(a, first))
		return -EINVAL;
	if (nr > a->shared_slots - first)
		nr = a->shared_slots - first;
	a->when++;
	if (RETRIED(a, fallocate(a->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 first * t_page, nr * t_page)))
		failed(a, "fallocate", first, nr);
	for (i = first; i < first + nr; i++)
		dropped(a, i);
	t_set_trap(a);
	return 0;
}

/* What leaves contents and access as they are, and may well fail */
static int do_advise(struct t_actor *a, enum t_op op, int first, int nr)
{
	static const int advice[T_OPS] = {
		[T_PAGEOUT] = MADV_PAGEOUT, [T_COLD] = MADV_COLD, [T_HUGEPAGE] = MADV_HUGEPAGE,
		[T_NOHUGEPAGE] = MADV_NOHUGEPAGE, [T_COLLAPSE] = MADV_COLLAPSE,
		[T_MERGEABLE] = MADV_MERGEABLE, [T_UNMERGEABLE] = MADV_UNMERGEABLE,
		[T_POPULATE] = MADV_POPULATE_WRITE,
	};
	bool inject;
	int ret;

	a->when++;
	inject = tempt_fate(a);
	ret = madvise(t_at(a, first), nr * t_page, advice[op]) ? -errno : 0;
	if (inject)
		t_injected(a);
	return ret;
}

/* What the CPU writes, to slots that no device uses */
static int do_write(struct t_actor *a, int first, int nr)
{
	__u64 same = t_random(&a->rng, 4) ? 0 : SAME_WORD, tag, *words, *shadow;
	struct t_slot *s;
	int i, written = 0;
	size_t w;

	for (i = first; i < first + nr; i++) {
		s = &a->slot[i];
		if (!s->mapped || s->prot != RW || s->writer >= 0 || s->readers)
			continue;
		tag = t_mix(t_tag(a));
		words = (__u64 *)t_at(a, i);
		shadow = (__u64 *)(a->shadow + i * t_page);
		for (w = 0; w < t_page / 8; w++)
			shadow[w] = same ?: tag + w * 0x0101010101010101ULL;
		memcpy(words, shadow, t_page);
		s->lazy = false;
		s->fresh = false;
		written++;
	}
	return written ? 0 : -EBUSY;
}

/* ---- userfaultfd ---- */

static bool serve_fault(int fd, __u8 *page)
{
	struct uffdio_copy copy = { .src = (uintptr_t)page, .len = t_page };
	struct uffd_msg msg;

	if (read(fd, &msg, sizeof(msg)) != sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT)
		return false;
	copy.dst = msg.arg.pagefault.address & ~(t_page - 1);
	/* It may have been served, or unmapped, in the meantime. */
	return !ioctl(fd, UFFDIO_COPY, &copy) || errno == EEXIST || errno == ENOENT ||
	       errno == EAGAIN;
}

/* Serves some faults, and dies with one of them unanswered, or none. */
__attribute__((noreturn))
static void monitor(int fd, int faults, __u64 word)
{
	static __u64 page[65536 / 8];
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	__s64 end = sva_now_ms() + MONITOR_MS;
	size_t i;

	for (i = 0; i < t_page / 8; i++)
		page[i] = word;
	while (faults && sva_now_ms() < end) {
		if (poll(&ready, 1, 100) <= 0)
			continue;
		if (--faults && !serve_fault(fd, (__u8 *)page))
			break;
	}
	_exit(0);
}

/* A child of the worker: it lets go of what its parent may close. */
static void leave_queues(struct t_actor *a)
{
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < T_QUEUES; i++)
		if (a->queue[i].q.fd >= 0)
			close(a->queue[i].q.fd);
}

static int open_uffd(void *start, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)start, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), error;

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* The monitor is another process, so that userfaultfd is closed when it dies. */
static int do_monitor(struct t_actor *a, int first, int nr)
{
	int faults = t_random(&a->rng, MONITOR_FAULTS), fd, i;
	__u64 word = t_tag(a);

	if (is_shared(a, first) || a->monitor)
		return -EBUSY;
	a->when++;
	fd = open_uffd(t_at(a, first), nr * t_page);
	if (fd < 0)
		return fd;
	/* From here on what is missing may be filled by the monitor. */
	for (i = first; i < first + nr; i++)
		a->slot[i].word = word;
	a->monitor = fork();
	if (!a->monitor) {
		leave_queues(a);
		monitor(fd, faults, word);
	}
	close(fd);
	if (a->monitor < 0)
		t_fail(a->number, "fork: %s", strerror(errno));
	for (i = first; i < first + nr; i++) {
		/* What was never touched is missing, too. */
		a->slot[i].fresh = true;
		a->slot[i].changed = a->when;
	}
	return do_dontneed(a, first, nr);
}

/* ---- fork() ---- */

static __u64 hash_of(const __u8 *mem)
{
	const volatile __u64 *words = (const volatile __u64 *)mem;
	__u64 hash = 0;
	size_t i;

	for (i = 0; i < t_page / 8; i++)
		hash = (hash ^ words[i]) * 0x100000001b3ULL;
	return hash;
}

/* What a child can read, and what nothing but a write of its own can change */
static bool is_own(struct t_actor *a, int slot)
{
	return !is_shared(a, slot) && t_readable(a, slot) && !a->slot[slot].lazy &&
	       !a->slot[slot].fresh;
}

/*
 * The child's memory is its own: what the parent's device writes, from fork() on, is not found in
 * it. A word of a job that was under way may be there, or not, and stays so.
 */
__attribute__((noreturn))
static void child(struct t_actor *a, int first, int ms)
{
	__s64 end = sva_now_ms() + ms;
	int i, slot;

	leave_queues(a);
	for (i = 0; i < CHILD_SLOTS; i++) {
		slot = (first + i) % a->slots;
		if (!is_own(a, slot))
			continue;
		t_check(a, slot, false);
		a->hash[slot] = hash_of(t_at(a, slot));
	}
	do {
		for (i = 0; i < CHILD_SLOTS; i++) {
			slot = (first + i) % a->slots;
			if (is_own(a, slot) && hash_of(t_at(a, slot)) != a->hash[slot])
				t_fail(a->number, "slot %d of a forked process has changed", slot);
		}
		sva_relax();
	} while (sva_now_ms() < end && !t_ending());
	if (t_random(&a->rng, 2))
		kill(getpid(), SIGKILL);
	_exit(0);
}

int t_fork(struct t_actor *a)
{
	int first = t_random(&a->rng, a->slots), ms = t_random(&a->rng, 300);
	pid_t pid;

	if (a->children >= MOST_CHILDREN)
		return -EBUSY;
	pid = fork();
	if (!pid)
		child(a, first, ms);
	if (pid < 0)
		t_fail(a->number, "fork: %s", strerror(errno));
	a->children++;
	return 0;
}

static bool ended_well(int status)
{
	return (WIFEXITED(status) && !WEXITSTATUS(status)) ||
	       (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Only this thread's: another one of the process has children of its own. */
void t_reap_children(struct t_actor *a, bool all)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	int status;
	pid_t pid;

	while (a->children || a->monitor) {
		pid = waitpid(-1, &status, WNOHANG | __WNOTHREAD);
		if (pid < 0 || (!pid && !all))
			return;
		if (!pid) {
			if (sva_now_ms() > end)
				t_fail(a->number, "fork: who has been forked does not end");
			sva_relax();
			continue;
		}
		if (!ended_well(status))
			t_fail(a->number, "who was forked ended with wait status %#x", status);
		if (pid == a->monitor)
			a->monitor = 0;
		else if (a->children)
			a->children--;
	}
}

/* ---- all of them ---- */

int t_memory(struct t_actor *a, enum t_op op, __u32 *first, __u32 *nr)
{
	int n = *nr;

	if (*first + n > (__u32)a->slots)
		n = a->slots - *first;
	/* Those that need no mapping */
	if (op == T_MMAP || op == T_PUNCH || op == T_WRITE || op == T_MUNMAP) {
		if (op == T_MUNMAP && is_shared(a, *first) && n > a->shared_slots - (int)*first)
			n = a->shared_slots - *first;
		*nr = n;
		return op == T_MMAP ? do_mmap(a, *first, n) :
		       op == T_PUNCH ? do_punch(a, *first, n) :
		       op == T_WRITE ? do_write(a, *first, n) : do_munmap(a, *first, n);
	}
	n = run_of(a, *first, n);
	*nr = n;
	if (!n)
		return -ENOENT;
	switch (op) {
	case T_MREMAP:
		n = do_mremap(a, *first, &n);
		return n;
	case T_MPROTECT:
		return do_mprotect(a, *first, n);
	case T_DONTNEED:
		return do_dontneed(a, *first, n);
	case T_FREE:
		return do_free(a, *first, n);
	case T_MONITOR:
		/* Tasks that wait for a frozen monitor keep the machine awake. */
		if (t_shared->suspend)
			return -EOPNOTSUPP;
		return do_monitor(a, *first, n > 64 ? 64 : n);
	default:
		return do_advise(a, op, *first, n);
	}
}
