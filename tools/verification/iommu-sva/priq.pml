/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SMMUv3's PRI queue: the wrap bit, overflow, the interrupt thread, and drains
 *
 * Bounds: see ring.inc for two devices with two PASIDs each; a queue of two entries; an interrupt thread,
 * which takes out one entry at a time, half of the queue; without PARTIALS, two CPUs, each of which drains
 * one device's PASIDs and has a new owner of the PASID go on; without end.
 *
 * Hardware that finds the queue full sets OVFLG, and discards requests until that is acknowledged. It raises
 * an interrupt only when an empty queue gets an entry. In memory and registers all see stores in their
 * order. Indices and counts are known by how far they are apart. A drain whose second look at the count is
 * not the same as the first begins anew; here the second look is when it reads the producer's index.
 *
 * Stands for:
 *	drivers/iommu/arm-smmu-v3-priq.c: arm_smmu_sva_handled priq_take priq_take_out priq_consume
 *		arm_smmu_sva_priq_thread arm_smmu_count_at queue_wait_handled arm_smmu_sva_drain
 *	drivers/iommu/io-pgfault.c: iopf_queue_discard_partial
 */
#include "common.inc"

#define NONE	2
#define nr_in_ring	((ring[0] != 0) + (ring[1] != 0))

hidden byte each_last_page_is_answered_once;
hidden byte no_group_fails_for_a_lost_one;
hidden byte a_drain_leaves_nothing_behind;

bool overflow;		/* and not acknowledged */
bool interrupt;

#if MUTATE == 1
#define BATCH	2
#else
#define BATCH	1
#endif
byte first;		/* taken out, not reported */
byte taken;		/* by how much the consumer's index is ahead of the count */

/* Of a CPU that drains */
byte since[2] = NONE;	/* by how much the count has grown since it was read */
byte left[2];		/* by how much it has to grow still */

#define also_left(d, p)	is_of(first, d, p)
#define also_old()	first = (first == REQUEST(0, 1, PARTIAL) -> REQUEST(0, 1, OLD) : first)

#define has_room	(!overflow && nr_in_ring < 2)
#define is_full		(!overflow && nr_in_ring == 2)
#define overflows()	overflow = 1

inline enter(d)
{
	interrupt = interrupt || !nr_in_ring;
	put(link[d]);
	link[d] = 0
}

inline arrive(d)
{
	do
	:: atomic { has_room -> enter(d); break }
	:: atomic { is_full -> overflows() }
	:: atomic { overflow -> drop(d); break }
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

inline acknowledge()
{
	if
	:: seen ->
#if MUTATE != 6
		atomic { mark_partials() }
#endif
		atomic { overflow = 0; seen = 0 }
	:: !seen
	fi
}

active proctype thread()
{
	byte second;
	bool seen;	/* an overflow, when the queue was seen to be empty */

end:	do
	:: atomic { interrupt -> interrupt = 0 }
	   do
	   :: atomic { ring[0] ->
		get(first);
		taken = 1;
#if BATCH == 2
		if
		:: ring[0] -> get(second); taken = 2
		:: else
		fi
#endif
	      }
#if MUTATE == 4
	      atomic { count(taken); taken = 0 }
#endif
#if MUTATE == 3
	      atomic { report(first) }
#endif
	      atomic { report(first); first = 0 }
#if BATCH == 2
	      atomic { report(second); second = 0 }
#endif
#if MUTATE != 4
	      atomic { count(taken); taken = 0 }
#endif
	   :: atomic { !ring[0] ->
		seen = overflow;
		break
	      }
	   od;
	   acknowledge()
	od
}

/* The completion of an ATC invalidation */
#if MUTATE == 5
#define is_pushed(d, p)	true
#else
#define is_pushed(d, p)	(!is_of(link[d], d, p))
#endif

/* To the producer's index, modulo twice the size of the queue */
#if MUTATE == 2
#define distance	((taken + nr_in_ring) % 2)
#else
#define distance	((taken + nr_in_ring) % 4)
#endif

inline drain(d, p)
{
	atomic { bound[at(d, p)] -> bound[at(d, p)] = 0 }
	do
	:: atomic { is_pushed(d, p) -> since[c] = 0 }
	   if
	   :: since[c]
	   :: atomic { !since[c] ->
		left[c] = distance;
		since[c] = NONE;
		break
	      }
	   fi
	od;
	atomic { !left[c] -> end_drain(d, p) }
}

#if !PARTIALS
active [2] proctype cpu()
{
	byte c = _pid - 3;

end:	do
	:: !c -> drain(0, 0)
	:: !c -> drain(0, 1)
	:: c -> drain(1, 0)
	:: c -> drain(1, 1)
	od
}
#endif
