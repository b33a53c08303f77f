/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-dma: a PCI Express endpoint that does DMA on virtual addresses of processes.
 *
 * Model
 * -----
 * A channel takes a job (fill, copy, checksum, compare-and-swap) from its job page and walks the
 * job's range, never further than to the next 4 KiB boundary at a time. One such move is a step:
 *
 *   ATC ---hit---> access the translated address
 *    | miss
 *   ATS translation request ---granted---> fill the ATC, access the translated address
 *    | denied
 *   PRI page request group ---answered Success---> the step starts again from the ATC
 *
 * In stall mode there is neither ATC nor ATS nor PRI:
 *
 *   access with the virtual address ---goes on---> the translated address
 *    | stalled by the IOMMU
 *   wait ---retry---> the step starts again
 *    | abort: the job ends
 *
 * With a fault log of its own it has ATS, and no PRI:
 *
 *   ATS translation request
 *    | denied
 *   entry in the log ---RESUME---> the step starts again
 *                    ---RESUME with FAIL---> the job ends
 *
 * Steps run in a timer on the virtual clock, a bounded number of them for each channel and tick,
 * and nowhere else. What comes from outside - register writes, page group responses, ATC
 * invalidations, configuration writes - changes state and kicks the timer. In particular no
 * interrupt is raised anywhere but in the timer: responses and invalidations reach us inside the
 * IOMMU's own register write, where an interrupt that passes the IOMMU would be lost.
 *
 * Parts
 * -----
 *   sva-dma.c             the function: registers, configuration space, reset, power, the timer
 *   sva-dma-channel.c     channels: steps of jobs, stop
 *   sva-dma-log.c         faults that it reports by its own means
 *   sva-dma-pri.c         page requests, their credits and answers; stalls
 *   sva-dma-job.c         job pages; a job's begin, way and end
 *   sva-dma-atc.c         PASIDs, ATS, the address translation cache, invalidations
 *   sva-dma-internal.h    what they share
 *
 * Each calls those below it only.
 *
 * Invariants
 * ----------
 * All of this runs under the big lock, so that a step is one indivisible event for the guest.
 *
 * - Memory is only touched through a translation that was looked up in the same step and grants the
 *   access. So nothing moves through it once the invalidation that covers it has been completed.
 * - An invalidation that is not done at once is in @late_invs, in the order of arrival, and its
 *   entries stay in use until it is done. If the IOMMU has asked, it is told when none is left.
 *   After a reset the device completes none that it received before.
 * - The notifiers of a PASID are registered before the first translation request with that PASID,
 *   and when they go, the ATC is emptied.
 * - @outstanding is the number of page request messages of all unanswered groups. It does not grow
 *   beyond the allocation that software wrote, unless SVA_DMA_LIE is set. The allocation is for a
 *   physical function and its virtual ones together: see pri_function(). A group holds its messages
 *   until it is answered, even if the job that sent it has ended (Group::waiting is false then), or
 *   until PRI or the function is reset.
 * - A PRG index belongs to one unanswered group of jobs, or to raw requests, or is free.
 * - A channel that is neither enabled nor busy sends nothing, but an access that the IOMMU has
 *   stalled is still made when the IOMMU says so, even if its job has ended (Stall::channel is NULL
 *   then).
 * - A fault is in the log, or waits in its channel, until software has seen it or its job has ended.
 *   Its tag is that of no other fault of the channel, until 4096 have come.
 * - A channel that is being stopped (Channel::stopping) counts as busy, and its PASID as in use.
 * - Memory is accessed in D0 and as bus master only. Page requests are messages: they need D0.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/module.h"
#include "qemu/range.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "hw/misc/sva_dma.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_sriov.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "sva-dma-internal.h"
#include "trace.h"

#define CLASS_PROCESSING_ACCELERATOR 0x1200
/* Global Invalidate Supported (ATS Capability register) */
#define ATS_CAP_GLOBAL_INVALIDATE 0x40

#define TICK_NS 5000

/* SVA_DMA_REG_SLOW_NS has 32 bits. */
#define SVA_DMA_SLOW_US_MAX 4000000
#define SVA_DMA_LOG_MAX 256

/* ---- Power ---- */

/* Virtual functions have no power management of their own. */
static unsigned sva_dma_d_state(SvaDma *s)
{
    PCIDevice *pdev = PCI_DEVICE(sva_dma_physical(s));

    return pci_get_word(pdev->config + pdev->pm_cap + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK;
}

static bool sva_dma_may_run(SvaDma *s)
{
    return (s->ctrl & SVA_DMA_CTRL_ENABLE) && !sva_dma_d_state(s);
}

/* ---- The end of the device ---- */

/* The port above, which has a link to go down; NULL for a part of the root complex. */
static PCIDevice *port_above(SvaDma *s)
{
    PCIDevice *port = pci_get_bus(PCI_DEVICE(s))->parent_dev;

    return port && pci_is_express_downstream_port(port) ? port : NULL;
}

/* Resets the function: nothing of its state is left. */
static void sva_dma_lose(SvaDma *s, unsigned how)
{
    PCIDevice *port = port_above(s);

    trace_sva_dma_lose(sva_dma_rid(s), how);
    s->die = 0;
    if (port && how == SVA_DMA_DIE_ERROR &&
        pcie_dpc_trigger(port, PCI_EXP_DPC_STATUS_TRIGGER_RSN_FE, sva_dma_rid(s))) {
        return;
    }
    s->gone = true;
    if (port) {
        pcie_cap_slot_set_link(port, true, how != SVA_DMA_DIE_REMOVED);
    } else {
        pci_set_power(PCI_DEVICE(s), false);
    }
}

static bool sva_dma_get_gone(Object *obj, Error **errp)
{
    return SVA_DMA(obj)->gone;
}

static void sva_dma_set_gone(Object *obj, bool gone, Error **errp)
{
    SvaDma *s = SVA_DMA(obj);

    if (!qdev_is_realized(DEVICE(obj))) {
        error_setg(errp, "x-gone is for a device that was there");
    } else if (gone && !s->gone) {
        sva_dma_lose(s, SVA_DMA_DIE_REMOVED);
    } else if (!gone && s->gone) {
        s->gone = false;
        if (port_above(s)) {
            pcie_cap_slot_set_link(port_above(s), false, true);
        } else {
            pci_set_power(PCI_DEVICE(s), true);
        }
    }
}

/* ---- The timer ---- */

static void raise_interrupts(SvaDma *s)
{
    if (s->log_irq_due && !sva_dma_d_state(s)) {
        s->log_irq_due = false;
        msix_notify(PCI_DEVICE(s), s->nr_channels);
    }
    for (unsigned i = 0; i < s->nr_channels && !sva_dma_d_state(s); i++) {
        Channel *c = &s->channel[i];

        if (c->irq_due) {
            c->irq_due = false;
            if (c->vector <= s->nr_channels) {
                msix_notify(PCI_DEVICE(s), c->vector);
            }
        }
    }
}

static void sva_dma_tick(void *opaque)
{
    SvaDma *s = opaque;
    int64_t now = now_ns();
    int64_t next, rest;

    if (s->die && s->die_at <= now) {
        sva_dma_lose(s, s->die);
        return;
    }
    next = MIN(sva_dma_invs_run(s, now), s->die ? s->die_at : INT64_MAX);
    if (!sva_dma_d_state(s)) {
        sva_dma_stalls_retry(s);
    }
    for (unsigned i = 0; i < s->nr_channels && sva_dma_may_run(s); i++) {
        sva_dma_job_run(s, &s->channel[(s->next_channel + i) % s->nr_channels], now);
    }
    s->next_channel = (s->next_channel + 1) % s->nr_channels;

    /* CPUs need QEMU's lock too: it is left to them for as long as this took. */
    rest = now_ns() - now;
    now += rest + MIN(MAX(rest, TICK_NS), SCALE_MS);
    for (unsigned i = 0; i < s->nr_channels; i++) {
        Channel *c = &s->channel[i];

        sva_dma_channel_go_on_stopping(s, c);
        if (c->state == CHANNEL_RUNNING && sva_dma_may_run(s) &&
            (sva_dma_is_master(s) || c->ask)) {
            next = MIN(next, MAX(now, c->not_before));
        }
    }
    raise_interrupts(s);
    if (next != INT64_MAX) {
        timer_mod_anticipate_ns(s->timer, next);
    }
}

/* ---- BAR 0 ---- */

static uint32_t device_read(SvaDma *s, unsigned reg)
{
    uint32_t val = 0;

    if (reg >= SVA_DMA_REG_COUNTERS &&
        reg < SVA_DMA_REG_COUNTERS + sizeof(s->counter)) {
        return reg_half(s->counter[(reg - SVA_DMA_REG_COUNTERS) / 8], reg);
    }
    switch (reg) {
    case SVA_DMA_REG_ID:
        return SVA_DMA_ID;
    case SVA_DMA_REG_CAP:
        return s->nr_channels | s->pasid_bits << 8 | (s->stall ? SVA_DMA_CAP_STALL : 0) |
               (s->faults ? SVA_DMA_CAP_FAULTS : 0) | s->atc_entries << 16;
    case SVA_DMA_REG_CTRL:
        return s->ctrl;
    case SVA_DMA_REG_STATUS:
        for (unsigned i = 0; i < s->nr_channels; i++) {
            val |= channel_busy(&s->channel[i]) ? SVA_DMA_STATUS_BUSY : 0;
        }
        return val | (s->outstanding || !QLIST_EMPTY(&s->stalls) ? SVA_DMA_STATUS_PRI_PENDING : 0);
    case SVA_DMA_REG_RAW_ADDR:
    case SVA_DMA_REG_RAW_ADDR + 4:
        return reg_half(s->raw_addr, reg);
    case SVA_DMA_REG_RAW_PASID:
        return s->raw_pasid;
    case SVA_DMA_REG_RAW_STATUS:
        return s->raw_status;
    case SVA_DMA_REG_RAW_RESP:
        return sva_dma_raw_answer(s);
    case SVA_DMA_REG_BEHAVIOUR:
        return s->behaviour;
    case SVA_DMA_REG_SLOW_NS:
        return s->slow_ns;
    case SVA_DMA_REG_LOG_ADDR:
    case SVA_DMA_REG_LOG_ADDR + 4:
    case SVA_DMA_REG_LOG_PASID:
    case SVA_DMA_REG_LOG_INFO:
        return sva_dma_log_read(s, reg);
    default:
        return 0;
    }
}

static void device_write(SvaDma *s, unsigned reg, uint32_t val)
{
    switch (reg) {
    case SVA_DMA_REG_CTRL:
        s->ctrl = val & SVA_DMA_CTRL_ENABLE;
        if (val & SVA_DMA_CTRL_CLEAR) {
            memset(s->counter, 0, sizeof(s->counter));
        }
        if (val & SVA_DMA_CTRL_DROP_ATC) {
            sva_dma_atc_clear(s);
        }
        sva_dma_kick(s);
        break;
    case SVA_DMA_REG_RAW_ADDR:
    case SVA_DMA_REG_RAW_ADDR + 4:
        s->raw_addr = deposit64(s->raw_addr, reg % 8 * 8, 32, val);
        break;
    case SVA_DMA_REG_RAW_PASID:
        s->raw_pasid = val & MAKE_64BIT_MASK(0, s->pasid_bits);
        break;
    case SVA_DMA_REG_RAW_SEND:
        sva_dma_raw_send(s, val);
        break;
    case SVA_DMA_REG_BEHAVIOUR:
        s->behaviour = val & (SVA_DMA_INV | SVA_DMA_STOP | SVA_DMA_LIE);
        sva_dma_wake_credit_waiters(s);
        break;
    case SVA_DMA_REG_SLOW_NS:
        s->slow_ns = val;
        break;
    case SVA_DMA_REG_LOG_TAKE:
        sva_dma_log_take(s);
        break;
    case SVA_DMA_REG_DIE:
        s->die = val & SVA_DMA_DIE_HOW;
        s->die_at = now_ns() + (int64_t)extract32(val, 8, 16) * SCALE_US;
        sva_dma_kick(s);
        break;
    }
}

/* Splits an address: the channel whose block it is in, NULL for device registers and holes. */
static Channel *channel_at(SvaDma *s, hwaddr addr, unsigned *reg, bool *is_job)
{
    unsigned n;

    *is_job = addr >= SVA_DMA_JOB_BASE;
    if (*is_job) {
        n = (addr - SVA_DMA_JOB_BASE) / SVA_DMA_JOB_STRIDE;
        *reg = addr % SVA_DMA_JOB_STRIDE;
    } else if (addr >= SVA_DMA_CHAN_BASE) {
        n = (addr - SVA_DMA_CHAN_BASE) / SVA_DMA_CHAN_STRIDE;
        *reg = addr % SVA_DMA_CHAN_STRIDE;
    } else {
        return NULL;
    }
    return n < s->nr_channels ? &s->channel[n] : NULL;
}

static uint64_t sva_dma_read(void *opaque, hwaddr addr, unsigned size)
{
    SvaDma *s = opaque;
    unsigned reg;
    bool is_job;
    Channel *c = channel_at(s, addr, &reg, &is_job);

    if (!c) {
        return addr < SVA_DMA_CHAN_BASE ? device_read(s, addr) : 0;
    }
    return is_job ? sva_dma_job_read(c, reg) : sva_dma_channel_read(c, reg);
}

static void sva_dma_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    SvaDma *s = opaque;
    unsigned reg;
    bool is_job;
    Channel *c = channel_at(s, addr, &reg, &is_job);

    if (c && is_job) {
        sva_dma_job_write(s, c, reg, val);
    } else if (c) {
        sva_dma_channel_write(s, c, reg, val);
    } else if (addr < SVA_DMA_CHAN_BASE) {
        device_write(s, addr, val);
    }
}

/* Wider accesses are split by the core, low half first. */
static const MemoryRegionOps sva_dma_ops = {
    .read = sva_dma_read,
    .write = sva_dma_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/* ---- Configuration space, reset ---- */

static void sva_dma_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val, int len)
{
    SvaDma *s = SVA_DMA(pdev);
    bool ats = pcie_ats_enabled(pdev);
    bool pri = pcie_pri_enabled(pdev);
    bool wakes = pdev->pm_cap && sva_dma_d_state(s) &&
                 ranges_overlap(addr, len, pdev->pm_cap + PCI_PM_CTRL, 1);

    if (pdev->exp.pasid_cap &&
        ranges_overlap(addr, len, pdev->exp.pasid_cap + PCI_PASID_CTRL, 2)) {
        /* Maybe it disables PASIDs. If not, they are listened to again when they are used. */
        sva_dma_pasids_unlisten_inv_all(s);
    }

    pci_default_write_config(pdev, addr, val, len);

    if (ats && !pcie_ats_enabled(pdev)) {
        sva_dma_pasids_unlisten_inv(s);
        sva_dma_unlisten_inv(&s->no_pasid);
    } else if (!ats) {
        sva_dma_listen_inv(&s->no_pasid);
    }
    if (pdev->exp.pri_cap && ranges_overlap(addr, len, pdev->exp.pri_cap, PCI_EXT_CAP_PRI_SIZEOF)) {
        sva_dma_pri_ctrl_written(s, pri);
    }
    pcie_cap_flr_write_config(pdev, addr, val, len);
    if (wakes && !sva_dma_d_state(s) && !s->no_soft_reset) {
        pci_device_reset(pdev); /* 5.3.1.4.1: D3hot to D0 */
    }
    sva_dma_kick(s);
}

static void sva_dma_reset(DeviceState *dev)
{
    SvaDma *s = SVA_DMA(dev);
    PCIDevice *pdev = PCI_DEVICE(dev);
    uint64_t resets = s->counter[SVA_DMA_CNT_RESETS];
    bool flr = pci_get_word(pdev->config + pdev->exp.exp_cap + PCI_EXP_DEVCTL) &
               PCI_EXP_DEVCTL_BCR_FLR;

    trace_sva_dma_reset(sva_dma_rid(s), flr);

    /* The PASID capability still is as software left it, so unregistering works. */
    sva_dma_pasids_unlisten_inv_all(s);
    sva_dma_unlisten_inv(&s->no_pasid);

    sva_dma_channels_reset(s, flr);
    sva_dma_pri_forget(s, SVA_DMA_ERR_STOPPED);
    sva_dma_pri_update_stopped(s);
    sva_dma_log_reset(s);
    sva_dma_stalls_forget(s);
    sva_dma_invs_forget(s);
    s->behaviour = s->first_behaviour;
    s->slow_ns = s->slow_us * SCALE_US;
    s->die = 0;
    s->pri_failed = false;
    s->ctrl = 0;
    s->raw_addr = 0;
    s->raw_pasid = 0;
    s->raw_status = SVA_DMA_RAW_OK;
    s->raw_count = 0;
    memset(s->counter, 0, sizeof(s->counter));
    s->counter[SVA_DMA_CNT_RESETS] = flr ? resets + 1 : 0;

    if (pdev->exp.ats_cap) {
        pci_set_word(pdev->config + pdev->exp.ats_cap + PCI_ATS_CTRL, 0);
    }
    if (pdev->exp.pasid_cap) {
        pci_set_word(pdev->config + pdev->exp.pasid_cap + PCI_PASID_CTRL, 0);
    }
    sva_dma_pri_reset(s);
    timer_del(s->timer);
}

/* ---- Device ---- */

/* The index of @name in @names, which ends with NULL; -1 if it is none of them. */
static int mode_of(const char *name, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (!strcmp(name, names[i])) {
            return i;
        }
    }
    return -1;
}

static bool sva_dma_check_modes(SvaDma *s, Error **errp)
{
    static const char *const inv[] = { "done", "slow", "hang", NULL };
    static const char *const stop[] = { "keep-atc", "instant", "wait", "hang", NULL };
    int inv_mode = s->inv_mode ? mode_of(s->inv_mode, inv) : 0;
    int stop_mode = s->stop_mode ? mode_of(s->stop_mode, stop) : 0;

    if (inv_mode < 0) {
        error_setg(errp, "x-inv must be done, slow or hang");
    } else if (stop_mode < 0) {
        error_setg(errp, "x-stop must be keep-atc, instant, wait or hang");
    } else if (s->slow_us > SVA_DMA_SLOW_US_MAX) {
        error_setg(errp, "x-slow-us must be %d at most", SVA_DMA_SLOW_US_MAX);
    } else {
        s->first_behaviour = inv_mode * (SVA_DMA_INV & -SVA_DMA_INV) |
                             stop_mode * (SVA_DMA_STOP & -SVA_DMA_STOP) |
                             (s->lie ? SVA_DMA_LIE : 0);
        return true;
    }
    return false;
}

static bool sva_dma_check_properties(SvaDma *s, Error **errp)
{
    if (!s->nr_channels || s->nr_channels > SVA_DMA_MAX_CHANNELS) {
        error_setg(errp, "channels must be 1 to %d", SVA_DMA_MAX_CHANNELS);
    } else if (!s->atc_entries || s->atc_entries > UINT16_MAX) {
        error_setg(errp, "atc-entries must be 1 to %d", UINT16_MAX);
    } else if (!s->pasid_bits || s->pasid_bits > 20) {
        error_setg(errp, "pasid-bits must be 1 to 20");
    } else if (!s->pri_requests) {
        error_setg(errp, "pri-requests must not be 0");
    } else if (!s->fault_entries || s->fault_entries > SVA_DMA_LOG_MAX) {
        error_setg(errp, "fault-entries must be 1 to %d", SVA_DMA_LOG_MAX);
    } else if (s->faults && (s->pri || !s->ats || !s->pasid)) {
        error_setg(errp, "faults=on is for a function with ATS and PASID, without PRI");
    } else {
        return true;
    }
    return false;
}

/* D0 and D3hot */
static bool sva_dma_init_pm(SvaDma *s, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    int cap;

    if (pci_is_vf(pdev)) {
        return true;
    }
    cap = pci_pm_init(pdev, 0, errp);
    if (cap < 0) {
        return false;
    }
    pci_set_word(pdev->config + cap + PCI_PM_PMC, PCI_PM_CAP_VER_1_2);
    pci_set_word(pdev->config + cap + PCI_PM_CTRL,
                 s->no_soft_reset ? PCI_PM_CTRL_NO_SOFT_RESET : 0);
    pci_set_word(pdev->wmask + cap + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
    return true;
}

/*
 * Extended capabilities. Virtual functions share the physical one's PASID and PRI, and its translation
 * unit (10.5.1.3).
 */
static bool sva_dma_init_extended(SvaDma *s, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint16_t cap = PCI_CONFIG_SPACE_SIZE;

    if (s->pasid && !pci_is_vf(pdev)) {
        pcie_pasid_init(pdev, cap, s->pasid_bits, true, true);
        cap += PCI_EXT_CAP_PASID_SIZEOF;
    }
    if (s->ats) {
        pcie_ats_init(pdev, cap, true);
        pci_word_test_and_set_mask(pdev->config + cap + PCI_ATS_CAP, ATS_CAP_GLOBAL_INVALIDATE);
        pci_set_word(pdev->wmask + cap + PCI_ATS_CTRL,
                     PCI_ATS_CTRL_ENABLE | (pci_is_vf(pdev) ? 0 : PCI_ATS_CTRL_STU(~0)));
        pdev->ats_inv_pending = sva_dma_inv_pending;
        cap += PCI_EXT_CAP_ATS_SIZEOF;
    }
    if (s->pri && !pci_is_vf(pdev)) {
        pcie_pri_init(pdev, cap, s->pri_requests, s->prg_pasid);
        cap += PCI_EXT_CAP_PRI_SIZEOF;
    }
    if (pci_is_vf(pdev)) {
        pcie_ari_init(pdev, cap);
        return true;
    }
    return pcie_sriov_pf_init_from_user_created_vfs(pdev, cap, errp) >= 0;
}

static void sva_dma_realize(PCIDevice *pdev, Error **errp)
{
    SvaDma *s = SVA_DMA(pdev);
    unsigned vectors = s->nr_channels + 1;

    if (!pci_bus_is_express(pci_get_bus(pdev))) {
        error_setg(errp, "sva-dma needs a PCI Express port: give bus=");
        return;
    }
    if (s->stall && !pci_bus_is_root(pci_get_bus(pdev))) {
        error_setg(errp, "no transaction waits on a link: stall=on needs bus=pcie.0");
        return;
    }
    if (s->stall) {
        pdev->cap_present |= QEMU_PCI_DMA_CAN_STALL;
        s->ats = false;
    }
    /* A device without ATS or PASIDs cannot send page requests. */
    s->pri = s->pri && s->ats && s->pasid;
    if (!sva_dma_check_properties(s, errp) || !sva_dma_check_modes(s, errp) ||
        pcie_endpoint_cap_init(pdev, 0) < 0) {
        return;
    }
    pcie_cap_flr_init(pdev);
    if (!sva_dma_init_pm(s, errp) || !sva_dma_init_extended(s, errp)) {
        pcie_cap_exit(pdev);
        return;
    }

    memory_region_init_io(&s->bar, OBJECT(s), &sva_dma_ops, s, TYPE_SVA_DMA, SVA_DMA_BAR_SIZE);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_MEM_TYPE_64, &s->bar);
    if (msix_init_exclusive_bar(pdev, vectors, 2, errp)) {
        pcie_cap_exit(pdev);
        return;
    }
    for (unsigned i = 0; i < vectors; i++) {
        msix_vector_use(pdev, i);
    }

    sva_dma_atc_init(s);
    sva_dma_pri_init(s);
    sva_dma_log_init(s);
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, sva_dma_tick, s);
}

static void sva_dma_exit(PCIDevice *pdev)
{
    SvaDma *s = SVA_DMA(pdev);

    pcie_sriov_pf_exit(pdev);
    timer_free(s->timer);
    sva_dma_stalls_forget(s);
    sva_dma_atc_exit(s);
    sva_dma_pri_exit(s);
    sva_dma_log_exit(s);
    msix_uninit_exclusive_bar(pdev);
    pcie_cap_exit(pdev);
}

static const Property sva_dma_properties[] = {
    DEFINE_PROP_UINT32("channels", SvaDma, nr_channels, 16),
    DEFINE_PROP_UINT32("atc-entries", SvaDma, atc_entries, 256),
    DEFINE_PROP_UINT32("pri-requests", SvaDma, pri_requests, 512),
    DEFINE_PROP_UINT8("pasid-bits", SvaDma, pasid_bits, 20),
    DEFINE_PROP_BOOL("ats", SvaDma, ats, true),
    DEFINE_PROP_BOOL("pri", SvaDma, pri, true),
    DEFINE_PROP_BOOL("pasid", SvaDma, pasid, true),
    DEFINE_PROP_BOOL("prg-response-pasid", SvaDma, prg_pasid, true),
    DEFINE_PROP_BOOL("stall", SvaDma, stall, false),
    DEFINE_PROP_BOOL("faults", SvaDma, faults, false),
    DEFINE_PROP_UINT32("fault-entries", SvaDma, fault_entries, 8),
    DEFINE_PROP_STRING("x-inv", SvaDma, inv_mode),
    DEFINE_PROP_STRING("x-stop", SvaDma, stop_mode),
    DEFINE_PROP_UINT32("x-slow-us", SvaDma, slow_us, 1000),
    DEFINE_PROP_BOOL("x-lie", SvaDma, lie, false),
    DEFINE_PROP_BOOL("x-no-soft-reset", SvaDma, no_soft_reset, false),
};

static const VMStateDescription sva_dma_vmstate = {
    .name = TYPE_SVA_DMA,
    .unmigratable = 1,
};

static void sva_dma_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = sva_dma_realize;
    pc->exit = sva_dma_exit;
    pc->config_write = sva_dma_config_write;
    pc->vendor_id = SVA_DMA_VENDOR_ID;
    pc->device_id = SVA_DMA_DEVICE_ID;
    pc->revision = SVA_DMA_REVISION;
    pc->class_id = CLASS_PROCESSING_ACCELERATOR;
    pc->sriov_vf_user_creatable = true;
    dc->vmsd = &sva_dma_vmstate;
    dc->desc = "DMA engine with PASID, ATS and PRI";
    device_class_set_legacy_reset(dc, sva_dma_reset);
    device_class_set_props(dc, sva_dma_properties);
    object_class_property_add_bool(klass, "x-gone", sva_dma_get_gone, sva_dma_set_gone);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo sva_dma_type[] = {
    {
        .name = TYPE_SVA_DMA,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(SvaDma),
        .class_init = sva_dma_class_init,
        .interfaces = (const InterfaceInfo[]) { { INTERFACE_PCIE_DEVICE }, {} },
    },
};

DEFINE_TYPES(sva_dma_type)
