// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: translation, and the DMA engine of the endpoints
 *
 * A transaction is a chunk of bytes within a page. From its look-up to its last byte it is a reader
 * of soft_iommu.traffic: an invalidation waits for it. Its way:
 *
 *	ATC ---miss---> translation request: PASID entry, IOTLB ---miss---> walk
 *
 * The engine uses what a cache gives, unchecked, as hardware would; then it looks at the page
 * frame. If that has no references, or is now a page table or a slab of the kernel, it was freed
 * and is still used: that is a violation, and the engine moves no byte.
 */
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "soft-priv.h"

/**
 * struct soft_dma - a transfer
 * @ep: the endpoint
 * @pasid: of the process
 * @addr: where, now
 * @buf: the device's memory, now
 * @len: what is left
 * @write: into the process's memory
 * @cmpxchg: @buf is a u64[2]: what was there, and what shall be
 * @no_ats: by untranslated requests, past the ATC
 * @epoch: of resets, at the beginning
 */
struct soft_dma {
	struct soft_endpoint *ep;
	ioasid_t pasid;
	unsigned long addr;
	void *buf;
	size_t len;
	bool write;
	bool cmpxchg;
	bool no_ats;
	unsigned int epoch;
};

static bool soft_grants(const struct soft_line *line, unsigned int perm)
{
	return (line->perm & perm) == perm;
}

/*
 * The IOMMU translates, out of its caches or by a walk. -EFAULT if the access is not allowed,
 * -ENXIO if the PASID has no entry.
 */
static int soft_translate(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr,
			  unsigned int perm, struct soft_line *line)
{
	struct soft_pasid_entry made __uninitialized, *entry;
	struct soft_iommu *iommu = ep->iommu;
	int ret;

	lockdep_assert_held(&iommu->traffic);

	soft_count(iommu, translations);
	entry = soft_find_pasid(ep, pasid, &made);
	if (!entry)
		return -ENXIO;
	if (soft_cache_find(iommu->iotlb, pasid, addr, line) && soft_grants(line, perm)) {
		soft_count(iommu, iotlb_hits);
		return 0;
	}
	ret = soft_walk(iommu, entry, pasid, addr, perm, line);
	if (!ret)
		soft_cache_add(iommu->iotlb, line);
	return ret;
}

/* A translation request of the endpoint; what it is granted stays in the ATC. */
static int soft_ats(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr,
		    unsigned int perm, struct soft_line *line)
{
	int ret;

	soft_count(ep->iommu, ats_requests);
	ret = soft_translate(ep, pasid, addr, perm, line);
	if (!ret)
		soft_cache_add(ep->atc, line);
	return ret;
}

static int soft_look_up(const struct soft_dma *dma, struct soft_line *line)
{
	unsigned int perm = dma->write ? SOFT_RW : IOMMU_FAULT_PERM_READ;

	if (dma->no_ats || !dma->ep->has_ats)
		return soft_translate(dma->ep, dma->pasid, dma->addr, perm, line);
	if (soft_cache_find(dma->ep->atc, dma->pasid, dma->addr, line) && soft_grants(line, perm)) {
		soft_count(dma->ep->iommu, atc_hits);
		return 0;
	}
	return soft_ats(dma->ep, dma->pasid, dma->addr, perm, line);
}

static bool soft_page_is_ours(const struct soft_dma *dma, u64 pfn, const char *when)
{
	const char *state = soft_page_state(pfn);

	if (!state)
		return true;
	soft_violation(dma->ep->iommu, "%s, PASID %u: %s at %#lx %s page %#llx, which is %s",
		       soft_endpoint_name(dma->ep), dma->pasid, dma->write ? "write" : "read",
		       dma->addr, when, pfn, state);
	return false;
}

static int soft_move(const struct soft_dma *dma, const struct soft_line *line, size_t len)
{
	u64 pfn = line->val + ((dma->addr - line->va) >> PAGE_SHIFT);
	u64 *operand = dma->buf;
	void *page, *mem;

	if (!soft_page_is_ours(dma, pfn, "goes to"))
		return -EFAULT;

	page = kmap_local_page(pfn_to_page(pfn));
	mem = page + offset_in_page(dma->addr);
	if (dma->cmpxchg)
		operand[0] = cmpxchg((u64 *)mem, operand[0], operand[1]);
	else if (dma->write)
		memcpy(mem, dma->buf, len);
	else
		memcpy(dma->buf, mem, len);
	kunmap_local(page);

	/* A thread that frees the page waits for this reader, unless the translation was stale. */
	return soft_page_is_ours(dma, pfn, "went to") ? 0 : -EFAULT;
}

static bool soft_dma_is_aborted(const struct soft_dma *dma)
{
	return READ_ONCE(dma->ep->unplugged) || soft_is_silent(dma->ep) ||
	       READ_ONCE(dma->ep->epoch) != dma->epoch;
}

static int soft_try_transact(const struct soft_dma *dma, size_t len)
{
	struct soft_line line;
	int ret;

	guard(read_lock)(&dma->ep->iommu->traffic);
	if (soft_dma_is_aborted(dma))
		return -ENODEV;
	ret = soft_look_up(dma, &line);
	return ret ?: soft_move(dma, &line, len);
}

/* One transaction. -EFAULT: not translated. */
static int soft_transact(const struct soft_dma *dma, size_t len)
{
	int ret = soft_try_transact(dma, len);

	/* With ATS the device learns by the completion that there is no translation. */
	if (ret == -ENXIO || (ret == -EFAULT && dma->no_ats))
		soft_report_abort(dma->ep, dma->pasid, dma->addr);
	return ret == -ENXIO ? -EFAULT : ret;
}

static unsigned int soft_epoch(struct soft_endpoint *ep)
{
	return READ_ONCE(ep->epoch);
}

static size_t soft_chunk(const struct soft_dma *dma)
{
	return min(dma->len, PAGE_SIZE - offset_in_page(dma->addr));
}

static void soft_dma_advance(struct soft_dma *dma, size_t len)
{
	dma->addr += len;
	dma->buf += len;
	dma->len -= len;
}

/* A transaction; what is missing is asked for, as long as the device is told to try again. */
static int soft_transact_pri(const struct soft_dma *dma, size_t len)
{
	unsigned int perm = IOMMU_FAULT_PERM_READ | (dma->write ? IOMMU_FAULT_PERM_WRITE : 0);
	unsigned long end = jiffies + msecs_to_jiffies(READ_ONCE(dma->ep->patience));
	int ret;

	for (;;) {
		ret = soft_transact(dma, len);
		if (ret != -EFAULT || !dma->ep->has_pri || !READ_ONCE(dma->ep->iopf))
			return ret;
		ret = soft_pri_ask(dma->ep, dma->pasid, dma->addr, perm, dma->epoch);
		if (ret)
			return ret;
		/* Success without the page again and again: the device must not ask for ever. */
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		cond_resched();
	}
}

static int soft_dma_run(struct soft_dma *dma, int (*transact)(const struct soft_dma *, size_t))
{
	int ret = 0;

	might_sleep();
	while (dma->len && !ret) {
		size_t len = soft_chunk(dma);

		ret = transact(dma, len);
		soft_dma_advance(dma, len);
		cond_resched();
	}
	return ret;
}

int soft_dma_read(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, void *buf,
		  size_t len)
{
	struct soft_dma dma = {
		.ep = ep, .pasid = pasid, .addr = addr, .buf = buf, .len = len,
		.epoch = soft_epoch(ep),
	};

	return soft_dma_run(&dma, soft_transact_pri);
}

int soft_dma_write(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, const void *buf,
		   size_t len)
{
	struct soft_dma dma = {
		.ep = ep, .pasid = pasid, .addr = addr, .buf = (void *)buf, .len = len,
		.write = true, .epoch = soft_epoch(ep),
	};

	return soft_dma_run(&dma, soft_transact_pri);
}

int soft_dma_cmpxchg(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, u64 *old,
		     u64 new)
{
	u64 operand[2] = { *old, new };
	struct soft_dma dma = {
		.ep = ep, .pasid = pasid, .addr = addr, .buf = operand, .len = sizeof(u64),
		.write = true, .cmpxchg = true, .epoch = soft_epoch(ep),
	};
	int ret;

	if (!IS_ALIGNED(addr, sizeof(u64)))
		return -EINVAL;
	ret = soft_dma_run(&dma, soft_transact_pri);
	if (!ret)
		*old = operand[0];
	return ret;
}

int soft_dma_try(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, bool write,
		 void *buf, size_t len)
{
	struct soft_dma dma = {
		.ep = ep, .pasid = pasid, .addr = addr, .buf = buf, .len = len, .write = write,
		.epoch = soft_epoch(ep),
	};

	return soft_dma_run(&dma, soft_transact);
}

int soft_dma_untranslated(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, bool write,
			  void *buf, size_t len)
{
	struct soft_dma dma = {
		.ep = ep, .pasid = pasid, .addr = addr, .buf = buf, .len = len, .write = write,
		.no_ats = true, .epoch = soft_epoch(ep),
	};

	return soft_dma_run(&dma, soft_transact);
}

unsigned int soft_ats_translate(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr,
				unsigned int perm)
{
	struct soft_line line;
	int ret = -ENODEV;

	might_sleep();
	scoped_guard(read_lock, &ep->iommu->traffic)
		if (ep->has_ats && !READ_ONCE(ep->unplugged) && !soft_is_silent(ep))
			ret = soft_ats(ep, pasid, addr, perm, &line);
	if (ret == -ENXIO)
		soft_report_abort(ep, pasid, addr);
	return ret ? 0 : line.perm;
}

/**
 * struct soft_storm - DMA in the background
 * @dma: the whole range
 * @done: accesses that ended well
 * @thread: does it
 */
struct soft_storm {
	struct soft_dma dma;
	u64 done;
	struct task_struct *thread;
};

static int soft_storm_thread(void *data)
{
	struct soft_storm *storm = data;
	struct soft_dma dma;
	size_t offset = 0;
	u64 word = 0;
	int ret;

	while (!kthread_should_stop()) {
		dma = storm->dma;
		dma.addr += offset;
		dma.buf = &word;
		dma.len = sizeof(word);
		/* A storm goes on after a reset. */
		dma.epoch = soft_epoch(dma.ep);
		ret = soft_dma_run(&dma, soft_transact_pri);
		WRITE_ONCE(storm->done, storm->done + !ret);
		word++;
		offset += PAGE_SIZE;
		if (offset >= storm->dma.len)
			offset = 0;
		/* What makes an access fail at once does so again; let others run. */
		if (ret)
			schedule_timeout_interruptible(1);
	}
	return 0;
}

int soft_storm_start(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, size_t len,
		     bool write)
{
	struct soft_storm *storm;

	if (ep->storm)
		return -EBUSY;
	storm = kzalloc(sizeof(*storm), GFP_KERNEL);
	if (!storm)
		return -ENOMEM;
	storm->dma = (struct soft_dma){
		.ep = ep, .pasid = pasid, .addr = addr & PAGE_MASK, .len = len, .write = write,
	};
	storm->thread = kthread_run(soft_storm_thread, storm, "soft-storm-%u", ep->rid);
	if (IS_ERR(storm->thread)) {
		int ret = PTR_ERR(storm->thread);

		kfree(storm);
		return ret;
	}
	ep->storm = storm;
	return 0;
}

u64 soft_storm_done(struct soft_endpoint *ep)
{
	return READ_ONCE(ep->storm->done);
}

u64 soft_storm_stop(struct soft_endpoint *ep)
{
	struct soft_storm *storm = ep->storm;
	u64 done;

	if (!storm)
		return 0;
	kthread_stop(storm->thread);
	done = storm->done;
	ep->storm = NULL;
	kfree(storm);
	return done;
}

void soft_endpoint_patience(struct soft_endpoint *ep, unsigned int ms)
{
	WRITE_ONCE(ep->patience, ms);
}
