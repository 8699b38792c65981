/*
 * test_admin.c: the admin socket: every command's answer, and peers that send fragments, garbage, too much, too deep, too
 * slowly, or that do not read. A fake engine stands behind it; no process is started.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "admin_fix.h"

static void test_status(void **state)
{
	int fd = connect_admin();
	json_t *j = ask(fd, "{\"cmd\":\"status\"}\n"), *t;
	const char *name, *tstate;
	json_int_t pid, uptime, lpid, objects, slots, bytes, cap, used, tobjects;
	int complete;
	(void)state;

	assert_true(ok(j));
	assert_int_equal(json_unpack(j, "{s:{s:I}, s:I, s:[], s:{s:I}, s:{s:I, s:I, s:I, s:b}, s:[o]}", "supervisor", "pid", &pid,
				     "uptime_s", &uptime, "workers", "lifecycle", "pid", &lpid, "index", "objects", &objects, "slots",
				     &slots, "bytes", &bytes, "complete", &complete, "tiers", &t), 0);
	assert_int_equal(pid, getpid());
	assert_in_range(uptime, 5, 6);
	assert_int_equal(lpid, 0);
	assert_true(objects == 5 && slots == 100 && bytes == 6400 && complete);
	assert_int_equal(json_unpack(t, "{s:s, s:s, s:I, s:I, s:I}", "name", &name, "state", &tstate, "capacity_bytes", &cap,
				     "used_bytes", &used, "objects", &tobjects), 0);
	assert_string_equal(name, "disk");
	assert_string_equal(tstate, "ready");
	assert_true(cap == INT64_MAX && used == 4096 && tobjects == 5);
	assert_int_equal(json_integer_value(json_object_get(j, "pending_removals")), 2);
	json_decref(j);
	(void)close(fd);
}

static void test_other_commands(void **state)
{
	int fd = connect_admin();
	json_t *j = ask(fd, "{\"cmd\":\"tier-list\"}\n");
	(void)state;

	json_t *t = json_array_get(json_object_get(j, "tiers"), 0);
	assert_string_equal(json_string_value(json_object_get(t, "type")), "ssd");
	assert_string_equal(json_string_value(json_object_get(t, "path")), "/srv/?"); /* not UTF-8: shown all the same */
	assert_int_equal(json_array_size(json_object_get(t, "flags")), 3);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(t, "rebuild"), "files")), 3);
	json_decref(j);

	w.sup.kids.ended[OM_C_REQUESTS] = 7;
	j = ask(fd, "{\"cmd\":\"counters\"}\n");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "total"), "requests")), 7);
	assert_int_equal(json_object_size(json_object_get(j, "supervisor")), OM_C_COUNT);
	json_decref(j);

	j = ask(fd, "{\"cmd\":\"workers\"}\n");
	assert_true(ok(j) && json_integer_value(json_object_get(j, "max")) == 2);
	json_decref(j);
	j = ask(fd, "{\"cmd\":\"ping\"}\n");
	assert_true(ok(j) && json_is_true(json_object_get(j, "ready")));
	json_decref(j);
	j = ask(fd, "{\"cmd\":\"help\"}\n");
	assert_int_equal(json_array_size(json_object_get(j, "commands")), sup_admin_cmd_count);
	json_decref(j);
	for (unsigned i = 1; i < sup_admin_cmd_count; i++)
		assert_true(strcmp(sup_admin_cmd_table[i - 1].name, sup_admin_cmd_table[i].name) < 0);
	(void)close(fd);
}

static void test_rebuild(void **state)
{
	int fd = connect_admin();
	unsigned before = fake_engine.rebuilds;
	json_t *j = ask(fd, "{\"cmd\":\"tier-rebuild\",\"name\":\"disk\"}\n");
	(void)state;

	assert_true(ok(j));
	json_decref(j);
	assert_int_equal(fake_engine.rebuilds, before + 1);
	assert_true(is_error(ask(fd, "{\"cmd\":\"tier-rebuild\",\"name\":\"x\"}\n"), "NOT_FOUND"));
	assert_true(is_error(ask(fd, "{\"cmd\":\"tier-rebuild\",\"name\":\"busy\"}\n"), "TRY_AGAIN"));
	assert_true(is_error(ask(fd, "{\"cmd\":\"tier-rebuild\"}\n"), "INVALID_REQUEST"));
	assert_true(is_error(ask(fd, "{\"cmd\":\"tier-rebuild\",\"name\":[]}\n"), "INVALID_REQUEST"));
	(void)close(fd);
	/* another uid may look, not change */
	struct sup_admin_ref ref = { 0 };
	const struct om_peer other = { .uid = geteuid() + 4711, .gid = 0, .pid = 1 };
	json_t *req = json_loads("{\"cmd\":\"tier-rebuild\",\"name\":\"disk\"}", 0, NULL);
	assert_true(is_error(sup_admin_cmd_answer(&w.sup, &other, req, &ref), "PERMISSION_DENIED"));
	assert_int_equal(fake_engine.rebuilds, before + 1);
	json_decref(req);
	req = json_loads("{\"cmd\":\"status\"}", 0, NULL);
	j = sup_admin_cmd_answer(&w.sup, &other, req, &ref);
	assert_true(ok(j));
	json_decref(j);
	json_decref(req);
}

static void test_garbage(void **state)
{
	static const char *const lines[] = {
		"hello\n", "{\n", "[]\n", "\"status\"\n", "{\"cmd\":\"status\"\n", "{\"cmd\":\"status\",\"cmd\":\"ping\"}\n",
		"{\"cmd\":\"sta\\u0000tus\"}\n", "{\"cmd\":1}\n", "{}\n", "\xff\xfe\n", "{\"cmd\":\"ping\"} x\n",
	};
	int fd = connect_admin();
	(void)state;

	for (unsigned i = 0; i < OM_ARRAY_SIZE(lines); i++)
		assert_true(is_error(ask(fd, lines[i]), "INVALID_REQUEST"));
	say(fd, "{\"a\0b\":1}\n", 10);
	assert_true(is_error(answer(fd), "INVALID_REQUEST"));
	assert_true(is_error(ask(fd, "{\"cmd\":\"no\\nsuch\xc3\xa4\"}\n"), "UNSUPPORTED_OP"));
	json_t *j = ask(fd, "\r\n \n{\"cmd\":\"ping\"}\r\n"); /* and it goes on */
	assert_true(ok(j));
	json_decref(j);
	(void)close(fd);
}

static void test_depth(void **state)
{
	char line[3000];
	int fd = connect_admin();
	(void)state;

	memset(line, '[', 1400);
	memset(line + 1400, ']', 1400);
	line[2800] = '\n';
	say(fd, line, 2801);
	assert_true(is_error(answer(fd), "INVALID_REQUEST"));
	/* brackets in a string are no depth */
	json_t *j = ask(fd, "{\"cmd\":\"ping\",\"x\":\"[[[[[[[[[[[[[[\\\"[[[[[[[[[\"}\n");
	assert_true(ok(j));
	json_decref(j);
	(void)close(fd);
}

static void test_fragments_and_pipelining(void **state)
{
	static const char two[] = "{\"cmd\":\"ping\"}\n{\"cmd\":\"status\"}\n{\"cmd\":\"ping\"}";
	int fd = connect_admin();
	(void)state;

	for (size_t i = 0; i < sizeof(two) - 1; i++) { /* byte by byte */
		say(fd, two + i, 1);
		turn(2);
	}
	(void)shutdown(fd, SHUT_WR); /* the end of the stream ends the last line too */
	for (int i = 0; i < 3; i++) {
		json_t *j = answer(fd);
		assert_true(ok(j));
		json_decref(j);
	}
	assert_null(answer(fd));
	(void)close(fd);

	fd = connect_admin(); /* more requests than one turn takes */
	for (int i = 0; i < 150; i++)
		say(fd, "{\"cmd\":\"ping\"}\n", 15);
	for (int i = 0; i < 150; i++) {
		json_t *j = answer(fd);
		assert_true(ok(j));
		json_decref(j);
	}
	(void)close(fd);
}

static void test_too_long(void **state)
{
	char line[SUP_ADMIN_LINE + 10];
	int fd = connect_admin();
	(void)state;

	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"cmd\":\"ping\"}", 14);
	line[SUP_ADMIN_LINE - 1] = '\n';
	say(fd, line, SUP_ADMIN_LINE); /* the longest there is */
	json_t *j = answer(fd);
	assert_true(ok(j));
	json_decref(j);
	line[SUP_ADMIN_LINE - 1] = ' ';
	say(fd, line, sizeof(line));
	assert_true(is_error(answer(fd), "TOO_LARGE"));
	char c;
	while (recv(fd, &c, 1, 0) < 0 && errno == EAGAIN)
		turn(1);
	assert_true(recv(fd, &c, 1, 0) <= 0); /* closed: where the next request begins is not known */
	(void)close(fd);
}

static void test_slow_reader(void **state)
{
	static const char req[] = "{\"cmd\":\"counters\"}\n";
	int slow = connect_admin(), quick = connect_admin(), small = 2048;
	unsigned sent = 0;
	(void)state;

	(void)setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	/* it asks and never reads: at some point no more is taken from it */
	for (unsigned i = 0; i < 20000; i++) {
		if (send(slow, req, sizeof(req) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(req) - 1)
			sent++;
		if (i % 16 == 0)
			turn(1);
	}
	assert_true(sent < 20000);
	json_t *j = ask(quick, "{\"cmd\":\"ping\"}\n"); /* nobody else waits for it */
	assert_true(ok(j));
	json_decref(j);
	sup_admin_tick(w.sup.admin, om_now_ns() + (SUP_ADMIN_STUCK_MS + 100) * MS);
	j = ask(quick, "{\"cmd\":\"ping\"}\n"); /* an idle one has longer */
	assert_true(ok(j));
	json_decref(j);
	assert_true(send(slow, req, sizeof(req) - 1, MSG_NOSIGNAL) < 0 && (errno == EPIPE || errno == ECONNRESET));
	sup_admin_tick(w.sup.admin, om_now_ns() + (SUP_ADMIN_IDLE_MS + 100) * MS);
	assert_null(answer(quick));
	(void)close(slow);
	(void)close(quick);
}

static void test_many_connections(void **state)
{
	int fd[SUP_ADMIN_CONNS + 4];
	json_t *j;
	(void)state;

	for (unsigned i = 0; i < OM_ARRAY_SIZE(fd); i++) {
		fd[i] = connect_admin();
		turn(2);
		j = ask(fd[i], "{\"cmd\":\"ping\"}\n"); /* each is served: the oldest silent one made room */
		assert_true(ok(j));
		json_decref(j);
	}
	assert_null(answer(fd[0]));
	j = ask(fd[4], "{\"cmd\":\"ping\"}\n");
	assert_true(ok(j));
	json_decref(j);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(fd); i++)
		(void)close(fd[i]);
	turn(40);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_status), T(test_other_commands),		  T(test_rebuild),  T(test_garbage),
		T(test_depth),	T(test_fragments_and_pipelining), T(test_too_long), T(test_slow_reader),
		T(test_many_connections),
	};
	return cmocka_run_group_tests_name("supervisor/admin", tests, NULL, NULL);
}
