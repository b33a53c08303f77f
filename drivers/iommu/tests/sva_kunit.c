// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fixture of the SVA suites: IOMMUs, endpoints, and the look at what is left
 *
 * A case whose parameter is a back-end has that one's driver in all of its IOMMUs.
 *
 * At exit everything is compared with what it was. A fixture that finds bonds left does not free
 * what they point to: the test has failed by then, and the ones after it shall run.
 */
#include <linux/err.h>
#include <linux/iopoll.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "../soft-iommu/soft-backend.h"
#include "sva_kunit_priv.h"
#if SVA_CORE
#include "../iommu-sva-around.h"
#include "../iopf.h"
#endif

/* IOMMUs and endpoints */

struct soft_iommu *sva_add_iommu(struct kunit *test, const struct soft_iommu_config *config)
{
	struct soft_iommu_config with = config ? *config : (struct soft_iommu_config){ };
	struct bench *bench = to_bench(test);
	struct bench_iommu *entry;
	struct soft_iommu *iommu;

	with.backend = bench->backend;
	iommu = soft_iommu_create(&with);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, iommu);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry) {
		soft_iommu_destroy(iommu);
		KUNIT_FAIL_AND_ABORT(test, "no memory for an IOMMU");
	}
	entry->iommu = iommu;
	guard(mutex)(&bench->lock);
	list_add(&entry->node, &bench->iommus);
	return iommu;
}

static int sva_enable(struct device *dev)
{
	int ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_IOPF);

	if (ret)
		return ret;
	ret = iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_SVA);
	if (ret)
		iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
	return ret;
}

struct soft_endpoint *sva_add_endpoint(struct kunit *test, struct soft_iommu *iommu,
				       const struct soft_endpoint_config *config, bool enable)
{
	struct bench_endpoint *entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	struct bench *bench = to_bench(test);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, entry);
	entry->ep = soft_endpoint_create(iommu, config);
	if (IS_ERR_OR_NULL(entry->ep)) {
		ret = PTR_ERR(entry->ep);
		kfree(entry);
		KUNIT_FAIL_AND_ABORT(test, "soft_endpoint_create(): %d", ret);
		return NULL;
	}
	scoped_guard(mutex, &bench->lock)
		list_add(&entry->node, &bench->endpoints);
	if (enable) {
		ret = sva_enable(soft_endpoint_dev(entry->ep));
		KUNIT_ASSERT_EQ_MSG(test, ret, 0, "SVA could not be enabled");
		entry->enabled = true;
	}
	return entry->ep;
}

void sva_forget_endpoint(struct kunit *test, struct soft_endpoint *ep)
{
	struct bench *bench = to_bench(test);
	struct bench_endpoint *entry, *next;

	guard(mutex)(&bench->lock);
	list_for_each_entry_safe(entry, next, &bench->endpoints, node) {
		if (entry->ep == ep) {
			list_del(&entry->node);
			kfree(entry);
		}
	}
}

void sva_remove_endpoint(struct kunit *test, struct soft_endpoint *ep)
{
	struct device *dev = soft_endpoint_dev(ep);

	KUNIT_EXPECT_EQ(test, iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA), 0);
	KUNIT_EXPECT_EQ(test, iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF), 0);
	sva_forget_endpoint(test, ep);
	soft_endpoint_destroy(ep);
}

struct iommu_sva *sva_bind(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc)
{
	struct iommu_sva *sva = iommu_sva_bind_device(soft_endpoint_dev(ep), sva_proc_mm(proc));

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(sva), "bind: %ld", PTR_ERR(sva));
	return sva;
}

/* The fixture */

#if SVA_CONFORM
const void *sva_backend_gen_params(const void *prev, char *desc)
{
	const struct soft_backend *backend = soft_backend_next(prev);

	if (backend)
		strscpy(desc, backend->name, KUNIT_PARAM_DESC_SIZE);
	return backend;
}
#endif

static bool sva_domains_are_gone(struct soft_iommu *iommu)
{
	if (!soft_iommu_domains(iommu))
		return true;
	rcu_barrier();
	return !soft_iommu_domains(iommu);
}

static bool sva_check_domains(struct bench *bench)
{
	struct bench_iommu *entry;
	bool all = true, gone;

	list_for_each_entry(entry, &bench->iommus, node) {
		if (!read_poll_timeout(sva_domains_are_gone, gone, gone, SVA_POLL_US,
				       5 * USEC_PER_SEC, false, entry->iommu))
			continue;
		KUNIT_FAIL(bench->fx.test, "%u SVA domains left: bonds that were not ended?",
			   soft_iommu_domains(entry->iommu));
		all = false;
	}
	return all;
}

#if SVA_CORE
static bool sva_device_is_idle(struct device *dev)
{
	return !iopf_device_busy(dev);
}

static void sva_check_slots(struct bench *bench)
{
	struct bench_endpoint *entry;
	bool idle;

	list_for_each_entry(entry, &bench->endpoints, node) {
		struct device *dev = soft_endpoint_dev(entry->ep);

		if (read_poll_timeout(sva_device_is_idle, idle, idle, SVA_POLL_US, SVA_LIMIT_US,
				      false, dev))
			KUNIT_FAIL(bench->fx.test, "%s: %u groups, workers or partials left",
				   dev_name(dev), iopf_device_busy(dev));
	}
}

static void sva_check_pasids(struct bench *bench)
{
	/* With ENQCMD they go with the mm, and that has been waited for. */
	if (!bench->pasids && iommu_pasids_in_use())
		KUNIT_FAIL(bench->fx.test, "a PASID is left");
}
#else
static unsigned int sva_fault_around_limit(unsigned int pages)
{
	return 0;
}

static bool iommu_pasids_in_use(void)
{
	return false;
}

static void sva_check_slots(struct bench *bench)
{
}

static void sva_check_pasids(struct bench *bench)
{
}
#endif

static void sva_check_violations(struct bench *bench)
{
	struct bench_iommu *entry;

	list_for_each_entry(entry, &bench->iommus, node) {
		unsigned int nr = soft_iommu_check(entry->iommu);

		for (unsigned int i = 0; i < nr; i++)
			KUNIT_FAIL(bench->fx.test, "violation: %s",
				   soft_iommu_violation(entry->iommu, i));
	}
}

static void sva_destroy_endpoints(struct bench *bench)
{
	struct bench_endpoint *entry, *next;

	list_for_each_entry_safe(entry, next, &bench->endpoints, node) {
		struct device *dev = soft_endpoint_dev(entry->ep);

		if (entry->enabled) {
			iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_SVA);
			iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
		}
		soft_endpoint_destroy(entry->ep);
		kfree(entry);
	}
}

static void sva_destroy_iommus(struct bench *bench)
{
	struct bench_iommu *entry, *next;

	list_for_each_entry_safe(entry, next, &bench->iommus, node) {
		soft_iommu_destroy(entry->iommu);
		kfree(entry);
	}
}

int sva_fixture_init(struct kunit *test)
{
	static const struct soft_endpoint_config config = { .pasid_bits = 20, .credits = 16 };
	struct bench *bench;

	bench = kzalloc(sizeof(*bench), GFP_KERNEL);
	if (!bench || sva_lazy_init()) {
		kfree(bench);
		return -ENOMEM;
	}

	bench->fx.test = test;
	if (soft_backend_is_registered(test->param_value))
		bench->backend = test->param_value;
	bench->pasids = iommu_pasids_in_use();
	bench->around = sva_fault_around_limit(0);
	mutex_init(&bench->lock);
	INIT_LIST_HEAD(&bench->procs);
	INIT_LIST_HEAD(&bench->iommus);
	INIT_LIST_HEAD(&bench->endpoints);
	INIT_LIST_HEAD(&bench->settings);
	bench->spawner = kthread_create_worker(0, "sva-spawner");
	if (IS_ERR(bench->spawner)) {
		int ret = PTR_ERR(bench->spawner);

		sva_fault_around_limit(bench->around);
		kfree(bench);
		return ret;
	}
	test->priv = &bench->fx;

	bench->fx.iommu = sva_add_iommu(test, &(struct soft_iommu_config) {});
	for (int i = 0; i < ARRAY_SIZE(bench->fx.ep); i++) {
		bench->fx.ep[i] = sva_add_endpoint(test, bench->fx.iommu, &config, true);
		bench->fx.dev[i] = soft_endpoint_dev(bench->fx.ep[i]);
	}
	return 0;
}

void sva_fixture_exit(struct kunit *test)
{
	struct bench *bench;
	bool clean;

	if (!test->priv)
		return;
	bench = to_bench(test);

	sva_end_procs(bench, false);
	clean = sva_check_domains(bench);
	sva_check_violations(bench);
	sva_check_slots(bench);
	if (clean) {
		sva_destroy_endpoints(bench);
		sva_destroy_iommus(bench);
	}
	/* KSM, if a test has switched it on, lets go of an mm while it runs. */
	sva_check_mms(bench, false);
	sva_settings_back(bench);
	sva_swap_off(bench);
	sva_end_procs(bench, true);
	sva_check_mms(bench, true);
	sva_check_pasids(bench);
	sva_free_procs(bench);
	kthread_destroy_worker(bench->spawner);
	sva_fault_around_limit(bench->around);
	kfree(bench);
	test->priv = NULL;
}
