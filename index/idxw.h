/*
 * idxw.h: writing the shared index. Library libidxw (dep_idxw), linked by the supervisor only.
 *
 * A struct idxw is the current segment and, while it grows, the next one; every change goes to both. One thread (the
 * supervisor's publisher) makes all calls. Other threads of the supervisor read through an idxr of their own.
 *
 * Start:	idxw_new() -> filling; hand idxw_fd() to the readers at once; idxw_fill() for every record of the catalogs, in
 *		increments between batches of changes (idxw_put / idxw_del as usual); idxw_fill_done() -> misses are final.
 * Growth:	after each batch: if idxw_want_grow(): idxw_grow_begin(); then idxw_grow_step() between batches until nothing is
 *		left; idxw_grow_done() gives the descriptor of the next segment; send it to every reader; when all have
 *		confirmed (or died), idxw_grow_finish(). Until then every acknowledged change is in both.
 *
 *	state		calls that are legal there
 *	steady		put del get tier, grow_begin; fill / fill_done while filling
 *	copying		the same but grow_begin, and grow_step, grow_abort; grow_done once grow_step says 0 are left
 *	switching	put del get tier; fill / fill_done while filling; grow_finish
 */
#ifndef IDXW_H
#define IDXW_H

#include "index/idxr.h"

struct idxw;

enum idxw_state { IDXW_STEADY, IDXW_COPYING, IDXW_SWITCHING };

/**
 * Make an empty index with room for `objects` at a load of 0.75, in state "filling".
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_TOO_LARGE: more than 3 * 10^9 objects; -OBJM_STATUS_SYSTEM. The
 *         caller owns *ret_w (idxw_free).
 */
int idxw_new(uint64_t objects, struct idxw **ret_w) OM_MUST_USE;
void idxw_free(struct idxw *w);

/** Read-only descriptor of the current segment; borrowed, changes with idxw_grow_finish(). */
int idxw_fd(const struct idxw *w);
/** A reader's view of the newest whole segment through the writer's own mapping (its descriptor is idxw_fd(), or what
 * idxw_grow_done() gave). Not to be detached; gone with the idxw_grow_finish() that drops that segment. */
void idxw_view(const struct idxw *w, struct idxr *ret_idx);
enum idxw_state idxw_state(const struct idxw *w);
void idxw_stat(const struct idxw *w, struct idxr_stat *ret_stat);

/**
 * Insert, or replace in place. `ent->since_s` is ignored. An expiry beyond 40 bits is cut to the largest.
 * @return 0; -OBJM_STATUS_INVALID_REQUEST: tier above 31 or a flag unknown to om_obj.h; -OBJM_STATUS_NO_SPACE: the table is
 *         full (growth was not begun or not stepped): nothing was changed
 */
int idxw_put(struct idxw *w, const struct idx_key *key, const struct idx_ent *ent);

/** Remove. While filling, a key that is not there leaves a tombstone too, so that the filler does not bring it back.
 * @return 0; -OBJM_STATUS_NOT_FOUND: was not there (not an error while filling); -OBJM_STATUS_NO_SPACE: no room for that
 *         tombstone, nothing was changed */
int idxw_del(struct idxw *w, const struct idx_key *key);

/** Bytes of pinned objects whose home is this tier, as far as the index knows them. */
uint64_t idxw_pinned(const struct idxw *w, unsigned home);

/** Look up, publisher thread. @return 0; -OBJM_STATUS_NOT_FOUND (while filling this is not final) */
int idxw_get(const struct idxw *w, const struct idx_key *key, struct idx_ent *ret_ent, uint32_t *ret_slot);

/**
 * Insert a record of the catalogs while filling. Never overrides a change made since: where a tombstone or an entry put by
 * idxw_put() stands, nothing happens. Where the filler itself has put this key before (from another tier) the two records
 * are merged: the higher id wins; at the same id the home record (tier == home) gives metadata and the copy gives the tier
 * that serves.
 * @return 0 inserted or merged; -OBJM_STATUS_PRECONDITION_FAILED: a newer change stands, go on;
 *         -OBJM_STATUS_INVALID_REQUEST, -OBJM_STATUS_NO_SPACE as idxw_put()
 */
int idxw_fill(struct idxw *w, const struct idx_key *key, const struct idx_ent *ent);

/** Start loading the line where `key` belongs. A filler that does this some 16 records ahead is several times faster. */
void idxw_prefetch(const struct idxw *w, const struct idx_key *key);

/** All catalogs are in: from now on a miss is final. */
void idxw_fill_done(struct idxw *w);

/** True when (live + dead) is above 0.85 of the slots and no growth is under way. */
bool idxw_want_grow(const struct idxw *w);
/** Slots that the next segment would have: a quarter more, an eighth above 2^20, or as many as now if tombstones are what fills it. */
uint64_t idxw_grow_slots(const struct idxw *w);

/** @return 0; -OBJM_STATUS_OUT_OF_MEMORY, -OBJM_STATUS_TOO_LARGE, -OBJM_STATUS_SYSTEM: steady as before, try later */
int idxw_grow_begin(struct idxw *w);
/**
 * Copy the next `n` slots of the current segment. About 0.1 us a slot; 16,384 a turn is a good measure.
 * @param ret_left  slots still to copy
 * @return 0; -OBJM_STATUS_NO_SPACE: so many changes came in meanwhile that the next segment is too small: grow_abort and
 *         grow_begin again
 */
int idxw_grow_step(struct idxw *w, uint64_t n, uint64_t *ret_left);
/** The next segment is whole: `switching`. @return its read-only descriptor, borrowed; valid as idxw_fd() is after the
 * finish. Only legal once nothing is left to copy. */
int idxw_grow_done(struct idxw *w);
/** Every reader has confirmed: the next segment is the current one, the old is unmapped. */
void idxw_grow_finish(struct idxw *w);
/** Drop a half-copied next segment; only while copying. */
void idxw_grow_abort(struct idxw *w);

typedef void idxw_each_fn(void *ctx, const struct idx_key *key, const struct idx_ent *ent);
/**
 * Call `fn` for each entry in slots [from, from + n) of the current segment; it may put and delete that key. Entries that move
 * meanwhile (growth: another segment number) may be missed.
 * @return where to go on; 0: that was all
 */
uint64_t idxw_each(struct idxw *w, uint64_t from, uint64_t n, idxw_each_fn *fn, void *ctx);

/** Publish a tier's state and room (in both segments). Tier numbers of 32 and more are a bug of the caller. */
void idxw_tier(struct idxw *w, unsigned tier, const struct idxr_tier *row);

/**
 * Ask the kernel to back the next `max_bytes` of the newest segment with huge pages (MADV_COLLAPSE, Linux 6.1). Call it in
 * pieces between batches (a piece of 32 MiB takes some milliseconds), best before filling.
 * @return true while there is more to do; false: done, or this kernel will not
 */
bool idxw_collapse(struct idxw *w, size_t max_bytes);

#endif
