/*
 * bench_cache.c: objmapper through the client cache. It is filled before the clock starts; what is measured is hits, with the
 * misses that a change or an eviction brings. Descriptors as far as this process may hold them, else bytes in memory.
 */
#include <sys/resource.h>

#include "bench/bench.h"
#include "client/objm.h"

struct handle {
	const struct bench_opts *o;
	objm_t *s;
	uint32_t want;
	bool said;
	char *data; /* what is stored */
	struct objm_put_options put;
};

static void shut(void *p)
{
	struct handle *h = p;

	objm_close(h->s);
	free(h->data);
	free(h);
}

/* May this process hold so many descriptors? The cache takes half of the limit. */
static bool descriptors(const struct bench_opts *o)
{
	uint64_t need = OM_MAX(2 * o->objects, o->objects * o->connections + 256);
	struct rlimit l;

	if (need > UINT32_MAX || getrlimit(RLIMIT_NOFILE, &l) < 0)
		return false;
	l.rlim_max = OM_MAX(l.rlim_max, (rlim_t)need); /* only root may, and not everywhere */
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) == 0)
		return true;
	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return false;
	l.rlim_cur = l.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur >= need;
}

static bool begin(const struct bench_opts *o)
{
	if (o->objects > (1u << 24))
		return bench_fail("--cache: at most %u --objects", 1u << 24), false;
	return true;
}

/* True: the server has gone, there is nothing more to measure. */
static bool error(struct handle *h, int status, struct bench_result *r)
{
	r->errors++;
	if (bench_gone(h->s, status))
		return true;
	if (!h->said)
		(void)bench_fail("%s", objm_error(h->s));
	h->said = true;
	return false;
}

static bool fill(struct handle *h)
{
	static _Thread_local char uris[BENCH_DEPTH_MAX][BENCH_URI_MAX];
	const char *list[BENCH_DEPTH_MAX];

	for (uint64_t i = 0; i < h->o->objects;) {
		unsigned n = 0;

		for (; n < BENCH_DEPTH_MAX && i < h->o->objects; n++) {
			(void)bench_uri(h->o, i++, uris[n]);
			list[n] = uris[n];
		}
		if (objm_cache_fill(h->s, list, n, h->want) < 0)
			return bench_fail("%s", objm_error(h->s)), false;
	}
	return true;
}

static void *start(const struct bench_opts *o, unsigned thread)
{
	struct handle *h = calloc(1, sizeof(*h));
	struct objm_options opt;

	(void)thread;
	bench_options(&opt);
	opt.cache_objects = (uint32_t)o->objects;
	opt.cache_bytes = OM_MAX(o->objects * o->size, UINT64_C(1) << 30);
	if (!h) {
		(void)bench_fail("out of memory");
		return NULL;
	}
	h->o = o;
	bench_put_options(o, &h->put);
	h->want = !o->cache_data && descriptors(o) ? OBJM_CACHE_FD : OBJM_CACHE_DATA;
	if (objm_open(o->socket, &opt, &h->s) < 0) {
		(void)bench_fail("connect: %s", objm_error(NULL));
		shut(h);
		return NULL;
	}
	if (!fill(h)) {
		shut(h);
		return NULL;
	}
	return h;
}

static bool get(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;
	const struct objm_cached *c;

	for (unsigned i = 0; i < n; i++) {
		int err = objm_cache_get(h->s, items[i].uri, items[i].uri_len, h->want, &c);

		if (OM_UNLIKELY(err < 0)) {
			if (error(h, err, r))
				return false;
			continue;
		}
		if (h->o->read) {
			if (c->data)
				bench_consume(c->data, (size_t)c->size);
			else if (!bench_consume_fd(c->fd, c->size))
				r->errors++;
		}
		r->bytes += c->size;
		r->ops++;
		objm_cache_release(h->s, c);
	}
	r->how = h->want == OBJM_CACHE_FD ? "descriptors kept" : "bytes kept";
	return true;
}

static bool put(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;

	if (!h->data && !(h->data = calloc(1, h->o->size ? h->o->size : 1)))
		return bench_fail("out of memory"), false;
	for (unsigned i = 0; i < n; i++) {
		int err = objm_put_buf(h->s, items[i].uri, h->data, h->o->size, &h->put, NULL);

		if (err < 0) {
			if (error(h, err, r))
				return false;
			continue;
		}
		r->ops++;
		r->bytes += h->o->size;
	}
	return true;
}

const struct bench_driver bench_objm_cache = {
	.name = "cache", .begin = begin, .open = start, .get = get, .put = put, .close = shut, .block = 64};
