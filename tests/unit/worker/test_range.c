/*
 * test_range.c: listings cut to what a peer may see: random names, rules, prefixes and delimiters; what the ranges give, one after
 * the other as wrk_list.c asks for them, must be what going through all names gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/wrk_access.h"
#include "worker/wrk_range.h"

#define NAMES 60u
#define RULES 6u

static uint64_t rnd(uint64_t *s)
{
	*s = *s * 6364136223846793005u + 1442695040888963407u;
	return *s >> 33;
}

struct world {
	char name[NAMES][16];
	unsigned n;
	char text[RULES][16];
	struct om_rule rule[RULES];
	const struct om_rule *rules[RULES];
	struct wrk_access access;
};

static size_t any_name(uint64_t *seed, char *to, size_t max)
{
	size_t n = 1 + rnd(seed) % max;

	for (size_t i = 0; i < n; i++)
		to[i] = "/ab\xc3"[rnd(seed) % 16 ? rnd(seed) % 3 : 3]; /* bytes are only compared here */
	to[n] = '\0';
	return n;
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

static void make(struct world *x, uint64_t *seed)
{
	x->n = 0;
	for (unsigned i = 0; i < NAMES; i++)
		(void)any_name(seed, x->name[i], 7);
	qsort(x->name, NAMES, sizeof(x->name[0]), by_text);
	for (unsigned i = 0; i < NAMES; i++)
		if (!x->n || strcmp(x->name[x->n - 1], x->name[i]) != 0)
			memmove(x->name[x->n++], x->name[i], sizeof(x->name[0]));
	unsigned n = (unsigned)(rnd(seed) % (RULES + 1));
	x->access = (struct wrk_access){ .n = n, .rules = x->rules, .somewhere = OM_RIGHT_LIST | OM_RIGHT_READ };
	if (rnd(seed) % 16 == 0)
		x->access.everywhere = OM_RIGHT_LIST;
	for (unsigned i = 0; i < n; i++) {
		size_t len = any_name(seed, x->text[i], 5);
		x->rule[i] = (struct om_rule){ .rights = rnd(seed) % 5 ? OM_RIGHT_LIST : OM_RIGHT_READ, .open = rnd(seed) % 2,
					       .prefix = x->text[i], .prefix_len = (uint16_t)len };
		x->rules[i] = &x->rule[i];
	}
}

struct out {
	char v[NAMES][16];
	unsigned n;
};

static void emit(struct out *o, const char *p, size_t len)
{
	assert_true(o->n < NAMES);
	memcpy(o->v[o->n], p, len);
	o->v[o->n++][len] = '\0';
}

/* One listing as the catalogs give it: names behind `after` that begin with `prefix`, folded; at most `limit`. */
static bool catalog(const struct world *x, const char *prefix, size_t plen, const char *after, size_t alen, char delim, unsigned limit,
		    const struct wrk_access *only, struct out *o)
{
	for (unsigned i = 0; i < x->n; i++) {
		const char *s = x->name[i];
		size_t len = strlen(s), show = len;
		if (len < plen || memcmp(s, prefix, plen) != 0)
			continue;
		if (only && !wrk_access_may(only, OM_RIGHT_LIST, s, len))
			continue;
		const char *d = delim ? memchr(s + plen, delim, len - plen) : NULL;
		if (d)
			show = (size_t)(d - s) + 1;
		if (wrk_range_cmp(s, show, after, alen) <= 0)
			continue;
		if (d && o->n && strlen(o->v[o->n - 1]) == show && memcmp(o->v[o->n - 1], s, show) == 0)
			continue;
		if (!limit--)
			return true;
		emit(o, s, show);
	}
	return false;
}

/* As wrk_list.c: a page of `page` names behind *last; true: it goes on. */
static bool page_of(const struct world *x, const struct wrk_range *ranges, unsigned n, const char *prefix, char delim, unsigned page, char *last,
		    uint16_t *last_len, struct out *o)
{
	struct wrk_range_ask ask;

	for (unsigned at = 0;;) {
		struct out got = { .n = 0 };
		while (at < n && !wrk_range_cut(&ranges[at], prefix, strlen(prefix), (uint8_t)delim, last, *last_len, &ask))
			at++;
		if (at == n)
			return false;
		if (!page)
			return true;
		bool one = ask.one || ask.fold_len;
		bool more = catalog(x, ask.prefix, ask.prefix_len, one ? "" : last, one ? 0 : *last_len, one ? 0 : delim, one ? 1 : page, NULL, &got);
		unsigned given = 0;
		for (unsigned i = 0; i < got.n; i++) {
			const char *s = got.v[i];
			size_t len = strlen(s);
			if (ask.one && (len != ask.prefix_len || memcmp(s, ask.prefix, len) != 0))
				continue;
			given++;
			page--;
			if (ask.fold_len) {
				s = ask.prefix;
				len = ask.fold_len;
			}
			emit(o, s, len);
			memcpy(last, s, len);
			*last_len = (uint16_t)len;
		}
		if (more && !one && given)
			continue;
		if (++at < n && page)
			(void)wrk_range_pass(&ask, given, last, last_len);
	}
}

static void test_listings(void **state)
{
	static struct world x;
	uint64_t seed = 4711;
	unsigned shown = 0, hidden = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct wrk_range *ranges;
		struct out want = { .n = 0 }, got = { .n = 0 };
		char prefix[16] = "", after[16] = "", last[OM_URI_MAX + 1];
		char delim = rnd(&seed) % 2 ? '/' : 0;
		unsigned page = 1 + (unsigned)(rnd(&seed) % 7), pages = 0;

		make(&x, &seed);
		if (rnd(&seed) % 3)
			(void)any_name(&seed, prefix, 3);
		if (rnd(&seed) % 3 == 0)
			(void)any_name(&seed, after, 5);
		int n = wrk_range_make(&x.access, &ranges);
		assert_true(n >= 0);
		for (int i = 1; i < n; i++) /* sorted */
			assert_true(wrk_range_cmp(ranges[i - 1].p, ranges[i - 1].len, ranges[i].p, ranges[i].len) <= 0);
		(void)catalog(&x, prefix, strlen(prefix), after, strlen(after), delim, NAMES, &x.access, &want);
		uint16_t last_len = (uint16_t)strlen(after);
		memcpy(last, after, last_len);
		while (page_of(&x, ranges, (unsigned)n, prefix, delim, page, last, &last_len, &got))
			assert_true(++pages <= 2 * NAMES);
		free(ranges);
		if (got.n != want.n)
			fail_msg("round %u: prefix \"%s\" after \"%s\" delimiter %d: %u names, it should be %u; the first: %s", round, prefix, after, delim,
				 got.n, want.n, want.n ? want.v[0] : "");
		for (unsigned i = 0; i < want.n; i++)
			assert_string_equal(got.v[i], want.v[i]);
		shown += want.n;
		hidden += x.n - want.n;
	}
	assert_true(shown > 10000 && hidden > 10000);
}

/* The longest names: nothing lies below one, and no position runs out of its room. */
static void test_longest(void **state)
{
	static char longest[OM_URI_MAX];
	const struct om_rule rule = { .rights = OM_RIGHT_LIST, .prefix = longest, .prefix_len = OM_URI_MAX };
	const struct om_rule *const rules[] = { &rule };
	const struct wrk_access a = { .n = 1, .rules = rules, .somewhere = OM_RIGHT_LIST };
	struct wrk_range_ask ask;
	struct wrk_range *v;
	char pos[OM_URI_MAX] = "";
	uint16_t len = 0;

	(void)state;
	memset(longest, 'l', sizeof(longest));
	assert_int_equal(wrk_range_make(&a, &v), 2); /* the name, and what is below it */
	assert_true(v[0].one);
	assert_true(wrk_range_cut(&v[0], "", 0, 0, "", 0, &ask));
	assert_int_equal(ask.prefix_len, OM_URI_MAX);
	assert_true(wrk_range_pass(&ask, 1, pos, &len));
	assert_int_equal(len, OM_URI_MAX);
	assert_false(wrk_range_pass(&ask, 1, pos, &len)); /* it is there */
	assert_false(wrk_range_cut(&v[0], "", 0, 0, longest, OM_URI_MAX, &ask)); /* done */
	assert_false(wrk_range_cut(&v[1], "", 0, 0, "", 0, &ask));
	free(v);
	const struct om_rule below = { .rights = OM_RIGHT_LIST, .prefix = longest, .prefix_len = OM_URI_MAX - 1 };
	const struct om_rule *const belows[] = { &below };
	const struct wrk_access b = { .n = 1, .rules = belows, .somewhere = OM_RIGHT_LIST };
	assert_int_equal(wrk_range_make(&b, &v), 2);
	assert_true(wrk_range_cut(&v[1], "", 0, 0, "", 0, &ask));
	assert_int_equal(ask.prefix_len, OM_URI_MAX);
	len = 0;
	assert_true(wrk_range_pass(&ask, 1, pos, &len));
	assert_int_equal(len, OM_URI_MAX); /* no room for the byte behind */
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_listings), cmocka_unit_test(test_longest) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
