// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: a device that lies, beside one that does not.
 *
 * The liar has the first device send what no honest one sends: page requests for PASIDs and
 * addresses that are not its own, pieces of groups that never end, groups and numbers of requests
 * beyond its allocation, the same request many times at once, stop markers for nothing, and DMA
 * with another's PASID; and complete no invalidation. Each last request must be answered once, and
 * with Success only if the process could have made the access.
 *
 * An honest process works on the second device, alone first, then beside the liar. How well it is
 * served is counted in operations: pages that came per page request that its device had to send.
 * The rate by the clock is printed and not judged: the liar takes the emulator's time, too.
 *
 * Nothing else may be touched: a bystander, which is bound to no device, has memory at the
 * addresses that the liar aims at, and the first device's own count of the bytes it has moved must
 * be that of the jobs which were granted. The output says where the bystander's memory and the
 * kernel's image are, for scripts/test/scan-dma, which compares that with what the emulator has
 * seen.
 */
#include "sva_torture.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define RW		(PROT_READ | PROT_WRITE)
#define PAGES		32
#define LEN		(PAGES * t_page)
#define READ		(SVA_DMA_RAW_READ | SVA_DMA_RAW_LAST)
#define WRITE		(SVA_DMA_RAW_WRITE | SVA_DMA_RAW_LAST)
#define SUCCESS		0
#define INVALID		1
#define EITHER		2
#define INDICES		300	/* of the 512 whose answers the device keeps */
#define PASIDS		4096	/* that the liar makes up: the emulator keeps something for each */
#define HONEST_PAGES	64
#define ALONE		40	/* operations of the honest one, before the liar begins */
#define CALIBRATED	90	/* per cent of its service alone that it must have */
#define MOST_LINES	300	/* that the kernel may log, and so many more a second */
#define MOST_KB		16384	/* that its memory may grow by, without what KASAN keeps */
#define VICTIM		((__u8 *)0x600000000000UL)

/**
 * struct t_lying - what the three processes share
 * @requests: that the liar has sent
 * @rounds: of lies
 * @operations: of the honest process
 * @pages: that came for it
 * @asked: page requests that its device sent for them
 * @ms: that they took
 * @pasid: of the honest process
 * @beside: the liar is at work
 * @frame: physical addresses of the bystander's pages; 0: it has not stayed where it was
 *
 * The honest process counts what it does alone as [0], and the rest as [1].
 */
struct t_lying {
	__u64 requests;
	__u64 rounds;
	__u64 operations[2];
	__u64 pages[2];
	__u64 asked[2];
	__u64 ms[2];
	__u32 pasid;
	__u32 beside;
	__u64 frame[PAGES];
};

struct t_liar {
	struct sva_queue q;
	struct sva_queue other;
	__u8 *memory;
	volatile __u32 *regs;
	struct t_rng rng;
	bool amd;
	__u64 moved;		/* since the last reset */
};

static struct t_lying *t_lying;

static void send(struct t_liar *l, __u32 pasid, __u64 addr, __u32 flags)
{
	int ret = sva_raw_send(&l->q, pasid, addr, flags);

	if (ret != SVA_DMA_RAW_OK)
		t_fail(0, "a request (PASID %u, %#llx, flags %#x) is not sent: %d %s", pasid,
		       (unsigned long long)addr, flags, ret, l->q.error);
	t_lying->requests++;
}

/* Takes the answers to the last requests of indices below @nr, in any order: each comes once. */
static void take(struct t_liar *l, __u32 nr, int wanted)
{
	__u8 seen[SVA_DMA_RAW_PRGI + 1] = {};
	__u32 resp, index, code, i;

	for (i = 0; i < nr; i++) {
		if (sva_raw_recv(&l->q, SVA_TIMEOUT_MS, &resp))
			t_fail(0, "answer %u of %u does not come: %s", i, nr, l->q.error);
		index = resp & SVA_DMA_RAW_RESP_PRGI;
		code = (resp & SVA_DMA_RAW_RESP_CODE) >> 12;
		if (resp & SVA_DMA_RAW_RESP_UNEXPECTED || index >= nr || seen[index]++)
			t_fail(0, "an answer to nothing that was asked: %#x", resp);
		if (code > INVALID || (wanted != EITHER && (int)code != wanted))
			t_fail(0, "the answer is %#x, and should have had code %d", resp, wanted);
	}
}

static void no_more(struct t_liar *l)
{
	__u32 resp;

	if (sva_raw_recv(&l->q, 0, &resp) != -ENODATA)
		t_fail(0, "one answer too many: %#x", resp);
}

/*
 * An IOMMU whose queue overflows answers last requests itself, with Success, until its driver has
 * seen to that: from the return on the kernel answers again.
 */
static void end_overflow(struct t_liar *l)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	__u32 resp;

	do {
		if (sva_now_ms() > end)
			t_fail(0, "the queue of requests overflows for ever");
		send(l, l->q.info.pasid, 0, READ);
		if (sva_raw_recv(&l->q, SVA_TIMEOUT_MS, &resp))
			t_fail(0, "a request is not answered: %s", l->q.error);
		if (resp & (SVA_DMA_RAW_RESP_UNEXPECTED | SVA_DMA_RAW_RESP_PRGI))
			t_fail(0, "an answer to nothing that was asked: %#x", resp);
	} while ((resp & SVA_DMA_RAW_RESP_CODE) >> 12 != INVALID);
}

/* ---- lies ---- */

/*
 * A number that is not the liar's. AMD's IOMMU answers requests for what is wider than its own
 * PASIDs itself and without a PASID, which an endpoint cannot tell from an answer to nothing: there
 * all are below 256.
 */
static __u32 foreign_pasid(struct t_liar *l)
{
	__u32 bits = l->amd && l->q.info.pasid_bits > 8 ? 8 : l->q.info.pasid_bits, pasid;

	if (!t_random(&l->rng, 2))
		return t_lying->pasid;
	pasid = t_random(&l->rng, PASIDS);
	/* All numbers of up to 12 bits, or as many of all sizes */
	if (bits > 12)
		pasid = pasid << (bits - 12) | pasid >> (24 - bits);
	pasid &= (1U << bits) - 1;
	return pasid == l->q.info.pasid ? 0 : pasid;
}

static void stranger(struct t_liar *l)
{
	__u32 i;

	for (i = 0; i < 16; i++)
		send(l, foreign_pasid(l), (uintptr_t)(i & 1 ? VICTIM : l->memory),
		     (i & 2 ? WRITE : READ) | i);
	take(l, 16, INVALID);
}

static __u64 foreign_address(struct t_liar *l)
{
	static const __u64 bad[] = {
		0, 0x1000, 0x0000800000000000ULL, 0xffff7ffffffff000ULL, 0xffff800000000000ULL,
		0xffff888000000000ULL, 0xffffffff81000000ULL, ~0ULL, 0x8000000000001000ULL,
	};

	return bad[t_random(&l->rng, ARRAY_SIZE(bad))] +
	       0x1000 * t_random(&l->rng, 4) * !t_random(&l->rng, 4);
}

static void bad_address(struct t_liar *l)
{
	__u32 i;

	for (i = 0; i < 16; i++)
		send(l, l->q.info.pasid, foreign_address(l), (i & 1 ? READ : WRITE) | i);
	take(l, 16, INVALID);
}

/* As fast as the registers take them, without the driver in between */
static void flood(struct t_liar *l)
{
	__u32 own = l->q.info.pasid, i;
	bool stray = t_random(&l->rng, 2);
	__u64 addr;

	l->regs[SVA_DMA_REG_BEHAVIOUR / 4] |= SVA_DMA_LIE;
	for (i = 0; i < INDICES; i++) {
		addr = stray ? (uintptr_t)VICTIM : foreign_address(l);
		l->regs[SVA_DMA_REG_RAW_ADDR / 4] = addr;
		l->regs[SVA_DMA_REG_RAW_ADDR / 4 + 1] = addr >> 32;
		l->regs[SVA_DMA_REG_RAW_PASID / 4] = stray ? foreign_pasid(l) : own;
		l->regs[SVA_DMA_REG_RAW_SEND / 4] = (i & 1 ? READ : WRITE) | i;
		if (l->regs[SVA_DMA_REG_RAW_STATUS / 4] != SVA_DMA_RAW_OK)
			t_fail(0, "request %u of many is not sent", i);
	}
	t_lying->requests += INDICES;
	take(l, INDICES, EITHER);
	end_overflow(l);
	l->regs[SVA_DMA_REG_BEHAVIOUR / 4] &= ~SVA_DMA_LIE;
}

static void bad_access(struct t_liar *l)
{
	static const __u32 flags[] = {
		SVA_DMA_RAW_PRIV, SVA_DMA_RAW_EXEC, SVA_DMA_RAW_PRIV | SVA_DMA_RAW_EXEC,
	};
	__u32 i;

	for (i = 0; i < 16; i++)
		send(l, l->q.info.pasid, (uintptr_t)l->memory + i * t_page,
		     READ | flags[t_random(&l->rng, 3)] | i);
	take(l, 16, INVALID);
}

/* One bad page spoils the group, wherever it is. */
static void pieces(struct t_liar *l)
{
	__u32 nr = 1 + t_random(&l->rng, 15), bad = t_random(&l->rng, 2 * nr), i;

	for (i = 0; i < nr; i++)
		send(l, l->q.info.pasid, i == bad ? 0 : (uintptr_t)l->memory + i * t_page,
		     SVA_DMA_RAW_READ);
	send(l, l->q.info.pasid, (uintptr_t)l->memory, READ);
	take(l, 1, bad < nr ? INVALID : SUCCESS);
}

static void duplicates(struct t_liar *l)
{
	__u32 nr = 2 + t_random(&l->rng, 15), i;

	madvise(l->memory, LEN, MADV_DONTNEED);
	for (i = 0; i < nr; i++)
		send(l, l->q.info.pasid, (uintptr_t)l->memory, WRITE | i);
	take(l, nr, SUCCESS);
}

static void markers(struct t_liar *l)
{
	int i;

	for (i = 0; i < 50; i++)
		send(l, l->q.info.pasid, 0, SVA_DMA_RAW_STOP_MARKER | i);
	no_more(l);
}

/* More at once than the device was granted: some pieces of one group, and many groups. */
static void beyond_credits(struct t_liar *l)
{
	__u32 i, piece = SVA_DMA_RAW_PRGI;

	l->regs[SVA_DMA_REG_BEHAVIOUR / 4] |= SVA_DMA_LIE;
	for (i = 0; i < 400; i++)
		send(l, l->q.info.pasid, (uintptr_t)l->memory, SVA_DMA_RAW_READ | piece);
	for (i = 0; i < INDICES; i++)
		send(l, l->q.info.pasid, (uintptr_t)l->memory + i % PAGES * t_page, WRITE | i);
	take(l, INDICES, EITHER);
	send(l, l->q.info.pasid, (uintptr_t)l->memory, READ | piece);
	if (sva_raw_recv(&l->q, SVA_TIMEOUT_MS, &i))
		t_fail(0, "an oversized group is not answered: %s", l->q.error);
	if (i & SVA_DMA_RAW_RESP_UNEXPECTED || (i & SVA_DMA_RAW_RESP_PRGI) != piece)
		t_fail(0, "an answer to nothing that was asked: %#x", i);
	end_overflow(l);
	l->regs[SVA_DMA_REG_BEHAVIOUR / 4] &= ~SVA_DMA_LIE;
}

/* The device's count of the bytes that it has moved is that of its jobs. */
static void count_bytes(struct t_liar *l)
{
	struct sva_dma_counters now;
	__u64 moved;

	if (sva_counters(&l->q, &now))
		t_fail(0, "%s", l->q.error);
	moved = now.value[SVA_DMA_CNT_BYTES_READ] + now.value[SVA_DMA_CNT_BYTES_WRITTEN];
	if (moved != l->moved)
		t_fail(0, "the device has moved %llu bytes, and its jobs %llu",
		       (unsigned long long)moved, (unsigned long long)l->moved);
	if (now.value[SVA_DMA_CNT_PRI_UNEXPECTED] || now.value[SVA_DMA_CNT_PRI_FAILURE])
		t_fail(0, "%llu answers to nothing, %llu Response Failures", (unsigned long long)
		       now.value[SVA_DMA_CNT_PRI_UNEXPECTED], (unsigned long long)
		       now.value[SVA_DMA_CNT_PRI_FAILURE]);
}

static void reset(struct t_liar *l)
{
	count_bytes(l);
	if (t_pci_write(0, "reset", "1"))
		t_fail(0, "the device cannot be made to forget");
	l->moved = 0;
}

/* Groups without end take all credits: a reset is the only way out. */
static void endless_groups(struct t_liar *l)
{
	int status = SVA_DMA_RAW_OK, i;

	for (i = 0; i < 5000 && status == SVA_DMA_RAW_OK; i++) {
		status = sva_raw_send(&l->q, l->q.info.pasid, (uintptr_t)l->memory,
				      SVA_DMA_RAW_READ | i % 32);
		t_lying->requests++;
	}
	if (status != SVA_DMA_RAW_BUSY)
		t_fail(0, "credits do not end: %d", status);
	reset(l);
}

static void honest_job(struct t_liar *l)
{
	struct sva_job job = sva_fill(l->memory, LEN, 0x21);
	struct sva_result result = sva_run(&l->q, &job);

	if (result.status != SVA_DMA_DONE)
		t_fail(0, "the device that lies is not served when it does not: %s at %#llx",
		       sva_status_name(result.status), (unsigned long long)result.fault_addr);
	l->moved += result.bytes;
}

/*
 * DMA with a PASID that the process has not got is refused before a byte is moved. The queue is
 * there from the beginning: a device that uses many such PASIDs may not be bound for a while.
 */
static void foreign_dma(struct t_liar *l)
{
	__u32 pasid = t_random(&l->rng, 4) ? t_lying->pasid : 1 + t_random(&l->rng, 200);
	struct sva_job job = sva_fill(VICTIM, t_page, 0x66);
	struct sva_result result;
	struct sva_queue *q = &l->other;

	if (pasid == q->info.pasid)
		return;
	if (sva_stop(q) || sva_use_pasid(q, pasid) || sva_start(q))
		t_fail(0, "%s", q->error);
	result = sva_run(q, &job);
	if (result.status == SVA_DMA_DONE || result.status < 0 || result.bytes)
		t_fail(0, "DMA with a foreign PASID: %s, %llu bytes",
		       sva_status_name(result.status), (unsigned long long)result.bytes);
	t_lying->requests++;
}

/* Invalidations that are never completed cost those who wait for them a time-out, and no more. */
static void hang(struct t_liar *l)
{
	__s64 begin;

	honest_job(l);
	l->regs[SVA_DMA_REG_BEHAVIOUR / 4] = SVA_DMA_INV_HANG;
	begin = sva_now_ms();
	if (munmap(l->memory, LEN))
		t_fail(0, "munmap: %s", strerror(errno));
	if (sva_now_ms() - begin > SVA_TIMEOUT_MS)
		t_fail(0, "an munmap() took %lld ms", (long long)(sva_now_ms() - begin));
	reset(l);
	if (mmap(l->memory, LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != l->memory)
		t_fail(0, "mmap: %s", strerror(errno));
}

/* ---- the processes ---- */

static void lie_once(struct t_liar *l)
{
	static void (* const lies[])(struct t_liar *l) = {
		stranger, stranger, stranger, bad_address, bad_address, bad_address, bad_access,
		pieces, pieces, pieces, duplicates, duplicates, markers, beyond_credits,
		flood, flood, flood, flood, flood, flood, honest_job, foreign_dma,
	};

	if (t_shared->device[0].stall)
		foreign_dma(l);
	else if (!t_random(&l->rng, 500))
		hang(l);
	else if (!t_random(&l->rng, 100))
		endless_groups(l);
	else
		lies[t_random(&l->rng, ARRAY_SIZE(lies))](l);
}

__attribute__((noreturn))
static void liar(void)
{
	struct t_liar l = {};
	__u64 round;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	l.memory = mmap(NULL, LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	l.regs = t_map_registers(0);
	l.amd = !access("/sys/class/iommu/ivhd0", F_OK);
	if (l.memory == MAP_FAILED || l.regs == MAP_FAILED)
		t_fail(0, "no memory, or no registers");
	if (sva_open(&l.q, &t_shared->device[0]) || sva_control(&l.q, SVA_DMA_CTRL_CLEAR) ||
	    sva_start(&l.q))
		t_fail(0, "%s", l.q.error);
	if (sva_open(&l.other, &t_shared->device[0]) || sva_start(&l.other))
		t_fail(0, "%s", l.other.error);
	for (round = 1; !t_ending(); round++) {
		t_decide(&l.rng, 0, 0, round);
		t_begin(0, round);
		lie_once(&l);
		t_lying->rounds = round;
	}
	honest_job(&l);
	count_bytes(&l);
	if (!t_shared->device[0].stall)
		no_more(&l);
	sva_close(&l.other);
	sva_close(&l.q);
	t_rest(0);
	_exit(0);
}

/* One operation: all pages are dropped, and the device brings them back. */
static void work(struct sva_queue *q, __u8 *memory, __u32 n)
{
	struct sva_job job = sva_fill(memory, HONEST_PAGES * t_page, 0);
	int asked = t_shared->device[1].stall ? SVA_DMA_CNT_STALLS : SVA_DMA_CNT_PRI_REQUESTS;
	struct sva_dma_counters before, after;
	bool beside = __atomic_load_n(&t_lying->beside, __ATOMIC_SEQ_CST);
	__s64 begin = sva_now_ms();
	struct sva_result result;
	size_t i;

	job.arg0 = 0x5b00000000000000ULL | n;
	madvise(memory, HONEST_PAGES * t_page, MADV_DONTNEED);
	if (sva_counters(q, &before))
		t_fail(2, "%s", q->error);
	result = sva_run(q, &job);
	if (result.status != SVA_DMA_DONE || sva_counters(q, &after))
		t_fail(2, "an honest device is not served: %s, after %llu bytes, at %#llx",
		       sva_status_name(result.status), (unsigned long long)result.bytes,
		       (unsigned long long)result.fault_addr);
	for (i = 0; i < HONEST_PAGES * t_page / 8; i++)
		if (((volatile __u64 *)memory)[i] != job.arg0)
			t_fail(2, "a word of an honest device's is wrong");
	t_lying->operations[beside]++;
	t_lying->pages[beside] += HONEST_PAGES;
	t_lying->asked[beside] += after.value[asked] - before.value[asked];
	t_lying->ms[beside] += sva_now_ms() - begin;
}

__attribute__((noreturn))
static void honest(void)
{
	struct sva_queue q;
	__u8 *memory;
	__u32 n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory = mmap(NULL, HONEST_PAGES * t_page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || sva_open(&q, &t_shared->device[1]) || sva_start(&q))
		t_fail(2, "%s", memory == MAP_FAILED ? "no memory" : q.error);
	__atomic_store_n(&t_lying->pasid, q.info.pasid, __ATOMIC_SEQ_CST);
	for (n = 1; !t_ending(); n++) {
		t_begin(2, n);
		work(&q, memory, n);
	}
	sva_close(&q);
	t_rest(2);
	_exit(0);
}

/* Forgets pages that were moved. */
static void compare_frames(volatile __u8 *memory)
{
	int i;

	for (i = 0; i < PAGES; i++)
		if (t_lying->frame[i] != sva_frame_of(memory + i * t_page) * t_page)
			t_lying->frame[i] = 0;
}

/* It has no bond, and memory where the liar aims at. */
__attribute__((noreturn))
static void bystander(void)
{
	volatile __u8 *memory;
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory = mmap(VICTIM, LEN, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (memory != VICTIM)
		t_fail(4, "no memory at %p: %s", (void *)VICTIM, strerror(errno));
	for (i = 0; i < LEN; i++)
		memory[i] = 0x77;
	/* It stays where it is. */
	if (mlock((void *)memory, LEN))
		t_fail(4, "mlock: %s", strerror(errno));
	for (i = 0; i < PAGES; i++)
		t_lying->frame[i] = sva_frame_of(memory + i * t_page) * t_page;
	while (!t_ending()) {
		usleep(500000);
		for (i = 0; i < LEN; i++)
			if (memory[i] != 0x77)
				t_fail(4, "memory of an unbound process has changed: byte %zu", i);
	}
	compare_frames(memory);
	_exit(0);
}

static pid_t begin(void (*body)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		body();
	if (pid < 0)
		t_fail(T_MACHINE, "fork: %s", strerror(errno));
	return pid;
}

/* ---- the judge ---- */

/* How many records the kernel's log has had */
static __u64 log_records(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned long long number, last = 0;
	char record[2048];
	ssize_t n;

	while (fd >= 0) {
		n = read(fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		record[n] = '\0';
		/* Level, then the record's number */
		if (sscanf(record, "%*u,%llu,", &number) == 1)
			last = number;
	}
	close(fd);
	return last;
}

/* In thousandths: pages that came per request */
static __u64 service(int beside)
{
	return t_lying->asked[beside] ? t_lying->pages[beside] * 1000 / t_lying->asked[beside] : 0;
}

static void print_lies(const struct t_options *options, __u64 records, long kb)
{
	int i;

	printf("# lies: seed %llu, %u s: %llu lies in %llu rounds, %llu records logged, ",
	       (unsigned long long)options->seed, options->seconds,
	       (unsigned long long)t_lying->requests, (unsigned long long)t_lying->rounds,
	       (unsigned long long)records);
	printf("%ld KiB more in use, %llu reports\n", kb, (unsigned long long)t_seen.reports);
	for (i = 0; i < 2; i++)
		printf("# honest %s: %llu operations, %llu pages per 1000 requests, %llu a s\n",
		       i ? "beside" : "alone", (unsigned long long)t_lying->operations[i],
		       (unsigned long long)service(i), (unsigned long long)
		       (t_lying->pages[i] * 1000 / (t_lying->ms[i] ?: 1)));
}

/* Physical memory that no device may reach: "w": may write to */
static void print_out_of_reach(void)
{
	FILE *map = fopen("/proc/iomem", "re");
	unsigned long long first, last;
	char line[128], what[32];
	int i;

	for (i = 0; i < PAGES; i++)
		if (t_lying->frame[i])
			printf("# out of reach: 0x%llx-0x%llx r\n", (unsigned long long)
			       t_lying->frame[i], (unsigned long long)
			       t_lying->frame[i] + t_page - 1);
	while (map && fgets(line, sizeof(line), map))
		if (sscanf(line, " %llx-%llx : Kernel %31s", &first, &last, what) == 3 && last)
			printf("# out of reach: 0x%llx-0x%llx w\n", first, last);
	if (map)
		fclose(map);
}

static int judge(const struct t_options *options, __u64 seconds, __u64 records, long kb)
{
	__u64 alone = service(0), beside = service(1);
	char why[256];
	bool passed = true;

	t_look_at_log();
	print_lies(options, records, kb);
	print_out_of_reach();
	passed &= t_result(1, "lies_are_answered_and_touch_nothing",
			   !t_shared->failed && t_lying->rounds, t_shared->failure);
	snprintf(why, sizeof(why), "%llu pages per 1000 requests, and %llu alone",
		 (unsigned long long)beside, (unsigned long long)alone);
	passed &= t_result(2, "honest_device_is_served_as_if_alone", t_lying->operations[1] &&
			   beside * 100 >= alone * CALIBRATED, why);
	snprintf(why, sizeof(why), "%llu records", (unsigned long long)records);
	passed &= t_result(3, "log_is_bounded", records <= MOST_LINES + 20 * seconds, why);
	snprintf(why, sizeof(why), "%ld KiB", kb);
	passed &= t_result(4, "memory_is_bounded", kb <= MOST_KB, why);
	passed &= t_result(5, "kernel_reports_nothing", !t_seen.reports, t_seen.report);
	t_machine_done();
	return passed ? 0 : 1;
}

static void await(pid_t pid)
{
	__s64 end = sva_now_ms() + 2 * SVA_TIMEOUT_MS;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (sva_now_ms() > end || t_shared->failed) {
			kill(pid, SIGKILL);
			status = SIGKILL;
			break;
		}
		usleep(10000);
	}
	if (status && !__atomic_exchange_n(&t_shared->failed, 1, __ATOMIC_SEQ_CST))
		snprintf(t_shared->failure, sizeof(t_shared->failure),
			 "process %d has not ended, or with wait status %#x", pid, status);
}

static bool alone_long_enough(__s64 end)
{
	while (t_lying->operations[0] < ALONE && sva_now_ms() < end && !t_shared->failed)
		usleep(10000);
	return !t_shared->failed;
}

int t_lies(const struct t_options *options)
{
	__s64 start = sva_now_ms(), end = start + options->seconds * 1000LL;
	__s64 half = end - options->seconds * 500LL;
	pid_t pid[3] = {};
	__u64 records;
	long kb;
	int i;

	t_lying = mmap(NULL, sizeof(*t_lying), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t_lying == MAP_FAILED)
		return 2;
	/* What is locked stays where it is. */
	sva_write_text("/proc/sys/vm/compact_unevictable_allowed", "0");
	/* Pages that come unasked would hide requests that are lost. */
	sva_write_text("/sys/module/iommu_sva/parameters/fault_around_pages", "0");
	pid[0] = begin(bystander);
	pid[1] = begin(honest);
	if (alone_long_enough(half)) {
		__atomic_store_n(&t_lying->beside, 1, __ATOMIC_SEQ_CST);
		pid[2] = begin(liar);
	}
	/* What is cached for the first lies is no growth. */
	while (t_lying->rounds < 50 && !t_shared->failed && sva_now_ms() < end)
		usleep(10000);
	records = log_records();
	kb = sva_slab_kb();
	while (sva_now_ms() < end && !t_shared->failed)
		usleep(10000);
	/* A slow machine may not have come to any of it. */
	while (!(t_lying->rounds && t_lying->operations[1]) && !t_shared->failed &&
	       sva_now_ms() < end + SVA_TIMEOUT_MS)
		usleep(10000);
	records = log_records() - records;
	kb = sva_slab_kb() - kb;
	__atomic_store_n(&t_shared->end, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < 3; i++)
		if (pid[i])
			await(pid[i]);
	return judge(options, (sva_now_ms() - start) / 1000, records, kb);
}
