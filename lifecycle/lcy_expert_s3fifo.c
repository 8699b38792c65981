/*
 * lcy_expert_s3fifo.c: S3-FIFO (Yang et al., SOSP 2023), in the form that the published numbers belong to.
 *
 * A small FIFO of 10 % of the cache, a main FIFO of the rest, a ghost FIFO of names for 90 % of the cache's bytes. A new
 * object enters the small one, or the main one when its name is among the ghosts. What leaves the small one after two hits
 * goes on to the main one, else its name to the ghosts; what leaves the main one with hits left goes round again. The
 * small queue may take the whole cache while the main one is not full.
 */
#include "lifecycle/lcy_expert.h"

#define SMALL_SHARE 0.10
#define GHOST_SHARE 0.90
#define TO_MAIN_HITS 2u
#define ROUNDS_MAX 3u /* hits that count in the main queue */

enum where { NOWHERE, SMALL, MAIN, GHOST };

struct s3fifo {
	struct lcy_expert_conf conf;
	struct lcy_expert_list small, main, ghost;
	uint64_t small_max, main_max, ghost_max;
	uint8_t *where;
	uint32_t *hits;
	struct lcy_expert_link *links;
};

static void s3fifo_done(void *self)
{
	struct s3fifo *s = self;

	if (!s)
		return;
	free(s->where);
	free(s->hits);
	free(s->links);
	free(s);
}

static void divide(struct s3fifo *s, uint64_t capacity)
{
	s->conf.capacity = capacity;
	/* at least 1, or a cache of a few objects would never let one in */
	s->small_max = OM_MAX((uint64_t)((double)capacity * SMALL_SHARE), 1);
	s->main_max = capacity - s->small_max;
	s->ghost_max = (uint64_t)((double)capacity * GHOST_SHARE);
}

static void *s3fifo_make(const struct lcy_expert_conf *conf)
{
	struct s3fifo *s = calloc(1, sizeof(*s));
	size_t n = (size_t)conf->objects + 1;

	if (!s)
		return NULL;
	s->conf = *conf;
	s->small = s->main = s->ghost = LCY_EXPERT_LIST_INIT;
	divide(s, conf->capacity);
	s->where = calloc(n, 1);
	s->hits = calloc(n, sizeof(*s->hits));
	s->links = calloc(n, sizeof(*s->links));
	if (s->where && s->hits && s->links)
		return s;
	s3fifo_done(s);
	return NULL;
}

static uint64_t s3fifo_used(const void *self)
{
	const struct s3fifo *s = self;

	return s->small.weight + s->main.weight;
}

static struct lcy_expert_list *list_of(struct s3fifo *s, enum where w)
{
	return w == SMALL ? &s->small : w == MAIN ? &s->main : &s->ghost;
}

/* Leave the list where it is, if any, and enter another, if any. */
static void move(struct s3fifo *s, uint32_t obj, enum where to)
{
	uint64_t weight = lcy_expert_size(&s->conf, obj);

	if ((s->where[obj] == SMALL || s->where[obj] == MAIN) && to != SMALL && to != MAIN)
		lcy_expert_evicted(&s->conf, obj);
	if (s->where[obj] != NOWHERE)
		lcy_expert_remove(list_of(s, s->where[obj]), s->links, obj, weight);
	s->where[obj] = (uint8_t)to;
	if (to != NOWHERE)
		lcy_expert_push(list_of(s, to), s->links, obj, weight);
}

static void remember(struct s3fifo *s, uint32_t obj)
{
	uint64_t weight = lcy_expert_size(&s->conf, obj);

	move(s, obj, NOWHERE);
	if (weight > s->ghost_max)
		return;
	while (s->ghost_max - s->ghost.weight < weight)
		move(s, s->ghost.tail, NOWHERE);
	move(s, obj, GHOST);
}

/* Until one object has left the cache, or the queue is empty. */
static void evict_small(struct s3fifo *s)
{
	while (s->small.count > 0) {
		uint32_t obj = s->small.tail;
		bool promoted = s->hits[obj] >= TO_MAIN_HITS;

		s->hits[obj] = 0;
		if (!promoted) {
			remember(s, obj);
			return;
		}
		move(s, obj, MAIN);
	}
}

static void evict_main(struct s3fifo *s)
{
	for (;;) {
		uint32_t obj = s->main.tail;

		if (s->hits[obj] == 0) {
			move(s, obj, NOWHERE);
			return;
		}
		s->hits[obj] = OM_MIN(s->hits[obj], ROUNDS_MAX) - 1;
		move(s, obj, MAIN);
	}
}

static void evict(struct s3fifo *s)
{
	if (s->main.count > 0 && (s->main.weight > s->main_max || s->small.count == 0))
		evict_main(s);
	else
		evict_small(s);
}

static bool s3fifo_access(void *self, uint32_t obj)
{
	struct s3fifo *s = self;
	uint64_t weight = lcy_expert_size(&s->conf, obj);
	bool known = s->where[obj] == GHOST;

	if (s->where[obj] == SMALL || s->where[obj] == MAIN) {
		s->hits[obj]++;
		return true;
	}
	if (known)
		move(s, obj, NOWHERE);
	/* What is larger than the small queue is not let in, known or not: it would flush the queue. */
	if (weight > s->small_max)
		return false;
	while (s->conf.capacity - s3fifo_used(s) < weight)
		evict(s);
	s->hits[obj] = 0;
	move(s, obj, known ? MAIN : SMALL);
	return false;
}

static bool s3fifo_has(const void *self, uint32_t obj)
{
	const struct s3fifo *s = self;

	return s->where[obj] == SMALL || s->where[obj] == MAIN;
}

static void s3fifo_forget(void *self, uint32_t obj)
{
	struct s3fifo *s = self;

	move(s, obj, NOWHERE);
	s->hits[obj] = 0;
}

static void s3fifo_resize(void *self, uint64_t capacity)
{
	struct s3fifo *s = self;

	divide(s, capacity);
	while (s->ghost.weight > s->ghost_max)
		move(s, s->ghost.tail, NOWHERE);
	while (s3fifo_used(s) > capacity)
		evict(s);
}

const struct lcy_expert_ops lcy_expert_s3fifo = {"s3fifo", s3fifo_make, s3fifo_access,
						 s3fifo_has, s3fifo_used, s3fifo_forget, s3fifo_resize, s3fifo_done};
