/*
 * idx_heat.h: how hot each slot of an index segment is: 4 bytes a slot. In libidxr.
 *
 * WRITER   lifecycle, one thread          READERS  supervisor (status, stat), mapped PROT_READ
 * WORD     one atomic 32-bit word a slot: q 0..15, last access 16..31. Each word stands alone (relaxed).
 *          q     decayed count c of accesses as of the last access: q = round(2048 * log2(1 + c)), c up to 4.2 * 10^9;
 *                a step is 0.034 % of (1 + c). Rounded up or down at random in proportion to the rest, so that many small
 *                touches of a hot slot are right on average (standard error below 1.5 %). q = 0: cold, never accessed.
 *          last  minutes since the header's epoch, at least 1 in a slot that was ever accessed
 * DECAY    lazily, when read: c(now) = c * 2^(-(now - last) / half_life), by whole minutes. No sweep decays anything. (Every
 *          19 days the epoch itself is moved by one sweep; a reader that meets it gets -OBJM_STATUS_BUSY. A last access of more
 *          than 22 days ago is then remembered as of 22 days ago.)
 * HEAT     c(now) / (c(now) + reference), 0..1. `reference` is the decayed count that means 0.5. An object accessed steadily
 *          r times an hour has c = r * half_life_hours / ln 2.
 * SLOTS    heat belongs to a slot of one segment. When a slot changes hands its heat is that of another object: pass the
 *          slot's `since_s` (idx_ent) and heat older than that is ignored. After growth: idx_heat_copy().
 */
#ifndef IDX_HEAT_H
#define IDX_HEAT_H

#include <assert.h>
#include <stdatomic.h>

#include "common/om_seg.h"
#include "index/idxr.h"

#define IDX_HEAT_MAGIC 0x31746568786a626full /* "objxhet1" read as bytes */
#define IDX_HEAT_LAYOUT 1u
#define IDX_HEAT_HEADER_BYTES 4096u
#define IDX_HEAT_SCALE 2048.0	    /* steps of q to a doubling of (1 + c) */
#define IDX_HEAT_REFERENCE 4.0	    /* a good default: four recent accesses are half way to the hottest */
#define IDX_HEAT_HALF_LIFE_S 3600u

struct idx_heat_header {
	uint64_t magic;
	uint64_t layout;
	uint64_t slots;
	uint64_t segment;
	_Atomic uint64_t half_life_s;
	_Atomic uint64_t reference_milli; /* thousandths of an access */
	_Atomic uint64_t epoch_min;	  /* minutes since 1970 */
	_Atomic uint64_t sweep;		  /* odd while the epoch is being moved */
};
static_assert(sizeof(struct idx_heat_header) == 64, "layout is part of the segment");

/* A mapping of a heat segment; the caller's. */
struct idx_heat {
	struct om_seg seg;
	uint64_t slots;
	uint32_t segment; /* of the index */
	uint32_t rng;	  /* writer only */
};
#define IDX_HEAT_INIT ((struct idx_heat){ .seg = { .fd = -1, .rofd = -1 } })

struct idx_heat_val {
	double count;	/* accesses, decayed to now */
	double heat;	/* 0..1 */
	uint64_t last_s; /* last access, whole minutes, since 1970; 0: never */
};

/** Make the heat of an index segment (the supervisor does, for the lifecycle process: `seg.fd` goes there).
 * @return as om_seg_create(); -OBJM_STATUS_INVALID_REQUEST: half_life_s 0, reference not above 0, or slots 0 */
int idx_heat_create(uint64_t slots, uint32_t segment, uint32_t half_life_s, double reference, uint64_t now_s,
		    struct om_seg *ret_seg) OM_MUST_USE;

/** Map it; `writable` for the lifecycle process. Takes over `fd` on success. What the header says is checked against the
 * size once; afterwards only this struct's copy is used. @return as om_seg_attach(), or CORRUPT for another layout */
int idx_heat_attach(int fd, bool writable, struct idx_heat *ret_heat) OM_MUST_USE;
void idx_heat_detach(struct idx_heat *heat);

/** Change half-life or reference (reload); writer. Values as in idx_heat_create(). */
int idx_heat_tune(struct idx_heat *heat, uint32_t half_life_s, double reference);

/**
 * `n` accesses of `slot` at `now_s` (seconds since 1970); writer only. Heat from before `since_s` (0: unknown; after `now_s` if the clock was put back) is
 * another object's and is dropped first. A clock that went back counts as no time passed.
 * @return 0; -OBJM_STATUS_INVALID_REQUEST: no such slot
 */
int idx_heat_touch(struct idx_heat *heat, uint64_t slot, uint32_t n, uint64_t now_s, uint64_t since_s);

/** Set a slot's heat (restored from storage, or copied); writer only. @return as idx_heat_touch() */
int idx_heat_set(struct idx_heat *heat, uint64_t slot, double count, uint64_t last_s);

/** Heat of a slot as of `now_s`; any process, any thread.
 * @return 0 (all zero for a cold slot); -OBJM_STATUS_INVALID_REQUEST: no such slot; -OBJM_STATUS_BUSY: the epoch is being
 *         moved, try later */
int idx_heat_get(const struct idx_heat *heat, uint64_t slot, uint64_t now_s, uint64_t since_s,
		 struct idx_heat_val *ret_val);

/**
 * Copy the heat of slots `from`..`from + n - 1` of the old segment into the new one, by key. What
 * the new segment has heard since is added to, so: send new accesses to the new segment first, then copy each slot once.
 * @return slots copied
 */
uint64_t idx_heat_copy(const struct idx_heat *old_heat, const struct idxr *old_idx, struct idx_heat *new_heat,
		       const struct idxr *new_idx, uint64_t from, uint64_t n);

#endif
