/*
 * idx_cat_rec.h: a record as the value of a catalog entry.
 *
 * Linked by the supervisor (libidxcat). Pure functions: any thread. Nothing read from a file is trusted: decode checks
 * the checksum, every length, every range and every text before it says that there is a record.
 *
 * Layout, little-endian, IDX_CAT_REC_FIXED bytes and then the strings:
 *    0 u64 checksum   XXH3-64 of bytes 8.. of the value, seeded with XXH3-64 of the key
 *    8 u8  version    2; 1: there is no owner, and the strings begin at 56 (OM_UID_OLD)
 *    9 u8  home       tier number of the home record
 *   10 u16 uri_len    0: the key is the URI; else the whole URI follows (long URIs)
 *   12 u32 flags      enum om_obj_flag
 *   16 u64 id
 *   24 u64 size       bytes
 *   32 u64 mtime_ns
 *   40 u64 expiry_s
 *   48 u32 rev
 *   52 u16 type_len
 *   54 u16 meta_len
 *   56 u32 owner
 *   60 uri | type | meta
 * The record's tier is that of the environment and is not stored.
 */
#ifndef IDX_CAT_REC_H
#define IDX_CAT_REC_H

#include "common/om_obj.h"

#define IDX_CAT_REC_VERSION 2u
#define IDX_CAT_REC_OLD 1u /* the version without an owner: written for who has none that is known, so that each record has one form */
#define IDX_CAT_REC_FIXED 60u
#define IDX_CAT_REC_FIXED_OLD 56u
#define IDX_CAT_REC_MAX (IDX_CAT_REC_FIXED + OM_URI_MAX + OM_TYPE_MAX + OM_META_MAX)

/**
 * 0 if `rec` can be stored: the limits of om_obj.h, known flags, id not 0, tier and home in range, valid URI and metadata.
 * Negative: URI_TOO_LONG, TOO_LARGE (type or metadata), INVALID_REQUEST (anything else).
 */
int idx_cat_rec_check(const struct om_rec *rec);

/** Bytes that idx_cat_rec_encode will write for a record that passed idx_cat_rec_check. */
size_t idx_cat_rec_size(const struct om_rec *rec);

/** Write the value of `rec` (which passed idx_cat_rec_check) for this key: exactly idx_cat_rec_size bytes. */
void idx_cat_rec_encode(const struct om_rec *rec, const void *key, size_t key_len, void *ret_val);

/**
 * Read a value.
 *
 * @param tier     the environment's tier, put into ret_rec->tier
 * @param ret_rec  its pointers are into `key` and `val`
 * @return 0; -CORRUPT: not a record that this version could have written under this key (ret_rec is not touched).
 *
 * Not checked here: that a long key's hash is that of its URI; that needs the secret (idx_cat_key_make).
 */
int idx_cat_rec_decode(const void *key, size_t key_len, const void *val, size_t val_len, uint8_t tier,
		       struct om_rec *ret_rec);

/**
 * Of two records of one URI on different tiers, is `a` the one that counts? The higher id wins; at the same id the home
 * record; then the higher revision; then the lower tier number (so that the answer never depends on the order).
 */
bool idx_cat_rec_wins(const struct om_rec *a, const struct om_rec *b);

#endif
