/*
 * test_index_key.c: keys of many URIs at once are those that the library makes one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/om_obj.h"
#include "common/proto/om_proto.h"
#include "index/idx_key.h"

#define MANY 70u

static char text[MANY][OM_URI_MAX];
static struct om_proto_str uris[MANY];
static struct idx_key keys[MANY];
static unsigned char secret[IDX_SECRET_BYTES];
static uint64_t seed = 42;

static uint32_t pick(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void same(unsigned n)
{
	memset(keys, 0, sizeof(keys));
	idx_key_make_many(secret, uris, n, keys);
	for (unsigned i = 0; i < n; i++) {
		struct idx_key one;

		idx_key_make(secret, uris[i].p, uris[i].len, &one);
		assert_true(idx_key_equal(&one, &keys[i]));
	}
	for (unsigned i = n; i < MANY; i++)
		assert_true(keys[i].lo == 0 && keys[i].hi == 0);
}

static void fill(unsigned i, uint32_t len)
{
	char *p = text[i] + OM_URI_MAX - len; /* ends with its array: nothing behind it may be read */

	for (uint32_t k = 0; k < len; k++)
		p[k] = (char)pick(256);
	uris[i] = (struct om_proto_str){p, len};
}

static void test_lengths(void **state)
{
	(void)state;
	for (uint32_t len = 1; len <= 300; len++) { /* beyond what goes into a lane */
		for (unsigned i = 0; i < 8; i++)
			fill(i, len);
		same(8);
	}
	for (unsigned i = 0; i < 8; i++)
		fill(i, OM_URI_MAX - i);
	same(8);
}

/* Every number of them, lengths mixed, other secrets. */
static void test_mixed(void **state)
{
	static const uint32_t longest[] = {7, 16, 64, 300, OM_URI_MAX};

	(void)state;
	for (unsigned n = 0; n <= MANY; n++) {
		for (size_t l = 0; l < OM_ARRAY_SIZE(longest); l++) {
			for (size_t i = 0; i < sizeof(secret); i++)
				secret[i] = (unsigned char)pick(256);
			for (unsigned i = 0; i < n; i++)
				fill(i, 1 + pick(longest[l]));
			same(n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
