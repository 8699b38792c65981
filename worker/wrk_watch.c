/*
 * wrk_watch.c: see wrk_watch.h (process objmapper-worker, loop thread). Called by wrk_begin.c, wrk_conn.c and, for each change,
 * by wrk_ring_rx.c.
 */
#include "worker/wrk_watch.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"

#define WRK_WATCH_FRAME (OM_PROTO_EXT_HDR + OM_URI_MAX + 256u)

enum wrk_watch_state { WRK_WATCH_ASKED, WRK_WATCH_ON, WRK_WATCH_BEHIND, WRK_WATCH_DEAD /* its connection is to be closed */ };

struct wrk_watch {
	struct wrk_watch *next, **prevp; /* of the worker */
	struct wrk_watch *next_conn;
	struct wrk_conn *conn;
	uint32_t id; /* of the request */
	enum wrk_watch_state state;
	bool resume;	  /* ASKED: it wants to go on behind `pos` of `epoch`; else from now on */
	bool here;	  /* its first frame has been sent */
	uint64_t epoch;
	uint64_t pos; /* told, or passed over, up to here */
	uint16_t prefix_len;
	char prefix[];
};

struct wrk_watch_set {
	struct wrk *w;
	struct wrk_watch *head;
	unsigned n;
	bool on;	 /* the feed was asked for */
	bool asked;	 /* ... and HERE has not come */
	bool any_dead;
	uint64_t epoch;	 /* 0: HERE has never come */
	uint64_t pos;	 /* of the feed: what came last */
	uint64_t newest; /* that ever came: while pos is less, the feed has been set back */
};

/* ---------------------------------------------------------------- frames */

/* One frame of a watch. Without memory for it the connection is closed, later: the caller goes through a list of watches. */
static void wrk_watch_send(struct wrk_watch *t, uint8_t kind, uint64_t pos, const struct om_op_changed *m, const char *uri)
{
	struct wrk_conn *c = t->conn;
	struct om_proto_ext ext = { .op = OM_PROTO_OP_WATCH | OM_PROTO_OP_RESPONSE, .flags = OM_PROTO_F_MORE, .id = t->id };
	struct om_proto_body body = { .have = OM_PROTO_BIT(CHANGE), .change = { kind, { t->conn->w->watches->epoch, pos } } };
	uint8_t *p = wrk_out_room(&c->out, WRK_WATCH_FRAME);
	struct om_proto_wr wr;
	int n = -1;

	if (m) {
		body.have |= OM_PROTO_BIT(URI) | OM_PROTO_BIT(OBJ);
		body.uri = (struct om_proto_str){ uri, m->uri_len };
		body.obj = (struct om_proto_obj){ .id = m->id, .size = m->size, .mtime_ns = m->mtime_ns, .expiry_s = m->expiry_s,
						  .gen = 1, /* odd: nothing to keep */
						  .rev = m->rev, .flags = m->flags, .tier = m->tier, .home = m->home };
	}
	if (p) {
		om_proto_wr_init(&wr, p, WRK_WATCH_FRAME);
		n = om_proto_ext_encode(&wr, &ext, &body);
	}
	if (n < 0 || wrk_out_frame(&c->out, (size_t)n, NULL, 0, WRK_OUT_FDS_MAX) < 0) {
		om_log(OM_MSG_PEER_LIMIT, "out of memory for a watch of uid %d: the connection is closed", (int)c->uid);
		t->state = WRK_WATCH_DEAD;
		c->w->watches->any_dead = true;
		return;
	}
	wrk_conn_touch(c);
}

static void wrk_watch_bury(struct wrk_watch_set *s)
{
	struct wrk_watch *t;

	while (s->any_dead) {
		for (t = s->head; t && t->state != WRK_WATCH_DEAD; t = t->next)
			;
		s->any_dead = t != NULL;
		if (t)
			wrk_conn_close(t->conn); /* and all watches of it */
	}
}

static bool wrk_watch_full(const struct wrk_conn *c)
{
	return wrk_out_bytes(&c->out) > OM_MAX(c->w->boot.limits.queue_bytes, 65536u) / 2;
}

/* Changes up to `pos` cannot be told any more. */
static void wrk_watch_lose(struct wrk_watch *t, uint64_t pos)
{
	t->pos = pos;
	om_count(OM_C_WATCH_LOST, 1);
	wrk_watch_send(t, OM_PROTO_CHANGE_LOST, pos, NULL, NULL);
}

/* ---------------------------------------------------------------- the feed */

/* Ask for what the watches that wait need, if nothing is being caught up on. */
static void wrk_watch_ask(struct wrk_watch_set *s)
{
	uint64_t from = UINT64_MAX;
	bool any = false;

	if (s->asked || s->pos < s->newest)
		return;
	if (!s->n && s->on) { /* nobody watches: no feed */
		s->on = false;
		wrk_ring_watch(s->w->ring, false, 0);
	}
	if (!s->n)
		return;
	for (const struct wrk_watch *t = s->head; t; t = t->next) {
		if (t->state != WRK_WATCH_ASKED)
			continue;
		any = true;
		if (t->resume)
			from = OM_MIN(from, t->pos);
	}
	if (!any && s->on)
		return;
	s->on = s->asked = true;
	wrk_ring_watch(s->w->ring, true, from);
}

/* The feed stands at s->pos: a watch that waited begins, if it can from here. */
static void wrk_watch_begin(struct wrk_watch_set *s, struct wrk_watch *t)
{
	uint64_t want = t->resume ? t->pos : s->newest;

	if (t->resume && t->epoch != s->epoch) {
		t->state = WRK_WATCH_ON;
		t->pos = s->newest;
		t->here = true;
		wrk_watch_send(t, OM_PROTO_CHANGE_HERE, s->newest, NULL, NULL);
		if (t->state == WRK_WATCH_ON)
			wrk_watch_lose(t, s->newest); /* of another run: nobody knows what happened since */
		return;
	}
	if (want < s->pos)
		return; /* the feed has to be set back for it */
	t->state = WRK_WATCH_ON;
	t->pos = want;
	if (!t->here)
		wrk_watch_send(t, OM_PROTO_CHANGE_HERE, want, NULL, NULL);
	t->here = true;
}

static void wrk_watch_here(struct wrk_watch_set *s, const struct om_op_changed *m)
{
	s->asked = false;
	s->epoch = m->epoch;
	s->pos = m->pos;
	s->newest = OM_MAX(s->newest, m->pos);
	for (struct wrk_watch *t = s->head; t; t = t->next)
		if (t->state == WRK_WATCH_ASKED)
			wrk_watch_begin(s, t);
}

static bool wrk_watch_concerns(const struct wrk_watch *t, const struct om_op_changed *m, const char *uri)
{
	return m->uri_len >= t->prefix_len && (t->prefix_len == 0 || memcmp(uri, t->prefix, t->prefix_len) == 0) &&
	       wrk_access_may(t->conn->access, OM_RIGHT_LIST, uri, m->uri_len);
}

/* One change, or LOST, and one watch. */
static void wrk_watch_one(struct wrk_watch *t, const struct om_op_changed *m, const char *uri)
{
	static const uint8_t kinds[OM_CHANGES] = {
		[OM_CHANGE_PUT] = OM_PROTO_CHANGE_PUT, [OM_CHANGE_DELETE] = OM_PROTO_CHANGE_DELETE,
		[OM_CHANGE_SET] = OM_PROTO_CHANGE_SET, [OM_CHANGE_MOVED] = OM_PROTO_CHANGE_MOVED,
	};

	if (t->state != WRK_WATCH_ON || m->pos <= t->pos)
		return;
	if (m->change != OM_CHANGE_LOST && !wrk_watch_concerns(t, m, uri)) {
		t->pos = m->pos;
	} else if (wrk_watch_full(t->conn)) {
		t->state = WRK_WATCH_BEHIND;
		om_count(OM_C_PEER_LIMIT, 1);
	} else if (m->change == OM_CHANGE_LOST) {
		wrk_watch_lose(t, m->pos);
	} else {
		t->pos = m->pos;
		om_count_own(OM_C_WATCH_TOLD, 1);
		wrk_watch_send(t, kinds[m->change], m->pos, m, uri);
	}
}

static void wrk_watch_changed(void *arg, const struct om_op_changed *m, const char *uri)
{
	struct wrk_watch_set *s = arg;

	if (m->change == OM_CHANGE_HERE) {
		wrk_watch_here(s, m);
	} else {
		s->pos = m->pos;
		s->newest = OM_MAX(s->newest, m->pos);
		for (struct wrk_watch *t = s->head; t; t = t->next)
			wrk_watch_one(t, m, uri);
	}
	wrk_watch_bury(s);
	wrk_watch_ask(s);
}

/* ---------------------------------------------------------------- watches */

void wrk_watch_conn_gone(struct wrk_conn *c)
{
	struct wrk_watch_set *s = c->w->watches;
	struct wrk_watch *t;

	if (!c->watches)
		return;
	while ((t = c->watches)) {
		c->watches = t->next_conn;
		*t->prevp = t->next;
		if (t->next)
			t->next->prevp = t->prevp;
		s->n--;
		free(t);
	}
	om_gauge(OM_C_WATCHES, s->n);
	if (!s->n)
		s->pos = s->newest; /* a feed that has been set back has nobody to catch up for */
	wrk_watch_ask(s);
}

static int wrk_watch_allowed(const struct wrk_conn *c, const char **ret_text)
{
	unsigned n = 0;

	for (const struct wrk_watch *t = c->watches; t; t = t->next_conn)
		n++;
	if (wrk_conn_in_order(c)) {
		*ret_text = "WATCH never ends: negotiate out-of-order replies (0x0001), or nothing behind it would be answered";
		return -OBJM_STATUS_PROTO_CAPABILITY;
	}
	if (!(c->access->somewhere & OM_RIGHT_LIST)) {
		om_count_own(OM_C_DENIED, 1);
		*ret_text = "permission denied: access.rules do not give you the right `list`";
		return -OBJM_STATUS_PERMISSION_DENIED;
	}
	if (n >= WRK_WATCH_CONN_MAX) {
		om_count(OM_C_PEER_LIMIT, 1);
		*ret_text = "a connection has at most 16 watches";
		return -OBJM_STATUS_LIMIT_EXCEEDED;
	}
	return 0;
}

void wrk_watch(struct wrk_req *r, const struct om_proto_body *body)
{
	struct wrk_conn *c = r->conn;
	struct wrk_watch_set *s = r->w->watches;
	size_t prefix_len = (body->have & OM_PROTO_BIT(PREFIX)) ? body->prefix.len : 0;
	const char *text = NULL;
	int rc = wrk_watch_allowed(c, &text);
	struct wrk_watch *t = rc < 0 ? NULL : calloc(1, sizeof(*t) + prefix_len);

	if (!t) {
		wrk_answer_error(r, rc < 0 ? rc : -OBJM_STATUS_OUT_OF_MEMORY, text);
		return;
	}
	t->conn = c;
	t->id = r->id;
	t->prefix_len = (uint16_t)prefix_len;
	if (prefix_len)
		memcpy(t->prefix, body->prefix.p, prefix_len);
	if (body->have & OM_PROTO_BIT(POSITION)) {
		t->resume = true;
		t->epoch = body->position.epoch;
		t->pos = body->position.pos;
	}
	t->next_conn = c->watches;
	c->watches = t;
	t->next = s->head;
	t->prevp = &s->head;
	if (s->head)
		s->head->prevp = &t->next;
	s->head = t;
	om_gauge(OM_C_WATCHES, ++s->n);
	wrk_req_end(r);
	if (s->on && !s->asked) /* the feed flows: it may do as it is */
		wrk_watch_begin(s, t);
	wrk_watch_bury(s);
	wrk_watch_ask(s);
}

void wrk_watch_room(struct wrk_conn *c)
{
	struct wrk_watch_set *s = c->w->watches;

	for (struct wrk_watch *t = c->watches; t; t = t->next_conn) {
		if (t->state != WRK_WATCH_BEHIND)
			continue;
		t->state = WRK_WATCH_ASKED; /* behind what it was told last */
		t->resume = true;
		t->epoch = s->epoch;
		if (s->on && !s->asked)
			wrk_watch_begin(s, t);
	}
	wrk_watch_bury(s);
	wrk_watch_ask(s);
}

int wrk_watch_set_new(struct wrk *w, struct wrk_watch_set **ret)
{
	struct wrk_watch_set *s = calloc(1, sizeof(*s));

	if (!s)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	s->w = w;
	wrk_ring_on_change(w->ring, wrk_watch_changed, s);
	*ret = s;
	return 0;
}

void wrk_watch_set_free(struct wrk_watch_set *s) { free(s); }
