/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SMMUv3 back-end of the SVA core: what its files share, and what its KUnit suites look at
 *
 * Functions named make_* and decode_* only fill memory of their caller. Commands pass through the
 * base driver's queue, which a test may have in memory.
 */
#ifndef _DRIVERS_IOMMU_ARM_SMMU_V3_SVA_H
#define _DRIVERS_IOMMU_ARM_SMMU_V3_SVA_H

#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#include "arm/arm-smmu-v3/arm-smmu-v3.h"
#include "iommu-sva-blocks.h"

/* Where commands name one page each, a flush of a range of more pages flushes everything. */
#define SMMU_TLB_MAX_PAGES	512

/* Kinds of lines in the log; each has its own limit for each device, and for an SMMU */
enum smmu_line {
	SMMU_LINE_STRANGER,	/* a request from a device that should send none */
	SMMU_LINE_OVERFLOW,
	SMMU_LINE_SETUP,	/* a needed feature is not enabled */
	SMMU_NR_LINES,
};

static_assert(SMMU_NR_LINES == ARM_SMMU_SVA_NR_LINES);

/* @lines: the limits of the device that the line is about, or of the SMMU if that is unknown */
#define smmu_log(level, dev, lines, line, ...)				\
	do {								\
		if (__ratelimit(&(lines)[SMMU_LINE_##line]))		\
			dev_##level(dev, __VA_ARGS__);			\
	} while (0)

/**
 * struct smmu_sva_domain - an io_mm on one SMMU
 * @smmu_domain: what the core and the base driver see; cd.asid is an ASID of this SMMU
 * @lock: guards @devs for writers, and keeps a detach and a release from writing one CD at the same
 *	time
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

/**
 * struct smmu_atc_list - ATC invalidations that a caller waits for together
 * @smmu: the SMMU
 * @first: the device that was asked first
 * @nr: how often arm_smmu_sva_add_atc() was called
 * @error: of those that have been submitted already
 * @cmds: those that have not
 */
struct smmu_atc_list {
	struct arm_smmu_device *smmu;
	struct arm_smmu_master *first;
	unsigned int nr;
	int error;
	struct arm_smmu_cmdq_batch cmds;
};

static inline struct smmu_sva_domain *to_smmu_sva_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct smmu_sva_domain, smmu_domain.domain);
}

/* In arm-smmu-v3-cmds.c */
bool arm_smmu_sva_has_atc(const struct arm_smmu_master *master);
void arm_smmu_sva_sync(struct arm_smmu_device *smmu);
struct arm_smmu_cmdq *arm_smmu_sva_post_tlbi(struct arm_smmu_domain *dom, unsigned long start,
					     unsigned long end);
void arm_smmu_sva_await_tlbi(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq);
void arm_smmu_sva_start_atc(struct smmu_atc_list *list, struct arm_smmu_device *smmu);
void arm_smmu_sva_add_atc(struct smmu_atc_list *list, struct arm_smmu_master *master,
			  ioasid_t ssid, unsigned long start, unsigned long end);
int arm_smmu_sva_end_atc(struct smmu_atc_list *list);
bool arm_smmu_sva_ask(struct arm_smmu_master *master, ioasid_t ssid);
void arm_smmu_sva_blame(const struct smmu_atc_list *list, int ret,
			struct arm_smmu_master *master, ioasid_t ssid, unsigned long start,
			unsigned long end);
void arm_smmu_sva_trust(struct arm_smmu_master *master);
void arm_smmu_sva_flush_atc(struct arm_smmu_master *master, ioasid_t ssid);

/* In arm-smmu-v3-priq.c */
bool arm_smmu_sva_reports(struct arm_smmu_device *smmu, u32 enable);
void arm_smmu_sva_drain(struct device *dev, ioasid_t pasid);
int arm_smmu_sva_check_ats(struct arm_smmu_master *master);
u32 arm_smmu_sva_max_requests(struct device *dev);
bool arm_smmu_sva_stalls(struct device *dev);

#if IS_ENABLED(CONFIG_KUNIT)
int arm_smmu_sva_add_dev(struct smmu_sva_domain *sdom, struct arm_smmu_master *master,
			 ioasid_t ssid);

int arm_smmu_sva_submit(struct arm_smmu_device *smmu, struct arm_smmu_cmdq_batch *cmds);
int arm_smmu_sva_write(struct arm_smmu_device *smmu, unsigned int reg, u32 val, unsigned int ack,
		       u32 bits);
void arm_smmu_sva_warn_slow(struct arm_smmu_device *smmu, u32 cons);

bool arm_smmu_is_stop_marker(const u64 *req);
void arm_smmu_decode_ppr(const u64 *req, bool answer_needs_pasid, struct iopf_fault *evt);
void arm_smmu_make_pri_resp(struct arm_smmu_cmdq_ent *cmd, u32 sid,
			    const struct iommu_fault_page_request *prm,
			    enum iommu_page_response_code code);
int arm_smmu_sva_start_pri(struct arm_smmu_master *master);
void arm_smmu_sva_stop_pri(struct arm_smmu_master *master);
unsigned long arm_smmu_count_at(const struct arm_smmu_queue *q, unsigned long handled, u32 prod);
unsigned long arm_smmu_sva_step(void);
#endif

#endif /* _DRIVERS_IOMMU_ARM_SMMU_V3_SVA_H */
