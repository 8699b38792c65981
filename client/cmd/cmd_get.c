/*
 * cmd_get.c: objm get, cat and exec: an object's descriptor to a file, to standard output, or to a command.
 */
#include "client/cmd/cmd.h"

#include <fcntl.h>

#include "common/om_text.h"

#define SAMPLE 8192u

/* Report a failed copy, unless a signal is the reason. */
static int copy_failed(const char *what, const char *uri, const char *target, int r, int err)
{
	if (cmd_interrupted)
		return CMD_FAILED;
	if (r == -OBJM_STATUS_CORRUPT)
		return cmd_fail(what, uri, "the object ended before its recorded size (read the daemon's log)");
	if (r == -OBJM_STATUS_INVALID_REQUEST)
		return cmd_fail(what, uri, "%s is a directory: name a file in it, or use get -r", target);
	return cmd_fail(what, uri, "cannot write %s: %s", target, r == -OBJM_STATUS_SYSTEM ? strerror(err) : objm_status_text(r));
}

/* True if the bytes must not go to the terminal that standard output is. */
static bool refused_on_terminal(const char *uri, int fd)
{
	char sample[SAMPLE];
	ssize_t n;

	if (isatty(STDOUT_FILENO) != 1)
		return false;
	n = pread(fd, sample, sizeof(sample), 0);
	if (n <= 0 || !om_text_is_binary(sample, (size_t)n))
		return false;
	(void)cmd_fail("get", uri, "binary data is not written to a terminal: name a file (objm get URI FILE), send it into a pipe, "
			     "or use objm cat");
	return true;
}

/* Its descriptor, or the bytes in a file where no descriptor can come. `s` NULL: the daemon is named by address. */
static int object(const struct cmd_ctx *ctx, objm_t *s, const char *what, const char *uri, uint64_t *ret_size, int *ret_fd)
{
	struct objm_info info;
	int r;

	if (!s)
		return cmd_tcp_get(&ctx->opts, what, uri, ret_size, ret_fd);
	r = objm_get(s, uri, 0, &info, ret_fd);
	if (r < 0)
		return cmd_fail_lib(s, what, uri, r);
	*ret_size = info.size;
	return CMD_OK;
}

int cmd_get(struct cmd_ctx *ctx)
{
	const char *uri = ctx->argv[0], *file = ctx->argc > 1 ? ctx->argv[1] : NULL;
	struct cmd_progress progress;
	bool to_stdout = !file || strcmp(file, "-") == 0;
	OM_AUTO_FD fd = -1;
	objm_t *s = NULL;
	uint64_t size;
	int r, err;

	if (ctx->opts.recursive && to_stdout && file)
		return cmd_usage("get", "-r writes to a directory, not to standard output");
	if (ctx->opts.recursive)
		return cmd_tree_get(ctx, uri, file ? file : ".");
	if (!cmd_is_tcp(&ctx->opts) && !(s = cmd_connect(&ctx->opts)))
		return CMD_FAILED;
	r = object(ctx, s, "get", uri, &size, &fd);
	objm_close(s); /* the descriptor needs no daemon any more */
	if (r != CMD_OK || (to_stdout && refused_on_terminal(uri, fd)))
		return CMD_FAILED;
	cmd_progress_init(&progress, "get");
	progress.on = progress.on && !(to_stdout && isatty(STDOUT_FILENO) == 1);
	atomic_store(&progress.total_bytes, size);
	if (to_stdout) {
		r = cmd_copy(fd, size, STDOUT_FILENO, &progress);
	} else {
		cmd_catch_signals();
		r = cmd_file_write(file, fd, size, &progress);
	}
	err = errno;
	cmd_progress_clear(&progress);
	cmd_reraise();
	return r < 0 ? copy_failed("get", uri, to_stdout ? "standard output" : file, r, err) : CMD_OK;
}

int cmd_cat(struct cmd_ctx *ctx)
{
	objm_t *s = NULL;
	int result = CMD_OK;

	if (!cmd_is_tcp(&ctx->opts) && !(s = cmd_connect(&ctx->opts)))
		return CMD_FAILED;
	for (int i = 0; i < ctx->argc; i++) {
		OM_AUTO_FD fd = -1;
		uint64_t size;
		int r = object(ctx, s, "cat", ctx->argv[i], &size, &fd);

		if (r != CMD_OK) {
			result = r;
			continue;
		}
		r = cmd_copy(fd, size, STDOUT_FILENO, NULL);
		if (r < 0) {
			result = copy_failed("cat", ctx->argv[i], "standard output", r, errno);
			break;
		}
	}
	objm_close(s);
	return result;
}

int cmd_exec(struct cmd_ctx *ctx)
{
	const char *uri = ctx->argv[0];
	objm_t *s = NULL;
	uint64_t size;
	int fd = -1, r;

	if (!cmd_is_tcp(&ctx->opts) && !(s = cmd_connect(&ctx->opts)))
		return CMD_FAILED;
	r = object(ctx, s, "exec", uri, &size, &fd);
	objm_close(s);
	if (r != CMD_OK)
		return r;
	/* dup2 leaves the copy without close-on-exec; if it is descriptor 0 already (ours was closed), the flag goes. */
	if (fd == STDIN_FILENO ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, STDIN_FILENO) < 0)
		return cmd_fail("exec", uri, "cannot make it the standard input: %s", strerror(errno));
	(void)execvp(ctx->argv[1], ctx->argv + 1);
	r = errno == ENOENT ? CMD_NO_COMMAND : CMD_NOT_EXECUTABLE;
	(void)cmd_fail("exec", uri, "cannot run %s: %s", ctx->argv[1], strerror(errno));
	return r;
}
