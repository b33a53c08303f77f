/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bind, unbind, exit, invalidation, and what devices and IOMMU have cached meanwhile
 *
 * Bounds: two CPUs, which fault, unmap, bind, unbind, exit and, with RESET, reset devices, in any
 * order and without end; two processes, of one page each, one of which exits; two PASIDs, which go from
 * one process to the other; two devices behind one IOMMU. Process 1 has no
 * bond with device 1, and does not exit; with RESET, it has none at all. A bond has one
 * user: others come while it has one, and go before the last, and change nothing of this.
 *
 * Devices are not honest: they translate and write with any PASID at any time, but in a reset. Hardware
 * copies from the PASID entry to the PASID cache, from the page table to the IOTLB and from that to an
 * ATC, each in one step at any time. So whatever may be in flight is in a cache. A flush empties a cache
 * at once, as its completion says. A device in a reset completes nothing. Of several IOMMUs each one's
 * flush is complete when the MMU notifier's callback returns; so one stands for all.
 *
 * Stands for:
 *	drivers/iommu/iommu-sva-flush.c: io_mm_flush_several io_mm_flush
 *	drivers/iommu/iommu-sva.c: io_mm_get_pasid io_mm_put_pasid
 *		io_mm_invalidate io_mm_release io_mm_await_release
 *		io_mm_add_domain io_mm_put_domain bond_attach bond_detach io_mm_add_bond
 *		io_mm_bind iommu_sva_unbind_device
 *	drivers/iommu/intel-svm.c: svm_add_entry svm_flush_entry svm_add_flush svm_flush
 *		intel_svm_start_flush intel_svm_await_flush intel_svm_invalidate_range intel_svm_flush_atc svm_exit_entry intel_svm_release
 *		svm_clear_entry intel_svm_attach intel_svm_remove_dev_pasid
 *	drivers/iommu/intel-prq.c: intel_svm_drops_atc intel_svm_has_atc intel_svm_may_ask
 *	drivers/iommu/iopf-reset.c: iopf_begin_reset iopf_flush_atc iopf_end_reset iopf_device_in_reset
 *	drivers/iommu/iommu-pasid.c: iommu_alloc_global_pasid iommu_free_global_pasid
 */
#include "common.inc"

#ifndef RESET
#define RESET	0
#endif

hidden byte no_stale_translation;
hidden byte no_use_after_free;
hidden byte no_entry_of_another_owner;
hidden byte no_invalidation_in_a_reset;

#define NONE	2	/* no PASID */
#define at(d, p)	((d) * 2 + (p))

/*
 * Processes. What they own is marked with their number + 1. A page is mapped, or not but not freed
 * yet, or free: then it may belong to any process, and no device may use it.
 */
bool pte[2];
bool page_used[2];
byte mm_users[2];
bool dead[2];

/* The io_mm of each */
bool io_mm_lock[2];
bool allocated[2];
bool exited[2];
bool released[2];
byte readers[2];		/* RCU and SRCU */
byte pasid[2] = NONE;
byte bonds[2];
bool listed[4];			/* by at(device, process): on the domain's list */

byte pasid_owner[2];

/* PASID entries and the PASID cache: 0, LIVE(m) or GONE(m), an entry without fault processing */
#define LIVE(m)	((m) + 1)
#define GONE(m)	((m) + 3)
byte entry[4];			/* by at(device, PASID) */
byte entry_cache[4];
byte iotlb[2];			/* by PASID: whose page */
byte atc[4];			/* by at(device, PASID): the same */

bool flow_in_reset[2];
bool in_reset[2];		/* hardware */
bool stopped[2];		/* until its driver starts it again */

inline flush_atc(d, p)
{
#if RESET
	ask = !flow_in_reset[d];
	atomic {
		if
		:: ask ->
			must(no_invalidation_in_a_reset, !in_reset[d]);
			atc[at(d, p)] = 0;
			ask = 0
		:: else
		fi
	}
#else
	atc[at(d, p)] = 0
#endif
}

inline flush_entries(p)
{
#if MUTATE == 1
	skip
#else
	atomic { entry_cache[at(0, p)] = 0; entry_cache[at(1, p)] = 0 }
#endif
}

inline flush_atc_of_listed(d, m, p)
{
	if
	:: listed[at(d, m)] -> flush_atc(d, p)
	:: else
	fi
}

/* Reads the list once at the start, as the first entry, and once for the ATCs. */
inline invalidate(m)
{
	atomic {
		p = NONE;
		readers[m]++;
		if
		:: listed[at(0, m)] || listed[at(1, m)] -> p = pasid[m]
		:: else
		fi
	}
	if
	:: p != NONE ->
#if MUTATE == 2
		flush_atc_of_listed(0, m, p);
		flush_atc_of_listed(1, m, p);
		iotlb[p] = 0
#elif MUTATE == 3
		iotlb[p] = 0;
		flush_atc_of_listed(0, m, p)
#else
		iotlb[p] = 0;
		flush_atc_of_listed(0, m, p);
		flush_atc_of_listed(1, m, p)
#endif
	:: else
	fi;
	atomic { readers[m]--; p = NONE }
}

inline fault(m)
{
	atomic { !dead[m] && !page_used[m] -> page_used[m] = 1; pte[m] = 1 }
}

inline unmap(m)
{
	atomic { !dead[m] && pte[m] -> mm_users[m]++; pte[m] = 0 }
#if MUTATE == 4
	page_used[m] = 0;
#endif
	invalidate(m);
	atomic { page_used[m] = 0; mm_users[m]-- }
}

inline bind(m, d)
{
	atomic {
		!dead[m] && !io_mm_lock[m] && !listed[at(d, m)] ->
		io_mm_lock[m] = 1;
		mm_users[m]++;
		if
		:: pasid[m] == NONE ->
			if
			:: !pasid_owner[0] -> pasid[m] = 0
			:: !pasid_owner[1] -> pasid[m] = 1
			fi;
			pasid_owner[pasid[m]] = m + 1;
			allocated[m] = 1
		:: else
		fi;
		p = pasid[m];
		bonds[m]++
	}
#if MUTATE == 5
	atomic { entry[at(d, p)] = LIVE(m); }
	listed[at(d, m)] = 1;
#else
	listed[at(d, m)] = 1;
	atomic {
		must(no_entry_of_another_owner, !entry[at(d, p)]);
		entry[at(d, p)] = LIVE(m)
	}
#endif
	atomic { mm_users[m]--; p = NONE; io_mm_lock[m] = 0 }
}

inline unbind(m, d)
{
	atomic {
		!io_mm_lock[m] && listed[at(d, m)] ->
		io_mm_lock[m] = 1;
		p = pasid[m];
		bonds[m]--
	}
#if MUTATE == 6
	listed[at(d, m)] = 0;
#endif
	atomic {
		must(no_entry_of_another_owner,
		     entry[at(d, p)] == LIVE(m) || entry[at(d, p)] == GONE(m));
		entry[at(d, p)] = 0
	}
#if MUTATE == 16
	atomic {
		if
		:: !bonds[m] -> allocated[m] = 0
		:: else
		fi
	}
#endif
	flush_entries(p);
#if MUTATE == 7
	readers[m]++;
	flush_atc(d, p);
	readers[m]--;
#elif MUTATE == 8
	iotlb[p] = 0;
#else
	readers[m]++;
	iotlb[p] = 0;
	flush_atc(d, p);
	readers[m]--;
#endif
	listed[at(d, m)] = 0;
#if MUTATE != 9
	!exited[m] || released[m] || !readers[m];
#endif
	atomic {
		if
		:: !bonds[m] -> pasid_owner[p] = 0; pasid[m] = NONE; allocated[m] = 0
		:: else
		fi;
		p = NONE;
		io_mm_lock[m] = 0
	}
}

/* Takes the device's entry out of work. The look and the store are under the domain's lock. */
inline exit_entry(d, m)
{
	atomic { found = listed[at(d, m)]; theirs = (found -> pasid[m] : theirs) }
	atomic {
		if
#if MUTATE == 10
		:: found ->
#else
		:: found && entry[at(d, theirs)] ->
#endif
#if MUTATE == 15
			p = theirs;
#endif
			must(no_entry_of_another_owner, entry[at(d, theirs)] == LIVE(m));
			entry[at(d, theirs)] = GONE(m)
		:: else
		fi;
#if MUTATE != 15
		p = theirs;
#endif
		found = 0
	}
}

/* The exit: release(), and then the memory goes. */
inline exit_mm(m)
{
	atomic { !dead[m] && !mm_users[m] -> dead[m] = 1; readers[m]++ }
	exited[m] = 1;	/* the root is empty */
	exit_entry(0, m);
	exit_entry(1, m);
	if
	:: p != NONE ->
#if MUTATE != 11
		flush_entries(p);
		iotlb[p] = 0;
#endif
		flush_atc_of_listed(0, m, p);
		flush_atc_of_listed(1, m, p)
	:: else
	fi;
	atomic {
		released[m] = 1;
		readers[m]--;
		page_used[m] = 0;
		pte[m] = 0;
		theirs = NONE;
		p = NONE
	}
}

inline reset(d)
{
	atomic { !flow_in_reset[d] && !stopped[d] -> flow_in_reset[d] = 1; stopped[d] = 1 }
#if MUTATE != 12
	/* synchronize_rcu() */
	!readers[0] && !readers[1];
#endif
	in_reset[d] = 1;
	/* The device forgets its translations, or it does not. */
	atomic {
		if
		:: skip
		:: atc[at(d, 0)] = 0; atc[at(d, 1)] = 0
		fi;
		in_reset[d] = 0
	}
#if MUTATE == 13
	atomic { atc[at(d, 0)] = 0; atc[at(d, 1)] = 0 }
	flow_in_reset[d] = 0;
#elif MUTATE == 14
	flow_in_reset[d] = 0;
#else
	flow_in_reset[d] = 0;
	atomic { atc[at(d, 0)] = 0; atc[at(d, 1)] = 0 }
#endif
	stopped[d] = 0
}

active [2] proctype cpu()
{
	byte p = NONE, theirs = NONE;
	bool ask, found;

end:	do
	:: fault(0)
	:: unmap(0)
#if !RESET
	:: fault(1)
	:: unmap(1)
#endif
	:: bind(0, 0)
	:: bind(0, 1)
#if !RESET
	:: bind(1, 0)
#endif
	:: unbind(0, 0)
	:: unbind(0, 1)
#if !RESET
	:: unbind(1, 0)
#endif
	:: exit_mm(0)
#if RESET
	:: reset(0)
#endif
	od
}

/* A page is named by its process, number + 1. */
#define is_wrong(page, p)	(!page_used[(page) - 1] || page != pasid_owner[p])

/* What a device may do with a PASID */
#define DEVICE(d, p)								\
	:: d_step { entry[at(d, p)] && !entry_cache[at(d, p)] ->		\
		entry_cache[at(d, p)] = entry[at(d, p)] }			\
	:: d_step { !iotlb[p] && entry_cache[at(d, p)] == LIVE(0) && pte[0] ->	\
		must(no_use_after_free, allocated[0]);				\
		iotlb[p] = (exited[0] || !pte[0] -> 0 : 1) }		\
	:: d_step { !iotlb[p] && entry_cache[at(d, p)] == LIVE(1) ->		\
		must(no_use_after_free, allocated[1]);				\
		iotlb[p] = (exited[1] || !pte[1] -> 0 : 2) }		\
	:: d_step { entry_cache[at(d, p)] && iotlb[p] && !atc[at(d, p)] && !in_reset[d] -> \
		atc[at(d, p)] = iotlb[p] }					\
	:: d_step { !stopped[d] && entry_cache[at(d, p)] && iotlb[p] && is_wrong(iotlb[p], p) -> \
		must(no_stale_translation, false) }				\
	:: d_step { !stopped[d] && atc[at(d, p)] && is_wrong(atc[at(d, p)], p) -> \
		must(no_stale_translation, false) }

active proctype hardware()
{
end:	do
	DEVICE(0, 0)
	DEVICE(0, 1)
	DEVICE(1, 0)
	DEVICE(1, 1)
	od
}
