/*
 * cmd_opts.c: reads a command's options by its row of the table, and prints the help from the same rows.
 */
#include "client/cmd/cmd.h"

#include <getopt.h>

#include "common/om_text.h"

#define OPTIONS_MAX 32

static const struct cmd_option *option_of(char key)
{
	for (size_t i = 0; i < cmd_options_len; i++)
		if (cmd_options[i].key == key)
			return &cmd_options[i];
	return NULL;
}

const struct cmd *cmd_find(const char *name)
{
	for (size_t i = 0; i < cmd_table_len; i++)
		if (strcmp(cmd_table[i].name, name) == 0)
			return &cmd_table[i];
	return NULL;
}

static int add_meta(const char *cmd, struct cmd_opts *opts, char *arg)
{
	char *eq = strchr(arg, '=');
	size_t key_len = eq ? (size_t)(eq - arg) : 0;
	char *key;

	if (key_len == 0)
		return cmd_usage(cmd, "--meta takes KEY=VALUE, not \"%s\"", arg);
	if (key_len > 128)
		return cmd_usage(cmd, "--meta: a key has at most 128 bytes, this one has %zu", key_len);
	if (opts->meta_count == CMD_META_MAX)
		return cmd_usage(cmd, "--meta: an object has at most %d entries", CMD_META_MAX);
	for (size_t i = 0; i < opts->meta_count; i++)
		if (strlen(opts->meta[i].key) == key_len && memcmp(opts->meta[i].key, arg, key_len) == 0)
			return cmd_usage(cmd, "--meta: key \"%s\" is given twice", opts->meta[i].key);
	key = strndup(arg, key_len);
	if (!key)
		return cmd_fail(cmd, NULL, "out of memory");
	opts->meta[opts->meta_count++] = (struct objm_meta){.key = key, .value = eq + 1, .value_len = strlen(eq + 1)};
	return 0;
}

static int take_number(const char *cmd, char key, const char *arg, struct cmd_opts *opts)
{
	uint64_t v;

	if (key == 'j') {
		if (om_text_parse_number(arg, 1, CMD_JOBS_MAX, &v) < 0)
			return cmd_usage(cmd, "--jobs takes a number from 1 to %d, not \"%s\"", CMD_JOBS_MAX, arg);
		opts->jobs = (uint32_t)v;
		return 0;
	}
	if (om_text_parse_span(arg, UINT32_MAX, &v) < 0 || v == 0)
		return cmd_usage(cmd, "--ttl takes a time from 1 second up, such as 90, 15m, 12h or 7d, not \"%s\"", arg);
	opts->ttl_s = (uint32_t)v;
	return 0;
}

static int take(const char *cmd, char key, char *arg, struct cmd_opts *opts)
{
	switch (key) {
	case 's':
		if (*arg == '\0')
			return cmd_usage(cmd, "--socket takes the path of a socket, not an empty one");
		opts->socket = arg;
		return 0;
	case 'E': opts->flags |= OBJM_EPHEMERAL; return 0;
	case 'P': opts->flags |= OBJM_PINNED; return 0;
	case 'V': opts->flags |= OBJM_EVICTABLE; return 0;
	case 'r': opts->recursive = true; return 0;
	case 'N': opts->no_clobber = true; return 0;
	case 'J': opts->json = true; return 0;
	case 'l': opts->long_form = true; return 0;
	case '0': opts->zero = true; return 0;
	case 'A': opts->all = true; return 0;
	case 'f': opts->force = true; return 0;
	case 'h': opts->help = true; return 0;
	case 'T':
	case 'j': return take_number(cmd, key, arg, opts);
	case 'M': return add_meta(cmd, opts, arg);
	case 'Y':
		if (*arg == '\0' || strlen(arg) > 255)
			return cmd_usage(cmd, "--type takes 1 to 255 bytes, such as image/png");
		opts->type = arg;
		return 0;
	default: OM_ASSERT(!"an option of the table without a handler"); return CMD_USAGE;
	}
}

/* getopt's two forms of the options in `keys`. */
static void make_getopt(const struct cmd *cmd, char *ret_short, struct option *ret_long)
{
	char *s = ret_short;

	/* ':' tells a missing argument from an unknown option; '+' leaves the words behind the first operand alone. */
	if (cmd->stop_at_operand)
		*s++ = '+';
	*s++ = ':';
	for (const char *k = cmd->keys; *k; k++) {
		const struct cmd_option *o = option_of(*k);

		OM_ASSERT(o);
		*ret_long++ = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, (unsigned char)o->key};
		if (!o->letter)
			continue;
		*s++ = o->key;
		if (o->arg)
			*s++ = ':';
	}
	*s = '\0';
	*ret_long = (struct option){0};
}

int cmd_opts_parse(const struct cmd *cmd, int argc, char **argv, struct cmd_opts *opts, int *ret_first)
{
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 3];
	int c, r;

	OM_ASSERT(strlen(cmd->keys) <= OPTIONS_MAX);
	make_getopt(cmd, shorts, longs);
	optind = 0; /* start anew, permutation included */
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == ':')
			return cmd_usage(cmd->name, "option \"%s\" needs an argument", argv[optind - 1]);
		if (c == '?' && optopt && optind > 1 && strncmp(argv[optind - 1], "--", 2) != 0)
			return cmd_usage(cmd->name, "no such option: \"-%c\"", optopt);
		if (c == '?')
			return cmd_usage(cmd->name, "option \"%s\" is unknown, ambiguous or takes no argument", argv[optind - 1]);
		r = take(cmd->name, (char)c, optarg, opts);
		if (r)
			return r;
	}
	*ret_first = optind;
	return 0;
}

void cmd_opts_clear(struct cmd_opts *opts)
{
	for (size_t i = 0; i < opts->meta_count; i++)
		free((char *)opts->meta[i].key);
	opts->meta_count = 0;
}

void cmd_help(FILE *f, const struct cmd *cmd)
{
	fprintf(f, "Usage: objm %s %s\n%s\n\nOptions:\n", cmd->name, cmd->synopsis, cmd->help);
	for (const char *k = cmd->keys; *k; k++) {
		const struct cmd_option *o = option_of(*k);
		char names[64];

		OM_ASSERT(o);
		(void)snprintf(names, sizeof(names), "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->key : ' ',
			       o->letter ? "," : " ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		fprintf(f, "  %-24s %s\n", names, o->help);
	}
	fprintf(f, "\n%s", cmd->text);
}

void cmd_help_all(FILE *f)
{
	fputs("Usage: objm [-s SOCKET] COMMAND [OPTION]... [OPERAND]...\n"
	      "Store objects with objmapper and get them back as open files.\n\nCommands:\n", f);
	for (size_t i = 0; i < cmd_table_len; i++)
		fprintf(f, "  %-6s %-32s %s\n", cmd_table[i].name, cmd_table[i].synopsis, cmd_table[i].help);
	fputs("\nAn object is a sequence of bytes with a name, its URI: 1 to 4096 bytes of UTF-8, by custom with slashes\n"
	      "(/logo, /site/index.html). It never changes; a new put under the same URI replaces it.\n\n"
	      "  -s, --socket SOCKET  the daemon's socket (default: $OBJM_SOCKET, then " OBJM_SOCKET_DEFAULT ")\n"
	      "                       get, cat and exec take tcp:ADDRESS:PORT too (listen.tcp)\n"
	      "  -h, --help           this text; objm COMMAND --help says more on a command, with examples\n"
	      "      --version        the version\n\n"
	      "Examples:\n"
	      "  objm put /logo logo.png                  store a file\n"
	      "  objm exec /logo -- sha256sum /dev/stdin  read it without copying it\n"
	      "  objm get /logo copy.png                  get it back as a file\n"
	      "  objm ls --long /                         what is there\n"
	      "  objm rm /logo                            delete it\n\n"
	      "Exit status: 0 success; 1 the operation failed, a message says what and why; 2 the command line is wrong.\n"
	      "The daemon's own state: objmctl status.\n", f);
}
