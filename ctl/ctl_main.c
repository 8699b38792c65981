/*
 * ctl_main.c: objmctl: finds the command's row, asks, prints.
 */
#include <getopt.h>

#include "common/om_text.h"
#include "ctl/ctl.h"

struct ctl_args {
	const char *socket;
	bool json;
};

static void help(FILE *f)
{
	fputs("Usage: objmctl [-s SOCKET] [--json] COMMAND\n"
	      "Ask a running objmapperd about its state.\n\nCommands:\n", f);
	for (size_t i = 0; i < ctl_table_len; i++) {
		const struct ctl_cmd *c = &ctl_table[i];
		char words[64];

		(void)snprintf(words, sizeof(words), "%s%s%s%s%s", c->words[0], c->words[1] ? " " : "", c->words[1] ? c->words[1] : "",
			       c->arg ? " " : "", c->arg ? c->arg : "");
		fprintf(f, "  %-20s %s\n", words, c->help);
	}
	fputs("\n  -s, --socket SOCKET  the admin socket (default: $OBJMCTL_SOCKET, then " CTL_SOCKET_DEFAULT ")\n"
	      "      --json           the answer as JSON, for programs\n"
	      "  -h, --help           this text\n"
	      "      --version        the version\n\n"
	      "Examples:\n"
	      "  objmctl status\n"
	      "  objmctl tier list --json | jq '.tiers[] | {name, used_bytes}'\n"
	      "  objmctl tier rebuild disk     after a catalog was lost\n\n"
	      "Exit status: 0 success; 1 the operation failed, a message says why; 2 the command line is wrong.\n", f);
}

static int usage(const char *what, const char *which)
{
	OM_AUTO_FREE char *quoted = om_text_quote(which, strlen(which));

	fprintf(stderr, "objmctl: %s%s%s%s\nTry: objmctl --help\n", what, *which ? ": \"" : "", quoted ? quoted : "?", *which ? "\"" : "");
	return CTL_USAGE;
}

/* The row that the words begin with, and how many of them it took. */
static const struct ctl_cmd *find(int argc, char **argv, int *ret_used)
{
	for (size_t i = 0; i < ctl_table_len; i++) {
		const struct ctl_cmd *c = &ctl_table[i];

		if (strcmp(argv[0], c->words[0]) != 0 || (c->words[1] && (argc < 2 || strcmp(argv[1], c->words[1]) != 0)))
			continue;
		*ret_used = c->words[1] ? 2 : 1;
		return c;
	}
	return NULL;
}

static int flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CTL_OK;
	fprintf(stderr, "objmctl: write standard output: %s\n", strerror(errno));
	return CTL_FAILED;
}

static int run(const struct ctl_cmd *cmd, const struct ctl_args *args, const char *operand)
{
	json_t *request = json_pack("{s:s}", "cmd", cmd->request), *reply = NULL;
	int r;

	if (request && cmd->words[1] && !strcmp(cmd->words[1], "prometheus"))
		(void)json_object_set_new(request, "format", json_string("prometheus"));
	if (!request || (cmd->arg && json_object_set_new(request, cmd->arg_key, json_string(operand)) < 0)) {
		json_decref(request);
		return usage("not UTF-8, or out of memory", cmd->arg ? operand : "");
	}
	r = ctl_ask(args->socket, request, &reply);
	json_decref(request);
	if (r != CTL_OK)
		return r;
	if (args->json) {
		(void)json_object_del(reply, "ok"); /* the exit status says it */
		if (json_dumpf(reply, stdout, JSON_INDENT(2)) == 0)
			putchar('\n');
	} else {
		cmd->print(reply);
	}
	json_decref(reply);
	return flush();
}

/* 0: go on with the words from *ret_first; 1: done, *ret_exit is the exit status. */
static int parse(int argc, char **argv, struct ctl_args *args, int *ret_first, int *ret_exit)
{
	static const struct option longs[] = {{"socket", required_argument, NULL, 's'},
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'v'},
					      {0}};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":s:h", longs, NULL)) != -1) {
		switch (c) {
		case 's': args->socket = optarg; break;
		case 'j': args->json = true; break;
		case 'h':
			help(stdout);
			*ret_exit = flush();
			return 1;
		case 'v':
			puts("objmctl " OM_VERSION);
			*ret_exit = flush();
			return 1;
		default:
			*ret_exit = usage(c == ':' ? "an option needs an argument" : "no such option", argv[optind - 1]);
			return 1;
		}
	}
	*ret_first = optind;
	return 0;
}

int main(int argc, char **argv)
{
	const char *env = getenv("OBJMCTL_SOCKET");
	struct ctl_args args = {.socket = env && *env ? env : CTL_SOCKET_DEFAULT};
	const struct ctl_cmd *cmd;
	int first = 0, r = 0, used = 0;

	if (parse(argc, argv, &args, &first, &r))
		return r;
	argc -= first;
	argv += first;
	if (argc == 0)
		return usage("which command?", "");
	if (strcmp(argv[0], "help") == 0) {
		help(stdout);
		return flush();
	}
	cmd = find(argc, argv, &used);
	if (!cmd)
		return usage("no such command", argc > 1 && strcmp(argv[0], "tier") == 0 ? argv[1] : argv[0]);
	if (argc - used < (cmd->arg ? 1 : 0))
		return usage("an operand is missing", cmd->arg);
	if (argc - used > (cmd->arg ? 1 : 0))
		return usage("one operand too many", argv[argc - 1]);
	return run(cmd, &args, cmd->arg ? argv[used] : NULL);
}
