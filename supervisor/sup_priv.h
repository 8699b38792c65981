/*
 * sup_priv.h: what the supervisor may do: its user, its limits, what it gives up.
 *
 * At start, main thread, before any other thread exists (ids are set with the plain calls, for the whole process).
 */
#ifndef SUP_PRIV_H
#define SUP_PRIV_H

#include <sys/types.h>

#include "common/conf/om_conf.h"

/* Whom the daemon becomes. */
struct sup_user {
	bool drop; /* false: stay who we are */
	uid_t uid; /* who the daemon is in the end, also without `drop` */
	gid_t gid;
	char name[64]; /* "" without `drop` */
};

/**
 * Decide whom to become: `name` if we are root, by name or uid. Not root: `name` is left alone.
 * @param fallback  a name that need not exist, tried when `name` is ""; NULL: none
 * @return 0; -OBJM_STATUS_NOT_FOUND: no such user; -OBJM_STATUS_SYSTEM: the name service failed, errno says why
 */
int sup_priv_user(const char *name, const char *fallback, struct sup_user *ret) OM_MUST_USE;

/** Number of a group by name or gid. 0; -NOT_FOUND; -SYSTEM, errno says why. */
int sup_priv_group(const char *name, gid_t *ret_gid) OM_MUST_USE;

/** Between these two the files that are opened and made are the user's: for what lies in directories that it owns. */
int sup_priv_borrow(const struct sup_user *user) OM_MUST_USE;
int sup_priv_unborrow(const struct sup_user *user) OM_MUST_USE;

/** Become the user for ever (if `drop`), with its groups and no capability. 0 or -SYSTEM, errno says why. */
int sup_priv_drop(const struct sup_user *user) OM_MUST_USE;

/** For everyone: nothing that we execute gets more rights (no_new_privs), and our memory is not for same-uid processes. */
void sup_priv_narrow(void);

/** Open files that one process needs at the most, from the configuration; the supervisor's own need is less. */
uint64_t sup_priv_nofile_need(const struct om_conf *conf);
/**
 * Raise RLIMIT_NOFILE (soft, and hard where we may) to `need`.
 * @param ret_have  the soft limit afterwards
 * @return 0; -OBJM_STATUS_LIMIT_EXCEEDED: less than `need`, *ret_have says what there is, errno why
 */
int sup_priv_nofile(uint64_t need, uint64_t *ret_have) OM_MUST_USE;

#endif
