// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the software IOMMU: does the bench itself tell right from wrong?
 *
 * Each cache must really cache, each knob must do what it says, and each kind of violation must be
 * raised by a deliberate wrong act. The wrong acts that no core can be made to commit are committed
 * here, by calling the driver or its hardware from the side.
 *
 * The fixture is that of the other suites, with an IOMMU and an endpoint so small that they can be
 * filled.
 */
#include <kunit/test.h>
#include <linux/iopoll.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pgtable.h>
#include <linux/swap.h>
#include <linux/xarray.h>

#include "../soft-iommu/soft-priv.h"
#include "sva_stage.h"

#define BENCH_PAGES	16
#define BENCH_LEN	(BENCH_PAGES * PAGE_SIZE)
#define BENCH_PATIENCE	60000

/**
 * struct bench - a software IOMMU with one endpoint that is bound to a process
 * @test: the case that runs
 * @iommu: 4 places in the page request ring
 * @ep: 4 credits
 * @dev: of @ep
 * @proc: the process
 * @sva: the bond, or NULL
 * @pasid: of @proc
 * @addr: BENCH_LEN bytes of @proc's memory, not touched
 */
struct bench {
	struct kunit *test;
	struct soft_iommu *iommu;
	struct soft_endpoint *ep;
	struct device *dev;
	struct sva_proc *proc;
	struct iommu_sva *sva;
	ioasid_t pasid;
	unsigned long addr;
};

/* Cases run one after the other. */
static struct bench the_bench;

static unsigned long bench_map_at(struct bench *bench, unsigned long addr, size_t len,
				  unsigned long prot)
{
	unsigned long flags = MAP_ANONYMOUS | MAP_PRIVATE | (addr ? MAP_FIXED : 0);

	addr = sva_proc_mmap(bench->proc, addr, len, prot, flags);
	KUNIT_ASSERT_FALSE(bench->test, IS_ERR_VALUE(addr));
	return addr;
}

static unsigned long bench_map(struct bench *bench, size_t len, unsigned long prot)
{
	return bench_map_at(bench, 0, len, prot);
}

static void bench_unmap(struct bench *bench, unsigned long addr, size_t len)
{
	KUNIT_ASSERT_EQ(bench->test, 0, sva_proc_munmap(bench->proc, addr, len));
}

/* The CPU touches it first. */
static void bench_populate(struct bench *bench, unsigned long addr)
{
	u64 zero = 0;

	KUNIT_ASSERT_EQ(bench->test, 0, sva_proc_write(bench->proc, addr, &zero, sizeof(zero)));
}

static struct soft_endpoint *bench_add(struct bench *bench, struct soft_endpoint_config config)
{
	struct soft_endpoint *ep;

	config.pasid_bits = 20;
	ep = sva_add_endpoint(bench->test, bench->iommu, &config, !config.no_pri);
	soft_endpoint_patience(ep, BENCH_PATIENCE);
	return ep;
}

static void bench_destroy(struct bench *bench, struct soft_endpoint *ep)
{
	soft_endpoint_destroy(ep);
	sva_forget_endpoint(bench->test, ep);
}

static struct iommu_sva *bench_bind(struct bench *bench, struct soft_endpoint *ep)
{
	return sva_bind(bench->test, ep, bench->proc);
}

static struct iommu_sva *bench_try_bind(struct bench *bench)
{
	return iommu_sva_bind_device(bench->dev, sva_proc_mm(bench->proc));
}

static void bench_unbind(struct bench *bench)
{
	if (!IS_ERR_OR_NULL(bench->sva))
		iommu_sva_unbind_device(bench->sva);
	bench->sva = NULL;
}

static int bench_init(struct kunit *test)
{
	const struct soft_iommu_config config = { .prq_entries = 4 };
	struct bench *bench = &the_bench;
	int ret;

	memset(bench, 0, sizeof(*bench));
	ret = sva_fixture_init(test);
	if (ret)
		return ret;
	bench->test = test;
	bench->iommu = sva_add_iommu(test, &config);
	bench->ep = bench_add(bench, (struct soft_endpoint_config){ .credits = 4 });
	bench->dev = soft_endpoint_dev(bench->ep);
	bench->proc = sva_proc_start(test);
	bench->addr = bench_map(bench, BENCH_LEN, PROT_READ | PROT_WRITE);
	bench->sva = bench_bind(bench, bench->ep);
	bench->pasid = iommu_sva_get_pasid(bench->sva);
	return 0;
}

static void bench_exit(struct kunit *test)
{
	sva_stage_clear(test);
	bench_unbind(&the_bench);
	sva_fixture_exit(test);
}

static struct soft_iommu_stats bench_stats(struct bench *bench)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(bench->iommu, &stats);
	return stats;
}

/* There is exactly one violation and it says so. Forgives it. */
static void bench_expect_violation(struct bench *bench, const char *text)
{
	struct kunit *test = bench->test;
	const char *said = soft_iommu_violation(bench->iommu, 0);

	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(said, text), "\"%s\" does not say \"%s\"", said,
				  text);
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_forgive(bench->iommu));
}

static void bench_touch(struct bench *bench, unsigned long addr)
{
	u64 word = addr;

	KUNIT_ASSERT_EQ(bench->test, 0, soft_dma_write(bench->ep, bench->pasid, addr, &word,
						       sizeof(word)));
}

/* One read past the ATC. */
static int bench_read_untranslated(struct bench *bench, unsigned long addr)
{
	u64 word;

	return soft_dma_untranslated(bench->ep, bench->pasid, addr, false, &word, sizeof(word));
}

/* One read with what the ATC or one translation request gives. */
static int bench_read(struct bench *bench, unsigned long addr)
{
	u64 word;

	return soft_dma_try(bench->ep, bench->pasid, addr, false, &word, sizeof(word));
}

static int bench_send(struct bench *bench, u32 grpid, unsigned long addr, u32 flags)
{
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | flags,
		.pasid = bench->pasid,
		.grpid = grpid,
		.perm = IOMMU_FAULT_PERM_READ,
		.addr = addr,
	};

	return soft_pri_send(bench->ep, &prm);
}

static int bench_send_last(struct bench *bench, u32 grpid)
{
	return bench_send(bench, grpid, bench->addr + grpid * PAGE_SIZE,
			  IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE);
}

static int bench_wait(struct bench *bench, u32 grpid)
{
	return soft_pri_wait(bench->ep, bench->pasid, grpid, BENCH_PATIENCE);
}

/* A response that the driver is made to send. */
static void bench_respond(struct bench *bench, u32 grpid, int code)
{
	struct iommu_page_response resp = {
		.pasid = bench->pasid,
		.grpid = grpid,
		.code = code,
	};
	struct iopf_fault evt = {
		.fault.prm.private_data = { READ_ONCE(bench->ep->epoch) },
	};

	soft_iommu_ops.page_response(bench->dev, &evt, &resp);
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
	/* Not in place: arm64 objects to that, if somebody else has the mm, too. */
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
	bench_expect_violation(bench, "reads a level 1 table that is");
	soft_iommu_ignore_invalidations(bench->iommu, SOFT_INVAL_PSC, false);
	soft_cache_drop(bench->iommu->psc, bench->pasid, 0, ~0UL);
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

/* The page request ring */

static void ring_that_overflows_answers_success_itself(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats stats;

	soft_endpoint_lie_about_credits(bench->ep, true);
	soft_iommu_hold_prq(bench->iommu, true);
	for (u32 grpid = 0; grpid < 4; grpid++)
		KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, grpid));
	KUNIT_EXPECT_EQ(test, 4, soft_pri_outstanding(bench->ep));
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 4));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 4));
	KUNIT_EXPECT_EQ(test, 4, soft_pri_outstanding(bench->ep));

	soft_iommu_hold_prq(bench->iommu, false);
	for (u32 grpid = 0; grpid < 4; grpid++)
		KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, grpid));
	stats = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, 1, stats.prq_overflows);
	KUNIT_EXPECT_EQ(test, 1, stats.prq_lost);
	KUNIT_EXPECT_EQ(test, 1, stats.auto_responses);
	KUNIT_EXPECT_EQ(test, 4, stats.responses[IOMMU_PAGE_RESP_SUCCESS]);
}

static int hold_in_hook(const struct soft_iommu_event *event, void *data)
{
	struct completion *hold = data;

	wait_for_completion(hold);
	return 0;
}

/* There is room again, but software has not cleared the bit. */
static void overflow_lasts_until_the_ring_is_empty(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_prq *prq = &bench->iommu->prq;
	DECLARE_COMPLETION_ONSTACK(hold);

	soft_endpoint_lie_about_credits(bench->ep, true);
	soft_iommu_set_hook(bench->iommu, SOFT_AT_REPORT, hold_in_hook, &hold);
	for (u32 grpid = 0; grpid < 5; grpid++)
		KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, grpid));
	complete(&hold);
	wait_event(prq->idle, READ_ONCE(prq->head));
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 5));
	KUNIT_EXPECT_EQ(test, 2, bench_stats(bench).prq_lost);
	KUNIT_EXPECT_EQ(test, 1, bench_stats(bench).prq_overflows);

	complete_all(&hold);
	soft_iommu_sync_prq(bench->iommu);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 6));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 6));
	KUNIT_EXPECT_EQ(test, 5, bench_stats(bench).prq_requests);
	soft_iommu_set_hook(bench->iommu, SOFT_AT_REPORT, NULL, NULL);
}

static void stop_marker_gets_no_response(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_iommu_stats stats;

	KUNIT_EXPECT_EQ(test, 0, soft_pri_stop_marker(bench->ep, bench->pasid));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	stats = bench_stats(bench);
	KUNIT_EXPECT_EQ(test, 1, stats.prq_stop_markers);
	KUNIT_EXPECT_EQ(test, 0, stats.prq_requests);
	for (int code = 0; code < 16; code++)
		KUNIT_EXPECT_EQ(test, 0, stats.responses[code]);
}

static void requests_take_credits_and_responses_return_them(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_prq(bench->iommu, true);
	for (int i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, 0, bench_send(bench, 1, bench->addr + i * PAGE_SIZE, 0));
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, -EBUSY, bench_send_last(bench, 2));
	KUNIT_EXPECT_EQ(test, 1, soft_pri_outstanding(bench->ep));

	soft_iommu_hold_prq(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	KUNIT_EXPECT_EQ(test, 4, READ_ONCE(bench->ep->credits));
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 2));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 2));
}

static void held_responses_arrive_in_order(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_responses(bench->iommu, true);
	for (u32 grpid = 1; grpid <= 3; grpid++) {
		KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, grpid));
		KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	}
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, soft_pri_wait(bench->ep, bench->pasid, 1, 0));
	KUNIT_EXPECT_EQ(test, 3, bench_stats(bench).responses[IOMMU_PAGE_RESP_SUCCESS]);
	KUNIT_EXPECT_EQ(test, 3, list_count_nodes(&bench->iommu->held));
	KUNIT_EXPECT_EQ(test, 1, list_first_entry(&bench->iommu->held, struct soft_group,
						  held)->grpid);
	soft_iommu_hold_responses(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, 0, soft_pri_outstanding(bench->ep));
}

/* The ledger */

static void second_response_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	bench_respond(bench, 1, IOMMU_PAGE_RESP_SUCCESS);
	bench_expect_violation(bench, "second response");
}

static void response_for_an_unknown_group_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_respond(bench, 77, IOMMU_PAGE_RESP_INVALID);
	bench_expect_violation(bench, "group 77 that was never sent");
}

static void response_that_never_comes_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	const struct soft_request req = {
		.epoch = READ_ONCE(bench->ep->epoch),
		.prm = {
			.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
			.pasid = bench->pasid,
			.grpid = 1,
		},
	};

	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	/* Another last page, which nobody reports. */
	KUNIT_EXPECT_TRUE(test, soft_pri_enters(bench->ep, &req));
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_check(bench->iommu));
	bench_expect_violation(bench, "group 1: 1 responses never came");
}

static void response_code_that_pcie_lacks_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	const struct soft_request req = {
		.epoch = READ_ONCE(bench->ep->epoch),
		.prm = {
			.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
			.pasid = bench->pasid,
			.grpid = 1,
		},
	};

	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	KUNIT_EXPECT_TRUE(test, soft_pri_enters(bench->ep, &req));
	bench_respond(bench, 1, 2);
	bench_expect_violation(bench, "response 2, which PCIe does not define");
}

static void response_after_removal_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_unbind(bench);
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_disable_feature(bench->dev, IOMMU_DEV_FEAT_SVA));
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_disable_feature(bench->dev, IOMMU_DEV_FEAT_IOPF));
	bench_respond(bench, 1, IOMMU_PAGE_RESP_INVALID);
	bench_expect_violation(bench, "after the device has left the fault queue");
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_enable_feature(bench->dev, IOMMU_DEV_FEAT_IOPF));
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_enable_feature(bench->dev, IOMMU_DEV_FEAT_SVA));
}

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

static void violations_beyond_the_room_for_texts_are_counted(struct kunit *test)
{
	struct bench *bench = &the_bench;

	for (int i = 0; i < SOFT_VIOLATIONS + 10; i++)
		soft_violation(bench->iommu, "violation %d", i);
	KUNIT_EXPECT_STREQ(test, "violation 63", soft_iommu_violation(bench->iommu, 63));
	KUNIT_EXPECT_STREQ(test, "", soft_iommu_violation(bench->iommu, SOFT_VIOLATIONS));
	KUNIT_EXPECT_EQ(test, SOFT_VIOLATIONS + 10, soft_iommu_forgive(bench->iommu));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
}

/* Endpoints */

static void reset_forgets_what_was_asked(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_prq(bench->iommu, true);
	for (u32 grpid = 0; grpid < 4; grpid++)
		KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, grpid));
	soft_endpoint_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, soft_pri_outstanding(bench->ep));
	KUNIT_EXPECT_EQ(test, 4, READ_ONCE(bench->ep->credits));

	/* The core, which was not told, answers all the same; nobody listens. */
	soft_iommu_hold_prq(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, 4, soft_iommu_check(bench->iommu));
	KUNIT_EXPECT_NOT_NULL(test, strstr(soft_iommu_violation(bench->iommu, 3),
					   "that the device forgot in a reset"));
	KUNIT_EXPECT_EQ(test, 4, soft_iommu_forgive(bench->iommu));
	KUNIT_EXPECT_EQ(test, 4, bench_stats(bench).responses[IOMMU_PAGE_RESP_SUCCESS]);
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, soft_pri_wait(bench->ep, bench->pasid, 0, 0));
	KUNIT_EXPECT_EQ(test, 4, READ_ONCE(bench->ep->credits));
}

static void reset_empties_the_atc(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_touch(bench, bench->addr);
	KUNIT_EXPECT_EQ(test, 1, soft_cache_lines(bench->ep->atc));
	soft_endpoint_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, soft_cache_lines(bench->ep->atc));
	KUNIT_EXPECT_EQ(test, 0, bench_read(bench, bench->addr));
}

static int reset_in_hook(const struct soft_iommu_event *event, void *data)
{
	soft_endpoint_reset(data);
	return 0;
}

static void dma_that_waits_is_aborted_by_a_reset(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	soft_iommu_set_hook(bench->iommu, SOFT_AT_REPORT, reset_in_hook, bench->ep);
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word,
						     8));
	soft_iommu_set_hook(bench->iommu, SOFT_AT_REPORT, NULL, NULL);
	/* It was reported all the same. */
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_check(bench->iommu));
	bench_expect_violation(bench, "that the device forgot in a reset");
	KUNIT_EXPECT_EQ(test, 0, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word, 8));
}

/* Which of the two is answered first is the lanes' affair. */
static void old_answer_after_a_reset_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_prq(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	soft_endpoint_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	soft_iommu_hold_prq(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 1));
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_check(bench->iommu));
	bench_expect_violation(bench, "that the device forgot in a reset");
}

static void endpoint_in_reset_does_nothing(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	bench_touch(bench, bench->addr);
	soft_endpoint_begin_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, -ENODEV, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_pri_stop_marker(bench->ep, bench->pasid));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word,
						     8));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_try(bench->ep, bench->pasid, bench->addr, false,
						    &word, 8));
	KUNIT_EXPECT_EQ(test, 0, soft_ats_translate(bench->ep, bench->pasid, bench->addr,
						    IOMMU_FAULT_PERM_READ));
	soft_endpoint_end_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, bench_read(bench, bench->addr));
}

static void atc_invalidation_in_a_reset_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;

	bench_touch(bench, bench->addr);
	soft_endpoint_begin_reset(bench->ep);
	bench_unmap(bench, bench->addr, PAGE_SIZE);
	soft_endpoint_end_reset(bench->ep);
	bench_expect_violation(bench, "a device that is in a reset");
}

#if SVA_CORE
static void all_translations_are_flushed_from_the_atc(struct kunit *test)
{
	struct bench *bench = &the_bench;

	for (int i = 0; i < 4; i++)
		bench_touch(bench, bench->addr + i * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 4, soft_cache_lines(bench->ep->atc));
	soft_iommu_ops.sva_ops->flush_atc(bench->dev);
	KUNIT_EXPECT_EQ(test, 0, soft_cache_lines(bench->ep->atc));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
}

static long drain_all(void *dev)
{
	soft_iommu_ops.sva_ops->drain(dev, IOMMU_PASID_INVALID);
	return 0;
}

static void drain_waits_for_held_responses(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct sva_job *drain;

	soft_iommu_hold_responses(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	drain = sva_job(test, drain_all, bench->dev);
	KUNIT_EXPECT_TRUE(test, sva_job_waits(drain));
	soft_iommu_hold_responses(bench->iommu, false);
	KUNIT_EXPECT_TRUE(test, sva_job_ends(drain));
	KUNIT_EXPECT_EQ(test, 0, soft_pri_outstanding(bench->ep));
}
#endif

static void unplugged_endpoint_does_and_hears_nothing(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	soft_iommu_hold_prq(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	soft_endpoint_unplug(bench->ep);
	soft_iommu_hold_prq(bench->iommu, false);

	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	KUNIT_EXPECT_EQ(test, 1, bench_stats(bench).responses[IOMMU_PAGE_RESP_SUCCESS]);
	KUNIT_EXPECT_EQ(test, 1, soft_pri_outstanding(bench->ep));
	KUNIT_EXPECT_EQ(test, -ENODEV, bench_send_last(bench, 2));
	KUNIT_EXPECT_EQ(test, -ENODEV, soft_dma_read(bench->ep, bench->pasid, bench->addr, &word,
						     8));
	KUNIT_EXPECT_EQ(test, 0, soft_ats_translate(bench->ep, bench->pasid, bench->addr,
						    IOMMU_FAULT_PERM_READ));
}

static void response_failure_silences_the_endpoint_until_a_reset(struct kunit *test)
{
	struct bench *bench = &the_bench;

	soft_iommu_hold_prq(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 1));
	soft_pri_deliver(bench->ep, bench->pasid, 1, READ_ONCE(bench->ep->epoch), 15);
	KUNIT_EXPECT_EQ(test, 15, bench_wait(bench, 1));
	KUNIT_EXPECT_EQ(test, -ENODEV, bench_send_last(bench, 2));
	soft_iommu_hold_prq(bench->iommu, false);
	KUNIT_EXPECT_EQ(test, 0, soft_iommu_check(bench->iommu));
	soft_endpoint_reset(bench->ep);
	KUNIT_EXPECT_EQ(test, 0, bench_send_last(bench, 2));
	KUNIT_EXPECT_EQ(test, IOMMU_PAGE_RESP_SUCCESS, bench_wait(bench, 2));
}

static void dma_gives_up_when_its_patience_ends(struct kunit *test)
{
	struct bench *bench = &the_bench;
	u64 word;

	soft_endpoint_patience(bench->ep, 1);
	soft_iommu_hold_prq(bench->iommu, true);
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, soft_dma_read(bench->ep, bench->pasid, bench->addr,
							&word, 8));
	soft_iommu_hold_prq(bench->iommu, false);
}

static void endpoint_without_pri_has_no_iopf(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_endpoint *ep;
	u64 word;

	ep = bench_add(bench, (struct soft_endpoint_config){ .no_pri = true });
	KUNIT_EXPECT_NE(test, 0, iommu_dev_enable_feature(soft_endpoint_dev(ep),
							  IOMMU_DEV_FEAT_IOPF));
	KUNIT_EXPECT_EQ(test, 0, iommu_dev_enable_feature(soft_endpoint_dev(ep),
							  IOMMU_DEV_FEAT_SVA));
	KUNIT_EXPECT_EQ(test, -EFAULT, soft_dma_read(ep, bench->pasid, bench->addr, &word, 8));
	KUNIT_EXPECT_EQ(test, 0, bench_stats(bench).prq_requests);
	bench_destroy(bench, ep);
}

static void endpoints_may_share_an_iommu_group(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_endpoint *ep;

	ep = bench_add(bench, (struct soft_endpoint_config){ .group_of = bench->ep });
	KUNIT_EXPECT_PTR_EQ(test, bench->dev->iommu_group, soft_endpoint_dev(ep)->iommu_group);
	bench_destroy(bench, ep);
}

static void device_that_leaves_with_a_pasid_is_a_violation(struct kunit *test)
{
	struct bench *bench = &the_bench;
	struct soft_endpoint *ep;
	struct soft_pasid_entry *entry;
	struct iommu_domain *domain;

	entry = xa_load(&bench->ep->pasids, bench->pasid);
	domain = &entry->sdom->domain;
	ep = bench_add(bench, (struct soft_endpoint_config){ });
	KUNIT_ASSERT_EQ(test, 0, domain->ops->set_dev_pasid(domain, soft_endpoint_dev(ep),
							    bench->pasid, NULL));
	bench_destroy(bench, ep);
	bench_expect_violation(bench, "leaves while it is attached");
}

static void storm_makes_accesses_until_it_is_stopped(struct kunit *test)
{
	struct bench *bench = &the_bench;

	KUNIT_ASSERT_EQ(test, 0, soft_storm_start(bench->ep, bench->pasid, bench->addr, BENCH_LEN,
						  true));
	KUNIT_EXPECT_EQ(test, -EBUSY, soft_storm_start(bench->ep, bench->pasid, bench->addr,
						       BENCH_LEN, true));
	KUNIT_EXPECT_TRUE(test, sva_becomes(bench_stats(bench).prq_requests >= BENCH_PAGES));
	KUNIT_EXPECT_GE(test, soft_storm_stop(bench->ep), BENCH_PAGES - 1);
	KUNIT_EXPECT_EQ(test, 0, soft_storm_stop(bench->ep));
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
	KUNIT_CASE(access_to_a_page_table_is_a_violation),
	KUNIT_CASE(invalidation_in_order_leaves_nothing_stale),
	KUNIT_CASE(hardware_may_swap_commands_but_not_over_a_wait),
	KUNIT_CASE(driver_flushes_the_iotlb_before_the_atc),
	KUNIT_CASE(delayed_commands_take_turns_of_the_waiter),
	KUNIT_CASE(invalidation_without_a_wait_is_a_violation),
	KUNIT_CASE(full_ring_of_commands_makes_room),
	KUNIT_CASE(ring_that_overflows_answers_success_itself),
	KUNIT_CASE(overflow_lasts_until_the_ring_is_empty),
	KUNIT_CASE(stop_marker_gets_no_response),
	KUNIT_CASE(requests_take_credits_and_responses_return_them),
	KUNIT_CASE(held_responses_arrive_in_order),
	KUNIT_CASE(second_response_is_a_violation),
	KUNIT_CASE(response_for_an_unknown_group_is_a_violation),
	KUNIT_CASE(response_that_never_comes_is_a_violation),
	KUNIT_CASE(response_code_that_pcie_lacks_is_a_violation),
	KUNIT_CASE(response_after_removal_is_a_violation),
	KUNIT_CASE(entry_set_while_present_is_a_violation),
	KUNIT_CASE(removal_of_an_absent_entry_is_a_violation),
	KUNIT_CASE(violations_beyond_the_room_for_texts_are_counted),
	KUNIT_CASE(reset_forgets_what_was_asked),
	KUNIT_CASE(reset_empties_the_atc),
	KUNIT_CASE(dma_that_waits_is_aborted_by_a_reset),
	KUNIT_CASE(old_answer_after_a_reset_is_a_violation),
	KUNIT_CASE(endpoint_in_reset_does_nothing),
	KUNIT_CASE(atc_invalidation_in_a_reset_is_a_violation),
#if SVA_CORE
	KUNIT_CASE(all_translations_are_flushed_from_the_atc),
	KUNIT_CASE(drain_waits_for_held_responses),
#endif
	KUNIT_CASE(unplugged_endpoint_does_and_hears_nothing),
	KUNIT_CASE(response_failure_silences_the_endpoint_until_a_reset),
	KUNIT_CASE(dma_gives_up_when_its_patience_ends),
	KUNIT_CASE(endpoint_without_pri_has_no_iopf),
	KUNIT_CASE(endpoints_may_share_an_iommu_group),
	KUNIT_CASE(device_that_leaves_with_a_pasid_is_a_violation),
	KUNIT_CASE(storm_makes_accesses_until_it_is_stopped),
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
