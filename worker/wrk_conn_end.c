/*
 * wrk_conn_end.c: what those who answer tell a connection: that there is something to send, that its peer is bad, that it ends now (process
 * objmapper-worker, loop thread). What follows from it is done at the end of the turn, by wrk_conn.c: nobody is called back from here but
 * requests and watches, which are let go of.
 */
#include "worker/wrk_conn_int.h"

#include <sys/socket.h>

#include "common/om_counter.h"
#include "worker/wrk_reap.h"
#include "worker/wrk_req.h"
#include "worker/wrk_reqlog.h"
#include "worker/wrk_ticket.h"
#include "worker/wrk_watch.h"

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
	wrk_watch_conn_gone(c);
	wrk_req_conn_gone(c);
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
	wrk_reqlog_line(c, OM_MSG_PEER_BAD, "connection of uid %d closed: %s", (int)c->uid, why);
	c->bad = true;
	c->state = WRK_CONN_CLOSING;
	wrk_conn_touch(c);
}

void wrk_conn_touch(struct wrk_conn *c)
{
	wrk_task_queue(&c->w->loop, &c->task);
}
