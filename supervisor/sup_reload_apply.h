/*
 * sup_reload_apply.h: what a new configuration means for the parts of the running supervisor. Main thread only, but for
 * sup_reload_tier_path().
 */
#ifndef SUP_RELOAD_APPLY_H
#define SUP_RELOAD_APPLY_H

#include <jansson.h>

#include "common/conf/om_conf.h"
#include "common/om_seg.h"

struct sup;

/**
 * Put a configuration in force. Takes *conf and *rules on success.
 * @param result  gets "applied" and "restart"
 * @return 0; negative: nothing has changed
 */
int sup_reload_apply(struct sup *sup, struct om_conf **conf, struct om_seg *rules, json_t *result) OM_MUST_USE;

/** Can the directories of a new tier be written, as far as the mounts that we see go? Makes them if they are missing. Blocks on the disk.
 * @return 0 (or it cannot be told: opening the tier says more); -OBJM_STATUS_READ_ONLY, and why and what to do */
int sup_reload_tier_path(const struct om_conf_backend *b, char *ret_why, size_t cap);

#endif
