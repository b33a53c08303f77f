/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sva-check: which devices can do SVA, and what the others lack
 *
 *	sva-check.c	options, the devices of the machine, exit status
 *	judge.c		the findings about one device
 *	kernel.c	configuration, command line, symbols, log
 *	firmware.c	DMAR, IVRS, IORT and device tree
 *	unit.c		IOMMUs and what they can do
 *	pci.c		configuration space
 *	report.c	text and JSON
 *	file.c		files below the root directory
 *
 * Everything that is read comes from files below one root directory, which may be a copy of another
 * machine's. A file may be missing, unreadable, short, or hold anything: then what it would tell is
 * unknown, and the verdict says so.
 */
#ifndef SVA_CHECK_H
#define SVA_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define BIT_ULL(nr)		(1ULL << (nr))

/* ---- Findings ---- */

/**
 * enum state - what a finding means for the verdict; the worst of a device decides
 * @STATE_OK: as it must be
 * @STATE_NOTE: worth knowing, whatever the verdict
 * @STATE_NO_REQUESTS: SVA without page requests
 * @STATE_UNKNOWN: can't be told
 * @STATE_MISSING: no SVA
 */
enum state {
	STATE_OK,
	STATE_NOTE,
	STATE_NO_REQUESTS,
	STATE_UNKNOWN,
	STATE_MISSING,
};

/* Where a finding is to be mended, in the order in which text names them */
enum area {
	AREA_DEVICE,
	AREA_CONFIG,
	AREA_CORE,
	AREA_CMDLINE,
	AREA_FIRMWARE,
	AREA_IOMMU,
	AREA_PORT,
	AREA_GROUP,
	AREA_DRIVER,
};

struct finding {
	enum area area;
	enum state state;
	const char *id;		/* stable, for programs */
	char *text;
	char *fix;		/* or NULL */
};

/* ---- The machine ---- */

/* Symbols that tell what the kernel was built with */
enum symbol {
	SYM_BIND,		/* any core */
	SYM_SVA_CORE,		/* the core that walks a root of its own on x86 */
	SYM_KVA_FLUSH,		/* upstream's remedy for freed kernel page tables */
	SYM_PASID,
	SYM_VTD_SVM,
	SYM_AMD_SVA,		/* the core's back-end for AMD */
	SYM_SMMU_SVA,
	SYM_COUNT,
};

struct kernel {
	char release[128];
	unsigned int version[3];
	char arch[32];		/* as uname -m has it, or "" */
	bool x86;
	char *cmdline;		/* or NULL */
	char *config;		/* or NULL */
	char config_path[256];
	bool symbols_known;
	bool symbols[SYM_COUNT];
	char *log;		/* or NULL */
	char *cpu;		/* /proc/cpuinfo or NULL */
};

enum vendor {
	VENDOR_UNKNOWN,
	VENDOR_VTD,
	VENDOR_AMD,
	VENDOR_SMMUV3,
	VENDOR_OTHER,		/* an IOMMU whose driver has no SVA */
};

/* A table of ACPI, or what stands for it in a device tree */
struct table {
	bool present;
	unsigned char *bytes;	/* NULL: not readable */
	size_t len;
};

struct firmware {
	bool acpi_known;
	bool devicetree;
	struct table dmar, ivrs, iort;
};

/* An IOMMU: VT-d's caps are CAP and ECAP, AMD's the features, SMMUv3's the driver's flags. */
struct unit {
	char name[64];
	enum vendor vendor;
	bool caps_known;
	unsigned long long cap, ecap;
	char lacks[128];	/* what the kernel's log says that it lacks, or "" */
};

struct machine {
	struct kernel kernel;
	struct firmware firmware;
	struct unit *units;
	size_t nr_units;
	enum vendor vendor;
};

enum verdict {
	VERDICT_YES,
	VERDICT_NO,
	VERDICT_UNKNOWN,
	VERDICT_OWN_FAULTS,
};

struct device {
	bool pci;
	char name[256];
	char dir[512];		/* below the root */
	char driver[64];	/* or "" */
	char group[32];		/* or "" */
	const struct unit *unit;
	struct finding findings[32];
	size_t nr_findings;
	enum verdict verdict;
};

/* ---- file.c ---- */

void file_set_root(const char *dir);
bool file_is_live(void);
char *file_read(size_t *len, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *file_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool file_exists(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *file_link(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *file_inflate(size_t *len, const char *path);
int file_list(char ***names, const char *format, ...) __attribute__((format(printf, 2, 3)));
void file_free_list(char **names, int nr);
void copy_text(char *to, size_t size, const char *from);
char *format_text(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
__attribute__((noreturn)) void give_up(const char *why);

/* ---- kernel.c ---- */

void kernel_read(struct kernel *kernel);
char kernel_option(const struct kernel *kernel, const char *name);
bool kernel_word(const struct kernel *kernel, const char *name, const char *value);
int kernel_last_of(const struct kernel *kernel, const char *name, const char *yes, const char *no);
bool kernel_before(const struct kernel *kernel, unsigned int major, unsigned int minor);
bool kernel_cpu_has(const struct kernel *kernel, const char *flag);

/* ---- firmware.c ---- */

/* A yes or no that may be unknown */
enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN };

void firmware_read(struct firmware *firmware);
enum answer firmware_dmar_ats(const struct firmware *firmware, const struct device *dev);
enum answer firmware_arm_ats(const struct firmware *firmware, const struct device *dev);
bool firmware_stalls(const struct firmware *firmware, const struct device *dev);
int firmware_pasid_bits(const struct firmware *firmware, const struct device *dev);

/* ---- unit.c ---- */

/* VT-d 4.1, sections 11.4.2 and 11.4.3 */
#define VTD_CAP_1G		BIT_ULL(56)
#define VTD_CAP_5LP		BIT_ULL(60)
#define VTD_ECAP_DT		BIT_ULL(2)
#define VTD_ECAP_PRS		BIT_ULL(29)
#define VTD_ECAP_PASID		BIT_ULL(40)
#define VTD_ECAP_PDS		BIT_ULL(42)
#define VTD_ECAP_SMTS		BIT_ULL(43)
#define VTD_ECAP_FLTS		BIT_ULL(47)
#define VTD_ECAP_SMPWC		BIT_ULL(48)
/* AMD 48882, MMIO offset 0030h */
#define AMD_EFR_PPR		BIT_ULL(1)
#define AMD_EFR_GT		BIT_ULL(4)
#define AMD_EFR_EPH		BIT_ULL(50)
/* The driver's own flags, which it prints at boot */
#define SMMU_FEAT_2_LVL_CDTAB	BIT_ULL(1)
#define SMMU_FEAT_PRI		BIT_ULL(4)
#define SMMU_FEAT_ATS		BIT_ULL(5)
#define SMMU_FEAT_COHERENCY	BIT_ULL(8)
#define SMMU_FEAT_STALLS	BIT_ULL(11)
#define SMMU_FEAT_STALL_FORCE	BIT_ULL(13)
#define SMMU_FEAT_SVA		BIT_ULL(17)

void units_read(struct machine *machine);
const struct unit *unit_of(const struct machine *machine, const struct device *dev);
const char *vendor_name(enum vendor vendor);

/* ---- pci.c ---- */

#define PCI_MAX_PATH		16

struct pci_space {
	unsigned char bytes[4096];
	size_t len;
};

/* What a function's configuration space says. Offsets: 0: there is none, -1: can't be told. */
struct pci_function {
	struct pci_space space;
	bool readable;		/* beyond the first 64 bytes */
	bool extended;		/* beyond the first 256 */
	unsigned int vendor, device, class;
	bool bridge, multifunction, pcie;
	unsigned int type;
	bool prefixes;		/* passes end-to-end TLP prefixes on */
	int acs, ats, pri, pasid;
};

enum pci_fault { PCI_FINE, PCI_UNREADABLE, PCI_NO_ACS, PCI_ACS_OFF, PCI_NO_PREFIX };

int pci_path(const struct device *dev, char path[PCI_MAX_PATH][16]);
bool pci_read(struct pci_function *function, const char *name);
unsigned int pci_word(const struct pci_function *function, int offset);
enum pci_fault pci_check_path(const struct device *dev, char where[16]);

/* ---- judge.c, report.c ---- */

void judge(const struct machine *machine, struct device *dev);
const struct finding *decisive(const struct device *dev);
const char *verdict_name(enum verdict verdict);
void report_text(const struct machine *machine, const struct device *devs, size_t nr, bool all);
void report_json(const struct machine *machine, const struct device *devs, size_t nr,
		 enum verdict verdict);

#endif /* SVA_CHECK_H */
