/*
 * idxw_table.h: one segment of the index, from the writer's side. Used by idxw.c only; supervisor, publisher thread.
 *
 * A change is made in two steps, so that the same change of two segments can be made as one: a plan (which slot, which
 * words; nothing is written and a full table shows here), then lock, write, unlock of the planned slot.
 */
#ifndef IDXW_TABLE_H
#define IDXW_TABLE_H

#include "common/om_seg.h"
#include "index/idx_layout.h"
#include "index/idxr.h"

struct idxw_table {
	struct om_seg seg;
	struct idx_header *hdr;
	struct idx_slot *slot;
	uint64_t slots;
	uint64_t live;
	uint64_t dead;
	size_t collapsed; /* bytes of the mapping that MADV_COLLAPSE has been asked for */
	bool filling;	  /* tombstones are keyed: see FILLING in idx_layout.h */
	bool stamped;	  /* slots may have had another key before: new ones get `since` */
};

/* Where a key stands, or would stand. */
struct idxw_place {
	enum idx_slot_state state; /* of the key: IDX_EMPTY: it has no slot */
	bool room;		   /* there is a slot for it */
	uint64_t at;		   /* its slot; if it has none, the one to take */
};

/* A planned change of one slot. */
struct idxw_plan {
	struct idx_slot *slot; /* NULL: nothing to do */
	uint64_t at;
	enum idx_slot_state was;
	bool new_key; /* the key words are written too */
	struct idx_key key;
	uint64_t id, size, mtime_ns, packed, expiry;
};

/** An empty table of `slots`. @return 0 or as om_seg_create(); free with idxw_table_fini() */
int idxw_table_init(struct idxw_table *t, uint64_t slots, uint32_t segment) OM_MUST_USE;
/** Fine on a zeroed or finished table. */
void idxw_table_fini(struct idxw_table *t);

void idxw_table_find(const struct idxw_table *t, const struct idx_key *key, struct idxw_place *ret_place);

/** Plan to make `key` live with `ent`; `filled`: by the filler. @return 0; -OBJM_STATUS_NO_SPACE */
int idxw_table_plan_put(const struct idxw_table *t, const struct idx_key *key, const struct idx_ent *ent, bool filled,
			struct idxw_plan *ret_plan);
/** Plan to remove `key`; `keep_absent`: leave a tombstone even for a key without a slot.
 * @return 0; -OBJM_STATUS_NOT_FOUND: it was not live (the plan is valid all the same); -OBJM_STATUS_NO_SPACE */
int idxw_table_plan_del(const struct idxw_table *t, const struct idx_key *key, bool keep_absent,
			struct idxw_plan *ret_plan);

/** The three steps of a write; each is nothing for an empty plan. Locked slots make readers try again. */
void idxw_plan_lock(const struct idxw_plan *plan);
void idxw_plan_write(const struct idxw_plan *plan);
void idxw_plan_unlock(const struct idxw_plan *plan);
/** After unlock: counts, and tombstones that no probe needs any more become empty. */
void idxw_table_settle(struct idxw_table *t, const struct idxw_plan *plan);

/** Words of a slot as the writer reads them (no other writer: no sequence). */
enum idx_slot_state idxw_table_state(const struct idxw_table *t, uint64_t at);
bool idxw_table_filled(const struct idxw_table *t, uint64_t at);
void idxw_table_ent(const struct idxw_table *t, uint64_t at, struct idx_key *ret_key, struct idx_ent *ret_ent);

#endif
