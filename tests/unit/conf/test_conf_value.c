/*
 * test_conf_value.c: each type of value: what it takes, what it refuses, and what comes out.
 */
#include "conf_test.h"

#include <netinet/in.h>
#include <syslog.h>

/* Read TIERS and one more line. */
static struct result with(const char *line)
{
	char text[8192];

	(void)snprintf(text, sizeof(text), "%s%s\n", TIERS, line);
	return read_text(text);
}

static void refused(const char *line)
{
	struct result r = with(line);

	if (r.rc != -OBJM_STATUS_INVALID_REQUEST || r.rep.n_errors != 1 || r.rep.v[0].line != 2)
		fail_msg("of\n%s\ngot %d\n%s", line, r.rc, r.text);
	result_free(&r);
}

#define ACCEPTED(line, field, value) \
	do { \
		struct result r_ = with(line); \
		if (r_.rc != 0) \
			fail_msg("of\n%s\ngot %d\n%s", line, r_.rc, r_.text); \
		assert_true(r_.conf->field == (value)); \
		expect_round_trip(r_.conf); \
		result_free(&r_); \
	} while (0)

static void test_sizes(void **state)
{
	(void)state;
	ACCEPTED("limits: {frame_bytes: 1M}", limits.frame_bytes, 1048576u);
	ACCEPTED("limits: {frame_bytes: 1MiB}", limits.frame_bytes, 1048576u);
	ACCEPTED("limits: {frame_bytes: 1 m}", limits.frame_bytes, 1048576u);
	ACCEPTED("limits: {frame_bytes: 1.5M}", limits.frame_bytes, 1572864u);
	ACCEPTED("limits: {frame_bytes: 1048577}", limits.frame_bytes, 1048577u);
	ACCEPTED("limits: {frame_bytes: 20000B}", limits.frame_bytes, 20000u);
	ACCEPTED("limits: {frame_bytes: \"64K\"}", limits.frame_bytes, 65536u);
	static const char *const bad[] = { "1MB", "1X", "M", "-1", "1..5M", "1.M", "0x10000", "1M M", "1e400", "inf", "nan", "+1M", "64M1" };
	for (size_t i = 0; i < OM_ARRAY_SIZE(bad); i++) {
		char line[64];
		(void)snprintf(line, sizeof(line), "limits: {frame_bytes: \"%s\"}", bad[i]);
		refused(line);
	}
}

static void test_times(void **state)
{
	(void)state;
	ACCEPTED("drain_timeout: 2", drain_timeout_ms, 2u);
	ACCEPTED("drain_timeout: 2ms", drain_timeout_ms, 2u);
	ACCEPTED("drain_timeout: 2s", drain_timeout_ms, 2000u);
	ACCEPTED("drain_timeout: 0.5s", drain_timeout_ms, 500u);
	ACCEPTED("drain_timeout: 1m", drain_timeout_ms, 60000u);
	ACCEPTED("limits: {idle_timeout: 1h}", limits.idle_timeout_ms, 3600000u);
	ACCEPTED("limits: {idle_timeout: 0}", limits.idle_timeout_ms, 0u);
	ACCEPTED("limits: {idle_timeout: 7d}", limits.idle_timeout_ms, 604800000u);
	ACCEPTED("lifecycle: {interval_secs: 90}", lifecycle.interval_s, 90u);
	ACCEPTED("lifecycle: {interval_secs: 2m}", lifecycle.interval_s, 120u);
	refused("drain_timeout: 0.0001s");
	refused("drain_timeout: 11m");
	refused("drain_timeout: 1w");
	refused("lifecycle: {interval_secs: 1500ms}");
	refused("lifecycle: {interval_secs: 0}");
}

static void test_shares_and_numbers(void **state)
{
	(void)state;
	ACCEPTED("lifecycle: {evict_when_full: 0.9}", lifecycle.evict_when_full, 0.9);
	ACCEPTED("lifecycle: {evict_when_full: 90%}", lifecycle.evict_when_full, 0.9);
	ACCEPTED("lifecycle: {hot_threshold: 1}", lifecycle.hot_threshold, 1.0);
	ACCEPTED("lifecycle: {hot_threshold: 0.333333333333333315}", lifecycle.hot_threshold, 0.333333333333333315);
	ACCEPTED("log: {access: 1e-3}", log.access, 0.001);
	refused("lifecycle: {hot_threshold: 1.1}");
	refused("lifecycle: {hot_threshold: 101%}");
	ACCEPTED("io_threads: 7", io_threads, 7u);
	ACCEPTED("io_threads: \"7\"", io_threads, 7u);
	ACCEPTED("io_threads: 007", io_threads, 7u);
	refused("io_threads: 7.0");
	refused("io_threads: 7e0");
	refused("io_threads: auto");
	refused("io_threads: 99999999999999999999");
	ACCEPTED("thread_pool: {max_workers: auto}", thread_pool.max_workers, 0u);
	refused("thread_pool: {max_workers: 0}");
}

static void test_modes_and_words(void **state)
{
	(void)state;
	ACCEPTED("listen: {mode: 0600}", listen.mode, 0600u);
	ACCEPTED("listen: {mode: 600}", listen.mode, 0600u);
	ACCEPTED("listen: {mode: \"0o640\"}", listen.mode, 0640u);
	refused("listen: {mode: 0680}");
	refused("listen: {mode: 1777}");
	refused("listen: {mode: rw}");
	ACCEPTED("log: {level: debug}", log.level, LOG_DEBUG);
	ACCEPTED("log: {level: error}", log.level, LOG_ERR);
	refused("log: {level: loud}");
}

static void test_paths(void **state)
{
	static const char *const cases[][2] = {
		{ "/a/b", "/a/b" },	 { "a/b", "/base/a/b" }, { "./a", "/base/a" }, { "../a", "/a" },
		{ "/a//b/../c/", "/a/c" }, { "../../../a", "/a" }, { "/", "/" },	   { ".hidden", "/base/.hidden" },
		{ "/a/...", "/a/..." },
	};

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(cases); i++) {
		char line[128];
		(void)snprintf(line, sizeof(line), "state_dir: %s", cases[i][0]);
		struct result r = with(line);
		assert_int_equal(r.rc, 0);
		assert_string_equal(r.conf->state_dir, cases[i][1]);
		expect_round_trip(r.conf);
		result_free(&r);
	}
	refused("state_dir: \"\"");
	refused("state_dir:");
	refused("state_dir: \"a\\nb\"");
	refused("state_dir: \"a\\0b\"");
	char line[5000] = "state_dir: /";
	memset(line + strlen(line), 'a', 4100);
	refused(line);
}

static void test_sockets(void **state)
{
	char line[200];

	(void)state;
	refused("listen: {data: \"@abstract\"}");
	refused("listen: {data: \"\\0abstract\"}");
	refused("listen: {data: \"\"}");
	/* 107 bytes fit sun_path with its terminator, 108 do not; the length counts from / on. */
	(void)snprintf(line, sizeof(line), "listen: {data: /%0106d}", 0);
	struct result r = with(line);
	assert_int_equal(r.rc, 0);
	assert_int_equal(strlen(r.conf->listen.data), 107);
	result_free(&r);
	(void)snprintf(line, sizeof(line), "listen: {data: /%0107d}", 0);
	refused(line);
	(void)snprintf(line, sizeof(line), "listen: {data: x%0104d}", 0);
	refused(line);
	refused("listen: {legacy: /run/objmapper/objmapper.sock}");
	refused("listen: {admin: /run/objmapper/../objmapper/objmapper.sock}");
}

static void test_tcp(void **state)
{
	static const struct {
		const char *in, *out;
		bool loopback;
	} cases[] = {
		{ "127.0.0.1:7070", "127.0.0.1:7070", true }, { "7070", "127.0.0.1:7070", true }, { "[::1]:1", "[::1]:1", true },
		{ "0.0.0.0:65535", "0.0.0.0:65535", false },  { "[::]:7", "[::]:7", false },	   { "127.9.9.9:9", "127.9.9.9:9", true },
	};
	static const char *const bad[] = { "a:1", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "::1:7070", "[::1]", "localhost:1", "[1.2.3.4]:1", ":", "", "1.2.3.4:-1" };

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(cases); i++) {
		char line[128];
		(void)snprintf(line, sizeof(line), "listen: {tcp: [\"%s\"]}", cases[i].in);
		struct result r = with(line);
		assert_int_equal(r.rc, 0);
		assert_int_equal(r.conf->listen.tcp.n, 1);
		assert_string_equal(r.conf->listen.tcp.v[0].text, cases[i].out);
		assert_int_equal(r.conf->listen.tcp.v[0].loopback, cases[i].loopback);
		assert_int_equal(strstr(r.text, "can be reached from other hosts") != NULL, !cases[i].loopback);
		expect_round_trip(r.conf);
		result_free(&r);
	}
	for (size_t i = 0; i < OM_ARRAY_SIZE(bad); i++) {
		char line[128];
		(void)snprintf(line, sizeof(line), "listen: {tcp: [\"%s\"]}", bad[i]);
		refused(line);
	}
	refused("listen: {tcp: [\"127.0.0.1:7\", \"7\"]}");
}

static void test_users(void **state)
{
	struct result r = with("access: {trusted_writers: [self, root, 1234, no-such-user-here], legacy: []}");
	struct om_conf_report rep = { 0 };

	(void)state;
	assert_int_equal(r.rc, 0);
	expect_round_trip(r.conf);
	const struct om_conf_ids *ids = &r.conf->access.trusted_writers;
	assert_int_equal(ids->n, 4);
	assert_int_equal(ids->v[0].kind, OM_CONF_ID_SELF);
	assert_int_equal(ids->v[1].kind, OM_CONF_ID_NAME);
	assert_int_equal(ids->v[2].id, 1234);
	assert_int_equal(r.conf->access.legacy.n, 0);
	/* One name is unknown: it is reported, the others are looked up all the same. */
	assert_int_equal(om_conf_resolve_ids(r.conf, 77, &rep), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(rep.n_errors, 1);
	assert_string_equal(rep.v[0].key, "access.trusted_writers[3]");
	assert_int_not_equal(rep.v[0].line, 0);
	static const uint32_t want[] = { 77, 0, 1234 };
	for (size_t i = 0; i < OM_ARRAY_SIZE(want); i++)
		assert_true(ids->v[i].kind == OM_CONF_ID_ID && ids->v[i].id == want[i]);
	om_conf_report_free(&rep);
	result_free(&r);
	refused("access: {legacy: [4294967295]}");
	refused("access: {legacy: [\"a b\"]}");
	refused("access: {legacy: [\"\"]}");
	refused("access: {legacy: root}");
}

static void test_rules(void **state)
{
	struct result r = with("listen: {tcp: [7070]}\naccess: {rules: [{gid: 0, prefix: /a, rights: [read]}, {user: \"*\", rights: [read, list]},"
			       " {address: 10.0.0.0/8, rights: [write]}, {address: \"::1\", rights: [delete]}]}");

	(void)state;
	assert_int_equal(r.rc, 0);
	const struct om_conf_access *a = &r.conf->access;
	assert_int_equal(a->n_rules, 4);
	assert_int_equal(a->rules[0].group.kind, OM_CONF_ID_ID);
	assert_string_equal(a->rules[0].prefix, "/a");
	assert_string_equal(a->rules[1].prefix, "*");
	assert_int_equal(a->rules[1].rights, OM_RIGHT_READ | OM_RIGHT_LIST);
	assert_int_equal(a->rules[2].address.family, AF_INET);
	assert_int_equal(a->rules[2].address.prefix_len, 8);
	assert_int_equal(a->rules[2].address.addr[0], 10);
	assert_int_equal(a->rules[3].address.prefix_len, 128);
	expect_round_trip(r.conf);
	result_free(&r);
	refused("access: {rules: [{rights: [read]}]}");
	refused("access: {rules: [{user: a, group: b, rights: [read]}]}");
	refused("access: {rules: [{user: a}]}");
	refused("access: {rules: [{user: a, rights: []}]}");
	refused("access: {rules: [{user: a, rights: [fly]}]}");
	refused("access: {rules: [{group: self, rights: [read]}]}");
	refused("access: {rules: [{address: 10.0.0.1/8, rights: [read]}]}");
	refused("access: {rules: [{address: 10.0.0.0/33, rights: [read]}]}");
	refused("access: {rules: [{address: example.org, rights: [read]}]}");
	refused("access: {rules: [{user: a, prefix: \"/a*b\", rights: [read]}]}");
}

/* Texts come back as they were, whatever a YAML reader would make of them unquoted. */
static void test_texts_round_trip(void **state)
{
	static const char *const names[] = {
		"null", "~", "true", "12", "a: b", "- x", "#c", "'", "\\\"", "\\\\", "Gr\u00f6sse", "\xc3\xb6", "\\u2028", "\\ufeff", "{", "%x",
	};

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(names); i++) {
		char text[256];
		(void)snprintf(text, sizeof(text), "backends: [{name: \"%s\", type: ssd, path: /d, capacity: 1G}]\n", names[i]);
		struct result r = read_text(text);
		if (r.rc != 0)
			fail_msg("of\n%s\ngot\n%s", text, r.text);
		expect_round_trip(r.conf);
		result_free(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	cmocka_unit_test(test_times),	cmocka_unit_test(test_shares_and_numbers),
		cmocka_unit_test(test_modes_and_words), cmocka_unit_test(test_paths), cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_tcp),	cmocka_unit_test(test_users),	cmocka_unit_test(test_rules),
		cmocka_unit_test(test_texts_round_trip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
