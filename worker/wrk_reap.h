/*
 * wrk_reap.h: closing what may block, outside of the loop.
 *
 * Linked by objmapper-worker only. Clients may send descriptors that nobody asked for; closing one can take for ever (a
 * socket with SO_LINGER, a file of a FUSE server that does not answer), and so can closing a connection in whose queue some
 * are left. One thread closes them. Where the listener has SO_PASSRIGHTS off (Linux 6.16) none ever arrive.
 */
#ifndef WRK_REAP_H
#define WRK_REAP_H

#include "common/om_base.h"

#define WRK_REAP_MAX 8192u /* descriptors waiting to be closed */

struct wrk_reap;

/** Starts the thread: before the sandbox. 0; -OBJM_STATUS_OUT_OF_MEMORY */
int wrk_reap_new(struct wrk_reap **ret) OM_MUST_USE;
/** Close `fd` over there, soon. With WRK_REAP_MAX waiting it is closed here and now. Loop thread. */
void wrk_reap_fd(struct wrk_reap *r, int fd);
/** Wait until all is closed and end the thread (tests; a worker just ends). */
void wrk_reap_free(struct wrk_reap *r);

#endif
