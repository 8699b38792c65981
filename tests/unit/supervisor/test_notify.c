/* What the manager is told (sup_notify.c, om_sd.c), over a socket of our own in place of systemd's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "common/om_log.h"
#include "common/om_sd.h"
#include "fake_engine.h"
#include "supervisor/sup.h"

#define MS UINT64_C(1000000)
#define WATCHDOG_MS 8000u

static struct sup sup;
static struct om_conf conf;
static struct sup_place place[3];
static char dir[] = "/tmp/test_notify.XXXXXX", path[64], logged[4096];
static int manager;
static uint64_t now;

static void sink(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	size_t n = strlen(logged);
	(void)prio, (void)arg;
	(void)snprintf(logged + n, sizeof(logged) - n, "%s|%s\n", om_msg_table[id].name, text);
}

/* What was told, in order: the socket itself holds only some ten. */
static char heard[256][512];
static unsigned n_heard, next_heard;

static void hear(void)
{
	for (ssize_t n; n_heard < OM_ARRAY_SIZE(heard) && (n = recv(manager, heard[n_heard], sizeof(heard[0]) - 1, MSG_DONTWAIT)) > 0;)
		heard[n_heard++][n] = '\0';
}

/* The next thing told; "" if nothing was. */
static const char *told(void)
{
	hear();
	if (next_heard < n_heard)
		return heard[next_heard++];
	n_heard = next_heard = 0;
	return "";
}

static unsigned count_of(const char *what)
{
	unsigned n = 0;

	for (const char *s; *(s = told());)
		n += strstr(s, what) != NULL;
	return n;
}

static int setup_all(void **arg)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char text[32];

	(void)arg;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/notify", dir);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	(void)snprintf(text, sizeof(text), "%u", WATCHDOG_MS * 1000u);
	assert_int_equal(setenv("WATCHDOG_USEC", text, 1), 0);
	(void)snprintf(text, sizeof(text), "%ld", (long)getpid());
	assert_int_equal(setenv("WATCHDOG_PID", text, 1), 0);
	om_log_sink(sink, NULL);
	return 0;
}

static int teardown_all(void **arg)
{
	(void)arg;
	(void)unlink(path);
	(void)rmdir(dir);
	return 0;
}

static int setup(void **arg)
{
	(void)arg;
	memset(&sup, 0, sizeof(sup));
	memset(place, 0, sizeof(place));
	memset(&fake_engine, 0, sizeof(fake_engine));
	conf = (struct om_conf){ .drain_timeout_ms = 500, .n_backends = 1 };
	sup.conf = &conf;
	sup.scale.min = 2;
	sup.kids.n = 3;
	sup.kids.place = place;
	for (unsigned i = 0; i < 3; i++)
		place[i] = (struct sup_place){ .all = &sup.kids, .no = i, .role = i ? OM_ROLE_WORKER : OM_ROLE_LIFECYCLE, .state = SUP_STATE_EMPTY };
	now = om_now_ns();
	logged[0] = '\0';
	while (*told()) {
	}
	sup_notify_init(&sup.notify);
	assert_int_equal(sup.notify.watchdog_ns, WATCHDOG_MS * MS);
	return 0;
}

/* The children's counters are not here: they would be killed for it. */
static void run(unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 50) {
		now += 50 * MS;
		for (unsigned k = 0; k < 3; k++)
			place[k].turns.silent_ns = 0;
		sup_notify_tick(&sup, now);
		hear();
	}
}

static void all_ready(void)
{
	for (unsigned i = 0; i < 3; i++)
		place[i].state = SUP_STATE_READY;
	sup_notify_changed(&sup);
}

static void ready_once_all_serve(void **arg)
{
	(void)arg;
	place[0].state = place[1].state = SUP_STATE_READY;
	sup_notify_changed(&sup);
	assert_string_equal(told(), "");
	all_ready();
	const char *s = told();
	assert_memory_equal(s, "READY=1\nSTATUS=2 workers, 1 tiers, 5 objects;", 44);
	assert_non_null(strstr(logged, "STARTED|"));
	sup_notify_changed(&sup);
	run(50);
	assert_int_equal(count_of("READY=1"), 0);
}

static void a_busy_manager_is_told_later(void **arg)
{
	unsigned n = 0;

	(void)arg;
	while (om_sd_notify("X=1")) /* does not block */
		assert_true(++n < 10000);
	all_ready();
	sup_notify_tick(&sup, now += 50 * MS);
	assert_int_equal(count_of("READY=1"), 0);
	run(50);
	assert_int_equal(count_of("READY=1"), 1);
	run(50);
	assert_int_equal(count_of("READY=1"), 0);
}

static void figures_are_bounded(void **arg)
{
	(void)arg;
	all_ready();
	(void)told();
	place[1].state = SUP_STATE_BACKOFF;
	for (unsigned i = 0; i < 100; i++) {
		sup_notify_changed(&sup);
		run(50);
	}
	unsigned n = 0;
	bool replacing = false;
	for (const char *s; *(s = told());) {
		n += strstr(s, "STATUS=") != NULL;
		replacing |= strstr(s, "STATUS=1 workers") && strstr(s, "replacing a process");
	}
	assert_true(replacing);
	assert_true(n >= 1 && n <= 5); /* once a second at most, and only what has changed */
	run(60000);
	assert_int_equal(count_of("STATUS="), 0); /* nothing has changed */
}

static void the_watchdog_is_fed(void **arg)
{
	(void)arg;
	all_ready();
	run(WATCHDOG_MS * 2);
	unsigned n = count_of("WATCHDOG=1");
	assert_true(n >= 8 && n <= 9);
}

static void not_while_a_thread_is_stuck(void **arg)
{
	(void)arg;
	all_ready();
	sup_pulse_begin(&fake_engine.pulse, "the publisher", ""); /* this thread: it runs */
	sup_pulse_work(&fake_engine.pulse);
	run(SUP_PULSE_STUCK_MS + 1000);
	assert_non_null(strstr(logged, "WATCHDOG|the publisher makes no progress for 10 s: the watchdog is not fed"));
	(void)count_of("WATCHDOG=1");
	run(WATCHDOG_MS * 2);
	assert_int_equal(count_of("WATCHDOG=1"), 0);
	sup_pulse_work(&fake_engine.pulse);
	run(WATCHDOG_MS);
	assert_true(count_of("WATCHDOG=1") >= 4);
	assert_non_null(strstr(logged, "WATCHDOG|progress again"));
	sup_pulse_end(&fake_engine.pulse);
}

static void the_end_is_told_and_prolonged(void **arg)
{
	(void)arg;
	all_ready();
	(void)told();
	sup.stopping = true;
	sup.give_up_ns = now + 5500 * MS;
	sup_notify_stopping(&sup);
	assert_memory_equal(told(), "STOPPING=1\nSTATUS=finishing", 27);
	run(9000);
	unsigned n = count_of("EXTEND_TIMEOUT_USEC=15000000");
	assert_int_equal(n, 2); /* at once and after 3 s; not past the end of the drain */
	sup_notify_changed(&sup);
	assert_string_equal(told(), "");
}

static void a_reload_has_its_time(void **arg)
{
	unsigned long long usec = 0;

	(void)arg;
	uint64_t before = om_now_ns();
	om_sd_reloading();
	assert_int_equal(sscanf(told(), "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
	assert_true(usec * 1000 + 1000 > before && usec * 1000 <= om_now_ns());
	om_sd_ready("one\nWATCHDOG=trigger");
	assert_string_equal(told(), "READY=1\nSTATUS=one WATCHDOG=trigger");
}

static void the_watchdog_is_ours_or_nobodys(void **arg)
{
	char pid[32];

	(void)arg;
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	assert_int_equal(om_sd_watchdog_ns(), 0);
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "3s", 1), 0);
	assert_int_equal(om_sd_watchdog_ns(), 0);
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
	assert_int_equal(om_sd_watchdog_ns(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ready_once_all_serve, setup),
		cmocka_unit_test_setup(a_busy_manager_is_told_later, setup),
		cmocka_unit_test_setup(figures_are_bounded, setup),
		cmocka_unit_test_setup(the_watchdog_is_fed, setup),
		cmocka_unit_test_setup(not_while_a_thread_is_stuck, setup),
		cmocka_unit_test_setup(the_end_is_told_and_prolonged, setup),
		cmocka_unit_test_setup(a_reload_has_its_time, setup),
		cmocka_unit_test(the_watchdog_is_ours_or_nobodys),
	};
	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
