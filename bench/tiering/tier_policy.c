/*
 * tier_policy.c: the list of policies, and one run of one over a trace. In objm-tiering.
 */
#include "bench/tiering/tier.h"

static const struct tier_policy *const all[] = {&tier_lru, &tier_fifo, &tier_lfu, &tier_arc, &tier_s3fifo, &tier_sieve,
						&tier_wtinylfu, &tier_gdsf, &tier_ours, &tier_belady};

const struct tier_policy *tier_policy_at(unsigned i)
{
	return i < OM_ARRAY_SIZE(all) ? all[i] : NULL;
}

const struct tier_policy *tier_policy_get(const char *name)
{
	for (unsigned i = 0; i < OM_ARRAY_SIZE(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return strcmp(tier_restart.name, name) == 0 ? &tier_restart : NULL; /* no policy of its own: not among all */
}

int tier_policy_run(const struct tier_policy *policy, const struct tier_sim *sim, struct tier_result *ret_result)
{
	const struct tier_trace *t = sim->trace;
	struct tier_result r = {.cache = sim->capacity, .requests = t->requests};
	uint64_t began = om_now_ns();
	void *self = policy->make(sim);

	if (!self)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (uint64_t i = 0; i < t->requests; i++) {
		uint32_t obj = t->req[i];

		r.bytes_requested += t->size[obj];
		if (tier_weight(sim, obj) <= sim->capacity && policy->access(self, obj, i))
			continue;
		r.misses++;
		r.bytes_missed += t->size[obj];
	}
	OM_ASSERT(policy->used(self) <= sim->capacity);
	if (policy->fetched)
		r.fetched = policy->fetched(self);
	policy->done(self);
	r.ns = t->requests ? (double)(om_now_ns() - began) / (double)t->requests : 0;
	*ret_result = r;
	return 0;
}
