/*
 * ctl_print.c: the supervisor's answers about itself and its tiers, for people. Programs use --json.
 */
#include "common/om_text.h"
#include "ctl/ctl.h"

void ctl_print_TIER_LIST(const json_t *reply)
{
	static const struct ctl_column columns[] = {
		{"TIER", "name", CTL_TEXT},	 {"TYPE", "type", CTL_TEXT},	    {"STATE", "state", CTL_TEXT},
		{"OBJECTS", "objects", CTL_NUMBER}, {"USED", "used_bytes", CTL_SIZE}, {"CAPACITY", "capacity_bytes", CTL_SIZE},
		{"HITS", "hit_share", CTL_RATIO}, {"IN/S", "in_bytes_per_s", CTL_RATE}, {"OUT/S", "out_bytes_per_s", CTL_RATE},
		{"FACTOR", "perf_factor", CTL_RATIO}, {"BOUND", "hard_bound", CTL_TEXT}, {"DRAINING", "draining", CTL_TEXT},
		{"PATH", "path", CTL_TEXT},
	};
	const json_t *tiers = json_object_get(reply, "tiers"), *files;
	/* status says no paths. */
	bool paths = json_object_get(json_array_get(tiers, 0), "path") != NULL;
	json_t *t;
	size_t i;

	json_array_foreach(tiers, i, t)
		if (json_is_true(json_object_get(t, "read_only_filesystem")))
			(void)json_object_set_new(t, "state", json_string("read-only (filesystem)"));
		else if ((files = json_object_get(json_object_get(t, "rebuild"), "files")))
			(void)json_object_set_new(t, "state", json_sprintf("%s, %" JSON_INTEGER_FORMAT " files",
									   json_string_value(json_object_get(t, "state")),
									   json_integer_value(files)));
	ctl_print_table(tiers, columns, OM_ARRAY_SIZE(columns) - (paths ? 0 : 7));
}

void ctl_print_WORKERS(const json_t *reply)
{
	static const struct ctl_column columns[] = {
		{"PROCESS", "name", CTL_TEXT},		    {"PID", "pid", CTL_NUMBER},	{"STATE", "state", CTL_TEXT},
		{"AGE", "age_s", CTL_SPAN}, {"CONNECTIONS", "connections", CTL_NUMBER}, {"RESTARTS", "restarts", CTL_NUMBER},
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
	ctl_print_table(rows, columns, OM_ARRAY_SIZE(columns));
	json_decref(rows);
}

static void print_index(const json_t *index)
{
	OM_AUTO_FREE char *objects = ctl_cell(json_object_get(index, "objects"), CTL_NUMBER);
	OM_AUTO_FREE char *slots = ctl_cell(json_object_get(index, "slots"), CTL_NUMBER);
	OM_AUTO_FREE char *bytes = ctl_cell(json_object_get(index, "bytes"), CTL_SIZE);
	const json_t *complete = json_object_get(index, "complete");

	printf("index       %s objects in %s slots, %s%s\n", objects ? objects : "?", slots ? slots : "?", bytes ? bytes : "?",
	       json_is_false(complete) ? " (still being built: misses are looked up in the catalogs)" : "");
}

void ctl_print_STATUS(const json_t *reply)
{
	const json_t *sup = json_object_get(reply, "supervisor"), *pending = json_object_get(reply, "pending_removals");
	OM_AUTO_FREE char *pid = ctl_cell(json_object_get(sup, "pid"), CTL_NUMBER);
	OM_AUTO_FREE char *version = ctl_cell(json_object_get(sup, "version"), CTL_TEXT);
	OM_AUTO_FREE char *up = ctl_cell(json_object_get(reply, "uptime_s"), CTL_SPAN);

	OM_AUTO_FREE char *state = ctl_cell(json_object_get(sup, "state"), CTL_TEXT);

	printf("objmapperd  %s, %s, pid %s, up %s\n", version ? version : "?", state ? state : "?", pid ? pid : "?", up ? up : "?");
	print_index(json_object_get(reply, "index"));
	if (json_is_integer(pending) && json_integer_value(pending) > 0)
		printf("removals    %" JSON_INTEGER_FORMAT " files still to be removed\n", json_integer_value(pending));
	putchar('\n');
	ctl_print_WORKERS(reply);
	putchar('\n');
	ctl_print_TIER_LIST(reply);
}

void ctl_print_TIER_REBUILD(const json_t *reply)
{
	const char *name = json_string_value(json_object_get(reply, "tier"));
	OM_AUTO_FREE char *quoted = name ? om_text_quote(name, strlen(name)) : NULL;

	printf("The catalog%s%s is being rebuilt from the files; objmctl tier list shows when it is done.\n", quoted ? " of " : "",
	       quoted ? quoted : "");
}

void ctl_print_COUNTERS(const json_t *reply)
{
	const json_t *total = json_object_get(reply, "total"), *value;
	const char *key;

	json_object_foreach((json_t *)total, key, value) {
		OM_AUTO_FREE char *text = ctl_cell(value, CTL_NUMBER);
		OM_AUTO_FREE char *name = om_text_quote(key, strlen(key));

		printf("%-20s %20s\n", name ? name : "?", text ? text : "?");
	}
}

void ctl_print_METRICS(const json_t *reply)
{
	const char *text = json_string_value(json_object_get(reply, "text"));

	fputs(text ? text : "", stdout);
}

void ctl_print_PING(const json_t *reply)
{
	OM_AUTO_FREE char *pid = ctl_cell(json_object_get(reply, "pid"), CTL_NUMBER);

	printf("objmapperd (pid %s) answers, %s\n", pid ? pid : "?",
	       json_is_true(json_object_get(reply, "ready")) ? "and is ready" : "but is starting or ending: not all processes are ready");
}

/* Printed by --help without a daemon; with --json it is the daemon's own list. */
void ctl_print_HELP(const json_t *reply)
{
	static const struct ctl_column columns[] = {{"COMMAND", "cmd", CTL_TEXT}, {"WHAT", "help", CTL_TEXT}};

	ctl_print_table(json_object_get(reply, "commands"), columns, OM_ARRAY_SIZE(columns));
}

/* ---- the configuration ---- */

static void print_changes(const json_t *rows, const char *title)
{
	static const struct ctl_column columns[] = {{"  KEY", "key", CTL_TEXT}, {"WAS", "was", CTL_TEXT}, {"IS", "is", CTL_TEXT}};

	if (json_array_size(rows) == 0)
		return;
	puts(title);
	ctl_print_table(rows, columns, OM_ARRAY_SIZE(columns));
}

void ctl_print_RELOAD(const json_t *reply)
{
	const json_t *applied = json_object_get(reply, "applied"), *restart = json_object_get(reply, "restart"), *w;
	size_t i;

	if (json_array_size(applied) + json_array_size(restart) == 0)
		puts("Nothing differs from what is in force.");
	print_changes(applied, "In force now:");
	print_changes(restart, "Needs a restart (still as it was):");
	json_array_foreach(json_object_get(reply, "warnings"), i, w) {
		OM_AUTO_FREE char *text = ctl_cell(w, CTL_TEXT);

		printf("warning: %s\n", text ? text : "?");
	}
}

void ctl_print_SET(const json_t *reply) { ctl_print_RELOAD(reply); }
void ctl_print_LOG_LEVEL(const json_t *reply) { ctl_print_RELOAD(reply); }

void ctl_print_CONFIG(const json_t *reply)
{
	static const struct ctl_column columns[] = {
		{"KEY", "key", CTL_TEXT}, {"VALUE", "value", CTL_TEXT}, {"DEFAULT", "default", CTL_TEXT}, {"RELOAD", "live", CTL_TEXT},
		{"SET", "set", CTL_TEXT},
	};
	OM_AUTO_FREE char *file = ctl_cell(json_object_get(reply, "file"), CTL_TEXT);

	printf("file  %s\n\n", file ? file : "?");
	ctl_print_table(json_object_get(reply, "keys"), columns, OM_ARRAY_SIZE(columns));
}

void ctl_print_SHUTDOWN(const json_t *reply)
{
	puts(json_is_true(json_object_get(reply, "drain")) ? "The daemon finishes what is under way and ends." : "The daemon ends.");
}

/* ---- tiers that come and go ---- */

static void print_tier(const json_t *reply, const char *what)
{
	OM_AUTO_FREE char *name = ctl_cell(json_object_get(reply, "tier"), CTL_TEXT);

	printf("Tier %s %s\n", name ? name : "?", what);
}

void ctl_print_TIER_ADD(const json_t *reply) { print_tier(reply, "is there."); }
void ctl_print_TIER_ADOPT(const json_t *reply) { print_tier(reply, "is ours now; what its catalog lacks is found in its files."); }
void ctl_print_TIER_FORGET(const json_t *reply) { print_tier(reply, "is not waited for any more; take it out of the configuration."); }

void ctl_print_DOCTOR(const json_t *reply)
{
	const json_t *c;
	size_t i;

	json_array_foreach(json_object_get(reply, "checks"), i, c) {
		OM_AUTO_FREE char *what = ctl_cell(json_object_get(c, "check"), CTL_TEXT);
		OM_AUTO_FREE char *verdict = ctl_cell(json_object_get(c, "verdict"), CTL_TEXT);
		OM_AUTO_FREE char *found = ctl_cell(json_object_get(c, "found"), CTL_TEXT);
		OM_AUTO_FREE char *todo = ctl_cell(json_object_get(c, "todo"), CTL_TEXT);

		printf("%-8s %s: %s\n", verdict ? verdict : "?", what ? what : "?", found ? found : "?");
		if (todo && *todo)
			printf("         -> %s\n", todo);
	}
}

void ctl_print_USERS(const json_t *reply)
{
	static const struct ctl_column columns[] = {
		{"UID", "uid", CTL_NUMBER}, {"WHO", "who", CTL_TEXT}, {"OBJECTS", "objects", CTL_NUMBER}, {"OF", "max_objects", CTL_NUMBER},
		{"BYTES", "bytes", CTL_SIZE}, {"OF", "max_bytes", CTL_SIZE}, {"RESERVED", "reserved_bytes", CTL_SIZE},
	};

	ctl_print_table(json_object_get(reply, "users"), columns, OM_ARRAY_SIZE(columns));
	if (json_is_false(json_object_get(reply, "complete")))
		puts("(not all: those who own most; objmctl users UID says of one)");
}

void ctl_print_CONNECTIONS(const json_t *reply)
{
	static const struct ctl_column columns[] = {
		{"WORKER", "worker", CTL_NUMBER},    {"SOCKET", "socket", CTL_TEXT},	      {"VERSION", "version", CTL_NUMBER},
		{"UID", "uid", CTL_NUMBER},	     {"PID", "pid", CTL_NUMBER},	      {"UNANSWERED", "outstanding", CTL_NUMBER},
		{"QUEUED", "queued_bytes", CTL_SIZE}, {"FDS", "unread_fds", CTL_NUMBER}, {"IDLE MS", "idle_ms", CTL_NUMBER},
	};

	ctl_print_table(json_object_get(reply, "connections"), columns, OM_ARRAY_SIZE(columns));
	if (json_is_false(json_object_get(reply, "complete")))
		puts("(not all: a worker has more than it lists, or did not answer in time)");
}
