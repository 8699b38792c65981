/*
 * wrk_begin.h: a decoded message is begun: checked, and given to the part of the worker that answers it.
 *
 * Linked by objmapper-worker only; loop thread only.
 */
#ifndef WRK_BEGIN_H
#define WRK_BEGIN_H

#include "worker/wrk_decode.h"
#include "worker/wrk_req.h"

/** Begin what a decoded message asks. It may have been answered when this returns, and the connection may have been closed. */
void wrk_begin(struct wrk_conn *c, struct wrk_req_item *item);

#endif
