/*
 * ctl_main.c: objmctl: finds the command's row, asks, prints.
 */
#include <getopt.h>
#include <signal.h>
#include <time.h>

#include "common/om_text.h"
#include "ctl/ctl.h"
#include "ctl/ctl_monitor.h"

struct ctl_opts {
	const char *socket;
	bool json;
	unsigned watch_s; /* 0: once */
};

static void help(FILE *f)
{
	fputs("Usage: objmctl [-s SOCKET] [--json] [--watch[=SECONDS]] COMMAND\n"
	      "Ask a running objmapperd about its state, or tell it to change.\n\nCommands (*: for root and the daemon's own user):\n", f);
	for (size_t i = 0; i < ctl_table_len; i++) {
		const struct ctl_cmd *c = &ctl_table[i];
		char words[80];

		if (strcmp(c->request, "help") == 0)
			continue; /* this text */
		ctl_synopsis(c, words, sizeof(words));
		fprintf(f, "  %-26s%s %s\n", words, c->change ? "*" : " ", c->help);
	}
	fprintf(f, "  %-26s  %s\n", "monitor", "a live view on a terminal: rates, latencies, tiers, moves, hottest objects; q ends it");
	fputs("\n  -s, --socket SOCKET  the admin socket (default: $OBJMCTL_SOCKET, then " CTL_SOCKET_DEFAULT ")\n"
	      "      --json           the answer as JSON, for programs (doc/admin.md says what the members mean)\n"
	      "      --watch[=S]      ask again every S seconds (default 2) until interrupted\n"
	      "  -h, --help           this text\n"
	      "      --version        the version\n"
	      "      --commands       the commands, one a line, for completion and scripts\n\n"
	      "Examples:\n"
	      "  objmctl status\n"
	      "  objmctl tier list --json | jq '.tiers[] | {name, used_bytes}'\n"
	      "  objmctl counters --watch=1\n"
	      "  objmctl explain /some/object\n\n"
	      "Exit status: 0 success; 1 the operation failed, a message says why; 2 the command line is wrong; 3 it is for root and\n"
	      "the daemon's own user; 4 no daemon answers.\n", f);
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

		if (strcmp(argv[0], c->words[0]) != 0 || (*c->words[1] && (argc < 2 || strcmp(argv[1], c->words[1]) != 0)))
			continue;
		*ret_used = *c->words[1] ? 2 : 1;
		return c;
	}
	return NULL;
}

/* Of a word that begins commands of two words: which second words there are. */
static int unknown(int argc, char **argv)
{
	char words[128];
	size_t len = 0;

	for (size_t i = 0; i < ctl_table_len && len < sizeof(words); i++)
		if (strcmp(argv[0], ctl_table[i].words[0]) == 0)
			len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s", len ? ", " : "", ctl_table[i].words[1]);
	if (len == 0)
		return usage("no such command", argv[0]);
	OM_AUTO_FREE char *second = argc > 1 ? om_text_quote(argv[1], strlen(argv[1])) : NULL;
	fprintf(stderr, "objmctl: %s %s%s%s: one of %s\nTry: objmctl --help\n", argv[0], second ? "has no \"" : "needs a second word",
		second ? second : "", second ? "\"" : "", words);
	return CTL_USAGE;
}

static int flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CTL_OK;
	fprintf(stderr, "objmctl: write standard output: %s\n", strerror(errno));
	return CTL_FAILED;
}

/* ---- the request ---- */

static json_t *operand(const struct ctl_arg *a, const char *text)
{
	char *end;
	long long n;

	if (!a->number)
		return json_string(text);
	errno = 0;
	n = strtoll(text, &end, 10);
	return *text && !*end && errno == 0 && n >= 0 ? json_integer(n) : NULL;
}

static int add_option(const struct ctl_cmd *cmd, json_t *request, const char *name)
{
	struct ctl_arg args[CTL_ARGS_MAX];
	unsigned n = ctl_args(cmd, args);

	for (unsigned i = 0; i < n; i++)
		if (args[i].option && strcmp(args[i].key, name) == 0)
			return json_object_set_new(request, name, json_true()) < 0 ? usage("out of memory", "") : CTL_OK;
	return usage("the command has no such option", name);
}

/* Operands in their order; words that begin with -- are options, up to "--". */
static int add_args(const struct ctl_cmd *cmd, json_t *request, int argc, char **argv)
{
	struct ctl_arg args[CTL_ARGS_MAX];
	unsigned n = ctl_args(cmd, args), at = 0;
	bool options = true;

	for (int i = 0; i < argc; i++) {
		json_t *v;

		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
			continue;
		}
		if (options && strncmp(argv[i], "--", 2) == 0) {
			if (add_option(cmd, request, argv[i] + 2) != CTL_OK)
				return CTL_USAGE;
			continue;
		}
		while (at < n && args[at].option)
			at++;
		if (at == n)
			return usage("one operand too many", argv[i]);
		v = operand(&args[at], argv[i]);
		if (!v || json_object_set_new(request, args[at].key, v) < 0)
			return usage(args[at].number ? "not a whole number" : "not UTF-8, or out of memory", argv[i]);
		at++;
	}
	for (; at < n; at++)
		if (!args[at].optional)
			return usage("an operand is missing", args[at].title);
	return CTL_OK;
}

/* ---- asking ---- */

/* Commands that --watch may ask again: those that only look, and a drain, which goes on whether it is ordered once or often. */
static bool can_watch(const struct ctl_cmd *cmd, const json_t *request)
{
	return !cmd->change || (strcmp(cmd->request, "tier-drain") == 0 && !json_is_true(json_object_get(request, "stop")));
}

/* A drain that is watched: is it over? CTL_FAILED: what is left can go nowhere. */
static bool drained(const json_t *reply, int *ret_status)
{
	json_int_t stuck = json_integer_value(json_object_get(reply, "stuck"));
	json_int_t looks = json_integer_value(json_object_get(reply, "looks"));
	bool done = json_is_true(json_object_get(reply, "done"));
	static json_int_t first = -1; /* what was stuck at a look before we asked may not be any more */

	if (first < 0)
		first = looks;
	*ret_status = done ? CTL_OK : CTL_FAILED;
	return done || (looks > first && stuck > 0 && json_integer_value(json_object_get(reply, "objects_left")) <= stuck);
}

/* *ret_over: there is nothing more to watch. */
static int once(const struct ctl_cmd *cmd, const struct ctl_opts *opts, json_t *request, bool *ret_over)
{
	json_t *reply = NULL;
	int r = ctl_ask(opts->socket, request, &reply), status = CTL_OK;

	if (r != CTL_OK)
		return r;
	*ret_over = !opts->watch_s || (strcmp(cmd->request, "tier-drain") == 0 && drained(reply, &status));
	if (opts->json) {
		(void)json_object_del(reply, "ok"); /* the exit status says it */
		if (json_dumpf(reply, stdout, opts->watch_s ? JSON_COMPACT : JSON_INDENT(2)) == 0)
			putchar('\n');
	} else {
		if (opts->watch_s && isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout); /* home, clear */
		cmd->print(reply);
	}
	json_decref(reply);
	r = flush();
	return r == CTL_OK && *ret_over ? status : r;
}

static int run(const struct ctl_cmd *cmd, const struct ctl_opts *opts, int argc, char **argv)
{
	json_t *request = json_pack("{s:s}", "cmd", cmd->request);
	int r = request ? add_args(cmd, request, argc, argv) : usage("out of memory", "");
	bool over = false;

	if (r == CTL_OK && opts->watch_s && !can_watch(cmd, request))
		r = usage("--watch is for commands that only look, and for tier drain", "");
	while (r == CTL_OK) {
		struct timespec ts = {.tv_sec = opts->watch_s};

		r = once(cmd, opts, request, &over);
		if (over)
			break;
		(void)nanosleep(&ts, NULL);
	}
	json_decref(request);
	return r;
}

/* ---- the command line ---- */

static void print_commands(void)
{
	for (size_t i = 0; i < ctl_table_len; i++) {
		char words[80];

		ctl_synopsis(&ctl_table[i], words, sizeof(words));
		puts(words);
	}
	puts("monitor");
}

static int parse_watch(const char *text, struct ctl_opts *opts)
{
	char *end;
	unsigned long n = text ? strtoul(text, &end, 10) : 2;

	if (text && (!*text || *end || n < 1 || n > 86400))
		return usage("--watch takes seconds, 1 to 86400", text);
	opts->watch_s = (unsigned)n;
	return CTL_OK;
}

/* 0: go on with the words from *ret_first; 1: done, *ret_exit is the exit status. Options may stand behind the command; those
 * of the command itself are left in place for add_args(). */
static int parse(int *argc, char **argv, struct ctl_opts *opts, int *ret_exit)
{
	int out = 1;

	for (int i = 1; i < *argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "--") == 0) { /* what follows are operands */
			while (i < *argc)
				argv[out++] = argv[i++];
			break;
		}
		if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0)
			help(stdout);
		else if (strcmp(a, "--version") == 0)
			puts("objmctl " OM_VERSION);
		else if (strcmp(a, "--commands") == 0)
			print_commands();
		else if (strcmp(a, "--json") == 0) {
			opts->json = true;
			continue;
		} else if (strcmp(a, "--watch") == 0 || strncmp(a, "--watch=", 8) == 0) {
			*ret_exit = parse_watch(a[7] ? a + 8 : NULL, opts);
			if (*ret_exit != CTL_OK)
				return 1;
			continue;
		} else if (strncmp(a, "-s", 2) == 0 || strcmp(a, "--socket") == 0 || strncmp(a, "--socket=", 9) == 0) {
			const char *v = a[1] == 's' ? a + 2 : a[8] == '=' ? a + 9 : a + 8;

			if (!*v && i + 1 == *argc) {
				*ret_exit = usage("an option needs an argument", a);
				return 1;
			}
			opts->socket = *v ? v : argv[++i];
			continue;
		} else if (a[0] == '-' && a[1] && (a[1] != '-' || out == 1)) {
			*ret_exit = usage("no such option", a);
			return 1;
		} else {
			argv[out++] = argv[i];
			continue;
		}
		*ret_exit = flush();
		return 1;
	}
	*argc = out;
	return 0;
}

int main(int argc, char **argv)
{
	const char *env = getenv("OBJMCTL_SOCKET");
	struct ctl_opts opts = {.socket = env && *env ? env : CTL_SOCKET_DEFAULT};
	const struct ctl_cmd *cmd;
	int r = 0, used = 0;

	(void)signal(SIGPIPE, SIG_DFL);
	if (parse(&argc, argv, &opts, &r))
		return r;
	argc--;
	argv++;
	if (argc == 0)
		return usage("which command?", "");
	if (strcmp(argv[0], "help") == 0 && !opts.json) {
		help(stdout);
		return flush();
	}
	if (strcmp(argv[0], "monitor") == 0)
		return argc > 1 || opts.json ? usage("monitor takes no operand, and no --json", argv[argc - 1]) :
					       ctl_monitor(opts.socket, opts.watch_s ? opts.watch_s : 2);
	cmd = find(argc, argv, &used);
	if (!cmd)
		return unknown(argc, argv);
	return run(cmd, &opts, argc - used, argv + used);
}
