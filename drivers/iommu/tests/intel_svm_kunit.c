// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d back-end of the SVA core: which IOMMUs it takes, and its flushes of ranges
 */
#include <linux/irqflags.h>
#include <linux/prandom.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>

#include "intel_vtd_kunit.h"

/* Capabilities */

struct vtd_lack {
	const char *name;
	u64 cap;
	u64 ecap;
};

static const struct vtd_lack vtd_lacks[] = {
	{ "PASID", 0, BIT_ULL(40) },
	{ "first-stage translation", 0, BIT_ULL(47) },
	{ "coherent page walks", 0, BIT_ULL(48) },
	{ "page requests", 0, BIT_ULL(29) },
	{ "page request drain", 0, BIT_ULL(42) },
	{ "1 GiB pages, which the CPU has", BIT_ULL(56), 0 },
	{ "5-level paging, which the CPU uses", BIT_ULL(60), 0 },
};

KUNIT_ARRAY_PARAM_DESC(vtd_lack, vtd_lacks, name);

static void each_missing_capability_is_named(struct kunit *test)
{
	const struct vtd_lack *lack = test->param_value;
	const char *said = intel_svm_missing_cap(VTD_CAP & ~lack->cap, VTD_ECAP & ~lack->ecap,
						 true, true);

	KUNIT_ASSERT_NOT_NULL(test, said);
	KUNIT_EXPECT_STREQ(test, said, lack->name);
}

static void nothing_else_is_asked_for(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, intel_svm_missing_cap(VTD_CAP, VTD_ECAP, true, true));
	KUNIT_EXPECT_NULL(test, intel_svm_missing_cap(VTD_CAP, ~0ULL, true, true));
}

/* What the CPU's tables never hold the IOMMU need not know. */
static void page_sizes_and_levels_follow_the_cpu(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, intel_svm_missing_cap(0, VTD_ECAP, false, false));
	KUNIT_EXPECT_NOT_NULL(test, intel_svm_missing_cap(BIT_ULL(60), VTD_ECAP, true, false));
	KUNIT_EXPECT_NULL(test, intel_svm_missing_cap(BIT_ULL(56), VTD_ECAP, true, false));
	KUNIT_EXPECT_NOT_NULL(test, intel_svm_missing_cap(BIT_ULL(56), VTD_ECAP, false, true));
	KUNIT_EXPECT_NULL(test, intel_svm_missing_cap(BIT_ULL(60), VTD_ECAP, false, true));
}

static bool vtd_is_marked(struct vtd *vtd)
{
	vtd->hw->flags = 0;
	intel_svm_check(vtd->hw);
	return vtd->hw->flags & VTD_FLAG_SVM_CAPABLE;
}

static void capable_iommu_is_marked(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	KUNIT_EXPECT_TRUE(test, vtd_is_marked(vtd));
}

static void incapable_iommu_is_not_marked(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->hw->ecap &= ~BIT_ULL(29);
	KUNIT_EXPECT_FALSE(test, vtd_is_marked(vtd));
}

static void legacy_mode_iommu_is_not_marked(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd->hw->ecap &= ~BIT_ULL(43);
	KUNIT_EXPECT_FALSE(test, vtd_is_marked(vtd));
}

static void incapable_iommu_has_no_domains(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct iommu_domain *domain;

	vtd->hw->flags = 0;
	domain = intel_svm_domain_alloc(&vtd->dev[0]->pdev.dev, NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(domain), -ENODEV);
}

/* Ranges */

static void vtd_expect_blocks(struct kunit *test, unsigned long start, unsigned long end,
			      unsigned int count, u64 first, u64 last)
{
	const struct sva_costs costs = backend_costs(VTD_MAMV);

	backend_expect_blocks(test, sva_make_blocks(start, end, &costs), count, first, last);
}

static void one_page_is_one_block(struct kunit *test)
{
	vtd_expect_blocks(test, 0, SZ_4K, 1, 0, 0);
	vtd_expect_blocks(test, 0x7ffffffff000, 0x800000000000, 1, 0x7ffffffff, 0x7ffffffff);
}

static void huge_pages_are_one_block(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_1G, SZ_1G + SZ_2M, 1, 0x40000, 0x401ff);
	vtd_expect_blocks(test, SZ_1G, SZ_2G, 1, 0x40000, 0x7ffff);
}

static void ragged_ends_are_rounded(struct kunit *test)
{
	vtd_expect_blocks(test, 0, 7 * SZ_4K, 1, 0, 7);
	vtd_expect_blocks(test, SZ_4K, 8 * SZ_4K, 1, 0, 7);
	vtd_expect_blocks(test, SZ_2M - SZ_4K, SZ_2M + SZ_4K, 1, 0, 1023);
}

/* A block around both pages would cover a gigabyte and more. */
static void pages_across_a_large_alignment_are_two_blocks(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_1G - SZ_4K, SZ_1G + SZ_4K, 2, 0x3ffff, 0x40000);
	vtd_expect_blocks(test, SZ_1G - 3 * SZ_4K, SZ_1G + 5 * SZ_4K, 2, 0x3fffc, 0x40007);
}

/* Each side has three blocks of 8192 pages and more. */
static void large_blocks_are_not_rounded(struct kunit *test)
{
	vtd_expect_blocks(test, BACKEND_SIX_BLOCKS_START, BACKEND_SIX_BLOCKS_END, 6, 0x116000,
			  0x169fff);
	vtd_expect_blocks(test, BACKEND_SIX_BLOCKS_START + SZ_4K, BACKEND_SIX_BLOCKS_END - SZ_4K,
			  6, 0x116000, 0x169fff);
}

static void bytes_within_pages_cover_the_pages(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_1M + 1, SZ_1M + 2, 1, 256, 256);
	vtd_expect_blocks(test, SZ_1M + 4095, SZ_1M + 4097, 1, 256, 257);
}

static void everything_is_one_block(struct kunit *test)
{
	vtd_expect_blocks(test, 0, ~0UL, 1, 0, GENMASK_ULL(51, 0));
}

static void end_of_the_address_space_is_everything(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_4K, ~0UL, 1, 0, GENMASK_ULL(51, 0));
}

static void range_that_is_none_is_everything(struct kunit *test)
{
	vtd_expect_blocks(test, SZ_1M, SZ_1M, 1, 0, GENMASK_ULL(51, 0));
	vtd_expect_blocks(test, SZ_2M, SZ_1M, 1, 0, GENMASK_ULL(51, 0));
	vtd_expect_blocks(test, SZ_1M, 0, 1, 0, GENMASK_ULL(51, 0));
}

/* 2^18 pages at most in a block: 17 of them are too many descriptors. */
static void range_of_too_many_blocks_is_everything(struct kunit *test)
{
	vtd_expect_blocks(test, 0, 16UL * SZ_1G, 16, 0, (16UL * SZ_1G >> 12) - 1);
	vtd_expect_blocks(test, 0, 17UL * SZ_1G, 1, 0, GENMASK_ULL(51, 0));
}

/* No page too few, no block askew, no address mask beyond MAMV, and no cheaper way */
static void random_ranges_are_covered_at_the_least_cost(struct kunit *test)
{
	const struct sva_costs iotlb = backend_costs(VTD_MAMV);
	struct rnd_state rnd;

	prandom_seed_state(&rnd, VTD_SEED);
	for (unsigned int i = 0; i < 100; i++) {
		const struct sva_costs costs = {
			.max_order = prandom_u32_state(&rnd) % (SVA_ORDER_ALL + 1),
			.pages = 1U << prandom_u32_state(&rnd) % 15,
			.all = 1 + prandom_u32_state(&rnd) % 32,
		};
		u64 pfn = (u64)prandom_u32_state(&rnd) << 4 >> prandom_u32_state(&rnd) % 36;
		u64 pages = 1 + ((u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32);

		backend_expect_cheapest(test, pfn, pages, &costs);
		backend_expect_cheapest(test, pfn, pages, &iotlb);
		cond_resched();
	}
}

/* Descriptors */

static void iotlb_descriptor_names_pasid_and_pages(struct kunit *test)
{
	struct qi_desc desc;

	intel_svm_make_iotlb_desc(&desc, 0xabcde, 0x7f0000200000, 9);
	KUNIT_EXPECT_EQ(test, desc.qw0, 6 | 3 << 4 | 1 << 16 | 0xabcdeULL << 32);
	KUNIT_EXPECT_EQ(test, desc.qw1, 0x7f0000200000 | 9);
	KUNIT_EXPECT_EQ(test, desc.qw2 | desc.qw3, 0);
}

static void iotlb_descriptor_of_everything_is_pasid_selective(struct kunit *test)
{
	struct qi_desc desc;

	intel_svm_make_iotlb_desc(&desc, 0xabcde, 0, SVA_ORDER_ALL);
	KUNIT_EXPECT_EQ(test, desc.qw0, 6 | 2 << 4 | 1 << 16 | 0xabcdeULL << 32);
	KUNIT_EXPECT_EQ(test, desc.qw1 | desc.qw2 | desc.qw3, 0);
}

/* Upper-level tables are freed too: the invalidation hint would keep what is cached of them. */
static void iotlb_descriptor_has_no_invalidation_hint(struct kunit *test)
{
	struct qi_desc desc;

	for (unsigned int order = 0; order <= VTD_MAMV; order++) {
		intel_svm_make_iotlb_desc(&desc, 1, 0, order);
		KUNIT_EXPECT_FALSE(test, desc.qw1 & BIT_ULL(6));
	}
}

static void atc_descriptor_names_device_and_pasid(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc;

	intel_svm_make_atc_desc(&desc, &vtd->dev[1]->info, 0xabcde, 0x7f0000201000, 0);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(3, 0), desc.qw0), VTD_ATC);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(8, 4), desc.qw0), 10);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 16), desc.qw0), 0x3a19);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc.qw0), 0xabcde);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(15, 12), desc.qw0) |
			      FIELD_GET(GENMASK_ULL(63, 52), desc.qw0) << 4, 0x3a11);
	KUNIT_EXPECT_EQ(test, desc.qw1, 0x7f0000201000);
}

/* 0 means 32, as in the ATS capability. */
static void atc_descriptor_holds_a_queue_depth_of_five_bits(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc;

	for (unsigned int depth = 0; depth <= 32; depth++) {
		vtd->dev[0]->info.ats_qdep = depth;
		intel_svm_make_atc_desc(&desc, &vtd->dev[0]->info, 1, 0, 0);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(8, 4), desc.qw0), depth % 32);
	}
}

static void atc_size_field_is_read_back_at_any_order(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct qi_desc desc;

	for (unsigned int order = 0; order <= SVA_ORDER_ALL; order++) {
		u64 pfn = order < 30 ? (0x7e5a5a5a5ULL >> order | 1) << order : 0;

		intel_svm_make_atc_desc(&desc, &vtd->dev[0]->info, 1, pfn << 12, order);
		KUNIT_EXPECT_EQ(test, vtd_atc_order(&desc), order);
		KUNIT_EXPECT_EQ(test, vtd_atc_pfn(&desc), pfn);
		KUNIT_EXPECT_FALSE(test, desc.qw1 & GENMASK_ULL(10, 0));
	}
}

static void pasid_cache_descriptor_is_pasid_selective(struct kunit *test)
{
	struct qi_desc desc;

	intel_svm_make_pasid_cache_desc(&desc, 0xabcde);
	KUNIT_EXPECT_EQ(test, desc.qw0, 7 | 1 << 4 | 1 << 16 | 0xabcdeULL << 32);
	KUNIT_EXPECT_EQ(test, desc.qw1 | desc.qw2 | desc.qw3, 0);
}

/* Flushes of ranges */

/*
 * Checks that the descriptors of @type are, in order, blocks that cover [first, last]. For one
 * device. Returns how many pages they cover.
 */
static u64 vtd_expect_cover(struct vtd *vtd, unsigned int type, u64 first, u64 last)
{
	const struct vtd_event *event;
	u64 pfn, from = 0, next = 0;
	unsigned int order;

	for (unsigned int n = 0; (event = vtd_find(vtd, type, n)); n++) {
		bool atc = type == VTD_ATC;

		order = atc ? vtd_atc_order(&event->desc) : vtd_iotlb_order(&event->desc);
		pfn = atc ? vtd_atc_pfn(&event->desc) : vtd_iotlb_pfn(&event->desc);
		KUNIT_ASSERT_EQ(vtd->test, pfn & ((1ULL << order) - 1), 0);
		if (n)
			KUNIT_ASSERT_EQ(vtd->test, pfn, next);
		else
			from = pfn;
		next = pfn + (1ULL << order);
	}
	KUNIT_ASSERT_LE(vtd->test, from, first);
	KUNIT_ASSERT_GT(vtd->test, next, last);
	return next - from;
}

static void flush_covers_random_ranges(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct rnd_state rnd;

	vtd_attach_both(vtd);
	vtd->dev[1]->info.ats_enabled = 0;
	prandom_seed_state(&rnd, VTD_SEED);
	for (unsigned int i = 0; i < 2000; i++) {
		u64 pfn = (u64)prandom_u32_state(&rnd) << 3 >> prandom_u32_state(&rnd) % 35;
		u64 pages = 1 + (prandom_u32_state(&rnd) % SZ_128K >>
				 prandom_u32_state(&rnd) % 17);

		vtd->nr = 0;
		vtd_invalidate(vtd, pfn << 12, (pfn + pages) << 12);
		vtd_expect_cover(vtd, VTD_IOTLB, pfn, pfn + pages - 1);
		vtd_expect_cover(vtd, VTD_ATC, pfn, pfn + pages - 1);
	}
	vtd_detach_both(vtd);
}

/* One block for the IOTLB and for each device, as the base has, and one wait */
static void sixty_four_pages_of_eight_devices_are_nine_descriptors(struct kunit *test)
{
	const u64 pages = 64, base = 0x7f1230000;
	struct vtd *vtd = test->priv;

	for (unsigned int n = 0; n < 8; n++) {
		if (!vtd->dev[n])
			vtd_add_dev(vtd, n);
		KUNIT_ASSERT_EQ(test, vtd_attach(vtd, n), 0);
	}
	for (u64 pfn = base; pfn <= base + 8192 - pages; pfn += 7) {
		vtd->nr = 0;
		vtd_invalidate(vtd, pfn << 12, (pfn + pages) << 12);
		KUNIT_ASSERT_EQ(test, vtd_count(vtd, VTD_IOTLB), 1);
		KUNIT_ASSERT_EQ(test, vtd_count(vtd, VTD_ATC), 8);
		KUNIT_ASSERT_EQ(test, vtd_submissions(vtd), 1);
		KUNIT_ASSERT_LE(test, vtd_expect_cover(vtd, VTD_IOTLB, pfn, pfn + pages - 1),
				8192);
	}
	for (unsigned int n = 0; n < 8; n++)
		vtd_detach(vtd, n);
}

/* Up to 128 TiB */
static void descriptors_of_a_flush_of_any_size_are_bounded(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	struct rnd_state rnd;

	vtd_attach_both(vtd);
	vtd->dev[1]->info.ats_enabled = 0;
	prandom_seed_state(&rnd, VTD_SEED);
	for (unsigned int i = 0; i < 3500; i++) {
		u64 pages = 1ULL << i % 35 | (((u64)prandom_u32_state(&rnd) << 2) &
					      ((1ULL << i % 35) - 1));
		u64 pfn = ((u64)prandom_u32_state(&rnd) << 3 | 1) % ((1ULL << 35) - pages + 1);

		vtd->nr = 0;
		vtd_invalidate(vtd, pfn << 12, (pfn + pages) << 12);
		KUNIT_ASSERT_LE(test, vtd_count(vtd, VTD_IOTLB), SVA_COST_ALL);
		KUNIT_ASSERT_LE(test, vtd_count(vtd, VTD_ATC), SVA_COST_ALL);
		KUNIT_ASSERT_LE(test, vtd_submissions(vtd), 2);
		vtd_expect_cover(vtd, VTD_IOTLB, pfn, pfn + pages - 1);
		vtd_expect_cover(vtd, VTD_ATC, pfn, pfn + pages - 1);
	}
	vtd_detach_both(vtd);
}

/* An ATC forgets by blocks of any size, whatever the IOTLB's commands can name. */
static void atc_is_not_limited_by_mamv(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, 0, 17UL * SZ_1G);
	KUNIT_ASSERT_EQ(test, vtd_count(vtd, VTD_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, vtd_iotlb_order(&vtd_find(vtd, VTD_IOTLB, 0)->desc), SVA_ORDER_ALL);
	KUNIT_ASSERT_EQ(test, vtd_count(vtd, VTD_ATC), 4);
	KUNIT_EXPECT_EQ(test, vtd_atc_order(&vtd_find(vtd, VTD_ATC, 0)->desc), 22);
	KUNIT_EXPECT_EQ(test, vtd_atc_order(&vtd_find(vtd, VTD_ATC, 1)->desc), 18);
	vtd_detach_both(vtd);
}

/* A translation request may be served from the IOTLB: 6.5.2.5. */
static void iotlb_goes_before_atc_and_both_before_one_wait(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, SZ_1M, SZ_1M + SZ_4K);
	KUNIT_ASSERT_EQ(test, vtd->nr, 4);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[0]), VTD_IOTLB);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[1]), VTD_ATC);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[2]), VTD_ATC);
	KUNIT_EXPECT_EQ(test, vtd->events[3].kind, VTD_SUBMITTED);
	vtd_detach_both(vtd);
}

static void flush_of_many_blocks_keeps_the_order(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	bool atc = false;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, BACKEND_SIX_BLOCKS_START, BACKEND_SIX_BLOCKS_END);
	KUNIT_EXPECT_EQ(test, vtd_submissions(vtd), 2);
	KUNIT_EXPECT_EQ(test, vtd->events[vtd->nr - 1].kind, VTD_SUBMITTED);
	for (unsigned int i = 0; i < vtd->nr; i++) {
		atc |= vtd_type(&vtd->events[i]) == VTD_ATC;
		KUNIT_EXPECT_FALSE(test, atc && vtd_type(&vtd->events[i]) == VTD_IOTLB);
	}
	KUNIT_EXPECT_EQ(test, vtd_expect_cover(vtd, VTD_IOTLB, BACKEND_SIX_BLOCKS_START >> 12,
					       (BACKEND_SIX_BLOCKS_END >> 12) - 1),
			(BACKEND_SIX_BLOCKS_END - BACKEND_SIX_BLOCKS_START) >> 12);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_IOTLB), 6);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 12);
	vtd_detach_both(vtd);
}

static void flush_reaches_each_device(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	u16 rids = 0;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, SZ_1M, SZ_1M + SZ_4K);
	for (unsigned int n = 0; n < 2; n++) {
		const struct qi_desc *desc = &vtd_find(vtd, VTD_ATC, n)->desc;

		rids ^= FIELD_GET(GENMASK_ULL(31, 16), desc->qw0);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), desc->qw0), VTD_PASID);
	}
	KUNIT_EXPECT_EQ(test, rids, 0x3a11 ^ 0x3a19);
	vtd_detach_both(vtd);
}

static void flush_of_everything_carries_the_pasid(struct kunit *test)
{
	struct vtd *vtd = test->priv;
	const struct qi_desc *atc;

	vtd_attach_both(vtd);
	vtd_invalidate(vtd, 0, ~0UL);
	atc = &vtd_find(vtd, VTD_ATC, 0)->desc;
	KUNIT_EXPECT_EQ(test, vtd_atc_order(atc), SVA_ORDER_ALL);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(51, 32), atc->qw0), VTD_PASID);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
	vtd_detach_both(vtd);
}

static void device_without_ats_hears_nothing(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd->dev[0]->info.ats_enabled = 0;
	vtd_invalidate(vtd, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vtd_detach_both(vtd);
}

/* Its invalidation would never complete, nor would those behind it. */
static void unplugged_device_hears_nothing(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd->dev[1]->pdev.error_state = pci_channel_io_perm_failure;
	vtd_invalidate(vtd, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vtd_detach_both(vtd);
}

/* An error may have cut it off for a while, or its PF. */
static void device_that_is_cut_off_hears_nothing(struct kunit *test)
{
	struct pci_dev *pf = kunit_kzalloc(test, sizeof(*pf), GFP_KERNEL);
	struct vtd *vtd = test->priv;
	struct pci_dev *vf;

	KUNIT_ASSERT_NOT_NULL(test, pf);
	vtd_attach_both(vtd);
	vtd->dev[0]->pdev.error_state = pci_channel_io_frozen;
	vf = &vtd->dev[1]->pdev;
	vf->is_virtfn = 1;
	vf->physfn = pf;
	pf->error_state = pci_channel_io_perm_failure;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 0);
	pf->error_state = pci_channel_io_normal;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vf->error_state = pci_channel_io_frozen;
	vtd_invalidate(vtd, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 1);
	vf->error_state = pci_channel_io_normal;
	vtd_detach_both(vtd);
	vf->is_virtfn = 0;
}

static void device_that_needs_it_is_told_twice(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd->dev[1]->info.dtlb_extra_inval = 1;
	vtd_invalidate(vtd, SZ_1M, SZ_1M + SZ_4K);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 3);
	/* The second time when the first has completed */
	KUNIT_EXPECT_EQ(test, vtd->events[3].kind, VTD_SUBMITTED);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[4]), VTD_ATC);
	KUNIT_EXPECT_EQ(test, vtd->events[4].desc.qw1, vtd->events[2].desc.qw1);
	KUNIT_EXPECT_EQ(test, vtd->events[5].kind, VTD_SUBMITTED);
	vtd_detach_both(vtd);
}

static void domain_without_devices_is_not_flushed(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_invalidate(vtd, 0, ~0UL);
	vtd_invalidate(vtd, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
}

/* Flushes in halves, into a queue that hardware reads while the second half waits */

static const struct iommu_sva_range vtd_page = { .start = SZ_1M, .end = SZ_1M + SZ_4K };
static const struct iommu_sva_range vtd_six_blocks = {
	.start = BACKEND_SIX_BLOCKS_START, .end = BACKEND_SIX_BLOCKS_END,
};

static const struct iommu_sva_range vtd_exit = { .end = ULONG_MAX, .exits = true };

/* Returns whether the flush was started. What it submits is seen afterwards. */
static bool vtd_flush_in_halves(struct vtd *vtd, const struct iommu_sva_range *range)
{
	u64 notes[IOMMU_SVA_FLUSH_NOTES];
	bool started, done;
	unsigned int seen;

	guard(rcu)();
	vtd->nr = 0;
	started = intel_sva_ops.start_flush(&vtd->sdom.domain, range, notes);
	seen = vtd_submissions(vtd);
	done = !started || intel_sva_ops.await_flush(&vtd->sdom.domain, range, notes);
	KUNIT_EXPECT_EQ(vtd->test, seen, 0);
	KUNIT_EXPECT_TRUE(vtd->test, done);
	KUNIT_EXPECT_FALSE(vtd->test, irqs_disabled());
	return started;
}

static void flush_in_halves_submits_the_same(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd_add_queue(vtd);
	KUNIT_EXPECT_TRUE(test, vtd_flush_in_halves(vtd, &vtd_page));
	KUNIT_ASSERT_EQ(test, vtd->nr, 4);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[0]), VTD_IOTLB);
	KUNIT_EXPECT_EQ(test, vtd_iotlb_pfn(&vtd->events[0].desc), SZ_1M >> 12);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[1]), VTD_ATC);
	KUNIT_EXPECT_EQ(test, vtd_atc_pfn(&vtd->events[1].desc), SZ_1M >> 12);
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[2]), VTD_ATC);
	KUNIT_EXPECT_EQ(test, vtd->events[3].kind, VTD_SUBMITTED);
	vtd_detach_both(vtd);
}

static void exit_in_halves_changes_entries_first(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd_add_queue(vtd);
	KUNIT_EXPECT_TRUE(test, vtd_flush_in_halves(vtd, &vtd_exit));
	/* Two stores; PASID cache, fence, IOTLB, two ATCs, wait */
	KUNIT_ASSERT_EQ(test, vtd->nr, 8);
	for (unsigned int n = 0; n < 2; n++) {
		KUNIT_EXPECT_EQ(test, vtd->events[n].kind, VTD_STORE);
		KUNIT_EXPECT_TRUE(test, vtd->events[n].snap.val[0] & PASID_PTE_FPD);
	}
	KUNIT_EXPECT_EQ(test, vtd_type(&vtd->events[2]), VTD_PASID_CACHE);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 2);
	KUNIT_EXPECT_EQ(test, vtd->events[7].kind, VTD_SUBMITTED);
	vtd_detach_both(vtd);
}

/* Six for the IOTLB, twelve for ATCs: the first half may submit once. */
static void flush_of_many_blocks_has_no_halves(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd_add_queue(vtd);
	KUNIT_EXPECT_FALSE(test, vtd_flush_in_halves(vtd, &vtd_six_blocks));
	KUNIT_EXPECT_EQ(test, vtd->nr, 0);
	KUNIT_EXPECT_EQ(test, vtd->hw->qi->free_head, 0);
	vtd->dev[0]->info.ats_enabled = 0;
	KUNIT_EXPECT_TRUE(test, vtd_flush_in_halves(vtd, &vtd_six_blocks));
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_IOTLB), 6);
	KUNIT_EXPECT_EQ(test, vtd_count(vtd, VTD_ATC), 6);
	vtd_detach_both(vtd);
}

static void device_that_is_told_twice_has_no_halves(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_attach_both(vtd);
	vtd_add_queue(vtd);
	vtd->dev[1]->info.dtlb_extra_inval = 1;
	KUNIT_EXPECT_FALSE(test, vtd_flush_in_halves(vtd, &vtd_page));
	KUNIT_EXPECT_EQ(test, vtd->hw->qi->free_head, 0);
	vtd_detach_both(vtd);
}

static void domain_without_devices_has_no_halves(struct kunit *test)
{
	struct vtd *vtd = test->priv;

	vtd_add_queue(vtd);
	KUNIT_EXPECT_FALSE(test, vtd_flush_in_halves(vtd, &vtd_page));
	KUNIT_EXPECT_FALSE(test, vtd_flush_in_halves(vtd, &vtd_exit));
	KUNIT_EXPECT_EQ(test, vtd->hw->qi->free_head, 0);
}

static struct kunit_case intel_svm_cases[] = {
	KUNIT_CASE_PARAM(each_missing_capability_is_named, vtd_lack_gen_params),
	KUNIT_CASE(nothing_else_is_asked_for),
	KUNIT_CASE(page_sizes_and_levels_follow_the_cpu),
	KUNIT_CASE(capable_iommu_is_marked),
	KUNIT_CASE(incapable_iommu_is_not_marked),
	KUNIT_CASE(legacy_mode_iommu_is_not_marked),
	KUNIT_CASE(incapable_iommu_has_no_domains),
	KUNIT_CASE(one_page_is_one_block),
	KUNIT_CASE(huge_pages_are_one_block),
	KUNIT_CASE(ragged_ends_are_rounded),
	KUNIT_CASE(pages_across_a_large_alignment_are_two_blocks),
	KUNIT_CASE(large_blocks_are_not_rounded),
	KUNIT_CASE(bytes_within_pages_cover_the_pages),
	KUNIT_CASE(everything_is_one_block),
	KUNIT_CASE(end_of_the_address_space_is_everything),
	KUNIT_CASE(range_that_is_none_is_everything),
	KUNIT_CASE(range_of_too_many_blocks_is_everything),
	KUNIT_CASE(random_ranges_are_covered_at_the_least_cost),
	KUNIT_CASE(iotlb_descriptor_names_pasid_and_pages),
	KUNIT_CASE(iotlb_descriptor_of_everything_is_pasid_selective),
	KUNIT_CASE(iotlb_descriptor_has_no_invalidation_hint),
	KUNIT_CASE(atc_descriptor_names_device_and_pasid),
	KUNIT_CASE(atc_descriptor_holds_a_queue_depth_of_five_bits),
	KUNIT_CASE(atc_size_field_is_read_back_at_any_order),
	KUNIT_CASE(pasid_cache_descriptor_is_pasid_selective),
	KUNIT_CASE(flush_covers_random_ranges),
	KUNIT_CASE(sixty_four_pages_of_eight_devices_are_nine_descriptors),
	KUNIT_CASE(descriptors_of_a_flush_of_any_size_are_bounded),
	KUNIT_CASE(atc_is_not_limited_by_mamv),
	KUNIT_CASE(iotlb_goes_before_atc_and_both_before_one_wait),
	KUNIT_CASE(flush_of_many_blocks_keeps_the_order),
	KUNIT_CASE(flush_reaches_each_device),
	KUNIT_CASE(flush_of_everything_carries_the_pasid),
	KUNIT_CASE(device_without_ats_hears_nothing),
	KUNIT_CASE(unplugged_device_hears_nothing),
	KUNIT_CASE(device_that_is_cut_off_hears_nothing),
	KUNIT_CASE(device_that_needs_it_is_told_twice),
	KUNIT_CASE(domain_without_devices_is_not_flushed),
	KUNIT_CASE(flush_in_halves_submits_the_same),
	KUNIT_CASE(exit_in_halves_changes_entries_first),
	KUNIT_CASE(flush_of_many_blocks_has_no_halves),
	KUNIT_CASE(device_that_is_told_twice_has_no_halves),
	KUNIT_CASE(domain_without_devices_has_no_halves),
	{}
};

static struct kunit_suite intel_svm_suite = {
	.name = "intel_svm",
	.init = vtd_test_init,
	.exit = vtd_test_exit,
	.test_cases = intel_svm_cases,
};

kunit_test_suite(intel_svm_suite);
