/*
 * lcy_lane.h: one tier of some capacity under one pair (H, M), as lcy_policy.c plays it: which objects would be on it.
 *
 * Part of liblcypolicy; nobody but lcy_policy.c includes it. Pure code, one caller at a time.
 *
 * Ranks are not stored: they follow from the count, the time of the last access and H, so that changing H means no more than
 * setting up the heap again (lcy_lane_scale). The times are the caller's, one array for all lanes over the same objects.
 */
#ifndef LCY_LANE_H
#define LCY_LANE_H

#include "lifecycle/lcy_policy.h"

#define LCY_LANE_NOT_HERE UINT32_MAX

/* A pair; `forget`: an object that left starts over when it comes back. */
struct lcy_lane_rule {
	float half_life, margin;
	bool forget;
};

struct lcy_lane {
	struct lcy_lane_rule rule;
	double per_rank; /* 1 / (H * n) */
	float per_count; /* the same for the decay of counts */
	uint64_t used, capacity;
	uint32_t count, heap_room;
	uint32_t *heap; /* objects of the lane */
	uint32_t *pos;	/* by object: place in the heap or LCY_LANE_NOT_HERE */
	float *log_count; /* by object: log2 of the decayed count as of the last access; below 0: never accessed */
	const uint32_t *last; /* by object: time of the last access */
	double hits, bytes; /* of late, decayed */
};

struct lcy_lane_sizes {
	const struct lcy_policy_conf *conf;
	uint32_t step, phase; /* an object of the lane is number obj * step + phase outside */
};
/** 1 or more, in the unit of conf->size */
uint64_t lcy_lane_size(const struct lcy_lane_sizes *s, uint32_t obj);

/** `l` is all zero; `last` is borrowed. 0 or -OBJM_STATUS_OUT_OF_MEMORY; lcy_lane_fini() in either case */
int lcy_lane_init(struct lcy_lane *l, struct lcy_lane_rule rule, uint32_t objects, uint64_t capacity, const uint32_t *last) OM_MUST_USE;
void lcy_lane_fini(struct lcy_lane *l);
/** The lane holds about `n` objects, or has another rule: all ranks are computed anew. */
void lcy_lane_scale(struct lcy_lane *l, float n);
/** All of `last` has changed: the heap is set in order again. */
void lcy_lane_reorder(struct lcy_lane *l);

static inline bool lcy_lane_has(const struct lcy_lane *l, uint32_t obj) { return l->pos[obj] != LCY_LANE_NOT_HERE; }

/** Count an access at `now`; the caller sets `last` after all lanes have. */
void lcy_lane_count(struct lcy_lane *l, uint32_t obj, uint32_t now);
/** An access that has been counted: what leaves for it is in `victim` (LCY_POLICY_VICTIMS places), *ret_n of them. */
enum lcy_policy_verdict lcy_lane_access(struct lcy_lane *l, const struct lcy_lane_sizes *s, uint32_t obj, uint64_t size, uint32_t *victim,
					unsigned *ret_n);
/** The same for an object that is there; false, and nothing happens: it is not. */
bool lcy_lane_touch(struct lcy_lane *l, uint32_t obj);
/** Put it there, whatever its rank; its size is the caller's to add. False: no memory. */
bool lcy_lane_add(struct lcy_lane *l, uint32_t obj);
/** Take it out, if it is there; with `history` its count goes too. */
void lcy_lane_drop(struct lcy_lane *l, const struct lcy_lane_sizes *s, uint32_t obj, bool history);

#endif
