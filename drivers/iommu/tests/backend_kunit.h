/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fixtures of all back-ends have in common: PCI functions without hardware, each in an
 * IOMMU group of its own and on a fault queue, and a domain that takes their page faults; and what
 * several of their suites check alike
 */
#ifndef _DRIVERS_IOMMU_TESTS_BACKEND_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_BACKEND_KUNIT_H

#include <kunit/test.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sched.h>

#include "../iommu-sva-blocks.h"

/**
 * struct backend_domain - a domain that takes page faults, for tests of queues
 * @domain: its handler counts groups and answers them
 * @handle: of the attachment
 * @answer: what the handler says
 * @last: the last page of the latest group that it got
 * @groups: how many it got
 * @on_report: called by the handler, inside the report of the group
 * @held: the group that the handler keeps, if @hold
 * @hold: do not answer
 * @release_lock: for backend_expect_to_stay(): what the release of the device waits for
 * @left: of the same: could the device have gone inside the last report?
 */
struct backend_domain {
	struct iommu_domain domain;
	struct iommu_attach_handle handle;
	enum iommu_page_response_code answer;
	struct iommu_fault_page_request last;
	unsigned int groups;
	void (*on_report)(struct backend_domain *plain);
	struct iopf_group *held;
	bool hold;
	struct mutex *release_lock;	/* the back-end's, of devices */
	bool left;
};

/* The domain that a group is for, in handlers of a test's own */
static inline struct backend_domain *to_backend_domain(struct iopf_group *group)
{
	return container_of(group->attach_handle->domain, struct backend_domain, domain);
}

void backend_add_fn(struct kunit *test, struct device *dev, struct dev_iommu *param,
		    const char *name, unsigned int n);
void backend_join(struct kunit *test, struct device *dev, struct iommu_group **group,
		  struct iopf_queue *queue);
void backend_leave_group(struct device *dev);
void backend_remove_fn(struct device *dev, struct iommu_group *group, struct iopf_queue *queue);
struct iommu_sva *backend_bind(struct kunit *test, struct device *dev);
void backend_make_vf(struct kunit *test, struct pci_dev *pf, struct pci_dev *vf);
void backend_unmake_vf(struct pci_dev *pf, struct pci_dev *vf);

void backend_init_domain(struct backend_domain *plain, const struct iommu_ops *owner);
void backend_attach(struct kunit *test, struct backend_domain *plain, struct device *dev,
		    ioasid_t pasid);

/* Checks that @plain's device cannot leave from its look-up to the end of the report. */
void backend_expect_to_stay(struct kunit *test, struct backend_domain *plain,
			    struct mutex *release_lock,
			    void (*send_group)(struct kunit *test, unsigned int prg),
			    void (*interrupt)(struct kunit *test));

/**
 * struct backend_code - how the answer to a page request is written
 * @core: for the core
 * @wire: in the PRG Response message: PCIe 6.0, section 10.4.2.2
 */
struct backend_code {
	enum iommu_page_response_code core;
	unsigned int wire;
};

extern const struct backend_code backend_codes[3];
/* For KUNIT_ARRAY_PARAM() */
void backend_code_desc(const struct backend_code *code, char *desc);

unsigned int backend_walk_blocks(struct kunit *test, struct sva_blocks b, unsigned int max_order,
				 u64 *first, u64 *last);
void backend_expect_blocks(struct kunit *test, struct sva_blocks b, unsigned int count, u64 first,
			   u64 last);

u64 backend_strays(struct kunit *test, struct device *dev);

/* How many lines the kernel has logged */
u64 backend_log_records(void);
/*
 * How many lines of one kind there may be since @start, in jiffies: ten in five seconds, and one
 * that counts the others; the first five seconds may have begun before.
 */
static inline u64 backend_max_records(unsigned long start)
{
	return 11 * (2 + (jiffies - start) / (5 * HZ));
}

/* Costs of a cache whose commands name as much as @max_order says, as the back-ends state them */
static inline struct sva_costs backend_costs(unsigned int max_order)
{
	return (struct sva_costs){
		.max_order = max_order, .pages = SVA_COST_PAGES, .all = SVA_COST_ALL,
	};
}

/* A range that no back-end takes for fewer blocks: of 86016 pages on either side of its middle */
#define BACKEND_SIX_BLOCKS_START	(0x116000UL << 12)
#define BACKEND_SIX_BLOCKS_END		(0x16a000UL << 12)

void backend_expect_cheapest(struct kunit *test, u64 pfn, u64 pages,
			     const struct sva_costs *costs);

/* Of a drain that waits for a thread of the test: that may be late, but not by so many steps. */
unsigned long backend_long_step(void);

/* For work that stands for an interrupt, which comes when @task, the test's, sleeps */
static inline void backend_wait_until_asleep(struct task_struct *task)
{
	/* Sleeps: others may spin for a lock that the caller holds while that is on a CPU. */
	while (READ_ONCE(task->__state) != TASK_UNINTERRUPTIBLE)
		schedule_timeout_idle(1);
}

#endif /* _DRIVERS_IOMMU_TESTS_BACKEND_KUNIT_H */
