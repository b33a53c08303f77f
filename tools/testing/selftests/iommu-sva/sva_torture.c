// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva_torture [--minutes N | --seconds N] [--seed N] [--workers N] [--suspend] [--unplug]
 *	       [--lies]
 *
 * Processes do at random what processes do to their memory, and the machine what machines do to
 * processes and devices, beside DMA whose every byte is verified: see sva_torture.h. With --lies, a
 * device lies beside one that does not: see torture_lies.c. The output is a report in TAP.
 *
 * This file is the director, which starts the workers, again and again, waits until the time is
 * over, and looks whether a stream is stuck. It also has what all parts share.
 */
#include <stdarg.h>
#include <sys/personality.h>

#include "sva_torture.h"

struct t_shared *t_shared;
size_t t_page;
__thread sigjmp_buf t_gone;
__thread bool t_may_go;
__thread bool t_is_machine;
__thread int t_stream = T_MACHINE;

static int t_fd = -1;

static const char * const t_op_names[T_OPS] = {
	[T_REST] = "rest", [T_FILL] = "fill", [T_COPY] = "copy", [T_CHECKSUM] = "checksum",
	[T_CAS] = "cas", [T_ENDLESS] = "endless", [T_ABORT] = "abort", [T_REAP] = "reap",
	[T_WRITE] = "write", [T_VERIFY] = "verify", [T_MMAP] = "mmap", [T_MUNMAP] = "munmap",
	[T_MREMAP] = "mremap", [T_MPROTECT] = "mprotect", [T_DONTNEED] = "dontneed",
	[T_FREE] = "free", [T_PUNCH] = "punch", [T_PAGEOUT] = "pageout", [T_COLD] = "cold",
	[T_HUGEPAGE] = "hugepage", [T_NOHUGEPAGE] = "nohugepage", [T_COLLAPSE] = "collapse",
	[T_MERGEABLE] = "mergeable", [T_UNMERGEABLE] = "unmergeable",
	[T_POPULATE] = "populate", [T_MONITOR] = "monitor", [T_OPEN] = "bind",
	[T_CLOSE] = "unbind", [T_RESTART] = "restart", [T_DROP_ATC] = "drop_atc",
	[T_FORK] = "fork", [T_EXEC] = "exec", [T_EXIT] = "exit", [T_KILLED] = "killed",
	[T_RESET] = "reset", [T_REBIND] = "rebind", [T_REMOVE] = "remove",
	[T_BEHAVE] = "behave", [T_AROUND] = "around", [T_COMPACT] = "compact",
	[T_DROP_CACHES] = "drop_caches", [T_RECLAIM] = "reclaim", [T_KSM] = "ksm",
	[T_CPU] = "cpu", [T_OFFLINE] = "offline", [T_OOM] = "oom", [T_KILL] = "kill",
	[T_FUSE] = "fuse", [T_RELOAD] = "reload", [T_CORRECTABLE] = "correctable_error",
	[T_NONFATAL] = "nonfatal_error", [T_FATAL] = "fatal_error", [T_MIGRATE] = "migrate",
	[T_SUSPEND] = "suspend", [T_UNPLUG] = "unplug",
};

const char *t_op_name(enum t_op op)
{
	return t_op_names[op];
}

/* ---- what all have in common ---- */

void t_begin(int stream, __u64 step)
{
	t_shared->stream[stream].step = step;
	__atomic_store_n(&t_shared->stream[stream].since, sva_now_ms(), __ATOMIC_RELAXED);
}

void t_rest(int stream)
{
	__atomic_store_n(&t_shared->stream[stream].since, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t_shared->stream[stream].job_since, 0, __ATOMIC_RELAXED);
}

void t_decided(int stream, enum t_op op, __u32 first, __u32 nr, int result)
{
	struct t_stream *s = &t_shared->stream[stream];

	s->history[s->step % T_HISTORY] = (struct t_decision) {
		.step = s->step, .op = op, .first = first, .nr = nr, .result = result,
	};
}

void t_fail(int stream, const char *what, ...)
{
	const struct t_stream *s = &t_shared->stream[stream];
	va_list args;
	int n;

	if (!__atomic_exchange_n(&t_shared->failed, 1, __ATOMIC_SEQ_CST)) {
		t_trace_end();
		n = snprintf(t_shared->failure, sizeof(t_shared->failure),
			     "stream %d, run %u, step %llu: ", stream, s->run,
			     (unsigned long long)s->step);
		va_start(args, what);
		vsnprintf(t_shared->failure + n, sizeof(t_shared->failure) - n, what, args);
		va_end(args);
		dprintf(STDERR_FILENO, "# %s\n", t_shared->failure);
	}
	/* The director goes on without the machine's stream, and reports. */
	if (t_is_machine)
		pthread_exit(NULL);
	_exit(3);
}

/* A signal that no handler expects is a mistake of the kernel, or of this program. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig == SIGBUS && t_may_go) {
		t_may_go = false;
		siglongjmp(t_gone, 1);
	}
	t_fail(t_stream, "process %d: signal %d at %p", getpid(), sig, info->si_addr);
}

void t_catch_signals(void)
{
	struct sigaction action = {
		.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

static void share(int fd)
{
	t_shared = mmap(NULL, sizeof(*t_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t_shared == MAP_FAILED) {
		perror("sva_torture: no shared memory");
		exit(2);
	}
	t_fd = fd;
}

/* ---- the director ---- */

static void print_stream(int i)
{
	const struct t_stream *s = &t_shared->stream[i];
	__s64 now = sva_now_ms();
	const struct t_decision *d;
	int n;

	if (!s->step)
		return;
	printf("# stream %d, process %d, run %u, step %llu, for %lld ms, oldest job %lld ms:\n", i,
	       s->pid, s->run, (unsigned long long)s->step,
	       s->since ? (long long)(now - s->since) : 0,
	       s->job_since ? (long long)(now - s->job_since) : 0);
	for (n = 1; n <= T_HISTORY; n++) {
		d = &s->history[(s->step + n) % T_HISTORY];
		if (d->op && d->step <= s->step)
			printf("#   %llu %s %u+%u: %s\n", (unsigned long long)d->step,
			       t_op_name(d->op), d->first, d->nr,
			       d->result == -EINPROGRESS ? "not over" :
			       d->result < 0 ? strerror(-d->result) : "done");
	}
}

/* Where the threads of a process are in the kernel */
static void print_stacks(pid_t pid)
{
	char path[64], line[256];
	FILE *file;
	int tid;

	for (tid = pid; tid < pid + 2 * T_ACTORS; tid++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", pid, tid);
		file = fopen(path, "re");
		if (!file)
			continue;
		printf("# thread %d:\n", tid);
		while (fgets(line, sizeof(line), file))
			printf("#   %s", line);
		fclose(file);
	}
}

/* Actors share their process; that of the machine, if there is one, is what it waits for. */
static void explain_stream(int i)
{
	pid_t pid = __atomic_load_n(&t_shared->stream[i].pid, __ATOMIC_SEQ_CST);

	print_stream(i);
	if (i % T_ACTORS == 0 && pid)
		print_stacks(pid);
}

static void explain(void)
{
	__u32 i;

	printf("# seed %llu: %s\n", (unsigned long long)t_shared->seed, t_shared->failure);
	for (i = 0; i < t_shared->workers * T_ACTORS; i++)
		explain_stream(i);
	explain_stream(T_MACHINE);
	t_trace_print();
	fflush(stdout);
}

static void start_worker(int worker)
{
	struct t_stream *stream = &t_shared->stream[worker * T_ACTORS];
	char number[16], fd[16];
	pid_t pid;
	int i;

	snprintf(number, sizeof(number), "%d", worker);
	snprintf(fd, sizeof(fd), "%d", t_fd);
	for (i = 0; i < T_ACTORS; i++) {
		stream[i].run++;
		t_begin(worker * T_ACTORS + i, 0);
		__atomic_store_n(&stream[i].job_since, 0, __ATOMIC_RELAXED);
	}
	pid = fork();
	if (!pid) {
		/* All arenas are at the same addresses: a process that finds another's shows it. */
		personality(ADDR_NO_RANDOMIZE);
		execl("/proc/self/exe", "sva_torture", "--worker", number, fd, NULL);
		t_fail(worker * T_ACTORS, "exec: %s", strerror(errno));
	}
	if (pid < 0)
		t_fail(worker * T_ACTORS, "fork: %s", strerror(errno));
	stream[0].pid = pid;
}

/* Says whether the worker has ended, and well. Its pid is not another's before that is noted. */
static bool has_ended(int worker)
{
	struct t_stream *stream = &t_shared->stream[worker * T_ACTORS];
	siginfo_t info = {};
	int status, i;

	if (!stream->pid)
		return true;
	if (waitid(P_PID, stream->pid, &info, WEXITED | WNOHANG | WNOWAIT) || !info.si_pid)
		return false;
	for (i = 1; i < T_ACTORS; i++)
		stream[i].pid = 0;
	__atomic_store_n(&stream->pid, 0, __ATOMIC_SEQ_CST);
	for (i = 0; i < T_ACTORS; i++)
		t_rest(worker * T_ACTORS + i);
	if (waitpid(info.si_pid, &status, 0) == info.si_pid && !t_shared->failed &&
	    !(WIFEXITED(status) && !WEXITSTATUS(status)) &&
	    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
		snprintf(t_shared->failure, sizeof(t_shared->failure),
			 "worker %d has ended with wait status %#x", worker, status);
		__atomic_store_n(&t_shared->failed, 1, __ATOMIC_SEQ_CST);
	}
	return true;
}

static void look_for_stuck(void)
{
	__s64 now = sva_now_ms(), since;
	__u32 i;

	for (i = 0; i < T_STREAMS; i++) {
		since = __atomic_load_n(&t_shared->stream[i].since, __ATOMIC_RELAXED);
		if (!since || now - since < T_STUCK_MS)
			continue;
		if (__atomic_exchange_n(&t_shared->failed, 1, __ATOMIC_SEQ_CST))
			return;
		snprintf(t_shared->failure, sizeof(t_shared->failure),
			 "stream %u has been stuck for %lld ms in step %llu", i,
			 (long long)(now - since),
			 (unsigned long long)t_shared->stream[i].step);
		/* The kernel's log tells who else waits. */
		sva_write_text("/proc/sysrq-trigger", "w");
	}
}

/* One round of the director's loop. Says how many workers there are. */
static int oversee(bool again)
{
	int living = 0;
	__u32 i;

	for (i = 0; i < t_shared->workers; i++) {
		if (!has_ended(i))
			living++;
		else if (again && !t_ending())
			start_worker(i), living++;
	}
	look_for_stuck();
	return living;
}

static void kill_workers(void)
{
	__u32 i;

	for (i = 0; i < t_shared->workers; i++)
		if (t_shared->stream[i * T_ACTORS].pid)
			kill(t_shared->stream[i * T_ACTORS].pid, SIGKILL);
}

static void direct(const struct t_options *options)
{
	__s64 end = sva_now_ms() + options->seconds * 1000LL;
	bool joined = false;
	pthread_t machine;
	int living;

	if (pthread_create(&machine, NULL, t_machine, NULL))
		t_fail(T_MACHINE, "no thread");
	while (sva_now_ms() < end && !t_shared->failed) {
		oversee(true);
		usleep(20000);
	}
	__atomic_store_n(&t_shared->end, 1, __ATOMIC_SEQ_CST);
	/* A mistake may leave a thread in the kernel, which cannot be waited for. */
	do {
		usleep(20000);
		living = oversee(false);
		joined = joined || !pthread_tryjoin_np(machine, NULL);
	} while ((living || !joined) && !t_shared->failed);
	if (t_shared->failed) {
		explain();
		kill_workers();
	}
}

static void print_sums(const struct t_options *options)
{
	__u64 all = 0;
	int op;

	for (op = 0; op < T_OPS; op++)
		all += t_shared->ops[op];
	printf("# torture: seed %llu, %u s: %llu operations (", (unsigned long long)options->seed,
	       options->seconds, (unsigned long long)all);
	for (op = 1; op < T_OPS; op++)
		if (t_shared->ops[op])
			printf("%s %llu, ", t_op_name(op), (unsigned long long)t_shared->ops[op]);
	printf("%llu jobs, %llu of them refused, %llu starved), ",
	       (unsigned long long)t_shared->jobs, (unsigned long long)t_shared->refused,
	       (unsigned long long)t_shared->starved);
	printf("%llu page faults served, %llu bytes moved, %llu verified, ",
	       (unsigned long long)t_seen.served, (unsigned long long)t_seen.moved,
	       (unsigned long long)t_shared->verified);
	printf("%llu injections, %llu reports\n", (unsigned long long)t_shared->injected,
	       (unsigned long long)t_seen.reports);
}

bool t_result(int number, const char *name, bool passed, const char *why)
{
	if (!passed && why[0])
		printf("# %s\n", why);
	printf("%s %d torture.%s\n", passed ? "ok" : "not ok", number, name);
	fflush(stdout);
	return passed;
}

/* Starving now and then is a device's fate; if it does so often, something is wrong. */
static bool few_starved(void)
{
	return t_shared->starved <= 10 + t_shared->jobs / 500;
}

/* What the machine was asked to do it has done once at least. */
static bool has_done_all(void)
{
	__u64 *ops = t_shared->ops;

	if ((t_shared->suspend && !ops[T_SUSPEND]) || (t_shared->unplug && !ops[T_UNPLUG]))
		return false;
	if (t_shared->stream[T_MACHINE].step <= T_ROUND)
		return true;
	return (!t_shared->modular || ops[T_RELOAD]) && (!t_shared->nodes || ops[T_MIGRATE]) &&
	       (!t_shared->errors ||
		(ops[T_CORRECTABLE] && ops[T_NONFATAL] && ops[T_FATAL]));
}

static int report(const struct t_options *options)
{
	char why[256] = "";
	bool passed = true;

	t_look_at_log();
	print_sums(options);
	passed &= t_result(1, "every_byte_is_where_it_belongs", !t_shared->failed,
			   t_shared->failure);
	passed &= t_result(2, "jobs_were_verified_and_did_not_starve",
			 t_shared->jobs && t_seen.moved && few_starved() && has_done_all(),
			 "see the sums");
	passed &= t_result(3, "each_request_is_answered_once", !t_seen.wrong[0], t_seen.wrong);
	passed &= t_result(4, "kernel_reports_nothing", !t_seen.reports, t_seen.report);
	/* Processes that a mistake has stopped still have theirs. */
	passed &= t_result(5, "all_is_given_back", !t_shared->failed &&
			 t_given_back(why, sizeof(why)), why);
	t_machine_done();
	return passed ? 0 : 1;
}

/* ---- the command line ---- */

static bool parse_number(const char *text, __u64 most, __u64 *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return text[0] >= '0' && text[0] <= '9' && !*end && !errno && *number <= most;
}

__attribute__((noreturn))
static void refuse(void)
{
	fprintf(stderr, "usage: sva_torture [--minutes N | --seconds N] [--seed N] ");
	fprintf(stderr, "[--workers 1..%d] [--suspend] [--unplug] [--lies]\n",
		T_WORKERS);
	exit(2);
}

static void parse(int argc, char **argv, struct t_options *options, bool *lies)
{
	__u64 n = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--lies")) {
			*lies = true;
			continue;
		}
		if (!strcmp(argv[i], "--suspend")) {
			options->suspend = true;
			continue;
		}
		if (!strcmp(argv[i], "--unplug")) {
			options->unplug = true;
			continue;
		}
		if (i + 1 == argc || !parse_number(argv[i + 1], ~0ULL, &n))
			refuse();
		if (!strcmp(argv[i], "--minutes") && n && n <= 10000)
			options->seconds = n * 60;
		else if (!strcmp(argv[i], "--seconds") && n && n <= 600000)
			options->seconds = n;
		else if (!strcmp(argv[i], "--seed"))
			options->seed = n;
		else if (!strcmp(argv[i], "--workers") && n && n <= T_WORKERS)
			options->workers = n;
		else
			refuse();
		i++;
	}
}

int main(int argc, char **argv)
{
	struct t_options options = { .seconds = 60, .workers = 3, .seed = 1 };
	bool lies = false;
	int ret;

	t_page = getpagesize();
	if (argc == 4 && !strcmp(argv[1], "--worker")) {
		share(atoi(argv[3]));
		return t_worker(atoi(argv[2]), t_fd);
	}
	parse(argc, argv, &options, &lies);
	/* Workers inherit it: it has to outlast exec(). */
	ret = memfd_create("torture", 0);
	if (ret < 0 || ftruncate(ret, sizeof(*t_shared))) {
		perror("sva_torture: no shared memory");
		return 2;
	}
	share(ret);
	t_shared->seed = options.seed;
	t_shared->workers = options.workers;
	t_shared->suspend = options.suspend;
	t_shared->unplug = options.unplug;
	t_catch_signals();
	t_machine_init(lies);
	printf("TAP version 13\n1..5\n# seed %llu\n", (unsigned long long)options.seed);
	fflush(stdout);
	if (lies)
		return t_lies(&options);
	direct(&options);
	return report(&options);
}
