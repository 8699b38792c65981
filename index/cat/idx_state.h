/*
 * idx_state.h: the state environment: what spans tiers and must outlive any of them.
 *
 * Linked by the supervisor only (libidxcat). Lives in state_dir: `identity` (installation id and secret) and `state/`
 * (LMDB). Every commit is synced. Any thread may use it; write transactions exclude each other and belong to the
 * thread that began them. Whoever holds a catalog's write transaction too begins the state's last and ends it first.
 * Statuses and idx_cat_message() as in idx_cat.h; CORRUPT: a stored value is damaged or the environment is.
 *
 * Tables:
 *   ids       high-water mark of object ids, oldest unsettled id, clean flag
 *   tiers     name -> number, id
 *   pending   (tier, id): the record is gone, or never came (a move that is under way), and the file may still be there
 *   tombs     (tier, key128) -> highest id that is removed: for tiers that are absent or being rebuilt
 */
#ifndef IDX_STATE_H
#define IDX_STATE_H

#include "common/om_obj.h"
#include "index/cat/idx_cat.h"

struct idx_state;
struct idx_state_txn;

struct idx_identity {
	uint8_t install_id[IDX_CAT_ID_BYTES];
	uint8_t secret[IDX_CAT_SECRET_BYTES]; /* never leaves the daemon, never into a log */
};

/* What the last run left behind, as read by idx_state_open; it stays the same until the next open. */
struct idx_state_recovery {
	bool first;		   /* there was no last run */
	bool clean;		   /* the last run ended with idx_state_clean */
	uint64_t oldest_unsettled; /* files with an id from here ... */
	uint64_t block_end;	   /* ... to before here may be unacknowledged leftovers, or owe a record */
};

struct idx_state_tier {
	char name[OM_TIER_NAME_MAX];
	uint8_t number;
	uint8_t tier_id[IDX_CAT_ID_BYTES];
};

/**
 * Open, making what is missing. The identity is kept twice (file and environment): one that is lost is restored from the other.
 *
 * @param state_dir  must exist
 * @return 0; -CORRUPT: the environment is damaged: idx_state_set_aside, open again, then raise the ids above every id
 *         seen in catalogs and files (idx_state_ids_raise) and bind the tiers to the numbers in their catalogs; pending
 *         removals and tombstones are lost. -PRECONDITION_FAILED: the identity is damaged beyond repair, or file and
 *         environment belong to different installations: a human must decide. -NOT_FOUND, -NO_SPACE, -STORAGE,
 *         -PERMISSION_DENIED.
 */
int idx_state_open(const char *state_dir, struct idx_state **ret_state);
/**
 * Open for reading only, also while another process has it open: nothing is made, repaired or marked. Only idx_state_identity(),
 * read-only transactions and iterators may be used.
 * @param alone  no other process has it open: its pages are checked first
 * @return 0; -NOT_FOUND: there is none, or it was never completed; else as idx_state_open()
 */
int idx_state_open_readonly(const char *state_dir, bool alone, struct idx_state **ret_state);
/** Does not mark it clean. NULL is fine. */
void idx_state_close(struct idx_state *state);
/** Move a damaged state environment out of the way; the identity file stays. */
int idx_state_set_aside(const char *state_dir);

const struct idx_identity *idx_state_identity(const struct idx_state *state);
const struct idx_state_recovery *idx_state_recovery(const struct idx_state *state);

/* ---- transactions: several operations, one sync ----
 * Failure rules as in idx_cat.h. A read-only transaction is a snapshot; end it with abort. */
int idx_state_txn_begin(struct idx_state *state, bool readonly, struct idx_state_txn **ret_txn);
int idx_state_txn_commit(struct idx_state_txn *txn);
void idx_state_txn_abort(struct idx_state_txn *txn);

/* ---- ids ---- */
/**
 * Reserve n ids. Durable before it returns, so none of them was or will be given out twice.
 *
 * @param n                 1 .. 2^32
 * @param oldest_unsettled  the lowest id given out whose fate is not yet on stable storage; 0: none. While the last run's
 *                          leftovers are not dealt with, pass its idx_state_recovery()->oldest_unsettled
 * @param ret_first         ids are ret_first .. ret_first + n - 1
 */
int idx_state_ids_reserve(struct idx_state *state, uint64_t n, uint64_t oldest_unsettled, uint64_t *ret_first);
/** Make sure that no id below `floor` is ever given out again (after the state was lost). */
int idx_state_ids_raise(struct idx_state *state, uint64_t floor);
/** The run ends and everything is settled. next_id: the first id that was not given out (the rest of the block is kept). */
int idx_state_clean(struct idx_state *state, uint64_t next_id);

/* ---- tiers ---- */
/**
 * The number and id of a tier; a name that is not known gets the lowest free number and a random id.
 * @return 0; -LIMIT_EXCEEDED: all numbers are taken (forget tiers that are no longer used); -INVALID_REQUEST: bad name.
 */
int idx_state_tier_get(struct idx_state *state, const char *name, struct idx_state_tier *ret_tier);
/** Store number and id of a tier as its marker and catalog say them. -PRECONDITION_FAILED: the number is another tier's. */
int idx_state_tier_bind(struct idx_state *state, const struct idx_state_tier *tier);
/** Forget a tier that no object refers to any more, with its pending removals and tombstones; frees its number. -NOT_FOUND. */
int idx_state_tier_forget(struct idx_state *state, const char *name);
/** Is there a tier of this name? Nothing is made. 1 and *ret_tier, 0, or negative as idx_state_tier_iter(). */
int idx_state_tier_known(struct idx_state *state, const char *name, struct idx_state_tier *ret_tier);
typedef int idx_state_tier_cb(void *ctx, const struct idx_state_tier *tier);
/** All tiers that are known, by name. */
int idx_state_tier_iter(struct idx_state *state, idx_state_tier_cb *cb, void *ctx);

/* ---- pending removals of persistent tiers ---- */
typedef int idx_state_pending_cb(void *ctx, uint8_t tier, uint64_t id);
int idx_state_pending_add(struct idx_state_txn *txn, uint8_t tier, uint64_t id);
/** One that is not there is fine. */
int idx_state_pending_del(struct idx_state_txn *txn, uint8_t tier, uint64_t id);
/** 1, 0 or negative. */
int idx_state_pending_has(struct idx_state_txn *txn, uint8_t tier, uint64_t id);
/** In id order, ids from `from` on; the call back must not change the transaction. Not 0 from it: stop, returned. */
int idx_state_pending_iter(struct idx_state_txn *txn, uint8_t tier, uint64_t from, idx_state_pending_cb *cb, void *ctx);
/** Forget all of a tier, whose directory has become another one; in several transactions if they are many. */
int idx_state_pending_clear(struct idx_state *state, uint8_t tier);

/* ---- tombstones for tiers that are absent or being rebuilt ---- */
#define IDX_STATE_KEY_BYTES 16u
typedef int idx_state_tomb_cb(void *ctx, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES], uint64_t id);
/** Records of this key with an id up to `id` are removed. Never lowers what is there. */
int idx_state_tomb_add(struct idx_state_txn *txn, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES], uint64_t id);
/** *ret_id: the highest id that is removed. -NOT_FOUND. */
int idx_state_tomb_get(struct idx_state_txn *txn, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES],
		       uint64_t *ret_id);
/** One that is not there is fine. */
int idx_state_tomb_del(struct idx_state_txn *txn, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES]);
int idx_state_tomb_iter(struct idx_state_txn *txn, uint8_t tier, idx_state_tomb_cb *cb, void *ctx);
int idx_state_tomb_get_now(struct idx_state *state, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES],
			   uint64_t *ret_id);
/**
 * Remove all tombstones of a tier, in several transactions if they are many.
 * @param still  asked in each transaction, so that nothing is recorded between the answer and the removal; false: it ends there.
 *               NULL: yes
 */
int idx_state_tomb_clear(struct idx_state *state, uint8_t tier, bool (*still)(void *arg), void *arg);

#endif
