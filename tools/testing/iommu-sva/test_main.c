// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva-harness [-l] [-n] [-x] [TEST...]: run all tests, or those whose names contain one of the
 * words, and report in KTAP. -l lists them; -n runs them in this process, for a debugger; -x stops
 * at the first failure.
 */
#include <stdio.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define SHAKE_ROUNDS	400
/* Seconds of CPU time that a test may use; a caller may have set a lower limit (ulimit -t). */
#define CPU_LIMIT	30

static struct test *tests;

/*
 * Leaks are counted by the shims, per test and with the place; a failed test must leave a core.
 * Freed memory stays out of use for some hundred scenarios: to keep more of it takes most of the
 * time.
 */
static const char asan_options[] =
	"detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0:quarantine_size_mb=8";

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return asan_options;
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1";
}

/* Those that take long come last. */
void test_register(struct test *test)
{
	struct test **at = &tests;

	while (*at && (*at)->kind <= test->kind)
		at = &(*at)->next;
	test->next = *at;
	*at = test;
}

struct mm_struct *test_mm(void)
{
	struct mm_struct *mm = sim_mm_new();

	sim_mmap(mm, BASE, PAGES, VM_READ | VM_WRITE);
	return mm;
}

struct vendor_dev *test_dev(void)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, CREDITS);

	vendor_enable(dev);
	return dev;
}

struct vendor_dev *test_dev_beside(struct vendor_dev *dev)
{
	struct vendor_dev *new = vendor_dev_new(dev->iommu, 16, CREDITS);

	vendor_enable(new);
	return new;
}

struct iommu_sva *test_bind(struct vendor_dev *dev, struct mm_struct *mm)
{
	struct iommu_sva *sva = iommu_sva_bind_device(&dev->pdev.dev, mm);

	if (IS_ERR(sva))
		sim_fail("bind: error %ld", PTR_ERR(sva));
	return sva;
}

void test_no_bind(struct vendor_dev *dev, struct mm_struct *mm, int error)
{
	struct iommu_sva *sva = iommu_sva_bind_device(&dev->pdev.dev, mm);

	SIM_CHECK(IS_ERR(sva));
	SIM_EQ(PTR_ERR(sva), error);
}

void test_reset(void *dev)
{
	iopf_quiesce_device(dev_of(dev));
	vendor_begin_reset(dev);
	sim_point("in reset");
	vendor_end_reset(dev);
	iopf_resume_device(dev_of(dev));
	vendor_start(dev);
}

void test_answered(struct vendor_request *request, u32 code)
{
	sim_settle();
	SIM_EQ(request->answers, 1);
	SIM_EQ(request->code, code);
}

void test_all_answered(struct vendor_request **requests, unsigned int nr, u32 code)
{
	for (unsigned int i = 0; i < nr; i++)
		test_answered(requests[i], code);
}

void test_unanswered(struct vendor_request *request)
{
	sim_settle();
	SIM_EQ(request->answers, 0);
}

vm_fault_t test_fault_at_door(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	struct mm_struct *mm = vma->vm_mm;

	/* A fault that blocks drops its locks first, as a read into the page cache does. */
	if (((struct sim_door *)mm->fault_data)->shut) {
		sim_fault_unlocked(vma, flags, 0);
		sim_pass(mm->fault_data);
		return VM_FAULT_RETRY;
	}
	return sim_fault_map(vma, addr, flags);
}

void test_shut(struct mm_struct *mm, struct sim_door *door)
{
	*door = (struct sim_door){ .shut = true };
	mm->fault = test_fault_at_door;
	mm->fault_data = door;
}

/* Running */

static struct test *running;

static void scenario(void)
{
	running->fn();
	vendor_end();
}

static void run(struct test *test)
{
	running = test;
	switch (test->kind) {
	case TEST_PLAIN:
		sim_begin();
		scenario();
		sim_end();
		break;
	case TEST_EXPLORE:
		sim_explore(scenario);
		break;
	case TEST_SHAKE:
		sim_shake(scenario, SHAKE_ROUNDS);
		break;
	}
}

/* What it said, as KTAP diagnostics */
static void show(FILE *said)
{
	char line[512];

	rewind(said);
	for (unsigned int n = 0; n < 60 && fgets(line, sizeof(line), said); n++)
		/* The sanitizer is told of each switch. */
		if (!strstr(line, "ASan doesn't fully support"))
			printf("# %s", line);
}

/* An endless loop is a failure; a slow machine is none. */
static void limit_cpu_time(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_CPU, &limit);
	if (limit.rlim_cur > CPU_LIMIT)
		limit.rlim_cur = CPU_LIMIT;
	setrlimit(RLIMIT_CPU, &limit);
}

static void show_signal(int signal)
{
	if (signal == SIGXCPU)
		printf("# did not end: its CPU time is used up\n");
	else if (signal == SIGKILL)
		printf("# was killed: is there too little memory?\n");
}

static bool run_apart(struct test *test)
{
	FILE *said = tmpfile();
	int status;
	pid_t pid;

	fflush(stdout);
	pid = said ? fork() : -1;
	if (pid < 0) {
		perror("sva-harness");
		exit(2);
	}
	if (!pid) {
		limit_cpu_time();
		dup2(fileno(said), STDERR_FILENO);
		run(test);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		status = -1;
	if (status) {
		show(said);
		if (WIFSIGNALED(status))
			show_signal(WTERMSIG(status));
	}
	fclose(said);
	return !status;
}

static bool wanted(const struct test *test, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strstr(test->name, argv[i]))
			return true;
	return !argc;
}

int main(int argc, char **argv)
{
	bool list = false, here = false, stop = false;
	unsigned int n = 0, failed = 0;
	int option;

	while ((option = getopt(argc, argv, "lnx")) != -1) {
		switch (option) {
		case 'l':
			list = true;
			break;
		case 'n':
			here = true;
			break;
		case 'x':
			stop = true;
			break;
		default:
			return 2;
		}
	}
	argc -= optind;
	argv += optind;

	for (struct test *test = tests; test; test = test->next)
		n += wanted(test, argc, argv);
	if (!n) {
		fprintf(stderr, "sva-harness: no such test; -l lists them\n");
		return 2;
	}
	if (!list)
		printf("KTAP version 1\n1..%u\n", n);
	n = 0;
	for (struct test *test = tests; test && !(stop && failed); test = test->next) {
		if (!wanted(test, argc, argv))
			continue;
		if (list) {
			printf("%s\n", test->name);
			continue;
		}
		if (here) {
			run(test);
			printf("ok %u %s\n", ++n, test->name);
		} else {
			bool ok = run_apart(test);

			failed += !ok;
			printf("%sok %u %s\n", ok ? "" : "not ", ++n, test->name);
		}
	}
	return failed ? 1 : 0;
}
