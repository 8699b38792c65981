/*
 * sup_engine_reap.c: files that no record names any more: removed by the lifecycle process, window by window; what the
 * last run left behind; and the scans that find orphans or make a catalog again. Publisher's thread.
 *
 * A removal is PENDING (recorded in the state environment or, on a volatile tier, in its catalog; the record is dropped when
 * the file's name is durably gone) or UNSETTLED (an id given out that never got a record: after a crash the scan of the
 * unsettled range finds its file again, so nothing is written for it).
 */
#include "common/om_counter.h"
#include "supervisor/sup_engine_int.h"

static struct sup_removal **busy_slot(struct sup_engine *e, uint64_t id) { return &e->rm_busy[id % SUP_RM_BUCKETS]; }

static void busy_add(struct sup_engine *e, struct sup_removal *r)
{
	r->hnext = *busy_slot(e, r->id);
	*busy_slot(e, r->id) = r;
}

static void busy_del(struct sup_engine *e, const struct sup_removal *r)
{
	struct sup_removal **p = busy_slot(e, r->id);

	while (*p && *p != r)
		p = &(*p)->hnext;
	if (*p)
		*p = r->hnext;
}

bool sup_reap_busy(const struct sup_engine *e, const struct sup_tier *t, uint64_t id)
{
	for (const struct sup_removal *r = e->rm_busy[id % SUP_RM_BUCKETS]; r; r = r->hnext)
		if (r->id == id && r->tier == t)
			return true;
	return false;
}

static void push(struct sup_engine *e, struct sup_removal *r)
{
	r->next = NULL;
	*e->rm_end = r;
	e->rm_end = &r->next;
	e->n_rm++;
}

/*
 * Where many objects come and go, files are removed a little later than they could be: not before the directory in which they were
 * made has had its turn, for an inode that is given back there makes each new one dearer; if such a turn is short (be_removes_late()). Not where room is
 * short: of a tier that takes objects a part waits so; of one that is drained, nobody wants the room, and a disk is read without being
 * turned away for each file that goes.
 */
static uint64_t late_most(const struct sup_tier *t)
{
	return atomic_load(&t->draining) ? SUP_LATE_BYTES : OM_MIN(SUP_LATE_BYTES, atomic_load(&t->capacity_bytes) / 64);
}

static bool comes_late(struct sup_engine *e, const struct sup_removal *r)
{
	uint64_t second = om_coarse_ns() / 1000000000u;
	const struct sup_tier *t = r->tier;

	if (t->is_volatile || r->kind != SUP_RM_PENDING || !(atomic_load(&t->late) || atomic_load(&t->draining)))
		return false;
	if (second != e->late_second) {
		e->late_before = second == e->late_second + 1 ? e->late_now : 0;
		e->late_now = 0;
		e->late_second = second;
	}
	e->late_now++;
	return OM_MAX(e->late_now, e->late_before) > atomic_load(&e->late_from) && !sup_room_waited(e) &&
	       e->late_bytes + r->bytes <= late_most(t);
}

static void push_late(struct sup_engine *e, struct sup_removal *r)
{
	r->since_ns = om_coarse_ns();
	r->next = NULL;
	r->late = e->rm_late_end;
	*e->rm_late_end = r;
	e->rm_late_end = &r->next;
	e->late_bytes += r->bytes;
	e->n_rm++;
}

/* It waits no longer. */
static void late_end(struct sup_engine *e, struct sup_removal *r)
{
	*r->late = r->next;
	if (r->next)
		r->next->late = r->late;
	else
		e->rm_late_end = r->late;
	r->late = NULL;
	e->late_bytes -= r->bytes;
	e->n_rm--;
	push(e, r);
}

/* Those that have waited long enough, or all of them when somebody waits for room. */
static void late_due(struct sup_engine *e)
{
	while (e->rm_late && (sup_room_waited(e) || om_coarse_ns() - e->rm_late->since_ns >= atomic_load(&e->late_ns)))
		late_end(e, e->rm_late);
}

bool sup_reap_wanted(struct sup_engine *e, const struct sup_tier *t, uint64_t id)
{
	struct sup_removal *r = e->rm_busy[id % SUP_RM_BUCKETS];

	while (r && (r->id != id || r->tier != t))
		r = r->hnext;
	if (r && r->late)
		late_end(e, r);
	if (r)
		e->settle_wanted = true;
	return r != NULL;
}

void sup_reap_add(struct sup_engine *e, struct sup_tier *t, uint64_t id, uint64_t size, enum sup_removal_kind kind)
{
	struct sup_removal *r = malloc(sizeof(*r));

	if (!OM_CHECK(r != NULL))
		return; /* recorded or found again: the next start removes it */
	*r = (struct sup_removal){ .id = id, .bytes = sup_room_of(size), .tier = t, .kind = (uint8_t)kind };
	t->acct.removals += r->bytes;
	busy_add(e, r);
	if (atomic_load(&t->frozen)) { /* when it can be written again: sup_reap_again() */
		r->next = e->rm_failed;
		e->rm_failed = r;
		e->n_rm_failed++;
	} else if (comes_late(e, r))
		push_late(e, r);
	else
		push(e, r);
}

/* Takes the removal out of a list; NULL: it is not there. */
static struct sup_removal *pull(struct sup_removal **list, const struct sup_tier *t, uint64_t id)
{
	for (struct sup_removal **p = list; *p; p = &(*p)->next)
		if ((*p)->id == id && (*p)->tier == t) {
			struct sup_removal *r = *p;
			*p = r->next;
			return r;
		}
	return NULL;
}

/* Keep the lifecycle process's window full. */
void sup_reap_pump(struct sup_engine *e)
{
	struct sup_child *c = &e->child[SUP_CHILD_LIFECYCLE];

	late_due(e);
	while (c->on && !c->doomed && !c->out && e->rm && e->n_rm_flight < SUP_REAP_WINDOW) {
		struct sup_removal *r = e->rm;
		struct om_op_reap m = { .hdr = { .len = sizeof(m), .type = OM_OP_REAP }, .id = r->id, .tier = r->tier->no };
		e->rm = r->next;
		if (!e->rm)
			e->rm_end = &e->rm;
		e->n_rm--;
		r->next = e->rm_flight;
		e->rm_flight = r;
		e->n_rm_flight++;
		sup_pub_answer(e, SUP_CHILD_LIFECYCLE, c->serial, &m, sizeof(m), false);
	}
}

void sup_reap_done(struct sup_engine *e, struct sup_tier *t, uint64_t id, int status)
{
	struct sup_removal *r = pull(&e->rm_flight, t, id);

	if (!r)
		return; /* answered twice: harmless */
	e->n_rm_flight--;
	if (status < 0 && ++r->tries < 3) {
		push(e, r);
		return;
	}
	if (status < 0) {
		bool waits = r->tier->away || atomic_load(&r->tier->frozen) || !r->tier->cat || !sup_tier_known_to(r->tier, &e->child[SUP_CHILD_LIFECYCLE]);
		if (!waits) /* else the next lifecycle process knows the tier: sup_reap_again() */
			om_log(OM_MSG_REAP, "tier %s: file %016llx cannot be removed: %s; the next start tries again", t->conf->name,
		       (unsigned long long)id, om_status_text(status));
		r->next = e->rm_failed;
		e->rm_failed = r;
		e->n_rm_failed++;
		return;
	}
	om_count(OM_C_REAPED, 1);
	t->acct.removals -= r->bytes;
	sup_pub_rows(e, t);
	if (r->kind == SUP_RM_UNSETTLED) {
		busy_del(e, r);
		free(r);
		return;
	}
	r->next = e->settle;
	e->settle = r;
	e->n_settle++;
	if (!e->settle_since_ns)
		e->settle_since_ns = om_coarse_ns();
}

void sup_reap_lost(struct sup_engine *e)
{
	while (e->rm_flight) {
		struct sup_removal *r = e->rm_flight;
		e->rm_flight = r->next;
		e->n_rm_flight--;
		push(e, r);
	}
}

/* Another lifecycle process: it may know a tier that the last one did not. */
void sup_reap_again(struct sup_engine *e)
{
	for (struct sup_removal **p = &e->rm_failed; *p;) {
		struct sup_removal *r = *p;
		if (!r->tier->cat || r->tier->away || r->tier->hides || atomic_load(&r->tier->frozen)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		e->n_rm_failed--;
		r->tries = 0;
		push(e, r);
	}
}

bool sup_reap_flies(const struct sup_engine *e, const struct sup_tier *t)
{
	for (const struct sup_removal *r = e->rm_flight; r; r = r->next)
		if (r->tier == t)
			return true;
	return false;
}

/* Drop those of `t` from a list; the end of the list, and how many and how much went, where they are counted. */
static void drop_all(struct sup_engine *e, const struct sup_tier *t, struct sup_removal **list, struct sup_removal ***end, uint64_t *n,
		     uint64_t *bytes)
{
	struct sup_removal **p = list, *r;

	while ((r = *p)) {
		if (r->tier != t) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		*n -= 1;
		if (bytes)
			*bytes -= r->bytes;
		busy_del(e, r);
		free(r);
	}
	if (end)
		*end = p;
}

void sup_reap_forget(struct sup_engine *e, struct sup_tier *t)
{
	drop_all(e, t, &e->rm, &e->rm_end, &e->n_rm, NULL);
	drop_all(e, t, &e->rm_late, &e->rm_late_end, &e->n_rm, &e->late_bytes);
	for (struct sup_removal **p = &e->rm_late; *p; p = &(*p)->next)
		(*p)->late = p; /* those that are left may have lost the one before them */
	drop_all(e, t, &e->rm_failed, NULL, &e->n_rm_failed, NULL);
	drop_all(e, t, &e->settle, NULL, &e->n_settle, NULL);
	t->acct.removals = 0;
}

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
		busy_del(e, r); /* whatever names this file from now on comes to the committer behind this op */
		free(r);
	}
	op->ids = ids;
	op->complete = complete;
	op->stages[op->n_stages++] = (struct sup_stage){ .tier = t, .act = SUP_ACT_SETTLE };
	sup_op_submit(e, op);
}

/* Drop the records of removals that are done: in batches, at most SUP_SETTLE_MS behind. */
void sup_reap_settle(struct sup_engine *e, bool now)
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

/* ---- what the last run left ---- */

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
	busy_add(e, r);
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

int sup_tomb_cmp(const void *a, const void *b)
{
	const struct sup_tomb *x = a, *y = b;

	if (x->key.lo != y->key.lo)
		return x->key.lo < y->key.lo ? -1 : 1;
	if (x->key.hi != y->key.hi)
		return x->key.hi < y->key.hi ? -1 : 1;
	return (x->tier > y->tier) - (x->tier < y->tier);
}

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

bool sup_reap_dead(struct sup_engine *e, const struct sup_fill_row *row)
{
	if (!is_dead(e, &row->key, row->ent.tier, row->ent.id))
		return false;
	e->tombs_hit |= 1u << e->tier_by_no[row->ent.tier]->ix;
	return true;
}

bool sup_reap_gone(const struct sup_engine *e, const struct om_rec *rec)
{
	struct idx_key key;

	if (!atomic_load(&e->tombs_apply))
		return false;
	idx_key_make(sup_engine_secret(e), rec->uri, rec->uri_len, &key);
	return is_dead(e, &key, rec->tier, rec->id);
}

void sup_reap_dead_found(struct sup_engine *e, struct sup_job *job)
{
	for (struct sup_op *op = job->ops; op; op = op->next) {
		op->of_start = op->dead;
		e->n_dead += op->dead;
	}
	if (!e->n_dead)
		atomic_store(&e->tombs_apply, false);
}

void sup_reap_dead_end(struct sup_engine *e, const struct sup_op *op)
{
	/* one that could not be deleted is left out until the next start */
	if (op->of_start && op->status == 0 && --e->n_dead == 0)
		atomic_store(&e->tombs_apply, false);
}

/* Pending removals and tombstones of the last runs. The removals wait: a record may still name the file (a crash between two commits). */
int sup_reap_load(struct sup_engine *e)
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
void sup_reap_live(struct sup_engine *e, uint8_t tier_no, uint64_t id)
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
	sup_read_queue(e, job);
	return true;
}

/* Where nothing is planned any more that leaves tombstones, those that are there have done their work. */
void sup_reap_tombs(struct sup_engine *e)
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
void sup_reap_filled(struct sup_engine *e)
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
			push(e, r);
			continue;
		}
		r->next = e->settle;
		e->settle = r;
		e->n_settle++;
	}
	/* at once: a removal of one of these files that comes after this must find its place empty */
	for (uint64_t left = e->n_settle + 1; e->n_settle && e->n_settle < left;) {
		left = e->n_settle;
		sup_reap_settle(e, true);
	}
	free(e->recover);
	e->recover = NULL;
	e->n_recover = e->cap_recover = 0;
	if (e->n_losers) {
		qsort(e->losers, e->n_losers, sizeof(*e->losers), sup_loser_cmp);
		e->stale_asked = ask(e, SUP_JOB_STALE);
	}
	if (e->n_tombs)
		sup_reap_tombs(e);
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

void sup_reap_loser(struct sup_engine *e, uint8_t tier_no, uint64_t id, bool dead)
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

static void free_list(struct sup_removal *r)
{
	while (r) {
		struct sup_removal *next = r->next;
		free(r);
		r = next;
	}
}

void sup_reap_free(struct sup_engine *e)
{
	free_list(e->rm);
	free_list(e->rm_late);
	free_list(e->rm_flight);
	free_list(e->rm_failed);
	for (size_t i = 0; i < e->n_recover; i++)
		free(e->recover[i]);
	free(e->recover);
	free(e->losers);
	free(e->tombs);
	free_list(e->settle);
}
