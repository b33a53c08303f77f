/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of VT-d's invalidation queue have in common
 */
#ifndef _DRIVERS_IOMMU_TESTS_INTEL_QI_KUNIT_H
#define _DRIVERS_IOMMU_TESTS_INTEL_QI_KUNIT_H

#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/time64.h>
#include <linux/types.h>

#include "../intel-svm.h"

#define QI_DEVS		2
#define QI_ALONE	8
#define QI_ECAP		BIT_ULL(43)	/* scalable mode: descriptors of 256 bits */
#define QI_TIME		(5 * (u64)NSEC_PER_SEC)
/* What a look at the clock takes */
#define QI_LOOK		(QI_TIME / 1024)
/* A case that takes more of them ends, and has failed. */
#define QI_MAX_LOOKS	50000

struct qi_dev {
	struct device *dev;
	struct dev_iommu param;
	struct device_domain_info info;
};

/**
 * struct qi_ring - hardware that reads the invalidation queue
 * @inval: software's side
 * @desc: the queue
 * @status: what waits write to
 * @regs: registers
 * @head: what is read next
 * @hangs: the ID of a device that does not complete invalidations
 * @aborted: the ID of a device of whose invalidations another CPU notes a time-out
 * @is_stuck: no wait completes until the queue is disabled
 * @rests: looks at the clock until hardware reads on; a restart ends that
 * @naps: how many these are after each wait
 * @restarts: how often the queue was disabled
 * @sticks: how often it is stuck again after that
 * @most_stuck: the most restarts in a row that were counted against the IOMMU
 * @iotlb: IOTLB invalidations executed since then
 * @responses: page group responses that have left
 * @now: the time
 * @looks: at the clock
 * @look: what a look at the clock takes; 0 if the clock stands still
 * @tick: looks from one tick of the clock to the next, or 0; all but these find it standing still
 * @delayed: by the submitter itself, in us
 * @other: what another CPU submits when the queue is stuck
 */
struct qi_ring {
	struct q_inval inval;
	struct qi_desc desc[QI_LENGTH];
	int status[QI_LENGTH];
	void *regs;
	unsigned int head;
	u16 hangs;
	u16 aborted;
	bool is_stuck;
	unsigned int rests;
	unsigned int naps;
	unsigned int restarts;
	unsigned int sticks;
	unsigned int most_stuck;
	unsigned int iotlb;
	unsigned int responses;
	u64 now;
	unsigned int looks;
	u64 look;
	unsigned int tick;
	u64 delayed;
	struct qi_desc *other;
};

/**
 * struct qi - an IOMMU and devices
 * @hw: the IOMMU, without registers
 * @dev: devices that it knows by their IDs
 * @desc: what a case submits
 * @alone: descriptors that have been submitted one by one
 * @options: of these
 * @nr_alone: how many these are
 * @ring: hardware, in cases that have some
 */
struct qi {
	struct intel_iommu hw;
	struct qi_dev dev[QI_DEVS];
	struct qi_desc desc[4];
	struct qi_desc alone[QI_ALONE];
	unsigned long options[QI_ALONE];
	unsigned int nr_alone;
	struct qi_ring *ring;
};

static inline u16 qi_rid(const struct qi *qi, unsigned int n)
{
	return PCI_DEVID(qi->dev[n].info.bus, qi->dev[n].info.devfn);
}

/* intel_qi_kunit.c */
int intel_qi_test_init(struct kunit *test);
void intel_qi_test_exit(struct kunit *test);
void qi_time_out(struct qi *qi, u16 rid);
void qi_expect_dropped(struct kunit *test, unsigned long dropped);
void qi_ring_run(struct qi *qi);
void qi_add_ring(struct kunit *test);
void qi_submit_batch(struct kunit *test, unsigned int count);

#endif /* _DRIVERS_IOMMU_TESTS_INTEL_QI_KUNIT_H */
