/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The user-only root (x86) and the tables it leads to
 *
 * Bounds: two CPUs that run threads of one process, reclaim, vmalloc, bind and unbind, in any order
 * and without end; SLOTS slots in the user half, and one in the kernel half; one table more than
 * slots; one device, which has no page requests. The process exits once.
 *
 * Hardware takes each of two steps at any time: it reads an entry of the root into the walk cache,
 * and it walks on from what is cached. So whatever a walk in flight may have read is in the cache.
 * A flush empties that at once, as its completion says (VT-d 4.1, section 6.5.2).
 *
 * Stands for:
 *	drivers/iommu/iommu-sva-root.c: io_mm_slot io_mm_slot_in_sync io_mm_copy_slot
 *		io_mm_mirror_all io_mm_mirror __iommu_sva_populate io_mm_clear_root io_mm_has_exited
 *	drivers/iommu/iommu-sva-flush.c: io_mm_flush_several io_mm_flush
 *	drivers/iommu/iommu-sva.c: io_mm_get_pasid io_mm_put_pasid
 *		io_mm_invalidate io_mm_release io_mm_await_release
 *		io_mm_add_bond io_mm_bind io_mm_free
 *	integration/linux-6.12/0013-top-level-slots.patch: *
 */
#include "common.inc"

#ifndef SLOTS
#define SLOTS	2
#endif
#define KERNEL	SLOTS
#define TABLES	(SLOTS + 1)

hidden byte no_walk_of_a_freed_table;
hidden byte no_use_after_free;
hidden byte a_device_finds_what_a_thread_has;
hidden byte the_root_stays_empty_after_the_exit;

/* The process. Tables: 0 is none; in the kernel half, KTABLE is the only one. */
#define KTABLE	(TABLES + 1)
byte pgd[SLOTS + 1];
byte owner[TABLES + 2];		/* of a table: slot + 1, or 0 if it is free */
bool mapped[SLOTS];		/* there is a VMA in the slot */
byte mmap_readers;
bool page_table_lock;
byte mm_users;			/* threads that are in the kernel */
bool dead;

/* The io_mm */
bool io_mm_lock;
bool allocated;
bool notifier;			/* on the mm's list */
byte readers;			/* SRCU: who has found it there */
bool shown;			/* sva_mm_data.io_mm */
bool root_lock;
bool emptied;			/* the exit is through with it */
bool exited;
byte root[SLOTS + 1];
bool filled[SLOTS + 1];		/* the slot was, when it was last written; not so after the exit */

/* Device and IOMMU */
bool bound;			/* the bind has returned */
bool listed;			/* on the domain's list: flushes reach it */
bool present;			/* the PASID entry */
byte walk_cache[SLOTS + 1];

/* What takes mmap_lock for writing does all it has to in one step, or downgrades it. */
inline mmap_read_unlock()	{ mmap_readers-- }

inline flush(s)
{
	atomic {
		if
		:: listed -> walk_cache[s] = 0
		:: else
		fi
	}
}

/*
 * One slot of a section under root_lock. The process's slot may change after it was read. An
 * invalidation does not look at slots that are not marked as filled.
 */
inline copy_slot(s, empty_too)
{
	t = pgd[s];
	atomic {
		if
		:: t != root[s] && (empty_too || filled[s]) -> root[s] = t; filled[s] = t != 0
		:: else
		fi;
		t = 0
	}
}

inline io_mm_mirror(first, end, empty_too)
{
	atomic {
		!root_lock -> root_lock = 1;
		must(no_use_after_free, allocated);
		if
#if MUTATE == 8
		:: false -> i = end
#else
		:: exited -> i = end
#endif
		:: else -> i = first
		fi
	}
	do
	:: atomic { i < end -> copy_slot(i, empty_too); i++ }
	:: atomic { else -> i = 0; root_lock = 0; break }
	od
}

/* Of one slot; with any lock or none */
inline invalidate(s)
{
	atomic { found = notifier; readers = readers + found }
	if
	:: found ->
#if MUTATE == 6
		flush(s);
		io_mm_mirror(s, s + 1, false);
#elif MUTATE == 7
		flush(s);
#else
		io_mm_mirror(s, s + 1, false);
		flush(s);
#endif
		atomic { readers--; found = 0 }
	:: else
	fi
}

inline iommu_sva_populate(s)
{
	if
#if MUTATE == 1
	:: false
#else
	:: shown ->
#endif
#if MUTATE == 2
		pgd[s] = t;
#endif
#if MUTATE == 3
		atomic { root[s] = t; filled[s] = 1 }
		pgd[s] = t
#else
		atomic {
			!root_lock -> root_lock = 1;
			must(no_use_after_free, allocated);
			if
			:: !exited -> root[s] = t; filled[s] = 1
			:: else
			fi
		}
		atomic { pgd[s] = t; root_lock = 0 }
#endif
	:: else -> pgd[s] = t
	fi
}

/* A thread uses memory in the slot: a fault, or the CPU's own walk. */
inline touch(s)
{
	atomic { !dead && mapped[s] -> mmap_readers++; mm_users++ }
	if
	:: !pgd[s] ->
		lock(page_table_lock);
		if
		:: pgd[s]
		:: else ->
			atomic {
				find(t, 1, TABLES, !owner[t]);
				owner[t] = s + 1
			}
			iommu_sva_populate(s)
		fi;
		atomic { page_table_lock = 0; t = 0 }
	:: else
	fi;
	atomic { mmap_read_unlock(); mm_users-- }
}

inline map(s)
{
	atomic { !dead && !mapped[s] && !mmap_readers -> mapped[s] = 1 }
}

/* munmap(), with the lock downgraded: the slot is empty, flushed, and then its table is freed */
inline unmap(s)
{
	atomic {
		!dead && mapped[s] && !mmap_readers ->
		mapped[s] = 0;
		mmap_readers++;
		mm_users++
	}
	atomic { old = pgd[s]; pgd[s] = 0 }
	if
	:: old -> invalidate(s); atomic { owner[old] = 0; old = 0 }
	:: else
	fi;
	atomic { mmap_read_unlock(); mm_users-- }
}

inline publish()
{
	atomic { !page_table_lock -> shown = 1 }
}

inline bind()
{
	atomic { !dead && !bound && !io_mm_lock -> io_mm_lock = 1; mm_users++ }
	if
	:: !allocated ->
		/* mmu_notifier_get() */
		atomic {
			!mmap_readers ->
			allocated = 1;
			notifier = 1;
			exited = 0
		}
	:: else
	fi;
#if MUTATE == 4
	io_mm_mirror(0, SLOTS, true);
	publish();
#elif MUTATE == 5
	publish();
#elif MUTATE == 10
	publish();
	io_mm_mirror(0, SLOTS + 1, true);
#elif MUTATE == 14
	publish();
	io_mm_mirror(0, SLOTS, false);
#else
	publish();
	io_mm_mirror(0, SLOTS, true);
#endif
	listed = 1;
	atomic { present = 1; bound = 1; mm_users--; io_mm_lock = 0 }
}

inline unbind()
{
	atomic { bound && !io_mm_lock -> io_mm_lock = 1; bound = 0 }
	present = 0;
#if MUTATE != 15
	atomic {
		i = 0;
		do
		:: i <= KERNEL -> walk_cache[i] = 0; i++
		:: else -> i = 0; break
		od
	}
#endif
	listed = 0;
#if MUTATE == 12
	shown = 0;
#else
	atomic { !page_table_lock -> shown = 0 }
#endif
	/* mmu_notifier_put(); who has found it there is waited for. */
	notifier = 0;
#if MUTATE != 13
	readers == 0;
#endif
	atomic {
		allocated = 0;
		i = 0;
		do
		:: i <= KERNEL -> root[i] = 0; filled[i] = 0; i++
		:: else -> i = 0; break
		od;
		io_mm_lock = 0
	}
}

inline io_mm_clear_root()
{
	atomic { !root_lock -> root_lock = 1; must(no_use_after_free, allocated); exited = 1 }
	do
	:: atomic { i < SLOTS -> root[i] = 0; i++ }
	:: atomic { else -> i = 0; root_lock = 0; break }
	od
}

inline flush_all()
{
	do
	:: atomic { i < SLOTS -> flush(i); i++ }
	:: atomic { else -> i = 0; break }
	od
}

/* mmu_notifier_release(), then exit_mmap() */
inline exit_mm()
{
	atomic { !dead && !mm_users -> dead = 1 }
	atomic { found = notifier; readers = readers + found }
	if
	:: found ->
#if MUTATE == 9
		flush_all();
		io_mm_clear_root();
#elif MUTATE == 11
		flush_all();
#else
		io_mm_clear_root();
		flush_all();
#endif
		atomic { notifier = 0; emptied = 1; readers--; found = 0 }
	:: else
	fi;
	readers == 0;
	do
	:: atomic { i < SLOTS -> owner[pgd[i]] = 0; pgd[i] = 0; mapped[i] = 0; i++ }
	:: atomic { else -> i = 0; break }
	od
}

/* Kernel memory goes without any notifier, and comes again. */
inline vmalloc_or_vfree()
{
	atomic {
		skip;	/* or the "else" would belong to cpu()'s choice */
		if
		:: pgd[KERNEL] -> pgd[KERNEL] = 0; owner[KTABLE] = 0
		:: else -> pgd[KERNEL] = KTABLE; owner[KTABLE] = KERNEL + 1
		fi
	}
}

active [2] proctype cpu()
{
	byte s, t, old, i;
	bool found;

end:	do
	:: atomic { s = 0; if :: skip :: s = SLOTS - 1 fi };
		if
		:: touch(s)
		:: map(s)
		:: unmap(s)
		:: invalidate(s)
		:: bind()
		:: unbind()
		:: exit_mm()
		:: vmalloc_or_vfree()
		fi;
		s = 0
	od
}

active proctype hardware()
{
	byte s;

end:	do
	:: atomic { s < KERNEL -> s++ }
	:: atomic { s > 0 -> s-- }
	:: d_step {
		present ->
		must(no_use_after_free, allocated);
		must(the_root_stays_empty_after_the_exit, !emptied || !root[s]);
		must(a_device_finds_what_a_thread_has,
		     root[s] || !bound || dead || s == KERNEL || !pgd[s]);
		walk_cache[s] = root[s]
	}
	:: d_step {
		walk_cache[s] ->
		must(no_walk_of_a_freed_table, owner[walk_cache[s]] == s + 1)
	}
	od
}
