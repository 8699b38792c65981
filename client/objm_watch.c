/*
 * objm_watch.c: changes under a prefix, as they happen.
 *
 * Runs in clients. A watch has a session of its own, with one WATCH on its connection. When the connection is lost the next
 * call makes another and goes on behind the position told last; what the server no longer knows it tells as LOST.
 */
#include <poll.h>

#include "client/objm_priv.h"

struct objm_watch {
	objm_t *s;
	char prefix[OM_URI_MAX + 1];
	uint32_t prefix_len;
	uint32_t id;
	bool asked;  /* WATCH has been sent on this connection */
	bool placed; /* epoch and pos are known */
	struct om_proto_position at;
	struct objm_change change; /* what was returned last, and its text */
	char uri[OM_URI_MAX + 1];
};

static int ask(objm_watch_t *w)
{
	objm_t *s = w->s;
	struct om_proto_ext ext = {.op = OM_PROTO_OP_WATCH, .id = ++s->next_id};
	struct om_proto_body body = {.have = OM_PROTO_BIT(PREFIX), .prefix = {w->prefix, w->prefix_len}};
	uint8_t buf[OM_PROTO_EXT_HDR + OM_URI_MAX + 64];
	struct om_proto_wr wr;
	struct iovec iov;
	int n;

	if (w->placed) {
		body.have |= OM_PROTO_BIT(POSITION);
		body.position = w->at;
	}
	om_proto_wr_init(&wr, buf, sizeof(buf));
	n = om_proto_ext_encode(&wr, &ext, &body);
	if (n < 0)
		return objm_fail(s, n, "WATCH: the prefix cannot be sent");
	iov = (struct iovec){.iov_base = buf, .iov_len = (size_t)n};
	w->id = ext.id;
	n = objm_io_send(&s->io, &iov, 1, NULL, 0);
	w->asked = n == 0;
	return n;
}

int objm_watch_open(objm_t *s, const struct objm_watch_options *opt, objm_watch_t **ret_watch)
{
	const struct objm_options so = {.size = sizeof(so), .connect_timeout_ms = s->opt.connect_timeout_ms,
					.call_timeout_ms = s->opt.call_timeout_ms, .retry_ms = s->opt.retry_ms};
	struct objm_watch_options o;
	objm_watch_t *w;
	size_t n;
	int r;

	objm_enter(s);
	OBJM_OPT_COPY(o, opt, (struct objm_watch_options)OBJM_WATCH_OPTIONS_INIT);
	n = o.prefix ? strnlen(o.prefix, OM_URI_MAX + 1) : 0;
	if (n > OM_URI_MAX)
		return objm_leave(s, objm_fail(s, -OBJM_STATUS_URI_TOO_LONG, "WATCH: the prefix is longer than %u bytes", OM_URI_MAX));
	w = calloc(1, sizeof(*w));
	if (!w)
		return objm_leave(s, objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "WATCH: out of memory"));
	if (n)
		memcpy(w->prefix, o.prefix, n);
	w->prefix_len = (uint32_t)n;
	w->placed = o.epoch != 0;
	w->at = (struct om_proto_position){o.epoch, o.pos};
	r = objm_open(s->path, &so, &w->s);
	if (r < 0) {
		r = objm_fail(s, r, "%s", objm_error(NULL));
		free(w);
		return objm_leave(s, r);
	}
	*ret_watch = w;
	return objm_leave(s, 0);
}

void objm_watch_close(objm_watch_t *w)
{
	if (!w)
		return;
	objm_close(w->s);
	free(w);
}

const char *objm_watch_error(const objm_watch_t *w) { return objm_error(w->s); }

/* One message: 1 if w->change is to be told; 0: nothing; negative. */
static int take(objm_watch_t *w)
{
	struct om_proto_out out;
	struct om_proto_body body;
	int n = objm_next_message(w->s, true, &out);

	if (n < 0)
		return n;
	if (out.kind == OM_PROTO_OUT_CLOSE) { /* it ends: another one will go on */
		objm_io_consume(&w->s->io, (size_t)n);
		return -OBJM_STATUS_GONE;
	}
	if (out.kind != OM_PROTO_OUT_EXT || out.u.ext.op != (OM_PROTO_OP_WATCH | OM_PROTO_OP_RESPONSE) || out.u.ext.id != w->id ||
	    out.u.ext.payload_len || om_proto_resp_body_decode(&out.u.ext, &body) < 0)
		return objm_fail(w->s, -OBJM_STATUS_PROTO_ERROR, "WATCH: the server sent something else");
	if (out.u.ext.status != OBJM_STATUS_OK) {
		const struct objm_req req = {.op = OM_PROTO_OP_WATCH};
		int r = objm_fail_status(w->s, &req, -(int)out.u.ext.status,
					 body.have & OM_PROTO_BIT(ERROR_TEXT) ? &body.error_text : NULL);
		objm_io_consume(&w->s->io, (size_t)n);
		w->asked = false; /* nothing more comes of this one */
		return r;
	}
	if (!(body.have & OM_PROTO_BIT(CHANGE)))
		return objm_fail(w->s, -OBJM_STATUS_PROTO_ERROR, "WATCH: a frame without its change");
	w->placed = true;
	w->at = body.change.at;
	w->change = (struct objm_change){.kind = body.change.kind, .uri = w->uri, .epoch = w->at.epoch, .pos = w->at.pos};
	w->uri[0] = '\0';
	if (body.have & OM_PROTO_BIT(URI)) {
		memcpy(w->uri, body.uri.p, body.uri.len); /* its length was checked */
		w->uri[body.uri.len] = '\0';
	}
	if (body.have & OM_PROTO_BIT(OBJ))
		objm_info_fill(&body, &w->change.info);
	objm_io_consume(&w->s->io, (size_t)n);
	return body.change.kind >= OM_PROTO_CHANGE_PUT && body.change.kind < OM_PROTO_CHANGES ? 1 : 0;
}

/* 1: something can be read; 0: the time is up; negative. */
static int wait(objm_watch_t *w, uint64_t until_ns)
{
	struct pollfd p = {.fd = w->s->io.sock, .events = POLLIN};
	int r;

	if (objm_io_avail(&w->s->io))
		return 1; /* the rest of it is on its way */
	do {
		uint64_t now = om_now_ns();
		int ms = -1;

		if (until_ns != UINT64_MAX)
			ms = now >= until_ns ? 0 : (int)OM_MIN((until_ns - now + 999999) / 1000000, (uint64_t)INT32_MAX);
		r = poll(&p, 1, ms);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? objm_fail(w->s, -OBJM_STATUS_SYSTEM, "WATCH: poll: %s", strerror(errno)) : r > 0;
}

int objm_watch_next(objm_watch_t *w, int timeout_ms, const struct objm_change **ret_change)
{
	uint64_t until = timeout_ms < 0 ? UINT64_MAX : om_now_ns() + (uint64_t)timeout_ms * 1000000u;
	uint64_t retry_until = 0; /* from the first loss on */
	int r = 0;

	for (unsigned tries = 0;;) {
		if (r == 0)
			r = objm_connect(w->s);
		objm_io_deadline(&w->s->io, w->s->opt.call_timeout_ms);
		if (r == 0 && !w->asked)
			r = ask(w);
		if (r == 0)
			r = wait(w, until);
		if (r == 0)
			return -OBJM_STATUS_TIMEOUT;
		if (r == 1)
			r = take(w);
		if (r == 1) {
			*ret_change = &w->change;
			return 0;
		}
		if (r == 0)
			continue;
		if (r != -OBJM_STATUS_GONE && r != -OBJM_STATUS_TIMEOUT && r != -OBJM_STATUS_UNAVAILABLE)
			return r;
		objm_disconnect(w->s);
		w->asked = false;
		if (!retry_until)
			retry_until = objm_retry_until(w->s);
		if (!objm_backoff(tries++, retry_until))
			return r;
		r = 0;
	}
}
