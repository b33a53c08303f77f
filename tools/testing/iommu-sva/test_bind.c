// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bind and unbind: which binds share a bond or a domain, and which are refused.
 */
#include "test.h"

TEST(unbind_undoes_bind)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	u32 pasid = iommu_sva_get_pasid(sva);

	SIM_CHECK(pasid >= IOMMU_FIRST_GLOBAL_PASID && pasid < 16);
	SIM_EQ(mm->iommu_mm->pasid, pasid);
	SIM_CHECK(sva->dev == dev_of(dev));
	SIM_CHECK(vendor_domain_of(dev, pasid)->domain.mm == mm);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(!vendor_domain_of(dev, pasid));
	SIM_CHECK(!mm->iommu_mm);
	mmput(mm);
}

TEST(binds_of_one_pair_share_a_bond)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);
	u32 pasid = iommu_sva_get_pasid(sva);

	SIM_CHECK(test_bind(dev, mm) == sva);
	SIM_CHECK(test_bind(dev, mm) == sva);
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(vendor_domain_of(dev, pasid));
	test_answered(vendor_ask(dev, pasid, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(!vendor_domain_of(dev, pasid));
	mmput(mm);
}

static unsigned int nr_mutexes;

static bool count_mutexes(const char *what)
{
	nr_mutexes += strstr(what, "&io_mm->lock") || strstr(what, "&mm->mmap_lock");
	return false;
}

TEST(sharing_a_bond_takes_neither_mutex_nor_memory)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	unsigned int allocs;

	sim_policy.preempt = count_mutexes;
	sva = test_bind(dev, mm);
	SIM_CHECK(nr_mutexes);
	nr_mutexes = 0;
	allocs = sim_nr_allocs();
	SIM_CHECK(test_bind(dev, mm) == sva);
	iommu_sva_unbind_device(sva);
	SIM_EQ(sim_nr_allocs(), allocs);
	SIM_EQ(nr_mutexes, 0);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(nr_mutexes);
	sim_policy.preempt = NULL;
	mmput(mm);
}

TEST(devices_of_one_iommu_share_pasid_and_domain)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);
	u32 pasid = iommu_sva_get_pasid(first);
	struct vendor_domain *domain = vendor_domain_of(a, pasid);

	SIM_CHECK(first != second);
	SIM_EQ(iommu_sva_get_pasid(second), pasid);
	SIM_CHECK(vendor_domain_of(b, pasid) == domain);
	SIM_EQ(domain->attached, 2);
	iommu_sva_unbind_device(first);
	sim_settle();
	SIM_EQ(domain->attached, 1);
	SIM_EQ(mm->iommu_mm->pasid, pasid);
	test_answered(vendor_ask(b, pasid, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

TEST(iommus_get_domains_of_their_own)
{
	struct vendor_dev *a = test_dev(), *b = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);
	u32 pasid = iommu_sva_get_pasid(first);

	SIM_EQ(iommu_sva_get_pasid(second), pasid);
	SIM_CHECK(vendor_domain_of(a, pasid) != vendor_domain_of(b, pasid));
	iommu_sva_unbind_device(first);
	iommu_sva_unbind_device(second);
	mmput(mm);
}

TEST(third_device_finds_its_domain_among_several)
{
	struct vendor_dev *a = test_dev(), *b = test_dev(), *c = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first = test_bind(a, mm), *second = test_bind(b, mm);
	struct iommu_sva *third = test_bind(c, mm);
	u32 pasid = iommu_sva_get_pasid(first);

	SIM_CHECK(vendor_domain_of(a, pasid) == vendor_domain_of(c, pasid));
	iommu_sva_unbind_device(first);
	sim_settle();
	SIM_EQ(vendor_domain_of(c, pasid)->attached, 1);
	iommu_sva_unbind_device(second);
	iommu_sva_unbind_device(third);
	mmput(mm);
}

TEST(iommus_that_can_share_have_one_domain)
{
	struct vendor_dev *a = vendor_dev_new(vendor_iommu_new(VENDOR_SHARES_DOMAINS), 16, 4);
	struct vendor_dev *b = vendor_dev_new(vendor_iommu_new(VENDOR_SHARES_DOMAINS), 16, 4);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first, *second;

	vendor_enable(a);
	vendor_enable(b);
	first = test_bind(a, mm);
	second = test_bind(b, mm);
	SIM_CHECK(vendor_domain_of(a, 1) == vendor_domain_of(b, 1));
	iommu_sva_unbind_device(second);
	iommu_sva_unbind_device(first);
	mmput(mm);
}

/* The core must not offer a vendor's attach another vendor's domain. */
TEST(drivers_never_share_a_domain)
{
	struct vendor_dev *a = test_dev();
	struct vendor_dev *b = vendor_dev_new(vendor_iommu_new(VENDOR_NO_DRAIN), 16, 4);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *first, *second;

	vendor_enable(b);
	first = test_bind(a, mm);
	b->attach_error = -EBUSY;
	test_no_bind(b, mm, -EBUSY);
	b->attach_error = 0;
	second = test_bind(b, mm);
	SIM_CHECK(vendor_domain_of(a, 1) != vendor_domain_of(b, 1));
	iommu_sva_unbind_device(second);
	iommu_sva_unbind_device(first);
	mmput(mm);
}

TEST(processes_have_domains_and_pasids_of_their_own)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm(), *other = test_mm();
	struct iommu_sva *first = test_bind(dev, mm), *second = test_bind(dev, other);

	SIM_CHECK(iommu_sva_get_pasid(first) != iommu_sva_get_pasid(second));
	SIM_CHECK(vendor_domain_of(dev, iommu_sva_get_pasid(second))->domain.mm == other);
	iommu_sva_unbind_device(first);
	test_answered(vendor_ask(dev, iommu_sva_get_pasid(second), 0, BASE), SUCCESS);
	iommu_sva_unbind_device(second);
	mmput(mm);
	mmput(other);
}

TEST(device_behind_no_iommu_is_refused)
{
	struct vendor_dev *dev = test_dev();
	struct device copy = *dev_of(dev);
	struct mm_struct *mm = test_mm();

	dev_of(dev)->iommu_group = NULL;
	test_no_bind(dev, mm, -ENODEV);
	*dev_of(dev) = copy;
	dev_of(dev)->iommu = NULL;
	test_no_bind(dev, mm, -ENODEV);
	*dev_of(dev) = copy;
	dev->param->iommu_dev = NULL;
	test_no_bind(dev, mm, -ENODEV);
	dev->param->iommu_dev = &dev->iommu->iommu;
	mmput(mm);
}

/* Its IOMMU would not look at the PASID table of this kernel. */
TEST(device_is_refused_while_its_attach_is_deferred)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();

	dev->param->attach_deferred = 1;
	test_no_bind(dev, mm, -EBUSY);
	SIM_EQ(sim_nr_logged(), 0);
	dev->param->attach_deferred = 0;
	iommu_sva_unbind_device(test_bind(dev, mm));
	mmput(mm);
}

TEST(device_without_pasids_is_refused_and_the_log_says_so)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 0, 4);
	struct mm_struct *mm = test_mm();

	vendor_enable(dev);
	test_no_bind(dev, mm, -EOPNOTSUPP);
	SIM_EQ(sim_nr_logged(), 1);
	mmput(mm);
}

TEST(mm_that_has_exited_is_refused_silently)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();

	mmgrab(mm);
	mmput(mm);
	test_no_bind(dev, mm, -ESRCH);
	SIM_EQ(sim_nr_logged(), 0);
	mmdrop(mm);
}

static void bind_of_quirky_driver(unsigned int quirks, bool safe_on_x86)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(quirks), 16, 4);
	struct mm_struct *mm = test_mm();

	vendor_enable(dev);
	if (IS_ENABLED(CONFIG_X86) && !safe_on_x86) {
		test_no_bind(dev, mm, -EOPNOTSUPP);
		SIM_EQ(sim_nr_logged(), 1);
	} else {
		struct iommu_sva *sva = test_bind(dev, mm);

		test_answered(vendor_ask(dev, iommu_sva_get_pasid(sva), 0, BASE), SUCCESS);
		sim_munmap(mm, BASE);
		iommu_sva_unbind_device(sva);
	}
	mmput(mm);
}

/* Elsewhere it has a notifier of its own, and the core leaves it alone. */
TEST(driver_without_sva_ops_is_refused_on_x86_only)
{
	bind_of_quirky_driver(VENDOR_NO_SVA_OPS, false);
}

TEST(driver_that_walks_the_mm_s_root_is_refused_on_x86_only)
{
	bind_of_quirky_driver(VENDOR_WALKS_PGD, false);
}

TEST(driver_may_have_no_drain)
{
	bind_of_quirky_driver(VENDOR_NO_DRAIN, true);
}

TEST(driver_may_have_the_old_domain_alloc)
{
	bind_of_quirky_driver(VENDOR_OLD_ALLOC, true);
}

TEST(driver_without_domain_alloc_is_refused)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(VENDOR_NO_ALLOC), 16, 4);
	struct mm_struct *mm = test_mm();

	vendor_enable(dev);
	test_no_bind(dev, mm, -EOPNOTSUPP);
	SIM_CHECK(!mm->iommu_mm);
	mmput(mm);
}

/* No feature has been enabled on it. */
TEST(device_without_page_requests_uses_what_is_there)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, 4);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	SIM_CHECK(!vendor_dma(dev, 1, PAGE(1), false));
	sim_touch(mm, PAGE(1), true);
	SIM_CHECK(vendor_dma(dev, 1, PAGE(1), true));
	sim_mmap(mm, SLOT(5), 1, VM_READ | VM_WRITE);
	sim_touch(mm, SLOT(5), true);
	SIM_CHECK(vendor_dma(dev, 1, SLOT(5), true));
	sim_munmap(mm, SLOT(5));
	SIM_CHECK(!vendor_dma(dev, 1, SLOT(5), false));
	SIM_EQ(mm->faults, 0);
	iommu_sva_unbind_device(sva);
	SIM_EQ(sim_nr_logged(), 0);
	mmput(mm);
}

TEST(exit_and_unbind_need_no_page_requests)
{
	struct vendor_dev *dev = vendor_dev_new(vendor_iommu_new(0), 16, 4);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	sim_touch(mm, PAGE(1), true);
	SIM_CHECK(vendor_dma(dev, 1, PAGE(1), true));
	mmput(mm);
	SIM_CHECK(!vendor_dma(dev, 1, PAGE(1), true));
	iommu_sva_unbind_device(sva);
	SIM_EQ(sim_nr_logged(), 0);
}

TEST(error_of_attach_comes_through_and_leaves_nothing)
{
	static const int errors[] = { -EBUSY, -EINVAL, -ENODEV, -ENOMEM };
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();

	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
		dev->attach_error = errors[i];
		test_no_bind(dev, mm, errors[i]);
		SIM_CHECK(!mm->iommu_mm);
		sim_settle();
		SIM_CHECK(!sim_mm_is_watched(mm));
	}
	dev->attach_error = 0;
	iommu_sva_unbind_device(test_bind(dev, mm));
	mmput(mm);
}

TEST(failed_bind_does_no_harm_to_bonds_that_are)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a), *c = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(a, mm);
	u32 pasid = iommu_sva_get_pasid(sva);

	b->attach_error = -EBUSY;
	c->attach_error = -ENODEV;
	test_no_bind(b, mm, -EBUSY);
	test_no_bind(c, mm, -ENODEV);
	sim_settle();
	SIM_EQ(mm->iommu_mm->pasid, pasid);
	SIM_CHECK(sim_mm_is_watched(mm));
	test_answered(vendor_ask(a, pasid, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* Only -EINVAL means "another domain, please". */
TEST(only_einval_makes_bind_try_another_domain)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(a, mm);
	unsigned int before;

	b->attach_error = -ENODEV;
	before = sim_nr_allocs();
	test_no_bind(b, mm, -ENODEV);
	/* The bond with its statistics, the use of the ATC, the attachment; no domain */
	SIM_EQ(sim_nr_allocs() - before, 3);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(pasid_that_is_taken_on_the_device_is_ebusy)
{
	struct vendor_dev *a = test_dev(), *b = test_dev();
	struct mm_struct *mm = test_mm(), *foreign = test_mm();
	struct iommu_sva *sva = test_bind(a, mm), *other = test_bind(b, foreign);
	struct vendor_domain *domain = vendor_domain_of(b, iommu_sva_get_pasid(other));
	struct iommu_attach_handle handle = {};
	u32 pasid = iommu_sva_get_pasid(sva);

	SIM_EQ(iommu_attach_device_pasid(&domain->domain, dev_of(b), pasid, &handle), 0);
	test_no_bind(b, mm, -EBUSY);
	iommu_detach_device_pasid(&domain->domain, dev_of(b), pasid);
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(other);
	mmput(mm);
	mmput(foreign);
}

TEST(members_of_a_group_share_the_bond)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;

	vendor_join_group(b, a);
	sva = test_bind(a, mm);
	SIM_CHECK(test_bind(b, mm) == sva);
	SIM_EQ(vendor_domain_of(a, 1)->attached, 2);
	test_answered(vendor_ask(b, 1, 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	SIM_CHECK(vendor_domain_of(b, 1));
	iommu_sva_unbind_device(sva);
	SIM_CHECK(!vendor_domain_of(b, 1));
	mmput(mm);
}

TEST(attach_that_fails_on_one_member_is_undone_on_the_others)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a), *c = test_dev_beside(a);
	struct mm_struct *mm = test_mm();

	vendor_join_group(b, a);
	vendor_join_group(c, a);
	for (unsigned int i = 0; i < 3; i++) {
		struct vendor_dev *bad = i == 0 ? a : i == 1 ? b : c;

		bad->attach_error = -EBUSY;
		test_no_bind(a, mm, -EBUSY);
		SIM_CHECK(!vendor_domain_of(a, 1) && !vendor_domain_of(b, 1) &&
			  !vendor_domain_of(c, 1));
		bad->attach_error = 0;
	}
	iommu_sva_unbind_device(test_bind(b, mm));
	mmput(mm);
}

static unsigned int nr_drains;

static void count_drain(struct vendor_dev *dev, ioasid_t pasid)
{
	nr_drains++;
}

/* The device sends nothing with a PASID, so it needs no drain. */
TEST(member_without_pasids_is_no_obstacle)
{
	struct vendor_dev *a = test_dev(), *b = vendor_dev_new(a->iommu, 0, 0);
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;

	vendor_join_group(b, a);
	sva = test_bind(a, mm);
	SIM_CHECK(!vendor_domain_of(b, 1));
	nr_drains = 0;
	vendor_hooks.draining = count_drain;
	iommu_sva_unbind_device(sva);
	SIM_EQ(nr_drains, 2);
	mmput(mm);
}

TEST(bond_holds_no_mm_users)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(dev, mm);

	SIM_EQ(mm->mm_users.counter, 1);
	test_answered(vendor_ask(dev, 1, 0, BASE), SUCCESS);
	SIM_EQ(mm->mm_users.counter, 1);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

TEST(mm_may_be_bound_again)
{
	struct vendor_dev *dev = test_dev();
	struct mm_struct *mm = test_mm();

	/* While the notifier of the last bond is still being freed, and after that. */
	for (unsigned int i = 0; i < 4; i++) {
		struct iommu_sva *sva;

		sim_hold_rcu(i & 1);
		sva = test_bind(dev, mm);
		test_answered(vendor_ask(dev, iommu_sva_get_pasid(sva), 0, PAGE(i)), SUCCESS);
		iommu_sva_unbind_device(sva);
	}
	mmput(mm);
}

/* A device that asks while it is being attached */
static struct vendor_dev *eager;
static struct vendor_request *early[4];
static unsigned int nr_early;

static void ask_early(struct vendor_dev *dev, ioasid_t pasid)
{
	if (nr_early == ARRAY_SIZE(early))
		return;
	early[nr_early] = vendor_ask(eager, pasid, nr_early, BASE + nr_early * PAGE_SIZE);
	nr_early++;
}

static void fail_to_bind(struct vendor_dev *dev, struct mm_struct *mm, int error)
{
	nr_early = 0;
	vendor_hooks.attaching = ask_early;
	dev->attach_error = error;
	test_no_bind(dev, mm, error);
	dev->attach_error = 0;
	vendor_hooks.attaching = NULL;
}

/* No worker and no listener may find the failed bond by what it leaves behind. */
TEST(request_for_a_bond_that_fails_is_refused_before_the_bond_goes)
{
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;
	struct sim_door door;

	eager = test_dev();
	test_shut(mm, &door);
	fail_to_bind(eager, mm, -EBUSY);
	SIM_EQ(nr_early, 1);
	SIM_EQ(early[0]->answers, 1);
	SIM_EQ(early[0]->code, INVALID);
	door.shut = false;
	sim_settle();
	SIM_EQ(sim_nr_logged(), 0);
	sva = test_bind(eager, mm);
	SIM_EQ(iommu_sva_get_pasid(sva), early[0]->pasid + 1);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

static void send_partial(struct vendor_dev *dev, ioasid_t pasid)
{
	vendor_send(dev, pasid, 0, BASE - PAGE_SIZE, READ, false);
}

TEST(partial_for_a_bond_that_fails_is_forgotten)
{
	struct vendor_dev *narrow = vendor_dev_new(vendor_iommu_new(0), 2, 4);
	struct mm_struct *mm = test_mm(), *next = test_mm();
	struct iommu_sva *sva;

	vendor_enable(narrow);
	vendor_hooks.attaching = send_partial;
	narrow->attach_error = -ENODEV;
	test_no_bind(narrow, mm, -ENODEV);
	narrow->attach_error = 0;
	vendor_hooks.attaching = NULL;
	sva = test_bind(narrow, next);
	/* With the page below BASE, for which only the failed bind asked, it would be refused. */
	test_answered(vendor_ask(narrow, iommu_sva_get_pasid(sva), 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
	mmput(next);
}

/* The first member of the group is attached, and asks; the second one fails. */
TEST(request_of_a_member_is_refused_when_another_one_fails)
{
	struct vendor_dev *a = test_dev(), *b = test_dev_beside(a);
	struct mm_struct *mm = test_mm();
	struct sim_door door;

	vendor_join_group(b, a);
	eager = a;
	test_shut(mm, &door);
	fail_to_bind(b, mm, -ENODEV);
	SIM_EQ(nr_early, 2);
	for (unsigned int i = 0; i < nr_early; i++) {
		SIM_EQ(early[i]->answers, 1);
		SIM_EQ(early[i]->code, INVALID);
	}
	door.shut = false;
	sim_settle();
	mmput(mm);
}

/* -EINVAL for one domain, then an error of the device: a request meets each of the domains. */
TEST(request_for_each_domain_that_fails_is_refused)
{
	struct vendor_dev *first = test_dev(), *dev = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva = test_bind(first, mm);
	struct sim_door door;

	eager = dev;
	test_shut(mm, &door);
	fail_to_bind(dev, mm, -EINVAL);
	SIM_EQ(nr_early, 2);
	for (unsigned int i = 0; i < nr_early; i++)
		SIM_EQ(early[i]->answers, 1);
	door.shut = false;
	sim_settle();
	test_answered(vendor_ask(first, iommu_sva_get_pasid(sva), 0, BASE), SUCCESS);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

/* Another owner has the number on that device: the failed bind leaves its requests alone. */
TEST(bind_that_finds_its_pasid_taken_leaves_the_owner_s_requests_alone)
{
	struct vendor_dev *a = test_dev(), *b = test_dev();
	struct mm_struct *mm = test_mm(), *foreign = test_mm();
	struct iommu_sva *sva = test_bind(a, mm), *other = test_bind(b, foreign);
	struct vendor_domain *domain = vendor_domain_of(b, iommu_sva_get_pasid(other));
	u32 pasid = iommu_sva_get_pasid(sva);
	struct vendor_request *r;
	struct sim_door door;

	SIM_EQ(iommu_attach_device_pasid(&domain->domain, dev_of(b), pasid, &other->handle), 0);
	test_shut(foreign, &door);
	r = vendor_ask(b, pasid, 0, BASE);
	test_no_bind(b, mm, -EBUSY);
	test_unanswered(r);
	door.shut = false;
	test_answered(r, SUCCESS);
	iommu_detach_device_pasid(&domain->domain, dev_of(b), pasid);
	iommu_sva_unbind_device(sva);
	iommu_sva_unbind_device(other);
	mmput(mm);
	mmput(foreign);
}

static struct mm_struct *unlucky;

static void ask_while_binding(void *arg)
{
	ioasid_t pasid = (ioasid_t)(unsigned long)arg;

	/* With an address outside any VMA: the core has to tell the listeners of the bond. */
	for (u32 i = 0; i < 2; i++)
		vendor_ask(eager, pasid, i, BASE - PAGE_SIZE);
}

static void yield_in_attach(struct vendor_dev *dev, ioasid_t pasid)
{
	sim_spawn("device", ask_while_binding, (void *)(unsigned long)pasid);
	sim_yield();
}

EXPLORE(failing_bind_against_requests)
{
	eager = test_dev();
	unlucky = test_mm();
	vendor_hooks.attaching = yield_in_attach;
	eager->attach_error = -ENODEV;
	test_no_bind(eager, unlucky, -ENODEV);
	vendor_hooks.attaching = NULL;
	sim_settle();
	eager->attach_error = 0;
	mmput(unlucky);
}

/* The last device may have gone when the domain is freed, after RCU. */
TEST(driver_s_module_is_held_until_its_domain_is_freed)
{
	struct vendor_dev *dev = test_dev(), *other = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva[2];

	SIM_EQ(vendor_module.refs, 0);
	sva[0] = test_bind(dev, mm);
	sva[1] = test_bind(other, mm);
	SIM_EQ(vendor_module.refs, 2);
	sim_hold_rcu(true);
	iommu_sva_unbind_device(sva[0]);
	iommu_sva_unbind_device(sva[1]);
	sim_settle();
	SIM_EQ(vendor_module.refs, 2);
	sim_hold_rcu(false);
	sim_settle();
	SIM_EQ(vendor_module.refs, 0);
	/* A bind that fails, with the domain and without */
	dev->attach_error = -EBUSY;
	test_no_bind(dev, mm, -EBUSY);
	sim_settle();
	SIM_EQ(vendor_module.refs, 0);
	mmput(mm);
}

TEST(process_with_tagged_addresses_is_refused)
{
	struct vendor_dev *dev = test_dev(), *other = test_dev();
	struct mm_struct *mm = test_mm();
	struct iommu_sva *sva;

	mm->is_tagged = true;
	test_no_bind(dev, mm, -EBUSY);
	SIM_CHECK(!mm->iommu_mm);
	mm->is_tagged = false;
	sva = test_bind(dev, mm);
	mm->is_tagged = true;
	test_no_bind(other, mm, -EBUSY);
	SIM_EQ(iommu_sva_get_pasid(sva), mm->iommu_mm->pasid);
	iommu_sva_unbind_device(sva);
	mmput(mm);
}

#define MAX_TAKEN	256

static const void *taken[MAX_TAKEN];
static unsigned int nr_taken;

static void note_lock(const void *lock, const char *class)
{
	SIM_CHECK(nr_taken < MAX_TAKEN);
	taken[nr_taken++] = lock;
}

static void check_not_noted(const void *lock, const char *class)
{
	for (unsigned int i = 0; i < nr_taken; i++)
		if (taken[i] == lock && !strstr(class, "workqueue's pool"))
			sim_fail("%s is another process's, too", class);
}

static void bind_and_unbind(struct vendor_dev *dev, struct mm_struct *mm)
{
	iommu_sva_unbind_device(test_bind(dev, mm));
}

/* But for the first bind of a device, and that which makes a workqueue */
TEST(binds_of_processes_with_different_devices_share_no_lock)
{
	struct vendor_dev *devs[] = { test_dev(), test_dev() };
	struct mm_struct *mms[] = { test_mm(), test_mm() };

	for (unsigned int i = 0; i < 2; i++)
		bind_and_unbind(devs[i], mms[i]);
	sim_settle();
	sim_taken = note_lock;
	bind_and_unbind(devs[0], mms[0]);
	sim_taken = check_not_noted;
	bind_and_unbind(devs[1], mms[1]);
	sim_taken = NULL;
	for (unsigned int i = 0; i < 2; i++)
		mmput(mms[i]);
}
