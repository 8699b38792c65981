/*
 * test_watch_index.c: watches by prefix: what is found for a URI is what a walk over all of them finds, whatever came and went.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/wrk_watch_index.h"

#define WATCHES 300u

static struct {
	struct wrk_watch_node node;
	char prefix[16];
	size_t len;
	bool in;
} watch[WATCHES];
static struct wrk_watch_index ix;
static uint64_t seed = 88172645463325252u;

static unsigned dice(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

/* Of two letters, one of them the greatest byte: many are beginnings of others. */
static size_t word(char *ret, size_t max)
{
	size_t n = dice((unsigned)max + 1);

	for (size_t i = 0; i < n; i++)
		ret[i] = dice(4) ? 'a' : (char)0xff;
	return n;
}

static bool begins(const char *uri, size_t len, unsigned i)
{
	return watch[i].in && len >= watch[i].len && memcmp(uri, watch[i].prefix, watch[i].len) == 0;
}

static void check(const char *uri, size_t len)
{
	bool told[WATCHES] = { false };
	size_t shorter = SIZE_MAX;

	for (const struct wrk_watch_prefix *p = wrk_watch_index_find(&ix, uri, len); p; p = p->outer) {
		assert_true(p->len < shorter); /* the longest first */
		assert_non_null(p->first);
		shorter = p->len;
		for (const struct wrk_watch_node *n = p->first; n; n = n->next) {
			unsigned i = (unsigned)(((const char *)n - (const char *)&watch[0].node) / sizeof(watch[0]));

			assert_false(told[i]);
			told[i] = true;
		}
	}
	for (unsigned i = 0; i < WATCHES; i++)
		assert_int_equal(told[i], begins(uri, len, i));
}

static void test_against_a_walk(void **state)
{
	char uri[20];

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		unsigned i = dice(round % 1000 < 500 ? WATCHES : 20); /* many, then few */

		if (watch[i].in) {
			wrk_watch_index_del(&ix, &watch[i].node);
			watch[i].in = false;
		} else {
			watch[i].len = word(watch[i].prefix, sizeof(watch[i].prefix));
			assert_int_equal(wrk_watch_index_add(&ix, &watch[i].node, watch[i].prefix, watch[i].len), 0);
			watch[i].in = true;
		}
		check(uri, word(uri, sizeof(uri)));
	}
	for (unsigned i = 0; i < WATCHES; i++) {
		wrk_watch_index_del(&ix, &watch[i].node); /* some are not in */
		watch[i].in = false;
	}
	assert_null(wrk_watch_index_find(&ix, "a", 1));
	assert_null(ix.v);
}

/* The steps that a change takes: as many as it has prefixes, not as many as are watched. */
static void test_steps(void **state)
{
	static struct wrk_watch_node node[OM_URI_MAX], other[1000];
	static char uri[OM_URI_MAX + 1];
	unsigned steps = 0;
	char name[16];

	(void)state;
	memset(uri, 'n', OM_URI_MAX);
	for (unsigned i = 0; i < OM_URI_MAX; i++) /* each within the next */
		assert_int_equal(wrk_watch_index_add(&ix, &node[i], uri, i + 1), 0);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(other); i++) {
		(void)snprintf(name, sizeof(name), "/o/%u", i);
		assert_int_equal(wrk_watch_index_add(&ix, &other[i], name, strlen(name)), 0);
	}
	for (const struct wrk_watch_prefix *p = wrk_watch_index_find(&ix, "/o/77x", 6); p; p = p->outer)
		steps++;
	assert_int_equal(steps, 2); /* /o/77, /o/7 */
	assert_null(wrk_watch_index_find(&ix, "/p", 2));
	uri[100] = 'm';
	assert_int_equal(wrk_watch_index_find(&ix, uri, OM_URI_MAX)->len, 100);
	for (unsigned i = 0; i < OM_URI_MAX; i++)
		wrk_watch_index_del(&ix, &node[i]);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(other); i++)
		wrk_watch_index_del(&ix, &other[i]);
	assert_null(ix.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_a_walk), cmocka_unit_test(test_steps) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
