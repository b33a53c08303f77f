// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva-top: from readings to lines of text
 *
 * The lines are the same on a terminal, in batch mode and in the picture in README.md.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sva-top.h"

unsigned long long refused_of(const struct record *record)
{
	return field_of(record, "failed") + field_of(record, "exited") +
	       field_of(record, "drained") + field_of(record, "timed-out") +
	       field_of(record, "overrun");
}

/* The bound of the bucket that the group is in which is answered after @percent of all. */
unsigned long long percentile(const struct record *record, unsigned int percent)
{
	unsigned long long all = 0, sum = 0, rank;

	for (unsigned int i = 0; i < record->nr_buckets; i++)
		all += record->buckets[i].count;
	rank = (all * percent + 99) / 100;
	for (unsigned int i = 0; i < record->nr_buckets; i++) {
		sum += record->buckets[i].count;
		if (sum && sum >= rank)
			return record->buckets[i].below;
	}
	return 0;
}

static const struct record *find_same(const struct reading *in, const struct record *record)
{
	for (unsigned int i = 0; in && i < in->nr; i++) {
		const struct record *old = &in->records[i];

		if (old->kind == record->kind && !strcmp(old->name, record->name) &&
		    field_of(old, "pasid") == field_of(record, "pasid") &&
		    field_of(old, "pid") == field_of(record, "pid"))
			return old;
	}
	return NULL;
}

/* Requests in a second; negative: there is no reading before. A new bond has begun at zero. */
double rate_of(const struct record *record, const struct reading *now,
	       const struct reading *before)
{
	unsigned long long requests = field_of(record, "requests"), old = 0;
	const struct record *same = find_same(before, record);

	if (!before || now->when <= before->when)
		return -1;
	if (same && field_of(same, "requests") <= requests)
		old = field_of(same, "requests");
	return (requests - old) / (now->when - before->when);
}

static void make_row(struct row *row, const struct record *bond, const struct reading *now,
		     const struct reading *before)
{
	unsigned long long pages = field_of(bond, "ahead");
	unsigned long long used = field_of(bond, "ahead-used");
	unsigned long long known = used + field_of(bond, "ahead-unused");

	row->bond = bond;
	row->rate = rate_of(bond, now, before);
	row->refused = refused_of(bond);
	row->p50 = percentile(bond, 50);
	row->p99 = percentile(bond, 99);
	row->ahead = pages * sysconf(_SC_PAGESIZE);
	row->used = known ? (int)(100 * used / known) : -1;
}

static int compare(double a, double b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static int compare_rows(const void *left, const void *right, void *how)
{
	const struct row *a = left, *b = right;
	int by = 0;

	switch (*(enum order *)how) {
	case BY_RATE:
		by = compare(a->rate, b->rate);
		break;
	case BY_LATENCY:
		by = compare(a->p99, b->p99);
		break;
	case BY_REFUSED:
		by = compare(a->refused, b->refused);
		break;
	case BY_REQUESTS:
		break;
	}
	if (!by)
		by = compare(field_of(a->bond, "requests"), field_of(b->bond, "requests"));
	/* The order must not change from one screen to the next without a reason. */
	return by ?: a->bond < b->bond ? -1 : 1;
}

/* The bonds; the caller frees them. */
struct row *make_rows(const struct reading *now, const struct reading *before, enum order order,
		      unsigned int *nr)
{
	struct row *rows = calloc(now->nr + 1, sizeof(*rows));

	*nr = 0;
	if (!rows) {
		perror("sva-top");
		exit(2);
	}
	for (unsigned int i = 0; i < now->nr; i++)
		if (now->records[i].kind == BOND)
			make_row(&rows[(*nr)++], &now->records[i], now, before);
	qsort_r(rows, *nr, sizeof(*rows), compare_rows, &order);
	return rows;
}

/* At most five characters */
static const char *short_number(char *text, size_t size, double value, unsigned int base,
				const char *const *units)
{
	while (value >= (*units[0] ? 999.5 : 99999.5) && units[1]) {
		value /= base;
		units++;
	}
	snprintf(text, size, "%.*f%s", *units[0] && value < 9.95 ? 1 : 0, value, units[0]);
	return text;
}

static const char *short_count(char *text, size_t size, double value)
{
	static const char *const units[] = { "", "k", "M", "G", "T", "P", NULL };

	return value < 0 ? "-" : short_number(text, size, value, 1000, units);
}

static const char *short_bytes(char *text, size_t size, unsigned long long value)
{
	static const char *const units[] = { "K", "M", "G", "T", "P", NULL };

	return value ? short_number(text, size, value / 1024.0, 1024, units) : "0";
}

static const char *short_time(char *text, size_t size, unsigned long long ns)
{
	static const char *const units[] = { "us", "ms", "s", NULL };

	return ns ? short_number(text, size, ns / 1000.0, 1000, units) : "-";
}

/* Above the table: what the bonds, devices and queues have done together */
void format_head(char *line, size_t size, const struct reading *now,
		 const struct reading *before)
{
	unsigned long long refused = 0, overflows = 0, strays = 0;
	unsigned int bonds = 0, devices = 0;
	char rate[16], text[16];
	double sum = -1;

	for (unsigned int i = 0; i < now->nr; i++) {
		const struct record *record = &now->records[i];
		double more;

		bonds += record->kind == BOND;
		if (record->kind == QUEUE)
			overflows += field_of(record, "overflows");
		if (record->kind != DEVICE)
			continue;
		devices++;
		refused += refused_of(record);
		strays += field_of(record, "stray");
		more = rate_of(record, now, before);
		if (more >= 0)
			sum = sum < 0 ? more : sum + more;
	}
	snprintf(line, size,
		 "sva-top: %u bonds, %u devices, %s requests/s, %s refused, %llu strays, %llu overflows",
		 bonds, devices, short_count(rate, sizeof(rate), sum),
		 short_count(text, sizeof(text), refused), strays, overflows);
}

void format_title(char *line, size_t size)
{
	snprintf(line, size, "%7s %-12s %7s %5s %5s %5s %5s %5s %5s %4s %s", "PID", "DEVICE",
		 "PASID", "REQ/S", "REQS", "P50", "P99", "REFSD", "AHEAD", "USED", "COMMAND");
}

void format_row(char *line, size_t size, const struct row *row)
{
	char rate[16], requests[16], p50[16], p99[16], refused[16], ahead[16], used[16] = "-";
	const struct record *bond = row->bond;
	int len;

	if (row->used >= 0)
		snprintf(used, sizeof(used), "%d%%", row->used);
	len = snprintf(line, size, "%7llu %-12s %7llu %5s %5s %5s %5s %5s %5s %4s ",
		       field_of(bond, "pid"), bond->name, field_of(bond, "pasid"),
		       short_count(rate, sizeof(rate), row->rate),
		       short_count(requests, sizeof(requests), field_of(bond, "requests")),
		       short_time(p50, sizeof(p50), row->p50),
		       short_time(p99, sizeof(p99), row->p99),
		       short_count(refused, sizeof(refused), row->refused),
		       short_bytes(ahead, sizeof(ahead), row->ahead), used);
	/* A process may call itself anything. */
	for (const char *c = bond->comm; *c && len >= 0 && (size_t)len + 1 < size; c++)
		line[len++] = isprint((unsigned char)*c) ? *c : '?';
	if (len >= 0 && (size_t)len < size)
		line[len] = '\0';
}
