/*
 * sup_engine_recover.c: what the last run left behind: removals that were not done, tombstones of tiers that were away, records that lost
 * against a newer one of another tier. It is loaded at the start, judged while the catalogs are read for the index, and dealt with
 * when they have been. Publisher's thread, but for what its header says.
 */
#include "supervisor/sup_engine_job.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_recover.h"
#include "supervisor/sup_engine_settle.h"

struct load_ctx {
	struct sup_engine *e;
	struct sup_tier *t;
};

static int load_one(struct load_ctx *c, uint64_t id)
{
	struct sup_engine *e = c->e;
	struct sup_removal *r = malloc(sizeof(*r));

	if (r && e->n_recover == e->cap_recover) {
		size_t cap = e->cap_recover ? 2 * e->cap_recover : 256;
		struct sup_removal **v = realloc(e->recover, cap * sizeof(*v));
		if (v) {
			e->recover = v;
			e->cap_recover = cap;
		}
	}
	if (!r || e->n_recover == e->cap_recover) {
		free(r);
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	*r = (struct sup_removal){ .id = id, .tier = c->t, .kind = SUP_RM_PENDING };
	sup_reap_busy_add(e, r);
	e->recover[e->n_recover++] = r;
	return 0;
}

static int removal_cmp(const void *a, const void *b)
{
	const struct sup_removal *x = *(struct sup_removal *const *)a, *y = *(struct sup_removal *const *)b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->tier->no > y->tier->no) - (x->tier->no < y->tier->no);
}

static int load_state(void *arg, uint8_t tier, uint64_t id)
{
	(void)tier;
	return load_one(arg, id);
}

static int load_cat(void *arg, uint64_t id) { return load_one(arg, id); }

static int load_tomb(void *arg, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES], uint64_t id)
{
	struct sup_engine *e = ((struct load_ctx *)arg)->e;

	if (e->n_tombs == e->cap_tombs) {
		size_t cap = e->cap_tombs ? 2 * e->cap_tombs : 256;
		struct sup_tomb *v = realloc(e->tombs, cap * sizeof(*v));
		if (!v)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		e->tombs = v;
		e->cap_tombs = cap;
	}
	atomic_store(&((struct load_ctx *)arg)->t->has_tombs, true);
	struct sup_tomb *t = &e->tombs[e->n_tombs++];
	*t = (struct sup_tomb){ .key = sup_tomb_key_of(key), .id = id, .tier = tier };
	return 0;
}

static bool is_dead(const struct sup_engine *e, const struct idx_key *key, uint8_t tier, uint64_t id)
{
	struct sup_tomb probe = { .key = *key, .tier = tier };
	const struct sup_tomb *t = e->n_tombs ? bsearch(&probe, e->tombs, e->n_tombs, sizeof(probe), sup_tomb_cmp) : NULL;

	return t && t->id >= id;
}

bool sup_recover_dead(struct sup_engine *e, const struct sup_fill_row *row)
{
	if (!is_dead(e, &row->key, row->ent.tier, row->ent.id))
		return false;
	e->tombs_hit |= 1u << e->tier_by_no[row->ent.tier]->ix;
	return true;
}

bool sup_recover_gone(const struct sup_engine *e, const struct om_rec *rec)
{
	struct idx_key key;

	if (!atomic_load(&e->tombs_apply))
		return false;
	idx_key_make(sup_engine_secret(e), rec->uri, rec->uri_len, &key);
	return is_dead(e, &key, rec->tier, rec->id);
}

void sup_recover_found(struct sup_engine *e, struct sup_job *job)
{
	for (struct sup_op *op = job->ops; op; op = op->next) {
		op->of_start = op->dead;
		e->n_dead += op->dead;
	}
	if (!e->n_dead)
		atomic_store(&e->tombs_apply, false);
}

/* Pending removals and tombstones of the last runs. The removals wait: a record may still name the file (a crash between two commits). */
int sup_recover_load(struct sup_engine *e)
{
	struct idx_state_txn *txn;
	int err = idx_state_txn_begin(e->state, true, &txn);

	if (err < 0)
		return err;
	for (unsigned i = 0; i < e->n_tiers && err == 0; i++) {
		struct load_ctx c = { .e = e, .t = &e->tiers[i] };
		struct idx_cat_snap *snap;
		if (!c.t->cat)
			continue;
		err = idx_state_pending_iter(txn, c.t->no, 0, load_state, &c);
		if (err == 0)
			err = idx_state_tomb_iter(txn, c.t->no, load_tomb, &c);
		if (err == 0 && c.t->is_volatile && (err = idx_cat_snap_open(c.t->cat, &snap)) == 0) {
			err = idx_cat_removed_iter(snap, load_cat, &c);
			idx_cat_snap_close(snap);
		}
	}
	idx_state_txn_abort(txn);
	if (e->n_recover)
		qsort(e->recover, e->n_recover, sizeof(*e->recover), removal_cmp);
	if (e->n_tombs)
		qsort(e->tombs, e->n_tombs, sizeof(*e->tombs), sup_tomb_cmp);
	atomic_store(&e->tombs_apply, e->n_tombs > 0);
	return err;
}

/* A record names this file, so its removal never happened: the recorded intent is void. */
void sup_recover_live(struct sup_engine *e, uint8_t tier_no, uint64_t id)
{
	struct sup_removal probe = { .id = id, .tier = e->tier_by_no[tier_no] }, *key = &probe;

	if (!e->n_recover || !probe.tier)
		return;
	struct sup_removal **r = bsearch(&key, e->recover, e->n_recover, sizeof(*e->recover), removal_cmp);
	if (r)
		(*r)->kind = SUP_RM_VOID;
}

static bool ask(struct sup_engine *e, enum sup_job_kind kind)
{
	struct sup_job *job = calloc(1, sizeof(*job));

	if (!OM_CHECK(job != NULL))
		return false; /* the next start finds it again */
	job->kind = kind;
	sup_job_queue(e, job);
	return true;
}

/* Where nothing is planned any more that leaves tombstones, those that are there have done their work. */
void sup_recover_tombs(struct sup_engine *e)
{
	bool any = false;

	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		bool done = t->cat && !t->away && !t->back && !t->hides && !t->owes_rebuild && !t->dirty && !atomic_load(&t->frozen) &&
			    !(atomic_load(&e->tombs_hit) & 1u << i);
		if (!done)
			continue;
		atomic_store(&t->tombs_idle, true);
		any = true;
	}
	if (any)
		(void)ask(e, SUP_JOB_TOMBS);
}

/* The catalogs have been read: what is left of the last run's removals is true. */
void sup_recover_filled(struct sup_engine *e)
{
	for (size_t i = 0; i < e->n_recover; i++) {
		struct sup_removal *r = e->recover[i];
		/* a record that was not read may name it; or nothing can be removed now */
		if (r->kind != SUP_RM_VOID && (r->tier->hides || atomic_load(&r->tier->frozen))) {
			r->next = e->rm_failed;
			e->rm_failed = r;
			e->n_rm_failed++;
			continue;
		}
		if (r->kind != SUP_RM_VOID) {
			sup_reap_push(e, r);
			continue;
		}
		r->next = e->settle;
		e->settle = r;
		e->n_settle++;
	}
	/* at once: a removal of one of these files that comes after this must find its place empty */
	for (uint64_t left = e->n_settle + 1; e->n_settle && e->n_settle < left;) {
		left = e->n_settle;
		sup_settle_due(e, true);
	}
	free(e->recover);
	e->recover = NULL;
	e->n_recover = e->cap_recover = 0;
	if (e->n_losers) {
		qsort(e->losers, e->n_losers, sizeof(*e->losers), sup_loser_cmp);
		e->stale_asked = ask(e, SUP_JOB_STALE);
	}
	if (e->n_tombs)
		sup_recover_tombs(e);
	if (!atomic_load(&e->tombs_hit)) /* none of them met a record */
		atomic_store(&e->tombs_apply, false);
}

int sup_loser_cmp(const void *a, const void *b)
{
	const struct sup_loser *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->tier > y->tier) - (x->tier < y->tier);
}

void sup_recover_loser(struct sup_engine *e, uint8_t tier_no, uint64_t id, bool dead)
{
	if (e->n_losers == e->cap_losers) {
		size_t cap = e->cap_losers ? 2 * e->cap_losers : 64;
		struct sup_loser *v = realloc(e->losers, cap * sizeof(*v));
		if (!OM_CHECK(v != NULL))
			return;
		e->losers = v;
		e->cap_losers = cap;
	}
	if (e->tier_by_no[tier_no])
		e->tier_by_no[tier_no]->dirty |= SUP_DIRTY_LOSERS;
	e->losers[e->n_losers++] = (struct sup_loser){ .id = id, .tier = tier_no, .dead = dead };
}

void sup_recover_stale_end(struct sup_engine *e, struct sup_op *op)
{
	/* one that could not be deleted is left out until the next start */
	if (op->of_start && op->status == 0 && --e->n_dead == 0)
		atomic_store(&e->tombs_apply, false);
}

void sup_recover_free(struct sup_engine *e)
{
	for (size_t i = 0; i < e->n_recover; i++)
		free(e->recover[i]);
	free(e->recover);
	free(e->losers);
	free(e->tombs);
}
