/*
 * test_access.c: access rules as a worker compiles them for a peer: against the definition, rule by rule; who a rule is about; what
 * happens to peers when the rules change.
 */
#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "common/om_seg.h"
#include "worker/wrk_access.h"

static struct wrk w;

static void load(const struct om_rule *rules, unsigned n)
{
	struct om_seg seg = OM_SEG_INIT;
	int fd;

	assert_int_equal(om_seg_create("test-rules", om_rules_bytes(rules, n), OM_SEG_FROZEN, &seg), 0);
	if (n)
		om_rules_encode(rules, n, seg.base);
	fd = dup(seg.rofd);
	om_seg_close(&seg);
	assert_int_equal(wrk_access_load(&w, fd), 0);
}

static struct om_rule rule(enum om_rule_subject subject, uint32_t id, const char *prefix, uint32_t rights)
{
	size_t n = strlen(prefix);
	bool open = !n || prefix[n - 1] == '*';

	return (struct om_rule){ .subject = (uint8_t)subject, .id = id, .rights = rights, .open = open,
				 .prefix_len = (uint16_t)(n - (n && open)), .prefix = prefix };
}

/* A peer of this process on a Unix socket; `uid` is what the kernel would have said. */
static const struct wrk_access *unix_peer(uint32_t uid)
{
	static int pair[2] = { -1, -1 };

	if (pair[0] < 0)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	return wrk_access_get(&w, pair[0], OM_LISTEN_DATA, uid);
}

static bool may(const struct wrk_access *a, uint32_t rights, const char *uri) { return wrk_access_may(a, rights, uri, strlen(uri)); }

/* ---- who has what ---- */

static void test_no_rules(void **state)
{
	(void)state;
	assert_int_equal(wrk_access_load(&w, -1), 0);
	const struct wrk_access *a = unix_peer(1000);
	assert_true(may(a, OM_RIGHTS_ALL & ~OM_RIGHT_LEGACY, "/x"));
	assert_false(may(a, OM_RIGHT_LEGACY, "/x")); /* by access.legacy alone */
	wrk_access_put(&w, a);
	w.boot.legacy_uid[0] = 1000;
	w.boot.n_legacy = 1;
	a = unix_peer(1000);
	assert_true(may(a, OM_RIGHT_LEGACY, "/x"));
	wrk_access_put(&w, a);
	w.boot.n_legacy = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0); /* not connected: its address is not known */
	a = wrk_access_get(&w, fd, OM_LISTEN_TCP, UINT32_MAX);
	assert_int_equal(a->somewhere, 0);
	wrk_access_put(&w, a);
	om_close(&fd);
	wrk_access_free(&w);
}

static void test_subjects(void **state)
{
	const struct om_rule rules[] = {
		rule(OM_RULE_ANY, 0, "/any", OM_RIGHT_READ),
		rule(OM_RULE_USER, 1000, "/user", OM_RIGHT_READ),
		rule(OM_RULE_USER, UINT32_MAX, "/nobody", OM_RIGHT_READ),
		rule(OM_RULE_GROUP, (uint32_t)getegid(), "/group", OM_RIGHT_READ),
		rule(OM_RULE_GROUP, 4242, "/supplementary", OM_RIGHT_READ),
		rule(OM_RULE_GROUP, 4343, "/stranger", OM_RIGHT_READ),
		{ .subject = OM_RULE_NET4, .net_bits = 8, .addr = { 127 }, .rights = OM_RIGHT_READ, .open = true, .prefix = "" },
	};
	gid_t groups[] = { 4242 };
	int pair[2];

	(void)state;
	bool root = geteuid() == 0;
	if (root)
		assert_int_equal(setgroups(1, groups), 0);
	load(rules, OM_ARRAY_SIZE(rules));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	const struct wrk_access *a = wrk_access_get(&w, pair[0], OM_LISTEN_DATA, 1000);
	assert_true(may(a, OM_RIGHT_READ, "/any"));
	assert_true(may(a, OM_RIGHT_READ, "/user"));
	assert_false(may(a, OM_RIGHT_READ, "/nobody"));
	assert_true(may(a, OM_RIGHT_READ, "/group"));
	assert_int_equal(may(a, OM_RIGHT_READ, "/supplementary"), root);
	assert_false(may(a, OM_RIGHT_READ, "/stranger"));
	assert_false(may(a, OM_RIGHT_READ, "/")); /* what an address has is not a user's */
	wrk_access_put(&w, a);
	/* whom the kernel does not name is no user and in no group, and still on a Unix socket */
	a = wrk_access_get(&w, pair[0], OM_LISTEN_DATA, UINT32_MAX);
	assert_true(may(a, OM_RIGHT_READ, "/any"));
	assert_false(may(a, OM_RIGHT_READ, "/nobody"));
	assert_false(may(a, OM_RIGHT_READ, "/group"));
	wrk_access_put(&w, a);
	/* left afterwards: the group counts as it was at the connect */
	if (root) {
		assert_int_equal(setgroups(0, NULL), 0);
		a = wrk_access_get(&w, pair[0], OM_LISTEN_DATA, 1000);
		assert_true(may(a, OM_RIGHT_READ, "/supplementary"));
		wrk_access_put(&w, a);
	}
	om_close(&pair[0]);
	om_close(&pair[1]);
	wrk_access_free(&w);
}

/* A connection over loopback; the server's end. IPv4 to an IPv6 listener, too. */
static int tcp_peer(int family, bool v4_to_v6, int *ret_client)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = family == AF_INET ? sizeof(in4) : sizeof(in6);
	struct sockaddr *sa = family == AF_INET ? (struct sockaddr *)&in4 : (struct sockaddr *)&in6;
	OM_AUTO_FD l = socket(family, SOCK_STREAM, 0);

	if (family == AF_INET6 && !v4_to_v6)
		in6.sin6_addr = in6addr_loopback;
	if (l < 0 || bind(l, sa, len) < 0 || listen(l, 1) < 0 || getsockname(l, sa, &len) < 0)
		return -1;
	if (v4_to_v6)
		in4.sin_port = in6.sin6_port;
	*ret_client = socket(v4_to_v6 ? AF_INET : family, SOCK_STREAM, 0);
	bool four = family == AF_INET || v4_to_v6;
	if (connect(*ret_client, four ? (struct sockaddr *)&in4 : sa, four ? sizeof(in4) : len) < 0)
		return -1;
	return accept(l, NULL, NULL);
}

static void test_addresses(void **state)
{
	const struct om_rule rules[] = {
		{ .subject = OM_RULE_NET4, .net_bits = 8, .addr = { 127 }, .rights = OM_RIGHT_READ, .prefix_len = 3, .prefix = "/v4" },
		{ .subject = OM_RULE_NET4, .net_bits = 32, .addr = { 127, 0, 0, 2 }, .rights = OM_RIGHT_READ, .prefix_len = 6, .prefix = "/other" },
		{ .subject = OM_RULE_NET6, .net_bits = 128, .addr = { [15] = 1 }, .rights = OM_RIGHT_READ, .prefix_len = 3, .prefix = "/v6" },
		rule(OM_RULE_ANY, 0, "*", OM_RIGHT_WRITE),
	};
	int client = -1, fd;

	(void)state;
	load(rules, OM_ARRAY_SIZE(rules));
	for (unsigned how = 0; how < 3; how++) {
		fd = tcp_peer(how ? AF_INET6 : AF_INET, how == 2, &client);
		if (fd < 0 && how) {
			om_close(&client);
			continue; /* no IPv6 here */
		}
		assert_true(fd >= 0);
		const struct wrk_access *a = wrk_access_get(&w, fd, OM_LISTEN_TCP, UINT32_MAX);
		assert_int_equal(may(a, OM_RIGHT_READ, "/v4"), how != 1);
		assert_int_equal(may(a, OM_RIGHT_READ, "/v6"), how == 1);
		assert_false(may(a, OM_RIGHT_READ, "/other"));
		assert_false(may(a, OM_RIGHT_WRITE, "/v4")); /* "everyone" is everyone on a Unix socket */
		wrk_access_put(&w, a);
		om_close(&fd);
		om_close(&client);
	}
	wrk_access_free(&w);
}

/* ---- against the definition ---- */

static uint64_t rnd(uint64_t *s)
{
	*s = *s * 6364136223846793005u + 1442695040888963407u;
	return *s >> 33;
}

static size_t name(uint64_t *seed, char *to)
{
	size_t n = 1 + rnd(seed) % 6;

	for (size_t i = 0; i < n; i++)
		to[i] = "/ab"[rnd(seed) % 3];
	to[n] = '\0';
	return n;
}

/* What doc/configuration.md says: whole path segments, or any beginning that ends in `*`. */
static bool defined(const char *prefix, const char *uri)
{
	size_t n = strlen(prefix);

	if (prefix[n - 1] == '*')
		return strncmp(uri, prefix, n - 1) == 0;
	return strncmp(uri, prefix, n) == 0 && (uri[n] == '\0' || uri[n] == '/' || prefix[n - 1] == '/');
}

static void test_definition(void **state)
{
	static char text[8][16];
	struct om_rule rules[8];
	uint64_t seed = 99;
	unsigned yes = 0;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		unsigned n = 1 + (unsigned)(rnd(&seed) % 8);
		for (unsigned i = 0; i < n; i++) {
			size_t len = rnd(&seed) % 16 ? name(&seed, text[i]) : 0;
			if (!len || rnd(&seed) % 3 == 0)
				memcpy(text[i] + len, "*", 2);
			rules[i] = rule(rnd(&seed) % 4 ? OM_RULE_USER : OM_RULE_ANY, 1000 + (uint32_t)(rnd(&seed) % 2), text[i],
					1 + (uint32_t)(rnd(&seed) % OM_RIGHTS_ALL));
		}
		load(rules, n);
		const struct wrk_access *a = unix_peer(1000);
		for (unsigned k = 0; k < 20; k++) {
			char uri[16];
			uint32_t want = 1u << rnd(&seed) % 8, has = 0;
			if (k % 2)
				want |= 1u << rnd(&seed) % 8;
			(void)name(&seed, uri);
			for (unsigned i = 0; i < n; i++)
				if ((rules[i].subject == OM_RULE_ANY || rules[i].id == 1000) && defined(text[i], uri))
					has |= rules[i].rights;
			assert_int_equal(may(a, want, uri), (has & want) == want);
			yes += (has & want) == want;
			assert_true((a->somewhere & has) == has);
		}
		wrk_access_put(&w, a);
	}
	assert_true(yes > 5000); /* the question was not always answered no */
	wrk_access_free(&w);
}

/* ---- peers share, and keep what they hold ---- */

static void test_holders(void **state)
{
	struct om_rule rules[] = { rule(OM_RULE_USER, 1000, "/a", OM_RIGHT_READ), rule(OM_RULE_USER, 1001, "/b", OM_RIGHT_READ),
				   rule(OM_RULE_ANY, 0, "/c", OM_RIGHT_READ) };
	static char junk[4096];
	struct om_seg seg = OM_SEG_INIT;

	(void)state;
	load(rules, 3);
	const struct wrk_access *a = unix_peer(1000), *again = unix_peer(1000), *b = unix_peer(1001), *c = unix_peer(1002), *d = unix_peer(1003);
	assert_ptr_equal(a, again);
	assert_ptr_equal(c, d); /* the same rules apply to them */
	assert_ptr_not_equal(a, b);
	assert_ptr_equal(wrk_access_hold(a), a);
	/* a table that is no table changes nothing */
	memset(junk, 7, sizeof(junk));
	assert_int_equal(om_seg_create("test-junk", sizeof(junk), OM_SEG_FROZEN, &seg), 0);
	memcpy(seg.base, junk, sizeof(junk));
	int fd = dup(seg.rofd);
	om_seg_close(&seg);
	assert_int_equal(wrk_access_load(&w, fd), -OBJM_STATUS_CORRUPT);
	om_close(&fd);
	again = unix_peer(1000);
	assert_ptr_equal(a, again);
	wrk_access_put(&w, again);
	/* other rules: who holds the old ones keeps them, who comes gets the new */
	rules[0] = rule(OM_RULE_USER, 1000, "/new", OM_RIGHT_READ);
	load(rules, 1);
	assert_true(may(a, OM_RIGHT_READ, "/a/x"));
	const struct wrk_access *now = unix_peer(1000);
	assert_ptr_not_equal(a, now);
	assert_false(may(now, OM_RIGHT_READ, "/a/x"));
	assert_true(may(now, OM_RIGHT_READ, "/new"));
	wrk_access_put(&w, a);
	wrk_access_put(&w, a);
	assert_true(may(a, OM_RIGHT_READ, "/a")); /* the third holder still has it */
	wrk_access_put(&w, a);
	wrk_access_put(&w, b);
	wrk_access_put(&w, c);
	wrk_access_put(&w, d);
	wrk_access_put(&w, now);
	wrk_access_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_rules), cmocka_unit_test(test_subjects),   cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_definition), cmocka_unit_test(test_holders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
