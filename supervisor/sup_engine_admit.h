/*
 * sup_engine_admit.h: limits that hold over all workers. Publisher, but for what is the main loop's. OM_ADMIT_OK: it counts until it leaves.
 */
#ifndef SUP_ENGINE_ADMIT_H
#define SUP_ENGINE_ADMIT_H

#include "supervisor/sup_engine_int.h"

int sup_admit_new(struct sup_admit **ret) OM_MUST_USE;
void sup_admit_free(struct sup_admit *a);
/* The limits in force from now on; main loop. */
void sup_admit_conf(struct sup_engine *e, const struct om_conf *conf);
void sup_admit_gone(struct sup_engine *e, uint32_t place); /* the child died */
bool sup_admit_take(struct sup_msg *c, const void *msg, size_t len);
bool sup_admit_take_leave(struct sup_msg *c, const void *msg, size_t len);

#endif
