/*
 * sup_engine_watch.h: changes as they are published, and who is told of them. Publisher.
 */
#ifndef SUP_ENGINE_WATCH_H
#define SUP_ENGINE_WATCH_H

#include "supervisor/sup_engine_int.h"

/* A change was published: the one place through which all of them come, in the order of publication, before the one who asked is
 * answered. op->rec has the URI; `ent` is op->ent. */
void sup_watch_note(struct sup_engine *e, const struct sup_op *op, enum om_change change, const struct idx_ent *ent);
int sup_watch_new(struct sup_watch **ret) OM_MUST_USE;
void sup_watch_free(struct sup_watch *w);
bool sup_watch_take(struct sup_msg *c, const void *msg, size_t len);
/* There are changes that the child wants and has not got. */
bool sup_watch_behind(const struct sup_engine *e, const struct sup_child *c);
/* Every turn, after the answers. True: more can be given at once. */
bool sup_watch_pump(struct sup_engine *e);

#endif
