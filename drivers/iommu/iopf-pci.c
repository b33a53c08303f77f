// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page faults: when the PCI core takes a function out of work, and when it gives it back
 *
 * A function that is reset, or without power, answers nothing, and an IOMMU that waits for it stops
 * all its users. It is paused from before that until its ATS capability has been restored, be it
 * reset by the PCI core, by error recovery, by a driver that calls pcie_flr(), or by VFIO. A
 * function that is not restored stays paused: its ATS is disabled.
 *
 * The ATC is flushed when ATS has been restored and before bus mastering is: messages, such as the
 * completion of an invalidation, do not need that (PCIe 6.0, section 7.5.1.1.3), and a reset that
 * kept the ATC leaves no page reachable that was freed meanwhile.
 *
 * The reset of a PF takes its VFs with it. They come back without ATS, and stay paused until their
 * own state is restored.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/iommu.h>
#include <linux/pci.h>

#include "iopf.h"

/* The next of all functions, with a reference; gives that to @from back. */
VISIBLE_IF_KUNIT struct pci_dev *iopf_pci_next(struct pci_dev *from)
{
	KUNIT_STATIC_STUB_REDIRECT(iopf_pci_next, from);
	return pci_get_device(PCI_ANY_ID, PCI_ANY_ID, from);
}
EXPORT_SYMBOL_IF_KUNIT(iopf_pci_next);

/**
 * iopf_pci_reset_begins() - A function is about to be reset, or has been cut off by an error
 * @pdev: the function, whose driver has stopped its DMA as far as it can
 *
 * All page requests of it and its VFs are answered. Nothing needs the function's help. Nothing
 * happens if that has been said before, or if it is not on a fault queue.
 *
 * Context: process, sleeps, for no longer than the IOMMU waits for a device.
 */
void iopf_pci_reset_begins(struct pci_dev *pdev)
{
	struct pci_dev *vf = NULL;

	iopf_pause(&pdev->dev, IOPF_PAUSE_RESET);
	if (!pdev->is_physfn)
		return;
	while ((vf = iopf_pci_next(vf)))
		if (vf->is_virtfn && pci_physfn(vf) == pdev)
			iopf_pause(&vf->dev, IOPF_PAUSE_RESET);
}

/**
 * iopf_pci_restored() - The state of a function has been restored, but for its command register
 * @pdev: a function in D0 with ATS, PASID and PRI enabled again
 *
 * Undoes iopf_pci_reset_begins() and iopf_pci_sleeps().
 *
 * Context: process, may sleep.
 */
void iopf_pci_restored(struct pci_dev *pdev)
{
	iopf_unpause(&pdev->dev, IOPF_PAUSE_SLEEP);
	iopf_unpause(&pdev->dev, IOPF_PAUSE_RESET);
}

/**
 * iopf_pci_sleeps() - A function is about to leave D0
 * @pdev: the function, which has no requests outstanding
 *
 * Context: process, sleeps; not for interrupts, which may be off for the system's sleep.
 */
void iopf_pci_sleeps(struct pci_dev *pdev)
{
	iopf_pause(&pdev->dev, IOPF_PAUSE_SLEEP);
}

/**
 * iopf_pci_wakes() - A function is back in D0, with all of its state
 * @pdev: a function that has No_Soft_Reset set, or that has not left D0
 *
 * Context: process, may sleep.
 */
void iopf_pci_wakes(struct pci_dev *pdev)
{
	iopf_unpause(&pdev->dev, IOPF_PAUSE_SLEEP);
}
