/*
 * test_cat_key.c: keys are in the order of their URIs, whatever the lengths, and only groups of long URIs differ.
 */
#include "tests/unit/catalog/cat_test.h"

static const uint8_t secret[IDX_CAT_SECRET_BYTES] = "0123456789abcde";

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void key_order(void **state)
{
	static char a[OM_URI_MAX], b[OM_URI_MAX];
	uint64_t seed = 1;
	unsigned groups = 0, prefixes = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		size_t al = cat_test_uri(&seed, a), bl = cat_test_uri(&seed, b);
		struct idx_cat_key ka, kb;
		idx_cat_key_make(a, al, secret, NULL, &ka);
		idx_cat_key_make(b, bl, secret, NULL, &kb);
		int want = sign(idx_cat_key_cmp(a, al, b, bl)), got = sign(idx_cat_key_cmp(ka.b, ka.len, kb.b, kb.len));
		bool group = al > IDX_CAT_KEY_RAW_MAX && bl > IDX_CAT_KEY_RAW_MAX && memcmp(a, b, IDX_CAT_KEY_RAW_MAX) == 0;
		groups += group;
		prefixes += want != 0 && memcmp(a, b, OM_MIN(al, bl)) == 0;
		if (group)
			assert_true((want == 0) == (got == 0)); /* inside a group only equality is kept */
		else
			assert_int_equal(want, got);
		assert_true(ka.len >= 1 && ka.len <= IDX_CAT_KEY_MAX);
	}
	assert_true(groups > 100 && prefixes > 100); /* the interesting cases did occur */
}

static void key_edges(void **state)
{
	static char u[OM_URI_MAX];
	struct idx_cat_key k, l;

	(void)state;
	memset(u, 'x', sizeof(u));
	idx_cat_key_make(u, 495, secret, NULL, &k);
	assert_int_equal(k.len, 495);
	idx_cat_key_make(u, 496, secret, NULL, &l);
	assert_int_equal(l.len, 511);
	assert_true(idx_cat_key_cmp(k.b, k.len, l.b, l.len) < 0);
	idx_cat_key_make("\x01", 1, secret, NULL, &k);
	assert_int_equal(k.len, 1);
	/* The last byte of the longest URI matters, and so does the secret. */
	idx_cat_key_make(u, OM_URI_MAX, secret, NULL, &k);
	u[OM_URI_MAX - 1] = 'y';
	idx_cat_key_make(u, OM_URI_MAX, secret, NULL, &l);
	assert_memory_not_equal(k.b, l.b, IDX_CAT_KEY_MAX);
	idx_cat_key_make(u, OM_URI_MAX, (const uint8_t *)"another secret!!", NULL, &k);
	assert_memory_not_equal(k.b, l.b, IDX_CAT_KEY_MAX);
}

/* SipHash-2-4-128 of the bytes 00 01 .. 3e under the key 00 .. 0f, as the authors' own vectors give it. */
static void key_hash_vector(void **state)
{
	static const uint8_t want[] = { 0x51, 0x50, 0xd1, 0x77, 0x2f, 0x50, 0x83, 0x4a,
					0x50, 0x3e, 0x06, 0x9a, 0x97, 0x3f, 0xbd, 0x7c };
	uint8_t in[63], key[16], out[16];

	(void)state;
	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	idx_cat_key_hash(in, sizeof(in), key, out);
	assert_memory_equal(out, want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_order),
		cmocka_unit_test(key_edges),
		cmocka_unit_test(key_hash_vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
