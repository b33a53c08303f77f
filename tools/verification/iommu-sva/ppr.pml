/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * AMD's PPR log: overflow, the interrupt thread, drains, and the sleep of the IOMMU
 *
 * Bounds: see ring.inc for two devices with two PASIDs each; a log that holds two requests; an interrupt
 * thread, and after a sleep a work item; readers take out one entry at a time, half of the log; CPUS CPUs,
 * each of which drains one device's PASIDs and has a new owner of the PASID go on; with PARTIALS, one that
 * drains a PASID of the flooding device; without end.
 *
 * Hardware that finds the log full sets the overflow bit and clears PPRLogRun. With that clear it drops a
 * request, or holds it back, and completes invalidations all the same. It raises an interrupt only when it
 * sets a bit. In memory and registers all see stores in their order. An entry is there when the tail says
 * so, and the head moves when an entry is taken out. A drain pushes for as long as the log overflows (the
 * code gives up after a few times and says so), and the device completes its invalidations.
 *
 * With SLEEP the IOMMU sleeps at any time, with drains and readers wherever they are, but not before what
 * was in the log has been read, nor while a reader starts the log. No CPU runs in a sleep: it is one step. A
 * request on its way is dropped then, or held back, and device 0 may forget its partial. With ANSWERS a
 * handler answers what device 0 has asked, or the drain in its place; without, the report does.
 *
 * Stands for:
 *	drivers/iommu/amd-ppr.c: ppr_has_stopped ppr_tail ppr_take_out ppr_end_sleep ppr_consume_some
 *		ppr_restart amd_iommu_poll_ppr_log amd_iommu_restart_ppr_log ppr_awake ppr_work
 *		ppr_drain_log ppr_push amd_ppr_drain amd_iommu_enable_ppr_log amd_ppr_suspend
 *	drivers/iommu/io-pgfault.c: iopf_queue_discard_partial
 */
#include "common.inc"

#ifndef CPUS
#define CPUS	2
#endif
#ifndef SLEEP
#define SLEEP	0
#endif
#ifndef ANSWERS
#define ANSWERS	0
#endif

#define nr_in_log	((ring[0] != 0) + (ring[1] != 0))

hidden byte each_last_page_is_answered_once;
hidden byte no_group_fails_for_a_lost_one;
hidden byte a_drain_leaves_nothing_behind;
hidden byte no_response_after_the_drain;
hidden byte the_log_is_read_and_runs;

/* PPRLogRun, and what tells of requests and overflows */
bool runs = 1;
bool ppr_int;
bool overflow;
bool interrupt;

bool sva_lock;
bool starting;		/* the log */
byte first;		/* taken out, not reported */
bool lost[2];		/* losses has grown, since the CPU that drains has read it */

/* From the sleep until what was in the log before it has been read; the rest of that */
bool resumed;
byte before;

bool thread_works;
bool work;
bool work_runs;

#define also_left(d, p)	is_of(first, d, p)
#define also_old()	first = (first == REQUEST(0, 1, PARTIAL) -> REQUEST(0, 1, OLD) : first)

#define has_room	(runs && nr_in_log < 2)
#define is_full		(runs && nr_in_log == 2)

inline overflows()
{
	runs = 0;
	interrupt = interrupt || !overflow;
	overflow = 1
}

inline enter(d)
{
	put(link[d]);
	link[d] = 0;
	interrupt = interrupt || !ppr_int;
	ppr_int = 1
}

inline arrive(d)
{
	do
	:: atomic { link[d] && has_room -> enter(d); break }
	:: atomic { link[d] && is_full -> overflows() }
	:: atomic { link[d] && !runs -> drop(d); break }
#if SLEEP
	:: !link[d] -> break
#endif
	od
}

#if ANSWERS
/* Of device 0, by PASID: a group of the fault queue; its answer is on its way, or 2: comes too late */
bool pending[2];
byte leaving[2];
#define respond(p)	pending[p] = 1
#define is_answering(p)	leaving[p]
#endif

#include "ring.inc"

inline note_loss()
{
	lost[0] = 1;
	lost[1] = 1
}

/* What the device was asking when it went to sleep it may have forgotten. */
inline end_sleep()
{
	if
#if MUTATE == 10
	:: resumed && !before -> resumed = 0
#else
	:: resumed && !before -> mark_partials(); resumed = 0
#endif
	:: else
	fi
}

/* Up to @todo. In a log of two entries one is taken out at a time. */
inline consume_some()
{
	atomic {
		if
		:: todo && (!resumed || before) ->
			get(first);
			todo--;
			before = (before -> before - 1 : 0)
		:: else
		fi
	}
	atomic {
		if
		:: first ->
			report(first);
#if MUTATE == 2
			report(first);
#endif
			first = 0
		:: else -> todo = 0
		fi
	}
}

inline restart()
{
	if
	:: atomic { !runs -> starting = 1 }
	   do
	   :: atomic { ring[0] -> todo = nr_in_log; end_sleep() }
	      consume_some()
	   :: atomic { !ring[0] -> todo = 0; end_sleep(); break }
#if MUTATE == 3
	   :: break
#endif
	   od;
#if MUTATE != 4
	   atomic { mark_partials() }
#endif
#if MUTATE == 5
	   atomic { note_loss() }
	   atomic { runs = 1; overflow = 0; starting = 0 }
#else
	   atomic { runs = 1; overflow = 0 }
	   atomic { note_loss(); starting = 0 }
#endif
	:: runs
	fi
}

/* Also says when the log has stopped. */
inline poll()
{
	do
	:: atomic { !sva_lock -> sva_lock = 1; todo = nr_in_log; end_sleep() }
	   if
	   :: todo -> consume_some(); atomic { sva_lock = 0; todo = 0 }
	   :: atomic { !todo -> sva_lock = 0; break }
	   fi
	od;
#if MUTATE != 8
	if
	:: !runs -> lock(sva_lock); restart(); unlock(sva_lock)
	:: runs
	fi
#endif
}

/* amd_iommu_handle_irq(), of the base: a bit that is set between its two steps is cleared unseen. */
active proctype thread()
{
	byte todo;
	bool overflowed;

end:	do
	:: atomic { interrupt -> interrupt = 0; thread_works = 1 }
	   do
	   :: atomic { ppr_int || overflow -> overflowed = overflow }
	      atomic { ppr_int = 0; overflow = 0 }
	      poll();
	      if
	      :: overflowed -> lock(sva_lock); restart(); atomic { sva_lock = 0; overflowed = 0 }
	      :: !overflowed
	      fi
	   :: atomic { !ppr_int && !overflow -> thread_works = 0; break }
	   od
	od
}

#if MUTATE == 6
#define is_pushed(d, p)	true
#else
#define is_pushed(d, p)	(!runs || !is_of(link[d], d, p))
#endif

inline drain_log()
{
#if MUTATE == 1
	if
	:: ring[0] ->
#endif
	atomic { !sva_lock -> sva_lock = 1; todo = nr_in_log }
	do
	:: atomic { todo -> end_sleep() }
	   consume_some()
	:: atomic { !todo -> end_sleep(); break }
	od;
	restart();
	unlock(sva_lock)
#if MUTATE == 1
	:: !ring[0]
	fi
#endif
}

#if ANSWERS
inline answer_all(d, p)
{
	atomic {
		if
		:: !d && pending[p] -> pending[p] = 0; answer(p)
		:: else
		fi
	}
#if MUTATE != 13
	d || !leaving[p]
#endif
}
#endif

inline drain(d, p)
{
	atomic { bound[at(d, p)] -> bound[at(d, p)] = 0 }
	do
	:: lost[c] = 0;
	   is_pushed(d, p);
	   drain_log();
	   if
#if MUTATE == 7
	   :: true -> break
#else
	   :: lost[c]
	   :: !lost[c] -> break
#endif
	   fi
	od;
#if ANSWERS
	answer_all(d, p);
#endif
	atomic {
		end_drain(d, p);
#if ANSWERS
		leaving[p] = (!d && leaving[p] -> 2 : leaving[p]);
#endif
		lost[c] = 0
	}
}

#if CPUS
active [CPUS] proctype cpu()
{
	byte c = _pid - 3, todo;

end:	do
#if PARTIALS
	:: drain(1, 0)
#else
#if !ONE_PASID
	:: !c -> drain(0, 0)
#endif
	:: !c -> drain(0, 1)
#if CPUS > 1
	:: c -> drain(1, 0)
#if !ONE_PASID
	:: c -> drain(1, 1)
#endif
#endif
#endif
	od
}
#endif

/* Without the help of a drain */
active proctype rest()
{
end:	do
	:: d_step {
		!interrupt && !thread_works && !work && !work_runs && !sva_lock &&
		(ring[0] || !runs) -> must(the_log_is_read_and_runs, false)
	   }
	od
}

#if ANSWERS
inline handle(p)
{
	atomic { pending[p] -> pending[p] = 0; leaving[p] = 1 }
	atomic {
		must(no_response_after_the_drain, leaving[p] == 1);
		answer(p);
		leaving[p] = 0
	}
}

active proctype handler()
{
end:	do
	:: handle(0)
	:: handle(1)
	od
}
#endif

#if SLEEP
/* The device forgets its partial, wherever it is. */
inline forget()
{
	if
	:: asked[1] == HALF ->
		asked[1] = IDLE;
		link[0] = (link[0] == REQUEST(0, 1, PARTIAL) -> 0 : link[0]);
		grow_old()
	:: else
	fi
}

/* From amd_ppr_suspend() to amd_iommu_enable_ppr_log(): no CPU but one, which has interrupts off */
active proctype sleep()
{
end:	do
	:: atomic {
		!resumed && !starting ->
		if
		:: link[0] -> drop(0)
#if MUTATE == 12
		:: link[0] && has_room -> link[0] = 0	/* enters behind the tail */
#endif
		:: true
		fi;
		if
		:: forget()
		:: true
		fi;
		if
		:: interrupt = 0
		:: true
		fi;
		ppr_int = 0;
		overflow = 0;
		before = nr_in_log;
		resumed = 1;
#if MUTATE != 11
		note_loss();
#endif
		runs = 1;
#if MUTATE != 9
		work = 1
#endif
	   }
	od
}

active proctype work_item()
{
	byte todo;

end:	do
	:: atomic { work -> work = 0; work_runs = 1 }
	   poll();
#if MUTATE == 10
	   atomic { !sva_lock -> mark_partials() }
#endif
	   work_runs = 0
	od
}
#endif
