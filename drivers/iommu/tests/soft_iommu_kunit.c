// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the software IOMMU: caches, translation, invalidations, PASID entries, hooks
 *
 * What endpoints ask for, and what becomes of it, is in soft_endpoint_kunit.c.
 */
#include <linux/iopoll.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>
#include <linux/swap.h>

#include "soft_iommu_kunit.h"

/* The CPU touches it first. */
static void bench_populate(struct bench *bench, unsigned long addr)
{
	u64 zero = 0;

	KUNIT_ASSERT_EQ(bench->test, 0, sva_proc_write(bench->proc, addr, &zero, sizeof(zero)));
}

static struct iommu_sva *bench_try_bind(struct bench *bench)
{
	return iommu_sva_bind_device(bench->dev, sva_proc_mm(bench->proc));
}

/* One read past the ATC. */
static int bench_read_untranslated(struct bench *bench, unsigned long addr)
{
	u64 word;

	return soft_dma_untranslated(bench->ep, bench->pasid, addr, false, &word, sizeof(word));
}

/* Caches by themselves */

static struct soft_cache *make_cache(struct kunit *test, unsigned int sets, unsigned int ways)
{
	const struct soft_cache_config config = { .sets = sets, .ways = ways };
	struct soft_cache *cache = soft_cache_alloc(&config, 0, 0);

	KUNIT_ASSERT_NOT_NULL(test, cache);
	return cache;
}

static void add_page(struct soft_cache *cache, ioasid_t pasid, unsigned long va)
{
	const struct soft_line line = {
		.pasid = pasid, .shift = PAGE_SHIFT, .va = va, .perm = SOFT_RW, .val = va * 3,
	};

	soft_cache_add(cache, &line);
}

static bool has_page(struct soft_cache *cache, ioasid_t pasid, unsigned long va)
{
	struct soft_line line;

	return soft_cache_find(cache, pasid, va, &line) && line.va == (va & PAGE_MASK) &&
	       line.val == line.va * 3;
}

static void line_is_found_until_it_is_dropped(struct kunit *test)
{
	struct soft_cache *cache = make_cache(test, 4, 2);

	add_page(cache, 1, SZ_1M);
	KUNIT_EXPECT_TRUE(test, has_page(cache, 1, SZ_1M + 5));
	KUNIT_EXPECT_FALSE(test, has_page(cache, 2, SZ_1M));
	KUNIT_EXPECT_FALSE(test, has_page(cache, 1, SZ_1M + PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 1, soft_cache_drop(cache, 1, SZ_1M, SZ_1M));
	KUNIT_EXPECT_FALSE(test, has_page(cache, 1, SZ_1M));
	soft_cache_free(cache);
}

static void full_set_replaces_the_least_recently_used_line(struct kunit *test)
{
	struct soft_cache *cache = make_cache(test, 4, 2);
	const unsigned long a = SZ_1M, b = a + 4 * PAGE_SIZE, c = b + 4 * PAGE_SIZE;

	add_page(cache, 1, a);
	add_page(cache, 1, b);
	KUNIT_EXPECT_TRUE(test, has_page(cache, 1, a));
	add_page(cache, 1, c);
	KUNIT_EXPECT_TRUE(test, has_page(cache, 1, a));
	KUNIT_EXPECT_FALSE(test, has_page(cache, 1, b));
	KUNIT_EXPECT_TRUE(test, has_page(cache, 1, c));
	KUNIT_EXPECT_EQ(test, 2, soft_cache_lines(cache));
	soft_cache_free(cache);
}

static void cache_holds_no_more_than_its_geometry(struct kunit *test)
{
	struct soft_cache *cache = make_cache(test, 4, 2);

	for (int i = 0; i < 100; i++)
		add_page(cache, 1, i * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 8, soft_cache_lines(cache));
	for (int i = 92; i < 100; i++)
		KUNIT_EXPECT_TRUE(test, has_page(cache, 1, i * PAGE_SIZE));
	soft_cache_free(cache);
}

static void drop_takes_what_overlaps_and_nothing_else(struct kunit *test)
{
	struct soft_cache *cache = make_cache(test, 4, 8);

	for (int i = 0; i < 6; i++)
		add_page(cache, 1, i * PAGE_SIZE);
	add_page(cache, 2, 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 3, soft_cache_drop(cache, 1, 2 * PAGE_SIZE - 1, 4 * PAGE_SIZE - 1));
	KUNIT_EXPECT_TRUE(test, has_page(cache, 1, 0));
	KUNIT_EXPECT_FALSE(test, has_page(cache, 1, PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, has_page(cache, 1, 3 * PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, has_page(cache, 1, 4 * PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, has_page(cache, 2, 2 * PAGE_SIZE));
	soft_cache_free(cache);
}

static void huge_line_goes_with_any_of_its_bytes(struct kunit *test)
{
	struct soft_cache *cache = make_cache(test, 4, 2);
	const struct soft_line huge = { .pasid = 1, .shift = PMD_SHIFT, .va = PMD_SIZE };
	struct soft_line line;

	soft_cache_add(cache, &huge);
	add_page(cache, 1, 2 * PMD_SIZE);
	KUNIT_EXPECT_TRUE(test, soft_cache_find(cache, 1, PMD_SIZE + PMD_SIZE / 2, &line));
	KUNIT_EXPECT_EQ(test, PMD_SHIFT, line.shift);
	KUNIT_EXPECT_EQ(test, 1, soft_cache_drop(cache, 1, 2 * PMD_SIZE - 1, 2 * PMD_SIZE - 1));
	KUNIT_EXPECT_FALSE(test, soft_cache_find(cache, 1, PMD_SIZE, &line));
	KUNIT_EXPECT_TRUE(test, has_page(cache, 1, 2 * PMD_SIZE));
	soft_cache_free(cache);
}

/* Translation and DMA */

static void missing_page_is_asked_for_and_the_bytes_arrive(struct kunit *test)
{
	struct bench *bench = &the_bench;
	static u8 out[3 * PAGE_SIZE], in[3 * PAGE_SIZE];
	unsigned long addr = bench->addr + 100;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = i * 7;
	KUNIT_EXPECT_EQ(test, 0, soft_dma_write(bench->ep, bench->pasid, addr, out, sizeof(out)));
	KUNIT_EXPECT_EQ(test, 4, bench_stats(bench).prq_requests);
	KUNIT_EXPECT_EQ(test, 4, bench_stats(bench).responses[IOMMU_PAGE_RESP_SUCCESS]);
	KUNIT_ASSERT_EQ(test, 0, sva_proc_read(bench->proc, addr, in, sizeof(in)));
	KUNIT_EXPECT_MEMEQ(test, out, in, sizeof(in));

	memset(in, 0, sizeof(in));
	KUNIT_EXPECT_EQ(test, 0, soft_dma_read(bench->ep, bench->pasid, addr, in, sizeof(in)));
	KUNIT_EXPECT_MEMEQ(test, out, in, sizeof(in));
	KUNIT_EXPECT_EQ(test, 4, bench_stats(bench).prq_requests);
}

static void cmpxchg_swaps_and_returns_what_was_there(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 old = 0, now;

	KUNIT_EXPECT_EQ(test, 0, soft_dma_cmpxchg(bench->ep, bench->pasid, bench->addr, &old, 7));
	KUNIT_EXPECT_EQ(test, 0, old);
	old = 5;
	KUNIT_EXPECT_EQ(test, 0, soft_dma_cmpxchg(bench->ep, bench->pasid, bench->addr, &old, 9));
	KUNIT_EXPECT_EQ(test, 7, old);
	KUNIT_ASSERT_EQ(test, 0, sva_proc_read(bench->proc, bench->addr, &now, sizeof(now)));
	KUNIT_EXPECT_EQ(test, 7, now);
}

static void second_access_is_served_by_the_atc(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats before, after;

	bench_touch(bench, bench->addr);
	before = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, 0, bench_read(bench, bench->addr + 8));
	after = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, before.ats_requests, after.ats_requests);
	KUNIT_EXPECT_EQ(test, before.atc_hits + 1, after.atc_hits);
}

static void second_translation_is_served_by_the_iotlb(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats before, after;

	bench_touch(bench, bench->addr);
	before = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, 0, bench_read_untranslated(bench, bench->addr));
	after = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, before.walks, after.walks);
	KUNIT_EXPECT_EQ(test, before.iotlb_hits + 1, after.iotlb_hits);
}

static void neighbour_is_found_through_the_paging_structure_cache(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats before, after;
	unsigned long addr;

	addr = ALIGN(bench_map(bench, 2 * PMD_SIZE, PROT_READ | PROT_WRITE), PMD_SIZE);

	bench_touch(bench, addr);
	bench_populate(bench, addr + PAGE_SIZE);
	before = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, 0, bench_read(bench, addr + PAGE_SIZE));
	after = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, before.walks + 1, after.walks);
	KUNIT_EXPECT_EQ(test, before.psc_hits + 1, after.psc_hits);
	KUNIT_EXPECT_EQ(test, before.entries_read + 1, after.entries_read);
}

static void small_atc_forgets_and_asks_again(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_endpoint *ep;
	struct iommu_sva *sva;
	u64 requests, word;

	ep = bench_add(bench, (struct soft_endpoint_config){ .atc = { 1, 2 } });
	sva = bench_bind(bench, ep);
	for (int i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, 0, soft_dma_write(ep, bench->pasid,
							bench->addr + i * PAGE_SIZE, &word, 8));
	requests = bench_stats(bench).ats_requests;
	KUNIT_EXPECT_EQ(test, 0, soft_dma_try(ep, bench->pasid, bench->addr + 2 * PAGE_SIZE,
					      false, &word, 8));
	KUNIT_EXPECT_EQ(test, requests, bench_stats(bench).ats_requests);
	KUNIT_EXPECT_EQ(test, 0, soft_dma_try(ep, bench->pasid, bench->addr, false, &word, 8));
	KUNIT_EXPECT_EQ(test, requests + 1, bench_stats(bench).ats_requests);
	iommu_sva_unbind_device(sva);
	bench_destroy(bench, ep);
}

static pte_t *bench_pte(struct bench *bench, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(sva_proc_mm(bench->proc), addr);
	pud_t *pud = pud_offset(p4d_offset(pgd, addr), addr);

	return pte_offset_kernel(pmd_offset(pud, addr), addr);
}

/* As after a replacement of everything: the next access walks. */
static void bench_forget(struct bench *bench)
{
	soft_cache_drop(bench->iommu->iotlb, bench->pasid, 0, ~0UL);
	soft_cache_drop(bench->ep->atc, bench->pasid, 0, ~0UL);
}

static void walk_sets_accessed_and_dirty(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct mm_struct *mm = sva_proc_mm(bench->proc);
	u64 requests, word = 1;
	pte_t *ptep, pte;

	bench_touch(bench, bench->addr);
	requests = bench_stats(bench).prq_requests;
	ptep = bench_pte(bench, bench->addr);
	/* Not in place: arm64 objects to that if another task has the mm, too. */
	pte = ptep_get_and_clear(mm, bench->addr, ptep);
	set_pte_at(mm, bench->addr, ptep, pte_mkclean(pte_mkold(pte)));
	bench_forget(bench);

	KUNIT_EXPECT_EQ(test, 0, bench_read(bench, bench->addr));
	KUNIT_EXPECT_TRUE(test, pte_young(ptep_get(ptep)));
	KUNIT_EXPECT_FALSE(test, pte_dirty(ptep_get(ptep)));
	KUNIT_EXPECT_EQ(test, 0, soft_dma_try(bench->ep, bench->pasid, bench->addr, true, &word,
					      sizeof(word)));
	KUNIT_EXPECT_TRUE(test, pte_dirty(ptep_get(ptep)));
	KUNIT_EXPECT_EQ(test, requests, bench_stats(bench).prq_requests);
}

static void read_only_memory_is_not_written(struct kunit *test)
{
	struct bench *bench = &the_bench;
	unsigned long addr = bench_map(bench, PAGE_SIZE, PROT_READ);
	u64 word = 1;

	KUNIT_EXPECT_EQ(test, 0, soft_dma_read(bench->ep, bench->pasid, addr, &word, 8));
	KUNIT_EXPECT_EQ(test, 0, word);
	KUNIT_EXPECT_EQ(test, -EFAULT, soft_dma_write(bench->ep, bench->pasid, addr, &word, 8));
	KUNIT_EXPECT_EQ(test, IOMMU_FAULT_PERM_READ,
			soft_ats_translate(bench->ep, bench->pasid, addr, IOMMU_FAULT_PERM_READ) &
			SOFT_RW);
	KUNIT_EXPECT_EQ(test, 0, soft_ats_translate(bench->ep, bench->pasid, addr, SOFT_RW));
}

static void unmapped_address_is_refused(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	bench_unmap(bench, bench->addr, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, -EFAULT, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word,
						     8));
	KUNIT_EXPECT_EQ(test, 1, bench_stats(bench).responses[IOMMU_PAGE_RESP_INVALID]);
}

static void pasid_without_entry_is_refused_by_the_iommu(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	KUNIT_EXPECT_EQ(test, -EFAULT, soft_dma_read(bench->ep, bench->pasid + 1, bench->addr,
						     &word, 8));
	KUNIT_EXPECT_EQ(test, 1, bench_stats(bench).auto_responses);
	KUNIT_EXPECT_EQ(test, 0, bench_stats(bench).prq_requests);
}

#ifdef CONFIG_X86_64
static void kernel_half_entry_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_pasid_entry entry = {
		.ep = bench->ep,
		.mm = sva_proc_mm(bench->proc),
		.root = sva_proc_mm(bench->proc)->pgd,
	};
	struct soft_line line;
	int ret;

	scoped_guard(read_lock, &bench->iommu->traffic)
		ret = soft_walk(bench->iommu, &entry, bench->pasid, (unsigned long)bench,
				IOMMU_FAULT_PERM_READ, &line);
	KUNIT_EXPECT_EQ(test, -EFAULT, ret);
	KUNIT_EXPECT_EQ(test, 1, bench_stats(bench).kernel_half_reads);
	bench_expect_violation(bench, "kernel half");
}
#endif

/* What is stale is used, and noticed */

/* A page that is freed as soon as it is unmapped: no list of the CPUs holds on to it. */
static void bench_touch_for_free(struct bench *bench)
{
	bench_touch(bench, bench->addr);
	lru_add_drain_all();
}

static void stale_iotlb_entry_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_touch_for_free(bench);
	soft_iommu_ignore_invalidations(bench->iommu, SOFT_INVAL_IOTLB, true);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read_untranslated(bench, bench->addr));
	bench_expect_violation(bench, "which is free");
	soft_iommu_ignore_invalidations(bench->iommu, SOFT_INVAL_IOTLB, false);
}

static void stale_atc_entry_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_touch_for_free(bench);
	soft_iommu_ignore_invalidations(bench->iommu, SOFT_INVAL_ATC, true);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read_untranslated(bench, bench->addr));
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read(bench, bench->addr));
	bench_expect_violation(bench, "which is free");
	soft_iommu_ignore_invalidations(bench->iommu, SOFT_INVAL_ATC, false);
}

static void endpoint_that_keeps_its_atc_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_touch_for_free(bench);
	soft_endpoint_lie_about_invalidations(bench->ep, true);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read(bench, bench->addr));
	bench_expect_violation(bench, "which is free");
	soft_endpoint_lie_about_invalidations(bench->ep, false);
}

static void walk_of_a_freed_table_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	unsigned long addr = bench_map_at(bench, SZ_4G, PMD_SIZE, PROT_READ | PROT_WRITE);

	bench_touch(bench, addr);
	soft_iommu_ignore_invalidations(bench->iommu, SOFT_INVAL_PSC, true);
	bench_unmap(bench, addr, PMD_SIZE);
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read(bench, addr));
	soft_iommu_check(bench->iommu);
	bench_expect_violation(bench, "reads a level 1 table that is");
	soft_iommu_ignore_invalidations(bench->iommu, SOFT_INVAL_PSC, false);
	soft_cache_drop(bench->iommu->psc, bench->pasid, 0, ~0UL);
}

/* The kernel takes the mark from a table before it flushes. */
static void table_may_be_walked_until_the_invalidation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	unsigned long addr = bench_map_at(bench, SZ_4G, PMD_SIZE, PROT_READ | PROT_WRITE);
	unsigned long last = addr + PMD_SIZE - PAGE_SIZE;
	struct folio *table;

	bench_touch(bench, addr);
	bench_touch(bench, last);
	bench_forget(bench);
	table = virt_to_folio(bench_pte(bench, addr));
	__folio_clear_pgtable(table);
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read(bench, addr));
	__folio_set_pgtable(table);
	/* The invalidation is of another page than the one that was read. */
	bench_unmap(bench, last, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
}

static void access_to_a_page_table_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_line line = {
		.pasid = bench->pasid, .shift = PAGE_SHIFT, .va = bench->addr, .perm = SOFT_RW,
	};

	bench_populate(bench, bench->addr);
	line.val = page_to_pfn(virt_to_page(bench_pte(bench, bench->addr)));
	soft_cache_add(bench->ep->atc, &line);
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read(bench, bench->addr));
	bench_expect_violation(bench, "which is a page table");
}

static void invalidation_in_order_leaves_nothing_stale(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats stats;

	bench_touch(bench, bench->addr);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read(bench, bench->addr));
	KUNIT_EXPECT_EQ(test, -EFAULT, bench_read_untranslated(bench, bench->addr));
	stats = bench_stats(bench);
	KUNIT_EXPECT_GE(test, stats.iotlb_dropped, 1);
	KUNIT_EXPECT_GE(test, stats.atc_dropped, 1);
}

/* Commands */

static enum soft_cmd_kind bench_trace(struct bench *bench, unsigned int back)
{
	struct soft_cmdq *q = &bench->iommu->cmdq;

	return q->trace[(q->carried_out - back) % SOFT_CMDQ_TRACE];
}

static void hardware_may_swap_commands_but_not_over_a_wait(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_cmd cmd = { .pasid = bench->pasid, .ep = bench->ep };

	soft_iommu_reorder_commands(bench->iommu, true);
	soft_cmdq_begin(bench->iommu);
	cmd.kind = SOFT_CMD_IOTLB;
	soft_cmdq_submit(bench->iommu, &cmd);
	cmd.kind = SOFT_CMD_ATC;
	soft_cmdq_submit(bench->iommu, &cmd);
	soft_cmdq_end(bench->iommu);
	KUNIT_EXPECT_EQ(test, SOFT_CMD_ATC, bench_trace(bench, 3));
	KUNIT_EXPECT_EQ(test, SOFT_CMD_IOTLB, bench_trace(bench, 2));
	KUNIT_EXPECT_EQ(test, SOFT_CMD_WAIT, bench_trace(bench, 1));
}

static void driver_flushes_the_iotlb_before_the_atc(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_reorder_commands(bench->iommu, true);
	bench_touch(bench, bench->addr);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, SOFT_CMD_IOTLB, bench_trace(bench, 4));
	KUNIT_EXPECT_EQ(test, SOFT_CMD_WAIT, bench_trace(bench, 3));
	KUNIT_EXPECT_EQ(test, SOFT_CMD_ATC, bench_trace(bench, 2));
	KUNIT_EXPECT_EQ(test, SOFT_CMD_WAIT, bench_trace(bench, 1));
}

static void delayed_commands_take_turns_of_the_waiter(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_cmd cmd = { .kind = SOFT_CMD_WAIT };
	u64 nr;

	soft_iommu_delay_commands(bench->iommu, 2);
	nr = soft_cmdq_submit(bench->iommu, &cmd);
	KUNIT_EXPECT_FALSE(test, soft_cmdq_turn(bench->iommu, nr));
	KUNIT_EXPECT_FALSE(test, soft_cmdq_turn(bench->iommu, nr));
	KUNIT_EXPECT_TRUE(test, soft_cmdq_turn(bench->iommu, nr));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
}

static void invalidation_without_a_wait_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_cmd cmd = { .kind = SOFT_CMD_IOTLB, .pasid = bench->pasid };

	soft_cmdq_submit(bench->iommu, &cmd);
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_check(bench->iommu));
	bench_expect_violation(bench, "ended before its wait");
}

static void full_ring_of_commands_makes_room(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_cmd cmd = { .kind = SOFT_CMD_IOTLB, .pasid = bench->pasid };
	u64 before = bench_stats(bench).cmd_iotlb;

	soft_cmdq_begin(bench->iommu);
	for (int i = 0; i < 3 * SOFT_CMDQ_SIZE; i++)
		soft_cmdq_submit(bench->iommu, &cmd);
	soft_cmdq_end(bench->iommu);
	KUNIT_EXPECT_EQ(test, before + 3 * SOFT_CMDQ_SIZE, bench_stats(bench).cmd_iotlb);
}

/* The ledger */

static void entry_set_while_present_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_pasid_entry *entry = xa_load(&bench->ep->pasids, bench->pasid);
	struct iommu_domain *domain = &entry->sdom->domain;

	KUNIT_EXPECT_EQ(test, -EBUSY, domain->ops->set_dev_pasid(domain, bench->dev, bench->pasid,
								 NULL));
	bench_expect_violation(bench, "set while it is present");
}

static void removal_of_an_absent_entry_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_pasid_entry *entry = xa_load(&bench->ep->pasids, bench->pasid);

	soft_iommu_ops.remove_dev_pasid(bench->dev, bench->pasid + 1, &entry->sdom->domain);
	bench_expect_violation(bench, "not present");
}

/* Hooks */

static int fail_in_hook(const struct soft_iommu_event *event, void *data)
{
	return *(int *)data;
}

static void hooks_make_bind_fail(struct kunit *test)
{
	struct bench *bench = &the_bench;
	int error = -EIO;

	bench_unbind(bench);
	soft_iommu_set_hook(bench->iommu, SOFT_AT_SET_PASID, fail_in_hook, &error);
	KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR(bench_try_bind(bench)));
	soft_iommu_set_hook(bench->iommu, SOFT_AT_SET_PASID, NULL, NULL);
	soft_iommu_set_hook(bench->iommu, SOFT_AT_DOMAIN_ALLOC, fail_in_hook, &error);
	KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR(bench_try_bind(bench)));
	soft_iommu_set_hook(bench->iommu, SOFT_AT_DOMAIN_ALLOC, NULL, NULL);
	bench->sva = bench_bind(bench, bench->ep);
}

static int note_event(const struct soft_iommu_event *event, void *data)
{
	*(struct soft_iommu_event *)data = *event;
	return 0;
}

static void hook_is_told_the_range_that_the_core_said(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_event event = { };

	bench_touch(bench, bench->addr);
	soft_iommu_set_hook(bench->iommu, SOFT_AT_INVALIDATE, note_event, &event);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	soft_iommu_set_hook(bench->iommu, SOFT_AT_INVALIDATE, NULL, NULL);
	KUNIT_EXPECT_EQ(test, SOFT_AT_INVALIDATE, event.point);
	KUNIT_EXPECT_EQ(test, bench->pasid, event.pasid);
	KUNIT_EXPECT_LE(test, event.start, bench->addr);
	KUNIT_EXPECT_GE(test, event.end, bench->addr + PAGE_SIZE);
}

/* The mm goes: the entry stays and leads to nothing. */
static void exit_leaves_an_entry_that_maps_nothing(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word, walks;

	bench_touch(bench, bench->addr);
	sva_proc_exit(bench->proc);
	walks = bench_stats(bench).entries_read;
	KUNIT_EXPECT_EQ(test, -EFAULT, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word,
						     8));
	KUNIT_EXPECT_EQ(test, walks, bench_stats(bench).entries_read);
	KUNIT_EXPECT_EQ(test, 0, bench_stats(bench).auto_responses);
	KUNIT_EXPECT_EQ(test, 1, bench_stats(bench).responses[IOMMU_PAGE_RESP_INVALID]);
}

static void domains_are_counted(struct kunit *test)
{
	struct bench *bench = &the_bench;
	unsigned int domains;

	KUNIT_EXPECT_EQ(test, 1, soft_iommu_domains(bench->iommu));
	bench_unbind(bench);
	/* Behind RCU and a work item. */
	KUNIT_EXPECT_EQ(test, 0, read_poll_timeout(soft_iommu_domains, domains, !domains, 1000,
						   60 * USEC_PER_SEC, false, bench->iommu));
}

static struct kunit_case soft_iommu_cases[] = {
	KUNIT_CASE(line_is_found_until_it_is_dropped),
	KUNIT_CASE(full_set_replaces_the_least_recently_used_line),
	KUNIT_CASE(cache_holds_no_more_than_its_geometry),
	KUNIT_CASE(drop_takes_what_overlaps_and_nothing_else),
	KUNIT_CASE(huge_line_goes_with_any_of_its_bytes),
	KUNIT_CASE(missing_page_is_asked_for_and_the_bytes_arrive),
	KUNIT_CASE(cmpxchg_swaps_and_returns_what_was_there),
	KUNIT_CASE(second_access_is_served_by_the_atc),
	KUNIT_CASE(second_translation_is_served_by_the_iotlb),
	KUNIT_CASE(neighbour_is_found_through_the_paging_structure_cache),
	KUNIT_CASE(small_atc_forgets_and_asks_again),
	KUNIT_CASE(walk_sets_accessed_and_dirty),
	KUNIT_CASE(read_only_memory_is_not_written),
	KUNIT_CASE(unmapped_address_is_refused),
	KUNIT_CASE(pasid_without_entry_is_refused_by_the_iommu),
#ifdef CONFIG_X86_64
	KUNIT_CASE(kernel_half_entry_is_a_violation),
#endif
	KUNIT_CASE(stale_iotlb_entry_is_a_violation),
	KUNIT_CASE(stale_atc_entry_is_a_violation),
	KUNIT_CASE(endpoint_that_keeps_its_atc_is_a_violation),
	KUNIT_CASE(walk_of_a_freed_table_is_a_violation),
	KUNIT_CASE(table_may_be_walked_until_the_invalidation),
	KUNIT_CASE(access_to_a_page_table_is_a_violation),
	KUNIT_CASE(invalidation_in_order_leaves_nothing_stale),
	KUNIT_CASE(hardware_may_swap_commands_but_not_over_a_wait),
	KUNIT_CASE(driver_flushes_the_iotlb_before_the_atc),
	KUNIT_CASE(delayed_commands_take_turns_of_the_waiter),
	KUNIT_CASE(invalidation_without_a_wait_is_a_violation),
	KUNIT_CASE(full_ring_of_commands_makes_room),
	KUNIT_CASE(entry_set_while_present_is_a_violation),
	KUNIT_CASE(removal_of_an_absent_entry_is_a_violation),
	KUNIT_CASE(hooks_make_bind_fail),
	KUNIT_CASE(hook_is_told_the_range_that_the_core_said),
	KUNIT_CASE(exit_leaves_an_entry_that_maps_nothing),
	KUNIT_CASE(domains_are_counted),
	{ }
};

static struct kunit_suite soft_iommu_suite = {
	.name = "soft_iommu",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = soft_iommu_cases,
};

kunit_test_suite(soft_iommu_suite);
