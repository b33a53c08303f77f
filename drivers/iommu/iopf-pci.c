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
 * Error recovery needs no restore, since it may reset nothing that the driver has to restore: a
 * function without ATS, such as one that stalls, is then what it was. So recovery itself ends its
 * pause when all drivers have agreed to go on, if ATS is as it should be. That is a reason of its
 * own: a reset by the driver in its slot_reset(), say, has to be over, too.
 *
 * The vendor driver flushes the ATC when the PCI core has restored ATS but not yet bus mastering:
 * messages, such as the completion of an invalidation, do not need that (PCIe 6.0, section
 * 7.5.1.1.3), and a reset that kept the ATC leaves no page reachable that the kernel freed
 * meanwhile.
 *
 * The reset of a PF takes its VFs with it. They come back without ATS, and stay paused until their
 * own state is restored.
 *
 * Locks: none. iopf_pause() and iopf_unpause() take dev_iommu.reset_lock, if the function is not
 * about to leave its IOMMU: error recovery, and the reset of a PF, do not hold the device lock.
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

static void iopf_pci_pause(struct pci_dev *pdev, enum iopf_pause_reason reason)
{
	iopf_pause(&pdev->dev, reason);
}

/* Calls @fn for a function, then for its VFs. */
static void iopf_pci_for_each(struct pci_dev *pdev, enum iopf_pause_reason reason,
			      void (*fn)(struct pci_dev *pdev, enum iopf_pause_reason reason))
{
	struct pci_dev *vf = NULL;

	fn(pdev, reason);
	if (!pdev->is_physfn)
		return;
	while ((vf = iopf_pci_next(vf)))
		if (vf->is_virtfn && pci_physfn(vf) == pdev)
			fn(vf, reason);
}

/**
 * iopf_pci_reset_begins() - Pause a function before a reset, or when an error has cut it off
 * @pdev: the function, whose driver has stopped its DMA as far as it can
 *
 * Answers all page requests of the function and of its VFs, without the function's help. Does
 * nothing if the function is paused for that reason already; only notes it if the function has no
 * ATS, and is neither in use nor on a fault queue. While error recovery has the function frozen,
 * the reset is a part of that.
 *
 * Context: process, sleeps, for no longer than the IOMMU waits for a device.
 */
void iopf_pci_reset_begins(struct pci_dev *pdev)
{
	bool frozen = READ_ONCE(pdev->error_state) == pci_channel_io_frozen;

	iopf_pci_for_each(pdev, frozen ? IOPF_PAUSE_ERROR : IOPF_PAUSE_RESET, iopf_pci_pause);
}

/* Is ATS enabled in hardware, if it should be? A function that can't be read has not come back. */
static bool iopf_pci_has_its_ats(struct pci_dev *pdev)
{
#ifdef CONFIG_PCI_ATS
	u16 control;

	if (!pdev->ats_enabled)
		return true;
	pci_read_config_word(pdev, pdev->ats_cap + PCI_ATS_CTRL, &control);
	return !PCI_POSSIBLE_ERROR(control) && (control & PCI_ATS_CTRL_ENABLE);
#else
	return true;
#endif
}

static void iopf_pci_unpause(struct pci_dev *pdev, enum iopf_pause_reason reason)
{
	if (iopf_pci_has_its_ats(pdev))
		iopf_unpause(&pdev->dev, reason);
}

/**
 * iopf_pci_recovered() - Go on with a function whose recovery from an error is over
 * @pdev: the function, before its driver's resume()
 *
 * Undoes what iopf_pci_reset_begins() has done because of the error, for the VFs of @pdev, too. The
 * function does nothing if pci_restore_state() has done so. A reset of a function by other means
 * goes on, and so does the pause of a function whose ATS is still disabled.
 *
 * Context: process, may sleep; the device lock of @pdev is held.
 */
void iopf_pci_recovered(struct pci_dev *pdev)
{
	iopf_pci_for_each(pdev, IOPF_PAUSE_ERROR, iopf_pci_unpause);
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
	iopf_unpause(&pdev->dev, IOPF_PAUSE_ERROR);
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
