// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: errors of PCI Express, and what the kernel does about them (PCIe 6.0, 6.2), on a kernel
 * with aer_inject. The port above the first device reports them, so that the device needs no
 * capability for that:
 *
 *   - a correctable one is logged;
 *   - one that is not fatal is told to the device's driver, which has lost nothing. Neither may
 *     disturb a job;
 *   - a fatal one cuts the device off. Its driver stops it, the kernel resets the link, and the
 *     driver goes on, as after a reset.
 */
#include <limits.h>

#include <linux/pci_regs.h>

#include "sva_torture.h"

#define AER_INJECT	"/dev/aer_inject"

/* What is written to AER_INJECT, of drivers/pci/pcie/aer_inject.c */
struct error {
	__u8 bus;
	__u8 dev;
	__u8 fn;
	__u32 uncorrectable;
	__u32 correctable;
	__u32 header[4];
	__u32 domain;
};

bool t_has_errors(void)
{
	return !access(AER_INJECT, W_OK);
}

/* The address of the port above the first device */
static int find_port(struct error *error)
{
	char path[128], real[PATH_MAX], *port;
	unsigned int domain, bus, dev, fn;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/..", t_shared->device[0].bdf);
	if (!realpath(path, real))
		return -errno;
	port = strrchr(real, '/') + 1;
	if (sscanf(port, "%x:%x:%x.%x", &domain, &bus, &dev, &fn) != 4)
		return -ENXIO;
	*error = (struct error) { .domain = domain, .bus = bus, .dev = dev, .fn = fn };
	return 0;
}

/* Waits until the kernel is done with the error, which it says in its log. */
static int await_end(int log, const char *good)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	char record[2048];
	ssize_t n;

	while (sva_now_ms() < end) {
		n = read(log, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* the log has overrun the reader */
		if (n <= 0) {
			usleep(2000);
			continue;
		}
		record[n] = '\0';
		if (strstr(record, good))
			return 0;
		if (strstr(record, "device recovery failed"))
			return -EIO;
	}
	return -ETIMEDOUT;
}

static int inject(const struct error *error)
{
	int fd = open(AER_INJECT, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, error, sizeof(*error)) != sizeof(*error))
		ret = -errno;
	close(fd);
	return ret;
}

int t_error(enum t_op op)
{
	const char *good = "device recovery successful";
	struct error error;
	int log, ret;

	ret = find_port(&error);
	if (ret)
		return ret;
	if (op == T_CORRECTABLE) {
		error.correctable = PCI_ERR_COR_BAD_TLP;
		good = "PCIe Bus Error: severity=Corr";
	} else {
		error.uncorrectable = op == T_FATAL ? PCI_ERR_UNC_DLP : PCI_ERR_UNC_COMP_TIME;
	}
	log = sva_log_open();
	if (log < 0)
		return log;
	ret = inject(&error) ?: await_end(log, good);
	close(log);
	return ret;
}
