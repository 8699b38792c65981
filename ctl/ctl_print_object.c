/*
 * ctl_print_object.c: answers about objects and the lifecycle process, for people.
 */
#include "common/om_text.h"
#include "ctl/ctl.h"

static char *text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return ctl_cell(v, CTL_TEXT);
}

/* "a, b, c" of an array of texts; "-" of none. In memory of its own. */
static char *joined(const json_t *a)
{
	OM_AUTO_FREE char *all = strdup("");
	const json_t *v;
	size_t i;

	json_array_foreach(a, i, v) {
		OM_AUTO_FREE char *one = ctl_cell(v, CTL_NUMBER);
		char *more = NULL;

		if (!one || !all || asprintf(&more, "%s%s%s", all, *all ? ", " : "", one) < 0)
			return NULL;
		free(all);
		all = more;
	}
	return all && *all ? OM_TAKE_PTR(all) : strdup("-");
}

static const struct ctl_column object_columns[] = {
	{"uri", "uri", CTL_TEXT},	    {"version", "id", CTL_NUMBER},   {"revision", "rev", CTL_NUMBER},
	{"size", "size", CTL_SIZE},	    {"owner", "owner_uid", CTL_NUMBER}, {"type", "type", CTL_TEXT}, {"tier", "tier", CTL_TEXT},
	{"home", "home", CTL_TEXT},	    {"path", "path", CTL_TEXT},	     {"heat", "heat", CTL_RATIO},
	{"accesses", "accesses", CTL_NUMBER},
};

static void print_time(const char *title, const json_t *v, uint64_t div)
{
	char text[OM_TEXT_SHORT];

	if (!json_is_integer(v))
		return;
	om_text_time((uint64_t)json_integer_value(v) / div, text);
	printf("%-8s  %s\n", title, text);
}

void ctl_print_OBJECT(const json_t *reply)
{
	static const struct ctl_column columns[] = {
		{"TIER", "tier", CTL_TEXT}, {"HOME", "home", CTL_TEXT},	   {"VERSION", "id", CTL_NUMBER},
		{"REV", "rev", CTL_NUMBER}, {"SERVES", "serves", CTL_TEXT}, {"FILE", "path", CTL_TEXT},
	};
	OM_AUTO_FREE char *flags = joined(json_object_get(reply, "flags"));

	ctl_print_members(reply, object_columns, OM_ARRAY_SIZE(object_columns));
	printf("%-8s  %s\n", "flags", flags ? flags : "?");
	print_time("changed", json_object_get(reply, "mtime_ns"), 1000000000u);
	print_time("read", json_object_get(reply, "last_access_s"), 1);
	print_time("expires", json_object_get(reply, "expires_s"), 1);
	if (json_array_size(json_object_get(reply, "records")) > 1) {
		putchar('\n');
		ctl_print_table(json_object_get(reply, "records"), columns, OM_ARRAY_SIZE(columns));
	}
}

void ctl_print_EXPLAIN(const json_t *reply)
{
	OM_AUTO_FREE char *why = text_of(reply, "why");
	OM_AUTO_FREE char *next = text_of(reply, "next");
	OM_AUTO_FREE char *unknown = text_of(reply, "next_unknown");
	OM_AUTO_FREE char *readers = joined(json_object_get(reply, "readers"));
	OM_AUTO_FREE char *damaged = json_is_string(json_object_get(reply, "damaged")) ? text_of(reply, "damaged") : NULL;

	ctl_print_OBJECT(reply);
	printf("\nwhy      %s\n", why ? why : "?");
	if (json_object_get(reply, "next_unknown"))
		printf("next     not known: %s\n", unknown ? unknown : "?");
	else
		printf("next     %s\n", next ? next : "?");
	printf("readers  %s\n", readers ? readers : "?");
	if (damaged)
		printf("damaged  %s, when it was read last; the log says more\n", damaged);
}

void ctl_print_TOP(const json_t *reply)
{
	static const struct ctl_column columns[] = {
		{"HEAT", "heat", CTL_RATIO}, {"ACCESSES", "accesses", CTL_NUMBER}, {"SIZE", "size", CTL_SIZE},
		{"TIER", "tier", CTL_TEXT},  {"HOME", "home", CTL_TEXT},	   {"URI", "uri", CTL_TEXT},
	};

	ctl_print_table(json_object_get(reply, "objects"), columns, OM_ARRAY_SIZE(columns));
}

/* "name value, name value" of the members that are numbers, in one line. */
static void print_numbers(const char *title, const json_t *o, const struct ctl_column *columns, size_t n)
{
	printf("%-10s", title);
	for (size_t i = 0; i < n; i++) {
		OM_AUTO_FREE char *text = ctl_cell(json_object_get(o, columns[i].key), columns[i].kind);
		printf("%s %s %s", i ? "," : "", text ? text : "?", columns[i].title);
	}
	putchar('\n');
}

static void print_yield(const json_t *yield, const json_t *share)
{
	OM_AUTO_FREE char *why = text_of(yield, "why");

	if (json_is_number(share))
		printf("%-10s moves take %.1f %% of one thread's time while clients are served\n", "pace", 100 * json_number_value(share));
	else
		printf("%-10s full speed: %s\n", "pace",
		       !why || strcmp(why, "off") == 0 ? "moves do not give way (lifecycle.share_while_serving)" :
		       strcmp(why, "room") == 0 ? "a put waits for room" : "no client has asked for anything for a second");
}

/* What has been read of each tier, or nothing if none is. */
static void print_scrub(const json_t *scrub)
{
	static const struct ctl_column columns[] = {
		{"SCRUBBED", "name", CTL_TEXT}, {"DONE", "percent", CTL_NUMBER}, {"OBJECTS", "objects", CTL_NUMBER}, {"READ", "bytes", CTL_SIZE},
		{"DAMAGED", "damaged", CTL_NUMBER}, {"UNREADABLE", "unreadable", CTL_NUMBER}, {"NO CHECKSUM", "no_sum", CTL_NUMBER},
		{"LAST PASS", "ended", CTL_TEXT}, {"BAD THEN", "last_bad", CTL_NUMBER},
	};
	json_t *rows = json_deep_copy(json_object_get(scrub, "tiers")), *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const json_t *ended = json_object_get(row, "last_ended");
		char text[OM_TEXT_SHORT] = "none yet";
		if (json_is_integer(ended))
			om_text_time((uint64_t)json_integer_value(ended), text);
		(void)json_object_set_new(row, "ended", json_string(text));
		(void)json_object_set_new(row, "percent", json_sprintf("%.1f %%", 100 * json_number_value(json_object_get(row, "done"))));
	}
	if (json_array_size(rows)) {
		putchar('\n');
		ctl_print_table(rows, columns, OM_ARRAY_SIZE(columns));
	}
	json_decref(rows);
}

static bool scrubs_now(const json_t *scrub)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(scrub, "tiers"), i, row)
		if (json_is_true(json_object_get(row, "now")))
			return true;
	return false;
}

void ctl_print_LIFECYCLE_SCRUB(const json_t *reply)
{
	if (!json_array_size(json_object_get(reply, "tiers")))
		puts("There is nothing to read: no tier on a disk is there.");
	else
		puts(scrubs_now(reply) ? "Every object is read and checked now; \"objmctl lifecycle status\" shows how far it is." :
					 "Objects are read and checked at the usual pace (lifecycle.scrub_days).");
	print_scrub(reply);
}

static void print_scrub_pace(const json_t *scrub)
{
	json_int_t days = json_integer_value(json_object_get(scrub, "days")), bad = json_integer_value(json_object_get(scrub, "bad"));

	if (scrubs_now(scrub))
		printf("%-10s reads every object now", "scrub");
	else if (days)
		printf("%-10s reads every object once in %lld days", "scrub", (long long)days);
	else
		printf("%-10s off (lifecycle.scrub_days)", "scrub");
	if (bad)
		printf("; %lld found bad: the log names them", (long long)bad);
	putchar('\n');
}

void ctl_print_LIFECYCLE_STATUS(const json_t *reply)
{
	static const struct ctl_column now[] = {
		{"under way", "jobs", CTL_NUMBER}, {"waiting", "waiting", CTL_NUMBER}, {"more may begin in this cycle", "budget", CTL_NUMBER},
	};
	static const struct ctl_column done[] = {
		{"up", "moved_up", CTL_NUMBER}, {"down", "moved_down", CTL_NUMBER}, {"copied", "cached", CTL_NUMBER},
		{"dropped", "dropped", CTL_NUMBER}, {"expired", "expired", CTL_NUMBER}, {"refused", "refused", CTL_NUMBER},
		{"failed", "failed", CTL_NUMBER}, {"in all", "moved_bytes", CTL_SIZE},
	};
	static const struct ctl_column tiers[] = {
		{"TIER", "name", CTL_TEXT}, {"OBJECTS", "objects", CTL_NUMBER}, {"USED", "used", CTL_SIZE}, {"CAPACITY", "capacity", CTL_SIZE},
		{"COMING", "inbound", CTL_SIZE}, {"LEAVING", "outbound", CTL_SIZE}, {"MUST GO", "need", CTL_SIZE}, {"FAILED", "fails", CTL_NUMBER},
		{"DEAD", "dead", CTL_TEXT},
	};
	static const struct ctl_column drains[] = {
		{"DRAINED", "name", CTL_TEXT}, {"LEFT", "objects_left", CTL_NUMBER}, {"BYTES LEFT", "bytes_left", CTL_SIZE},
		{"MOVED", "moved", CTL_NUMBER}, {"BYTES MOVED", "moved_bytes", CTL_SIZE}, {"CAN GO NOWHERE", "stuck", CTL_NUMBER},
		{"TIME LEFT", "left_s", CTL_SPAN}, {"DONE", "done", CTL_TEXT},
	};
	const json_t *policy = json_object_get(reply, "policy");
	OM_AUTO_FREE char *cycle = ctl_cell(json_object_get(reply, "cycle"), CTL_NUMBER);
	OM_AUTO_FREE char *next = ctl_cell(json_object_get(reply, "next_cycle_ms"), CTL_NUMBER);
	OM_AUTO_FREE char *objects = ctl_cell(json_object_get(reply, "objects"), CTL_NUMBER);
	OM_AUTO_FREE char *leader = text_of(policy, "leader");
	const json_t *yield = json_object_get(reply, "yield"), *share = json_object_get(yield, "share");

	printf("%-10s %s\n", "state", json_is_true(json_object_get(reply, "paused")) ? "paused: \"objmctl lifecycle resume\" ends that" :
			      json_is_true(json_object_get(reply, "scanning")) ? "looks at all objects" : "running");
	printf("%-10s %s so far, the next in %s ms; the last saw %s objects\n", "cycles", cycle ? cycle : "?", next ? next : "?", objects ? objects : "?");
	print_numbers("moves", reply, now, OM_ARRAY_SIZE(now));
	print_numbers("moved", reply, done, OM_ARRAY_SIZE(done));
	if (json_is_object(yield))
		print_yield(yield, share);
	if (json_is_object(json_object_get(reply, "scrub")))
		print_scrub_pace(json_object_get(reply, "scrub"));
	if (json_is_object(policy))
		printf("%-10s %s decides which objects get a copy%s\n", "policy", leader ? leader : "?",
		       json_is_true(json_object_get(policy, "active")) ? "" : "; it is still learning what is there");
	putchar('\n');
	ctl_print_table(json_object_get(reply, "tiers"), tiers, OM_ARRAY_SIZE(tiers));
	if (json_array_size(json_object_get(reply, "drains"))) {
		putchar('\n');
		ctl_print_table(json_object_get(reply, "drains"), drains, OM_ARRAY_SIZE(drains));
	}
	print_scrub(json_object_get(reply, "scrub"));
}
void ctl_print_LIFECYCLE_PAUSE(const json_t *reply)
{
	(void)reply;
	puts("Objects do not move by themselves until \"objmctl lifecycle resume\", or until the daemon is restarted.");
}
void ctl_print_LIFECYCLE_RESUME(const json_t *reply)
{
	(void)reply;
	puts("Objects move by themselves again.");
}
/* One sentence: the three differ in how the target is chosen only. */
void ctl_print_MIGRATE(const json_t *reply)
{
	OM_AUTO_FREE char *uri = text_of(reply, "uri"), *state = text_of(reply, "state"), *kind = text_of(reply, "kind");
	OM_AUTO_FREE char *from = text_of(reply, "from"), *to = text_of(reply, "to");
	OM_AUTO_FREE char *size = ctl_cell(json_object_get(reply, "size"), CTL_SIZE);

	if (!uri || !state || !kind || !from || !to || !size)
		return;
	if (strcmp(state, "there") == 0)
		printf("%s is on tier %s already.\n", uri, to);
	else if (strcmp(state, "done") != 0)
		printf("%s: still %s (%s); it goes on by itself: \"objmctl object\" says where it is.\n", uri,
		       strcmp(kind, "drop") == 0 ? "being dropped from memory" : strcmp(kind, "copy") == 0 ? "being copied" : "being moved", size);
	else if (strcmp(kind, "drop") == 0)
		printf("%s: its copy on tier %s is gone (%s); tier %s, its home, serves it.\n", uri, from, size, to);
	else if (strcmp(kind, "copy") == 0)
		printf("%s: copied to tier %s (%s), which serves it; its home stays tier %s.\n", uri, to, size, from);
	else
		printf("%s: moved from tier %s to tier %s (%s).\n", uri, from, to, size);
}

void ctl_print_PROMOTE(const json_t *reply) { ctl_print_MIGRATE(reply); }
void ctl_print_DEMOTE(const json_t *reply) { ctl_print_MIGRATE(reply); }

/* How long a drain will take, and why so long. */
static void print_pace(const json_t *reply)
{
	const json_t *objects = json_object_get(reply, "objects_per_s"), *left_s = json_object_get(reply, "left_s");
	OM_AUTO_FREE char *bytes = ctl_cell(json_object_get(reply, "bytes_per_s"), CTL_RATE);
	OM_AUTO_FREE char *left = ctl_cell(left_s, CTL_SPAN);

	if (json_is_number(objects))
		printf(", in the last minute %.1f objects/s (%s): %s%s", json_number_value(objects), bytes ? bytes : "?",
		       json_is_number(left_s) ? "at that pace it takes " : "no end is in sight", json_is_number(left_s) && left ? left : "");
	if (json_is_true(json_object_get(reply, "yields")))
		fputs("; moves give way to clients (lifecycle.share_while_serving)", stdout);
}

void ctl_print_TIER_DRAIN(const json_t *reply)
{
	OM_AUTO_FREE char *name = text_of(reply, "tier");
	OM_AUTO_FREE char *left = ctl_cell(json_object_get(reply, "objects_left"), CTL_NUMBER);
	OM_AUTO_FREE char *left_bytes = ctl_cell(json_object_get(reply, "bytes_left"), CTL_SIZE);
	OM_AUTO_FREE char *moved = ctl_cell(json_object_get(reply, "moved"), CTL_NUMBER);
	OM_AUTO_FREE char *moved_bytes = ctl_cell(json_object_get(reply, "moved_bytes"), CTL_SIZE);
	json_int_t stuck = json_integer_value(json_object_get(reply, "stuck"));

	if (!json_is_true(json_object_get(reply, "draining"))) {
		printf("Tier %s is no longer drained.\n", name ? name : "?");
		return;
	}
	if (json_is_true(json_object_get(reply, "done"))) {
		printf("Tier %s is being drained: nothing is left there", name ? name : "?");
	} else {
		printf("Tier %s is being drained: %s objects left (%s)", name ? name : "?", left ? left : "?", left_bytes ? left_bytes : "?");
		if (stuck > 0)
			printf(", of which %lld can go nowhere (pinned, or no other tier takes them)", (long long)stuck);
	}
	printf("; moved %s (%s)", moved ? moved : "?", moved_bytes ? moved_bytes : "?");
	if (!json_is_true(json_object_get(reply, "done")))
		print_pace(reply);
	puts(".");
}

void ctl_print_PIN(const json_t *reply)
{
	OM_AUTO_FREE char *uri = text_of(reply, "uri");

	printf("%s %s\n", uri ? uri : "?", json_is_true(json_object_get(reply, "pinned")) ? "is pinned: it stays on its tier." : "may move again.");
}

void ctl_print_UNPIN(const json_t *reply) { ctl_print_PIN(reply); }
