/*
 * wrk_right.h: a request is asked for its rights (wrk_access.h), and refused where it has not got them.
 *
 * Linked by objmapper-worker only; loop thread only. Refused with PERMISSION_DENIED, whether the object exists or not, before
 * anything is looked up: so a missing object and a forbidden one look the same. Peers without the extension get NOT_FOUND.
 */
#ifndef WRK_RIGHT_H
#define WRK_RIGHT_H

#include "common/om_rules.h"
#include "worker/wrk_req.h"

/** May the request's peer do this to the URI? If not, the request has been answered. `rights`: enum om_right, all needed. */
bool wrk_right(struct wrk_req *r, uint32_t rights, const char *uri, size_t len) OM_MUST_USE;
/** The rights that a put with these flags needs (enum om_obj_flag). */
uint32_t wrk_right_put(uint32_t flags);

#endif
