/*
 * wrk_ctl.h: the control socket to the supervisor: BOOT, then INDEX and DRAIN in, READY, INDEX_ACK and LOG out.
 *
 * Linked by objmapper-worker only. Its end means that the supervisor is gone: the worker ends at once.
 */
#ifndef WRK_CTL_H
#define WRK_CTL_H

#include "worker/wrk.h"

#define WRK_CTL_FDS_MAX (OM_BOOT_FD_COUNT + OM_LISTEN_MAX + 2 * OM_TIERS_MAX)

/* What BOOT brought besides what is in struct wrk. Descriptors that are taken are set to -1. */
struct wrk_ctl_boot {
	int fds[OM_BOOT_FD_COUNT];
	int listeners[OM_LISTEN_MAX];
};

/**
 * Wait for BOOT on `ctl_fd` and check it: fills w->boot, w->tiers, w->ctl_fd, w->run_lock_fd.
 * @return 0; -OBJM_STATUS_CORRUPT: not a BOOT of this layout; -OBJM_STATUS_GONE; -OBJM_STATUS_SYSTEM
 * Context: start, one thread.
 */
int wrk_ctl_boot(struct wrk *w, int ctl_fd, struct wrk_ctl_boot *ret) OM_MUST_USE;

/** Lines of the log go to the supervisor from now on. Any thread may log; a full socket drops lines and counts them. */
void wrk_ctl_log_start(struct wrk *w);

/** Watch the socket; `drain` is called (once) when the supervisor asks for it. 0; -OBJM_STATUS_SYSTEM */
int wrk_ctl_start(struct wrk *w, void (*drain)(struct wrk *w)) OM_MUST_USE;

/** Say READY. 0 or a negative status. */
int wrk_ctl_ready(struct wrk *w) OM_MUST_USE;

#endif
