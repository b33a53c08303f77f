/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shims, second kind: contents of the kernel's headers, re-made. They behave like the original, and
 * check more where that costs nothing.
 */
#ifndef _IOMMU_SVA_HARNESS_DUP_H
#define _IOMMU_SVA_HARNESS_DUP_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef long long s64;
typedef unsigned int gfp_t;

/* Reports a violation of a rule and aborts. */
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A point at which another CPU may run in between. */
void sim_point(const char *what);

#define ERESTARTSYS	512

/* Compiler */

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))
#define struct_size(p, member, n) \
	(sizeof(*(p)) + sizeof((p)->member[0]) * (size_t)(n))

#define READ_ONCE(x) \
	(*({ sim_point("READ_ONCE"); (const volatile __typeof__(x) *)&(x); }))
#define WRITE_ONCE(x, v) \
	do { \
		__typeof__(x) once_value = (v); \
		sim_point("WRITE_ONCE"); \
		*(volatile __typeof__(x) *)&(x) = once_value; \
	} while (0)
#define smp_store_release(p, v)	WRITE_ONCE(*(p), (v))
#define smp_load_acquire(p)	READ_ONCE(*(p))

#define SIM_EXPAND_1		0,
#define SIM_SECOND(a, b, ...)	b
#define SIM_ENABLED_(marker)	SIM_SECOND(marker 1, 0)
#define SIM_ENABLED(value)	SIM_ENABLED_(SIM_EXPAND_##value)
#define IS_ENABLED(option)	SIM_ENABLED(option)

#define SIM_PASTE_(a, b)	a##b
#define SIM_PASTE(a, b)		SIM_PASTE_(a, b)

/* Error pointers */

#define MAX_ERRNO	4095

static inline void *ERR_PTR(long error)
{
	return (void *)error;
}

static inline bool IS_ERR(const void *ptr)
{
	return (uintptr_t)ptr >= (uintptr_t)-MAX_ERRNO;
}

static inline bool IS_ERR_OR_NULL(const void *ptr)
{
	return !ptr || IS_ERR(ptr);
}

static inline long PTR_ERR(const void *ptr)
{
	return (long)ptr;
}

static inline void *ERR_CAST(const void *ptr)
{
	return (void *)ptr;
}

/* Numbers and bits */

#define BIT(n)			(1UL << (n))
#define U64_MAX			(~0ULL)
#define BITS_PER_LONG		((int)(8 * sizeof(long)))
#define BITS_PER_TYPE(t)	(8 * sizeof(t))
#define GENMASK(high, low)	((~0UL >> (BITS_PER_LONG - 1 - (high))) & (~0UL << (low)))
#define round_down(x, a)	((x) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a)	(!((x) & ((a) - 1)))
#define SZ_64K			0x10000
#define SZ_2M			0x200000
#define SZ_4M			0x400000
#define min(a, b)		((a) < (b) ? (a) : (b))
#define min3(a, b, c)		min(min(a, b), c)
/* Tests have one CPU. */
#define data_race(expression)	(expression)
#define max(a, b)		((a) > (b) ? (a) : (b))
#define clamp(v, low, high)	((v) >= (high) ? (high) : (v) <= (low) ? (low) : (v))

static inline int ilog2(unsigned long n)
{
	return BITS_PER_LONG - 1 - __builtin_clzl(n);
}

static inline unsigned long __fls(unsigned long n)
{
	return BITS_PER_LONG - 1 - __builtin_clzl(n);
}

static inline u64 mul_u64_u32_div(u64 a, u32 mul, u32 by)
{
	return (__uint128_t)a * mul / by;
}

static inline void strscpy(char *to, const char *from, size_t size)
{
	while (--size && *from)
		*to++ = *from++;
	*to = '\0';
}

static inline u32 hash_32(u32 value, unsigned int bits)
{
	return (u32)((value * 2654435769ULL) & 0xffffffffU) >> (32 - bits);
}

static inline u32 hash_64(u64 value, unsigned int bits)
{
	return (value * 0x9e3779b97f4a7c15ULL) >> (64 - bits);
}

static inline unsigned int hweight_long(unsigned long word)
{
	return __builtin_popcountl(word);
}

static inline void __set_bit(unsigned long nr, unsigned long *word)
{
	word[nr / BITS_PER_LONG] |= 1UL << nr % BITS_PER_LONG;
}

static inline void __clear_bit(unsigned long nr, unsigned long *word)
{
	word[nr / BITS_PER_LONG] &= ~(1UL << nr % BITS_PER_LONG);
}

static inline bool test_bit(unsigned long nr, const unsigned long *word)
{
	return word[nr / BITS_PER_LONG] >> nr % BITS_PER_LONG & 1;
}

static inline bool __test_and_clear_bit(unsigned long nr, unsigned long *word)
{
	bool was = test_bit(nr, word);

	__clear_bit(nr, word);
	return was;
}

#define BITMAP_WORDS(bits)	(((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits)	unsigned long name[BITMAP_WORDS(bits)]

static inline void bitmap_zero(unsigned long *bitmap, unsigned int bits)
{
	memset(bitmap, 0, BITMAP_WORDS(bits) * sizeof(*bitmap));
}

static inline unsigned int bitmap_weight(const unsigned long *bitmap, unsigned int bits)
{
	unsigned int weight = 0;

	for (unsigned int nr = 0; nr < bits; nr++)
		weight += test_bit(nr, bitmap);
	return weight;
}

static inline void bitmap_shift_right(unsigned long *dst, const unsigned long *src,
				      unsigned int shift, unsigned int bits)
{
	for (unsigned int nr = 0; nr < bits; nr++) {
		if (nr + shift < bits && test_bit(nr + shift, src))
			__set_bit(nr, dst);
		else
			__clear_bit(nr, dst);
	}
}

static inline void __assign_bit(unsigned long nr, unsigned long *word, bool value)
{
	if (value)
		__set_bit(nr, word);
	else
		__clear_bit(nr, word);
}

/* Word by word, so that what the core does for each bit can be counted. */
static inline unsigned long find_next_bit(const unsigned long *word, unsigned long size,
					  unsigned long nr)
{
	while (nr < size) {
		unsigned long rest = word[nr / BITS_PER_LONG] >> nr % BITS_PER_LONG;

		if (rest)
			return min(nr + __builtin_ctzl(rest), size);
		nr = (nr / BITS_PER_LONG + 1) * BITS_PER_LONG;
	}
	return size;
}

#define for_each_set_bit_from(bit, word, size) \
	for (; (bit) = find_next_bit(word, size, bit), (bit) < (size); (bit)++)

static inline unsigned long find_next_zero_bit(const unsigned long *word, unsigned long size,
					       unsigned long nr)
{
	while (nr < size) {
		unsigned long rest = ~word[nr / BITS_PER_LONG] >> nr % BITS_PER_LONG;

		if (rest)
			return min(nr + __builtin_ctzl(rest), size);
		nr = (nr / BITS_PER_LONG + 1) * BITS_PER_LONG;
	}
	return size;
}

#define for_each_set_bit(bit, word, size) \
	for ((bit) = 0; (bit) = find_next_bit(word, size, bit), (bit) < (size); (bit)++)

static inline unsigned long find_first_bit(const unsigned long *word, unsigned long size)
{
	for (unsigned long nr = 0; nr < size; nr++)
		if (test_bit(nr, word))
			return nr;
	return size;
}

/* Lists; a removed entry is poisoned, and neighbours must agree about each other. */

#define LIST_POISON	((void *)0xdead000000000100)

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

#define LIST_HEAD(name)	struct list_head name = { &(name), &(name) }

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->prev = head;
	head->next = head;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void sim_list_insert(struct list_head *new, struct list_head *prev,
				   struct list_head *next)
{
	if (prev->next != next || next->prev != prev)
		sim_fail("list corrupted at an insertion");
	if (prev == new || next == new)
		sim_fail("list entry inserted twice");
	*new = (struct list_head){ .next = next, .prev = prev };
	next->prev = new;
	prev->next = new;
}

static inline void sim_list_remove(struct list_head *entry)
{
	if (entry->next == LIST_POISON)
		sim_fail("list entry removed twice");
	if (entry->prev->next != entry || entry->next->prev != entry)
		sim_fail("list corrupted at a removal");
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
}

static inline void list_add(struct list_head *new, struct list_head *head)
{
	sim_list_insert(new, head, head->next);
}

static inline void list_add_tail(struct list_head *new, struct list_head *head)
{
	sim_list_insert(new, head->prev, head);
}

static inline void list_del(struct list_head *entry)
{
	sim_list_remove(entry);
	entry->next = LIST_POISON;
	entry->prev = LIST_POISON;
}

static inline void list_del_init(struct list_head *entry)
{
	sim_list_remove(entry);
	INIT_LIST_HEAD(entry);
}

static inline void list_move(struct list_head *entry, struct list_head *head)
{
	sim_list_remove(entry);
	list_add(entry, head);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *head)
{
	sim_list_remove(entry);
	list_add_tail(entry, head);
}

static inline size_t list_count_nodes(const struct list_head *head)
{
	size_t nr = 0;

	for (const struct list_head *at = head->next; at != head; at = at->next)
		nr++;
	return nr;
}

static inline int list_is_last(const struct list_head *entry, const struct list_head *head)
{
	return entry->next == head;
}

static inline void list_splice_init(struct list_head *list, struct list_head *head)
{
	while (!list_empty(list))
		list_move(list->prev, head);
}

/*
 * Readers may still use a removed entry: its next pointer stays. Writers that hold no lock meet
 * between a look at the list and its change.
 */
static inline void list_del_rcu(struct list_head *entry)
{
	struct list_head *prev = entry->prev, *next = entry->next;

	sim_point("list_del_rcu");
	if (entry->prev != prev || entry->next != next)
		sim_fail("list changed by two at once");
	sim_list_remove(entry);
	entry->prev = LIST_POISON;
}

static inline void list_add_rcu(struct list_head *new, struct list_head *head)
{
	struct list_head *next = head->next;

	sim_point("list_add_rcu");
	if (head->next != next)
		sim_fail("list changed by two at once");
	list_add(new, head);
}

#define list_entry(ptr, type, member)		container_of(ptr, type, member)
#define list_first_entry(head, type, member)	list_entry((head)->next, type, member)
#define list_last_entry(head, type, member)	list_entry((head)->prev, type, member)
#define list_next_entry(pos, member)	list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_first_entry(head, type, member))

#define list_for_each_entry(pos, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member); \
	     &pos->member != (head); pos = list_next_entry(pos, member))

#define list_for_each_entry_safe(pos, next_pos, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member), \
	     next_pos = list_next_entry(pos, member); \
	     &pos->member != (head); pos = next_pos, next_pos = list_next_entry(next_pos, member))

static inline void hlist_add_head(struct hlist_node *node, struct hlist_head *head)
{
	node->next = head->first;
	node->pprev = &head->first;
	if (head->first)
		head->first->pprev = &node->next;
	head->first = node;
}

static inline bool hlist_unhashed(const struct hlist_node *node)
{
	return !node->pprev;
}

static inline void hlist_del_init(struct hlist_node *node)
{
	if (hlist_unhashed(node))
		return;
	if (*node->pprev != node)
		sim_fail("hash list corrupted at a removal");
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
	*node = (struct hlist_node){};
}

#define sim_hlist_entry(ptr, pos, member) \
	((ptr) ? container_of(ptr, __typeof__(*(pos)), member) : NULL)

#define hlist_for_each_entry(pos, head, member) \
	for (pos = sim_hlist_entry((head)->first, pos, member); \
	     pos; pos = sim_hlist_entry(pos->member.next, pos, member))

#define hlist_for_each_entry_safe(pos, n, head, member) \
	for (pos = sim_hlist_entry((head)->first, pos, member); \
	     pos && ({ n = pos->member.next; 1; }); \
	     pos = sim_hlist_entry(n, pos, member))

/* Automatic release, as <linux/cleanup.h> has it */

#define DEFINE_FREE(name, type, expr) \
	static inline void sim_free_##name(void *p) { type _T = *(type *)p; expr; }
#define __free(name)	__attribute__((cleanup(sim_free_##name)))

/* Guards: sim_guard_KIND() takes and sim_unguard_KIND() drops a lock of that kind. */
#define guard(kind) \
	struct sim_guard_##kind SIM_PASTE(guard_, __LINE__) \
		__attribute__((cleanup(sim_unguard_##kind), unused)) = sim_guard_##kind
#define scoped_guard(kind, ...) \
	for (struct sim_guard_##kind scope __attribute__((cleanup(sim_unguard_##kind))) = \
	     sim_guard_##kind(__VA_ARGS__), *once = &scope; once; once = NULL)

#endif /* _IOMMU_SVA_HARNESS_DUP_H */
