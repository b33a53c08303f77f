// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: commands
 *
 * Submits the commands of flushes and of the drain of page requests: invalidations of devices'
 * ATCs, and synchronisations.
 *
 * Devices that do not complete an ATC invalidation. The CMD_SYNC behind it fails with
 * CERROR_ATC_INV_SYNC (IHI 0070, section 7.1), or never ends, and the base driver gives up waiting.
 * Each list of ATC invalidations has a CMD_SYNC of its own, so an error is about a device of the
 * list; a CMD_SYNC that never ends may be about a device that another CPU has asked. The flush asks
 * each device of the list once more by itself: those that answer are done. The one that does not
 *
 *	is cut off: its stream table entry refuses requests that it sends as translated (EATS), so
 *	that translations which it has failed to forget are of no use
 *	gets no more invalidations; those that the driver drops are unconfirmed
 *
 * until it has been reset and completes one. A flush waits three times at most for each such
 * device, twice for the device and once for its entry; other CPUs that submit commands, once.
 *
 * Locks: arm_smmu_master.ste_lock guards atc_lost and EATS, also while their CFGI_STE is submitted.
 * The caller's RCU read-side section keeps devices.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#include "arm-smmu-v3-sva.h"
#include "iopf.h"
#include "iopf-pci.h"

/* How many commands the base driver's batch takes before it submits some by itself */
#define SMMU_ATC_BATCH		(CMDQ_BATCH_ENTRIES - 1)

static_assert(ATC_INV_SIZE_ALL == SVA_ORDER_ALL);

VISIBLE_IF_KUNIT int arm_smmu_sva_submit(struct arm_smmu_device *smmu,
					 struct arm_smmu_cmdq_batch *cmds)
{
	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_sva_submit, smmu, cmds);
	return arm_smmu_cmdq_batch_submit(smmu, cmds);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_submit);

static void smmu_start_batch(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds,
			     u8 opcode)
{
	struct arm_smmu_cmdq_ent first = { .opcode = opcode };

	arm_smmu_cmdq_batch_init(smmu, cmds, &first);
}

/* ATC invalidations (IHI 0070, section 4.5.1) */

static bool smmu_can_answer(const struct arm_smmu_master *master)
{
	return dev_is_pci(master->dev) && iopf_pci_can_answer(to_pci_dev(master->dev));
}

/* As above, and reads the device: a link may be down before the PCI core knows. */
static bool smmu_is_there(const struct arm_smmu_master *master)
{
	return smmu_can_answer(master) && pci_device_is_present(to_pci_dev(master->dev));
}

/**
 * arm_smmu_sva_has_atc() - May a flush send ATC invalidations to a device?
 * @master: the device
 *
 * Context: any; one RCU read-side section with the submission.
 * Return: false if the device's ATS is not enabled, or if it can't answer.
 */
bool arm_smmu_sva_has_atc(const struct arm_smmu_master *master)
{
	return READ_ONCE(master->atc_live) && smmu_can_answer(master);
}

/**
 * arm_smmu_sva_start_atc() - Begin a list of ATC invalidations
 * @list: the list, on the caller's stack
 * @smmu: the SMMU
 *
 * Context: any; see arm_smmu_sva_ask().
 */
void arm_smmu_sva_start_atc(struct smmu_atc_list *list, struct arm_smmu_device *smmu)
{
	list->smmu = smmu;
	list->error = 0;
	smmu_start_batch(smmu, &list->cmds, CMDQ_OP_ATC_INV);
}

/**
 * arm_smmu_sva_end_atc() - Wait until the SMMU has carried out all of a list
 * @list: the list; may be empty
 *
 * Waits for commands that were submitted before, too.
 *
 * Context: any; spins.
 * Return: 0, or an error if any of its invalidations was not completed.
 */
int arm_smmu_sva_end_atc(struct smmu_atc_list *list)
{
	return arm_smmu_sva_submit(list->smmu, &list->cmds) ?: list->error;
}

static void atc_make_room(struct smmu_atc_list *list)
{
	int ret;

	if (list->cmds.num < SMMU_ATC_BATCH)
		return;
	ret = arm_smmu_sva_submit(list->smmu, &list->cmds);
	if (ret)
		list->error = ret;
	smmu_start_batch(list->smmu, &list->cmds, CMDQ_OP_ATC_INV);
}

/* An invalidation without a PASID is for all PASIDs (IHI 0070, section 3.9.1.3). */
static void atc_add_block(struct smmu_atc_list *list, struct arm_smmu_master *master,
			  ioasid_t ssid, unsigned long pfn, unsigned int order)
{
	bool one = ssid != IOMMU_NO_PASID && ssid != IOMMU_PASID_INVALID;
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_ATC_INV,
		.substream_valid = one,
		.atc = {
			.ssid = one ? ssid : 0,
			.addr = pfn << SVA_BLOCK_SHIFT,
			.size = order,
		},
	};

	for (unsigned int i = 0; i < master->num_streams; i++) {
		cmd.atc.sid = master->streams[i].id;
		atc_make_room(list);
		arm_smmu_cmdq_batch_add(list->smmu, &list->cmds, &cmd);
	}
}

/**
 * arm_smmu_sva_add_atc() - Add invalidations of a device's ATC to a list
 * @list: the list
 * @master: the device, see arm_smmu_sva_has_atc()
 * @ssid: the PASID; IOMMU_NO_PASID or IOMMU_PASID_INVALID for all of the device
 * @start: first byte
 * @end: the byte after the last, or ~0UL for everything
 *
 * Somewhat more than the range, if that takes fewer commands.
 *
 * Context: any.
 */
void arm_smmu_sva_add_atc(struct smmu_atc_list *list, struct arm_smmu_master *master,
			  ioasid_t ssid, unsigned long start, unsigned long end)
{
	static const struct sva_costs costs = {
		.max_order = SVA_ORDER_ALL, .pages = SVA_COST_PAGES, .all = SVA_COST_ALL,
	};
	struct sva_blocks b = sva_make_blocks(start, end, &costs);

	do {
		atc_add_block(list, master, ssid, b.pfn, sva_block_order(&b));
	} while (sva_next_block(&b));
}

/**
 * arm_smmu_sva_sync() - Wait until the SMMU has carried out all earlier commands
 * @smmu: the SMMU
 *
 * Where CPUs have queues of their own, that covers all page responses: these and the
 * synchronisation go through the SMMU's own queue. Functions that submit other commands wait for
 * them.
 *
 * Context: any; spins.
 */
void arm_smmu_sva_sync(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_batch cmds;

	smmu_start_batch(smmu, &cmds, CMDQ_OP_CMD_SYNC);
	arm_smmu_sva_submit(smmu, &cmds);
}

/* Devices that do not complete invalidations */

/* Makes the SMMU accept or refuse requests that a device sends as translated. */
static void smmu_set_eats(struct arm_smmu_master *master, bool believe)
{
	u64 eats = FIELD_PREP(STRTAB_STE_1_EATS, STRTAB_STE_1_EATS_TRANS);
	struct arm_smmu_device *smmu = master->smmu;
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_CFGI_STE,
		.cfgi.leaf = true,
	};
	struct arm_smmu_cmdq_batch cmds;

	lockdep_assert_held(&master->ste_lock);

	smmu_start_batch(smmu, &cmds, CMDQ_OP_CFGI_STE);
	for (unsigned int i = 0; i < master->num_streams; i++) {
		struct arm_smmu_ste *ste;

		cmd.cfgi.sid = master->streams[i].id;
		ste = arm_smmu_get_step_for_sid(smmu, cmd.cfgi.sid);
		WRITE_ONCE(ste->data[1], (ste->data[1] & ~cpu_to_le64(STRTAB_STE_1_EATS)) |
			   cpu_to_le64(believe ? eats : 0));
		arm_smmu_cmdq_batch_add(smmu, &cmds, &cmd);
	}
	arm_smmu_sva_submit(smmu, &cmds);
}

static void smmu_note_unconfirmed(struct arm_smmu_master *master, ioasid_t ssid)
{
	iopf_atc_unconfirmed(master->dev, ssid == IOMMU_NO_PASID ? IOMMU_PASID_INVALID : ssid);
}

/* Not in an interrupt: ste_lock does not turn interrupts off. */
static void smmu_give_up(struct arm_smmu_master *master, ioasid_t ssid)
{
	scoped_guard(spinlock, &master->ste_lock) {
		if (!master->atc_lost) {
			WRITE_ONCE(master->atc_lost, true);
			smmu_set_eats(master, false);
		}
	}
	smmu_note_unconfirmed(master, ssid);
}

/**
 * arm_smmu_sva_ask() - May an ATC invalidation be sent to a device?
 * @master: the device
 * @ssid: the PASID that it is for; IOMMU_NO_PASID or IOMMU_PASID_INVALID for all of the device
 *
 * Context: any; one RCU read-side section with the submission.
 * Return: as arm_smmu_sva_has_atc(), and false if the device has not completed others: then the
 * function notes that the invalidation is unconfirmed.
 */
bool arm_smmu_sva_ask(struct arm_smmu_master *master, ioasid_t ssid)
{
	if (!arm_smmu_sva_has_atc(master))
		return false;
	if (likely(!READ_ONCE(master->atc_lost)))
		return true;
	smmu_note_unconfirmed(master, ssid);
	return false;
}

static int smmu_flush_one(struct arm_smmu_master *master, ioasid_t ssid, unsigned long start,
			  unsigned long end)
{
	struct smmu_atc_list list;

	arm_smmu_sva_start_atc(&list, master->smmu);
	arm_smmu_sva_add_atc(&list, master, ssid, start, end);
	return arm_smmu_sva_end_atc(&list);
}

/**
 * arm_smmu_sva_flush_again() - Make a device forget a range, or give it up
 * @master: the device, which may be the reason why the SMMU has not completed a list
 * @ssid: the PASID; IOMMU_NO_PASID or IOMMU_PASID_INVALID for all of the device
 * @start: first byte
 * @end: the byte after the last, or ~0UL for everything
 *
 * Context: process or atomic, but no interrupt; spins.
 * Return: 0, or the error for which the function has given the device up.
 */
int arm_smmu_sva_flush_again(struct arm_smmu_master *master, ioasid_t ssid, unsigned long start,
			     unsigned long end)
{
	int ret = smmu_flush_one(master, ssid, start, end);

	if (ret)
		smmu_give_up(master, ssid);
	return ret;
}

/* The first error may come from a device that another CPU waits for. */
static int smmu_flush_all(struct arm_smmu_master *master, ioasid_t ssid)
{
	if (!smmu_flush_one(master, ssid, 0, ULONG_MAX))
		return 0;
	return arm_smmu_sva_flush_again(master, ssid, 0, ULONG_MAX);
}

/**
 * arm_smmu_sva_flush_atc() - Make a device forget all translations of a PASID
 * @master: the device
 * @ssid: the PASID; IOMMU_NO_PASID or IOMMU_PASID_INVALID for all of the device
 *
 * Page requests that the device has sent before arrive before the completion.
 *
 * Context: process; spins.
 */
void arm_smmu_sva_flush_atc(struct arm_smmu_master *master, ioasid_t ssid)
{
	guard(rcu)();
	if (!arm_smmu_sva_ask(master, ssid))
		return;
	if (smmu_is_there(master))
		smmu_flush_all(master, ssid);
	else
		smmu_give_up(master, ssid);
}

/**
 * arm_smmu_sva_inv_master() - As arm_smmu_sva_flush_atc(), whether ATS is enabled or not
 * @master: the device, whose ATS may be about to be enabled, or just disabled
 * @ssid: the PASID; IOMMU_NO_PASID for all of the device
 *
 * Context: process; for the base driver's arm_smmu_atc_inv_master().
 * Return: 0, also if the device can't answer; or the error for which it was given up.
 */
int arm_smmu_sva_inv_master(struct arm_smmu_master *master, ioasid_t ssid)
{
	guard(rcu)();
	if (READ_ONCE(master->atc_lost) || !smmu_is_there(master))
		return 0;
	return smmu_flush_all(master, ssid);
}

/**
 * arm_smmu_sva_trust() - Give a device another chance
 * @master: the device, which has been reset, or whose ATS has been disabled and enabled again
 *
 * Invalidates all that the device has cached. If the device completes that, the SMMU accepts its
 * translated requests again. It may not have come back.
 *
 * Context: process; spins.
 */
void arm_smmu_sva_trust(struct arm_smmu_master *master)
{
	bool was_lost;

	guard(rcu)();
	if (!READ_ONCE(master->atc_live))
		return;
	scoped_guard(spinlock, &master->ste_lock) {
		was_lost = master->atc_lost;
		WRITE_ONCE(master->atc_lost, false);
	}
	if (smmu_is_there(master))
		smmu_flush_all(master, IOMMU_PASID_INVALID);
	else
		smmu_give_up(master, IOMMU_PASID_INVALID);

	guard(spinlock)(&master->ste_lock);
	if (was_lost && !master->atc_lost && master->ste_ats_enabled)
		smmu_set_eats(master, true);
}
