/*
 * idx_cat_seal.c: small stored values (totals, heads, every row of the state environment) with a checksum that also
 * covers their key, so that neither a flipped bit nor a value under the wrong key is believed. Runs in the supervisor.
 */
#include <xxhash.h>

#include "index/cat/idx_cat_int.h"

uint64_t idx_cat_seal_sum(const void *key, size_t key_len, const void *payload, size_t len)
{
	return XXH3_64bits_withSeed(payload, len, XXH3_64bits(key, key_len));
}

int idx_cat_seal_put(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, const void *payload, size_t len)
{
	unsigned char buf[IDX_CAT_SEALED_MAX + IDX_CAT_SEAL_BYTES];
	MDB_val k = { key_len, (void *)(uintptr_t)key };
	MDB_val v = { len + IDX_CAT_SEAL_BYTES, buf };

	OM_ASSERT(len <= IDX_CAT_SEALED_MAX);
	if (len > 0)
		memcpy(buf, payload, len);
	idx_put64(buf + len, idx_cat_seal_sum(key, key_len, buf, len));
	return mdb_put(txn, dbi, &k, &v, 0);
}

bool idx_cat_seal_open(const MDB_val *key, const MDB_val *val, size_t len, const unsigned char **ret_payload)
{
	const unsigned char *p = val->mv_data;

	if (val->mv_size != len + IDX_CAT_SEAL_BYTES)
		return false;
	if (idx_le64(p + len) != idx_cat_seal_sum(key->mv_data, key->mv_size, p, len))
		return false;
	*ret_payload = p;
	return true;
}

int idx_cat_seal_get(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, size_t len,
		     const unsigned char **ret_payload)
{
	MDB_val k = { key_len, (void *)(uintptr_t)key }, v;
	int rc = mdb_get(txn, dbi, &k, &v);

	if (rc != MDB_SUCCESS)
		return rc;
	return idx_cat_seal_open(&k, &v, len, ret_payload) ? MDB_SUCCESS : MDB_CORRUPTED;
}
