/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Means to stop things in the middle, for the SVA suites
 *
 * A hold is a hook that stops a thread at a point of the software IOMMU until the test lets it
 * go. A gate is a file whose pages arrive when the test opens it: what a file server that has
 * died does to a page fault. A job is a function that runs beside the test.
 *
 * All of them belong to the test. Its exit function, sva_stage_exit(), lets go what still stands
 * and waits for the jobs before the fixture looks for what is left behind; so a test that fails in
 * the middle blocks no thread.
 */
#ifndef _DRIVERS_IOMMU_TESTS_SVA_STAGE_H
#define _DRIVERS_IOMMU_TESTS_SVA_STAGE_H

#include <linux/jiffies.h>
#include <linux/sched.h>

#include "sva_kunit.h"

/* What must happen, happens within this time: the emulator is slow, the machine has other work. */
#define SVA_PATIENCE	(40 * HZ)

struct sva_hold;
struct sva_gate;
struct sva_job;

/* For struct kunit_suite, in place of sva_fixture_exit(). */
void sva_stage_exit(struct kunit *test);
/* Its first half: lets everything go and waits for the jobs. */
void sva_stage_clear(struct kunit *test);

/*
 * Stops each thread that comes to @point of @iommu, for the sake of @dev if that is not NULL. Not
 * for points where the caller must not sleep.
 */
struct sva_hold *sva_hold(struct kunit *test, struct soft_iommu *iommu, enum soft_iommu_point point,
			  struct device *dev);
/* True when a thread has been stopped. */
bool sva_hold_caught(struct sva_hold *hold);
/* No thread is stopped any more. */
void sva_hold_release(struct sva_hold *hold);

/* Shut. The test's reference to the file goes with the test, or by sva_gate_forget_file(). */
struct sva_gate *sva_gate(struct kunit *test);
/* Maps it into the process, shared and writable; asserts that it worked. */
unsigned long sva_gate_map(struct sva_gate *gate, struct sva_proc *proc, size_t len);
/* From now on only mappings keep the file. */
void sva_gate_forget_file(struct sva_gate *gate);
/* True when @nr faults have come to the gate in all. */
bool sva_gate_reached(struct sva_gate *gate, unsigned int nr);
/* How many have come so far. */
unsigned int sva_gate_faults(struct sva_gate *gate);
void sva_gate_open(struct sva_gate *gate);
/* From now on a thread that waits at the gate goes when it is killed, as at most file systems. */
void sva_gate_let_killed_go(struct sva_gate *gate);
/* A thread that takes the last mapping down stops there until that is allowed again. */
void sva_gate_hold_unmap(struct sva_gate *gate);
void sva_gate_allow_unmap(struct sva_gate *gate);
/* True when the last mapping is being taken down. */
bool sva_gate_unmapped(struct sva_gate *gate);
/* True at once, without patience. */
bool sva_gate_is_unmapped(struct sva_gate *gate);
/* True when the file has been released. */
bool sva_gate_file_released(struct sva_gate *gate);
/* Each thread that faults calls @fn with the index of the page. To be set before the first one. */
void sva_gate_on_fault(struct sva_gate *gate, void (*fn)(unsigned long index, void *arg),
		       void *arg);
/* Called when the file is released, as a driver's release() would be. */
void sva_gate_on_release(struct sva_gate *gate, void (*fn)(void *arg), void *arg);

struct sva_job *sva_job(struct kunit *test, long (*fn)(void *arg), void *arg);
/* True when the function has returned. */
bool sva_job_ends(struct sva_job *job);
/*
 * True when it has come to where it sleeps, and has not returned a moment later: of a job that
 * waits for what did not happen yet.
 */
bool sva_job_waits(struct sva_job *job);
/* Waits however long it takes; what the function returned. */
long sva_job_wait(struct sva_job *job);
/* Jobs of which there are many. */
struct sva_job *sva_job_exit(struct kunit *test, struct sva_proc *proc);
struct sva_job *sva_job_kill(struct kunit *test, struct sva_proc *proc);
struct sva_job *sva_job_unbind(struct kunit *test, struct iommu_sva *sva);
/* Binds and unbinds; returns the error of bind. */
struct sva_job *sva_job_visit(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc);

/**
 * struct sva_count - a hook that counts
 * @calls: how often it was called
 * @dev: count only what is for this device; NULL: all
 * @fail_at: the call, from 1, that returns @error
 * @error: 0 or -errno
 */
struct sva_count {
	atomic_t calls;
	struct device *dev;
	int fail_at;
	int error;
};

struct sva_count *sva_count(struct kunit *test, struct soft_iommu *iommu,
			    enum soft_iommu_point point, struct device *dev);
int sva_counted(struct sva_count *count);

/**
 * struct sva_scene - a process with some memory that an endpoint is bound to
 * @proc: the process
 * @addr: its memory, each page with sva_mark() of its number at the start
 * @sva: the bond; the caller that asked for the scene unbinds
 * @pasid: of the bond
 */
struct sva_scene {
	struct sva_proc *proc;
	unsigned long addr;
	struct iommu_sva *sva;
	u32 pasid;
};

struct sva_scene sva_scene(struct kunit *test, struct soft_endpoint *ep, unsigned int pages);

/* A number that is nowhere by accident. */
static inline u64 sva_mark(unsigned int n)
{
	return 0x5aa5c33c00000000ULL + n;
}

/* Maps anonymous memory just there, in the place of what is there; asserts that it worked. */
void sva_proc_map_at(struct sva_proc *proc, unsigned long addr, size_t len);
/* The CPU writes 8 bytes at the start of each page as the process would; asserts success. */
void sva_fill(struct kunit *test, struct sva_proc *proc, unsigned long addr, const u64 *values,
	      unsigned int pages);
void sva_poke(struct kunit *test, struct sva_proc *proc, unsigned long addr, u64 value);
/* Like a page request of one page, which closes its group. */
int sva_ask(struct soft_endpoint *ep, u32 pasid, unsigned long addr, u32 perm, u32 grpid);

/* The 8 bytes at @addr as the device sees them, or -errno. */
u64 sva_dma_get(struct soft_endpoint *ep, u32 pasid, unsigned long addr);
/* The same by the CPU. */
u64 sva_cpu_get(struct sva_proc *proc, unsigned long addr);
/* The device can neither read nor write at @addr, with and without page requests. */
bool sva_dma_refused(struct soft_endpoint *ep, u32 pasid, unsigned long addr);

#define SVA_EXPECT_READS(test, ep, pasid, addr, value)	\
	KUNIT_EXPECT_EQ(test, sva_dma_get(ep, pasid, addr), (u64)(value))
#define SVA_EXPECT_HOLDS(test, proc, addr, value)	\
	KUNIT_EXPECT_EQ(test, sva_cpu_get(proc, addr), (u64)(value))
#define SVA_EXPECT_REFUSED(test, ep, pasid, addr)	\
	KUNIT_EXPECT_TRUE(test, sva_dma_refused(ep, pasid, addr))

#if SVA_CORE
/**
 * struct sva_driver - the software IOMMU's driver with operations that a test may change
 * @ops: what the core calls
 * @sva_ops: of @ops
 */
struct sva_driver {
	struct iommu_ops ops;
	struct iommu_sva_ops sva_ops;
};

/* From now on of the IOMMU that @ep is behind */
struct sva_driver *sva_driver(struct kunit *test, struct soft_endpoint *ep);
#endif

/* True when @cond has become true; for what no completion tells of. */
#define sva_becomes(cond) ({						\
	unsigned long __end = jiffies + SVA_PATIENCE;			\
	bool __met;							\
									\
	do {								\
		__met = (cond);						\
		if (!__met)						\
			schedule_timeout_idle(1);			\
	} while (!__met && time_before(jiffies, __end));		\
	__met;								\
})

/* The PASID of an mm is freed with the mm, not when its last bond goes. */
static inline bool sva_pasid_stays_with_mm(void)
{
#ifdef CONFIG_X86
	if (cpu_feature_enabled(X86_FEATURE_ENQCMD))
		return true;
#endif
	return !SVA_CORE;
}

/*
 * For suites of which one case has a part of @nr rounds, or seconds: KUnit ends a case after five
 * minutes. The parameter is the number of the first one of the part, and 1.
 */
const void *sva_gen_parts(const void *prev, char *desc, unsigned int nr, unsigned int part,
			  const char *unit);

/* How many lines of the kernel's log have the device's name in them. */
unsigned int sva_log_lines(struct kunit *test, struct device *dev);

/* How long a PASID stays in quarantine after its last stray, for the rest of the test. */
void sva_quarantine(struct kunit *test, unsigned int ms);
/* Takes all PASIDs that are free for @dev; returns how many. At most @max. */
unsigned int sva_take_pasids(struct device *dev, ioasid_t *pasids, unsigned int max);
void sva_give_pasids(const ioasid_t *pasids, unsigned int nr);
/* Is @pasid among those that are free for the device, of at most 64? */
bool sva_can_have_pasid(struct soft_endpoint *ep, ioasid_t pasid);
/* True when @nr PASIDs are free for @dev, of at most 4096. */
bool sva_pasids_free(struct kunit *test, struct soft_endpoint *ep, unsigned int nr);

#endif /* _DRIVERS_IOMMU_TESTS_SVA_STAGE_H */
