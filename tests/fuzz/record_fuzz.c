/*
 * record_fuzz.c: the decoder of catalog records against any bytes. Input: key length (u16), key, value. Each is tried as it is,
 * and again with its checksum put right, as a forger would: else the fuzzer never gets past it. What is decoded must be a
 * record that can be stored, and storing it must give the same bytes.
 */
#include "index/cat/idx_cat_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_decode(const unsigned char *key, size_t key_len, const unsigned char *val, size_t val_len)
{
	unsigned char again[IDX_CAT_REC_MAX];
	struct om_rec rec;

	if (idx_cat_rec_decode(key, key_len, val, val_len, 3, &rec) != 0)
		return;
	OM_ASSERT(idx_cat_rec_check(&rec) == 0);
	OM_ASSERT(idx_cat_rec_size(&rec) == val_len);
	idx_cat_rec_encode(&rec, key, key_len, again);
	OM_ASSERT(memcmp(again, val, val_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t key_len;
	unsigned char *val;

	if (size < 2)
		return 0;
	key_len = OM_MIN((size_t)(data[0] | data[1] << 8) % 600, size - 2);
	size -= 2 + key_len;
	/* Memory of exactly the size, so that one byte too far is seen. */
	val = malloc(size ? size : 1);
	OM_ASSERT(val != NULL);
	memcpy(val, data + 2 + key_len, size);
	try_decode(data + 2, key_len, val, size);
	if (size >= IDX_CAT_SEAL_BYTES) {
		idx_put64(val, idx_cat_seal_sum(data + 2, key_len, val + IDX_CAT_SEAL_BYTES, size - IDX_CAT_SEAL_BYTES));
		try_decode(data + 2, key_len, val, size);
	}
	free(val);
	return 0;
}
