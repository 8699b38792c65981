/*
 * idx_cat.h: the catalog of one tier: an LMDB environment that maps URIs to records.
 *
 * Linked by the supervisor only (libidxcat, dep_idxcat). One process has it open.
 *
 * Threads: a catalog is used by one committer (write transactions) and any number of reader threads (snapshots).
 *  - write side: begin, ops, commit or abort on the same thread. A second thread that begins waits.
 *  - a snapshot belongs to one thread at a time. Long snapshots pin old pages: let go within seconds.
 * Statuses: functions return 0 or a negative -OBJM_STATUS_x. What went wrong, in words (which file, why, what to do),
 * is in idx_cat_message() of the same thread.
 *
 * Common statuses and what the caller does about them:
 *   NO_SPACE       the filesystem is full (also: quota; also: map full and not growable). Nothing was changed by the
 *                  failed transaction, everything committed before stands. Give up the ballast, evict, try again.
 *   STORAGE        an I/O error. After a failed commit the catalog takes no more writes until it is opened again
 *                  (an fsync that failed is never retried into a success). Stop writes to the tier.
 *   CORRUPT        the environment, or one record of it, is damaged. Whole environment: close, idx_cat_set_aside, open,
 *                  rebuild from the files.
 *   LIMIT_EXCEEDED no free reader slot even after dead readers were cleared, or too much for one transaction.
 *   BUSY           the map has to grow and a snapshot was held for too long. Try again.
 */
#ifndef IDX_CAT_H
#define IDX_CAT_H

#include "common/om_obj.h"
#include "index/cat/idx_cat_key.h"
#include "index/cat/idx_cat_rec.h"

struct idx_cat;
struct idx_cat_txn;
struct idx_cat_snap;

#define IDX_CAT_ID_BYTES 16u /* of a tier and of an installation */
#define IDX_CAT_BATCH_MAX 256u /* operations that a committer puts into one transaction */

enum idx_cat_open_flag {
	IDX_CAT_VOLATILE = 1 << 0, /* on tmpfs: commits are not synced. Never for a persistent tier */
	IDX_CAT_READONLY = 1 << 1, /* no write transactions; nothing is created */
	IDX_CAT_NOCHECK = 1 << 2,  /* no deep check, whatever the last run left (tests) */
};

struct idx_cat_params {
	const char *dir; /* made if its parent is there */
	unsigned flags;	 /* enum idx_cat_open_flag */
	uint8_t tier;	 /* number, 0..OM_TIERS_MAX - 1 */
	uint8_t secret[IDX_CAT_SECRET_BYTES];
	uint8_t tier_id[IDX_CAT_ID_BYTES];
	uint8_t install_id[IDX_CAT_ID_BYTES];
	uint64_t map_bytes; /* 0: 1 TiB (address space only), halved down to 1 GiB where that cannot be had */
};

struct idx_cat_totals {
	uint64_t objects;
	uint64_t bytes; /* sum of the sizes of the objects */
	uint64_t copies; /* those of them whose home is another tier */
	uint64_t copy_bytes;
};

/* What a user owns on the tier: home records alone, a cached copy is nobody's. */
struct idx_cat_owner {
	uint32_t uid; /* OM_UID_OLD: all whose owner is not known */
	uint64_t objects;
	uint64_t bytes; /* sum of the sizes */
};
/* Called for each owner, in no order. Not 0: stop, and the caller gets it. */
typedef int idx_cat_owner_cb(void *ctx, const struct idx_cat_owner *owner);

struct idx_cat_info {
	bool created;  /* this open made it */
	bool clean;    /* the last run closed it (true for a new one) */
	bool complete; /* idx_cat_txn_complete(true) was committed: no rebuild is owed. False for a new one */
	uint64_t map_bytes;
	uint64_t file_bytes; /* size of the data file */
	uint32_t readers;    /* reader slots ever in use at once */
	uint32_t readers_max;
};

/** What went wrong in the last call of this library that failed on this thread; "" at first. Never NULL. */
const char *idx_cat_message(void);

/**
 * Open the catalog of a tier, making it if it is missing.
 *
 * A catalog of up to 64 MiB, and any that the last run opened but neither scanned to the end nor closed, is first checked
 * by a child process (idx_cat_check): a small damaged one is never read here, a large one that crashes its reader does so
 * once, not at every start.
 *
 * @return 0; -CORRUPT: not usable, see idx_cat_set_aside (also: made under another secret or as another tier number);
 *         -PRECONDITION_FAILED: it is the catalog of another tier or installation: adopt or refuse, do not set aside;
 *         -NOT_FOUND: the parent directory is missing (the tier is absent), or READONLY and no catalog;
 *         -PERMISSION_DENIED, -READ_ONLY, -NO_SPACE, -OUT_OF_MEMORY, -STORAGE.
 *
 * Context: blocks (disk, child). Not while another handle of this process has it open.
 */
int idx_cat_open(const struct idx_cat_params *params, struct idx_cat **ret_cat);

/**
 * Ask the kernel to read the next `bytes` of the catalog's file, in the order in which they lie on the disk: who reads all records
 * follows the tree, whose pages lie in any order.
 * @param at  in and out: bytes asked for, 0 at first
 * @return true while there is more
 *
 * Context: any thread. Blocks on the disk.
 */
bool idx_cat_read_ahead(struct idx_cat *cat, uint64_t *at, uint64_t bytes);

/** Close; marks it clean if it still takes writes. All transactions and snapshots must be gone. NULL is fine. */
void idx_cat_close(struct idx_cat *cat);

/**
 * Move a damaged catalog out of the way: its data file becomes data.mdb.bad-<unix time>. Only the newest such file is kept,
 * and none where the disk is short of room.
 * @return 0 (also if there is none); else as a failed system call.
 */
int idx_cat_set_aside(const char *dir);

/**
 * Remove a catalog that is not to be kept: its data file, its lock. For good: no copy of it stays.
 * @return 0 (also if there is none); else as a failed system call.
 *
 * Context: blocks. Not while anybody has it open.
 */
int idx_cat_discard(const char *dir);

/**
 * Read the whole environment in a child process, which may die of what it reads.
 *
 * @param params     dir, tier
 * @param timeout_s  0: none. Past it the child is killed and the result is -TIMEOUT
 * @return 0: every page of the trees, every key order and every checksum is right; -CORRUPT (idx_cat_message says how)
 *
 * Context: blocks. Reaps its own child by pid, so the program must not wait for "any child". The environment must not
 * be open for writing.
 */
int idx_cat_check(const struct idx_cat_params *params, unsigned timeout_s);

/** The directory that it was opened in; lives as long as `cat`. Any thread. */
const char *idx_cat_dir(const struct idx_cat *cat);
/** State as of now. Any thread. */
void idx_cat_info(struct idx_cat *cat, struct idx_cat_info *ret_info);
/** False after an error that stopped writes. Any thread. */
bool idx_cat_writable(const struct idx_cat *cat);
/** Clear the reader slots of processes that are gone: of tools, since nobody else opens a catalog. From time to time. Any thread. @return
 * how many, or negative. */
int idx_cat_reader_check(struct idx_cat *cat);

/* ---- write side (index/cat/idx_cat_txn.c) ----
 *
 *   begin -> put/del/get/removed_* any number of times -> commit | abort
 * An operation that fails with INVALID_REQUEST, URI_TOO_LONG, TOO_LARGE, NOT_FOUND, PRECONDITION_FAILED or COLLISION has
 * changed nothing and the transaction goes on. After any other failure the transaction can only be aborted; commit
 * then aborts and returns that failure. Commit and abort free the handle.
 */

/* What stood under a URI before a change. */
struct idx_cat_old {
	bool existed;
	bool damaged; /* it existed but could not be decoded: the rest is 0 */
	uint64_t id;
	uint64_t size;
	uint32_t rev;
	uint32_t uid; /* its owner */
	uint8_t home;
};

enum idx_cat_put_flag {
	IDX_CAT_PUT_NEWER = 1 << 0, /* only over nothing, a damaged record or a lower (id, rev); else PRECONDITION_FAILED (rebuilds) */
};

/** @return 0; NO_SPACE, STORAGE, BUSY, READ_ONLY, CORRUPT. Waits for another write transaction of this catalog. */
int idx_cat_txn_begin(struct idx_cat *cat, struct idx_cat_txn **ret_txn);
/** @return 0: durable (unless VOLATILE) and visible to new snapshots; negative: nothing of it happened. */
int idx_cat_txn_commit(struct idx_cat_txn *txn);
/** NULL is fine. */
void idx_cat_txn_abort(struct idx_cat_txn *txn);

/**
 * Insert or replace the record of rec->uri. rec is borrowed; rec->tier must be this catalog's. -INVALID_REQUEST also for an
 * EPHEMERAL record, or one whose home is another tier, in a catalog that is not VOLATILE.
 * @param ret_old  may be NULL
 * @return 0; -COLLISION: another long URI has the same key (the message names both).
 */
int idx_cat_txn_put(struct idx_cat_txn *txn, const struct om_rec *rec, unsigned flags, struct idx_cat_old *ret_old);
/**
 * Remove the record of a URI.
 * @param id  0, or the only id that is removed: else -PRECONDITION_FAILED
 * @return 0; -NOT_FOUND.
 */
int idx_cat_txn_del(struct idx_cat_txn *txn, const char *uri, size_t uri_len, uint64_t id, struct idx_cat_old *ret_old);
/** The record as the transaction sees it. Its pointers (and `uri`) are good until the next change or the end. -NOT_FOUND, -CORRUPT. */
int idx_cat_txn_get(struct idx_cat_txn *txn, const char *uri, size_t uri_len, struct om_rec *ret_rec);
/** Totals as the transaction sees them. */
void idx_cat_txn_totals(const struct idx_cat_txn *txn, struct idx_cat_totals *ret_totals);
/** What each owner has, as the transaction sees it once it has been counted again (idx_cat_txn_recount()). */
int idx_cat_txn_owners(struct idx_cat_txn *txn, idx_cat_owner_cb *cb, void *ctx);
/** Count everything again, owners too, and store that: 0.1 s for a million objects. @return 1: they were wrong, 0: right, negative. */
int idx_cat_txn_recount(struct idx_cat_txn *txn);
/** Remember that the catalog holds all of the tier's objects (a rebuild is done), or does not. */
int idx_cat_txn_complete(struct idx_cat_txn *txn, bool complete);

/* Pending removals: ids whose record is gone and whose file may still be there. */
int idx_cat_txn_removed_add(struct idx_cat_txn *txn, uint64_t id);
/** Deleting one that is not there is fine. */
int idx_cat_txn_removed_del(struct idx_cat_txn *txn, uint64_t id);

/* ---- read side (index/cat/idx_cat_snap.c): one thread at a time. An open snapshot pins the pages that it sees. */
int idx_cat_snap_open(struct idx_cat *cat, struct idx_cat_snap **ret_snap);
void idx_cat_snap_close(struct idx_cat_snap *snap);

/** The record of a URI; its pointers (and `uri`) are good until the snapshot is closed. -NOT_FOUND, -CORRUPT. */
int idx_cat_snap_peek(struct idx_cat_snap *snap, const char *uri, size_t uri_len, struct om_rec *ret_rec);
/** The running totals of this snapshot: no scan. -CORRUPT. */
int idx_cat_snap_totals(struct idx_cat_snap *snap, struct idx_cat_totals *ret_totals);

/** What each owner has in this snapshot: no scan. -CORRUPT. */
int idx_cat_snap_owners(struct idx_cat_snap *snap, idx_cat_owner_cb *cb, void *ctx);

/* Called for each record in key order; rec and its pointers are good until the snapshot ends. Not 0: stop, and scan returns it. */
typedef int idx_cat_rec_cb(void *ctx, const struct om_rec *rec);
typedef int idx_cat_id_cb(void *ctx, uint64_t id);

struct idx_cat_scan_res {
	struct idx_cat_totals totals;
	uint64_t damaged; /* records that could not be decoded; left out. Not 0: rebuild the catalog from the files */
	uint64_t max_id;
};

/**
 * All records, sequentially, without copying: for the index build. In key order, which is URI order except inside groups of
 * long URIs. A damaged record is counted and left out; a damaged tree ends it with -CORRUPT.
 */
int idx_cat_scan(struct idx_cat_snap *snap, idx_cat_rec_cb *cb, void *ctx, struct idx_cat_scan_res *ret_res);

/** Each pending removal in id order. */
int idx_cat_removed_iter(struct idx_cat_snap *snap, idx_cat_id_cb *cb, void *ctx);

#endif
