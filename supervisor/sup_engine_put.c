/*
 * sup_engine_put.c: PUT and DELETE, once they are committed: into the index, and the answer. Publisher's thread. Where they are committed is
 * planned by sup_engine_plan.c; the messages are sup_engine_msg.c's.
 */
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_room.h"

int sup_put_publish(struct sup_engine *e, struct sup_op *op)
{
	struct idx_ent ent = {
		.id = op->rec.id, .size = op->rec.size, .mtime_ns = op->rec.mtime_ns, .expiry_s = op->rec.expiry_s,
		.rev = op->rec.rev, .flags = (uint16_t)op->rec.flags, .tier = op->rec.tier, .home = op->rec.tier,
	};
	struct idx_ent cur;
	bool have = idxw_get(e->index, &op->ikey, &cur, NULL) == 0;

	if (have && cur.id > ent.id)
		return 0; /* a newer one stands */
	if (have && cur.id == ent.id && cur.home == ent.home)
		ent.tier = cur.tier; /* FOUND: the cached copy of what was found goes on serving */
	int err = sup_index_put(e, &op->ikey, &ent);
	if (err == 0 && op->kind == SUP_OP_PUT)
		sup_op_note(op, OM_CHANGE_PUT, &ent);
	return err;
}

void sup_put_end(struct sup_engine *e, struct sup_op *op)
{
	struct sup_res *res = sup_res_find(e, op->rec.id);

	/* a file without a record goes; until it has gone its id stays unsettled */
	if (op->status < 0 || op->superseded)
		sup_reap_add(e, e->tier_by_no[op->rec.tier], op->rec.id, op->rec.size, SUP_RM_UNSETTLED);
	if (res)
		sup_res_free(e, res);
	int told = op->status ? op->status : op->untold;
	sup_pub_verdict(e, op->place, op->serial, op->req, told, told ? 0 : op->rec.id, op->rec.rev, 0, 0);
}

/* The newest of what the stages of a delete have removed; id 0: nothing. */
static struct idx_ent went(const struct sup_op *op)
{
	struct idx_ent ent = { .tier = OM_TIER_NONE, .home = OM_TIER_NONE };

	for (unsigned i = 0; i < op->n_stages; i++)
		if (op->stages[i].old.id > ent.id) {
			ent.id = op->stages[i].old.id;
			ent.rev = op->stages[i].old.rev;
			ent.size = op->stages[i].old.size;
		}
	return ent;
}

int sup_delete_publish(struct sup_engine *e, struct sup_op *op)
{
	struct idx_ent cur;

	if (idxw_get(e->index, &op->ikey, &cur, NULL) < 0)
		cur = went(op); /* not in the index yet: what the catalogs say */
	int err = sup_index_del(e, &op->ikey);
	if (err == -OBJM_STATUS_NOT_FOUND)
		err = 0;
	if (cur.id && err == 0)
		sup_op_note(op, OM_CHANGE_DELETE, &cur);
	return err;
}

void sup_delete_end(struct sup_engine *e, struct sup_op *op)
{
	uint64_t id = op->prev_id;
	bool any = op->prev_id != 0 || op->tombs;

	for (unsigned i = 0; i < op->n_stages; i++)
		if (op->stages[i].old.existed) {
			any = true;
			id = OM_MAX(id, op->stages[i].old.id);
		}
	/* what has expired is gone for everybody, also for who deletes it before the lifecycle process does */
	bool expired = op->change && sup_expired(op->ent.expiry_s);
	if (!op->status && (!any || expired))
		op->status = -OBJM_STATUS_NOT_FOUND;
	sup_pub_verdict(e, op->place, op->serial, op->req, op->status, op->status ? 0 : id, 0, 0, 0);
}
