/*
 * test_engine_tiers.c: tiers while the engine runs: they leave and come back in the middle of changes, are made again from their files,
 * are given up; and which of them new objects go to. What a crash makes of it: tests/scenario/tier_003_kill.bats.
 */
#include "engine_moves.h"

#include <lmdb.h>
#include <signal.h>
#include <sys/wait.h>

#include "supervisor/sup_engine_int.h"

#define N 150

static const char *name(unsigned i)
{
	static char text[32];

	(void)snprintf(text, sizeof(text), "/n/%03u", i);
	return text;
}

static int put_once(struct world *x, const char *uri, const char *tier, uint64_t *ret_id)
{
	int status = prepare(x, uri, tier_no(x, tier), 0, (struct om_op_cond){ 0 }, ret_id);

	return status == 0 ? commit(x, uri, tier_no(x, tier), 0, *ret_id) : status;
}

static struct sup_tier *tier_of(struct world *x, const char *tier) { return x->e->tier_by_no[tier_no(x, tier)]; }

/* Deletes and replaces, all the way through a tier's going, its absence and its return: what was acknowledged is true afterwards. */
static void test_changes_all_the_way(void **state)
{
	struct world *x = *state;
	uint64_t id[N], want[N];
	char away[192], last[64] = "";
	struct idx_ent ent;
	unsigned gone = 0;
	bool more;

	for (unsigned i = 0; i < N; i++)
		id[i] = want[i] = put(x, name(i), "disk", 0);
	for (unsigned i = 0; i < N; i++) {
		if (i == N / 6)
			world_tier_away(x, "disk", away);
		if (i == N / 3)
			world_wait_state(x, "disk", OM_TIERS_ABSENT);
		if (i == 2 * N / 3)
			world_tier_back(x, "disk", away);
		uint64_t fresh;
		/* one is replaced on another tier, one deleted, one left alone */
		if (i % 3 == 0 && put_once(x, name(i), "slow", &fresh) == 0)
			want[i] = fresh;
		if (i % 3 == 1 && del(x, name(i)) == 0)
			want[i] = 0;
		gone += want[i] == 0;
		if (i >= 2 * N / 3)
			(void)usleep(5000); /* so that some of it falls into the reading */
	}
	assert_true(gone > N / 6);
	world_wait_state(x, "disk", OM_TIERS_READY);
	wait_complete(x);
	for (unsigned again = 0; again < 2; again++) {
		for (unsigned i = 0; i < N; i++) {
			int err = index_get(x, name(i), &ent);
			if (!want[i]) {
				assert_int_equal(err, -OBJM_STATUS_NOT_FOUND);
				continue;
			}
			assert_int_equal(err, 0);
			assert_int_equal(ent.id, want[i]);
			assert_int_equal(ent.tier, tier_no(x, want[i] == id[i] ? "disk" : "slow"));
		}
		last[0] = '\0';
		assert_int_equal(list_count(x, "/n/", 2 * N, last, &more), N - gone);
		stop(x); /* and so after a restart */
		start(x);
		wait_complete(x);
	}
}

/* The tier goes while it is coming. */
static void test_comes_and_goes_at_once(void **state)
{
	struct world *x = *state;
	char away[192];
	uint64_t id[N];
	bool late = atomic_load(&tier_of(x, "disk")->late);

	for (unsigned i = 0; i < N; i++)
		id[i] = put(x, name(i), "disk", 0);
	for (unsigned round = 0; round < 3; round++) {
		world_tier_away(x, "disk", away);
		world_wait_state(x, "disk", OM_TIERS_ABSENT);
		if (round == 0) /* as if it had lain on another filesystem; later it may be coming already, and be told so before this */
			atomic_store(&tier_of(x, "disk")->late, !late);
		world_tier_back(x, "disk", away);
		for (int i = 0; i < 30000 && round < 2 && atomic_load(&tier_of(x, "disk")->phase) == SUP_PHASE_ABSENT; i++)
			(void)usleep(200); /* it has begun to come */
	}
	world_wait_state(x, "disk", OM_TIERS_READY);
	assert_int_equal(atomic_load(&tier_of(x, "disk")->late), be_removes_late(tier_of(x, "disk")->stagingfd));
	wait_complete(x);
	for (unsigned i = 0; i < N; i++)
		mv_check_at(x, name(i), id[i], "disk", "disk");
}

/* A memory tier goes with what was in it; copies' homes serve; the directory that takes its place is used. */
static void test_memory_goes(void **state)
{
	struct world *x = *state;
	char away[192];
	struct idx_ent ent;
	uint64_t a = put(x, "/a", "disk", 0), d = put(x, "/d", "disk", 0), e;

	(void)put(x, "/e", "memory", OM_OBJ_EPHEMERAL);
	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	world_tier_away(x, "memory", away);
	world_wait_state(x, "memory", OM_TIERS_ABSENT);
	/* the index is gone through in steps, in any order */
	WORLD_UNTIL(x, index_get(x, "/e", &ent) == -OBJM_STATUS_NOT_FOUND && index_get(x, "/a", &ent) == 0 && ent.tier == ent.home);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_at(x, "/d", d, "disk", "disk");
	assert_int_equal(mkdir(x->mem, 0700), 0);
	world_wait_state(x, "memory", OM_TIERS_READY);
	world_worker_again(x); /* those that had the old directories are replaced */
	world_lifecycle_again(x);
	e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL);
	mv_check_at(x, "/e", e, "memory", "memory");
	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	mv_check_at(x, "/a", a, "memory", "disk");
	nftw(away, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- reloads ---- */

struct reloads {
	struct world *x;
	struct om_conf other; /* as the world's, with half of the room, and no promise of durability */
	_Atomic bool stop;
	_Atomic unsigned n;
};

static void *reload_main(void *arg)
{
	struct reloads *r = arg;

	while (!atomic_load(&r->stop)) {
		sup_engine_conf(r->x->e, atomic_fetch_add(&r->n, 1) % 2 ? r->x->conf : &r->other);
		(void)usleep(100);
	}
	sup_engine_conf(r->x->e, &r->other);
	return NULL;
}

/* The configuration changes while a tier goes and comes: the last one is in force afterwards, whole. (For ThreadSanitizer as well.) */
static void test_reloads_meet_a_tier_that_comes(void **state)
{
	struct world *x = *state;
	struct reloads r = { .x = x, .other = *x->conf };
	struct om_conf_backend b[3];
	struct sup_engine_stat st;
	char away[192];
	pthread_t thread;

	assert_int_equal(x->conf->n_backends, 3);
	memcpy(b, x->conf->backends, sizeof(b));
	for (unsigned i = 0; i < 3; i++) {
		b[i].capacity.bytes /= 2;
		b[i].durability = OM_DUR_NONE;
		b[i].perf_factor = 7;
	}
	r.other.backends = b;
	(void)put(x, "/a", "disk", 0);
	assert_int_equal(pthread_create(&thread, NULL, reload_main, &r), 0);
	for (unsigned round = 0; round < 2; round++) {
		world_tier_away(x, "disk", away);
		world_wait_state(x, "disk", OM_TIERS_ABSENT);
		world_tier_back(x, "disk", away);
		world_wait_state(x, "disk", OM_TIERS_READY);
	}
	atomic_store(&r.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(atomic_load(&r.n) > 2);
	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(st.tiers[i].capacity_bytes, b[i].capacity.bytes);
		assert_int_equal(st.tiers[i].durability, OM_DUR_NONE);
		assert_true(st.tiers[i].perf_factor > 6 && st.tiers[i].perf_factor < 8);
	}
	sup_engine_conf(x->e, x->conf);
}

/* ---- forgetting ---- */

static void on_order(void *arg, const struct sup_engine_answer *a) { *(int *)arg = a->status; }

static int order(struct world *x, const char *tier, enum sup_engine_order what)
{
	int status = 1;

	assert_int_equal(sup_engine_tier_order(x->e, tier, what, true, 10000, on_order, &status), 0);
	WORLD_UNTIL(x, (sup_engine_asks(x->e, 0), status <= 0));
	return status;
}

static uint64_t removals(struct world *x)
{
	struct sup_engine_stat st;

	sup_engine_stat(x->e, &st);
	return st.pending_removals;
}

/* A tier is forgotten while a put on it has not ended and files of it are to be removed: its number stays until they are done with, and
 * nobody is asked to remove a file of a tier that has none. */
static void test_forgotten_with_work_left(void **state)
{
	struct world *x = *state;
	char away[192];
	uint64_t a = put(x, "/a", "disk", 0), b;
	uint8_t disk = tier_no(x, "disk");

	assert_true(a);
	x->l.idle = true;
	assert_int_equal(del(x, "/a"), 0); /* its file stays, and then its disk is gone */
	assert_int_equal(prepare(x, "/b", disk, 0, (struct om_op_cond){ 0 }, &b), 0);
	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	assert_true(removals(x) > 0);
	WORLD_UNTIL(x, atomic_load(&tier_of(x, "disk")->phase) == SUP_PHASE_ABSENT);
	assert_int_equal(order(x, "disk", SUP_TIER_FORGET), 0);
	assert_int_equal(tier_no(x, "disk"), disk);
	world_worker_again(x); /* its put ends with it */
	world_lifecycle_again(x);
	WORLD_UNTIL(x, tier_no(x, "disk") == OM_TIER_NONE && removals(x) == 0);
	assert_int_equal(atomic_load(&x->killed), 0);
	wait_complete(x);
	(void)put(x, "/c", "slow", 0);
	nftw(away, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Somebody looks into a tier's catalog with a tool, and is killed. */
static void killed_reader(const char *dir)
{
	int fds[2], status;
	char c;

#ifdef __SANITIZE_THREAD__
	return; /* its addresses have no room for the catalog's map a second time, in the child */
#endif
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		MDB_env *env;
		MDB_txn *txn;
		if (mdb_env_create(&env) != 0 || mdb_env_open(env, dir, MDB_RDONLY, 0600) != 0 || mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0)
			_exit(1);
		(void)!write(fds[1], "x", 1);
		for (;;)
			(void)pause();
	}
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	(void)close(fds[0]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* Removals that wait for their time: those of a forgotten tier go, those of another one, before and behind them, are done. */
static void test_forgotten_while_others_wait(void **state)
{
	struct world *x = *state;
	char away[192], uri[16];
	uint64_t id[5];

	atomic_store(&x->e->late_ns, UINT64_C(3600) * 1000000000u);
	atomic_store(&x->e->late_from, 0);
	for (unsigned i = 0; i < x->e->n_tiers; i++)
		atomic_store(&x->e->tiers[i].late, true);
	for (unsigned i = 0; i < 5; i++) {
		(void)snprintf(uri, sizeof(uri), "/l/%u", i);
		id[i] = put(x, uri, i % 2 ? "slow" : "disk", 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		(void)snprintf(uri, sizeof(uri), "/l/%u", i);
		assert_int_equal(del(x, uri), 0);
	}
	assert_int_equal(removals(x), 5);
	killed_reader(tier_of(x, "slow")->conf->index_path);
	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	WORLD_UNTIL(x, atomic_load(&tier_of(x, "disk")->phase) == SUP_PHASE_ABSENT);
	assert_int_equal(order(x, "disk", SUP_TIER_FORGET), 0);
	assert_int_equal(idx_cat_reader_check(tier_of(x, "slow")->cat), 0); /* who saw that the disk is gone has cleared it */
	WORLD_UNTIL(x, tier_no(x, "disk") == OM_TIER_NONE && removals(x) == 2);
	assert_true(world_file_is(x, tier_no(x, "slow"), id[1]));
	atomic_store(&x->e->late_ns, 0);
	mv_wait_file_gone(x, "slow", id[1]);
	mv_wait_file_gone(x, "slow", id[3]);
	wait_complete(x);
	assert_int_equal(removals(x), 0);
	nftw(away, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- conditions ---- */

/* A condition on a version that a tier holds that is not here can neither be true nor false. */
static void test_version_on_an_absent_tier(void **state)
{
	struct world *x = *state;
	char away[192];
	uint64_t fresh, a = put(x, "/a", "disk", 0);
	struct om_op_cond is_a = { .kind = OM_COND_VERSION, .id = a };
	struct om_op_delete d = { .hdr.type = OM_OP_DELETE, .cond = is_a, .uri_len = 2 };

	world_tier_away(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_ABSENT);
	stop(x);
	start(x); /* the index of this run has never heard of it */
	for (unsigned filled = 0; filled < 2; filled++) { /* asked of a reader, or of the index */
		assert_int_equal(prepare(x, "/a", tier_no(x, "slow"), 0, is_a, &fresh), -OBJM_STATUS_UNAVAILABLE);
		put_msg(&x->w, &d, sizeof(d), "/a", NULL, 0);
		assert_int_equal(verdict(x)->status, -OBJM_STATUS_UNAVAILABLE);
		WORLD_UNTIL(x, atomic_load(&x->e->filled));
	}
	world_tier_back(x, "disk", away);
	world_wait_state(x, "disk", OM_TIERS_READY);
	assert_int_equal(prepare(x, "/a", tier_no(x, "slow"), 0, (struct om_op_cond){ .kind = OM_COND_VERSION, .id = a + 1 }, &fresh),
			 -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(prepare(x, "/a", tier_no(x, "slow"), 0, is_a, &fresh), 0);
	assert_int_equal(commit(x, "/a", tier_no(x, "slow"), 0, fresh), 0);
}

/* ---- rebuild by hand ---- */

/* Files of this very run: committed, replaced, being put, deleted while it is under way. */
static void test_rebuild_of_this_run(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	uint64_t b, a = put(x, "/a", "disk", 0), r1 = put(x, "/r", "disk", 0), r2 = put(x, "/r", "disk", 0), c = put(x, "/c", "disk", 0);
	uint8_t disk = tier_no(x, "disk");

	assert_int_equal(prepare(x, "/b", disk, 0, (struct om_op_cond){ 0 }, &b), 0);
	mv_wait_file_gone(x, "disk", r1);
	uint64_t d = put(x, "/d", "disk", 0);
	assert_int_equal(sup_engine_rebuild(x->e, "nowhere"), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(del(x, "/d"), 0); /* before it begins: its file is removed, or is not yet, and the state environment names it */
	assert_int_equal(sup_engine_rebuild(x->e, "disk"), 0);
	world_wait_scan(x);
	assert_int_equal(x->l.scan.mode, OM_SCAN_REBUILD);
	assert_int_equal(x->l.scan.tier, disk);
	assert_true(x->l.scan.id_from <= a && x->l.scan.id_to > b); /* all that lies there is asked about */
	assert_int_equal(sup_engine_rebuild(x->e, "disk"), -OBJM_STATUS_BUSY);
	assert_int_equal(lookup(x, "/none", &rec), -OBJM_STATUS_UNAVAILABLE); /* a miss proves nothing now */
	assert_int_equal(del(x, "/c"), 0);
	uint64_t late = put(x, "/late", "disk", 0);
	world_found(x, disk, "/a", a, 0);
	world_found(x, disk, "/b", b, 0); /* its put has not ended */
	world_found(x, disk, "/c", c, 0); /* the scan had read it before it was removed */
	world_found(x, disk, "/d", d, 0);
	world_found(x, disk, "/r", r1, 0);
	world_found(x, disk, "/r", r2, 0);
	world_found(x, disk, "/late", late, 0);
	world_scanned(x, disk, 7);
	world_wait_state(x, "disk", OM_TIERS_READY);
	assert_int_equal(lookup(x, "/b", &rec), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(commit(x, "/b", disk, 0, b), 0);
	wait_complete(x);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_at(x, "/b", b, "disk", "disk");
	mv_check_at(x, "/r", r2, "disk", "disk");
	mv_check_at(x, "/late", late, "disk", "disk");
	mv_check_none(x, "/c", c);
	mv_check_none(x, "/d", d);
	assert_int_equal(mv_objects_on(x, "disk"), 4);
	assert_int_equal(lookup(x, "/a", &rec), 0);
	assert_int_equal(rec.type_len, 4); /* its record stood: it is not made again from less */
	world_restart(x);
	mv_check_at(x, "/b", b, "disk", "disk");
	mv_check_none(x, "/c", c);
	assert_int_equal(mv_objects_on(x, "disk"), 4);
}

/* ---- roles ---- */

static unsigned order_of(struct world *x, const char *tier)
{
	struct om_boot_tier rows[OM_TIERS_MAX];
	int dirs[OM_TIERS_MAX][2];
	unsigned n = sup_engine_tiers(x->e, rows, dirs), at = OM_TIERS_MAX;

	for (unsigned i = 0; i < n; i++) {
		om_close(&dirs[i][0]);
		om_close(&dirs[i][1]);
		if (!strcmp(rows[i].name, tier))
			at = i;
	}
	return at;
}

static uint32_t default_tier(struct world *x)
{
	uint32_t usual, ephemeral, cache;

	sup_engine_roles(x->e, &usual, &ephemeral, &cache);
	assert_int_equal(ephemeral, tier_no(x, "memory"));
	assert_int_equal(cache, tier_no(x, "memory"));
	return usual;
}

/* Where the configuration gives no factor, the measured one decides among tiers of one type; and who is next after it. */
static void test_roles_by_what_was_measured(void **state)
{
	struct world *x = *state;
	struct sup_tier *disk = tier_of(x, "disk"), *slow = tier_of(x, "slow");

	assert_true(disk->measured > 0 && slow->measured > 0); /* nothing was configured */
	atomic_store(&disk->measured, 40);
	atomic_store(&slow->measured, 4);
	assert_int_equal(default_tier(x), disk->no); /* the type comes first */
	assert_int_equal(order_of(x, "memory"), 0);
	assert_int_equal(order_of(x, "disk"), 1);
	slow->own.type = OM_TIER_SSD;
	assert_int_equal(default_tier(x), slow->no);
	assert_int_equal(order_of(x, "slow"), 1);
	assert_int_equal(order_of(x, "disk"), 2);
	disk->live.perf_factor = 2; /* what is configured counts, not what was measured */
	assert_int_equal(default_tier(x), disk->no);
	assert_int_equal(order_of(x, "disk"), 1);
	disk->live.perf_factor = 0;
	atomic_fetch_and(&slow->flags, ~(uint32_t)OM_TIERF_WRITABLE);
	assert_int_equal(default_tier(x), disk->no);
	atomic_fetch_or(&slow->flags, OM_TIERF_WRITABLE);
	x->conf->default_tier.given = true; /* the file names it */
	assert_int_equal(default_tier(x), disk->no);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_changes_all_the_way),
		T(test_comes_and_goes_at_once),
		T(test_memory_goes),
		T(test_reloads_meet_a_tier_that_comes),
		T(test_forgotten_with_work_left),
		T(test_forgotten_while_others_wait),
		T(test_version_on_an_absent_tier),
		T(test_rebuild_of_this_run),
		T(test_roles_by_what_was_measured),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
