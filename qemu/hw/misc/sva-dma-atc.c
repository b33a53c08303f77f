/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-dma: what translates addresses: PASIDs, ATS, the address translation cache, invalidations.
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "sva-dma-internal.h"
#include "trace.h"

#define ATC_WAYS 4
/* Notifiers of as many PASIDs stay registered before those of unused ones are removed. */
#define MAX_PASIDS 4096

/* ---- Address translation cache ---- */

static AtcEntry *atc_set(SvaDma *s, uint32_t pasid, uint64_t page)
{
    uint64_t h = (page ^ ((uint64_t)pasid << 40)) * 0x9e3779b97f4a7c15ULL;

    return s->atc + (h >> 32) % s->atc_sets * s->atc_ways;
}

static AtcEntry *atc_find(SvaDma *s, uint32_t pasid, bool priv, uint64_t va, unsigned shift)
{
    AtcEntry *set = atc_set(s, pasid, va >> shift);

    for (unsigned way = 0; way < s->atc_ways; way++) {
        AtcEntry *e = &set[way];

        if (e->valid && e->shift == shift && e->page == va >> shift && e->pasid == pasid &&
            e->priv == priv) {
            return e;
        }
    }
    return NULL;
}

/* The entry that grants @need at @va, or NULL. */
AtcEntry *sva_dma_atc_lookup(SvaDma *s, uint32_t pasid, bool priv, uint64_t va, unsigned need)
{
    for (unsigned shift = DMA_PAGE_SHIFT; shift < ARRAY_SIZE(s->atc_of_shift); shift++) {
        AtcEntry *e;

        if (!s->atc_of_shift[shift]) {
            continue;
        }
        e = atc_find(s, pasid, priv, va, shift);
        if (e && (e->perm & need) == need) {
            e->used = ++s->atc_clock;
            return e;
        }
    }
    return NULL;
}

static void atc_drop(SvaDma *s, AtcEntry *e)
{
    e->valid = false;
    s->atc_of_shift[e->shift]--;
}

static void atc_insert(SvaDma *s, const AtcEntry *new)
{
    uint64_t va = new->page << new->shift;
    AtcEntry *victim = atc_find(s, new->pasid, new->priv, va, new->shift);

    if (!victim) {
        AtcEntry *set = atc_set(s, new->pasid, new->page);

        victim = set;
        for (unsigned way = 0; way < s->atc_ways; way++) {
            if (!set[way].valid) {
                victim = &set[way];
                break;
            }
            if (set[way].used < victim->used) {
                victim = &set[way];
            }
        }
        s->counter[SVA_DMA_CNT_ATC_EVICTIONS] += victim->valid;
    }
    if (victim->valid) {
        atc_drop(s, victim);
    }
    *victim = *new;
    victim->used = ++s->atc_clock;
    s->atc_of_shift[new->shift]++;
}

/* Drop what overlaps [@first, @last] of @pasid; returns how many entries that were. */
unsigned sva_dma_atc_invalidate(SvaDma *s, uint32_t pasid, uint64_t first, uint64_t last)
{
    unsigned dropped = 0;

    for (uint32_t i = 0; i < s->atc_sets * s->atc_ways; i++) {
        AtcEntry *e = &s->atc[i];
        uint64_t start = e->page << e->shift;

        if (e->valid && e->pasid == pasid && start <= last &&
            start + (1ULL << e->shift) - 1 >= first) {
            atc_drop(s, e);
            dropped++;
        }
    }
    return dropped;
}

void sva_dma_atc_clear(SvaDma *s)
{
    memset(s->atc, 0, sizeof(*s->atc) * s->atc_sets * s->atc_ways);
    memset(s->atc_of_shift, 0, sizeof(s->atc_of_shift));
}

/* ---- Invalidations ---- */

static void inv_do(SvaDma *s, const LateInv *inv)
{
    unsigned dropped = sva_dma_atc_invalidate(s, inv->pasid, inv->first, inv->last);

    trace_sva_dma_invalidate(sva_dma_rid(s), inv->pasid, inv->first, inv->last, dropped);
    s->counter[SVA_DMA_CNT_INV_ENTRIES] += dropped;
}

static void sva_dma_invalidated(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    PasidContext *p = container_of(n, PasidContext, inv);
    SvaDma *s = p->dev;
    LateInv inv = {
        .pasid = p->pasid,
        .first = entry->iova,
        .last = entry->iova + entry->addr_mask,
        .due = now_ns() + s->slow_ns,
    };

    s->counter[p->pasid == PCI_NO_PASID ? SVA_DMA_CNT_INV_GLOBAL : SVA_DMA_CNT_INV_PASID]++;
    if ((s->behaviour & SVA_DMA_INV) == SVA_DMA_INV_DONE && QSIMPLEQ_EMPTY(&s->late_invs)) {
        inv_do(s, &inv);
    } else {
        LateInv *late = g_memdup2(&inv, sizeof(inv));

        QSIMPLEQ_INSERT_TAIL(&s->late_invs, late, next);
        sva_dma_kick(s);
    }
}

static bool inv_pending(SvaDma *s)
{
    /* A device that hangs does not even complete invalidations for PASIDs that it never used. */
    return (s->behaviour & SVA_DMA_INV) == SVA_DMA_INV_HANG || !QSIMPLEQ_EMPTY(&s->late_invs);
}

bool sva_dma_inv_pending(PCIDevice *pdev)
{
    SvaDma *s = SVA_DMA(pdev);

    s->inv_awaited |= inv_pending(s);
    return inv_pending(s);
}

/* Do what is due; returns when to look again. */
int64_t sva_dma_invs_run(SvaDma *s, int64_t now)
{
    unsigned mode = s->behaviour & SVA_DMA_INV;
    LateInv *inv;

    if (mode == SVA_DMA_INV_HANG) {
        return INT64_MAX;
    }
    while ((inv = QSIMPLEQ_FIRST(&s->late_invs))) {
        if (mode == SVA_DMA_INV_SLOW && inv->due > now) {
            return inv->due;
        }
        QSIMPLEQ_REMOVE_HEAD(&s->late_invs, next);
        inv_do(s, inv);
        s->counter[SVA_DMA_CNT_INV_LATE]++;
        g_free(inv);
    }
    if (s->inv_awaited) {
        s->inv_awaited = false;
        pci_ats_inv_completed(PCI_DEVICE(s));
    }
    return INT64_MAX;
}

void sva_dma_invs_forget(SvaDma *s)
{
    LateInv *inv;

    while ((inv = QSIMPLEQ_FIRST(&s->late_invs))) {
        QSIMPLEQ_REMOVE_HEAD(&s->late_invs, next);
        g_free(inv);
    }
    s->inv_awaited = false;
}

/* ---- PASIDs ---- */

void sva_dma_listen_inv(PasidContext *p)
{
    PCIDevice *pdev = PCI_DEVICE(p->dev);

    if (!p->inv_registered && pcie_ats_enabled(pdev) &&
        !pci_iommu_init_iotlb_notifier(pdev, &p->inv, sva_dma_invalidated, NULL)) {
        p->inv_registered = !pci_iommu_register_iotlb_notifier(pdev, p->pasid, &p->inv);
    }
}

void sva_dma_unlisten_inv(PasidContext *p)
{
    if (p->inv_registered) {
        pci_iommu_unregister_iotlb_notifier(PCI_DEVICE(p->dev), p->pasid, &p->inv);
        p->inv_registered = false;
    }
}

static void listen_pri(PasidContext *p)
{
    if (!p->pri_registered && sva_dma_physical(p->dev)->pri) {
        p->pri_registered = !pci_pri_register_notifier(PCI_DEVICE(p->dev), p->pasid, &p->pri);
    }
}

bool sva_dma_pasid_of_channel(SvaDma *s, uint32_t pasid)
{
    for (unsigned i = 0; i < s->nr_channels; i++) {
        Channel *c = &s->channel[i];

        if ((c->enabled || channel_busy(c)) && c->pasid == pasid) {
            return true;
        }
    }
    return false;
}

static bool pasid_in_use(SvaDma *s, uint32_t pasid)
{
    GHashTableIter it;
    RawGroup *raw;

    if (sva_dma_pasid_of_channel(s, pasid)) {
        return true;
    }
    for (unsigned i = 0; i < NR_PRG; i++) {
        if (s->group[i].sent && s->group[i].pasid == pasid) {
            return true;
        }
    }
    g_hash_table_iter_init(&it, s->raw_groups);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&raw)) {
        if (raw->key >> 16 == pasid) {
            return true;
        }
    }
    return false;
}

static gboolean pasid_let_go(gpointer key, gpointer value, gpointer opaque)
{
    PasidContext *p = value;
    SvaDma *s = opaque;

    if (pasid_in_use(s, p->pasid)) {
        return false;
    }
    sva_dma_unlisten_inv(p);
    sva_dma_atc_invalidate(s, p->pasid, 0, UINT64_MAX);
    if (p->pri_registered) {
        pci_pri_unregister_notifier(PCI_DEVICE(s), p->pasid);
    }
    return true;
}

/*
 * Make sure that we hear of @pasid. Fails if too many are in use. What may be heard depends on what
 * the function may do now and on what the IOMMU has: see *_registered.
 */
PasidContext *sva_dma_pasid_listen(SvaDma *s, uint32_t pasid)
{
    PasidContext *p = g_hash_table_lookup(s->pasids, GUINT_TO_POINTER(pasid));

    if (!p) {
        if (g_hash_table_size(s->pasids) >= MAX_PASIDS) {
            g_hash_table_foreach_remove(s->pasids, pasid_let_go, s);
        }
        if (g_hash_table_size(s->pasids) >= MAX_PASIDS) {
            return NULL;
        }
        p = g_new0(PasidContext, 1);
        p->dev = s;
        p->pasid = pasid;
        p->pri.notify = s->no_pasid.pri.notify;
        g_hash_table_insert(s->pasids, GUINT_TO_POINTER(pasid), p);
    }
    listen_pri(p);
    listen_pri(&s->no_pasid);
    sva_dma_listen_inv(p);
    return p;
}

/*
 * Called while PASIDs are still enabled: nothing can be unregistered afterwards. Responses are
 * still wanted, as they may come in late.
 */
void sva_dma_pasids_unlisten_inv(SvaDma *s)
{
    GHashTableIter it;
    PasidContext *p;

    g_hash_table_iter_init(&it, s->pasids);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&p)) {
        sva_dma_unlisten_inv(p);
    }
    sva_dma_atc_clear(s);
}

/* The same for all functions whose PASIDs @s enables */
void sva_dma_pasids_unlisten_inv_all(SvaDma *s)
{
    SvaDma *f;

    if (s != sva_dma_physical(s)) {
        sva_dma_pasids_unlisten_inv(s);
        return;
    }
    for (unsigned n = 0; (f = pri_function(s, n)); n++) {
        sva_dma_pasids_unlisten_inv(f);
    }
}

/* ---- ATS ---- */

/*
 * The Smallest Translation Unit: completions and invalidations speak of such blocks. That of the
 * physical function holds for its virtual ones (10.5.1.3).
 */
static unsigned ats_unit_shift(SvaDma *s)
{
    PCIDevice *pdev = PCI_DEVICE(sva_dma_physical(s));
    uint16_t ctrl = pci_get_word(pdev->config + pdev->exp.ats_cap + PCI_ATS_CTRL);

    return DMA_PAGE_SHIFT + (pdev->exp.ats_cap ? PCI_ATS_CTRL_STU(ctrl) : 0);
}

/*
 * Ask for a translation of @va's page that allows @need. What is granted goes into the ATC. A
 * completion for less than the unit is taken for the unit: software that promises units larger than
 * the IOMMU's pages gets what it deserves.
 */
AtsOutcome sva_dma_ats_request(SvaDma *s, Channel *c, uint64_t va, unsigned need, AtcEntry *out)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    bool priv = c->job.flags & SVA_DMA_OP_PRIV;
    PasidContext *p = sva_dma_pasid_listen(s, c->pasid);
    unsigned unit = ats_unit_shift(s);
    IOMMUTLBEntry tlb = {};
    uint32_t errors;
    ssize_t n = -1;

    s->counter[SVA_DMA_CNT_ATS_REQUESTS]++;
    if (p && p->inv_registered) {
        n = pci_ats_request_translation(pdev, c->pasid, priv, need & IOMMU_EXEC,
                                        va >> unit << unit, DMA_PAGE_SIZE, !(need & IOMMU_WO),
                                        &tlb, 1, &errors);
    }
    trace_sva_dma_ats(sva_dma_rid(s), c->pasid, va, need, n, tlb.perm, tlb.addr_mask,
                      tlb.translated_addr);
    if (n != 1) {
        s->counter[SVA_DMA_CNT_ATS_ERRORS]++;
        return ATS_ERROR;
    }

    tlb.perm &= IOMMU_RW | IOMMU_EXEC;
    if (tlb.perm) {
        *out = (AtcEntry) {
            .valid = true,
            .priv = priv,
            .shift = MAX(unit, MIN(ctz64(tlb.addr_mask + 1), 63)),
            .perm = tlb.perm,
            .pasid = c->pasid,
            .addr = tlb.translated_addr & ~tlb.addr_mask,
            .as = tlb.target_as,
        };
        out->page = va >> out->shift;
        atc_insert(s, out);
    }
    if ((tlb.perm & need) != need) {
        s->counter[SVA_DMA_CNT_ATS_DENIED]++;
        return ATS_DENIED;
    }
    s->counter[SVA_DMA_CNT_ATS_GRANTED]++;
    return ATS_GRANTED;
}

/* ---- Begin and end ---- */

void sva_dma_atc_init(SvaDma *s)
{
    s->atc_ways = s->atc_entries % ATC_WAYS ? 1 : ATC_WAYS;
    s->atc_sets = s->atc_entries / s->atc_ways;
    s->atc = g_new0(AtcEntry, s->atc_entries);
    s->pasids = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    QSIMPLEQ_INIT(&s->late_invs);
    s->no_pasid.dev = s;
    s->no_pasid.pasid = PCI_NO_PASID;
}

void sva_dma_atc_exit(SvaDma *s)
{
    GHashTableIter it;
    PasidContext *p;

    sva_dma_invs_forget(s);
    sva_dma_pasids_unlisten_inv(s);
    sva_dma_unlisten_inv(&s->no_pasid);
    g_hash_table_iter_init(&it, s->pasids);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&p)) {
        if (p->pri_registered) {
            pci_pri_unregister_notifier(PCI_DEVICE(s), p->pasid);
        }
    }
    if (s->no_pasid.pri_registered) {
        pci_pri_unregister_notifier(PCI_DEVICE(s), PCI_NO_PASID);
    }
    g_hash_table_destroy(s->pasids);
    g_free(s->atc);
}
