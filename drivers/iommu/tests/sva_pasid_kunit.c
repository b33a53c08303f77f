// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASIDs: which number an mm gets, how long it keeps it, when the number comes back
 */
#include <linux/binfmts.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/unistd.h>

#include "sva_stage.h"

static struct soft_endpoint *narrow(struct kunit *test, unsigned int bits)
{
	struct soft_endpoint_config config = { .pasid_bits = bits };
	struct sva_fixture *fix = test->priv;

	return sva_add_endpoint(test, fix->iommu, &config, true);
}

/* All numbers but 0. */
static unsigned int all_pasids(unsigned int bits)
{
	return (1U << bits) - 1;
}

static ioasid_t *pasid_array(struct kunit *test, unsigned int nr)
{
	ioasid_t *pasids = kunit_kcalloc(test, nr, sizeof(*pasids), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pasids);
	return pasids;
}

/*
 * A PASID that has no bonds and no process any more can be had again. Where it stays with the mm
 * there is nothing to see yet: the fixture keeps the mm for the sake of its own checks.
 */
static void expect_free_again(struct kunit *test, struct soft_endpoint *ep, ioasid_t pasid)
{
	if (!sva_pasid_stays_with_mm())
		KUNIT_EXPECT_TRUE(test, sva_becomes(sva_can_have_pasid(ep, pasid)));
}

static void expect_all_free(struct kunit *test, struct soft_endpoint *ep, unsigned int nr)
{
	if (!sva_pasid_stays_with_mm())
		KUNIT_EXPECT_TRUE(test, sva_pasids_free(test, ep, nr));
}

/* Width */

static const unsigned int every_width[] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20
};

static void width_name(const unsigned int *width, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "%u bits", *width);
}

KUNIT_ARRAY_PARAM(every_width, every_width, width_name);

static void pasid_fits_the_device(struct kunit *test)
{
	unsigned int bits = *(const unsigned int *)test->param_value;
	struct soft_endpoint *ep = narrow(test, bits);

	/* One process after another; all at once where their PASIDs stay. */
	for (int i = 0; i < (sva_pasid_stays_with_mm() ? min(5U, all_pasids(bits)) : 5); i++) {
		struct sva_scene scene = sva_scene(test, ep, 1);

		KUNIT_EXPECT_GE(test, scene.pasid, 1U);
		KUNIT_EXPECT_LE(test, scene.pasid, all_pasids(bits));
		SVA_EXPECT_READS(test, ep, scene.pasid, scene.addr, sva_mark(0));
		iommu_sva_unbind_device(scene.sva);
		sva_proc_exit(scene.proc);
		if (bits < 6)
			expect_free_again(test, ep, scene.pasid);
	}
}

static const unsigned int small_width[] = { 1, 2, 3, 5, 8, 10 };

KUNIT_ARRAY_PARAM(small_width, small_width, width_name);

/* Each number once, 0 never, then no more. */
static void every_number_of_the_width_is_used_once(struct kunit *test)
{
	unsigned int bits = *(const unsigned int *)test->param_value, all = all_pasids(bits);
	struct soft_endpoint *ep = narrow(test, bits);
	ioasid_t *pasids = pasid_array(test, all + 1);
	unsigned long *seen = kunit_kcalloc(test, BITS_TO_LONGS(all + 1), sizeof(*seen),
					    GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, seen);
	KUNIT_ASSERT_TRUE(test, sva_pasids_free(test, ep, all));
	KUNIT_EXPECT_EQ(test, sva_take_pasids(soft_endpoint_dev(ep), pasids, all + 1), all);
	sva_give_pasids(pasids, all);
	for (unsigned int i = 0; i < all; i++) {
		KUNIT_ASSERT_GE(test, pasids[i], 1U);
		KUNIT_ASSERT_LE(test, pasids[i], all);
		KUNIT_EXPECT_FALSE(test, __test_and_set_bit(pasids[i], seen));
	}
	KUNIT_EXPECT_TRUE(test, sva_pasids_free(test, ep, all));
}

static void highest_number_of_the_width_works(struct kunit *test)
{
	unsigned int bits = *(const unsigned int *)test->param_value, all = all_pasids(bits);
	struct soft_endpoint *ep = narrow(test, bits);
	ioasid_t *pasids = pasid_array(test, all);
	struct sva_scene scene;

	KUNIT_ASSERT_TRUE(test, sva_pasids_free(test, ep, all));
	KUNIT_EXPECT_EQ(test, sva_take_pasids(soft_endpoint_dev(ep), pasids, all), all);
	iommu_free_global_pasid(all);
	scene = sva_scene(test, ep, 1);
	KUNIT_EXPECT_EQ(test, scene.pasid, all);
	SVA_EXPECT_READS(test, ep, scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(scene.sva);
	for (unsigned int i = 0; i < all; i++)
		if (pasids[i] != all)
			iommu_free_global_pasid(pasids[i]);
}

static void device_without_pasid_gets_none(struct kunit *test)
{
	struct soft_endpoint_config config = { };
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = sva_add_endpoint(test, fix->iommu, &config, false);

	KUNIT_EXPECT_EQ(test, iommu_alloc_global_pasid(soft_endpoint_dev(ep)),
			IOMMU_PASID_INVALID);
}

/* The IOMMU's table may be narrower than what the device could send. */
static void pasid_fits_the_iommu_too(struct kunit *test)
{
	struct soft_endpoint_config config = { .pasid_bits = 20 };
	struct soft_iommu_config small = { .pasid_bits = 2 };
	struct soft_iommu *iommu = sva_add_iommu(test, &small);
	struct soft_endpoint *ep = sva_add_endpoint(test, iommu, &config, true);

	KUNIT_EXPECT_TRUE(test, sva_pasids_free(test, ep, 3));
}

/* Which number comes next */

static const unsigned int reuse_width[] = { 2, 3, 4, 5, 6 };

KUNIT_ARRAY_PARAM(reuse_width, reuse_width, width_name);

/* All others come before one that has just been freed. */
static void freed_number_is_the_last_to_come_back(struct kunit *test)
{
	unsigned int bits = *(const unsigned int *)test->param_value;
	struct device *dev = soft_endpoint_dev(narrow(test, bits));

	for (unsigned int round = 0; round < 2 * all_pasids(bits); round++) {
		ioasid_t freed = iommu_alloc_global_pasid(dev);

		iommu_free_global_pasid(freed);
		for (unsigned int i = 1; i < all_pasids(bits); i++) {
			ioasid_t pasid = iommu_alloc_global_pasid(dev);

			iommu_free_global_pasid(pasid);
			KUNIT_ASSERT_NE(test, pasid, freed);
		}
		/* Start from another one in each round. */
		KUNIT_EXPECT_EQ(test, iommu_alloc_global_pasid(dev), freed);
		iommu_free_global_pasid(freed);
		iommu_free_global_pasid(iommu_alloc_global_pasid(dev));
	}
}

static void next_process_gets_another_number(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 3);
	unsigned int seen = 0;

	for (unsigned int i = 1; i <= 7; i++) {
		struct sva_scene scene = sva_scene(test, ep, 1);

		KUNIT_EXPECT_FALSE(test, seen & BIT(scene.pasid));
		seen |= BIT(scene.pasid);
		iommu_sva_unbind_device(scene.sva);
		sva_proc_exit(scene.proc);
		expect_free_again(test, ep, scene.pasid);
	}
	KUNIT_EXPECT_EQ(test, seen, 0xfeU);
}

/* A wide device, which is far ahead, does not send a narrow one back to the number just freed. */
static void narrow_device_keeps_its_distance_beside_a_wide_one(struct kunit *test)
{
	struct device *small = soft_endpoint_dev(narrow(test, 3));
	struct sva_fixture *fix = test->priv;
	ioasid_t held[20];

	for (unsigned int i = 0; i < ARRAY_SIZE(held); i++)
		held[i] = iommu_alloc_global_pasid(fix->dev[0]);
	sva_give_pasids(held, ARRAY_SIZE(held));
	for (unsigned int round = 0; round < 7; round++) {
		ioasid_t first = iommu_alloc_global_pasid(small);

		iommu_free_global_pasid(first);
		for (unsigned int i = 0; i < 6; i++) {
			ioasid_t wide = iommu_alloc_global_pasid(fix->dev[0]);
			ioasid_t pasid = iommu_alloc_global_pasid(small);

			KUNIT_EXPECT_NE(test, pasid, first);
			KUNIT_EXPECT_NE(test, pasid, wide);
			iommu_free_global_pasid(wide);
			iommu_free_global_pasid(pasid);
		}
	}
}

static void narrow_and_wide_devices_never_share_a_number(struct kunit *test)
{
	struct device *small = soft_endpoint_dev(narrow(test, 6));
	struct sva_fixture *fix = test->priv;
	ioasid_t pasids[20];

	for (int i = 0; i < 20; i++) {
		pasids[i] = iommu_alloc_global_pasid(i % 2 ? small : fix->dev[0]);
		KUNIT_EXPECT_NE(test, pasids[i], IOMMU_PASID_INVALID);
		for (int j = 0; j < i; j++)
			KUNIT_EXPECT_NE(test, pasids[i], pasids[j]);
	}
	sva_give_pasids(pasids, 20);
}

struct churn {
	struct device *dev;
	unsigned long *owned;
};

/* Returns how often another process had the same number. */
static long churn(void *arg)
{
	struct churn *churn = arg;
	long bad = 0;

	for (unsigned int i = 0; i < 500; i++) {
		ioasid_t pasid = iommu_alloc_global_pasid(churn->dev);

		if (pasid == IOMMU_PASID_INVALID || test_and_set_bit(pasid, churn->owned)) {
			bad++;
			continue;
		}
		cond_resched();
		clear_bit(pasid, churn->owned);
		iommu_free_global_pasid(pasid);
	}
	return bad;
}

static void numbers_are_unique_among_threads(struct kunit *test)
{
	struct churn all = {
		.dev = soft_endpoint_dev(narrow(test, 3)),
		.owned = kunit_kzalloc(test, sizeof(long), GFP_KERNEL),
	};
	struct sva_job *job[4];

	KUNIT_ASSERT_NOT_NULL(test, all.owned);
	for (int i = 0; i < 4; i++)
		job[i] = sva_job(test, churn, &all);
	for (int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, sva_job_wait(job[i]), 0L);
}

/* Exhaustion */

static void no_number_left_is_an_error(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 3);
	struct sva_proc *late = sva_proc_start(test);
	struct sva_scene scene[7];
	struct iommu_sva *sva;

	KUNIT_ASSERT_TRUE(test, sva_pasids_free(test, ep, 7));
	for (int i = 0; i < 7; i++)
		scene[i] = sva_scene(test, ep, 1);
	for (int i = 0; i < 3; i++) {
		sva = iommu_sva_bind_device(soft_endpoint_dev(ep), sva_proc_mm(late));
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sva), -ENOSPC);
		KUNIT_EXPECT_FALSE(test, mm_valid_pasid(sva_proc_mm(late)));
	}
	for (int i = 0; i < 7; i++) {
		SVA_EXPECT_READS(test, ep, scene[i].pasid, scene[i].addr, sva_mark(0));
		iommu_sva_unbind_device(scene[i].sva);
	}
}

/* Its mm is all that is left of a process that holds the only number. */
static void room_is_made_when_an_mm_goes(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 1);
	struct sva_proc *late = sva_proc_start(test);
	struct mm_struct *mm = mm_alloc();
	struct iommu_sva *sva;

	KUNIT_ASSERT_NOT_NULL(test, mm);
	KUNIT_ASSERT_TRUE(test, sva_pasids_free(test, ep, 1));
	sva = iommu_sva_bind_device(soft_endpoint_dev(ep), mm);
	KUNIT_ASSERT_FALSE(test, IS_ERR(sva));
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(iommu_sva_bind_device(soft_endpoint_dev(ep),
								    sva_proc_mm(late))), -ENOSPC);
	mmput(mm);
	iommu_sva_unbind_device(sva);
	KUNIT_EXPECT_TRUE(test, sva_pasids_free(test, ep, 1));
	sva = sva_bind(test, ep, late);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(sva), 1U);
	iommu_sva_unbind_device(sva);
}

#if SVA_CORE
static void room_is_made_by_the_next_unbind(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 1);
	struct sva_proc *late = sva_proc_start(test);
	struct sva_scene scene = sva_scene(test, ep, 1);
	struct iommu_sva *sva;

	if (sva_pasid_stays_with_mm())
		kunit_skip(test, "tasks may hold the PASID in an MSR");
	sva = iommu_sva_bind_device(soft_endpoint_dev(ep), sva_proc_mm(late));
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sva), -ENOSPC);
	iommu_sva_unbind_device(scene.sva);
	sva = sva_bind(test, ep, late);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(sva), 1U);
	iommu_sva_unbind_device(sva);
}

static void last_unbind_gives_the_number_back(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 3);
	struct sva_scene scene = sva_scene(test, ep, 1);
	struct iommu_sva *again = sva_bind(test, ep, scene.proc);

	if (sva_pasid_stays_with_mm())
		kunit_skip(test, "tasks may hold the PASID in an MSR");
	iommu_sva_unbind_device(again);
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, scene.pasid));
	iommu_sva_unbind_device(scene.sva);
	KUNIT_EXPECT_TRUE(test, sva_can_have_pasid(ep, scene.pasid));
	KUNIT_EXPECT_FALSE(test, mm_valid_pasid(sva_proc_mm(scene.proc)));
}
#endif

static void failed_bind_gives_the_number_back(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct soft_endpoint *ep = narrow(test, 3);
	struct sva_proc *proc = sva_proc_start(test);
	struct sva_count *set = sva_count(test, fix->iommu, SOFT_AT_SET_PASID, NULL);

	set->fail_at = 1;
	set->error = -EIO;
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(iommu_sva_bind_device(soft_endpoint_dev(ep),
								    sva_proc_mm(proc))), -EIO);
	sva_proc_exit(proc);
	expect_all_free(test, ep, 7);
}

/* How long a number stays */

static void number_is_the_same_on_all_devices(struct kunit *test)
{
	struct soft_endpoint *ep[4];
	struct iommu_sva *sva[4];
	struct sva_proc *proc = sva_proc_start(test);

	/* From the narrowest to the widest, so that it fits all. */
	for (int i = 0; i < 4; i++) {
		ep[i] = narrow(test, 4 + 5 * i);
		sva[i] = sva_bind(test, ep[i], proc);
		KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(sva[i]), iommu_sva_get_pasid(sva[0]));
	}
	for (int i = 0; i < 4; i++)
		iommu_sva_unbind_device(sva[i]);
}

static void number_stays_while_one_bond_is_left(struct kunit *test)
{
	struct soft_endpoint *ep[2] = { narrow(test, 3), narrow(test, 3) };
	struct sva_scene scene = sva_scene(test, ep[0], 1);
	struct iommu_sva *bond[2] = { scene.sva, sva_bind(test, ep[1], scene.proc) };

	for (int i = 0; i < 6; i++) {
		iommu_sva_unbind_device(bond[i % 2]);
		KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep[0], scene.pasid));
		bond[i % 2] = sva_bind(test, ep[i % 2], scene.proc);
		KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(bond[i % 2]), scene.pasid);
	}
	iommu_sva_unbind_device(bond[0]);
	iommu_sva_unbind_device(bond[1]);
}

static void number_is_not_reused_before_unbind(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 3);
	struct sva_scene scene = sva_scene(test, ep, 1);

	/* The device may go on with the PASID of a process that is gone. */
	sva_proc_exit(scene.proc);
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(scene.sva), scene.pasid);
	for (int i = 0; i < 3; i++)
		KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, scene.pasid));
	iommu_sva_unbind_device(scene.sva);
	expect_free_again(test, ep, scene.pasid);
}

static void number_survives_exit_on_every_device(struct kunit *test)
{
	struct soft_endpoint *ep[2] = { narrow(test, 3), narrow(test, 3) };
	struct sva_scene scene = sva_scene(test, ep[0], 1);
	struct iommu_sva *other = sva_bind(test, ep[1], scene.proc);

	sva_proc_exit(scene.proc);
	iommu_sva_unbind_device(scene.sva);
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep[0], scene.pasid));
	KUNIT_EXPECT_EQ(test, iommu_sva_get_pasid(other), scene.pasid);
	iommu_sva_unbind_device(other);
	expect_all_free(test, ep[0], 7);
}

/* Were it freed twice, the second time would be another process's. */
static void number_is_freed_once(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 3);
	struct mm_struct *mm = mm_alloc();
	struct iommu_sva *sva;
	ioasid_t pasids[7];
	unsigned int nr;

	KUNIT_ASSERT_NOT_NULL(test, mm);
	sva = iommu_sva_bind_device(soft_endpoint_dev(ep), mm);
	KUNIT_ASSERT_FALSE(test, IS_ERR(sva));
	iommu_sva_unbind_device(sva);
	nr = sva_take_pasids(soft_endpoint_dev(ep), pasids, 7);
	mmgrab(mm);
	mmput(mm);
	KUNIT_EXPECT_TRUE(test, sva_becomes(atomic_read(&mm->mm_count) == 1));
	/* Now the mm goes. Whatever was free before has an owner and must stay taken. */
	mmdrop(mm);
	KUNIT_EXPECT_TRUE(test, sva_pasids_free(test, ep, 7 - nr));
	sva_give_pasids(pasids, nr);
	KUNIT_EXPECT_TRUE(test, sva_pasids_free(test, ep, 7));
}

/* Processes */

static void child_does_not_inherit_the_number(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_scene scene = sva_scene(test, fix->ep[0], 1);
	struct sva_proc *child = sva_proc_fork(scene.proc);
	struct iommu_sva *sva;

	KUNIT_EXPECT_TRUE(test, mm_valid_pasid(sva_proc_mm(scene.proc)));
	KUNIT_EXPECT_FALSE(test, mm_valid_pasid(sva_proc_mm(child)));
	sva = sva_bind(test, fix->ep[0], child);
	KUNIT_EXPECT_NE(test, iommu_sva_get_pasid(sva), scene.pasid);
	sva_poke(test, child, scene.addr, 2);
	SVA_EXPECT_READS(test, fix->ep[0], iommu_sva_get_pasid(sva), scene.addr, 2);
	SVA_EXPECT_READS(test, fix->ep[0], scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(scene.sva);
}

static void exit_of_a_child_leaves_the_number_alone(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 3);
	struct sva_scene scene = sva_scene(test, ep, 1);

	for (int i = 0; i < 4; i++)
		sva_proc_exit(sva_proc_fork(scene.proc));
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, scene.pasid));
	SVA_EXPECT_READS(test, ep, scene.pasid, scene.addr, sva_mark(0));
	iommu_sva_unbind_device(scene.sva);
	sva_proc_exit(scene.proc);
	expect_all_free(test, ep, 7);
}

static void child_outlives_the_number_of_its_parent(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 3);
	struct sva_scene scene = sva_scene(test, ep, 1);
	struct sva_proc *child = sva_proc_fork(scene.proc);

	sva_proc_exit(scene.proc);
	iommu_sva_unbind_device(scene.sva);
	expect_all_free(test, ep, 7);
	KUNIT_EXPECT_FALSE(test, mm_valid_pasid(sva_proc_mm(child)));
	SVA_EXPECT_HOLDS(test, child, scene.addr, sva_mark(0));
	sva_proc_exit(child);
	expect_all_free(test, ep, 7);
}

static long bind_current(void *dev)
{
	return (long)iommu_sva_bind_device(dev, current->mm);
}

/* What a thread finds that looks for the number of its process, or -1. */
static long number_of_current(void *arg)
{
	const struct iommu_mm_data *data;

	guard(rcu)();
	data = READ_ONCE(current->mm->iommu_mm);
	return data ? (long)data->pasid : -1L;
}

/* One that was there when the process was bound, and one that comes later. */
static void threads_have_the_number_of_their_process(struct kunit *test)
{
	struct sva_fixture *fix = test->priv;
	struct sva_proc *proc = sva_proc_start(test), *threads[2];
	struct iommu_sva *sva, *again;
	u32 pasid;

	threads[0] = sva_proc_thread(proc);
	KUNIT_EXPECT_EQ(test, sva_proc_call(threads[0], number_of_current, NULL), -1L);
	sva = sva_bind(test, fix->ep[0], proc);
	pasid = iommu_sva_get_pasid(sva);
	threads[1] = sva_proc_thread(proc);
	for (int i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, sva_proc_call(threads[i], number_of_current, NULL),
				(long)pasid);
		again = (void *)sva_proc_call(threads[i], bind_current, fix->dev[0]);
		KUNIT_ASSERT_PTR_EQ(test, again, sva);
		iommu_sva_unbind_device(again);
	}
	iommu_sva_unbind_device(sva);
	for (int i = 0; i < 2 && !sva_pasid_stays_with_mm(); i++)
		KUNIT_EXPECT_EQ(test, sva_proc_call(threads[i], number_of_current, NULL), -1L);
}

/* A program that never runs: what exec() asks for, and no more. */
struct program {
	struct elf64_hdr header;
	struct elf64_phdr segment;
};

static const struct program program = {
	.header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELF_DATA, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = ELF_ARCH,
		.e_version = EV_CURRENT,
		.e_entry = 0x400000 + sizeof(struct program),
		.e_phoff = sizeof(struct elf64_hdr),
		.e_ehsize = sizeof(struct elf64_hdr),
		.e_phentsize = sizeof(struct elf64_phdr),
		.e_phnum = 1,
	},
	.segment = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_vaddr = 0x400000,
		.p_filesz = sizeof(struct program),
		.p_memsz = PAGE_SIZE,
		.p_align = PAGE_SIZE,
	},
};

static const char program_path[] = "/sva-program";

static void write_program(struct kunit *test, struct sva_proc *proc)
{
	unsigned long user = sva_proc_string(proc, program_path);
	long fd = sva_proc_syscall(proc, __NR_openat, AT_FDCWD, user, O_CREAT | O_WRONLY, 0700,
				   0, 0);

	KUNIT_ASSERT_GE(test, fd, 0L);
	user = sva_proc_pass(proc, &program, sizeof(program));
	KUNIT_EXPECT_EQ(test, sva_proc_syscall(proc, __NR_write, fd, user, sizeof(program), 0, 0,
					       0), (long)sizeof(program));
	KUNIT_EXPECT_EQ(test, sva_proc_syscall(proc, __NR_close, fd, 0, 0, 0, 0, 0), 0L);
}

static void remove_program(struct kunit *test, struct sva_proc *proc)
{
	unsigned long user = sva_proc_string(proc, program_path);

	KUNIT_EXPECT_EQ(test, sva_proc_syscall(proc, __NR_unlinkat, AT_FDCWD, user, 0, 0, 0, 0),
			0L);
}

/* The process goes on to take calls, in the new address space. */
static long exec_program(void *arg)
{
	const char *const argv[] = { program_path, NULL }, *const envp[] = { NULL };

	return kernel_execve(program_path, argv, envp);
}

static void exec_leaves_the_number_with_the_old_memory(struct kunit *test)
{
	struct soft_endpoint *ep = narrow(test, 3);
	struct sva_proc *clerk = sva_proc_start(test);
	struct sva_scene scene = sva_scene(test, ep, 1);
	struct iommu_sva *sva;

	write_program(test, clerk);
	KUNIT_EXPECT_EQ(test, sva_proc_call(scene.proc, exec_program, NULL), 0L);
	SVA_EXPECT_REFUSED(test, ep, scene.pasid, scene.addr);
	KUNIT_EXPECT_FALSE(test, sva_can_have_pasid(ep, scene.pasid));
	sva = (void *)sva_proc_call(scene.proc, bind_current, soft_endpoint_dev(ep));
	if (!IS_ERR(sva)) {
		KUNIT_EXPECT_NE(test, iommu_sva_get_pasid(sva), scene.pasid);
		iommu_sva_unbind_device(sva);
	}
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(sva), 0);
	iommu_sva_unbind_device(scene.sva);
	remove_program(test, clerk);
}

static struct kunit_case sva_pasid_cases[] = {
	KUNIT_CASE_PARAM(pasid_fits_the_device, every_width_gen_params),
	KUNIT_CASE_PARAM(every_number_of_the_width_is_used_once, small_width_gen_params),
	KUNIT_CASE_PARAM(highest_number_of_the_width_works, small_width_gen_params),
	KUNIT_CASE(device_without_pasid_gets_none),
	KUNIT_CASE(pasid_fits_the_iommu_too),
	KUNIT_CASE_PARAM(freed_number_is_the_last_to_come_back, reuse_width_gen_params),
	KUNIT_CASE(next_process_gets_another_number),
	KUNIT_CASE(narrow_device_keeps_its_distance_beside_a_wide_one),
	KUNIT_CASE(narrow_and_wide_devices_never_share_a_number),
	KUNIT_CASE(numbers_are_unique_among_threads),
	KUNIT_CASE(no_number_left_is_an_error),
	KUNIT_CASE(room_is_made_when_an_mm_goes),
#if SVA_CORE
	KUNIT_CASE(room_is_made_by_the_next_unbind),
	KUNIT_CASE(last_unbind_gives_the_number_back),
#endif
	KUNIT_CASE(failed_bind_gives_the_number_back),
	KUNIT_CASE(number_is_the_same_on_all_devices),
	KUNIT_CASE(number_stays_while_one_bond_is_left),
	KUNIT_CASE(number_is_not_reused_before_unbind),
	KUNIT_CASE(number_survives_exit_on_every_device),
	KUNIT_CASE(number_is_freed_once),
	KUNIT_CASE(child_does_not_inherit_the_number),
	KUNIT_CASE(exit_of_a_child_leaves_the_number_alone),
	KUNIT_CASE(child_outlives_the_number_of_its_parent),
	KUNIT_CASE(threads_have_the_number_of_their_process),
	KUNIT_CASE(exec_leaves_the_number_with_the_old_memory),
	{}
};

static struct kunit_suite sva_pasid_suite = {
	.name = "iommu_sva_pasid",
	.init = sva_fixture_init,
	.exit = sva_stage_exit,
	.test_cases = sva_pasid_cases,
};

kunit_test_suite(sva_pasid_suite);

SVA_CONFORM_SUITE(sva_pasid, sva_fixture_init, sva_stage_exit,
		  SVA_CONFORM_CASE(pasid_fits_the_iommu_too),
		  SVA_CONFORM_CASE(number_is_the_same_on_all_devices),
		  SVA_CONFORM_CASE(number_stays_while_one_bond_is_left),
		  SVA_CONFORM_CASE(number_is_not_reused_before_unbind),
		  SVA_CONFORM_CASE(number_survives_exit_on_every_device),
		  SVA_CONFORM_CASE(child_does_not_inherit_the_number));

MODULE_DESCRIPTION("KUnit tests: PASIDs of the SVA core");
MODULE_LICENSE("GPL");
