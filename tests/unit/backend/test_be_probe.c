/*
 * test_be_probe.c: the probe tells what the filesystem does. The one that matters most: overlayfs grants a read lease beside a
 * live shared writable mapping, and must be found out.
 */
#include "be_test.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int probe(const char *path, unsigned type, bool allow_swap, struct be_probe *p, char *why, size_t len)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	int rc = be_probe(fd, type, allow_swap, p, why, len);
	om_close(&fd);
	return rc;
}

static void test_disk(void **state)
{
	char path[] = "/tmp/objm-probe.XXXXXX", why[256];
	struct be_probe p;

	(void)state;
	assert_non_null(mkdtemp(path));
	assert_int_equal(probe(path, OM_TIER_SSD, false, &p, why, sizeof(why)), 0);
	if (!strcmp(p.fs, "ext4")) {
		assert_int_equal(p.caps & ~(unsigned)OM_TIERC_REFLINK,
				 OM_TIERC_TMPFILE | OM_TIERC_LEASE | OM_TIERC_XATTR | OM_TIERC_SYNCFS);
		assert_string_equal(why, "");
	}
	assert_int_equal(probe(path, OM_TIER_MEMORY, true, &p, why, sizeof(why)),
			 !strcmp(p.fs, "tmpfs") ? 0 : -OBJM_STATUS_UNSUPPORTED_OP);
	assert_int_equal(rmdir(path), 0); /* nothing was left behind */
}

static void test_tmpfs(void **state)
{
	char path[] = "/dev/shm/objm-probe.XXXXXX", why[256];
	struct be_probe p;

	(void)state;
	assert_non_null(mkdtemp(path));
	assert_int_equal(probe(path, OM_TIER_MEMORY, true, &p, why, sizeof(why)), 0);
	assert_string_equal(p.fs, "tmpfs");
	assert_true(p.caps & OM_TIERC_TMPFILE);
	assert_true(p.caps & OM_TIERC_LEASE);
	assert_false(p.caps & OM_TIERC_SYNCFS);
	assert_int_equal(rmdir(path), 0);
}

static void test_cannot_write(void **state)
{
	char path[] = "/tmp/objm-probe.XXXXXX", why[256];
	struct be_probe p;

	(void)state;
	if (geteuid() == 0) {
		/* root writes everywhere but where nobody can */
		assert_int_equal(probe("/proc", OM_TIER_SSD, false, &p, why, sizeof(why)) < 0, 1);
		assert_true(strlen(why) > 0);
		return;
	}
	assert_non_null(mkdtemp(path));
	assert_int_equal(chmod(path, 0500), 0);
	assert_int_equal(probe(path, OM_TIER_SSD, false, &p, why, sizeof(why)), -OBJM_STATUS_PERMISSION_DENIED);
	assert_non_null(strstr(why, "Permission"));
	assert_int_equal(rmdir(path), 0);
}

static void sub(char *ret, size_t len, const char *path, const char *name)
{
	(void)snprintf(ret, len, "%s/%s", path, name);
	assert_int_equal(mkdir(ret, 0700), 0);
}

static void test_overlay(void **state)
{
	char path[] = "/tmp/objm-probe.XXXXXX", lower[64], upper[64], work[64], merged[64], opts[512], why[256];
	struct be_probe p;

	(void)state;
	assert_non_null(mkdtemp(path));
	sub(lower, sizeof(lower), path, "l");
	sub(upper, sizeof(upper), path, "u");
	sub(work, sizeof(work), path, "w");
	sub(merged, sizeof(merged), path, "m");
	(void)snprintf(opts, sizeof(opts), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
	if (mount("overlay", merged, "overlay", 0, opts) < 0) {
		print_message("# skipped: mounting overlayfs needs root: %s\n", strerror(errno));
		be_test_rm(path);
		skip();
	}
	int rc = probe(merged, OM_TIER_SSD, false, &p, why, sizeof(why));
	(void)umount(merged);
	be_test_rm(path);
	assert_int_equal(rc, 0);
	assert_string_equal(p.fs, "overlayfs");
	assert_false(p.caps & OM_TIERC_LEASE);
	assert_non_null(strstr(why, "copies"));
}

/* A tmpfs mounted noswap is fit for ephemeral bytes even where swap is on; one without only where nothing swaps. */
static void test_swap(void **state)
{
	char path[] = "/tmp/objm-probe.XXXXXX", why[256], line[256];
	struct be_probe p;
	FILE *f = fopen("/proc/swaps", "re");
	unsigned lines = 0;

	(void)state;
	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		(void)fclose(f);
	assert_non_null(mkdtemp(path));
	if (mount("tmpfs", path, "tmpfs", 0, "size=1m,noswap") < 0) {
		print_message("# skipped: mounting a tmpfs with noswap: %s\n", strerror(errno));
		(void)rmdir(path);
		skip();
	}
	assert_int_equal(probe(path, OM_TIER_MEMORY, false, &p, why, sizeof(why)), 0);
	assert_false(p.swap_exposed);
	(void)umount(path);
	assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "size=1m"), 0);
	if (lines > 1) {
		assert_int_equal(probe(path, OM_TIER_MEMORY, false, &p, why, sizeof(why)), -OBJM_STATUS_UNSUPPORTED_OP);
		assert_non_null(strstr(why, "noswap"));
		assert_int_equal(probe(path, OM_TIER_MEMORY, true, &p, why, sizeof(why)), 0);
		assert_true(p.swap_exposed);
	} else {
		assert_int_equal(probe(path, OM_TIER_MEMORY, false, &p, why, sizeof(why)), 0);
		assert_false(p.swap_exposed);
	}
	(void)umount(path);
	(void)rmdir(path);
}

/* The factor is one of a real read: at least memory's own, and nothing is left behind. */
static void test_measure(void **state)
{
	struct be_test t;
	double disk = 0, memory = 0;

	(void)state;
	be_test_open(&t, NULL, OM_TIER_SSD, 0);
	assert_int_equal(be_measure(t.root_fd, &disk), 0);
	assert_true(disk >= 1 && disk <= 1000000);
	assert_int_equal(be_test_entries(&t, "."), 2); /* objects/ and staging/ */
	be_test_close(&t);
	be_test_open(&t, "/dev/shm", OM_TIER_MEMORY, 0);
	assert_int_equal(be_measure(t.root_fd, &memory), 0);
	assert_true(memory < 20); /* both reads are from memory; a busy machine may stall one */
	be_test_close(&t);
	assert_true(be_measure(-1, &disk) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measure),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_tmpfs),
		cmocka_unit_test(test_cannot_write),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_swap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
