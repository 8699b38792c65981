/* Cycles, room, drains and tasks of the lifecycle process, against a played supervisor and a clock of the test's. */
#include "lcy_world.h"

#include <fcntl.h>

#define KB UINT64_C(1024)
#define MB (KB * KB)

static const uint64_t caps[WORLD_TIERS] = { 2 * MB, 4 * MB, 64 * MB };

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	world_open(w, caps);
	*state = w;
	return 0;
}

/* Hot ones get a copy in memory and keep their home; cold ones go down; what is between stays. */
static void test_cycle(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 30; i++)
		(void)world_put(w, world_name(i), 40 * KB, i < 20 ? FAST : SLOW, 0, 0);
	world_run(w, 25); /* the policy is there */
	for (unsigned k = 0; k < 30; k++) {
		for (unsigned i = 0; i < 5; i++) /* heat 0.88: hot */
			world_access(w, world_name(i), 1);
		if (k < 4)
			world_access(w, world_name(10), 1); /* 0.5: between */
		world_access(w, world_name(29), 1); /* hot, and on the slow tier */
	}
	world_run(w, 20);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(world_tier(w, world_name(i)), MEM);
		assert_int_equal(world_home(w, world_name(i)), FAST);
	}
	assert_int_equal(world_home(w, world_name(29)), FAST); /* up, and a copy too */
	assert_int_equal(world_tier(w, world_name(29)), MEM);
	/* nothing has gone down: all are younger than a half-life */
	assert_int_equal(world_home(w, world_name(15)), FAST);
	for (unsigned k = 0; k < 6; k++) { /* keep those warm that are to stay */
		world_run(w, 100);
		for (unsigned i = 0; i < 5; i++)
			world_access(w, world_name(i), 5);
		world_access(w, world_name(10), 2);
	}
	for (unsigned i = 11; i < 20; i++) {
		assert_int_equal(world_home(w, world_name(i)), SLOW);
		assert_int_equal(world_tier(w, world_name(i)), SLOW);
	}
	assert_int_equal(world_home(w, world_name(0)), FAST);
	assert_int_equal(world_home(w, world_name(10)), FAST);
	assert_int_equal(w->aborts, 0);
}

/* The thresholds are what counts, no more and no less. */
static void test_thresholds(void **state)
{
	struct world *w = *state;
	const struct om_boot_lifecycle *c = &w->l.boot.lifecycle;
	uint64_t now_s = w->l.now_s;
	struct idx_ent e = { .id = 77, .size = KB, .home = SLOW, .tier = SLOW, .mtime_ns = (now_s - 100000) * UINT64_C(1000000000) };
	struct lcy_cand cand;

	assert_false(lcy_plan_judge(&w->l, 0, &e, c->hot_threshold, w->l.now_ns, now_s, &cand));
	assert_true(lcy_plan_judge(&w->l, 0, &e, c->hot_threshold + 0.001, w->l.now_ns, now_s, &cand));
	assert_int_equal(cand.to, FAST);
	e.home = e.tier = FAST;
	assert_false(lcy_plan_judge(&w->l, 0, &e, c->cold_threshold, w->l.now_ns, now_s, &cand));
	assert_true(lcy_plan_judge(&w->l, 0, &e, c->cold_threshold - 0.001, w->l.now_ns, now_s, &cand));
	assert_int_equal(cand.to, SLOW);
}

/* Heat that swings between the thresholds, and across one of them, moves an object at most once in a half-life. */
static void test_no_flapping(void **state)
{
	struct world *w = *state;
	enum { N = 10 };

	w->l.boot.cache_tier = OM_TIER_NONE; /* moves alone */
	for (unsigned i = 0; i < N; i++)
		(void)world_put(w, world_name(i), 10 * KB, FAST, 0, 0);
	/* two hours; heat goes from above 0.7 to below 0.3 and back every 25 minutes */
	for (unsigned minute = 0; minute < 120; minute++) {
		for (unsigned i = 0; i < N && minute % 25 == 0; i++)
			world_access(w, world_name(i), 12);
		world_run(w, 60);
	}
	/* down at most once in each period, and up again: 5 periods */
	assert_true(w->moves <= N * 10);
	unsigned before = w->moves;
	/* heat between the thresholds, whatever it does there: nothing */
	for (unsigned i = 0; i < N; i++)
		world_access(w, world_name(i), 30);
	world_run(w, 30);
	before = w->moves;
	for (unsigned minute = 0; minute < 60; minute++) {
		for (unsigned i = 0; i < N; i++)
			world_access(w, world_name(i), minute % 2);
		world_run(w, 60);
	}
	assert_true(w->moves <= before + N); /* each settles where it belongs, once */
}

/* What moved rests for a half-life, however its heat jumps: not down after up, not up after down. */
static void test_rests(void **state)
{
	struct world *w = *state;
	struct idx_ent e;
	uint32_t slot;

	w->l.boot.cache_tier = OM_TIER_NONE;
	(void)world_put(w, "/a", 10 * KB, SLOW, 0, 0);
	world_run(w, 700); /* old enough to go down */
	world_access(w, "/a", 30);
	world_run(w, 12);
	assert_int_equal(world_home(w, "/a"), FAST);
	assert_int_equal(lcy_task_find(&w->l, "/a", 2, &slot, &e), 0);
	assert_int_equal(idx_heat_set(&w->l.heat, slot, 0, 0), 0);
	world_run(w, 500);
	assert_int_equal(world_home(w, "/a"), FAST);
	world_run(w, 150);
	assert_int_equal(world_home(w, "/a"), SLOW);
	world_access(w, "/a", 30);
	world_run(w, 100);
	assert_int_equal(world_home(w, "/a"), SLOW);
	world_access(w, "/a", 30);
	world_run(w, 550);
	assert_int_equal(world_home(w, "/a"), FAST);
}

/* The batch is one for all kinds of moves together. */
static void test_batch_all(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 40; i++)
		(void)world_put(w, world_name(i), 4 * KB, i < 20 ? SLOW : FAST, 0, 0);
	w->l.plan.paused = true;
	world_run(w, 700);
	w->l.plan.paused = false;
	w->l.boot.lifecycle.migration_batch = 6;
	for (unsigned i = 0; i < 20; i++)
		world_access(w, world_name(i), 30);
	uint64_t cycles = w->l.plan.cycles;
	while (w->l.plan.cycles == cycles)
		world_run(w, 1);
	assert_int_equal(w->moves + w->copies, 6);
	assert_true(w->l.plan.moved_up > 0 && w->l.plan.moved_down > 0); /* none waits for the others */
}

static void test_batch(void **state)
{
	struct world *w = *state;

	w->l.boot.lifecycle.migration_batch = 5;
	w->l.boot.cache_tier = OM_TIER_NONE;
	for (unsigned i = 0; i < 40; i++)
		(void)world_put(w, world_name(i), 4 * KB, FAST, 0, 0);
	world_run(w, 605);
	unsigned before = w->moves;
	world_run(w, 10);
	assert_true(w->moves - before <= 5);
	world_run(w, 100);
	assert_int_equal(w->moves, 40); /* in the end all */
	assert_true(w->l.plan.cycles >= 70 && w->l.plan.cycles <= 73);
}

static void test_pause(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/cold", 4 * KB, FAST, 0, 0);
	assert_int_equal(world_task(w, OM_TASK_PAUSE, NULL, 0, 0), 0);
	world_run(w, 700);
	assert_int_equal(world_home(w, "/cold"), FAST);
	/* by hand it still goes */
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/cold", SLOW, 0), 0);
	assert_non_null(strstr(w->answer, "\"state\":\"done\""));
	assert_int_equal(world_home(w, "/cold"), SLOW);
	(void)world_put(w, "/cold2", 4 * KB, FAST, 0, 0);
	world_run(w, 700);
	assert_int_equal(world_home(w, "/cold2"), FAST);
	assert_int_equal(world_task(w, OM_TASK_RESUME, NULL, 0, 0), 0);
	world_run(w, 20);
	assert_int_equal(world_home(w, "/cold2"), SLOW);
}

static void test_flags(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/pinned", 4 * KB, FAST, OM_OBJ_PINNED, 0);
	(void)world_put(w, "/cold", 4 * KB, FAST, 0, 0);
	(void)world_put(w, "/eph", 4 * KB, MEM, OM_OBJ_EPHEMERAL, 0);
	w->l.boot.tiers[FAST].flags &= ~(uint32_t)OM_TIERF_MIGRATION_SRC;
	world_run(w, 700);
	assert_int_equal(world_home(w, "/cold"), FAST);
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/cold", SLOW, 0), -OBJM_STATUS_READ_ONLY);
	assert_non_null(strstr(w->answer, "migration_src"));
	w->l.boot.tiers[FAST].flags |= OM_TIERF_MIGRATION_SRC;
	w->l.boot.tiers[SLOW].flags &= ~(uint32_t)OM_TIERF_MIGRATION_DST;
	world_run(w, 20);
	assert_int_equal(world_home(w, "/cold"), FAST);
	w->l.boot.tiers[SLOW].flags |= OM_TIERF_MIGRATION_DST;
	world_run(w, 20);
	assert_int_equal(world_home(w, "/cold"), SLOW);
	/* whatever happens, these two stay */
	assert_int_equal(world_home(w, "/pinned"), FAST);
	assert_int_equal(world_tier(w, "/eph"), MEM);
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/pinned", SLOW, 0), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/eph", SLOW, 0), -OBJM_STATUS_INVALID_REQUEST);
	assert_non_null(strstr(w->answer, "ephemeral"));
	assert_int_equal(world_task(w, OM_TASK_DEMOTE, "/eph", 0, 0), -OBJM_STATUS_INVALID_REQUEST);
	/* a copy that nobody may read serves nobody */
	w->l.boot.tiers[MEM].flags &= ~(uint32_t)OM_TIERF_READABLE;
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/cold", MEM, 0), -OBJM_STATUS_READ_ONLY);
	assert_non_null(strstr(w->answer, "readable"));
}

/* Of two memory tiers ephemeral objects go only to one with that flag: by hand, by heat, for a drain. */
static void test_memory_without_ephemeral(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/eph", 4 * KB, MEM, OM_OBJ_EPHEMERAL, 0);
	w->l.boot.tiers[SLOW].type = OM_TIER_MEMORY;
	w->l.boot.tiers[SLOW].perf_factor = 2;
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/eph", SLOW, 0), -OBJM_STATUS_INVALID_REQUEST);
	assert_non_null(strstr(w->answer, "no flag ephemeral"));
	assert_int_equal(world_task(w, OM_TASK_DEMOTE, "/eph", 0, 0), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(lcy_tier_down(&w->l, MEM, 4 * KB, w->l.now_ns), OM_TIER_NONE);
	assert_int_equal(lcy_tier_any(&w->l, MEM, 4 * KB, w->l.now_ns), OM_TIER_NONE);
	w->l.boot.tiers[SLOW].flags |= OM_TIERF_EPHEMERAL;
	assert_int_equal(lcy_tier_down(&w->l, MEM, 4 * KB, w->l.now_ns), SLOW);
	assert_int_equal(lcy_tier_any(&w->l, MEM, 4 * KB, w->l.now_ns), SLOW);
}

static void test_expired(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/soon", 4 * KB, FAST, 0, w->clock_s + 30);
	(void)world_put(w, "/later", 4 * KB, FAST, 0, w->clock_s + 3000);
	world_run(w, 25);
	assert_int_equal(world_tier(w, "/soon"), FAST);
	world_run(w, 20);
	assert_int_equal(world_tier(w, "/soon"), OM_TIER_NONE);
	assert_int_equal(world_tier(w, "/later"), FAST);
	assert_int_equal(w->dropped[OM_DROP_EXPIRED], 1);
}

/* Above the high mark: copies first, then expired, then evictable ones, then those that can go down; to the low mark. */
static void test_room_order(void **state)
{
	struct world *w = *state;

	w->l.boot.cache_tier = OM_TIER_NONE; /* copies are the test's */
	for (unsigned i = 0; i < 10; i++)
		(void)world_put(w, world_name(i), 100 * KB, FAST, i < 3 ? OM_OBJ_EVICTABLE : 0, 0);
	for (unsigned i = 10; i < 40; i++) {
		(void)world_put(w, world_name(i), 100 * KB, FAST, 0, 0);
		world_access(w, world_name(i), 3); /* neither hot nor cold */
	}
	/* 4000 of 4096 KiB: above 0.95; down to 0.85 (3482 KiB): 519 KiB go: three evictable ones, then three cold ones */
	world_run(w, 2);
	assert_true(world_used(w, FAST) <= 3482 * KB);
	assert_true(world_used(w, FAST) >= 3300 * KB);
	assert_int_equal(w->dropped[OM_DROP_EVICT], 3);
	assert_int_equal(w->moves, 3);
	for (unsigned i = 10; i < 40; i++)
		assert_int_equal(world_home(w, world_name(i)), FAST);
}

/* A tier that is nothing but what must stay: it is looked at again every interval, not all the time. */
static void test_room_nothing(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 20; i++)
		(void)world_put(w, world_name(i), 100 * KB, MEM, OM_OBJ_EPHEMERAL, 0); /* 2000 of 2048 KiB */
	world_run(w, 100);
	assert_int_equal(w->drops + w->moves, 0);
	assert_true(w->l.plan.cycles <= 12);
	world_room(w, MEM, 500 * KB);
	assert_int_equal(w->drops + w->moves, 0);
}

/* Somebody waits for room on the cache tier: copies go, in the policy's order, without waiting for a cycle. */
static void test_room_copies(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 16; i++)
		(void)world_put(w, world_name(i), 100 * KB, FAST, 0, 0);
	world_run(w, 25);
	for (unsigned k = 0; k < 20; k++)
		for (unsigned i = 0; i < 16; i++)
			world_access(w, world_name(i), 1 + (i < 4)); /* the first four twice as often */
	world_run(w, 10);
	assert_int_equal(w->copies, 16);
	assert_int_equal(world_used(w, MEM), 1600 * KB);
	uint64_t cycles = w->l.plan.cycles;
	world_room(w, MEM, 700 * KB); /* 1600 + 700 > 0.95 * 2048: down to 0.85 with it: 1041 KiB stay at most */
	assert_int_equal(w->l.plan.cycles, cycles);
	assert_true(world_used(w, MEM) <= 1041 * KB && world_used(w, MEM) >= 900 * KB);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(world_tier(w, world_name(i)), MEM); /* the most wanted stay */
	world_run(w, 1);
	assert_true(world_used(w, MEM) >= 900 * KB); /* asked once, made once */
}

/* Objects of the cache tier that are no copies leave less of it for copies. */
/* Room for all, and liked by the policy: below hot_threshold nothing is copied. */
static void test_cache_threshold(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 4; i++)
		(void)world_put(w, world_name(i), KB, FAST, 0, 0);
	world_run(w, 25);
	for (unsigned k = 0; k < 40; k++) {
		world_access(w, world_name(0), 1);
		if (k < 4)
			world_access(w, world_name(1), 1);
	}
	world_run(w, 30);
	assert_int_equal(w->copies, 1);
}

static void test_cache_shares(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 10; i++)
		(void)world_put(w, world_name(100 + i), 100 * KB, MEM, OM_OBJ_EPHEMERAL, 0); /* 1000 of 1741 KiB */
	for (unsigned i = 0; i < 20; i++)
		(void)world_put(w, world_name(i), 100 * KB, FAST, 0, 0);
	world_run(w, 25);
	for (unsigned k = 0; k < 20; k++)
		for (unsigned i = 0; i < 20; i++)
			world_access(w, world_name(i), 1);
	world_run(w, 30);
	assert_true(world_used(w, MEM) <= (uint64_t)(0.85 * 2048) * KB);
	assert_true(w->copies >= 6);
}

/* A replaced object's slot is another object: no copy of it is made, or kept, for what the old one was. */
static void test_replaced(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/a", 10 * KB, FAST, 0, 0);
	world_run(w, 25);
	world_access(w, "/a", 30);
	world_delete(w, "/a");
	(void)world_put(w, "/a", 20 * KB, FAST, 0, 0);
	world_run(w, 12);
	assert_int_equal(world_tier(w, "/a"), FAST); /* let in was the other one */
	assert_int_equal(lcy_blend_used(w->l.cache.policy), 0);
	world_access(w, "/a", 30);
	world_run(w, 12);
	assert_int_equal(world_tier(w, "/a"), MEM);
	assert_int_equal(lcy_blend_used(w->l.cache.policy), 5);
	/* the copy is lost (its file is gone, the supervisor took the record away): the policy hears of it */
	world_delete(w, "/a");
	world_run(w, 12);
	assert_int_equal(lcy_blend_used(w->l.cache.policy), 0);
}

static void test_drain(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 30; i++)
		(void)world_put(w, world_name(i), 10 * KB, FAST, i == 7 ? OM_OBJ_PINNED : 0, 0);
	assert_int_equal(world_task(w, OM_TASK_DRAIN, NULL, FAST, 1), 0);
	world_run(w, 3);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(world_home(w, world_name(i)), i == 7 ? FAST : SLOW);
	assert_int_equal(world_task(w, OM_TASK_STATUS, NULL, 0, 0), 0);
	assert_non_null(strstr(w->answer, "\"objects_left\":1"));
	assert_non_null(strstr(w->answer, "\"left_s\":0")); /* what is stuck is not waited for */
	assert_non_null(strstr(w->answer, "\"moved\":29"));
	assert_non_null(strstr(w->answer, "\"stuck\":1"));
	assert_int_equal(world_task(w, OM_TASK_EXPLAIN, world_name(7), 0, 0), 0);
	assert_non_null(strstr(w->answer, "it is pinned, so unpin it"));
	/* a new process goes on with it; also after a restart of the daemon */
	world_restart(w, false);
	assert_true(w->l.tiers[FAST].drain);
	(void)world_put(w, "/late", 10 * KB, FAST, 0, 0);
	world_run(w, 12);
	assert_int_equal(world_home(w, "/late"), SLOW);
	world_restart(w, true);
	assert_true(w->l.tiers[FAST].drain);
	assert_int_equal(world_task(w, OM_TASK_DRAIN, NULL, FAST, 0), 0);
	world_restart(w, true);
	assert_false(w->l.tiers[FAST].drain);
	assert_int_equal(world_task(w, OM_TASK_DRAIN, NULL, 9, 1), -OBJM_STATUS_NOT_FOUND);
}

/* The large ones first; the others as they were put, which is how they lie on the disk, and not as the index has them. */
/* As many seconds, of each so many objects of a drain, with so many bytes. */
static void drained(struct world *w, unsigned s, uint64_t objects, uint64_t bytes)
{
	for (unsigned i = 0; i < s; i++) {
		w->l.now_ns += UINT64_C(1000000000);
		w->l.tiers[FAST].drained += objects;
		w->l.tiers[FAST].drained_bytes += bytes;
		lcy_drain_turn(&w->l);
	}
}

/* The last minute counts, whatever was before; nothing is said of the first two seconds, nor of a tier that is not drained. */
static void test_drain_pace(void **state)
{
	struct world *w = *state;
	struct lcy *l = &w->l;
	struct lcy_tier *t = &l->tiers[FAST];
	double objects = 0, bytes = 0;

	drained(w, 10, 1, 1);
	assert_false(lcy_drain_pace(t, l->now_ns, &objects, &bytes));
	lcy_drain_set(l, FAST, true);
	drained(w, 2, 10, 1000);
	assert_false(lcy_drain_pace(t, l->now_ns, &objects, &bytes)); /* noted a second ago for the first time */
	drained(w, 8, 10, 1000);
	assert_true(lcy_drain_pace(t, l->now_ns, &objects, &bytes));
	assert_true(objects > 9.9 && objects < 10.1 && bytes > 990 && bytes < 1010);
	drained(w, 30, 10, 1000);
	assert_true(lcy_drain_pace(t, l->now_ns, &objects, &bytes));
	assert_true(objects > 9.9 && objects < 10.1);
	drained(w, 61, 2, 400); /* and what was faster is over a minute ago */
	assert_true(lcy_drain_pace(t, l->now_ns, &objects, &bytes));
	assert_true(objects > 1.9 && objects < 2.1 && bytes > 390 && bytes < 410);
	drained(w, 200, 2, 400);
	assert_true(lcy_drain_pace(t, l->now_ns, &objects, &bytes));
	assert_true(objects > 1.9 && objects < 2.1);
	drained(w, 30, 0, 0);
	assert_true(lcy_drain_pace(t, l->now_ns, &objects, &bytes));
	assert_true(objects > 0.8 && objects < 1.2); /* half of the minute */
	lcy_drain_set(l, FAST, false);
	assert_false(lcy_drain_pace(t, l->now_ns, &objects, &bytes));
	lcy_drain_set(l, FAST, true); /* another one */
	drained(w, 1, 5, 5);
	assert_false(lcy_drain_pace(t, l->now_ns, &objects, &bytes));
	/* small ones by their number, large ones by their bytes; none at all: who knows */
	assert_int_equal(lcy_drain_left_s(2, 400, 100, 1000000), 50);
	assert_int_equal(lcy_drain_left_s(0.5, 4e6, 1000, 40000000), 10);
	assert_int_equal(lcy_drain_left_s(2, 400, 0, 0), 0);
	assert_true(lcy_drain_left_s(0, 0, 10, 10) == UINT64_MAX);
	assert_true(lcy_drain_left_s(1e-9, 0, 1000, 10) == UINT64_MAX);
}

static void test_drain_order(void **state)
{
	struct world *w = *state;
	const struct lcy_plan *p = &w->l.plan;
	enum { N = 60 };

	for (unsigned i = 0; i < N; i++)
		(void)world_put(w, world_name(i), (10 + i % 7) * KB, FAST, 0, 0);
	(void)world_put(w, "/large/0", 300 * KB, FAST, 0, 0);
	(void)world_put(w, "/large/1", 500 * KB, FAST, 0, 0); /* within a factor of two: of one size */
	(void)world_put(w, "/large/2", 290 * KB, FAST, 0, 0);
	(void)world_put(w, "/larger", 600 * KB, FAST, 0, 0);
	assert_int_equal(world_task(w, OM_TASK_DRAIN, NULL, FAST, 1), 0);
	world_settle(w);
	assert_int_equal(w->moves, N + 4);
	assert_int_equal(p->n_acts, N + 4);
	assert_int_equal(p->acts[0].size, 600 * KB);
	assert_int_equal(p->acts[1].size, 300 * KB);
	assert_int_equal(p->acts[2].size, 500 * KB);
	assert_int_equal(p->acts[3].size, 290 * KB);
	for (unsigned i = 5; i < N + 4; i++)
		assert_true(p->acts[i - 1].id < p->acts[i].id);
}

/* Of candidates that are equally good those that were put first come first. */
static void test_best_of_equals(void **state)
{
	struct lcy_best b = { 0 };

	(void)state;
	lcy_best_clear(&b, 50);
	for (unsigned i = 0; i < 50; i++)
		lcy_best_add(&b, &(struct lcy_cand){ .score = i % 2, .id = 1 + i * 7 % 50 });
	lcy_best_sort(&b);
	assert_int_equal(b.n, 50);
	for (unsigned i = 1; i < 50; i++)
		assert_true(b.v[i - 1].score > b.v[i].score || (b.v[i - 1].score == b.v[i].score && b.v[i - 1].id < b.v[i].id));
	lcy_best_fini(&b);
}

/* What is on its way is counted once, by the supervisor from MOVE_BEGIN on: more than are under way at once go to a tier that has
 * room for just these, in one look, without a pause. */
static void test_room_counted_once(void **state)
{
	struct world *w = *state;
	enum { N = 2500 };

	static_assert(N > LCY_JOBS_MAX, "some begin when others are under way");
	idxw_tier(w->w, SLOW, &(struct idxr_tier){ .capacity_bytes = N * KB * 100 / 95 + 8 * KB, .state = OM_TIERS_READY });
	for (unsigned i = 0; i < N; i++)
		(void)world_put(w, world_name(i), KB, FAST, 0, 0);
	assert_int_equal(world_task(w, OM_TASK_DRAIN, NULL, FAST, 1), 0);
	world_settle(w);
	assert_int_equal(w->moves, N);
	assert_int_equal(w->l.tiers[SLOW].inbound, 0);
	assert_int_equal(w->l.tiers[SLOW].asked_for, 0);
	assert_int_equal(world_used(w, SLOW), N * KB);
}

/* A drain that is refused for a moment goes on, however long the interval is. */
static void test_drain_again(void **state)
{
	struct world *w = *state;

	w->l.boot.lifecycle.interval_s = 3600;
	for (unsigned i = 0; i < 10; i++)
		(void)world_put(w, world_name(i), 10 * KB, FAST, 0, 0);
	world_run(w, 5);
	w->refuse = -OBJM_STATUS_TRY_AGAIN;
	assert_int_equal(world_task(w, OM_TASK_DRAIN, NULL, FAST, 1), 0);
	world_run(w, 100);
	assert_int_equal(w->moves, 0);
	w->refuse = 0;
	world_run(w, 130);
	assert_int_equal(w->moves, 10);
}

static void test_tasks(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/a", 10 * KB, SLOW, 0, 0);
	(void)world_put(w, "/b \"quoted\"", 10 * KB, FAST, 0, 0);
	world_access(w, "/b \"quoted\"", 9);
	world_access(w, "/a", 20);
	assert_int_equal(world_task(w, OM_TASK_TOP, NULL, 0, 5), 0);
	json_t *doc = json_loads(w->answer, 0, NULL);
	json_t *list = json_object_get(doc, "objects");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "uri")), "/a");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "uri")), "/b \"quoted\"");
	double heat = json_real_value(json_object_get(json_array_get(list, 0), "heat"));
	assert_true(heat > 20.0 / 24 - 0.01 && heat < 20.0 / 24 + 0.01);
	json_decref(doc);
	assert_int_equal(world_task(w, OM_TASK_TOP, NULL, 0, 1), 0);
	assert_null(strstr(w->answer, "quoted"));

	assert_int_equal(world_task(w, OM_TASK_EXPLAIN, "/a", 0, 0), 0);
	assert_non_null(strstr(w->answer, "hotter"));
	assert_non_null(strstr(w->answer, "tier fast"));
	(void)world_put(w, "/evict", KB, FAST, OM_OBJ_EVICTABLE, w->clock_s + 77);
	assert_int_equal(world_task(w, OM_TASK_EXPLAIN, "/evict", 0, 0), 0);
	assert_non_null(strstr(w->answer, "it expires in 77 s; it may be removed when its tier needs room"));
	assert_int_equal(world_task(w, OM_TASK_EXPLAIN, "/none", 0, 0), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(world_task(w, OM_TASK_EXPLAIN, NULL, 0, 0), -OBJM_STATUS_INVALID_REQUEST);

	assert_int_equal(world_task(w, OM_TASK_PROMOTE, "/a", 0, 0), 0); /* slow to fast */
	assert_int_equal(world_home(w, "/a"), FAST);
	assert_int_equal(world_task(w, OM_TASK_PROMOTE, "/a", 0, 0), 0); /* a copy in memory */
	assert_int_equal(world_tier(w, "/a"), MEM);
	assert_int_equal(world_home(w, "/a"), FAST);
	assert_int_equal(world_task(w, OM_TASK_PROMOTE, "/a", 0, 0), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/a", MEM, 0), 0);
	assert_non_null(strstr(w->answer, "\"state\":\"there\""));
	assert_int_equal(world_task(w, OM_TASK_DEMOTE, "/a", 0, 0), 0); /* the copy goes first */
	assert_int_equal(world_tier(w, "/a"), FAST);
	assert_int_equal(world_task(w, OM_TASK_DEMOTE, "/a", 0, 0), 0);
	assert_int_equal(world_home(w, "/a"), SLOW);
	assert_int_equal(world_task(w, OM_TASK_DEMOTE, "/a", 0, 0), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/a", 9, 0), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/none", FAST, 0), -OBJM_STATUS_NOT_FOUND);
	w->refuse = -OBJM_STATUS_NO_SPACE;
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/a", FAST, 0), -OBJM_STATUS_NO_SPACE);
	w->refuse = 0;
	assert_int_equal(world_task(w, (enum om_task_kind)99, NULL, 0, 0), -OBJM_STATUS_UNSUPPORTED_OP);
}

/* A move by hand that takes long is answered "under way"; the answer does not come twice. */
static void test_task_slow(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/a", 3 * MB, FAST, 0, 0);
	atomic_store(&w->l.moves.rate.per_s, 2 * MB); /* more than a second */
	struct {
		struct om_op_task t;
		char uri[8];
	} m = { .t = { .hdr = { .type = OM_OP_TASK, .req = 77, .len = sizeof(m.t) + 2 }, .kind = OM_TASK_MIGRATE, .tier = SLOW, .uri_len = 2 },
		.uri = "/a" };
	lcy_order(&w->l, &m.t.hdr, m.t.hdr.len);
	w->l.now_ns += (LCY_ASK_MS + 1) * UINT64_C(1000000);
	lcy_task_turn(&w->l);
	world_settle(w);
	assert_int_equal(w->answer_req, 77);
	assert_non_null(strstr(w->answer, "under way"));
	assert_int_equal(world_home(w, "/a"), SLOW);
}

/* The name on the target, or the object, is busy at first: who asked for a move by hand need not ask again. */
static void test_task_again(void **state)
{
	struct world *w = *state;
	struct {
		struct om_op_task t;
		char uri[8];
	} m = { .t = { .hdr = { .type = OM_OP_TASK, .req = 88, .len = sizeof(m.t) + 2 }, .kind = OM_TASK_MIGRATE, .tier = SLOW, .uri_len = 2 },
		.uri = "/a" };

	(void)world_put(w, "/a", 5 * KB, FAST, 0, 0);
	w->refuse = -OBJM_STATUS_TRY_AGAIN;
	w->refuse_n = 3;
	lcy_order(&w->l, &m.t.hdr, m.t.hdr.len);
	for (unsigned i = 0; i < 3; i++) {
		world_settle(w);
		assert_int_equal(w->answer_req, 0);
		assert_int_equal(w->refuse_n, 2 - i); /* not all the time either */
		w->l.now_ns += (LCY_ASK_AGAIN_MS + 1) * UINT64_C(1000000);
	}
	world_settle(w);
	lcy_task_turn(&w->l);
	world_settle(w);
	assert_int_equal(w->answer_req, 88);
	assert_int_equal(w->answer_status, 0);
	assert_non_null(strstr(w->answer, "\"done\""));
	assert_int_equal(world_home(w, "/a"), SLOW);
	/* it never becomes free */
	m.t.hdr.req = 89;
	m.t.tier = FAST;
	w->refuse = -OBJM_STATUS_TRY_AGAIN;
	lcy_order(&w->l, &m.t.hdr, m.t.hdr.len);
	world_settle(w);
	w->l.now_ns += (LCY_ASK_MS + 1) * UINT64_C(1000000);
	world_settle(w);
	assert_int_equal(w->answer_req, 89);
	assert_int_equal(w->answer_status, -OBJM_STATUS_TRY_AGAIN);
	/* it is deleted meanwhile */
	m.t.hdr.req = 90;
	lcy_order(&w->l, &m.t.hdr, m.t.hdr.len);
	world_settle(w);
	world_delete(w, "/a");
	w->l.now_ns += (LCY_ASK_AGAIN_MS + 1) * UINT64_C(1000000);
	world_settle(w);
	assert_int_equal(w->answer_req, 90);
	assert_int_equal(w->answer_status, -OBJM_STATUS_PRECONDITION_FAILED);
	w->refuse = 0;
}

/* What was hot is hot after a restart of the daemon, and has its copies; what was learned is not lost with the process. */
static void test_heat_kept(void **state)
{
	struct world *w = *state;
	struct idx_heat_val before[20], after;
	struct idx_ent e;
	uint32_t slot[20];
	uint64_t then;

	for (unsigned i = 0; i < 20; i++)
		(void)world_put(w, world_name(i), 10 * KB, FAST, 0, 0);
	world_run(w, 25);
	for (unsigned i = 0; i < 20; i++)
		world_access(w, world_name(i), 1 + 3 * i);
	world_run(w, 130);
	then = w->clock_s;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(lcy_task_find(&w->l, world_name(i), strlen(world_name(i)), &slot[i], &e), 0);
		assert_int_equal(idx_heat_get(&w->l.heat, slot[i], w->clock_s, e.since_s, &before[i]), 0);
	}
	for (unsigned round = 0; round < 2; round++) {
		world_restart(w, round == 0); /* the daemon; then the process alone */
		assert_int_equal(w->l.save.stage, round == 0 ? LCY_SAVE_HEAT : LCY_SAVE_NONE);
		world_run(w, 12);
		for (unsigned i = 0; i < 20; i++) {
			assert_int_equal(lcy_task_find(&w->l, world_name(i), strlen(world_name(i)), &slot[i], &e), 0);
			assert_int_equal(idx_heat_get(&w->l.heat, slot[i], w->clock_s, e.since_s, &after), 0);
			assert_int_equal(after.last_s, before[i].last_s);
			/* no more than what time takes: by whole minutes, half in ten */
			double want = before[i].count * exp2(-(double)(w->clock_s / 60 - then / 60) / 10);
			assert_true(after.count > want * 0.99 - 0.01 && after.count < want * 1.01 + 0.01);
		}
	}
	/* not doubled by later scans */
	world_run(w, 30);
	assert_int_equal(idx_heat_get(&w->l.heat, slot[19], w->clock_s, 0, &after), 0);
	assert_true(after.count < before[19].count * 1.02);
	assert_non_null(w->l.cache.policy);
	assert_true(lcy_blend_has(w->l.cache.policy, slot[19]));
	/* damaged: cold, and no more than that */
	world_restart(w, true);
	world_run(w, 1);
	for (unsigned i = 0; i < 2; i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/heat.%u", w->heat_dir, i);
		int fd = open(path, 2);
		if (fd >= 0) {
			assert_int_equal(pwrite(fd, "xyz", 3, 200), 3);
			om_close(&fd);
		}
	}
	struct lcy_keep k;
	int dir = open(w->heat_dir, 0);
	assert_int_equal(lcy_keep_read(dir, &k), -OBJM_STATUS_NOT_FOUND);
	om_close(&dir);
}

/* A disk that stays full: what was written last is still there. */
static void test_heat_on_a_full_disk(void **state)
{
	struct world *w = *state;
	struct lcy_keep k;

	(void)world_put(w, world_name(0), 4 * KB, FAST, 0, 0);
	world_run(w, 1);
	lcy_save_last(&w->l, 60000);
	lcy_save_last(&w->l, 60000);
	for (unsigned i = 0; i < 3; i++) {
		world_files_of(10);
		lcy_save_last(&w->l, 60000);
		world_files_of(RLIM_INFINITY);
		assert_int_equal(lcy_keep_read(w->l.save.dirfd, &k), 0);
		assert_int_equal(k.head.seq, 2);
		free(k.entry);
	}
	lcy_save_last(&w->l, 60000);
	assert_int_equal(lcy_keep_read(w->l.save.dirfd, &k), 0);
	assert_int_equal(k.head.seq, 3);
	free(k.entry);
}

/* Errors of a tier: back-off, and one line; it works again when the disk does. */
static void test_target_refuses(void **state)
{
	struct world *w = *state;

	w->l.boot.cache_tier = OM_TIER_NONE;
	for (unsigned i = 0; i < 50; i++)
		(void)world_put(w, world_name(i), 4 * KB, FAST, 0, 0);
	w->refuse = -OBJM_STATUS_NO_SPACE;
	world_run(w, 700);
	assert_int_equal(w->moves, 0);
	assert_true(w->l.plan.refused > 0);
	w->refuse = 0;
	world_run(w, 40);
	assert_int_equal(w->moves, 50);
}

/* The more there is to read the sooner it is looked at again, so that a look finds little; a log is never full before. */
static void test_heat_pause(void **state)
{
	unsigned ms = LCY_HEAT_MS;

	(void)state;
	assert_int_equal(lcy_heat_pause(LCY_HEAT_MS, 0), LCY_HEAT_MS);
	assert_int_equal(lcy_heat_pause(LCY_HEAT_MS, LCY_HEAT_LOOK / 2), LCY_HEAT_MS);
	assert_int_equal(lcy_heat_pause(LCY_HEAT_MS, 2 * LCY_HEAT_LOOK), LCY_HEAT_MS / 2);
	assert_int_equal(lcy_heat_pause(LCY_HEAT_MS, IDX_ALOG_CAP), LCY_HEAT_BUSY_MS);
	for (unsigned i = 0; i < 10; i++) /* 2,000 a second */
		ms = lcy_heat_pause(ms, 2 * ms);
	assert_in_range(2 * ms, LCY_HEAT_LOOK - 4, LCY_HEAT_LOOK);
	for (unsigned i = 0; i < 10; i++) /* and none any more */
		ms = lcy_heat_pause(ms, 0);
	assert_int_equal(ms, LCY_HEAT_MS);
}

/* And the pause is what the fullest of the logs asks for. */
static void test_heat_turn(void **state)
{
	struct world *w = *state;
	struct om_seg seg;
	struct idx_alogw log;

	assert_int_equal(idx_alog_create(&seg), 0);
	assert_int_equal(idx_alogw_attach(dup(seg.fd), 1, &log), 0);
	assert_int_equal(lcy_heat_alog(&w->l, 1, dup(seg.rofd)), 0);
	w->l.heat_ms = LCY_HEAT_MS;
	w->l.heat_due_ns = 0;
	for (unsigned i = 0; i < 4 * LCY_HEAT_LOOK; i++)
		idx_alogw_add(&log, w->l.idx.segment, i);
	idx_alogw_flush(&log);
	lcy_heat_turn(&w->l, 1000);
	assert_int_equal(w->l.heat_ms, LCY_HEAT_MS / 4);
	assert_int_equal(w->l.heat_due_ns, 1000 + UINT64_C(1000000) * (LCY_HEAT_MS / 4));
	lcy_heat_turn(&w->l, w->l.heat_due_ns - 1); /* not yet */
	assert_int_equal(w->l.heat_ms, LCY_HEAT_MS / 4);
	lcy_heat_turn(&w->l, w->l.heat_due_ns);
	assert_int_equal(w->l.heat_ms, LCY_HEAT_MS);
	lcy_heat_alog_gone(&w->l, 1);
	idx_alogw_detach(&log);
	om_seg_close(&seg);
}

#define T(x) cmocka_unit_test_setup_teardown(x, setup, world_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cycle), T(test_thresholds), T(test_no_flapping), T(test_rests), T(test_batch_all), T(test_batch), T(test_pause), T(test_flags), T(test_memory_without_ephemeral), T(test_expired), T(test_room_order),
		T(test_room_nothing), T(test_room_copies), T(test_cache_threshold), T(test_cache_shares), T(test_replaced), T(test_drain), T(test_drain_pace), T(test_drain_order), cmocka_unit_test(test_best_of_equals), T(test_room_counted_once), T(test_drain_again), T(test_tasks),
		T(test_task_slow), T(test_task_again), T(test_heat_kept), T(test_heat_on_a_full_disk), T(test_heat_pause), T(test_heat_turn), T(test_target_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
