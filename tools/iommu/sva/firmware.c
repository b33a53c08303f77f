// SPDX-License-Identifier: GPL-2.0-only
/*
 * What firmware says about IOMMUs: DMAR (VT-d 4.1, chapter 8), IVRS (AMD 48882, section 5.2), IORT
 * (Arm DEN 0049) or a device tree. The names of ACPI's tables can be seen by every user, their
 * contents by root.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sva-check.h"

#define ACPI_HEADER		36
#define DMAR_FIRST		48
enum { DMAR_ATSR = 2, DMAR_SATC = 5 };
#define ATSR_ALL_PORTS		0x01

#define IORT_NR_NODES		36
#define IORT_FIRST		40
enum { IORT_NAMED_COMPONENT = 1, IORT_ROOT_COMPLEX = 2 };

static unsigned int get(const struct table *table, size_t at, unsigned int bytes)
{
	unsigned int value = 0;

	for (unsigned int i = 0; i < bytes; i++)
		if (table->bytes && at + i < table->len)
			value |= (unsigned int)table->bytes[at + i] << 8 * i;
	return value;
}

static void read_table(struct table *table, const char *name)
{
	table->present = file_exists("sys/firmware/acpi/tables/%s", name);
	table->bytes = (unsigned char *)file_read(&table->len, "sys/firmware/acpi/tables/%s", name);
	if (table->bytes && (table->len < ACPI_HEADER || memcmp(table->bytes, name, 4))) {
		free(table->bytes);
		table->bytes = NULL;
	}
}

void firmware_read(struct firmware *firmware)
{
	firmware->acpi_known = file_exists("sys/firmware/acpi/tables");
	firmware->devicetree = file_exists("sys/firmware/devicetree/base/compatible");
	read_table(&firmware->dmar, "DMAR");
	read_table(&firmware->ivrs, "IVRS");
	read_table(&firmware->iort, "IORT");
}

/* Is one of the device scopes in [@at, @end) the function @bus:@devfn? */
static bool in_scopes(const struct table *table, size_t at, size_t end, unsigned int bus,
		      unsigned int devfn)
{
	while (at + 8 <= end) {
		unsigned int len = get(table, at + 1, 1);

		if (len < 8)
			break;
		/* A path of one step: a function of the bus that it starts at */
		if (len == 8 && get(table, at + 5, 1) == bus &&
		    (get(table, at + 6, 1) << 3 | get(table, at + 7, 1)) == devfn)
			return true;
		at += len;
	}
	return false;
}

/* May @dev use ATS: is it integrated, or below a root port that an ATSR structure lists? */
enum answer firmware_dmar_ats(const struct firmware *firmware, const struct device *dev)
{
	const struct table *dmar = &firmware->dmar;
	unsigned int segment, bus, slot, function;
	char path[PCI_MAX_PATH][16];
	int nr = pci_path(dev, path);

	if (nr == 1)
		return ANSWER_YES;
	if (!dmar->bytes || !nr ||
	    sscanf(path[nr - 1], "%x:%x:%x.%x", &segment, &bus, &slot, &function) != 4)
		return ANSWER_UNKNOWN;
	for (size_t at = DMAR_FIRST; at + 8 <= dmar->len;) {
		unsigned int len = get(dmar, at + 2, 2);

		if (len < 8 || at + len > dmar->len)
			return ANSWER_UNKNOWN;
		if (get(dmar, at, 2) == DMAR_ATSR && get(dmar, at + 6, 2) == segment &&
		    (get(dmar, at + 4, 1) & ATSR_ALL_PORTS ||
		     in_scopes(dmar, at + 8, at + len, bus, slot << 3 | function)))
			return ANSWER_YES;
		at += len;
	}
	return ANSWER_NO;
}

static enum answer iort_ats(const struct table *iort, unsigned int segment)
{
	unsigned int nr = iort->bytes ? get(iort, IORT_NR_NODES, 4) : 0;
	size_t at = get(iort, IORT_FIRST, 4);

	if (!nr)
		return ANSWER_UNKNOWN;
	for (; nr && at + 16 <= iort->len; nr--) {
		unsigned int len = get(iort, at + 1, 2);

		if (len < 16)
			return ANSWER_UNKNOWN;
		if (get(iort, at, 1) == IORT_ROOT_COMPLEX && get(iort, at + 28, 4) == segment)
			return get(iort, at + 24, 4) & 1 ? ANSWER_YES : ANSWER_NO;
		at += len;
	}
	return ANSWER_UNKNOWN;
}

/* The directory of the host bridge, up to and including pciDDDD:BB; NULL if there is none */
static char *host_bridge(const struct device *dev)
{
	char *link = file_link("sys/bus/pci/devices/%s", dev->name), *at, *dir = NULL;

	at = link ? strstr(link, "/pci") : NULL;
	while (at && !strchr(at, ':'))
		at = strstr(at + 1, "/pci");
	if (at && asprintf(&dir, "sys/bus/pci/devices/%.*s",
			   (int)(at + 1 + strcspn(at + 1, "/") - link), link) < 0)
		give_up("no memory");
	free(link);
	return dir;
}

/* Does the root complex of @dev do ATS, as IORT or the host bridge's node in a device tree says? */
enum answer firmware_arm_ats(const struct firmware *firmware, const struct device *dev)
{
	enum answer answer = ANSWER_UNKNOWN;
	unsigned int segment;
	char *dir;

	if (firmware->iort.present)
		return sscanf(dev->name, "%x:", &segment) == 1 ?
			iort_ats(&firmware->iort, segment) : ANSWER_UNKNOWN;
	dir = host_bridge(dev);
	if (dir && (file_exists("%s/of_node", dir) || file_exists("%s/../of_node", dir)))
		answer = file_exists("%s/of_node/ats-supported", dir) ||
			file_exists("%s/../of_node/ats-supported", dir) ? ANSWER_YES : ANSWER_NO;
	free(dir);
	return answer;
}

/* The flags of @dev's named component in IORT; 0 if it has none */
static unsigned int named_component(const struct firmware *firmware, const struct device *dev)
{
	const struct table *iort = &firmware->iort;
	char *path = file_line("%s/firmware_node/path", dev->dir);
	unsigned int nr = iort->bytes ? get(iort, IORT_NR_NODES, 4) : 0, flags = 0;
	size_t at = get(iort, IORT_FIRST, 4);

	for (; path && nr && at + 16 <= iort->len; nr--) {
		unsigned int len = get(iort, at + 1, 2);

		if (len < 16 || at + len > iort->len)
			break;
		if (get(iort, at, 1) == IORT_NAMED_COMPONENT && len > 29 + strlen(path) &&
		    !strcmp((char *)iort->bytes + at + 29, path))
			flags = get(iort, at + 16, 4);
		at += len;
	}
	free(path);
	return flags;
}

/* May the SMMU stall transactions of @dev? */
bool firmware_stalls(const struct firmware *firmware, const struct device *dev)
{
	return file_exists("%s/of_node/dma-can-stall", dev->dir) ||
		named_component(firmware, dev) & 1;
}

/* The width of the PASIDs that @dev, which is no PCI function, sends; 0 if it sends none */
int firmware_pasid_bits(const struct firmware *firmware, const struct device *dev)
{
	size_t len = 0;
	char *bits = file_read(&len, "%s/of_node/pasid-num-bits", dev->dir);
	int width = bits && len == 4 ? bits[3] & 0x1f : 0;

	free(bits);
	return width ?: (int)(named_component(firmware, dev) >> 1 & 0x1f);
}
