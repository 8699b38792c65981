/*
 * test_engine.c: the engine with a pretended worker and lifecycle process on its rings: reservations, commits, replaces,
 * preconditions, deletes, listings, removals, what a restart finds, a lost catalog, a hostile child.
 */
#include "engine_world.h"

#include "supervisor/sup_engine_int.h"

static void test_put_replace_delete(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	struct idx_ent ent;

	uint64_t a = put(x, "/a", "disk", 0);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.id, a);
	uint64_t b = put(x, "/a", "disk", 0);
	assert_true(b > a);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.id, b);
	wait_complete(x);
	assert_true(was_reaped(x, a));
	assert_int_equal(lookup(x, "/a", &rec), 0);
	assert_int_equal(rec.id, b);
	assert_int_equal(rec.type_len, 4);
	assert_int_equal(del(x, "/a"), 0);
	assert_int_equal(index_get(x, "/a", &ent), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(del(x, "/a"), -OBJM_STATUS_NOT_FOUND);
	wait_complete(x);
	assert_true(was_reaped(x, b));
}

static void test_ephemeral_never_persistent(void **state)
{
	struct world *x = *state;
	uint64_t id;

	assert_int_equal(prepare(x, "/e", tier_no(x, "disk"), OM_OBJ_EPHEMERAL, (struct om_op_cond){ 0 }, &id),
			 -OBJM_STATUS_INVALID_REQUEST);
	/* a worker that lies at COMMIT is stopped at the commit itself */
	assert_int_equal(prepare(x, "/e", tier_no(x, "disk"), 0, (struct om_op_cond){ 0 }, &id), 0);
	assert_int_equal(commit(x, "/e", tier_no(x, "disk"), OM_OBJ_EPHEMERAL, id), -OBJM_STATUS_INVALID_REQUEST);
	wait_complete(x);
	assert_true(was_reaped(x, id));
}

static void test_replace_across_tiers(void **state)
{
	struct world *x = *state;
	struct idx_ent ent;
	struct om_op_record rec;

	uint64_t a = put(x, "/x", "disk", 0);
	uint64_t b = put(x, "/x", "memory", OM_OBJ_EPHEMERAL);
	wait_complete(x);
	assert_true(was_reaped(x, a));
	assert_int_equal(index_get(x, "/x", &ent), 0);
	assert_int_equal(ent.id, b);
	assert_int_equal(ent.tier, tier_no(x, "memory"));
	assert_int_equal(del(x, "/x"), 0);
	assert_int_equal(lookup(x, "/x", &rec), -OBJM_STATUS_NOT_FOUND);
}

static void test_conditions(void **state)
{
	struct world *x = *state;
	uint64_t id, id2;
	struct om_op_cond none = { 0 }, absent = { .kind = OM_COND_ABSENT };

	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, absent, &id), 0);
	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, absent, &id2), -OBJM_STATUS_TRY_AGAIN);
	assert_int_equal(commit(x, "/c", tier_no(x, "memory"), 0, id), 0);
	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, absent, &id2), -OBJM_STATUS_PRECONDITION_FAILED);
	struct om_op_cond same = { .kind = OM_COND_VERSION, .id = id };
	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, same, &id2), 0);
	/* an unconditional change waits for the conditional one, and comes after it */
	uint64_t id3;
	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, none, &id3), 0);
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, "memory"), .size = 5, .id = id3, .uri_len = 2 };
	put_msg(&x->w, &m, sizeof(m), "/c", NULL, 0);
	uint64_t req3 = x->w.req;
	struct om_op_commit m2 = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, "memory"), .size = 5, .id = id2, .uri_len = 2 };
	put_msg(&x->w, &m2, sizeof(m2), "/c", NULL, 0);
	next(x);
	assert_int_equal(msg.hdr.req, x->w.req);
	assert_int_equal(((struct om_op_verdict *)msg.b)->status, 0);
	next(x);
	assert_int_equal(msg.hdr.req, req3);
	assert_int_equal(((struct om_op_verdict *)msg.b)->status, 0);
	struct idx_ent ent;
	assert_int_equal(index_get(x, "/c", &ent), 0);
	assert_int_equal(ent.id, id3);
}

static void test_list_pages(void **state)
{
	struct world *x = *state;
	char uri[32], last[64] = "";
	unsigned total = 0;
	bool more = true;

	for (int i = 0; i < 25; i++) {
		snprintf(uri, sizeof(uri), "/l/%03d", i);
		put(x, uri, i % 2 ? "disk" : "memory", 0);
	}
	put(x, "/m", "memory", 0);
	while (more)
		total += list_count(x, "/l/", 10, last, &more);
	assert_int_equal(total, 25);
}

static void test_restart_keeps(void **state)
{
	struct world *x = *state;
	struct idx_ent ent;
	uint64_t orphan;

	uint64_t a = put(x, "/keep", "disk", 0), b = put(x, "/eph", "memory", OM_OBJ_EPHEMERAL);
	assert_int_equal(prepare(x, "/never", tier_no(x, "disk"), 0, (struct om_op_cond){ 0 }, &orphan), 0);
	stop(x);
	start(x);
	for (int i = 0; i < 30000 && index_get(x, "/keep", &ent) == -OBJM_STATUS_BUSY; i++) /* it is being filled */
		usleep(1000);
	assert_int_equal(index_get(x, "/keep", &ent), 0);
	assert_int_equal(ent.id, a);
	assert_int_equal(index_get(x, "/eph", &ent), 0);
	assert_int_equal(ent.id, b);
	assert_true(put(x, "/new", "disk", 0) > orphan);
	/* the reservation was open when it ended: the unsettled range is scanned */
	world_wait_scan(x);
	assert_int_equal(x->l.scan.mode, OM_SCAN_ORPHANS);
	assert_true(x->l.scan.id_from <= orphan && orphan < x->l.scan.id_to);
}

static void test_lost_catalog_is_rebuilt(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	struct idx_ent ent;
	char path[128];

	x->l.idle = true; /* the files of what is replaced and deleted are still there when it ends */
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/a", "disk", 0), c = put(x, "/gone", "disk", 0);
	assert_int_equal(del(x, "/gone"), 0);
	stop(x);
	snprintf(path, sizeof(path), "%s/disk/catalog", x->dir);
	nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	start(x);
	uint8_t disk = tier_no(x, "disk");
	world_wait_scan(x);
	assert_int_equal(x->l.scan.mode, OM_SCAN_REBUILD);
	assert_int_equal(lookup(x, "/a", &rec), -OBJM_STATUS_UNAVAILABLE);
	world_found(x, disk, "/a", b, 0);
	world_found(x, disk, "/a", a, 0); /* the replaced one is still there: the higher id wins, in any order */
	world_found(x, disk, "/gone", c, 0);
	world_scanned(x, disk, 3);
	wait_complete(x);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.id, b);
	assert_int_equal(lookup(x, "/gone", &rec), -OBJM_STATUS_NOT_FOUND);
	assert_true(was_reaped(x, a));
	assert_true(was_reaped(x, c));
	struct sup_engine_stat st;
	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		assert_int_equal(st.tiers[i].state, OM_TIERS_READY);
}

/* The state is lost: what lies on the tiers is unavailable, not missing, until somebody says that it is ours. */
static void test_lost_state_is_adopted(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	struct idx_ent ent;
	char path[128];

	uint64_t a = put(x, "/a", "disk", 0);
	stop(x);
	snprintf(path, sizeof(path), "%s/state", x->dir);
	nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(path, 0700), 0);
	start(x);
	assert_int_equal(lookup(x, "/a", &rec), -OBJM_STATUS_UNAVAILABLE);
	stop(x);
	x->adopt[0] = "disk";
	start(x);
	world_wait_scan(x);
	assert_int_equal(x->l.scan.mode, OM_SCAN_REBUILD);
	assert_true(a < x->l.scan.id_to); /* no id of the tier is given out again */
	uint8_t disk = tier_no(x, "disk");
	world_found(x, disk, "/a", a, 0);
	world_scanned(x, disk, 1);
	wait_complete(x);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.id, a);
}

/* What was deleted and replaced while a tier was away does not come back with it. */
static void test_deleted_while_away(void **state)
{
	struct world *x = *state;
	struct idx_ent ent;
	char away[192];

	put(x, "/gone", "disk", 0);
	put(x, "/other", "disk", 0);
	stop(x);
	world_tier_away(x, "disk", away);
	start(x);
	assert_int_equal(del(x, "/gone"), 0);
	put(x, "/other", "memory", OM_OBJ_EPHEMERAL);
	assert_int_equal(del(x, "/other"), 0); /* put and deleted again: the tier's own must not resurface either */
	stop(x);
	world_tier_back(x, "disk", away);
	for (int round = 0; round < 2; round++) { /* the second start has no tombstones left to lean on */
		start(x);
		wait_complete(x);
		assert_int_equal(index_get(x, "/gone", &ent), -OBJM_STATUS_NOT_FOUND);
		assert_int_equal(index_get(x, "/other", &ent), -OBJM_STATUS_NOT_FOUND);
		stop(x);
	}
}

static void test_hostile_child_is_killed(void **state)
{
	struct world *x = *state;
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = 0, .size = 5, .id = 12345, .uri_len = 2 };

	put_msg(&x->w, &m, sizeof(m), "/c", NULL, 0);
	WORLD_UNTIL(x, x->killed);
	assert_int_equal(x->killed, 2);
}

/* How much of a tier may be pinned is judged at the PREPARE. */
static void test_commit_that_pins_unasked_is_killed(void **state)
{
	struct world *x = *state;
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, "disk"), .flags = OM_OBJ_PINNED, .size = 5, .uri_len = 2 };

	assert_int_equal(prepare(x, "/c", m.tier, 0, (struct om_op_cond){ 0 }, &m.id), 0);
	put_msg(&x->w, &m, sizeof(m), "/c", NULL, 0);
	WORLD_UNTIL(x, x->killed);
	assert_int_equal(x->killed, 2);
}

static void test_grows(void **state)
{
	struct world *x = *state;
	struct sup_engine_stat st;
	uint64_t before;

	sup_engine_stat(x->e, &st);
	before = st.slots;
	/* the pipeline of a busy worker: many PREPAREs and COMMITs at once */
	unsigned todo = 60000, sent = 0, prepared = 0, done = 0;
	uint8_t mem = tier_no(x, "memory");
	char uri[32];
	size_t len;
	while (done < todo) {
		serve_reaps(x);
		if (sent < todo && sent - done < 512) {
			int n = snprintf(uri, sizeof(uri), "/g/%u", sent);
			struct om_op_prepare p = { .hdr = { .len = (uint32_t)(sizeof(p) + (size_t)n), .type = OM_OP_PREPARE, .req = sent },
						   .tier = mem, .size = 1, .uri_len = (uint16_t)n };
			struct iovec iov[] = { { &p, sizeof(p) }, { uri, (size_t)n } };
			if (om_ring_put(&x->w.ring, iov, 2) == 0)
				sent++;
			om_ring_kick(&x->w.ring);
		}
		if (om_ring_get(&x->w.ring, msg.b, sizeof(msg.b), &len) < 0)
			continue;
		struct om_op_verdict v;
		memcpy(&v, msg.b, sizeof(v));
		assert_int_equal(v.status, 0);
		if (v.hdr.req & 1u << 31) {
			done++;
			continue;
		}
		int n = snprintf(uri, sizeof(uri), "/g/%u", (unsigned)v.hdr.req);
		struct om_op_commit c = { .hdr = { .len = (uint32_t)(sizeof(c) + (size_t)n), .type = OM_OP_COMMIT,
						   .req = v.hdr.req | 1u << 31 },
					  .id = v.id, .tier = mem, .size = 1, .uri_len = (uint16_t)n };
		struct iovec iov[] = { { &c, sizeof(c) }, { uri, (size_t)n } };
		while (om_ring_put(&x->w.ring, iov, 2) < 0)
			om_ring_kick(&x->w.ring);
		om_ring_kick(&x->w.ring);
		prepared++;
	}
	assert_int_equal(prepared, todo);
	for (int i = 0; i < 3000; i++) {
		sup_engine_stat(x->e, &st);
		if (st.slots > before && st.objects >= todo)
			break;
		usleep(1000);
	}
	assert_int_equal(st.objects, todo);
	assert_true(st.slots > before);
}

/*
 * Where many objects go at once, the files of the first go at once, those of the others a little later, and in the end all of them, in
 * whatever way they were removed.
 */
static void test_many_removals_come_late(void **state)
{
	enum { MANY = 600, AT_ONCE = 256 };
	static uint64_t ids[MANY];
	struct world *x = *state;
	char uri[32];
	unsigned there = 0;

	/* whatever this machine's file system says: how many lanes are found there differs from one tier to the next */
	atomic_store(&x->e->tier_by_no[tier_no(x, "disk")]->late, true);
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(uri, sizeof(uri), "/late/%u", i);
		ids[i] = put(x, uri, "disk", 0);
	}
	uint64_t began = om_now_ns();
	for (unsigned i = 0; i < MANY; i++) { /* none waits for the one before: they are committed together */
		(void)snprintf(uri, sizeof(uri), "/late/%u", i);
		struct om_op_delete m = { .hdr.type = OM_OP_DELETE, .uri_len = (uint16_t)strlen(uri) };
		put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	}
	for (unsigned i = 0; i < MANY; i++) {
		next(x);
		assert_int_equal(msg.hdr.type, OM_OP_VERDICT);
		assert_int_equal(((const struct om_op_verdict *)msg.b)->status, 0);
	}
	for (unsigned i = 0; i < 300; i++, usleep(1000))
		serve_reaps(x); /* whatever goes at once goes now */
	for (unsigned i = 0; i < MANY; i++)
		there += world_file_is(x, tier_no(x, "disk"), ids[i]);
	bool in_time = om_now_ns() - began < UINT64_C(1500000000); /* else a slow machine has seen the end of the wait */
	if (in_time)
		assert_in_range(there, MANY - 2 * AT_ONCE, MANY);
	wait_complete(x);
	for (unsigned i = 0; i < MANY; i++)
		assert_false(world_file_is(x, tier_no(x, "disk"), ids[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_put_replace_delete),
		T(test_ephemeral_never_persistent),
		T(test_replace_across_tiers),
		T(test_conditions),
		T(test_list_pages),
		T(test_restart_keeps),
		T(test_lost_catalog_is_rebuilt),
		T(test_lost_state_is_adopted),
		T(test_deleted_while_away),
		T(test_hostile_child_is_killed),
		T(test_commit_that_pins_unasked_is_killed),
		T(test_grows),
		T(test_many_removals_come_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
