/*
 * sup_engine_tiers.c: tiers at run time: what a reload changes of them (main loop's thread), and their coming and going as far
 * as the publisher is concerned. What blocks is in sup_engine_tierd.c.
 *
 * Coming: the tier is attached with its catalog hidden from readers and in state `rebuilding`, so a miss proves nothing. Changes go
 * to its catalog from now on; those that were planned before leave tombstones, and only when these are recorded are the tombstones
 * read. Then each record passes through its key's queue (BACK, or a delete if a tombstone names it), so that nothing that was
 * changed meanwhile comes back. After the last one the tier is what it was.
 *
 * Going: no work is lent to its committer any more; what is there comes back; then its catalog and directories are closed. What it
 * alone holds is unavailable. Of a memory tier it is gone: the index forgets it and its copies.
 */
#include "common/om_fault.h"
#include "supervisor/sup_engine_admit.h"
#include "supervisor/sup_engine_mail.h"
#include "supervisor/sup_engine_owner.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_recover.h"
#include "supervisor/sup_engine_room.h"
#include "supervisor/sup_engine_scan.h"

int sup_tiers_slot(struct sup_engine *e, const struct om_conf_backend *conf)
{
	unsigned ix = e->n_tiers;
	struct sup_tier *t = &e->tiers[ix];
	pthread_condattr_t attr;

	if (ix == OM_TIERS_MAX)
		return -OBJM_STATUS_LIMIT_EXCEEDED;
	t->e = e;
	t->ix = ix;
	t->no = OM_TIER_NONE;
	t->rootfd = t->objectsfd = t->stagingfd = -1;
	t->scan_mode = -1;
	t->todo_end = &t->todo;
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->live_lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	int err = sup_tier_conf(t, conf);
	if (err == 0)
		e->n_tiers = ix + 1;
	return err;
}

/* Read-only or not follows the flags, as long as nothing else decides about the tier's state. */
static void follow_flags(struct sup_tier *t)
{
	int ready = OM_TIERS_READY, readonly = OM_TIERS_READONLY;

	if (sup_tier_writable(t))
		(void)atomic_compare_exchange_strong(&t->state, &readonly, OM_TIERS_READY);
	else
		(void)atomic_compare_exchange_strong(&t->state, &ready, OM_TIERS_READONLY);
}

void sup_engine_conf(struct sup_engine *e, const struct om_conf *conf)
{
	e->conf = conf;
	sup_tier_memory(e, conf); /* for memory tiers that are opened from now on */
	atomic_store(&e->decay_s, conf->lifecycle.hotness_decay_s);
	sup_rooms_conf(e, conf);
	sup_admit_conf(e, conf);
	sup_owners_conf(e, conf);
	for (size_t i = 0; i < conf->n_backends; i++) {
		struct sup_tier *t = sup_tier_named(e, conf->backends[i].name);
		if (t) {
			sup_tier_live_set(t, &conf->backends[i]);
			follow_flags(t);
		} else if (sup_tiers_slot(e, &conf->backends[i]) == 0) {
			sup_tierd_order(e, SUP_ORDER_OPEN, &e->tiers[e->n_tiers - 1], false, 0);
		} else {
			om_log(OM_MSG_TIER_ABSENT, "tier %s: no memory for it, or %u tiers are there already", conf->backends[i].name,
			       OM_TIERS_MAX);
		}
	}
	sup_mail_tell(e, SUP_MAIL_ROWS); /* the publisher tells the workers */
}

int sup_engine_tier_draining(struct sup_engine *e, const char *name, bool on)
{
	struct sup_tier *t = sup_tier_named(e, name);

	if (!t)
		return -OBJM_STATUS_NOT_FOUND;
	atomic_store(&t->draining, on);
	follow_flags(t);
	sup_mail_tell(e, SUP_MAIL_ROWS);
	return 0;
}

/* ---- the publisher ---- */

#define PURGE_STEP 16384u

/* Children need other directories than they have. */
static void told(struct sup_engine *e, struct sup_tier *t)
{
	sup_pub_rows(e, t);
	if (e->cb.tiers_changed)
		e->cb.tiers_changed(e->cb.arg);
}

/* ---- coming ---- */

static void take_over(struct sup_tier *t, struct sup_tier *n)
{
	struct sup_engine *e = t->e;

	pthread_mutex_lock(&e->dirs_lock);
	t->rootfd = om_take_fd(&n->rootfd);
	t->objectsfd = om_take_fd(&n->objectsfd);
	t->stagingfd = om_take_fd(&n->stagingfd);
	t->caps = n->caps;
	atomic_store(&t->late, atomic_load(&n->late));
	t->measured = n->measured;
	atomic_store(&t->own_fs, atomic_load(&n->own_fs));
	t->base_bytes = n->base_bytes;
	t->be = n->be;
	pthread_mutex_unlock(&e->dirs_lock);
	t->no = n->no;
	e->tier_by_no[t->no] = t;
	sup_tier_sized(t, n->whole_bytes); /* what a reload said while it was opened counts */
	atomic_store(&t->used_bytes, atomic_load(&n->used_bytes));
	atomic_store(&t->objects, atomic_load(&n->objects));
	atomic_store(&t->cat_bytes, atomic_load(&n->cat_bytes));
	t->owes_rebuild = n->owes_rebuild;
	atomic_store(&t->frozen, atomic_load(&n->frozen));
	t->ballast = n->ballast;
	sup_owner_tier(e, t, &n->owned);
}

static void come(struct sup_engine *e, struct sup_tier *t, struct sup_coming *c)
{
	take_over(t, &c->fresh);
	if (c->id_floor > e->id_next) { /* its ids are taken: the blocks at hand are not used any further */
		e->id_floor = e->id_next = e->id_end = c->id_floor;
		e->id2_next = e->id2_end = 0;
	}
	t->hidden = true;
	t->hides = false;
	t->forgotten = false;
	t->away = t->closing = t->purging = t->parting = false;
	t->dirty = 0;
	t->since = e->max_serial + 1;
	t->scan_mode = -1;
	t->back = true;
	t->back_last = false; /* back_flight stays: ops of an earlier coming may still wait for their keys, and end */
	t->cat = c->fresh.cat;
	c->fresh.cat = NULL;
	atomic_store(&t->state, OM_TIERS_REBUILDING);
	t->thread_on = pthread_create(&t->thread, NULL, sup_commit_main, t) == 0;
	if (!OM_CHECK(t->thread_on))
		sup_tier_fail(t, "no thread could be started");
	e->epoch++;
	t->coming = true;
	told(e, t);
}

bool sup_back_plan(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur)
{
	(void)cur; /* judged when it is published */
	sup_op_add_stage(op, e->tier_by_no[op->rec.tier], SUP_ACT_BACK, false);
	return true;
}

/* Of two records of a URI this one is of no use any more. */
static void loses(struct sup_engine *e, struct sup_op *op, uint8_t tier, uint64_t id)
{
	struct om_rec rec = { .id = id, .tier = tier, .uri = op->rec.uri, .uri_len = op->rec.uri_len };
	struct sup_op *del = tier < OM_TIERS_MAX && e->tier_by_no[tier] && e->tier_by_no[tier]->cat ? sup_op_new(SUP_OP_STALE, &rec) : NULL;

	if (!del)
		return; /* the next start finds both again */
	del->ikey = op->ikey;
	del->key = op->key;
	del->dead = true;
	sup_op_submit(e, del); /* behind this one */
}

/* The same version is known from another tier: is one the copy of the other, or did a move end half-way? */
static bool join(struct sup_engine *e, struct sup_op *op, const struct idx_ent *have, struct idx_ent *ent)
{
	bool copy = ent->tier != ent->home;

	if (have->tier == ent->tier && have->home == ent->home)
		return ent->rev >= have->rev;
	if (!copy && have->home == ent->tier) { /* its copy goes on serving */
		ent->tier = have->tier;
		return true;
	}
	if (copy && have->tier == have->home && have->home == ent->home) {
		uint8_t tier = ent->tier;
		*ent = *have;
		ent->tier = tier;
		return true;
	}
	bool wins = !copy && (ent->rev > have->rev || (ent->rev == have->rev && ent->tier < have->home)); /* as idx_cat_rec_wins() */
	loses(e, op, wins ? have->home : ent->tier, ent->id);
	return wins;
}

int sup_back_publish(struct sup_engine *e, struct sup_op *op)
{
	struct idx_ent have, ent = {
		.id = op->rec.id, .size = op->rec.size, .mtime_ns = op->rec.mtime_ns, .expiry_s = op->rec.expiry_s,
		.rev = op->rec.rev, .flags = (uint16_t)op->rec.flags, .tier = op->rec.tier, .home = op->rec.home,
	};
	bool put = true;

	if (idxw_get(e->index, &op->ikey, &have, NULL) == 0) {
		if (have.id > ent.id) {
			loses(e, op, ent.tier, ent.id);
			return 0;
		}
		if (have.id < ent.id && have.tier != ent.tier)
			loses(e, op, have.home, have.id);
		if (have.id == ent.id)
			put = join(e, op, &have, &ent);
	}
	return put ? sup_index_put(e, &op->ikey, &ent) : 0;
}

/* Files that were to be removed when it left, and whose records do not stand. */
static void reap_pending(struct sup_engine *e, struct sup_tier *t, const struct sup_coming *c)
{
	for (size_t i = 0; i < c->n_pending; i++)
		if (!c->stands[i] && !sup_reap_busy(e, t, c->pending[i]))
			sup_reap_add(e, t, c->pending[i], 0, SUP_RM_PENDING);
}

static void back_done(struct sup_engine *e, struct sup_tier *t)
{
	if (!t->back || !t->back_last || atomic_load(&t->back_flight))
		return;
	(void)om_fault(OM_FAULT_TIER_BACK);
	t->back = false;
	t->hidden = false;
	if (!t->owes_rebuild)
		atomic_store(&t->state, sup_tier_writable(t) ? OM_TIERS_READY : OM_TIERS_READONLY);
	atomic_store(&t->phase, SUP_PHASE_PRESENT);
	om_log(OM_MSG_TIER_READY, "tier %s (%s): it is there: %llu objects", t->conf->name, t->conf->path,
	       (unsigned long long)atomic_load(&t->objects));
	sup_scan_start(e); /* if its catalog is not whole, or the last run ended badly */
	sup_recover_tombs(e);
	sup_pub_rows(e, t);
}

void sup_back_end(struct sup_engine *e, struct sup_op *op)
{
	struct sup_tier *t = e->tier_by_no[op->rec.tier];

	if (!OM_CHECK(t != NULL))
		return;
	atomic_fetch_sub(&t->back_flight, 1);
	back_done(e, t);
}

static void take_back(struct sup_engine *e, struct sup_tier *t, struct sup_op *ops)
{
	while (ops) {
		struct sup_op *op = ops;
		ops = op->next;
		op->key = t->away ? NULL : sup_key_find(e, &op->ikey, true);
		if (op->key) {
			sup_op_submit(e, op);
			continue;
		}
		atomic_fetch_sub(&t->back_flight, 1);
		free(op);
	}
}

/* ---- going ---- */

static void purge_begin(struct sup_tier *t)
{
	t->purging = true;
	t->purge_again = false;
	t->purge_at = t->purge_lost = 0;
}

static void go(struct sup_engine *e, struct sup_tier *t)
{
	if (atomic_load(&t->phase) != SUP_PHASE_LEAVING || t->away)
		return;
	t->away = true;
	t->closing = t->coming = t->back = false;
	t->scan_mode = -1;
	t->hides = !t->is_volatile;
	atomic_store(&t->state, OM_TIERS_ABSENT);
	if (t->is_volatile)
		purge_begin(t);
	told(e, t);
}

struct purge {
	struct sup_engine *e;
	struct sup_tier *t;
};

/* An object that this tier serves or is the home of: its home serves it from now on, or nothing is left of it. */
static void purge_one(void *arg, const struct idx_key *key, const struct idx_ent *ent)
{
	struct purge *p = arg;
	struct idx_ent now = *ent;
	struct sup_key *busy;

	if (ent->tier != p->t->no && ent->home != p->t->no)
		return;
	busy = sup_key_find(p->e, key, false);
	if (busy && busy->running) { /* after its change */
		p->t->purge_again = true;
		return;
	}
	idx_genw_open(p->e->gens, idx_key_bucket(key));
	if (ent->home != p->t->no) {
		now.tier = now.home;
		(void)!OM_CHECK(sup_index_put(p->e, key, &now) == 0); /* it has a slot */
	} else {
		p->t->purge_lost++;
		(void)!OM_CHECK(sup_index_del(p->e, key) == 0);
	}
	idx_genw_close(p->e->gens, idx_key_bucket(key));
}

static void purged(struct sup_engine *e, struct sup_tier *t)
{
	t->purging = false;
	if (t->purge_lost)
		om_log(OM_MSG_TIER_ABSENT, "tier %s: %llu objects that were only there are gone with it", t->conf->name,
		       (unsigned long long)t->purge_lost);
	t->parting = t->forgotten;
	sup_pub_rows(e, t);
}

/* A forgotten tier loses its number, which another one may get: when nothing that is under way names it any more. */
static void part(struct sup_engine *e, struct sup_tier *t)
{
	if (sup_key_names(e, t) || sup_move_names(e, t) || sup_reap_flies(e, t))
		return;
	t->parting = false;
	sup_reap_forget(e, t);
	e->tier_by_no[t->no] = NULL;
	t->no = OM_TIER_NONE;
}

static void purge_step(struct sup_engine *e, struct sup_tier *t)
{
	struct purge p = { e, t };
	struct idxr_stat st;

	idxw_stat(e->index, &st);
	if (st.segment != t->purge_seg) { /* the slots are others: from the start */
		t->purge_seg = st.segment;
		t->purge_at = 0;
		t->purge_again = false;
	}
	t->purge_at = idxw_each(e->index, t->purge_at, PURGE_STEP, purge_one, &p);
	if (t->purge_at)
		return;
	if (t->purge_again)
		t->purge_again = false; /* another round */
	else
		purged(e, t);
}

static void forget(struct sup_engine *e, struct sup_tier *t)
{
	t->forgotten = true;
	t->hides = false;
	sup_owner_tier(e, t, NULL);
	om_log(OM_MSG_NOTE, "tier %s is forgotten: what only it held is not waited for any more", t->conf->name);
	purge_begin(t);
	sup_pub_rows(e, t);
}

/* ---- mail and turns ---- */

void sup_tiers_mail(struct sup_engine *e, struct sup_mail *mail)
{
	struct sup_tier *t = mail->tier;

	switch (mail->kind) {
	case SUP_MAIL_COMING:
		come(e, t, mail->coming);
		break;
	case SUP_MAIL_BACK:
		take_back(e, t, mail->ops);
		break;
	case SUP_MAIL_COME:
		reap_pending(e, t, mail->coming);
		sup_coming_free(mail->coming);
		t->back_last = true;
		back_done(e, t);
		break;
	case SUP_MAIL_AWAY:
		go(e, t);
		break;
	case SUP_MAIL_FORGET:
		forget(e, t);
		break;
	default:
		break;
	}
}

bool sup_tiers_turn(struct sup_engine *e)
{
	bool more = false;

	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		if (t->coming && e->tomb_ops[(e->epoch - 1) & 1] == 0) {
			t->coming = false;
			(void)om_fault(OM_FAULT_TIER_ATTACHED);
			atomic_store(&t->attached, true);
		}
		if (t->away && t->cat && !t->lent && !t->closing) {
			t->closing = true;
			if (t->is_volatile) /* whatever was under way has been counted; a disk's objects stay their owners' */
				sup_owner_tier(e, t, NULL);
			(void)om_fault(OM_FAULT_TIER_LEAVING);
			sup_tierd_order(e, SUP_ORDER_CLOSE, t, false, 0);
		}
		if (t->purging) {
			purge_step(e, t);
			more = true;
		}
		if (t->parting)
			part(e, t);
	}
	return more;
}
