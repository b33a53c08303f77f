// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: commands
 *
 * Submits the commands of flushes and of the drain of page requests: invalidations of devices'
 * ATCs, those of the TLB that a thread waits for later, and synchronisations.
 *
 * Devices that do not complete an ATC invalidation. The queue stands still at the CMD_SYNC behind
 * it until hardware gives the device up, after 60 to 90 s (PCIe 6.0, section 10.3). Then the
 * CMD_SYNC fails with CERROR_ATC_INV_SYNC (IHI 0070, section 7.1). What other CPUs have submitted
 * behind it, the invalidation of a TLB, say, has not been carried out before; so they wait as long,
 * since their callers free memory. Each list of ATC invalidations has a CMD_SYNC of its own, and an
 * error is about a device of the list. If there are several, the flush asks each once more by
 * itself: those that answer are done. The one that does not
 *
 *	is cut off: its stream table entry refuses requests that it sends as translated (EATS), so
 *	that translations which it has failed to forget are of no use
 *	gets no more invalidations; those that the driver drops are unconfirmed
 *
 * until it has been reset and completes one. A flush waits twice at most for each such device, and
 * for those that other CPUs have asked before.
 *
 * An SMMU whose queue stands still for longer than any device explains carries out no commands.
 * arm_smmu_sva_wait_on() turns it off after SMMU_WAIT_POLLS: an SMMU that is off uses nothing of
 * what it has cached, and with GBPA.ABORT it refuses all that devices send. The devices behind it
 * are lost, memory is not. If it does not even do that the machine panics.
 *
 * Locks: arm_smmu_master.ste_lock guards atc_lost and EATS, also while their CFGI_STE is carried
 * out; the base driver's devices_lock is outside of it. The caller's RCU read-side section keeps
 * devices.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/nmi.h>
#include <linux/panic.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#include "arm-smmu-v3-sva.h"
#include "iopf.h"
#include "iopf-pci.h"

/* How many commands the base driver's batch takes before it submits some by itself */
#define SMMU_ATC_BATCH		(CMDQ_BATCH_ENTRIES - 1)
#define SMMU_TLBI_BATCH		CMDQ_BATCH_ENTRIES

/* A command names 2^SCALE pages, or a multiple (IHI 0070, section 4.4.1.1). */
#define SMMU_TLBI_MAX_SCALE	31

/*
 * How often in a row the base driver may find a queue in the same place: it polls for a second each
 * time (ARM_SMMU_POLL_TIMEOUT_US). That is more than the 90 s in which each device has answered or
 * has been given up.
 */
#define SMMU_WAIT_POLLS		120

static_assert(ARM_SMMU_POLL_TIMEOUT_US == USEC_PER_SEC);
static_assert(ATC_INV_SIZE_ALL == SVA_ORDER_ALL);
/* As many as sva_make_blocks() makes */
static_assert(SVA_COST_ALL <= SMMU_TLBI_BATCH);

VISIBLE_IF_KUNIT int arm_smmu_sva_submit(struct arm_smmu_device *smmu,
					 struct arm_smmu_cmdq_batch *cmds)
{
	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_sva_submit, smmu, cmds);
	return arm_smmu_cmdq_batch_submit(smmu, cmds);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_submit);

/* Commands that take long */

/* Serialises those who find that an SMMU carries out no commands. */
static DEFINE_RAW_SPINLOCK(smmu_off_lock);

static bool smmu_is_off(struct arm_smmu_device *smmu)
{
	return !(readl_relaxed(smmu->base + ARM_SMMU_CR0ACK) & CR0_SMMUEN);
}

/* Writes a register, and waits until @bits of register @ack are clear. */
VISIBLE_IF_KUNIT int arm_smmu_sva_write(struct arm_smmu_device *smmu, unsigned int reg, u32 val,
					unsigned int ack, u32 bits)
{
	u32 now;

	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_sva_write, smmu, reg, val, ack, bits);
	writel(val, smmu->base + reg);
	return readl_poll_timeout_atomic(smmu->base + ack, now, !(now & bits), 1,
					 ARM_SMMU_POLL_TIMEOUT_US);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_write);

static void smmu_turn_off(struct arm_smmu_device *smmu)
{
	u32 gbpa = readl_relaxed(smmu->base + ARM_SMMU_GBPA) | GBPA_ABORT | GBPA_UPDATE;

	guard(raw_spinlock_irqsave)(&smmu_off_lock);
	if (smmu_is_off(smmu))
		return;
	dev_emerg(smmu->dev, "carries out no commands: turned off, and its devices with it\n");
	if (arm_smmu_sva_write(smmu, ARM_SMMU_GBPA, gbpa, ARM_SMMU_GBPA, GBPA_UPDATE) ||
	    arm_smmu_sva_write(smmu, ARM_SMMU_CR0, 0, ARM_SMMU_CR0ACK, CR0_SMMUEN))
		panic("%s: SMMU can't be turned off\n", dev_name(smmu->dev));
	WRITE_ONCE(smmu->shut_down, true);
}

VISIBLE_IF_KUNIT void arm_smmu_sva_warn_slow(struct arm_smmu_device *smmu, u32 cons)
{
	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_sva_warn_slow, smmu, cons);
	dev_warn_ratelimited(smmu->dev, "commands take long, at %#x\n", cons);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_warn_slow);

/**
 * arm_smmu_sva_wait_on() - Must a CPU wait on for a CMD_SYNC?
 * @smmu: the SMMU
 * @cmdq: the queue, in which the CMD_SYNC was not carried out while the base driver polled
 * @wait: the state of the wait; the caller zeroes it when the wait begins
 *
 * Handles errors of the SMMU's own queue: they may be what the queue waits for, and their interrupt
 * for a CPU that waits. Turns the SMMU off when the queue has stood still for too long: then what
 * it has cached does not count.
 *
 * Context: any, with interrupts off; for the base driver, before it polls again.
 * Return: false if the SMMU is off.
 */
bool arm_smmu_sva_wait_on(struct arm_smmu_device *smmu, const struct arm_smmu_cmdq *cmdq,
			  struct arm_smmu_sva_wait *wait)
{
	u32 cons;

	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_sva_wait_on, smmu, cmdq, wait);
	/* It is known why this CPU does nothing else. */
	touch_nmi_watchdog();
	if (smmu_is_off(smmu))
		return false;
	cons = readl_relaxed(cmdq->q.cons_reg) & ~CMDQ_CONS_ERR;
	if (cons != wait->cons)
		wait->polls = 0;
	wait->cons = cons;
	/*
	 * The first time means nothing: a hypervisor may have stopped a CPU that polls, which gives
	 * up without another look.
	 */
	if (wait->polls++ == 1)
		arm_smmu_sva_warn_slow(smmu, cons);
	arm_smmu_gerror_handler(0, smmu);
	if (wait->polls < SMMU_WAIT_POLLS)
		return true;
	smmu_turn_off(smmu);
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_wait_on);

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
	list->first = NULL;
	list->nr = 0;
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

	if (!list->nr++)
		list->first = master;
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

/* Invalidations of the TLB that the thread waits for later */

static void smmu_make_tlbi(struct arm_smmu_cmdq_ent *cmd, const struct arm_smmu_domain *dom,
			   bool all)
{
	bool e2h = dom->smmu->features & ARM_SMMU_FEAT_E2H;

	*cmd = (struct arm_smmu_cmdq_ent){ .tlbi.asid = dom->cd.asid };
	if (all)
		cmd->opcode = e2h ? CMDQ_OP_TLBI_EL2_ASID : CMDQ_OP_TLBI_NH_ASID;
	else
		cmd->opcode = e2h ? CMDQ_OP_TLBI_EL2_VA : CMDQ_OP_TLBI_NH_VA;
}

/* Pages of an address and on: 2^@order, which are two at least (IHI 0070, section 4.4.1.1) */
static void smmu_set_range(struct arm_smmu_cmdq_ent *cmd, unsigned long addr, unsigned int order)
{
	cmd->tlbi.addr = addr;
	cmd->tlbi.tg = (PAGE_SHIFT - 10) / 2;
	cmd->tlbi.scale = max(order, 1U);
}

static void smmu_add_tlbi_ranges(struct arm_smmu_cmdq_batch *cmds,
				 const struct arm_smmu_domain *dom, struct sva_blocks b)
{
	const unsigned int shift = PAGE_SHIFT - SVA_BLOCK_SHIFT;
	struct arm_smmu_cmdq_ent cmd;

	do {
		unsigned int order = sva_block_order(&b);

		smmu_make_tlbi(&cmd, dom, order == SVA_ORDER_ALL);
		if (order != SVA_ORDER_ALL)
			smmu_set_range(&cmd, (b.pfn << SVA_BLOCK_SHIFT) & PAGE_MASK,
				       order - min(order, shift));
		arm_smmu_cmdq_batch_add(dom->smmu, cmds, &cmd);
	} while (sva_next_block(&b));
}

static void smmu_add_tlbi_pages(struct arm_smmu_cmdq_batch *cmds,
				const struct arm_smmu_domain *dom, unsigned long start,
				unsigned long end)
{
	struct arm_smmu_cmdq_ent cmd;

	smmu_make_tlbi(&cmd, dom, false);
	for (cmd.tlbi.addr = start; cmd.tlbi.addr < end; cmd.tlbi.addr += PAGE_SIZE)
		arm_smmu_cmdq_batch_add(dom->smmu, cmds, &cmd);
}

/**
 * arm_smmu_sva_post_tlbi() - Have the SMMU begin to invalidate its TLB
 * @dom: the domain, whose ASID is the SMMU's own
 * @start: first byte
 * @end: the byte after the last, or ~0UL for everything
 *
 * Somewhat more than the range, if that takes fewer commands. All of them are in one queue, in one
 * list: a thread that moves to another CPU may get another queue there.
 *
 * Context: any; may wait for hardware to make room, never for another thread that waits for its
 * commands.
 * Return: the queue, for arm_smmu_sva_await_tlbi(); NULL if the commands do not fit into a list, or
 * if the SMMU needs a CMD_SYNC behind some of them.
 */
struct arm_smmu_cmdq *arm_smmu_sva_post_tlbi(struct arm_smmu_domain *dom, unsigned long start,
					     unsigned long end)
{
	static const struct sva_costs costs = {
		.max_order = SMMU_TLBI_MAX_SCALE + PAGE_SHIFT - SVA_BLOCK_SHIFT,
		.pages = SVA_COST_PAGES,
		.all = SVA_COST_ALL,
	};
	bool ranges = end == ULONG_MAX || dom->smmu->features & ARM_SMMU_FEAT_RANGE_INV;
	struct arm_smmu_cmdq_batch cmds;
	struct arm_smmu_cmdq_ent first;

	if (dom->smmu->options & ARM_SMMU_OPT_CMDQ_FORCE_SYNC)
		return NULL;
	if (!ranges && end - start > SMMU_TLBI_BATCH * PAGE_SIZE)
		return NULL;
	smmu_make_tlbi(&first, dom, end == ULONG_MAX);
	arm_smmu_cmdq_batch_init(dom->smmu, &cmds, &first);
	if (ranges)
		smmu_add_tlbi_ranges(&cmds, dom, sva_make_blocks(start, end, &costs));
	else
		smmu_add_tlbi_pages(&cmds, dom, start, end);
	arm_smmu_cmdq_issue_cmdlist(dom->smmu, cmds.cmdq, cmds.cmds, cmds.num, false);
	return cmds.cmdq;
}

/**
 * arm_smmu_sva_await_tlbi() - Wait until the SMMU has invalidated its TLB
 * @smmu: the SMMU
 * @cmdq: what arm_smmu_sva_post_tlbi() has returned
 *
 * Context: any; spins.
 */
void arm_smmu_sva_await_tlbi(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq)
{
	struct arm_smmu_cmdq_batch cmds;

	cmds.cmdq = cmdq;
	cmds.num = 0;
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

static void smmu_give_up(struct arm_smmu_master *master, ioasid_t ssid)
{
	scoped_guard(spinlock_irqsave, &master->ste_lock) {
		if (!master->atc_lost) {
			WRITE_ONCE(master->atc_lost, true);
			smmu_set_eats(master, false);
		}
	}
	smmu_note_unconfirmed(master, ssid);
}

/*
 * Has a device been given up? A caller that goes on without the invalidation frees memory: so the
 * device must have been cut off.
 */
static bool smmu_is_cut_off(struct arm_smmu_master *master)
{
	if (likely(!READ_ONCE(master->atc_lost)))
		return false;
	guard(spinlock_irqsave)(&master->ste_lock);
	return master->atc_lost;
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
	if (likely(!smmu_is_cut_off(master)))
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

/* Asks a device alone. It is not to blame for an SMMU that has been turned off (-ETIMEDOUT). */
static int smmu_flush_or_give_up(struct arm_smmu_master *master, ioasid_t ssid,
				 unsigned long start, unsigned long end)
{
	int ret = smmu_flush_one(master, ssid, start, end);

	if (ret == -EIO)
		smmu_give_up(master, ssid);
	return ret;
}

/**
 * arm_smmu_sva_blame() - Handle a list of ATC invalidations that was not completed
 * @list: the list
 * @ret: what arm_smmu_sva_end_atc() has returned
 * @master: a device that the list may have asked
 * @ssid: the PASID; IOMMU_NO_PASID or IOMMU_PASID_INVALID for all of the device
 * @start: first byte
 * @end: the byte after the last, or ~0UL for everything
 *
 * The device forgets the range, or the function gives it up.
 *
 * Context: any; spins.
 */
void arm_smmu_sva_blame(const struct smmu_atc_list *list, int ret,
			struct arm_smmu_master *master, ioasid_t ssid, unsigned long start,
			unsigned long end)
{
	bool alone = list->nr == 1 && list->first == master;

	if (!arm_smmu_sva_ask(master, ssid))
		return;
	if (ret == -EIO && alone)
		smmu_give_up(master, ssid);
	else
		smmu_flush_or_give_up(master, ssid, start, end);
}

static int smmu_flush_all(struct arm_smmu_master *master, ioasid_t ssid)
{
	return smmu_flush_or_give_up(master, ssid, 0, ULONG_MAX);
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
	if (smmu_is_cut_off(master) || !smmu_is_there(master))
		return 0;
	return smmu_flush_all(master, ssid);
}

/**
 * arm_smmu_sva_inv_domain() - Make the devices of a domain of the base driver forget a range
 * @dom: the domain
 * @iova: first byte
 * @size: how many bytes; 0: everything
 *
 * Context: any; for the base driver's arm_smmu_atc_inv_domain(), which has invalidated the TLB.
 * Return: 0, or an error if a device has not completed that. Then it has been given up.
 */
int arm_smmu_sva_inv_domain(struct arm_smmu_domain *dom, unsigned long iova, size_t size)
{
	unsigned long end = size ? iova + size : ULONG_MAX;
	struct arm_smmu_master_domain *use;
	struct smmu_atc_list list;
	int ret;

	/* A reset waits for readers that have not seen it. */
	guard(rcu)();
	arm_smmu_sva_start_atc(&list, dom->smmu);
	scoped_guard(spinlock_irqsave, &dom->devices_lock) {
		list_for_each_entry(use, &dom->devices, devices_elm)
			if (use->master->ats_enabled && arm_smmu_sva_ask(use->master, use->ssid))
				arm_smmu_sva_add_atc(&list, use->master, use->ssid, iova, end);
	}
	ret = list.nr ? arm_smmu_sva_end_atc(&list) : 0;
	if (likely(!ret))
		return 0;
	guard(spinlock_irqsave)(&dom->devices_lock);
	list_for_each_entry(use, &dom->devices, devices_elm)
		if (use->master->ats_enabled)
			arm_smmu_sva_blame(&list, ret, use->master, use->ssid, iova, end);
	return ret;
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
	scoped_guard(spinlock_irqsave, &master->ste_lock) {
		was_lost = master->atc_lost;
		WRITE_ONCE(master->atc_lost, false);
	}
	if (smmu_is_there(master))
		smmu_flush_all(master, IOMMU_PASID_INVALID);
	else
		smmu_give_up(master, IOMMU_PASID_INVALID);

	guard(spinlock_irqsave)(&master->ste_lock);
	if (was_lost && !master->atc_lost && master->ste_ats_enabled)
		smmu_set_eats(master, true);
}
