/*
 * wrk_conn_int.h: what the files of connections share. Each calls only those below it:
 *
 * wrk_conn_set.c  life, from accept to close
 * wrk_conn_rx.c   reading
 * wrk_conn_tx.c   sending, time
 * wrk_conn.c      how much it may take; what those who answer tell it
 */
#ifndef WRK_CONN_INT_H
#define WRK_CONN_INT_H

#include "worker/wrk_conn.h"

#define WRK_CONN_IN_BYTES 131072u /* read at once */
#define WRK_CONN_REFUSED_MAX 64u     /* refused connections that are told why; others are closed at once */
#define WRK_CONN_REFUSED_NS 1000000000u /* for so long */
#define WRK_CONN_FLOOD_NS 20000000u
#define WRK_CONN_UIDS 256u	  /* buckets */

struct wrk_conn_set {
	struct wrk *w;
	struct wrk_conn *head;
	void (*let_go)(struct wrk_conn *c); /* it closes: requests and watches let go of it */
	unsigned n, max;
	unsigned n_refused; /* that wait for a request to be told so */
	unsigned nofile; /* RLIMIT_NOFILE at the start */
	size_t queue_bytes;
	unsigned held_fds, held_max; /* descriptors that answers which could not leave keep open, of all connections */
	struct wrk_flight_set flight;
	struct wrk_timer flood_timer; /* look again at connections that are held for wrk_conn_floods() */
	struct wrk_uid *uids[WRK_CONN_UIDS];
	uint8_t in[WRK_CONN_IN_BYTES];
};

/* ---- wrk_conn.c */

/** Its user has sent so many descriptors that still wait to be closed that nothing more is taken from him. */
bool wrk_conn_floods(const struct wrk_conn *c);

/** No further request is begun while this is true. */
bool wrk_conn_must_hold(const struct wrk_conn *c);
/** What its queue keeps open counts in the set, from now on as it is now. */
void wrk_conn_count_held(struct wrk_conn *c);

/** A row of the set's users that has no connection any more is freed. */
void wrk_conn_uid_put(struct wrk_conn_set *s, struct wrk_uid *u);

/* ---- wrk_conn_rx.c */

/** Use `len` bytes at `buf` (c->in: what was kept); what is left over is kept. */
void wrk_conn_use(struct wrk_conn *c, const uint8_t *buf, size_t len);
/** Read once and use what came. @return false: nothing more to read now */
bool wrk_conn_read(struct wrk_conn *c);

/* ---- wrk_conn_tx.c */

/** Send what can be sent; what remains waits for epoll, a timer or an I/O thread. @return what the socket should wait for */
uint32_t wrk_conn_flush(struct wrk_conn *c);
/** Queue CLOSE, once, to peers of version 2. */
void wrk_conn_say_close(struct wrk_conn *c, uint8_t reason);
/** Set the timer for a peer that does nothing. */
void wrk_conn_arm(struct wrk_conn *c);
void wrk_conn_timer(void *arg);
void wrk_conn_tx_timer(void *arg);

#endif
