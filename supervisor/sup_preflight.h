/*
 * sup_preflight.h: would this program, with this configuration, come up here? And what the unit must be told of its tiers.
 *
 * Main thread of objmapperd --preflight and --systemd-dropin; nothing runs beside them in this process. Safe while a daemon
 * serves from the same directories: nothing is made or changed, catalogs are opened for reading only, by the daemon's user.
 */
#ifndef SUP_PREFLIGHT_H
#define SUP_PREFLIGHT_H

#include "supervisor/sup_run.h"

/**
 * Lines to `out`: "ok: ", "note: ", "problem: ".
 * @param conf  loaded and without errors; users and groups not looked up yet
 * @return SUP_EXIT_OK: it comes up, with all of its tiers; SUP_EXIT_FAILED: not, or not with all; SUP_EXIT_CONF: the
 *         configuration names what is not there
 */
int sup_preflight(struct om_conf *conf, const struct sup_run_opt *opt, FILE *out);

/** sup_dropin.c: a drop-in for objmapper.service: mounts to wait for, where it may write. 0, or negative if `out` fails. */
int sup_dropin(const struct om_conf *conf, FILE *out);

#endif
