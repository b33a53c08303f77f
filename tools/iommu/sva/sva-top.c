// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva-top: which process uses which device with which PASID, and how well
 *
 * Exit status: 0; 1 if a line of the statistics made no sense; 2 if nothing could be read, or for a
 * mistake on the command line.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sva-top.h"

static const char usage[] =
	"usage: sva-top [-1] [-b N] [-j] [-d SECONDS] [-o ORDER] [-R DIR]\n"
	"Processes that share their address space with devices, and what their page requests do.\n"
	"  -1, --once          print one reading, without rates\n"
	"  -b, --batch N       print N readings, one after another; 0: without end\n"
	"  -j, --json          as JSON, an object on each line\n"
	"  -d, --delay SECONDS between two readings: 0.1 to 3600, default 2\n"
	"  -o, --order ORDER   rate (default), requests, latency or refused\n"
	"  -R, --root DIR      DIR has the sys that is read, in place of /\n"
	"REQ/S, REQS: page requests; P50, P99: half, and 99 of 100, were answered in less than that;\n"
	"REFSD: groups answered, but not Success; AHEAD: bytes mapped ahead of streams;\n"
	"USED: how much of that the device has used\n";

struct options {
	const char *root;
	double delay;
	enum order order;
	unsigned long readings;
	bool batch, json;
};

static void __attribute__((noreturn)) misused(const char *what, const char *text)
{
	fprintf(stderr, "sva-top: %s '%s'\n%s", what, text, usage);
	exit(2);
}

static enum order to_order(const char *text)
{
	static const char *const names[] = {
		[BY_RATE] = "rate",
		[BY_REQUESTS] = "requests",
		[BY_LATENCY] = "latency",
		[BY_REFUSED] = "refused",
		NULL
	};

	for (unsigned int i = 0; names[i]; i++)
		if (!strcmp(text, names[i]))
			return i;
	misused("there is no order", text);
}

static double to_delay(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	/* Not a number is not in the range, either. */
	if (*end || end == text || !(value >= 0.1 && value <= 3600))
		misused("seconds from 0.1 to 3600, not", text);
	return value;
}

static unsigned long to_readings(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || *text == '-' || value > 1000000000)
		misused("a number of readings, not", text);
	return value;
}

static void take_options(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "once", no_argument, NULL, '1' },
		{ "batch", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "delay", required_argument, NULL, 'd' },
		{ "order", required_argument, NULL, 'o' },
		{ "root", required_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int option;

	while ((option = getopt_long(argc, argv, "1b:jd:o:R:h", names, NULL)) != -1) {
		switch (option) {
		case '1':
			options->batch = true;
			options->readings = 1;
			break;
		case 'b':
			options->batch = true;
			options->readings = to_readings(optarg);
			break;
		case 'j':
			options->json = true;
			break;
		case 'd':
			options->delay = to_delay(optarg);
			break;
		case 'o':
			options->order = to_order(optarg);
			break;
		case 'R':
			options->root = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc)
		misused("what is", argv[optind]);
	if (options->json && !options->batch)
		misused("without --once or --batch there is no", "--json");
}

static void print_text(const struct reading *now, const struct reading *before, enum order order)
{
	char line[256];
	struct row *rows;
	unsigned int nr;

	rows = make_rows(now, before, order, &nr);
	format_head(line, sizeof(line), now, before);
	printf("%s\n\n", line);
	format_title(line, sizeof(line));
	puts(line);
	for (unsigned int i = 0; i < nr; i++) {
		format_row(line, sizeof(line), &rows[i]);
		puts(line);
	}
	free(rows);
}

static void wait_for(double seconds)
{
	struct timespec time = { .tv_sec = (time_t)seconds };

	time.tv_nsec = (long)((seconds - time.tv_sec) * 1e9);
	nanosleep(&time, NULL);
}

static int print_readings(const struct options *options)
{
	struct reading now = {}, before = {};
	bool wrong = false;

	for (unsigned long i = 0; !options->readings || i < options->readings; i++) {
		if (i) {
			if (!options->json)
				putchar('\n');
			wait_for(options->delay);
		}
		if (read_all(&now, options->root)) {
			forget_reading(&before);
			return 2;
		}
		wrong |= now.wrong;
		if (options->json)
			print_json(stdout, &now, i ? &before : NULL);
		else
			print_text(&now, i ? &before : NULL, options->order);
		forget_reading(&before);
		before = now;
		if (fflush(stdout)) {
			perror("sva-top");
			return 2;
		}
	}
	forget_reading(&before);
	return wrong;
}

int main(int argc, char **argv)
{
	struct options options = { .root = "", .delay = 2 };

	take_options(&options, argc, argv);
	if (options.batch)
		return print_readings(&options);
	if (!isatty(STDOUT_FILENO)) {
		fprintf(stderr, "sva-top: the output is no terminal: --batch or --once\n");
		return 2;
	}
#ifdef NO_CURSES
	fprintf(stderr, "sva-top: built without the screen: --batch or --once\n");
	return 2;
#else
	return show_screen(options.root, options.delay, options.order);
#endif
}
