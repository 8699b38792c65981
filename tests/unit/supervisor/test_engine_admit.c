/*
 * test_engine_admit.c: connections and open puts counted over all workers: against a model of random comings and goings, and what
 * the model does not have: exemptions, a worker that dies, limits that change, messages that cannot be.
 */
#include "engine_world.h"

#define UIDS 4u

static enum om_admit_limit last_hit;

static int enter(struct world *x, uint32_t uid, enum om_admit what)
{
	struct om_op_admit m = { .hdr.type = OM_OP_ADMIT, .uid = uid, .what = (uint8_t)what };

	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
	const struct om_op_verdict *v = verdict(x);
	last_hit = (enum om_admit_limit)v->cur_rev;
	assert_int_equal(v->status, last_hit ? -OBJM_STATUS_LIMIT_EXCEEDED : 0);
	return v->status;
}

static void leave(struct world *x, uint32_t uid, enum om_admit what)
{
	struct om_op_admit m = { .hdr.type = OM_OP_LEAVE, .uid = uid, .what = (uint8_t)what };

	put_msg(&x->w, &m, sizeof(m), "", NULL, 0);
}

static void limits(struct world *x, uint32_t conns, uint32_t conns_uid, uint32_t puts, uint32_t puts_uid)
{
	x->conf->limits.connections = conns;
	x->conf->limits.connections_per_uid = conns_uid;
	x->conf->limits.put_sessions = puts;
	x->conf->limits.put_sessions_per_uid = puts_uid;
	x->conf->limits.watches_per_uid = 5;
	sup_engine_conf(x->e, x->conf);
}

static void test_model(void **state)
{
	static const uint32_t most[OM_ADMITS] = { 9, 7, UINT32_MAX }, most_uid[OM_ADMITS] = { 4, 3, 5 };
	unsigned n[OM_ADMITS][UIDS] = { { 0 } }, all[OM_ADMITS] = { 0 }, hit[3] = { 0 }, seed = 3;
	struct world *x = *state;

	limits(x, most[0], most_uid[0], most[1], most_uid[1]);
	for (unsigned i = 0; i < 4000; i++) {
		unsigned what = (unsigned)rand_r(&seed) % OM_ADMITS, u = (unsigned)rand_r(&seed) % UIDS;
		uint32_t uid = 2000 + 1024 * u; /* their rows lie close together */
		if (rand_r(&seed) % 5 < 2) {
			if (!n[what][u])
				continue;
			leave(x, uid, (enum om_admit)what);
			n[what][u]--;
			all[what]--;
			continue;
		}
		enum om_admit_limit want = all[what] >= most[what]	  ? OM_ADMIT_LIMIT_ALL :
					   n[what][u] >= most_uid[what] ? OM_ADMIT_LIMIT_UID :
									  OM_ADMIT_OK;
		(void)enter(x, uid, (enum om_admit)what);
		assert_int_equal(last_hit, want);
		hit[want]++;
		n[what][u] += !want;
		all[what] += !want;
	}
	assert_true(hit[0] > 100 && hit[1] > 100 && hit[2] > 100);
	assert_int_equal(x->killed, 0);
}

static void test_exempt(void **state)
{
	struct world *x = *state;

	limits(x, 6, 1, 6, 1);
	assert_int_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	assert_int_not_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	for (unsigned i = 0; i < 2; i++) { /* root, the daemon's own, and TCP, which is no user: the limit in all alone */
		assert_int_equal(enter(x, 0, OM_ADMIT_CONN), 0);
		assert_int_equal(enter(x, UINT32_MAX, OM_ADMIT_CONN), 0);
	}
	assert_int_equal(enter(x, (uint32_t)geteuid(), OM_ADMIT_CONN), 0);
	assert_int_not_equal(enter(x, 0, OM_ADMIT_CONN), 0);
	assert_int_equal(last_hit, OM_ADMIT_LIMIT_ALL);
	assert_int_equal(enter(x, 0, OM_ADMIT_PUT), 0); /* open puts: root as everybody */
	assert_int_not_equal(enter(x, 0, OM_ADMIT_PUT), 0);
	assert_int_equal(last_hit, OM_ADMIT_LIMIT_UID);
	assert_int_equal(enter(x, UINT32_MAX, OM_ADMIT_PUT), 0);
	assert_int_equal(enter(x, UINT32_MAX, OM_ADMIT_PUT), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(enter(x, 0, OM_ADMIT_WATCH), 0);
		assert_int_equal(enter(x, UINT32_MAX, OM_ADMIT_WATCH), 0);
	}
	assert_int_equal(enter(x, 0, OM_ADMIT_WATCH), 0);
	assert_int_not_equal(enter(x, UINT32_MAX, OM_ADMIT_WATCH), 0); /* whoever comes over TCP is one user here */
	assert_int_equal(last_hit, OM_ADMIT_LIMIT_UID);
}

static void test_worker_dies(void **state)
{
	struct world *x = *state;

	limits(x, 5, 3, 5, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
		assert_int_equal(enter(x, 2000, OM_ADMIT_PUT), 0);
	}
	assert_int_equal(enter(x, 2001, OM_ADMIT_CONN), 0);
	assert_int_not_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	world_worker_again(x);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
		assert_int_equal(enter(x, 2000, OM_ADMIT_PUT), 0);
	}
	assert_int_equal(enter(x, 2001, OM_ADMIT_CONN), 0);
	assert_int_equal(enter(x, 2001, OM_ADMIT_CONN), 0);
	assert_int_not_equal(enter(x, 2002, OM_ADMIT_CONN), 0);
	assert_int_equal(last_hit, OM_ADMIT_LIMIT_ALL);
}

static void test_lowered(void **state)
{
	struct world *x = *state;

	limits(x, 10, 4, 10, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	limits(x, 10, 2, 10, 4); /* nobody is closed, nobody comes */
	assert_int_not_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	leave(x, 2000, OM_ADMIT_CONN);
	leave(x, 2000, OM_ADMIT_CONN);
	assert_int_not_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	leave(x, 2000, OM_ADMIT_CONN);
	assert_int_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	limits(x, 10, 3, 10, 4);
	assert_int_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	assert_int_not_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
}

/* Who says that somebody left who never came is broken, or lies to make room. */
static void test_liars(void **state)
{
	struct world *x = *state;

	assert_int_equal(enter(x, 2000, OM_ADMIT_CONN), 0);
	leave(x, 2000, OM_ADMIT_PUT);
	for (int i = 0; i < 5000 && !x->killed; i++)
		(void)usleep(1000);
	assert_int_equal(x->killed, 2); /* place 1 */
}

/* PREPARE upon PREPARE of nothing: bounded, and counted down by what ends one. */
static void test_promises(void **state)
{
	struct world *x = *state;
	uint64_t id, first = 0;
	char name[32];
	unsigned n = 0;
	int status = 0;

	limits(x, 10, 10, 16, 16);
	for (; n < 3 * OM_OPS_MAX && status == 0; n++) {
		struct om_op_prepare m = { .hdr.type = OM_OP_PREPARE, .tier = tier_no(x, "disk"), .uid = 2000 };
		m.uri_len = (uint16_t)snprintf(name, sizeof(name), "/p/%u", n);
		put_msg(&x->w, &m, sizeof(m), name, NULL, 0);
		const struct om_op_verdict *v = verdict(x);
		status = v->status;
		first = first ? first : v->id;
	}
	assert_int_equal(status, -OBJM_STATUS_TRY_AGAIN);
	assert_int_equal(n, OM_OPS_MAX + 16 + 1);
	struct om_op_abort a = { .hdr.type = OM_OP_ABORT, .id = first };
	put_msg(&x->w, &a, sizeof(a), "", NULL, 0);
	assert_int_equal(prepare(x, "/more", tier_no(x, "disk"), 0, (struct om_op_cond){ 0 }, &id), 0);
	assert_int_equal(prepare(x, "/most", tier_no(x, "disk"), 0, (struct om_op_cond){ 0 }, &first), -OBJM_STATUS_TRY_AGAIN);
	assert_int_equal(commit(x, "/more", tier_no(x, "disk"), 0, id), 0);
	assert_int_equal(prepare(x, "/most", tier_no(x, "disk"), 0, (struct om_op_cond){ 0 }, &first), 0);
	world_worker_again(x);
	assert_int_equal(prepare(x, "/again", tier_no(x, "disk"), 0, (struct om_op_cond){ 0 }, &id), 0);
	assert_int_equal(x->killed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_model), T(test_exempt), T(test_worker_dies), T(test_lowered), T(test_promises), T(test_liars),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
