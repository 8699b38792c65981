/*
 * wrk_req.c: requests: their structures, and which part of the worker answers which (process objmapper-worker, loop thread).
 * Called by wrk_decode.c with each message of a client.
 */
#include "worker/wrk_req.h"

#include "common/om_counter.h"
#include "common/om_hist.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"
#include "worker/wrk_decode.h"
#include "worker/wrk_get.h"
#include "worker/wrk_list.h"
#include "worker/wrk_reqlog.h"
#include "worker/wrk_set.h"
#include "worker/wrk_touch.h"
#include "worker/wrk_watch.h"
#include "worker/wrk_write.h"

#define WRK_REQ_CAPS (OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_EXTENSION)
#define WRK_REQ_CAPS_UNIX (WRK_REQ_CAPS | OM_PROTO_CAP_SEGMENTED) /* where descriptors pass */
#define WRK_REQ_SKIP_MAX (64u << 20) /* bytes of a refused payload that are read and thrown away */

/* ---------------------------------------------------------------- structures */

static struct wrk_req *wrk_req_spare;
static unsigned wrk_req_spares;

struct wrk_req *wrk_req_new(struct wrk_conn *c)
{
	struct wrk_req *r = wrk_req_spare;

	if (r) {
		wrk_req_spare = r->next;
		wrk_req_spares--;
	} else {
		r = malloc(sizeof(*r));
		if (!r) {
			wrk_reqlog_line(c, OM_MSG_PEER_LIMIT, "out of memory for a request of uid %d: the connection is closed", (int)c->uid);
			wrk_conn_close(c);
			return NULL;
		}
	}
	*r = (struct wrk_req){ .conn = c, .w = c->w, .index = -1, .job_fd = -1, .turn_ns = c->w->loop.now_ns };
	r->next = c->reqs;
	if (c->reqs)
		c->reqs->prev = r;
	else
		c->reqs_oldest = r;
	c->reqs = r;
	return r;
}

static void wrk_req_count(struct wrk_req *r)
{
	if (r->counted || !r->conn)
		return;
	r->counted = true;
	r->conn->n_reqs++;
	r->conn->n_heavy += r->heavy;
}

bool wrk_req_wait(struct wrk_req *r)
{
	if (!r->uri_owned && r->uri_len) {
		char *copy = malloc(r->uri_len);

		if (!copy) {
			wrk_answer_error(r, -OBJM_STATUS_OUT_OF_MEMORY, NULL);
			return false;
		}
		memcpy(copy, r->uri, r->uri_len);
		r->uri = copy;
		r->uri_owned = true;
	}
	wrk_req_count(r);
	return true;
}

static void wrk_req_unlink(struct wrk_req *r)
{
	struct wrk_conn *c = r->conn;

	if (!c)
		return;
	if (r->prev)
		r->prev->next = r->next;
	else
		c->reqs = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		c->reqs_oldest = r->prev;
	if (r->counted) {
		c->n_reqs--;
		c->n_heavy -= r->heavy;
	}
	if (r->parked) {
		c->parked_held -= wrk_out_held(r->stage);
		c->parked_bytes -= wrk_out_bytes(r->stage);
	}
	if (c->payload == r)
		c->payload = NULL; /* the rest of it is thrown away */
	r->conn = NULL;
}

static void wrk_req_free(struct wrk_req *r)
{
	if (r->uri_owned)
		free((void *)(uintptr_t)r->uri);
	free(r->full);
	free(r->list.buf);
	free(r->last);
	wrk_list_page_free(r);
	if (r->stage) {
		wrk_out_fini(r->stage);
		free(r->stage);
	}
	if (wrk_req_spares >= WRK_REQ_SPARE_MAX) {
		free(r);
		return;
	}
	r->next = wrk_req_spare;
	wrk_req_spare = r;
	wrk_req_spares++;
}

/* Its answer must keep its order, and others are still due before it: it is gathered apart. @return false: closed */
static bool wrk_req_stage(struct wrk_req *r)
{
	r->stage = malloc(sizeof(*r->stage));
	if (!r->stage) {
		wrk_conn_close(r->conn);
		return false;
	}
	wrk_out_init(r->stage, r->w->fdcache);
	return true;
}

static void wrk_req_park(struct wrk_req *r)
{
	struct wrk_conn *c = r->conn;

	wrk_req_count(r);
	r->parked = true;
	c->parked_held += wrk_out_held(r->stage);
	c->parked_bytes += wrk_out_bytes(r->stage);
	wrk_conn_touch(c);
}

static enum om_hist wrk_req_hist(const struct wrk_req *r)
{
	switch (r->op) {
	case OM_PROTO_OP_GET: return OM_H_GET;
	case OM_PROTO_OP_STAT: return OM_H_STAT;
	case OM_PROTO_OP_LIST: return OM_H_LIST;
	case OM_PROTO_OP_PUT_INLINE:
	case OM_PROTO_OP_PUT_COMMIT: return OM_H_PUT;
	case OM_PROTO_OP_DELETE: return OM_H_DELETE;
	default: return OM_H_OTHER;
	}
}

/* How long it took. Those that end in the turn in which they came are counted at its end, with one look at the clock. */
static void wrk_req_clock(const struct wrk_req *r)
{
	struct wrk *w = r->w;

	if (r->index >= 0 || !r->conn)
		return; /* part of a group; or nobody is there any more */
	if (r->turn_ns == w->loop.now_ns)
		w->turn_ended[wrk_req_hist(r)]++;
	else
		om_hist_add(wrk_req_hist(r), om_now_ns() - r->turn_ns, 1);
}

void wrk_req_turn(struct wrk *w, uint64_t now_ns)
{
	for (unsigned h = 0; h < OM_H_COUNT; h++) {
		if (!w->turn_ended[h])
			continue;
		om_hist_add((enum om_hist)h, now_ns - w->loop.now_ns, w->turn_ended[h]);
		w->turn_ended[h] = 0;
	}
}

/* The oldest request has ended: answers whose turn it is leave. What is next and not done goes on without a stage. */
static void wrk_req_release(struct wrk_conn *c)
{
	struct wrk_req *r;

	while (c->state != WRK_CONN_DEAD && (r = c->reqs_oldest) && r->stage) {
		struct wrk_out *stage = r->stage;
		bool parked = r->parked;

		if (parked) {
			wrk_req_clock(r);
			wrk_req_unlink(r);
		}
		r->stage = NULL;
		if (wrk_out_move(&c->out, stage) < 0) {
			wrk_reqlog_line(c, OM_MSG_PEER_LIMIT, "out of memory for an answer to uid %d: the connection is closed", (int)c->uid);
			wrk_conn_close(c);
		}
		wrk_out_fini(stage);
		free(stage);
		if (!parked)
			return;
		wrk_req_free(r);
	}
}

void wrk_req_end(struct wrk_req *r)
{
	struct wrk_req *group = r->group;
	struct wrk_conn *c = r->conn;
	bool oldest = c && c->reqs_oldest == r;

	OM_ASSERT(!r->job.busy && !r->ring_req && !r->parked);
	wrk_reqlog(r);
	if (c && r->stage) { /* it is not the oldest, or it had none any more */
		wrk_req_park(r);
		return;
	}
	if (c)
		wrk_conn_touch(c);
	wrk_req_clock(r);
	wrk_req_unlink(r);
	wrk_req_free(r);
	if (group && --group->left == 0)
		wrk_req_end(group);
	if (oldest)
		wrk_req_release(c);
}

void wrk_req_conn_gone(struct wrk_conn *c)
{
	struct wrk_req *r, *left = NULL;

	while ((r = c->reqs)) {
		wrk_req_unlink(r);
		if (r->ring_req)
			wrk_ring_forget(r->w->ring, r->ring_req);
		r->ring_req = 0;
		r->parked = false;
		if (r->job.busy || r->left) { /* ends with its job; a group with its last part */
			r->next = NULL;
			continue;
		}
		r->next = left;
		left = r;
	}
	while ((r = left)) { /* nobody will call back about these */
		left = r->next;
		wrk_req_end(r);
	}
}

void wrk_req_fini(void)
{
	while (wrk_req_spare) {
		struct wrk_req *r = wrk_req_spare;

		wrk_req_spare = r->next;
		free(r);
	}
	wrk_req_spares = 0;
}

/* ---------------------------------------------------------------- versions 1 and 2 */

static void wrk_req_begin_hello(struct wrk_conn *c, const struct om_proto_hello *hello)
{
	uint32_t ours = c->w->boot.limits.max_pipeline, theirs = hello->max_pipeline;
	struct om_proto_hello ack = { .caps = hello->caps & (wrk_conn_is_unix(c) ? WRK_REQ_CAPS_UNIX : WRK_REQ_CAPS) };
	uint8_t *p = wrk_out_room(&c->out, OM_PROTO_HELLO_ACK_LEN);

	if (!ours || (theirs && theirs < ours))
		ours = theirs; /* the smaller, and 0 is none */
	ack.max_pipeline = (uint16_t)OM_MIN(ours, UINT16_MAX);
	ack.parallelism = (uint8_t)OM_MIN(OM_MAX(c->w->boot.limits.io_threads, 1u), UINT8_MAX);
	if (!p || om_proto_hello_ack_encode(&ack, p, OM_PROTO_HELLO_ACK_LEN) < 0 ||
	    wrk_out_frame(&c->out, OM_PROTO_HELLO_ACK_LEN, NULL, 0, WRK_OUT_FDS_MAX) < 0) {
		wrk_conn_close(c);
		return;
	}
	c->greeted = true;
	c->caps = ack.caps;
	c->max_pipeline = ack.max_pipeline;
	wrk_conn_touch(c);
}

/* On a connection over a limit the first request is told which one, and is the last. */
static bool wrk_req_refused(struct wrk_req *r)
{
	struct wrk_conn *c = r->conn;

	if (!c->refused)
		return false;
	wrk_answer_error(r, -OBJM_STATUS_LIMIT_EXCEEDED, c->refused);
	if (c->state == WRK_CONN_OPEN)
		c->state = WRK_CONN_CLOSING;
	return true;
}

/* 0, or why a request of version 1 or 2 is refused. */
static int wrk_req_check_old(const struct wrk_conn *c, const struct om_proto_req *q, const char **ret_text)
{
	int rc;

	*ret_text = NULL;
	if (q->status == OBJM_STATUS_INVALID_REQUEST)
		*ret_text = "invalid request: the URI is empty";
	if (q->status != OBJM_STATUS_OK)
		return -(int)q->status;
	rc = om_uri_check(q->uri, q->uri_len);
	if (rc < 0) {
		*ret_text = "invalid request: the URI is not UTF-8, or contains a zero byte";
		return rc;
	}
	if (q->mode == OM_PROTO_MODE_FDPASS && !wrk_conn_is_unix(c)) {
		*ret_text = "descriptors pass over Unix sockets only: use mode 2 (copy)";
		return -OBJM_STATUS_INVALID_MODE;
	}
	if (q->mode == OM_PROTO_MODE_SEGMENTED && !(c->caps & OM_PROTO_CAP_SEGMENTED)) {
		*ret_text = "segmented responses were not negotiated: use mode 1 (fdpass) or 2 (copy)";
		return -OBJM_STATUS_INVALID_MODE;
	}
	return 0;
}

static void wrk_req_begin_old(struct wrk_conn *c, const struct wrk_req_item *item)
{
	const struct om_proto_req *q = &item->in.u.req;
	struct wrk_req *r = wrk_req_new(c);
	const char *text;
	int rc;

	c->skip = q->skip;
	if (!r)
		return;
	r->form = c->version;
	r->heavy = !item->light;
	if (item->ordered && r->next && !wrk_req_stage(r))
		return;
	r->op = OM_PROTO_OP_GET;
	r->id = q->id;
	r->mode = q->mode;
	r->copy = q->mode == OM_PROTO_MODE_COPY || q->mode == OM_PROTO_MODE_SPLICE;
	r->priority = q->flags & OM_PROTO_REQ_PRIORITY;
	r->uri = q->uri;
	r->uri_len = q->uri_len;
	r->keyed = item->keyed;
	r->key = item->key;
	if (wrk_req_refused(r))
		return;
	rc = wrk_req_check_old(c, q, &text);
	if (rc < 0)
		wrk_answer_error(r, rc, text);
	else if (!(c->kind == OM_LISTEN_LEGACY && (c->access->somewhere & OM_RIGHT_LEGACY) && wrk_write_legacy(r)))
		wrk_get(r);
}

/* ---------------------------------------------------------------- extension */

static void wrk_req_ping(struct wrk_req *r, const struct om_proto_body *body)
{
	(void)body;
	wrk_answer_body(r, NULL, NULL);
}

static void wrk_req_attach(struct wrk_req *r, const struct om_proto_body *body)
{
	struct wrk_conn *c = r->conn;
	const struct om_boot_limits *l = &c->w->boot.limits;
	const struct wrk_tier *home = c->w->boot.default_tier < OM_TIERS_MAX ? &c->w->tiers[c->w->boot.default_tier] : NULL;
	struct wrk_out_fd table = { .fd = c->w->gens_fd };
	struct om_proto_body answer = { .have = OM_PROTO_BIT(LIMITS) };

	c->promise = body->promise & OM_PROTO_PROMISE_POSITIONED;
	if (body->have & OM_PROTO_BIT(MAX_FDS))
		c->max_fds = body->max_fds;
	answer.limits = (struct om_proto_limits){
		.tlv_max = l->frame_bytes ? OM_MIN(l->frame_bytes, OM_PROTO_TLV_MAX) : 65536,
		.sessions_max = l->put_sessions_per_uid,
		.page_max = OM_MAX(l->list_page, 1u),
		.uris_max = OM_PROTO_URIS_MAX,
		.max_fds = (uint8_t)OM_MIN(wrk_conn_max_fds(c), OM_PROTO_FDS_MAX),
		.durability = home && home->known ? home->row.durability : 0,
		.inline_max = l->inline_bytes,
	};
	wrk_answer_body(r, &answer, (r->flags & OM_PROTO_F_WANT_TABLE) && wrk_conn_is_unix(c) ? &table : NULL);
}

/* A part of a group. */
static struct wrk_req *wrk_req_part(struct wrk_req *group, const struct om_proto_str *uri, int index)
{
	struct wrk_req *r = wrk_req_new(group->conn);

	if (!r)
		return NULL;
	r->form = group->form;
	r->op = group->op;
	r->id = group->id;
	r->flags = group->flags;
	r->copy = group->copy;
	r->t0_ns = group->t0_ns;
	r->range = group->range;
	r->uri = uri->p;
	r->uri_len = (uint16_t)uri->len;
	r->group = group;
	r->index = index;
	group->left++;
	return r;
}

/* `done`: URIs that have been answered already are not 0; NULL: none has. At least one is left. */
static void wrk_req_get_many(struct wrk_req *group, const struct om_proto_ext *ext, const uint8_t *done)
{
	struct wrk_req *parts[OM_PROTO_URIS_MAX];
	struct om_proto_str uri;
	size_t pos = 0;
	unsigned n = 0, i = 0;
	uint16_t tag;

	group->left = 1; /* ours, so that the group does not end under us */
	if (!wrk_req_wait(group))
		return;
	while (n < OM_PROTO_URIS_MAX && om_proto_tlv_next(ext->tlv, ext->tlv_len, &pos, &tag, &uri) > 0) {
		if (tag != OM_PROTO_TAG_URI || (done && done[i++]))
			continue;
		parts[n] = wrk_req_part(group, &uri, (int)(done ? i - 1 : n));
		if (!parts[n]) { /* the connection was closed, and with it all parts were ended */
			wrk_req_end(group);
			return;
		}
		n++;
	}
	group->left--; /* each part, when answered last, sees 1 and leaves MORE out */
	wrk_get_many(parts, n);
}

static void wrk_req_get(struct wrk_req *r, const struct wrk_req_item *item)
{
	const struct om_proto_ext *ext = &item->in.u.ext;
	const struct om_proto_body *body = &item->body;

	r->copy = ext->flags & OM_PROTO_F_COPY;
	if (!r->copy && !wrk_conn_is_unix(r->conn)) {
		wrk_answer_error(r, -OBJM_STATUS_INVALID_MODE, "descriptors pass over Unix sockets only: use COPY");
		return;
	}
	if (!r->copy && (body->have & OM_PROTO_BIT(RANGE))) {
		wrk_answer_error(r, -OBJM_STATUS_INVALID_REQUEST, "RANGE goes with COPY only: a descriptor is of the whole object");
		return;
	}
	if (body->have & OM_PROTO_BIT(RANGE))
		r->range = body->range;
	if (body->uris > 1)
		wrk_req_get_many(r, ext, item->done);
	else
		wrk_get(r);
}

/* All operations but GET, STAT and PUT_INLINE. */
static const struct {
	uint8_t op;
	bool changes; /* the store */
	void (*fn)(struct wrk_req *r, const struct om_proto_body *body);
} wrk_req_ops[] = {
	{ OM_PROTO_OP_PUT_BEGIN, true, wrk_write_put_begin },
	{ OM_PROTO_OP_PUT_COMMIT, true, wrk_write_put_commit },
	{ OM_PROTO_OP_PUT_ABORT, true, wrk_write_put_abort },
	{ OM_PROTO_OP_DELETE, true, wrk_write_delete },
	{ OM_PROTO_OP_LIST, false, wrk_list },
	{ OM_PROTO_OP_SET, true, wrk_set },
	{ OM_PROTO_OP_WATCH, false, wrk_watch },
	{ OM_PROTO_OP_ATTACH, false, wrk_req_attach },
	{ OM_PROTO_OP_PING, false, wrk_req_ping },
};

static void wrk_req_dispatch(struct wrk_req *r, const struct wrk_req_item *item)
{
	const struct om_proto_ext *ext = &item->in.u.ext;
	bool local = wrk_conn_is_unix(r->conn);
	/* on TCP only where a rule says so, and descriptors do not pass there */
	bool may_change = local || ((r->conn->access->somewhere & OM_RIGHTS_CHANGE) && ext->op != OM_PROTO_OP_PUT_BEGIN);

	if (ext->op == OM_PROTO_OP_GET) {
		wrk_req_get(r, item);
		return;
	}
	if (ext->op == OM_PROTO_OP_TOUCH) {
		wrk_touch(r, ext);
		return;
	}
	if (ext->op == OM_PROTO_OP_STAT) {
		wrk_get(r);
		return;
	}
	if (ext->op == OM_PROTO_OP_PUT_INLINE && may_change) {
		wrk_write_put_inline(r, &item->body, ext->payload_len);
		return;
	}
	for (size_t i = 0; i < OM_ARRAY_SIZE(wrk_req_ops); i++) {
		if (wrk_req_ops[i].op != ext->op || (wrk_req_ops[i].changes && !may_change))
			continue;
		wrk_req_ops[i].fn(r, &item->body);
		return;
	}
	if (!local && (r->conn->access->somewhere & OM_RIGHTS_CHANGE) && ext->op == OM_PROTO_OP_PUT_BEGIN)
		wrk_answer_error(r, -OBJM_STATUS_INVALID_MODE, "descriptors pass over Unix sockets only: use PUT_INLINE");
	else if (!local)
		wrk_answer_error(r, -OBJM_STATUS_READ_ONLY, "no access rule lets this address change anything");
	else
		wrk_answer_error(r, -OBJM_STATUS_UNSUPPORTED_OP, NULL);
}

static bool wrk_req_has_uri(uint8_t op)
{
	return op == OM_PROTO_OP_STAT || op == OM_PROTO_OP_PUT_BEGIN || op == OM_PROTO_OP_PUT_INLINE ||
	       op == OM_PROTO_OP_DELETE || op == OM_PROTO_OP_SET;
}

/* What the codec does not look at: bytes of URIs and inside of metadata. A GET's URIs are checked one by one. */
static int wrk_req_check_ext(const struct wrk_req_item *item, const char **ret_text)
{
	const struct om_proto_ext *ext = &item->in.u.ext;
	const struct om_proto_body *body = &item->body;

	*ret_text = NULL;
	if (ext->status != OBJM_STATUS_OK) {
		*ret_text = "the frame has more TLVs than the server takes (ATTACH tells how many: LIMITS)";
		return -(int)ext->status;
	}
	if (item->body_rc < 0)
		return item->body_rc;
	if (wrk_req_has_uri(ext->op) && om_uri_check(body->uri.p, body->uri.len) < 0) {
		*ret_text = "the URI is not UTF-8, or contains a zero byte";
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	if ((body->have & OM_PROTO_BIT(META)) && !om_meta_valid(body->meta.p, body->meta.len)) {
		*ret_text = "META is malformed, has a key twice, or too many entries";
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	return 0;
}

static void wrk_req_begin_ext(struct wrk_conn *c, const struct wrk_req_item *item)
{
	const struct om_proto_ext *ext = &item->in.u.ext;
	struct wrk_req *r = wrk_req_new(c);
	const char *text;
	int rc;

	c->skip = ext->skip;
	c->payload_left = ext->payload_len;
	c->payload = NULL;
	if (!r)
		return;
	r->form = WRK_REQ_EXT;
	r->heavy = !item->light;
	if (item->ordered && r->next && !wrk_req_stage(r))
		return;
	r->op = ext->op;
	r->id = ext->id;
	r->flags = ext->flags;
	r->t0_ns = (ext->flags & OM_PROTO_F_WANT_TIME) ? om_now_ns() : 0;
	if (wrk_req_refused(r))
		return;
	rc = wrk_req_check_ext(item, &text);
	if (rc == 0) {
		r->uri = item->body.uri.p;
		r->uri_len = (uint16_t)item->body.uri.len;
		r->keyed = item->keyed;
		r->key = item->key;
		wrk_req_dispatch(r, item);
	} else {
		wrk_answer_error(r, rc, text);
	}
	if (c->state == WRK_CONN_OPEN && !c->payload && c->payload_left > WRK_REQ_SKIP_MAX) {
		c->payload_left = 0; /* not worth reading: answer, then close */
		c->state = WRK_CONN_CLOSING;
	}
}

/* ---------------------------------------------------------------- all */

void wrk_req_begin(struct wrk_conn *c, struct wrk_req_item *item)
{
	switch (item->in.kind) {
	case OM_PROTO_IN_HELLO:
		wrk_req_begin_hello(c, &item->in.u.hello);
		return;
	case OM_PROTO_IN_REQUEST:
		om_count_own(OM_C_REQUESTS, 1);
		wrk_req_begin_old(c, item);
		return;
	case OM_PROTO_IN_EXT:
		om_count_own(OM_C_REQUESTS, 1);
		wrk_req_begin_ext(c, item);
		return;
	case OM_PROTO_IN_CLOSE:
		c->close_rcvd = true;
		c->state = WRK_CONN_CLOSING;
		wrk_conn_touch(c);
		return;
	case OM_PROTO_IN_CLOSE_ACK: /* to a CLOSE of ours, or uncalled for: of no consequence */
		return;
	}
}
