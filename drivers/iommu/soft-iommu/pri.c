// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software IOMMU: page requests and responses, as an endpoint sees them
 *
 * The ledger. For each (PASID, PRG index) a struct soft_group counts the last pages that entered
 * the ring against the responses of the core. The two must be equal in the end, and the second must
 * never be ahead. Requests that the IOMMU answers itself never enter the ring: the core owes no
 * answer for them.
 *
 * The device has a view of its own: it waits for an answer (pending), has so many credits left, and
 * forgets both when it is reset. The core owes no answer to what it asked before; one that comes
 * all the same could meet a new request with the old index, and is always a violation. A request
 * carries the number of resets before it (epoch), which tells an old answer.
 *
 * Sending takes a credit for each request; the answer to a group gives all of the group's back.
 *
 * Locks: soft_endpoint.lock; soft_iommu.held_lock for responses that a test holds.
 */
#include <linux/bitmap.h>
#include <linux/jiffies.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include "soft-priv.h"

/* PRG indices have 9 bits (PCIe 6.0, section 10.4.1.1). */
#define SOFT_TAGS	512

/* Response Failure, and what must be taken for it: all codes but two. */
static bool soft_code_is_failure(int code)
{
	return code > IOMMU_PAGE_RESP_INVALID;
}

static u32 soft_group_key(ioasid_t pasid, u32 grpid)
{
	return pasid ^ (grpid << 20);
}

static struct soft_group *soft_group_find(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid)
{
	struct soft_group *group;

	lockdep_assert_held(&ep->lock);

	hash_for_each_possible(ep->groups, group, node, soft_group_key(pasid, grpid))
		if (group->pasid == pasid && group->grpid == grpid)
			return group;
	return NULL;
}

/* Makes sure that there is one. */
static int soft_group_make(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid)
{
	struct soft_group *group = kzalloc(sizeof(*group), GFP_KERNEL);

	if (!group)
		return -ENOMEM;
	group->ep = ep;
	group->pasid = pasid;
	group->grpid = grpid;
	group->code = -ENOENT;
	INIT_LIST_HEAD(&group->held);

	scoped_guard(spinlock, &ep->lock) {
		if (!soft_group_find(ep, pasid, grpid)) {
			hash_add(ep->groups, &group->node, soft_group_key(pasid, grpid));
			return 0;
		}
	}
	kfree(group);
	return 0;
}

static bool soft_pri_is_on(struct soft_endpoint *ep)
{
	lockdep_assert_held(&ep->lock);
	return !ep->unplugged && !ep->stopped && !soft_is_silent(ep) && ep->iopf;
}

/* The device's side of a request that it is about to send. */
static int soft_pri_take_credit(struct soft_endpoint *ep, struct soft_request *req)
{
	const struct iommu_fault_page_request *prm = &req->prm;
	struct soft_group *group;

	guard(spinlock)(&ep->lock);
	if (!soft_pri_is_on(ep))
		return -ENODEV;
	if (!ep->credits && !ep->lies_credits)
		return -EBUSY;

	req->epoch = ep->epoch;
	group = soft_group_find(ep, prm->pasid, prm->grpid);
	if (ep->credits) {
		ep->credits--;
		group->credits++;
	}
	if (prm->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE)
		group->pending = true;
	return 0;
}

int soft_pri_send(struct soft_endpoint *ep, const struct iommu_fault_page_request *prm)
{
	struct soft_request req = { .rid = ep->rid, .prm = *prm };
	int ret;

	ret = soft_group_make(ep, prm->pasid, prm->grpid);
	if (ret)
		return ret;
	ret = soft_pri_take_credit(ep, &req);
	if (ret)
		return ret;
	soft_prq_put(ep->iommu, &req, ep);
	return 0;
}

int soft_pri_stop_marker(struct soft_endpoint *ep, ioasid_t pasid)
{
	struct soft_request req = {
		.rid = ep->rid,
		.stop_marker = true,
		.prm.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			     IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
		.prm.pasid = pasid,
	};

	scoped_guard(spinlock, &ep->lock) {
		if (!soft_pri_is_on(ep))
			return -ENODEV;
		req.epoch = ep->epoch;
	}
	soft_prq_put(ep->iommu, &req, ep);
	return 0;
}

/* The driver lets the device send requests, or no more. */
void soft_pri_enable(struct soft_endpoint *ep)
{
	guard(spinlock)(&ep->lock);
	ep->removed = false;
	ep->iopf = true;
}

/* False if the device could send none before. */
bool soft_pri_disable(struct soft_endpoint *ep)
{
	bool was;

	scoped_guard(spinlock, &ep->lock) {
		was = ep->iopf;
		ep->iopf = false;
	}
	wake_up_all(&ep->wait);
	return was;
}

/* The core has no more answers for it. */
void soft_pri_left_queue(struct soft_endpoint *ep)
{
	guard(spinlock)(&ep->lock);
	ep->removed = true;
}

/*
 * A request is entering the ring; to a last page the core owes an answer. False: a reset has come
 * first, after which what the device sent before does not get here.
 */
bool soft_pri_enters(struct soft_endpoint *ep, const struct soft_request *req)
{
	guard(spinlock)(&ep->lock);
	if (req->epoch != ep->epoch)
		return false;
	if (!req->stop_marker && (req->prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE))
		soft_group_find(ep, req->prm.pasid, req->prm.grpid)->asked++;
	return true;
}

/* It did not get in, after all: nothing is owed. */
void soft_pri_is_lost(struct soft_endpoint *ep, const struct soft_request *req)
{
	struct soft_group *group;

	if (!(req->prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE))
		return;
	guard(spinlock)(&ep->lock);
	group = soft_group_find(ep, req->prm.pasid, req->prm.grpid);
	if (req->epoch == ep->epoch)
		group->asked--;
}

/* An answer to a request of @epoch arrives at the device. */
void soft_pri_deliver(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid, unsigned int epoch,
		      int code)
{
	struct soft_group *group;

	scoped_guard(spinlock, &ep->lock) {
		group = soft_group_find(ep, pasid, grpid);
		if (ep->unplugged || epoch != ep->epoch || !group || !group->pending)
			return;
		group->pending = false;
		group->code = code;
		ep->credits += group->credits;
		group->credits = 0;
		/* Then a function asks no more until it is reset (PCIe 6.0, section 10.4.2.2). */
		if (soft_code_is_failure(code))
			ep->stopped = true;
	}
	wake_up_all(&ep->wait);
}

static bool soft_pri_waits(const struct soft_group *group)
{
	return group && group->pending;
}

/* Writes a response of the core into the ledger. Returns false if there should be none. */
static bool soft_pri_book(struct soft_endpoint *ep, const struct iommu_page_response *resp,
			  unsigned int epoch)
{
	struct soft_group *group;
	const char *wrong = NULL;

	scoped_guard(spinlock, &ep->lock) {
		group = soft_group_find(ep, resp->pasid, resp->grpid);
		if (ep->removed)
			wrong = "after the device has left the fault queue";
		else if (epoch != ep->epoch)
			wrong = soft_pri_waits(group) ?
				"that the device forgot in a reset: it meets a new one" :
				"that the device forgot in a reset";
		else if (!group || !group->asked)
			wrong = "that was never sent";
		else if (group->answered == group->asked)
			wrong = "that has been answered already: a second response";
		else
			group->answered++;
	}
	if (wrong)
		soft_violation(ep->iommu, "%s, PASID %u: response %u for group %u %s",
			       soft_endpoint_name(ep), resp->pasid, resp->code, resp->grpid, wrong);
	return !wrong;
}

static bool soft_pri_hold(struct soft_endpoint *ep, const struct iommu_page_response *resp,
			  unsigned int epoch)
{
	struct soft_iommu *iommu = ep->iommu;
	struct soft_group *group;

	guard(spinlock)(&iommu->held_lock);
	if (!iommu->hold_responses)
		return false;
	scoped_guard(spinlock, &ep->lock)
		group = soft_group_find(ep, resp->pasid, resp->grpid);
	group->held_code = resp->code;
	group->held_epoch = epoch;
	list_move_tail(&group->held, &iommu->held);
	return true;
}

static void soft_pri_hook(struct soft_endpoint *ep, const struct iommu_page_response *resp)
{
	struct soft_iommu_event event = {
		.point = SOFT_AT_RESPONSE,
		.dev = soft_endpoint_dev(ep),
		.pasid = resp->pasid,
		.grpid = resp->grpid,
		.code = resp->code,
	};

	soft_hook(ep->iommu, &event);
}

/* The core answers a group; @epoch is that of its last page. */
void soft_pri_response(struct soft_endpoint *ep, const struct iommu_page_response *resp,
		       unsigned int epoch)
{
	struct soft_iommu *iommu = ep->iommu;
	u64 begin;

	/* A hook that is set before the request is sent is seen. */
	if (READ_ONCE(iommu->hooks[SOFT_AT_RESPONSE].fn))
		soft_pri_hook(ep, resp);

	begin = soft_silicon_begin();
	soft_meter_response(iommu, begin);
	soft_count(iommu, responses[resp->code & 15]);
	/* In numbers: a base kernel's names for them may be wrong. */
	if (resp->code != 0 && resp->code != 1 && resp->code != 15)
		soft_violation(iommu, "%s, PASID %u: response %u, which PCIe does not define",
			       soft_endpoint_name(ep), resp->pasid, resp->code);
	if (soft_pri_book(ep, resp, epoch) && !soft_pri_hold(ep, resp, epoch))
		soft_pri_deliver(ep, resp->pasid, resp->grpid, epoch, resp->code);
	soft_silicon_end(begin);
}

static bool soft_pri_holds(struct soft_endpoint *ep, ioasid_t pasid)
{
	struct soft_iommu *iommu = ep->iommu;
	struct soft_group *group;

	guard(spinlock)(&iommu->held_lock);
	if (iommu->delivering == ep)
		return true;
	list_for_each_entry(group, &iommu->held, held)
		if (group->ep == ep && (pasid == IOMMU_PASID_INVALID || group->pasid == pasid))
			return true;
	return false;
}

/* Waits until the responses that the core has sent have left; IOMMU_PASID_INVALID means all. */
void soft_pri_drain(struct soft_endpoint *ep, ioasid_t pasid)
{
	if (!wait_event_timeout(ep->wait, !soft_pri_holds(ep, pasid), SOFT_LONG_TIME))
		soft_violation(ep->iommu, "%s, PASID %u: a drain does not end",
			       soft_endpoint_name(ep), pasid);
}

/* Takes the oldest response that is held, into @resp and @epoch. */
static bool soft_pri_unhold(struct soft_iommu *iommu, struct soft_endpoint **ep,
			    struct iommu_page_response *resp, unsigned int *epoch)
{
	struct soft_group *group;

	guard(spinlock)(&iommu->held_lock);
	group = list_first_entry_or_null(&iommu->held, struct soft_group, held);
	if (!group) {
		iommu->hold_responses = false;
		return false;
	}
	list_del_init(&group->held);
	iommu->delivering = group->ep;
	*ep = group->ep;
	*epoch = group->held_epoch;
	resp->pasid = group->pasid;
	resp->grpid = group->grpid;
	resp->code = group->held_code;
	return true;
}

void soft_iommu_hold_responses(struct soft_iommu *iommu, bool hold)
{
	struct iommu_page_response resp;
	struct soft_endpoint *ep;
	unsigned int epoch;

	if (hold) {
		guard(spinlock)(&iommu->held_lock);
		iommu->hold_responses = true;
		return;
	}
	/* New ones line up behind those that are held until there are none. */
	while (soft_pri_unhold(iommu, &ep, &resp, &epoch)) {
		soft_pri_deliver(ep, resp.pasid, resp.grpid, epoch, resp.code);
		scoped_guard(spinlock, &iommu->held_lock)
			iommu->delivering = NULL;
		wake_up_all(&ep->wait);
	}
}

/* Does the device wait no more? For @code, or since @epoch has ended. */
static bool soft_pri_has_code(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid,
			      unsigned int epoch, int *code)
{
	struct soft_group *group;

	guard(spinlock)(&ep->lock);
	if (ep->unplugged || ep->epoch != epoch) {
		*code = -ENODEV;
		return true;
	}
	group = soft_group_find(ep, pasid, grpid);
	if (!group || group->pending || group->code < 0)
		return false;
	*code = group->code;
	return true;
}

static int soft_pri_wait_epoch(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid,
			       unsigned int epoch, unsigned int ms)
{
	int code = -EINPROGRESS;

	wait_event_timeout(ep->wait, soft_pri_has_code(ep, pasid, grpid, epoch, &code),
			   msecs_to_jiffies(ms));
	return code == -EINPROGRESS ? -ETIMEDOUT : code;
}

int soft_pri_wait(struct soft_endpoint *ep, ioasid_t pasid, u32 grpid, unsigned int ms)
{
	return soft_pri_wait_epoch(ep, pasid, grpid, READ_ONCE(ep->epoch), ms);
}

unsigned int soft_pri_outstanding(struct soft_endpoint *ep)
{
	struct soft_group *group;
	unsigned int nr = 0;
	int bucket;

	guard(spinlock)(&ep->lock);
	hash_for_each(ep->groups, bucket, group, node)
		nr += group->pending;
	return nr;
}

/* The DMA engine: a PRG index that nothing is outstanding for. */
static int soft_pri_get_tag(struct soft_endpoint *ep, ioasid_t pasid)
{
	struct soft_group *group;
	unsigned int tag;

	guard(spinlock)(&ep->lock);
	for (unsigned int i = 0; i < SOFT_TAGS; i++) {
		tag = ep->next_tag++ % SOFT_TAGS;
		group = soft_group_find(ep, pasid, tag);
		if (test_bit(tag, ep->tags) || (group && (group->pending || group->credits)))
			continue;
		__set_bit(tag, ep->tags);
		return tag;
	}
	return -EBUSY;
}

static void soft_pri_put_tag(struct soft_endpoint *ep, int tag)
{
	scoped_guard(spinlock, &ep->lock)
		__clear_bit(tag, ep->tags);
	wake_up_all(&ep->wait);
}

static bool soft_pri_may_send(struct soft_endpoint *ep, unsigned int epoch)
{
	guard(spinlock)(&ep->lock);
	return ep->credits || ep->lies_credits || !soft_pri_is_on(ep) || ep->epoch != epoch;
}

/* Sends a request of the DMA engine as soon as there is a credit. */
static int soft_pri_send_patiently(struct soft_endpoint *ep,
				   const struct iommu_fault_page_request *prm, unsigned int epoch)
{
	int ret;

	for (;;) {
		if (READ_ONCE(ep->epoch) != epoch)
			return -ENODEV;
		ret = soft_pri_send(ep, prm);
		if (ret != -EBUSY)
			return ret;
		if (!wait_event_timeout(ep->wait, soft_pri_may_send(ep, epoch),
					msecs_to_jiffies(READ_ONCE(ep->patience))))
			return -ETIMEDOUT;
	}
}

/*
 * Asks for a page and waits for the answer: 0 for Success, else what the DMA functions return.
 * @epoch: of resets, when the DMA began
 */
int soft_pri_ask(struct soft_endpoint *ep, ioasid_t pasid, unsigned long addr, unsigned int perm,
		 unsigned int epoch)
{
	struct iommu_fault_page_request prm = {
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID | IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
		.pasid = pasid,
		.perm = perm,
		.addr = addr & PAGE_MASK,
	};
	int tag, ret;

	tag = soft_pri_get_tag(ep, pasid);
	if (tag < 0)
		return tag;
	prm.grpid = tag;
	ret = soft_pri_send_patiently(ep, &prm, epoch);
	if (!ret)
		ret = soft_pri_wait_epoch(ep, pasid, tag, epoch, READ_ONCE(ep->patience));
	soft_pri_put_tag(ep, tag);

	if (soft_code_is_failure(ret))
		return -EIO;
	return ret == IOMMU_PAGE_RESP_INVALID ? -EFAULT : ret;
}

/* Groups that the core still owes an answer for. */
void soft_pri_account(struct soft_endpoint *ep)
{
	struct soft_group *group;
	int bucket;

	guard(spinlock)(&ep->lock);
	hash_for_each(ep->groups, bucket, group, node) {
		if (group->answered >= group->asked)
			continue;
		soft_violation(ep->iommu, "%s, PASID %u: group %u: %u responses never came",
			       soft_endpoint_name(ep), group->pasid, group->grpid,
			       group->asked - group->answered);
		/* Once is enough. */
		group->answered = group->asked;
	}
}

/* The device forgets what it has asked, and sends no more. */
void soft_pri_begin_reset(struct soft_endpoint *ep)
{
	struct soft_group *group;
	int bucket;

	scoped_guard(spinlock, &ep->lock) {
		hash_for_each(ep->groups, bucket, group, node) {
			group->pending = false;
			group->credits = 0;
			group->code = -ENOENT;
			group->asked = group->answered;
		}
		ep->credits = ep->max_credits;
		ep->stopped = false;
		WRITE_ONCE(ep->epoch, ep->epoch + 1);
		WRITE_ONCE(ep->reset, SOFT_IN_RESET);
	}
	wake_up_all(&ep->wait);
}

void soft_pri_end_reset(struct soft_endpoint *ep)
{
	scoped_guard(spinlock, &ep->lock)
		WRITE_ONCE(ep->reset, SOFT_RUNNING);
	wake_up_all(&ep->wait);
}

void soft_pri_free(struct soft_endpoint *ep)
{
	struct soft_group *group;
	struct hlist_node *next;
	int bucket;

	hash_for_each_safe(ep->groups, bucket, next, group, node) {
		scoped_guard(spinlock, &ep->iommu->held_lock)
			list_del(&group->held);
		hash_del(&group->node);
		kfree(group);
	}
}

void soft_endpoint_lie_about_credits(struct soft_endpoint *ep, bool on)
{
	scoped_guard(spinlock, &ep->lock)
		ep->lies_credits = on;
	wake_up_all(&ep->wait);
}

void soft_endpoint_lie_about_invalidations(struct soft_endpoint *ep, bool on)
{
	WRITE_ONCE(ep->lies_atc, on);
}
