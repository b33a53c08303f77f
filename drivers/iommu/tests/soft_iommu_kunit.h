/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of the software IOMMU have in common: does the bench tell right from wrong?
 *
 * Each cache must really cache, each knob must do what it says, and each kind of violation must be
 * raised by a deliberate wrong act. The wrong acts that no core can be made to commit are committed
 * by the suites, which call the driver or its hardware from the side.
 *
 * The fixture is that of the other suites, with an IOMMU and an endpoint so small that they can be
 * filled.
 */
#ifndef _DRIVERS_IOMMU_TESTS_SOFT_IOMMU_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_SOFT_IOMMU_KUNIT_H

#include <kunit/test.h>
#include <linux/mman.h>

#include "../soft-iommu/soft-priv.h"
#include "sva_stage.h"

#define BENCH_PAGES	16
#define BENCH_LEN	(BENCH_PAGES * PAGE_SIZE)
#define BENCH_PATIENCE	60000

/**
 * struct bench - a software IOMMU with one endpoint that is bound to a process
 * @test: the case that runs
 * @iommu: 4 places in the page request ring
 * @ep: 4 credits
 * @dev: of @ep
 * @proc: the process
 * @sva: the bond, or NULL
 * @pasid: of @proc
 * @addr: BENCH_LEN bytes of @proc's memory, not touched
 */
struct bench {
	struct kunit *test;
	struct soft_iommu *iommu;
	struct soft_endpoint *ep;
	struct device *dev;
	struct sva_proc *proc;
	struct iommu_sva *sva;
	ioasid_t pasid;
	unsigned long addr;
};

/* Cases run one after the other. */
static struct bench the_bench;

static inline unsigned long bench_map_at(struct bench *bench, unsigned long addr, size_t len,
					 unsigned long prot)
{
	unsigned long flags = MAP_ANONYMOUS | MAP_PRIVATE | (addr ? MAP_FIXED : 0);

	addr = sva_proc_mmap(bench->proc, addr, len, prot, flags);
	KUNIT_ASSERT_FALSE(bench->test, IS_ERR_VALUE(addr));
	return addr;
}

static inline unsigned long bench_map(struct bench *bench, size_t len, unsigned long prot)
{
	return bench_map_at(bench, 0, len, prot);
}

static inline void bench_unmap(struct bench *bench, unsigned long addr, size_t len)
{
	KUNIT_ASSERT_EQ(bench->test, 0, sva_proc_munmap(bench->proc, addr, len));
}

static inline struct soft_endpoint *bench_add(struct bench *bench,
					      struct soft_endpoint_config config)
{
	struct soft_endpoint *ep;

	config.pasid_bits = 20;
	ep = sva_add_endpoint(bench->test, bench->iommu, &config,
			      !config.no_pri && !config.no_ats);
	soft_endpoint_patience(ep, BENCH_PATIENCE);
	return ep;
}

static inline void bench_destroy(struct bench *bench, struct soft_endpoint *ep)
{
	soft_endpoint_destroy(ep);
	sva_forget_endpoint(bench->test, ep);
}

static inline struct iommu_sva *bench_bind(struct bench *bench, struct soft_endpoint *ep)
{
	return sva_bind(bench->test, ep, bench->proc);
}

static inline void bench_unbind(struct bench *bench)
{
	if (!IS_ERR_OR_NULL(bench->sva))
		iommu_sva_unbind_device(bench->sva);
	bench->sva = NULL;
}

static inline int bench_init(struct kunit *test)
{
	const struct soft_iommu_config config = { .prq_entries = 4 };
	struct bench *bench = &the_bench;
	int ret;

	memset(bench, 0, sizeof(*bench));
	ret = sva_fixture_init(test);
	if (ret)
		return ret;
	bench->test = test;
	bench->iommu = sva_add_iommu(test, &config);
	bench->ep = bench_add(bench, (struct soft_endpoint_config){ .credits = 4 });
	bench->dev = soft_endpoint_dev(bench->ep);
	bench->proc = sva_proc_start(test);
	bench->addr = bench_map(bench, BENCH_LEN, PROT_READ | PROT_WRITE);
	bench->sva = bench_bind(bench, bench->ep);
	bench->pasid = iommu_sva_get_pasid(bench->sva);
	return 0;
}

static inline void bench_exit(struct kunit *test)
{
	sva_stage_clear(test);
	bench_unbind(&the_bench);
	sva_fixture_exit(test);
}

static inline struct soft_iommu_stats bench_stats(struct bench *bench)
{
	struct soft_iommu_stats stats;

	soft_iommu_read_stats(bench->iommu, &stats);
	return stats;
}

/* There is exactly one violation and it says so. Forgives it. */
static inline void bench_expect_violation(struct bench *bench, const char *text)
{
	struct kunit *test = bench->test;
	const char *said = soft_iommu_violation(bench->iommu, 0);

	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(said, text), "\"%s\" does not say \"%s\"", said,
				  text);
	KUNIT_EXPECT_EQ(test, 1, soft_iommu_forgive(bench->iommu));
}

static inline void bench_touch(struct bench *bench, unsigned long addr)
{
	u64 word = addr;

	KUNIT_ASSERT_EQ(bench->test, 0, soft_dma_write(bench->ep, bench->pasid, addr, &word,
						       sizeof(word)));
}

/* One read with what the ATC or one translation request gives. */
static inline int bench_read(struct bench *bench, unsigned long addr)
{
	u64 word;

	return soft_dma_try(bench->ep, bench->pasid, addr, false, &word, sizeof(word));
}

#endif /* _DRIVERS_IOMMU_TESTS_SOFT_IOMMU_KUNIT_H */
