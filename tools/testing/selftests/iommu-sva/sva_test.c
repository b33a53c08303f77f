// SPDX-License-Identifier: GPL-2.0-only
/*
 * End-to-end cases of Shared Virtual Addressing: a process, the uacce driver, the SVA core, the
 * IOMMU, and a PCIe endpoint that does DMA with PASID, ATS and PRI.
 *
 * The harness keeps its list of cases in static variables, so all cases are one compilation
 * unit; each theme has its own file.
 */
#include "sva_test.h"

#include "cases_memory.c"
#include "cases_files.c"
#include "cases_invalidate.c"
#include "cases_fork.c"
#include "cases_faults.c"
#include "cases_requests.c"
#include "cases_lifetime.c"
#include "cases_device.c"
#include "cases_stop.c"
#include "cases_link.c"
#include "cases_bonds.c"
#include "cases_limits.c"
#include "cases_storm.c"
#include "cases_accounts.c"
#include "cases_stats.c"
#include "cases_own.c"
#include "cases_virtual.c"
#include "cases_power.c"

/* Takes options of cases, which the harness does not know, off the command line. */
static int take_options(int argc, char **argv)
{
	int i, left = 1;

	for (i = 1; i < argc; i++) {
		if (i + 1 < argc && !strcmp(argv[i], "--rounds"))
			storm_rounds = strtoul(argv[++i], NULL, 0);
		else if (i + 1 < argc && !strcmp(argv[i], "--seed"))
			storm_seed = strtoul(argv[++i], NULL, 0);
		else if (i + 1 < argc && !strcmp(argv[i], "--handovers"))
			handovers = strtoul(argv[++i], NULL, 0);
		else if (i + 1 < argc && !strcmp(argv[i], "--slot-rounds"))
			slot_rounds = strtoul(argv[++i], NULL, 0);
		else
			argv[left++] = argv[i];
	}
	argv[left] = NULL;
	return left;
}

int main(int argc, char **argv)
{
	struct sva_device devices[SVA_MAX_DEVICES];

	argc = take_options(argc, argv);
	/* What a case that calls exec() becomes. */
	if (argc == 3 && !strcmp(argv[1], AFTER_EXEC))
		return after_exec(atoi(argv[2]));
	/* A machine on which a person runs all selftests, without test devices */
	if (!sva_devices(devices, SVA_MAX_DEVICES)) {
		ksft_print_header();
		ksft_exit_skip("there is no sva-dma device with a driver\n");
	}
	return test_harness_run(argc, argv);
}
