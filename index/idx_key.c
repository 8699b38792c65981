/*
 * idx_key.c: the keyed hash of a URI, see idx_key.h. Runs in workers, the supervisor and the lifecycle process.
 *
 * SipHash and not a faster hash: clients choose URIs, and an equal key makes an object unreachable, so collisions must not
 * be findable without the secret.
 */
#include "index/idx_key.h"

#include <assert.h>
#include <sodium.h>

static_assert(IDX_SECRET_BYTES == crypto_shorthash_siphashx24_KEYBYTES, "secret length");
static_assert(sizeof(struct idx_key) == crypto_shorthash_siphashx24_BYTES, "key length");

void idx_key_make(const unsigned char secret[static IDX_SECRET_BYTES], const void *uri, size_t len,
		  struct idx_key *ret_key)
{
	unsigned char out[crypto_shorthash_siphashx24_BYTES];

	(void)crypto_shorthash_siphashx24(out, (const unsigned char *)uri, len, secret); /* documented to return 0 always */
	memcpy(&ret_key->lo, out, 8); /* host order: keys never leave the machine or outlive the segment */
	memcpy(&ret_key->hi, out + 8, 8);
	if (ret_key->lo == 0 && ret_key->hi == 0)
		ret_key->lo = 1; /* all-zero is kept for "no key" in our callers' tables */
}
