// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device is gone before the kernel knows: its link is down, its configuration space reads all
 * ones, and its ATC completes no invalidation. The fixture is that of cases_device.c.
 */

#define DPC_SW_TRIGGER	0x40	/* of the DPC control register (PCIe 6.0, 7.9.14.3) */

/* What each IOMMU's driver logs of a time-out; SMMUv3's may hear of one twice */
#define TIME_OUTS_OF_SMMU	2

/*
 * A slot with a power switch ejects the device, and a driver for containment has the link up again
 * before the slot's driver looks.
 */
static bool link_can_break(struct __test_metadata *_metadata, struct sva_link *link, bool contained)
{
	__u32 slot;

	ASSERT_EQ(0, sva_config_read(link->port, link->express + PCI_EXP_SLTCAP, 4, &slot));
	if (!(slot & PCI_EXP_SLTCAP_HPC) || (slot & PCI_EXP_SLTCAP_PCP))
		return false;
	return !contained || (link->dpc && access("/sys/bus/pci_express/drivers/dpc", F_OK));
}

/* Takes the link down, by an error that the port contains or not. The kernel is not told yet. */
static void link_breaks(struct __test_metadata *_metadata, struct sva_link *link, bool contained)
{
	ASSERT_EQ(0, sva_link_change(link, link->express + PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_HPIE, 0));
	ASSERT_EQ(0, !contained ? sva_link_disable(link) :
		     sva_link_change(link, link->dpc + PCI_EXP_DPC_CTL, 0,
				     PCI_EXP_DPC_CTL_EN_FATAL | DPC_SW_TRIGGER));
}

/* Now it does. */
static void link_is_told(struct __test_metadata *_metadata, struct sva_link *link)
{
	ASSERT_EQ(0, sva_link_change(link, link->express + PCI_EXP_SLTCTL, 0, PCI_EXP_SLTCTL_HPIE));
}

static void link_comes_back(struct __test_metadata *_metadata, struct sva_link *link,
			    bool contained)
{
	ASSERT_EQ(0, !contained ? sva_link_enable(link) :
		     sva_link_change(link, link->dpc + PCI_EXP_DPC_STATUS, 0,
				     PCI_EXP_DPC_STATUS_TRIGGER));
	sva_link_close(link);
}

/* What software reads that looks for the function */
static __u32 function_id(struct __test_metadata *_metadata, const char *bdf)
{
	char path[128];
	__u32 id;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, sva_config_read(fd, PCI_VENDOR_ID, sizeof(id), &id));
	close(fd);
	return id;
}

static void function_is_removed(struct __test_metadata *_metadata, const char *bdf)
{
	__s64 end = sva_now_ms() + SVA_TIMEOUT_MS;
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	while (!access(path, F_OK) && sva_now_ms() < end)
		sva_relax();
	ASSERT_EQ(-1, access(path, F_OK)) {
		TH_LOG("%s is still there", bdf);
	}
}

/* Lines of the kernel log since @kmsg, which is a reader of its own */
static int lines_of(int kmsg, const char *wanted)
{
	struct sva_env look = { .kmsg = kmsg };
	char line[256];

	return env_complaints(&look, wanted, line, sizeof(line));
}

/* Others wait for one time-out, and the log has it once. */
static void cost_one_time_out(struct __test_metadata *_metadata, int time_outs, int reports)
{
	const char *text = env_has_amd() ? "IOTLB_INV_TIMEOUT" : "VT-d detected Invalidation";
	int lines;

	if (env_has_smmu())
		text = "ATC invalidate timeout";
	lines = lines_of(time_outs, text);
	EXPECT_LE(1, lines);
	EXPECT_GE(env_has_smmu() ? TIME_OUTS_OF_SMMU : 1, lines) {
		TH_LOG("it was asked again: %d time-outs", lines);
	}
	EXPECT_EQ(1, lines_of(reports, "has not completed an ATC invalidation"));
	close(time_outs);
	close(reports);
}

/* A device that others use, too, and what is to happen to it */
struct lost_device {
	struct sva_env *env;
	struct sva_queue *q;
	char bdf[32];
	struct sva_link link;
	bool contained;
	struct sva_queue other;		/* of the same process, on another device */
	struct peer exits;
	struct peer neighbour;
	__u8 *first;
	__u8 *second;
	int time_outs;			/* readers of the kernel's log */
	int reports;
};

/* Both devices have the memory in their ATCs; the first completes no invalidation any more. */
static void lost_device_works(struct __test_metadata *_metadata, struct lost_device *lost)
{
	volatile __u32 *regs = map_registers(lost->bdf);

	ASSERT_NE(MAP_FAILED, regs);
	lost->first = anon(DEV_LEN);
	lost->second = anon(DEV_LEN);
	start(&lost->other, &lost->env->sva[1]);
	peer_start(_metadata, &lost->exits, exit_with_a_bond, &lost->env->sva[0]);
	ASSERT_TRUE(await(lost->exits.line));
	peer_start(_metadata, &lost->neighbour, unmap_a_line, &lost->env->sva[1]);
	ASSERT_TRUE(await(lost->neighbour.line));
	run_ok(lost->q, sva_fill(lost->first, DEV_LEN, 1));
	run_ok(lost->q, sva_fill(lost->second, DEV_LEN, 1));
	run_ok(&lost->other, sva_fill(lost->first, DEV_LEN, 2));
	lost->time_outs = open_kmsg(_metadata);
	lost->reports = open_kmsg(_metadata);
	/* From now on any write to what fork() has made read-only may cost the time-out. */
	kmsg_mark("SVA-EXPECT", env_has_smmu() ? TIME_OUT_SMMU : TIME_OUT_X86);
	regs[SVA_DMA_REG_BEHAVIOUR / 4] = SVA_DMA_INV_HANG;
}

static void lost_device_goes(struct __test_metadata *_metadata, struct lost_device *lost)
{
	link_breaks(_metadata, &lost->link, lost->contained);
	EXPECT_EQ(~0U, function_id(_metadata, lost->bdf));
	munmap(lost->first, DEV_LEN);
	/* Both had cached it; the invalidation for this one was not lost with the other's. */
	refused(&lost->other, sva_fill(lost->first, DEV_LEN, 3));
	munmap(lost->second, DEV_LEN);
	post(lost->exits.line);
	peer_ends_well(&lost->exits);
	post(lost->neighbour.line);
	peer_ends_well(&lost->neighbour);

	link_is_told(_metadata, &lost->link);
	function_is_removed(_metadata, lost->bdf);
	EXPECT_EQ(SIGBUS, probe(lost->q->job + SVA_DMA_JOB_STATUS));
	sva_close(lost->q);
	cost_one_time_out(_metadata, lost->time_outs, lost->reports);
	kmsg_mark("SVA-EXPECT-END", "");
}

static void lost_device_comes_back(struct __test_metadata *_metadata, struct lost_device *lost)
{
	__u8 *memory = anon(DEV_LEN);

	link_comes_back(_metadata, &lost->link, lost->contained);
	find_again(_metadata, &lost->env->sva[0], lost->bdf);
	start(lost->q, &lost->env->sva[0]);
	run_ok(lost->q, sva_fill(memory, DEV_LEN, 4));
	EXPECT_EQ(-1, differs(memory, DEV_LEN, 4));
	run_ok(&lost->other, sva_fill(memory, DEV_LEN, 5));
	EXPECT_EQ(-1, differs(memory, DEV_LEN, 5));
	sva_close(&lost->other);
	memset(&lost->env->before[0], 0, sizeof(lost->env->before[0]));
}

static void lose_the_link(struct __test_metadata *_metadata, struct sva_env *env,
			  struct sva_queue *q, bool contained)
{
	struct lost_device device = { .env = env, .q = q, .contained = contained };

	if (env->sva[0].stall)
		SKIP(return, NO_PAGE_REQUESTS);
	snprintf(device.bdf, sizeof(device.bdf), "%s", env->sva[0].bdf);
	ASSERT_EQ(0, sva_link_open(&device.link, device.bdf));
	if (!link_can_break(_metadata, &device.link, contained))
		SKIP(return, "the link of the device cannot break and come back");
	env->noisy = true;
	lost_device_works(_metadata, &device);
	lost_device_goes(_metadata, &device);
	lost_device_comes_back(_metadata, &device);
}

TEST_F(device, link_that_breaks_costs_one_time_out)
{
	lose_the_link(_metadata, &self->env, &self->q, false);
}

/* The port contains an error. Without a driver for that the kernel sees that the link is down. */
TEST_F(device, error_that_its_port_contains_costs_one_time_out)
{
	lose_the_link(_metadata, &self->env, &self->q, true);
}
