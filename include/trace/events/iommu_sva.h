/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommu_sva

#if !defined(_TRACE_IOMMU_SVA_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IOMMU_SVA_H

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/tracepoint.h>

/*
 * Names and fields of these events are an interface: programs of users read them. There may be new
 * ones; Documentation/driver-api/iommu-sva.rst describes all.
 *
 * pid is that of the process at the bind, in the initial PID namespace; 0: there is no bond, or it
 * is unknown. Events look it up when they are enabled, and only then.
 */
pid_t iopf_pid_of_bond(struct device *dev, ioasid_t pasid);
u64 iopf_ns_since(u64 then);

/* The counts, by which an answer or a refusal is named */
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
	{ IOMMU_SVA_FAULT_EXITED, "exited" },		\
	{ IOMMU_SVA_FAULT_ABORTED, "aborted" }

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
TRACE_DEFINE_ENUM(IOMMU_SVA_FAULT_ABORTED);

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
		__field(pid_t, pid)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pid = iopf_pid_of_bond(dev, prm->pasid);
		__entry->pasid = prm->pasid;
		__entry->grpid = prm->grpid;
		__entry->perm = prm->perm;
		__entry->last = prm->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
		__entry->addr = prm->addr;
	),
	TP_printk("dev=%s pasid=%u group=%u addr=%#llx perm=%#x%s pid=%d", __get_str(dev),
		  __entry->pasid, __entry->grpid, __entry->addr, __entry->perm,
		  __entry->last ? " last" : "", __entry->pid)
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

/* A worker begins with a group: it has waited since the report of its last page. */
TRACE_EVENT(iopf_serve,
	TP_PROTO(struct device *dev, const struct iommu_fault_page_request *prm, pid_t pid,
		 u64 reported),
	TP_ARGS(dev, prm, pid, reported),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
		__field(u32, grpid)
		__field(u64, addr)
		__field(u64, ns)
		__field(pid_t, pid)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = prm->pasid;
		__entry->grpid = prm->grpid;
		__entry->addr = prm->addr;
		__entry->ns = iopf_ns_since(reported);
		__entry->pid = pid;
	),
	TP_printk("dev=%s pasid=%u group=%u addr=%#llx pid=%d waited=%llu ns", __get_str(dev),
		  __entry->pasid, __entry->grpid, __entry->addr, __entry->pid, __entry->ns)
);

/* A (device, PASID), or all PASIDs of a device, were drained. */
TRACE_EVENT(iopf_drain,
	TP_PROTO(struct device *dev, u32 pasid, unsigned int answered, u64 began),
	TP_ARGS(dev, pasid, answered, began),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
		__field(unsigned int, answered)
		__field(u64, ns)
		__field(pid_t, pid)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = pasid;
		__entry->answered = answered;
		__entry->ns = iopf_ns_since(began);
		__entry->pid = iopf_pid_of_bond(dev, pasid);
	),
	TP_printk("dev=%s pasid=%d pid=%d answered=%u took=%llu ns", __get_str(dev),
		  (int)__entry->pasid, __entry->pid, __entry->answered, __entry->ns)
);

/* The hardware queue has overflowed: requests may be lost. */
TRACE_EVENT(iopf_overflow,
	TP_PROTO(const char *queue, u64 overflows),
	TP_ARGS(queue, overflows),
	TP_STRUCT__entry(
		__string(queue, queue)
		__field(u64, overflows)
	),
	TP_fast_assign(
		__assign_str(queue);
		__entry->overflows = overflows;
	),
	TP_printk("queue=%s overflows=%llu", __get_str(queue), __entry->overflows)
);

/* A PASID is in quarantine, or stays there: how often the device has used it meanwhile */
TRACE_EVENT(iommu_sva_quarantine,
	TP_PROTO(struct device *dev, u32 pasid, u64 count),
	TP_ARGS(dev, pasid, count),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
		__field(u64, count)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = pasid;
		__entry->count = count;
	),
	TP_printk("dev=%s pasid=%u strays=%llu", __get_str(dev), __entry->pasid,
		  __entry->count)
);

/* Translations of [start, end) were invalidated in all IOMMUs and devices of a process. */
TRACE_EVENT(iommu_sva_invalidate,
	TP_PROTO(u32 pasid, unsigned long start, unsigned long end, u64 began),
	TP_ARGS(pasid, start, end, began),
	TP_STRUCT__entry(
		__field(u32, pasid)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->pasid = pasid;
		__entry->start = start;
		__entry->end = end;
		__entry->ns = iopf_ns_since(began);
	),
	TP_printk("pasid=%u start=%#lx end=%#lx took=%llu ns", __entry->pasid, __entry->start,
		  __entry->end, __entry->ns)
);

/* Each answer, just before it is sent. */
TRACE_EVENT(iopf_response,
	TP_PROTO(struct device *dev, const struct iommu_page_response *resp, enum iopf_count why,
		 pid_t pid, u64 reported),
	TP_ARGS(dev, resp, why, pid, reported),
	TP_STRUCT__entry(
		__string(dev, dev_name(dev))
		__field(u32, pasid)
		__field(u32, grpid)
		__field(u32, code)
		__field(u32, why)
		__field(u64, ns)
		__field(pid_t, pid)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = resp->pasid;
		__entry->grpid = resp->grpid;
		__entry->code = resp->code;
		__entry->why = why;
		__entry->ns = iopf_ns_since(reported);
		__entry->pid = pid;
	),
	TP_printk("dev=%s pasid=%u group=%u code=%u why=%s pid=%d took=%llu ns", __get_str(dev),
		  __entry->pasid, __entry->grpid, __entry->code,
		  __print_symbolic(__entry->why, IOMMU_SVA_COUNTS), __entry->pid, __entry->ns)
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
