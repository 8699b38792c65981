/*
 * wrk_list.c: LIST (process objmapper-worker, loop thread). Called by wrk_req.c.
 *
 * The supervisor sends a page as ENTRY messages (at most OM_LIST_BYTES_MAX bytes of them) and LIST_END; they become TLVs in a
 * buffer of the request, which leaves as a frame whenever it is full. NEXT is the name given last.
 */
#include "worker/wrk_list.h"

#include "worker/wrk_answer.h"

#define WRK_LIST_BUF 65536u
#define WRK_LIST_DEFAULT 1000u

/* Send what has been gathered. @return false: the request is over */
static bool wrk_list_flush(struct wrk_req *r)
{
	struct wrk_conn *c = r->conn;

	wrk_answer_tlvs(r, r->list.buf, r->list.len, true);
	if (c->state == WRK_CONN_DEAD)
		return false;
	r->list.len = 0;
	return true;
}

static void wrk_list_entry(struct wrk_req *r, const struct om_op_entry *e, const char *uri, const char *type)
{
	struct om_proto_body body = { .have = OM_PROTO_BIT(URI) | OM_PROTO_BIT(OBJ), .uri = { uri, e->uri_len } };

	if (e->is_prefix) {
		om_proto_tlv_put(&r->list, OM_PROTO_TAG_COMMON_PREFIX, uri, e->uri_len);
	} else {
		body.obj = (struct om_proto_obj){ .id = e->id, .size = e->size, .mtime_ns = e->mtime_ns, .expiry_s = e->expiry_s,
						  .gen = 1, /* odd: a listing is nothing to keep */
						  .rev = e->rev, .flags = e->flags, .tier = e->tier, .home = e->home };
		if (e->type_len && (r->flags & OM_PROTO_F_WANT_META)) {
			body.have |= OM_PROTO_BIT(TYPE);
			body.type = (struct om_proto_str){ type, e->type_len };
		}
		om_proto_entry_put(&r->list, &body);
	}
	OM_ASSERT(r->list.err == 0); /* room for the largest was made before */
	memcpy(r->last, uri, e->uri_len);
	r->last_len = e->uri_len;
}

static void wrk_list_end(struct wrk_req *r, const struct om_op_list_end *end)
{
	r->ring_req = 0;
	if (end->status < 0) {
		wrk_answer_error(r, end->status, end->status == -OBJM_STATUS_UNAVAILABLE ?
			"the listing would not be whole: a tier is absent or being rebuilt" : NULL);
		return;
	}
	if (end->more && r->last_len)
		om_proto_tlv_put(&r->list, OM_PROTO_TAG_NEXT, r->last, r->last_len);
	OM_ASSERT(r->list.err == 0);
	wrk_answer_tlvs(r, r->list.buf, r->list.len, false);
}

static void wrk_list_got(void *arg, const struct om_op_entry *entry, const char *uri, const char *type,
			 const struct om_op_list_end *end)
{
	struct wrk_req *r = arg;

	if (end) {
		wrk_list_end(r, end);
		return;
	}
	/* One entry and NEXT always fit behind what is there. */
	if (r->list.cap - r->list.len < OM_PROTO_ENTRY_MAX + OM_URI_MAX + 2 * OM_PROTO_TLV_HDR && !wrk_list_flush(r))
		return; /* the connection was closed: this was the last call */
	wrk_list_entry(r, entry, uri, type);
}

void wrk_list(struct wrk_req *r, const struct om_proto_body *body)
{
	uint32_t limit = (body->have & OM_PROTO_BIT(LIMIT)) && body->limit ? body->limit : WRK_LIST_DEFAULT;
	uint8_t *buf = malloc(WRK_LIST_BUF);
	int rc;

	r->last = malloc(OM_URI_MAX);
	om_proto_wr_init(&r->list, buf, WRK_LIST_BUF);
	if (!buf || !r->last) {
		wrk_answer_error(r, -OBJM_STATUS_OUT_OF_MEMORY, NULL);
		return;
	}
	if (!wrk_req_wait(r))
		return;
	rc = wrk_ring_list(r->w->ring, body->prefix.p, (uint16_t)((body->have & OM_PROTO_BIT(PREFIX)) ? body->prefix.len : 0),
			   body->start_after.p,
			   (uint16_t)((body->have & OM_PROTO_BIT(START_AFTER)) ? body->start_after.len : 0),
			   (body->have & OM_PROTO_BIT(DELIMITER)) ? body->delimiter : 0, limit, wrk_list_got, r, &r->ring_req);
	if (rc < 0)
		wrk_answer_error(r, rc, "too many requests wait for the supervisor: try again");
}
