// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the CPU's side does to memory, the device's side sees
 *
 * Each case has a device use some memory, so that its ATC and the IOTLB know the translations; then
 * the process or the kernel changes the mapping; then the device must see what the process sees,
 * byte for byte. stash_translations() makes sure that there is something stale to be found. What
 * goes through freed memory besides is found by the software IOMMU and by the fixture.
 *
 * Memory is filled with bytes that depend on where they are and on a seed, so that a byte from
 * elsewhere or from before is seen.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mm_inline.h>
#include <linux/pgtable.h>
#include <linux/swap.h>
#include <linux/userfaultfd.h>
#include <linux/userfaultfd_k.h>
#include <asm/unistd.h>

#include "../../../mm/internal.h"
#include "sva_stage.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)
/* Each has a place of its own in the ATC. */
#define SOME	8
#define HUGE	PMD_SIZE
#define THP	"kernel/mm/transparent_hugepage/"

/**
 * struct view - memory of a process that a device uses
 * @test: the test
 * @ep: the device
 * @s: the process and its bond
 * @buf: a page to compare with
 */
struct view {
	struct kunit *test;
	struct soft_endpoint *ep;
	struct sva_scene s;
	u8 *buf;
};

/* Bytes */

static u8 byte_at(unsigned long offset, u8 seed)
{
	return seed + offset * 7 + (offset >> PAGE_SHIFT) * 31;
}

static void make_page(u8 *buf, unsigned long offset, u8 seed)
{
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		buf[i] = byte_at(offset + i, seed);
}

/* The first byte of @buf that is not what @seed says, or -1. Seed 0: all bytes are zero. */
static int first_wrong(const u8 *buf, unsigned long offset, u8 seed)
{
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		if (buf[i] != (seed ? byte_at(offset + i, seed) : 0))
			return i;
	return -1;
}

/*
 * All of these work on whole pages. @from is where the bytes of the seed begin to count, so memory
 * that was moved keeps its bytes.
 */
static void cpu_writes(struct view *v, struct sva_proc *proc, unsigned long addr, size_t len,
		       u8 seed)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		make_page(v->buf, at, seed);
		KUNIT_ASSERT_EQ(v->test, sva_proc_write(proc, addr + at, v->buf, PAGE_SIZE), 0);
	}
}

static void device_writes(struct view *v, unsigned long addr, size_t len, u8 seed)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		int ret;

		make_page(v->buf, at, seed);
		ret = soft_dma_write(v->ep, v->s.pasid, addr + at, v->buf, PAGE_SIZE);
		KUNIT_ASSERT_EQ_MSG(v->test, ret, 0, "page %zu", at / PAGE_SIZE);
	}
}

static void expect_bytes(struct view *v, const char *who, int ret, size_t at, unsigned long offset,
			 u8 seed)
{
	int wrong = ret ? -1 : first_wrong(v->buf, offset, seed);

	KUNIT_EXPECT_EQ_MSG(v->test, ret, 0, "%s: page %zu", who, at / PAGE_SIZE);
	KUNIT_EXPECT_EQ_MSG(v->test, wrong, -1, "%s: page %zu: %#x, seed %u", who, at / PAGE_SIZE,
			    wrong < 0 ? 0 : v->buf[wrong], seed);
}

static void cpu_sees(struct view *v, struct sva_proc *proc, unsigned long addr, size_t len,
		     unsigned long from, u8 seed)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		int ret = sva_proc_read(proc, addr + at, v->buf, PAGE_SIZE);

		expect_bytes(v, "CPU", ret, at, from + at, seed);
	}
}

/* With ATS and without: the ATC and the IOTLB may be wrong each on its own. */
static void device_sees(struct view *v, unsigned long addr, size_t len, unsigned long from, u8 seed)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		int ret = soft_dma_read(v->ep, v->s.pasid, addr + at, v->buf, PAGE_SIZE);

		expect_bytes(v, "device", ret, at, from + at, seed);
		ret = soft_dma_untranslated(v->ep, v->s.pasid, addr + at, false, v->buf, PAGE_SIZE);
		expect_bytes(v, "device without ATS", ret, at, from + at, seed);
	}
}

static void device_is_refused(struct view *v, unsigned long addr, size_t len)
{
	u64 value = 0;

	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		SVA_EXPECT_REFUSED(v->test, v->ep, v->s.pasid, addr + at);
		KUNIT_EXPECT_EQ(v->test, soft_dma_untranslated(v->ep, v->s.pasid, addr + at, false,
							       &value, sizeof(value)), -EFAULT);
	}
}

static void device_may_only_read(struct view *v, unsigned long addr, size_t len)
{
	u64 value = 0;

	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		KUNIT_EXPECT_EQ(v->test, soft_dma_write(v->ep, v->s.pasid, addr + at, &value,
							sizeof(value)), -EFAULT);
		KUNIT_EXPECT_EQ(v->test, soft_dma_untranslated(v->ep, v->s.pasid, addr + at, true,
							       &value, sizeof(value)), -EFAULT);
	}
}

/* Scenes */

static struct view *view_of(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc)
{
	struct view *v = kunit_kzalloc(test, sizeof(*v), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, v);
	v->buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, v->buf);
	v->test = test;
	v->ep = ep;
	v->s.proc = proc;
	v->s.sva = sva_bind(test, ep, proc);
	v->s.pasid = iommu_sva_get_pasid(v->s.sva);
	return v;
}

static struct view *new_view(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;

	return view_of(test, fix->ep[0], sva_proc_start(test));
}

static void end_view(struct view *v)
{
	iommu_sva_unbind_device(v->s.sva);
}

/*
 * The device reads and writes each page, by translated and untranslated requests, and leaves the
 * bytes as they are. Afterwards the last pages, as many as have room, are answered by the ATC.
 */
static void stash_translations(struct view *v, unsigned long addr, size_t len)
{
	struct sva_fixture *fix = v->test->priv;
	struct soft_iommu_stats before, after;
	unsigned int pages = min_t(size_t, len / PAGE_SIZE, SOME);
	u64 value;

	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		KUNIT_ASSERT_EQ(v->test, soft_dma_read(v->ep, v->s.pasid, addr + at, &value,
						       sizeof(value)), 0);
		KUNIT_ASSERT_EQ(v->test, soft_dma_write(v->ep, v->s.pasid, addr + at, &value,
							sizeof(value)), 0);
		KUNIT_ASSERT_EQ(v->test, soft_dma_untranslated(v->ep, v->s.pasid, addr + at, false,
							       &value, sizeof(value)), 0);
	}
	soft_iommu_read_stats(fix->iommu, &before);
	for (unsigned int i = 1; i <= pages; i++) {
		unsigned long page = addr + len - i * PAGE_SIZE;

		KUNIT_ASSERT_EQ(v->test, soft_dma_read(v->ep, v->s.pasid, page, &value,
						       sizeof(value)), 0);
	}
	soft_iommu_read_stats(fix->iommu, &after);
	KUNIT_ASSERT_GE_MSG(v->test, after.atc_hits - before.atc_hits, (u64)pages,
			    "the device has nothing in its ATC");
}

/* Filled by the CPU, used by the device. */
static void prepare(struct view *v, unsigned long addr, size_t len, u8 seed)
{
	cpu_writes(v, v->s.proc, addr, len, seed);
	stash_translations(v, addr, len);
}

static unsigned long some_pages(struct view *v, unsigned int pages, u8 seed)
{
	unsigned long addr = sva_proc_map(v->s.proc, pages * PAGE_SIZE);

	prepare(v, addr, pages * PAGE_SIZE, seed);
	return addr;
}

static void map_at(struct view *v, unsigned long addr, size_t len, unsigned long flags)
{
	KUNIT_ASSERT_EQ(v->test, sva_proc_mmap(v->s.proc, addr, len, RW, flags | MAP_FIXED), addr);
}

/* Page tables as they are */

struct entry {
	bool present;
	bool huge;
	bool write;
	bool swapped;
	bool uffd_wp;
	bool contiguous;
	unsigned long pfn;
};

static void look_at_pmd(pmd_t *pmdp, unsigned long addr, struct entry *entry)
{
	pmd_t pmd = pmdp_get(pmdp);
	pte_t *ptep, pte;

	if (pmd_leaf(pmd)) {
		*entry = (struct entry){ .present = true, .huge = true, .write = pmd_write(pmd),
					 .pfn = pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT) };
		return;
	}
	ptep = pte_offset_map(pmdp, addr);
	if (!ptep)
		return;
	pte = ptep_get(ptep);
	pte_unmap(ptep);
	entry->present = pte_present(pte);
	entry->swapped = !pte_none(pte) && !pte_present(pte);
	if (entry->present) {
		entry->pfn = pte_pfn(pte);
		entry->write = pte_write(pte);
		entry->uffd_wp = pte_uffd_wp(pte);
#ifdef CONFIG_ARM64
		entry->contiguous = pte_val(__ptep_get(pte_offset_kernel(pmdp, addr))) & PTE_CONT;
#endif
	}
}

/* The entry that maps @addr now, all zero if there is none. */
static struct entry look(struct view *v, struct sva_proc *proc, unsigned long addr)
{
	struct mm_struct *mm = sva_proc_mm(proc);
	struct entry entry = {};
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud;

	mmap_read_lock(mm);
	pgd = pgd_offset(mm, addr);
	if (!pgd_none(*pgd)) {
		p4d = p4d_offset(pgd, addr);
		if (!p4d_none(*p4d)) {
			pud = pud_offset(p4d, addr);
			if (!pud_none(*pud) && !pud_leaf(*pud))
				look_at_pmd(pmd_offset(pud, addr), addr, &entry);
		}
	}
	mmap_read_unlock(mm);
	return entry;
}

static unsigned long pfn_of(struct view *v, unsigned long addr)
{
	return look(v, v->s.proc, addr).pfn;
}

/* munmap and mmap */

static void munmap_ends_access(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

static void munmap_in_the_middle_leaves_the_rest(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr + 2 * PAGE_SIZE, 3 * PAGE_SIZE), 0);
	device_sees(v, addr, 2 * PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + 2 * PAGE_SIZE, 3 * PAGE_SIZE);
	device_sees(v, addr + 5 * PAGE_SIZE, 3 * PAGE_SIZE, 5 * PAGE_SIZE, 1);
	end_view(v);
}

static void mapping_again_shows_the_new_pages(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void mapping_over_a_mapping_replaces_it(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	device_writes(v, addr, PAGE_SIZE, 3);
	cpu_sees(v, v->s.proc, addr, PAGE_SIZE, 0, 3);
	device_sees(v, addr + PAGE_SIZE, (SOME - 1) * PAGE_SIZE, 0, 0);
	end_view(v);
}

/* The page table goes with its last mapping; what was cached of it must not be walked. */
static void a_freed_page_table_is_not_walked(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = 16UL << PUD_SHIFT;

	for (u8 seed = 1; seed <= 4; seed++) {
		map_at(v, addr, SOME * PAGE_SIZE, ANON);
		prepare(v, addr, SOME * PAGE_SIZE, seed);
		KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
		device_is_refused(v, addr, SOME * PAGE_SIZE);
	}
	end_view(v);
}

static void munmap_of_a_range_across_page_tables(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = (16UL << PUD_SHIFT) - 4 * PAGE_SIZE;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr + PAGE_SIZE, 6 * PAGE_SIZE), 0);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + PAGE_SIZE, 6 * PAGE_SIZE);
	device_sees(v, addr + 7 * PAGE_SIZE, PAGE_SIZE, 7 * PAGE_SIZE, 1);
	end_view(v);
}

static void munmap_at_the_end_of_the_address_space(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = DEFAULT_MAP_WINDOW - SOME * PAGE_SIZE;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

static void munmap_at_the_start_of_the_address_space(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = SZ_64K;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

/* A device whose ATC holds all of them: the invalidation is for many pages. */
static void munmap_of_many_pages_reaches_each(struct kunit *test)
{
	static const struct soft_endpoint_config config = {
		.pasid_bits = 20,
		.atc = { .sets = 128, .ways = 8 },
	};
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = sva_add_endpoint(test, fix->iommu, &config, true);
	struct view *v = view_of(test, ep, sva_proc_start(test));
	const unsigned int pages = 600;
	unsigned long addr = some_pages(v, pages, 1);
	u64 value = 0;

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, pages * PAGE_SIZE), 0);
	for (unsigned int i = 0; i < pages; i++)
		KUNIT_EXPECT_EQ(test, soft_dma_try(ep, v->s.pasid, addr + i * PAGE_SIZE, true,
						   &value, sizeof(value)), -EFAULT);
	end_view(v);
}

/* Pages here and there in a mapping that is larger than any count of pages to flush. */
static void munmap_of_a_sparse_gigabyte(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = sva_proc_mmap(v->s.proc, 0, SZ_1G, RW, ANON | MAP_NORESERVE);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	for (size_t at = 0; at < SZ_1G; at += SZ_128M + 3 * PAGE_SIZE)
		prepare(v, addr + at, PAGE_SIZE, 1 + at / SZ_128M);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SZ_1G), 0);
	for (size_t at = 0; at < SZ_1G; at += SZ_128M + 3 * PAGE_SIZE)
		device_is_refused(v, addr + at, PAGE_SIZE);
	end_view(v);
}

/* Each top-level slot that is new is learned by a page request, and forgotten with its table. */
static void fresh_top_level_slots_come_and_go(struct kunit *test)
{
	struct view *v = new_view(test);

	for (unsigned int turn = 1; turn <= 2; turn++)
		for (unsigned long slot = 20; slot < 28; slot++) {
			unsigned long addr = slot << PGDIR_SHIFT;

			if (addr >= DEFAULT_MAP_WINDOW)
				addr = slot << PUD_SHIFT;
			map_at(v, addr, PAGE_SIZE, ANON);
			prepare(v, addr, PAGE_SIZE, turn * slot);
			device_sees(v, addr, PAGE_SIZE, 0, turn * slot);
			KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, PAGE_SIZE), 0);
			device_is_refused(v, addr, PAGE_SIZE);
		}
	end_view(v);
}

static void both_devices_hear_of_an_unmapping(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct view *v = new_view(test);
	struct view *w = view_of(test, fix->ep[1], v->s.proc);
	unsigned long addr = some_pages(v, SOME, 1);

	stash_translations(w, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_is_refused(w, addr, SOME * PAGE_SIZE);
	end_view(w);
	end_view(v);
}

/* Nobody else's translations suffer: the same address in another process. */
static void another_process_keeps_its_translations(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct view *v = new_view(test);
	struct view *w = new_view(test);
	unsigned long addr = 16UL << PUD_SHIFT;
	struct soft_iommu_stats before, after;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	map_at(w, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	prepare(w, addr, SOME * PAGE_SIZE, 2);
	stash_translations(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(w->s.proc, addr, SOME * PAGE_SIZE), 0);
	soft_iommu_read_stats(fix->iommu, &before);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	soft_iommu_read_stats(fix->iommu, &after);
	KUNIT_EXPECT_EQ(test, after.ats_requests, before.ats_requests);
	device_is_refused(w, addr, SOME * PAGE_SIZE);
	end_view(w);
	end_view(v);
}

/* mprotect */

static void read_only_ends_writes_but_not_reads(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, PROT_READ), 0);
	device_may_only_read(v, addr, SOME * PAGE_SIZE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void prot_none_ends_access(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, PROT_NONE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

static void protection_given_back_lets_the_device_in_again(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, PROT_NONE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, RW), 0);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void memory_made_writable_can_be_written(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = sva_proc_mmap(v->s.proc, 0, SOME * PAGE_SIZE, PROT_READ, ANON);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	device_may_only_read(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SOME * PAGE_SIZE, RW), 0);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void protecting_one_page_leaves_its_neighbours(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr + PAGE_SIZE, PAGE_SIZE, PROT_NONE),
			0);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + PAGE_SIZE, PAGE_SIZE);
	device_sees(v, addr + 2 * PAGE_SIZE, 6 * PAGE_SIZE, 2 * PAGE_SIZE, 1);
	end_view(v);
}

/* mremap */

static void moved_memory_is_at_its_new_place_only(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	unsigned long to = sva_proc_map(v->s.proc, SOME * PAGE_SIZE);

	prepare(v, to, SOME * PAGE_SIZE, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, SOME * PAGE_SIZE, SOME * PAGE_SIZE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, to), (long)to);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_sees(v, to, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

/* Aligned as a whole page table is: the kernel moves the table, not the entries. */
static void a_moved_page_table_is_at_its_new_place_only(struct kunit *test)
{
	unsigned long addr = 16UL << PUD_SHIFT, to = addr + 4 * HUGE;
	struct view *v = new_view(test);

	map_at(v, addr, HUGE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	map_at(v, to, HUGE, ANON);
	prepare(v, to, SOME * PAGE_SIZE, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, HUGE, HUGE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, to), (long)to);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_sees(v, to, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void memory_that_grows_keeps_its_bytes(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = 16UL << PUD_SHIFT;

	map_at(v, addr, SOME * PAGE_SIZE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, SOME * PAGE_SIZE,
					      2 * SOME * PAGE_SIZE, 0, 0), (long)addr);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_sees(v, addr + SOME * PAGE_SIZE, SOME * PAGE_SIZE, 0, 0);
	end_view(v);
}

static void memory_that_shrinks_loses_its_end(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, SOME * PAGE_SIZE, 3 * PAGE_SIZE, 0,
					      0), (long)addr);
	device_sees(v, addr, 3 * PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + 3 * PAGE_SIZE, 5 * PAGE_SIZE);
	end_view(v);
}

static void pages_moved_away_leave_zero(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	long to = sva_proc_mremap(v->s.proc, addr, SOME * PAGE_SIZE, SOME * PAGE_SIZE,
				  MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE((unsigned long)to));
	device_sees(v, to, SOME * PAGE_SIZE, 0, 1);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	end_view(v);
}

/* madvise */

static void dontneed_makes_the_device_read_zero(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, SOME * PAGE_SIZE, MADV_DONTNEED),
			0);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	end_view(v);
}

static void dontneed_of_one_page_leaves_its_neighbours(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr + PAGE_SIZE, PAGE_SIZE,
					       MADV_DONTNEED), 0);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_sees(v, addr + PAGE_SIZE, PAGE_SIZE, 0, 0);
	device_sees(v, addr + 2 * PAGE_SIZE, 6 * PAGE_SIZE, 2 * PAGE_SIZE, 1);
	end_view(v);
}

/* True when none of the pages is mapped. Reclaim passes over those on their way to a list. */
static bool page_out_once(struct view *v, unsigned long addr, size_t len)
{
	lru_add_drain_all();
	KUNIT_ASSERT_EQ(v->test, sva_proc_madvise(v->s.proc, addr, len, MADV_PAGEOUT), 0);
	for (size_t at = 0; at < len; at += PAGE_SIZE)
		if (look(v, v->s.proc, addr + at).present)
			return false;
	return true;
}

static void page_out(struct view *v, unsigned long addr, size_t len)
{
	KUNIT_ASSERT_TRUE_MSG(v->test, sva_becomes(page_out_once(v, addr, len)),
			      "the pages stay in memory");
}

/*
 * MADV_FREE makes the pages clean. If the device goes on with a translation that was dirty then,
 * its new bytes are in a page that reclaim may throw away.
 */
static void bytes_written_after_madv_free_stay(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr;

	sva_swap_on(test, 2048);
	addr = some_pages(v, SOME, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, SOME * PAGE_SIZE, MADV_FREE), 0);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	page_out(v, addr, SOME * PAGE_SIZE);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

/* fork and copy on write */

static void parent_writes_are_seen_after_fork(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 2);
	cpu_sees(v, child, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void child_writes_are_not_seen_by_the_parents_device(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	cpu_writes(v, child, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	cpu_sees(v, child, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

/* The pages became read-only behind the device's back, so to speak. */
static void device_writes_stay_out_of_the_childs_memory(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, child, addr, SOME * PAGE_SIZE, 0, 1);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void devices_of_parent_and_child_stay_apart(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);
	struct view *w = view_of(test, fix->ep[1], child);

	KUNIT_EXPECT_NE(test, v->s.pasid, w->s.pasid);
	device_writes(w, addr, SOME * PAGE_SIZE, 3);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	device_sees(w, addr, SOME * PAGE_SIZE, 0, 3);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(w);
	end_view(v);
}

/* Without a second owner the page is not copied any more: the device writes in place. */
static void parent_gets_its_pages_back_when_the_child_ends(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	sva_proc_exit(child);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void the_zero_page_is_replaced_by_a_cpu_write(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = sva_proc_map(v->s.proc, SOME * PAGE_SIZE);

	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, 1);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void the_zero_page_is_replaced_by_a_device_write(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = sva_proc_map(v->s.proc, SOME * PAGE_SIZE);

	device_sees(v, addr, SOME * PAGE_SIZE, 0, 0);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 0);
	device_writes(v, addr, SOME * PAGE_SIZE, 1);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

/* Huge pages */

/* A huge page that is one, filled and used. */
static unsigned long huge_page(struct view *v, u8 seed)
{
	unsigned long addr = 32UL << PUD_SHIFT;

	map_at(v, addr, HUGE, ANON);
	KUNIT_ASSERT_EQ(v->test, sva_proc_madvise(v->s.proc, addr, HUGE, MADV_HUGEPAGE), 0);
	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, seed);
	if (!look(v, v->s.proc, addr).huge)
		KUNIT_FAIL_AND_ABORT(v->test, "no huge page was to be had");
	stash_translations(v, addr, SOME * PAGE_SIZE);
	return addr;
}

static void a_huge_page_split_by_munmap_keeps_the_rest(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr + PAGE_SIZE, 3 * PAGE_SIZE), 0);
	KUNIT_EXPECT_FALSE(test, look(v, v->s.proc, addr).huge);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + PAGE_SIZE, 3 * PAGE_SIZE);
	device_sees(v, addr + 4 * PAGE_SIZE, 4 * PAGE_SIZE, 4 * PAGE_SIZE, 1);
	end_view(v);
}

static void a_huge_page_split_by_mprotect_is_read_only_there(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, PAGE_SIZE, PROT_READ), 0);
	device_may_only_read(v, addr, PAGE_SIZE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr + PAGE_SIZE, PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr + PAGE_SIZE, PAGE_SIZE, 0, 2);
	end_view(v);
}

static void a_huge_page_made_read_only_is_not_written(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, HUGE, PROT_READ), 0);
	KUNIT_EXPECT_TRUE(test, look(v, v->s.proc, addr).huge);
	device_may_only_read(v, addr, SOME * PAGE_SIZE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void a_part_of_a_huge_page_given_up_reads_zero(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, 2 * PAGE_SIZE, MADV_DONTNEED), 0);
	device_sees(v, addr, 2 * PAGE_SIZE, 0, 0);
	device_sees(v, addr + 2 * PAGE_SIZE, 6 * PAGE_SIZE, 2 * PAGE_SIZE, 1);
	end_view(v);
}

static void a_huge_page_unmapped_is_gone(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, HUGE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

static void a_huge_page_moved_is_at_its_new_place_only(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1), to = addr + 4 * HUGE;

	map_at(v, to, HUGE, ANON);
	KUNIT_EXPECT_EQ(test, sva_proc_mremap(v->s.proc, addr, HUGE, HUGE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, to), (long)to);
	KUNIT_EXPECT_TRUE(test, look(v, v->s.proc, to).huge);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_sees(v, to, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void a_huge_page_is_copied_on_a_device_write_after_fork(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = huge_page(v, 1);
	struct sva_proc *child = sva_proc_fork(v->s.proc);

	device_writes(v, addr, 2 * PAGE_SIZE, 2);
	cpu_sees(v, child, addr, SOME * PAGE_SIZE, 0, 1);
	cpu_sees(v, v->s.proc, addr, 2 * PAGE_SIZE, 0, 2);
	device_sees(v, addr + 2 * PAGE_SIZE, 6 * PAGE_SIZE, 2 * PAGE_SIZE, 1);
	end_view(v);
}

/* The small pages are freed, and so is their table. */
static void pages_collapsed_to_a_huge_one_are_followed(struct kunit *test)
{
	unsigned long addr = 32UL << PUD_SHIFT;
	struct view *v = new_view(test);

	map_at(v, addr, HUGE, ANON);
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_ASSERT_FALSE(test, look(v, v->s.proc, addr).huge);
	KUNIT_ASSERT_EQ(test, sva_proc_madvise(v->s.proc, addr, HUGE, MADV_COLLAPSE), 0);
	KUNIT_ASSERT_TRUE(test, look(v, v->s.proc, addr).huge);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

/* Pages that are larger than one and smaller than a huge one; on arm64 contiguous entries. */
static unsigned long medium_page(struct view *v, u8 seed)
{
	unsigned long addr = 32UL << PUD_SHIFT;

	sva_sysfs_set(v->test, THP "hugepages-64kB/enabled", "always");
	map_at(v, addr, SZ_64K, ANON);
	cpu_writes(v, v->s.proc, addr, SZ_64K, seed);
	KUNIT_ASSERT_EQ_MSG(v->test, pfn_of(v, addr) + SZ_64K / PAGE_SIZE - 1,
			    pfn_of(v, addr + SZ_64K - PAGE_SIZE), "not one page of 64 kB");
	if (IS_ENABLED(CONFIG_ARM64_CONTPTE))
		KUNIT_ASSERT_TRUE(v->test, look(v, v->s.proc, addr).contiguous);
	stash_translations(v, addr, SZ_64K);
	return addr;
}

static void a_page_of_64_kb_is_used_at_each_of_its_pages(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = medium_page(v, 1);

	device_sees(v, addr, SZ_64K, 0, 1);
	device_writes(v, addr, SZ_64K, 2);
	cpu_sees(v, v->s.proc, addr, SZ_64K, 0, 2);
	end_view(v);
}

/*
 * The CPU has made the page dirty, so a request to write looks like one that was served already.
 * Read-only and back: the entries are clean, and one of them is asked for alone.
 */
static void a_request_for_one_of_contiguous_entries_is_served(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = medium_page(v, 1);
	u32 grpid = 1;

	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SZ_64K, PROT_READ), 0);
	KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, SZ_64K, RW), 0);
	cpu_writes(v, v->s.proc, addr, PAGE_SIZE, 2);
	for (size_t at = 0; at < SZ_64K; at += PAGE_SIZE, grpid++) {
		KUNIT_ASSERT_EQ(test, sva_ask(v->ep, v->s.pasid, addr + at, IOMMU_FAULT_PERM_WRITE,
					      grpid), 0);
		KUNIT_EXPECT_EQ(test, soft_pri_wait(v->ep, v->s.pasid, grpid, 30000),
				IOMMU_PAGE_RESP_SUCCESS);
		KUNIT_EXPECT_NE(test, soft_ats_translate(v->ep, v->s.pasid, addr + at,
							 IOMMU_FAULT_PERM_WRITE) &
				IOMMU_FAULT_PERM_WRITE, 0U);
	}
	device_writes(v, addr, SZ_64K, 3);
	cpu_sees(v, v->s.proc, addr, SZ_64K, 0, 3);
	end_view(v);
}

static void a_page_of_64_kb_cut_by_munmap_keeps_the_rest(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = medium_page(v, 1);

	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr + 4 * PAGE_SIZE, PAGE_SIZE), 0);
	device_sees(v, addr, 4 * PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + 4 * PAGE_SIZE, PAGE_SIZE);
	device_sees(v, addr + 5 * PAGE_SIZE, SZ_64K - 5 * PAGE_SIZE, 5 * PAGE_SIZE, 1);
	end_view(v);
}

/* Reclaim, migration, deduplication: the kernel's own reasons */

static unsigned long some_swapped_pages(struct view *v)
{
	unsigned long addr;

	sva_swap_on(v->test, 2048);
	addr = some_pages(v, SOME, 1);
	page_out(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_TRUE(v->test, look(v, v->s.proc, addr).swapped);
	return addr;
}

static void device_reads_what_was_swapped_out(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_swapped_pages(v);

	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void device_writes_to_what_was_swapped_out(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_swapped_pages(v);

	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

/* Only the device has written since the page was last on the disk: its dirty bit decides. */
static void bytes_of_the_device_are_swapped_out(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr;

	sva_swap_on(test, 2048);
	addr = some_pages(v, SOME, 1);
	page_out(v, addr, SOME * PAGE_SIZE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	page_out(v, addr, SOME * PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, look(v, v->s.proc, addr).swapped);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void a_huge_page_swapped_out_comes_back(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr;

	sva_swap_on(test, 2048);
	addr = huge_page(v, 1);
	page_out(v, addr, HUGE);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static struct folio *another_folio(struct folio *src, unsigned long private)
{
	return folio_alloc(GFP_HIGHUSER_MOVABLE, folio_order(src));
}

/* Runs in the process: moves the page at an address elsewhere, as compaction would. */
static long migrate_page_at(void *arg)
{
	struct folio *folio;
	struct page *page;
	LIST_HEAD(list);
	long ret = 0;

	if (get_user_pages_fast(*(unsigned long *)arg, 1, 0, &page) != 1)
		return -EFAULT;
	folio = page_folio(page);
	/* Only what is on an LRU list, and not in a CPU's batch for it, can be isolated. */
	lru_add_drain_all();
	if (!folio_isolate_lru(folio))
		ret = -EBUSY;
	folio_put(folio);
	if (ret)
		return ret;

	node_stat_mod_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio),
			    folio_nr_pages(folio));
	list_add(&folio->lru, &list);
	if (!migrate_pages(&list, another_folio, NULL, 0, MIGRATE_SYNC, MR_SYSCALL, NULL))
		return 0;
	putback_movable_pages(&list);
	return -EAGAIN;
}

static void migrated_pages_are_followed(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	unsigned long pfn, at;

	for (unsigned int i = 0; i < SOME; i++) {
		at = addr + i * PAGE_SIZE;
		pfn = pfn_of(v, at);
		KUNIT_ASSERT_EQ(test, sva_proc_call(v->s.proc, migrate_page_at, &at), 0);
		KUNIT_EXPECT_NE(test, pfn_of(v, at), pfn);
	}
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void merge_same_pages(struct view *v)
{
	sva_sysfs_set(v->test, "kernel/mm/ksm/sleep_millisecs", "0");
	sva_sysfs_set(v->test, "kernel/mm/ksm/pages_to_scan", "100");
	sva_sysfs_set(v->test, "kernel/mm/ksm/run", "1");
}

/* Two pages with the same bytes, which have become one. */
static unsigned long merged_pages(struct view *v, u8 seed)
{
	unsigned long addr = sva_proc_map(v->s.proc, 2 * PAGE_SIZE);

	prepare(v, addr, PAGE_SIZE, seed);
	prepare(v, addr + PAGE_SIZE, PAGE_SIZE, seed);
	KUNIT_ASSERT_EQ(v->test, sva_proc_madvise(v->s.proc, addr, 2 * PAGE_SIZE, MADV_MERGEABLE),
			0);
	merge_same_pages(v);
	KUNIT_ASSERT_TRUE_MSG(v->test, sva_becomes(pfn_of(v, addr) &&
						   pfn_of(v, addr) == pfn_of(v, addr + PAGE_SIZE)),
			      "the pages were not merged");
	return addr;
}

static void merged_pages_read_the_same(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = merged_pages(v, 5);

	device_sees(v, addr, PAGE_SIZE, 0, 5);
	device_sees(v, addr + PAGE_SIZE, PAGE_SIZE, 0, 5);
	end_view(v);
}

static void a_device_write_unmerges_a_page(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = merged_pages(v, 6);

	device_writes(v, addr, PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, PAGE_SIZE, 0, 2);
	cpu_sees(v, v->s.proc, addr + PAGE_SIZE, PAGE_SIZE, 0, 6);
	device_sees(v, addr + PAGE_SIZE, PAGE_SIZE, 0, 6);
	end_view(v);
}

static void pages_unmerged_by_request_are_followed(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = merged_pages(v, 7);

	device_sees(v, addr, PAGE_SIZE, 0, 7);
	KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, 2 * PAGE_SIZE, MADV_UNMERGEABLE),
			0);
	KUNIT_EXPECT_NE(test, pfn_of(v, addr), pfn_of(v, addr + PAGE_SIZE));
	cpu_writes(v, v->s.proc, addr, PAGE_SIZE, 3);
	device_sees(v, addr, PAGE_SIZE, 0, 3);
	device_sees(v, addr + PAGE_SIZE, PAGE_SIZE, 0, 7);
	end_view(v);
}

/* Files */

static long new_file(struct view *v, size_t len)
{
	unsigned long name = sva_proc_string(v->s.proc, "bench");
	long fd = sva_proc_syscall(v->s.proc, __NR_memfd_create, name, 0, 0, 0, 0, 0);

	KUNIT_ASSERT_GE(v->test, fd, 0L);
	KUNIT_ASSERT_EQ(v->test, sva_proc_syscall(v->s.proc, __NR_ftruncate, fd, len, 0, 0, 0, 0),
			0);
	return fd;
}

static unsigned long map_file(struct view *v, long fd, size_t len, unsigned long flags)
{
	unsigned long addr = sva_proc_syscall(v->s.proc, __NR_mmap, 0, len, RW, flags, fd, 0);

	KUNIT_ASSERT_FALSE(v->test, IS_ERR_VALUE(addr));
	return addr;
}

static void a_truncated_file_is_out_of_reach(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);

	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_syscall(v->s.proc, __NR_ftruncate, fd, 3 * PAGE_SIZE, 0, 0,
					       0, 0), 0);
	device_sees(v, addr, 3 * PAGE_SIZE, 0, 1);
	device_is_refused(v, addr + 3 * PAGE_SIZE, 5 * PAGE_SIZE);
	end_view(v);
}

static void a_hole_punched_into_a_file_reads_zero(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);

	prepare(v, addr, SOME * PAGE_SIZE, 1);
	KUNIT_EXPECT_EQ(test, sva_proc_syscall(v->s.proc, __NR_fallocate, fd,
					       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					       PAGE_SIZE, 2 * PAGE_SIZE, 0, 0), 0);
	device_sees(v, addr, PAGE_SIZE, 0, 1);
	device_sees(v, addr + PAGE_SIZE, 2 * PAGE_SIZE, 0, 0);
	device_sees(v, addr + 3 * PAGE_SIZE, 5 * PAGE_SIZE, 3 * PAGE_SIZE, 1);
	end_view(v);
}

static void a_file_is_the_same_for_two_mappings(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);
	unsigned long other = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);

	prepare(v, addr, SOME * PAGE_SIZE, 1);
	stash_translations(v, other, SOME * PAGE_SIZE);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, other, SOME * PAGE_SIZE, 0, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, SOME * PAGE_SIZE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	device_sees(v, other, SOME * PAGE_SIZE, 0, 2);
	end_view(v);
}

static void a_private_file_page_is_copied_on_a_device_write(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long shared = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_PRIVATE);

	prepare(v, shared, SOME * PAGE_SIZE, 1);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, shared, SOME * PAGE_SIZE, 0, 1);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	device_sees(v, shared, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

static void a_private_file_page_is_copied_on_a_cpu_write(struct kunit *test)
{
	struct view *v = new_view(test);
	long fd = new_file(v, SOME * PAGE_SIZE);
	unsigned long shared = map_file(v, fd, SOME * PAGE_SIZE, MAP_SHARED);
	unsigned long addr = map_file(v, fd, SOME * PAGE_SIZE, MAP_PRIVATE);

	prepare(v, shared, SOME * PAGE_SIZE, 1);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 1);
	cpu_writes(v, v->s.proc, addr, SOME * PAGE_SIZE, 2);
	device_sees(v, addr, SOME * PAGE_SIZE, 0, 2);
	device_sees(v, shared, SOME * PAGE_SIZE, 0, 1);
	end_view(v);
}

/* Pages from the pool of huge pages */
static void a_hugetlb_page_unmapped_is_gone(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr;

	sva_sysfs_set(test, "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "4");
	addr = sva_proc_mmap(v->s.proc, 0, HUGE, RW, ANON | MAP_HUGETLB);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	prepare(v, addr, SOME * PAGE_SIZE, 1);
	device_writes(v, addr, SOME * PAGE_SIZE, 2);
	cpu_sees(v, v->s.proc, addr, SOME * PAGE_SIZE, 0, 2);
	KUNIT_EXPECT_EQ(test, sva_proc_munmap(v->s.proc, addr, HUGE), 0);
	device_is_refused(v, addr, SOME * PAGE_SIZE);
	end_view(v);
}

/* Write protection by userfaultfd, lifted by the first write: the device's counts as one */

static long watch_writes(struct view *v, unsigned long addr, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct uffdio_register reg = { .range = { addr, len }, .mode = UFFDIO_REGISTER_MODE_WP };
	long fd = sva_proc_syscall(v->s.proc, __NR_userfaultfd, O_CLOEXEC, 0, 0, 0, 0, 0);

	KUNIT_ASSERT_GE(v->test, fd, 0L);
	KUNIT_ASSERT_EQ(v->test, sva_proc_syscall(v->s.proc, __NR_ioctl, fd, UFFDIO_API,
						  sva_proc_pass(v->s.proc, &api, sizeof(api)), 0, 0,
						  0), 0);
	KUNIT_ASSERT_EQ(v->test, sva_proc_syscall(v->s.proc, __NR_ioctl, fd, UFFDIO_REGISTER,
						  sva_proc_pass(v->s.proc, &reg, sizeof(reg)), 0, 0,
						  0), 0);
	return fd;
}

static void write_protection_by_userfaultfd_is_noticed(struct kunit *test)
{
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct view *v;
	unsigned long arg;
	long fd;

	if (!IS_ENABLED(CONFIG_HAVE_ARCH_USERFAULTFD_WP))
		kunit_skip(test, "this architecture has no write protection by userfaultfd");
	v = new_view(test);
	wp.range.start = some_pages(v, SOME, 1);
	wp.range.len = SOME * PAGE_SIZE;
	fd = watch_writes(v, wp.range.start, wp.range.len);
	arg = sva_proc_pass(v->s.proc, &wp, sizeof(wp));
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(v->s.proc, __NR_ioctl, fd, UFFDIO_WRITEPROTECT, arg,
					       0, 0, 0), 0);
	KUNIT_ASSERT_TRUE(test, look(v, v->s.proc, wp.range.start).uffd_wp);

	device_sees(v, wp.range.start, SOME * PAGE_SIZE, 0, 1);
	device_writes(v, wp.range.start, PAGE_SIZE, 2);
	KUNIT_EXPECT_FALSE(test, look(v, v->s.proc, wp.range.start).uffd_wp);
	KUNIT_EXPECT_TRUE(test, look(v, v->s.proc, wp.range.start + PAGE_SIZE).uffd_wp);
	cpu_sees(v, v->s.proc, wp.range.start, PAGE_SIZE, 0, 2);
	end_view(v);
}

/* Everything at once: DMA without pause while mappings change under it. The fixture judges. */
static void mappings_change_under_running_dma(struct kunit *test)
{
	struct view *v = new_view(test);
	unsigned long addr = some_pages(v, SOME, 1);
	size_t len = SOME * PAGE_SIZE;

	KUNIT_ASSERT_EQ(test, soft_storm_start(v->ep, v->s.pasid, addr, len, true), 0);
	for (unsigned int turn = 0; turn < 30; turn++) {
		KUNIT_EXPECT_EQ(test, sva_proc_madvise(v->s.proc, addr, len, MADV_DONTNEED), 0);
		KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, len / 2, PROT_READ), 0);
		map_at(v, addr + len / 2, len / 2, ANON);
		KUNIT_EXPECT_EQ(test, sva_proc_mprotect(v->s.proc, addr, len, RW), 0);
		map_at(v, addr, len, ANON);
	}
	/* The last mapping is one that the device may write. */
	KUNIT_EXPECT_TRUE(test, sva_becomes(look(v, v->s.proc, addr).write));
	KUNIT_EXPECT_GT(test, soft_storm_stop(v->ep), 0ULL);
	end_view(v);
}

static struct kunit_case sva_notifier_cases[] = {
	KUNIT_CASE(munmap_ends_access),
	KUNIT_CASE(munmap_in_the_middle_leaves_the_rest),
	KUNIT_CASE(mapping_again_shows_the_new_pages),
	KUNIT_CASE(mapping_over_a_mapping_replaces_it),
	KUNIT_CASE(a_freed_page_table_is_not_walked),
	KUNIT_CASE(munmap_of_a_range_across_page_tables),
	KUNIT_CASE(munmap_at_the_end_of_the_address_space),
	KUNIT_CASE(munmap_at_the_start_of_the_address_space),
	KUNIT_CASE_SLOW(munmap_of_many_pages_reaches_each),
	KUNIT_CASE(munmap_of_a_sparse_gigabyte),
	KUNIT_CASE(fresh_top_level_slots_come_and_go),
	KUNIT_CASE(both_devices_hear_of_an_unmapping),
	KUNIT_CASE(another_process_keeps_its_translations),
	KUNIT_CASE(read_only_ends_writes_but_not_reads),
	KUNIT_CASE(prot_none_ends_access),
	KUNIT_CASE(protection_given_back_lets_the_device_in_again),
	KUNIT_CASE(memory_made_writable_can_be_written),
	KUNIT_CASE(protecting_one_page_leaves_its_neighbours),
	KUNIT_CASE(moved_memory_is_at_its_new_place_only),
	KUNIT_CASE(a_moved_page_table_is_at_its_new_place_only),
	KUNIT_CASE(memory_that_grows_keeps_its_bytes),
	KUNIT_CASE(memory_that_shrinks_loses_its_end),
	KUNIT_CASE(pages_moved_away_leave_zero),
	KUNIT_CASE(dontneed_makes_the_device_read_zero),
	KUNIT_CASE(dontneed_of_one_page_leaves_its_neighbours),
	KUNIT_CASE(bytes_written_after_madv_free_stay),
	KUNIT_CASE(parent_writes_are_seen_after_fork),
	KUNIT_CASE(child_writes_are_not_seen_by_the_parents_device),
	KUNIT_CASE(device_writes_stay_out_of_the_childs_memory),
	KUNIT_CASE(devices_of_parent_and_child_stay_apart),
	KUNIT_CASE(parent_gets_its_pages_back_when_the_child_ends),
	KUNIT_CASE(the_zero_page_is_replaced_by_a_cpu_write),
	KUNIT_CASE(the_zero_page_is_replaced_by_a_device_write),
	KUNIT_CASE(a_huge_page_split_by_munmap_keeps_the_rest),
	KUNIT_CASE(a_huge_page_split_by_mprotect_is_read_only_there),
	KUNIT_CASE(a_huge_page_made_read_only_is_not_written),
	KUNIT_CASE(a_part_of_a_huge_page_given_up_reads_zero),
	KUNIT_CASE(a_huge_page_unmapped_is_gone),
	KUNIT_CASE(a_huge_page_moved_is_at_its_new_place_only),
	KUNIT_CASE(a_huge_page_is_copied_on_a_device_write_after_fork),
	KUNIT_CASE(pages_collapsed_to_a_huge_one_are_followed),
	KUNIT_CASE(a_page_of_64_kb_is_used_at_each_of_its_pages),
	KUNIT_CASE(a_request_for_one_of_contiguous_entries_is_served),
	KUNIT_CASE(a_page_of_64_kb_cut_by_munmap_keeps_the_rest),
	KUNIT_CASE(device_reads_what_was_swapped_out),
	KUNIT_CASE(device_writes_to_what_was_swapped_out),
	KUNIT_CASE(bytes_of_the_device_are_swapped_out),
	KUNIT_CASE(a_huge_page_swapped_out_comes_back),
	KUNIT_CASE(migrated_pages_are_followed),
	KUNIT_CASE_SLOW(merged_pages_read_the_same),
	KUNIT_CASE_SLOW(a_device_write_unmerges_a_page),
	KUNIT_CASE_SLOW(pages_unmerged_by_request_are_followed),
	KUNIT_CASE(a_truncated_file_is_out_of_reach),
	KUNIT_CASE(a_hole_punched_into_a_file_reads_zero),
	KUNIT_CASE(a_file_is_the_same_for_two_mappings),
	KUNIT_CASE(a_private_file_page_is_copied_on_a_device_write),
	KUNIT_CASE(a_private_file_page_is_copied_on_a_cpu_write),
	KUNIT_CASE(a_hugetlb_page_unmapped_is_gone),
	KUNIT_CASE(write_protection_by_userfaultfd_is_noticed),
	KUNIT_CASE(mappings_change_under_running_dma),
	{}
};

static struct kunit_suite sva_notifier_suite = {
	.name = "iommu_sva_notifier",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_notifier_cases,
};

kunit_test_suite(sva_notifier_suite);
