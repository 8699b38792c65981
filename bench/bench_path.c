/*
 * bench_path.c: the filesystem without any server: open(2) by path, and two ways of storing a file so that nobody sees half of
 * it. `bare` is what the kernel asks for a nameless file that gets its name last; `rename` is what careful programs do, one
 * file at a time, when each has to survive a power cut.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "bench/bench.h"

#define PATH_BYTES (BENCH_URI_MAX + 512u)
#define BARE_KEPT 4096u /* files of a thread that stand at once; their removal is not timed */

struct handle {
	const struct bench_opts *o;
	int dirfd; /* of this thread: threads of one directory would wait for each other's entries */
	char dir[PATH_BYTES];
	char *data;
	uint64_t made;
	bool keep; /* what is stored stays: --keep, for names that the next run replaces */
};

static const char *path_of(const struct bench_opts *o, const char *uri, char ret[PATH_BYTES])
{
	(void)snprintf(ret, PATH_BYTES, "%s%s", o->files, uri);
	return ret;
}

bool bench_path_begin(const struct bench_opts *o)
{
	char path[PATH_BYTES];

	if (!o->files || strlen(o->files) > 500)
		return bench_fail("--peer %s needs --files DIR", o->peer), false;
	(void)path_of(o, o->prefix, path);
	for (char *p = path + strlen(o->files) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(path, 0755); /* what is missing shows below */
		*p = '/';
	}
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return bench_fail("%s: %s", path, strerror(errno)), false;
	return true;
}

static bool write_file(int fd, const char *data, uint64_t size)
{
	for (uint64_t done = 0; done < size;) {
		ssize_t n = write(fd, data + done, size - done);

		if (n <= 0)
			return false;
		done += (uint64_t)n;
	}
	return true;
}

bool bench_path_store(const struct bench_opts *o, const struct bench_item *items, unsigned n, const void *data, struct bench_result *r)
{
	char path[PATH_BYTES];

	for (unsigned i = 0; i < n; i++) {
		OM_AUTO_FD fd = open(path_of(o, items[i].uri, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		if (fd < 0 || !write_file(fd, data, o->size))
			return bench_fail("%s: %s", path, strerror(errno)), false;
		r->ops++;
	}
	return true;
}

bool bench_path_remove(const struct bench_opts *o, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	char path[PATH_BYTES];

	(void)r;
	for (unsigned i = 0; i < n; i++)
		(void)unlink(path_of(o, items[i].uri, path)); /* what is not there is what is wanted */
	return true;
}

/* ---------------------------------------------------------------- open by path */

static void shut(void *p)
{
	struct handle *h = p;

	om_close(&h->dirfd);
	free(h->data);
	free(h);
}

static void *start(const struct bench_opts *o, unsigned thread)
{
	struct handle *h = calloc(1, sizeof(*h));

	(void)thread;
	if (h) {
		h->o = o;
		h->dirfd = -1;
		h->data = calloc(1, o->size ? o->size : 1);
	}
	if (!h || !h->data) {
		(void)bench_fail("out of memory");
		free(h);
		return NULL;
	}
	return h;
}

static bool path_get(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;
	char path[PATH_BYTES];

	for (unsigned i = 0; i < n; i++) {
		OM_AUTO_FD fd = open(path_of(h->o, items[i].uri, path), O_RDONLY | O_CLOEXEC);

		if (fd < 0 || (h->o->read && !bench_consume_fd(fd, h->o->size))) {
			r->errors++;
			continue;
		}
		r->ops++;
		r->bytes += h->o->size;
	}
	return true;
}

static bool path_put(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;

	return bench_path_store(h->o, items, n, h->data, r);
}

static bool path_remove(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	return bench_path_remove(((struct handle *)p)->o, items, n, r);
}

const struct bench_driver bench_path = {.name = "path",
					.foreign = true,
					.begin = bench_path_begin,
					.open = start,
					.get = path_get,
					.put = path_put,
					.remove = path_remove,
					.close = shut};

/* ---------------------------------------------------------------- storing */

static bool durable(const struct bench_opts *o) { return o->durability && strcmp(o->durability, "sync") == 0; }

static void *store_open(const struct bench_opts *o, unsigned thread)
{
	struct handle *h = start(o, thread);

	if (!h)
		return NULL;
	(void)snprintf(h->dir, sizeof(h->dir), "%s%s/thread-%u", o->files, o->prefix, thread);
	(void)mkdir(h->dir, 0755); /* what is wrong shows below */
	h->dirfd = open(h->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->dirfd < 0) {
		(void)bench_fail("%s: %s", h->dir, strerror(errno));
		shut(h);
		return NULL;
	}
	return h;
}

/* Remove what this thread made, up to BARE_KEPT files below `made`. */
static void sweep(struct handle *h)
{
	char name[32];

	for (uint64_t i = h->made > BARE_KEPT ? h->made - BARE_KEPT : 0; i < h->made; i++) {
		(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)i);
		(void)unlinkat(h->dirfd, name, 0);
	}
}

static void store_close(void *p)
{
	struct handle *h = p;

	if (!h->keep)
		sweep(h);
	(void)unlinkat(h->dirfd, "new", 0);
	(void)rmdir(h->dir); /* not where files are kept */
	shut(h);
}

static bool bare_one(struct handle *h)
{
	OM_AUTO_FD fd = openat(h->dirfd, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0400);
	char from[32], name[32];

	(void)snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)h->made);
	if (fd < 0 || !write_file(fd, h->data, h->o->size) || (durable(h->o) && fsync(fd) < 0) ||
	    linkat(AT_FDCWD, from, h->dirfd, name, AT_SYMLINK_FOLLOW) < 0 || (durable(h->o) && fsync(h->dirfd) < 0))
		return false;
	h->made++;
	return true;
}

static bool rename_one(struct handle *h, const struct bench_item *item)
{
	OM_AUTO_FD fd = openat(h->dirfd, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char name[32];

	(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)(item->number % BARE_KEPT));
	h->made = BARE_KEPT; /* any of these names may stand */
	h->keep = h->o->keep;
	return fd >= 0 && write_file(fd, h->data, h->o->size) && (!durable(h->o) || fsync(fd) == 0) &&
	       renameat(h->dirfd, "new", h->dirfd, name) == 0 && (!durable(h->o) || fsync(h->dirfd) == 0);
}

static bool store(struct handle *h, const struct bench_item *items, unsigned n, bool bare, struct bench_result *r)
{
	for (unsigned i = 0; i < n; i++) {
		if (!(bare ? bare_one(h) : rename_one(h, &items[i]))) {
			if (r->errors++ == 0)
				(void)bench_fail("%s: %s", h->dir, strerror(errno));
			continue;
		}
		r->ops++;
		r->bytes += h->o->size;
		if (bare && h->made % BARE_KEPT == 0)
			sweep(h);
	}
	return true;
}

static bool bare_put(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	return store(p, items, n, true, r);
}

static bool rename_put(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	return store(p, items, n, false, r);
}

const struct bench_driver bench_bare = {
	.name = "bare", .foreign = true, .begin = bench_path_begin, .open = store_open, .put = bare_put, .close = store_close};
const struct bench_driver bench_rename = {
	.name = "rename", .foreign = true, .begin = bench_path_begin, .open = store_open, .put = rename_put, .close = store_close};
