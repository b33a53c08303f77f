/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nested pauses of a device: resets, sleeps, what a driver quiesces, and removal
 *
 * Bounds: one device; a thread of its driver, and the PCI core, each of which pauses it, resets it and
 * brings it back, in any order and without end; the PCI core also has it sleep. With REQUESTS: the device
 * has one page request outstanding, whose handler may keep the group; its driver takes it from the fault
 * queue and brings it back, and drains. Without: a CPU that binds and unbinds it, from one owner of its only
 * PASID to the next; one that invalidates; the device may leave an invalidation uncompleted, and may be gone.
 *
 * A device sends and translates until it is in a reset, and from when the last thread that has reset it is
 * done: a driver stops DMA as far as it can. A reset makes it forget what it has asked; its ATC, or not.
 * A sleep begins with nothing outstanding, nor in the hardware queue. Who is in one RCU section, or holds a
 * lock, is waited for. An invalidation that is not completed is reported before its sender goes on. A PASID
 * that is detached in a pause may be given out in it: the flush at its end is what clears the ATC. The
 * kernel's own translations are not in the model: for them a device with ATS is paused like one in use.
 *
 * RESET stands for IOPF_PAUSE_ERROR, too, which differs in who may end it. A device that has left its IOMMU
 * is paused by no thread, and one that stalls forgets nothing: neither is here.
 *
 * Stands for:
 *	drivers/iommu/iopf-reset.c: iopf_forget_pending iopf_finish_forgotten iopf_enter_reset
 *		iopf_note_pause iopf_begin_reset iopf_flush_atc iopf_end_reset iopf_pause iopf_unpause
 *		iopf_device_in_reset
 *	drivers/iommu/iopf-atc.c: atc_obey_pause iopf_atc_use iopf_atc_leave atc_mark
 *		iopf_atc_hold iopf_atc_unconfirmed atc_settle iopf_atc_confirmed iopf_atc_failures
 *		iopf_atc_holds iopf_atc_pause iopf_atc_unpause iopf_atc_obey_pause
 *	drivers/iommu/iopf-pci.c: iopf_pci_reset_begins iopf_pci_restored iopf_pci_recovered iopf_pci_sleeps
 *		iopf_pci_wakes
 *	drivers/iommu/iopf.h: iopf_pauses_add iopf_pauses_del
 *	drivers/iommu/iopf-pci.h: iopf_pci_can_answer
 *	drivers/iommu/io-pgfault.c: iopf_collect iopf_queue_add_device iopf_remove_locked
 *	drivers/iommu/iopf-response.c: iopf_answer_group
 *	drivers/iommu/iommu-sva.c: bond_attach bond_detach
 */
#include "common.inc"

#ifndef REQUESTS
#define REQUESTS	0
#endif

hidden byte no_invalidation_is_sent_into_a_reset;
hidden byte no_answer_of_before_the_reset;
hidden byte a_device_in_a_reset_stays_paused;
hidden byte an_inner_resume_does_not_end_an_outer_reset;
hidden byte a_held_pasid_is_not_given_out;

/* Reasons, as bits of pauses; of DRIVER there may be several. */
#define RESET		1
#define SLEEP		2
#define DRIVER		4

#define RUNNING		0
#define STOPPING	1
#define IN_RESET	2
#define NO_REQUEST	3

byte pauses;
byte flow;
bool reset_lock;
bool on_queue = REQUESTS;

/* Threads that have the device in a reset, or without power; that have had, and are not done */
byte resetting;
byte stopped;
byte paused;		/* from the end of begin_reset() to the beginning of end_reset() */

#if REQUESTS

/* The device's request, in the hardware queue, and in the fault queue. OLD: of before a reset */
#define NEW		1
#define OLD		2
#define LISTED		1
#define KEPT		2
#define RESPONDING	3
bool pri = 1;
bool asked;
byte hw_queue;
byte group;
bool group_old;
bool group_stale;	/* of another iopf_device.resets */
bool fp_lock;

#define is_used		false

inline respond(old)
{
	must(no_answer_of_before_the_reset, !(old));
	asked = (old -> asked : 0)
}

inline free_group()
{
	group = 0;
	group_old = 0;
	group_stale = 0
}

/* iopf_collect(); who has found a flow holds the lock until the request is where that says. */
inline read_hw_queue(f)
{
	atomic { !fp_lock -> fp_lock = 1; f = (hw_queue -> flow : NO_REQUEST) }
	atomic {
		if
		:: f == NO_REQUEST
#if MUTATE == 14
		:: f == STOPPING -> respond(hw_queue == OLD)
		:: (f == RUNNING || f == IN_RESET) && !group -> group = LISTED; group_old = (hw_queue == OLD)
#else
		:: f == IN_RESET
		:: f == STOPPING -> respond(hw_queue == OLD)
		:: f == RUNNING && !group -> group = LISTED; group_old = (hw_queue == OLD)
#endif
		:: f == RUNNING && group -> respond(hw_queue == OLD)	/* overrun */
		fi;
		hw_queue = (f == NO_REQUEST -> hw_queue : 0);
		f = 0;
		fp_lock = 0
	}
}

/* With @leaves nothing is answered from then on that a handler keeps. */
inline abort(leaves)
{
	lock(fp_lock);
	if
	:: atomic { group == LISTED -> group = RESPONDING }
	   atomic { respond(group_old); free_group() }
	:: atomic { group != LISTED -> group_stale = group_stale || (leaves && group == KEPT) }
	fi;
	unlock(fp_lock);
	group != RESPONDING
}

inline drain_hw(f)
{
	read_hw_queue(f);
	abort(false)
}

inline forget_requests()
{
	lock(fp_lock);
	atomic {
		if
		:: group == LISTED -> free_group()
#if MUTATE != 10
		:: group == KEPT -> group_stale = 1
#endif
		:: else
		fi;
		fp_lock = 0
	}
#if MUTATE != 11
	group != RESPONDING
#endif
}

#define forget_in_hardware()						\
	asked = 0;							\
	hw_queue = (hw_queue -> OLD : 0);				\
	group_old = (group -> 1 : 0)
#define has_nothing	(!asked && !hw_queue)

#else

/* The ATC holds nothing, the owner's translations, or those of another owner */
#define MINE		1
#define OTHERS		2
byte atc;
bool attached;		/* ATC_ATTACHED of the device's use */
bool listed;
bool present;		/* the PASID entry */
bool unconfirmed;
bool failed;		/* since iopf_atc_failures() */
bool hangs;		/* until a reset, or for ever */
bool gone;
bool offline;		/* that was noticed */
byte readers;

#define is_used		(attached || unconfirmed)
#define can_answer	(!offline && flow != IN_RESET)

inline invalidate(ask)
{
	atomic {
		if
		:: ask ->
			must(no_invalidation_is_sent_into_a_reset, !resetting);
			if
			:: !hangs -> atc = 0
			:: hangs || !resetting ->
				hangs = 1;
				if
				:: flow != IN_RESET -> unconfirmed = 1; failed = 1
				:: else
				fi
			fi
		:: else
		fi;
		ask = 0
	}
}

#define forget_in_hardware()						\
	hangs = gone;							\
	if								\
	:: atc = 0							\
	:: true								\
	fi
#define has_nothing	true

#endif

inline begin_reset(reason)
{
	lock(reset_lock);
	atomic {
		begun = !pauses && (on_queue || is_used);
		flow = (begun -> STOPPING : flow);
#if MUTATE == 3
		pauses = pauses | reason
#else
		pauses = (reason == DRIVER -> pauses + DRIVER : pauses | reason)
#endif
	}
	if
	:: begun ->
#if REQUESTS
		if
		:: reason != SLEEP -> drain_hw(f)
		:: reason == SLEEP
		fi;
		flow = IN_RESET;
		forget_requests()
#else
		flow = IN_RESET
#endif
	:: !begun
	fi;
#if !REQUESTS
#if MUTATE == 2
	!begun || !readers;
#elif MUTATE != 1
	!readers;
#endif
#endif
	atomic { begun = 0; reset_lock = 0; paused++ }
}

inline end_reset(reason)
{
	paused--;
	if
	:: pauses ->
		atomic {
			!reset_lock -> reset_lock = 1;
			begun = pauses != 0;
			if
			:: reason != DRIVER -> pauses = pauses & (255 - reason)
			:: reason == DRIVER && pauses >= DRIVER -> pauses = pauses - DRIVER
			:: else
			fi;
			begun = begun && !pauses && flow != RUNNING;
#if !REQUESTS
			failed = 0
#endif
		}
		if
		:: begun ->
#if REQUESTS && MUTATE != 12
			if
			:: reason != SLEEP && on_queue -> drain_hw(f)
			:: else
			fi;
#endif
			atomic {
				must(an_inner_resume_does_not_end_an_outer_reset, !paused);
				flow = RUNNING
			}
#if !REQUESTS
			atomic { readers++; ask = can_answer }
			invalidate(ask);
			atomic {
				readers--;
#if MUTATE == 4
				unconfirmed = 0
#else
				unconfirmed = unconfirmed && (failed || offline)
#endif
			}
#endif
		:: !begun
		fi;
		atomic { begun = 0; reset_lock = 0 }
	:: !pauses
	fi
}

inline reset_hardware()
{
	atomic { resetting++; stopped++ }
	atomic { forget_in_hardware(); resetting-- }
}

active proctype driver()
{
	bool begun, ask;
	byte f;

end:	do
	:: begin_reset(DRIVER);
	   reset_hardware();
	   end_reset(DRIVER);
	   stopped--
	od
}

active proctype pci()
{
	bool begun, ask;
	byte f, reason;

end:	do
	:: atomic {
		if
		:: reason = DRIVER	/* another thread of the driver */
		:: reason = RESET
		:: has_nothing -> reason = SLEEP; stopped++
		fi
	   }
	   begin_reset(reason);
	   if
	   :: reason != SLEEP -> reset_hardware()
	   :: reason == SLEEP ->
		resetting++;
		atomic { forget_in_hardware(); resetting-- }
	   fi;
	   end_reset(reason);
	   atomic { stopped--; reason = 0 }
	od
}

#if REQUESTS

active proctype device()
{
end:	do
	:: atomic { pri && !asked && !hw_queue && !stopped -> asked = 1; hw_queue = NEW }
	od
}

active proctype reader()
{
	byte f;

end:	do
	:: hw_queue -> read_hw_queue(f)
	od
}

active proctype handler()
{
end:	do
	:: atomic { group == LISTED -> group = KEPT }
	:: atomic { group == LISTED || (group == KEPT && !group_stale) -> group = RESPONDING }
	   atomic { respond(group_old); free_group() }
	:: atomic { group == KEPT && group_stale -> free_group() }
	od
}

/* Its driver drains, or takes it from the fault queue, after which another brings it back. */
active proctype bus()
{
	byte f;

end:	do
	:: drain_hw(f)
	:: pri = 0;
	   read_hw_queue(f);
	   abort(true);
	   atomic {
		on_queue = 0;
#if MUTATE == 9
		pauses = 0;
		flow = RUNNING
#endif
	   }
	   atomic {
		on_queue = 1;
#if MUTATE != 6
		flow = (pauses && flow == RUNNING -> IN_RESET : flow);
#endif
		must(a_device_in_a_reset_stays_paused, !paused || flow != RUNNING);
		pri = 1
	   }
	od
}

#define is_known	on_queue

#else

active proctype device()
{
end:	do
	:: atomic { present && !gone && !stopped && !atc -> atc = MINE }
	od
}

active proctype mmu_notifier()
{
	bool ask;

end:	do
	:: atomic { listed -> readers++; ask = can_answer }
	   invalidate(ask);
	   readers--
	od
}

active proctype binder()
{
	bool ask;

end:	do
	:: atomic {
#if MUTATE == 5
		!attached ->
#else
		!attached && !unconfirmed ->
#endif
		must(a_held_pasid_is_not_given_out,
		     atc != OTHERS || stopped || flow == IN_RESET);
		attached = 1;
#if MUTATE != 6
		flow = (pauses && flow == RUNNING -> IN_RESET : flow)
#endif
	   }
	   listed = 1;
	   present = 1;
	   present = 0;
	   atomic { readers++; ask = can_answer }
	   invalidate(ask);
	   readers--;
	   listed = 0;
	   atomic {
		attached = 0;
#if MUTATE == 7
		unconfirmed = 0;
#endif
		atc = (atc -> OTHERS : 0)
	   }
	od
}

/* Surprise removal */
active proctype slot()
{
	atomic { gone = 1; hangs = 1; atc = 0 }
	offline = 1
}

#define is_known	attached

#endif

active proctype watch()
{
end:	do
	:: d_step { resetting && is_known && flow == RUNNING ->
		    must(a_device_in_a_reset_stays_paused, false) }
	od
}
