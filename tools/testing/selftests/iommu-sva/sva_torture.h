/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Torture: processes that change their memory at random beside DMA whose every byte is verified.
 *
 * Processes and streams. The director starts workers. A worker is a process of two actors, which
 * are threads: each has an arena of its own, and queues. What an actor does in a step is a function
 * of the seed, the number of its stream, of its run (a worker that has ended starts again with the
 * next run) and of the step: so a seed repeats the decisions, whatever became of the steps before.
 * One more stream, the machine's, does what concerns all: resets, CPUs, memory that runs short. All
 * streams write what they do to memory that all share, which outlives them.
 *
 * The oracle. An arena is made of slots, each a page of address space. The shadow holds what each
 * word of a slot is. A word may differ from its shadow only if
 *
 *   - a job in flight has the slot for its target (there is one such job at most, the slot's
 *     writer), and the word is what this job puts there;
 *   - the page has been given up with MADV_FREE and not been written since, and the word is zero;
 *   - it has not been touched since a monitor of userfaultfd was put upon it, and the word is
 *     zero or the monitor's.
 *
 * When a device cannot write to a slot any more, that is, when its writer has ended, or mprotect()
 * or mremap() has returned, the shadow becomes what is found there; from then on the slot must
 * stay as it is. When a job ends, its words must all be there, and those alone, in each slot whose
 * contents nothing but the job has changed meanwhile. Only where something has is either right.
 * What was dropped or unmapped is zero, or the writer's, but never again what it was. Pages taken
 * up right after others were given up, the traps, are never the target of a job, and must not
 * change. A job may be refused only for a slot that was out of its reach at some time while it ran,
 * and may be stopped only by its own actor, or by a disturbance of its device.
 */
#ifndef SVA_TORTURE_H
#define SVA_TORTURE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sva_queue.h"

#define T_DEVICES	3
#define T_WORKERS	8
#define T_ACTORS	2	/* of a worker */
#define T_MACHINE	(T_WORKERS * T_ACTORS)	/* the machine's stream */
#define T_STREAMS	(T_MACHINE + 1)
#define T_HISTORY	24
#define T_QUEUES	2	/* of an actor */
#define T_ARENA		(4UL << 20)
#define T_SHARED_PART	4	/* of this part of its slots, one is shared memory */
#define T_MAX_SLOTS	(T_ARENA / 4096)
#define T_JOB_SLOTS	32
#define T_TRAP		(32 * t_page)
#define T_ROUND		28	/* in so many steps the machine does all that is rare once */
#define T_STUCK_MS	(2LL * SVA_TIMEOUT_MS)

/* What streams do. The names are in sva_torture.c. */
enum t_op {
	T_REST,
	/* Jobs */
	T_FILL, T_COPY, T_CHECKSUM, T_CAS, T_ENDLESS, T_ABORT, T_REAP,
	/* What the CPU does */
	T_WRITE, T_VERIFY,
	/* Memory */
	T_MMAP, T_MUNMAP, T_MREMAP, T_MPROTECT, T_DONTNEED, T_FREE, T_PUNCH, T_PAGEOUT, T_COLD,
	T_HUGEPAGE, T_NOHUGEPAGE, T_COLLAPSE, T_MERGEABLE, T_UNMERGEABLE, T_POPULATE, T_MONITOR,
	/* Queues */
	T_OPEN, T_CLOSE, T_RESTART, T_DROP_ATC,
	/* Processes */
	T_FORK, T_EXEC, T_EXIT, T_KILLED,
	/* The machine */
	T_RESET, T_REBIND, T_REMOVE, T_BEHAVE, T_AROUND, T_COMPACT, T_DROP_CACHES, T_RECLAIM, T_KSM,
	T_CPU, T_OFFLINE, T_OOM, T_KILL, T_FUSE, T_RELOAD, T_CORRECTABLE, T_NONFATAL, T_FATAL,
	T_MIGRATE, T_SUSPEND, T_UNPLUG,
	T_OPS
};

/* One decision: the operation, what it was about, and 0, what it returned, or a negative errno */
struct t_decision {
	__u64 step;
	__u32 op;
	__u32 first;
	__u32 nr;
	__s32 result;
};

/**
 * struct t_stream - what a stream does, for the director
 * @pid: its process, or the one that the machine waits for; 0: none
 * @run: how many times its process was started before
 * @step: the present one
 * @since: when that began, in ms; 0: the stream rests
 * @job_since: when the oldest job that has not ended was submitted; 0: there is none
 * @history: the latest decisions, that of step n at n modulo T_HISTORY
 */
struct t_stream {
	pid_t pid;
	__u32 run;
	__u64 step;
	__s64 since;
	__s64 job_since;
	struct t_decision history[T_HISTORY];
};

/**
 * struct t_shared - what all processes share
 * @seed: as given
 * @workers: how many workers there are
 * @end: all streams come to an end
 * @failed: a stream has found a mistake, which @failure describes
 * @upset: of a device: odd while it is disturbed, and different afterwards
 * @device: the devices; a path changes only while its device is disturbed
 * @devices: how many there are
 * @inject: allocations can be made to fail
 * @suspend: the machine sleeps now and then
 * @unplug: the first device is torn out of its slot now and then
 * @modular: the devices' driver is a module, which can be unloaded
 * @errors: errors of PCI Express can be injected
 * @nodes: memory is on two nodes
 */
struct t_shared {
	__u64 seed;
	__u32 workers;
	__u32 end;
	__u32 failed;
	char failure[512];
	__u32 upset[T_DEVICES];
	struct sva_device device[T_DEVICES];
	__u32 devices;
	bool inject;
	bool suspend;
	bool unplug;
	bool modular;
	bool errors;
	bool nodes;
	/* Sums */
	__u64 ops[T_OPS];
	__u64 jobs;
	__u64 verified;
	__u64 refused;
	__u64 starved;
	__u64 injected;
	struct t_stream stream[T_STREAMS];
};

struct t_slot {
	bool mapped;
	bool lazy;		/* after MADV_FREE: may become zero at any time */
	bool fresh;		/* not touched since a monitor may fill it */
	__u8 prot;
	__s8 writer;		/* queue of the job that may write here; -1: none */
	__u8 readers;		/* jobs that may read */
	__u64 word;		/* what a monitor fills it with; 0: there was none */
	__u64 changed;		/* when something else than a job last changed its contents */
	__u64 barred[2];	/* when reads, and writes, were last impossible */
};

/**
 * struct t_job - a job in flight, or the latest
 * @live: it has not been reaped
 * @aborted: its actor has ended it
 * @what: as submitted
 * @words: bytes that it reads or writes
 * @when: time of the arena at its start; what happens later has a greater one
 * @since: the same, in ms
 * @upset: of the device, at the start
 * @source: what it is to copy, or what CAS is to find
 */
struct t_job {
	bool live;
	bool aborted;
	struct sva_job what;
	__u64 len;
	__u64 when;
	__s64 since;
	__u32 upset;
	__u8 *source;
};

/**
 * struct t_queue - a queue of an actor
 * @upset: of the device, before the queue was opened: one that has lost its device stays lost
 * @job: the only one, or the latest
 */
struct t_queue {
	struct sva_queue q;
	int device;
	__u32 upset;
	bool open;
	bool started;
	struct t_job job;
};

/* Decisions of a step */
struct t_rng {
	__u64 state;
};

/**
 * struct t_actor - a stream of a worker
 * @number: of the stream
 * @base: the arena: first slots that are shared memory, then private ones
 * @alias: the shared ones once more, for the CPU alone
 * @shadow: what is in the arena
 * @when: the arena's time
 * @tags: how many words that name their origin it has made
 * @trap: pages of @trap_word; @trapped says which of the two are there
 * @monitor: process that serves the page faults of some slots; 0: none
 * @children: processes that look at their copy of the arena
 * @nth: file that makes allocations of this thread fail
 */
struct t_actor {
	int number;
	__u32 run;
	__u8 *base;
	__u8 *alias;
	__u8 *shadow;
	int memfd;
	int slots;
	int shared_slots;
	__u64 when;
	__u32 tags;
	__u8 *trap[2];
	__u64 trap_word[2];
	int trapped;
	pid_t monitor;
	int children;
	int nth;
	bool retried;		/* the latest call that may meet an injection did */
	struct t_rng rng;
	struct t_queue queue[T_QUEUES];
	struct t_slot slot[T_MAX_SLOTS];
	__u64 hash[T_MAX_SLOTS];
};

extern struct t_shared *t_shared;
extern size_t t_page;

/* ---- sva_torture.c: what all have in common ---- */

void t_begin(int stream, __u64 step);
void t_decided(int stream, enum t_op op, __u32 first, __u32 nr, int result);
void t_rest(int stream);
const char *t_op_name(enum t_op op);

/* The first mistake counts: it is kept, with the stream that has found it, and the process ends. */
__attribute__((format(printf, 2, 3), noreturn))
void t_fail(int stream, const char *what, ...);

/* A signal that a queue's job page raises, since its device has gone, returns here. */
extern __thread sigjmp_buf t_gone;
extern __thread bool t_may_go;
/* This is the thread of the machine's stream. */
extern __thread bool t_is_machine;
/* The thread's stream */
extern __thread int t_stream;

#define T_GONE()	(t_may_go = true, sigsetjmp(t_gone, 0))
#define T_STAYED()	(t_may_go = false)

void t_catch_signals(void);

/* A line of the report */
bool t_result(int number, const char *name, bool passed, const char *why);

static inline __u64 t_mix(__u64 x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static inline void t_decide(struct t_rng *rng, int stream, __u32 run, __u64 step)
{
	rng->state = t_mix(t_mix(t_mix(t_shared->seed) ^ stream) ^ ((__u64)run << 40 ^ step));
}

/* A number below @below, which is not 0 */
static inline __u32 t_random(struct t_rng *rng, __u32 below)
{
	rng->state = t_mix(rng->state);
	return (rng->state >> 32) % below;
}

static inline bool t_ending(void)
{
	return __atomic_load_n(&t_shared->end, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&t_shared->failed, __ATOMIC_RELAXED);
}

static inline void t_count(__u64 *sum, __u64 n)
{
	__atomic_add_fetch(sum, n, __ATOMIC_RELAXED);
}

static inline __u32 t_upset(int device)
{
	return __atomic_load_n(&t_shared->upset[device], __ATOMIC_SEQ_CST);
}

/* Was the device disturbed since @before was read? */
static inline bool t_was_upset(int device, __u32 before)
{
	return (before & 1) || t_upset(device) != before;
}

/* ---- torture_oracle.c ---- */

void t_arena_init(struct t_actor *a, int stream, __u32 run);
__u64 t_tag(struct t_actor *a);
__u8 *t_at(struct t_actor *a, int slot);
/* Where the CPU can read a slot; NULL: nowhere */
const __u8 *t_readable(struct t_actor *a, int slot);
/* Is each word of the slot as it may be? With @adopt, what is there becomes the shadow. */
void t_check(struct t_actor *a, int slot, bool adopt);
/* A slot has moved: what its writer put there before is found at @to. */
void t_check_moved(struct t_actor *a, int from, int to);
void t_check_all(struct t_actor *a);
/* Frames that were given up are taken up by a trap; those of the trap before it are given up. */
void t_set_trap(struct t_actor *a);
void t_check_traps(struct t_actor *a);
/* Take note of a job that is about to be submitted, and of one that has ended. */
void t_job_starts(struct t_actor *a, struct t_queue *tq);
void t_job_ended(struct t_actor *a, struct t_queue *tq, struct sva_result result);

/* ---- torture_jobs.c: queues and jobs ---- */

int t_open(struct t_actor *a, struct t_queue *tq);
void t_close(struct t_actor *a, struct t_queue *tq);
int t_restart(struct t_actor *a, struct t_queue *tq);
int t_submit(struct t_actor *a, struct t_queue *tq, enum t_op op, __u32 *first, __u32 *nr);
int t_abort(struct t_actor *a, struct t_queue *tq);
/* Reap what has ended; with @all, wait for the rest. */
void t_reap(struct t_actor *a, bool all);
/* The next allocation, or one soon, of this thread fails. */
void t_inject(struct t_actor *a, __u32 nth);
/* Did it? From now on no more do. */
bool t_injected(struct t_actor *a);

/* ---- torture_memory.c ---- */

int t_memory(struct t_actor *a, enum t_op op, __u32 *first, __u32 *nr);
int t_fork(struct t_actor *a);
/* Take note of children and monitors that have ended; with @all, wait for them. */
void t_reap_children(struct t_actor *a, bool all);

/* ---- torture_worker.c ---- */

int t_worker(int worker, int shared_fd);

/* ---- torture_machine.c ---- */

struct t_options {
	__u32 seconds;
	__u32 workers;
	__u64 seed;
	bool suspend;
	bool unplug;
};

/* The machine's stream, which runs in the director */
void *t_machine(void *unused);
/* With @lies, or if a device is torn out, what the kernel says of that is no complaint. */
void t_machine_init(bool lies);
void t_machine_done(void);
/* What the machine has seen: reports in the kernel's log, and what the devices have counted. */
struct t_seen {
	__u64 reports;
	char report[256];
	__u64 served;
	__u64 moved;
	char wrong[256];
};

extern struct t_seen t_seen;
void t_look_at_log(void);
/* Keeps what the trace of the core has now, and prints the latest of it. */
void t_trace_end(void);
void t_trace_print(void);
void t_look_at_device(int device);
/* All channels are free again, and no device has used a PASID without a bond. */
bool t_given_back(char *why, size_t size);
/* The registers of a device; MAP_FAILED if they are not there */
volatile __u32 *t_map_registers(int device);
int t_pci_write(int device, const char *file, const char *text);
int t_await(pid_t pid, __s64 life);

/* ---- torture_fuse.c ---- */

/* A process has a device copy a file whose server dies. */
int t_fuse(struct t_rng *rng);

/* ---- torture_slot.c ---- */

/* The first device is torn out of its slot, and is put in again. */
int t_unplug(void);

/* ---- torture_errors.c ---- */

/* Can errors of PCI Express be injected? */
bool t_has_errors(void);
/* The port above the first device reports an error: T_CORRECTABLE, T_NONFATAL or T_FATAL. */
int t_error(enum t_op op);

/* ---- torture_lies.c ---- */

int t_lies(const struct t_options *options);

#endif /* SVA_TORTURE_H */
