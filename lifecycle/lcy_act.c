/*
 * lcy_act.c: candidates become jobs, and jobs end. Loop's thread of objmapper-lifecycle.
 *
 * The order: what expired; room where it is short, copies that others displaced; drains; then the moves of the cycle, of which
 * migration_batch begin, one up, one down, one copy for the cache tier in turn, so that none waits for another for ever. Every
 * candidate is looked at once more before it becomes a job: between the scan and now it may have been replaced, moved or deleted.
 */
#include "common/om_counter.h"
#include "common/om_text.h"
#include "lifecycle/lcy.h"

#define SECOND UINT64_C(1000000000)
#define DAMAGED_REST_S 86400u /* bytes that are wrong stay wrong */
#define FAILED_REST_S 60u

/* ---- from a scan to a list ---- */

static void add(struct lcy_plan *p, const struct lcy_cand *c)
{
	if (p->n_acts < p->acts_room)
		p->acts[p->n_acts++] = *c;
}

static void add_all(struct lcy_plan *p, struct lcy_best *b)
{
	lcy_best_sort(b);
	for (uint32_t i = 0; i < b->n; i++)
		add(p, &b->v[i]);
}

/* As many as free what is needed. */
static void add_room(struct lcy *l, unsigned tier, uint64_t now_ns)
{
	struct lcy_plan *p = &l->plan;
	struct lcy_best *b = &p->room[tier];
	uint64_t need = lcy_tier_need(l, tier), sum = 0;

	lcy_best_sort(b);
	for (uint32_t i = 0; i < b->n && sum < need; i++) {
		add(p, &b->v[i]);
		sum += b->v[i].size;
	}
	l->tiers[tier].room_now = b->n > 0;
	l->tiers[tier].room_freed = 0;
	if (b->n == 0) { /* nothing can go: look again at the next cycle, not all the time */
		l->tiers[tier].asked = 0;
		l->tiers[tier].over = false;
		l->tiers[tier].room_again_ns = now_ns + l->boot.lifecycle.interval_s * SECOND;
	}
}

static uint32_t total(const struct lcy_plan *p)
{
	uint32_t n = p->expired.n + p->drain.n + p->up.n + p->down.n;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		n += p->room[i].n;
	return n;
}

void lcy_act_scanned(struct lcy *l, uint64_t now_ns)
{
	struct lcy_plan *p = &l->plan;
	uint32_t n = total(p);

	/* what is left of the last list is what this scan found again */
	p->n_acts = p->next_act = 0;
	if (n > p->acts_room) {
		free(p->acts);
		p->acts = malloc(n * sizeof(*p->acts));
		p->acts_room = p->acts ? n : 0;
	}
	add_all(p, &p->expired);
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		if (p->room_tiers >> i & 1)
			add_room(l, i, now_ns);
	add_all(p, &p->drain);
	if (!p->cycle)
		return;
	p->budget = l->boot.lifecycle.migration_batch;
	lcy_best_sort(&p->up);
	lcy_best_sort(&p->down);
	for (uint32_t i = 0; i < OM_MAX(p->up.n, p->down.n); i++) {
		if (i < p->up.n)
			add(p, &p->up.v[i]);
		if (i < p->down.n)
			add(p, &p->down.v[i]);
	}
	om_count(OM_C_CYCLES, 1);
}

/* ---- starting ---- */

/* Is the candidate still true? */
static bool holds(const struct lcy_cand *c, const struct idx_ent *e)
{
	if (e->id != c->id)
		return false;
	if (c->kind == LCY_JOB_MOVE && c->move_kind == OM_MOVE_COPY)
		return e->home == c->from && e->tier == e->home;
	if (c->kind == LCY_JOB_DROP && c->drop_why == OM_DROP_COPY)
		return e->tier == c->from && e->home != c->from;
	return e->home == c->from;
}

/* A copy may be all that is left of an object whose home is damaged. Who asks for it by hand, or empties the tier, has been told. */
static bool keeps(const struct lcy *l, const struct lcy_cand *c)
{
	return c->kind == LCY_JOB_DROP && c->drop_why == OM_DROP_COPY && (c->why == LCY_WHY_CACHE || c->why == LCY_WHY_ROOM) &&
	       lcy_scrub_bad(l, c->id);
}

int lcy_act_start(struct lcy *l, const struct lcy_cand *c, struct lcy_job **ret_job)
{
	struct idxr_slot s;

	if (idxr_slot(&l->idx, c->slot, &s) < 0)
		return -OBJM_STATUS_TRY_AGAIN;
	if (s.state != IDXR_LIVE || !holds(c, &s.ent))
		return -OBJM_STATUS_PRECONDITION_FAILED;
	if (lcy_moves_find(&l->moves, c->id))
		return -OBJM_STATUS_TRY_AGAIN;
	if (keeps(l, c))
		return -OBJM_STATUS_PRECONDITION_FAILED;
	struct lcy_job *job = lcy_moves_new(&l->moves);
	if (!job)
		return -OBJM_STATUS_TRY_AGAIN;
	job->kind = (enum lcy_job_kind)c->kind;
	job->why = (enum lcy_why)c->why;
	job->id = s.ent.id;
	job->size = s.ent.size;
	job->rev = s.ent.rev;
	job->slot = c->slot;
	job->from = c->from;
	job->to = c->kind == LCY_JOB_MOVE ? c->to : OM_TIER_NONE;
	job->other = s.ent.home != c->from ? s.ent.home : s.ent.tier != c->from ? s.ent.tier : OM_TIER_NONE;
	job->move_kind = c->move_kind;
	job->drop_why = c->drop_why;
	if (job->to < OM_TIERS_MAX) {
		l->tiers[job->to].inbound += job->size;
		l->tiers[job->to].asked_for += job->size;
	}
	if (job->kind == LCY_JOB_DROP || job->move_kind == OM_MOVE_HOME)
		l->tiers[job->from].outbound += job->size;
	if (ret_job)
		*ret_job = job;
	lcy_moves_go(&l->moves, job);
	return 0;
}

static bool spare(const struct lcy *l, enum lcy_why why)
{
	unsigned keep = why == LCY_WHY_ROOM || why == LCY_WHY_TASK ? 0 : LCY_JOBS_SPARE;
	return l->moves.n_jobs + keep < LCY_JOBS_MAX;
}

/* Copies that go: at once, whatever the budget. */
static void start_gone(struct lcy *l)
{
	struct lcy_cand c;

	while (spare(l, LCY_WHY_CACHE) && lcy_cache_next_gone(l, &c))
		if (lcy_act_start(l, &c, NULL) < 0)
			continue; /* one that is busy is found by the next scan */
}

/* Room on the cache tier: in the policy's own order, without waiting for a scan. */
static void start_victims(struct lcy *l)
{
	unsigned tier = l->cache.policy ? l->cache.tier : OM_TIER_NONE;
	struct lcy_cand c;

	if (tier == OM_TIER_NONE || l->tiers[tier].room_now)
		return;
	while (lcy_tier_need(l, tier) > 0 && spare(l, LCY_WHY_ROOM) && lcy_cache_victim(l, &c))
		if (lcy_act_start(l, &c, NULL) < 0)
			continue; /* the same */
}

/* The next of the list; false: it must wait. */
static bool start_listed(struct lcy *l)
{
	struct lcy_plan *p = &l->plan;
	const struct lcy_cand *c = &p->acts[p->next_act];
	bool counts = c->why == LCY_WHY_CYCLE;

	if (!spare(l, (enum lcy_why)c->why))
		return false;
	p->next_act++;
	if (counts && (p->budget == 0 || p->paused))
		return true;
	/* room may have been made, or taken, since */
	if (c->why == LCY_WHY_ROOM && lcy_tier_need(l, c->from) == 0)
		return true;
	if (c->kind == LCY_JOB_MOVE && lcy_tier_takes(l, c->to, c->size, l->boot.lifecycle.evict_when_full, false, l->now_ns) < 0)
		return true;
	if (lcy_act_start(l, c, NULL) == 0 && counts)
		p->budget--;
	return true;
}

static bool start_copy(struct lcy *l, uint64_t now_ns)
{
	struct lcy_plan *p = &l->plan;
	struct lcy_cand c;

	if (p->budget == 0 || p->paused || !spare(l, LCY_WHY_CACHE) || !lcy_cache_next(l, &c))
		return false;
	/* what the policy let in has room by its accounts; what others took of the tier is seen here */
	if (lcy_tier_takes(l, c.to, c.size, l->boot.lifecycle.evict_when_full, true, now_ns) < 0 || !lcy_tier_gives(l, c.from, true) ||
	    !lcy_plan_rested(l, c.id, 1, l->now_s) || lcy_act_start(l, &c, NULL) < 0) {
		lcy_cache_not_there(l, c.slot, c.id);
		return true;
	}
	p->budget--;
	return true;
}

/* Room jobs that are under way or wait in the list. */
static void room_done(struct lcy *l)
{
	bool busy[OM_TIERS_MAX] = { false };
	const struct lcy_plan *p = &l->plan;

	for (uint32_t i = p->next_act; i < p->n_acts; i++)
		if (p->acts[i].why == LCY_WHY_ROOM)
			busy[p->acts[i].from] = true;
	for (unsigned i = 0; i < LCY_JOBS_MAX; i++)
		if (l->moves.job[i] && l->moves.job[i]->why == LCY_WHY_ROOM)
			busy[l->moves.job[i]->from] = true;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct lcy_tier *t = &l->tiers[i];
		t->hurry = t->hurry && (t->asked > 0 || busy[i]);
		if (!t->room_now || busy[i])
			continue;
		t->room_now = false;
		if (t->room_freed == 0) /* all of them failed: not again at once */
			t->room_again_ns = l->now_ns + l->boot.lifecycle.interval_s * SECOND;
	}
}

void lcy_act_turn(struct lcy *l)
{
	struct lcy_plan *p = &l->plan;
	uint64_t now_ns = l->now_ns;
	bool more = true;

	lcy_moves_turn(&l->moves);
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		lcy_tier_settle(l, i);
	l->cache.told = 0;
	start_gone(l);
	start_victims(l);
	while (more) {
		more = p->next_act < p->n_acts && start_listed(l);
		more |= start_copy(l, now_ns);
	}
	room_done(l);
}

void lcy_act_yield(struct lcy *l)
{
	bool room = false;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		room |= l->tiers[i].hurry;
	lcy_yield_turn(&l->moves.yield, l->now_ns, lcy_heat_asked(l), room);
}

void lcy_act_room(struct lcy *l, const struct om_op_room *m)
{
	if (m->tier >= OM_TIERS_MAX || !l->tiers[m->tier].on)
		return;
	struct lcy_tier *t = &l->tiers[m->tier];
	t->asked = OM_MAX(t->asked, m->bytes);
	t->hurry |= m->bytes > 0;
	t->room_again_ns = 0;
	lcy_tier_settle(l, m->tier);
	start_victims(l);
}

/* ---- ended ---- */

static void log_damaged(struct lcy *l, const struct lcy_job *job)
{
	const char *tier = lcy_tier_name(l, job->by_source ? job->from : job->to);
	OM_AUTO_FREE char *uri = job->found.rec.uri_len ? om_text_quote(job->found.rec.uri, job->found.rec.uri_len) : NULL;

	om_log(OM_MSG_DAMAGED, "tier %s: object %s (id %llu): %s; it stays where it is", tier, uri ? uri : "of unknown name",
	       (unsigned long long)job->id,
	       job->by_source ? (job->found.why ? job->found.why : "its bytes differ from their checksum, or its file was cut") :
				"what was written there reads back differently");
}

/* The status is the supervisor's answer: nothing is wrong with a tier, the moment was. */
static void refused(struct lcy *l, const struct lcy_job *job, uint64_t now_ns)
{
	l->plan.refused++;
	if (job->kind == LCY_JOB_MOVE && job->status == -OBJM_STATUS_NO_SPACE)
		l->tiers[job->to].again_ns = now_ns + l->boot.lifecycle.interval_s * SECOND;
	if (job->status == -OBJM_STATUS_INVALID_REQUEST || job->status == -OBJM_STATUS_COLLISION)
		lcy_plan_rest(l, job->id, 0, l->now_s + FAILED_REST_S);
}

static void failed(struct lcy *l, const struct lcy_job *job, uint64_t now_ns)
{
	uint64_t now_s = l->now_s;

	l->plan.failed++;
	om_count(OM_C_MOVE_FAILED, 1);
	if (job->status == -OBJM_STATUS_CORRUPT) {
		log_damaged(l, job);
		lcy_plan_rest(l, job->id, 0, now_s + DAMAGED_REST_S);
		if (job->by_target)
			lcy_tier_failed(l, job->to, job->status, true, now_ns);
		return;
	}
	lcy_plan_rest(l, job->id, 0, now_s + FAILED_REST_S);
	if (job->unsynced)
		lcy_tier_dead(l, job->to);
	if (job->by_target)
		lcy_tier_failed(l, job->to, job->status, true, now_ns);
	/* one file that is gone is no fault of the tier; what is found gone by a reader is put right */
	else if (job->by_source && job->status != -OBJM_STATUS_NOT_FOUND && job->from < OM_TIERS_MAX)
		lcy_tier_failed(l, job->from, job->status, false, now_ns);
}

static void moved(struct lcy *l, const struct lcy_job *job)
{
	struct lcy_plan *p = &l->plan;
	bool up = lcy_tier_faster(l, job->to, job->from);

	lcy_tier_worked(l, job->to);
	lcy_tier_worked(l, job->from);
	p->moved_bytes += job->size;
	if (job->move_kind == OM_MOVE_COPY) {
		p->cached++;
		om_count(OM_C_COPIED, 1);
		om_count(OM_C_COPIED_BYTES, job->size);
		lcy_cache_there(l, job->slot, job->id, job->size);
		return;
	}
	p->moved_up += up;
	p->moved_down += !up;
	om_count(OM_C_MOVED, 1);
	om_count(OM_C_MOVED_BYTES, job->size);
	lcy_plan_rest(l, job->id, up ? 1 : -1, l->now_s + l->boot.limits.decay_s);
}

static void dropped(struct lcy *l, const struct lcy_job *job)
{
	l->plan.dropped++;
	l->plan.expired_n += job->drop_why == OM_DROP_EXPIRED;
	om_count(OM_C_DROPPED, 1);
	om_count(OM_C_DROPPED_BYTES, job->size);
	if (job->drop_why == OM_DROP_COPY)
		lcy_cache_not_there(l, job->slot, job->id);
}

void lcy_act_begun(void *arg, const struct lcy_job *job)
{
	struct lcy_tier *to = &((struct lcy *)arg)->tiers[job->to];

	to->asked_for -= OM_MIN(to->asked_for, job->size);
}

void lcy_act_ended(struct lcy *l, struct lcy_job *job)
{
	struct lcy_tier *from = job->from < OM_TIERS_MAX ? &l->tiers[job->from] : NULL;
	bool leaves = from && (job->kind == LCY_JOB_DROP || (job->kind == LCY_JOB_MOVE && job->move_kind == OM_MOVE_HOME));
	uint64_t now_ns = l->now_ns;

	if (job->kind == LCY_JOB_NAME)
		return; /* who asked for it has it */
	if (job->kind == LCY_JOB_MOVE) {
		if (!job->begun)
			l->tiers[job->to].asked_for -= OM_MIN(l->tiers[job->to].asked_for, job->size);
		l->tiers[job->to].inbound -= OM_MIN(l->tiers[job->to].inbound, job->size);
	}
	if (leaves)
		from->outbound -= OM_MIN(from->outbound, job->size);
	if (leaves && job->status == 0) {
		from->leaving += job->size;
		from->leaving_ns = now_ns;
	}
	if (job->status == 0) {
		if (job->kind == LCY_JOB_MOVE)
			moved(l, job);
		else
			dropped(l, job);
		if (leaves && job->why == LCY_WHY_ROOM)
			from->room_freed += job->size + 1;
		if (leaves && job->why == LCY_WHY_DRAIN) {
			from->drained++;
			from->drained_bytes += job->size;
		}
	} else {
		if (job->asked)
			refused(l, job, now_ns);
		else
			failed(l, job, now_ns);
		if (job->kind == LCY_JOB_MOVE && job->move_kind == OM_MOVE_COPY)
			lcy_cache_not_there(l, job->slot, job->id);
	}
}
