/*
 * wrk_flight.h: the budget of descriptors in flight: sent, and perhaps not yet received.
 *
 * Linked by objmapper-worker only; loop thread only. The kernel counts such descriptors against RLIMIT_NOFILE of the
 * sender's uid, over all of its processes (ETOOMANYREFS); a client that does not read makes us hold them. limits.unread_fds
 * is this worker's part of half that limit. Of it, all connections of one uid may have half, one connection an eighth.
 * When all is used up by peers that do not read, a connection that holds nothing may still send its next descriptor: the
 * other half of the kernel's limit is there for that, and a few silent clients never stop the others.
 *
 * The kernel does not say when a descriptor was received; it does say when a socket's queue is empty (SIOCOUTQ). So a
 * connection's count goes back to zero when it is found empty, looked at only when room is wanted.
 */
#ifndef WRK_FLIGHT_H
#define WRK_FLIGHT_H

#include "common/om_base.h"

/* What one peer uid has; rows are shared by its connections. */
struct wrk_uid {
	struct wrk_uid *next;
	uint32_t uid;
	unsigned conns;
	unsigned flight;
};

struct wrk_flight { /* of a connection */
	unsigned n;
	struct wrk_flight *next, *prev; /* list of those with n > 0 */
	int sock;
	struct wrk_uid *uid;
};

struct wrk_flight_set {
	unsigned budget, per_uid, per_conn;
	unsigned total;
	uint64_t swept_ns; /* when all were looked at last */
	struct wrk_flight *head;
};

/** @param budget  limits.unread_fds; @param conn_max  limits.conn_unread_fds: a connection's share is no larger (0: no such cap) */
void wrk_flight_init(struct wrk_flight_set *s, unsigned budget, unsigned conn_max);
/** Another limits.conn_unread_fds. */
void wrk_flight_limit(struct wrk_flight_set *s, unsigned conn_max);
/** Descriptors that may be sent on this connection now, of `want`; looks for room where there is none. `next`: how many the
 * next message has, which can not be divided. */
unsigned wrk_flight_room(struct wrk_flight_set *s, struct wrk_flight *f, unsigned want, unsigned next, uint64_t now_ns);
/** The peer has just sent something, so it has probably read, too: look, if the book has less than `want`. */
void wrk_flight_refresh(struct wrk_flight_set *s, struct wrk_flight *f, unsigned want);
/** Room by the book alone, without looking: how many descriptors it makes sense to get ready, at least 1. */
unsigned wrk_flight_ready(const struct wrk_flight_set *s, const struct wrk_flight *f);
void wrk_flight_sent(struct wrk_flight_set *s, struct wrk_flight *f, unsigned n);
/** The socket is about to be closed. */
void wrk_flight_gone(struct wrk_flight_set *s, struct wrk_flight *f);

#endif
