/*
 * wrk_ticket.h: a place under the limits that hold over all workers: limits.connections and connections_per_uid for a
 * connection, put_sessions and put_sessions_per_uid for an open put, watches_per_uid for a watch.
 *
 * Linked by objmapper-worker only; loop thread only. The supervisor counts. A ticket is asked for at accept, and nothing is read
 * from the connection before the verdict; or when a put begins, which is answered after it. It outlives its holder where that
 * ends first.
 */
#ifndef WRK_TICKET_H
#define WRK_TICKET_H

#include "worker/wrk.h"

struct wrk_ticket;

/** The verdict: 0 admitted; else which limit was hit (enum om_admit_limit). Called once, from the loop. */
typedef void wrk_ticket_fn(void *arg, unsigned limit);

/** Ask. @return NULL: too many requests wait for the supervisor, or out of memory */
struct wrk_ticket *wrk_ticket_new(struct wrk *w, enum om_admit what, uint32_t uid, wrk_ticket_fn *fn, void *arg);
/** Give it back, whatever its state; fn will not be called any more. NULL is fine. */
void wrk_ticket_drop(struct wrk_ticket *t);

#endif
