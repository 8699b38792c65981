/*
 * test_small.c: bytes of small objects: what is given is the object's, whatever the ring has gone through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "worker/wrk_small.h"

/* Every object's bytes follow from its id. */
static size_t fill(uint64_t id, uint8_t buf[static WRK_SMALL_MAX])
{
	size_t len = 1 + (size_t)(id * 2654435761u % WRK_SMALL_MAX);

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(id * 31 + i);
	return len;
}

static void test_twice(void **state)
{
	uint8_t buf[WRK_SMALL_MAX];
	struct wrk_small *s;
	size_t len = fill(7, buf);

	(void)state;
	assert_int_equal(wrk_small_new(&s), 0);
	assert_null(wrk_small_get(s, 7, len));
	wrk_small_put(s, 7, buf, len, false);
	assert_null(wrk_small_get(s, 7, len)); /* once is not enough */
	wrk_small_put(s, 7, buf, len, false);
	assert_non_null(wrk_small_get(s, 7, len));
	assert_memory_equal(wrk_small_get(s, 7, len), buf, len);
	assert_null(wrk_small_get(s, 7, len - 1)); /* not what the index says */
	assert_null(wrk_small_get(s, 8, len));
	wrk_small_free(s);
}

static void test_ring(void **state)
{
	uint8_t buf[WRK_SMALL_MAX];
	struct wrk_small *s;
	unsigned hits = 0, seed = 1;

	(void)state;
	assert_int_equal(wrk_small_new(&s), 0);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t id = 1 + (unsigned)rand_r(&seed) % 4000; /* 16 MiB: more than there is room for */
		size_t len = fill(id, buf);
		const void *have = wrk_small_get(s, id, len);

		if (have) {
			assert_memory_equal(have, buf, len);
			hits++;
		} else {
			wrk_small_put(s, id, buf, len, false);
		}
	}
	assert_true(hits > 10000 && hits < 150000);
	wrk_small_free(s);
}

/* Bytes of a memory tier may not get to a swap device: without locked memory they are not kept. */
static void test_unlocked(void **state)
{
	struct rlimit before, none = { 0 };
	uint8_t buf[WRK_SMALL_MAX];
	size_t len = fill(7, buf);
	struct wrk_small *s;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	if (geteuid() == 0) /* who may lock without a limit */
		(void)seteuid(61234);
	assert_int_equal(wrk_small_new(&s), 0);
	(void)seteuid(getuid());
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
	for (int i = 0; i < 3; i++)
		wrk_small_put(s, 7, buf, len, true);
	assert_null(wrk_small_get(s, 7, len));
	for (int i = 0; i < 2; i++)
		wrk_small_put(s, 7, buf, len, false);
	assert_non_null(wrk_small_get(s, 7, len));
	wrk_small_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_unlocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
