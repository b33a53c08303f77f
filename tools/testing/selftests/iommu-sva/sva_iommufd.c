// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd hands page requests of a nested domain to user space: the other handler of the fault
 * queue. Its mock device stands in for hardware. VT-d must be off: it would take over the mock bus.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/iommufd.h>
#include "kselftest_harness.h"
#include "iommufd_test.h"

#define MOCK_PASID	1
#define PAGE		4096UL

struct mock {
	int fd;
	int faults;
	__u32 ioas;
	__u32 device;
	__u32 attachment;
	__u32 parent;
	__u32 nested;
};

FIXTURE(iommufd) {
	struct mock mock;
};

static int replace_domain(struct mock *m, __u32 id)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
		.id = m->attachment,
		.mock_domain_replace.pt_id = id,
	};

	return ioctl(m->fd, IOMMU_TEST_CMD, &cmd);
}

static int request_page(struct mock *m, __u32 group)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_TRIGGER_IOPF,
		.trigger_iopf = {
			.dev_id = m->device,
			.pasid = MOCK_PASID,
			.grpid = group,
			.perm = IOMMU_PGFAULT_PERM_READ,
			.addr = group * PAGE,
		},
	};

	return ioctl(m->fd, IOMMU_TEST_CMD, &cmd);
}

/* True if the queue takes an answer to the request with this cookie. */
static bool answer(struct mock *m, __u32 cookie)
{
	struct iommu_hwpt_page_response response = {
		.cookie = cookie,
		.code = IOMMUFD_PAGE_RESP_SUCCESS,
	};

	return write(m->faults, &response, sizeof(response)) == sizeof(response);
}

FIXTURE_SETUP(iommufd)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_fault_alloc queue = { .size = sizeof(queue) };
	struct iommu_hwpt_alloc hwpt = { .size = sizeof(hwpt) };
	struct iommu_test_cmd cmd = { .size = sizeof(cmd), .op = IOMMU_TEST_OP_MOCK_DOMAIN };
	struct mock *m = &self->mock;

	m->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (m->fd < 0)
		SKIP(return, "no /dev/iommu: this kernel is built without iommufd");

	ASSERT_EQ(0, ioctl(m->fd, IOMMU_IOAS_ALLOC, &ioas));
	m->ioas = ioas.out_ioas_id;
	cmd.id = m->ioas;
	ASSERT_EQ(0, ioctl(m->fd, IOMMU_TEST_CMD, &cmd));
	m->attachment = cmd.mock_domain.out_stdev_id;
	m->device = cmd.mock_domain.out_idev_id;
	ASSERT_EQ(0, ioctl(m->fd, IOMMU_FAULT_QUEUE_ALLOC, &queue));
	m->faults = queue.out_fault_fd;

	hwpt.dev_id = m->device;
	hwpt.pt_id = m->ioas;
	hwpt.flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
	ASSERT_EQ(0, ioctl(m->fd, IOMMU_HWPT_ALLOC, &hwpt));
	m->parent = hwpt.out_hwpt_id;

	hwpt.pt_id = m->parent;
	hwpt.flags = IOMMU_HWPT_FAULT_ID_VALID;
	hwpt.fault_id = queue.out_fault_id;
	hwpt.data_type = IOMMU_HWPT_DATA_SELFTEST;
	hwpt.data_len = sizeof(data);
	hwpt.data_uptr = (uintptr_t)&data;
	ASSERT_EQ(0, ioctl(m->fd, IOMMU_HWPT_ALLOC, &hwpt));
	m->nested = hwpt.out_hwpt_id;
	ASSERT_EQ(0, replace_domain(m, m->nested));
}

FIXTURE_TEARDOWN(iommufd)
{
	struct mock *m = &self->mock;

	if (m->faults > 0)
		close(m->faults);
	if (m->fd >= 0)
		close(m->fd);
}

TEST_F(iommufd, user_answers_requests_in_any_order_and_once)
{
	struct iommu_hwpt_pgfault fault[3];
	struct mock *m = &self->mock;
	__u32 i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, request_page(m, i + 1));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(sizeof(fault[i]), read(m->faults, &fault[i], sizeof(fault[i])));
		EXPECT_EQ(MOCK_PASID, fault[i].pasid);
		EXPECT_EQ(i + 1, fault[i].grpid);
		EXPECT_EQ((i + 1) * PAGE, fault[i].addr);
	}
	for (i = 3; i-- > 0;) {
		EXPECT_TRUE(answer(m, fault[i].cookie));
		EXPECT_FALSE(answer(m, fault[i].cookie));
	}
}

/* More rounds than the device has room for requests: all room comes back. */
TEST_F(iommufd, answered_requests_give_their_room_back)
{
	struct mock *m = &self->mock;
	struct iommu_hwpt_pgfault fault;
	__u32 i;

	for (i = 1; i <= 1000; i++) {
		ASSERT_EQ(0, request_page(m, i % 500));
		ASSERT_EQ(sizeof(fault), read(m->faults, &fault, sizeof(fault)));
		ASSERT_EQ(i % 500, fault.grpid);
		ASSERT_TRUE(answer(m, fault.cookie));
	}
}

/* Detaching answers the requests that user space has not read, or has read but not answered. */
TEST_F(iommufd, detach_answers_what_the_user_has_not)
{
	struct mock *m = &self->mock;
	struct iommu_hwpt_pgfault fault;

	ASSERT_EQ(0, request_page(m, 1));
	ASSERT_EQ(0, request_page(m, 2));
	ASSERT_EQ(sizeof(fault), read(m->faults, &fault, sizeof(fault)));
	ASSERT_EQ(0, replace_domain(m, m->parent));
	EXPECT_FALSE(answer(m, fault.cookie));
	ASSERT_EQ(0, replace_domain(m, m->nested));
	ASSERT_EQ(0, request_page(m, 3));
	ASSERT_EQ(sizeof(fault), read(m->faults, &fault, sizeof(fault)));
	EXPECT_EQ(3, fault.grpid);
	EXPECT_TRUE(answer(m, fault.cookie));
}

TEST_HARNESS_MAIN
