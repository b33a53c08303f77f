// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva_programs LIST LIBRARY [WORD]: programs that others wrote, beside DMA.
 *
 * Each line of LIST is "NAME SECONDS COMMAND...", for those whose name contains WORD. The command
 * runs twice, for at most SECONDS each: alone, and with LIBRARY (sva_beside.c) preloaded, so that a
 * device copies bytes in each of its processes all the while. Meanwhile the area that the device
 * uses is paged out, again and again. Three things must hold: the program ends as it does alone,
 * with the same exit status and the same verdicts in its output; at least one process has ended
 * with all bytes right, and none with a wrong one. The output is a report in TAP.
 *
 * Both runs find the same number of free huge pages, and empty caches.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sva_queue.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define HUGE_PAGES	"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define LOG		"/tmp/beside"
#define OUTPUT		"/tmp/output"
#define NR_HUGE		"32"
#define MOST_AREAS	4096
#define PAGE_OUT_MS	50
#define TIMED_OUT	124
/* What the kernel may say of programs that crash on purpose, or run out of memory */
#define ALLOWED		"segfault at|traps: |[Oo]ut of memory|oom-kill|Comm:|Call [Tt]race"

struct area {
	pid_t pid;
	unsigned long addr;
	unsigned long len;
};

/**
 * struct run - one run of a program
 * @status: its exit status; 128 + n: signal n; TIMED_OUT
 * @verdicts: hash of the lines of its output that are verdicts
 * @lines: how many these are
 */
struct run {
	int status;
	__u64 verdicts;
	unsigned int lines;
};

/* What the library has said in a run, and the areas it has said it of */
struct said {
	long read;
	unsigned int nr_areas;
	struct area area[MOST_AREAS];
	unsigned int bound;
	unsigned int right;
	unsigned int without;
	unsigned long long bytes;
	char wrong[256];
};

static struct said said;

/* ---- what the library says ---- */

static void take_line(const char *line)
{
	struct area *area = &said.area[said.nr_areas];
	unsigned long long bytes;
	int pid;

	if (said.nr_areas < MOST_AREAS &&
	    sscanf(line, "BOUND %d %lx %lu", &area->pid, &area->addr, &area->len) == 3)
		said.nr_areas++;
	said.bound += !strncmp(line, "BOUND ", 6);
	said.without += !strncmp(line, "WITHOUT ", 8);
	if (sscanf(line, "RIGHT %d %llu", &pid, &bytes) == 2) {
		said.right++;
		said.bytes += bytes;
	}
	if (!strncmp(line, "WRONG ", 6) && !said.wrong[0])
		snprintf(said.wrong, sizeof(said.wrong), "%.*s", (int)strcspn(line, "\n"), line);
}

static void read_log(void)
{
	FILE *log = fopen(LOG, "re");
	char line[512];

	if (!log)
		return;
	fseek(log, said.read, SEEK_SET);
	while (fgets(line, sizeof(line), log))
		take_line(line);
	said.read = ftell(log);
	fclose(log);
}

/* The device has to ask for its pages again. A process that is gone needs no more of that. */
static void page_out(void)
{
	struct iovec area;
	unsigned int i = 0;
	int fd;

	while (i < said.nr_areas) {
		fd = syscall(SYS_pidfd_open, said.area[i].pid, 0);
		if (fd < 0) {
			said.area[i] = said.area[--said.nr_areas];
			continue;
		}
		area.iov_base = (void *)said.area[i].addr;
		area.iov_len = said.area[i].len;
		syscall(SYS_process_madvise, fd, &area, 1, MADV_PAGEOUT, 0);
		close(fd);
		i++;
	}
}

/* ---- a run ---- */

/* A line of TAP, without what differs from run to run: only the verdict and its number. */
static bool is_verdict(const char *line, char *verdict, size_t size)
{
	const char *text = line + strspn(line, " \t#");
	bool good = !strncmp(text, "ok ", 3), bad = !strncmp(text, "not ok ", 7);
	long number;

	if (!good && !bad)
		return false;
	number = strtol(text + (good ? 3 : 7), NULL, 10);
	snprintf(verdict, size, "%s %ld%s", good ? "ok" : "not ok", number,
		 strstr(text, "# SKIP") ? " skip" : "");
	return true;
}

static void read_output(struct run *run)
{
	FILE *output = fopen(OUTPUT, "re");
	char line[1024], verdict[64];

	while (output && fgets(line, sizeof(line), output)) {
		if (!is_verdict(line, verdict, sizeof(verdict)))
			continue;
		run->lines++;
		run->verdicts = run->verdicts * 31 + sva_fnv1a(verdict, strlen(verdict));
	}
	if (output)
		fclose(output);
}

__attribute__((noreturn))
static void become(char *command, const char *library)
{
	int fd = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	/* What it leaves running goes with its group. */
	setpgid(0, 0);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (library) {
		/* The shell is static: what it starts has the library. */
		setenv("SVA_BESIDE", LOG, 1);
		setenv("LD_PRELOAD", library, 1);
	}
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static struct run run_once(char *command, const char *library, unsigned int seconds)
{
	__s64 end = sva_now_ms() + seconds * 1000LL;
	struct run run = { .status = TIMED_OUT };
	int status, fd = open(LOG, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	pid_t pid;

	close(fd);
	memset(&said, 0, sizeof(said));
	sva_write_text("/proc/sys/vm/drop_caches", "3");
	sva_write_text(HUGE_PAGES, NR_HUGE);
	pid = fork();
	if (!pid)
		become(command, library);
	while (pid > 0 && sva_now_ms() < end) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			run.status = WIFEXITED(status) ? WEXITSTATUS(status) :
							 128 + WTERMSIG(status);
			break;
		}
		usleep(PAGE_OUT_MS * 1000);
		read_log();
		page_out();
	}
	if (pid > 0) {
		kill(-pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	read_log();
	read_output(&run);
	return run;
}

/* ---- the report ---- */

static unsigned long long served(void)
{
	struct sva_device all[SVA_MAX_DEVICES];
	int n = sva_devices(all, SVA_MAX_DEVICES), i;
	struct sva_dma_counters counters;
	unsigned long long sum = 0;
	struct sva_queue q;

	for (i = 0; i < n; i++) {
		if (!all[i].pri || sva_open(&q, &all[i]))
			continue;
		if (!sva_counters(&q, &counters))
			sum += counters.value[SVA_DMA_CNT_PRI_SUCCESS];
		sva_close(&q);
	}
	return sum;
}

static void print_output(void)
{
	FILE *output = fopen(OUTPUT, "re");
	char line[256];
	long skip;

	if (!output)
		return;
	fseek(output, 0, SEEK_END);
	skip = ftell(output) - 4096;
	fseek(output, skip > 0 ? skip : 0, SEEK_SET);
	while (fgets(line, sizeof(line), output))
		printf("#   %.*s\n", (int)strcspn(line, "\n"), line);
	fclose(output);
}

/* Returns whether the program did well. */
static bool try(int number, const char *name, unsigned int seconds, char *command,
		const char *library)
{
	unsigned long long faults;
	struct run alone, beside;
	bool same, right;

	alone = run_once(command, NULL, seconds);
	faults = served();
	beside = run_once(command, library, seconds);
	faults = served() - faults;
	same = alone.status == beside.status && alone.lines == beside.lines &&
	       alone.verdicts == beside.verdicts && alone.status != TIMED_OUT;
	right = said.right && !said.wrong[0];
	printf("# %s: status %d and %d, %u and %u verdicts; %u processes bound, %u right, ", name,
	       alone.status, beside.status, alone.lines, beside.lines, said.bound, said.right);
	printf("%u without a device; %llu bytes, %llu groups of page requests served\n",
	       said.without, said.bytes, faults);
	if (said.wrong[0])
		printf("# %s\n", said.wrong);
	if (!same)
		print_output();
	printf("%s %d programs.%s\n", same && right ? "ok" : "not ok", number, name);
	fflush(stdout);
	return same && right;
}

/* The fields of a line; false: it has none. */
static bool parse(char *line, char **name, unsigned int *seconds, char **command)
{
	char *end;

	line[strcspn(line, "\n")] = '\0';
	*name = strtok(line, " \t");
	if (!*name || (*name)[0] == '#')
		return false;
	*seconds = strtoul(strtok(NULL, " \t") ?: "", &end, 10);
	*command = strtok(NULL, "");
	if (*end || !*seconds || !*command) {
		fprintf(stderr, "sva_programs: a line of the list is wrong: %s\n", *name);
		exit(2);
	}
	return true;
}

/* With @library, runs the programs; without, counts them. */
static int for_all(FILE *list, const char *word, const char *library, bool *well)
{
	char line[512], *name, *command;
	unsigned int seconds;
	int n = 0;

	rewind(list);
	while (fgets(line, sizeof(line), list)) {
		if (!parse(line, &name, &seconds, &command) || (word && !strstr(name, word)))
			continue;
		n++;
		if (library && !try(n, name, seconds, command, library))
			*well = false;
	}
	return n;
}

int main(int argc, char **argv)
{
	bool well = true;
	FILE *list;
	int n;

	list = argc == 3 || argc == 4 ? fopen(argv[1], "re") : NULL;
	if (!list || access(argv[2], R_OK)) {
		fprintf(stderr, "usage: sva_programs LIST LIBRARY [WORD]\n");
		return 2;
	}
	n = for_all(list, argv[3], NULL, NULL);
	printf("TAP version 13\n1..%d\n", n);
	fflush(stdout);
	sva_write_text("/dev/kmsg", "SVA-ALLOW " ALLOWED);
	for_all(list, argv[3], argv[2], &well);
	sva_write_text("/dev/kmsg", "SVA-ALLOW-END");
	fclose(list);
	return n && well ? 0 : 1;
}
