/*
 * wrk_open.h: opening an object's file without stopping the loop.
 *
 * Linked by objmapper-worker only. Every open carries O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC: a lease that somebody of our uid
 * took would otherwise make the open wait for up to 45 s.
 */
#ifndef WRK_OPEN_H
#define WRK_OPEN_H

#include "worker/wrk.h"

/**
 * Open for reading if that needs no disk: a memory tier, or names and inode are in the kernel's caches (RESOLVE_CACHED).
 * @return 0 with *ret_fd; -OBJM_STATUS_WOULD_BLOCK: wrk_open_wait() on an I/O thread; -OBJM_STATUS_NOT_FOUND: no such file (moved,
 *         replaced, removed); -OBJM_STATUS_UNAVAILABLE: the tier is absent, or not readable; others of om_status_errno(), errno says why
 * Context: loop.
 */
int wrk_open_now(const struct wrk *w, unsigned tier, uint64_t id, int *ret_fd) OM_MUST_USE;

/** The same, and may wait for the disk. Context: I/O thread. */
int wrk_open_wait(const struct wrk *w, unsigned tier, uint64_t id, int *ret_fd) OM_MUST_USE;

#endif
