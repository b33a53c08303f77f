// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strays: devices that go on with a PASID after its unbind, or that make PASIDs up
 *
 * They are answered, logged and counted; no process is given the PASID as long as they come, and a
 * device with too many of them is bound no more. The quarantine of a case lasts for hours, or ends
 * at once: nothing here depends on how fast the machine is.
 */
#include <linux/mm.h>

#include "iopf_kunit.h"

#define OK	IOMMU_PAGE_RESP_SUCCESS
#define BAD	IOMMU_PAGE_RESP_INVALID

#define LONG_MS	(4 * 3600 * 1000)

/* What one device may have, and all of them */
#define STRAYS_PER_DEVICE	8
#define STRAYS			64

/* Of no bond: tests begin with small numbers */
#define MADE_UP	5000

static int stray_init(struct kunit *test)
{
	struct sva_fixture *fix;
	int ret = iopf_fixture_init(test);

	if (ret)
		return ret;
	fix = test->priv;
	soft_iommu_take_all(fix->iommu, true);
	sva_quarantine(test, LONG_MS);
	return 0;
}

static struct soft_endpoint *narrow(struct kunit *test, unsigned int bits)
{
	struct soft_endpoint_config config = { .pasid_bits = bits };
	struct sva_fixture *fix = test->priv;

	return sva_add_endpoint(test, fix->iommu, &config, true);
}

/* From now on: what is in quarantine stays there until the next stray. */
static void set_quarantine(struct kunit *test, const char *ms)
{
	sva_sysfs_put(test, "module/iommu_sva/parameters/quarantine_ms", ms);
}

/* A page request with a PASID that is not bound must be answered at once. */
static void stray(struct kunit *test, struct soft_endpoint *ep, u32 pasid)
{
	KUNIT_ASSERT_EQ(test, sva_ask(ep, pasid, 0x10000, IOPF_READ, 1), 0);
	KUNIT_EXPECT_EQ(test, soft_pri_wait(ep, pasid, 1, IOPF_LONG_MS), BAD);
}

static int try_bind(struct soft_endpoint *ep, struct sva_proc *proc)
{
	struct iommu_sva *sva = iommu_sva_bind_device(soft_endpoint_dev(ep), sva_proc_mm(proc));

	if (IS_ERR(sva))
		return PTR_ERR(sva);
	iommu_sva_unbind_device(sva);
	return 0;
}

/* A PASID that @ep was bound to. Where it stays with the mm the case can't be made. */
static u32 used_pasid(struct kunit *test, struct soft_endpoint *ep)
{
	struct iopf_bond *bond;

	if (sva_pasid_stays_with_mm())
		kunit_skip(test, "the PASID stays with the mm");
	bond = iopf_bind(test, ep, NULL);
	iopf_unbind(bond);
	return bond->pasid;
}

/* Page requests */

static void page_request_after_unbind_is_answered_and_counted(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4);
	u32 pasid = used_pasid(test, ep);

	for (unsigned int i = 1; i <= 3; i++) {
		stray(test, ep, pasid);
		KUNIT_EXPECT_EQ(test, iopf_counted(ep, IOPF_STRAY), i);
	}
	KUNIT_EXPECT_EQ(test, iopf_counted(ep, IOPF_REQUESTS), 3);
	KUNIT_EXPECT_EQ(test, iopf_counted(ep, IOPF_FAILED), 0);
}

static bool is_logged(struct kunit *test, struct soft_endpoint *ep, unsigned int before)
{
	stray(test, ep, MADE_UP);
	return sva_log_lines(test, soft_endpoint_dev(ep)) > before;
}

/* Others may have used up the lines of this moment. */
static void stray_is_logged_with_its_device(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	unsigned int before = sva_log_lines(test, fix->dev[0]);

	KUNIT_EXPECT_TRUE(test, sva_becomes(is_logged(test, fix->ep[0], before)));
}

static void log_of_strays_is_bounded(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	unsigned int before = sva_log_lines(test, fix->dev[0]), lines;
	unsigned long start = jiffies;

	for (unsigned int i = 0; i < 500; i++)
		stray(test, fix->ep[0], MADE_UP + i);
	lines = sva_log_lines(test, fix->dev[0]) - before;
	/* At most ten in five seconds, and one that counts the others. */
	KUNIT_EXPECT_LE(test, lines, 11 * (2 + (jiffies - start) / (5 * HZ)));
}

static void partial_of_a_stray_wants_no_answer(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		.pasid = MADE_UP,
		.grpid = 1,
		.perm = IOPF_READ,
	};

	KUNIT_EXPECT_EQ(test, soft_pri_send(fix->ep[0], &prm), 0);
	stray(test, fix->ep[0], MADE_UP);
	KUNIT_EXPECT_EQ(test, iopf_counted(fix->ep[0], IOPF_REQUESTS), 2);
	KUNIT_EXPECT_EQ(test, iopf_responses(fix->iommu), 1);
}

/* The field of the PASID says nothing then; it may well name a bond. */
static void request_without_pasid_puts_none_in_quarantine(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4);
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
		.pasid = 3,
		.grpid = 1,
		.perm = IOPF_READ,
	};

	KUNIT_EXPECT_EQ(test, soft_pri_send(ep, &prm), 0);
	KUNIT_EXPECT_EQ(test, soft_pri_wait(ep, 3, 1, IOPF_LONG_MS), BAD);
	KUNIT_EXPECT_TRUE(test, sva_can_have_pasid(ep, 3));
}

/* DMA */

static void refused_dma_is_a_stray(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4);
	u32 pasid = used_pasid(test, ep);
	u64 value;

	KUNIT_EXPECT_EQ(test, soft_dma_try(ep, pasid, 0x10000, false, &value, 8), -EFAULT);
	KUNIT_EXPECT_EQ(test, iopf_counted(ep, IOPF_STRAY), 1);
	KUNIT_EXPECT_EQ(test, soft_dma_untranslated(ep, pasid, 0x10000, true, &value, 8), -EFAULT);
	KUNIT_EXPECT_EQ(test, soft_ats_translate(ep, pasid, 0x10000, IOPF_READ), 0);
	KUNIT_EXPECT_EQ(test, iopf_counted(ep, IOPF_STRAY), 3);
	KUNIT_EXPECT_EQ(test, iopf_counted(ep, IOPF_REQUESTS), 0);
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, pasid));
}

/* A user's bad address is no mistake of the driver, nor is what comes after the exit. */
static void dma_of_a_bond_is_no_stray(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	unsigned int lines = sva_log_lines(test, fix->dev[0]);
	u64 value;

	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, 0x10000);
	KUNIT_EXPECT_EQ(test, soft_dma_untranslated(fix->ep[0], scene.pasid, 0x10000, false,
						    &value, 8), -EFAULT);
	sva_proc_exit(scene.proc);
	SVA_EXPECT_REFUSED(test, fix->ep[0], scene.pasid, scene.addr);
	KUNIT_EXPECT_EQ(test, iopf_counted(fix->ep[0], IOPF_STRAY), 0);
	KUNIT_EXPECT_EQ(test, sva_log_lines(test, fix->dev[0]), lines);
	iommu_sva_unbind_device(scene.sva);
}

/* Quarantine */

static void stray_pasid_is_not_given_out(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4);
	u32 pasid = used_pasid(test, ep);

	KUNIT_EXPECT_TRUE(test, sva_can_have_pasid(ep, pasid));
	stray(test, ep, pasid);
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, pasid));
	KUNIT_EXPECT_TRUE(test, sva_pasids_free(test, ep, 14));
}

/* Nor to devices that have never used it, while there is another one: it is a number for all. */
static void stray_pasid_is_the_last_for_other_devices(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 2), *other = narrow(test, 2);
	struct iopf_bond *bonds[3];

	stray(test, ep, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(bonds); i++)
		bonds[i] = iopf_bind(test, other, NULL);
	KUNIT_EXPECT_NE(test, bonds[0]->pasid, 2);
	KUNIT_EXPECT_NE(test, bonds[1]->pasid, 2);
	KUNIT_EXPECT_EQ(test, bonds[2]->pasid, 2);
	/* What @ep does with it is not that process's. */
	KUNIT_EXPECT_EQ(test, try_bind(ep, bonds[2]->proc), -EBUSY);
	KUNIT_EXPECT_EQ(test, try_bind(ep, bonds[0]->proc), 0);
}

static void quarantine_ends_when_the_device_keeps_still(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4);

	set_quarantine(test, "20");
	stray(test, ep, 3);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_can_have_pasid(ep, 3)));
}

/* Counted from the last stray, not from the first. */
static void each_stray_begins_the_quarantine_anew(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4);

	set_quarantine(test, "1");
	stray(test, ep, 3);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_can_have_pasid(ep, 3)));
	stray(test, ep, 3);
	sva_sysfs_put(test, "module/iommu_sva/parameters/quarantine_ms", "14400000");
	stray(test, ep, 3);
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, 3));
	set_quarantine(test, "1");
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, 3));
	stray(test, ep, 3);
	KUNIT_EXPECT_TRUE(test, sva_becomes(sva_can_have_pasid(ep, 3)));
}

static void stray_of_one_device_is_a_bond_of_another(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4), *other = narrow(test, 4);
	struct iopf_bond *bond = iopf_bind(test, ep, NULL);
	struct iopf_bond *second = iopf_bind(test, other, bond->proc);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	iopf_unbind(second);
	stray(test, other, second->pasid);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
	KUNIT_EXPECT_EQ(test, iopf_counted(ep, IOPF_STRAY), 0);
	iopf_unbind(bond);
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(other, bond->pasid));
}

/* While the mm has its PASID it keeps it, and a driver that binds it has stopped the device. */
static void process_may_be_bound_again(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4), *other = narrow(test, 4);
	struct iopf_bond *bond = iopf_bind(test, ep, NULL), *again;
	struct iopf_bond *second = iopf_bind(test, other, bond->proc);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	iopf_unbind(second);
	stray(test, other, second->pasid);
	again = iopf_bind(test, other, bond->proc);
	KUNIT_EXPECT_EQ(test, again->pasid, bond->pasid);
	KUNIT_EXPECT_EQ(test, iopf_ask(again, 0, mem, IOPF_READ), OK);
}

static void process_whose_pasid_has_gone_gets_another(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4);
	struct iopf_bond *bond = iopf_bind(test, ep, NULL), *again;

	iopf_unbind(bond);
	stray(test, ep, bond->pasid);
	for (unsigned int i = 0; i < 20; i++) {
		again = iopf_bind(test, ep, bond->proc);
		if (!sva_pasid_stays_with_mm())
			KUNIT_EXPECT_NE(test, again->pasid, bond->pasid);
		iopf_unbind(again);
	}
}

static void all_pasids_in_use_or_quarantine_is_enospc(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 2);
	struct iopf_bond *bonds[2];
	struct sva_proc *proc = sva_proc_start(test);
	u32 left = 1 + 2 + 3;

	for (unsigned int i = 0; i < ARRAY_SIZE(bonds); i++) {
		bonds[i] = iopf_bind(test, ep, NULL);
		left -= bonds[i]->pasid;
	}
	stray(test, ep, left);
	KUNIT_EXPECT_EQ(test, try_bind(ep, proc), -ENOSPC);
	set_quarantine(test, "1");
	stray(test, ep, left);
	KUNIT_EXPECT_TRUE(test, sva_becomes(!try_bind(ep, proc)));
}

/* A device that makes PASIDs up */

static void stray_many(struct kunit *test, struct soft_endpoint *ep, u32 first, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		stray(test, ep, first + i);
}

static void device_with_too_many_strays_is_not_bound(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);

	stray_many(test, fix->ep[0], MADE_UP, STRAYS_PER_DEVICE);
	KUNIT_EXPECT_EQ(test, try_bind(fix->ep[0], proc), 0);
	stray(test, fix->ep[0], MADE_UP + STRAYS_PER_DEVICE);
	KUNIT_EXPECT_EQ(test, try_bind(fix->ep[0], proc), -EBUSY);
	KUNIT_EXPECT_EQ(test, try_bind(fix->ep[1], proc), 0);
	/* The latest one that finds no room decides how long. */
	set_quarantine(test, "1");
	stray(test, fix->ep[0], MADE_UP + STRAYS_PER_DEVICE);
	KUNIT_EXPECT_TRUE(test, sva_becomes(!try_bind(fix->ep[0], proc)));
}

static void bonds_of_a_blocked_device_go_on(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct iopf_bond *bond = iopf_bind(test, fix->ep[0], NULL);
	unsigned long mem = sva_proc_map(bond->proc, PAGE_SIZE);

	stray_many(test, fix->ep[0], MADE_UP, STRAYS_PER_DEVICE + 1);
	KUNIT_EXPECT_EQ(test, try_bind(fix->ep[0], sva_proc_start(test)), -EBUSY);
	KUNIT_EXPECT_EQ(test, iopf_ask(bond, 0, mem, IOPF_READ), OK);
	SVA_EXPECT_READS(test, bond->ep, bond->pasid, mem, 0);
}

/* The same PASID ten times over is one stray PASID. */
static void strays_are_counted_by_pasid(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;

	for (unsigned int i = 0; i < 3 * STRAYS_PER_DEVICE; i++)
		stray(test, fix->ep[0], MADE_UP + i % STRAYS_PER_DEVICE);
	KUNIT_EXPECT_EQ(test, try_bind(fix->ep[0], sva_proc_start(test)), 0);
}

static void room_of_a_quarantine_that_is_over_is_used_again(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test);

	set_quarantine(test, "0");
	stray_many(test, fix->ep[0], MADE_UP, 4 * STRAYS_PER_DEVICE);
	KUNIT_EXPECT_TRUE(test, sva_becomes(!try_bind(fix->ep[0], proc)));
	set_quarantine(test, "14400000");
	stray_many(test, fix->ep[0], MADE_UP, STRAYS_PER_DEVICE);
	KUNIT_EXPECT_EQ(test, try_bind(fix->ep[0], proc), 0);
}

/* When the room for all devices is used up, it is the next one that pays. */
static void many_devices_with_strays(struct kunit *test)
{
	struct sva_proc *proc = sva_proc_start(test);
	struct soft_endpoint *ep[STRAYS / STRAYS_PER_DEVICE + 1];

	for (unsigned int i = 0; i < ARRAY_SIZE(ep); i++)
		ep[i] = narrow(test, 20);
	for (unsigned int i = 0; i < ARRAY_SIZE(ep); i++)
		stray_many(test, ep[i], MADE_UP, i < ARRAY_SIZE(ep) - 1 ? STRAYS_PER_DEVICE : 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(ep) - 1; i++)
		KUNIT_EXPECT_EQ(test, try_bind(ep[i], proc), 0);
	KUNIT_EXPECT_EQ(test, try_bind(ep[ARRAY_SIZE(ep) - 1], proc), -EBUSY);
}

static void strays_go_with_their_device(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 4), *other = narrow(test, 4);
	struct sva_fixture *fix = test->priv;

	stray(test, other, 3);
	stray(test, ep, 4);
	stray_many(test, ep, MADE_UP, STRAYS_PER_DEVICE);
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, 4));
	iopf_queue_remove_device(soft_iommu_iopf_queue(fix->iommu), soft_endpoint_dev(ep));
	KUNIT_EXPECT_TRUE(test, sva_can_have_pasid(other, 4));
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(other, 3));
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(soft_iommu_iopf_queue(fix->iommu),
						    soft_endpoint_dev(ep)), 0);
	KUNIT_EXPECT_EQ(test, try_bind(ep, sva_proc_start(test)), 0);
}

/* debugfs */

static void strays_are_shown(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	char text[512], want[64];

	stray(test, fix->ep[0], MADE_UP);
	stray(test, fix->ep[0], MADE_UP);
	KUNIT_EXPECT_GT(test, sva_sysfs_get(test, "kernel/debug/iommu-sva/strays", text,
					    sizeof(text)), 0L);
	scnprintf(want, sizeof(want), "%u %s 2 ", MADE_UP, dev_name(fix->dev[0]));
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, want), "%s", text);
	scnprintf(want, sizeof(want), "kernel/debug/iommu-sva/devices/%s", dev_name(fix->dev[0]));
	KUNIT_EXPECT_GT(test, sva_sysfs_get(test, want, text, sizeof(text)), 0L);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, "requests 2\n"), "%s", text);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, "stray 2\n"), "%s", text);
}

static long leave_fn(void *ep)
{
	struct device *dev = soft_endpoint_dev(ep);
	struct iommu_fault_param *fp = rcu_dereference_protected(dev->iommu->fault_param, true);

	iopf_queue_remove_device(fp->queue, dev);
	return 0;
}

static long report_stray_fn(void *ep)
{
	iopf_report_stray(soft_endpoint_dev(ep), MADE_UP, 0);
	return 0;
}

/* It has been found on its queue, which is sending its last answers: no list may name it later. */
static void stray_of_a_device_that_is_leaving_is_forgotten(struct kunit *test)
{
	struct iopf_slow s = iopf_make_slow(test, 0);
	struct sva_fixture *fix = test->priv;
	struct sva_job *leave, *report;
	char text[512] = "", name[64];
	struct sva_hold *hold;

	iopf_ask_slow(&s, 1);
	hold = sva_hold(test, fix->iommu, SOFT_AT_RESPONSE, fix->dev[0]);
	leave = sva_job(test, leave_fn, fix->ep[0]);
	KUNIT_ASSERT_TRUE(test, sva_hold_caught(hold));
	report = sva_job(test, report_stray_fn, fix->ep[0]);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(report));
	sva_hold_release(hold);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(leave));
	KUNIT_EXPECT_TRUE(test, sva_job_ends(report));
	KUNIT_EXPECT_GE(test, sva_sysfs_get(test, "kernel/debug/iommu-sva/strays", text,
					    sizeof(text)), 0L);
	scnprintf(name, sizeof(name), "%u %s ", MADE_UP, dev_name(fix->dev[0]));
	KUNIT_EXPECT_NULL_MSG(test, strstr(text, name), "%s", text);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(soft_iommu_iopf_queue(fix->iommu),
						    fix->dev[0]), 0);
}

static struct kunit_case sva_stray_cases[] = {
	KUNIT_CASE(page_request_after_unbind_is_answered_and_counted),
	KUNIT_CASE(stray_is_logged_with_its_device),
	KUNIT_CASE(log_of_strays_is_bounded),
	KUNIT_CASE(partial_of_a_stray_wants_no_answer),
	KUNIT_CASE(request_without_pasid_puts_none_in_quarantine),
	KUNIT_CASE(refused_dma_is_a_stray),
	KUNIT_CASE(dma_of_a_bond_is_no_stray),
	KUNIT_CASE(stray_pasid_is_not_given_out),
	KUNIT_CASE(stray_pasid_is_the_last_for_other_devices),
	KUNIT_CASE(quarantine_ends_when_the_device_keeps_still),
	KUNIT_CASE(each_stray_begins_the_quarantine_anew),
	KUNIT_CASE(stray_of_one_device_is_a_bond_of_another),
	KUNIT_CASE(process_may_be_bound_again),
	KUNIT_CASE(process_whose_pasid_has_gone_gets_another),
	KUNIT_CASE(all_pasids_in_use_or_quarantine_is_enospc),
	KUNIT_CASE(device_with_too_many_strays_is_not_bound),
	KUNIT_CASE(bonds_of_a_blocked_device_go_on),
	KUNIT_CASE(strays_are_counted_by_pasid),
	KUNIT_CASE(room_of_a_quarantine_that_is_over_is_used_again),
	KUNIT_CASE(many_devices_with_strays),
	KUNIT_CASE(strays_go_with_their_device),
	KUNIT_CASE(strays_are_shown),
	KUNIT_CASE(stray_of_a_device_that_is_leaving_is_forgotten),
	{}
};

static struct kunit_suite sva_stray_suite = {
	.name = "iommu_sva_stray",
	.init = stray_init,
	.exit = iopf_fixture_exit,
	.test_cases = sva_stray_cases,
};

kunit_test_suite(sva_stray_suite);

MODULE_DESCRIPTION("KUnit tests for PASIDs that are used without being bound");
MODULE_LICENSE("GPL");
