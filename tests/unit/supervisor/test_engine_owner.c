/*
 * test_engine_owner.c: what users own, through the real engine: sums after every kind of change, limits that are never passed, and
 * what a replacement gives back.
 */
#include <lmdb.h>

#include "engine_moves.h"

#define ALICE 1000u
#define BOB 1001u

static struct sup_engine_owner owns(struct world *x, uint32_t uid) { return world_owns(x, uid); }

static unsigned users(struct world *x)
{
	struct sup_engine_owner *v;
	size_t n;

	assert_int_equal(sup_engine_owners(x->e, &v, &n), 0);
	free(v);
	return (unsigned)n;
}

#define OWNS(x, uid, n, sum) \
	do { \
		struct sup_engine_owner o_ = owns(x, uid); \
		assert_int_equal(o_.objects, n); \
		assert_int_equal(o_.bytes, sum); \
	} while (0)

static struct om_op_verdict last;

static int ask(struct world *x, const char *uri, const char *tier, uint32_t uid, uint64_t size, uint64_t *ret_id)
{
	struct om_op_prepare m = { .hdr.type = OM_OP_PREPARE, .tier = tier_no(x, tier), .size = size, .uid = uid,
				   .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	last = *verdict(x);
	*ret_id = last.id;
	if (last.status == 0)
		world_file_make_uri(x, m.tier, last.id, uri, 0);
	return last.status;
}

static int end(struct world *x, const char *uri, const char *tier, uint64_t size, uint64_t id)
{
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, tier), .size = size, .id = id, .mtime_ns = 7,
				  .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	return verdict(x)->status;
}

static uint64_t give(struct world *x, const char *uri, const char *tier, uint32_t uid, uint64_t size)
{
	uint64_t id;

	assert_int_equal(ask(x, uri, tier, uid, size, &id), 0);
	assert_int_equal(end(x, uri, tier, size, id), 0);
	return id;
}

static void give_up(struct world *x, uint64_t id)
{
	struct om_op_abort m = { .hdr.type = OM_OP_ABORT, .id = id };

	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
}

static void limits(struct world *x, uint64_t bytes, uint32_t objects)
{
	x->conf->limits.bytes_per_uid = bytes;
	x->conf->limits.objects_per_uid = objects;
	sup_engine_conf(x->e, x->conf);
}

static void restart(struct world *x)
{
	world_restart(x);
}

/* ---- sums ---- */

static void test_sums(void **state)
{
	struct world *x = *state;

	uint64_t a = give(x, "/a", "disk", ALICE, 100);
	give(x, "/b", "memory", ALICE, 200); /* more than the copy below */
	give(x, "/c", "slow", OM_UID_NONE, 3);
	OWNS(x, ALICE, 2, 300);
	OWNS(x, OM_UID_NONE, 1, 3);
	/* a number that means "not known" is nobody's to have */
	give(x, "/d", "disk", OM_UID_OLD, 4);
	OWNS(x, OM_UID_NONE, 2, 7);
	OWNS(x, OM_UID_OLD, 0, 0);
	/* moves keep the owner, a cached copy is nobody's */
	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	OWNS(x, ALICE, 2, 300);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	OWNS(x, ALICE, 2, 300);
	restart(x);
	OWNS(x, ALICE, 2, 300);
	OWNS(x, OM_UID_NONE, 2, 7);
	/* what another puts is the other's, on another tier, too */
	give(x, "/a", "disk", BOB, 50);
	OWNS(x, ALICE, 1, 200);
	OWNS(x, BOB, 1, 50);
	give(x, "/a", "disk", BOB, 60);
	OWNS(x, BOB, 1, 60);
	assert_int_equal(del(x, "/a"), 0);
	assert_int_equal(del(x, "/b"), 0);
	assert_int_equal(del(x, "/c"), 0);
	assert_int_equal(del(x, "/d"), 0);
	wait_complete(x);
	assert_int_equal(users(x), 0); /* who has nothing takes no memory */
	restart(x);
	assert_int_equal(users(x), 0);
}

static void test_set_and_drop(void **state)
{
	struct world *x = *state;
	struct om_op_prepare m = { .hdr.type = OM_OP_PREPARE, .tier = tier_no(x, "disk"), .flags = OM_OBJ_EVICTABLE, .size = 9,
				   .uid = ALICE, .uri_len = 2 };

	put_msg(&x->w, &m, sizeof(m), "/e", NULL, 0);
	uint64_t id = verdict(x)->id;
	struct om_op_commit c = { .hdr.type = OM_OP_COMMIT, .tier = m.tier, .flags = OM_OBJ_EVICTABLE, .size = 9, .id = id, .mtime_ns = 7,
				  .uri_len = 2 };
	world_file_make_uri(x, m.tier, id, "/e", OM_OBJ_EVICTABLE);
	put_msg(&x->w, &c, sizeof(c), "/e", NULL, 0);
	assert_int_equal(verdict(x)->status, 0);
	OWNS(x, ALICE, 1, 9);
	struct om_op_drop d = { .hdr.type = OM_OP_DROP, .id = id, .rev = 1, .tier = m.tier, .why = OM_DROP_EVICT, .uri_len = 2 };
	put_msg(&x->l, &d, sizeof(d), "/e", NULL, 0);
	assert_int_equal(mv_verdict(x), 0);
	assert_int_equal(users(x), 0);
	/* a file that is gone */
	id = give(x, "/f", "disk", ALICE, 11);
	world_file_remove(x, tier_no(x, "disk"), id);
	struct om_op_gone g = { .hdr.type = OM_OP_GONE, .id = id, .tier = tier_no(x, "disk"), .uri_len = 2 };
	put_msg(&x->w, &g, sizeof(g), "/f", NULL, 0);
	assert_int_equal(verdict(x)->status, -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(users(x), 0);
}

/* ---- limits ---- */

static int hits(struct world *x, const char *uri, const char *tier, uint32_t uid, uint64_t size)
{
	uint64_t id;
	int status = ask(x, uri, tier, uid, size, &id);

	if (status == 0)
		give_up(x, id);
	return status == -OBJM_STATUS_LIMIT_EXCEEDED ? (int)last.cur_rev : status;
}

static void test_bytes(void **state)
{
	struct world *x = *state;
	uint64_t id, id2;

	limits(x, 1000, 0);
	give(x, "/a", "disk", ALICE, 600);
	assert_int_equal(hits(x, "/b", "slow", ALICE, 401), OM_OWNER_BYTES);
	assert_int_equal(last.cur_id, 1000);
	assert_int_equal(last.id, 0);
	/* promises count, and end */
	assert_int_equal(ask(x, "/b", "slow", ALICE, 400, &id), 0);
	assert_int_equal(owns(x, ALICE).reserved_bytes, 400);
	assert_int_equal(hits(x, "/c", "memory", ALICE, 1), OM_OWNER_BYTES);
	give_up(x, id);
	assert_int_equal(ask(x, "/c", "memory", ALICE, 400, &id), 0);
	assert_int_equal(end(x, "/c", "memory", 300, id), 0); /* less than was announced */
	OWNS(x, ALICE, 2, 900);
	assert_int_equal(owns(x, ALICE).reserved_bytes, 0);
	/* others have their own; TCP is one user; the daemon's own and root are not held */
	give(x, "/x", "disk", BOB, 1000);
	give(x, "/y", "disk", OM_UID_NONE, 999);
	assert_int_equal(hits(x, "/z", "disk", OM_UID_NONE, 2), OM_OWNER_BYTES);
	give(x, "/r", "disk", 0, 5000);
	give(x, "/s", "disk", (uint32_t)geteuid(), 5000);
	/* a delete makes room at once */
	assert_int_equal(del(x, "/c"), 0);
	assert_int_equal(hits(x, "/d", "disk", ALICE, 400), 0);
	/* lowered: nothing goes, nothing comes; another's put over it gives it back */
	limits(x, 500, 0);
	OWNS(x, ALICE, 1, 600);
	assert_int_equal(hits(x, "/d", "disk", ALICE, 1), OM_OWNER_BYTES);
	assert_int_equal(hits(x, "/d", "disk", ALICE, 0), 0); /* which is no byte more */
	give(x, "/a", "disk", 0, 1);
	OWNS(x, ALICE, 0, 0);
	assert_int_equal(hits(x, "/d", "disk", ALICE, 501), OM_OWNER_BYTES);
	assert_int_equal(hits(x, "/d", "disk", ALICE, 500), 0);
	/* a worker dies with its promises */
	assert_int_equal(ask(x, "/d", "disk", ALICE, 500, &id), 0);
	world_worker_again(x);
	WORLD_UNTIL(x, !owns(x, ALICE).reserved_bytes);
	assert_int_equal(ask(x, "/d", "disk", ALICE, 500, &id2), 0);
	assert_int_equal(x->killed, 0);
}

static void test_objects(void **state)
{
	struct world *x = *state;
	char name[8];
	uint64_t id;

	limits(x, 0, 3);
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "/%u", i);
		give(x, name, i ? "disk" : "memory", ALICE, 0);
	}
	assert_int_equal(hits(x, "/3", "disk", ALICE, 0), OM_OWNER_OBJECTS);
	assert_int_equal(last.cur_id, 3);
	give(x, "/1", "disk", ALICE, 77); /* one's own, again */
	OWNS(x, ALICE, 3, 77);
	assert_int_equal(del(x, "/0"), 0);
	assert_int_equal(ask(x, "/3", "disk", ALICE, 0, &id), 0);
	assert_int_equal(hits(x, "/4", "disk", ALICE, 0), OM_OWNER_OBJECTS);
	/* a rule for one user */
	struct om_conf_rule rules[3] = {
		{ .user = { .kind = OM_CONF_ID_ID, .id = ALICE, .name = (char *)"" }, .max_objects = 5, .max_bytes = 100, .prefix = (char *)"*" },
		{ .user = { .kind = OM_CONF_ID_ID, .id = ALICE, .name = (char *)"" }, .max_objects = 4, .prefix = (char *)"*" },
		{ .user = { .kind = OM_CONF_ID_ID, .id = 0, .name = (char *)"" }, .max_bytes = 10, .prefix = (char *)"*" },
	};
	struct om_conf with = *x->conf;
	with.access.rules = rules;
	with.access.n_rules = 3;
	sup_engine_conf(x->e, &with);
	assert_int_equal(owns(x, ALICE).max_objects, 5);
	assert_int_equal(owns(x, ALICE).max_bytes, 100);
	give(x, "/4", "disk", ALICE, 0);
	assert_int_equal(hits(x, "/5", "disk", ALICE, 24), OM_OWNER_BYTES);
	assert_int_equal(hits(x, "/5", "disk", 0, 11), OM_OWNER_BYTES); /* named, root is held too */
	assert_int_equal(hits(x, "/5", "disk", BOB, 2000), 0);
	sup_engine_conf(x->e, x->conf);
	assert_int_equal(hits(x, "/5", "disk", 0, 11), 0);
}

/* What is replaced is given back to its owner, and only to the owner, and only once. */
static void test_replace(void **state)
{
	struct world *x = *state;
	uint64_t id, id2;

	limits(x, 1000, 2);
	give(x, "/a", "disk", ALICE, 900);
	give(x, "/b", "disk", BOB, 900);
	assert_int_equal(hits(x, "/a", "disk", ALICE, 1001), OM_OWNER_BYTES);
	assert_int_equal(hits(x, "/b", "disk", ALICE, 101), OM_OWNER_BYTES); /* it is Bob's */
	give(x, "/a", "slow", ALICE, 1000); /* to another tier */
	OWNS(x, ALICE, 1, 1000);
	/* what is promised over it takes nothing off what is there */
	assert_int_equal(ask(x, "/a", "slow", ALICE, 1000, &id), 0);
	OWNS(x, ALICE, 1, 1000);
	assert_int_equal(owns(x, ALICE).reserved_bytes, 1000);
	give_up(x, id);
	/* two at once: one of them gives back, the other would come on top of it */
	assert_int_equal(ask(x, "/a", "disk", ALICE, 1000, &id), 0);
	assert_int_equal(hits(x, "/a", "disk", ALICE, 1), OM_OWNER_BYTES);
	/* deleted meanwhile: the promise stands, and nothing fits beside it */
	assert_int_equal(del(x, "/a"), 0);
	OWNS(x, ALICE, 0, 0);
	assert_int_equal(hits(x, "/c", "disk", ALICE, 1), OM_OWNER_BYTES);
	assert_int_equal(end(x, "/a", "disk", 1000, id), 0);
	OWNS(x, ALICE, 1, 1000);
	/* replaced by another meanwhile */
	assert_int_equal(ask(x, "/a", "disk", ALICE, 1000, &id), 0);
	give(x, "/a", "disk", 0, 1);
	OWNS(x, ALICE, 0, 0);
	assert_int_equal(hits(x, "/c", "disk", ALICE, 1), OM_OWNER_BYTES);
	assert_int_equal(end(x, "/a", "disk", 1000, id), 0); /* older than what stands */
	wait_complete(x);
	OWNS(x, ALICE, 0, 0);
	assert_int_equal(owns(x, ALICE).reserved_bytes, 0);
	/* given up: what stands counts again */
	give(x, "/d", "disk", ALICE, 1000);
	assert_int_equal(ask(x, "/d", "disk", ALICE, 1000, &id), 0);
	give_up(x, id);
	assert_int_equal(hits(x, "/c", "disk", ALICE, 1), OM_OWNER_BYTES);
	assert_int_equal(ask(x, "/d", "disk", ALICE, 500, &id2), 0);
	assert_int_equal(end(x, "/d", "disk", 500, id2), 0);
	OWNS(x, ALICE, 1, 500);
	/* above a limit that was lowered: smaller is welcome, larger is not */
	limits(x, 100, 2);
	assert_int_equal(hits(x, "/d", "disk", ALICE, 501), OM_OWNER_BYTES);
	give(x, "/d", "disk", ALICE, 400);
	OWNS(x, ALICE, 1, 400);
	restart(x);
	OWNS(x, ALICE, 1, 400);
	assert_int_equal(x->killed, 0);
}

/* While the catalogs are still being read the sums are already whole. */
static void test_limit_from_the_start(void **state)
{
	struct world *x = *state;
	char name[16];
	uint64_t id;

	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "/o/%u", i);
		give(x, name, "disk", ALICE, 10);
	}
	stop(x);
	x->conf->limits.bytes_per_uid = 3000;
	start(x);
	assert_int_equal(hits(x, "/more", "disk", ALICE, 1), OM_OWNER_BYTES);
	assert_int_equal(ask(x, "/o/7", "disk", ALICE, 10, &id), 0); /* one's own: a reader found out */
	assert_int_equal(end(x, "/o/7", "disk", 10, id), 0);
	OWNS(x, ALICE, 300, 3000);
	wait_complete(x);
	OWNS(x, ALICE, 300, 3000);
}

/* What open puts reserve has the limit once more for itself. */
static void test_rooms(void **state)
{
	struct world *x = *state;

	limits(x, 1000, 0);
	give(x, "/a", "disk", ALICE, 1000);
	struct om_op_reserve m = { .hdr.type = OM_OP_RESERVE, .bytes = 700, .room = 1, .tier = tier_no(x, "disk"), .uid = ALICE };
	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
	assert_int_equal(verdict(x)->status, 0);
	m.room = 2;
	m.bytes = 301;
	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
	const struct om_op_verdict *v = verdict(x);
	assert_int_equal(v->status, -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_int_equal(v->cur_rev, OM_OWNER_ROOM);
	m.room = 1; /* it grows */
	m.bytes = 1000;
	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
	assert_int_equal(verdict(x)->status, 0);
	assert_int_equal(owns(x, ALICE).reserved_bytes, 1000);
	struct om_op_release r = { .hdr.type = OM_OP_RELEASE, .room = 1 };
	put_msg(&x->w, &r, sizeof(r), "", NULL, 0);
	m.room = 2;
	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
	assert_int_equal(verdict(x)->status, 0);
	assert_int_equal(owns(x, ALICE).reserved_bytes, 1000);
	world_worker_again(x);
	WORLD_UNTIL(x, !owns(x, ALICE).reserved_bytes);
	OWNS(x, ALICE, 1, 1000);
}

/* A catalog that is lost: the files say whose they are; one from before there were owners is nobody's, and nobody is held for it. */
static void test_rebuild(void **state)
{
	struct world *x = *state;
	char path[128];

	x->scans = true;
	limits(x, 100, 0);
	x->uid = ALICE;
	give(x, "/a", "disk", ALICE, 5);
	x->uid = BOB;
	give(x, "/b", "disk", BOB, 5);
	x->uid = OM_UID_OLD;
	give(x, "/c", "disk", 0, 5);
	stop(x);
	(void)snprintf(path, sizeof(path), "%s/disk/catalog/data.mdb", x->dir);
	assert_int_equal(unlink(path), 0);
	start(x);
	wait_complete(x);
	OWNS(x, ALICE, 1, 5);
	OWNS(x, BOB, 1, 5);
	OWNS(x, OM_UID_OLD, 1, 5);
	assert_int_equal(owns(x, OM_UID_OLD).max_bytes, 0);
	restart(x);
	OWNS(x, OM_UID_OLD, 1, 5);
	give(x, "/c", "disk", ALICE, 6); /* put again, it has an owner */
	OWNS(x, OM_UID_OLD, 0, 0);
	OWNS(x, ALICE, 2, 11);
	/* by order, while it serves: counted again from the records */
	assert_int_equal(sup_engine_rebuild(x->e, "disk"), 0);
	world_wait_state(x, "disk", OM_TIERS_READY);
	wait_complete(x);
	OWNS(x, ALICE, 2, 11);
	OWNS(x, BOB, 1, 5);
}

/* A record that rots, as the disk would do it. */
static void rot(const struct world *x, const char *uri)
{
	char path[128], junk[64] = "no record";
	MDB_val k = { strlen(uri), (void *)(uintptr_t)uri }, v = { sizeof(junk), junk };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	(void)snprintf(path, sizeof(path), "%s/disk/catalog", x->dir);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
	assert_int_equal(mdb_env_set_mapsize(env, UINT64_C(1) << 30), 0);
	assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "objects", 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

/* It is made again from its file; what it had been counted with is not counted twice. */
static void test_damage(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;

	x->scans = true;
	x->uid = ALICE;
	give(x, "/a", "disk", ALICE, 5);
	give(x, "/b", "disk", ALICE, 5);
	stop(x);
	rot(x, "/a");
	start(x);
	WORLD_UNTIL(x, lookup(x, "/a", &rec) == 0);
	world_wait_state(x, "disk", OM_TIERS_READY);
	wait_complete(x);
	OWNS(x, ALICE, 2, 10);
	restart(x);
	OWNS(x, ALICE, 2, 10);
}

/* A memory tier that goes takes what was there off its owners; a disk's objects stay theirs while it is away. */
static void test_tier_goes(void **state)
{
	struct world *x = *state;
	char mark[128], away[192];

	give(x, "/m", "memory", ALICE, 10);
	give(x, "/d", "slow", ALICE, 20);
	world_tier_away(x, "slow", away);
	(void)snprintf(mark, sizeof(mark), "%s/.objmapper-tier", x->mem);
	assert_int_equal(unlink(mark), 0);
	WORLD_UNTIL(x, owns(x, ALICE).objects == 1);
	OWNS(x, ALICE, 1, 20);
	world_tier_back(x, "slow", away);
	world_wait_state(x, "slow", OM_TIERS_READY);
	give(x, "/e", "disk", ALICE, 1);
	OWNS(x, ALICE, 2, 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_sums),
		T(test_set_and_drop),
		T(test_bytes),
		T(test_objects),
		T(test_replace),
		T(test_limit_from_the_start),
		T(test_rooms),
		T(test_rebuild),
		T(test_damage),
		T(test_tier_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
