/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of fault-around have in common: memory that a device streams over
 *
 * A device that has no hold of a page asks for it, so the requests that it needed say which pages
 * were there before. Page tables are looked at where that would not show.
 */
#ifndef _DRIVERS_IOMMU_TESTS_SVA_AROUND_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_SVA_AROUND_KUNIT_H

#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#include <linux/sizes.h>
#include <linux/unistd.h>
#include <linux/vmalloc.h>

#include "iopf_kunit.h"
#include "../iommu-sva-around.h"
#include "../iopf.h"

#define KNOB		"module/iommu_sva/parameters/fault_around_pages"
#define LARGE		SZ_32M
#define LARGE_PAGES	(LARGE / PAGE_SIZE)
/* 1,024 for a GiB, and with larger pages a request for so many of them */
#define REQUESTS(len)	(1024ULL * (len) / SZ_1G)
#define RW		(PROT_READ | PROT_WRITE)

static inline struct sva_fixture *fixture(struct kunit *test)
{
	return test->priv;
}

static inline struct iopf_bond *bind_first(struct kunit *test)
{
	return iopf_bind(test, fixture(test)->ep[0], NULL);
}

static inline u64 requests(struct iopf_bond *bond)
{
	return iopf_counted(bond->ep, IOPF_REQUESTS);
}

static inline u64 ahead(struct iopf_bond *bond)
{
	return iopf_counted(bond->ep, IOPF_AHEAD);
}

#define RUN		256

/*
 * What is at offset @at, a multiple of RUN, of memory with @seed: RUN bytes that count up. Millions
 * of bytes are made and compared, so neither is done one by one.
 */
static inline const u8 *pattern(u8 seed, size_t at)
{
	static u8 bytes[2 * RUN];

	if (!bytes[1])
		for (unsigned int i = 0; i < sizeof(bytes); i++)
			bytes[i] = i;
	return bytes + (u8)(seed + (at >> 8) * 7 + (at >> 16) * 13);
}

static inline void make_pattern(u8 *buf, size_t len, size_t at, u8 seed)
{
	for (size_t i = 0; i < len; i += RUN)
		memcpy(buf + i, pattern(seed, at + i), RUN);
}

/* The device reads or writes a word of a page. */
static inline void touch(struct iopf_bond *bond, unsigned long addr, bool write)
{
	u64 word = 0;
	int ret = write ? soft_dma_write(bond->ep, bond->pasid, addr, &word, sizeof(word)) :
			  soft_dma_read(bond->ep, bond->pasid, addr, &word, sizeof(word));

	KUNIT_ASSERT_EQ_MSG(bond->test, ret, 0, "page at %#lx", addr);
}

/* The device reads or writes a word of each page; returns how often it had to ask. */
static inline u64 run(struct iopf_bond *bond, unsigned long addr, unsigned long pages, bool write)
{
	u64 before = requests(bond);

	for (unsigned long i = 0; i < pages; i++)
		touch(bond, addr + i * PAGE_SIZE, write);
	return requests(bond) - before;
}

/* The same, from the last page to the first */
static inline u64 run_down(struct iopf_bond *bond, unsigned long addr, unsigned long pages,
			   bool write)
{
	u64 before = requests(bond);

	while (pages--)
		touch(bond, addr + pages * PAGE_SIZE, write);
	return requests(bond) - before;
}

static inline u8 *new_buffer(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, SZ_64K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

static inline void expect_pattern(struct kunit *test, const u8 *buf, size_t at, u8 seed)
{
	for (size_t i = 0; i < SZ_64K; i += RUN)
		KUNIT_ASSERT_MEMEQ_MSG(test, buf + i, pattern(seed, at + i), RUN, "at %zu", at + i);
}

static inline u64 device_reads(struct iopf_bond *bond, unsigned long addr, size_t len, u8 seed)
{
	u8 *buf = new_buffer(bond->test);
	u64 before = requests(bond);

	for (size_t at = 0; at < len; at += SZ_64K) {
		KUNIT_ASSERT_EQ(bond->test, soft_dma_read(bond->ep, bond->pasid, addr + at, buf,
							  SZ_64K), 0);
		expect_pattern(bond->test, buf, at, seed);
	}
	return requests(bond) - before;
}

static inline void cpu_writes(struct iopf_bond *bond, unsigned long addr, size_t len, u8 seed)
{
	u8 *buf = new_buffer(bond->test);

	for (size_t at = 0; at < len; at += SZ_64K) {
		make_pattern(buf, SZ_64K, at, seed);
		KUNIT_ASSERT_EQ(bond->test, sva_proc_write(bond->proc, addr + at, buf, SZ_64K), 0);
	}
}

static inline int count_present(pte_t *pte, unsigned long addr, unsigned long next,
				struct mm_walk *walk)
{
	unsigned long *nr = walk->private;

	*nr += pte_present(ptep_get(pte));
	return 0;
}

/* How many pages of the memory are mapped, huge ones left aside */
static inline unsigned long mapped(struct iopf_bond *bond, unsigned long addr, unsigned long pages)
{
	static const struct mm_walk_ops ops = {
		.pte_entry = count_present,
		.walk_lock = PGWALK_RDLOCK,
	};
	struct mm_struct *mm = sva_proc_mm(bond->proc);
	unsigned long nr = 0;

	mmap_read_lock(mm);
	walk_page_range(mm, addr, addr + pages * PAGE_SIZE, &ops, &nr);
	mmap_read_unlock(mm);
	return nr;
}

/* Anonymous memory */

/* Once: true when none of the pages is mapped. */
static inline bool page_out(struct iopf_bond *bond, unsigned long mem, size_t len)
{
	sva_proc_page_out(bond->proc, mem, len);
	return !mapped(bond, mem, len / PAGE_SIZE);
}

static inline unsigned long map_shared(struct iopf_bond *bond, size_t len)
{
	unsigned long mem = sva_proc_mmap(bond->proc, 0, len, RW, MAP_SHARED | MAP_ANONYMOUS);

	KUNIT_ASSERT_FALSE(bond->test, IS_ERR_VALUE(mem));
	return mem;
}

/* The page cache */

static inline unsigned long map_fd(struct iopf_bond *bond, long fd, size_t len, unsigned long prot,
				   unsigned long flags)
{
	unsigned long mem = sva_proc_syscall(bond->proc, __NR_mmap, 0, len, prot, flags, fd, 0);

	KUNIT_ASSERT_FALSE(bond->test, IS_ERR_VALUE(mem));
	return mem;
}

static inline void fill_fd(struct iopf_bond *bond, long fd, size_t len, u8 seed)
{
	unsigned long mem;

	KUNIT_ASSERT_EQ(bond->test, sva_proc_syscall(bond->proc, __NR_ftruncate, fd, len, 0, 0, 0,
						     0), 0);
	mem = map_fd(bond, fd, len, RW, MAP_SHARED);
	cpu_writes(bond, mem, len, seed);
	KUNIT_ASSERT_EQ(bond->test, sva_proc_munmap(bond->proc, mem, len), 0);
}

struct fs_paths {
	char type[16];
	char dir[16];
	char file[32];
};

/* A file on a file system of its own, of type @type */
static inline long new_file_on(struct iopf_bond *bond, const char *type, size_t len, u8 seed)
{
	struct fs_paths paths = { .dir = "/around", .file = "/around/file" };
	unsigned long at, dir;
	long fd, ret;

	strscpy(paths.type, type);
	at = sva_proc_pass(bond->proc, &paths, sizeof(paths));
	dir = at + offsetof(struct fs_paths, dir);
	sva_proc_syscall(bond->proc, __NR_mkdirat, AT_FDCWD, dir, 0700, 0, 0, 0);
	ret = sva_proc_syscall(bond->proc, __NR_mount, at, dir, at, 0, 0, 0);
	KUNIT_ASSERT_EQ(bond->test, ret, 0);
	fd = sva_proc_syscall(bond->proc, __NR_openat, AT_FDCWD,
			      at + offsetof(struct fs_paths, file), O_RDWR | O_CREAT, 0600, 0, 0);
	KUNIT_ASSERT_GE(bond->test, fd, 0L);
	/* Lazily: it goes with its last file. */
	sva_proc_syscall(bond->proc, __NR_umount2, dir, MNT_DETACH, 0, 0, 0, 0);
	fill_fd(bond, fd, len, seed);
	return fd;
}

static inline long new_file(struct iopf_bond *bond, size_t len, u8 seed)
{
	return new_file_on(bond, "ramfs", len, seed);
}

/* The page of a mapped file, with a reference */
static inline struct folio *cached_folio(struct iopf_bond *bond, unsigned long addr)
{
	struct mm_struct *mm = sva_proc_mm(bond->proc);
	struct vm_area_struct *vma;
	struct folio *folio;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	folio = filemap_get_folio(vma->vm_file->f_mapping, linear_page_index(vma, addr));
	mmap_read_unlock(mm);
	KUNIT_ASSERT_FALSE(bond->test, IS_ERR(folio));
	return folio;
}

/* Flags of mappings */

static inline void set_vma_flags(struct iopf_bond *bond, unsigned long mem, vm_flags_t flags)
{
	struct mm_struct *mm = sva_proc_mm(bond->proc);

	mmap_write_lock(mm);
	vm_flags_set(vma_lookup(mm, mem), flags);
	mmap_write_unlock(mm);
}

/* The fixture: with fault-around */

static inline int around_init(struct kunit *test)
{
	int ret = iopf_fixture_init(test);

	sva_fault_around_limit(SVA_WINDOW_DEFAULT);
	return ret;
}

#endif /* _DRIVERS_IOMMU_TESTS_SVA_AROUND_KUNIT_H */
