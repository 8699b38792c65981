/*
 * wrk_conn.c: see wrk_conn.h (process objmapper-worker, loop thread): how much a connection may take now, and what those who answer tell
 * it: that there is something to send, that its peer is bad, that it ends now. What follows from it is done at the end of the turn, by
 * wrk_conn_set.c.
 */
#include "worker/wrk_conn_int.h"

#include <sys/socket.h>

#include "common/om_counter.h"
#include "worker/wrk_reap.h"
#include "worker/wrk_ticket.h"

#define WRK_CONN_OUT_MSGS 4096u	/* queued messages past which no request is begun */
#define WRK_CONN_BURST 64u	/* descriptors gathered before the first of them is sent, at least: see wrk_conn_burst() */

/* ---------------------------------------------------------------- bounds */

/*
 * Descriptors that answers in the queue may keep open: a burst, or one at a time when many connections do not read. A burst is
 * a whole message's, where RLIMIT_NOFILE has room for that: each message costs the peer a wake-up.
 */
static unsigned wrk_conn_burst(const struct wrk_conn *c)
{
	const struct wrk_conn_set *s = c->w->conns;
	unsigned most = OM_MIN(OM_MAX(s->nofile / 64, WRK_CONN_BURST), WRK_OUT_FDS_MAX);

	if (s->held_fds >= s->held_max)
		return 1;
	return OM_MIN(wrk_flight_ready(&s->flight, &c->flight), most);
}

unsigned wrk_conn_room(const struct wrk_conn *c)
{
	unsigned held = wrk_out_held(&c->out) + c->parked_held, burst = wrk_conn_burst(c);

	return OM_MAX(burst - OM_MIN(held, burst), 1u);
}

bool wrk_conn_queue_full(const struct wrk_conn *c)
{
	return wrk_out_bytes(&c->out) + c->parked_bytes > c->w->conns->queue_bytes;
}

bool wrk_conn_floods(const struct wrk_conn *c)
{
	return c->fd_cleanup && c->w->reap && !wrk_reap_room(c->w->reap, c->uid);
}

bool wrk_conn_must_hold(const struct wrk_conn *c)
{
	const struct wrk_conn_set *s = c->w->conns;

	if (c->ticket_wait || wrk_conn_floods(c))
		return true;
	if (c->skip || c->payload_left) /* the rest of a request that has begun */
		return false;
	return (c->max_pipeline && c->n_reqs >= c->max_pipeline) || c->n_reqs >= WRK_CONN_REQS_MAX ||
	       (wrk_conn_in_order(c) && c->n_reqs >= wrk_conn_burst(c)) || /* each may end up as a descriptor that waits */
	       wrk_out_bytes(&c->out) + c->parked_bytes + c->n_lists * (size_t)OM_LIST_BYTES_MAX > s->queue_bytes ||
	       (c->tx_wait && wrk_out_held(&c->out) > 0) || wrk_out_held(&c->out) + c->parked_held >= wrk_conn_burst(c) ||
	       wrk_out_msgs(&c->out) > WRK_CONN_OUT_MSGS ||
	       (c->order_wait && c->n_reqs > 0) || wrk_ring_full(c->w->ring);
}

void wrk_conn_count_held(struct wrk_conn *c)
{
	unsigned held = wrk_out_held(&c->out) + c->parked_held;

	c->w->conns->held_fds += held - c->held_fds;
	c->held_fds = held;
}

unsigned wrk_conn_max_fds(const struct wrk_conn *c)
{
	return OM_MIN((unsigned)c->max_fds, wrk_flight_ready(&c->w->conns->flight, &c->flight));
}

/* ---------------------------------------------------------------- end */

struct om_log_about wrk_conn_about(const struct wrk_conn *c)
{
	return (struct om_log_about){ .client = c->kind != OM_LISTEN_TCP, .uid = c->uid, .pid = c->pid };
}

void wrk_conn_uid_put(struct wrk_conn_set *s, struct wrk_uid *u)
{
	struct wrk_uid **at = &s->uids[u->uid % WRK_CONN_UIDS];

	if (u->conns)
		return;
	OM_ASSERT(u->flight == 0);
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	free(u);
}

/* A TCP connection closed over unread input is reset, and the peer may then never see its last answers. */
static void wrk_conn_swallow(struct wrk_conn *c)
{
	for (int i = 0; i < 16 && recv(c->fd, c->w->conns->in, sizeof(c->w->conns->in), MSG_DONTWAIT) > 0; i++)
		;
}

static void wrk_conn_close_fd(struct wrk_conn *c)
{
	wrk_flight_gone(&c->w->conns->flight, &c->flight);
	if (c->kind == OM_LISTEN_TCP)
		wrk_conn_swallow(c);
	if (c->fd_cleanup && c->w->reap)
		wrk_reap_fd(c->w->reap, c->fd);
	else
		(void)close(c->fd);
	c->fd = -1;
}

void wrk_conn_close(struct wrk_conn *c)
{
	struct wrk_conn_set *s = c->w->conns;

	if (c->state == WRK_CONN_DEAD)
		return;
	c->state = WRK_CONN_DEAD;
	wrk_loop_del(&c->w->loop, &c->src);
	wrk_hint_off(&c->w->loop, &c->hint);
	wrk_timer_disarm(&c->w->loop, &c->timer);
	wrk_timer_disarm(&c->w->loop, &c->tx_timer);
	wrk_put_owner_close(c->w->puts, &c->puts);
	if (c->kind == OM_LISTEN_LEGACY)
		wrk_legacy_owner_close(c->w->legacy, &c->legacy);
	wrk_ticket_drop(c->ticket);
	c->ticket = NULL;
	s->n_refused -= c->refused != NULL;
	s->let_go(c);
	wrk_out_fini(&c->out);
	wrk_conn_count_held(c);
	wrk_conn_close_fd(c);
	if (c->prev)
		c->prev->next = c->next;
	else
		s->head = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n--;
	c->uid_row->conns--;
	wrk_conn_uid_put(s, c->uid_row);
	om_gauge(OM_C_CONNECTIONS, s->n);
	wrk_task_queue(&c->w->loop, &c->task);
}

void wrk_conn_bad(struct wrk_conn *c, const char *why)
{
	if (c->state == WRK_CONN_DEAD)
		return;
	om_count(OM_C_PEER_BAD, 1);
	wrk_conn_log(c, OM_MSG_PEER_BAD, "connection of uid %d closed: %s", (int)c->uid, why);
	c->bad = true;
	c->state = WRK_CONN_CLOSING;
	wrk_conn_touch(c);
}

void wrk_conn_touch(struct wrk_conn *c)
{
	wrk_task_queue(&c->w->loop, &c->task);
}
