// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture on the software IOMMU
 *
 * Processes change their memory at random beside DMA whose every byte is verified, as the program
 * sva_torture has them do on emulated hardware. Here the IOMMU itself says what hardware would have
 * done wrong: see soft-iommu.h.
 *
 * A worker is a process with two threads, and an endpoint of its own, which is torn out now and
 * then; that of every second worker is behind an IOMMU of its own. The process is bound to that
 * endpoint and to both of the fixture. Two actors work for it at the same time, each with memory
 * of its own; the first one also unbinds and binds, forks, and decides when the process ends. All
 * the while the worker's endpoint writes to further memory, which the first actor unmaps and
 * drops: all that is known of it is that no page is written that has been given up. The machine's
 * stream resets the first endpoint of the fixture, and changes how the IOMMU works and what the
 * kernel does with memory.
 *
 * The oracle: see sva_torture_memory.c.
 *
 * What an actor does depends on the seed, on its number and on how many processes came before.
 *
 * Locks: none. Only its own thread uses an actor; the worker, which is the thread of the first one,
 * takes the second one's over when that thread has ended. &worker.dying, &torture.failed and
 * &torture.resets are read without a lock.
 *
 * Lifetime: a worker lasts as long as its case; process, bonds and second thread from begin() to
 * finish(); its endpoint until unplug(), or to the end of the case.
 *
 * Parameters, on the command line of the kernel: sva_torture_kunit.seconds, sva_torture_kunit.seed.
 */
#include <linux/hash.h>
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "sva_torture.h"
#include "../iommu-sva-around.h"
#include "../iopf.h"

/* Seconds of one case at most: the kernel reports a thread that waits 120 s, as KUnit's does. */
#define CHUNK		60U

static unsigned int seconds = 4;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "Seconds of torture");
static unsigned long long seed = 20262;
module_param(seed, ullong, 0444);
MODULE_PARM_DESC(seed, "Seed of the torture");

/* Only the first complaint says what went wrong. */
void complain(struct actor *a, const char *fmt, ...)
{
	struct worker *w = a->worker;
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	if (READ_ONCE(w->dying) || xchg(&w->t->failed, true))
		return;
	va_start(args, fmt);
	vaf.va = &args;
	KUNIT_FAIL(w->t->test, "seed %llu, worker %u, process %u, actor %u, step %u: %pV",
		   w->t->seed, w->nr, w->run, a->nr, a->step, &vaf);
	va_end(args);
}

/* What the first actor does beside its memory */

static int bind(struct worker *w, unsigned int n, unsigned int fail_nth)
{
	current->fail_nth = fail_nth;
	w->sva[n] = iommu_sva_bind_device(soft_endpoint_dev(w->ep[n]), sva_proc_mm(w->proc));
	add(w->t, INJECTED, fail_nth && !current->fail_nth);
	current->fail_nth = 0;
	return PTR_ERR_OR_ZERO(w->sva[n]);
}

/* A bind may have failed. */
static void unbind(struct worker *w, unsigned int n)
{
	if (!IS_ERR_OR_NULL(w->sva[n]))
		iommu_sva_unbind_device(w->sva[n]);
	w->sva[n] = NULL;
}

static int start_storm(struct worker *w)
{
	return soft_storm_start(w->ep[OWN], w->pasid, STORM, STORM_LEN, true);
}

/* Its own endpoint stops, and begins again; an allocation may fail meanwhile, once. */
static void rebind(struct actor *a)
{
	struct worker *w = a->worker;
	int ret;

	soft_storm_stop(w->ep[OWN]);
	unbind(w, OWN);
	ret = bind(w, OWN, 1 + pick(a, 12));
	if (ret == -ENOMEM)
		ret = bind(w, OWN, 0);
	if (ret)
		complain(a, "bind: %d", ret);
	else if (start_storm(w))
		complain(a, "there is no memory for a storm");
}

/* A bond that is shared stays when one of its users goes. */
static void share(struct actor *a)
{
	struct worker *w = a->worker;
	unsigned int n = pick(a, SHARED + 1);
	struct iommu_sva *sva;

	sva = iommu_sva_bind_device(soft_endpoint_dev(w->ep[n]), sva_proc_mm(w->proc));
	if (sva != w->sva[n])
		complain(a, "another bond of endpoint %u: %ld", n, PTR_ERR(sva));
	else
		iommu_sva_unbind_device(sva);
}

/* A child's memory is its own, whatever is written to that of its parent. */
static void fork_one(struct actor *a)
{
	unsigned int page = pick(a, PAGES);
	struct worker *w = a->worker;
	struct sva_proc *child;

	if (!torture_has(a, page, 1, PROT_READ | PROT_WRITE))
		torture_map(a, page, 1);
	child = sva_proc_fork(a->proc);
	memset(a->buf, ~a->shadow[page * PAGE_SIZE], PAGE_SIZE);
	if (soft_dma_write(w->ep[OWN], w->pasid, a->base + page * PAGE_SIZE, a->buf, PAGE_SIZE))
		complain(a, "no access to a page of a process that has forked");
	if (sva_proc_read(child, a->base + page * PAGE_SIZE, a->buf + PAGE_SIZE, PAGE_SIZE) ||
	    memcmp(a->buf + PAGE_SIZE, a->shadow + page * PAGE_SIZE, PAGE_SIZE))
		complain(a, "a child's page %u has other bytes", page);
	memcpy(a->shadow + page * PAGE_SIZE, a->buf, PAGE_SIZE);
	sva_proc_exit(child);
	if (!sva_proc_forget(child))
		complain(a, "references to a child's mm are left");
}

/* Indices of their own */
static void ask(struct actor *a)
{
	struct worker *w = a->worker;

	iopf_ask_random(w->ep[OWN], w->pasid, 1000 + w->asked++, STORM, STORM_PAGES, &a->random);
}

/* The memory under the storm goes, and comes back. */
static void stir(struct actor *a)
{
	unsigned int first = pick(a, STORM_PAGES), nr = 1 + pick(a, STORM_PAGES - first);
	unsigned long addr = STORM + first * PAGE_SIZE;
	size_t len = nr * PAGE_SIZE;

	switch (pick(a, 3)) {
	case 0:
		sva_proc_madvise(a->proc, addr, len, MADV_DONTNEED);
		return;
	case 1:
		sva_proc_mprotect(a->proc, addr, len, PROT_READ);
		break;
	default:
		sva_proc_munmap(a->proc, addr, len);
		break;
	}
	sva_proc_mmap(a->proc, addr, len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
}

static void lead(struct actor *a)
{
	switch (pick(a, 8)) {
	case 0:
		rebind(a);
		break;
	case 1:
		share(a);
		break;
	case 2:
		fork_one(a);
		break;
	case 3:
	case 4:
		ask(a);
		break;
	default:
		stir(a);
		break;
	}
}

static void step(struct actor *a)
{
	a->step++;
	add(a->worker->t, STEPS, 1);
	if (!a->nr && !pick(a, 4)) {
		lead(a);
		return;
	}
	torture_memory(a);
	cond_resched();
}

static int second_actor(void *arg)
{
	struct actor *a = arg;

	while (!kthread_should_stop()) {
		if (READ_ONCE(a->worker->dying) || is_over(a->worker->t))
			schedule_timeout_interruptible(1);
		else
			step(a);
	}
	return 0;
}

/* The life of a process */

static void begin_actor(struct actor *a, struct sva_proc *proc)
{
	struct worker *w = a->worker;

	a->proc = proc;
	a->step = 0;
	prandom_seed_state(&a->random, hash_64(w->t->seed, 64) +
				       (w->run * WORKERS + w->nr) * ACTORS + a->nr);
	torture_map(a, 0, PAGES);
}

static bool begin(struct worker *w)
{
	static const struct soft_endpoint_config config = { .pasid_bits = 20, .credits = 32 };
	struct torture *t = w->t;
	int ret = 0;

	WRITE_ONCE(w->dying, false);
	w->asked = 0;
	if (!w->ep[OWN])
		w->ep[OWN] = sva_add_endpoint(t->test, w->iommu, &config, true);
	w->proc = sva_proc_start(t->test);
	begin_actor(&w->actors[0], w->proc);
	begin_actor(&w->actors[1], sva_proc_thread(w->proc));
	sva_proc_mmap(w->proc, STORM, STORM_LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
	for (unsigned int n = 0; n <= SHARED && !ret; n++)
		ret = bind(w, n, 0);
	if (!ret) {
		w->pasid = iommu_sva_get_pasid(w->sva[0]);
		ret = start_storm(w);
	}
	if (ret)
		complain(&w->actors[0], "no bond: %d", ret);
	return !ret;
}

static void unplug(struct worker *w)
{
	soft_endpoint_unplug(w->ep[OWN]);
	soft_storm_stop(w->ep[OWN]);
	unbind(w, OWN);
	sva_remove_endpoint(w->t->test, w->ep[OWN]);
	w->ep[OWN] = NULL;
}

/* In the middle of all that */
static void end(struct worker *w, enum end how)
{
	atomic_inc(&w->t->ended[how]);
	switch (how) {
	case END_EXIT:
		WRITE_ONCE(w->dying, true);
		sva_proc_exit(w->proc);
		break;
	case END_KILL:
		WRITE_ONCE(w->dying, true);
		sva_proc_kill(w->proc);
		break;
	case END_UNPLUG:
		unplug(w);
		break;
	default:
		break;
	}
}

/* All of a process must be right at its end, and all must be given back. */
static void finish(struct worker *w)
{
	bool is_dead = READ_ONCE(w->dying);

	if (w->ep[OWN])
		soft_storm_stop(w->ep[OWN]);
	for (unsigned int i = 0; i < ACTORS && !is_dead && !w->t->failed; i++)
		for (unsigned int page = 0; page < PAGES; page++)
			torture_check_page(&w->actors[i], page);
	for (unsigned int n = 0; n <= SHARED; n++)
		unbind(w, n);
	if (!is_dead)
		sva_proc_exit(w->proc);
	sva_proc_forget_thread(w->actors[1].proc);
	KUNIT_EXPECT_TRUE_MSG(w->t->test, sva_proc_forget(w->proc),
			      "references to the mm of worker %u are left", w->nr);
	if (w->ep[OWN])
		KUNIT_EXPECT_TRUE_MSG(w->t->test, sva_becomes(!soft_pri_outstanding(w->ep[OWN])),
				      "worker %u: requests without an answer", w->nr);
}

static long run_worker(void *arg)
{
	struct worker *w = arg;
	struct actor *a = &w->actors[0];
	struct task_struct *second;
	unsigned int steps;

	for (w->run = 0; !is_over(w->t); w->run++) {
		if (begin(w)) {
			second = kthread_run(second_actor, &w->actors[1], "sva-actor");
			for (steps = 20 + pick(a, MOST_STEPS); steps && !is_over(w->t); steps--)
				step(a);
			end(w, pick(a, NR_ENDS));
			if (!IS_ERR(second))
				kthread_stop(second);
		}
		finish(w);
	}
	return 0;
}

/* The machine */

static void reset(struct torture *t)
{
	struct soft_endpoint *ep = t->fix->ep[0];

	WRITE_ONCE(t->resets, t->resets + 1);
	iopf_begin_reset(ep);
	schedule_timeout_idle(1);
	iopf_end_reset(ep);
	WRITE_ONCE(t->resets, t->resets + 1);
	add(t, RESETS, 1);
}

static void disturb_queue(struct torture *t, u32 random)
{
	struct soft_iommu *iommu = t->fix->iommu;

	switch (random % 4) {
	case 0:
		soft_iommu_hold_prq(iommu, true);
		schedule_timeout_idle(2);
		soft_iommu_hold_prq(iommu, false);
		break;
	case 1:
		soft_iommu_delay_commands(iommu, random >> 8 & 0xff);
		break;
	case 2:
		soft_iommu_reorder_commands(iommu, random & 0x100);
		break;
	default:
		soft_iommu_serve_single(iommu, random & 0x100);
		break;
	}
}

static void disturb_memory(struct torture *t, u32 random)
{
	static const unsigned int windows[] = { 0, 4, 16, 64 };
	static const char * const ksm[] = { "0", "1", "1", "2" };

	switch (random % 4) {
	case 0:
		sva_sysfs_put(t->test, "/proc/sys/vm/compact_memory", "1");
		break;
	case 1:
		sva_sysfs_put(t->test, "/proc/sys/vm/drop_caches", "3");
		break;
	case 2:
		sva_sysfs_put(t->test, "kernel/mm/ksm/run", ksm[random >> 8 & 3]);
		break;
	default:
		sva_fault_around_limit(windows[random >> 8 & 3]);
		break;
	}
}

static long run_machine(void *arg)
{
	struct torture *t = arg;
	struct rnd_state state;
	u32 random;

	prandom_seed_state(&state, ~hash_64(t->seed, 64));
	while (!is_over(t)) {
		random = prandom_u32_state(&state);
		if (random % 3 == 0)
			reset(t);
		else if (random % 3 == 1)
			disturb_queue(t, random / 3);
		else
			disturb_memory(t, random / 3);
		schedule_timeout_idle(1 + random % 5);
	}
	soft_iommu_delay_commands(t->fix->iommu, 0);
	/* It may have stopped at a process that has ended, and keep the mm. */
	sva_sysfs_put(t->test, "kernel/mm/ksm/run", "1");
	return 0;
}

/* All of it */

static void free_bytes(void *data)
{
	vfree(data);
}

static u8 *get_bytes(struct kunit *test, size_t len)
{
	u8 *bytes = vmalloc(len);

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_bytes, bytes), 0);
	return bytes;
}

static struct worker *make_worker(struct torture *t, unsigned int nr)
{
	struct worker *w = kunit_kzalloc(t->test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(t->test, w);
	w->t = t;
	w->nr = nr;
	/* One flushes a single IOMMU, the other two at the same time. */
	w->iommu = nr % 2 ? sva_add_iommu(t->test, NULL) : t->fix->iommu;
	for (unsigned int n = 0; n < SHARED; n++)
		w->ep[n] = t->fix->ep[n];
	for (unsigned int i = 0; i < ACTORS; i++) {
		w->actors[i].worker = w;
		w->actors[i].nr = i;
		w->actors[i].base = BASE(i);
		w->actors[i].shadow = get_bytes(t->test, LEN);
		w->actors[i].buf = get_bytes(t->test, 2 * MOST_BYTES);
	}
	return w;
}

static void report(struct torture *t)
{
	u64 answers = iopf_responses(t->fix->iommu);
	struct kunit *test = t->test;

	kunit_info(test,
		   "seed %llu: %lld operations, %lld transactions, %lld refused, %llu answers, %lld bytes verified\n",
		   t->seed, atomic64_read(&t->sums[STEPS]), atomic64_read(&t->sums[TRANSACTIONS]),
		   atomic64_read(&t->sums[REFUSED]), answers, atomic64_read(&t->sums[BYTES]));
	kunit_info(test,
		   "%lld resets, %lld injections, %d exits, %d kills, %d unbinds, %d removals\n",
		   atomic64_read(&t->sums[RESETS]), atomic64_read(&t->sums[INJECTED]),
		   atomic_read(&t->ended[END_EXIT]), atomic_read(&t->ended[END_KILL]),
		   atomic_read(&t->ended[END_UNBIND]), atomic_read(&t->ended[END_UNPLUG]));
	KUNIT_EXPECT_GT(test, atomic64_read(&t->sums[BYTES]), 0);
	KUNIT_EXPECT_GT(test, answers, 0);
}

static const void *torture_gen_params(const void *prev, char *desc)
{
	return sva_gen_parts(prev, desc, seconds, CHUNK, "second");
}

static void memory_changes_beside_dma(struct kunit *test)
{
	unsigned int first = (uintptr_t)test->param_value - 1;
	struct torture *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct sva_job *jobs[WORKERS + 1];

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->test = test;
	t->fix = test->priv;
	t->seed = seed + first;
	sva_sysfs_set(test, "kernel/debug/failslab/ignore-gfp-wait", "N");
	sva_sysfs_set(test, "kernel/debug/failslab/verbose", "0");
	sva_sysfs_set(test, "kernel/mm/ksm/run", "1");
	sva_sysfs_set(test, "kernel/mm/ksm/sleep_millisecs", "20");
	sva_hurry_khugepaged(test);
	sva_swap_on(test, 512);
	sva_quarantine(test, 0);
	t->until = jiffies + min(seconds - first, CHUNK) * HZ;
	for (unsigned int n = 0; n < WORKERS; n++)
		jobs[n] = sva_job(test, run_worker, make_worker(t, n));
	jobs[WORKERS] = sva_job(test, run_machine, t);
	for (unsigned int n = 0; n <= WORKERS; n++)
		sva_job_wait(jobs[n]);
	report(t);
}

static struct kunit_case sva_torture_cases[] = {
	KUNIT_CASE_PARAM_ATTR(memory_changes_beside_dma, torture_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite sva_torture_suite = {
	.name = "iommu_sva_torture",
	.init = iopf_fixture_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_torture_cases,
};

kunit_test_suite(sva_torture_suite);

MODULE_DESCRIPTION("KUnit test for processes that change their memory beside DMA on the software IOMMU");
MODULE_LICENSE("GPL");
