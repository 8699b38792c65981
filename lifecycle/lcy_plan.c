/*
 * lcy_plan.c: the cycle: every interval all objects are looked at, in slices that do not disturb, and the best candidates of each
 * kind are kept in bounded memory. lcy_act.c does something about them. Loop's thread of objmapper-lifecycle.
 *
 * Why nothing flaps: an object goes up above hot_threshold and down below cold_threshold, and what lies between is left alone;
 * nothing goes down that was put or moved less than a half-life of heat ago, nor up again; a tier is filled up to evict_target
 * from below and emptied above evict_when_full. So a full circle takes an object that cooled from above one threshold to below the
 * other, and two half-lives.
 */
#include "lifecycle/lcy.h"

#include <math.h>

#define SECOND UINT64_C(1000000000)

/* ---- what has moved of late ---- */

static uint32_t recent_at(uint64_t id) { return (uint32_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 48) % LCY_RECENT; }

bool lcy_plan_rested(const struct lcy *l, uint64_t id, int dir, uint64_t now_s)
{
	const struct lcy_recent *r = &l->plan.recent[recent_at(id)];

	if (r->id != id || (int32_t)(r->until_s - (uint32_t)now_s) <= 0)
		return true;
	return r->dir != 0 && r->dir == dir; /* on in the same direction is no flapping */
}

void lcy_plan_rest(struct lcy *l, uint64_t id, int dir, uint64_t until_s)
{
	/* one place for each: a collision forgets the older, which is a chance to move too soon, once */
	l->plan.recent[recent_at(id)] = (struct lcy_recent){ .id = id, .until_s = (uint32_t)until_s, .dir = (int8_t)dir };
}

/* ---- one object ---- */

static uint64_t age_s(const struct idx_ent *e, uint64_t now_s)
{
	uint64_t put_s = e->mtime_ns / SECOND;
	return now_s > put_s ? now_s - put_s : 0;
}

/* 0..1, more for what was put longer ago: between objects of the same heat. */
static double seniority(const struct idx_ent *e, uint64_t now_s) { return log2(1.0 + (double)age_s(e, now_s)) / 64.0; }

static struct lcy_cand cand_of(uint32_t slot, const struct idx_ent *e, enum lcy_why why)
{
	return (struct lcy_cand){ .id = e->id, .size = e->size, .slot = slot, .from = e->home, .why = (uint8_t)why };
}

static bool expired(const struct idx_ent *e, uint64_t now_s) { return e->expiry_s != 0 && e->expiry_s <= now_s; }

bool lcy_plan_judge(const struct lcy *l, uint32_t slot, const struct idx_ent *e, double heat, uint64_t now_ns, uint64_t now_s,
		    struct lcy_cand *ret)
{
	const struct om_boot_lifecycle *c = &l->boot.lifecycle;
	unsigned to;

	if (e->home >= OM_TIERS_MAX || (e->flags & OM_OBJ_PINNED))
		return false;
	*ret = cand_of(slot, e, LCY_WHY_CYCLE);
	ret->kind = LCY_JOB_MOVE;
	ret->move_kind = OM_MOVE_HOME;
	if (heat > c->hot_threshold) {
		if (!lcy_plan_rested(l, e->id, 1, now_s) || !lcy_tier_gives(l, e->home, false))
			return false;
		to = lcy_tier_up(l, e->home, e->size, now_ns);
		ret->score = heat;
	} else if (heat < c->cold_threshold) {
		if (age_s(e, now_s) < l->boot.limits.decay_s || !lcy_plan_rested(l, e->id, -1, now_s) || !lcy_tier_gives(l, e->home, false))
			return false;
		to = lcy_tier_down(l, e->home, e->size, now_ns);
		ret->score = 1.0 - heat + seniority(e, now_s);
	} else {
		return false;
	}
	ret->to = (uint8_t)to;
	return to != OM_TIER_NONE;
}

/* Something that makes room on the tier that it lies on; the higher the score the sooner: copies, expired ones, evictable ones,
 * then those that can go to a slower tier; within each the coldest. */
static bool makes_room(const struct lcy *l, unsigned tier, uint32_t slot, const struct idx_ent *e, double heat, uint64_t now_ns,
		       uint64_t now_s, struct lcy_cand *ret)
{
	double cold = 1.0 - heat + seniority(e, now_s);

	*ret = cand_of(slot, e, LCY_WHY_ROOM);
	ret->kind = LCY_JOB_DROP;
	ret->from = (uint8_t)tier;
	if (e->tier == tier && e->home != tier) {
		ret->drop_why = OM_DROP_COPY;
		ret->score = 40 + cold;
		return true;
	}
	if (e->home != tier)
		return false;
	if (expired(e, now_s)) {
		ret->drop_why = OM_DROP_EXPIRED;
		ret->score = 30 + cold;
		return true;
	}
	if (e->flags & OM_OBJ_PINNED)
		return false;
	if ((e->flags & OM_OBJ_EVICTABLE) && e->tier == e->home) {
		ret->drop_why = OM_DROP_EVICT;
		ret->score = 20 + cold;
		return true;
	}
	if (!lcy_tier_gives(l, tier, false))
		return false;
	unsigned to = lcy_tier_down(l, tier, e->size, now_ns);
	ret->kind = LCY_JOB_MOVE;
	ret->move_kind = OM_MOVE_HOME;
	ret->to = (uint8_t)to;
	ret->score = 10 + cold;
	return to != OM_TIER_NONE;
}

#define ID_EXACT (UINT64_C(1) << 46) /* beside a class, a double still holds this exactly */

/*
 * The large ones first: they decide how long it takes. Of about one size (a factor of two), and of those that move many at a time, in the
 * order in which they were put: as they lie on the disk, their inodes too. In the order of the index, which is none, a disk turns, and
 * what the kernel reads ahead is not what comes next: copying then takes twice as long.
 */
static double drain_score(const struct idx_ent *e)
{
	unsigned class = e->size < LCY_COPY_DIRECT ? 0 : 64u - (unsigned)__builtin_clzll(e->size);

	return (double)(class * ID_EXACT) - (double)OM_MIN(e->id, ID_EXACT - 1);
}

/* An object of a tier that is drained. */
static void drain_one(struct lcy *l, uint32_t slot, const struct idx_ent *e, uint64_t now_ns)
{
	struct lcy_cand c = cand_of(slot, e, LCY_WHY_DRAIN);
	struct lcy_tier *t = &l->tiers[l->tiers[e->home].drain ? e->home : e->tier];

	if (!l->tiers[e->home].drain) { /* a copy */
		c.kind = LCY_JOB_DROP;
		c.from = e->tier;
		c.drop_why = OM_DROP_COPY;
	} else {
		unsigned to = (e->flags & OM_OBJ_PINNED) ? OM_TIER_NONE : lcy_tier_any(l, e->home, e->size, now_ns);
		if (to == OM_TIER_NONE) {
			t->drain_stuck_now++;
			return;
		}
		c.kind = LCY_JOB_MOVE;
		c.move_kind = OM_MOVE_HOME;
		c.to = (uint8_t)to;
	}
	c.score = drain_score(e);
	lcy_best_add(&l->plan.drain, &c);
}

static void see(struct lcy *l, uint32_t slot, const struct idx_ent *e, uint64_t now_ns, uint64_t now_s)
{
	struct lcy_plan *p = &l->plan;
	struct idx_heat_val v = { 0 };
	struct lcy_cand c;

	p->live++;
	p->bytes += e->size;
	if (e->home == l->boot.cache_tier)
		p->cache_other_now += e->size;
	lcy_save_see(l, slot, e, now_s);
	(void)idx_heat_get(&l->heat, slot, now_s, e->since_s, &v); /* being moved by its sweep: cold, this once */
	lcy_cache_see(l, slot, e, now_s);
	if (v.heat > 0 && lcy_best_wants(&p->top_now, v.count)) {
		c = cand_of(slot, e, LCY_WHY_TASK);
		c.score = v.count;
		lcy_best_add(&p->top_now, &c);
	}
	if (e->home >= OM_TIERS_MAX || e->tier >= OM_TIERS_MAX)
		return;
	lcy_scrub_see(l, slot, e);
	if (expired(e, now_s)) {
		c = cand_of(slot, e, LCY_WHY_EXPIRED);
		c.kind = LCY_JOB_DROP;
		c.drop_why = OM_DROP_EXPIRED;
		c.score = (double)(now_s - e->expiry_s);
		lcy_best_add(&p->expired, &c);
		return;
	}
	if (l->tiers[e->home].drain || l->tiers[e->tier].drain) {
		drain_one(l, slot, e, now_ns);
		return;
	}
	for (uint32_t bits = p->room_tiers; bits; bits &= bits - 1) {
		unsigned tier = (unsigned)__builtin_ctz(bits);
		if ((e->tier == tier || e->home == tier) && makes_room(l, tier, slot, e, v.heat, now_ns, now_s, &c))
			lcy_best_add(&p->room[tier], &c);
	}
	if (p->cycle && lcy_plan_judge(l, slot, e, v.heat, now_ns, now_s, &c))
		lcy_best_add(lcy_tier_faster(l, c.to, c.from) ? &p->up : &p->down, &c);
}

/* ---- the scan ---- */

static void begin(struct lcy *l, uint64_t now_ns, bool cycle)
{
	struct lcy_plan *p = &l->plan;
	uint32_t batch = cycle && !p->paused ? l->boot.lifecycle.migration_batch : 0;

	p->scanning = true;
	p->want = false;
	p->cycle = cycle && !p->paused;
	p->at = p->live = p->bytes = p->cache_other_now = 0;
	p->started_ns = now_ns;
	p->room_tiers = 0;
	lcy_best_clear(&p->up, batch);
	lcy_best_clear(&p->down, batch);
	lcy_best_clear(&p->expired, LCY_EXPIRED_MAX);
	lcy_best_clear(&p->drain, LCY_DRAIN_MAX);
	lcy_best_clear(&p->top_now, LCY_TOP_MAX);
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		l->tiers[i].drain_stuck_now = 0;
		bool need = l->tiers[i].on && !l->tiers[i].room_now && now_ns >= l->tiers[i].room_again_ns && lcy_tier_need(l, i) > 0;
		lcy_best_clear(&p->room[i], need ? LCY_ROOM_MAX : 0);
		p->room_tiers |= (uint32_t)need << i;
	}
	lcy_save_begin(l, now_ns);
	lcy_scrub_scan(l);
}

static void drain_looked(struct lcy *l, uint64_t now_ns)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct lcy_tier *t = &l->tiers[i];
		if (!t->drain)
			continue;
		t->drain_idle = t->drained > t->drain_seen ? 0 : t->drain_idle + 1;
		t->drain_seen = t->drained;
		t->drain_stuck = t->drain_stuck_now;
		t->drain_looks++;
		/* what was busy a moment ago, such as a name whose older file is still on its way out, is free soon */
		uint64_t first_ms = OM_MAX(UINT64_C(20), l->plan.took_ns / 1000000u); /* and looking takes no more than half of the time */
		uint64_t pause_ms = OM_MIN(first_ms << OM_MIN(t->drain_idle, 18u), l->boot.lifecycle.interval_s * UINT64_C(1000));
		t->drain_again_ns = now_ns + pause_ms * UINT64_C(1000000);
	}
}

static void end(struct lcy *l, uint64_t now_ns)
{
	struct lcy_plan *p = &l->plan;

	p->scanning = false;
	p->took_ns = now_ns - p->started_ns;
	p->last_live = p->live;
	p->last_bytes = p->bytes;
	p->cache_other = p->cache_other_now;
	struct lcy_best was = p->top;
	p->top = p->top_now;
	p->top_now = was;
	lcy_best_sort(&p->top);
	p->top_ns = now_ns;
	lcy_save_end(l, idxr_complete(&l->idx));
	lcy_scrub_scanned(l, idxr_complete(&l->idx));
	drain_looked(l, now_ns);
}

/* True: it was the last one. */
static bool slice(struct lcy *l, uint64_t now_ns, uint64_t now_s)
{
	struct lcy_plan *p = &l->plan;
	uint64_t to = OM_MIN(p->at + LCY_SLICE, l->idx.slots);
	struct idxr_slot s;

	for (; p->at < to; p->at++) {
		if (idxr_slot(&l->idx, p->at, &s) < 0)
			continue; /* being written: next time */
		if (s.state == IDXR_LIVE)
			see(l, (uint32_t)p->at, &s.ent, now_ns, now_s);
		else
			lcy_cache_see(l, (uint32_t)p->at, NULL, now_s);
	}
	if (p->at < l->idx.slots)
		return false;
	end(l, now_ns);
	return true;
}

/* Someone is above the mark, or waits, and no candidates are under way: that does not wait for the next cycle. */
static bool room_wanted(const struct lcy *l, uint64_t now_ns)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		if (l->tiers[i].on && !l->tiers[i].room_now && now_ns >= l->tiers[i].room_again_ns && lcy_tier_need(l, i) > 0)
			return true;
	return false;
}

/* A drain is not over and nothing of it is under way: what was busy a moment ago is tried again after 20 ms, then ever more
 * seldom, up to the interval. */
static bool drain_wanted(const struct lcy *l, uint64_t now_ns)
{
	struct idxr_tier row;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		if (l->tiers[i].drain && now_ns >= l->tiers[i].drain_again_ns && l->tiers[i].outbound == 0 &&
		    l->plan.next_act == l->plan.n_acts && idxr_tier(&l->idx, i, &row) == 0 && row.objects > 0)
			return true;
	return false;
}

bool lcy_plan_turn(struct lcy *l)
{
	struct lcy_plan *p = &l->plan;
	uint64_t now_ns = l->now_ns;

	if (l->copying || !l->idx.base)
		return false; /* heat is still being taken over from the smaller index */
	if (!p->scanning) {
		bool cycle = now_ns >= p->due_ns;
		if (!cycle && !p->want && !room_wanted(l, now_ns) && !drain_wanted(l, now_ns))
			return false;
		if (cycle) {
			p->due_ns = now_ns + l->boot.lifecycle.interval_s * SECOND;
			p->cycles++;
		}
		begin(l, now_ns, cycle);
	}
	return slice(l, now_ns, l->now_s);
}

void lcy_plan_forget(struct lcy *l)
{
	struct lcy_plan *p = &l->plan;

	p->scanning = false;
	p->n_acts = p->next_act = 0;
	p->top.n = 0;
	p->top_ns = 0;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		l->tiers[i].room_now = false;
	lcy_save_end(l, false);
	lcy_scrub_forget(l);
	lcy_cache_reset(l);
}

void lcy_plan_init(struct lcy *l)
{
	/* the first one soon: what expired, or waits for room since before, need not wait for an interval */
	l->plan.due_ns = l->now_ns + OM_MIN(l->boot.lifecycle.interval_s, 1u) * SECOND;
	l->plan.paused = l->boot.paused != 0;
}

void lcy_plan_fini(struct lcy *l)
{
	struct lcy_plan *p = &l->plan;

	lcy_best_fini(&p->up);
	lcy_best_fini(&p->down);
	lcy_best_fini(&p->expired);
	lcy_best_fini(&p->drain);
	lcy_best_fini(&p->top);
	lcy_best_fini(&p->top_now);
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		lcy_best_fini(&p->room[i]);
	free(p->acts);
	p->acts = NULL;
}
