// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: a device is torn out of its slot while it is at work, and is put in again. The link of
 * the port above it is disabled (PCIe 6.0, 7.5.3.7): at once nothing gets to the device or from
 * there, and the hot-plug driver, which was not asked before, removes what is left of it. With the
 * link enabled again there is a new device, as after a reset, at the same address.
 *
 * The port must have no control of the slot's power: where it has, the driver switches that off,
 * and QEMU takes this for leave to destroy the device.
 */
#include <linux/pci_regs.h>

#include "sva_torture.h"

#define MOST_CAPABILITIES	48

/* The configuration space of the port above a device; a negative errno: it has none. */
static int open_port(const char *bdf)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/../config", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The offset of the PCI Express capability; 0: there is none. */
static off_t find_express(int fd)
{
	__u8 at = 0, cap[2];
	int n;

	if (pread(fd, &at, 1, PCI_CAPABILITY_LIST) != 1)
		return 0;
	for (n = 0; at && n < MOST_CAPABILITIES; n++) {
		if (pread(fd, cap, sizeof(cap), at) != sizeof(cap))
			return 0;
		if (cap[0] == PCI_CAP_ID_EXP)
			return at;
		at = cap[1];
	}
	return 0;
}

static int set_link(int fd, off_t express, bool enabled)
{
	__u16 control;

	if (pread(fd, &control, sizeof(control), express + PCI_EXP_LNKCTL) != sizeof(control))
		return -EIO;
	control &= ~PCI_EXP_LNKCTL_LD;
	if (!enabled)
		control |= PCI_EXP_LNKCTL_LD;
	if (pwrite(fd, &control, sizeof(control), express + PCI_EXP_LNKCTL) != sizeof(control))
		return -EIO;
	return 0;
}

/* What the kernel calls the device that it has at @bdf: another one has another number. 0: none */
static ino_t number_of(const char *bdf)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/", bdf);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* Waits until the device that had @number is gone, or, with @again, until there is another. */
static bool await_change(const char *bdf, ino_t number, bool again)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	ino_t now;

	do {
		now = number_of(bdf);
		if (now != number && (now || !again))
			return true;
		usleep(2000);
	} while (sva_now_ms() < end);
	return false;
}

int t_unplug(void)
{
	const char *bdf = t_shared->device[0].bdf;
	ino_t number = number_of(bdf);
	int fd = open_port(bdf), ret;
	bool gone = false;
	off_t express;

	if (fd < 0)
		return fd;
	express = find_express(fd);
	ret = express ? set_link(fd, express, false) : -ENXIO;
	if (!ret) {
		gone = await_change(bdf, number, false);
		ret = set_link(fd, express, true);
	}
	close(fd);
	if (ret)
		return ret;
	return gone && await_change(bdf, number, true) ? 0 : -ETIMEDOUT;
}
