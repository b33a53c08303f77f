// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bench: what bonds cost a process that unmaps memory, and what binds cost beside many others
 *
 * Commands are those that the software IOMMU gets. Its commands name ranges of any size, so they
 * say how often the core invalidates, and for how many caches. In how many blocks VT-d has to name
 * such a range is calculated: on this core by what its back-end calls, on a base it is always one,
 * however large: x86 announces more pages than its CPUs flush one by one, 33, as everything there.
 */
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>

#include "sva_bench.h"
#if SVA_CORE
#include "../iommu-sva-blocks.h"
#endif

#define SCALE_ROUNDS		15
#define SCALE_ATCS		8
#define SCALE_BONDS		64
#define SCALE_MMS		10000
#define UNALIGNED_PAGES		64
#define REGION_PAGES		320
#define HUGE_REGION		BIT(40)
#define HUGE_STEP		BIT(36)
/* What descriptors are calculated for: the same in each boot, and not aligned */
#define SOME_ADDRESS		0x7e1230001000UL

static struct soft_endpoint *scale_endpoint(struct kunit *test, struct soft_iommu *iommu, bool ats)
{
	const struct soft_endpoint_config config = { .pasid_bits = 20, .no_ats = !ats };

	return sva_add_endpoint(test, iommu, &config, ats);
}

/* Memory of a process, a page of which is touched in each @step bytes */
struct scale_memory {
	unsigned long addr;
	size_t len;
	size_t step;
};

static long scale_map(void *data)
{
	struct scale_memory *m = data;

	m->addr = vm_mmap(NULL, 0, m->len, PROT_READ | PROT_WRITE,
			  MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE, 0);
	if (IS_ERR_VALUE(m->addr))
		return m->addr;
	for (size_t offset = 0; offset < m->len; offset += m->step)
		if (put_user(1, (u8 __user *)(m->addr + offset)))
			return -EFAULT;
	return 0;
}

/* Returns what it took. */
static long scale_unmap(void *data)
{
	struct scale_memory *m = data;
	u64 begin = get_cycles();
	int ret = vm_munmap(m->addr, m->len);

	return ret ?: get_cycles() - begin;
}

/* Invalidations, and waits for them */
struct scale_counts {
	u64 commands;
	u64 waits;
};

static struct scale_counts scale_counts(struct soft_iommu *iommu)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(iommu, &stats);
	return (struct scale_counts){ stats.cmd_iotlb + stats.cmd_atc, stats.cmd_wait };
}

/* Those of one munmap() */
static struct scale_counts counts_of_munmap(struct kunit *test, struct soft_iommu *iommu,
					    struct sva_proc *proc, unsigned long addr, size_t len)
{
	struct scale_counts before = scale_counts(iommu), after;

	KUNIT_ASSERT_EQ(test, sva_proc_munmap(proc, addr, len), 0L);
	after = scale_counts(iommu);
	return (struct scale_counts){
		after.commands - before.commands, after.waits - before.waits,
	};
}

/* Descriptors of VT-d, for its own cache and for all ATCs */
static u64 vtd_descriptors(unsigned long start, unsigned long end)
{
	u64 blocks = 1;
#if SVA_CORE
	static const struct sva_costs costs = {
		.max_order = SVA_ORDER_ALL, .pages = SVA_COST_PAGES, .all = SVA_COST_ALL,
	};
	struct sva_blocks b = sva_make_blocks(start, end, &costs);

	while (sva_next_block(&b))
		blocks++;
#endif
	return blocks * (1 + SCALE_ATCS);
}

static void munmap_of_unaligned_pages(struct kunit *test, struct soft_iommu *iommu,
				      struct sva_proc *proc)
{
	struct scale_memory m = { .len = REGION_PAGES * PAGE_SIZE, .step = PAGE_SIZE };
	const size_t len = UNALIGNED_PAGES * PAGE_SIZE;
	u64 commands[BENCH_ROUNDS], waits[BENCH_ROUNDS], descriptors[BENCH_ROUNDS];

	for (unsigned int i = 0; i < BENCH_ROUNDS; i++) {
		struct scale_counts counts;
		unsigned long start;

		KUNIT_ASSERT_EQ(test, sva_proc_call(proc, scale_map, &m), 0L);
		start = round_up(m.addr, 2 * len) + (2 * i + 1) * PAGE_SIZE;
		counts = counts_of_munmap(test, iommu, proc, start, len);
		commands[i] = counts.commands;
		waits[i] = counts.waits;
		start = SOME_ADDRESS + 2 * i * PAGE_SIZE;
		descriptors[i] = vtd_descriptors(start, start + len);
		KUNIT_ASSERT_EQ(test, sva_proc_munmap(proc, m.addr, m.len), 0L);
	}
	bench_report(test, "munmap_64_commands", bench_median(commands, BENCH_ROUNDS), 1,
		     "commands");
	bench_report(test, "munmap_64_waits", bench_median(waits, BENCH_ROUNDS), 1, "waits");
	bench_report(test, "munmap_64_descriptors", bench_median(descriptors, BENCH_ROUNDS), 1,
		     "descriptors");
}

/* Of most of a terabyte, from an odd page to an odd page */
static void munmap_of_a_terabyte(struct kunit *test, struct soft_iommu *iommu,
				 struct sva_proc *proc)
{
	struct scale_memory m = { .len = HUGE_REGION, .step = HUGE_STEP };
	const size_t len = HUGE_REGION - 2 * PAGE_SIZE;
	struct scale_counts counts;

	KUNIT_ASSERT_EQ(test, sva_proc_call(proc, scale_map, &m), 0L);
	counts = counts_of_munmap(test, iommu, proc, m.addr + PAGE_SIZE, len);
	KUNIT_ASSERT_EQ(test, sva_proc_munmap(proc, m.addr, m.len), 0L);
	bench_report(test, "munmap_terabyte_commands", counts.commands, 1, "commands");
	bench_report(test, "munmap_terabyte_descriptors",
		     vtd_descriptors(SOME_ADDRESS, SOME_ADDRESS + len), 1, "descriptors");
}

void bench_commands(struct kunit *test)
{
	struct soft_iommu *iommu = sva_add_iommu(test, &(struct soft_iommu_config){ });
	struct sva_proc *proc = sva_proc_start(test);

	for (unsigned int i = 0; i < SCALE_ATCS; i++)
		iopf_bind(test, scale_endpoint(test, iommu, true), proc);
	munmap_of_unaligned_pages(test, iommu, proc);
	munmap_of_a_terabyte(test, iommu, proc);
}

/* One page, by a process whose devices have no ATS */
void bench_bonds(struct kunit *test)
{
	struct scale_memory m = { .len = PAGE_SIZE, .step = PAGE_SIZE };
	struct soft_iommu *iommu = sva_add_iommu(test, &(struct soft_iommu_config){ });
	struct sva_proc *proc = sva_proc_start(test);
	u64 ticks[SCALE_ROUNDS];
	unsigned int bonds = 0;
	char name[24];

	for (unsigned int nr = 1; nr <= SCALE_BONDS; nr *= SCALE_BONDS) {
		for (; bonds < nr; bonds++)
			iopf_bind(test, scale_endpoint(test, iommu, false), proc);
		for (unsigned int i = 0; i < SCALE_ROUNDS; i++) {
			long ret;

			KUNIT_ASSERT_EQ(test, sva_proc_call(proc, scale_map, &m), 0L);
			ret = sva_proc_call(proc, scale_unmap, &m);
			KUNIT_ASSERT_GT(test, ret, 0L);
			ticks[i] = ret;
		}
		scnprintf(name, sizeof(name), "munmap_page_%u", nr);
		bench_report(test, name, bench_median(ticks, SCALE_ROUNDS), 1, "instructions");
	}
}

/* What reclaim does for each page of a process: the core is told of everything. */
void bench_invalidate_all(struct kunit *test)
{
	struct soft_iommu *iommu = sva_add_iommu(test, &(struct soft_iommu_config){ });
	struct sva_proc *proc = sva_proc_start(test);
	struct mm_struct *mm = sva_proc_mm(proc);
	u64 ticks[SCALE_ROUNDS], begin;

	iopf_bind(test, scale_endpoint(test, iommu, false), proc);
	for (unsigned int i = 0; i < SCALE_ROUNDS; i++) {
		begin = get_cycles();
		mmu_notifier_arch_invalidate_secondary_tlbs(mm, 0, -1UL);
		ticks[i] = get_cycles() - begin;
	}
	bench_report(test, "invalidate_all", bench_median(ticks, SCALE_ROUNDS), 1,
		     "instructions");
}

/* A device and a process that are bound already */
void bench_sharing(struct kunit *test)
{
	struct soft_iommu *iommu = sva_add_iommu(test, &(struct soft_iommu_config){ });
	struct iopf_bond *bond = iopf_bind(test, scale_endpoint(test, iommu, true), NULL);
	struct device *dev = soft_endpoint_dev(bond->ep);
	u64 binds[SCALE_ROUNDS], unbinds[SCALE_ROUNDS];

	for (unsigned int i = 0; i < SCALE_ROUNDS; i++) {
		u64 begin = get_cycles(), bound;
		struct iommu_sva *sva;

		sva = iommu_sva_bind_device(dev, sva_proc_mm(bond->proc));
		bound = get_cycles();
		KUNIT_ASSERT_PTR_EQ(test, sva, bond->sva);
		binds[i] = bound - begin;
		begin = get_cycles();
		iommu_sva_unbind_device(sva);
		unbinds[i] = get_cycles() - begin;
	}
	bench_report(test, "rebind", bench_median(binds, SCALE_ROUNDS), 1, "instructions");
	bench_report(test, "unbind_shared", bench_median(unbinds, SCALE_ROUNDS), 1,
		     "instructions");
}

/* What the exit of a process waits for, with @nr devices that have an ATC */
static u64 waits_of_exit(struct kunit *test, unsigned int nr)
{
	struct soft_iommu *iommu = sva_add_iommu(test, &(struct soft_iommu_config){ });
	struct sva_proc *proc = sva_proc_start(test);
	struct iopf_bond *bonds[SCALE_BONDS];
	u64 before;

	for (unsigned int i = 0; i < nr; i++)
		bonds[i] = iopf_bind(test, scale_endpoint(test, iommu, true), proc);
	before = scale_counts(iommu).waits;
	sva_proc_exit(proc);
	before = scale_counts(iommu).waits - before;
	for (unsigned int i = 0; i < nr; i++)
		iopf_unbind(bonds[i]);
	return before;
}

void bench_exit_of_bonds(struct kunit *test)
{
	bench_report(test, "exit_waits_1", waits_of_exit(test, 1), 1, "waits");
	bench_report(test, "exit_waits_64", waits_of_exit(test, SCALE_BONDS), 1, "waits");
}

/* Address spaces without a process, which is all that a bind wants */
struct scale_mms {
	struct mm_struct *mm[SCALE_MMS];
	struct iommu_sva *sva[SCALE_MMS];
	unsigned int nr;
};

/* Returns how many are bound. */
static unsigned int scale_bind(struct scale_mms *mms, struct device *dev, unsigned int nr)
{
	for (; mms->nr < nr; mms->nr++) {
		struct mm_struct *mm = mm_alloc();
		struct iommu_sva *sva;

		if (!mm)
			break;
		sva = iommu_sva_bind_device(dev, mm);
		if (IS_ERR(sva)) {
			mmput(mm);
			break;
		}
		mms->mm[mms->nr] = mm;
		mms->sva[mms->nr] = sva;
		cond_resched();
	}
	return mms->nr;
}

static void scale_unbind(struct scale_mms *mms)
{
	while (mms->nr--) {
		iommu_sva_unbind_device(mms->sva[mms->nr]);
		mmput(mms->mm[mms->nr]);
		cond_resched();
	}
	kvfree(mms);
}

static u64 bind_beside(struct kunit *test, struct device *dev, struct mm_struct *mm)
{
	u64 ticks[SCALE_ROUNDS];

	for (unsigned int i = 0; i < SCALE_ROUNDS; i++) {
		u64 begin = get_cycles();
		struct iommu_sva *sva = iommu_sva_bind_device(dev, mm);

		ticks[i] = get_cycles() - begin;
		if (IS_ERR(sva)) {
			KUNIT_FAIL(test, "bind: %ld", PTR_ERR(sva));
			return 0;
		}
		iommu_sva_unbind_device(sva);
		/* What is freed later is freed now. */
		rcu_barrier();
	}
	return bench_median(ticks, SCALE_ROUNDS);
}

void bench_many_mms(struct kunit *test)
{
	struct soft_iommu *iommu = sva_add_iommu(test, &(struct soft_iommu_config){ });
	struct device *dev = soft_endpoint_dev(scale_endpoint(test, iommu, true));
	struct mm_struct *mm = sva_proc_mm(sva_proc_start(test));
	struct scale_mms *mms = kvzalloc(sizeof(*mms), GFP_KERNEL);
	char name[24];

	KUNIT_ASSERT_NOT_NULL(test, mms);
	for (unsigned int nr = 1; nr <= SCALE_MMS; nr *= SCALE_MMS) {
		KUNIT_EXPECT_EQ(test, scale_bind(mms, dev, nr), nr);
		rcu_barrier();
		scnprintf(name, sizeof(name), "bind_mms_%u", nr);
		bench_report(test, name, bind_beside(test, dev, mm), 1, "instructions");
	}
	scale_unbind(mms);
}
