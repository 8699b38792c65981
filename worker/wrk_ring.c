/*
 * wrk_ring.c: requests to the supervisor and their answers (process objmapper-worker, loop thread).
 *
 * A table of OM_OPS_MAX rows, a row a request; the cookie on the wire is (use count of the row << 16 | row), so that an
 * answer to a row that was given to somebody else meanwhile is recognised. Messages go straight into the ring; while it is
 * full they wait, whole, in a queue in their order. The supervisor is trusted, yet what it sends is checked for shape: a
 * ring that makes no sense ends the worker, which is then replaced. Called by connections and put sessions.
 */
#include "worker/wrk_ring.h"

#include "common/om_counter.h"
#include "common/om_log.h"

#define WRK_RING_TURN 512u	/* messages taken in one turn; the rest waits for the next */
#define WRK_RING_ROOM_OPS 64u	/* rows kept free for what was begun already */
#define WRK_RING_RETRY_NS 1000000u /* the supervisor has read our ring but kicks nobody for that: look again */

enum wrk_ring_kind { WRK_RING_FREE, WRK_RING_VERDICT, WRK_RING_RECORD, WRK_RING_LIST, WRK_RING_FORGOTTEN };

union wrk_ring_fn { /* who takes the answer, by kind */
	wrk_ring_verdict_fn *verdict;
	wrk_ring_record_fn *record;
	wrk_ring_list_fn *list;
};

struct wrk_ring_row {
	enum wrk_ring_kind kind;
	uint32_t uses;
	uint32_t next_free;
	bool is_list; /* of a forgotten row: it ends with LIST_END */
	union wrk_ring_fn fn;
	void *arg;
};

struct wrk_ring_msg { /* one waiting message */
	struct wrk_ring_msg *next;
	size_t len;
	uint8_t data[];
};

struct wrk_ring {
	struct wrk_loop *loop;
	struct om_ring ring;
	struct wrk_src src;
	struct wrk_timer retry;
	struct wrk_task room_task;
	void (*room_fn)(void *arg);
	void *room_arg;
	wrk_ring_changed_fn *changed_fn;
	void *changed_arg;
	bool was_full;
	bool more;     /* messages were left in the peer's ring */
	bool asleep;   /* om_ring_sleep() said yes */
	unsigned pending;
	uint32_t free_row;
	struct wrk_ring_msg *head, **tail;
	size_t queued_bytes;
	struct wrk_ring_row rows[OM_OPS_MAX];
	_Alignas(16) uint8_t buf[OM_RING_MSG_MAX]; /* one message, copied out of the ring */
};

#define WRK_RING_NO_ROW UINT32_MAX

_Noreturn static void wrk_ring_broken(const char *what)
{
	om_log(OM_MSG_FATAL, "the ring of the supervisor makes no sense (%s): this worker ends and is replaced", what);
	_exit(1);
}

static void wrk_ring_room(void *arg)
{
	struct wrk_ring *r = arg;

	if (r->was_full && !wrk_ring_full(r)) {
		r->was_full = false;
		if (r->room_fn)
			r->room_fn(r->room_arg);
	}
}

/* ---- rows */

static struct wrk_ring_row *wrk_ring_row(struct wrk_ring *r, uint64_t req)
{
	uint32_t i = (uint32_t)(req & 0xffff);

	if (i >= OM_OPS_MAX || r->rows[i].kind == WRK_RING_FREE || r->rows[i].uses != (uint32_t)(req >> 16))
		return NULL;
	return &r->rows[i];
}

static uint64_t wrk_ring_take_row(struct wrk_ring *r, enum wrk_ring_kind kind, void *arg, struct wrk_ring_row **ret_row)
{
	uint32_t i = r->free_row;
	struct wrk_ring_row *row = &r->rows[i];

	OM_ASSERT(i != WRK_RING_NO_ROW && row->kind == WRK_RING_FREE);
	r->free_row = row->next_free;
	row->kind = kind;
	row->is_list = kind == WRK_RING_LIST;
	row->arg = arg;
	r->pending++;
	*ret_row = row;
	return (uint64_t)row->uses << 16 | i;
}

static void wrk_ring_give_row(struct wrk_ring *r, struct wrk_ring_row *row)
{
	row->kind = WRK_RING_FREE;
	row->uses++;
	row->next_free = r->free_row;
	r->free_row = (uint32_t)(row - r->rows);
	r->pending--;
	if (r->was_full)
		wrk_task_queue(r->loop, &r->room_task);
}

void wrk_ring_forget(struct wrk_ring *r, uint64_t req)
{
	struct wrk_ring_row *row = wrk_ring_row(r, req);

	if (row)
		row->kind = WRK_RING_FORGOTTEN;
}

unsigned wrk_ring_pending(const struct wrk_ring *r) { return r->pending; }

bool wrk_ring_full(const struct wrk_ring *r)
{
	return r->pending > OM_OPS_MAX - WRK_RING_ROOM_OPS || r->queued_bytes > WRK_RING_QUEUE_BYTES / 2;
}

void wrk_ring_on_room(struct wrk_ring *r, void (*fn)(void *arg), void *arg)
{
	r->room_fn = fn;
	r->room_arg = arg;
}

/* ---- sending */

static void wrk_ring_flush(struct wrk_ring *r)
{
	while (r->head) {
		struct wrk_ring_msg *m = r->head;
		struct iovec iov = { m->data, m->len };
		int rc = om_ring_put(&r->ring, &iov, 1);

		if (rc == -OBJM_STATUS_WOULD_BLOCK) {
			wrk_timer_arm(r->loop, &r->retry, r->loop->now_ns + WRK_RING_RETRY_NS);
			return;
		}
		if (rc < 0)
			wrk_ring_broken("cannot append");
		r->head = m->next;
		if (!r->head)
			r->tail = &r->head;
		r->queued_bytes -= m->len;
		free(m);
	}
	if (r->was_full)
		wrk_task_queue(r->loop, &r->room_task);
}

static void wrk_ring_retry(void *arg)
{
	wrk_ring_flush(arg);
}

/* Put a message into the ring or, behind others that wait, into the queue. Room was checked before. */
static void wrk_ring_send(struct wrk_ring *r, struct iovec *iov, int n)
{
	struct wrk_ring_msg *m;
	size_t len = 0, at = 0;
	int rc = r->head ? -OBJM_STATUS_WOULD_BLOCK : om_ring_put(&r->ring, iov, n);

	if (rc == 0)
		return;
	if (rc != -OBJM_STATUS_WOULD_BLOCK)
		wrk_ring_broken("cannot append");
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	m = malloc(sizeof(*m) + len);
	if (!m) {
		/* Neither losing a message nor waiting for the supervisor is possible here. */
		om_log(OM_MSG_FATAL, "out of memory while the ring to the supervisor is full: this worker ends and is replaced");
		_exit(1);
	}
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len) /* an absent piece has no address */
			memcpy(m->data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	m->len = len;
	m->next = NULL;
	*r->tail = m;
	r->tail = &m->next;
	r->queued_bytes += len;
	wrk_timer_arm(r->loop, &r->retry, r->loop->now_ns + WRK_RING_RETRY_NS);
}

/* `spare`: rows that this kind of request must leave free. */
static int wrk_ring_admit(struct wrk_ring *r, unsigned spare, bool queue_bound)
{
	if (r->pending + spare >= OM_OPS_MAX || (queue_bound && r->queued_bytes > WRK_RING_QUEUE_BYTES)) {
		r->was_full = true;
		return -OBJM_STATUS_TRY_AGAIN;
	}
	if (wrk_ring_full(r))
		r->was_full = true;
	return 0;
}

#define WRK_RING_PIECE(p, n) ((struct iovec){ (void *)(uintptr_t)(p), (n) })

static void wrk_ring_hdr(struct om_op_hdr *hdr, uint16_t type, uint64_t req, const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	*hdr = (struct om_op_hdr){ .len = (uint32_t)len, .type = type, .req = req };
}

/* A message that is answered: put its header right, note who takes the answer, send it. LIMIT_EXCEEDED and the like as wrk_ring_admit(). */
static int wrk_ring_ask(struct wrk_ring *r, struct om_op_hdr *hdr, enum om_op op, struct iovec *iov, int n, enum wrk_ring_kind kind,
			union wrk_ring_fn fn, void *arg, uint64_t *ret_req)
{
	struct wrk_ring_row *row;
	uint64_t req;
	int rc = wrk_ring_admit(r, WRK_RING_ROOM_OPS / 2, true);

	if (rc < 0)
		return rc;
	req = wrk_ring_take_row(r, kind, arg, &row);
	row->fn = fn;
	wrk_ring_hdr(hdr, op, req, iov, n);
	wrk_ring_send(r, iov, n);
	if (ret_req)
		*ret_req = req;
	return 0;
}

int wrk_ring_prepare(struct wrk_ring *r, const struct wrk_ring_prepare *p, wrk_ring_verdict_fn *fn, void *arg,
		     uint64_t *ret_req)
{
	struct om_op_prepare m = { .cond = { .id = p->cond_id, .rev = p->cond_rev, .kind = p->cond_kind },
				   .size = p->size, .flags = p->flags, .uid = p->uid, .tier = p->tier,
				   .uri_len = p->uri_len, .room = p->room };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(p->uri, p->uri_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_PREPARE, iov, OM_ARRAY_SIZE(iov), WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

int wrk_ring_commit(struct wrk_ring *r, const struct om_rec *rec, wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_commit m = { .id = rec->id, .size = rec->size, .mtime_ns = rec->mtime_ns, .expiry_s = rec->expiry_s,
				  .flags = rec->flags, .tier = rec->tier, .uri_len = rec->uri_len,
				  .type_len = rec->type_len, .meta_len = rec->meta_len };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(rec->uri, rec->uri_len),
			       WRK_RING_PIECE(rec->type, rec->type_len), WRK_RING_PIECE(rec->meta, rec->meta_len) };
	struct wrk_ring_row *row;
	uint64_t req;
	int rc = wrk_ring_admit(r, 0, false);

	if (rc < 0)
		return rc;
	req = wrk_ring_take_row(r, WRK_RING_VERDICT, arg, &row);
	row->fn.verdict = fn;
	wrk_ring_hdr(&m.hdr, OM_OP_COMMIT, req, iov, OM_ARRAY_SIZE(iov));
	wrk_ring_send(r, iov, OM_ARRAY_SIZE(iov));
	if (ret_req)
		*ret_req = req;
	return 0;
}

void wrk_ring_abort(struct wrk_ring *r, uint64_t id, int status)
{
	struct om_op_abort m = { .id = id, .status = status };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	wrk_ring_hdr(&m.hdr, OM_OP_ABORT, 0, &iov, 1);
	wrk_ring_send(r, &iov, 1);
}

int wrk_ring_enter(struct wrk_ring *r, enum om_admit what, uint32_t uid, wrk_ring_verdict_fn *fn, void *arg)
{
	struct om_op_admit m = { .uid = uid, .what = (uint8_t)what };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));
	struct wrk_ring_row *row;
	int rc = wrk_ring_admit(r, 0, false);

	if (rc < 0)
		return rc;
	wrk_ring_hdr(&m.hdr, OM_OP_ADMIT, wrk_ring_take_row(r, WRK_RING_VERDICT, arg, &row), &iov, 1);
	row->fn.verdict = fn;
	wrk_ring_send(r, &iov, 1);
	return 0;
}

void wrk_ring_leave(struct wrk_ring *r, enum om_admit what, uint32_t uid)
{
	struct om_op_admit m = { .uid = uid, .what = (uint8_t)what };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	wrk_ring_hdr(&m.hdr, OM_OP_LEAVE, 0, &iov, 1);
	wrk_ring_send(r, &iov, 1);
}

void wrk_ring_on_change(struct wrk_ring *r, wrk_ring_changed_fn *fn, void *arg)
{
	r->changed_fn = fn;
	r->changed_arg = arg;
}

void wrk_ring_watch(struct wrk_ring *r, bool on, uint64_t from)
{
	struct om_op_watch m = { .from = from, .on = on };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	wrk_ring_hdr(&m.hdr, OM_OP_WATCH, 0, &iov, 1);
	wrk_ring_send(r, &iov, 1);
}

int wrk_ring_delete(struct wrk_ring *r, const char *uri, uint16_t uri_len, uint8_t cond_kind, uint64_t cond_id,
		    uint32_t cond_rev, wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_delete m = { .cond = { .id = cond_id, .rev = cond_rev, .kind = cond_kind }, .uri_len = uri_len };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(uri, uri_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_DELETE, iov, OM_ARRAY_SIZE(iov), WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

int wrk_ring_set(struct wrk_ring *r, const struct wrk_ring_set *s, wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_set m = { .cond = s->cond, .expiry_s = s->expiry_s, .flags_mask = s->flags_mask, .flags = s->flags,
			       .flags_keep = s->flags_keep, .has_type = s->has_type, .has_meta = s->has_meta,
			       .has_expiry = s->has_expiry, .uri_len = s->uri_len, .type_len = s->type_len, .meta_len = s->meta_len };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(s->uri, s->uri_len),
			       WRK_RING_PIECE(s->type, s->type_len), WRK_RING_PIECE(s->meta, s->meta_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_SET, iov, OM_ARRAY_SIZE(iov), WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

int wrk_ring_lookup(struct wrk_ring *r, const char *uri, uint16_t uri_len, bool full, wrk_ring_record_fn *fn, void *arg,
		    uint64_t *ret_req)
{
	struct om_op_lookup m = { .uri_len = uri_len, .full = full };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(uri, uri_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_LOOKUP, iov, OM_ARRAY_SIZE(iov), WRK_RING_RECORD, (union wrk_ring_fn){ .record = fn }, arg, ret_req);
}

int wrk_ring_reserve(struct wrk_ring *r, uint32_t room, uint64_t bytes, uint8_t tier, uint32_t flags, bool wait,
		     wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_reserve m = { .bytes = bytes, .room = room, .flags = flags, .tier = tier, .wait = wait };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	return wrk_ring_ask(r, &m.hdr, OM_OP_RESERVE, &iov, 1, WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

void wrk_ring_release(struct wrk_ring *r, uint32_t room)
{
	struct om_op_release m = { .room = room };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	wrk_ring_hdr(&m.hdr, OM_OP_RELEASE, 0, &iov, 1);
	wrk_ring_send(r, &iov, 1);
}

int wrk_ring_gone(struct wrk_ring *r, const char *uri, uint16_t uri_len, uint64_t id, uint8_t tier, wrk_ring_verdict_fn *fn,
		  void *arg, uint64_t *ret_req)
{
	struct om_op_gone m = { .id = id, .tier = tier, .uri_len = uri_len };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(uri, uri_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_GONE, iov, OM_ARRAY_SIZE(iov), WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

int wrk_ring_list(struct wrk_ring *r, const char *prefix, uint16_t prefix_len, const char *after, uint16_t after_len,
		  uint8_t delimiter, uint32_t limit, wrk_ring_list_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_list m = { .limit = OM_MIN(OM_MAX(limit, 1u), OM_LIST_LIMIT_MAX), .prefix_len = prefix_len,
				.after_len = after_len, .delimiter = delimiter };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(prefix, prefix_len),
			       WRK_RING_PIECE(after, after_len) };
	struct wrk_ring_row *row;
	uint64_t req;
	int rc = wrk_ring_admit(r, WRK_RING_ROOM_OPS / 2, true);

	if (rc < 0)
		return rc;
	req = wrk_ring_take_row(r, WRK_RING_LIST, arg, &row);
	row->fn.list = fn;
	wrk_ring_hdr(&m.hdr, OM_OP_LIST, req, iov, OM_ARRAY_SIZE(iov));
	wrk_ring_send(r, iov, OM_ARRAY_SIZE(iov));
	if (ret_req)
		*ret_req = req;
	return 0;
}

/* ---- receiving: exact length, then whose answer it is, then the call */

static bool wrk_ring_take_verdict(struct wrk_ring *r, struct wrk_ring_row *row, size_t len)
{
	const struct om_op_verdict *v = (const void *)r->buf;
	wrk_ring_verdict_fn *fn = row->fn.verdict;
	void *arg = row->arg;

	if (len != sizeof(*v) || v->status > 0 || row->is_list)
		return false;
	if (row->kind == WRK_RING_FORGOTTEN) {
		wrk_ring_give_row(r, row);
		return true;
	}
	if (row->kind != WRK_RING_VERDICT)
		return false;
	wrk_ring_give_row(r, row);
	fn(arg, v);
	return true;
}

static bool wrk_ring_take_record(struct wrk_ring *r, struct wrk_ring_row *row, size_t len)
{
	const struct om_op_record *rec = (const void *)r->buf;
	const char *type = (const char *)(rec + 1);
	wrk_ring_record_fn *fn = row->fn.record;
	void *arg = row->arg;

	if (len < sizeof(*rec) || rec->type_len > OM_TYPE_MAX || rec->meta_len > OM_META_MAX ||
	    len - sizeof(*rec) != (size_t)rec->type_len + rec->meta_len || rec->status > 0 || row->is_list)
		return false;
	if (row->kind == WRK_RING_FORGOTTEN) {
		wrk_ring_give_row(r, row);
		return true;
	}
	if (row->kind != WRK_RING_RECORD)
		return false;
	wrk_ring_give_row(r, row);
	fn(arg, rec, type, (const unsigned char *)type + rec->type_len);
	return true;
}

static bool wrk_ring_take_entry(struct wrk_ring *r, struct wrk_ring_row *row, size_t len)
{
	const struct om_op_entry *e = (const void *)r->buf;
	const char *uri = (const char *)(e + 1);

	if (len < sizeof(*e) || e->uri_len > OM_URI_MAX || e->type_len > OM_TYPE_MAX ||
	    len - sizeof(*e) != (size_t)e->uri_len + e->type_len || !row->is_list)
		return false;
	if (row->kind == WRK_RING_LIST)
		row->fn.list(row->arg, e, uri, uri + e->uri_len, NULL);
	return true;
}

static bool wrk_ring_take_list_end(struct wrk_ring *r, struct wrk_ring_row *row, size_t len)
{
	const struct om_op_list_end *end = (const void *)r->buf;
	wrk_ring_list_fn *fn = row->fn.list;
	bool tell = row->kind == WRK_RING_LIST;
	void *arg = row->arg;

	if (len != sizeof(*end) || end->status > 0 || !row->is_list)
		return false;
	wrk_ring_give_row(r, row);
	if (tell)
		fn(arg, NULL, NULL, NULL, end);
	return true;
}

static void wrk_ring_take(struct wrk_ring *r, size_t len)
{
	static const struct {
		uint16_t type;
		bool (*fn)(struct wrk_ring *r, struct wrk_ring_row *row, size_t len);
	} table[] = {
		{ OM_OP_VERDICT, wrk_ring_take_verdict },
		{ OM_OP_RECORD, wrk_ring_take_record },
		{ OM_OP_ENTRY, wrk_ring_take_entry },
		{ OM_OP_LIST_END, wrk_ring_take_list_end },
	};
	const struct om_op_hdr *hdr = (const void *)r->buf;
	struct wrk_ring_row *row;

	if (len < sizeof(*hdr) || hdr->len != len)
		wrk_ring_broken("length");
	if (hdr->type == OM_OP_CHANGED) {
		const struct om_op_changed *m = (const void *)r->buf;

		if (len < sizeof(*m) || len != sizeof(*m) + m->uri_len || m->change >= OM_CHANGES)
			wrk_ring_broken("change");
		if (r->changed_fn)
			r->changed_fn(r->changed_arg, m, (const char *)(m + 1));
		return;
	}
	row = wrk_ring_row(r, hdr->req);
	for (size_t i = 0; i < OM_ARRAY_SIZE(table); i++) {
		if (table[i].type != hdr->type)
			continue;
		if (!row || !table[i].fn(r, row, len))
			wrk_ring_broken("an answer that nobody asked for");
		return;
	}
	wrk_ring_broken("type");
}

static void wrk_ring_read(struct wrk_ring *r)
{
	r->more = false;
	for (unsigned n = 0; n < WRK_RING_TURN; n++) {
		size_t len;
		int rc = om_ring_get(&r->ring, r->buf, sizeof(r->buf), &len);

		if (rc == -OBJM_STATUS_WOULD_BLOCK)
			break;
		if (rc < 0)
			wrk_ring_broken("record");
		wrk_ring_take(r, len);
		r->more = n + 1 == WRK_RING_TURN;
	}
	if (r->head) /* who has answered has probably read too */
		wrk_ring_flush(r);
}

static void wrk_ring_bell(void *arg, uint32_t events)
{
	struct wrk_ring *r = arg;

	(void)events;
	om_ring_bell(&r->ring); /* the messages were taken by wrk_ring_after_wait() */
}

bool wrk_ring_before_wait(struct wrk_ring *r)
{
	om_ring_kick(&r->ring);
	r->asleep = !r->more && om_ring_sleep(&r->ring);
	return r->asleep;
}

void wrk_ring_after_wait(struct wrk_ring *r)
{
	if (r->asleep)
		om_ring_up(&r->ring);
	r->asleep = false;
	wrk_ring_read(r);
}

/* ---- life */

int wrk_ring_new(struct wrk_loop *loop, struct om_ring *ring, struct wrk_ring **ret)
{
	struct wrk_ring *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	r->loop = loop;
	r->tail = &r->head;
	r->src = WRK_SRC_INIT(wrk_ring_bell, r);
	r->retry = WRK_TIMER_INIT(wrk_ring_retry, r);
	r->room_task = WRK_TASK_INIT(wrk_ring_room, r);
	for (uint32_t i = 0; i < OM_OPS_MAX; i++) {
		r->rows[i].next_free = i + 1 < OM_OPS_MAX ? i + 1 : WRK_RING_NO_ROW;
		r->rows[i].uses = 1; /* so that no request's number is 0 */
	}
	rc = wrk_loop_add(loop, &r->src, ring->kick_self, EPOLLIN);
	if (rc < 0) {
		free(r);
		return rc;
	}
	r->ring = *ring;
	*ret = r;
	return 0;
}

void wrk_ring_free(struct wrk_ring *r)
{
	if (!r)
		return;
	wrk_loop_del(r->loop, &r->src);
	wrk_timer_disarm(r->loop, &r->retry);
	wrk_task_cancel(r->loop, &r->room_task);
	while (r->head) {
		struct wrk_ring_msg *m = r->head;

		r->head = m->next;
		free(m);
	}
	om_ring_fini(&r->ring);
	free(r);
}
