/*
 * sup_engine_reap.h: files to be removed. Publisher.
 */
#ifndef SUP_ENGINE_REAP_H
#define SUP_ENGINE_REAP_H

#include "supervisor/sup_engine_int.h"

void sup_reap_add(struct sup_engine *e, struct sup_tier *t, uint64_t id, uint64_t size, enum sup_removal_kind kind);
/* Is the file of (t, id) to be removed, or its removal not yet forgotten? Then its name must not be used. */
bool sup_reap_busy(const struct sup_engine *e, const struct sup_tier *t, uint64_t id);
/* The same, for who wants to use the name: what can be done to have it free soon is done. */
bool sup_reap_wanted(struct sup_engine *e, const struct sup_tier *t, uint64_t id);
/* From now on, until it is taken back: what sup_reap_busy() says of a removal. */
void sup_reap_busy_add(struct sup_engine *e, struct sup_removal *r);
void sup_reap_busy_del(struct sup_engine *e, const struct sup_removal *r);
void sup_reap_push(struct sup_engine *e, struct sup_removal *r); /* it waits for the lifecycle process */
void sup_reap_pump(struct sup_engine *e);
void sup_reap_done(struct sup_engine *e, struct sup_tier *t, uint64_t id, int status);
/* Another lifecycle process: removals that the last one could not do. */
void sup_reap_again(struct sup_engine *e);
void sup_reap_lost(struct sup_engine *e); /* the lifecycle process died */
/* Is a removal of this tier at the lifecycle process? And: the tier is forgotten, with all removals of it that are not. */
bool sup_reap_flies(const struct sup_engine *e, const struct sup_tier *t);
void sup_reap_forget(struct sup_engine *e, struct sup_tier *t);
void sup_reap_free(struct sup_engine *e);

#endif
