// SPDX-License-Identifier: GPL-2.0-only
/*
 * The half of fault-around that deals with memory, re-made: the streams are the core's own, pages
 * come from the simulated address space. There are no accessed flags.
 */
#include "sim.h"
#include "iommu-sva-priv.h"

unsigned int sim_around_pages;

void sva_fault_around_init(struct sva_fault_around *around)
{
	spin_lock_init(&around->lock);
	sva_seqs_init(&around->seqs);
}

/* Returns the place where the window ends. */
static unsigned long map_window(struct sva_server *server, struct sva_seq *seq,
				unsigned int size, u32 perm)
{
	struct mm_struct *mm = sva_server_mm(server);
	unsigned long place = seq->begin, addr;
	struct vm_area_struct *vma;

	sva_unlock_vma(server);
	mmap_read_lock(mm);
	vma = find_vma(mm, sva_seq_place(seq, place - 1) << PAGE_SHIFT);
	for (; size-- && !sva_fault_aborted(server); place++) {
		addr = sva_seq_place(seq, place) << PAGE_SHIFT;
		if (!vma || addr < vma->vm_start || addr >= vma->vm_end ||
		    !sva_vma_allows(vma, perm))
			break;
		if (sva_seq_is_gap(seq, place))
			continue;
		sim_fault_map(vma, addr,
			      perm & IOMMU_FAULT_PERM_WRITE ? FAULT_FLAG_WRITE : 0);
		__set_bit(place - seq->first, seq->ahead);
		sim_point("page mapped ahead");
	}
	mmap_read_unlock(mm);
	return place;
}

void sva_fault_around(struct sva_server *server, const struct iommu_fault_page_request *prm)
{
	struct sva_fault_around *around = &server->io_mm->around;
	unsigned long page = prm->addr >> PAGE_SHIFT, end;
	struct sva_seq *seq = NULL;
	const void *key;
	unsigned int size;

	if (sva_server_is_inline(server) || !sim_around_pages)
		return;
	if (!sva_seqs_concern(&around->seqs, page))
		return;

	scoped_guard(rcu)
		key = sva_server_handle(server);
	scoped_guard(spinlock, &around->lock) {
		if (key && sva_fault_is_wanted(server))
			seq = sva_seq_find(&around->seqs, key,
					   prm->perm & IOMMU_FAULT_PERM_WRITE, page);
		size = seq ? sva_seq_open(&around->seqs, seq, page, 0, 0,
					  sim_around_pages) : 0;
	}
	if (!seq)
		return;
	end = map_window(server, seq, size, prm->perm);
	sva_server_count(server, IOPF_AHEAD, bitmap_weight(seq->ahead, SVA_WINDOW_MAX));
	scoped_guard(spinlock, &around->lock)
		sva_seq_close(&around->seqs, seq, end);
}

bool sva_can_fault_nowait(struct sva_fault_around *around, struct vm_area_struct *vma,
			  const struct iommu_fault_page_request *prm)
{
	return vma_is_anonymous(vma) && !userfaultfd_armed(vma) && !vma->vm_mm->is_short &&
	       sva_vma_allows(vma, prm->perm) &&
	       (!sim_around_pages ||
		!sva_seqs_concern(&around->seqs, prm->addr >> PAGE_SHIFT));
}

void sva_fault_around_forget(struct sva_fault_around *around, struct mm_struct *mm,
			     struct iommu_sva *sva)
{
	guard(spinlock)(&around->lock);
	for (unsigned int i = 0; i < SVA_SEQS; i++)
		if (around->seqs.seqs[i].key == &sva->handle)
			sva_seq_forget(&around->seqs, &around->seqs.seqs[i]);
}
