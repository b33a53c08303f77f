/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The scale model: which simulated CPU takes which lock, and which CPUs write to a cache line.
 *
 * The core is compiled with -fsanitize=thread, and linked without the sanitizer: the compiler calls
 * scale_trace.c at each load and store that is not one of a local variable. So a line that CPUs
 * share is found whatever it is: a lock, a count, a list's neighbour. Lock operations and memory
 * that the base kernel has are the shims'.
 *
 * An instance is one lock, or one line of one object. Memory freed in a phase is not used again
 * in it: two objects at one address are never taken for one.
 */
#ifndef _IOMMU_SVA_HARNESS_SCALE_H
#define _IOMMU_SVA_HARNESS_SCALE_H

#include <linux/iommu.h>

#include "sim.h"

#define SCALE_CPUS	64
#define SCALE_LINE	64UL
#define SCALE_ROWS	1024

/**
 * struct scale_line - who writes to a line, in a phase
 * @cpus: a bit for each CPU that has written
 * @writes: how often
 * @pc: where, the last time
 * @first: of an object in the arena, the number of its first line
 */
struct scale_line {
	u64 cpus;
	u32 writes, pc, first;
};

/**
 * struct scale_row - what a phase has done to all locks of a class, or to all lines of one kind
 * @name: the class, the variable, or the function that has allocated the object
 * @offset: of the line in it, in lines
 * @is_lock: it is a lock
 * @total: acquisitions or writes
 * @shared: those of instances that several CPUs took or wrote to
 * @instances: how many there were
 * @top: acquisitions of, or writes to, the instance that most CPUs took or wrote to
 * @cpus: these CPUs
 * @pc: who wrote there last; 0: only who took a lock
 * @lock: of a line, a lock that is in it
 */
struct scale_row {
	const char *name;
	unsigned int offset;
	bool is_lock;
	u64 total, shared;
	unsigned int instances;
	u64 top, cpus;
	u32 pc;
	const char *lock;
};

/* All loads and stores of the core, but those of local variables, and all acquisitions, so far */
extern u64 scale_accesses, scale_acquisitions;

void scale_trace_init(void);
/* Between the two, what happens is recorded; the rows are valid until the next begin. */
void scale_begin(void);
const struct scale_row *scale_end(unsigned int *nr);
/* FILE:FUNCTION of an address of code; valid until the next call */
const char *scale_place(u32 pc);

/* Memory: the arena, in lines */
extern char *scale_arena;
extern size_t scale_arena_used;
void scale_mem_init(void);
/* The function that has allocated what begins at a line of the arena */
const char *scale_object_name(u32 first);
/* A new object has @lines lines, the first of which is @first. */
void scale_line_owner(u32 first, u32 lines);
/* What has been freed may be used again. */
void scale_mem_recycle(void);

/* An IOMMU, and devices behind it that can send page requests */
struct scale_iommu;
struct scale_iommu *scale_iommu_new(unsigned int cpu);
struct device *scale_device_new(struct scale_iommu *iommu);
/* On which CPU the driver reads the IOMMU's page requests */
unsigned int scale_irq_cpu(struct device *dev);
/* Reports @nr requests, 1 to 8, for the pages from @addr on. Answers so far, of all IOMMUs */
void scale_request(struct device *dev, ioasid_t pasid, unsigned long addr, unsigned int nr);
extern u64 scale_answers;

/* Of static variables, by word: which of them share a line in the kernel, its linker decides. */
extern char __data_start[], _end[];

/* What the compiler calls */
void __tsan_init(void);
void __tsan_read1(void *p);
void __tsan_read2(void *p);
void __tsan_read4(void *p);
void __tsan_read8(void *p);
void __tsan_read16(void *p);
void __tsan_read_range(void *p, size_t size);
void __tsan_write1(void *p);
void __tsan_write2(void *p);
void __tsan_write4(void *p);
void __tsan_write8(void *p);
void __tsan_write16(void *p);
void __tsan_write_range(void *p, size_t size);

#endif /* _IOMMU_SVA_HARNESS_SCALE_H */
