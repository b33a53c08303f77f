// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI core around resets and sleep: when a function is paused, and when its ATC is flushed
 *
 * A function without a bus, whose configuration space is memory, is reset and put to sleep by the
 * PCI core's own code. What that writes, and what the fault queue asks of the IOMMU driver, is
 * noted in order.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/slab.h>

#include "../../pci/pci.h"
#include "../iopf.h"

#define FN_ATS		0x100
#define FN_PM		0x40
#define FN_EVENTS	64
#define FN_VENDOR	0x00010002
/* The places of FLR, and of a reset by D3hot, among the PCI core's methods */
#define FN_FLR		3
#define FN_PM_RESET	5

enum fn_event {
	FN_ATS_ON,	/* ATS is enabled */
	FN_MASTER_ON,	/* bus mastering is, */
	FN_MASTER_OFF,	/* or is not */
	FN_DRAINED,	/* the IOMMU driver drains, */
	FN_FLUSHED,	/* and flushes the ATC */
};

/**
 * struct fn - a function behind an IOMMU
 * @test: the test
 * @pdev: the function
 * @bus: where its configuration space is read
 * @host: the bridge of that
 * @unit: the IOMMU
 * @ops: the driver of that
 * @param: what the IOMMU core knows of the function
 * @queue: its fault queue
 * @config: its configuration space
 * @absent: that reads all ones
 * @stubborn: it does not change its power state
 * @events: what has happened
 * @nr: how much
 * @paused_in_resume: what the driver's resume() has found
 * @vf: its virtual function
 */
struct fn {
	struct kunit *test;
	struct pci_dev pdev;
	struct pci_bus bus;
	struct pci_host_bridge host;
	struct iommu_device unit;
	struct iommu_ops ops;
	struct dev_iommu param;
	struct iopf_queue *queue;
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
	bool absent;
	bool stubborn;
	enum fn_event events[FN_EVENTS];
	unsigned int nr;
	bool paused_in_resume;
	struct fn *vf;
};

static void fn_note(struct fn *fn, enum fn_event event)
{
	if (fn->nr < FN_EVENTS)
		fn->events[fn->nr++] = event;
}

static struct fn *fn_of(struct device *dev)
{
	return container_of(to_pci_dev(dev), struct fn, pdev);
}

static int fn_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *val)
{
	struct fn *fn = container_of(bus, struct fn, bus);

	*val = 0;
	if (fn->absent)
		*val = ~0;
	else
		memcpy(val, &fn->config[where], size);
	return PCIBIOS_SUCCESSFUL;
}

static int fn_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 val)
{
	struct fn *fn = container_of(bus, struct fn, bus);

	if (where == PCI_COMMAND)
		fn_note(fn, val & PCI_COMMAND_MASTER ? FN_MASTER_ON : FN_MASTER_OFF);
	if (where == FN_ATS + PCI_ATS_CTRL && (val & PCI_ATS_CTRL_ENABLE))
		fn_note(fn, FN_ATS_ON);
	if (!fn->absent && !(fn->stubborn && where == FN_PM + PCI_PM_CTRL))
		memcpy(&fn->config[where], &val, size);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops fn_config_ops = { .read = fn_read, .write = fn_write };

static void fn_page_response(struct device *dev, struct iopf_fault *evt,
			     struct iommu_page_response *msg)
{
	/* It asks for nothing. */
}

static void fn_drain(struct device *dev, ioasid_t pasid)
{
	fn_note(fn_of(dev), FN_DRAINED);
}

static void fn_flush_atc(struct device *dev)
{
	fn_note(fn_of(dev), FN_FLUSHED);
}

static const struct iommu_sva_ops fn_sva_ops = {
	.drain = fn_drain,
	.flush_atc = fn_flush_atc,
};

static void fn_release(struct device *dev)
{
	/* Its memory is the test's. */
}

static void fn_make_function(struct fn *fn)
{
	struct pci_dev *pdev = &fn->pdev;
	u32 id = FN_VENDOR, command = PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;

	memcpy(&fn->config[PCI_VENDOR_ID], &id, sizeof(id));
	memcpy(&fn->config[PCI_COMMAND], &command, sizeof(command));
	fn->bus.ops = &fn_config_ops;
	fn->bus.bridge = &fn->host.dev;
	pdev->bus = &fn->bus;
	pdev->error_state = pci_channel_io_normal;
	pdev->current_state = PCI_D0;
	pdev->pm_cap = FN_PM;
	pdev->ats_cap = FN_ATS;
	pdev->ats_enabled = 1;
	pdev->ats_stu = PAGE_SHIFT;
	pdev->imm_ready = 1;
	pdev->devcap = PCI_EXP_DEVCAP_FLR;
	pdev->reset_methods[0] = FN_FLR;
}

static struct fn *fn_new(struct kunit *test, const char *name)
{
	struct fn *fn = kunit_kzalloc(test, sizeof(*fn), GFP_KERNEL);
	struct device *dev;

	KUNIT_ASSERT_NOT_NULL(test, fn);
	fn->test = test;
	fn_make_function(fn);
	fn->ops.page_response = fn_page_response;
	fn->ops.sva_ops = &fn_sva_ops;
	fn->unit.ops = &fn->ops;
	mutex_init(&fn->param.lock);
	dev_iommu_init_sva(&fn->param, &fn->pdev.dev);
	fn->param.iommu_dev = &fn->unit;
	dev = &fn->pdev.dev;
	device_initialize(dev);
	dev->release = fn_release;
	dev->iommu = &fn->param;
	KUNIT_ASSERT_EQ(test, dev_set_name(dev, name), 0);
	fn->queue = iopf_queue_alloc(name);
	KUNIT_ASSERT_NOT_NULL(test, fn->queue);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(fn->queue, dev), 0);
	return fn;
}

static int iopf_pci_test_init(struct kunit *test)
{
	test->priv = fn_new(test, "iopf-pci-kunit");
	return 0;
}

static void fn_free(struct fn *fn)
{
	iopf_queue_free(fn->queue);
	iopf_atc_forget(&fn->pdev.dev);
	fn->pdev.dev.iommu = NULL;
	put_device(&fn->pdev.dev);
}

static void iopf_pci_test_exit(struct kunit *test)
{
	struct fn *fn = test->priv;

	if (!fn)
		return;
	if (fn->vf)
		fn_free(fn->vf);
	fn_free(fn);
}

static bool fn_is_paused(struct fn *fn)
{
	return iopf_device_in_reset(&fn->pdev.dev);
}

/* When @event was first, or FN_EVENTS if never. */
static unsigned int fn_when(struct fn *fn, enum fn_event event)
{
	for (unsigned int i = 0; i < fn->nr; i++)
		if (fn->events[i] == event)
			return i;
	return FN_EVENTS;
}

static void fn_expect_flush_on_return(struct kunit *test)
{
	struct fn *fn = test->priv;

	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_ATS_ON), fn_when(fn, FN_FLUSHED));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_FLUSHED), fn_when(fn, FN_MASTER_ON));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_MASTER_ON), FN_EVENTS);
}

static void reset_is_framed_by_the_end_of_bus_mastering_and_by_its_return(struct kunit *test)
{
	struct fn *fn = test->priv;

	KUNIT_EXPECT_EQ(test, pci_reset_function_locked(&fn->pdev), 0);
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_MASTER_OFF), fn_when(fn, FN_DRAINED));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_DRAINED), fn_when(fn, FN_ATS_ON));
	fn_expect_flush_on_return(test);
}

static void function_that_cannot_be_reached_is_paused_for_its_reset(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn->absent = true;
	pci_reset_function_locked(&fn->pdev);
	/* Before and after the reset */
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_DRAINED), fn_when(fn, FN_FLUSHED));
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
}

/* As VFIO does it, with a method that pauses no function by itself, as pcie_flr() does */
static void locked_reset_pauses_until_the_state_is_restored(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn->pdev.reset_methods[0] = FN_PM_RESET;
	pci_save_state(&fn->pdev);
	pci_write_config_word(&fn->pdev, PCI_COMMAND, 0);
	fn->nr = 0;
	KUNIT_EXPECT_EQ(test, __pci_reset_function_locked(&fn->pdev), 0);
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_DRAINED), FN_EVENTS);
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
	pci_restore_state(&fn->pdev);
	fn_expect_flush_on_return(test);
}

static void flr_by_a_driver_pauses_until_the_state_is_restored(struct kunit *test)
{
	struct fn *fn = test->priv;

	pci_save_state(&fn->pdev);
	pci_write_config_word(&fn->pdev, PCI_COMMAND, 0);
	fn->nr = 0;
	KUNIT_EXPECT_EQ(test, pcie_flr(&fn->pdev), 0);
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	pci_restore_state(&fn->pdev);
	fn_expect_flush_on_return(test);
}

/* As VFIO resets what shares a bus: not by a method of the function's own, which would say so */
static void fn_reset_bus(struct kunit *test)
{
	struct fn *fn = test->priv, *port = fn_new(test, "iopf-pci-kunit-port");

	fn->bus.self = &port->pdev;
	INIT_LIST_HEAD(&fn->bus.devices);
	list_add(&fn->pdev.bus_list, &fn->bus.devices);
	KUNIT_EXPECT_EQ(test, pci_reset_bus(&fn->pdev), 0);
	KUNIT_EXPECT_EQ(test, fn_when(port, FN_DRAINED), FN_EVENTS);
	fn->bus.self = NULL;
	fn_free(port);
}

static void bus_reset_pauses_until_the_state_is_restored(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn_reset_bus(test);
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_MASTER_OFF), fn_when(fn, FN_DRAINED));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_DRAINED), fn_when(fn, FN_ATS_ON));
	fn_expect_flush_on_return(test);
}

static void function_that_cannot_be_reached_is_paused_for_a_reset_of_its_bus(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn->absent = true;
	fn_reset_bus(test);
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_DRAINED), FN_EVENTS);
}

static void restore_alone_flushes_nothing(struct kunit *test)
{
	struct fn *fn = test->priv;

	pci_save_state(&fn->pdev);
	pci_restore_state(&fn->pdev);
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_DRAINED), FN_EVENTS);
}

static void fn_set_no_soft_reset(struct fn *fn)
{
	u16 control = PCI_PM_CTRL_NO_SOFT_RESET;

	memcpy(&fn->config[FN_PM + PCI_PM_CTRL], &control, sizeof(control));
}

static void function_that_keeps_its_state_is_flushed_when_it_wakes(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn_set_no_soft_reset(fn);
	KUNIT_EXPECT_EQ(test, pci_set_power_state(&fn->pdev, PCI_D3hot), 0);
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	KUNIT_EXPECT_EQ(test, pci_set_power_state(&fn->pdev, PCI_D0), 0);
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
	/* The interrupt that a drain waits for may be off. */
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_DRAINED), FN_EVENTS);
}

static void function_that_loses_its_state_stays_paused_until_that_is_restored(struct kunit *test)
{
	struct fn *fn = test->priv;

	pci_save_state(&fn->pdev);
	pci_write_config_word(&fn->pdev, PCI_COMMAND, 0);
	KUNIT_EXPECT_EQ(test, pci_set_power_state(&fn->pdev, PCI_D3hot), 0);
	fn->nr = 0;
	KUNIT_EXPECT_EQ(test, pci_set_power_state(&fn->pdev, PCI_D0), 0);
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	pci_restore_state(&fn->pdev);
	fn_expect_flush_on_return(test);
}

static void function_that_refuses_to_sleep_is_not_paused(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn->stubborn = true;
	pci_set_power_state(&fn->pdev, PCI_D3hot);
	KUNIT_EXPECT_TRUE(test, fn->pdev.current_state == PCI_D0);
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
}

/* A driver that quiesces its device itself, as around a suspend, is not overtaken. */
static void state_that_comes_back_does_not_end_a_driver_s_pause(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn_set_no_soft_reset(fn);
	iopf_quiesce_device(&fn->pdev.dev);
	pci_set_power_state(&fn->pdev, PCI_D3hot);
	pci_set_power_state(&fn->pdev, PCI_D0);
	pci_restore_state(&fn->pdev);
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
	iopf_resume_device(&fn->pdev.dev);
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
}

/* Virtual functions: the PCI core knows of one. */

static struct pci_dev *fn_next(struct pci_dev *from)
{
	struct fn *fn = kunit_get_current_test()->priv;

	return from ? NULL : &fn->vf->pdev;
}

static void fn_add_virtual_function(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn->vf = fn_new(test, "iopf-pci-kunit-vf");
	fn->vf->pdev.is_virtfn = 1;
	fn->vf->pdev.physfn = &fn->pdev;
	fn->pdev.is_physfn = 1;
	kunit_activate_static_stub(test, iopf_pci_next, fn_next);
}

static void virtual_function_is_paused_with_its_physical_one(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn_add_virtual_function(test);
	pci_save_state(&fn->pdev);
	pci_save_state(&fn->vf->pdev);
	pci_write_config_word(&fn->vf->pdev, PCI_COMMAND, 0);
	fn->vf->nr = 0;
	KUNIT_EXPECT_EQ(test, pcie_flr(&fn->pdev), 0);
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn->vf));
	KUNIT_EXPECT_LT(test, fn_when(fn->vf, FN_DRAINED), FN_EVENTS);
	/* The state of SR-IOV is another capability. */
	fn->pdev.is_physfn = 0;
	pci_restore_state(&fn->pdev);
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn->vf));
	pci_restore_state(&fn->vf->pdev);
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn->vf));
	KUNIT_EXPECT_LT(test, fn_when(fn->vf, FN_FLUSHED), fn_when(fn->vf, FN_MASTER_ON));
}

static void virtual_function_of_another_one_is_not_paused(struct kunit *test)
{
	struct fn *fn = test->priv;

	fn_add_virtual_function(test);
	fn->vf->pdev.physfn = &fn->vf->pdev;
	KUNIT_EXPECT_EQ(test, pcie_flr(&fn->pdev), 0);
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn->vf));
	fn->pdev.is_physfn = 0;
}

/* Error recovery, by AER or DPC, with a driver that takes part in it */

#ifdef CONFIG_PCIEAER
static struct fn *fn_of_driver(struct pci_dev *pdev)
{
	return container_of(pdev, struct fn, pdev);
}

static pci_ers_result_t fn_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct fn *fn = fn_of_driver(pdev);

	/* The driver stops its device first. */
	KUNIT_EXPECT_FALSE(fn->test, fn_is_paused(fn));
	return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t fn_reset_link(struct pci_dev *pdev)
{
	struct fn *fn = fn_of_driver(pdev);

	KUNIT_EXPECT_TRUE(fn->test, fn_is_paused(fn));
	KUNIT_EXPECT_LT(fn->test, fn_when(fn, FN_DRAINED), FN_EVENTS);
	pci_write_config_word(pdev, PCI_COMMAND, 0);
	fn->nr = 0;
	return PCI_ERS_RESULT_RECOVERED;
}

static pci_ers_result_t fn_slot_reset(struct pci_dev *pdev)
{
	struct fn *fn = fn_of_driver(pdev);

	KUNIT_EXPECT_TRUE(fn->test, fn_is_paused(fn));
	pci_restore_state(pdev);
	return PCI_ERS_RESULT_RECOVERED;
}

static const struct pci_error_handlers fn_err_handler = {
	.error_detected = fn_error_detected,
	.slot_reset = fn_slot_reset,
};

static struct pci_driver fn_driver = {
	.name = "iopf-pci-kunit",
	.err_handler = &fn_err_handler,
};
#endif

static void function_that_an_error_has_cut_off_is_paused_until_it_is_restored(struct kunit *test)
{
#ifdef CONFIG_PCIEAER
	struct fn *fn = test->priv;
	pci_ers_result_t result;

	fn->pdev.pcie_flags_reg = FIELD_PREP(PCI_EXP_FLAGS_TYPE, PCI_EXP_TYPE_RC_END);
	fn->pdev.driver = &fn_driver;
	pci_save_state(&fn->pdev);
	result = pcie_do_recovery(&fn->pdev, pci_channel_io_frozen, fn_reset_link);
	KUNIT_EXPECT_TRUE(test, result == PCI_ERS_RESULT_RECOVERED);
	fn_expect_flush_on_return(test);
	fn->pdev.driver = NULL;
#else
	kunit_skip(test, "the kernel has no AER");
#endif
}

/* As HiSilicon's accelerators do it: ATS is not theirs, and their own reset leaves the rest. */

#ifdef CONFIG_PCIEAER
static pci_ers_result_t fn_restore_nothing(struct pci_dev *pdev)
{
	return PCI_ERS_RESULT_RECOVERED;
}

/* Resets the function, which it restores later. */
static pci_ers_result_t fn_reset_again(struct pci_dev *pdev)
{
	pcie_flr(pdev);
	return PCI_ERS_RESULT_RECOVERED;
}

static void fn_resume(struct pci_dev *pdev)
{
	struct fn *fn = fn_of_driver(pdev);

	fn->paused_in_resume = fn_is_paused(fn);
}

static const struct pci_error_handlers fn_restoring_nothing = {
	.error_detected = fn_error_detected,
	.slot_reset = fn_restore_nothing,
	.resume = fn_resume,
};

static const struct pci_error_handlers fn_resetting_again = {
	.error_detected = fn_error_detected,
	.slot_reset = fn_reset_again,
	.resume = fn_resume,
};

/* Returns whether the function was paused in its driver's resume(). */
static bool fn_recover(struct kunit *test, const struct pci_error_handlers *handlers)
{
	struct pci_driver driver = { .name = "iopf-pci-kunit", .err_handler = handlers };
	struct fn *fn = test->priv;
	pci_ers_result_t result;

	fn->pdev.pcie_flags_reg = FIELD_PREP(PCI_EXP_FLAGS_TYPE, PCI_EXP_TYPE_RC_END);
	fn->pdev.driver = &driver;
	fn->paused_in_resume = true;
	result = pcie_do_recovery(&fn->pdev, pci_channel_io_frozen, fn_reset_link);
	KUNIT_EXPECT_TRUE(test, result == PCI_ERS_RESULT_RECOVERED);
	fn->pdev.driver = NULL;
	return fn->paused_in_resume;
}
#endif

static void recovery_ends_the_pause_if_the_driver_restores_nothing(struct kunit *test)
{
#ifdef CONFIG_PCIEAER
	struct fn *fn = test->priv;

	fn->pdev.ats_enabled = 0;
	KUNIT_EXPECT_FALSE(test, fn_recover(test, &fn_restoring_nothing));
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
	KUNIT_EXPECT_LT(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
	/* Once: there is nothing left to undo. */
	fn->nr = 0;
	pci_save_state(&fn->pdev);
	pci_restore_state(&fn->pdev);
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
#else
	kunit_skip(test, "the kernel has no AER");
#endif
}

/* It would not complete an invalidation. */
static void recovery_does_not_end_the_pause_of_a_function_without_its_ats(struct kunit *test)
{
#ifdef CONFIG_PCIEAER
	struct fn *fn = test->priv;

	pci_save_state(&fn->pdev);
	KUNIT_EXPECT_TRUE(test, fn_recover(test, &fn_restoring_nothing));
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
	pci_restore_state(&fn->pdev);
	fn_expect_flush_on_return(test);
#else
	kunit_skip(test, "the kernel has no AER");
#endif
}

static void recovery_does_not_end_a_reset_or_pause_of_the_driver_s(struct kunit *test)
{
#ifdef CONFIG_PCIEAER
	struct fn *fn = test->priv;

	fn->pdev.ats_enabled = 0;
	pci_save_state(&fn->pdev);
	KUNIT_EXPECT_TRUE(test, fn_recover(test, &fn_resetting_again));
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	iopf_quiesce_device(&fn->pdev.dev);
	pci_restore_state(&fn->pdev);
	KUNIT_EXPECT_TRUE(test, fn_is_paused(fn));
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_FLUSHED), FN_EVENTS);
	iopf_resume_device(&fn->pdev.dev);
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
#else
	kunit_skip(test, "the kernel has no AER");
#endif
}

/* Its bus may be none that error recovery looks at. */
static void virtual_function_goes_on_when_its_physical_one_has_recovered(struct kunit *test)
{
#ifdef CONFIG_PCIEAER
	struct fn *fn = test->priv;

	fn_add_virtual_function(test);
	fn->pdev.ats_enabled = 0;
	fn->vf->pdev.ats_enabled = 0;
	KUNIT_EXPECT_FALSE(test, fn_recover(test, &fn_restoring_nothing));
	KUNIT_EXPECT_LT(test, fn_when(fn->vf, FN_DRAINED), fn_when(fn->vf, FN_FLUSHED));
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn->vf));
	fn->pdev.is_physfn = 0;
#else
	kunit_skip(test, "the kernel has no AER");
#endif
}

/* Errors that are not fatal leave the function alone. */
static void function_with_an_error_that_is_not_fatal_is_not_paused(struct kunit *test)
{
#ifdef CONFIG_PCIEAER
	struct fn *fn = test->priv;

	fn->pdev.pcie_flags_reg = FIELD_PREP(PCI_EXP_FLAGS_TYPE, PCI_EXP_TYPE_RC_END);
	pcie_do_recovery(&fn->pdev, pci_channel_io_normal, NULL);
	KUNIT_EXPECT_FALSE(test, fn_is_paused(fn));
	KUNIT_EXPECT_EQ(test, fn_when(fn, FN_DRAINED), FN_EVENTS);
#else
	kunit_skip(test, "the kernel has no AER");
#endif
}

static struct kunit_case iopf_pci_cases[] = {
	KUNIT_CASE(reset_is_framed_by_the_end_of_bus_mastering_and_by_its_return),
	KUNIT_CASE(function_that_cannot_be_reached_is_paused_for_its_reset),
	KUNIT_CASE(locked_reset_pauses_until_the_state_is_restored),
	KUNIT_CASE(flr_by_a_driver_pauses_until_the_state_is_restored),
	KUNIT_CASE(bus_reset_pauses_until_the_state_is_restored),
	KUNIT_CASE(function_that_cannot_be_reached_is_paused_for_a_reset_of_its_bus),
	KUNIT_CASE(restore_alone_flushes_nothing),
	KUNIT_CASE(function_that_keeps_its_state_is_flushed_when_it_wakes),
	KUNIT_CASE(function_that_loses_its_state_stays_paused_until_that_is_restored),
	KUNIT_CASE(function_that_refuses_to_sleep_is_not_paused),
	KUNIT_CASE(state_that_comes_back_does_not_end_a_driver_s_pause),
	KUNIT_CASE(virtual_function_is_paused_with_its_physical_one),
	KUNIT_CASE(virtual_function_of_another_one_is_not_paused),
	KUNIT_CASE(function_that_an_error_has_cut_off_is_paused_until_it_is_restored),
	KUNIT_CASE(recovery_ends_the_pause_if_the_driver_restores_nothing),
	KUNIT_CASE(recovery_does_not_end_the_pause_of_a_function_without_its_ats),
	KUNIT_CASE(recovery_does_not_end_a_reset_or_pause_of_the_driver_s),
	KUNIT_CASE(virtual_function_goes_on_when_its_physical_one_has_recovered),
	KUNIT_CASE(function_with_an_error_that_is_not_fatal_is_not_paused),
	{}
};

static struct kunit_suite iopf_pci_suite = {
	.name = "iopf_pci",
	.init = iopf_pci_test_init,
	.exit = iopf_pci_test_exit,
	.test_cases = iopf_pci_cases,
};

kunit_test_suite(iopf_pci_suite);
