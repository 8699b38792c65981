/*
 * objm_call.c: the engine that every call of a session runs through: a connection that is attached, a request and its answer, and
 * both again where that is safe.
 *
 * Runs in clients, on the session's thread. A call is a struct objm_req; objm_exchange.c sends it and receives its answer.
 */
#include "client/objm_priv.h"

void objm_enter(objm_t *s) { s->st.calls++; }

int objm_leave(objm_t *s, int r)
{
	if (r < 0)
		s->st.errors++;
	return r;
}

/* ---------------------------------------------------------------- connecting */

static int attach_frame(void *arg, const struct objm_frame *f)
{
	objm_t *s = arg;

	if (f->status == 0 && (f->body->have & OM_PROTO_BIT(LIMITS)))
		s->limits = f->body->limits;
	if (s->hooks)
		s->hooks->attached(s, f->nfds == 1 ? f->fds[0] : -1);
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
	int r;

	if (s->io.sock >= 0)
		return 0;
	r = objm_link(s);
	if (r == 0)
		r = attach(s);
	if (r == 0)
		r = objm_link_timeout(s, s->opt.call_timeout_ms);
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

/* One try. *ret_again: it may be tried again. */
static int try_once(objm_t *s, struct objm_req *req, bool *ret_again)
{
	bool sent;
	int r;

	*ret_again = false;
	if (s->hooks)
		s->hooks->settle(s);
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
