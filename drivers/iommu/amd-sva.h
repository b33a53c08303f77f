/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * AMD back-end of the SVA core: what its files share, and what its KUnit suites look at
 *
 * Functions named make_* and decode_* only fill memory of their caller. All that hardware sees
 * passes through functions that a test may redirect: amd_sva_store() for a GCR3 entry,
 * amd_sva_submit() for commands, amd_ppr_status() for the status register, amd_sva_event_head() for
 * the head of the event log. The time that hardware gets passes in amd_sva_delay(), and is that of
 * amd_sva_clock(). Other registers are at &amd_iommu.mmio_base, which a test may let point to
 * memory.
 *
 * Sections are those of AMD's I/O Virtualization Technology (IOMMU) Specification, publication
 * 48882, revision 3.
 */
#ifndef _DRIVERS_IOMMU_AMD_SVA_H
#define _DRIVERS_IOMMU_AMD_SVA_H

#include <linux/iommu.h>
#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/ratelimit_types.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "amd/amd_iommu.h"
#include "iommu-sva-blocks.h"

/* Commands of one submission; on the stack of a thread that may be deep in reclaim */
#define AMD_SVA_BATCH		16U

/* A command of the command buffer (2.4) */
struct amd_sva_cmd {
	u32 data[4];
};

/**
 * struct amd_sva_domain - an io_mm on one IOMMU
 * @domain: what the core sees
 * @iommu: all devices of the domain are behind it
 * @exited: the mm has exited: the driver logs no requests that the IOMMU refuses
 * @lock: guards @devs for writers
 * @devs: struct amd_sva_dev, RCU
 */
struct amd_sva_domain {
	struct iommu_domain domain;
	struct amd_iommu *iommu;
	bool exited;
	spinlock_t lock;	/* of devs */
	struct list_head devs;
};

/**
 * struct amd_sva_iommu - state of this back-end for an IOMMU: &amd_iommu.sva
 * @iommu: the IOMMU
 * @lock: one reader of the PPR log at a time; keeps devices from going between look-up and report;
 *	guards @devs for writers
 * @devs: struct iommu_dev_data of devices that may use PASIDs, by DeviceID; RCU
 * @head: of the PPR log, in bytes; guarded by @lock
 * @tail: of the PPR log while the IOMMU sleeps, in bytes
 * @losses: how often requests may have been lost
 * @resumed: readers have not read all that was in the log before a sleep, up to @tail
 * @awake: schedules @work after a sleep, when interrupts are on
 * @work: reads the PPR log without an interrupt
 * @unknown: rate limit of lines about functions that are unknown
 * @stuck: rate limit of lines about commands that are not completed
 */
struct amd_sva_iommu {
	struct amd_iommu *iommu;
	struct mutex lock;	/* of devs; one reader of the PPR log */
	struct xarray devs;
	u32 head;
	u32 tail;
	unsigned long losses;
	bool resumed;
	struct irq_work awake;
	struct work_struct work;
	struct ratelimit_state unknown;
	struct ratelimit_state stuck;
};

/**
 * struct amd_sva_list - commands that are waited for together
 * @iommu: the IOMMU
 * @nr: how many are in @cmds
 * @error: of those that have been submitted already
 * @restarts: &amd_iommu.evt_restarts before the first of them
 * @cmds: those that have not
 */
struct amd_sva_list {
	struct amd_iommu *iommu;
	unsigned int nr;
	int error;
	unsigned int restarts;
	struct amd_sva_cmd cmds[AMD_SVA_BATCH];
};

/**
 * struct amd_sva_posted - what a thread keeps of a list from its submission to the wait for it
 * @began: the clock before the first command, in ns
 * @restarts: as &amd_sva_list.restarts
 * @error: of the submission, 0 or a negative error code
 */
struct amd_sva_posted {
	u64 began;
	u32 restarts;
	s32 error;
};

/* In amd-cmds.c */
void amd_sva_delay(unsigned int us);
int amd_sva_submit(struct amd_iommu *iommu, const struct amd_sva_cmd *cmds, unsigned int nr,
		   bool wait);
void amd_sva_start_list(struct amd_sva_list *list, struct amd_iommu *iommu);
void amd_sva_add_pages(struct amd_sva_list *list, const struct iommu_dev_data *dev_data,
		       ioasid_t pasid, struct sva_blocks b);
void amd_sva_add_atc(struct amd_sva_list *list, const struct iommu_dev_data *dev_data,
		     ioasid_t pasid, struct sva_blocks b);
int amd_sva_end_list(struct amd_sva_list *list);
void amd_sva_begin_post(struct amd_sva_list *list, struct amd_iommu *iommu,
			struct amd_sva_posted *posted);
void amd_sva_post_list(struct amd_sva_list *list, struct amd_sva_posted *posted);
int amd_sva_await_posted(struct amd_iommu *iommu, const struct amd_sva_posted *posted);
bool amd_sva_has_atc(struct iommu_dev_data *dev_data);
bool amd_sva_ask(struct iommu_dev_data *dev_data, ioasid_t pasid);
bool amd_sva_ask_present(struct iommu_dev_data *dev_data, ioasid_t pasid);
void amd_sva_check_atc(struct iommu_dev_data *dev_data, ioasid_t pasid, int ret);
void amd_sva_flush_atc(struct iommu_dev_data *dev_data, ioasid_t pasid);

/* In amd-ppr.c */
int amd_ppr_check_device(struct device *dev);
void amd_ppr_drain(struct device *dev, ioasid_t pasid);
void amd_ppr_page_responses(struct device *dev, const struct iopf_response *responses,
			    unsigned int nr);

#if IS_ENABLED(CONFIG_KUNIT)
const char *amd_sva_missing_cap(u64 efr, bool snp, bool cpu_has_la57);

void amd_sva_make_inv_pages(struct amd_sva_cmd *cmd, u16 domid, ioasid_t pasid,
			    unsigned long pfn, unsigned int order);
void amd_sva_make_inv_iotlb(struct amd_sva_cmd *cmd, u16 devid, u8 qdep, ioasid_t pasid,
			    unsigned long pfn, unsigned int order);
void amd_sva_make_wait(struct amd_sva_cmd *cmd, u64 addr, u64 value);
u64 amd_sva_clock(void);
void amd_sva_malfunction(struct amd_iommu *iommu);

u64 amd_sva_make_entry(phys_addr_t root);
void amd_sva_store(u64 *entry, u64 val);
u64 *amd_sva_get_entry(struct iommu_dev_data *dev_data, ioasid_t pasid);
int amd_sva_attach(struct amd_sva_domain *sdom, struct device *dev, ioasid_t pasid,
		   phys_addr_t root);
bool amd_sva_is_present(struct pci_dev *pdev);
u32 amd_sva_event_head(struct amd_iommu *iommu);

bool amd_ppr_is_stop_marker(const u64 *req);
void amd_ppr_decode(const u64 *req, bool answer_needs_pasid, struct iopf_fault *evt);
void amd_ppr_make_response(struct amd_sva_cmd *cmd, u16 devid,
			   const struct iommu_fault_page_request *prm,
			   enum iommu_page_response_code code);
u32 amd_ppr_status(struct amd_iommu *iommu);
#endif

#endif /* _DRIVERS_IOMMU_AMD_SVA_H */
