/*
 * wrk_decode.c: the client's bytes become messages (process objmapper-worker, loop thread). Called by wrk_conn_rx.c.
 *
 * First pass: decode up to WRK_DECODE_BATCH messages, make the keys, start loading their slots of the index. Second pass:
 * begin them in order. A message that must wait (hold, ORDERED) is simply not consumed: it is decoded again later.
 */
#include "worker/wrk_decode.h"

#include "worker/wrk_begin.h"
#include "worker/wrk_hot.h"
#include "worker/wrk_write.h"

/* Make the key of a single look-up and start loading its line. */
static void wrk_decode_prefetch(struct wrk_conn *c, struct wrk_req_item *it)
{
	const char *uri = NULL;
	size_t len = 0;

	if (it->in.kind == OM_PROTO_IN_REQUEST && it->in.u.req.status == OBJM_STATUS_OK) {
		uri = it->in.u.req.uri;
		len = it->in.u.req.uri_len;
	} else if (it->plain == 1) {
		uri = it->uri.p;
		len = it->uri.len;
	} else if (it->in.kind == OM_PROTO_IN_EXT && !it->plain && it->body_rc == 0 && it->body.uris == 1 &&
		   (it->in.u.ext.op == OM_PROTO_OP_GET || it->in.u.ext.op == OM_PROTO_OP_STAT)) {
		uri = it->body.uri.p;
		len = it->body.uri.len;
	}
	if (!uri)
		return;
	idx_key_make(c->w->boot.key_secret, uri, len, &it->key);
	it->keyed = true;
	idxr_prefetch(&c->w->idx, &it->key);
	idx_gen_prefetch(c->w->gens, idx_key_bucket(&it->key));
}

static void wrk_decode_body(struct wrk_req_item *it)
{
	it->body_rc = it->in.kind == OM_PROTO_IN_EXT && it->in.u.ext.status == OBJM_STATUS_OK ?
			      om_proto_req_body_decode(&it->in.u.ext, &it->body) : 0;
}

/* The body of what is plain is decoded only when it turns out that the short way does not do. */
static void wrk_decode_ext(struct wrk_req_item *it)
{
	static struct om_proto_str uris[OM_PROTO_URIS_MAX];

	it->keyed = false;
	it->found = false;
	it->fde = NULL;
	it->done = NULL;
	it->plain = it->in.kind == OM_PROTO_IN_EXT ? om_proto_get_uris(&it->in.u.ext, uris, OM_PROTO_URIS_MAX) : 0;
	if (it->plain)
		it->uri = uris[0];
	else
		wrk_decode_body(it);
}

/* Nothing behind such a message can be decoded before it has been begun. */
static bool wrk_decode_ends_batch(const struct wrk_req_item *it)
{
	switch (it->in.kind) {
	case OM_PROTO_IN_REQUEST:
		return it->in.u.req.skip > 0;
	case OM_PROTO_IN_EXT:
		return it->in.u.ext.skip > 0 || it->in.u.ext.payload_len > 0;
	default:
		return true;
	}
}

/* @return messages decoded; 0: none is whole, or the stream is broken and the connection closed */
static unsigned wrk_decode_batch(struct wrk_conn *c, const uint8_t *buf, size_t at, size_t len,
				 struct wrk_req_item items[static WRK_DECODE_BATCH])
{
	uint32_t tlv_max = c->w->boot.limits.frame_bytes;
	unsigned n = 0, most = OM_MIN(wrk_conn_room(c), WRK_DECODE_BATCH); /* what is decoded in vain is decoded again */

	tlv_max = tlv_max ? OM_MIN(tlv_max, OM_PROTO_TLV_MAX) : 65536;
	while (n < most && at < len) {
		struct wrk_req_item *it = &items[n];
		int rc = om_proto_in_decode(c->version, c->greeted, c->caps, tlv_max, buf + at, len - at, &it->in, &c->in_need);

		if (rc == 0)
			break;
		if (rc < 0) {
			if (n == 0) /* else: first what is in front of it is answered */
				wrk_conn_bad(c, rc == -OBJM_STATUS_PROTO_VERSION ? "HELLO of an unknown version" :
						rc == -OBJM_STATUS_PROTO_CAPABILITY ?
							"an extension frame without the capability" :
							"bytes that are no message of the protocol");
			break;
		}
		it->start = at;
		at += (size_t)rc;
		it->end = at;
		wrk_decode_ext(it);
		wrk_decode_prefetch(c, it);
		n++;
		if (wrk_decode_ends_batch(it))
			break;
	}
	return n;
}

static bool wrk_decode_ordered(const struct wrk_conn *c, const struct wrk_req_item *it)
{
	if (it->in.kind == OM_PROTO_IN_REQUEST)
		return wrk_conn_in_order(c) || (it->in.u.req.flags & OM_PROTO_REQ_ORDERED);
	return it->in.kind == OM_PROTO_IN_EXT && (wrk_conn_in_order(c) || (it->in.u.ext.flags & OM_PROTO_F_ORDERED));
}

static bool wrk_decode_light(const struct wrk_conn *c, const struct wrk_req_item *it)
{
	const struct om_proto_ext *ext = &it->in.u.ext;

	if (it->in.kind == OM_PROTO_IN_REQUEST)
		return c->kind != OM_LISTEN_LEGACY; /* there it may create or delete */
	if (it->in.kind != OM_PROTO_IN_EXT || ext->payload_len || ext->skip)
		return false;
	return ext->op == OM_PROTO_OP_PING ||
	       it->plain == 1 || (!it->plain && (ext->op == OM_PROTO_OP_GET || ext->op == OM_PROTO_OP_STAT) && it->body_rc == 0 &&
				  it->body.uris == 1);
}

/* May this message not be begun yet? */
static bool wrk_decode_waits(struct wrk_conn *c, struct wrk_req_item *it)
{
	it->ordered = wrk_decode_ordered(c, it);
	it->light = wrk_decode_light(c, it);
	c->order_wait = it->ordered && c->n_reqs > 0 && (!it->light || c->n_heavy > 0);
	return c->order_wait;
}

static bool wrk_decode_first(struct wrk_conn *c, uint8_t byte)
{
	int v = om_proto_first(byte);

	if (v < 0) {
		wrk_conn_bad(c, "the first byte is not that of any version of the protocol");
		return false;
	}
	c->version = (uint8_t)v;
	if (v == OM_PROTO_V1) /* nothing is negotiated: ours holds */
		c->max_pipeline = (uint16_t)OM_MIN(c->w->boot.limits.max_pipeline, UINT16_MAX);
	return true;
}

/* Begin `n` messages, or as many as may begin now. @return where the input goes on */
static size_t wrk_decode_begin(struct wrk_conn *c, struct wrk_req_item *items, unsigned n, size_t at,
			       bool (*hold)(const struct wrk_conn *c))
{
	unsigned i = 0;

	wrk_hot_find(c, items, n);
	while (i < n && c->state == WRK_CONN_OPEN && !hold(c)) {
		unsigned hot = wrk_hot_answer(c, items + i, n - i);

		if (!hot && wrk_decode_waits(c, &items[i]))
			break;
		if (!hot) {
			if (items[i].plain)
				wrk_decode_body(&items[i]);
			wrk_begin(c, &items[i]);
			hot = 1;
		}
		i += hot;
		at = items[i - 1].end;
	}
	wrk_hot_drop(c, items, n);
	return at;
}

size_t wrk_decode(struct wrk_conn *c, const uint8_t *buf, size_t len, bool (*hold)(const struct wrk_conn *c))
{
	static struct wrk_req_item items[WRK_DECODE_BATCH]; /* nothing here calls itself: connections go on through tasks */
	size_t at = 0;

	c->in_need = 0;
	while (at < len && c->state == WRK_CONN_OPEN && !hold(c)) {
		unsigned n;

		if (c->skip || c->payload_left) {
			size_t used = c->skip ? (size_t)OM_MIN(c->skip, (uint64_t)(len - at)) :
						wrk_write_payload(c, buf + at, len - at);

			if (c->skip)
				c->skip -= used;
			at += used;
			if (!used)
				break;
			continue;
		}
		if (!c->version && !wrk_decode_first(c, buf[at]))
			break;
		n = wrk_decode_batch(c, buf, at, len, items);
		if (n == 0)
			break;
		at = wrk_decode_begin(c, items, n, at, hold);
	}
	return at;
}
