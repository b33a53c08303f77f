/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-dma: what its parts share. The model and its invariants are at the top of sva-dma.c.
 */
#ifndef HW_MISC_SVA_DMA_INTERNAL_H
#define HW_MISC_SVA_DMA_INTERNAL_H

#include "qemu/queue.h"
#include "qemu/timer.h"
#include "hw/misc/sva_dma.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie_sriov.h"

#define TYPE_SVA_DMA "sva-dma"
OBJECT_DECLARE_SIMPLE_TYPE(SvaDma, SVA_DMA)

#define DMA_PAGE_SHIFT 12
#define DMA_PAGE_SIZE (1ULL << DMA_PAGE_SHIFT)
#define DMA_PAGE_MASK (~(DMA_PAGE_SIZE - 1))

#define NR_PRG 512
#define RAW_ANSWERS 512
#define TOUCH_SIZE 8
#define FNV_BASIS 0xcbf29ce484222325ULL
/*
 * Pages in a row that software has brought without bringing the access. Another thread may take the
 * page away before it is used, again and again; a permission that the IOMMU cannot grant never comes.
 */
#define MAX_RETRIES 64

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

/* A missing page that software is told of in the fault log */
typedef struct Fault {
    uint64_t va;
    uint32_t pasid;
    uint32_t info; /* SVA_DMA_REG_LOG_INFO */
} Fault;

typedef enum ChannelState {
    CHANNEL_IDLE,
    CHANNEL_RUNNING,
    CHANNEL_NEEDS_CREDIT,
    CHANNEL_NEEDS_ANSWER,
    CHANNEL_STALLED,
    CHANNEL_FAULTED,
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
    /* the latest fault */
    Fault fault;
    bool fault_waits; /* for room in the log */
    uint16_t fault_tag;
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

    Fault *log;
    uint32_t log_head, log_count;
    uint8_t log_next; /* the channel that is the first to get room */
    bool log_irq_due;

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
    bool faults;
    uint32_t fault_entries;
    bool lie, no_soft_reset;
    char *inv_mode, *stop_mode;
    uint32_t first_behaviour; /* what they say */
    uint32_t slow_us;
};

typedef enum AtsOutcome { ATS_GRANTED, ATS_DENIED, ATS_ERROR } AtsOutcome;

/* Where an access goes, for the step in hand */
typedef struct Target {
    AddressSpace *as;
    hwaddr addr;
} Target;

static inline int64_t now_ns(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static inline void sva_dma_kick(SvaDma *s)
{
    timer_mod_anticipate_ns(s->timer, now_ns());
}

static inline uint16_t sva_dma_rid(SvaDma *s)
{
    return pci_get_bdf(PCI_DEVICE(s));
}

/* The function whose PASID and PRI capabilities count: a virtual one has none (9.3.7). */
static inline SvaDma *sva_dma_physical(SvaDma *s)
{
    PCIDevice *pf = pcie_sriov_get_pf(PCI_DEVICE(s));

    return pf ? SVA_DMA(pf) : s;
}

/* The functions that share @s's page request interface: 0 the physical one. NULL: no more */
static inline SvaDma *pri_function(SvaDma *s, unsigned n)
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

/* Memory requests, which translation requests are too, need bus mastering; messages do not. */
static inline bool sva_dma_is_master(SvaDma *s)
{
    return pci_get_word(PCI_DEVICE(s)->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static inline bool channel_busy(Channel *c)
{
    return c->state != CHANNEL_IDLE || c->stopping;
}

/* The half of a register of 64 bits that is at @reg */
static inline uint32_t reg_half(uint64_t val, unsigned reg)
{
    return val >> reg % 8 * 8;
}

/* sva-dma-atc.c */

AtcEntry *sva_dma_atc_lookup(SvaDma *s, uint32_t pasid, bool priv, uint64_t va, unsigned need);
unsigned sva_dma_atc_invalidate(SvaDma *s, uint32_t pasid, uint64_t first, uint64_t last);
void sva_dma_atc_clear(SvaDma *s);
bool sva_dma_inv_pending(PCIDevice *pdev);
int64_t sva_dma_invs_run(SvaDma *s, int64_t now);
void sva_dma_invs_forget(SvaDma *s);
void sva_dma_listen_inv(PasidContext *p);
void sva_dma_unlisten_inv(PasidContext *p);
bool sva_dma_pasid_of_channel(SvaDma *s, uint32_t pasid);
PasidContext *sva_dma_pasid_listen(SvaDma *s, uint32_t pasid);
void sva_dma_pasids_unlisten_inv(SvaDma *s);
void sva_dma_pasids_unlisten_inv_all(SvaDma *s);
AtsOutcome sva_dma_ats_request(SvaDma *s, Channel *c, uint64_t va, unsigned need, AtcEntry *out);
void sva_dma_atc_init(SvaDma *s);
void sva_dma_atc_exit(SvaDma *s);

/* sva-dma-job.c */

void sva_dma_job_end(SvaDma *s, Channel *c, enum sva_dma_status status, uint64_t addr);
uint64_t sva_dma_job_advance(const DmaJob *j, uint64_t offset, uint64_t len);
uint64_t sva_dma_job_chunk(const DmaJob *j, uint64_t offset, uint64_t base);
uint32_t sva_dma_job_read(Channel *c, unsigned reg);
void sva_dma_job_write(SvaDma *s, Channel *c, unsigned reg, uint32_t val);

/* sva-dma-pri.c */

bool sva_dma_pri_usable(SvaDma *s);
void sva_dma_pri_update_stopped(SvaDma *s);
void sva_dma_wake_credit_waiters(SvaDma *s);
void sva_dma_pri_forget(SvaDma *s, enum sva_dma_status status);
uint32_t sva_dma_raw_answer(SvaDma *s);
void sva_dma_send_stop_marker(SvaDma *s, uint32_t pasid);
void sva_dma_request_pages(SvaDma *s, Channel *c, uint64_t va, uint64_t base, unsigned need);
void sva_dma_raw_send(SvaDma *s, uint32_t val);
bool sva_dma_translate_or_stall(SvaDma *s, Channel *c, uint64_t va, unsigned need, Target *t);
void sva_dma_stalls_retry(SvaDma *s);
void sva_dma_stalls_forget(SvaDma *s);
void sva_dma_pri_init(SvaDma *s);
void sva_dma_pri_ctrl_written(SvaDma *s, bool was_enabled);
void sva_dma_pri_reset(SvaDma *s);
void sva_dma_pri_exit(SvaDma *s);

/* sva-dma-log.c */

void sva_dma_fault(SvaDma *s, Channel *c, uint64_t va, unsigned need);
void sva_dma_fault_resume(SvaDma *s, Channel *c, uint32_t val);
uint32_t sva_dma_log_read(SvaDma *s, unsigned reg);
void sva_dma_log_take(SvaDma *s);
void sva_dma_log_init(SvaDma *s);
void sva_dma_log_reset(SvaDma *s);
void sva_dma_log_exit(SvaDma *s);

/* sva-dma-channel.c */

void sva_dma_job_run(SvaDma *s, Channel *c, int64_t now);
void sva_dma_channel_go_on_stopping(SvaDma *s, Channel *c);
void sva_dma_channels_reset(SvaDma *s, bool keep_status);
uint32_t sva_dma_channel_read(Channel *c, unsigned reg);
void sva_dma_channel_write(SvaDma *s, Channel *c, unsigned reg, uint32_t val);

#endif
