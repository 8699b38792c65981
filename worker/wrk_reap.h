/*
 * wrk_reap.h: closing what may block, outside of the loop.
 *
 * Linked by objmapper-worker only. Clients may send descriptors that nobody asked for; closing one can take for ever (a
 * socket with SO_LINGER, a file of a FUSE server that does not answer), and so can closing a connection in whose queue some
 * are left. One thread closes them. Where the listener has SO_PASSRIGHTS off (Linux 6.16) none ever arrive.
 *
 * BOUND  what waits is open, so RLIMIT_NOFILE bounds it, and there is room for as many. Of what one user sent no more than
 *        WRK_REAP_UID_MAX wait: wrk_reap_room() is asked before his connections are read. (Users are told apart by their uid modulo
 *        WRK_REAP_UIDS: two that meet there share a bound.)
 */
#ifndef WRK_REAP_H
#define WRK_REAP_H

#include "common/om_base.h"

#define WRK_REAP_UID_MAX 1024u
#define WRK_REAP_UIDS 1024u
#define WRK_REAP_MSG_MAX 253u /* descriptors that one message can bring */

struct wrk_reap;

/** Starts the thread: before the sandbox. 0; -OBJM_STATUS_OUT_OF_MEMORY */
int wrk_reap_new(struct wrk_reap **ret) OM_MUST_USE;
/** Close a connection over there, soon. Loop thread. */
void wrk_reap_fd(struct wrk_reap *r, int fd);
/** The same with what `uid` has sent. */
void wrk_reap_sent(struct wrk_reap *r, uint32_t uid, int fd);
/** May a message of this user be received, whatever comes with it? If not: later, when some have been closed. */
bool wrk_reap_room(struct wrk_reap *r, uint32_t uid);
/** Wait until all is closed and end the thread (tests; a worker just ends). */
void wrk_reap_free(struct wrk_reap *r);

#endif
