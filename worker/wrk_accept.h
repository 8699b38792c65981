/*
 * wrk_accept.h: taking connections from the listeners that the supervisor passed.
 *
 * Linked by objmapper-worker only; loop thread only. Listeners are shared by all workers: EPOLLEXCLUSIVE wakes one of them.
 */
#ifndef WRK_ACCEPT_H
#define WRK_ACCEPT_H

#include "worker/wrk.h"

struct wrk_accept;

/** Take over a listener. Call wrk_accept_start() when all are there. 0; -OUT_OF_MEMORY */
int wrk_accept_new(struct wrk *w, struct wrk_accept **ret) OM_MUST_USE;
void wrk_accept_add(struct wrk_accept *a, int fd, enum om_listen_kind kind);
/** May peers of this listener send descriptors? False: the kernel refuses them (SO_PASSRIGHTS off, Linux 6.16). */
bool wrk_accept_passes(int fd, enum om_listen_kind kind);
/** Begin to accept. 0; -OBJM_STATUS_SYSTEM */
int wrk_accept_start(struct wrk_accept *a) OM_MUST_USE;
/**
 * Once a second: a connection whose wake-up went to a worker that had no room for it, or died with it, is seen by the others all the
 * same (the kernel wakes for an arrival once, and one).
 */
void wrk_accept_look(struct wrk_accept *a);
/** Accept no more (drain); the listeners are closed. */
void wrk_accept_stop(struct wrk_accept *a);
void wrk_accept_free(struct wrk_accept *a);

#endif
