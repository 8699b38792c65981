/*
 * tier_ours.c: the policy of the lifecycle process (lifecycle/lcy_policy.c), as one of those that are compared.
 */
#include "bench/tiering/tier.h"
#include "lifecycle/lcy_policy.h"

struct ours {
	struct tier_sim sim;
	struct lcy_policy *policy;
};

static uint64_t ours_size(const void *arg, uint32_t obj)
{
	return tier_weight(arg, obj);
}

static void ours_done(void *self)
{
	struct ours *o = self;

	lcy_policy_free(o->policy);
	free(o);
}

static void *ours_make(const struct tier_sim *sim)
{
	struct ours *o = calloc(1, sizeof(*o));
	const struct tier_trace *t = sim->trace;

	if (!o)
		return NULL;
	o->sim = *sim;
	struct lcy_policy_conf conf = {.objects = OM_MAX(t->objects, 1u), .capacity = sim->capacity, .size = ours_size, .arg = &o->sim,
				       .mean_size = sim->by_count || !t->objects ? 1 : OM_MAX(t->footprint / t->objects, 1)};
	if (lcy_policy_new(&conf, &o->policy) == 0)
		return o;
	free(o);
	return NULL;
}

static bool ours_access(void *self, uint32_t obj, uint64_t at)
{
	(void)at;
	return lcy_policy_access(((struct ours *)self)->policy, obj) == LCY_POLICY_HIT;
}

static uint64_t ours_used(const void *self)
{
	return lcy_policy_used(((const struct ours *)self)->policy);
}

const struct tier_policy tier_ours = {"ours", "of the lifecycle process: frequency and recency, weighed by trial", ours_make,
				      ours_access, ours_used, ours_done};
