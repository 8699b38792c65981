/*
 * ctl_print.c: the supervisor's answers as tables for people. Programs use --json.
 *
 * A table is a list of columns: title, member, kind. Widths follow from the contents. Text is quoted: names come from
 * configuration files and other programs.
 */
#include "ctl/ctl.h"

#include "common/om_text.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_SIZE, KIND_SPAN };

struct column {
	const char *title;
	const char *key;
	enum kind kind;
};

#define COLUMNS_MAX 8

/* A value in words, in memory of its own; "-" for what is missing. */
static char *cell(const json_t *value, enum kind kind)
{
	char text[OM_TEXT_SHORT];
	uint64_t n = json_is_integer(value) ? (uint64_t)json_integer_value(value) : (uint64_t)json_real_value(value);
	char *out = NULL;

	if (json_is_string(value))
		return om_text_quote(json_string_value(value), json_string_length(value));
	if (!json_is_number(value))
		return strdup(json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
	if (kind == KIND_SIZE)
		om_text_size(n, text);
	else if (kind == KIND_SPAN)
		om_text_span(n, text);
	else
		return asprintf(&out, "%" JSON_INTEGER_FORMAT, (json_int_t)n) < 0 ? NULL : out;
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

static void print_row(char *const *cells, const int *widths, const struct column *columns, size_t n)
{
	for (size_t c = 0; c < n; c++) {
		bool right = columns[c].kind != KIND_TEXT;

		/* No blanks behind the last column. */
		pad(cells[c] ? cells[c] : "?", c + 1 == n && !right ? 0 : widths[c], right);
		fputs(c + 1 == n ? "\n" : "  ", stdout);
	}
}

/* Rows of a JSON array of objects. */
static void print_table(const json_t *rows, const struct column *columns, size_t n)
{
	int widths[COLUMNS_MAX];
	char *cells[COLUMNS_MAX];
	const json_t *row;
	size_t i;

	OM_ASSERT(n <= COLUMNS_MAX);
	for (size_t c = 0; c < n; c++) {
		widths[c] = width(columns[c].title);
		json_array_foreach(rows, i, row) {
			OM_AUTO_FREE char *text = cell(json_object_get(row, columns[c].key), columns[c].kind);

			widths[c] = OM_MAX(widths[c], text ? width(text) : 1);
		}
		cells[c] = (char *)columns[c].title;
	}
	print_row(cells, widths, columns, n);
	json_array_foreach(rows, i, row) {
		for (size_t c = 0; c < n; c++)
			cells[c] = cell(json_object_get(row, columns[c].key), columns[c].kind);
		print_row(cells, widths, columns, n);
		for (size_t c = 0; c < n; c++)
			free(cells[c]);
	}
}

void ctl_print_tiers(const json_t *reply)
{
	static const struct column columns[] = {
		{"TIER", "name", KIND_TEXT},	 {"TYPE", "type", KIND_TEXT},	    {"STATE", "state", KIND_TEXT},
		{"OBJECTS", "objects", KIND_NUMBER}, {"USED", "used_bytes", KIND_SIZE}, {"CAPACITY", "capacity_bytes", KIND_SIZE},
		{"PATH", "path", KIND_TEXT},
	};
	const json_t *tiers = json_object_get(reply, "tiers"), *files;
	/* status says no paths. */
	bool paths = json_object_get(json_array_get(tiers, 0), "path") != NULL;
	json_t *t;
	size_t i;

	json_array_foreach(tiers, i, t)
		if ((files = json_object_get(json_object_get(t, "rebuild"), "files")))
			(void)json_object_set_new(t, "state", json_sprintf("%s, %" JSON_INTEGER_FORMAT " files",
									   json_string_value(json_object_get(t, "state")),
									   json_integer_value(files)));
	print_table(tiers, columns, OM_ARRAY_SIZE(columns) - (paths ? 0 : 1));
}

void ctl_print_workers(const json_t *reply)
{
	static const struct column columns[] = {
		{"PROCESS", "name", KIND_TEXT},		    {"PID", "pid", KIND_NUMBER},	{"STATE", "state", KIND_TEXT},
		{"AGE", "age_s", KIND_SPAN}, {"CONNECTIONS", "connections", KIND_NUMBER}, {"RESTARTS", "restarts", KIND_NUMBER},
	};
	json_t *rows = json_array(), *one;
	const json_t *w;
	size_t i;

	json_array_foreach(json_object_get(reply, "workers"), i, w) {
		one = json_copy((json_t *)w);
		(void)json_object_set_new(one, "name", json_string("worker")); /* a cell that is missing shows as "-" */
		(void)json_array_append_new(rows, one);
	}
	if ((w = json_object_get(reply, "lifecycle"))) {
		one = json_copy((json_t *)w);
		(void)json_object_set_new(one, "name", json_string("lifecycle"));
		(void)json_array_append_new(rows, one);
	}
	print_table(rows, columns, OM_ARRAY_SIZE(columns));
	json_decref(rows);
}

static void print_index(const json_t *index)
{
	OM_AUTO_FREE char *objects = cell(json_object_get(index, "objects"), KIND_NUMBER);
	OM_AUTO_FREE char *slots = cell(json_object_get(index, "slots"), KIND_NUMBER);
	OM_AUTO_FREE char *bytes = cell(json_object_get(index, "bytes"), KIND_SIZE);
	const json_t *complete = json_object_get(index, "complete");

	printf("index       %s objects in %s slots, %s%s\n", objects ? objects : "?", slots ? slots : "?", bytes ? bytes : "?",
	       json_is_false(complete) ? " (still being built: misses are looked up in the catalogs)" : "");
}

void ctl_print_status(const json_t *reply)
{
	const json_t *sup = json_object_get(reply, "supervisor"), *pending = json_object_get(reply, "pending_removals");
	OM_AUTO_FREE char *pid = cell(json_object_get(sup, "pid"), KIND_NUMBER);
	OM_AUTO_FREE char *version = cell(json_object_get(sup, "version"), KIND_TEXT);
	OM_AUTO_FREE char *up = cell(json_object_get(reply, "uptime_s"), KIND_SPAN);

	OM_AUTO_FREE char *state = cell(json_object_get(sup, "state"), KIND_TEXT);

	printf("objmapperd  %s, %s, pid %s, up %s\n", version ? version : "?", state ? state : "?", pid ? pid : "?", up ? up : "?");
	print_index(json_object_get(reply, "index"));
	if (json_is_integer(pending) && json_integer_value(pending) > 0)
		printf("removals    %" JSON_INTEGER_FORMAT " files still to be removed\n", json_integer_value(pending));
	putchar('\n');
	ctl_print_workers(reply);
	putchar('\n');
	ctl_print_tiers(reply);
}

void ctl_print_rebuild(const json_t *reply)
{
	const char *name = json_string_value(json_object_get(reply, "tier"));
	OM_AUTO_FREE char *quoted = name ? om_text_quote(name, strlen(name)) : NULL;

	printf("The catalog%s%s is being rebuilt from the files; objmctl tier list shows when it is done.\n", quoted ? " of " : "",
	       quoted ? quoted : "");
}

void ctl_print_counters(const json_t *reply)
{
	const json_t *total = json_object_get(reply, "total"), *value;
	const char *key;

	json_object_foreach((json_t *)total, key, value) {
		OM_AUTO_FREE char *text = cell(value, KIND_NUMBER);
		OM_AUTO_FREE char *name = om_text_quote(key, strlen(key));

		printf("%-20s %20s\n", name ? name : "?", text ? text : "?");
	}
}

void ctl_print_metrics(const json_t *reply)
{
	const char *text = json_string_value(json_object_get(reply, "text"));

	fputs(text ? text : "", stdout);
}

void ctl_print_ping(const json_t *reply)
{
	OM_AUTO_FREE char *pid = cell(json_object_get(reply, "pid"), KIND_NUMBER);

	printf("objmapperd (pid %s) answers, %s\n", pid ? pid : "?",
	       json_is_true(json_object_get(reply, "ready")) ? "and is ready" : "but is starting or ending: not all processes are ready");
}
