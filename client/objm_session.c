/*
 * objm_session.c: sessions: opened by their options, closed, counted.
 *
 * Runs in clients. struct objm holds one connection at a time that speaks the extension (objm_link.c); objm_call.c is the engine of
 * its calls.
 */
#include "client/objm_priv.h"

#define CONNECT_TIMEOUT_MS 5000u
#define CALL_TIMEOUT_MS 30000u
#define RETRY_MS 5000u
#define TIMEOUT_MAX_MS (24u * 3600u * 1000u)
#define CACHE_OBJECTS_MAX (1u << 24)
#define CACHE_REPORT_MS 1000u
#define CACHE_BYTES (UINT64_C(1) << 30)
#ifdef __GLIBC__
#define FDS_DEFAULT 253u
#else
#define FDS_DEFAULT 252u /* musl's recvmsg takes no more */
#endif

static _Thread_local char open_error[768] = "no error";

const char *objm_error(const objm_t *s)
{
	if (!s)
		return open_error;
	return s->err[0] ? s->err : "no error";
}

/* An option: 0 is the default; UINT32_MAX if out of range. */
static uint32_t option(uint32_t v, uint32_t standard, uint32_t max)
{
	if (v == 0)
		return standard;
	return v <= max ? v : UINT32_MAX;
}

static int options(objm_t *s, const struct objm_options *opt)
{
	struct objm_options o;

	OBJM_OPT_COPY(o, opt, (struct objm_options)OBJM_OPTIONS_INIT);
	s->opt.connect_timeout_ms = option(o.connect_timeout_ms, CONNECT_TIMEOUT_MS, TIMEOUT_MAX_MS);
	s->opt.call_timeout_ms = option(o.call_timeout_ms, CALL_TIMEOUT_MS, TIMEOUT_MAX_MS);
	s->opt.retry_ms = o.retry_ms == OBJM_NO_RETRY ? 0 : option(o.retry_ms, RETRY_MS, TIMEOUT_MAX_MS);
	s->opt.wait_ms = option(o.wait_ms, 0, TIMEOUT_MAX_MS);
	s->opt.max_fds = option(o.max_fds, FDS_DEFAULT, OM_PROTO_FDS_MAX);
	s->opt.promise = o.promise;
	s->opt.cache_objects = option(o.cache_objects, 0, CACHE_OBJECTS_MAX);
	s->opt.cache_report_ms = option(o.cache_report_ms, CACHE_REPORT_MS, TIMEOUT_MAX_MS);
	s->opt.cache_bytes = o.cache_bytes ? o.cache_bytes : CACHE_BYTES;
	if (s->opt.connect_timeout_ms == UINT32_MAX || s->opt.call_timeout_ms == UINT32_MAX ||
	    s->opt.retry_ms == UINT32_MAX || s->opt.wait_ms == UINT32_MAX || s->opt.cache_report_ms == UINT32_MAX)
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "options: a time is greater than a day");
	if (s->opt.max_fds == UINT32_MAX)
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "options: max_fds is greater than %u", OM_PROTO_FDS_MAX);
	if (s->opt.promise & ~OBJM_PROMISE_POSITIONED)
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "options: unknown promise");
	if (s->opt.cache_objects == UINT32_MAX)
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "options: cache_objects is greater than %u", CACHE_OBJECTS_MAX);
	if (s->opt.cache_objects && !(s->opt.promise & OBJM_PROMISE_POSITIONED))
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST,
				 "options: a cache shares its descriptors: promise positioned access (OBJM_PROMISE_POSITIONED)");
	return objm_cache_begin(s);
}

static int open_session(objm_t *s, const char *path, const struct objm_options *opt)
{
	uint64_t from, span_ms;
	bool left = false;
	unsigned n = 0;
	int r;

	r = options(s, opt);
	if (r < 0)
		return r;
	if (!path)
		path = getenv("OBJM_SOCKET");
	s->path = strdup(path && path[0] ? path : OBJM_SOCKET_DEFAULT);
	if (!s->path)
		return objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "out of memory");
	from = om_now_ns();
	for (;;) {
		r = objm_connect(s);
		if (r != -OBJM_STATUS_UNAVAILABLE && r != -OBJM_STATUS_GONE)
			break;
		/* A server that took the connection and left within the handshake is restarting: it is worth what a lost one is. */
		left |= r == -OBJM_STATUS_GONE;
		span_ms = left ? OM_MAX(s->opt.wait_ms, s->opt.retry_ms) : s->opt.wait_ms;
		if (span_ms == 0 || !objm_backoff(n++, from + span_ms * 1000000u))
			break;
	}
	return r == -OBJM_STATUS_GONE ? -OBJM_STATUS_UNAVAILABLE : r;
}

int objm_open(const char *path, const struct objm_options *opt, objm_t **ret)
{
	objm_t *s = calloc(1, sizeof(*s));
	int r, err;

	if (!s) {
		(void)snprintf(open_error, sizeof(open_error), "out of memory");
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	objm_io_init(&s->io, -1);
	r = open_session(s, path, opt);
	if (r < 0) {
		err = errno;
		memcpy(open_error, s->err, sizeof(open_error));
		objm_close(s);
		errno = err;
		return r;
	}
	*ret = s;
	return 0;
}

void objm_close(objm_t *s)
{
	if (!s)
		return;
	objm_cache_end(s);
	objm_disconnect(s);
	free(s->tx);
	free(s->path);
	free(s);
}

int objm_ping(objm_t *s)
{
	struct objm_req req = {.op = OM_PROTO_OP_PING};

	objm_enter(s);
	return objm_leave(s, objm_call(s, &req));
}

void objm_stats(const objm_t *s, struct objm_stats *ret_stats)
{
	*ret_stats = s->st;
	ret_stats->bytes_sent += s->io.sent;
	ret_stats->bytes_received += s->io.received;
	ret_stats->fds_received += s->io.fds_in;
	ret_stats->fds_lost += s->io.fds_dropped;
	objm_cache_count(s, ret_stats);
}
