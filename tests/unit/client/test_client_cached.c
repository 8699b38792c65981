/*
 * test_client_cached.c: a session with a client cache, against a server whose connection breaks half way through an answer.
 */
#define CLIENT_TEST_FAKE
#include "tests/unit/client/client_test.h"

#include "client/objm_cache.h"
#include "client/objm_priv.h"

#define N 40

static char names[N][32];
static const char *uris[N];

static int setup(void **state)
{
	struct objm_options o = OBJM_OPTIONS_INIT;

	(void)state;
	o.promise = OBJM_PROMISE_POSITIONED;
	o.cache_objects = 2 * N;
	o.retry_ms = 3000;
	for (int i = 0; i < N; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "/cached/%d", i);
		uris[i] = names[i];
	}
	if (fake_begin(&o) < 0)
		return -1;
	for (int i = 0; i < N; i++)
		OK(objm_put_buf(s, uris[i], uris[i], strlen(uris[i]), NULL, NULL));
	f->tables = 1;
	f->gen = 0; /* what every word of a new table is */
	f->rev_conn = 1;
	objm_disconnect(s); /* the next one has a table */
	return 0;
}

/* How many objects the cache has; each must be an answer of connection `of`. */
static int kept(int of)
{
	int n = 0;

	for (uint32_t i = 1; i <= s->cache->used; i++) {
		if (!s->cache->rests[i].linked)
			continue;
		assert_int_equal(s->cache->rests[i].rev, of);
		n++;
	}
	assert_int_equal(n, s->cache->count);
	return n;
}

static void test_fill(void **state)
{
	(void)state;
	OK(objm_cache_fill(s, uris, N, OBJM_CACHE_FD));
	assert_int_equal(kept(f->connections), N);
	assert_int_equal(open_fds(), fds_before + 1 + N);
}

/* The answers of the first connection say nothing under the table of the second. */
static void test_fill_over_two_supervisors(void **state)
{
	int before;

	(void)state;
	OK(objm_ping(s));
	before = f->connections;
	f->chunk = 200; /* whole answers come before the cut */
	f->cut_after = 2000;
	f->cut_conns = 1;
	objm_disconnect(s);
	OK(objm_cache_fill(s, uris, N, OBJM_CACHE_FD | OBJM_CACHE_DATA));
	assert_int_equal(f->cut_conns, 0);
	assert_true(f->connections > before + 1);
	assert_int_equal(kept(f->connections), N);
	assert_int_equal(open_fds(), fds_before + 1 + N);
}

/* One that always breaks off: nothing is kept, and no descriptor is lost. */
static void test_fill_that_breaks_off(void **state)
{
	(void)state;
	f->chunk = 200;
	f->cut_after = 2000;
	f->cut_conns = 1000;
	s->opt.retry_ms = 100;
	objm_disconnect(s);
	assert_true(objm_cache_fill(s, uris, N, OBJM_CACHE_FD) < 0);
	f->cut_conns = 0;
	assert_int_equal(kept(0), 0);
	objm_disconnect(s);
	assert_int_equal(open_fds(), fds_before);
}

/* Each call finds another supervisor: it ends, with nothing kept. */
static void test_fill_that_never_comes_to_rest(void **state)
{
	int before = f->connections;

	(void)state;
	f->close_behind_op = OM_PROTO_OP_GET;
	f->close_behind = 1000;
	OK(objm_cache_fill(s, uris, N, OBJM_CACHE_FD));
	assert_true(f->connections >= before + 3);
	assert_int_equal(kept(0), 0);
	objm_disconnect(s);
	assert_int_equal(open_fds(), fds_before);
	f->close_behind = 0;
	OK(objm_cache_fill(s, uris, N, OBJM_CACHE_FD));
	assert_int_equal(kept(f->connections), N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fill, setup, fake_end),
		cmocka_unit_test_setup_teardown(test_fill_over_two_supervisors, setup, fake_end),
		cmocka_unit_test_setup_teardown(test_fill_that_breaks_off, setup, fake_end),
		cmocka_unit_test_setup_teardown(test_fill_that_never_comes_to_rest, setup, fake_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
