/*
 * cmd_tree.c: whole directories: put -r, get -r, rm -r.
 *
 * The main thread walks (the directory, or a listing) and queues; the threads of cmd_pool.c do the transfers. A listing
 * is read page by page, so a million objects need no more memory than a thousand.
 */
#include "client/cmd/cmd.h"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>

#include "common/om_obj.h"

struct tree {
	struct cmd_progress progress;
	int dirfd;	   /* get: where files go */
	size_t prefix_len; /* get: bytes of a URI before the path */
};

char *cmd_tree_prefix(const char *prefix)
{
	size_t len = strlen(prefix);
	char *p = NULL;

	if (asprintf(&p, "%s%s", prefix, len > 0 && prefix[len - 1] != '/' ? "/" : "") < 0)
		return NULL;
	return p;
}

/* ---------------------------------------------------------------- put */

static int put_job(struct cmd_ctx *ctx, objm_t *s, const struct cmd_job *job, void *arg, bool *ret_stop)
{
	struct objm_put_options o = cmd_put_options(&ctx->opts);
	struct tree *tree = arg;
	int r = objm_put_file(s, job->uri, job->path, &o, NULL);

	if (r < 0) {
		cmd_progress_clear(&tree->progress);
		*ret_stop = cmd_status_stops(r);
		return cmd_fail_lib(s, "put", job->uri, r);
	}
	cmd_progress_add(&tree->progress, job->size, 1);
	return CMD_OK;
}

/* One entry of the walk: CMD_OK when it was queued or passed over, CMD_FAILED after a message; *ret_stop: no use to go on. */
static int put_entry(struct cmd_pool *pool, const FTSENT *e, const char *prefix, size_t root_len, bool *ret_stop)
{
	const char *rel = e->fts_path + root_len;
	char *uri = NULL, *path;
	int r;

	switch (e->fts_info) {
	case FTS_F: break;
	case FTS_D:
	case FTS_DP: return CMD_OK;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS: return cmd_fail("put", e->fts_path, "%s", strerror(e->fts_errno));
	case FTS_DC: return cmd_fail("put", e->fts_path, "the directory contains itself");
	default: cmd_note(e->fts_path, "left out: not a regular file"); return CMD_OK;
	}
	while (*rel == '/')
		rel++;
	if (asprintf(&uri, "%s%s", prefix, rel) < 0)
		return cmd_fail("put", e->fts_path, "out of memory");
	r = om_uri_check(uri, strlen(uri));
	if (r < 0) {
		free(uri);
		return cmd_fail("put", e->fts_path, "its path makes no URI: %s",
				r == -OBJM_STATUS_URI_TOO_LONG ? "longer than 4096 bytes" : "not UTF-8");
	}
	path = strdup(e->fts_path);
	if (!path) {
		free(uri);
		return cmd_fail("put", e->fts_path, "out of memory");
	}
	*ret_stop = !cmd_pool_add(pool, uri, path, (uint64_t)e->fts_statp->st_size);
	return CMD_OK;
}

static int put_walk(struct cmd_pool *pool, const char *prefix, char *dir)
{
	char *const roots[] = {dir, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	size_t root_len = strlen(dir);
	bool stop = false;
	int r = CMD_OK;
	FTSENT *e;

	if (!walk)
		return cmd_fail("put", dir, "%s", strerror(errno));
	while (!stop && (errno = 0, e = fts_read(walk)))
		if (put_entry(pool, e, prefix, root_len, &stop) != CMD_OK)
			r = CMD_FAILED;
	if (!stop && errno)
		r = cmd_fail("put", dir, "%s", strerror(errno));
	(void)fts_close(walk);
	return r;
}

int cmd_tree_put(struct cmd_ctx *ctx, const char *prefix, const char *dir)
{
	struct tree tree = {.dirfd = -1};
	OM_AUTO_FREE char *base = cmd_tree_prefix(prefix);
	OM_AUTO_FREE char *root = strdup(dir);
	struct cmd_pool *pool;
	struct stat st;
	int r, all;

	if (!base || !root)
		return cmd_fail("put", dir, "out of memory");
	if (stat(dir, &st) < 0)
		return cmd_fail("put", dir, "%s", strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return cmd_fail("put", dir, "not a directory; leave -r out to store a file");
	/* fts does not follow a root that is a symbolic link unless it ends in a slash. */
	for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
		root[n - 1] = '\0';
	if (lstat(root, &st) == 0 && S_ISLNK(st.st_mode)) {
		free(root);
		root = realpath(dir, NULL);
		if (!root)
			return cmd_fail("put", dir, "%s", strerror(errno));
	}
	cmd_progress_init(&tree.progress, "put");
	pool = cmd_pool_open(ctx, put_job, &tree);
	if (!pool)
		return CMD_FAILED;
	r = put_walk(pool, base, root);
	all = cmd_pool_close(pool, NULL);
	cmd_progress_clear(&tree.progress);
	return r == CMD_OK ? all : r;
}

/* ---------------------------------------------------------------- what begins with a listing */

/* Queue every object below `prefix`; *ret_count: how many there were. */
static int queue_listing(struct cmd_ctx *ctx, objm_t *s, struct cmd_pool *pool, const char *prefix, uint64_t *ret_count)
{
	struct objm_list_options o = OBJM_LIST_OPTIONS_INIT;
	const struct objm_entry *e;
	uint64_t count = 0;
	objm_list_t *list;
	int r;

	o.prefix = prefix;
	r = objm_list_open(s, &o, &list);
	if (r < 0)
		return cmd_fail_lib(s, ctx->cmd->name, prefix, r);
	while (!cmd_interrupted && (r = objm_list_next(list, &e)) > 0) {
		count++;
		if (!cmd_pool_add(pool, strdup(e->uri), NULL, e->info.size))
			break;
	}
	objm_list_close(list);
	if (r < 0)
		return cmd_fail_lib(s, ctx->cmd->name, prefix, r);
	*ret_count = count;
	return CMD_OK;
}

static int run_listing(struct cmd_ctx *ctx, cmd_job_fn *fn, struct tree *tree, const char *prefix, uint64_t *ret_count)
{
	objm_t *s = cmd_connect(&ctx->opts);
	struct cmd_pool *pool = s ? cmd_pool_open(ctx, fn, tree) : NULL;
	int r = CMD_FAILED, all;

	if (pool) {
		r = queue_listing(ctx, s, pool, prefix, ret_count);
		all = cmd_pool_close(pool, NULL);
		if (r == CMD_OK)
			r = all;
	}
	objm_close(s);
	cmd_progress_clear(&tree->progress);
	return r;
}

/* ---------------------------------------------------------------- get */

static int get_job(struct cmd_ctx *ctx, objm_t *s, const struct cmd_job *job, void *arg, bool *ret_stop)
{
	struct tree *tree = arg;
	const char *rel = job->uri + tree->prefix_len, *name;
	struct objm_info info;
	OM_AUTO_FD fd = -1;
	OM_AUTO_FD parent = -1;
	int r;

	(void)ctx;
	if (!cmd_path_safe(rel)) {
		cmd_progress_clear(&tree->progress);
		return cmd_fail("get", job->uri, "refused: as a path, \"%s\" would leave the directory", rel);
	}
	r = objm_get(s, job->uri, 0, &info, &fd);
	if (r == -OBJM_STATUS_NOT_FOUND)
		return CMD_OK; /* deleted since it was listed */
	if (r < 0) {
		cmd_progress_clear(&tree->progress);
		*ret_stop = cmd_status_stops(r);
		return cmd_fail_lib(s, "get", job->uri, r);
	}
	r = cmd_path_parent(tree->dirfd, rel, &parent, &name);
	if (r == 0)
		r = cmd_file_replace(parent, name, fd, info.size, &tree->progress);
	if (r < 0) {
		int err = errno;

		cmd_progress_clear(&tree->progress);
		*ret_stop = r == -OBJM_STATUS_SYSTEM && (err == ENOSPC || err == EDQUOT || err == EROFS);
		if (cmd_interrupted)
			return CMD_FAILED;
		return cmd_fail("get", job->uri, "%s", r == -OBJM_STATUS_SYSTEM ? strerror(err) : objm_status_text(r));
	}
	cmd_progress_add(&tree->progress, 0, 1);
	return CMD_OK;
}

int cmd_tree_get(struct cmd_ctx *ctx, const char *prefix, const char *dir)
{
	OM_AUTO_FREE char *base = cmd_tree_prefix(prefix);
	OM_AUTO_FD dirfd = -1;
	struct tree tree = {.dirfd = -1};
	uint64_t count = 0;
	int r;

	if (!base)
		return cmd_fail("get", prefix, "out of memory");
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return cmd_fail("get", dir, "cannot make the directory: %s", strerror(errno));
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return cmd_fail("get", dir, "%s", strerror(errno));
	tree.dirfd = dirfd;
	tree.prefix_len = strlen(base);
	cmd_progress_init(&tree.progress, "get");
	cmd_catch_signals();
	r = run_listing(ctx, get_job, &tree, base, &count);
	cmd_reraise();
	if (r == CMD_OK && count == 0)
		return cmd_fail("get", base, "nothing there (URIs that begin with this; see objm ls)");
	return r;
}

/* ---------------------------------------------------------------- rm */

static int rm_job(struct cmd_ctx *ctx, objm_t *s, const struct cmd_job *job, void *arg, bool *ret_stop)
{
	struct tree *tree = arg;
	int r = objm_delete(s, job->uri, NULL);

	(void)ctx;
	if (r < 0 && r != -OBJM_STATUS_NOT_FOUND) { /* not found: somebody else was faster */
		cmd_progress_clear(&tree->progress);
		*ret_stop = cmd_status_stops(r);
		return cmd_fail_lib(s, "rm", job->uri, r);
	}
	cmd_progress_add(&tree->progress, job->size, 1);
	return CMD_OK;
}

int cmd_tree_rm(struct cmd_ctx *ctx, const char *prefix)
{
	struct tree tree = {.dirfd = -1};
	uint64_t count = 0;
	int r;

	cmd_progress_init(&tree.progress, "rm");
	r = run_listing(ctx, rm_job, &tree, prefix, &count);
	if (r == CMD_OK && count == 0 && !ctx->opts.force)
		return cmd_fail("rm", prefix, "no object begins with this (see objm ls)");
	return r;
}
