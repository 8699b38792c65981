/*
 * lcy_blend.c: see lcy_blend.h. For the lifecycle process and objm-tiering.
 *
 * The real tier is two lists, the object accessed last at the head of each: what the leader holds, and what it does not, which goes
 * first. Policies tell what leaves their imagined tiers, so nothing is ever searched for. The ranks are a policy among the
 * others here: their own idea of the tier (lcy_policy_has) is imagined too.
 */
#include "lifecycle/lcy_blend.h"

#include <math.h>

#include "lifecycle/lcy_expert.h"

/* Hits are judged over about so many accesses; more on a tier of many objects. Chosen by measurement: doc/tiering.md. */
#define WINDOW_MIN 8192.0
#define WINDOW_SHARE 0.25 /* of the objects on the tier */
#define CHECK 32u	  /* accesses from one look at the scores to the next */
#define BETTER 0.002	  /* by which the leader must be beaten: objects and bytes hit, each a ratio */

static const struct lcy_expert_ops *const ops[] = {&lcy_expert_arc, &lcy_expert_s3fifo, &lcy_expert_sieve, &lcy_expert_wtinylfu};
#define EXPERTS OM_ARRAY_SIZE(ops)
#define RANKS EXPERTS /* the number of the ranks, behind the others */

struct score {
	double hits, bytes; /* of late, decayed */
};

enum { AWAY, KEPT, SPARE };

/* Whose call it is. */
struct who {
	struct lcy_blend *b;
	unsigned no;
};

struct lcy_blend {
	struct lcy_blend_conf conf;
	struct lcy_policy *ranks;
	bool whole; /* false: the ranks alone */
	void *expert[EXPERTS];
	struct who who[EXPERTS + 1];
	struct score score[EXPERTS + 1];
	double asked, bytes_asked, keep;
	uint32_t check;
	unsigned leader;
	struct lcy_expert_list kept, spare;
	struct lcy_expert_link *links;
	uint8_t *here; /* AWAY, KEPT, SPARE */
	uint64_t fetched;
};

static uint64_t size_of(const struct lcy_blend *b, uint32_t obj)
{
	return OM_MAX(b->conf.policy.size(b->conf.policy.arg, obj), 1);
}

static uint64_t who_size(const void *arg, uint32_t obj) { return size_of(((const struct who *)arg)->b, obj); }
static uint64_t used(const struct lcy_blend *b) { return b->kept.weight + b->spare.weight; }

/* ---------------------------------------------------------------- the real tier */

static bool holds(const struct lcy_blend *b, unsigned who, uint32_t obj)
{
	return who == RANKS ? lcy_policy_has(b->ranks, obj) : ops[who]->has(b->expert[who], obj);
}

static struct lcy_expert_list *list_of(struct lcy_blend *b, uint32_t obj) { return b->here[obj] == KEPT ? &b->kept : &b->spare; }

static void enter(struct lcy_blend *b, uint32_t obj)
{
	b->here[obj] = holds(b, b->leader, obj) ? KEPT : SPARE;
	lcy_expert_push(list_of(b, obj), b->links, obj, size_of(b, obj));
}

static void leave(struct lcy_blend *b, uint32_t obj)
{
	lcy_expert_remove(list_of(b, obj), b->links, obj, size_of(b, obj));
	b->here[obj] = AWAY;
}

/* It has left an imagined tier: if it is the leader's, it may leave the real one. */
static void who_evicted(void *arg, uint32_t obj)
{
	const struct who *w = arg;
	struct lcy_blend *b = w->b;

	if (w->no != b->leader || b->here[obj] != KEPT)
		return;
	leave(b, obj);
	b->here[obj] = SPARE;
	lcy_expert_push(&b->spare, b->links, obj, size_of(b, obj));
}

/* What goes first; LCY_EXPERT_NONE: the tier is empty. */
static uint32_t least(const struct lcy_blend *b) { return b->spare.count ? b->spare.tail : b->kept.tail; }

static void make_room(struct lcy_blend *b, uint64_t size)
{
	uint32_t obj;

	while (used(b) + size > b->conf.policy.capacity && (obj = least(b)) != LCY_EXPERT_NONE) {
		leave(b, obj);
		if (b->conf.policy.evicted)
			b->conf.policy.evicted(b->conf.policy.arg, obj);
	}
}

/* Another one leads: what is kept is another thing now. The order stays. */
static void divide(struct lcy_blend *b)
{
	struct lcy_expert_list old[2] = {b->kept, b->spare};

	b->kept = b->spare = LCY_EXPERT_LIST_INIT;
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t obj = old[i].tail, next; obj != LCY_EXPERT_NONE; obj = next) {
			next = b->links[obj].prev;
			enter(b, obj);
		}
}

/* The lead has changed: the tier becomes what the new leader's is. */
static void follow(struct lcy_blend *b)
{
	const struct lcy_policy_conf *c = &b->conf.policy;

	divide(b);
	for (uint32_t obj = 0; obj < c->objects; obj++) {
		if (b->here[obj] != AWAY || !holds(b, b->leader, obj))
			continue;
		uint64_t size = size_of(b, obj);
		if (size > c->capacity)
			continue;
		make_room(b, size);
		enter(b, obj);
		b->fetched += size;
		b->conf.wanted(c->arg, obj);
	}
}

/* ---------------------------------------------------------------- who leads */

static double points(const struct lcy_blend *b, unsigned who)
{
	return b->score[who].hits / b->asked + b->score[who].bytes / b->bytes_asked;
}

static void choose(struct lcy_blend *b)
{
	double window = OM_MAX(WINDOW_MIN, WINDOW_SHARE * (b->kept.count + b->spare.count));
	unsigned best = b->leader;

	for (unsigned i = 0; i <= EXPERTS; i++)
		if (points(b, i) > points(b, best) + (best == b->leader ? BETTER : 0))
			best = i;
	b->keep = exp(-1.0 / window);
	if (best == b->leader)
		return;
	b->leader = best;
	follow(b);
}

static void count_hit(struct lcy_blend *b, unsigned who, bool hit, uint64_t size)
{
	b->score[who].hits = b->score[who].hits * b->keep + hit;
	b->score[who].bytes = b->score[who].bytes * b->keep + (hit ? (double)size : 0);
}

/* The access on the imagined tiers. `enter`: false: what is not there stays away. */
static void imagine(struct lcy_blend *b, uint32_t obj, uint64_t size, bool let_in)
{
	b->asked = b->asked * b->keep + 1;
	b->bytes_asked = b->bytes_asked * b->keep + (double)size;
	count_hit(b, RANKS, let_in ? lcy_policy_access(b->ranks, obj) == LCY_POLICY_HIT : lcy_policy_note(b->ranks, obj), size);
	for (unsigned i = 0; i < EXPERTS; i++) {
		bool show = size <= b->conf.policy.capacity && (let_in || ops[i]->has(b->expert[i], obj));

		count_hit(b, i, show && ops[i]->access(b->expert[i], obj), size);
	}
}

/* ---------------------------------------------------------------- calls */

void lcy_blend_free(struct lcy_blend *b)
{
	if (!b)
		return;
	lcy_policy_free(b->ranks);
	for (unsigned i = 0; i < EXPERTS; i++)
		ops[i]->done(b->expert[i]);
	free(b->links);
	free(b->here);
	free(b);
}

/* @return false: out of memory */
static bool make_experts(struct lcy_blend *b)
{
	const struct lcy_policy_conf *p = &b->conf.policy;
	struct lcy_expert_conf conf = {.objects = p->objects, .capacity = p->capacity, .mean_size = (double)p->mean_size,
				       .size = who_size, .evicted = who_evicted};

	b->links = calloc(p->objects, sizeof(*b->links));
	b->here = calloc(p->objects, 1);
	for (unsigned i = 0; i < EXPERTS; i++) {
		b->who[i] = (struct who){b, i};
		conf.arg = &b->who[i];
		b->expert[i] = ops[i]->make(&conf);
		if (!b->expert[i])
			return false;
	}
	return b->links && b->here;
}

int lcy_blend_new(const struct lcy_blend_conf *conf, struct lcy_blend **ret)
{
	struct lcy_blend *b = calloc(1, sizeof(*b));
	struct lcy_policy_conf policy = conf->policy;

	if (!b)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	b->conf = *conf;
	b->whole = conf->wanted && policy.objects <= LCY_BLEND_OBJECTS;
	b->kept = b->spare = LCY_EXPERT_LIST_INIT;
	b->leader = RANKS;
	b->keep = exp(-1.0 / WINDOW_MIN);
	if (b->whole) { /* their tier is imagined */
		b->who[RANKS] = (struct who){b, RANKS};
		policy.size = who_size;
		policy.evicted = who_evicted;
		policy.arg = &b->who[RANKS];
	}
	int err = lcy_policy_new(&policy, &b->ranks);
	if (err == 0 && b->whole && !make_experts(b))
		err = -OBJM_STATUS_OUT_OF_MEMORY;
	if (err < 0) {
		lcy_blend_free(b);
		return err;
	}
	*ret = b;
	return 0;
}

enum lcy_policy_verdict lcy_blend_access(struct lcy_blend *b, uint32_t obj)
{
	if (!b->whole)
		return lcy_policy_access(b->ranks, obj);
	uint64_t size = size_of(b, obj);
	bool was = b->here[obj] != AWAY;

	imagine(b, obj, size, true);
	if (++b->check % CHECK == 0)
		choose(b);
	if (b->here[obj] != AWAY) { /* it was, or the new leader has just asked for it */
		leave(b, obj);
		enter(b, obj);
		return LCY_POLICY_HIT;
	}
	if (was || size > b->conf.policy.capacity) /* gone in favour of what the new leader holds */
		return LCY_POLICY_REJECT;
	if (!holds(b, b->leader, obj) && used(b) + size > b->conf.policy.capacity)
		return LCY_POLICY_REJECT;
	make_room(b, size);
	enter(b, obj);
	return LCY_POLICY_ADMIT;
}

bool lcy_blend_note(struct lcy_blend *b, uint32_t obj)
{
	if (!b->whole)
		return lcy_policy_note(b->ranks, obj);
	imagine(b, obj, size_of(b, obj), false);
	if (b->here[obj] != AWAY) {
		leave(b, obj);
		enter(b, obj);
	}
	return b->here[obj] != AWAY;
}

void lcy_blend_drop(struct lcy_blend *b, uint32_t obj, bool history)
{
	lcy_policy_drop(b->ranks, obj, history);
	if (!b->whole)
		return;
	if (b->here[obj] != AWAY)
		leave(b, obj);
	for (unsigned i = 0; history && i < EXPERTS; i++)
		ops[i]->forget(b->expert[i], obj);
}

void lcy_blend_put(struct lcy_blend *b, uint32_t obj)
{
	lcy_policy_put(b->ranks, obj);
	if (!b->whole || b->here[obj] != AWAY)
		return;
	enter(b, obj);
	for (unsigned i = 0; i < EXPERTS; i++)
		if (size_of(b, obj) <= b->conf.policy.capacity && !ops[i]->has(b->expert[i], obj))
			(void)ops[i]->access(b->expert[i], obj);
}

bool lcy_blend_victim(struct lcy_blend *b, uint32_t *ret_obj)
{
	uint32_t obj;

	if (!b->whole)
		return lcy_policy_victim(b->ranks, ret_obj);
	while (!b->spare.count && b->leader == RANKS && lcy_policy_victim(b->ranks, &obj))
		who_evicted(&b->who[RANKS], obj); /* they have an order that is better than the list's */
	obj = least(b);
	if (obj == LCY_EXPERT_NONE)
		return false;
	leave(b, obj);
	lcy_policy_drop(b->ranks, obj, false);
	*ret_obj = obj;
	return true;
}

void lcy_blend_resize(struct lcy_blend *b, uint64_t capacity)
{
	lcy_policy_resize(b->ranks, capacity);
	if (!b->whole)
		return;
	b->conf.policy.capacity = OM_MAX(capacity, 1);
	for (unsigned i = 0; i < EXPERTS; i++)
		ops[i]->resize(b->expert[i], b->conf.policy.capacity);
	make_room(b, 0);
}

bool lcy_blend_has(const struct lcy_blend *b, uint32_t obj)
{
	return b->whole ? obj < b->conf.policy.objects && b->here[obj] != AWAY : lcy_policy_has(b->ranks, obj);
}

uint64_t lcy_blend_used(const struct lcy_blend *b) { return b->whole ? used(b) : lcy_policy_used(b->ranks); }

void lcy_blend_seeded(struct lcy_blend *b, const struct lcy_policy_trial *trial) { lcy_policy_seeded(b->ranks, trial); }

struct lcy_policy *lcy_blend_ranks(struct lcy_blend *b) { return b->ranks; }

const char *lcy_blend_leader(const struct lcy_blend *b) { return b->leader == RANKS ? "ranks" : ops[b->leader]->name; }

uint64_t lcy_blend_fetched(const struct lcy_blend *b) { return b->fetched; }
