// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture on the software IOMMU: an actor's memory, and DMA whose every byte is verified
 *
 * A transaction is over when the next step begins, so the shadow knows each byte. One may be
 * refused only for a page that is out of reach, or because the first endpoint was reset, or because
 * the process has ended; then each byte of it is the old one or the new one.
 */
#include <linux/mman.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "sva_torture.h"

/* Memory, and what is known of it */

bool torture_has(const struct actor *a, unsigned int first, unsigned int nr, int prot)
{
	for (unsigned int i = first; i < first + nr; i++)
		if (a->prot[i] < 0 || (a->prot[i] & prot) != prot)
			return false;
	return true;
}

/* How many pages from @first on, at most @nr, are mapped, with one protection */
static unsigned int run_of(const struct actor *a, unsigned int first, unsigned int nr)
{
	unsigned int n;

	for (n = 0; n < nr && first + n < PAGES && a->prot[first + n] >= 0; n++)
		if (a->prot[first + n] != a->prot[first])
			break;
	return n;
}

static void set_prot(struct actor *a, unsigned int first, unsigned int nr, int prot)
{
	memset(&a->prot[first], prot, nr);
}

static void forget_bytes(struct actor *a, unsigned int first, unsigned int nr)
{
	memset(a->shadow + first * PAGE_SIZE, 0, nr * PAGE_SIZE);
}

void torture_check_page(struct actor *a, unsigned int page)
{
	int ret;

	if (!torture_has(a, page, 1, PROT_READ))
		return;
	ret = sva_proc_read(a->proc, a->base + page * PAGE_SIZE, a->buf, PAGE_SIZE);
	if (ret)
		complain(a, "page %u cannot be read: %d", page, ret);
	else if (memcmp(a->buf, a->shadow + page * PAGE_SIZE, PAGE_SIZE))
		complain(a, "page %u has other bytes", page);
	add(a->worker->t, BYTES, PAGE_SIZE);
}

/* DMA */

/* After a write that was not carried out as a whole: each byte is the old one, or the new one. */
static void adopt(struct actor *a, size_t at, size_t len)
{
	u8 *found = a->buf + MOST_BYTES;

	for (size_t done = 0, n; done < len; done += n) {
		unsigned int page = (at + done) / PAGE_SIZE;

		n = min(len - done, PAGE_SIZE - (at + done) % PAGE_SIZE);
		if (!torture_has(a, page, 1, PROT_READ | PROT_WRITE))
			continue;
		if (sva_proc_read(a->proc, a->base + at + done, found, n)) {
			complain(a, "page %u cannot be read", page);
			return;
		}
		for (size_t i = 0; i < n; i++)
			if (found[i] != a->shadow[at + done + i] && found[i] != a->buf[done + i])
				complain(a, "byte %zu is %#x, which nothing wrote", at + done + i,
					 found[i]);
		memcpy(a->shadow + at + done, found, n);
	}
}

/* An access that could be refused, and one that could not be */
static bool judge(struct actor *a, unsigned int ep, unsigned int resets, bool in_reach, int ret)
{
	struct torture *t = a->worker->t;

	add(t, TRANSACTIONS, 1);
	if (!ret && in_reach)
		return true;
	add(t, REFUSED, 1);
	if (!ep && ((resets & 1) || READ_ONCE(t->resets) != resets))
		return false;
	if (!ret)
		complain(a, "endpoint %u has access to what is out of its reach", ep);
	else if (in_reach || ret != -EFAULT)
		complain(a, "endpoint %u has no access: %d", ep, ret);
	return false;
}

/* The second actor leaves the worker's own endpoint to the first one. */
static unsigned int pick_ep(struct actor *a)
{
	return pick(a, SHARED + !a->nr);
}

static void dma_write(struct actor *a)
{
	unsigned int ep = pick_ep(a), resets = READ_ONCE(a->worker->t->resets);
	size_t len = 1 + pick(a, MOST_BYTES), at = pick(a, LEN - len);
	unsigned int first = at / PAGE_SIZE, nr = (at + len - 1) / PAGE_SIZE - first + 1;
	int ret;

	prandom_bytes_state(&a->random, a->buf, len);
	ret = soft_dma_write(a->worker->ep[ep], a->worker->pasid, a->base + at, a->buf, len);
	if (!judge(a, ep, resets, torture_has(a, first, nr, PROT_READ | PROT_WRITE), ret)) {
		adopt(a, at, len);
		return;
	}
	memcpy(a->shadow + at, a->buf, len);
	add(a->worker->t, BYTES, len);
}

static void dma_read(struct actor *a)
{
	unsigned int ep = pick_ep(a), resets = READ_ONCE(a->worker->t->resets);
	size_t len = 1 + pick(a, MOST_BYTES), at = pick(a, LEN - len);
	unsigned int first = at / PAGE_SIZE, nr = (at + len - 1) / PAGE_SIZE - first + 1;
	int ret;

	ret = soft_dma_read(a->worker->ep[ep], a->worker->pasid, a->base + at, a->buf, len);
	if (!judge(a, ep, resets, torture_has(a, first, nr, PROT_READ), ret))
		return;
	if (memcmp(a->buf, a->shadow + at, len))
		complain(a, "endpoint %u reads other bytes at %zu", ep, at);
	add(a->worker->t, BYTES, len);
}

static void dma_cmpxchg(struct actor *a)
{
	unsigned int ep = pick_ep(a), resets = READ_ONCE(a->worker->t->resets);
	size_t at = pick(a, LEN / sizeof(u64)) * sizeof(u64);
	u64 is, old, new = prandom_u32_state(&a->random);
	bool right = pick(a, 2);
	int ret;

	memcpy(&is, a->shadow + at, sizeof(is));
	old = right ? is : ~is;
	ret = soft_dma_cmpxchg(a->worker->ep[ep], a->worker->pasid, a->base + at, &old, new);
	if (!judge(a, ep, resets, torture_has(a, at / PAGE_SIZE, 1, PROT_READ | PROT_WRITE), ret)) {
		memcpy(a->buf, right ? &new : &is, sizeof(new));
		adopt(a, at, sizeof(new));
		return;
	}
	if (old != is)
		complain(a, "endpoint %u finds %#llx in the place of %#llx", ep, old, is);
	if (right)
		memcpy(a->shadow + at, &new, sizeof(new));
}

/* What the CPU does with the memory */

static void cpu_write(struct actor *a)
{
	unsigned int page = pick(a, PAGES);
	int ret;

	if (!torture_has(a, page, 1, PROT_READ | PROT_WRITE))
		return;
	/* KSM finds pages that are the same. */
	if (pick(a, 2))
		memset(a->buf, page % 4, PAGE_SIZE);
	else
		prandom_bytes_state(&a->random, a->buf, PAGE_SIZE);
	ret = sva_proc_write(a->proc, a->base + page * PAGE_SIZE, a->buf, PAGE_SIZE);
	if (ret)
		complain(a, "page %u cannot be written: %d", page, ret);
	memcpy(a->shadow + page * PAGE_SIZE, a->buf, PAGE_SIZE);
}

void torture_map(struct actor *a, unsigned int first, unsigned int nr)
{
	unsigned long addr = a->base + first * PAGE_SIZE, ret;

	ret = sva_proc_mmap(a->proc, addr, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
	if (ret != addr)
		complain(a, "mmap: %ld", (long)ret);
	set_prot(a, first, nr, PROT_READ | PROT_WRITE);
	forget_bytes(a, first, nr);
}

static void unmap(struct actor *a, unsigned int first, unsigned int nr)
{
	long ret = sva_proc_munmap(a->proc, a->base + first * PAGE_SIZE, nr * PAGE_SIZE);

	if (ret)
		complain(a, "munmap: %ld", ret);
	set_prot(a, first, nr, -1);
	forget_bytes(a, first, nr);
}

static void protect(struct actor *a, unsigned int first, unsigned int nr)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE };
	int prot = prots[pick(a, ARRAY_SIZE(prots))];
	long ret;

	ret = sva_proc_mprotect(a->proc, a->base + first * PAGE_SIZE, nr * PAGE_SIZE, prot);
	if (ret)
		complain(a, "mprotect: %ld", ret);
	set_prot(a, first, nr, prot);
}

/* To where nothing is */
static void move(struct actor *a, unsigned int first, unsigned int nr)
{
	unsigned int to = pick(a, PAGES - nr);
	unsigned long addr = a->base + to * PAGE_SIZE;
	long ret;

	for (unsigned int i = to; i < to + nr; i++)
		if (a->prot[i] >= 0)
			return;
	ret = sva_proc_mremap(a->proc, a->base + first * PAGE_SIZE, nr * PAGE_SIZE,
			      nr * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, addr);
	/* It was more than one mapping. */
	if (ret == -EFAULT)
		return;
	if (ret != addr)
		complain(a, "mremap: %ld", ret);
	memcpy(a->shadow + to * PAGE_SIZE, a->shadow + first * PAGE_SIZE, nr * PAGE_SIZE);
	set_prot(a, to, nr, a->prot[first]);
	set_prot(a, first, nr, -1);
	forget_bytes(a, first, nr);
}

static void drop(struct actor *a, unsigned int first, unsigned int nr)
{
	long ret = sva_proc_madvise(a->proc, a->base + first * PAGE_SIZE, nr * PAGE_SIZE,
				    MADV_DONTNEED);

	if (ret)
		complain(a, "MADV_DONTNEED: %ld", ret);
	forget_bytes(a, first, nr);
}

/* What leaves the bytes as they are, and may fail */
static void advise(struct actor *a, unsigned int first, unsigned int nr)
{
	static const int advice[] = {
		MADV_PAGEOUT, MADV_COLD, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE,
		MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_POPULATE_WRITE,
	};

	sva_proc_madvise(a->proc, a->base + first * PAGE_SIZE, nr * PAGE_SIZE,
			 advice[pick(a, ARRAY_SIZE(advice))]);
}

static void change(struct actor *a)
{
	unsigned int nr = 1 + pick(a, MOST_PAGES), first = pick(a, PAGES - nr);

	switch (pick(a, 8)) {
	case 0:
		unmap(a, first, nr);
		return;
	case 1:
		torture_map(a, first, nr);
		return;
	case 2:
		torture_check_page(a, first);
		return;
	}
	nr = run_of(a, first, nr);
	if (!nr)
		torture_map(a, first, 1);
	else if (!pick(a, 4))
		protect(a, first, nr);
	else if (!pick(a, 3))
		move(a, first, nr);
	else if (!pick(a, 2))
		drop(a, first, nr);
	else
		advise(a, first, nr);
}

/* DMA of an actor, or what the CPU does with its memory */
void torture_memory(struct actor *a)
{
	switch (pick(a, 8)) {
	case 0:
	case 1:
		dma_write(a);
		break;
	case 2:
	case 3:
		dma_read(a);
		break;
	case 4:
		dma_cmpxchg(a);
		break;
	case 5:
		cpu_write(a);
		break;
	default:
		change(a);
		break;
	}
}
