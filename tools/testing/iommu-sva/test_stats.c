// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics of bonds, devices and queues: each request is in one place, and the sums stay.
 */
#include "test.h"

#include "iopf-priv.h"

static struct vendor_dev *dev;
static struct mm_struct *mm;
static struct iommu_sva *sva;

static void set_up(void)
{
	dev = test_dev();
	mm = test_mm();
	sva = test_bind(dev, mm);
}

static void tear_down(void)
{
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static struct iopf_stats of_bond(u32 pasid)
{
	struct iopf_reading reading;

	SIM_EQ(iopf_read_bond(dev_of(dev), pasid, &reading), 0);
	return reading.stats;
}

static struct iopf_stats of_device(void)
{
	struct iopf_reading reading;

	SIM_EQ(iopf_read_stats(dev_of(dev), &reading), 0);
	return reading.stats;
}

static u64 majors_of_bond(u32 pasid)
{
	struct iopf_stats stats = of_bond(pasid);

	return atomic64_read(&stats.majors);
}

static u64 all_latencies(const struct iopf_stats *stats)
{
	u64 sum = 0;

	for (int i = 0; i < IOPF_LATENCIES; i++)
		sum += stats->latency[i];
	return sum;
}

static void expect_no_bond(u32 pasid)
{
	struct iopf_reading reading;

	SIM_EQ(iopf_read_bond(dev_of(dev), pasid, &reading), -ENOENT);
}

TEST(requests_count_for_their_own_bond)
{
	struct mm_struct *other = test_mm();
	struct iommu_sva *second;

	set_up();
	second = test_bind(dev, other);
	for (u32 i = 0; i < 3; i++)
		test_answered(vendor_ask(dev, 1, i, PAGE(i)), SUCCESS);
	test_answered(vendor_ask(dev, 2, 3, PAGE(0)), SUCCESS);
	SIM_EQ(of_bond(1).counts[IOPF_REQUESTS], 3);
	SIM_EQ(of_bond(1).counts[IOPF_SERVED], 3);
	SIM_EQ(of_bond(2).counts[IOPF_REQUESTS], 1);
	SIM_EQ(of_bond(2).counts[IOPF_SERVED], 1);
	SIM_EQ(of_device().counts[IOPF_REQUESTS], 4);
	SIM_EQ(of_device().counts[IOPF_SERVED], 4);
	iommu_sva_unbind_device(second);
	mmput(other);
	tear_down();
}

/* More than there are buckets, so that some share one */
TEST(bonds_whose_pasids_are_alike_are_told_apart)
{
	struct iommu_sva *bonds[(1 << IOPF_BOND_BITS) + 16];
	struct mm_struct *mms[ARRAY_SIZE(bonds)];

	dev = vendor_dev_new(vendor_iommu_new(0), ARRAY_SIZE(bonds) + 1, CREDITS);
	vendor_enable(dev);
	for (u32 i = 0; i < ARRAY_SIZE(bonds); i++) {
		mms[i] = test_mm();
		bonds[i] = test_bind(dev, mms[i]);
	}
	for (u32 i = 0; i < ARRAY_SIZE(bonds); i++)
		test_answered(vendor_ask(dev, iommu_sva_get_pasid(bonds[i]), 0, PAGE(0)), SUCCESS);
	for (u32 i = 0; i < ARRAY_SIZE(bonds); i++)
		iopf_drain_pasid(dev_of(dev), iommu_sva_get_pasid(bonds[i]));
	for (u32 i = 0; i < ARRAY_SIZE(bonds); i++) {
		SIM_EQ(of_bond(iommu_sva_get_pasid(bonds[i])).counts[IOPF_REQUESTS], 1);
		SIM_EQ(of_bond(iommu_sva_get_pasid(bonds[i])).drains, 1);
		iommu_sva_unbind_device(bonds[i]);
		mmput(mms[i]);
	}
}

TEST(partials_are_requests_of_their_bond)
{
	set_up();
	vendor_send(dev, 1, 0, PAGE(0), READ, false);
	vendor_send(dev, 1, 0, PAGE(1), READ, false);
	test_answered(vendor_ask(dev, 1, 0, PAGE(2)), SUCCESS);
	SIM_EQ(of_bond(1).counts[IOPF_REQUESTS], 3);
	SIM_EQ(of_bond(1).counts[IOPF_SERVED], 1);
	tear_down();
}

TEST(numbers_of_a_bond_stay_with_the_device)
{
	struct iopf_stats before, after;

	set_up();
	for (u32 i = 0; i < 3; i++)
		test_answered(vendor_ask(dev, 1, i, PAGE(i)), SUCCESS);
	test_answered(vendor_ask(dev, 1, 3, SLOT(1)), INVALID);
	before = of_device();
	tear_down();
	expect_no_bond(1);
	after = of_device();
	SIM_EQ(after.counts[IOPF_REQUESTS], 4);
	SIM_EQ(after.counts[IOPF_SERVED], 3);
	SIM_EQ(after.counts[IOPF_FAILED], 1);
	SIM_EQ(after.reasons[IOMMU_SVA_FAULT_NO_MAPPING], 1);
	SIM_EQ(all_latencies(&after), all_latencies(&before));
	SIM_EQ(after.batches, before.batches);
	/* Before it was detached, and after. */
	SIM_EQ(after.drains, before.drains + 2);
}

/* The next bond may be at the same place in memory. */
TEST(bond_that_has_ended_is_not_the_one_of_the_latest_request)
{
	struct iopf_device *idev;

	set_up();
	test_answered(vendor_ask(dev, 1, 0, PAGE(0)), SUCCESS);
	idev = iopf_device_get(dev_of(dev));
	SIM_CHECK(idev->recent_handle == &sva->handle);
	tear_down();
	SIM_CHECK(!idev->recent_handle);
	iopf_device_put(idev);
}

TEST(next_owner_of_a_pasid_starts_at_zero)
{
	set_up();
	test_answered(vendor_ask(dev, 1, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	sva = test_bind(dev, mm);
	SIM_EQ(of_bond(iommu_sva_get_pasid(sva)).counts[IOPF_REQUESTS], 0);
	SIM_EQ(of_bond(iommu_sva_get_pasid(sva)).drains, 0);
	SIM_EQ(of_device().counts[IOPF_REQUESTS], 1);
	tear_down();
}

TEST(failures_count_by_reason)
{
	set_up();
	sim_mmap(mm, SLOT(2), 1, VM_READ);
	test_answered(vendor_ask(dev, 1, 0, SLOT(1)), INVALID);
	test_answered(vendor_send(dev, 1, 1, SLOT(2), WRITE, true), INVALID);
	test_answered(vendor_send(dev, 1, 2, SLOT(2), WRITE, true), INVALID);
	test_answered(vendor_ask(dev, 1, 3, PAGE(0)), SUCCESS);
	SIM_EQ(of_bond(1).counts[IOPF_FAILED], 3);
	SIM_EQ(of_bond(1).reasons[IOMMU_SVA_FAULT_NO_MAPPING], 1);
	SIM_EQ(of_bond(1).reasons[IOMMU_SVA_FAULT_NO_ACCESS], 2);
	SIM_EQ(of_bond(1).reasons[IOMMU_SVA_FAULT_NO_PAGE], 0);
	SIM_EQ(of_bond(1).reasons[0], 0);
	tear_down();
}

TEST(reason_is_not_that_of_the_request_before)
{
	struct vendor_request *r[3];

	set_up();
	sim_mmap(mm, SLOT(2), 1, VM_READ);
	r[0] = vendor_ask(dev, 1, 0, SLOT(1));
	r[1] = vendor_send(dev, 1, 1, SLOT(2), WRITE, true);
	r[2] = vendor_ask(dev, 1, 2, PAGE(0));
	test_answered(r[0], INVALID);
	test_answered(r[1], INVALID);
	test_answered(r[2], SUCCESS);
	SIM_EQ(of_bond(1).reasons[IOMMU_SVA_FAULT_NO_MAPPING], 1);
	SIM_EQ(of_bond(1).reasons[IOMMU_SVA_FAULT_NO_ACCESS], 1);
	tear_down();
}

TEST(request_after_exit_counts_for_the_bond)
{
	set_up();
	mmput(mm);
	test_answered(vendor_ask(dev, 1, 0, BASE), INVALID);
	SIM_EQ(of_bond(1).counts[IOPF_EXITED], 1);
	SIM_EQ(of_bond(1).counts[IOPF_FAILED], 0);
	iommu_sva_unbind_device(sva);
}

TEST(request_that_a_drain_answers_counts_for_the_bond)
{
	struct vendor_request *r;

	set_up();
	r = vendor_ask(dev, 1, 0, BASE);
	iopf_drain_pasid(dev_of(dev), 1);
	test_answered(r, INVALID);
	SIM_EQ(of_bond(1).counts[IOPF_DRAINED], 1);
	SIM_EQ(of_bond(1).drains, 1);
	SIM_EQ(of_bond(1).latency[0], 1);
	tear_down();
}

TEST(drain_of_another_pasid_counts_for_the_device)
{
	set_up();
	iopf_drain_pasid(dev_of(dev), 3);
	SIM_EQ(of_bond(1).drains, 0);
	SIM_EQ(of_device().drains, 1);
	tear_down();
}

TEST(requests_for_one_page_are_coalesced)
{
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	for (u32 i = 0; i < 4; i++)
		vendor_ask(dev, 1, i, BASE);
	sim_settle();
	SIM_EQ(of_bond(1).coalesced, 3);
	SIM_EQ(of_bond(1).counts[IOPF_SERVED], 0);
	door.shut = false;
	sim_settle();
	SIM_EQ(of_bond(1).counts[IOPF_SERVED], 4);
	SIM_EQ(of_device().coalesced, 3);
	tear_down();
}

TEST(groups_that_wait_are_pending)
{
	struct mm_struct *other = test_mm();
	struct iommu_sva *second;
	struct iopf_reading reading;
	struct sim_door door;

	set_up();
	second = test_bind(dev, other);
	test_shut(mm, &door);
	for (u32 i = 0; i < 3; i++)
		vendor_ask(dev, 1, i, PAGE(i));
	vendor_send(dev, 1, 3, PAGE(3), READ, false);
	sim_settle();
	SIM_EQ(iopf_read_bond(dev_of(dev), 1, &reading), 0);
	SIM_EQ(reading.pending, 3);
	SIM_EQ(iopf_read_bond(dev_of(dev), 2, &reading), 0);
	SIM_EQ(reading.pending, 0);
	SIM_EQ(iopf_read_stats(dev_of(dev), &reading), 0);
	SIM_EQ(reading.pending, 3);
	SIM_EQ(reading.partials, 1);
	door.shut = false;
	sim_settle();
	SIM_EQ(iopf_read_bond(dev_of(dev), 1, &reading), 0);
	SIM_EQ(reading.pending, 0);
	iommu_sva_unbind_device(second);
	mmput(other);
	tear_down();
}

TEST(batch_is_counted_once)
{
	struct vendor_request *r[3];

	set_up();
	for (u32 i = 0; i < 3; i++)
		r[i] = vendor_ask(dev, 1, i, PAGE(i));
	test_all_answered(r, 3, SUCCESS);
	SIM_EQ(of_bond(1).batches, 1);
	test_answered(vendor_ask(dev, 1, 3, PAGE(3)), SUCCESS);
	SIM_EQ(of_bond(1).batches, 2);
	tear_down();
}

/* Served @ticks after the report */
static int bucket_of(u64 ticks)
{
	struct iopf_stats before = of_bond(1), after;
	struct vendor_request *r;
	struct sim_door door;
	int found = -1;

	test_shut(mm, &door);
	r = vendor_ask(dev, 1, 0, BASE);
	sim_settle();
	sim_ticks += ticks;
	door.shut = false;
	test_answered(r, SUCCESS);
	after = of_bond(1);
	for (int i = 0; i < IOPF_LATENCIES; i++) {
		if (after.latency[i] == before.latency[i])
			continue;
		SIM_EQ(after.latency[i], before.latency[i] + 1);
		SIM_EQ(found, -1);
		found = i;
	}
	sim_zap(mm, BASE, BASE + PAGE_SIZE);
	return found;
}

TEST(latency_is_from_report_to_answer)
{
	set_up();
	SIM_EQ(bucket_of(0), 0);
	SIM_EQ(bucket_of(1), 0);
	SIM_EQ(bucket_of(2), 1);
	SIM_EQ(bucket_of(3), 1);
	SIM_EQ(bucket_of(1024), 10);
	SIM_EQ(bucket_of(1ULL << 60), 60);
	/* The clock of the CPU that answers is behind. */
	SIM_EQ(bucket_of(-5), 0);
	SIM_EQ(iopf_clock_to_ns(3), 3000);
	tear_down();
}

static vm_fault_t fault_from_storage(struct vm_area_struct *vma, unsigned long addr,
				     unsigned int flags)
{
	return sim_fault_map(vma, addr, flags) | VM_FAULT_MAJOR;
}

TEST(major_faults_are_counted)
{
	set_up();
	test_answered(vendor_ask(dev, 1, 0, PAGE(0)), SUCCESS);
	SIM_EQ(majors_of_bond(1), 0);
	mm->fault = fault_from_storage;
	test_answered(vendor_ask(dev, 1, 1, PAGE(1)), SUCCESS);
	mm->fault = NULL;
	SIM_EQ(majors_of_bond(1), 1);
	tear_down();
}

TEST(requests_beyond_the_allowance_count_for_the_bond)
{
	struct sim_door door;

	set_up();
	test_shut(mm, &door);
	for (u32 i = 0; i < CREDITS + SPARE; i++)
		vendor_ask(dev, 1, i, BASE);
	sim_settle();
	test_answered(vendor_ask(dev, 1, 100, BASE), INVALID);
	SIM_EQ(of_bond(1).counts[IOPF_REQUESTS], CREDITS + SPARE + 1);
	SIM_EQ(of_bond(1).counts[IOPF_OVERRUN], 1);
	door.shut = false;
	sim_settle();
	tear_down();
}

TEST(requests_without_a_bond_count_for_no_bond)
{
	set_up();
	test_answered(vendor_ask(dev, 5, 0, BASE), INVALID);
	SIM_EQ(of_bond(1).counts[IOPF_REQUESTS], 0);
	SIM_EQ(of_device().counts[IOPF_REQUESTS], 0);
	tear_down();
}

TEST(resets_are_counted)
{
	set_up();
	iopf_quiesce_device(dev_of(dev));
	iopf_resume_device(dev_of(dev));
	SIM_EQ(of_device().resets, 1);
	tear_down();
}

static struct iopf_stats of_past(void)
{
	return to_own_queue(dev->iommu->queue)->past;
}

/* The numbers of a device are those since it joined its queue, which has the ones from before. */
TEST(bond_outlasts_the_device_s_queue)
{
	struct iopf_stats first;

	set_up();
	test_answered(vendor_ask(dev, 1, 0, PAGE(0)), SUCCESS);
	vendor_disable(dev);
	SIM_EQ(of_bond(1).counts[IOPF_SERVED], 1);
	first = of_past();
	SIM_EQ(first.counts[IOPF_SERVED], 1);
	vendor_enable(dev);
	SIM_EQ(of_device().counts[IOPF_SERVED], 0);
	test_answered(vendor_ask(dev, 1, 1, PAGE(1)), SUCCESS);
	SIM_EQ(of_bond(1).counts[IOPF_SERVED], 2);
	SIM_EQ(of_device().counts[IOPF_SERVED], 1);
	tear_down();
	SIM_EQ(of_device().counts[IOPF_SERVED], 1);
	SIM_EQ(of_past().counts[IOPF_SERVED], 1);
}

TEST(device_that_comes_and_goes_is_counted_once)
{
	struct iopf_stats past, stats;

	set_up();
	for (u32 i = 0; i < 3; i++) {
		test_answered(vendor_ask(dev, 1, i, PAGE(i)), SUCCESS);
		vendor_disable(dev);
		past = of_past();
		SIM_EQ(past.counts[IOPF_REQUESTS], i + 1);
		SIM_EQ(past.counts[IOPF_SERVED], i + 1);
		SIM_EQ(past.batches, of_bond(1).batches);
		SIM_EQ(all_latencies(&past), i + 1);
		SIM_EQ(atomic64_read(&past.majors), (s64)majors_of_bond(1));
		vendor_enable(dev);
	}
	stats = of_device();
	SIM_EQ(all_latencies(&stats), 0);
	tear_down();
	vendor_disable(dev);
	past = of_past();
	SIM_EQ(past.counts[IOPF_SERVED], 3);
	SIM_EQ(all_latencies(&past), 3);
}

/*
 * What statistics may not do from a report to its response. These locks are the queue's, the
 * bond's and the process's; make scale compares how often they are taken with and without.
 */
static bool is_lock_of_request(const char *class)
{
	static const char * const locks[] = {
		"idev->lock", "idev->fp.lock", "svc->lock", "servers_lock", "root_lock",
		"bond->lock", "page_table_lock", "pte_lock", "mmap_lock", "vm_lock",
		"workqueue's pool",
	};

	for (int i = 0; i < ARRAY_SIZE(locks); i++)
		if (strstr(class, locks[i]))
			return true;
	return false;
}

static void check_lock(const void *lock, const char *class)
{
	if (!is_lock_of_request(class))
		sim_fail("%s is taken for a page request", class);
}

TEST(statistics_take_no_lock_and_no_memory_for_a_request)
{
	unsigned int allocs;

	set_up();
	allocs = sim_nr_allocs();
	sim_taken = check_lock;
	test_answered(vendor_ask(dev, 1, 0, PAGE(0)), SUCCESS);
	test_answered(vendor_ask(dev, 1, 1, SLOT(1)), INVALID);
	test_answered(vendor_ask(dev, 1, 2, PAGE(0)), SUCCESS);
	sim_taken = NULL;
	SIM_EQ(sim_nr_allocs(), allocs);
	SIM_EQ(of_bond(1).counts[IOPF_REQUESTS], 3);
	tear_down();
}

static void unbind_it(void *arg)
{
	iommu_sva_unbind_device(sva);
}

/* The statistics that count a group must stay until its answer, whichever thread gives that. */
EXPLORE(statistics_outlast_the_requests_of_their_bond)
{
	struct vendor_request *r[2];
	struct iopf_stats stats;

	set_up();
	sim_spawn("unbind", unbind_it, NULL);
	r[0] = vendor_ask(dev, 1, 0, PAGE(0));
	r[1] = vendor_ask(dev, 1, 1, SLOT(1));
	sim_settle();
	SIM_CHECK(r[0]->answers && r[1]->answers);
	expect_no_bond(1);
	stats = of_device();
	SIM_EQ(stats.counts[IOPF_SERVED] + stats.counts[IOPF_FAILED] + stats.counts[IOPF_DRAINED],
	       stats.counts[IOPF_REQUESTS]);
	SIM_EQ(all_latencies(&stats), stats.counts[IOPF_REQUESTS]);
	mmput(mm);
}
