// SPDX-License-Identifier: GPL-2.0-only
/*
 * The running kernel: release, configuration, command line, symbols, log
 *
 * Where no configuration can be read, symbols tell whether an option was set: /proc/kallsyms has
 * their names for every user.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "sva-check.h"

static const char * const symbol_names[SYM_COUNT] = {
	[SYM_BIND]	= "iommu_sva_bind_device",
	[SYM_SVA_CORE]	= "iommu_sva_handle_fault",
	[SYM_KVA_FLUSH]	= "iommu_sva_invalidate_kva_range",
	[SYM_PASID]	= "pci_enable_pasid",
	[SYM_VTD_SVM]	= "intel_svm_check",
	[SYM_AMD_SVA]	= "amd_sva_submit",
	[SYM_SMMU_SVA]	= "arm_smmu_sva_supported",
};

/* What symbol an option's code has, if there is one that all 6.x kernels have */
static const struct {
	const char *option;
	enum symbol symbol;
} witnesses[] = {
	{ "IOMMU_SVA", SYM_BIND },
	{ "PCI_PASID", SYM_PASID },
	{ "INTEL_IOMMU_SVM", SYM_VTD_SVM },
	{ "ARM_SMMU_V3_SVA", SYM_SMMU_SVA },
};

static void read_release(struct kernel *kernel)
{
	char *line = file_line("proc/sys/kernel/osrelease");
	struct utsname name;

	if (!line && file_is_live() && !uname(&name))
		line = strdup(name.release);
	if (line)
		copy_text(kernel->release, sizeof(kernel->release), line);
	free(line);
	if (sscanf(kernel->release, "%u.%u.%u", &kernel->version[0], &kernel->version[1],
		   &kernel->version[2]) < 2)
		kernel->version[0] = 0;
}

static void read_config(struct kernel *kernel)
{
	char paths[3][256];

	snprintf(paths[0], sizeof(paths[0]), "boot/config-%s", kernel->release);
	snprintf(paths[1], sizeof(paths[1]), "lib/modules/%s/config", kernel->release);
	snprintf(paths[2], sizeof(paths[2]), "lib/modules/%s/build/.config", kernel->release);

	kernel->config = file_inflate(NULL, "proc/config.gz");
	copy_text(kernel->config_path, sizeof(kernel->config_path), "proc/config.gz");
	for (size_t i = 0; !kernel->config && i < ARRAY_SIZE(paths); i++) {
		kernel->config = file_read(NULL, "%s", paths[i]);
		copy_text(kernel->config_path, sizeof(kernel->config_path), paths[i]);
	}
	/* A file that sets nothing is no configuration. */
	if (kernel->config && !strstr(kernel->config, "CONFIG_")) {
		free(kernel->config);
		kernel->config = NULL;
	}
}

static void read_arch(struct kernel *kernel)
{
	char *line = file_line("proc/sys/kernel/arch");
	struct utsname name;

	if (line)
		copy_text(kernel->arch, sizeof(kernel->arch), line);
	else if (file_is_live() && !uname(&name))
		copy_text(kernel->arch, sizeof(kernel->arch), name.machine);
	else if (kernel_option(kernel, "X86_64") == 'y')
		copy_text(kernel->arch, sizeof(kernel->arch), "x86_64");
	else if (kernel_option(kernel, "ARM64") == 'y')
		copy_text(kernel->arch, sizeof(kernel->arch), "aarch64");
	free(line);
	kernel->x86 = !strcmp(kernel->arch, "x86_64") || !strcmp(kernel->arch, "i686");
}

/* A line is an address, a type and a name, and perhaps a module. */
static void read_symbols(struct kernel *kernel)
{
	char *text = file_read(NULL, "proc/kallsyms"), *next = text, *line;

	while ((line = strsep(&next, "\n"))) {
		char name[128];

		if (sscanf(line, "%*x %*c %127s", name) != 1)
			continue;
		kernel->symbols_known = true;
		for (int i = 0; i < SYM_COUNT; i++)
			kernel->symbols[i] |= !strcmp(name, symbol_names[i]);
	}
	free(text);
}

void kernel_read(struct kernel *kernel)
{
	read_release(kernel);
	read_config(kernel);
	read_arch(kernel);
	read_symbols(kernel);
	kernel->cmdline = file_line("proc/cmdline");
	kernel->cpu = file_read(NULL, "proc/cpuinfo");
	kernel->log = file_read(NULL, "dev/kmsg");
	if (!kernel->log || !*kernel->log) {
		free(kernel->log);
		kernel->log = file_read(NULL, "var/log/dmesg");
	}
}

/* The value of CONFIG_@name: 'y', 'm', 'n', or '?' if it can't be told */
char kernel_option(const struct kernel *kernel, const char *name)
{
	size_t len = strlen(name);
	const char *at = kernel->config;

	if (!at) {
		for (size_t i = 0; i < ARRAY_SIZE(witnesses); i++)
			if (kernel->symbols_known && !strcmp(name, witnesses[i].option))
				return kernel->symbols[witnesses[i].symbol] ? 'y' : 'n';
		return '?';
	}
	for (; (at = strstr(at, "CONFIG_")); at++) {
		if (at != kernel->config && at[-1] != '\n')
			continue;
		if (!strncmp(at + 7, name, len) && at[7 + len] == '=')
			return at[8 + len] == 'm' ? 'm' : at[8 + len] == 'y' ? 'y' : 'n';
	}
	return 'n';
}

/*
 * The next value of parameter @name at or after *@at, and moves *@at behind it; NULL if there is
 * no more. The kernel takes '-' for '_' in some names; those looked for here have neither.
 */
static const char *next_value(const char **at, const char *name, size_t *len)
{
	size_t name_len = strlen(name);

	while (*at && **at) {
		const char *word = *at + strspn(*at, " \t");
		size_t word_len = strcspn(word, " \t");

		*at = word + word_len;
		if (word_len > name_len && word[name_len] == '=' &&
		    !strncmp(word, name, name_len)) {
			*len = word_len - name_len - 1;
			return word + name_len + 1;
		}
	}
	return NULL;
}

/* Does a parameter @name have @value in its list? */
bool kernel_word(const struct kernel *kernel, const char *name, const char *value)
{
	return kernel_last_of(kernel, name, value, NULL) == 1;
}

/* Which of @yes and @no comes last in the lists of parameter @name: 1, 0, or -1 for neither */
int kernel_last_of(const struct kernel *kernel, const char *name, const char *yes, const char *no)
{
	const char *at = kernel->cmdline, *list;
	int found = -1;
	size_t len;

	while ((list = next_value(&at, name, &len))) {
		const char *end = list + len;

		while (list < end) {
			const char *comma = memchr(list, ',', end - list);
			size_t n = (comma ?: end) - list;

			if (n == strlen(yes) && !strncmp(list, yes, n))
				found = 1;
			else if (no && n == strlen(no) && !strncmp(list, no, n))
				found = 0;
			list += n + 1;
		}
	}
	return found;
}

/* Is this kernel known to be older than @major.@minor? */
bool kernel_before(const struct kernel *kernel, unsigned int major, unsigned int minor)
{
	return kernel->version[0] && (kernel->version[0] < major ||
		(kernel->version[0] == major && kernel->version[1] < minor));
}

/* Does the first CPU have @flag? */
bool kernel_cpu_has(const struct kernel *kernel, const char *flag)
{
	const char *line = kernel->cpu ? strstr(kernel->cpu, "\nflags") : NULL;
	size_t len = strlen(flag);
	const char *end, *at;

	if (!line)
		return false;
	end = line + 1 + strcspn(line + 1, "\n");
	for (at = line; (at = strstr(at, flag)) && at < end; at += len)
		if (at[-1] == ' ' && (isspace((unsigned char)at[len]) || !at[len]))
			return true;
	return false;
}
