/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VT-d's page request ring: overflow, the interrupt thread, and drains
 *
 * Bounds: see ring.inc for two devices with two PASIDs each; a ring that holds two requests; an interrupt
 * thread; without PARTIALS, two CPUs, each of which drains one device's PASIDs and has a new owner of the
 * PASID go on; without end.
 *
 * Hardware that finds the ring full sets PRO. With PRO set it drops a request, or holds it back, and
 * completes drains all the same. It raises an interrupt only when it sets PPR. In memory and registers all
 * see stores in their order. Indices and counts, which know no wrap bit, are known by how far they are
 * apart. A drain whose second look at the count is not the same as the first begins anew; here the second
 * look is when it reads the tail.
 *
 * A drain pushes for as long as the ring overflows. (The code gives up after a few times, says so in the
 * log, and may leave requests behind.) It does not sleep until an overflow is over: that it ends is not shown.
 *
 * Stands for:
 *	drivers/iommu/intel-prq.c: prq_take prq_consume prq_empty prq_note_loss intel_prq_thread
 *		prq_clear_and_flush prq_has_overflowed prq_wait_consumed intel_prq_count_at
 *		prq_push_requests intel_iommu_drain_pasid_prq
 *	drivers/iommu/io-pgfault.c: iopf_queue_discard_partial
 */
#include "common.inc"

#define NONE	2
#define nr_in_ring	((ring[0] != 0) + (ring[1] != 0))

hidden byte each_last_page_is_answered_once;
hidden byte no_group_fails_for_a_lost_one;
hidden byte a_drain_leaves_nothing_behind;

bool ppr;
bool pro;
bool interrupt;
byte busy;		/* entries that hardware takes for used */
byte taken;		/* by how much the thread is ahead of its count */

/* Of a CPU that drains */
byte since[2] = NONE;	/* by how much the count has grown since it was read */
byte left[2];		/* by how much it has to grow still */
bool lost[2];		/* prq_losses has grown */

#define has_room	(!pro && busy < 2)
#define is_full		(!pro && busy == 2)
#define overflows()	pro = 1

inline enter(d)
{
	put(link[d]);
	link[d] = 0;
	busy++;
	interrupt = interrupt || !ppr;
	ppr = 1
}

inline arrive(d)
{
	do
	:: atomic { has_room -> enter(d); break }
	:: atomic { is_full -> overflows() }
	:: atomic { pro -> drop(d); break }
	:: pro -> !pro		/* held back */
	od
}

#include "ring.inc"

#define grown(s)	(s == NONE -> NONE : 1)

inline count(n)
{
	since[0] = grown(since[0]);
	since[1] = grown(since[1]);
	left[0] = (left[0] > n -> left[0] - n : 0);
	left[1] = (left[1] > n -> left[1] - n : 0)
}

inline make_empty()
{
	do
	:: atomic { ring[0] -> todo = nr_in_ring }
	   do
	   :: atomic { todo ->
		get(r);
		report(r);
#if MUTATE == 2
		report(r);
#endif
		r = 0;
		taken++;
		todo--
	      }
	   :: !todo -> break
	   od;
#if MUTATE == 1
	   busy = busy - taken;
	   atomic { count(taken); taken = 0 }
#else
	   atomic { todo = taken; count(taken); taken = 0 }
	   atomic { busy = busy - todo; todo = 0 }
#endif
	:: !ring[0] -> break
	od
}

inline note_loss()
{
	atomic { lost[0] = 1; lost[1] = 1 }
}

active proctype thread()
{
	byte r, todo;

end:	do
	:: atomic { interrupt -> interrupt = 0 }
	   ppr = 0;
	   make_empty();
	   if
	   :: pro ->
#if MUTATE == 3
		pro = 0;
#endif
		make_empty();
#if MUTATE != 4
		atomic { mark_partials() }
#endif
		note_loss();
		pro = 0
	   :: !pro
	   fi
	od
}

/* The wait with the drain flag, behind an ATC invalidation, completes. */
#if MUTATE == 6
#define is_pushed(d, p)	true
#else
#define is_pushed(d, p)	(pro || !is_of(link[d], d, p))
#endif

inline push(d, p)
{
	do
	:: lost[c] = 0;
#if MUTATE != 5
	   was_full = pro;
#endif
	   is_pushed(d, p);
	   if
#if MUTATE == 7
	   :: true -> break
#endif
	   :: pro ->
		skip	/* It may sleep. */
	   :: !pro ->
		if
#if MUTATE == 8
		:: true -> break
#else
		:: !was_full && !lost[c] -> break
#endif
		:: else
		fi
	   fi
	od;
	atomic { was_full = 0; lost[c] = 0 }
}

/* To the tail, modulo the size of the ring, of which one entry is never used */
#define distance	((taken + nr_in_ring) % 3)

inline wait_consumed()
{
	do
	:: since[c] = 0;
	   if
	   :: since[c]
	   :: atomic { !since[c] ->
		left[c] = distance;
		since[c] = NONE;
		break
	      }
	   fi
	od;
	!left[c]
}

inline drain(d, p)
{
	atomic { bound[at(d, p)] -> bound[at(d, p)] = 0 }
	push(d, p);
#if MUTATE != 9
	wait_consumed();
#endif
	atomic { end_drain(d, p) }
}

#if !PARTIALS
active [2] proctype cpu()
{
	byte c = _pid - 3;
	bool was_full;

end:	do
	:: !c -> drain(0, 0)
	:: !c -> drain(0, 1)
	:: c -> drain(1, 0)
	:: c -> drain(1, 1)
	od
}
#endif
