// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 under SVA: context descriptors and invalidation commands, as hardware reads them
 *
 * There is no hardware. The command queue is the driver's own, in memory; its producer and consumer
 * registers are one word of memory, so each command counts as carried out at once. A test reads the
 * commands from the queue and decodes them as the SMMUv3 architecture (IHI 0070) says.
 *
 * The driver stores 64 bits of a context descriptor (CD) at a time, and hardware may fetch it
 * between any two stores: what lies between two synchronisations is looked at in every order.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <asm/sysreg.h>

#include "../arm/arm-smmu-v3/arm-smmu-v3.h"
#include "map_touched.h"
#ifdef _LINUX_IOMMU_SVA_API_H
#include "../arm-smmu-v3-sva.h"
#endif

#define CD_SEED		70
#define CD_ASID		0x1234
#define CD_SSID		5
#define CD_SID		0x208
#define CD_WORDS	CTXDESC_CD_DWORDS
#define CD_MAX_SYNCS	8

/* CD, word 0: what EPD0 makes hardware ignore, and single bits */
#define CD0_TTB0_ATTRS	GENMASK_ULL(13, 0)
#define CD0_EPD0	BIT_ULL(14)
#define CD0_EPD1	BIT_ULL(30)
#define CD0_V		BIT_ULL(31)
#define CD0_S		BIT_ULL(44)
#define CD0_R		BIT_ULL(45)
#define CD0_ASET	BIT_ULL(47)

/* Opcodes of commands */
#define CMD_CFGI_CD	0x05
#define CMD_TLBI_ASID	0x11
#define CMD_TLBI_VA	0x12
#define CMD_TLBI_EL2_VA	0x22
#define CMD_ATC_INV	0x40
#define CMD_SYNC	0x46

/**
 * struct cd_test - an SMMU with one master
 * @smmu: its command queue is in memory
 * @reg: producer and consumer index of that queue
 * @seen: where the test has read the queue to
 * @master: one stream, a linear CD table
 * @stream: its stream
 * @mdom: puts it on an SVA domain's list
 * @dev: of both
 */
struct cd_test {
	struct arm_smmu_device *smmu;
	u32 *reg;
	u32 seen;
	struct arm_smmu_master *master;
	struct arm_smmu_stream *stream;
	struct arm_smmu_master_domain *mdom;
	struct device *dev;
};

static int arm_smmu_v3_cd_init(struct kunit *test)
{
	struct cd_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct arm_smmu_queue *q;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->dev = kunit_device_register(test, "arm-smmu-v3-cd");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->dev);
	t->dev->dma_mask = &t->dev->coherent_dma_mask;
	KUNIT_ASSERT_EQ(test, dma_set_mask_and_coherent(t->dev, DMA_BIT_MASK(64)), 0);

	t->smmu = kunit_kzalloc(test, sizeof(*t->smmu), GFP_KERNEL);
	t->master = kunit_kzalloc(test, sizeof(*t->master), GFP_KERNEL);
	t->stream = kunit_kzalloc(test, sizeof(*t->stream), GFP_KERNEL);
	t->mdom = kunit_kzalloc(test, sizeof(*t->mdom), GFP_KERNEL);
	t->reg = kunit_kzalloc(test, sizeof(*t->reg), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, t->smmu && t->master && t->stream && t->mdom && t->reg);

	t->smmu->dev = t->dev;
	t->smmu->features = ARM_SMMU_FEAT_RANGE_INV | ARM_SMMU_FEAT_STALLS;
	t->smmu->asid_bits = 16;
	q = &t->smmu->cmdq.q;
	q->llq.max_n_shift = 8;
	KUNIT_ASSERT_EQ(test, arm_smmu_init_one_queue(t->smmu, q, (void __iomem __force *)t->reg,
						      0, 0, CMDQ_ENT_DWORDS, "cmdq"), 0);
	KUNIT_ASSERT_EQ(test, arm_smmu_cmdq_init(t->smmu, &t->smmu->cmdq), 0);

	t->stream->id = CD_SID;
	t->stream->master = t->master;
	t->master->smmu = t->smmu;
	t->master->dev = t->dev;
	t->master->streams = t->stream;
	t->master->num_streams = 1;
	t->master->ssid_bits = 4;
	t->master->cd_table.s1fmt = STRTAB_STE_0_S1FMT_LINEAR;
	t->master->cd_table.linear.num_ents = 16;
	t->master->cd_table.linear.table = kunit_kcalloc(test, 16, sizeof(struct arm_smmu_cd),
							 GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->master->cd_table.linear.table);
	t->mdom->master = t->master;
	t->mdom->ssid = CD_SSID;
	return 0;
}

/* The next command that has not been looked at; false if there is none. */
static bool cd_next_cmd(struct cd_test *t, u64 cmd[CMDQ_ENT_DWORDS])
{
	const struct arm_smmu_queue *q = &t->smmu->cmdq.q;
	const u32 mask = BIT(q->llq.max_n_shift) - 1;

	if (((t->seen ^ *t->reg) & mask) == 0)
		return false;
	for (unsigned int i = 0; i < CMDQ_ENT_DWORDS; i++)
		cmd[i] = le64_to_cpu(q->base[(t->seen & mask) * CMDQ_ENT_DWORDS + i]);
	t->seen++;
	return true;
}

static void cd_skip_cmds(struct cd_test *t)
{
	t->seen = *t->reg;
}

static unsigned int cd_op(const u64 *cmd)
{
	return FIELD_GET(GENMASK_ULL(7, 0), cmd[0]);
}

/* The next command must be of that kind. */
static void cd_expect_cmd(struct kunit *test, unsigned int op, u64 cmd[CMDQ_ENT_DWORDS])
{
	KUNIT_ASSERT_TRUE(test, cd_next_cmd(test->priv, cmd));
	KUNIT_ASSERT_EQ(test, cd_op(cmd), op);
}

static void cd_expect_no_cmd(struct kunit *test)
{
	u64 cmd[CMDQ_ENT_DWORDS];

	KUNIT_EXPECT_FALSE(test, cd_next_cmd(test->priv, cmd));
}

/* Context descriptors */

/* An address space that no IOMMU walks */
static struct mm_struct *cd_fake_mm(struct kunit *test)
{
	struct mm_struct *mm = kunit_kzalloc(test, sizeof(*mm), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mm);
	mm->pgd = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mm->pgd);
	return mm;
}

static struct arm_smmu_cd cd_live(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_cd cd;

	arm_smmu_make_sva_cd(&cd, t->master, cd_fake_mm(test), CD_ASID);
	return cd;
}

static struct arm_smmu_cd cd_gone(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_cd cd;

	arm_smmu_make_sva_cd(&cd, t->master, NULL, CD_ASID);
	return cd;
}

static u64 cd_word(const struct arm_smmu_cd *cd, unsigned int n)
{
	return le64_to_cpu(cd->data[n]);
}

static void live_cd_walks_the_process_with_the_cpus_geometry(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct mm_struct *mm = cd_fake_mm(test);
	static const unsigned int tg[] = { [12] = 0, [14] = 2, [16] = 1 };
	struct arm_smmu_cd cd;
	u64 word;

	arm_smmu_make_sva_cd(&cd, t->master, mm, CD_ASID);
	word = cd_word(&cd, 0);
	KUNIT_EXPECT_TRUE(test, word & CD0_V);
	KUNIT_EXPECT_FALSE(test, word & CD0_EPD0);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(5, 0), word), 64 - vabits_actual);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(7, 6), word), tg[PAGE_SHIFT]);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(63, 48), word), CD_ASID);
	KUNIT_EXPECT_EQ(test, cd_word(&cd, 1), virt_to_phys(mm->pgd));
	KUNIT_EXPECT_EQ(test, cd_word(&cd, 3), read_sysreg(mair_el1));
}

/* The ASID is the SMMU's own, not the CPU's: broadcast invalidations must not be relied on. */
static void cd_has_an_asid_of_its_own(struct kunit *test)
{
	struct arm_smmu_cd live = cd_live(test), gone = cd_gone(test);

	KUNIT_EXPECT_TRUE(test, cd_word(&live, 0) & CD0_ASET);
	KUNIT_EXPECT_TRUE(test, cd_word(&gone, 0) & CD0_ASET);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(63, 48), cd_word(&gone, 0)), CD_ASID);
}

static void cd_never_walks_the_kernels_half(struct kunit *test)
{
	struct arm_smmu_cd live = cd_live(test), gone = cd_gone(test);

	KUNIT_EXPECT_TRUE(test, cd_word(&live, 0) & CD0_EPD1);
	KUNIT_EXPECT_TRUE(test, cd_word(&gone, 0) & CD0_EPD1);
	KUNIT_EXPECT_EQ(test, cd_word(&live, 2), 0);
	KUNIT_EXPECT_EQ(test, cd_word(&gone, 2), 0);
}

/* Valid, so that nothing is logged as a bad CD; and no table to walk. */
static void gone_cd_is_valid_and_walks_nothing(struct kunit *test)
{
	struct arm_smmu_cd gone = cd_gone(test);

	KUNIT_EXPECT_TRUE(test, cd_word(&gone, 0) & CD0_V);
	KUNIT_EXPECT_TRUE(test, cd_word(&gone, 0) & CD0_EPD0);
	KUNIT_EXPECT_EQ(test, cd_word(&gone, 0) & CD0_TTB0_ATTRS, 0);
	KUNIT_EXPECT_EQ(test, cd_word(&gone, 1), 0);
}

static void gone_cd_neither_stalls_nor_records(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_cd cd;

	t->master->stall_enabled = true;
	cd = cd_live(test);
	KUNIT_EXPECT_EQ(test, cd_word(&cd, 0) & (CD0_S | CD0_R), CD0_S | CD0_R);
	cd = cd_gone(test);
	KUNIT_EXPECT_EQ(test, cd_word(&cd, 0) & (CD0_S | CD0_R), 0);
	/* Clearing S is illegal there. */
	t->smmu->features |= ARM_SMMU_FEAT_STALL_FORCE;
	cd = cd_gone(test);
	KUNIT_EXPECT_EQ(test, cd_word(&cd, 0) & (CD0_S | CD0_R), CD0_S | CD0_R);
}

static void cd_stalls_only_for_a_device_that_can(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_cd cd;

	t->master->stall_enabled = false;
	cd = cd_live(test);
	KUNIT_EXPECT_FALSE(test, cd_word(&cd, 0) & CD0_S);
}

/* Context descriptors: each state that hardware can fetch */

/**
 * struct cd_writer - writes a CD and remembers it at each synchronisation
 * @writer: the driver's
 * @cd: what hardware fetches
 * @snap: @cd as it was before the first store, and at each synchronisation
 * @nr: how many
 */
struct cd_writer {
	struct arm_smmu_entry_writer writer;
	struct arm_smmu_cd cd;
	struct arm_smmu_cd snap[CD_MAX_SYNCS + 1];
	unsigned int nr;
};

static void cd_writer_sync(struct arm_smmu_entry_writer *writer)
{
	struct cd_writer *w = container_of(writer, struct cd_writer, writer);

	w->snap[min(w->nr, CD_MAX_SYNCS)] = w->cd;
	w->nr++;
}

static const struct arm_smmu_entry_writer_ops cd_writer_ops = {
	.get_used = arm_smmu_get_cd_used,
	.sync = cd_writer_sync,
};

static void cd_write(struct kunit *test, struct cd_writer *w, const struct arm_smmu_cd *from,
		     const struct arm_smmu_cd *to)
{
	*w = (struct cd_writer){
		.writer.ops = &cd_writer_ops,
		.cd = *from,
		.snap[0] = *from,
		.nr = 1,
	};
	arm_smmu_write_entry(&w->writer, w->cd.data, to->data);
	KUNIT_ASSERT_LE(test, w->nr, CD_MAX_SYNCS);
	KUNIT_EXPECT_MEMEQ(test, &w->cd, to, sizeof(*to));
	/* The last store is synchronised, too. */
	KUNIT_EXPECT_MEMEQ(test, &w->snap[w->nr - 1], to, sizeof(*to));
}

/* What the architecture makes of a CD: nothing else of it has an effect. */
static struct arm_smmu_cd cd_meaning(const struct arm_smmu_cd *cd)
{
	struct arm_smmu_cd m = *cd;

	if (!(cd_word(cd, 0) & CD0_V))
		return (struct arm_smmu_cd){};
	if (cd_word(cd, 0) & CD0_EPD0) {
		m.data[0] &= ~cpu_to_le64(CD0_TTB0_ATTRS);
		m.data[1] = 0;
	}
	return m;
}

static bool cd_means(const struct arm_smmu_cd *cd, const struct arm_smmu_cd *that)
{
	struct arm_smmu_cd a = cd_meaning(cd), b = cd_meaning(that);

	return !memcmp(&a, &b, sizeof(a));
}

/*
 * Between two synchronisations hardware may see any subset of the stored words. Each mixture must
 * mean @from, @to or, if @gap, nothing at all. Returns how many there were.
 */
static unsigned int cd_expect_whole(struct kunit *test, const struct cd_writer *w,
				    const struct arm_smmu_cd *from, const struct arm_smmu_cd *to,
				    bool gap)
{
	unsigned int states = 0;

	for (unsigned int i = 1; i < w->nr; i++) {
		for (unsigned int words = 0; words < 1 << CD_WORDS; words++) {
			struct arm_smmu_cd mix = w->snap[i - 1];
			bool valid;

			for (unsigned int n = 0; n < CD_WORDS; n++)
				if (words & BIT(n))
					mix.data[n] = w->snap[i].data[n];
			valid = cd_word(&mix, 0) & CD0_V;
			if (!(valid || gap) || (valid && !cd_means(&mix, from) &&
						!cd_means(&mix, to)))
				KUNIT_FAIL_AND_ABORT(test, "torn: step %u, words %#x: %*ph", i,
						     words, (int)sizeof(mix), &mix);
			states++;
		}
	}
	return states;
}

static void install_never_shows_half_a_cd(struct kunit *test)
{
	struct arm_smmu_cd none = {}, live = cd_live(test);
	struct cd_writer w;

	cd_write(test, &w, &none, &live);
	KUNIT_EXPECT_GT(test, cd_expect_whole(test, &w, &none, &live, true), 0);
	/* And the word with V is stored when the others have been synchronised. */
	KUNIT_EXPECT_FALSE(test, cd_word(&w.snap[w.nr - 2], 0) & CD0_V);
	KUNIT_EXPECT_MEMEQ(test, &w.snap[w.nr - 2].data[1], &live.data[1],
			   (CD_WORDS - 1) * sizeof(u64));
}

/* The process exits while its device works: the CD stays valid all the time. */
static void release_is_without_a_gap(struct kunit *test)
{
	struct arm_smmu_cd live = cd_live(test), gone = cd_gone(test);
	struct cd_writer w;

	cd_write(test, &w, &live, &gone);
	KUNIT_EXPECT_GT(test, cd_expect_whole(test, &w, &live, &gone, false), 0);
	/* Walks have ended with the first synchronisation. */
	KUNIT_EXPECT_TRUE(test, cd_means(&w.snap[1], &gone));
}

static void release_with_stall_is_without_a_gap(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_cd live, gone;
	struct cd_writer w;

	t->master->stall_enabled = true;
	live = cd_live(test);
	gone = cd_gone(test);
	cd_write(test, &w, &live, &gone);
	KUNIT_EXPECT_GT(test, cd_expect_whole(test, &w, &live, &gone, false), 0);
}

static void clearing_a_live_cd_never_shows_half(struct kunit *test)
{
	struct arm_smmu_cd none = {}, live = cd_live(test);
	struct cd_writer w;

	cd_write(test, &w, &live, &none);
	KUNIT_EXPECT_GT(test, cd_expect_whole(test, &w, &live, &none, true), 0);
	/* Not valid any more, synchronised, before the rest goes */
	KUNIT_EXPECT_FALSE(test, cd_word(&w.snap[1], 0) & CD0_V);
	KUNIT_EXPECT_EQ(test, cd_word(&w.snap[1], 1), cd_word(&live, 1));
}

static void clearing_a_gone_cd_never_shows_half(struct kunit *test)
{
	struct arm_smmu_cd none = {}, gone = cd_gone(test);
	struct cd_writer w;

	cd_write(test, &w, &gone, &none);
	KUNIT_EXPECT_GT(test, cd_expect_whole(test, &w, &gone, &none, true), 0);
}

/* With the driver's own writer: each step is made known to the SMMU, and waited for. */
static void each_step_of_a_cd_is_synchronised(struct kunit *test)
{
	struct arm_smmu_cd none = {}, live = cd_live(test);
	struct cd_test *t = test->priv;
	u64 cmd[CMDQ_ENT_DWORDS];
	struct arm_smmu_cd *cd;
	unsigned int steps = 0;

	cd = arm_smmu_get_cd_ptr(t->master, CD_SSID);
	arm_smmu_write_cd_entry(t->master, CD_SSID, cd, &live);
	KUNIT_EXPECT_EQ(test, t->master->cd_table.used_ssids, 1);
	arm_smmu_write_cd_entry(t->master, CD_SSID, cd, &none);
	KUNIT_EXPECT_EQ(test, t->master->cd_table.used_ssids, 0);
	while (cd_next_cmd(t, cmd)) {
		KUNIT_ASSERT_EQ(test, cd_op(cmd), CMD_CFGI_CD);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 12), cmd[0]), CD_SSID);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(63, 32), cmd[0]), CD_SID);
		KUNIT_EXPECT_TRUE(test, cmd[1] & BIT_ULL(0));
		cd_expect_cmd(test, CMD_SYNC, cmd);
		steps++;
	}
	KUNIT_EXPECT_EQ(test, steps, 4);
}

/* Invalidation commands */

struct cd_range {
	u64 first;	/* byte */
	u64 last;
};

/* TLBI by VA, as an SMMU with range invalidation reads it; checks what is reserved. */
static struct cd_range cd_tlbi_range(struct kunit *test, const u64 *cmd)
{
	unsigned int num = FIELD_GET(GENMASK_ULL(16, 12), cmd[0]);
	unsigned int scale = FIELD_GET(GENMASK_ULL(24, 20), cmd[0]);
	unsigned int ttl = FIELD_GET(GENMASK_ULL(9, 8), cmd[1]);
	unsigned int tg = FIELD_GET(GENMASK_ULL(11, 10), cmd[1]);
	u64 va = cmd[1] & GENMASK_ULL(63, 12), bytes = SZ_4K;

	if (tg) {
		/* TG, NUM = SCALE = TTL = 0 is reserved. */
		KUNIT_EXPECT_TRUE(test, num || scale || ttl);
		bytes = (u64)(num + 1) << scale << (10 + 2 * tg);
		KUNIT_EXPECT_EQ(test, va & ((1ULL << (10 + 2 * tg)) - 1), 0);
	} else {
		KUNIT_EXPECT_EQ(test, num | scale | ttl, 0);
	}
	return (struct cd_range){ va, va + bytes - 1 };
}

/* Reads commands up to the synchronisation: they must be one stretch. Returns how many. */
static unsigned int cd_read_range(struct kunit *test, unsigned int op, struct cd_range *all)
{
	u64 cmd[CMDQ_ENT_DWORDS];
	unsigned int n = 0;

	while (cd_next_cmd(test->priv, cmd) && cd_op(cmd) == op) {
		struct cd_range r = cd_tlbi_range(test, cmd);

		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(63, 48), cmd[0]), CD_ASID);
		if (n)
			KUNIT_EXPECT_EQ(test, r.first, all->last + 1);
		else
			all->first = r.first;
		all->last = r.last;
		n++;
	}
	KUNIT_EXPECT_EQ(test, cd_op(cmd), CMD_SYNC);
	return n;
}

static struct arm_smmu_domain *cd_plain_domain(struct kunit *test, size_t page)
{
	struct arm_smmu_domain *dom = kunit_kzalloc(test, sizeof(*dom), GFP_KERNEL);
	struct cd_test *t = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, dom);
	dom->smmu = t->smmu;
	dom->domain.pgsize_bitmap = page;
	INIT_LIST_HEAD(&dom->devices);
	spin_lock_init(&dom->devices_lock);
	return dom;
}

/* Not one page too few; and never more than one too many, which a single page may need. */
static void cd_expect_random_ranges(struct kunit *test, size_t page)
{
	struct arm_smmu_domain *dom = cd_plain_domain(test, page);
	struct rnd_state rnd;

	prandom_seed_state(&rnd, CD_SEED);
	for (unsigned int i = 0; i < 5000; i++) {
		u64 start = ((u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32) * page;
		u64 size = (1 + ((u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32)) *
			   page;
		struct cd_range r = {};

		arm_smmu_tlb_inv_range_asid(start, size, CD_ASID, page, false, dom);
		KUNIT_ASSERT_LE(test, cd_read_range(test, CMD_TLBI_VA, &r), 8);
		KUNIT_ASSERT_EQ(test, r.first, start);
		KUNIT_ASSERT_GE(test, r.last, start + size - 1);
		KUNIT_ASSERT_LE(test, r.last, start + size + page - 1);
	}
}

static void random_ranges_of_4k_pages_are_covered(struct kunit *test)
{
	cd_expect_random_ranges(test, SZ_4K);
}

static void random_ranges_of_16k_pages_are_covered(struct kunit *test)
{
	cd_expect_random_ranges(test, SZ_16K);
}

static void random_ranges_of_64k_pages_are_covered(struct kunit *test)
{
	cd_expect_random_ranges(test, SZ_64K);
}

static void one_page_is_no_reserved_command(struct kunit *test)
{
	struct arm_smmu_domain *dom = cd_plain_domain(test, SZ_4K);
	struct cd_range r = {};

	arm_smmu_tlb_inv_range_asid(SZ_1M, SZ_4K, CD_ASID, SZ_4K, false, dom);
	KUNIT_EXPECT_EQ(test, cd_read_range(test, CMD_TLBI_VA, &r), 1);
	KUNIT_EXPECT_EQ(test, r.first, SZ_1M);
	KUNIT_EXPECT_GE(test, r.last, SZ_1M + SZ_4K - 1);
}

/* Tables may have been freed on any level: no level must be named, and not leaves only. */
static void sva_ranges_name_no_level(struct kunit *test)
{
	struct arm_smmu_domain *dom = cd_plain_domain(test, SZ_4K);
	u64 cmd[CMDQ_ENT_DWORDS];

	arm_smmu_tlb_inv_range_asid(SZ_1G, SZ_1G, CD_ASID, SZ_4K, false, dom);
	cd_expect_cmd(test, CMD_TLBI_VA, cmd);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(9, 8), cmd[1]), 0);
	KUNIT_EXPECT_FALSE(test, cmd[1] & BIT_ULL(0));
}

static void el2_ranges_are_el2_commands(struct kunit *test)
{
	struct arm_smmu_domain *dom = cd_plain_domain(test, SZ_4K);
	struct cd_test *t = test->priv;
	struct cd_range r = {};

	t->smmu->features |= ARM_SMMU_FEAT_E2H;
	arm_smmu_tlb_inv_range_asid(SZ_1M, SZ_1M, CD_ASID, SZ_4K, false, dom);
	KUNIT_EXPECT_EQ(test, cd_read_range(test, CMD_TLBI_EL2_VA, &r), 1);
	KUNIT_EXPECT_EQ(test, r.last, SZ_2M - 1);
}

static void without_ranges_each_page_is_named(struct kunit *test)
{
	struct arm_smmu_domain *dom = cd_plain_domain(test, SZ_4K);
	struct cd_test *t = test->priv;
	struct cd_range r = {};

	t->smmu->features &= ~ARM_SMMU_FEAT_RANGE_INV;
	arm_smmu_tlb_inv_range_asid(SZ_1M, 5 * SZ_4K, CD_ASID, SZ_4K, false, dom);
	KUNIT_EXPECT_EQ(test, cd_read_range(test, CMD_TLBI_VA, &r), 5);
	KUNIT_EXPECT_EQ(test, r.first, SZ_1M);
	KUNIT_EXPECT_EQ(test, r.last, SZ_1M + 5 * SZ_4K - 1);
}

/* SVA domains, as the driver makes them, on the test's own address space */

/* The back-end of the SVA core or, on a base kernel, the base's with its own notifier */
#ifdef _LINUX_IOMMU_SVA_API_H
static void cd_add_dev(struct kunit *test, struct arm_smmu_domain *dom)
{
	struct cd_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, arm_smmu_sva_add_dev(to_smmu_sva_domain(&dom->domain), t->master,
						   CD_SSID), 0);
}

static void cd_del_dev(struct arm_smmu_domain *dom)
{
	struct smmu_sva_dev *sdev, *next;

	list_for_each_entry_safe(sdev, next, &to_smmu_sva_domain(&dom->domain)->devs, node) {
		list_del(&sdev->node);
		kfree(sdev);
	}
}

static void cd_invalidate(struct arm_smmu_domain *dom, unsigned long start, unsigned long end)
{
	arm_smmu_sva_ops.invalidate_range(&dom->domain, start, end);
}

static void cd_release(struct arm_smmu_domain *dom)
{
	arm_smmu_sva_ops.release(&dom->domain);
}
#else
static void cd_add_dev(struct kunit *test, struct arm_smmu_domain *dom)
{
	struct cd_test *t = test->priv;

	list_add(&t->mdom->devices_elm, &dom->devices);
}

static void cd_del_dev(struct arm_smmu_domain *dom)
{
	INIT_LIST_HEAD(&dom->devices);
}

static void cd_invalidate(struct arm_smmu_domain *dom, unsigned long start, unsigned long end)
{
	dom->mmu_notifier.ops->arch_invalidate_secondary_tlbs(&dom->mmu_notifier, current->mm,
							      start, end);
}

static void cd_release(struct arm_smmu_domain *dom)
{
	dom->mmu_notifier.ops->release(&dom->mmu_notifier, current->mm);
}
#endif

/* Attached by hand: the device's stream table is no part of this. */
static struct arm_smmu_domain *cd_sva_domain(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_domain *dom;
	struct iommu_domain *domain;
	struct dev_iommu *param;
	struct arm_smmu_cd cd;

	param = kunit_kzalloc(test, sizeof(*param), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, param);
	t->dev->iommu = param;
	param->priv = t->master;
	domain = arm_smmu_sva_domain_alloc(t->dev, current->mm);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	t->dev->iommu = NULL;
	dom = to_smmu_domain(domain);
	cd_add_dev(test, dom);
	arm_smmu_make_sva_cd(&cd, t->master, current->mm, dom->cd.asid);
	arm_smmu_write_cd_entry(t->master, CD_SSID, arm_smmu_get_cd_ptr(t->master, CD_SSID), &cd);
	cd_skip_cmds(t);
	return dom;
}

static void cd_free_sva_domain(struct arm_smmu_domain *dom)
{
	cd_del_dev(dom);
	dom->domain.ops->free(&dom->domain);
}

/* An empty bitmap made the driver shift by 64. */
static void sva_domain_knows_its_page_size(struct kunit *test)
{
	struct arm_smmu_domain *dom;

	map_touched(test, 1);
	dom = cd_sva_domain(test);
	KUNIT_EXPECT_EQ(test, dom->domain.pgsize_bitmap, PAGE_SIZE);
	cd_free_sva_domain(dom);
}

static void sva_range_is_in_units_of_the_page_size(struct kunit *test)
{
	struct arm_smmu_domain *dom;
	u64 cmd[CMDQ_ENT_DWORDS];
	struct cd_range r;

	map_touched(test, 1);
	dom = cd_sva_domain(test);
	cd_invalidate(dom, SZ_1G, SZ_1G + 6 * PAGE_SIZE);
	cd_expect_cmd(test, CMD_TLBI_VA, cmd);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(11, 10), cmd[1]), (PAGE_SHIFT - 10) / 2);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(63, 48), cmd[0]), dom->cd.asid);
	r = cd_tlbi_range(test, cmd);
	KUNIT_EXPECT_EQ(test, r.first, SZ_1G);
	KUNIT_EXPECT_EQ(test, r.last, SZ_1G + 6 * PAGE_SIZE - 1);
	cd_expect_cmd(test, CMD_SYNC, cmd);
	cd_free_sva_domain(dom);
}

static void everything_is_one_command(struct kunit *test)
{
	struct arm_smmu_domain *dom;
	u64 cmd[CMDQ_ENT_DWORDS];

	map_touched(test, 1);
	dom = cd_sva_domain(test);
	cd_invalidate(dom, 0, ~0UL);
	cd_expect_cmd(test, CMD_TLBI_ASID, cmd);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(63, 48), cmd[0]), dom->cd.asid);
	cd_expect_cmd(test, CMD_SYNC, cmd);
	cd_expect_no_cmd(test);
	cd_free_sva_domain(dom);
}

/* Page by page it took 26 seconds. */
static void huge_range_without_range_commands_is_one_command(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_domain *dom;
	u64 cmd[CMDQ_ENT_DWORDS];

	map_touched(test, 1);
	dom = cd_sva_domain(test);
	t->smmu->features &= ~ARM_SMMU_FEAT_RANGE_INV;
	cd_invalidate(dom, SZ_1G, 65UL * SZ_1G);
	cd_expect_cmd(test, CMD_TLBI_ASID, cmd);
	cd_expect_cmd(test, CMD_SYNC, cmd);
	cd_expect_no_cmd(test);
	cd_free_sva_domain(dom);
}

#ifndef _LINUX_IOMMU_SVA_API_H
/* ATC invalidations up to the synchronisation: aligned blocks that cover [first, last] */
static void cd_expect_atc(struct kunit *test, u64 first, u64 last)
{
	u64 cmd[CMDQ_ENT_DWORDS], next = 0;

	while (cd_next_cmd(test->priv, cmd) && cd_op(cmd) == CMD_ATC_INV) {
		u64 size = 1ULL << (FIELD_GET(GENMASK_ULL(5, 0), cmd[1]) + 12);
		u64 addr = cmd[1] & GENMASK_ULL(63, 12);

		KUNIT_EXPECT_TRUE(test, cmd[0] & BIT_ULL(11));
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(31, 12), cmd[0]), CD_SSID);
		KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(63, 32), cmd[0]), CD_SID);
		KUNIT_EXPECT_EQ(test, addr & (size - 1), 0);
		if (next)
			KUNIT_EXPECT_EQ(test, addr, next);
		else
			KUNIT_EXPECT_LE(test, addr, first);
		next = addr + size;
	}
	KUNIT_EXPECT_GT(test, next, last);
	KUNIT_EXPECT_EQ(test, cd_op(cmd), CMD_SYNC);
}

/* A translation request may be served from the TLB: that first, completely. */
static void tlb_goes_before_atc(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_domain *dom;
	u64 cmd[CMDQ_ENT_DWORDS];

	map_touched(test, 1);
	dom = cd_sva_domain(test);
	t->smmu->features |= ARM_SMMU_FEAT_ATS;
	t->master->ats_enabled = true;
	atomic_set(&dom->nr_ats_masters, 1);
	cd_invalidate(dom, SZ_1G + 3 * PAGE_SIZE, SZ_1G + 9 * PAGE_SIZE);
	cd_expect_cmd(test, CMD_TLBI_VA, cmd);
	cd_expect_cmd(test, CMD_SYNC, cmd);
	cd_expect_atc(test, SZ_1G + 3 * PAGE_SIZE, SZ_1G + 9 * PAGE_SIZE - 1);
	cd_expect_no_cmd(test);
	cd_free_sva_domain(dom);
}
#endif

/* The mm exits: the CD walks nothing, then what is cached goes. */
static void release_changes_the_cd_and_then_flushes(struct kunit *test)
{
	struct cd_test *t = test->priv;
	struct arm_smmu_domain *dom;
	u64 cmd[CMDQ_ENT_DWORDS];
	struct arm_smmu_cd gone;

	map_touched(test, 1);
	dom = cd_sva_domain(test);
	arm_smmu_make_sva_cd(&gone, t->master, NULL, dom->cd.asid);
	cd_release(dom);
	KUNIT_EXPECT_MEMEQ(test, arm_smmu_get_cd_ptr(t->master, CD_SSID), &gone, sizeof(gone));
	for (unsigned int i = 0; i < 2; i++) {
		cd_expect_cmd(test, CMD_CFGI_CD, cmd);
		cd_expect_cmd(test, CMD_SYNC, cmd);
	}
	cd_expect_cmd(test, CMD_TLBI_ASID, cmd);
	cd_expect_cmd(test, CMD_SYNC, cmd);
	cd_expect_no_cmd(test);
	cd_free_sva_domain(dom);
}

static void freed_domain_leaves_its_asid_clean(struct kunit *test)
{
	struct arm_smmu_domain *dom;
	u64 cmd[CMDQ_ENT_DWORDS];
	u16 asid;

	map_touched(test, 1);
	dom = cd_sva_domain(test);
	asid = dom->cd.asid;
	cd_free_sva_domain(dom);
	cd_expect_cmd(test, CMD_TLBI_ASID, cmd);
	KUNIT_EXPECT_EQ(test, FIELD_GET(GENMASK_ULL(63, 48), cmd[0]), asid);
	cd_expect_cmd(test, CMD_SYNC, cmd);
	KUNIT_EXPECT_NULL(test, xa_load(&arm_smmu_asid_xa, asid));
}

static struct kunit_case arm_smmu_v3_cd_cases[] = {
	KUNIT_CASE(live_cd_walks_the_process_with_the_cpus_geometry),
	KUNIT_CASE(cd_has_an_asid_of_its_own),
	KUNIT_CASE(cd_never_walks_the_kernels_half),
	KUNIT_CASE(gone_cd_is_valid_and_walks_nothing),
	KUNIT_CASE(gone_cd_neither_stalls_nor_records),
	KUNIT_CASE(cd_stalls_only_for_a_device_that_can),
	KUNIT_CASE(install_never_shows_half_a_cd),
	KUNIT_CASE(release_is_without_a_gap),
	KUNIT_CASE(release_with_stall_is_without_a_gap),
	KUNIT_CASE(clearing_a_live_cd_never_shows_half),
	KUNIT_CASE(clearing_a_gone_cd_never_shows_half),
	KUNIT_CASE(each_step_of_a_cd_is_synchronised),
	KUNIT_CASE(random_ranges_of_4k_pages_are_covered),
	KUNIT_CASE(random_ranges_of_16k_pages_are_covered),
	KUNIT_CASE(random_ranges_of_64k_pages_are_covered),
	KUNIT_CASE(one_page_is_no_reserved_command),
	KUNIT_CASE(sva_ranges_name_no_level),
	KUNIT_CASE(el2_ranges_are_el2_commands),
	KUNIT_CASE(without_ranges_each_page_is_named),
	KUNIT_CASE(sva_domain_knows_its_page_size),
	KUNIT_CASE(sva_range_is_in_units_of_the_page_size),
	KUNIT_CASE(everything_is_one_command),
	KUNIT_CASE(huge_range_without_range_commands_is_one_command),
#ifndef _LINUX_IOMMU_SVA_API_H
	/* The core's back-end looks at the PCI function, which is in another suite. */
	KUNIT_CASE(tlb_goes_before_atc),
#endif
	KUNIT_CASE(release_changes_the_cd_and_then_flushes),
	KUNIT_CASE(freed_domain_leaves_its_asid_clean),
	{}
};

static struct kunit_suite arm_smmu_v3_cd_suite = {
	.name = "arm_smmu_v3_cd",
	.init = arm_smmu_v3_cd_init,
	.test_cases = arm_smmu_v3_cd_cases,
};

kunit_test_suite(arm_smmu_v3_cd_suite);
