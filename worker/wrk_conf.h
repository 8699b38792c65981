/*
 * wrk_conf.h: what a reload changes in a running worker (message CONF), applied between two turns of its loop.
 *
 * Linked by objmapper-worker only; loop thread. Nothing that is under way is given up: a connection beyond a lowered limit
 * stays, a request that began under old rules ends under them. What is sized at the start (put sessions, descriptor cache) and
 * tiers whose directories the worker does not hold are not this module's: the supervisor replaces the worker for them.
 */
#ifndef WRK_CONF_H
#define WRK_CONF_H

#include "worker/wrk.h"

/** Take over `live`, which has been checked; `rules_fd` becomes ours. */
void wrk_conf_apply(struct wrk *w, const struct om_proc_live *live, int rules_fd);

#endif
