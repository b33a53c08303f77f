// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD's back-end of the SVA core: which IOMMUs it takes, its commands, and its flushes of ranges
 */
#include <kunit/static_stub.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/time64.h>

#include "amd_kunit.h"
#include "map_touched.h"

/* Capabilities (3.4) */

struct amdvi_lack {
	const char *name;
	u64 clear;
	u64 set;
	bool snp;
};

static const struct amdvi_lack amdvi_lacks[] = {
	{ "guest translation", .clear = BIT_ULL(4) },
	{ "page requests", .clear = BIT_ULL(1) },
	{ "enhanced handling of page requests", .clear = BIT_ULL(50) },
	{ "GCR3 tables for all of its PASIDs", .clear = GENMASK_ULL(15, 14) },
	{ "5-level paging, which the CPU uses", .clear = GENMASK_ULL(13, 12) },
	{ "guest translation alone, which SNP rules out", .snp = true },
};

KUNIT_ARRAY_PARAM_DESC(amdvi_lack, amdvi_lacks, name);

static void each_missing_capability_is_named(struct kunit *test)
{
	const struct amdvi_lack *lack = test->param_value;
	const char *said = amd_sva_missing_cap(AMDVI_EFR & ~lack->clear, lack->snp, true);

	KUNIT_ASSERT_NOT_NULL(test, said);
	KUNIT_EXPECT_STREQ(test, said, lack->name);
}

static void nothing_else_is_asked_for(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, amd_sva_missing_cap(AMDVI_EFR, false, true));
	KUNIT_EXPECT_NULL(test, amd_sva_missing_cap(AMDVI_EFR | BIT_ULL(63), false, true));
	/* Levels that the CPU's tables do not have, the IOMMU need not know. */
	KUNIT_EXPECT_NULL(test, amd_sva_missing_cap(AMDVI_EFR & ~GENMASK_ULL(13, 12), false,
						    false));
}

/* PASIDs of 9 bits take one level of GCR3 tables, of 18 two, of 20 three. */
static void levels_of_gcr3_tables_follow_the_pasids(struct kunit *test)
{
	for (unsigned int bits = 1; bits <= 20; bits++) {
		for (unsigned int glx = 0; glx < 3; glx++) {
			u64 efr = AMDVI_EFR & ~(GENMASK_ULL(15, 14) | GENMASK_ULL(36, 32));

			efr |= (u64)glx << 14 | (u64)(bits - 1) << 32;
			KUNIT_EXPECT_EQ(test, !amd_sva_missing_cap(efr, false, false),
					bits <= 9 * (glx + 1));
		}
	}
}

static void incapable_iommu_refuses_binds(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct iommu_sva *sva;

	map_touched(test, 1);
	amd_iommu_efr &= ~BIT_ULL(4);
	sva = iommu_sva_bind_device(&vi->dev[0]->pdev.dev, current->mm);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sva), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
}

/* v1 tables, which no PASID can be used beside */
static void device_without_a_gcr3_table_refuses_binds(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct gcr3_tbl_info *info = &vi->dev[0]->data.gcr3_info;
	struct iommu_sva *sva;
	u64 *table;

	map_touched(test, 1);
	table = info->gcr3_tbl;
	info->gcr3_tbl = NULL;
	sva = iommu_sva_bind_device(&vi->dev[0]->pdev.dev, current->mm);
	info->gcr3_tbl = table;
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sva), -EOPNOTSUPP);
}

/* Ranges */

static void amdvi_expect_blocks(struct kunit *test, unsigned long start, unsigned long end,
				unsigned int count, u64 first, u64 last)
{
	const struct sva_costs costs = backend_costs(SVA_ORDER_ALL);

	backend_expect_blocks(test, sva_make_blocks(start, end, &costs), count, first, last);
}

static void one_page_is_one_block(struct kunit *test)
{
	amdvi_expect_blocks(test, 0, SZ_4K, 1, 0, 0);
	amdvi_expect_blocks(test, 0x7ffffffff000, 0x800000000000, 1, 0x7ffffffff, 0x7ffffffff);
}

static void huge_pages_are_one_block(struct kunit *test)
{
	amdvi_expect_blocks(test, SZ_1G, SZ_1G + SZ_2M, 1, 0x40000, 0x401ff);
	amdvi_expect_blocks(test, SZ_1G, SZ_2G, 1, 0x40000, 0x7ffff);
}

static void ragged_ends_are_rounded(struct kunit *test)
{
	amdvi_expect_blocks(test, 0, 7 * SZ_4K, 1, 0, 7);
	amdvi_expect_blocks(test, 511 * SZ_4K, 513 * SZ_4K, 1, 0, 1023);
}

/* A block around both pages would cover two gigabytes. */
static void pages_across_a_large_alignment_are_two_blocks(struct kunit *test)
{
	amdvi_expect_blocks(test, SZ_1G - SZ_4K, SZ_1G + SZ_4K, 2, 0x3ffff, 0x40000);
}

static void bytes_within_pages_cover_the_pages(struct kunit *test)
{
	amdvi_expect_blocks(test, SZ_1M + 1, SZ_1M + 2, 1, 256, 256);
	amdvi_expect_blocks(test, SZ_1M + 4095, SZ_1M + 4097, 1, 256, 257);
}

static void everything_is_one_block(struct kunit *test)
{
	amdvi_expect_blocks(test, 0, ~0UL, 1, 0, GENMASK_ULL(51, 0));
	amdvi_expect_blocks(test, SZ_4K, ~0UL, 1, 0, GENMASK_ULL(51, 0));
}

/* No page too few, no block askew, and no cheaper way */
static void random_ranges_are_covered_at_the_least_cost(struct kunit *test)
{
	const struct sva_costs costs = backend_costs(SVA_ORDER_ALL);
	struct rnd_state rnd;

	prandom_seed_state(&rnd, AMDVI_SEED);
	for (unsigned int i = 0; i < 100; i++) {
		u64 pfn = (u64)prandom_u32_state(&rnd) << 4 >> prandom_u32_state(&rnd) % 36;
		u64 pages = 1 + ((u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32);

		backend_expect_cheapest(test, pfn, pages, &costs);
		cond_resched();
	}
}

/* Commands */

static void pages_command_names_domain_pasid_and_pages(struct kunit *test)
{
	struct amdvi_event event;
	struct amd_sva_cmd cmd;

	memset(&cmd, 0xff, sizeof(cmd));
	amd_sva_make_inv_pages(&cmd, 0x4321, 0xabcde, 0x7f0000200, 9);
	amdvi_read_cmd(&cmd, &event);
	KUNIT_EXPECT_EQ(test, event.qw[0], 3ULL << 60 | 0x4321ULL << 32 | 0xabcde);
	/* PDE: upper-level tables are freed, too. */
	KUNIT_EXPECT_EQ(test, event.qw[1], 0x7f0000200000 | 0xff000 | BIT(2) | BIT(1) | BIT(0));
}

static void atc_command_names_device_and_pasid(struct kunit *test)
{
	struct amdvi_event event;
	struct amd_sva_cmd cmd;

	memset(&cmd, 0xff, sizeof(cmd));
	amd_sva_make_inv_iotlb(&cmd, 0x3a19, 10, 0xabcde, 0x7f0000201, 0);
	amdvi_read_cmd(&cmd, &event);
	KUNIT_EXPECT_EQ(test, amdvi_code(&event), AMDVI_ATC);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(&event), 0x3a19);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 24), event.qw[0]), 10);
	/* QueueID: one queue for each function */
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(47, 32), event.qw[0]), 0x3a19);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_pasid(&event), 0xabcde);
	KUNIT_EXPECT_EQ(test, event.qw[1], 0x7f0000201000 | BIT(2));
}

/* A command with a bit that must be 0 stops the command buffer. */
static void reserved_bits_of_commands_are_clear(struct kunit *test)
{
	struct amdvi_event pages, atc;
	struct amd_sva_cmd cmd;

	for (unsigned int order = 0; order <= SVA_ORDER_ALL; order++) {
		memset(&cmd, 0xff, sizeof(cmd));
		amd_sva_make_inv_pages(&cmd, 0xffff, 0xfffff, 0, order);
		amdvi_read_cmd(&cmd, &pages);
		KUNIT_EXPECT_EQ(test, pages.qw[0] & (GENMASK_ULL(31, 20) | GENMASK_ULL(59, 48)), 0);
		KUNIT_EXPECT_EQ(test, pages.qw[1] & GENMASK_ULL(11, 3), 0);
		memset(&cmd, 0xff, sizeof(cmd));
		amd_sva_make_inv_iotlb(&cmd, 0xffff, 0xff, 0xfffff, 0, order);
		amdvi_read_cmd(&cmd, &atc);
		KUNIT_EXPECT_EQ(test, atc.qw[1] & (GENMASK_ULL(11, 6) | BIT(3) | BIT(1)), 0);
	}
}

static void size_is_read_back_at_any_order(struct kunit *test)
{
	struct amdvi_event event;
	struct amd_sva_cmd cmd;

	for (unsigned int order = 0; order <= SVA_ORDER_ALL; order++) {
		u64 pfn = order < 30 ? (0x7e5a5a5a5ULL >> order | 1) << order : 0;

		amd_sva_make_inv_pages(&cmd, 1, 1, pfn, order);
		amdvi_read_cmd(&cmd, &event);
		KUNIT_EXPECT_EQ(test, amdvi_order(&event), order);
		KUNIT_EXPECT_EQ(test, amdvi_pfn(&event), pfn);
		amd_sva_make_inv_iotlb(&cmd, 1, 1, 1, pfn, order);
		amdvi_read_cmd(&cmd, &event);
		KUNIT_EXPECT_EQ(test, amdvi_order(&event), order);
		KUNIT_EXPECT_EQ(test, amdvi_pfn(&event), pfn);
	}
}

/* 2.4.1: to an address of eight bytes; no interrupt */
static void wait_command_stores_its_value(struct kunit *test)
{
	struct amdvi_event event;
	struct amd_sva_cmd cmd;

	memset(&cmd, 0xff, sizeof(cmd));
	amd_sva_make_wait(&cmd, 0xf123456789ab8, 0x0123456789abcdef);
	amdvi_read_cmd(&cmd, &event);
	KUNIT_EXPECT_EQ(test, event.qw[0], 1ULL << 60 | 0xf123456789ab8 | BIT(0));
	KUNIT_EXPECT_EQ(test, event.qw[1], 0x0123456789abcdef);
}

/* Flushes of ranges */

/*
 * Checks that the commands of @code for device @n are, in order, blocks that cover [first, last].
 * The IOMMU knows a translation by DomainID and PASID, an ATC by device and PASID. Returns how many
 * they are.
 */
static unsigned int amdvi_expect_pages(struct amdvi *vi, unsigned int code, unsigned int n,
				       u64 first, u64 last)
{
	const struct amdvi_event *event;
	unsigned int blocks = 0;
	u64 next = 0;

	for (unsigned int i = 0; (event = amdvi_find(vi, code, i)); i++) {
		unsigned int order = amdvi_order(event);
		u64 pfn = amdvi_pfn(event);

		if (code == AMDVI_ATC ? amdvi_cmd_devid(event) != amdvi_devid(n) :
					amdvi_cmd_domid(event) != amdvi_domid(n))
			continue;
		KUNIT_ASSERT_EQ(vi->test, amdvi_cmd_pasid(event), AMDVI_PASID);
		KUNIT_ASSERT_EQ(vi->test, pfn & ((1ULL << order) - 1), 0);
		if (blocks++)
			KUNIT_ASSERT_EQ(vi->test, pfn, next);
		else
			KUNIT_ASSERT_LE(vi->test, pfn, first);
		next = pfn + (1ULL << order);
	}
	KUNIT_ASSERT_GT(vi->test, next, last);
	return blocks;
}

static void flush_covers_random_ranges(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct rnd_state rnd;

	amdvi_attach_both(vi);
	prandom_seed_state(&rnd, AMDVI_SEED);
	for (unsigned int i = 0; i < 2000; i++) {
		u64 pfn = (u64)prandom_u32_state(&rnd) << 3 >> prandom_u32_state(&rnd) % 35;
		u64 pages = 1 + (prandom_u32_state(&rnd) % SZ_128K >>
				 prandom_u32_state(&rnd) % 17);

		vi->nr = 0;
		amdvi_invalidate(vi, pfn << 12, (pfn + pages) << 12);
		for (unsigned int n = 0; n < 2; n++) {
			amdvi_expect_pages(vi, AMDVI_PAGES, n, pfn, pfn + pages - 1);
			amdvi_expect_pages(vi, AMDVI_ATC, n, pfn, pfn + pages - 1);
		}
		KUNIT_ASSERT_EQ(test, amdvi_waits(vi), 1);
	}
	amdvi_detach_both(vi);
}

/* One block for each DomainID and each ATC, as the base has, and one wait */
static void sixty_four_pages_of_eight_devices_are_sixteen_commands(struct kunit *test)
{
	const u64 pages = 64, base = 0x7f1230000;
	struct amdvi *vi = test->priv;

	for (unsigned int n = 0; n < 8; n++) {
		if (!vi->dev[n])
			amdvi_add_dev(vi, n);
		KUNIT_ASSERT_EQ(test, amdvi_attach(vi, n), 0);
	}
	for (u64 pfn = base; pfn <= base + 8192 - pages; pfn += 7) {
		vi->nr = 0;
		amdvi_invalidate(vi, pfn << 12, (pfn + pages) << 12);
		KUNIT_ASSERT_EQ(test, amdvi_count(vi, AMDVI_PAGES), 8);
		KUNIT_ASSERT_EQ(test, amdvi_count(vi, AMDVI_ATC), 8);
		KUNIT_ASSERT_EQ(test, amdvi_waits(vi), 1);
		amdvi_expect_pages(vi, AMDVI_ATC, 7, pfn, pfn + pages - 1);
	}
	for (unsigned int n = 0; n < 8; n++)
		amdvi_detach(vi, n);
}

/* Up to 128 TiB */
static void commands_of_a_flush_of_any_size_are_bounded(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct rnd_state rnd;

	amdvi_attach_both(vi);
	prandom_seed_state(&rnd, AMDVI_SEED);
	for (unsigned int i = 0; i < 3500; i++) {
		u64 pages = 1ULL << i % 35 | (((u64)prandom_u32_state(&rnd) << 2) &
					      ((1ULL << i % 35) - 1));
		u64 pfn = ((u64)prandom_u32_state(&rnd) << 3 | 1) % ((1ULL << 35) - pages + 1);
		unsigned int n;

		vi->nr = 0;
		amdvi_invalidate(vi, pfn << 12, (pfn + pages) << 12);
		n = amdvi_expect_pages(vi, AMDVI_PAGES, 0, pfn, pfn + pages - 1);
		KUNIT_ASSERT_LE(test, n, SVA_COST_ALL);
		n = amdvi_expect_pages(vi, AMDVI_ATC, 1, pfn, pfn + pages - 1);
		KUNIT_ASSERT_LE(test, n, SVA_COST_ALL);
		KUNIT_ASSERT_EQ(test, amdvi_waits(vi), 1);
	}
	amdvi_detach_both(vi);
}

/* A translation request may be served from the IOMMU's TLB: 2.4.4. */
static void tlb_goes_before_atc_and_both_before_one_wait(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amdvi_invalidate(vi, 256 * SZ_4K, 257 * SZ_4K);
	KUNIT_ASSERT_EQ(test, vi->nr, 5);
	KUNIT_EXPECT_EQ(test, amdvi_code(&vi->events[0]), AMDVI_PAGES);
	KUNIT_EXPECT_EQ(test, amdvi_code(&vi->events[1]), AMDVI_PAGES);
	KUNIT_EXPECT_EQ(test, amdvi_code(&vi->events[2]), AMDVI_ATC);
	KUNIT_EXPECT_EQ(test, amdvi_code(&vi->events[3]), AMDVI_ATC);
	KUNIT_EXPECT_EQ(test, vi->events[4].kind, AMDVI_SUBMITTED);
	KUNIT_EXPECT_TRUE(test, vi->events[4].waited);
	amdvi_detach_both(vi);
}

static void flush_of_many_blocks_keeps_the_order(struct kunit *test)
{
	const u64 first = BACKEND_SIX_BLOCKS_START >> 12, last = (BACKEND_SIX_BLOCKS_END >> 12) - 1;
	struct amdvi *vi = test->priv;
	bool atc = false;

	amdvi_attach_both(vi);
	amdvi_invalidate(vi, BACKEND_SIX_BLOCKS_START, BACKEND_SIX_BLOCKS_END);
	for (unsigned int i = 0; i < vi->nr; i++) {
		atc |= amdvi_code(&vi->events[i]) == AMDVI_ATC;
		KUNIT_EXPECT_FALSE(test, atc && amdvi_code(&vi->events[i]) == AMDVI_PAGES);
	}
	/* More than a batch, and still one wait, at the end */
	KUNIT_EXPECT_GT(test, vi->nr, AMD_SVA_BATCH);
	KUNIT_EXPECT_EQ(test, amdvi_waits(vi), 1);
	KUNIT_EXPECT_TRUE(test, vi->events[vi->nr - 1].waited);
	for (unsigned int n = 0; n < 2; n++) {
		KUNIT_EXPECT_EQ(test, amdvi_expect_pages(vi, AMDVI_PAGES, n, first, last), 6);
		KUNIT_EXPECT_EQ(test, amdvi_expect_pages(vi, AMDVI_ATC, n, first, last), 6);
	}
	amdvi_detach_both(vi);
}

static void flush_of_everything_carries_the_pasid(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amdvi_invalidate(vi, 0, ~0UL);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_PAGES), 2);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 2);
	for (unsigned int n = 0; n < 2; n++) {
		amdvi_expect_pages(vi, AMDVI_PAGES, n, 0, GENMASK_ULL(51, 0));
		amdvi_expect_pages(vi, AMDVI_ATC, n, 0, GENMASK_ULL(51, 0));
	}
	amdvi_detach_both(vi);
}

static void device_without_ats_hears_nothing(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	vi->dev[0]->data.atc_live = false;
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_PAGES), 2);
	KUNIT_ASSERT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	KUNIT_EXPECT_EQ(test, amdvi_cmd_devid(amdvi_find(vi, AMDVI_ATC, 0)), amdvi_devid(1));
	amdvi_detach_both(vi);
}

/* It would never complete, and what is behind it would wait for the time-out. */
static void unplugged_device_hears_nothing(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	vi->dev[1]->pdev.error_state = pci_channel_io_perm_failure;
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_PAGES), 2);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	amdvi_detach_both(vi);
}

/* An error may have cut it off for a while, or its PF. */
static void device_that_is_cut_off_hears_nothing(struct kunit *test)
{
	struct pci_dev *pf = kunit_kzalloc(test, sizeof(*pf), GFP_KERNEL);
	struct amdvi *vi = test->priv;
	struct pci_dev *vf;

	KUNIT_ASSERT_NOT_NULL(test, pf);
	amdvi_attach_both(vi);
	vi->dev[0]->pdev.error_state = pci_channel_io_frozen;
	vf = &vi->dev[1]->pdev;
	vf->is_virtfn = 1;
	vf->physfn = pf;
	pf->error_state = pci_channel_io_perm_failure;
	amdvi_invalidate(vi, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_PAGES), 2);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 0);
	pf->error_state = pci_channel_io_normal;
	amdvi_invalidate(vi, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	vf->error_state = pci_channel_io_frozen;
	amdvi_invalidate(vi, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	vf->error_state = pci_channel_io_normal;
	amdvi_detach_both(vi);
	vf->is_virtfn = 0;
}

static void virtual_function_hears_nothing_while_its_physical_one_is_reset(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct pci_dev *pf = &vi->dev[0]->pdev, *vf = &vi->dev[1]->pdev;

	amdvi_attach_both(vi);
	backend_make_vf(test, pf, vf);
	iopf_pci_reset_begins(pf);
	vi->nr = 0;
	amdvi_invalidate(vi, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 0);
	iopf_pci_restored(pf);
	vi->nr = 0;
	amdvi_invalidate(vi, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	iopf_pci_restored(vf);
	vi->nr = 0;
	amdvi_invalidate(vi, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 2);
	backend_unmake_vf(pf, vf);
	amdvi_detach_both(vi);
}

/* It is not flushed when the other one's pause ends. */
static void virtual_function_misses_nothing_in_a_pause_of_its_physical_one(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct pci_dev *pf = &vi->dev[0]->pdev, *vf = &vi->dev[1]->pdev;

	amdvi_attach_both(vi);
	backend_make_vf(test, pf, vf);
	iopf_quiesce_device(&pf->dev);
	vi->nr = 0;
	amdvi_invalidate(vi, SZ_4K, SZ_8K);
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	iopf_resume_device(&pf->dev);
	backend_unmake_vf(pf, vf);
	amdvi_detach_both(vi);
}

static void domain_without_devices_is_not_flushed(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_invalidate(vi, 0, ~0UL);
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, vi->nr, 0);
}

/**
 * struct amdvi_engine - the IOMMU itself, and its time
 * @now: what the clock says, in ns
 * @us: how long the driver has waited
 * @late_us: for so long the IOMMU does nothing
 * @pace_us: from one command to the next
 * @give_up: called before the next wait is done; once
 * @head: of the command buffer
 * @carried_out: commands
 * @delays: since the last of them
 *
 * Both go on only in the driver's delays, and in its thread: each carries out a command.
 */
struct amdvi_engine {
	u64 now;
	unsigned int us;
	unsigned int late_us;
	unsigned int pace_us;
	void (*give_up)(struct amdvi *vi);
	u32 head;
	unsigned int carried_out;
	unsigned int delays;
};

/* Longer than any wait is to last; a driver that waits all the same finds its commands done, */
#define AMDVI_DEAF_US		(20 * USEC_PER_SEC)
/* and so does one that delays as often for one command. */
#define AMDVI_MAX_DELAYS	100000

static struct amdvi_engine amdvi_engine;

/* InvTimeOut is over: hardware gives the second device up, and says so before the wait is done. */
static void amdvi_give_up(struct amdvi *vi)
{
	u32 *event = (u32 *)vi->hw->evt_buf;

	amdvi_engine.now += NSEC_PER_SEC;
	event[0] = amdvi_devid(1);
	event[1] = EVENT_TYPE_IOTLB_INV_TO << EVENT_TYPE_SHIFT;
	*amdvi_reg(vi, MMIO_EVT_TAIL_OFFSET) = EVTLOG_ENTRY_SIZE;
}

/* The same while the log is stopped: the thread has cleared the overflow bit, and reads the log. */
static void amdvi_give_up_unsaid(struct amdvi *vi)
{
	amdvi_engine.now += NSEC_PER_SEC;
	*amdvi_reg(vi, MMIO_STATUS_OFFSET) = 0;
}

/* The thread comes to the end of the log, and starts it, before the wait is done. */
static void amdvi_give_up_and_start_log(struct amdvi *vi)
{
	amdvi_give_up_unsaid(vi);
	amd_iommu_restart_event_logging(vi->hw);
	*amdvi_reg(vi, MMIO_STATUS_OFFSET) = MMIO_STATUS_EVT_RUN_MASK;
}

/* The thread is about to start the log when the flush begins, and takes its time. */
static void amdvi_give_up_in_start_of_log(struct amdvi *vi)
{
	amdvi_engine.now += NSEC_PER_SEC;
}

static void amdvi_run_engine(unsigned int us)
{
	struct amdvi *vi = kunit_get_current_test()->priv;
	struct amdvi_engine *engine = &amdvi_engine;
	void (*give_up)(struct amdvi *vi);
	struct amdvi_event event;

	engine->us += us;
	engine->now += us * NSEC_PER_USEC;
	if (++engine->delays > AMDVI_MAX_DELAYS)
		engine->late_us = 0;
	if (engine->us < engine->late_us || engine->head == *amdvi_reg(vi, MMIO_CMD_TAIL_OFFSET))
		return;
	amdvi_read_cmd((struct amd_sva_cmd *)(vi->hw->cmd_buf + engine->head), &event);
	if (amdvi_code(&event) == AMDVI_WAIT) {
		give_up = xchg(&engine->give_up, NULL);
		if (give_up)
			give_up(vi);
		*(u64 *)phys_to_virt(event.qw[0] & GENMASK_ULL(51, 3)) = event.qw[1];
	}
	engine->carried_out++;
	engine->delays = 0;
	engine->head = (engine->head + 16) % CMD_BUFFER_SIZE;
	engine->late_us = engine->us + engine->pace_us;
	*amdvi_reg(vi, MMIO_CMD_HEAD_OFFSET) = engine->head;
}

static unsigned int amdvi_malfunctions;

static void amdvi_note_malfunction(struct amd_iommu *iommu)
{
	amdvi_malfunctions++;
}

static u64 amdvi_clock(void)
{
	return amdvi_engine.now;
}

static void amdvi_start_engine(struct kunit *test, unsigned int late_us,
			       void (*give_up)(struct amdvi *vi))
{
	amdvi_engine = (struct amdvi_engine){
		.now = NSEC_PER_SEC, .late_us = late_us, .give_up = give_up,
	};
	amdvi_malfunctions = 0;
	kunit_activate_static_stub(test, amd_sva_malfunction, amdvi_note_malfunction);
	kunit_activate_static_stub(test, amd_sva_delay, amdvi_run_engine);
	kunit_activate_static_stub(test, amd_sva_clock, amdvi_clock);
	kunit_deactivate_static_stub(test, amd_sva_submit);
}

/* More commands than there is room for, several times around */
static void command_buffer_is_filled_no_faster_than_emptied(struct kunit *test)
{
	struct amd_sva_cmd cmds[AMD_SVA_BATCH];
	struct amdvi *vi = test->priv;
	unsigned int nr = 0;

	for (unsigned int i = 0; i < AMD_SVA_BATCH; i++)
		amd_sva_make_inv_pages(&cmds[i], i, 1, i, 0);
	amdvi_start_engine(test, 0, NULL);
	for (unsigned int i = 0; i < 100; i++, nr += AMD_SVA_BATCH)
		KUNIT_ASSERT_EQ(test, amd_sva_submit(vi->hw, cmds, AMD_SVA_BATCH, false), 0);
	KUNIT_EXPECT_EQ(test, amd_sva_submit(vi->hw, NULL, 0, true), 0);
	KUNIT_EXPECT_GT(test, nr, 2 * CMD_BUFFER_ENTRIES);
	KUNIT_EXPECT_EQ(test, amdvi_engine.carried_out, nr + 1);
}

/* The wait is one command, and is over when that has been carried out. */
static void submission_that_waits_has_one_wait_behind_it(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct amdvi_event event;
	struct amd_sva_cmd cmd;

	amd_sva_make_inv_pages(&cmd, 7, 1, 0, 0);
	amdvi_start_engine(test, 0, NULL);
	KUNIT_EXPECT_EQ(test, amd_sva_submit(vi->hw, &cmd, 1, true), 0);
	KUNIT_EXPECT_EQ(test, amdvi_engine.carried_out, 2);
	amdvi_read_cmd((struct amd_sva_cmd *)vi->hw->cmd_buf, &event);
	KUNIT_EXPECT_EQ(test, amdvi_code(&event), AMDVI_PAGES);
	amdvi_read_cmd((struct amd_sva_cmd *)vi->hw->cmd_buf + 1, &event);
	KUNIT_EXPECT_EQ(test, amdvi_code(&event), AMDVI_WAIT);
	KUNIT_EXPECT_EQ(test, event.qw[0] & GENMASK_ULL(51, 3),
			virt_to_phys((void *)vi->hw->cmd_sem));
	KUNIT_EXPECT_EQ(test, *vi->hw->cmd_sem, event.qw[1]);
}

/* Neither a wait nor a want of room lasts for ever. Hardware is off, as in a shutdown. */
static void iommu_that_does_not_answer_is_given_up(struct kunit *test)
{
	struct amd_sva_cmd cmds[AMD_SVA_BATCH] = {};
	struct amdvi *vi = test->priv;
	int ret = 0;

	amdvi_start_engine(test, AMDVI_DEAF_US, NULL);
	KUNIT_EXPECT_EQ(test, amd_sva_submit(vi->hw, cmds, 1, true), -EIO);
	for (unsigned int i = 0; !ret && i < CMD_BUFFER_ENTRIES; i++) {
		amdvi_engine.us = 0;
		ret = amd_sva_submit(vi->hw, cmds, AMD_SVA_BATCH, false);
	}
	KUNIT_EXPECT_EQ(test, ret, -EIO);
	KUNIT_EXPECT_EQ(test, amdvi_malfunctions, 0);
}

/* Its TLB leads to pages that the kernel is about to free, and nothing else ends that. */
static void iommu_that_carries_out_nothing_is_fatal(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct amd_sva_cmd cmd = {};

	amdvi_start_engine(test, AMDVI_DEAF_US, NULL);
	*amdvi_reg(vi, MMIO_CONTROL_OFFSET) |= BIT(CONTROL_CMDBUF_EN);
	KUNIT_EXPECT_EQ(test, amd_sva_submit(vi->hw, &cmd, 1, true), -EIO);
	KUNIT_EXPECT_EQ(test, amdvi_malfunctions, 1);
}

static u64 amdvi_clock_stands_still(void)
{
	return NSEC_PER_SEC;
}

/* While timekeeping is suspended, or where it counts the ticks of a CPU whose interrupts are off */
static void wait_is_bounded_though_the_clock_stands_still(struct kunit *test)
{
	struct amd_sva_cmd cmd = {};
	struct amdvi *vi = test->priv;

	amdvi_start_engine(test, AMDVI_DEAF_US, NULL);
	kunit_activate_static_stub(test, amd_sva_clock, amdvi_clock_stands_still);
	KUNIT_EXPECT_EQ(test, amd_sva_submit(vi->hw, &cmd, 1, true), -EIO);
}

/* Delays take a part of the time that they should, and the clock counts ticks of 4 ms. */
#define AMDVI_SHORT_DELAYS	30

static u64 amdvi_clock_in_ticks(void)
{
	return NSEC_PER_SEC + rounddown(amdvi_engine.us / AMDVI_SHORT_DELAYS, 4000) *
			      (u64)NSEC_PER_USEC;
}

/* The IOMMU takes 0.4 s: the flush has to wait, though it has delayed twelve seconds. */
static void delays_do_not_count_while_the_clock_moves(struct kunit *test)
{
	struct amd_sva_cmd cmd = {};
	struct amdvi *vi = test->priv;

	amdvi_start_engine(test, 12 * USEC_PER_SEC, NULL);
	kunit_activate_static_stub(test, amd_sva_clock, amdvi_clock_in_ticks);
	*amdvi_reg(vi, MMIO_CONTROL_OFFSET) |= BIT(CONTROL_CMDBUF_EN);
	KUNIT_EXPECT_EQ(test, amd_sva_submit(vi->hw, &cmd, 1, true), 0);
	KUNIT_EXPECT_EQ(test, *vi->hw->cmd_sem, vi->hw->cmd_sem_val);
	KUNIT_EXPECT_EQ(test, amdvi_malfunctions, 0);
}

/* One device after the other may time out. */
static void iommu_that_goes_on_is_waited_for(struct kunit *test)
{
	struct amd_sva_cmd cmds[AMD_SVA_BATCH] = {};
	struct amdvi *vi = test->priv;

	amdvi_start_engine(test, 0, NULL);
	amdvi_engine.pace_us = 4 * USEC_PER_SEC;
	kunit_activate_static_stub(test, amd_sva_clock, amdvi_clock_stands_still);
	*amdvi_reg(vi, MMIO_CONTROL_OFFSET) |= BIT(CONTROL_CMDBUF_EN);
	KUNIT_EXPECT_EQ(test, amd_sva_submit(vi->hw, cmds, AMD_SVA_BATCH, true), 0);
	KUNIT_EXPECT_EQ(test, *vi->hw->cmd_sem, vi->hw->cmd_sem_val);
	KUNIT_EXPECT_EQ(test, amdvi_malfunctions, 0);
}

static unsigned int amdvi_clock_looks;

/* At the second look 10 s have passed. */
static u64 amdvi_clock_jumps(void)
{
	return (amdvi_clock_looks++ ? 11 : 1) * NSEC_PER_SEC;
}

/*
 * A virtual machine may be stopped, and all of its time has passed when it goes on. The IOMMU takes
 * its time, less than InvTimeOut: the flush has to wait.
 */
static void time_in_which_the_cpu_was_stopped_does_not_count(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amdvi_clock_looks = 0;
	amdvi_start_engine(test, 20 * USEC_PER_MSEC, NULL);
	kunit_activate_static_stub(test, amd_sva_clock, amdvi_clock_jumps);
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_GE(test, amdvi_clock_looks, 2);
	KUNIT_EXPECT_EQ(test, *vi->hw->cmd_sem, vi->hw->cmd_sem_val);
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(&vi->dev[0]->pdev.dev));
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(&vi->dev[1]->pdev.dev));
	amdvi_detach_both(vi);
}

/* The thread that reads the event log may come too late: pages are freed when the flush returns. */
static void slow_flush_looks_for_time_outs_itself(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amdvi_start_engine(test, 0, amdvi_give_up);
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(&vi->dev[0]->pdev.dev));
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(&vi->dev[1]->pdev.dev));
	amdvi_detach_both(vi);
}

/* While the thread waits for another IOMMU: by the time of its own wait all is done. */
static void device_given_up_before_the_wait_is_found(struct kunit *test)
{
	const struct iommu_sva_range range = { .start = SZ_1M, .end = SZ_2M };
	struct amdvi *vi = test->priv;

	amdvi_attach_both(vi);
	amdvi_start_engine(test, 0, NULL);
	amdvi_flush_in_halves(vi, &range, amdvi_give_up);
	KUNIT_EXPECT_EQ(test, amdvi_engine.carried_out, 5);
	KUNIT_EXPECT_FALSE(test, iopf_atc_is_unconfirmed(&vi->dev[0]->pdev.dev));
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(&vi->dev[1]->pdev.dev));
	amdvi_detach_both(vi);
}

/* Any device of the flush may be the one whose event is missing. */
static void amdvi_expect_both_suspect(struct amdvi *vi, void (*give_up)(struct amdvi *vi))
{
	amdvi_attach_both(vi);
	amdvi_start_engine(vi->test, 0, give_up);
	amdvi_invalidate(vi, SZ_1M, SZ_2M);
	KUNIT_EXPECT_TRUE(vi->test, iopf_atc_is_unconfirmed(&vi->dev[0]->pdev.dev));
	KUNIT_EXPECT_TRUE(vi->test, iopf_atc_is_unconfirmed(&vi->dev[1]->pdev.dev));
	amdvi_detach_both(vi);
}

static void time_out_lost_by_a_stopped_event_log_counts(struct kunit *test)
{
	amdvi_expect_both_suspect(test->priv, amdvi_give_up_unsaid);
}

static void time_out_lost_before_the_event_log_is_started_counts(struct kunit *test)
{
	/* scan-log: what the base says of it */
	kunit_info(test, "SVA-ALLOW AMD-Vi: IOMMU Event log restarting\n");
	amdvi_expect_both_suspect(test->priv, amdvi_give_up_and_start_log);
	kunit_info(test, "SVA-ALLOW-END\n");
}

static void time_out_lost_while_the_event_log_is_started_counts(struct kunit *test)
{
	struct amdvi *vi = test->priv;

	vi->hw->evt_restarts++;
	amdvi_expect_both_suspect(vi, amdvi_give_up_in_start_of_log);
}

/* Neither on a fault queue nor attached to a PASID: an NVMe drive, say */
static void kernels_own_flush_leaves_a_device_without_pasids_alone(struct kunit *test)
{
	struct amdvi *vi = test->priv;
	struct pci_dev *pdev = &vi->dev[0]->pdev;
	struct iommu_dev_data *dev_data = &vi->dev[0]->data;

	iopf_queue_remove_device(vi->hw->iopf_queue, &pdev->dev);
	pdev->dev.bus = &pci_bus_type;
	pdev->ats_enabled = 1;
	KUNIT_EXPECT_FALSE(test, amd_sva_drops_atc(dev_data, IOMMU_NO_PASID));
	iopf_pci_reset_begins(pdev);
	KUNIT_EXPECT_TRUE(test, amd_sva_drops_atc(dev_data, IOMMU_NO_PASID));
	vi->nr = 0;
	iopf_pci_restored(pdev);
	KUNIT_EXPECT_FALSE(test, amd_sva_drops_atc(dev_data, IOMMU_NO_PASID));
	KUNIT_EXPECT_EQ(test, amdvi_count(vi, AMDVI_ATC), 1);
	pdev->dev.bus = NULL;
}

static struct kunit_case amd_sva_cases[] = {
	KUNIT_CASE_PARAM(each_missing_capability_is_named, amdvi_lack_gen_params),
	KUNIT_CASE(nothing_else_is_asked_for),
	KUNIT_CASE(levels_of_gcr3_tables_follow_the_pasids),
	KUNIT_CASE(incapable_iommu_refuses_binds),
	KUNIT_CASE(device_without_a_gcr3_table_refuses_binds),
	KUNIT_CASE(one_page_is_one_block),
	KUNIT_CASE(huge_pages_are_one_block),
	KUNIT_CASE(ragged_ends_are_rounded),
	KUNIT_CASE(pages_across_a_large_alignment_are_two_blocks),
	KUNIT_CASE(bytes_within_pages_cover_the_pages),
	KUNIT_CASE(everything_is_one_block),
	KUNIT_CASE(random_ranges_are_covered_at_the_least_cost),
	KUNIT_CASE(pages_command_names_domain_pasid_and_pages),
	KUNIT_CASE(atc_command_names_device_and_pasid),
	KUNIT_CASE(reserved_bits_of_commands_are_clear),
	KUNIT_CASE(size_is_read_back_at_any_order),
	KUNIT_CASE(wait_command_stores_its_value),
	KUNIT_CASE(flush_covers_random_ranges),
	KUNIT_CASE(sixty_four_pages_of_eight_devices_are_sixteen_commands),
	KUNIT_CASE(commands_of_a_flush_of_any_size_are_bounded),
	KUNIT_CASE(tlb_goes_before_atc_and_both_before_one_wait),
	KUNIT_CASE(flush_of_many_blocks_keeps_the_order),
	KUNIT_CASE(flush_of_everything_carries_the_pasid),
	KUNIT_CASE(device_without_ats_hears_nothing),
	KUNIT_CASE(unplugged_device_hears_nothing),
	KUNIT_CASE(device_that_is_cut_off_hears_nothing),
	KUNIT_CASE(virtual_function_hears_nothing_while_its_physical_one_is_reset),
	KUNIT_CASE(virtual_function_misses_nothing_in_a_pause_of_its_physical_one),
	KUNIT_CASE(domain_without_devices_is_not_flushed),
	KUNIT_CASE(command_buffer_is_filled_no_faster_than_emptied),
	KUNIT_CASE(submission_that_waits_has_one_wait_behind_it),
	KUNIT_CASE(iommu_that_does_not_answer_is_given_up),
	KUNIT_CASE(iommu_that_carries_out_nothing_is_fatal),
	KUNIT_CASE(iommu_that_goes_on_is_waited_for),
	KUNIT_CASE(wait_is_bounded_though_the_clock_stands_still),
	KUNIT_CASE(delays_do_not_count_while_the_clock_moves),
	KUNIT_CASE(time_in_which_the_cpu_was_stopped_does_not_count),
	KUNIT_CASE(slow_flush_looks_for_time_outs_itself),
	KUNIT_CASE(device_given_up_before_the_wait_is_found),
	KUNIT_CASE(time_out_lost_by_a_stopped_event_log_counts),
	KUNIT_CASE(time_out_lost_before_the_event_log_is_started_counts),
	KUNIT_CASE(time_out_lost_while_the_event_log_is_started_counts),
	KUNIT_CASE(kernels_own_flush_leaves_a_device_without_pasids_alone),
	{}
};

static struct kunit_suite amd_sva_suite = {
	.name = "amd_sva",
	.init = amdvi_test_init,
	.exit = amdvi_test_exit,
	.test_cases = amd_sva_cases,
};

kunit_test_suite(amd_sva_suite);
