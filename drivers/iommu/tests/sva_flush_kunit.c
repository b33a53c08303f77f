// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flushes of a process whose devices are behind several IOMMUs: these work at the same time
 *
 * The thread that unmaps memory starts the flush of each IOMMU before it waits for the first of
 * them, and waits once for each, however many bonds are behind it. The same holds for the exit.
 */
#include <linux/atomic.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>

#include "sva_stage.h"

#define IOMMUS		3
#define BONDS		4	/* behind each IOMMU */
#define SLOW_TURNS	50

/**
 * struct course - what happened in which order
 * @started: flushes of IOMMUs that have been started
 * @started_first: of them, those before the first wait
 * @waited: waits that have begun
 */
struct course {
	atomic_t started;
	atomic_t started_first;
	atomic_t waited;
};

struct flush_scene {
	struct soft_iommu *iommu[IOMMUS];
	struct soft_endpoint *ep[IOMMUS][BONDS];
	struct iommu_sva *sva[IOMMUS][BONDS];
	struct sva_proc *proc;
	unsigned long addr;
	u32 pasid;
	struct course course;
};

static int note_start(const struct soft_iommu_event *event, void *data)
{
	struct course *course = data;

	atomic_inc(&course->started);
	if (!atomic_read(&course->waited))
		atomic_inc(&course->started_first);
	return 0;
}

static int note_wait(const struct soft_iommu_event *event, void *data)
{
	struct course *course = data;

	atomic_inc(&course->waited);
	return 0;
}

/* What has happened until now does not count. */
static void watch(struct flush_scene *s)
{
	s->course = (struct course){ };
	for (unsigned int i = 0; i < IOMMUS; i++) {
		soft_iommu_set_hook(s->iommu[i], SOFT_AT_INVALIDATE, note_start, &s->course);
		soft_iommu_set_hook(s->iommu[i], SOFT_AT_RELEASE, note_start, &s->course);
		soft_iommu_set_hook(s->iommu[i], SOFT_AT_WAIT, note_wait, &s->course);
	}
}

static struct flush_scene *flush_scene(struct kunit *test)
{
	const struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct flush_scene *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->proc = sva_proc_start(test);
	s->addr = sva_proc_map(s->proc, PAGE_SIZE);
	for (unsigned int i = 0; i < IOMMUS; i++) {
		s->iommu[i] = sva_add_iommu(test, NULL);
		for (unsigned int k = 0; k < BONDS; k++) {
			s->ep[i][k] = sva_add_endpoint(test, s->iommu[i], &config, true);
			s->sva[i][k] = sva_bind(test, s->ep[i][k], s->proc);
		}
	}
	s->pasid = iommu_sva_get_pasid(s->sva[0][0]);
	sva_poke(test, s->proc, s->addr, sva_mark(1));
	return s;
}

static void unbind_all(struct flush_scene *s)
{
	for (unsigned int i = 0; i < IOMMUS; i++)
		for (unsigned int k = 0; k < BONDS; k++)
			iommu_sva_unbind_device(s->sva[i][k]);
}

/* Each device has the page in its ATC afterwards, and each IOMMU in its IOTLB. */
static void use_page(struct kunit *test, struct flush_scene *s)
{
	for (unsigned int i = 0; i < IOMMUS; i++)
		for (unsigned int k = 0; k < BONDS; k++)
			SVA_EXPECT_READS(test, s->ep[i][k], s->pasid, s->addr, sva_mark(1));
}

static void expect_refused(struct kunit *test, struct flush_scene *s)
{
	for (unsigned int i = 0; i < IOMMUS; i++)
		for (unsigned int k = 0; k < BONDS; k++)
			SVA_EXPECT_REFUSED(test, s->ep[i][k], s->pasid, s->addr);
}

static void announce(struct flush_scene *s)
{
	mmu_notifier_arch_invalidate_secondary_tlbs(sva_proc_mm(s->proc), s->addr,
						    s->addr + PAGE_SIZE);
}

static void expect_overlap(struct kunit *test, struct flush_scene *s)
{
	KUNIT_EXPECT_EQ(test, atomic_read(&s->course.started), IOMMUS);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->course.started_first), IOMMUS);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->course.waited), IOMMUS);
}

static void all_iommus_start_before_any_is_waited_for(struct kunit *test)
{
	struct flush_scene *s = flush_scene(test);

	use_page(test, s);
	watch(s);
	announce(s);
	expect_overlap(test, s);
	unbind_all(s);
}

static void all_iommus_learn_of_an_exit_before_any_is_waited_for(struct kunit *test)
{
	struct flush_scene *s = flush_scene(test);

	use_page(test, s);
	watch(s);
	sva_proc_exit(s->proc);
	KUNIT_EXPECT_GE(test, atomic_read(&s->course.started_first), IOMMUS);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->course.started), atomic_read(&s->course.waited));
	expect_refused(test, s);
	unbind_all(s);
}

static u64 waits(struct soft_iommu *iommu)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(iommu, &stats);
	return stats.waits;
}

static void thread_waits_once_per_iommu_of_many_bonds(struct kunit *test)
{
	struct flush_scene *s = flush_scene(test);
	u64 before[IOMMUS];

	for (unsigned int i = 0; i < IOMMUS; i++)
		before[i] = waits(s->iommu[i]);
	announce(s);
	for (unsigned int i = 0; i < IOMMUS; i++)
		KUNIT_EXPECT_EQ(test, waits(s->iommu[i]) - before[i], 1ULL);
	unbind_all(s);
}

static void slow_down(struct flush_scene *s, unsigned int turns)
{
	for (unsigned int i = 0; i < IOMMUS; i++) {
		soft_iommu_delay_commands(s->iommu[i], turns);
		soft_iommu_reorder_commands(s->iommu[i], turns);
	}
}

static void slow_iommus_are_done_when_munmap_returns(struct kunit *test)
{
	struct flush_scene *s = flush_scene(test);

	slow_down(s, SLOW_TURNS);
	use_page(test, s);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(s->proc, s->addr, PAGE_SIZE), 0L);
	expect_refused(test, s);
	slow_down(s, 0);
	unbind_all(s);
}

static void slow_iommus_are_done_when_a_process_has_exited(struct kunit *test)
{
	struct flush_scene *s = flush_scene(test);

	slow_down(s, SLOW_TURNS);
	use_page(test, s);
	sva_proc_exit(s->proc);
	expect_refused(test, s);
	slow_down(s, 0);
	unbind_all(s);
}

static struct kunit_case sva_flush_cases[] = {
	KUNIT_CASE(all_iommus_start_before_any_is_waited_for),
	KUNIT_CASE(all_iommus_learn_of_an_exit_before_any_is_waited_for),
	KUNIT_CASE(thread_waits_once_per_iommu_of_many_bonds),
	KUNIT_CASE(slow_iommus_are_done_when_munmap_returns),
	KUNIT_CASE(slow_iommus_are_done_when_a_process_has_exited),
	{}
};

static struct kunit_suite sva_flush_suite = {
	.name = "iommu_sva_flush",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_flush_cases,
};

kunit_test_suite(sva_flush_suite);

MODULE_DESCRIPTION("KUnit tests for SVA flushes of several IOMMUs");
MODULE_LICENSE("GPL");
