/*
 * idx_cat_key.c: URIs as LMDB keys (see the header for the order). Pure functions; runs in the supervisor, called by the
 * catalog's write and read sides.
 */
#include "index/cat/idx_cat_key.h"

#include <sodium.h>

static_assert(IDX_CAT_HASH_BYTES == crypto_shorthash_siphashx24_BYTES, "the hash in a key is a SipHash-128");
static_assert(IDX_CAT_SECRET_BYTES == crypto_shorthash_siphashx24_KEYBYTES, "the secret is a SipHash key");

void idx_cat_key_hash(const void *uri, size_t len, const uint8_t secret[static IDX_CAT_SECRET_BYTES],
		      uint8_t ret_hash[static IDX_CAT_HASH_BYTES])
{
	(void)crypto_shorthash_siphashx24(ret_hash, uri, len, secret); /* always 0 */
}

void idx_cat_key_make(const void *uri, size_t len, const uint8_t secret[static IDX_CAT_SECRET_BYTES],
		      idx_cat_hash_fn *hash, struct idx_cat_key *ret_key)
{
	OM_ASSERT(len >= 1 && len <= OM_URI_MAX);
	if (!idx_cat_key_is_long(len)) {
		memcpy(ret_key->b, uri, len);
		ret_key->len = (uint16_t)len;
		return;
	}
	memcpy(ret_key->b, uri, IDX_CAT_KEY_RAW_MAX);
	(hash ? hash : idx_cat_key_hash)(uri, len, secret, ret_key->b + IDX_CAT_KEY_RAW_MAX);
	ret_key->len = IDX_CAT_KEY_MAX;
}

int idx_cat_key_cmp(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int c = memcmp(a, b, OM_MIN(a_len, b_len));

	if (c != 0)
		return c;
	return (a_len > b_len) - (a_len < b_len);
}
