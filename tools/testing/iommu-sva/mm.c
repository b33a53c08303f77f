// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: VMAs, a page table of two levels, MMU notifiers, exit.
 *
 * Each entry of the top-level table covers 512 GiB and points to a struct sim_table, which is freed
 * when its last page goes, after the notifiers have been called. The sanitizer reports a walk after
 * that.
 */
#include <linux/iommu.h>

#include "sim.h"

#define TABLE_PAGES	128

void (*sim_invalidated)(struct mm_struct *mm, unsigned long start, unsigned long end);

struct sim_table {
	unsigned int nr;
	struct {
		unsigned long addr;
		bool write;
	} pages[TABLE_PAGES];
};

/* The allocator aligns what has just this size. */
union table_page {
	struct sim_table table;
	char page[PAGE_SIZE];
};

static struct sim_table *table_of(pgdval_t entry)
{
	return (struct sim_table *)(entry & SIM_PGD_TABLE);
}

enum sim_walk sim_walk(pgdval_t entry, unsigned long addr)
{
	struct sim_table *table = table_of(entry);

	if (!(entry & _PAGE_PRESENT))
		return SIM_WALK_NO_TABLE;
	for (unsigned int i = 0; i < table->nr; i++)
		if (table->pages[i].addr == (addr & ~(PAGE_SIZE - 1)))
			return table->pages[i].write ? SIM_WALK_WRITE : SIM_WALK_READ;
	return SIM_WALK_NO_PAGE;
}

bool sim_has_la57;

/* As page-table isolation has it, with a bit that the core has to drop. */
static void fill_slot(struct mm_struct *mm, void *slot, void *table)
{
	pgd_t *pgd = slot;

	lockdep_assert_held(&mm->page_table_lock);
	SIM_CHECK(!pgd->pgd);
	WRITE_ONCE(*pgd, __pgd((pgdval_t)table | _PAGE_PRESENT | _PAGE_NX));
}

void pgd_populate(struct mm_struct *mm, void *slot, void *table)
{
	if (sim_has_la57)
		fill_slot(mm, slot, table);
}

void p4d_populate(struct mm_struct *mm, void *slot, void *table)
{
	fill_slot(mm, slot, table);
}

/* As __p4d_alloc() with five levels, and __pud_alloc() with four */
static void put_table(struct mm_struct *mm, pgd_t *slot, void *table)
{
	if (iommu_sva_populate(mm, slot, table))
		return;
	if (sim_has_la57)
		pgd_populate(mm, slot, table);
	else
		p4d_populate(mm, slot, table);
}

static void map_page(struct mm_struct *mm, unsigned long addr, bool write)
{
	pgd_t *pgd = &mm->pgd[pgd_index(addr)];
	struct sim_table *table;

	addr &= ~(PAGE_SIZE - 1);
	spin_lock(&mm->page_table_lock);
	if (!(pgd->pgd & _PAGE_PRESENT))
		put_table(mm, pgd, sim_alloc_sure(sizeof(union table_page), __func__));
	table = table_of(pgd->pgd);
	switch (sim_walk(pgd->pgd, addr)) {
	case SIM_WALK_WRITE:
		break;
	case SIM_WALK_READ:
		for (unsigned int i = 0; i < table->nr; i++)
			if (table->pages[i].addr == addr)
				table->pages[i].write |= write;
		break;
	default:
		SIM_CHECK(table->nr < TABLE_PAGES);
		table->pages[table->nr].addr = addr;
		table->pages[table->nr++].write = write;
	}
	spin_unlock(&mm->page_table_lock);
}

/* Unmapping unlinks empty tables before it calls the notifiers, and frees them afterwards. */
static void unmap_pages(struct mm_struct *mm, unsigned long start, unsigned long end,
			bool free_tables)
{
	unsigned long last = min(end, TASK_SIZE_MAX) - 1;
	struct sim_table *dead[PTRS_PER_PGD / 2];
	unsigned int nr_dead = 0;

	spin_lock(&mm->page_table_lock);
	for (unsigned long i = pgd_index(start); i <= pgd_index(last); i++) {
		struct sim_table *table = table_of(mm->pgd[i].pgd);

		if (!(mm->pgd[i].pgd & _PAGE_PRESENT))
			continue;
		for (unsigned int k = 0; k < table->nr; ) {
			if (table->pages[k].addr >= start && table->pages[k].addr < end)
				table->pages[k] = table->pages[--table->nr];
			else
				k++;
		}
		if (!table->nr && free_tables) {
			mm->pgd[i] = __pgd(0);
			dead[nr_dead++] = table;
		}
	}
	sim_invalidate(mm, start, end);
	if (sim_invalidated)
		sim_invalidated(mm, start, end);
	spin_unlock(&mm->page_table_lock);
	while (nr_dead)
		kfree(dead[--nr_dead]);
}

/* VMAs */

void mmap_read_lock(struct mm_struct *mm)
{
	if (current->vma_locks)
		sim_fail("mmap_lock is waited for with the lock of a VMA held");
	sim_lock(&mm->mmap_lock.l, true);
}

/* A thread that is killed while it waits gets the lock all the same, as it may in the kernel. */
int mmap_read_lock_killable(struct mm_struct *mm)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	mmap_read_lock(mm);
	return 0;
}

void mmap_read_unlock(struct mm_struct *mm)
{
	sim_unlock(&mm->mmap_lock.l);
}

static void mmap_write_lock(struct mm_struct *mm)
{
	sim_lock(&mm->mmap_lock.l, false);
}

static void mmap_write_unlock(struct mm_struct *mm)
{
	sim_unlock(&mm->mmap_lock.l);
}

struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;

	lockdep_assert_held(&mm->mmap_lock);
	for (vma = mm->vmas; vma && vma->vm_end <= addr; vma = vma->next)
		;
	return vma;
}

static unsigned long size_of_mm(struct mm_struct *mm)
{
	unsigned long size = 0;

	for (struct vm_area_struct *vma = mm->vmas; vma; vma = vma->next)
		size += vma->vm_end - vma->vm_start;
	return size;
}

struct vm_area_struct *expand_stack(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;

	if (!(current->flags & PF_KTHREAD) && current->mm != mm)
		sim_fail("a stack grows by the limits of another process");
	mmap_read_unlock(mm);
	mmap_write_lock(mm);
	vma = find_vma(mm, addr);
	addr &= ~(PAGE_SIZE - 1);
	/* By the limits of the calling task, which has all capabilities. */
	if (vma && vma->vm_start > addr && vma->vm_flags & VM_GROWSDOWN &&
	    vma->vm_end - addr <= rlimit(RLIMIT_STACK) &&
	    size_of_mm(mm) + vma->vm_start - addr <= rlimit(RLIMIT_AS))
		vma->vm_start = addr;
	mmap_write_unlock(mm);
	if (!vma || vma->vm_start > addr)
		return NULL;
	mmap_read_lock(mm);
	return vma;
}

bool rwsem_is_contended(struct rw_semaphore *sem)
{
	return sem->l.waiters;
}

struct vm_area_struct *lock_vma_under_rcu(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;

	if (mm->no_vma_lock)
		return NULL;
	for (vma = mm->vmas; vma && vma->vm_end <= addr; vma = vma->next)
		;
	if (!vma || vma->vm_start > addr || vma->vm_lock->lock.l.owner ||
	    rwsem_is_contended(&vma->vm_lock->lock) || mm->mmap_lock.l.owner)
		return NULL;
	sim_nosched(true);
	sim_lock(&vma->vm_lock->lock.l, true);
	sim_nosched(false);
	current->vma_locks++;
	mm->vma_locks++;
	return vma;
}

void vma_end_read(struct vm_area_struct *vma)
{
	current->vma_locks--;
	sim_unlock(&vma->vm_lock->lock.l);
}

void sim_mmap(struct mm_struct *mm, unsigned long start, unsigned long pages, unsigned long flags)
{
	struct vm_area_struct *vma = sim_alloc_sure(sizeof(*vma), __func__), **at;

	vma->vm_start = start;
	vma->vm_end = start + pages * PAGE_SIZE;
	vma->vm_flags = flags;
	vma->vm_mm = mm;
	init_rwsem(&vma->vm_lock->lock);
	mmap_write_lock(mm);
	for (at = &mm->vmas; *at && (*at)->vm_start < start; at = &(*at)->next)
		SIM_CHECK((*at)->vm_end <= start);
	vma->next = *at;
	*at = vma;
	mmap_write_unlock(mm);
}

static void unmap_vma(struct mm_struct *mm, struct vm_area_struct **at)
{
	struct vm_area_struct *vma = *at;

	/* Waits for faults that tasks serve under the VMA's lock. */
	sim_lock(&vma->vm_lock->lock.l, false);
	*at = vma->next;
	sim_unlock(&vma->vm_lock->lock.l);
	unmap_pages(mm, vma->vm_start, vma->vm_end, true);
	kfree(vma);
}

void sim_munmap(struct mm_struct *mm, unsigned long start)
{
	struct vm_area_struct **at;

	mmap_write_lock(mm);
	for (at = &mm->vmas; *at && (*at)->vm_start != start; at = &(*at)->next)
		;
	if (*at)
		unmap_vma(mm, at);
	mmap_write_unlock(mm);
}

void sim_zap(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	mmap_read_lock(mm);
	unmap_pages(mm, start, end, false);
	mmap_read_unlock(mm);
}

void sim_flush(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	spin_lock(&mm->pte_lock);
	sim_invalidate(mm, start, end);
	spin_unlock(&mm->pte_lock);
}

void sim_touch(struct mm_struct *mm, unsigned long addr, bool write)
{
	struct vm_area_struct *vma = lock_vma_under_rcu(mm, addr);

	if (vma) {
		/* Not one of those that tests count */
		mm->vma_locks--;
		map_page(mm, addr, write);
		vma_end_read(vma);
		return;
	}
	mmap_read_lock(mm);
	vma = find_vma(mm, addr);
	SIM_CHECK(vma && vma->vm_start <= addr);
	map_page(mm, addr, write);
	mmap_read_unlock(mm);
}

/* Faults */

vm_fault_t sim_fault_unlocked(struct vm_area_struct *vma, unsigned int flags, vm_fault_t result)
{
	if (flags & FAULT_FLAG_VMA_LOCK)
		vma_end_read(vma);
	else
		mmap_read_unlock(vma->vm_mm);
	return result;
}

vm_fault_t sim_fault_map(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	map_page(vma->vm_mm, addr, flags & FAULT_FLAG_WRITE);
	return 0;
}

vm_fault_t handle_mm_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags,
			   void *regs)
{
	const unsigned int needed = FAULT_FLAG_USER | FAULT_FLAG_REMOTE;
	struct mm_struct *mm = vma->vm_mm;
	struct rw_semaphore *lock = &mm->mmap_lock;
	vm_fault_t result;

	if (flags & FAULT_FLAG_VMA_LOCK)
		lock = &vma->vm_lock->lock;
	(void)regs;
	sim_might_sleep("handle_mm_fault");
	if (!mm->mm_users.counter || mm->exited)
		sim_fail("a fault is served by an mm that has exited");
	if (!lockdep_is_held(lock))
		sim_fail("a fault is served without the lock that its flags promise");
	if ((flags & needed) != needed)
		sim_fail("a fault for a user elsewhere, with flags %#x", flags);
	if (addr < vma->vm_start || addr >= vma->vm_end)
		sim_fail("a fault is served by the wrong VMA");
	if (!current->memcg || current->memcg->mm != mm)
		sim_fail("a fault is charged to the wrong memory group");
	mm->faults++;
	mm->fault_flags = flags;
	sim_point("handle_mm_fault");
	result = (mm->fault ?: sim_fault_map)(vma, addr, flags);
	sim_point("handle_mm_fault");
	if (lockdep_is_held(lock) != !(result & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
		sim_fail("the test's fault handler mixed up its locks");
	return result;
}

/* Memory groups */

struct mem_cgroup *get_mem_cgroup_from_mm(struct mm_struct *mm)
{
	struct mem_cgroup *memcg = sim_alloc_sure(sizeof(*memcg), __func__);

	memcg->mm = mm;
	mm->memcg_refs++;
	return memcg;
}

void mem_cgroup_put(struct mem_cgroup *memcg)
{
	memcg->mm->memcg_refs--;
	kfree(memcg);
}

struct mem_cgroup *set_active_memcg(struct mem_cgroup *memcg)
{
	struct mem_cgroup *old = current->memcg;

	current->memcg = memcg;
	return old;
}

unsigned int sim_throttled;

void mem_cgroup_handle_over_high(gfp_t gfp)
{
	sim_might_sleep("mem_cgroup_handle_over_high");
	if (!current->memcg)
		sim_fail("the wrong memory group is slowed down");
	if (current->vma_locks || current->nr_held)
		sim_fail("a worker is slowed down with a lock held");
	if (current->memcg_nr_pages_over_high)
		sim_throttled++;
	current->memcg_nr_pages_over_high = 0;
}

bool task_in_memcg_oom(const struct task_struct *task)
{
	return task->in_memcg_oom;
}

bool mem_cgroup_oom_synchronize(bool handle)
{
	if (handle)
		sim_fail("a worker waits for a memory group");
	current->in_memcg_oom = false;
	return true;
}

/* MMU notifiers */

bool sim_mm_is_watched(struct mm_struct *mm)
{
	return mm->notifiers && !list_empty(mm->notifiers);
}

void sim_invalidate(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct list_head *at;

	SIM_CHECK(lockdep_is_held(&mm->page_table_lock) || lockdep_is_held(&mm->pte_lock));
	if (!mm->notifiers)
		return;
	sim_srcu_read_lock();
	for (at = mm->notifiers->next; at != mm->notifiers; at = at->next) {
		struct mmu_notifier *mn = list_entry(at, struct mmu_notifier, node);

		sim_point("notifier");
		mn->ops->arch_invalidate_secondary_tlbs(mn, mm, start, end);
	}
	sim_srcu_read_unlock();
}

static void unhash(struct mmu_notifier *mn)
{
	lockdep_assert_held(&mn->mm->notifier_lock);
	if (mn->hashed)
		list_del_rcu(&mn->node);
	mn->hashed = false;
}

static void release_notifiers(struct mm_struct *mm)
{
	struct list_head *at;

	if (!mm->notifiers)
		return;
	sim_srcu_read_lock();
	for (at = mm->notifiers->next; at != mm->notifiers; at = at->next) {
		struct mmu_notifier *mn = list_entry(at, struct mmu_notifier, node);

		sim_point("notifier");
		/* The callback must neither sleep nor allocate. */
		mn->ops->release(mn, mm);
	}
	spin_lock(&mm->notifier_lock);
	while (!list_empty(mm->notifiers))
		unhash(list_first_entry(mm->notifiers, struct mmu_notifier, node));
	spin_unlock(&mm->notifier_lock);
	sim_srcu_read_unlock();
	sim_synchronize_srcu();
}

static struct mmu_notifier *get_existing(const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier *mn;

	if (!mm->notifiers)
		return NULL;
	guard(spinlock)(&mm->notifier_lock);
	list_for_each_entry(mn, mm->notifiers, node) {
		if (mn->ops == ops) {
			mn->users++;
			return mn;
		}
	}
	return NULL;
}

static struct mmu_notifier *get_new(const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier *mn = ops->alloc_notifier(mm);

	if (IS_ERR(mn))
		return mn;
	mn->ops = ops;
	if (!mm->notifiers) {
		struct list_head *list = kzalloc(sizeof(*list), GFP_KERNEL);

		if (!list) {
			ops->free_notifier(mn);
			return ERR_PTR(-ENOMEM);
		}
		INIT_LIST_HEAD(list);
		mm->notifiers = list;
	}
	mn->mm = mm;
	mn->users = 1;
	mn->hashed = true;
	mmgrab(mm);
	guard(spinlock)(&mm->notifier_lock);
	list_add_rcu(&mn->node, mm->notifiers);
	return mn;
}

struct mmu_notifier *mmu_notifier_get(const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier *mn;

	if (!mm->mm_users.counter)
		sim_fail("a notifier for an mm that has exited");
	mmap_write_lock(mm);
	mn = get_existing(ops, mm);
	if (!mn)
		mn = get_new(ops, mm);
	mmap_write_unlock(mm);
	return mn;
}

static void free_notifier(struct rcu_head *head)
{
	struct mmu_notifier *mn = container_of(head, struct mmu_notifier, rcu);
	struct mm_struct *mm = mn->mm;

	mn->ops->free_notifier(mn);
	mmdrop(mm);
}

void mmu_notifier_put(struct mmu_notifier *mn)
{
	struct mm_struct *mm = mn->mm;

	spin_lock(&mm->notifier_lock);
	if (!mn->users)
		sim_fail("a notifier loses a reference that it does not have");
	if (--mn->users) {
		spin_unlock(&mm->notifier_lock);
		return;
	}
	unhash(mn);
	spin_unlock(&mm->notifier_lock);
	sim_call_srcu(&mn->rcu, free_notifier);
}

/* Lifetime */

void mmgrab(struct mm_struct *mm)
{
	if (mm->mm_count.counter <= 0)
		sim_fail("a reference to an mm that is gone");
	mm->mm_count.counter++;
}

void mmdrop(struct mm_struct *mm)
{
	sim_point("mmdrop");
	if (mm->mm_count.counter <= 0)
		sim_fail("an mm loses a reference that it does not have");
	if (--mm->mm_count.counter)
		return;
	SIM_CHECK(mm->exited);
	SIM_EQ(mm->memcg_refs, 0);
	mm_pasid_drop(mm);
	kfree(mm->notifiers);
	kfree(mm->task);
	kfree(mm->pgd);
	kfree(mm);
}

static void exit_mm(struct mm_struct *mm)
{
	sim_might_sleep("exit_mmap");
	if (current->work && current->work != &mm->put_work)
		sim_fail("a worker that serves others runs exit_mmap()");
	if (current->nr_held)
		sim_fail("exit_mmap() runs with %s held", current->held[0]->class);
	release_notifiers(mm);
	mmap_write_lock(mm);
	while (mm->vmas)
		unmap_vma(mm, &mm->vmas);
	mmap_write_unlock(mm);
	mm->exited = true;
	mmdrop(mm);
}

bool mmget_not_zero(struct mm_struct *mm)
{
	sim_point("mmget_not_zero");
	if (mm->mm_count.counter <= 0)
		sim_fail("a user of an mm that is gone");
	if (!mm->mm_users.counter)
		return false;
	mm->mm_users.counter++;
	mm->gets++;
	return true;
}

static bool put_user(struct mm_struct *mm)
{
	sim_point("mmput");
	if (mm->mm_users.counter <= 0)
		sim_fail("an mm loses a user that it does not have");
	return !--mm->mm_users.counter;
}

void mmput(struct mm_struct *mm)
{
	WRITE_ONCE(mm->owner, NULL);
	/* As mm_update_next_owner() does, which a kernel without memory groups has not. */
	if (IS_ENABLED(CONFIG_MEMCG))
		iommu_sva_stop_serving(mm);
	sim_mmput_other(mm);
}

void sim_mmput_other(struct mm_struct *mm)
{
	sim_might_sleep("mmput");
	if (put_user(mm))
		exit_mm(mm);
}

static void put_work(struct work_struct *work)
{
	exit_mm(container_of(work, struct mm_struct, put_work));
}

void mmput_async(struct mm_struct *mm)
{
	if (current->vma_locks)
		sim_fail("an mm is let go with the lock of a VMA held");
	if (!put_user(mm))
		return;
	INIT_WORK(&mm->put_work, put_work);
	queue_work(system_wq, &mm->put_work);
}

struct mm_struct *sim_mm_new(void)
{
	struct mm_struct *mm = sim_alloc_sure(sizeof(*mm), __func__);

	mm->mm_users.counter = 1;
	mm->mm_count.counter = 1;
	mm->pgd = sim_alloc_sure(PAGE_SIZE, __func__);
	mm->task = sim_alloc_sure(sizeof(*mm->task), __func__);
	sim_default_limits(mm->task);
	strscpy(mm->task->name, "process", sizeof(mm->task->name));
	mm->task->pid = 100;
	mm->owner = mm->task;
	init_rwsem(&mm->mmap_lock);
	spin_lock_init(&mm->notifier_lock);
	spin_lock_init(&mm->page_table_lock);
	spin_lock_init(&mm->pte_lock);
	/* Only this CPU may walk the kernel half: a walk there ends at an address of no table. */
	for (unsigned int i = PTRS_PER_PGD / 2; i < PTRS_PER_PGD; i++)
		mm->pgd[i] = __pgd((0x1000UL * i) | _PAGE_PRESENT);
	return mm;
}

#ifdef CONFIG_X86
bool sim_has_enqcmd;
#endif

#ifdef CONFIG_ARM64
bool sim_has_epan;
#endif
