/*
 * sup_engine_life.c: what each kind of change does at the steps of its life, which are sup_engine_op.c's. Publisher's thread.
 */
#include "supervisor/sup_engine_fill.h"
#include "supervisor/sup_engine_recover.h"
#include "supervisor/sup_engine_scan.h"
#include "supervisor/sup_engine_settle.h"

static void ended(struct sup_engine *e, struct sup_op *op)
{
	sup_fill_held(e, op);
	if (op->of_back)
		sup_back_end(e, op);
	sup_fill_end(e);
}

/* SETTLE and INTENT have no key: their stage is set by who makes them. */
const struct sup_op_lives sup_op_lives = {
	.of = {
		[SUP_OP_PUT] = { .plan = sup_plan_put, .publish = sup_put_publish, .end = sup_put_end },
		[SUP_OP_DELETE] = { .plan = sup_plan_delete, .publish = sup_delete_publish, .end = sup_delete_end },
		[SUP_OP_FOUND] = { .plan = sup_plan_found, .publish = sup_scan_publish, .end = sup_scan_end },
		[SUP_OP_STALE] = { .plan = sup_plan_stale, .end = sup_recover_stale_end },
		[SUP_OP_SETTLE] = { .end = sup_settle_end },
		[SUP_OP_INTENT] = { .end = sup_move_end_intent },
		[SUP_OP_MOVE] = { .plan = sup_move_plan, .publish = sup_move_publish, .end = sup_move_end },
		[SUP_OP_DROP] = { .plan = sup_drop_plan, .publish = sup_drop_publish, .end = sup_drop_end },
		[SUP_OP_GONE] = { .plan = sup_drop_plan, .publish = sup_drop_publish, .end = sup_drop_end },
		[SUP_OP_SET] = { .begin = sup_set_begin, .publish = sup_set_publish, .end = sup_set_end },
		[SUP_OP_BACK] = { .plan = sup_back_plan, .publish = sup_back_publish },
	},
	.ended = ended,
};
