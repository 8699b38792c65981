/*
 * wrk_flight.c: how many descriptors may be in flight, to whom (process objmapper-worker, loop thread). See wrk_flight.h.
 * Called by wrk_conn_tx.c around each flush.
 */
#include "worker/wrk_flight.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#define WRK_FLIGHT_SWEEP_NS 10000000u /* all connections are looked at no more often than this */

void wrk_flight_init(struct wrk_flight_set *s, unsigned budget, unsigned conn_max)
{
	budget = OM_MAX(budget, 8u);
	*s = (struct wrk_flight_set){ .budget = budget, .per_uid = budget / 2 };
	wrk_flight_limit(s, conn_max);
}

void wrk_flight_limit(struct wrk_flight_set *s, unsigned conn_max)
{
	s->per_conn = OM_MIN(s->budget / 8, conn_max ? conn_max : 1024u);
}

static void wrk_flight_clear(struct wrk_flight_set *s, struct wrk_flight *f)
{
	if (!f->n)
		return;
	s->total -= f->n;
	f->uid->flight -= f->n;
	f->n = 0;
	if (f->prev)
		f->prev->next = f->next;
	else
		s->head = f->next;
	if (f->next)
		f->next->prev = f->prev;
	f->next = f->prev = NULL;
}

static void wrk_flight_look(struct wrk_flight_set *s, struct wrk_flight *f)
{
	int unread;

	if (ioctl(f->sock, SIOCOUTQ, &unread) == 0 && unread == 0)
		wrk_flight_clear(s, f);
}

static void wrk_flight_sweep(struct wrk_flight_set *s, uint64_t now_ns)
{
	struct wrk_flight *f = s->head;

	if (now_ns - s->swept_ns < WRK_FLIGHT_SWEEP_NS)
		return;
	s->swept_ns = now_ns;
	while (f) {
		struct wrk_flight *next = f->next;

		wrk_flight_look(s, f);
		f = next;
	}
}

static unsigned wrk_flight_left(const struct wrk_flight_set *s, const struct wrk_flight *f)
{
	unsigned a = s->per_conn - OM_MIN(f->n, s->per_conn);
	unsigned b = s->per_uid - OM_MIN(f->uid->flight, s->per_uid);
	unsigned c = s->budget - OM_MIN(s->total, s->budget);

	return OM_MIN(a, OM_MIN(b, c));
}

unsigned wrk_flight_room(struct wrk_flight_set *s, struct wrk_flight *f, unsigned want, unsigned next, uint64_t now_ns)
{
	unsigned room = wrk_flight_left(s, f);

	if (room >= want)
		return room;
	if (f->n)
		wrk_flight_look(s, f);
	room = wrk_flight_left(s, f);
	if (room >= OM_MIN(want, s->per_conn - OM_MIN(f->n, s->per_conn)))
		return room; /* all that this connection may have */
	wrk_flight_sweep(s, now_ns);
	room = wrk_flight_left(s, f);
	/* Frames with several were put together when there was room; they wait until there is some again. */
	if (room < next && f->n == 0 && (next == 1 || s->total < s->budget + s->budget / 2))
		room = next;
	return room;
}

void wrk_flight_refresh(struct wrk_flight_set *s, struct wrk_flight *f, unsigned want)
{
	if (f->n && wrk_flight_left(s, f) < want)
		wrk_flight_look(s, f);
}

unsigned wrk_flight_ready(const struct wrk_flight_set *s, const struct wrk_flight *f)
{
	return OM_MAX(wrk_flight_left(s, f), 1u);
}

void wrk_flight_sent(struct wrk_flight_set *s, struct wrk_flight *f, unsigned n)
{
	if (!n)
		return;
	if (!f->n) {
		f->prev = NULL;
		f->next = s->head;
		if (s->head)
			s->head->prev = f;
		s->head = f;
	}
	f->n += n;
	f->uid->flight += n;
	s->total += n;
}

void wrk_flight_gone(struct wrk_flight_set *s, struct wrk_flight *f)
{
	wrk_flight_clear(s, f);
}
