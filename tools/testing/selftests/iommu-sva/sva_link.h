/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The link between a port and the function below, by the port's configuration space. Functions
 * return 0 or a negative errno.
 */
#ifndef SVA_LINK_H
#define SVA_LINK_H

#include <stddef.h>

#include <linux/types.h>

/**
 * struct sva_link - the link between a port and the function below
 * @port: configuration space of the port, which stays when the function goes
 * @express: offset of its PCI Express capability
 * @dpc: offset of its DPC capability; 0: it has none
 */
struct sva_link {
	int port;
	int express;
	int dpc;
};

/* Opens the port above the function at @bdf; -ENXIO: what is above it is no PCI Express port. */
int sva_link_open(struct sva_link *link, const char *bdf);
void sva_link_close(struct sva_link *link);

/* Reads @len bytes, 4 at most, of configuration space. */
int sva_config_read(int fd, int at, size_t len, __u32 *value);

/* Changes some bits of a register of two bytes. */
int sva_link_change(const struct sva_link *link, int at, __u16 clear, __u16 set);

/*
 * Takes the link down, or lets it come up again (PCIe 6.0, 7.5.3.7). Returns before the kernel has
 * noticed.
 */
int sva_link_disable(const struct sva_link *link);
int sva_link_enable(const struct sva_link *link);

#endif /* SVA_LINK_H */
