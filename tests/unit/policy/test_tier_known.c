/*
 * test_tier_known.c: the policies of objm-tiering against published results: misses and bytes missed of libCacheSim on a
 * CloudPhysics trace, with a cache of 128, 256, ... 1024 MiB. Every number must be met exactly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bench/tiering/tier.h"

#define SIZES 8u

static struct tier_trace trace;

static const struct known {
	const char *policy;
	uint64_t misses[SIZES], bytes[SIZES];
} known[] = {
	{"lru", {93374, 89783, 83572, 81722, 72494, 72104, 71972, 71704},
	 {4214303232, 4061242368, 3778040320, 3660569600, 3100927488, 3078128640, 3075403776, 3061662720}},
	{"fifo", {93403, 89386, 84387, 84025, 72498, 72228, 72182, 72140},
	 {4213112832, 4052646400, 3829170176, 3807412736, 3093146112, 3079525888, 3079210496, 3077547520}},
	{"sieve", {91699, 86720, 78578, 76707, 69945, 66221, 64445, 64376},
	 {4158632960, 3917211648, 3536227840, 3455379968, 3035580416, 2801699328, 2699456000, 2696345600}},
	{"lfu", {91699, 86720, 78578, 76707, 69945, 66221, 64445, 64376},
	 {4158632960, 3917211648, 3536227840, 3455379968, 3035580416, 2801699328, 2699456000, 2696345600}},
	{"s3fifo", {89307, 82387, 77041, 76791, 71300, 70343, 70455, 70355},
	 {4040718336, 3703628800, 3353047552, 3282235904, 3038256128, 2980646912, 2984458752, 2979649536}},
	{"arc", {90252, 85861, 78168, 74297, 67381, 65685, 64439, 64772},
	 {4068098560, 3821026816, 3525644800, 3296890368, 2868538880, 2771180032, 2699484672, 2712971264}},
	{"gdsf", {89068, 84750, 74853, 70488, 67919, 64180, 61029, 58721},
	 {4210604032, 4057062912, 3719372800, 3436728320, 3271431168, 3029728768, 2828587520, 2677800448}},
	{"belady", {79256, 70724, 65481, 61594, 59645, 57599, 50873, 48974},
	 {3472532480, 2995165696, 2726689792, 2537648128, 2403427840, 2269212672, 2134992896, 2029769728}},
};

static void test_row(void **state)
{
	const struct known *k = *state;

	assert_int_equal(trace.requests, 113872);
	assert_int_equal(trace.objects, 48974);
	for (unsigned i = 0; i < SIZES; i++) {
		struct tier_sim sim = {.trace = &trace, .capacity = (i + 1) * (UINT64_C(128) << 20)};
		struct tier_result r;

		assert_int_equal(tier_policy_run(tier_policy_get(k->policy), &sim, &r), 0);
		assert_int_equal(r.requests, 113872);
		assert_int_equal(r.bytes_requested, UINT64_C(4368040448));
		assert_int_equal(r.misses, k->misses[i]);
		assert_int_equal(r.bytes_missed, k->bytes[i]);
	}
}

/* Ours, by objects and by bytes, against the best of six at each size: never a point below. */
static void test_ours(void **state)
{
	static const char *const others[] = {"lru", "lfu", "arc", "s3fifo", "sieve", "wtinylfu"};

	(void)state;
	for (unsigned i = 0; i < SIZES; i++) {
		struct tier_sim sim = {.trace = &trace, .capacity = (i + 1) * (UINT64_C(128) << 20)};
		struct tier_result r;
		uint64_t misses = UINT64_MAX, bytes = UINT64_MAX;

		for (unsigned k = 0; k < OM_ARRAY_SIZE(others); k++) {
			assert_int_equal(tier_policy_run(tier_policy_get(others[k]), &sim, &r), 0);
			misses = OM_MIN(misses, r.misses);
			bytes = OM_MIN(bytes, r.bytes_missed);
		}
		assert_int_equal(tier_policy_run(&tier_ours, &sim, &r), 0);
		assert_true(r.misses <= misses + r.requests / 100);
		assert_true(r.bytes_missed <= bytes + r.bytes_requested / 100);
		assert_true(r.fetched <= r.bytes_requested / 2); /* following the lead is not moving everything all the time */
	}
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[OM_ARRAY_SIZE(known) + 1];
	const char *folder = getenv("OBJM_TRACES");
	char path[4096];
	int status;

	if (!folder || !*folder)
		folder = argc > 1 ? argv[1] : ".";
	(void)snprintf(path, sizeof(path), "%s/cloudPhysicsIO.csv", folder);
	if (access(path, R_OK) < 0) {
		printf("1..0 # SKIP %s is not here; OBJM_TRACES says in which folder it is\n", path);
		return 0;
	}
	if (tier_trace_read(path, TIER_CLOUDPHYSICS, stderr, &trace) < 0)
		return 1;
	for (unsigned i = 0; i < OM_ARRAY_SIZE(known); i++)
		tests[i] = (struct CMUnitTest){.name = known[i].policy, .test_func = test_row, .initial_state = (void *)(uintptr_t)&known[i]};
	tests[OM_ARRAY_SIZE(known)] = (struct CMUnitTest){.name = "ours", .test_func = test_ours};
	status = cmocka_run_group_tests(tests, NULL, NULL);
	tier_trace_fini(&trace);
	return status;
}
