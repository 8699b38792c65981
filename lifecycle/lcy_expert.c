/*
 * lcy_expert.c: lists of objects, and the policies that need nothing else: LRU, FIFO, SIEVE (Zhang et al., NSDI 2024).
 *
 * New objects enter at the head; what goes first is at the tail.
 */
#include "lifecycle/lcy_expert.h"

void lcy_expert_push(struct lcy_expert_list *l, struct lcy_expert_link *links, uint32_t obj, uint64_t weight)
{
	links[obj] = (struct lcy_expert_link){.prev = LCY_EXPERT_NONE, .next = l->head};
	if (l->head == LCY_EXPERT_NONE)
		l->tail = obj;
	else
		links[l->head].prev = obj;
	l->head = obj;
	l->count++;
	l->weight += weight;
}

void lcy_expert_remove(struct lcy_expert_list *l, struct lcy_expert_link *links, uint32_t obj, uint64_t weight)
{
	struct lcy_expert_link k = links[obj];

	*(k.prev == LCY_EXPERT_NONE ? &l->head : &links[k.prev].next) = k.next;
	*(k.next == LCY_EXPERT_NONE ? &l->tail : &links[k.next].prev) = k.prev;
	l->count--;
	l->weight -= weight;
}

struct queue {
	struct lcy_expert_conf conf;
	struct lcy_expert_list list;
	uint32_t hand;	 /* SIEVE: where the search for a victim goes on; LCY_EXPERT_NONE: at the tail */
	uint8_t *state;	 /* 0: not here; 1: here; 2: here, and hit since the hand passed (SIEVE) */
	struct lcy_expert_link *links;
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

static void *queue_make(const struct lcy_expert_conf *conf)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->conf = *conf;
	q->list = LCY_EXPERT_LIST_INIT;
	q->hand = LCY_EXPERT_NONE;
	q->state = calloc(conf->objects + 1u, 1);
	q->links = calloc(conf->objects + 1u, sizeof(*q->links));
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
	lcy_expert_evicted(&q->conf, victim);
	lcy_expert_remove(&q->list, q->links, victim, lcy_expert_size(&q->conf, victim));
}

static bool oldest_out(struct queue *q, uint32_t obj, bool to_front)
{
	uint64_t weight = lcy_expert_size(&q->conf, obj);

	if (q->state[obj]) {
		if (to_front) {
			lcy_expert_remove(&q->list, q->links, obj, weight);
			lcy_expert_push(&q->list, q->links, obj, weight);
		}
		return true;
	}
	while (q->conf.capacity - q->list.weight < weight)
		drop(q, q->list.tail);
	lcy_expert_push(&q->list, q->links, obj, weight);
	q->state[obj] = 1;
	return false;
}

static bool lru_access(void *self, uint32_t obj)
{
	return oldest_out(self, obj, true);
}

static bool fifo_access(void *self, uint32_t obj)
{
	return oldest_out(self, obj, false);
}

/* The hand goes from the oldest to the newest, spares what was hit once, and drops the first that was not. */
static void sieve_evict(struct queue *q)
{
	uint32_t victim = q->hand == LCY_EXPERT_NONE ? q->list.tail : q->hand;

	while (q->state[victim] == 2) {
		q->state[victim] = 1;
		victim = q->links[victim].prev == LCY_EXPERT_NONE ? q->list.tail : q->links[victim].prev;
	}
	q->hand = q->links[victim].prev;
	drop(q, victim);
}

static bool sieve_access(void *self, uint32_t obj)
{
	struct queue *q = self;
	uint64_t weight = lcy_expert_size(&q->conf, obj);

	if (q->state[obj]) {
		q->state[obj] = 2;
		return true;
	}
	while (q->conf.capacity - q->list.weight < weight)
		sieve_evict(q);
	lcy_expert_push(&q->list, q->links, obj, weight);
	q->state[obj] = 1;
	return false;
}

static bool queue_has(const void *self, uint32_t obj)
{
	return ((const struct queue *)self)->state[obj] != 0;
}

static void queue_forget(void *self, uint32_t obj)
{
	struct queue *q = self;

	if (!q->state[obj])
		return;
	if (q->hand == obj)
		q->hand = q->links[obj].prev;
	drop(q, obj);
}

static void lru_resize(void *self, uint64_t capacity)
{
	struct queue *q = self;

	q->conf.capacity = capacity;
	while (q->list.weight > capacity)
		drop(q, q->list.tail);
}

static void sieve_resize(void *self, uint64_t capacity)
{
	struct queue *q = self;

	q->conf.capacity = capacity;
	while (q->list.weight > capacity)
		sieve_evict(q);
}

const struct lcy_expert_ops lcy_expert_lru = {"lru", queue_make, lru_access, queue_has, queue_used,
					      queue_forget, lru_resize, queue_done};
const struct lcy_expert_ops lcy_expert_fifo = {"fifo", queue_make, fifo_access, queue_has, queue_used,
					       queue_forget, lru_resize, queue_done};
const struct lcy_expert_ops lcy_expert_sieve = {"sieve", queue_make, sieve_access, queue_has,
						queue_used, queue_forget, sieve_resize, queue_done};
