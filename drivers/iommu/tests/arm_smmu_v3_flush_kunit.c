// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: flushes, and devices that do not complete them
 */
#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <linux/delay.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "arm_smmu_v3_kunit.h"

/* Flushes */

/* Reads the ATC invalidations of one device: naturally aligned blocks, no gap, no overlap. */
static unsigned int read_atc_blocks(struct smmu_test *t, struct smmu_cmd *cmd, u64 *first,
				    u64 *last)
{
	u32 sid = cmd_sid(cmd);
	unsigned int n = 0;

	do {
		unsigned int order = cmd_atc_order(cmd);
		u64 pfn = cmd_atc_pfn(cmd);

		KUNIT_ASSERT_TRUE(t->test, cmd_has_ssid(cmd));
		KUNIT_ASSERT_EQ(t->test, cmd_ssid(cmd), SVA_SSID);
		KUNIT_ASSERT_EQ(t->test, pfn & ((1ULL << order) - 1), 0);
		if (n)
			KUNIT_ASSERT_EQ(t->test, pfn, *last + 1);
		else
			*first = pfn;
		*last = pfn + (1ULL << order) - 1;
		n++;
	} while (next_cmd(t, cmd) && cmd_op(cmd) == OP_ATC_INV && cmd_sid(cmd) == sid);
	return n;
}

static void skip_tlb_flush(struct smmu_test *t)
{
	struct smmu_cmd cmd;

	KUNIT_ASSERT_TRUE(t->test, find_cmd(t, OP_SYNC, &cmd));
}

/* Both devices hear of these 4 KiB pages, in that many blocks. */
static void expect_atc(struct smmu_test *t, unsigned long start, unsigned long end,
		       unsigned int blocks, u64 first, u64 last)
{
	struct smmu_cmd cmd;
	u64 got_first, got_last;

	invalidate(t, start, end);
	skip_tlb_flush(t);
	cmd = expect_cmd(t, OP_ATC_INV);
	for (unsigned int n = 0; n < 2; n++) {
		KUNIT_ASSERT_EQ(t->test, cmd_op(&cmd), OP_ATC_INV);
		KUNIT_EXPECT_EQ(t->test, read_atc_blocks(t, &cmd, &got_first, &got_last), blocks);
		KUNIT_EXPECT_EQ(t->test, got_first, first);
		KUNIT_EXPECT_EQ(t->test, got_last, last);
	}
	KUNIT_EXPECT_EQ(t->test, cmd_op(&cmd), OP_SYNC);
	expect_no_cmd(t);
}

static void aligned_range_is_one_block(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, SZ_1G, SZ_1G + SZ_2M, 1, SZ_1G >> 12, ((SZ_1G + SZ_2M) >> 12) - 1);
	expect_atc(t, 0, SZ_64K, 1, 0, 15);
	detach_both(t);
}

static void ragged_range_is_one_block(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, 0, 7 * SZ_64K, 1, 0, 127);
	expect_atc(t, SZ_2M - SZ_64K, SZ_2M + SZ_64K, 1, 0, 1023);
	detach_both(t);
}

/* A block around both would cover two gigabytes. */
static void range_across_a_large_alignment_is_two_blocks(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, SZ_1G - SZ_64K, SZ_1G + SZ_64K, 2, 0x3fff0, 0x4000f);
	detach_both(t);
}

static void everything_is_one_block_with_the_pasid(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, 0, ~0UL, 1, 0, GENMASK_ULL(51, 0));
	detach_both(t);
}

/* Exactly, it would take 58 blocks and more. */
static void range_askew_at_both_ends_is_one_block(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	expect_atc(t, SZ_64K, BIT(45) - SZ_64K, 1, 0, GENMASK_ULL(32, 0));
	detach_both(t);
}

/* No page too few, and never many commands */
static void random_ranges_are_covered_by_few_blocks(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct rnd_state rnd;

	attach_both(t);
	t->fn[1]->master.atc_live = false;
	prandom_seed_state(&rnd, SVA_SEED);
	for (unsigned int i = 0; i < 4000; i++) {
		u64 pfn = (u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32;
		u64 pages = 1 + ((u64)prandom_u32_state(&rnd) >> prandom_u32_state(&rnd) % 32);
		unsigned int n, per_page = PAGE_SIZE >> 12;
		struct smmu_cmd cmd;
		u64 first, last;

		invalidate(t, pfn * PAGE_SIZE, (pfn + pages) * PAGE_SIZE);
		skip_tlb_flush(t);
		cmd = expect_cmd(t, OP_ATC_INV);
		n = read_atc_blocks(t, &cmd, &first, &last);
		KUNIT_ASSERT_LE(test, n, SVA_COST_ALL);
		KUNIT_ASSERT_LE(test, first, pfn * per_page);
		KUNIT_ASSERT_GE(test, last, (pfn + pages) * per_page - 1);
	}
	t->fn[1]->master.atc_live = true;
	detach_both(t);
}

static void device_without_ats_hears_nothing(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	t->fn[0]->master.atc_live = false;
	t->fn[1]->master.atc_live = false;
	invalidate(t, SZ_1M, SZ_2M);
	expect_cmd(t, OP_TLBI_VA);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	detach_both(t);
}

/* The device would not answer, and all CPUs that submit commands would wait. */
static void device_in_a_reset_hears_nothing(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;

	attach_both(t);
	iopf_quiesce_device(dev);
	skip_cmds(t);
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 0);
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID + 1), 1);
	iopf_resume_device(dev);
	skip_cmds(t);
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 1);
	detach_both(t);
}

static void invalidate_counts(struct smmu_test *t, unsigned int first, unsigned int second)
{
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(t->test, atc_commands_of(t, SVA_SID), first);
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(t->test, atc_commands_of(t, SVA_SID + 1), second);
}

static void device_behind_a_dead_link_hears_nothing(struct kunit *test)
{
	static const pci_channel_state_t states[] = { pci_channel_io_frozen,
						      pci_channel_io_perm_failure };
	struct smmu_test *t = test->priv;

	attach_both(t);
	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
		t->fn[0]->pdev.error_state = states[i];
		invalidate_counts(t, 0, 1);
	}
	t->fn[0]->pdev.error_state = pci_channel_io_normal;
	invalidate_counts(t, 1, 1);
	detach_both(t);
}

/* The second function is a virtual one of the first. */
static void virtual_function_hears_nothing_while_its_physical_one_is_away(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *pf = &t->fn[0]->pdev, *vf = &t->fn[1]->pdev;

	attach_both(t);
	backend_make_vf(test, pf, vf);
	pf->error_state = pci_channel_io_perm_failure;
	invalidate_counts(t, 0, 0);
	pf->error_state = pci_channel_io_normal;
	vf->error_state = pci_channel_io_frozen;
	invalidate_counts(t, 1, 0);
	vf->error_state = pci_channel_io_normal;
	invalidate_counts(t, 1, 1);
	backend_unmake_vf(pf, vf);
	detach_both(t);
}

static void virtual_function_hears_nothing_while_its_physical_one_is_reset(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *pf = &t->fn[0]->pdev, *vf = &t->fn[1]->pdev;

	attach_both(t);
	backend_make_vf(test, pf, vf);
	iopf_pci_reset_begins(pf);
	skip_cmds(t);
	invalidate_counts(t, 0, 0);
	iopf_pci_restored(pf);
	skip_cmds(t);
	invalidate_counts(t, 1, 0);
	iopf_pci_restored(vf);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID + 1), 1);
	invalidate_counts(t, 1, 1);
	backend_unmake_vf(pf, vf);
	detach_both(t);
}

/* It is not flushed when the other one's pause ends. */
static void virtual_function_misses_nothing_in_a_pause_of_its_physical_one(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct pci_dev *pf = &t->fn[0]->pdev, *vf = &t->fn[1]->pdev;

	attach_both(t);
	backend_make_vf(test, pf, vf);
	iopf_quiesce_device(&pf->dev);
	skip_cmds(t);
	invalidate_counts(t, 0, 1);
	iopf_resume_device(&pf->dev);
	skip_cmds(t);
	backend_unmake_vf(pf, vf);
	detach_both(t);
}

/* Its link may be down before the PCI core knows. */
static void device_that_does_not_answer_is_detached_without_its_help(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	t->absent = true;
	detach(t, 0);
	KUNIT_EXPECT_FALSE(test, cd_is_valid(smmu_cd(t, 0, SVA_SSID)));
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 0);
	t->absent = false;
	detach(t, 1);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID + 1), 1);
}

/* Devices that do not complete invalidations */

static int smmu_submit_to_deaf(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds)
{
	struct smmu_test *t = kunit_get_current_test()->priv;
	int ret = arm_smmu_cmdq_batch_submit(smmu, cmds);

	for (int i = 0; i < cmds->num; i++) {
		const u64 *w = &cmds->cmds[i * CMDQ_ENT_DWORDS];

		if (FIELD_GET(GENMASK_ULL(7, 0), w[0]) == OP_ATC_INV &&
		    FIELD_GET(GENMASK_ULL(63, 32), w[0]) == t->deaf_sid)
			return -EIO;
	}
	return ret;
}

static void make_deaf(struct smmu_test *t, u32 sid)
{
	t->deaf_sid = sid;
	kunit_activate_static_stub(t->test, arm_smmu_sva_submit, smmu_submit_to_deaf);
}

static void cure(struct smmu_test *t)
{
	kunit_deactivate_static_stub(t->test, arm_smmu_sva_submit);
}

static unsigned int eats(struct smmu_test *t, unsigned int n)
{
	return FIELD_GET(GENMASK_ULL(29, 28),
			 le64_to_cpu(arm_smmu_get_step_for_sid(t->smmu, SVA_SID + n)->data[1]));
}

/* As the attachment has left them */
static void believe_both(struct smmu_test *t)
{
	for (unsigned int n = 0; n < 2; n++)
		arm_smmu_get_step_for_sid(t->smmu, SVA_SID + n)->data[1] =
			cpu_to_le64(FIELD_PREP(GENMASK_ULL(29, 28), 1));
}

/* It may use what it should have forgotten; and no others are to suffer. */
static void device_that_does_not_complete_is_cut_off(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd = {};

	attach_both(t);
	believe_both(t);
	make_deaf(t, SVA_SID);
	invalidate(t, SZ_1M, SZ_2M);
	cure(t);
	KUNIT_EXPECT_TRUE(test, t->fn[0]->master.atc_lost);
	KUNIT_EXPECT_EQ(test, eats(t, 0), 0);
	KUNIT_EXPECT_FALSE(test, t->fn[1]->master.atc_lost);
	KUNIT_EXPECT_EQ(test, eats(t, 1), 1);
	/* The SMMU has been told, and waited for. */
	KUNIT_ASSERT_TRUE(test, find_cmd(t, OP_CFGI_STE, &cmd));
	KUNIT_EXPECT_EQ(test, cmd_sid(&cmd), SVA_SID);
	expect_cmd(t, OP_SYNC);
	detach_both(t);
}

static void device_that_is_cut_off_is_asked_no_more(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	make_deaf(t, SVA_SID);
	invalidate(t, SZ_1M, SZ_2M);
	cure(t);
	skip_cmds(t);
	invalidate_counts(t, 0, 1);
	detach(t, 0);
	arm_smmu_sva_drain(&t->fn[0]->pdev.dev, SVA_SSID);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 0);
	detach(t, 1);
}

/* What is in the first part of a list must not be forgotten when the second succeeds. */
static void error_of_a_long_list_is_of_any_part(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;
	struct arm_smmu_stream streams[5];

	for (unsigned int i = 0; i < ARRAY_SIZE(streams); i++)
		streams[i] = t->fn[0]->stream;
	attach_both(t);
	make_deaf(t, SVA_SID + 1);
	/* 14 blocks for the device that is deaf, and 5 * 14 for the other: more than a batch */
	master->streams = streams;
	master->num_streams = ARRAY_SIZE(streams);
	invalidate(t, (BIT(28) - 0x554a000) * SZ_4K, (BIT(28) + 0x554a000) * SZ_4K);
	master->streams = &t->fn[0]->stream;
	master->num_streams = 1;
	cure(t);
	KUNIT_EXPECT_TRUE(test, t->fn[1]->master.atc_lost);
	KUNIT_EXPECT_FALSE(test, t->fn[0]->master.atc_lost);
	detach_both(t);
}

static void reset_device(struct smmu_test *t, unsigned int n)
{
	iopf_quiesce_device(&t->fn[n]->pdev.dev);
	iopf_resume_device(&t->fn[n]->pdev.dev);
}

static void reset_gives_a_device_another_chance(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;

	attach_both(t);
	believe_both(t);
	make_deaf(t, SVA_SID);
	invalidate(t, SZ_1M, SZ_2M);
	/* It may not take it. */
	reset_device(t, 0);
	KUNIT_EXPECT_TRUE(test, master->atc_lost);
	KUNIT_EXPECT_EQ(test, eats(t, 0), 0);
	cure(t);
	/* Nor come back at all. */
	t->absent = true;
	reset_device(t, 0);
	KUNIT_EXPECT_TRUE(test, master->atc_lost);
	KUNIT_EXPECT_EQ(test, eats(t, 0), 0);
	t->absent = false;
	reset_device(t, 0);
	KUNIT_EXPECT_FALSE(test, master->atc_lost);
	KUNIT_EXPECT_EQ(test, eats(t, 0), 1);
	skip_cmds(t);
	invalidate_counts(t, 1, 1);
	detach_both(t);
}

/* A reset is for devices that hang. */
static void reset_begins_without_the_help_of_the_device(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct device *dev = &t->fn[0]->pdev.dev;

	iopf_quiesce_device(dev);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 0);
	iopf_resume_device(dev);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 1);
}

/**
 * struct smmu_hardware - what the SMMU does when a device does not complete an invalidation
 * @work: where it does it
 * @t: whose command queue
 * @cons: its consumer index
 * @looks: it looks for commands
 * @stop: nothing more will come
 */
struct smmu_hardware {
	struct work_struct work;
	struct smmu_test *t;
	u32 cons;
	struct completion looks;
	bool stop;
};

/* It stops at the CMD_SYNC, has the error handled, and executes it again. */
static void smmu_fail_sync(struct work_struct *work)
{
	struct smmu_hardware *hw = container_of(work, struct smmu_hardware, work);
	u32 *prod = hw->t->reg, begin = READ_ONCE(hw->cons);

	complete(&hw->looks);
	while (READ_ONCE(*prod) == begin) {
		if (READ_ONCE(hw->stop))
			return;
		cpu_relax();
	}
	WRITE_ONCE(hw->cons, (*prod - 1) |
		   FIELD_PREP(CMDQ_CONS_ERR, CMDQ_ERR_CERROR_ATC_INV_IDX));
	__arm_smmu_cmdq_skip_err(hw->t->smmu, &hw->t->smmu->cmdq);
	smp_wmb();	/* as GERRORN is written */
	WRITE_ONCE(hw->cons, *prod);
}

static int submit_atc(struct smmu_test *t)
{
	struct smmu_atc_list list;

	guard(rcu)();
	arm_smmu_sva_start_atc(&list, t->smmu);
	arm_smmu_sva_add_atc(&list, &t->fn[0]->master, SVA_SSID, 0, SZ_4K);
	return arm_smmu_sva_end_atc(&list);
}

/* How often the SMMU may be so slow that the driver gives it up */
#define SMMU_SLOW_TIMES		60

/* What a submission returns if @cpu, which is another one, is the hardware */
static int submit_to_failing(struct smmu_test *t, struct smmu_hardware *hw, unsigned int cpu)
{
	int ret;

	reinit_completion(&hw->looks);
	hw->cons = t->reg[0];
	hw->stop = false;
	schedule_work_on(cpu, &hw->work);
	wait_for_completion(&hw->looks);
	ret = submit_atc(t);
	WRITE_ONCE(hw->stop, true);
	flush_work(&hw->work);
	return ret;
}

static void sync_behind_a_failed_invalidation_says_so(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_queue *q = &t->smmu->cmdq.q;
	struct smmu_hardware hw = { .t = t };
	int ret = -ETIMEDOUT;
	unsigned int cpu;

	KUNIT_EXPECT_EQ(test, submit_atc(t), 0);
	/* It spins with interrupts off: the other CPU is the hardware, and may not run in time. */
	q->cons_reg = (u32 __iomem __force *)&hw.cons;
	INIT_WORK_ONSTACK(&hw.work, smmu_fail_sync);
	init_completion(&hw.looks);
	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	if (cpu < nr_cpu_ids) {
		for (unsigned int n = 0; n < SMMU_SLOW_TIMES && ret == -ETIMEDOUT; n++)
			ret = submit_to_failing(t, &hw, cpu);
		KUNIT_EXPECT_EQ(test, ret, -EIO);
	}
	migrate_enable();
	destroy_work_on_stack(&hw.work);
	q->cons_reg = q->prod_reg;
	if (cpu >= nr_cpu_ids)
		kunit_skip(test, "needs two CPUs");
	/* The next CMD_SYNC in the same place has nothing to do with it. */
	for (unsigned int i = 0; i < BIT(q->llq.max_n_shift); i++)
		KUNIT_ASSERT_EQ(test, submit_atc(t), 0);
}

/* Commands that take long */

/**
 * struct smmu_slow - an SMMU that does not go on while the base driver polls
 * @t: whose command queue
 * @cons: its consumer index
 * @waits: how often the driver has asked whether to wait on
 * @written: registers that it has written to turn the SMMU off
 * @nr: how many
 */
static struct smmu_slow {
	struct smmu_test *t;
	u32 cons;
	unsigned int waits;
	unsigned int written[4];
	unsigned int nr;
} smmu_slow;

static void smmu_slow_down(struct smmu_test *t)
{
	smmu_slow = (struct smmu_slow){ .t = t, .cons = t->reg[0] };
	t->smmu->cmdq.q.cons_reg = (u32 __iomem __force *)&smmu_slow.cons;
}

static void smmu_speed_up(struct smmu_test *t)
{
	t->smmu->cmdq.q.cons_reg = t->smmu->cmdq.q.prod_reg;
}

/* The device has been given up: hardware goes on. */
static bool smmu_goes_on_later(struct arm_smmu_device *smmu, const struct arm_smmu_cmdq *cmdq,
			       struct arm_smmu_sva_wait *wait)
{
	smmu_slow.waits++;
	smmu_slow.cons = smmu_slow.t->reg[0];
	return true;
}

/* Behind an ATC invalidation that a device does not complete, for longer than the base polls */
static void flush_is_over_when_it_has_been_carried_out(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	kunit_activate_static_stub(test, arm_smmu_sva_wait_on, smmu_goes_on_later);
	smmu_slow_down(t);
	t->smmu->features &= ~ARM_SMMU_FEAT_ATS;
	invalidate(t, SZ_1M, SZ_2M);
	KUNIT_EXPECT_EQ(test, smmu_slow.cons, t->reg[0]);
	KUNIT_EXPECT_EQ(test, smmu_slow.waits, 1);
	/* An ATC invalidation, too: the device has answered. */
	KUNIT_EXPECT_EQ(test, submit_atc(t), 0);
	KUNIT_EXPECT_EQ(test, smmu_slow.waits, 2);
	kunit_deactivate_static_stub(test, arm_smmu_sva_wait_on);
	smmu_speed_up(t);
	skip_cmds(t);
	detach_both(t);
}

static int smmu_note_write(struct arm_smmu_device *smmu, unsigned int reg, u32 val,
			   unsigned int ack, u32 bits)
{
	smmu_slow.written[smmu_slow.nr++ % ARRAY_SIZE(smmu_slow.written)] = reg;
	if (reg == ARM_SMMU_GBPA)
		KUNIT_EXPECT_EQ(smmu_slow.t->test, val, BIT(31) | BIT(20));
	else
		KUNIT_EXPECT_EQ(smmu_slow.t->test, val, 0);
	writel_relaxed(readl_relaxed(smmu->base + ack) & ~bits, smmu->base + ack);
	return 0;
}

/* Longer than any device takes. Others' translations may be in use for as long as it is on. */
static void smmu_that_carries_out_nothing_is_turned_off(struct kunit *test)
{
	struct arm_smmu_sva_wait wait = {}, other = {};
	struct smmu_test *t = test->priv;
	unsigned int polls = 1;

	smmu_slow_down(t);
	kunit_activate_static_stub(test, arm_smmu_sva_write, smmu_note_write);
	while (smmu_waits_on(t, &wait) && polls < 1000)
		polls++;
	/* PCIe: 90 s */
	KUNIT_EXPECT_GT(test, polls, 90);
	KUNIT_EXPECT_LE(test, polls, 180);
	KUNIT_ASSERT_EQ(test, smmu_slow.nr, 2);
	KUNIT_EXPECT_EQ(test, smmu_slow.written[0], ARM_SMMU_GBPA);
	KUNIT_EXPECT_EQ(test, smmu_slow.written[1], ARM_SMMU_CR0);
	/* Nor does another CPU wait, or the next flush. */
	KUNIT_EXPECT_FALSE(test, smmu_waits_on(t, &other));
	KUNIT_EXPECT_EQ(test, smmu_slow.nr, 2);
	KUNIT_EXPECT_EQ(test, submit_atc(t), 0);
	expect_no_cmd(t);
	t->smmu->shut_down = false;
	smmu_speed_up(t);
}

/* Several devices may have to be given up, one after the other. */
static void smmu_that_goes_on_stays_on(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_sva_wait wait = {};

	smmu_slow_down(t);
	kunit_activate_static_stub(test, arm_smmu_sva_write, smmu_note_write);
	for (unsigned int polls = 0; polls < 1000; polls++) {
		if (polls % 60 == 0)
			smmu_slow.cons++;
		KUNIT_ASSERT_TRUE(test, smmu_waits_on(t, &wait));
	}
	KUNIT_EXPECT_EQ(test, smmu_slow.nr, 0);
	smmu_speed_up(t);
}

/* The interrupt may be for the CPU that waits. */
static void who_waits_handles_errors(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_queue *q = &t->smmu->cmdq.q;
	struct arm_smmu_sva_wait wait = {};

	smmu_slow_down(t);
	smmu_slow.cons |= FIELD_PREP(CMDQ_CONS_ERR, CMDQ_ERR_CERROR_ATC_INV_IDX);
	writel_relaxed(GERROR_CMDQ_ERR, t->smmu->base + ARM_SMMU_GERROR);
	KUNIT_EXPECT_TRUE(test, smmu_waits_on(t, &wait));
	KUNIT_EXPECT_EQ(test, readl_relaxed(t->smmu->base + ARM_SMMU_GERRORN), GERROR_CMDQ_ERR);
	KUNIT_EXPECT_TRUE(test, test_and_clear_bit(Q_IDX(&q->llq, smmu_slow.cons),
						   t->smmu->cmdq.atc_errors));
	smmu_speed_up(t);
}

/* The base driver's own flushes */

struct smmu_kernel_domain {
	struct arm_smmu_domain dom;
	struct arm_smmu_master_domain use[2];
};

/* A domain of the kernel's DMA that the first @nr functions use */
static struct smmu_kernel_domain *attach_kernel(struct smmu_test *t, unsigned int nr)
{
	struct smmu_kernel_domain *k = kunit_kzalloc(t->test, sizeof(*k), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(t->test, k);
	k->dom.smmu = t->smmu;
	spin_lock_init(&k->dom.devices_lock);
	INIT_LIST_HEAD(&k->dom.devices);
	for (unsigned int n = 0; n < nr; n++) {
		k->use[n].master = &t->fn[n]->master;
		k->use[n].ssid = IOMMU_NO_PASID;
		list_add_tail(&k->use[n].devices_elm, &k->dom.devices);
		atomic_inc(&k->dom.nr_ats_masters);
	}
	return k;
}

static unsigned int kernel_flushes(struct smmu_test *t, struct smmu_kernel_domain *k, u32 sid)
{
	skip_cmds(t);
	arm_smmu_atc_inv_domain(&k->dom, SZ_1M, SZ_4K);
	return atc_commands_of(t, sid);
}

/* Else each flush would wait for it, as long as the SMMU does. */
static void kernels_own_flush_cuts_off_who_does_not_complete(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_kernel_domain *k = attach_kernel(t, 2);

	believe_both(t);
	make_deaf(t, SVA_SID);
	KUNIT_EXPECT_EQ(test, arm_smmu_atc_inv_domain(&k->dom, SZ_1M, SZ_4K), -EIO);
	cure(t);
	KUNIT_EXPECT_TRUE(test, t->fn[0]->master.atc_lost);
	KUNIT_EXPECT_EQ(test, eats(t, 0), 0);
	KUNIT_EXPECT_TRUE(test, iopf_atc_is_unconfirmed(&t->fn[0]->pdev.dev));
	KUNIT_EXPECT_FALSE(test, t->fn[1]->master.atc_lost);
	KUNIT_EXPECT_EQ(test, kernel_flushes(t, k, SVA_SID), 0);
	KUNIT_EXPECT_EQ(test, kernel_flushes(t, k, SVA_SID + 1), 1);
}

/* Each time takes the SMMU a minute. */
static void device_that_is_asked_alone_is_asked_once(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_kernel_domain *k = attach_kernel(t, 1);

	make_deaf(t, SVA_SID);
	KUNIT_EXPECT_EQ(test, kernel_flushes(t, k, SVA_SID), 1);
	cure(t);
	KUNIT_EXPECT_TRUE(test, t->fn[0]->master.atc_lost);
}

/* Neither on a fault queue nor attached to a PASID: an NVMe drive, say */
static void kernels_own_flush_leaves_a_device_without_pasids_alone(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_kernel_domain *k = attach_kernel(t, 1);
	struct pci_dev *pdev = &t->fn[0]->pdev;

	arm_smmu_master_disable_iopf(&t->fn[0]->master);
	pdev->ats_enabled = 1;
	KUNIT_EXPECT_EQ(test, kernel_flushes(t, k, SVA_SID), 1);
	iopf_pci_reset_begins(pdev);
	KUNIT_EXPECT_EQ(test, kernel_flushes(t, k, SVA_SID), 0);
	skip_cmds(t);
	iopf_pci_restored(pdev);
	KUNIT_EXPECT_EQ(test, atc_commands_of(t, SVA_SID), 1);
	KUNIT_EXPECT_EQ(test, kernel_flushes(t, k, SVA_SID), 1);
}

/* A flush that takes its time */
struct smmu_reader {
	struct work_struct work;
	struct completion in;
	bool out;
};

static void smmu_read_for_a_while(struct work_struct *work)
{
	struct smmu_reader *reader = container_of(work, struct smmu_reader, work);

	guard(rcu)();
	complete(&reader->in);
	mdelay(50);
	WRITE_ONCE(reader->out, true);
}

static void smmu_start_reader(struct smmu_reader *reader)
{
	reader->out = false;
	init_completion(&reader->in);
	INIT_WORK_ONSTACK(&reader->work, smmu_read_for_a_while);
	schedule_work(&reader->work);
	wait_for_completion(&reader->in);
}

static void smmu_end_reader(struct smmu_reader *reader)
{
	flush_work(&reader->work);
	destroy_work_on_stack(&reader->work);
}

/* It may have found the device on a list before the device was taken off. */
static void ats_ends_after_the_invalidations_on_their_way(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;
	struct smmu_reader reader;

	smmu_start_reader(&reader);
	scoped_guard(mutex, &master->lock)
		arm_smmu_sva_stop_ats(master);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(reader.out));
	smmu_end_reader(&reader);
	scoped_guard(rcu)
		KUNIT_EXPECT_FALSE(test, arm_smmu_sva_has_atc(master));
}

static void device_goes_after_the_flushes_that_look_at_it(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct arm_smmu_master *master = &t->fn[0]->master;
	struct smmu_reader reader;

	attach_both(t);
	detach_both(t);
	arm_smmu_master_disable_iopf(master);
	smmu_start_reader(&reader);
	arm_smmu_sva_release_master(master);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(reader.out));
	smmu_end_reader(&reader);
}

static void domain_without_devices_is_not_flushed(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	invalidate(t, SZ_1M, SZ_2M);
	expect_no_cmd(t);
}

/* Section 4.5.1: the TLB is clean before the first ATC invalidation is consumed. */
static void tlb_is_waited_for_before_the_atc(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;

	attach_both(t);
	invalidate(t, SZ_1M, SZ_1M + 3 * SZ_64K);
	expect_cmd(t, OP_TLBI_VA);
	expect_cmd(t, OP_SYNC);
	while (next_cmd(t, &cmd) && cmd_op(&cmd) == OP_ATC_INV)
		;
	KUNIT_EXPECT_EQ(test, cmd_op(&cmd), OP_SYNC);
	expect_no_cmd(t);
	detach_both(t);
}

/* On an SMMU that takes one page per command */
static void commands_of_a_flush_are_bounded_without_ranges(struct kunit *test)
{
	struct smmu_test *t = test->priv;
	struct smmu_cmd cmd;
	unsigned int n = 0;

	attach_both(t);
	t->smmu->features &= ~(ARM_SMMU_FEAT_RANGE_INV | ARM_SMMU_FEAT_ATS);
	invalidate(t, SZ_1G, SZ_1G + SMMU_TLB_MAX_PAGES * PAGE_SIZE);
	while (next_cmd(t, &cmd))
		n += cmd_op(&cmd) == OP_TLBI_VA;
	KUNIT_EXPECT_EQ(test, n, SMMU_TLB_MAX_PAGES);
	invalidate(t, SZ_1G, SZ_1G + (SMMU_TLB_MAX_PAGES + 1) * PAGE_SIZE);
	expect_cmd(t, OP_TLBI_ASID);
	expect_cmd(t, OP_SYNC);
	expect_no_cmd(t);
	detach_both(t);
}

/* The SMMU would carry out no command. */
static void smmu_that_is_shut_down_gets_no_commands(struct kunit *test)
{
	struct smmu_test *t = test->priv;

	attach_both(t);
	t->smmu->shut_down = true;
	KUNIT_EXPECT_EQ(test, submit_atc(t), 0);
	invalidate(t, SZ_1M, SZ_2M);
	expect_no_cmd(t);
	t->smmu->shut_down = false;
	invalidate(t, SZ_1M, SZ_2M);
	expect_cmd(t, OP_TLBI_VA);
	skip_cmds(t);
	detach_both(t);
}

static struct kunit_case arm_smmu_v3_flush_cases[] = {
	KUNIT_CASE(aligned_range_is_one_block),
	KUNIT_CASE(ragged_range_is_one_block),
	KUNIT_CASE(range_across_a_large_alignment_is_two_blocks),
	KUNIT_CASE(everything_is_one_block_with_the_pasid),
	KUNIT_CASE(range_askew_at_both_ends_is_one_block),
	KUNIT_CASE(random_ranges_are_covered_by_few_blocks),
	KUNIT_CASE(device_without_ats_hears_nothing),
	KUNIT_CASE(device_in_a_reset_hears_nothing),
	KUNIT_CASE(device_behind_a_dead_link_hears_nothing),
	KUNIT_CASE(virtual_function_hears_nothing_while_its_physical_one_is_away),
	KUNIT_CASE(virtual_function_hears_nothing_while_its_physical_one_is_reset),
	KUNIT_CASE(virtual_function_misses_nothing_in_a_pause_of_its_physical_one),
	KUNIT_CASE(device_that_does_not_answer_is_detached_without_its_help),
	KUNIT_CASE(device_that_does_not_complete_is_cut_off),
	KUNIT_CASE(device_that_is_cut_off_is_asked_no_more),
	KUNIT_CASE(error_of_a_long_list_is_of_any_part),
	KUNIT_CASE(reset_gives_a_device_another_chance),
	KUNIT_CASE(reset_begins_without_the_help_of_the_device),
	KUNIT_CASE(sync_behind_a_failed_invalidation_says_so),
	KUNIT_CASE(flush_is_over_when_it_has_been_carried_out),
	KUNIT_CASE(smmu_that_carries_out_nothing_is_turned_off),
	KUNIT_CASE(smmu_that_goes_on_stays_on),
	KUNIT_CASE(who_waits_handles_errors),
	KUNIT_CASE(kernels_own_flush_cuts_off_who_does_not_complete),
	KUNIT_CASE(device_that_is_asked_alone_is_asked_once),
	KUNIT_CASE(kernels_own_flush_leaves_a_device_without_pasids_alone),
	KUNIT_CASE(ats_ends_after_the_invalidations_on_their_way),
	KUNIT_CASE(device_goes_after_the_flushes_that_look_at_it),
	KUNIT_CASE(domain_without_devices_is_not_flushed),
	KUNIT_CASE(tlb_is_waited_for_before_the_atc),
	KUNIT_CASE(commands_of_a_flush_are_bounded_without_ranges),
	KUNIT_CASE(smmu_that_is_shut_down_gets_no_commands),
	{}
};

static struct kunit_suite arm_smmu_v3_flush_suite = {
	.name = "arm_smmu_v3_flush",
	.init = smmu_test_init,
	.exit = smmu_test_exit,
	.test_cases = arm_smmu_v3_flush_cases,
};

kunit_test_suite(arm_smmu_v3_flush_suite);
