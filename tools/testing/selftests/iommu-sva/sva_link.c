// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "sva_link.h"

/* A list of capabilities that has more of them is a loop. */
#define MOST_CAPABILITIES	48
#define MOST_EXT_CAPABILITIES	((PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8)

int sva_config_read(int fd, int at, size_t len, __u32 *value)
{
	*value = 0;
	return pread(fd, value, len, at) == (ssize_t)len ? 0 : -EIO;
}

int sva_link_change(const struct sva_link *link, int at, __u16 clear, __u16 set)
{
	__u16 value;

	if (pread(link->port, &value, sizeof(value), at) != sizeof(value))
		return -EIO;
	value = (value & ~clear) | set;
	return pwrite(link->port, &value, sizeof(value), at) == sizeof(value) ? 0 : -EIO;
}

/* The offset of the PCI Express capability; 0: there is none */
static int find_express(int fd)
{
	__u32 at, cap;
	int n;

	if (sva_config_read(fd, PCI_CAPABILITY_LIST, 1, &at))
		return 0;
	for (n = 0; at && n < MOST_CAPABILITIES; n++) {
		if (sva_config_read(fd, at, 2, &cap))
			return 0;
		if ((cap & 0xff) == PCI_CAP_ID_EXP)
			return at;
		at = cap >> 8;
	}
	return 0;
}

/* The offset of an extended capability; 0: there is none */
static int find_extended(int fd, __u16 wanted)
{
	int at = PCI_CFG_SPACE_SIZE, n;
	__u32 header;

	for (n = 0; at && n < MOST_EXT_CAPABILITIES; n++) {
		if (sva_config_read(fd, at, sizeof(header), &header))
			return 0;
		if (PCI_EXT_CAP_ID(header) == wanted)
			return at;
		at = PCI_EXT_CAP_NEXT(header);
	}
	return 0;
}

int sva_link_open(struct sva_link *link, const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/../config", bdf);
	*link = (struct sva_link) { .port = open(path, O_RDWR | O_CLOEXEC) };
	if (link->port < 0)
		return -errno;
	link->express = find_express(link->port);
	link->dpc = find_extended(link->port, PCI_EXT_CAP_ID_DPC);
	if (link->express)
		return 0;
	sva_link_close(link);
	return -ENXIO;
}

void sva_link_close(struct sva_link *link)
{
	close(link->port);
	link->port = -1;
}

int sva_link_disable(const struct sva_link *link)
{
	return sva_link_change(link, link->express + PCI_EXP_LNKCTL, 0, PCI_EXP_LNKCTL_LD);
}

int sva_link_enable(const struct sva_link *link)
{
	return sva_link_change(link, link->express + PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_LD, 0);
}
