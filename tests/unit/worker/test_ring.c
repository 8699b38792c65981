/*
 * test_ring.c: the loop's timers and tasks; requests to a supervisor that does not answer for a while.
 */
#include "wrk_harness.h"

/* ---------------------------------------------------------------- timers and tasks */

#define TIMERS 500

static struct wrk_loop loop;
static struct wrk_timer timers[TIMERS];
static unsigned fired[TIMERS], n_fired;
static uint64_t last_due;
static bool in_order = true;

static uint64_t dues[TIMERS];

static void on_timer(void *arg)
{
	size_t i = (size_t)((struct wrk_timer *)arg - timers);

	in_order = in_order && dues[i] >= last_due;
	last_due = dues[i];
	fired[i]++;
	n_fired++;
}

static void test_timers(void **state)
{
	unsigned seed = 1, armed = 0;
	uint64_t base = om_now_ns();

	(void)state;
	assert_int_equal(wrk_loop_init(&loop), 0);
	for (int round = 0; round < 4; round++) /* arm, move, disarm at random */
		for (size_t i = 0; i < TIMERS; i++) {
			if (round == 0)
				timers[i] = WRK_TIMER_INIT(on_timer, &timers[i]);
			dues[i] = base + (unsigned)rand_r(&seed) % 20000000u;
			if (rand_r(&seed) % 4)
				wrk_timer_arm(&loop, &timers[i], dues[i]);
			else
				wrk_timer_disarm(&loop, &timers[i]);
		}
	for (size_t i = 0; i < TIMERS; i++) {
		armed += timers[i].due_ns != 0;
		dues[i] = timers[i].due_ns;
	}
	while (om_now_ns() < base + 30000000u)
		wrk_loop_turn(&loop, 5);
	assert_int_equal(n_fired, armed);
	assert_true(in_order);
	for (size_t i = 0; i < TIMERS; i++)
		assert_int_equal(fired[i], dues[i] != 0);
	assert_null(loop.timers);
	wrk_loop_fini(&loop);
}

static char trace[16];
static struct wrk_task tasks[3];

static void on_task(void *arg)
{
	size_t i = (size_t)((struct wrk_task *)arg - tasks);

	trace[strlen(trace)] = (char)('0' + i);
	if (i == 0)
		wrk_task_queue(&loop, &tasks[2]);
}

static void test_tasks(void **state)
{
	(void)state;
	assert_int_equal(wrk_loop_init(&loop), 0);
	for (size_t i = 0; i < 3; i++)
		tasks[i] = WRK_TASK_INIT(on_task, &tasks[i]);
	wrk_task_queue(&loop, &tasks[1]);
	wrk_task_queue(&loop, &tasks[0]);
	wrk_task_queue(&loop, &tasks[1]); /* queued already: no effect */
	wrk_loop_turn(&loop, -1);	   /* does not wait while tasks are queued */
	assert_string_equal(trace, "102");
	wrk_task_queue(&loop, &tasks[0]);
	wrk_task_queue(&loop, &tasks[1]);
	wrk_task_cancel(&loop, &tasks[1]);
	wrk_task_cancel(&loop, &tasks[0]);
	wrk_loop_turn(&loop, 0);
	assert_string_equal(trace, "102");
	wrk_loop_fini(&loop);
}

/* ---------------------------------------------------------------- requests */

static unsigned accepted, refused, answered, forgotten, rooms;
static uint64_t last_id;
static bool ids_in_order = true;
static uint64_t reqs[OM_OPS_MAX];

static void on_verdict(void *arg, const struct om_op_verdict *v)
{
	(void)arg;
	assert_int_equal(v->status, 0);
	ids_in_order = ids_in_order && v->id > last_id; /* the fake supervisor numbers PREPAREs as they come */
	last_id = v->id;
	answered++;
}

static void on_record(void *arg, const struct om_op_record *rec, const char *type, const unsigned char *meta)
{
	(void)arg;
	(void)rec;
	(void)type;
	(void)meta;
	answered++;
}

static void on_room(void *arg)
{
	(void)arg;
	rooms++;
}

static void flood(struct harness *h)
{
	static char uri[OM_URI_MAX]; /* long ones fill the ring before the table */
	struct wrk_ring_prepare p = { .uri = uri, .uri_len = sizeof(uri) };

	memset(uri, 'u', sizeof(uri));
	wrk_ring_on_room(h->w.ring, on_room, NULL);
	for (unsigned i = 0; i < 6000; i++) {
		int rc = wrk_ring_prepare(h->w.ring, &p, on_verdict, NULL, NULL);

		if (rc == 0)
			accepted++;
		else
			refused += rc == -OBJM_STATUS_TRY_AGAIN;
	}
	assert_true(wrk_ring_full(h->w.ring));
}

static void ask_and_forget(struct harness *h)
{
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(wrk_ring_lookup(h->w.ring, "/x", 2, false, on_record, NULL, &reqs[i]), 0);
		assert_int_not_equal(reqs[i], 0);
	}
	for (unsigned i = 0; i < 1000; i += 2, forgotten++)
		wrk_ring_forget(h->w.ring, reqs[i]);
}

static unsigned pending;
static void look(struct harness *h) { pending = wrk_ring_pending(h->w.ring); }

static void wait_for_answers(struct harness *h)
{
	for (int i = 0; i < 1000; i++) {
		harness_call(h, look);
		if (!pending)
			return;
		(void)usleep(5000);
	}
	fail_msg("%u requests were never answered", pending);
}

static void test_full(void **state)
{
	struct harness *h = harness_start(NULL, true);

	(void)state;
	h->sup_hold = true;
	harness_call(h, flood);
	assert_int_equal(accepted + refused, 6000);
	assert_in_range(accepted, 1000, OM_OPS_MAX); /* more than the ring holds: the rest waited, in order */
	assert_true(refused > 0);
	assert_int_equal(answered, 0);
	assert_int_equal(rooms, 0);
	h->sup_hold = false;
	wait_for_answers(h);
	assert_int_equal(answered, accepted);
	assert_true(ids_in_order);
	assert_int_equal(rooms, 1);
	harness_stop(h);
}

static void test_forget(void **state)
{
	struct harness *h = harness_start(NULL, true);

	(void)state;
	answered = 0;
	h->sup_hold = true;
	harness_call(h, ask_and_forget);
	h->sup_hold = false;
	wait_for_answers(h);
	assert_int_equal(answered, 1000 - forgotten);
	harness_stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers), cmocka_unit_test(test_tasks), cmocka_unit_test(test_full),
		cmocka_unit_test(test_forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
