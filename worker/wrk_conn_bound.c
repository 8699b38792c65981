/*
 * wrk_conn_bound.c: how much a connection may take now: descriptors and bytes of answers, further requests (process objmapper-worker, loop
 * thread). Asked by those who read, who send and who answer; calls none of them.
 */
#include "worker/wrk_conn_int.h"

#include "worker/wrk_reap.h"
#include "worker/wrk_req.h"

#define WRK_CONN_OUT_MSGS 4096u	/* queued messages past which no request is begun */
#define WRK_CONN_BURST 64u	/* descriptors gathered before the first of them is sent, at least: see wrk_conn_burst() */

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
	return (c->max_pipeline && c->n_reqs >= c->max_pipeline) || c->n_reqs >= WRK_REQ_CONN_MAX ||
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
