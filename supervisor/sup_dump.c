/*
 * sup_dump.c: see sup_dump.h. `objmapperd --dump-tables` and `--list-faults`; nothing else calls it.
 */
#include "supervisor/sup_dump.h"

#include <ctype.h>

#include "common/om_counter.h"
#include "common/om_fault.h"
#include "common/om_log.h"
#include "supervisor/sup_admin_cmd.h"
#include "supervisor/sup_metrics.h"

static void lower(const char *s, FILE *out)
{
	for (; *s; s++)
		(void)fputc(tolower((unsigned char)*s), out);
}

static void dump_counters(FILE *out)
{
	(void)fputs("## Counters\n\n| name | unit | kind | what |\n| --- | --- | --- | --- |\n", out);
	for (unsigned i = 0; i < OM_C_COUNT; i++) {
		(void)fputs("| `", out);
		lower(om_counter_table[i].name, out);
		(void)fprintf(out, "` | %s | %s | %s |\n", om_counter_table[i].unit, om_counter_table[i].gauge ? "level" : "grows",
			      om_counter_table[i].help);
	}
}

static void dump_statuses(FILE *out)
{
	(void)fputs("\n## Statuses\n\n| name | code | to versions 1 and 2 | what | what to do |\n| --- | --- | --- | --- | --- |\n", out);
#define ROW(name, code, old, text, todo) \
	if ((code) < 0x80) \
		(void)fprintf(out, "| `%s` | 0x%02x | 0x%02x | %s | %s |\n", #name, (unsigned)(code), (unsigned)(old), text, todo);
	OBJM_STATUS_MAP(ROW)
#undef ROW
}

static void dump_messages(FILE *out)
{
	static const char *const prio[] = { "emergency", "alert", "critical", "error", "warning", "notice", "info", "debug" };

	(void)fputs("\n## Log messages\n\n| name | MESSAGE_ID | priority | limited | when | what to do |\n"
		    "| --- | --- | --- | --- | --- | --- |\n", out);
	for (unsigned i = 0; i < OM_MSG_COUNT; i++) {
		const struct om_msg_info *m = &om_msg_table[i];
		(void)fprintf(out, "| `%s` | %s | %s | %s | %s | %s |\n", m->name, m->uuid, prio[m->prio & 7], m->limited ? "yes" : "no",
			      m->what, m->todo);
	}
}

static void dump_rest(FILE *out)
{
	(void)fputs("\n## Fault points\n\n| name | where |\n| --- | --- |\n", out);
	for (unsigned i = 0; i < OM_FAULT_COUNT; i++)
		(void)fprintf(out, "| `%s` | %s |\n", om_fault_table[i].text, om_fault_table[i].where);
	(void)fputs("\n## Admin commands\n\n| cmd | arguments | changes something | what |\n| --- | --- | --- | --- |\n", out);
	for (unsigned i = 0; i < sup_admin_cmd_count; i++) {
		const struct sup_admin_cmd *c = &sup_admin_cmd_table[i];
		char args[128];
		sup_admin_args_text(c, args, sizeof(args));
		(void)fprintf(out, "| `%s` | %s | %s | %s |\n", c->name, *args ? args : "none", c->change ? "yes" : "no", c->help);
	}
	(void)fputs("\n## States of a child\n\n| state | meaning |\n| --- | --- |\n", out);
#define ROW(name, text, meaning) (void)fprintf(out, "| `%s` | %s |\n", text, meaning);
	SUP_STATE_MAP(ROW)
#undef ROW
}

void sup_dump_tables(FILE *out)
{
	dump_counters(out);
	dump_statuses(out);
	dump_messages(out);
	dump_rest(out);
	sup_metrics_dump(out);
}

void sup_dump_faults(FILE *out)
{
	for (unsigned i = 0; i < OM_FAULT_COUNT; i++)
		(void)fprintf(out, "%s\n", om_fault_table[i].text);
}
