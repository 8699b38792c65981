/*
 * wrk_list.c: LIST (process objmapper-worker, loop thread). Called by wrk_begin.c.
 *
 * The peer's ranges (wrk_range.h) are asked for one after the other; one that has more than OM_LIST_BYTES_MAX bytes of names
 * is asked for again behind the last of them. What comes becomes TLVs in a buffer of the request, which leaves as a frame
 * whenever it is full. NEXT is where the page ended: the name given last, or the end of a range that had nothing.
 *
 * Bound: WRK_LIST_ASKS questions to a page, and one while the peer does not read (wrk_conn_queue_full). A page may therefore
 * end early, even without a name; NEXT then leads on.
 */
#include "worker/wrk_list.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"
#include "worker/wrk_range.h"

#define WRK_LIST_BUF 65536u
#define WRK_LIST_DEFAULT 1000u
#define WRK_LIST_ASKS 16u

/* A page under way; of the request. */
struct wrk_list_page {
	const struct wrk_access *access; /* as of the beginning; held, since the ranges borrow from it */
	struct wrk_range *ranges;
	unsigned n_ranges, at; /* the range that is being asked for */
	unsigned asks;
	uint32_t left;	/* names that the page still takes */
	uint32_t given; /* by the question under way */
	bool moved;	/* the position, in this page */
	uint8_t delimiter;
	uint16_t prefix_len;
	struct wrk_range_ask ask;
	char prefix[OM_URI_MAX];
};

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

static void wrk_list_page_free(struct wrk_req *r)
{
	struct wrk_list_page *g = r->page;

	wrk_access_put(r->w, g->access);
	free(g->ranges);
	free(g);
	r->page = NULL;
}

/* The page ends; `next`: the listing goes on behind r->last. */
static void wrk_list_finish(struct wrk_req *r, bool next)
{
	if (next && r->last_len)
		om_proto_tlv_put(&r->list, OM_PROTO_TAG_NEXT, r->last, r->last_len);
	OM_ASSERT(r->list.err == 0);
	wrk_answer_tlvs(r, r->list.buf, r->list.len, false);
}

static void wrk_list_last(struct wrk_req *r, const char *name, size_t len)
{
	memcpy(r->last, name, len);
	r->last_len = (uint16_t)len;
}

/* One name of the page. @return false: the connection was closed */
static bool wrk_list_entry(struct wrk_req *r, const struct om_op_entry *e, const char *uri, const char *type)
{
	struct om_proto_body body = { .have = OM_PROTO_BIT(URI) | OM_PROTO_BIT(OBJ), .uri = { uri, e->uri_len } };

	/* One entry and NEXT always fit behind what is there. */
	if (r->list.cap - r->list.len < OM_PROTO_ENTRY_MAX + OM_URI_MAX + 2 * OM_PROTO_TLV_HDR && !wrk_list_flush(r))
		return false;
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
	wrk_list_last(r, uri, e->uri_len);
	r->page->left--;
	r->page->moved = true;
	return true;
}

static void wrk_list_ask(struct wrk_req *r);

static void wrk_list_end(struct wrk_req *r, const struct om_op_list_end *end)
{
	struct wrk_list_page *g = r->page;
	bool same = end->more && !g->ask.one && !g->ask.fold_len && g->given > 0;

	r->ring_req = 0;
	if (end->status < 0) {
		wrk_answer_error(r, end->status, end->status == -OBJM_STATUS_UNAVAILABLE ?
			"the listing would not be whole: a tier is absent or being rebuilt" : NULL);
		return;
	}
	if (!same && ++g->at < g->n_ranges && g->left)
		g->moved |= wrk_range_pass(&g->ask, g->given, r->last, &r->last_len);
	wrk_list_ask(r);
}

static void wrk_list_got(void *arg, const struct om_op_entry *entry, const char *uri, const char *type,
			 const struct om_op_list_end *end)
{
	struct wrk_req *r = arg;
	struct wrk_list_page *g = r->page;
	struct om_op_entry fold;

	if (end) {
		wrk_list_end(r, end);
		return;
	}
	if (!g->left || (g->ask.one && (entry->uri_len != g->ask.prefix_len || memcmp(uri, g->ask.prefix, entry->uri_len) != 0)))
		return;
	g->given++;
	if (g->ask.fold_len) {
		fold = (struct om_op_entry){ .is_prefix = 1, .uri_len = g->ask.fold_len };
		(void)wrk_list_entry(r, &fold, g->ask.prefix, NULL);
		return;
	}
	(void)wrk_list_entry(r, entry, uri, type); /* false: the connection was closed, and this was the last call */
}

/* Ask for the next range that has anything to do with this page, or end it. */
static void wrk_list_ask(struct wrk_req *r)
{
	struct wrk_list_page *g = r->page;
	bool one;
	int rc;

	while (g->at < g->n_ranges &&
	       !wrk_range_cut(&g->ranges[g->at], g->prefix, g->prefix_len, g->delimiter, r->last, r->last_len, &g->ask))
		g->at++;
	if (g->at == g->n_ranges) {
		wrk_list_finish(r, false);
		return;
	}
	/* each page goes on where the last one ended, so it must have moved */
	if (!g->left || ((g->asks >= WRK_LIST_ASKS || (g->asks && wrk_conn_queue_full(r->conn))) && g->moved)) {
		wrk_list_finish(r, true);
		return;
	}
	g->asks++;
	g->given = 0;
	one = g->ask.one || g->ask.fold_len;
	rc = wrk_ring_list(r->w->ring, g->ask.prefix, g->ask.prefix_len, one ? NULL : r->last, one ? 0 : r->last_len,
			   one ? 0 : g->delimiter, one ? 1 : g->left, wrk_list_got, r, &r->ring_req);
	if (rc == 0)
		return;
	r->ring_req = 0;
	if (g->asks > 1 && r->last_len)
		wrk_list_finish(r, true); /* what there is is good; the client asks for the rest */
	else
		wrk_answer_error(r, rc, "too many requests wait for the supervisor: try again");
}

/* @return false: out of memory */
static bool wrk_list_begin(struct wrk_req *r, const struct om_proto_body *body)
{
	struct wrk_list_page *g = calloc(1, sizeof(*g));
	uint8_t *buf = malloc(WRK_LIST_BUF);
	uint32_t most = OM_MAX(r->w->boot.limits.list_page, 1u);
	int n;

	om_proto_wr_init(&r->list, buf, WRK_LIST_BUF);
	r->page = g;
	r->page_free = wrk_list_page_free;
	r->conn->n_lists += g != NULL; /* until the request ends */
	r->last = malloc(OM_URI_MAX + 1);
	if (!g || !buf || !r->last)
		return false;
	g->left = (body->have & OM_PROTO_BIT(LIMIT)) && body->limit ? body->limit : WRK_LIST_DEFAULT;
	g->left = OM_MIN(g->left, most);
	g->delimiter = (body->have & OM_PROTO_BIT(DELIMITER)) ? body->delimiter : 0;
	if (body->have & OM_PROTO_BIT(PREFIX)) {
		g->prefix_len = (uint16_t)body->prefix.len;
		memcpy(g->prefix, body->prefix.p, g->prefix_len);
	}
	if (body->have & OM_PROTO_BIT(START_AFTER))
		wrk_list_last(r, body->start_after.p, body->start_after.len);
	g->access = wrk_access_hold(r->conn->access);
	n = wrk_range_make(g->access, &g->ranges);
	g->n_ranges = n < 0 ? 0 : (unsigned)n;
	return n >= 0;
}

/* Some range has something to do with the prefix. */
static bool wrk_list_any(const struct wrk_list_page *g)
{
	struct wrk_range_ask ask;

	for (unsigned i = 0; i < g->n_ranges; i++)
		if (wrk_range_cut(&g->ranges[i], g->prefix, g->prefix_len, 0, "", 0, &ask))
			return true;
	return false;
}

void wrk_list(struct wrk_req *r, const struct om_proto_body *body)
{
	if (!wrk_list_begin(r, body)) {
		wrk_answer_error(r, -OBJM_STATUS_OUT_OF_MEMORY, NULL);
		return;
	}
	if (!wrk_list_any(r->page)) {
		om_count_own(OM_C_DENIED, 1);
		wrk_answer_error(r, -OBJM_STATUS_PERMISSION_DENIED,
				 "permission denied: access.rules do not give you the right `list` on anything here");
		return;
	}
	if (wrk_answer_later(r))
		wrk_list_ask(r);
}
