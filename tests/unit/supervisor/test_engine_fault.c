/*
 * test_engine_fault.c: errors in the middle of things: what was acknowledged before them stands afterwards. (Kills at each step:
 * model_engine.c and the scenarios.)
 */
#include "common/om_fault.h"
#include "engine_moves.h"
#include "supervisor/sup_engine_int.h"

/* Up to which id the key's records on this tier are removed; 0: there is no tombstone. */
static uint64_t tomb(struct world *x, const char *tier, const char *uri)
{
	uint8_t key[IDX_STATE_KEY_BYTES];
	struct idx_key k;
	uint64_t id = 0;

	idx_key_make(sup_engine_secret(x->e), uri, strlen(uri), &k);
	sup_tomb_key(&k, key);
	(void)idx_state_tomb_get_now(x->e->state, tier_no(x, tier), key, &id);
	return id;
}

static bool has_tomb(struct world *x, const char *tier, const char *uri) { return tomb(x, tier, uri) != 0; }

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

/* The tier of a put goes when its record is committed and what it replaces, on another tier that is away, is not recorded as gone yet. */
static void test_tier_goes_before_the_tombstones(void **state)
{
	struct world *x = *state;
	uint64_t fresh, old = put(x, "/a", "disk", 0);
	struct sup_tier *slow = x->e->tier_by_no[tier_no(x, "slow")], *disk = x->e->tier_by_no[tier_no(x, "disk")];
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = slow->no, .size = 5, .mtime_ns = 7, .uri_len = 2 };
	char away[192], slow_away[192];
	struct idx_cat_txn *txn;
	struct om_op_record rec;

	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	WORLD_UNTIL(x, atomic_load(&disk->phase) == SUP_PHASE_ABSENT); /* closing it waits for all committers, and one is about to wait for us */
	assert_int_equal(prepare(x, "/a", slow->no, 0, (struct om_op_cond){ 0 }, &fresh), 0);
	m.id = fresh;
	assert_int_equal(idx_cat_txn_begin(slow->cat, &txn), 0); /* its committer waits for us */
	put_msg(&x->w, &m, sizeof(m), "/a", NULL, 0);
	WORLD_UNTIL(x, slow->lent == 1);
	world_tier_away(x, "slow", slow_away);
	world_wait_state(x, "slow", OM_TIERS_ABSENT);
	WORLD_UNTIL(x, slow->away);
	idx_cat_txn_abort(txn);
	assert_int_equal(verdict(x)->status, 0);
	assert_true(tomb(x, "disk", "/a") >= old && tomb(x, "disk", "/a") < fresh);
	stop(x);
	world_tier_back(x, "disk", away);
	start(x); /* the old one must not be taken for what stands */
	wait_complete(x);
	assert_int_equal(lookup(x, "/a", &rec), -OBJM_STATUS_UNAVAILABLE);
	world_tier_back(x, "slow", slow_away);
	world_wait_state(x, "slow", OM_TIERS_READY);
	wait_complete(x);
	mv_check_at(x, "/a", fresh, "slow", "slow");
	mv_wait_file_gone(x, "disk", old);
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

/* A delete that fails leaves no tombstone: the object is still there when the tier of its home comes back. Nor does it take away one that
 * was there before. */
static void test_failed_delete_of_an_absent_home(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	char away[192];
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0), fresh, before;

	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	wait_complete(x);
	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	fresh = put(x, "/b", "slow", 0);
	before = tomb(x, "disk", "/b");
	assert_true(before >= b && before < fresh);
	fault("sup.commit:nospace");
	assert_int_equal(del(x, "/a"), -OBJM_STATUS_NO_SPACE);
	assert_false(has_tomb(x, "disk", "/a"));
	fault("sup.commit:nospace");
	assert_int_equal(del(x, "/b"), -OBJM_STATUS_NO_SPACE);
	assert_int_equal(tomb(x, "disk", "/b"), before);
	assert_int_equal(lookup(x, "/a", &rec), 0);
	assert_int_equal(rec.id, a);
	world_tier_back(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_READY);
	wait_complete(x);
	mv_check_at(x, "/a", a, "memory", "disk");
	assert_true(world_file_is(x, tier_no(x, "disk"), a));
	mv_check_at(x, "/b", fresh, "slow", "slow");
	mv_wait_file_gone(x, "disk", b);
	assert_int_equal(del(x, "/a"), 0);
}

/* A put whose older record could not be removed on one tier is told to the others all the same. */
static void test_put_that_leaves_something_tells_absent_tiers(void **state)
{
	struct world *x = *state;
	char away[192];
	uint64_t id;

	(void)put(x, "/a", "disk", 0);
	world_tier_away(x, "slow", away);
	world_wait_state(x, "slow", OM_TIERS_ABSENT);
	wait_complete(x);
	assert_int_equal(prepare(x, "/a", tier_no(x, "memory"), OM_OBJ_EPHEMERAL, (struct om_op_cond){ 0 }, &id), 0);
	fault("del.second:error");
	assert_int_equal(commit(x, "/a", tier_no(x, "memory"), OM_OBJ_EPHEMERAL, id), 0);
	assert_true(has_tomb(x, "slow", "/a"));
	assert_true(x->e->tier_by_no[tier_no(x, "disk")]->dirty & SUP_DIRTY_LEFT);
	world_tier_back(x, "slow", away);
	world_wait_state(x, "slow", OM_TIERS_READY);
}

/* What a put replaced cannot be recorded as gone: the put is there, and its client is not told that all is well. */
static void test_tombstones_that_cannot_be_recorded(void **state)
{
	struct world *x = *state;
	char away[192];
	uint64_t id;

	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	wait_complete(x);
	assert_int_equal(prepare(x, "/a", tier_no(x, "slow"), 0, (struct om_op_cond){ 0 }, &id), 0);
	fault("sup.commit:error:3"); /* behind its record, and a look whether memory has an older one */
	assert_int_equal(commit(x, "/a", tier_no(x, "slow"), 0, id), -OBJM_STATUS_STORAGE);
	assert_false(has_tomb(x, "disk", "/a"));
	mv_check_at(x, "/a", id, "slow", "slow");
	world_tier_back(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_READY);
}

/* Deleted and replaced while its tier was away, and then the tier is there when the daemon starts: nobody sees it, whether its records can
 * be deleted (at once) or not (before the next start). */
static void test_dead_records_at_a_start(void **state)
{
	struct world *x = *state;
	char away[192], last[64] = "";
	struct om_op_record rec;
	uint64_t id, b, a = put(x, "/d/a", "disk", 0);
	bool more;

	(void)put(x, "/d/b", "disk", 0);
	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	assert_int_equal(del(x, "/d/a"), 0);
	b = put(x, "/d/b", "slow", 0);
	stop(x);
	world_tier_back(x, "disk", away);
	fault("sup.commit:error"); /* the first one: that deletes what lies there */
	start(x);
	WORLD_UNTIL(x, atomic_load(&x->e->filled));
	for (unsigned again = 0; again < 2; again++) {
		for (int i = 0; i < 100; i++, usleep(500)) {
			assert_int_equal(lookup(x, "/d/a", &rec), -OBJM_STATUS_NOT_FOUND);
			assert_int_equal(lookup(x, "/d/b", &rec), 0);
			assert_int_equal(rec.id, b);
			last[0] = '\0';
			assert_int_equal(list_count(x, "/d/", 10, last, &more), 1);
		}
		assert_int_equal(mv_objects_on(x, "disk"), again ? 0 : 2);
		assert_int_equal(prepare(x, "/d/a", tier_no(x, "slow"), 0, (struct om_op_cond){ .kind = OM_COND_ABSENT }, &id), 0);
		world_restart(x);
		WORLD_UNTIL(x, mv_objects_on(x, "disk") == 0);
	}
	mv_wait_file_gone(x, "disk", a);
}

/* A catalog that cannot be read to the end at the start: what was not read is not taken for what is not there. */
static void test_unread_catalog(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	uint64_t id, a = put(x, "/a", "disk", 0);
	uint8_t disk = tier_no(x, "disk");
	struct idx_state_txn *txn;

	wait_complete(x);
	/* as a crash leaves it between the state's commit and the catalog's: a removal that never happened */
	assert_int_equal(idx_state_txn_begin(x->e->state, false, &txn), 0);
	assert_int_equal(idx_state_pending_add(txn, disk, a), 0);
	assert_int_equal(idx_state_txn_commit(txn), 0);
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
	world_restart(x);
	mv_check_at(x, "/a", a, "disk", "disk");
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_tombstones_of_another_tier_stay),
		T(test_tier_goes_before_the_tombstones),
#if OM_FAULTS
		T(test_failed_put_over_an_absent_object),
		T(test_failed_delete_of_an_absent_home),
		T(test_put_that_leaves_something_tells_absent_tiers),
		T(test_tombstones_that_cannot_be_recorded),
		T(test_dead_records_at_a_start),
		T(test_unread_catalog),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
