/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-dma: channels: the steps of their jobs, how they stop, their registers.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/log.h"
#include "qemu/rcu.h"
#include "hw/pci/pci.h"
#include "system/address-spaces.h"
#include "sva-dma-internal.h"

#define STEPS_PER_TICK 16
#define FNV_PRIME 0x00000100000001b3ULL

/* ---- Steps ---- */

/*
 * There is no translation of @va. A device that can ask for the page does so; another one makes the
 * access with the address that it has, so that the IOMMU reports what becomes of it.
 */
static bool job_denied(SvaDma *s, Channel *c, uint64_t va, uint64_t base, unsigned need, Target *t)
{
    if (s->faults) {
        sva_dma_fault(s, c, va, need);
    } else if (sva_dma_physical(s)->pri) {
        sva_dma_request_pages(s, c, va, base, need);
    } else {
        return sva_dma_translate_or_stall(s, c, va, need, t);
    }
    return false;
}

/*
 * Find @base + offset's translation. If there is none the job waits for the page or has ended, and
 * the result is false. The target is good until the step ends, not longer.
 */
static bool job_translate(SvaDma *s, Channel *c, uint64_t base, unsigned need, Target *t)
{
    bool priv = c->job.flags & SVA_DMA_OP_PRIV;
    uint64_t va = base + c->offset;
    uint16_t forbidden = (need & IOMMU_EXEC ? PCI_PASID_CTRL_EXEC : 0) |
                         (priv ? PCI_PASID_CTRL_PRIV : 0);
    PCIDevice *pdev = PCI_DEVICE(sva_dma_physical(s));
    AtcEntry *hit;
    AtcEntry entry;

    if (pdev->exp.pasid_cap) {
        forbidden &= ~pci_get_word(pdev->config + pdev->exp.pasid_cap + PCI_PASID_CTRL);
    }
    if (forbidden) {
        sva_dma_job_end(s, c, SVA_DMA_ERR_TRANSLATION, va);
        return false;
    }

    if (s->stall) {
        return sva_dma_translate_or_stall(s, c, va, need, t);
    }

    hit = sva_dma_atc_lookup(s, c->pasid, priv, va, need);
    if (hit) {
        s->counter[SVA_DMA_CNT_ATC_HITS]++;
        entry = *hit;
    } else {
        s->counter[SVA_DMA_CNT_ATC_MISSES]++;
        switch (sva_dma_ats_request(s, c, va, need, &entry)) {
        case ATS_GRANTED:
            break;
        case ATS_DENIED:
            return job_denied(s, c, va, base, need, t);
        case ATS_ERROR:
            sva_dma_job_end(s, c, SVA_DMA_ERR_ATS, va);
            return false;
        }
    }
    t->as = entry.as;
    t->addr = entry.addr + (va & MAKE_64BIT_MASK(0, entry.shift));
    return true;
}

/* Only memory is a target: no register of any device is reached through a job. */
static void *target_host(Target *t, uint64_t len, bool write)
{
    hwaddr xlat, plen = len;
    MemoryRegion *mr;

    mr = address_space_translate(t->as, t->addr, &xlat, &plen, write, MEMTXATTRS_UNSPECIFIED);
    if (plen < len || !memory_region_is_ram(mr) || (write && mr->readonly)) {
        return NULL;
    }
    return memory_region_get_ram_ptr(mr) + xlat;
}

static bool target_read(SvaDma *s, Target *t, void *buf, uint64_t len)
{
    RCU_READ_LOCK_GUARD();

    if (!target_host(t, len, false) ||
        address_space_read(t->as, t->addr, MEMTXATTRS_UNSPECIFIED, buf, len)) {
        return false;
    }
    s->counter[SVA_DMA_CNT_BYTES_READ] += len;
    return true;
}

static bool target_write(SvaDma *s, Target *t, const void *buf, uint64_t len)
{
    RCU_READ_LOCK_GUARD();

    if (!target_host(t, len, true) ||
        address_space_write(t->as, t->addr, MEMTXATTRS_UNSPECIFIED, buf, len)) {
        return false;
    }
    s->counter[SVA_DMA_CNT_BYTES_WRITTEN] += len;
    return true;
}

static bool target_cas(SvaDma *s, Target *t, uint64_t expected, uint64_t wanted, uint64_t *old)
{
    hwaddr len = TOUCH_SIZE;
    uint64_t *host;

    RCU_READ_LOCK_GUARD();

    if (!target_host(t, len, true)) {
        return false;
    }
    host = address_space_map(t->as, t->addr, &len, true, MEMTXATTRS_UNSPECIFIED);
    if (!host) {
        return false;
    }
    *old = le64_to_cpu(qatomic_cmpxchg__nocheck(host, cpu_to_le64(expected), cpu_to_le64(wanted)));
    address_space_unmap(t->as, host, len, true, len);
    s->counter[SVA_DMA_CNT_BYTES_READ] += TOUCH_SIZE;
    s->counter[SVA_DMA_CNT_BYTES_WRITTEN] += *old == expected ? TOUCH_SIZE : 0;
    return true;
}

/* What a job needs where it reads */
static unsigned job_fetch(const DmaJob *j)
{
    return IOMMU_RO | (j->flags & SVA_DMA_OP_EXEC ? IOMMU_EXEC : 0);
}

/* What a step has done, unless the job waits or has ended */
typedef struct Step {
    uint64_t len;
    uint64_t base; /* of the range that the bus has refused, if it has */
    bool ok;
} Step;

static bool step_fill(SvaDma *s, Channel *c, Step *step)
{
    const DmaJob *j = &c->job;
    uint8_t buf[DMA_PAGE_SIZE];
    Target dst;

    step->len = sva_dma_job_chunk(j, c->offset, j->dst);
    if (!job_translate(s, c, j->dst, IOMMU_WO, &dst)) {
        return false;
    }
    for (uint64_t i = 0; i < step->len; i++) {
        buf[i] = j->arg0 >> (c->offset + i) % 8 * 8;
    }
    step->ok = target_write(s, &dst, buf, step->len);
    return true;
}

static bool step_copy(SvaDma *s, Channel *c, Step *step)
{
    const DmaJob *j = &c->job;
    uint8_t buf[DMA_PAGE_SIZE];
    Target src, dst;

    step->len = MIN(sva_dma_job_chunk(j, c->offset, j->src),
                    sva_dma_job_chunk(j, c->offset, j->dst));
    if (!job_translate(s, c, j->src, job_fetch(j), &src) ||
        !job_translate(s, c, j->dst, IOMMU_WO, &dst)) {
        return false;
    }
    step->ok = target_read(s, &src, buf, step->len);
    if (step->ok) {
        step->ok = target_write(s, &dst, buf, step->len);
    } else {
        step->base = j->src;
    }
    return true;
}

static bool step_checksum(SvaDma *s, Channel *c, Step *step)
{
    const DmaJob *j = &c->job;
    uint8_t buf[DMA_PAGE_SIZE];
    Target src;

    step->len = sva_dma_job_chunk(j, c->offset, j->src);
    step->base = j->src;
    if (!job_translate(s, c, j->src, job_fetch(j), &src)) {
        return false;
    }
    step->ok = target_read(s, &src, buf, step->len);
    for (uint64_t i = 0; step->ok && i < step->len; i++) {
        c->hash = (c->hash ^ buf[i]) * FNV_PRIME;
    }
    return true;
}

static bool step_cas(SvaDma *s, Channel *c, Step *step)
{
    const DmaJob *j = &c->job;
    Target dst;

    step->len = TOUCH_SIZE;
    if (!job_translate(s, c, j->dst, IOMMU_RW, &dst)) {
        return false;
    }
    step->ok = target_cas(s, &dst, j->arg0, j->arg1, &c->result);
    return true;
}

/* False if the job waits or has ended. */
static bool step_do(SvaDma *s, Channel *c, Step *step)
{
    switch (c->job.op) {
    case SVA_DMA_OP_FILL:
        return step_fill(s, c, step);
    case SVA_DMA_OP_COPY:
        return step_copy(s, c, step);
    case SVA_DMA_OP_CHECKSUM:
        return step_checksum(s, c, step);
    case SVA_DMA_OP_CAS:
        return step_cas(s, c, step);
    default:
        g_assert_not_reached();
    }
}

static void job_pass_done(SvaDma *s, Channel *c)
{
    DmaJob *j = &c->job;

    if (j->op == SVA_DMA_OP_CHECKSUM) {
        c->result = c->hash;
    }
    c->passes++;
    if (!j->repeats) {
        sva_dma_job_end(s, c, SVA_DMA_DONE, 0);
        return;
    }
    if (j->repeats != UINT32_MAX) {
        j->repeats--;
    }
    c->offset = 0;
    c->hash = FNV_BASIS;
}

/* One step. The job goes on if the channel is still CHANNEL_RUNNING afterwards. */
static void job_step(SvaDma *s, Channel *c)
{
    DmaJob *j = &c->job;
    Step step = { .base = j->dst };

    if (!step_do(s, c, &step)) {
        return;
    }
    if (!step.ok) {
        sva_dma_job_end(s, c, SVA_DMA_ERR_BUS, step.base + c->offset);
        return;
    }
    c->retries = 0;
    c->bytes += step.len;
    c->offset = sva_dma_job_advance(j, c->offset, step.len);
    if (c->offset >= j->len) {
        job_pass_done(s, c);
    }
}

/* What @c's job does in this tick. */
void sva_dma_job_run(SvaDma *s, Channel *c, int64_t now)
{
    for (unsigned n = 0; n < STEPS_PER_TICK && c->state == CHANNEL_RUNNING && c->not_before <= now;
         n++) {
        bool ask = c->ask;

        c->ask = false;
        if (sva_dma_is_master(s)) {
            job_step(s, c);
        } else if (ask) {
            sva_dma_request_pages(s, c, c->ask_base + c->offset, c->ask_base, c->ask_need);
        } else {
            return;
        }
        if (c->job.pace) {
            c->not_before = MAX(c->not_before, now + c->job.pace);
        }
    }
}

/* ---- Stop ---- */

static bool channel_unanswered(SvaDma *s, Channel *c)
{
    Stall *t;

    for (unsigned i = 0; i < NR_PRG; i++) {
        if (s->group[i].sent && s->group[i].channel == c->id && s->group[i].pasid == c->pasid) {
            return true;
        }
    }
    QLIST_FOREACH(t, &s->stalls, next) {
        if (t->owner == c->id && t->pasid == c->pasid) {
            return true;
        }
    }
    return false;
}

static void channel_stopped(SvaDma *s, Channel *c)
{
    c->stopping = false;
    if ((s->behaviour & SVA_DMA_STOP) != SVA_DMA_STOP_KEEP_ATC &&
        !sva_dma_pasid_of_channel(s, c->pasid)) {
        sva_dma_atc_invalidate(s, c->pasid, 0, UINT64_MAX);
    }
}

/*
 * What a function promises when it has stopped to use a PASID (6.20.1): it queues no requests, all
 * that it has sent is complete, and as to page requests (10.4.1.2) either a stop marker follows
 * them, or all of them have been answered. The ATC is not mentioned: software invalidates it before
 * the PASID is used again, so few devices do.
 */
static void channel_stop(SvaDma *s, Channel *c)
{
    unsigned mode = s->behaviour & SVA_DMA_STOP;

    c->stopping = true;
    if (mode == SVA_DMA_STOP_HANG) {
        return;
    }
    if (c->state != CHANNEL_IDLE) {
        sva_dma_job_end(s, c, SVA_DMA_ERR_STOPPED, c->fault_addr);
    }
    c->enabled = false;
    if (mode == SVA_DMA_STOP_WAIT) {
        sva_dma_kick(s);
        return;
    }
    if (channel_unanswered(s, c) && sva_dma_pri_usable(s)) {
        sva_dma_send_stop_marker(s, c->pasid);
    }
    channel_stopped(s, c);
}

void sva_dma_channel_go_on_stopping(SvaDma *s, Channel *c)
{
    if (!c->stopping || (s->behaviour & SVA_DMA_STOP) == SVA_DMA_STOP_HANG) {
        return;
    }
    if (c->enabled || c->state != CHANNEL_IDLE) {
        channel_stop(s, c); /* It did not obey before. */
    }
    if (c->stopping && !channel_unanswered(s, c)) {
        channel_stopped(s, c);
    }
}

/* The end of all jobs; of a channel's state its status is left, if @keep_status. */
void sva_dma_channels_reset(SvaDma *s, bool keep_status)
{
    for (unsigned i = 0; i < s->nr_channels; i++) {
        Channel *c = &s->channel[i];

        if (c->state != CHANNEL_IDLE) {
            sva_dma_job_end(s, c, SVA_DMA_ERR_STOPPED, c->fault_addr);
        }
        *c = (Channel) { .id = i, .vector = i, .status = keep_status ? c->status : SVA_DMA_IDLE };
    }
}

/* ---- Registers ---- */

uint32_t sva_dma_channel_read(Channel *c, unsigned reg)
{
    switch (reg) {
    case SVA_DMA_CHAN_CTRL:
        return (c->enabled ? SVA_DMA_CHAN_ENABLE : 0) | (c->no_pri ? SVA_DMA_CHAN_NO_PRI : 0);
    case SVA_DMA_CHAN_PASID:
        return c->pasid;
    case SVA_DMA_CHAN_VECTOR:
        return c->vector;
    case SVA_DMA_CHAN_STATUS:
        return (c->enabled ? SVA_DMA_CHAN_ENABLED : 0) |
               (channel_busy(c) ? SVA_DMA_CHAN_BUSY : 0) |
               (c->state == CHANNEL_FAULTED ? SVA_DMA_CHAN_FAULTED : 0);
    default:
        return 0;
    }
}

void sva_dma_channel_write(SvaDma *s, Channel *c, unsigned reg, uint32_t val)
{
    switch (reg) {
    case SVA_DMA_CHAN_CTRL:
        c->no_pri = val & SVA_DMA_CHAN_NO_PRI;
        if (val & SVA_DMA_CHAN_STOP) {
            channel_stop(s, c);
        } else if (!(val & SVA_DMA_CHAN_ENABLE)) {
            c->enabled = false;
        } else if (!c->enabled && !c->stopping) {
            c->enabled = true;
            c->count = 0;
            if (c->state == CHANNEL_IDLE) {
                c->status = SVA_DMA_IDLE;
            }
        }
        break;
    case SVA_DMA_CHAN_PASID:
        if (!c->enabled && !channel_busy(c)) {
            c->pasid = val & MAKE_64BIT_MASK(0, s->pasid_bits);
        } else {
            qemu_log_mask(LOG_GUEST_ERROR, "sva-dma: PASID of channel %d written in use\n", c->id);
        }
        break;
    case SVA_DMA_CHAN_VECTOR:
        c->vector = val;
        break;
    case SVA_DMA_CHAN_RESUME:
        sva_dma_fault_resume(s, c, val);
        break;
    }
}
