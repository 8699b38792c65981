/*
 * test_engine_room.c: what tiers hold and promise: nothing beyond their capacity, whoever asks in whatever order; who waits for
 * room gets it first.
 */
#include <limits.h>

#include "engine_moves.h"
#include "supervisor/sup_engine_int.h"

#define MB (UINT64_C(1) << 20)

static void send_reserve(struct world *x, const char *tier, uint32_t room, uint64_t bytes, bool wait)
{
	struct om_op_reserve m = { .hdr.type = OM_OP_RESERVE, .bytes = bytes, .room = room, .tier = tier_no(x, tier), .wait = wait };

	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
}

static int reserve(struct world *x, const char *tier, uint32_t room, uint64_t bytes)
{
	send_reserve(x, tier, room, bytes, false);
	return verdict(x)->status;
}

static void release(struct world *x, uint32_t room)
{
	struct om_op_release m = { .hdr.type = OM_OP_RELEASE, .room = room };

	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
}

static struct sup_engine_tier_stat stat_of(struct world *x, const char *tier)
{
	struct sup_engine_stat st;

	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		if (!strcmp(st.tiers[i].name, tier))
			return st.tiers[i];
	fail_msg("no tier %s", tier);
	return st.tiers[0];
}

/* A PREPARE of `size` bytes, with a room or without. */
static int prepare_size(struct world *x, const char *uri, const char *tier, uint64_t size, uint32_t room, uint64_t *ret_id)
{
	struct om_op_prepare m = { .hdr.type = OM_OP_PREPARE, .tier = tier_no(x, tier), .size = size, .room = room,
				   .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	const struct om_op_verdict *v = verdict(x);
	int status = v->status;
	*ret_id = v->id;
	if (status == 0)
		world_file_make(x, m.tier, *ret_id);
	return status;
}

static uint64_t put_size(struct world *x, const char *uri, const char *tier, uint64_t size, uint32_t flags)
{
	uint64_t id;

	assert_int_equal(prepare_size(x, uri, tier, size, 0, &id), 0);
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, tier), .size = size, .flags = flags, .id = id,
				  .uri_len = (uint16_t)strlen(uri) };
	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	assert_int_equal(verdict(x)->status, 0);
	return id;
}

/* The memory tier has 300 MiB; one of it is kept for its catalog. */
static void test_rooms(void **state)
{
	struct world *x = *state;
	uint64_t id;

	assert_int_equal(reserve(x, "memory", 1, 200 * MB), 0);
	assert_int_equal(reserve(x, "memory", 2, 100 * MB), -OBJM_STATUS_NO_SPACE);
	assert_int_equal(reserve(x, "memory", 2, 90 * MB), 0);
	assert_int_equal(reserve(x, "memory", 1, 150 * MB), 0);			       /* less than it has: nothing changes */
	assert_int_equal(reserve(x, "memory", 2, 200 * MB), -OBJM_STATUS_NO_SPACE);     /* to grow */
	assert_int_equal(prepare_size(x, "/no", "memory", 50 * MB, 0, &id), -OBJM_STATUS_NO_SPACE);
	assert_int_equal(prepare_size(x, "/a", "memory", 200 * MB, 1, &id), 0);	       /* what it has is its own */
	assert_int_equal(stat_of(x, "memory").reserved_bytes, 290 * MB);	       /* and is not counted twice */
	release(x, 1);							       /* it ended with the PREPARE */
	release(x, 2);
	assert_int_equal(reserve(x, "memory", 3, 90 * MB), 0);
	assert_int_equal(stat_of(x, "memory").reserved_bytes, 290 * MB);
	/* a PREPARE that needs more than its room */
	assert_int_equal(prepare_size(x, "/b", "memory", 120 * MB, 3, &id), -OBJM_STATUS_NO_SPACE);
	assert_int_equal(prepare_size(x, "/b", "memory", 95 * MB, 3, &id), 0);
	assert_int_equal(stat_of(x, "memory").reserved_bytes, 295 * MB);
	assert_int_equal(x->killed, 0);
	/* an object that is larger than the tier, a hint that is out of this world */
	assert_int_equal(reserve(x, "memory", 4, UINT64_C(1) << 62), -OBJM_STATUS_NO_SPACE);
	/* all of a worker's promises end with it, those of puts that it has not prepared too */
	assert_int_equal(reserve(x, "memory", 5, 1 * MB), 0);
	assert_int_equal(stat_of(x, "memory").reserved_bytes, 296 * MB);
	world_worker_again(x);
	WORLD_UNTIL(x, !stat_of(x, "memory").reserved_bytes);
}

/* Nothing new is sent to a tier that is drained; a put that lies there already succeeds, and the drain takes its object along. */
static void test_drain_meets_a_put(void **state)
{
	struct world *x = *state;
	uint64_t id;

	assert_int_equal(sup_engine_tier_draining(x->e, "disk", true), 0);
	assert_int_equal(reserve(x, "disk", 1, MB), -OBJM_STATUS_READ_ONLY);
	assert_int_equal(prepare_size(x, "/begun", "disk", 5, 0, &id), 0);
	assert_int_equal(prepare(x, "/pinned", tier_no(x, "disk"), OM_OBJ_PINNED, (struct om_op_cond){ 0 }, &id), -OBJM_STATUS_READ_ONLY);
	assert_int_equal(prepare(x, "/e", tier_no(x, "disk"), OM_OBJ_EPHEMERAL, (struct om_op_cond){ 0 }, &id), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(sup_engine_tier_draining(x->e, "disk", false), 0);
	assert_int_equal(reserve(x, "disk", 1, MB), 0);
}

static void test_used_is_what_is_there(void **state)
{
	struct world *x = *state;

	uint64_t before = stat_of(x, "disk").used_bytes;
	put_size(x, "/a", "disk", 1, 0);
	put_size(x, "/b", "disk", 5000, OM_OBJ_EVICTABLE);
	wait_complete(x);
	struct sup_engine_tier_stat s = stat_of(x, "disk");
	assert_int_equal(s.object_bytes, 5001);
	assert_true(s.used_bytes >= before + 12288); /* pages, and what the catalog grew */
	assert_int_equal(s.evictable_bytes, 8192);
	x->l.idle = true; /* deleted, and the file still there */
	assert_int_equal(del(x, "/b"), 0);
	s = stat_of(x, "disk");
	assert_int_equal(s.removal_bytes, 8192);
	assert_int_equal(s.evictable_bytes, 0);
	assert_int_equal(s.object_bytes, 1);
	x->l.idle = false;
	wait_complete(x);
	assert_int_equal(stat_of(x, "disk").removal_bytes, 0);
	/* the same after a restart */
	put_size(x, "/c", "disk", 300 * MB, OM_OBJ_EVICTABLE);
	world_restart(x);
	s = stat_of(x, "disk");
	assert_int_equal(s.evictable_bytes, 300 * MB);
	assert_true(s.used_bytes >= 300 * MB + 4096 && s.used_bytes < 302 * MB); /* with the catalog */
}

static int drop_copy(struct world *x, const char *uri, uint64_t id) { return mv_drop(x, uri, id, "memory", OM_DROP_COPY); }

static uint64_t cached(struct world *x, const char *uri, uint64_t size)
{
	uint64_t id = put_size(x, uri, "disk", size, 0);

	mv_move(x, uri, id, "disk", "memory", OM_MOVE_COPY);
	return id;
}

/* 280 MiB of copies: who needs room waits until they have gone; who comes later does not get it first. */
static void test_waits_for_room(void **state)
{
	struct world *x = *state;
	size_t len;
	uint64_t a = cached(x, "/a", 140 * MB), b = cached(x, "/b", 140 * MB);

	assert_int_equal(stat_of(x, "memory").copy_bytes, 280 * MB);
	assert_int_equal(reserve(x, "memory", 1, 200 * MB), -OBJM_STATUS_NO_SPACE); /* it did not ask to wait */
	send_reserve(x, "memory", 1, 200 * MB, true);
	uint64_t first = x->w.req;
	send_reserve(x, "memory", 2, 10 * MB, true); /* there is room for this one now, and somebody before it */
	uint64_t second = x->w.req;
	WORLD_UNTIL(x, x->l.n_rooms);
	assert_true(x->l.room.bytes >= 200 * MB && x->l.room.bytes <= 212 * MB); /* that must be free, of 300 */
	assert_int_equal(x->l.room.tier, tier_no(x, "memory"));
	assert_int_equal(drop_copy(x, "/a", a), 0);
	assert_int_equal(om_ring_get(&x->w.ring, msg.b, sizeof(msg.b), &len), -OBJM_STATUS_WOULD_BLOCK); /* not enough yet */
	assert_int_equal(drop_copy(x, "/b", b), 0);
	next(x);
	assert_int_equal(msg.hdr.req, first);
	assert_int_equal(((const struct om_op_verdict *)msg.b)->status, 0);
	next(x);
	assert_int_equal(msg.hdr.req, second);
	assert_int_equal(((const struct om_op_verdict *)msg.b)->status, 0);
	assert_int_equal(stat_of(x, "memory").reserved_bytes, 210 * MB);
}

/* A PREPARE waits, too; the time is bounded; and where nothing could go nobody waits. */
static void test_waits_no_longer(void **state)
{
	struct world *x = *state;
	uint64_t id, t0;

	put_size(x, "/only", "memory", 250 * MB, 0);
	t0 = om_now_ns();
	assert_int_equal(prepare_size(x, "/x", "memory", 100 * MB, 0, &id), -OBJM_STATUS_NO_SPACE);
	assert_int_equal(x->l.n_rooms, 0);
	assert_int_equal(del(x, "/only"), 0);
	wait_complete(x);
	uint64_t a = cached(x, "/a", 250 * MB);
	t0 = om_now_ns();
	assert_int_equal(prepare_size(x, "/x", "memory", 100 * MB, 0, &id), -OBJM_STATUS_NO_SPACE);
	assert_true(om_now_ns() - t0 >= UINT64_C(900000000)); /* limits.room_wait */
	assert_true(x->l.n_rooms > 0);
	/* freed meanwhile, it is the waiting one's */
	struct om_op_prepare m = { .hdr.type = OM_OP_PREPARE, .tier = tier_no(x, "memory"), .size = 100 * MB, .uri_len = 2 };
	put_msg(&x->w, &m, sizeof(m), "/x", NULL, 0);
	assert_int_equal(drop_copy(x, "/a", a), 0);
	assert_int_equal(verdict(x)->status, 0);
	assert_int_equal(x->killed, 0);
}

/* Those who wait are forgotten with their worker. */
static void test_waiter_dies(void **state)
{
	struct world *x = *state;
	uint64_t a = cached(x, "/a", 250 * MB);

	send_reserve(x, "memory", 1, 200 * MB, true);
	WORLD_UNTIL(x, x->l.n_rooms);
	world_worker_again(x);
	assert_int_equal(drop_copy(x, "/a", a), 0);
	wait_complete(x);
	WORLD_UNTIL(x, !stat_of(x, "memory").reserved_bytes);
	assert_int_equal(reserve(x, "memory", 1, 200 * MB), 0);
}

/* Nobody removes files: deletes are taken until as many removals wait as may, then changes wait in their ring, and nothing grows. */
static void test_removals_are_bounded(void **state)
{
	struct world *x = *state;
	enum { MAX = 8, ALL = SUP_REAP_WINDOW + MAX + 40 };
	struct om_op_delete d = { .hdr.type = OM_OP_DELETE };
	char uri[32];
	unsigned done;

	atomic_store(&x->e->rm_max, MAX);
	atomic_store(&x->e->late_from, UINT_MAX); /* none rests before it is asked for */
	for (unsigned i = 0; i < ALL; i++) {
		(void)snprintf(uri, sizeof(uri), "/r/%04u", i);
		(void)put(x, uri, "disk", 0);
	}
	wait_complete(x);
	x->l.idle = true;
	for (done = 0; done < SUP_REAP_WINDOW + MAX + 1; done++) { /* each is published before the next is sent */
		(void)snprintf(uri, sizeof(uri), "/r/%04u", done);
		assert_int_equal(del(x, uri), 0);
	}
	struct sup_engine_stat st;
	uint64_t one = x->w.req + 1;
	for (; done < ALL; done++) {
		(void)snprintf(uri, sizeof(uri), "/r/%04u", done);
		d.uri_len = (uint16_t)strlen(uri);
		put_msg(&x->w, &d, sizeof(d), uri, NULL, 0);
	}
	for (int i = 0; i < 200; i++, usleep(1000)) { /* the bound holds for as long as nothing is removed */
		size_t len;
		assert_int_equal(om_ring_get(&x->w.ring, msg.b, sizeof(msg.b), &len), -OBJM_STATUS_WOULD_BLOCK);
	}
	sup_engine_stat(x->e, &st);
	assert_true(st.pending_removals >= SUP_REAP_WINDOW + MAX && st.pending_removals <= SUP_REAP_WINDOW + MAX + 1);
	x->l.idle = false;
	for (; one <= x->w.req; one++) { /* and all of them are answered once files go again */
		next(x);
		assert_int_equal(msg.hdr.type, OM_OP_VERDICT);
		assert_int_equal(((struct om_op_verdict *)(void *)msg.b)->status, 0);
	}
	wait_complete(x);
	WORLD_UNTIL(x, (sup_engine_stat(x->e, &st), st.pending_removals == 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_rooms),
		T(test_drain_meets_a_put),
		T(test_used_is_what_is_there),
		T(test_waits_for_room),
		T(test_waits_no_longer),
		T(test_waiter_dies),
		T(test_removals_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
