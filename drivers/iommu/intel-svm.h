/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VT-d back-end of the SVA core: what its files share, and what its KUnit suite looks at
 *
 * Functions named make_* and decode_* only fill memory of their caller. All that hardware sees
 * passes through functions that a test may redirect: intel_svm_store() for a word of a PASID entry,
 * intel_svm_submit() for descriptors, intel_prq_clear_status() and intel_prq_status() for the page
 * request status.
 */
#ifndef _DRIVERS_IOMMU_INTEL_SVM_H
#define _DRIVERS_IOMMU_INTEL_SVM_H

#include <linux/iommu.h>
#include <linux/irqreturn.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "intel/iommu.h"
#include "intel/pasid.h"
#include "iommu-sva-blocks.h"

/* All PASIDs, in a PASID-based device-TLB invalidation (VT-d 4.1, section 6.5.2.6) */
#define SVM_ATC_GLOBAL		BIT_ULL(0)
/* Descriptors between two waits; on the stack of a thread that may be deep in reclaim */
#define SVM_BATCH		16

/**
 * struct svm_domain - an io_mm on one IOMMU
 * @domain: what the core sees
 * @iommu: all devices of the domain are behind it
 * @lock: guards @devs for writers, and keeps a detach and a release from writing one PASID entry at
 *	the same time. No thread submits descriptors under it.
 * @devs: struct svm_dev, RCU
 */
struct svm_domain {
	struct iommu_domain domain;
	struct intel_iommu *iommu;
	spinlock_t lock;	/* of devs, and of PASID entries */
	struct list_head devs;
};

/* Page Request Descriptor, VT-d 4.1, section 7.4.1.1 */
struct page_req_dsc {
	u64 qw[4];
};

#define PRQ_ENTRIES		((PRQ_RING_MASK / sizeof(struct page_req_dsc)) + 1)
/* Descriptors of a drain */
#define PRQ_MAX_PUSH		3
/* How often a drain pushes, if the ring overflows each time */
#define PRQ_MAX_PUSHES		4
/* Requests of one device that are reported together; on the stack */
#define PRQ_MAX_REPORTS		8
/* Answers between two waits; on the stack, too */
#define PRQ_MAX_RESPONSES	16U

/**
 * struct intel_qi_posted - descriptors that a thread has submitted and not waited for
 * @index: the slot of the first
 * @count: how many, without the wait
 * @flags: of the interrupts, before they were turned off
 */
struct intel_qi_posted {
	u32 index;
	u32 count;
	unsigned long flags;
};

int intel_svm_submit(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count,
		     unsigned long options);
bool intel_qi_post(struct intel_iommu *iommu, const struct qi_desc *desc, unsigned int count,
		   struct intel_qi_posted *posted);
bool intel_qi_await(struct intel_iommu *iommu, const struct intel_qi_posted *posted);
bool intel_svm_has_atc(const struct device_domain_info *info);
bool intel_svm_may_ask(const struct device_domain_info *info, ioasid_t pasid);
void intel_iommu_page_responses(struct device *dev, const struct iopf_response *responses,
				unsigned int nr);

#if IS_ENABLED(CONFIG_KUNIT)
const char *intel_svm_missing_cap(u64 cap, u64 ecap, bool cpu_has_1g, bool cpu_has_la57);

void intel_svm_make_iotlb_desc(struct qi_desc *desc, ioasid_t pasid, u64 addr,
			       unsigned int order);
void intel_svm_make_atc_desc(struct qi_desc *desc, const struct device_domain_info *info,
			     ioasid_t pasid, u64 addr, unsigned int order);
void intel_svm_make_atc_all_desc(struct qi_desc *desc, const struct device_domain_info *info);
void intel_svm_make_pasid_cache_desc(struct qi_desc *desc, ioasid_t pasid);

void intel_svm_make_entry(struct pasid_entry *target, const struct intel_iommu *iommu,
			  phys_addr_t root, bool la57);
void intel_svm_make_exit_entry(struct pasid_entry *target, const struct pasid_entry *live);
void intel_svm_store(struct pasid_entry *entry, unsigned int word, u64 val);
int intel_svm_attach(struct svm_domain *sdom, struct device *dev, ioasid_t pasid,
		     phys_addr_t root);

bool intel_svm_is_present(struct pci_dev *pdev);
bool intel_prq_is_stop_marker(const struct page_req_dsc *req);
void intel_prq_decode(const struct page_req_dsc *req, struct iopf_fault *evt);
void intel_prq_make_response(struct qi_desc *desc, u16 rid,
			     const struct iommu_fault_page_request *prm, u32 code);
unsigned int intel_prq_make_push(struct qi_desc desc[PRQ_MAX_PUSH],
				 const struct device_domain_info *info, u32 pasid);
unsigned long intel_prq_count_at(unsigned long seq, unsigned long index);
unsigned long intel_prq_step(void);
void intel_prq_clear_status(struct intel_iommu *iommu, u32 bits);
u32 intel_prq_status(struct intel_iommu *iommu);
irqreturn_t intel_prq_thread(int irq, void *data);
void intel_prq_flush_dma_faults(void);

u64 intel_qi_clock(void);
void intel_qi_delay(unsigned int us);
void intel_qi_enable(struct intel_iommu *iommu, bool on);
#endif

#endif /* _DRIVERS_IOMMU_INTEL_SVM_H */
