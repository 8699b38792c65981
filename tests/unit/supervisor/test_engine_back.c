/*
 * test_engine_back.c: what a restart, a rebuild and a tier that leaves make of moves and of what they left.
 */
#include "engine_moves.h"

static void wipe(const char *root)
{
	char path[160];

	for (const char *const *name = (const char *const[]){ "objects", "catalog", "staging", ".objmapper-tier", NULL }; *name; name++) {
		snprintf(path, sizeof(path), "%s/%s", root, *name);
		nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	}
}

static void test_restart_with_copies(void **state)
{
	struct world *x = *state;
	bool more;
	char last[64] = "";
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "slow", 0), e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL);

	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	mv_move(x, "/b", b, "slow", "memory", OM_MOVE_COPY);
	world_restart(x);
	mv_check_at(x, "/a", a, "memory", "disk");
	mv_check_at(x, "/b", b, "memory", "slow");
	mv_check_at(x, "/e", e, "memory", "memory");
	assert_int_equal(list_count(x, "/", 10, last, &more), 3);
	assert_int_equal(mv_drop(x, "/b", b, "memory", OM_DROP_COPY), 0);
	/* the memory tier is emptied while we are down */
	stop(x);
	wipe(x->mem);
	start(x);
	wait_complete(x);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_at(x, "/b", b, "slow", "slow");
	mv_check_none(x, "/e", e);
}

/* Its files are deleted, its catalog is not: each copy is found out when it is read. */
static void test_memory_files_vanish(void **state)
{
	struct world *x = *state;
	char path[160];
	uint64_t a = put(x, "/a", "disk", 0), e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL);

	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	stop(x);
	snprintf(path, sizeof(path), "%s/objects", x->mem);
	nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	start(x);
	wait_complete(x);
	assert_int_equal(mv_gone(x, "/a", a, "memory"), 0);
	assert_int_equal(mv_gone(x, "/e", e, "memory"), -OBJM_STATUS_NOT_FOUND);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_none(x, "/e", e);
}

/* The supervisor ends with moves begun: the next one removes what they made. */
static void test_restart_with_open_moves(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv_of(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv_of(x, "/b", b, "disk", "memory", OM_MOVE_COPY);

	assert_int_equal(mv_begin(x, &m), 0);
	assert_int_equal(mv_begin(x, &n), 0);
	x->l.idle = true;
	world_restart(x);
	assert_false(world_file_is(x, tier_no(x, "slow"), a));
	assert_false(world_file_is(x, tier_no(x, "memory"), b));
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_at(x, "/b", b, "disk", "disk");
}

static void copy_dir(const char *from, const char *to)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_int_equal(system(cmd), 0);
}

/* Both records of a move, as a crash between the two commits leaves them: one stays, wherever it is; its file with it. */
static void test_two_records(void **state)
{
	struct world *x = *state;
	char cat[160], saved[160], list[64] = "";
	bool more;
	struct idx_ent ent;
	uint64_t a = put(x, "/a", "disk", 0);

	wait_complete(x);
	snprintf(cat, sizeof(cat), "%s/disk/catalog", x->dir);
	snprintf(saved, sizeof(saved), "%s/saved", x->dir);
	stop(x);
	copy_dir(cat, saved);
	start(x);
	wait_complete(x);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	wait_complete(x);
	stop(x);
	copy_dir(saved, cat);
	start(x);
	wait_complete(x);
	WORLD_UNTIL(x, was_reaped(x, a));
	wait_complete(x);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.tier, ent.home);
	assert_int_equal(list_count(x, "/", 10, list, &more), 1);
	assert_int_equal(mv_objects_on(x, "disk") + mv_objects_on(x, "slow"), 1);
	assert_int_equal(del(x, "/a"), 0);
	mv_check_none(x, "/a", a);
}

/* A rebuild finds an ephemeral object's file on a disk (a backup copied it there), and the copy of one whose home is a disk. */
static void test_rebuild_takes_no_strangers(void **state)
{
	struct world *x = *state;
	uint64_t s = put(x, "/s", "disk", 0), a = put(x, "/a", "disk", 0), e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL);
	struct om_op_record rec;

	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(del(x, "/s"), 0);
	world_file_make(x, tier_no(x, "memory"), s); /* of a copy whose record was lost with its catalog */
	world_file_make(x, tier_no(x, "slow"), e);
	stop(x);
	start(x); /* only what is older than the run is asked about */
	wait_complete(x);
	for (const char *const *name = (const char *const[]){ "slow", "memory", NULL }; *name; name++) {
		memset(&x->l.scan, 0, sizeof(x->l.scan));
		assert_int_equal(sup_engine_rebuild(x->e, *name), 0);
		world_wait_scan(x);
		assert_int_equal(x->l.scan.mode, OM_SCAN_REBUILD);
		if (!strcmp(*name, "slow")) {
			world_found(x, tier_no(x, "slow"), "/e", e, OM_OBJ_EPHEMERAL);
		} else {
			world_found(x, tier_no(x, "memory"), "/e", e, OM_OBJ_EPHEMERAL);
			world_found(x, tier_no(x, "memory"), "/stray", s, 0);
			world_found(x, tier_no(x, "memory"), "/a", a, 0); /* its record stands: it stays what it is */
		}
		world_scanned(x, tier_no(x, *name), 1);
		wait_complete(x);
	}
	assert_false(world_file_is(x, tier_no(x, "slow"), e));
	assert_int_equal(mv_objects_on(x, "slow"), 0);
	mv_check_at(x, "/e", e, "memory", "memory");
	mv_check_at(x, "/a", a, "memory", "disk");
	assert_int_equal(lookup(x, "/stray", &rec), -OBJM_STATUS_NOT_FOUND);
	assert_false(world_file_is(x, tier_no(x, "memory"), s));
}

/* A home that a rebuild finds again does not lose its copy. */
static void test_rebuilt_home_keeps_its_copy(void **state)
{
	struct world *x = *state;
	char cat[160];
	uint64_t a = put(x, "/a", "disk", 0);

	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	stop(x);
	snprintf(cat, sizeof(cat), "%s/disk/catalog", x->dir);
	nftw(cat, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	start(x);
	world_wait_scan(x);
	assert_int_equal(mv_drop(x, "/a", a, "memory", OM_DROP_COPY), -OBJM_STATUS_PRECONDITION_FAILED); /* all there is, as far as is known */
	world_found(x, tier_no(x, "disk"), "/a", a, 0);
	world_scanned(x, tier_no(x, "disk"), 1);
	wait_complete(x);
	mv_check_at(x, "/a", a, "memory", "disk");
	assert_int_equal(mv_drop(x, "/a", a, "memory", OM_DROP_COPY), 0);
	mv_check_at(x, "/a", a, "disk", "disk");
}

/* A file that a scan finds while a move is making it is the move's. */
static void test_scan_meets_move(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0);

	world_restart(x);
	memset(&x->l.scan, 0, sizeof(x->l.scan));
	struct mv m = mv_of(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv_of(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(mv_begin(x, &n), 0);
	assert_int_equal(sup_engine_rebuild(x->e, "memory"), 0);
	world_wait_scan(x);
	world_found(x, tier_no(x, "memory"), "/a", a, 0);
	/* a tier that is being rebuilt takes no move */
	assert_int_equal(mv_finish(x, &n), -OBJM_STATUS_UNAVAILABLE);
	world_scanned(x, tier_no(x, "memory"), 1);
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "memory"), a));
	assert_int_equal(mv_begin(x, &m), 0);
	assert_int_equal(mv_finish(x, &m), 0);
	mv_check_at(x, "/a", a, "slow", "slow");
}

/* The source goes away between BEGIN and COMMIT, and so does the home of a copy: nothing is lost, and it all is there again. */
static void test_tier_leaves(void **state)
{
	struct world *x = *state;
	char away[192];
	struct idx_ent ent;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv_of(x, "/a", a, "disk", "slow", OM_MOVE_HOME);

	mv_move(x, "/b", b, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(mv_begin(x, &m), 0);
	uint8_t slow = m.to;
	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	assert_int_equal(mv_finish(x, &m), -OBJM_STATUS_UNAVAILABLE);
	WORLD_UNTIL(x, !world_file_is(x, slow, a));
	/* the copy is all there is now */
	assert_int_equal(index_get(x, "/b", &ent), 0);
	assert_int_equal(ent.tier, tier_no(x, "memory"));
	assert_int_equal(mv_drop(x, "/b", b, "memory", OM_DROP_COPY), -OBJM_STATUS_UNAVAILABLE);
	world_tier_back(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_READY);
	wait_complete(x);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_at(x, "/b", b, "memory", "disk");
	assert_int_equal(mv_drop(x, "/b", b, "memory", OM_DROP_COPY), 0);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	mv_check_at(x, "/a", a, "slow", "slow");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_restart_with_copies),
		T(test_memory_files_vanish),
		T(test_restart_with_open_moves),
		T(test_two_records),
		T(test_rebuild_takes_no_strangers),
		T(test_rebuilt_home_keeps_its_copy),
		T(test_scan_meets_move),
		T(test_tier_leaves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
