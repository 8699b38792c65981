/*
 * om_sd.h: the three interfaces of systemd that the daemon uses: sockets handed over, state notified, the journal.
 *
 * Sockets with libsystemd where it is linked; a static build (Debian has no static libsystemd) does that itself. State and journal
 * are spoken without the library in any case: its calls wait while the manager, or the journal, does not read.
 */
#ifndef OM_SD_H
#define OM_SD_H

#include "common/om_log.h"

#define OM_SD_FD_FIRST 3
#define OM_SD_NAME_MAX 256

/**
 * Sockets that systemd handed over: descriptors OM_SD_FD_FIRST .. + n - 1, made close-on-exec; the variables are unset.
 * @param ret_names  n strings ("data", "admin", ...), to be freed with om_sd_names_free(); NULL when there is none
 * @return n, 0 when started by hand, or a negative status
 */
int om_sd_listen_fds(char ***ret_names) OM_MUST_USE;
void om_sd_names_free(char **names, int n);

/**
 * Send `state` ("READY=1\nSTATUS=..."). Does not block, unlike sd_notify(3).
 * @return true if the manager has it, or nobody listens; false: the manager is busy, say it again later
 */
bool om_sd_notify(const char *state);
/** Ready; `status` is free text for `systemctl status`. Again after a reload. As om_sd_notify(). */
bool om_sd_ready(const char *status);
/** A reload begins: systemctl reload waits until om_sd_ready(). As om_sd_notify(). */
bool om_sd_reloading(void);
/** The end has begun. As om_sd_notify(). */
bool om_sd_stopping(const char *status);
/** Starting or stopping takes longer: `ms` more from now on. Say it again before they are over. */
void om_sd_extend(unsigned ms);
/** What runs out when om_sd_alive() is not called for so long (ns); 0: the manager does not watch us. */
uint64_t om_sd_watchdog_ns(void);
/** As om_sd_notify(). */
bool om_sd_alive(void);

/** True if standard error goes to the journal (JOURNAL_STREAM names it). */
bool om_sd_under_journal(void);

/** Log sink (om_log_sink) that writes structured records to the journal, without waiting for it (lines that it does not take are
 * counted, and the next one says how many): MESSAGE_ID, PRIORITY, OBJM_EVENT, and of what the line
 * is about what is known: OBJM_PROCESS, OBJM_TIER, OBJM_URI, OBJM_ID, OBJM_CLIENT_UID, OBJM_CLIENT_PID, OBJM_REQUEST,
 * OBJM_DURATION_US. */
void om_sd_journal(enum om_msg id, enum om_log_prio prio, const char *text, void *arg);

#endif
