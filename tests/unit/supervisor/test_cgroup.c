/*
 * test_cgroup.c: the memory limit of control groups, version 1, version 2 and both, of pretended files.
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "supervisor/sup_cgroup.h"

static char dir[64];

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/objm-cgroup.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file below `dir`, with the directories above it. */
static void file(const char *path, const char *text)
{
	char full[256];

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	for (char *s = strchr(full + strlen(dir) + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		(void)mkdir(full, 0700);
		*s = '/';
	}
	FILE *f = fopen(full, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static uint64_t limit(const char *groups)
{
	char proc[128], sys[128];

	file("proc", groups);
	(void)snprintf(proc, sizeof(proc), "%s/proc", dir);
	(void)snprintf(sys, sizeof(sys), "%s/sys", dir);
	return sup_cgroup_memory(proc, sys);
}

static void test_version_2(void **state)
{
	(void)state;
	file("sys/cgroup.controllers", "memory\n");
	assert_true(limit("0::/a.slice/b.service\n") == UINT64_MAX); /* nothing says anything */
	file("sys/a.slice/b.service/memory.max", "max\n");
	assert_true(limit("0::/a.slice/b.service\n") == UINT64_MAX);
	file("sys/a.slice/memory.max", "1000000000\n");
	assert_int_equal(limit("0::/a.slice/b.service\n"), 1000000000); /* that of the group above holds too */
	file("sys/a.slice/b.service/memory.max", "300000000\n");
	assert_int_equal(limit("0::/a.slice/b.service\n"), 300000000);
	assert_int_equal(limit("0::/a.slice/c.service\n"), 1000000000);
	assert_true(limit("0::/\n") == UINT64_MAX);
	file("sys/memory.max", "77\n");
	assert_int_equal(limit("0::/\n"), 77); /* a container's own root */
	assert_int_equal(limit("0::/../../x\n"), 77);
}

static void test_version_1(void **state)
{
	(void)state;
	file("sys/memory/memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(limit("3:cpu,cpuacct:/x\n2:memory:/x\n") == UINT64_MAX);
	file("sys/memory/x/memory.limit_in_bytes", "400000000\n");
	assert_int_equal(limit("3:cpu,cpuacct:/y\n2:memory:/x\n"), 400000000);
	assert_int_equal(limit("2:hugetlb,memory:/x\n"), 400000000);
	assert_true(limit("2:memoryless:/x\n") == UINT64_MAX);
	/* both at once: the memory controller is version 1's */
	file("sys/unified/x/cgroup.procs", "");
	assert_int_equal(limit("2:memory:/x\n0::/x\n"), 400000000);
	file("sys/unified/x/memory.max", "300000000\n");
	assert_int_equal(limit("2:memory:/x\n0::/x\n"), 300000000);
}

static void test_nonsense(void **state)
{
	static const char *const lines[] = { "", "\n", "x", "1:memory", ":::", "0::", "1::\n2:\n", "2:memory:\n" };

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(lines); i++)
		assert_true(limit(lines[i]) == UINT64_MAX);
	assert_true(sup_cgroup_memory("/nowhere", "/nowhere") == UINT64_MAX);
}

static void test_room(void **state)
{
	struct om_conf_backend tiers[3] = { { .type = OM_TIER_MEMORY }, { .type = OM_TIER_SSD }, { .type = OM_TIER_SSD } };
	struct om_conf conf = { .backends = tiers, .n_backends = 3 };
	const uint64_t mib = 1 << 20;

	(void)state;
	conf.thread_pool.min_workers = conf.thread_pool.max_workers = 4;
	assert_true(sup_cgroup_room(&conf, UINT64_MAX) == UINT64_MAX);
	assert_int_equal(sup_cgroup_room(&conf, 200 * mib), 100 * mib); /* index 12, supervisor 24, lifecycle 16, four workers 48 */
	tiers[2].type = OM_TIER_MEMORY;
	assert_int_equal(sup_cgroup_room(&conf, 200 * mib), 50 * mib);
	assert_int_equal(sup_cgroup_room(&conf, 50 * mib), mib); /* too little for all of it: the least that a tier may have */
	tiers[0].type = tiers[2].type = OM_TIER_SSD;
	assert_true(sup_cgroup_room(&conf, 50 * mib) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_version_2), T(test_version_1), T(test_nonsense), T(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
