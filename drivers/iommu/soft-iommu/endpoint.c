// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: the endpoints as devices
 *
 * An endpoint is a platform device whose firmware node says that it is behind a software IOMMU, so
 * the IOMMU core probes it like any other when it is added. Its life: created and probed, IOPF and
 * SVA enabled by the test, perhaps unplugged, destroyed.
 *
 * Locks: see soft-priv.h. An endpoint holds a reference to its IOMMU.
 */
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "soft-priv.h"

static int soft_endpoint_init(struct soft_endpoint *ep, const struct soft_endpoint_config *config)
{
	static atomic_t next_rid;

	ep->rid = atomic_inc_return(&next_rid);
	ep->has_ats = !config->no_ats;
	ep->has_pri = ep->has_ats && !config->no_pri;
	ep->group_of = config->group_of;
	ep->max_credits = config->credits ?: 16;
	ep->credits = ep->max_credits;
	ep->patience = 30000;
	xa_init(&ep->pasids);
	spin_lock_init(&ep->latch_lock);
	spin_lock_init(&ep->lock);
	hash_init(ep->groups);
	init_waitqueue_head(&ep->wait);
	ep->atc = soft_cache_alloc(&config->atc, 8, 4);
	return ep->atc ? 0 : -ENOMEM;
}

static void soft_endpoint_free(struct soft_endpoint *ep)
{
	soft_pri_free(ep);
	xa_destroy(&ep->pasids);
	soft_cache_free(ep->atc);
	soft_iommu_put(ep->iommu);
	kfree(ep);
}

/* What firmware would say about the device. */
static int soft_endpoint_describe(struct soft_endpoint *ep, unsigned int pasid_bits)
{
	const struct property_entry properties[] = {
		PROPERTY_ENTRY_U32("pasid-num-bits", pasid_bits),
		{ }
	};
	struct device *dev = &ep->pdev->dev;
	int ret = 0;

	if (pasid_bits)
		ret = device_create_managed_software_node(dev, properties, NULL);
	if (ret)
		return ret;
	guard(mutex)(&iommu_probe_device_lock);
	return iommu_fwspec_init(dev, ep->iommu->core.fwnode);
}

static int soft_endpoint_add(struct soft_endpoint *ep, unsigned int pasid_bits)
{
	struct device *dev;
	int ret;

	ep->pdev = platform_device_alloc("soft-endpoint", PLATFORM_DEVID_AUTO);
	if (!ep->pdev)
		return -ENOMEM;
	dev = &ep->pdev->dev;
	platform_set_drvdata(ep->pdev, ep);

	ret = soft_endpoint_describe(ep, pasid_bits);
	if (!ret)
		ret = platform_device_add(ep->pdev);
	if (ret) {
		if (dev->iommu)
			dev_iommu_free(dev);
		device_remove_software_node(dev);
		platform_device_put(ep->pdev);
		return ret;
	}
	/* The IOMMU core does not report that a probe has failed. */
	if (!device_iommu_mapped(dev)) {
		platform_device_unregister(ep->pdev);
		return -ENODEV;
	}
	return 0;
}

struct soft_endpoint *soft_endpoint_create(struct soft_iommu *iommu,
					   const struct soft_endpoint_config *config)
{
	struct soft_endpoint *ep;
	int ret;

	ep = kzalloc(sizeof(*ep), GFP_KERNEL);
	if (!ep)
		return ERR_PTR(-ENOMEM);
	soft_iommu_get(iommu);
	ep->iommu = iommu;
	ret = soft_endpoint_init(ep, config);
	if (!ret)
		ret = soft_endpoint_add(ep, config->pasid_bits);
	if (ret) {
		soft_endpoint_free(ep);
		return ERR_PTR(ret);
	}
	return ep;
}

void soft_endpoint_destroy(struct soft_endpoint *ep)
{
	soft_storm_stop(ep);
	get_device(&ep->pdev->dev);
	platform_device_unregister(ep->pdev);
	soft_pri_account(ep);
	put_device(&ep->pdev->dev);
	soft_endpoint_free(ep);
}

void soft_endpoint_unplug(struct soft_endpoint *ep)
{
	scoped_guard(spinlock, &ep->lock)
		WRITE_ONCE(ep->unplugged, true);
	/* DMA that is under way ends first. */
	scoped_guard(write_lock, &ep->iommu->traffic)
		soft_cache_drop(ep->atc, IOMMU_PASID_INVALID, 0, ~0UL);
	wake_up_all(&ep->wait);
}

void soft_endpoint_begin_reset(struct soft_endpoint *ep)
{
	soft_pri_begin_reset(ep);
	/* DMA that is under way ends first. */
	scoped_guard(write_lock, &ep->iommu->traffic)
		soft_cache_drop(ep->atc, IOMMU_PASID_INVALID, 0, ~0UL);
}

void soft_endpoint_leave_reset(struct soft_endpoint *ep)
{
	guard(spinlock)(&ep->lock);
	WRITE_ONCE(ep->reset, SOFT_LEAVES_RESET);
}

void soft_endpoint_end_reset(struct soft_endpoint *ep)
{
	soft_pri_end_reset(ep);
}

void soft_endpoint_reset(struct soft_endpoint *ep)
{
	soft_endpoint_begin_reset(ep);
	soft_endpoint_end_reset(ep);
}
