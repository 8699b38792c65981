/* test_be_attr.c: the attribute: everything comes back, nothing damaged is believed. */
#include <endian.h>

#include <xxhash.h>

#include "be_test.h"

static char uri[OM_URI_MAX], type[OM_TYPE_MAX];
static unsigned char meta[OM_META_MAX];

static struct om_rec largest(void)
{
	memset(uri, 'u', sizeof(uri));
	memset(type, 't', sizeof(type));
	memset(meta, 'm', sizeof(meta));
	meta[0] = 1; /* one entry: key "m", the rest its value */
	meta[1] = (unsigned char)((sizeof(meta) - 4) >> 8);
	meta[2] = (unsigned char)((sizeof(meta) - 4) & 0xff);
	return (struct om_rec){
		.size = UINT64_MAX, .mtime_ns = 2, .expiry_s = 3, .rev = 4, .flags = OM_OBJ_FLAGS_ALL, .uid = OM_UID_NONE, .uri = uri, .uri_len = sizeof(uri),
		.type = type, .type_len = sizeof(type), .meta = meta, .meta_len = sizeof(meta),
	};
}

static void same(const struct om_rec *a, const struct om_rec *b)
{
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->mtime_ns, b->mtime_ns);
	assert_int_equal(a->expiry_s, b->expiry_s);
	assert_int_equal(a->rev, b->rev);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->uri_len, b->uri_len);
	assert_int_equal(a->type_len, b->type_len);
	assert_int_equal(a->meta_len, b->meta_len);
	assert_memory_equal(a->uri, b->uri, a->uri_len);
	assert_memory_equal(a->type, b->type, a->type_len);
	assert_memory_equal(a->meta, b->meta, a->meta_len);
	assert_int_equal(a->sum != NULL, b->sum != NULL);
	if (a->sum)
		assert_memory_equal(a->sum, b->sum, OM_SUM_BYTES);
}

static void there_and_back(const struct om_rec *rec)
{
	uint8_t buf[BE_ATTR_MAX];
	struct om_rec got;
	size_t n = be_attr_encode(rec, buf);

	assert_int_equal(be_attr_decode(buf, n, &got), 0);
	same(rec, &got);
}

static void test_round_trip(void **state)
{
	uint8_t buf[BE_ATTR_MAX];
	struct om_rec big = largest(), small = { .rev = 1, .uri = "/", .uri_len = 1 }, got;
	size_t n;

	(void)state;
	there_and_back(&big);
	there_and_back(&small);
	big.sum = small.sum = (const unsigned char *)"0123456789abcdef";
	there_and_back(&big);
	there_and_back(&small);
	small.sum = NULL;
	/* a file from before owners were kept stays what it is */
	small.uid = OM_UID_OLD;
	n = be_attr_encode(&small, buf);
	assert_int_equal(be_attr_decode(buf, n, &got), 0);
	same(&small, &got);
}

/* Each number alone, at the ends of its lengths. */
static void test_numbers(void **state)
{
	static const uint64_t v[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX >> 1, UINT64_MAX };
	uint8_t buf[BE_ATTR_MAX];

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(v); i++) {
		struct om_rec rec = be_test_rec("/n"), got;

		rec.size = v[i];
		rec.expiry_s = v[OM_ARRAY_SIZE(v) - 1 - i];
		rec.mtime_ns = v[i];
		rec.rev = (uint32_t)OM_MAX(v[i] & UINT32_MAX, 1u);
		rec.uid = (uint32_t)v[i] == OM_UID_OLD ? 0 : (uint32_t)v[i];
		rec.flags = i % (OM_OBJ_FLAGS_ALL + 1);
		assert_int_equal(be_attr_decode(buf, be_attr_encode(&rec, buf), &got), 0);
		same(&rec, &got);
	}
}

/* ext4 has room for 68 bytes in the inode: an object whose name has 44 takes no block for it. */
static void test_short(void **state)
{
	static const char name[] = "/0123456789/0123456789/0123456789/0123456789";
	struct om_rec rec = { .size = 16383, .mtime_ns = UINT64_MAX, .rev = 1, .uid = 65534, .uri = name, .uri_len = sizeof(name) - 1 };
	uint8_t buf[BE_ATTR_MAX];

	(void)state;
	assert_int_equal(rec.uri_len, 44);
	assert_true(be_attr_encode(&rec, buf) <= 68);
	rec.sum = (const unsigned char *)"0123456789abcdef"; /* and one of 28 with the sum of its bytes */
	rec.uri_len = 28;
	assert_true(be_attr_encode(&rec, buf) <= 68);
}

/* An attribute as the first version wrote it. */
static void test_first_version(void **state)
{
	static const uint8_t was[] = {
		0x6f, 0x6d, 0x61, 0x31, 1, 0, 56, 0, 0xe6, 0x77, 0xde, 0xda, 0xf8, 0xd5, 0x60, 0xc2, 10, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, '/', 'a', 't',
	};
	const struct om_rec want = { .size = 10, .mtime_ns = 7, .rev = 2, .flags = OM_OBJ_EVICTABLE, .uid = OM_UID_OLD, .uri = "/a", .uri_len = 2,
				     .type = "t", .type_len = 1, .meta = (const unsigned char *)"" };
	struct om_rec got;

	(void)state;
	assert_int_equal(be_attr_decode(was, sizeof(was), &got), 0);
	same(&want, &got);
}

/* An attribute as the second version wrote it: with an owner. */
static void test_second_version(void **state)
{
	static const uint8_t was[] = {
		0x6f, 0x6d, 0x61, 0x31, 2, 0, 60, 0, 0xf0, 0xa8, 0xb5, 0xba, 0x39, 0x3f, 0xed, 0x0e, 10, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0xe8, 3, 0, 0, '/', 'a', 't',
	};
	const struct om_rec want = { .size = 10, .mtime_ns = 7, .rev = 2, .flags = OM_OBJ_EVICTABLE, .uid = 1000, .uri = "/a", .uri_len = 2,
				     .type = "t", .type_len = 1, .meta = (const unsigned char *)"" };
	uint8_t buf[sizeof(was)];
	struct om_rec got;

	(void)state;
	assert_int_equal(be_attr_decode(was, sizeof(was), &got), 0);
	same(&want, &got);
	memcpy(buf, was, sizeof(was));
	for (size_t i = 0; i < sizeof(was) * 8; i++) {
		buf[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(be_attr_decode(buf, sizeof(buf), &got), -OBJM_STATUS_CORRUPT);
		buf[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t len = 0; len < sizeof(was); len++)
		assert_int_equal(be_attr_decode(was, len, &got), -OBJM_STATUS_CORRUPT);
}

/* A right checksum over what no encoder makes: lengths beyond the end, numbers without one. */
static void sealed(uint8_t *buf, size_t n)
{
	uint64_t sum = htole64(XXH3_64bits(buf + 10, n - 10));

	memcpy(buf + 2, &sum, sizeof(sum));
}

static void test_sealed_nonsense(void **state)
{
	static const struct {
		uint8_t have, rest[12];
		size_t n;
	} bad[] = {
		{ 0, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, '/' }, 11 }, /* 65 bits */
		{ 0, { 0x80, 0x80 }, 2 }, /* a number without its end */
		{ 0, { 5 }, 1 }, /* no name */
		{ 2, { 5, 0x80, 0x80, 0x80, 0x80, 0x10, '/' }, 7 }, /* flags of 33 bits */
		{ 16, { 5, 1, 't' }, 3 }, /* the type is all there is */
		{ 16, { 5, 9, '/' }, 3 }, /* the type is longer than what is left */
		{ 32, { 5, 0x81, 0x20, '/' }, 4 }, /* metadata of 4097 bytes */
		{ 64, { 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, '/' }, 12 }, /* a sum that is cut */
		{ 128, { 5, '/' }, 2 }, /* something that is not known */
	};
	uint8_t buf[32] = { 'o', '3' };
	struct om_rec got;

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(bad); i++) {
		buf[10] = bad[i].have;
		memcpy(buf + 19, bad[i].rest, bad[i].n);
		sealed(buf, 19 + bad[i].n);
		assert_int_equal(be_attr_decode(buf, 19 + bad[i].n, &got), -OBJM_STATUS_CORRUPT);
	}
	buf[10] = 0;
	memcpy(buf + 19, "\x05/", 2);
	sealed(buf, 21);
	assert_int_equal(be_attr_decode(buf, 21, &got), 0); /* so it was not the seal */
	assert_int_equal(got.size, 5);
}

static void test_damage(void **state)
{
	uint8_t buf[BE_ATTR_MAX];
	struct om_rec rec = be_test_rec("/some/name"), got = { .id = 77 };
	size_t n = be_attr_encode(&rec, buf);

	(void)state;
	for (size_t i = 0; i < n * 8; i++) {
		buf[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(be_attr_decode(buf, n, &got), -OBJM_STATUS_CORRUPT);
		buf[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t len = 0; len < n; len++)
		assert_int_equal(be_attr_decode(buf, len, &got), -OBJM_STATUS_CORRUPT);
	assert_int_equal(be_attr_decode(buf, n + 1, &got), -OBJM_STATUS_CORRUPT);
	assert_int_equal(got.id, 77); /* untouched */
	assert_int_equal(be_attr_decode(buf, n, &got), 0);
}

/* A right checksum over what must not be: whoever can write the attribute can make one. */
static void test_nonsense(void **state)
{
	uint8_t buf[BE_ATTR_MAX];
	struct om_rec rec = be_test_rec("/x"), got;
	static const unsigned char bad_meta[] = { 200, 0, 1, 'k' };

	(void)state;
	rec.uri = "/\xff"; /* not UTF-8 */
	assert_int_equal(be_attr_decode(buf, be_attr_encode(&rec, buf), &got), -OBJM_STATUS_CORRUPT);
	rec = be_test_rec("/x");
	rec.flags = 1u << 20;
	assert_int_equal(be_attr_decode(buf, be_attr_encode(&rec, buf), &got), -OBJM_STATUS_CORRUPT);
	rec = be_test_rec("/x");
	rec.meta = bad_meta;
	rec.meta_len = sizeof(bad_meta);
	assert_int_equal(be_attr_decode(buf, be_attr_encode(&rec, buf), &got), -OBJM_STATUS_CORRUPT);
	rec = be_test_rec("/x");
	rec.rev = 0;
	assert_int_equal(be_attr_decode(buf, be_attr_encode(&rec, buf), &got), -OBJM_STATUS_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_first_version),
		cmocka_unit_test(test_second_version),
		cmocka_unit_test(test_sealed_nonsense),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_nonsense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
