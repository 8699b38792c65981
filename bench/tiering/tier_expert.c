/*
 * tier_expert.c: the known policies of lifecycle/lcy_expert.h as policies of objm-tiering.
 */
#include "bench/tiering/tier.h"
#include "lifecycle/lcy_expert.h"

struct expert {
	struct tier_sim sim;
	const struct lcy_expert_ops *ops;
	void *self;
};

static uint64_t size_of(const void *arg, uint32_t obj) { return tier_weight(arg, obj); }

static void *make(const struct tier_sim *sim, const struct lcy_expert_ops *ops)
{
	const struct tier_trace *t = sim->trace;
	struct expert *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->sim = *sim;
	e->ops = ops;
	struct lcy_expert_conf conf = {.objects = t->objects, .capacity = sim->capacity, .size = size_of, .arg = &e->sim,
				       .mean_size = sim->by_count || !t->objects ? 1.0 : (double)t->footprint / t->objects};
	e->self = ops->make(&conf);
	if (e->self)
		return e;
	free(e);
	return NULL;
}

static bool access_one(void *self, uint32_t obj, uint64_t at)
{
	struct expert *e = self;

	(void)at;
	return e->ops->access(e->self, obj);
}

static uint64_t used(const void *self)
{
	const struct expert *e = self;

	return e->ops->used(e->self);
}

static void done(void *self)
{
	struct expert *e = self;

	e->ops->done(e->self);
	free(e);
}

#define EXPERT(x, text) \
	static void *make_##x(const struct tier_sim *sim) { return make(sim, &lcy_expert_##x); } \
	const struct tier_policy tier_##x = {#x, text, make_##x, access_one, used, done};
EXPERT(lru, "least recently used goes first")
EXPERT(fifo, "first in, first out")
EXPERT(sieve, "a FIFO whose hand spares what was hit")
EXPERT(arc, "two LRU lists, the border moved by ghosts")
EXPERT(s3fifo, "three FIFOs: 10 % small, main, ghosts")
EXPERT(wtinylfu, "LRU window, admission by a sketch of frequencies")
