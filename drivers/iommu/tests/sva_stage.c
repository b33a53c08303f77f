// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holds, gates and jobs: see sva_stage.h
 *
 * Tests run one after another, so one list has all that belongs to the running one. Only the
 * test's own thread, and the exit function after it, touch the list. A gate is also used by threads
 * that fault on its file or unmap it, and so is counted.
 */
#include <kunit/test-bug.h>
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kmsg_dump.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "sva_stage.h"

/* Longer than whatever a test does meanwhile. */
#define STAGE_LIMIT	(4 * SVA_PATIENCE)

struct sva_hold {
	struct list_head node;
	struct device *dev;
	struct completion caught;
	struct completion go;
};

struct sva_gate {
	struct list_head node;
	struct kunit *test;
	struct kref users;
	struct file *file;
	struct page *page;
	struct completion open;
	struct completion may_unmap;
	wait_queue_head_t wait;
	atomic_t faults;
	atomic_t vmas;
	bool unmapped;
	bool released;
	bool killable;
	void (*on_release)(void *arg);
	void *arg;
	void (*on_fault)(unsigned long index, void *arg);
	void *fault_arg;
};

struct sva_job {
	struct list_head node;
	struct task_struct *task;
	bool begun;
	struct completion done;
	long (*fn)(void *arg);
	void *arg;
	long ret;
};

static LIST_HEAD(stage_holds);
static LIST_HEAD(stage_gates);
static LIST_HEAD(stage_jobs);

/* Holds */

static int hold_hook(const struct soft_iommu_event *event, void *data)
{
	struct sva_hold *hold = data;

	if ((hold->dev && hold->dev != event->dev) || completion_done(&hold->go))
		return 0;
	complete_all(&hold->caught);
	wait_for_completion_timeout(&hold->go, STAGE_LIMIT);
	return 0;
}

struct sva_hold *sva_hold(struct kunit *test, struct soft_iommu *iommu, enum soft_iommu_point point,
			  struct device *dev)
{
	struct sva_hold *hold = kunit_kzalloc(test, sizeof(*hold), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, hold);
	hold->dev = dev;
	init_completion(&hold->caught);
	init_completion(&hold->go);
	list_add(&hold->node, &stage_holds);
	soft_iommu_set_hook(iommu, point, hold_hook, hold);
	return hold;
}

bool sva_hold_caught(struct sva_hold *hold)
{
	return wait_for_completion_timeout(&hold->caught, SVA_PATIENCE);
}

void sva_hold_release(struct sva_hold *hold)
{
	complete_all(&hold->go);
}

/* Gates */

static void gate_free(struct kref *users)
{
	struct sva_gate *gate = container_of(users, struct sva_gate, users);

	put_page(gate->page);
	kfree(gate);
}

static void gate_put(struct sva_gate *gate)
{
	kref_put(&gate->users, gate_free);
}

static vm_fault_t gate_fault(struct vm_fault *vmf)
{
	struct sva_gate *gate = vmf->vma->vm_private_data;
	bool again;

	if (gate->on_fault)
		gate->on_fault(vmf->pgoff, gate->fault_arg);
	/* As a file system does: no lock is held across I/O if the caller can try again. */
	again = !completion_done(&gate->open) && fault_flag_allow_retry_first(vmf->flags) &&
		!(vmf->flags & FAULT_FLAG_RETRY_NOWAIT);
	kref_get(&gate->users);
	if (again)
		release_fault_lock(vmf);
	/* A test that sees the fault counted may rely on the lock being free. */
	atomic_inc(&gate->faults);
	wake_up_all(&gate->wait);
	if (READ_ONCE(gate->killable))
		wait_for_completion_killable_timeout(&gate->open, STAGE_LIMIT);
	else
		wait_for_completion_timeout(&gate->open, STAGE_LIMIT);
	gate_put(gate);
	if (again)
		return VM_FAULT_RETRY;
	get_page(gate->page);
	vmf->page = gate->page;
	return 0;
}

static void gate_vma_open(struct vm_area_struct *vma)
{
	struct sva_gate *gate = vma->vm_private_data;

	atomic_inc(&gate->vmas);
}

static void gate_vma_close(struct vm_area_struct *vma)
{
	struct sva_gate *gate = vma->vm_private_data;

	if (!atomic_dec_and_test(&gate->vmas))
		return;
	WRITE_ONCE(gate->unmapped, true);
	wake_up_all(&gate->wait);
	wait_for_completion_timeout(&gate->may_unmap, STAGE_LIMIT);
}

static const struct vm_operations_struct gate_vm_ops = {
	.open = gate_vma_open,
	.close = gate_vma_close,
	.fault = gate_fault,
};

static int gate_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_private_data = file->private_data;
	vma->vm_ops = &gate_vm_ops;
	gate_vma_open(vma);
	return 0;
}

static int gate_release(struct inode *inode, struct file *file)
{
	struct sva_gate *gate = file->private_data;

	if (gate->on_release)
		gate->on_release(gate->arg);
	WRITE_ONCE(gate->released, true);
	wake_up_all(&gate->wait);
	gate_put(gate);
	return 0;
}

static const struct file_operations gate_fops = {
	.mmap = gate_mmap,
	.release = gate_release,
};

struct sva_gate *sva_gate(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	struct sva_gate *gate;
	struct file *file;

	KUNIT_ASSERT_NOT_NULL(test, page);
	gate = kzalloc(sizeof(*gate), GFP_KERNEL);
	if (!gate) {
		__free_page(page);
		KUNIT_FAIL_AND_ABORT(test, "no memory for the gate");
	}
	gate->page = page;
	gate->test = test;
	kref_init(&gate->users);
	init_completion(&gate->open);
	init_completion(&gate->may_unmap);
	complete_all(&gate->may_unmap);
	init_waitqueue_head(&gate->wait);
	list_add(&gate->node, &stage_gates);

	file = anon_inode_getfile("sva-gate", &gate_fops, gate, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	gate->file = file;
	kref_get(&gate->users);
	return gate;
}

struct gate_mapping {
	struct sva_gate *gate;
	size_t len;
};

static long gate_do_map(void *arg)
{
	struct gate_mapping *map = arg;

	return vm_mmap(map->gate->file, 0, map->len, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
}

unsigned long sva_gate_map(struct sva_gate *gate, struct sva_proc *proc, size_t len)
{
	struct gate_mapping map = { .gate = gate, .len = len };
	long addr = sva_proc_call(proc, gate_do_map, &map);

	KUNIT_ASSERT_GT(gate->test, addr, 0L);
	return addr;
}

void sva_gate_forget_file(struct sva_gate *gate)
{
	struct file *file = gate->file;

	gate->file = NULL;
	if (file)
		fput(file);
}

unsigned int sva_gate_faults(struct sva_gate *gate)
{
	return atomic_read(&gate->faults);
}

bool sva_gate_reached(struct sva_gate *gate, unsigned int nr)
{
	return wait_event_timeout(gate->wait, sva_gate_faults(gate) >= nr, SVA_PATIENCE);
}

void sva_gate_open(struct sva_gate *gate)
{
	complete_all(&gate->open);
}

void sva_gate_let_killed_go(struct sva_gate *gate)
{
	WRITE_ONCE(gate->killable, true);
}

void sva_gate_hold_unmap(struct sva_gate *gate)
{
	reinit_completion(&gate->may_unmap);
}

void sva_gate_allow_unmap(struct sva_gate *gate)
{
	complete_all(&gate->may_unmap);
}

bool sva_gate_is_unmapped(struct sva_gate *gate)
{
	return READ_ONCE(gate->unmapped);
}

bool sva_gate_unmapped(struct sva_gate *gate)
{
	return wait_event_timeout(gate->wait, sva_gate_is_unmapped(gate), SVA_PATIENCE);
}

bool sva_gate_file_released(struct sva_gate *gate)
{
	return wait_event_timeout(gate->wait, READ_ONCE(gate->released), SVA_PATIENCE);
}

void sva_gate_on_fault(struct sva_gate *gate, void (*fn)(unsigned long index, void *arg),
		       void *arg)
{
	gate->on_fault = fn;
	gate->fault_arg = arg;
}

void sva_gate_on_release(struct sva_gate *gate, void (*fn)(void *arg), void *arg)
{
	gate->on_release = fn;
	gate->arg = arg;
}

/* Jobs */

static int job_main(void *arg)
{
	struct sva_job *job = arg;

	WRITE_ONCE(job->begun, true);
	job->ret = job->fn(job->arg);
	complete_all(&job->done);
	return 0;
}

struct sva_job *sva_job(struct kunit *test, long (*fn)(void *arg), void *arg)
{
	struct sva_job *job = kunit_kzalloc(test, sizeof(*job), GFP_KERNEL);
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, job);
	init_completion(&job->done);
	job->fn = fn;
	job->arg = arg;
	task = kthread_create(job_main, job, "sva-job");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	job->task = get_task_struct(task);
	list_add(&job->node, &stage_jobs);
	wake_up_process(task);
	return job;
}

bool sva_job_ends(struct sva_job *job)
{
	return wait_for_completion_timeout(&job->done, SVA_PATIENCE);
}

/* Before it begins, a job sleeps for another reason. */
static bool job_sleeps(struct sva_job *job)
{
	return READ_ONCE(job->begun) && !task_is_running(job->task);
}

bool sva_job_waits(struct sva_job *job)
{
	return sva_becomes(completion_done(&job->done) || job_sleeps(job)) &&
	       !wait_for_completion_timeout(&job->done, HZ / 20);
}

long sva_job_wait(struct sva_job *job)
{
	wait_for_completion(&job->done);
	return job->ret;
}

static long job_exit(void *arg)
{
	sva_proc_exit(arg);
	return 0;
}

struct sva_job *sva_job_exit(struct kunit *test, struct sva_proc *proc)
{
	return sva_job(test, job_exit, proc);
}

static long job_kill(void *arg)
{
	sva_proc_kill(arg);
	return 0;
}

struct sva_job *sva_job_kill(struct kunit *test, struct sva_proc *proc)
{
	return sva_job(test, job_kill, proc);
}

static long job_unbind(void *arg)
{
	iommu_sva_unbind_device(arg);
	return 0;
}

struct sva_job *sva_job_unbind(struct kunit *test, struct iommu_sva *sva)
{
	return sva_job(test, job_unbind, sva);
}

struct visit {
	struct device *dev;
	struct mm_struct *mm;
};

static long job_visit(void *arg)
{
	struct visit *visit = arg;
	struct iommu_sva *sva = iommu_sva_bind_device(visit->dev, visit->mm);

	if (IS_ERR(sva))
		return PTR_ERR(sva);
	iommu_sva_unbind_device(sva);
	return 0;
}

struct sva_job *sva_job_visit(struct kunit *test, struct soft_endpoint *ep, struct sva_proc *proc)
{
	struct visit *visit = kunit_kzalloc(test, sizeof(*visit), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, visit);
	visit->dev = soft_endpoint_dev(ep);
	visit->mm = sva_proc_mm(proc);
	return sva_job(test, job_visit, visit);
}

void sva_stage_clear(struct kunit *test)
{
	struct sva_hold *hold;
	struct sva_gate *gate, *next;
	struct sva_job *job;

	list_for_each_entry(hold, &stage_holds, node)
		sva_hold_release(hold);
	list_for_each_entry(gate, &stage_gates, node) {
		sva_gate_open(gate);
		sva_gate_allow_unmap(gate);
	}
	list_for_each_entry(job, &stage_jobs, node) {
		kthread_stop(job->task);
		put_task_struct(job->task);
	}
	INIT_LIST_HEAD(&stage_holds);
	INIT_LIST_HEAD(&stage_jobs);
	list_for_each_entry_safe(gate, next, &stage_gates, node) {
		list_del(&gate->node);
		sva_gate_forget_file(gate);
		gate_put(gate);
	}
}

void sva_stage_exit(struct kunit *test)
{
	sva_stage_clear(test);
	sva_fixture_exit(test);
}

/* Hooks that count */

static int count_hook(const struct soft_iommu_event *event, void *data)
{
	struct sva_count *count = data;

	if (count->dev && count->dev != event->dev)
		return 0;
	return atomic_inc_return(&count->calls) == count->fail_at ? count->error : 0;
}

struct sva_count *sva_count(struct kunit *test, struct soft_iommu *iommu,
			    enum soft_iommu_point point, struct device *dev)
{
	struct sva_count *count = kunit_kzalloc(test, sizeof(*count), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, count);
	count->dev = dev;
	soft_iommu_set_hook(iommu, point, count_hook, count);
	return count;
}

int sva_counted(struct sva_count *count)
{
	return atomic_read(&count->calls);
}

/* Scenes */

void sva_proc_map_at(struct sva_proc *proc, unsigned long addr, size_t len)
{
	unsigned long got = sva_proc_mmap(proc, addr, len, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);

	KUNIT_ASSERT_EQ(kunit_get_current_test(), got, addr);
}

struct fill {
	unsigned long addr;
	const u64 *values;
	unsigned int pages;
};

static long do_fill(void *arg)
{
	const struct fill *fill = arg;

	for (unsigned int i = 0; i < fill->pages; i++)
		if (put_user(fill->values[i], (u64 __user *)(fill->addr + i * PAGE_SIZE)))
			return -EFAULT;
	return 0;
}

void sva_fill(struct kunit *test, struct sva_proc *proc, unsigned long addr, const u64 *values,
	      unsigned int pages)
{
	struct fill fill = { .addr = addr, .values = values, .pages = pages };

	KUNIT_ASSERT_EQ(test, sva_proc_call(proc, do_fill, &fill), 0L);
}

void sva_poke(struct kunit *test, struct sva_proc *proc, unsigned long addr, u64 value)
{
	sva_fill(test, proc, addr, &value, 1);
}

struct sva_scene sva_scene(struct kunit *test, struct soft_endpoint *ep, unsigned int pages)
{
	struct sva_scene scene = { .proc = sva_proc_start(test) };
	u64 *marks = kunit_kcalloc(test, pages, sizeof(*marks), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, marks);
	for (unsigned int i = 0; i < pages; i++)
		marks[i] = sva_mark(i);
	scene.addr = sva_proc_map(scene.proc, pages * PAGE_SIZE);
	sva_fill(test, scene.proc, scene.addr, marks, pages);
	scene.sva = sva_bind(test, ep, scene.proc);
	scene.pasid = iommu_sva_get_pasid(scene.sva);
	return scene;
}

int sva_ask(struct soft_endpoint *ep, u32 pasid, unsigned long addr, u32 perm, u32 grpid)
{
	const struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
		.pasid = pasid,
		.grpid = grpid,
		.perm = perm,
		.addr = addr & PAGE_MASK,
	};

	return soft_pri_send(ep, &prm);
}

u64 sva_dma_get(struct soft_endpoint *ep, u32 pasid, unsigned long addr)
{
	u64 value;
	int ret = soft_dma_read(ep, pasid, addr, &value, sizeof(value));

	return ret ?: value;
}

u64 sva_cpu_get(struct sva_proc *proc, unsigned long addr)
{
	u64 value;
	int ret = sva_proc_read(proc, addr, &value, sizeof(value));

	return ret ?: value;
}

bool sva_dma_refused(struct soft_endpoint *ep, u32 pasid, unsigned long addr)
{
	u64 value = 0;

	return soft_dma_try(ep, pasid, addr, false, &value, sizeof(value)) == -EFAULT &&
	       soft_dma_try(ep, pasid, addr, true, &value, sizeof(value)) == -EFAULT &&
	       soft_dma_read(ep, pasid, addr, &value, sizeof(value)) == -EFAULT &&
	       soft_dma_write(ep, pasid, addr, &value, sizeof(value)) == -EFAULT && !value;
}

/* Parts */

const void *sva_gen_parts(const void *prev, char *desc, unsigned int nr, unsigned int part,
			  const char *unit)
{
	uintptr_t first = prev ? (uintptr_t)prev - 1 + part : 0;

	if (first >= nr)
		return NULL;
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "from %s %lu", unit, first);
	return (void *)(first + 1);
}

/* The log */

unsigned int sva_log_lines(struct kunit *test, struct device *dev)
{
	const size_t size = 1024;
	char *line = kunit_kzalloc(test, size, GFP_KERNEL);
	struct kmsg_dump_iter iter;
	unsigned int lines = 0;
	size_t len;

	KUNIT_ASSERT_NOT_NULL(test, line);
	kmsg_dump_rewind(&iter);
	while (kmsg_dump_get_line(&iter, false, line, size - 1, &len)) {
		line[len] = '\0';
		if (strstr(line, dev_name(dev)))
			lines++;
	}
	kunit_kfree(test, line);
	return lines;
}

#if SVA_CORE
/* Drivers */

struct sva_driver *sva_driver(struct kunit *test, struct soft_endpoint *ep)
{
	struct iommu_device *iommu = soft_endpoint_dev(ep)->iommu->iommu_dev;
	struct sva_driver *drv = kunit_kzalloc(test, sizeof(*drv), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, drv);
	drv->ops = *iommu->ops;
	drv->sva_ops = *iommu->ops->sva_ops;
	drv->ops.sva_ops = &drv->sva_ops;
	/* It goes after the IOMMU, which the fixture's exit takes away. */
	iommu->ops = &drv->ops;
	return drv;
}
#endif

/* PASIDs */

void sva_quarantine(struct kunit *test, unsigned int ms)
{
	char value[16];

	scnprintf(value, sizeof(value), "%u", ms);
	if (SVA_CORE)
		sva_sysfs_set(test, "module/iommu_sva/parameters/quarantine_ms", value);
}

unsigned int sva_take_pasids(struct device *dev, ioasid_t *pasids, unsigned int max)
{
	unsigned int nr;

	for (nr = 0; nr < max; nr++) {
		pasids[nr] = iommu_alloc_global_pasid(dev);
		if (pasids[nr] == IOMMU_PASID_INVALID)
			break;
	}
	return nr;
}

void sva_give_pasids(const ioasid_t *pasids, unsigned int nr)
{
	while (nr--)
		iommu_free_global_pasid(pasids[nr]);
}

bool sva_can_have_pasid(struct soft_endpoint *ep, ioasid_t pasid)
{
	ioasid_t pasids[64];
	unsigned int nr = sva_take_pasids(soft_endpoint_dev(ep), pasids, ARRAY_SIZE(pasids));
	bool found = false;

	for (unsigned int i = 0; i < nr; i++)
		found |= pasids[i] == pasid;
	sva_give_pasids(pasids, nr);
	return found;
}

bool sva_pasids_free(struct kunit *test, struct soft_endpoint *ep, unsigned int nr)
{
	const unsigned int max = 4096;
	ioasid_t *pasids = kunit_kcalloc(test, max, sizeof(*pasids), GFP_KERNEL);
	unsigned int there;

	KUNIT_ASSERT_NOT_NULL(test, pasids);
	/* An mm that has exited may keep its PASID until the last lazy reference goes. */
	return sva_becomes(({
		there = sva_take_pasids(soft_endpoint_dev(ep), pasids, max);
		sva_give_pasids(pasids, there);
		there == nr;
	}));
}
