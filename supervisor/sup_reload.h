/*
 * sup_reload.h: another configuration while serving: SIGHUP, `objmctl reload`, `objmctl set`.
 *
 * Main thread only. Reading, checking and looking names up happen on a thread of their own, since files and name services may
 * block; then everything is applied in one turn of the loop. What cannot be used changes nothing.
 *
 * Keys that a reload applies get their new values; others keep those of the start and are named in the result.
 */
#ifndef SUP_RELOAD_H
#define SUP_RELOAD_H

#include <jansson.h>

#include "common/om_base.h"

struct sup;
struct sup_reload;

/**
 * How it ended, on the main loop's thread, once.
 * @param status  0 or a negative status, then `text` says what, where and why
 * @param result  borrowed, when 0: {"applied":[{key,was,is}...],"restart":[{key,was,is}...],"warnings":[text...]}
 */
typedef void sup_reload_done_fn(void *arg, int status, const char *text, json_t *result);

/** 0 or -OBJM_STATUS_SYSTEM, errno says why. */
int sup_reload_init(struct sup *sup) OM_MUST_USE;
/** Waits for a thread that still reads. */
void sup_reload_fini(struct sup *sup);

/** Read the file again. @return 0: `done` will be called; -TRY_AGAIN: one is under way; -OUT_OF_MEMORY; -INVALID_REQUEST: the
 * daemon was started without a file. `done` may be NULL. */
int sup_reload_file(struct sup *sup, sup_reload_done_fn *done, void *arg) OM_MUST_USE;
/** Change one key; texts are copied. As sup_reload_file(). */
int sup_reload_key(struct sup *sup, const char *key, const char *value, sup_reload_done_fn *done, void *arg) OM_MUST_USE;
/** SIGHUP: read the file again; one that comes while one is under way follows it. */
void sup_reload_signal(struct sup *sup);
/** Keys that `objmctl set` has changed since the last reload, as {key: value}; borrowed. */
const json_t *sup_reload_overrides(const struct sup *sup);

#endif
