// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vendor's driver and hardware: see vendor.h.
 */
#include <iopf.h>

#include "vendor.h"

struct vendor_hooks vendor_hooks;
struct module vendor_module;

static struct vendor_iommu *iommus;
static u64 nr_requests;

/* What the driver has noted of a device: it frees that when the device leaves. */
static struct vendor_dev *to_dev(struct device *dev)
{
	struct vendor_dev *vdev = container_of(dev, struct vendor_dev, pdev.dev);

	if (vdev->left)
		sim_fail("the driver is called for a device that has left");
	return vdev;
}

static struct vendor_domain *to_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct vendor_domain, domain);
}

/* Caches */

static void forget(struct vendor_dev *dev, ioasid_t pasid, unsigned long start, unsigned long last)
{
	for (unsigned int i = 0; i < VENDOR_CACHED; i++) {
		struct vendor_cached *c = &dev->cached[i];
		unsigned long size = c->page ? PAGE_SIZE : 1UL << PGDIR_SHIFT;

		if (c->table && c->pasid == pasid && c->addr <= last && c->addr + size - 1 >= start)
			c->table = 0;
	}
}

static struct vendor_cached *find_cached(struct vendor_dev *dev, ioasid_t pasid,
					 unsigned long addr, bool page)
{
	unsigned long mask = page ? PAGE_SIZE - 1 : (1UL << PGDIR_SHIFT) - 1;

	for (unsigned int i = 0; i < VENDOR_CACHED; i++) {
		struct vendor_cached *c = &dev->cached[i];

		if (c->table && c->pasid == pasid && c->page == page && c->addr == (addr & ~mask))
			return c;
	}
	return NULL;
}

static void cache(struct vendor_dev *dev, struct vendor_cached what)
{
	dev->cached[dev->next_cached++ % VENDOR_CACHED] = what;
}

static struct vendor_entry *find_entry(struct vendor_dev *dev, ioasid_t pasid)
{
	for (unsigned int i = 0; i < VENDOR_PASIDS; i++)
		if (dev->entries[i].domain && dev->entries[i].pasid == pasid)
			return &dev->entries[i];
	return NULL;
}

pgd_t *vendor_root(struct vendor_dev *dev, ioasid_t pasid)
{
	struct vendor_entry *entry = find_entry(dev, pasid);

	return entry ? entry->root : NULL;
}

struct vendor_domain *vendor_domain_of(struct vendor_dev *dev, ioasid_t pasid)
{
	struct vendor_entry *entry = find_entry(dev, pasid);

	return entry ? entry->domain : NULL;
}

bool vendor_dma(struct vendor_dev *dev, ioasid_t pasid, unsigned long addr, bool write)
{
	struct vendor_entry *entry = find_entry(dev, pasid);
	struct vendor_cached *c = find_cached(dev, pasid, addr, true);
	enum sim_walk found;
	pgdval_t table;

	if (dev->in_reset)
		return false;
	/* The data goes to a page in a table that must still be there. */
	if (c && (c->write || !write)) {
		sim_walk(c->table, addr);
		return true;
	}
	if (!entry || !entry->root)
		return false;

	c = find_cached(dev, pasid, addr, false);
	table = c ? c->table : entry->root[pgd_index(addr)].pgd;
	found = sim_walk(table, addr);
	if (found == SIM_WALK_NO_TABLE)
		return false;
	if (!c)
		cache(dev, (struct vendor_cached){
			.pasid = pasid, .table = table,
			.addr = addr & ~((1UL << PGDIR_SHIFT) - 1) });
	if (found < (write ? SIM_WALK_WRITE : SIM_WALK_READ))
		return false;
	cache(dev, (struct vendor_cached){
		.pasid = pasid, .table = table, .page = true, .write = found == SIM_WALK_WRITE,
		.addr = addr & ~(PAGE_SIZE - 1) });
	return true;
}

void vendor_check_stale(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	for (struct vendor_iommu *iommu = iommus; iommu; iommu = iommu->next) {
		for (struct vendor_dev *dev = iommu->devs; dev; dev = dev->next) {
			for (unsigned int i = 0; i < VENDOR_CACHED; i++) {
				struct vendor_cached *c = &dev->cached[i];
				struct vendor_domain *domain = vendor_domain_of(dev, c->pasid);

				/* The device gets a flush after its reset, or does not obey. */
				if (iopf_device_in_reset(&dev->pdev.dev) || dev->keeps_atc)
					continue;
				if (c->table && c->page && domain && domain->domain.mm == mm &&
				    iommu->iommu.ops->sva_ops && c->addr >= start && c->addr < end)
					sim_fail("a stale translation of %#lx is left", c->addr);
			}
		}
	}
}

/*
 * An invalidation for the device; without its completion the IOMMU stops. Sent in the RCU read-side
 * section that has checked for a reset, and that lasts until it is complete. Returns false if it
 * must not be sent.
 */
static bool send_invalidation(struct vendor_dev *dev)
{
	SIM_CHECK(rcu_read_lock_held());
	if (iopf_device_in_reset(&dev->pdev.dev))
		return false;
	dev->invalidating++;
	return true;
}

static void end_invalidation(struct vendor_dev *dev, ioasid_t pasid, unsigned long start,
			     unsigned long last)
{
	SIM_CHECK(rcu_read_lock_held());
	dev->invalidating--;
	if (dev->in_reset)
		sim_fail("an ATC invalidation for a device that is in a reset");
	if (dev->left)
		sim_fail("an ATC invalidation uses a device that has left");
	if (dev->keeps_atc)
		iopf_atc_unconfirmed(&dev->pdev.dev, pasid);
	else
		forget(dev, pasid, start, last);
}

static void invalidate_atc(struct vendor_dev *dev, ioasid_t pasid, unsigned long start,
			   unsigned long last)
{
	if (!send_invalidation(dev))
		return;
	sim_point("ATC invalidation");
	end_invalidation(dev, pasid, start, last);
}

static void vendor_await_errors(struct device *dev)
{
	sim_might_sleep("await_errors");
	/* What is read now must not be taken for new. */
	SIM_CHECK(iopf_device_in_reset(dev));
	to_dev(dev)->awaits++;
}

static void vendor_flush_atc(struct device *dev)
{
	struct vendor_dev *vdev = to_dev(dev);

	sim_might_sleep("flush_atc");
	SIM_CHECK(!vdev->in_reset);
	vdev->flushes++;
	if (vdev->keeps_atc)
		iopf_atc_unconfirmed(dev, IOMMU_PASID_INVALID);
	else
		memset(vdev->cached, 0, sizeof(vdev->cached));
	sim_point("flush_atc");
	SIM_CHECK(to_dev(dev));
}

/* The root: the kernel half must be empty, the user half is as the mm's. */

static void check_kernel_half(const pgd_t *root)
{
#ifdef CONFIG_X86_64
	for (unsigned int i = PTRS_PER_PGD / 2; root && i < PTRS_PER_PGD; i++)
		if (root[i].pgd)
			sim_fail("the root shows slot %u of the kernel half", i);
#endif
}

static void check_root(struct vendor_domain *domain, const pgd_t *root, unsigned long start,
		       unsigned long last)
{
#ifdef CONFIG_X86_64
	const pgd_t *pgd = domain->domain.mm->pgd;

	check_kernel_half(root);
	/* Another task is just changing a slot, and announces one that goes. */
	if (sim_has_owner(&domain->domain.mm->page_table_lock) &&
	    !lockdep_is_held(&domain->domain.mm->page_table_lock))
		return;
	/* The last user is gone: the core may have emptied the root already. */
	if (!root || !domain->domain.mm->mm_users.counter || start >= TASK_SIZE_MAX)
		return;
	last = min(last, TASK_SIZE_MAX - 1);
	for (unsigned long i = pgd_index(start); i <= pgd_index(last); i++)
		if ((root[i].pgd ^ pgd[i].pgd) & ~(_PAGE_NX | _PAGE_ACCESSED))
			sim_fail("slot %lu of the root is %#lx, of the mm's %#lx", i, root[i].pgd,
				 pgd[i].pgd);
#endif
}

/* The core's calls */

static void check_empty(const pgd_t *root)
{
#ifdef CONFIG_X86_64
	for (unsigned int k = 0; root && k < PTRS_PER_PGD; k++)
		if (root[k].pgd)
			sim_fail("slot %u of a dead mm's root is in use", k);
#endif
}

/* What a driver does to an entry before it flushes */
static void prepare_entry(struct vendor_domain *domain, struct vendor_entry *entry,
			  const struct iommu_sva_range *range)
{
	if (!range->exits) {
		check_root(domain, entry->root, range->start, range->end - 1);
		return;
	}
	check_empty(entry->root);
	entry->root = NULL;
}

static void begin_flush(struct vendor_domain *domain, const struct iommu_sva_range *range)
{
	SIM_CHECK(range->start < range->end);
	if (range->exits) {
		SIM_CHECK(!domain->released || domain->failed);
		domain->released = true;
		return;
	}
	domain->invalidated++;
	domain->start = range->start;
	domain->end = range->end;
}

/*
 * @notes: the devices that have been asked, by their place in the list; their PASID, and how many
 * flushes the task has started
 */
static void start_flush(struct iommu_domain *d, const struct iommu_sva_range *range,
			u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	struct vendor_domain *domain = to_domain(d);
	unsigned int n = 0;

	SIM_CHECK(rcu_read_lock_held());
	if (vendor_hooks.starting)
		vendor_hooks.starting(domain);
	begin_flush(domain, range);
	notes[0] = 0;
	notes[1] = IOMMU_PASID_INVALID;
	for (struct vendor_dev *dev = domain->iommu->devs; dev; dev = dev->next, n++) {
		for (unsigned int i = 0; i < VENDOR_PASIDS; i++) {
			struct vendor_entry *entry = &dev->entries[i];

			if (entry->domain != domain)
				continue;
			prepare_entry(domain, entry, range);
			SIM_CHECK(n < 64);
			if (send_invalidation(dev))
				notes[0] |= 1ULL << n;
			notes[1] = entry->pasid;
		}
	}
	domain->under_way++;
	current->flushes++;
	notes[1] |= (u64)current->flushes << 32;
	sim_point("start_flush");
}

static bool vendor_start_flush(struct iommu_domain *d, const struct iommu_sva_range *range,
			       u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	if (vendor_hooks.has_no_room && vendor_hooks.has_no_room(to_domain(d)))
		return false;
	start_flush(d, range, notes);
	return true;
}

/* A flush that @fails: the IOMMU has not carried out a single invalidation. */
static void await_flush(struct iommu_domain *d, const struct iommu_sva_range *range,
			u64 notes[IOMMU_SVA_FLUSH_NOTES], bool fails)
{
	struct vendor_domain *domain = to_domain(d);
	unsigned int n = 0;

	SIM_CHECK(rcu_read_lock_held());
	SIM_CHECK(domain->under_way);
	domain->under_way--;
	/* The last one first */
	SIM_EQ(notes[1] >> 32, current->flushes--);
	if (vendor_hooks.waiting)
		vendor_hooks.waiting(domain);
	for (struct vendor_dev *dev = domain->iommu->devs; dev; dev = dev->next, n++) {
		if (!(notes[0] >> n & 1))
			continue;
		sim_point("ATC invalidation");
		if (fails)
			dev->invalidating--;
		else
			end_invalidation(dev, (u32)notes[1], range->start, range->end - 1);
	}
	domain->failed |= fails;
	sim_point("await_flush");
}

static bool vendor_await_flush(struct iommu_domain *d, const struct iommu_sva_range *range,
			       u64 notes[IOMMU_SVA_FLUSH_NOTES])
{
	bool fails = vendor_hooks.fails && vendor_hooks.fails(to_domain(d));

	await_flush(d, range, notes, fails);
	return !fails;
}

static void flush_at_once(struct iommu_domain *d, const struct iommu_sva_range *range)
{
	u64 notes[IOMMU_SVA_FLUSH_NOTES];

	/* It may wait for room, which others take who wait for room that this task takes. */
	SIM_EQ(current->flushes, 0);
	start_flush(d, range, notes);
	await_flush(d, range, notes, false);
}

static void vendor_invalidate_range(struct iommu_domain *d, unsigned long start, unsigned long end)
{
	flush_at_once(d, &(struct iommu_sva_range){ .start = start, .end = end });
}

static void vendor_release(struct iommu_domain *d)
{
	flush_at_once(d, &(struct iommu_sva_range){ .end = ULONG_MAX, .exits = true });
}

/* An invalidation that comes now must reach the domain. This one updates no slot of the root. */
static void check_reached(struct vendor_domain *domain)
{
	struct mm_struct *mm = domain->domain.mm;
	unsigned int before = domain->invalidated;

	if (!dev_iommu_ops(&domain->iommu->devs->pdev.dev)->sva_ops)
		return;
	sim_flush(mm, TASK_SIZE_MAX, TASK_SIZE_MAX + PAGE_SIZE);
	/* After the process's exit no domain has to be told. */
	if (domain->invalidated == before && sim_mm_is_watched(mm) && mm->mm_users.counter)
		sim_fail("a device translates through a domain that no invalidation reaches");
}

static int vendor_set_dev_pasid(struct iommu_domain *d, struct device *dev, ioasid_t pasid)
{
	struct vendor_domain *domain = to_domain(d);
	struct vendor_dev *vdev = to_dev(dev);
	struct vendor_entry *entry;

	sim_might_sleep("set_dev_pasid");
	if (vendor_hooks.attaching)
		vendor_hooks.attaching(vdev, pasid);
	if (vdev->attach_error)
		return vdev->attach_error;
	/* -EINVAL: the driver's other instance has another page-table format, for instance. */
	if (domain->iommu != vdev->iommu && !(vdev->iommu->quirks & VENDOR_SHARES_DOMAINS))
		return -EINVAL;
	SIM_CHECK(!find_entry(vdev, pasid));
	for (entry = vdev->entries; entry->domain; entry++)
		SIM_CHECK(entry < &vdev->entries[VENDOR_PASIDS - 1]);
	entry->pasid = pasid;
	entry->root = domain->released ? NULL : iommu_sva_root(d);
	entry->domain = domain;
	domain->attached++;
	check_kernel_half(entry->root);
	sim_point("set_dev_pasid");
	check_reached(domain);
	if (vendor_hooks.attached)
		vendor_hooks.attached(domain, vdev);
	return 0;
}

static void vendor_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *d)
{
	struct vendor_domain *domain = to_domain(d);
	struct vendor_dev *vdev = to_dev(dev);
	struct vendor_entry *entry = find_entry(vdev, pasid);

	sim_might_sleep("remove_dev_pasid");
	SIM_CHECK(entry && entry->domain == domain);
	check_reached(domain);
	if (vendor_hooks.detaching)
		vendor_hooks.detaching(domain, vdev);
	sim_point("remove_dev_pasid");
	*entry = (struct vendor_entry){};
	rcu_read_lock();
	invalidate_atc(vdev, pasid, 0, ULONG_MAX);
	rcu_read_unlock();
	domain->attached--;
}

static struct iommu_domain *vendor_domain_new(struct vendor_iommu *iommu)
{
	struct vendor_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL);

	if (!domain)
		return NULL;
	domain->iommu = iommu;
	return &domain->domain;
}

static struct iommu_domain *vendor_alloc_sva(struct device *dev, struct mm_struct *mm)
{
	(void)mm;
	return vendor_domain_new(to_dev(dev)->iommu) ?: ERR_PTR(-ENOMEM);
}

/* The old call does not name a device; there is one IOMMU then. */
static struct iommu_domain *vendor_alloc(unsigned int type)
{
	SIM_EQ(type, IOMMU_DOMAIN_SVA);
	return vendor_domain_new(iommus);
}

static void vendor_domain_free(struct iommu_domain *d)
{
	SIM_EQ(to_domain(d)->attached, 0);
	SIM_EQ(to_domain(d)->under_way, 0);
	kfree(to_domain(d));
	sim_point("domain_free");
	if (!vendor_module.refs)
		sim_fail("a driver executes text that may be gone");
}

/* Requests and answers */

static void vendor_page_response(struct device *dev, struct iopf_fault *evt,
				 struct iommu_page_response *msg)
{
	struct vendor_dev *vdev = to_dev(dev);
	struct vendor_request *r;

	sim_might_sleep("page_response");
	if (current->vma_locks)
		sim_fail("an answer is sent with the lock of a VMA held");
	for (r = vdev->requests; r && r->id != evt->fault.prm.private_data[0]; r = r->next)
		;
	if (!r)
		sim_fail("an answer to a request that %s never sent", dev->name);
	r->answering = true;
	sim_point("page_response");
	if (vdev->shut && !r->error)
		sim_fail("an answer after the device has left the queue");
	if (!(r->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE))
		sim_fail("an answer to request %llu, which is not a last page",
			 r->id);
	if (r->forgotten)
		sim_fail("an answer to request %llu, which the device forgot in a reset", r->id);
	if (r->answers)
		sim_fail("a second answer to request %llu", r->id);
	SIM_EQ(msg->pasid, r->pasid);
	SIM_EQ(msg->grpid, r->grpid);
	SIM_EQ(evt->fault.prm.flags, r->flags);
	if (msg->code != 0 && msg->code != 1 && msg->code != 15)
		sim_fail("PCIe has no response code %u", msg->code);
	r->answers++;
	r->code = msg->code;
	if (vendor_hooks.responding)
		vendor_hooks.responding(r, msg->code);
	sim_point("page_response");
	r->answering = false;
}

static void vendor_page_responses(struct device *dev, const struct iopf_response *responses,
				  unsigned int nr)
{
	struct iommu_page_response resp;

	to_dev(dev)->submissions++;
	for (unsigned int i = 0; i < nr; i++) {
		resp = responses[i].resp;
		vendor_page_response(dev, responses[i].last, &resp);
	}
}

static struct vendor_request *new_request(struct vendor_dev *dev, ioasid_t pasid, u32 grpid,
					  unsigned long addr, u32 perm, bool last)
{
	struct vendor_request *r = sim_alloc_sure(sizeof(*r), __func__);

	r->dev = dev;
	r->id = ++nr_requests;
	r->addr = addr;
	r->grpid = grpid;
	r->perm = perm;
	/* Without the flag the field has no meaning, so it may well be the PASID of a process. */
	r->pasid = 1;
	if (pasid != IOMMU_PASID_INVALID) {
		r->pasid = pasid;
		r->flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
	}
	if (last)
		r->flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	r->next = dev->requests;
	dev->requests = r;
	/* A request that is not sent expects no report and no response. */
	r->forgotten = dev->stopped;
	r->reported = dev->stopped;
	return r;
}

static struct iopf_fault event_of(const struct vendor_request *r)
{
	return (struct iopf_fault){
		.fault = {
			.type = IOMMU_FAULT_PAGE_REQ,
			.prm = {
				.flags = r->flags,
				.pasid = r->pasid,
				.grpid = r->grpid,
				.perm = r->perm,
				.addr = r->addr,
				.private_data = { r->id },
			},
		},
	};
}

static void report(struct vendor_request *r)
{
	struct iopf_fault evt = event_of(r);

	r->error = r->dev->shut ? -ENODEV : 0;
	r->error = iommu_report_device_fault(&r->dev->pdev.dev, &evt);
	r->reported = true;
	/* The event was on a stack: a core that has kept a pointer to it reads this. */
	memset(&evt, 0xa5, sizeof(evt));
}

struct vendor_request *vendor_send(struct vendor_dev *dev, ioasid_t pasid, u32 grpid,
				   unsigned long addr, u32 perm, bool last)
{
	struct vendor_request *r = new_request(dev, pasid, grpid, addr, perm, last);

	if (!r->forgotten)
		report(r);
	return r;
}

void vendor_send_batch(struct vendor_dev *dev, struct vendor_request **r, unsigned int nr)
{
	struct iopf_fault evts[8];

	SIM_CHECK(nr <= ARRAY_SIZE(evts));
	for (unsigned int i = 0; i < nr; i++)
		evts[i] = event_of(r[i]);
	iopf_report_batch(&dev->pdev.dev, evts, nr);
	for (unsigned int i = 0; i < nr; i++)
		r[i]->reported = true;
	memset(evts, 0xa5, sizeof(evts));
}

static struct iopf_worker *report_single(struct vendor_request *r)
{
	struct iopf_fault evt = event_of(r);
	struct iopf_worker *worker;

	r->error = r->dev->shut ? -ENODEV : 0;
	worker = iopf_report_single(&r->dev->pdev.dev, &evt);
	r->reported = true;
	memset(&evt, 0xa5, sizeof(evt));
	return worker;
}

bool vendor_send_single(struct vendor_request *r)
{
	struct iopf_worker *worker = report_single(r);

	iopf_serve_inline(worker);
	return worker;
}

struct vendor_request *vendor_prepare(struct vendor_dev *dev, ioasid_t pasid, u32 grpid,
				      unsigned long addr)
{
	return new_request(dev, pasid, grpid, addr, IOMMU_FAULT_PERM_READ, true);
}

static void interrupt_thread(void *arg)
{
	struct vendor_iommu *iommu = arg;
	struct vendor_request *r;
	struct iopf_worker *worker;

	while (iommu->ring || iommu->overflow) {
		if (iommu->overflow) {
			iommu->overflow = false;
			SIM_EQ(iopf_queue_discard_partial(iommu->queue), 0);
			continue;
		}
		r = iommu->ring;
		worker = NULL;
		if (r->stop_marker)
			r->reported = true;
		else if (iommu->serves_single && !r->next_in_ring)
			worker = report_single(r);
		else
			report(r);
		iommu->ring = r->next_in_ring;
		sim_point("interrupt thread");
		iopf_serve_inline(worker);
	}
	iommu->reporting = false;
}

static void interrupt(struct vendor_iommu *iommu)
{
	if (iommu->reporting)
		return;
	iommu->reporting = true;
	sim_spawn("prq", interrupt_thread, iommu);
}

static void queue_in_ring(struct vendor_request *r)
{
	struct vendor_iommu *iommu = r->dev->iommu;
	struct vendor_request **at;

	for (at = &iommu->ring; *at; at = &(*at)->next_in_ring)
		;
	*at = r;
	interrupt(iommu);
}

struct vendor_request *vendor_post(struct vendor_dev *dev, ioasid_t pasid, u32 grpid,
				   unsigned long addr, u32 perm, bool last)
{
	struct vendor_request *r = new_request(dev, pasid, grpid, addr, perm, last);

	if (!r->forgotten)
		queue_in_ring(r);
	return r;
}

void vendor_post_stop_marker(struct vendor_dev *dev, ioasid_t pasid)
{
	struct vendor_request *r = new_request(dev, pasid, 0, 0, 0, false);

	r->stop_marker = true;
	queue_in_ring(r);
}

void vendor_overflow(struct vendor_iommu *iommu)
{
	iommu->overflow = true;
	interrupt(iommu);
}

u64 vendor_nr_requests(void)
{
	return nr_requests;
}

void vendor_check_answered(struct vendor_dev *dev, ioasid_t pasid, u64 id)
{
	for (struct vendor_request *r = dev->requests; r; r = r->next) {
		if (r->id > id || !r->reported || r->forgotten ||
		    !(r->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE))
			continue;
		if (pasid != IOMMU_PASID_INVALID && r->pasid != pasid)
			continue;
		if (r->answers != 1)
			sim_fail("request %llu of PASID %u is left without an answer", r->id,
				 r->pasid);
	}
}

/* The request that was last in the ring, and all before it, have been reported. */
static bool is_reported(void *arg)
{
	return ((struct vendor_request *)arg)->reported;
}

static void empty_ring(struct vendor_dev *dev)
{
	struct vendor_request *r, *last = NULL;

	for (r = dev->iommu->ring; r; r = r->next_in_ring)
		if (r->dev == dev)
			last = r;
	if (last)
		sim_block(is_reported, last, "the interrupt thread");
}

static void vendor_drain(struct device *dev, ioasid_t pasid)
{
	sim_might_sleep("drain");
	if (vendor_hooks.draining)
		vendor_hooks.draining(to_dev(dev), pasid);
	empty_ring(to_dev(dev));
	iopf_drain_pasid(dev, pasid);
	SIM_CHECK(to_dev(dev));
}

static u32 vendor_max_requests(struct device *dev)
{
	return to_dev(dev)->max_requests;
}

static bool vendor_stalls(struct device *dev)
{
	return to_dev(dev)->stalls;
}

void vendor_begin_reset(struct vendor_dev *dev)
{
	SIM_CHECK(!dev->in_reset);
	if (dev->invalidating)
		sim_fail("a reset begins while an ATC invalidation is on its way");
	dev->in_reset = true;
	dev->stopped = true;
	memset(dev->cached, 0, sizeof(dev->cached));
	for (struct vendor_request *r = dev->requests; r; r = r->next) {
		/* The IOMMU, to which the answer goes, is in no reset. */
		if (dev->stalls)
			continue;
		if (r->answering)
			sim_fail("a reset begins while request %llu is answered", r->id);
		r->forgotten |= !r->answers;
	}
	sim_point("reset");
}

void vendor_end_reset(struct vendor_dev *dev)
{
	dev->in_reset = false;
	sim_point("reset");
}

void vendor_start(struct vendor_dev *dev)
{
	SIM_CHECK(!dev->in_reset);
	dev->stopped = false;
}

/* Making and taking away */

struct vendor_iommu *vendor_iommu_new(unsigned int quirks)
{
	struct vendor_iommu *iommu = sim_alloc_sure(sizeof(*iommu), __func__), **at;
	static struct iommu_ops shared;

	iommu->quirks = quirks;
	iommu->sva_ops = (struct iommu_sva_ops){
		.walks_io_mm_root = !(quirks & VENDOR_WALKS_PGD),
		.no_execute = quirks & VENDOR_NO_EXECUTE,
		.invalidate_range = vendor_invalidate_range,
		.release = vendor_release,
		.start_flush = quirks & VENDOR_NO_START ? NULL : vendor_start_flush,
		.await_flush = quirks & VENDOR_NO_START ? NULL : vendor_await_flush,
		.drain = quirks & VENDOR_NO_DRAIN ? NULL : vendor_drain,
		.page_responses = vendor_page_responses,
		.await_errors = vendor_await_errors,
		.flush_atc = vendor_flush_atc,
		.max_requests = vendor_max_requests,
		.stalls = vendor_stalls,
	};
	iommu->ops = (struct iommu_ops){
		.owner = &vendor_module,
		.domain_alloc_sva = quirks & (VENDOR_OLD_ALLOC | VENDOR_NO_ALLOC) ?
				    NULL : vendor_alloc_sva,
		.domain_alloc = quirks & VENDOR_OLD_ALLOC ? vendor_alloc : NULL,
		.domain_free = vendor_domain_free,
		.set_dev_pasid = vendor_set_dev_pasid,
		.remove_dev_pasid = vendor_remove_dev_pasid,
		.page_response = quirks & VENDOR_NO_RESPONSE ? NULL : vendor_page_response,
		.sva_ops = quirks & VENDOR_NO_SVA_OPS ? NULL : &iommu->sva_ops,
		.user_pasid_table = quirks & VENDOR_USER_TABLE,
	};
	/* Instances of one driver have one table of operations. */
	if (!quirks || quirks == VENDOR_SHARES_DOMAINS) {
		static struct iommu_sva_ops shared_sva;

		shared_sva = iommu->sva_ops;
		shared = iommu->ops;
		shared.sva_ops = &shared_sva;
		iommu->iommu.ops = &shared;
	} else {
		iommu->iommu.ops = &iommu->ops;
	}
	iommu->queue = iopf_queue_alloc("vendor");
	SIM_CHECK(iommu->queue);
	sim_invalidated = vendor_check_stale;
	for (at = &iommus; *at; at = &(*at)->next)
		;
	*at = iommu;
	return iommu;
}

struct vendor_dev *vendor_dev_new(struct vendor_iommu *iommu, u32 max_pasids, u32 credits)
{
	struct vendor_dev *dev = sim_alloc_sure(sizeof(*dev), __func__), **at;

	dev->iommu = iommu;
	dev->pdev.dev.name = "device";
	dev->pdev.dev.is_pci = true;
	dev->param = sim_alloc_sure(sizeof(*dev->param), __func__);
	dev->pdev.dev.iommu = dev->param;
	dev->pdev.dev.iommu_group = &dev->alone;
	dev->pdev.pri_cap = credits ? 0x100 : 0;
	dev->pdev.pri_max_req = credits;
	dev->param->iommu_dev = &iommu->iommu;
	dev->param->max_pasids = max_pasids;
	mutex_init(&dev->param->lock);
	dev_iommu_init_sva(dev->param, &dev->pdev.dev);
	mutex_init(&dev->alone.mutex);
	dev->alone.devices[0] = &dev->pdev.dev;
	for (at = &iommu->devs; *at; at = &(*at)->next)
		;
	*at = dev;
	return dev;
}

void vendor_join_group(struct vendor_dev *dev, struct vendor_dev *of)
{
	struct iommu_group *group = of->pdev.dev.iommu_group;
	unsigned int i;

	for (i = 0; group->devices[i]; i++)
		SIM_CHECK(i < SIM_GROUP_DEVICES - 1);
	group->devices[i] = &dev->pdev.dev;
	dev->pdev.dev.iommu_group = group;
}

void vendor_enable(struct vendor_dev *dev)
{
	SIM_EQ(iopf_queue_add_device(dev->iommu->queue, &dev->pdev.dev), 0);
	dev->on_queue = true;
	dev->shut = false;
}

/* As the kernel's drivers do: stop new requests, empty the ring, leave the queue. */
void vendor_disable(struct vendor_dev *dev)
{
	dev->on_queue = false;
	empty_ring(dev);
	iopf_queue_remove_device(dev->iommu->queue, &dev->pdev.dev);
	dev->shut = true;
	vendor_check_answered(dev, IOMMU_PASID_INVALID, nr_requests);
}

void vendor_leave(struct vendor_dev *dev)
{
	struct device *d = &dev->pdev.dev;

	iopf_device_leaves(d);
	sim_point("release_device");
	SIM_CHECK(!dev->param->fault_param);
	dev->left = true;
	iopf_atc_forget(d);
	WRITE_ONCE(d->iommu, NULL);
	iopf_param_put(dev->param);
	dev->param = NULL;
}

static void end_requests(struct vendor_dev *dev)
{
	while (dev->requests) {
		struct vendor_request *r = dev->requests;

		SIM_CHECK(r->reported);
		if (r->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE && r->answers != !r->forgotten)
			sim_fail("request %llu was answered %u times", r->id,
				 r->answers);
		dev->requests = r->next;
		kfree(r);
	}
}

static void end_dev(struct vendor_dev *dev)
{
	for (unsigned int i = 0; i < VENDOR_PASIDS; i++)
		if (dev->entries[i].domain)
			sim_fail("PASID %u is still attached", dev->entries[i].pasid);
	for (unsigned int i = 0; i < VENDOR_CACHED; i++)
		if (dev->cached[i].table && !dev->keeps_atc)
			sim_fail("a translation outlives its PASID entry");
	SIM_CHECK(!dev->alone.attachments);
	if (!dev->left)
		vendor_leave(dev);
	end_requests(dev);
	kfree(dev);
}

void vendor_end(void)
{
	struct vendor_iommu *iommu;
	struct vendor_dev *dev;

	sim_hold_rcu(false);
	for (iommu = iommus; iommu; iommu = iommu->next)
		for (dev = iommu->devs; dev; dev = dev->next)
			if (dev->on_queue)
				vendor_disable(dev);
	sim_settle();
	while (iommus) {
		iommu = iommus;
		iopf_queue_free(iommu->queue);
		while (iommu->devs) {
			dev = iommu->devs;
			iommu->devs = dev->next;
			end_dev(dev);
		}
		sim_settle();
		iommus = iommu->next;
		kfree(iommu);
	}
	SIM_EQ(vendor_module.refs, 0);
	vendor_hooks = (struct vendor_hooks){};
	nr_requests = 0;
}
