/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flushes of several IOMMUs, whose slots stay taken until their submitter has waited
 *
 * Bounds: two CPUs, each of which flushes two IOMMUs once, the second CPU in the reverse order. The first
 * takes an interrupt at any time when its interrupts are on; the handler flushes one of the IOMMUs. Each
 * queue has room for ROOM submissions, 1 or 2. Hardware aborts ERRORS of all.
 *
 * A submission has one slot, descriptors and wait together. Slots come back in order: one that is free
 * behind one that is not stays taken. Hardware carries submissions out in order, at any time. A CPU that
 * waits for room has interrupts as its caller had them, and holds no lock.
 *
 * Stands for:
 *	drivers/iommu/iommu-sva-flush.c: sva_await_flushes sva_start_flush io_mm_flush_several
 *	drivers/iommu/intel-svm.c: svm_flush intel_svm_start_flush intel_svm_await_flush
 *	drivers/iommu/intel-qi.c: intel_qi_post qi_add intel_qi_await qi_await
 */
#include "common.inc"

#ifndef ROOM
#define ROOM	1
#endif
#ifndef ERRORS
#define ERRORS	1
#endif

hidden byte no_slot_is_overwritten;
hidden byte each_iommu_is_flushed;
hidden byte each_flush_ends;

#define FREE	0
#define POSTED	1
#define DONE	2
#define ABORTED	3

#define QUEUES	2
#define slot(q, n)	((q) * ROOM + (n) % ROOM)
#define tail(q)		(head[q] + ROOM - used[q])

byte status[QUEUES * ROOM];
byte head[QUEUES];		/* the next slot */
byte used[QUEUES];
byte errors;

bool irqs_off[2];
bool in_irq[2];
byte ended;

#define has_room(q)	(used[q] < ROOM)

/* The caller has found room, in the same step. */
inline post(q, n)
{
	must(no_slot_is_overwritten, status[slot(q, head[q])] == FREE);
	n = head[q];
	status[slot(q, n)] = POSTED;
	head[q] = (n + 1) % ROOM;
	used[q] = (used[q] < ROOM -> used[q] + 1 : ROOM)
}

/* Slots are reclaimed in order. Interrupts are as they were afterwards. */
inline await(cpu, q, n, ok, off)
{
	atomic {
		status[slot(q, n)] >= DONE;
		ok = (status[slot(q, n)] == DONE);
		status[slot(q, n)] = FREE;
		n = 0;
		do
		:: used[q] && status[slot(q, tail(q))] == FREE -> used[q]--
		:: else -> break
		od;
		irqs_off[cpu] = off
	}
}

/* qi_submit_sync(): waits for room, and submits again what was aborted. */
inline flush_whole(cpu, q, n, off, ok)
{
	off = irqs_off[cpu];
	do
	:: ok -> break
	:: !ok ->
		atomic { has_room(q) -> irqs_off[cpu] = 1; post(q, n) };
		await(cpu, q, n, ok, off)
	od;
	off = 0
}

/* intel_qi_post() */
inline start(cpu, q)
{
	atomic {
		if
#if MUTATE == 6
		:: true ->
#else
		:: has_room(q) ->
#endif
			was_off[q] = irqs_off[cpu];
#if MUTATE != 3
			irqs_off[cpu] = 1;
#endif
			post(q, mine[q]);
			is_posted[q] = 1;
			was_started[q] = 1
#if MUTATE != 1 && MUTATE != 6
		:: !has_room(q)
#endif
		fi
	}
}

inline await_one(cpu, q)
{
	if
	:: is_posted[q] ->
		await(cpu, q, mine[q], flushed[q], was_off[q]);
		is_posted[q] = 0;
#if MUTATE == 4
		flush_whole(cpu, q, mine[q], before, flushed[q])
#endif
	:: else
	fi
}

inline repeat(cpu, q)
{
	if
	:: was_started[q] && !flushed[q] -> flush_whole(cpu, q, mine[q], before, flushed[q])
	:: else
	fi
}

/* sva_await_flushes(); what was aborted is carried out as a whole afterwards. */
inline await_all(cpu)
{
#if MUTATE == 7
	await_one(cpu, first);
	await_one(cpu, 1 - first);
#else
	await_one(cpu, 1 - first);
	await_one(cpu, first);
#endif
#if MUTATE != 5
	repeat(cpu, first);
	repeat(cpu, 1 - first)
#endif
}

inline start_or_flush(cpu, q)
{
	start(cpu, q);
	if
	:: is_posted[q]
	:: else ->
#if MUTATE != 2
		await_all(cpu);
#endif
		flush_whole(cpu, q, mine[q], before, flushed[q])
	fi
}

/* The first two processes: their numbers are those of their CPUs. */
active [2] proctype thread() provided (!in_irq[_pid])
{
	byte mine[QUEUES], first = _pid;
	bool is_posted[QUEUES], was_started[QUEUES], was_off[QUEUES], flushed[QUEUES], before;

	start_or_flush(_pid, first);
	start_or_flush(_pid, 1 - first);
	await_all(_pid);
	must(each_iommu_is_flushed, flushed[0] && flushed[1]);
	ended++
}

/* Of the CPU of the first; it may come, or not. */
active proctype interrupt()
{
	byte mine, q;
	bool ok, off;

	if
	:: atomic { !irqs_off[0] -> in_irq[0] = 1; select(q : 0 .. 1) };
		flush_whole(0, q, mine, off, ok);
		in_irq[0] = 0
	:: skip
	fi;
	ended++
}

/* Of each queue: carries out the oldest submission, whose slot may be behind others that are done. */
active [2] proctype hardware()
{
	byte q = _pid - 3, n;

end:	do
	:: atomic {
		status[slot(q, 0)] == POSTED || status[slot(q, ROOM - 1)] == POSTED;
		find(n, tail(q), tail(q) + ROOM - 1, status[slot(q, n)] == POSTED);
		if
		:: status[slot(q, n)] = DONE
		:: errors < ERRORS -> status[slot(q, n)] = ABORTED; errors++
		fi;
		n = 0
	   }
	od
}

/* No other process can go on. */
active proctype watch()
{
	timeout;
	must(each_flush_ends, ended == 3)
}
