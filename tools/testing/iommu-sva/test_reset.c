// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets: the core answers everything before, drops everything in between, and has no request left
 * afterwards. The ledger fails a test in which a device gets a response to a request from before.
 */
#include <iopf.h>

#include "test.h"

static struct vendor_dev *dev;
static struct mm_struct *mm;
static struct iommu_sva *sva;
static struct vendor_request *requests[16];
static unsigned int nr_requests;
static u32 pasid;

static void set_up(void)
{
	dev = test_dev();
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	nr_requests = 0;
}

static void tear_down(void)
{
	sim_settle();
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static void ask_some(void *arg)
{
	vendor_send(dev, pasid, 1, PAGE(0), READ, false);
	for (u32 i = 0; i < 3; i++)
		requests[nr_requests++] = vendor_ask(dev, pasid, i, PAGE(i));
}

static void post_some(void *arg)
{
	vendor_post(dev, pasid, 1, PAGE(0), READ, false);
	for (u32 i = 0; i < 3; i++)
		requests[nr_requests++] = vendor_post(dev, pasid, i, PAGE(i), READ, true);
}

TEST(quiesce_answers_everything)
{
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	for (u32 i = 0; i < 8; i++)
		requests[i] = vendor_ask(dev, pasid, i, PAGE(i));
	sim_settle();
	iopf_quiesce_device(dev_of(dev));
	for (u32 i = 0; i < 8; i++) {
		SIM_EQ(requests[i]->answers, 1);
		SIM_EQ(requests[i]->code, INVALID);
	}
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_resume_device(dev_of(dev));
	vendor_start(dev);
	door.shut = false;
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	tear_down();
}

TEST(request_in_a_reset_is_dropped)
{
	struct vendor_request *r;
	u64 counts[IOPF_NR_COUNTS];

	set_up();
	iopf_quiesce_device(dev_of(dev));
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	r = vendor_ask(dev, pasid, 0, PAGE(0));
	SIM_EQ(r->error, 0);
	test_unanswered(r);
	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	SIM_EQ(counts[IOPF_STALE], 1);
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_resume_device(dev_of(dev));
	vendor_start(dev);
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	SIM_EQ(sim_nr_logged(), 0);
	tear_down();
}

TEST(old_request_in_the_ring_is_dropped_by_resume)
{
	set_up();
	iopf_quiesce_device(dev_of(dev));
	post_some(NULL);
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_resume_device(dev_of(dev));
	vendor_start(dev);
	for (u32 i = 0; i < 3; i++)
		test_answered(vendor_ask(dev, pasid, i, PAGE(i)), SUCCESS);
	tear_down();
}

static struct vendor_request *refused;
static unsigned int drains;

static void ask_in_drain(struct vendor_dev *of, ioasid_t of_pasid)
{
	SIM_EQ(of_pasid, IOMMU_PASID_INVALID);
	if (drains++)
		return;
	vendor_send(dev, pasid, 5, SLOT(1), READ, false);
	refused = vendor_ask(dev, pasid, 5, PAGE(0));
}

/* The request is too late to be served, and too early to be dropped. */
TEST(request_while_stopping_is_refused)
{
	set_up();
	drains = 0;
	vendor_hooks.draining = ask_in_drain;
	test_reset(dev);
	SIM_EQ(drains, 2);
	SIM_EQ(refused->answers, 1);
	SIM_EQ(refused->code, INVALID);
	SIM_EQ(refused->error, -ESHUTDOWN);
	test_answered(vendor_ask(dev, pasid, 5, PAGE(0)), SUCCESS);
	vendor_hooks.draining = NULL;
	tear_down();
}

TEST(resume_has_the_atc_emptied_once)
{
	set_up();
	sim_touch(mm, PAGE(1), true);
	test_reset(dev);
	SIM_EQ(dev->flushes, 1);
	SIM_EQ(dev->awaits, 1);
	iopf_resume_device(dev_of(dev));
	SIM_EQ(dev->flushes, 1);
	SIM_EQ(dev->awaits, 1);
	tear_down();
}

/* Translations that the device fetches before resume, while it gets no invalidations */
TEST(early_translations_do_not_outlive_resume)
{
	set_up();
	sim_touch(mm, PAGE(1), true);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(1)), SUCCESS);
	iopf_quiesce_device(dev_of(dev));
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	SIM_CHECK(vendor_dma(dev, pasid, PAGE(1), true));
	sim_munmap(mm, BASE);
	iopf_resume_device(dev_of(dev));
	vendor_start(dev);
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(1), false));
	tear_down();
}

static void unmap_in_drain(struct vendor_dev *of, ioasid_t of_pasid)
{
	if (drains++)
		return;
	SIM_CHECK(vendor_dma(dev, pasid, PAGE(1), true));
	sim_munmap(mm, BASE);
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(1), false));
}

/* The device has not been reset yet, and uses its cached translations. */
TEST(device_that_is_stopping_is_told_of_invalidations)
{
	set_up();
	test_answered(vendor_ask(dev, pasid, 0, PAGE(1)), SUCCESS);
	drains = 0;
	vendor_hooks.draining = unmap_in_drain;
	test_reset(dev);
	vendor_hooks.draining = NULL;
	SIM_EQ(drains, 2);
	tear_down();
}

TEST(reset_without_a_queue_is_nobody_s_business)
{
	struct vendor_dev *plain = vendor_dev_new(vendor_iommu_new(0), 16, 4);

	iopf_quiesce_device(dev_of(plain));
	SIM_CHECK(!iopf_device_in_reset(dev_of(plain)));
	iopf_resume_device(dev_of(plain));
	SIM_EQ(plain->flushes, 0);
	plain->pdev.dev.iommu = NULL;
	iopf_quiesce_device(dev_of(plain));
	iopf_resume_device(dev_of(plain));
	plain->pdev.dev.iommu = plain->param;
}

TEST(reset_with_a_driver_that_does_not_drain)
{
	struct vendor_request *r;

	dev = vendor_dev_new(vendor_iommu_new(VENDOR_NO_DRAIN), 16, 4);
	vendor_enable(dev);
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	r = vendor_ask(dev, pasid, 0, PAGE(0));
	test_reset(dev);
	SIM_EQ(r->answers, 1);
	SIM_EQ(r->code, INVALID);
	tear_down();
}

/* The device answers no more than before, whichever driver has given up. */
TEST(device_that_leaves_its_queue_in_a_reset_stays_in_it)
{
	set_up();
	test_answered(vendor_ask(dev, pasid, 0, PAGE(1)), SUCCESS);
	iopf_quiesce_device(dev_of(dev));
	vendor_begin_reset(dev);
	vendor_disable(dev);
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	sim_munmap(mm, PAGE(1));
	vendor_end_reset(dev);
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	iopf_resume_device(dev_of(dev));
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, 1);
	vendor_start(dev);
	vendor_enable(dev);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	tear_down();
}

/* A reset has failed, and the driver is probed again. */
TEST(device_that_joins_its_queue_again_in_a_reset_is_still_in_it)
{
	struct vendor_request *r;

	set_up();
	test_answered(vendor_ask(dev, pasid, 0, PAGE(1)), SUCCESS);
	iopf_quiesce_device(dev_of(dev));
	vendor_disable(dev);
	vendor_enable(dev);
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	r = vendor_ask(dev, pasid, 0, PAGE(0));
	test_unanswered(r);
	vendor_begin_reset(dev);
	sim_munmap(mm, PAGE(1));
	vendor_end_reset(dev);
	SIM_EQ(dev->flushes, 0);
	iopf_resume_device(dev_of(dev));
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, 1);
	vendor_start(dev);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	tear_down();
}

TEST(device_that_joins_a_queue_while_it_sleeps_is_told_nothing)
{
	struct vendor_dev *plain = vendor_dev_new(vendor_iommu_new(0), 16, 4);
	struct device *d = dev_of(plain);

	iopf_pause(d, IOPF_PAUSE_SLEEP);
	SIM_CHECK(!iopf_device_in_reset(d));
	vendor_enable(plain);
	SIM_CHECK(iopf_device_in_reset(d));
	iopf_unpause(d, IOPF_PAUSE_SLEEP);
	SIM_CHECK(!iopf_device_in_reset(d));
	SIM_EQ(plain->flushes, 1);
}

/* The device's driver has quiesced it and calls the PCI core, which does so, too. */
TEST(inner_reset_does_not_end_the_outer_one)
{
	struct vendor_request *r;

	set_up();
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	SIM_CHECK(vendor_dma(dev, pasid, PAGE(0), true));
	iopf_quiesce_device(dev_of(dev));
	iopf_quiesce_device(dev_of(dev));
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_resume_device(dev_of(dev));
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, 0);
	/* Still in the outer reset: requests are dropped, and no invalidations sent. */
	r = vendor_ask(dev, pasid, 0, PAGE(1));
	test_unanswered(r);
	vendor_begin_reset(dev);
	sim_munmap(mm, BASE);
	vendor_end_reset(dev);
	iopf_resume_device(dev_of(dev));
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, 1);
	/* One resume too many has no effect. */
	iopf_resume_device(dev_of(dev));
	vendor_start(dev);
	SIM_EQ(dev->flushes, 1);
	sim_mmap(mm, BASE, PAGES, VM_READ | VM_WRITE);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(1)), SUCCESS);
	tear_down();
}

/* A handler that keeps its groups to itself and answers when it likes */
static struct iopf_group *kept[4];
static unsigned int nr_kept;

static int keep(struct iopf_group *group)
{
	iopf_group_dequeue(group);
	kept[nr_kept++] = group;
	return 0;
}

TEST(answer_from_before_the_reset_comes_to_nothing)
{
	struct vendor_request *r[2];
	u64 counts[IOPF_NR_COUNTS];

	set_up();
	nr_kept = 0;
	vendor_domain_of(dev, pasid)->domain.iopf_handler = keep;
	r[0] = vendor_ask(dev, pasid, 3, PAGE(0));
	test_reset(dev);
	r[1] = vendor_ask(dev, pasid, 3, PAGE(0));
	SIM_EQ(nr_kept, 2);
	iopf_group_response(kept[0], SUCCESS);
	iopf_free_group(kept[0]);
	SIM_EQ(r[0]->answers + r[1]->answers, 0);
	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	SIM_EQ(counts[IOPF_STALE], 1);
	iopf_group_response(kept[1], SUCCESS);
	iopf_free_group(kept[1]);
	SIM_EQ(r[1]->answers, 1);
	tear_down();
}

/* Races */

static void all_settled(void)
{
	sim_settle();
	for (unsigned int i = 0; i < nr_requests; i++)
		SIM_EQ(requests[i]->answers, !requests[i]->forgotten);
}

EXPLORE(reset_against_requests)
{
	set_up();
	sim_spawn("device", post_some, NULL);
	sim_spawn("reset", test_reset, dev);
	all_settled();
	tear_down();
}

EXPLORE(reset_against_service)
{
	set_up();
	ask_some(NULL);
	sim_spawn("reset", test_reset, dev);
	all_settled();
	for (u32 i = 0; i < 3; i++)
		test_answered(vendor_ask(dev, pasid, i, PAGE(i)), SUCCESS);
	tear_down();
}

static struct sim_door door;

static void answer_slowly(struct vendor_request *r, u32 code)
{
	sim_pass(&door);
}

static void answer_kept(void *arg)
{
	iopf_group_response(kept[0], SUCCESS);
	iopf_free_group(kept[0]);
}

/* Either the response is in flight and the reset waits for it, or it is dropped. */
EXPLORE(reset_against_the_answer_of_a_handler)
{
	set_up();
	nr_kept = 0;
	vendor_domain_of(dev, pasid)->domain.iopf_handler = keep;
	requests[nr_requests++] = vendor_ask(dev, pasid, 3, PAGE(0));
	door.shut = true;
	vendor_hooks.responding = answer_slowly;
	sim_spawn("reset", test_reset, dev);
	sim_spawn("answer", answer_kept, NULL);
	sim_settle();
	door.shut = false;
	all_settled();
	vendor_hooks.responding = NULL;
	tear_down();
}

static void unbind(void *arg)
{
	iommu_sva_unbind_device(sva);
}

EXPLORE(reset_against_unbind)
{
	set_up();
	ask_some(NULL);
	sim_spawn("unbind", unbind, NULL);
	sim_spawn("reset", test_reset, dev);
	all_settled();
	mmput(mm);
}

/* Neither device is reset before all is answered, nor runs before both resets are done. */
static void reset_beside(void *arg)
{
	iopf_quiesce_device(dev_of(dev));
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	for (unsigned int i = 0; i < nr_requests; i++)
		SIM_CHECK(requests[i]->answers || requests[i]->forgotten);
	sim_point("in reset");
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	iopf_resume_device(dev_of(dev));
}

static void resume(void *arg)
{
	iopf_resume_device(dev_of(dev));
}

/* One of them has nothing to end. */
EXPLORE(two_resumes_at_once)
{
	set_up();
	iopf_quiesce_device(dev_of(dev));
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	sim_spawn("resume", resume, NULL);
	sim_spawn("resume too", resume, NULL);
	sim_settle();
	SIM_EQ(dev->flushes, 1);
	vendor_start(dev);
	tear_down();
}

EXPLORE(two_resets_at_once)
{
	set_up();
	ask_some(NULL);
	sim_spawn("reset", reset_beside, NULL);
	sim_spawn("other reset", reset_beside, NULL);
	all_settled();
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	tear_down();
}

static void leave_and_join(void *arg)
{
	vendor_disable(dev);
	vendor_enable(dev);
}

/* At no point of its way does the device get an answer, or an invalidation, in the reset. */
EXPLORE(reset_against_a_queue_that_is_left_and_joined)
{
	set_up();
	ask_some(NULL);
	sim_touch(mm, PAGE(4), true);
	sim_spawn("reset", test_reset, dev);
	sim_spawn("driver", leave_and_join, NULL);
	sim_munmap(mm, PAGE(4));
	all_settled();
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, 1);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	tear_down();
}

static void bind_other(void *arg)
{
	struct mm_struct *other = test_mm();
	struct iommu_sva *bond = test_bind(dev, other);

	iommu_sva_unbind_device(bond);
	mmput(other);
}

EXPLORE(reset_against_bind)
{
	set_up();
	sim_spawn("bind", bind_other, NULL);
	sim_spawn("reset", test_reset, dev);
	all_settled();
	tear_down();
}

static void unmap(void *arg)
{
	sim_munmap(mm, BASE);
}

EXPLORE(reset_against_munmap_and_dma)
{
	set_up();
	sim_touch(mm, PAGE(1), true);
	vendor_dma(dev, pasid, PAGE(1), true);
	sim_spawn("munmap", unmap, NULL);
	sim_spawn("reset", test_reset, dev);
	sim_settle();
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(1), false));
	tear_down();
}

static bool is_flushed(void *arg)
{
	return dev->flushes;
}

static void fetch_and_unmap(void *arg)
{
	sim_block(is_flushed, NULL, "the flush of the ATC");
	SIM_CHECK(vendor_dma(dev, pasid, PAGE(1), true));
	sim_munmap(mm, BASE);
}

/* From then on a translation that the device fetches is like any other. */
EXPLORE(munmap_against_resume_with_an_emptied_atc)
{
	set_up();
	test_answered(vendor_ask(dev, pasid, 0, PAGE(1)), SUCCESS);
	sim_spawn("reset", test_reset, dev);
	sim_spawn("munmap", fetch_and_unmap, NULL);
	sim_settle();
	SIM_CHECK(!vendor_dma(dev, pasid, PAGE(1), false));
	tear_down();
}

static void put(void *arg)
{
	mmput(arg);
}

EXPLORE(reset_against_exit)
{
	set_up();
	ask_some(NULL);
	sim_spawn("exit", put, mm);
	sim_spawn("reset", test_reset, dev);
	all_settled();
	iommu_sva_unbind_device(sva);
}

static void drain(void *arg)
{
	iopf_drain_pasid(dev_of(dev), pasid);
}

EXPLORE(reset_against_drain)
{
	set_up();
	ask_some(NULL);
	sim_spawn("drain", drain, NULL);
	sim_spawn("reset", test_reset, dev);
	all_settled();
	tear_down();
}

static vm_fault_t sometimes_slow(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	if (sim_random(3))
		return sim_fault_map(vma, addr, flags);
	sim_fault_unlocked(vma, flags, 0);
	sim_point("slow fault");
	return VM_FAULT_RETRY;
}

static void storm(void *arg)
{
	for (u32 i = 0; i < 12; i++) {
		if (sim_random(3))
			vendor_post(dev, pasid, sim_random(2), PAGE(sim_random(4)), READ, false);
		vendor_post(dev, pasid, sim_random(2), PAGE(sim_random(PAGES)), READ, true);
		vendor_dma(dev, pasid, PAGE(sim_random(4)), sim_random(2));
	}
}

SHAKE(storm_with_resets)
{
	set_up();
	mm->fault = sometimes_slow;
	sim_spawn("device", storm, NULL);
	for (unsigned int i = 0; i < 3; i++) {
		test_reset(dev);
		if (!sim_random(3))
			sim_zap(mm, PAGE(0), PAGE(4));
	}
	tear_down();
}

/* The PCI core */

TEST(pause_is_said_by_several_and_over_at_once)
{
	set_up();
	iopf_pause(dev_of(dev), IOPF_PAUSE_RESET);
	iopf_pause(dev_of(dev), IOPF_PAUSE_RESET);
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_unpause(dev_of(dev), IOPF_PAUSE_RESET);
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, 1);
	iopf_unpause(dev_of(dev), IOPF_PAUSE_RESET);
	SIM_EQ(dev->flushes, 1);
	vendor_start(dev);
	test_answered(vendor_ask(dev, pasid, 0, PAGE(0)), SUCCESS);
	tear_down();
}

TEST(pause_within_a_driver_s_reset_does_not_end_it)
{
	set_up();
	iopf_quiesce_device(dev_of(dev));
	iopf_pause(dev_of(dev), IOPF_PAUSE_RESET);
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_unpause(dev_of(dev), IOPF_PAUSE_RESET);
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, 0);
	iopf_resume_device(dev_of(dev));
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	SIM_EQ(dev->flushes, 1);
	vendor_start(dev);
	tear_down();
}

static void no_drain(struct vendor_dev *of, ioasid_t of_pasid)
{
	sim_fail("a drain waits for an interrupt that may be off");
}

TEST(device_that_sleeps_is_not_told_of_invalidations)
{
	struct vendor_request *r;
	struct sim_door door;

	set_up();
	test_answered(vendor_ask(dev, pasid, 0, PAGE(1)), SUCCESS);
	test_shut(mm, &door);
	r = vendor_ask(dev, pasid, 1, PAGE(2));
	sim_settle();
	vendor_hooks.draining = no_drain;
	iopf_pause(dev_of(dev), IOPF_PAUSE_SLEEP);
	vendor_begin_reset(dev);
	sim_munmap(mm, BASE);
	vendor_end_reset(dev);
	iopf_unpause(dev_of(dev), IOPF_PAUSE_SLEEP);
	vendor_hooks.draining = NULL;
	SIM_EQ(dev->flushes, 1);
	vendor_start(dev);
	door.shut = false;
	test_unanswered(r);
	tear_down();
}

static void sleep_and_wake(void)
{
	iopf_pause(dev_of(dev), IOPF_PAUSE_SLEEP);
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	iopf_unpause(dev_of(dev), IOPF_PAUSE_SLEEP);
	vendor_start(dev);
}

/* A fault that outlasts the sleep, when its file server has been frozen, say */
TEST(drain_does_not_answer_what_a_sleep_made_the_device_forget)
{
	struct vendor_request *old, *again;
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	old = vendor_ask(dev, pasid, 1, PAGE(2));
	sim_settle();
	sleep_and_wake();
	again = vendor_ask(dev, pasid, 1, PAGE(3));
	iopf_drain_pasid(dev_of(dev), pasid);
	SIM_EQ(old->answers, 0);
	SIM_EQ(again->answers, 1);
	door.shut = false;
	test_unanswered(old);
	test_answered(vendor_ask(dev, pasid, 1, PAGE(3)), SUCCESS);
	tear_down();
}

TEST(time_limit_does_not_answer_what_a_sleep_made_the_device_forget)
{
	struct vendor_request *old;
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	SIM_EQ(iopf_set_timeout(dev_of(dev), 1000), 0);
	old = vendor_ask(dev, pasid, 1, PAGE(2));
	sim_settle();
	sleep_and_wake();
	sim_advance(1000);
	test_unanswered(old);
	door.shut = false;
	test_unanswered(old);
	tear_down();
}

TEST(partial_from_before_a_sleep_belongs_to_no_later_group)
{
	set_up();
	vendor_send(dev, pasid, 1, SLOT(1), READ, false);
	sleep_and_wake();
	test_answered(vendor_ask(dev, pasid, 1, PAGE(0)), SUCCESS);
	tear_down();
}

static bool flushed;

static void flush(void *arg)
{
	SIM_EQ(iopf_queue_flush_dev(dev_of(dev)), 0);
	flushed = true;
}

TEST(flush_does_not_wait_for_what_a_sleep_made_the_device_forget)
{
	struct sim_door door;

	set_up();
	flushed = false;
	test_shut(mm, &door);
	vendor_ask(dev, pasid, 1, PAGE(2));
	sim_settle();
	sim_spawn("flush", flush, NULL);
	sim_settle();
	SIM_CHECK(!flushed);
	sleep_and_wake();
	sim_settle();
	SIM_CHECK(flushed);
	door.shut = false;
	tear_down();
}

static void sleep_a_little(void *arg)
{
	sleep_and_wake();
}

EXPLORE(sleep_against_service)
{
	set_up();
	ask_some(NULL);
	sim_spawn("sleep", sleep_a_little, NULL);
	all_settled();
	for (u32 i = 0; i < 3; i++)
		test_answered(vendor_ask(dev, pasid, i, PAGE(i)), SUCCESS);
	tear_down();
}

/* A reset of a device that sleeps: what is still in the ring must not be taken for new. */
TEST(restored_device_is_drained_if_it_was_reset)
{
	set_up();
	drains = 0;
	vendor_hooks.draining = ask_in_drain;
	iopf_pause(dev_of(dev), IOPF_PAUSE_SLEEP);
	iopf_pause(dev_of(dev), IOPF_PAUSE_RESET);
	vendor_begin_reset(dev);
	vendor_end_reset(dev);
	SIM_EQ(drains, 0);
	iopf_unpause(dev_of(dev), IOPF_PAUSE_SLEEP);
	SIM_CHECK(iopf_device_in_reset(dev_of(dev)));
	iopf_unpause(dev_of(dev), IOPF_PAUSE_RESET);
	SIM_EQ(drains, 1);
	SIM_CHECK(!iopf_device_in_reset(dev_of(dev)));
	vendor_hooks.draining = NULL;
	vendor_start(dev);
	tear_down();
}

TEST(pause_without_a_queue_does_nothing)
{
	struct vendor_dev *plain = vendor_dev_new(vendor_iommu_new(0), 16, 4);

	iopf_pause(dev_of(plain), IOPF_PAUSE_RESET);
	SIM_CHECK(!iopf_device_in_reset(dev_of(plain)));
	iopf_unpause(dev_of(plain), IOPF_PAUSE_RESET);
	SIM_EQ(plain->flushes, 0);
}
