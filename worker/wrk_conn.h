/*
 * wrk_conn.h: a client connection: its state, from accept to close, and what those who answer use of it. Connections begin in wrk_conn_set.h.
 *
 * Linked by objmapper-worker only; loop thread only.
 *
 *	state	  meaning							left by
 *	OPEN	  requests are read and answered				end of input, CLOSE, drain, bad peer
 *	CLOSING	  nothing is read any more; what is owed is answered and sent	all sent, or the peer gone
 *	DEAD	  descriptor closed; the structure lives until the end of the turn
 *
 * Order of answers. With OUT_OF_ORDER, requests that wait (I/O, the supervisor) overlap, and each is answered when it is done.
 * Without it (all of version 1), and for a request with the flag ORDERED, answers keep the order of requests. Single GETs,
 * STATs and PINGs are light: they are begun at once all the same, and their answers wait for their turn (wrk_req.h). What
 * changes something, and what has an answer of many parts, is heavy: it is begun when every earlier request has been answered,
 * and nothing behind it is begun before it has been. So an ordered request sees what earlier ones changed.
 *
 * Bounds: input, the frame in hand and no more; output, limits.queue_bytes (what listings may still add counts) and
 * descriptors, past which no further request is begun; unanswered requests, max_pipeline; descriptors in flight, see wrk_flight.h. Our own RLIMIT_NOFILE is
 * divided: 3/8 descriptor cache (wrk_main.c), 2/8 connections, 2/8 one waiting answer each, 1/32 at most directories (wrk_dir.h), one
 * for each thread that opens files (be_how.h), the rest more waiting answers and puts.
 */
#ifndef WRK_CONN_H
#define WRK_CONN_H

#include "common/om_log.h"
#include "common/proto/om_proto.h"
#include "worker/wrk.h"
#include "worker/wrk_flight.h"
#include "worker/wrk_hint.h"
#include "worker/wrk_legacy.h"
#include "worker/wrk_out.h"
#include "worker/wrk_put.h"

struct wrk_access;
struct wrk_req;
struct wrk_watch;

#define WRK_CONN_REQS_MAX 1024u /* waiting requests of a connection, whatever it negotiated */

enum wrk_conn_state { WRK_CONN_OPEN, WRK_CONN_CLOSING, WRK_CONN_DEAD };

struct wrk_conn {
	struct wrk *w;
	struct wrk_src src;
	struct wrk_timer timer;	   /* idle, half a request, end of a drain */
	struct wrk_timer tx_timer; /* what the kernel did not take for want of room in its tables */
	struct wrk_task task;	   /* go on with what was held back; free when dead */
	struct wrk_conn *next, *prev;
	struct wrk_hint hint;
	struct wrk_flight flight; /* descriptors sent and perhaps not yet received */
	struct wrk_uid *uid_row;
	uint64_t touch_ns;   /* TOUCH: since when `touch_left` counts */
	uint32_t touch_left; /* accesses that it may still report */
	struct wrk_ticket *ticket; /* its place under the limits of all workers */
	bool ticket_wait;	   /* no verdict yet: nothing is read */
	const char *refused;	   /* a limit was hit: its first request is told so, and it is closed */
	uint64_t refused_ns;
	struct wrk_watch *watches; /* what it wants to be told */
	const struct wrk_access *access; /* what the peer may do */
	uint32_t uid; /* of the peer; UINT32_MAX: not known (TCP) */
	int32_t pid;  /* of the process that connected; 0: not known */
	int fd;
	enum om_listen_kind kind;
	enum wrk_conn_state state;

	uint8_t version; /* OM_PROTO_V1, OM_PROTO_V2; 0: the first byte has not come */
	bool greeted;
	bool promise;	 /* positioned access */
	bool close_rcvd; /* CLOSE came: CLOSE_ACK when nothing is owed */
	bool close_sent; /* CLOSE has been sent, reason 1, 2 or 3 */
	bool bad;	 /* it broke the protocol: CLOSE(2) behind what is owed */
	bool ack_sent;	 /* CLOSE_ACK has been sent */
	bool eof;	 /* the peer sends no more */
	bool fd_cleanup; /* the peer may have sent descriptors: our close may block */
	uint8_t max_fds; /* to one message of the extension */
	uint16_t caps;
	uint16_t max_pipeline; /* 0: none */

	uint8_t *in; /* input that could not be used yet: in[0..in_len) */
	size_t in_len, in_cap, in_need;
	uint64_t skip;		   /* bytes to throw away before the next message */
	uint64_t payload_left;	   /* then: bytes of a PUT_INLINE's payload */
	struct wrk_req *payload;   /* whose bytes they are; NULL: nobody's, they are thrown away */
	uint64_t half_since_ns;	   /* half a message is here since; 0: none */
	uint64_t unread_since_ns;  /* answers are ready since, and the peer takes nothing; 0: none */
	uint64_t active_ns;	   /* last sign of life */

	struct wrk_req *reqs, *reqs_oldest; /* unanswered, the newest first */
	unsigned n_reqs;	/* of them, those that wait */
	unsigned n_heavy;	/* and those that hold up what must keep its order */
	unsigned parked_held;	/* descriptors, and */
	size_t parked_bytes;	/* bytes, of answers that wait for their turn */
	unsigned n_lists;	/* LISTs under way: each may still add OM_LIST_BYTES_MAX bytes */
	struct wrk_put_owner puts;
	struct wrk_legacy_owner legacy; /* on the legacy socket */

	struct wrk_out out;
	unsigned held_fds; /* of `out`, as counted in the set */
	bool tx_wait;	 /* EPOLLOUT or a timer will call */
	bool tx_cold;	 /* an I/O thread reads for `out` */
	bool held;	 /* input waits for room or answers */
	bool order_wait; /* the next message must keep its order and waits for all before it */
};

/* ---- for those who answer */

/** Close now, dropping what is queued. The structure stays valid until the end of the turn. */
void wrk_conn_close(struct wrk_conn *c);
/** The peer broke the protocol: count, log (limited), read no more; what is owed is answered, then CLOSE(2) and the end.
 * `why` is static text. */
void wrk_conn_bad(struct wrk_conn *c, const char *why);
/** Something was queued in c->out, or a request ended: flush, and go on with the input, at the end of this turn. */
void wrk_conn_touch(struct wrk_conn *c);

/** What a line of the log about this client is about. Borrowed from it. */
struct om_log_about wrk_conn_about(const struct wrk_conn *c);
/** A line about this client. */
#define wrk_conn_log(conn, id, ...) \
	do { \
		struct om_log_about about_ = wrk_conn_about(conn); \
		om_log_about(id, &about_, __VA_ARGS__); \
	} while (0)

/** Descriptors to one message of the extension: what the peer takes, within this connection's share. */
unsigned wrk_conn_max_fds(const struct wrk_conn *c);

/** Descriptors that may be queued now before no further request is begun: at least 1 while none is held back. */
unsigned wrk_conn_room(const struct wrk_conn *c);
/** Its answers not yet sent are more than limits.connection_queue: an answer of many parts ends where that is possible. */
bool wrk_conn_queue_full(const struct wrk_conn *c);

static inline bool wrk_conn_is_unix(const struct wrk_conn *c) { return c->kind != OM_LISTEN_TCP; }
static inline bool wrk_conn_has_sessions(const struct wrk_conn *c)
{
	return c->puts.n > 0 || c->legacy.puts.n > 0 || c->legacy.first;
}
static inline bool wrk_conn_in_order(const struct wrk_conn *c)
{
	return c->version != OM_PROTO_V2 || !(c->caps & OM_PROTO_CAP_OOO);
}

#endif
