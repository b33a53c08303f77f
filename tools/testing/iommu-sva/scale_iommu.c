// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scale model's IOMMU driver: the locks that hardware makes a back-end have, and no more. An
 * IOMMU has one queue of commands, a domain a list of what it is attached to.
 */
#include <iopf.h>

#include "scale.h"

#define MAX_REQUESTS	32

struct scale_iommu {
	struct iommu_device iommu;
	struct iopf_queue *queue;
	spinlock_t command_queue;	/* of the hardware's queue */
	unsigned int cpu;
};

struct scale_device {
	struct pci_dev pdev;
	struct dev_iommu param;
	struct iommu_group group;
	struct scale_iommu *iommu;
	unsigned int group_index;
};

struct scale_domain {
	struct iommu_domain domain;
	struct scale_iommu *iommu;
	spinlock_t lock;	/* of attached */
	unsigned int attached;
};

u64 scale_answers;

static struct scale_device *to_scale(struct device *dev)
{
	return container_of(dev, struct scale_device, pdev.dev);
}

static struct scale_domain *to_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct scale_domain, domain);
}

static void submit(struct scale_iommu *iommu)
{
	guard(spinlock)(&iommu->command_queue);
}

static void invalidate_range(struct iommu_domain *domain, unsigned long start, unsigned long end)
{
	submit(to_domain(domain)->iommu);
}

static void release(struct iommu_domain *domain)
{
	submit(to_domain(domain)->iommu);
}

static void drain(struct device *dev, ioasid_t pasid)
{
	submit(to_scale(dev)->iommu);
	iopf_drain_pasid(dev, pasid);
}

static void page_responses(struct device *dev, const struct iopf_response *responses,
			   unsigned int nr)
{
	submit(to_scale(dev)->iommu);
	scale_answers += nr;
}

static void page_response(struct device *dev, struct iopf_fault *evt,
			  struct iommu_page_response *msg)
{
	submit(to_scale(dev)->iommu);
	scale_answers++;
}

static void flush_atc(struct device *dev)
{
	submit(to_scale(dev)->iommu);
}

static struct iommu_domain *domain_alloc_sva(struct device *dev, struct mm_struct *mm)
{
	struct scale_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL);

	if (!domain)
		return ERR_PTR(-ENOMEM);
	domain->iommu = to_scale(dev)->iommu;
	spin_lock_init(&domain->lock);
	return &domain->domain;
}

static void domain_free(struct iommu_domain *domain)
{
	kfree(to_domain(domain));
}

static int set_dev_pasid(struct iommu_domain *d, struct device *dev, ioasid_t pasid)
{
	struct scale_domain *domain = to_domain(d);

	if (domain->iommu != to_scale(dev)->iommu)
		return -EINVAL;
	scoped_guard(spinlock, &domain->lock)
		domain->attached++;
	submit(domain->iommu);
	return 0;
}

static void remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *d)
{
	struct scale_domain *domain = to_domain(d);

	submit(domain->iommu);
	guard(spinlock)(&domain->lock);
	domain->attached--;
}

static const struct iommu_sva_ops sva_ops = {
	.walks_io_mm_root = true,
	.invalidate_range = invalidate_range,
	.release = release,
	.drain = drain,
	.page_responses = page_responses,
	.flush_atc = flush_atc,
};

static const struct iommu_ops ops = {
	.domain_alloc_sva = domain_alloc_sva,
	.domain_free = domain_free,
	.set_dev_pasid = set_dev_pasid,
	.remove_dev_pasid = remove_dev_pasid,
	.page_response = page_response,
	.sva_ops = &sva_ops,
};

struct scale_iommu *scale_iommu_new(unsigned int cpu)
{
	struct scale_iommu *iommu = sim_alloc_sure(sizeof(*iommu), __func__);

	iommu->cpu = cpu;
	iommu->iommu.ops = &ops;
	spin_lock_init(&iommu->command_queue);
	iommu->queue = iopf_queue_alloc("scale");
	SIM_CHECK(iommu->queue);
	return iommu;
}

struct device *scale_device_new(struct scale_iommu *iommu)
{
	struct scale_device *sdev = sim_alloc_sure(sizeof(*sdev), __func__);
	struct device *dev = &sdev->pdev.dev;
	struct iommu_group *group = &sdev->group;
	struct dev_iommu *param = &sdev->param;

	sdev->iommu = iommu;
	sdev->pdev.pri_cap = 0x100;
	sdev->pdev.pri_max_req = MAX_REQUESTS;
	dev->name = "device";
	dev->is_pci = true;
	dev->iommu = param;
	dev->iommu_group = group;
	param->iommu_dev = &iommu->iommu;
	param->max_pasids = 1 << 20;
	mutex_init(&param->lock);
	dev_iommu_init_sva(param, dev);
	mutex_init(&group->mutex);
	group->devices[0] = dev;
	SIM_EQ(iopf_queue_add_device(iommu->queue, dev), 0);
	return dev;
}

unsigned int scale_irq_cpu(struct device *dev)
{
	return to_scale(dev)->iommu->cpu;
}

void scale_request(struct device *dev, ioasid_t pasid, unsigned long addr, unsigned int nr)
{
	struct iopf_fault evts[8];

	SIM_CHECK(nr <= ARRAY_SIZE(evts));
	for (unsigned int i = 0; i < nr; i++)
		evts[i] = (struct iopf_fault){
			.fault = {
				.type = IOMMU_FAULT_PAGE_REQ,
				.prm = {
					.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
						 IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
					.pasid = pasid,
					.grpid = to_scale(dev)->group_index++ % 512,
					.perm = IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE,
					.addr = addr + i * PAGE_SIZE,
				},
			},
		};
	iopf_report_batch(dev, evts, nr);
}
