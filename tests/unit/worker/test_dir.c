/*
 * test_dir.c: descriptors of the directories of objects: what is opened is the right file, whatever becomes of its directory.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/om_obj.h"
#include "worker/wrk_dir.h"

#define A UINT64_C(5)	 /* objects of three directories */
#define B UINT64_C(0x1005)
#define C UINT64_C(0x123456789abcd)
#define NOFILE 4096u

static char root[] = "/tmp/objm-dir-XXXXXX";
static int tiers[2]; /* objects/ of each */

static ino_t make(unsigned tier, uint64_t id)
{
	char path[OM_OBJ_PATH_MAX];
	struct stat st;

	om_obj_dir(id, path);
	(void)mkdirat(tiers[tier], path, 0700);
	om_obj_path(id, path);
	OM_AUTO_FD fd = openat(tiers[tier], path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void away(unsigned tier, uint64_t id)
{
	char path[OM_OBJ_PATH_MAX];

	om_obj_path(id, path);
	assert_int_equal(unlinkat(tiers[tier], path, 0), 0);
	om_obj_dir(id, path);
	(void)unlinkat(tiers[tier], path, AT_REMOVEDIR); /* when it is empty */
}

/* @return the inode of what was opened, or a negative status */
static int64_t opened(struct wrk_dirs *d, unsigned tier, uint64_t id)
{
	OM_AUTO_FD fd = -1;
	struct stat st;
	int rc = wrk_dirs_open(d, tiers[tier], tier, id, &fd);

	if (rc < 0)
		return rc;
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	assert_int_equal(fstat(fd, &st), 0);
	return (int64_t)st.st_ino;
}

static struct wrk_dirs *dirs_of(uint64_t nofile)
{
	struct wrk_dirs *d;

	assert_int_equal(wrk_dirs_new(nofile, &d), 0);
	return d;
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(root))
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "%s/%u", root, i);
		if (mkdir(path, 0700) < 0)
			return -1;
		tiers[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return tiers[0] < 0 || tiers[1] < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	(void)close(tiers[0]);
	(void)close(tiers[1]);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", root);
	return system(cmd);
}

static void test_opens(void **state)
{
	ino_t a = make(0, A), b = make(0, B), c = make(0, C), other = make(1, A), next = make(0, A + 1);
	struct wrk_dirs *d = dirs_of(NOFILE);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(opened(d, 0, A), a);
		assert_int_equal(opened(d, 0, B), b);
		assert_int_equal(opened(d, 0, C), c);
		assert_int_equal(opened(d, 1, A), other);
		assert_int_equal(opened(d, 0, A + 1), next);
		assert_int_equal(wrk_dirs_count(d), 4);
	}
	assert_int_equal(opened(d, 0, A + 2), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(opened(d, 0, A + 0x100000), -OBJM_STATUS_NOT_FOUND); /* no directory either */
	assert_int_equal(opened(d, 0, A), a);
	wrk_dirs_free(d);
	away(0, A), away(0, B), away(0, C), away(1, A), away(0, A + 1);
}

/* A directory that was removed and made anew is another one. */
static void test_stale(void **state)
{
	struct wrk_dirs *d = dirs_of(NOFILE);
	ino_t a = make(0, A);

	(void)state;
	assert_int_equal(opened(d, 0, A), a);
	away(0, A);
	assert_int_equal(opened(d, 0, A), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(wrk_dirs_count(d), 0);
	a = make(0, A);
	assert_int_equal(opened(d, 0, A), a);
	away(0, A);
	a = make(0, A); /* nobody asked in between */
	assert_int_equal(opened(d, 0, A), a);
	assert_int_equal(opened(d, 0, A), a);
	assert_int_equal(wrk_dirs_count(d), 1);
	wrk_dirs_free(d);
	away(0, A);
}

/* One place, two directories: who has it keeps it as long as it is asked for at least once in WRK_DIR_PATIENCE times. */
static void test_patience(void **state)
{
	struct wrk_dirs *d = dirs_of(WRK_DIR_NOFILE_PART);
	ino_t a = make(0, A), b = make(0, B);
	char path[OM_OBJ_PATH_MAX];

	(void)state;
	assert_int_equal(opened(d, 0, A), a);
	om_obj_dir(A, path);
	assert_int_equal(renameat(tiers[0], path, tiers[0], "moved"), 0); /* now only the descriptor finds it */
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < WRK_DIR_PATIENCE - 1; i++)
			assert_int_equal(opened(d, 0, B), b);
		assert_int_equal(opened(d, 0, A), a);
	}
	for (unsigned i = 0; i < WRK_DIR_PATIENCE; i++)
		assert_int_equal(opened(d, 0, B), b);
	assert_int_equal(opened(d, 0, A), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(wrk_dirs_count(d), 1);
	wrk_dirs_free(d);
	assert_int_equal(renameat(tiers[0], "moved", tiers[0], path), 0);
	away(0, A), away(0, B);
}

/* Few files may be open: no table. None at all: an error, and later on all is well. */
static void test_few(void **state)
{
	struct wrk_dirs *d = dirs_of(WRK_DIR_NOFILE_PART - 1);
	ino_t a = make(0, A);
	struct rlimit was, none;

	(void)state;
	assert_null(d);
	assert_int_equal(opened(d, 0, A), a);
	assert_int_equal(wrk_dirs_count(d), 0);
	wrk_dirs_free(d);
	d = dirs_of(NOFILE);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(opened(d, 0, A), -om_status_errno(EMFILE));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	for (unsigned i = 0; i <= WRK_DIR_PATIENCE; i++)
		assert_int_equal(opened(d, 0, A), a);
	assert_int_equal(wrk_dirs_count(d), 1);
	wrk_dirs_free(d);
	away(0, A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens), cmocka_unit_test(test_stale), cmocka_unit_test(test_patience), cmocka_unit_test(test_few),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
