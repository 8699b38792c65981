/*
 * tier.h: objm-tiering, inside: traces, the policies that are compared, and one run of a policy over a trace.
 *
 * Linked by objm-tiering and by its tests. One thread; a run touches nothing but its own state, the trace is read only.
 * Objects of a trace are numbered densely in the order of their first request, so that each policy keeps plain arrays.
 */
#ifndef TIER_H
#define TIER_H

#include "common/om_base.h"

#define TIER_NONE UINT32_MAX		/* no object */
#define TIER_REQUESTS_MAX (UINT64_C(1) << 30) /* 4 GiB of trace in memory */
#define TIER_SIZES_MAX 64u		/* cache sizes of one call */
#define TIER_SIZE_MAX (UINT64_C(1) << 50) /* of one object */

/* ---------------------------------------------------------------- traces (tier_trace.c, tier_synth.c) */

enum tier_format { TIER_CSV, TIER_CLOUDPHYSICS, TIER_KEYS };

/*
 * Objects never change, so each has one size, that of its first request; a trace in which a key comes back with another
 * size is taken that way (the published results are made from a trace so treated), and `resized` counts such requests.
 */
struct tier_trace {
	uint32_t *req;	    /* object of each request */
	uint64_t requests, req_room;
	uint64_t *size;	    /* of each object, bytes, at least 1 */
	uint32_t objects, obj_room;
	uint64_t resized;
	uint64_t footprint; /* bytes of all objects */
};

/**
 * Read a trace. What is wrong is written to `err` with the line's number.
 * @param ret_trace  tier_trace_fini() when 0 was returned
 * @return 0; -OBJM_STATUS_INVALID_REQUEST: not such a file; -OBJM_STATUS_OUT_OF_MEMORY; or what opening and reading said
 */
int tier_trace_read(const char *path, enum tier_format format, FILE *err, struct tier_trace *ret_trace) OM_MUST_USE;

struct tier_synth {
	double zipf;	   /* exponent; 0: uniform */
	uint64_t objects, requests, seed;
	double scan;	   /* this share of the requests goes to objects requested once and never again */
	double drift;	   /* times that the ranking of all objects is dealt anew in the course of the trace */
	unsigned spread;   /* sizes from 1 to 2^spread KiB, uniform in the logarithm; 0: every size is 1 */
};
/** Make a trace: independent draws by Zipf's law. The same parameters give the same trace on every machine that rounds
 * pow() alike. @return 0; -OBJM_STATUS_OUT_OF_MEMORY */
int tier_synth_make(const struct tier_synth *how, struct tier_trace *ret_trace) OM_MUST_USE;

/** Append a request to object `obj`, which is at most one past the last known; its size counts only then.
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_INVALID_REQUEST: the trace is longer than TIER_REQUESTS_MAX */
int tier_trace_add(struct tier_trace *t, uint32_t obj, uint64_t size) OM_MUST_USE;
void tier_trace_fini(struct tier_trace *t);

/** splitmix64: the next of a sequence of random numbers. */
static inline uint64_t tier_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* ---------------------------------------------------------------- policies */

/* What a policy is told when it is made. Borrowed for its whole life. */
struct tier_sim {
	const struct tier_trace *trace;
	uint64_t capacity; /* bytes; or objects, then `by_count` is set */
	bool by_count;	   /* every object takes 1 of the capacity */
};

static inline uint64_t tier_weight(const struct tier_sim *sim, uint32_t obj)
{
	return sim->by_count ? 1 : sim->trace->size[obj];
}

/*
 * One policy. `access` is called for each request in order (`at`: its number, from 0) except to objects that are larger
 * than the whole cache, which miss without being shown to anybody. It answers whether the object was there, and brings it
 * in if the policy wants that.
 */
struct tier_policy {
	const char *name, *what;
	void *(*make)(const struct tier_sim *sim); /* NULL: out of memory */
	bool (*access)(void *self, uint32_t obj, uint64_t at);
	uint64_t (*used)(const void *self);
	void (*done)(void *self);
	uint64_t (*fetched)(const void *self); /* what it brought in that was not being requested; NULL: never */
};
extern const struct tier_policy tier_lru, tier_fifo, tier_sieve, tier_lfu, tier_gdsf, tier_belady, tier_arc, tier_s3fifo,
	tier_wtinylfu, tier_ours, tier_restart;

/** The policy of a name, or NULL. */
const struct tier_policy *tier_policy_get(const char *name);
/** All of them in the order in which they are printed; NULL past the last. */
const struct tier_policy *tier_policy_at(unsigned i);

struct tier_result {
	uint64_t cache; /* its size: bytes or objects */
	uint64_t requests, misses, bytes_requested, bytes_missed;
	uint64_t fetched; /* brought in without being requested: bytes or objects */
	double ns;	/* an access, on average */
};
/** Run one policy over one trace. @return 0; -OBJM_STATUS_OUT_OF_MEMORY */
int tier_policy_run(const struct tier_policy *policy, const struct tier_sim *sim, struct tier_result *ret_result) OM_MUST_USE;

/* ---------------------------------------------------------------- heap of objects (tier_heap.c) */

/* Least key first, among equal keys the least `seq`. */
struct tier_heap_node {
	double key;
	uint64_t seq;
	uint32_t obj;
};
struct tier_heap {
	struct tier_heap_node *node;
	uint32_t *pos; /* of each object; TIER_NONE: not in the heap */
	uint32_t count;
};
/** @return 0; -OBJM_STATUS_OUT_OF_MEMORY, tier_heap_fini() is allowed then too */
int tier_heap_init(struct tier_heap *h, uint32_t objects) OM_MUST_USE;
void tier_heap_fini(struct tier_heap *h);
static inline bool tier_heap_has(const struct tier_heap *h, uint32_t obj) { return h->pos[obj] != TIER_NONE; }
/** Insert an object, or give it another place. */
void tier_heap_set(struct tier_heap *h, uint32_t obj, double key, uint64_t seq);
/** Take the first out; the heap is not empty. */
struct tier_heap_node tier_heap_pop(struct tier_heap *h);

#endif
