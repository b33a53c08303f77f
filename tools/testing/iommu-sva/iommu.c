// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part of the base's IOMMU core that the SVA core calls: groups and PASID attachments.
 */
#include <linux/iommu.h>

#include "sim.h"

struct sim_attachment {
	struct sim_attachment *next;
	ioasid_t pasid;
	struct iommu_attach_handle *handle;
};

static struct sim_attachment **find(struct iommu_group *group, ioasid_t pasid)
{
	struct sim_attachment **at = &group->attachments;

	while (*at && (*at)->pasid != pasid)
		at = &(*at)->next;
	return at;
}

static void erase(struct iommu_group *group, ioasid_t pasid)
{
	struct sim_attachment **at = find(group, pasid), *gone = *at;

	if (!gone)
		sim_fail("PASID %u detached, but not attached", pasid);
	*at = gone->next;
	kfree(gone);
}

/* From the first member on, @n of them. */
static void remove_from(struct iommu_group *group, unsigned int n, ioasid_t pasid,
			struct iommu_domain *domain)
{
	for (unsigned int i = 0; i < n; i++) {
		struct device *dev = group->devices[i];

		if (dev && dev->iommu->max_pasids)
			dev_iommu_ops(dev)->remove_dev_pasid(dev, pasid, domain);
	}
}

static int set_all(struct iommu_group *group, ioasid_t pasid, struct iommu_domain *domain)
{
	for (unsigned int i = 0; i < SIM_GROUP_DEVICES; i++) {
		struct device *dev = group->devices[i];
		int ret;

		if (!dev || !dev->iommu->max_pasids)
			continue;
		ret = domain->owner->set_dev_pasid(domain, dev, pasid);
		if (ret) {
			remove_from(group, i, pasid, domain);
			return ret;
		}
	}
	return 0;
}

static int attach_locked(struct iommu_group *group, struct iommu_domain *domain, ioasid_t pasid,
			 struct iommu_attach_handle *handle)
{
	struct sim_attachment *new;
	int ret;

	for (unsigned int i = 0; i < SIM_GROUP_DEVICES; i++) {
		struct device *dev = group->devices[i];

		if (dev && dev->iommu->max_pasids && pasid >= dev->iommu->max_pasids)
			return -EINVAL;
	}
	handle->domain = domain;
	if (*find(group, pasid))
		return -EBUSY;
	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	*new = (struct sim_attachment){ group->attachments, pasid, handle };
	group->attachments = new;
	ret = set_all(group, pasid, domain);
	if (ret)
		erase(group, pasid);
	return ret;
}

int iommu_attach_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			      struct iommu_attach_handle *handle)
{
	if (!dev->iommu_group)
		return -ENODEV;
	if (dev_iommu_ops(dev) != domain->owner || pasid == IOMMU_NO_PASID)
		return -EINVAL;
	guard(mutex)(&dev->iommu_group->mutex);
	return attach_locked(dev->iommu_group, domain, pasid, handle);
}

void iommu_detach_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct iommu_group *group = dev->iommu_group;

	guard(mutex)(&group->mutex);
	remove_from(group, SIM_GROUP_DEVICES, pasid, domain);
	erase(group, pasid);
}

void sim_attach_handle(struct iommu_group *group, ioasid_t pasid,
		       struct iommu_attach_handle *handle)
{
	struct sim_attachment *new = sim_alloc_sure(sizeof(*new), __func__);

	*new = (struct sim_attachment){ group->attachments, pasid, handle };
	group->attachments = new;
}

void sim_detach_handle(struct iommu_group *group, ioasid_t pasid)
{
	erase(group, pasid);
}

/* The caller gets no reference to the handle: it may be freed before the caller uses it. */
struct iommu_attach_handle *iommu_attach_handle_get(struct iommu_group *group, ioasid_t pasid,
						    unsigned int type)
{
	struct sim_attachment *at = *find(group, pasid);

	/* A domain may have been attached without a handle. */
	if (!at || !at->handle)
		return ERR_PTR(-ENOENT);
	if (type && at->handle->domain->type != type)
		return ERR_PTR(-EBUSY);
	return at->handle;
}

bool iommu_pasid_is_attached(struct iommu_group *group, ioasid_t pasid)
{
	return *find(group, pasid);
}

int sim_group_walk(struct iommu_group *group, void *data, sim_dev_fn fn)
{
	guard(mutex)(&group->mutex);
	for (unsigned int i = 0; i < SIM_GROUP_DEVICES; i++) {
		int ret = group->devices[i] ? fn(group->devices[i], data) : 0;

		if (ret)
			return ret;
	}
	return 0;
}

void iommu_domain_free(struct iommu_domain *domain)
{
	if (domain->type == IOMMU_DOMAIN_SVA)
		mmdrop(domain->mm);
	domain->owner->domain_free(domain);
}

int pci_read_config_dword(struct pci_dev *pdev, int where, u32 *val)
{
	SIM_EQ(where, pdev->pri_cap + PCI_PRI_MAX_REQ);
	*val = pdev->pri_max_req;
	return 0;
}
