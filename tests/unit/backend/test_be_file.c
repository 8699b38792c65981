/*
 * test_be_file.c: the way of a file from begin to its name, on a disk, on tmpfs, and without nameless files, attributes or
 * leases. A writer that is still there is always noticed where the filesystem has leases.
 */
#include "be_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

struct where {
	const char *parent;
	unsigned type;
	uint32_t without;
};
static const struct where on_disk = { NULL, OM_TIER_SSD, 0 };
static const struct where on_tmpfs = { "/dev/shm", OM_TIER_MEMORY, 0 };
static const struct where plain_disk = { NULL, OM_TIER_SSD, OM_TIERC_TMPFILE | OM_TIERC_XATTR | OM_TIERC_REFLINK };
static const struct where plain_tmpfs = { "/dev/shm", OM_TIER_MEMORY, OM_TIERC_TMPFILE | OM_TIERC_XATTR };

static struct be_test t;

static int setup(void **state)
{
	const struct where *w = *state;

	be_test_open(&t, w->parent, w->type, w->without);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	be_test_close(&t);
	return 0;
}

static void test_put(void **state)
{
	struct om_rec rec = be_test_rec("/name");
	struct be_file f;
	struct stat st;

	(void)state;
	be_test_frozen(&t, "hello", &rec, &f);
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_false(be_test_is(&t, 5, NULL)); /* nobody sees it yet */
	assert_int_equal(be_link(&t.be, &f, 5, &rec), 0);
	assert_true(be_test_is(&t, 5, "hello"));
	struct be_file *one = &f;
	assert_int_equal(be_sync(&t.be, &one, 1), 0);
	be_drop(&f);
	assert_true(be_test_is(&t, 5, "hello"));
	/* an id is never given twice */
	be_test_frozen(&t, "again", &rec, &f);
	assert_int_equal(be_link(&t.be, &f, 5, &rec), -OBJM_STATUS_STORAGE);
	assert_int_equal(errno, EEXIST);
	be_drop(&f);
	assert_true(be_test_is(&t, 5, "hello"));
}

/* Bytes that nobody else ever held: no lease is needed, so our own writable descriptor is in nobody's way. */
static void test_own(void **state)
{
	struct om_rec rec = be_test_rec("/own");
	struct be_file f;
	struct stat st;

	(void)state;
	assert_int_equal(be_begin_own(&t.be, &f), 0);
	assert_int_equal(f.rwfd, -1);
	assert_int_equal(fcntl(f.fd, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_int_equal(write(f.fd, "mine", 4), 4);
	assert_int_equal(be_quiet(&t.be, &f), 0);
	assert_int_equal(be_freeze(&t.be, &f, &rec), 0);
	assert_int_equal(f.size, 4);
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(be_link(&t.be, &f, 6, &rec), 0);
	struct be_file *one = &f;
	assert_int_equal(be_sync(&t.be, &one, 1), 0);
	be_drop(&f);
	assert_true(be_test_is(&t, 6, "mine"));
	if (t.be.caps & OM_TIERC_TMPFILE)
		assert_int_equal(be_test_entries(&t, "staging"), 0);
}

static void test_dropped_leaves_nothing(void **state)
{
	struct be_file f;

	(void)state;
	assert_int_equal(be_begin(&t.be, 1 << 20, &f), 0);
	assert_true(be_allocated(&f) >= 1 << 20); /* what was promised is there */
	be_drop(&f);
	if (t.be.caps & OM_TIERC_TMPFILE)
		assert_int_equal(be_test_entries(&t, "staging"), 0);
	assert_int_equal(be_dir_sweep_staging(&t.be, 0), t.be.caps & OM_TIERC_TMPFILE ? 0 : 1);
	assert_int_equal(be_test_entries(&t, "staging"), 0);
}

static void test_reserved_is_given_back(void **state)
{
	struct om_rec rec = be_test_rec("/name");
	struct be_file f;

	(void)state;
	assert_int_equal(be_begin(&t.be, 4 << 20, &f), 0);
	assert_int_equal(write(f.rwfd, "x", 1), 1);
	om_close(&f.rwfd);
	assert_int_equal(be_freeze(&t.be, &f, &rec), 0);
	assert_int_equal(f.size, 1);
	assert_true(be_allocated(&f) < 1 << 20);
	be_drop(&f);
}

/* A temporary name goes once the file has its real one, and not while somebody writes. */
static void test_sweep(void **state)
{
	struct om_rec rec = be_test_rec("/name");
	struct be_file f, open_one;

	(void)state;
	be_test_frozen(&t, "hello", &rec, &f);
	assert_int_equal(be_link(&t.be, &f, 9, &rec), 0);
	be_drop(&f);
	assert_int_equal(be_begin(&t.be, 0, &open_one), 0);
	(void)be_dir_sweep_staging(&t.be, 0);
	assert_int_equal(be_test_entries(&t, "staging"), open_one.temp[0] ? 1 : 0);
	/* an earlier run's name goes at once, one of now does not */
	assert_int_equal(be_dir_sweep_staging(&t.be, om_wall_ns() / 1000000000u - 5), 0);
	be_drop(&open_one);
	(void)be_dir_sweep_staging(&t.be, 0);
	assert_int_equal(be_test_entries(&t, "staging"), 0);
	assert_true(be_test_is(&t, 9, "hello"));
}

static void refused(struct be_file *f)
{
	struct om_rec rec = be_test_rec("/name");

	assert_int_equal(be_quiet(&t.be, f), -OBJM_STATUS_WRITER_STILL_OPEN);
	assert_int_equal(be_freeze(&t.be, f, &rec), -OBJM_STATUS_WRITER_STILL_OPEN);
}

static void accepted(struct be_file *f)
{
	struct om_rec rec = be_test_rec("/name");

	assert_int_equal(be_quiet(&t.be, f), 0);
	assert_int_equal(be_freeze(&t.be, f, &rec), 0);
}

static void test_writer_descriptor(void **state)
{
	struct be_file f;

	(void)state;
	if (!(t.be.caps & OM_TIERC_LEASE))
		skip();
	assert_int_equal(be_begin(&t.be, 0, &f), 0);
	int other = om_take_fd(&f.rwfd), fd = dup(other); /* the client's two */
	refused(&f);
	(void)close(fd);
	refused(&f);
	(void)close(other);
	accepted(&f);
	be_drop(&f);
}

static void test_writer_mapping(void **state)
{
	struct be_file f;

	(void)state;
	if (!(t.be.caps & OM_TIERC_LEASE))
		skip();
	assert_int_equal(be_begin(&t.be, 4096, &f), 0);
	assert_int_equal(ftruncate(f.rwfd, 4096), 0);
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f.rwfd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	om_close(&f.rwfd);
	refused(&f);
	(void)munmap(map, 4096);
	accepted(&f);
	be_drop(&f);
}

static void test_writer_child(void **state)
{
	struct be_file f;

	(void)state;
	if (!(t.be.caps & OM_TIERC_LEASE))
		skip();
	assert_int_equal(be_begin(&t.be, 0, &f), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	om_close(&f.rwfd);
	refused(&f);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	accepted(&f);
	be_drop(&f);
}

static void test_copy(void **state)
{
	struct om_rec rec = be_test_rec("/name");
	struct be_file f, copy;
	size_t n = 3 * 1024 * 1024 + 17;
	char *bytes = malloc(n), *got = malloc(n);
	struct stat a, b;

	(void)state;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i * 7 + i / 1000);
	assert_int_equal(be_begin(&t.be, 0, &f), 0);
	assert_int_equal(write(f.rwfd, bytes, n), n);
	int kept = om_take_fd(&f.rwfd);
	assert_int_equal(be_copy(&t.be, &f, &copy), 0);
	assert_int_equal(copy.rwfd, -1);
	assert_int_equal(fstat(f.fd, &a) | fstat(copy.fd, &b), 0);
	assert_int_not_equal(a.st_ino, b.st_ino);
	/* who still has the first one writes into the void */
	assert_int_equal(pwrite(kept, "XXXX", 4, 100), 4);
	be_drop(&f);
	assert_int_equal(be_freeze(&t.be, &copy, &rec), 0);
	assert_int_equal(copy.size, n);
	assert_int_equal(pread(copy.fd, got, n, 0), n);
	assert_memory_equal(got, bytes, n);
	be_drop(&copy);
	(void)close(kept);
	free(bytes);
	free(got);
}

static void test_copy_empty(void **state)
{
	struct be_file f, copy;
	struct om_rec rec = be_test_rec("/name");

	(void)state;
	assert_int_equal(be_begin(&t.be, 0, &f), 0);
	om_close(&f.rwfd);
	assert_int_equal(be_copy(&t.be, &f, &copy), 0);
	assert_int_equal(be_freeze(&t.be, &copy, &rec), 0);
	assert_int_equal(copy.size, 0);
	be_drop(&f);
	be_drop(&copy);
}

static void test_cut(void **state)
{
	struct be_file f;
	char buf[65536] = { 1 };

	(void)state;
	assert_int_equal(be_begin(&t.be, 1 << 20, &f), 0);
	assert_int_equal(write(f.rwfd, buf, sizeof(buf)), sizeof(buf));
	assert_true(be_allocated(&f) > 0);
	assert_int_equal(be_cut(&t.be, &f), 0);
	assert_int_equal(be_allocated(&f), 0);
	be_drop(&f);
}

/* Found again with everything, the largest name and metadata included: ext4 has no room for those in an attribute. */
static struct om_rec found_rec;
static char found_uri[OM_URI_MAX];
static unsigned char found_meta[OM_META_MAX];
static unsigned n_found;

static int note(void *arg, const struct be_found *f)
{
	(void)arg;
	n_found++;
	assert_true(f->has_attr);
	found_rec = f->rec;
	memcpy(found_uri, f->rec.uri, f->rec.uri_len);
	memcpy(found_meta, f->rec.meta, f->rec.meta_len);
	return 0;
}

static void test_side_file(void **state)
{
	char uri[OM_URI_MAX + 1];
	unsigned char meta[OM_META_MAX];
	struct be_batch batch = { 0 };
	struct om_rec rec;
	struct be_file f;

	(void)state;
	memset(uri, 'u', OM_URI_MAX);
	uri[OM_URI_MAX] = '\0';
	memset(meta, 'm', sizeof(meta));
	meta[0] = 1;
	meta[1] = (OM_META_MAX - 4) >> 8;
	meta[2] = (OM_META_MAX - 4) & 0xff;
	rec = be_test_rec(uri);
	rec.meta = meta;
	rec.meta_len = sizeof(meta);
	be_test_frozen(&t, "bytes", &rec, &f);
	assert_int_equal(be_link(&t.be, &f, 6, &rec), 0);
	if (f.side)
		assert_int_equal(be_test_entries(&t, "objects/000000000"), 2);
	else
		assert_true(fgetxattr(f.fd, BE_ATTR_NAME, NULL, 0) > 8192);
	be_drop(&f);
	n_found = 0;
	assert_int_equal(be_scan(&t.be, 1, 100, note, NULL), 0);
	assert_int_equal(n_found, 1);
	assert_int_equal(found_rec.id, 6);
	assert_int_equal(found_rec.size, 5);
	assert_int_equal(found_rec.mtime_ns, rec.mtime_ns);
	assert_int_equal(found_rec.flags, rec.flags);
	assert_int_equal(found_rec.uri_len, OM_URI_MAX);
	assert_memory_equal(found_uri, uri, OM_URI_MAX);
	assert_int_equal(found_rec.meta_len, OM_META_MAX);
	assert_memory_equal(found_meta, meta, OM_META_MAX);
	assert_int_equal(be_remove(&t.be, 6, &batch), 0);
	assert_int_equal(be_remove_sync(&t.be, &batch), 0);
	assert_int_equal(be_test_entries(&t, "objects/000000000"), 0); /* the side file too */
}

static void test_open(void **state)
{
	struct om_rec rec = be_test_rec("/name");
	int fd;

	(void)state;
	assert_int_equal(be_open(&t.be, 77, &fd), -OBJM_STATUS_NOT_FOUND);
	be_test_put(&t, 77, "x", &rec);
	assert_int_equal(be_open(&t.be, 77, &fd), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	om_close(&fd);
	/* a name that is a link is nobody's object */
	assert_int_equal(symlinkat("/etc/passwd", t.objects_fd, "000000000/000000000000004e"), 0);
	assert_true(be_open(&t.be, 78, &fd) < 0);
}

#define ONE(test, text, where) { text ": " #test, test_##test, setup, teardown, (void *)(uintptr_t)&(where) }
#define ALL(text, where) \
	ONE(put, text, where), \
	ONE(own, text, where), \
	ONE(dropped_leaves_nothing, text, where), \
	ONE(reserved_is_given_back, text, where), \
	ONE(sweep, text, where), \
	ONE(writer_descriptor, text, where), \
	ONE(writer_mapping, text, where), \
	ONE(writer_child, text, where), \
	ONE(copy, text, where), \
	ONE(copy_empty, text, where), \
	ONE(cut, text, where), \
	ONE(side_file, text, where), \
	ONE(open, text, where)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL("disk", on_disk),
		ALL("tmpfs", on_tmpfs),
		ALL("plain disk", plain_disk), /* without nameless files and attributes */
		ALL("plain tmpfs", plain_tmpfs),
	};

	(void)signal(SIGIO, SIG_IGN); /* as every process that takes leases */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
