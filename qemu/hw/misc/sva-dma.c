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
 * Steps run in a timer on the virtual clock, a bounded number of them for each channel and tick,
 * and nowhere else. What comes from outside - register writes, page group responses, ATC
 * invalidations, configuration writes - changes state and kicks the timer. In particular no
 * interrupt is raised anywhere but in the timer: responses and invalidations reach us inside the
 * IOMMU's own register write, where an interrupt that passes the IOMMU would be lost.
 *
 * Invariants
 * ----------
 * All of this runs under the big lock, so that a step is one indivisible event for the guest.
 *
 * - Memory is only touched through a translation that was looked up in the same step and grants the
 *   access. So nothing moves through it once the invalidation that covers it has been completed.
 * - An invalidation that is not done at once is in @late_invs, in the order of arrival, and its
 *   entries stay in use until it is done. If the IOMMU has asked, it is told when none is left.
 *   After a reset nobody completes what was received before.
 * - The notifiers of a PASID are registered before the first translation request with that PASID,
 *   and when they go, the ATC is emptied.
 * - @outstanding is the number of page request messages of all unanswered groups. It does not grow
 *   beyond the allocation that software wrote, unless SVA_DMA_LIE is set. The allocation is for a
 *   physical function and its virtual ones together: see pri_function(). A group holds its messages
 *   until it is answered, even if the job that sent it has ended (Group::waiting is false then), or
 *   until PRI or the function is reset.
 * - A PRG index belongs to one unanswered group of jobs, or to raw requests, or to nobody.
 * - A channel that is neither enabled nor busy sends nothing, but an access that the IOMMU has
 *   stalled is still made when the IOMMU says so, even if its job has ended (Stall::channel is NULL
 *   then).
 * - A channel that is being stopped (Channel::stopping) counts as busy, and its PASID as in use.
 * - Memory is accessed in D0 and as bus master only. Page requests are messages: they need D0.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/log.h"
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
#include "system/address-spaces.h"
#include "trace.h"

#define TYPE_SVA_DMA "sva-dma"
OBJECT_DECLARE_SIMPLE_TYPE(SvaDma, SVA_DMA)

#define DMA_PAGE_SHIFT 12
#define DMA_PAGE_SIZE (1ULL << DMA_PAGE_SHIFT)
#define DMA_PAGE_MASK (~(DMA_PAGE_SIZE - 1))

#define CLASS_PROCESSING_ACCELERATOR 0x1200
/* Global Invalidate Supported (ATS Capability register) */
#define ATS_CAP_GLOBAL_INVALIDATE 0x40

#define TICK_NS 5000
#define STEPS_PER_TICK 16
#define ATC_WAYS 4
#define NR_PRG 512
#define RAW_ANSWERS 512
/* As many PASIDs are listened to before those that nobody uses any more are let go. */
#define MAX_PASIDS 4096
/*
 * Answers "Success" in a row that brought no access. Another thread may take the page away between
 * answer and use, again and again; a permission that the IOMMU cannot grant never comes.
 */
#define MAX_RETRIES 64
/* The IOMMU itself answers "Success" when its queue has no room: ask again after a while. */
#define OVERFLOW_WAIT_NS 100000

/* SVA_DMA_REG_SLOW_NS has 32 bits. */
#define SVA_DMA_SLOW_US_MAX 4000000

#define TOUCH_SIZE 8
#define FNV_BASIS 0xcbf29ce484222325ULL
#define FNV_PRIME 0x00000100000001b3ULL

typedef struct AtcEntry {
    bool valid;
    bool priv;
    uint8_t shift; /* size of the range, from the completion */
    IOMMUAccessFlags perm;
    uint32_t pasid;
    uint64_t page; /* virtual address >> shift */
    hwaddr addr;
    AddressSpace *as;
    uint64_t used; /* the set's least recently used entry is replaced */
} AtcEntry;

/* An ATC invalidation that has not been done yet */
typedef struct LateInv {
    uint32_t pasid;
    uint64_t first, last;
    int64_t due;
    QSIMPLEQ_ENTRY(LateInv) next;
} LateInv;

/* What it takes to hear of a PASID's invalidations and page group responses. */
typedef struct PasidContext {
    SvaDma *dev;
    uint32_t pasid;
    IOMMUNotifier inv;
    IOMMUPRINotifier pri;
    bool inv_registered;
    bool pri_registered;
} PasidContext;

typedef struct Group {
    bool sent; /* the index is taken */
    bool waiting; /* the channel's job stands still until the answer */
    uint8_t channel;
    uint16_t messages;
    uint32_t pasid;
} Group;

typedef struct RawGroup {
    uint64_t key; /* raw_key() */
    bool last_sent;
    uint32_t messages;
} RawGroup;

/* An access that the IOMMU has stalled */
typedef struct Stall {
    IOMMUStall stall;
    SvaDma *dev;
    struct Channel *channel; /* whose job waits, or NULL */
    bool retry; /* to be made again though no job waits */
    bool priv;
    uint8_t owner; /* the channel, even if the job has ended */
    uint32_t pasid;
    uint64_t va;
    IOMMUAccessFlags flags;
    QLIST_ENTRY(Stall) next;
} Stall;

typedef enum ChannelState {
    CHANNEL_IDLE,
    CHANNEL_RUNNING,
    CHANNEL_NEEDS_CREDIT,
    CHANNEL_NEEDS_ANSWER,
    CHANNEL_STALLED,
} ChannelState;

typedef struct DmaJob {
    uint32_t op; /* operation only */
    uint32_t flags;
    uint32_t group;
    uint64_t src, dst, len, arg0, arg1, step;
    uint32_t pace;
    uint32_t repeats; /* still to do */
} DmaJob;

typedef struct Channel {
    uint8_t id;
    /* control block */
    bool enabled;
    bool stopping;
    bool no_pri;
    uint32_t pasid;
    uint32_t vector;
    /* job page: what the owner wrote, and what he may read */
    uint32_t params[SVA_DMA_JOB_START / 4];
    uint32_t status;
    uint32_t count;
    uint32_t passes;
    uint64_t result;
    uint64_t bytes;
    uint64_t fault_addr;
    /* the running job, a snapshot of the parameters */
    ChannelState state;
    DmaJob job;
    uint64_t offset;
    uint64_t hash;
    uint32_t retries;
    uint16_t prgi;
    int64_t not_before;
    bool irq_due;
    /* what it could not ask for when there was no credit */
    bool ask;
    uint64_t ask_base;
    unsigned ask_need;
} Channel;

struct SvaDma {
    PCIDevice parent_obj;

    MemoryRegion bar;
    QEMUTimer *timer;
    uint32_t ctrl;
    Channel channel[SVA_DMA_MAX_CHANNELS];
    uint8_t next_channel;
    uint64_t counter[SVA_DMA_NR_COUNTERS];

    AtcEntry *atc;
    uint32_t atc_ways;
    uint32_t atc_sets;
    uint32_t atc_of_shift[64];
    uint64_t atc_clock;
    QSIMPLEQ_HEAD(, LateInv) late_invs;
    bool inv_awaited; /* by the IOMMU */

    GHashTable *pasids; /* PasidContext by PASID */
    PasidContext no_pasid;

    Group group[NR_PRG];
    uint16_t next_prgi;
    uint32_t outstanding;
    bool pri_failed; /* a Response Failure came in since PRI was enabled */

    GHashTable *raw_groups; /* RawGroup by key */
    uint16_t raw_use[NR_PRG]; /* raw groups on this index */
    uint64_t raw_addr;
    uint32_t raw_pasid;
    uint32_t raw_status;
    uint32_t raw_answer[RAW_ANSWERS];
    uint32_t raw_head, raw_count;

    QLIST_HEAD(, Stall) stalls;

    uint32_t behaviour;
    uint32_t slow_ns;
    uint32_t die; /* how, or 0 */
    int64_t die_at;
    bool gone;

    /* properties */
    uint32_t nr_channels;
    uint32_t atc_entries;
    uint32_t pri_requests;
    uint8_t pasid_bits;
    bool ats, pri, pasid;
    bool prg_pasid; /* PRG Response PASID Required */
    bool stall;
    bool lie, no_soft_reset;
    char *inv_mode, *stop_mode;
    uint32_t first_behaviour; /* what they say */
    uint32_t slow_us;
};

static int64_t now_ns(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static void sva_dma_kick(SvaDma *s)
{
    timer_mod_anticipate_ns(s->timer, now_ns());
}

static uint16_t sva_dma_rid(SvaDma *s)
{
    return pci_get_bdf(PCI_DEVICE(s));
}

/* The function whose PASID and PRI capabilities count: a virtual one has none (9.3.7). */
static SvaDma *sva_dma_physical(SvaDma *s)
{
    PCIDevice *pf = pcie_sriov_get_pf(PCI_DEVICE(s));

    return pf ? SVA_DMA(pf) : s;
}

/* The functions that share @s's page request interface: 0 the physical one. NULL: no more */
static SvaDma *pri_function(SvaDma *s, unsigned n)
{
    SvaDma *pf = sva_dma_physical(s);
    PCIDevice *vf = NULL;

    if (!n) {
        return pf;
    }
    if (PCI_DEVICE(pf)->exp.sriov_cap) {
        vf = pcie_sriov_get_vf_at_index(PCI_DEVICE(pf), n - 1);
    }
    return vf ? SVA_DMA(vf) : NULL;
}

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

/* Memory requests, which translation requests are too, need bus mastering; messages do not. */
static bool sva_dma_is_master(SvaDma *s)
{
    return pci_get_word(PCI_DEVICE(s)->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

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
static AtcEntry *atc_lookup(SvaDma *s, uint32_t pasid, bool priv, uint64_t va, unsigned need)
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
static unsigned atc_invalidate(SvaDma *s, uint32_t pasid, uint64_t first, uint64_t last)
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

static void atc_clear(SvaDma *s)
{
    memset(s->atc, 0, sizeof(*s->atc) * s->atc_sets * s->atc_ways);
    memset(s->atc_of_shift, 0, sizeof(s->atc_of_shift));
}

/* ---- Jobs: begin and end ---- */

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

static void job_end(SvaDma *s, Channel *c, enum sva_dma_status status, uint64_t addr)
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
        job_end(s, c, SVA_DMA_ERR_OP, 0);
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

/* ---- Invalidations ---- */

static void inv_do(SvaDma *s, const LateInv *inv)
{
    unsigned dropped = atc_invalidate(s, inv->pasid, inv->first, inv->last);

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
    /* Who hangs does not even complete what concerns PASIDs that it has never used. */
    return (s->behaviour & SVA_DMA_INV) == SVA_DMA_INV_HANG || !QSIMPLEQ_EMPTY(&s->late_invs);
}

static bool sva_dma_inv_pending(PCIDevice *pdev)
{
    SvaDma *s = SVA_DMA(pdev);

    s->inv_awaited |= inv_pending(s);
    return inv_pending(s);
}

/* Do what is due; returns when to look again. */
static int64_t invs_run(SvaDma *s, int64_t now)
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

static void invs_forget(SvaDma *s)
{
    LateInv *inv;

    while ((inv = QSIMPLEQ_FIRST(&s->late_invs))) {
        QSIMPLEQ_REMOVE_HEAD(&s->late_invs, next);
        g_free(inv);
    }
    s->inv_awaited = false;
}

/* ---- PASIDs ---- */

static void sva_dma_answered(IOMMUPRINotifier *n, IOMMUPRIResponse *response);

static void listen_inv(PasidContext *p)
{
    PCIDevice *pdev = PCI_DEVICE(p->dev);

    if (!p->inv_registered && pcie_ats_enabled(pdev) &&
        !pci_iommu_init_iotlb_notifier(pdev, &p->inv, sva_dma_invalidated, NULL)) {
        p->inv_registered = !pci_iommu_register_iotlb_notifier(pdev, p->pasid, &p->inv);
    }
}

static void unlisten_inv(PasidContext *p)
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

static bool channel_busy(Channel *c)
{
    return c->state != CHANNEL_IDLE || c->stopping;
}

static bool pasid_of_channel(SvaDma *s, uint32_t pasid)
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

    if (pasid_of_channel(s, pasid)) {
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
    unlisten_inv(p);
    atc_invalidate(s, p->pasid, 0, UINT64_MAX);
    if (p->pri_registered) {
        pci_pri_unregister_notifier(PCI_DEVICE(s), p->pasid);
    }
    return true;
}

/*
 * Make sure that we hear of @pasid. Fails if too many are in use. What may be heard depends on what
 * the function may do now and on what the IOMMU has: see *_registered.
 */
static PasidContext *pasid_listen(SvaDma *s, uint32_t pasid)
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
        p->pri.notify = sva_dma_answered;
        g_hash_table_insert(s->pasids, GUINT_TO_POINTER(pasid), p);
    }
    listen_pri(p);
    listen_pri(&s->no_pasid);
    listen_inv(p);
    return p;
}

/*
 * Called while PASIDs are still enabled: nothing can be unregistered afterwards. Responses are still
 * wanted, as they may come in late.
 */
static void pasids_unlisten_inv(SvaDma *s)
{
    GHashTableIter it;
    PasidContext *p;

    g_hash_table_iter_init(&it, s->pasids);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&p)) {
        unlisten_inv(p);
    }
    atc_clear(s);
}

/* The same for all functions whose PASIDs @s enables */
static void pasids_unlisten_inv_all(SvaDma *s)
{
    SvaDma *f;

    if (s != sva_dma_physical(s)) {
        pasids_unlisten_inv(s);
        return;
    }
    for (unsigned n = 0; (f = pri_function(s, n)); n++) {
        pasids_unlisten_inv(f);
    }
}

/* ---- ATS ---- */

typedef enum AtsOutcome { ATS_GRANTED, ATS_DENIED, ATS_ERROR } AtsOutcome;

/* The Smallest Translation Unit: completions and invalidations speak of such blocks (10.5.1.3). */
static unsigned ats_unit_shift(PCIDevice *pdev)
{
    uint16_t ctrl = pci_get_word(pdev->config + pdev->exp.ats_cap + PCI_ATS_CTRL);

    return DMA_PAGE_SHIFT + (pdev->exp.ats_cap ? PCI_ATS_CTRL_STU(ctrl) : 0);
}

/*
 * Ask for a translation of @va's page that allows @need. What is granted goes into the ATC. A
 * completion for less than the unit is taken for the unit: software that promises units larger than
 * the IOMMU's pages gets what it deserves.
 */
static AtsOutcome ats_request(SvaDma *s, Channel *c, uint64_t va, unsigned need, AtcEntry *out)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    bool priv = c->job.flags & SVA_DMA_OP_PRIV;
    PasidContext *p = pasid_listen(s, c->pasid);
    unsigned unit = ats_unit_shift(pdev);
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

/* ---- PRI ---- */

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

static bool pri_usable(SvaDma *s)
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
static void pri_update_stopped(SvaDma *s)
{
    if (!pri_outstanding(s) && (!pcie_pri_enabled(PCI_DEVICE(s)) || pri_has_failed(s))) {
        pri_status_set(s, PCI_PRI_STATUS_STOPPED);
    }
}

static void wake_credit_waiters(SvaDma *s)
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
static void pri_forget(SvaDma *s, enum sva_dma_status status)
{
    for (unsigned i = 0; i < s->nr_channels; i++) {
        Channel *c = &s->channel[i];

        if (c->state == CHANNEL_NEEDS_ANSWER) {
            job_end(s, c, status, c->fault_addr);
        }
    }
    memset(s->group, 0, sizeof(s->group));
    memset(s->raw_use, 0, sizeof(s->raw_use));
    g_hash_table_remove_all(s->raw_groups);
    s->outstanding = 0;
    wake_credit_waiters(s);
}

static void pri_forget_all(SvaDma *s, enum sva_dma_status status)
{
    SvaDma *f;

    for (unsigned n = 0; (f = pri_function(s, n)); n++) {
        pri_forget(f, status);
    }
}

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

static uint32_t raw_answer_pop(SvaDma *s)
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
        Channel *c = &s->channel[g->channel];
        bool waiting = g->waiting;

        s->outstanding -= g->messages;
        *g = (Group) {};
        if (waiting && code == 0) {
            c->state = CHANNEL_RUNNING;
        } else if (waiting) {
            job_end(s, c, code == 1 ? SVA_DMA_ERR_PRI_INVALID : SVA_DMA_ERR_PRI_FAILURE,
                    c->fault_addr);
        }
    } else {
        s->outstanding -= raw->messages;
        s->raw_use[prgi]--;
        g_hash_table_remove(s->raw_groups, &raw->key);
        raw_answer_push(s, prgi, code, 0);
    }

    if (code > 1) {
        /* No more page requests, and no more heed to answers, until PRI is enabled anew */
        sva_dma_physical(s)->pri_failed = true;
        pri_status_set(s, PCI_PRI_STATUS_RF);
        pri_forget_all(s, SVA_DMA_ERR_PRI_FAILURE);
    }
    pri_update_stopped(s);
    wake_credit_waiters(s);
}

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
 * Where a job goes on after @len bytes at @offset: right there, or with the next touch if it only
 * touches every so many bytes.
 */
static uint64_t job_advance(const DmaJob *j, uint64_t offset, uint64_t len)
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
static uint64_t job_chunk(const DmaJob *j, uint64_t offset, uint64_t base)
{
    uint64_t end = j->len;

    if (j->step) {
        end = MIN(end, offset - offset % j->step + TOUCH_SIZE);
    }
    return MIN(end - offset, DMA_PAGE_SIZE - (base + offset) % DMA_PAGE_SIZE);
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

        offset = job_advance(&c->job, offset, job_chunk(&c->job, offset, base));
        if (offset >= c->job.len) {
            break;
        }
        if (((base + offset) & DMA_PAGE_MASK) == current) {
            continue;
        }
        current = (base + offset) & DMA_PAGE_MASK;
        seen++;
        if (!atc_lookup(s, c->pasid, priv, current, need) &&
            ats_request(s, c, current, need, &unused) == ATS_DENIED) {
            page[found++] = current;
        }
    }
    return found;
}

/* Ask for what the step at @va lacks. The job waits or has ended afterwards. */
static void job_request_pages(SvaDma *s, Channel *c, uint64_t va, uint64_t base, unsigned need)
{
    uint64_t page[SVA_DMA_JOB_GROUP_MAX];
    uint32_t credit = pri_credit(s);
    unsigned nr;
    int prgi;
    Group *g;

    if (c->no_pri || !pri_usable(s) || c->retries >= MAX_RETRIES) {
        job_end(s, c, pri_has_failed(s) ? SVA_DMA_ERR_PRI_FAILURE : SVA_DMA_ERR_TRANSLATION, va);
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

    /* Without bus mastering nobody can find out what else is missing. */
    nr = job_missing_pages(s, c, base, need, page,
                           sva_dma_is_master(s) ? MIN(c->job.group, credit) : 1);

    c->retries++;
    c->fault_addr = va;
    c->prgi = prgi;
    c->state = CHANNEL_NEEDS_ANSWER;
    g = &s->group[prgi];
    *g = (Group) { .sent = true, .waiting = true, .channel = c->id, .pasid = c->pasid };
    for (unsigned i = 0; i < nr; i++) {
        PageRequest r = {
            .pasid = c->pasid,
            .va = page[i],
            .prgi = prgi,
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
            job_end(s, c, SVA_DMA_ERR_TRANSLATION, va);
            *g = (Group) {};
            wake_credit_waiters(s);
            return;
        }
        if (pri_has_failed(s)) {
            return; /* The job has ended: its first message was answered Response Failure. */
        }
    }
    if (c->state == CHANNEL_RUNNING) {
        /* Nobody has looked at the page yet. */
        c->retries--;
        c->not_before = now_ns() + OVERFLOW_WAIT_NS;
    }
}

static void raw_send(SvaDma *s, uint32_t val)
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
    uint64_t key = raw_key(r.pasid, r.prgi);
    PasidContext *p;
    RawGroup *raw;

    if (val & SVA_DMA_RAW_STOP_MARKER) {
        r.read = r.write = r.exec = false;
        r.last = true;
    }
    p = pri_usable(s) ? pasid_listen(s, r.pasid) : NULL;
    if (!p || !p->pri_registered) {
        s->counter[SVA_DMA_CNT_PRI_REFUSED]++;
        s->raw_status = SVA_DMA_RAW_REFUSED;
        return;
    }
    if (r.last && !r.read && !r.write) {
        s->raw_status = pri_send(s, &r) ? SVA_DMA_RAW_OK : SVA_DMA_RAW_REFUSED;
        return;
    }

    raw = g_hash_table_lookup(s->raw_groups, &key);
    if (s->group[r.prgi].sent || (raw && raw->last_sent) || !pri_credit(s)) {
        s->raw_status = SVA_DMA_RAW_BUSY;
        return;
    }
    if (!raw) {
        raw = g_new0(RawGroup, 1);
        raw->key = key;
        g_hash_table_insert(s->raw_groups, &raw->key, raw);
        s->raw_use[r.prgi]++;
    }
    raw->messages++;
    raw->last_sent = r.last;
    s->outstanding++;
    s->raw_status = SVA_DMA_RAW_OK;
    if (pri_send(s, &r)) {
        return;
    }
    /* Refused, so nothing has been answered and @raw is still there. */
    s->raw_status = SVA_DMA_RAW_REFUSED;
    s->outstanding--;
    raw->last_sent = false;
    if (!--raw->messages) {
        s->raw_use[r.prgi]--;
        g_hash_table_remove(s->raw_groups, &key);
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
        job_end(s, c, SVA_DMA_ERR_TRANSLATION, t->va);
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

/* Accesses of jobs that have ended, which nobody can call back */
static void stalls_retry(SvaDma *s)
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

static void stalls_forget(SvaDma *s)
{
    Stall *t;

    while ((t = QLIST_FIRST(&s->stalls))) {
        pci_forget_stall(PCI_DEVICE(s), &t->stall);
        QLIST_REMOVE(t, next);
        g_free(t);
    }
}

/* ---- Jobs: steps ---- */

typedef struct Target {
    AddressSpace *as;
    hwaddr addr;
} Target;

/* Translate in the IOMMU, for this access only. Where that does not work is in @c's state. */
static bool job_translate_there(SvaDma *s, Channel *c, uint64_t va, unsigned need, Target *t)
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
        job_end(s, c, SVA_DMA_ERR_TRANSLATION, va);
        return false;
    }
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
        job_end(s, c, SVA_DMA_ERR_TRANSLATION, va);
        return false;
    }

    if (s->stall) {
        return job_translate_there(s, c, va, need, t);
    }

    hit = atc_lookup(s, c->pasid, priv, va, need);
    if (hit) {
        s->counter[SVA_DMA_CNT_ATC_HITS]++;
        entry = *hit;
    } else {
        s->counter[SVA_DMA_CNT_ATC_MISSES]++;
        switch (ats_request(s, c, va, need, &entry)) {
        case ATS_GRANTED:
            break;
        case ATS_DENIED:
            job_request_pages(s, c, va, base, need);
            return false;
        case ATS_ERROR:
            job_end(s, c, SVA_DMA_ERR_ATS, va);
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

static void job_pass_done(SvaDma *s, Channel *c)
{
    DmaJob *j = &c->job;

    if (j->op == SVA_DMA_OP_CHECKSUM) {
        c->result = c->hash;
    }
    c->passes++;
    if (!j->repeats) {
        job_end(s, c, SVA_DMA_DONE, 0);
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
    unsigned fetch = IOMMU_RO | (j->flags & SVA_DMA_OP_EXEC ? IOMMU_EXEC : 0);
    uint8_t buf[DMA_PAGE_SIZE];
    uint64_t len, bad = j->dst;
    Target src, dst;
    bool ok = false;

    switch (j->op) {
    case SVA_DMA_OP_FILL:
        len = job_chunk(j, c->offset, j->dst);
        if (!job_translate(s, c, j->dst, IOMMU_WO, &dst)) {
            return;
        }
        for (uint64_t i = 0; i < len; i++) {
            buf[i] = j->arg0 >> (c->offset + i) % 8 * 8;
        }
        ok = target_write(s, &dst, buf, len);
        break;
    case SVA_DMA_OP_COPY:
        len = MIN(job_chunk(j, c->offset, j->src), job_chunk(j, c->offset, j->dst));
        if (!job_translate(s, c, j->src, fetch, &src) ||
            !job_translate(s, c, j->dst, IOMMU_WO, &dst)) {
            return;
        }
        ok = target_read(s, &src, buf, len);
        if (ok) {
            ok = target_write(s, &dst, buf, len);
        } else {
            bad = j->src;
        }
        break;
    case SVA_DMA_OP_CHECKSUM:
        len = job_chunk(j, c->offset, j->src);
        bad = j->src;
        if (!job_translate(s, c, j->src, fetch, &src)) {
            return;
        }
        ok = target_read(s, &src, buf, len);
        for (uint64_t i = 0; ok && i < len; i++) {
            c->hash = (c->hash ^ buf[i]) * FNV_PRIME;
        }
        break;
    case SVA_DMA_OP_CAS:
        len = TOUCH_SIZE;
        if (!job_translate(s, c, j->dst, IOMMU_RW, &dst)) {
            return;
        }
        ok = target_cas(s, &dst, j->arg0, j->arg1, &c->result);
        break;
    default:
        g_assert_not_reached();
    }

    if (!ok) {
        job_end(s, c, SVA_DMA_ERR_BUS, bad + c->offset);
        return;
    }
    c->retries = 0;
    c->bytes += len;
    c->offset = job_advance(j, c->offset, len);
    if (c->offset >= j->len) {
        job_pass_done(s, c);
    }
}

/* What @c's job does in this tick. */
static void job_run(SvaDma *s, Channel *c, int64_t now)
{
    for (unsigned n = 0; n < STEPS_PER_TICK && c->state == CHANNEL_RUNNING && c->not_before <= now;
         n++) {
        bool ask = c->ask;

        c->ask = false;
        if (sva_dma_is_master(s)) {
            job_step(s, c);
        } else if (ask) {
            job_request_pages(s, c, c->ask_base + c->offset, c->ask_base, c->ask_need);
        } else {
            return;
        }
        if (c->job.pace) {
            c->not_before = MAX(c->not_before, now + c->job.pace);
        }
    }
}

/* ---- Channels: the end ---- */

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
    if ((s->behaviour & SVA_DMA_STOP) != SVA_DMA_STOP_KEEP_ATC && !pasid_of_channel(s, c->pasid)) {
        atc_invalidate(s, c->pasid, 0, UINT64_MAX);
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
        job_end(s, c, SVA_DMA_ERR_STOPPED, c->fault_addr);
    }
    c->enabled = false;
    if (mode == SVA_DMA_STOP_WAIT) {
        sva_dma_kick(s);
        return;
    }
    if (channel_unanswered(s, c) && pri_usable(s)) {
        PageRequest marker = { .pasid = c->pasid, .last = true };

        pri_send(s, &marker);
    }
    channel_stopped(s, c);
}

static void channel_go_on_stopping(SvaDma *s, Channel *c)
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
    next = MIN(invs_run(s, now), s->die ? s->die_at : INT64_MAX);
    if (!sva_dma_d_state(s)) {
        stalls_retry(s);
    }
    for (unsigned i = 0; i < s->nr_channels && sva_dma_may_run(s); i++) {
        job_run(s, &s->channel[(s->next_channel + i) % s->nr_channels], now);
    }
    s->next_channel = (s->next_channel + 1) % s->nr_channels;

    /* CPUs need QEMU's lock too: it is left to them for as long as this took. */
    rest = now_ns() - now;
    now += rest + MIN(MAX(rest, TICK_NS), SCALE_MS);
    for (unsigned i = 0; i < s->nr_channels; i++) {
        Channel *c = &s->channel[i];

        channel_go_on_stopping(s, c);
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

/* ---- Channels: registers ---- */

static uint32_t channel_read(Channel *c, unsigned reg)
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
               (channel_busy(c) ? SVA_DMA_CHAN_BUSY : 0);
    default:
        return 0;
    }
}

static void channel_write(SvaDma *s, Channel *c, unsigned reg, uint32_t val)
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
    }
}

static uint32_t half(uint64_t val, unsigned reg)
{
    return val >> reg % 8 * 8;
}

static uint32_t job_read(Channel *c, unsigned reg)
{
    if (reg < SVA_DMA_JOB_START) {
        return job_param(c, reg);
    }
    switch (reg & ~7) {
    case SVA_DMA_JOB_STATUS:
        return reg == SVA_DMA_JOB_STATUS ? c->status : c->count;
    case SVA_DMA_JOB_RESULT:
        return half(c->result, reg);
    case SVA_DMA_JOB_BYTES:
        return half(c->bytes, reg);
    case SVA_DMA_JOB_FAULT_ADDR:
        return half(c->fault_addr, reg);
    case SVA_DMA_JOB_PASSES:
        return reg == SVA_DMA_JOB_PASSES ? c->passes : 0;
    default:
        return 0;
    }
}

static void job_write(SvaDma *s, Channel *c, unsigned reg, uint32_t val)
{
    if (reg < SVA_DMA_JOB_START) {
        c->params[reg / 4] = val;
    } else if (reg == SVA_DMA_JOB_START) {
        job_begin(s, c);
    } else if (reg == SVA_DMA_JOB_ABORT && c->state != CHANNEL_IDLE) {
        job_end(s, c, SVA_DMA_ERR_STOPPED, c->fault_addr);
    }
}

/* ---- BAR 0 ---- */

static uint32_t device_read(SvaDma *s, unsigned reg)
{
    uint32_t val = 0;

    if (reg >= SVA_DMA_REG_COUNTERS &&
        reg < SVA_DMA_REG_COUNTERS + sizeof(s->counter)) {
        return half(s->counter[(reg - SVA_DMA_REG_COUNTERS) / 8], reg);
    }
    switch (reg) {
    case SVA_DMA_REG_ID:
        return SVA_DMA_ID;
    case SVA_DMA_REG_CAP:
        return s->nr_channels | s->pasid_bits << 8 | (s->stall ? SVA_DMA_CAP_STALL : 0) |
               s->atc_entries << 16;
    case SVA_DMA_REG_CTRL:
        return s->ctrl;
    case SVA_DMA_REG_STATUS:
        for (unsigned i = 0; i < s->nr_channels; i++) {
            val |= channel_busy(&s->channel[i]) ? SVA_DMA_STATUS_BUSY : 0;
        }
        return val | (s->outstanding || !QLIST_EMPTY(&s->stalls) ? SVA_DMA_STATUS_PRI_PENDING : 0);
    case SVA_DMA_REG_RAW_ADDR:
    case SVA_DMA_REG_RAW_ADDR + 4:
        return half(s->raw_addr, reg);
    case SVA_DMA_REG_RAW_PASID:
        return s->raw_pasid;
    case SVA_DMA_REG_RAW_STATUS:
        return s->raw_status;
    case SVA_DMA_REG_RAW_RESP:
        return raw_answer_pop(s);
    case SVA_DMA_REG_BEHAVIOUR:
        return s->behaviour;
    case SVA_DMA_REG_SLOW_NS:
        return s->slow_ns;
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
            atc_clear(s);
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
        raw_send(s, val);
        break;
    case SVA_DMA_REG_BEHAVIOUR:
        s->behaviour = val & (SVA_DMA_INV | SVA_DMA_STOP | SVA_DMA_LIE);
        wake_credit_waiters(s);
        break;
    case SVA_DMA_REG_SLOW_NS:
        s->slow_ns = val;
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
    return is_job ? job_read(c, reg) : channel_read(c, reg);
}

static void sva_dma_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    SvaDma *s = opaque;
    unsigned reg;
    bool is_job;
    Channel *c = channel_at(s, addr, &reg, &is_job);

    if (c && is_job) {
        job_write(s, c, reg, val);
    } else if (c) {
        channel_write(s, c, reg, val);
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

static void pri_ctrl_written(SvaDma *s, bool was_enabled)
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
    pri_update_stopped(s);
    wake_credit_waiters(s);
}

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
        pasids_unlisten_inv_all(s);
    }

    pci_default_write_config(pdev, addr, val, len);

    if (ats && !pcie_ats_enabled(pdev)) {
        pasids_unlisten_inv(s);
        unlisten_inv(&s->no_pasid);
    } else if (!ats) {
        listen_inv(&s->no_pasid);
    }
    if (pdev->exp.pri_cap && ranges_overlap(addr, len, pdev->exp.pri_cap, PCI_EXT_CAP_PRI_SIZEOF)) {
        pri_ctrl_written(s, pri);
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
    pasids_unlisten_inv_all(s);
    unlisten_inv(&s->no_pasid);

    for (unsigned i = 0; i < s->nr_channels; i++) {
        Channel *c = &s->channel[i];

        if (c->state != CHANNEL_IDLE) {
            job_end(s, c, SVA_DMA_ERR_STOPPED, c->fault_addr);
        }
        *c = (Channel) { .id = i, .vector = i, .status = flr ? c->status : SVA_DMA_IDLE };
    }
    pri_forget(s, SVA_DMA_ERR_STOPPED);
    pri_update_stopped(s);
    stalls_forget(s);
    invs_forget(s);
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
    if (pdev->exp.pri_cap) {
        pri_forget_all(s, SVA_DMA_ERR_STOPPED);
        pci_set_word(pdev->config + pdev->exp.pri_cap + PCI_PRI_CTRL, 0);
        pci_set_long(pdev->config + pdev->exp.pri_cap + PCI_PRI_ALLOC_REQ, 0);
        pri_status_clear(s, PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI);
        pri_status_set(s, PCI_PRI_STATUS_STOPPED);
    }
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

/* Extended capabilities. Virtual functions share the physical one's PASID and PRI. */
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
        pci_set_word(pdev->wmask + cap + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE | PCI_ATS_CTRL_STU(~0));
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
    /* Nobody can ask for pages whose translations or PASIDs he cannot have. */
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

    s->atc_ways = s->atc_entries % ATC_WAYS ? 1 : ATC_WAYS;
    s->atc_sets = s->atc_entries / s->atc_ways;
    s->atc = g_new0(AtcEntry, s->atc_entries);
    s->pasids = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    s->raw_groups = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    QSIMPLEQ_INIT(&s->late_invs);
    s->no_pasid = (PasidContext) {
        .dev = s,
        .pasid = PCI_NO_PASID,
        .pri.notify = sva_dma_answered,
    };
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, sva_dma_tick, s);
}

static void sva_dma_exit(PCIDevice *pdev)
{
    SvaDma *s = SVA_DMA(pdev);
    GHashTableIter it;
    PasidContext *p;

    pcie_sriov_pf_exit(pdev);
    timer_free(s->timer);
    stalls_forget(s);
    invs_forget(s);
    pasids_unlisten_inv(s);
    unlisten_inv(&s->no_pasid);
    g_hash_table_iter_init(&it, s->pasids);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&p)) {
        if (p->pri_registered) {
            pci_pri_unregister_notifier(pdev, p->pasid);
        }
    }
    if (s->no_pasid.pri_registered) {
        pci_pri_unregister_notifier(pdev, PCI_NO_PASID);
    }
    g_hash_table_destroy(s->pasids);
    g_hash_table_destroy(s->raw_groups);
    g_free(s->atc);
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
