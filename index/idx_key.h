/*
 * idx_key.h: from a URI to its 128-bit key, its slot and its generation bucket.
 *
 * Linked by the daemon's processes, never by clients: the secret stays inside. No state; any thread.
 */
#ifndef IDX_KEY_H
#define IDX_KEY_H

#include "common/om_base.h"

#define IDX_SECRET_BYTES 16u
#define IDX_BUCKET_BITS 20u

/* SipHash-2-4-128 of the URI. Never {0, 0}. */
struct idx_key {
	uint64_t lo;
	uint64_t hi;
};

/** Key of a URI of `len` bytes under the installation's secret. Cannot fail. */
void idx_key_make(const unsigned char secret[static IDX_SECRET_BYTES], const void *uri, size_t len,
		  struct idx_key *ret_key);

struct om_proto_str; /* common/proto/om_proto.h */

/** Keys of `n` URIs, the same that idx_key_make() makes, several times faster a key when there are 8 and more. */
void idx_key_make_many(const unsigned char secret[static IDX_SECRET_BYTES], const struct om_proto_str *uris, unsigned n,
		       struct idx_key *ret_keys);

static inline bool idx_key_equal(const struct idx_key *a, const struct idx_key *b)
{
	return a->lo == b->lo && a->hi == b->hi;
}

/** Where the probing of a key begins, in a table of `slots`: any size, not only powers of two. */
static inline uint64_t idx_key_home(const struct idx_key *key, uint64_t slots)
{
	return (uint64_t)(((unsigned __int128)key->hi * slots) >> 64);
}

/** Generation bucket of a key, 0..2^20-1: low bits of the half that does not choose the slot, so that clients, who see
 * buckets, learn nothing of where an object lies in the index. */
static inline uint32_t idx_key_bucket(const struct idx_key *key)
{
	return (uint32_t)(key->lo & ((1u << IDX_BUCKET_BITS) - 1));
}

#endif
