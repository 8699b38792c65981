/*
 * test_loop.c: the loop's timers and its looking before it sleeps; hints of peers that have taken their answers (wrk_hint.h).
 * Times are made up wherever a decision is tested; nothing here judges how long something takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>

#include "worker/wrk_hint.h"

static struct wrk_loop loop;
static unsigned fired[3];

static void fire(void *arg) { ++*(unsigned *)arg; }

static int begin(void **state)
{
	(void)state;
	memset(fired, 0, sizeof(fired));
	return wrk_loop_init(&loop);
}

static int end(void **state)
{
	(void)state;
	wrk_loop_fini(&loop);
	return 0;
}

/* ---------------------------------------------------------------- timers */

/* A loop that waits for ever is woken by its timers, in their order, the earlier one although it was armed later. */
static void test_timers(void **state)
{
	struct wrk_timer t[3];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		t[i] = WRK_TIMER_INIT(fire, &fired[i]);
	wrk_timer_arm(&loop, &t[0], om_now_ns() + 600000000000u);
	wrk_loop_turn(&loop, 0); /* the alarm is set, for long after this test */
	wrk_timer_arm(&loop, &t[1], om_now_ns() + 5000000);
	wrk_timer_arm(&loop, &t[2], om_now_ns() + 3600000000000u);
	while (!fired[1])
		wrk_loop_turn(&loop, -1);
	assert_int_equal(fired[0], 0);
	wrk_timer_arm(&loop, &t[0], om_now_ns() + 5000000);
	while (!fired[0])
		wrk_loop_turn(&loop, -1);
	assert_int_equal(fired[1], 1);
	assert_int_equal(fired[2], 0);
	/* Long past, and disarmed: the alarm for it rings in vain. */
	wrk_timer_arm(&loop, &t[0], 1);
	while (fired[0] < 2)
		wrk_loop_turn(&loop, -1);
	wrk_timer_arm(&loop, &t[1], om_now_ns() + 1000000);
	wrk_loop_turn(&loop, 0);
	wrk_timer_disarm(&loop, &t[1]);
	wrk_loop_turn(&loop, -1);
	assert_int_equal(fired[1], 1);
	wrk_timer_disarm(&loop, &t[2]);
}

/* ---------------------------------------------------------------- looking before sleeping */

static int pair[2];
static unsigned came;

static void readable(void *arg, uint32_t events)
{
	char byte;

	(void)arg;
	assert_true(events & EPOLLIN);
	assert_int_equal(recv(pair[0], &byte, 1, MSG_DONTWAIT), 1);
	came++;
}

static void test_busy_poll(void **state)
{
	struct wrk_src src = WRK_SRC_INIT(readable, NULL);
	unsigned rests;

	(void)state;
	came = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(wrk_loop_add(&loop, &src, pair[0], EPOLLIN), 0);
	wrk_loop_busy_poll(&loop, 200);
	/* What is there is found by looking. */
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(send(pair[1], "x", 1, 0), 1);
		wrk_loop_turn(&loop, -1);
		assert_int_equal(came, i);
		assert_int_equal(loop.spin_vain, 0);
	}
	/* Each look in vain makes the next one later, up to a bound. */
	for (unsigned vain = 0; vain < 12; vain++) {
		wrk_loop_turn(&loop, 1);
		assert_true(loop.spin_vain > vain);
		rests = loop.spin_rest;
		assert_in_range(rests, 1, WRK_LOOP_REST_MAX);
		if (loop.spin_vain <= 6) /* else another process wanted the CPU */
			assert_int_equal(rests, 1u << (loop.spin_vain - 1));
		while (loop.spin_rest > 0) { /* it sleeps, and is woken all the same */
			assert_int_equal(send(pair[1], "x", 1, 0), 1);
			wrk_loop_turn(&loop, -1);
			assert_int_equal(loop.spin_rest, --rests);
		}
	}
	assert_int_equal(send(pair[1], "x", 1, 0), 1);
	wrk_loop_turn(&loop, -1);
	assert_int_equal(loop.spin_vain, 0); /* one that found something counts */
	wrk_loop_busy_poll(&loop, 0);
	wrk_loop_turn(&loop, 0);
	wrk_loop_del(&loop, &src);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* ---------------------------------------------------------------- hints */

static struct wrk_hint hint;
static uint64_t now;

/* `n` reads; as far apart as `plain` and `hinted` say for the state that the hint is in. */
static void reads(unsigned n, uint64_t plain, uint64_t hinted)
{
	while (n-- > 0) {
		now += wrk_hint_apart(&hint) ? hinted : plain;
		wrk_hint_read(&loop, &hint, pair[0], now);
	}
}

static void hint_begin(void)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	wrk_hint_init(&hint);
	now = 1000000000;
	wrk_hint_read(&loop, &hint, pair[0], now);
}

static void hint_end(void)
{
	wrk_hint_off(&loop, &hint);
	assert_int_equal(hint.src.fd, -1);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* Hints that help stay, those that do not go; both are looked at again: where neither is better soon, then later and later. */
static void test_hint_trial(void **state)
{
	(void)state;
	hint_begin();
	reads(WRK_HINT_BEGIN, 40000, 28000);
	assert_false(wrk_hint_apart(&hint));
	reads(WRK_HINT_TRIAL, 40000, 28000);
	assert_int_equal(hint.phase, WRK_HINT_TRY);
	assert_true(wrk_hint_apart(&hint));
	reads(WRK_HINT_TRIAL, 40000, 28000);
	assert_int_equal(hint.phase, WRK_HINT_ON);
	reads(WRK_HINT_KEEP, 40000, 28000);
	assert_int_equal(hint.phase, WRK_HINT_PLAIN); /* again from the start, for a moment */
	assert_false(wrk_hint_apart(&hint));
	reads(WRK_HINT_BLOCKS * WRK_HINT_BLOCK, 40000, 28000);
	assert_int_equal(hint.phase, WRK_HINT_ON);
	assert_true(wrk_hint_apart(&hint));
	reads(WRK_HINT_KEEP, 20000, 28000);
	for (uint32_t keep = WRK_HINT_KEEP_MIN; keep <= WRK_HINT_KEEP; keep *= 2) {
		reads(2 * WRK_HINT_TRIAL - 1, 10000, 9600); /* better, and not by enough */
		assert_int_equal(hint.phase, WRK_HINT_TRY);
		reads(1, 10000, 9600);
		assert_int_equal(hint.phase, WRK_HINT_REST);
		assert_false(wrk_hint_apart(&hint));
		reads(keep - 1, 10000, 9600);
		assert_int_equal(hint.phase, WRK_HINT_REST);
		reads(1, 10000, 9600);
		assert_int_equal(hint.phase, WRK_HINT_PLAIN);
	}
	reads(WRK_HINT_TRIAL, 10000, 9000);
	assert_int_equal(hint.phase, WRK_HINT_TRY);
	reads(WRK_HINT_TRIAL, 10000, 9000);
	assert_int_equal(hint.phase, WRK_HINT_ON);
	hint_end();
}

/* Hints that cost much go at once, those that cost something soon; and not because of one pause. */
static void test_hint_vain(void **state)
{
	(void)state;
	hint_begin();
	reads(WRK_HINT_BEGIN + WRK_HINT_TRIAL, 10000, 15000);
	assert_int_equal(hint.phase, WRK_HINT_TRY);
	reads(2 * WRK_HINT_BLOCK - 1, 10000, 15000);
	assert_true(wrk_hint_apart(&hint));
	reads(1, 10000, 15000);
	assert_int_equal(hint.phase, WRK_HINT_REST);
	assert_false(wrk_hint_apart(&hint));
	reads(WRK_HINT_KEEP + WRK_HINT_TRIAL, 10000, 11500);
	reads(WRK_HINT_BLOCKS * WRK_HINT_BLOCK - 1, 10000, 11500);
	assert_int_equal(hint.phase, WRK_HINT_TRY);
	reads(1, 10000, 11500);
	assert_int_equal(hint.phase, WRK_HINT_REST);
	reads(WRK_HINT_KEEP_MIN + WRK_HINT_TRIAL, 10000, 7000);
	assert_int_equal(hint.phase, WRK_HINT_TRY);
	reads(1, 10000, 400000);
	reads(WRK_HINT_TRIAL - 2, 10000, 7000);
	reads(1, 10000, 400000);
	assert_int_equal(hint.phase, WRK_HINT_ON);
	hint_end();
}

/* The first reads of a kind still go at the pace of the other. */
static void test_hint_settles(void **state)
{
	(void)state;
	hint_begin();
	reads(WRK_HINT_BEGIN, 38000, 0);
	reads(100, 36000, 0);
	reads(WRK_HINT_TRIAL - 100, 48000, 0);
	assert_int_equal(hint.phase, WRK_HINT_TRY);
	reads(100, 0, 49000);
	reads(WRK_HINT_TRIAL - 100, 0, 30000);
	assert_int_equal(hint.phase, WRK_HINT_ON);
	hint_end();
}

/* One pause is nothing; a peer that asks now and then has no hints. */
static void test_hint_slow(void **state)
{
	(void)state;
	hint_begin();
	reads(1000, WRK_HINT_PERIOD_NS + 1, WRK_HINT_PERIOD_NS + 1);
	assert_int_equal(hint.phase, WRK_HINT_REST);
	reads(WRK_HINT_BEGIN + 2 * WRK_HINT_TRIAL, 40000, 28000);
	assert_int_equal(hint.phase, WRK_HINT_ON);
	reads(1, 0, 900000000);
	reads(10, 40000, 28000);
	assert_true(wrk_hint_apart(&hint));
	reads(WRK_HINT_SLOW, 0, WRK_HINT_PERIOD_NS + 1);
	assert_int_equal(hint.phase, WRK_HINT_REST);
	assert_false(wrk_hint_apart(&hint));
	hint_end();
}

/* The second descriptor wakes the loop when the peer has read, and never because something can be read. */
static void test_hint_wakes(void **state)
{
	char bytes[64] = { 0 };

	(void)state;
	hint_begin();
	reads(WRK_HINT_BEGIN + WRK_HINT_TRIAL, 40000, 28000);
	assert_true(wrk_hint_apart(&hint));
	wrk_loop_turn(&loop, 0); /* the edge of its beginning */
	assert_int_equal(epoll_wait(loop.epfd, loop.ev, 1, 0), 0);
	assert_int_equal(send(pair[1], bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(epoll_wait(loop.epfd, loop.ev, 1, 0), 0);
	assert_int_equal(send(pair[0], bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(epoll_wait(loop.epfd, loop.ev, 1, 0), 0);
	assert_int_equal(recv(pair[1], bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(epoll_wait(loop.epfd, loop.ev, 1, 0), 1);
	assert_ptr_equal(loop.ev[0].data.ptr, &hint.src);
	hint_end();
}

static void test_hint_bound(void **state)
{
	static struct wrk_hint many[WRK_HINT_MAX + 1];
	unsigned on = 0;

	(void)state;
	hint_begin();
	for (size_t i = 0; i < OM_ARRAY_SIZE(many); i++) {
		wrk_hint_init(&many[i]);
		for (unsigned k = 0; k <= WRK_HINT_BEGIN + WRK_HINT_TRIAL; k++)
			wrk_hint_read(&loop, &many[i], pair[0], now += 1000);
		on += wrk_hint_apart(&many[i]);
	}
	assert_int_equal(on, WRK_HINT_MAX);
	assert_false(wrk_hint_apart(&many[WRK_HINT_MAX]));
	for (size_t i = 0; i < OM_ARRAY_SIZE(many); i++)
		wrk_hint_off(&loop, &many[i]);
	hint_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers, begin, end),
		cmocka_unit_test_setup_teardown(test_busy_poll, begin, end),
		cmocka_unit_test_setup_teardown(test_hint_trial, begin, end),
		cmocka_unit_test_setup_teardown(test_hint_vain, begin, end),
		cmocka_unit_test_setup_teardown(test_hint_settles, begin, end),
		cmocka_unit_test_setup_teardown(test_hint_slow, begin, end),
		cmocka_unit_test_setup_teardown(test_hint_wakes, begin, end),
		cmocka_unit_test_setup_teardown(test_hint_bound, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
