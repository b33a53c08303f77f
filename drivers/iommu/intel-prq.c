// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d page request queue: from hardware to the fault queue, and back
 *
 * Hardware writes page requests into a ring in memory and advances its tail; the interrupt thread
 * reports them and advances the head (VT-d 4.1, chapter 7). The thread never allocates and never
 * waits for a fault: workers serve what it reports, and it serves a request itself only if that
 * does not block.
 *
 * Progress. intel_iommu.prq_seq_number counts the entries consumed since the ring was set up. Ring
 * and count start at zero, so the count modulo the ring's size is the head. A drain turns the tail
 * it reads into a count and waits for that: several can wait at once, and none waits for entries
 * that arrive later.
 *
 * Overflow. When the ring is full hardware sets PRO, takes nothing in until that is cleared, and
 * itself answers the last pages that it drops (7.4.1). The thread clears PRO when the ring is
 * empty, not before: entries that are still in it must not mix with what comes after. A drain that
 * meets an overflow pushes again, a few times: a device that ignores its credits must not hold up
 * others. If the interrupt thread does not run, the drain gives up (iopf_drain_gives_up()).
 *
 * Sleep. Ring and count outlast suspend, registers may not. Resume writes the registers as they
 * were and wakes the thread up, so that a drain which slept meanwhile goes on. The thread marks
 * partials where the ring ended before the sleep. A sleep empties a ring that was full, so it
 * counts as a loss. Enabling assumes nothing about the registers, since another kernel may have
 * used them.
 *
 * Locks:
 *
 *	intel_iommu.iopf_lock		keeps devices from going between look-up and report
 *	  (fault queue)
 *	intel_iommu.register_lock	registers, in suspend and resume
 *	dma_faults_lock			DMA faults that wait for their report; innermost
 *
 * Lifetime: ring and fault queue last from intel_iommu_enable_prq() to intel_iommu_finish_prq().
 */
#define pr_fmt(fmt) "DMAR: " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/dmar.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq_work.h>
#include <linux/kfifo.h>
#include <linux/pci.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "intel/iommu.h"
#include "intel/pasid.h"
#include "intel/trace.h"
#include "intel-svm.h"
#include "iommu-pages.h"
#include "iopf.h"
#include "iopf-pci.h"

#define PRQ_0_PASID_PRESENT	BIT_ULL(8)
#define PRQ_0_RID		GENMASK_ULL(31, 16)
#define PRQ_0_PASID		GENMASK_ULL(51, 32)
#define PRQ_0_EXEC		BIT_ULL(52)
#define PRQ_0_PRIV		BIT_ULL(53)
#define PRQ_1_READ		BIT_ULL(0)
#define PRQ_1_WRITE		BIT_ULL(1)
#define PRQ_1_LAST		BIT_ULL(2)
#define PRQ_1_GROUP		GENMASK_ULL(11, 3)
#define PRQ_1_ADDR		GENMASK_ULL(63, 12)

/**
 * intel_svm_has_atc() - May ATC invalidations be sent to a device?
 * @info: the device
 *
 * Context: any; one RCU read-side section with the submission, for which a reset waits.
 * Return: false if it has no ATC, or can't answer, see iopf_pci_can_answer().
 */
bool intel_svm_has_atc(const struct device_domain_info *info)
{
	return info->ats_enabled && !intel_svm_drops_atc(info);
}

/**
 * intel_svm_drops_atc() - Must the base driver drop an ATC invalidation?
 * @info: the device that it is for
 *
 * For the kernel's own DMA, and for entries that the base driver changes. At the end of the pause
 * intel_svm_flush_atc() makes up for what is dropped. The function does not look at ats_enabled:
 * that is cleared before ATS is disabled.
 *
 * Context: any; one RCU read-side section with the submission, for which a reset waits.
 * Return: true if the device can't answer, see iopf_pci_can_answer().
 */
bool intel_svm_drops_atc(const struct device_domain_info *info)
{
	return !iopf_pci_can_answer(to_pci_dev(info->dev));
}

/**
 * intel_svm_stop_atc() - Wait until no flush uses a device or its ATC any more
 * @info: a device whose ATS is about to be disabled, or that is about to go
 *
 * A flush uses @info and what that points to in one RCU read-side section with the submission; it
 * may do so even after a detach has taken the device off the list.
 *
 * Context: process, sleeps.
 */
void intel_svm_stop_atc(struct device_domain_info *info)
{
	info->ats_enabled = 0;
	synchronize_rcu();
	intel_qi_trust(info);
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_stop_atc);

VISIBLE_IF_KUNIT bool intel_svm_is_present(struct pci_dev *pdev)
{
	KUNIT_STATIC_STUB_REDIRECT(intel_svm_is_present, pdev);
	return pci_device_is_present(pdev);
}
EXPORT_SYMBOL_IF_KUNIT(intel_svm_is_present);

/**
 * intel_svm_may_ask() - May ATC invalidations be sent to a device, and is it present?
 * @info: the device
 * @pasid: the PASID that they are for, which becomes unconfirmed if the device is absent
 *
 * A link may be down before hotplug has noticed. A time-out would take much longer than this check.
 *
 * Context: as intel_svm_has_atc(); reads configuration space, which MMU notifiers have no time for.
 * Return: as intel_svm_has_atc().
 */
bool intel_svm_may_ask(const struct device_domain_info *info, ioasid_t pasid)
{
	if (!intel_svm_has_atc(info))
		return false;
	if (intel_svm_is_present(to_pci_dev(info->dev)))
		return true;
	iopf_atc_unconfirmed(info->dev, pasid);
	return false;
}

VISIBLE_IF_KUNIT void intel_prq_make_response(struct qi_desc *desc, u16 rid,
					      const struct iommu_fault_page_request *prm, u32 code)
{
	bool has_pasid = prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;

	*desc = (struct qi_desc){
		.qw0 = QI_PGRP_RESP_TYPE | QI_PGRP_DID(rid) | QI_PGRP_PASID_P(has_pasid) |
		       QI_PGRP_RESP_CODE(code),
		/* Bit 66, the last page of old specifications, is reserved (7.7.1). */
		.qw1 = QI_PGRP_IDX(prm->grpid),
	};
	if (has_pasid)
		desc->qw0 |= QI_PGRP_PASID(prm->pasid);
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_make_response);

static void prq_respond(struct intel_iommu *iommu, u16 rid,
			const struct iommu_fault_page_request *prm, u32 code)
{
	struct qi_desc desc;

	intel_prq_make_response(&desc, rid, prm, code);
	intel_svm_submit(iommu, &desc, 1, 0);
}

/**
 * intel_iommu_page_response() - Answer a page request group
 * @dev: the device that asked
 * @evt: the group's last page
 * @msg: the answer; its codes are those of the PRG Response message
 *
 * VT-d 4.1, section 7.7.1.
 *
 * Context: process or atomic; spins until hardware has taken the descriptor.
 */
void intel_iommu_page_response(struct device *dev, struct iopf_fault *evt,
			       struct iommu_page_response *msg)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	prq_respond(info->iommu, PCI_DEVID(info->bus, info->devfn), &evt->fault.prm, msg->code);
}

/**
 * intel_iommu_page_responses() - Answer page request groups of one device
 * @dev: the device that asked
 * @responses: the answers
 * @nr: how many
 *
 * As intel_iommu_page_response() for each, with one wait for as many as fit on the stack.
 *
 * Context: process or atomic; spins until hardware has taken the descriptors.
 */
void intel_iommu_page_responses(struct device *dev, const struct iopf_response *responses,
				unsigned int nr)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	u16 rid = PCI_DEVID(info->bus, info->devfn);
	struct qi_desc desc[PRQ_MAX_RESPONSES] __uninitialized;
	unsigned int n;

	for (; nr; nr -= n, responses += n) {
		n = min(nr, PRQ_MAX_RESPONSES);
		for (unsigned int i = 0; i < n; i++)
			intel_prq_make_response(&desc[i], rid, &responses[i].last->fault.prm,
						responses[i].resp.code);
		intel_svm_submit(info->iommu, desc, n, 0);
	}
}

VISIBLE_IF_KUNIT bool intel_prq_is_stop_marker(const struct page_req_dsc *req)
{
	return (req->qw[1] & (PRQ_1_READ | PRQ_1_WRITE | PRQ_1_LAST)) == PRQ_1_LAST;
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_is_stop_marker);

VISIBLE_IF_KUNIT void intel_prq_decode(const struct page_req_dsc *req, struct iopf_fault *evt)
{
	struct iommu_fault_page_request *prm = &evt->fault.prm;

	*evt = (struct iopf_fault){};
	evt->fault.type = IOMMU_FAULT_PAGE_REQ;
	prm->addr = req->qw[1] & PRQ_1_ADDR;
	prm->grpid = FIELD_GET(PRQ_1_GROUP, req->qw[1]);
	if (req->qw[0] & PRQ_0_PASID_PRESENT) {
		prm->pasid = FIELD_GET(PRQ_0_PASID, req->qw[0]);
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			      IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
	}
	if (req->qw[1] & PRQ_1_LAST)
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	if (req->qw[1] & PRQ_1_READ)
		prm->perm |= IOMMU_FAULT_PERM_READ;
	if (req->qw[1] & PRQ_1_WRITE)
		prm->perm |= IOMMU_FAULT_PERM_WRITE;
	if (req->qw[0] & PRQ_0_EXEC)
		prm->perm |= IOMMU_FAULT_PERM_EXEC;
	if (req->qw[0] & PRQ_0_PRIV)
		prm->perm |= IOMMU_FAULT_PERM_PRIV;
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_decode);

/* Refuses a request that has no device or no PASID. */
static void prq_refuse(struct intel_iommu *iommu, u16 rid,
		       const struct iommu_fault_page_request *prm, struct device *dev)
{
	if (dev ? iopf_may_log(dev, IOPF_LINE_NO_PASID) : __ratelimit(&iommu->prq_unknown))
		pr_err("%s: page request for %#llx from %02x:%02x.%d %s\n", iommu->name,
		       prm->addr, PCI_BUS_NUM(rid), PCI_SLOT(rid & 0xff), PCI_FUNC(rid & 0xff),
		       dev ? "without PASID" : "which is unknown");
	if (prm->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE)
		prq_respond(iommu, rid, prm, QI_RESP_INVALID);
}

/*
 * Takes requests of one device from the ring, from @seq up to @end; returns where it stopped. Sets
 * @worker if the ring holds a single one, and the caller must serve it.
 */
static unsigned long prq_take(struct intel_iommu *iommu, unsigned long seq, unsigned long end,
			      struct iopf_worker **worker)
{
	struct page_req_dsc *req = &iommu->prq[seq % PRQ_ENTRIES];
	u16 rid = FIELD_GET(PRQ_0_RID, req->qw[0]);
	struct device *dev = device_rbtree_find(iommu, rid);
	struct iopf_fault evts[PRQ_MAX_REPORTS] __uninitialized;
	bool is_single = end - seq == 1;
	unsigned int nr = 0;

	lockdep_assert_held(&iommu->iopf_lock);

	for (; seq != end && nr < PRQ_MAX_REPORTS; seq++) {
		req = &iommu->prq[seq % PRQ_ENTRIES];
		if (FIELD_GET(PRQ_0_RID, req->qw[0]) != rid)
			break;
		/* It wants no answer; the driver that has stopped the PASID drains it (7.10). */
		if (intel_prq_is_stop_marker(req))
			continue;
		intel_prq_decode(req, &evts[nr]);
		if (!dev || !(req->qw[0] & PRQ_0_PASID_PRESENT)) {
			prq_refuse(iommu, rid, &evts[nr].fault.prm, dev);
			continue;
		}
		nr++;
		trace_prq_report(iommu, dev, req->qw[0], req->qw[1], req->qw[2], req->qw[3], seq);
	}
	if (nr && is_single)
		*worker = iopf_report_single(dev, evts);
	else if (nr)
		iopf_report_batch(dev, evts, nr);
	return seq;
}

static unsigned long prq_index(struct intel_iommu *iommu, unsigned int reg)
{
	return (dmar_readq(iommu->reg + reg) & PRQ_RING_MASK) / sizeof(struct page_req_dsc);
}

VISIBLE_IF_KUNIT u32 intel_prq_status(struct intel_iommu *iommu)
{
	KUNIT_STATIC_STUB_REDIRECT(intel_prq_status, iommu);
	return readl(iommu->reg + DMAR_PRS_REG);
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_status);

static bool prq_has_overflowed(struct intel_iommu *iommu)
{
	return intel_prq_status(iommu) & DMA_PRS_PRO;
}

VISIBLE_IF_KUNIT void intel_prq_clear_status(struct intel_iommu *iommu, u32 bits)
{
	KUNIT_STATIC_STUB_REDIRECT(intel_prq_clear_status, iommu, bits);
	writel(bits, iommu->reg + DMAR_PRS_REG);
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_clear_status);

/* On return no CPU reads the bits as set: else a drain that wakes up would sleep again. */
static void prq_clear_and_flush(struct intel_iommu *iommu, u32 bits)
{
	intel_prq_clear_status(iommu, bits);
	/* The write is posted; a read pushes it to the IOMMU. */
	intel_prq_status(iommu);
}

/* The count when the head, now at count @seq, will have come to @index */
VISIBLE_IF_KUNIT unsigned long intel_prq_count_at(unsigned long seq, unsigned long index)
{
	return seq + (index + PRQ_ENTRIES - seq % PRQ_ENTRIES) % PRQ_ENTRIES;
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_count_at);

static void prq_wake_drains(struct intel_iommu *iommu)
{
	/* Either a drain sees what the caller has written, or wake_up_var() sees the drain. */
	smp_mb();
	wake_up_var(&iommu->prq_seq_number);
}

/*
 * Consumes what is in the ring now or, after a sleep, what was there before; then devices may have
 * forgotten groups whose last page they had not sent. Returns false if there is nothing.
 */
static bool prq_consume(struct intel_iommu *iommu)
{
	bool resumed = READ_ONCE(iommu->prq_resumed);
	unsigned long tail = resumed ? iommu->iommu_state[SR_DMAR_PQT_REG] :
				       prq_index(iommu, DMAR_PQT_REG);
	unsigned long seq = iommu->prq_seq_number;
	unsigned long end = intel_prq_count_at(seq, tail);
	struct iopf_worker *worker = NULL;

	if (seq == end && !resumed)
		return false;
	if (seq == end) {
		WRITE_ONCE(iommu->prq_resumed, false);
		iopf_queue_discard_partial(iommu->iopf_queue);
		/* A drain that waited for room sees the losses of intel_prq_suspend(). */
		prq_wake_drains(iommu);
		return true;
	}

	/* The lock keeps devices from going away between look-up and report. */
	scoped_guard(mutex, &iommu->iopf_lock)
		while (seq != end)
			seq = prq_take(iommu, seq, end, &worker);

	/* The count before the head: hardware must not get further ahead than the ring's size. */
	WRITE_ONCE(iommu->prq_seq_number, seq);
	dmar_writeq(iommu->reg + DMAR_PQH_REG, tail * sizeof(struct page_req_dsc));
	prq_wake_drains(iommu);
	iopf_serve_inline(worker);
	return true;
}

/* Returns false if there was nothing to consume. */
static bool prq_empty(struct intel_iommu *iommu)
{
	bool consumed = false;

	while (prq_consume(iommu)) {
		consumed = true;
		cond_resched();
	}
	return consumed;
}

/* Notes that hardware may have dropped requests. */
static void prq_note_loss(struct intel_iommu *iommu)
{
	/* The ring may have filled since. With PRO set nothing enters it. */
	prq_empty(iommu);
	iopf_queue_discard_partial(iommu->iopf_queue);
	/* Before PRO is cleared: a drain sees PRO, or else the new number of losses. */
	WRITE_ONCE(iommu->prq_losses, iommu->prq_losses + 1);
	prq_clear_and_flush(iommu, DMA_PRS_PRO);
	prq_wake_drains(iommu);
}

VISIBLE_IF_KUNIT irqreturn_t intel_prq_thread(int irq, void *data)
{
	struct intel_iommu *iommu = data;
	bool handled, overflowed;

	/* Cleared before the tail is read: each request that comes later raises it again. */
	intel_prq_clear_status(iommu, DMA_PRS_PPR);
	handled = prq_empty(iommu);
	overflowed = prq_has_overflowed(iommu);
	if (overflowed && __ratelimit(&iommu->prq_overflow))
		pr_info("%s: page request queue overflowed\n", iommu->name);
	if (overflowed)
		prq_note_loss(iommu);
	return IRQ_RETVAL(handled || overflowed);
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_thread);

VISIBLE_IF_KUNIT unsigned long intel_prq_step(void)
{
	KUNIT_STATIC_STUB_REDIRECT(intel_prq_step);
	return HZ;
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_step);

/* Waits until the requests that are in the ring now have been reported. False: it gives up. */
static bool prq_wait_consumed(struct intel_iommu *iommu)
{
	unsigned long seq, tail;

	/* Between equal counts the tail is less than a ring ahead, so it names one count. */
	do {
		seq = READ_ONCE(iommu->prq_seq_number);
		tail = prq_index(iommu, DMAR_PQT_REG);
	} while (seq != READ_ONCE(iommu->prq_seq_number));

	tail = intel_prq_count_at(seq, tail);
	return iopf_await_reader(&iommu->prq_seq_number,
				 (long)(READ_ONCE(iommu->prq_seq_number) - tail) >= 0,
				 intel_prq_step());
}

/* Waits until an overflow is over, or has been cleared and set again. False: it gives up. */
static bool prq_wait_room(struct intel_iommu *iommu)
{
	unsigned long seen = READ_ONCE(iommu->prq_losses);

	return iopf_await_reader(&iommu->prq_seq_number,
				 !prq_has_overflowed(iommu) || READ_ONCE(iommu->prq_losses) != seen,
				 intel_prq_step());
}

/* Completing an ATC invalidation, the device pushes its page requests ahead of the completion. */
VISIBLE_IF_KUNIT unsigned int intel_prq_make_push(struct qi_desc desc[PRQ_MAX_PUSH],
						  const struct device_domain_info *info, u32 pasid)
{
	u16 rid = PCI_DEVID(info->bus, info->devfn);
	bool one = pasid != IOMMU_NO_PASID && pasid != IOMMU_PASID_INVALID;
	u16 did;

	memset(desc, 0, PRQ_MAX_PUSH * sizeof(*desc));
	desc[0].qw0 = QI_IWD_TYPE | QI_IWD_FENCE;
	if (!one) {
		did = info->domain ? domain_id_iommu(info->domain, info->iommu) : FLPT_DEFAULT_DID;
		qi_desc_iotlb(info->iommu, did, 0, 0, DMA_TLB_DSI_FLUSH, &desc[1]);
	} else {
		qi_desc_piotlb(FLPT_DEFAULT_DID, pasid, 0, -1, 0, &desc[1]);
	}
	/* A device that is about to be reset may hang; its late requests are dropped. */
	if (pasid == IOMMU_PASID_INVALID || !intel_svm_may_ask(info, pasid))
		return 2;

	if (!one)
		qi_desc_dev_iotlb(rid, info->pfsid, info->ats_qdep, 0, MAX_AGAW_PFN_WIDTH,
				  &desc[2]);
	else
		qi_desc_dev_iotlb_pasid(rid, info->pfsid, pasid, info->ats_qdep, 0,
					SVA_ORDER_ALL, &desc[2]);
	return 3;
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_make_push);

/*
 * The wait behind the invalidations, with the drain flag, pushes the requests into the ring. If the
 * ring was full in between, hardware has dropped some and may have held others back: the drain
 * pushes once more, with room. Another device may cause overflows without end; requests that come
 * later than the drain waits find their PASID detached, and are strays. False: the interrupt thread
 * makes no room.
 */
static bool prq_push_requests(struct device_domain_info *info, u32 pasid)
{
	struct intel_iommu *iommu = info->iommu;
	struct qi_desc desc[PRQ_MAX_PUSH];
	unsigned long losses;
	unsigned int count;
	bool was_full;

	for (unsigned int n = 0; n < PRQ_MAX_PUSHES; n++) {
		losses = READ_ONCE(iommu->prq_losses);
		/* An overflow that is counted, but not over: the push meets a closed ring. */
		was_full = prq_has_overflowed(iommu);
		scoped_guard(rcu) {
			count = intel_prq_make_push(desc, info, pasid);
			intel_svm_submit(iommu, desc, count, QI_OPT_WAIT_DRAIN);
		}
		if (prq_has_overflowed(iommu)) {
			if (!prq_wait_room(iommu))
				return false;
		} else if (!was_full && READ_ONCE(iommu->prq_losses) == losses) {
			return true;
		}
	}
	if (iopf_may_log(info->dev, IOPF_LINE_LATE))
		dev_warn(info->dev, "late page requests may be lost: the queue overflows\n");
	return true;
}

/**
 * intel_iommu_drain_pasid_prq() - Have all page requests of a (device, PASID) answered
 * @dev: the device
 * @pasid: the PASID, IOMMU_NO_PASID for requests without one, or IOMMU_PASID_INVALID for all; the
 *	device has stopped to use it
 *
 * In the order of VT-d 4.1, section 7.10: hardware, then software, then the responses.
 *
 * Context: process, sleeps. Waits for the interrupt thread, not for faults that are being served.
 */
void intel_iommu_drain_pasid_prq(struct device *dev, u32 pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct qi_desc none = {};

	if (!info->pri_enabled)
		return;

	if (!prq_push_requests(info, pasid) || !prq_wait_consumed(info->iommu))
		iopf_drain_gives_up(dev, pasid);
	iopf_drain_pasid(dev, pasid);
	intel_svm_submit(info->iommu, &none, 0, QI_OPT_WAIT_DRAIN);
}

/*
 * DMA faults. A hard interrupt notes them; a work item looks devices and listeners up, in process
 * context. If many come at once, some are lost: more of them follow.
 */
struct prq_dma_fault {
	struct intel_iommu *iommu;
	u16 rid;
	u32 pasid;
	u64 addr;
};

static DEFINE_KFIFO(dma_faults, struct prq_dma_fault, 16);
static DEFINE_RAW_SPINLOCK(dma_faults_lock);	/* of dma_faults; and intel_iommu.iopf_queue goes */

static bool prq_next_dma_fault(struct prq_dma_fault *fault)
{
	guard(raw_spinlock_irqsave)(&dma_faults_lock);
	return kfifo_get(&dma_faults, fault);
}

static void prq_report_dma_faults(struct work_struct *work)
{
	struct prq_dma_fault fault;
	struct device *dev;

	while (prq_next_dma_fault(&fault)) {
		/* The lock keeps devices from going away between look-up and report. */
		guard(mutex)(&fault.iommu->iopf_lock);
		dev = device_rbtree_find(fault.iommu, fault.rid);
		if (dev)
			iommu_sva_report_abort(dev, fault.pasid, fault.addr);
	}
}

static DECLARE_WORK(dma_faults_work, prq_report_dma_faults);

/**
 * intel_prq_dma_fault() - Report that the IOMMU has refused DMA with a PASID
 * @iommu: the IOMMU that has refused it
 * @rid: the requester's ID
 * @pasid: its PASID
 * @addr: address
 *
 * The listeners of the bond hear of it. If the PASID is not bound on the device, it is a stray: the
 * device has gone on after unbind.
 *
 * Context: hard interrupt.
 */
void intel_prq_dma_fault(struct intel_iommu *iommu, u16 rid, u32 pasid, u64 addr)
{
	guard(raw_spinlock_irqsave)(&dma_faults_lock);
	if (iommu->iopf_queue &&
	    kfifo_put(&dma_faults, ((struct prq_dma_fault){ iommu, rid, pasid, addr })))
		schedule_work(&dma_faults_work);
}

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: waits until the faults so far have been reported. */
void intel_prq_flush_dma_faults(void)
{
	flush_work(&dma_faults_work);
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_flush_dma_faults);
#endif

/* Takes the fault queue from the IOMMU. On return no DMA fault is reported any more. */
static struct iopf_queue *prq_take_queue(struct intel_iommu *iommu)
{
	struct iopf_queue *queue = iommu->iopf_queue;

	scoped_guard(raw_spinlock_irqsave, &dma_faults_lock)
		iommu->iopf_queue = NULL;
	flush_work(&dma_faults_work);
	return queue;
}

/* Writes the ring's registers. The ring has entries from index @head up to @tail. */
static void prq_start_hardware(struct intel_iommu *iommu, unsigned long head, unsigned long tail)
{
	dmar_writeq(iommu->reg + DMAR_PQT_REG, tail * sizeof(struct page_req_dsc));
	dmar_writeq(iommu->reg + DMAR_PQH_REG, head * sizeof(struct page_req_dsc));
	dmar_writeq(iommu->reg + DMAR_PQA_REG, virt_to_phys(iommu->prq) | PRQ_ORDER);
}

static void prq_stop_hardware(struct intel_iommu *iommu)
{
	dmar_writeq(iommu->reg + DMAR_PQA_REG, 0);
	dmar_writeq(iommu->reg + DMAR_PQT_REG, 0);
	dmar_writeq(iommu->reg + DMAR_PQH_REG, 0);
}

/* Not in syscore: to wake a task up, the scheduler may read the clock, which is suspended. */
static void prq_awake(struct irq_work *awake)
{
	struct intel_iommu *iommu = container_of(awake, struct intel_iommu, prq_awake);

	irq_wake_thread(iommu->pr_irq, iommu);
}

/**
 * intel_iommu_enable_prq() - Set up the page request queue of an IOMMU
 * @iommu: an IOMMU with the PRS capability
 *
 * Context: process, may sleep.
 * Return: 0, -ENOMEM, -EINVAL if there is no interrupt, or what request_threaded_irq() returns.
 */
int intel_iommu_enable_prq(struct intel_iommu *iommu)
{
	int ret = -ENOMEM;

	iommu->prq = iommu_alloc_pages_node(iommu->node, GFP_KERNEL, PRQ_ORDER);
	if (!iommu->prq)
		goto err_log;

	snprintf(iommu->iopfq_name, sizeof(iommu->iopfq_name), "dmar%d-iopfq", iommu->seq_id);
	iommu->iopf_queue = iopf_queue_alloc(iommu->iopfq_name);
	if (!iommu->iopf_queue)
		goto err_free_ring;

	ret = dmar_alloc_hwirq(IOMMU_IRQ_ID_OFFSET_PRQ + iommu->seq_id, iommu->node, iommu);
	if (ret <= 0) {
		ret = -EINVAL;
		goto err_free_queue;
	}
	iommu->pr_irq = ret;

	/* Status bits that are set already raise no interrupt; an old message has no handler. */
	iommu->prq_seq_number = 0;
	init_irq_work(&iommu->prq_awake, prq_awake);
	ratelimit_default_init(&iommu->prq_unknown);
	ratelimit_default_init(&iommu->prq_overflow);
	writel(DMA_FECTL_IM, iommu->reg + DMAR_PECTL_REG);
	prq_start_hardware(iommu, 0, 0);
	prq_clear_and_flush(iommu, DMA_PRS_PPR | DMA_PRS_PRO);

	snprintf(iommu->prq_name, sizeof(iommu->prq_name), "dmar%d-prq", iommu->seq_id);
	ret = request_threaded_irq(iommu->pr_irq, NULL, intel_prq_thread, IRQF_ONESHOT,
				   iommu->prq_name, iommu);
	if (ret)
		goto err_free_irq;

	/* Requests may have come meanwhile: devices of an earlier kernel may still be at work. */
	irq_wake_thread(iommu->pr_irq, iommu);
	return 0;

err_free_irq:
	prq_stop_hardware(iommu);
	dmar_free_hwirq(iommu->pr_irq);
	iommu->pr_irq = 0;
err_free_queue:
	iopf_queue_free(prq_take_queue(iommu));
err_free_ring:
	iommu_free_pages(iommu->prq, PRQ_ORDER);
	iommu->prq = NULL;
err_log:
	pr_err("%s: no page request queue, error %d: no SVA\n", iommu->name, ret);
	return ret;
}

/**
 * intel_iommu_finish_prq() - Undo intel_iommu_enable_prq()
 * @iommu: an IOMMU without devices that can send page requests
 *
 * Context: process, may sleep.
 * Return: 0.
 */
int intel_iommu_finish_prq(struct intel_iommu *iommu)
{
	if (iommu->pr_irq) {
		irq_work_sync(&iommu->prq_awake);
		free_irq(iommu->pr_irq, iommu);
		dmar_free_hwirq(iommu->pr_irq);
	}
	/* After free_irq(): the thread would take the entries up to the new tail for requests. */
	prq_stop_hardware(iommu);
	iopf_queue_free(prq_take_queue(iommu));
	iommu_free_pages(iommu->prq, PRQ_ORDER);
	iommu->pr_irq = 0;
	iommu->prq = NULL;
	return 0;
}

static const struct {
	unsigned int reg;
	unsigned int state;
} prq_event_regs[] = {
	{ DMAR_PEDATA_REG, SR_DMAR_PEDATA_REG },
	{ DMAR_PEADDR_REG, SR_DMAR_PEADDR_REG },
	{ DMAR_PEUADDR_REG, SR_DMAR_PEUADDR_REG },
	/* Last: it unmasks. */
	{ DMAR_PECTL_REG, SR_DMAR_PECTL_REG },
};

/**
 * intel_prq_suspend() - Save the registers of the page request queue
 * @iommu: an IOMMU whose translation is off, so that no request enters the ring
 *
 * Context: syscore: one CPU, interrupts off.
 */
void intel_prq_suspend(struct intel_iommu *iommu)
{
	if (!iommu->prq)
		return;
	guard(raw_spinlock_irqsave)(&iommu->register_lock);
	for (unsigned int i = 0; i < ARRAY_SIZE(prq_event_regs); i++)
		iommu->iommu_state[prq_event_regs[i].state] =
			readl(iommu->reg + prq_event_regs[i].reg);
	iommu->iommu_state[SR_DMAR_PQT_REG] = prq_index(iommu, DMAR_PQT_REG);
	/* A drain that has pushed into a ring that was full pushes again. */
	WRITE_ONCE(iommu->prq_losses, iommu->prq_losses + 1);
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_suspend);

/**
 * intel_prq_resume() - Restore the registers of the page request queue
 * @iommu: an IOMMU whose invalidation queue works, and whose translation is still off
 *
 * The thread serves requests that were in the ring: not all devices lose power.
 *
 * Context: syscore: one CPU, interrupts off.
 */
void intel_prq_resume(struct intel_iommu *iommu)
{
	if (!iommu->prq)
		return;
	scoped_guard(raw_spinlock_irqsave, &iommu->register_lock) {
		prq_start_hardware(iommu, READ_ONCE(iommu->prq_seq_number) % PRQ_ENTRIES,
				   iommu->iommu_state[SR_DMAR_PQT_REG]);
		for (unsigned int i = 0; i < ARRAY_SIZE(prq_event_regs); i++)
			writel(iommu->iommu_state[prq_event_regs[i].state],
			       iommu->reg + prq_event_regs[i].reg);
	}
	/* PPR may be set already, or lost: no interrupt would come. */
	WRITE_ONCE(iommu->prq_resumed, true);
	irq_work_queue(&iommu->prq_awake);
}
EXPORT_SYMBOL_IF_KUNIT(intel_prq_resume);
