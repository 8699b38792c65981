/*
 * sup_engine_commit.c: group commits. One committer thread a tier, so that a slow disk's commit never delays another's.
 *
 * A batch is at most SUP_BATCH_MAX stages: whatever has come while the last commit was under way. Order inside it:
 *   catalog transaction: begin, every stage applied       (nothing durable yet)
 *   state transaction: removals and tombstones, synced    (so that a rebuild never brings back what goes now)
 *   catalog transaction: commit, synced on persistent tiers
 * A crash between the two commits leaves removals recorded whose records still stand: the next start sees that when it
 * reads the catalogs and drops them (sup_recover_live). Volatile tiers keep their removals in their own catalog instead.
 */
#include "common/om_hist.h"
#include "common/om_fault.h"
#include "supervisor/sup_engine_commit.h"
#include "supervisor/sup_engine_mail.h"

#define ENOUGH SUP_BATCH_MAX /* ops that a commit does not wait for more with */

/* The tier has gone: back at once, as if its committer had failed. */
static void commit_refused(struct sup_tier *t, struct sup_op *op)
{
	struct sup_mail *mail = sup_mail_new(SUP_MAIL_OPS);

	op->status = -OBJM_STATUS_UNAVAILABLE;
	mail->ops = op;
	sup_mail_post(t->e, mail);
}

/* The other tier whose catalog the committer reads for this stage: it must not close meanwhile. */
static struct sup_tier *reads(const struct sup_op *op)
{
	if (op->stages[op->stage].act == SUP_ACT_PUT)
		return op->home;
	if (op->stages[op->stage].act == SUP_ACT_MOVE)
		return op->move->from;
	return op->kind == SUP_OP_DROP ? op->home : NULL;
}

void sup_commit_lent(struct sup_op *op, int by)
{
	struct sup_tier *other = reads(op);

	op->stages[op->stage].tier->lent += (unsigned)by;
	if (other)
		other->lent += (unsigned)by;
}

/* Nobody but the lifecycle process waits for these. */
static bool urgent(const struct sup_op *op)
{
	return op->kind != SUP_OP_INTENT && op->kind != SUP_OP_MOVE && op->kind != SUP_OP_SETTLE;
}

void sup_commit_queue(struct sup_tier *t, struct sup_op *op)
{
	struct sup_tier *other = t->away && op->stages[op->stage].act == SUP_ACT_TOMB ? sup_op_any_tier(t->e) : NULL;

	if (other) /* the tier of a put has gone since its record was committed: tombstones are no tier's own */
		op->stages[op->stage].tier = t = other;
	op->next = NULL;
	sup_commit_lent(op, 1); /* sup_op_stage_done() takes it back */
	if (t->away || (reads(op) && reads(op)->away)) {
		commit_refused(t, op);
		return;
	}
	pthread_mutex_lock(&t->lock);
	*t->todo_end = op;
	t->todo_end = &op->next;
	t->n_todo++;
	t->n_urgent += urgent(op);
	t->n_intents += op->kind == SUP_OP_INTENT;
	pthread_mutex_unlock(&t->lock);
	t->more = true;
}

/* Not with the first of what comes together: it would be committed alone, and the others would wait for that. */
void sup_commit_kick(struct sup_engine *e)
{
	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];

		if (!t->more)
			continue;
		t->more = false;
		pthread_mutex_lock(&t->lock);
		pthread_cond_signal(&t->wake);
		pthread_mutex_unlock(&t->lock);
	}
}

static struct timespec after_ms(const struct timespec *began, unsigned ms)
{
	long ns = began->tv_nsec + (long)ms * 1000000L;

	return (struct timespec){ .tv_sec = began->tv_sec + ns / 1000000000L, .tv_nsec = ns % 1000000000L };
}

/*
 * Moves come in a stream, and each commit costs a sync or two of a disk, on which others are being copied, whatever is in it: while there are
 * moves alone, more of them are waited for; the longer, if there are others that are still being copied. Where none are, and all that are
 * under way are here, there is nothing to wait for: who drains a tier waits for the last ones. And while few are, intents are what the next
 * copies wait for. Not while clients are served: moves have time then, and each commit is one more that requests may meet. Under lock.
 */
static unsigned gather_ms(const struct sup_tier *t)
{
	unsigned moves = atomic_load(&t->e->n_moves), copying = atomic_load(&t->e->n_copying);

	if (atomic_load(&t->e->gently))
		return SUP_GATHER_MORE_MS;
	if (t->n_intents && copying < SUP_GATHER_COPIES)
		return copying ? SUP_GATHER_MS : 0;
	if (copying)
		return t->n_todo < moves ? SUP_GATHER_MORE_MS : SUP_GATHER_MS;
	return t->n_todo < moves ? SUP_GATHER_MS : 0;
}

static void gather(struct sup_tier *t)
{
	struct timespec began, until;
	unsigned ms;

	if (t->is_volatile)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &began);
	while (!t->n_urgent && t->n_todo < ENOUGH && !t->stop && (ms = gather_ms(t)) > 0) {
		until = after_ms(&began, ms);
		if (pthread_cond_timedwait(&t->wake, &t->lock, &until) == ETIMEDOUT)
			return;
	}
}

/* Waits for work; false: stop. */
static bool take_batch(struct sup_tier *t, struct sup_batch *ret)
{
	pthread_mutex_lock(&t->lock);
	sup_pulse_rest(&t->pulse);
	while (!t->todo && !t->stop)
		pthread_cond_wait(&t->wake, &t->lock);
	gather(t);
	sup_pulse_work(&t->pulse);
	struct sup_op *last = NULL;
	*ret = (struct sup_batch){ .t = t, .ops = t->todo };
	for (struct sup_op *op = t->todo; op && ret->n < SUP_BATCH_MAX; op = op->next) {
		last = op;
		ret->n++;
		t->n_urgent -= urgent(op);
		t->n_intents -= op->kind == SUP_OP_INTENT;
	}
	t->n_todo -= ret->n;
	if (last) {
		t->todo = last->next;
		if (!t->todo)
			t->todo_end = &t->todo;
		last->next = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	return ret->n > 0;
}

static struct sup_stage *stage_of(struct sup_op *op) { return &op->stages[op->stage]; }

static bool wants_cat(const struct sup_batch *b, struct sup_op *op)
{
	switch (stage_of(op)->act) {
	case SUP_ACT_TOMB:
		return false;
	case SUP_ACT_SETTLE:
		return op->complete || b->t->is_volatile;
	case SUP_ACT_INTENT:
		return b->t->is_volatile;
	default:
		return true;
	}
}

static bool is_op_error(int err)
{
	return err == -OBJM_STATUS_INVALID_REQUEST || err == -OBJM_STATUS_URI_TOO_LONG || err == -OBJM_STATUS_TOO_LARGE ||
	       err == -OBJM_STATUS_NOT_FOUND || err == -OBJM_STATUS_PRECONDITION_FAILED || err == -OBJM_STATUS_COLLISION ||
	       err == -OBJM_STATUS_TRY_AGAIN || err == -OBJM_STATUS_UNAVAILABLE;
}

/* The id whose file this stage makes useless; 0: none. */
static uint64_t goes(const struct sup_op *op, const struct sup_stage *s)
{
	if (s->stale || s->act == SUP_ACT_INTENT)
		return op->rec.id;
	bool had = s->old.existed && !s->old.damaged;
	return had && (s->act == SUP_ACT_DEL || s->act == SUP_ACT_GONE || s->old.id != op->rec.id) ? s->old.id : 0;
}

/* The move's target is committed: with the source's record its intent goes, which is void now. (Left behind it is dropped at the
 * next start.) */
static bool ends_intent(const struct sup_op *op, const struct sup_stage *s)
{
	return op->kind == SUP_OP_MOVE && s->act == SUP_ACT_DEL && s->tier == op->move->from && !op->move->to->is_volatile;
}

/* An object comes to a tier for which tombstones may be waiting, one of its own version among them. */
static bool takes_tomb(const struct sup_batch *b, const struct sup_stage *s)
{
	return s->act == SUP_ACT_MOVE && atomic_load(&b->t->has_tombs);
}

/* Tombstones of a delete come with its first stage: it may have happened whatever becomes of it. Those of a put have a stage of their own,
 * when its record is committed. */
static bool records_tombs(const struct sup_op *op)
{
	return op->tombs && (op->kind == SUP_OP_PUT ? op->stages[op->stage].act == SUP_ACT_TOMB : op->stage == 0);
}

static bool touches_state(const struct sup_batch *b, struct sup_op *op)
{
	const struct sup_stage *s = stage_of(op);

	if (records_tombs(op) || ends_intent(op, s) || takes_tomb(b, s))
		return true;
	if (b->t->is_volatile)
		return false;
	return s->act == SUP_ACT_SETTLE ? op->n_ids > 0 : goes(op, s) != 0;
}

/* What the tombstone says now is kept, should the catalog's commit fail. */
static int keep_tomb(struct sup_batch *b, struct sup_op *op, const struct sup_tier *t, const uint8_t key[static IDX_STATE_KEY_BYTES])
{
	uint64_t *were = op->tombs_were ? op->tombs_were : calloc(OM_TIERS_MAX, sizeof(*were));

	if (!were)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	op->tombs_were = were;
	were[t->ix] = 0;
	int err = idx_state_tomb_get(b->state, t->no, key, &were[t->ix]);
	return err == -OBJM_STATUS_NOT_FOUND ? 0 : err;
}

static int state_tombs(struct sup_batch *b, struct sup_op *op)
{
	struct sup_engine *e = b->t->e;
	uint8_t key[IDX_STATE_KEY_BYTES];
	int err = 0;

	sup_tomb_key(&op->ikey, key);
	for (unsigned i = 0; i < e->n_tiers && err == 0; i++) {
		if (!(op->tombs & 1u << i))
			continue;
		err = keep_tomb(b, op, &e->tiers[i], key);
		if (err == 0)
			err = idx_state_tomb_add(b->state, e->tiers[i].no, key, op->tomb_id);
	}
	return err;
}

static int state_untomb(struct sup_batch *b, struct sup_op *op)
{
	uint8_t key[IDX_STATE_KEY_BYTES];

	sup_tomb_key(&op->ikey, key);
	int err = keep_tomb(b, op, b->t, key);
	return err < 0 ? err : idx_state_tomb_del(b->state, b->t->no, key);
}

static int state_apply(struct sup_batch *b, struct sup_op *op)
{
	const struct sup_stage *s = stage_of(op);
	int err = 0;

	if (records_tombs(op))
		err = state_tombs(b, op);
	if (err == 0 && takes_tomb(b, s))
		err = state_untomb(b, op);
	if (err == 0 && ends_intent(op, s))
		err = idx_state_pending_del(b->state, op->move->to->no, op->rec.id);
	if (err < 0 || b->t->is_volatile)
		return err;
	if (s->act == SUP_ACT_SETTLE) {
		for (unsigned i = 0; i < op->n_ids && err == 0; i++)
			err = idx_state_pending_del(b->state, b->t->no, op->ids[i]);
		return err;
	}
	return goes(op, s) ? idx_state_pending_add(b->state, b->t->no, goes(op, s)) : 0;
}

static int commit_state(struct sup_batch *b)
{
	int err = idx_state_txn_begin(b->t->e->state, false, &b->state);

	if (err < 0)
		return err;
	for (struct sup_op *op = b->ops; op && err == 0; op = op->next)
		if (op->status == 0)
			err = state_apply(b, op);
	(void)om_fault(OM_FAULT_SUP_STATE);
	if (err < 0)
		idx_state_txn_abort(b->state);
	else
		err = idx_state_txn_commit(b->state);
	(void)om_fault(OM_FAULT_SUP_STATE_DONE);
	return err;
}

/* The key's tombstones are what they were. Errors stick: the commit reports them. */
static void undo_tombs(struct sup_batch *b, struct sup_op *op, struct idx_state_txn *txn)
{
	bool came = takes_tomb(b, stage_of(op));
	uint8_t key[IDX_STATE_KEY_BYTES];

	sup_tomb_key(&op->ikey, key);
	for (unsigned i = 0; op->tombs_were && i < b->t->e->n_tiers; i++) {
		const struct sup_tier *t = &b->t->e->tiers[i];
		if (!(op->tombs & 1u << i) && !(came && t == b->t))
			continue;
		(void)idx_state_tomb_del(txn, t->no, key); /* adding never lowers it */
		if (op->tombs_were[i])
			(void)idx_state_tomb_add(txn, t->no, key, op->tombs_were[i]);
	}
}

/*
 * The catalog's commit failed after removals and tombstones were recorded: the records still stand, so take that back. A tombstone that
 * stayed would take the only copy of an object away when its tier comes back, though its delete was said to have failed.
 */
static void undo_state(struct sup_batch *b)
{
	struct idx_state_txn *txn = NULL;

	if (!b->need_state)
		return;
	int err = idx_state_txn_begin(b->t->e->state, false, &txn);
	for (struct sup_op *op = b->ops; op && err == 0; op = op->next) {
		const struct sup_stage *s = stage_of(op);
		if (op->status < 0)
			continue;
		if (!b->t->is_volatile && s->act != SUP_ACT_SETTLE && goes(op, s))
			(void)idx_state_pending_del(txn, b->t->no, goes(op, s)); /* a sticky error: commit reports it */
		if (records_tombs(op) || takes_tomb(b, s))
			undo_tombs(b, op, txn);
	}
	if (err == 0)
		err = idx_state_txn_commit(txn);
	if (err < 0)
		om_log(OM_MSG_CATALOG, "tier %s: what was recorded for a commit that failed could not be taken back: the next start drops its "
		       "removals; what was to be deleted on tiers that are away goes when they come back: %s", b->t->conf->name,
		       idx_cat_message());
}

static int removed_in_catalog(struct sup_batch *b)
{
	int err = 0;

	for (struct sup_op *op = b->ops; op && err == 0; op = op->next)
		if (op->status == 0 && stage_of(op)->act != SUP_ACT_SETTLE && goes(op, stage_of(op)))
			err = idx_cat_txn_removed_add(b->cat, goes(op, stage_of(op)));
	return err;
}

static void reset_stages(struct sup_batch *b)
{
	b->need_cat = b->need_state = false;
	for (struct sup_op *op = b->ops; op; op = op->next) {
		op->status = 0;
		stage_of(op)->old = (struct idx_cat_old){ 0 };
		stage_of(op)->stale = stage_of(op)->made = false;
		b->need_cat |= wants_cat(b, op);
	}
}

static int apply_all(struct sup_batch *b)
{
	int err = idx_cat_txn_begin(b->t->cat, &b->cat);

	for (struct sup_op *op = b->ops; op && err == 0; op = op->next) {
		int one = sup_apply(b, op);
		if (is_op_error(one))
			op->status = one; /* nothing of it happened: the others go on */
		else
			err = one;
	}
	if (err == 0 && b->t->is_volatile)
		err = removed_in_catalog(b);
	return err;
}

/* One try: 0, or the status that all of the batch failed with; then nothing of it has happened. */
static int try_batch(struct sup_batch *b)
{
	struct idx_cat_totals totals = { 0 };
	int err = 0;

	reset_stages(b);
	b->cat = NULL;
	if (b->need_cat)
		err = apply_all(b);
	for (struct sup_op *op = b->ops; op; op = op->next)
		b->need_state |= op->status == 0 && touches_state(b, op);
	if (err == 0 && b->need_state)
		err = commit_state(b);
	int injected = om_fault(OM_FAULT_SUP_COMMIT);
	if (err == 0 && injected) {
		err = -om_status_errno(injected);
		undo_state(b);
	}
	if (!b->cat)
		return err;
	if (err < 0) {
		idx_cat_txn_abort(b->cat);
		return err;
	}
	idx_cat_txn_totals(b->cat, &totals);
	uint64_t begun = om_now_ns();
	err = idx_cat_txn_commit(b->cat);
	if (err < 0) {
		undo_state(b);
		return err;
	}
	om_hist_add(OM_H_COMMIT, om_now_ns() - begun, 1);
	(void)om_fault(OM_FAULT_SUP_COMMITTED);
	atomic_store_explicit(&b->t->used_bytes, totals.bytes, memory_order_relaxed);
	atomic_store_explicit(&b->t->objects, totals.objects, memory_order_relaxed);
	sup_tier_catalog_size(b->t);
	return 0;
}

static void run_batch(struct sup_batch *b)
{
	int err = try_batch(b);

	if (err == -OBJM_STATUS_NO_SPACE && sup_tier_ballast_drop(b->t))
		err = try_batch(b);
	if (err < 0) {
		om_log(OM_MSG_CATALOG, "tier %s: %u changes were not committed: %s: %s", b->t->conf->name, b->n,
		       om_status_text(err), idx_cat_message());
		/* read-only: tierd looks whether it can be used as that (sup_tier_ro.c) */
		if (err == -OBJM_STATUS_STORAGE || err == -OBJM_STATUS_CORRUPT || err == -OBJM_STATUS_READ_ONLY)
			sup_tier_fail(b->t, om_status_text(err));
		for (struct sup_op *op = b->ops; op; op = op->next) {
			op->status = err;
			stage_of(op)->old = (struct idx_cat_old){ 0 };
			stage_of(op)->stale = stage_of(op)->made = false;
		}
	}
	om_count(OM_C_COMMIT_BATCHES, 1);
	om_count(OM_C_COMMIT_OPS, b->n);
	atomic_fetch_add(&b->t->e->stat_commits, 1);
	atomic_fetch_add(&b->t->e->stat_committed, b->n);
}

/* Nobody waits for any of it. */
static bool can_wait(const struct sup_batch *b)
{
	for (const struct sup_op *op = b->ops; op; op = op->next)
		if (urgent(op))
			return false;
	return true;
}

/*
 * While clients are served, what is for moves alone is committed on the processor on which they are copied, so that another one is free of
 * them. For that batch only: what comes next may be a put, which waits behind no move.
 */
static void run_in_place(struct sup_batch *b)
{
	const struct om_place *place = &b->t->e->place;
	bool bound = false;

	if (atomic_load(&b->t->e->gently) && can_wait(b))
		om_place_stay(place, &bound);
	run_batch(b);
	om_place_roam(place, &bound);
}

void *sup_commit_main(void *arg)
{
	struct sup_tier *t = arg;
	struct sup_batch b;

	sup_pulse_begin(&t->pulse, "the committer of tier ", t->conf->name);
	while (take_batch(t, &b)) {
		struct sup_mail *mail = sup_mail_new(SUP_MAIL_OPS); /* before anything is committed that could not be answered */
		(void)pthread_rwlock_rdlock(&t->e->cats); /* other tiers' catalogs are read, too */
		run_in_place(&b);
		(void)pthread_rwlock_unlock(&t->e->cats);
		mail->ops = b.ops;
		sup_mail_post(t->e, mail);
	}
	sup_pulse_end(&t->pulse);
	return NULL;
}
