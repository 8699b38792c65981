/*
 * cmd_watch.c: objm watch: a line for each change.
 */
#include "client/cmd/cmd.h"
#include "client/cmd/cmd_json.h"

static const char *kind_name(int kind)
{
	static const char *const names[] = { "?", "put", "delete", "set", "moved", "lost" };

	return kind > 0 && kind < (int)OM_ARRAY_SIZE(names) ? names[kind] : names[0];
}

static int print_json(const struct objm_change *c)
{
	json_t *o = c->kind == OBJM_CHANGE_LOST ? json_object() : cmd_json_info(c->uri, &c->info);

	if (o && (json_object_set_new(o, "change", json_string(kind_name(c->kind))) < 0 ||
		  json_object_set_new(o, "epoch", json_integer((json_int_t)c->epoch)) < 0 ||
		  json_object_set_new(o, "position", json_integer((json_int_t)c->pos)) < 0)) {
		json_decref(o);
		o = NULL;
	}
	return cmd_json_print(o);
}

static int print_change(const struct cmd_opts *opts, const struct objm_change *c, bool terminal)
{
	int r = CMD_OK;

	if (opts->json) {
		r = print_json(c);
	} else {
		printf("%-6s ", kind_name(c->kind));
		cmd_put_uri(stdout, terminal, c->uri);
		putchar('\n');
	}
	if (r == CMD_OK && (fflush(stdout) != 0 || ferror(stdout)))
		r = CMD_FAILED; /* cmd_flush() says why */
	return r;
}

int cmd_watch(struct cmd_ctx *ctx)
{
	struct objm_watch_options o = OBJM_WATCH_OPTIONS_INIT;
	bool terminal = isatty(STDOUT_FILENO) == 1;
	const struct objm_change *change;
	int r, result = CMD_OK, flushed;
	objm_watch_t *w;
	objm_t *s = cmd_connect(&ctx->opts);

	if (!s)
		return CMD_FAILED;
	o.prefix = ctx->argc > 0 ? ctx->argv[0] : "";
	r = objm_watch_open(s, &o, &w);
	if (r < 0) {
		result = cmd_fail_lib(s, "watch", o.prefix, r);
		objm_close(s);
		return result;
	}
	while (result == CMD_OK && (r = objm_watch_next(w, -1, &change)) == 0)
		result = print_change(&ctx->opts, change, terminal);
	if (r < 0)
		result = cmd_fail("watch", o.prefix[0] ? o.prefix : NULL, "%s", objm_watch_error(w));
	objm_watch_close(w);
	objm_close(s);
	flushed = cmd_flush();
	return result ? result : flushed;
}
