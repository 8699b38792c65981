/*
 * cmd_put.c: objm put: one file or stream; a tree goes to cmd_tree.c.
 */
#include "client/cmd/cmd.h"

#include <sys/stat.h>

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct cmd_progress *p = arg;
	uint64_t before = atomic_load(&p->bytes);

	atomic_store(&p->total_bytes, total);
	if (done < before) /* the library began again */
		atomic_store(&p->bytes, done);
	cmd_progress_add(p, done > before ? done - before : 0, 0);
}

/* What is wrong with the file, before a connection is made: the commonest mistakes get a hint. */
static int check_file(const char *uri, const char *file)
{
	struct stat st;

	if (stat(file, &st) == 0)
		return S_ISDIR(st.st_mode) ? cmd_fail("put", file, "is a directory (objm put -r stores trees)") : CMD_OK;
	if (errno == ENOENT && stat(uri, &st) == 0)
		return cmd_fail("put", file, "no such file (the URI comes first: objm put %s %s)", file, uri);
	return cmd_fail("put", file, "%s", strerror(errno));
}

int cmd_put(struct cmd_ctx *ctx)
{
	const char *uri = ctx->argv[0], *file = ctx->argv[1];
	struct objm_put_options o = cmd_put_options(&ctx->opts);
	bool from_stdin = strcmp(file, "-") == 0;
	struct cmd_progress progress;
	objm_t *s;
	int r;

	if (ctx->opts.recursive)
		return cmd_tree_put(ctx, uri, file);
	if (!from_stdin && check_file(uri, file) != CMD_OK)
		return CMD_FAILED;
	s = cmd_connect(&ctx->opts);
	if (!s)
		return CMD_FAILED;
	cmd_progress_init(&progress, "put");
	o.progress = on_progress;
	o.progress_arg = &progress;
	r = from_stdin ? objm_put_fd(s, uri, STDIN_FILENO, &o, NULL) : objm_put_file(s, uri, file, &o, NULL);
	cmd_progress_clear(&progress);
	if (r == -OBJM_STATUS_PRECONDITION_FAILED && ctx->opts.no_clobber)
		r = cmd_fail("put", uri, "there is such an object already, left as it is (--no-clobber)");
	else if (r < 0)
		r = cmd_fail_lib(s, "put", uri, r);
	objm_close(s);
	return r;
}
