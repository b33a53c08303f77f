// SPDX-License-Identifier: GPL-2.0-only
/*
 * The findings about one device, and the verdict that they come to
 *
 * What the kernel has done counts more than what should follow from a setting: PASID or ATS that is
 * enabled in a function's configuration space, or a character device of uacce that offers SVA.
 *
 * Documentation/admin-guide/sva-check.rst explains each finding by its id.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sva-check.h"

#define AS_ROOT		"run sva-check as root"

#define PCI_ATS_CTRL	0x06
#define PCI_ATS_ENABLED	0x8000
#define PCI_PRI_STATUS	0x06
#define PCI_PRI_PASID	0x8000
#define PCI_PASID_CTRL	0x06
#define PCI_PASID_ENABLED	0x0001

#define UACCE_DEV_SVA	0x01

/* What the parts of a judgement share */
struct trial {
	const struct machine *machine;
	struct device *dev;
	struct pci_function function;	/* of a PCI device */
	struct pci_function physical;	/* the same, or, of a virtual function, its physical one */
	bool pasid_enabled, ats_enabled, stalls, has_pri;
};

const char *verdict_name(enum verdict verdict)
{
	static const char * const names[] = { "yes", "no", "unknown", "own-faults" };

	return names[verdict];
}

__attribute__((format(printf, 6, 7)))
static void find(struct trial *t, enum area where, enum state state, const char *id,
		 const char *fix, const char *format, ...)
{
	struct device *dev = t->dev;
	struct finding *finding = &dev->findings[dev->nr_findings];
	va_list args;

	if (dev->nr_findings == ARRAY_SIZE(dev->findings))
		return;
	dev->nr_findings++;
	va_start(args, format);
	*finding = (struct finding){
		.area = where,
		.state = state,
		.id = id,
		.text = format_text(format, args),
		.fix = fix && state != STATE_OK ? strdup(fix) : NULL,
	};
	va_end(args);
}

/* ---- What the device can do ---- */

static void judge_pasid(struct trial *t)
{
	int pasid = t->physical.pasid;

	if (!t->dev->pci) {
		int bits = firmware_pasid_bits(&t->machine->firmware, t->dev);

		find(t, AREA_DEVICE, bits ? STATE_OK : STATE_MISSING, "pasid",
		     "firmware has to give the device a PASID width, if it sends PASIDs",
		     bits ? "sends PASIDs of %d bits" : "firmware gives it no PASIDs", bits);
	} else if (!t->physical.readable) {
		find(t, AREA_DEVICE, STATE_UNKNOWN, "pasid", AS_ROOT,
		     "its capabilities can't be read");
	} else if (pasid > 0) {
		t->pasid_enabled = pci_word(&t->physical, pasid + PCI_PASID_CTRL) &
			PCI_PASID_ENABLED;
		find(t, AREA_DEVICE, STATE_OK, "pasid", NULL, "it has the PASID capability, %s",
		     t->pasid_enabled ? "enabled" : "not enabled");
	} else if (t->physical.pcie && pasid < 0) {
		find(t, AREA_DEVICE, STATE_UNKNOWN, "pasid",
		     AS_ROOT ", or see in the log why the kernel can't: ECAM, pci=nommconf",
		     "its extended capabilities can't be read");
	} else {
		find(t, AREA_DEVICE, STATE_MISSING, "pasid", "none: the device can't do SVA",
		     "it has no PASID capability");
	}
}

/* Page requests: PRI, which needs ATS, or stalls */
static void judge_requests(struct trial *t)
{
	enum state no_ats = STATE_NO_REQUESTS;
	int pri = t->physical.pri;

	t->stalls = firmware_stalls(&t->machine->firmware, t->dev);
	if (t->stalls) {
		find(t, AREA_DEVICE, STATE_OK, "page-requests", NULL,
		     "the SMMU may stall its transactions");
		return;
	}
	if (!t->dev->pci) {
		find(t, AREA_DEVICE, STATE_NO_REQUESTS, "page-requests",
		     "firmware has to say that it may stall (dma-can-stall, or IORT), if it may",
		     "it sends no page requests and may not stall");
		return;
	}
	if (!t->function.readable || t->function.ats < 0)
		return;
	/* The base's driver of VT-d enables SVA on functions with ATS only. */
	if (t->machine->vendor == VENDOR_VTD && !t->machine->kernel.symbols[SYM_SVA_CORE] &&
	    kernel_before(&t->machine->kernel, 6, 16))
		no_ats = STATE_MISSING;
	t->ats_enabled = t->function.ats > 0 &&
		pci_word(&t->function, t->function.ats + PCI_ATS_CTRL) & PCI_ATS_ENABLED;
	find(t, AREA_DEVICE, t->function.ats > 0 ? STATE_OK : no_ats, "ats",
	     "none: a driver that handles faults itself is needed", "it has %s ATS capability%s",
	     t->function.ats > 0 ? "the" : "no", t->ats_enabled ? ", enabled" : "");
	t->has_pri = pri > 0;
	find(t, AREA_DEVICE, t->has_pri ? STATE_OK : STATE_NO_REQUESTS, "page-requests",
	     "none: memory must be present, or the device's driver must handle faults itself",
	     "it has %s PRI capability", t->has_pri ? "the" : "no");
	if (t->has_pri && t->machine->vendor == VENDOR_VTD &&
	    !(pci_word(&t->physical, pri + PCI_PRI_STATUS) & PCI_PRI_PASID))
		find(t, AREA_DEVICE, STATE_NO_REQUESTS, "response-pasid", "none",
		     "it does not expect a PASID in page responses, which VT-d's driver demands");
}

/* ---- The kernel ---- */

static void judge_option(struct trial *t, const char *name, const char *id)
{
	const struct kernel *kernel = &t->machine->kernel;
	char value = kernel_option(kernel, name), fix[96];

	snprintf(fix, sizeof(fix), value == '?' ?
		 "give a readable /boot/config-%s" : "build the kernel with CONFIG_%s=y",
		 value == '?' ? kernel->release : name);
	find(t, AREA_CONFIG, value == 'n' ? STATE_MISSING : value == '?' ? STATE_UNKNOWN : STATE_OK,
	     id, fix, "CONFIG_%s is %s", name,
	     value == 'n' ? "not set" : value == '?' ? "not known" : "set");
}

static void judge_driver_option(struct trial *t, const char *name)
{
	if (t->machine->nr_units)
		find(t, AREA_CONFIG, STATE_OK, "config-iommu", NULL, "CONFIG_%s is set", name);
	else
		judge_option(t, name, "config-iommu");
}

static void judge_config(struct trial *t)
{
	switch (t->machine->vendor) {
	case VENDOR_VTD:
		judge_driver_option(t, "INTEL_IOMMU");
		judge_option(t, "INTEL_IOMMU_SVM", "config-sva");
		break;
	case VENDOR_AMD:
		judge_driver_option(t, "AMD_IOMMU");
		judge_option(t, "IOMMU_SVA", "config-sva");
		break;
	case VENDOR_SMMUV3:
		judge_driver_option(t, "ARM_SMMU_V3");
		judge_option(t, "ARM_SMMU_V3_SVA", "config-sva");
		if (t->dev->pci)
			judge_option(t, "PCI_PASID", "config-pasid");
		break;
	default:
		break;
	}
}

/* Does the kernel's own core tell IOMMUs of freed page tables? From 6.18.7 and 6.19 on it does. */
static bool base_is_safe(const struct kernel *kernel)
{
	const unsigned int *version = kernel->version;

	if (kernel->symbols_known && kernel->symbols[SYM_BIND])
		return kernel->symbols[SYM_KVA_FLUSH];
	return version[0] && (!kernel_before(kernel, 6, 19) ||
			      (!kernel_before(kernel, 6, 18) && version[2] >= 7));
}

/* Which core is this, and does it serve this IOMMU? */
static void judge_core(struct trial *t)
{
	const struct kernel *kernel = &t->machine->kernel;
	bool ours = kernel->symbols[SYM_SVA_CORE];

	if (ours && t->machine->vendor == VENDOR_AMD && !kernel->symbols[SYM_AMD_SVA])
		find(t, AREA_CORE, STATE_MISSING, "core", "take a core that serves AMD",
		     "the SVA core has no back-end for AMD, and refuses it (-EOPNOTSUPP)");
	else if (ours)
		find(t, AREA_CORE, STATE_OK, "core", NULL, "the SVA core is there");
	else if (kernel->x86 && base_is_safe(kernel))
		find(t, AREA_CORE, STATE_OK, "core", NULL,
		     "the kernel's own SVA tells IOMMUs of freed kernel page tables");
	else if (kernel->x86 && !kernel->symbols_known)
		find(t, AREA_CORE, STATE_UNKNOWN, "core", "boot a kernel with CONFIG_KALLSYMS",
		     "without /proc/kallsyms it can't be told whether this kernel does SVA on x86");
	else if (kernel->x86)
		find(t, AREA_CORE, STATE_MISSING, "core",
		     "take the SVA core into this kernel, or a kernel from 6.18.7 or 6.19 on",
		     "Linux %s refuses SVA on x86 (-EOPNOTSUPP, -95), or is open to CVE-2025-71202",
		     kernel->release);
	else if (t->machine->vendor == VENDOR_SMMUV3 && t->has_pri && !t->stalls)
		find(t, AREA_CORE, STATE_NO_REQUESTS, "core", "take the SVA core into this kernel",
		     "Linux %s refuses PCIe page requests behind SMMUv3", kernel->release);
}

static void judge_cmdline(struct trial *t)
{
	const struct kernel *kernel = &t->machine->kernel;
	const char *name = t->machine->vendor == VENDOR_AMD ? "amd_iommu" : "intel_iommu";
	bool off = false;

	if (!kernel->cmdline) {
		find(t, AREA_CMDLINE, STATE_UNKNOWN, "cmdline", "give a readable /proc/cmdline",
		     "the kernel's command line is not known");
		return;
	}
	if (kernel->x86 && kernel_word(kernel, "iommu", "off")) {
		find(t, AREA_CMDLINE, STATE_MISSING, "iommu-off", "boot without iommu=off",
		     "iommu=off disables the IOMMU");
		off = true;
	} else if (kernel->x86 && t->machine->vendor != VENDOR_UNKNOWN &&
		   kernel_last_of(kernel, name, "off", "on") == 1) {
		find(t, AREA_CMDLINE, STATE_MISSING, "iommu-off", "boot without this parameter",
		     "%s=off disables the IOMMU", name);
		off = true;
	}
	if (kernel_word(kernel, "pci", "noats"))
		find(t, AREA_CMDLINE, STATE_NO_REQUESTS, "noats", "boot without pci=noats",
		     "pci=noats disables ATS, without which there are no page requests");
	if (off || t->machine->nr_units || t->machine->vendor != VENDOR_VTD)
		return;
	if (kernel_option(kernel, "INTEL_IOMMU_DEFAULT_ON") == 'n' &&
	    kernel_last_of(kernel, name, "on", "off") != 1)
		find(t, AREA_CMDLINE, STATE_MISSING, "iommu-not-on",
		     "boot with intel_iommu=on,sm_on",
		     "the IOMMU is off by default in this kernel");
}

/* ---- IOMMU ---- */

/* Why does the kernel drive no IOMMU, if no parameter says so? */
static void judge_absence(struct trial *t)
{
	const struct firmware *firmware = &t->machine->firmware;
	enum vendor vendor = t->machine->vendor;

	if (vendor == VENDOR_VTD && firmware->acpi_known && !firmware->dmar.present)
		find(t, AREA_FIRMWARE, STATE_MISSING, "firmware-iommu",
		     "enable VT-d in the firmware's setup", "there is no DMAR table");
	else if (vendor == VENDOR_AMD && firmware->acpi_known && !firmware->ivrs.present)
		find(t, AREA_FIRMWARE, STATE_MISSING, "firmware-iommu",
		     "enable the IOMMU in the firmware's setup", "there is no IVRS table");
	else if (vendor == VENDOR_SMMUV3 && !firmware->devicetree &&
		 firmware->acpi_known && !firmware->iort.present)
		find(t, AREA_FIRMWARE, STATE_MISSING, "firmware-iommu",
		     "the firmware has to describe the SMMU", "there is no IORT table");
	else if (vendor == VENDOR_UNKNOWN)
		find(t, AREA_FIRMWARE, STATE_MISSING, "firmware-iommu",
		     "enable the IOMMU in the firmware's setup, if there is one",
		     "no IOMMU is known of");
	else
		find(t, AREA_IOMMU, STATE_MISSING, "no-iommu",
		     "look for DMAR, AMD-Vi or smmu in the kernel's log",
		     "the kernel drives no IOMMU");
}

static void judge_scalable(struct trial *t)
{
	const struct kernel *kernel = &t->machine->kernel;
	int set = kernel_last_of(kernel, "intel_iommu", "sm_on", "sm_off");
	char by_default = kernel_option(kernel, "INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON");
	const char *fix = "boot with intel_iommu=on,sm_on";

	if (t->pasid_enabled || set == 1 || (set < 0 && by_default == 'y'))
		find(t, AREA_CMDLINE, STATE_OK, "legacy-mode", NULL, "VT-d is in scalable mode");
	else if (!set || by_default == 'n')
		find(t, AREA_CMDLINE, STATE_MISSING, "legacy-mode", fix,
		     "VT-d is in legacy mode, which has no PASIDs");
	else
		find(t, AREA_CMDLINE, STATE_UNKNOWN, "legacy-mode", fix,
		     "VT-d may be in legacy mode, which has no PASIDs");
}

struct need {
	bool there;
	const char *what;
	enum state state;	/* if it is not there */
};

static void judge_needs(struct trial *t, const struct need *needs, size_t nr)
{
	const struct unit *unit = t->dev->unit;
	bool good = true;

	for (size_t i = 0; i < nr; i++) {
		if (needs[i].there)
			continue;
		good &= needs[i].state < STATE_UNKNOWN;
		find(t, AREA_IOMMU, needs[i].state, "iommu-capability",
		     "none: the IOMMU can't do it, or firmware hides it",
		     "%s lacks %s", unit->name, needs[i].what);
	}
	if (good)
		find(t, AREA_IOMMU, STATE_OK, "iommu-capability", NULL, "%s can do SVA",
		     unit->name);
}

static void judge_vtd(struct trial *t)
{
	const struct kernel *kernel = &t->machine->kernel;
	unsigned long long cap = t->dev->unit->cap, ecap = t->dev->unit->ecap;
	/* The core demands page requests of an IOMMU, the base's driver does not. */
	enum state no_prs = kernel->symbols[SYM_SVA_CORE] ? STATE_MISSING : STATE_NO_REQUESTS;
	const struct need needs[] = {
		{ ecap & VTD_ECAP_SMTS, "scalable mode", STATE_MISSING },
		{ ecap & VTD_ECAP_PASID, "PASID", STATE_MISSING },
		{ ecap & VTD_ECAP_FLTS, "first-stage translation", STATE_MISSING },
		{ ecap & VTD_ECAP_SMPWC, "coherent page walks", STATE_MISSING },
		{ cap & VTD_CAP_1G || !kernel_cpu_has(kernel, "pdpe1gb"),
		  "pages of 1 GiB, which the CPU has", STATE_MISSING },
		{ cap & VTD_CAP_5LP || !kernel_cpu_has(kernel, "la57"),
		  "5-level paging, which the CPU has", STATE_MISSING },
		{ ecap & VTD_ECAP_PRS && ecap & VTD_ECAP_PDS, "page requests", no_prs },
		{ ecap & VTD_ECAP_DT, "device TLBs (ATS)", STATE_NO_REQUESTS },
	};

	judge_needs(t, needs, ARRAY_SIZE(needs));
	if (ecap & VTD_ECAP_SMTS)
		judge_scalable(t);
}

static void judge_amd(struct trial *t)
{
	unsigned long long efr = t->dev->unit->cap;
	const struct need needs[] = {
		{ efr & AMD_EFR_GT, "guest translation", STATE_MISSING },
		{ efr & AMD_EFR_PPR, "peripheral page requests", STATE_MISSING },
		{ efr & AMD_EFR_EPH, "enhanced PPR handling", STATE_MISSING },
	};

	judge_needs(t, needs, ARRAY_SIZE(needs));
}

static void judge_smmu(struct trial *t)
{
	unsigned long long flags = t->dev->unit->cap;
	bool pri = t->has_pri && !t->stalls;
	const struct need needs[] = {
		{ flags & SMMU_FEAT_SVA, "coherent table walks, or the CPUs' page size or widths",
		  STATE_MISSING },
		/* The driver does not tell the width of SubstreamIDs. */
		{ flags & SMMU_FEAT_2_LVL_CDTAB, "two-level CD tables, and may lack SubstreamIDs",
		  STATE_UNKNOWN },
		{ !pri || flags & SMMU_FEAT_ATS, "ATS", STATE_NO_REQUESTS },
		{ !pri || flags & SMMU_FEAT_PRI, "page requests", STATE_NO_REQUESTS },
		{ !t->stalls || flags & (SMMU_FEAT_STALLS | SMMU_FEAT_STALL_FORCE), "stalls",
		  STATE_NO_REQUESTS },
	};

	judge_needs(t, needs, ARRAY_SIZE(needs));
}

static void judge_unit(struct trial *t)
{
	const struct unit *unit = t->dev->unit;

	if (!unit) {
		find(t, AREA_IOMMU, STATE_MISSING, "no-iommu",
		     "look in the kernel's log which devices the IOMMUs serve",
		     "it is behind no IOMMU");
		return;
	}
	if (unit->vendor == VENDOR_OTHER) {
		find(t, AREA_IOMMU, STATE_MISSING, "iommu-driver", "none",
		     "the driver of %s has no SVA", unit->name);
		return;
	}
	if (*unit->lacks)
		find(t, AREA_IOMMU, STATE_MISSING, "iommu-capability",
		     "none: the IOMMU can't do it", "%s lacks %s, the kernel says", unit->name,
		     unit->lacks);
	if (!unit->caps_known) {
		find(t, AREA_IOMMU, STATE_UNKNOWN, "iommu-capability",
		     unit->vendor != VENDOR_SMMUV3 ? AS_ROOT :
		     t->machine->kernel.log ? "look in 'journalctl -k -b' for the SMMU's features" :
		     AS_ROOT, "what %s can do can't be read", unit->name);
		if (unit->vendor == VENDOR_VTD)
			judge_scalable(t);
		return;
	}
	switch (unit->vendor) {
	case VENDOR_VTD:
		judge_vtd(t);
		break;
	case VENDOR_AMD:
		judge_amd(t);
		break;
	default:
		judge_smmu(t);
	}
}

/* May the root port, or the root complex, do ATS, if firmware is asked? */
static void judge_firmware_ats(struct trial *t)
{
	const struct firmware *firmware = &t->machine->firmware;
	enum answer answer;

	if (!t->dev->pci || t->function.ats <= 0 || t->ats_enabled)
		return;
	if (t->machine->vendor == VENDOR_VTD)
		answer = firmware_dmar_ats(firmware, t->dev);
	else if (t->machine->vendor == VENDOR_SMMUV3)
		answer = firmware_arm_ats(firmware, t->dev);
	else
		return;
	if (answer == ANSWER_NO)
		find(t, AREA_FIRMWARE, STATE_NO_REQUESTS, "firmware-ats",
		     "the firmware has to say so: update it",
		     "firmware does not say that the way to the device does ATS");
	else if (answer == ANSWER_UNKNOWN)
		find(t, AREA_FIRMWARE, STATE_UNKNOWN, "firmware-ats", AS_ROOT,
		     "whether firmware allows ATS can't be read");
}

/* ---- Path, group, driver ---- */

static void judge_path(struct trial *t)
{
	struct pci_function port;
	char where[16], fix[200];

	if (!t->dev->pci || t->physical.pasid <= 0)
		return;
	switch (t->pasid_enabled ? PCI_FINE : pci_check_path(t->dev, where)) {
	case PCI_FINE:
		find(t, AREA_PORT, STATE_OK, "acs", NULL,
		     "the way to the root complex takes PASIDs");
		break;
	case PCI_UNREADABLE:
		find(t, AREA_PORT, STATE_UNKNOWN, "acs", AS_ROOT,
		     "the capabilities of %s on its way can't be read", where);
		break;
	case PCI_NO_ACS:
		find(t, AREA_PORT, STATE_MISSING, "acs", "use a slot whose ports have ACS",
		     "%s on its way has no ACS, without which Linux enables no PASID", where);
		break;
	case PCI_ACS_OFF:
		pci_read(&port, where);
		snprintf(fix, sizeof(fix),
			 "boot with pci=config_acs=xx111x1@pci:%04x:%04x (Linux 6.11 or later)",
			 port.vendor, port.device);
		find(t, AREA_PORT, STATE_MISSING, "acs", fix,
		     "%s on its way has ACS off, and Linux enables no PASID then", where);
		break;
	case PCI_NO_PREFIX:
		find(t, AREA_PORT, STATE_MISSING, "tlp-prefix", "use another slot",
		     "%s on its way does not pass on TLP prefixes, which hold the PASID", where);
		break;
	}
}

/* Who else is in the group? Functions without PASID are no harm to this core. */
static void judge_members(struct trial *t)
{
	const struct kernel *kernel = &t->machine->kernel;
	char **names, without[64] = "";
	int nr = file_list(&names, "sys/kernel/iommu_groups/%s/devices", t->dev->group);

	for (int i = 0; i < nr; i++) {
		struct pci_function member;

		if (!strcmp(names[i], t->dev->name) || !pci_read(&member, names[i]))
			continue;
		if (member.readable && member.pasid <= 0)
			copy_text(without, sizeof(without), names[i]);
	}
	file_free_list(names, nr);
	if (!*without)
		return;
	if (kernel->symbols[SYM_SVA_CORE] || kernel_before(kernel, 6, 11) ||
	    (kernel->version[0] && !kernel_before(kernel, 6, 16)))
		find(t, AREA_GROUP, STATE_NOTE, "group-pasid", NULL,
		     "%s in group %s has no PASID, which does no harm", without, t->dev->group);
	else
		find(t, AREA_GROUP, STATE_UNKNOWN, "group-pasid",
		     "take a later kernel of this series, or a slot with ACS",
		     "%s in group %s has no PASID: some of Linux 6.11 to 6.15 refuse (-EINVAL)",
		     without, t->dev->group);
}

static void judge_group(struct trial *t)
{
	char *type;

	if (!*t->dev->group)
		return;
	judge_members(t);
	type = file_line("sys/kernel/iommu_groups/%s/type", t->dev->group);
	if (type && t->machine->vendor == VENDOR_AMD && !strncmp(type, "DMA", 3) &&
	    kernel_last_of(&t->machine->kernel, "amd_iommu", "pgtbl_v2", "pgtbl_v1") != 1) {
		find(t, AREA_GROUP, STATE_MISSING, "group-domain",
		     "boot with amd_iommu=pgtbl_v2, or with iommu=pt",
		     "group %s has a %s domain with v1 page tables, which exclude PASIDs on AMD",
		     t->dev->group, type);
	} else if (type && t->machine->vendor == VENDOR_SMMUV3 && !strcmp(type, "identity") &&
		   kernel_before(&t->machine->kernel, 6, 11)) {
		find(t, AREA_GROUP, STATE_MISSING, "group-domain", "boot with iommu.passthrough=0",
		     "group %s has an identity domain, which excludes PASIDs before Linux 6.11",
		     t->dev->group);
	} else if (type) {
		find(t, AREA_GROUP, STATE_OK, "group-domain", NULL,
		     "group %s has a domain of type %s", t->dev->group, type);
	} else {
		find(t, AREA_GROUP, STATE_UNKNOWN, "group-domain", AS_ROOT,
		     "the domain of group %s is not known", t->dev->group);
	}
	free(type);
}

/* Returns true if the driver says that it has SVA enabled: then IOMMU, path and device have it. */
static bool judge_driver(struct trial *t)
{
	char **names;
	int nr = file_list(&names, "%s/uacce", t->dev->dir);
	bool offers = false;

	for (int i = 0; i < nr; i++) {
		char *flags = file_line("%s/uacce/%s/flags", t->dev->dir, names[i]);

		offers |= flags && strtoul(flags, NULL, 0) & UACCE_DEV_SVA;
		free(flags);
	}
	file_free_list(names, nr);
	if (!strcmp(t->dev->driver, "vfio-pci"))
		find(t, AREA_DRIVER, STATE_MISSING, "driver",
		     "bind the device's own driver instead of vfio-pci",
		     "vfio-pci has given the device to a user");
	else if (!*t->dev->driver)
		find(t, AREA_DRIVER, STATE_NOTE, "driver", "load a driver that uses SVA",
		     "no driver is bound to it");
	else if (nr && !offers)
		find(t, AREA_DRIVER, STATE_NOTE, "driver",
		     "see the other findings, and the kernel's log",
		     "its driver, %s, has a character device without SVA", t->dev->driver);
	else if (offers)
		find(t, AREA_DRIVER, STATE_OK, "driver", NULL, "its driver, %s, offers SVA",
		     t->dev->driver);
	else
		find(t, AREA_DRIVER, STATE_NOTE, "driver", NULL,
		     "whether its driver, %s, uses SVA can't be told", t->dev->driver);
	return offers;
}

/* ---- Verdict ---- */

/* The finding that the verdict is about, or NULL if all is well */
const struct finding *decisive(const struct device *dev)
{
	const struct finding *worst = NULL;

	for (size_t i = 0; i < dev->nr_findings; i++) {
		const struct finding *finding = &dev->findings[i];

		if (finding->state <= STATE_NOTE)
			continue;
		if (!worst || finding->state > worst->state ||
		    (finding->state == worst->state && finding->area < worst->area))
			worst = finding;
	}
	return worst;
}

static void read_function(struct trial *t)
{
	char *link = file_link("%s/physfn", t->dev->dir);
	const char *name = link ? strrchr(link, '/') : NULL;

	pci_read(&t->function, t->dev->name);
	t->physical = t->function;
	/* PASID and PRI of a virtual function are those of its physical one. */
	if (link)
		pci_read(&t->physical, name ? name + 1 : link);
	free(link);
}

/* The driver has enabled SVA, which proves all but that the core binds. */
static void take_as_proof(struct device *dev)
{
	for (size_t i = 0; i < dev->nr_findings; i++) {
		struct finding *finding = &dev->findings[i];

		if (finding->state == STATE_UNKNOWN && finding->area != AREA_CONFIG &&
		    finding->area != AREA_CORE)
			finding->state = STATE_NOTE;
	}
}

void judge(const struct machine *machine, struct device *dev)
{
	static const enum verdict verdicts[] = {
		[STATE_NO_REQUESTS] = VERDICT_OWN_FAULTS,
		[STATE_UNKNOWN] = VERDICT_UNKNOWN,
		[STATE_MISSING] = VERDICT_NO,
	};
	struct trial t = { .machine = machine, .dev = dev };
	const struct finding *finding;

	if (dev->pci)
		read_function(&t);
	judge_pasid(&t);
	judge_requests(&t);
	judge_config(&t);
	judge_core(&t);
	judge_cmdline(&t);
	if (machine->nr_units)
		judge_unit(&t);
	else if (!decisive(dev) || decisive(dev)->area != AREA_CMDLINE)
		judge_absence(&t);
	judge_firmware_ats(&t);
	judge_path(&t);
	judge_group(&t);
	if (judge_driver(&t))
		take_as_proof(dev);
	finding = decisive(dev);
	dev->verdict = finding ? verdicts[finding->state] : VERDICT_YES;
}
