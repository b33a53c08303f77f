// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nothing is left of all the other suites
 *
 * The last suite to be linked is the last to run. On a kernel with kmemleak it looks for memory
 * that nothing points to any more; a report names the function that has allocated it.
 */
#include <linux/delay.h>
#include <linux/init.h>

#include "sva_kunit.h"

#define KMEMLEAK	"kernel/debug/kmemleak"
/* kmemleak takes no notice of what is younger than five seconds. */
#define LEAK_AGE_MS	6000

/* A leak is what two scans find; the second must see objects that have come of age. */
static void no_memory_is_lost(struct kunit *test)
{
	char *report;

	if (!IS_ENABLED(CONFIG_DEBUG_KMEMLEAK))
		kunit_skip(test, "this kernel has no kmemleak");
	if (strstr(saved_command_line, "kmemleak=off"))
		kunit_skip(test, "the command line turns kmemleak off");
	report = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, report);

	sva_sysfs_put(test, KMEMLEAK, "scan");
	msleep(LEAK_AGE_MS);
	sva_sysfs_put(test, KMEMLEAK, "scan");
	KUNIT_ASSERT_GE(test, sva_sysfs_get(test, KMEMLEAK, report, PAGE_SIZE), 0L);
	KUNIT_EXPECT_STREQ(test, report, "");
}

static struct kunit_case sva_leaks_cases[] = {
	KUNIT_CASE_SLOW(no_memory_is_lost),
	{}
};

static struct kunit_suite sva_leaks_suite = {
	.name = "iommu_sva_leaks",
	.init = sva_fixture_init,
	.exit = sva_fixture_exit,
	.test_cases = sva_leaks_cases,
};

kunit_test_suite(sva_leaks_suite);
