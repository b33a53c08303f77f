// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: another driver in the place of its own (see soft-backend.h)
 *
 * Back-ends are registered by initcalls, one after another, and stay.
 */
#include <linux/init.h>

#include "soft-backend.h"
#include "soft-priv.h"

static const struct soft_backend *soft_backends[8];
static unsigned int soft_nr_backends;

int soft_backend_register(const struct soft_backend *backend)
{
	if (soft_nr_backends == ARRAY_SIZE(soft_backends))
		return -ENOSPC;
	soft_backends[soft_nr_backends++] = backend;
	return 0;
}

/* Its place among them; behind the last one if it is none of them. */
static unsigned int soft_backend_index(const void *backend)
{
	unsigned int i;

	for (i = 0; i < soft_nr_backends; i++)
		if (soft_backends[i] == backend)
			break;
	return i;
}

const struct soft_backend *soft_backend_next(const struct soft_backend *backend)
{
	unsigned int i = backend ? soft_backend_index(backend) + 1 : 0;

	return i < soft_nr_backends ? soft_backends[i] : NULL;
}

bool soft_backend_is_registered(const void *backend)
{
	return soft_backend_index(backend) < soft_nr_backends;
}

static struct soft_endpoint *to_endpoint(struct device *dev)
{
	return dev_get_drvdata(dev);
}

struct iommu_device *soft_backend_probe(struct device *dev)
{
	struct soft_endpoint *ep = to_endpoint(dev);

	guard(mutex)(&ep->iommu->lock);
	list_add_tail(&ep->node, &ep->iommu->endpoints);
	return &ep->iommu->core;
}

void soft_backend_release(struct device *dev)
{
	struct soft_endpoint *ep = to_endpoint(dev);

	guard(mutex)(&ep->iommu->lock);
	list_del(&ep->node);
}

void *soft_backend_data(struct device *dev)
{
	return to_endpoint(dev)->iommu->backend_data;
}

int soft_backend_enable_pri(struct device *dev)
{
	struct soft_endpoint *ep = to_endpoint(dev);

	if (!ep->has_pri)
		return -ENODEV;
	soft_pri_enable(ep);
	return 0;
}

void soft_backend_disable_pri(struct device *dev)
{
	soft_pri_disable(to_endpoint(dev));
}

void soft_backend_left_queue(struct device *dev)
{
	soft_pri_left_queue(to_endpoint(dev));
}

static void soft_backend_flush(struct soft_iommu *iommu, const struct soft_cmd *cmd)
{
	soft_cmdq_begin(iommu);
	soft_cmdq_submit(iommu, cmd);
	soft_cmdq_end(iommu);
}

void soft_backend_flush_iotlb(struct soft_iommu *iommu, ioasid_t pasid, unsigned long start,
			      unsigned long last)
{
	soft_backend_flush(iommu, &(struct soft_cmd){
		.kind = SOFT_CMD_IOTLB, .pasid = pasid, .start = start, .last = last,
	});
}

void soft_backend_flush_atc(struct device *dev, ioasid_t pasid, unsigned long start,
			    unsigned long last)
{
	struct soft_endpoint *ep = to_endpoint(dev);

	if (ep->has_ats)
		soft_backend_flush(ep->iommu, &(struct soft_cmd){
			.kind = SOFT_CMD_ATC, .pasid = pasid, .start = start, .last = last,
			.ep = ep,
		});
}

void soft_backend_respond(struct device *dev, const struct iopf_fault *evt,
			  const struct iommu_page_response *resp)
{
	soft_pri_response(to_endpoint(dev), resp, evt->fault.prm.private_data[0]);
}

void soft_backend_await_responses(struct device *dev, ioasid_t pasid)
{
	soft_pri_drain(to_endpoint(dev), pasid);
}
