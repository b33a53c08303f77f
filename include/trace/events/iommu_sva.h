/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommu_sva

#if !defined(_TRACE_IOMMU_SVA_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IOMMU_SVA_H

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/tracepoint.h>

/* Who answered a group, or refused to make one. */
#define IOMMU_SVA_COUNTS				\
	{ IOPF_SERVED, "served" },			\
	{ IOPF_FAILED, "failed" },			\
	{ IOPF_EXITED, "exited" },			\
	{ IOPF_DRAINED, "drained" },			\
	{ IOPF_TIMED_OUT, "timed out" },		\
	{ IOPF_STRAY, "stray" },			\
	{ IOPF_OVERRUN, "overrun" }

#define IOMMU_SVA_REASONS				\
	{ IOMMU_SVA_FAULT_NO_MAPPING, "no mapping" },	\
	{ IOMMU_SVA_FAULT_NO_ACCESS, "no access" },	\
	{ IOMMU_SVA_FAULT_NO_PAGE, "no page" },		\
	{ IOMMU_SVA_FAULT_TIMEOUT, "timeout" },		\
	{ IOMMU_SVA_FAULT_EXITED, "exited" }

/* So that user space can tell the names */
TRACE_DEFINE_ENUM(IOPF_SERVED);
TRACE_DEFINE_ENUM(IOPF_FAILED);
TRACE_DEFINE_ENUM(IOPF_EXITED);
TRACE_DEFINE_ENUM(IOPF_DRAINED);
TRACE_DEFINE_ENUM(IOPF_TIMED_OUT);
TRACE_DEFINE_ENUM(IOPF_STRAY);
TRACE_DEFINE_ENUM(IOPF_OVERRUN);
TRACE_DEFINE_ENUM(IOMMU_SVA_FAULT_NO_MAPPING);
TRACE_DEFINE_ENUM(IOMMU_SVA_FAULT_NO_ACCESS);
TRACE_DEFINE_ENUM(IOMMU_SVA_FAULT_NO_PAGE);
TRACE_DEFINE_ENUM(IOMMU_SVA_FAULT_TIMEOUT);
TRACE_DEFINE_ENUM(IOMMU_SVA_FAULT_EXITED);

DECLARE_EVENT_CLASS(iommu_sva_bond,
	TP_PROTO(struct device *dev, u32 pasid),
	TP_ARGS(dev, pasid),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = pasid;
	),
	TP_printk("dev=%s pasid=%u", __get_str(dev), __entry->pasid)
);

/* A first bind of a (device, PASID), and the end of the last one. */
DEFINE_EVENT(iommu_sva_bond, iommu_sva_bind,
	TP_PROTO(struct device *dev, u32 pasid),
	TP_ARGS(dev, pasid)
);

DEFINE_EVENT(iommu_sva_bond, iommu_sva_unbind,
	TP_PROTO(struct device *dev, u32 pasid),
	TP_ARGS(dev, pasid)
);

/* What is told to the listeners of a bond. */
TRACE_EVENT(iommu_sva_fault,
	TP_PROTO(struct device *dev, u32 pasid, const struct iommu_sva_fault *fault),
	TP_ARGS(dev, pasid, fault),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
		__field(u64, addr)
		__field(u32, perm)
		__field(u32, reason)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = pasid;
		__entry->addr = fault->addr;
		__entry->perm = fault->perm;
		__entry->reason = fault->reason;
	),
	TP_printk("dev=%s pasid=%u addr=%#llx perm=%#x reason=%s", __get_str(dev),
		  __entry->pasid, __entry->addr, __entry->perm,
		  __print_symbolic(__entry->reason, IOMMU_SVA_REASONS))
);

DECLARE_EVENT_CLASS(iopf_request,
	TP_PROTO(struct device *dev, const struct iommu_fault_page_request *prm),
	TP_ARGS(dev, prm),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
		__field(u32, grpid)
		__field(u32, perm)
		__field(bool, last)
		__field(u64, addr)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = prm->pasid;
		__entry->grpid = prm->grpid;
		__entry->perm = prm->perm;
		__entry->last = prm->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
		__entry->addr = prm->addr;
	),
	TP_printk("dev=%s pasid=%u group=%u addr=%#llx perm=%#x%s", __get_str(dev),
		  __entry->pasid, __entry->grpid, __entry->addr, __entry->perm,
		  __entry->last ? " last" : "")
);

/* Each page request that a device on a fault queue has sent. */
DEFINE_EVENT(iopf_request, iopf_request,
	TP_PROTO(struct device *dev, const struct iommu_fault_page_request *prm),
	TP_ARGS(dev, prm)
);

/* One that came with a PASID that is not bound. */
DEFINE_EVENT(iopf_request, iopf_stray,
	TP_PROTO(struct device *dev, const struct iommu_fault_page_request *prm),
	TP_ARGS(dev, prm)
);

/* A window was opened for a stream: how many pages were wanted, and how many were mapped. */
TRACE_EVENT(iommu_sva_ahead,
	TP_PROTO(const struct iommu_fault_page_request *prm, unsigned int wanted,
		 unsigned int mapped),
	TP_ARGS(prm, wanted, mapped),
	TP_STRUCT__entry(
		__field(u32, pasid)
		__field(u32, perm)
		__field(u64, addr)
		__field(unsigned int, wanted)
		__field(unsigned int, mapped)
	),
	TP_fast_assign(
		__entry->pasid = prm->pasid;
		__entry->perm = prm->perm;
		__entry->addr = prm->addr;
		__entry->wanted = wanted;
		__entry->mapped = mapped;
	),
	TP_printk("pasid=%u addr=%#llx perm=%#x wanted=%u mapped=%u", __entry->pasid,
		  __entry->addr, __entry->perm, __entry->wanted, __entry->mapped)
);

/* Each answer, just before it is sent. */
TRACE_EVENT(iopf_response,
	TP_PROTO(struct device *dev, const struct iommu_page_response *resp, enum iopf_count why),
	TP_ARGS(dev, resp, why),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
		__field(u32, grpid)
		__field(u32, code)
		__field(u32, why)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = resp->pasid;
		__entry->grpid = resp->grpid;
		__entry->code = resp->code;
		__entry->why = why;
	),
	TP_printk("dev=%s pasid=%u group=%u code=%u why=%s", __get_str(dev), __entry->pasid,
		  __entry->grpid, __entry->code,
		  __print_symbolic(__entry->why, IOMMU_SVA_COUNTS))
);

/* A device goes into a reset, or comes out of it. */
TRACE_EVENT(iopf_reset,
	TP_PROTO(struct device *dev, bool begins),
	TP_ARGS(dev, begins),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(bool, begins)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->begins = begins;
	),
	TP_printk("dev=%s %s", __get_str(dev), __entry->begins ? "begins" : "ends")
);

#endif /* _TRACE_IOMMU_SVA_H */

#include <trace/define_trace.h>
