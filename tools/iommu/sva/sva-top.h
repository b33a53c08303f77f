/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-top: what processes do with devices through Shared Virtual Addressing
 *
 *	sva-top-read.c		reads the statistics in debugfs; knows their format
 *	sva-top-view.c		from two readings, what a person wants to see; rates, percentiles
 *	sva-top-print.c		the view as JSON
 *	sva-top-curses.c	the view on a terminal
 *	sva-top.c		options, and what comes when
 */
#ifndef SVA_TOP_H
#define SVA_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* More than the kernel writes: what it adds one day has room. */
#define MAX_FIELDS	64
#define MAX_BUCKETS	64

/**
 * struct field - a number with a name
 * @name: as the kernel calls it
 * @value: the number
 */
struct field {
	char name[32];
	unsigned long long value;
};

/**
 * struct bucket - groups that were answered in less than a time
 * @below: nanoseconds
 * @count: groups that took less, but not less than the bucket before
 */
struct bucket {
	unsigned long long below;
	unsigned long long count;
};

enum kind {
	BOND,
	DEVICE,
	QUEUE,
};

/**
 * struct record - the statistics of one bond, device or queue
 * @kind: which of them
 * @name: of the device or queue
 * @comm: of a bond: the process's name
 * @fields: the numbers
 * @nr_fields: how many
 * @buckets: the latencies, the shortest first
 * @nr_buckets: how many
 */
struct record {
	enum kind kind;
	char name[64];
	char comm[32];
	struct field fields[MAX_FIELDS];
	unsigned int nr_fields;
	struct bucket buckets[MAX_BUCKETS];
	unsigned int nr_buckets;
};

/**
 * struct reading - all statistics at one moment
 * @when: seconds of a clock that does not jump
 * @records: bonds, then devices, then queues
 * @nr: how many
 * @room: for how many there is memory
 * @wrong: lines that could not be understood; each was complained of
 */
struct reading {
	double when;
	struct record *records;
	unsigned int nr;
	unsigned int room;
	unsigned int wrong;
};

/**
 * struct row - what the screen has of a bond
 * @bond: its statistics
 * @rate: requests in a second; negative: not known, since there is one reading only
 * @refused: groups that were answered, but not Success
 * @p50: half of the groups were answered in less than so many nanoseconds; 0: there were none
 * @p99: 99 of a hundred
 * @ahead: bytes mapped ahead
 * @used: of these, percent that were used; negative: not known
 */
struct row {
	const struct record *bond;
	double rate;
	unsigned long long refused;
	unsigned long long p50, p99;
	unsigned long long ahead;
	int used;
};

enum order {
	BY_RATE,
	BY_REQUESTS,
	BY_LATENCY,
	BY_REFUSED,
};

/* sva-top-read.c */
int read_all(struct reading *reading, const char *root);
void forget_reading(struct reading *reading);
bool parse_bond(struct record *record, char *line);
unsigned long long field_of(const struct record *record, const char *name);

/* sva-top-view.c */
unsigned long long refused_of(const struct record *record);
unsigned long long percentile(const struct record *record, unsigned int percent);
double rate_of(const struct record *record, const struct reading *now,
	       const struct reading *before);
struct row *make_rows(const struct reading *now, const struct reading *before, enum order order,
		      unsigned int *nr);
void format_head(char *line, size_t size, const struct reading *now,
		 const struct reading *before);
void format_title(char *line, size_t size);
void format_row(char *line, size_t size, const struct row *row);

/* sva-top-print.c */
void print_json(FILE *to, const struct reading *now, const struct reading *before);

/* sva-top-curses.c */
int show_screen(const char *root, double delay, enum order order);

#endif
