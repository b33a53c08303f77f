// SPDX-License-Identifier: GPL-2.0-only
/*
 * The half of fault-around that deals with memory, re-made: the streams are the core's own, pages
 * come from the simulated address space. Nothing is known about accessed flags.
 */
#include "sim.h"
#include "iommu-sva-around.h"
#include "iopf.h"

unsigned int sim_around_pages;

void sva_around_init(struct sva_around *around)
{
	spin_lock_init(&around->lock);
	sva_streams_init(&around->streams);
}

static unsigned long map_window(struct mm_struct *mm, struct iopf_lane *lane,
				struct sva_stream *stream, unsigned int size, u32 perm)
{
	unsigned long page = stream->first;
	struct vm_area_struct *vma;

	sva_rest(lane);
	mmap_read_lock(mm);
	vma = find_vma(mm, (page - 1) << PAGE_SHIFT);
	for (; size-- && !sva_fault_is_moot(mm, lane); page++) {
		if (!vma || page << PAGE_SHIFT >= vma->vm_end || !sva_vma_allows(vma, perm))
			break;
		sim_fault_map(vma, page << PAGE_SHIFT,
			      perm & IOMMU_FAULT_PERM_WRITE ? FAULT_FLAG_WRITE : 0);
		__set_bit(page - stream->first, stream->ahead);
		sim_point("page mapped ahead");
	}
	mmap_read_unlock(mm);
	return page;
}

unsigned long sva_around(struct sva_around *around, struct mm_struct *mm, struct iopf_lane *lane,
			 const struct iommu_fault_page_request *prm)
{
	unsigned long page = prm->addr >> PAGE_SHIFT, end;
	struct sva_stream *stream = NULL;
	const void *key;
	unsigned int size;

	if (lane->is_reporter || !sim_around_pages || !sva_streams_concern(&around->streams, page))
		return prm->addr;

	scoped_guard(rcu)
		key = iopf_lane_handle(lane);
	scoped_guard(spinlock, &around->lock) {
		if (key && iopf_lane_is_wanted(lane))
			stream = sva_stream_find(&around->streams, key,
						 prm->perm & IOMMU_FAULT_PERM_WRITE, page);
		size = stream ? sva_stream_open(&around->streams, stream, page, 0, 0,
						sim_around_pages) : 0;
	}
	if (!stream)
		return prm->addr;
	end = map_window(mm, lane, stream, size, prm->perm);
	iopf_lane_count(lane, IOPF_AHEAD, bitmap_weight(stream->ahead, SVA_WINDOW_MAX));
	scoped_guard(spinlock, &around->lock)
		sva_stream_close(&around->streams, stream, end);
	return (end << PAGE_SHIFT) - 1;
}

bool sva_around_is_at_hand(struct sva_around *around, struct vm_area_struct *vma,
			   const struct iommu_fault_page_request *prm)
{
	return !vma->vm_mm->is_short && sva_vma_allows(vma, prm->perm) &&
	       (!sim_around_pages ||
		!sva_streams_concern(&around->streams, prm->addr >> PAGE_SHIFT));
}

void sva_around_forget(struct sva_around *around, struct mm_struct *mm, struct iommu_sva *sva)
{
	guard(spinlock)(&around->lock);
	for (unsigned int i = 0; i < SVA_STREAMS; i++)
		if (around->streams.streams[i].key == &sva->handle)
			sva_stream_forget(&around->streams, &around->streams.streams[i]);
}
