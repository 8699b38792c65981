/*
 * wrk_touch.c: see wrk_touch.h (process objmapper-worker, loop thread). Called by wrk_begin.c.
 *
 * A client says what it likes, so a report counts for no more than requests would: only objects that it may read, only the
 * version that stands, only what the index knows (nobody is asked), and a bounded number of accesses a second.
 */
#include "worker/wrk_touch.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"

/* Accesses that the connection may report now. */
static uint32_t wrk_touch_allowance(struct wrk_conn *c)
{
	uint64_t now = c->w->loop.now_ns;

	if (now - c->touch_ns >= 1000000000u) {
		c->touch_ns = now;
		c->touch_left = WRK_TOUCH_RATE;
	}
	return c->touch_left;
}

static void wrk_touch_one(struct wrk_req *r, const struct om_proto_touched *t)
{
	struct wrk_conn *c = r->conn;
	uint32_t left = wrk_touch_allowance(c), n = OM_MIN(t->count, left);
	struct idx_key key;
	struct idx_ent ent;
	uint32_t slot;

	if (n == 0 || !wrk_access_may(c->access, OM_RIGHT_READ, t->uri.p, t->uri.len))
		return;
	idx_key_make(r->w->boot.key_secret, t->uri.p, t->uri.len, &key);
	if (idxr_get(&r->w->idx, &key, &ent, &slot) < 0 || ent.id != t->id)
		return; /* gone, or another one by now */
	c->touch_left -= n;
	om_count_own(OM_C_TOUCHED, n);
	idx_alogw_add_n(&r->w->alog, r->w->idx.segment, slot, n);
}

void wrk_touch(struct wrk_req *r, const struct om_proto_ext *ext)
{
	struct om_proto_str data;
	struct om_proto_touched t;
	size_t pos = 0;
	uint16_t tag;
	unsigned n = 0;

	while (om_proto_tlv_next(ext->tlv, ext->tlv_len, &pos, &tag, &data) > 0)
		n += tag == OM_PROTO_TAG_TOUCHED;
	if (n > WRK_TOUCH_FRAME_MAX) {
		wrk_answer_error(r, -OBJM_STATUS_LIMIT_EXCEEDED, "a TOUCH takes at most 1024 objects");
		return;
	}
	pos = 0;
	while (om_proto_tlv_next(ext->tlv, ext->tlv_len, &pos, &tag, &data) > 0) {
		if (tag != OM_PROTO_TAG_TOUCHED)
			continue;
		om_proto_touched_decode(&data, &t);
		wrk_touch_one(r, &t);
	}
	wrk_answer_body(r, NULL, NULL);
}
