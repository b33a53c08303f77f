/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-dma: how it asks for pages: page requests, of jobs and raw ones, with their credits and
 * answers; accesses that the IOMMU has stalled.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "sva-dma-internal.h"
#include "trace.h"

/* The IOMMU itself answers "Success" when its queue has no room: ask again after a while. */
#define OVERFLOW_WAIT_NS 100000

/* ---- Credits and status ---- */

static uint64_t raw_key(uint32_t pasid, uint16_t prgi)
{
    return (uint64_t)pasid << 16 | prgi;
}

/* ... of all that share the interface */
static uint32_t pri_outstanding(SvaDma *s)
{
    uint32_t sum = 0;
    SvaDma *f;

    for (unsigned n = 0; (f = pri_function(s, n)); n++) {
        sum += f->outstanding;
    }
    return sum;
}

static uint32_t pri_credit(SvaDma *s)
{
    uint32_t allocation = MIN(pcie_pri_get_req_alloc(PCI_DEVICE(s)),
                              sva_dma_physical(s)->pri_requests);
    uint32_t outstanding = pri_outstanding(s);

    if (s->behaviour & SVA_DMA_LIE) {
        return UINT32_MAX;
    }
    return allocation > outstanding ? allocation - outstanding : 0;
}

static bool pri_has_failed(SvaDma *s)
{
    return sva_dma_physical(s)->pri_failed;
}

bool sva_dma_pri_usable(SvaDma *s)
{
    return pcie_pri_enabled(PCI_DEVICE(s)) && !pri_has_failed(s) &&
           pcie_pri_get_req_alloc(PCI_DEVICE(s));
}

static void pri_status_set(SvaDma *s, uint16_t bits)
{
    PCIDevice *pdev = PCI_DEVICE(sva_dma_physical(s));

    if (pdev->exp.pri_cap) {
        pci_word_test_and_set_mask(pdev->config + pdev->exp.pri_cap + PCI_PRI_STATUS, bits);
    }
}

static void pri_status_clear(SvaDma *s, uint16_t bits)
{
    PCIDevice *pdev = PCI_DEVICE(sva_dma_physical(s));

    if (pdev->exp.pri_cap) {
        pci_word_test_and_clear_mask(pdev->config + pdev->exp.pri_cap + PCI_PRI_STATUS, bits);
    }
}

/* "Stopped": asks for nothing any more, and all that was asked for is answered. */
void sva_dma_pri_update_stopped(SvaDma *s)
{
    if (!pri_outstanding(s) && (!pcie_pri_enabled(PCI_DEVICE(s)) || pri_has_failed(s))) {
        pri_status_set(s, PCI_PRI_STATUS_STOPPED);
    }
}

void sva_dma_wake_credit_waiters(SvaDma *s)
{
    SvaDma *f;

    for (unsigned n = 0; (f = pri_function(s, n)); n++) {
        for (unsigned i = 0; i < f->nr_channels; i++) {
            if (f->channel[i].state == CHANNEL_NEEDS_CREDIT) {
                f->channel[i].state = CHANNEL_RUNNING;
            }
        }
        sva_dma_kick(f);
    }
}

/* Forget all groups of a function; the jobs that wait for one end with @status. */
void sva_dma_pri_forget(SvaDma *s, enum sva_dma_status status)
{
    for (unsigned i = 0; i < s->nr_channels; i++) {
        Channel *c = &s->channel[i];

        if (c->state == CHANNEL_NEEDS_ANSWER) {
            sva_dma_job_end(s, c, status, c->fault_addr);
        }
    }
    memset(s->group, 0, sizeof(s->group));
    memset(s->raw_use, 0, sizeof(s->raw_use));
    g_hash_table_remove_all(s->raw_groups);
    s->outstanding = 0;
    sva_dma_wake_credit_waiters(s);
}

static void pri_forget_all(SvaDma *s, enum sva_dma_status status)
{
    SvaDma *f;

    for (unsigned n = 0; (f = pri_function(s, n)); n++) {
        sva_dma_pri_forget(f, status);
    }
}

/* ---- Answers ---- */

static void raw_answer_push(SvaDma *s, uint16_t prgi, uint8_t code, uint32_t flags)
{
    unsigned tail = (s->raw_head + s->raw_count) % RAW_ANSWERS;

    s->raw_answer[tail] = SVA_DMA_RAW_RESP_VALID | flags | code << 12 | prgi;
    if (s->raw_count < RAW_ANSWERS) {
        s->raw_count++;
    } else {
        s->raw_head = (s->raw_head + 1) % RAW_ANSWERS;
    }
}

uint32_t sva_dma_raw_answer(SvaDma *s)
{
    uint32_t answer;

    if (!s->raw_count) {
        return 0;
    }
    answer = s->raw_answer[s->raw_head];
    s->raw_head = (s->raw_head + 1) % RAW_ANSWERS;
    s->raw_count--;
    return answer;
}

/*
 * Whether a response with @pasid, or PCI_NO_PASID, and @code is for a group of @asked: the PASID is
 * required or must not be there, as the PRI status says, but a Response Failure is for the whole
 * function and may come without.
 */
static bool response_matches(SvaDma *s, uint32_t pasid, uint8_t code, uint32_t asked)
{
    bool required = sva_dma_physical(s)->prg_pasid;

    return pasid == PCI_NO_PASID ? !required || code > 1 : required && pasid == asked;
}

/* The raw group that a response with this index is for, which may not be complete. */
static RawGroup *raw_find(SvaDma *s, uint32_t pasid, uint16_t prgi, uint8_t code)
{
    GHashTableIter it;
    RawGroup *raw;

    if (!s->raw_use[prgi]) {
        return NULL;
    }
    g_hash_table_iter_init(&it, s->raw_groups);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&raw)) {
        if ((raw->key & 0xffff) == prgi && response_matches(s, pasid, code, raw->key >> 16)) {
            return raw;
        }
    }
    return NULL;
}

static void answer_job(SvaDma *s, Group *g, uint8_t code)
{
    Channel *c = &s->channel[g->channel];
    bool waiting = g->waiting;

    s->outstanding -= g->messages;
    *g = (Group) {};
    if (waiting && code == 0) {
        c->state = CHANNEL_RUNNING;
    } else if (waiting) {
        sva_dma_job_end(s, c, code == 1 ? SVA_DMA_ERR_PRI_INVALID : SVA_DMA_ERR_PRI_FAILURE,
                        c->fault_addr);
    }
}

static void answer_raw(SvaDma *s, RawGroup *raw, uint16_t prgi, uint8_t code)
{
    s->outstanding -= raw->messages;
    s->raw_use[prgi]--;
    g_hash_table_remove(s->raw_groups, &raw->key);
    raw_answer_push(s, prgi, code, 0);
}

/* A page group response message. Runs inside the IOMMU's register write, or our own request. */
static void sva_dma_answered(IOMMUPRINotifier *n, IOMMUPRIResponse *response)
{
    PasidContext *p = container_of(n, PasidContext, pri);
    SvaDma *s = p->dev;
    uint16_t prgi = response->prgi % NR_PRG;
    uint8_t code = response->message_code & 0xf;
    RawGroup *raw = raw_find(s, p->pasid, prgi, code);
    Group *g = &s->group[prgi];
    bool of_job = g->sent && response_matches(s, p->pasid, code, g->pasid);
    bool of_raw = raw && (raw->last_sent || code > 1);

    trace_sva_dma_page_response(sva_dma_rid(s), p->pasid, prgi, code, of_job || of_raw);

    if (pri_has_failed(s) || !(of_job || of_raw)) {
        s->counter[SVA_DMA_CNT_PRI_UNEXPECTED]++;
        if (pcie_pri_enabled(PCI_DEVICE(s)) && !pri_has_failed(s)) {
            pri_status_set(s, PCI_PRI_STATUS_UPRGI);
        }
        raw_answer_push(s, prgi, code, SVA_DMA_RAW_RESP_UNEXPECTED);
        return;
    }

    s->counter[code == 0 ? SVA_DMA_CNT_PRI_SUCCESS :
               code == 1 ? SVA_DMA_CNT_PRI_INVALID : SVA_DMA_CNT_PRI_FAILURE]++;

    if (of_job) {
        answer_job(s, g, code);
    } else {
        answer_raw(s, raw, prgi, code);
    }

    if (code > 1) {
        /* No more page requests, and no more heed to answers, until PRI is enabled anew */
        sva_dma_physical(s)->pri_failed = true;
        pri_status_set(s, PCI_PRI_STATUS_RF);
        pri_forget_all(s, SVA_DMA_ERR_PRI_FAILURE);
    }
    sva_dma_pri_update_stopped(s);
    sva_dma_wake_credit_waiters(s);
}

/* ---- Requests ---- */

typedef struct PageRequest {
    uint32_t pasid;
    uint64_t va;
    uint16_t prgi;
    bool read, write, exec, priv, last;
} PageRequest;

/* Send a page request message, or a stop marker; false if the root complex does not take it. */
static bool pri_send(SvaDma *s, const PageRequest *r)
{
    int ret;

    trace_sva_dma_page_request(sva_dma_rid(s), r->pasid, r->va, r->prgi, r->read, r->write,
                               r->last);
    ret = pci_pri_request_page(PCI_DEVICE(s), r->pasid, r->priv, r->exec, r->va & DMA_PAGE_MASK,
                               r->last, r->prgi, r->read, r->write);
    if (ret) {
        s->counter[SVA_DMA_CNT_PRI_REFUSED]++;
        return false;
    }
    if (r->last && !r->read && !r->write) {
        s->counter[SVA_DMA_CNT_PRI_STOP_MARKERS]++;
    } else {
        s->counter[SVA_DMA_CNT_PRI_REQUESTS]++;
        s->counter[SVA_DMA_CNT_PRI_GROUPS] += r->last;
    }
    return true;
}

/* After this no request for @pasid follows that comes before the marker. */
void sva_dma_send_stop_marker(SvaDma *s, uint32_t pasid)
{
    PageRequest marker = { .pasid = pasid, .last = true };

    pri_send(s, &marker);
}

static int prgi_get(SvaDma *s)
{
    for (unsigned i = 0; i < NR_PRG; i++) {
        uint16_t prgi = (s->next_prgi + i) % NR_PRG;

        if (!s->group[prgi].sent && !s->raw_use[prgi]) {
            s->next_prgi = (prgi + 1) % NR_PRG;
            return prgi;
        }
    }
    return -1;
}

/*
 * The pages to ask for: @base + offset's, which is known to be missing, and those of the next pages
 * on the job's way that turn out to be missing too, @max in all and no further than @max pages on.
 */
static unsigned job_missing_pages(SvaDma *s, Channel *c, uint64_t base, unsigned need,
                                  uint64_t *page, unsigned max)
{
    bool priv = c->job.flags & SVA_DMA_OP_PRIV;
    uint64_t offset = c->offset;
    uint64_t current = (base + offset) & DMA_PAGE_MASK;
    unsigned found = 0;

    page[found++] = current;
    for (unsigned seen = 1; seen < max;) {
        AtcEntry unused;

        offset = sva_dma_job_advance(&c->job, offset, sva_dma_job_chunk(&c->job, offset, base));
        if (offset >= c->job.len) {
            break;
        }
        if (((base + offset) & DMA_PAGE_MASK) == current) {
            continue;
        }
        current = (base + offset) & DMA_PAGE_MASK;
        seen++;
        if (!sva_dma_atc_lookup(s, c->pasid, priv, current, need) &&
            sva_dma_ats_request(s, c, current, need, &unused) == ATS_DENIED) {
            page[found++] = current;
        }
    }
    return found;
}

/* Send @c's group: requests for @nr pages. */
static void group_send(SvaDma *s, Channel *c, const uint64_t *page, unsigned nr, unsigned need)
{
    Group *g = &s->group[c->prgi];

    *g = (Group) { .sent = true, .waiting = true, .channel = c->id, .pasid = c->pasid };
    for (unsigned i = 0; i < nr; i++) {
        PageRequest r = {
            .pasid = c->pasid,
            .va = page[i],
            .prgi = c->prgi,
            .read = need & IOMMU_RO,
            .write = need & IOMMU_WO,
            .exec = need & IOMMU_EXEC,
            .priv = c->job.flags & SVA_DMA_OP_PRIV,
            .last = i == nr - 1,
        };

        /* Counted before it is sent: the answer to the last one may be here when that returns. */
        g->messages++;
        s->outstanding++;
        if (!pri_send(s, &r)) {
            s->outstanding -= g->messages;
            sva_dma_job_end(s, c, SVA_DMA_ERR_TRANSLATION, c->fault_addr);
            *g = (Group) {};
            sva_dma_wake_credit_waiters(s);
            return;
        }
        if (pri_has_failed(s)) {
            return; /* The job has ended: its first message was answered Response Failure. */
        }
    }
    if (c->state == CHANNEL_RUNNING) {
        /* Software has not seen the request yet. */
        c->retries--;
        c->not_before = now_ns() + OVERFLOW_WAIT_NS;
    }
}

/* Ask for what the step at @va lacks. The job waits or has ended afterwards. */
void sva_dma_request_pages(SvaDma *s, Channel *c, uint64_t va, uint64_t base, unsigned need)
{
    uint64_t page[SVA_DMA_JOB_GROUP_MAX];
    uint32_t credit = pri_credit(s);
    unsigned nr;
    int prgi;

    if (c->no_pri || !sva_dma_pri_usable(s) || c->retries >= MAX_RETRIES) {
        sva_dma_job_end(s, c, pri_has_failed(s) ? SVA_DMA_ERR_PRI_FAILURE :
                                                  SVA_DMA_ERR_TRANSLATION, va);
        return;
    }
    prgi = credit ? prgi_get(s) : -1;
    if (prgi < 0) {
        s->counter[SVA_DMA_CNT_PRI_CREDIT_WAITS]++;
        c->state = CHANNEL_NEEDS_CREDIT;
        c->ask = true;
        c->ask_base = base;
        c->ask_need = need;
        return;
    }

    /* Without bus mastering the device cannot find out what else is missing. */
    nr = job_missing_pages(s, c, base, need, page,
                           sva_dma_is_master(s) ? MIN(c->job.group, credit) : 1);

    c->retries++;
    c->fault_addr = va;
    c->prgi = prgi;
    c->state = CHANNEL_NEEDS_ANSWER;
    group_send(s, c, page, nr, need);
}

/* Send one request of a raw group; returns what becomes of it. */
static uint32_t raw_request(SvaDma *s, const PageRequest *r)
{
    uint64_t key = raw_key(r->pasid, r->prgi);
    RawGroup *raw = g_hash_table_lookup(s->raw_groups, &key);

    if (s->group[r->prgi].sent || (raw && raw->last_sent) || !pri_credit(s)) {
        return SVA_DMA_RAW_BUSY;
    }
    if (!raw) {
        raw = g_new0(RawGroup, 1);
        raw->key = key;
        g_hash_table_insert(s->raw_groups, &raw->key, raw);
        s->raw_use[r->prgi]++;
    }
    raw->messages++;
    raw->last_sent = r->last;
    s->outstanding++;
    if (pri_send(s, r)) {
        return SVA_DMA_RAW_OK;
    }
    /* Refused, so nothing has been answered and @raw is still there. */
    s->outstanding--;
    raw->last_sent = false;
    if (!--raw->messages) {
        s->raw_use[r->prgi]--;
        g_hash_table_remove(s->raw_groups, &key);
    }
    return SVA_DMA_RAW_REFUSED;
}

void sva_dma_raw_send(SvaDma *s, uint32_t val)
{
    PageRequest r = {
        .pasid = s->raw_pasid,
        .va = s->raw_addr,
        .prgi = val & SVA_DMA_RAW_PRGI,
        .read = val & SVA_DMA_RAW_READ,
        .write = val & SVA_DMA_RAW_WRITE,
        .exec = val & SVA_DMA_RAW_EXEC,
        .priv = val & SVA_DMA_RAW_PRIV,
        .last = val & SVA_DMA_RAW_LAST,
    };
    PasidContext *p;

    if (val & SVA_DMA_RAW_STOP_MARKER) {
        r.read = r.write = r.exec = false;
        r.last = true;
    }
    p = sva_dma_pri_usable(s) ? sva_dma_pasid_listen(s, r.pasid) : NULL;
    if (!p || !p->pri_registered) {
        s->counter[SVA_DMA_CNT_PRI_REFUSED]++;
        s->raw_status = SVA_DMA_RAW_REFUSED;
    } else if (r.last && !r.read && !r.write) {
        s->raw_status = pri_send(s, &r) ? SVA_DMA_RAW_OK : SVA_DMA_RAW_REFUSED;
    } else {
        s->raw_status = raw_request(s, &r);
    }
}

/* ---- Stalls ---- */

/* Runs inside the IOMMU's register write. */
static void stall_resume(IOMMUStall *stall, bool retry)
{
    Stall *t = container_of(stall, Stall, stall);
    SvaDma *s = t->dev;
    Channel *c = t->channel;

    trace_sva_dma_stall(sva_dma_rid(s), t->pasid, t->va, t->flags, retry ? 1 : -1);
    s->counter[retry ? SVA_DMA_CNT_STALLS_RETRIED : SVA_DMA_CNT_STALLS_ABORTED]++;
    if (retry && !c) {
        t->retry = true;
        sva_dma_kick(s);
        return;
    }
    if (c && retry) {
        c->state = CHANNEL_RUNNING;
    } else if (c) {
        sva_dma_job_end(s, c, SVA_DMA_ERR_TRANSLATION, t->va);
    }
    QLIST_REMOVE(t, next);
    g_free(t);
    sva_dma_kick(s);
}

static void stall_added(SvaDma *s, Stall *t)
{
    trace_sva_dma_stall(sva_dma_rid(s), t->pasid, t->va, t->flags, 0);
    s->counter[SVA_DMA_CNT_STALLS]++;
}

/* Translate in the IOMMU, for this access only. Where that does not work is in @c's state. */
bool sva_dma_translate_or_stall(SvaDma *s, Channel *c, uint64_t va, unsigned need, Target *t)
{
    Stall *stall = g_new0(Stall, 1);
    IOMMUTLBEntry tlb;

    *stall = (Stall) {
        .stall.resume = stall_resume,
        .dev = s,
        .channel = c,
        .owner = c->id,
        .priv = c->job.flags & SVA_DMA_OP_PRIV,
        .pasid = c->pasid,
        .va = va,
        .flags = need,
    };
    switch (pci_translate_or_stall(PCI_DEVICE(s), c->pasid, stall->priv, va, need, &tlb,
                                   &stall->stall)) {
    case 0:
        g_free(stall);
        t->as = tlb.target_as;
        t->addr = (tlb.translated_addr & ~tlb.addr_mask) + (va & tlb.addr_mask);
        return true;
    case -EINPROGRESS:
        QLIST_INSERT_HEAD(&s->stalls, stall, next);
        stall_added(s, stall);
        c->state = CHANNEL_STALLED;
        c->fault_addr = va;
        return false;
    default:
        g_free(stall);
        sva_dma_job_end(s, c, SVA_DMA_ERR_TRANSLATION, va);
        return false;
    }
}

/* Accesses of jobs that have ended, which the device cannot call back */
void sva_dma_stalls_retry(SvaDma *s)
{
    Stall *t, *next;
    IOMMUTLBEntry unused;

    QLIST_FOREACH_SAFE(t, &s->stalls, next, next) {
        if (!t->retry) {
            continue;
        }
        t->retry = false;
        if (pci_translate_or_stall(PCI_DEVICE(s), t->pasid, t->priv, t->va, t->flags, &unused,
                                   &t->stall) == -EINPROGRESS) {
            stall_added(s, t);
        } else {
            QLIST_REMOVE(t, next);
            g_free(t);
        }
    }
}

void sva_dma_stalls_forget(SvaDma *s)
{
    Stall *t;

    while ((t = QLIST_FIRST(&s->stalls))) {
        pci_forget_stall(PCI_DEVICE(s), &t->stall);
        QLIST_REMOVE(t, next);
        g_free(t);
    }
}

/* ---- Begin, configuration space, end ---- */

void sva_dma_pri_init(SvaDma *s)
{
    s->raw_groups = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    /* ... and of all PASIDs' contexts, as they come */
    s->no_pasid.pri.notify = sva_dma_answered;
}

void sva_dma_pri_ctrl_written(SvaDma *s, bool was_enabled)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint8_t *ctrl = pdev->config + pdev->exp.pri_cap + PCI_PRI_CTRL;
    bool enabled = pcie_pri_enabled(pdev);

    if (pci_word_test_and_clear_mask(ctrl, PCI_PRI_CTRL_RESET) && !enabled) {
        pri_forget_all(s, SVA_DMA_ERR_STOPPED);
    }
    if (enabled && !was_enabled) {
        s->pri_failed = false;
        pri_status_clear(s, PCI_PRI_STATUS_STOPPED);
    }
    sva_dma_pri_update_stopped(s);
    sva_dma_wake_credit_waiters(s);
}

/* What a reset makes of the capability */
void sva_dma_pri_reset(SvaDma *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (!pdev->exp.pri_cap) {
        return;
    }
    pri_forget_all(s, SVA_DMA_ERR_STOPPED);
    pci_set_word(pdev->config + pdev->exp.pri_cap + PCI_PRI_CTRL, 0);
    pci_set_long(pdev->config + pdev->exp.pri_cap + PCI_PRI_ALLOC_REQ, 0);
    pri_status_clear(s, PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI);
    pri_status_set(s, PCI_PRI_STATUS_STOPPED);
}

void sva_dma_pri_exit(SvaDma *s)
{
    g_hash_table_destroy(s->raw_groups);
}
