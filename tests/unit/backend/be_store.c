/* be_store.c: see be_store.h. */
#include "be_store.h"

#include <sys/mman.h>
#include <sys/stat.h>

static struct be_store *store_of(const struct be *be) { return be->priv; }

static int failed(const struct be *be)
{
	struct be_store *s = store_of(be);

	if (s->fail == 0)
		return 0;
	errno = s->fail;
	s->fail = 0;
	return -om_status_errno(errno);
}

struct be_blob *be_store_find(struct be_store *store, uint64_t id)
{
	for (unsigned i = 0; i < BE_STORE_MAX; i++)
		if (store->blob[i].id == id)
			return &store->blob[i];
	return NULL;
}

static int store_open(const struct be *be, uint64_t id, int *ret_fd)
{
	struct be_blob *b = be_store_find(store_of(be), id);
	int rc = failed(be);

	if (rc < 0)
		return rc;
	if (!b || id == 0)
		return -OBJM_STATUS_NOT_FOUND;
	int fd = memfd_create("fetched", MFD_CLOEXEC);
	if (fd < 0 || pwrite(fd, b->bytes, b->size, 0) != (ssize_t)b->size)
		return -OBJM_STATUS_STORAGE;
	store_of(be)->fetched++;
	*ret_fd = fd;
	return 0;
}

static int store_begin(const struct be *be, uint64_t size_hint, struct be_file *ret_file)
{
	struct be_file f = BE_FILE_INIT;
	int rc = failed(be);

	(void)size_hint;
	if (rc < 0)
		return rc;
	f.rwfd = memfd_create("upload", MFD_CLOEXEC);
	f.fd = f.rwfd < 0 ? -1 : dup(f.rwfd);
	if (f.fd < 0)
		return -OBJM_STATUS_STORAGE;
	*ret_file = f;
	return 0;
}

static int store_copy(const struct be *be, const struct be_file *from, struct be_file *ret_file)
{
	char buf[4096];
	ssize_t n;
	int rc = store_begin(be, 0, ret_file);

	for (off_t at = 0; rc == 0 && (n = pread(from->fd, buf, sizeof(buf), at)) > 0; at += n)
		if (pwrite(ret_file->rwfd, buf, (size_t)n, at) != n)
			rc = -OBJM_STATUS_STORAGE;
	if (rc == 0)
		om_close(&ret_file->rwfd);
	return rc;
}

static int store_quiet(const struct be *be, const struct be_file *file)
{
	(void)be;
	(void)file;
	return 0;
}

static int store_freeze(const struct be *be, struct be_file *file, const struct om_rec *rec)
{
	struct stat st;

	(void)be;
	(void)rec;
	if (fstat(file->fd, &st) < 0)
		return -OBJM_STATUS_STORAGE;
	file->size = (uint64_t)st.st_size;
	return 0;
}

static int store_link(struct be *be, struct be_file *file, uint64_t id, const struct om_rec *rec)
{
	struct be_blob *b = be_store_find(store_of(be), 0);
	struct om_rec r = *rec;
	int rc = failed(be);

	if (rc < 0)
		return rc;
	if (!b || be_store_find(store_of(be), id))
		return -OBJM_STATUS_STORAGE;
	b->bytes = malloc(file->size + 1);
	if (!b->bytes || pread(file->fd, b->bytes, file->size, 0) != (ssize_t)file->size)
		return -OBJM_STATUS_STORAGE;
	if (store_of(be)->damage && file->size > 0)
		b->bytes[0] ^= 1;
	store_of(be)->damage = false;
	r.size = b->size = file->size;
	b->attr_len = be_attr_encode(&r, b->attr);
	b->id = file->id = id;
	store_of(be)->uploaded++;
	return 0;
}

static int store_sync(struct be *be, struct be_file *const *files, unsigned n)
{
	int rc = failed(be);

	for (unsigned i = 0; rc == 0 && i < n; i++)
		be_store_find(store_of(be), files[i]->id)->durable = true;
	return rc;
}

static int store_cut(const struct be *be, struct be_file *file)
{
	(void)be;
	return ftruncate(file->fd, 0) < 0 ? -OBJM_STATUS_STORAGE : 0;
}

static int store_remove(struct be *be, uint64_t id, struct be_batch *batch)
{
	struct be_blob *b = be_store_find(store_of(be), id);

	(void)batch;
	if (b && id) {
		free(b->bytes);
		memset(b, 0, sizeof(*b));
	}
	return failed(be);
}

static int store_remove_sync(struct be *be, struct be_batch *batch)
{
	batch->n = 0;
	return failed(be);
}

static int store_describe(const struct be *be, uint64_t id, uint8_t *buf, struct be_found *ret)
{
	struct be_blob *b = be_store_find(store_of(be), id);
	int rc = failed(be);

	if (rc < 0)
		return rc;
	if (!b || id == 0)
		return -OBJM_STATUS_NOT_FOUND;
	*ret = (struct be_found){ .id = id, .rec = { .id = id, .size = b->size } };
	memcpy(buf, b->attr, b->attr_len);
	struct om_rec rec;
	ret->has_attr = be_attr_decode(buf, b->attr_len, &rec) == 0;
	if (ret->has_attr)
		ret->rec = rec;
	ret->rec.id = id;
	return 0;
}

static int store_scan(struct be *be, uint64_t id_from, uint64_t id_to, be_scan_fn *fn, void *arg)
{
	uint8_t buf[BE_ATTR_MAX];
	struct be_found f;
	int rc = 0;

	for (unsigned i = 0; i < BE_STORE_MAX && rc == 0; i++) {
		uint64_t id = store_of(be)->blob[i].id;
		if (id == 0 || id < id_from || id >= id_to)
			continue;
		rc = store_describe(be, id, buf, &f);
		if (rc == 0)
			rc = fn(arg, &f);
	}
	return rc;
}

static int store_usage(const struct be *be, struct be_usage *ret)
{
	(void)be;
	*ret = (struct be_usage){ .total_bytes = UINT64_MAX, .avail_bytes = UINT64_MAX };
	return 0;
}

static const struct be_ops store_ops = {
	.name = "store", .open = store_open, .begin = store_begin, .copy = store_copy, .quiet = store_quiet,
	.freeze = store_freeze, .link = store_link, .sync = store_sync, .cut = store_cut, .remove = store_remove,
	.remove_sync = store_remove_sync, .scan = store_scan, .usage = store_usage, .describe = store_describe,
};

void be_store_init(struct be *be, struct be_store *store)
{
	memset(store, 0, sizeof(*store));
	*be = (struct be){ .ops = &store_ops, .priv = store, .objects_fd = -1, .staging_fd = -1, .sync_fd = -1 };
}

void be_store_fini(struct be_store *store)
{
	for (unsigned i = 0; i < BE_STORE_MAX; i++)
		free(store->blob[i].bytes);
}
