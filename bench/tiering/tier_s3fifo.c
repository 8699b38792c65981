/*
 * tier_s3fifo.c: S3-FIFO (Yang et al., SOSP 2023), in the form that the published numbers belong to. In objm-tiering.
 *
 * A small FIFO of 10 % of the cache, a main FIFO of the rest, a ghost FIFO of names for 90 % of the cache's bytes. A new
 * object enters the small one, or the main one when its name is among the ghosts. What leaves the small one after two hits
 * goes on to the main one, else its name to the ghosts; what leaves the main one with hits left goes round again. The
 * small queue may take the whole cache while the main one is not full.
 */
#include "bench/tiering/tier.h"

#define SMALL_SHARE 0.10
#define GHOST_SHARE 0.90
#define TO_MAIN_HITS 2u
#define ROUNDS_MAX 3u /* hits that count in the main queue */

enum where { NOWHERE, SMALL, MAIN, GHOST };

struct s3fifo {
	struct tier_sim sim;
	struct tier_list small, main, ghost;
	uint64_t small_max, main_max, ghost_max;
	uint8_t *where;
	uint32_t *hits;
	struct tier_link *links;
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

static void *s3fifo_make(const struct tier_sim *sim)
{
	struct s3fifo *s = calloc(1, sizeof(*s));
	size_t n = (size_t)sim->trace->objects + 1;

	if (!s)
		return NULL;
	s->sim = *sim;
	s->small = s->main = s->ghost = TIER_LIST_INIT;
	/* at least 1, or a cache of a few objects would never let one in */
	s->small_max = OM_MAX((uint64_t)((double)sim->capacity * SMALL_SHARE), 1);
	s->main_max = sim->capacity - s->small_max;
	s->ghost_max = (uint64_t)((double)sim->capacity * GHOST_SHARE);
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

static struct tier_list *list_of(struct s3fifo *s, enum where w)
{
	return w == SMALL ? &s->small : w == MAIN ? &s->main : &s->ghost;
}

/* Leave the list where it is, if any, and enter another, if any. */
static void move(struct s3fifo *s, uint32_t obj, enum where to)
{
	uint64_t weight = tier_weight(&s->sim, obj);

	if (s->where[obj] != NOWHERE)
		tier_list_remove(list_of(s, s->where[obj]), s->links, obj, weight);
	s->where[obj] = (uint8_t)to;
	if (to != NOWHERE)
		tier_list_push(list_of(s, to), s->links, obj, weight);
}

static void remember(struct s3fifo *s, uint32_t obj)
{
	uint64_t weight = tier_weight(&s->sim, obj);

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

static bool s3fifo_access(void *self, uint32_t obj, uint64_t at)
{
	struct s3fifo *s = self;
	uint64_t weight = tier_weight(&s->sim, obj);
	bool known = s->where[obj] == GHOST;

	(void)at;
	if (s->where[obj] == SMALL || s->where[obj] == MAIN) {
		s->hits[obj]++;
		return true;
	}
	if (known)
		move(s, obj, NOWHERE);
	/* What is larger than the small queue is not let in, known or not: it would flush the queue. */
	if (weight > s->small_max)
		return false;
	while (s->sim.capacity - s3fifo_used(s) < weight) {
		if (s->main.count > 0 && (s->main.weight > s->main_max || s->small.count == 0))
			evict_main(s);
		else
			evict_small(s);
	}
	s->hits[obj] = 0;
	move(s, obj, known ? MAIN : SMALL);
	return false;
}

const struct tier_policy tier_s3fifo = {"s3fifo", "three FIFOs: 10 % small, main, ghosts", s3fifo_make, s3fifo_access, s3fifo_used,
					s3fifo_done};
