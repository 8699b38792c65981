/*
 * om_conf_default.c: the configuration of a daemon that was given none.
 *
 * Runs in the supervisor. It is a text like any other and goes through the same parser, so `--print-config` shows it
 * and a user can start a file of their own from it.
 */
#include "common/conf/om_conf_priv.h"

/* Each line is printed as it stands; $BASE and $MEMORY become quoted paths. */
static const char builtin[] =
	"state_dir: $BASE/state\n"
	"listen:\n"
	"  data: $BASE/objmapper.sock\n"
	"  admin: $BASE/objmapper-ctl.sock\n"
	"backends:\n"
	"  - name: memory\n"
	"    type: memory\n"
	"    path: $MEMORY\n"
	"    capacity: 50%\n"
	/* A first run shall work where swap is on; the daemon says loudly that it is. */
	"    allow_swap: true\n"
	"  - name: disk\n"
	"    type: ssd\n"
	"    path: $BASE/disk\n"
	"    capacity: 50%\n";

/* Write the text with its two paths put in. */
static int fill_in(FILE *out, const char *base, const char *memory)
{
	for (const char *p = builtin; *p;) {
		bool is_base = strncmp(p, "$BASE", 5) == 0;
		bool is_memory = strncmp(p, "$MEMORY", 7) == 0;

		if (!is_base && !is_memory) {
			(void)fputc(*p++, out);
			continue;
		}
		p += is_base ? 5 : 7;
		size_t rest = strcspn(p, "\n");
		OM_AUTO_FREE char *path = NULL;
		if (asprintf(&path, "%s%.*s", is_base ? base : memory, (int)rest, p) < 0)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		om_conf_text_print(path, out);
		p += rest;
	}
	return 0;
}

int om_conf_default(const char *base_dir, const char *memory_dir, struct om_conf **ret_conf, struct om_conf_report *rep)
{
	OM_AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	int rc = fill_in(out, base_dir, memory_dir);
	if (fclose(out) != 0 || rc < 0)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	return om_conf_parse(text, len, "(built-in)", NULL, ret_conf, rep);
}
