// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault-around: map ahead of a device that accesses memory in sequence
 *
 * A device that works its way through memory asks for every single page, and waits for each answer.
 * When a worker has served a page request that continues a sequence (iommu-sva-seq.c), it maps a
 * window of pages behind it too, or below it, as faults of the same kind would map them.
 *
 * When. Before the worker answers the request: the device goes on as soon as it has the answer, and
 * would ask for the next page while the worker maps it. The delay of one answer saves as many round
 * trips of the device as the window has pages; and a window is only as large as the sequence has
 * proved to be long. The first window of a sequence is a few pages.
 *
 * What. Only what a process cannot tell from a faster device. A window ends where its VMA does, and
 * there is none in memory
 *
 *	that is locked, also on fault only: pages that are not touched must stay out of it
 *	that userfaultfd watches: its monitor would hear of accesses that were not made
 *	whose user has said that access is random
 *	that grows (stacks), that may vanish (droppable), huge pages of hugetlbfs, DAX
 *	of drivers: an early fault is known to be harmless in anonymous memory and the page cache
 *	that is a file's, for writing, which would dirty or copy pages; but there is one in shared
 *	mappings of shmem, which has no file behind it
 *
 * Of a file fault-around maps only pages that are in the page cache, up to date, and do not ask for
 * read-ahead: it reads nothing, and makes no file system look for blocks. It allocates fresh
 * anonymous pages, private or shared, while the process's memory groups stay below memory.high and
 * memory.max and an allocation need not reclaim. So it neither reclaims nor kills. A window ends
 * where a huge page is possible: the request for that place will bring it, and one request for a
 * huge page is the best result. It fills only empty entries: pages that are swapped out, migrating,
 * or mapped for less access are left to requests.
 *
 * How. Per-VMA locks cannot be used: handle_mm_fault() must not wait (FAULT_FLAG_RETRY_NOWAIT), and
 * with a VMA lock its return value does not say whether that is still held. So for each chunk of a
 * window the worker takes mmap_lock for reading, if it is free, and looks the VMA up again. For a
 * request that continues no sequence it does not take the lock. An error ends the window, and the
 * worker serves the request that comes then in full. Between chunks it asks whether the answer is
 * still wanted.
 *
 * Was it worth it? Where the IOMMU sets accessed flags, fault-around clears those of pages mapped
 * ahead, and reads them when the sequence moves on to its next window, and at the end of the bond
 * and of the mm. It flushes no TLB for that: the pages have not been used. On an IOMMU that does
 * not set them (SMMUv3 without HTTU) a cleared flag would cost the very page request that
 * fault-around saves: the flags stay, and pages count as neither used nor unused. Neither do pages
 * that are gone again, nor those of a sequence that had to make room for another device's.
 *
 * sva_can_fault_nowait() makes the same checks to tell whether a fault can be served without
 * waiting, before a request is served, under the lock of its VMA.
 *
 * Locks: mmap_lock, by trylock, outside of page-table locks; sva_fault_around.lock, taken alone.
 *
 * Lifetime: sequences are a part of the io_mm; those of a bond are forgotten when it ends.
 */
#include <linux/memcontrol.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/userfaultfd_k.h>
#include <linux/xarray.h>
#include <trace/events/iommu_sva.h>

#include "iommu-sva-priv.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX	"iommu_sva."

/* Pages mapped under one hold of mmap_lock; a power of two */
#define AROUND_CHUNK	32
/*
 * Pages that a chunk may need beside its own: for tables, and for what CPUs charge to a memcg in
 * advance (twice MEMCG_CHARGE_BATCH, which a kernel without memcg does not define).
 */
#define AROUND_SPARE	128

#define AROUND_NO_VMAS	(VM_LOCKED | VM_LOCKONFAULT | VM_IO | VM_PFNMAP | VM_MIXEDMAP |	\
			 VM_HUGETLB | VM_RAND_READ | VM_GROWSDOWN | VM_GROWSUP | VM_DROPPABLE)

static unsigned int fault_around_pages = SVA_WINDOW_DEFAULT;

static int fault_around_pages_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, SVA_WINDOW_MAX);
}

static const struct kernel_param_ops fault_around_pages_ops = {
	.set = fault_around_pages_set,
	.get = param_get_uint,
};
module_param_cb(fault_around_pages, &fault_around_pages_ops, &fault_around_pages, 0644);
MODULE_PARM_DESC(fault_around_pages,
		 "Most pages to map ahead of a device that asks for consecutive ones, 0: none");

/**
 * struct around_job - a window being mapped
 * @mm: of the process; the caller keeps it from exiting
 * @server: the thread that works on it
 * @seq: the sequence that the window belongs to
 * @perm: the access that the request asked for
 * @next: how far the window has come: the address of the next page, or behind it if @seq goes down
 * @end: where the window ends
 * @mapped: pages mapped ahead so far
 */
struct around_job {
	struct mm_struct *mm;
	struct sva_server *server;
	struct sva_seq *seq;
	u32 perm;
	unsigned long next;
	unsigned long end;
	unsigned int mapped;
};

/* Room */

#ifdef CONFIG_MEMCG
static bool counter_has_room(struct page_counter *counter, unsigned long limit, unsigned int nr)
{
	return page_counter_read(counter) + nr <= limit;
}

static bool memcg_has_room(struct mem_cgroup *memcg, unsigned int nr)
{
	bool v1 = !cgroup_subsys_on_dfl(memory_cgrp_subsys);

	for (; memcg && !mem_cgroup_is_root(memcg); memcg = parent_mem_cgroup(memcg)) {
		unsigned long limit = min(READ_ONCE(memcg->memory.max),
					  READ_ONCE(memcg->memory.high));

		if (!counter_has_room(&memcg->memory, limit, nr))
			return false;
		if (v1 && !counter_has_room(&memcg->memsw, READ_ONCE(memcg->memsw.max), nr))
			return false;
	}
	return true;
}

static struct mem_cgroup *memcg_in_charge(void)
{
	return current->active_memcg;
}
#else
static bool memcg_has_room(struct mem_cgroup *memcg, unsigned int nr)
{
	return true;
}

static struct mem_cgroup *memcg_in_charge(void)
{
	return NULL;
}
#endif

/* Would an allocation of @nr pages need no reclaim, not even by kswapd? */
static bool node_has_room(int nid, unsigned int nr)
{
	enum zone_type highest = gfp_zone(GFP_HIGHUSER_MOVABLE);
	struct zoneref *z;
	struct zone *zone;

	for_each_zone_zonelist(zone, z, node_zonelist(nid, GFP_HIGHUSER_MOVABLE), highest)
		if (zone_watermark_ok(zone, 0, low_wmark_pages(zone) + nr, highest, 0))
			return true;
	return false;
}

/* Is there room for @nr pages and their tables, charged to the memory group that is active? */
static bool around_has_room(struct vm_area_struct *vma, unsigned int nr)
{
	int nid;

	/* Other allocations may take some of the room meanwhile; the spare is for that, too. */
	nr += AROUND_SPARE;
	if (!memcg_has_room(memcg_in_charge(), nr))
		return false;
	if (!vma_policy(vma))
		return node_has_room(numa_mem_id(), nr);
	/* Whatever nodes the policy names */
	for_each_node_state(nid, N_MEMORY)
		if (!node_has_room(nid, nr))
			return false;
	return true;
}

/* The memory that fault-around maps */

static bool around_is_for(struct vm_area_struct *vma, u32 perm)
{
	if ((vma->vm_flags & AROUND_NO_VMAS) || userfaultfd_armed(vma) || vma_is_dax(vma) ||
	    !sva_vma_allows(vma, perm))
		return false;
	if (vma_is_anonymous(vma))
		return true;
	/* A file system with map_pages() maps the page cache without side effects. */
	if (!vma->vm_file || !vma->vm_ops->map_pages)
		return false;
	/* A write to a private mapping copies the page: that is left to page requests. */
	return !(perm & IOMMU_FAULT_PERM_WRITE) ||
	       (vma_is_shmem(vma) && (vma->vm_flags & VM_SHARED));
}

/* Shared anonymous memory and memfd; not a mounted tmpfs, whose user has set its size */
static bool around_may_fill(struct address_space *mapping)
{
	return shmem_mapping(mapping) && (mapping->host->i_sb->s_flags & SB_KERNMOUNT) &&
	       !READ_ONCE(mapping->host->i_private);	/* no hole is being punched */
}

/* Can the page be mapped without I/O, without a wait, and without a change to the file? */
static bool around_is_cached(struct vm_area_struct *vma, unsigned long addr)
{
	struct address_space *mapping = vma->vm_file->f_mapping;
	pgoff_t index = linear_page_index(vma, addr);
	struct folio *folio;
	bool fit;

	folio = filemap_get_folio(mapping, index);
	if (IS_ERR(folio))
		return around_may_fill(mapping) && !xa_load(&mapping->i_pages, index);
	fit = folio_test_uptodate(folio) && !folio_test_readahead(folio) &&
	      !folio_test_locked(folio);
	folio_put(folio);
	return fit;
}

/* Page tables */

enum around_state { AROUND_EMPTY, AROUND_PRESENT, AROUND_OTHER };

static enum around_state around_entry_state(pte_t pte)
{
	if (pte_none(pte))
		return AROUND_EMPTY;
	return pte_present(pte) ? AROUND_PRESENT : AROUND_OTHER;
}

/* NULL: there is no such table, or a huge page is in its place, if @huge. */
static pmd_t *around_find_pmd(struct mm_struct *mm, unsigned long addr, bool *huge)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud, pudval;
	pmd_t *pmd, pmdval;

	*huge = false;
	if (pgd_none(READ_ONCE(*pgd)))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(READ_ONCE(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	pudval = READ_ONCE(*pud);
	if (pud_none(pudval))
		return NULL;
	*huge = pud_leaf(pudval);
	if (*huge)
		return NULL;
	pmd = pmd_offset(pud, addr);
	pmdval = pmdp_get_lockless(pmd);
	if (pmd_none(pmdval))
		return NULL;
	*huge = !pmd_present(pmdval) || pmd_leaf(pmdval) || pmd_devmap(pmdval);
	return *huge ? NULL : pmd;
}

/*
 * Looks at the entries of @nr pages from @addr on, which are in one table. Sets bit n of @empty if
 * the entry of page n is empty, or if there is no table; bit n of @other if it is neither empty nor
 * present. For a huge page it sets neither.
 */
static void around_scan(struct mm_struct *mm, unsigned long addr, unsigned int nr,
			unsigned long *empty, unsigned long *other)
{
	pte_t *start, *pte;
	bool huge;
	pmd_t *pmd;

	*empty = 0;
	*other = 0;
	pmd = around_find_pmd(mm, addr, &huge);
	if (!pmd && !huge)
		*empty = GENMASK(nr - 1, 0);
	if (!pmd)
		return;
	start = pte_offset_map(pmd, addr);
	if (!start) {
		*other = 1;
		return;
	}
	pte = start;
	for (unsigned int i = 0; i < nr; i++, pte++) {
		enum around_state state = around_entry_state(ptep_get_lockless(pte));

		if (state == AROUND_EMPTY)
			*empty |= BIT(i);
		else if (state == AROUND_OTHER)
			*other |= BIT(i);
	}
	pte_unmap(start);
}

/* Returns which of the pages @mask, from @addr on, are mapped now. Clears their accessed flags. */
static unsigned long around_mark(struct vm_area_struct *vma, unsigned long addr,
				 unsigned long mask, bool no_hw_access_flag)
{
	unsigned long marked = 0;
	spinlock_t *ptl;	/* of the page table */
	pte_t *start;
	unsigned int i;
	bool huge;
	pmd_t *pmd;

	pmd = around_find_pmd(vma->vm_mm, addr, &huge);
	start = pmd ? pte_offset_map_lock(vma->vm_mm, pmd, addr, &ptl) : NULL;
	if (!start)
		return 0;
	for_each_set_bit(i, &mask, AROUND_CHUNK) {
		if (!pte_present(ptep_get(start + i)))
			continue;
		marked |= BIT(i);
		if (!no_hw_access_flag)
			ptep_test_and_clear_young(vma, addr + i * PAGE_SIZE, start + i);
	}
	pte_unmap_unlock(start, ptl);
	return marked;
}

/*
 * May the tables of @addr be read? @vma is the first mapping that ends behind it. munmap() frees
 * tables with mmap_lock held for reading, when their mapping is gone; and tables of hugetlb, which
 * processes share, are freed without mmap_lock.
 */
static bool may_count_accessed(struct vm_area_struct *vma, unsigned long addr)
{
	return vma && vma->vm_start <= addr && !(vma->vm_flags & VM_HUGETLB);
}

/*
 * Counts which pages of a window that were mapped ahead have been used, and which have not, among
 * the first @nr.
 */
static void count_accessed(struct mm_struct *mm, const struct sva_seq *seq, unsigned int nr,
			   unsigned int *used, unsigned int *unused)
{
	struct vm_area_struct *vma = NULL;
	unsigned long i;

	for_each_set_bit(i, seq->ahead, nr) {
		unsigned long addr = sva_seq_place(seq, seq->first + i) << PAGE_SHIFT;
		pte_t *pte, val = __pte(0);
		bool huge;
		pmd_t *pmd;

		if (!vma || addr < vma->vm_start || addr >= vma->vm_end)
			vma = find_vma(mm, addr);
		if (!may_count_accessed(vma, addr))
			continue;
		pmd = around_find_pmd(mm, addr, &huge);
		pte = pmd ? pte_offset_map(pmd, addr) : NULL;
		if (pte) {
			val = ptep_get_lockless(pte);
			pte_unmap(pte);
		}
		if (!pte_present(val))
			continue;
		if (pte_young(val))
			(*used)++;
		else
			(*unused)++;
	}
}

/* Mapping */

static bool around_fault(struct vm_area_struct *vma, unsigned long addr, u32 perm)
{
	unsigned int flags = FAULT_FLAG_REMOTE | FAULT_FLAG_USER | FAULT_FLAG_ALLOW_RETRY |
			     FAULT_FLAG_RETRY_NOWAIT;
	vm_fault_t fault;

	if (perm & IOMMU_FAULT_PERM_WRITE)
		flags |= FAULT_FLAG_WRITE;
	else if (perm & IOMMU_FAULT_PERM_EXEC)
		flags |= FAULT_FLAG_INSTRUCTION;
	fault = handle_mm_fault(vma, addr, flags, NULL);
	if (task_in_memcg_oom(current))
		mem_cgroup_oom_synchronize(false);
	return !(fault & (VM_FAULT_ERROR | VM_FAULT_RETRY));
}

/* The lowest of the next @nr pages of a window */
static unsigned long around_lowest(const struct around_job *job, unsigned int nr)
{
	return job->seq->down ? job->next - nr * PAGE_SIZE : job->next;
}

/* How many pages are left between @job->next and @limit, in one table; at most a chunk. */
static unsigned int around_span(const struct around_job *job, unsigned long limit)
{
	unsigned long bytes;

	if (job->next == limit)
		return 0;
	if (job->seq->down)
		bytes = job->next - max(limit, (job->next - 1) & PMD_MASK);
	else
		bytes = pmd_addr_end(job->next, limit) - job->next;
	return min(bytes >> PAGE_SHIFT, AROUND_CHUNK);
}

static void around_move(struct around_job *job, unsigned int nr)
{
	if (job->seq->down)
		job->next -= nr * PAGE_SIZE;
	else
		job->next += nr * PAGE_SIZE;
}

/* What is left of a window, in bytes; less than 0 if around_pass() has gone beyond its end. */
static long around_left(const struct around_job *job)
{
	return job->seq->down ? job->next - job->end : job->end - job->next;
}

static bool around_is_gap(const struct around_job *job, unsigned long addr)
{
	return sva_seq_is_gap(job->seq, sva_seq_place(job->seq, addr >> PAGE_SHIFT));
}

/* Notes that the pages @mask, from @start on, are mapped ahead. */
static void around_note(struct around_job *job, unsigned long start, unsigned long mask)
{
	struct sva_seq *seq = job->seq;
	unsigned int i;

	job->mapped += hweight_long(mask);
	/* This thread has the sequence, and so its bitmap. */
	for_each_set_bit(i, &mask, AROUND_CHUNK)
		__set_bit(sva_seq_place(seq, (start >> PAGE_SHIFT) + i) - seq->first, seq->ahead);
}

/* Maps the empty ones of the next @nr pages. Returns how many pages it has got past. */
static unsigned int around_fill(struct around_job *job, struct vm_area_struct *vma, unsigned int nr,
				bool no_hw_access_flag)
{
	unsigned long start = around_lowest(job, nr), empty, other, now, none, done = 0;
	unsigned int i;

	around_scan(job->mm, start, nr, &empty, &other);
	for (i = 0; i < nr; i++) {
		unsigned int at = job->seq->down ? nr - 1 - i : i;
		unsigned long addr = start + at * PAGE_SIZE;

		if (other & BIT(at))
			break;
		if (!(empty & BIT(at)) || around_is_gap(job, addr))
			continue;
		/* One fault may map several pages. */
		around_scan(job->mm, addr, 1, &now, &none);
		if (now && ((!vma_is_anonymous(vma) && !around_is_cached(vma, addr)) ||
			    !around_fault(vma, addr, job->perm)))
			break;
		done |= BIT(at);
	}
	if (done)
		around_note(job, start, around_mark(vma, start, done, no_hw_access_flag));
	return i;
}

/* The device does not ask for pages that are there: moves the end of the window behind them. */
static void around_pass(struct around_job *job, struct vm_area_struct *vma)
{
	unsigned int nr = around_span(job, job->seq->down ? vma->vm_start : vma->vm_end);
	unsigned long empty, other;

	if (!nr)
		return;
	around_scan(job->mm, around_lowest(job, nr), nr, &empty, &other);
	if (empty | other)
		nr = job->seq->down ? nr - 1 - __fls(empty | other) : __ffs(empty | other);
	around_move(job, nr);
}

/* Would a fault bring a huge page, most of which may never be used? */
static bool around_may_be_huge(struct vm_area_struct *vma, unsigned long addr)
{
	unsigned long how = TVA_ENFORCE_SYSFS;
	bool huge;

	if (!thp_vma_suitable_order(vma, addr, PMD_ORDER) ||
	    !(vma_is_anonymous(vma) || vma_is_shmem(vma)) ||
	    around_find_pmd(vma->vm_mm, addr, &huge))
		return false;
	/*
	 * Without TVA_IN_PF: none in anonymous memory that was only read; with it, none in shmem.
	 */
	if (vma_is_anonymous(vma))
		how |= TVA_IN_PF;
	return !huge && thp_vma_allowable_order(vma, vma->vm_flags, how, PMD_ORDER);
}

/* Maps a chunk under one hold of mmap_lock. False if the window ends here. */
static bool around_chunk(struct around_job *job, bool no_hw_access_flag)
{
	unsigned int nr, got = 0;
	struct vm_area_struct *vma;

	if (!mmap_read_trylock(job->mm))
		return false;

	/* The VMA of the page before, which the device has asked for, or which is mapped */
	vma = vma_lookup(job->mm, job->seq->down ? job->next : job->next - PAGE_SIZE);
	if (!vma)
		job->end = job->next;
	else if (job->seq->down)
		job->end = max(job->end, vma->vm_start);
	else
		job->end = min(job->end, vma->vm_end);
	nr = around_span(job, job->end);

	if (nr && around_is_for(vma, job->perm) &&
	    !around_may_be_huge(vma, around_lowest(job, nr)) && around_has_room(vma, nr)) {
		got = around_fill(job, vma, nr, no_hw_access_flag);
		around_move(job, got);
		if (job->next == job->end)
			around_pass(job, vma);
	}
	mmap_read_unlock(job->mm);
	return got == nr && around_left(job) > 0;
}

static void around_map(struct around_job *job, bool no_hw_access_flag)
{
	/* Answer requests that were served before now: mapping delays them by a chunk at most. */
	if (around_left(job) > AROUND_CHUNK * PAGE_SIZE)
		sva_server_will_wait(job->server);
	while (around_chunk(job, no_hw_access_flag) && !sva_fault_aborted(job->server))
		cond_resched();
}

/* Is the page mapped, by a small or a huge page? With mmap_lock held for reading */
static bool around_is_mapped(struct mm_struct *mm, unsigned long page)
{
	unsigned long addr = page << PAGE_SHIFT, empty, other;

	if (!may_count_accessed(find_vma(mm, addr), addr))
		return false;
	around_scan(mm, addr, 1, &empty, &other);
	return !(empty | other);
}

/*
 * Does a request that seems to begin a sequence follow a page that is mapped? A device that strides
 * through memory leaves gaps. A sequence that goes down must follow two: the first two requests of
 * one that goes up may have overtaken each other.
 */
static bool around_follows(struct mm_struct *mm, const struct sva_seq *seq, unsigned long page)
{
	bool follows;

	if (!mmap_read_trylock(mm))
		return false;
	if (seq->down)
		follows = around_is_mapped(mm, page + 1) && around_is_mapped(mm, page + 2);
	else
		follows = around_is_mapped(mm, page - 1);
	mmap_read_unlock(mm);
	return follows;
}

/* Counts how the first @nr pages of the last window of a sequence were used; the thread has it. */
static void account_window(struct mm_struct *mm, const struct sva_seq *seq, unsigned int nr,
			   bool no_hw_access_flag, unsigned int *used, unsigned int *unused)
{
	*used = 0;
	*unused = 0;
	if (no_hw_access_flag || !mmap_read_trylock(mm))
		return;
	*used = seq->asked;
	count_accessed(mm, seq, nr, used, unused);
	mmap_read_unlock(mm);
}

/* How many pages of the last window the device has behind it when it asks for @page. */
static unsigned int around_come(const struct sva_seq *seq, unsigned long page)
{
	unsigned long place = sva_seq_place(seq, page);

	return sva_seq_is_gap(seq, place) ? place - seq->first : SVA_WINDOW_MAX;
}

static struct sva_seq *around_find(struct sva_server *server, u32 perm, unsigned long page)
{
	u32 kind = perm & (IOMMU_FAULT_PERM_WRITE | IOMMU_FAULT_PERM_EXEC);
	struct sva_fault_around *around = &server->io_mm->around;
	const void *key;

	scoped_guard(rcu)
		key = sva_server_handle(server);

	guard(spinlock)(&around->lock);
	/* The end of a bond answers its requests first, and then forgets its sequences. */
	if (!key || !sva_fault_is_wanted(server))
		return NULL;
	return sva_seq_find(&around->seqs, key, kind, page);
}

/* Not inline: random access must not pay for its stack. */
static noinline void advance_window(struct sva_server *server,
				    const struct iommu_fault_page_request *prm)
{
	struct around_job job = {
		.mm = sva_server_mm(server), .server = server, .perm = prm->perm,
	};
	struct sva_fault_around *around = &server->io_mm->around;
	unsigned int max = READ_ONCE(fault_around_pages), size, used, unused;
	bool no_hw_access_flag = READ_ONCE(around->no_hw_access_flag);
	unsigned long page = prm->addr >> PAGE_SHIFT;

	job.seq = around_find(server, prm->perm, page);
	if (!job.seq)
		return;

	sva_unlock_vma(server);
	account_window(job.mm, job.seq, around_come(job.seq, page), no_hw_access_flag, &used,
		       &unused);
	if (!job.seq->size && !around_follows(job.mm, job.seq, page))
		max = 0;
	scoped_guard(spinlock, &around->lock)
		size = sva_seq_open(&around->seqs, job.seq, page, used, unused, max);
	page = sva_seq_place(job.seq, job.seq->begin);
	job.next = (job.seq->down ? page + 1 : page) << PAGE_SHIFT;
	job.end = job.seq->down ? job.next - size * PAGE_SIZE : job.next + size * PAGE_SIZE;
	if (size)
		around_map(&job, no_hw_access_flag);
	page = job.seq->down ? (job.next >> PAGE_SHIFT) - 1 : job.next >> PAGE_SHIFT;
	scoped_guard(spinlock, &around->lock)
		sva_seq_close(&around->seqs, job.seq, sva_seq_place(job.seq, page));

	sva_server_count(server, IOPF_AHEAD, job.mapped);
	sva_server_count(server, IOPF_AHEAD_USED, used);
	sva_server_count(server, IOPF_AHEAD_UNUSED, unused);
	trace_iommu_sva_ahead(prm, size, job.mapped);
}

/**
 * sva_fault_around_init() - Initialise fault-around of a process
 * @around: zeroed memory
 */
void sva_fault_around_init(struct sva_fault_around *around)
{
	spin_lock_init(&around->lock);
	sva_seqs_init(&around->seqs);
}

static bool around_concerns(struct sva_fault_around *around,
			    const struct iommu_fault_page_request *prm)
{
	return READ_ONCE(fault_around_pages) &&
	       sva_seqs_concern(&around->seqs, prm->addr >> PAGE_SHIFT);
}

/**
 * sva_fault_around() - Map the pages that the device will ask for after a request
 * @server: the thread that has served the request, and keeps the process's mm from exiting
 * @prm: the request, which has no answer yet
 *
 * Context: process, no locks held but what sva_unlock_vma() lets go of, the process's memory group
 * is active. May sleep for a short time, never for I/O or memory.
 */
void sva_fault_around(struct sva_server *server, const struct iommu_fault_page_request *prm)
{
	/* The reporter has checked that already: sva_can_fault_nowait() */
	if (!sva_server_is_inline(server) && around_concerns(&server->io_mm->around, prm))
		advance_window(server, prm);
}

/**
 * sva_can_fault_nowait() - Can a fault be served without waiting for anything?
 * @around: of the process
 * @vma: of the page, with the VMA's lock held
 * @prm: the request for the page; not served yet
 *
 * It can for a page of anonymous memory or of shmem that is not mapped, not a huge one, where no
 * sequence goes on: then sva_fault_around() has nothing to do. A request that may concern a
 * sequence must go through sva_fault_around(). Of shmem the page is in the page cache, or fresh; if
 * reclaim or a truncation takes it away after this look at it, the fault waits for these, which
 * wait for no program. Another file system's page might be read again by a program that never
 * answers.
 *
 * Context: process, the process's memory group is active.
 * Return: true if it can; then memory is not short.
 */
bool sva_can_fault_nowait(struct sva_fault_around *around, struct vm_area_struct *vma,
			  const struct iommu_fault_page_request *prm)
{
	unsigned long empty, other;

	if (!around_is_for(vma, prm->perm))
		return false;
	if (!vma_is_anonymous(vma) &&
	    !(vma_is_shmem(vma) && around_is_cached(vma, prm->addr & PAGE_MASK)))
		return false;
	around_scan(vma->vm_mm, prm->addr & PAGE_MASK, 1, &empty, &other);
	if (!empty || around_may_be_huge(vma, prm->addr) || !around_has_room(vma, 1))
		return false;
	return !around_concerns(around, prm);
}

/* Takes a sequence of @key that no thread works on; forgets those that are being worked on. */
static struct sva_seq *around_take(struct sva_fault_around *around, const void *key)
{
	struct sva_seqs *seqs = &around->seqs;

	guard(spinlock)(&around->lock);
	for (unsigned int i = 0; i < seqs->nr; i++) {
		struct sva_seq *seq = &seqs->seqs[i];

		if (seq->key != key)
			continue;
		if (!seq->busy) {
			seq->busy = true;
			return seq;
		}
		sva_seq_forget(seqs, seq);
	}
	return NULL;
}

/**
 * sva_fault_around_forget() - Forget the sequences of a bond that ends, or whose process exits
 * @around: of the process
 * @mm: of the process; its page tables are still there, or it has exited before
 * @sva: the bond. Its requests have been answered, or workers find that the process has exited.
 *
 * Counts for the last time which pages that were mapped ahead have been used.
 *
 * Context: any that may take a spinlock.
 */
void sva_fault_around_forget(struct sva_fault_around *around, struct mm_struct *mm,
			     struct iommu_sva *sva)
{
	bool no_hw_access_flag = READ_ONCE(around->no_hw_access_flag);
	struct sva_seq *seq;
	unsigned int used, unused;

	while ((seq = around_take(around, &sva->handle))) {
		account_window(mm, seq, SVA_WINDOW_MAX, no_hw_access_flag, &used, &unused);
		bond_count(container_of(sva, struct sva_bond, sva), IOPF_AHEAD_USED, used);
		bond_count(container_of(sva, struct sva_bond, sva), IOPF_AHEAD_UNUSED, unused);
		guard(spinlock)(&around->lock);
		seq->busy = false;
		sva_seq_forget(&around->seqs, seq);
	}
}

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: sets the parameter. Returns its old value. */
unsigned int sva_fault_around_limit(unsigned int pages)
{
	return xchg(&fault_around_pages, pages);
}
#endif
