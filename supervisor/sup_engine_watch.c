/*
 * sup_engine_watch.c: changes told to those who watch. Publisher's thread.
 */
#include "supervisor/sup_engine_int.h"

void sup_watch_note(struct sup_engine *e, const struct sup_op *op, enum om_change change, const struct idx_ent *ent)
{
	(void)e;
	(void)op;
	(void)change;
	(void)ent;
}
