/*
 * test_engine_move.c: moves and cached copies, drops, lost files. What a restart or a rebuild makes of them: test_engine_back.c.
 */
#include <sched.h>

#include "engine_moves.h"
#include "supervisor/sup_engine_int.h"

static _Atomic unsigned to_one, to_all; /* times that a thread bound itself to one processor, and to all */

/* In place of the C library's: the engine's threads are told of success, and stay where they are. */
int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
	assert_int_equal(pid, 0);
	atomic_fetch_add(CPU_COUNT_S(size, set) == 1 ? &to_one : &to_all, 1);
	return 0;
}

static void test_home_moves(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;

	uint64_t a = put(x, "/a", "disk", 0);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	mv_check_at(x, "/a", a, "slow", "slow");
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "disk"), a));
	assert_int_equal(mv_objects_on(x, "disk"), 0);
	assert_int_equal(mv_objects_on(x, "slow"), 1);
	assert_int_equal(lookup(x, "/a", &rec), 0);
	assert_int_equal(rec.type_len, 4); /* the record that stood, not what the mover says */
	assert_int_equal(rec.mtime_ns, 7);
	mv_move(x, "/a", a, "slow", "disk", OM_MOVE_HOME); /* and back, under the same name */
	mv_check_at(x, "/a", a, "disk", "disk");
	assert_int_equal(del(x, "/a"), 0);
	mv_check_none(x, "/a", a);
}

/* While clients are served, what is for moves alone is committed on one processor; what others wait for never is. */
static void test_gently(void **state)
{
	struct world *x = *state;
	unsigned two = CPU_COUNT(&x->e->place.any) > 1;

	uint64_t a = put(x, "/a", "disk", 0);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	wait_complete(x);
	assert_int_equal(atomic_load(&to_one), 0); /* nobody is served */
	uint64_t b = put(x, "/b", "disk", 0);
	struct mv m = mv_of(x, "/b", b, "disk", "slow", OM_MOVE_HOME);
	m.gently = 1;
	assert_int_equal(mv_begin(x, &m), 0);
	unsigned begun = atomic_load(&to_one);
	assert_int_equal(begun, two); /* the intent */
	uint64_t c = put(x, "/c", "disk", 0);
	mv_check_at(x, "/c", c, "disk", "disk");
	assert_int_equal(atomic_load(&to_one), begun);
	assert_int_equal(mv_finish(x, &m), 0);
	mv_check_at(x, "/b", b, "slow", "slow");
	assert_true(atomic_load(&to_one) >= begun + two);
	wait_complete(x);
	WORLD_UNTIL(x, atomic_load(&to_all) == atomic_load(&to_one)); /* nobody stays there */
}

static void test_copy(void **state)
{
	struct world *x = *state;
	bool more;
	char last[64] = "";

	uint64_t a = put(x, "/a", "disk", 0);
	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	mv_check_at(x, "/a", a, "memory", "disk");
	assert_int_equal(list_count(x, "/", 10, last, &more), 1);
	/* one copy is enough */
	struct mv again = mv_of(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(mv_begin(x, &again), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(mv_drop(x, "/a", a, "memory", OM_DROP_COPY), 0);
	mv_check_at(x, "/a", a, "disk", "disk");
	assert_int_equal(mv_objects_on(x, "memory"), 0);
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "memory"), a));
	assert_int_equal(mv_drop(x, "/a", a, "memory", OM_DROP_COPY), -OBJM_STATUS_INVALID_REQUEST);
	/* its home moves: the copy goes with it */
	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	mv_check_at(x, "/a", a, "slow", "slow");
	assert_int_equal(mv_objects_on(x, "memory"), 0);
	/* replaced, deleted */
	mv_move(x, "/a", a, "slow", "memory", OM_MOVE_COPY);
	uint64_t b = put(x, "/a", "disk", 0);
	mv_check_at(x, "/a", b, "disk", "disk");
	assert_int_equal(mv_objects_on(x, "memory") + mv_objects_on(x, "slow"), 0);
	mv_move(x, "/a", b, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(del(x, "/a"), 0);
	mv_check_none(x, "/a", a);
	mv_check_none(x, "/a", b);
	assert_int_equal(mv_objects_on(x, "memory") + mv_objects_on(x, "slow") + mv_objects_on(x, "disk"), 0);
}

static void test_refused(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL), p = put(x, "/p", "disk", OM_OBJ_PINNED);
	const struct {
		struct mv m;
		int status;
	} rows[] = {
		{ mv_of(x, "/e", e, "memory", "disk", OM_MOVE_HOME), -OBJM_STATUS_INVALID_REQUEST },
		{ mv_of(x, "/e", e, "memory", "disk", OM_MOVE_COPY), -OBJM_STATUS_INVALID_REQUEST },
		{ mv_of(x, "/a", a, "disk", "memory", OM_MOVE_HOME), -OBJM_STATUS_INVALID_REQUEST },
		{ mv_of(x, "/a", a, "disk", "slow", OM_MOVE_COPY), -OBJM_STATUS_INVALID_REQUEST },
		{ mv_of(x, "/a", a, "disk", "disk", OM_MOVE_HOME), -OBJM_STATUS_INVALID_REQUEST },
		{ mv_of(x, "/p", p, "disk", "slow", OM_MOVE_HOME), -OBJM_STATUS_INVALID_REQUEST },
		{ mv_of(x, "/a", a, "slow", "disk", OM_MOVE_HOME), -OBJM_STATUS_PRECONDITION_FAILED },
		{ mv_of(x, "/a", p, "disk", "slow", OM_MOVE_HOME), -OBJM_STATUS_PRECONDITION_FAILED },
		{ mv_of(x, "/none", a, "disk", "slow", OM_MOVE_HOME), -OBJM_STATUS_PRECONDITION_FAILED },
	};

	for (size_t i = 0; i < OM_ARRAY_SIZE(rows); i++)
		assert_int_equal(mv_begin(x, &rows[i].m), rows[i].status);
	struct mv m = mv_of(x, "/a", a, "disk", "slow", OM_MOVE_HOME), other = mv_of(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	m.rev = 2;
	assert_int_equal(mv_begin(x, &m), -OBJM_STATUS_PRECONDITION_FAILED);
	m.rev = 1;
	m.to = 30;
	assert_int_equal(mv_begin(x, &m), -OBJM_STATUS_INVALID_REQUEST);
	m.to = tier_no(x, "slow");
	assert_int_equal(mv_begin(x, &m), 0);
	assert_int_equal(mv_begin(x, &other), -OBJM_STATUS_TRY_AGAIN); /* one move of an object at a time */
	assert_int_equal(mv_finish(x, &m), 0);
	assert_int_equal(x->killed, 0);
	mv_send(x, OM_OP_MOVE_COMMIT, &m); /* a second time: a process that forgot what it did is not trusted */
	WORLD_UNTIL(x, x->killed);
	assert_int_equal(x->killed, SUP_CHILD_LIFECYCLE + 1);
}

/*
 * Ephemeral bytes: whoever was fooled before, the place where the move is committed is not. Here a disk passes for a memory tier,
 * first without, then with the flag that such a tier needs.
 */
static void test_ephemeral_at_the_commit(void **state)
{
	struct world *x = *state;
	struct sup_tier *slow = x->e->tier_by_no[tier_no(x, "slow")];
	uint64_t e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL);
	struct mv m = mv_of(x, "/e", e, "memory", "slow", OM_MOVE_HOME);

#ifdef __SANITIZE_THREAD__
	skip(); /* what it changes under the engine's threads never changes while a real one runs */
#endif
	slow->is_volatile = true;
	assert_int_equal(mv_begin(x, &m), -OBJM_STATUS_INVALID_REQUEST);
	atomic_fetch_or(&slow->flags, OM_TIERF_EPHEMERAL);
	assert_int_equal(mv_begin(x, &m), 0);
	assert_true(mv_finish(x, &m) < 0);
	mv_wait_file_gone(x, "slow", e);
	assert_int_equal(mv_objects_on(x, "slow"), 0);
	mv_check_at(x, "/e", e, "memory", "memory");
	/* and what is a disk again when it is committed */
	int status;
	WORLD_UNTIL(x, (status = mv_begin(x, &m)) != -OBJM_STATUS_TRY_AGAIN); /* the name is free when its removal is forgotten */
	assert_int_equal(status, 0);
	slow->is_volatile = false;
	assert_int_equal(mv_finish(x, &m), -OBJM_STATUS_INVALID_REQUEST);
	mv_wait_file_gone(x, "slow", e);
	mv_check_at(x, "/e", e, "memory", "memory");
}

/*
 * Where many objects go at once their files are removed later than they could be. One whose name a move wants is not waited for: here
 * all of them would be removed after an hour.
 */
static void test_back_at_once(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0), c = put(x, "/c", "disk", 0);
	uint64_t first = put(x, "/first", "disk", 0), last;

	atomic_store(&x->e->late_ns, UINT64_C(3600) * 1000000000u);
	atomic_store(&x->e->late_from, 0);
	for (unsigned i = 0; i < x->e->n_tiers; i++)
		atomic_store(&x->e->tiers[i].late, true);
	assert_int_equal(del(x, "/first"), 0);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	mv_move(x, "/b", b, "disk", "slow", OM_MOVE_HOME);
	mv_move(x, "/c", c, "disk", "slow", OM_MOVE_HOME);
	/* out of the middle of the list, from its end, from its middle again: each waits for 5 s at the most */
	mv_move(x, "/b", b, "slow", "disk", OM_MOVE_HOME);
	mv_move(x, "/c", c, "slow", "disk", OM_MOVE_HOME);
	last = put(x, "/last", "disk", 0);
	assert_int_equal(del(x, "/last"), 0);
	mv_move(x, "/a", a, "slow", "disk", OM_MOVE_HOME);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_at(x, "/b", b, "disk", "disk");
	mv_check_at(x, "/c", c, "disk", "disk");
	assert_true(world_file_is(x, tier_no(x, "disk"), first)); /* nobody wants these */
	assert_true(world_file_is(x, tier_no(x, "disk"), last));
	atomic_store(&x->e->late_ns, 0);
	mv_wait_file_gone(x, "disk", first); /* the list is whole */
	mv_wait_file_gone(x, "disk", last);
	wait_complete(x);
	assert_int_equal(mv_objects_on(x, "disk"), 3);
}

/*
 * Files of a tier that is drained may wait whatever its size: nobody wants their room. Of another one only what is a small part of it: here
 * nothing.
 */
static void test_drained_later(void **state)
{
	struct world *x = *state;
	struct sup_tier *disk = x->e->tier_by_no[tier_no(x, "disk")];
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0), c = put(x, "/c", "disk", 0);

	atomic_store(&x->e->late_ns, UINT64_C(3600) * 1000000000u);
	atomic_store(&x->e->late_from, 0);
	for (unsigned i = 0; i < x->e->n_tiers; i++)
		atomic_store(&x->e->tiers[i].late, true);
	uint64_t capacity = atomic_exchange(&disk->capacity_bytes, 4096);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	mv_wait_file_gone(x, "disk", a);
	atomic_store(&disk->draining, true);
	mv_move(x, "/b", b, "disk", "slow", OM_MOVE_HOME);
	atomic_store(&disk->draining, false);
	mv_move(x, "/c", c, "disk", "slow", OM_MOVE_HOME);
	mv_wait_file_gone(x, "disk", c); /* it came after b, which would be gone by now */
	assert_true(world_file_is(x, tier_no(x, "disk"), b));
	atomic_store(&disk->capacity_bytes, capacity);
	atomic_store(&x->e->late_ns, 0);
	mv_wait_file_gone(x, "disk", b);
	wait_complete(x);
}

/* A committer waits for the moves that are still being copied, so it is known how many these are, whatever becomes of them. */
static void test_counted_while_copied(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv_of(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv_of(x, "/b", b, "disk", "slow", OM_MOVE_HOME);
	int status;

	assert_int_equal(mv_begin(x, &m), 0);
	assert_int_equal(mv_begin(x, &n), 0);
	assert_int_equal(x->e->n_copying, 2);
	mv_send(x, OM_OP_MOVE_ABORT, &n);
	WORLD_UNTIL(x, x->e->n_copying == 1);
	assert_int_equal(mv_finish(x, &m), 0);
	assert_int_equal(x->e->n_copying, 0);
	mv_wait_file_gone(x, "slow", b);
	WORLD_UNTIL(x, (status = mv_begin(x, &n)) != -OBJM_STATUS_TRY_AGAIN);
	assert_int_equal(status, 0);
	assert_int_equal(x->e->n_copying, 1);
	world_lifecycle_again(x);
	WORLD_UNTIL(x, x->e->n_copying == 0 && x->e->n_moves == 0);
	wait_complete(x);
}

/* No room: what a move takes is reserved from its begin on. */
static void test_room(void **state)
{
	struct world *x = *state;
	char uri[8];
	uint64_t id;
	struct mv m[3];

	for (int i = 0; i < 3; i++) {
		snprintf(uri, sizeof(uri), "/%d", i);
		struct om_op_prepare p = { .hdr.type = OM_OP_PREPARE, .tier = tier_no(x, "disk"), .size = 140u << 20, .uri_len = 2 };
		put_msg(&x->w, &p, sizeof(p), uri, NULL, 0);
		id = verdict(x)->id;
		world_file_make(x, p.tier, id);
		struct om_op_commit c = { .hdr.type = OM_OP_COMMIT, .tier = p.tier, .size = p.size, .id = id, .uri_len = 2 };
		put_msg(&x->w, &c, sizeof(c), uri, NULL, 0);
		assert_int_equal(verdict(x)->status, 0);
		m[i] = mv_of(x, i == 0 ? "/0" : i == 1 ? "/1" : "/2", id, "disk", "memory", OM_MOVE_COPY);
	}
	assert_int_equal(mv_begin(x, &m[0]), 0);
	assert_int_equal(mv_begin(x, &m[1]), 0);
	assert_int_equal(mv_begin(x, &m[2]), -OBJM_STATUS_NO_SPACE); /* 300 MiB hold two of 140 */
	mv_send(x, OM_OP_MOVE_ABORT, &m[0]);
	int status; /* until the file that was given up is gone */
	WORLD_UNTIL(x, (status = mv_begin(x, &m[2])) != -OBJM_STATUS_NO_SPACE);
	assert_int_equal(status, 0);
	assert_int_equal(mv_finish(x, &m[1]), 0);
	assert_int_equal(mv_finish(x, &m[2]), 0);
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "memory"), m[0].id));
	mv_check_at(x, "/2", m[2].id, "memory", "disk");
	mv_check_at(x, "/0", m[0].id, "disk", "disk");
}

static void test_abort(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0);
	struct mv m = mv_of(x, "/a", a, "disk", "slow", OM_MOVE_HOME);

	assert_int_equal(mv_begin(x, &m), 0);
	x->l.idle = true;
	mv_send(x, OM_OP_MOVE_ABORT, &m);
	x->l.idle = false; /* the removal is on its way: its name is not free before it is done */
	int status;
	WORLD_UNTIL(x, (status = mv_begin(x, &m)) != -OBJM_STATUS_TRY_AGAIN);
	assert_int_equal(status, 0);
	assert_true(was_reaped(x, a));
	assert_int_equal(mv_finish(x, &m), 0);
	mv_check_at(x, "/a", a, "slow", "slow");
}

/* The process dies, with moves begun and one committed but unanswered. */
static void test_lifecycle_dies(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv_of(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv_of(x, "/b", b, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(mv_begin(x, &m), 0);
	assert_int_equal(mv_begin(x, &n), 0);
	world_lifecycle_again(x);
	mv_wait_file_gone(x, "slow", a);
	mv_wait_file_gone(x, "memory", b);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_check_at(x, "/b", b, "disk", "disk");
	assert_int_equal(x->killed, 0);
	mv_move(x, "/a", a, "disk", "slow", OM_MOVE_HOME); /* nothing of the first is in the way */
	mv_check_at(x, "/a", a, "slow", "slow");
}

/* What changed between BEGIN and COMMIT is not overwritten. */
static void test_changed_meanwhile(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv_of(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv_of(x, "/b", b, "disk", "memory", OM_MOVE_COPY);

	assert_int_equal(mv_begin(x, &m), 0);
	assert_int_equal(mv_begin(x, &n), 0);
	uint64_t a2 = put(x, "/a", "disk", 0);
	assert_int_equal(del(x, "/b"), 0);
	assert_int_equal(mv_finish(x, &m), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(mv_finish(x, &n), -OBJM_STATUS_PRECONDITION_FAILED);
	mv_check_none(x, "/b", b);
	mv_check_at(x, "/a", a2, "disk", "disk");
	assert_false(world_file_is(x, tier_no(x, "slow"), a));
}

static uint64_t put_with(struct world *x, const char *uri, const char *tier, uint32_t flags, uint64_t expiry_s)
{
	uint64_t id;

	assert_int_equal(prepare(x, uri, tier_no(x, tier), flags, (struct om_op_cond){ 0 }, &id), 0);
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, tier), .flags = flags, .size = 5, .id = id,
				  .expiry_s = expiry_s, .uri_len = (uint16_t)strlen(uri) };
	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	assert_int_equal(verdict(x)->status, 0);
	return id;
}

static void test_drops(void **state)
{
	struct world *x = *state;
	uint64_t now = om_wall_ns() / 1000000000u;
	struct om_op_record rec;
	uint64_t only = put(x, "/only", "disk", 0), ev = put(x, "/ev", "disk", OM_OBJ_EVICTABLE),
		 evp = put(x, "/evp", "disk", OM_OBJ_EVICTABLE | OM_OBJ_PINNED), old = put_with(x, "/old", "disk", 0, now - 1),
		 later = put_with(x, "/later", "disk", 0, now + 1000);

	/* nothing removes an only copy that did not agree to it */
	assert_int_equal(mv_drop(x, "/only", only, "disk", OM_DROP_EVICT), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(mv_drop(x, "/only", only, "disk", OM_DROP_COPY), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(mv_drop(x, "/only", only, "disk", OM_DROP_EXPIRED), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(mv_drop(x, "/later", later, "disk", OM_DROP_EXPIRED), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(mv_drop(x, "/evp", evp, "disk", OM_DROP_EVICT), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(mv_drop(x, "/ev", ev + 1000, "disk", OM_DROP_EVICT), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(mv_drop(x, "/nothing", ev, "disk", OM_DROP_EVICT), -OBJM_STATUS_PRECONDITION_FAILED);
	mv_check_at(x, "/only", only, "disk", "disk");
	mv_check_at(x, "/evp", evp, "disk", "disk");
	mv_move(x, "/ev", ev, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(mv_drop(x, "/ev", ev, "disk", OM_DROP_EVICT), 0); /* with its copy */
	mv_check_none(x, "/ev", ev);
	assert_int_equal(lookup(x, "/old", &rec), -OBJM_STATUS_NOT_FOUND); /* before it is reaped */
	mv_move(x, "/later", later, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(mv_drop(x, "/old", old, "disk", OM_DROP_EXPIRED), 0);
	mv_check_none(x, "/old", old);
	mv_check_at(x, "/later", later, "memory", "disk");
	/* a delete of what has expired finds nothing, and leaves nothing */
	uint64_t gone_by = put_with(x, "/by", "disk", 0, now - 1);
	assert_int_equal(del(x, "/by"), -OBJM_STATUS_NOT_FOUND);
	mv_check_none(x, "/by", gone_by);
}

static void test_gone(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	char path[160], aside[160];

	assert_int_equal(mv_gone(x, "/a", a, "disk"), -OBJM_STATUS_INVALID_REQUEST); /* a child's word is not enough */
	assert_int_equal(mv_gone(x, "/a", a, "memory"), 0);			      /* the slot says otherwise by now */
	assert_int_equal(mv_gone(x, "/a", a + 1, "disk"), 0);
	mv_check_at(x, "/a", a, "disk", "disk");
	mv_move(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	world_file_remove(x, tier_no(x, "memory"), a);
	assert_int_equal(mv_gone(x, "/a", a, "memory"), 0);
	mv_check_at(x, "/a", a, "disk", "disk");
	assert_int_equal(mv_objects_on(x, "memory"), 0);
	/* a tier that shows nothing at all proves nothing */
	snprintf(path, sizeof(path), "%s/disk/.objmapper-tier", x->dir);
	snprintf(aside, sizeof(aside), "%s/aside", x->dir);
	assert_int_equal(rename(path, aside), 0);
	world_file_remove(x, tier_no(x, "disk"), b);
	assert_int_equal(mv_gone(x, "/b", b, "disk"), -OBJM_STATUS_UNAVAILABLE);
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(mv_gone(x, "/b", b, "disk"), -OBJM_STATUS_NOT_FOUND);
	mv_check_none(x, "/b", b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_home_moves),
		T(test_gently),
		T(test_copy),
		T(test_refused),
		T(test_ephemeral_at_the_commit),
		T(test_back_at_once), T(test_drained_later), T(test_counted_while_copied),
		T(test_room),
		T(test_abort),
		T(test_lifecycle_dies),
		T(test_changed_meanwhile),
		T(test_drops),
		T(test_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
