/*
 * test_code.c: blocks of compressed answers: they give back what went in, and never grow by more than their header.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#if OM_HAVE_ZSTD
#include <zstd.h>
#endif

#include "worker/wrk_code.h"

static uint8_t raw[OM_PROTO_BLOCK_MAX], out[OM_PROTO_BLOCK_HDR + OM_PROTO_BLOCK_MAX];

static void fill_text(size_t n)
{
	for (size_t i = 0; i < n; i++)
		raw[i] = (uint8_t)("objects named by a URI\n"[(i + i / 100) % 23]);
}

static void fill_noise(size_t n)
{
	uint64_t x = 88172645463325252u;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		raw[i] = (uint8_t)x;
	}
}

/* @return true: it was compressed */
static bool round_trip(int level, size_t n)
{
	size_t len = wrk_code_block(level, raw, n, out);
	struct om_proto_block b;

	assert_int_equal(om_proto_block_decode(out, n, &b), 0);
	assert_int_equal(b.raw, n);
	assert_int_equal(len, OM_PROTO_BLOCK_HDR + b.wire);
	if (b.wire == n) {
		assert_memory_equal(out + OM_PROTO_BLOCK_HDR, raw, n);
		return false;
	}
	assert_true(b.wire <= n - n / 8);
#if OM_HAVE_ZSTD
	static uint8_t again[OM_PROTO_BLOCK_MAX];

	assert_int_equal(ZSTD_decompress(again, sizeof(again), out + OM_PROTO_BLOCK_HDR, b.wire), n);
	assert_memory_equal(again, raw, n);
#endif
	return true;
}

static void test_blocks(void **state)
{
	static const size_t sizes[] = { 1, 2, 7, 8, 9, 100, 8192, 65537, OM_PROTO_BLOCK_MAX - 1, OM_PROTO_BLOCK_MAX };

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(sizes); i++) {
		fill_text(sizes[i]);
		for (int level = 0; level <= 3; level++) {
			bool coded = round_trip(level, sizes[i]);

			if (!level || !OM_HAVE_ZSTD || sizes[i] < 10)
				assert_false(coded);
			else if (sizes[i] >= 8192)
				assert_true(coded);
		}
		fill_noise(sizes[i]);
		for (int level = 0; level <= 3; level++)
			assert_false(round_trip(level, sizes[i]));
	}
}

/* What a header must not say. */
static void test_headers(void **state)
{
	static const struct {
		uint32_t wire, raw;
		uint64_t left;
		bool good;
	} rows[] = {
		{ 1, 1, 1, true },
		{ 1, 2, 2, true },
		{ 0, 1, 1, false },				    /* nothing that is something */
		{ 0, 0, 1, false },
		{ 2, 1, 5, false },				    /* it grew */
		{ 5, 5, 4, false },				    /* more than is due */
		{ 5, OM_PROTO_BLOCK_MAX, UINT64_MAX, true },
		{ 5, OM_PROTO_BLOCK_MAX + 1, UINT64_MAX, false },   /* more than a frame may give */
		{ UINT32_MAX, UINT32_MAX, UINT64_MAX, true },
		{ UINT32_MAX - 1, UINT32_MAX, UINT64_MAX, false },
	};
	uint8_t hdr[OM_PROTO_BLOCK_HDR];
	struct om_proto_block b;

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(rows); i++) {
		om_proto_block_encode(&(struct om_proto_block){ rows[i].wire, rows[i].raw }, hdr);
		assert_int_equal(om_proto_block_decode(hdr, rows[i].left, &b), rows[i].good ? 0 : -OBJM_STATUS_PROTO_ERROR);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
