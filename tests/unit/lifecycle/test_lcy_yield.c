/* When moves give way, by a clock of the test; and threads that keep to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lifecycle/lcy_yield.h"

#define MS UINT64_C(1000000)

static struct lcy_yield y;

static int setup(void **state)
{
	(void)state;
	lcy_yield_init(&y, 2);
	lcy_yield_conf(&y, 0.025);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lcy_yield_fini(&y);
	return 0;
}

/* ---- deciding ---- */

static void test_serving_and_back(void **state)
{
	uint64_t now = 1000 * MS, asked = 0;

	(void)state;
	lcy_yield_turn(&y, now, asked, false);
	assert_int_equal(lcy_yield_share(&y), LCY_YIELD_ALL); /* nobody has ever asked */
	assert_true(lcy_yield_watch(&y));
	lcy_yield_turn(&y, now += 5 * MS, asked += LCY_YIELD_FEW, false);
	assert_int_equal(lcy_yield_share(&y), 50); /* a fortieth of two */
	assert_false(lcy_yield_watch(&y));
	assert_string_equal(lcy_yield_text(&y), "serving");
	lcy_yield_turn(&y, now + LCY_YIELD_HOLD_NS - 1, asked, false);
	assert_int_equal(lcy_yield_share(&y), 50);
	lcy_yield_turn(&y, now + LCY_YIELD_HOLD_NS, asked, false);
	assert_int_equal(lcy_yield_share(&y), LCY_YIELD_ALL);
	assert_string_equal(lcy_yield_text(&y), "idle");
	/* a worker that ends takes its number along: what comes then is counted from there */
	lcy_yield_turn(&y, now += 2000 * MS, 0, false);
	assert_int_equal(lcy_yield_share(&y), LCY_YIELD_ALL);
	lcy_yield_turn(&y, now += MS, LCY_YIELD_FEW, false);
	assert_int_equal(lcy_yield_share(&y), 50);
}

/* Looked at every 200 ms for a minute, while so many requests come in a second: how often the pace changes. */
static unsigned changes_at(unsigned every, unsigned a_time)
{
	uint64_t now = 0, asked = 0;
	unsigned changes = 0;
	uint32_t was = lcy_yield_share(&y);

	for (unsigned i = 0; i < 300; i++, now += 200 * MS) {
		asked += i % every == 0 ? a_time : 0;
		lcy_yield_turn(&y, now, asked, false);
		changes += lcy_yield_share(&y) != was;
		was = lcy_yield_share(&y);
	}
	return changes;
}

static void test_no_flapping(void **state)
{
	(void)state;
	assert_int_equal(changes_at(5, 1), 0); /* a monitor, once a second */
	assert_int_equal(lcy_yield_share(&y), LCY_YIELD_ALL);
	assert_int_equal(changes_at(5, LCY_YIELD_FEW), 1);
	assert_int_equal(lcy_yield_share(&y), 50);
}

static void test_no_flapping_between(void **state)
{
	(void)state;
	lcy_yield_turn(&y, 0, LCY_YIELD_FEW, false);
	assert_int_equal(lcy_yield_share(&y), 50);
	y.from = 0; /* the count begins again; it is served, and half as many keep it so */
	assert_int_equal(changes_at(2, 1), 0);
	assert_int_equal(lcy_yield_share(&y), 50);
}

static void test_room(void **state)
{
	uint64_t now = 0;

	(void)state;
	lcy_yield_turn(&y, now, LCY_YIELD_FEW, false);
	assert_int_equal(lcy_yield_share(&y), 50);
	lcy_yield_turn(&y, now += MS, LCY_YIELD_FEW, true);
	assert_int_equal(lcy_yield_share(&y), LCY_YIELD_ALL);
	assert_string_equal(lcy_yield_text(&y), "room");
	assert_false(lcy_yield_watch(&y)); /* whoever is served now waits for it */
	lcy_yield_turn(&y, now += MS, LCY_YIELD_FEW, false);
	assert_int_equal(lcy_yield_share(&y), 50); /* and then they give way again */
}

static void test_conf(void **state)
{
	(void)state;
	lcy_yield_turn(&y, 0, LCY_YIELD_FEW, false);
	lcy_yield_conf(&y, 1);
	assert_int_equal(lcy_yield_share(&y), LCY_YIELD_ALL); /* at once */
	lcy_yield_turn(&y, 0, 2 * LCY_YIELD_FEW, false);
	assert_int_equal(lcy_yield_share(&y), LCY_YIELD_ALL);
	assert_string_equal(lcy_yield_text(&y), "off");
	lcy_yield_conf(&y, 0.25);
	lcy_yield_turn(&y, 0, 3 * LCY_YIELD_FEW, false);
	assert_int_equal(lcy_yield_share(&y), 500);
	lcy_yield_conf(&y, 0.75); /* one thread without rests; not all of them */
	assert_int_equal(lcy_yield_share(&y), 1000);
	lcy_yield_conf(&y, 0.0000001);
	assert_int_equal(lcy_yield_share(&y), 1); /* never nothing */
}

static void test_rest(void **state)
{
	(void)state;
	assert_int_equal(lcy_yield_rest(50, MS / 10), 19 * (MS / 10));
	assert_int_equal(lcy_yield_rest(500, MS), MS);
	assert_int_equal(lcy_yield_rest(1000, MS), 0);
	assert_int_equal(lcy_yield_rest(LCY_YIELD_ALL, MS), 0);
	assert_int_equal(lcy_yield_rest(1, MS), LCY_YIELD_REST_NS);
	assert_int_equal(lcy_yield_rest(1, UINT64_MAX), LCY_YIELD_REST_NS);
	assert_int_equal(lcy_yield_rest(0, MS), LCY_YIELD_REST_NS);
}

/* ---- threads ---- */

struct worker {
	pthread_t thread;
	struct lcy_yield_seat seat;
	unsigned pieces;
	uint64_t worked_ns;
};

static _Atomic unsigned inside, most;

static void piece(struct worker *w)
{
	uint64_t began = om_now_ns();
	unsigned n = atomic_fetch_add(&inside, 1) + 1, was = atomic_load(&most);

	while (n > was && !atomic_compare_exchange_weak(&most, &was, n))
		;
	while (om_now_ns() - began < 4 * LCY_YIELD_PIECE_NS)
		;
	atomic_fetch_sub(&inside, 1);
	w->worked_ns += om_now_ns() - began;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	lcy_yield_enter(&w->seat);
	for (unsigned i = 0; i < w->pieces; i++) {
		lcy_yield_point(&w->seat);
		piece(w);
	}
	lcy_yield_leave(&w->seat);
	return NULL;
}

/* Four at once, with more to do than the time of a seat: each comes to its end, none beside another, and they rest as they should. */
static void test_one_at_a_time(void **state)
{
	struct worker w[4] = { 0 };
	uint64_t worked = 0;

	(void)state;
	y.seat_ns = 10 * MS; /* less than each has to do */
	lcy_yield_conf(&y, 0.25); /* rests as long as it works */
	lcy_yield_turn(&y, 0, LCY_YIELD_FEW, false);
	atomic_store(&most, 0);
	for (unsigned i = 0; i < 4; i++) {
		w[i].seat.all = &y;
		w[i].pieces = 700;
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
		worked += w[i].worked_ns;
	}
	assert_int_equal(atomic_load(&most), 1);
	assert_false(y.taken);
	assert_int_equal(y.waiting, 0);
	assert_true(y.turns > 4); /* none had the seat from its beginning to its end */
	/* a piece that the machine held up for long is followed by no more than the longest rest; the last one's is not waited for */
	assert_true(y.rested_ns > 0);
	if (worked < 4 * 700 * 8 * LCY_YIELD_PIECE_NS)
		assert_true(y.rested_ns > worked / 4);
}

struct visit {
	struct lcy_yield_seat seat;
	int serving, later, idle; /* processors that the thread might use: with the seat, with the seat at full speed, at the next turn */
	bool last;
};

static int processors(bool *ret_last)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	*ret_last = CPU_EQUAL(&set, &y.place.one);
	return CPU_COUNT(&set);
}

static void *visit(void *arg)
{
	struct visit *v = arg;
	bool last;

	lcy_yield_enter(&v->seat);
	v->serving = processors(&v->last);
	lcy_yield_conf(&y, 1); /* in the middle of its work */
	lcy_yield_point(&v->seat);
	v->later = processors(&last);
	lcy_yield_leave(&v->seat);
	lcy_yield_conf(&y, 0.25);
	lcy_yield_turn(&y, 0, 2 * LCY_YIELD_FEW, false);
	lcy_yield_enter(&v->seat);
	lcy_yield_leave(&v->seat);
	lcy_yield_conf(&y, 1); /* between two pieces of work */
	lcy_yield_enter(&v->seat);
	v->idle = processors(&last);
	return NULL;
}

/* One processor while somebody is served, all of them else. */
static void test_one_processor(void **state)
{
	struct visit v = { .seat.all = &y };
	pthread_t thread;
	bool last;
	int all = processors(&last);

	(void)state;
	assert_int_equal(CPU_COUNT(&y.place.one), all > 1);
	lcy_yield_conf(&y, 0.25);
	lcy_yield_turn(&y, 0, LCY_YIELD_FEW, false);
	assert_int_equal(pthread_create(&thread, NULL, visit, &v), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(v.serving, 1);
	assert_int_equal(v.last, all > 1);
	assert_int_equal(v.later, all);
	assert_int_equal(v.idle, all);
}

static void *sit(void *arg)
{
	struct worker *w = arg;

	lcy_yield_enter(&w->seat);
	lcy_yield_leave(&w->seat);
	return NULL;
}

/* The seat is taken and stays taken: who waits for it goes on as soon as there is no bound any more, and when all is over. */
static void wait_and_go(void (*free_them)(void))
{
	struct worker holder = { .seat.all = &y }, w = { .seat.all = &y };

	lcy_yield_turn(&y, 0, LCY_YIELD_FEW, false);
	lcy_yield_enter(&holder.seat);
	assert_true(holder.seat.held);
	assert_int_equal(pthread_create(&w.thread, NULL, sit, &w), 0);
	for (bool waits = false; !waits;) {
		pthread_mutex_lock(&y.lock);
		waits = y.waiting == 1;
		pthread_mutex_unlock(&y.lock);
	}
	free_them();
	assert_int_equal(pthread_join(w.thread, NULL), 0);
	assert_false(w.seat.held);
	assert_true(holder.seat.held);
	lcy_yield_leave(&holder.seat);
}

static void make_room(void) { lcy_yield_turn(&y, 0, LCY_YIELD_FEW, true); }
static void stop(void) { lcy_yield_stop(&y); }
static void off(void) { lcy_yield_conf(&y, 1); }

static void test_room_frees(void **state)
{
	(void)state;
	wait_and_go(make_room);
}

static void test_stop_frees(void **state)
{
	(void)state;
	wait_and_go(stop);
}

static void test_off_frees(void **state)
{
	(void)state;
	wait_and_go(off);
}

static void busy(uint64_t ns)
{
	uint64_t began = om_now_ns();

	while (om_now_ns() - began < ns)
		;
}

/* A directory in which this thread's account is what the test writes. */
struct account {
	char dir[32], sub[64], file[96];
};

static void account(struct account *a, uint64_t waited_ns)
{
	FILE *f;

	if (!a->dir[0]) {
		(void)snprintf(a->dir, sizeof(a->dir), "/tmp/test_lcy_yield.XXXXXX");
		assert_non_null(mkdtemp(a->dir));
		(void)snprintf(a->sub, sizeof(a->sub), "%s/%ld", a->dir, (long)gettid());
		(void)snprintf(a->file, sizeof(a->file), "%s/schedstat", a->sub);
		assert_int_equal(mkdir(a->sub, 0700), 0);
	}
	f = fopen(a->file, "we");
	assert_non_null(f);
	(void)fprintf(f, "1 %llu 1\n", (unsigned long long)waited_ns);
	assert_int_equal(fclose(f), 0);
}

static void account_gone(const struct account *a)
{
	assert_int_equal(unlink(a->file), 0);
	assert_int_equal(rmdir(a->sub), 0);
	assert_int_equal(rmdir(a->dir), 0);
}

/* A second of waiting, as the account says, is in the time that each piece takes: nothing is owed for it, with a seat, over a rest, and without. */
static void test_waiting_is_no_work(void **state)
{
	struct lcy_yield_seat seat = { .all = &y }, remover = { .all = &y };
	struct account a = { 0 };
	uint64_t waited = 1;

	(void)state;
	account(&a, waited);
	y.tasks_fd = open(a.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(y.tasks_fd >= 0);
	lcy_yield_turn(&y, 0, LCY_YIELD_FEW, false);
	lcy_yield_enter(&seat);
	for (unsigned i = 0; i < 3; i++) {
		busy(2 * MS);
		account(&a, waited += 60000 * MS);
		lcy_yield_point(&seat);
		assert_true(y.free_ns <= om_now_ns()); /* it was 38 ms ahead */
	}
	busy(2 * MS);
	account(&a, waited += 60000 * MS);
	lcy_yield_leave(&seat);
	assert_true(y.free_ns <= om_now_ns());
	assert_int_equal(y.rested_ns, 0);
	lcy_yield_begin(&remover);
	busy(2 * MS);
	account(&a, waited += 60000 * MS);
	lcy_yield_charge(&remover);
	assert_true(y.free_ns <= om_now_ns());
	/* what it waited before the piece is none of its time; nor is an account that goes back */
	busy(2 * MS);
	account(&a, waited += 60000 * MS);
	lcy_yield_begin(&remover);
	busy(2 * MS);
	account(&a, 0);
	uint64_t now = om_now_ns();
	lcy_yield_charge(&remover);
	assert_true(y.free_ns >= now + 19 * 2 * MS);
	lcy_yield_quit(&remover);
	lcy_yield_quit(&seat);
	(void)close(y.tasks_fd);
	account_gone(&a);
}

/* What others did for a move is rested for by who moves next; at full speed nothing is owed. */
static void test_charge(void **state)
{
	struct lcy_yield_seat seat = { .all = &y }, remover = { .all = &y };

	(void)state;
	lcy_yield_begin(&remover);
	lcy_yield_charge(&remover);
	assert_int_equal(y.free_ns, 0);
	lcy_yield_turn(&y, 0, LCY_YIELD_FEW, false);
	lcy_yield_begin(&remover);
	busy(MS);
	lcy_yield_charge(&remover);
	uint64_t due = y.free_ns;
	assert_true(due > om_now_ns());
	lcy_yield_enter(&seat);
	assert_true(om_now_ns() >= due);
	lcy_yield_leave(&seat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_serving_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_flapping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_flapping_between, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_processor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_frees, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_frees, setup, teardown),
		cmocka_unit_test_setup_teardown(test_off_frees, setup, teardown),
		cmocka_unit_test_setup_teardown(test_charge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting_is_no_work, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
