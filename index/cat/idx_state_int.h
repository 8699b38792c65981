/*
 * idx_state_int.h: what the files of the state environment share. Private to index/cat and its tests.
 */
#ifndef IDX_STATE_INT_H
#define IDX_STATE_INT_H

#include "index/cat/idx_cat_int.h"
#include "index/cat/idx_state.h"

struct idx_state {
	struct idx_cat_env env;
	MDB_dbi meta, tiers, pending, tombs;
	struct idx_identity identity;
	struct idx_state_recovery recovery;
};

struct idx_state_txn {
	struct idx_state *state;
	MDB_txn *mdb;
	bool readonly;
	int failed;
};

/** Status of a failed LMDB call on this transaction; a write transaction can only be aborted then. */
int idx_state_broken(struct idx_state_txn *txn, int mdb_rc, const char *what);
/** Run `fn` in a write transaction of its own and commit it if fn returns 0. */
typedef int idx_state_fn(struct idx_state_txn *txn, void *arg);
int idx_state_run(struct idx_state *state, idx_state_fn *fn, void *arg);

/* The file `identity` (idx_state_ident.c). */
/** 0; -NOT_FOUND; -CORRUPT. */
int idx_state_ident_read(int dirfd, const char *dir, struct idx_identity *ret_identity);
/** Durable; replaces what is there. */
int idx_state_ident_write(int dirfd, const char *dir, const struct idx_identity *identity);
int idx_state_ident_make(struct idx_identity *ret_identity);

/* Sealed values of "meta" */
#define IDX_STATE_IDENT_KEY "identity" /* installation id | secret */
#define IDX_STATE_IDENT_BYTES 32u
#define IDX_STATE_IDS_KEY "ids" /* u64 end of the block | u64 oldest unsettled | u64 clean */
#define IDX_STATE_IDS_BYTES 24u
/** What was stored of the ids; all zeros if nothing was. */
int idx_state_ids_load(struct idx_state_txn *txn, struct idx_state_recovery *ret_recovery);

/* A walk over all keys of `dbi` that begin with the tier's byte, from `from` (key_len bytes) on. */
typedef int idx_state_walk_fn(void *arg, const MDB_val *key, const MDB_val *val);
int idx_state_walk(struct idx_state_txn *txn, MDB_dbi dbi, const void *from, size_t key_len, idx_state_walk_fn *fn, void *arg);
/** Delete at most `max` entries of a tier; *ret_n. */
int idx_state_wipe(struct idx_state_txn *txn, MDB_dbi dbi, uint8_t tier, uint64_t max, uint64_t *ret_n);

#endif
