// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the cases of the bench have in common: batches, events, output
 */
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <trace/events/kmem.h>
#include <trace/events/lock.h>
#include <trace/events/mmap_lock.h>

#include "sva_bench.h"

void bench_report(struct kunit *test, const char *name, u64 sum, u64 nr, const char *unit)
{
	u64 hundredths = (sum * 100 + nr / 2) / nr;

	kunit_info(test, "bench: %s %llu.%02llu %s\n", name, hundredths / 100, hundredths % 100,
		   unit);
}

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

u64 bench_median(u64 *values, unsigned int nr)
{
	sort(values, nr, sizeof(*values), cmp_u64, NULL);
	return values[nr / 2];
}

/* Batches */

void bench_shuffle(struct bench_bond *b)
{
	for (unsigned int i = b->pages - 1; i; i--) {
		unsigned int j = prandom_u32_state(&b->random) % (i + 1);

		swap(b->addrs[i], b->addrs[j]);
	}
}

void bench_forget_pages(struct bench_bond *b)
{
	KUNIT_ASSERT_EQ(b->test, sva_proc_madvise(b->bond->proc, b->mem, b->pages * PAGE_SIZE,
						  MADV_DONTNEED), 0);
}

static struct bench_bond *bind_bench(struct kunit *test, struct soft_iommu *iommu,
				     struct soft_endpoint *ep, unsigned int pages)
{
	struct bench_bond *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	u8 byte = 1;

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->test = test;
	b->iommu = iommu;
	b->bond = iopf_bind(test, ep, NULL);
	b->pages = pages;
	b->mem = sva_proc_map(b->bond->proc, pages * PAGE_SIZE);
	b->addrs = kunit_kcalloc(test, pages, sizeof(*b->addrs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b->addrs);
	prandom_seed_state(&b->random, 20);
	for (unsigned int i = 0; i < pages; i++) {
		b->addrs[i] = b->mem + i * PAGE_SIZE;
		KUNIT_ASSERT_EQ(test, sva_proc_write(b->bond->proc, b->addrs[i], &byte, 1), 0);
	}
	bench_shuffle(b);
	bench_forget_pages(b);
	return b;
}

struct bench_bond *bench_bond(struct kunit *test, struct soft_iommu *iommu, unsigned int pages)
{
	static const struct soft_iommu_config config = { .prq_entries = 2048 };
	static const struct soft_endpoint_config ep = { .pasid_bits = 20, .credits = 2048 };

	iommu = iommu ?: sva_add_iommu(test, &config);
	soft_iommu_serve_single(iommu, true);
	return bind_bench(test, iommu, sva_add_endpoint(test, iommu, &ep, true), pages);
}

struct bench_bond *bench_bond_beside(struct bench_bond *other, unsigned int pages)
{
	return bind_bench(other->test, other->iommu, other->bond->ep, pages);
}

long bench_memfd(struct bench_bond *b)
{
	return sva_proc_syscall(b->bond->proc, __NR_memfd_create,
				sva_proc_string(b->bond->proc, "bench"), 0, 0, 0, 0, 0);
}

struct bench_paths {
	char type[8];
	char dir[8];
	char file[16];
};

long bench_file(struct bench_bond *b)
{
	static const struct bench_paths paths = {
		.type = "ramfs", .dir = "/bench", .file = "/bench/file",
	};
	struct sva_proc *proc = b->bond->proc;
	unsigned long type = sva_proc_pass(proc, &paths, sizeof(paths)), dir, file;
	long fd;

	dir = type + offsetof(struct bench_paths, dir);
	file = type + offsetof(struct bench_paths, file);
	sva_proc_syscall(proc, __NR_mkdirat, AT_FDCWD, dir, 0700, 0, 0, 0);
	KUNIT_ASSERT_EQ(b->test, sva_proc_syscall(proc, __NR_mount, type, dir, type, 0, 0, 0), 0L);
	fd = sva_proc_syscall(proc, __NR_openat, AT_FDCWD, file, O_RDWR | O_CREAT, 0600, 0, 0);
	/* Lazily: it goes with its last file. */
	sva_proc_syscall(proc, __NR_umount2, dir, MNT_DETACH, 0, 0, 0, 0);
	return fd;
}

void bench_fill_ring(struct bench_bond *b, unsigned int nr)
{
	soft_iommu_hold_prq(b->iommu, true);
	for (unsigned int i = 0; i < nr; i++)
		iopf_last(b->bond, i, b->addrs[i], IOPF_RW);
}

static u64 await_responses(struct bench_bond *b)
{
	u64 ticks = soft_meter_wait(b->iommu);

	KUNIT_ASSERT_NE_MSG(b->test, ticks, 0, "responses are missing");
	return ticks;
}

static void await_arrival(struct bench_bond *b)
{
	KUNIT_ASSERT_TRUE(b->test, sva_becomes(!soft_pri_outstanding(b->bond->ep)));
}

u64 bench_serve_ring(struct bench_bond *b, unsigned int nr)
{
	soft_meter_arm(b->iommu, nr);
	soft_iommu_hold_prq(b->iommu, false);
	return await_responses(b);
}

u64 bench_serve_asleep(struct bench_bond *b, unsigned int nr)
{
	u64 ticks;

	soft_meter_arm(b->iommu, nr);
	soft_iommu_release_prq_later(b->iommu, 3);
	ticks = await_responses(b);
	await_arrival(b);
	return ticks;
}

u64 bench_empty_ring(struct bench_bond *b, unsigned int nr)
{
	u64 ticks = bench_serve_ring(b, nr);

	await_arrival(b);
	return ticks;
}

u64 bench_batch(struct bench_bond *b, unsigned int nr)
{
	return bench_batch_of(&b, 1, nr);
}

u64 bench_batch_of(struct bench_bond **bonds, unsigned int nr_bonds, unsigned int nr)
{
	u64 ticks[BENCH_ROUNDS];

	for (unsigned int i = 0; i < BENCH_ROUNDS; i++) {
		for (unsigned int k = 0; k < nr_bonds; k++) {
			bench_shuffle(bonds[k]);
			bench_forget_pages(bonds[k]);
		}
		soft_iommu_hold_prq(bonds[0]->iommu, true);
		for (unsigned int n = 0; n < nr; n++)
			for (unsigned int k = 0; k < nr_bonds; k++)
				iopf_last(bonds[k]->bond, n, bonds[k]->addrs[n], IOPF_RW);
		ticks[i] = bench_serve_asleep(bonds[0], nr * nr_bonds);
	}
	return bench_median(ticks, BENCH_ROUNDS);
}

/* Events */

static void on_slab(void *data, unsigned long ip, const void *ptr, struct kmem_cache *cache,
		    gfp_t gfp, int node)
{
	struct bench_events *events = data;

	atomic64_inc(&events->allocations);
}

static void on_kmalloc(void *data, unsigned long ip, const void *ptr, size_t asked, size_t given,
		       gfp_t gfp, int node)
{
	struct bench_events *events = data;

	atomic64_inc(&events->allocations);
}

static void on_mmap_lock(void *data, struct mm_struct *mm, const char *memcg, bool write)
{
	struct bench_events *events = data;

	if (!events->mm || mm == events->mm)
		atomic64_inc(&events->mmap_locks);
}

static void on_contention(void *data, void *lock, unsigned int flags)
{
	struct bench_events *events = data;

	atomic64_inc(&events->contention);
}

void bench_watch(struct kunit *test, struct bench_events *events)
{
	KUNIT_ASSERT_EQ(test, register_trace_kmem_cache_alloc(on_slab, events), 0);
	KUNIT_ASSERT_EQ(test, register_trace_kmalloc(on_kmalloc, events), 0);
	KUNIT_ASSERT_EQ(test, register_trace_mmap_lock_start_locking(on_mmap_lock, events), 0);
	KUNIT_ASSERT_EQ(test, register_trace_contention_begin(on_contention, events), 0);
}

void bench_unwatch(struct bench_events *events)
{
	unregister_trace_contention_begin(on_contention, events);
	unregister_trace_mmap_lock_start_locking(on_mmap_lock, events);
	unregister_trace_kmalloc(on_kmalloc, events);
	unregister_trace_kmem_cache_alloc(on_slab, events);
	tracepoint_synchronize_unregister();
}
