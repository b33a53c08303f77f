// SPDX-License-Identifier: GPL-2.0-only
/*
 * Part of the fixture of each back-end's suites: PCI functions, and a domain that takes page
 * faults; and what several of these suites check
 */
#include <kunit/static_stub.h>
#include <linux/kmsg_dump.h>

#include "../iopf.h"
#include "backend_kunit.h"

static void backend_release_fn(struct device *dev)
{
	/* Its memory is the test's. */
}

/* Registers the function @dev, number @n, with @param. Its memory is zeroed. */
void backend_add_fn(struct kunit *test, struct device *dev, struct dev_iommu *param,
		    const char *name, unsigned int n)
{
	mutex_init(&param->lock);
	dev_iommu_init_sva(param, dev);
	device_initialize(dev);
	dev->release = backend_release_fn;
	dev->iommu = param;
	KUNIT_ASSERT_EQ(test, dev_set_name(dev, "%s%u", name, n), 0);
	KUNIT_ASSERT_EQ(test, device_add(dev), 0);
}

/* Puts a function into a new group, which @group gets, and on @queue. */
void backend_join(struct kunit *test, struct device *dev, struct iommu_group **group,
		  struct iopf_queue *queue)
{
	*group = iommu_group_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, *group);
	KUNIT_ASSERT_EQ(test, iommu_group_add_device(*group, dev), 0);
	KUNIT_ASSERT_EQ(test, iopf_queue_add_device(queue, dev), 0);
}

/* Takes a function off its group, which would free @dev->iommu as if the core had made it. */
void backend_leave_group(struct device *dev)
{
	struct dev_iommu *param = dev->iommu;

	dev->iommu = NULL;
	iommu_group_remove_device(dev);
	dev->iommu = param;
}

/* Undoes what has been done of backend_add_fn() and backend_join(). */
void backend_remove_fn(struct device *dev, struct iommu_group *group, struct iopf_queue *queue)
{
	if (rcu_access_pointer(dev->iommu->fault_param))
		iopf_queue_remove_device(queue, dev);
	iopf_device_leaves(dev);
	iopf_atc_forget(dev);
	if (dev->iommu_group)
		backend_leave_group(dev);
	dev->iommu = NULL;
	if (!IS_ERR_OR_NULL(group))
		iommu_group_put(group);
	device_del(dev);
	put_device(dev);
}

struct iommu_sva *backend_bind(struct kunit *test, struct device *dev)
{
	struct iommu_sva *sva = iommu_sva_bind_device(dev, current->mm);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sva);
	return sva;
}

/* Physical and virtual functions */

static struct pci_dev *backend_vf;

/* All functions that the PCI core knows of */
static struct pci_dev *backend_next_fn(struct pci_dev *from)
{
	return from ? NULL : backend_vf;
}

/* Makes @vf a virtual function of @pf. */
void backend_make_vf(struct kunit *test, struct pci_dev *pf, struct pci_dev *vf)
{
	backend_vf = vf;
	vf->is_virtfn = 1;
	vf->physfn = pf;
	pf->is_physfn = 1;
	kunit_activate_static_stub(test, iopf_pci_next, backend_next_fn);
}

void backend_unmake_vf(struct pci_dev *pf, struct pci_dev *vf)
{
	vf->is_virtfn = 0;
	pf->is_physfn = 0;
}

/* A domain that takes page faults */

static int backend_set_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
				 struct iommu_domain *old)
{
	return 0;
}

static const struct iommu_domain_ops backend_domain_ops = {
	.set_dev_pasid = backend_set_dev_pasid,
};

static int backend_take_group(struct iopf_group *group)
{
	struct backend_domain *plain = to_backend_domain(group);

	plain->last = group->last_fault.fault.prm;
	plain->groups++;
	if (plain->on_report)
		plain->on_report(plain);
	if (plain->hold) {
		plain->held = group;
		return 0;
	}
	iopf_group_response(group, plain->answer);
	iopf_free_group(group);
	return 0;
}

/* @plain is zeroed; @owner has the operations of the devices that it will be attached to. */
void backend_init_domain(struct backend_domain *plain, const struct iommu_ops *owner)
{
	plain->domain.type = IOMMU_DOMAIN_UNMANAGED;
	plain->domain.ops = &backend_domain_ops;
	plain->domain.owner = owner;
	plain->domain.iopf_handler = backend_take_group;
}

void backend_attach(struct kunit *test, struct backend_domain *plain, struct device *dev,
		    ioasid_t pasid)
{
	KUNIT_ASSERT_EQ(test, 0, iommu_attach_device_pasid(&plain->domain, dev, pasid,
							   &plain->handle));
}

/* How many blocks @b has, none askew or above @max_order, and what they cover, without a gap */
unsigned int backend_walk_blocks(struct kunit *test, struct sva_blocks b, unsigned int max_order,
				 u64 *first, u64 *last)
{
	unsigned int n = 0, order;

	*first = b.pfn;
	do {
		order = sva_block_order(&b);
		KUNIT_ASSERT_LE(test, order, max_order);
		KUNIT_ASSERT_EQ(test, b.pfn & ((1UL << order) - 1), 0);
		if (n)
			KUNIT_ASSERT_EQ(test, b.pfn, *last + 1);
		*last = b.pfn + (1UL << order) - 1;
		n++;
	} while (sva_next_block(&b));
	return n;
}

void backend_expect_blocks(struct kunit *test, struct sva_blocks b, unsigned int count, u64 first,
			   u64 last)
{
	u64 got_first, got_last;

	KUNIT_EXPECT_EQ(test, count,
			backend_walk_blocks(test, b, SVA_ORDER_ALL, &got_first, &got_last));
	KUNIT_EXPECT_EQ(test, got_first, first);
	KUNIT_EXPECT_EQ(test, got_last, last);
}

/* Page requests */

const struct backend_code backend_codes[3] = {
	{ IOMMU_PAGE_RESP_SUCCESS, 0 },
	{ IOMMU_PAGE_RESP_INVALID, 1 },
	{ IOMMU_PAGE_RESP_FAILURE, 15 },
};

void backend_code_desc(const struct backend_code *code, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "code %u", code->wire);
}

/* Would take the function away. */
static bool backend_can_leave(struct mutex *release_lock)
{
	if (!mutex_trylock(release_lock))
		return false;
	mutex_unlock(release_lock);
	return true;
}

static void backend_leave_in_report(struct backend_domain *plain)
{
	plain->left = backend_can_leave(plain->release_lock);
}

/* A single request, and several that are reported at once */
void backend_expect_to_stay(struct kunit *test, struct backend_domain *plain,
			    struct mutex *release_lock,
			    void (*send_group)(struct kunit *test, unsigned int prg),
			    void (*interrupt)(struct kunit *test))
{
	plain->release_lock = release_lock;
	plain->on_report = backend_leave_in_report;
	for (unsigned int nr = 1; nr < 4; nr++) {
		plain->left = true;
		plain->groups = 0;
		for (unsigned int prg = 0; prg < nr; prg++)
			send_group(test, prg);
		interrupt(test);
		KUNIT_EXPECT_EQ(test, plain->groups, nr);
		KUNIT_EXPECT_FALSE(test, plain->left);
	}
	/* When the interrupt is over, it may go. */
	KUNIT_EXPECT_TRUE(test, backend_can_leave(release_lock));
}

unsigned long backend_long_step(void)
{
	return 10 * HZ;
}

u64 backend_strays(struct kunit *test, struct device *dev)
{
	u64 counts[IOPF_NR_COUNTS];

	KUNIT_ASSERT_EQ(test, iopf_read_counts(dev, counts), 0);
	return counts[IOPF_STRAY];
}

u64 backend_log_records(void)
{
	struct kmsg_dump_iter iter = {};

	kmsg_dump_rewind(&iter);
	return iter.next_seq;
}

/* With a command as the unit, in pages */
static u64 backend_cost(const struct sva_costs *costs, u64 commands, u64 more)
{
	u64 all = (u64)costs->all * costs->pages;

	return min_t(u64, commands, costs->all + 1) * costs->pages + min(more, all);
}

/* What [first, last] costs if the blocks are of [from, to] */
static u64 backend_cost_of(u64 first, u64 last, u64 from, u64 to, const struct sva_costs *costs)
{
	struct sva_blocks b = { .pfn = from, .last = to, .max_order = costs->max_order };
	unsigned int n = 0;

	/* Too many is too many. */
	while (++n <= costs->all && sva_next_block(&b))
		;
	return backend_cost(costs, n, (to - from) - (last - first));
}

/* Asserts that a range is covered, and that rounding either end of it differently costs no less. */
void backend_expect_cheapest(struct kunit *test, u64 pfn, u64 pages,
			     const struct sva_costs *costs)
{
	u64 last = pfn + pages - 1, from, to, cost;
	struct sva_blocks b = sva_make_blocks(pfn << 12, (last + 1) << 12, costs);
	unsigned int n = backend_walk_blocks(test, b, b.max_order, &from, &to);

	KUNIT_ASSERT_LE(test, from, pfn);
	KUNIT_ASSERT_GE(test, to, last);
	KUNIT_ASSERT_LE(test, n, max(costs->all, 1U));
	cost = backend_cost(costs, n, (to - from) - (last - pfn));
	for (unsigned int down = 0; down <= 40; down++)
		for (unsigned int up = 0; up <= 40; up++)
			KUNIT_ASSERT_LE(test, cost,
					backend_cost_of(pfn, last, pfn & (~0ULL << down),
							last | ((1ULL << up) - 1), costs));
	if (b.max_order == SVA_ORDER_ALL && costs->max_order != SVA_ORDER_ALL)
		KUNIT_ASSERT_EQ(test, to, GENMASK_ULL(SVA_ORDER_ALL - 1, 0));
	else
		KUNIT_ASSERT_EQ(test, b.max_order, costs->max_order);
}
