// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bench: what others do to a bond, and what many bonds cost
 *
 * On one CPU the thread of the test has real-time priority, and so has the PRQ thread: what it
 * measures is what it does itself, and what it has to wait for. The thread itself sends the
 * requests of a storm, half of which have been read out of the ring and not been served when what
 * is measured begins. On two CPUs a device that floods sends the next request when one is answered.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

#include "sva_bench.h"

#define ONE_PAGE_REQUESTS	1024
#define SOME_PARTIALS		100000
#define ALL_PARTIALS		1000000
#define MAX_DEVICES		31
#define STORM_PAGES		64
#define STORM_CREDITS		32
#define FLOOD_PAGES		8192
#define FLOOD_CREDITS		256
#define FLOOD_ACCESSES		64
#define FLOOD_BURST		8
#define PARALLEL_BONDS		4
#define PARALLEL_ROUNDS		101
#define LOAD_ROUNDS		15
#define MAX_PROCESSES		256
#define UNMAPPED_PAGES		16
#define NR_TAGS			512

/* Requests that need not be served one by one */

static u64 faults_handled(void)
{
	unsigned long *events = kcalloc(NR_VM_EVENT_ITEMS, sizeof(*events), GFP_KERNEL);
	u64 faults;

	if (!events)
		return 0;
	all_vm_events(events);
	faults = events[PGFAULT];
	kfree(events);
	return faults;
}

void bench_one_page(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);
	u64 ticks, faults, answers;

	bench_forget_pages(b);
	for (unsigned int i = 0; i < BENCH_PAGES; i++)
		b->addrs[i] = b->mem;
	BUILD_BUG_ON(ONE_PAGE_REQUESTS > BENCH_PAGES);
	bench_fill_ring(b, ONE_PAGE_REQUESTS);
	faults = faults_handled();
	answers = iopf_responses(b->iommu);
	ticks = bench_serve_asleep(b, ONE_PAGE_REQUESTS);
	bench_report(test, "one_page_services", faults_handled() - faults, 1, "services");
	bench_report(test, "one_page_responses", iopf_responses(b->iommu) - answers, 1,
		     "responses");
	bench_report(test, "one_page_instructions", ticks, 1, "instructions");
}

static u64 unreclaimable_bytes(void)
{
	return (u64)global_node_page_state_pages(NR_SLAB_UNRECLAIMABLE_B) << PAGE_SHIFT;
}

static void send_partials(struct bench_bond *b, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		iopf_partial(b->bond, i % NR_TAGS, b->addrs[i % b->pages], IOPF_RW);
		if (i % NR_TAGS == NR_TAGS - 1)
			soft_iommu_sync_prq(b->iommu);
	}
	soft_iommu_sync_prq(b->iommu);
}

/* A device that never closes a group, and takes no notice of its credits */
void bench_partials(struct kunit *test)
{
	struct bench_bond *b = bench_bond(test, NULL, BENCH_PAGES);
	u64 before, after;

	soft_endpoint_lie_about_credits(b->bond->ep, true);
	send_partials(b, SOME_PARTIALS);
	before = unreclaimable_bytes();
	send_partials(b, ALL_PARTIALS - SOME_PARTIALS);
	after = unreclaimable_bytes();
	bench_report(test, "partial_memory", after > before ? after - before : 0,
		     ALL_PARTIALS - SOME_PARTIALS, "bytes/request");
}

/**
 * struct bench_storm - page requests of many devices
 * @bonds: the devices
 * @nr: of @bonds
 * @next: for each the PRG index to come
 */
struct bench_storm {
	struct bench_bond *bonds[MAX_DEVICES];
	unsigned int nr;
	u32 next[MAX_DEVICES];
};

/* At most @max requests, as many as the device has credits for */
static void storm_send(struct bench_bond *b, u32 *next, unsigned int max)
{
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
		.pasid = b->bond->pasid,
		.perm = IOPF_RW,
	};

	for (unsigned int i = 0; i < max; i++) {
		prm.grpid = *next % NR_TAGS;
		prm.addr = b->addrs[*next % b->pages];
		if (soft_pri_send(b->bond->ep, &prm))
			return;
		++*next;
	}
}

static void wait_answered(struct bench_bond *b)
{
	KUNIT_ASSERT_TRUE(b->test, sva_becomes(!soft_pri_outstanding(b->bond->ep)));
}

static struct soft_iommu *load_iommu(struct kunit *test)
{
	static const struct soft_iommu_config config = { .prq_entries = 2048 };

	return sva_add_iommu(test, &config);
}

static struct soft_endpoint *add_endpoint(struct kunit *test, struct soft_iommu *iommu)
{
	static const struct soft_endpoint_config config = {
		.pasid_bits = 20, .credits = STORM_CREDITS
	};

	return sva_add_endpoint(test, iommu, &config, true);
}

/* A device with memory that it asks for again and again. */
static struct bench_bond *add_stormer(struct kunit *test, struct soft_endpoint *ep,
				      unsigned int pages)
{
	struct bench_bond *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->test = test;
	b->bond = iopf_bind(test, ep, NULL);
	b->pages = pages;
	b->mem = sva_proc_map(b->bond->proc, pages * PAGE_SIZE);
	b->addrs = kunit_kcalloc(test, pages, sizeof(*b->addrs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b->addrs);
	for (unsigned int i = 0; i < pages; i++)
		b->addrs[i] = b->mem + i * PAGE_SIZE;
	prandom_seed_state(&b->random, 31);
	bench_shuffle(b);
	return b;
}

/* Each device has half of its requests waiting to be served, and half in the ring. */
static void storm_burst(struct bench_storm *storm, struct soft_iommu *iommu)
{
	for (unsigned int half = 0; half < 2; half++) {
		for (unsigned int i = 0; i < storm->nr; i++)
			storm_send(storm->bonds[i], &storm->next[i], STORM_CREDITS / 2);
		if (!half)
			soft_iommu_sync_prq(iommu);
	}
}

/* The end of a bond whose device asks for nothing, with its drain */
static u64 unbind_idle(struct kunit *test, struct iopf_bond *idle, struct bench_storm *storm,
		       struct soft_iommu *iommu)
{
	u64 ticks[LOAD_ROUNDS], begin;

	for (unsigned int i = 0; i < LOAD_ROUNDS; i++) {
		idle->sva = sva_bind(test, idle->ep, idle->proc);
		for (unsigned int n = 0; n < storm->nr; n++)
			bench_forget_pages(storm->bonds[n]);
		/* The first thing to be freed later costs more than the next: it always is. */
		kvfree_rcu_barrier();
		rcu_barrier();
		storm_burst(storm, iommu);
		begin = get_cycles();
		iopf_unbind(idle);
		ticks[i] = get_cycles() - begin;
		for (unsigned int n = 0; n < storm->nr; n++)
			wait_answered(storm->bonds[n]);
	}
	return bench_median(ticks, LOAD_ROUNDS);
}

void bench_drain(struct kunit *test)
{
	struct soft_iommu *iommu = load_iommu(test);
	struct bench_storm *storm = kunit_kzalloc(test, sizeof(*storm), GFP_KERNEL);
	struct iopf_bond *idle = iopf_bind(test, add_endpoint(test, iommu), NULL);
	char name[16];

	KUNIT_ASSERT_NOT_NULL(test, storm);
	iopf_unbind(idle);
	for (unsigned int nr = 0; nr <= MAX_DEVICES; nr = 2 * nr + 1) {
		while (storm->nr < nr)
			storm->bonds[storm->nr++] = add_stormer(test, add_endpoint(test, iommu),
								STORM_PAGES);
		scnprintf(name, sizeof(name), "drain_%u", nr);
		bench_report(test, name, unbind_idle(test, idle, storm, iommu), 1,
			     "instructions");
	}
}

/* A bind while so many processes are bound to the same device */
static u64 bind_once_more(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc)
{
	u64 ticks[LOAD_ROUNDS], begin;
	struct iommu_sva *sva;

	for (unsigned int i = 0; i < LOAD_ROUNDS; i++) {
		begin = get_cycles();
		sva = iommu_sva_bind_device(soft_endpoint_dev(ep), sva_proc_mm(proc));
		ticks[i] = get_cycles() - begin;
		KUNIT_ASSERT_FALSE(test, IS_ERR(sva));
		iommu_sva_unbind_device(sva);
		/* What is freed later is freed now. */
		rcu_barrier();
	}
	return bench_median(ticks, LOAD_ROUNDS);
}

void bench_binds(struct kunit *test)
{
	struct soft_iommu *iommu = load_iommu(test);
	struct sva_proc *proc = sva_proc_start(test);
	struct iopf_bond *first = iopf_bind(test, add_endpoint(test, iommu), NULL);
	unsigned int bound = 1;
	char name[16];

	for (unsigned int nr = 1; nr <= MAX_PROCESSES; nr *= 4) {
		for (; bound < nr; bound++)
			iopf_bind(test, first->ep, NULL);
		scnprintf(name, sizeof(name), "bind_%u", nr);
		bench_report(test, name, bind_once_more(test, first->ep, proc), 1, "instructions");
	}
}

/* Memory comes, is touched, and goes; returns what the last step took. */
static long map_touch_unmap(void *data)
{
	unsigned long addr = vm_mmap(NULL, 0, UNMAPPED_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
				     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	u64 begin;
	int ret;

	if (IS_ERR_VALUE(addr))
		return addr;
	for (unsigned int i = 0; i < UNMAPPED_PAGES; i++)
		if (put_user(1, (u8 __user *)(addr + i * PAGE_SIZE)))
			return -EFAULT;
	begin = get_cycles();
	ret = vm_munmap(addr, UNMAPPED_PAGES * PAGE_SIZE);
	return ret ?: get_cycles() - begin;
}

void bench_munmap(struct kunit *test)
{
	struct soft_iommu *iommu = load_iommu(test);
	struct sva_proc *proc = sva_proc_start(test);
	unsigned int bonds = 0;
	u64 ticks[LOAD_ROUNDS];
	char name[16];

	for (unsigned int nr = 0; nr <= MAX_DEVICES; nr = 2 * nr + 1) {
		for (; bonds < nr; bonds++)
			iopf_bind(test, add_endpoint(test, iommu), proc);
		for (unsigned int i = 0; i < LOAD_ROUNDS; i++) {
			long ret = sva_proc_call(proc, map_touch_unmap, NULL);

			KUNIT_ASSERT_GT(test, ret, 0);
			ticks[i] = ret;
		}
		scnprintf(name, sizeof(name), "munmap_%u", nr);
		bench_report(test, name, bench_median(ticks, LOAD_ROUNDS), 1, "instructions");
	}
}

/* Two CPUs */

static s64 since(const atomic64_t *now, const atomic64_t *before)
{
	return atomic64_read(now) - atomic64_read(before);
}

/*
 * All devices have a batch in the ring. Returns what it took until the last request was answered,
 * and adds to @sum what happened meanwhile.
 */
static u64 parallel_round(struct bench_bond **bonds, const struct bench_events *events,
			  struct bench_events *sum)
{
	struct bench_events before;
	u64 begin;

	for (unsigned int i = 0; i < PARALLEL_BONDS; i++) {
		bench_shuffle(bonds[i]);
		bench_forget_pages(bonds[i]);
		bench_fill_ring(bonds[i], BENCH_BATCH);
	}
	before = *events;
	begin = get_cycles();
	bench_serve_ring(bonds[0], PARALLEL_BONDS * BENCH_BATCH);
	begin = get_cycles() - begin;
	for (unsigned int i = 0; i < PARALLEL_BONDS; i++)
		wait_answered(bonds[i]);
	atomic64_add(since(&events->allocations, &before.allocations), &sum->allocations);
	atomic64_add(since(&events->mmap_locks, &before.mmap_locks), &sum->mmap_locks);
	atomic64_add(since(&events->contention, &before.contention), &sum->contention);
	return begin;
}

/* Four processes, each with a device that asks for a batch; what it takes is for ratios only. */
void bench_parallel(struct kunit *test)
{
	const unsigned int batch = PARALLEL_BONDS * BENCH_BATCH, nr = PARALLEL_ROUNDS * batch;
	u64 *ticks = kunit_kcalloc(test, PARALLEL_ROUNDS, sizeof(*ticks), GFP_KERNEL);
	struct bench_bond *bonds[PARALLEL_BONDS];
	struct soft_iommu *iommu = load_iommu(test);
	struct bench_events events = {}, sum = {};

	KUNIT_ASSERT_NOT_NULL(test, ticks);
	for (unsigned int i = 0; i < PARALLEL_BONDS; i++)
		bonds[i] = bench_bond(test, iommu, BENCH_PAGES);

	for (unsigned int i = 0; i < PARALLEL_ROUNDS; i++)
		ticks[i] = parallel_round(bonds, &events, &sum);
	bench_report(test, "parallel_ticks", bench_median(ticks, PARALLEL_ROUNDS), batch,
		     "ticks/request");

	/* Once more, since to watch takes time itself */
	bench_watch(test, &events);
	for (unsigned int i = 0; i < PARALLEL_ROUNDS; i++)
		parallel_round(bonds, &events, &sum);
	bench_unwatch(&events);
	bench_report(test, "parallel_allocations", atomic64_read(&sum.allocations), nr,
		     "per request");
	bench_report(test, "parallel_mmap_locks", atomic64_read(&sum.mmap_locks), nr,
		     "per request");
	bench_report(test, "parallel_contention", 100 * atomic64_read(&sum.contention), nr,
		     "per 100 requests");
}

/* The ordinary one: its device goes from page to page, and asks for each. */
static u64 ordinary_round(struct bench_bond *b)
{
	u64 begin, word = 1;

	bench_shuffle(b);
	bench_forget_pages(b);
	begin = get_cycles();
	for (unsigned int i = 0; i < FLOOD_ACCESSES; i++)
		KUNIT_ASSERT_EQ(b->test, soft_dma_write(b->bond->ep, b->bond->pasid, b->addrs[i],
							&word, sizeof(word)), 0);
	return get_cycles() - begin;
}

/**
 * struct bench_flooder - a device that has all the requests outstanding that it may
 * @b: its bond
 * @lock: several workers may answer it
 * @next: PRG index to come
 * @owed: answers since it last sent
 */
struct bench_flooder {
	struct bench_bond *b;
	struct mutex lock;	/* of all below */
	u32 next;
	unsigned int owed;
};

/* One of its requests is being answered. It sends some at a time, as an engine with channels. */
static int flood_on(const struct soft_iommu_event *event, void *data)
{
	struct bench_flooder *flooder = data;

	if (event->dev != soft_endpoint_dev(flooder->b->bond->ep))
		return 0;
	guard(mutex)(&flooder->lock);
	if (++flooder->owed == FLOOD_BURST) {
		flooder->owed = 0;
		storm_send(flooder->b, &flooder->next, FLOOD_BURST);
	}
	return 0;
}

/* In turn without and with a device that has as many requests outstanding as it may. */
void bench_flood(struct kunit *test)
{
	static const struct soft_endpoint_config config = {
		.pasid_bits = 20, .credits = FLOOD_CREDITS
	};
	struct bench_bond *ordinary = bench_bond(test, NULL, BENCH_PAGES);
	u64 alone[LOAD_ROUNDS], beside[LOAD_ROUNDS], answers = 0;
	struct bench_flooder *flooder;

	flooder = kunit_kzalloc(test, sizeof(*flooder), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, flooder);
	mutex_init(&flooder->lock);
	flooder->b = add_stormer(test, sva_add_endpoint(test, ordinary->iommu, &config, true),
				 FLOOD_PAGES);
	for (unsigned int i = 0; i < LOAD_ROUNDS; i++) {
		alone[i] = ordinary_round(ordinary);
		bench_forget_pages(flooder->b);
		soft_iommu_set_hook(ordinary->iommu, SOFT_AT_RESPONSE, flood_on, flooder);
		/* The credits of a burst are still to come when the next one is due. */
		storm_send(flooder->b, &flooder->next, FLOOD_CREDITS - FLOOD_BURST);
		answers -= iopf_responses(ordinary->iommu);
		beside[i] = ordinary_round(ordinary);
		answers += iopf_responses(ordinary->iommu);
		soft_iommu_set_hook(ordinary->iommu, SOFT_AT_RESPONSE, NULL, NULL);
		wait_answered(flooder->b);
	}
	bench_report(test, "flood_rate_kept", 100 * bench_median(alone, LOAD_ROUNDS),
		     bench_median(beside, LOAD_ROUNDS), "% of its rate alone");
	bench_report(test, "flood_answers", answers - LOAD_ROUNDS * FLOOD_ACCESSES,
		     LOAD_ROUNDS * FLOOD_ACCESSES, "per access of the ordinary device");
}
