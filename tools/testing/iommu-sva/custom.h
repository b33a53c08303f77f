/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shims, third kind: functions of the kernel, with bookkeeping and controls for the test. Tasks are
 * coroutines: exactly one runs, another one runs when it gives way, and the test decides the order
 * (see sim.h). So every schedule can be repeated, and none depends on chance.
 */
#ifndef _IOMMU_SVA_HARNESS_CUSTOM_H
#define _IOMMU_SVA_HARNESS_CUSTOM_H

#include <signal.h>
#include <sys/resource.h>

#include "dup.h"
#include "stub.h"

struct mm_struct;
struct mem_cgroup;
struct work_struct;
struct workqueue_struct;

/* Warnings: each must be announced by the test, sim_expect_warnings() */

void sim_warn(const char *what);
#define WARN_ON(condition) ({				\
	bool sim_bad = !!(condition);			\
							\
	if (sim_bad)					\
		sim_warn(#condition);			\
	sim_bad;					\
})
#define WARN_ON_ONCE(condition)	WARN_ON(condition)

/* Memory */

#define PAGE_SHIFT		12
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define GFP_KERNEL		1U
#define GFP_ATOMIC		2U
#define GFP_KERNEL_ACCOUNT	(GFP_KERNEL | 4U)

void *sim_alloc(size_t size, gfp_t gfp, const char *where);
void kfree(const void *p);

#define __init
/* Before main() */
#define core_initcall(fn) \
	static void __attribute__((constructor)) sim_initcall_##fn(void) \
	{ \
		fn(); \
	}

/* Objects come back in the state in which they were freed; what is freed can't be used. */
#define SLAB_ACCOUNT		1U
#define SLAB_PANIC		2U
struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
				     unsigned int flags, void (*construct)(void *object));
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *object);

#define kzalloc(size, gfp)	sim_alloc(size, gfp, __func__)
#define kvzalloc(size, gfp)	sim_alloc(size, gfp, __func__)
#define kcalloc(n, size, gfp)	sim_alloc((n) * (size), gfp, __func__)
#define kvfree(p)		kfree(p)
#define noinline	__attribute__((noinline))

/* Tasks */

#define SIM_HELD_MAX	16

typedef struct { unsigned long bits; } nodemask_t;
#define nodes_equal(a, b)	((a).bits == (b).bits)

struct mempolicy {
	nodemask_t nodes;
};

/**
 * struct task_struct - a coroutine, or only the owner of an mm
 * @name: for messages
 * @held: locks, in the order in which they were taken
 * @nr_held: how many
 * @spinning: how many of them are spinlocks; interrupt context counts as one
 * @rcu_depth: read-side sections; @rcu_since says since when
 * @srcu_depth: read-side sections of the MMU notifiers' SRCU; @srcu_since says since when
 * @nosched: no other task may run
 * @vma_locks: VMA locks that it holds
 * @work: what a worker works on
 * @memcg: set_active_memcg()
 * @in_memcg_oom: what task_in_memcg_oom() says
 * @memcg_nr_pages_over_high: charged to a group above memory.high, and not atoned for
 * @mempolicy: its memory policy
 * @mems_allowed: the nodes of its cpuset
 * @signal: of its process
 * @flags: PF_KTHREAD, as long as the test does not make it a thread of a process
 * @mm: of its process
 * @killed: it has been killed
 * @pending: a SIGKILL that only it has got
 * @cpu: on which it runs. Tasks and RCU callbacks stay there; for works see queue_work()
 * @flushes: of IOMMUs, which it has started and not waited for
 */
struct task_struct {
	char name[32];
	struct sim_lock *held[SIM_HELD_MAX];
	unsigned int nr_held;
	unsigned int spinning;
	unsigned int rcu_depth, srcu_depth;
	u64 rcu_since, srcu_since;
	unsigned int nosched;
	unsigned int vma_locks;
	struct work_struct *work;
	struct mem_cgroup *memcg;
	bool in_memcg_oom;
	unsigned int memcg_nr_pages_over_high;
	struct mempolicy *mempolicy;
	nodemask_t mems_allowed;
	struct signal_struct {
		unsigned int flags;
		struct rlimit rlim[RLIM_NLIMITS];
	} own_signal, *signal;
	unsigned int flags;
	struct mm_struct *mm;
	bool killed;
	struct { bool signal; } pending;
	int pid;
	unsigned int cpu;
	unsigned int flushes;
};

#define TASK_COMM_LEN		16
#define task_tgid_nr(task)	((task)->pid)
#define get_task_comm(buf, task)	strscpy(buf, (task)->name, sizeof(buf))

#define PF_KTHREAD		0x200000

#define SIGNAL_GROUP_EXIT	4

extern struct task_struct *current;

static inline bool fatal_signal_pending(const struct task_struct *task)
{
	return task->killed || task->pending.signal;
}

/* Another task waits for the CPU of the caller. */
extern bool sim_cpu_is_wanted;

static inline bool single_task_running(void)
{
	return !sim_cpu_is_wanted;
}

static inline unsigned int num_online_cpus(void)
{
	return 4;
}

/* Cpusets: a kernel thread may use all nodes. */
#define SIM_NODES		15UL
extern bool sim_cpusets;
#define cpuset_current_mems_allowed	(current->mems_allowed)

static inline bool cpusets_enabled(void)
{
	return sim_cpusets;
}

static inline void set_mems_allowed(nodemask_t mems)
{
	current->mems_allowed = mems;
}

static inline nodemask_t cpuset_mems_allowed(struct task_struct *task)
{
	return (nodemask_t){ SIM_NODES };
}

static inline unsigned long task_rlimit(const struct task_struct *task, int limit)
{
	return task->signal->rlim[limit].rlim_cur;
}

#define rlimit(limit)	task_rlimit(current, limit)

/* Of a worker, and of a process if the test does not say otherwise */
void sim_default_limits(struct task_struct *task);

#define CAP_IPC_LOCK	14
static inline bool has_capability_noaudit(const struct task_struct *task, int cap)
{
	return false;
}

void sim_might_sleep(const char *what);
#define might_sleep()	sim_might_sleep(__func__)
void cond_resched(void);

/* Locks: order is checked by class, which is the place of initialisation */

enum sim_lock_kind { SIM_SPINLOCK, SIM_MUTEX, SIM_RWSEM };

struct sim_lock {
	const char *class;
	enum sim_lock_kind kind;
	struct task_struct *owner;
	int readers;
	int waiters;
};

typedef struct { struct sim_lock l; } spinlock_t;

#define sigaddset(set, sig)	(*(set) |= (sig) == SIGKILL)
#define sigdelset(set, sig)	(*(set) &= (sig) != SIGKILL)

struct mutex { struct sim_lock l; };
struct rw_semaphore { struct sim_lock l; };

#define SIM_STRING_(x)	#x
#define SIM_STRING(x)	SIM_STRING_(x)
#define SIM_CLASS(x)	__FILE__ ":" SIM_STRING(__LINE__) " " x

#define spin_lock_init(lock)	\
	(*(lock) = (spinlock_t){ .l = { .class = SIM_CLASS(#lock), .kind = SIM_SPINLOCK } })
#define mutex_init(lock) \
	(*(lock) = (struct mutex){ .l = { .class = SIM_CLASS(#lock), .kind = SIM_MUTEX } })
#define init_rwsem(lock) \
	(*(lock) = (struct rw_semaphore){ .l = { .class = SIM_CLASS(#lock), .kind = SIM_RWSEM } })
#define DEFINE_MUTEX(name) \
	struct mutex name = { .l = { .class = SIM_CLASS(#name), .kind = SIM_MUTEX } }
#define DEFINE_SPINLOCK(name) \
	spinlock_t name = { .l = { .class = SIM_CLASS(#name), .kind = SIM_SPINLOCK } }

void sim_lock(struct sim_lock *lock, bool shared);
void sim_unlock(struct sim_lock *lock);
bool sim_lock_is_held(const struct sim_lock *lock);

#define lockdep_is_held(lock)	sim_lock_is_held(&(lock)->l)
#define lockdep_assert_held(lock) \
	do { \
		if (!lockdep_is_held(lock)) \
			sim_fail("%s() needs %s", __func__, #lock); \
	} while (0)

static inline void spin_lock(spinlock_t *lock)
{
	sim_lock(&lock->l, false);
}

static inline void spin_unlock(spinlock_t *lock)
{
	sim_unlock(&lock->l);
}

/* Guards task_struct.pending: one for all tasks */
extern struct sighand_struct {
	spinlock_t siglock;
} sim_sighand;

static inline struct sighand_struct *lock_task_sighand(struct task_struct *task,
						       unsigned long *flags)
{
	*flags = 0;
	spin_lock(&sim_sighand.siglock);
	return &sim_sighand;
}

static inline void unlock_task_sighand(struct task_struct *task, unsigned long *flags)
{
	spin_unlock(&sim_sighand.siglock);
}

static inline bool sim_has_owner(const spinlock_t *lock)
{
	return lock->l.owner;
}

static inline void mutex_lock(struct mutex *lock)
{
	sim_lock(&lock->l, false);
}

static inline void mutex_unlock(struct mutex *lock)
{
	sim_unlock(&lock->l);
}

static inline void mutex_destroy(struct mutex *lock)
{
	if (lock->l.owner)
		sim_fail("%s destroyed while held", lock->l.class);
}

void rcu_read_lock(void);
void rcu_read_unlock(void);
bool rcu_read_lock_held(void);

struct sim_guard_spinlock { spinlock_t *lock; };
struct sim_guard_mutex { struct mutex *lock; };
struct sim_guard_rcu { int unused; };

static inline struct sim_guard_spinlock sim_guard_spinlock(spinlock_t *lock)
{
	spin_lock(lock);
	return (struct sim_guard_spinlock){ lock };
}

static inline void sim_unguard_spinlock(struct sim_guard_spinlock *guard)
{
	spin_unlock(guard->lock);
}

#define sim_guard_spinlock_irqsave	sim_guard_spinlock
#define sim_unguard_spinlock_irqsave	sim_unguard_spinlock
#define sim_guard_spinlock_irq		sim_guard_spinlock
#define sim_unguard_spinlock_irq	sim_unguard_spinlock

static inline struct sim_guard_mutex sim_guard_mutex(struct mutex *lock)
{
	mutex_lock(lock);
	return (struct sim_guard_mutex){ lock };
}

static inline void sim_unguard_mutex(struct sim_guard_mutex *guard)
{
	mutex_unlock(guard->lock);
}

static inline struct sim_guard_rcu sim_guard_rcu(void)
{
	rcu_read_lock();
	return (struct sim_guard_rcu){ 0 };
}

static inline void sim_unguard_rcu(struct sim_guard_rcu *guard)
{
	(void)guard;
	rcu_read_unlock();
}

/* Without preemption a task is in a read-side section, too. */
#define sim_guard_preempt	sim_guard_rcu
#define sim_unguard_preempt	sim_unguard_rcu

/* Atomics */

typedef struct { int counter; } atomic_t;
typedef struct { long long counter; } atomic64_t;
typedef struct { int refs; } refcount_t;

static inline int atomic_read(const atomic_t *v)
{
	sim_point("atomic");
	return v->counter;
}

static inline void atomic_set(atomic_t *v, int n)
{
	sim_point("atomic");
	v->counter = n;
}

static inline bool atomic_add_unless(atomic_t *v, int n, int unless)
{
	sim_point("atomic");
	if (v->counter == unless)
		return false;
	v->counter += n;
	return true;
}

static inline int atomic_cmpxchg(atomic_t *v, int old, int new)
{
	int was;

	sim_point("atomic");
	was = v->counter;
	if (was == old)
		v->counter = new;
	return was;
}

static inline void atomic_add(int n, atomic_t *v)
{
	sim_point("atomic");
	v->counter += n;
}

static inline int atomic_fetch_inc(atomic_t *v)
{
	sim_point("atomic");
	return v->counter++;
}

static inline void atomic_inc(atomic_t *v)
{
	sim_point("atomic");
	v->counter++;
}

static inline void atomic_dec(atomic_t *v)
{
	sim_point("atomic");
	v->counter--;
}

static inline bool atomic_dec_and_test(atomic_t *v)
{
	sim_point("atomic");
	return !--v->counter;
}

static inline long long atomic64_read(const atomic64_t *v)
{
	return v->counter;
}

static inline void atomic64_inc(atomic64_t *v)
{
	v->counter++;
}

static inline void atomic64_add(long long n, atomic64_t *v)
{
	v->counter += n;
}

static inline void refcount_set(refcount_t *r, int n)
{
	r->refs = n;
}

static inline int refcount_read(const refcount_t *r)
{
	return r->refs;
}

static inline void refcount_inc(refcount_t *r)
{
	sim_point("refcount");
	if (r->refs <= 0)
		sim_fail("reference count taken from %d", r->refs);
	r->refs++;
}

static inline bool refcount_inc_not_zero(refcount_t *r)
{
	sim_point("refcount");
	if (r->refs < 0)
		sim_fail("reference count is %d", r->refs);
	return r->refs && r->refs++;
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	sim_point("refcount");
	if (r->refs <= 0)
		sim_fail("reference dropped at count %d", r->refs);
	return !--r->refs;
}

static inline bool refcount_dec_not_one(refcount_t *r)
{
	sim_point("refcount");
	if (r->refs <= 0)
		sim_fail("reference dropped at count %d", r->refs);
	if (r->refs == 1)
		return false;
	r->refs--;
	return true;
}

static inline bool refcount_sub_and_test(int n, refcount_t *r)
{
	sim_point("refcount");
	if (r->refs < n)
		sim_fail("%d references dropped at count %d", n, r->refs);
	r->refs -= n;
	return !r->refs;
}

/* Time: a jiffy is a millisecond, and none passes but by sim_advance() */

extern unsigned long jiffies;

#define time_before(a, b)	((long)((a) - (b)) < 0)
#define time_after_eq64(a, b)	((long long)((a) - (b)) >= 0)

static inline u64 get_jiffies_64(void)
{
	return jiffies;
}

static inline unsigned long msecs_to_jiffies(unsigned int ms)
{
	return ms;
}

/* The cycle counter: stands still unless a test moves it. A tick is a microsecond. */

extern u64 sim_ticks;

#define get_cycles()		(sim_ticks)
#define tsc_khz			1000U
#define arch_timer_get_rate()	1000000U

/* RCU */

#define RCU_LOCKDEP_WARN(condition, what) \
	do { \
		if (condition) \
			sim_fail("%s(): %s", __func__, what); \
	} while (0)

struct rcu_head {
	void (*func)(struct rcu_head *head);
	u64 since;
	bool srcu;
	size_t offset;
	unsigned int cpu;
	struct rcu_head *next;
};

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void synchronize_rcu(void);
/* Frees @p, in which @head is, after a grace period. */
void sim_free_rcu(struct rcu_head *head, size_t offset);

#define kfree_rcu(p, member)	sim_free_rcu(&(p)->member, offsetof(__typeof__(*(p)), member))
#define kvfree_rcu(p, member)	\
	sim_free_rcu(&(p)->member, (size_t)((char *)&(p)->member - (char *)(p)))

/* Without a read-side section nothing keeps the object alive. */
#define sim_rcu_checked(p, ok) \
	({ \
		if (!(ok)) \
			sim_fail("%s(): %s read without protection", __func__, #p); \
		READ_ONCE(p); \
	})
#define rcu_dereference(p)			sim_rcu_checked(p, rcu_read_lock_held())
#define rcu_dereference_sched(p)		rcu_dereference(p)
#define rcu_dereference_protected(p, ok)	sim_rcu_checked(p, ok)
#define rcu_access_pointer(p)			READ_ONCE(p)
#define rcu_assign_pointer(p, v)		WRITE_ONCE(p, v)

/* What has the head may go between a look at the pointer to it and the first entry. */
#define list_for_each_entry_rcu(pos, head, member) \
	for (sim_rcu_walks(__func__), pos = list_first_entry(head, __typeof__(*pos), member); \
	     sim_rcu_walks(__func__), &pos->member != (head); \
	     pos = list_next_entry(pos, member))

static inline void sim_rcu_walks(const char *who)
{
	if (!rcu_read_lock_held())
		sim_fail("%s(): list walked without RCU", who);
	sim_point("rcu list");
}

/* Work */

typedef void (*work_func_t)(struct work_struct *work);

struct work_struct {
	work_func_t func;
	struct workqueue_struct *wq;
	bool pending;
	unsigned int cpu;
	struct work_struct *next;
};

struct rcu_work {
	struct work_struct work;
	struct rcu_head rcu;
	struct workqueue_struct *wq;
};

/* Its timer runs by sim_advance(). */
struct delayed_work {
	struct work_struct work;
	struct workqueue_struct *wq;
	bool armed;
	unsigned long due;
	struct delayed_work *next;
};

/*
 * @pending, @running: of its works. All are queued on one node, which runs no more of them than its
 * part of @max_active, by its CPUs, or than @min_active if that is more.
 */
struct workqueue_struct {
	char name[32];
	unsigned int pending, running, max_active, min_active;
};

/* So many of the CPUs that workqueues may use are on that node. */
extern unsigned int sim_node_cpus;

extern struct workqueue_struct *system_wq;
#define system_unbound_wq	system_wq

#define WQ_UNBOUND	2
#ifdef SIM_SCALE
#define WQ_MAX_ACTIVE		2048
#else
/* Less than the kernel has: three full workqueues would use up all tasks. */
#define WQ_MAX_ACTIVE		16
#endif
#define WQ_DFL_MIN_ACTIVE	8

#define INIT_WORK(w, fn)	(*(w) = (struct work_struct){ .func = (fn) })
#define DECLARE_WORK(name, fn)	struct work_struct name = { .func = (fn) }
#define INIT_RCU_WORK(w, fn)	(*(w) = (struct rcu_work){ .work.func = (fn) })

static inline struct rcu_work *to_rcu_work(struct work_struct *work)
{
	return container_of(work, struct rcu_work, work);
}

struct workqueue_struct *alloc_workqueue(const char *fmt, unsigned int flags, int max_active, ...)
	__attribute__((format(printf, 1, 4)));
void destroy_workqueue(struct workqueue_struct *wq);
void workqueue_set_min_active(struct workqueue_struct *wq, int min_active);
bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
void flush_work(struct work_struct *work);
#define INIT_WORK_ONSTACK(w, fn)	INIT_WORK(w, fn)
#define destroy_work_on_stack(w)	((w)->func = NULL)
bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork);

#define INIT_DELAYED_WORK(w, fn)	(*(w) = (struct delayed_work){ .work.func = (fn) })

static inline struct delayed_work *to_delayed_work(struct work_struct *work)
{
	return container_of(work, struct delayed_work, work);
}

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork,
			unsigned long delay);
bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork,
		      unsigned long delay);
bool cancel_delayed_work_sync(struct delayed_work *dwork);

/* Tracepoints: at each of them another CPU may run in between */

#define TP_PROTO(...)		(__VA_ARGS__)
#define TP_ARGS(...)
#define TRACE_DEFINE_ENUM(name)	_Static_assert(sizeof(name), "")
#define DECLARE_EVENT_CLASS(...)
#define TRACE_EVENT(name, proto, ...)	DEFINE_EVENT(, name, proto)
#define DEFINE_EVENT(class, name, proto, ...) \
	static inline void trace_##name proto \
	{ \
		sim_point("trace_" #name); \
	} \
	static inline bool trace_##name##_enabled(void) \
	{ \
		return true; \
	}

/* Parameters of modules keep their defaults. */
#define module_param(name, type, mode)
#define MODULE_PARM_DESC(name, text)

/* Waiting */

typedef struct { unsigned long magic; } wait_queue_head_t;

void init_waitqueue_head(wait_queue_head_t *wq);
bool wq_has_sleeper(wait_queue_head_t *wq);
void wake_up_all(wait_queue_head_t *wq);
#define wake_up(wq)	wake_up_all(wq)
void sim_wait_prepare(wait_queue_head_t *wq);
void sim_wait(void);
void sim_wait_finish(void);

/* As the kernel's: the task is on the queue before it tests the condition for the last time. */
#define wait_event(wq, condition) \
	do { \
		sim_might_sleep("wait_event"); \
		if (condition) \
			break; \
		for (;;) { \
			sim_wait_prepare(&(wq)); \
			if (condition) \
				break; \
			sim_wait(); \
		} \
		sim_wait_finish(); \
	} while (0)

/* Bits and words that several threads change */

static inline bool test_and_set_bit(unsigned long nr, unsigned long *word)
{
	bool was;

	sim_point("atomic");
	was = test_bit(nr, word);
	__set_bit(nr, word);
	return was;
}

static inline bool test_and_clear_bit(unsigned long nr, unsigned long *word)
{
	sim_point("atomic");
	return __test_and_clear_bit(nr, word);
}

#define cmpxchg(p, old, new) \
	({ \
		__typeof__(*(p)) _was; \
		sim_point("atomic"); \
		_was = *(p); \
		if (_was == (old)) \
			*(p) = (new); \
		_was; \
	})

unsigned long *bitmap_zalloc(unsigned int bits, gfp_t gfp);
#define bitmap_free(bitmap)	kfree(bitmap)

/* Arrays of values: a list, with an allocation for each entry */

struct sim_entry;
struct xarray {
	spinlock_t xa_lock;
	struct sim_entry *entries;
};

#define XA_FLAGS_LOCK_IRQ	0
#define XA_MARK_0		0
#define xa_init_flags(xa, flags) \
	(*(xa) = (struct xarray){ \
		.xa_lock.l = { .class = SIM_CLASS(#xa), .kind = SIM_SPINLOCK } \
	})
#define xa_mk_value(v)		((void *)((v) << 1 | 1))
#define xa_to_value(entry)	((unsigned long)(entry) >> 1)
#define xa_empty(xa)		(!READ_ONCE((xa)->entries))

void *xa_load(struct xarray *xa, unsigned long index);
bool xa_get_mark(struct xarray *xa, unsigned long index, int mark);
bool xa_marked(struct xarray *xa, int mark);
/* The rest with the lock held. With GFP_KERNEL __xa_insert() may drop it for the allocation. */
int __xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void *__xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void *__xa_erase(struct xarray *xa, unsigned long index);
void __xa_set_mark(struct xarray *xa, unsigned long index, int mark);
void __xa_clear_mark(struct xarray *xa, unsigned long index, int mark);
/* The entry with the lowest index from *@index on; NULL: there is none. */
void *sim_xa_find(struct xarray *xa, unsigned long *index);
#define xa_for_each(xa, index, entry) \
	for (index = 0; (entry = sim_xa_find(xa, &(index))); index++)

#include "custom-mm.h"

#ifdef CONFIG_X86
#define X86_FEATURE_ENQCMD	1
extern bool sim_has_enqcmd;
#define cpu_feature_enabled(feature)	((feature) == X86_FEATURE_ENQCMD && sim_has_enqcmd)
#endif

/* Devices */

struct iommu_group;
struct dev_iommu;

struct device {
	const char *name;
	bool is_pci;
	struct iommu_group *iommu_group;
	struct dev_iommu *iommu;
};

struct pci_dev {
	struct device dev;
	u16 pri_cap;
	u32 pri_max_req;
	bool ats_enabled;
	struct pci_dev *physfn;
};

#define PCI_PRI_MAX_REQ	8
#define dev_is_pci(d)	((d)->is_pci)
#define to_pci_dev(d)	container_of(d, struct pci_dev, dev)
#define pci_physfn(p)	((p)->physfn ? (p)->physfn : (p))

int pci_read_config_dword(struct pci_dev *pdev, int where, u32 *val);

/* The kernel log: counted, printed on request */
void sim_log(const struct device *dev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define HZ				1000
#define DEFAULT_RATELIMIT_INTERVAL	(5 * HZ)
#define DEFAULT_RATELIMIT_BURST		10

/* @run: a static one belongs to a place of the code and begins anew with each test. */
struct ratelimit_state {
	unsigned int interval, burst, printed;
	unsigned long begin;
	u64 run;
};

extern u64 sim_run;

static inline void ratelimit_state_init(struct ratelimit_state *rs, int interval, int burst)
{
	*rs = (struct ratelimit_state){ .interval = interval, .burst = burst, .run = sim_run };
}

static inline bool __ratelimit(struct ratelimit_state *rs)
{
	if (!rs->printed || jiffies - rs->begin >= rs->interval) {
		rs->begin = jiffies;
		rs->printed = 0;
	}
	return rs->printed++ < rs->burst;
}

#define sim_log_ratelimited(dev, ...) \
	do { \
		static struct ratelimit_state here; \
		if (here.run != sim_run) \
			ratelimit_state_init(&here, DEFAULT_RATELIMIT_INTERVAL, \
					     DEFAULT_RATELIMIT_BURST); \
		if (__ratelimit(&here)) \
			sim_log(dev, __VA_ARGS__); \
	} while (0)

#define dev_err_ratelimited(dev, ...)	sim_log_ratelimited(dev, __VA_ARGS__)
#define dev_warn_ratelimited(dev, ...)	sim_log_ratelimited(dev, __VA_ARGS__)
#define dev_err(dev, ...)		sim_log(dev, __VA_ARGS__)
#define dev_warn(dev, ...)		sim_log(dev, __VA_ARGS__)

/* A module whose text goes with the last reference; a task that executes it holds one, too */
struct module {
	int refs;
};

static inline void __module_get(struct module *module)
{
	if (module)
		module->refs++;
}

static inline void module_put(struct module *module)
{
	if (module && --module->refs < 0)
		sim_fail("a module loses a reference that it does not have");
}

/* The IOMMU API of the base, as far as the core uses it */

#define IOMMU_PASID_INVALID		(-1U)
#define IOMMU_NO_PASID			0
#define IOMMU_FIRST_GLOBAL_PASID	1
#define IOMMU_DOMAIN_SVA		(1U << 4)
#define IOMMU_DOMAIN_NESTED		(1U << 6)

enum { IOMMU_FAULT_PAGE_REQ = 1 };

enum {
	IOMMU_FAULT_PERM_READ = 1 << 0,
	IOMMU_FAULT_PERM_WRITE = 1 << 1,
	IOMMU_FAULT_PERM_EXEC = 1 << 2,
	IOMMU_FAULT_PERM_PRIV = 1 << 3,
};

enum {
	IOMMU_FAULT_PAGE_REQUEST_PASID_VALID = 1 << 0,
	IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE = 1 << 1,
	IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID = 1 << 2,
};

enum iommu_page_response_code {
	IOMMU_PAGE_RESP_SUCCESS = 0,
	IOMMU_PAGE_RESP_INVALID = 1,
	IOMMU_PAGE_RESP_FAILURE = 15,
};

typedef unsigned int ioasid_t;

struct iommu_domain;
struct iommu_ops;
struct iommu_sva_ops;
struct iopf_group;

struct iommu_fault_page_request {
	u64 private_data[2];
	u64 addr;
	u32 flags, pasid, grpid, perm;
};

struct iommu_fault {
	struct iommu_fault_page_request prm;
	u32 type;
};

struct iommu_page_response {
	u32 code, pasid, grpid;
};

struct iopf_queue {
	struct mutex lock;
	struct list_head devices;
	struct workqueue_struct *wq;
};

struct iommu_fault_param {
	struct device *dev;
	struct iopf_queue *queue;
	struct list_head queue_list, partial, faults;
	struct mutex lock;
	struct rcu_head rcu;
	refcount_t users;
};

struct iommu_attach_handle {
	struct iommu_domain *domain;
};

struct iopf_fault {
	struct list_head list;
	struct iommu_fault fault;
};

struct iopf_group {
	struct list_head faults, pending_node, node;
	struct iommu_attach_handle *attach_handle;
	struct iommu_fault_param *fault_param;
	struct iopf_fault last_fault;
	size_t fault_count;
	u32 cookie;
};

struct iommu_domain {
	unsigned int type;
	const struct iommu_ops *owner;
	int (*iopf_handler)(struct iopf_group *group);
	struct mm_struct *mm;
};

struct iommu_ops {
	struct module *owner;
	struct iommu_domain *(*domain_alloc)(unsigned int type);
	struct iommu_domain *(*domain_alloc_sva)(struct device *dev, struct mm_struct *mm);
	void (*domain_free)(struct iommu_domain *domain);
	int (*set_dev_pasid)(struct iommu_domain *domain, struct device *dev, ioasid_t pasid);
	void (*remove_dev_pasid)(struct device *dev, ioasid_t pasid, struct iommu_domain *domain);
	void (*page_response)(struct device *dev, struct iopf_fault *evt,
			      struct iommu_page_response *msg);
	const struct iommu_sva_ops *sva_ops;
	bool user_pasid_table;
};

struct iommu_device {
	const struct iommu_ops *ops;
};

struct dev_iommu {
	struct mutex lock;
	struct iommu_fault_param *fault_param;
	struct iommu_device *iommu_dev;
	u32 max_pasids;
	u32 attach_deferred:1;
	struct device *dev;
	struct xarray atc_uses;
	struct list_head unconfirmed;
	struct mutex bonds_lock;
	struct list_head bonds;
	struct list_head bound;
	struct mutex reset_lock;
	u32 pauses;
	u32 flow;
	bool gone;
	refcount_t users;
	struct rcu_head rcu;
};

static inline void dev_iommu_init_sva(struct dev_iommu *param, struct device *dev)
{
	param->dev = dev;
	xa_init_flags(&param->atc_uses, XA_FLAGS_LOCK_IRQ);
	INIT_LIST_HEAD(&param->unconfirmed);
	mutex_init(&param->bonds_lock);
	INIT_LIST_HEAD(&param->bonds);
	INIT_LIST_HEAD(&param->bound);
	mutex_init(&param->reset_lock);
	refcount_set(&param->users, 1);
}

struct iommu_sva {
	struct device *dev;
	refcount_t users;
	struct iommu_attach_handle handle;
};

struct iommu_mm_data {
	struct list_head sva_domains;
	u32 pasid;
};

#define SIM_GROUP_DEVICES	3

/* @handles: by PASID, as many as were attached at the same time */
struct iommu_group {
	struct mutex mutex;
	struct device *devices[SIM_GROUP_DEVICES];
	struct sim_attachment *attachments;
};

static inline const struct iommu_ops *dev_iommu_ops(struct device *dev)
{
	return dev->iommu->iommu_dev->ops;
}

void iommu_domain_free(struct iommu_domain *domain);
int iommu_attach_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			      struct iommu_attach_handle *handle);
void iommu_detach_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid);
struct iommu_attach_handle *iommu_attach_handle_get(struct iommu_group *group, ioasid_t pasid,
						    unsigned int type);
bool iommu_pasid_is_attached(struct iommu_group *group, ioasid_t pasid);
/* What iommu_attach_group_handle() and iommufd's counterparts do in the end */
void sim_attach_handle(struct iommu_group *group, ioasid_t pasid,
		       struct iommu_attach_handle *handle);
void sim_detach_handle(struct iommu_group *group, ioasid_t pasid);
typedef int (*sim_dev_fn)(struct device *dev, void *data);
int sim_group_walk(struct iommu_group *group, void *data, sim_dev_fn fn);
#define iommu_group_for_each_dev(group, data, fn)	sim_group_walk(group, data, fn)

/* What the core offers */
u32 iommu_sva_get_pasid(struct iommu_sva *handle);
void iommu_sva_unbind_device(struct iommu_sva *handle);
struct iommu_sva *iommu_sva_bind_device(struct device *dev, struct mm_struct *mm);
void iommu_free_global_pasid(ioasid_t pasid);
ioasid_t iommu_alloc_global_pasid(struct device *dev);

void iopf_queue_free(struct iopf_queue *queue);
struct iopf_queue *iopf_queue_alloc(const char *name);
void iopf_queue_remove_device(struct iopf_queue *queue, struct device *dev);
int iopf_queue_add_device(struct iopf_queue *queue, struct device *dev);
int iopf_queue_discard_partial(struct iopf_queue *queue);
int iopf_queue_flush_dev(struct device *dev);
int iommu_report_device_fault(struct device *dev, struct iopf_fault *evt);
void iopf_group_dequeue(struct iopf_group *group);
void iopf_group_response(struct iopf_group *group, enum iommu_page_response_code status);
void iopf_free_group(struct iopf_group *group);

#endif /* _IOMMU_SVA_HARNESS_CUSTOM_H */
