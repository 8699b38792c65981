/*
 * tier_restart.c: the policy of the lifecycle process over a restart: half-way through the trace it is forgotten, and a new one is
 * given what the daemon keeps (lifecycle/lcy_keep.h, with the losses of its file) and finds on the tier.
 */
#include "bench/tiering/tier.h"
#include "lifecycle/lcy_keep.h"
#include "lifecycle/lcy_policy.h"

struct restart {
	struct tier_sim sim;
	struct lcy_policy_conf conf;
	struct lcy_policy *policy;
	bool done;
};

static uint64_t restart_size(const void *arg, uint32_t obj)
{
	return tier_weight(arg, obj);
}

static void restart_done(void *self)
{
	struct restart *r = self;

	lcy_policy_free(r->policy);
	free(r);
}

static void *restart_make(const struct tier_sim *sim)
{
	struct restart *r = calloc(1, sizeof(*r));
	const struct tier_trace *t = sim->trace;

	if (!r)
		return NULL;
	r->sim = *sim;
	r->conf = (struct lcy_policy_conf){.objects = OM_MAX(t->objects, 1u), .capacity = sim->capacity, .size = restart_size, .arg = &r->sim,
					   .mean_size = sim->by_count || !t->objects ? 1 : OM_MAX(t->footprint / t->objects, 1)};
	if (lcy_policy_new(&r->conf, &r->policy) == 0)
		return r;
	free(r);
	return NULL;
}

/* What is kept, through the codec of the file. */
static void carry_over(const struct lcy_policy *old, struct lcy_policy *new, uint32_t objects)
{
	struct lcy_policy_memory m;
	struct lcy_policy_trial trial;

	for (uint32_t i = 0; i < objects; i++) {
		if (!lcy_policy_recall(old, i, &m))
			continue;
		uint16_t count_q = lcy_keep_q(m.count), ago_q = lcy_keep_q((double)m.ago);
		m.count = lcy_keep_value(count_q);
		m.ago = (uint64_t)lcy_keep_value(ago_q);
		lcy_policy_seed(new, i, &m);
	}
	for (uint32_t i = 0; i < objects; i++)
		if (lcy_policy_has(old, i))
			lcy_policy_put(new, i);
	lcy_policy_trial(old, &trial);
	lcy_policy_seeded(new, &trial);
}

static bool restart_access(void *self, uint32_t obj, uint64_t at)
{
	struct restart *r = self;
	struct lcy_policy *new;

	if (!r->done && at >= r->sim.trace->requests / 2 && lcy_policy_new(&r->conf, &new) == 0) {
		carry_over(r->policy, new, r->sim.trace->objects);
		lcy_policy_free(r->policy);
		r->policy = new;
		r->done = true;
	}
	return lcy_policy_access(r->policy, obj) == LCY_POLICY_HIT;
}

static uint64_t restart_used(const void *self)
{
	return lcy_policy_used(((const struct restart *)self)->policy);
}

const struct tier_policy tier_restart = {"restart", "ours, restarted half-way with what the daemon keeps", restart_make,
					 restart_access, restart_used, restart_done};
