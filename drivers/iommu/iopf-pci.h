/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O page faults: which functions can be asked to invalidate their ATCs; for vendor drivers
 */
#ifndef _DRIVERS_IOMMU_IOPF_PCI_H
#define _DRIVERS_IOMMU_IOPF_PCI_H

#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>

/**
 * iopf_pci_can_answer() - Could a function complete an ATC invalidation?
 * @pdev: a function behind an IOMMU
 *
 * An invalidation that the function can't complete stops the IOMMU's queue for all devices. A VF is
 * cut off with its PF.
 *
 * Whether a function is in a reset only its own state says, not the PF's. A reset of the PF pauses
 * each VF until that has been restored and its ATC flushed (iopf-pci.c). A PF without ATS has no
 * such state; and no flush makes up for an invalidation that was withheld from a VF which is not
 * paused itself.
 *
 * Context: any; one RCU read-side section with the submission, for which a reset waits.
 * Return: false if @pdev is in a reset, asleep, cut off by an error, or gone.
 */
static inline bool iopf_pci_can_answer(struct pci_dev *pdev)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "a reset may begin");
	return !pci_channel_offline(pdev) && !pci_channel_offline(pci_physfn(pdev)) &&
	       !iopf_device_in_reset(&pdev->dev);
}

#endif /* _DRIVERS_IOMMU_IOPF_PCI_H */
