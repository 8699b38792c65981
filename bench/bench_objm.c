/*
 * bench_objm.c: objmapper through libobjm: descriptors, and puts.
 *
 * A descriptor that was got is closed at once; with --read every byte of it is read before.
 */
#include <stdatomic.h>
#include <sys/resource.h>

#include "bench/bench.h"
#include "client/objm.h"

struct handle {
	const struct bench_opts *o;
	objm_t *s;
	void *data; /* what is stored */
	struct objm_put_options put;
	const char *uris[BENCH_DEPTH_MAX];
	struct objm_put_item items[BENCH_DEPTH_MAX];
	struct objm_result results[BENCH_DEPTH_MAX];
	bool said; /* one message for the first error */
};

static void shut(void *p)
{
	struct handle *h = p;

	objm_close(h->s);
	free(h->data);
	free(h);
}

/*
 * The library goes on trying to reach a server that has gone, for seconds, in each call. Whoever measures it wants to know at once: a
 * server that is being restarted still has its socket, which takes connections.
 */
#define RETRY_MS 250u

static atomic_bool is_gone;

void bench_options(struct objm_options *ret)
{
	*ret = (struct objm_options)OBJM_OPTIONS_INIT;
	ret->promise = OBJM_PROMISE_POSITIONED; /* nothing here moves a file offset */
	ret->retry_ms = RETRY_MS;
}

bool bench_gone(objm_t *s, int status)
{
	if (status != -OBJM_STATUS_UNAVAILABLE)
		return false;
	if (!atomic_exchange(&is_gone, true)) /* one message of all connections */
		(void)bench_fail("%s: the run ends here", objm_error(s));
	return true;
}

bool bench_was_gone(void) { return atomic_load(&is_gone); }

void bench_put_options(const struct bench_opts *o, struct objm_put_options *ret)
{
	static const char *const names[] = {"none", "batch", "sync"};

	*ret = (struct objm_put_options)OBJM_PUT_OPTIONS_INIT;
	ret->flags = o->ephemeral ? OBJM_EPHEMERAL : 0;
	for (size_t i = 0; o->durability && i < OM_ARRAY_SIZE(names); i++)
		if (strcmp(names[i], o->durability) == 0)
			ret->durability = OBJM_DURABILITY_NONE + (enum objm_durability)i;
}

static void *start(const struct bench_opts *o, unsigned thread)
{
	struct handle *h = calloc(1, sizeof(*h));
	struct objm_options opt;

	(void)thread;
	bench_options(&opt);
	if (h) {
		h->o = o;
		h->data = calloc(1, o->size ? o->size : 1);
		bench_put_options(o, &h->put);
	}
	if (!h || !h->data || objm_open(o->socket, &opt, &h->s) < 0) {
		(void)bench_fail("connect: %s", h && h->data ? objm_error(NULL) : "out of memory");
		if (h)
			shut(h);
		return NULL;
	}
	return h;
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

static bool get(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;
	struct objm_result *res = h->results;
	bool gone = false;

	if (n == 1) {
		res->status = objm_get(h->s, items[0].uri, 0, &res->info, &res->fd);
	} else {
		for (unsigned i = 0; i < n; i++)
			h->uris[i] = items[i].uri;
		(void)objm_get_many(h->s, h->uris, n, 0, res); /* each result has its own status */
	}
	for (unsigned i = 0; i < n; i++) {
		if (res[i].status < 0) {
			gone |= error(h, res[i].status, r);
			continue;
		}
		if (h->o->read && !bench_consume_fd(res[i].fd, res[i].info.size))
			r->errors++;
		(void)close(res[i].fd);
		r->bytes += res[i].info.size;
		r->ops++;
	}
	return !gone;
}

static bool put(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;
	struct objm_result *res = h->results;
	bool gone = false;

	if (n == 1) {
		res->status = objm_put_buf(h->s, items[0].uri, h->data, h->o->size, &h->put, NULL);
	} else {
		for (unsigned i = 0; i < n; i++)
			h->items[i] = (struct objm_put_item){.uri = items[i].uri, .data = h->data, .len = h->o->size};
		(void)objm_put_many(h->s, h->items, n, &h->put, res);
	}
	for (unsigned i = 0; i < n; i++) {
		if (res[i].status < 0) {
			gone |= error(h, res[i].status, r);
		} else {
			r->ops++;
			r->bytes += h->o->size;
		}
	}
	return !gone;
}

static bool delete(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;

	for (unsigned i = 0; i < n; i++) {
		int err = objm_delete(h->s, items[i].uri, NULL);

		if (err < 0 && err != -OBJM_STATUS_NOT_FOUND && error(h, err, r))
			return false;
	}
	return true;
}

const struct bench_driver bench_objm = {.name = "objm", .open = start, .get = get, .put = put, .remove = delete, .close = shut};
