/*
 * lcy_expert.h: known policies for a fast tier, each over its own imagined tier of the same capacity. Pure code.
 *
 * Linked by the lifecycle process (lcy_blend.h lets the best of them lead) and by objm-tiering, which compares them. No I/O, no
 * clock, no thread: one caller at a time for each. Objects are numbers below `objects`. Sources are named in each file.
 */
#ifndef LCY_EXPERT_H
#define LCY_EXPERT_H

#include "common/om_base.h"

#define LCY_EXPERT_NONE UINT32_MAX /* no object */

struct lcy_expert_conf {
	uint32_t objects;  /* numbers are below this */
	uint64_t capacity; /* in the unit of `size` */
	double mean_size;  /* of an object, a guess, above 0 */
	uint64_t (*size)(const void *arg, uint32_t obj); /* 1 or more; does not change until the object is forgotten */
	void (*evicted)(void *arg, uint32_t obj); /* it has just left the imagined tier; may be NULL; calls nothing here */
	void *arg;
};

struct lcy_expert_ops {
	const char *name;
	void *(*make)(const struct lcy_expert_conf *conf); /* NULL: out of memory */
	/** An access to an object that is not larger than the capacity: was it there? If not, it is let in if the policy wants. */
	bool (*access)(void *self, uint32_t obj);
	bool (*has)(const void *self, uint32_t obj);
	uint64_t (*used)(const void *self);
	void (*forget)(void *self, uint32_t obj); /* the object is no more, or its size is another one now */
	void (*resize)(void *self, uint64_t capacity);
	void (*done)(void *self); /* NULL is fine */
};
extern const struct lcy_expert_ops lcy_expert_lru, lcy_expert_fifo, lcy_expert_sieve, lcy_expert_arc, lcy_expert_s3fifo,
	lcy_expert_wtinylfu;

static inline uint64_t lcy_expert_size(const struct lcy_expert_conf *conf, uint32_t obj) { return conf->size(conf->arg, obj); }
static inline void lcy_expert_evicted(const struct lcy_expert_conf *conf, uint32_t obj)
{
	if (conf->evicted)
		conf->evicted(conf->arg, obj);
}

/* ---- lists of objects (lcy_expert.c): doubly linked through one array for all lists of a policy, an object on at most one ---- */

struct lcy_expert_link {
	uint32_t prev, next;
};
struct lcy_expert_list {
	uint32_t head, tail, count;
	uint64_t weight;
};
#define LCY_EXPERT_LIST_INIT ((struct lcy_expert_list){.head = LCY_EXPERT_NONE, .tail = LCY_EXPERT_NONE})

void lcy_expert_push(struct lcy_expert_list *l, struct lcy_expert_link *links, uint32_t obj, uint64_t weight); /* at the head */
void lcy_expert_remove(struct lcy_expert_list *l, struct lcy_expert_link *links, uint32_t obj, uint64_t weight);

#endif
