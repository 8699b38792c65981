/*
 * wrk_reqlog.h: what the log says about a request: the fields of a line, and, where log.access asks for it, one line a
 * sampled request.
 *
 * Linked by objmapper-worker only; loop thread only.
 */
#ifndef WRK_REQLOG_H
#define WRK_REQLOG_H

#include "worker/wrk_req.h"

/** What a line about this request is about. Borrowed from it. */
struct om_log_about wrk_reqlog_about(const struct wrk_req *r);

/** Of so many requests one is logged, from now on (log.access as millionths; 0: none). */
void wrk_reqlog_set(struct wrk *w, uint32_t ppm);
/** A request has its answer. */
void wrk_reqlog_sampled(const struct wrk_req *r);
static inline void wrk_reqlog(const struct wrk_req *r)
{
	struct wrk *w = r->w;

	if (w->reqlog_every && --w->reqlog_left == 0)
		wrk_reqlog_sampled(r);
}

#endif
