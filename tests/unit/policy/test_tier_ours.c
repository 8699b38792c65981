/*
 * test_tier_ours.c: the policy of the lifecycle process is not more than a point below the best of LRU, LFU, ARC, S3-FIFO,
 * SIEVE and W-TinyLFU, by objects and by bytes, on traces made by rule. (On traces from files: doc/tiering.md.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bench/tiering/tier.h"

static const char *const others[] = {"lru", "lfu", "arc", "s3fifo", "sieve", "wtinylfu"};

static double hit(uint64_t missed, uint64_t all)
{
	return 100.0 * (1.0 - (double)missed / (double)all);
}

static void compare(const struct tier_trace *t, double part, double margin)
{
	struct tier_sim sim = {.trace = t, .capacity = (uint64_t)((double)t->footprint * part)};
	double objects = 0, bytes = 0;
	struct tier_result r;

	for (unsigned i = 0; i < OM_ARRAY_SIZE(others); i++) {
		assert_int_equal(tier_policy_run(tier_policy_get(others[i]), &sim, &r), 0);
		objects = OM_MAX(objects, hit(r.misses, r.requests));
		bytes = OM_MAX(bytes, hit(r.bytes_missed, r.bytes_requested));
	}
	assert_int_equal(tier_policy_run(&tier_ours, &sim, &r), 0);
	print_message("# %2.0f %%: objects %.2f (best %.2f), bytes %.2f (best %.2f)\n", part * 100, hit(r.misses, r.requests), objects,
		      hit(r.bytes_missed, r.bytes_requested), bytes);
	assert_true(hit(r.misses, r.requests) >= objects - margin);
	assert_true(hit(r.bytes_missed, r.bytes_requested) >= bytes - margin);
}

static void synth(struct tier_synth how)
{
	struct tier_trace t = {0};

	how.objects = 20000;
	how.requests = 300000;
	how.seed = 11;
	assert_int_equal(tier_synth_make(&how, &t), 0);
	compare(&t, 0.01, 1);
	compare(&t, 0.1, 1);
	tier_trace_fini(&t);
}

static void test_zipf(void **state)
{
	(void)state;
	synth((struct tier_synth){.zipf = 0.8});
	synth((struct tier_synth){.zipf = 0.99});
	synth((struct tier_synth){.zipf = 1.2});
}

static void test_scan(void **state)
{
	(void)state;
	synth((struct tier_synth){.zipf = 0.9, .scan = 0.3});
}

static void test_sizes(void **state)
{
	(void)state;
	synth((struct tier_synth){.zipf = 0.9, .spread = 10});
}

static void test_drift(void **state)
{
	(void)state;
	synth((struct tier_synth){.zipf = 1.0, .drift = 5});
}

/* A loop over more than fits: what fits may stay and be hit in each round; LRU hits nothing. */
static void test_loop(void **state)
{
	struct tier_trace t = {0};

	(void)state;
	for (unsigned i = 0; i < 400000; i++)
		assert_int_equal(tier_trace_add(&t, i % 4000, 1), 0);
	compare(&t, 0.5, 0);
	compare(&t, 0.1, 0);
	tier_trace_fini(&t);
}

/* Each object is requested a few times within a short while, then never again: recency is all that counts. */
static void test_recency(void **state)
{
	struct tier_trace t = {0};
	uint64_t seed = 5;

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		uint32_t newest = i / 20, back = (uint32_t)(tier_random(&seed) % 100);

		assert_int_equal(tier_trace_add(&t, i % 20 == 0 ? newest : newest - OM_MIN(back, newest), 1), 0);
	}
	compare(&t, 0.01, 1);
	tier_trace_fini(&t);
}

/*
 * Stopped half-way and started again with what the daemon keeps: the whole trace's hit ratio is within half a point of the
 * uninterrupted run's. (Complaint 14 of the design: a cache that forgets what was hot.)
 */
static void restarted(struct tier_synth how, double part)
{
	struct tier_trace t = {0};
	struct tier_result whole, stopped;

	how.objects = 20000;
	how.requests = 300000;
	how.seed = 12;
	assert_int_equal(tier_synth_make(&how, &t), 0);
	struct tier_sim sim = {.trace = &t, .capacity = (uint64_t)((double)t.footprint * part)};
	assert_int_equal(tier_policy_run(&tier_ours, &sim, &whole), 0);
	assert_int_equal(tier_policy_run(&tier_restart, &sim, &stopped), 0);
	double a = hit(whole.misses, whole.requests), b = hit(stopped.misses, stopped.requests);
	double c = hit(whole.bytes_missed, whole.bytes_requested), d = hit(stopped.bytes_missed, stopped.bytes_requested);
	print_message("# %4.1f %%: objects %.3f, restarted %.3f; bytes %.3f, restarted %.3f\n", part * 100, a, b, c, d);
	assert_true(b >= a - 0.5 && d >= c - 0.5);
	tier_trace_fini(&t);
}

static void test_restart(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		double part = i ? 0.1 : 0.01;
		restarted((struct tier_synth){.zipf = 0.9}, part);
		restarted((struct tier_synth){.zipf = 1.1, .scan = 0.2}, part);
		restarted((struct tier_synth){.zipf = 0.9, .spread = 10}, part);
		restarted((struct tier_synth){.zipf = 1.0, .drift = 5}, part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zipf),  cmocka_unit_test(test_scan), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_drift), cmocka_unit_test(test_loop), cmocka_unit_test(test_recency),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
