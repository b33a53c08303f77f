// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks, RCU, work and waiting: one thread, many coroutines, and a policy that says which one runs.
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "sim.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN
#endif

#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(SIM_SCALE)
static void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size)
{
}

static void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size)
{
}

#define __sanitizer_print_stack_trace()	((void)0)
#else
#error "the harness is built with -fsanitize=address"
#endif

#define STACK_SIZE	(256UL << 10)
#define MAX_TASKS	1024

enum co_state { CO_FREE, CO_READY, CO_BLOCKED, CO_SETTLING };

/* @preempted: the last choice among candidates */
struct co {
	struct task_struct t;
	enum co_state state;
	bool preempted;
	bool (*condition)(void *arg);
	void *condition_arg;
	const char *waits_for;
	wait_queue_head_t *wq;
	bool woken;
	void (*fn)(void *arg);
	void *arg;
	u64 since;
	ucontext_t ctx;
	const void *stack;
	size_t stack_size;
	void *fake_stack;
};

struct sim_policy sim_policy;

static struct co cos[MAX_TASKS];
/* So many have been used, the test's own among them. */
static unsigned int nr_cos = 1;
static struct co *self = &cos[0];
static struct co *came_from;
struct task_struct *current = &cos[0].t;

static u64 now;
static bool rcu_held;
static struct rcu_head *callbacks;
static struct work_struct *works;
static struct workqueue_struct system_works;
struct workqueue_struct *system_wq = &system_works;
unsigned long jiffies;
u64 sim_ticks;

static unsigned int warnings_expected, warnings_seen;

/* Violations */

static void show_tasks(void)
{
	for (unsigned int i = 0; i < nr_cos; i++) {
		struct co *co = &cos[i];

		if (co->state == CO_FREE)
			continue;
		fprintf(stderr, "  task %s%s", co->t.name, co == self ? " (runs)" : "");
		if (co->state == CO_BLOCKED)
			fprintf(stderr, " waits for %s", co->waits_for);
		for (unsigned int k = 0; k < co->t.nr_held; k++)
			fprintf(stderr, " holds %s", co->t.held[k]->class);
		fprintf(stderr, "\n");
	}
}

void sim_fail(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "violation: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	show_tasks();
	__sanitizer_print_stack_trace();
	abort();
}

void sim_warn(const char *what)
{
	if (warnings_seen++ == warnings_expected)
		sim_fail("warning: %s", what);
}

void sim_expect_warnings(unsigned int n)
{
	warnings_expected += n;
}

/* Switching */

static void co_main(void)
{
	const void *bottom = NULL;
	size_t size = 0;

	__sanitizer_finish_switch_fiber(NULL, &bottom, &size);
	if (came_from == &cos[0] && !cos[0].stack) {
		cos[0].stack = bottom;
		cos[0].stack_size = size;
	}
	for (;;) {
		self->fn(self->arg);
		if (self->t.nr_held)
			sim_fail("%s ends with %s held", self->t.name, self->t.held[0]->class);
		if (self->t.rcu_depth || self->t.srcu_depth)
			sim_fail("%s ends inside an RCU section", self->t.name);
		if (self->t.memcg)
			sim_fail("%s ends with an active memory group", self->t.name);
		self->state = CO_FREE;
		sim_yield();
	}
}

static void switch_to(struct co *next)
{
	struct co *prev = self;

	if (prev == next)
		return;
	came_from = prev;
	self = next;
	current = &next->t;
	__sanitizer_start_switch_fiber(&prev->fake_stack, next->stack, next->stack_size);
	swapcontext(&prev->ctx, &next->ctx);
	__sanitizer_finish_switch_fiber(prev->fake_stack, NULL, NULL);
}

struct sighand_struct sim_sighand = {
	.siglock = { .l = { .class = "siglock", .kind = SIM_SPINLOCK } },
};

bool sim_cpusets;

void sim_default_limits(struct task_struct *task)
{
	task->signal = &task->own_signal;
	task->mems_allowed.bits = SIM_NODES;
	task->flags = PF_KTHREAD;
	for (unsigned int i = 0; i < RLIM_NLIMITS; i++)
		task->signal->rlim[i].rlim_cur = RLIM_INFINITY;
	task->signal->rlim[RLIMIT_STACK].rlim_cur = 16 * PAGE_SIZE;
}

static struct co *co_find_free(void)
{
	for (struct co *co = &cos[1]; co < &cos[nr_cos]; co++)
		if (co->state == CO_FREE && co != self)
			return co;
	if (nr_cos == MAX_TASKS)
		sim_fail("too many tasks");
	return &cos[nr_cos++];
}

static struct co *co_new(const char *name, void (*fn)(void *arg), void *arg)
{
	struct co *co = co_find_free();
	void *stack;

	memset(&co->t, 0, sizeof(co->t));
	snprintf(co->t.name, sizeof(co->t.name), "%s", name);
	sim_default_limits(&co->t);
	co->t.cpu = current->cpu;
	co->fn = fn;
	co->arg = arg;
	co->since = ++now;
	co->state = CO_READY;
	co->preempted = false;
	co->wq = NULL;
	if (co->stack)
		return co;

	/* The first page stays out of reach: a task that overflows its stack faults there. */
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED || mprotect(stack, PAGE_SIZE, PROT_NONE))
		abort();
	co->stack = stack;
	co->stack_size = STACK_SIZE;
	getcontext(&co->ctx);
	co->ctx.uc_stack.ss_sp = stack;
	co->ctx.uc_stack.ss_size = STACK_SIZE;
	co->ctx.uc_link = NULL;
	makecontext(&co->ctx, co_main, 0);
	return co;
}

/* Choosing */

static bool co_can_run(const struct co *co)
{
	return co->state == CO_READY ||
	       (co->state == CO_BLOCKED && co->condition(co->condition_arg));
}

unsigned int sim_node_cpus;

/* How many works may run at a time; 0: no limit */
static unsigned int wq_limit(const struct workqueue_struct *wq)
{
	unsigned int cpus = num_online_cpus();
	unsigned int part = (wq->max_active * sim_node_cpus + cpus - 1) / cpus;

	return max(part, wq->min_active);
}

/* One work item never runs twice at the same time. */
static bool work_can_run(const struct work_struct *work)
{
	for (unsigned int i = 0; i < nr_cos; i++)
		if (cos[i].state != CO_FREE && cos[i].t.work == work)
			return false;
	return !work->wq->max_active || work->wq->running < wq_limit(work->wq);
}

static void run_work(void *arg)
{
	struct work_struct *work = arg;
	struct workqueue_struct *wq = work->wq;

	current->work = work;
	work->func(work);
	if (rlimit(RLIMIT_STACK) != 16 * PAGE_SIZE || rlimit(RLIMIT_AS) != RLIM_INFINITY)
		sim_fail("a worker keeps the limits of a process");
	if (current->memcg_nr_pages_over_high)
		sim_fail("a worker is to be slowed down for a process of before");
	current->work = NULL;
	wq->running--;
}

static void run_callback(void *arg)
{
	struct rcu_head *head = arg;

	current->spinning++;
	head->func(head);
	current->spinning--;
}

static struct co *start_work(struct work_struct *work)
{
	struct work_struct **at = &works;
	struct co *co;

	while (*at != work)
		at = &(*at)->next;
	*at = work->next;
	work->pending = false;
	work->wq->pending--;
	work->wq->running++;
	co = co_new(work->wq->name, run_work, work);
	co->t.work = work;
	co->t.cpu = work->cpu;
	return co;
}

static struct co *start_callback(struct rcu_head *head)
{
	struct rcu_head **at = &callbacks;
	struct co *co;

	while (*at != head)
		at = &(*at)->next;
	*at = head->next;
	co = co_new("rcu", run_callback, head);
	co->t.cpu = head->cpu;
	return co;
}

static bool stands_before(const struct co *a, const struct co *b)
{
	return sim_policy.newest_first && !a->preempted ? a->since > b->since : a->since < b->since;
}

/* Tasks by the time since which they wait. */
static unsigned int list_tasks(struct co **list, bool preempted)
{
	unsigned int n = 0, at;

	for (unsigned int i = 0; i < nr_cos; i++) {
		struct co *co = &cos[i];

		if (co->preempted != preempted || !co_can_run(co))
			continue;
		for (at = n++; at && stands_before(co, list[at - 1]); at--)
			list[at] = list[at - 1];
		list[at] = co;
	}
	return n;
}

static struct co *pick(void)
{
	struct co *first[MAX_TASKS], *last[MAX_TASKS];
	unsigned int nr_first = list_tasks(first, false), nr_last = list_tasks(last, true);
	unsigned int n = nr_first + nr_last, which;
	struct work_struct *work;
	struct rcu_head *head;

	for (work = works; work; work = work->next)
		n += work_can_run(work);
	for (head = callbacks; head; head = head->next)
		n += sim_rcu_ripe(head);

	if (!n) {
		for (unsigned int i = 0; i < nr_cos; i++)
			if (cos[i].state == CO_SETTLING)
				return &cos[i];
		sim_fail("deadlock: no task can run");
	}

	which = n > 1 && sim_policy.choose ? sim_policy.choose(n) : 0;
	if (which < nr_first)
		return first[which];
	which -= nr_first;
	for (work = works; work; work = work->next)
		if (work_can_run(work) && !which--)
			return start_work(work);
	for (head = callbacks; head; head = head->next)
		if (sim_rcu_ripe(head) && !which--)
			return start_callback(head);
	return last[which];
}

static void schedule(void)
{
	struct co *me = self, *next;

	if (me->t.nosched)
		sim_fail("%s waits where no other task may run", me->t.name);
	next = pick();
	next->preempted = false;
	switch_to(next);
	me->state = CO_READY;
}

void sim_yield(void)
{
	if (self->state != CO_FREE) {
		self->since = ++now;
		self->preempted = true;
	}
	schedule();
}

void sim_point(const char *what)
{
	if (self->t.nosched || !sim_policy.preempt)
		return;
	if (sim_policy.preempt(what))
		sim_yield();
}

void sim_nosched(bool on)
{
	self->t.nosched += on ? 1 : -1;
}

void sim_spawn(const char *name, void (*fn)(void *arg), void *arg)
{
	co_new(name, fn, arg);
}

/* The same in atomic context, too: for spinlocks. */
void sim_block_atomic(bool (*condition)(void *arg), void *arg, const char *what)
{
	if (condition(arg))
		return;
	self->condition = condition;
	self->condition_arg = arg;
	self->waits_for = what;
	self->state = CO_BLOCKED;
	self->since = ++now;
	schedule();
}

void sim_block(bool (*condition)(void *arg), void *arg, const char *what)
{
	sim_might_sleep(what);
	sim_block_atomic(condition, arg, what);
}

void sim_settle(void)
{
	self->state = CO_SETTLING;
	schedule();
}

static bool door_is_open(void *arg)
{
	return !((struct sim_door *)arg)->shut;
}

void sim_pass(struct sim_door *door)
{
	door->waiting++;
	sim_block(door_is_open, door, "a door");
	door->waiting--;
}

unsigned int sim_nr_tasks(void)
{
	unsigned int n = 0;

	for (unsigned int i = 1; i < nr_cos; i++)
		n += cos[i].state != CO_FREE;
	return n;
}

unsigned int sim_nr_works(void)
{
	unsigned int n = 0;

	for (struct work_struct *work = works; work; work = work->next)
		n++;
	return n;
}

void sim_might_sleep(const char *what)
{
	if (current->spinning)
		sim_fail("%s in atomic context, with %s", what,
			 current->nr_held ? current->held[current->nr_held - 1]->class : "RCU's");
	if (current->rcu_depth || current->srcu_depth)
		sim_fail("%s inside an RCU read-side section", what);
}

void cond_resched(void)
{
	sim_might_sleep("cond_resched");
	sim_point("cond_resched");
}

/* RCU */

void rcu_read_lock(void)
{
	if (!current->rcu_depth++)
		current->rcu_since = ++now;
}

void rcu_read_unlock(void)
{
	if (!current->rcu_depth--)
		sim_fail("end of an RCU section that has no begin");
	sim_point("rcu_read_unlock");
}

bool rcu_read_lock_held(void)
{
	return current->rcu_depth;
}

void sim_srcu_read_lock(void)
{
	if (!current->srcu_depth++)
		current->srcu_since = ++now;
}

void sim_srcu_read_unlock(void)
{
	current->srcu_depth--;
	sim_point("srcu_read_unlock");
}

static bool no_reader_since(u64 since, bool srcu)
{
	for (unsigned int i = 0; i < nr_cos; i++) {
		const struct task_struct *t = &cos[i].t;

		if (cos[i].state == CO_FREE)
			continue;
		if (srcu ? t->srcu_depth && t->srcu_since < since :
			   t->rcu_depth && t->rcu_since < since)
			return false;
	}
	return true;
}

bool sim_rcu_ripe(const struct rcu_head *head)
{
	return !rcu_held && no_reader_since(head->since, head->srcu);
}

static void add_callback(struct rcu_head *head, void (*func)(struct rcu_head *head), bool srcu)
{
	struct rcu_head **at = &callbacks;

	for (; *at; at = &(*at)->next)
		if (*at == head)
			sim_fail("RCU callback queued twice");
	*head = (struct rcu_head){
		.func = func, .since = ++now, .srcu = srcu, .cpu = current->cpu,
	};
	*at = head;
	sim_point("call_rcu");
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	add_callback(head, func, false);
}

void sim_call_srcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	add_callback(head, func, true);
}

static void free_callback(struct rcu_head *head)
{
	kfree((char *)head - head->offset);
}

void sim_free_rcu(struct rcu_head *head, size_t offset)
{
	sim_nosched(true);
	add_callback(head, free_callback, false);
	head->offset = offset;
	sim_nosched(false);
	sim_point("kfree_rcu");
}

static bool grace_period_over(void *arg)
{
	return no_reader_since(*(u64 *)arg, false);
}

static bool srcu_grace_period_over(void *arg)
{
	return no_reader_since(*(u64 *)arg, true);
}

void synchronize_rcu(void)
{
	u64 since = ++now;

	sim_block(grace_period_over, &since, "synchronize_rcu");
}

void sim_synchronize_srcu(void)
{
	u64 since = ++now;

	sim_block(srcu_grace_period_over, &since, "synchronize_srcu");
}

void sim_hold_rcu(bool hold)
{
	rcu_held = hold;
}

/* Work */

struct workqueue_struct *alloc_workqueue(const char *fmt, unsigned int flags, int max_active, ...)
{
	struct workqueue_struct *wq = kzalloc(sizeof(*wq), GFP_KERNEL);
	va_list args;

	(void)flags;
	if (!wq)
		return NULL;
	wq->max_active = max_active ?: WQ_MAX_ACTIVE / 2;
	wq->min_active = min(wq->max_active, WQ_DFL_MIN_ACTIVE);
	va_start(args, max_active);
	vsnprintf(wq->name, sizeof(wq->name), fmt, args);
	va_end(args);
	return wq;
}

void workqueue_set_min_active(struct workqueue_struct *wq, int min_active)
{
	wq->min_active = min(min_active, wq->max_active);
}

static bool wq_is_idle(void *arg)
{
	struct workqueue_struct *wq = arg;

	return !wq->pending && !wq->running;
}

void destroy_workqueue(struct workqueue_struct *wq)
{
	sim_block(wq_is_idle, wq, "destroy_workqueue");
	kfree(wq);
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	struct work_struct **at = &works;

	if (!work->func)
		sim_fail("work queued before its initialisation");
	if (work->pending)
		return false;
	work->pending = true;
	work->wq = wq;
	/* The system's workqueues are those of a CPU; a worker of another one runs beside it. */
	work->cpu = current->cpu ^ (wq != system_wq);
	work->next = NULL;
	wq->pending++;
	if (sim_taken && wq != system_wq)
		sim_taken(wq, "workqueue's pool");
	while (*at)
		at = &(*at)->next;
	*at = work;
	sim_point("queue_work");
	return true;
}

static bool work_is_done(void *arg)
{
	const struct work_struct *work = arg;

	for (unsigned int i = 0; i < MAX_TASKS; i++)
		if (cos[i].state != CO_FREE && cos[i].t.work == work)
			return false;
	return !work->pending;
}

void flush_work(struct work_struct *work)
{
	sim_block(work_is_done, work, "flush_work");
}

static void rcu_work_ripe(struct rcu_head *head)
{
	struct rcu_work *rwork = container_of(head, struct rcu_work, rcu);

	queue_work(rwork->wq, &rwork->work);
}

bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork)
{
	if (!rwork->work.func)
		sim_fail("work queued before its initialisation");
	rwork->wq = wq;
	call_rcu(&rwork->rcu, rcu_work_ripe);
	return true;
}

static struct delayed_work *timers;

static bool disarm(struct delayed_work *dwork)
{
	for (struct delayed_work **at = &timers; *at; at = &(*at)->next) {
		if (*at != dwork)
			continue;
		*at = dwork->next;
		dwork->armed = false;
		return true;
	}
	return false;
}

static void arm(struct workqueue_struct *wq, struct delayed_work *dwork, unsigned long delay)
{
	if (!dwork->work.func)
		sim_fail("work queued before its initialisation");
	dwork->wq = wq;
	dwork->armed = true;
	dwork->due = jiffies + delay;
	dwork->next = timers;
	timers = dwork;
	if (!delay)
		sim_advance(0);
}

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork,
			unsigned long delay)
{
	if (dwork->armed || dwork->work.pending)
		return false;
	arm(wq, dwork, delay);
	return true;
}

bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork,
		      unsigned long delay)
{
	bool was = disarm(dwork) || dwork->work.pending;

	if (!dwork->work.pending)
		arm(wq, dwork, delay);
	return was;
}

static bool work_is_idle(void *arg)
{
	struct work_struct *work = arg;

	if (work->pending)
		return false;
	for (unsigned int i = 0; i < nr_cos; i++)
		if (cos[i].state != CO_FREE && cos[i].t.work == work)
			return false;
	return true;
}

/* Runs a pending work once more before it returns: the kernel would cancel it. */
bool cancel_delayed_work_sync(struct delayed_work *dwork)
{
	bool was = false;

	do {
		was |= disarm(dwork);
		sim_block(work_is_idle, &dwork->work, "cancel_delayed_work_sync");
	} while (dwork->armed);
	return was;
}

void sim_advance(unsigned long ms)
{
	struct delayed_work *dwork, *next;

	jiffies += ms;
	for (dwork = timers; dwork; dwork = next) {
		next = dwork->next;
		if (time_before(jiffies, dwork->due))
			continue;
		disarm(dwork);
		queue_work(dwork->wq, &dwork->work);
	}
}

/* Waiting */

#define WAIT_MAGIC	0x5afe5afeUL

void init_waitqueue_head(wait_queue_head_t *wq)
{
	wq->magic = WAIT_MAGIC;
}

static void check_wait_queue(const wait_queue_head_t *wq)
{
	if (wq->magic != WAIT_MAGIC)
		sim_fail("a wait queue is used before its initialisation");
}

bool wq_has_sleeper(wait_queue_head_t *wq)
{
	check_wait_queue(wq);
	for (unsigned int i = 0; i < nr_cos; i++)
		if (cos[i].state != CO_FREE && cos[i].wq == wq)
			return true;
	return false;
}

void wake_up_all(wait_queue_head_t *wq)
{
	check_wait_queue(wq);
	for (unsigned int i = 0; i < nr_cos; i++)
		if (cos[i].wq == wq)
			cos[i].woken = true;
	sim_point("wake_up");
}

void sim_wait_prepare(wait_queue_head_t *wq)
{
	check_wait_queue(wq);
	self->wq = wq;
	self->woken = false;
	sim_point("wait");
}

static bool was_woken(void *arg)
{
	return ((struct co *)arg)->woken;
}

void sim_wait(void)
{
	sim_block(was_woken, self, "a wake-up");
}

void sim_wait_finish(void)
{
	check_wait_queue(self->wq);
	self->wq = NULL;
}

static bool is_within(const void *p, const char *from, const char *to)
{
	return (const char *)p >= from && (const char *)p < to;
}

/* Memory that must not be freed */
void sim_mem_check_free(const void *p, size_t size)
{
	const char *from = p, *to = from + size;

	for (struct work_struct *work = works; work; work = work->next)
		if (is_within(work, from, to))
			sim_fail("memory freed with queued work in it");
	for (struct rcu_head *head = callbacks; head; head = head->next)
		if (is_within(head, from, to))
			sim_fail("memory freed with a queued RCU callback in it");
	for (unsigned int i = 0; i < nr_cos; i++) {
		struct co *co = &cos[i];

		if (co->state == CO_FREE)
			continue;
		for (unsigned int k = 0; k < co->t.nr_held; k++)
			if (is_within(co->t.held[k], from, to))
				sim_fail("memory freed with %s held", co->t.held[k]->class);
		if (co->wq && is_within(co->wq, from, to))
			sim_fail("memory freed that %s waits on", co->t.name);
		if (co->state == CO_BLOCKED && is_within(co->condition_arg, from, to))
			sim_fail("memory freed in which %s waits for %s", co->t.name,
				 co->waits_for);
	}
}

/* Clean state at the beginning and at the end */

u64 sim_run;

void sim_begin(void)
{
	sim_run++;
	snprintf(cos[0].t.name, sizeof(cos[0].t.name), "test");
	cos[0].state = CO_READY;
	sim_default_limits(&cos[0].t);
	sim_locks_reset();
	now = 0;
	rcu_held = false;
	warnings_expected = 0;
	warnings_seen = 0;
	sim_cpusets = false;
	sim_node_cpus = num_online_cpus();
	sim_mem_reset();
}

void sim_end(void)
{
	sim_hold_rcu(false);
	sim_settle();
	if (sim_nr_tasks())
		sim_fail("a task never ends");
	if (works || callbacks)
		sim_fail("work is left");
	if (warnings_seen != warnings_expected)
		sim_fail("%u warnings were expected, %u came", warnings_expected, warnings_seen);
	sim_mem_check_empty();
}
