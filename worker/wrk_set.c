/*
 * wrk_set.c: see wrk_set.h (process objmapper-worker, loop thread). Called by wrk_begin.c.
 *
 * The right `write` is needed for all of it. PINNED and EVICTABLE are rights of their own: who has not got one may name the
 * flag only as it is, which the supervisor judges (flags_keep), since only it knows what stands when the change is made.
 */
#include "worker/wrk_set.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"
#include "worker/wrk_get.h"
#include "worker/wrk_right.h"

static const char *wrk_set_text(int status)
{
	switch (-status) {
	case OBJM_STATUS_INVALID_REQUEST:
		return "the flag EPHEMERAL is of the bytes and cannot be changed: put the object again";
	case OBJM_STATUS_PERMISSION_DENIED:
		return "permission denied: access.rules do not give you the right `pin` or `evictable` to change this flag";
	case OBJM_STATUS_LIMIT_EXCEEDED:
		return "not pinned: half of the tier's capacity is pinned already";
	case OBJM_STATUS_UNAVAILABLE:
		return "not changed: the object's tier is absent, or the lifecycle process is not there: try again";
	default:
		return NULL;
	}
}

static void wrk_set_done(void *arg, const struct om_op_verdict *v)
{
	struct wrk_req *r = arg;
	struct om_proto_body body = { 0 };

	r->ring_req = 0;
	if (v->status < 0) {
		wrk_answer_error(r, v->status, wrk_set_text(v->status));
		return;
	}
	om_count_own(OM_C_SET_DONE, 1);
	/* What has been published is in the index; one that has been replaced since is told as what this change made of it. */
	if (wrk_get_lookup(r) < 0 || r->ent.id != v->id)
		r->ent = (struct idx_ent){ .id = v->id, .tier = OM_TIER_NONE, .home = OM_TIER_NONE };
	r->ent.rev = v->rev;
	r->gen = 1; /* odd: only a GET's answer may be kept */
	wrk_answer_obj(r, &body, false);
	wrk_answer_body(r, &body, NULL);
}

void wrk_set(struct wrk_req *r, const struct om_proto_body *body)
{
	const struct wrk_access *a = r->conn->access;
	struct wrk_ring_set s = { .uri = body->uri.p, .uri_len = (uint16_t)body->uri.len };
	int rc;

	if (!wrk_right(r, OM_RIGHT_WRITE, s.uri, s.uri_len))
		return;
	if (body->have & OM_PROTO_BIT(PUT_FLAGS)) {
		s.flags_mask = OM_OBJ_FLAGS_ALL;
		s.flags = body->put_flags;
		s.flags_keep = (wrk_access_may(a, OM_RIGHT_PIN, s.uri, s.uri_len) ? 0u : OM_OBJ_PINNED) |
			       (wrk_access_may(a, OM_RIGHT_EVICTABLE, s.uri, s.uri_len) ? 0u : OM_OBJ_EVICTABLE);
	}
	if (body->have & OM_PROTO_BIT(TTL_S)) {
		s.has_expiry = true;
		s.expiry_s = body->ttl_s ? om_wall_ns() / 1000000000u + body->ttl_s : 0;
	}
	if (body->have & OM_PROTO_BIT(TYPE)) {
		s.has_type = true;
		s.type = body->type.p;
		s.type_len = (uint16_t)body->type.len;
	}
	if (body->have & OM_PROTO_BIT(META)) {
		s.has_meta = true;
		s.meta = body->meta.p;
		s.meta_len = (uint16_t)body->meta.len;
	}
	if (body->have & OM_PROTO_BIT(COND))
		s.cond = (struct om_op_cond){ .id = body->cond.id, .rev = body->cond.rev, .kind = body->cond.kind };
	if (!wrk_answer_later(r))
		return;
	rc = wrk_ring_set(r->w->ring, &s, wrk_set_done, r, &r->ring_req);
	if (rc < 0)
		wrk_answer_error(r, rc, "too many requests wait for the supervisor: try again");
}
