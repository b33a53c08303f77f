/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shims, first kind: functions that do nothing here.
 */
#ifndef _IOMMU_SVA_HARNESS_STUB_H
#define _IOMMU_SVA_HARNESS_STUB_H

#define __rcu
#define __uninitialized
#define likely(x)	(x)
#define unlikely(x)	(x)
#define __force
#define __user
#define __iomem
#define EXPORT_SYMBOL_GPL(name)
#define EXPORT_SYMBOL_NS_GPL(name, space)
#define MODULE_IMPORT_NS(space)

/* There is one thread, and no hardware that reads page tables. */
#define smp_mb()	do { } while (0)
#define smp_rmb()	do { } while (0)
#define smp_wmb()	do { } while (0)

/* Tasks that wait look at their signals whenever they may run. */
#define signal_wake_up(task, fatal)	do { } while (0)
#define recalc_sigpending()		do { } while (0)
/* What it protects is read and written without a point where another task may run. */
#define task_lock(task)			do { } while (0)
#define task_unlock(task)		do { } while (0)

#endif /* _IOMMU_SVA_HARNESS_STUB_H */
