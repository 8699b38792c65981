/*
 * wrk_begin.c: which part of the worker answers which request (process objmapper-worker, loop thread). Called by wrk_decode.c
 * with each message of a client that does not go the short way (wrk_hot.c).
 */
#include "worker/wrk_begin.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"
#include "worker/wrk_code.h"
#include "worker/wrk_get.h"
#include "worker/wrk_list.h"
#include "worker/wrk_set.h"
#include "worker/wrk_touch.h"
#include "worker/wrk_watch.h"
#include "worker/wrk_write.h"

#define WRK_BEGIN_CAPS (OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_EXTENSION)
#define WRK_BEGIN_CAPS_UNIX (WRK_BEGIN_CAPS | OM_PROTO_CAP_SEGMENTED) /* where descriptors pass */
#define WRK_BEGIN_SKIP_MAX (64u << 20) /* bytes of a refused payload that are read and thrown away */

/* ---------------------------------------------------------------- versions 1 and 2 */

static void wrk_begin_hello(struct wrk_conn *c, const struct om_proto_hello *hello)
{
	uint32_t ours = c->w->boot.limits.max_pipeline, theirs = hello->max_pipeline;
	struct om_proto_hello ack = { .caps = (hello->caps & (wrk_conn_is_unix(c) ? WRK_BEGIN_CAPS_UNIX : WRK_BEGIN_CAPS)) |
					      wrk_code_caps(c, hello->caps) };
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
static bool wrk_begin_refused(struct wrk_req *r)
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
static int wrk_begin_check_old(const struct wrk_conn *c, const struct om_proto_req *q, const char **ret_text)
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

static void wrk_begin_old(struct wrk_conn *c, const struct wrk_req_item *item)
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
	if (wrk_begin_refused(r))
		return;
	rc = wrk_begin_check_old(c, q, &text);
	if (rc < 0)
		wrk_answer_error(r, rc, text);
	else if (!(c->kind == OM_LISTEN_LEGACY && (c->access->somewhere & OM_RIGHT_LEGACY) && wrk_write_legacy(r)))
		wrk_get(r);
}

/* ---------------------------------------------------------------- extension */

static void wrk_begin_ping(struct wrk_req *r, const struct om_proto_body *body)
{
	(void)body;
	wrk_answer_body(r, NULL, NULL);
}

static void wrk_begin_attach(struct wrk_req *r, const struct om_proto_body *body)
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
static struct wrk_req *wrk_begin_part(struct wrk_req *group, const struct om_proto_str *uri, int index)
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
static void wrk_begin_get_many(struct wrk_req *group, const struct om_proto_ext *ext, const uint8_t *done)
{
	struct wrk_req *parts[OM_PROTO_URIS_MAX];
	struct om_proto_str uri;
	size_t pos = 0;
	unsigned n = 0, i = 0;
	uint16_t tag;

	group->left = 1; /* ours, so that the group does not end under us */
	if (!wrk_answer_later(group))
		return;
	while (n < OM_PROTO_URIS_MAX && om_proto_tlv_next(ext->tlv, ext->tlv_len, &pos, &tag, &uri) > 0) {
		if (tag != OM_PROTO_TAG_URI || (done && done[i++]))
			continue;
		parts[n] = wrk_begin_part(group, &uri, (int)(done ? i - 1 : n));
		if (!parts[n]) { /* the connection was closed, and with it all parts were ended */
			wrk_req_end(group);
			return;
		}
		n++;
	}
	group->left--; /* each part, when answered last, sees 1 and leaves MORE out */
	wrk_get_many(parts, n);
}

static void wrk_begin_get(struct wrk_req *r, const struct wrk_req_item *item)
{
	const struct om_proto_ext *ext = &item->in.u.ext;
	const struct om_proto_body *body = &item->body;

	r->copy = ext->flags & OM_PROTO_F_COPY;
	if (!r->copy && !wrk_conn_is_unix(r->conn)) {
		wrk_answer_error(r, -OBJM_STATUS_INVALID_MODE, "descriptors pass over Unix sockets only: use COPY");
		return;
	}
	if (body->have & OM_PROTO_BIT(RANGE))
		r->range = body->range;
	if (body->uris > 1)
		wrk_begin_get_many(r, ext, item->done);
	else
		wrk_get(r);
}

/* All operations but GET, STAT and PUT_INLINE. */
static const struct {
	uint8_t op;
	bool changes; /* the store */
	void (*fn)(struct wrk_req *r, const struct om_proto_body *body);
} wrk_begin_ops[] = {
	{ OM_PROTO_OP_PUT_BEGIN, true, wrk_write_put_begin },
	{ OM_PROTO_OP_PUT_COMMIT, true, wrk_write_put_commit },
	{ OM_PROTO_OP_PUT_ABORT, true, wrk_write_put_abort },
	{ OM_PROTO_OP_DELETE, true, wrk_write_delete },
	{ OM_PROTO_OP_LIST, false, wrk_list },
	{ OM_PROTO_OP_SET, true, wrk_set },
	{ OM_PROTO_OP_WATCH, false, wrk_watch },
	{ OM_PROTO_OP_ATTACH, false, wrk_begin_attach },
	{ OM_PROTO_OP_PING, false, wrk_begin_ping },
};

static void wrk_begin_dispatch(struct wrk_req *r, const struct wrk_req_item *item)
{
	const struct om_proto_ext *ext = &item->in.u.ext;
	bool local = wrk_conn_is_unix(r->conn);
	/* on TCP only where a rule says so, and descriptors do not pass there */
	bool may_change = local || ((r->conn->access->somewhere & OM_RIGHTS_CHANGE) && ext->op != OM_PROTO_OP_PUT_BEGIN);

	if (ext->op == OM_PROTO_OP_GET) {
		wrk_begin_get(r, item);
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
	for (size_t i = 0; i < OM_ARRAY_SIZE(wrk_begin_ops); i++) {
		if (wrk_begin_ops[i].op != ext->op || (wrk_begin_ops[i].changes && !may_change))
			continue;
		wrk_begin_ops[i].fn(r, &item->body);
		return;
	}
	if (!local && (r->conn->access->somewhere & OM_RIGHTS_CHANGE) && ext->op == OM_PROTO_OP_PUT_BEGIN)
		wrk_answer_error(r, -OBJM_STATUS_INVALID_MODE, "descriptors pass over Unix sockets only: use PUT_INLINE");
	else if (!local)
		wrk_answer_error(r, -OBJM_STATUS_READ_ONLY, "no access rule lets this address change anything");
	else
		wrk_answer_error(r, -OBJM_STATUS_UNSUPPORTED_OP, NULL);
}

static bool wrk_begin_has_uri(uint8_t op)
{
	return op == OM_PROTO_OP_STAT || op == OM_PROTO_OP_PUT_BEGIN || op == OM_PROTO_OP_PUT_INLINE ||
	       op == OM_PROTO_OP_DELETE || op == OM_PROTO_OP_SET;
}

/* What the codec does not look at: bytes of URIs and inside of metadata. A GET's URIs are checked one by one. */
static int wrk_begin_check_ext(const struct wrk_req_item *item, const char **ret_text)
{
	static char why[OM_PROTO_WHY_MAX];
	const struct om_proto_ext *ext = &item->in.u.ext;
	const struct om_proto_body *body = &item->body;

	*ret_text = NULL;
	if (ext->status != OBJM_STATUS_OK) {
		*ret_text = "the frame has more TLVs than the server takes (ATTACH tells how many: LIMITS)";
		return -(int)ext->status;
	}
	if (item->body_rc < 0) {
		om_proto_req_body_why(ext, why);
		*ret_text = why;
		return item->body_rc;
	}
	if (wrk_begin_has_uri(ext->op) && om_uri_check(body->uri.p, body->uri.len) < 0) {
		*ret_text = "the URI is not UTF-8, or contains a zero byte";
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	if ((body->have & OM_PROTO_BIT(META)) && !om_meta_valid(body->meta.p, body->meta.len)) {
		*ret_text = "META is malformed, has a key twice, or too many entries";
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	if (((body->have & OM_PROTO_BIT(META)) && !om_meta_keys_plain(body->meta.p, body->meta.len)) ||
	    ((body->have & OM_PROTO_BIT(TYPE)) && memchr(body->type.p, '\0', body->type.len))) {
		*ret_text = "neither TYPE nor a key of META may contain a zero byte";
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	return 0;
}

static void wrk_begin_ext(struct wrk_conn *c, const struct wrk_req_item *item)
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
	if (wrk_begin_refused(r))
		return;
	rc = wrk_begin_check_ext(item, &text);
	if (rc == 0) {
		r->uri = item->body.uri.p;
		r->uri_len = (uint16_t)item->body.uri.len;
		r->keyed = item->keyed;
		r->key = item->key;
		wrk_begin_dispatch(r, item);
	} else {
		wrk_answer_error(r, rc, text);
	}
	if (c->state == WRK_CONN_OPEN && !c->payload && c->payload_left > WRK_BEGIN_SKIP_MAX) {
		c->payload_left = 0; /* not worth reading: answer, then close */
		c->state = WRK_CONN_CLOSING;
	}
}

/* ---------------------------------------------------------------- all */

void wrk_begin(struct wrk_conn *c, struct wrk_req_item *item)
{
	switch (item->in.kind) {
	case OM_PROTO_IN_HELLO:
		wrk_begin_hello(c, &item->in.u.hello);
		return;
	case OM_PROTO_IN_REQUEST:
		om_count_own(OM_C_REQUESTS, 1);
		wrk_begin_old(c, item);
		return;
	case OM_PROTO_IN_EXT:
		om_count_own(OM_C_REQUESTS, 1);
		wrk_begin_ext(c, item);
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
