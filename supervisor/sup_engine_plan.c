/*
 * sup_engine_plan.c: the stages of a change: on which tiers records are made and deleted, in which order, and where a tombstone has to
 * do. Publisher's thread. Planned when nothing else of the key runs, by what the index says then; what cannot be known from it (it is
 * being built, a tier is absent, or something is left over on one) is asked of every catalog that there is.
 */
#include "supervisor/sup_engine_now.h"

void sup_op_add_stage(struct sup_op *op, struct sup_tier *t, enum sup_act act, bool expect)
{
	OM_ASSERT(op->n_stages < SUP_STAGES_MAX);
	op->stages[op->n_stages++] = (struct sup_stage){ .tier = t, .act = act, .expect = expect };
}

static bool holds_records(const struct sup_tier *t) { return t->cat != NULL && !t->away; }

/* A tier that takes no changes and holds nothing of the key but what may be left over: a tombstone does it. */
static bool left_alone(const struct sup_tier *t, const struct idx_ent *prev)
{
	return t->dirty && sup_tier_state(t) == OM_TIERS_FAILED && !(prev && (prev->tier == t->no || prev->home == t->no));
}

/* Does the index know exactly where the key's records are? */
static bool index_exact(const struct sup_engine *e)
{
	if (!e->fill_done || sup_pub_blind(e))
		return false;
	for (unsigned i = 0; i < e->n_tiers; i++)
		if (e->tiers[i].dirty)
			return false;
	return true;
}

void sup_op_plan_copy(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	struct sup_tier *t = e->tier_by_no[cur->tier];

	if (cur->tier != cur->home && t && holds_records(t))
		sup_op_add_stage(op, t, SUP_ACT_DEL, true);
}

void sup_op_plan_deletes(struct sup_engine *e, struct sup_op *op, const struct idx_ent *prev, const struct sup_tier *but)
{
	if (prev && index_exact(e)) {
		struct sup_tier *serve = e->tier_by_no[prev->tier];
		struct sup_tier *home = prev->home < OM_TIERS_MAX ? e->tier_by_no[prev->home] : NULL;
		if (serve && serve != but && serve != home && holds_records(serve))
			sup_op_add_stage(op, serve, SUP_ACT_DEL, true);
		if (home && home != but && holds_records(home))
			sup_op_add_stage(op, home, SUP_ACT_DEL, true);
		return;
	}
	if (!prev && index_exact(e))
		return;
	for (int persistent = 0; persistent < 2; persistent++)
		for (unsigned i = 0; i < e->n_tiers; i++) {
			struct sup_tier *t = &e->tiers[i];
			if (t != but && holds_records(t) && t->is_volatile == !persistent && !left_alone(t, prev))
				sup_op_add_stage(op, t, SUP_ACT_DEL, false);
		}
}

/* What goes from the copy of a read-only tier's catalog must go from its own, too. */
static bool leaves_frozen(const struct sup_op *op, const struct sup_tier *t)
{
	for (unsigned i = 0; i < op->n_stages && atomic_load(&t->frozen); i++)
		if (op->stages[i].tier == t && op->stages[i].act == SUP_ACT_DEL)
			return true;
	return false;
}

/* They are told when they come back, or can be written again. */
void sup_op_plan_tombs(struct sup_engine *e, struct sup_op *op)
{
	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		if (!t->hides && !t->away && !(holds_records(t) && (t->owes_rebuild || t->dirty)) && !leaves_frozen(op, t))
			continue;
		op->tombs |= 1u << i;
		atomic_store(&t->has_tombs, true);
		atomic_store(&t->tombs_idle, false); /* before it can be recorded: who clears them looks at this */
	}
	op->tomb_id = op->kind == SUP_OP_PUT ? op->rec.id - 1 : op->kind == SUP_OP_STALE ? op->rec.id : e->id_next - 1;
	if (op->tombs && !op->tomb_counted) { /* a tier that comes back reads its tombstones when these have been recorded */
		op->tomb_counted = true;
		op->tomb_epoch = e->epoch & 1;
		e->tomb_ops[op->tomb_epoch]++;
	}
}

struct sup_tier *sup_op_any_tier(struct sup_engine *e)
{
	for (unsigned i = 0; i < e->n_tiers; i++)
		if (holds_records(&e->tiers[i]))
			return &e->tiers[i];
	return NULL;
}

/* The same version, and neither its home nor its copy is on the record's tier. */
static bool elsewhere(const struct idx_ent *cur, const struct om_rec *rec)
{
	return cur->id == rec->id && cur->tier != rec->tier && cur->home != rec->tier;
}

/* The home of what is replaced, where the index is sure of it and it is not on the tier that gets the new record. */
static struct sup_tier *stands_elsewhere(const struct sup_engine *e, const struct idx_ent *cur, const struct sup_tier *t)
{
	struct sup_tier *home = cur->home < OM_TIERS_MAX ? e->tier_by_no[cur->home] : NULL;

	return home && home != t && cur->tier != t->no && index_exact(e) && holds_records(home) ? home : NULL;
}

bool sup_plan_put(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	struct sup_tier *t = e->tier_by_no[op->rec.tier];

	if (cur && cur->id > op->rec.id) {
		op->superseded = true;
		return false;
	}
	sup_op_add_stage(op, t, SUP_ACT_PUT, cur && e->fill_done && (cur->tier == t->no || cur->home == t->no));
	op->home = cur ? stands_elsewhere(e, cur, t) : NULL;
	sup_op_plan_deletes(e, op, cur, t);
	sup_op_plan_tombs(e, op);
	if (op->tombs) /* not before the record: a put that comes to nothing must not take away what it was to replace */
		sup_op_add_stage(op, t, SUP_ACT_TOMB, false);
	return true;
}

bool sup_plan_delete(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	if (!cur && index_exact(e)) {
		op->status = -OBJM_STATUS_NOT_FOUND;
		return false;
	}
	sup_op_plan_deletes(e, op, cur, NULL);
	sup_op_plan_tombs(e, op);
	if (op->n_stages > 0)
		return true;
	if (!op->tombs || !sup_op_any_tier(e)) {
		op->status = -OBJM_STATUS_UNAVAILABLE;
		return false;
	}
	sup_op_add_stage(op, sup_op_any_tier(e), SUP_ACT_TOMB, false);
	return true;
}

bool sup_plan_found(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	sup_op_add_stage(op, e->tier_by_no[op->rec.tier], SUP_ACT_FOUND, false);
	/* a newer record of the URI stands, here or on another tier, or this one elsewhere: the file is a leftover */
	if (cur && (cur->id > op->rec.id || elsewhere(cur, &op->rec)))
		op->superseded = true;
	return true;
}

bool sup_plan_stale(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	struct sup_tier *t = e->tier_by_no[op->rec.tier];

	if (!op->dead && !(cur && (cur->id > op->rec.id || elsewhere(cur, &op->rec))))
		return false; /* it has gone meanwhile */
	sup_op_add_stage(op, t, SUP_ACT_DEL, false);
	if (leaves_frozen(op, t))
		sup_op_plan_tombs(e, op);
	return true;
}
