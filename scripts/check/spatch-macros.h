/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For spatch, which expands no macros and passes over functions that it can't parse: how it is to
 * read those of the kernel that are no C.
 */
#define scoped_guard		YACFE_ITERATOR
#define scoped_cond_guard	YACFE_ITERATOR
#define __uninitialized
#define VISIBLE_IF_KUNIT	static
