/*
 * test_be_lane.c: the directories in staging/ that take turns: made on ext4 alone, used by every new file, and done without where
 * they are missing. (What they are for is measured, not tested: doc/performance.md.)
 */
#include "be_test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "backend/be_dir_int.h"

struct fix {
	char path[64];
	int fd;
};

static void make(struct fix *f, const char *parent)
{
	(void)snprintf(f->path, sizeof(f->path), "%s/objm-lane.XXXXXX", parent);
	assert_non_null(mkdtemp(f->path));
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
}

static void unmake(struct fix *f)
{
	om_close(&f->fd);
	be_test_rm(f->path);
}

/* The directory below `f` in which the file behind `fd` was made: "" its own. */
static void dir_of(const struct fix *f, int fd, char ret[static 16])
{
	char link[BE_DIR_PROC_MAX], path[256];
	size_t n = strlen(f->path);

	be_dir_proc_path(fd, link);
	ssize_t len = readlink(link, path, sizeof(path) - 1);
	assert_true(len > (ssize_t)n);
	path[len] = '\0';
	assert_memory_equal(path, f->path, n);
	char *end = strchr(path + n + 1, '/');
	(void)snprintf(ret, 16, "%.*s", end ? (int)(end - path - (ssize_t)n - 1) : 0, path + n + 1);
}

static void made_and_counted(void **state)
{
	struct fix f;
	uint32_t n;

	(void)state;
	make(&f, "/tmp");
	assert_int_equal(be_dir_lane_count(f.fd), 0);
	be_dir_lane_make(f.fd, 0);
	assert_int_equal(be_dir_lane_count(f.fd), 0);
	be_dir_lane_make(f.fd, 3);
	n = be_dir_lane_count(f.fd);
	assert_in_range(n, 1, 3); /* fewer where the file system has fewer places */
	be_dir_lane_make(f.fd, 3); /* again: half of them are there, nothing to do */
	be_dir_lane_make(f.fd, 1); /* the file system became smaller: they stay */
	if (n >= 2)
		assert_int_equal(be_dir_lane_count(f.fd), n);
	be_dir_lane_make(f.fd, 40);
	assert_in_range(be_dir_lane_count(f.fd), n, 40);
	assert_int_equal(unlinkat(f.fd, "l000", AT_REMOVEDIR), 0);
	assert_int_equal(be_dir_lane_count(f.fd), 0); /* up to the first that is missing */
	be_dir_lane_make(f.fd, 40);
	assert_in_range(be_dir_lane_count(f.fd), n, 40);
	unmake(&f);
}

/* Files of two lanes never come from one place: that of both would be used again too soon. */
static void apart(void **state)
{
	uint64_t inode[24] = { 0 };
	struct be_probe p;
	char why[256];
	struct fix f;

	(void)state;
	make(&f, "/tmp");
	assert_int_equal(be_probe(f.fd, OM_TIER_SSD, false, &p, why, sizeof(why)), 0);
	if (strcmp(p.fs, "ext4") != 0) {
		unmake(&f);
		skip();
	}
	be_dir_lane_make(f.fd, OM_ARRAY_SIZE(inode));
	uint32_t n = be_dir_lane_count(f.fd);
	assert_in_range(n, 1, OM_ARRAY_SIZE(inode));
	for (uint32_t i = 0; i < n; i++) {
		char name[8];
		struct stat st;

		(void)snprintf(name, sizeof(name), "l%03u", i);
		int fd = openat(f.fd, name, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		assert_true(fd >= 0 && fstat(fd, &st) == 0);
		om_close(&fd);
		inode[i] = st.st_ino;
		for (uint32_t k = 0; k < i; k++)
			assert_true(inode[i] > inode[k] + 1024 || inode[k] > inode[i] + 1024); /* others make files here, too */
	}
	unmake(&f);
}

/* A new file; `dir` as dir_of(). */
static int new_file(const struct be *be, const struct fix *f, char dir[static 16])
{
	int fd = be_dir_lane_tmpfile(be);

	assert_true(fd >= 0);
	dir_of(f, fd, dir);
	return fd;
}

static void files_are_made_there(void **state)
{
	struct be be = { .staging_fd = -1 };
	char dir[16];
	struct fix f;

	(void)state;
	make(&f, "/tmp");
	be.staging_fd = f.fd;
	int fd = new_file(&be, &f, dir);
	assert_string_equal(dir, "");
	om_close(&fd);
	be_dir_lane_make(f.fd, 4);
	be.lanes = be_dir_lane_count(f.fd);
	fd = new_file(&be, &f, dir);
	assert_int_equal(strlen(dir), 4);
	assert_memory_equal(dir, "l00", 3);
	char link[BE_DIR_PROC_MAX];
	be_dir_proc_path(fd, link);
	assert_int_equal(linkat(AT_FDCWD, link, f.fd, "named", AT_SYMLINK_FOLLOW), 0); /* out of it, as objects are */
	om_close(&fd);
	unmake(&f);
}

static void done_without(void **state)
{
	struct be be = { .staging_fd = -1, .lanes = 7 };
	char dir[16];
	struct fix f;

	(void)state;
	make(&f, "/tmp");
	be.staging_fd = f.fd;
	int fd = new_file(&be, &f, dir);
	assert_string_equal(dir, "");
	om_close(&fd);
	unmake(&f);
}

static void ext4_alone(void **state)
{
	struct be_probe p;
	char why[256];
	struct fix f;

	(void)state;
	make(&f, "/dev/shm");
	assert_int_equal(be_dir_lane_want(f.fd), 0);
	unmake(&f);
	make(&f, "/tmp");
	assert_int_equal(be_probe(f.fd, OM_TIER_SSD, false, &p, why, sizeof(why)), 0);
	if (strcmp(p.fs, "ext4") != 0)
		assert_int_equal(be_dir_lane_want(f.fd), 0);
	else
		assert_in_range(be_dir_lane_want(f.fd), 0, 128);
	unmake(&f);
}

/* Removals wait where there are so many lanes that a turn is a second, and nowhere else. */
static void removes_late(void **state)
{
	char name[16];
	struct fix f;

	(void)state;
	make(&f, "/dev/shm"); /* what the file system is does not count here, only which directories there are */
	for (unsigned i = 0; i < 64; i++) {
		assert_false(be_removes_late(f.fd));
		(void)snprintf(name, sizeof(name), "l%03u", i);
		assert_int_equal(mkdirat(f.fd, name, 0700), 0);
	}
	assert_true(be_removes_late(f.fd));
	unmake(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(removes_late),
		cmocka_unit_test(made_and_counted),
		cmocka_unit_test(apart),
		cmocka_unit_test(files_are_made_there),
		cmocka_unit_test(done_without),
		cmocka_unit_test(ext4_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("be_lane", tests, NULL, NULL);
}
