/*
 * sup_engine_apply.c: a stage of a change is applied to the transaction of its tier's catalog: what stands is looked at in the transaction
 * that changes it. Committer's thread.
 */
#include <sys/stat.h>

#include "common/om_fault.h"
#include "index/cat/idx_tier_mark.h"
#include "supervisor/sup_engine_owner.h"

/* The index says that the key stands on tier `t`, and its catalog has no record of this URI: the key is another URI's. */
static int collides(const struct sup_tier *t, const struct sup_op *op)
{
	om_log(OM_MSG_COLLISION, "tier %s: the key of \"%.*s\" is that of object %llu, whose URI is another one; refused",
	       t->conf->name, (int)op->rec.uri_len, op->rec.uri, (unsigned long long)op->prev_id);
	return -OBJM_STATUS_COLLISION;
}

/* The same of a tier that is not this batch's. What cannot be read proves nothing. */
static bool lacks(const struct sup_tier *t, const struct sup_op *op)
{
	struct idx_cat *cat = t->cat;
	struct idx_cat_snap *snap;
	struct om_rec rec;

	if (!cat || idx_cat_snap_open(cat, &snap) < 0)
		return false;
	int err = idx_cat_snap_peek(snap, op->rec.uri, op->rec.uri_len, &rec);
	idx_cat_snap_close(snap);
	return err == -OBJM_STATUS_NOT_FOUND;
}

static int apply_put(struct sup_batch *b, struct sup_op *op, struct sup_stage *s)
{
	struct om_rec have;

	/* ephemeral bytes never reach a persistent tier: idx_cat_txn_put() refuses such a record, whoever asks */
	if (s->expect && idx_cat_txn_get(b->cat, op->rec.uri, op->rec.uri_len, &have) == -OBJM_STATUS_NOT_FOUND)
		return collides(b->t, op);
	if (op->home && lacks(op->home, op))
		return collides(op->home, op);
	return idx_cat_txn_put(b->cat, &op->rec, 0, &s->old);
}

/* The new record of SET, on the tier where this stage is. */
static int apply_set(struct sup_batch *b, struct sup_op *op, struct sup_stage *s)
{
	struct om_rec rec = op->rec, have;
	int err = idx_cat_txn_get(b->cat, rec.uri, rec.uri_len, &have);

	if (err == 0 && have.id != rec.id)
		err = -OBJM_STATUS_PRECONDITION_FAILED; /* nothing else changes the key meanwhile: a copy that fell behind */
	if (err < 0)
		return err;
	rec.tier = b->t->no;
	rec.home = have.home;
	return idx_cat_txn_put(b->cat, &rec, 0, &s->old);
}

/* The record of op's URI in another tier's catalog, with this very version? 0: close the snapshot; -PRECONDITION_FAILED; -TRY_AGAIN.
 * Whatever is wrong with that catalog is nothing that this batch's tier fails for. */
static int stands_on(const struct sup_tier *t, const struct sup_op *op, struct idx_cat_snap **ret_snap, struct om_rec *ret_rec)
{
	struct idx_cat *cat = t->cat;
	int err = cat ? idx_cat_snap_open(cat, ret_snap) : -OBJM_STATUS_UNAVAILABLE;

	if (err < 0)
		return -OBJM_STATUS_TRY_AGAIN;
	err = idx_cat_snap_peek(*ret_snap, op->rec.uri, op->rec.uri_len, ret_rec);
	if (err == 0 && ret_rec->id == op->rec.id && (!op->rec.rev || ret_rec->rev == op->rec.rev))
		return 0;
	idx_cat_snap_close(*ret_snap);
	return -OBJM_STATUS_PRECONDITION_FAILED;
}

/* The target's record is the one that stands, on another tier. Nothing changes that one meanwhile: the op has the key. */
static int apply_move(struct sup_batch *b, struct sup_op *op, struct sup_stage *s)
{
	struct idx_cat_snap *snap;
	struct om_rec rec;
	int err = stands_on(op->move->from, op, &snap, &rec);
	int injected = om_fault(OM_FAULT_SUP_MOVE_COMMIT);

	if (err < 0)
		return err;
	rec.tier = op->rec.tier;
	rec.home = op->rec.home;
	op->rec.uid = rec.uid;
	err = injected ? -om_status_errno(injected) : rec.size == op->move->size ? 0 : -OBJM_STATUS_PRECONDITION_FAILED;
	if (err == 0)
		err = idx_cat_txn_put(b->cat, &rec, 0, &s->old);
	idx_cat_snap_close(snap);
	if (err == 0 && b->t->is_volatile)
		err = idx_cat_txn_removed_del(b->cat, op->rec.id); /* the intent is void */
	return err;
}

/* May the record go for the reason given? Judged by what stands, in the transaction in which it goes. */
static int drop_fit(struct sup_batch *b, struct sup_op *op)
{
	struct idx_cat_snap *snap;
	struct om_rec rec;
	int err = idx_cat_txn_get(b->cat, op->rec.uri, op->rec.uri_len, &rec);

	if (err == -OBJM_STATUS_CORRUPT || (err == 0 && rec.id != op->rec.id))
		err = -OBJM_STATUS_PRECONDITION_FAILED;
	if (err < 0)
		return err;
	switch (op->why) {
	case OM_DROP_COPY:
		if (rec.home == rec.tier)
			return -OBJM_STATUS_INVALID_REQUEST;
		err = stands_on(op->home, op, &snap, &rec);
		if (err == 0)
			idx_cat_snap_close(snap);
		return err;
	case OM_DROP_EXPIRED:
		return sup_expired(rec.expiry_s) ? 0 : -OBJM_STATUS_INVALID_REQUEST;
	default:
		return (rec.flags & OM_OBJ_EVICTABLE) && !(rec.flags & OM_OBJ_PINNED) ? 0 : -OBJM_STATUS_INVALID_REQUEST;
	}
}

/* The supervisor looks itself. On a persistent tier the marker must be there: a wrong or empty mount says nothing of a file. */
static int apply_gone(struct sup_batch *b, struct sup_op *op, struct sup_stage *s)
{
	char path[OM_OBJ_PATH_MAX];
	struct stat st;

	om_obj_path(op->rec.id, path);
	if (fstatat(b->t->objectsfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (errno != ENOENT)
		return -OBJM_STATUS_UNAVAILABLE;
	if (!b->t->is_volatile && fstatat(b->t->rootfd, IDX_TIER_MARK_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		om_log(OM_MSG_TIER_ABSENT, "tier %s (%s): files and the tier's marker are not there: its objects are left as they are: mount "
		       "it, or restart the daemon", b->t->conf->name, b->t->conf->path);
		return -OBJM_STATUS_UNAVAILABLE;
	}
	int err = idx_cat_txn_del(b->cat, op->rec.uri, op->rec.uri_len, op->rec.id, &s->old);
	return err == -OBJM_STATUS_NOT_FOUND || err == -OBJM_STATUS_PRECONDITION_FAILED ? 0 : err;
}

static int apply_del(struct sup_batch *b, struct sup_op *op, struct sup_stage *s)
{
	bool this_one = op->kind == SUP_OP_STALE || op->kind == SUP_OP_MOVE || op->kind == SUP_OP_DROP;
	uint64_t only = this_one ? op->rec.id : 0;

	if (op->kind == SUP_OP_DROP) {
		int fit = drop_fit(b, op);
		if (fit == -OBJM_STATUS_NOT_FOUND && op->why != OM_DROP_COPY)
			return 0; /* no copy, or a tier that was asked in case */
		if (fit < 0)
			return fit;
	}
	int err = idx_cat_txn_del(b->cat, op->rec.uri, op->rec.uri_len, only, &s->old);

	if (err == -OBJM_STATUS_NOT_FOUND && s->expect && op->kind == SUP_OP_DELETE)
		return err; /* what stands under the key is another URI's: it stays */
	if (err == -OBJM_STATUS_PRECONDITION_FAILED)
		s->old = (struct idx_cat_old){ 0 }; /* another record stands there now: it stays */
	return err == -OBJM_STATUS_NOT_FOUND || err == -OBJM_STATUS_PRECONDITION_FAILED ? 0 : err;
}

/* Was the file of this FOUND removed, as far as the state environment remembers? */
static int found_removed(struct sup_batch *b, struct sup_op *op)
{
	uint64_t dead;
	uint8_t key[IDX_STATE_KEY_BYTES];

	sup_tomb_key(&op->ikey, key);
	int err = idx_state_tomb_get_now(b->t->e->state, b->t->no, key, &dead);
	if (err == 0 && dead >= op->rec.id)
		return 1;
	if (err < 0 && err != -OBJM_STATUS_NOT_FOUND)
		return err;
	struct idx_state_txn *txn;
	err = idx_state_txn_begin(b->t->e->state, true, &txn);
	if (err < 0)
		return err;
	err = idx_state_pending_has(txn, b->t->no, op->rec.id);
	idx_state_txn_abort(txn);
	return err;
}

/*
 * A file without a record: an ephemeral one on a persistent tier was brought there by hand (a backup), and must not be there;
 * any other on a memory tier is a cached copy, whose home has all of it. Neither gets a record; both are removed.
 */
static bool belongs_here(const struct sup_tier *t, const struct sup_op *op)
{
	bool ephemeral = op->rec.flags & OM_OBJ_EPHEMERAL;

	if (ephemeral && !t->is_volatile)
		om_log(OM_MSG_ORPHAN, "tier %s: file %016llx is an ephemeral object's (\"%.*s\"), which may only ever be in memory: it is "
		       "removed", t->conf->name, (unsigned long long)op->rec.id, (int)op->rec.uri_len, op->rec.uri);
	return ephemeral == t->is_volatile;
}

static int apply_found(struct sup_batch *b, struct sup_op *op, struct sup_stage *s)
{
	struct om_rec have;
	int err = idx_cat_txn_get(b->cat, op->rec.uri, op->rec.uri_len, &have);

	if (err < 0 && err != -OBJM_STATUS_NOT_FOUND && err != -OBJM_STATUS_CORRUPT)
		return err;
	if (err == 0 && have.id == op->rec.id)
		return 0; /* it is what the record names */
	if (op->insert && !op->superseded && !belongs_here(b->t, op)) {
		s->stale = true;
		return 0;
	}
	if (op->insert && !op->superseded && (err < 0 || have.id < op->rec.id)) {
		int removed = found_removed(b, op);
		if (removed < 0)
			return removed;
		if (!removed) {
			err = idx_cat_txn_put(b->cat, &op->rec, IDX_CAT_PUT_NEWER, &s->old);
			s->made = err == 0;
			return err;
		}
	}
	s->stale = true;
	return 0;
}

/* A tier came back: does this record still stand? Then what it says now goes into the index. */
static int apply_back(struct sup_batch *b, struct sup_op *op)
{
	struct om_rec have;
	int err = idx_cat_txn_get(b->cat, op->rec.uri, op->rec.uri_len, &have);

	if (err == -OBJM_STATUS_CORRUPT || (err == 0 && have.id != op->rec.id))
		err = -OBJM_STATUS_PRECONDITION_FAILED;
	if (err < 0)
		return err;
	op->rec.size = have.size;
	op->rec.mtime_ns = have.mtime_ns;
	op->rec.expiry_s = have.expiry_s;
	op->rec.rev = have.rev;
	op->rec.flags = have.flags;
	op->rec.home = have.home;
	return 0;
}

static int apply_settle(struct sup_batch *b, struct sup_op *op)
{
	int err = 0;

	for (unsigned i = 0; b->t->is_volatile && i < op->n_ids && err == 0; i++)
		err = idx_cat_txn_removed_del(b->cat, op->ids[i]);
	if (err < 0 || !op->complete)
		return err;
	/* what damage made wrong in the sums is put right, now that all is there */
	sup_owned_fini(&op->owned);
	err = idx_cat_txn_complete(b->cat, true);
	if (err == 0) {
		err = idx_cat_txn_recount(b->cat);
		err = OM_MIN(err, 0); /* above 0: it was not right */
	}
	if (err == 0)
		err = idx_cat_txn_owners(b->cat, sup_owned_add, &op->owned);
	return err;
}

int sup_apply(struct sup_batch *b, struct sup_op *op)
{
	struct sup_stage *s = &op->stages[op->stage];
	int err;

	switch (s->act) {
	case SUP_ACT_PUT:
		err = apply_put(b, op, s);
		break;
	case SUP_ACT_DEL:
		err = apply_del(b, op, s);
		break;
	case SUP_ACT_FOUND:
		err = apply_found(b, op, s);
		break;
	case SUP_ACT_SETTLE:
		err = apply_settle(b, op);
		break;
	case SUP_ACT_BACK:
		err = apply_back(b, op);
		break;
	case SUP_ACT_SET:
		err = apply_set(b, op, s);
		break;
	case SUP_ACT_MOVE:
		err = apply_move(b, op, s);
		break;
	case SUP_ACT_GONE:
		err = apply_gone(b, op, s);
		break;
	default:
		err = 0;
	}
	return err;
}
