/*
 * sup_engine_op.c: changes under way. Runs on the publisher's thread.
 *
 * The life of a change: sup_op_submit() puts it into its key's queue; start() has its stages planned when nothing else
 * of the key runs; each stage is lent to a tier's committer and comes back to sup_op_stage_done(); after the last one it is
 * published, its generation closed, its child answered, and the next of the key begins. What a kind of change does at each of these steps is
 * in its row of sup_engine_life.c: nothing here calls who makes changes.
 */
#include "common/om_counter.h"
#include "common/om_fault.h"
#include "supervisor/sup_engine_commit.h"
#include "supervisor/sup_engine_owner.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_room.h"
#include "supervisor/sup_engine_watch.h"

/* ---- changes ---- */

struct sup_op *sup_op_new(enum sup_op_kind kind, const struct om_rec *rec)
{
	size_t uri = rec ? rec->uri_len : 0, type = rec ? rec->type_len : 0, meta = rec ? rec->meta_len : 0;
	struct sup_op *op = calloc(1, sizeof(*op) + uri + type + meta + 1);

	if (!op)
		return NULL;
	op->kind = kind;
	if (rec) {
		char *to = (char *)(op + 1);
		op->rec = *rec;
		op->rec.uri = uri ? memcpy(to, rec->uri, uri) : to;
		op->rec.type = type ? memcpy(to + uri, rec->type, type) : to;
		op->rec.meta = meta ? memcpy(to + uri + type, rec->meta, meta) : (const unsigned char *)to;
	}
	return op;
}

static void op_free(struct sup_op *op)
{
	free(op->ids);
	free(op->tombs_were);
	sup_owned_fini(&op->owned);
	free(op);
}

static void finish(struct sup_engine *e, struct sup_op *op);

/* A change of several environments must not begin while a listing opens its snapshots. */
static bool may_begin_multi(struct sup_engine *e, struct sup_op *op)
{
	if (op->n_stages < 2)
		return true;
	if (atomic_load(&e->snap_waiting))
		return false;
	pthread_mutex_lock(&e->multi_lock);
	e->multi_active++;
	pthread_mutex_unlock(&e->multi_lock);
	op->counted_multi = true;
	return true;
}

static void launch(struct sup_engine *e, struct sup_op *op)
{
	if (!may_begin_multi(e, op)) {
		op->next = NULL;
		*e->deferred_end = op;
		e->deferred_end = &op->next;
		return;
	}
	if (op->key && !op->gen_open) {
		/* odd before the commit: nobody may cache what is about to change */
		idx_genw_open(e->gens, idx_key_bucket(&op->ikey));
		op->gen_open = true;
	}
	sup_commit_queue(op->stages[op->stage].tier, op);
}

void sup_op_planned(struct sup_engine *e, struct sup_op *op, bool go)
{
	if (go)
		launch(e, op);
	else
		finish(e, op);
}

static void start(struct sup_engine *e, struct sup_op *op)
{
	const struct sup_op_life *life = &e->lives->of[op->kind];
	struct idx_ent cur;

	if (life->begin) {
		life->begin(e, op);
		return;
	}
	bool have = idxw_get(e->index, &op->ikey, &cur, NULL) == 0;
	op->prev_id = have ? cur.id : 0;
	sup_op_planned(e, op, life->plan(e, op, have ? &cur : NULL));
}

/* Begin what the key's queue allows. */
void sup_key_go(struct sup_engine *e, struct sup_key *key)
{
	while (!key->running && key->wait) {
		struct sup_op **p = &key->wait, *op;
		/* a conditional reservation excludes everybody but its own commit */
		if (key->cond_res)
			while (*p && !((*p)->kind == SUP_OP_PUT && (*p)->rec.id == key->cond_res->id))
				p = &(*p)->next;
		op = *p;
		if (!op)
			return;
		*p = op->next;
		if (!*p)
			key->wait_end = p;
		key->n_wait--;
		key->running = op;
		start(e, op); /* may end at once and call sup_key_go() again: then `running` is set anew or NULL */
		return;
	}
	if (!key->running)
		sup_key_drop(e, key);
}

void sup_op_submit(struct sup_engine *e, struct sup_op *op)
{
	e->n_ops++;
	if (!op->key) {
		launch(e, op);
		return;
	}
	struct sup_key *key = op->key;
	op->next = NULL;
	*key->wait_end = op;
	key->wait_end = &op->next;
	key->n_wait++;
	sup_key_go(e, key);
}

/* ---- the end of a change ---- */

void sup_op_note(struct sup_op *op, enum om_change change, const struct idx_ent *ent)
{
	op->change = (uint8_t)(change + 1);
	op->ent = *ent;
}

/* Puts the change into the index. False: no room until it has grown. */
static bool publish(struct sup_engine *e, struct sup_op *op)
{
	const struct sup_op_life *life = &e->lives->of[op->kind];
	int err = life->publish ? life->publish(e, op) : 0;

	if (err < 0 && err != -OBJM_STATUS_NO_SPACE)
		om_log(OM_MSG_CHECK, "object %llu is committed, but the index refuses it: %s", (unsigned long long)op->rec.id,
		       om_status_text(err));
	return err != -OBJM_STATUS_NO_SPACE;
}

/*
 * Removals of a memory tier are recorded in its own catalog. Should that alone be lost, a file still there would come back
 * with the rebuild; so a small one goes at once, before the acknowledgement. (Freeing the pages of a large one takes too
 * long here.) It was published: a worker that still has the old slot finds no file and reads the slot again.
 */
static void unlink_volatile(struct sup_tier *t, uint64_t id, uint64_t size)
{
	struct be_batch batch = { .n = 0 };

	if (t->is_volatile && !t->away && size <= SUP_UNLINK_MAX && be_remove(&t->be, id, &batch) < 0)
		return; /* the lifecycle process tries again, and says why it cannot */
}

/* What the stages left behind goes to the lifecycle process. */
static void reap_old(struct sup_engine *e, struct sup_op *op)
{
	for (unsigned i = 0; i < op->n_stages; i++) {
		const struct sup_stage *s = &op->stages[i];
		if (s->old.existed && !s->old.damaged && s->old.id && (s->act == SUP_ACT_DEL || s->act == SUP_ACT_GONE || s->old.id != op->rec.id)) {
			atomic_fetch_add_explicit(&s->tier->stat_out, s->old.size, memory_order_relaxed);
			unlink_volatile(s->tier, s->old.id, s->old.size);
			sup_reap_add(e, s->tier, s->old.id, s->old.size, SUP_RM_PENDING);
		}
		if (s->stale)
			sup_reap_add(e, s->tier, op->rec.id, op->rec.size, SUP_RM_PENDING);
	}
}

static void finish(struct sup_engine *e, struct sup_op *op)
{
	struct sup_key *key = op->key;

	if (op->gen_open) /* after publishing, before the acknowledgement; a failed commit closes unpublished */
		idx_genw_close(e->gens, idx_key_bucket(&op->ikey));
	if (op->counted_multi) {
		pthread_mutex_lock(&e->multi_lock);
		e->multi_active--;
		pthread_cond_broadcast(&e->multi_wake);
		pthread_mutex_unlock(&e->multi_lock);
	}
	(void)om_fault(OM_FAULT_SUP_PUBLISHED);
	if (op->change)
		sup_watch_note(e, op, (enum om_change)(op->change - 1), &op->ent);
	if (op->status == 0 && op->change && (op->kind == SUP_OP_PUT || op->kind == SUP_OP_MOVE))
		atomic_fetch_add_explicit(&op->stages[0].tier->stat_in, op->ent.size, memory_order_relaxed);
	reap_old(e, op);
	if (e->lives->of[op->kind].end)
		e->lives->of[op->kind].end(e, op);
	if (op->tomb_counted)
		e->tomb_ops[op->tomb_epoch]--;
	/* now that promises have become objects: not both at once */
	for (unsigned i = 0; i < op->n_stages; i++)
		sup_pub_rows(e, op->stages[i].tier);
	e->n_ops--;
	e->lives->ended(e, op);
	op_free(op);
	if (key) {
		key->running = NULL;
		sup_key_go(e, key);
	}
}

static void publish_and_finish(struct sup_engine *e, struct sup_op *op)
{
	if (op->status == 0 && op->key && !publish(e, op)) {
		op->next = NULL;
		*e->stalled_end = op;
		e->stalled_end = &op->next;
		return;
	}
	finish(e, op);
}

/*
 * A stage failed and those before it stand. A PUT or a MOVE whose first stage is committed stands, even if an older record
 * elsewhere could not be removed: the same one wins everywhere, and deletes look there from now on. A delete that took the copy
 * alone leaves the home.
 */
static void half_done(struct sup_engine *e, struct sup_op *op)
{
	struct idx_ent cur;

	if (op->kind == SUP_OP_STALE)
		op->stages[op->stage].tier->dirty |= SUP_DIRTY_LEFT; /* what lost is still there */
	if (op->stage == 0)
		return;
	if (op->stages[op->stage].act == SUP_ACT_TOMB) {
		om_log(OM_MSG_CATALOG, "object %llu stands, but that what it replaced on a tier that is away is gone could not be recorded: its "
		       "client is told that the put failed: %s", (unsigned long long)op->rec.id, om_status_text(op->status));
		op->untold = op->status;
		op->status = 0;
	} else if (op->kind == SUP_OP_PUT || op->kind == SUP_OP_MOVE) {
		om_log(OM_MSG_CATALOG, "object %llu stands, but an older record on tier %s could not be removed: %s",
		       (unsigned long long)op->rec.id, op->stages[op->stage].tier->conf->name, om_status_text(op->status));
		for (unsigned i = op->stage; i < op->n_stages; i++)
			if (op->stages[i].act != SUP_ACT_TOMB)
				op->stages[i].tier->dirty |= SUP_DIRTY_LEFT;
		op->status = 0;
	} else if (op->kind == SUP_OP_SET) { /* the home's record counts: a copy that is behind does no harm */
		op->status = 0;
	} else if ((op->kind == SUP_OP_DELETE || op->kind == SUP_OP_DROP) && idxw_get(e->index, &op->ikey, &cur, NULL) == 0 &&
		   cur.tier != cur.home && op->stages[0].tier->no == cur.tier) {
		cur.tier = cur.home;
		(void)sup_index_put(e, &op->ikey, &cur); /* in place: always room */
	}
}

/* A put that stands though an older record could not be removed somewhere: tiers that are away are told of it all the same. */
static bool owes_tombs(const struct sup_op *op)
{
	return op->kind == SUP_OP_PUT && op->status == 0 && op->stage > 0 && op->stage < op->n_stages - 1 &&
	       op->stages[op->n_stages - 1].act == SUP_ACT_TOMB;
}

void sup_op_stage_done(struct sup_engine *e, struct sup_op *op)
{
	sup_commit_lent(op, -1);
	if (op->status == 0)
		sup_owner_stage(e, op);
	if (op->status == 0 && ++op->stage < op->n_stages) {
		int injected = om_fault(op->kind == SUP_OP_MOVE ? OM_FAULT_SUP_MOVE_TARGET : OM_FAULT_DEL_SECOND);
		op->status = injected ? -om_status_errno(injected) : 0;
		if (op->status == 0) {
			sup_commit_queue(op->stages[op->stage].tier, op);
			return;
		}
	}
	if (op->status < 0)
		half_done(e, op);
	if (owes_tombs(op)) {
		op->stage = op->n_stages - 1;
		sup_commit_queue(op->stages[op->stage].tier, op);
		return;
	}
	publish_and_finish(e, op);
}

/* Those that waited for room in the index, and those that waited for listings. */
void sup_op_retry_held(struct sup_engine *e)
{
	struct sup_op *list = e->stalled;

	e->stalled = NULL;
	e->stalled_end = &e->stalled;
	while (list) {
		struct sup_op *op = list;
		list = op->next;
		publish_and_finish(e, op);
	}
	if (atomic_load(&e->snap_waiting))
		return;
	list = e->deferred;
	e->deferred = NULL;
	e->deferred_end = &e->deferred;
	while (list) {
		struct sup_op *op = list;
		list = op->next;
		launch(e, op);
	}
}
