/*
 * sup_engine_settle.c: removals that are done: their records are dropped, a batch of a tier at a time. Publisher's thread.
 */
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_room.h"
#include "supervisor/sup_engine_settle.h"

/* One SETTLE op for the removals of one tier that are done. */
void sup_settle_tier(struct sup_engine *e, struct sup_tier *t, bool complete)
{
	struct sup_op *op = sup_op_new(SUP_OP_SETTLE, NULL);
	uint64_t *ids = op ? malloc(sizeof(*ids) * (e->n_settle + 1)) : NULL;

	if (!ids) {
		free(op);
		return; /* tried again at the next turn */
	}
	for (struct sup_removal **p = &e->settle; *p;) {
		struct sup_removal *r = *p;
		if (r->tier != t || op->n_ids == SUP_BATCH_MAX) {
			p = &r->next;
			continue;
		}
		ids[op->n_ids++] = r->id;
		*p = r->next;
		e->n_settle--;
		sup_reap_busy_del(e, r); /* whatever names this file from now on comes to the committer behind this op */
		free(r);
	}
	op->ids = ids;
	op->complete = complete;
	op->stages[op->n_stages++] = (struct sup_stage){ .tier = t, .act = SUP_ACT_SETTLE };
	sup_op_submit(e, op);
}

/* Drop the records of removals that are done: in batches, at most SUP_SETTLE_MS behind. */
void sup_settle_due(struct sup_engine *e, bool now)
{
	if (!e->n_settle)
		return;
	uint64_t wait_ms = e->settle_wanted ? SUP_SETTLE_WANTED_MS : SUP_SETTLE_MS;
	if (!now && e->n_settle < SUP_BATCH_MAX && om_coarse_ns() - e->settle_since_ns < wait_ms * UINT64_C(1000000))
		return;
	e->settle_wanted = false;
	e->settle_since_ns = 0;
	for (unsigned i = 0; i < e->n_tiers && e->n_settle; i++) {
		struct sup_tier *t = &e->tiers[i];
		bool any = false;
		for (const struct sup_removal *r = e->settle; r && !any; r = r->next)
			any = r->tier == t;
		if (any && t->cat && !t->away)
			sup_settle_tier(e, t, false);
	}
	if (e->n_settle)
		e->settle_since_ns = om_coarse_ns();
}

void sup_settle_end(struct sup_engine *e, struct sup_op *op)
{
	struct sup_tier *t = op->stages[0].tier;

	if (!op->complete)
		return;
	if (op->status < 0) {
		om_log(OM_MSG_CATALOG, "tier %s: the end of the rebuild could not be recorded: %s", t->conf->name,
		       om_status_text(op->status));
		return;
	}
	t->owes_rebuild = false;
	if (t->verify) /* and records whose file was not found */
		sup_tierd_order(e, SUP_ORDER_VERIFY, t, false, 0);
	t->verify = false;
	if (sup_tier_state(t) == OM_TIERS_REBUILDING)
		atomic_store(&t->state, sup_tier_writable(t) ? OM_TIERS_READY : OM_TIERS_READONLY);
	om_log(OM_MSG_REBUILT, "tier %s: catalog made again, %llu objects", t->conf->name,
	       (unsigned long long)atomic_load(&t->objects));
	sup_pub_rows(e, t);
}
