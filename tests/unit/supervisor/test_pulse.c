/* Progress of threads and counters (sup_pulse.c), with the kernel's view of a thread's state replaced. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/sup_pulse.h"

#define MS UINT64_C(1000000)
#define LOOK (SUP_PULSE_LOOK_MS * MS)
#define LOOKS (SUP_PULSE_STUCK_MS / SUP_PULSE_LOOK_MS)

static char state_of_tid[16];
static unsigned asked;
static char fake_state(int32_t tid)
{
	asked++;
	return state_of_tid[tid];
}

static struct sup_pulse a, b;
static struct sup_pulse *const both[] = { &a, &b };

static int start(void **arg)
{
	(void)arg;
	a = (struct sup_pulse){ .tid = 1 };
	b = (struct sup_pulse){ .tid = 2 };
	state_of_tid[1] = state_of_tid[2] = 'S';
	asked = 0;
	return 0;
}

/* The verdict on `a` after so many looks. */
static enum sup_pulse_state look(unsigned times, enum sup_pulse_state *ret_b)
{
	enum sup_pulse_state s[2] = { SUP_PULSE_STUCK, SUP_PULSE_STUCK };

	for (unsigned i = 0; i < times; i++)
		sup_pulse_look(both, 2, LOOK, fake_state, s);
	if (ret_b)
		*ret_b = s[1];
	return s[0];
}

static void who_waits_for_work_is_fine(void **arg)
{
	(void)arg;
	sup_pulse_work(&a);
	sup_pulse_rest(&a);
	assert_int_equal(look(10 * LOOKS, NULL), SUP_PULSE_FINE);
	assert_int_equal(asked, 0); /* and costs nothing */
}

static void one_piece_of_work_for_too_long_is_stuck(void **arg)
{
	enum sup_pulse_state sb;

	(void)arg;
	sup_pulse_work(&a);
	assert_int_equal(look(LOOKS, NULL), SUP_PULSE_FINE); /* the first look only learns of it */
	assert_int_equal(look(1, &sb), SUP_PULSE_STUCK);
	assert_int_equal(sb, SUP_PULSE_FINE);
	sup_pulse_work(&a); /* the next piece */
	assert_int_equal(look(LOOKS, NULL), SUP_PULSE_FINE);
}

static void many_pieces_without_a_rest_are_fine(void **arg)
{
	(void)arg;
	for (unsigned i = 0; i < 3 * LOOKS; i++) {
		sup_pulse_work(&a);
		assert_int_equal(look(1, NULL), SUP_PULSE_FINE);
	}
}

static void a_disk_is_slow_and_not_stuck(void **arg)
{
	(void)arg;
	sup_pulse_work(&a);
	state_of_tid[1] = 'D';
	assert_int_equal(look(5 * LOOKS, NULL), SUP_PULSE_SLOW);
	state_of_tid[1] = 'R'; /* between two waits */
	assert_int_equal(look(2, NULL), SUP_PULSE_SLOW);
	assert_int_equal(look(LOOKS, NULL), SUP_PULSE_STUCK); /* no: a loop without an end */
}

static void who_sleeps_waits_for_the_one_at_the_disk(void **arg)
{
	enum sup_pulse_state sb;

	(void)arg;
	sup_pulse_work(&a);
	sup_pulse_work(&b);
	state_of_tid[2] = 'D';
	assert_int_equal(look(3 * LOOKS, &sb), SUP_PULSE_SLOW);
	assert_int_equal(sb, SUP_PULSE_SLOW);
	state_of_tid[1] = 'R'; /* it does not wait for anybody */
	assert_int_equal(look(1, &sb), SUP_PULSE_STUCK);
}

static void an_ended_thread_is_fine(void **arg)
{
	(void)arg;
	sup_pulse_work(&a);
	(void)look(LOOKS + 1, NULL);
	sup_pulse_end(&a);
	assert_int_equal(look(1, NULL), SUP_PULSE_FINE);
}

static void a_counter_that_stands_still(void **arg)
{
	struct sup_pulse_count c = { 0 };

	(void)arg;
	assert_int_equal(sup_pulse_count(&c, 7, LOOK), 0);
	assert_int_equal(sup_pulse_count(&c, 7, LOOK), LOOK);
	assert_int_equal(sup_pulse_count(&c, 7, LOOK), 2 * LOOK);
	assert_int_equal(sup_pulse_count(&c, 6, LOOK), 0); /* it wrapped, or lies: it moved */
}

static void a_pause_of_ours_is_nobodys_fault(void **arg)
{
	uint64_t last = 0;

	(void)arg;
	assert_int_equal(sup_pulse_span(&last, 5 * LOOK), 0);
	assert_int_equal(sup_pulse_span(&last, 6 * LOOK), LOOK);
	assert_int_equal(sup_pulse_span(&last, 600 * LOOK), 2 * LOOK);
	assert_int_equal(sup_pulse_span(&last, 600 * LOOK), 0);
}

static void *sleeper(void *arg)
{
	struct sup_pulse *p = arg;
	char c;

	sup_pulse_begin(p, "the sleeper ", "x");
	sup_pulse_work(p);
	(void)!read(p->silent_ns ? (int)p->silent_ns : 0, &c, 1);
	sup_pulse_end(p);
	return NULL;
}

static void the_kernel_knows_a_threads_state(void **arg)
{
	static struct sup_pulse p;
	pthread_t t;
	int fds[2], tid;

	(void)arg;
	assert_int_equal(pipe(fds), 0);
	p.silent_ns = (uint64_t)fds[0];
	assert_int_equal(pthread_create(&t, NULL, sleeper, &p), 0);
	for (unsigned i = 0; i < 2000 && !((tid = atomic_load(&p.tid)) && sup_pulse_thread_state(tid) == 'S'); i++)
		(void)usleep(5000);
	assert_string_equal(p.name, "the sleeper x");
	assert_int_equal(sup_pulse_thread_state(atomic_load(&p.tid)), 'S');
	assert_int_equal(sup_pulse_thread_state((int32_t)gettid()), 'R');
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(atomic_load(&p.tid), 0);
	assert_int_equal(sup_pulse_thread_state(0), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_waits_for_work_is_fine, start),
		cmocka_unit_test_setup(one_piece_of_work_for_too_long_is_stuck, start),
		cmocka_unit_test_setup(many_pieces_without_a_rest_are_fine, start),
		cmocka_unit_test_setup(a_disk_is_slow_and_not_stuck, start),
		cmocka_unit_test_setup(who_sleeps_waits_for_the_one_at_the_disk, start),
		cmocka_unit_test_setup(an_ended_thread_is_fine, start),
		cmocka_unit_test(a_counter_that_stands_still),
		cmocka_unit_test(a_pause_of_ours_is_nobodys_fault),
		cmocka_unit_test(the_kernel_knows_a_threads_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
