/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-dma: missing pages of which it tells software by its own means: the fault log.
 *
 * A fault goes into the log at once if there is room, else when software has taken an entry; the
 * channels take turns. What software says afterwards, it says with the fault's tag.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "hw/pci/pci.h"
#include "sva-dma-internal.h"
#include "trace.h"

static void log_add(SvaDma *s, Channel *c)
{
    s->log[(s->log_head + s->log_count) % s->fault_entries] = c->fault;
    s->log_count++;
    c->fault_waits = false;
    s->log_irq_due = true;
    sva_dma_kick(s);
}

static bool log_is_full(SvaDma *s)
{
    return s->log_count == s->fault_entries;
}

static bool waits_for_room(Channel *c)
{
    return c->state == CHANNEL_FAULTED && c->fault_waits;
}

/* The step of @c at @va lacks a page. The job waits or has ended afterwards. */
void sva_dma_fault(SvaDma *s, Channel *c, uint64_t va, unsigned need)
{
    if (c->no_pri || c->retries >= MAX_RETRIES) {
        sva_dma_job_end(s, c, SVA_DMA_ERR_TRANSLATION, va);
        return;
    }
    c->retries++;
    c->fault_tag++;
    c->fault_addr = va;
    c->state = CHANNEL_FAULTED;
    c->fault = (Fault) {
        .va = va,
        .pasid = c->pasid,
        .info = SVA_DMA_LOG_VALID | c->id |
                (need & IOMMU_RO ? SVA_DMA_LOG_READ : 0) |
                (need & IOMMU_WO ? SVA_DMA_LOG_WRITE : 0) |
                (need & IOMMU_EXEC ? SVA_DMA_LOG_EXEC : 0) |
                (c->job.flags & SVA_DMA_OP_PRIV ? SVA_DMA_LOG_PRIV : 0) |
                (c->fault_tag << 16 & SVA_DMA_LOG_TAG),
    };
    c->fault_waits = true;
    s->counter[SVA_DMA_CNT_FAULTS]++;
    trace_sva_dma_fault(sva_dma_rid(s), c->id, c->pasid, va, c->fault.info, log_is_full(s));
    if (log_is_full(s)) {
        s->counter[SVA_DMA_CNT_FAULT_WAITS]++;
    } else {
        log_add(s, c);
    }
}

void sva_dma_fault_resume(SvaDma *s, Channel *c, uint32_t val)
{
    if (c->state != CHANNEL_FAULTED || (val ^ c->fault.info) & SVA_DMA_RESUME_TAG) {
        return;
    }
    if (val & SVA_DMA_RESUME_FAIL) {
        s->counter[SVA_DMA_CNT_FAULTS_FAILED]++;
        sva_dma_job_end(s, c, SVA_DMA_ERR_FAULT, c->fault_addr);
    } else {
        s->counter[SVA_DMA_CNT_FAULTS_RESUMED]++;
        c->state = CHANNEL_RUNNING;
        sva_dma_kick(s);
    }
}

/* ---- The log ---- */

static uint32_t log_info(SvaDma *s)
{
    uint32_t info = s->log_count ? s->log[s->log_head].info : 0;

    for (unsigned i = 0; i < s->nr_channels; i++) {
        info |= waits_for_room(&s->channel[i]) ? SVA_DMA_LOG_OVERFLOW : 0;
    }
    return info;
}

uint32_t sva_dma_log_read(SvaDma *s, unsigned reg)
{
    Fault none = {};
    Fault *oldest = s->log_count ? &s->log[s->log_head] : &none;

    switch (reg) {
    case SVA_DMA_REG_LOG_PASID:
        return oldest->pasid;
    case SVA_DMA_REG_LOG_INFO:
        return log_info(s);
    default:
        return reg_half(oldest->va, reg);
    }
}

/* Software has seen the oldest entry: there is room for another one. */
void sva_dma_log_take(SvaDma *s)
{
    if (!s->log_count) {
        return;
    }
    s->log_head = (s->log_head + 1) % s->fault_entries;
    s->log_count--;
    for (unsigned i = 0; i < s->nr_channels; i++) {
        Channel *c = &s->channel[(s->log_next + i) % s->nr_channels];

        if (waits_for_room(c)) {
            log_add(s, c);
            s->log_next = c->id + 1;
            return;
        }
    }
}

void sva_dma_log_reset(SvaDma *s)
{
    s->log_head = s->log_count = 0;
    s->log_next = 0;
    s->log_irq_due = false;
}

/* ---- Begin and end ---- */

void sva_dma_log_init(SvaDma *s)
{
    s->log = g_new0(Fault, s->fault_entries);
}

void sva_dma_log_exit(SvaDma *s)
{
    g_free(s->log);
}
