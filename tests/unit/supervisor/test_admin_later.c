/*
 * test_admin_later.c: answers that come later: in order, to nobody else, to nobody when the peer has gone, and in the end a
 * TIMEOUT; what the lifecycle process wrote is checked; every command refuses what it must.
 */
#include <sys/socket.h>

#include "admin_fix.h"

static void tasked(int status, const char *text)
{
	const struct sup_engine_answer a = { .status = status, .text = text, .text_len = strlen(text) };

	fake_answer(&a);
}

static const char *str(json_t *j, const char *key) { return json_string_value(json_object_get(j, key)); }

static bool silent(int fd)
{
	char c;

	turn(20);
	return recv(fd, &c, 1, 0) < 0 && errno == EAGAIN;
}

static void test_in_order(void **state)
{
	static const char two[] = "{\"cmd\":\"lifecycle-status\"}\n{\"cmd\":\"ping\"}\n";
	int slow = connect_admin(), quick = connect_admin();
	(void)state;

	say(slow, two, sizeof(two) - 1);
	assert_true(silent(slow)); /* the second request waits for the first answer */
	assert_true(fake_engine.done && fake_engine.task.kind == OM_TASK_STATUS);
	json_t *j = ask(quick, "{\"cmd\":\"ping\"}\n"); /* nobody else waits */
	assert_true(ok(j));
	json_decref(j);
	assert_true(is_error(ask(quick, "{\"cmd\":\"top\"}\n"), "TRY_AGAIN")); /* the fake engine takes one question */
	tasked(0, "{\"paused\":true,\"ok\":false,\"error\":{\"status\":\"x\"}}");
	j = answer(slow);
	assert_true(ok(j) && json_is_true(json_object_get(j, "paused")) && !json_object_get(j, "error"));
	json_decref(j);
	j = answer(slow);
	assert_true(ok(j) && json_object_get(j, "pid"));
	json_decref(j);
	(void)close(slow);
	(void)close(quick);
}

static void test_half_closed(void **state)
{
	int fd = connect_admin();
	(void)state;

	say(fd, "{\"cmd\":\"lifecycle-status\"}", 26); /* nc -N: the end of the stream ends the line */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(silent(fd));
	tasked(0, "{\"moves\":3}");
	json_t *j = answer(fd);
	assert_true(ok(j) && json_integer_value(json_object_get(j, "moves")) == 3);
	json_decref(j);
	assert_null(answer(fd));
	(void)close(fd);
}

static void test_peer_goes_away(void **state)
{
	int fd = connect_admin(), other;
	(void)state;

	say(fd, "{\"cmd\":\"lifecycle-status\"}\n", 27);
	turn(20);
	assert_non_null(fake_engine.done);
	(void)close(fd);
	turn(20);
	other = connect_admin(); /* likely takes the same place */
	json_t *j = ask(other, "{\"cmd\":\"ping\"}\n");
	assert_true(ok(j));
	json_decref(j);
	tasked(0, "{\"secret\":1}");
	assert_true(silent(other));
	(void)close(other);
}

static void test_overdue(void **state)
{
	int fd = connect_admin();
	(void)state;

	say(fd, "{\"cmd\":\"lifecycle-status\"}\n", 27);
	turn(20);
	sup_admin_tick(w.sup.admin, om_now_ns() + (SUP_ADMIN_STUCK_MS + 100) * MS); /* who waits for us is not stuck */
	assert_true(silent(fd));
	sup_admin_tick(w.sup.admin, om_now_ns() + (SUP_ADMIN_WAIT_MS + 100) * MS);
	assert_true(is_error(answer(fd), "TIMEOUT"));
	say(fd, "{\"cmd\":\"ping\"}\n", 15);
	json_t *j = answer(fd);
	assert_true(ok(j));
	json_decref(j);
	tasked(0, "{}"); /* too late */
	assert_true(silent(fd));
	(void)close(fd);
}

static void test_closed_with_calls_open(void **state)
{
	int fd = connect_admin();
	(void)state;

	say(fd, "{\"cmd\":\"lifecycle-status\"}\n", 27);
	turn(20);
	sup_admin_close(w.sup.admin);
	w.sup.admin = NULL;
	tasked(-OBJM_STATUS_GONE, ""); /* as the engine does when it closes */
	(void)close(fd);
}

static json_t *task_answer(int fd, const char *line, int status, const char *text)
{
	say(fd, line, strlen(line));
	turn(20);
	assert_non_null(fake_engine.done);
	tasked(status, text);
	return answer(fd);
}

/* The lifecycle process is a stranger. */
static void test_what_is_tasked(void **state)
{
	static const char line[] = "{\"cmd\":\"lifecycle-pause\"}\n";
	static const char *const bad[] = { "hello", "[]", "{", "{}{}", "{\"a\":1,\"a\":2}", "\xff", "{\"a\":[[[[[[[[[[]]]]]]]]]]}" };
	char deep[OM_TASKED_TEXT_MAX + 1];
	int fd = connect_admin();
	(void)state;

	for (size_t i = 0; i < OM_ARRAY_SIZE(bad); i++)
		assert_true(is_error(task_answer(fd, line, 0, bad[i]), "INTERNAL"));
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_true(is_error(task_answer(fd, line, 0, deep), "INTERNAL"));
	json_t *gone = task_answer(fd, line, -OBJM_STATUS_UNAVAILABLE, "");
	assert_string_equal(json_string_value(json_object_get(json_object_get(gone, "error"), "todo")), "try again in a moment"); /* no tier is missing */
	assert_true(is_error(gone, "UNAVAILABLE"));
	assert_true(is_error(task_answer(fd, line, -OBJM_STATUS_TIMEOUT, ""), "TIMEOUT"));
	json_t *j = task_answer(fd, line, -OBJM_STATUS_NO_SPACE, "{\"text\":\"the tier is full\"}");
	assert_string_equal(str(json_object_get(j, "error"), "text"), "the tier is full");
	assert_true(is_error(j, "NO_SPACE"));
	j = task_answer(fd, line, 0, ""); /* nothing to say is fine */
	assert_true(ok(j));
	json_decref(j);
	(void)close(fd);
}

static void test_tasks(void **state)
{
	int fd = connect_admin();
	json_t *j = task_answer(fd, "{\"cmd\":\"migrate\",\"uri\":\"/a\",\"tier\":\"disk\"}\n", 0, "{\"queued\":true}");
	(void)state;

	assert_true(ok(j) && fake_engine.task.kind == OM_TASK_MIGRATE && fake_engine.task.tier == 0);
	assert_string_equal(fake_engine.uri, "/a");
	json_decref(j);
	assert_true(is_error(ask(fd, "{\"cmd\":\"migrate\",\"uri\":\"/a\",\"tier\":\"nowhere\"}\n"), "NOT_FOUND"));
	json_decref(task_answer(fd, "{\"cmd\":\"promote\",\"uri\":\"/b\"}\n", 0, "{}"));
	assert_true(fake_engine.task.kind == OM_TASK_PROMOTE && !strcmp(fake_engine.uri, "/b"));
	json_decref(task_answer(fd, "{\"cmd\":\"demote\",\"uri\":\"/b\"}\n", 0, "{}"));
	assert_int_equal(fake_engine.task.kind, OM_TASK_DEMOTE);
	json_decref(task_answer(fd, "{\"cmd\":\"tier-drain\",\"name\":\"disk\"}\n", 0, "{}"));
	assert_true(fake_engine.task.kind == OM_TASK_DRAIN && fake_engine.task.arg == 1);
	json_decref(task_answer(fd, "{\"cmd\":\"tier-drain\",\"name\":\"disk\",\"stop\":true}\n", 0, "{}"));
	assert_true(fake_engine.task.kind == OM_TASK_DRAIN && fake_engine.task.arg == 0);
	assert_true(is_error(ask(fd, "{\"cmd\":\"tier-drain\",\"name\":\"nowhere\"}\n"), "NOT_FOUND"));
	json_decref(task_answer(fd, "{\"cmd\":\"top\",\"n\":7}\n", 0, "{}"));
	assert_true(fake_engine.task.kind == OM_TASK_TOP && fake_engine.task.arg == 7);
	json_decref(task_answer(fd, "{\"cmd\":\"top\"}\n", 0, "{}"));
	assert_int_equal(fake_engine.task.arg, 20);
	assert_true(is_error(ask(fd, "{\"cmd\":\"top\",\"n\":0}\n"), "INVALID_REQUEST"));
	assert_true(is_error(ask(fd, "{\"cmd\":\"top\",\"n\":-1}\n"), "INVALID_REQUEST"));
	assert_true(is_error(ask(fd, "{\"cmd\":\"top\",\"n\":\"7\"}\n"), "INVALID_REQUEST"));
	json_decref(task_answer(fd, "{\"cmd\":\"lifecycle-resume\"}\n", 0, "{}"));
	assert_int_equal(fake_engine.task.kind, OM_TASK_RESUME);
	(void)close(fd);
}

static const struct sup_engine_answer one_object = {
	.n_records = 2, .type = "text/plain", .heat = 0.5, .accesses = 3,
	.records = { { .id = 4097, .size = 5, .rev = 2, .flags = OM_OBJ_PINNED, .tier = 0, .home = 0, .serves = true },
		     { .id = 4097, .size = 5, .rev = 2, .tier = 9, .home = 0 } },
};

static void test_object(void **state)
{
	int fd = connect_admin();
	const struct sup_engine_answer none = { .status = -OBJM_STATUS_NOT_FOUND };
	(void)state;

	say(fd, "{\"cmd\":\"object\",\"uri\":\"/o\"}\n", 28);
	turn(20);
	assert_int_equal(fake_engine.task.kind, OM_TASK_KINDS);
	fake_answer(&one_object);
	json_t *j = answer(fd), *r = json_object_get(j, "records");
	assert_true(ok(j));
	assert_string_equal(str(j, "tier"), "disk");
	assert_string_equal(str(j, "path"), "/srv/?/objects/000000001/0000000000001001");
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "flags"), 0)), "pinned");
	assert_int_equal(json_array_size(r), 2);
	assert_true(json_is_null(json_object_get(json_array_get(r, 1), "tier"))); /* a tier that is not known any more */
	json_decref(j);

	say(fd, "{\"cmd\":\"object\",\"uri\":\"/o\"}\n", 28);
	turn(20);
	fake_answer(&none);
	assert_true(is_error(answer(fd), "NOT_FOUND"));
	assert_true(is_error(ask(fd, "{\"cmd\":\"object\",\"uri\":\"\"}\n"), "INVALID_REQUEST"));
	(void)close(fd);
}

static void test_explain(void **state)
{
	static char staff[] = "staff", o[] = "/o", elsewhere[] = "/other", disk[] = "disk";
	struct om_conf_rule rules[2] = {
		{ .group = { .kind = OM_CONF_ID_ID, .id = 42, .name = staff }, .prefix = o, .rights = OM_RIGHT_READ },
		{ .user = { .kind = OM_CONF_ID_ANY }, .prefix = elsewhere, .rights = OM_RIGHT_READ },
	};
	int fd = connect_admin();
	(void)state;

	w.conf.default_tier.name = disk;
	w.conf.access.rules = rules;
	w.conf.access.n_rules = 2;
	say(fd, "{\"cmd\":\"explain\",\"uri\":\"/o\"}\n", 29);
	turn(20);
	fake_answer(&one_object);
	assert_int_equal(fake_engine.task.kind, OM_TASK_EXPLAIN);
	tasked(0, "{\"next\":\"nothing\"}");
	json_t *j = answer(fd), *readers = json_object_get(j, "readers");
	assert_string_equal(str(j, "next"), "nothing");
	assert_non_null(strstr(str(j, "why"), "pinned"));
	assert_int_equal(json_array_size(readers), 2);
	assert_string_equal(json_string_value(json_array_get(readers, 1)), "group staff (42)");
	json_decref(j);

	say(fd, "{\"cmd\":\"explain\",\"uri\":\"/o\"}\n", 29); /* without the lifecycle process the rest is still told */
	turn(20);
	fake_answer(&one_object);
	tasked(-OBJM_STATUS_UNAVAILABLE, "");
	j = answer(fd);
	assert_true(ok(j) && json_is_null(json_object_get(j, "next")) && str(j, "next_unknown"));
	json_decref(j);
	(void)close(fd);
}

static void test_pins(void **state)
{
	int fd = connect_admin();
	json_t *j = task_answer(fd, "{\"cmd\":\"pin\",\"uri\":\"/p\"}\n", 0, "");
	(void)state;

	assert_true(ok(j) && json_is_true(json_object_get(j, "pinned")));
	assert_true(fake_engine.task.arg == ((uint64_t)OM_OBJ_PINNED << 32 | OM_OBJ_PINNED) && !strcmp(fake_engine.uri, "/p"));
	json_decref(j);
	json_decref(task_answer(fd, "{\"cmd\":\"unpin\",\"uri\":\"/p\"}\n", 0, ""));
	assert_true(fake_engine.task.arg == (uint64_t)OM_OBJ_PINNED << 32);
	j = task_answer(fd, "{\"cmd\":\"pin\",\"uri\":\"/p\"}\n", -OBJM_STATUS_LIMIT_EXCEEDED, "");
	assert_non_null(strstr(str(json_object_get(j, "error"), "text"), "half of its tier"));
	assert_true(is_error(j, "LIMIT_EXCEEDED"));
	assert_true(is_error(task_answer(fd, "{\"cmd\":\"pin\",\"uri\":\"/p\"}\n", -OBJM_STATUS_NOT_FOUND, ""), "NOT_FOUND"));
	(void)close(fd);
}

/* Every command that takes arguments refuses to go without; every one that changes something refuses another uid. */
static void test_all_refuse(void **state)
{
	const struct om_peer other = { .uid = geteuid() + 4711, .gid = 0, .pid = 1 }, own = { .uid = geteuid(), .pid = 1 };
	(void)state;

	for (unsigned i = 0; i < sup_admin_cmd_count; i++) {
		const struct sup_admin_cmd *c = &sup_admin_cmd_table[i];
		struct sup_admin_ref ref = { 0 };
		unsigned asked = fake_engine.asked;
		json_t *req = json_pack("{s:s}", "cmd", c->name);
		if (c->change)
			assert_true(is_error(sup_admin_cmd_answer(&w.sup, &other, req, &ref), "PERMISSION_DENIED"));
		if (*c->args && c->args[0] != '-' && !strchr(c->args, '?'))
			assert_true(is_error(sup_admin_cmd_answer(&w.sup, &own, req, &ref), "INVALID_REQUEST"));
		assert_false(ref.later);
		assert_int_equal(fake_engine.asked, c->change || *c->args ? asked : fake_engine.asked);
		json_decref(req);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_in_order),	T(test_half_closed), T(test_peer_goes_away), T(test_overdue), T(test_closed_with_calls_open),
		T(test_what_is_tasked), T(test_tasks),	     T(test_object),	     T(test_explain), T(test_pins), T(test_all_refuse),
	};
	return cmocka_run_group_tests_name("supervisor/admin_later", tests, NULL, NULL);
}
