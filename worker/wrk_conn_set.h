/*
 * wrk_conn_set.h: all client connections: how they begin, what concerns every one of them, how they end with the worker.
 *
 * Linked by objmapper-worker only; loop thread only. One connection is wrk_conn.h.
 */
#ifndef WRK_CONN_SET_H
#define WRK_CONN_SET_H

#include "worker/wrk_conn.h"

struct wrk_conn_set;

/** Tables for limits.connections connections. 0; -OBJM_STATUS_OUT_OF_MEMORY. */
int wrk_conn_set_new(struct wrk *w, struct wrk_conn_set **ret) OM_MUST_USE;
/** Other limits from now on; connections that are beyond them stay. */
void wrk_conn_limits(struct wrk_conn_set *s, const struct om_boot_limits *l);
/** Close all and free. */
void wrk_conn_set_free(struct wrk_conn_set *s);
unsigned wrk_conn_count(const struct wrk_conn_set *s);
/** True while it holds as many as its descriptors allow (a quarter of RLIMIT_NOFILE): accepting is left to other workers. */
bool wrk_conn_full(const struct wrk_conn_set *s);
/** The list of all, by `next` (tests). */
struct wrk_conn *wrk_conn_first(const struct wrk_conn_set *s);

/**
 * Take over a connected, non-blocking socket (always: it is closed on failure).
 * @return the connection; NULL: refused at a limit (counted and logged) or out of memory
 */
struct wrk_conn *wrk_conn_new(struct wrk *w, int fd, enum om_listen_kind kind, bool fd_cleanup);

/** Begin to drain: say CLOSE(3) to version 2 peers, close those who owe and are owed nothing. */
void wrk_conn_drain(struct wrk_conn_set *s);
/** Other rules are in force (wrk_access_load): every connection's rights are found again. */
void wrk_conn_access(struct wrk_conn_set *s);
/** The ring has room again, or the like: connections that were held go on. */
void wrk_conn_wake_all(struct wrk_conn_set *s);

#endif
