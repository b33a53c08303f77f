/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-dma: jobs: the job page, and a job's begin, way and end.
 */
#include "qemu/osdep.h"
#include "sva-dma-internal.h"
#include "trace.h"

/* ---- Begin and end ---- */

static uint32_t job_param(Channel *c, unsigned reg)
{
    return c->params[reg / 4];
}

static uint64_t job_param64(Channel *c, unsigned reg)
{
    return c->params[reg / 4] | (uint64_t)c->params[reg / 4 + 1] << 32;
}

static Stall *stall_of(SvaDma *s, Channel *c)
{
    Stall *t;

    QLIST_FOREACH(t, &s->stalls, next) {
        if (t->channel == c) {
            return t;
        }
    }
    g_assert_not_reached();
}

void sva_dma_job_end(SvaDma *s, Channel *c, enum sva_dma_status status, uint64_t addr)
{
    trace_sva_dma_job_end(sva_dma_rid(s), c->id, c->pasid, status, addr, c->bytes);

    if (c->state == CHANNEL_NEEDS_ANSWER) {
        s->group[c->prgi].waiting = false;
    }
    if (c->state == CHANNEL_STALLED) {
        stall_of(s, c)->channel = NULL;
    }
    c->state = CHANNEL_IDLE;
    c->status = status;
    c->fault_addr = addr;
    c->count++;
    s->counter[status == SVA_DMA_DONE ? SVA_DMA_CNT_JOBS_DONE : SVA_DMA_CNT_JOBS_FAILED]++;
    if (c->job.flags & SVA_DMA_OP_IRQ) {
        c->irq_due = true;
        sva_dma_kick(s);
    }
}

static bool job_valid(const DmaJob *j)
{
    if (j->group > SVA_DMA_JOB_GROUP_MAX) {
        return false;
    }
    switch (j->op) {
    case SVA_DMA_OP_FILL:
    case SVA_DMA_OP_CHECKSUM:
        return j->len && (!j->step || j->step >= TOUCH_SIZE);
    case SVA_DMA_OP_COPY:
        return j->len;
    case SVA_DMA_OP_CAS:
        return j->dst % TOUCH_SIZE == 0;
    default:
        return false;
    }
}

static void job_begin(SvaDma *s, Channel *c)
{
    uint32_t op = job_param(c, SVA_DMA_JOB_OP);

    if (c->state != CHANNEL_IDLE) {
        return;
    }

    c->bytes = 0;
    c->result = 0;
    c->passes = 0;
    c->fault_addr = 0;
    if (!c->enabled) {
        c->status = SVA_DMA_ERR_DISABLED;
        return;
    }

    c->job = (DmaJob) {
        .op = op & SVA_DMA_OP_MASK,
        .flags = op & ~(SVA_DMA_OP_MASK | SVA_DMA_OP_GROUP),
        .group = MAX(1, (op & SVA_DMA_OP_GROUP) >> SVA_DMA_OP_GROUP_SHIFT),
        .src = job_param64(c, SVA_DMA_JOB_SRC),
        .dst = job_param64(c, SVA_DMA_JOB_DST),
        .len = job_param64(c, SVA_DMA_JOB_LEN),
        .arg0 = job_param64(c, SVA_DMA_JOB_ARG0),
        .arg1 = job_param64(c, SVA_DMA_JOB_ARG1),
        .repeats = job_param(c, SVA_DMA_JOB_REPEAT),
        .pace = job_param(c, SVA_DMA_JOB_PACE),
    };
    if (c->job.op == SVA_DMA_OP_CAS) {
        c->job.len = TOUCH_SIZE;
    } else if (c->job.op != SVA_DMA_OP_COPY) {
        c->job.step = job_param64(c, SVA_DMA_JOB_STEP);
    }
    trace_sva_dma_job(sva_dma_rid(s), c->id, c->pasid, op, c->job.src, c->job.dst, c->job.len);

    if (!job_valid(&c->job)) {
        sva_dma_job_end(s, c, SVA_DMA_ERR_OP, 0);
        return;
    }
    c->status = SVA_DMA_RUNNING;
    c->state = CHANNEL_RUNNING;
    c->offset = 0;
    c->hash = FNV_BASIS;
    c->retries = 0;
    c->not_before = 0;
    sva_dma_kick(s);
}

/* ---- The way ---- */

/*
 * Where a job goes on after @len bytes at @offset: right there, or with the next touch if it only
 * touches every so many bytes.
 */
uint64_t sva_dma_job_advance(const DmaJob *j, uint64_t offset, uint64_t len)
{
    uint64_t touch;

    if (!j->step) {
        return offset + len;
    }
    touch = offset - offset % j->step;
    if (offset + len < touch + TOUCH_SIZE) {
        return offset + len;
    }
    return touch + j->step > touch ? touch + j->step : UINT64_MAX;
}

/* How far a step may go at @offset with pages at @base + @offset. */
uint64_t sva_dma_job_chunk(const DmaJob *j, uint64_t offset, uint64_t base)
{
    uint64_t end = j->len;

    if (j->step) {
        end = MIN(end, offset - offset % j->step + TOUCH_SIZE);
    }
    return MIN(end - offset, DMA_PAGE_SIZE - (base + offset) % DMA_PAGE_SIZE);
}

/* ---- The job page ---- */

uint32_t sva_dma_job_read(Channel *c, unsigned reg)
{
    if (reg < SVA_DMA_JOB_START) {
        return job_param(c, reg);
    }
    switch (reg & ~7) {
    case SVA_DMA_JOB_STATUS:
        return reg == SVA_DMA_JOB_STATUS ? c->status : c->count;
    case SVA_DMA_JOB_RESULT:
        return reg_half(c->result, reg);
    case SVA_DMA_JOB_BYTES:
        return reg_half(c->bytes, reg);
    case SVA_DMA_JOB_FAULT_ADDR:
        return reg_half(c->fault_addr, reg);
    case SVA_DMA_JOB_PASSES:
        return reg == SVA_DMA_JOB_PASSES ? c->passes : 0;
    default:
        return 0;
    }
}

void sva_dma_job_write(SvaDma *s, Channel *c, unsigned reg, uint32_t val)
{
    if (reg < SVA_DMA_JOB_START) {
        c->params[reg / 4] = val;
    } else if (reg == SVA_DMA_JOB_START) {
        job_begin(s, c);
    } else if (reg == SVA_DMA_JOB_ABORT && c->state != CHANNEL_IDLE) {
        sva_dma_job_end(s, c, SVA_DMA_ERR_STOPPED, c->fault_addr);
    }
}
