/*
 * idx_cat_int.h: what the files of libidxcat share: the LMDB glue, error texts, little-endian access, private structs.
 *
 * Private to index/cat and its tests.
 */
#ifndef IDX_CAT_INT_H
#define IDX_CAT_INT_H

#include <endian.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "index/cat/idx_cat.h"

/* ---- words (idx_cat_message.c) ---- */
/** Set idx_cat_message() and return `status` (negative). */
int idx_cat_fail(int status, const char *fmt, ...) OM_PRINTF(2, 3);

/* ---- little-endian fields in stored values ---- */
static inline uint16_t idx_le16(const unsigned char *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}
static inline uint32_t idx_le32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}
static inline uint64_t idx_le64(const unsigned char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}
static inline void idx_put16(unsigned char *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}
static inline void idx_put32(unsigned char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}
static inline void idx_put64(unsigned char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}
/* Ids as keys are big-endian, so that LMDB's bytewise order is theirs. */
static inline void idx_put64be(unsigned char *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}
static inline uint64_t idx_be64(const unsigned char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

/* ---- sealed values: a payload and its checksum, bound to its key (idx_cat_seal.c) ---- */
#define IDX_CAT_SEAL_BYTES 8u
#define IDX_CAT_SEALED_MAX 128u
/** Checksum of `len` bytes stored under a key. */
uint64_t idx_cat_seal_sum(const void *key, size_t key_len, const void *payload, size_t len);
/** mdb_put of payload (at most IDX_CAT_SEALED_MAX bytes) and checksum; LMDB's result. */
int idx_cat_seal_put(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, const void *payload, size_t len);
/** True if `val` is a sealed payload of exactly `len` bytes; *ret_payload points into it. */
bool idx_cat_seal_open(const MDB_val *key, const MDB_val *val, size_t len, const unsigned char **ret_payload);
/** mdb_get and open: LMDB's result; MDB_CORRUPTED if it is not sealed right. */
int idx_cat_seal_get(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, size_t len,
		     const unsigned char **ret_payload);

/* ---- environments (idx_cat_env.c): used by catalogs and by the state environment ---- */
#define IDX_CAT_DATA_NAME "data.mdb"
#define IDX_CAT_LOCK_NAME "lock.mdb"
#define IDX_CAT_UNPROVEN_NAME "unproven" /* there while the running (or crashed) process has not read everything once */
#define IDX_CAT_FILE_MIN_BYTES 8192 /* a shorter data file has no header yet: it never held anything */
#define IDX_CAT_READERS 1000u
#define IDX_CAT_MAP_BYTES (UINT64_C(1) << 40)
#define IDX_CAT_MAP_MIN_BYTES (UINT64_C(1) << 30)

enum idx_cat_env_flag { /* beside enum idx_cat_open_flag */
	IDX_CAT_ENV_NOLOCK = 1 << 8, /* the checker: no lock file, nobody else has it open */
};

struct idx_cat_env {
	MDB_env *mdb;
	char *dir;
	int dirfd;
	unsigned flags;
	bool created;
	atomic_bool failed;    /* an error stopped writes until the environment is opened again */
	atomic_bool want_grow; /* the map was full: grow it before the next write transaction */
	atomic_bool unproven;
	/* Held from the begin to the end of a write transaction, so that nobody moves the map under one. */
	pthread_mutex_t write_lock;
	/* Read transactions that are active; the map moves only while there are none. */
	pthread_mutex_t gate_lock;
	pthread_cond_t gate_cond;
	unsigned gate_active;
	bool gate_closed;
};

/** Open or make the environment in `dir`. On failure nothing is left open. Statuses as idx_cat_open. */
int idx_cat_env_open(const char *dir, unsigned flags, uint64_t map_bytes, struct idx_cat_env *ret_env);
void idx_cat_env_close(struct idx_cat_env *env);
/** True if the last process that had it open never finished reading it: check before opening. */
bool idx_cat_env_suspect(const char *dir);
/** True if it is suspect, or so small that a check costs nothing. */
bool idx_cat_env_check_due(const char *dir);
/** Everything in it has been read without harm. */
void idx_cat_env_proven(struct idx_cat_env *env);
/** Status and text of a failed LMDB call; also stops writes or asks for a larger map where that is the answer. */
int idx_cat_env_fail(struct idx_cat_env *env, int mdb_rc, const char *what);

int idx_cat_env_read_begin(struct idx_cat_env *env, MDB_txn **ret_txn);
/** The transaction is gone already (committed, to keep database handles). */
void idx_cat_env_read_leave(struct idx_cat_env *env);
void idx_cat_env_read_end(struct idx_cat_env *env, MDB_txn *txn);
int idx_cat_env_write_begin(struct idx_cat_env *env, MDB_txn **ret_txn);
int idx_cat_env_write_commit(struct idx_cat_env *env, MDB_txn *txn);
void idx_cat_env_write_abort(struct idx_cat_env *env, MDB_txn *txn);

/* ---- raw files (idx_cat_file.c), before LMDB sees them ---- */
/** Directory made if needed; *ret_dirfd; *ret_made. */
int idx_cat_file_dir(const char *dir, bool readonly, int *ret_dirfd);
/**
 * Look at the data file and make the lock file. *ret_exists: there is a data file that holds something.
 * *ret_short: it ended before its last page and was extended with a hole, so that reading there finds zeros, not SIGBUS.
 */
int idx_cat_file_prepare(int dirfd, const char *dir, unsigned flags, bool *ret_exists, bool *ret_short);
/** idx_cat_set_aside on an open directory. */
int idx_cat_file_set_aside(int dirfd, const char *dir);
/** idx_cat_discard on an open directory. */
int idx_cat_file_discard(int dirfd, const char *dir);

/* ---- the checker (idx_cat_check.c) ---- */
/* Reads what is in the databases that it knows; in the child. 0 or a negative status with its message. */
typedef int idx_cat_check_fn(struct idx_cat_env *env, MDB_txn *txn, const void *arg);
int idx_cat_check_run(const char *dir, unsigned timeout_s, idx_cat_check_fn *fn, const void *arg);
/* Called for each entry of a database; not 0: damaged. */
typedef int idx_cat_check_entry_fn(const void *arg, const MDB_val *key, const MDB_val *val);
/** Walk a database: order of the keys, number of entries, each entry by `fn` (may be NULL). A missing one is damage. */
int idx_cat_check_db(struct idx_cat_env *env, MDB_txn *txn, const char *name, idx_cat_check_entry_fn *fn, const void *arg);

/* ---- the catalog ---- */
/* What a transaction changes of an owner's row; unsigned: wraps around and back. */
struct idx_cat_owner_by {
	uint32_t uid;
	uint64_t objects, bytes;
};
struct idx_cat_owners { /* idx_cat_owner.c */
	struct idx_cat_owner_by *v; /* kept from one transaction to the next */
	size_t n, cap, last;
};

struct idx_cat_txn {
	struct idx_cat *cat;
	MDB_txn *mdb;
	int failed; /* first failure after which only an abort is possible */
	bool totals_changed;
	bool complete_set; /* `complete` becomes the catalog's with the commit */
	bool complete;
	struct idx_cat_totals totals;
};

struct idx_cat {
	struct idx_cat_env env;
	MDB_dbi objects, removed, meta;
	uint8_t tier;
	uint8_t secret[IDX_CAT_SECRET_BYTES];
	uint8_t tier_id[IDX_CAT_ID_BYTES];
	uint8_t install_id[IDX_CAT_ID_BYTES];
	idx_cat_hash_fn *hash; /* NULL: the real one */
	bool was_clean;
	atomic_bool complete;
	struct idx_cat_txn txn; /* the one write transaction; belongs to who holds env.write_lock */
	struct idx_cat_owners owners; /* of it */
};

struct idx_cat_snap {
	struct idx_cat *cat;
	MDB_txn *mdb;
	bool active;
};

/** Tests: another hash for long URIs, set before the first use. */
void idx_cat_test_hash(struct idx_cat *cat, idx_cat_hash_fn *hash);

int idx_cat_totals_read(struct idx_cat_env *env, MDB_txn *txn, MDB_dbi meta, struct idx_cat_totals *ret_totals);
int idx_cat_totals_write(MDB_txn *txn, MDB_dbi meta, const struct idx_cat_totals *totals); /* LMDB's result */
/** Store the two flags; LMDB's result. */
int idx_cat_flags_write(MDB_txn *txn, MDB_dbi meta, bool clean, bool complete);
/** Is this (decoded) record really that of a long key? */
bool idx_cat_key_matches(const struct idx_cat *cat, const MDB_val *key, const struct om_rec *rec);
/** mdb_get of a URI's entry: LMDB's result; the key is made in *ret_key. */
int idx_cat_lookup(struct idx_cat *cat, MDB_txn *txn, const char *uri, size_t uri_len, struct idx_cat_key *ret_key,
		   MDB_val *ret_val);
/** Decode what was found for `uri`: NOT_FOUND if it is another long URI, CORRUPT. rec->uri is `uri` or in the value. */
int idx_cat_found(struct idx_cat *cat, const struct idx_cat_key *key, const MDB_val *val, const char *uri, size_t uri_len,
		  struct om_rec *ret_rec);
/**
 * A home record of this owner came (`come`) or goes: noted, until the commit. @return false: no memory; the row is not changed.
 */
bool idx_cat_owner_note(struct idx_cat_owners *o, uint32_t uid, uint64_t size, bool come);
/** What was noted into the rows; LMDB's result. */
int idx_cat_owners_write(MDB_txn *txn, MDB_dbi meta, const struct idx_cat_owners *o);
/** All rows go, and those of `o` (noted from nothing) take their place: a recount. LMDB's result. */
int idx_cat_owners_replace(MDB_txn *txn, MDB_dbi meta, const struct idx_cat_owners *o);
/** Each row, and what is left of the totals as OM_UID_OLD's; 0, what `cb` says, or a status. */
int idx_cat_owners_list(struct idx_cat_env *env, MDB_txn *txn, MDB_dbi meta, const struct idx_cat_totals *totals,
			idx_cat_owner_cb *cb, void *ctx);
void idx_cat_totals_add(struct idx_cat_totals *totals, uint64_t size, bool copy);
void idx_cat_totals_sub(struct idx_cat_totals *totals, uint64_t size, bool copy);

#endif
