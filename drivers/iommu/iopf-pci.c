// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O page faults: when the PCI core takes a function out of work, and when it gives it back
 *
 * A function in a reset, or without power, answers nothing, and an IOMMU that waits for it delays
 * all its users. The PCI core calls here before that, and again when it has restored the ATS
 * capability; in between the function is paused. It does so for its own resets, error recovery,
 * drivers that call pcie_flr(), and VFIO. A function that is not restored stays paused: its ATS is
 * disabled.
 *
 * The vendor driver flushes the ATC when the PCI core has restored ATS but not yet bus mastering:
 * messages, such as the completion of an invalidation, do not need that (PCIe 6.0, section
 * 7.5.1.1.3), and a reset that kept the ATC leaves no page reachable that the kernel freed
 * meanwhile.
 *
 * The reset of a PF takes its VFs with it. They come back without ATS, and stay paused until their
 * own state is restored.
 *
 * Locks: none. iopf_pause() and iopf_unpause() take dev_iommu.reset_lock.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/iommu.h>
#include <linux/pci.h>

#include "iopf.h"

/* The next of all functions, with a reference; drops the reference to @from. */
VISIBLE_IF_KUNIT struct pci_dev *iopf_pci_next(struct pci_dev *from)
{
	KUNIT_STATIC_STUB_REDIRECT(iopf_pci_next, from);
	return pci_get_device(PCI_ANY_ID, PCI_ANY_ID, from);
}
EXPORT_SYMBOL_IF_KUNIT(iopf_pci_next);

/**
 * iopf_pci_reset_begins() - Pause a function before a reset, or when an error has cut it off
 * @pdev: the function, whose driver has stopped its DMA as far as it can
 *
 * Answers all page requests of the function and of its VFs, without the function's help. Does
 * nothing if the function is paused for that reason already; only notes it if the function has no
 * ATS, and is neither in use nor on a fault queue.
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
 * iopf_pci_restored() - Go on with a function whose state is restored, but for its command register
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
 * iopf_pci_sleeps() - Pause a function that is about to leave D0
 * @pdev: the function, which has no requests outstanding
 *
 * Context: process, sleeps; waits for no interrupt: they may be off while the system falls asleep.
 */
void iopf_pci_sleeps(struct pci_dev *pdev)
{
	iopf_pause(&pdev->dev, IOPF_PAUSE_SLEEP);
}

/**
 * iopf_pci_wakes() - Go on with a function that is back in D0, with all of its state
 * @pdev: a function that has No_Soft_Reset set, or that has not left D0
 *
 * Context: process, may sleep.
 */
void iopf_pci_wakes(struct pci_dev *pdev)
{
	iopf_unpause(&pdev->dev, IOPF_PAUSE_SLEEP);
}
