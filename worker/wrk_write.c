/*
 * wrk_write.c: requests that change the store (process objmapper-worker, loop thread). Called by wrk_begin.c and wrk_get.c.
 *
 * A put's callbacks carry its request; they stop coming when the connection closes (wrk_put_owner_close), and then
 * wrk_req_conn_gone() frees the request.
 */
#include "worker/wrk_write.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"
#include "worker/wrk_get.h"
#include "worker/wrk_right.h"

/* ---------------------------------------------------------------- BEGIN */

static void wrk_write_req(const struct om_proto_body *b, struct wrk_put_req *ret)
{
	*ret = (struct wrk_put_req){ .uri = b->uri.p, .uri_len = (uint16_t)b->uri.len, .durability = OM_DUR_COUNT };
	if (b->have & OM_PROTO_BIT(TYPE)) {
		ret->type = b->type.p;
		ret->type_len = (uint16_t)b->type.len;
	}
	if (b->have & OM_PROTO_BIT(META)) {
		ret->meta = (const unsigned char *)b->meta.p;
		ret->meta_len = (uint16_t)b->meta.len;
	}
	if (b->have & OM_PROTO_BIT(SIZE_HINT))
		ret->size_hint = b->size_hint;
	if (b->have & OM_PROTO_BIT(PUT_FLAGS))
		ret->flags = b->put_flags;
	if (b->have & OM_PROTO_BIT(TTL_S))
		ret->ttl_s = b->ttl_s;
	if (b->have & OM_PROTO_BIT(DURABILITY))
		ret->durability = b->durability;
	if (b->have & OM_PROTO_BIT(COND)) {
		ret->cond_kind = b->cond.kind;
		ret->cond_id = b->cond.id;
		ret->cond_rev = b->cond.rev;
	}
}

static void wrk_write_begun(void *arg, const struct wrk_put_begun *b)
{
	struct wrk_req *r = arg;
	struct om_proto_body body = { .have = OM_PROTO_BIT(SESSION), .session = b->session };

	if (b->status < 0) {
		wrk_answer_error(r, b->status, b->text);
		return;
	}
	if (b->tier < OM_TIERS_MAX && r->w->tiers[b->tier].known) {
		const char *name = r->w->tiers[b->tier].row.name;

		body.have |= OM_PROTO_BIT(TIER_NAME);
		body.tier_name = (struct om_proto_str){ name, (uint32_t)strnlen(name, OM_TIER_NAME_MAX - 1) };
	}
	wrk_answer_body(r, &body, &(struct wrk_out_fd){ .fd = b->fd, .own = true });
}

void wrk_write_put_begin(struct wrk_req *r, const struct om_proto_body *body)
{
	struct wrk_conn *c = r->conn;
	struct wrk_put_req q;
	const char *text = NULL;
	int rc;

	wrk_write_req(body, &q);
	if (!wrk_right(r, wrk_right_put(q.flags), q.uri, q.uri_len) || !wrk_answer_later(r))
		return;
	rc = wrk_put_begin(r->w->puts, &c->puts, &q, wrk_write_begun, r, &text);
	if (rc < 0)
		wrk_answer_error(r, rc, text);
}

/* ---------------------------------------------------------------- COMMIT, ABORT */

static void wrk_write_done(void *arg, const struct wrk_put_done *d)
{
	struct wrk_req *r = arg;
	struct om_proto_body body = { 0 };

	if (d->status < 0) {
		wrk_answer_error(r, d->status, d->text);
		return;
	}
	r->ent = (struct idx_ent){ .id = d->id, .size = d->size, .mtime_ns = d->mtime_ns, .expiry_s = d->expiry_s,
				   .rev = d->rev, .flags = (uint16_t)d->flags, .tier = d->tier, .home = d->tier };
	r->gen = 1; /* odd: what was put may have been replaced already; only a GET's answer may be kept */
	wrk_answer_obj(r, &body, false);
	if (d->tier < OM_TIERS_MAX && r->w->tiers[d->tier].known) {
		const char *name = r->w->tiers[d->tier].row.name;

		body.have |= OM_PROTO_BIT(TIER_NAME);
		body.tier_name = (struct om_proto_str){ name, (uint32_t)strnlen(name, OM_TIER_NAME_MAX - 1) };
	}
	body.have |= OM_PROTO_BIT(DURABILITY);
	body.durability = d->durability;
	wrk_answer_body(r, &body, NULL);
}

static const char wrk_write_no_session[] = "there is no such put on this connection: begin again";

/* A COMMIT of the session that is under way gets no callback any more: answer it. */
static void wrk_write_end_commit(struct wrk_conn *c, uint32_t session, int status, const char *text)
{
	struct wrk_req *r, *next;

	for (r = c->reqs; r; r = next) {
		next = r->next;
		if (r->op == OM_PROTO_OP_PUT_COMMIT && r->session == session)
			wrk_answer_error(r, status, text);
		if (c->state == WRK_CONN_DEAD)
			return;
	}
}

/* The session ends, and a COMMIT of it that is under way is told so. @return false: the connection was closed on the way */
static bool wrk_write_drop(struct wrk_conn *c, struct wrk_put *p, uint32_t session, int status, const char *text)
{
	wrk_put_abort(c->w->puts, p);
	wrk_write_end_commit(c, session, status, text);
	return c->state != WRK_CONN_DEAD;
}

static void wrk_write_denied(struct wrk_req *r, struct wrk_put *p, uint32_t session, uint32_t rights)
{
	char uri[OM_URI_MAX];
	const struct om_rec *rec = wrk_put_rec(p);
	uint16_t len = rec->uri_len;

	memcpy(uri, rec->uri, len); /* which goes with the session */
	if (wrk_write_drop(r->conn, p, session, -OBJM_STATUS_NO_SESSION, "the put has ended: its user may not write there any more") &&
	    wrk_right(r, rights, uri, len)) /* it says which right is missing */
		wrk_answer_error(r, -OBJM_STATUS_PERMISSION_DENIED, NULL);
}

void wrk_write_put_commit(struct wrk_req *r, const struct om_proto_body *body)
{
	struct wrk_put *p = wrk_put_find(r->w->puts, &r->conn->puts, body->session);
	const struct om_rec *rec;
	const char *text = NULL;
	uint32_t rights;
	int rc;

	if (!p) {
		wrk_answer_error(r, -OBJM_STATUS_NO_SESSION, wrk_write_no_session);
		return;
	}
	/* The rules may have changed since it began. What it may not commit it need not keep: its room goes to others. */
	rec = wrk_put_rec(p);
	rights = wrk_right_put(rec->flags);
	if (!wrk_access_may(r->conn->access, rights, rec->uri, rec->uri_len)) {
		wrk_write_denied(r, p, body->session, rights);
		return;
	}
	r->session = body->session;
	if (!wrk_answer_later(r))
		return;
	rc = wrk_put_commit(r->w->puts, p, wrk_write_done, r, &text);
	if (rc < 0)
		wrk_answer_error(r, rc, text);
}

void wrk_write_put_abort(struct wrk_req *r, const struct om_proto_body *body)
{
	struct wrk_conn *c = r->conn;
	struct wrk_put *p = wrk_put_find(r->w->puts, &c->puts, body->session);

	if (!p) {
		wrk_answer_error(r, -OBJM_STATUS_NO_SESSION, wrk_write_no_session);
		return;
	}
	/* false: `r` has been ended with the connection */
	if (wrk_write_drop(c, p, body->session, -OBJM_STATUS_NO_SESSION, "the put was aborted while it was being committed"))
		wrk_answer_body(r, NULL, NULL);
}

/* ---------------------------------------------------------------- inline */

static void wrk_write_inline_done(void *arg, const struct wrk_put_done *d)
{
	struct wrk_req *r = arg;

	r->put = NULL;
	wrk_write_done(r, d);
}

void wrk_write_payload_cut(struct wrk_conn *c)
{
	struct wrk_req *r = c->payload;

	c->payload_left = 0;
	c->payload = NULL;
	if (!r || !r->put)
		return;
	wrk_put_abort(c->w->puts, r->put);
	wrk_answer_error(r, -OBJM_STATUS_INVALID_REQUEST, "the payload ended before its length");
}

void wrk_write_put_inline(struct wrk_req *r, const struct om_proto_body *body, uint64_t payload_len)
{
	struct wrk_conn *c = r->conn;
	struct wrk_put_req q;
	const char *text = NULL;
	char too_large[96];
	int rc;

	if (payload_len > r->w->boot.limits.inline_bytes) {
		(void)snprintf(too_large, sizeof(too_large), "an inline put takes at most %u bytes: use PUT_BEGIN",
			       r->w->boot.limits.inline_bytes);
		wrk_answer_error(r, -OBJM_STATUS_TOO_LARGE, too_large);
		return;
	}
	wrk_write_req(body, &q);
	if (!wrk_right(r, wrk_right_put(q.flags), q.uri, q.uri_len) || !wrk_answer_later(r))
		return;
	rc = wrk_put_inline(r->w->puts, &c->puts, &q, payload_len, wrk_write_inline_done, r, &r->put, &text);
	if (rc < 0)
		wrk_answer_error(r, rc, text);
	else if (payload_len)
		c->payload = r;
}

size_t wrk_write_payload(struct wrk_conn *c, const uint8_t *buf, size_t len)
{
	size_t n = (size_t)OM_MIN(c->payload_left, (uint64_t)len);

	c->payload_left -= n;
	if (c->payload && c->payload->put)
		wrk_put_feed(c->w->puts, c->payload->put, buf, n);
	if (!c->payload_left)
		c->payload = NULL;
	return n;
}

/* ---------------------------------------------------------------- DELETE */

static void wrk_write_deleted(void *arg, const struct om_op_verdict *v)
{
	struct wrk_req *r = arg;

	r->ring_req = 0;
	if (v->status < 0) {
		wrk_answer_error(r, v->status, v->status == -OBJM_STATUS_UNAVAILABLE ?
			"not deleted: a tier that may hold this object is absent or being rebuilt" : NULL);
		return;
	}
	om_count_own(OM_C_DELETED, 1);
	if (r->form == WRK_REQ_EXT) {
		wrk_answer_body(r, NULL, NULL);
	} else { /* existing clients wait for a descriptor after every OK without content */
		r->ent.id = 0;
		wrk_answer_fd(r, &(struct wrk_out_fd){ .fd = r->w->null_fd });
	}
}

static void wrk_write_delete_uri(struct wrk_req *r, const char *uri, uint16_t uri_len, const struct om_proto_cond *cond,
				 wrk_ring_verdict_fn *fn)
{
	int rc;

	if (!wrk_answer_later(r))
		return;
	rc = wrk_ring_delete(r->w->ring, uri, uri_len, cond->kind, cond->id, cond->rev, fn, r, &r->ring_req);
	if (rc < 0)
		wrk_answer_error(r, rc, "too many requests wait for the supervisor: try again");
}

void wrk_write_delete(struct wrk_req *r, const struct om_proto_body *body)
{
	static const struct om_proto_cond none = { .kind = OM_COND_NONE };

	if (!wrk_right(r, OM_RIGHT_DELETE, body->uri.p, body->uri.len))
		return;
	wrk_write_delete_uri(r, body->uri.p, (uint16_t)body->uri.len, (body->have & OM_PROTO_BIT(COND)) ? &body->cond : &none, wrk_write_deleted);
}

/* ---------------------------------------------------------------- existing clients */

bool wrk_write_legacy(struct wrk_req *r)
{
	static const struct om_proto_cond none = { .kind = OM_COND_NONE };
	const char *uri;
	uint16_t len;

	if (wrk_legacy_is_list(r->uri, r->uri_len)) {
		wrk_answer_error(r, -OBJM_STATUS_UNSUPPORTED_OP, wrk_legacy_list_text());
		return true;
	}
	/* "/deleted.txt" may be a name, and is looked up first */
	if (!wrk_legacy_delete_name(r->uri, r->uri_len, &uri, &len) || *uri != '/')
		return false;
	r->op = OM_PROTO_OP_DELETE; /* for the counters: not a GET */
	if (om_uri_check(uri, len) < 0)
		wrk_answer_error(r, -OBJM_STATUS_INVALID_REQUEST, "/delete wants the URI of an object behind it");
	else if (wrk_right(r, OM_RIGHT_LEGACY | OM_RIGHT_DELETE, uri, len))
		wrk_write_delete_uri(r, uri, len, &none, wrk_write_deleted);
	return true;
}

static bool wrk_write_legacy_creates(const struct wrk_req *r)
{
	return r->mode == OM_PROTO_MODE_FDPASS &&
	       wrk_access_may(r->conn->access, OM_RIGHT_LEGACY | wrk_right_put(r->priority ? OM_OBJ_EPHEMERAL : 0), r->uri, r->uri_len);
}

static void wrk_write_legacy_begun(void *arg, const struct wrk_put_begun *b)
{
	struct wrk_req *r = arg;

	if (b->status < 0) {
		wrk_answer_error(r, b->status, b->text);
		return;
	}
	r->ent = (struct idx_ent){ 0 }; /* no metadata: there is no object yet */
	wrk_answer_fd(r, &(struct wrk_out_fd){ .fd = b->fd, .own = true });
}

static void wrk_write_legacy_create(struct wrk_req *r)
{
	struct wrk_conn *c = r->conn;
	const char *text = NULL;
	int rc;

	r->op = OM_PROTO_OP_PUT_BEGIN;
	if (!wrk_answer_later(r))
		return;
	rc = wrk_legacy_create(r->w->legacy, &c->legacy, r->uri, r->uri_len, r->priority, wrk_write_legacy_begun, r, &text);
	if (rc < 0)
		wrk_answer_error(r, rc, text);
}

/* What "/deletefoo" stands for is decided: it was foo's deletion, or there is no foo either. */
static void wrk_write_bare_deleted(void *arg, const struct om_op_verdict *v)
{
	struct wrk_req *r = arg;

	if (v->status != -OBJM_STATUS_NOT_FOUND || !wrk_write_legacy_creates(r)) {
		wrk_write_deleted(arg, v);
		return;
	}
	r->ring_req = 0;
	wrk_write_legacy_create(r);
}

bool wrk_write_legacy_missed(struct wrk_req *r)
{
	const char *uri;
	uint16_t len;

	if (!r->conn || r->form == WRK_REQ_EXT || r->conn->kind != OM_LISTEN_LEGACY)
		return false;
	if (wrk_legacy_delete_name(r->uri, r->uri_len, &uri, &len) && om_uri_check(uri, len) == 0 &&
	    wrk_access_may(r->conn->access, OM_RIGHT_LEGACY | OM_RIGHT_DELETE, uri, len)) {
		r->op = OM_PROTO_OP_DELETE;
		wrk_write_delete_uri(r, uri, len, &(struct om_proto_cond){ .kind = OM_COND_NONE }, wrk_write_bare_deleted);
		return true;
	}
	if (!wrk_write_legacy_creates(r))
		return false;
	wrk_write_legacy_create(r);
	return true;
}
