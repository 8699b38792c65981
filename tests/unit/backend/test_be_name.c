/*
 * test_be_name.c: names, durability, removal, scans; a disk that is full; an fsync that failed and stays failed.
 */
#include "be_test.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "common/om_fault.h"

static struct be_test t;

static int setup(void **state)
{
	be_test_open(&t, *state, *state ? OM_TIER_MEMORY : OM_TIER_SSD, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	be_test_close(&t);
	return 0;
}

/* ---- sync ---- */

static void put_and_sync(unsigned n, uint64_t first, int want)
{
	struct be_file f[16], *files[16];
	struct om_rec rec = be_test_rec("/name");

	for (unsigned i = 0; i < n; i++) {
		be_test_frozen(&t, "bytes", &rec, &f[i]);
		assert_int_equal(be_link(&t.be, &f[i], first + i * 1000, &rec), 0);
		files[i] = &f[i];
	}
	assert_int_equal(be_sync(&t.be, files, n), want);
	for (unsigned i = 0; i < n; i++)
		be_drop(&f[i]);
}

static void test_sync(void **state)
{
	(void)state;
	put_and_sync(1, 1, 0);
	put_and_sync(7, 5000, 0); /* fsync each; several directories */
	put_and_sync(16, 50000, 0); /* syncfs where it pays */
	assert_int_equal(be_sync(&t.be, NULL, 0), 0);
}

#if OM_FAULTS
static void fault(const char *text)
{
	assert_int_equal(setenv("OBJM_FAULT", text, 1), 0);
	assert_int_equal(om_fault_init(), 0);
}

/* One error, once: a second try would "succeed" if it were made. */
static void test_sync_error(void **state)
{
	(void)state;
	fault("put.sync:error");
	put_and_sync(1, 1, -OBJM_STATUS_STORAGE);
	put_and_sync(1, 2, -OBJM_STATUS_STORAGE);
	put_and_sync(16, 5000, -OBJM_STATUS_STORAGE);
	assert_int_equal(be_sync(&t.be, NULL, 0), -OBJM_STATUS_STORAGE);
}

static void test_syncfs_error(void **state)
{
	(void)state;
	if (!(t.be.caps & OM_TIERC_SYNCFS))
		skip();
	fault("put.sync:error");
	put_and_sync(16, 1, -OBJM_STATUS_STORAGE);
	put_and_sync(1, 100000, -OBJM_STATUS_STORAGE);
}

static void test_parent_is_synced_once(void **state)
{
	(void)state;
	/* the first file of a directory: file, directory, objects/; the second: file, directory. So the sixth is the third's. */
	fault("put.sync:error:6");
	put_and_sync(1, 1, 0);
	put_and_sync(1, 2, 0);
	put_and_sync(1, 3, -OBJM_STATUS_STORAGE);
}

static void test_parent_is_synced(void **state)
{
	(void)state;
	fault("put.sync:error:5"); /* of the second file already, because the first one took three */
	put_and_sync(1, 1, 0);
	put_and_sync(1, 2, -OBJM_STATUS_STORAGE);
}
#endif

/* ---- remove ---- */

static void test_remove(void **state)
{
	struct om_rec rec = be_test_rec("/name");
	struct be_batch batch = { 0 };

	(void)state;
	for (uint64_t id = 1; id <= 300; id++)
		be_test_put(&t, id * 4096, "x", &rec); /* a directory each: more than a batch has room for */
	be_test_put(&t, 5, "y", &rec);
	for (uint64_t id = 1; id <= 300; id++)
		assert_int_equal(be_remove(&t.be, id * 4096, &batch), 0);
	assert_int_equal(be_remove(&t.be, 4096, &batch), 0); /* gone already: fine */
	assert_int_equal(be_remove(&t.be, UINT64_C(1) << 50, &batch), 0); /* never there */
	assert_int_equal(be_remove_sync(&t.be, &batch), 0);
	assert_int_equal(batch.n, 0);
	for (uint64_t id = 1; id <= 300; id++)
		assert_false(be_test_is(&t, id * 4096, NULL));
	assert_true(be_test_is(&t, 5, "y"));
	assert_int_equal(be_test_entries(&t, "objects"), 301); /* directories stay: somebody may be linking into them */
	t.be.dirs_done = 200;
	for (uint64_t id = 1; id <= 300; id++)
		assert_int_equal(be_remove(&t.be, id * 4096, &batch), 0);
	assert_int_equal(be_remove_sync(&t.be, &batch), 0);
	assert_int_equal(be_test_entries(&t, "objects"), 301 - 199);
	assert_true(be_test_is(&t, 5, "y")); /* not empty */
	be_test_put(&t, 4096, "back", &rec); /* a late one makes its directory again */
	assert_true(be_test_is(&t, 4096, "back"));
}

/* ---- scan ---- */

static uint64_t seen[64];
static unsigned n_seen, n_whole;

static int note(void *arg, const struct be_found *f)
{
	int *stop_at = arg;

	assert_true(n_seen < OM_ARRAY_SIZE(seen));
	seen[n_seen++] = f->id;
	assert_int_equal(f->rec.id, f->id);
	if (f->has_attr) {
		n_whole++;
		assert_int_equal(f->rec.uri_len, 5);
		assert_memory_equal(f->rec.uri, "/name", 5);
	} else {
		assert_non_null(f->why);
		assert_int_equal(f->rec.uri_len, 0);
	}
	return stop_at && (int)n_seen == *stop_at ? -OBJM_STATUS_GONE : 0;
}

static int scan(uint64_t from, uint64_t to)
{
	n_seen = n_whole = 0;
	return be_scan(&t.be, from, to, note, NULL);
}

static bool saw(uint64_t id)
{
	for (unsigned i = 0; i < n_seen; i++)
		if (seen[i] == id)
			return true;
	return false;
}

static void test_scan(void **state)
{
	static const uint64_t ids[] = { 1, 2, 4095, 4096, 8191, 8192, UINT64_C(1) << 60 };
	struct om_rec rec = be_test_rec("/name");
	int one = 1;

	(void)state;
	assert_int_equal(scan(0, UINT64_MAX), 0);
	assert_int_equal(n_seen, 0);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(ids); i++)
		be_test_put(&t, ids[i], "x", &rec);
	assert_int_equal(scan(1, UINT64_MAX), 0);
	assert_int_equal(n_seen, OM_ARRAY_SIZE(ids));
	assert_int_equal(n_whole, n_seen);
	assert_int_equal(scan(2, 8192), 0); /* from is in it, to is not */
	assert_int_equal(n_seen, 4);
	assert_true(saw(2) && saw(4095) && saw(4096) && saw(8191));
	assert_int_equal(scan(8192, 8192), 0);
	assert_int_equal(n_seen, 0);
	assert_int_equal(scan(5, 0), 0);
	assert_int_equal(n_seen, 0);
	n_seen = 0;
	assert_int_equal(be_scan(&t.be, 1, UINT64_MAX, note, &one), -OBJM_STATUS_GONE);
	assert_int_equal(n_seen, 1);
}

static int open_rw(const char *name)
{
	assert_int_equal(fchmodat(t.objects_fd, name, 0600, 0), 0);
	int fd = openat(t.objects_fd, name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

/* Reported, and not believed: no attribute, a damaged one, one of another length. What is no object is passed over. */
static void test_scan_damage(void **state)
{
	struct om_rec rec = be_test_rec("/name");
	char bad[] = "oma1 but not really";
	int fd;

	(void)state;
	for (uint64_t id = 1; id <= 4; id++)
		be_test_put(&t, id, "bytes", &rec);
	fd = open_rw("000000000/0000000000000002");
	assert_int_equal(fremovexattr(fd, BE_ATTR_NAME), 0);
	om_close(&fd);
	fd = open_rw("000000000/0000000000000003");
	assert_int_equal(fsetxattr(fd, BE_ATTR_NAME, bad, sizeof(bad), 0), 0);
	om_close(&fd);
	fd = open_rw("000000000/0000000000000004"); /* as after a power cut */
	assert_int_equal(ftruncate(fd, 0), 0);
	om_close(&fd);
	assert_int_equal(mkdirat(t.objects_fd, "000000000/0000000000000005", 0700), 0);
	assert_int_equal(mkdirat(t.objects_fd, "lost+found", 0700), 0);
	assert_int_equal(mkdirat(t.objects_fd, "00000000z", 0700), 0);
	assert_int_equal(mkdirat(t.objects_fd, "0000000000", 0700), 0); /* one digit too many */
	fd = openat(t.objects_fd, "000000000/0000000000001001", O_CREAT | O_RDWR, 0600); /* an id of another directory */
	om_close(&fd);
	assert_int_equal(scan(0, UINT64_MAX), 0);
	assert_int_equal(n_seen, 4);
	assert_int_equal(n_whole, 1);
}

/* ---- a full disk ---- */

static void test_nospace(void **state)
{
	char path[] = "/tmp/objm-be-full.XXXXXX", *chunk = calloc(1, 1 << 20);
	struct om_rec rec = be_test_rec("/name");
	struct be_file f, copy;

	(void)state;
	assert_non_null(mkdtemp(path));
	if (mount("tmpfs", path, "tmpfs", 0, "size=1m,mode=0700") < 0) {
		(void)rmdir(path);
		free(chunk);
		print_message("# skipped: mounting a small tmpfs needs root: %s\n", strerror(errno));
		skip();
	}
	struct be_test full;
	be_test_open(&full, path, OM_TIER_MEMORY, 0);
	assert_int_equal(be_begin(&full.be, 2 << 20, &f), -OBJM_STATUS_NO_SPACE); /* promised or refused, never SIGBUS later */
	assert_int_equal(be_begin(&full.be, UINT64_MAX, &f), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(be_begin(&full.be, 600 << 10, &f), 0);
	assert_int_equal(write(f.rwfd, chunk, 600 << 10), 600 << 10);
	om_close(&f.rwfd);
	assert_int_equal(be_copy(&full.be, &f, &copy), -OBJM_STATUS_NO_SPACE); /* a copy needs its room too */
	assert_int_equal(be_freeze(&full.be, &f, &rec), 0);
	assert_int_equal(be_link(&full.be, &f, 1, &rec), 0);
	be_drop(&f);
	struct be_usage u;
	assert_int_equal(be_usage(&full.be, &u), 0);
	assert_int_equal(u.total_bytes, 1 << 20);
	assert_true(u.avail_bytes < 448 << 10);
	be_test_close(&full);
	(void)umount(path);
	(void)rmdir(path);
	free(chunk);
}

#define ON(test, where) cmocka_unit_test_prestate_setup_teardown(test, setup, teardown, (void *)(uintptr_t)(where))
#define DISK NULL
#define TMPFS "/dev/shm"

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_sync, DISK),	    ON(test_sync, TMPFS), ON(test_remove, DISK), ON(test_remove, TMPFS),
		ON(test_scan, DISK),	    ON(test_scan, TMPFS), ON(test_scan_damage, DISK), ON(test_scan_damage, TMPFS),
		cmocka_unit_test(test_nospace),
#if OM_FAULTS
		ON(test_sync_error, DISK),  ON(test_syncfs_error, DISK), ON(test_parent_is_synced_once, DISK),
		ON(test_parent_is_synced, DISK),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
