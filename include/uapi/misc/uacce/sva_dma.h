/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Registers and user interface of sva-dma, the PCIe test endpoint of the SVA core.
 *
 * One header for the three that must agree: the device model, the Linux driver and the programs
 * that use the queue. It needs nothing but the C preprocessor and integer constants.
 *
 * BAR 0 holds
 *   - one page of device registers, for the driver only,
 *   - one control block per channel, for the driver only,
 *   - one job page per channel, which the driver maps into the process that owns the channel.
 * BAR 2 holds the MSI-X table. All registers are little-endian; 64-bit registers may be written as
 * two 32-bit halves, low half first.
 *
 * A channel runs one job at a time, with the PASID that its control block names. A job walks its
 * range page by page: look the page up in the ATC; on a miss send an ATS translation request; if
 * that does not grant the access, send a page request group and, once it is answered with
 * Success, ask for the translation again.
 *
 * With CAP_STALL there are neither ATS nor PRI: each access has the virtual address, and waits in
 * the IOMMU while software sees to the fault. An access that waits can't be called back: it is
 * made, or aborted, even if its job has been stopped in the meantime.
 *
 * With CAP_FAULTS there is no PRI: a page that is missing stops the channel, and an entry in a log
 * of the device's own says so. Software brings the page, and has the channel go on.
 */
#ifndef _UAPI_MISC_UACCE_SVA_DMA_H
#define _UAPI_MISC_UACCE_SVA_DMA_H

#define SVA_DMA_VENDOR_ID		0x1234
#define SVA_DMA_DEVICE_ID		0x5ada
#define SVA_DMA_REVISION		1
#define SVA_DMA_MAX_CHANNELS		32

/* Offsets in BAR 0. The 64 KiB stride keeps job pages apart for every page size Linux has. */
#define SVA_DMA_BAR_SIZE		0x400000
#define SVA_DMA_CHAN_BASE		0x1000
#define SVA_DMA_CHAN_STRIDE		0x40
#define SVA_DMA_JOB_BASE		0x10000
#define SVA_DMA_JOB_STRIDE		0x10000
#define SVA_DMA_JOB_SIZE		0x1000

/* Device registers */
#define SVA_DMA_REG_ID			0x000	/* ro, SVA_DMA_ID */
#define   SVA_DMA_ID			0x31415653	/* "SVA1" */
#define SVA_DMA_REG_CAP			0x004	/* ro */
#define   SVA_DMA_CAP_CHANNELS		0x000000ff
#define   SVA_DMA_CAP_PASID_BITS	0x00001f00	/* width of the PASIDs it can send */
#define   SVA_DMA_CAP_STALL		0x00002000	/* accesses wait in the IOMMU, see above */
#define   SVA_DMA_CAP_FAULTS		0x00004000	/* missing pages go into the fault log */
#define   SVA_DMA_CAP_ATC_ENTRIES	0xffff0000
#define SVA_DMA_REG_CTRL		0x008
#define   SVA_DMA_CTRL_ENABLE		0x1	/* channels may run */
#define   SVA_DMA_CTRL_CLEAR		0x2	/* wo: zero all counters */
#define   SVA_DMA_CTRL_DROP_ATC		0x4	/* wo: forget all translations */
#define SVA_DMA_REG_STATUS		0x00c	/* ro */
#define   SVA_DMA_STATUS_BUSY		0x1	/* a channel runs a job */
#define   SVA_DMA_STATUS_PRI_PENDING	0x2	/* a page request group, or stall, is unanswered */

/*
 * Raw page requests: any PASID, address, PRG index and flags, whether or not that is a sane
 * thing to send. Answers come back through RAW_RESP. The device refuses an index that a job uses.
 */
#define SVA_DMA_REG_RAW_ADDR		0x040	/* 64 bits */
#define SVA_DMA_REG_RAW_PASID		0x048
#define SVA_DMA_REG_RAW_SEND		0x04c	/* wo: flags and index; the write sends */
#define   SVA_DMA_RAW_PRGI		0x000001ff
#define   SVA_DMA_RAW_READ		0x00010000
#define   SVA_DMA_RAW_WRITE		0x00020000
#define   SVA_DMA_RAW_LAST		0x00040000
#define   SVA_DMA_RAW_EXEC		0x00080000
#define   SVA_DMA_RAW_PRIV		0x00100000
#define   SVA_DMA_RAW_STOP_MARKER	0x00200000	/* last, neither read nor write */
#define SVA_DMA_REG_RAW_STATUS		0x050	/* ro: outcome of the latest send */
#define   SVA_DMA_RAW_OK		0
#define   SVA_DMA_RAW_BUSY		1	/* index in use, or no credit left */
#define   SVA_DMA_RAW_REFUSED		2	/* PRI off, or the root complex refused it */
#define SVA_DMA_REG_RAW_RESP		0x054	/* ro: takes the oldest answer off the queue */
#define   SVA_DMA_RAW_RESP_PRGI		0x000001ff
#define   SVA_DMA_RAW_RESP_CODE		0x0000f000	/* as in the PRG response message */
#define   SVA_DMA_RAW_RESP_UNEXPECTED	0x40000000	/* answers nothing that was asked */
#define   SVA_DMA_RAW_RESP_VALID	0x80000000

/*
 * What devices do that do not behave, or do not have to behave, as software would like. A reset
 * brings back what the properties of the device model say.
 */
#define SVA_DMA_REG_BEHAVIOUR		0x060
#define   SVA_DMA_INV			0x00000003	/* an ATC invalidation is */
#define   SVA_DMA_INV_DONE		0x00000000	/* done and completed at once */
#define   SVA_DMA_INV_SLOW		0x00000001	/* ... after SLOW_NS */
#define   SVA_DMA_INV_HANG		0x00000002	/* ... never */
#define   SVA_DMA_STOP			0x00000030	/* STOP of a channel */
#define   SVA_DMA_STOP_KEEP_ATC		0x00000000	/* is done at once, with a stop marker */
#define   SVA_DMA_STOP_INSTANT		0x00000010	/* ... and drops the PASID's ATC entries */
#define   SVA_DMA_STOP_WAIT		0x00000020	/* ... when all is answered; no marker */
#define   SVA_DMA_STOP_HANG		0x00000030	/* is never done: the job goes on */
#define   SVA_DMA_LIE			0x00000100	/* page requests beyond the allocation */
#define SVA_DMA_REG_SLOW_NS		0x064
#define SVA_DMA_REG_DIE			0x068	/* wo */
#define   SVA_DMA_DIE_HOW		0x00000003
#define   SVA_DMA_DIE_REMOVED		1	/* torn out: no link, not present */
#define   SVA_DMA_DIE_LINK		2	/* no link */
#define   SVA_DMA_DIE_ERROR		3	/* a fatal error, which DPC contains if it is on */
#define   SVA_DMA_DIE_DELAY_US		0x00ffff00	/* ... after so many microseconds */

/*
 * The fault log (CAP_FAULTS). ADDR, PASID and INFO show its oldest entry until a write to TAKE
 * removes it. Each new entry raises MSI-X vector n, n being the number of channels. When the log is
 * full a fault waits in its channel, and goes into the log when there is room: none is lost.
 */
#define SVA_DMA_REG_LOG_ADDR		0x080	/* ro, 64 bits: the address that was not there */
#define SVA_DMA_REG_LOG_PASID		0x088	/* ro */
#define SVA_DMA_REG_LOG_INFO		0x08c	/* ro */
#define   SVA_DMA_LOG_CHANNEL		0x0000001f
#define   SVA_DMA_LOG_READ		0x00000100	/* how the channel wanted to use it */
#define   SVA_DMA_LOG_WRITE		0x00000200
#define   SVA_DMA_LOG_EXEC		0x00000400
#define   SVA_DMA_LOG_PRIV		0x00000800
#define   SVA_DMA_LOG_TAG		0x0fff0000	/* for the channel's RESUME */
#define   SVA_DMA_LOG_OVERFLOW		0x40000000	/* faults wait, the log is full */
#define   SVA_DMA_LOG_VALID		0x80000000	/* there is an entry */
#define SVA_DMA_REG_LOG_TAKE		0x090	/* wo: any write removes the oldest entry */

/* Counters: 64 bits each, read-only, index n at SVA_DMA_REG_COUNTERS + 8 * n */
#define SVA_DMA_REG_COUNTERS		0x100
enum sva_dma_counter {
	SVA_DMA_CNT_JOBS_DONE,		/* jobs that ended well */
	SVA_DMA_CNT_JOBS_FAILED,	/* jobs that ended otherwise */
	SVA_DMA_CNT_BYTES_READ,
	SVA_DMA_CNT_BYTES_WRITTEN,
	SVA_DMA_CNT_ATC_HITS,
	SVA_DMA_CNT_ATC_MISSES,
	SVA_DMA_CNT_ATC_EVICTIONS,
	SVA_DMA_CNT_ATS_REQUESTS,	/* translation requests sent */
	SVA_DMA_CNT_ATS_GRANTED,	/* ... whose completion allowed the access */
	SVA_DMA_CNT_ATS_DENIED,		/* ... with R=W=0, or without the access asked for */
	SVA_DMA_CNT_ATS_ERRORS,		/* ... completed with UR or CA */
	SVA_DMA_CNT_PRI_REQUESTS,	/* page request messages sent, raw ones, no stop markers */
	SVA_DMA_CNT_PRI_GROUPS,		/* ... with the Last bit */
	SVA_DMA_CNT_PRI_SUCCESS,	/* groups answered 0 */
	SVA_DMA_CNT_PRI_INVALID,	/* groups answered 1 */
	SVA_DMA_CNT_PRI_FAILURE,	/* groups answered 15 or any other code */
	SVA_DMA_CNT_PRI_UNEXPECTED,	/* answers to no outstanding group */
	SVA_DMA_CNT_PRI_REFUSED,	/* messages the root complex did not take */
	SVA_DMA_CNT_PRI_CREDIT_WAITS,	/* times a job waited for a credit or a PRG index */
	SVA_DMA_CNT_PRI_STOP_MARKERS,
	SVA_DMA_CNT_INV_PASID,		/* ATC invalidation requests with a PASID */
	SVA_DMA_CNT_INV_GLOBAL,		/* ... without one */
	SVA_DMA_CNT_INV_ENTRIES,	/* ATC entries that they dropped */
	SVA_DMA_CNT_RESETS,		/* function-level resets; the one that survives them */
	SVA_DMA_CNT_STALLS,		/* accesses that the IOMMU stalled */
	SVA_DMA_CNT_STALLS_RETRIED,	/* ... and then let try again */
	SVA_DMA_CNT_STALLS_ABORTED,	/* ... or aborted */
	SVA_DMA_CNT_INV_LATE,		/* ATC invalidations that were not done at once */
	SVA_DMA_CNT_FAULTS,		/* missing pages that stopped a channel (CAP_FAULTS) */
	SVA_DMA_CNT_FAULTS_RESUMED,	/* ... after which the job went on */
	SVA_DMA_CNT_FAULTS_FAILED,	/* ... for which software ended the job */
	SVA_DMA_CNT_FAULT_WAITS,	/* ... that found the log full */
	SVA_DMA_NR_COUNTERS
};

/* Channel control block */
#define SVA_DMA_CHAN_CTRL		0x00
#define   SVA_DMA_CHAN_ENABLE		0x1	/* the job page takes jobs */
#define   SVA_DMA_CHAN_NO_PRI		0x2	/* do not ask for missing pages: fail the job */
/*
 * Writing STOP ends the running job, sends a stop marker if a group of the channel is still
 * unanswered, and clears ENABLE. The ATC keeps the PASID's entries: the kernel invalidates them
 * before it gives the PASID to another process. BEHAVIOUR knows other ways to stop. When STATUS
 * shows neither ENABLED nor BUSY, the device issues nothing more for the PASID; later answers are
 * taken and counted.
 */
#define   SVA_DMA_CHAN_STOP		0x4	/* wo */
#define SVA_DMA_CHAN_PASID		0x04	/* writes are ignored while enabled or busy */
#define SVA_DMA_CHAN_VECTOR		0x08	/* MSI-X vector raised when a job ends */
#define SVA_DMA_CHAN_STATUS		0x0c	/* ro */
#define   SVA_DMA_CHAN_ENABLED		0x1
#define   SVA_DMA_CHAN_BUSY		0x2
#define   SVA_DMA_CHAN_FAULTED		0x4	/* its job waits for RESUME */
/*
 * Ends the wait for the fault that has this tag in the log. A fault that is no more, because the
 * job has ended in the meantime, has no effect: what comes late cannot meet the next job.
 */
#define SVA_DMA_CHAN_RESUME		0x10	/* wo */
#define   SVA_DMA_RESUME_TAG		0x0fff0000	/* as in LOG_INFO */
#define   SVA_DMA_RESUME_FAIL		0x1	/* the job ends; else its step starts again */

/* Job page */
#define SVA_DMA_JOB_OP			0x00	/* operation and flags */
#define   SVA_DMA_OP_MASK		0x0000000f
#define   SVA_DMA_OP_FILL		1	/* DST[0..LEN) = bytes of ARG0, repeated */
#define   SVA_DMA_OP_COPY		2	/* DST[0..LEN) = SRC[0..LEN) */
#define   SVA_DMA_OP_CHECKSUM		3	/* RESULT = 64-bit FNV-1a of SRC[0..LEN) */
#define   SVA_DMA_OP_CAS		4	/* at DST: RESULT = old; ARG1 if old == ARG0 */
#define   SVA_DMA_OP_IRQ		0x00000100	/* raise the channel's vector at the end */
#define   SVA_DMA_OP_EXEC		0x00000200	/* ask for execute permission on SRC */
#define   SVA_DMA_OP_PRIV		0x00000400	/* ask in privileged mode */
#define   SVA_DMA_OP_GROUP		0x003f0000	/* pages per page request group, 0: 1 */
#define   SVA_DMA_OP_GROUP_SHIFT	16
#define SVA_DMA_JOB_GROUP_MAX		32
#define SVA_DMA_JOB_SRC			0x08	/* 64 bits, virtual address */
#define SVA_DMA_JOB_DST			0x10	/* 64 bits, virtual address */
#define SVA_DMA_JOB_LEN			0x18	/* 64 bits, bytes */
#define SVA_DMA_JOB_ARG0		0x20	/* 64 bits */
#define SVA_DMA_JOB_ARG1		0x28	/* 64 bits */
#define SVA_DMA_JOB_REPEAT		0x30	/* times to run again; ~0: until stopped */
#define SVA_DMA_JOB_PACE		0x34	/* ns of device time between two pages */
#define SVA_DMA_JOB_STEP		0x38	/* 64 bits, FILL and CHECKSUM only */
/* STEP 0: the whole range; n: 8 bytes every n bytes of it */
#define SVA_DMA_JOB_START		0x40	/* wo: starts the job; ignored while busy */
#define SVA_DMA_JOB_ABORT		0x44	/* wo: any write ends it */
#define SVA_DMA_JOB_STATUS		0x48	/* ro: enum sva_dma_status */
#define SVA_DMA_JOB_COUNT		0x4c	/* ro: jobs ended since ENABLE */
#define SVA_DMA_JOB_RESULT		0x50	/* ro, 64 bits */
#define SVA_DMA_JOB_BYTES		0x58	/* ro, 64 bits: moved so far, all repetitions */
#define SVA_DMA_JOB_FAULT_ADDR		0x60	/* ro, 64 bits: where a failed job stopped */
#define SVA_DMA_JOB_PASSES		0x68	/* ro: repetitions completed */

enum sva_dma_status {
	SVA_DMA_IDLE,			/* nothing submitted since the channel was enabled */
	SVA_DMA_RUNNING,
	SVA_DMA_DONE,
	SVA_DMA_ERR_OP,			/* unknown operation, zero length, misaligned CAS */
	SVA_DMA_ERR_TRANSLATION,	/* no access, and PRI may not or did not help */
	SVA_DMA_ERR_PRI_INVALID,	/* page request answered Invalid Request */
	SVA_DMA_ERR_PRI_FAILURE,	/* answered Response Failure: PRI has stopped */
	SVA_DMA_ERR_ATS,		/* request completed with UR or CA, or ATS off */
	SVA_DMA_ERR_BUS,		/* the translated address is not memory */
	SVA_DMA_ERR_STOPPED,		/* by the job page's ABORT, the driver, or a reset */
	SVA_DMA_ERR_DISABLED,		/* channel not enabled */
	SVA_DMA_ERR_FAULT,		/* software could not bring a missing page (CAP_FAULTS) */
};

#endif /* _UAPI_MISC_UACCE_SVA_DMA_H */
