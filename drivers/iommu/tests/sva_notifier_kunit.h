/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of the MMU notifier have in common: memory that a process and a device use
 *
 * What the CPU's side does to memory, the device's side sees.
 *
 * Each case has a device use some memory, so that its ATC and the IOTLB know the translations; then
 * the process or the kernel changes the mapping; then the device must see what the process sees,
 * byte for byte. stash_translations() makes sure that there is something stale to be found. What
 * goes through freed memory besides is found by the software IOMMU and by the fixture.
 *
 * Memory is filled with bytes that depend on where they are and on a seed, so that a byte from
 * elsewhere or from before is seen.
 */
#ifndef _DRIVERS_IOMMU_TESTS_SVA_NOTIFIER_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_SVA_NOTIFIER_KUNIT_H

#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pgtable.h>

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

static inline u8 byte_at(unsigned long offset, u8 seed)
{
	return seed + offset * 7 + (offset >> PAGE_SHIFT) * 31;
}

static inline void make_page(u8 *buf, unsigned long offset, u8 seed)
{
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		buf[i] = byte_at(offset + i, seed);
}

/* The first byte of @buf that is not what @seed says, or -1. Seed 0: all bytes are zero. */
static inline int first_wrong(const u8 *buf, unsigned long offset, u8 seed)
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
static inline void cpu_writes(struct view *v, struct sva_proc *proc, unsigned long addr, size_t len,
			      u8 seed)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		make_page(v->buf, at, seed);
		KUNIT_ASSERT_EQ(v->test, sva_proc_write(proc, addr + at, v->buf, PAGE_SIZE), 0);
	}
}

static inline void device_writes(struct view *v, unsigned long addr, size_t len, u8 seed)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		int ret;

		make_page(v->buf, at, seed);
		ret = soft_dma_write(v->ep, v->s.pasid, addr + at, v->buf, PAGE_SIZE);
		KUNIT_ASSERT_EQ_MSG(v->test, ret, 0, "page %zu", at / PAGE_SIZE);
	}
}

static inline void expect_bytes(struct view *v, const char *who, int ret, size_t at,
				unsigned long offset, u8 seed)
{
	int wrong = ret ? -1 : first_wrong(v->buf, offset, seed);

	KUNIT_EXPECT_EQ_MSG(v->test, ret, 0, "%s: page %zu", who, at / PAGE_SIZE);
	KUNIT_EXPECT_EQ_MSG(v->test, wrong, -1, "%s: page %zu: %#x, seed %u", who, at / PAGE_SIZE,
			    wrong < 0 ? 0 : v->buf[wrong], seed);
}

static inline void cpu_sees(struct view *v, struct sva_proc *proc, unsigned long addr, size_t len,
			    unsigned long from, u8 seed)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		int ret = sva_proc_read(proc, addr + at, v->buf, PAGE_SIZE);

		expect_bytes(v, "CPU", ret, at, from + at, seed);
	}
}

/* With ATS and without: the ATC and the IOTLB may be wrong each on its own. */
static inline void device_sees(struct view *v, unsigned long addr, size_t len, unsigned long from,
			       u8 seed)
{
	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		int ret = soft_dma_read(v->ep, v->s.pasid, addr + at, v->buf, PAGE_SIZE);

		expect_bytes(v, "device", ret, at, from + at, seed);
		ret = soft_dma_untranslated(v->ep, v->s.pasid, addr + at, false, v->buf, PAGE_SIZE);
		expect_bytes(v, "device without ATS", ret, at, from + at, seed);
	}
}

static inline void device_is_refused(struct view *v, unsigned long addr, size_t len)
{
	u64 value = 0;

	for (size_t at = 0; at < len; at += PAGE_SIZE) {
		SVA_EXPECT_REFUSED(v->test, v->ep, v->s.pasid, addr + at);
		KUNIT_EXPECT_EQ(v->test, soft_dma_untranslated(v->ep, v->s.pasid, addr + at, false,
							       &value, sizeof(value)), -EFAULT);
	}
}

static inline void device_may_only_read(struct view *v, unsigned long addr, size_t len)
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

static inline struct view *view_of(struct kunit *test, struct soft_endpoint *ep,
				   struct sva_proc *proc)
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

static inline struct view *new_view(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;

	return view_of(test, fix->ep[0], sva_proc_start(test));
}

static inline void end_view(struct view *v)
{
	iommu_sva_unbind_device(v->s.sva);
}

/*
 * The device reads and writes each page, by translated and untranslated requests, and leaves the
 * bytes as they are. Afterwards the last pages, as many as have room, are answered by the ATC.
 */
static inline void stash_translations(struct view *v, unsigned long addr, size_t len)
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
static inline void prepare(struct view *v, unsigned long addr, size_t len, u8 seed)
{
	cpu_writes(v, v->s.proc, addr, len, seed);
	stash_translations(v, addr, len);
}

static inline unsigned long some_pages(struct view *v, unsigned int pages, u8 seed)
{
	unsigned long addr = sva_proc_map(v->s.proc, pages * PAGE_SIZE);

	prepare(v, addr, pages * PAGE_SIZE, seed);
	return addr;
}

static inline void map_at(struct view *v, unsigned long addr, size_t len, unsigned long flags)
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

static inline void look_at_pmd(pmd_t *pmdp, unsigned long addr, struct entry *entry)
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
static inline struct entry look(struct view *v, struct sva_proc *proc, unsigned long addr)
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

/* Reclaim */

/* True when none of the pages is mapped. */
static inline bool page_out_once(struct view *v, unsigned long addr, size_t len)
{
	sva_proc_page_out(v->s.proc, addr, len);
	for (size_t at = 0; at < len; at += PAGE_SIZE)
		if (look(v, v->s.proc, addr + at).present)
			return false;
	return true;
}

static inline void page_out(struct view *v, unsigned long addr, size_t len)
{
	KUNIT_ASSERT_TRUE_MSG(v->test, sva_becomes(page_out_once(v, addr, len)),
			      "the pages stay in memory");
}

#endif /* _DRIVERS_IOMMU_TESTS_SVA_NOTIFIER_KUNIT_H */
