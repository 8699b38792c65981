/*
 * tier_heap.c: a heap of objects, and the policies that rank all that they hold: LFU, GDSF, Belady's optimum. In objm-tiering.
 */
#include "bench/tiering/tier.h"

#include <math.h>

int tier_heap_init(struct tier_heap *h, uint32_t objects)
{
	h->count = 0;
	h->node = malloc((objects + UINT64_C(1)) * sizeof(*h->node));
	h->pos = malloc((objects + UINT64_C(1)) * sizeof(*h->pos));
	if (!h->node || !h->pos)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	memset(h->pos, 0xff, (objects + UINT64_C(1)) * sizeof(*h->pos));
	return 0;
}

void tier_heap_fini(struct tier_heap *h)
{
	free(h->node);
	free(h->pos);
}

static bool before(const struct tier_heap_node *a, const struct tier_heap_node *b)
{
	return a->key < b->key || (!(b->key < a->key) && a->seq < b->seq);
}

static void put(struct tier_heap *h, uint32_t i, struct tier_heap_node n)
{
	h->node[i] = n;
	h->pos[n.obj] = i;
}

static void settle(struct tier_heap *h, uint32_t i, struct tier_heap_node n)
{
	uint32_t child;

	while (i > 0 && before(&n, &h->node[(i - 1) / 2])) {
		put(h, i, h->node[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	while ((child = 2 * i + 1) < h->count) {
		if (child + 1 < h->count && before(&h->node[child + 1], &h->node[child]))
			child++;
		if (!before(&h->node[child], &n))
			break;
		put(h, i, h->node[child]);
		i = child;
	}
	put(h, i, n);
}

void tier_heap_set(struct tier_heap *h, uint32_t obj, double key, uint64_t seq)
{
	struct tier_heap_node n = {.key = key, .seq = seq, .obj = obj};

	settle(h, h->pos[obj] == TIER_NONE ? h->count++ : h->pos[obj], n);
}

struct tier_heap_node tier_heap_pop(struct tier_heap *h)
{
	struct tier_heap_node first = h->node[0], last = h->node[--h->count];

	h->pos[first.obj] = TIER_NONE;
	if (h->count > 0)
		settle(h, 0, last);
	return first;
}

/* ---------------------------------------------------------------- policies */

struct ranked {
	struct tier_sim sim;
	struct tier_heap heap;
	uint64_t used;
	uint32_t *count;  /* LFU, GDSF: accesses while in the cache */
	double inflation; /* GDSF: the rank of the last victim */
	uint64_t *next;	  /* Belady: for each request the number of the object's next one */
};

static void ranked_done(void *self)
{
	struct ranked *r = self;

	if (!r)
		return;
	tier_heap_fini(&r->heap);
	free(r->count);
	free(r->next);
	free(r);
}

static void *ranked_make(const struct tier_sim *sim)
{
	struct ranked *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->sim = *sim;
	r->count = calloc(sim->trace->objects + UINT64_C(1), sizeof(*r->count));
	if (tier_heap_init(&r->heap, sim->trace->objects) == 0 && r->count)
		return r;
	ranked_done(r);
	return NULL;
}

static uint64_t ranked_used(const void *self)
{
	return ((const struct ranked *)self)->used;
}

/* Make room for an object that is not there. */
static void ranked_evict(struct ranked *r, uint64_t weight)
{
	while (r->sim.capacity - r->used < weight) {
		struct tier_heap_node victim = tier_heap_pop(&r->heap);

		r->used -= tier_weight(&r->sim, victim.obj);
		r->count[victim.obj] = 0;
		r->inflation = victim.key;
	}
	r->used += weight;
}

static bool lfu_access(void *self, uint32_t obj, uint64_t at)
{
	struct ranked *r = self;
	bool hit = tier_heap_has(&r->heap, obj);

	if (!hit)
		ranked_evict(r, tier_weight(&r->sim, obj));
	tier_heap_set(&r->heap, obj, ++r->count[obj], at);
	return hit;
}

static bool gdsf_access(void *self, uint32_t obj, uint64_t at)
{
	struct ranked *r = self;
	bool hit = tier_heap_has(&r->heap, obj);

	if (!hit)
		ranked_evict(r, tier_weight(&r->sim, obj));
	r->count[obj]++;
	tier_heap_set(&r->heap, obj, r->inflation + r->count[obj] * 1e6 / (double)tier_weight(&r->sim, obj), at);
	return hit;
}

static void *belady_make(const struct tier_sim *sim)
{
	struct ranked *r = ranked_make(sim);
	uint64_t *seen = malloc((sim->trace->objects + UINT64_C(1)) * sizeof(*seen));

	if (r)
		r->next = malloc((sim->trace->requests + 1) * sizeof(*r->next));
	if (!r || !seen || !r->next) {
		free(seen);
		ranked_done(r);
		return NULL;
	}
	memset(seen, 0xff, (sim->trace->objects + UINT64_C(1)) * sizeof(*seen));
	for (uint64_t i = sim->trace->requests; i-- > 0;) {
		r->next[i] = seen[sim->trace->req[i]];
		seen[sim->trace->req[i]] = i;
	}
	free(seen);
	return r;
}

/* What is needed last goes first; what is never needed again before all. Everything is let in: it is the rule that the
 * published numbers follow (with unequal sizes no such rule is an optimum anyway). */
static bool belady_access(void *self, uint32_t obj, uint64_t at)
{
	struct ranked *r = self;
	bool hit = tier_heap_has(&r->heap, obj);

	if (!hit)
		ranked_evict(r, tier_weight(&r->sim, obj));
	tier_heap_set(&r->heap, obj, r->next[at] == UINT64_MAX ? -INFINITY : -(double)r->next[at], at);
	return hit;
}

const struct tier_policy tier_lfu = {"lfu", "least often used while here goes first", ranked_make, lfu_access, ranked_used, ranked_done};
const struct tier_policy tier_gdsf = {"gdsf", "greedy dual: accesses / size, aged by the last victim", ranked_make, gdsf_access,
				      ranked_used, ranked_done};
const struct tier_policy tier_belady = {"belady", "knows the future: what is needed last goes first", belady_make, belady_access,
					ranked_used, ranked_done};
