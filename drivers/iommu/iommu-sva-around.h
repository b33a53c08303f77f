/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault-around: pages that a device is about to ask for are mapped before it does.
 *
 * A stream is a device that works its way up through memory, page by page. A window is the run of
 * pages that is mapped ahead of it. All sizes and positions are in pages.
 */
#ifndef _DRIVERS_IOMMU_IOMMU_SVA_AROUND_H
#define _DRIVERS_IOMMU_IOMMU_SVA_AROUND_H

#include <linux/bitmap.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>

struct iopf_lane;

/* Streams of one process, all devices together; the one that has been idle longest makes room. */
#define SVA_STREAMS		8
/* Single requests that are remembered: what follows one of them by a page begins a stream. */
#define SVA_STREAM_HINT_BITS	3
/* The first window of a stream, and the largest of all. */
#define SVA_WINDOW_MIN		4U
#define SVA_WINDOW_MAX		((unsigned int)(SZ_4M >> PAGE_SHIFT))
#define SVA_WINDOW_DEFAULT	((unsigned int)(SZ_2M >> PAGE_SHIFT))
/* Requests that overtake each other arrive this near to a window without being its end. */
#define SVA_STREAM_NEAR		8UL

/**
 * struct sva_stream - a stream and its latest window
 * @key: whose it is: the attachment of a device; NULL: of nobody
 * @kind: access that the window was mapped for, IOMMU_FAULT_PERM_*
 * @busy: somebody maps the next window. Nobody else changes @first, @size, @ahead meanwhile.
 * @first: first page of the window
 * @next: the page behind it: a request for that shows that the device has got through
 * @size: of the window, as far as it was wanted
 * @stamp: &sva_streams.ticks when the window was opened
 * @asked: pages of @ahead that were asked for all the same, by requests that were under way
 * @ahead: pages from @first that were mapped ahead, and of which nobody knows yet whether they
 *	are used
 */
struct sva_stream {
	const void *key;
	u32 kind;
	bool busy;
	unsigned long first;
	unsigned long next;
	unsigned int size;
	unsigned int stamp;
	unsigned int asked;
	DECLARE_BITMAP(ahead, SVA_WINDOW_MAX);
};

/**
 * struct sva_streams - the streams of a process
 * @ticks: windows opened so far
 * @nr: how many of @near and @streams have ever been in use
 * @hints: the pages behind the latest requests that belong to no stream, by hint_of()
 * @near: of each stream: the window with its neighbourhood; a copy for whoever has no lock
 * @streams: the streams
 */
struct sva_streams {
	unsigned int ticks;
	unsigned int nr;
	unsigned long hints[1 << SVA_STREAM_HINT_BITS];
	struct {
		unsigned long first;
		unsigned long pages;
	} near[SVA_STREAMS];
	struct sva_stream streams[SVA_STREAMS];
};

/* iommu-sva-stream.c */
void sva_streams_init(struct sva_streams *streams);
bool sva_streams_concern(struct sva_streams *streams, unsigned long page);
struct sva_stream *sva_stream_find(struct sva_streams *streams, const void *key, u32 kind,
				   unsigned long page);
unsigned int sva_stream_open(struct sva_streams *streams, struct sva_stream *stream,
			     unsigned long page, unsigned int used, unsigned int unused,
			     unsigned int max);
void sva_stream_close(struct sva_streams *streams, struct sva_stream *stream, unsigned long end);
void sva_stream_forget(struct sva_streams *streams, struct sva_stream *stream);

/**
 * struct sva_around - what fault-around keeps of a process
 * @lock: guards @streams
 * @streams: its streams; sva_streams_concern() does without the lock
 * @keeps_accessed: some IOMMU of the process does not set accessed flags itself, so that they must
 *	not be cleared
 */
struct sva_around {
	spinlock_t lock;	/* of streams */
	struct sva_streams streams;
	bool keeps_accessed;
};

/* iommu-sva-around.c */
void sva_around_init(struct sva_around *around);
unsigned long sva_around(struct sva_around *around, struct mm_struct *mm, struct iopf_lane *lane,
			 const struct iommu_fault_page_request *prm);
bool sva_around_is_at_hand(struct sva_around *around, struct vm_area_struct *vma,
			   const struct iommu_fault_page_request *prm);
void sva_around_forget(struct sva_around *around, struct mm_struct *mm, struct iommu_sva *sva);

#if IS_ENABLED(CONFIG_KUNIT)
unsigned int sva_around_limit(unsigned int pages);
#endif

/* iommu-sva.c */
bool sva_vma_allows(struct vm_area_struct *vma, u32 perm);
void sva_rest(struct iopf_lane *lane);
bool sva_fault_is_moot(struct mm_struct *mm, struct iopf_lane *lane);

#endif /* _DRIVERS_IOMMU_IOMMU_SVA_AROUND_H */
