// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMUs, from /sys/class/iommu
 *
 * VT-d's and AMD's drivers show capability registers there. That of SMMUv3 does not: its flags are
 * in a line of the kernel's log, in the name of the SMMU's device, which is the parent of the
 * directory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sva-check.h"

const char *vendor_name(enum vendor vendor)
{
	static const char * const names[] = { "none", "vt-d", "amd", "smmuv3", "other" };

	return names[vendor];
}

static bool read_hex(unsigned long long *value, const char *name, const char *attribute)
{
	char *line = file_line("sys/class/iommu/%s/%s", name, attribute), *end;
	bool good = false;

	if (line) {
		errno = 0;
		*value = strtoull(line, &end, 16);
		good = end != line && !errno && (!*end || *end == ':');
	}
	free(line);
	return good;
}

/* The device's name: .../NAME/iommu/UNIT is what the link in the class's directory ends with. */
static bool device_name(const char *unit, char *name, size_t size)
{
	char *link = file_link("sys/class/iommu/%s", unit), *end;
	bool found = false;

	end = link ? strstr(link, "/iommu/") : NULL;
	if (end) {
		*end = '\0';
		end = strrchr(link, '/');
		copy_text(name, size, end ? end + 1 : link);
		found = *name;
	}
	free(link);
	return found;
}

/* The last line of the log in which @who says @what: what follows, up to the line's end */
static bool log_says(const struct kernel *kernel, const char *who, const char *what, char *rest,
		     size_t size)
{
	const char *at = kernel->log;
	bool found = false;

	for (; at && *at; at += strcspn(at, "\n"), at += !!*at) {
		size_t len = strcspn(at, "\n");
		const char *name = memmem(at, len, who, strlen(who));
		const char *words = NULL;

		if (name)
			words = memmem(name, len - (name - at), what, strlen(what));
		if (!words)
			continue;
		words += strlen(what);
		snprintf(rest, size, "%.*s", (int)(len - (words - at)), words);
		found = true;
	}
	return found;
}

static void read_smmu(const struct kernel *kernel, struct unit *unit)
{
	char device[128], who[160], flags[128], *end;

	if (!device_name(unit->name, device, sizeof(device)))
		return;
	snprintf(who, sizeof(who), "%s: ", device);
	log_says(kernel, who, "no SVA: it lacks ", unit->lacks, sizeof(unit->lacks));
	if (log_says(kernel, who, "(features ", flags, sizeof(flags))) {
		unit->cap = strtoull(flags, &end, 16);
		unit->caps_known = end != flags;
	}
}

static void read_unit(const struct kernel *kernel, struct unit *unit, const char *name)
{
	copy_text(unit->name, sizeof(unit->name), name);
	if (!strncmp(name, "dmar", 4)) {
		char who[80];

		unit->vendor = VENDOR_VTD;
		unit->caps_known = read_hex(&unit->cap, name, "intel-iommu/cap") &&
			read_hex(&unit->ecap, name, "intel-iommu/ecap");
		snprintf(who, sizeof(who), "%s: ", name);
		log_says(kernel, who, "no SVA: it lacks ", unit->lacks, sizeof(unit->lacks));
	} else if (!strncmp(name, "ivhd", 4)) {
		unit->vendor = VENDOR_AMD;
		unit->caps_known = read_hex(&unit->cap, name, "amd-iommu/features");
	} else if (!strncmp(name, "smmu3.", 6)) {
		unit->vendor = VENDOR_SMMUV3;
		read_smmu(kernel, unit);
	} else {
		unit->vendor = VENDOR_OTHER;
	}
}

/* What IOMMU this machine has, if the kernel drives none */
static enum vendor guess_vendor(const struct machine *machine)
{
	const struct kernel *kernel = &machine->kernel;

	if (machine->firmware.dmar.present)
		return VENDOR_VTD;
	if (machine->firmware.ivrs.present)
		return VENDOR_AMD;
	if (!strcmp(kernel->arch, "aarch64"))
		return VENDOR_SMMUV3;
	if (kernel->cpu && strstr(kernel->cpu, "GenuineIntel"))
		return VENDOR_VTD;
	if (kernel->cpu && strstr(kernel->cpu, "AuthenticAMD"))
		return VENDOR_AMD;
	return VENDOR_UNKNOWN;
}

void units_read(struct machine *machine)
{
	char **names;
	int nr = file_list(&names, "sys/class/iommu");

	machine->units = calloc(nr ?: 1, sizeof(*machine->units));
	if (!machine->units)
		give_up("no memory");
	for (int i = 0; i < nr; i++)
		read_unit(&machine->kernel, &machine->units[i], names[i]);
	machine->nr_units = nr;
	file_free_list(names, nr);

	for (int i = 0; i < nr; i++)
		if (machine->units[i].vendor != VENDOR_OTHER)
			machine->vendor = machine->units[i].vendor;
	if (!machine->vendor)
		machine->vendor = nr ? VENDOR_OTHER : guess_vendor(machine);
}

/* The IOMMU that @dev is behind, or NULL */
const struct unit *unit_of(const struct machine *machine, const struct device *dev)
{
	char *link = file_link("%s/iommu", dev->dir);
	const char *name = link ? strrchr(link, '/') : NULL;
	const struct unit *unit = NULL;

	name = name ? name + 1 : link;
	for (size_t i = 0; name && i < machine->nr_units; i++)
		if (!strcmp(machine->units[i].name, name))
			unit = &machine->units[i];
	free(link);
	return unit;
}
