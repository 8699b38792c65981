/*
 * sup_rules.h: the access rules of a configuration, as the workers get them (common/om_rules.h).
 *
 * Supervisor, main loop. No state.
 */
#ifndef SUP_RULES_H
#define SUP_RULES_H

#include "common/conf/om_conf.h"
#include "common/om_rules.h"
#include "common/om_seg.h"

/** One rule of a configuration as the workers judge by it; ret->prefix is borrowed from `c`. */
void sup_rules_one(const struct om_conf_rule *c, struct om_rule *ret);

/**
 * Make the frozen segment of the rules of `conf`, whose names have been looked up. Without rules it holds no table.
 * @return 0, *ret is the caller's (om_seg_close); -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_SYSTEM, errno says why
 */
int sup_rules_seg(const struct om_conf *conf, struct om_seg *ret) OM_MUST_USE;

#endif
