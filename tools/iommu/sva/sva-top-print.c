// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva-top: readings as JSON, an object on each line
 *
 * Numbers have the names that the kernel gives them. What sva-top has computed has an underscore in
 * its name, as no number of the kernel has.
 */
#include <unistd.h>

#include "sva-top.h"

static void print_string(FILE *to, const char *text)
{
	fputc('"', to);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(to, "\\%c", *c);
		else if (*c < 0x20 || *c >= 0x7f)
			fprintf(to, "\\u%04x", *c);
		else
			fputc(*c, to);
	}
	fputc('"', to);
}

static void print_latency(FILE *to, const struct record *record)
{
	fprintf(to, ",\"p50_ns\":%llu,\"p90_ns\":%llu,\"p99_ns\":%llu,\"latency_ns\":[",
		percentile(record, 50), percentile(record, 90), percentile(record, 99));
	for (unsigned int i = 0; i < record->nr_buckets; i++)
		fprintf(to, "%s[%llu,%llu]", i ? "," : "", record->buckets[i].below,
			record->buckets[i].count);
	fputc(']', to);
}

static void print_record(FILE *to, const struct record *record, const struct reading *now,
			 const struct reading *before)
{
	unsigned long long page = sysconf(_SC_PAGESIZE);
	double rate = rate_of(record, now, before);

	fprintf(to, "{\"%s\":", record->kind == QUEUE ? "queue" : "device");
	print_string(to, record->name);
	if (record->kind == BOND) {
		fprintf(to, ",\"comm\":");
		print_string(to, record->comm);
	}
	for (unsigned int i = 0; i < record->nr_fields; i++) {
		fputc(',', to);
		print_string(to, record->fields[i].name);
		fprintf(to, ":%llu", record->fields[i].value);
	}
	if (rate >= 0)
		fprintf(to, ",\"requests_per_s\":%.1f", rate);
	fprintf(to, ",\"all_refused\":%llu,\"ahead_bytes\":%llu,\"ahead_used_bytes\":%llu",
		refused_of(record), field_of(record, "ahead") * page,
		field_of(record, "ahead-used") * page);
	print_latency(to, record);
	fputc('}', to);
}

static void print_kind(FILE *to, const char *name, enum kind kind, const struct reading *now,
		       const struct reading *before)
{
	const char *between = "";

	fprintf(to, "\"%s\":[", name);
	for (unsigned int i = 0; i < now->nr; i++) {
		if (now->records[i].kind != kind)
			continue;
		fputs(between, to);
		print_record(to, &now->records[i], now, before);
		between = ",";
	}
	fputc(']', to);
}

void print_json(FILE *to, const struct reading *now, const struct reading *before)
{
	fputc('{', to);
	print_kind(to, "bonds", BOND, now, before);
	fputc(',', to);
	print_kind(to, "devices", DEVICE, now, before);
	fputc(',', to);
	print_kind(to, "queues", QUEUE, now, before);
	fputs("}\n", to);
}
