/*
 * test_engine_fault.c: errors in the middle of things: what was acknowledged before them stands afterwards. (Kills at each step:
 * model_engine.c and the scenarios.)
 */
#include "common/om_fault.h"
#include "engine_moves.h"
#include "supervisor/sup_engine_int.h"

static bool has_tomb(struct world *x, const char *tier, const char *uri)
{
	uint8_t key[IDX_STATE_KEY_BYTES];
	struct idx_key k;
	uint64_t id;

	idx_key_make(sup_engine_secret(x->e), uri, strlen(uri), &k);
	sup_tomb_key(&k, key);
	return idx_state_tomb_get_now(x->e->state, tier_no(x, tier), key, &id) == 0;
}

/* A tier comes back: the tombstones of another one, on which something could not be deleted, are still needed at the next start. */
static void test_tombstones_of_another_tier_stay(void **state)
{
	struct world *x = *state;
	struct sup_tier *disk = x->e->tier_by_no[tier_no(x, "disk")];
	struct om_op_record rec;
	char away[192];

	(void)put(x, "/a", "disk", 0);
	(void)put(x, "/s", "slow", 0);
	(void)put(x, "/t", "disk", 0);
	wait_complete(x);
	disk->dirty |= SUP_DIRTY_LEFT; /* as half_done() leaves it */
	assert_int_equal(del(x, "/a"), 0);
	assert_true(has_tomb(x, "disk", "/a"));
	world_tier_away(x, "slow", away);
	world_wait_state(x, "slow", OM_TIERS_ABSENT);
	assert_int_equal(del(x, "/s"), 0);
	assert_true(has_tomb(x, "slow", "/s"));
	world_tier_back(x, "slow", away);
	world_wait_state(x, "slow", OM_TIERS_READY);
	for (int i = 0; i < 200; i++, usleep(1000)) /* what a reader was asked to clear has been cleared long since */
		assert_int_equal(lookup(x, "/t", &rec), 0);
	assert_true(has_tomb(x, "disk", "/a"));
}

#if OM_FAULTS
static void fault(const char *text)
{
	assert_int_equal(setenv("OBJM_FAULT", text, 1), 0);
	assert_int_equal(om_fault_init(), 0);
}

static int try_put(struct world *x, const char *uri, const char *tier)
{
	uint64_t id;
	int status = prepare(x, uri, tier_no(x, tier), 0, (struct om_op_cond){ 0 }, &id);

	return status == 0 ? commit(x, uri, tier_no(x, tier), 0, id) : status;
}

/* A put that comes to nothing does not take away what it was to replace, on a tier that is not there. */
static void test_failed_put_over_an_absent_object(void **state)
{
	struct world *x = *state;
	char away[192];
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0), fresh;

	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	wait_complete(x);
	fresh = put(x, "/b", "slow", 0);
	assert_true(has_tomb(x, "disk", "/b")); /* this one has replaced it */
	fault("sup.commit:error");
	assert_int_equal(try_put(x, "/a", "slow"), -OBJM_STATUS_STORAGE);
	assert_false(has_tomb(x, "disk", "/a"));
	world_tier_back(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_READY);
	wait_complete(x);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_at(x, "/b", fresh, "slow", "slow");
	mv_wait_file_gone(x, "disk", b);
}

/* A catalog that cannot be read to the end at the start: what was not read is not taken for what is not there. */
static void test_unread_catalog(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	uint64_t id, a = put(x, "/a", "disk", 0);
	uint8_t disk = tier_no(x, "disk");

	wait_complete(x);
	/* as a crash leaves it between the state's commit and the catalog's: a removal that never happened */
	assert_int_equal(idx_state_pending_add_now(x->e->state, disk, &a, 1), 0);
	stop(x);
	fault("sup.fill:error");
	start(x);
	WORLD_UNTIL(x, atomic_load(&x->e->filled));
	assert_int_equal(prepare(x, "/a", tier_no(x, "slow"), 0, (struct om_op_cond){ .kind = OM_COND_ABSENT }, &id),
			 -OBJM_STATUS_UNAVAILABLE);
	assert_int_equal(lookup(x, "/none", &rec), -OBJM_STATUS_UNAVAILABLE);
	world_lifecycle_again(x);
	for (int i = 0; i < 100; i++, usleep(1000))
		serve_reaps(x); /* whoever is asked to remove it would have done so */
	assert_true(world_file_is(x, disk, a));
	stop(x);
	start(x);
	wait_complete(x);
	mv_check_at(x, "/a", a, "disk", "disk");
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_tombstones_of_another_tier_stay),
#if OM_FAULTS
		T(test_failed_put_over_an_absent_object),
		T(test_unread_catalog),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
