/*
 * cmd_rm.c: objm rm.
 */
#include "client/cmd/cmd.h"

static int rm_prefixes(struct cmd_ctx *ctx)
{
	int result = CMD_OK;

	for (int i = 0; i < ctx->argc; i++)
		/* An unset variable in a script must not delete everything. */
		if (ctx->argv[i][0] == '\0' && !ctx->opts.all)
			return cmd_usage("rm", "an empty PREFIX means every object; add --all if that is what you want");
	for (int i = 0; i < ctx->argc; i++)
		if (cmd_tree_rm(ctx, ctx->argv[i]) != CMD_OK)
			result = CMD_FAILED;
	return result;
}

int cmd_rm(struct cmd_ctx *ctx)
{
	int result = CMD_OK;
	objm_t *s;

	if (ctx->opts.recursive)
		return rm_prefixes(ctx);
	s = cmd_connect(&ctx->opts);
	if (!s)
		return CMD_FAILED;
	for (int i = 0; i < ctx->argc; i++) {
		int r = objm_delete(s, ctx->argv[i], NULL);

		if (r < 0 && !(r == -OBJM_STATUS_NOT_FOUND && ctx->opts.force))
			result = cmd_fail_lib(s, "rm", ctx->argv[i], r);
	}
	objm_close(s);
	return result;
}
