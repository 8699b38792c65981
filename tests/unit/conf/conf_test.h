/*
 * conf_test.h: what the tests of the configuration share: read a text, keep everything that came of it.
 *
 * Included by the test programs of this folder.
 */
#ifndef CONF_TEST_H
#define CONF_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf/om_conf_priv.h"

/* Two tiers, as short as can be: line 1 of every text that a test does not write whole. */
#define TIERS "backends: [{name: m, type: memory, path: /m, capacity: 1G}, {name: d, type: ssd, path: /d, capacity: 90%}]\n"

struct result {
	int rc;
	struct om_conf *conf; /* NULL unless rc is 0 */
	struct om_conf_report rep;
	char *text; /* the report, printed */
};

static inline char *to_text(const struct om_conf *conf, const struct om_conf_report *rep)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	if (conf)
		assert_int_equal(om_conf_print(conf, out), 0);
	else
		om_conf_report_print(rep, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static inline struct result read_len(const char *text, size_t len)
{
	struct result r = { 0 };

	r.rc = om_conf_parse(text, len, "test.yaml", "/base", &r.conf, &r.rep);
	r.text = to_text(NULL, &r.rep);
	assert_true((r.rc == 0) == (r.conf != NULL));
	assert_true((r.rc == 0) == (r.rep.n_errors == 0));
	return r;
}

static inline struct result read_text(const char *text) { return read_len(text, strlen(text)); }

static inline void result_free(struct result *r)
{
	om_conf_free(r->conf);
	om_conf_report_free(&r->rep);
	free(r->text);
}

/* The text is refused, and the report has this line in it. */
static inline void expect_error(const char *text, const char *line)
{
	struct result r = read_text(text);

	if (r.rc != -OBJM_STATUS_INVALID_REQUEST || !strstr(r.text, line))
		fail_msg("of\n%s\nexpected\n%s\ngot %d\n%s", text, line, r.rc, r.text);
	result_free(&r);
}

/* The text is accepted, and the report has this line in it (NULL: is empty). */
static inline void expect_ok(const char *text, const char *line)
{
	struct result r = read_text(text);

	if (r.rc != 0 || (line ? !strstr(r.text, line) : r.text[0] != 0))
		fail_msg("of\n%s\nexpected\n%s\ngot %d\n%s", text, line ? line : "nothing", r.rc, r.text);
	result_free(&r);
}

/* What the configuration prints reads again, without a message of its own that is an error, to the same. */
static inline void expect_round_trip(const struct om_conf *conf)
{
	char *once = to_text(conf, NULL);
	struct result r = read_text(once);

	if (r.rc != 0)
		fail_msg("printed\n%s\nand got\n%s", once, r.text);
	char *twice = to_text(r.conf, NULL);
	assert_string_equal(once, twice);
	free(once);
	free(twice);
	result_free(&r);
}

#endif
