// SPDX-License-Identifier: GPL-2.0-only
/*
 * sva-scale [DOCUMENT [LOCKS OBJECTS]]: 10,000 processes on 64 simulated CPUs bind, ask for pages,
 * unmap, exit and unbind. It says which locks and lines of memory CPUs share, in KTAP. A case fails
 * if they share more than scale_limits[] lists, if DOCUMENT does not have the table of locks as it
 * is, or if all page requests take more than LOCKS locks or allocate more than OBJECTS objects.
 *
 * sva-scale -r: prints LOCKS and OBJECTS of this program. scripts/test/scale takes those of a core
 * without statistics.
 *
 * Each CPU has a device of its own and each 64th process; 8 devices are behind an IOMMU, whose page
 * requests the first of their CPUs reads. No operation overlaps another one: the program counts who
 * takes a lock, not who waits for it.
 */
#include <stdio.h>

#include "scale.h"

#define PROCESSES	10000
#define EXTRA		2
#define IOMMUS		8
#define CPUS_PER_IOMMU	(SCALE_CPUS / IOMMUS)
#define BASE		0x100000UL
/* Of a batch of page requests */
#define PAGES		8
#define ROUNDS		16
#define MAX_TOTALS	256

static struct device *devices[SCALE_CPUS];
static struct process {
	struct mm_struct *mm;
	struct device *dev;
	struct iommu_sva *sva;
	unsigned int cpu;
} processes[PROCESSES + EXTRA];

static void set_up_process(struct process *p, unsigned int cpu)
{
	*p = (struct process){ .cpu = cpu, .dev = devices[cpu] };
	current->cpu = cpu;
	p->mm = sim_mm_new();
	sim_mmap(p->mm, BASE, PAGES, VM_READ | VM_WRITE);
}

static void set_up(void)
{
	struct scale_iommu *iommu = NULL;

	for (unsigned int cpu = 0; cpu < SCALE_CPUS; cpu++) {
		if (cpu % CPUS_PER_IOMMU == 0)
			iommu = scale_iommu_new(cpu);
		devices[cpu] = scale_device_new(iommu);
	}
	for (unsigned int i = 0; i < PROCESSES + EXTRA; i++)
		set_up_process(&processes[i], i % SCALE_CPUS);
}

/* Operations */

static void bind(struct process *p)
{
	p->sva = iommu_sva_bind_device(p->dev, p->mm);
	SIM_CHECK(!IS_ERR(p->sva));
}

static void request(struct process *p)
{
	u64 answers = scale_answers;

	current->cpu = scale_irq_cpu(p->dev);
	scale_request(p->dev, iommu_sva_get_pasid(p->sva), BASE, PAGES);
	sim_settle();
	SIM_EQ(scale_answers - answers, PAGES);
}

static void unmap(struct process *p)
{
	sim_munmap(p->mm, BASE);
}

static void exit_process(struct process *p)
{
	mmput(p->mm);
}

static void unbind(struct process *p)
{
	iommu_sva_unbind_device(p->sva);
}

enum { BIND, REQUEST, MUNMAP, EXIT, UNBIND, NR_PHASES };

static const struct phase {
	const char *name;
	void (*op)(struct process *p);
} phases[NR_PHASES] = {
	[BIND] = { "bind", bind },
	[REQUEST] = { "request", request },
	[MUNMAP] = { "munmap", unmap },
	[EXIT] = { "exit", exit_process },
	[UNBIND] = { "unbind", unbind },
};

/* What it leaves to others is done before the next one's operation. */
static void do_op(void (*op)(struct process *p), struct process *p)
{
	current->cpu = p->cpu;
	op(p);
	sim_settle();
}

/* What CPUs may share */

/**
 * struct scale_limit - what several CPUs take or write to
 * @name: of a lock, a variable, or the function that has allocated an object; see the tables. A
 *	line that has a lock in it has the name of the lock.
 * @percent: of a lock, the most acquisitions in 100 operations, by phase
 */
static const struct scale_limit {
	const char *name;
	u16 percent[NR_PHASES];
} scale_limits[] = {
	/* The core's: of the first bind of a process, one in 64, and of a device, the first */
	{ "iopf_wqs_lock", { [BIND] = 2, [UNBIND] = 1 } },
	{ "iopf_wqs", },
	{ "iopf_wq_alloc", },
	{ "stats_lock", { [BIND] = 1 } },
	{ "bound_devices", },
	{ "scale_device_new", },
	{ "pasids_next", },
	{ "bitmap of PASIDs", },
	/* Of one IOMMU: its hardware has one queue */
	{ "iommu->command_queue", { 100, 100, 100, 100, 300 } },
	/* A worker and the thread that reads page requests, of one device or process */
	{ "idev->lock", { [REQUEST] = 1800 } },
	{ "svc->lock", { [REQUEST] = 2100 } },
	{ "iopf_device_alloc", },
	{ "bond_alloc", },
	{ "io_mm", },
	/* One for the processes of a workqueue */
	{ "workqueue's pool", { [REQUEST] = 100 } },
};

static const struct scale_limit *limit_of(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(scale_limits); i++)
		if (!strcmp(scale_limits[i].name, name))
			return &scale_limits[i];
	return NULL;
}

/* KTAP */

static unsigned int nr_cases, nr_failed;

static void report(bool ok, const char *name)
{
	nr_failed += !ok;
	printf("%sok %u %s\n", ok ? "" : "not ", ++nr_cases, name);
}

/* Totals of all phases */

/**
 * struct total - a row of a table
 * @name: as that of a &struct scale_limit
 * @is_lock: as that of a &struct scale_row
 * @instances: locks, or lines, the most in a phase; @now: in this phase
 * @cpus: the most that took, or wrote to, one instance in a phase
 * @shared: acquisitions of, or writes to, instances with several CPUs, by phase
 * @nr: all acquisitions or writes, by phase
 */
struct total {
	const char *name;
	bool is_lock;
	unsigned int instances, now, cpus;
	u64 shared[NR_PHASES], nr[NR_PHASES];
};

static struct total totals[MAX_TOTALS];
static unsigned int nr_totals;
static struct scale_row hottest;

/* "iopf-stats.c:40 &stats_lock" is shown as "stats_lock". */
static const char *name_of(const struct scale_row *row)
{
	const char *name = row->lock ?: row->name;
	const char *place = strstr(name, ".c:") ?: strstr(name, ".h:");

	if (place)
		name = strchr(place, ' ') + 1;
	return name + (*name == '&');
}

static unsigned int cpus_of(const struct scale_row *row)
{
	return __builtin_popcountll(row->cpus);
}

static struct total *total_of(const struct scale_row *row)
{
	const char *name = name_of(row);
	struct total *t;

	for (t = totals; t < &totals[nr_totals]; t++)
		if (t->is_lock == row->is_lock && !strcmp(t->name, name))
			return t;
	SIM_CHECK(nr_totals < MAX_TOTALS);
	*t = (struct total){ .name = name, .is_lock = row->is_lock };
	nr_totals++;
	return t;
}

static void add_up(const struct scale_row *row, unsigned int nr, unsigned int phase)
{
	struct total *t;

	for (t = totals; t < &totals[nr_totals]; t++)
		t->now = 0;
	for (; nr--; row++) {
		t = total_of(row);
		t->now += row->instances;
		t->instances = max(t->instances, t->now);
		t->cpus = max(t->cpus, cpus_of(row));
		t->shared[phase] += row->shared;
		t->nr[phase] += row->total;
		if (!row->is_lock && cpus_of(row) > 1 && row->top > hottest.top)
			hottest = *row;
	}
}

static u64 sum_of(const u64 *nr)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < NR_PHASES; i++)
		sum += nr[i];
	return sum;
}

/* Those that most CPUs share first, then those that are taken most often */
static int compare(const void *a, const void *b)
{
	const struct total *x = a, *y = b;
	u64 all_x = sum_of(x->nr), all_y = sum_of(y->nr);
	bool shared_x = x->cpus > 1, shared_y = y->cpus > 1;

	if (shared_x != shared_y)
		return shared_x ? -1 : 1;
	if (shared_x && x->cpus != y->cpus)
		return x->cpus > y->cpus ? -1 : 1;
	if (all_x != all_y)
		return all_x > all_y ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Tables. Numbers of a phase are of one operation. */

static void show_numbers(FILE *out, const u64 *nr)
{
	for (unsigned int i = 0; i < NR_PHASES; i++) {
		if (nr[i])
			fprintf(out, "%8.2f", (double)nr[i] / PROCESSES);
		else
			fprintf(out, "%8s", "-");
	}
	fprintf(out, "\n");
}

static void show_locks(FILE *out)
{
	u64 all = 0;

	for (struct total *t = totals; t < &totals[nr_totals]; t++)
		all += t->is_lock ? sum_of(t->nr) : 0;
	fprintf(out, "%-21s%6s CPUs share", "lock", "locks");
	for (unsigned int i = 0; i < NR_PHASES; i++)
		fprintf(out, "%8s", phases[i].name);
	fprintf(out, "\n");
	for (struct total *t = totals; t < &totals[nr_totals]; t++) {
		if (!t->is_lock)
			continue;
		fprintf(out, "%-21s%6u%5u%5.1f%%", t->name, t->instances, t->cpus,
			100.0 * sum_of(t->nr) / all);
		show_numbers(out, t->nr);
	}
}

/* Writes only: those of lines to which several CPUs have written in a phase */
static void show_shared_lines(void)
{
	printf("# %-21s%6s CPUs      ", "object or variable", "lines");
	for (unsigned int i = 0; i < NR_PHASES; i++)
		printf("%8s", phases[i].name);
	printf("\n");
	for (struct total *t = totals; t < &totals[nr_totals]; t++) {
		if (t->is_lock || t->cpus < 2)
			continue;
		printf("# %-21s%6u%5u      ", t->name, t->instances, t->cpus);
		show_numbers(stdout, t->shared);
	}
}

/* Text, with each line behind @before, which the caller frees */
static char *table_of_locks(const char *before)
{
	char *text, *table, *line;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	show_locks(out);
	fclose(out);
	out = open_memstream(&table, &size);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		fprintf(out, "%s%s\n", before, line);
	fclose(out);
	free(text);
	return table;
}

static void show_hottest(void)
{
	printf("# hottest shared line: %s (%s), %llu writes by %u CPUs\n", name_of(&hottest),
	       hottest.pc ? scale_place(hottest.pc) : "a lock", hottest.top, cpus_of(&hottest));
}

/* Cases */

static bool is_within_limits(const struct total *t, unsigned int phase)
{
	const struct scale_limit *limit = limit_of(t->name);

	if (!t->shared[phase])
		return true;
	if (!limit) {
		printf("# %s: several CPUs %s\n", t->name, t->is_lock ? "take it" : "write to it");
		return false;
	}
	if (!t->is_lock || t->shared[phase] * 100 <= limit->percent[phase] * (u64)PROCESSES)
		return true;
	printf("# %s: taken %llu times by several CPUs, the limit is %u %% of %u\n", t->name,
	       t->shared[phase], limit->percent[phase], PROCESSES);
	return false;
}

static void check_phase(unsigned int phase)
{
	bool ok = true;
	char name[64];

	for (struct total *t = totals; t < &totals[nr_totals]; t++)
		ok &= is_within_limits(t, phase);
	snprintf(name, sizeof(name), "%s_shares_only_what_is_listed", phases[phase].name);
	report(ok, name);
}

/* Two CPUs bind and unbind, each for a process of its own: how often do they take one lock? */
static void check_two(unsigned int a, unsigned int b, u64 limit, const char *name)
{
	struct process *two = &processes[PROCESSES];
	const struct scale_row *row;
	unsigned int nr, locks = 0;
	u64 common = 0;

	two[0].dev = devices[a];
	two[1].dev = devices[b];
	scale_begin();
	do_op(bind, &two[0]);
	do_op(bind, &two[1]);
	do_op(unbind, &two[0]);
	do_op(unbind, &two[1]);
	row = scale_end(&nr);
	printf("# %s:", name);
	for (; nr--; row++) {
		if (!row->is_lock || !row->shared)
			continue;
		common += row->shared;
		printf("%s %s %llu", locks++ ? "," : "", name_of(row), row->shared);
	}
	printf("%s\n", locks ? "" : " none");
	report(common <= limit, name);
}

/* What one of @ROUNDS binds does: loads, stores, and acquisitions of locks */
static u64 cost_of_bind(void)
{
	struct process *p = &processes[PROCESSES];
	u64 sum = 0;

	p->dev = devices[p->cpu];
	for (unsigned int i = 0; i < ROUNDS; i++) {
		u64 before = scale_accesses + scale_acquisitions;

		do_op(bind, p);
		sum += scale_accesses + scale_acquisitions - before;
		do_op(unbind, p);
	}
	return sum / ROUNDS;
}

static void check_bind(u64 beside_none, u64 beside_all)
{
	printf("# a bind beside no address space: %llu loads, stores and acquisitions;"
	       " beside %u: %llu, ratio %.2f, limit 1.10\n",
	       beside_none, PROCESSES, beside_all, (double)beside_all / beside_none);
	report(beside_all * 10 <= beside_none * 11, "bind_costs_the_same_beside_10000");
}

static void check_document(const char *path)
{
	char *table = table_of_locks("  ");
	char *text = NULL;
	size_t size = 0;
	FILE *in = fopen(path, "r");
	bool ok = in && getdelim(&text, &size, '\0', in) > 0 && strstr(text, table);

	if (!ok)
		printf("# %s does not have the table of locks as it is above\n", path);
	report(ok, "document_has_the_table_of_locks");
	if (in)
		fclose(in);
	free(text);
	free(table);
}

/* Of a phase: acquisitions of locks and allocations */
static struct cost {
	u64 locks, objects;
} costs[NR_PHASES];

static void run_phase(unsigned int phase)
{
	struct cost before = { scale_acquisitions, sim_nr_allocs() };
	const struct scale_row *rows;
	unsigned int nr;

	scale_begin();
	for (unsigned int i = 0; i < PROCESSES; i++)
		do_op(phases[phase].op, &processes[i]);
	rows = scale_end(&nr);
	costs[phase].locks = scale_acquisitions - before.locks;
	costs[phase].objects = sim_nr_allocs() - before.objects;
	add_up(rows, nr, phase);
}

static void check_requests(u64 locks, u64 objects)
{
	const struct cost *cost = &costs[REQUEST];

	printf("# requests of %u processes: %llu acquisitions, %llu allocations;"
	       " without statistics %llu and %llu\n", PROCESSES, cost->locks, cost->objects, locks,
	       objects);
	report(locks && cost->locks <= locks && cost->objects <= objects,
	       "statistics_cost_a_request_no_lock_and_no_memory");
}

static void say_requests(void)
{
	run_phase(BIND);
	run_phase(REQUEST);
	printf("%llu %llu\n", costs[REQUEST].locks, costs[REQUEST].objects);
}

int main(int argc, char **argv)
{
	u64 beside_none, beside_all;
	char *table;

	sim_begin();
	scale_trace_init();
	set_up();
	if (argc > 1 && !strcmp(argv[1], "-r")) {
		say_requests();
		return 0;
	}
	printf("KTAP version 1\n1..%u\n", NR_PHASES + 4 + (argc > 1) + (argc > 3));
	beside_none = cost_of_bind();
	run_phase(BIND);
	beside_all = cost_of_bind();
	/* What they share is of one IOMMU, or of one device. */
	check_two(0, CPUS_PER_IOMMU, 0, "two_cpus_with_devices_of_two_iommus");
	check_two(0, 1, 8, "two_cpus_with_devices_of_one_iommu");
	check_two(0, 0, 8 + 36, "two_cpus_with_one_device");
	for (unsigned int i = REQUEST; i < NR_PHASES; i++)
		run_phase(i);
	qsort(totals, nr_totals, sizeof(*totals), compare);
	table = table_of_locks("# ");
	printf("%s#\n", table);
	free(table);
	show_shared_lines();
	show_hottest();
	check_bind(beside_none, beside_all);
	for (unsigned int i = 0; i < NR_PHASES; i++)
		check_phase(i);
	if (argc > 1)
		check_document(argv[1]);
	if (argc > 3)
		check_requests(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
	return nr_failed ? 1 : 0;
}
