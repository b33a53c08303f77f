// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD back-end of the SVA core: commands
 *
 * Submits the commands of flushes and of the drain of page requests, and handles devices that do
 * not complete theirs. A submission puts its commands into the command buffer together, with one
 * store to the tail, and one COMPLETION_WAIT behind them (2.4.1).
 *
 * Devices that do not complete an INVALIDATE_IOTLB_PAGES. After InvTimeOut, a second, hardware goes
 * on as if they had, and leaves an IOTLB_INV_TIMEOUT event (2.5). The event is in the log before
 * the COMPLETION_WAIT is done, and names the device; but the thread that reads the log may come too
 * late: the mm core frees pages when the flush returns. So a flush that has waited that long reads
 * the log itself. A log that has stopped drops events: if it has, or was started again in between,
 * it is not known which device has timed out, and it may be any. The driver sends a device that has
 * timed out no more invalidations until it has been reset; those it drops are unconfirmed
 * (iopf-atc.c). The end of a reset waits until the thread has read the log, so that an event from
 * before the reset does not count again.
 *
 * Hardware waits for several devices one after the other, and goes on. If it does not fetch another
 * command for as long as that may take, it carries none out, and its own TLB leads to pages that
 * the callers are about to free. No queue is left to have it forget them, and an IOMMU that is off
 * lets all DMA through: the machine panics. An IOMMU that the base driver has turned off, in a
 * shutdown, is left alone.
 *
 * Locks: amd_iommu.lock guards the command buffer, and writers of the control register; no thread
 * holds it while it waits for hardware. The caller's RCU read-side section keeps devices.
 */
#define pr_fmt(fmt) "AMD-Vi: " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/minmax.h>
#include <linux/nmi.h>
#include <linux/panic.h>
#include <linux/pci.h>
#include <linux/ratelimit.h>
#include <linux/timekeeping.h>

#include "amd-sva.h"
#include "iommu-sva-wait.h"
#include "iopf.h"
#include "iopf-pci.h"

/* Commands (2.4) */
#define CMD_TYPE		GENMASK(31, 28)
#define CMD_PASID_LOW		GENMASK(7, 0)
#define CMD_PASID_MIDDLE	GENMASK(15, 8)
#define CMD_PASID_HIGH		GENMASK(19, 16)
#define CMD_IOTLB_0_DEVID	GENMASK(15, 0)
#define CMD_IOTLB_0_PASID	GENMASK(23, 16)
#define CMD_IOTLB_0_MAXPEND	GENMASK(31, 24)
#define CMD_IOTLB_1_QUEUEID	GENMASK(15, 0)
#define CMD_IOTLB_1_PASID_LOW	GENMASK(23, 16)
#define CMD_IOTLB_1_PASID_HIGH	GENMASK(27, 24)

/* The base driver keeps the same part of the command buffer free. */
#define CMD_BUFFER_RESERVE	(2 * sizeof(struct amd_sva_cmd))

/* InvTimeOut is a second: a submission that has taken less has not timed out. */
#define CMDS_SLOW_NS		(500 * NSEC_PER_MSEC)
/* After so long, in ns, a submitter looks where hardware is. It gives up if it has not moved. */
#define CMDS_WAIT		(5 * (u64)NSEC_PER_SEC)

/* Commands: contents */

/* With S the size is that of the lowest bit, from bit 12 on, that is clear (2.4.3). */
static u64 cmd_inv_address(unsigned long pfn, unsigned int order)
{
	u64 addr = (u64)pfn << PAGE_SHIFT;

	if (order == SVA_ORDER_ALL)
		addr = CMD_INV_IOMMU_ALL_PAGES_ADDRESS & PAGE_MASK;
	else if (order)
		addr |= ((1ULL << (order - 1)) - 1) << PAGE_SHIFT;
	return order ? addr | CMD_INV_IOMMU_PAGES_SIZE_MASK : addr;
}

/* PDE invalidates the tables on the way as well, which the mm core may be about to free. */
VISIBLE_IF_KUNIT void amd_sva_make_inv_pages(struct amd_sva_cmd *cmd, u16 domid, ioasid_t pasid,
					     unsigned long pfn, unsigned int order)
{
	u64 addr = cmd_inv_address(pfn, order);

	*cmd = (struct amd_sva_cmd){
		.data[0] = pasid,
		.data[1] = FIELD_PREP(CMD_TYPE, CMD_INV_IOMMU_PAGES) | domid,
		.data[2] = lower_32_bits(addr) | CMD_INV_IOMMU_PAGES_PDE_MASK |
			   CMD_INV_IOMMU_PAGES_GN_MASK,
		.data[3] = upper_32_bits(addr),
	};
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_make_inv_pages);

/* @pasid IOMMU_NO_PASID: for translations without a PASID */
VISIBLE_IF_KUNIT void amd_sva_make_inv_iotlb(struct amd_sva_cmd *cmd, u16 devid, u8 qdep,
					     ioasid_t pasid, unsigned long pfn,
					     unsigned int order)
{
	u64 addr = cmd_inv_address(pfn, order);

	*cmd = (struct amd_sva_cmd){
		.data[0] = FIELD_PREP(CMD_IOTLB_0_DEVID, devid) |
			   FIELD_PREP(CMD_IOTLB_0_MAXPEND, qdep),
		.data[1] = FIELD_PREP(CMD_TYPE, CMD_INV_IOTLB_PAGES) |
			   FIELD_PREP(CMD_IOTLB_1_QUEUEID, devid),
		.data[2] = lower_32_bits(addr),
		.data[3] = upper_32_bits(addr),
	};
	if (pasid == IOMMU_NO_PASID)
		return;
	cmd->data[0] |= FIELD_PREP(CMD_IOTLB_0_PASID, FIELD_GET(CMD_PASID_MIDDLE, pasid));
	cmd->data[1] |= FIELD_PREP(CMD_IOTLB_1_PASID_LOW, FIELD_GET(CMD_PASID_LOW, pasid)) |
			FIELD_PREP(CMD_IOTLB_1_PASID_HIGH, FIELD_GET(CMD_PASID_HIGH, pasid));
	cmd->data[2] |= CMD_INV_IOMMU_PAGES_GN_MASK;
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_make_inv_iotlb);

VISIBLE_IF_KUNIT void amd_sva_make_wait(struct amd_sva_cmd *cmd, u64 addr, u64 value)
{
	*cmd = (struct amd_sva_cmd){
		.data[0] = lower_32_bits(addr) | CMD_COMPL_WAIT_STORE_MASK,
		.data[1] = FIELD_PREP(CMD_TYPE, CMD_COMPL_WAIT) | upper_32_bits(addr),
		.data[2] = lower_32_bits(value),
		.data[3] = upper_32_bits(value),
	};
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_make_wait);

/* Commands: submission */

static unsigned int cmd_buffer_room(struct amd_iommu *iommu)
{
	u32 left = (iommu->cmd_buf_head - iommu->cmd_buf_tail - sizeof(struct amd_sva_cmd)) %
		   CMD_BUFFER_SIZE;

	return left <= CMD_BUFFER_RESERVE ? 0 :
	       (left - CMD_BUFFER_RESERVE) / sizeof(struct amd_sva_cmd);
}

/* Puts as many commands into the buffer as fit. Returns how many. */
static unsigned int cmd_buffer_put(struct amd_iommu *iommu, const struct amd_sva_cmd *cmds,
				   unsigned int nr)
{
	unsigned int n;

	lockdep_assert_held(&iommu->lock);

	if (cmd_buffer_room(iommu) < nr)
		iommu->cmd_buf_head = readl(iommu->mmio_base + MMIO_CMD_HEAD_OFFSET);
	n = min(nr, cmd_buffer_room(iommu));
	if (!n)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		memcpy(iommu->cmd_buf + iommu->cmd_buf_tail, &cmds[i], sizeof(cmds[i]));
		iommu->cmd_buf_tail = (iommu->cmd_buf_tail + sizeof(cmds[i])) % CMD_BUFFER_SIZE;
	}
	writel(iommu->cmd_buf_tail, iommu->mmio_base + MMIO_CMD_TAIL_OFFSET);
	iommu->need_sync = true;
	return n;
}

/* Returns the value that the wait stores when it is done, or 0 if there was no room. */
static u64 cmd_buffer_put_wait(struct amd_iommu *iommu)
{
	struct amd_sva_cmd cmd;

	lockdep_assert_held(&iommu->lock);

	amd_sva_make_wait(&cmd, iommu_virt_to_phys((void *)iommu->cmd_sem),
			  iommu->cmd_sem_val + 1);
	if (!cmd_buffer_put(iommu, &cmd, 1))
		return 0;
	/* The wait covers what other CPUs have submitted before, too. */
	iommu->need_sync = false;
	return ++iommu->cmd_sem_val;
}

/* The clock in ns; any context */
VISIBLE_IF_KUNIT u64 amd_sva_clock(void)
{
	KUNIT_STATIC_STUB_REDIRECT(amd_sva_clock);
	return ktime_get_mono_fast_ns();
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_clock);

/**
 * amd_sva_delay() - Give hardware time
 * @us: how much, in us
 *
 * Context: any; spins.
 */
void amd_sva_delay(unsigned int us)
{
	KUNIT_STATIC_STUB_REDIRECT(amd_sva_delay, us);
	udelay(us);
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_delay);

/**
 * struct cmds_wait - a wait for hardware
 * @iommu: the IOMMU
 * @time: since the last look at where hardware is
 */
struct cmds_wait {
	struct amd_iommu *iommu;
	struct sva_wait time;
};

/* Has hardware fetched no command since the last look? */
static bool cmds_stand_still(struct cmds_wait *wait)
{
	/* It is known why this CPU does nothing else. */
	touch_nmi_watchdog();
	return sva_wait_found_in(&wait->time,
				 readl(wait->iommu->mmio_base + MMIO_CMD_HEAD_OFFSET)) > 1;
}

/* Delays in a loop. Returns false if hardware is stuck. */
static bool cmds_delay(struct cmds_wait *wait)
{
	unsigned int us = sva_wait_pace(&wait->time);

	if (sva_wait_ns(&wait->time) > CMDS_WAIT && cmds_stand_still(wait))
		return false;
	amd_sva_delay(us);
	if (!sva_wait_look(&wait->time, amd_sva_clock()))
		sva_wait_delayed(&wait->time, us);
	return true;
}

static int cmd_buffer_put_all(struct amd_iommu *iommu, const struct amd_sva_cmd *cmds,
			      unsigned int nr, struct cmds_wait *wait, u64 *value)
{
	bool done = false;

	do {
		scoped_guard(raw_spinlock_irqsave, &iommu->lock) {
			unsigned int n = cmd_buffer_put(iommu, cmds, nr);

			cmds += n;
			nr -= n;
			if (!nr)
				done = !value || (*value = cmd_buffer_put_wait(iommu));
		}
		if (done)
			return 0;
	} while (cmds_delay(wait));
	return -EIO;
}

/* Looks once more after the last delay. */
static int cmd_buffer_await(struct amd_iommu *iommu, u64 value, struct cmds_wait *wait)
{
	while ((s64)(READ_ONCE(*iommu->cmd_sem) - value) < 0)
		if (!cmds_delay(wait))
			return -EIO;
	return 0;
}

VISIBLE_IF_KUNIT void amd_sva_malfunction(struct amd_iommu *iommu)
{
	KUNIT_STATIC_STUB_REDIRECT(amd_sva_malfunction, iommu);
	panic("AMD-Vi: iommu%d: hardware carries out no commands\n", iommu->index);
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_malfunction);

static void cmds_give_up(struct amd_iommu *iommu)
{
	if (!iommu->sva || __ratelimit(&iommu->sva->stuck))
		pr_err("iommu%d: commands are not completed\n", iommu->index);
	if (readl(iommu->mmio_base + MMIO_CONTROL_OFFSET) & BIT(CONTROL_CMDBUF_EN))
		amd_sva_malfunction(iommu);
}

/*
 * May the log have dropped events? It does so while it is stopped. The base counts before it starts
 * the log, and after: so the count is odd meanwhile, and is read after the status.
 */
static bool cmds_events_lost(struct amd_iommu *iommu, unsigned int restarts)
{
	u32 status = readl(iommu->mmio_base + MMIO_STATUS_OFFSET);

	status &= MMIO_STATUS_EVT_RUN_MASK | MMIO_STATUS_EVT_OVERFLOW_MASK;
	if (status != MMIO_STATUS_EVT_RUN_MASK)
		return true;
	return (restarts & 1) || READ_ONCE(iommu->evt_restarts) != restarts;
}

/*
 * Looks for time-outs in the part of the event log that the thread has not read yet. @restarts is
 * what &amd_iommu.evt_restarts was before the submission.
 */
static int cmds_peek_time_outs(struct amd_iommu *iommu, unsigned int restarts)
{
	u32 head = readl(iommu->mmio_base + MMIO_EVT_HEAD_OFFSET);
	u32 tail = readl(iommu->mmio_base + MMIO_EVT_TAIL_OFFSET);

	for (; head != tail; head = (head + EVTLOG_ENTRY_SIZE) % amd_iommu_evtlog_size) {
		const u32 *event = (u32 *)(iommu->evt_buf + head);
		u32 type = (READ_ONCE(event[1]) >> EVENT_TYPE_SHIFT) & EVENT_TYPE_MASK;

		if (type == EVENT_TYPE_IOTLB_INV_TO)
			amd_sva_timed_out(iommu, READ_ONCE(event[0]) & EVENT_DEVID_MASK);
	}
	return cmds_events_lost(iommu, restarts) ? -EIO : -ETIMEDOUT;
}

/**
 * amd_sva_submit() - Make hardware carry out commands
 * @iommu: the IOMMU
 * @cmds: the commands
 * @nr: how many
 * @wait: wait until hardware has carried out these, and all that other CPUs have submitted before
 *
 * Context: any; spins, for as long as hardware goes on. If it stands still for twice CMDS_WAIT
 * (10 s) while it is enabled, the function does not return.
 * Return: 0, or
 *
 * * -ETIMEDOUT: hardware has taken so long that it may have given up devices; with @wait the
 *   function has marked those
 * * -EIO: hardware has been turned off, or it is not known which devices it has given up
 */
int amd_sva_submit(struct amd_iommu *iommu, const struct amd_sva_cmd *cmds, unsigned int nr,
		   bool wait)
{
	unsigned int restarts = READ_ONCE(iommu->evt_restarts);
	struct cmds_wait waited = { .iommu = iommu };
	u64 start = amd_sva_clock(), value = 0;
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(amd_sva_submit, iommu, cmds, nr, wait);

	ret = cmd_buffer_put_all(iommu, cmds, nr, &waited, wait ? &value : NULL);
	if (!ret && wait)
		ret = cmd_buffer_await(iommu, value, &waited);
	if (ret)
		cmds_give_up(iommu);
	if (!ret && amd_sva_clock() - start > CMDS_SLOW_NS)
		ret = wait ? cmds_peek_time_outs(iommu, restarts) : -ETIMEDOUT;
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_submit);

/* Lists of commands */

/**
 * amd_sva_start_list() - Begin a list of commands
 * @list: the list, on the caller's stack
 * @iommu: the IOMMU
 *
 * Context: any.
 */
void amd_sva_start_list(struct amd_sva_list *list, struct amd_iommu *iommu)
{
	list->iommu = iommu;
	list->nr = 0;
	list->error = 0;
	list->restarts = READ_ONCE(iommu->evt_restarts);
}

static void cmds_send(struct amd_sva_list *list)
{
	/* Wait only once for hardware that does not answer. */
	if (list->nr && list->error != -EIO)
		list->error = amd_sva_submit(list->iommu, list->cmds, list->nr, false) ?:
			      list->error;
	list->nr = 0;
}

static struct amd_sva_cmd *cmds_next(struct amd_sva_list *list)
{
	if (list->nr == AMD_SVA_BATCH)
		cmds_send(list);
	return &list->cmds[list->nr++];
}

/**
 * amd_sva_end_list() - Wait until hardware has carried out all of a list
 * @list: the list; may be empty
 *
 * Waits for commands that other CPUs have submitted before, too.
 *
 * Context: any; spins.
 * Return: as amd_sva_submit().
 */
int amd_sva_end_list(struct amd_sva_list *list)
{
	int ret;

	if (list->error == -EIO)
		return list->error;
	ret = amd_sva_submit(list->iommu, list->cmds, list->nr, true);
	if (ret == -EIO || !list->error)
		return ret;
	return cmds_peek_time_outs(list->iommu, list->restarts);
}

/**
 * amd_sva_begin_post() - As amd_sva_start_list(), for a list that is submitted before the wait
 * @list: the list, on the caller's stack
 * @iommu: the IOMMU
 * @posted: what the caller keeps until the wait
 *
 * Context: any.
 */
void amd_sva_begin_post(struct amd_sva_list *list, struct amd_iommu *iommu,
			struct amd_sva_posted *posted)
{
	posted->began = amd_sva_clock();
	amd_sva_start_list(list, iommu);
}

/**
 * amd_sva_post_list() - Submit all of a list, and do not wait until it is carried out
 * @list: the list; may be empty
 * @posted: as for amd_sva_begin_post()
 *
 * The thread keeps nothing that other threads need: hardware frees the room in the command buffer.
 *
 * Context: any; spins while there is no room.
 */
void amd_sva_post_list(struct amd_sva_list *list, struct amd_sva_posted *posted)
{
	cmds_send(list);
	posted->restarts = list->restarts;
	posted->error = list->error;
}

/**
 * amd_sva_await_posted() - Wait until hardware has carried out a list that was posted
 * @iommu: the IOMMU
 * @posted: as amd_sva_post_list() has left it
 *
 * Hardware may have given a device up before this wait began; so the time since @posted.began says
 * whether the function must look for that.
 *
 * Context: any; spins.
 * Return: as amd_sva_submit().
 */
int amd_sva_await_posted(struct amd_iommu *iommu, const struct amd_sva_posted *posted)
{
	int ret;

	if (posted->error == -EIO)
		return posted->error;
	ret = amd_sva_submit(iommu, NULL, 0, true);
	if (ret == -EIO)
		return ret;
	if (!posted->error && amd_sva_clock() - posted->began <= CMDS_SLOW_NS)
		return ret;
	return cmds_peek_time_outs(iommu, posted->restarts);
}

/**
 * amd_sva_add_pages() - Add invalidations of the IOMMU's own caches to a list
 * @list: the list
 * @dev_data: the device, which has a DomainID of its own
 * @pasid: the PASID
 * @b: the pages; sva_all_blocks() invalidates the GCR3 entry, too
 *
 * Context: any.
 */
void amd_sva_add_pages(struct amd_sva_list *list, const struct iommu_dev_data *dev_data,
		       ioasid_t pasid, struct sva_blocks b)
{
	do {
		amd_sva_make_inv_pages(cmds_next(list), dev_data->gcr3_info.domid, pasid, b.pfn,
				       sva_block_order(&b));
	} while (sva_next_block(&b));
}

/**
 * amd_sva_add_atc() - Add invalidations of a device's ATC to a list
 * @list: the list
 * @dev_data: the device, see amd_sva_ask()
 * @pasid: the PASID, or IOMMU_NO_PASID for what the device has translated without one
 * @b: the pages
 *
 * Context: any.
 */
void amd_sva_add_atc(struct amd_sva_list *list, const struct iommu_dev_data *dev_data,
		     ioasid_t pasid, struct sva_blocks b)
{
	do {
		amd_sva_make_inv_iotlb(cmds_next(list), dev_data->devid, dev_data->ats_qdep,
				       pasid, b.pfn, sva_block_order(&b));
	} while (sva_next_block(&b));
}

/* Devices and their ATCs */

/**
 * amd_sva_has_atc() - Does a device have an ATC, and can it answer?
 * @dev_data: the device
 *
 * Context: any; one RCU read-side section with the submission, for which a reset waits.
 * Return: as iopf_pci_can_answer(), and false if its ATS is not enabled.
 */
bool amd_sva_has_atc(struct iommu_dev_data *dev_data)
{
	return READ_ONCE(dev_data->atc_live) && iopf_pci_can_answer(to_pci_dev(dev_data->dev));
}

/**
 * amd_sva_ask() - May an ATC invalidation be sent to a device?
 * @dev_data: the device
 * @pasid: the PASID that it is for, or IOMMU_PASID_INVALID for all
 *
 * Context: as amd_sva_has_atc().
 * Return: as amd_sva_has_atc(), and false if the device has not completed others: then the function
 * notes that the invalidation is unconfirmed.
 */
bool amd_sva_ask(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	if (!amd_sva_has_atc(dev_data))
		return false;
	if (likely(!READ_ONCE(dev_data->atc_hangs)))
		return true;
	iopf_atc_unconfirmed(dev_data->dev, pasid);
	return false;
}

VISIBLE_IF_KUNIT bool amd_sva_is_present(struct pci_dev *pdev)
{
	KUNIT_STATIC_STUB_REDIRECT(amd_sva_is_present, pdev);
	return pci_device_is_present(pdev);
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_is_present);

/**
 * amd_sva_ask_present() - As amd_sva_ask(), and is the device present?
 * @dev_data: the device
 * @pasid: as for amd_sva_ask()
 *
 * A link may be down before hotplug has noticed. A time-out would take much longer than this check.
 *
 * Context: as amd_sva_has_atc(); reads configuration space: MMU notifiers have no time for that.
 * Return: as amd_sva_ask().
 */
bool amd_sva_ask_present(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	if (!amd_sva_ask(dev_data, pasid))
		return false;
	if (amd_sva_is_present(to_pci_dev(dev_data->dev)))
		return true;
	iopf_atc_unconfirmed(dev_data->dev, pasid);
	return false;
}

/**
 * amd_sva_drops_atc() - Must the base driver drop an ATC invalidation?
 * @dev_data: the device, with ATS enabled
 * @pasid: the PASID that it is for, or IOMMU_NO_PASID
 *
 * For the base driver's own invalidations.
 *
 * Context: any.
 * Return: true if the device can't answer, or has not completed others.
 */
bool amd_sva_drops_atc(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	guard(rcu)();
	if (!READ_ONCE(dev_data->atc_live))
		return false;
	return !amd_sva_ask(dev_data, pasid);
}

/**
 * amd_sva_timed_out() - Note that a device has not completed an ATC invalidation
 * @iommu: the IOMMU that has given it up
 * @devid: DeviceID of the device. The function ignores one in a reset, which is flushed afterwards.
 *
 * Context: any.
 */
void amd_sva_timed_out(struct amd_iommu *iommu, u16 devid)
{
	struct iommu_dev_data *dev_data;

	guard(rcu)();
	dev_data = iommu->sva ? xa_load(&iommu->sva->devs, devid) : NULL;
	if (!dev_data || iopf_device_in_reset(dev_data->dev))
		return;
	if (!xchg(&dev_data->atc_hangs, true))
		iopf_atc_unconfirmed(dev_data->dev, IOMMU_PASID_INVALID);
}
EXPORT_SYMBOL_IF_KUNIT(amd_sva_timed_out);

/**
 * amd_sva_check_atc() - Report ATC invalidations of a submission that a device has not completed
 * @dev_data: the device
 * @pasid: the PASID that they were for
 * @ret: what amd_sva_submit() has returned
 *
 * Context: any; one RCU read-side section with the submission.
 */
void amd_sva_check_atc(struct iommu_dev_data *dev_data, ioasid_t pasid, int ret)
{
	if (ret == -EIO || (ret && READ_ONCE(dev_data->atc_hangs)))
		iopf_atc_unconfirmed(dev_data->dev, pasid);
}

/**
 * amd_sva_flush_atc() - Make a device forget all translations of a PASID
 * @dev_data: the device
 * @pasid: the PASID
 *
 * Waits for all commands before, whether the device can answer or not. Page requests that the
 * device has sent before arrive before its completion.
 *
 * Context: process; spins.
 */
void amd_sva_flush_atc(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	struct amd_sva_list list;
	bool ask;
	int ret;

	guard(rcu)();
	amd_sva_start_list(&list, get_amd_iommu_from_dev_data(dev_data));
	ask = amd_sva_ask_present(dev_data, pasid);
	if (ask)
		amd_sva_add_atc(&list, dev_data, pasid, sva_all_blocks());
	ret = amd_sva_end_list(&list);
	if (ask)
		amd_sva_check_atc(dev_data, pasid, ret);
}
