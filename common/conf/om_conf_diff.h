/*
 * om_conf_diff.h: two configurations compared, key by key, and one made of two: what a reload and `objmctl set` need.
 *
 * Linked by the supervisor and the tests. No state. Keys are dotted: log.level, backends[disk].capacity (a tier by its id).
 */
#ifndef OM_CONF_DIFF_H
#define OM_CONF_DIFF_H

#include "common/conf/om_conf.h"

/* A key and its values as they would stand in a file. `live`: a reload applies it. Texts are borrowed. */
typedef void om_conf_key_fn(void *arg, const char *key, bool live, const char *was, const char *is);

/**
 * Every key whose value differs, in the order of the table, tiers last. A tier that only one of them has is the key
 * `backends[NAME]` with the texts "absent" and "present": a new one is live, one that is gone needs a restart. Names of users and
 * groups are compared as they were looked up.
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY
 */
int om_conf_diff(const struct om_conf *was, const struct om_conf *is, om_conf_key_fn *fn, void *arg) OM_MUST_USE;

/** Every key: `was` is its default ("" none), `is` its value. As om_conf_diff(). */
int om_conf_each(const struct om_conf *conf, om_conf_key_fn *fn, void *arg) OM_MUST_USE;

/**
 * Make `is` what a running daemon can be brought to: keys that need a restart get the values of `was`, and tiers that `is` lacks
 * are taken along behind its own. `was` keeps what `is` had there: it is good for om_conf_free() alone from now on.
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY, -OBJM_STATUS_LIMIT_EXCEEDED (tiers): neither was changed
 */
int om_conf_keep(struct om_conf *was, struct om_conf *is) OM_MUST_USE;

/**
 * `conf` with one key changed.
 * @param value  as it would stand in a file, in one line
 * @return 0, *ret is the caller's; -OBJM_STATUS_NOT_FOUND: no such key; -OBJM_STATUS_UNSUPPORTED_OP: it needs a restart;
 *         -OBJM_STATUS_INVALID_REQUEST: the value cannot be, see rep (empty: it is no single line); -OBJM_STATUS_OUT_OF_MEMORY
 */
int om_conf_set(const struct om_conf *conf, const char *key, const char *value, struct om_conf **ret,
		struct om_conf_report *rep) OM_MUST_USE;

#endif
