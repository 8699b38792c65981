/*
 * idxr.h: reading the shared index. Library libidxr (dep_idxr), linked by workers, lifecycle and the supervisor.
 *
 * A reader writes nothing: it may die at any instruction. A struct idxr is a mapping of one segment; it is not changed
 * after attach, so any number of threads may use it at once. When the supervisor hands out a grown segment: attach it to a
 * second struct idxr, publish that to your threads, confirm to the supervisor, detach the first after a grace period.
 *
 *	idx_key_make(secret, uri, len, &key);
 *	switch (idxr_get(idx, &key, &ent, &slot)) {
 *	case 0:				serve ent
 *	case -OBJM_STATUS_NOT_FOUND:	there is no such object: final
 *	case -OBJM_STATUS_BUSY:		the index can not say: ask the supervisor's catalog readers
 *	}
 */
#ifndef IDXR_H
#define IDXR_H

#include "common/om_obj.h"
#include "index/idx_key.h"

#define IDXR_MANY_MAX 256u /* keys looked up together: more lines than that need not be under way at once */

struct idxr {
	const void *base; /* NULL: not attached */
	size_t bytes;
	uint64_t slots;
	uint32_t segment; /* 1, 2, ... in the order in which the supervisor made them */
};
#define IDXR_INIT ((struct idxr){ 0 })

/* What a slot says of an object: one consistent picture, never parts of two versions. */
struct idx_ent {
	uint64_t id;
	uint64_t size;	   /* bytes */
	uint64_t mtime_ns; /* since 1970 */
	uint64_t expiry_s; /* since 1970; 0: never */
	uint32_t rev;
	uint16_t flags; /* enum om_obj_flag */
	uint8_t tier;	/* serves it now */
	uint8_t home;	/* where its home record is; OM_TIER_NONE: nowhere */
	uint64_t since_s; /* about when this key took this slot (whole minutes, since 1970); 0: long ago. For heat. Not an
			   * input of idxw_put(). */
};

/* A slot read by its number. */
enum idxr_state { IDXR_EMPTY, IDXR_LIVE, IDXR_DEAD };
struct idxr_slot {
	enum idxr_state state;
	struct idx_key key;   /* meaningful unless IDXR_EMPTY */
	struct idx_ent ent;   /* meaningful if IDXR_LIVE */
};

/* A tier's state and room as the supervisor last wrote it: for admission; the four values are read one by one. */
struct idxr_tier {
	uint64_t used_bytes;
	uint64_t capacity_bytes;
	uint64_t objects;
	enum om_tier_state state;
};

struct idxr_stat {
	uint64_t slots;
	uint64_t live;
	uint64_t dead; /* tombstones */
	uint64_t bytes;
	uint32_t segment;
	bool complete;
};

/**
 * Map the segment behind `fd`, a read-only descriptor made by the supervisor. Takes over `fd` on success (it is closed:
 * the mapping does not need it), leaves it alone on failure.
 * @return 0; -OBJM_STATUS_CORRUPT: no index segment of this layout; -OBJM_STATUS_SYSTEM: errno says why
 */
int idxr_attach(int fd, struct idxr *ret_idx) OM_MUST_USE;

/** Unmap. No thread may be inside a call. Fine on IDXR_INIT. */
void idxr_detach(struct idxr *idx);

/**
 * Look up one key. Takes no lock, makes no system call, writes nothing shared.
 * @param ret_ent, ret_slot  written on success only; either may be NULL
 * @return 0; -OBJM_STATUS_NOT_FOUND: there is no such object (only said of a complete index);
 *         -OBJM_STATUS_BUSY: not known here: the index was not complete when the search began, or the slot was being
 *         written for 1,000 tries. Ask the supervisor; do not call again in a loop.
 */
int idxr_get(const struct idxr *idx, const struct idx_key *key, struct idx_ent *ret_ent, uint32_t *ret_slot);

/** Start loading the line where the search for `key` begins. */
void idxr_prefetch(const struct idxr *idx, const struct idx_key *key);

/**
 * Look up `n` keys whose lines are on their way (idxr_prefetch(), all of them first): several times faster a key than idxr_get()
 * on a large index.
 * @param ret_ents   n entries, written where something was found
 * @param ret_slots  n slot numbers; IDXR_NO_SLOT: not found; ask idxr_get() where it matters why
 */
#define IDXR_NO_SLOT UINT32_MAX
void idxr_get_many(const struct idxr *idx, const struct idx_key *keys, unsigned n, struct idx_ent *ret_ents, uint32_t *ret_slots);

/** True if a miss is authoritative. idxr_get() looks at this itself, and before it searches; one who asks afterwards may
 * take a miss in the unfinished index for a final one. */
bool idxr_complete(const struct idxr *idx);

/**
 * Read slot number `n`, for sweeps (lifecycle) and access logs.
 * @return 0; -OBJM_STATUS_INVALID_REQUEST: n is not below idx->slots; -OBJM_STATUS_BUSY: being written
 */
int idxr_slot(const struct idxr *idx, uint64_t n, struct idxr_slot *ret_slot);

/** @return 0; -OBJM_STATUS_INVALID_REQUEST: no such tier number. A tier never configured reads as ABSENT, all zero. */
int idxr_tier(const struct idxr *idx, unsigned tier, struct idxr_tier *ret_tier);

#endif
