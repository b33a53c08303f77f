/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shims, third kind, continued: address spaces, their VMAs and MMU notifiers, memory groups. It is
 * a part of custom.h.
 */
#ifndef _IOMMU_SVA_HARNESS_CUSTOM_MM_H
#define _IOMMU_SVA_HARNESS_CUSTOM_MM_H

#define PGDIR_SHIFT	39
#define PTRS_PER_PGD	512
#define TASK_SIZE_MAX	((1UL << 47) - PAGE_SIZE)
#define pgd_index(a)	((unsigned long)(a) >> PGDIR_SHIFT & (PTRS_PER_PGD - 1))

typedef unsigned long pgdval_t;
typedef struct { pgdval_t pgd; } pgd_t;

#define _PAGE_PRESENT	1UL
#define _PAGE_TABLE	_PAGE_PRESENT
#define _PAGE_ACCESSED	(1UL << 5)
#define _PAGE_NX	(1UL << 63)
/* Where a table's address is in an entry */
#define SIM_PGD_TABLE	0x7ffffffff000UL

static inline pgdval_t pgd_val(pgd_t pgd)
{
	return pgd.pgd;
}

static inline pgd_t __pgd(pgdval_t val)
{
	return (pgd_t){ val };
}

#define __pa(p)	((unsigned long)(p))

/* Five levels: the entries of the top level are pgd_t, not p4d_t. */
extern bool sim_has_la57;
#define pgtable_l5_enabled()	sim_has_la57

void pgd_populate(struct mm_struct *mm, void *slot, void *table);
void p4d_populate(struct mm_struct *mm, void *slot, void *table);

#define VM_READ		1UL
#define VM_WRITE	2UL
#define VM_EXEC		4UL
#define VM_GROWSDOWN	0x100UL
#define VM_LOCKED	0x2000UL
#ifdef CONFIG_X86
#define VM_SHADOW_STACK	0x200UL
#else
#define VM_SHADOW_STACK	0UL
#endif

typedef unsigned long vm_flags_t;

#ifdef CONFIG_ARM64
#define ARM64_HAS_EPAN	1
extern bool sim_has_epan;
#define alternative_has_cap_unlikely(cap)	((cap) == ARM64_HAS_EPAN && sim_has_epan)
#endif

typedef unsigned int vm_fault_t;

enum {
	VM_FAULT_OOM = 1 << 0,
	VM_FAULT_SIGBUS = 1 << 1,
	VM_FAULT_MAJOR = 1 << 2,
	VM_FAULT_SIGSEGV = 1 << 3,
	VM_FAULT_RETRY = 1 << 4,
	VM_FAULT_COMPLETED = 1 << 5,
	VM_FAULT_HWPOISON = 1 << 6,
};

#define VM_FAULT_ERROR	(VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV | VM_FAULT_HWPOISON)

enum {
	FAULT_FLAG_WRITE = 1 << 0,
	FAULT_FLAG_ALLOW_RETRY = 1 << 1,
	FAULT_FLAG_KILLABLE = 1 << 2,
	FAULT_FLAG_TRIED = 1 << 3,
	FAULT_FLAG_USER = 1 << 4,
	FAULT_FLAG_REMOTE = 1 << 5,
	FAULT_FLAG_INSTRUCTION = 1 << 6,
	FAULT_FLAG_VMA_LOCK = 1 << 7,
};

#define MMF_UNSTABLE		22
#define MMF_MULTIPROCESS	26

/* A VMA, with its lock */
struct vm_area_struct {
	unsigned long vm_start, vm_end;
	unsigned long vm_flags;
	struct mm_struct *vm_mm;
	struct vma_lock {
		struct rw_semaphore lock;
	} vm_lock[1];
	struct vm_area_struct *next;
};

struct iommu_mm_data;
struct mmu_notifier;

struct mmu_notifier_ops {
	void (*release)(struct mmu_notifier *mn, struct mm_struct *mm);
	void (*arch_invalidate_secondary_tlbs)(struct mmu_notifier *mn, struct mm_struct *mm,
					       unsigned long start, unsigned long end);
	struct mmu_notifier *(*alloc_notifier)(struct mm_struct *mm);
	void (*free_notifier)(struct mmu_notifier *mn);
};

struct mmu_notifier {
	struct list_head node;
	const struct mmu_notifier_ops *ops;
	struct mm_struct *mm;
	struct rcu_head rcu;
	unsigned int users;
	bool hashed;
};

/**
 * struct mm_struct - an address space
 * @flags: MMF_*
 * @mm_users: as in the kernel; the last mmput() unmaps all
 * @mm_count: as in the kernel
 * @pgd: the kernel half is full of entries that no IOMMU may see
 * @mmap_lock: of the VMAs
 * @owner: the process's only thread, whose stack limit counts; NULL when that has gone
 * @task: the same, for ever
 * @locked_vm: pages that are locked
 * @is_tagged: its addresses have tags
 * @iommu_mm: the PASID
 * @vmas: ascending
 * @notifiers: of all MMU notifiers; NULL before the first
 * @page_table_lock: of the top-level table
 * @pte_lock: of all other tables, at invalidations that free none
 * @put_work: mmput_async()
 * @fault: what handle_mm_fault() does; NULL: it maps the page
 * @fault_is_quick: @fault does not block
 * @fault_data: for @fault
 * @is_short: no page of it is at hand
 * @vma_locks: times that lock_vma_under_rcu() has taken a VMA's lock
 * @faults: calls of handle_mm_fault()
 * @fault_flags: of the latest
 * @no_vma_lock: lock_vma_under_rcu() always fails
 * @exited: the last mmput() has removed the mappings
 * @memcg_refs: references to its memory group
 * @gets: times that mmget_not_zero() has given a reference
 */
struct mm_struct {
	unsigned long flags;
	atomic_t mm_users, mm_count;
	pgd_t *pgd;
	struct rw_semaphore mmap_lock;
	struct task_struct *owner, *task;
	unsigned long locked_vm;
	bool is_tagged;
	struct iommu_mm_data *iommu_mm;
	struct vm_area_struct *vmas;
	struct list_head *notifiers;
	spinlock_t notifier_lock;
	spinlock_t page_table_lock;
	spinlock_t pte_lock;
	struct work_struct put_work;
	vm_fault_t (*fault)(struct vm_area_struct *vma, unsigned long addr, unsigned int flags);
	bool fault_is_quick;
	void *fault_data;
	bool is_short;
	unsigned int vma_locks;
	unsigned int faults;
	unsigned int fault_flags;
	bool no_vma_lock;
	bool exited;
	int memcg_refs;
	unsigned int gets;
};

static inline bool arch_pgtable_dma_compat(const struct mm_struct *mm)
{
	return !mm->is_tagged;
}

bool mmget_not_zero(struct mm_struct *mm);
/* The process exits. */
void mmput(struct mm_struct *mm);
void mmput_async(struct mm_struct *mm);
void mmgrab(struct mm_struct *mm);
void mmdrop(struct mm_struct *mm);
void mm_pasid_drop(struct mm_struct *mm);

void mmap_read_lock(struct mm_struct *mm);
int mmap_read_lock_killable(struct mm_struct *mm);
void mmap_read_unlock(struct mm_struct *mm);
struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long addr);
struct vm_area_struct *expand_stack(struct mm_struct *mm, unsigned long addr);
bool rwsem_is_contended(struct rw_semaphore *sem);
struct vm_area_struct *lock_vma_under_rcu(struct mm_struct *mm, unsigned long addr);
void vma_end_read(struct vm_area_struct *vma);
vm_fault_t handle_mm_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags,
			   void *regs);

static inline bool vma_is_anonymous(const struct vm_area_struct *vma)
{
	return true;
}

/* A @fault in the place of handle_mm_fault() may block. */
static inline bool userfaultfd_armed(const struct vm_area_struct *vma)
{
	return vma->vm_mm->fault && !vma->vm_mm->fault_is_quick;
}

struct mmu_notifier *mmu_notifier_get(const struct mmu_notifier_ops *ops, struct mm_struct *mm);
void mmu_notifier_put(struct mmu_notifier *mn);

struct mem_cgroup { struct mm_struct *mm; };

struct mem_cgroup *get_mem_cgroup_from_mm(struct mm_struct *mm);
void mem_cgroup_put(struct mem_cgroup *memcg);
struct mem_cgroup *set_active_memcg(struct mem_cgroup *memcg);
/* Sleeps; sim_throttled says how often that was. */
extern unsigned int sim_throttled;
void mem_cgroup_handle_over_high(gfp_t gfp);
bool task_in_memcg_oom(const struct task_struct *task);
bool mem_cgroup_oom_synchronize(bool handle);

#endif /* _IOMMU_SVA_HARNESS_CUSTOM_MM_H */
