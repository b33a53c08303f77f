// SPDX-License-Identifier: GPL-2.0-only
/*
 * Schedules: a scenario is run again and again, and preempted elsewhere each time.
 */
#include "sim.h"

static unsigned int points_left;
static bool point_reached;

static bool preempt_once(const char *what)
{
	(void)what;
	if (point_reached || points_left--)
		return false;
	point_reached = true;
	return true;
}

static void explore(void (*scenario)(void), bool newest_first)
{
	for (unsigned int at = 0; ; at++) {
		points_left = at;
		point_reached = false;
		sim_policy = (struct sim_policy){
			.preempt = preempt_once,
			.newest_first = newest_first,
		};
		sim_begin();
		scenario();
		sim_policy = (struct sim_policy){ .newest_first = newest_first };
		sim_end();
		sim_policy = (struct sim_policy){};
		if (!point_reached)
			return;
	}
}

void sim_explore(void (*scenario)(void))
{
	explore(scenario, false);
	explore(scenario, true);
}

static u64 random_state;

unsigned int sim_random(unsigned int n)
{
	if (!random_state)
		return 0;
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)(random_state >> 33) % n;
}

static bool preempt_sometimes(const char *what)
{
	(void)what;
	return !sim_random(8);
}

void sim_shake(void (*scenario)(void), unsigned int rounds)
{
	for (unsigned int round = 1; round <= rounds; round++) {
		random_state = round * 0x9e3779b97f4a7c15ULL;
		sim_policy = (struct sim_policy){
			.preempt = preempt_sometimes,
			.choose = sim_random,
		};
		sim_begin();
		scenario();
		random_state = 0;
		sim_policy = (struct sim_policy){};
		sim_end();
	}
}
