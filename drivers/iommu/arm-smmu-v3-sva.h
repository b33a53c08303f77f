/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SMMUv3 back-end of the SVA core: what its files share, and what its KUnit suites look at
 *
 * Functions named make_* and decode_* only fill what they are given. Commands pass through the
 * driver's own queue, which a test may have in memory.
 */
#ifndef _DRIVERS_IOMMU_ARM_SMMU_V3_SVA_H
#define _DRIVERS_IOMMU_ARM_SMMU_V3_SVA_H

#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#include "arm/arm-smmu-v3/arm-smmu-v3.h"

/* An ATC invalidation names 4 KiB pages, whatever the size of the CPU's. */
#define SMMU_ATC_SHIFT		12
/* A range that splits into more naturally aligned blocks is flushed whole. */
#define SMMU_ATC_MAX_BLOCKS	32
/* The same for pages, on an SMMU whose commands name one page each */
#define SMMU_TLB_MAX_PAGES	512

/**
 * struct smmu_sva_domain - an io_mm on one SMMU
 * @smmu_domain: what the core and the base driver see; cd.asid is private to the SMMU
 * @lock: guards @devs for writers, and the CDs of its devices against a detach at the same time as
 *	a release
 * @devs: struct smmu_sva_dev, RCU
 */
struct smmu_sva_domain {
	struct arm_smmu_domain smmu_domain;
	spinlock_t lock;	/* of devs, and of CDs */
	struct list_head devs;
};

/**
 * struct smmu_sva_dev - a device of a domain
 * @node: in &smmu_sva_domain.devs
 * @master: the device
 * @ssid: the PASID of the io_mm
 * @rcu: defers the free past flushes
 */
struct smmu_sva_dev {
	struct list_head node;
	struct arm_smmu_master *master;
	ioasid_t ssid;
	struct rcu_head rcu;
};

static inline struct smmu_sva_domain *to_smmu_sva_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct smmu_sva_domain, smmu_domain.domain);
}

bool arm_smmu_sva_has_atc(const struct arm_smmu_master *master);
void arm_smmu_sva_sync(struct arm_smmu_device *smmu);
void arm_smmu_sva_add_atc(struct arm_smmu_cmdq_batch *cmds, struct arm_smmu_master *master,
			  ioasid_t ssid, unsigned long start, unsigned long end);
void arm_smmu_sva_flush_atc(struct arm_smmu_master *master, ioasid_t ssid);
void arm_smmu_sva_drain(struct device *dev, ioasid_t pasid);
u32 arm_smmu_sva_max_requests(struct device *dev);

#if IS_ENABLED(CONFIG_KUNIT)
int arm_smmu_sva_add_dev(struct smmu_sva_domain *sdom, struct arm_smmu_master *master,
			 ioasid_t ssid);

bool arm_smmu_is_stop_marker(const u64 *req);
void arm_smmu_decode_ppr(const u64 *req, bool answer_needs_pasid, struct iopf_fault *evt);
void arm_smmu_make_pri_resp(struct arm_smmu_cmdq_ent *cmd, u32 sid,
			    const struct iommu_fault_page_request *prm,
			    enum iommu_page_response_code code);
unsigned long arm_smmu_count_at(const struct arm_smmu_queue *q, unsigned long handled, u32 prod);
u32 arm_smmu_grant_credits(struct arm_smmu_device *smmu, u32 wanted);
#endif

#endif /* _DRIVERS_IOMMU_ARM_SMMU_V3_SVA_H */
