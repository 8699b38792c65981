/* One interface for three kinds of tier: the same steps on a memory tier, a directory and a small object store. */
#include "be_store.h"
#include "be_test.h"

static int count_one(void *arg, const struct be_found *f)
{
	assert_true(f->has_attr);
	assert_int_equal(f->rec.uri_len, 4);
	++*(unsigned *)arg;
	return 0;
}

/* What every tier must do, through be.h alone. */
static void steps(struct be *be)
{
	struct om_rec rec = be_test_rec("/a/b");
	uint8_t attr[BE_ATTR_MAX];
	struct be_file f;
	struct be_found found;
	struct be_batch batch = { 0 };
	struct be_usage usage;
	unsigned n = 0;
	char buf[16];
	int fd;

	assert_int_equal(be_begin(be, 5, &f), 0);
	assert_int_equal(pwrite(f.rwfd, "hello", 5, 0), 5);
	om_close(&f.rwfd);
	assert_int_equal(be_quiet(be, &f), 0);
	assert_int_equal(be_freeze(be, &f, &rec), 0);
	assert_int_equal(f.size, 5);
	/* before its name nobody finds it */
	assert_int_equal(be_open(be, 7, &fd), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(be_describe(be, 7, attr, &found), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(be_link(be, &f, 7, &rec), 0);
	struct be_file *const files[] = { &f };
	assert_int_equal(be_sync(be, files, 1), 0);
	be_drop(&f);

	assert_int_equal(be_open(be, 7, &fd), 0);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(be_describe(be, 7, attr, &found), 0);
	assert_true(found.has_attr);
	assert_int_equal(found.rec.size, 5);
	assert_memory_equal(found.rec.uri, "/a/b", 4);
	assert_int_equal(found.rec.meta_len, rec.meta_len);
	assert_int_equal(be_scan(be, 1, 100, count_one, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(be_scan(be, 8, 100, count_one, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(be_usage(be, &usage), 0);
	assert_true(usage.avail_bytes > 0);

	assert_int_equal(be_remove(be, 7, &batch), 0);
	assert_int_equal(be_remove(be, 7, &batch), 0); /* again: it is not there, which is what was asked */
	assert_int_equal(be_remove_sync(be, &batch), 0);
	assert_int_equal(be_open(be, 7, &fd), -OBJM_STATUS_NOT_FOUND);
	/* who had it open still reads it */
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), 5);
	om_close(&fd);
}

static void test_directory(void **state)
{
	struct be_test t;

	(void)state;
	be_test_open(&t, NULL, OM_TIER_SSD, 0);
	steps(&t.be);
	be_test_close(&t);
}

static void test_memory(void **state)
{
	struct be_test t;

	(void)state;
	be_test_open(&t, "/dev/shm", OM_TIER_MEMORY, 0);
	steps(&t.be);
	be_test_close(&t);
}

static void test_store(void **state)
{
	struct be_store s;
	struct be be;

	(void)state;
	be_store_init(&be, &s);
	steps(&be);
	assert_int_equal(s.uploaded, 1);
	assert_int_equal(s.fetched, 1);
	/* it cannot share blocks with a local file */
	OM_AUTO_FD fd = dup(STDERR_FILENO);
	struct be_file f;
	assert_int_equal(be_clone(&be, fd, &f), -OBJM_STATUS_UNSUPPORTED_OP);
	/* errors come through as a disk's do */
	s.fail = EIO;
	assert_int_equal(be_begin(&be, 0, &f), -OBJM_STATUS_STORAGE);
	s.fail = ENOSPC;
	assert_int_equal(be_begin(&be, 0, &f), -OBJM_STATUS_NO_SPACE);
	be_store_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_directory), cmocka_unit_test(test_memory), cmocka_unit_test(test_store) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
