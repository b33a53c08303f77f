// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configuration space: capabilities of functions, and what is on their way to the root complex
 *
 * Without CAP_SYS_ADMIN the kernel lets a user read 64 bytes, which hold no capability.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sva-check.h"

#define PCI_VENDOR_ID		0x00
#define PCI_DEVICE_ID		0x02
#define PCI_STATUS		0x06
#define PCI_STATUS_CAP_LIST	0x10
#define PCI_CLASS		0x0a
#define PCI_HEADER_TYPE		0x0e
#define PCI_CAPABILITY_LIST	0x34
#define PCI_CAP_ID_EXP		0x10

/* PCIe 6.0, section 7.5.3: offsets from the capability */
#define PCI_EXP_FLAGS		0x02
#define PCI_EXP_DEVCAP2		0x24
#define PCI_EXP_DEVCAP2_PREFIX	0x00200000
enum {
	EXP_ENDPOINT = 0,
	EXP_LEGACY = 1,
	EXP_ROOT_PORT = 4,
	EXP_UPSTREAM = 5,
	EXP_DOWNSTREAM = 6,
	EXP_PCI_BRIDGE = 7,
	EXP_PCIE_BRIDGE = 8,
	EXP_RC_END = 9,
	EXP_RC_EC = 10,
};

#define EXT_CAP_ACS		0x000d
#define EXT_CAP_ATS		0x000f
#define EXT_CAP_PRI		0x0013
#define EXT_CAP_PASID		0x001b

#define PCI_ACS_CAP		0x04
#define PCI_ACS_CTRL		0x06
/* P2P Request Redirect and Upstream Forwarding: what Linux wants on the whole path */
#define PCI_ACS_WANTED		(0x04 | 0x10)

#define VENDOR_HUAWEI		0x19e5

static unsigned int byte_at(const struct pci_space *space, int offset)
{
	return offset >= 0 && (size_t)offset < space->len ? space->bytes[offset] : 0;
}

unsigned int pci_word(const struct pci_function *function, int offset)
{
	return byte_at(&function->space, offset) | byte_at(&function->space, offset + 1) << 8;
}

static unsigned int pci_long(const struct pci_function *function, int offset)
{
	return pci_word(function, offset) | pci_word(function, offset + 2) << 16;
}

static int find_cap(const struct pci_function *function, unsigned int id)
{
	int at, left = 48;

	if (!(pci_word(function, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	at = byte_at(&function->space, PCI_CAPABILITY_LIST) & ~3;
	while (at >= 0x40 && left--) {
		if (byte_at(&function->space, at) == id)
			return at;
		at = byte_at(&function->space, at + 1) & ~3;
	}
	return 0;
}

static int find_ext_cap(const struct pci_function *function, unsigned int id)
{
	int at = 0x100, left = (4096 - 256) / 8;

	if (!function->extended)
		return -1;
	while (at >= 0x100 && left--) {
		unsigned int header = pci_long(function, at);

		if (!header || header == 0xffffffff)
			break;
		if ((header & 0xffff) == id)
			return at;
		at = header >> 20 & ~3;
	}
	return 0;
}

static void read_exp(struct pci_function *function)
{
	int exp = find_cap(function, PCI_CAP_ID_EXP);

	if (!exp)
		return;
	function->pcie = true;
	function->type = pci_word(function, exp + PCI_EXP_FLAGS) >> 4 & 0xf;
	function->prefixes = pci_long(function, exp + PCI_EXP_DEVCAP2) & PCI_EXP_DEVCAP2_PREFIX;
}

/* Returns false if there is no such function. */
bool pci_read(struct pci_function *function, const char *name)
{
	size_t len = 0;
	char *bytes = file_read(&len, "sys/bus/pci/devices/%s/config", name);

	*function = (struct pci_function){};
	if (!bytes)
		return file_exists("sys/bus/pci/devices/%s", name);
	if (len > sizeof(function->space.bytes))
		len = sizeof(function->space.bytes);
	memcpy(function->space.bytes, bytes, len);
	function->space.len = len;
	free(bytes);

	function->vendor = pci_word(function, PCI_VENDOR_ID);
	function->device = pci_word(function, PCI_DEVICE_ID);
	function->class = pci_word(function, PCI_CLASS);
	function->bridge = (byte_at(&function->space, PCI_HEADER_TYPE) & 0x7f) == 1;
	function->multifunction = byte_at(&function->space, PCI_HEADER_TYPE) & 0x80;
	/* Of a function that has lost its power all bits are set. */
	function->readable = len > 64 && function->vendor != 0xffff;
	if (function->readable)
		read_exp(function);
	function->extended = function->readable && len > 256;
	/* A function of conventional PCI has no extended space to be read. */
	if (function->readable && !function->pcie)
		return true;
	function->acs = find_ext_cap(function, EXT_CAP_ACS);
	function->ats = find_ext_cap(function, EXT_CAP_ATS);
	function->pri = find_ext_cap(function, EXT_CAP_PRI);
	function->pasid = find_ext_cap(function, EXT_CAP_PASID);
	return true;
}

/* The functions from @dev up to the root complex; returns their number, 0 if it can't be told. */
int pci_path(const struct device *dev, char path[PCI_MAX_PATH][16])
{
	char names[PCI_MAX_PATH][16], *link, *next, *part;
	int nr = 0;

	link = file_link("sys/bus/pci/devices/%s", dev->name);
	next = link;
	while ((part = strsep(&next, "/"))) {
		unsigned int domain, bus, slot, function;
		char end;

		if (strlen(part) >= sizeof(names[0]) ||
		    sscanf(part, "%x:%x:%x.%x%c", &domain, &bus, &slot, &function, &end) != 4)
			continue;
		if (nr == PCI_MAX_PATH) {
			nr = 0;
			break;
		}
		copy_text(names[nr++], sizeof(names[0]), part);
	}
	free(link);
	for (int i = 0; i < nr; i++)
		copy_text(path[i], sizeof(names[0]), names[nr - 1 - i]);
	return nr;
}

/* As pci_acs_enabled(): which functions must have ACS, and which never do */
static enum pci_fault check_acs(const struct pci_function *function)
{
	unsigned int wanted;

	if (!function->pcie)
		return PCI_NO_ACS;
	switch (function->type) {
	case EXP_ROOT_PORT:
	case EXP_DOWNSTREAM:
		break;
	case EXP_ENDPOINT:
	case EXP_LEGACY:
	case EXP_UPSTREAM:
	case EXP_RC_END:
		if (!function->multifunction)
			return PCI_FINE;
		break;
	case EXP_PCI_BRIDGE:
	case EXP_PCIE_BRIDGE:
	case EXP_RC_EC:
		return PCI_NO_ACS;
	default:
		return PCI_FINE;
	}
	if (function->acs <= 0)
		return PCI_NO_ACS;
	/* A service that can't be controlled is always on. */
	wanted = PCI_ACS_WANTED & pci_word(function, function->acs + PCI_ACS_CAP);
	return (pci_word(function, function->acs + PCI_ACS_CTRL) & wanted) == wanted ?
		PCI_FINE : PCI_ACS_OFF;
}

/*
 * Would Linux enable PASID on @dev, as far as the way to the root complex is concerned? If not,
 * @where is the function that stands in the way.
 */
enum pci_fault pci_check_path(const struct device *dev, char where[16])
{
	char path[PCI_MAX_PATH][16];
	int nr = pci_path(dev, path);

	copy_text(where, 16, dev->name);
	if (!nr)
		return PCI_UNREADABLE;
	for (int i = 0; i < nr; i++) {
		struct pci_function function;
		enum pci_fault fault;

		copy_text(where, 16, path[i]);
		pci_read(&function, path[i]);
		if (!function.readable || (function.pcie && !function.extended))
			return PCI_UNREADABLE;
		fault = check_acs(&function);
		if (fault)
			return fault;
		/* HiSilicon's accelerators send PASIDs without a prefix. */
		if (!function.prefixes && !(function.vendor == VENDOR_HUAWEI && nr == 1))
			return PCI_NO_PREFIX;
	}
	return PCI_FINE;
}
