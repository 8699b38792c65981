/*
 * test_tier_hand.c: each policy of objm-tiering on a trace so short that its answers were worked out by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bench/tiering/tier.h"

/* Requests are letters; a letter has a size of its own if `sizes` says so ("a8b2"), else 1. */
static void check(const char *policy, const char *requests, const char *sizes, uint64_t capacity, const char *want)
{
	const struct tier_policy *p = tier_policy_get(policy);
	struct tier_trace t = {0};
	uint32_t number[128];
	char got[64] = "";
	size_t n = strlen(requests);

	assert_non_null(p);
	memset(number, 0xff, sizeof(number));
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)requests[i];
		const char *size = sizes ? strchr(sizes, c) : NULL;

		if (number[c] == TIER_NONE)
			number[c] = t.objects;
		assert_int_equal(tier_trace_add(&t, number[c], size ? (uint64_t)(size[1] - '0') : 1), 0);
	}

	struct tier_sim sim = {.trace = &t, .capacity = capacity};
	void *self = p->make(&sim);

	assert_non_null(self);
	for (size_t i = 0; i < n; i++) {
		got[i] = p->access(self, t.req[i], i) ? 'h' : 'm';
		assert_true(p->used(self) <= capacity);
	}
	p->done(self);
	tier_trace_fini(&t);
	assert_string_equal(got, want);
}

static void test_lru(void **state)
{
	(void)state;
	check("lru", "abacab", NULL, 2, "mmhmhm"); /* c drops b, not a */
	check("lru", "aabca", NULL, 2, "mhmmm");
	check("lru", "abcab", "a8b2c4", 10, "mmmmm"); /* a takes the place of b and c */
}

static void test_fifo(void **state)
{
	(void)state;
	check("fifo", "abacab", NULL, 2, "mmhmmm"); /* c drops a though it was hit */
}

static void test_sieve(void **state)
{
	(void)state;
	check("sieve", "aabca", NULL, 2, "mhmmh"); /* the hand spares a, which was hit, and drops b, which is newer */
	check("sieve", "abacab", NULL, 2, "mmhmhm");
	check("sieve", "aabbcab", NULL, 2, "mhmhmmm"); /* both were hit: the hand comes round, drops a for c, b for a, c for b */
}

static void test_lfu(void **state)
{
	(void)state;
	check("lfu", "aabcba", NULL, 2, "mhmmmh"); /* b and c drop each other, a with two accesses stays */
	check("lfu", "abcb", NULL, 2, "mmmh");	   /* equal counts: the one used longest ago */
}

static void test_gdsf(void **state)
{
	(void)state;
	/* Ranks in units of 1000: a 1/8 = 125, b 500. c drops a: 125 + 250 = 375. a drops c: 375 + 125 = 500. b stays. */
	check("gdsf", "abcab", "a8b2c4", 10, "mmmmh");
}

static void test_belady(void **state)
{
	(void)state;
	check("belady", "abcabc", NULL, 2, "mmmhmh"); /* c drops b, needed later than a; b drops a, never needed again */
}

static void test_arc(void **state)
{
	(void)state;
	/* c drops b from t1; b, known from b1, raises the target and drops a from t2; a, known from b2, lowers it: c goes. */
	check("arc", "aabcbab", NULL, 2, "mhmmmmh");
}

static void test_s3fifo(void **state)
{
	(void)state;
	/* k: a goes on to the main queue after two hits, b to the ghosts. b returns to main and drops c; c drops d. */
	check("s3fifo", "abcdefghijaakbacb", NULL, 10, "mmmmmmmmmmhhmmhmh");
	check("s3fifo", "abcdefghijaka", NULL, 10, "mmmmmmmmmmhmm"); /* one hit is not enough: k drops a */
	check("s3fifo", "abbb", "a1b3", 20, "mmmm"); /* b is larger than the small queue: never let in */
}

static void test_wtinylfu(void **state)
{
	(void)state;
	/* Window 1, main 2: a and b fill the main part; c, pushed out of the window by d, is no better than a: it is dropped. */
	check("wtinylfu", "aabcdabc", NULL, 3, "mhmmmhhm");
	check("wtinylfu", "abcdab", NULL, 3, "mmmmhh"); /* as good as a is not better: c is dropped */
}

static void test_ours(void **state)
{
	(void)state;
	check("ours", "aabbcab", NULL, 2, "mhmhmhh"); /* c, new, is worth less than a and b: left outside */
	check("ours", "aabcba", NULL, 2, "mhmmmh");   /* c may replace b, seen once; the second b is worth more than c */
}

/* An object larger than the whole cache misses and disturbs nobody. */
static void test_too_large(void **state)
{
	(void)state;
	for (unsigned i = 0; tier_policy_at(i); i++) {
		static uint32_t req[] = {0, 1, 0, 1, 0};
		static uint64_t size[] = {1, 50};
		struct tier_trace t = {.req = req, .requests = 5, .size = size, .objects = 2, .footprint = 51};
		struct tier_sim sim = {.trace = &t, .capacity = 49};
		struct tier_result r;

		assert_int_equal(tier_policy_run(tier_policy_at(i), &sim, &r), 0);
		assert_int_equal(r.misses, 3); /* object 0 once, object 1 each time */
		assert_int_equal(r.bytes_missed, 101);
		assert_int_equal(r.bytes_requested, 103);
	}
}

/* A cache for everything misses each object once, whatever the policy (S3-FIFO keeps to what fits its small queue). */
static void test_all_fits(void **state)
{
	struct tier_synth how = {.zipf = 0.8, .objects = 500, .requests = 20000, .seed = 3};
	struct tier_trace t = {0};

	(void)state;
	assert_int_equal(tier_synth_make(&how, &t), 0);
	for (unsigned i = 0; tier_policy_at(i); i++) {
		struct tier_sim sim = {.trace = &t, .capacity = 600, .by_count = true};
		struct tier_result r;

		assert_int_equal(tier_policy_run(tier_policy_at(i), &sim, &r), 0);
		assert_int_equal(r.misses, t.objects);
	}
	tier_trace_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru),	 cmocka_unit_test(test_fifo),	   cmocka_unit_test(test_sieve),
		cmocka_unit_test(test_lfu),	 cmocka_unit_test(test_gdsf),	   cmocka_unit_test(test_belady),
		cmocka_unit_test(test_arc),	 cmocka_unit_test(test_s3fifo),	   cmocka_unit_test(test_wtinylfu),
		cmocka_unit_test(test_ours),	 cmocka_unit_test(test_too_large), cmocka_unit_test(test_all_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
