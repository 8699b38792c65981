/*
 * tier_ours.c: the policy of the lifecycle process (lifecycle/lcy_blend.c), as one of those that are compared.
 */
#include "bench/tiering/tier.h"
#include "lifecycle/lcy_blend.h"

struct ours {
	struct tier_sim sim;
	struct lcy_blend *blend;
};

static uint64_t ours_size(const void *arg, uint32_t obj)
{
	return tier_weight(arg, obj);
}

/* It is there at once, like what is let in. */
static void ours_wanted(void *arg, uint32_t obj) { (void)arg, (void)obj; }

static void ours_done(void *self)
{
	struct ours *o = self;

	lcy_blend_free(o->blend);
	free(o);
}

static void *ours_make(const struct tier_sim *sim)
{
	struct ours *o = calloc(1, sizeof(*o));
	const struct tier_trace *t = sim->trace;

	if (!o)
		return NULL;
	o->sim = *sim;
	struct lcy_blend_conf conf = {.wanted = ours_wanted, .policy = {.objects = OM_MAX(t->objects, 1u), .capacity = sim->capacity, .size = ours_size, .arg = &o->sim,
				       .mean_size = sim->by_count || !t->objects ? 1 : OM_MAX(t->footprint / t->objects, 1)}};
	if (lcy_blend_new(&conf, &o->blend) == 0)
		return o;
	free(o);
	return NULL;
}

static bool ours_access(void *self, uint32_t obj, uint64_t at)
{
	(void)at;
	return lcy_blend_access(((struct ours *)self)->blend, obj) == LCY_POLICY_HIT;
}

static uint64_t ours_used(const void *self)
{
	return lcy_blend_used(((const struct ours *)self)->blend);
}

static uint64_t ours_fetched(const void *self)
{
	return lcy_blend_fetched(((const struct ours *)self)->blend);
}

const struct tier_policy tier_ours = {"ours", "of the lifecycle process: the best of several leads", ours_make,
				      ours_access, ours_used, ours_done, ours_fetched};
