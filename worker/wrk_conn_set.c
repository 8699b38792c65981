/*
 * wrk_conn_set.c: client connections (process objmapper-worker, loop thread): life, from accept to close.
 *
 * Input is read into one buffer of the whole worker; what cannot be used yet (half a message, or messages that must wait)
 * is kept in a buffer of the connection's own, of just that size. Requests are decoded in batches (wrk_decode.c) and done
 * by wrk_begin.c and its neighbours, which queue answers in c->out and call wrk_conn_touch() (wrk_conn.c); everything is sent once, at the
 * end of the turn. A connection that is closed stays a valid structure until then, so no caller is left with a dangling one.
 */
#include "worker/wrk_conn_set.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include "common/om_counter.h"
#include "common/om_fdpass.h"
#include "worker/wrk_access.h"
#include "worker/wrk_conn_int.h"
#include "worker/wrk_req.h"
#include "worker/wrk_ticket.h"
#include "worker/wrk_watch.h"

/* ---------------------------------------------------------------- peers */

static struct wrk_uid *wrk_conn_uid_get(struct wrk_conn_set *s, uint32_t uid)
{
	struct wrk_uid **head = &s->uids[uid % WRK_CONN_UIDS], *u;

	for (u = *head; u; u = u->next)
		if (u->uid == uid)
			return u;
	u = calloc(1, sizeof(*u));
	if (u) {
		u->uid = uid;
		u->next = *head;
		*head = u;
	}
	return u;
}

/* ---------------------------------------------------------------- the end of a turn */

static void wrk_conn_free(struct wrk_conn *c)
{
	if (c->tx_cold) /* an I/O thread still has a job of this connection: its end comes back here */
		return;
	wrk_task_cancel(&c->w->loop, &c->task);
	wrk_access_put(c->w, c->access);
	free(c->in);
	free(c);
}

static void wrk_conn_say_last(struct wrk_conn *c)
{
	uint8_t *p;

	if (c->bad)
		wrk_conn_say_close(c, OM_PROTO_CLOSE_ERROR);
	if (!c->close_rcvd || c->ack_sent)
		return;
	p = wrk_out_room(&c->out, OM_PROTO_CLOSE_ACK_LEN);
	c->ack_sent = true;
	if (!p || om_proto_close_ack_encode(c->n_reqs, p, OM_PROTO_CLOSE_ACK_LEN) < 0 ||
	    wrk_out_frame(&c->out, OM_PROTO_CLOSE_ACK_LEN, NULL, 0, WRK_OUT_FDS_MAX) < 0)
		wrk_conn_close(c);
}

/* Nothing is owed, nothing will come. */
static bool wrk_conn_finished(const struct wrk_conn *c)
{
	if (c->n_reqs || (c->state == WRK_CONN_OPEN && !c->eof))
		return false;
	return c->state == WRK_CONN_CLOSING || !c->held;
}

static void wrk_conn_go_on(void *arg)
{
	struct wrk_conn *c = arg;
	uint32_t events = 0;

	if (c->state == WRK_CONN_DEAD) {
		wrk_conn_free(c);
		return;
	}
	if (c->state == WRK_CONN_OPEN && c->held && !wrk_conn_must_hold(c))
		wrk_conn_use(c, c->in, c->in_len);
	if (c->state != WRK_CONN_DEAD && !c->tx_cold && !wrk_out_empty(&c->out))
		events = wrk_conn_flush(c);
	if (c->state != WRK_CONN_DEAD && c->watches && wrk_out_empty(&c->out))
		wrk_watch_room(c);
	if (c->w->draining && c->state == WRK_CONN_OPEN && !wrk_conn_has_sessions(c) && !c->payload_left && !c->held)
		c->state = WRK_CONN_CLOSING;
	if (c->state != WRK_CONN_DEAD && wrk_conn_finished(c)) {
		wrk_conn_say_last(c);
		if (c->state != WRK_CONN_DEAD && !c->tx_cold && !wrk_out_empty(&c->out))
			events = wrk_conn_flush(c);
		if (c->state != WRK_CONN_DEAD && wrk_out_empty(&c->out))
			wrk_conn_close(c);
	}
	if (c->state == WRK_CONN_DEAD)
		return;
	wrk_conn_count_held(c);
	if (c->state == WRK_CONN_OPEN && c->held && !wrk_conn_must_hold(c)) { /* the flush has made room: go on in this turn, what we wait for comes then */
		wrk_conn_touch(c);
		return;
	}
	if (c->state == WRK_CONN_OPEN && !c->held && !c->eof && !(events & EPOLLET))
		events |= EPOLLIN;
	if (c->held && !c->w->conns->flood_timer.due_ns && wrk_conn_floods(c)) /* nobody says when they have been closed */
		wrk_timer_arm(&c->w->loop, &c->w->conns->flood_timer, c->w->loop.now_ns + WRK_CONN_FLOOD_NS);
	wrk_loop_mod(&c->w->loop, &c->src, events);
	wrk_conn_arm(c);
}

static void wrk_conn_ready(void *arg, uint32_t events)
{
	struct wrk_conn *c = arg;
	bool reading = c->state == WRK_CONN_OPEN && !c->held && !c->eof;

	if ((events & (EPOLLHUP | EPOLLERR)) && !(reading && (events & EPOLLIN))) {
		wrk_conn_close(c); /* nobody is left to read an answer */
		return;
	}
	if (reading && (events & EPOLLIN))
		(void)wrk_conn_read(c);
	/* A peer that is quite gone: requests that were whole have been begun, their answers have no reader. */
	if (c->state != WRK_CONN_DEAD && (events & (EPOLLHUP | EPOLLERR)) && c->eof) {
		wrk_conn_close(c);
		return;
	}
	wrk_conn_go_on(c); /* at once: what is waiting to leave keeps descriptors open */
}

/* ---------------------------------------------------------------- life */

static bool wrk_conn_admit(struct wrk_conn_set *s, const struct wrk_uid *u)
{
	const char *which = NULL;

	if (s->n >= s->max)
		which = "limits.connections";
	if (!which)
		return true;
	om_count(OM_C_REFUSED, 1);
	om_log(OM_MSG_PEER_LIMIT, "a connection of uid %d was refused: %s", (int)u->uid, which);
	return false;
}

static struct wrk_conn *wrk_conn_alloc(struct wrk *w, int fd, enum om_listen_kind kind, struct wrk_uid *u, bool fd_cleanup)
{
	struct wrk_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->w = w;
	c->fd = fd;
	c->kind = kind;
	c->uid = u->uid;
	c->uid_row = u;
	c->fd_cleanup = fd_cleanup;
	c->max_fds = OM_PROTO_FDS_MAX;
	c->active_ns = w->loop.now_ns;
	c->src = WRK_SRC_INIT(wrk_conn_ready, c);
	c->timer = WRK_TIMER_INIT(wrk_conn_timer, c);
	c->tx_timer = WRK_TIMER_INIT(wrk_conn_tx_timer, c);
	c->task = WRK_TASK_INIT(wrk_conn_go_on, c);
	wrk_hint_init(&c->hint);
	c->flight = (struct wrk_flight){ .sock = fd, .uid = u };
	wrk_out_init(&c->out, w->fdcache);
	wrk_put_owner_init(&c->puts, u->uid);
	wrk_legacy_owner_init(&c->legacy, u->uid, fd);
	if (wrk_loop_add(&w->loop, &c->src, fd, EPOLLIN) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

/* The verdict of the supervisor, which counts over all workers. */
static void wrk_conn_ticket(void *arg, unsigned limit)
{
	struct wrk_conn *c = arg;
	struct wrk_conn_set *s = c->w->conns;

	c->ticket_wait = false;
	if (limit != OM_ADMIT_OK) {
		om_count(OM_C_REFUSED, 1);
		c->refused = limit == OM_ADMIT_LIMIT_UID ? "too many connections of this user (limits.connections_per_uid)" :
							   "too many connections (limits.connections)";
		c->refused_ns = c->w->loop.now_ns;
		om_log(OM_MSG_PEER_LIMIT, "a connection of uid %d was refused: %s", (int)c->uid, c->refused);
		if (++s->n_refused > WRK_CONN_REFUSED_MAX) {
			wrk_conn_close(c);
			return;
		}
	}
	wrk_conn_touch(c);
}

struct wrk_conn *wrk_conn_new(struct wrk *w, int fd, enum om_listen_kind kind, bool fd_cleanup)
{
	struct wrk_conn_set *s = w->conns;
	struct om_peer peer = { .uid = UINT32_MAX };
	struct wrk_conn *c = NULL;
	struct wrk_uid *u;

	om_count_own(OM_C_ACCEPTED, 1);
	if (kind != OM_LISTEN_TCP && om_fdpass_peer(fd, &peer) < 0)
		peer.uid = UINT32_MAX; /* trusted with nothing */
	u = wrk_conn_uid_get(s, peer.uid);
	if (u && wrk_conn_admit(s, u))
		c = wrk_conn_alloc(w, fd, kind, u, fd_cleanup);
	if (!c) {
		if (u)
			wrk_conn_uid_put(s, u);
		(void)close(fd);
		return NULL;
	}
	c->ticket = wrk_ticket_new(w, OM_ADMIT_CONN, c->uid, wrk_conn_ticket, c);
	c->ticket_wait = c->held = c->ticket != NULL; /* without one: the ring is full, and this worker's own bound must do */
	c->pid = peer.pid;
	c->access = wrk_access_get(w, fd, kind, c->uid);
	u->conns++;
	c->next = s->head;
	if (s->head)
		s->head->prev = c;
	s->head = c;
	s->n++;
	om_gauge(OM_C_CONNECTIONS, s->n);
	wrk_conn_arm(c);
	return c;
}

void wrk_conn_drain(struct wrk_conn_set *s)
{
	struct wrk_conn *c = s->head, *next;

	for (; c; c = next) {
		next = c->next;
		if (c->state != WRK_CONN_OPEN)
			continue;
		if (!c->held && !c->eof)
			(void)wrk_conn_read(c); /* what it has asked already is answered */
		if (c->state != WRK_CONN_OPEN)
			continue;
		wrk_conn_say_close(c, OM_PROTO_CLOSE_SHUTDOWN);
		wrk_conn_touch(c); /* one with an open put may go on until it is committed; drain_ms bounds that */
	}
}

void wrk_conn_access(struct wrk_conn_set *s)
{
	for (struct wrk_conn *c = s->head; c; c = c->next) {
		const struct wrk_access *old = c->access;

		c->access = wrk_access_get(c->w, c->fd, c->kind, c->uid);
		wrk_access_put(c->w, old);
	}
}

void wrk_conn_wake_all(struct wrk_conn_set *s)
{
	for (struct wrk_conn *c = s->head; c; c = c->next)
		if (c->held)
			wrk_conn_touch(c);
}

unsigned wrk_conn_count(const struct wrk_conn_set *s) { return s->n; }
bool wrk_conn_full(const struct wrk_conn_set *s) { return s->n >= s->nofile / 4; }
struct wrk_conn *wrk_conn_first(const struct wrk_conn_set *s) { return s->head; }

void wrk_conn_limits(struct wrk_conn_set *s, const struct om_boot_limits *l)
{
	s->max = OM_MIN(l->connections ? l->connections : UINT32_MAX, s->nofile / 4);
	s->queue_bytes = l->queue_bytes ? l->queue_bytes : 1u << 20;
	wrk_flight_limit(&s->flight, l->conn_unread_fds);
}

/* A connection closes; it was still whole until now. */
static void wrk_conn_let_go(struct wrk_conn *c)
{
	wrk_watch_conn_gone(c);
	wrk_req_conn_gone(c);
}

static void wrk_conn_flood_timer(void *arg)
{
	wrk_conn_wake_all(arg);
}

int wrk_conn_set_new(struct wrk *w, struct wrk_conn_set **ret)
{
	const struct om_boot_limits *l = &w->boot.limits;
	struct wrk_conn_set *s = calloc(1, sizeof(*s));
	struct rlimit rl;
	unsigned budget = l->unread_fds;

	if (!s)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		rl.rlim_cur = 1024;
	rl.rlim_cur = OM_MIN(rl.rlim_cur, (rlim_t)1 << 30); /* none */
	if (!budget)
		budget = (unsigned)rl.rlim_cur / 2;
	s->w = w;
	s->let_go = wrk_conn_let_go;
	s->nofile = (unsigned)rl.rlim_cur;
	s->held_max = s->nofile / 16;
	s->flood_timer = WRK_TIMER_INIT(wrk_conn_flood_timer, s);
	wrk_flight_init(&s->flight, budget, l->conn_unread_fds);
	wrk_conn_limits(s, l);
	*ret = s;
	return 0;
}

void wrk_conn_set_free(struct wrk_conn_set *s)
{
	if (!s)
		return;
	while (s->head) {
		struct wrk_conn *c = s->head;

		wrk_conn_close(c);
		wrk_conn_free(c);
	}
	wrk_timer_disarm(&s->w->loop, &s->flood_timer);
	free(s);
}
