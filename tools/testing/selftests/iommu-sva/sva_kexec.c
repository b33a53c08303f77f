// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva_kexec MODE [ARGS]: leaves two devices at work in this process's memory and starts another
 * kernel, whose init runs sva_test with ARGS.
 *
 *	reboot	by reboot(2): drivers' shutdown hooks run first
 *	crash	by a crash: none does, and the devices go on while the other kernel boots
 *
 * The kernel and its initramfs are in /boot, where scripts/test/boot has put them; the command line
 * is this kernel's, but for what is to run. Returns only if something is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sva_queue.h"

#define LEN		(256 * 1024UL)
#define DEVICES		2
#define GROUP		16	/* pages asked for at a time */
#define RUN		"sva.run=kexec sva.args=\""

/* If the other kernel dies before it has its console, it shall say why. */
#ifdef __aarch64__
#define EARLY		" earlycon"
#else
#define EARLY		""
#endif

/*
 * What this kernel and the other one may say until that one's init runs: see scripts/test/scan-log.
 * The base leaves interrupt remapping on. A crash stops no device: an interrupt that is pending, or
 * raised before an IOMMU is off, finds no handler in the other kernel.
 */
#define REBOOT "SVA-ALLOW DMAR-IR: IRQ remapping was enabled"
#define CRASH "SVA-EXPECT sysrq triggered crash|Call Trace:|Comm: sva_kexec|RIP: |" \
	"DMAR(-IR)?: (Copied|Translation (is|already)|DRHD: handling|\\[)|" \
	"No irq handler for [0-9]"

static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "sva_kexec: %s: %s\n", what, why);
	exit(1);
}

static void check(bool holds, const char *what)
{
	if (!holds)
		give_up(what, strerror(errno));
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static unsigned char *get_memory(void)
{
	void *memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(memory != MAP_FAILED, "memory");
	return memory;
}

/* ---- devices at work ---- */

static void start_job(struct sva_queue *queue, const struct sva_device *device,
		      struct sva_job job)
{
	if (sva_open(queue, device) || sva_start(queue))
		give_up("queue", queue->error);
	sva_submit(queue, &job);
}

static void await_progress(struct sva_queue *queue)
{
	struct sva_result result = sva_wait_progress(queue, LEN);

	if (result.status != SVA_DMA_RUNNING)
		give_up("job", sva_status_name(result.status));
}

/* Takes the pages away, so that the device asks for them again. */
static void *take_pages(void *memory)
{
	for (;;)
		if (madvise(memory, LEN, MADV_DONTNEED))
			give_up("madvise", strerror(errno));
	return NULL;
}

/* The file has no reader: a page request for @memory is answered when its device stops, if ever. */
static void keep_pages_back(void *memory)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)memory, .len = LEN },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);

	check(fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &range),
	      "userfaultfd");
}

static void await_pending(struct sva_queue *queue)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	struct sva_dma_counters counters;

	do {
		if (sva_now_ms() > end)
			give_up("page request", "none waits");
		sva_relax();
		if (sva_counters(queue, &counters))
			give_up("counters", queue->error);
	} while (!counters.pri_pending);
}

/* One job writes, one makes page requests all the time, and one waits for a page for ever. */
static void make_busy(const struct sva_device *device)
{
	struct sva_queue *queue = calloc(3, sizeof(*queue));
	unsigned char *memory[3];
	struct sva_job job;
	pthread_t thread;
	int i;

	check(queue, "memory");
	for (i = 0; i < 3; i++)
		memory[i] = get_memory();
	keep_pages_back(memory[2]);
	for (i = 0; i < 3; i++) {
		job = sva_fill(memory[i], LEN, 0x61 + i);
		job.op |= i ? sva_group(GROUP) : 0;
		job.repeat = SVA_FOREVER;
		start_job(&queue[i], device, job);
	}
	await_progress(&queue[0]);
	await_progress(&queue[1]);
	check(!pthread_create(&thread, NULL, take_pages, memory[1]), "thread");
	await_progress(&queue[1]);
	await_pending(&queue[2]);
}

/* ---- the other kernel ---- */

/* The command line of this kernel, with @args for sva_test. */
static void other_command_line(char *line, size_t size, bool crash, const char *args)
{
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	char mine[2048], *run, *rest, *reserved;
	ssize_t n = fd < 0 ? -1 : read(fd, mine, sizeof(mine) - 1);

	check(n > 0, "/proc/cmdline");
	mine[n] = '\0';
	mine[strcspn(mine, "\n")] = '\0';
	run = strstr(mine, RUN);
	rest = run ? strchr(run + strlen(RUN), '"') : NULL;
	if (!rest)
		give_up("/proc/cmdline", "no " RUN);
	*run = '\0';
	/* It has no memory to reserve in turn, and may have begun on any CPU. */
	reserved = strstr(rest, "crashkernel=");
	if (reserved)
		memset(reserved, ' ', strcspn(reserved, " "));
	if (snprintf(line, size, "%ssva.run=test sva.args=\"%s\"%s%s" EARLY, mine, args, rest + 1,
		     crash ? " sva.again nr_cpus=1" : " sva.again") >= (int)size)
		give_up("command line", "too long");
}

static void load(bool crash, const char *args)
{
	int kernel = open("/boot/kernel", O_RDONLY | O_CLOEXEC);
	int initramfs = open("/boot/initramfs", O_RDONLY | O_CLOEXEC);
	char line[2048];

	check(kernel >= 0 && initramfs >= 0, "/boot");
	other_command_line(line, sizeof(line), crash, args);
	check(!syscall(__NR_kexec_file_load, kernel, initramfs, strlen(line) + 1, line,
		       crash ? KEXEC_FILE_ON_CRASH : 0UL), "kexec_file_load");
	close(kernel);
	close(initramfs);
}

int main(int argc, char **argv)
{
	struct sva_device all[SVA_MAX_DEVICES];
	int n = sva_devices(all, SVA_MAX_DEVICES), busy = 0, i;
	bool crash = argc > 1 && !strcmp(argv[1], "crash");
	char args[512] = "";

	if (argc < 2 || (!crash && strcmp(argv[1], "reboot")))
		give_up("usage", "sva_kexec reboot|crash [ARGS for sva_test]");
	for (i = 2; i < argc; i++) {
		strncat(args, argv[i], sizeof(args) - strlen(args) - 2);
		strcat(args, i + 1 < argc ? " " : "");
	}
	load(crash, args);
	for (i = 0; i < n && busy < DEVICES; i++)
		if (all[i].sva && (all[i].pri || all[i].stall)) {
			make_busy(&all[i]);
			busy++;
		}
	if (busy < DEVICES)
		give_up("devices", "two are needed");
	printf("# two devices are at work\n");
	fflush(stdout);
	sync();
	write_text("/dev/kmsg", crash ? CRASH : REBOOT);
	if (crash)
		write_text("/proc/sysrq-trigger", "c");
	check(!reboot(RB_KEXEC), "reboot");
	return 1;
}
