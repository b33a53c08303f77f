// SPDX-License-Identifier: GPL-2.0-only
/*
 * The time limit: sim_advance() decides when it is over.
 */
#include "test.h"

static struct vendor_dev *dev;
static struct mm_struct *mm;
static struct iommu_sva *sva;
static u32 pasid;
static struct sim_door door;

static void set_up(unsigned int limit)
{
	dev = test_dev();
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	test_shut(mm, &door);
	SIM_EQ(iopf_set_timeout(dev_of(dev), limit), 0);
}

static void tear_down(void)
{
	door.shut = false;
	sim_settle();
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static u64 counted(enum iopf_count what)
{
	u64 counts[IOPF_NR_COUNTS];

	SIM_EQ(iopf_read_counts(dev_of(dev), counts), 0);
	return counts[what];
}

TEST(no_limit_by_default)
{
	struct vendor_request *r;

	dev = test_dev();
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	test_shut(mm, &door);
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_settle();
	sim_advance(3600 * 1000);
	test_unanswered(r);
	tear_down();
	SIM_EQ(r->code, SUCCESS);
}

TEST(answered_when_the_time_is_over_and_not_before)
{
	struct vendor_request *r;

	set_up(100);
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_settle();
	sim_advance(99);
	test_unanswered(r);
	sim_advance(1);
	test_answered(r, INVALID);
	SIM_EQ(counted(IOPF_TIMED_OUT), 1);
	SIM_EQ(counted(IOPF_LATE), 0);
	door.shut = false;
	sim_settle();
	SIM_EQ(counted(IOPF_LATE), 1);
	SIM_EQ(counted(IOPF_SERVED), 0);
	tear_down();
}

TEST(each_group_has_its_own_time)
{
	struct vendor_request *r[3];

	set_up(100);
	for (u32 i = 0; i < 3; i++) {
		r[i] = vendor_ask(dev, pasid, i, PAGE(i));
		sim_settle();
		sim_advance(40);
	}
	/* At 120: the first is late already. */
	test_answered(r[0], INVALID);
	test_unanswered(r[1]);
	sim_advance(19);
	test_unanswered(r[1]);
	sim_advance(1);
	test_answered(r[1], INVALID);
	test_unanswered(r[2]);
	sim_advance(40);
	test_answered(r[2], INVALID);
	SIM_EQ(counted(IOPF_TIMED_OUT), 3);
	tear_down();
}

TEST(limit_comes_to_groups_that_are_pending)
{
	struct vendor_request *r;

	set_up(0);
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_settle();
	sim_advance(50);
	SIM_EQ(iopf_set_timeout(dev_of(dev), 100), 0);
	sim_advance(49);
	test_unanswered(r);
	sim_advance(1);
	test_answered(r, INVALID);
	tear_down();
}

TEST(limit_is_lowered)
{
	struct vendor_request *r;

	set_up(1000);
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_settle();
	sim_advance(50);
	SIM_EQ(iopf_set_timeout(dev_of(dev), 50), 0);
	test_answered(r, INVALID);
	tear_down();
}

TEST(limit_is_raised)
{
	struct vendor_request *r;

	set_up(50);
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_settle();
	SIM_EQ(iopf_set_timeout(dev_of(dev), 100), 0);
	sim_advance(60);
	test_unanswered(r);
	sim_advance(40);
	test_answered(r, INVALID);
	tear_down();
}

TEST(limit_is_switched_off)
{
	struct vendor_request *r;

	set_up(50);
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_settle();
	SIM_EQ(iopf_set_timeout(dev_of(dev), 0), 0);
	sim_advance(1000);
	test_unanswered(r);
	tear_down();
	SIM_EQ(r->code, SUCCESS);
}

/* The timer is set for the next group when the first has been served in time. */
TEST(limit_watches_group_after_group)
{
	struct vendor_request *r;

	set_up(100);
	door.shut = false;
	for (u32 i = 0; i < 5; i++) {
		test_answered(vendor_ask(dev, pasid, i, PAGE(i)), SUCCESS);
		sim_advance(30);
		sim_settle();
	}
	door.shut = true;
	r = vendor_ask(dev, pasid, 7, PAGE(7));
	sim_settle();
	sim_advance(99);
	test_unanswered(r);
	sim_advance(1);
	test_answered(r, INVALID);
	SIM_EQ(counted(IOPF_TIMED_OUT), 1);
	SIM_EQ(counted(IOPF_SERVED), 5);
	tear_down();
}

TEST(shortest_limit_is_not_none)
{
	struct vendor_request *r;

	set_up(1);
	r = vendor_ask(dev, pasid, 0, BASE);
	test_unanswered(r);
	sim_advance(1);
	test_answered(r, INVALID);
	tear_down();
}

TEST(limit_of_a_device_on_no_queue_is_enodev)
{
	struct vendor_dev *plain = vendor_dev_new(vendor_iommu_new(0), 16, 4);

	SIM_EQ(iopf_set_timeout(dev_of(plain), 10), -ENODEV);
	plain->pdev.dev.iommu = NULL;
	SIM_EQ(iopf_set_timeout(dev_of(plain), 10), -ENODEV);
	plain->pdev.dev.iommu = plain->param;
}

static void set_limit_too_late(struct vendor_request *request, u32 code)
{
	SIM_EQ(iopf_set_timeout(&request->dev->pdev.dev, 10), -ENODEV);
}

/* The device is still found while it is being removed: a timer that is set now would outlive it. */
TEST(limit_of_a_device_that_is_leaving_is_enodev)
{
	struct vendor_request *r;

	set_up(0);
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_settle();
	vendor_hooks.responding = set_limit_too_late;
	vendor_disable(dev);
	vendor_hooks.responding = NULL;
	SIM_EQ(r->answers, 1);
	tear_down();
}

TEST(limit_leaves_other_devices_alone)
{
	struct vendor_request *r, *other;
	struct vendor_dev *beside;
	struct iommu_sva *bond;

	set_up(100);
	beside = test_dev_beside(dev);
	bond = test_bind(beside, mm);
	r = vendor_ask(dev, pasid, 0, PAGE(0));
	other = vendor_ask(beside, pasid, 0, PAGE(1));
	sim_settle();
	sim_advance(100);
	test_answered(r, INVALID);
	test_unanswered(other);
	door.shut = false;
	test_answered(other, SUCCESS);
	iommu_sva_unbind_device(bond);
	tear_down();
}

static struct iommu_sva_fault heard;
static unsigned int nr_heard;

static void hear(struct iommu_sva_listener *listener, const struct iommu_sva_fault *fault)
{
	heard = *fault;
	nr_heard++;
}

TEST(timeout_is_told_once)
{
	struct iommu_sva_listener listener = { .notify = hear };

	set_up(100);
	nr_heard = 0;
	SIM_EQ(iommu_sva_listen(sva, &listener), 0);
	vendor_ask(dev, pasid, 0, PAGE(3));
	sim_settle();
	sim_advance(100);
	sim_settle();
	SIM_EQ(nr_heard, 1);
	SIM_EQ(heard.reason, IOMMU_SVA_FAULT_TIMEOUT);
	SIM_EQ(heard.addr, PAGE(3));
	/* The late result is a failure; the core drops it. */
	mm->fault = NULL;
	sim_munmap(mm, BASE);
	door.shut = false;
	sim_settle();
	SIM_EQ(nr_heard, 1);
	iommu_sva_unlisten(sva, &listener);
	tear_down();
}

/* Races: the limit is over in the middle of something else. */

static struct vendor_request *asked[3];

static void ask_some(void)
{
	for (u32 i = 0; i < 3; i++)
		asked[i] = vendor_ask(dev, pasid, i, PAGE(i));
}

static void time_is_over(void *arg)
{
	sim_advance(100);
}

static void each_is_answered_once(void)
{
	door.shut = false;
	sim_settle();
	for (u32 i = 0; i < 3; i++)
		SIM_EQ(asked[i]->answers, 1);
}

/* The limit ends while another task, too, answers or ends the bond. */
static void limit_against(const char *name, void (*fn)(void *arg))
{
	set_up(100);
	ask_some();
	sim_spawn("time", time_is_over, NULL);
	sim_spawn(name, fn, NULL);
	each_is_answered_once();
}

EXPLORE(limit_against_service)
{
	set_up(100);
	door.shut = false;
	ask_some();
	sim_spawn("time", time_is_over, NULL);
	each_is_answered_once();
	tear_down();
}

static void drain(void *arg)
{
	iopf_drain_pasid(dev_of(dev), pasid);
}

EXPLORE(limit_against_drain)
{
	limit_against("drain", drain);
	tear_down();
}

static void remove_and_return(void *arg)
{
	vendor_disable(dev);
	vendor_enable(dev);
}

EXPLORE(limit_against_removal)
{
	limit_against("removal", remove_and_return);
	tear_down();
}

static void unbind(void *arg)
{
	iommu_sva_unbind_device(sva);
}

EXPLORE(limit_against_unbind)
{
	limit_against("unbind", unbind);
	mmput(mm);
}

EXPLORE(limit_against_reset)
{
	set_up(100);
	ask_some();
	sim_spawn("time", time_is_over, NULL);
	sim_spawn("reset", test_reset, dev);
	each_is_answered_once();
	tear_down();
}

static void change_limit(void *arg)
{
	iopf_set_timeout(dev_of(dev), 0);
	iopf_set_timeout(dev_of(dev), 200);
}

EXPLORE(limit_against_another_limit)
{
	set_up(100);
	ask_some();
	sim_spawn("time", time_is_over, NULL);
	sim_spawn("limit", change_limit, NULL);
	sim_settle();
	sim_advance(200);
	each_is_answered_once();
	tear_down();
}

static bool limit_is_over;

/* Ends the limit at the check of the process, before the service has the group. */
static bool time_passes(const char *what)
{
	if (limit_is_over || list_empty(&dev->param->fault_param->faults) ||
	    strcmp(what, IS_ENABLED(CONFIG_MEMCG) ? "rcu_read_unlock" : "atomic"))
		return false;
	limit_is_over = true;
	sim_advance(100);
	return true;
}

TEST(limit_comes_before_the_service_has_the_group)
{
	struct vendor_request *r;

	set_up(100);
	limit_is_over = false;
	sim_policy.preempt = time_passes;
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_policy.preempt = NULL;
	SIM_CHECK(limit_is_over);
	test_answered(r, INVALID);
	SIM_EQ(counted(IOPF_TIMED_OUT), 1);
	SIM_EQ(mm->faults, 0);
	tear_down();
}

static struct sim_door wire;

static void respond_through_wire(struct vendor_request *request, u32 code)
{
	sim_pass(&wire);
}

/*
 * The response is on its way, and the reporter has let go of the group: a device that has the
 * response uses as many credits again as the group had pages.
 */
TEST(large_group_that_is_over_leaves_room_for_another)
{
	struct vendor_request *r, *next;
	unsigned int pages = SPARE + CREDITS, i;

	dev = vendor_dev_new(vendor_iommu_new(0), 16, pages);
	vendor_enable(dev);
	mm = test_mm();
	sva = test_bind(dev, mm);
	pasid = iommu_sva_get_pasid(sva);
	test_shut(mm, &door);
	SIM_EQ(iopf_set_timeout(dev_of(dev), 100), 0);
	wire.shut = true;
	vendor_hooks.responding = respond_through_wire;
	limit_is_over = false;
	for (i = 1; i < pages; i++)
		vendor_send(dev, pasid, 0, BASE, IOMMU_FAULT_PERM_READ, false);
	sim_policy.preempt = time_passes;
	r = vendor_ask(dev, pasid, 0, BASE);
	sim_policy.preempt = NULL;
	sim_settle();
	SIM_CHECK(limit_is_over);
	SIM_EQ(wire.waiting, 1);
	for (i = 1; i < pages; i++)
		vendor_send(dev, pasid, 1, BASE, IOMMU_FAULT_PERM_READ, false);
	next = vendor_ask(dev, pasid, 1, BASE);
	SIM_EQ(counted(IOPF_LOST), 0);
	SIM_EQ(counted(IOPF_OVERRUN), 0);
	wire.shut = false;
	test_answered(r, INVALID);
	tear_down();
	SIM_EQ(next->code, SUCCESS);
}
