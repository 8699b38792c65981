/*
 * wrk_touch.h: TOUCH: accesses that a client's cache answered, so that what is hot there does not look cold here.
 *
 * Linked by objmapper-worker only; loop thread only.
 */
#ifndef WRK_TOUCH_H
#define WRK_TOUCH_H

#include "worker/wrk_req.h"

#define WRK_TOUCH_FRAME_MAX 1024u /* objects of one request */
#define WRK_TOUCH_RATE 20000u	  /* accesses that a connection may report in a second; what is more is not counted */

/** Take a report and answer it. */
void wrk_touch(struct wrk_req *r, const struct om_proto_ext *ext);

#endif
