/*
 * wrk_req.h: one request of a client, from its decoding to its last answer.
 *
 * Linked by objmapper-worker only; loop thread only. Structures come from a list of spare ones, so that a hot GET allocates
 * nothing. A request that can be answered at once borrows its URI from the input buffer; before it waits for anything it
 * takes a copy (wrk_req_own). A connection that closes leaves its waiting requests behind with `conn` NULL: whoever ends
 * the wait sees that, gives back what it got, and frees the request.
 *
 * Order. The connection's list has the unanswered requests, the oldest last. A request that must keep its order and is begun
 * behind another one answers into a queue of its own (`stage`), is parked when it has ended, and leaves when it is the oldest.
 *
 * A GET of several URIs is a group: a request of its own that counts the answers still due, and one request a URI.
 */
#ifndef WRK_REQ_H
#define WRK_REQ_H

#include "worker/wrk_conn.h"
#include "worker/wrk_io.h"

#define WRK_REQ_SPARE_MAX 1024u

struct wrk_list_page; /* wrk_list.c */

/* Content type, metadata and heat, where asked for. */
struct wrk_req_full {
	uint32_t heat_ppm, access_count;
	uint64_t last_access_s;
	uint16_t type_len, meta_len;
	char bytes[]; /* type, meta */
};

struct wrk_req {
	struct wrk_req *next, *prev; /* of the connection; next: of the spare ones */
	struct wrk_conn *conn;	     /* NULL: gone */
	struct wrk *w;
	uint8_t form; /* OM_PROTO_V1, OM_PROTO_V2; WRK_REQ_EXT */
	uint8_t op;   /* enum om_proto_op; GET for versions 1 and 2 */
	uint8_t mode; /* of versions 1 and 2 */
	bool copy;    /* bytes instead of a descriptor */
	bool priority;
	bool uri_owned;
	uint16_t flags; /* of the extension's frame */
	uint16_t uri_len;
	uint32_t id;
	uint64_t t0_ns; /* when it was read; with WANT_TIME only */
	uint64_t turn_ns; /* beginning of the loop's turn that read it */
	const char *uri;
	struct idx_key key;
	bool keyed;
	bool has_slot;
	bool counted; /* among the connection's unanswered ones */
	bool heavy;   /* nothing that must keep its order is begun before it has ended */
	bool parked;  /* done; `stage` waits for its turn */
	bool copied;  /* answered with `bytes` bytes */
	uint8_t coding; /* of those bytes: enum om_proto_coding */
	uint8_t status; /* answered with */
	uint64_t bytes;
	struct wrk_out *stage; /* its answer must not overtake earlier ones: it is gathered here */
	uint8_t tries;
	bool gone_told; /* the supervisor was told that the file is not there: once a request */
	uint32_t bucket;
	uint32_t slot;
	uint64_t gen; /* loaded before the look-up */
	struct idx_ent ent;
	struct om_proto_range range;
	struct wrk_req_full *full;
	struct wrk_req *group; /* GET of several */
	int index;	       /* in the group; -1: alone */
	unsigned left;	       /* group: answers still due */
	uint64_t ring_req;     /* unanswered request to the supervisor; 0: none */
	uint32_t session;      /* PUT_COMMIT: of which */
	struct wrk_put *put;   /* PUT_INLINE: where the payload goes */
	struct om_proto_wr list; /* LIST: the answer under way */
	uint16_t last_len;	 /* LIST: the name given last */
	char *last;
	struct wrk_list_page *page; /* LIST */
	void (*page_free)(struct wrk_req *r); /* LIST: gives `page` back; set with it */
	struct wrk_io_job job; /* cold open */
	int job_rc, job_fd, job_err;
};
#define WRK_REQ_EXT 3 /* form */

/** A new request, not yet counted. NULL: out of memory (the connection is closed). */
struct wrk_req *wrk_req_new(struct wrk_conn *c);
/** It is going to wait: copy the URI, count it as unanswered. @return false: out of memory (wrk_answer_later() says so to the peer) */
bool wrk_req_wait(struct wrk_req *r);
/** Its answer must keep its order, and others are still due before it: it is gathered apart. @return false: out of memory, the
 * connection was closed */
bool wrk_req_stage(struct wrk_req *r);
/** Answered, or given up: free it, or park it until its turn. The connection goes on at the end of the turn. */
void wrk_req_end(struct wrk_req *r);
/** The loop's turn ends: what ended in it is counted by how long it took. */
void wrk_req_turn(struct wrk *w, uint64_t now_ns);
/** The connection closes. */
void wrk_req_conn_gone(struct wrk_conn *c);
/** Where the answer goes: the connection's queue, or the request's own. The connection must be there. */
static inline struct wrk_out *wrk_req_out(const struct wrk_req *r) { return r->stage ? r->stage : &r->conn->out; }
/** Free the spare ones (tests). */
void wrk_req_fini(void);

#endif
