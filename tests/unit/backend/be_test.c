/* be_test.c: see be_test.h. */
#include "be_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

void be_test_open(struct be_test *t, const char *parent, unsigned type, uint32_t without)
{
	struct be_probe p;
	char why[512];

	if (!parent)
		parent = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	(void)snprintf(t->path, sizeof(t->path), "%s/objm-be.XXXXXX", parent);
	assert_non_null(mkdtemp(t->path));
	t->root_fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->root_fd >= 0);
	if (be_probe(t->root_fd, type, true, &p, why, sizeof(why)) < 0)
		fail_msg("probe of %s: %s", t->path, why);
	assert_int_equal(be_dir_prepare(t->root_fd, &t->objects_fd, &t->staging_fd), 0);
	t->probed = p.caps;
	assert_int_equal(be_dir_init(&t->be, t->objects_fd, t->staging_fd, p.caps & ~without, 7), 0);
}

void be_test_close(struct be_test *t)
{
	be_fini(&t->be);
	om_close(&t->objects_fd);
	om_close(&t->staging_fd);
	om_close(&t->root_fd);
	be_test_rm(t->path);
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void be_test_rm(const char *path) { (void)nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

struct om_rec be_test_rec(const char *uri)
{
	static const unsigned char meta[] = { 1, 0, 1, 'k', 'v' };

	return (struct om_rec){
		.mtime_ns = 1234567890123, .expiry_s = 99, .rev = 1, .flags = OM_OBJ_EVICTABLE, .uri = uri,
		.uri_len = (uint16_t)strlen(uri), .type = "text/plain", .type_len = 10, .meta = meta, .meta_len = sizeof(meta),
	};
}

void be_test_frozen(struct be_test *t, const char *bytes, const struct om_rec *rec, struct be_file *ret)
{
	size_t n = strlen(bytes);

	assert_int_equal(be_begin(&t->be, n, ret), 0);
	assert_int_equal(write(ret->rwfd, bytes, n), n);
	om_close(&ret->rwfd);
	assert_int_equal(be_freeze(&t->be, ret, rec), 0);
	assert_int_equal(ret->size, n);
}

void be_test_put(struct be_test *t, uint64_t id, const char *bytes, const struct om_rec *rec)
{
	struct be_file f;

	be_test_frozen(t, bytes, rec, &f);
	assert_int_equal(be_link(&t->be, &f, id, rec), 0);
	be_drop(&f);
}

bool be_test_is(struct be_test *t, uint64_t id, const char *bytes)
{
	char buf[8192];
	int fd;

	if (be_open(&t->be, id, &fd) < 0)
		return false;
	ssize_t n = pread(fd, buf, sizeof(buf), 0);
	om_close(&fd);
	return !bytes || (n == (ssize_t)strlen(bytes) && memcmp(buf, bytes, (size_t)n) == 0);
}

int be_test_entries(struct be_test *t, const char *name)
{
	int fd = openat(t->root_fd, name, O_RDONLY | O_DIRECTORY), n = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return -1;
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += !(strcmp(name, "staging") == 0 && e->d_type == DT_DIR); /* its lanes stay */
	(void)closedir(d);
	return strcmp(name, "staging") == 0 ? n : n - 2;
}
