/*
 * test_rules.c: access rules on their way from the configuration (sup_rules) through the segment (om_rules) to a match.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "supervisor/sup_rules.h"

struct fix {
	struct om_conf *conf;
	struct om_seg seg;
	struct om_rule *rules;
	unsigned n;
};

static struct fix make(const char *rules)
{
	struct fix f = { .seg = OM_SEG_INIT };
	struct om_conf_report rep = { 0 };
	char text[4096];

	(void)snprintf(text, sizeof(text),
		       "state_dir: /tmp/x\nlisten: {tcp: [7070]}\nbackends: [{name: a, type: ssd, path: /tmp/y, capacity: 1G}]\n"
		       "access: {rules: [%s]}\n", rules);
	assert_int_equal(om_conf_parse(text, strlen(text), "t", "/", &f.conf, &rep), 0);
	assert_int_equal(om_conf_resolve_ids(f.conf, 77, &rep), 0);
	assert_int_equal(sup_rules_seg(f.conf, &f.seg), 0);
	assert_int_equal(om_rules_decode(f.seg.base, f.seg.bytes, &f.rules, &f.n), 0);
	om_conf_report_free(&rep);
	return f;
}

static void drop(struct fix *f)
{
	om_seg_close(&f->seg);
	free(f->rules);
	om_conf_free(f->conf);
}

static bool covers(const struct om_rule *r, const char *uri) { return om_rule_covers(r, uri, strlen(uri)); }

static void test_none(void **state)
{
	struct fix f = make("");

	(void)state;
	assert_int_equal(f.n, 0);
	drop(&f);
}

static void test_prefixes(void **state)
{
	struct fix f = make("{user: 5, prefix: /a, rights: [read]}, {user: 5, prefix: /a/, rights: [list]}, "
			    "{user: 5, prefix: \"/a*\", rights: [write]}, {user: 5, rights: [pin, legacy]}");

	(void)state;
	assert_int_equal(f.n, 4);
	assert_int_equal(f.rules[0].rights, OM_RIGHT_READ);
	assert_true(covers(&f.rules[0], "/a"));
	assert_true(covers(&f.rules[0], "/a/b"));
	assert_true(covers(&f.rules[0], "/a/"));
	assert_false(covers(&f.rules[0], "/ab"));
	assert_false(covers(&f.rules[0], "/"));
	assert_false(covers(&f.rules[0], "/b"));
	assert_true(covers(&f.rules[1], "/a/b"));
	assert_true(covers(&f.rules[1], "/a/"));
	assert_false(covers(&f.rules[1], "/a"));
	assert_true(covers(&f.rules[2], "/ab"));
	assert_true(covers(&f.rules[2], "/a"));
	assert_false(covers(&f.rules[2], "/b"));
	assert_true(covers(&f.rules[3], "anything"));
	assert_int_equal(f.rules[3].rights, OM_RIGHT_PIN | OM_RIGHT_LEGACY);
	drop(&f);
}

static bool net(const struct om_rule *r, const char *text)
{
	uint8_t addr[16] = { 0 };
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	assert_int_equal(inet_pton(family, text, addr), 1);
	return om_rule_net_has(r, family, addr);
}

static void test_subjects(void **state)
{
	struct fix f = make("{user: self, rights: [read]}, {user: root, rights: [read]}, {group: 12, rights: [read]}, {user: \"*\", rights: [read]}, "
			    "{address: 10.128.0.0/9, rights: [read]}, {address: \"fd00::/12\", rights: [read]}, {address: 127.0.0.1, rights: [read]}");

	(void)state;
	assert_int_equal(f.n, 7);
	assert_int_equal(f.rules[0].subject, OM_RULE_USER);
	assert_int_equal(f.rules[0].id, 77);
	assert_int_equal(f.rules[1].id, 0);
	assert_int_equal(f.rules[2].subject, OM_RULE_GROUP);
	assert_int_equal(f.rules[2].id, 12);
	assert_int_equal(f.rules[3].subject, OM_RULE_ANY);
	assert_true(net(&f.rules[4], "10.128.0.1"));
	assert_true(net(&f.rules[4], "10.255.3.1"));
	assert_false(net(&f.rules[4], "10.127.0.1"));
	assert_false(net(&f.rules[4], "11.128.0.1"));
	assert_false(net(&f.rules[4], "fd00::1"));
	assert_true(net(&f.rules[5], "fd0f::1"));
	assert_false(net(&f.rules[5], "fd10::1"));
	assert_true(net(&f.rules[6], "127.0.0.1"));
	assert_false(net(&f.rules[6], "127.0.0.2"));
	drop(&f);
}

/* Every cut and every byte changed is either refused or decodes to rules within their bounds. */
static void test_damage(void **state)
{
	struct fix f = make("{user: 5, prefix: /abc, rights: [read]}, {group: 6, prefix: \"/x*\", rights: [list, delete]}");
	size_t len = om_rules_bytes(f.rules, f.n);
	struct om_rule *rules;
	unsigned n;
	_Alignas(8) uint8_t buf[256];

	(void)state;
	assert_true(len <= sizeof(buf));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(om_rules_decode(f.seg.base, cut, &rules, &n), -OBJM_STATUS_CORRUPT);
	for (size_t i = 0; i < len; i++) {
		for (unsigned x = 1; x < 256; x <<= 1) {
			memcpy(buf, f.seg.base, len);
			buf[i] ^= (uint8_t)x;
			if (om_rules_decode(buf, len, &rules, &n) < 0)
				continue;
			for (unsigned k = 0; k < n; k++)
				assert_true(rules[k].prefix_len <= OM_URI_MAX &&
					    (const uint8_t *)rules[k].prefix + rules[k].prefix_len <= buf + len);
			free(rules);
		}
	}
	drop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_none), cmocka_unit_test(test_prefixes),
					    cmocka_unit_test(test_subjects), cmocka_unit_test(test_damage) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
