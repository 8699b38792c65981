/*
 * test_conf_file.c: whole files: JSON of an earlier system, errors with their lines, bounds, what follows from other
 * values, what does not fit together, and the embedded default.
 */
#include "conf_test.h"

#include <fcntl.h>
#include <sys/stat.h>

#define DISK "{name: d, type: ssd, path: /d, capacity: 1G}"

static void test_example_of_the_earlier_system(void **state)
{
	struct om_conf_report rep = { 0 };
	struct om_conf *c = NULL;

	(void)state;
	assert_int_equal(om_conf_load(OM_SOURCE_ROOT "/doc/examples/seed.json", &c, &rep), 0);
	assert_int_equal(rep.n_errors, 0);
	char *text = to_text(NULL, &rep);
	static const char *const gone[] = { "thread_pool.worker_stack_size", "protocol.version", "protocol.capabilities",
					    "index.global_buckets", "index.enable_persistence", "index.sync_interval_secs" };
	for (size_t i = 0; i < OM_ARRAY_SIZE(gone); i++)
		if (!strstr(text, gone[i]))
			fail_msg("no warning of %s in\n%s", gone[i], text);
	assert_int_equal(c->thread_pool.min_workers, 10);
	assert_int_equal(c->thread_pool.max_workers, 100);
	assert_int_equal(c->n_backends, 3);
	assert_string_equal(c->backends[0].name, "memory-cache");
	assert_string_equal(c->backends[0].label, "Memory Cache");
	assert_string_equal(c->backends[0].path, "/mnt/objmapper/memory");
	assert_true(c->backends[0].capacity.bytes == 16ull << 30);
	assert_int_equal(c->backends[0].flags, OM_TIERF_EPHEMERAL | OM_TIERF_READABLE | OM_TIERF_WRITABLE);
	assert_int_equal(c->backends[0].durability, OM_DUR_NONE);
	assert_false(c->backends[0].persist_index);
	assert_int_equal(c->backends[1].type, OM_TIER_NVME);
	assert_int_equal(c->backends[1].durability, OM_DUR_SYNC);
	assert_string_equal(c->backends[1].index_path, "/mnt/objmapper/nvme/.objmapper_index");
	assert_true(c->backends[2].perf_factor == 80);
	assert_string_equal(c->default_tier.name, "nvme-hot-tier");
	assert_int_equal(c->default_tier.tier, 1);
	assert_int_equal(c->ephemeral_tier.tier, 0);
	assert_int_equal(c->cache_tier.tier, 0);
	assert_int_equal(c->lifecycle.hotness_decay_s, 3600);
	expect_round_trip(c);
	free(text);
	om_conf_report_free(&rep);
	om_conf_free(c);
}

static void test_builtin(void **state)
{
	struct om_conf_report rep = { 0 };
	struct om_conf *c = NULL;
	char far[200];

	(void)state;
	assert_int_equal(om_conf_default("/a b/\"run\"", "/dev/shm/x", &c, &rep), 0);
	assert_int_equal(rep.n_errors, 0);
	assert_string_equal(c->state_dir, "/a b/\"run\"/state");
	assert_string_equal(c->listen.data, "/a b/\"run\"/objmapper.sock");
	assert_string_equal(c->listen.admin, "/a b/\"run\"/objmapper-ctl.sock");
	assert_string_equal(om_conf_find_tier(c, "memory")->path, "/dev/shm/x");
	assert_string_equal(om_conf_find_tier(c, "disk")->path, "/a b/\"run\"/disk");
	assert_null(om_conf_find_tier(c, "tape"));
	assert_string_equal(c->default_tier.name, "disk");
	assert_int_equal(om_conf_max_workers(c, 1), 2);
	assert_int_equal(om_conf_max_workers(c, 8), 16);
	expect_round_trip(c);
	om_conf_free(c);
	c = NULL;
	(void)snprintf(far, sizeof(far), "/%0120d", 0);
	assert_int_equal(om_conf_default(far, "/m", &c, &rep), -OBJM_STATUS_INVALID_REQUEST);
	assert_null(c);
	om_conf_report_free(&rep);
}

static void test_load_takes_paths_from_the_files_directory(void **state)
{
	char dir[] = "/tmp/om_conf_XXXXXX", file[64], expect[64];
	struct om_conf_report rep = { 0 };
	struct om_conf *c = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(file, sizeof(file), "%s/c.yaml", dir);
	int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(dprintf(fd, "backends: [{name: d, type: ssd, path: data, capacity: 1G}]\n") > 0);
	assert_int_equal(fchmod(fd, 0602), 0);
	assert_int_equal(om_conf_load(file, &c, &rep), 0);
	(void)snprintf(expect, sizeof(expect), "%s/data", dir);
	assert_string_equal(c->backends[0].path, expect);
	char *text = to_text(NULL, &rep);
	assert_non_null(strstr(text, "everyone may write this file"));
	free(text);
	om_conf_free(c);
	om_conf_report_free(&rep);
	c = NULL;
	/* A name without a slash: the current directory. */
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(om_conf_load("c.yaml", &c, &rep), 0);
	assert_string_equal(c->backends[0].path, expect);
	om_conf_free(c);
	om_conf_report_free(&rep);
	c = NULL;
	assert_int_equal(ftruncate(fd, (off_t)OM_CONF_FILE_MAX + 1), 0);
	assert_int_equal(om_conf_load(file, &c, &rep), -OBJM_STATUS_TOO_LARGE);
	om_conf_report_free(&rep);
	(void)close(fd);
	(void)unlink(file);
	assert_int_equal(om_conf_load(file, &c, &rep), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(rep.n_errors, 1);
	om_conf_report_free(&rep);
	assert_int_equal(om_conf_load(dir, &c, &rep), -OBJM_STATUS_STORAGE); /* EISDIR */
	om_conf_report_free(&rep);
	(void)chdir("/");
	(void)rmdir(dir);
	assert_null(c);
}

static void test_all_errors_with_their_lines(void **state)
{
	struct result r = read_text("backends:\n"			     /* 1 */
				    "  - name: a\n"		     /* 2 */
				    "    type: floppy\n"		     /* 3 */
				    "    capacity: 16 gigs\n"	     /* 4: and no path */
				    "thread_pool:\n"		     /* 5 */
				    "  max_worker: 4\n"		     /* 6 */
				    "  idle_ms: 1s\n"		     /* 7 */
				    "  idle_ms: 2s\n"		     /* 8 */
				    "listen: [a]\n"			     /* 9 */
				    "conections: 4\n"		     /* 10 */
				    "lifecycle: {cold_threshold: 0.9}\n"); /* 11 */

	(void)state;
	static const char *const lines[] = {
		"test.yaml:2: error: backends[0].path: found nothing, expected a path",
		"test.yaml:3: error: backends[0].type: found `floppy`, expected memory, nvme, ssd, hdd or network\n",
		"test.yaml:4: error: backends[0].capacity: found `16 gigs`, expected a size such as 16G",
		"test.yaml:6: error: thread_pool.max_worker: found an unknown key, expected perhaps `thread_pool.max_workers`\n",
		"test.yaml:8: error: thread_pool.idle_ms: found the same key a second time, expected it once; the first is in line 7\n",
		"test.yaml:9: error: listen: found a list, expected a group of keys\n",
		"test.yaml:10: error: conections: found an unknown key, expected perhaps `limits.connections`\n",
		"test.yaml:11: error: lifecycle.cold_threshold: found 0.9, expected less than hot_threshold (0.7)\n",
	};
	const char *at = r.text;
	for (size_t i = 0; i < OM_ARRAY_SIZE(lines); i++) {
		at = strstr(at, lines[i]); /* in the order of their lines */
		if (!at)
			fail_msg("expected\n%s\nin\n%s", lines[i], r.text);
	}
	assert_int_equal(r.rep.n_errors, OM_ARRAY_SIZE(lines));
	assert_int_equal(r.rep.n_warnings, 0);
	assert_int_equal(r.rep.v[3].column, 3);
	result_free(&r);
}

static void test_syntax_and_bounds(void **state)
{
	(void)state;
	expect_error("a: b\nc: [1, 2\n", "test.yaml:3: error: not YAML: ");
	expect_error("a:\n\tb: 1\n", "test.yaml:2: error: not YAML: ");
	expect_error("backends: [" DISK "]\nuser: &a x\n", "test.yaml:2: error: found an anchor");
	expect_error("backends: [" DISK "]\nuser: *a\n", "alias");
	expect_error("backends: [" DISK "]\nuser: !!str x\n", "found a tag");
	expect_error("backends: [" DISK "]\n? [a]\n: b\n", "as a key");
	expect_error("backends: [" DISK "]\n---\na: b\n", "second document");
	expect_error("[1, 2]\n", "found a list, expected a group of keys");
	expect_error("hello\n", "found `hello`, expected a group of keys");
	expect_error("", "found no tier, expected a list of at least one");
	expect_error("# nothing\n", "found no tier");
	expect_error("backends: []\n", "found no tier");
	expect_error("access: {lagacy: []}\n", "expected perhaps `access.legacy`"); /* there is a listen.legacy too */
	expect_error("backends:\n", "found no tier");
	expect_error("backends: {a: b}\n", "found a group of keys, expected a list of groups of keys");
	expect_error("backends: [x]\n", "backends[0]: found `x`, expected a group of keys");
	expect_error("user: \xff\n", "not readable as UTF-8");
	expect_error("user: \"\\e[31m\"\n", "user: found `\\x1b[31m`, expected a text without control characters");

	char deep[4096] = "a: ";
	memset(deep + 3, '[', 500);
	expect_error(deep, "nested more than 12 deep");
	expect_error("a: [[[[[[[[[[[[1]]]]]]]]]]]]\n", "nested more than 12 deep");
	expect_error("a: [[[[[[[[[[[1]]]]]]]]]]]\n", "a: found an unknown key");
	char *many = calloc(1, 1 << 20), *p = many + sprintf(many, "a: [");
	for (int i = 0; i < 3000; i++)
		p += sprintf(p, "1,");
	expect_error(many, "more than 2048 elements");
	p = many + sprintf(many, "backends:\n");
	for (int i = 0; i < 33; i++)
		p += sprintf(p, "- {name: t%d, type: ssd, path: /t%d, capacity: 1G}\n", i, i);
	expect_error(many, "backends: found 33 elements, expected at most 32");
	/* Messages are bounded too, and the rest is counted. */
	p = many;
	for (int i = 0; i < 1000; i++)
		p += sprintf(p, "zzzzzzzz%d: 1\n", i);
	expect_error(many, "... and 801 more\n");
	memset(many, ' ', (1 << 20) - 1);
	struct result r = read_len(many, OM_CONF_FILE_MAX + 1u - 1u);
	assert_int_equal(r.rc, -OBJM_STATUS_INVALID_REQUEST);
	result_free(&r);
	free(many);
}

static void test_ids(void **state)
{
	struct result r = read_text("backends: [{name: A b!, type: ssd, path: /1, capacity: 1G}, {name: a-b, type: ssd, path: /2, capacity: 1G},"
				    "{name: \"\xc3\xb6\", type: ssd, path: /3, capacity: 1G}, {name: \"--\", type: memory, path: /4, capacity: 1G},"
				    "{name: a very long name that no id has room for, type: network, path: /5, capacity: 1G}]\n"
				    "default_tier: A b!\ncache_tier: \"--\"\n");

	(void)state;
	assert_int_equal(r.rc, 0);
	const struct om_conf *c = r.conf;
	assert_string_equal(c->backends[0].name, "a-b-2");
	assert_string_equal(c->backends[1].name, "a-b");
	assert_string_equal(c->backends[2].name, "tier");
	assert_string_equal(c->backends[3].name, "--");
	assert_string_equal(c->backends[4].name, "a-very-long-name-that-no-id-has");
	assert_int_equal(c->default_tier.tier, 0);
	assert_string_equal(c->default_tier.name, "a-b-2");
	assert_string_equal(c->backends[1].index_path, "/2/catalog");
	assert_string_equal(c->backends[4].index_path, "/var/lib/objmapper/a-very-long-name-that-no-id-has");
	assert_non_null(strstr(r.text, "warning: backends[0].name: this tier gets the id `a-b-2`"));
	expect_round_trip(c);
	result_free(&r);
}

/* What was left out stays left out in what is printed, even if what is given is the same directory. */
static void test_index_path_given(void **state)
{
	struct result r = read_text("backends: [{name: a, type: ssd, path: /1, capacity: 1G}, {name: b, type: ssd, path: /2, capacity: 1G, index_path: /2/catalog}]\n");

	(void)state;
	assert_int_equal(r.rc, 0);
	assert_false(r.conf->backends[0].index_given);
	assert_true(r.conf->backends[1].index_given);
	char *printed = to_text(r.conf, NULL);
	struct result again = read_text(printed);
	assert_int_equal(again.rc, 0);
	assert_string_equal(again.conf->backends[0].index_path, "/1/catalog");
	assert_false(again.conf->backends[0].index_given);
	assert_true(again.conf->backends[1].index_given);
	free(printed);
	result_free(&again);
	result_free(&r);
}

static void test_roles(void **state)
{
	static const struct {
		const char *text, *def, *eph, *cache;
	} cases[] = {
		{ "{name: h, type: hdd, path: /h, capacity: 1G}, {name: n, type: nvme, path: /n, capacity: 1G}", "n", "", "" },
		{ "{name: h, type: hdd, path: /h, capacity: 1G, perf_factor: 1}, {name: s, type: ssd, path: /s, capacity: 1G}", "s", "", "" },
		{ "{name: a, type: ssd, path: /a, capacity: 1G}, {name: b, type: ssd, path: /b, capacity: 1G, perf_factor: 2}", "b", "", "" },
		{ "{name: a, type: ssd, path: /a, capacity: 1G, flags: [readable, migration_dst]}, {name: b, type: hdd, path: /b, capacity: 1G}", "b", "", "" },
		{ "{name: m, type: memory, path: /m, capacity: 1G}", "m", "m", "m" },
		{ "{name: m, type: memory, path: /m, capacity: 1G, flags: [readable, migration_dst]}, {name: m2, type: memory, path: /m2, capacity: 1G}", "m2", "m2", "m" },
	};

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(cases); i++) {
		char text[512];
		(void)snprintf(text, sizeof(text), "backends: [%s]\n", cases[i].text);
		struct result r = read_text(text);
		assert_int_equal(r.rc, 0);
		assert_string_equal(r.conf->default_tier.name, cases[i].def);
		assert_string_equal(r.conf->ephemeral_tier.name, cases[i].eph);
		assert_string_equal(r.conf->cache_tier.name, cases[i].cache);
		assert_int_equal(r.conf->cache_tier.tier == OM_TIER_NONE, cases[i].cache[0] == 0);
		expect_round_trip(r.conf);
		result_free(&r);
	}
	expect_error(TIERS "default_tier: x\n", "test.yaml:2: error: default_tier: found `x`, expected the name of one of the tiers");
	expect_error(TIERS "ephemeral_tier: d\n", "test.yaml:2: error: ephemeral_tier: found `d`, expected a writable memory tier");
	expect_ok(TIERS "default_tier: m\n", "test.yaml:2: warning: default_tier: `m` is not persistent");
	expect_ok(TIERS "cache_tier: d\n", "test.yaml:2: warning: cache_tier: `d` is the default tier too");
	expect_error("backends: [" DISK ", {name: r, type: hdd, path: /r, capacity: 1G, flags: [readable, migration_dst]}]\ndefault_tier: r\n",
		     "expected a tier that is writable");
}

/* What stands in one tier against another, or against its own type. */
static void test_tiers_that_do_not_fit(void **state)
{
	static const struct {
		const char *tier, *line; /* beside DISK, as backends[1] */
	} cases[] = {
		{ "name: d, type: hdd, path: /e, capacity: 1G", "error: backends[1].name: found `d` a second time" },
		{ "name: state, type: network, path: /e, capacity: 1G", "error: backends[1].name: found `state`, which is something else in state_dir" },
		{ "name: read-only, type: hdd, path: /e, capacity: 1G", "error: backends[1].name: found `read-only`, which is something else" },
		{ "name: e, type: hdd, path: /d/, capacity: 1G", "error: backends[1].path: found the path of backends[0]" },
		{ "name: e, type: hdd, path: /d/e, capacity: 1G", "error: backends[1].path: found a path inside of backends[0] (/d)" },
		{ "name: e, type: hdd, path: /, capacity: 1G", "error: backends[0].path: found a path inside of backends[1] (/)" },
		{ "name: e, type: hdd, path: /e, capacity: 1G, index_path: /d/catalog", "error: backends[1].index_path: found the index_path of backends[0]" },
		{ "name: e, type: hdd, path: /e, capacity: 1G, index_path: /e", "error: backends[1].index_path: found the tier's own path" },
		{ "name: e, type: hdd, path: /var/lib/objmapper, capacity: 1G", "error: backends[1].path: found the state_dir" },
		{ "name: e, type: hdd, path: /var/lib, capacity: 1G", "state_dir: found a path inside of backends[1]" },
		{ "name: e, type: hdd, path: /e, capacity: 1G, index_path: /var/lib/objmapper", "error: backends[1].index_path: found the state_dir" },
		{ "name: e, type: memory, path: /e, capacity: 1G, flags: [persistent]", "error: backends[1].flags: found `persistent`" },
		{ "name: e, type: hdd, path: /e, capacity: 1G, flags: [ephemeral]", "error: backends[1].flags: found `ephemeral`" },
		{ "name: e, type: hdd, path: /e, capacity: 1G, flags: [auto]", "error: backends[1].flags[0]: found `auto`" },
		{ "name: e, type: hdd, path: /e", "error: backends[1].capacity: found nothing, expected a size" },
		{ "name: e, type: hdd, path: /e, capacity: 0%", "error: backends[1].capacity: found `0%`" },
		{ "name: e, type: hdd, path: /e, capacity: 101%", "error: backends[1].capacity: found `101%`" },
		{ "name: e, type: hdd, path: /e, capacity: 16", "error: backends[1].capacity: found `16`" },
		{ "name: e, type: hdd, path: /e, capacity_gb: 16G", "error: backends[1].capacity_gb: found `16G`, expected a number of GiB" },
		{ "name: e, type: hdd, path: /e, mount_path: /e, capacity: 1G", "error: backends[1].mount_path: found it beside `path`" },
	};

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(cases); i++) {
		char text[512];
		(void)snprintf(text, sizeof(text), "backends: [" DISK ", {%s}]\n", cases[i].tier);
		expect_error(text, cases[i].line);
	}
}

static void test_legal_and_unwise(void **state)
{
	static const struct {
		const char *tier, *line;
	} cases[] = {
		{ "type: hdd, flags: [readable, writable]", "never moved into or out of this tier" },
		{ "type: hdd, flags: [readable, writable, migration_dst]", "nothing can leave this tier" },
		{ "type: hdd, flags: [readable, migration_src]", "nothing can enter this tier" },
		{ "type: hdd, flags: [writable, migration_src]", "no object of this tier can be read" },
		{ "type: hdd, durability: none", "backends[1].durability: with `none` a power cut" },
		{ "type: memory, durability: sync", "backends[1].durability: sync costs time on a memory tier" },
		{ "type: memory, allow_swap: true", "ephemeral bytes may reach a swap device" },
		{ "type: hdd, allow_swap: true", "only memory tiers have to do with swap" },
		{ "type: hdd, persist_index: false", "the catalog is made again from the files" },
		{ "type: hdd", "backends: no tier is of type memory" },
	};

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(cases); i++) {
		char text[512], line[256];
		(void)snprintf(text, sizeof(text), "backends: [" DISK ", {name: e, path: /e, capacity: 1G, %s}]\n", cases[i].tier);
		(void)snprintf(line, sizeof(line), "%s", cases[i].line);
		expect_ok(text, line);
	}
	expect_ok("backends: [{name: m, type: memory, path: /m, capacity: 1G}]\n", "backends: no tier is persistent");
	expect_ok("backends: [{name: d, type: ssd, path: /m, capacity: 96%}]\n", "above 95% the filesystem may be full");
	expect_ok("backends: [{name: d, type: ssd, path: /m, capacity: 1G, flags: [readable]}]\n", "no tier is writable");
	expect_ok(TIERS "thread_pool: {min_workers: 1, max_workers: 1024}\n", "test.yaml:2: warning: thread_pool.max_workers: up to 1024 workers for ");
	expect_ok(TIERS "thread_pool: {min_workers: 1024}\n", "test.yaml:2: warning: thread_pool.min_workers: 1024 workers for ");
	expect_error(TIERS "thread_pool: {min_workers: 2, max_workers: 1}\n", "test.yaml:2: error: thread_pool.max_workers: found 1, expected no less than min_workers (2)");
	expect_error(TIERS "thread_pool: {max_workers: 1}\n", "expected no less than min_workers (2)");
	expect_error(TIERS "lifecycle: {cold_threshold: 0.7}\n", "expected less than hot_threshold");
	expect_error(TIERS "lifecycle: {evict_target: 0.95}\n", "expected less than evict_when_full");
	expect_ok(TIERS "listen: {mode: 666}\n", "listen.mode: every user");
	expect_ok(TIERS "listen: {admin_mode: 666}\n", "listen.admin_mode: every user");
	expect_ok(TIERS "limits: {connections: 5, connections_per_uid: 6}\n", "limits.connections_per_uid: 6 never holds");
	expect_ok(TIERS "limits: {put_sessions: 5, put_sessions_per_uid: 6}\n", "limits.put_sessions_per_uid: 6 never holds");
	expect_ok(TIERS "limits: {idle_timeout: 60}\n", "a number alone is milliseconds");
	expect_ok(TIERS "access: {trusted_writers: [\"*\"]}\n", "access.trusted_writers: `*`");
	expect_ok(TIERS "access: {rules: [{address: 10.0.0.1, rights: [read]}]}\n", "this rule never applies");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example_of_the_earlier_system),
		cmocka_unit_test(test_builtin),
		cmocka_unit_test(test_load_takes_paths_from_the_files_directory),
		cmocka_unit_test(test_all_errors_with_their_lines),
		cmocka_unit_test(test_syntax_and_bounds),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_index_path_given),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_tiers_that_do_not_fit),
		cmocka_unit_test(test_legal_and_unwise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
