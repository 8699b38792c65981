/*
 * bench_peer.c: drivers for what people use instead: redis (RESP), memcached (text), a web server (HTTP/1.1, kept alive). All
 * pipelined: the requests of a batch leave in one send, then the answers are read.
 */
#include <strings.h>

#include "bench/bench_wire.h"

struct handle {
	const struct bench_opts *o;
	struct bench_wire *w;
	char *data; /* what is stored */
};

static void shut(void *p)
{
	struct handle *h = p;

	bench_wire_close(h->w);
	free(h->data);
	free(h);
}

static void *start(const struct bench_opts *o, unsigned thread)
{
	struct handle *h = calloc(1, sizeof(*h));

	(void)thread;
	if (!h) {
		(void)bench_fail("out of memory");
		return NULL;
	}
	h->o = o;
	h->data = calloc(1, o->size ? o->size : 1);
	h->w = h->data ? bench_wire_open(bench_socket(o)) : NULL;
	if (!h->w) {
		shut(h);
		return NULL;
	}
	return h;
}

/* ---------------------------------------------------------------- redis */

/* $<bytes> CRLF <bytes> CRLF */
static void bulk(struct bench_wire *w, const void *data, size_t len)
{
	bench_wire_text(w, "$");
	bench_wire_number(w, len);
	bench_wire_text(w, "\r\n");
	bench_wire_put(w, data, len);
	bench_wire_text(w, "\r\n");
}

static bool redis_get(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;
	const char *line;
	size_t len;

	for (unsigned i = 0; i < n; i++) {
		bench_wire_text(h->w, "*2\r\n$3\r\nGET\r\n");
		bulk(h->w, items[i].uri, items[i].uri_len);
	}
	if (!bench_wire_flush(h->w))
		return false;
	for (unsigned i = 0; i < n; i++) {
		line = bench_wire_line(h->w, &len);
		if (!line || *line != '$')
			return bench_wire_broken("redis");
		if (line[1] == '-') {
			r->errors++;
			continue;
		}
		uint64_t size = strtoull(line + 1, NULL, 10);

		if (!bench_wire_body(h->w, size, h->o->read) || !bench_wire_take(h->w, 2))
			return bench_wire_broken("redis");
		r->ops++;
		r->bytes += size;
	}
	return true;
}

/* Answers of one line each; those that begin with `good` count. */
static bool answers(struct handle *h, unsigned n, char good, struct bench_result *r)
{
	const char *line;
	size_t len;

	for (unsigned i = 0; i < n; i++) {
		line = bench_wire_line(h->w, &len);
		if (!line)
			return bench_wire_broken(h->o->peer);
		if (good && *line != good) {
			r->errors++;
			continue;
		}
		r->ops++;
		r->bytes += h->o->size;
	}
	return true;
}

static bool redis_put(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;

	for (unsigned i = 0; i < n; i++) {
		bench_wire_text(h->w, "*3\r\n$3\r\nSET\r\n");
		bulk(h->w, items[i].uri, items[i].uri_len);
		bulk(h->w, h->data, (size_t)h->o->size);
	}
	return bench_wire_flush(h->w) && answers(h, n, '+', r);
}

static bool redis_remove(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;

	for (unsigned i = 0; i < n; i++) {
		bench_wire_text(h->w, "*2\r\n$3\r\nDEL\r\n");
		bulk(h->w, items[i].uri, items[i].uri_len);
	}
	return bench_wire_flush(h->w) && answers(h, n, ':', r);
}

const struct bench_driver bench_redis = {
	.name = "redis", .foreign = true, .open = start, .get = redis_get, .put = redis_put, .remove = redis_remove, .close = shut};

/* ---------------------------------------------------------------- memcached */

static void memcached_cmd(struct bench_wire *w, const char *cmd, const struct bench_item *item)
{
	bench_wire_text(w, cmd);
	bench_wire_put(w, item->uri, item->uri_len);
}

/* VALUE <key> <flags> <bytes> */
static bool memcached_value(struct handle *h, const char *line, uint64_t *ret_size)
{
	const char *last = strrchr(line, ' ');
	size_t len;

	if (strncmp(line, "VALUE ", 6) != 0 || !last)
		return false;
	*ret_size = strtoull(last + 1, NULL, 10);
	if (!bench_wire_body(h->w, *ret_size, h->o->read) || !bench_wire_take(h->w, 2))
		return false;
	line = bench_wire_line(h->w, &len);
	return line && strcmp(line, "END") == 0;
}

static bool memcached_get(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;
	uint64_t size;
	size_t len;

	for (unsigned i = 0; i < n; i++) {
		memcached_cmd(h->w, "get ", &items[i]);
		bench_wire_text(h->w, "\r\n");
	}
	if (!bench_wire_flush(h->w))
		return false;
	for (unsigned i = 0; i < n; i++) {
		const char *line = bench_wire_line(h->w, &len);

		if (line && strcmp(line, "END") == 0) {
			r->errors++;
			continue;
		}
		if (!line || !memcached_value(h, line, &size))
			return bench_wire_broken("memcached");
		r->ops++;
		r->bytes += size;
	}
	return true;
}

static bool memcached_put(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;

	for (unsigned i = 0; i < n; i++) {
		memcached_cmd(h->w, "set ", &items[i]);
		bench_wire_text(h->w, " 0 0 ");
		bench_wire_number(h->w, h->o->size);
		bench_wire_text(h->w, "\r\n");
		bench_wire_put(h->w, h->data, (size_t)h->o->size);
		bench_wire_text(h->w, "\r\n");
	}
	return bench_wire_flush(h->w) && answers(h, n, 'S', r);
}

static bool memcached_remove(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;

	for (unsigned i = 0; i < n; i++) {
		memcached_cmd(h->w, "delete ", &items[i]);
		bench_wire_text(h->w, "\r\n");
	}
	return bench_wire_flush(h->w) && answers(h, n, 0, r);
}

const struct bench_driver bench_memcached = {.name = "memcached",
					     .foreign = true,
					     .open = start,
					     .get = memcached_get,
					     .put = memcached_put,
					     .remove = memcached_remove,
					     .close = shut};

/* ---------------------------------------------------------------- a web server */

/* The header of an answer: its status and the length of its body. */
static bool http_head(struct bench_wire *w, int *ret_status, uint64_t *ret_size)
{
	const char *line;
	size_t len;

	line = bench_wire_line(w, &len);
	if (!line || len < 12 || strncmp(line, "HTTP/1.", 7) != 0)
		return false;
	*ret_status = (int)strtol(line + 9, NULL, 10);
	*ret_size = UINT64_MAX;
	while ((line = bench_wire_line(w, &len)) && len > 0)
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			*ret_size = strtoull(line + 15, NULL, 10);
	return line && *ret_size != UINT64_MAX;
}

static bool http_get(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;
	uint64_t size;
	int status;

	for (unsigned i = 0; i < n; i++) {
		bench_wire_text(h->w, "GET ");
		bench_wire_put(h->w, items[i].uri, items[i].uri_len);
		bench_wire_text(h->w, " HTTP/1.1\r\nHost: bench\r\n\r\n");
	}
	if (!bench_wire_flush(h->w))
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (!http_head(h->w, &status, &size) || !bench_wire_body(h->w, size, h->o->read))
			return bench_wire_broken("http");
		if (status == 200) {
			r->ops++;
			r->bytes += size;
		} else {
			r->errors++;
		}
	}
	return true;
}

/* Files are stored beside the web server, not through it. */
static bool http_store(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	return bench_path_store(((struct handle *)p)->o, items, n, ((struct handle *)p)->data, r);
}

static bool http_remove(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	return bench_path_remove(((struct handle *)p)->o, items, n, r);
}

const struct bench_driver bench_http = {.name = "http",
					.foreign = true,
					.begin = bench_path_begin,
					.open = start,
					.get = http_get,
					.put = http_store,
					.remove = http_remove,
					.close = shut};
