/*
 * sup_run.h: objmapperd from its start to its end, once the configuration is read.
 *
 * Main thread; called once.
 */
#ifndef SUP_RUN_H
#define SUP_RUN_H

#include "common/conf/om_conf.h"

/* Exit statuses of objmapperd. */
#define SUP_EXIT_OK 0
#define SUP_EXIT_FAILED 1
#define SUP_EXIT_CONF 2 /* configuration or usage */

struct sup_run_opt {
	const char *user; /* instead of the configuration's; NULL: not given */
	const char *adopt[OM_TIERS_MAX + 1]; /* tiers to take over whatever their markers say; ended by NULL */
	bool embedded;	  /* no configuration file: no user is assumed */
};

/**
 * Serve until SIGTERM or SIGINT.
 * @param conf  loaded and without errors; becomes ours
 * @return an exit status; everything that went wrong has been logged
 */
int sup_run(struct om_conf *conf, const struct sup_run_opt *opt);

#endif
