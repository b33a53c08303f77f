// SPDX-License-Identifier: GPL-2.0-only
/*
 * Settings of the system and swap space, for a test and no longer
 *
 * A process of the fixture, the clerk, makes the system calls: files below /sys and /proc have no
 * other way in.
 */
#include <linux/blkdev.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/major.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/unistd.h>

#include "sva_kunit_priv.h"

#define SVA_RAM_DISK	"/dev/ram0"
#define SVA_KHUGEPAGED	"kernel/mm/transparent_hugepage/khugepaged/"

/* Settings of the system */

static struct sva_proc *sva_clerk(struct kunit *test)
{
	struct bench *bench = to_bench(test);
	static const char * const where[][2] = {
		{ "sysfs", "/sys" }, { "debugfs", "/sys/kernel/debug" }, { "proc", "/proc" },
	};
	struct sva_proc *clerk = bench->clerk;
	long ret;

	if (clerk)
		return clerk;
	clerk = sva_proc_start(test);
	for (int i = 0; i < ARRAY_SIZE(where); i++) {
		unsigned long type = clerk->scratch, dir = type + 32;
		char text[64] = {};

		strscpy(text, where[i][0], 32);
		strscpy(text + 32, where[i][1], 32);
		sva_proc_pass(clerk, text, sizeof(text));
		sva_proc_syscall(clerk, __NR_mkdirat, AT_FDCWD, dir, 0755, 0, 0, 0);
		/* It stays mounted for the tests to come. */
		ret = sva_proc_syscall(clerk, __NR_mount, type, dir, type, 0, 0, 0);
		KUNIT_ASSERT_TRUE_MSG(test, !ret || ret == -EBUSY, "mount %s: %ld", where[i][0],
				      ret);
	}
	bench->clerk = clerk;
	return clerk;
}

/* Reads or writes a whole file; returns the length or -errno. */
static long sva_file_io(struct sva_proc *clerk, const char *path, char *buf, size_t len, bool write)
{
	unsigned long user;
	long fd, ret;

	user = sva_proc_string(clerk, path);
	fd = sva_proc_syscall(clerk, __NR_openat, AT_FDCWD, user, write ? O_WRONLY : O_RDONLY, 0, 0,
			      0);
	if (fd < 0)
		return fd;
	if (write)
		sva_proc_pass(clerk, buf, len);
	ret = sva_proc_syscall(clerk, write ? __NR_write : __NR_read, fd, user, len, 0, 0, 0);
	if (!write && ret > 0 && sva_proc_read(clerk, user, buf, ret))
		ret = -EFAULT;
	sva_proc_syscall(clerk, __NR_close, fd, 0, 0, 0, 0, 0);
	return ret;
}

/* "always [madvise] never" has the value madvise. */
static void sva_setting_value(char *text)
{
	char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;

	if (close) {
		*close = 0;
		memmove(text, open + 1, close - open);
	}
	strim(text);
}

static void sva_setting_path(const char *path, char *full, size_t len)
{
	/* /proc/sys has no other name. */
	if (path[0] == '/')
		strscpy(full, path, len);
	else
		scnprintf(full, len, "/sys/%s", path);
}

long sva_sysfs_get(struct kunit *test, const char *path, char *buf, size_t len)
{
	char full[96];
	long ret;

	sva_setting_path(path, full, sizeof(full));
	ret = sva_file_io(sva_clerk(test), full, buf, len - 1, false);
	buf[max(ret, 0L)] = 0;
	return ret;
}

void sva_sysfs_put(struct kunit *test, const char *path, const char *value)
{
	char full[96];
	long ret;

	sva_setting_path(path, full, sizeof(full));
	ret = sva_file_io(sva_clerk(test), full, (char *)value, strlen(value), true);
	KUNIT_EXPECT_EQ_MSG(test, ret, (long)strlen(value), "%s <- %s", path, value);
}

void sva_sysfs_set(struct kunit *test, const char *path, const char *value)
{
	struct bench_setting *setting;
	long ret;

	setting = kzalloc(sizeof(*setting), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, setting);
	strscpy(setting->path, path);
	ret = sva_sysfs_get(test, path, setting->old, sizeof(setting->old));
	if (ret < 0) {
		kfree(setting);
		KUNIT_FAIL(test, "%s: %ld", path, ret);
		return;
	}
	sva_setting_value(setting->old);
	list_add(&setting->node, &to_bench(test)->settings);
	sva_sysfs_put(test, path, value);
}

/* It keeps an mm between two parts of its work, and for a minute if memory was scarce. */
void sva_hurry_khugepaged(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		return;
	sva_sysfs_set(test, SVA_KHUGEPAGED "scan_sleep_millisecs", "10");
	sva_sysfs_set(test, SVA_KHUGEPAGED "alloc_sleep_millisecs", "10");
}

void sva_settings_back(struct bench *bench)
{
	struct bench_setting *setting, *next;

	list_for_each_entry_safe(setting, next, &bench->settings, node) {
		sva_sysfs_put(bench->fx.test, setting->path, setting->old);
		list_del(&setting->node);
		kfree(setting);
	}
}

/* Swap space */

/* The first page of a swap area, as mkswap(8) writes it. */
static void sva_swap_header(struct kunit *test, unsigned int pages)
{
	struct sva_proc *clerk = sva_clerk(test);
	union swap_header *header = kzalloc(PAGE_SIZE, GFP_KERNEL);
	unsigned long user;
	long fd, ret;

	KUNIT_ASSERT_NOT_NULL(test, header);
	header->info.version = 1;
	header->info.last_page = pages;
	memcpy(header->magic.magic, "SWAPSPACE2", 10);

	user = sva_proc_string(clerk, SVA_RAM_DISK);
	fd = sva_proc_syscall(clerk, __NR_openat, AT_FDCWD, user, O_RDWR, 0, 0, 0);
	sva_proc_pass(clerk, header, PAGE_SIZE);
	ret = sva_proc_syscall(clerk, __NR_write, fd, user, PAGE_SIZE, 0, 0, 0);
	sva_proc_syscall(clerk, __NR_close, fd, 0, 0, 0, 0, 0);
	kfree(header);
	KUNIT_ASSERT_EQ_MSG(test, ret, (long)PAGE_SIZE, "%s (%ld)", SVA_RAM_DISK, fd);
}

void sva_swap_on(struct kunit *test, unsigned int pages)
{
	struct sva_proc *clerk = sva_clerk(test);
	unsigned long path;

	path = sva_proc_string(clerk, "/dev");
	sva_proc_syscall(clerk, __NR_mkdirat, AT_FDCWD, path, 0755, 0, 0, 0);
	path = sva_proc_string(clerk, SVA_RAM_DISK);
	sva_proc_syscall(clerk, __NR_mknodat, AT_FDCWD, path, S_IFBLK | 0600,
			 new_encode_dev(MKDEV(RAMDISK_MAJOR, 0)), 0, 0);
	sva_swap_header(test, pages);

	path = sva_proc_string(clerk, SVA_RAM_DISK);
	KUNIT_ASSERT_EQ(test, sva_proc_syscall(clerk, __NR_swapon, path, 0, 0, 0, 0, 0), 0);
	to_bench(test)->swap = true;
}

void sva_swap_off(struct bench *bench)
{
	unsigned long path;

	if (!bench->swap)
		return;
	path = sva_proc_string(bench->clerk, SVA_RAM_DISK);
	KUNIT_EXPECT_EQ(bench->fx.test,
			sva_proc_syscall(bench->clerk, __NR_swapoff, path, 0, 0, 0, 0, 0), 0);
	bench->swap = false;
}
