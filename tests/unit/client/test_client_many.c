/*
 * test_client_many.c: objm_put_many(): several puts under way, against a server that cuts, refuses and dies.
 */
#define CLIENT_TEST_FAKE
#include "tests/unit/client/client_test.h"


#define N 300

static struct objm_put_item items[N];
static struct objm_result res[N];
static char uris[N][32], big[200000];

static int setup(void **state)
{
	struct objm_options o = OBJM_OPTIONS_INIT;

	(void)state;
	o.retry_ms = 3000;
	o.call_timeout_ms = 3000;
	for (int i = 0; i < N; i++) {
		(void)snprintf(uris[i], sizeof(uris[i]), "/many/%d", i);
		items[i] = (struct objm_put_item){.uri = uris[i], .data = uris[i], .len = strlen(uris[i])};
	}
	return fake_begin(&o);
}

/* Every item is there, with its own bytes. */
static void check_stored(int n)
{
	char b[64];
	size_t len;

	for (int i = 0; i < n; i++) {
		if (items[i].len > sizeof(b))
			continue;
		if (objm_read(s, uris[i], b, sizeof(b), &len, NULL) < 0)
			fail_msg("%s", objm_error(s));
		assert_int_equal(len, items[i].len);
		assert_memory_equal(b, items[i].data, len);
	}
}

static void test_every_item_has_its_own_result(void **state)
{
	struct objm_stat *st;

	(void)state;
	items[7].uri = "";
	items[8] = (struct objm_put_item){.uri = uris[8], .data = big, .len = sizeof(big)};
	items[9].len = 0;
	assert_int_equal(objm_put_many(s, items, N, NULL, res), 0);
	for (int i = 0; i < N; i++) {
		assert_int_equal(res[i].status, i == 7 ? -OBJM_STATUS_INVALID_REQUEST : 0);
		assert_int_equal(res[i].fd, -1);
		if (i != 7)
			assert_int_equal(res[i].info.size, items[i].len);
	}
	assert_int_equal(f->applied, N - 1);
	assert_int_equal(objm_stat(s, uris[8], &st), 0);
	assert_int_equal(st->info.size, sizeof(big));
	objm_stat_free(st);
	items[7] = (struct objm_put_item){.uri = uris[6], .data = uris[6], .len = strlen(uris[6])};
	check_stored(7);
	assert_int_equal(objm_put_many(s, items, 0, NULL, res), 0);
}

static void test_a_cut_is_repeated(void **state)
{
	(void)state;
	for (int cut = 40; cut < 2000; cut += 397) {
		f->cut_after = cut;
		f->cut_conns = 2;
		assert_int_equal(objm_put_many(s, items, 20, NULL, res), 0);
		for (int i = 0; i < 20; i++)
			assert_int_equal(res[i].status, 0);
		check_stored(20);
		f->cut_conns = 0;
	}
}

static void test_busy_is_repeated(void **state)
{
	(void)state;
	f->refuse_op = OM_PROTO_OP_PUT_INLINE;
	f->refuse_status = OBJM_STATUS_TRY_AGAIN;
	f->refuse_count = 13;
	assert_int_equal(objm_put_many(s, items, 10, NULL, res), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(res[i].status, 0);
	assert_int_equal(f->applied, 10);
}

static void test_a_refusal_is_that_item_s(void **state)
{
	(void)state;
	f->refuse_op = OM_PROTO_OP_PUT_INLINE;
	f->refuse_status = OBJM_STATUS_NO_SPACE;
	f->refuse_count = 1;
	assert_int_equal(objm_put_many(s, items, 10, NULL, res), 0);
	assert_int_equal(res[0].status, -OBJM_STATUS_NO_SPACE);
	for (int i = 1; i < 10; i++)
		assert_int_equal(res[i].status, 0);
}

static void test_conditional_ones_are_not_sent_twice(void **state)
{
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	int stored = 0, unknown = 0;

	(void)state;
	o.cond.kind = OBJM_COND_ABSENT;
	f->die_op = OM_PROTO_OP_PUT_INLINE;
	f->die_applied = 1;
	f->die_count = 1;
	(void)objm_put_many(s, items, 10, &o, res);
	for (int i = 0; i < 10; i++) {
		stored += res[i].status == 0;
		unknown += res[i].status == -OBJM_STATUS_TIMEOUT;
	}
	assert_int_equal(stored + unknown, 10);
	assert_true(unknown > 0);
	assert_int_equal(f->applied, 1);
	assert_non_null(strstr(objm_error(s), "outcome unknown"));
}

static void test_a_server_that_never_answers(void **state)
{
	(void)state;
	f->stall_op = OM_PROTO_OP_PUT_INLINE;
	objm_close(s);
	s = NULL;
	struct objm_options o = OBJM_OPTIONS_INIT;
	o.call_timeout_ms = 200;
	o.retry_ms = 100;
	assert_int_equal(objm_open(f->path, &o, &s), 0);
	assert_int_equal(objm_put_many(s, items, 10, NULL, res), -OBJM_STATUS_TIMEOUT);
	for (int i = 0; i < 10; i++)
		assert_int_equal(res[i].status, -OBJM_STATUS_TIMEOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_item_has_its_own_result, setup, fake_end),
		cmocka_unit_test_setup_teardown(test_a_cut_is_repeated, setup, fake_end),
		cmocka_unit_test_setup_teardown(test_busy_is_repeated, setup, fake_end),
		cmocka_unit_test_setup_teardown(test_a_refusal_is_that_item_s, setup, fake_end),
		cmocka_unit_test_setup_teardown(test_conditional_ones_are_not_sent_twice, setup, fake_end),
		cmocka_unit_test_setup_teardown(test_a_server_that_never_answers, setup, fake_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
