/*
 * wrk_set.h: SET: flags, expiry, content type and metadata of an object.
 *
 * Linked by objmapper-worker only; loop thread only.
 */
#ifndef WRK_SET_H
#define WRK_SET_H

#include "worker/wrk_req.h"

/** Begin a SET. Ends the request, now or later. */
void wrk_set(struct wrk_req *r, const struct om_proto_body *body);

#endif
