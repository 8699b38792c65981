/*
 * objm_put_many.c: storing many small objects with several requests under way.
 *
 * Runs in clients. A window of PUT_INLINE frames leaves in as few sendmsg as the socket takes; their answers come in any
 * order and are told apart by their ids, which are consecutive within a window. The window's answers always fit the
 * socket's buffer, so a server that answers while we still send never waits for us. What was not answered when a
 * connection broke is sent again, unless the put is conditional.
 */
#include "client/objm_put_spec.h"

#define WINDOW 253u
#define WINDOW_BYTES (4u << 20)
#define PENDING 1 /* in objm_result.status: not answered yet */
#define LARGE 2	  /* not for a window: stored one by one behind them */

struct window {
	struct objm_put_spec *spec;
	const struct objm_put_item *items;
	struct objm_result *results;
	size_t index[WINDOW]; /* of the n-th request among the items */
	bool answered[WINDOW];
	unsigned count, left;
	uint32_t first_id;
	struct iovec iov[2 * WINDOW];
};

/* Collect the next small items that have no answer; *at moves on. */
static void collect(struct window *w, size_t n, size_t *at)
{
	uint64_t bytes = 0;

	w->count = 0;
	for (; *at < n && w->count < WINDOW && bytes < WINDOW_BYTES; (*at)++) {
		if (w->results[*at].status != PENDING)
			continue;
		w->answered[w->count] = false;
		w->index[w->count++] = *at;
		bytes += w->items[*at].len;
	}
	w->left = w->count;
}

/* The frames of a window in s->tx, and the vector that interleaves them with the objects' bytes. */
static int build(objm_t *s, struct window *w)
{
	struct om_proto_body body = w->spec->body;
	struct om_proto_wr wr;
	size_t room = 0, at;
	uint8_t *p;
	int len;

	for (unsigned i = 0; i < w->count; i++)
		room += OM_PROTO_EXT_HDR + OM_PROTO_TLV_HDR + strlen(w->items[w->index[i]].uri);
	room += w->count * (256 + (size_t)body.type.len + body.meta.len);
	if (s->tx_cap < room) {
		p = realloc(s->tx, room);
		if (!p)
			return objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "PUT_INLINE: out of memory");
		s->tx = p;
		s->tx_cap = room;
	}
	om_proto_wr_init(&wr, s->tx, s->tx_cap);
	w->first_id = s->next_id;
	s->next_id += w->count;
	for (unsigned i = 0; i < w->count; i++) {
		const struct objm_put_item *item = &w->items[w->index[i]];
		struct om_proto_ext ext = {
			.op = OM_PROTO_OP_PUT_INLINE, .id = w->first_id + i, .payload_len = item->len};

		at = om_proto_ext_open(&wr);
		body.uri = (struct om_proto_str){item->uri, (uint32_t)strlen(item->uri)};
		om_proto_body_put(&wr, &body);
		len = om_proto_ext_close(&wr, at, &ext);
		if (len < 0)
			return objm_fail(s, len, "PUT_INLINE: the request does not fit the protocol's limits");
		w->iov[2 * i] = (struct iovec){.iov_base = s->tx + at, .iov_len = (size_t)len};
		w->iov[2 * i + 1] = (struct iovec){.iov_base = (void *)item->data, .iov_len = item->len};
	}
	return 0;
}

/* Take one answer. */
static int take(objm_t *s, struct window *w, const struct om_proto_ext *ext)
{
	struct objm_req req = {.op = OM_PROTO_OP_PUT_INLINE};
	uint32_t n = ext->id - w->first_id;
	struct objm_result *res;
	struct om_proto_body body;
	int r;

	if (ext->op != (OM_PROTO_OP_PUT_INLINE | OM_PROTO_OP_RESPONSE) || n >= w->count || w->answered[n] || ext->nfds ||
	    ext->payload_len || (ext->flags & OM_PROTO_F_MORE))
		return -OBJM_STATUS_PROTO_ERROR;
	r = om_proto_resp_body_decode(ext, &body);
	if (r < 0 || (ext->status == OBJM_STATUS_OK && !(body.have & OM_PROTO_BIT(OBJ))))
		return -OBJM_STATUS_PROTO_ERROR;
	w->answered[n] = true;
	w->left--;
	s->st.responses++;
	res = &w->results[w->index[n]];
	res->status = -(int)ext->status;
	if (ext->status == OBJM_STATUS_OK) {
		objm_info_fill(&body, &res->info);
	} else {
		req.uri = w->items[w->index[n]].uri;
		(void)objm_fail_status(s, &req, res->status,
				       (body.have & OM_PROTO_BIT(ERROR_TEXT)) ? &body.error_text : NULL);
	}
	return 0;
}

static int receive(objm_t *s, struct window *w)
{
	struct om_proto_out out;
	int n, r;

	while (w->left > 0) {
		n = objm_next_message(s, true, &out);
		if (n < 0)
			return n;
		if (out.kind == OM_PROTO_OUT_EXT) {
			r = take(s, w, &out.u.ext);
			if (r < 0)
				return r;
		} else if (out.kind == OM_PROTO_OUT_CLOSE || out.kind == OM_PROTO_OUT_CLOSE_ACK) {
			s->leaving = true; /* what it still owes comes before the end of the stream */
		} else {
			return -OBJM_STATUS_PROTO_ERROR;
		}
		objm_io_consume(&s->io, (size_t)n);
	}
	objm_io_settled(&s->io);
	return 0;
}

/* Those of a broken window that the server may have begun, and that must not be sent twice. */
static void unknown(objm_t *s, struct window *w)
{
	for (unsigned i = 0; i < w->count; i++) {
		if (!w->answered[i])
			w->results[w->index[i]].status = objm_fail(s, -OBJM_STATUS_TIMEOUT,
				"PUT_INLINE: outcome unknown: the connection was lost after the request had been sent; look with stat");
	}
}

/* One window, once. *ret_lost: the connection broke; what has no answer is still PENDING. */
static int exchange(objm_t *s, struct window *w, bool *ret_lost)
{
	struct objm_req req = {.op = OM_PROTO_OP_PUT_INLINE};
	struct iovec *iov = w->iov;
	int r;

	*ret_lost = false;
	r = build(s, w);
	if (r < 0)
		return r;
	s->st.requests += w->count;
	r = objm_io_send(&s->io, iov, 2 * w->count, NULL, 0);
	if (r == 0)
		r = receive(s, w);
	if (r == 0)
		return 0;
	*ret_lost = r == -OBJM_STATUS_GONE || r == -OBJM_STATUS_SYSTEM;
	(void)objm_fail_status(s, &req, r, NULL);
	objm_disconnect(s);
	if (w->spec->conditional)
		unknown(s, w);
	return r;
}

/* A connection that is worth a window. *ret_lost: not now. */
static int ready(objm_t *s, bool once, bool *ret_lost)
{
	int r;

	if (s->hooks)
		s->hooks->settle(s);
	if (s->io.sock >= 0 && (s->leaving || (once && objm_stale(s))))
		objm_disconnect(s);
	r = objm_connect(s);
	*ret_lost = r == -OBJM_STATUS_UNAVAILABLE || r == -OBJM_STATUS_GONE || r == -OBJM_STATUS_TRY_AGAIN;
	return r;
}

/* Send what is pending, window by window, until all have an answer or the connection broke. */
static int pass(objm_t *s, struct window *w, size_t n, bool *ret_lost)
{
	size_t at = 0;
	int r;

	r = ready(s, w->spec->conditional, ret_lost);
	if (r < 0)
		return r;
	for (collect(w, n, &at); w->count > 0; collect(w, n, &at)) {
		r = exchange(s, w, ret_lost);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Put those back whose answer was "not now". True if there is anything to send. */
static bool again(struct objm_result *results, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (results[i].status == -OBJM_STATUS_UNAVAILABLE || results[i].status == -OBJM_STATUS_TRY_AGAIN)
			results[i].status = PENDING;
		any |= results[i].status == PENDING;
	}
	return any;
}

static void conclude(struct objm_result *results, size_t n, int status)
{
	for (size_t i = 0; i < n; i++) {
		if (results[i].status == PENDING)
			results[i].status = status;
	}
}

/* The small ones. */
static int put_small(objm_t *s, struct window *w, size_t n)
{
	uint64_t until = 0;
	unsigned tries = 0;
	bool lost;
	int r;

	for (;;) {
		r = pass(s, w, n, &lost);
		if (r < 0 && !lost) {
			conclude(w->results, n, r);
			return r;
		}
		if (until == 0)
			until = objm_retry_until(s);
		if (!again(w->results, n))
			return 0;
		if (!objm_backoff(tries++, until)) {
			conclude(w->results, n, -OBJM_STATUS_UNAVAILABLE);
			return r < 0 ? -OBJM_STATUS_UNAVAILABLE : 0;
		}
		s->st.retries++;
	}
}

/* Results before the first request: what is wrong with an item by itself, or which way it goes. */
static void sort_out(objm_t *s, const struct objm_put_item *items, size_t n, struct objm_result *results)
{
	uint64_t most = OM_MIN((uint64_t)OBJM_INLINE_MAX, s->limits.inline_max);
	struct om_proto_body body;
	int r;

	for (size_t i = 0; i < n; i++) {
		memset(&results[i], 0, sizeof(results[i]));
		results[i].fd = -1;
		r = objm_body_uri(s, &body, items[i].uri);
		results[i].status = r < 0 ? r : items[i].len > most ? LARGE : PENDING;
	}
}

int objm_put_many(objm_t *s, const struct objm_put_item *items, size_t n, const struct objm_put_options *opt,
		  struct objm_result *ret_results)
{
	struct objm_put_spec spec;
	struct window *w;
	int r;

	objm_enter(s);
	sort_out(s, items, n, ret_results);
	r = objm_put_spec_init(s, &spec, "/", opt); /* the URI is each item's own */
	w = r == 0 ? malloc(sizeof(*w)) : NULL;
	if (r == 0 && !w)
		r = objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "put: out of memory");
	if (r == 0) {
		w->spec = &spec;
		w->items = items;
		w->results = ret_results;
		r = put_small(s, w, n);
	}
	free(w);
	for (size_t i = 0; i < n; i++) {
		if (ret_results[i].status != LARGE)
			continue;
		ret_results[i].status = r < 0 ? r : objm_put_buf(s, items[i].uri, items[i].data, items[i].len, opt,
								 &ret_results[i].info);
	}
	if (r < 0)
		conclude(ret_results, n, r);
	return objm_leave(s, r);
}
