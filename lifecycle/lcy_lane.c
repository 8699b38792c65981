/*
 * lcy_lane.c: one tier under one pair of half-life and margin, see lcy_lane.h. Pure code. The heap below: the least rank first.
 */
#include "lifecycle/lcy_lane.h"

#include <math.h>

#define COUNT_LIFE 16.0f /* half-life of counts, in times H */

static inline double rank_of(const struct lcy_lane *l, uint32_t obj)
{
	return (double)l->last[obj] * l->per_rank + (double)l->log_count[obj];
}

/* Equal ranks: the one accessed longer ago first. */
static inline bool goes_before(const struct lcy_lane *l, uint32_t a, uint32_t b)
{
	double ra = rank_of(l, a), rb = rank_of(l, b);

	return ra < rb || (!(rb < ra) && l->last[a] < l->last[b]);
}

static inline void place(struct lcy_lane *l, uint32_t i, uint32_t obj)
{
	l->heap[i] = obj;
	l->pos[obj] = i;
}

static void settle(struct lcy_lane *l, uint32_t i, uint32_t obj)
{
	uint32_t child;

	while (i > 0 && goes_before(l, obj, l->heap[(i - 1) / 2])) {
		place(l, i, l->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	while ((child = 2 * i + 1) < l->count) {
		if (child + 1 < l->count && goes_before(l, l->heap[child + 1], l->heap[child]))
			child++;
		if (!goes_before(l, l->heap[child], obj))
			break;
		place(l, i, l->heap[child]);
		i = child;
	}
	place(l, i, obj);
}

bool lcy_lane_add(struct lcy_lane *l, uint32_t obj)
{
	if (l->count == l->heap_room) {
		uint32_t room = l->heap_room ? l->heap_room * 2 : 1024;
		uint32_t *heap = realloc(l->heap, room * sizeof(*heap));

		if (!heap)
			return false;
		l->heap = heap;
		l->heap_room = room;
	}
	settle(l, l->count++, obj);
	return true;
}

static void heap_remove(struct lcy_lane *l, uint32_t obj)
{
	uint32_t i = l->pos[obj], last = l->heap[--l->count];

	l->pos[obj] = LCY_LANE_NOT_HERE;
	if (last != obj)
		settle(l, i, last);
}

bool lcy_lane_touch(struct lcy_lane *l, uint32_t obj)
{
	if (!lcy_lane_has(l, obj))
		return false;
	settle(l, l->pos[obj], obj);
	return true;
}

void lcy_lane_reorder(struct lcy_lane *l)
{
	for (uint32_t i = l->count / 2; i-- > 0;)
		settle(l, i, l->heap[i]);
}

int lcy_lane_init(struct lcy_lane *l, struct lcy_lane_rule rule, uint32_t objects, uint64_t capacity, const uint32_t *last)
{
	l->rule = rule;
	l->capacity = capacity;
	l->last = last;
	l->pos = malloc(objects * sizeof(*l->pos));
	l->log_count = malloc(objects * sizeof(*l->log_count));
	if (!l->pos || !l->log_count)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < objects; i++) {
		l->pos[i] = LCY_LANE_NOT_HERE;
		l->log_count[i] = -1;
	}
	return 0;
}

void lcy_lane_fini(struct lcy_lane *l)
{
	free(l->heap);
	free(l->pos);
	free(l->log_count);
}

void lcy_lane_scale(struct lcy_lane *l, float n)
{
	l->per_rank = 1.0 / ((double)l->rule.half_life * (double)n);
	l->per_count = (float)l->per_rank / COUNT_LIFE;
	lcy_lane_reorder(l);
}

void lcy_lane_count(struct lcy_lane *l, uint32_t obj, uint32_t now)
{
	float was = l->log_count[obj];

	if (was < 0 || (l->rule.forget && !lcy_lane_has(l, obj)))
		l->log_count[obj] = 0;
	else
		l->log_count[obj] = log2f(1.0f + exp2f(was - (float)(now - l->last[obj]) * l->per_count));
}

uint64_t lcy_lane_size(const struct lcy_lane_sizes *s, uint32_t obj)
{
	return OM_MAX(s->conf->size(s->conf->arg, obj * s->step + s->phase), 1);
}

/*
 * Take out what has to go for an object that is not there: into `victim`, *ret_n of them. False, and nothing has changed:
 * one of them is worth as much as the newcomer, or they would be too many.
 */
static bool lane_make_room(struct lcy_lane *l, const struct lcy_lane_sizes *s, uint32_t obj, uint64_t size, uint32_t *victim, unsigned *ret_n)
{
	double limit = rank_of(l, obj) - (double)l->rule.margin;
	uint64_t used = l->used;
	unsigned n = 0;

	while (l->capacity - used < size) {
		uint32_t least = l->heap[0];

		if (n == LCY_POLICY_VICTIMS || !(rank_of(l, least) < limit)) {
			while (n > 0)
				settle(l, l->count++, victim[--n]);
			return false;
		}
		heap_remove(l, least);
		used -= lcy_lane_size(s, least);
		victim[n++] = least;
	}
	l->used = used;
	*ret_n = n;
	return true;
}

enum lcy_policy_verdict lcy_lane_access(struct lcy_lane *l, const struct lcy_lane_sizes *s, uint32_t obj, uint64_t size, uint32_t *victim,
					unsigned *ret_n)
{
	*ret_n = 0;
	if (lcy_lane_touch(l, obj))
		return LCY_POLICY_HIT;
	if (size > l->capacity || !lane_make_room(l, s, obj, size, victim, ret_n))
		return LCY_POLICY_REJECT;
	if (!lcy_lane_add(l, obj)) /* no memory to remember it: then it stays where it is, and the victims are gone */
		return LCY_POLICY_REJECT;
	l->used += size;
	return LCY_POLICY_ADMIT;
}

void lcy_lane_drop(struct lcy_lane *l, const struct lcy_lane_sizes *s, uint32_t obj, bool history)
{
	if (lcy_lane_has(l, obj)) {
		heap_remove(l, obj);
		l->used -= lcy_lane_size(s, obj);
	}
	if (history)
		l->log_count[obj] = -1;
}
