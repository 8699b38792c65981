/*
 * tier_restart.c: the policy of the lifecycle process over a restart: half-way through the trace it is forgotten, and a new one is
 * given what the daemon keeps (lifecycle/lcy_keep.h, with the losses of its file) and finds on the tier.
 */
#include "bench/tiering/tier.h"
#include "lifecycle/lcy_blend.h"
#include "lifecycle/lcy_keep.h"

struct restart {
	struct tier_sim sim;
	struct lcy_blend_conf conf;
	struct lcy_blend *blend;
	bool done;
};

static uint64_t restart_size(const void *arg, uint32_t obj)
{
	return tier_weight(arg, obj);
}

static void restart_wanted(void *arg, uint32_t obj) { (void)arg, (void)obj; }

static void restart_done(void *self)
{
	struct restart *r = self;

	lcy_blend_free(r->blend);
	free(r);
}

static void *restart_make(const struct tier_sim *sim)
{
	struct restart *r = calloc(1, sizeof(*r));
	const struct tier_trace *t = sim->trace;

	if (!r)
		return NULL;
	r->sim = *sim;
	r->conf = (struct lcy_blend_conf){.wanted = restart_wanted, .policy = {.objects = OM_MAX(t->objects, 1u), .capacity = sim->capacity, .size = restart_size, .arg = &r->sim,
					   .mean_size = sim->by_count || !t->objects ? 1 : OM_MAX(t->footprint / t->objects, 1)}};
	if (lcy_blend_new(&r->conf, &r->blend) == 0)
		return r;
	free(r);
	return NULL;
}

/* What is kept, through the codec of the file. */
static void carry_over(struct lcy_blend *old, struct lcy_blend *new, uint32_t objects)
{
	struct lcy_policy_memory m;
	struct lcy_policy_trial trial;

	for (uint32_t i = 0; i < objects; i++) {
		if (!lcy_policy_recall(lcy_blend_ranks(old), i, &m))
			continue;
		uint16_t count_q = lcy_keep_q(m.count), ago_q = lcy_keep_q((double)m.ago);
		m.count = lcy_keep_value(count_q);
		m.ago = (uint64_t)lcy_keep_value(ago_q);
		lcy_policy_seed(lcy_blend_ranks(new), i, &m);
	}
	for (uint32_t i = 0; i < objects; i++)
		if (lcy_blend_has(old, i))
			lcy_blend_put(new, i);
	lcy_policy_trial(lcy_blend_ranks(old), &trial);
	lcy_blend_seeded(new, &trial);
}

static bool restart_access(void *self, uint32_t obj, uint64_t at)
{
	struct restart *r = self;
	struct lcy_blend *new;

	if (!r->done && at >= r->sim.trace->requests / 2 && lcy_blend_new(&r->conf, &new) == 0) {
		carry_over(r->blend, new, r->sim.trace->objects);
		lcy_blend_free(r->blend);
		r->blend = new;
		r->done = true;
	}
	return lcy_blend_access(r->blend, obj) == LCY_POLICY_HIT;
}

static uint64_t restart_used(const void *self)
{
	return lcy_blend_used(((const struct restart *)self)->blend);
}

const struct tier_policy tier_restart = {"restart", "ours, restarted half-way with what the daemon keeps", restart_make,
					 restart_access, restart_used, restart_done};
