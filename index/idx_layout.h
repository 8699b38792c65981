/*
 * idx_layout.h: the bytes of an index segment, shared by the reader library (idxr_) and the writer library (idxw_).
 *
 * Everybody else uses idxr.h or idxw.h; nothing here is needed to use the index.
 *
 * WRITER   supervisor, its publisher thread only       READERS  workers, lifecycle; mapped PROT_READ from a descriptor
 *          that can not be mapped writable (OM_SEG_FROZEN)
 * SLOT     every word is an atomic 64-bit word.
 *          writer: seq odd (relaxed); words 1..7 (release); seq even (release)
 *          reader: seq (acquire); words 1..7 (acquire); seq again (relaxed); odd or changed: again, at most
 *          IDX_READ_TRIES times, then -OBJM_STATUS_BUSY
 *          Why this needs no fence: a reader that sees one new word has, by that acquire, also seen the odd seq stored
 *          before it, so its second look at seq can not return the old even value.
 * PROBING  linear, and entries never move: a replace overwrites its own slot; the key words of a live slot are never
 *          rewritten; a delete leaves a tombstone; a tombstone becomes empty only while the slot after it is empty.
 *          So while a key is present no slot between its home and its place is ever empty, and a reader that walks
 *          from the home can not pass it. A mismatch counts only under an even, unchanged seq.
 * FILLING  while the index is filled from a snapshot of the catalogs, tombstones keep their key, are never emptied and
 *          only revived by their own key; so the filler can tell "removed since the snapshot" from "not there yet".
 * GROWTH   a change goes to the slots of both segments: both seq odd, both written, both even. So whoever has seen it in
 *          one segment sees it in the other.
 * CRASH    the writer dying ends every reader too; the next supervisor builds a new segment from the catalogs.
 * LAYOUT   no pointers; any change raises IDX_LAYOUT; attach refuses another one.
 */
#ifndef IDX_LAYOUT_H
#define IDX_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>

#include "common/om_obj.h"

#define IDX_MAGIC 0x31786469786a626full /* "objxidx1" read as bytes */
#define IDX_LAYOUT 1u
#define IDX_HEADER_BYTES 4096u
#define IDX_SLOTS_MIN 4096u
#define IDX_SLOTS_MAX 0xfffffff0ull /* slot numbers are u32 everywhere */
#define IDX_READ_TRIES 1000

/* Word 6: revision 0..31, flags 32..47, tier 48..55, home tier 56..61, state 62..63. */
enum idx_slot_state { IDX_EMPTY, IDX_LIVE, IDX_DEAD, IDX_STATE_COUNT };
#define IDX_HOME_NONE 63u	     /* how OM_TIER_NONE is stored in the six bits */
#define IDX_FLAG_FILLED 0x8000u	     /* the filler put this, no change has touched it since; readers mask it */
#define IDX_FLAGS_MASK 0x7fffu	     /* what readers see */
/* Word 7: expiry 0..39 (seconds since 1970), minutes since IDX_SINCE_BASE_S 40..63 (when this key took the slot; 0 unknown). */
#define IDX_EXPIRY_BITS 40
#define IDX_EXPIRY_MAX ((1ull << IDX_EXPIRY_BITS) - 1)
#define IDX_SINCE_BASE_S 1704067200ull /* 2024-01-01; 24 bits of minutes reach to the end of 2055 */
#define IDX_SINCE_MAX 0xffffffull

struct idx_slot {
	_Atomic uint64_t seq;
	_Atomic uint64_t key_lo;
	_Atomic uint64_t key_hi;
	_Atomic uint64_t id;
	_Atomic uint64_t size;	   /* bytes */
	_Atomic uint64_t mtime_ns; /* since 1970 */
	_Atomic uint64_t packed;   /* word 6 above */
	_Atomic uint64_t expiry;   /* word 7 above */
};
static_assert(sizeof(struct idx_slot) == OM_CACHELINE, "one object, one cache line");
static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "words are lock-free in shared memory");

/* A tier as workers see it when they decide where a PUT goes; each word stands alone. */
struct idx_tier_row {
	_Atomic uint64_t state; /* enum om_tier_state */
	_Atomic uint64_t used_bytes;
	_Atomic uint64_t capacity_bytes;
	_Atomic uint64_t objects;
};

struct idx_header {
	uint64_t magic;
	uint64_t layout;
	uint64_t slots;
	uint64_t segment;	   /* number of this segment, 1 for the first; slot numbers mean nothing without it */
	_Atomic uint64_t complete; /* 1: a miss is authoritative; release after the last slot of the fill */
	uint64_t pad0[3];	   /* every look-up reads this line, so nothing in it changes but `complete`, once */
	_Atomic uint64_t live;
	_Atomic uint64_t dead;
	uint64_t pad1[6];
	struct idx_tier_row tiers[OM_TIERS_MAX];
};
static_assert(sizeof(struct idx_header) <= IDX_HEADER_BYTES, "the header has its own page");
static_assert(offsetof(struct idx_header, live) == OM_CACHELINE, "header layout is part of the segment");
static_assert(offsetof(struct idx_header, tiers) == 2 * OM_CACHELINE, "header layout is part of the segment");

static inline uint64_t idx_seg_bytes(uint64_t slots) { return IDX_HEADER_BYTES + slots * sizeof(struct idx_slot); }

/* Slots for `objects` at a load of 0.75. */
static inline uint64_t idx_slots_for(uint64_t objects)
{
	uint64_t n = objects >= IDX_SLOTS_MAX / 4 * 3 ? IDX_SLOTS_MAX : (objects * 4 + 2) / 3;

	return OM_MAX(n, (uint64_t)IDX_SLOTS_MIN);
}

static inline enum idx_slot_state idx_packed_state(uint64_t packed) { return (enum idx_slot_state)(packed >> 62); }

#endif
