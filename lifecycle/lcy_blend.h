/*
 * lcy_blend.h: which objects belong on a fast tier: the best of several policies leads, and the tier follows it. Pure code.
 *
 * Linked by the lifecycle process and by objm-tiering, which measures it. No I/O, no clock (time is counted in accesses), no thread:
 * one caller at a time for each. Objects are numbers below `objects`, as slots of the index.
 *
 * WHAT IT DOES  Each policy runs over every access on an imagined tier of the same size: the ranks of lcy_policy.h, and ARC,
 *               S3-FIFO, SIEVE and W-TinyLFU of lcy_expert.h. The one whose tier hit most of late (objects and bytes together)
 *               leads. The real tier lets in what the leader holds and gives up first what it does not.
 *		 A cache can only keep what passes through it. A tier can do more: when the lead changes, what the new leader
 *               holds and the tier does not is asked for at once (`wanted`), as moves in the background. So a policy that
 *               turns out to have kept the right objects can be followed although they had gone.
 * WITHOUT       `wanted`, or with more than LCY_BLEND_OBJECTS objects, it is lcy_policy.h alone.
 * COST          LCY_BLEND_OBJECTS or fewer: about 60 bytes an object beside the ranks'. An access: all policies', 2 to 4 us.
 */
#ifndef LCY_BLEND_H
#define LCY_BLEND_H

#include "lifecycle/lcy_policy.h"

#define LCY_BLEND_OBJECTS (UINT32_C(1) << 20) /* more: the ranks alone, which sample */

struct lcy_blend_conf {
	struct lcy_policy_conf policy; /* `evicted`: also what leaves in favour of what is wanted */
	/** The lead has changed: bring this object there; it counts as there from now on, or is dropped (lcy_blend_drop()). May be NULL.
	 * What has to go for it was told to `evicted` before. Calls nothing here but lcy_blend_drop() of the same object. */
	void (*wanted)(void *arg, uint32_t obj);
};

struct lcy_blend;

/** As lcy_policy_new(). */
int lcy_blend_new(const struct lcy_blend_conf *conf, struct lcy_blend **ret) OM_MUST_USE;
void lcy_blend_free(struct lcy_blend *b); /* NULL is fine */

/* These are what lcy_policy.h says of the functions of the same names. */
enum lcy_policy_verdict lcy_blend_access(struct lcy_blend *b, uint32_t obj);
bool lcy_blend_note(struct lcy_blend *b, uint32_t obj);
void lcy_blend_drop(struct lcy_blend *b, uint32_t obj, bool history);
void lcy_blend_put(struct lcy_blend *b, uint32_t obj);
bool lcy_blend_victim(struct lcy_blend *b, uint32_t *ret_obj);
void lcy_blend_resize(struct lcy_blend *b, uint64_t capacity);
bool lcy_blend_has(const struct lcy_blend *b, uint32_t obj);
uint64_t lcy_blend_used(const struct lcy_blend *b);
/** After the last lcy_policy_seed() and lcy_blend_put(). */
void lcy_blend_seeded(struct lcy_blend *b, const struct lcy_policy_trial *trial);

/** The ranks: to be seeded, and to be asked what is worth keeping over a restart. Borrowed. */
struct lcy_policy *lcy_blend_ranks(struct lcy_blend *b);
/** Name of the policy that leads now. */
const char *lcy_blend_leader(const struct lcy_blend *b);
/** What was asked for by `wanted` so far, in the unit of `size`. */
uint64_t lcy_blend_fetched(const struct lcy_blend *b);

#endif
