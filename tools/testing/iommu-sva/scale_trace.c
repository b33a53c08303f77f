// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scale model's records: locks by instance, lines by address, and their names.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scale.h"

#define MAX_SHADOW	BIT(26)
#define LOCK_SLOTS	BIT(19)
#define WORD		8UL

u64 scale_accesses, scale_acquisitions;

static struct scale_line *lines, *words;
/* What a phase has written to: numbers of lines of the arena, and addresses of words */
static u32 *touched_lines, *touched_words;
static u32 nr_lines, nr_words;
static bool recording;

static struct lock_use {
	const void *lock;
	const char *class;
	u64 cpus;
	u32 taken;
} *locks;
static u32 *used_slots, nr_locks;

static struct scale_row rows[SCALE_ROWS];
static unsigned int nr_rows;

static void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	SIM_CHECK(p != MAP_FAILED);
	return p;
}

/* Recording */

static void note_write(struct scale_line *line, u32 nr, u32 *touched, u32 *nr_touched, u32 pc)
{
	if (!line->writes++)
		touched[(*nr_touched)++] = nr;
	line->cpus |= 1ULL << current->cpu;
	line->pc = pc ?: line->pc;
}

static void access_memory(const void *p, bool write, void *pc)
{
	size_t at = (const char *)p - scale_arena, word = ((char *)p - __data_start) / WORD;

	if (at < scale_arena_used) {
		scale_accesses++;
		if (write && recording)
			note_write(&lines[at / SCALE_LINE], at / SCALE_LINE, touched_lines,
				   &nr_lines, (uintptr_t)pc);
	} else if (word < (_end - __data_start) / WORD) {
		scale_accesses++;
		if (write && recording)
			note_write(&words[word], word, touched_words, &nr_words, (uintptr_t)pc);
	}
}

static void take_lock(const void *lock, const char *class)
{
	u32 slot = hash_64((uintptr_t)lock, 19);

	scale_acquisitions++;
	if (!recording)
		return;
	access_memory(lock, true, NULL);
	while (locks[slot].lock && locks[slot].lock != lock)
		slot = (slot + 1) % LOCK_SLOTS;
	if (!locks[slot].lock) {
		SIM_CHECK(nr_locks < LOCK_SLOTS / 2);
		locks[slot] = (struct lock_use){ .lock = lock, .class = class };
		used_slots[nr_locks++] = slot;
	}
	locks[slot].cpus |= 1ULL << current->cpu;
	locks[slot].taken++;
}

void scale_line_owner(u32 first, u32 nr)
{
	SIM_CHECK(first + nr < MAX_SHADOW);
	for (u32 i = first; i < first + nr; i++)
		lines[i].first = first;
}

/* What the compiler calls */

#define SCALE_ACCESS(size)						\
	void __tsan_read##size(void *p)					\
	{								\
		access_memory(p, false, __builtin_return_address(0));	\
	}								\
	void __tsan_write##size(void *p)				\
	{								\
		access_memory(p, true, __builtin_return_address(0));	\
	}

SCALE_ACCESS(1)
SCALE_ACCESS(2)
SCALE_ACCESS(4)
SCALE_ACCESS(8)
SCALE_ACCESS(16)

void __tsan_read_range(void *p, size_t size)
{
	access_memory(p, false, __builtin_return_address(0));
}

void __tsan_write_range(void *p, size_t size)
{
	for (size_t at = 0; at < size; at += WORD)
		access_memory((char *)p + at, true, __builtin_return_address(0));
}

void __tsan_init(void)
{
}

/* Names */

static struct symbol {
	uintptr_t at;
	size_t size;
	const char *name;
} *symbols;
static unsigned int nr_symbols;

static void add_symbols(const char *file, const Elf64_Shdr *table, const Elf64_Shdr *strings)
{
	const Elf64_Sym *sym = (const void *)(file + table->sh_offset);
	size_t n = table->sh_size / sizeof(*sym);

	symbols = calloc(n, sizeof(*symbols));
	SIM_CHECK(symbols);
	for (; n--; sym++)
		if (ELF64_ST_TYPE(sym->st_info) == STT_OBJECT && sym->st_size)
			symbols[nr_symbols++] = (struct symbol){
				sym->st_value, sym->st_size,
				file + strings->sh_offset + sym->st_name };
}

static void read_symbols(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	const Elf64_Ehdr *elf;
	const Elf64_Shdr *s;
	struct stat st;

	SIM_CHECK(fd >= 0 && !fstat(fd, &st));
	elf = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	SIM_CHECK(elf != MAP_FAILED);
	s = (const void *)((const char *)elf + elf->e_shoff);
	for (unsigned int i = 0; i < elf->e_shnum; i++)
		if (s[i].sh_type == SHT_SYMTAB)
			add_symbols((const char *)elf, &s[i], &s[s[i].sh_link]);
	SIM_CHECK(nr_symbols);
}

static const struct symbol *symbol_at(uintptr_t at)
{
	for (unsigned int i = 0; i < nr_symbols; i++)
		if (at - symbols[i].at < symbols[i].size)
			return &symbols[i];
	return NULL;
}

const char *scale_place(u32 pc)
{
	static char place[160];
	char command[96], function[80] = "?", file[256] = "?";
	char *end, *slash;
	FILE *out;

	/* The last function is the one into which the compiler has put the others. */
	snprintf(command, sizeof(command), "addr2line -i -f -e /proc/%d/exe %#x", getpid(), pc - 1);
	out = popen(command, "r");
	while (out && fgets(function, sizeof(function), out) && fgets(file, sizeof(file), out))
		;
	if (out)
		pclose(out);
	function[strcspn(function, "\n.")] = '\0';
	end = strchr(file, ':');
	if (end)
		*end = '\0';
	slash = strrchr(file, '/');
	snprintf(place, sizeof(place), "%s:%s", slash ? slash + 1 : file, function);
	return place;
}

/* Summing up */

static struct scale_row *row_of(const char *name, unsigned int offset, bool is_lock)
{
	struct scale_row *row;

	for (row = rows; row < &rows[nr_rows]; row++)
		if (row->is_lock == is_lock && row->offset == offset && !strcmp(row->name, name))
			return row;
	SIM_CHECK(nr_rows < SCALE_ROWS);
	*row = (struct scale_row){ .name = name, .offset = offset, .is_lock = is_lock };
	nr_rows++;
	return row;
}

static void add_to_row(struct scale_row *row, u64 cpus, u64 nr, u32 pc)
{
	unsigned int by = __builtin_popcountll(cpus), most = __builtin_popcountll(row->cpus);

	row->instances++;
	row->total += nr;
	if (by > 1)
		row->shared += nr;
	if (by > most || (by == most && nr > row->top)) {
		row->cpus = cpus;
		row->top = nr;
		row->pc = pc;
	}
}

/* The row of the line that has an address; NULL: the shims' tasks, which are parts of no kernel */
static struct scale_row *row_of_line(const void *p)
{
	size_t at = (const char *)p - scale_arena;
	const struct symbol *symbol;

	if (at < scale_arena_used) {
		u32 line = at / SCALE_LINE, first = lines[line].first;

		return row_of(scale_object_name(first), line - first, false);
	}
	symbol = symbol_at((uintptr_t)p);
	if (!symbol || !strcmp(symbol->name, "cos"))
		return NULL;
	return row_of(symbol->name, ((uintptr_t)p - symbol->at) / SCALE_LINE, false);
}

static void add_lock(const struct lock_use *use)
{
	struct scale_row *row = row_of_line(use->lock);

	add_to_row(row_of(use->class, 0, true), use->cpus, use->taken, 0);
	if (row)
		row->lock = use->class;
}

static void add_line(u32 nr)
{
	struct scale_line *line = &lines[nr];

	add_to_row(row_of_line(scale_arena + nr * SCALE_LINE), line->cpus, line->writes, line->pc);
}

/* A variable is one instance, however many of its words have been written. */
static void add_word(u32 nr)
{
	struct scale_row *row = row_of_line(__data_start + nr * WORD);

	if (!row)
		return;
	row->instances = 1;
	row->cpus |= words[nr].cpus;
	row->total += words[nr].writes;
	row->top = row->total;
	row->shared = row->cpus & (row->cpus - 1) ? row->total : 0;
	row->pc = words[nr].pc ?: row->pc;
}

static void forget(struct scale_line *line)
{
	line->cpus = 0;
	line->writes = 0;
}

static int compare(const void *a, const void *b)
{
	const struct scale_row *x = a, *y = b;

	if (x->shared != y->shared)
		return x->shared < y->shared ? 1 : -1;
	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	return strcmp(x->name, y->name) ?: (int)x->offset - (int)y->offset;
}

void scale_begin(void)
{
	nr_rows = 0;
	recording = true;
}

const struct scale_row *scale_end(unsigned int *nr)
{
	recording = false;
	for (; nr_locks; nr_locks--) {
		struct lock_use *use = &locks[used_slots[nr_locks - 1]];

		add_lock(use);
		use->lock = NULL;
	}
	for (; nr_lines; nr_lines--) {
		add_line(touched_lines[nr_lines - 1]);
		forget(&lines[touched_lines[nr_lines - 1]]);
	}
	for (; nr_words; nr_words--) {
		add_word(touched_words[nr_words - 1]);
		forget(&words[touched_words[nr_words - 1]]);
	}
	scale_mem_recycle();
	qsort(rows, nr_rows, sizeof(*rows), compare);
	*nr = nr_rows;
	return rows;
}

void scale_trace_init(void)
{
	size_t nr = (_end - __data_start) / WORD;

	lines = reserve(MAX_SHADOW * sizeof(*lines));
	touched_lines = reserve(MAX_SHADOW * sizeof(*touched_lines));
	words = reserve(nr * sizeof(*words));
	touched_words = reserve(nr * sizeof(*touched_words));
	locks = reserve(LOCK_SLOTS * sizeof(*locks));
	used_slots = reserve(LOCK_SLOTS * sizeof(*used_slots));
	read_symbols();
	scale_mem_init();
	sim_taken = take_lock;
}
