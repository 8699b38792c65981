/*
 * engine_moves.c: see engine_moves.h.
 */
#include "engine_moves.h"

int mv_verdict(struct world *x)
{
	WORLD_UNTIL(x, x->l.verdict.hdr.req == x->l.req);
	return x->l.verdict.status;
}

void mv_send(struct world *x, uint16_t type, const struct mv *m)
{
	struct om_op_move o = { .hdr.type = type, .id = m->id, .size = 5, .rev = m->rev, .from = m->from, .to = m->to,
				.kind = m->kind, .gently = m->gently, .uri_len = (uint16_t)strlen(m->uri) };

	put_msg(&x->l, &o, sizeof(o), m->uri, NULL, 0);
}

int mv_begin(struct world *x, const struct mv *m)
{
	mv_send(x, OM_OP_MOVE_BEGIN, m);
	int status = mv_verdict(x);
	if (status == 0)
		world_file_make_uri(x, m->to, m->id, m->uri, 0);
	return status;
}

int mv_finish(struct world *x, const struct mv *m)
{
	mv_send(x, OM_OP_MOVE_COMMIT, m);
	return mv_verdict(x);
}

struct mv mv_of(struct world *x, const char *uri, uint64_t id, const char *from, const char *to, uint8_t kind)
{
	return (struct mv){ .uri = uri, .id = id, .rev = 1, .from = tier_no(x, from), .to = tier_no(x, to), .kind = kind };
}

void mv_move(struct world *x, const char *uri, uint64_t id, const char *from, const char *to, uint8_t kind)
{
	struct mv m = mv_of(x, uri, id, from, to, kind);
	int status;

	/* while an older file of this name is on its way out, a move there waits */
	WORLD_UNTIL(x, (status = mv_begin(x, &m)) != -OBJM_STATUS_TRY_AGAIN);
	assert_int_equal(status, 0);
	assert_int_equal(mv_finish(x, &m), 0);
}

int mv_drop(struct world *x, const char *uri, uint64_t id, const char *tier, uint8_t why)
{
	struct om_op_drop m = { .hdr.type = OM_OP_DROP, .id = id, .rev = 1, .tier = tier_no(x, tier), .why = why,
				.uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->l, &m, sizeof(m), uri, NULL, 0);
	return mv_verdict(x);
}

int mv_gone(struct world *x, const char *uri, uint64_t id, const char *tier)
{
	struct om_op_gone m = { .hdr.type = OM_OP_GONE, .id = id, .tier = tier_no(x, tier), .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	return verdict(x)->status;
}

void mv_check_at(struct world *x, const char *uri, uint64_t id, const char *tier, const char *home)
{
	struct idx_ent ent;

	assert_int_equal(index_get(x, uri, &ent), 0);
	assert_int_equal(ent.id, id);
	assert_int_equal(ent.tier, tier_no(x, tier));
	assert_int_equal(ent.home, tier_no(x, home));
	assert_true(world_file_is(x, ent.tier, id));
	assert_true(world_file_is(x, ent.home, id));
}

void mv_check_none(struct world *x, const char *uri, uint64_t id)
{
	struct om_op_record rec;
	struct idx_ent ent;

	wait_complete(x);
	assert_int_equal(index_get(x, uri, &ent), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(lookup(x, uri, &rec), -OBJM_STATUS_NOT_FOUND);
	assert_false(world_file_is(x, tier_no(x, "memory"), id));
	assert_false(world_file_is(x, tier_no(x, "disk"), id));
	assert_false(world_file_is(x, tier_no(x, "slow"), id));
}

void mv_wait_file_gone(struct world *x, const char *tier, uint64_t id)
{
	WORLD_UNTIL(x, !world_file_is(x, tier_no(x, tier), id));
}

uint64_t mv_objects_on(struct world *x, const char *tier)
{
	struct sup_engine_stat st;

	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		if (!strcmp(st.tiers[i].name, tier))
			return st.tiers[i].objects;
	return UINT64_MAX;
}
