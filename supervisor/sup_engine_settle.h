/*
 * sup_engine_settle.h: removals that are done: their records go. Publisher.
 */
#ifndef SUP_ENGINE_SETTLE_H
#define SUP_ENGINE_SETTLE_H

#include "supervisor/sup_engine_int.h"

/* One SETTLE for those of one tier; complete: and its catalog is whole. */
void sup_settle_tier(struct sup_engine *e, struct sup_tier *t, bool complete);
/* For all that are due, at most SUP_SETTLE_MS behind; now: for all. */
void sup_settle_due(struct sup_engine *e, bool now);
void sup_settle_end(struct sup_engine *e, struct sup_op *op);

#endif
