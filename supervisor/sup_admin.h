/*
 * sup_admin.h: the admin socket: requests and answers, one line of JSON each.
 *
 * Main thread only. This half knows connections, lines and limits; what a request means is the caller's function
 * (sup_admin_cmd.c). Nobody is waited for: what a peer does not send or read is kept, within bounds, and given up after a time.
 *
 *   request   at most SUP_ADMIN_LINE bytes, a JSON object no deeper than SUP_ADMIN_DEPTH
 *   answer    {"ok":true,...} or {"ok":false,"error":{"status","text","todo"}}, in the order of the requests
 */
#ifndef SUP_ADMIN_H
#define SUP_ADMIN_H

#include <jansson.h>

#include "common/om_fdpass.h"
#include "supervisor/sup_loop.h"

#define SUP_ADMIN_CONNS 16u
#define SUP_ADMIN_LINE 4096u /* with its newline */
#define SUP_ADMIN_DEPTH 8u
#define SUP_ADMIN_IDLE_MS 60000u  /* a connection that sends nothing is closed */
#define SUP_ADMIN_STUCK_MS 10000u /* ... one that does not read its answer */

struct sup_admin;

/** Answer a request (an object, borrowed): a new reference, never NULL unless memory ran out. */
typedef json_t *sup_admin_answer_fn(void *arg, const struct om_peer *peer, json_t *request);

/** Serve `listenfd` (non-blocking, borrowed). 0; -OUT_OF_MEMORY; -SYSTEM, errno says why. */
int sup_admin_open(struct sup_loop *loop, int listenfd, sup_admin_answer_fn *answer, void *arg,
		   struct sup_admin **ret) OM_MUST_USE;
/** Close all connections. NULL is fine. */
void sup_admin_close(struct sup_admin *a);
/** Close what has been idle or stuck for too long: call about once a second or more often. */
void sup_admin_tick(struct sup_admin *a, uint64_t now_ns);

/** An answer that says no. `text`: what, on which object, why; NULL: the status says it. */
json_t *sup_admin_error(int status, const char *text);
/** A JSON text; of one that is not UTF-8 (a name cut in the middle), every byte beyond ASCII becomes "?". */
json_t *sup_admin_text(const char *s);

#endif
