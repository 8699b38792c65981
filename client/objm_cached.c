/*
 * objm_cached.c: getting objects through the client cache: hits from objm_cache.c, misses from the server.
 *
 * Runs in clients, on the session's thread. The cache is made at objm_open() when the options ask for one; each ATTACH brings
 * the table of generations of the server that answers on that connection, and a table of another daemon drops what was kept.
 */
#include "client/objm_cache.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include "client/objm_priv.h"

#define COPY_MAX 65536u /* above it a mapping is cheaper than a copy */
#define SWEEP 16u	/* entries that a miss looks at for what is no longer current */
#define SWEEP_TEND 65536u
#define FILL_BATCH 253u
#define FILL_TRIES 3u

static_assert(OBJM_CACHE_HAS_FD == OBJM_CACHE_FD && OBJM_CACHE_HAS_DATA == OBJM_CACHE_DATA, "want and has are compared");

/* ---------------------------------------------------------------- with the session */

static void attached(objm_t *s, int table_fd)
{
	(void)objm_cache_attach(s->cache, table_fd); /* one that cannot be mapped is none: every get asks the server */
}

static const struct objm_hooks cache_hooks = {.attached = attached, .settle = objm_cache_settle};

int objm_cache_begin(objm_t *s)
{
	struct rlimit fds = {.rlim_cur = 1024};

	if (s->opt.cache_objects == 0)
		return 0;
	(void)getrlimit(RLIMIT_NOFILE, &fds); /* cannot fail; RLIM_INFINITY is a large number too */
	s->cache = objm_cache_new(s->opt.cache_objects, (uint32_t)OM_MIN((uint64_t)fds.rlim_cur / 2, (uint64_t)UINT32_MAX),
				  s->opt.cache_bytes);
	if (!s->cache)
		return objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "no memory for a cache of %u objects", s->opt.cache_objects);
	s->hooks = &cache_hooks;
	s->cache->report_at_ns = om_coarse_ns() + (uint64_t)s->opt.cache_report_ms * 1000000u;
	return 0;
}

void objm_cache_end(objm_t *s)
{
	if (s->cache)
		objm_cache_report(s);
	objm_cache_free(s->cache);
	s->cache = NULL;
	s->hooks = NULL;
}

void objm_cache_count(const objm_t *s, struct objm_stats *ret_stats)
{
	if (!s->cache)
		return;
	ret_stats->cache_hits = s->cache->hits;
	ret_stats->cache_misses = s->cache->misses;
	ret_stats->cache_stale = s->cache->stale;
	ret_stats->cache_objects = s->cache->count;
	ret_stats->cache_bytes = s->cache->bytes;
	ret_stats->cache_reported = s->cache->reported;
}

/* A session without a cache: what it gets through here lives for its reference alone. */
static int small_cache(objm_t *s)
{
	s->cache = objm_cache_new(1, 1, 0);
	return s->cache ? 0 : objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "GET: out of memory");
}

/* ---------------------------------------------------------------- misses */

/* The bytes behind a descriptor. *ret_has says what *ret_data is. */
static int load(objm_t *s, const char *uri, const struct objm_got *g, void **ret_data, uint32_t *ret_has)
{
	int r = objm_got_check(s, uri, g);
	void *p;

	if (r < 0)
		return r;
	if (g->info.size > COPY_MAX) {
		p = g->info.size <= SIZE_MAX ? mmap(NULL, (size_t)g->info.size, PROT_READ, MAP_SHARED, g->fd, 0) : MAP_FAILED;
		if (p == MAP_FAILED)
			return objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "GET: cannot map %llu bytes: %s",
					 (unsigned long long)g->info.size, strerror(errno));
		*ret_data = p;
		*ret_has = OBJM_CACHE_HAS_DATA | OBJM_CACHE_HAS_MAPPING;
		return 0;
	}
	p = malloc(g->info.size ? (size_t)g->info.size : 1);
	if (!p)
		return objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "GET: out of memory");
	r = objm_read_all(s, uri, g->fd, p, (size_t)g->info.size);
	if (r < 0) {
		free(p);
		return r;
	}
	*ret_data = p;
	*ret_has = OBJM_CACHE_HAS_DATA;
	return 0;
}

static void unload(void *data, uint64_t size, uint32_t has)
{
	if (has & OBJM_CACHE_HAS_MAPPING)
		(void)munmap(data, (size_t)size);
	else
		free(data);
}

/* A descriptor came and was lost because this process has too many: the cache gives up half of its own. */
static int get_with_room(objm_t *s, const char *uri, struct objm_got *g)
{
	int r = objm_get_one(s, uri, 0, g);

	if (r == -OBJM_STATUS_LIMIT_EXCEEDED && s->cache && objm_cache_shrink(s->cache, s->cache->count / 2 + 1))
		r = objm_get_one(s, uri, 0, g);
	return r;
}

/* Into the cache what came; g->fd is closed or kept. *ret_e has a reference for the caller. */
static int keep(objm_t *s, const char *uri, size_t len, uint32_t want, struct objm_got *g, struct objm_cache_entry **ret_e)
{
	void *data = NULL;
	uint32_t has = 0;
	int r = want & OBJM_CACHE_DATA ? load(s, uri, g, &data, &has) : 0;

	if (r == 0) {
		*ret_e = objm_cache_insert(s->cache, uri, len, &g->info, g->fd, data, has | (want & OBJM_CACHE_FD));
		if (!*ret_e)
			r = objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "GET: out of memory");
		else if (want & OBJM_CACHE_FD)
			g->fd = -1;
	}
	if (r < 0 && has)
		unload(data, g->info.size, has);
	om_close(&g->fd);
	return r;
}

/* `uri` may not end where `len` says: the call that asks the server wants a string. */
static int miss(objm_t *s, const char *uri, size_t len, uint32_t want, struct objm_cache_entry **ret_e)
{
	char text[OM_URI_MAX + 1];
	struct objm_got g;
	int r;

	if (len == 0 || len > OM_URI_MAX || memchr(uri, '\0', len))
		return objm_fail(s, len > OM_URI_MAX ? -OBJM_STATUS_URI_TOO_LONG : -OBJM_STATUS_INVALID_REQUEST,
				 len > OM_URI_MAX ? "the URI is longer than 4096 bytes" : "a URI has at least one byte, and no NUL");
	memcpy(text, uri, len);
	text[len] = '\0';
	objm_cache_sweep(s->cache, SWEEP);
	r = get_with_room(s, text, &g);
	return r < 0 ? r : keep(s, text, len, want, &g, ret_e);
}

/* ---------------------------------------------------------------- public */

static int wanted(objm_t *s, uint32_t want)
{
	if (want & ~(OBJM_CACHE_FD | OBJM_CACHE_DATA))
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "client cache: unknown bits in `want`");
	return 0;
}

int objm_cache_get(objm_t *s, const char *uri, size_t len, uint32_t want, const struct objm_cached **ret_obj)
{
	struct objm_cache_entry *e;
	bool due = false;
	int r;

	if (len == 0)
		len = strlen(uri);
	if (want == 0)
		want = OBJM_CACHE_FD;
	if (OM_UNLIKELY(!s->cache && (r = small_cache(s)) < 0))
		return objm_leave(s, r);
	s->st.calls++;
	e = objm_cache_find(s->cache, uri, len, want, &due);
	if (OM_LIKELY(e)) {
		*ret_obj = &e->pub;
		if (OM_UNLIKELY(due))
			objm_cache_report(s);
		return 0;
	}
	r = wanted(s, want);
	if (r == 0)
		r = miss(s, uri, len, want, &e);
	if (r == 0)
		*ret_obj = &e->pub;
	return objm_leave(s, r);
}

/* One batch of answers into the cache. Descriptors that are not kept are closed, whatever went wrong before. */
static int keep_batch(objm_t *s, const char *const *uris, size_t n, uint32_t want, struct objm_result *res, int r)
{
	for (size_t i = 0; i < n; i++) {
		struct objm_got g = {.info = res[i].info, .fd = res[i].fd};
		struct objm_cache_entry *e;

		if (res[i].status < 0)
			continue;
		if (r == 0)
			r = keep(s, uris[i], strlen(uris[i]), want, &g, &e);
		else
			om_close(&g.fd);
		if (r == 0)
			objm_cache_unref(s->cache, e);
	}
	return r;
}

static void drop_batch(struct objm_result *res, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (res[i].status == 0)
			om_close(&res[i].fd);
}

/*
 * Where the connection is lost the rest of a batch comes over another one, perhaps of another supervisor. Then nothing says under which
 * table which of the answers came, and a generation of the old one may be a word of the new one: all of them are asked for again.
 */
static int fill_batch(objm_t *s, const char *const *uris, size_t n, uint32_t want, struct objm_result *res)
{
	for (unsigned i = 0; i < FILL_TRIES; i++) {
		uint64_t epoch = s->cache->epoch;
		int r = objm_get_many(s, uris, n, 0, res);

		if (r < 0 || s->cache->epoch == epoch)
			return keep_batch(s, uris, n, want, res, r);
		drop_batch(res, n);
	}
	return 0; /* servers come and go: nothing of this batch is kept */
}

int objm_cache_fill(objm_t *s, const char *const *uris, size_t n, uint32_t want)
{
	struct objm_result *res;
	int r;

	if (want == 0)
		want = OBJM_CACHE_FD;
	r = wanted(s, want);
	if (r == 0 && !s->cache)
		r = small_cache(s);
	res = r == 0 ? malloc(FILL_BATCH * sizeof(*res)) : NULL;
	if (r == 0 && !res)
		r = objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "GET: out of memory");
	for (size_t at = 0; r == 0 && at < n; at += FILL_BATCH)
		r = fill_batch(s, uris + at, OM_MIN(n - at, (size_t)FILL_BATCH), want, res);
	free(res);
	return r;
}

void objm_cache_info(objm_t *s, const struct objm_cached *obj, struct objm_info *ret_info)
{
	objm_cache_entry_info(s->cache, (const struct objm_cache_entry *)obj, ret_info);
}

void objm_cache_release(objm_t *s, const struct objm_cached *obj)
{
	if (obj)
		objm_cache_unref(s->cache, (struct objm_cache_entry *)(uintptr_t)obj);
}

void objm_cache_drop(objm_t *s)
{
	if (s->cache)
		objm_cache_drop_all(s->cache);
}

void objm_cache_tend(objm_t *s)
{
	if (!s->cache)
		return;
	objm_cache_report(s);
	objm_cache_sweep(s->cache, SWEEP_TEND);
}
