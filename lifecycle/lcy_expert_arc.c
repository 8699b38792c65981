/*
 * lcy_expert_arc.c: ARC (Megiddo and Modha, FAST 2003), with sizes in bytes.
 *
 * Two LRU lists, of objects seen once (t1) and more often (t2), each with a list of names that left it (b1, b2). A request
 * to a name in b1 says that t1 was too small, one in b2 that t2 was; the target of t1 moves that way, by at least one
 * unit of capacity. With bytes that step is tiny, so the target moves slowly: it is how the published numbers were made.
 */
#include "lifecycle/lcy_expert.h"

enum where { NOWHERE, T1, T2, B1, B2, LISTS };

struct arc {
	struct lcy_expert_conf conf;
	struct lcy_expert_list list[LISTS];
	double target; /* of t1 */
	uint8_t *where;
	struct lcy_expert_link *links;
};

static void arc_done(void *self)
{
	struct arc *a = self;

	if (!a)
		return;
	free(a->where);
	free(a->links);
	free(a);
}

static void *arc_make(const struct lcy_expert_conf *conf)
{
	struct arc *a = calloc(1, sizeof(*a));
	size_t n = (size_t)conf->objects + 1;

	if (!a)
		return NULL;
	a->conf = *conf;
	for (unsigned i = 0; i < LISTS; i++)
		a->list[i] = LCY_EXPERT_LIST_INIT;
	a->where = calloc(n, 1);
	a->links = calloc(n, sizeof(*a->links));
	if (a->where && a->links)
		return a;
	arc_done(a);
	return NULL;
}

static uint64_t arc_used(const void *self)
{
	const struct arc *a = self;

	return a->list[T1].weight + a->list[T2].weight;
}

static void move(struct arc *a, uint32_t obj, enum where to)
{
	uint64_t weight = lcy_expert_size(&a->conf, obj);

	if ((a->where[obj] == T1 || a->where[obj] == T2) && to != T1 && to != T2)
		lcy_expert_evicted(&a->conf, obj);
	if (a->where[obj] != NOWHERE)
		lcy_expert_remove(&a->list[a->where[obj]], a->links, obj, weight);
	a->where[obj] = (uint8_t)to;
	if (to != NOWHERE)
		lcy_expert_push(&a->list[to], a->links, obj, weight);
}

/* REPLACE of the paper. */
static void replace(struct arc *a, bool from_b2)
{
	double t1 = (double)a->list[T1].weight;

	if (a->list[T2].count == 0 ||
	    (a->list[T1].count > 0 && (t1 > a->target || (from_b2 && !(t1 < a->target)))))
		move(a, a->list[T1].tail, B1);
	else
		move(a, a->list[T2].tail, B2);
}

/* Case IV of the paper: the name is on no list. */
static void make_room_for_new(struct arc *a, uint64_t weight)
{
	const uint64_t c = a->conf.capacity;
	uint64_t all = 0;

	if (a->list[T1].weight + a->list[B1].weight + weight > c) {
		if (a->list[B1].count == 0) {
			move(a, a->list[T1].tail, NOWHERE);
			return;
		}
		move(a, a->list[B1].tail, NOWHERE);
	} else {
		for (unsigned i = T1; i < LISTS; i++)
			all += a->list[i].weight;
		if (all >= 2 * c && a->list[B2].count > 0)
			move(a, a->list[B2].tail, NOWHERE);
	}
	replace(a, false);
}

/* A request to a name that left t1 (or t2, `second`): move the target. */
static void adapt(struct arc *a, bool second)
{
	double b1 = (double)a->list[B1].weight, b2 = (double)a->list[B2].weight;

	if (second)
		a->target = OM_MAX(a->target - OM_MAX(b1 / b2, 1.0), 0.0);
	else
		a->target = OM_MIN(a->target + OM_MAX(b2 / b1, 1.0), (double)a->conf.capacity);
}

static bool arc_access(void *self, uint32_t obj)
{
	struct arc *a = self;
	uint64_t weight = lcy_expert_size(&a->conf, obj);
	enum where was = a->where[obj];

	if (was == T1 || was == T2) {
		move(a, obj, T2);
		return true;
	}
	if (was != NOWHERE) {
		adapt(a, was == B2);
		move(a, obj, NOWHERE);
	}
	while (a->conf.capacity - arc_used(a) < weight) {
		if (was != NOWHERE)
			replace(a, was == B2);
		else
			make_room_for_new(a, weight);
	}
	move(a, obj, was == NOWHERE ? T1 : T2);
	return false;
}

static bool arc_has(const void *self, uint32_t obj)
{
	const struct arc *a = self;

	return a->where[obj] == T1 || a->where[obj] == T2;
}

static void arc_forget(void *self, uint32_t obj)
{
	move(self, obj, NOWHERE);
}

static void arc_resize(void *self, uint64_t capacity)
{
	struct arc *a = self;

	a->conf.capacity = capacity;
	a->target = OM_MIN(a->target, (double)capacity);
	while (arc_used(a) > capacity)
		replace(a, false);
	while (a->list[B1].weight > capacity)
		move(a, a->list[B1].tail, NOWHERE);
	while (a->list[B2].weight > capacity)
		move(a, a->list[B2].tail, NOWHERE);
}

const struct lcy_expert_ops lcy_expert_arc = {"arc", arc_make, arc_access, arc_has, arc_used,
					      arc_forget, arc_resize, arc_done};
