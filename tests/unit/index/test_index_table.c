/*
 * test_index_table.c: what the index says after puts, deletes, fills and growth, seen through a reader's own mapping.
 */
#include "tests/unit/index/idx_test.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "common/om_seg.h"

#define SLOTS ((uint64_t)IDX_SLOTS_MIN)

static enum idxr_state state_at(const struct idxr *r, uint64_t n)
{
	struct idxr_slot s;

	assert_int_equal(idxr_slot(r, n % r->slots, &s), 0);
	return s.state;
}

static void put_ok(struct idxw *w, struct idx_key k, uint64_t id)
{
	struct idx_ent e = ent_of(id);

	assert_int_equal(idxw_put(w, &k, &e), 0);
}

static void expect(const struct idxr *r, struct idx_key k, uint64_t id)
{
	struct idx_ent e, want = ent_of(id);
	uint32_t slot = 0;

	assert_int_equal(idxr_get(r, &k, &e, &slot), id ? 0 : -OBJM_STATUS_NOT_FOUND);
	if (id) {
		struct idxr_slot s;

		assert_true(ent_same(&e, &want));
		assert_int_equal(idxr_slot(r, slot, &s), 0);
		assert_true(s.state == IDXR_LIVE && idx_key_equal(&s.key, &k) && ent_same(&s.ent, &want));
	}
}

static void put_get_replace_delete(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idxr r = reader_of(idxw_fd(w));
	struct idxr_stat st;
	struct idx_ent e = ent_of(9);
	struct idx_key k = key_any(1);

	(void)state;
	expect(&r, k, 0);
	put_ok(w, k, 5);
	expect(&r, k, 5);
	put_ok(w, k, 6);
	expect(&r, k, 6);
	idxw_stat(w, &st);
	assert_true(st.live == 1 && st.dead == 0 && st.complete && st.slots == SLOTS && st.segment == 1);
	e.home = OM_TIER_NONE;
	e.expiry_s = UINT64_MAX;
	assert_int_equal(idxw_put(w, &k, &e), 0);
	assert_int_equal(idxr_get(&r, &k, &e, NULL), 0);
	assert_true(e.home == OM_TIER_NONE && e.expiry_s == IDX_EXPIRY_MAX);
	assert_int_equal(idxw_del(w, &k), 0);
	expect(&r, k, 0);
	assert_int_equal(idxw_del(w, &k), -OBJM_STATUS_NOT_FOUND);
	e.tier = OM_TIERS_MAX;
	assert_int_equal(idxw_put(w, &k, &e), -OBJM_STATUS_INVALID_REQUEST);
	e = ent_of(1);
	e.flags = 8;
	assert_int_equal(idxw_put(w, &k, &e), -OBJM_STATUS_INVALID_REQUEST);
	idxr_detach(&r);
	idxw_free(w);
}

static void probing_wraps_around(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idxr r = reader_of(idxw_fd(w));
	struct idx_key k[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		k[i] = key_at(SLOTS, SLOTS - 3, i);
		put_ok(w, k[i], 100 + i);
	}
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(state_at(&r, SLOTS - 3 + i), IDXR_LIVE);
		expect(&r, k[i], 100 + i);
	}
	/* From the end back: the last one becomes empty at once, over the edge of the table too. */
	for (unsigned i = 6; i-- > 1;) {
		assert_int_equal(idxw_del(w, &k[i]), 0);
		assert_int_equal(state_at(&r, SLOTS - 3 + i), IDXR_EMPTY);
		expect(&r, k[0], 100);
	}
	idxr_detach(&r);
	idxw_free(w);
}

static void tombstones(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idxr r = reader_of(idxw_fd(w));
	struct idxr_stat st;
	struct idx_key k[5];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		k[i] = key_at(SLOTS, 10, i);
		put_ok(w, k[i], 10 + i);
	}
	assert_int_equal(idxw_del(w, &k[1]), 0); /* in the middle: must stay */
	assert_int_equal(state_at(&r, 11), IDXR_DEAD);
	expect(&r, k[3], 13);
	assert_int_equal(idxw_del(w, &k[2]), 0);
	assert_int_equal(state_at(&r, 12), IDXR_DEAD);
	expect(&r, k[3], 13);
	k[4] = key_at(SLOTS, 10, 4); /* a new key takes the first tombstone, no new slot */
	put_ok(w, k[4], 14);
	assert_int_equal(state_at(&r, 11), IDXR_LIVE);
	assert_int_equal(state_at(&r, 14), IDXR_EMPTY);
	expect(&r, k[4], 14);
	expect(&r, k[1], 0);
	assert_int_equal(idxw_del(w, &k[4]), 0);
	assert_int_equal(idxw_del(w, &k[3]), 0); /* the last: 13, 12 and 11 become empty together */
	for (unsigned i = 11; i < 15; i++)
		assert_int_equal(state_at(&r, i), IDXR_EMPTY);
	expect(&r, k[0], 10);
	idxw_stat(w, &st);
	assert_true(st.live == 1 && st.dead == 0);
	idxr_detach(&r);
	idxw_free(w);
}

static void since_follows_the_key(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idx_key a = key_at(SLOTS, 5, 0), b = key_at(SLOTS, 5, 1), c = key_at(SLOTS, 5, 2);
	struct idx_ent e = ent_of(1);
	uint64_t now = (uint64_t)time(NULL);

	(void)state;
	assert_int_equal(idxw_put(w, &a, &e), 0);
	assert_int_equal(idxw_put(w, &b, &e), 0);
	assert_int_equal(idxw_get(w, &a, &e, NULL), 0);
	assert_true(e.since_s <= now && e.since_s + 120 > now);
	assert_int_equal(idxw_del(w, &a), 0);
	assert_int_equal(idxw_put(w, &c, &e), 0); /* takes a's slot */
	assert_int_equal(idxw_get(w, &c, &e, NULL), 0);
	assert_true(e.since_s + 120 > now);
	idxw_free(w);

	w = index_new(0, false); /* filled and put while filling: no slot has had another key */
	e = ent_of(1);
	assert_int_equal(idxw_fill(w, &a, &e), 0);
	assert_int_equal(idxw_put(w, &b, &e), 0);
	assert_int_equal(idxw_get(w, &a, &e, NULL), 0);
	assert_int_equal(e.since_s, 0);
	assert_int_equal(idxw_get(w, &b, &e, NULL), 0);
	assert_int_equal(e.since_s, 0);
	idxw_free(w);
}

static void fill_never_overrides_a_change(void **state)
{
	struct idxw *w = index_new(0, false);
	struct idxr r = reader_of(idxw_fd(w));
	struct idx_ent old = ent_of(1), e;
	struct idx_key put = key_at(SLOTS, 7, 0), gone = key_at(SLOTS, 7, 1), never = key_at(SLOTS, 7, 2),
		       back = key_at(SLOTS, 7, 3), plain = key_at(SLOTS, 7, 4);

	(void)state;
	assert_int_equal(idxr_get(&r, &plain, &e, NULL), -OBJM_STATUS_BUSY); /* a miss is not final yet */
	put_ok(w, put, 50);
	assert_int_equal(idxw_fill(w, &gone, &old), 0);
	assert_int_equal(idxw_del(w, &gone), 0);
	assert_int_equal(idxw_del(w, &never), -OBJM_STATUS_NOT_FOUND); /* not filled yet: a tombstone all the same */
	assert_int_equal(idxw_del(w, &back), -OBJM_STATUS_NOT_FOUND);
	put_ok(w, back, 60);
	assert_int_equal(idxw_fill(w, &put, &old), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idxw_fill(w, &gone, &old), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idxw_fill(w, &never, &old), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idxw_fill(w, &back, &old), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idxw_fill(w, &plain, &old), 0);
	/* Tombstones were neither emptied nor given to another key. */
	assert_int_equal(state_at(&r, 8), IDXR_DEAD);
	assert_int_equal(state_at(&r, 9), IDXR_DEAD);
	assert_int_equal(idxw_del(w, &plain), 0);
	assert_int_equal(state_at(&r, 11), IDXR_DEAD);
	put_ok(w, plain, 70); /* its own tombstone comes back to life */
	assert_int_equal(state_at(&r, 11), IDXR_LIVE);
	assert_int_equal(idxr_get(&r, &gone, &e, NULL), -OBJM_STATUS_BUSY);
	idxw_fill_done(w);
	expect(&r, put, 50);
	expect(&r, gone, 0);
	expect(&r, never, 0);
	expect(&r, back, 60);
	expect(&r, plain, 70);
	idxr_detach(&r);
	idxw_free(w);
}

static void fill_merges_what_catalogs_say(void **state)
{
	struct idxw *w = index_new(0, false);
	struct idx_ent home = {.id = 5, .rev = 4, .tier = 2, .home = 2, .flags = 2}, got;
	struct idx_ent copy = {.id = 5, .rev = 3, .tier = 0, .home = 2};
	struct idx_ent newer = {.id = 6, .rev = 1, .tier = 1, .home = 1};

	(void)state;
	for (unsigned order = 0; order < 2; order++) {
		struct idx_key k = key_any(order);

		assert_int_equal(idxw_fill(w, &k, order ? &home : &copy), 0);
		assert_int_equal(idxw_fill(w, &k, order ? &copy : &home), 0);
		assert_int_equal(idxw_get(w, &k, &got, NULL), 0);
		assert_true(got.id == 5 && got.rev == 4 && got.flags == 2 && got.tier == 0 && got.home == 2);
		assert_int_equal(idxw_fill(w, &k, &newer), 0);
		assert_int_equal(idxw_fill(w, &k, &home), 0); /* too old */
		assert_int_equal(idxw_get(w, &k, &got, NULL), 0);
		assert_true(got.id == 6 && got.tier == 1);
		put_ok(w, k, 7);
		newer.id = 8; /* a change has the last word, whatever the snapshot says */
		assert_int_equal(idxw_fill(w, &k, &newer), -OBJM_STATUS_PRECONDITION_FAILED);
		newer.id = 6;
	}
	idxw_free(w);
}

static void grow(struct idxw *w, uint64_t step)
{
	uint64_t left = 1;

	assert_int_equal(idxw_grow_begin(w), 0);
	while (left)
		assert_int_equal(idxw_grow_step(w, step, &left), 0);
}

/* Above 2^20 slots by an eighth, so that what it takes an object stays within narrow bounds. */
static void a_large_one_grows_by_less(void **state)
{
	struct idxw *w = NULL;
	struct idxr_stat st;

	(void)state;
	for (uint64_t slots = (1u << 20) - 4; slots <= 1u << 20; slots += 4) {
		assert_int_equal(idxw_new(slots / 4 * 3, &w), 0);
		idxw_fill_done(w);
		idxw_stat(w, &st);
		assert_int_equal(st.slots, slots);
		for (uint64_t n = 0; !idxw_want_grow(w); n++)
			put_ok(w, key_any(n), n + 1);
		assert_int_equal(idxw_grow_slots(w), slots + slots / (slots < 1u << 20 ? 4 : 8));
		idxw_free(w);
	}
}

static void growth_keeps_everything(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idxr r = reader_of(idxw_fd(w)), r2;
	struct idxr_tier row = {.state = OM_TIERS_READY, .used_bytes = 1, .capacity_bytes = 2, .objects = 3}, got;
	struct idxr_stat st;
	uint64_t n = 0;

	(void)state;
	idxw_tier(w, 31, &row);
	while (!idxw_want_grow(w)) {
		put_ok(w, key_any(n), n + 1);
		n++;
	}
	assert_true(n > SLOTS * 84 / 100 && n < SLOTS * 87 / 100);
	assert_int_equal(idxw_grow_slots(w), SLOTS * 5 / 4);
	assert_int_equal(idxw_grow_begin(w), 0);
	for (uint64_t left = 1, i = 0; left; i++) { /* changes between the steps */
		struct idx_key k = key_any(i);

		assert_int_equal(idxw_grow_step(w, 100, &left), 0);
		if (i % 3 == 0)
			assert_int_equal(idxw_del(w, &k), 0);
		else
			put_ok(w, k, 100000 + i);
		put_ok(w, key_any(n + i), 200000 + i);
	}
	int fd = idxw_grow_done(w);
	r2 = reader_of(fd);
	assert_true(r2.segment == 2 && r2.slots == SLOTS * 5 / 4);
	row.objects = 4;
	idxw_tier(w, 31, &row);
	put_ok(w, key_any(n - 1), 300000);
	for (uint64_t i = 0; i < n + 100; i++) {
		struct idx_ent a, b;
		struct idx_key k = key_any(i);
		int ra = idxr_get(&r, &k, &a, NULL), rb = idxr_get(&r2, &k, &b, NULL);

		assert_int_equal(ra, rb);
		if (ra == 0)
			assert_true(ent_same(&a, &b) && ent_whole(&a));
	}
	idxw_grow_finish(w);
	assert_int_equal(fd, idxw_fd(w));
	expect(&r2, key_any(n - 1), 300000);
	idxw_stat(w, &st);
	assert_true(st.complete && st.segment == 2);
	assert_int_equal(idxr_tier(&r2, 31, &got), 0);
	assert_true(got.state == OM_TIERS_READY && got.used_bytes == 1 && got.capacity_bytes == 2 && got.objects == 4);
	assert_int_equal(idxr_tier(&r2, 32, &got), -OBJM_STATUS_INVALID_REQUEST);
	idxr_detach(&r);
	idxr_detach(&r2);
	idxw_free(w);
}

static void growth_while_filling(void **state)
{
	struct idxw *w = index_new(0, false);
	struct idx_ent old = ent_of(1), e;
	struct idx_key gone = key_any(1), early = key_any(2), late = key_any(3), changed = key_any(4), filled = key_any(5);
	struct idxr r;
	uint64_t left;

	(void)state;
	assert_int_equal(idxw_del(w, &early), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(idxw_fill(w, &filled, &old), 0);
	assert_int_equal(idxw_fill(w, &gone, &old), 0);
	grow(w, 1000);
	assert_int_equal(idxw_grow_step(w, 1, &left), 0);
	assert_int_equal(idxw_del(w, &gone), 0);
	assert_int_equal(idxw_del(w, &late), -OBJM_STATUS_NOT_FOUND);
	put_ok(w, changed, 9);
	r = reader_of(idxw_grow_done(w));
	assert_false(idxr_complete(&r));
	assert_int_equal(idxr_get(&r, &early, NULL, NULL), -OBJM_STATUS_BUSY);
	idxw_grow_finish(w);
	assert_int_equal(idxw_fill(w, &early, &old), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idxw_fill(w, &late, &old), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idxw_fill(w, &gone, &old), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idxw_fill(w, &changed, &old), -OBJM_STATUS_PRECONDITION_FAILED);
	e = ent_of(2);
	assert_int_equal(idxw_fill(w, &filled, &e), 0); /* still known as the filler's: merged */
	idxw_fill_done(w);
	assert_true(idxr_complete(&r));
	expect(&r, filled, 2);
	expect(&r, changed, 9);
	expect(&r, early, 0);
	idxr_detach(&r);

	/* Done while switching: both segments say so. */
	idxw_free(w);
	w = index_new(0, false);
	grow(w, 100000);
	r = reader_of(idxw_grow_done(w));
	assert_false(idxr_complete(&r));
	idxw_fill_done(w);
	assert_true(idxr_complete(&r));
	idxr_detach(&r);
	idxw_free(w);
}

static void dead_table_is_rebuilt_at_its_size(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idxr_stat st;
	struct idxr r;
	uint64_t n = SLOTS * 80 / 100;

	(void)state;
	/* Two to a home, the first of each removed: such tombstones are not trailing. */
	for (uint64_t i = 0; i < n / 2; i++)
		for (unsigned j = 0; j < 2; j++)
			put_ok(w, key_at(SLOTS, 2 * i, j), 1 + i);
	for (uint64_t i = 0; i < n / 2; i++) {
		struct idx_key k = key_at(SLOTS, 2 * i, 0);

		assert_int_equal(idxw_del(w, &k), 0);
	}
	idxw_stat(w, &st);
	assert_true(st.dead == n / 2 && st.live == n / 2);
	for (uint64_t i = n / 2; !idxw_want_grow(w); i++)
		put_ok(w, key_at(SLOTS, 2 * i, 0), 1);
	assert_int_equal(idxw_grow_slots(w), SLOTS);
	grow(w, 64);
	r = reader_of(idxw_grow_done(w));
	idxw_grow_finish(w);
	idxw_stat(w, &st);
	assert_true(st.dead == 0 && st.slots == SLOTS && st.segment == 2);
	for (uint64_t i = 0; i < n / 2; i++) {
		expect(&r, key_at(SLOTS, 2 * i, 1), 1 + i);
		expect(&r, key_at(SLOTS, 2 * i, 0), 0);
	}
	idxr_detach(&r);
	idxw_free(w);
}

static void full_is_an_answer(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idx_ent e = ent_of(1);
	struct idx_key k;
	uint64_t n = 0, left;
	struct idxr r;

	(void)state;
	for (;; n++) {
		k = key_any(n);
		if (idxw_put(w, &k, &e) < 0)
			break;
	}
	assert_int_equal(n, SLOTS - SLOTS / 32);
	assert_int_equal(idxw_put(w, &k, &e), -OBJM_STATUS_NO_SPACE);
	put_ok(w, key_any(0), 2); /* a replace needs no room */
	k = key_any(n + 1);
	assert_int_equal(idxw_get(w, &k, &e, NULL), -OBJM_STATUS_NOT_FOUND); /* a search in a full table ends */
	assert_int_equal(idxw_grow_begin(w), 0);
	assert_int_equal(idxw_grow_step(w, SLOTS, &left), 0);
	assert_int_equal(left, 0);
	r = reader_of(idxw_grow_done(w));
	k = key_any(n);
	assert_int_equal(idxw_put(w, &k, &e), -OBJM_STATUS_NO_SPACE); /* the old one is full: neither has it */
	expect(&r, k, 0);
	idxw_grow_finish(w);
	e = ent_of(3);
	assert_int_equal(idxw_put(w, &k, &e), 0);
	expect(&r, k, 3);
	idxr_detach(&r);
	idxw_free(w);
}

static void growth_can_be_given_up(void **state)
{
	struct idxw *w = index_new(20000, true);
	uint64_t slots = idx_slots_for(20000), left, dead = 0;

	(void)state;
	/* Churn while copying; then the copy is dropped and nothing is missing. */
	for (uint64_t i = 0; i < slots / 2; i++)
		put_ok(w, key_any(i), 1);
	assert_int_equal(idxw_grow_slots(w), slots);
	assert_int_equal(idxw_grow_begin(w), 0);
	for (uint64_t i = 0; i < slots / 2; i++) {
		struct idx_key k = key_any(i);

		assert_int_equal(idxw_del(w, &k), 0);
		put_ok(w, key_any(1000000 + i), 1);
		dead++;
	}
	while (idxw_grow_step(w, 1000, &left) == 0 && left)
		;
	idxw_grow_abort(w);
	assert_int_equal(idxw_state(w), IDXW_STEADY);
	for (uint64_t i = 0; i < dead; i++) {
		struct idx_key k = key_any(1000000 + i);

		assert_int_equal(idxw_get(w, &k, NULL, NULL), 0);
	}
	grow(w, 5000);
	(void)idxw_grow_done(w);
	idxw_grow_finish(w);
	idxw_free(w);
}

static void many_at_once(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idxr r = reader_of(idxw_fd(w));
	struct idx_key keys[IDXR_MANY_MAX];
	struct idx_ent ents[IDXR_MANY_MAX];
	uint32_t slots[IDXR_MANY_MAX], slot;

	(void)state;
	for (unsigned i = 0; i < IDXR_MANY_MAX; i++) {
		keys[i] = key_any(i);
		if (i % 2)
			put_ok(w, keys[i], i);
	}
	memset(ents, 0, sizeof(ents));
	idxr_get_many(&r, keys, IDXR_MANY_MAX, ents, slots);
	for (unsigned i = 0; i < IDXR_MANY_MAX; i++) {
		slot = IDXR_NO_SLOT;
		assert_int_equal(idxr_get(&r, &keys[i], NULL, &slot), i % 2 ? 0 : -OBJM_STATUS_NOT_FOUND);
		assert_int_equal(slots[i], slot);
		assert_int_equal(ents[i].id, i % 2 ? i : 0);
	}
	idxr_detach(&r);
	idxw_free(w);
}

/* 400,000 random changes against a plain array, growing when it wants to. */
static void random_against_reference(void **state)
{
	enum { KEYS = 6000, OPS = 400000 };
	static uint64_t want[KEYS];
	struct idxw *w = index_new(0, true);
	struct idxr r = reader_of(idxw_fd(w));
	uint64_t x = 12345, left;

	(void)state;
	for (uint64_t op = 1; op <= OPS; op++) {
		/* The universe breathes, so that both kinds of growth come. */
		uint64_t n = (x = mix(x)) % (op / 50000 % 2 ? KEYS : KEYS / 3);
		struct idx_key k = key_any(n);

		if ((x >> 40) % 2) {
			put_ok(w, k, op);
			want[n] = op;
		} else {
			assert_int_equal(idxw_del(w, &k), want[n] ? 0 : -OBJM_STATUS_NOT_FOUND);
			want[n] = 0;
		}
		expect(&r, k, want[n]);
		if (idxw_want_grow(w)) {
			assert_int_equal(idxw_grow_begin(w), 0);
		} else if (idxw_state(w) == IDXW_COPYING) {
			assert_int_equal(idxw_grow_step(w, 64, &left), 0);
			if (left == 0) {
				idxr_detach(&r);
				r = reader_of(idxw_grow_done(w));
			}
		} else if (idxw_state(w) == IDXW_SWITCHING && op % 100 == 0) {
			idxw_grow_finish(w);
		}
		if (op % 50000 == 0)
			for (unsigned i = 0; i < KEYS; i++)
				expect(&r, key_any(i), want[i]);
	}
	assert_true(r.segment > 1);
	idxr_detach(&r);
	idxw_free(w);
}

static void attach_refuses(void **state)
{
	struct idxw *w = index_new(0, true);
	struct om_seg seg;
	struct idxr r;
	int fd;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct idx_header *h;

		assert_int_equal(om_seg_create("objm-test", idx_seg_bytes(100), OM_SEG_FROZEN, &seg), 0);
		h = (struct idx_header *)seg.base;
		h->magic = IDX_MAGIC + (i == 0);
		h->layout = IDX_LAYOUT + (i == 1);
		h->slots = i == 2 ? 0 : i == 3 ? 1000 : i == 4 ? UINT64_MAX / 64 : 100;
		h->segment = 1;
		assert_int_equal(idxr_attach(seg.rofd, &r), i < 5 ? -OBJM_STATUS_CORRUPT : 0);
		assert_int_equal(fcntl(seg.rofd, F_GETFD) >= 0, i < 5); /* left alone, or taken over */
		if (i == 5) {
			seg.rofd = -1;
			idxr_detach(&r);
		}
		om_seg_close(&seg);
	}
	fd = memfd_create("objm-test", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* not sealed: could be cut under us */
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_true(idxr_attach(fd, &r) < 0);
	close(fd);
	idxw_free(w);
}

static void sizes_and_collapse(void **state)
{
	struct idxw *w = NULL;
	struct idxr r;

	(void)state;
	assert_int_equal(idxw_new(UINT64_MAX, &w), -OBJM_STATUS_TOO_LARGE);
	w = index_new(100000, true);
	while (idxw_collapse(w, 1 << 20))
		;
	put_ok(w, key_any(1), 7);
	r = reader_of(idxw_fd(w));
	assert_int_equal(r.slots, 133334);
	expect(&r, key_any(1), 7);
	assert_int_equal((uintptr_t)r.base % (2u << 20), 0);
	idxr_detach(&r);
	idxw_free(w);
}

/* Known answers of SipHash-2-4-128 (the vectors of its authors: key 00..0f, message 00 01 02 ...). */
static void keys(void **state)
{
	static const unsigned char want[3][16] = {
		{0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93},
		{0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45},
		{0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff, 0xe4},
	};
	unsigned char secret[IDX_SECRET_BYTES], msg[3] = {0, 1, 2};
	struct idx_key k, max = {.hi = UINT64_MAX, .lo = UINT64_MAX}, zero = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(secret); i++)
		secret[i] = (unsigned char)i;
	for (unsigned n = 0; n < 3; n++) {
		idx_key_make(secret, msg, n, &k);
		assert_memory_equal(&k, want[n], 16);
	}
	assert_int_equal(idx_key_home(&zero, 1000003), 0);
	assert_int_equal(idx_key_home(&max, 1000003), 1000002);
	assert_int_equal(idx_key_home(&max, IDX_SLOTS_MAX), IDX_SLOTS_MAX - 1);
	assert_int_equal(idx_key_bucket(&max), (1u << 20) - 1);
	max.hi = 0;
	assert_int_equal(idx_key_home(&max, 1000003), 0); /* bucket and slot come from different halves */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(put_get_replace_delete),
		cmocka_unit_test(probing_wraps_around),
		cmocka_unit_test(tombstones),
		cmocka_unit_test(since_follows_the_key),
		cmocka_unit_test(fill_never_overrides_a_change),
		cmocka_unit_test(fill_merges_what_catalogs_say),
		cmocka_unit_test(a_large_one_grows_by_less),
		cmocka_unit_test(growth_keeps_everything),
		cmocka_unit_test(growth_while_filling),
		cmocka_unit_test(dead_table_is_rebuilt_at_its_size),
		cmocka_unit_test(full_is_an_answer),
		cmocka_unit_test(growth_can_be_given_up),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(random_against_reference),
		cmocka_unit_test(attach_refuses),
		cmocka_unit_test(sizes_and_collapse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
