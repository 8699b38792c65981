/*
 * wrk_get.h: GET and STAT: where is it, open it, answer.
 *
 * Linked by objmapper-worker only; loop thread only.
 */
#ifndef WRK_GET_H
#define WRK_GET_H

#include "worker/wrk_req.h"

/**
 * Look `r->uri` up and answer; r->op is GET or STAT. Ends the request, now or later.
 * Order: the bucket's generation (acquire) before the index; so what a client keeps under it is never older than it says.
 */
void wrk_get(struct wrk_req *r);

/** The same for `n` requests at once (a group's): their cache misses overlap. */
void wrk_get_many(struct wrk_req **reqs, unsigned n);

/** What the index says of a URI now: 0 with *ret_ent; -NOT_FOUND (final); -UNAVAILABLE: a tier that may hold it is away;
 * -BUSY: only the supervisor knows. Expired objects are not found. Sets key, bucket and gen of `r`. */
int wrk_get_lookup(struct wrk_req *r);

#endif
