/*
 * objm_session.c: sessions: connecting, the handshake, and the engine that every call of a session runs through.
 *
 * Runs in clients. struct objm holds one connection at a time that speaks the extension. A call is a struct objm_req:
 * objm_call() has objm_exchange.c send it and receive its answer, and repeats that where it is safe.
 */
#include "client/objm_priv.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define CONNECT_TIMEOUT_MS 5000u
#define CALL_TIMEOUT_MS 30000u
#define RETRY_MS 5000u
#define TIMEOUT_MAX_MS (24u * 3600u * 1000u)
#define CACHE_OBJECTS_MAX (1u << 24)
#define CACHE_REPORT_MS 1000u
#define CACHE_BYTES (UINT64_C(1) << 30)
#define BACKOFF_FIRST_US 500u
#define BACKOFF_MAX_US 100000u
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

void objm_enter(objm_t *s) { s->st.calls++; }

int objm_leave(objm_t *s, int r)
{
	if (r < 0)
		s->st.errors++;
	return r;
}

/* ---------------------------------------------------------------- time */

uint64_t objm_retry_until(const objm_t *s)
{
	return om_now_ns() + (uint64_t)s->opt.retry_ms * 1000000u;
}

bool objm_backoff(unsigned n, uint64_t until_ns)
{
	uint64_t now = om_now_ns(), us = BACKOFF_FIRST_US;
	struct timespec ts;

	if (now >= until_ns)
		return false;
	while (n-- > 0 && us < BACKOFF_MAX_US)
		us *= 2;
	/* Clients that lost the same server must not come back in step: the low bits of the clock spread them. */
	us = OM_MIN(us, (uint64_t)BACKOFF_MAX_US);
	us += (now / 1000u) % (us / 2u + 1u);
	us = OM_MIN(us, (until_ns - now) / 1000u + 1u);
	ts = (struct timespec){.tv_sec = 0, .tv_nsec = (long)(us * 1000u)};
	(void)nanosleep(&ts, NULL); /* cut short by a signal: tried a little earlier */
	return true;
}

static int socket_timeout(int sock, uint32_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000u, .tv_usec = (suseconds_t)(ms % 1000u) * 1000};

	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -OBJM_STATUS_SYSTEM;
	return 0;
}

/* ---------------------------------------------------------------- connecting */

void objm_disconnect(objm_t *s)
{
	struct objm_io old = s->io;

	objm_io_fini(&s->io);
	om_close(&s->io.sock);
	objm_io_init(&s->io, -1);
	s->touch_id = 0;
	s->st.bytes_sent += old.sent;
	s->st.bytes_received += old.received;
	s->st.fds_received += old.fds_in;
	s->st.fds_lost += old.fds_dropped;
}

/* The status of a connect() that failed. */
static int dial_status(int err)
{
	switch (err) {
	case EACCES:
	case EPERM:
		return -OBJM_STATUS_PERMISSION_DENIED;
	case EMFILE:
	case ENFILE:
		return -OBJM_STATUS_LIMIT_EXCEEDED;
	case ENOMEM:
	case ENOBUFS:
		return -OBJM_STATUS_OUT_OF_MEMORY;
	case EAGAIN:
		return -OBJM_STATUS_TIMEOUT;
	default:
		return -OBJM_STATUS_UNAVAILABLE;
	}
}

/* A connected socket with time-outs. Other transports will be told by the form of the path here. */
static int dial(objm_t *s, int *ret_sock)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	OM_AUTO_FD sock = -1;
	size_t n = strlen(s->path);
	int r, err;

	if (n == 0 || n >= sizeof(addr.sun_path))
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, 
				 "connect: the socket's path has %zu bytes, allowed are 1 to %zu", n, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, s->path, n + 1);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || socket_timeout(sock, s->opt.connect_timeout_ms) < 0) {
		err = errno;
		return objm_fail(s, dial_status(err), "connect: no socket: %s", strerror(err));
	}
	do {
		r = connect(sock, (struct sockaddr *)&addr, sizeof(addr));
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		err = errno;
		r = objm_fail(s, dial_status(err), "connect %s: %s%s", s->path,
			      err == EAGAIN ? "the server accepts nobody" : strerror(err),
			      err == ENOENT || err == ECONNREFUSED ? " (is objmapperd running?)" : "");
		errno = err;
		return r;
	}
	*ret_sock = om_take_fd(&sock);
	return 0;
}

/* The next message of the server, whole up to its payload; its length is still to be consumed. */
int objm_next_message(objm_t *s, bool greeted, struct om_proto_out *ret_out)
{
	size_t need = 1;
	int n, r;

	for (;;) {
		n = om_proto_out_decode(OM_PROTO_V2, greeted, OM_PROTO_CAP_EXTENSION, objm_io_at(&s->io),
					objm_io_avail(&s->io), ret_out, &need);
		if (n != 0)
			return n;
		r = objm_io_need(&s->io, need);
		if (r < 0)
			return r;
	}
}

static int hello(objm_t *s)
{
	struct om_proto_hello want = {
		.caps = OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_EXTENSION, .max_pipeline = 0};
	uint8_t buf[OM_PROTO_HELLO_LEN];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct om_proto_out out;
	int n, r;

	(void)om_proto_hello_encode(&want, buf, sizeof(buf)); /* the buffer has its size */
	r = objm_io_send(&s->io, &iov, 1, NULL, 0);
	n = r < 0 ? r : objm_next_message(s, false, &out);
	if (n < 0)
		return objm_fail(s, n, "handshake with %s: %s", s->path, objm_status_text(n));
	objm_io_consume(&s->io, (size_t)n);
	if (!(out.u.hello.caps & OM_PROTO_CAP_EXTENSION))
		return objm_fail(s, -OBJM_STATUS_PROTO_CAPABILITY,
				 "handshake with %s: the server does not offer the extension that sessions need", s->path);
	return 0;
}

static int attach_frame(void *arg, const struct objm_frame *f)
{
	objm_t *s = arg;

	if (f->status == 0 && (f->body->have & OM_PROTO_BIT(LIMITS)))
		s->limits = f->body->limits;
	objm_cache_table(s, f->nfds == 1 ? f->fds[0] : -1);
	return 0;
}

static int attach(objm_t *s)
{
	struct objm_req req = {.op = OM_PROTO_OP_ATTACH, .frame = attach_frame, .arg = s};
	bool sent;

	/* What a server that does not say allows for certain. */
	s->limits = (struct om_proto_limits){.tlv_max = 65536,
					     .sessions_max = 1,
					     .page_max = 1000,
					     .uris_max = 1,
					     .max_fds = 1,
					     .inline_max = 0};
	if (s->opt.cache_objects)
		req.flags = OM_PROTO_F_WANT_TABLE;
	req.body.have = OM_PROTO_BIT(PROMISE) | OM_PROTO_BIT(MAX_FDS);
	req.body.promise = (uint8_t)s->opt.promise;
	req.body.max_fds = (uint8_t)s->opt.max_fds;
	return objm_exchange(s, &req, &sent);
}

int objm_connect(objm_t *s)
{
	int sock = -1, r;

	if (s->io.sock >= 0)
		return 0;
	r = dial(s, &sock);
	if (r < 0)
		return r;
	objm_io_init(&s->io, sock);
	s->io.socket_timeouts = true;
	r = hello(s);
	if (r == 0)
		r = attach(s);
	if (r == 0 && socket_timeout(sock, s->opt.call_timeout_ms) < 0)
		r = objm_fail(s, -OBJM_STATUS_SYSTEM, "connect %s: socket options: %s", s->path, strerror(errno));
	if (r < 0) {
		objm_disconnect(s);
		return r;
	}
	s->leaving = false;
	s->conn_serial++;
	if (s->conn_serial > 1)
		s->st.reconnects++;
	return 0;
}

/* ---------------------------------------------------------------- repeating */

/* An answer that says: not now. */
static bool worth_repeating(const struct objm_req *req, int r)
{
	return r == -OBJM_STATUS_UNAVAILABLE || r == -OBJM_STATUS_TRY_AGAIN ||
	       (req->retry_writer && r == -OBJM_STATUS_WRITER_STILL_OPEN);
}

/* The result of a request whose connection went away, and that must not be sent again. */
static int unknown_outcome(objm_t *s, const struct objm_req *req)
{
	char uri[OBJM_QUOTE_MAX];

	return objm_fail(s, -OBJM_STATUS_TIMEOUT,
			 "%s%s%s: outcome unknown: the connection was lost after the request had been sent; look with stat",
			 om_proto_op_name(req->op), req->uri ? " " : "", req->uri ? objm_quote(req->uri, uri) : "");
}

/*
 * True if the server has closed, or has something to say, while nothing was asked (that it is going, in all
 * likelihood):
 * for a change that must not be repeated that is better known before than after.
 */
bool objm_stale(const objm_t *s)
{
	uint8_t byte;
	ssize_t n;

	if (objm_io_avail(&s->io) > 0)
		return true;
	n = recv(s->io.sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* One try. *ret_again: it may be tried again. */
static int try_once(objm_t *s, struct objm_req *req, bool *ret_again)
{
	bool sent;
	int r;

	*ret_again = false;
	objm_cache_settle(s);
	if (s->io.sock >= 0 && ((s->leaving && req->conn_serial == 0) || (req->once && !req->fresh && objm_stale(s))))
		objm_disconnect(s);
	if (req->conn_serial != 0 && (s->io.sock < 0 || s->conn_serial != req->conn_serial))
		return objm_fail(s, -OBJM_STATUS_NO_SESSION,
				 "%s: the connection on which the put began is gone; begin again", om_proto_op_name(req->op));
	r = objm_connect(s);
	if (r < 0) {
		/* Nothing was sent. Lost in the handshake: a server on its way down or up. */
		*ret_again = r == -OBJM_STATUS_UNAVAILABLE || r == -OBJM_STATUS_GONE || r == -OBJM_STATUS_TRY_AGAIN;
		return *ret_again ? -OBJM_STATUS_UNAVAILABLE : r;
	}
	r = objm_exchange(s, req, &sent);
	if (!req->conn_lost) {
		if (r == -OBJM_STATUS_TIMEOUT && sent && req->once && s->io.sock < 0)
			return unknown_outcome(s, req);
		*ret_again = r < 0 && worth_repeating(req, r);
		return r;
	}
	if (sent && req->once)
		return unknown_outcome(s, req);
	req->repeated = req->repeated || sent;
	*ret_again = true;
	return -OBJM_STATUS_UNAVAILABLE;
}

int objm_call(objm_t *s, struct objm_req *req)
{
	uint64_t until = 0;
	unsigned n = 0;
	bool again;
	int r;

	req->repeated = false;
	for (;;) {
		r = try_once(s, req, &again);
		if (r >= 0 || !again)
			return r;
		if (until == 0)
			until = objm_retry_until(s);
		if (!objm_backoff(n++, until))
			return r;
		s->st.retries++;
	}
}

/* ---------------------------------------------------------------- public */

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
