// SPDX-License-Identifier: GPL-2.0-only
/*
 * Common parts of the suites of the I/O page fault queue
 *
 * Bonds are undone at exit, when nothing waits any more, and before the fixture looks for what is
 * left.
 */
#include <linux/fcntl.h>
#include <linux/mmzone.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/unistd.h>
#include <linux/userfaultfd.h>

#include "iopf_kunit.h"

/* The running test, and what is its */
static struct kunit *iopf_test;
static LIST_HEAD(iopf_bonds);

/* Bonds */

struct iopf_bond *iopf_bind(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc)
{
	struct iopf_bond *bond = kunit_kzalloc(test, sizeof(*bond), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, bond);
	bond->test = test;
	bond->ep = ep;
	bond->proc = proc ?: sva_proc_start(test);
	bond->sva = sva_bind(test, ep, bond->proc);
	bond->pasid = iommu_sva_get_pasid(bond->sva);
	list_add(&bond->node, &iopf_bonds);
	return bond;
}

void iopf_unbind(struct iopf_bond *bond)
{
	struct iommu_sva *sva = xchg(&bond->sva, NULL);

	if (sva)
		iommu_sva_unbind_device(sva);
}

/* Page requests */

static void iopf_send(struct iopf_bond *bond, u32 grpid, unsigned long addr, u32 perm, u32 flags)
{
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | flags,
		.pasid = bond->pasid,
		.grpid = grpid,
		.perm = perm,
		.addr = addr & PAGE_MASK,
	};

	KUNIT_ASSERT_EQ(bond->test, soft_pri_send(bond->ep, &prm), 0);
}

void iopf_partial(struct iopf_bond *bond, u32 grpid, unsigned long addr, u32 perm)
{
	iopf_send(bond, grpid, addr, perm, 0);
}

void iopf_last(struct iopf_bond *bond, u32 grpid, unsigned long addr, u32 perm)
{
	iopf_send(bond, grpid, addr, perm, IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE);
}

int iopf_answer(struct iopf_bond *bond, u32 grpid)
{
	return soft_pri_wait(bond->ep, bond->pasid, grpid, IOPF_LONG_MS);
}

int iopf_ask(struct iopf_bond *bond, u32 grpid, unsigned long addr, u32 perm)
{
	iopf_last(bond, grpid, addr, perm);
	return iopf_answer(bond, grpid);
}

static int iopf_write_word(struct iopf_bond *bond, unsigned long addr)
{
	u64 word = 1;

	return soft_dma_try(bond->ep, bond->pasid, addr, true, &word, sizeof(word));
}

void iopf_pipeline(struct iopf_bond *bond, unsigned long addr, unsigned long pages, unsigned int nr)
{
	bool asked[IOPF_PIPELINE_MAX] = { };

	for (unsigned long i = 0; i < pages + nr; i++) {
		unsigned int slot = i % nr;

		if (asked[slot]) {
			KUNIT_ASSERT_EQ(bond->test, iopf_answer(bond, slot),
					IOMMU_PAGE_RESP_SUCCESS);
			KUNIT_ASSERT_EQ(bond->test,
					iopf_write_word(bond, addr + (i - nr) * PAGE_SIZE), 0);
		}
		asked[slot] = i < pages && iopf_write_word(bond, addr + i * PAGE_SIZE);
		if (asked[slot])
			iopf_last(bond, slot, addr + i * PAGE_SIZE, IOPF_RW);
	}
}

void iopf_ask_random(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid, unsigned long addr,
		     unsigned int pages, struct rnd_state *random)
{
	unsigned int nr = 1 + prandom_u32_state(random) % 3;
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		.pasid = pasid,
		.grpid = grpid,
		.perm = prandom_u32_state(random) % 2 ? IOPF_READ : IOPF_RW,
	};

	for (unsigned int i = 1; i <= nr; i++) {
		prm.addr = addr + prandom_u32_state(random) % (pages + 1) * PAGE_SIZE;
		if (i == nr)
			prm.flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
		/* Without a credit it is for another time, but a group must be closed. */
		while (soft_pri_send(ep, &prm) == -EBUSY && i == nr && i > 1)
			schedule_timeout_idle(1);
	}
}

bool iopf_is_answered(struct iopf_bond *bond, u32 grpid)
{
	return soft_pri_wait(bond->ep, bond->pasid, grpid, IOPF_SHORT_MS) != -ETIMEDOUT;
}

u64 iopf_responses(struct soft_iommu *iommu)
{
	struct soft_iommu_stats stats;
	u64 sum;

	soft_iommu_read_stats(iommu, &stats);
	sum = stats.auto_responses;
	for (int i = 0; i < ARRAY_SIZE(stats.responses); i++)
		sum += stats.responses[i];
	return sum;
}

struct sva_job *iopf_unbind_job(struct iopf_bond *bond)
{
	return sva_job_unbind(bond->test, xchg(&bond->sva, NULL));
}

void iopf_await(struct kunit *test, struct sva_gate *gate, unsigned int faults)
{
	KUNIT_ASSERT_TRUE_MSG(test, sva_gate_reached(gate, faults), "fewer than %u faults", faults);
}

/* Keepers */

static int keeper_handler(struct iopf_group *group)
{
	struct iopf_keeper *keeper = group->attach_handle->domain->fault_data;

	scoped_guard(spinlock, &keeper->lock) {
		list_add_tail(&group->node, &keeper->groups);
		keeper->nr++;
	}
	wake_up_all(&keeper->wait);
	return 0;
}

struct iopf_keeper *iopf_keep(struct iopf_bond *bond)
{
	struct iopf_keeper *keeper = kunit_kzalloc(bond->test, sizeof(*keeper), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(bond->test, keeper);
	spin_lock_init(&keeper->lock);
	INIT_LIST_HEAD(&keeper->groups);
	init_waitqueue_head(&keeper->wait);
	bond->sva->handle.domain->fault_data = keeper;
	bond->sva->handle.domain->iopf_handler = keeper_handler;
	return keeper;
}

void iopf_keeper_await(struct kunit *test, struct iopf_keeper *keeper, unsigned int nr)
{
	long left = wait_event_timeout(keeper->wait, READ_ONCE(keeper->nr) >= nr,
				       msecs_to_jiffies(IOPF_LONG_MS));

	KUNIT_ASSERT_NE(test, left, 0);
	KUNIT_ASSERT_EQ(test, READ_ONCE(keeper->nr), nr);
}

struct iopf_group *iopf_keeper_take(struct iopf_keeper *keeper)
{
	struct iopf_group *group;

	guard(spinlock)(&keeper->lock);
	group = list_first_entry_or_null(&keeper->groups, struct iopf_group, node);
	if (group) {
		list_del_init(&group->node);
		keeper->nr--;
	}
	return group;
}

struct iopf_group *iopf_ask_keeper(struct iopf_bond *bond, struct iopf_keeper *keeper, u32 grpid)
{
	iopf_last(bond, grpid, 0, IOPF_READ);
	iopf_keeper_await(bond->test, keeper, 1);
	return iopf_keeper_take(keeper);
}

unsigned int iopf_keeper_finish(struct iopf_keeper *keeper, enum iommu_page_response_code code)
{
	struct iopf_group *group;
	unsigned int nr = 0;

	while ((group = iopf_keeper_take(keeper))) {
		iopf_group_response(group, code);
		iopf_free_group(group);
		nr++;
	}
	return nr;
}

/* Memory whose pages come from a userfaultfd */

void iopf_monitor_ioctl(struct iopf_monitor *m, unsigned int cmd, void *arg, size_t size)
{
	struct kunit *test = m->bond->test;

	KUNIT_ASSERT_EQ(test, sva_proc_write(m->bond->proc, m->scratch, arg, size), 0);
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(m->bond->proc, __NR_ioctl, m->fd, cmd, m->scratch,
					       0, 0, 0), 0);
}

void iopf_monitor_start(struct iopf_monitor *m, struct iopf_bond *bond, unsigned long addr,
			size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = addr, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	m->bond = bond;
	m->scratch = sva_proc_map(bond->proc, 2 * PAGE_SIZE);
	m->fd = sva_proc_syscall(bond->proc, __NR_userfaultfd, O_CLOEXEC | O_NONBLOCK, 0, 0, 0,
				 0, 0);
	KUNIT_ASSERT_GE(bond->test, m->fd, 0);
	iopf_monitor_ioctl(m, UFFDIO_API, &api, sizeof(api));
	iopf_monitor_ioctl(m, UFFDIO_REGISTER, &reg, sizeof(reg));
}

bool iopf_monitor_wait(struct iopf_monitor *m, struct uffd_msg *msg)
{
	unsigned long stop = jiffies + msecs_to_jiffies(IOPF_LONG_MS);
	struct sva_proc *proc = m->bond->proc;
	long ret;

	do {
		ret = sva_proc_syscall(proc, __NR_read, m->fd, m->scratch, sizeof(*msg), 0, 0, 0);
		if (ret == sizeof(*msg))
			return !sva_proc_read(proc, m->scratch, msg, sizeof(*msg));
		schedule_timeout_uninterruptible(1);
	} while (soft_pri_outstanding(m->bond->ep) && time_before(jiffies, stop));
	return false;
}

#if SVA_CORE
/* Resets and counts */

void iopf_begin_reset(struct soft_endpoint *ep)
{
	iopf_quiesce_device(soft_endpoint_dev(ep));
	soft_endpoint_begin_reset(ep);
}

void iopf_end_reset(struct soft_endpoint *ep)
{
	soft_endpoint_leave_reset(ep);
	iopf_resume_device(soft_endpoint_dev(ep));
	soft_endpoint_end_reset(ep);
}

static long quiesce_fn(void *dev)
{
	iopf_quiesce_device(dev);
	return 0;
}

struct sva_job *iopf_quiesce_job(struct kunit *test, struct soft_endpoint *ep)
{
	return sva_job(test, quiesce_fn, soft_endpoint_dev(ep));
}

static long resume_fn(void *dev)
{
	iopf_resume_device(dev);
	return 0;
}

struct sva_job *iopf_resume_job(struct kunit *test, struct soft_endpoint *ep)
{
	return sva_job(test, resume_fn, soft_endpoint_dev(ep));
}

u64 iopf_counted(struct soft_endpoint *ep, enum iopf_count what)
{
	u64 counts[IOPF_NR_COUNTS];

	if (!iopf_read_counts(soft_endpoint_dev(ep), counts))
		return counts[what];
	KUNIT_FAIL(iopf_test, "%s has no counts", dev_name(soft_endpoint_dev(ep)));
	return U64_MAX;
}
#endif

#ifdef CONFIG_MEMCG_V1
/* A memory cgroup of the old kind, which can be told to let processes wait rather than be killed */
struct old_memcg {
	char type[16];
	char options[16];
	char dir[32];
};

static const struct old_memcg old_memcg = { "cgroup", "memory", "/memcg" };

static void memcg_call(struct iopf_bond *bond, unsigned int nr, const char *sub, int flags)
{
	struct old_memcg m = old_memcg;
	unsigned long at;
	long ret;

	strlcat(m.dir, sub, sizeof(m.dir));
	at = sva_proc_pass(bond->proc, &m, sizeof(m));
	if (nr == __NR_mount)
		ret = sva_proc_syscall(bond->proc, nr, at, at + offsetof(struct old_memcg, dir), at,
				       0, at + offsetof(struct old_memcg, options), 0);
	else if (nr == __NR_umount2)
		ret = sva_proc_syscall(bond->proc, nr, at + offsetof(struct old_memcg, dir), 0, 0,
				       0, 0, 0);
	else
		ret = sva_proc_syscall(bond->proc, nr, AT_FDCWD,
				       at + offsetof(struct old_memcg, dir), flags, 0, 0, 0);
	KUNIT_EXPECT_TRUE_MSG(bond->test, !ret || ret == -EEXIST, "system call %u: %ld", nr, ret);
}

void iopf_memcg_enter(struct iopf_bond *bond, const char *procs)
{
	char pid[16];

	scnprintf(pid, sizeof(pid), "%d", task_pid_nr(sva_proc_task(bond->proc)));
	sva_sysfs_put(bond->test, procs, pid);
}

void iopf_memcg_make(struct iopf_bond *bond)
{
	memcg_call(bond, __NR_mkdirat, "", 0700);
	memcg_call(bond, __NR_mount, "", 0);
	memcg_call(bond, __NR_mkdirat, "/a", 0700);
}

void iopf_memcg_make_within(struct iopf_bond *bond, const char *sub)
{
	memcg_call(bond, __NR_mkdirat, sub, 0700);
}

void iopf_memcg_remove_within(struct iopf_bond *bond, const char *sub)
{
	memcg_call(bond, __NR_unlinkat, sub, AT_REMOVEDIR);
}

void iopf_memcg_remove(struct iopf_bond *bond)
{
	memcg_call(bond, __NR_unlinkat, "/a", AT_REMOVEDIR);
	memcg_call(bond, __NR_umount2, "", 0);
}
#endif

/* Memory that takes its time */

struct iopf_slow iopf_make_slow(struct kunit *test, unsigned int ep)
{
	struct sva_fixture *fixture = test->priv;
	struct iopf_slow s = {
		.bond = iopf_bind(test, fixture->ep[ep], NULL),
		.gate = sva_gate(test),
	};

	s.mem = sva_gate_map(s.gate, s.bond->proc, 16 * PAGE_SIZE);
	return s;
}

void iopf_ask_slow(struct iopf_slow *s, unsigned int nr)
{
	struct sva_fixture *fixture = s->bond->test->priv;

	for (unsigned int i = 0; i < nr; i++)
		iopf_last(s->bond, i, s->mem + i * PAGE_SIZE, IOPF_READ);
	iopf_await(s->bond->test, s->gate, 1);
	soft_iommu_sync_prq(fixture->iommu);
}

/* The fixture */

static void lower_watermark(void *data)
{
	struct zone *zone = data;

	zone->_watermark[WMARK_LOW] -= zone_managed_pages(zone);
}

void iopf_make_memory_scarce(struct kunit *test)
{
	struct zone *zone;

	for_each_populated_zone(zone) {
		zone->_watermark[WMARK_LOW] += zone_managed_pages(zone);
		KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, lower_watermark, zone), 0);
	}
}

int iopf_fixture_init(struct kunit *test)
{
	iopf_test = test;
	INIT_LIST_HEAD(&iopf_bonds);
	return sva_fixture_init(test);
}

void iopf_fixture_exit(struct kunit *test)
{
	struct iopf_bond *bond;

	sva_stage_clear(test);
	list_for_each_entry(bond, &iopf_bonds, node)
		iopf_unbind(bond);
	sva_fixture_exit(test);
}
