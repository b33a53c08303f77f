// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 back-end of the SVA core: context descriptors and flushes
 *
 * A domain is one io_mm on one SMMU: an ASID of the SMMU's own, and the devices that may use it. It
 * shares no ASIDs with the CPU, and so does not rely on broadcast TLB maintenance. The context
 * descriptor (CD) of a device is, after
 *
 *	attach	valid, walks the process's page tables
 *	release	valid, walks nothing (EPD0), records and stalls nothing: untranslated requests are
 *		aborted without a log line, translation requests get R=W=0
 *	detach	not valid; what still arrives is a driver's mistake and is recorded
 *
 * arm_smmu_make_sva_cd() builds a CD; arm_smmu_write_cd_entry() of the base driver writes it where
 * hardware reads it, without an intermediate state of another meaning.
 *
 * Devices are on the domain's list before their CD is valid and until it and all caches are
 * cleared. Flushes walk the list under RCU. The base driver keeps a list of its own, for its own
 * flushes, under a lock that turns interrupts off; no function of this file waits under it.
 *
 * A flush is of a range: of the TLB exactly, where commands name ranges; of ATCs somewhat more, if
 * that takes fewer commands (iommu-sva-blocks.h). It waits twice: an ATC may be refilled from the
 * TLB, so the TLB's invalidation is complete before the ATC's starts (IHI 0070, section 4.5.1). Of
 * several SMMUs all TLBs are invalidated at the same time; of a range somewhat more then, too.
 *
 * Locks:
 *
 *	iommu_group.mutex
 *	  arm_smmu_master.lock		a device's attachments, its ATS and PRI. In the place of
 *					the base's arm_smmu_asid_lock, which processes with
 *					nothing in common would wait for while hardware works.
 *	    smmu_sva_domain.lock	list of devices; CDs. Held while a CD is published: a
 *					release and a detach must not both write it.
 *
 * Lifetime: the core frees a domain after its last detach; the free invalidates the ASID, since TLB
 * entries stay until then. A struct smmu_sva_dev goes a grace period after its detach.
 */
#include <kunit/visibility.h>
#include <linux/atomic.h>
#include <linux/bitfield.h>
#include <linux/cpufeature.h>
#include <linux/iommu.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/xarray.h>
#include <asm/memory.h>
#include <asm/sysreg.h>

#include "arm-smmu-v3-sva.h"
#include "io-pgtable-arm.h"

/* The core frees domains some time after their last bond; the driver waits for that in the end. */
static atomic_t smmu_sva_domains = ATOMIC_INIT(0);

/* Context descriptors (IHI 0070, section 5.4) */

static unsigned int cpu_feature_field(u32 reg, unsigned int shift)
{
	return cpuid_feature_extract_unsigned_field(read_sanitised_ftr_reg(reg), shift);
}

/* The SMMU walks TTB0 as the CPUs walk the same tables. */
static u64 cd_ttb0_attrs(void)
{
	static const u8 granule[] = {
		[12] = ARM_LPAE_TCR_TG0_4K,
		[14] = ARM_LPAE_TCR_TG0_16K,
		[16] = ARM_LPAE_TCR_TG0_64K,
	};

	return FIELD_PREP(CTXDESC_CD_0_TCR_T0SZ, 64 - vabits_actual) |
	       FIELD_PREP(CTXDESC_CD_0_TCR_TG0, granule[PAGE_SHIFT]) |
	       FIELD_PREP(CTXDESC_CD_0_TCR_SH0, ARM_LPAE_TCR_SH_IS) |
	       FIELD_PREP(CTXDESC_CD_0_TCR_ORGN0, ARM_LPAE_TCR_RGN_WBWA) |
	       FIELD_PREP(CTXDESC_CD_0_TCR_IRGN0, ARM_LPAE_TCR_RGN_WBWA);
}

/*
 * Without an mm: a CD that aborts in silence. EPD0 makes hardware ignore TTB0 and its attributes,
 * so only one word that counts differs between the two. An SMMU that forces stalls forbids a CD
 * without S; then the fault queue answers.
 */
VISIBLE_IF_KUNIT void arm_smmu_make_sva_cd(struct arm_smmu_cd *target,
					   struct arm_smmu_master *master, struct mm_struct *mm,
					   u16 asid)
{
	bool quiet = !mm && !(master->smmu->features & ARM_SMMU_FEAT_STALL_FORCE);
	u64 attrs;

	attrs = CTXDESC_CD_0_V | CTXDESC_CD_0_AA64 | CTXDESC_CD_0_TCR_EPD1 | CTXDESC_CD_0_A |
		CTXDESC_CD_0_ASET | FIELD_PREP(CTXDESC_CD_0_ASID, asid) |
		FIELD_PREP(CTXDESC_CD_0_TCR_IPS,
			   cpu_feature_field(SYS_ID_AA64MMFR0_EL1,
					     ID_AA64MMFR0_EL1_PARANGE_SHIFT));
	if (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN))
		attrs |= CTXDESC_CD_0_ENDI;
	if (!quiet)
		attrs |= CTXDESC_CD_0_R | (master->stall_enabled ? CTXDESC_CD_0_S : 0);
	attrs |= mm ? cd_ttb0_attrs() : CTXDESC_CD_0_TCR_EPD0;

	*target = (struct arm_smmu_cd){};
	target->data[0] = cpu_to_le64(attrs);
	if (mm)
		target->data[1] = cpu_to_le64(virt_to_phys(mm->pgd) & CTXDESC_CD_1_TTB0_MASK);
	/* All CPUs have the same. */
	target->data[3] = cpu_to_le64(read_sysreg(mair_el1));
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_make_sva_cd);

/* Flushes */

static void smmu_sva_flush_tlb(struct arm_smmu_domain *dom, unsigned long start, unsigned long end)
{
	unsigned long size = end - start;
	bool ranges = dom->smmu->features & ARM_SMMU_FEAT_RANGE_INV;

	if (end == ULONG_MAX || (!ranges && size > SMMU_TLB_MAX_PAGES * PAGE_SIZE))
		arm_smmu_tlb_inv_asid(dom->smmu, dom->cd.asid);
	else
		arm_smmu_tlb_inv_range_asid(start, size, dom->cd.asid, PAGE_SIZE, false, dom);
}

static void smmu_sva_flush_atcs(struct smmu_sva_domain *sdom, unsigned long start,
				unsigned long end)
{
	struct arm_smmu_device *smmu = sdom->smmu_domain.smmu;
	struct smmu_atc_list list;
	struct smmu_sva_dev *sdev;
	int ret;

	if (!(smmu->features & ARM_SMMU_FEAT_ATS))
		return;

	/*
	 * A device uses the PASID only after its attachment has set atc_live. If its ATC has
	 * entries from before the TLB's invalidation, atc_live was set before that, too: do not
	 * read it earlier.
	 */
	smp_mb();
	arm_smmu_sva_start_atc(&list, smmu);
	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		if (arm_smmu_sva_ask(sdev->master, sdev->ssid))
			arm_smmu_sva_add_atc(&list, sdev->master, sdev->ssid, start, end);
	ret = list.nr ? arm_smmu_sva_end_atc(&list) : 0;
	if (likely(!ret))
		return;
	/* Find the devices that did not complete. Nor may the wait have covered the others. */
	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		arm_smmu_sva_blame(&list, ret, sdev->master, sdev->ssid, start, end);
}

static void arm_smmu_sva_flush_dev_atc(struct device *dev)
{
	arm_smmu_sva_trust(dev_iommu_priv_get(dev));
}

static void arm_smmu_sva_invalidate_range(struct iommu_domain *domain, unsigned long start,
					  unsigned long end)
{
	struct smmu_sva_domain *sdom = to_smmu_sva_domain(domain);

	guard(rcu)();
	if (list_empty(&sdom->devs))
		return;
	smmu_sva_flush_tlb(&sdom->smmu_domain, start, end);
	smmu_sva_flush_atcs(sdom, start, end);
}

/* Attaching, releasing, detaching */

/* Not for a CD that a detach has cleared: it would become valid again. */
static void smmu_sva_exit_cd(struct smmu_sva_domain *sdom, const struct smmu_sva_dev *sdev)
{
	struct arm_smmu_cd target, *cd;

	guard(spinlock)(&sdom->lock);
	cd = arm_smmu_get_cd_ptr(sdev->master, sdev->ssid);
	if (!cd || !(cd->data[0] & cpu_to_le64(CTXDESC_CD_0_V)))
		return;
	arm_smmu_make_sva_cd(&target, sdev->master, NULL, sdom->smmu_domain.cd.asid);
	arm_smmu_write_cd_entry(sdev->master, sdev->ssid, cd, &target);
}

static void smmu_sva_exit_cds(struct smmu_sva_domain *sdom)
{
	struct smmu_sva_dev *sdev;

	list_for_each_entry_rcu(sdev, &sdom->devs, node)
		smmu_sva_exit_cd(sdom, sdev);
}

static void arm_smmu_sva_release(struct iommu_domain *domain)
{
	struct smmu_sva_domain *sdom = to_smmu_sva_domain(domain);

	guard(rcu)();
	smmu_sva_exit_cds(sdom);
	arm_smmu_tlb_inv_asid(sdom->smmu_domain.smmu, sdom->smmu_domain.cd.asid);
	smmu_sva_flush_atcs(sdom, 0, ULONG_MAX);
}

/*
 * SMMUs invalidate their TLBs at the same time. ATCs come one SMMU after the other, since the TLB
 * comes first, and the CMD_SYNC behind them must be of the CPU that asks: it has the error.
 */
static bool arm_smmu_sva_start_flush(struct iommu_domain *domain,
				     const struct iommu_sva_range *range,
				     u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	struct smmu_sva_domain *sdom = to_smmu_sva_domain(domain);
	struct arm_smmu_cmdq *cmdq;

	if (list_empty(&sdom->devs))
		return false;
	if (range->exits)
		smmu_sva_exit_cds(sdom);
	cmdq = arm_smmu_sva_post_tlbi(&sdom->smmu_domain, range->start, range->end);
	notes[0] = (uintptr_t)cmdq;
	return cmdq;
}

static bool arm_smmu_sva_await_flush(struct iommu_domain *domain,
				     const struct iommu_sva_range *range,
				     u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	struct smmu_sva_domain *sdom = to_smmu_sva_domain(domain);

	arm_smmu_sva_await_tlbi(sdom->smmu_domain.smmu, (void *)(uintptr_t)notes[0]);
	smmu_sva_flush_atcs(sdom, range->start, range->end);
	return true;
}

VISIBLE_IF_KUNIT int arm_smmu_sva_add_dev(struct smmu_sva_domain *sdom,
					  struct arm_smmu_master *master, ioasid_t ssid)
{
	struct smmu_sva_dev *sdev = kzalloc(sizeof(*sdev), GFP_KERNEL);

	if (!sdev)
		return -ENOMEM;
	sdev->master = master;
	sdev->ssid = ssid;
	master->sva_listed = true;
	guard(spinlock)(&sdom->lock);
	list_add_rcu(&sdev->node, &sdom->devs);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_sva_add_dev);

static void smmu_sva_del_dev(struct smmu_sva_domain *sdom, struct arm_smmu_master *master,
			     ioasid_t ssid)
{
	struct smmu_sva_dev *sdev;

	guard(spinlock)(&sdom->lock);
	list_for_each_entry(sdev, &sdom->devs, node) {
		if (sdev->master == master && sdev->ssid == ssid) {
			list_del_rcu(&sdev->node);
			kfree_rcu(sdev, rcu);
			return;
		}
	}
	WARN_ON_ONCE(1);
}

/* The core holds mm_users, so there is no release during an attach. */
static int arm_smmu_sva_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
				      ioasid_t pasid, struct iommu_domain *old)
{
	struct smmu_sva_domain *sdom = to_smmu_sva_domain(domain);
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_cd target;
	int ret;

	if (sdom->smmu_domain.smmu != master->smmu)
		return -EINVAL;
	if (!arm_smmu_master_sva_supported(master))
		return -EOPNOTSUPP;
	/* The device needs a reset first. */
	if (READ_ONCE(master->atc_lost))
		return -EBUSY;
	if (READ_ONCE(master->smmu->shut_down))
		return -EIO;

	ret = arm_smmu_sva_add_dev(sdom, master, pasid);
	if (ret)
		return ret;
	arm_smmu_make_sva_cd(&target, master, domain->mm, sdom->smmu_domain.cd.asid);
	ret = arm_smmu_set_pasid(master, &sdom->smmu_domain, pasid, &target);
	if (ret) {
		smmu_sva_del_dev(sdom, master, pasid);
		return ret;
	}
	ret = arm_smmu_sva_check_ats(master);
	if (ret)
		arm_smmu_remove_dev_pasid(dev, pasid, domain);
	return ret;
}

/**
 * arm_smmu_sva_detach() - Take a (device, PASID) out of its SVA domain
 * @domain: the domain that is attached
 * @master: the device
 * @ssid: the PASID
 *
 * On return the device can no longer translate with the PASID. TLB entries stay until the domain
 * goes: without a CD no transaction uses them. The core drains page requests, before and after; the
 * SMMU records or terminates a stall that it has not recorded yet before the CD's invalidation
 * completes (IHI 0070, section 4.7.3).
 *
 * Context: process; for the base driver's remove_dev_pasid().
 */
void arm_smmu_sva_detach(struct iommu_domain *domain, struct arm_smmu_master *master,
			 ioasid_t ssid)
{
	struct smmu_sva_domain *sdom = to_smmu_sva_domain(domain);

	lockdep_assert_held(&master->lock);

	scoped_guard(spinlock, &sdom->lock)
		arm_smmu_clear_cd(master, ssid);
	arm_smmu_sva_flush_atc(master, ssid);
	smmu_sva_del_dev(sdom, master, ssid);
}

/* Domains */

static void arm_smmu_sva_domain_free(struct iommu_domain *domain)
{
	struct smmu_sva_domain *sdom = to_smmu_sva_domain(domain);
	struct arm_smmu_domain *dom = &sdom->smmu_domain;

	/* The next owner of the ASID must find nothing in the TLB. */
	arm_smmu_tlb_inv_asid(dom->smmu, dom->cd.asid);
	xa_erase(&arm_smmu_asid_xa, dom->cd.asid);
	kfree(sdom);
	if (atomic_dec_and_test(&smmu_sva_domains))
		wake_up_var(&smmu_sva_domains);
}

static const struct iommu_domain_ops arm_smmu_sva_domain_ops = {
	.set_dev_pasid = arm_smmu_sva_set_dev_pasid,
	.free = arm_smmu_sva_domain_free,
};

/**
 * arm_smmu_sva_domain_alloc() - Make a domain for an io_mm and the SMMU of a device
 * @dev: the device
 * @mm: the mm of the io_mm
 *
 * Context: process, may sleep.
 * Return: the domain, -EBUSY if no ASID is free, or -ENOMEM.
 */
struct iommu_domain *arm_smmu_sva_domain_alloc(struct device *dev, struct mm_struct *mm)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_device *smmu = master->smmu;
	struct smmu_sva_domain *sdom;
	struct arm_smmu_domain *dom;
	u32 asid;
	int ret;

	sdom = kzalloc(sizeof(*sdom), GFP_KERNEL);
	if (!sdom)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&sdom->lock);
	INIT_LIST_HEAD(&sdom->devs);

	dom = &sdom->smmu_domain;
	mutex_init(&dom->init_mutex);
	spin_lock_init(&dom->devices_lock);
	INIT_LIST_HEAD(&dom->devices);
	dom->smmu = smmu;
	dom->domain.type = IOMMU_DOMAIN_SVA;
	dom->domain.ops = &arm_smmu_sva_domain_ops;
	/* The unit of range invalidations */
	dom->domain.pgsize_bitmap = PAGE_SIZE;

	ret = xa_alloc(&arm_smmu_asid_xa, &asid, dom, XA_LIMIT(1, BIT(smmu->asid_bits) - 1),
		       GFP_KERNEL);
	if (ret) {
		kfree(sdom);
		return ERR_PTR(ret);
	}
	dom->cd.asid = asid;
	atomic_inc(&smmu_sva_domains);
	return &dom->domain;
}

static int arm_smmu_sva_check_device(struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	if (arm_smmu_master_sva_enabled(master))
		return 0;
	smmu_log(err, dev, master->lines, SETUP, "SVA is not enabled\n");
	return -EOPNOTSUPP;
}

const struct iommu_sva_ops arm_smmu_sva_ops = {
	.check_device = arm_smmu_sva_check_device,
	.invalidate_range = arm_smmu_sva_invalidate_range,
	.release = arm_smmu_sva_release,
	.start_flush = arm_smmu_sva_start_flush,
	.await_flush = arm_smmu_sva_await_flush,
	.drain = arm_smmu_sva_drain,
	.max_requests = arm_smmu_sva_max_requests,
	.stalls = arm_smmu_sva_stalls,
	.flush_atc = arm_smmu_sva_flush_dev_atc,
};

/**
 * arm_smmu_sva_notifier_synchronize() - Wait until no SVA domain is left
 *
 * The SVA core holds the module for each domain, so the driver's code stays until the last domain's
 * free has returned.
 *
 * Context: process, sleeps.
 */
void arm_smmu_sva_notifier_synchronize(void)
{
	wait_var_event(&smmu_sva_domains, !atomic_read(&smmu_sva_domains));
}

/* Features of SMMU and device */

/**
 * arm_smmu_sva_supported() - Can an SMMU walk the CPUs' page tables?
 * @smmu: an SMMU whose ID registers have been read
 *
 * Context: process.
 * Return: true if it can.
 */
bool arm_smmu_sva_supported(struct arm_smmu_device *smmu)
{
	unsigned int parange = cpu_feature_field(SYS_ID_AA64MMFR0_EL1,
						 ID_AA64MMFR0_EL1_PARANGE_SHIFT);
	unsigned int asids = cpu_feature_field(SYS_ID_AA64MMFR0_EL1,
					       ID_AA64MMFR0_EL1_ASIDBITS_SHIFT);
	const char *missing = NULL;

	if (!(smmu->features & ARM_SMMU_FEAT_COHERENCY))
		missing = "coherent table walks";
	else if (!(smmu->pgsize_bitmap & BIT(PAGE_SHIFT)))
		missing = "the CPUs' page size";
	/* With smaller pages 52 bits take another format of descriptors. */
	else if (vabits_actual == 52 && (!IS_ENABLED(CONFIG_ARM64_64K_PAGES) ||
					 !(smmu->features & ARM_SMMU_FEAT_VAX)))
		missing = "52-bit virtual addresses, which the CPUs use";
	else if (smmu->oas < id_aa64mmfr0_parange_to_phys_shift(parange))
		missing = "physical addresses as wide as the CPUs'";
	else if (smmu->asid_bits < (asids ? 16 : 8))
		missing = "ASIDs as wide as the CPUs'";

	if (missing)
		dev_info(smmu->dev, "no SVA: it lacks %s\n", missing);
	return !missing;
}

/**
 * arm_smmu_master_sva_supported() - Can a device have more address spaces than one?
 * @master: the device
 *
 * Context: process.
 * Return: true if it can.
 */
bool arm_smmu_master_sva_supported(struct arm_smmu_master *master)
{
	return (master->smmu->features & ARM_SMMU_FEAT_SVA) && master->ssid_bits;
}

/**
 * arm_smmu_master_sva_enabled() - Has the driver of a device enabled SVA?
 * @master: the device
 *
 * Context: any.
 * Return: true if it has.
 */
bool arm_smmu_master_sva_enabled(struct arm_smmu_master *master)
{
	return READ_ONCE(master->sva_enabled);
}

/**
 * arm_smmu_master_enable_sva() - Enable IOMMU_DEV_FEAT_SVA
 * @master: the device
 *
 * Context: process; the device's driver does not call this and its counterpart at the same time.
 * Return: 0; -EINVAL if the device stalls and its driver has not enabled IOMMU_DEV_FEAT_IOPF
 * before: its faults would wait for ever; -EOPNOTSUPP if the device stalls and the SMMU does not
 * report stalls. A PCI function may have fault handling of its own.
 */
int arm_smmu_master_enable_sva(struct arm_smmu_master *master)
{
	if (master->stall_enabled && !arm_smmu_sva_reports(master->smmu, CR0_EVTQEN))
		return -EOPNOTSUPP;
	if (!master->pri_capable && arm_smmu_master_iopf_supported(master) &&
	    !master->iopf_enabled)
		return -EINVAL;
	WRITE_ONCE(master->sva_enabled, true);
	return 0;
}

/**
 * arm_smmu_master_disable_sva() - Undo arm_smmu_master_enable_sva()
 * @master: the device, without bonds
 *
 * Context: process.
 * Return: 0.
 */
int arm_smmu_master_disable_sva(struct arm_smmu_master *master)
{
	WRITE_ONCE(master->sva_enabled, false);
	return 0;
}
