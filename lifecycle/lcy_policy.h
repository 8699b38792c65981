/*
 * lcy_policy.h: which objects belong on a fast tier: admission and eviction, as a pure library.
 *
 * Linked by objm-tiering, which measures it, and made for the lifecycle process. No I/O, no clock (time is counted in
 * accesses), no thread: one caller at a time for each policy. Objects are numbers below `objects`, as slots of the index.
 *
 * WHAT IT DOES  Each object has a rank: log2(count) + last access / (H * n), where `count` is decayed slowly (half-life
 *               16 * H * n) and n is the number of objects on the tier. A short H ranks by recency, a long one by
 *               frequency. A newcomer is let in when its rank is above the least of those there by more than a margin M,
 *               which is the hysteresis: it keeps a loop larger than the tier from washing everything through.
 *               No pair (H, M) is good everywhere, so a table of pairs runs on a sample of the objects, each on a tier
 *               scaled down alike, and the one that lately hit best, objects and bytes together, decides for the real tier.
 * COST          12 bytes an object, 4 more for each on the tier. Of every R-th object 132 bytes more, and 4 for each pair that
 *               has it on its scaled tier; at most LCY_POLICY_SAMPLE objects are sampled, so that is 51 MB at the very most.
 *               An access moves the object within a heap (O(log n)); of every R-th object in 16 small heaps besides.
 */
#ifndef LCY_POLICY_H
#define LCY_POLICY_H

#include "common/om_base.h"

#define LCY_POLICY_SAMPLE (UINT32_C(1) << 18) /* objects sampled at most */
#define LCY_POLICY_PAIRS_MAX 32u
#define LCY_POLICY_VICTIMS 4096u /* an object in whose favour more would have to go is not let in */

enum lcy_policy_verdict {
	LCY_POLICY_HIT,	   /* it is on the tier */
	LCY_POLICY_ADMIT,  /* bring it there; what has to go was told to `evicted` */
	LCY_POLICY_REJECT, /* leave it where it is */
};

struct lcy_policy_conf {
	uint32_t objects;   /* numbers are below this */
	uint64_t capacity;  /* of the tier, in the unit of `size` */
	uint64_t mean_size; /* of an object, a guess, at least 1; it decides how many are sampled */
	uint64_t (*size)(const void *arg, uint32_t obj); /* 1 or more; does not change while an object is on the tier */
	void (*evicted)(void *arg, uint32_t obj);	 /* leaves the tier in favour of the object being accessed; may be NULL */
	void *arg;
};

struct lcy_policy;

/** @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_INVALID_REQUEST: objects, capacity or mean_size 0, or no `size` */
int lcy_policy_new(const struct lcy_policy_conf *conf, struct lcy_policy **ret_policy) OM_MUST_USE;
/** NULL is allowed. */
void lcy_policy_free(struct lcy_policy *p);

/** Count an access to `obj` and say what follows. An admitted object counts as there from now on: if it can not be
 * brought there, lcy_policy_drop() it. */
enum lcy_policy_verdict lcy_policy_access(struct lcy_policy *p, uint32_t obj);
/** The object is not on the tier any more (deleted, moved, or never arrived). Its history is forgotten when `history` is
 * set, as it must be when the number goes to another object. An object that was not there is fine. */
void lcy_policy_drop(struct lcy_policy *p, uint32_t obj, bool history);

/** Count an access to `obj` without letting it in: what is not there stays away. @return true: it is there */
bool lcy_policy_note(struct lcy_policy *p, uint32_t obj);
/** `obj` is on the tier, whatever the policy thinks of that (found there after a restart). May exceed the capacity, until
 * lcy_policy_resize() or the next object let in. */
void lcy_policy_put(struct lcy_policy *p, uint32_t obj);
/** Take the object that is worth least out. @return false: there is none */
bool lcy_policy_victim(struct lcy_policy *p, uint32_t *ret_obj);
/** The capacity is another one now; what has to go is told to `evicted`. 0 counts as 1. */
void lcy_policy_resize(struct lcy_policy *p, uint64_t capacity);

/*
 * What is remembered of an object, to be kept over a restart: the decayed count as of its last access, and how many accesses (to
 * any object) ago that was. A new policy is seeded with it, object by object, then told what is on the tier
 * (lcy_policy_put), then lcy_policy_seeded() once.
 */
struct lcy_policy_memory {
	double count;
	uint64_t ago;
	bool sampled;	/* it was one of the samples ... */
	uint32_t lanes; /* ... and on these of the sampled tiers */
};
/** @return false: it was never accessed */
bool lcy_policy_recall(const struct lcy_policy *p, uint32_t obj, struct lcy_policy_memory *ret);
/** In any order, before the first access. */
void lcy_policy_seed(struct lcy_policy *p, uint32_t obj, const struct lcy_policy_memory *memory);

/* How the pairs have fared of late. Of another table of pairs it means nothing, hence the number of them. */
struct lcy_policy_trial {
	uint32_t pairs; /* 0: nothing is known */
	uint32_t deciding;
	double scale, asked, bytes_asked, until_check;
	double hits[LCY_POLICY_PAIRS_MAX], bytes[LCY_POLICY_PAIRS_MAX];
};
void lcy_policy_trial(const struct lcy_policy *p, struct lcy_policy_trial *ret);
/** @param trial  of the policy before; from a file: values that cannot be are ignored */
void lcy_policy_seeded(struct lcy_policy *p, const struct lcy_policy_trial *trial);

bool lcy_policy_has(const struct lcy_policy *p, uint32_t obj);
/** What is on the tier, in the unit of `size`: never above the capacity. */
uint64_t lcy_policy_used(const struct lcy_policy *p);
/** The pair that decides now: H in times the objects on the tier, M as a factor between counts in powers of two. */
void lcy_policy_now(const struct lcy_policy *p, double *ret_half_life, double *ret_margin);

#endif
