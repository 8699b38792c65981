/*
 * sup_admin_json.h: pieces of answers that several admin commands share. Main thread only.
 */
#ifndef SUP_ADMIN_JSON_H
#define SUP_ADMIN_JSON_H

#include "supervisor/sup_admin.h"
#include "supervisor/sup_engine.h"

/** The member `tiers` of status and (full) tier-list. */
json_t *sup_admin_tiers(const struct sup_engine_stat *st, bool full);
/** Who may read an object, a text each: rules of the configuration that allow it. */
json_t *sup_admin_readers(const struct om_conf *conf, const char *uri);

#endif
