/*
 * test_blend.c: lcy_blend and lcy_expert: what is said to be on a tier is what the caller was told, whatever happens; who
 * leads is followed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lifecycle/lcy_blend.h"
#include "lifecycle/lcy_expert.h"

#define OBJECTS 3000u

/* The caller's own idea of a tier. */
struct model {
	struct lcy_blend *b;
	uint64_t size[OBJECTS], used, capacity, brought;
	bool here[OBJECTS];
};

static uint64_t size_of(const void *arg, uint32_t obj) { return ((const struct model *)arg)->size[obj]; }

static void gone(void *arg, uint32_t obj)
{
	struct model *m = arg;

	assert_true(m->here[obj]);
	m->here[obj] = false;
	m->used -= m->size[obj];
}

static void come(void *arg, uint32_t obj)
{
	struct model *m = arg;

	assert_false(m->here[obj]);
	m->brought++;
	if (m->brought % 7 == 0) { /* it cannot be brought */
		lcy_blend_drop(m->b, obj, false);
		return;
	}
	m->here[obj] = true;
	m->used += m->size[obj];
	assert_true(m->used <= m->capacity);
}

static uint64_t next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void check(const struct model *m)
{
	assert_int_equal(lcy_blend_used(m->b), m->used);
	assert_true(m->used <= m->capacity);
}

static enum lcy_policy_verdict step(struct model *m, uint32_t obj)
{
	enum lcy_policy_verdict v = lcy_blend_access(m->b, obj);

	if (v == LCY_POLICY_ADMIT) {
		assert_false(m->here[obj]);
		m->here[obj] = true;
		m->used += m->size[obj];
	}
	assert_int_equal(v != LCY_POLICY_REJECT, m->here[obj]);
	assert_int_equal(lcy_blend_has(m->b, obj), m->here[obj]);
	check(m);
	return v;
}

static void out(struct model *m, uint32_t obj)
{
	if (!m->here[obj])
		return;
	m->here[obj] = false;
	m->used -= m->size[obj];
}

static struct model *model_new(uint64_t capacity, void (*wanted)(void *, uint32_t))
{
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->capacity = capacity;
	for (unsigned i = 0; i < OBJECTS; i++)
		m->size[i] = 1;
	struct lcy_blend_conf conf = {.wanted = wanted, .policy = {.objects = OBJECTS, .capacity = capacity, .mean_size = 1, .size = size_of,
								   .evicted = gone, .arg = m}};
	assert_int_equal(lcy_blend_new(&conf, &m->b), 0);
	return m;
}

static void model_free(struct model *m)
{
	lcy_blend_free(m->b);
	free(m);
}

/* Requests whose kind changes, so that the lead does; deletions, numbers that are used again, other capacities, objects that are
 * found on the tier, and some that must make room. */
static void random_run(void (*wanted)(void *, uint32_t), uint64_t seed)
{
	struct model *m = model_new(9000, wanted);
	struct lcy_policy_trial trial = {0};
	uint32_t obj;

	for (unsigned k = 0; k < OBJECTS; k++)
		m->size[k] = 1 + next(&seed) % (k % 100 == 0 ? 12000 : 60);
	lcy_blend_seeded(m->b, &trial);
	for (unsigned n = 0; n < 300000; n++) {
		uint64_t r = next(&seed) % OBJECTS;

		obj = n / 40000 % 3 == 0 ? (uint32_t)(r * r / OBJECTS) : n / 40000 % 3 == 1 ? n % OBJECTS : (uint32_t)((r * r / OBJECTS + n / 50) % OBJECTS);
		switch (next(&seed) % 60) {
		case 0:
			lcy_blend_drop(m->b, obj, true);
			out(m, obj);
			m->size[obj] = 1 + next(&seed) % 80;
			break;
		case 1:
			lcy_blend_drop(m->b, obj, false);
			out(m, obj);
			break;
		case 2:
			assert_int_equal(lcy_blend_note(m->b, obj), m->here[obj]);
			break;
		case 3:
			if (m->used + m->size[obj] <= m->capacity && !m->here[obj]) {
				lcy_blend_put(m->b, obj);
				m->here[obj] = true;
				m->used += m->size[obj];
			}
			break;
		case 4:
			if (n % 16 == 0 && lcy_blend_victim(m->b, &obj)) {
				assert_true(m->here[obj]);
				out(m, obj);
			}
			break;
		case 5:
			if (n % 64 == 0) {
				uint64_t capacity = 3000 + next(&seed) % 9000;

				m->capacity = OM_MAX(m->capacity, capacity); /* `gone` comes meanwhile */
				lcy_blend_resize(m->b, capacity);
				m->capacity = capacity;
			}
			break;
		default: (void)step(m, obj);
		}
		check(m);
	}
	for (uint32_t k = 0; k < OBJECTS; k++)
		assert_int_equal(lcy_blend_has(m->b, k), m->here[k]);
	assert_int_equal(m->brought > 0, wanted != NULL); /* the lead did change */
	model_free(m);
}

static void test_random(void **state)
{
	(void)state;
	random_run(come, 42);
	random_run(come, 43);
}

/* Without `wanted` it is the ranks alone. */
static void test_ranks_alone(void **state)
{
	struct model *m = model_new(100, NULL);

	(void)state;
	for (uint32_t i = 0; i < 50000; i++)
		(void)step(m, i % 300);
	assert_string_equal(lcy_blend_leader(m->b), "ranks");
	assert_int_equal(lcy_blend_fetched(m->b), 0);
	model_free(m);
}

/* Each expert: what it says it has is what it let in less what it told of, never above its capacity. */
struct told {
	const struct lcy_expert_ops *ops;
	void *self;
	uint64_t size[OBJECTS];
	bool here[OBJECTS];
};
static uint64_t told_size(const void *arg, uint32_t obj) { return ((const struct told *)arg)->size[obj]; }
static void told_evicted(void *arg, uint32_t obj)
{
	struct told *t = arg;

	t->here[obj] = false;
}

static void test_experts(void **state)
{
	static const struct lcy_expert_ops *const all[] = {&lcy_expert_lru, &lcy_expert_fifo, &lcy_expert_sieve, &lcy_expert_arc,
							   &lcy_expert_s3fifo, &lcy_expert_wtinylfu};
	(void)state;
	for (unsigned i = 0; i < OM_ARRAY_SIZE(all); i++) {
		struct told *t = calloc(1, sizeof(*t));
		uint64_t capacity = 5000, seed = 7 + i, hits = 0, used;

		assert_non_null(t);
		t->ops = all[i];
		for (unsigned k = 0; k < OBJECTS; k++)
			t->size[k] = 1 + next(&seed) % 60;
		struct lcy_expert_conf conf = {.objects = OBJECTS, .capacity = capacity, .mean_size = 30, .size = told_size,
					       .evicted = told_evicted, .arg = t};
		t->self = t->ops->make(&conf);
		assert_non_null(t->self);
		for (unsigned n = 0; n < 200000; n++) {
			uint64_t r = next(&seed) % OBJECTS;
			uint32_t obj = (uint32_t)(r * r / OBJECTS);

			if (n % 97 == 0) {
				t->ops->forget(t->self, obj);
				assert_false(t->ops->has(t->self, obj));
				t->here[obj] = false;
				t->size[obj] = 1 + next(&seed) % 60;
			} else if (n % 997 == 0) {
				capacity = 1000 + next(&seed) % 8000;
				t->ops->resize(t->self, capacity);
			} else {
				bool was = t->ops->has(t->self, obj), hit;

				assert_int_equal(was, t->here[obj]);
				hit = t->ops->access(t->self, obj);
				assert_int_equal(hit, was);
				hits += hit;
				t->here[obj] = t->ops->has(t->self, obj);
			}
			assert_true(t->ops->used(t->self) <= capacity);
		}
		used = 0;
		for (uint32_t k = 0; k < OBJECTS; k++) {
			assert_int_equal(t->ops->has(t->self, k), t->here[k]);
			used += t->here[k] ? t->size[k] : 0;
		}
		assert_int_equal(used, t->ops->used(t->self));
		assert_true(hits > 10000);
		t->ops->done(t->self);
		t->ops->done(NULL);
		free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_ranks_alone),
		cmocka_unit_test(test_experts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
