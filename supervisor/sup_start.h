/*
 * sup_start.h: from a configuration to a process that may open the store: user, limits, directories, lock, sockets.
 *
 * Main thread, before any other thread exists.
 */
#ifndef SUP_START_H
#define SUP_START_H

#include "supervisor/sup.h"
#include "supervisor/sup_run.h"

/**
 * Take everything that the daemon needs of its surroundings, then give up every right beyond its own.
 * @param sup      `conf` is set; descriptors are -1. What is opened stays there, also when it fails
 * @param ret_exe  programs of the children, by enum om_role
 * @return SUP_EXIT_OK, or the status to exit with, logged
 */
int sup_start(struct sup *sup, const struct sup_run_opt *opt, struct sup_spawn_exe ret_exe[static 2]);

/** Whom the daemon becomes: sup_priv_user() of what the configuration and the options say. */
int sup_start_user(const struct om_conf *conf, const struct sup_run_opt *opt, struct sup_user *ret) OM_MUST_USE;
/** max_workers and RLIMIT_NOFILE for the configuration as it is now; logs what cannot be had. */
void sup_start_limits(struct sup *sup);

/**
 * What --check-config adds to what the table of keys knows: more sockets than can be served, users and groups that do not
 * exist. Lines to `out`.
 * @return number of errors
 */
unsigned sup_start_check(struct om_conf *conf, const struct sup_run_opt *opt, FILE *out);

#endif
