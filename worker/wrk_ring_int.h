/*
 * wrk_ring_int.h: what the files of the ring's worker end share (wrk_ring*.c).
 *
 *	wrk_ring.c	life, rows, the way into the ring
 *	wrk_ring_ask.c	the messages that the worker sends, one function each
 *	wrk_ring_rx.c	what comes back
 */
#ifndef WRK_RING_INT_H
#define WRK_RING_INT_H

#include "worker/wrk_ring.h"

#define WRK_RING_ROOM_OPS 64u /* rows kept free for what was begun already */

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

/** The ring makes no sense, and nothing that it says can be believed: the worker ends, and is replaced. */
_Noreturn void wrk_ring_broken(const char *what);

/** The row of an unanswered request; NULL: there is none of that number. */
struct wrk_ring_row *wrk_ring_row(struct wrk_ring *r, uint64_t req);
/** A row for a new request (there is a free one: wrk_ring_admit()). @return the request's number */
uint64_t wrk_ring_take_row(struct wrk_ring *r, enum wrk_ring_kind kind, void *arg, struct wrk_ring_row **ret_row);
void wrk_ring_give_row(struct wrk_ring *r, struct wrk_ring_row *row);

/** May a request be sent? `spare`: rows that this kind must leave free. @return 0; -OBJM_STATUS_TRY_AGAIN */
int wrk_ring_admit(struct wrk_ring *r, unsigned spare, bool queue_bound);
/** Put a message into the ring or, behind others that wait, into the queue. Room was checked before. */
void wrk_ring_send(struct wrk_ring *r, struct iovec *iov, int n);
/** What waits goes into the ring, as far as it has room. */
void wrk_ring_flush(struct wrk_ring *r);

#endif
