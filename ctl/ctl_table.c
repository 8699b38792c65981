/*
 * ctl_table.c: every command of objmctl, from the table that the supervisor has too: command line, --help, completion.
 */
#include "ctl/ctl.h"

const struct ctl_cmd ctl_table[] = {
#define OM_ADMIN(id, name, word1, word2, change, args, help) {{word1, word2}, name, change, args, ctl_print_##id, help},
#include "common/tbl/admin.def"
#undef OM_ADMIN
};
const size_t ctl_table_len = OM_ARRAY_SIZE(ctl_table);

unsigned ctl_args(const struct ctl_cmd *cmd, struct ctl_arg ret[static CTL_ARGS_MAX])
{
	const char *s = cmd->args + strspn(cmd->args, " ");
	unsigned n = 0;

	for (; *s; s += strspn(s, " ")) {
		size_t len = strcspn(s, " ");
		struct ctl_arg *a = &ret[n++];

		OM_ASSERT(n <= CTL_ARGS_MAX && len < sizeof(a->key));
		*a = (struct ctl_arg){.option = strncmp(s, "--", 2) == 0, .number = memchr(s, '#', len) != NULL};
		a->optional = a->option || s[len - 1] == '?';
		(void)snprintf(a->key, sizeof(a->key), "%.*s", (int)strcspn(s + (a->option ? 2 : 0), ": "), s + (a->option ? 2 : 0));
		if (!a->option) {
			const char *title = s + strcspn(s, ":") + 1;

			(void)snprintf(a->title, sizeof(a->title), "%.*s", (int)strcspn(title, "#? "), title);
		}
		s += len;
	}
	return n;
}

void ctl_synopsis(const struct ctl_cmd *cmd, char *ret, size_t cap)
{
	struct ctl_arg args[CTL_ARGS_MAX];
	unsigned n = ctl_args(cmd, args);
	size_t len = (size_t)snprintf(ret, cap, "%s%s%s", cmd->words[0], *cmd->words[1] ? " " : "", cmd->words[1]);

	for (unsigned i = 0; i < n && len < cap; i++)
		len += (size_t)snprintf(ret + len, cap - len, args[i].option ? " [--%s]" : args[i].optional ? " [%s]" : " %s",
					args[i].option ? args[i].key : args[i].title);
}
