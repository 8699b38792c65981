/*
 * test_obj.c: om_obj: which URIs and which metadata are well-formed, paths of objects. Each check of UTF-8 is compared with
 * a second, slower decoder over every sequence of up to three bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <cmocka.h>

#include "common/om_obj.h"

/* A decoder by the book: one code point, or false. */
static bool slow_one(const unsigned char *p, size_t left, size_t *ret_n)
{
	uint32_t cp, least;
	size_t n;

	if (p[0] < 0x80) {
		*ret_n = 1;
		return p[0] != 0;
	}
	if ((p[0] & 0xe0) == 0xc0) {
		n = 2, cp = p[0] & 0x1f, least = 0x80;
	} else if ((p[0] & 0xf0) == 0xe0) {
		n = 3, cp = p[0] & 0x0f, least = 0x800;
	} else if ((p[0] & 0xf8) == 0xf0) {
		n = 4, cp = p[0] & 0x07, least = 0x10000;
	} else {
		return false;
	}
	if (left < n)
		return false;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return false;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	*ret_n = n;
	return cp >= least && cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
}

static bool slow_valid(const unsigned char *p, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n)
		if (!slow_one(p + i, len - i, &n))
			return false;
	return len > 0;
}

static void test_utf8_exhaustive(void **state)
{
	static const unsigned char fourth[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };
	unsigned char s[4];
	(void)state;

	for (uint32_t v = 0; v < 1u << 24; v++) {
		s[0] = (unsigned char)(v >> 16);
		s[1] = (unsigned char)(v >> 8);
		s[2] = (unsigned char)v;
		if (om_uri_valid(s, 3) != slow_valid(s, 3))
			fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
		if (s[0] < 0xe0)
			continue;
		for (unsigned i = 0; i < sizeof(fourth); i++) {
			s[3] = fourth[i];
			if (om_uri_valid(s, 4) != slow_valid(s, 4))
				fail_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
		}
	}
}

static void test_uri_length(void **state)
{
	static char uri[OM_URI_MAX + 1];
	(void)state;

	memset(uri, 'a', sizeof(uri));
	assert_int_equal(om_uri_check(uri, 0), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(om_uri_check(uri, 1), 0);
	assert_int_equal(om_uri_check(uri, OM_URI_MAX), 0);
	assert_int_equal(om_uri_check(uri, OM_URI_MAX + 1), -OBJM_STATUS_URI_TOO_LONG);
	uri[OM_URI_MAX - 1] = '\xc3'; /* the second byte would lie beyond the end */
	assert_int_equal(om_uri_check(uri, OM_URI_MAX), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(om_uri_check("/a/../b", 7), 0); /* a name, not a path */
	assert_int_equal(om_uri_check("a\0b", 3), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(om_uri_check("a\nb", 3), 0);
}

static size_t entry(unsigned char *m, const char *key, const char *val)
{
	size_t k = strlen(key), v = strlen(val);
	m[0] = (unsigned char)k;
	m[1] = (unsigned char)(v >> 8);
	m[2] = (unsigned char)v;
	memcpy(m + 3, key, k);
	memcpy(m + 3 + k, val, v);
	return 3 + k + v;
}

static void test_meta(void **state)
{
	unsigned char m[OM_META_MAX + 64] = { 0 };
	const char *key, *val;
	size_t n = 0, pos = 0, kl, vl;
	(void)state;

	assert_true(om_meta_valid(m, 0));
	n += entry(m + n, "colour", "blue");
	n += entry(m + n, "empty", "");
	assert_true(om_meta_valid(m, n));
	for (size_t cut = 1; cut < n; cut++) /* cut anywhere but between the two: refused */
		assert_int_equal(om_meta_valid(m, cut), cut == 3 + 6 + 4);
	assert_true(om_meta_next(m, n, &pos, &key, &kl, &val, &vl));
	assert_int_equal(kl, 6);
	assert_memory_equal(val, "blue", vl);
	assert_true(om_meta_next(m, n, &pos, &key, &kl, &val, &vl));
	assert_int_equal(vl, 0);
	assert_false(om_meta_next(m, n, &pos, &key, &kl, &val, &vl));

	assert_true(om_meta_keys_plain(m, n));
	m[n - 8 + 4] = '\0'; /* in the second key: well-formed, and a C program would see another key */
	assert_true(om_meta_valid(m, n));
	assert_false(om_meta_keys_plain(m, n));
	m[n - 8 + 4] = 'm';
	m[n - 9] = '\0'; /* in a value: any bytes */
	assert_true(om_meta_keys_plain(m, n));
	m[n - 9] = 'e';

	size_t twice = n + entry(m + n, "colour", "red");
	assert_false(om_meta_valid(m, twice));
	assert_false(om_meta_valid("\0\0\0", 3)); /* an empty key */
	m[0] = OM_META_KEY_MAX + 1;
	assert_false(om_meta_valid(m, sizeof(m) - 64));

	n = 0;
	for (unsigned i = 0; i < OM_META_ENTRIES_MAX; i++) {
		char name[8];
		(void)snprintf(name, sizeof(name), "k%u", i);
		n += entry(m + n, name, "v");
	}
	assert_true(om_meta_valid(m, n));
	n += entry(m + n, "more", "v");
	assert_false(om_meta_valid(m, n));
	(void)entry(m, "k", "");
	m[1] = (unsigned char)((OM_META_MAX - 4) >> 8);
	m[2] = (unsigned char)(OM_META_MAX - 4);
	assert_true(om_meta_valid(m, OM_META_MAX));
	m[2]++;
	assert_false(om_meta_valid(m, OM_META_MAX + 1));
}

static void test_paths(void **state)
{
	static const uint64_t ids[] = { 1, 4095, 4096, 0xffffffffffffu, 0x1000000000000u, 0x1000000000000000u, 0x123456789abcdefu, UINT64_MAX };
	char path[OM_OBJ_PATH_MAX], dir[OM_OBJ_PATH_MAX], want[OM_OBJ_PATH_MAX];
	uint64_t id;
	(void)state;

	for (unsigned i = 0; i < OM_ARRAY_SIZE(ids); i++) {
		om_obj_path(ids[i], path);
		om_obj_dir(ids[i], dir);
		(void)snprintf(want, sizeof(want), "%09llx/%016llx", (unsigned long long)ids[i] >> 12, (unsigned long long)ids[i]);
		assert_string_equal(path, want);
		assert_memory_equal(path, dir, strlen(dir));
		assert_int_equal(path[strlen(dir)], '/');
		assert_true(om_obj_id(path + strlen(dir) + 1, &id));
		assert_int_equal(id, ids[i]);
	}
	assert_false(om_obj_id("000000000000000", &id));
	assert_false(om_obj_id("00000000000000001", &id));
	assert_false(om_obj_id("000000000000000A", &id));
	assert_false(om_obj_id("", &id));
	assert_false(om_obj_id("0000000000000001.m", &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8_exhaustive),
		cmocka_unit_test(test_uri_length),
		cmocka_unit_test(test_meta),
		cmocka_unit_test(test_paths),
	};
	return cmocka_run_group_tests_name("common/obj", tests, NULL, NULL);
}
