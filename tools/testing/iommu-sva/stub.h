/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shims, first kind: what does nothing here.
 */
#ifndef _IOMMU_SVA_HARNESS_STUB_H
#define _IOMMU_SVA_HARNESS_STUB_H

#define __rcu
#define __uninitialized
#define likely(x)	(x)
#define __force
#define __user
#define __iomem
#define EXPORT_SYMBOL_GPL(name)
#define EXPORT_SYMBOL_NS_GPL(name, space)
#define MODULE_IMPORT_NS(space)

/* Nobody reads page tables behind the compiler's back here, and there is one thread. */
#define smp_mb()	do { } while (0)
#define smp_rmb()	do { } while (0)
#define smp_wmb()	do { } while (0)

#endif /* _IOMMU_SVA_HARNESS_STUB_H */
