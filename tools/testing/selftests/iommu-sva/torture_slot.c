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
#include "sva_link.h"
#include "sva_torture.h"

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
	struct sva_link link;
	bool gone = false;
	int ret;

	ret = sva_link_open(&link, bdf);
	if (ret)
		return ret;
	ret = sva_link_disable(&link);
	if (!ret) {
		gone = await_change(bdf, number, false);
		ret = sva_link_enable(&link);
	}
	sva_link_close(&link);
	if (ret)
		return ret;
	return gone && await_change(bdf, number, true) ? 0 : -ETIMEDOUT;
}
