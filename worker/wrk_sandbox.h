/*
 * wrk_sandbox.h: how a worker narrows itself, so that one that was taken over can do little but mislead its own clients.
 *
 * Linked by objmapper-worker only. Order: wrk_sandbox_files() while the process has one thread (Landlock binds the calling
 * thread and those that it starts later); then the threads; then wrk_sandbox_calls() (seccomp, all threads at once);
 * then READY and the first accept. Neither can be undone. What the kernel does not offer is logged (OM_MSG_SANDBOX) and
 * left out: a worker without Landlock still serves.
 */
#ifndef WRK_SANDBOX_H
#define WRK_SANDBOX_H

#include "worker/wrk.h"

/**
 * No new privileges, not dumpable, and Landlock: of each tier, objects/ may be read, and files and directories made in it;
 * staging/ may be read, written and made in; nothing else can be opened, made, renamed or removed, anywhere.
 * Descriptors that are open already keep what they can do. The context's tiers and boot message must be set. Where seccomp can refuse to
 * truncate objects, or to read elsewhere, Landlock is not asked to (wrk_sandbox.c says why).
 * @param listeners  boot.n_listen of them: whether peers can send descriptors decides who looks after reading
 * @return 0; -OBJM_STATUS_UNSUPPORTED_OP: this kernel has no Landlock (logged); -OBJM_STATUS_SYSTEM: refused (logged)
 */
int wrk_sandbox_files(const struct wrk *w, const int *listeners);

/**
 * seccomp: the system calls in the table of wrk_sandbox.c and no others; the rest fails with EPERM, the worst kill.
 * @return 0; -OBJM_STATUS_UNSUPPORTED_OP: not loaded (logged); -OBJM_STATUS_SYSTEM: the same, and Landlock has left something to it: do not
 *         serve
 */
int wrk_sandbox_calls(void);

#endif
