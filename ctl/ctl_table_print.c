/*
 * ctl_table_print.c: answers as tables for people. A table is a list of columns: title, member, kind. Text is quoted: names come
 * from configuration files and other programs.
 */
#include "common/om_text.h"
#include "ctl/ctl.h"

/* A value in words, in memory of its own; "-" for what is missing. */
char *ctl_cell(const json_t *value, enum ctl_kind kind)
{
	char text[OM_TEXT_SHORT];
	uint64_t n = json_is_integer(value) ? (uint64_t)json_integer_value(value) : (uint64_t)json_real_value(value);
	char *out = NULL;

	if (json_is_string(value))
		return om_text_quote(json_string_value(value), json_string_length(value));
	if (!json_is_number(value))
		return strdup(json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
	if (kind == CTL_RATIO)
		return asprintf(&out, "%.3f", json_number_value(value)) < 0 ? NULL : out;
	if (kind == CTL_SIZE || kind == CTL_RATE)
		om_text_size(n, text);
	else if (kind == CTL_SPAN)
		om_text_span(n, text);
	else
		return asprintf(&out, "%" JSON_INTEGER_FORMAT, (json_int_t)n) < 0 ? NULL : out;
	if (kind == CTL_RATE)
		return asprintf(&out, "%s/s", text) < 0 ? NULL : out;
	return strdup(text);
}

/* Bytes are not columns: count the characters. */
static int width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void pad(const char *s, int to, bool right)
{
	int room = OM_MAX(to - width(s), 0);

	printf("%*s%s%*s", right ? room : 0, "", s, right ? 0 : room, "");
}

static void print_row(char *const *cells, const int *widths, const struct ctl_column *columns, size_t n)
{
	for (size_t c = 0; c < n; c++) {
		bool right = columns[c].kind != CTL_TEXT;

		/* No blanks behind the last column. */
		pad(cells[c] ? cells[c] : "?", c + 1 == n && !right ? 0 : widths[c], right);
		fputs(c + 1 == n ? "\n" : "  ", stdout);
	}
}

/* Rows of a JSON array of objects. */
void ctl_print_table(const json_t *rows, const struct ctl_column *columns, size_t n)
{
	int widths[CTL_COLUMNS_MAX];
	char *cells[CTL_COLUMNS_MAX];
	const json_t *row;
	size_t i;

	OM_ASSERT(n <= CTL_COLUMNS_MAX);
	for (size_t c = 0; c < n; c++) {
		widths[c] = width(columns[c].title);
		json_array_foreach(rows, i, row) {
			OM_AUTO_FREE char *text = ctl_cell(json_object_get(row, columns[c].key), columns[c].kind);

			widths[c] = OM_MAX(widths[c], text ? width(text) : 1);
		}
		cells[c] = (char *)columns[c].title;
	}
	print_row(cells, widths, columns, n);
	json_array_foreach(rows, i, row) {
		for (size_t c = 0; c < n; c++)
			cells[c] = ctl_cell(json_object_get(row, columns[c].key), columns[c].kind);
		print_row(cells, widths, columns, n);
		for (size_t c = 0; c < n; c++)
			free(cells[c]);
	}
}

void ctl_print_members(const json_t *o, const struct ctl_column *columns, size_t n)
{
	int wide = 0;

	for (size_t i = 0; i < n; i++)
		if (json_object_get(o, columns[i].key))
			wide = OM_MAX(wide, width(columns[i].title));
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_object_get(o, columns[i].key);
		OM_AUTO_FREE char *text = v ? ctl_cell(v, columns[i].kind) : NULL;

		if (v) {
			pad(columns[i].title, wide, false);
			printf("  %s\n", text ? text : "?");
		}
	}
}
