/*
 * sup_engine_fill.h: rows of the catalogs into the index. Publisher.
 */
#ifndef SUP_ENGINE_FILL_H
#define SUP_ENGINE_FILL_H

#include "supervisor/sup_engine_int.h"

/* Rows have come: they wait for their turn (publisher; takes them). Nothing that is asked of the publisher waits behind them: whatever
 * order rows and changes of a key come in, idxw_fill() lets the change stand. */
void sup_fill_later(struct sup_engine *e, struct sup_fill *f);
/* Puts the rows that came first into the index. False: there are none. Publisher. */
bool sup_fill_turn(struct sup_engine *e);
/* A change has ended: the rows that waited for it. */
void sup_fill_held(struct sup_engine *e, struct sup_op *op);
/* The last row is in and none is held: misses are final from now on. */
void sup_fill_end(struct sup_engine *e);

#endif
