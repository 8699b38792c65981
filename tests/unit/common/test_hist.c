/*
 * test_hist.c: om_hist: which bucket a duration falls into, and that readers see what the writer added.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/om_hist.h"

static void test_buckets(void **state)
{
	(void)state;
	assert_int_equal(om_hist_bucket(0), 0);
	assert_int_equal(om_hist_bucket(1000), 0); /* up to 1 us */
	assert_int_equal(om_hist_bucket(1001), 1);
	assert_int_equal(om_hist_bucket(2000), 1);
	assert_int_equal(om_hist_bucket(2001), 2);
	assert_int_equal(om_hist_bucket(1000000), 10); /* 1 ms <= 1.024 ms */
	for (unsigned k = 0; k < OM_HIST_BUCKETS - 1; k++) {
		uint64_t top = (UINT64_C(1) << k) * 1000;
		assert_int_equal(om_hist_bucket(top), k);
		assert_int_equal(om_hist_bucket(top + 1), k + 1);
	}
	assert_int_equal(om_hist_bucket(UINT64_MAX / 2), OM_HIST_BUCKETS - 1);
}

static void test_read(void **state)
{
	struct om_seg seg, empty = { .fd = -1, .rofd = -1 };
	struct om_hist_sum sum = { 0 };

	(void)state;
	assert_int_equal(om_counter_create(&seg), 0);
	assert_int_equal(om_counter_use(&seg), 0);
	om_hist_add(OM_H_GET, 1500, 3);
	om_hist_add(OM_H_GET, 900, 1);
	om_hist_add(OM_H_PUT, 1500, 1);
	om_hist_read(&seg, OM_H_GET, &sum);
	assert_int_equal(sum.bucket[0], 1);
	assert_int_equal(sum.bucket[1], 3);
	assert_int_equal(sum.ns, 3 * 1500 + 900);
	om_hist_own(OM_H_GET, &sum); /* adds up */
	assert_int_equal(sum.bucket[1], 6);
	om_hist_read(&empty, OM_H_GET, &sum);
	assert_int_equal(sum.bucket[1], 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_buckets), cmocka_unit_test(test_read) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
