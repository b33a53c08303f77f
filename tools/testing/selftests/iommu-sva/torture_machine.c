// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: the stream of the machine, which disturbs devices, CPUs, memory and processes; and
 * readers of the kernel's log and the devices' counters. The stream is a thread of the director,
 * beside all workers. It touches no arena: what it shares with workers is t_shared, above all
 * t_shared->upset.
 *
 * Only the first device is reset, loses its driver, is removed or torn out, and has errors. The
 * second one must not notice. Sleep, and a driver that is unloaded, concern all of them.
 */
#include <glob.h>
#include <stdarg.h>

#include "sva_torture.h"

#define GROUPS		"/sys/fs/cgroup/"
#define GROUP		GROUPS "sva-torture/"
#define HOG_GROUP	GROUPS "sva-hog/"
#define HOG_MAX		"4194304"	/* its limit in bytes: devices take them page by page */
#define HOG_LEN		(12UL << 20)
#define KSM		"/sys/kernel/mm/ksm/"
#define CPU		"/sys/devices/system/cpu/cpu1/online"
#define DRIVER		"/lib/sva-dma.ko"	/* where guest-init has it from, too */
#define ALARM		"/sys/class/rtc/rtc0/wakealarm"
#define TRACING		"/sys/kernel/tracing/"
#define TRACE_LINES	600
#define SLOW_NS		2000000	/* what a slow invalidation takes, at most */
#define BEHAVING	2	/* the first devices, whose behaviour changes */
#define WHILE_MS	20000	/* for work that takes longer the slower invalidations are */

/* What the kernel may say meanwhile: when it kills for want of memory, or memory does not leave */
#define ALLOWED		"oom|Comm:|Workqueue:|Call [Tt]race|[Oo]ut of memory|VM_FAULT_OOM leaked" \
	"|page dumped because: migration"
/* of a refused stall; of a sleep that a task keeps the machine from; of errors, slots, and lies */
#define ALLOWED_STALL	"|arm-smmu-v3 .*: (event 0x(0[8a]|1[03]) received:|\\s+0x[0-9a-f]{16})$"
#define ALLOWED_SUSPEND "|Freezing (user space|remaining freezable) .*(failed|aborted)"
#define ALLOWED_ERRORS	"|pcieport [0-9a-f:.]+: (AER: |aer_inject: |PCIe Bus Error: |  )"
#define ALLOWED_UNPLUG	"|pcieport .*: (pciehp: |Data Link Layer Link Active not set)"
#define ALLOWED_LIES	"|DMAR: (VT-d detected|QI |Invalidation|DRHD|\\[)|Event logged \\[" \
	"|has not completed an ATC invalidation|arm-smmu-v3 .*: (event 0x|\\s+0x[0-9a-f]{16}" \
	"|CMDQ error|unexpected global error|CMD_SYNC timeout)"

static const struct {
	enum t_op op;
	__u32 weight;
} t_weights[] = {
	{ T_RESET, 6 }, { T_REBIND, 2 }, { T_REMOVE, 1 }, { T_BEHAVE, 6 }, { T_AROUND, 4 },
	{ T_COMPACT, 4 }, { T_DROP_CACHES, 2 }, { T_RECLAIM, 4 }, { T_KSM, 4 }, { T_CPU, 2 },
	{ T_OFFLINE, 1 }, { T_OOM, 2 }, { T_KILL, 6 }, { T_FUSE, 3 }, { T_SUSPEND, 1 },
};

/* What only a kernel of its own can do has a part of each run on that one. */
static const enum t_op t_rare[] = {
	T_RELOAD, T_MIGRATE, T_FATAL, T_OFFLINE, T_MIGRATE, T_NONFATAL, T_CORRECTABLE,
};

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

struct t_seen t_seen;

static int t_kmsg = -1;
static bool t_complaints;
static struct sva_dma_counters t_before[T_DEVICES];

static void mark(const char *what, const char *pattern)
{
	char line[640];

	snprintf(line, sizeof(line), "%s %s", what, pattern);
	sva_write_text("/dev/kmsg", line);
}

/* ---- what the machine says ---- */

/* Words of a report of the kernel's */
static bool is_report(const char *record)
{
	static const char * const words[] = {
		"BUG: ", "kernel BUG ", "WARNING: ", "INFO: ", "KASAN", "KFENCE", "UBSAN", "ODEBUG",
		"refcount_t", "list_add ", "list_del ", "Oops", "general protection", "lockup",
		"unreferenced object", "scheduling while atomic", "sleeping function",
		"detected stall", "blocked for more than", "page allocation failure",
		"nobody cared", "suspicious RCU", "DEADLOCK", "bad_page", "KCSAN",
	};
	const char *text = strchr(record, ';');
	size_t i;

	/* A level with a facility is that of a program. */
	if (!text || atoi(record) > 7)
		return false;
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(text, words[i]))
			return true;
	/* The OOM killer reports the worker that ran out of memory, and what it was doing. */
	if (t_complaints || strstr(text, "Workqueue: ") || strstr(text, "+0x"))
		return false;
	if (strstr(text, "event 0x") && t_shared->device[0].stall)
		return false;
	/* A driver that is loaded again finds again what its devices lack. */
	if (t_shared->modular && strstr(text, "no SVA, opening will fail"))
		return false;
	if (sva_log_kind(record) == SVA_LOG_IOMMU_EVENT)
		return !t_shared->device[0].stall;
	return sva_log_kind(record) == SVA_LOG_WARNING &&
	       (strstr(text, "DMAR") || strstr(text, "AMD-Vi") || strcasestr(text, "mmu") ||
		strstr(text, "sva-dma") || strstr(text, "iopf"));
}

void t_look_at_log(void)
{
	char record[2048], *text;
	ssize_t n;

	while (t_kmsg >= 0) {
		n = read(t_kmsg, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* the log has overrun the reader */
		if (n <= 0)
			return;
		record[n] = '\0';
		if (!is_report(record) || t_seen.reports++)
			continue;
		text = strchr(record, ';') + 1;
		snprintf(t_seen.report, sizeof(t_seen.report), "%.*s", (int)strcspn(text, "\n"),
			 text);
	}
}

/* The core's own trace, the latest of which a failure shows; not on each kernel */
static void trace_begin(void)
{
	sva_write_text(TRACING "buffer_size_kb", "512");
	sva_write_text(TRACING "events/iommu_sva/enable", "1");
}

void t_trace_end(void)
{
	sva_write_text(TRACING "tracing_on", "0");
}

void t_trace_print(void)
{
	static char line[TRACE_LINES][256];
	FILE *file = fopen(TRACING "trace", "re");
	size_t n = 0, i;

	if (!file)
		return;
	while (fgets(line[n % TRACE_LINES], sizeof(line[0]), file))
		n++;
	fclose(file);
	for (i = n > TRACE_LINES ? n - TRACE_LINES : 0; i < n; i++)
		printf("#   %s", line[i % TRACE_LINES]);
}

static __u64 delta(const struct sva_dma_counters *before, const struct sva_dma_counters *after,
		   int counter)
{
	/* A reset makes the counters start again from zero. */
	if (before->value[SVA_DMA_CNT_RESETS] != after->value[SVA_DMA_CNT_RESETS] ||
	    before->value[counter] > after->value[counter])
		return after->value[counter];
	return after->value[counter] - before->value[counter];
}

__attribute__((format(printf, 2, 3)))
static void wrong(int device, const char *what, ...)
{
	va_list args;
	int n;

	if (t_seen.wrong[0])
		return;
	n = snprintf(t_seen.wrong, sizeof(t_seen.wrong), "%s: ", t_shared->device[device].bdf);
	va_start(args, what);
	vsnprintf(t_seen.wrong + n, sizeof(t_seen.wrong) - n, what, args);
	va_end(args);
}

static void look_at_counters(int device, const struct sva_dma_counters *now)
{
	static const int served[] = {
		SVA_DMA_CNT_PRI_SUCCESS, SVA_DMA_CNT_STALLS_RETRIED, SVA_DMA_CNT_FAULTS_RESUMED,
	};
	struct sva_dma_counters *before = &t_before[device];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(served); i++)
		t_seen.served += delta(before, now, served[i]);
	t_seen.moved += delta(before, now, SVA_DMA_CNT_BYTES_READ) +
			delta(before, now, SVA_DMA_CNT_BYTES_WRITTEN);
	*before = *now;
	if (now->value[SVA_DMA_CNT_PRI_UNEXPECTED])
		wrong(device, "%llu answers to nothing that was asked", (unsigned long long)
		      now->value[SVA_DMA_CNT_PRI_UNEXPECTED]);
	if (now->value[SVA_DMA_CNT_PRI_FAILURE])
		wrong(device, "%llu requests answered Response Failure", (unsigned long long)
		      now->value[SVA_DMA_CNT_PRI_FAILURE]);
}

void t_look_at_device(int device)
{
	struct sva_device copy = t_shared->device[device];
	struct sva_dma_counters now;
	struct sva_queue q;
	long strays;

	if (sva_open(&q, &copy))
		return;
	if (!sva_counters(&q, &now))
		look_at_counters(device, &now);
	sva_close(&q);
	/* A stalled access that the SMMU was told to retry may do so after the unbind. */
	strays = sva_iopf_count(&t_shared->device[device], "stray");
	if (strays > 0 && !copy.stall)
		wrong(device, "%ld uses of a PASID without a bond", strays);
}

static bool channels_back(int device, char *why, size_t size)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	struct sva_device *d = &t_shared->device[device];
	struct sva_dma_counters now;
	struct sva_queue q;
	bool right;

	if (sva_open(&q, d)) {
		snprintf(why, size, "%s: %s", d->bdf, q.error);
		return false;
	}
	while (sva_available(d) != (int)q.info.channels && sva_now_ms() < end)
		sva_relax();
	right = sva_available(d) == (int)q.info.channels;
	if (!right)
		snprintf(why, size, "channels of %s did not come back", d->bdf);
	if (right && sva_settled_counters(&q, &now)) {
		snprintf(why, size, "%s: %s", d->bdf, q.error);
		right = false;
	}
	if (right && now.value[SVA_DMA_CNT_PRI_GROUPS] != now.value[SVA_DMA_CNT_PRI_SUCCESS] +
						       now.value[SVA_DMA_CNT_PRI_INVALID]) {
		snprintf(why, size, "%s: page request groups sent and answered differ", d->bdf);
		right = false;
	}
	sva_close(&q);
	return right;
}

bool t_given_back(char *why, size_t size)
{
	bool right = true;
	__u32 i;

	for (i = 0; right && i < t_shared->devices; i++)
		right = channels_back(i, why, size);
	return right;
}

/* ---- what the machine does ---- */

static void disturb(int device)
{
	__atomic_add_fetch(&t_shared->upset[device], 1, __ATOMIC_SEQ_CST);
}

int t_pci_write(int device, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", t_shared->device[device].bdf,
		 file);
	return sva_write_text(path, text);
}

/* Its counters begin again, too. */
static int find_again(int device)
{
	int ret = sva_find_again(&t_shared->device[device], t_shared->device[device].bdf);

	if (!ret)
		memset(&t_before[device], 0, sizeof(t_before[device]));
	return ret;
}

static int disturb_device(enum t_op op)
{
	const char *bdf = t_shared->device[0].bdf;
	int ret;

	/*
	 * It is on the root bus. To scan that, the base (arm64 with a device tree) takes the bus
	 * numbers from the ports, so that devices behind these have other requester IDs meanwhile.
	 */
	if (op == T_REMOVE && t_shared->device[0].stall)
		return -EOPNOTSUPP;
	t_look_at_device(0);
	disturb(0);
	switch (op) {
	case T_RESET:
		ret = t_pci_write(0, "reset", "1");
		break;
	case T_REBIND:
		ret = t_pci_write(0, "driver/unbind", bdf) ?:
		      sva_write_text("/sys/bus/pci/drivers/sva-dma/bind", bdf) ?: find_again(0);
		break;
	case T_UNPLUG:
		ret = t_unplug() ?: find_again(0);
		break;
	case T_FATAL:
		ret = t_error(op);
		break;
	default:
		ret = t_pci_write(0, "remove", "1") ?: sva_rescan(bdf) ?: find_again(0);
		break;
	}
	disturb(0);
	if (ret)
		t_fail(T_MACHINE, "%s of %s: %s", t_op_name(op), bdf, strerror(-ret));
	return 0;
}

volatile __u32 *t_map_registers(int device)
{
	char path[128];
	void *regs;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0",
		 t_shared->device[device].bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return MAP_FAILED;
	regs = mmap(NULL, SVA_DMA_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return regs;
}

/* What a device may do: invalidations that take their time, and ways to stop a channel */
static int behave(struct t_rng *rng)
{
	static const __u32 stops[] = { SVA_DMA_STOP_KEEP_ATC, SVA_DMA_STOP_INSTANT,
				       SVA_DMA_STOP_WAIT };
	__u32 mode = stops[t_random(rng, 3)], ns = t_random(rng, SLOW_NS);
	int device = t_random(rng, BEHAVING);
	volatile __u32 *regs;

	if (t_random(rng, 2) && !t_shared->device[device].stall)
		mode |= SVA_DMA_INV_SLOW;
	regs = t_map_registers(device);
	if (regs == MAP_FAILED)
		return -ENODEV;
	regs[SVA_DMA_REG_SLOW_NS / 4] = ns;
	regs[SVA_DMA_REG_BEHAVIOUR / 4] = mode;
	munmap((void *)regs, SVA_DMA_BAR_SIZE);
	return 0;
}

/* Does a process of the machine's stream end in @ms? -1: for ever. Sets its wait status. */
static bool ends_in(pid_t pid, __s64 ms, int *status)
{
	__s64 end = sva_now_ms() + ms;
	bool ended;

	__atomic_store_n(&t_shared->stream[T_MACHINE].pid, pid, __ATOMIC_SEQ_CST);
	while (!(ended = waitpid(pid, status, WNOHANG) == pid) && (ms < 0 || sva_now_ms() < end))
		usleep(5000);
	__atomic_store_n(&t_shared->stream[T_MACHINE].pid, 0, __ATOMIC_SEQ_CST);
	return ended;
}

/*
 * Waits for a process of the machine's stream; after @life ms it is killed. Returns its wait
 * status. If it does not end, the director says where it is.
 */
int t_await(pid_t pid, __s64 life)
{
	int status;

	if (!ends_in(pid, life, &status)) {
		kill(pid, SIGKILL);
		ends_in(pid, -1, &status);
	}
	return status;
}

/* A device invalidates at once from now on. */
static void behave_promptly(int device)
{
	volatile __u32 *regs = t_map_registers(device);

	if (regs == MAP_FAILED)
		return;
	regs[SVA_DMA_REG_BEHAVIOUR / 4] &= ~SVA_DMA_INV_SLOW;
	munmap((void *)regs, SVA_DMA_BAR_SIZE);
}

/*
 * For work on all memory. If a device's invalidations are slow, each of its pages takes some
 * milliseconds, so the work ends early, and that is no mistake. Reclaim does not look for signals
 * before it has been through all pages several times: so devices are slow no more.
 */
static int write_for_a_while(const char *path, const char *text)
{
	pid_t pid = fork();
	int status, device;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(-sva_write_text(path, text));
	}
	if (pid < 0)
		return -errno;
	if (!ends_in(pid, WHILE_MS, &status)) {
		for (device = 0; device < BEHAVING; device++)
			behave_promptly(device);
		status = t_await(pid, 0);
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ETIME;
}

static int around(struct t_rng *rng)
{
	static const char * const pages[] = { "0", "4", "16", "64" };

	return sva_write_text("/sys/module/iommu_sva/parameters/fault_around_pages",
			    pages[t_random(rng, 4)]);
}

static int ksm(struct t_rng *rng)
{
	static const char * const run[] = { "0", "1", "1", "2" };

	sva_write_text(KSM "pages_to_scan", "500");
	sva_write_text(KSM "sleep_millisecs", "20");
	return write_for_a_while(KSM "run", run[t_random(rng, 4)]);
}

/* Is all that is in a block of memory such that it can move? @zones names the file that says so. */
static bool can_move(const char *zones)
{
	char text[64] = "";
	int fd = open(zones, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return !strncmp(text, "Movable", 7);
}

/* A block of memory leaves, with all that is in it, and comes back. */
static int offline(struct t_rng *rng)
{
	__u32 chosen, i;
	glob_t blocks;
	int ret = -ENOENT;
	char path[128];

	if (glob("/sys/devices/system/memory/memory*/valid_zones", 0, NULL, &blocks))
		return ret;
	chosen = t_random(rng, blocks.gl_pathc);
	for (i = 0; i < blocks.gl_pathc && ret == -ENOENT; i++) {
		const char *zones = blocks.gl_pathv[(chosen + i) % blocks.gl_pathc];

		if (!can_move(zones))
			continue;
		snprintf(path, sizeof(path), "%.*s/state", (int)(strrchr(zones, '/') - zones),
			 zones);
		ret = sva_write_text(path, "offline");
		if (!ret)
			ret = sva_write_text(path, "online_movable");
	}
	globfree(&blocks);
	return ret;
}

/* Its device takes more memory than the process may have, which must not survive that. */
__attribute__((noreturn))
static void hog(void)
{
	struct sva_device device = t_shared->device[1];
	struct sva_queue q = SVA_QUEUE_CLOSED;
	struct sva_job job;
	void *memory;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory = mmap(NULL, HOG_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || sva_write_text(HOG_GROUP "cgroup.procs", "0"))
		_exit(2);
	if (sva_open(&q, &device))
		_exit(3);
	/* All channels may be in use. */
	if (sva_start(&q))
		_exit(0);
	job = sva_fill(memory, HOG_LEN, 0x35);
	if (sva_run(&q, &job).status == SVA_DMA_DONE)
		_exit(4);
	memset(memory, 1, HOG_LEN);
	_exit(5);
}

static int run_out_of_memory(void)
{
	int status, ret;
	pid_t pid;

	ret = sva_write_text(HOG_GROUP "memory.max", HOG_MAX) ?:
	      sva_write_text(HOG_GROUP "memory.swap.max", "0");
	/* Without swap there is no limit to it. */
	if (ret && ret != -ENOENT)
		return ret;
	pid = fork();
	if (!pid)
		hog();
	if (pid < 0)
		return -errno;
	/* The kernel has to do it. */
	status = t_await(pid, 2 * T_STUCK_MS);
	if (status != SIGKILL && status)
		t_fail(T_MACHINE, "a process exceeded its limit and ended with wait status %#x",
		       status);
	return 0;
}

/* 0: it is between two processes */
static pid_t any_worker(struct t_rng *rng)
{
	__u32 worker = t_random(rng, t_shared->workers);

	return __atomic_load_n(&t_shared->stream[worker * T_ACTORS].pid, __ATOMIC_SEQ_CST);
}

static int kill_one(struct t_rng *rng)
{
	pid_t pid = any_worker(rng);

	return pid ? (kill(pid, SIGKILL) ? -errno : 0) : -ESRCH;
}

/* All pages that a process has on one node go to the other one, if they can. */
static int migrate(struct t_rng *rng)
{
	static const unsigned long node[] = { 1 << 0, 1 << 1 };
	pid_t pid = any_worker(rng);
	__u32 from = t_random(rng, 2);

	if (!t_shared->nodes)
		return -EOPNOTSUPP;
	if (!pid)
		return -ESRCH;
	return syscall(SYS_migrate_pages, pid, 8 * sizeof(node[0]), &node[from], &node[!from]) < 0 ?
	       -errno : 0;
}

/* All devices forget all. Tasks that wait for a device may keep the machine awake. */
static int suspend(void)
{
	__u32 i;
	int ret;

	for (i = 0; i < t_shared->devices; i++) {
		t_look_at_device(i);
		disturb(i);
	}
	sva_write_text(ALARM, "0");
	ret = sva_write_text(ALARM, "+20") ?: sva_write_text("/sys/power/state", "mem");
	sva_write_text(ALARM, "0");
	for (i = 0; i < t_shared->devices; i++)
		disturb(i);
	return ret;
}

static int load_driver(void)
{
	int fd = open(DRIVER, O_RDONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, "", 0))
		ret = -errno;
	close(fd);
	return ret;
}

/* The driver goes, whatever its files and bonds are in use for, and comes back. */
static int reload(void)
{
	__u32 i;
	int ret;

	if (!t_shared->modular)
		return -EOPNOTSUPP;
	for (i = 0; i < t_shared->devices; i++) {
		t_look_at_device(i);
		disturb(i);
	}
	ret = syscall(SYS_delete_module, "sva_dma", O_NONBLOCK) ? -errno : load_driver();
	for (i = 0; i < t_shared->devices; i++) {
		ret = ret ?: find_again(i);
		disturb(i);
	}
	if (ret)
		t_fail(T_MACHINE, "the driver does not go and come back: %s", strerror(-ret));
	return 0;
}

/* An error that costs nothing. Work goes on. */
static int error(enum t_op op)
{
	int ret;

	if (!t_shared->errors)
		return -EOPNOTSUPP;
	if (op == T_FATAL)
		return disturb_device(op);
	ret = t_error(op);
	if (ret)
		t_fail(T_MACHINE, "%s: %s", t_op_name(op), strerror(-ret));
	return 0;
}

static int cpu(void)
{
	static bool off;
	int ret = sva_write_text(CPU, off ? "1" : "0");

	if (!ret)
		off = !off;
	return ret;
}

static int act(enum t_op op, struct t_rng *rng)
{
	switch (op) {
	case T_RESET:
	case T_REBIND:
	case T_REMOVE:
	case T_UNPLUG:
		return disturb_device(op);
	case T_BEHAVE:
		return behave(rng);
	case T_AROUND:
		return around(rng);
	case T_COMPACT:
		return write_for_a_while("/proc/sys/vm/compact_memory", "1");
	case T_DROP_CACHES:
		return sva_write_text("/proc/sys/vm/drop_caches", "3");
	case T_RECLAIM:
		return write_for_a_while(GROUP "memory.reclaim", "1M");
	case T_KSM:
		return ksm(rng);
	case T_CPU:
		return cpu();
	case T_OFFLINE:
		return offline(rng);
	case T_OOM:
		return run_out_of_memory();
	case T_KILL:
		return kill_one(rng);
	case T_MIGRATE:
		return migrate(rng);
	case T_FUSE:
		/* As with monitors: what waits for a frozen server keeps the machine awake. */
		return t_shared->suspend ? -EOPNOTSUPP : t_fuse(rng);
	case T_RELOAD:
		return reload();
	case T_CORRECTABLE:
	case T_NONFATAL:
	case T_FATAL:
		return error(op);
	default:
		return t_shared->suspend ? suspend() : -EOPNOTSUPP;
	}
}

static enum t_op choose(struct t_rng *rng, __u64 step)
{
	__u32 sum = 0, at;
	size_t i;

	/* A run for the sake of sleep, or of slots, has a part of it, however short it is. */
	if (t_shared->suspend && !t_random(rng, 8))
		return T_SUSPEND;
	if (t_shared->unplug && step % 4 == 2)
		return T_UNPLUG;
	if ((t_shared->modular || t_shared->errors) && step % 4 == 3)
		return t_rare[step / 4 % ARRAY_SIZE(t_rare)];
	for (i = 0; i < ARRAY_SIZE(t_weights); i++)
		sum += t_weights[i].weight;
	at = t_random(rng, sum);
	for (i = 0; at >= t_weights[i].weight; i++)
		at -= t_weights[i].weight;
	return t_weights[i].op;
}

static void look_at_all(void)
{
	__u32 i;

	t_look_at_log();
	for (i = 0; i < t_shared->devices; i++)
		t_look_at_device(i);
	if (t_seen.reports)
		t_fail(T_MACHINE, "the kernel reports: %s", t_seen.report);
	if (t_seen.wrong[0])
		t_fail(T_MACHINE, "%s", t_seen.wrong);
}

void *t_machine(void *unused)
{
	struct t_rng rng;
	enum t_op op;
	__u64 step;
	int ret;

	(void)unused;
	t_is_machine = true;
	for (step = 1; !t_ending(); step++) {
		t_decide(&rng, T_MACHINE, 0, step);
		op = choose(&rng, step);
		usleep(1000 * (100 + t_random(&rng, 900)));
		if (t_ending())
			break;
		t_begin(T_MACHINE, step);
		t_decided(T_MACHINE, op, 0, 0, -EINPROGRESS);
		ret = act(op, &rng);
		t_decided(T_MACHINE, op, 0, 0, ret);
		if (!ret)
			t_count(&t_shared->ops[op], 1);
		look_at_all();
		t_rest(T_MACHINE);
	}
	return NULL;
}

/* ---- before and after ---- */

/* Two that can do all, and one with a fault log of its own */
static void find_devices(void)
{
	struct sva_device all[SVA_MAX_DEVICES], *own = NULL;
	int n = sva_devices(all, SVA_MAX_DEVICES), i;

	for (i = 0; i < n; i++) {
		if (!all[i].pasid)
			continue;
		if (all[i].own_faults)
			own = &all[i];
		else if ((all[i].pri || all[i].stall) && t_shared->devices < 2)
			t_shared->device[t_shared->devices++] = all[i];
	}
	if (t_shared->devices < 2) {
		fprintf(stderr, "sva_torture: two devices with PRI or stalls are needed\n");
		exit(4);
	}
	/* The model of AMD's IOMMU takes no untranslated request with a PASID. */
	if (own && access("/sys/class/iommu/ivhd0", F_OK))
		t_shared->device[t_shared->devices++] = *own;
}

/* Allocations fail only where a thread asks for it, in silence. */
static void prepare_injection(void)
{
	static const char * const kinds[] = { "failslab", "fail_page_alloc" };
	char path[128];
	size_t i;

	t_shared->inject = !access("/proc/self/fail-nth", W_OK);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/verbose", kinds[i]);
		if (sva_write_text(path, "0"))
			t_shared->inject = false;
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/ignore-gfp-wait", kinds[i]);
		sva_write_text(path, "N");
	}
	sva_write_text("/sys/kernel/debug/fail_page_alloc/min-order", "0");
}

static const char *allowed(bool lies)
{
	static char text[512];
	const char *more = t_shared->device[0].stall ? ALLOWED_STALL : "";

	if (lies)
		more = ALLOWED_LIES;
	else if (t_shared->suspend)
		more = ALLOWED_SUSPEND;
	else if (t_shared->unplug)
		more = ALLOWED_UNPLUG ALLOWED_LIES;
	snprintf(text, sizeof(text), ALLOWED "%s%s", more,
		 t_shared->errors ? ALLOWED_ERRORS : "");
	return text;
}

void t_machine_init(bool lies)
{
	__u32 i;

	find_devices();
	t_shared->modular = !access("/sys/module/sva_dma/initstate", F_OK);
	t_shared->errors = t_has_errors();
	t_shared->nodes = !access("/sys/devices/system/node/node1", F_OK);
	/* A device that is torn out completes no invalidation any more, as one that lies. */
	t_complaints = lies || t_shared->unplug;
	mark("SVA-ALLOW", allowed(lies));
	t_kmsg = sva_log_open();
	trace_begin();
	prepare_injection();
	sva_write_text(GROUPS "cgroup.subtree_control", "+memory");
	mkdir(GROUP, 0755);
	mkdir(HOG_GROUP, 0755);
	/* Those that are started from here are in the same group. */
	sva_write_text(GROUP "cgroup.procs", "0");
	for (i = 0; i < t_shared->devices; i++)
		t_look_at_device(i);
	memset(&t_seen, 0, sizeof(t_seen));
}

void t_machine_done(void)
{
	sva_write_text(CPU, "1");
	mark("SVA-ALLOW-END", "");
}
