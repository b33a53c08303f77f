// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva-check: which devices of this machine can do SVA, and what the others lack. See
 * Documentation/admin-guide/sva-check.rst.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sva-check.h"

#define PCI_CLASS_BRIDGE	0x06

static const char usage[] =
	"usage: sva-check [--json] [--all] [--root DIR] [DEVICE...]\n"
	"Says of each PCI device, and of each platform device that sends PASIDs, whether it can do\n"
	"Shared Virtual Addressing, and what is missing. DEVICE is a name in /sys/bus/pci/devices or\n"
	"/sys/bus/platform/devices.\n"
	"  -j, --json      for programs\n"
	"  -a, --all       all findings, not only the one that decides\n"
	"  -r, --root DIR  read DIR/sys, DIR/proc, DIR/boot... in place of this machine's\n"
	"Verdicts: yes; own-faults (yes, but without page requests: the driver must handle faults\n"
	"itself); no; unknown. Exit status: 0 yes, 1 no, 2 unknown, 3 own-faults, 4 error; that of the\n"
	"best device, or, if devices are named, of the worst.\n";

struct devices {
	struct device *list;
	size_t nr;
};

/* The last part of where a link of the device points */
static void read_link_name(const struct device *dev, const char *link, char *name, size_t size)
{
	char *to = file_link("%s/%s", dev->dir, link);
	const char *last = to ? strrchr(to, '/') : NULL;

	copy_text(name, size, last ? last + 1 : to ?: "");
	free(to);
}

static void add_device(struct devices *devs, const char *bus, const char *name)
{
	struct device *dev;

	devs->list = realloc(devs->list, (devs->nr + 1) * sizeof(*dev));
	if (!devs->list)
		give_up("no memory");
	dev = &devs->list[devs->nr++];
	*dev = (struct device){ .pci = !strcmp(bus, "pci") };
	copy_text(dev->name, sizeof(dev->name), name);
	snprintf(dev->dir, sizeof(dev->dir), "sys/bus/%s/devices/%s", bus, name);
	read_link_name(dev, "driver", dev->driver, sizeof(dev->driver));
	read_link_name(dev, "iommu_group", dev->group, sizeof(dev->group));
}

/* All functions that are no bridges */
static void add_pci_devices(struct devices *devs)
{
	char **names;
	int nr = file_list(&names, "sys/bus/pci/devices");

	for (int i = 0; i < nr; i++) {
		struct pci_function function;

		pci_read(&function, names[i]);
		if (!function.bridge && function.class >> 8 != PCI_CLASS_BRIDGE)
			add_device(devs, "pci", names[i]);
	}
	file_free_list(names, nr);
}

/* Those that send PASIDs or may stall, as firmware says */
static void add_platform_devices(struct devices *devs, const struct firmware *firmware)
{
	char **names;
	int nr = file_list(&names, "sys/bus/platform/devices");

	for (int i = 0; i < nr; i++) {
		add_device(devs, "platform", names[i]);
		if (!firmware_pasid_bits(firmware, &devs->list[devs->nr - 1]) &&
		    !firmware_stalls(firmware, &devs->list[devs->nr - 1]))
			devs->nr--;
	}
	file_free_list(names, nr);
}

static void add_named(struct devices *devs, const char *name)
{
	char why[320];

	/* A name, not a path to somewhere else */
	if (*name && *name != '.' && !strchr(name, '/') &&
	    strlen(name) < sizeof(devs->list->name)) {
		if (file_exists("sys/bus/pci/devices/%s", name)) {
			add_device(devs, "pci", name);
			return;
		}
		if (file_exists("sys/bus/platform/devices/%s", name)) {
			add_device(devs, "platform", name);
			return;
		}
	}
	snprintf(why, sizeof(why), "there is no device '%s'; a PCI device is called 0000:01:00.0",
		 name);
	give_up(why);
}

/* Of the best device; or, if they are NAMED, of the worst */
static enum verdict sum_up(const struct devices *devs, bool named)
{
	static const int order[] = {
		[VERDICT_NO] = 0,
		[VERDICT_UNKNOWN] = 1,
		[VERDICT_OWN_FAULTS] = 2,
		[VERDICT_YES] = 3,
	};
	enum verdict sum = named ? VERDICT_YES : VERDICT_NO;

	for (size_t i = 0; i < devs->nr; i++) {
		enum verdict verdict = devs->list[i].verdict;

		if (named ? order[verdict] < order[sum] : order[verdict] > order[sum])
			sum = verdict;
	}
	return sum;
}

static void check_root(const char *dir)
{
	char why[320];
	struct stat st;

	if (stat(dir, &st))
		snprintf(why, sizeof(why), "--root %s: %s", dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		snprintf(why, sizeof(why), "--root %s: not a directory", dir);
	else
		return;
	give_up(why);
}

static void read_options(int argc, char **argv, bool *json, bool *all)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "all", no_argument, NULL, 'a' },
		{ "root", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int option;

	while ((option = getopt_long(argc, argv, "jar:h", options, NULL)) >= 0) {
		switch (option) {
		case 'j':
			*json = true;
			break;
		case 'a':
			*all = true;
			break;
		case 'r':
			check_root(optarg);
			file_set_root(optarg);
			break;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 4);
		}
	}
}

int main(int argc, char **argv)
{
	static const int statuses[] = {
		[VERDICT_YES] = 0,
		[VERDICT_NO] = 1,
		[VERDICT_UNKNOWN] = 2,
		[VERDICT_OWN_FAULTS] = 3,
	};
	struct machine machine = { };
	struct devices devs = { };
	bool json = false, all = false;
	enum verdict verdict;

	read_options(argc, argv, &json, &all);
	if (!file_exists("sys/bus"))
		give_up("there is no sys/bus: is sysfs mounted, and is --root right?");

	kernel_read(&machine.kernel);
	firmware_read(&machine.firmware);
	units_read(&machine);
	for (int i = optind; i < argc; i++)
		add_named(&devs, argv[i]);
	if (optind == argc) {
		add_pci_devices(&devs);
		add_platform_devices(&devs, &machine.firmware);
	}
	for (size_t i = 0; i < devs.nr; i++) {
		devs.list[i].unit = unit_of(&machine, &devs.list[i]);
		judge(&machine, &devs.list[i]);
	}
	verdict = sum_up(&devs, optind < argc);
	if (json)
		report_json(&machine, devs.list, devs.nr, verdict);
	else
		report_text(&machine, devs.list, devs.nr, all);
	if (fflush(stdout) || ferror(stdout))
		give_up("cannot write the report");
	return statuses[verdict];
}
