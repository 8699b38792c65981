/*
 * test_policy.c: lcy_policy: what it says is on the tier is what the caller was told, whatever happens; history; limits.
 * Built a second time with a clock that runs out every 4096 accesses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lifecycle/lcy_policy.h"

#define OBJECTS 5000u

/* The caller's own idea of the tier. */
struct model {
	struct lcy_policy *p;
	uint64_t size[OBJECTS], used, capacity;
	bool here[OBJECTS];
};

static uint64_t size_of(const void *arg, uint32_t obj)
{
	return ((const struct model *)arg)->size[obj];
}

static void gone(void *arg, uint32_t obj)
{
	struct model *m = arg;

	assert_true(m->here[obj]);
	m->here[obj] = false;
	m->used -= m->size[obj];
}

static struct model *model_new(uint64_t capacity, uint64_t mean, uint64_t size)
{
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->capacity = capacity;
	for (unsigned i = 0; i < OBJECTS; i++)
		m->size[i] = size;

	struct lcy_policy_conf conf = {.objects = OBJECTS, .capacity = capacity, .mean_size = mean, .size = size_of, .evicted = gone,
				       .arg = m};
	assert_int_equal(lcy_policy_new(&conf, &m->p), 0);
	return m;
}

static void model_free(struct model *m)
{
	lcy_policy_free(m->p);
	free(m);
}

static enum lcy_policy_verdict step(struct model *m, uint32_t obj)
{
	bool was = m->here[obj];
	enum lcy_policy_verdict v = lcy_policy_access(m->p, obj);

	assert_int_equal(v == LCY_POLICY_HIT, was);
	if (v == LCY_POLICY_ADMIT) {
		m->here[obj] = true;
		m->used += m->size[obj];
	}
	assert_int_equal(lcy_policy_has(m->p, obj), m->here[obj]);
	assert_int_equal(lcy_policy_used(m->p), m->used);
	assert_true(m->used <= m->capacity);
	return v;
}

static uint64_t next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void drop(struct model *m, uint32_t obj, bool history)
{
	lcy_policy_drop(m->p, obj, history);
	if (m->here[obj]) {
		m->here[obj] = false;
		m->used -= m->size[obj];
	}
	assert_false(lcy_policy_has(m->p, obj));
	assert_int_equal(lcy_policy_used(m->p), m->used);
}

/* Any order of accesses, deletions and reuse of numbers with another size. */
static void test_random(void **state)
{
	static const uint64_t means[] = {1, 60, 100000}; /* the guess may be far off */

	(void)state;
	for (unsigned i = 0; i < OM_ARRAY_SIZE(means); i++) {
		struct model *m = model_new(20000, means[i], 1);
		uint64_t seed = 42 + i;

		for (unsigned k = 0; k < OBJECTS; k++)
			m->size[k] = 1 + next(&seed) % (k % 100 == 0 ? 30000 : 120); /* some are larger than the tier */
		for (unsigned n = 0; n < 200000; n++) {
			uint64_t r = next(&seed) % OBJECTS;
			uint32_t obj = (uint32_t)(n % 3 ? r * r / OBJECTS : r);

			if (n % 50 == 0) {
				drop(m, obj, n % 100 == 0);
				if (n % 100 == 0)
					m->size[obj] = 1 + next(&seed) % 200;
			} else {
				(void)step(m, obj);
			}
		}
		for (uint32_t k = 0; k < OBJECTS; k++)
			assert_int_equal(lcy_policy_has(m->p, k), m->here[k]);
		model_free(m);
	}
}

/* What was often used returns at once after it was dropped; without its history it waits outside like any other. */
static void test_history(void **state)
{
	struct model *m = model_new(10, 1, 1);

	(void)state;
	for (unsigned round = 0; round < 20; round++)
		for (uint32_t obj = 0; obj < 11; obj++)
			(void)step(m, obj);
	/* ten are on the tier, each as good as the eleventh; fill the place of a dropped one */
	drop(m, 3, false);
	(void)step(m, 20);
	assert_int_equal(step(m, 3), LCY_POLICY_ADMIT); /* better than 20, which was seen once */
	drop(m, 3, true);
	(void)step(m, 21);
	(void)step(m, 21);
	assert_int_equal(step(m, 3), LCY_POLICY_REJECT); /* one access against two */
	model_free(m);
}

static void test_limits(void **state)
{
	struct lcy_policy_conf good = {.objects = 10, .capacity = 100, .mean_size = 1, .size = size_of}, c;
	struct lcy_policy *p = NULL;
	struct model *m = model_new(2 * LCY_POLICY_VICTIMS, 1, 1);

	(void)state;
	c = good, c.objects = 0;
	assert_int_equal(lcy_policy_new(&c, &p), -OBJM_STATUS_INVALID_REQUEST);
	c = good, c.capacity = 0;
	assert_int_equal(lcy_policy_new(&c, &p), -OBJM_STATUS_INVALID_REQUEST);
	c = good, c.mean_size = 0;
	assert_int_equal(lcy_policy_new(&c, &p), -OBJM_STATUS_INVALID_REQUEST);
	c = good, c.size = NULL;
	assert_int_equal(lcy_policy_new(&c, &p), -OBJM_STATUS_INVALID_REQUEST);
	assert_null(p);
	lcy_policy_free(NULL);

	/* an object for which more than LCY_POLICY_VICTIMS would have to go stays outside, and nobody goes */
	m->size[OBJECTS - 1] = m->capacity;
	for (uint32_t obj = 0; obj < LCY_POLICY_VICTIMS + 1; obj++)
		assert_int_equal(step(m, obj), LCY_POLICY_ADMIT);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(step(m, OBJECTS - 1), LCY_POLICY_REJECT);
	assert_int_equal(m->used, LCY_POLICY_VICTIMS + 1);
	/* one larger than the tier too */
	m->size[OBJECTS - 2] = m->capacity + 1;
	assert_int_equal(step(m, OBJECTS - 2), LCY_POLICY_REJECT);
	model_free(m);
}

/* A hot set is on the tier after a while, cold ones in between do not wash it out; a new hot set takes its place. */
static void test_hot_set(void **state)
{
	struct model *m = model_new(100, 1, 1);
	uint64_t seed = 9;

	(void)state;
	for (unsigned phase = 0; phase < 2; phase++) {
		unsigned hits = 0;

		for (unsigned n = 0; n < 40000; n++) {
			uint32_t hot = (uint32_t)(phase * 90 + next(&seed) % 90), cold = (uint32_t)(200 + next(&seed) % (OBJECTS - 200));
			bool hit = step(m, n % 2 ? hot : cold) == LCY_POLICY_HIT;

			hits += n % 2 && n >= 30000 && hit;
		}
		assert_true(hits > 4900); /* of 5000 */
	}
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_hot_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
