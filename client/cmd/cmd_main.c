/*
 * cmd_main.c: the `objm` command: finds the command's row, reads its options, runs its handler.
 */
#include "client/cmd/cmd.h"

/* A daemon that was restarted must not kill us by a write to the old connection; the library reports it. Pipes we write
 * to are another matter: there SIGPIPE ends us quietly, as it does every filter. The library never raises it. */

static int run(const struct cmd *cmd, const char *socket, int argc, char **argv)
{
	struct cmd_ctx ctx = {.cmd = cmd, .opts = {.socket = socket, .jobs = CMD_JOBS_DEFAULT}};
	int first = 0, r = cmd_opts_parse(cmd, argc, argv, &ctx.opts, &first);

	if (r == 0 && ctx.opts.help) {
		cmd_help(stdout, cmd);
		r = cmd_flush();
	} else if (r == 0) {
		ctx.argc = argc - first;
		ctx.argv = argv + first;
		/* exec URI -- COMMAND: options ended at the URI, so the -- is still there. */
		if (cmd->stop_at_operand && ctx.argc > 1 && strcmp(ctx.argv[1], "--") == 0) {
			ctx.argv[1] = ctx.argv[0];
			ctx.argv++;
			ctx.argc--;
		}
		if (ctx.argc < cmd->min_args)
			r = cmd_usage(cmd->name, "an operand is missing: objm %s %s", cmd->name, cmd->synopsis);
		else if (ctx.argc > cmd->max_args)
			r = cmd_usage(cmd->name, "\"%s\" is one operand too many: objm %s %s", ctx.argv[cmd->max_args], cmd->name,
				      cmd->synopsis);
		else
			r = cmd->run(&ctx);
	}
	cmd_opts_clear(&ctx.opts);
	return r;
}

/* objm help [COMMAND] */
static int help(const char *name)
{
	const struct cmd *cmd = name ? cmd_find(name) : NULL;

	if (name && !cmd)
		return cmd_usage(NULL, "no such command: \"%s\"", name);
	if (cmd)
		cmd_help(stdout, cmd);
	else
		cmd_help_all(stdout);
	return cmd_flush();
}

int main(int argc, char **argv)
{
	const char *socket = NULL;
	const struct cmd *cmd;
	int i = 1;

	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return help(NULL);
		if (strcmp(argv[i], "--version") == 0) {
			printf("objm %s\n", OM_VERSION);
			return cmd_flush();
		}
		if (strncmp(argv[i], "--socket=", 9) == 0)
			socket = argv[i] + 9;
		else if (strncmp(argv[i], "-s", 2) == 0 && argv[i][2])
			socket = argv[i] + 2;
		else if ((strcmp(argv[i], "-s") == 0 || strcmp(argv[i], "--socket") == 0) && i + 1 < argc)
			socket = argv[++i];
		else
			return cmd_usage(NULL, "no such option, or its argument is missing: \"%s\"", argv[i]);
		if (*socket == '\0')
			return cmd_usage(NULL, "--socket takes the path of a socket, not an empty one");
	}
	if (i == argc)
		return cmd_usage(NULL, "which command?");
	if (strcmp(argv[i], "help") == 0)
		return help(argv[i + 1]);
	cmd = cmd_find(argv[i]);
	if (!cmd)
		return cmd_usage(NULL, "no such command: \"%s\"", argv[i]);
	return run(cmd, socket, argc - i, argv + i);
}
