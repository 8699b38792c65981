/*
 * test_engine_collision.c: two URIs with one key of the index. It does not happen with 128 bits under a secret; here it is made to
 * happen (the linker puts another function in the place of idx_key_make). Nothing may be lost: the second URI is refused, on
 * whatever tier, and what is asked about it does not touch the first.
 */
#include "engine_world.h"

#include "index/idx_key.h"

void __real_idx_key_make(const unsigned char *secret, const void *uri, size_t len, struct idx_key *ret_key);
void __wrap_idx_key_make(const unsigned char *secret, const void *uri, size_t len, struct idx_key *ret_key);

void __wrap_idx_key_make(const unsigned char *secret, const void *uri, size_t len, struct idx_key *ret_key)
{
	if (len > 3 && !memcmp(uri, "/c/", 3))
		__real_idx_key_make(secret, "/c/", 3, ret_key); /* all below it are one */
	else
		__real_idx_key_make(secret, uri, len, ret_key);
}

static int try_put(struct world *x, const char *uri, const char *tier, uint32_t flags)
{
	uint64_t id;
	int status = prepare(x, uri, tier_no(x, tier), flags, (struct om_op_cond){ 0 }, &id);

	return status ? status : commit(x, uri, tier_no(x, tier), flags, id);
}

/* The first one is there in every way in which one can ask. */
static void stands(struct world *x, uint64_t id)
{
	struct om_op_record rec;
	struct idx_ent ent;
	char last[64] = "";
	bool more;

	assert_int_equal(index_get(x, "/c/a", &ent), 0);
	assert_int_equal(ent.id, id);
	assert_int_equal(lookup(x, "/c/a", &rec), 0);
	assert_int_equal(rec.id, id);
	assert_int_equal(lookup(x, "/c/b", &rec), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(list_count(x, "/c/", 10, last, &more), 1);
	assert_string_equal(last, "/c/a");
	assert_true(world_file_is(x, ent.tier, id));
}

static void test_refused(void **state)
{
	struct world *x = *state;
	uint64_t id = put(x, "/c/a", "disk", 0);

	stands(x, id);
	assert_int_equal(try_put(x, "/c/b", "disk", 0), -OBJM_STATUS_COLLISION);
	stands(x, id);
	assert_int_equal(try_put(x, "/c/b", "slow", 0), -OBJM_STATUS_COLLISION); /* another tier */
	stands(x, id);
	assert_int_equal(try_put(x, "/c/b", "memory", OM_OBJ_EPHEMERAL), -OBJM_STATUS_COLLISION);
	stands(x, id);
	assert_int_equal(del(x, "/c/b"), -OBJM_STATUS_NOT_FOUND);
	stands(x, id);
	struct om_op_set s = { .hdr.type = OM_OP_SET, .flags_mask = OM_OBJ_PINNED, .flags = OM_OBJ_PINNED, .uri_len = 4 };
	put_msg(&x->w, &s, sizeof(s), "/c/b", NULL, 0);
	assert_int_equal(verdict(x)->status, -OBJM_STATUS_NOT_FOUND);
	stands(x, id);
	wait_complete(x); /* the refused ones' files are gone, the first one's is not */
	stands(x, id);
	/* its own life goes on: replaced on this and on another tier, read after a restart */
	id = put(x, "/c/a", "disk", 0);
	stands(x, id);
	id = put(x, "/c/a", "slow", 0);
	stands(x, id);
	world_restart(x);
	stands(x, id);
	assert_int_equal(try_put(x, "/c/b", "disk", 0), -OBJM_STATUS_COLLISION);
	assert_int_equal(del(x, "/c/a"), 0);
	(void)put(x, "/c/b", "disk", 0); /* now there is room for it */
	assert_int_equal(try_put(x, "/c/a", "slow", 0), -OBJM_STATUS_COLLISION);
	assert_int_equal(x->killed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_refused, setup, teardown) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
