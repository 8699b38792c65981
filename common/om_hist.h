/*
 * om_hist.h: histograms of durations in a process's block of statistics (om_counter.h), read by the supervisor without asking.
 *
 * WRITER   the process that owns the block (any of its threads: relaxed adds)   READERS  supervisor, read-only
 * BUCKETS  bucket k counts durations up to 2^k microseconds, the last one all that are longer. `ns` is the sum.
 */
#ifndef OM_HIST_H
#define OM_HIST_H

#include "common/om_counter.h"

struct om_hist_info {
	const char *family, *label, *help; /* help: of the family, in its first row */
};
extern const struct om_hist_info om_hist_table[OM_H_COUNT];

/** The bucket of a duration. */
static inline unsigned om_hist_bucket(uint64_t ns)
{
	uint64_t us = (ns + 999) / 1000;
	unsigned k = us <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(us - 1);

	return OM_MIN(k, OM_HIST_BUCKETS - 1u);
}

/** `n` things took `ns` each. */
static inline void om_hist_add(enum om_hist h, uint64_t ns, uint64_t n)
{
	struct om_hist_row *r = &om_counter_self->hist[h];

	(void)atomic_fetch_add_explicit(&r->bucket[om_hist_bucket(ns)], n, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&r->ns, ns * n, memory_order_relaxed);
}

/* A histogram that has been read: plain numbers, of one process or of several added up. */
struct om_hist_sum {
	uint64_t bucket[OM_HIST_BUCKETS], ns;
};
/** Add the row of another process's block; nothing for a block that is too short. */
void om_hist_read(const struct om_seg *seg, enum om_hist h, struct om_hist_sum *sum);
/** Add our own row. */
void om_hist_own(enum om_hist h, struct om_hist_sum *sum);

#endif
