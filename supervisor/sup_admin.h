/*
 * sup_admin.h: the admin socket: requests and answers, one line of JSON each.
 *
 * Main thread only. This half knows connections, lines and limits; what a request means is the caller's function
 * (sup_admin_cmd.c). Nobody is waited for: what a peer does not send or read is kept, within bounds, and given up after a time.
 *
 *   request   at most SUP_ADMIN_LINE bytes, a JSON object no deeper than SUP_ADMIN_DEPTH
 *   answer    {"ok":true,...} or {"ok":false,"error":{"status","text","todo"}}, in the order of the requests
 *
 * An answer may come later: its connection takes no further request until then, the others go on; one that does not come within
 * SUP_ADMIN_WAIT_MS is given up. So at most SUP_ADMIN_CONNS answers are ever outstanding.
 */
#ifndef SUP_ADMIN_H
#define SUP_ADMIN_H

#include <jansson.h>

#include "common/om_fdpass.h"
#include "supervisor/sup_loop.h"

#define SUP_ADMIN_API 1u /* of the answers: rises when a member changes its meaning or goes, not when one is added */
#define SUP_ADMIN_CONNS 16u
#define SUP_ADMIN_LINE 32768u /* with its newline: a URI of 4096 bytes, each as \\uXXXX, fits */
#define SUP_ADMIN_DEPTH 8u
#define SUP_ADMIN_IDLE_MS 60000u  /* a connection that sends nothing is closed */
#define SUP_ADMIN_STUCK_MS 10000u /* ... one that does not read its answer */
#define SUP_ADMIN_WAIT_MS 25000u  /* an answer that comes later comes within so long, or TIMEOUT is the answer */

struct sup_admin;

/* One request: whose answer this is. */
struct sup_admin_ref {
	unsigned conn;
	uint64_t serial;
	bool later; /* set by the answering function: sup_admin_reply() follows, from another turn of the loop */
};

/** Answer a request (an object, borrowed): a new reference; NULL: memory ran out, or ref->later was set. */
typedef json_t *sup_admin_answer_fn(void *arg, const struct om_peer *peer, json_t *request, struct sup_admin_ref *ref);

/** Serve `listenfd` (non-blocking, borrowed). 0; -OUT_OF_MEMORY; -SYSTEM, errno says why. */
int sup_admin_open(struct sup_loop *loop, int listenfd, sup_admin_answer_fn *answer, void *arg,
		   struct sup_admin **ret) OM_MUST_USE;
/** Close all connections. NULL is fine. */
void sup_admin_close(struct sup_admin *a);
/** Close what has been idle or stuck for too long: call about once a second or more often. */
void sup_admin_tick(struct sup_admin *a, uint64_t now_ns);

/** The answer to a request that was to be answered later; takes the reference. One whose peer has gone or whose time is up is
 * dropped. `a` NULL: so are all. */
void sup_admin_reply(struct sup_admin *a, const struct sup_admin_ref *ref, json_t *answer);

/** Parse a text that another process wrote: a JSON object no deeper than SUP_ADMIN_DEPTH; else NULL and why. */
json_t *sup_admin_parse(const char *text, size_t len, char *ret_why, size_t cap);

/** An answer that says no. `text`: what, on which object, why; NULL: the status says it. `todo`: what helps; NULL: what
 * helps with this status. */
json_t *sup_admin_error(int status, const char *text, const char *todo);
/** A JSON text; of one that is not UTF-8 (a name cut in the middle), every byte beyond ASCII becomes "?". */
json_t *sup_admin_text(const char *s);

#endif
