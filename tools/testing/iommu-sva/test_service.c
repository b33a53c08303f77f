// SPDX-License-Identifier: GPL-2.0-only
/*
 * Services: workers, their number and their order.
 */
#include <stdio.h>

#include <iopf.h>
#include <iopf-service.h>

#include "test.h"

TEST(faults_of_one_process_hold_so_many_workers_and_no_more)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r[4 * IOPF_MAX_WORKERS];
	struct sim_door door;

	test_shut(mm, &door);
	for (u32 i = 0; i < ARRAY_SIZE(r); i++) {
		r[i] = vendor_ask(dev, 1, i, PAGE(i));
		sim_settle();
		SIM_EQ(door.waiting, min(i + 1, IOPF_MAX_WORKERS));
	}
	door.shut = false;
	test_all_answered(r, ARRAY_SIZE(r), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(workers_go_to_rest_and_come_back)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (unsigned int round = 0; round < 5; round++) {
		struct vendor_request *r[IOPF_MAX_WORKERS];
		struct sim_door door;

		test_shut(mm, &door);
		for (u32 i = 0; i < IOPF_MAX_WORKERS; i++)
			r[i] = vendor_ask(dev, 1, i, PAGE(i));
		sim_settle();
		SIM_EQ(door.waiting, IOPF_MAX_WORKERS);
		door.shut = false;
		test_all_answered(r, IOPF_MAX_WORKERS, SUCCESS);
		SIM_EQ(sim_nr_tasks(), 0);
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static u64 order[2][16];
static unsigned int nr_order[2];
static struct vendor_dev *second_dev;

static void note_answer(struct vendor_request *request, u32 code)
{
	unsigned int of = request->dev == second_dev;

	order[of][nr_order[of]++ % ARRAY_SIZE(order[of])] = request->id;
}

/* Each device gets its responses in the order of its requests. */
TEST(groups_are_taken_in_the_order_of_their_arrival)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);
	struct vendor_request *r[12];

	second_dev = b;
	vendor_hooks.responding = note_answer;
	for (u32 i = 0; i < 12; i++)
		r[i] = vendor_ask(i & 1 ? b : a, 1, i, PAGE(i));
	sim_settle();
	SIM_EQ(nr_order[0], 6);
	SIM_EQ(nr_order[1], 6);
	for (u32 i = 0; i < 12; i++)
		SIM_EQ(order[i & 1][i / 2], r[i]->id);
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

#define FLOOD	8
#define EARLY	3

static struct vendor_request *rare;
static ioasid_t rare_pasid;
static unsigned int nr_points, nr_answers, nr_before_rare;

static void note_when(struct vendor_request *request, u32 code)
{
	if (request == rare)
		nr_before_rare = nr_answers;
	nr_answers++;
}

/* While a flood is served, another process asks for something. */
static bool ask_in_flood(const char *what)
{
	/* Two points in each fault */
	if (!strcmp(what, "handle_mm_fault") && ++nr_points == 2 * EARLY)
		rare = vendor_ask(second_dev, rare_pasid, 0, BASE);
	return false;
}

/* One that asks now and then gets its answer before the rest of a batch, which stays a batch. */
TEST(flood_gives_way_to_a_process_that_asks_rarely)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *flooder = test_mm(), *other = test_mm();
	struct iommu_sva *first = test_bind(a, flooder), *second = test_bind(b, other);
	struct vendor_request *r[FLOOD];

	second_dev = b;
	rare_pasid = iommu_sva_get_pasid(second);
	vendor_hooks.responding = note_when;
	for (u32 i = 0; i < FLOOD; i++)
		r[i] = vendor_ask(a, iommu_sva_get_pasid(first), i, PAGE(i));
	sim_policy.preempt = ask_in_flood;
	for (u32 i = 0; i < FLOOD; i++)
		test_answered(r[i], SUCCESS);
	sim_policy.preempt = NULL;
	test_answered(rare, SUCCESS);
	SIM_EQ(nr_before_rare, EARLY);
	SIM_EQ(a->submissions, 2);
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(flooder);
	mmput(other);
}

/* All workers of one queue's process are held, another queue's device shares them: same mm. */
TEST(devices_of_several_queues_share_the_workers_of_their_mm)
{
	struct vendor_dev *a = test_dev(), *b = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);
	struct vendor_request *ra[3], *rb[3];
	struct sim_door door;

	test_shut(mm, &door);
	for (u32 i = 0; i < 3; i++) {
		ra[i] = vendor_ask(a, 1, i, PAGE(2 * i));
		rb[i] = vendor_ask(b, 1, i, PAGE(2 * i + 1));
	}
	sim_settle();
	SIM_EQ(door.waiting, IOPF_MAX_WORKERS);
	door.shut = false;
	for (u32 i = 0; i < 3; i++) {
		test_answered(ra[i], SUCCESS);
		test_answered(rb[i], SUCCESS);
	}
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

TEST(group_that_is_drained_before_a_worker_takes_it)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);
	struct vendor_request *r, *waiting[8];
	struct sim_door door;

	test_shut(mm, &door);
	for (u32 i = 0; i < 8; i++)
		waiting[i] = vendor_ask(i & 1 ? a : b, 1, i, PAGE(i));
	r = vendor_ask(a, 1, 8, PAGE(8));
	sim_settle();
	/* Out of the middle of the line, too */
	iopf_drain_pasid(dev_of(a), 1);
	SIM_EQ(r->answers, 1);
	door.shut = false;
	for (u32 i = 0; i < 8; i++)
		test_answered(waiting[i], i & 1 ? INVALID : SUCCESS);
	for (u32 i = 0; i < 2 * (CREDITS + SPARE); i++)
		test_answered(vendor_ask(a, 1, i, BASE), SUCCESS);
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

TEST(work_with_nothing_to_do_ends)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	for (u32 i = 0; i < 10; i++) {
		vendor_ask(dev, 1, i, BASE);
		/* The worker's work is queued, its group is gone. */
		iopf_drain_pasid(dev_of(dev), 1);
	}
	sim_settle();
	SIM_EQ(mm->faults, 0);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static bool tick(const char *what)
{
	jiffies++;
	return false;
}

/* None of its faults may block; there are many, and the CPU is slow. */
TEST(batch_that_takes_long_is_answered_as_it_goes)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	struct vendor_request *r[8];

	for (u32 i = 0; i < 8; i++)
		r[i] = vendor_ask(dev, 1, i, PAGE(i));
	sim_policy.preempt = tick;
	test_all_answered(r, 8, SUCCESS);
	sim_policy.preempt = NULL;
	SIM_CHECK(dev->submissions > 1);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(worker_outlives_the_queue_that_has_started_it)
{
	struct vendor_dev *a = test_dev(), *b = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);

	test_answered(vendor_ask(a, 1, 0, PAGE(0)), SUCCESS);
	iommu_sva_unbind_device(first);
	vendor_disable(a);
	iopf_queue_free(a->iommu->queue);
	a->iommu->queue = NULL;
	test_answered(vendor_ask(b, 1, 0, PAGE(1)), SUCCESS);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

/* A process that a worker is serving does not wait for a CPU. */
TEST(flood_does_not_give_way_to_a_process_that_is_at_work)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *flooder = test_mm(), *other = test_mm();
	struct iommu_sva *first = test_bind(a, flooder), *second = test_bind(b, other);
	struct vendor_request *r[FLOOD], *stuck;
	struct sim_door door;

	second_dev = b;
	rare_pasid = iommu_sva_get_pasid(second);
	test_shut(other, &door);
	stuck = vendor_ask(b, rare_pasid, 1, PAGE(1));
	test_unanswered(stuck);
	for (u32 i = 0; i < FLOOD; i++)
		r[i] = vendor_ask(a, iommu_sva_get_pasid(first), i, PAGE(i));
	nr_points = 0;
	rare = NULL;
	sim_policy.preempt = ask_in_flood;
	for (u32 i = 0; i < FLOOD; i++)
		test_answered(r[i], SUCCESS);
	sim_policy.preempt = NULL;
	SIM_CHECK(rare);
	SIM_EQ(a->submissions, 1);
	door.shut = false;
	test_answered(stuck, SUCCESS);
	test_answered(rare, SUCCESS);
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(flooder);
	mmput(other);
}

#define MANY	130

/*
 * Each reference to the mm is a batch, or a worker that has found nothing to serve: the first
 * worker serves all here. One CPU of four is left to others.
 */
TEST(workers_are_as_many_as_there_are_batches_and_cpus)
{
	static const struct {
		unsigned int requests, batches, late;
	} cases[] = {
		{ 1, 1, 0 }, { 2, 1, 0 }, { IOPF_BATCH, 1, 0 }, { IOPF_BATCH + 1, 2, 1 },
		{ IOPF_BATCH + 8, 2, 1 }, { 2 * IOPF_BATCH, 2, 1 }, { 2 * IOPF_BATCH + 1, 3, 2 },
		{ 3 * IOPF_BATCH + 1, 4, 2 }, { MANY, 5, 2 }, { 2, 1, 0 },
	};
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, MANY);
	struct vendor_request *r[MANY];
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;

	vendor_enable(dev);
	sva = test_bind(dev, mm);
	for (unsigned int i = 1; i < 3; i++)
		sim_mmap(mm, SLOT(i), MANY / 2, VM_READ | VM_WRITE);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int gets = mm->gets;

		for (u32 k = 0; k < cases[i].requests; k++)
			r[k] = vendor_ask(dev, 1, k, SLOT(1 + (k & 1)) + k / 2 * PAGE_SIZE);
		test_all_answered(r, cases[i].requests, SUCCESS);
		SIM_EQ(mm->gets - gets, cases[i].batches + cases[i].late);
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* Processes whose faults never end, more than a workqueue has room for their workers */
#define HANGING		(2 * WQ_MAX_ACTIVE / IOPF_MAX_WORKERS)

struct hanging {
	struct mm_struct *mm;
	struct iommu_sva *sva;
	struct vendor_request *r[IOPF_MAX_WORKERS];
};

static void hang(struct hanging *h, struct vendor_dev *dev, struct sim_door *door)
{
	h->mm = test_mm();
	h->sva = test_bind(dev, h->mm);
	h->mm->fault = test_fault_at_door;
	h->mm->fault_data = door;
	for (u32 i = 0; i < IOPF_MAX_WORKERS; i++) {
		h->r[i] = vendor_ask(dev, iommu_sva_get_pasid(h->sva), i, PAGE(i));
		sim_settle();
	}
}

static void end_hanging(struct hanging *h)
{
	iommu_sva_unbind_device(h->sva);
	mmput(h->mm);
}

static void stranger_is_served(void)
{
	struct vendor_dev *dev = test_dev(), *beside = test_dev_beside(dev);
	struct vendor_dev *bad = vendor_dev_new(dev->iommu, 16, 4 * HANGING);
	struct sim_door door = { .shut = true };
	struct hanging hanging[HANGING];
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(beside, mm);
	unsigned int before;

	vendor_enable(bad);
	for (unsigned int i = 0; i < HANGING; i++)
		hang(&hanging[i], bad, &door);
	SIM_EQ(door.waiting, HANGING * IOPF_MAX_WORKERS);
	/* One that was there before, and one that comes now. */
	test_answered(vendor_ask(beside, iommu_sva_get_pasid(sva), 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	before = mm->faults;
	sva = test_bind(dev, mm);
	test_answered(vendor_ask(dev, iommu_sva_get_pasid(sva), 0, PAGE(1)), SUCCESS);
	SIM_EQ(mm->faults - before, 1);
	/* All of that is freed, although faults still hang. */
	for (unsigned int i = 0; i < HANGING; i++)
		end_hanging(&hanging[i]);
	door.shut = false;
	sim_settle();
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(stranger_is_served_whoever_hangs)
{
	stranger_is_served();
}

/* The part of the workqueue's limit that a node has by its CPUs is smaller than what hangs. */
TEST(stranger_is_served_whoever_hangs_on_a_node_with_few_cpus)
{
	sim_node_cpus = 1;
	stranger_is_served();
}

/* Processes with four endless faults each, and how much more a stranger's request may cost then */
#define ENDLESS		200
#define PER_DEVICE	50
#define MORE_PERCENT	20

u64 nr_blocks;

void __sanitizer_cov_trace_pc(void)
{
	nr_blocks++;
}

struct work {
	u64 blocks;
	unsigned int points;
};

static struct work work;

static bool count_point(const char *what)
{
	work.points++;
	return false;
}

/* From the report to the answer: a request that a worker serves, then one for the reporter */
static struct work stranger_asks(struct vendor_dev *dev, ioasid_t pasid, unsigned long addr)
{
	struct vendor_request *single;
	u64 before = nr_blocks;

	work = (struct work){};
	sim_policy.preempt = count_point;
	test_answered(vendor_ask(dev, pasid, 0, addr), SUCCESS);
	single = vendor_prepare(dev, pasid, 1, addr + PAGE_SIZE);
	SIM_CHECK(vendor_send_single(single));
	SIM_EQ(single->answers, 1);
	sim_policy.preempt = NULL;
	work.blocks = nr_blocks - before;
	return work;
}

static void cost_is_the_same(struct work alone, struct work beside)
{
	printf("# stranger's requests: %llu blocks, %u lock and atomic operations alone; "
	       "%llu, %u beside %u endless faults\n", (unsigned long long)alone.blocks,
	       alone.points, (unsigned long long)beside.blocks, beside.points,
	       ENDLESS * IOPF_MAX_WORKERS);
	fflush(stdout);
	SIM_CHECK(alone.blocks && alone.points);
	SIM_CHECK(100 * beside.blocks <= (100 + MORE_PERCENT) * alone.blocks);
	SIM_CHECK(100 * beside.points <= (100 + MORE_PERCENT) * alone.points);
}

TEST(stranger_is_served_at_the_same_work_beside_endless_faults)
{
	struct vendor_dev *dev = test_dev();
	struct vendor_dev *bad = NULL;
	struct sim_door door = { .shut = true };
	struct hanging endless[ENDLESS];
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	ioasid_t pasid = iommu_sva_get_pasid(sva);
	struct work alone;

	/* What the first request of all makes is there for the second. */
	stranger_asks(dev, pasid, PAGE(0));
	alone = stranger_asks(dev, pasid, PAGE(2));
	for (unsigned int i = 0; i < ENDLESS; i++) {
		if (i % PER_DEVICE == 0) {
			bad = vendor_dev_new(dev->iommu, 2 * ENDLESS,
					     IOPF_MAX_WORKERS * PER_DEVICE);
			vendor_enable(bad);
		}
		hang(&endless[i], bad, &door);
	}
	SIM_EQ(door.waiting, ENDLESS * IOPF_MAX_WORKERS);
	cost_is_the_same(alone, stranger_asks(dev, pasid, PAGE(4)));
	door.shut = false;
	sim_settle();
	for (unsigned int i = 0; i < ENDLESS; i++) {
		test_all_answered(endless[i].r, IOPF_MAX_WORKERS, SUCCESS);
		end_hanging(&endless[i]);
	}
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(time_limit_ends_what_hangs_whoever_else_does)
{
	struct vendor_dev *dev = test_dev();
	struct vendor_dev *bad = vendor_dev_new(dev->iommu, 16, 4 * HANGING);
	struct sim_door door = { .shut = true };
	struct hanging hanging[HANGING];

	vendor_enable(bad);
	for (unsigned int i = 0; i < HANGING; i++)
		hang(&hanging[i], bad, &door);
	SIM_EQ(iopf_set_timeout(dev_of(bad), 100), 0);
	sim_settle();
	sim_advance(100);
	sim_settle();
	for (unsigned int i = 0; i < HANGING; i++)
		test_all_answered(hanging[i].r, IOPF_MAX_WORKERS, INVALID);
	door.shut = false;
	sim_settle();
	for (unsigned int i = 0; i < HANGING; i++)
		end_hanging(&hanging[i]);
}

/*
 * The core makes workqueues for processes that exist, not for earlier ones, and frees them with the
 * last.
 */
TEST(processes_after_each_other_need_one_workqueue)
{
	struct vendor_dev *dev = test_dev();
	unsigned int allocs = 0;

	for (unsigned int i = 0; i < 4 * HANGING; i++) {
		struct mm_struct *mm = test_mm();
		unsigned int before = sim_nr_allocs();

		iommu_sva_unbind_device(test_bind(dev, mm));
		/*
		 * The first process takes three more: the workqueue, its struct iopf_wq, and a
		 * bitmap of PASIDs.
		 */
		if (i)
			SIM_EQ(sim_nr_allocs() - before, allocs);
		else
			allocs = sim_nr_allocs() - before - 3;
		mmput(mm);
		sim_settle();
	}
}

/* A device without page requests, and no other one: workqueues go with the last process. */
static struct vendor_dev *lonely_dev(void)
{
	struct vendor_iommu *iommu = vendor_iommu_new(0);

	iopf_queue_free(iommu->queue);
	iommu->queue = NULL;
	return vendor_dev_new(iommu, 16, 0);
}

static void unbind_last(void *arg)
{
	iommu_sva_unbind_device(arg);
}

EXPLORE(first_bind_against_the_end_of_the_workqueues)
{
	struct vendor_dev *dev = lonely_dev();
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *sva;

	sim_spawn("unbind", unbind_last, test_bind(dev, mm));
	sva = test_bind(dev, other);
	sim_settle();
	iommu_sva_unbind_device(sva);
	mmput(other);
	mmput(mm);
}
