/*
 * test_child.c: sup_child.c against real processes (fake_child) and a fake engine: what a child is started with, what its
 * messages do, that each broken rule costs its life and no more, replacement, draining, access logs, new index segments.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/om_log.h"
#include "fake_engine.h"
#include "fake_mode.h"
#include "supervisor/sup_child.h"

#define MS UINT64_C(1000000)

static struct {
	struct sup_loop loop;
	struct om_conf conf;
	struct sup_socks socks;
	struct sup_boot_env env;
	struct sup_children kids;
	int fds_before;
} w;

static char logged[65536];

static void sink(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	size_t n = strlen(logged);
	(void)prio, (void)arg;
	(void)snprintf(logged + n, sizeof(logged) - n, "%s|%s\n", om_msg_table[id].name, text);
}

static int lowest_fd(void)
{
	int fd = dup(0);
	(void)close(fd);
	return fd;
}

static int setup(void **state)
{
	struct sup_spawn_exe exe[2] = { { -1, "objmapper-worker" }, { -1, "objmapper-lifecycle" } };
	const char *path = getenv("FAKE_CHILD");

	(void)state;
	memset(&w, 0, sizeof(w));
	logged[0] = '\0';
	om_log_sink(sink, NULL);
	(void)setenv("FAKE_SECRET", "not for children", 1);
	(void)setenv("OBJM_FAULT", "put.begun", 1);
	w.fds_before = lowest_fd();
	assert_non_null(path);
	exe[0].fd = open(path, O_PATH | O_CLOEXEC);
	exe[1].fd = open(path, O_PATH | O_CLOEXEC);
	assert_true(exe[0].fd >= 0 && exe[1].fd >= 0);
	w.conf.thread_pool.min_workers = 2;
	w.conf.drain_timeout_ms = 300;
	w.socks.n = 3;
	w.socks.v[0] = (struct sup_sock){ .fd = fake_fd("admin-socket"), .kind = SUP_SOCK_ADMIN };
	w.socks.v[1] = (struct sup_sock){ .fd = fake_fd("data-socket"), .kind = OM_LISTEN_DATA };
	w.socks.v[2] = (struct sup_sock){ .fd = fake_fd("tcp-socket"), .kind = OM_LISTEN_TCP };
	w.env = (struct sup_boot_env){
		.conf = &w.conf, .engine = (struct sup_engine *)&fake_engine, .socks = &w.socks, .run_lock = fake_fd("run-lock"),
		.rules_fd = fake_fd("rules"),
		.nofile = 1024, .max_workers = 3,
	};
	memset(&fake_engine, 0, sizeof(fake_engine));
	fake_engine.seq = 7;
	assert_int_equal(sup_loop_init(&w.loop), 0);
	assert_int_equal(sup_child_init(&w.kids, &w.loop, &w.env, exe, 3), 0);
	return 0;
}

/* Turn the loop until `cond` or two seconds. */
#define UNTIL(cond) \
	do { \
		uint64_t end_ = om_now_ns() + 2000 * MS; \
		while (!(cond) && om_now_ns() < end_) { \
			sup_loop_turn(&w.loop, 10); \
			sup_child_tick(&w.kids, om_now_ns()); \
		} \
		if (!(cond)) \
			fail_msg("still not: %s\n%s", #cond, logged); \
	} while (0)

#define PLACE(n) (w.kids.place[n])
#define SERVING(n) (PLACE(n).state == SUP_STATE_READY)

static int teardown(void **state)
{
	(void)state;
	sup_child_end_all(&w.kids, true);
	UNTIL(sup_child_count(&w.kids, OM_ROLE_WORKER, SUP_STATE_COUNT) + sup_child_count(&w.kids, OM_ROLE_LIFECYCLE, SUP_STATE_COUNT) == 0);
	sup_child_fini(&w.kids);
	sup_loop_fini(&w.loop);
	sup_sock_close(&w.socks);
	(void)close(w.env.run_lock);
	(void)close(w.env.rules_fd);
	assert_int_equal(fake_engine.opened, fake_engine.closed);
	return 0;
}

static void test_start_and_drain(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		sup_child_start(&w.kids, i);
	UNTIL(SERVING(0) && SERVING(1) && SERVING(2));
	assert_int_equal(fake_engine.opened, 3);
	assert_int_equal(sup_child_count(&w.kids, OM_ROLE_WORKER, SUP_STATE_READY), 2);
	assert_null(strstr(logged, "CHILD_DIED"));
	pid_t pid = PLACE(1).pid;
	sup_child_start(&w.kids, 1); /* there is one already */
	assert_int_equal(PLACE(1).pid, pid);
	sup_child_drain(&w.kids, 2);
	UNTIL(PLACE(2).state == SUP_STATE_EMPTY);
	assert_non_null(strstr(logged, "CHILD_ENDED|worker 2"));
	assert_false(fake_engine.open[2]);
	assert_int_equal(w.kids.ended[OM_C_REQUESTS], 10); /* what it had counted is kept */
	sup_child_end_all(&w.kids, false);
	UNTIL(PLACE(0).state == SUP_STATE_EMPTY && PLACE(1).state == SUP_STATE_EMPTY);
	assert_null(strstr(logged, "CHILD_KILLED"));
}

static void test_killed_is_replaced(void **state)
{
	(void)state;
	sup_child_start(&w.kids, 1);
	UNTIL(SERVING(1));
	pid_t pid = PLACE(1).pid;
	uint64_t t = om_now_ns();
	assert_int_equal(kill(pid, SIGKILL), 0);
	UNTIL(SERVING(1) && PLACE(1).pid != pid); /* fake_child checks that OBJM_FAULT is not given again */
	assert_true(om_now_ns() - t < 1000 * MS);
	assert_non_null(strstr(logged, "CHILD_DIED|worker 1"));
	assert_non_null(strstr(logged, "killed by signal 9"));
	assert_int_equal(PLACE(1).restarts, 1);
	assert_int_equal(PLACE(1).generation, 2);
	pid = PLACE(1).pid; /* the second death in a row: a wait of 100 ms */
	t = om_now_ns();
	assert_int_equal(kill(pid, SIGKILL), 0);
	UNTIL(SERVING(1) && PLACE(1).pid != pid);
	assert_true(om_now_ns() - t >= 90 * MS);
}

static void test_backoff_of_one_that_cannot_start(void **state)
{
	(void)state;
	w.conf.commit_wait_ms = FAKE_DIE_EARLY;
	sup_child_start(&w.kids, 1);
	UNTIL(PLACE(1).generation >= 4);
	assert_non_null(strstr(logged, "exit status 3"));
	assert_true(PLACE(1).deaths >= 3);
	uint64_t t = om_now_ns();
	unsigned gen = PLACE(1).generation;
	while (om_now_ns() < t + 300 * MS) { /* 400 ms or more by now: it does not spin */
		sup_loop_turn(&w.loop, 10);
		sup_child_tick(&w.kids, om_now_ns());
	}
	assert_true(PLACE(1).generation <= gen + 1);
	sup_child_drain(&w.kids, 1);
	UNTIL(PLACE(1).state == SUP_STATE_EMPTY);
}

static void test_not_startable(void **state)
{
	(void)state;
	fake_engine.fail_open = -OBJM_STATUS_OUT_OF_MEMORY;
	sup_child_start(&w.kids, 1);
	assert_int_equal(PLACE(1).state, SUP_STATE_BACKOFF);
	assert_int_equal(fake_engine.opened, 0);
	UNTIL(SERVING(1)); /* and tried again */
}

/* Each broken rule: killed for the reason given, replaced. */
static void broken(enum fake_mode mode, const char *why)
{
	w.conf.commit_wait_ms = mode;
	sup_child_start(&w.kids, 1);
	UNTIL(PLACE(1).restarts >= 1);
	assert_non_null(strstr(logged, "CHILD_KILLED|worker 1"));
	if (!strstr(logged, why))
		fail_msg("not killed because \"%s\":\n%s", why, logged);
	w.conf.commit_wait_ms = FAKE_GOOD;
	UNTIL(SERVING(1));
}
static void test_bad_type(void **state) { (void)state, broken(FAKE_BAD_TYPE, "not a child's"); }
static void test_short_log(void **state) { (void)state, broken(FAKE_SHORT_LOG, "wrong length"); }
static void test_open_log(void **state) { (void)state, broken(FAKE_OPEN_LOG, "malformed log line"); }
static void test_log_id(void **state) { (void)state, broken(FAKE_LOG_ID, "malformed log line"); }
static void test_with_fd(void **state) { (void)state, broken(FAKE_WITH_FD, "with descriptors"); }
static void test_twice_ready(void **state) { (void)state, broken(FAKE_TWICE_READY, "READY twice"); }
static void test_false_ack(void **state) { (void)state, broken(FAKE_FALSE_ACK, "was not given"); }
static void test_close_ctl(void **state) { (void)state, broken(FAKE_CLOSE_CTL, "closed its control socket"); }

static void test_never_ready(void **state)
{
	(void)state;
	w.conf.commit_wait_ms = FAKE_NEVER_READY;
	sup_child_start(&w.kids, 1);
	sup_loop_turn(&w.loop, 50);
	sup_child_tick(&w.kids, om_now_ns() + (SUP_CHILD_BOOT_MS - 1000) * MS);
	assert_int_equal(PLACE(1).state, SUP_STATE_BOOTING);
	sup_child_tick(&w.kids, om_now_ns() + (SUP_CHILD_BOOT_MS + 1) * MS);
	assert_int_equal(PLACE(1).state, SUP_STATE_DYING);
	w.conf.commit_wait_ms = FAKE_GOOD;
	UNTIL(SERVING(1));
	assert_non_null(strstr(logged, "not READY in time"));
}

static void test_drain_has_an_end(void **state)
{
	(void)state;
	w.conf.commit_wait_ms = FAKE_NO_DRAIN;
	sup_child_start(&w.kids, 1);
	UNTIL(SERVING(1));
	uint64_t t = om_now_ns();
	sup_child_drain(&w.kids, 1);
	UNTIL(PLACE(1).state == SUP_STATE_EMPTY);
	assert_true(om_now_ns() - t >= 290 * MS);
	assert_non_null(strstr(logged, "drain_timeout"));
	assert_int_equal(PLACE(1).restarts, 0);
}

static void test_engine_complains(void **state)
{
	struct sup_engine_cb cb = sup_post_cb(&w.kids.post);
	(void)state;

	sup_child_start(&w.kids, 1);
	UNTIL(SERVING(1));
	uint32_t first = fake_engine.serial;
	cb.kill_child(cb.arg, 1, first, "its ring is damaged");
	cb.kill_child(cb.arg, 3, first + 1, "nobody is there");
	UNTIL(PLACE(1).restarts == 1 && SERVING(1));
	assert_non_null(strstr(logged, "its ring is damaged"));
	assert_int_equal(PLACE(3).generation, 0);
	/* the engine had not heard yet of the first one's end */
	cb.kill_child(cb.arg, 1, first, "a late complaint");
	cb.kill_child(cb.arg, 2, first, "nobody is there either");
	for (unsigned i = 0; i < 5; i++)
		sup_loop_turn(&w.loop, 20);
	assert_null(strstr(logged, "a late complaint"));
	assert_int_equal(PLACE(1).restarts, 1);
	cb.kill_child(cb.arg, 1, fake_engine.serial, "its own");
	UNTIL(PLACE(1).restarts == 2 && SERVING(1));
	assert_non_null(strstr(logged, "its own"));
}

static void test_new_index(void **state)
{
	struct sup_engine_cb cb = sup_post_cb(&w.kids.post);
	(void)state;

	for (unsigned i = 0; i < 3; i++)
		sup_child_start(&w.kids, i);
	UNTIL(SERVING(0) && SERVING(1) && SERVING(2));
	fake_engine.seq = 8;
	cb.index_new(cb.arg, 8, fake_fd("index2"), fake_fd("heat2"));
	UNTIL(fake_engine.acks == 3);
	assert_int_equal(fake_engine.last_ack, 8);
	sup_child_start(&w.kids, 3); /* starts with it: is not told again */
	UNTIL(SERVING(3));
	cb.index_new(cb.arg, 8, fake_fd("index2"), fake_fd("heat2"));
	sup_loop_turn(&w.loop, 100);
	sup_loop_turn(&w.loop, 100);
	assert_int_equal(fake_engine.acks, 3);
	assert_null(strstr(logged, "CHILD_DIED"));
}

static void test_silent_about_index(void **state)
{
	struct sup_engine_cb cb = sup_post_cb(&w.kids.post);
	(void)state;

	w.conf.commit_wait_ms = FAKE_NO_ACK;
	sup_child_start(&w.kids, 1);
	UNTIL(SERVING(1));
	fake_engine.seq = 8;
	cb.index_new(cb.arg, 8, fake_fd("index2"), -1);
	UNTIL(PLACE(1).restarts == 1);
	assert_non_null(strstr(logged, "did not confirm"));
}

static void test_alogs_reach_lifecycle(void **state)
{
	(void)state;
	sup_child_start(&w.kids, 1);
	UNTIL(SERVING(1));
	sup_child_start(&w.kids, 0); /* later than the worker: told of it all the same */
	UNTIL(strstr(logged, "NOTE|lifecycle: alog of 1"));
	sup_child_start(&w.kids, 2);
	UNTIL(strstr(logged, "alog of 2"));
	sup_child_drain(&w.kids, 2);
	UNTIL(strstr(logged, "alog gone 2"));
	logged[0] = '\0';
	assert_int_equal(kill(PLACE(0).pid, SIGKILL), 0);
	UNTIL(strstr(logged, "alog of 1"));
	assert_null(strstr(logged, "alog of 2"));
}

static void test_conf_reaches_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		sup_child_start(&w.kids, i);
	UNTIL(SERVING(0) && SERVING(1));
	w.conf.lifecycle.migration_batch_size = 77;
	sup_child_conf(&w.kids); /* the third may still be starting: it gets it behind BOOT */
	UNTIL(strstr(logged, "lifecycle: conf, batch 77") && strstr(logged, "worker 1: conf, batch 77") &&
	      strstr(logged, "worker 2: conf, batch 77"));
	UNTIL(sup_child_conf_settled(&w.kids));
	assert_null(strstr(logged, "CHILD_DIED"));
	assert_null(strstr(logged, "worker 3"));
}

static void test_silent_about_conf(void **state)
{
	(void)state;
	w.conf.commit_wait_ms = FAKE_NO_ACK;
	sup_child_start(&w.kids, 1);
	UNTIL(SERVING(1));
	sup_child_conf(&w.kids);
	assert_false(sup_child_conf_settled(&w.kids));
	UNTIL(PLACE(1).restarts == 1);
	assert_non_null(strstr(logged, "did not confirm a new configuration"));
	assert_true(sup_child_conf_settled(&w.kids)); /* who is started now has it from its BOOT */
}

static void test_stop_at_once(void **state)
{
	(void)state;
	w.conf.commit_wait_ms = FAKE_NO_DRAIN;
	for (unsigned i = 0; i < 3; i++)
		sup_child_start(&w.kids, i);
	sup_child_end_all(&w.kids, false);
	sup_child_end_all(&w.kids, true);
	UNTIL(PLACE(0).state == SUP_STATE_EMPTY && PLACE(1).state == SUP_STATE_EMPTY && PLACE(2).state == SUP_STATE_EMPTY);
}

static void test_no_descriptor_leaks(void **state)
{
	(void)state;
	sup_child_start(&w.kids, 0);
	sup_child_start(&w.kids, 1);
	UNTIL(SERVING(0) && SERVING(1));
	int before = lowest_fd();
	for (unsigned i = 1; i <= 4; i++) {
		PLACE(1).deaths = 0;
		assert_int_equal(kill(PLACE(1).pid, SIGKILL), 0);
		UNTIL(PLACE(1).restarts == i && SERVING(1));
	}
	assert_int_equal(lowest_fd(), before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
/* fake_child's loop counter never moves. */
static void test_silent_is_replaced(void **state)
{
	const uint64_t second = 1000 * MS;

	(void)state;
	sup_child_start(&w.kids, 0);
	sup_child_start(&w.kids, 1);
	UNTIL(SERVING(0) && SERVING(1));
	pid_t pid = PLACE(1).pid;
	for (unsigned i = 0; i < SUP_PULSE_WORKER_MS / 1000u - 1; i++)
		assert_int_equal(sup_child_progress(&w.kids, second), 0);
	assert_null(strstr(logged, "CHILD_KILLED"));
	assert_int_equal(kill(pid, SIGSTOP), 0); /* which does not save it */
	assert_int_equal(sup_child_progress(&w.kids, second), 0);
	assert_non_null(strstr(logged, "CHILD_KILLED|worker 1"));
	assert_non_null(strstr(logged, "its loop makes no progress"));
	assert_null(strstr(logged, "CHILD_KILLED|lifecycle")); /* it has longer */
	UNTIL(SERVING(1) && PLACE(1).pid != pid);
	assert_int_equal(sup_child_progress(&w.kids, 0), 0);
	assert_int_equal(PLACE(1).turns.silent_ns, 0); /* the new one begins anew */
	for (unsigned i = 0; i < SUP_PULSE_LCY_MS / 1000u && PLACE(0).state == SUP_STATE_READY; i++)
		assert_int_equal(sup_child_progress(&w.kids, second), 0);
	assert_non_null(strstr(logged, "CHILD_KILLED|lifecycle"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_start_and_drain), T(test_killed_is_replaced), T(test_backoff_of_one_that_cannot_start), T(test_not_startable),
		T(test_bad_type),	 T(test_short_log),	     T(test_open_log),			       T(test_log_id),
		T(test_with_fd),	 T(test_twice_ready),	     T(test_false_ack),			       T(test_close_ctl),
		T(test_never_ready),	 T(test_drain_has_an_end),   T(test_engine_complains),		       T(test_new_index),
		T(test_silent_about_index), T(test_alogs_reach_lifecycle), T(test_conf_reaches_all), T(test_silent_about_conf), T(test_stop_at_once),	       T(test_no_descriptor_leaks),
		T(test_silent_is_replaced),
	};
	return cmocka_run_group_tests_name("supervisor/child", tests, NULL, NULL);
}
