/*
 * lcy_tell.c: what an administrator is told of the lifecycle process: status, drains, why an object is where it is. The members
 * are listed in lcy_task.h. Loop's thread of objmapper-lifecycle.
 */
#include "lifecycle/lcy_task.h"


static json_int_t num(uint64_t v) { return (json_int_t)OM_MIN(v, (uint64_t)INT64_MAX); }

static json_t *tell_pace(const struct lcy *l, const struct lcy_tier *t, const struct idxr_tier *row)
{
	int yields = l->moves.yield.why == LCY_YIELD_SERVING;
	double objects, bytes;

	if (!lcy_drain_pace(t, l->now_ns, &objects, &bytes))
		return json_pack("{s:n, s:n, s:n, s:b}", "objects_per_s", "bytes_per_s", "left_s", "yields", yields);
	uint64_t left = lcy_drain_left_s(objects, bytes, row->objects - OM_MIN(row->objects, t->drain_stuck), row->used_bytes);
	return json_pack("{s:f, s:f, s:o, s:b}", "objects_per_s", objects, "bytes_per_s", bytes, "left_s",
			 left == UINT64_MAX ? json_null() : json_integer(num(left)), "yields", yields);
}

json_t *lcy_tell_drain(const struct lcy *l, unsigned tier)
{
	const struct lcy_tier *t = &l->tiers[tier];
	struct idxr_tier row = { 0 };

	(void)idxr_tier(&l->idx, tier, &row);
	json_t *doc = json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "tier", (json_int_t)tier, "name", lcy_tier_name(l, tier), "objects_left",
			 num(row.objects), "bytes_left", num(row.used_bytes), "moved", num(t->drained), "moved_bytes", num(t->drained_bytes),
			 "stuck", num(t->drain_stuck), "looks", (json_int_t)t->drain_looks, "done", (int)(t->drain && row.objects == 0));
	json_t *pace = tell_pace(l, t, &row);
	if (doc && pace)
		(void)json_object_update(doc, pace);
	json_decref(pace);
	return doc;
}

static json_t *tell_tier(const struct lcy *l, const struct om_boot_tier *b)
{
	const struct lcy_tier *t = &l->tiers[b->tier];
	struct idxr_tier row = { 0 };

	(void)idxr_tier(&l->idx, b->tier, &row);
	return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "tier", (json_int_t)b->tier, "name", b->name, "used",
			 num(row.used_bytes), "capacity", num(row.capacity_bytes), "objects", num(row.objects), "inbound", num(t->inbound),
			 "outbound", num(t->outbound), "need", num(lcy_tier_need(l, b->tier)), "fails", (json_int_t)t->fails, "dead", (int)t->dead,
			 "drain", (int)t->drain);
}

static json_t *tell_policy(const struct lcy *l)
{
	const struct lcy_cache *c = &l->cache;
	double half_life, margin;

	if (!c->policy)
		return json_null();
	lcy_policy_now(lcy_blend_ranks(c->policy), &half_life, &margin);
	return json_pack("{s:b, s:s, s:I, s:f, s:f, s:I}", "active", (int)!c->seeding, "leader", lcy_blend_leader(c->policy), "objects_let_in",
			 num(lcy_blend_used(c->policy)), "half_life", half_life, "margin", margin, "waiting", num(c->q_tail - c->q_head));
}

static json_t *tell_heat(const struct lcy *l)
{
	uint64_t at = l->save.now.head.written_s, now_s = l->now_s;

	return at && now_s >= at ? json_pack("{s:I}", "saved_s", num(now_s - at)) : json_pack("{s:n}", "saved_s");
}

static json_t *tell_yield(struct lcy *l)
{
	struct lcy_yield *y = &l->moves.yield;
	uint32_t share = lcy_yield_share(y);

	return json_pack("{s:b, s:s, s:o, s:I}", "active", (int)(share != LCY_YIELD_ALL), "why", lcy_yield_text(y), "share",
			 share == LCY_YIELD_ALL ? json_null() : json_real(share / 1000.0), "rested_ms", num(atomic_load(&y->rested_ns) / 1000000u));
}

static double part(double a, double b) { return b > 0 ? OM_MIN(a / b, 1.0) : 0; }

static json_t *tell_scrubbed(const struct lcy *l, const struct om_boot_tier *b)
{
	const struct lcy_scrub_row *r = &l->scrub.state.row[b->tier];
	const struct lcy_scrub_sums *c = &r->cur;
	const struct lcy_scrub_sums *last = r->last.ended_s ? &r->last : NULL;
	double done = (double)c->bytes + (double)c->objects * LCY_SCRUB_EACH;

	return json_pack("{s:s, s:b, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "name", b->name, "now", (int)r->now, "done",
			 part(done, l->scrub.tier[b->tier].total), "objects", num(c->objects), "bytes", num(c->bytes), "damaged", num(c->damaged),
			 "unreadable", num(c->unreadable), "no_sum", num(c->no_sum), "began", num(c->began_s), "last_ended",
			 last ? json_integer(num(last->ended_s)) : json_null(), "last_objects", last ? json_integer(num(last->objects)) : json_null(),
			 "last_bad", last ? json_integer(num(last->damaged + last->unreadable)) : json_null());
}

json_t *lcy_tell_scrub(const struct lcy *l)
{
	json_t *tiers = json_array();

	for (unsigned i = 0; i < l->boot.n_tiers; i++)
		if (lcy_scrub_tier_is(l, l->boot.tiers[i].tier))
			(void)json_array_append_new(tiers, tell_scrubbed(l, &l->boot.tiers[i]));
	return json_pack("{s:I, s:I, s:o}", "days", (json_int_t)l->boot.lifecycle.scrub_days, "bad", num(l->scrub.state.n_bad), "tiers", tiers);
}

json_t *lcy_tell_status(struct lcy *l)
{
	const struct lcy_plan *p = &l->plan;
	uint64_t now_ns = l->now_ns;
	json_t *tiers = json_array(), *drains = json_array();

	for (unsigned i = 0; i < l->boot.n_tiers; i++) {
		unsigned no = l->boot.tiers[i].tier;
		if (no >= OM_TIERS_MAX)
			continue;
		(void)json_array_append_new(tiers, tell_tier(l, &l->boot.tiers[i]));
		if (l->tiers[no].drain)
			(void)json_array_append_new(drains, lcy_tell_drain(l, no));
	}
	json_t *doc = json_pack(
		"{s:b, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "paused", (int)p->paused, "cycle", num(p->cycles), "next_cycle_ms",
		num(p->due_ns > now_ns ? (p->due_ns - now_ns) / 1000000u : 0), "scanning", (int)p->scanning, "scan_ms", num(p->took_ns / 1000000u),
		"objects", num(p->last_live), "jobs", num(l->moves.n_jobs), "waiting", num(p->n_acts - p->next_act), "budget", num(p->budget),
		"bandwidth", num(l->boot.lifecycle.bandwidth));
	json_t *sums = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "moved_up", num(p->moved_up), "moved_down",
				 num(p->moved_down), "cached", num(p->cached), "dropped", num(p->dropped), "expired", num(p->expired_n), "failed",
				 num(p->failed), "refused", num(p->refused), "moved_bytes", num(p->moved_bytes), "policy", tell_policy(l), "heat",
				 tell_heat(l), "tiers", tiers, "drains", drains);
	if (doc && sums)
		(void)json_object_update(doc, sums);
	json_decref(sums);
	if (doc)
		(void)json_object_set_new(doc, "yield", tell_yield(l));
	if (doc)
		(void)json_object_set_new(doc, "scrub", lcy_tell_scrub(l));
	return doc;
}

/* ---- EXPLAIN ---- */

static void why_here(const struct lcy *l, const struct idx_ent *e, char *ret, size_t len)
{
	const char *tier = lcy_tier_name(l, e->tier), *home = lcy_tier_name(l, e->home);

	if (e->home >= OM_TIERS_MAX)
		(void)snprintf(ret, len, "tier %s serves a copy; its home is not there", tier);
	else if (e->tier != e->home)
		(void)snprintf(ret, len, "tier %s serves a copy, its home is tier %s", tier, home);
	else if (e->flags & OM_OBJ_PINNED)
		(void)snprintf(ret, len, "it is pinned to tier %s", tier);
	else if (e->flags & OM_OBJ_EPHEMERAL)
		(void)snprintf(ret, len, "it is ephemeral and lies only in memory, on tier %s", tier);
	else
		(void)snprintf(ret, len, "tier %s is its home: it was put or moved there", tier);
}

/* Why the cycle leaves it where it is. */
static void next_nothing(const struct lcy *l, const struct idx_ent *e, double heat, char *ret, size_t len)
{
	const struct om_boot_lifecycle *c = &l->boot.lifecycle;
	bool hot = heat > c->hot_threshold;
	const char *what = hot ? "hotter than hot_threshold" : "colder than cold_threshold";

	if (!hot && heat >= c->cold_threshold)
		(void)snprintf(ret, len, "nothing: its heat (%.3f) is between cold_threshold (%.3f) and hot_threshold (%.3f)", heat, c->cold_threshold, c->hot_threshold);
	else if (e->home >= OM_TIERS_MAX || !lcy_tier_gives(l, e->home, false) ||
		 (hot ? lcy_tier_up(l, e->home, e->size, l->now_ns) : lcy_tier_down(l, e->home, e->size, l->now_ns)) == OM_TIER_NONE)
		(void)snprintf(ret, len, "nothing: it is %s, but no %s tier would take it, or its own gives nothing away", what, hot ? "faster" : "slower");
	else
		(void)snprintf(ret, len, "nothing yet: it is %s, but was put, moved or tried less than hotness_decay_secs ago", what);
}

static void next_move(const struct lcy *l, uint32_t slot, const struct idx_ent *e, const struct idx_heat_val *v, char *ret, size_t len)
{
	const struct om_boot_lifecycle *c = &l->boot.lifecycle;
	uint64_t now_ns = l->now_ns, now_s = l->now_s;
	const char *at = l->plan.paused ? "once the lifecycle is resumed" : "at the next cycle";
	struct lcy_cand cand;

	if (e->expiry_s && e->expiry_s <= now_s)
		(void)snprintf(ret, len, "it has expired and is removed");
	else if ((e->flags & OM_OBJ_PINNED) && e->home < OM_TIERS_MAX && l->tiers[e->home].drain)
		(void)snprintf(ret, len, "it stays, though tier %s is being drained: it is pinned, so unpin it", lcy_tier_name(l, e->home));
	else if (e->flags & OM_OBJ_PINNED)
		(void)snprintf(ret, len, "it stays: it is pinned");
	else if (e->home < OM_TIERS_MAX && l->tiers[e->home].drain && lcy_tier_any(l, e->home, e->size, now_ns) == OM_TIER_NONE)
		(void)snprintf(ret, len, "it stays, though tier %s is being drained: no other tier takes it", lcy_tier_name(l, e->home));
	else if (e->home < OM_TIERS_MAX && l->tiers[e->home].drain)
		(void)snprintf(ret, len, "tier %s is being drained: it moves to another one", lcy_tier_name(l, e->home));
	else if (lcy_plan_judge(l, slot, e, v->heat, now_ns, now_s, &cand))
		(void)snprintf(ret, len, "it is %s (%.3f) than %s (%.3f): it moves to tier %s %s, among the %s %u",
			       v->heat > c->hot_threshold ? "hotter" : "colder", v->heat,
			       v->heat > c->hot_threshold ? "hot_threshold" : "cold_threshold",
			       v->heat > c->hot_threshold ? c->hot_threshold : c->cold_threshold, lcy_tier_name(l, cand.to), at,
			       v->heat > c->hot_threshold ? "hottest" : "coldest", c->migration_batch);
	else if (e->tier == e->home && v->heat > c->hot_threshold && !(e->flags & OM_OBJ_EPHEMERAL) && l->cache.policy)
		(void)snprintf(ret, len, "it is hot enough for a copy on tier %s: it gets one when it is accessed and outranks what is there",
			       lcy_tier_name(l, l->cache.tier));
	else if (e->tier != e->home)
		(void)snprintf(ret, len, "its copy stays until others are worth more, or room is needed");
	else
		next_nothing(l, e, v->heat, ret, len);
}

/* What ends it, whatever else happens. */
static void next_end(const struct lcy *l, const struct idx_ent *e, char *text, size_t cap)
{
	size_t n = strlen(text);

	if (e->expiry_s > l->now_s)
		n += (size_t)snprintf(text + n, cap - n, "; it expires in %llu s", (unsigned long long)(e->expiry_s - l->now_s));
	if ((e->flags & OM_OBJ_EVICTABLE) && !(e->flags & OM_OBJ_PINNED) && !(e->expiry_s && e->expiry_s <= l->now_s))
		(void)snprintf(text + n, cap - n, "; it may be removed when its tier needs room");
}

json_t *lcy_tell_explain(struct lcy *l, uint32_t slot, const struct idx_ent *e)
{
	const struct lcy_job *job = lcy_moves_find(&l->moves, e->id);
	const struct lcy_scrub_bad *bad = lcy_scrub_bad(l, e->id);
	struct idx_heat_val v = { 0 };
	char why[256], next[512], working[256];

	(void)idx_heat_get(&l->heat, slot, l->now_s, e->since_s, &v);
	why_here(l, e, why, sizeof(why));
	next_move(l, slot, e, &v, next, sizeof(next) - 128);
	next_end(l, e, next, sizeof(next));
	if (job)
		(void)snprintf(working, sizeof(working), job->kind == LCY_JOB_DROP ? "it is being removed from tier %s%.0s" : "it is on its way from tier %s to tier %s",
			       lcy_tier_name(l, job->from), lcy_tier_name(l, job->to));
	return json_pack("{s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:b, s:b, s:b, s:I, s:b, s:s, s:s, s:s?, s:s?}", "id", num(e->id), "size", num(e->size), "tier",
			 (json_int_t)e->tier, "home", (json_int_t)e->home, "heat", v.heat, "accesses", num((uint64_t)(v.count + 0.5)), "last_access", num(v.last_s), "pinned",
			 (e->flags & OM_OBJ_PINNED) != 0, "ephemeral", (e->flags & OM_OBJ_EPHEMERAL) != 0, "evictable",
			 (e->flags & OM_OBJ_EVICTABLE) != 0, "expires", num(e->expiry_s), "copy", e->tier != e->home, "why", why, "next", next,
			 "working", job ? working : NULL, "damaged", bad ? lcy_scrub_text(bad->what) : NULL);
}
