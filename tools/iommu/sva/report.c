// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verdicts, for people and for programs
 *
 * What comes from files is shown as ASCII: a byte that is none becomes a question mark in text, and
 * U+FFFD in JSON.
 */
#include <stdio.h>
#include <string.h>

#include "sva-check.h"

static const char * const area_names[] = {
	[AREA_DEVICE]	= "device",
	[AREA_CONFIG]	= "config",
	[AREA_CORE]	= "core",
	[AREA_CMDLINE]	= "cmdline",
	[AREA_FIRMWARE]	= "firmware",
	[AREA_IOMMU]	= "iommu",
	[AREA_PORT]	= "port",
	[AREA_GROUP]	= "group",
	[AREA_DRIVER]	= "driver",
};

static const char * const state_names[] = {
	[STATE_OK]		= "ok",
	[STATE_NOTE]		= "note",
	[STATE_NO_REQUESTS]	= "no-page-requests",
	[STATE_UNKNOWN]		= "unknown",
	[STATE_MISSING]		= "missing",
};

static const char *core_name(const struct kernel *kernel)
{
	if (kernel->symbols[SYM_SVA_CORE])
		return "sva-core";
	return kernel->symbols_known ? "base" : "unknown";
}

/* ---- Text ---- */

static void put_plain(const char *text)
{
	for (; *text; text++)
		putchar(*text >= ' ' && *text <= '~' ? *text : '?');
}

static void put_finding(const struct finding *finding, const char *indent)
{
	printf("%s%s (%s): ", indent, area_names[finding->area], state_names[finding->state]);
	put_plain(finding->text);
	printf("\n");
	if (finding->fix) {
		printf("%s  what to do: ", indent);
		put_plain(finding->fix);
		printf("\n");
	}
}

static void put_device(const struct device *dev, bool all)
{
	const struct finding *finding = decisive(dev);

	printf("%-20s %s", dev->name, verdict_name(dev->verdict));
	if (*dev->driver) {
		printf(", driver ");
		put_plain(dev->driver);
	}
	printf("\n");
	if (all)
		for (size_t i = 0; i < dev->nr_findings; i++)
			put_finding(&dev->findings[i], "    ");
	else if (finding)
		put_finding(finding, "    ");
}

void report_text(const struct machine *machine, const struct device *devs, size_t nr, bool all)
{
	const struct kernel *kernel = &machine->kernel;

	printf("Linux ");
	put_plain(*kernel->release ? kernel->release : "of unknown release");
	printf(" (%s), core: %s, configuration: ", *kernel->arch ? kernel->arch : "unknown",
	       core_name(kernel));
	put_plain(kernel->config ? kernel->config_path : "not readable");
	printf("\nIOMMUs:");
	for (size_t i = 0; i < machine->nr_units; i++) {
		printf(" ");
		put_plain(machine->units[i].name);
		printf(" (%s)", vendor_name(machine->units[i].vendor));
	}
	printf("%s\n", machine->nr_units ? "" : " none");
	for (size_t i = 0; i < nr; i++)
		put_device(&devs[i], all);
	if (!nr)
		printf("no device that could do SVA\n");
}

/* ---- JSON ---- */

static void put_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ')
			printf("\\u%04x", c);
		else if (c > '~')
			printf("\\ufffd");
		else
			putchar(c);
	}
	putchar('"');
}

static void put_key(const char *key, const char *value)
{
	printf("\"%s\": ", key);
	if (value)
		put_string(value);
	else
		printf("null");
}

static void put_json_device(const struct device *dev)
{
	printf("    {");
	put_key("name", dev->name);
	printf(", ");
	put_key("bus", dev->pci ? "pci" : "platform");
	printf(", ");
	put_key("verdict", verdict_name(dev->verdict));
	printf(", ");
	put_key("area", decisive(dev) ? area_names[decisive(dev)->area] : NULL);
	printf(", ");
	put_key("driver", *dev->driver ? dev->driver : NULL);
	printf(", ");
	put_key("group", *dev->group ? dev->group : NULL);
	printf(", ");
	put_key("iommu", dev->unit ? dev->unit->name : NULL);
	printf(",\n     \"findings\": [");
	for (size_t i = 0; i < dev->nr_findings; i++) {
		const struct finding *finding = &dev->findings[i];

		printf("%s\n      {", i ? "," : "");
		put_key("area", area_names[finding->area]);
		printf(", ");
		put_key("id", finding->id);
		printf(", ");
		put_key("state", state_names[finding->state]);
		printf(", ");
		put_key("text", finding->text);
		printf(", ");
		put_key("fix", finding->fix);
		printf("}");
	}
	printf("]}");
}

void report_json(const struct machine *machine, const struct device *devs, size_t nr,
		 enum verdict verdict)
{
	const struct kernel *kernel = &machine->kernel;

	printf("{\"version\": 1,\n ");
	put_key("verdict", verdict_name(verdict));
	printf(",\n \"kernel\": {");
	put_key("release", kernel->release);
	printf(", ");
	put_key("arch", kernel->arch);
	printf(", ");
	put_key("core", core_name(kernel));
	printf(", ");
	put_key("config", kernel->config ? kernel->config_path : NULL);
	printf("},\n \"iommus\": [");
	for (size_t i = 0; i < machine->nr_units; i++) {
		printf("%s{", i ? ", " : "");
		put_key("name", machine->units[i].name);
		printf(", ");
		put_key("type", vendor_name(machine->units[i].vendor));
		printf("}");
	}
	printf("],\n \"devices\": [");
	for (size_t i = 0; i < nr; i++) {
		printf("%s\n", i ? "," : "");
		put_json_device(&devs[i]);
	}
	printf("]}\n");
}
