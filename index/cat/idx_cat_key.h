/*
 * idx_cat_key.h: a URI as an LMDB key, in an order-preserving way.
 *
 * Linked by the supervisor (libidxcat). Pure functions: any thread.
 *
 * A URI of up to IDX_CAT_KEY_RAW_MAX bytes is its own key. A longer one is its first IDX_CAT_KEY_RAW_MAX bytes and a
 * keyed 128-bit hash of all of it. LMDB compares bytewise, a prefix first, so:
 *  - keys of short URIs sort as the URIs do, and a short URI sorts before every longer one that begins with it;
 *  - the long URIs of one prefix stand together (a "group"), after the short URI that is the prefix and before
 *    everything greater; only inside a group is the order that of the hash, and listings sort there.
 * The length tells the two kinds apart: a long key always has IDX_CAT_KEY_MAX bytes, a short one never.
 */
#ifndef IDX_CAT_KEY_H
#define IDX_CAT_KEY_H

#include "common/om_obj.h"

#define IDX_CAT_SECRET_BYTES 16u
#define IDX_CAT_HASH_BYTES 16u
#define IDX_CAT_KEY_MAX 511u /* what LMDB takes as built by Debian */
#define IDX_CAT_KEY_RAW_MAX (IDX_CAT_KEY_MAX - IDX_CAT_HASH_BYTES)

struct idx_cat_key {
	uint16_t len;
	unsigned char b[IDX_CAT_KEY_MAX];
};

/* The keyed hash of a long URI: SipHash-2-4-128, except in the test that forces a collision. */
typedef void idx_cat_hash_fn(const void *uri, size_t len, const uint8_t secret[static IDX_CAT_SECRET_BYTES],
			     uint8_t ret_hash[static IDX_CAT_HASH_BYTES]);
void idx_cat_key_hash(const void *uri, size_t len, const uint8_t secret[static IDX_CAT_SECRET_BYTES],
		      uint8_t ret_hash[static IDX_CAT_HASH_BYTES]);

/** True if a URI of `len` bytes needs a hashed key, so that its record's value carries the whole URI. */
static inline bool idx_cat_key_is_long(size_t len) { return len > IDX_CAT_KEY_RAW_MAX; }

/**
 * Make the key of a URI.
 *
 * @param uri    1..OM_URI_MAX bytes, already validated (om_uri_check)
 * @param hash   NULL for the real hash
 */
void idx_cat_key_make(const void *uri, size_t len, const uint8_t secret[static IDX_CAT_SECRET_BYTES],
		      idx_cat_hash_fn *hash, struct idx_cat_key *ret_key);

/** Bytewise order of two strings, a prefix first: the order of every listing. <0, 0, >0. */
int idx_cat_key_cmp(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
