// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 page requests and stalls: from hardware to the fault queue, and back
 *
 * There are two ways to report a fault. A PCIe function with PRI sends page requests, which
 * hardware writes into the PRI queue (IHI 0070, chapter 8). Hardware stalls a platform device, or a
 * function integrated like one, and writes an event into the event queue (section 3.12.2). This
 * file reads the PRI queue; the base driver reads the event queue. Both report to one fault queue,
 * and a drain covers both.
 *
 * The thread takes entries out before it reports them, a few at a time: an answer gives the device
 * its credit back, and the next request needs room.
 *
 * Progress. arm_smmu_queue.handled counts the entries that have been reported since the queue was
 * set up. Indices of a queue start at zero, too, and count modulo twice its size (the wrap bit). A
 * drain turns the producer's index into a count and waits for that: several can wait at once, and
 * none waits for entries that come later. The count lags behind the consumer's index by less than
 * the queue's size, so the producer's index names one count. If the interrupt thread does not run,
 * the drain gives up (iopf_drain_gives_up()).
 *
 * Overflow. When the PRI queue is full, hardware discards requests until software acknowledges, and
 * answers the last pages among them itself, with Success: the device asks again (section 8.1). The
 * thread acknowledges when the queue is empty: groups that have lost their last page must not mix
 * with what comes after.
 *
 * Credits. Requests that a device may have outstanding take room in the PRI queue. The fault queue,
 * which has room for them, too, shares both out: iopf_grant_credits().
 *
 * The order of enabling is PASID, ATS, PRI; disabling goes the other way round. The base driver
 * enables and disables ATS, and calls here when it does.
 *
 * Locks:
 *
 *	arm_smmu_master.lock		ats_enabled, atc_live, pri_enabled, iopf_enabled
 *	arm_smmu_device.streams_mutex	(base) keeps devices from going between look-up and report
 *	  iommu_fault_param.lock	(fault queue)
 *
 * Lifetime: a device is on the fault queue while its driver has IOMMU_DEV_FEAT_IOPF enabled.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/wait_bit.h>

#include "arm-smmu-v3-sva.h"
#include "iopf.h"

/* Events that name no address */
#define EVT_C_BAD_SUBSTREAMID	0x08
#define EVT_C_BAD_CD		0x0a

/* Entries that the thread takes out at a time */
#define PRIQ_BATCH		16U

/* Entries of the PRI queue (IHI 0070, chapter 8) */

VISIBLE_IF_KUNIT bool arm_smmu_is_stop_marker(const u64 *req)
{
	const u64 lrw = PRIQ_0_PRG_LAST | PRIQ_0_PERM_READ | PRIQ_0_PERM_WRITE;

	return (req[0] & PRIQ_0_SSID_V) && (req[0] & lrw) == PRIQ_0_PRG_LAST;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_is_stop_marker);

VISIBLE_IF_KUNIT void arm_smmu_decode_ppr(const u64 *req, bool answer_needs_pasid,
					  struct iopf_fault *evt)
{
	struct iommu_fault_page_request *prm = &evt->fault.prm;

	*evt = (struct iopf_fault){ .fault.type = IOMMU_FAULT_PAGE_REQ };
	prm->addr = req[1] & PRIQ_1_ADDR_MASK;
	prm->grpid = FIELD_GET(PRIQ_1_PRG_IDX, req[1]);
	prm->pasid = IOMMU_NO_PASID;
	if (req[0] & PRIQ_0_SSID_V) {
		prm->pasid = FIELD_GET(PRIQ_0_SSID, req[0]);
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
		if (answer_needs_pasid)
			prm->flags |= IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
	}
	if (req[0] & PRIQ_0_PRG_LAST)
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	if (req[0] & PRIQ_0_PERM_READ)
		prm->perm |= IOMMU_FAULT_PERM_READ;
	if (req[0] & PRIQ_0_PERM_WRITE)
		prm->perm |= IOMMU_FAULT_PERM_WRITE;
	if (req[0] & PRIQ_0_PERM_EXEC)
		prm->perm |= IOMMU_FAULT_PERM_EXEC;
	if (req[0] & PRIQ_0_PERM_PRIV)
		prm->perm |= IOMMU_FAULT_PERM_PRIV;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_decode_ppr);

/* Responses (IHI 0070, section 4.5.2) */

VISIBLE_IF_KUNIT void arm_smmu_make_pri_resp(struct arm_smmu_cmdq_ent *cmd, u32 sid,
					     const struct iommu_fault_page_request *prm,
					     enum iommu_page_response_code code)
{
	bool with_pasid = prm->flags & IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;

	*cmd = (struct arm_smmu_cmdq_ent){
		.opcode = CMDQ_OP_PRI_RESP,
		.substream_valid = with_pasid,
		.pri = {
			.sid = sid,
			.ssid = with_pasid ? prm->pasid : 0,
			.grpid = prm->grpid,
		},
	};
	/* In the architecture PRI_RESP_FAIL is Invalid Request, and PRI_RESP_DENY is Failure. */
	switch (code) {
	case IOMMU_PAGE_RESP_SUCCESS:
		cmd->pri.resp = PRI_RESP_SUCC;
		break;
	case IOMMU_PAGE_RESP_INVALID:
		cmd->pri.resp = PRI_RESP_FAIL;
		break;
	case IOMMU_PAGE_RESP_FAILURE:
		cmd->pri.resp = PRI_RESP_DENY;
		break;
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_make_pri_resp);

static void priq_respond(struct arm_smmu_device *smmu, u32 sid,
			 const struct iommu_fault_page_request *prm,
			 enum iommu_page_response_code code)
{
	struct arm_smmu_cmdq_ent cmd;

	arm_smmu_make_pri_resp(&cmd, sid, prm, code);
	arm_smmu_cmdq_issue_cmd(smmu, &cmd);
}

/**
 * arm_smmu_sva_page_response() - Answer a page request group
 * @master: the device that asked, by PRI
 * @evt: the group's last page
 * @resp: the answer
 *
 * Context: process or atomic; for the base driver's page_response(), which answers stalls itself.
 */
void arm_smmu_sva_page_response(struct arm_smmu_master *master, const struct iopf_fault *evt,
				const struct iommu_page_response *resp)
{
	priq_respond(master->smmu, master->streams[0].id, &evt->fault.prm, resp->code);
}

/* Reading the queue */

/**
 * arm_smmu_sva_handled() - Count entries of the PRI queue or the event queue as reported
 * @q: the queue
 * @n: how many
 *
 * Context: process; only the queue's interrupt thread.
 */
void arm_smmu_sva_handled(struct arm_smmu_queue *q, unsigned long n)
{
	/* Either a drain sees the new count, or wake_up_var() sees the drain. */
	smp_store_mb(q->handled, q->handled + n);
	wake_up_var(&q->handled);
}

/* Returns what the caller must serve, if the request @is_single in the queue; NULL: nothing. */
static struct iopf_worker *priq_take(struct arm_smmu_device *smmu, const u64 *req, bool is_single)
{
	u32 sid = FIELD_GET(PRIQ_0_SID, req[0]);
	struct arm_smmu_master *master;
	struct iopf_fault evt;

	lockdep_assert_held(&smmu->streams_mutex);

	/* A stop marker wants no answer; the driver that stopped the PASID drains it. */
	if (arm_smmu_is_stop_marker(req))
		return NULL;

	master = arm_smmu_find_master(smmu, sid);
	arm_smmu_decode_ppr(req, !master || master->prg_needs_pasid, &evt);
	if (master && master->pri_capable) {
		if (is_single)
			return iopf_report_single(master->dev, &evt);
		iommu_report_device_fault(master->dev, &evt);
		return NULL;
	}

	smmu_log(err, smmu->dev, master ? master->lines : smmu->priq.lines, STRANGER,
		 "page request for %#llx from stream %#x, which is %s\n", evt.fault.prm.addr, sid,
		 master ? "without PRI" : "unknown");
	if (evt.fault.prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE)
		priq_respond(smmu, sid, &evt.fault.prm, IOMMU_PAGE_RESP_INVALID);
	return NULL;
}

static void priq_read_entry(struct arm_smmu_queue *q, u32 cons, u64 req[PRIQ_ENT_DWORDS])
{
	const __le64 *ent = Q_ENT(q, cons);

	for (unsigned int i = 0; i < PRIQ_ENT_DWORDS; i++)
		req[i] = le64_to_cpu(READ_ONCE(ent[i]));
}

static u32 queue_pos(const struct arm_smmu_queue *q, u32 index)
{
	return Q_WRP(&q->llq, index) | Q_IDX(&q->llq, index);
}

static u32 queue_next(const struct arm_smmu_queue *q, u32 index)
{
	return queue_pos(q, queue_pos(q, index) + 1);
}

static void priq_write_cons(struct arm_smmu_queue *q, u32 cons)
{
	q->llq.cons = cons;
	/* After the entries have been read: hardware may write the next ones there. */
	writel(cons, q->cons_reg);
}

/* Takes entries out of the queue. Returns how many. */
static unsigned int priq_take_out(struct arm_smmu_queue *q, u64 (*req)[PRIQ_ENT_DWORDS])
{
	unsigned int max = min(PRIQ_BATCH, BIT(q->llq.max_n_shift) / 2);
	u32 cons = queue_pos(q, q->llq.cons), prod;
	unsigned int n;

	/* The entries up to the producer's index are in memory. */
	q->llq.prod = readl(q->prod_reg);
	prod = queue_pos(q, q->llq.prod);
	for (n = 0; n < max && cons != prod; n++, cons = queue_next(q, cons))
		priq_read_entry(q, cons, req[n]);
	if (n)
		priq_write_cons(q, Q_OVF(q->llq.cons) | cons);
	return n;
}

/* Returns false if the queue is empty. */
static bool priq_consume(struct arm_smmu_device *smmu)
{
	struct arm_smmu_queue *q = &smmu->priq.q;
	u64 req[PRIQ_BATCH][PRIQ_ENT_DWORDS];
	unsigned int n = priq_take_out(q, req);
	struct iopf_worker *worker = NULL;

	if (!n)
		return false;
	scoped_guard(mutex, &smmu->streams_mutex)
		for (unsigned int i = 0; i < n; i++)
			worker = priq_take(smmu, req[i], n == 1);
	arm_smmu_sva_handled(q, n);
	iopf_serve_inline(worker);
	return true;
}

/**
 * arm_smmu_sva_priq_thread() - Report what is in the PRI queue
 * @smmu: the SMMU
 *
 * Context: process; the interrupt thread of the PRI queue. Waits for no fault.
 * Return: IRQ_HANDLED.
 */
irqreturn_t arm_smmu_sva_priq_thread(struct arm_smmu_device *smmu)
{
	struct arm_smmu_queue *q = &smmu->priq.q;

	/* The interrupt only tells that the queue has ceased to be empty: so empty it. */
	while (priq_consume(smmu))
		cond_resched();

	/*
	 * With an overflow pending no request enters: the queue is still empty. The event queue's
	 * thread may report to the same fault queue now, but stalls are never partial.
	 */
	if (Q_OVF(q->llq.prod) != Q_OVF(q->llq.cons)) {
		smmu_log(info, smmu->dev, smmu->priq.lines, OVERFLOW, "PRI queue overflowed\n");
		iopf_queue_discard_partial(smmu->evtq.iopf);
		priq_write_cons(q, Q_OVF(q->llq.prod) | queue_pos(q, q->llq.cons));
	}
	return IRQ_HANDLED;
}

/* Refused transactions */

/* Has a table refused the access (IHI 0070, sections 7.3.12 to 7.3.15)? */
static bool smmu_event_is_fault(u8 id)
{
	return id == EVT_ID_TRANSLATION_FAULT || id == EVT_ID_ADDR_SIZE_FAULT ||
	       id == EVT_ID_ACCESS_FAULT || id == EVT_ID_PERMISSION_FAULT;
}

/**
 * arm_smmu_sva_event() - Handle an event that is no stall
 * @smmu: the SMMU
 * @evt: the event
 *
 * If the process's tables have refused a transaction, the listeners of the bond hear of it. If
 * there was no context descriptor (IHI 0070, sections 7.3.10 and 7.3.11), the event has no address,
 * and the device may be using a PASID that has been unbound: a stray.
 *
 * Context: process; the interrupt thread of the event queue.
 */
void arm_smmu_sva_event(struct arm_smmu_device *smmu, const u64 *evt)
{
	struct arm_smmu_master *master;
	u8 id = FIELD_GET(EVTQ_0_ID, evt[0]);
	bool is_fault = smmu_event_is_fault(id);

	if (!(evt[0] & EVTQ_0_SSV) ||
	    (!is_fault && id != EVT_C_BAD_SUBSTREAMID && id != EVT_C_BAD_CD))
		return;
	guard(mutex)(&smmu->streams_mutex);
	master = arm_smmu_find_master(smmu, FIELD_GET(EVTQ_0_SID, evt[0]));
	if (master)
		iommu_sva_report_abort(master->dev, FIELD_GET(EVTQ_0_SSID, evt[0]),
				       is_fault ? FIELD_GET(EVTQ_2_ADDR, evt[2]) : 0);
}

/* Drain */

/* The count when the consumer, now at count @handled, will have come to @prod */
VISIBLE_IF_KUNIT unsigned long arm_smmu_count_at(const struct arm_smmu_queue *q,
						 unsigned long handled, u32 prod)
{
	return handled + queue_pos(q, queue_pos(q, prod) - (u32)handled);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_count_at);

VISIBLE_IF_KUNIT unsigned long arm_smmu_sva_step(void)
{
	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_sva_step);
	return HZ;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_step);

/* Waits until the entries that are in the queue now have been reported. False: it gives up. */
static bool queue_wait_handled(struct arm_smmu_queue *q)
{
	unsigned long handled, target;
	u32 prod;

	/* Between equal counts the producer is less than two rounds ahead: it names one count. */
	do {
		handled = READ_ONCE(q->handled);
		prod = readl(q->prod_reg);
	} while (handled != READ_ONCE(q->handled));

	target = arm_smmu_count_at(q, handled, prod);
	return iopf_await_reader(&q->handled, (long)(READ_ONCE(q->handled) - target) >= 0,
				 arm_smmu_sva_step());
}

/**
 * arm_smmu_sva_drain() - Have all faults of a (device, PASID) answered
 * @dev: the device
 * @pasid: the PASID, which the device has stopped using; or IOMMU_PASID_INVALID for all
 *
 * Drains hardware, then software, then waits until the responses have left the SMMU. Before a reset
 * it does not ask the device, which may hang; the fault queue drops late requests and answers late
 * stalls. Hardware has answered requests that an overflow has discarded. A transaction whose stall
 * is not recorded yet waits for the detach: the SMMU records or aborts it when the CD goes, before
 * the second drain.
 *
 * Context: process, sleeps. Waits for the interrupt thread, not for faults that are being served.
 */
void arm_smmu_sva_drain(struct device *dev, ioasid_t pasid)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_device *smmu = master->smmu;

	if (!master->iopf_enabled)
		return;

	if (master->pri_capable && pasid != IOMMU_PASID_INVALID)
		arm_smmu_sva_flush_atc(master, pasid);
	else
		arm_smmu_sva_sync(smmu);
	if (!queue_wait_handled(master->pri_capable ? &smmu->priq.q : &smmu->evtq.q))
		iopf_drain_gives_up(dev, pasid);
	iopf_drain_pasid(dev, pasid);
	arm_smmu_sva_sync(smmu);
}

/* ATS and PRI of a device */

/**
 * arm_smmu_sva_max_requests() - How many faults of a device the SMMU can hold
 * @dev: the device
 *
 * The limit is for all devices of the SMMU together, so one device may use all of it.
 *
 * Context: any.
 * Return: that number (IDR5.STALL_MAX) if the device stalls; 0 if it sends page requests.
 */
u32 arm_smmu_sva_max_requests(struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	return master->stall_enabled ? max(master->smmu->evtq.max_stalls, 1U) : 0;
}

/**
 * arm_smmu_sva_stalls() - Does the SMMU hold transactions of a device until they are answered?
 * @dev: the device
 *
 * It does so until CMD_RESUME (IHI 0070, section 4.6.1), also while @dev is in a reset.
 *
 * Context: any.
 * Return: true if it does; false if the device sends page requests.
 */
bool arm_smmu_sva_stalls(struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	return master->stall_enabled;
}

/**
 * arm_smmu_sva_init_lines() - Initialise the limits of lines in the log
 * @lines: the limits of a device or an SMMU
 *
 * Context: any.
 */
void arm_smmu_sva_init_lines(struct ratelimit_state lines[ARM_SMMU_SVA_NR_LINES])
{
	for (unsigned int i = 0; i < ARM_SMMU_SVA_NR_LINES; i++)
		ratelimit_state_init(&lines[i], DEFAULT_RATELIMIT_INTERVAL,
				     DEFAULT_RATELIMIT_BURST);
}

/**
 * arm_smmu_sva_reports() - Is a queue of an SMMU enabled?
 * @smmu: the SMMU, which is enabled
 * @enable: the queue's bit of CR0
 *
 * The kernel that takes a crash dump leaves both the event queue and the PRI queue disabled, since
 * devices of the crashed kernel go on.
 *
 * Context: any.
 * Return: true if it is.
 */
bool arm_smmu_sva_reports(struct arm_smmu_device *smmu, u32 enable)
{
	return readl_relaxed(smmu->base + ARM_SMMU_CR0) & enable;
}

/* Can this driver take page requests from the PRI queue? */
static bool smmu_takes_requests(struct arm_smmu_device *smmu)
{
	return (smmu->features & ARM_SMMU_FEAT_PRI) && (smmu->priq.q.irq || smmu->combined_irq) &&
	       smmu->priq.q.llq.max_n_shift && arm_smmu_sva_reports(smmu, CR0_PRIQEN);
}

/**
 * arm_smmu_sva_probe_pri() - Find out whether page requests or stalls of a device can be served
 * @master: the device
 *
 * Context: process; while the device is probed.
 */
void arm_smmu_sva_probe_pri(struct arm_smmu_master *master)
{
	struct arm_smmu_device *smmu = master->smmu;
	struct pci_dev *pdev;

	/* A stall that the SMMU does not report never ends: let it abort instead, if it can. */
	if (!arm_smmu_sva_reports(smmu, CR0_EVTQEN) &&
	    !(smmu->features & ARM_SMMU_FEAT_STALL_FORCE))
		master->stall_enabled = false;

	/* A device that stalls needs no page requests. */
	if (!smmu_takes_requests(smmu) || !dev_is_pci(master->dev) || master->stall_enabled ||
	    master->num_streams != 1)
		return;

	pdev = to_pci_dev(master->dev);
	if (!arm_smmu_ats_supported(master) || !pci_pri_supported(pdev))
		return;
	master->pri_capable = true;
	master->prg_needs_pasid = pci_prg_resp_pasid_required(pdev);
}

/* Lets a device send page requests, if its driver wants that and its ATS is enabled. */
VISIBLE_IF_KUNIT int arm_smmu_sva_start_pri(struct arm_smmu_master *master)
{
	struct pci_dev *pdev;
	u32 credits;
	int ret;

	lockdep_assert_held(&master->lock);

	if (!master->pri_capable || !master->iopf_enabled || master->pri_enabled)
		return 0;

	pdev = to_pci_dev(master->dev);
	credits = iopf_grant_credits(master->dev, BIT(master->smmu->priq.q.llq.max_n_shift));
	ret = pci_reset_pri(pdev) ?: pci_enable_pri(pdev, credits);
	if (ret)
		smmu_log(err, master->dev, master->lines, SETUP,
			 "cannot enable page requests: %pe\n", ERR_PTR(ret));
	master->pri_enabled = !ret;
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_start_pri);

VISIBLE_IF_KUNIT void arm_smmu_sva_stop_pri(struct arm_smmu_master *master)
{
	lockdep_assert_held(&master->lock);

	if (!master->pri_enabled)
		return;
	pci_disable_pri(to_pci_dev(master->dev));
	master->pri_enabled = false;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_stop_pri);

/**
 * arm_smmu_sva_start_ats() - Note that the base driver has enabled a device's ATS
 * @master: the device
 * @ret: 0, or why it could not be
 *
 * Context: process; may sleep.
 */
void arm_smmu_sva_start_ats(struct arm_smmu_master *master, int ret)
{
	lockdep_assert_held(&master->lock);

	master->ats_error = ret;
	WRITE_ONCE(master->atc_live, !ret);
	if (ret)
		return;
	if (master->atc_lost)
		arm_smmu_sva_trust(master);
	arm_smmu_sva_start_pri(master);
}

/**
 * arm_smmu_sva_check_ats() - Are ATS and page requests of a device enabled, as they should be?
 * @master: a device that a translating domain is attached to
 *
 * Tries again to enable page requests if that failed before, because the device still had some
 * outstanding.
 *
 * Context: process; may sleep.
 * Return: 0, or the error for which its ATS or its page requests are not enabled.
 */
int arm_smmu_sva_check_ats(struct arm_smmu_master *master)
{
	guard(mutex)(&master->lock);
	if (!master->ats_enabled)
		return 0;
	return master->ats_error ?: arm_smmu_sva_start_pri(master);
}

/**
 * arm_smmu_sva_stop_ats() - Prepare a device for the end of its ATS
 * @master: the device
 *
 * On return the device sends no page requests, and no flush sends it an invalidation, even one that
 * has found it on a domain's list before a detach.
 *
 * Context: process, sleeps.
 */
void arm_smmu_sva_stop_ats(struct arm_smmu_master *master)
{
	lockdep_assert_held(&master->lock);

	arm_smmu_sva_stop_pri(master);
	WRITE_ONCE(master->atc_live, false);
	synchronize_rcu();
}

/**
 * arm_smmu_master_iopf_supported() - Can page faults of a device be served?
 * @master: the device
 *
 * Context: process.
 * Return: true if it sends page requests that the SMMU can take, or stalls.
 */
bool arm_smmu_master_iopf_supported(struct arm_smmu_master *master)
{
	struct arm_smmu_device *smmu = master->smmu;

	if (!smmu->evtq.iopf)
		return false;
	if (master->pri_capable)
		return true;
	/* An answer to a stall names the stream, and the fault queue knows only the device. */
	return master->stall_enabled && master->num_streams == 1 &&
	       (smmu->evtq.q.irq || smmu->combined_irq) && arm_smmu_sva_reports(smmu, CR0_EVTQEN);
}

/**
 * arm_smmu_master_enable_iopf() - Enable IOMMU_DEV_FEAT_IOPF
 * @master: a device for which arm_smmu_master_iopf_supported() is true
 *
 * Context: process, may sleep; the device's driver does not call this and its counterpart at the
 * same time.
 * Return: 0, or an error of the fault queue or the PCI core.
 */
int arm_smmu_master_enable_iopf(struct arm_smmu_master *master)
{
	struct iopf_queue *queue = master->smmu->evtq.iopf;
	int ret;

	ret = iopf_queue_add_device(queue, master->dev);
	if (ret)
		return ret;

	/* Without a domain that translates there is no ATS yet: PRI follows with it. */
	scoped_guard(mutex, &master->lock) {
		master->iopf_enabled = true;
		if (master->atc_live)
			ret = arm_smmu_sva_start_pri(master);
		if (ret)
			master->iopf_enabled = false;
	}
	if (ret)
		iopf_queue_remove_device(queue, master->dev);
	return ret;
}

/**
 * arm_smmu_master_disable_iopf() - Undo arm_smmu_master_enable_iopf()
 * @master: a device without bonds, which sends no more requests
 *
 * Context: process, may sleep; does not wait for faults that are being served.
 */
void arm_smmu_master_disable_iopf(struct arm_smmu_master *master)
{
	struct arm_smmu_queue *q = &master->smmu->evtq.q;

	if (master->pri_capable)
		q = &master->smmu->priq.q;

	/* In one step: an attach before the removal must not enable page requests again. */
	scoped_guard(mutex, &master->lock) {
		arm_smmu_sva_stop_pri(master);
		master->iopf_enabled = false;
	}
	arm_smmu_sva_sync(master->smmu);
	if (!queue_wait_handled(q))
		iopf_drain_gives_up(master->dev, IOMMU_PASID_INVALID);
	iopf_queue_remove_device(master->smmu->evtq.iopf, master->dev);
}

/**
 * arm_smmu_sva_release_master() - Prepare for the removal of a device
 * @master: the device, without bonds. On return no flush uses it, nor its struct device.
 *
 * Context: process, sleeps.
 */
void arm_smmu_sva_release_master(struct arm_smmu_master *master)
{
	if (WARN_ON(master->iopf_enabled))
		arm_smmu_master_disable_iopf(master);
	/* A flush may have found the device on a domain's list before a detach. */
	if (master->sva_listed)
		synchronize_rcu();
}
