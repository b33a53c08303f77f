// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva-top: reads Documentation/ABI/testing/debugfs-iommu-sva
 *
 * What is not known is kept, if it is a number with a name: a later kernel may have more of them. A
 * line that makes no sense is reported and left out; the others are read.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sva-top.h"

#define STATISTICS	"/sys/kernel/debug/iommu-sva"

static bool to_number(const char *text, unsigned long long *value)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !*end && !errno;
}

static bool add_field(struct record *record, const char *name, const char *text)
{
	struct field *field = &record->fields[record->nr_fields];

	if (record->nr_fields == MAX_FIELDS || strlen(name) >= sizeof(field->name) ||
	    !to_number(text, &field->value))
		return false;
	memcpy(field->name, name, strlen(name) + 1);
	record->nr_fields++;
	return true;
}

static bool add_bucket(struct record *record, const char *below, const char *count)
{
	struct bucket *bucket = &record->buckets[record->nr_buckets];

	if (record->nr_buckets == MAX_BUCKETS || !to_number(below, &bucket->below) ||
	    !to_number(count, &bucket->count))
		return false;
	record->nr_buckets++;
	return true;
}

/* BELOW:COUNT,BELOW:COUNT, or "-" for none */
static bool parse_latencies(struct record *record, char *list)
{
	char *pair, *colon;

	if (!strcmp(list, "-"))
		return true;
	while ((pair = strsep(&list, ","))) {
		colon = strchr(pair, ':');
		if (!colon)
			return false;
		*colon = '\0';
		if (!add_bucket(record, pair, colon + 1))
			return false;
	}
	return true;
}

/* The kernel writes \012 for a character that would end the line. */
static bool unescape(char *to, size_t size, const char *from)
{
	while (*from) {
		if (!--size)
			return false;
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			*to++ = (from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0');
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return true;
}

/* NAME=VALUE, separated by spaces; comm= is last and goes to the end of the line. */
static bool parse_words(struct record *record, char *line, const char *key)
{
	char *word, *value;

	while (line) {
		if (!strncmp(line, "comm=", 5))
			return unescape(record->comm, sizeof(record->comm), line + 5);
		word = strsep(&line, " ");
		value = strchr(word, '=');
		if (!value)
			return false;
		*value++ = '\0';
		if (!strcmp(word, key)) {
			if (!*value || !unescape(record->name, sizeof(record->name), value))
				return false;
		} else if (!strcmp(word, "latency-ns")) {
			if (!parse_latencies(record, value))
				return false;
		} else if (!add_field(record, word, value)) {
			return false;
		}
	}
	return true;
}

static bool has_field(const struct record *record, const char *name)
{
	for (unsigned int i = 0; i < record->nr_fields; i++)
		if (!strcmp(record->fields[i].name, name))
			return true;
	return false;
}

bool parse_bond(struct record *record, char *line)
{
	memset(record, 0, sizeof(*record));
	record->kind = BOND;
	return parse_words(record, line, "device") && record->name[0] &&
	       has_field(record, "pasid") && has_field(record, "pid") &&
	       has_field(record, "requests");
}

static bool parse_queue(struct record *record, char *line)
{
	memset(record, 0, sizeof(*record));
	record->kind = QUEUE;
	return parse_words(record, line, "queue") && record->name[0] &&
	       has_field(record, "requests");
}

/* NAME VALUE; or latency-below-NUMBER-ns VALUE */
static bool parse_number(struct record *record, char *line)
{
	static const char before[] = "latency-below-";
	char *value = strchr(line, ' '), *unit;

	if (!value)
		return false;
	*value++ = '\0';
	if (strncmp(line, before, strlen(before)))
		return add_field(record, line, value);
	unit = strstr(line, "-ns");
	if (!unit)
		return false;
	*unit = '\0';
	return add_bucket(record, line + strlen(before), value);
}

unsigned long long field_of(const struct record *record, const char *name)
{
	for (unsigned int i = 0; i < record->nr_fields; i++)
		if (!strcmp(record->fields[i].name, name))
			return record->fields[i].value;
	return 0;
}

static struct record *add_record(struct reading *reading)
{
	if (reading->nr == reading->room) {
		unsigned int room = reading->room ? 2 * reading->room : 16;
		struct record *more = reallocarray(reading->records, room, sizeof(*more));

		if (!more) {
			perror("sva-top");
			exit(2);
		}
		reading->records = more;
		reading->room = room;
	}
	memset(&reading->records[reading->nr], 0, sizeof(struct record));
	return &reading->records[reading->nr++];
}

static FILE *open_statistics(char *path, size_t size, const char *root, const char *name)
{
	FILE *file;

	snprintf(path, size, "%s" STATISTICS "/%s", root, name);
	file = fopen(path, "re");
	if (!file)
		fprintf(stderr, "sva-top: %s: %s%s\n", path, strerror(errno),
			errno == EACCES ? ": only root may read it" :
			errno == ENOENT ? ": is debugfs mounted, is this SVA core there?" : "");
	return file;
}

static void complain(struct reading *reading, const char *path, unsigned int line)
{
	fprintf(stderr, "sva-top: %s: line %u makes no sense, and is left out\n", path, line);
	reading->wrong++;
}

/* A file with a record on each line */
static int read_records(struct reading *reading, const char *root, const char *name,
			bool (*parse)(struct record *record, char *line))
{
	unsigned int number = 0;
	char path[512], *line = NULL;
	size_t size = 0;
	ssize_t len;
	FILE *file = open_statistics(path, sizeof(path), root, name);

	if (!file)
		return -1;
	while ((len = getline(&line, &size, file)) > 0) {
		number++;
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (!parse(add_record(reading), line)) {
			reading->nr--;
			complain(reading, path, number);
		}
	}
	free(line);
	fclose(file);
	return 0;
}

/* A device may have gone since its name was read. */
static void read_device(struct reading *reading, const char *root, const char *name)
{
	struct record *record;
	unsigned int number = 0;
	char path[512], line[128];
	FILE *file;

	if (strlen(name) >= sizeof(record->name)) {
		complain(reading, name, 0);
		return;
	}
	snprintf(path, sizeof(path), "%s" STATISTICS "/devices/%s", root, name);
	file = fopen(path, "re");
	if (!file)
		return;
	record = add_record(reading);
	record->kind = DEVICE;
	memcpy(record->name, name, strlen(name) + 1);
	while (fgets(line, sizeof(line), file)) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (!parse_number(record, line))
			complain(reading, path, number);
	}
	fclose(file);
	if (!record->nr_fields)
		reading->nr--;
}

static int read_devices(struct reading *reading, const char *root)
{
	struct dirent **names;
	char path[512];
	int nr;

	snprintf(path, sizeof(path), "%s" STATISTICS "/devices", root);
	nr = scandir(path, &names, NULL, alphasort);
	if (nr < 0) {
		fprintf(stderr, "sva-top: %s: %s\n", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < nr; i++) {
		if (names[i]->d_name[0] != '.')
			read_device(reading, root, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return 0;
}

/* Returns 0, or -1 if statistics could not be read, which was complained of. */
int read_all(struct reading *reading, const char *root)
{
	struct timespec now;

	memset(reading, 0, sizeof(*reading));
	clock_gettime(CLOCK_MONOTONIC, &now);
	reading->when = now.tv_sec + now.tv_nsec / 1e9;
	if (read_records(reading, root, "bonds", parse_bond) || read_devices(reading, root) ||
	    read_records(reading, root, "queues", parse_queue)) {
		forget_reading(reading);
		return -1;
	}
	return 0;
}

void forget_reading(struct reading *reading)
{
	free(reading->records);
	memset(reading, 0, sizeof(*reading));
}
