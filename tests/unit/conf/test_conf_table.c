/*
 * test_conf_table.c: walks all rows of common/tbl/conf.def: each is complete, its default is inside its range, each is
 * parsed, checked, printed and documented; and the page in doc/ says what the table says.
 */
#include "conf_test.h"

#include <ctype.h>

/* Another value than the default for each type, written in the printer's own way; %s is where a path goes. */
static const char *other_value(const struct om_conf_row *row)
{
	static char buf[64];

	switch (row->type) {
	case OM_CONF_T_U32:
	case OM_CONF_T_AUTO_U32:
		(void)snprintf(buf, sizeof(buf), "%.0f", row->max);
		return buf;
	case OM_CONF_T_RATIO:
		return strcmp(row->key, "cold_threshold") == 0 ? "0.12" : strcmp(row->key, "evict_target") == 0 ? "0.5" : "0.987";
	case OM_CONF_T_FACTOR:
		return "2.25";
	case OM_CONF_T_BOOL:
	case OM_CONF_T_AUTO_BOOL:
		return "true";
	case OM_CONF_T_SIZE:
		return "67K";
	case OM_CONF_T_CAPACITY:
		return "17%";
	case OM_CONF_T_CAPACITY_GB:
		return "3";
	case OM_CONF_T_MS:
		return "777ms";
	case OM_CONF_T_SECS:
		return "77s";
	case OM_CONF_T_MODE:
		return "\"0640\"";
	case OM_CONF_T_STR:
		return "other";
	case OM_CONF_T_PATH:
	case OM_CONF_T_SOCKET:
		return "/other/path";
	case OM_CONF_T_ROLE:
		return strcmp(row->key, "default_tier") == 0 ? "d2" : "m2";
	case OM_CONF_T_TIER_TYPE:
		return "memory";
	case OM_CONF_T_TIER_FLAGS:
		return "[ephemeral, readable, writable]";
	case OM_CONF_T_DURABILITY:
		return "batch";
	case OM_CONF_T_LOG_LEVEL:
		return "debug";
	case OM_CONF_T_ID:
		return strcmp(row->key, "user") == 0 ? "self" : "\"\"";
	case OM_CONF_T_IDS:
		return "[4711]";
	case OM_CONF_T_NET:
		return "\"\"";
	case OM_CONF_T_TCPS:
		return "[\"127.0.0.1:7070\"]";
	case OM_CONF_T_RIGHTS:
		return "[read, list]";
	default:
		fail_msg("a type without a value here");
		return "";
	}
}

/* The rows of a backend and of a rule that must be there beside the one under test. */
static void element(FILE *out, const struct om_conf_row *row, const char *value, const char *key)
{
	static const char *const backend[][2] = { { "name", "m" }, { "type", "memory" }, { "path", "/m" }, { "capacity", "1G" } };
	static const char *const rule[][2] = { { "user", "self" }, { "rights", "[read]" } };
	bool is_rule = row->section == OM_CONF_S_rule;
	const struct om_conf_row *canonical = om_conf_row_canonical(row);

	(void)fprintf(out, "{%s: %s", key, value);
	for (size_t i = 0; i < (is_rule ? OM_ARRAY_SIZE(rule) : OM_ARRAY_SIZE(backend)); i++) {
		const char *const *kv = is_rule ? rule[i] : backend[i];
		if (canonical && strcmp(canonical->key, kv[0]) != 0)
			(void)fprintf(out, ", %s: %s", kv[0], kv[1]);
	}
	(void)fputs("}", out);
}

/* A file that sets one key, by the name `key`, to `value`. */
static char *file_with(const struct om_conf_row *row, const char *key, const char *value)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (row->section == OM_CONF_S_backend) {
		(void)fputs("backends: [", out);
		element(out, row, value, key);
		(void)fputs("]\n", out);
		(void)fclose(out);
		return text;
	}
	(void)fputs("backends:\n", out);
	(void)fputs("- {name: m, type: memory, path: /m, capacity: 1G}\n- {name: m2, type: memory, path: /m2, capacity: 1G}\n", out);
	(void)fputs("- {name: d, type: ssd, path: /d, capacity: 1G}\n- {name: d2, type: ssd, path: /d2, capacity: 1G}\n", out);
	if (row->section == OM_CONF_S_rule) {
		(void)fputs("access: {rules: [", out);
		element(out, row, value, key);
		(void)fputs("]}\n", out);
	} else if (row->section == OM_CONF_S_top) {
		(void)fprintf(out, "%s: %s\n", key, value);
	} else {
		(void)fprintf(out, "%s: {%s: %s}\n", om_conf_sections[row->section].path, key, value);
	}
	(void)fclose(out);
	return text;
}

static void test_rows_are_complete(void **state)
{
	(void)state;
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];

		assert_true(row->key[0] && strlen(row->key) < 64);
		assert_true(row->key[strspn(row->key, "abcdefghijklmnopqrstuvwxyz0123456789_")] == 0);
		for (size_t k = i + 1; k < om_conf_n_rows; k++)
			if (om_conf_rows[k].section == row->section)
				assert_string_not_equal(om_conf_rows[k].key, row->key);
		if (row->kind == OM_CONF_ROW_KEY) {
			assert_true(row->help[0] && strlen(row->help) < 100);
			assert_true(row->min <= row->max);
		} else {
			assert_true(row->text[0]);
		}
		if (row->kind == OM_CONF_ROW_ALIAS) {
			assert_non_null(om_conf_row_canonical(row));
			assert_int_equal(om_conf_row_canonical(row)->kind, OM_CONF_ROW_KEY);
		}
	}
}

/* An empty section gets every default through the very parser that a file goes through: one out of range would abort. */
static void test_defaults_are_legal(void **state)
{
	(void)state;
	expect_ok(TIERS, NULL);
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++) {
		char text[512];

		assert_true(om_conf_sections[s].text[0]);
		if (om_conf_sections[s].list || !om_conf_sections[s].path[0])
			continue;
		(void)snprintf(text, sizeof(text), "%s%s: {}\n", TIERS, om_conf_sections[s].path);
		expect_ok(text, NULL);
		(void)snprintf(text, sizeof(text), "%s%s:\n", TIERS, om_conf_sections[s].path);
		expect_ok(text, NULL);
		(void)snprintf(text, sizeof(text), "%s%s: [1]\n", TIERS, om_conf_sections[s].path);
		expect_error(text, "found a list, expected a group of keys");
	}
}

/* Each key is read (another value changes what is printed) and printed (in such a way that it reads again). */
static void test_every_key_is_parsed_and_printed(void **state)
{
	(void)state;
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		char line[128];

		if (row->kind != OM_CONF_ROW_KEY)
			continue;
		char *text = file_with(row, row->key, other_value(row));
		struct result r = read_text(text);
		if (r.rc != 0)
			fail_msg("of\n%s\ngot\n%s", text, r.text);
		char *printed = to_text(r.conf, NULL);
		(void)snprintf(line, sizeof(line), " %s: %s\n", row->key, other_value(row));
		line[0] = row->section == OM_CONF_S_top ? '\n' : ' ';
		if (!strstr(printed, line))
			fail_msg("expected%s in\n%s", line, printed);
		expect_round_trip(r.conf);
		free(printed);
		free(text);
		result_free(&r);
	}
}

/* A value of the wrong kind is an error that names file, line, and the dotted key. */
static void test_every_key_refuses_a_wrong_kind(void **state)
{
	static const char *const wrong[] = { "{a: b}", "", "[[]]", "\"\\u0007\"" };

	(void)state;
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];

		for (size_t k = 0; k < OM_ARRAY_SIZE(wrong); k++) {
			bool list = row->type == OM_CONF_T_IDS || row->type == OM_CONF_T_TCPS || row->type == OM_CONF_T_RIGHTS ||
				    row->type == OM_CONF_T_TIER_FLAGS;
			if (row->kind == OM_CONF_ROW_OBSOLETE || (list && !wrong[k][0]))
				continue;
			char *text = file_with(row, row->key, wrong[k]);
			struct result r = read_text(text);
			char key[64];
			(void)snprintf(key, sizeof(key), "%s", row->key);
			if (r.rc != -OBJM_STATUS_INVALID_REQUEST || !strstr(r.text, "test.yaml:") || !strstr(r.text, key) ||
			    !strstr(r.text, ": found ") || !strstr(r.text, ", expected "))
				fail_msg("of\n%s\ngot %d\n%s", text, r.rc, r.text);
			free(text);
			result_free(&r);
		}
	}
}

static void test_every_number_has_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		char value[64];
		bool number = row->type == OM_CONF_T_U32 || row->type == OM_CONF_T_AUTO_U32 || row->type == OM_CONF_T_MS ||
			      row->type == OM_CONF_T_SECS || row->type == OM_CONF_T_SIZE || row->type == OM_CONF_T_CAPACITY;

		if (row->kind != OM_CONF_ROW_KEY || !number)
			continue;
		for (int side = 0; side < 2; side++) {
			double step = row->max > 0x1p52 ? row->max : 1;
			double v = side ? row->max + step : row->min - 1;
			(void)snprintf(value, sizeof(value), "%.0f", v);
			char *text = file_with(row, row->key, value);
			expect_error(text, row->key);
			free(text);
		}
	}
}

static void test_aliases_and_obsolete_keys(void **state)
{
	static const char *const anything[] = { "2", "[a, {b: c}]", "{x: [1]}", "" };

	(void)state;
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		char value[256], line[512];

		if (row->kind == OM_CONF_ROW_OBSOLETE) {
			for (size_t k = 0; k < OM_ARRAY_SIZE(anything); k++) {
				char *text = file_with(row, row->key, anything[k]);
				(void)snprintf(line, sizeof(line), "warning: %s.%s: this key has no effect any more: %s",
					       om_conf_sections[row->section].path, row->key, row->text);
				expect_ok(text, line);
				free(text);
			}
		} else if (row->kind == OM_CONF_ROW_ALIAS) {
			struct om_conf_row like = *om_conf_row_canonical(row);
			like.type = row->type;
			if (strcmp(like.key, "group") == 0)
				continue; /* a rule has one subject: test_conf_file.c */
			char *text = file_with(row, row->key, other_value(&like));
			struct result r = read_text(text);
			assert_int_equal(r.rc, 0);
			free(text);
			result_free(&r);
			(void)snprintf(value, sizeof(value), "%s, %s: %s", other_value(&like), like.key, other_value(&like));
			text = file_with(row, row->key, value);
			expect_error(text, "expected only one of the two");
			free(text);
		}
	}
}

static char *read_page(void)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen(OM_SOURCE_ROOT "/doc/configuration.md", "re");

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	(void)fclose(f);
	return text;
}

static void test_page_is_made_from_the_table(void **state)
{
	static const char mark[] = "<!-- below this line: objmapperd --dump-conf-doc -->\n";
	char *page = read_page(), *doc = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&doc, &len);

	(void)state;
	assert_int_equal(om_conf_dump_doc(out), 0);
	(void)fclose(out);
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		char head[128];
		const char *path = om_conf_sections[om_conf_rows[i].section].path;
		(void)snprintf(head, sizeof(head), "#### `%s%s%s`", path, path[0] ? "." : "", om_conf_rows[i].key);
		if (!strstr(doc, head))
			fail_msg("%s is not documented", head);
	}
	char *reference = strstr(page, mark);
	assert_non_null(reference);
	if (strcmp(reference + strlen(mark), doc) != 0)
		fail_msg("doc/configuration.md differs from the table: put the output of objmapperd --dump-conf-doc below its last mark");
	free(page);
	free(doc);
}

/* The examples of the page are read as a user would copy them. */
static void test_examples_of_the_page(void **state)
{
	char *page = read_page();
	size_t n = 0;

	(void)state;
	for (char *p = page; (p = strstr(p, "```yaml\n"));) {
		p += strlen("```yaml\n");
		char *end = strstr(p, "```");
		assert_non_null(end);
		struct result r = read_len(p, (size_t)(end - p));
		if (r.rc != 0 || r.text[0])
			fail_msg("of\n%.*s\ngot\n%s", (int)(end - p), p, r.text);
		expect_round_trip(r.conf);
		result_free(&r);
		p = end;
		n++;
	}
	assert_int_equal(n, 2);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_defaults_are_legal),
		cmocka_unit_test(test_every_key_is_parsed_and_printed),
		cmocka_unit_test(test_every_key_refuses_a_wrong_kind),
		cmocka_unit_test(test_every_number_has_bounds),
		cmocka_unit_test(test_aliases_and_obsolete_keys),
		cmocka_unit_test(test_page_is_made_from_the_table),
		cmocka_unit_test(test_examples_of_the_page),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
