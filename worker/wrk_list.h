/*
 * wrk_list.h: LIST: one page of names, from the supervisor's catalogs to the client.
 *
 * Linked by objmapper-worker only; loop thread only.
 */
#ifndef WRK_LIST_H
#define WRK_LIST_H

#include "worker/wrk_req.h"

/** Begin a page. Ends the request, now or later. */
void wrk_list(struct wrk_req *r, const struct om_proto_body *body);

#endif
