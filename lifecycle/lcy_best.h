/*
 * lcy_best.h: what might be done to an object, and the best so many of all objects, in bounded memory.
 *
 * Linked by objmapper-lifecycle and its tests; pure code, loop's thread.
 */
#ifndef LCY_BEST_H
#define LCY_BEST_H

#include "lifecycle/lcy_move.h"

/* One thing that might be done. It is looked at again before it is done: the object may be another one by then. */
struct lcy_cand {
	double score; /* higher: sooner */
	uint64_t id, size;
	uint32_t slot;
	uint8_t kind;	   /* enum lcy_job_kind */
	uint8_t why;	   /* enum lcy_why */
	uint8_t from, to;  /* as in struct lcy_job */
	uint8_t move_kind; /* enum om_move_kind */
	uint8_t drop_why;  /* enum om_drop_why */
};

/* The `max` of the highest score that were added: a heap, the least first. */
struct lcy_best {
	struct lcy_cand *v; /* malloc'ed when first needed */
	uint32_t n, max;
};

void lcy_best_fini(struct lcy_best *b);
/** Forget all; `max` from now on. */
void lcy_best_clear(struct lcy_best *b, uint32_t max);
/** Would one of this score be kept? */
static inline bool lcy_best_wants(const struct lcy_best *b, double score)
{
	return b->max > 0 && (b->n < b->max || score > b->v[0].score);
}
/** Keep it if it is among the best; without memory it is lost, and found again by the next scan. */
void lcy_best_add(struct lcy_best *b, const struct lcy_cand *cand);
/** Highest score first, among equal ones the lowest id; nothing can be added until it is cleared. */
void lcy_best_sort(struct lcy_best *b);

#endif
