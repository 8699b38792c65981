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
	{"size", "size", CTL_SIZE},	    {"type", "type", CTL_TEXT},	     {"tier", "tier", CTL_TEXT},
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

	ctl_print_OBJECT(reply);
	printf("\nwhy      %s\n", why ? why : "?");
	if (json_object_get(reply, "next_unknown"))
		printf("next     not known: %s\n", unknown ? unknown : "?");
	else
		printf("next     %s\n", next ? next : "?");
	printf("readers  %s\n", readers ? readers : "?");
}

void ctl_print_TOP(const json_t *reply)
{
	static const struct ctl_column columns[] = {
		{"HEAT", "heat", CTL_RATIO}, {"ACCESSES", "accesses", CTL_NUMBER}, {"SIZE", "size", CTL_SIZE},
		{"TIER", "tier", CTL_TEXT},  {"HOME", "home", CTL_TEXT},	   {"URI", "uri", CTL_TEXT},
	};

	ctl_print_table(json_object_get(reply, "objects"), columns, OM_ARRAY_SIZE(columns));
}

/* What the lifecycle process says of itself, member by member: it may learn to say more. */
static void print_any(const json_t *o, int indent)
{
	const json_t *v;
	const char *key;

	json_object_foreach((json_t *)o, key, v) {
		OM_AUTO_FREE char *name = om_text_quote(key, strlen(key));
		OM_AUTO_FREE char *text = json_is_array(v) ? joined(v) : ctl_cell(v, CTL_NUMBER);
		const json_t *one;
		size_t i;

		if (indent == 0 && strcmp(key, "ok") == 0)
			continue;
		if (json_is_object(v) && indent < 8) {
			printf("%*s%s\n", indent, "", name ? name : "?");
			print_any(v, indent + 2);
		} else if (json_is_object(json_array_get(v, 0)) && indent < 8) {
			printf("%*s%s\n", indent, "", name ? name : "?");
			json_array_foreach(v, i, one) {
				if (i)
					putchar('\n');
				print_any(one, indent + 2);
			}
		} else {
			printf("%*s%-*s  %s\n", indent, "", OM_MAX(20 - indent, 1), name ? name : "?", text ? text : "?");
		}
	}
}

void ctl_print_LIFECYCLE_STATUS(const json_t *reply) { print_any(reply, 0); }
void ctl_print_LIFECYCLE_PAUSE(const json_t *reply)
{
	(void)reply;
	puts("Objects do not move by themselves until \"objmctl lifecycle resume\".");
}
void ctl_print_LIFECYCLE_RESUME(const json_t *reply)
{
	(void)reply;
	puts("Objects move by themselves again.");
}
void ctl_print_MIGRATE(const json_t *reply) { print_any(reply, 0); }
void ctl_print_PROMOTE(const json_t *reply) { print_any(reply, 0); }
void ctl_print_DEMOTE(const json_t *reply) { print_any(reply, 0); }

void ctl_print_TIER_DRAIN(const json_t *reply)
{
	OM_AUTO_FREE char *name = text_of(reply, "tier");
	OM_AUTO_FREE char *objects = ctl_cell(json_object_get(reply, "objects"), CTL_NUMBER);

	if (json_is_true(json_object_get(reply, "draining")))
		printf("Tier %s is being drained: %s objects to move; objmctl tier list and lifecycle status show how far it is.\n",
		       name ? name : "?", objects ? objects : "?");
	else
		printf("Tier %s is no longer drained.\n", name ? name : "?");
}

void ctl_print_PIN(const json_t *reply) { print_any(reply, 0); }
void ctl_print_UNPIN(const json_t *reply) { print_any(reply, 0); }
