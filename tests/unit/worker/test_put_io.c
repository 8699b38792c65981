/*
 * test_put_io.c: the I/O pool: every job runs once and is done once, in the loop; writers leave a thread to readers; the bound
 * holds; signals stay with the loop.
 */
#include "put_fix.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static struct wrk_loop loop;
static struct wrk_io *io;
static pthread_t loop_thread;
static _Atomic unsigned ran, ins, outs, in_write, most_write;
static unsigned done;
static _Atomic bool gate;

static void thread_in(void) { atomic_fetch_add(&ins, 1); }
static void thread_out(void) { atomic_fetch_add(&outs, 1); }

static int setup(void **state)
{
	(void)state;
	ran = ins = outs = in_write = most_write = 0;
	done = 0;
	gate = true;
	loop_thread = pthread_self();
	assert_int_equal(wrk_loop_init(&loop), 0);
	assert_int_equal(wrk_io_new(&loop, 4, thread_in, thread_out, &io), 0);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	wrk_io_free(io);
	assert_int_equal(ins, 4);
	assert_int_equal(outs, 4);
	wrk_loop_fini(&loop);
	return 0;
}

static void run(struct wrk_io_job *job)
{
	sigset_t set;

	(void)job;
	OM_ASSERT(!pthread_equal(pthread_self(), loop_thread));
	OM_ASSERT(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGTERM) == 1);
	atomic_fetch_add(&ran, 1);
}
static void on_done(struct wrk_io_job *job)
{
	OM_ASSERT(pthread_equal(pthread_self(), loop_thread) && !job->busy);
	done++;
}
static void turn_until(unsigned want)
{
	uint64_t due = om_now_ns() + 20000000000u;

	while (done != want && om_now_ns() < due)
		wrk_loop_turn(&loop, 10);
	assert_int_equal(done, want);
}

static void test_all(void **state)
{
	static struct wrk_io_job jobs[20000];
	unsigned accepted = 0;

	(void)state;
	for (unsigned i = 0; i < OM_ARRAY_SIZE(jobs); i++) {
		jobs[i] = (struct wrk_io_job){ .run = run, .done = on_done };
		enum wrk_io_class cls = i % 3 ? WRK_IO_READ : WRK_IO_WRITE;
		accepted += wrk_io_submit(io, cls, &jobs[i]) == 0;
	}
	assert_true(accepted >= WRK_IO_QUEUE_MAX); /* nothing is done before the loop turns, so the bound was met or not reached */
	turn_until(accepted);
	assert_int_equal(ran, accepted);
	assert_int_equal(wrk_io_pending(io), 0);
}

static void test_bound(void **state)
{
	static struct wrk_io_job jobs[WRK_IO_QUEUE_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < WRK_IO_QUEUE_MAX; i++) {
		jobs[i] = (struct wrk_io_job){ .run = run, .done = on_done };
		assert_int_equal(wrk_io_submit(io, WRK_IO_READ, &jobs[i]), 0);
	}
	jobs[WRK_IO_QUEUE_MAX] = (struct wrk_io_job){ .run = run, .done = on_done };
	assert_int_equal(wrk_io_submit(io, WRK_IO_READ, &jobs[WRK_IO_QUEUE_MAX]), -OBJM_STATUS_TRY_AGAIN);
	assert_int_equal(wrk_io_submit(io, WRK_IO_WRITE, &jobs[WRK_IO_QUEUE_MAX]), 0); /* each class has its own */
	turn_until(WRK_IO_QUEUE_MAX + 1);
}

static void run_slow(struct wrk_io_job *job)
{
	unsigned n = atomic_fetch_add(&in_write, 1) + 1;

	(void)job;
	if (n > atomic_load(&most_write))
		atomic_store(&most_write, n);
	while (atomic_load(&gate))
		(void)usleep(1000);
	atomic_fetch_sub(&in_write, 1);
}

static void test_readers_go_on(void **state)
{
	static struct wrk_io_job slow[16], quick; /* threads still have them should this fail */

	(void)state;
	quick = (struct wrk_io_job){ .run = run, .done = on_done };
	for (unsigned i = 0; i < 16; i++) {
		slow[i] = (struct wrk_io_job){ .run = run_slow, .done = on_done };
		assert_int_equal(wrk_io_submit(io, WRK_IO_WRITE, &slow[i]), 0);
	}
	for (unsigned i = 0; i < 20000 && atomic_load(&most_write) < 3; i++)
		(void)usleep(1000);
	assert_int_equal(wrk_io_submit(io, WRK_IO_READ, &quick), 0);
	turn_until(1);
	assert_int_equal(most_write, 3); /* of four threads */
	atomic_store(&gate, false);
	turn_until(17);
}

static _Atomic unsigned order[32], n_order;
static void run_noted(struct wrk_io_job *job)
{
	struct noted {
		struct wrk_io_job job;
		unsigned number;
	} *n = (struct noted *)job;

	order[atomic_fetch_add(&n_order, 1)] = n->number;
}
static _Atomic bool in_gate;
static void run_gate(struct wrk_io_job *job)
{
	(void)job;
	in_gate = true;
	while (gate)
		(void)usleep(1000);
}

/* Urgent ones go first, three in a row while others wait. One thread: the order can be seen. */
static void test_urgent(void **state)
{
	static const unsigned want[] = { 10, 11, 12, 0, 13, 14, 15, 1, 16, 17, 2, 3 };
	struct { struct wrk_io_job job; unsigned number; } jobs[12];
	struct wrk_io_job first = { .run = run_gate, .done = on_done };

	(void)state;
	wrk_io_free(io);
	assert_int_equal(wrk_io_new(&loop, 1, thread_in, thread_out, &io), 0);
	n_order = 0;
	assert_int_equal(wrk_io_submit(io, WRK_IO_WRITE, &first), 0);
	while (!in_gate) /* the only thread is taken */
		(void)usleep(1000);
	for (unsigned i = 0; i < 12; i++) {
		jobs[i].number = i < 4 ? i : i + 6;
		jobs[i].job = (struct wrk_io_job){ .run = run_noted, .done = on_done };
		assert_int_equal(wrk_io_submit(io, i < 4 ? WRK_IO_READ : WRK_IO_URGENT, &jobs[i].job), 0);
	}
	gate = false;
	turn_until(13);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(order[i], want[i]);
	wrk_io_free(io);
	ins = outs = 0;
	assert_int_equal(wrk_io_new(&loop, 4, thread_in, thread_out, &io), 0);
}

static unsigned again;
static void submit_again(struct wrk_io_job *job)
{
	done++;
	if (again-- > 0)
		assert_int_equal(wrk_io_submit(io, WRK_IO_WRITE, job), 0);
}

static void test_again_from_done(void **state)
{
	struct wrk_io_job job = { .run = run, .done = submit_again };

	(void)state;
	again = 100;
	assert_int_equal(wrk_io_submit(io, WRK_IO_WRITE, &job), 0);
	turn_until(101);
}

/* What was queued runs to its end, though nobody is told any more. */
static void test_free_runs_all(void **state)
{
	static struct wrk_io_job jobs[100];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		jobs[i] = (struct wrk_io_job){ .run = run, .done = on_done };
		assert_int_equal(wrk_io_submit(io, i % 2, &jobs[i]), 0);
	}
	wrk_io_free(io);
	assert_int_equal(ran, 100);
	ins = outs = 0;
	assert_int_equal(wrk_io_new(&loop, 4, thread_in, thread_out, &io), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(all), T(bound), T(readers_go_on), T(urgent), T(again_from_done), T(free_runs_all) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
