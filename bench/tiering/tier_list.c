/*
 * tier_list.c: lists of objects, and the policies that need nothing else: LRU, FIFO, SIEVE. In objm-tiering.
 *
 * New objects enter at the head; what goes first is at the tail.
 */
#include "bench/tiering/tier.h"

void tier_list_push(struct tier_list *l, struct tier_link *links, uint32_t obj, uint64_t weight)
{
	links[obj] = (struct tier_link){.prev = TIER_NONE, .next = l->head};
	if (l->head == TIER_NONE)
		l->tail = obj;
	else
		links[l->head].prev = obj;
	l->head = obj;
	l->count++;
	l->weight += weight;
}

void tier_list_remove(struct tier_list *l, struct tier_link *links, uint32_t obj, uint64_t weight)
{
	struct tier_link k = links[obj];

	*(k.prev == TIER_NONE ? &l->head : &links[k.prev].next) = k.next;
	*(k.next == TIER_NONE ? &l->tail : &links[k.next].prev) = k.prev;
	l->count--;
	l->weight -= weight;
}

struct queue {
	struct tier_sim sim;
	struct tier_list list;
	uint32_t hand;	 /* SIEVE: where the search for a victim goes on; TIER_NONE: at the tail */
	uint8_t *state;	 /* 0: not here; 1: here; 2: here, and hit since the hand passed (SIEVE) */
	struct tier_link *links;
};

static void queue_done(void *self)
{
	struct queue *q = self;

	if (!q)
		return;
	free(q->state);
	free(q->links);
	free(q);
}

static void *queue_make(const struct tier_sim *sim)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->sim = *sim;
	q->list = TIER_LIST_INIT;
	q->hand = TIER_NONE;
	q->state = calloc(sim->trace->objects + 1u, 1);
	q->links = calloc(sim->trace->objects + 1u, sizeof(*q->links));
	if (q->state && q->links)
		return q;
	queue_done(q);
	return NULL;
}

static uint64_t queue_used(const void *self)
{
	return ((const struct queue *)self)->list.weight;
}

static void drop(struct queue *q, uint32_t victim)
{
	q->state[victim] = 0;
	tier_list_remove(&q->list, q->links, victim, tier_weight(&q->sim, victim));
}

static bool oldest_out(struct queue *q, uint32_t obj, bool to_front)
{
	uint64_t weight = tier_weight(&q->sim, obj);

	if (q->state[obj]) {
		if (to_front) {
			tier_list_remove(&q->list, q->links, obj, weight);
			tier_list_push(&q->list, q->links, obj, weight);
		}
		return true;
	}
	while (q->sim.capacity - q->list.weight < weight)
		drop(q, q->list.tail);
	tier_list_push(&q->list, q->links, obj, weight);
	q->state[obj] = 1;
	return false;
}

static bool lru_access(void *self, uint32_t obj, uint64_t at)
{
	(void)at;
	return oldest_out(self, obj, true);
}

static bool fifo_access(void *self, uint32_t obj, uint64_t at)
{
	(void)at;
	return oldest_out(self, obj, false);
}

/* The hand goes from the oldest to the newest, spares what was hit once, and drops the first that was not. */
static void sieve_evict(struct queue *q)
{
	uint32_t victim = q->hand == TIER_NONE ? q->list.tail : q->hand;

	while (q->state[victim] == 2) {
		q->state[victim] = 1;
		victim = q->links[victim].prev == TIER_NONE ? q->list.tail : q->links[victim].prev;
	}
	q->hand = q->links[victim].prev;
	drop(q, victim);
}

static bool sieve_access(void *self, uint32_t obj, uint64_t at)
{
	struct queue *q = self;
	uint64_t weight = tier_weight(&q->sim, obj);

	(void)at;
	if (q->state[obj]) {
		q->state[obj] = 2;
		return true;
	}
	while (q->sim.capacity - q->list.weight < weight)
		sieve_evict(q);
	tier_list_push(&q->list, q->links, obj, weight);
	q->state[obj] = 1;
	return false;
}

const struct tier_policy tier_lru = {"lru", "least recently used goes first", queue_make, lru_access, queue_used, queue_done};
const struct tier_policy tier_fifo = {"fifo", "first in, first out", queue_make, fifo_access, queue_used, queue_done};
const struct tier_policy tier_sieve = {"sieve", "a FIFO whose hand spares what was hit", queue_make, sieve_access, queue_used,
				       queue_done};
