/*
 * wrk_watch.c: see wrk_watch.h (process objmapper-worker, loop thread). Called by wrk_begin.c, wrk_conn_set.c and, for each change,
 * by wrk_ring_rx.c.
 */
#include "worker/wrk_watch.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_answer.h"
#include "worker/wrk_ticket.h"
#include "worker/wrk_watch_index.h"

#define WRK_WATCH_FRAME (OM_PROTO_EXT_HDR + OM_URI_MAX + 256u)

enum wrk_watch_state { WRK_WATCH_NEW, WRK_WATCH_ASKED, WRK_WATCH_ON, WRK_WATCH_BEHIND, WRK_WATCH_DEAD /* its connection is to be closed */ };

struct wrk_watch {
	struct wrk_watch *next, **prevp; /* of the worker; NEW: not yet */
	struct wrk_watch *next_conn;
	struct wrk_watch_node node;
	struct wrk_conn *conn;
	struct wrk_req *req; /* NEW: the request */
	struct wrk_ticket *ticket; /* its place under the limit of its user */
	uint32_t id; /* of the request */
	enum wrk_watch_state state;
	bool resume;	  /* ASKED: it wants to go on behind `pos` of `epoch`; else from now on */
	bool here;	  /* its first frame has been sent */
	uint64_t epoch;
	uint64_t pos;	/* ON: told, or passed over, up to here at least: wrk_watch_seen() */
	uint64_t round; /* ON: of the set, when it began */
};

struct wrk_watch_set {
	struct wrk *w;
	struct wrk_watch *head;
	struct wrk_watch_index index;
	unsigned n, n_asked;
	uint64_t round;  /* how often the feed began or was set back */
	bool on;	 /* the feed was asked for */
	bool asked;	 /* ... and HERE has not come */
	bool any_dead;
	uint64_t epoch;	 /* 0: HERE has never come */
	uint64_t pos;	 /* of the feed: what came last */
	uint64_t newest; /* that ever came: while pos is less, the feed has been set back */
};

/* ---------------------------------------------------------------- frames */

static void wrk_watch_is(struct wrk_watch *t, enum wrk_watch_state state)
{
	struct wrk_watch_set *s = t->conn->w->watches;

	s->n_asked += (state == WRK_WATCH_ASKED) - (t->state == WRK_WATCH_ASKED);
	t->state = state;
}

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
		wrk_watch_is(t, WRK_WATCH_DEAD);
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

	if (s->asked || s->pos < s->newest)
		return;
	if (!s->n && s->on) { /* nobody watches: no feed */
		s->on = false;
		wrk_ring_watch(s->w->ring, false, 0);
	}
	if (!s->n || (!s->n_asked && s->on))
		return;
	for (const struct wrk_watch *t = s->head; t; t = t->next)
		if (t->state == WRK_WATCH_ASKED && t->resume)
			from = OM_MIN(from, t->pos);
	s->on = s->asked = true;
	wrk_ring_watch(s->w->ring, true, from);
}

/* The feed stands at s->pos: a watch that waited begins, if it can from here. */
static void wrk_watch_begin(struct wrk_watch_set *s, struct wrk_watch *t)
{
	uint64_t want = t->resume ? t->pos : s->newest;

	t->round = s->round;
	if (t->resume && t->epoch != s->epoch) {
		wrk_watch_is(t, WRK_WATCH_ON);
		t->pos = s->newest;
		t->here = true;
		wrk_watch_send(t, OM_PROTO_CHANGE_HERE, s->newest, NULL, NULL);
		if (t->state == WRK_WATCH_ON)
			wrk_watch_lose(t, s->newest); /* of another run: nobody knows what happened since */
		return;
	}
	if (want < s->pos)
		return; /* the feed has to be set back for it */
	wrk_watch_is(t, WRK_WATCH_ON);
	t->pos = want;
	if (!t->here)
		wrk_watch_send(t, OM_PROTO_CHANGE_HERE, want, NULL, NULL);
	t->here = true;
}

static void wrk_watch_here(struct wrk_watch_set *s, const struct om_op_changed *m)
{
	s->asked = false;
	s->round++; /* who is ON has seen all up to `newest`: wrk_watch_ask() waits for that */
	s->epoch = m->epoch;
	s->pos = m->pos;
	s->newest = OM_MAX(s->newest, m->pos);
	for (struct wrk_watch *t = s->head; t; t = t->next)
		if (t->state == WRK_WATCH_ASKED)
			wrk_watch_begin(s, t);
}

/*
 * Up to where an ON watch has been told, or passed over, everything, while the feed stands at s->pos: who began when it was set back
 * last follows it as it catches up, all others saw what it now repeats.
 */
static uint64_t wrk_watch_seen(const struct wrk_watch_set *s, const struct wrk_watch *t)
{
	return OM_MAX(t->pos, t->round == s->round ? s->pos : s->newest);
}

/* One change, or LOST, and one watch that it concerns. */
static void wrk_watch_one(const struct wrk_watch_set *s, struct wrk_watch *t, const struct om_op_changed *m, const char *uri)
{
	static const uint8_t kinds[OM_CHANGES] = {
		[OM_CHANGE_PUT] = OM_PROTO_CHANGE_PUT, [OM_CHANGE_DELETE] = OM_PROTO_CHANGE_DELETE,
		[OM_CHANGE_SET] = OM_PROTO_CHANGE_SET, [OM_CHANGE_MOVED] = OM_PROTO_CHANGE_MOVED,
	};
	uint64_t seen = wrk_watch_seen(s, t);

	if (t->state != WRK_WATCH_ON || m->pos <= seen)
		return;
	if (m->change != OM_CHANGE_LOST && !wrk_access_may(t->conn->access, OM_RIGHT_LIST, uri, m->uri_len)) {
		t->pos = m->pos;
	} else if (wrk_watch_full(t->conn)) {
		t->pos = seen;
		wrk_watch_is(t, WRK_WATCH_BEHIND);
		om_count(OM_C_PEER_LIMIT, 1);
	} else if (m->change == OM_CHANGE_LOST) {
		wrk_watch_lose(t, m->pos);
	} else {
		t->pos = m->pos;
		om_count_own(OM_C_WATCH_TOLD, 1);
		wrk_watch_send(t, kinds[m->change], m->pos, m, uri);
	}
}

static void wrk_watch_tell(const struct wrk_watch_set *s, const struct om_op_changed *m, const char *uri)
{
	const struct wrk_watch_prefix *p;

	if (m->change == OM_CHANGE_LOST) {
		for (struct wrk_watch *t = s->head; t; t = t->next)
			wrk_watch_one(s, t, m, uri);
		return;
	}
	for (p = wrk_watch_index_find(&s->index, uri, m->uri_len); p; p = p->outer)
		for (struct wrk_watch_node *n = p->first; n; n = n->next)
			wrk_watch_one(s, (struct wrk_watch *)((char *)n - offsetof(struct wrk_watch, node)), m, uri);
}

static void wrk_watch_changed(void *arg, const struct om_op_changed *m, const char *uri)
{
	struct wrk_watch_set *s = arg;

	if (m->change == OM_CHANGE_HERE) {
		wrk_watch_here(s, m);
	} else {
		wrk_watch_tell(s, m, uri);
		s->pos = m->pos;
		s->newest = OM_MAX(s->newest, m->pos);
	}
	wrk_watch_bury(s);
	wrk_watch_ask(s);
}

/* ---------------------------------------------------------------- watches */

/* It is in the list of its connection no more. */
static void wrk_watch_free(struct wrk_watch_set *s, struct wrk_watch *t)
{
	wrk_watch_index_del(&s->index, &t->node);
	wrk_ticket_drop(t->ticket);
	s->n_asked -= t->state == WRK_WATCH_ASKED;
	if (t->state != WRK_WATCH_NEW) {
		*t->prevp = t->next;
		if (t->next)
			t->next->prevp = t->prevp;
		s->n--;
	}
	free(t);
}

void wrk_watch_conn_gone(struct wrk_conn *c)
{
	struct wrk_watch_set *s = c->w->watches;
	struct wrk_watch *t;

	if (!c->watches)
		return;
	while ((t = c->watches)) {
		c->watches = t->next_conn;
		wrk_watch_free(s, t);
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

/* The request ends; from here on it speaks for itself. */
static void wrk_watch_start(struct wrk_watch_set *s, struct wrk_watch *t)
{
	struct wrk_req *r = OM_TAKE_PTR(t->req);

	t->next = s->head;
	t->prevp = &s->head;
	if (s->head)
		s->head->prevp = &t->next;
	s->head = t;
	om_gauge(OM_C_WATCHES, ++s->n);
	wrk_watch_is(t, WRK_WATCH_ASKED);
	wrk_req_end(r);
	if (s->on && !s->asked) /* the feed flows: it may do as it is */
		wrk_watch_begin(s, t);
	wrk_watch_bury(s);
	wrk_watch_ask(s);
}

static void wrk_watch_refuse(struct wrk_watch *t, int status, const char *text)
{
	struct wrk_req *r = t->req;
	struct wrk_watch **at = &t->conn->watches;

	while (*at != t)
		at = &(*at)->next_conn;
	*at = t->next_conn;
	wrk_watch_free(r->w->watches, t);
	wrk_answer_error(r, status, text);
}

static void wrk_watch_verdict(void *arg, unsigned limit)
{
	struct wrk_watch *t = arg;

	if (limit == OM_ADMIT_OK) {
		wrk_watch_start(t->conn->w->watches, t);
		return;
	}
	om_count(OM_C_PEER_LIMIT, 1);
	wrk_watch_refuse(t, -OBJM_STATUS_LIMIT_EXCEEDED, "this user has as many watches as limits.watches_per_uid allows: end some");
}

static struct wrk_watch *wrk_watch_new(struct wrk_req *r, const struct om_proto_body *body)
{
	bool prefix = body->have & OM_PROTO_BIT(PREFIX);
	struct wrk_watch *t = calloc(1, sizeof(*t));

	if (!t || wrk_watch_index_add(&r->w->watches->index, &t->node, prefix ? body->prefix.p : "", prefix ? body->prefix.len : 0) < 0) {
		free(t);
		return NULL;
	}
	t->conn = r->conn;
	t->req = r;
	t->id = r->id;
	if (body->have & OM_PROTO_BIT(POSITION)) {
		t->resume = true;
		t->epoch = body->position.epoch;
		t->pos = body->position.pos;
	}
	t->next_conn = r->conn->watches;
	r->conn->watches = t;
	return t;
}

void wrk_watch(struct wrk_req *r, const struct om_proto_body *body)
{
	const char *text = NULL;
	int rc = wrk_watch_allowed(r->conn, &text);
	struct wrk_watch *t;

	if (rc < 0) {
		wrk_answer_error(r, rc, text);
		return;
	}
	if (!wrk_answer_later(r))
		return;
	t = wrk_watch_new(r, body);
	if (!t) {
		wrk_answer_error(r, -OBJM_STATUS_OUT_OF_MEMORY, NULL);
		return;
	}
	t->ticket = wrk_ticket_new(r->w, OM_ADMIT_WATCH, r->conn->uid, wrk_watch_verdict, t);
	if (!t->ticket)
		wrk_watch_refuse(t, -OBJM_STATUS_TRY_AGAIN, "too many requests wait for the supervisor: try again");
}

void wrk_watch_room(struct wrk_conn *c)
{
	struct wrk_watch_set *s = c->w->watches;

	for (struct wrk_watch *t = c->watches; t; t = t->next_conn) {
		if (t->state != WRK_WATCH_BEHIND)
			continue;
		wrk_watch_is(t, WRK_WATCH_ASKED); /* behind what it was told last */
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
