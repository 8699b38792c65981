/*
 * test_conf_diff.c: what differs between two configurations, what a running daemon keeps, one key set.
 */
#include "conf_test.h"

#include "common/conf/om_conf_diff.h"

static struct om_conf *must(const char *text)
{
	struct result r = read_text(text);
	struct om_conf *c = r.conf;

	if (!c)
		fail_msg("not read: %s", text);
	r.conf = NULL;
	result_free(&r);
	return c;
}

static char seen[65536];

static void note(void *arg, const char *key, bool live, const char *was, const char *is)
{
	size_t n = strlen(seen);

	(void)arg;
	(void)snprintf(seen + n, sizeof(seen) - n, "%s%s %s>%s\n", live ? "" : "!", key, was, is);
}

static const char *diff(const struct om_conf *a, const struct om_conf *b)
{
	seen[0] = '\0';
	assert_int_equal(om_conf_diff(a, b, note, NULL), 0);
	return seen;
}

static void test_same(void **state)
{
	struct om_conf *a = must(TIERS), *b = must("# other words\nlog: {level: info}\n" TIERS);
	(void)state;

	assert_string_equal(diff(a, b), "");
	om_conf_free(a);
	om_conf_free(b);
}

static void test_diff_and_keep(void **state)
{
	struct om_conf *a = must("state_dir: /s\n" TIERS);
	struct om_conf *b = must("state_dir: /t\nlog: {level: debug}\nlimits: {connections: 5}\n"
				 "access: {rules: [{user: '*', prefix: /x, rights: [read]}]}\n"
				 "backends:\n"
				 "  - {name: new, type: hdd, path: /n, capacity: 3G}\n"
				 "  - {name: m, type: memory, path: /elsewhere, capacity: 2G}\n");
	(void)state;

	assert_string_equal(diff(a, b), "!state_dir /s>/t\n"
					"default_tier d>new\n"
					"access.rules []>[{user: \"*\", prefix: /x, rights: [read]}]\n"
					"limits.connections 10000>5\n"
					"log.level info>debug\n"
					"backends[new] absent>present\n"
					"!backends[m].path /m>/elsewhere\n"
					"backends[m].capacity 1G>2G\n"
					"!backends[m].index_path /m/catalog>/elsewhere/catalog\n"
					"!backends[d] present>absent\n");
	b->backends[1].index_given = true;
	assert_int_equal(om_conf_keep(a, b), 0);
	assert_false(b->backends[1].index_given); /* goes with index_path, which needs a restart */
	assert_string_equal(b->state_dir, "/s");
	assert_int_equal(b->limits.connections, 5);
	assert_int_equal(b->n_backends, 3);
	assert_string_equal(b->backends[1].path, "/m");
	assert_true(b->backends[1].capacity.bytes == 2ull << 30);
	assert_string_equal(b->backends[2].name, "d"); /* what is not in the file any more is still open */
	assert_int_equal(b->default_tier.tier, 0);
	om_conf_free(a); /* nothing is freed twice, nothing is lost: the sanitizer looks */
	om_conf_free(b);
}

static void test_each(void **state)
{
	struct om_conf *a = must(TIERS);
	(void)state;

	seen[0] = '\0';
	assert_int_equal(om_conf_each(a, note, NULL), 0);
	assert_non_null(strstr(seen, "\nlog.level info>info\n"));
	assert_non_null(strstr(seen, "\n!backends[d].type >ssd\n"));
	assert_non_null(strstr(seen, "\naccess.rules []>[]\n"));
	om_conf_free(a);
}

static void expect_set(const struct om_conf *c, const char *key, const char *value, int want, const char *text)
{
	struct om_conf_report rep = { 0 };
	struct om_conf *got = NULL;
	int err = om_conf_set(c, key, value, &got, &rep);

	if (err != want)
		fail_msg("%s = %s: %d, not %d", key, value, err, want);
	if (err == 0) {
		assert_string_equal(diff(c, got), text);
		assert_string_equal(got->file, c->file);
	} else if (text) {
		assert_int_equal(rep.n_errors > 0, 1);
		assert_non_null(strstr(rep.v[0].key, text));
	}
	om_conf_free(got);
	om_conf_report_free(&rep);
}

static void test_set(void **state)
{
	struct om_conf *c = must("access: {rules: [{group: '7', prefix: /x, rights: [read, list]}]}\n"
				 "backends: [{name: m, type: memory, path: /m, capacity: 1G}, {name: d, type: ssd, path: /d, capacity: 90%},"
				 "{name: e, type: hdd, path: /e, capacity: 1G}]\n");
	(void)state;

	expect_set(c, "log.level", "debug", 0, "log.level info>debug\n");
	expect_set(c, "log.level", "info", 0, "");
	expect_set(c, "drain_timeout", "2s", 0, "drain_timeout 500ms>2s\n");
	expect_set(c, "backends[d].capacity", "50%", 0, "backends[d].capacity 90%>50%\n");
	expect_set(c, "backends[e].flags", "[persistent, readable]", 0,
		   "backends[e].flags [persistent, readable, writable, migration_src, migration_dst]>[persistent, readable]\n");
	expect_set(c, "access.trusted_writers", "[root]", 0, "access.trusted_writers [self, root]>[root]\n");
	expect_set(c, "log.level", "loud", -OBJM_STATUS_INVALID_REQUEST, "log.level");
	expect_set(c, "lifecycle.hot_threshold", "0.1", -OBJM_STATUS_INVALID_REQUEST, "lifecycle"); /* below cold_threshold */
	expect_set(c, "limits.connections", "5\nstate_dir: /x", -OBJM_STATUS_INVALID_REQUEST, NULL);
	expect_set(c, "limits.connections", "5 # five", -OBJM_STATUS_INVALID_REQUEST, NULL);
	expect_set(c, "limits.connections", "{a: [", -OBJM_STATUS_INVALID_REQUEST, "");
	expect_set(c, "state_dir", "/t", -OBJM_STATUS_UNSUPPORTED_OP, NULL);
	expect_set(c, "access.rules", "[]", -OBJM_STATUS_UNSUPPORTED_OP, NULL);
	expect_set(c, "backends[x].capacity", "1G", -OBJM_STATUS_NOT_FOUND, NULL);
	expect_set(c, "level", "debug", -OBJM_STATUS_NOT_FOUND, NULL);
	om_conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_same), cmocka_unit_test(test_diff_and_keep),
					    cmocka_unit_test(test_each), cmocka_unit_test(test_set) };
	return cmocka_run_group_tests_name("conf/diff", tests, NULL, NULL);
}
