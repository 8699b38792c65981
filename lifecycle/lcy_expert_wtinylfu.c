/*
 * lcy_expert_wtinylfu.c: W-TinyLFU (Einziger, Friedman, Manes, TOS 2017).
 *
 * A window of 1 % of the cache (LRU) before a main part (segmented LRU, 80 % of it protected). What leaves the window
 * enters the main part only if a sketch of small counters says that it is requested more often than each of those that
 * would have to go for it. The sketch has four rows of 4-bit counters, about as many as objects fit into the cache, and
 * halves them all after ten times as many requests.
 */
#include "lifecycle/lcy_expert.h"

#define WINDOW_SHARE 0.01
#define PROTECTED_SHARE 0.80
#define ROWS 4u
#define COUNT_MAX 15u
#define SAMPLES 10u /* requests to an object that fits, until the counters are halved */
#define WIDTH_MIN 64u

enum where { NOWHERE, WINDOW, PROBATION, PROTECTED, LISTS };

struct wtinylfu {
	struct lcy_expert_conf conf;
	struct lcy_expert_list list[LISTS];
	uint64_t window_max, main_max, protected_max;
	uint64_t width, added, period; /* of the sketch */
	uint8_t *counter;
	uint8_t *where;
	struct lcy_expert_link *links;
};

static void wtinylfu_done(void *self)
{
	struct wtinylfu *w = self;

	if (!w)
		return;
	free(w->counter);
	free(w->where);
	free(w->links);
	free(w);
}

static void divide(struct wtinylfu *w, uint64_t capacity)
{
	w->conf.capacity = capacity;
	w->window_max = OM_MAX((uint64_t)((double)capacity * WINDOW_SHARE), 1);
	w->main_max = capacity - w->window_max;
	w->protected_max = (uint64_t)((double)w->main_max * PROTECTED_SHARE);
}

static void *wtinylfu_make(const struct lcy_expert_conf *conf)
{
	struct wtinylfu *w = calloc(1, sizeof(*w));
	size_t n = (size_t)conf->objects + 1;
	double fit = OM_MIN((double)conf->capacity / conf->mean_size, (double)conf->objects);

	if (!w)
		return NULL;
	w->conf = *conf;
	for (unsigned i = 0; i < LISTS; i++)
		w->list[i] = LCY_EXPERT_LIST_INIT;
	divide(w, conf->capacity);
	w->width = WIDTH_MIN;
	while ((double)w->width < fit)
		w->width *= 2;
	w->period = (uint64_t)OM_MAX(fit * SAMPLES, (double)(WIDTH_MIN * SAMPLES));
	w->counter = calloc(ROWS, w->width);
	w->where = calloc(n, 1);
	w->links = calloc(n, sizeof(*w->links));
	if (w->counter && w->where && w->links)
		return w;
	wtinylfu_done(w);
	return NULL;
}

static uint64_t wtinylfu_used(const void *self)
{
	const struct wtinylfu *w = self;

	return w->list[WINDOW].weight + w->list[PROBATION].weight + w->list[PROTECTED].weight;
}

/* ---------------------------------------------------------------- the sketch */

/* The finalizer of splitmix64. */
static uint64_t spread(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint8_t *counter_of(const struct wtinylfu *w, uint32_t obj, unsigned row)
{
	uint64_t state = ((uint64_t)obj << 2) | row;

	return &w->counter[row * w->width + (spread(state) & (w->width - 1))];
}

static unsigned estimate(const struct wtinylfu *w, uint32_t obj)
{
	unsigned least = COUNT_MAX;

	for (unsigned row = 0; row < ROWS; row++)
		least = OM_MIN(least, *counter_of(w, obj, row));
	return least;
}

static void count(struct wtinylfu *w, uint32_t obj)
{
	for (unsigned row = 0; row < ROWS; row++) {
		uint8_t *c = counter_of(w, obj, row);

		if (*c < COUNT_MAX)
			++*c;
	}
	if (++w->added < w->period)
		return;
	for (uint64_t i = 0; i < ROWS * w->width; i++)
		w->counter[i] /= 2;
	w->added /= 2;
}

/* ---------------------------------------------------------------- the cache */

static void move(struct wtinylfu *w, uint32_t obj, enum where to)
{
	uint64_t weight = lcy_expert_size(&w->conf, obj);

	if (w->where[obj] != NOWHERE && to == NOWHERE)
		lcy_expert_evicted(&w->conf, obj);
	if (w->where[obj] != NOWHERE)
		lcy_expert_remove(&w->list[w->where[obj]], w->links, obj, weight);
	w->where[obj] = (uint8_t)to;
	if (to != NOWHERE)
		lcy_expert_push(&w->list[to], w->links, obj, weight);
}

/* The first to go, or the one to go after `obj`: from the tail of probation, then from that of the protected part. */
static uint32_t victim_after(const struct wtinylfu *w, uint32_t obj)
{
	uint32_t next = obj == LCY_EXPERT_NONE ? w->list[PROBATION].tail : w->links[obj].prev;

	if (next == LCY_EXPERT_NONE && (obj == LCY_EXPERT_NONE || w->where[obj] == PROBATION))
		next = w->list[PROTECTED].tail;
	return next;
}

/* What leaves the window enters the main part or the cold. */
static void admit(struct wtinylfu *w, uint32_t obj)
{
	uint64_t weight = lcy_expert_size(&w->conf, obj), held = w->list[PROBATION].weight + w->list[PROTECTED].weight, freed = 0;
	unsigned rank = estimate(w, obj);

	if (weight > w->main_max) {
		move(w, obj, NOWHERE);
		return;
	}
	for (uint32_t victim = LCY_EXPERT_NONE; w->main_max - (held - freed) < weight; freed += lcy_expert_size(&w->conf, victim)) {
		victim = victim_after(w, victim);
		if (estimate(w, victim) >= rank) {
			move(w, obj, NOWHERE);
			return;
		}
	}
	while (w->main_max - (w->list[PROBATION].weight + w->list[PROTECTED].weight) < weight)
		move(w, victim_after(w, LCY_EXPERT_NONE), NOWHERE);
	move(w, obj, PROBATION);
}

static bool wtinylfu_access(void *self, uint32_t obj)
{
	struct wtinylfu *w = self;
	enum where was = w->where[obj];

	count(w, obj);
	if (was == NOWHERE || was == WINDOW) {
		move(w, obj, WINDOW);
		while (w->list[WINDOW].weight > w->window_max)
			admit(w, w->list[WINDOW].tail);
		return was == WINDOW;
	}
	move(w, obj, PROTECTED);
	while (w->list[PROTECTED].weight > w->protected_max)
		move(w, w->list[PROTECTED].tail, PROBATION);
	return true;
}

static bool wtinylfu_has(const void *self, uint32_t obj)
{
	return ((const struct wtinylfu *)self)->where[obj] != NOWHERE;
}

static void wtinylfu_forget(void *self, uint32_t obj)
{
	move(self, obj, NOWHERE); /* the sketch forgets by itself */
}

/* The sketch keeps its width: it was made for about as many objects. */
static void wtinylfu_resize(void *self, uint64_t capacity)
{
	struct wtinylfu *w = self;

	divide(w, capacity);
	while (w->list[PROTECTED].weight > w->protected_max)
		move(w, w->list[PROTECTED].tail, PROBATION);
	while (w->list[PROBATION].weight + w->list[PROTECTED].weight > w->main_max)
		move(w, victim_after(w, LCY_EXPERT_NONE), NOWHERE);
	while (w->list[WINDOW].weight > w->window_max)
		admit(w, w->list[WINDOW].tail);
}

const struct lcy_expert_ops lcy_expert_wtinylfu = {"wtinylfu", wtinylfu_make,
						   wtinylfu_access, wtinylfu_has, wtinylfu_used, wtinylfu_forget, wtinylfu_resize,
						   wtinylfu_done};
