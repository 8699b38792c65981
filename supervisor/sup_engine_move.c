/*
 * sup_engine_move.c: objects that go to another tier (HOME) and cached copies of them (COPY). Publisher's thread.
 *
 * The lifecycle process carries the bytes; here is what makes a move true:
 *
 *   BEGIN   the version stands and may go there: room is reserved, the intent is durable           (struct sup_move)
 *   COMMIT  an op of the key: the target's record, made of the one that stands; then the cached copy's and the source's
 *           are deleted; the index names the new place; the files that lost their records are removed
 *
 * A crash leaves, by step:
 *   before the target's commit   the intent: the target's file is removed when the next start has read the catalogs
 *   after it                     two records of one version: the same one wins everywhere (idx_cat_rec_wins), the other goes
 * Between BEGIN and COMMIT the key is free: clients read, replace and delete it; the move then ends with
 * PRECONDITION_FAILED. The name of the target's file is the same id again, so a move waits until an older removal of that
 * name is forgotten (sup_reap_wanted).
 */
#include "common/om_fault.h"
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_now.h"
#include "supervisor/sup_engine_owner.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_room.h"

static struct sup_move **move_slot(struct sup_engine *e, uint64_t id)
{
	struct sup_move **p = &e->moves[id % SUP_MOVE_BUCKETS];

	while (*p && (*p)->id != id)
		p = &(*p)->hnext;
	return p;
}

bool sup_move_to(const struct sup_engine *e, const struct sup_tier *t, uint64_t id)
{
	for (const struct sup_move *m = e->moves[id % SUP_MOVE_BUCKETS]; m; m = m->hnext)
		if (m->id == id)
			return m->to == t;
	return false;
}

bool sup_move_names(const struct sup_engine *e, const struct sup_tier *t)
{
	for (unsigned i = 0; i < SUP_MOVE_BUCKETS; i++)
		for (const struct sup_move *m = e->moves[i]; m; m = m->hnext)
			if (m->from == t || m->to == t)
				return true;
	return false;
}

static void set_state(struct sup_engine *e, struct sup_move *m, enum sup_move_state state)
{
	e->n_copying += (state == SUP_MOVE_OPEN) - (m->state == SUP_MOVE_OPEN);
	m->state = (uint8_t)state;
}

static void move_free(struct sup_engine *e, struct sup_move *m)
{
	struct sup_move **p = move_slot(e, m->id);

	set_state(e, m, SUP_MOVE_COMMIT); /* it is not being copied any more */
	OM_ASSERT(*p == m);
	*p = m->hnext;
	e->n_moves--;
	sup_room_give(e, m->to, sup_room_of(m->size));
	sup_owner_move_end(e, m);
	free(m);
}

/* The move ends without a record: its file, if there is one, goes; the intent is forgotten after it. */
static void give_up(struct sup_engine *e, struct sup_move *m)
{
	sup_reap_add(e, m->to, m->id, m->size, SUP_RM_PENDING);
	move_free(e, m);
}

/* ---- may it be? ---- */

static int target_fit(const struct sup_tier *t)
{
	switch (sup_tier_state(t)) {
	case OM_TIERS_READY:
		return 0;
	case OM_TIERS_READONLY:
		return -OBJM_STATUS_READ_ONLY;
	default:
		return -OBJM_STATUS_UNAVAILABLE;
	}
}

static int source_fit(const struct sup_tier *t, uint8_t kind)
{
	int state = sup_tier_state(t);

	if (kind == OM_MOVE_HOME && atomic_load(&t->frozen))
		return -OBJM_STATUS_READ_ONLY; /* its record could not be taken away */

	return t->cat && (state == OM_TIERS_READY || state == OM_TIERS_READONLY) ? 0 : -OBJM_STATUS_UNAVAILABLE;
}

/* Does this kind of object go to this kind of tier? Asked when the move is begun and when it is committed. */
static int kind_fit(const struct idx_ent *cur, const struct sup_tier *from, const struct sup_tier *to, uint8_t kind)
{
	if (from == to || (cur->flags & OM_OBJ_PINNED))
		return -OBJM_STATUS_INVALID_REQUEST;
	if ((cur->flags & OM_OBJ_EPHEMERAL) && !(to->is_volatile && (atomic_load(&to->flags) & OM_TIERF_EPHEMERAL)))
		return -OBJM_STATUS_INVALID_REQUEST;
	if (kind == OM_MOVE_COPY) /* a copy of what is in memory already is of no use, and would outlive nothing */
		return to->is_volatile && !from->is_volatile ? 0 : -OBJM_STATUS_INVALID_REQUEST;
	/* the home of what must outlive a reboot is never memory */
	return to->is_volatile && !(cur->flags & OM_OBJ_EPHEMERAL) ? -OBJM_STATUS_INVALID_REQUEST : 0;
}

/* Is this version where the move supposes it? */
static int version_fit(const struct idx_ent *cur, uint64_t id, uint32_t rev, const struct sup_tier *from, uint8_t kind)
{
	if (cur->id != id || cur->rev != rev || cur->home != from->no)
		return -OBJM_STATUS_PRECONDITION_FAILED;
	if (kind == OM_MOVE_COPY && cur->tier != cur->home)
		return -OBJM_STATUS_PRECONDITION_FAILED; /* one copy is enough: this one goes first */
	return 0;
}

static int begin_fit(struct sup_engine *e, const struct om_op_move *m, const struct idx_key *ikey, const struct idx_ent *cur)
{
	struct sup_tier *from = sup_msg_tier(e, m->from), *to = sup_msg_tier(e, m->to);
	struct sup_key *key = sup_key_find(e, ikey, false);
	const struct sup_child *lcy = &e->child[SUP_CHILD_LIFECYCLE];
	int err;

	if (!from || !to)
		return -OBJM_STATUS_INVALID_REQUEST;
	if ((err = version_fit(cur, m->id, m->rev, from, m->kind)) < 0 || (err = kind_fit(cur, from, to, m->kind)) < 0 ||
	    (err = target_fit(to)) < 0 || (err = sup_tier_known_to(to, lcy) ? 0 : -OBJM_STATUS_UNAVAILABLE) < 0 || (err = source_fit(from, m->kind)) < 0)
		return err;
	if ((key && sup_key_busy(key)) || *move_slot(e, m->id) || e->n_moves >= SUP_MOVES_MAX || e->stale_asked ||
	    (atomic_load(&e->tombs_apply) && atomic_load(&to->has_tombs)) || /* readers would leave it out there */
	    sup_reap_wanted(e, to, m->id))
		return -OBJM_STATUS_TRY_AGAIN;
	return sup_room_fits(e, to, sup_room_of(cur->size), false) ? 0 : -OBJM_STATUS_NO_SPACE;
}

/* ---- messages ---- */

static bool shape_ok(const struct om_op_move *m, size_t len)
{
	return len == sizeof(*m) + m->uri_len && om_uri_valid(m + 1, m->uri_len) && m->kind < OM_MOVE_KINDS && m->id;
}

bool sup_move_take_begin(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_move *m = msg;
	struct sup_engine *e = c->e;
	struct idx_key ikey;
	struct idx_ent cur;

	if (!shape_ok(m, len))
		return sup_msg_broken(c, "bad MOVE_BEGIN");
	atomic_store(&e->gently, m->gently != 0);
	idx_key_make(sup_engine_secret(e), m + 1, m->uri_len, &ikey);
	if (!e->fill_done) { /* where it lies is not known yet */
		sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_TRY_AGAIN);
		return true;
	}
	bool have = sup_pub_current(e, &ikey, &cur) == 0;
	int err = have ? begin_fit(e, m, &ikey, &cur) : -OBJM_STATUS_PRECONDITION_FAILED;
	struct sup_move *move = err == 0 ? calloc(1, sizeof(*move)) : NULL;
	struct sup_op *op = move ? sup_op_new(SUP_OP_INTENT, NULL) : NULL;
	if (err == 0 && !op)
		err = -OBJM_STATUS_OUT_OF_MEMORY;
	if (err < 0) {
		free(move);
		sup_pub_verdict(e, c->place, c->child->serial, m->hdr.req, err, 0, 0, have ? cur.id : 0, have ? cur.rev : 0);
		return true;
	}
	*move = (struct sup_move){
		.from = sup_msg_tier(e, m->from), .to = sup_msg_tier(e, m->to), .ikey = ikey, .id = m->id, .size = cur.size,
		.rev = m->rev, .serial = c->child->serial, .kind = m->kind, .state = SUP_MOVE_INTENT,
	};
	*move_slot(e, move->id) = move;
	e->n_moves++;
	sup_room_take(e, move->to, sup_room_of(move->size));
	op->place = c->place;
	op->serial = c->child->serial;
	op->req = m->hdr.req;
	op->move = move;
	op->rec.id = move->id;
	sup_op_add_stage(op, move->to, SUP_ACT_INTENT, false);
	sup_op_submit(e, op);
	return true;
}

/* The move that a message is about; NULL: there is none like it any more. */
static struct sup_move *move_of(struct sup_msg *c, const struct om_op_move *m)
{
	struct sup_move *move = *move_slot(c->e, m->id);
	struct idx_key ikey;

	idx_key_make(sup_engine_secret(c->e), m + 1, m->uri_len, &ikey);
	bool same = move && move->state == SUP_MOVE_OPEN && move->serial == c->child->serial && move->rev == m->rev &&
		    move->from->no == m->from && move->to->no == m->to && move->kind == m->kind && idx_key_equal(&move->ikey, &ikey);
	return same ? move : NULL;
}

bool sup_move_take_commit(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_move *m = msg;
	struct sup_engine *e = c->e;

	if (!shape_ok(m, len))
		return sup_msg_broken(c, "bad MOVE_COMMIT");
	atomic_store(&e->gently, m->gently != 0);
	struct sup_move *move = move_of(c, m);
	if (!move)
		return sup_msg_broken(c, "MOVE_COMMIT without its MOVE_BEGIN");
	if (!sup_tier_known_to(move->to, c->child)) { /* the tier went and came back meanwhile: the copy lies elsewhere */
		sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_UNAVAILABLE);
		give_up(e, move);
		return true;
	}
	struct om_rec rec = { .id = m->id, .rev = m->rev, .size = move->size, .tier = move->to->no, .home = move->to->no,
			      .uri = (const char *)(m + 1), .uri_len = m->uri_len };
	struct sup_op *op = sup_op_new(SUP_OP_MOVE, &rec);
	struct sup_key *key = op ? sup_key_find(e, &move->ikey, true) : NULL;
	if (!key || key->n_wait >= SUP_KEY_WAIT_MAX) {
		free(op);
		sup_msg_answer(c, m->hdr.req, key ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY);
		give_up(e, move);
		return true;
	}
	set_state(e, move, SUP_MOVE_COMMIT);
	op->place = c->place;
	op->serial = c->child->serial;
	op->req = m->hdr.req;
	op->ikey = move->ikey;
	op->key = key;
	op->move = move;
	sup_op_submit(e, op);
	return true;
}

bool sup_move_take_abort(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_move *m = msg;

	if (!shape_ok(m, len))
		return sup_msg_broken(c, "bad MOVE_ABORT");
	struct sup_move *move = move_of(c, m);
	if (!move)
		return sup_msg_broken(c, "MOVE_ABORT without its MOVE_BEGIN");
	give_up(c->e, move);
	return true;
}

void sup_move_lost(struct sup_engine *e)
{
	for (unsigned i = 0; i < SUP_MOVE_BUCKETS; i++)
		for (struct sup_move *m = e->moves[i], *next; m; m = next) {
			next = m->hnext;
			if (m->state == SUP_MOVE_OPEN)
				give_up(e, m);
			else
				m->lost = true; /* its op ends it */
		}
}

void sup_move_free(struct sup_engine *e)
{
	for (unsigned i = 0; i < SUP_MOVE_BUCKETS; i++)
		while (e->moves[i]) {
			struct sup_move *m = e->moves[i];
			e->moves[i] = m->hnext;
			free(m);
		}
}

/* ---- the ops ---- */

void sup_move_end_intent(struct sup_engine *e, struct sup_op *op)
{
	struct sup_move *m = op->move;

	int injected = om_fault(OM_FAULT_SUP_MOVE_INTENT);

	set_state(e, m, SUP_MOVE_OPEN);
	if (op->status < 0) {
		move_free(e, m);
	} else if (m->lost || injected) { /* the intent is durable: it ends as that of a move that was given up */
		give_up(e, m);
		op->status = injected ? -om_status_errno(injected) : 0;
	}
	sup_pub_verdict(e, op->place, op->serial, op->req, op->status, op->status ? 0 : op->rec.id, 0, 0, 0);
}

bool sup_move_plan(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	struct sup_move *m = op->move;

	if (cur && !sup_expired(cur->expiry_s))
		op->status = version_fit(cur, m->id, m->rev, m->from, m->kind);
	else
		op->status = -OBJM_STATUS_PRECONDITION_FAILED;
	if (op->status == 0)
		op->status = kind_fit(cur, m->from, m->to, m->kind);
	if (op->status == 0)
		op->status = target_fit(m->to);
	if (op->status == 0)
		op->status = source_fit(m->from, m->kind);
	if (op->status < 0)
		return false;
	if (m->kind == OM_MOVE_COPY)
		op->rec.home = m->from->no;
	sup_op_add_stage(op, m->to, SUP_ACT_MOVE, false);
	if (m->kind == OM_MOVE_HOME) {
		sup_op_plan_copy(e, op, cur);
		sup_op_add_stage(op, m->from, SUP_ACT_DEL, true);
	}
	return true;
}

/* True if the stage that deletes this tier's record is done. */
static bool deleted_on(const struct sup_op *op, uint8_t no)
{
	for (unsigned i = 1; i < OM_MIN(op->stage, op->n_stages); i++)
		if (op->stages[i].tier->no == no)
			return true;
	return false;
}

int sup_move_publish(struct sup_engine *e, struct sup_op *op)
{
	const struct sup_move *m = op->move;
	struct idx_ent cur;

	if (!OM_CHECK(idxw_get(e->index, &op->ikey, &cur, NULL) == 0 && cur.id == m->id))
		return 0; /* nothing else may change a key while an op of it runs */
	if (m->kind == OM_MOVE_COPY) {
		cur.tier = m->to->no;
	} else {
		if (cur.tier == cur.home || deleted_on(op, cur.tier))
			cur.tier = m->to->no; /* else the copy's record could not be deleted: it goes on serving */
		cur.home = m->to->no;
	}
	int err = sup_index_put(e, &op->ikey, &cur);
	if (err == 0)
		sup_op_note(op, OM_CHANGE_MOVED, &cur);
	return err;
}

void sup_move_end(struct sup_engine *e, struct sup_op *op)
{
	if (op->status < 0)
		give_up(e, op->move);
	else
		move_free(e, op->move);
	sup_pub_verdict(e, op->place, op->serial, op->req, op->status, op->status ? 0 : op->rec.id, op->rec.rev, 0, 0);
}
