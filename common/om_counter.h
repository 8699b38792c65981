/*
 * om_counter.h: statistics, one block a process, readable by the supervisor and objmctl without asking anybody.
 *
 * WRITER   the process that owns the block (any of its threads: relaxed adds)   READERS  supervisor, read-only
 * PUBLISH  nothing to publish: each word stands alone
 */
#ifndef OM_COUNTER_H
#define OM_COUNTER_H

#include <stdatomic.h>

#include "common/om_obj.h"
#include "common/om_seg.h"

#define OM_COUNTER_MAGIC 0x746e756f632d6d6fu
#define OM_COUNTER_LAYOUT 3u
#define OM_HIST_BUCKETS 25u /* up to 8.4 s, and longer */

enum om_counter {
#define OM_COUNTER(name, unit, kind, help) OM_C_##name,
#include "common/tbl/counter.def"
#undef OM_COUNTER
	OM_C_COUNT
};

enum om_hist {
#define OM_HIST(name, family, label, help) OM_H_##name,
#include "common/tbl/hist.def"
#undef OM_HIST
	OM_H_COUNT
};

struct om_counter_info {
	const char *name; /* lower case, as in objmctl */
	const char *unit;
	bool gauge; /* a level; otherwise it only grows */
	const char *help;
};
extern const struct om_counter_info om_counter_table[OM_C_COUNT];

/* Durations (om_hist.h). */
struct om_hist_row {
	_Atomic uint64_t bucket[OM_HIST_BUCKETS];
	_Atomic uint64_t ns;
};

struct om_counter_block {
	uint64_t magic;
	uint64_t layout;
	uint64_t count; /* OM_C_COUNT of the program that made it */
	uint64_t pad[5];
	_Atomic uint64_t v[OM_C_COUNT];
	struct om_hist_row hist[OM_H_COUNT];
	_Atomic uint64_t tier_gets[OM_TIERS_MAX]; /* GETs answered with an object, by the tier that it came from */
};

/** Make the block of a child (the supervisor does). */
int om_counter_create(struct om_seg *ret) OM_MUST_USE;
/** Use `seg` (writable, kept by the caller for ever) as this process's block. Before: a private one. */
int om_counter_use(const struct om_seg *seg) OM_MUST_USE;

extern struct om_counter_block *om_counter_self;

static inline void om_count(enum om_counter c, uint64_t n)
{
	(void)atomic_fetch_add_explicit(&om_counter_self->v[c], n, memory_order_relaxed);
}
/* For counters that only one thread of the process writes: no locked instruction. */
static inline void om_count_own(enum om_counter c, uint64_t n)
{
	_Atomic uint64_t *p = &om_counter_self->v[c];
	atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + n, memory_order_relaxed);
}
/* `n` GETs were answered from this tier; one thread of the process counts. */
static inline void om_count_tier(unsigned tier, uint64_t n)
{
	if (tier >= OM_TIERS_MAX)
		return;
	_Atomic uint64_t *p = &om_counter_self->tier_gets[tier];
	atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void om_gauge(enum om_counter c, uint64_t v)
{
	atomic_store_explicit(&om_counter_self->v[c], v, memory_order_relaxed);
}
/** Value in another process's block; 0 for a block that is too short. */
uint64_t om_counter_read(const struct om_seg *seg, enum om_counter c);
/** GETs from a tier, of another process. */
uint64_t om_counter_tier(const struct om_seg *seg, unsigned tier);

#endif
