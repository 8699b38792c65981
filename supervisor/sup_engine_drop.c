/*
 * sup_engine_drop.c: what goes without a client's delete: cached copies, expired and evictable objects (DROP), and records
 * whose file is not there (GONE). Publisher's thread.
 *
 * The publisher judges by the index when it plans; the committer judges again by the record, in the transaction that deletes it
 * (sup_engine_commit.c). Nothing here removes an only copy that is neither EVICTABLE nor expired nor gone already.
 */
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_now.h"
#include "supervisor/sup_engine_room.h"

/* An op of the key, answered to who sent `c`; NULL: answered already. */
static struct sup_op *op_for(struct sup_msg *c, enum sup_op_kind kind, const struct om_rec *rec, uint64_t req)
{
	struct sup_op *op = sup_op_new(kind, rec);

	if (op)
		idx_key_make(sup_engine_secret(c->e), rec->uri, rec->uri_len, &op->ikey);
	struct sup_key *key = op ? sup_key_find(c->e, &op->ikey, true) : NULL;
	if (!key || key->n_wait >= SUP_KEY_WAIT_MAX) {
		free(op);
		sup_msg_answer(c, req, key ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY);
		return NULL;
	}
	op->place = c->place;
	op->serial = c->child->serial;
	op->req = req;
	op->key = key;
	return op;
}

bool sup_drop_take(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_drop *m = msg;
	struct om_rec rec = { .uri = (const char *)(m + 1), .uri_len = m->uri_len, .id = m->id, .rev = m->rev, .tier = m->tier };

	if (len != sizeof(*m) + m->uri_len || !om_uri_valid(m + 1, m->uri_len) || m->why >= OM_DROP_WHYS || !m->id)
		return sup_msg_broken(c, "bad DROP");
	if (!c->e->fill_done || c->e->stale_asked) { /* where it lies is not known yet */
		sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_TRY_AGAIN);
		return true;
	}
	struct sup_op *op = op_for(c, SUP_OP_DROP, &rec, m->hdr.req);
	if (op) {
		op->why = m->why;
		sup_op_submit(c->e, op);
	}
	return true;
}

bool sup_gone_take(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_gone *m = msg;
	struct om_rec rec = { .uri = (const char *)(m + 1), .uri_len = m->uri_len, .id = m->id, .tier = m->tier };

	if (len != sizeof(*m) + m->uri_len || !om_uri_valid(m + 1, m->uri_len) || !m->id)
		return sup_msg_broken(c, "bad GONE");
	if (!c->e->fill_done) {
		sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_TRY_AGAIN);
		return true;
	}
	struct sup_op *op = op_for(c, SUP_OP_GONE, &rec, m->hdr.req);
	if (op)
		sup_op_submit(c->e, op);
	return true;
}

/* ---- planning ---- */

static int plan_drop_copy(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	struct sup_tier *home = sup_msg_tier(e, cur->home);

	if (cur->tier != op->rec.tier || cur->tier == cur->home || (cur->flags & OM_OBJ_PINNED))
		return -OBJM_STATUS_INVALID_REQUEST;
	/* while its home cannot be read the copy is all there is */
	if (!home || !home->cat || sup_tier_state(home) == OM_TIERS_FAILED)
		return -OBJM_STATUS_UNAVAILABLE;
	op->home = home;
	sup_op_plan_copy(e, op, cur);
	return 0;
}

static int plan_drop(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	if (op->why == OM_DROP_COPY)
		return plan_drop_copy(e, op, cur);
	if (op->why == OM_DROP_EXPIRED && !sup_expired(cur->expiry_s))
		return -OBJM_STATUS_INVALID_REQUEST;
	if (op->why == OM_DROP_EVICT &&
	    (!(cur->flags & OM_OBJ_EVICTABLE) || (cur->flags & OM_OBJ_PINNED) || cur->home != op->rec.tier))
		return -OBJM_STATUS_INVALID_REQUEST;
	const struct sup_tier *home = sup_msg_tier(e, cur->home);
	if (home && atomic_load(&home->frozen)) /* that would make no room */
		return -OBJM_STATUS_READ_ONLY;
	sup_op_plan_deletes(e, op, cur, NULL);
	sup_op_plan_tombs(e, op);
	return op->n_stages ? 0 : -OBJM_STATUS_UNAVAILABLE;
}

/* A record whose file is missing goes only if the tier is what it was: an export that shows nothing is not an empty tier. */
static int plan_gone(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	struct sup_tier *t = sup_msg_tier(e, op->rec.tier);

	if (!t || !t->cat || sup_tier_state(t) == OM_TIERS_FAILED || atomic_load(&t->frozen))
		return -OBJM_STATUS_UNAVAILABLE;
	op->rec.rev = cur->rev;
	op->home = cur->home != cur->tier ? sup_msg_tier(e, cur->home) : NULL;
	sup_op_add_stage(op, t, SUP_ACT_GONE, true);
	return 0;
}

bool sup_drop_plan(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	bool gone = op->kind == SUP_OP_GONE;

	if (!cur || cur->id != op->rec.id || (op->rec.rev && cur->rev != op->rec.rev) || (gone && cur->tier != op->rec.tier)) {
		/* GONE: the slot has changed meanwhile: the child looks at it again */
		op->status = gone ? 0 : -OBJM_STATUS_PRECONDITION_FAILED;
		op->n_stages = 0;
		return false;
	}
	op->status = gone ? plan_gone(e, op, cur) : plan_drop(e, op, cur);
	return op->status == 0;
}

/* ---- the end ---- */

/* The copy has gone and the home stands: the home serves. Else nothing is left. */
int sup_drop_publish(struct sup_engine *e, struct sup_op *op)
{
	bool copy = op->kind == SUP_OP_GONE ? op->home != NULL : op->why == OM_DROP_COPY;
	struct idx_ent cur;
	int err;

	if (!op->n_stages || !OM_CHECK(idxw_get(e->index, &op->ikey, &cur, NULL) == 0 && cur.id == op->rec.id))
		return 0;
	if (copy) {
		cur.tier = cur.home;
		err = sup_index_put(e, &op->ikey, &cur);
	} else {
		err = sup_index_del(e, &op->ikey);
	}
	if (err == 0)
		sup_op_note(op, copy ? OM_CHANGE_MOVED : OM_CHANGE_DELETE, &cur);
	return err;
}

void sup_drop_end(struct sup_engine *e, struct sup_op *op)
{
	int status = op->status;

	if (op->kind == SUP_OP_GONE && status == 0 && op->n_stages) {
		const struct sup_tier *t = op->stages[0].tier;
		if (op->home)
			om_log(OM_MSG_FILE_GONE, "tier %s: the file of the copy of object %llu is not there: its home on tier %s serves it",
			       t->conf->name, (unsigned long long)op->rec.id, op->home->conf->name);
		else
			om_log(OM_MSG_FILE_GONE, "tier %s: the file of object %llu (\"%.*s\") is not there and no other copy is: the object is "
			       "lost", t->conf->name, (unsigned long long)op->rec.id, (int)op->rec.uri_len, op->rec.uri);
		status = op->home ? 0 : -OBJM_STATUS_NOT_FOUND;
	}
	sup_pub_verdict(e, op->place, op->serial, op->req, status, status ? 0 : op->rec.id, op->rec.rev, 0, 0);
}
