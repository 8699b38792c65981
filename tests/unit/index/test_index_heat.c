/*
 * test_index_heat.c: heat against the formula of doc/index.md, computed here in its own way: a list of accesses, each
 * worth 2^(-age / half-life).
 */
#include "tests/unit/index/idx_test.h"

#include <math.h>

#include "index/idx_heat.h"

#define DAY 86400ull
#define NOW 1800000000ull /* a whole minute */

struct fixture {
	struct om_seg seg;
	struct idx_heat w, r;
};

static void open_heat(struct fixture *f, uint64_t slots, uint32_t half_life_s, double reference, uint64_t now_s)
{
	assert_int_equal(idx_heat_create(slots, 1, half_life_s, reference, now_s, &f->seg), 0);
	assert_int_equal(idx_heat_attach(dup(f->seg.fd), true, &f->w), 0);
	assert_int_equal(idx_heat_attach(dup(f->seg.rofd), false, &f->r), 0);
}

static void close_heat(struct fixture *f)
{
	idx_heat_detach(&f->w);
	idx_heat_detach(&f->r);
	om_seg_close(&f->seg);
}

static struct idx_heat_val get(const struct fixture *f, uint64_t slot, uint64_t now_s)
{
	struct idx_heat_val v;

	assert_int_equal(idx_heat_get(&f->r, slot, now_s, 0, &v), 0);
	return v;
}

static bool near(double a, double b, double part) { return fabs(a - b) <= part * (1 + fabs(b)); }

static void a_known_pattern(void **state)
{
	struct fixture f;
	double want = 0;
	uint64_t t = NOW;

	(void)state;
	open_heat(&f, 100, 3600, 4.0, NOW);
	assert_true(get(&f, 5, NOW).count == 0 && get(&f, 5, NOW).heat == 0 && get(&f, 5, NOW).last_s == 0);
	/* 200 bursts of 1..5 accesses, 1..40 minutes apart. */
	for (unsigned i = 0; i < 200; i++) {
		uint32_t n = 1 + (uint32_t)(mix(i) % 5);
		uint64_t gap = 60 * (1 + mix(i + 1000) % 40);

		assert_int_equal(idx_heat_touch(&f.w, 5, n, t, 0), 0);
		want = (want + n) * pow(0.5, (double)gap / 3600);
		t += gap;
		assert_true(near(get(&f, 5, t).count, want, 0.01));
		assert_true(near(get(&f, 5, t).heat, want / (want + 4), 0.005));
	}
	assert_int_equal(get(&f, 5, t).last_s, t - 60 * (1 + mix(199 + 1000) % 40));
	assert_true(near(get(&f, 5, t + 3600).count, want / 2, 0.01));
	assert_true(near(get(&f, 5, t + 10 * 3600).count, want / 1024, 0.01));
	assert_int_equal(idx_heat_tune(&f.w, 7200, 8.0), 0);
	assert_true(near(get(&f, 5, t).heat, get(&f, 5, t).count / (get(&f, 5, t).count + 8), 1e-9));
	close_heat(&f);
}

static void small_counts_are_exact_enough(void **state)
{
	struct fixture f;

	(void)state;
	open_heat(&f, 1, 3600, 4.0, NOW);
	for (unsigned n = 1; n <= 100; n++) {
		assert_int_equal(idx_heat_touch(&f.w, 0, 1, NOW, 0), 0);
		assert_true(near(get(&f, 0, NOW).count, n, 0.01));
		assert_int_equal((int)lround(get(&f, 0, NOW).count), n);
	}
	close_heat(&f);
}

/* A million single accesses: rounding that always went down would stop near three thousand. */
static void hot_slots_keep_counting(void **state)
{
	struct fixture f;
	double sum = 0;

	(void)state;
	open_heat(&f, 20, 3600, 4.0, NOW);
	for (unsigned s = 0; s < 20; s++) {
		for (unsigned n = 0; n < 100000; n++)
			(void)idx_heat_touch(&f.w, s, 1, NOW, 0);
		assert_true(near(get(&f, s, NOW).count, 100000, 0.08));
		sum += get(&f, s, NOW).count;
	}
	assert_true(near(sum / 20, 100000, 0.015)); /* no drift */
	for (unsigned n = 0; n < 200; n++)
		assert_int_equal(idx_heat_touch(&f.w, 0, UINT32_MAX, NOW, 0), 0);
	assert_true(get(&f, 0, NOW).count > 4e9 && get(&f, 0, NOW).heat <= 1);
	close_heat(&f);
}

static void heat_of_a_former_key_is_ignored(void **state)
{
	struct idx_heat_val v;
	struct fixture f;

	(void)state;
	open_heat(&f, 1, 3600, 4.0, NOW);
	assert_int_equal(idx_heat_touch(&f.w, 0, 100, NOW, 0), 0);
	assert_int_equal(idx_heat_get(&f.r, 0, NOW + 600, NOW + 300, &v), 0);
	assert_true(v.count == 0 && v.last_s == 0);
	assert_int_equal(idx_heat_get(&f.r, 0, NOW + 600, NOW, &v), 0);
	assert_true(v.count > 80);
	assert_int_equal(idx_heat_touch(&f.w, 0, 1, NOW + 600, NOW + 300), 0);
	assert_true(near(get(&f, 0, NOW + 600).count, 1, 0.001));
	close_heat(&f);
}

/* An object that was put under a clock that was ahead, by an hour, by ten days, by ten years: read afterwards it gets hot. */
static void clock_put_back(void **state)
{
	static const uint64_t ahead[] = { 3600, 10 * DAY, 3650 * DAY };
	struct idx_heat_val v;
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < OM_ARRAY_SIZE(ahead); i++) {
		uint64_t since = NOW + ahead[i];
		open_heat(&f, 2, 3600, 4.0, since);
		assert_int_equal(idx_heat_touch(&f.w, 0, 100, since - 600, 0), 0); /* of the key before */
		assert_int_equal(idx_heat_touch(&f.w, 1, 1, since, since), 0);
		for (unsigned n = 1; n <= 5; n++)
			assert_int_equal(idx_heat_touch(&f.w, 1, 1, NOW, since), 0);
		assert_int_equal(idx_heat_get(&f.r, 1, NOW, since, &v), 0);
		assert_true(near(v.count, 6, 0.01));
		assert_true(v.last_s <= NOW && v.last_s > 0);
		assert_int_equal(idx_heat_touch(&f.w, 0, 2, NOW, since), 0);
		assert_int_equal(idx_heat_get(&f.r, 0, NOW, since, &v), 0);
		assert_true(ahead[i] > 11 * DAY || near(v.count, 2, 0.01)); /* so far ahead nobody can tell whose they were */
		/* and it cools from the time at which it was put */
		assert_int_equal(idx_heat_get(&f.r, 1, NOW + 20 * DAY, since, &v), 0);
		assert_true(v.count < 0.01);
		close_heat(&f);
	}
}

static void epoch_moves(void **state)
{
	struct fixture f;
	uint64_t t = NOW, last[50];

	(void)state;
	open_heat(&f, 50, 30 * 86400, 4.0, NOW);
	/* 200 days, a touch of one slot every six hours: several moves of the epoch. */
	for (unsigned i = 0; i < 800; i++, t += DAY / 4) {
		unsigned s = i % 2 ? i % 50 : 0;

		assert_int_equal(idx_heat_touch(&f.w, s, 1, t, 0), 0);
		last[s] = t;
	}
	t -= DAY / 4;
	assert_int_equal(get(&f, 0, t).last_s, last[0]);
	for (unsigned s = 1; s < 50; s += 2)
		assert_int_equal(get(&f, s, t).last_s, last[s]);
	/* Slot 0: an access every 12 hours for 200 days, half-life 30 days. */
	double want = 0;
	for (unsigned i = 0; i < 800; i += 2)
		want = want * pow(0.5, 0.5 / 30) + 1;
	want *= pow(0.5, (double)(t - last[0]) / (30.0 * 86400));
	assert_true(near(get(&f, 0, t).count, want, 0.01));

	/* Away for three years: cold, not hot again by a wrapped minute. */
	t += 1100 * DAY;
	assert_true(get(&f, 0, t).count < 1e-6);
	assert_int_equal(idx_heat_touch(&f.w, 1, 1, t, 0), 0);
	assert_true(get(&f, 0, t).count < 0.01 && near(get(&f, 1, t).count, 1, 0.001));
	/* The clock is put back by ten years: nothing freezes. */
	t -= 3650 * DAY;
	assert_int_equal(idx_heat_touch(&f.w, 1, 1, t, 0), 0);
	assert_true(near(get(&f, 1, t).count, 2, 0.01));
	assert_int_equal(get(&f, 1, t).last_s, t);
	assert_true(near(get(&f, 1, t + 30 * DAY).count, 1, 0.01));
	/* By an hour: no time passed. */
	assert_int_equal(idx_heat_touch(&f.w, 1, 1, t - 3600, 0), 0);
	assert_true(near(get(&f, 1, t).count, 3, 0.01));
	close_heat(&f);
}

static void copied_by_key_after_growth(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idxr old = reader_of(idxw_fd(w)), new;
	struct fixture a, b;
	uint64_t left = 1, n = 2000;
	uint32_t slot;

	(void)state;
	open_heat(&a, old.slots, 3600, 4.0, (uint64_t)time(NULL));
	uint64_t now = (uint64_t)time(NULL) / 60 * 60 + 60;
	for (uint64_t i = 0; i < n; i++) {
		struct idx_key k = key_any(i);
		struct idx_ent e = ent_of(i);

		assert_int_equal(idxw_put(w, &k, &e), 0);
		assert_int_equal(idxr_get(&old, &k, &e, &slot), 0);
		assert_int_equal(idx_heat_touch(&a.w, slot, (uint32_t)(i % 50), now, e.since_s), 0);
	}
	assert_int_equal(idxw_grow_begin(w), 0);
	while (left)
		assert_int_equal(idxw_grow_step(w, 1000, &left), 0);
	new = reader_of(idxw_grow_done(w));
	open_heat(&b, new.slots, 3600, 4.0, now - 40 * DAY);
	struct idx_key k7 = key_any(7);
	assert_int_equal(idxr_get(&new, &k7, NULL, &slot), 0);
	assert_int_equal(idx_heat_touch(&b.w, slot, 2, now + 3600, 0), 0); /* heard meanwhile */
	for (uint64_t from = 0; from < old.slots; from += 100)
		(void)idx_heat_copy(&a.r, &old, &b.w, &new, from, 100);
	for (uint64_t i = 0; i < n; i++) {
		struct idx_key k = key_any(i);

		assert_int_equal(idxr_get(&new, &k, NULL, &slot), 0);
		assert_true(near(get(&b, slot, now + 3600).count, (double)(i % 50) / 2 + (i == 7 ? 2 : 0), 0.01));
	}
	idxr_detach(&old);
	idxr_detach(&new);
	close_heat(&a);
	close_heat(&b);
	idxw_free(w);
}

static void refused(void **state)
{
	struct om_seg seg;
	struct idx_heat h;
	struct idx_heat_val v;
	struct fixture f;

	(void)state;
	assert_int_equal(idx_heat_create(0, 1, 3600, 4, NOW, &seg), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_heat_create(1, 1, 0, 4, NOW, &seg), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_heat_create(1, 1, 3600, 0, NOW, &seg), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_heat_create(1, 1, 3600, NAN, NOW, &seg), -OBJM_STATUS_INVALID_REQUEST);
	open_heat(&f, 10, 3600, 4, NOW);
	assert_int_equal(idx_heat_touch(&f.w, 10, 1, NOW, 0), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_heat_get(&f.r, 10, NOW, 0, &v), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_heat_set(&f.w, 0, NAN, NOW), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_heat_set(&f.w, 10, 1, NOW), -OBJM_STATUS_INVALID_REQUEST);
	/* A broken lifecycle process: the supervisor gets some number, never a fault. */
	struct idx_heat_header *hd = (struct idx_heat_header *)f.w.seg.base;
	assert_int_equal(idx_heat_touch(&f.w, 0, 1, NOW, 0), 0);
	hd->slots = UINT64_MAX;
	hd->half_life_s = 0;
	hd->reference_milli = 0;
	hd->epoch_min = UINT64_MAX;
	assert_int_equal(idx_heat_get(&f.r, 0, NOW, 0, &v), 0);
	assert_true(v.heat >= 0 && v.heat <= 1);
	hd->sweep = 1;
	assert_int_equal(idx_heat_get(&f.r, 0, NOW, 0, &v), -OBJM_STATUS_BUSY);
	assert_int_equal(idx_heat_attach(f.seg.rofd, false, &h), -OBJM_STATUS_CORRUPT);
	close_heat(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_known_pattern),
		cmocka_unit_test(small_counts_are_exact_enough),
		cmocka_unit_test(hot_slots_keep_counting),
		cmocka_unit_test(heat_of_a_former_key_is_ignored),
		cmocka_unit_test(clock_put_back),
		cmocka_unit_test(epoch_moves),
		cmocka_unit_test(copied_by_key_after_growth),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
