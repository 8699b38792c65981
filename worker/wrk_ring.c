/*
 * wrk_ring.c: requests to the supervisor and their answers (process objmapper-worker, loop thread).
 *
 * A table of OM_OPS_MAX rows, a row a request; the cookie on the wire is (use count of the row << 16 | row), so that an
 * answer to a row that was given to somebody else meanwhile is recognised. Messages go straight into the ring; while it is
 * full they wait, whole, in a queue in their order. Called by connections and put sessions.
 */
#include "worker/wrk_ring_int.h"

#include "common/om_log.h"

#define WRK_RING_RETRY_NS 1000000u /* the supervisor has read our ring but kicks nobody for that: look again */

#define WRK_RING_NO_ROW UINT32_MAX

_Noreturn void wrk_ring_broken(const char *what)
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

struct wrk_ring_row *wrk_ring_row(struct wrk_ring *r, uint64_t req)
{
	uint32_t i = (uint32_t)(req & 0xffff);

	if (i >= OM_OPS_MAX || r->rows[i].kind == WRK_RING_FREE || r->rows[i].uses != (uint32_t)(req >> 16))
		return NULL;
	return &r->rows[i];
}

uint64_t wrk_ring_take_row(struct wrk_ring *r, enum wrk_ring_kind kind, void *arg, struct wrk_ring_row **ret_row)
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

void wrk_ring_give_row(struct wrk_ring *r, struct wrk_ring_row *row)
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

void wrk_ring_flush(struct wrk_ring *r)
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

void wrk_ring_send(struct wrk_ring *r, struct iovec *iov, int n)
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

int wrk_ring_admit(struct wrk_ring *r, unsigned spare, bool queue_bound)
{
	if (r->pending + spare >= OM_OPS_MAX || (queue_bound && r->queued_bytes > WRK_RING_QUEUE_BYTES)) {
		r->was_full = true;
		return -OBJM_STATUS_TRY_AGAIN;
	}
	if (wrk_ring_full(r))
		r->was_full = true;
	return 0;
}

/* ---- life */

static void wrk_ring_bell(void *arg, uint32_t events)
{
	struct wrk_ring *r = arg;

	(void)events;
	om_ring_bell(&r->ring); /* the messages were taken by wrk_ring_after_wait() */
}

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
