/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page request groups: from the report to the answer, and what takes them from their handler
 *
 * Bounds: two workers on two CPUs, one for each of two processes, so two PASIDs; DEVICES devices, each of
 * which has CREDITS page requests outstanding and uses both PASIDs; one spare slot (IOPF_SPARE_SLOTS); one
 * thread that reports, one that drains a (device, PASID) and lets it go on afterwards as its new owner,
 * one that applies the time limit to a device (with LIMIT); without end. All requests are for one page, or differ,
 * at random: they are coalesced or not. Where CREDITS is more than 1, groups may have two pages. With
 * STUCK the worker of process 0 may serve for ever.
 *
 * Devices keep to their credits and to the PASIDs that are bound. A device may use a credit again as soon
 * as it has the response. One step here is what is done under iopf_device.lock, with the service's
 * lock inside it.
 *
 * Stands for:
 *	drivers/iommu/io-pgfault.c: iopf_get_slot iopf_add_partial iopf_take_partials iopf_build_group
 *		iopf_take iopf_collect
 *	drivers/iommu/iopf-service.c: iopf_service_enqueue iopf_service_dequeue iopf_service_merge
 *		iopf_service_promote iopf_worker_complete iopf_worker_start iopf_worker_claim
 *		iopf_worker_answer iopf_service_add iopf_revoke
 *	drivers/iommu/iopf-priv.h: iopf_claim
 *	drivers/iommu/iopf-response.c: iopf_put_other_pages iopf_put_slots iopf_finish_slot
 *		iopf_respond_batch iopf_reserve_in_flight iopf_wait_in_flight iopf_respond
 *		iopf_free_group
 *	drivers/iommu/iopf-drain.c: iopf_is_answering iopf_abort_group iopf_abort_pending iopf_abort
 *		iopf_drain_pasid iopf_timeout_work
 */
#include "common.inc"

#ifndef DEVICES
#define DEVICES	2
#endif
#ifndef CREDITS
#define CREDITS	1
#endif
#ifndef STUCK
#define STUCK	0
#endif
#ifndef LIMIT
#define LIMIT	1
#endif
#define SPARE	1
#if MUTATE == 1
#define EACH	CREDITS
#else
#define EACH	(CREDITS + SPARE)
#endif
#define SLOTS	(DEVICES * EACH)

hidden byte an_honest_device_is_never_refused;
hidden byte each_last_page_is_answered_once;
hidden byte a_drain_leaves_nothing_unanswered;
hidden byte no_response_after_the_drain;
hidden byte a_group_in_work_is_the_workers;

/* Devices */
byte credits[DEVICES] = CREDITS;
byte owed[DEVICES * CREDITS];		/* by tag: number of pages + 1, or 0 */
byte owed_pasid[DEVICES * CREDITS];
bool partial_sent[DEVICES];
bool bound[DEVICES * 2] = 1;
bool reporting[DEVICES];		/* iommu_fault_param.lock, a mutex: who waits gets it next */
bool next[DEVICES];

#define FREE		0
#define PARTIAL		1
#define NEW		2	/* PENDING; its handler has it */
#define WAITING		3	/* PENDING, as the next three */
#define COALESCED	4
#define IN_WORK		5
#define DONE		6
#define RESPONDING	7
#define ANSWERED	8
#define OTHER		9	/* a page of a group, but for the last */

byte state[SLOTS];
byte pasid[SLOTS];
byte tag[SLOTS];
byte other[SLOTS];			/* slot of the group's other page, + 1 */
byte first[SLOTS];			/* what it is coalesced with, + 1 */
bool orphan[SLOTS];
byte claimer[SLOTS];
byte in_flight[DEVICES];

byte work[2];				/* of a worker: slot + 1 */
bool draining;
byte drained = DEVICES * 2;		/* whose drain has returned: at() */

#define device_of(i)	((i) / EACH)
#define at(d, p)	((d) * 2 + (p))
#define is_pending(i)	(state[i] >= NEW && state[i] <= DONE)
/* Of a device's slots; there are three at most. */
#define any_of(is, d, x)	(is((d) * EACH, x) || is((d) * EACH + 1 % EACH, x) ||	\
				 is((d) * EACH + 2 % EACH, x))
#define is_waiting(i, w)	(state[i] == WAITING && pasid[i] == w)
#define is_done(i, w)		(state[i] == DONE && pasid[i] == w)
#define is_claimed(i, by)	(state[i] == RESPONDING && claimer[i] == (by) + 1)
#define is_answering(i, p)	(state[i] == RESPONDING && pasid[i] == p)
#define is_in_work(i, p)	(state[i] == IN_WORK && pasid[i] == p)
#define is_overdue(i, x)	(is_pending(i))
#if MUTATE == 5
#define room(d)			true
#else
#define room(d)			(in_flight[d] < SPARE)
#endif
#define DRAIN		2
#define TIMEOUT		3

inline free_other(i)
{
	if
	:: other[i] -> state[other[i] - 1] = FREE; pasid[other[i] - 1] = 0; other[i] = 0
	:: else
	fi
}

inline free_slots(i)
{
	free_other(i);
	state[i] = FREE;
	pasid[i] = 0;
	tag[i] = 0;
	orphan[i] = 0;
	claimer[i] = 0
}

/* @by has claimed the group: only it sends the response. */
inline claim(i, by, is_orphan)
{
	state[i] = RESPONDING;
	claimer[i] = by + 1;
	orphan[i] = is_orphan;
#if MUTATE != 10
	if
	:: is_orphan -> free_other(i)
	:: else
	fi
#endif
}

inline send(i)
{
	atomic {
		must(each_last_page_is_answered_once, owed[device_of(i) * CREDITS + tag[i]]);
		must(no_response_after_the_drain, drained != at(device_of(i), pasid[i]));
		credits[device_of(i)] = credits[device_of(i)] +
					owed[device_of(i) * CREDITS + tag[i]] - 1;
		owed[device_of(i) * CREDITS + tag[i]] = 0;
		owed_pasid[device_of(i) * CREDITS + tag[i]] = 0
	}
}

inline finish(i)
{
	atomic {
		in_flight[device_of(i)]--;
		state[i] = ANSWERED;
		if
		:: orphan[i] -> free_slots(i)
		:: else
		fi
	}
}

/* Those coalesced with the group: the first of them takes its place. */
inline promote(i)
{
	n = SLOTS;
	j = 0;
	do
	:: j < SLOTS ->
		if
		:: state[j] == COALESCED && first[j] == i + 1 ->
			if
			:: n == SLOTS -> n = j; state[j] = WAITING; first[j] = 0
			:: else -> first[j] = n + 1
			fi
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0;
	n = 0
}

inline revoke(i)
{
	if
	:: state[i] == IN_WORK -> work[pasid[i]] = 0
	:: else
	fi;
	first[i] = 0;
#if MUTATE != 2
	promote(i)
#endif
}

/* Takes the place of handlers: answers what they have not. */
inline abort_pending(i, by)
{
	if
	:: state[i] == NEW -> claim(i, by, false)
	:: else ->
#if MUTATE != 3
		revoke(i);
#endif
		claim(i, by, true)
	fi
}

inline respond(d, by)
{
	do
	:: atomic {
		any_of(is_claimed, d, by) && room(d) ->
		find(i, d * EACH, (d + 1) * EACH - 1, is_claimed(i, by));
		in_flight[d]++
	   }
	   send(i);
	   finish(i);
	   i = 0
	:: !any_of(is_claimed, d, by) -> break
	od
}

/* From iopf_get_slot() to iopf_free_group() of a group that the time limit was faster with */
inline take_last(d, p)
{
	atomic {
		find(i, d * EACH, (d + 1) * EACH - 1, state[i] == FREE);
		must(an_honest_device_is_never_refused, i < (d + 1) * EACH);
		find(t, 0, CREDITS - 1, !owed[d * CREDITS + t]);
		state[i] = NEW;
		pasid[i] = p;
		tag[i] = t;
		owed_pasid[d * CREDITS + t] = p;
		owed[d * CREDITS + t] = 2;
		if
		:: partial_sent[d] ->
			find(j, d * EACH, (d + 1) * EACH - 1, state[j] == PARTIAL && pasid[j] == p);
			if
			:: j < (d + 1) * EACH -> other[i] = j + 1; state[j] = OTHER
			:: else		/* a drain has dropped it */
			fi;
			owed[d * CREDITS + t] = 3;
			partial_sent[d] = 0;
			j = 0
		:: else
		fi;
		t = 0
	}
	/* iopf_service_add() */
	atomic {
		if
#if MUTATE == 4
		:: true ->
#else
		:: state[i] == NEW ->
#endif
			state[i] = WAITING;
			if
			:: !other[i] ->
				find(j, 0, SLOTS - 1, j != i && pasid[j] == p && !other[j] &&
				     (state[j] == WAITING || state[j] == IN_WORK));
				if
				:: j < SLOTS -> state[i] = COALESCED; first[i] = j + 1
				:: true
				fi;
				j = 0
			:: else
			fi
		:: else ->
			if
			:: state[i] == RESPONDING ->
				orphan[i] = 1;
#if MUTATE != 13
				free_other(i)
#endif
			:: else -> free_slots(i)
			fi
		fi;
		i = 0
	}
}

inline device_sends(d, p)
{
	atomic { bound[at(d, p)] && credits[d] && !reporting[d] && !next[d] ->
		 credits[d]--; reporting[d] = 1 }
	take_last(d, p);
	reporting[d] = 0
}

#if CREDITS > 1
/* The first page of a group of two */
inline device_sends_two(d, p)
{
	atomic {
		bound[at(d, p)] && credits[d] > 1 && !reporting[d] && !next[d] ->
		credits[d] = credits[d] - 2;
		reporting[d] = 1;
		partial_sent[d] = 1;
		find(i, d * EACH, (d + 1) * EACH - 1, state[i] == FREE);
		must(an_honest_device_is_never_refused, i < (d + 1) * EACH);
		state[i] = PARTIAL;
		pasid[i] = p;
		i = 0
	}
	take_last(d, p);
	reporting[d] = 0
}
#endif

active proctype reporter()
{
	byte i, j, t;

end:	do
	:: device_sends(0, 0)
	:: device_sends(0, 1)
#if CREDITS > 1
	:: device_sends_two(0, 0)
	:: device_sends_two(0, 1)
#endif
#if DEVICES > 1
	:: device_sends(1, 0)
	:: device_sends(1, 1)
#endif
	od
}

inline complete(w)
{
	atomic {
		if
		:: work[w] ->
			i = work[w] - 1;
			must(a_group_in_work_is_the_workers, state[i] == IN_WORK && pasid[i] == w);
			state[i] = DONE;
			work[w] = 0;
			j = 0;
			/* Success is for all; of a failure each is told apart. */
			if
			:: n = DONE
			:: n = WAITING
			fi;
			do
			:: j < SLOTS ->
				if
				:: state[j] == COALESCED && first[j] == i + 1 ->
					state[j] = n;
					first[j] = 0
				:: else
				fi;
				j++
			:: else -> break
			od;
			n = 0;
			j = 0;
			i = 0
		:: else
		fi
	}
}

/* As many as may be in flight */
inline answer(w)
{
	do
	:: d < DEVICES && !any_of(is_done, d, w) -> d++
	:: atomic {
		d < DEVICES && any_of(is_done, d, w) && room(d) ->
		find(i, d * EACH, (d + 1) * EACH - 1, is_done(i, w));
		claim(i, w, true);
		in_flight[d]++
	   }
#if MUTATE == 6
	   finish(i);
	   send(i);
#else
	   send(i);
	   finish(i);
#endif
	   i = 0
	:: d == DEVICES -> d = 0; break
	od
}

active [2] proctype worker()
{
	byte w = _pid - 1, i, j, n, d;

end:	do
	:: atomic {
#if DEVICES > 1
		any_of(is_waiting, 0, w) || any_of(is_waiting, 1, w) ->
#else
		any_of(is_waiting, 0, w) ->
#endif
		find(i, 0, SLOTS - 1, is_waiting(i, w));
		state[i] = IN_WORK;
		work[w] = i + 1;
		i = 0
	   }
	   /* It serves. */
	   if
	   :: true
#if STUCK
	   :: w == 0 -> goto stuck
#endif
	   fi;
	   complete(w);
	   answer(w)
	od;
stuck:
end_s:	false
}

inline drain(d, p)
{
	/* Its driver has stopped it. */
	atomic { bound[at(d, p)] -> bound[at(d, p)] = 0; draining = 1 }
#if MUTATE != 11
	next[d] = 1;
	atomic { !reporting[d] -> reporting[d] = 1; next[d] = 0 }
#endif
	atomic {
		i = d * EACH;
		do
		:: i < (d + 1) * EACH ->
			if
#if MUTATE == 12
			:: is_pending(i) && pasid[i] == p && state[i] != IN_WORK -> abort_pending(i, DRAIN)
#else
			:: is_pending(i) && pasid[i] == p -> abort_pending(i, DRAIN)
#endif
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
	respond(d, DRAIN);
#if MUTATE != 11
	unlock(reporting[d]);
#endif
#if MUTATE == 12
	!any_of(is_in_work, d, p);
#endif
#if MUTATE != 7
	/* The code waits for groups up to the latest; no later one comes after the detach. */
	!any_of(is_answering, d, p);
#endif
	atomic {
		draining = 0;
		drained = at(d, p);
		t = 0;
		do
		:: t < CREDITS ->
			must(a_drain_leaves_nothing_unanswered,
			     !owed[d * CREDITS + t] || owed_pasid[d * CREDITS + t] != p);
			t++
		:: else -> break
		od;
		t = 0
	}
	/* A new owner. */
	atomic { drained = DEVICES * 2; bound[at(d, p)] = 1 }
}

active proctype unbinder()
{
	byte i, j, n, t;

end:	do
	:: drain(0, 0)
	:: drain(0, 1)
#if DEVICES > 1
	:: drain(1, 1)
#endif
	od
}

#if LIMIT
active proctype time_limit()
{
	byte i, j, n;

end:	do
	:: atomic {
		any_of(is_overdue, 0, 0) ->
		find(i, 0, EACH - 1, is_overdue(i, 0));
		abort_pending(i, TIMEOUT);
		i = 0
	   }
	   respond(0, TIMEOUT)
	od
}
#endif

#ifdef LIVENESS
ltl a_drain_ends { [] (draining -> <> !draining) }
ltl each_request_is_answered { [] (owed[0] -> <> !owed[0]) }
#endif
