/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault-around: maps pages that a device is about to ask for
 *
 * A sequence is the run of requests of a device that works its way up or down through memory, page
 * by page. A window is the run of pages that the core maps ahead of it. All sizes and positions are
 * in pages.
 */
#ifndef _DRIVERS_IOMMU_IOMMU_SVA_AROUND_H
#define _DRIVERS_IOMMU_IOMMU_SVA_AROUND_H

#include <linux/bitmap.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>

struct sva_server;

/* Sequences of one process, all devices together; the one that has been idle longest goes first. */
#define SVA_SEQS		8
/* log2 of how many single requests leave a hint: one that follows a hint begins a sequence. */
#define SVA_SEQ_HINT_BITS	3
/* The first window of a sequence, and the largest of all. */
#define SVA_WINDOW_MIN		4U
#define SVA_WINDOW_MAX		((unsigned int)(SZ_4M >> PAGE_SHIFT))
#define SVA_WINDOW_DEFAULT	((unsigned int)(SZ_2M >> PAGE_SHIFT))
/* The smallest window with a gap, and the most pages from the gap to the end of a window */
#define SVA_WINDOW_GAP		32U
#define SVA_GAP_TO_END		64U
/* How far from a window a request may arrive that has overtaken, or was overtaken by, others */
#define SVA_SEQ_NEAR		8UL

/**
 * struct sva_seq - a sequence and its latest window
 * @key: the attachment of the device that it belongs to; NULL: unused
 * @kind: the access that the window is mapped for, IOMMU_FAULT_PERM_*
 * @down: the device works its way down
 * @busy: a thread maps the next window; only that thread changes all but @next meanwhile
 * @first: the place of bit 0 of @ahead; as are all below by sva_seq_place()
 * @begin: where the window begins; from @first on until there what is left of the one before
 * @next: the place behind the window; a request for its page shows that the device has used the
 *	window up
 * @gap: n: the page at @first + n is left out of the window; a request for it shows that the device
 *	has come so far. 0: none is.
 * @size: of the window, as it was planned
 * @stamp: &sva_seqs.ticks when the window was opened
 * @asked: pages of @ahead that requests which were under way have asked for all the same
 * @ahead: bit n: the page at @first + n is mapped ahead, and not yet counted as used or unused
 */
struct sva_seq {
	const void *key;
	u32 kind;
	bool down;
	bool busy;
	unsigned long first;
	unsigned long begin;
	unsigned long next;
	unsigned int gap;
	unsigned int size;
	unsigned int stamp;
	unsigned int asked;
	DECLARE_BITMAP(ahead, SVA_WINDOW_MAX);
};

/**
 * struct sva_seqs - the sequences of a process
 * @ticks: windows opened so far
 * @nr: none of @near and @seqs behind so many is in use
 * @hints: the pages of the latest requests that belong to no sequence, by hint_of()
 * @near: of each sequence: the window with its neighbourhood; a copy for readers without the lock
 * @seqs: the sequences
 */
struct sva_seqs {
	unsigned int ticks;
	unsigned int nr;
	unsigned long hints[1 << SVA_SEQ_HINT_BITS];
	struct {
		unsigned long first;
		unsigned long pages;
	} near[SVA_SEQS];
	struct sva_seq seqs[SVA_SEQS];
};

/* The place of a page in the direction of a sequence; and the page of a place. */
static inline unsigned long sva_seq_place(const struct sva_seq *seq, unsigned long page)
{
	return seq->down ? ~page : page;
}

/* Does fault-around leave out the page at a place? */
static inline bool sva_seq_is_gap(const struct sva_seq *seq, unsigned long place)
{
	return seq->gap && place - seq->first == seq->gap;
}

/* iommu-sva-seq.c */
void sva_seqs_init(struct sva_seqs *seqs);
bool sva_seqs_concern(struct sva_seqs *seqs, unsigned long page);
struct sva_seq *sva_seq_find(struct sva_seqs *seqs, const void *key, u32 kind,
			     unsigned long page);
unsigned int sva_seq_open(struct sva_seqs *seqs, struct sva_seq *seq,
			  unsigned long page, unsigned int used, unsigned int unused,
			  unsigned int max);
void sva_seq_close(struct sva_seqs *seqs, struct sva_seq *seq, unsigned long end);
void sva_seq_forget(struct sva_seqs *seqs, struct sva_seq *seq);

/**
 * struct sva_fault_around - fault-around of a process
 * @lock: guards @seqs
 * @seqs: its sequences; sva_seqs_concern() reads them without the lock
 * @no_hw_access_flag: some IOMMU of the process does not set accessed flags itself, so that they
 *	must not be cleared
 */
struct sva_fault_around {
	spinlock_t lock;	/* of sequences */
	struct sva_seqs seqs;
	bool no_hw_access_flag;
};

/* For the next process: no thread uses it any more. */
static inline void sva_fault_around_reset(struct sva_fault_around *around)
{
	sva_seqs_init(&around->seqs);
	around->no_hw_access_flag = false;
}

/* iommu-sva-around.c */
void sva_fault_around_init(struct sva_fault_around *around);
void sva_fault_around(struct sva_server *server, const struct iommu_fault_page_request *prm);
bool sva_can_fault_nowait(struct sva_fault_around *around, struct vm_area_struct *vma,
			  const struct iommu_fault_page_request *prm);
void sva_fault_around_forget(struct sva_fault_around *around, struct mm_struct *mm,
			     struct iommu_sva *sva);

#if IS_ENABLED(CONFIG_KUNIT)
unsigned int sva_fault_around_limit(unsigned int pages);
#endif

#endif /* _DRIVERS_IOMMU_IOMMU_SVA_AROUND_H */
