// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD page requests: from the PPR log to the fault queue, and back
 *
 * Hardware writes page requests into a log in memory and advances its tail; the interrupt thread
 * reports them and advances the head (2.6). The thread takes entries out a few at a time, before it
 * reports them: an answer gives the device its credit back, and the next request needs room.
 *
 * Hardware may raise the interrupt, and advance the tail, before an entry is in memory. The reader
 * clears each entry that it has read, knows by the type one that is not there yet, and waits for it
 * (erratum 733). With SNP only hardware may write to the log, but such hardware has no such
 * erratum.
 *
 * Drain. A drain reads the log like the interrupt thread, up to the tail that it finds, and waits
 * neither for the thread nor for an interrupt. One lock keeps readers apart.
 *
 * Overflow. When the log is full hardware stops writing to it, and itself answers the last pages
 * that it drops. PPRLogRun is clear until software starts the log again. The reader does so when
 * the log is empty: groups that have lost their last page must not mix with what comes after. The
 * base's handler clears the status bit of the overflow before it calls here, and at times unseen,
 * so PPRLogRun is what counts, and each reader looks at it. A drain that meets an overflow pushes
 * again, a few times: a device that ignores its credits must not hold up others.
 *
 * Sleep. The log outlasts suspend, registers may not. Resume writes the registers as they were, and
 * schedules a work item that reads the log. Readers mark partials where the log ended before the
 * sleep. A sleep starts a log that had stopped, so it counts as a loss. Enabling stops the log
 * first, since another kernel may have left it running.
 *
 * Devices. A device joins the fault queue with a domain that has guest tables: its driver need not
 * enable anything before it binds. When a driver disables page requests the device leaves, as with
 * other vendors: it sends no more requests, the queue forgets its strays, and other devices may
 * have its room in the log. It joins again when a driver enables page requests, or binds.
 *
 * Credits. The fault queue shares out the room in the log: iopf_grant_credits().
 *
 * Locks: see amd-sva.c.
 *
 * Lifetime: struct amd_sva_iommu lasts from amd_iommu_iopf_init() to amd_iommu_iopf_uninit(). It
 * lists a device from amd_iommu_iopf_add_device() to amd_iommu_iopf_remove_device().
 */
#define pr_fmt(fmt) "AMD-Vi: " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/iommu.h>

#include "amd-sva.h"
#include "iommu-pages.h"
#include "iopf.h"

/* COMPLETE_PPR_REQUEST (2.4.7) */
#define CMD_TYPE		GENMASK(31, 28)
#define CMD_PPR_0_DEVID		GENMASK(15, 0)
#define CMD_PPR_1_PASID		GENMASK(19, 0)
#define CMD_PPR_3_TAG		GENMASK(8, 0)
#define CMD_PPR_3_CODE		GENMASK(15, 12)

/* Bits of a tag (2.6.2) */
#define PPR_TAG_GROUP		GENMASK(8, 0)
#define PPR_TAG_LAST		BIT(9)

/* Entries that a reader takes out at a time; on the stack, as are the requests made of them */
#define PPR_BATCH		8U
/* How often a drain pushes, if the log overflows each time */
#define PPR_MAX_PUSHES		4
/* How long hardware may take to start or stop the log */
#define PPR_RUN_TIMEOUT_US	10000

/* Entries (2.6.2) */

VISIBLE_IF_KUNIT bool amd_ppr_is_stop_marker(const u64 *req)
{
	return (PPR_FLAGS(req[0]) & PPR_FLAG_GN) && (PPR_TAG(req[0]) & PPR_TAG_LAST) &&
	       !(PPR_FLAGS(req[0]) & (PPR_FLAG_READ | PPR_FLAG_WRITE));
}
EXPORT_SYMBOL_IF_KUNIT(amd_ppr_is_stop_marker);

VISIBLE_IF_KUNIT void amd_ppr_decode(const u64 *req, bool answer_needs_pasid,
				     struct iopf_fault *evt)
{
	struct iommu_fault_page_request *prm = &evt->fault.prm;
	u16 flags = PPR_FLAGS(req[0]);

	*evt = (struct iopf_fault){ .fault.type = IOMMU_FAULT_PAGE_REQ };
	prm->addr = req[1] & PAGE_MASK;
	prm->grpid = FIELD_GET(PPR_TAG_GROUP, PPR_TAG(req[0]));
	if (flags & PPR_FLAG_GN) {
		prm->pasid = PPR_PASID(req[0]);
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
		if (answer_needs_pasid)
			prm->flags |= IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
	}
	if (PPR_TAG(req[0]) & PPR_TAG_LAST)
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	if (flags & PPR_FLAG_READ)
		prm->perm |= IOMMU_FAULT_PERM_READ;
	if (flags & PPR_FLAG_WRITE)
		prm->perm |= IOMMU_FAULT_PERM_WRITE;
	if (flags & PPR_FLAG_EXEC)
		prm->perm |= IOMMU_FAULT_PERM_EXEC;
	if (!(flags & PPR_FLAG_US))
		prm->perm |= IOMMU_FAULT_PERM_PRIV;
}
EXPORT_SYMBOL_IF_KUNIT(amd_ppr_decode);

/* Responses */

VISIBLE_IF_KUNIT void amd_ppr_make_response(struct amd_sva_cmd *cmd, u16 devid,
					    const struct iommu_fault_page_request *prm,
					    enum iommu_page_response_code code)
{
	*cmd = (struct amd_sva_cmd){
		.data[0] = FIELD_PREP(CMD_PPR_0_DEVID, devid),
		.data[1] = FIELD_PREP(CMD_TYPE, CMD_COMPLETE_PPR),
		.data[3] = FIELD_PREP(CMD_PPR_3_TAG, prm->grpid) |
			   FIELD_PREP(CMD_PPR_3_CODE, code),
	};
	if (!(prm->flags & IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID))
		return;
	cmd->data[1] |= FIELD_PREP(CMD_PPR_1_PASID, prm->pasid);
	cmd->data[2] |= CMD_INV_IOMMU_PAGES_GN_MASK;
}
EXPORT_SYMBOL_IF_KUNIT(amd_ppr_make_response);

static void ppr_respond(struct amd_iommu *iommu, u16 devid,
			const struct iommu_fault_page_request *prm,
			enum iommu_page_response_code code)
{
	struct amd_sva_cmd cmd;

	amd_ppr_make_response(&cmd, devid, prm, code);
	amd_sva_submit(iommu, &cmd, 1, true);
}

/**
 * amd_iommu_page_response() - Answer a page request group
 * @dev: the device that asked
 * @evt: the group's last page
 * @resp: the answer; its codes are those of the PRG Response message
 *
 * Context: process or atomic; spins until hardware has taken the command.
 */
void amd_iommu_page_response(struct device *dev, struct iopf_fault *evt,
			     struct iommu_page_response *resp)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);

	ppr_respond(get_amd_iommu_from_dev(dev), dev_data->devid, &evt->fault.prm, resp->code);
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_page_response);

/**
 * amd_ppr_page_responses() - Answer page request groups of one device
 * @dev: the device that asked
 * @responses: the answers
 * @nr: how many
 *
 * As amd_iommu_page_response() for each, with one wait for as many as fit on the stack.
 *
 * Context: process or atomic; spins until hardware has taken the commands.
 */
void amd_ppr_page_responses(struct device *dev, const struct iopf_response *responses,
			    unsigned int nr)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
	struct amd_sva_cmd cmds[AMD_SVA_BATCH] __uninitialized;
	unsigned int n;

	for (; nr; nr -= n, responses += n) {
		n = min(nr, AMD_SVA_BATCH);
		for (unsigned int i = 0; i < n; i++)
			amd_ppr_make_response(&cmds[i], dev_data->devid,
					      &responses[i].last->fault.prm,
					      responses[i].resp.code);
		amd_sva_submit(get_amd_iommu_from_dev(dev), cmds, n, true);
	}
}

/* Reading the log */

VISIBLE_IF_KUNIT u32 amd_ppr_status(struct amd_iommu *iommu)
{
	KUNIT_STATIC_STUB_REDIRECT(amd_ppr_status, iommu);
	return readl(iommu->mmio_base + MMIO_STATUS_OFFSET);
}
EXPORT_SYMBOL_IF_KUNIT(amd_ppr_status);

/* A log that is not enabled does not run either, and is not to be started. */
static bool ppr_has_stopped(struct amd_iommu *iommu)
{
	return !(amd_ppr_status(iommu) & MMIO_STATUS_PPR_RUN_MASK) &&
	       (readq(iommu->mmio_base + MMIO_CONTROL_OFFSET) & BIT_ULL(CONTROL_PPRLOG_EN));
}

static void ppr_await_run(struct amd_iommu *iommu, bool runs)
{
	u32 status;
	int ret;

	ret = read_poll_timeout_atomic(amd_ppr_status, status,
				       !!(status & MMIO_STATUS_PPR_RUN_MASK) == runs, 1,
				       PPR_RUN_TIMEOUT_US, false, iommu);
	if (ret)
		pr_err_once("iommu%d: the PPR log does not %s\n", iommu->index,
			    runs ? "start" : "stop");
}

static u32 ppr_tail(struct amd_iommu *iommu)
{
	return round_down(readl(iommu->mmio_base + MMIO_PPR_TAIL_OFFSET), PPRLOG_ENTRY_SIZE) %
	       amd_iommu_pprlog_size;
}

/* Waits for an entry that is not in memory yet; LOOP_TIMEOUT is for one that never comes. */
static void ppr_read_entry(struct amd_iommu *iommu, u32 at, u64 req[2])
{
	u64 *raw = (u64 *)(iommu->ppr_log + at);

	for (unsigned int i = 0; i < LOOP_TIMEOUT && !PPR_REQ_TYPE(READ_ONCE(raw[0])); i++)
		amd_sva_delay(1);
	req[0] = READ_ONCE(raw[0]);
	req[1] = READ_ONCE(raw[1]);
	if (!amd_iommu_snp_en) {
		WRITE_ONCE(raw[0], 0);
		WRITE_ONCE(raw[1], 0);
	}
}

/* Has all been taken out that was in the log before a sleep, and nothing of what came after? */
static bool ppr_at_sleep(const struct amd_sva_iommu *sva)
{
	return READ_ONCE(sva->resumed) && sva->head == READ_ONCE(sva->tail);
}

/* Devices may have forgotten, in their sleep, what they had not asked completely. */
static void ppr_end_sleep(struct amd_iommu *iommu)
{
	struct amd_sva_iommu *sva = iommu->sva;

	lockdep_assert_held(&sva->lock);

	if (!ppr_at_sleep(sva))
		return;
	WRITE_ONCE(sva->resumed, false);
	iopf_queue_discard_partial(iommu->iopf_queue);
}

/* Takes entries out of the log, up to @tail or the last sleep. Returns how many. */
static unsigned int ppr_take_out(struct amd_iommu *iommu, u32 tail, u64 (*req)[2])
{
	struct amd_sva_iommu *sva = iommu->sva;
	unsigned int n;

	lockdep_assert_held(&sva->lock);

	for (n = 0; n < PPR_BATCH && sva->head != tail && !ppr_at_sleep(sva); n++) {
		ppr_read_entry(iommu, sva->head, req[n]);
		sva->head = (sva->head + PPRLOG_ENTRY_SIZE) % amd_iommu_pprlog_size;
	}
	/* After the entries have been cleared: hardware may write the next ones there. */
	if (n)
		writel(sva->head, iommu->mmio_base + MMIO_PPR_HEAD_OFFSET);
	return n;
}

/* Returns why a request can't be reported, or NULL. */
static const char *ppr_fault(const struct iommu_dev_data *dev_data, const u64 *req)
{
	if (PPR_REQ_TYPE(req[0]) != PPR_REQ_FAULT || (PPR_FLAGS(req[0]) & PPR_FLAG_RVSD))
		return "malformed";
	if (!dev_data)
		return "which is unknown";
	if (!dev_data->ppr)
		return "whose page requests are not enabled";
	if (!(PPR_FLAGS(req[0]) & PPR_FLAG_GN) || !PPR_PASID(req[0]))
		return "without PASID";
	if (PPR_PASID(req[0]) >= dev_data->max_pasids)
		return "with a PASID beyond the device's";
	return NULL;
}

/* Logs a request that can't be reported. Answers its group if the entry is a valid last page. */
static void ppr_refuse(struct amd_iommu *iommu, struct iommu_dev_data *dev_data, const u64 *req,
		       const char *fault)
{
	u16 devid = PPR_DEVID(req[0]);
	struct iopf_fault evt;

	amd_ppr_decode(req, !dev_data || dev_data->pri_tlp, &evt);
	if (dev_data && dev_data->ppr ? iopf_may_log(dev_data->dev, IOPF_LINE_NO_PASID) :
	    __ratelimit(&iommu->sva->unknown))
		pr_err("iommu%d: page request for %#llx from %04x:%02x:%02x.%x, %s\n",
		       iommu->index, evt.fault.prm.addr, iommu->pci_seg->id, PCI_BUS_NUM(devid),
		       PCI_SLOT(devid), PCI_FUNC(devid), fault);
	if (PPR_REQ_TYPE(req[0]) == PPR_REQ_FAULT &&
	    (evt.fault.prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE))
		ppr_respond(iommu, devid, &evt.fault.prm, IOMMU_PAGE_RESP_INVALID);
}

/*
 * Reports the requests of the first device in @req; returns how many entries it has gone through.
 * @worker is NULL if the caller can't serve a request itself; else there is a single one, and the
 * function sets *@worker if the caller must serve it.
 */
static unsigned int ppr_report_run(struct amd_iommu *iommu, u64 (*req)[2], unsigned int n,
				   struct iopf_worker **worker)
{
	u16 devid = PPR_DEVID(req[0][0]);
	struct iommu_dev_data *dev_data = xa_load(&iommu->sva->devs, devid);
	struct iopf_fault evts[PPR_BATCH] __uninitialized;
	unsigned int i, nr = 0;
	const char *fault;

	lockdep_assert_held(&iommu->sva->lock);

	for (i = 0; i < n && PPR_DEVID(req[i][0]) == devid; i++) {
		/* A stop marker wants no answer; the driver that stopped the PASID drains it. */
		if (amd_ppr_is_stop_marker(req[i]))
			continue;
		fault = ppr_fault(dev_data, req[i]);
		if (fault)
			ppr_refuse(iommu, dev_data, req[i], fault);
		else
			amd_ppr_decode(req[i], dev_data->pri_tlp, &evts[nr++]);
	}
	if (nr && worker)
		*worker = iopf_report_single(dev_data->dev, evts);
	else if (nr)
		iopf_report_batch(dev_data->dev, evts, nr);
	return i;
}

/* Reports some of what is in the log up to @tail. Returns false if there is nothing. */
static bool ppr_consume_some(struct amd_iommu *iommu, u32 tail, struct iopf_worker **worker)
{
	u64 req[PPR_BATCH][2];
	unsigned int n;

	ppr_end_sleep(iommu);
	n = ppr_take_out(iommu, tail, req);
	/* The reader may serve a request that is alone in the log. */
	if (n != 1 || iommu->sva->head != tail)
		worker = NULL;
	for (unsigned int i = 0; i < n;)
		i += ppr_report_run(iommu, &req[i], n - i, worker);
	return n;
}

/* Empties the log, which no request enters while it is stopped, marks partials, and restarts it. */
static void ppr_restart(struct amd_iommu *iommu)
{
	struct amd_sva_iommu *sva = iommu->sva;

	lockdep_assert_held(&sva->lock);

	/* Another reader may have restarted it. */
	if (!ppr_has_stopped(iommu))
		return;
	while (ppr_consume_some(iommu, ppr_tail(iommu), NULL))
		cond_resched();
	iopf_queue_discard_partial(iommu->iopf_queue);
	amd_iommu_restart_log(iommu, "PPR", CONTROL_PPRINT_EN, CONTROL_PPRLOG_EN,
			      MMIO_STATUS_PPR_RUN_MASK, MMIO_STATUS_PPR_OVERFLOW_MASK);
	ppr_await_run(iommu, true);
	/* After the restart: a drain that begins now must not push into a log that is stopped. */
	WRITE_ONCE(sva->losses, sva->losses + 1);
}

/**
 * amd_iommu_restart_ppr_log() - Restart the PPR log after an overflow
 * @iommu: the IOMMU
 *
 * Context: process; as amd_iommu_poll_ppr_log().
 */
void amd_iommu_restart_ppr_log(struct amd_iommu *iommu)
{
	if (!iommu->sva)
		return;
	guard(mutex)(&iommu->sva->lock);
	ppr_restart(iommu);
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_restart_ppr_log);

/**
 * amd_iommu_poll_ppr_log() - Report what is in the PPR log
 * @iommu: the IOMMU
 *
 * If the log has overflowed, starts it again.
 *
 * Context: process; the interrupt thread of the PPR log. Waits for no fault.
 */
void amd_iommu_poll_ppr_log(struct amd_iommu *iommu)
{
	struct iopf_worker *worker;
	bool more = iommu->sva;

	while (more) {
		worker = NULL;
		/* The lock keeps devices from going away between look-up and report. */
		scoped_guard(mutex, &iommu->sva->lock)
			more = ppr_consume_some(iommu, ppr_tail(iommu), &worker);
		iopf_serve_inline(worker);
		cond_resched();
	}
	/* Nothing enters a log that has stopped, and no interrupt would come. */
	amd_iommu_restart_ppr_log(iommu);
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_poll_ppr_log);

/* Not in syscore: to wake a task up, the scheduler may read the clock, which is suspended. */
static void ppr_awake(struct irq_work *awake)
{
	schedule_work(&container_of(awake, struct amd_sva_iommu, awake)->work);
}

/* Reads the log after a sleep: its interrupt bit may be set already, or lost. */
static void ppr_work(struct work_struct *work)
{
	amd_iommu_poll_ppr_log(container_of(work, struct amd_sva_iommu, work)->iommu);
}

/* Drain */

/* Reports what is in the log now; does not wait for later entries. */
static void ppr_drain_log(struct amd_iommu *iommu)
{
	u32 tail;

	guard(mutex)(&iommu->sva->lock);
	tail = ppr_tail(iommu);
	while (ppr_consume_some(iommu, tail, NULL))
		cond_resched();
	ppr_restart(iommu);
}

/*
 * An ATC invalidation pushes the device's page requests ahead of its completion. A device that is
 * about to be reset may hang, and is not asked; its late requests are dropped. If the log was
 * stopped in between, hardware has dropped some requests and may have held others back: the drain
 * pushes once more, with room. Another device may cause overflows without end; requests that come
 * later than this find their PASID detached, and are strays.
 */
static void ppr_push(struct amd_iommu *iommu, struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	unsigned long losses;

	for (unsigned int n = 0; n < PPR_MAX_PUSHES; n++) {
		losses = READ_ONCE(iommu->sva->losses);
		if (pasid == IOMMU_PASID_INVALID)
			amd_sva_submit(iommu, NULL, 0, true);
		else
			amd_sva_flush_atc(dev_data, pasid);
		ppr_drain_log(iommu);
		if (READ_ONCE(iommu->sva->losses) == losses)
			return;
	}
	if (iopf_may_log(dev_data->dev, IOPF_LINE_LATE))
		dev_warn(dev_data->dev, "late page requests may be lost: the PPR log overflows\n");
}

/**
 * amd_ppr_drain() - Have all page requests of a (device, PASID) answered
 * @dev: the device
 * @pasid: the PASID, which the device has stopped using; or IOMMU_PASID_INVALID for all
 *
 * Drains hardware, then software. A response counts as sent when the IOMMU has carried its command
 * out, so no response is on its way when the function returns.
 *
 * Context: process, sleeps. Waits for the reader of the log, not for faults that are being served.
 */
void amd_ppr_drain(struct device *dev, ioasid_t pasid)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);

	if (!dev_data->ppr)
		return;
	ppr_push(get_amd_iommu_from_dev(dev), dev_data, pasid);
	iopf_drain_pasid(dev, pasid);
}

/* Devices */

/* Enables PRI, with as many requests as the fault queue grants. */
static int ppr_start_pri(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
{
	struct pci_dev *pdev = to_pci_dev(dev_data->dev);
	u32 credits;
	int ret;

	lockdep_assert_held(&dev_data->mutex);

	credits = iopf_grant_credits(dev_data->dev, amd_iommu_pprlog_size / PPRLOG_ENTRY_SIZE);
	ret = pci_reset_pri(pdev) ?: pci_enable_pri(pdev, credits);
	if (ret)
		dev_err_ratelimited(dev_data->dev, "cannot enable page requests: %pe\n",
				    ERR_PTR(ret));
	dev_data->pri_enabled = !ret;
	return ret;
}

static void ppr_remove_device(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
{
	if (dev_data->pri_enabled)
		pci_disable_pri(to_pci_dev(dev_data->dev));
	dev_data->pri_enabled = 0;
	amd_sva_submit(iommu, NULL, 0, true);
	ppr_drain_log(iommu);
	iopf_queue_remove_device(iommu->iopf_queue, dev_data->dev);
	scoped_guard(mutex, &iommu->sva->lock)
		dev_data->ppr = 0;
}

static int ppr_add_device(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
{
	int ret = iopf_queue_add_device(iommu->iopf_queue, dev_data->dev);

	if (ret)
		return ret;
	dev_data->pri_tlp = pci_prg_resp_pasid_required(to_pci_dev(dev_data->dev));
	dev_data->ppr = 1;
	/* If that fails, amd_ppr_check_device() tries again at the bind. */
	ppr_start_pri(iommu, dev_data);
	return 0;
}

static bool ppr_has_requests(const struct iommu_dev_data *dev_data)
{
	return dev_data->ats_enabled && (dev_data->flags & AMD_IOMMU_DEVICE_FLAG_PRI_SUP);
}

/* A device whose domain has guest tables: its device table entry allows page requests already. */
static int ppr_rejoin(struct iommu_dev_data *dev_data)
{
	lockdep_assert_held(&dev_data->mutex);

	if (dev_data->ppr || !dev_data->atc_live || !ppr_has_requests(dev_data))
		return 0;
	return ppr_add_device(get_amd_iommu_from_dev_data(dev_data), dev_data);
}

/**
 * amd_ppr_enable() - Enable the page requests of a device for its driver
 * @dev: the device
 *
 * A domain that has guest tables enables them, so this is for a device whose last driver has
 * disabled them. Does nothing for a device that has no page requests, or no such domain.
 *
 * Context: process, may sleep.
 * Return: 0, or -ENOMEM.
 */
int amd_ppr_enable(struct device *dev)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);

	guard(mutex)(&dev_data->mutex);
	return ppr_rejoin(dev_data);
}
EXPORT_SYMBOL_IF_KUNIT(amd_ppr_enable);

/**
 * amd_ppr_disable() - Disable the page requests of a device for its driver
 * @dev: the device, which has no PASIDs attached
 *
 * The device table entry stays as it is: the reader answers Invalid Request to a request that the
 * device sends all the same.
 *
 * Context: process, may sleep. Does not wait for faults that are being served.
 */
void amd_ppr_disable(struct device *dev)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);

	guard(mutex)(&dev_data->mutex);
	if (dev_data->ppr)
		ppr_remove_device(get_amd_iommu_from_dev_data(dev_data), dev_data);
}
EXPORT_SYMBOL_IF_KUNIT(amd_ppr_disable);

/**
 * amd_ppr_check_device() - Enable page requests of a device that is about to be bound
 * @dev: a device whose domain has guest tables
 *
 * Enables them if a driver has disabled them; tries again if that failed before, because the device
 * still had some outstanding.
 *
 * Context: process, may sleep.
 * Return: 0, or the error for which they are not enabled.
 */
int amd_ppr_check_device(struct device *dev)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
	int ret;

	guard(mutex)(&dev_data->mutex);
	ret = ppr_rejoin(dev_data);
	if (ret || !dev_data->ppr || dev_data->pri_enabled)
		return ret;
	return ppr_start_pri(get_amd_iommu_from_dev_data(dev_data), dev_data);
}

/**
 * amd_iommu_iopf_add_device() - Add a device that gets a domain with guest tables
 * @iommu: its IOMMU
 * @dev_data: the device, whose PASID and ATS capabilities have been enabled if it has them
 *
 * Enables page requests if the device has them, see also amd_ppr_check_device(). The caller writes
 * the device table entry afterwards.
 *
 * Context: process, may sleep; &iommu_dev_data.mutex is held.
 * Return: 0, or -ENOMEM: no process can be bound.
 */
int amd_iommu_iopf_add_device(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
{
	struct amd_sva_iommu *sva = iommu->sva;
	int ret = 0;

	lockdep_assert_held(&dev_data->mutex);

	if (!sva || !(dev_data->pasid_enabled || dev_data->ats_enabled))
		return 0;

	scoped_guard(mutex, &sva->lock)
		ret = xa_err(xa_store(&sva->devs, dev_data->devid, dev_data, GFP_KERNEL));
	if (!ret && ppr_has_requests(dev_data))
		ret = ppr_add_device(iommu, dev_data);
	/* Without atc_live no process is attached. */
	if (ret)
		return ret;
	WRITE_ONCE(dev_data->atc_hangs, false);
	WRITE_ONCE(dev_data->atc_live, dev_data->ats_enabled);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_iopf_add_device);

/**
 * amd_iommu_iopf_remove_device() - Undo amd_iommu_iopf_add_device()
 * @iommu: its IOMMU
 * @dev_data: the device, which has no PASIDs attached; it may be gone
 *
 * On return the device sends no page requests, all it has asked for is answered, and no flush uses
 * it, even one that has found it on a domain's list before a detach.
 *
 * Context: process, sleeps; &iommu_dev_data.mutex is held. Does not wait for faults that are being
 * served.
 */
void amd_iommu_iopf_remove_device(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
{
	struct amd_sva_iommu *sva = iommu->sva;

	lockdep_assert_held(&dev_data->mutex);

	if (!sva || xa_load(&sva->devs, dev_data->devid) != dev_data)
		return;
	if (dev_data->ppr)
		ppr_remove_device(iommu, dev_data);
	WRITE_ONCE(dev_data->atc_live, false);
	scoped_guard(mutex, &sva->lock)
		xa_erase(&sva->devs, dev_data->devid);
	synchronize_rcu();
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_iopf_remove_device);

/* IOMMUs */

/* Stops the log and clears its status: another kernel may have left both set. */
static void ppr_stop_log(struct amd_iommu *iommu)
{
	scoped_guard(raw_spinlock_irqsave, &iommu->lock) {
		u64 control = readq(iommu->mmio_base + MMIO_CONTROL_OFFSET);

		control &= ~(BIT_ULL(CONTROL_PPRLOG_EN) | BIT_ULL(CONTROL_PPRINT_EN));
		writeq(control, iommu->mmio_base + MMIO_CONTROL_OFFSET);
	}
	ppr_await_run(iommu, false);
	writel(MMIO_STATUS_PPR_INT_MASK | MMIO_STATUS_PPR_OVERFLOW_MASK,
	       iommu->mmio_base + MMIO_STATUS_OFFSET);
}

static void ppr_write_pointers(struct amd_iommu *iommu)
{
	writel(iommu->sva->head, iommu->mmio_base + MMIO_PPR_HEAD_OFFSET);
	writel(iommu->sva->tail, iommu->mmio_base + MMIO_PPR_TAIL_OFFSET);
}

/**
 * amd_iommu_iopf_init() - Set up what SVA needs of an IOMMU, except its PPR log
 * @iommu: the IOMMU
 *
 * Context: process, may sleep.
 * Return: 0, or -ENOMEM.
 */
int amd_iommu_iopf_init(struct amd_iommu *iommu)
{
	struct amd_sva_iommu *sva;

	if (iommu->sva)
		return 0;

	sva = kzalloc(sizeof(*sva), GFP_KERNEL);
	if (!sva)
		return -ENOMEM;
	snprintf(iommu->iopfq_name, sizeof(iommu->iopfq_name), "amdvi-%#x",
		 PCI_SEG_DEVID_TO_SBDF(iommu->pci_seg->id, iommu->devid));
	iommu->iopf_queue = iopf_queue_alloc(iommu->iopfq_name);
	if (!iommu->iopf_queue) {
		kfree(sva);
		return -ENOMEM;
	}

	sva->iommu = iommu;
	mutex_init(&sva->lock);
	xa_init(&sva->devs);
	INIT_WORK(&sva->work, ppr_work);
	init_irq_work(&sva->awake, ppr_awake);
	ratelimit_default_init(&sva->unknown);
	ratelimit_default_init(&sva->stuck);
	iommu->sva = sva;

	/* The thread may read the log before it is enabled: it must find nothing. */
	ppr_stop_log(iommu);
	ppr_write_pointers(iommu);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_iopf_init);

/**
 * amd_iommu_iopf_uninit() - Undo amd_iommu_iopf_init()
 * @iommu: an IOMMU without devices, whose PPR log and interrupts are disabled
 *
 * Context: process, sleeps.
 */
void amd_iommu_iopf_uninit(struct amd_iommu *iommu)
{
	struct amd_sva_iommu *sva = iommu->sva;

	if (!sva)
		return;
	irq_work_sync(&sva->awake);
	cancel_work_sync(&sva->work);
	iommu->sva = NULL;
	iopf_queue_free(iommu->iopf_queue);
	iommu->iopf_queue = NULL;
	xa_destroy(&sva->devs);
	kfree(sva);
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_iopf_uninit);

/**
 * amd_iommu_alloc_ppr_log() - Allocate the PPR log of an IOMMU
 * @iommu: the IOMMU
 *
 * Context: process, may sleep; at boot.
 * Return: 0, or -ENOMEM.
 */
int __init amd_iommu_alloc_ppr_log(struct amd_iommu *iommu)
{
	iommu->ppr_log = iommu_alloc_4k_pages(iommu, GFP_KERNEL | __GFP_ZERO,
					      amd_iommu_pprlog_size);
	return iommu->ppr_log ? 0 : -ENOMEM;
}

/**
 * amd_iommu_free_ppr_log() - Undo amd_iommu_alloc_ppr_log()
 * @iommu: an IOMMU whose PPR log is disabled
 *
 * Context: process; at boot.
 */
void __init amd_iommu_free_ppr_log(struct amd_iommu *iommu)
{
	iommu_free_pages(iommu->ppr_log, get_order(amd_iommu_pprlog_size));
}

/**
 * amd_iommu_enable_ppr_log() - Write the registers of the PPR log and start it
 * @iommu: an IOMMU whose translation and interrupts are enabled
 *
 * At boot the log is empty; after a sleep it is as it was.
 *
 * Context: process; or, after a sleep, syscore: one CPU, interrupts off.
 */
void amd_iommu_enable_ppr_log(struct amd_iommu *iommu)
{
	u64 entry;

	if (!iommu->ppr_log || !iommu->sva)
		return;

	ppr_stop_log(iommu);
	iommu_feature_enable(iommu, CONTROL_PPR_EN);

	entry = iommu_virt_to_phys(iommu->ppr_log);
	entry |= amd_iommu_pprlog_size == PPRLOG_SIZE_DEF ? PPRLOG_LEN_MASK_DEF :
							    PPRLOG_LEN_MASK_MAX;
	memcpy_toio(iommu->mmio_base + MMIO_PPR_LOG_OFFSET, &entry, sizeof(entry));
	ppr_write_pointers(iommu);

	iommu_feature_enable(iommu, CONTROL_PPRINT_EN);
	iommu_feature_enable(iommu, CONTROL_PPRLOG_EN);
	ppr_await_run(iommu, true);
	if (iommu->sva->resumed)
		irq_work_queue(&iommu->sva->awake);
}
EXPORT_SYMBOL_IF_KUNIT(amd_iommu_enable_ppr_log);

/**
 * amd_ppr_suspend() - Save the tail of the PPR log
 * @iommu: an IOMMU that has been disabled, so that no request enters the log
 *
 * Context: syscore: one CPU, interrupts off.
 */
void amd_ppr_suspend(struct amd_iommu *iommu)
{
	struct amd_sva_iommu *sva = iommu->sva;

	if (!sva)
		return;
	WRITE_ONCE(sva->tail, ppr_tail(iommu));
	WRITE_ONCE(sva->resumed, true);
	/* A drain that has pushed into a log that had stopped pushes again. */
	WRITE_ONCE(sva->losses, sva->losses + 1);
}
EXPORT_SYMBOL_IF_KUNIT(amd_ppr_suspend);
