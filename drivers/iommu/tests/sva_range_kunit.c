// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which part of an address space an invalidation covers
 *
 * All that was asked for, or a device goes on with a stale translation; and not much more, or
 * devices look up again what no call has changed. Random cases come from fixed seeds.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/prandom.h>

#include "sva_stage.h"

/* As many as an endpoint's ATC holds without replacing any: two for each set. */
#define CACHED		16
#define RW		(PROT_READ | PROT_WRITE)

/* Ranges as the kernel announces them: what was asked for, what arrived, what was dropped */

/**
 * struct asked - what the core asked the IOMMU's driver for
 * @calls: how often
 * @from: the lowest address
 * @to: the highest end
 */
struct asked {
	unsigned int calls;
	unsigned long from;
	unsigned long to;
};

static int note_range(const struct soft_iommu_event *event, void *data)
{
	struct asked *asked = data;

	if (!asked->calls++ || event->start < asked->from)
		asked->from = event->start;
	asked->to = max(asked->to, event->end);
	return 0;
}

static struct asked *watch_ranges(struct kunit *test)
{
	struct asked *asked = kunit_kzalloc(test, sizeof(*asked), GFP_KERNEL);
	struct sva_fixture *fix = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, asked);
	soft_iommu_set_hook(fix->iommu, SOFT_AT_INVALIDATE, note_range, asked);
	return asked;
}

static void announce(struct sva_proc *proc, unsigned long start, unsigned long end)
{
	mmu_notifier_arch_invalidate_secondary_tlbs(sva_proc_mm(proc), start, end);
}

static void announce_and_compare(struct kunit *test, struct asked *asked, struct sva_proc *proc,
				 unsigned long start, unsigned long end)
{
	*asked = (struct asked){ };
	announce(proc, start, end);
	KUNIT_EXPECT_EQ(test, asked->calls, 1U);
	KUNIT_EXPECT_LE(test, asked->from, start);
	KUNIT_EXPECT_GE(test, asked->to, end);
	/* At most the page that each end is in. */
	KUNIT_EXPECT_GE(test, asked->from, start & PAGE_MASK);
	if (end <= (~0UL & PAGE_MASK))
		KUNIT_EXPECT_LE(test, asked->to, PAGE_ALIGN(end));
}

static void any_range_reaches_the_iommu_whole(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct asked *asked = watch_ranges(test);
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 611);
	for (int i = 0; i < 500; i++) {
		/* Starts and lengths of all magnitudes, aligned and not. */
		unsigned int shift = prandom_u32_state(&rnd) % 47;
		unsigned long mask = prandom_u32_state(&rnd) % 2 ? PAGE_MASK : ~0UL;
		unsigned long start = (((u64)prandom_u32_state(&rnd) << 15) ^
				       prandom_u32_state(&rnd)) & mask;
		unsigned long len = 1 + (prandom_u32_state(&rnd) & (BIT(shift / 2) - 1)) +
				    BIT(shift);

		announce_and_compare(test, asked, scene.proc, start, start + len);
	}
	iommu_sva_unbind_device(scene.sva);
}

static void extreme_ranges_reach_the_iommu_whole(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct asked *asked = watch_ranges(test);
	const unsigned long ranges[][2] = {
		{ 0, ~0UL }, { 0, 1 }, { 0, PAGE_SIZE }, { 1, 2 }, { 0, TASK_SIZE },
		{ PAGE_SIZE - 1, PAGE_SIZE + 1 }, { TASK_SIZE - PAGE_SIZE, TASK_SIZE },
		{ TASK_SIZE - 1, TASK_SIZE }, { PMD_SIZE - 1, PMD_SIZE + 1 },
		{ PUD_SIZE - PAGE_SIZE, PUD_SIZE + PAGE_SIZE }, { PGDIR_SIZE, 2 * PGDIR_SIZE },
		{ PGDIR_SIZE - 1, ~0UL }, { ~0UL - PAGE_SIZE, ~0UL },
	};

	for (int i = 0; i < ARRAY_SIZE(ranges); i++)
		announce_and_compare(test, asked, scene.proc, ranges[i][0], ranges[i][1]);
	iommu_sva_unbind_device(scene.sva);
}

/* Caches */

static void cache_all(struct kunit *test, struct soft_endpoint *ep, struct sva_scene *scene,
		      unsigned int pages)
{
	for (unsigned int i = 0; i < pages; i++)
		SVA_EXPECT_READS(test, ep, scene->pasid, scene->addr + i * PAGE_SIZE, sva_mark(i));
}

static u64 lookups(struct soft_iommu *iommu)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(iommu, &stats);
	return stats.ats_requests;
}

/* Did the device have to ask for the page's translation again? */
static bool was_dropped(struct kunit *test, struct sva_scene *scene, unsigned int page)
{
	struct sva_fixture *fix = test->priv;
	u64 before = lookups(fix->iommu), value = 0;

	KUNIT_EXPECT_EQ(test, soft_dma_try(fix->ep[0], scene->pasid, scene->addr + page * PAGE_SIZE,
					   false, &value, sizeof(value)), 0);
	KUNIT_EXPECT_EQ(test, value, sva_mark(page));
	return lookups(fix->iommu) > before;
}

/* Pages that the range touches are dropped; those outside the aligned block around it are not. */
static void drop_and_look(struct kunit *test, struct sva_scene *scene, unsigned long from,
			  unsigned long to)
{
	unsigned long first = from / PAGE_SIZE, last = (to - 1) / PAGE_SIZE, order = 0;
	struct sva_fixture *fix = test->priv;
	unsigned long number = scene->addr / PAGE_SIZE;

	while ((number + first) >> order != (number + last) >> order)
		order++;
	cache_all(test, fix->ep[0], scene, CACHED);
	announce(scene->proc, scene->addr + from, scene->addr + to);
	for (unsigned int i = 0; i < CACHED; i++) {
		bool dropped = was_dropped(test, scene, i);

		if (i >= first && i <= last)
			KUNIT_EXPECT_TRUE_MSG(test, dropped, "page %u of [%#lx, %#lx)", i, from,
					      to);
		else if ((number + i) >> order != (number + first) >> order)
			KUNIT_EXPECT_FALSE_MSG(test, dropped, "page %u of [%#lx, %#lx)", i, from,
					       to);
	}
}

static void random_ranges_drop_what_they_cover(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], CACHED);
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 612);
	for (int i = 0; i < 100; i++) {
		unsigned long size = CACHED * PAGE_SIZE;
		unsigned long from = prandom_u32_state(&rnd) % size;
		unsigned long to = from + 1 + prandom_u32_state(&rnd) % (size - from);

		if (i % 2) {
			from &= PAGE_MASK;
			to = PAGE_ALIGN(to);
		}
		drop_and_look(test, &scene, from, to);
	}
	iommu_sva_unbind_device(scene.sva);
}

static void every_run_of_pages_drops_what_it_covers(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], CACHED);

	for (unsigned int first = 0; first < CACHED; first += 3)
		for (unsigned int end = first + 1; end <= CACHED; end++)
			drop_and_look(test, &scene, first * PAGE_SIZE, end * PAGE_SIZE);
	iommu_sva_unbind_device(scene.sva);
}

static void one_byte_drops_its_page(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], CACHED);

	for (unsigned int i = 0; i < CACHED; i++) {
		drop_and_look(test, &scene, i * PAGE_SIZE, i * PAGE_SIZE + 1);
		drop_and_look(test, &scene, (i + 1) * PAGE_SIZE - 1, (i + 1) * PAGE_SIZE);
	}
	iommu_sva_unbind_device(scene.sva);
}

static void everything_drops_everything(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], CACHED);

	cache_all(test, fix->ep[0], &scene, CACHED);
	announce(scene.proc, 0, ~0UL);
	for (unsigned int i = 0; i < CACHED; i++)
		KUNIT_EXPECT_TRUE(test, was_dropped(test, &scene, i));
	iommu_sva_unbind_device(scene.sva);
}

static void other_processes_keep_their_entries(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 4);
	struct sva_scene other = sva_scene(test, fix->ep[0], 4);

	cache_all(test, fix->ep[0], &scene, 4);
	cache_all(test, fix->ep[0], &other, 4);
	announce(other.proc, 0, ~0UL);
	for (unsigned int i = 0; i < 4; i++) {
		KUNIT_EXPECT_FALSE(test, was_dropped(test, &scene, i));
		KUNIT_EXPECT_TRUE(test, was_dropped(test, &other, i));
	}
	iommu_sva_unbind_device(scene.sva);
	iommu_sva_unbind_device(other.sva);
}

/* System calls of the process, against a model of its memory */

#define MODEL_PAGES	48

enum model_state {
	MODEL_GONE,
	MODEL_NONE,
	MODEL_READ,
	MODEL_WRITE,
};

/**
 * struct model - what the memory of a process must look like to its devices
 * @test: the test
 * @scene: the process, with one VMA of MODEL_PAGES at the start
 * @ep: the devices
 * @other: the bond of the second one
 * @rnd: what comes next
 * @state: of each page
 * @value: what each page has at its start
 * @stamp: the next value
 */
struct model {
	struct kunit *test;
	struct sva_scene scene;
	struct soft_endpoint *ep[2];
	struct iommu_sva *other;
	struct rnd_state rnd;
	enum model_state state[MODEL_PAGES];
	u64 value[MODEL_PAGES];
	u64 stamp;
};

static unsigned long model_addr(struct model *model, unsigned int page)
{
	return model->scene.addr + page * PAGE_SIZE;
}

static struct model *model_start(struct kunit *test, struct soft_endpoint *second, u64 seed)
{
	struct model *model = kunit_kzalloc(test, sizeof(*model), GFP_KERNEL);
	struct sva_fixture *fix = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, model);
	model->test = test;
	model->ep[0] = fix->ep[0];
	model->ep[1] = second;
	model->scene = sva_scene(test, fix->ep[0], MODEL_PAGES);
	model->other = sva_bind(test, second, model->scene.proc);
	prandom_seed_state(&model->rnd, seed);
	for (unsigned int i = 0; i < MODEL_PAGES; i++) {
		model->state[i] = MODEL_WRITE;
		model->value[i] = sva_mark(i);
	}
	model->stamp = sva_mark(MODEL_PAGES);
	return model;
}

static void model_end(struct model *model)
{
	iommu_sva_unbind_device(model->scene.sva);
	iommu_sva_unbind_device(model->other);
}

static unsigned int model_random(struct model *model, unsigned int below)
{
	return prandom_u32_state(&model->rnd) % below;
}

/* Fills the caches of both devices from random pages. */
static void model_touch(struct model *model, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int page = model_random(model, MODEL_PAGES);
		struct soft_endpoint *ep = model->ep[i % 2];

		if (model->state[page] >= MODEL_READ)
			SVA_EXPECT_READS(model->test, ep, model->scene.pasid,
					 model_addr(model, page), model->value[page]);
	}
}

/* What a device sees with its cached translations and one request for each it lacks. */
static void model_check(struct model *model)
{
	struct kunit *test = model->test;

	for (unsigned int i = 0; i < 2 * MODEL_PAGES; i++) {
		unsigned int page = i / 2;
		enum model_state state = model->state[page];
		u64 seen = 0;
		int ret = soft_dma_try(model->ep[i % 2], model->scene.pasid,
				       model_addr(model, page), false, &seen, sizeof(seen));

		if (state < MODEL_READ)
			KUNIT_EXPECT_EQ_MSG(test, ret, -EFAULT, "page %u", page);
		else if (!ret)
			KUNIT_EXPECT_EQ_MSG(test, seen, model->value[page], "page %u", page);
		if (state < MODEL_WRITE)
			KUNIT_EXPECT_EQ_MSG(test,
					    soft_dma_try(model->ep[i % 2], model->scene.pasid,
							 model_addr(model, page), true, &seen,
							 sizeof(seen)), -EFAULT, "page %u", page);
	}
}

static void model_munmap(struct model *model, unsigned int first, unsigned int nr)
{
	KUNIT_EXPECT_EQ(model->test, sva_proc_munmap(model->scene.proc, model_addr(model, first),
						     nr * PAGE_SIZE), 0L);
	for (unsigned int i = first; i < first + nr; i++)
		model->state[i] = MODEL_GONE;
}

/* New memory, in the place of whatever is there. */
static void model_mmap(struct model *model, unsigned int first, unsigned int nr)
{
	sva_proc_map_at(model->scene.proc, model_addr(model, first), nr * PAGE_SIZE);
	for (unsigned int i = first; i < first + nr; i++) {
		model->state[i] = MODEL_WRITE;
		model->value[i] = model->stamp++;
	}
	sva_fill(model->test, model->scene.proc, model_addr(model, first), model->value + first,
		 nr);
}

static void model_mprotect(struct model *model, unsigned int first, unsigned int nr,
			   enum model_state state)
{
	static const unsigned long prot[] = {
		[MODEL_NONE] = PROT_NONE, [MODEL_READ] = PROT_READ, [MODEL_WRITE] = RW,
	};

	for (unsigned int i = first, run; i < first + nr; i += run) {
		for (run = 0; i + run < first + nr && model->state[i + run] != MODEL_GONE; run++)
			model->state[i + run] = state;
		if (run)
			KUNIT_EXPECT_EQ(model->test,
					sva_proc_mprotect(model->scene.proc, model_addr(model, i),
							  run * PAGE_SIZE, prot[state]), 0L);
		else
			run = 1;
	}
}

/* Forgets the contents; holes are passed over. */
static void model_dontneed(struct model *model, unsigned int first, unsigned int nr)
{
	long ret = sva_proc_madvise(model->scene.proc, model_addr(model, first), nr * PAGE_SIZE,
				    MADV_DONTNEED);

	KUNIT_EXPECT_TRUE(model->test, !ret || ret == -ENOMEM);
	for (unsigned int i = first; i < first + nr; i++)
		if (model->state[i] != MODEL_GONE)
			model->value[i] = 0;
}

enum model_ops {
	MODEL_OP_MUNMAP,
	MODEL_OP_MPROTECT,
	MODEL_OP_DONTNEED,
	MODEL_OP_ANY,
};

static void model_step(struct model *model, enum model_ops op)
{
	unsigned int first = model_random(model, MODEL_PAGES);
	unsigned int nr = 1 + model_random(model, MODEL_PAGES - first);

	if (op == MODEL_OP_ANY)
		op = model_random(model, MODEL_OP_ANY);
	switch (op) {
	case MODEL_OP_MUNMAP:
		model_munmap(model, first, nr);
		model_check(model);
		break;
	case MODEL_OP_MPROTECT:
		model_mprotect(model, first, nr, MODEL_NONE + model_random(model, 3));
		break;
	default:
		model_dontneed(model, first, nr);
	}
	model_check(model);
	/* Mostly fill a hole again, sometimes leave it for the next round. */
	if (model_random(model, 4))
		model_mmap(model, first, nr);
}

static void model_run(struct kunit *test, enum model_ops op, u64 seed, unsigned int rounds)
{
	struct sva_fixture *fix = test->priv;
	struct model *model = model_start(test, fix->ep[1], seed);

	for (unsigned int i = 0; i < rounds; i++) {
		model_touch(model, 40);
		model_step(model, op);
	}
	model_end(model);
}

static void munmap_of_random_ranges_ends_access(struct kunit *test)
{
	model_run(test, MODEL_OP_MUNMAP, 613, 30);
}

static void mprotect_of_random_ranges_ends_access(struct kunit *test)
{
	model_run(test, MODEL_OP_MPROTECT, 614, 20);
}

static void madvise_of_random_ranges_ends_access(struct kunit *test)
{
	model_run(test, MODEL_OP_DONTNEED, 615, 20);
}

/* Hardware may carry commands between two waits out in any order, and late. */
static void slow_and_disorderly_hardware_has_no_stale_entries(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;

	soft_iommu_reorder_commands(fix->iommu, true);
	soft_iommu_delay_commands(fix->iommu, 50);
	model_run(test, MODEL_OP_ANY, 616, 20);
	soft_iommu_delay_commands(fix->iommu, 0);
	soft_iommu_reorder_commands(fix->iommu, false);
}

static void two_iommus_have_no_stale_entries(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_iommu *iommu = sva_add_iommu(test, NULL);
	struct model *model = model_start(test, sva_add_endpoint(test, iommu, &config, true), 617);

	for (int i = 0; i < 20; i++) {
		model_touch(model, 40);
		model_step(model, MODEL_OP_ANY);
	}
	model_end(model);
}

/* The process changes its memory while devices use all of it. */
static void random_ranges_under_a_storm(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct model *model = model_start(test, fix->ep[1], 618);
	size_t len = MODEL_PAGES * PAGE_SIZE;

	KUNIT_ASSERT_EQ(test, soft_storm_start(fix->ep[0], model->scene.pasid, model->scene.addr,
					       len, false), 0);
	for (int i = 0; i < 25; i++) {
		unsigned int first = model_random(model, MODEL_PAGES);
		unsigned int nr = 1 + model_random(model, MODEL_PAGES - first);

		model_munmap(model, first, nr);
		model_mmap(model, first, nr);
		model_touch(model, 10);
	}
	soft_storm_stop(fix->ep[0]);
	for (unsigned int i = 0; i < MODEL_PAGES; i++)
		SVA_EXPECT_READS(test, fix->ep[0], model->scene.pasid, model_addr(model, i),
				 model->value[i]);
	model_end(model);
}

static void moved_memory_is_found_at_its_new_place(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], CACHED);
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 619);
	for (int round = 0; round < 20; round++) {
		unsigned long old = scene.addr;
		unsigned int page = prandom_u32_state(&rnd) % CACHED;

		cache_all(test, fix->ep[0], &scene, CACHED);
		/* A new place of the same size, which the kernel finds by giving the memory up. */
		scene.addr = sva_proc_map(scene.proc, CACHED * PAGE_SIZE);
		KUNIT_ASSERT_EQ(test, sva_proc_mremap(scene.proc, old, CACHED * PAGE_SIZE,
						      CACHED * PAGE_SIZE,
						      MREMAP_MAYMOVE | MREMAP_FIXED, scene.addr),
				(long)scene.addr);
		SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, old + page * PAGE_SIZE);
		cache_all(test, fix->ep[0], &scene, CACHED);
	}
	iommu_sva_unbind_device(scene.sva);
}

/* Boundaries of page tables */

static const unsigned int boundary_shift[] = { 16, PMD_SHIFT, PUD_SHIFT, P4D_SHIFT };

static void boundary_name(const unsigned int *shift, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "at %#lx", BIT(*shift));
}

KUNIT_ARRAY_PARAM(boundary, boundary_shift, boundary_name);

/* A multiple of that power of two and of no higher one, above where programs are. */
static unsigned long boundary_of(struct kunit *test)
{
	unsigned long at = BIT(P4D_SHIFT + 2) + BIT(*(const unsigned int *)test->param_value);

	if (at >= TASK_SIZE - SZ_1G)
		kunit_skip(test, "not in the user half of this configuration");
	return at;
}

/* Four pages, two on each side; the range takes the two in the middle. */
static void range_across_a_table_boundary(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	unsigned long start = boundary_of(test) - 2 * PAGE_SIZE;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);

	for (int round = 0; round < 3; round++) {
		sva_proc_map_at(scene.proc, start, 4 * PAGE_SIZE);
		for (int i = 0; i < 4; i++) {
			sva_poke(test, scene.proc, start + i * PAGE_SIZE, 10 * round + i);
			SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, start + i * PAGE_SIZE,
					 10 * round + i);
		}
		KUNIT_EXPECT_EQ(test, sva_proc_munmap(scene.proc, start + PAGE_SIZE,
						      2 * PAGE_SIZE), 0L);
		SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, start, 10 * round);
		SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, start + PAGE_SIZE);
		SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, start + 2 * PAGE_SIZE);
		SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, start + 3 * PAGE_SIZE,
				 10 * round + 3);
	}
	iommu_sva_unbind_device(scene.sva);
}

/* The tables themselves go: all that is cached on the way to them must go, too. */
static void tables_that_go_are_not_walked(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	unsigned long start = boundary_of(test);
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);

	for (int round = 0; round < 10; round++) {
		sva_proc_map_at(scene.proc, start, PAGE_SIZE);
		if (round % 2)
			sva_poke(test, scene.proc, start, 0);
		SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, start, 0);
		KUNIT_EXPECT_EQ(test, sva_proc_munmap(scene.proc, start, PAGE_SIZE), 0L);
		SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, start);
	}
	iommu_sva_unbind_device(scene.sva);
}

/* Huge pages */

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
static unsigned long map_huge(struct kunit *test, struct sva_scene *scene)
{
	unsigned long addr = sva_proc_map(scene->proc, 4 * PMD_SIZE);
	const unsigned int nr = 2 * PMD_SIZE / PAGE_SIZE;
	u64 *marks = kunit_kcalloc(test, nr, sizeof(*marks), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, marks);
	addr = ALIGN(addr, PMD_SIZE);
	if (!has_transparent_hugepage())
		kunit_skip(test, "no huge pages on this CPU");
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(scene->proc, addr, 2 * PMD_SIZE, MADV_HUGEPAGE), 0L);
	for (unsigned int i = 0; i < nr; i++)
		marks[i] = sva_mark(i);
	sva_fill(test, scene->proc, addr, marks, nr);
	return addr;
}

static void parts_of_huge_pages_go_alone(struct kunit *test)
{
	const unsigned int pages = 2 * PMD_SIZE / PAGE_SIZE;
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	unsigned long addr = map_huge(test, &scene);
	/* The middle two quarters, across the boundary of the two huge pages. */
	unsigned int first = pages / 4, end = pages / 4 * 3;

	for (unsigned int i = 0; i < pages; i += 16)
		SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, addr + i * PAGE_SIZE, sva_mark(i));
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(scene.proc, addr + first * PAGE_SIZE,
					      (end - first) * PAGE_SIZE), 0L);
	for (unsigned int i = 0; i < pages; i += 16) {
		if (i >= first && i < end)
			SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, addr + i * PAGE_SIZE);
		else
			SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, addr + i * PAGE_SIZE,
					 sva_mark(i));
	}
	iommu_sva_unbind_device(scene.sva);
}

static void parts_of_huge_pages_become_read_only(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	unsigned long addr = map_huge(test, &scene);
	u64 value = 5;

	KUNIT_EXPECT_EQ(test, soft_dma_write(fix->ep[0], scene.pasid, addr + 48 * PAGE_SIZE, &value,
					     sizeof(value)), 0);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(scene.proc, addr + 32 * PAGE_SIZE, 32 * PAGE_SIZE,
						PROT_READ), 0L);
	KUNIT_EXPECT_EQ(test, soft_dma_write(fix->ep[0], scene.pasid, addr + 48 * PAGE_SIZE, &value,
					     sizeof(value)), -EFAULT);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, addr + 48 * PAGE_SIZE, 5);
	KUNIT_EXPECT_EQ(test, soft_dma_write(fix->ep[0], scene.pasid, addr + 64 * PAGE_SIZE, &value,
					     sizeof(value)), 0);
	iommu_sva_unbind_device(scene.sva);
}
#endif

/* Permissions that grow need no invalidation: the device asks. */
static void pages_made_writable_can_be_written(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	u64 value = 9;

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(scene.proc, scene.addr, PAGE_SIZE, PROT_READ), 0L);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	KUNIT_EXPECT_EQ(test, soft_dma_write(fix->ep[0], scene.pasid, scene.addr, &value,
					     sizeof(value)), -EFAULT);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(scene.proc, scene.addr, PAGE_SIZE, RW), 0L);
	KUNIT_EXPECT_EQ(test, soft_dma_write(fix->ep[0], scene.pasid, scene.addr, &value,
					     sizeof(value)), 0);
	SVA_EXPECT_HOLDS(test, scene.proc, scene.addr, 9);
	iommu_sva_unbind_device(scene.sva);
}

static void page_refused_before_is_found_after_mmap(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 2);
	unsigned long addr = scene.addr + PAGE_SIZE;

	for (int i = 0; i < 5; i++) {
		KUNIT_EXPECT_EQ(test, sva_proc_munmap(scene.proc, addr, PAGE_SIZE), 0L);
		SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, addr);
		sva_proc_map_at(scene.proc, addr, PAGE_SIZE);
		sva_poke(test, scene.proc, addr, i);
		SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, addr, i);
	}
	iommu_sva_unbind_device(scene.sva);
}

/* How many commands it takes */

static u64 commands(struct soft_iommu *iommu)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(iommu, &stats);
	return stats.cmd_iotlb + stats.cmd_atc + stats.cmd_wait;
}

/* Not one for each page. */
static void huge_range_takes_few_commands(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	const size_t size = SZ_1G;
	unsigned long addr = sva_proc_mmap(scene.proc, 0, size, RW,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	u64 before;

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	for (size_t off = 0; off < size; off += size / 8)
		SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, addr + off, 0);
	before = commands(fix->iommu);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(scene.proc, addr, size), 0L);
	/* The kernel announces the range in a few pieces: pages, then tables. */
	KUNIT_EXPECT_LE(test, commands(fix->iommu) - before, 64ULL);
	for (size_t off = 0; off < size; off += size / 8)
		SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, addr + off);
	iommu_sva_unbind_device(scene.sva);
}

static void commands_do_not_grow_with_the_range(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	unsigned long base = 0x10000000000;
	u64 before, most = 0;

	for (unsigned int shift = PAGE_SHIFT; shift < 40; shift++) {
		before = commands(fix->iommu);
		announce(scene.proc, base, base + BIT(shift));
		announce(scene.proc, base + 5 * PAGE_SIZE, base + 3 * BIT(shift) + PAGE_SIZE);
		most = max(most, commands(fix->iommu) - before);
	}
	KUNIT_EXPECT_GT(test, most, 0ULL);
	KUNIT_EXPECT_LE(test, most, 64ULL);
	iommu_sva_unbind_device(scene.sva);
}

/* The root that the IOMMU walks */

#if SVA_CORE && defined(CONFIG_X86_64)
#define SLOTS	8

static bool same_slot(const pgd_t *root, struct mm_struct *mm, unsigned int i)
{
	return !((pgd_val(READ_ONCE(root[i])) ^ pgd_val(READ_ONCE(mm->pgd[i]))) &
		 ~(_PAGE_ACCESSED | _PAGE_NX));
}

static unsigned long slot_addr(unsigned int i)
{
	return (unsigned long)(i + 16) << PGDIR_SHIFT;
}

static u64 requests(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(fix->iommu, &stats);
	return stats.prq_requests;
}

/*
 * A slot that comes is known with it: memory that the CPU has touched costs no page request. One
 * that goes is forgotten before its tables are freed.
 */
static void root_follows_slots_that_come_and_go(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	const pgd_t *root = iommu_sva_root(scene.sva->handle.domain);
	struct mm_struct *mm = sva_proc_mm(scene.proc);
	bool mapped[SLOTS] = { };
	struct rnd_state rnd;

	if (pgtable_l5_enabled())
		kunit_skip(test, "one slot is all that a program has");
	prandom_seed_state(&rnd, 620);
	for (int round = 0; round < 60; round++) {
		unsigned int i = prandom_u32_state(&rnd) % SLOTS;
		unsigned long addr = slot_addr(i);

		if (mapped[i]) {
			KUNIT_EXPECT_EQ(test, sva_proc_munmap(scene.proc, addr, PAGE_SIZE), 0L);
			SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, addr);
		} else {
			u64 before = requests(test);

			sva_proc_map_at(scene.proc, addr, PAGE_SIZE);
			if (round % 2)
				sva_poke(test, scene.proc, addr, 0);
			SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, addr, 0);
			KUNIT_EXPECT_EQ(test, requests(test) - before, round % 2 ? 0 : 1);
		}
		mapped[i] = !mapped[i];
		for (unsigned int j = 0; j < PTRS_PER_PGD; j++)
			KUNIT_EXPECT_TRUE(test, j < PTRS_PER_PGD / 2 ? same_slot(root, mm, j) :
					  !pgd_val(READ_ONCE(root[j])));
	}
	iommu_sva_unbind_device(scene.sva);
}

/* Exactly the slots of the range, inclusive of both ends, are brought up to date. */
static void root_learns_the_slots_of_a_range(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct rnd_state rnd;

	if (pgtable_l5_enabled())
		kunit_skip(test, "one slot is all that a program has");
	prandom_seed_state(&rnd, 621);
	for (int round = 0; round < 6; round++) {
		struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
		pgd_t *root = iommu_sva_root(scene.sva->handle.domain);
		unsigned int first = prandom_u32_state(&rnd) % SLOTS;
		unsigned int last = first + prandom_u32_state(&rnd) % (SLOTS - first);

		/* Memory that is there; and copies that have been lost */
		for (unsigned int i = 0; i < SLOTS; i++) {
			sva_proc_map_at(scene.proc, slot_addr(i), PAGE_SIZE);
			sva_poke(test, scene.proc, slot_addr(i), 1);
			WRITE_ONCE(root[pgd_index(slot_addr(i))], __pgd(0));
		}
		announce(scene.proc, slot_addr(first + 1) - 1, slot_addr(last) + 1);
		for (unsigned int i = 0; i < SLOTS; i++) {
			unsigned int slot = pgd_index(slot_addr(i));

			if (i >= first && i <= last)
				KUNIT_EXPECT_TRUE(test, same_slot(root, sva_proc_mm(scene.proc),
								  slot));
			else
				KUNIT_EXPECT_EQ(test, pgd_val(root[slot]), 0UL);
		}
		iommu_sva_unbind_device(scene.sva);
		sva_proc_exit(scene.proc);
	}
}
#endif

static struct kunit_case sva_range_cases[] = {
	KUNIT_CASE(any_range_reaches_the_iommu_whole),
	KUNIT_CASE(extreme_ranges_reach_the_iommu_whole),
	KUNIT_CASE(random_ranges_drop_what_they_cover),
	KUNIT_CASE(every_run_of_pages_drops_what_it_covers),
	KUNIT_CASE(one_byte_drops_its_page),
	KUNIT_CASE(everything_drops_everything),
	KUNIT_CASE(other_processes_keep_their_entries),
	KUNIT_CASE(munmap_of_random_ranges_ends_access),
	KUNIT_CASE(mprotect_of_random_ranges_ends_access),
	KUNIT_CASE(madvise_of_random_ranges_ends_access),
	KUNIT_CASE(slow_and_disorderly_hardware_has_no_stale_entries),
	KUNIT_CASE(two_iommus_have_no_stale_entries),
	KUNIT_CASE(random_ranges_under_a_storm),
	KUNIT_CASE(moved_memory_is_found_at_its_new_place),
	KUNIT_CASE_PARAM(range_across_a_table_boundary, boundary_gen_params),
	KUNIT_CASE_PARAM(tables_that_go_are_not_walked, boundary_gen_params),
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	KUNIT_CASE(parts_of_huge_pages_go_alone),
	KUNIT_CASE(parts_of_huge_pages_become_read_only),
#endif
	KUNIT_CASE(pages_made_writable_can_be_written),
	KUNIT_CASE(page_refused_before_is_found_after_mmap),
	KUNIT_CASE(huge_range_takes_few_commands),
	KUNIT_CASE(commands_do_not_grow_with_the_range),
#if SVA_CORE && defined(CONFIG_X86_64)
	KUNIT_CASE(root_follows_slots_that_come_and_go),
	KUNIT_CASE(root_learns_the_slots_of_a_range),
#endif
	{}
};

static struct kunit_suite sva_range_suite = {
	.name = "iommu_sva_range",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_range_cases,
};

kunit_test_suite(sva_range_suite);

SVA_CONFORM_SUITE(sva_range, sva_fixture_init, sva_stage_exit,
		  SVA_CONFORM_CASE(one_byte_drops_its_page),
		  SVA_CONFORM_CASE(everything_drops_everything),
		  SVA_CONFORM_CASE(other_processes_keep_their_entries),
		  SVA_CONFORM_CASE(two_iommus_have_no_stale_entries),
		  SVA_CONFORM_CASE(random_ranges_under_a_storm),
		  SVA_CONFORM_CASE(moved_memory_is_found_at_its_new_place),
		  SVA_CONFORM_CASE(pages_made_writable_can_be_written),
		  SVA_CONFORM_CASE(page_refused_before_is_found_after_mmap));

MODULE_DESCRIPTION("KUnit tests: ranges of invalidations by the SVA core");
MODULE_LICENSE("GPL");
