/*
 * lcy_scrub.c: which object is read next, and when: see lcy_scrub.h. Loop's thread of objmapper-lifecycle, and at the end the thread that
 * reads, which sees nothing but what it was handed.
 */
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "lifecycle/lcy.h"

#define SECOND UINT64_C(1000000000)
#define SCRUB_NICE 10 /* as movers */
#define TRIES 256u    /* objects that turn out to be gone, in one turn */

/* ---- which tiers ---- */

/* Whose filesystem is on the other side of a network, its server scrubs; and what lies in memory is gone with the next restart. */
static bool in_scope(const struct lcy *l, unsigned no)
{
	const struct om_boot_tier *row = lcy_tier_row(l, no);
	struct idxr_tier t;

	return row && row->type != OM_TIER_MEMORY && row->type != OM_TIER_NETWORK && l->tiers[no].on && !l->tiers[no].drain &&
	       idxr_tier(&l->idx, no, &t) == 0 && (t.state == OM_TIERS_READY || t.state == OM_TIERS_READONLY);
}

bool lcy_scrub_tier_is(const struct lcy *l, unsigned no) { return no < OM_TIERS_MAX && in_scope(l, no); }

void lcy_scrub_soon(struct lcy *l)
{
	struct lcy_scrub *s = &l->scrub;
	uint64_t at = l->now_ns + SECOND;

	s->save_ns = s->save_ns ? OM_MIN(s->save_ns, at) : at;
}

/* ---- what is to be read: found along with the scans of lcy_plan.c ---- */

void lcy_scrub_scan(struct lcy *l)
{
	struct lcy_scrub *s = &l->scrub;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct lcy_scrub_tier *t = &s->tier[i];
		bool wanted = (l->boot.lifecycle.scrub_days || s->state.row[i].now) && in_scope(l, i);
		t->collect = wanted && t->batch.n - t->at < LCY_SCRUB_BATCH / 4;
		t->from = s->state.row[i].pos;
		t->total_now = 0;
		lcy_best_clear(&t->found, t->collect ? LCY_SCRUB_BATCH : 0);
	}
}

void lcy_scrub_see(struct lcy *l, uint32_t slot, const struct idx_ent *e)
{
	struct lcy_scrub_tier *t = &l->scrub.tier[e->home];

	t->total_now += lcy_scrub_cost(e->size);
	if (!t->collect || e->id <= t->from || !lcy_best_wants(&t->found, -(double)e->id))
		return;
	lcy_best_add(&t->found, &(struct lcy_cand){ .score = -(double)e->id, .id = e->id, .size = e->size, .slot = slot, .from = e->home });
}

static void end_pass(struct lcy *l, unsigned no)
{
	struct lcy_scrub_state *st = &l->scrub.state;
	struct lcy_scrub_row *r = &st->row[no];
	const struct lcy_scrub_sums *c = &r->cur;

	if ((r->now && c->objects) || c->damaged || c->unreadable)
		om_log(OM_MSG_SCRUBBED, "tier %s: every object has been read: %llu (%llu bytes), %llu damaged, %llu unreadable, %llu without a checksum",
		       lcy_tier_name(l, no), (unsigned long long)c->objects, (unsigned long long)c->bytes, (unsigned long long)c->damaged,
		       (unsigned long long)c->unreadable, (unsigned long long)c->no_sum);
	/* what was found in an earlier pass, and not in this one, is deleted or replaced */
	for (uint32_t i = 0; i < st->n_bad;)
		if (st->bad[i].tier == no && st->bad[i].seen_s < c->began_s)
			st->bad[i] = st->bad[--st->n_bad];
		else
			i++;
	r->last = r->cur;
	r->last.ended_s = l->now_s;
	r->cur = (struct lcy_scrub_sums){ .began_s = l->now_s };
	r->pos = 0;
	r->now = 0;
	lcy_scrub_soon(l);
}

/* A scan has met every object: what it found is what comes next. If it found nothing, the pass is over. */
static void take_found(struct lcy *l, unsigned no)
{
	struct lcy_scrub_tier *t = &l->scrub.tier[no];
	const struct lcy_scrub_row *r = &l->scrub.state.row[no];

	t->total = t->total_now;
	if (!t->collect || t->from > r->pos)
		return; /* the pass began anew meanwhile: the next scan */
	struct lcy_best was = t->batch;
	t->batch = t->found;
	t->found = was;
	t->at = 0;
	lcy_best_sort(&t->batch); /* lowest id first */
	if (t->batch.n == 0 && (r->pos > 0 || r->now) && in_scope(l, no))
		end_pass(l, no);
}

void lcy_scrub_scanned(struct lcy *l, bool whole)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct lcy_scrub_tier *t = &l->scrub.tier[i];
		if (whole)
			take_found(l, i);
		t->collect = false;
		t->found.n = 0;
	}
}

void lcy_scrub_forget(struct lcy *l)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		l->scrub.tier[i].batch.n = l->scrub.tier[i].at = 0;
	l->scrub.void_job = true;
	lcy_scrub_scanned(l, false);
}

void lcy_scrub_now(struct lcy *l, bool on)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct lcy_scrub_row *r = &l->scrub.state.row[i];
		struct lcy_scrub_tier *t = &l->scrub.tier[i];
		if (!on || r->now || !in_scope(l, i)) {
			r->now = on && r->now;
			continue;
		}
		r->now = 1;
		r->pos = 0;
		r->cur = (struct lcy_scrub_sums){ .began_s = l->now_s };
		t->batch.n = t->at = 0;
		t->fails = 0;
		t->again_ns = 0;
		lcy_plan_soon(l);
	}
	lcy_scrub_soon(l);
}

/* ---- when ---- */

/* Is there nothing better to do? */
static bool quiet(const struct lcy *l)
{
	const struct lcy_plan *p = &l->plan;
	bool room = false;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		room |= l->tiers[i].hurry;
	return !p->paused && !room && !l->moves.n_jobs && p->next_act == p->n_acts && !l->scan_running && !l->copying;
}

/* Time passes for all tiers alike, but not while nothing is to be read. */
static void pass_time(struct lcy *l)
{
	struct lcy_scrub *s = &l->scrub;
	uint64_t dt = s->seen_ns ? l->now_ns - s->seen_ns : 0;

	s->seen_ns = l->now_ns;
	if (l->plan.paused || !l->boot.lifecycle.scrub_days)
		return;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		s->state.row[i].waited_ns += dt;
}

/* How far the tier's next object is overdue, in *ret_late. False: it is not due. */
static bool due(struct lcy *l, unsigned no, uint64_t *ret_late)
{
	struct lcy_scrub_tier *t = &l->scrub.tier[no];
	struct lcy_scrub_row *r = &l->scrub.state.row[no];

	while (t->at < t->batch.n && t->batch.v[t->at].id <= r->pos)
		t->at++; /* looked at while the scan ran that found it */
	if ((t->at == t->batch.n && !r->now) || l->now_ns < t->again_ns || !in_scope(l, no))
		return false;
	if (t->at == t->batch.n) {
		if (!l->plan.scanning && idxr_complete(&l->idx))
			lcy_plan_soon(l);
		return false;
	}
	if (r->now) {
		*ret_late = UINT64_MAX;
		return true;
	}
	uint64_t share = lcy_scrub_share(l->boot.lifecycle.scrub_days, t->batch.v[t->at].size, t->total);
	*ret_late = r->waited_ns - OM_MIN(r->waited_ns, share);
	return l->boot.lifecycle.scrub_days && r->waited_ns >= share;
}

static const struct be *be_of(const struct lcy *l, unsigned no) { return no < OM_TIERS_MAX && l->tiers[no].on ? &l->tiers[no].scrub : NULL; }

/* The candidate becomes the job, if it is still what it was. */
static bool make_job(struct lcy *l, const struct lcy_cand *c)
{
	struct lcy_scrub_job *job = &l->scrub.job;
	struct idxr_slot sl;

	if (idxr_slot(&l->idx, c->slot, &sl) < 0 || sl.state != IDXR_LIVE || sl.ent.id != c->id || sl.ent.home != c->from)
		return false;
	const struct idx_ent *e = &sl.ent;
	bool copy = e->tier != e->home;
	*job = (struct lcy_scrub_job){ .id = e->id, .size = e->size, .rev = e->rev, .slot = c->slot };
	job->file[LCY_SCRUB_HOME] = (struct lcy_scrub_file){ .be = be_of(l, e->home), .tier = e->home };
	job->file[LCY_SCRUB_COPY] = (struct lcy_scrub_file){ .be = copy ? be_of(l, e->tier) : NULL, .tier = copy ? e->tier : OM_TIER_NONE,
							     .memory = copy && lcy_tier_memory(l, e->tier) };
	return true;
}

/* Of the tiers whose next object is due, the one that has waited longest; OM_TIER_NONE: none. */
static unsigned most_due(struct lcy *l)
{
	unsigned best = OM_TIER_NONE;
	uint64_t late, most = 0;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		if (due(l, i, &late) && (best == OM_TIER_NONE || late > most)) {
			best = i;
			most = late;
		}
	return best;
}

/* False: nothing is due. */
static bool next_job(struct lcy *l)
{
	unsigned no;

	for (unsigned tries = 0; tries < TRIES && (no = most_due(l)) != OM_TIER_NONE; tries++) {
		struct lcy_scrub_tier *t = &l->scrub.tier[no];
		struct lcy_scrub_row *r = &l->scrub.state.row[no];
		const struct lcy_cand *c = &t->batch.v[t->at++];
		if (!r->now)
			r->waited_ns = lcy_scrub_left(r->waited_ns, lcy_scrub_share(l->boot.lifecycle.scrub_days, c->size, t->total));
		if (make_job(l, c))
			return true;
		r->pos = c->id; /* deleted, replaced or moved since */
	}
	return false;
}

/* ---- the thread ---- */

static void *scrub_main(void *arg)
{
	struct lcy *l = arg;
	struct lcy_scrub *s = &l->scrub;

	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), SCRUB_NICE);
	(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	lcy_yield_open(&s->seat);
	pthread_mutex_lock(&s->lock);
	while (!atomic_load(&s->stop)) {
		if (!s->asked) {
			pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		s->asked = false;
		pthread_mutex_unlock(&s->lock);
		if (s->writes) {
			s->out_status = lcy_scrub_write(l->save.dirfd, &s->out, true);
		} else {
			lcy_yield_enter(&s->seat);
			lcy_scrub_look(&s->copy, &s->job, s->attr);
			lcy_yield_leave(&s->seat);
		}
		atomic_store(&s->done, true);
		(void)eventfd_write(l->ring.kick_self, 1);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

bool lcy_scrub_start(struct lcy *l)
{
	struct lcy_scrub *s = &l->scrub;

	if (s->on)
		return true;
	if (!s->copy.buf)
		s->copy.buf = aligned_alloc(LCY_COPY_ALIGN, LCY_COPY_ALIGN);
	if (!s->copy.buf)
		return false;
	(void)madvise(s->copy.buf, LCY_COPY_ALIGN, MADV_HUGEPAGE);
	s->seat.all = &l->moves.yield;
	s->copy.rate = &l->moves.rate;
	s->copy.seat = &s->seat;
	s->copy.stop = &s->stop;
	s->copy.hold = &s->hold;
	s->copy.from_fd = -1;
	s->on = pthread_create(&s->thread, NULL, scrub_main, l) == 0;
	return s->on;
}

static void ask(struct lcy *l, bool writes)
{
	struct lcy_scrub *s = &l->scrub;

	s->writes = writes;
	s->busy = true;
	atomic_store(&s->done, false);
	pthread_mutex_lock(&s->lock);
	s->asked = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

/* ---- a turn ---- */

static void written(struct lcy_scrub *s)
{
	if (s->out_status == 0) /* else the same file again: the other one is whole */
		s->state.seq = s->out.seq;
	if (s->out_status < 0 && s->said != s->out_status)
		om_log(OM_MSG_NOTE, "how far scrubs are could not be written to state_dir/heat.d: %s; after a restart they begin anew, or from an older position",
		       om_status_text(s->out_status));
	s->said = s->out_status;
}

static void next(struct lcy *l)
{
	struct lcy_scrub *s = &l->scrub;

	if (!s->on && !s->save_ns && !l->boot.lifecycle.scrub_days)
		return; /* it may never be needed */
	if (!lcy_scrub_start(l))
		return; /* no memory for it now: at a later turn */
	if (s->save_ns && l->now_ns >= s->save_ns && l->save.dirfd >= 0) {
		s->save_ns = 0;
		s->out = s->state;
		ask(l, true);
		return;
	}
	if (!quiet(l))
		return;
	if (s->look == 1 && s->again_ns) {
		if (l->now_ns >= s->again_ns) {
			s->again_ns = 0;
			s->look = 2;
			ask(l, false);
		}
		return;
	}
	if (next_job(l)) {
		s->look = 1;
		s->void_job = false;
		if (!s->save_ns)
			s->save_ns = l->now_ns + LCY_SCRUB_KEEP_S * SECOND;
		ask(l, false);
	}
}

bool lcy_scrub_turn(struct lcy *l, struct lcy_cand *ret_drop)
{
	struct lcy_scrub *s = &l->scrub;
	bool drop = false;

	pass_time(l);
	if (s->busy && atomic_load(&s->done)) {
		s->busy = false;
		if (s->writes)
			written(s);
		else
			drop = lcy_scrub_judge(l, ret_drop);
	}
	atomic_store_explicit(&s->hold, !quiet(l), memory_order_relaxed);
	if (!s->busy)
		next(l);
	return drop;
}

/* ---- begin and end ---- */

void lcy_scrub_init(struct lcy *l)
{
	struct lcy_scrub *s = &l->scrub;

	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	if (l->save.dirfd >= 0)
		(void)lcy_scrub_read(l->save.dirfd, &s->state); /* none: from the start */
	for (unsigned i = 0; i < l->boot.n_tiers; i++) {
		const struct om_boot_tier *b = &l->boot.tiers[i];
		struct lcy_scrub_row *r = b->tier < OM_TIERS_MAX ? &s->state.row[b->tier] : NULL;
		if (r && r->now && strcmp(r->name, b->name) == 0)
			lcy_scrub_soon(l); /* what was asked for goes on */
		if (!r || strcmp(r->name, b->name) == 0)
			continue;
		*r = (struct lcy_scrub_row){ .cur.began_s = l->now_s };
		memcpy(r->name, b->name, sizeof(r->name));
	}
}

void lcy_scrub_last(struct lcy *l)
{
	struct lcy_scrub *s = &l->scrub;

	if (l->save.dirfd < 0 || (s->busy && s->writes))
		return;
	int err = lcy_scrub_write(l->save.dirfd, &s->state, false);
	if (err < 0)
		om_log(OM_MSG_NOTE, "how far scrubs are could not be written to state_dir/heat.d: %s", om_status_text(err));
}

void lcy_scrub_fini(struct lcy *l)
{
	struct lcy_scrub *s = &l->scrub;

	pthread_mutex_lock(&s->lock);
	atomic_store(&s->stop, true);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (s->on)
		(void)pthread_join(s->thread, NULL);
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		lcy_best_fini(&s->tier[i].found);
		lcy_best_fini(&s->tier[i].batch);
	}
	lcy_scrub_job_fini(&s->job);
	free(s->copy.buf);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->wake);
}
