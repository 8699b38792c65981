/*
 * cmd.h: the `objm` command, inside. Commands and options are rows of two tables (cmd_table.c); a handler gets the parsed
 * options and its operands and returns an exit status.
 *
 * Only the objm program (and its unit tests) link this. Threads: handlers run on the main thread; the jobs of a tree run on
 * the threads of cmd_pool.c. What others may call is said at each function.
 */
#ifndef CMD_H
#define CMD_H

#include <signal.h>
#include <stdatomic.h>

#include "client/objm.h"
#include "common/om_base.h"

/* Exit statuses: scripts rely on them. */
enum cmd_exit { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2, CMD_NOT_EXECUTABLE = 126, CMD_NO_COMMAND = 127 };

#define CMD_META_MAX 64
#define CMD_JOBS_MAX 64
#define CMD_JOBS_DEFAULT 8

/* Every option of every command; which a command takes is in its row. */
struct cmd_opts {
	const char *socket; /* NULL: the library's default */
	uint32_t flags;	    /* OBJM_EPHEMERAL ... */
	uint32_t ttl_s;
	uint32_t jobs;
	const char *type;
	struct objm_meta meta[CMD_META_MAX]; /* keys are owned, values point into argv */
	size_t meta_count;
	bool no_clobber, recursive, json, long_form, zero, all, force, help;
};

struct cmd_ctx {
	const struct cmd *cmd;
	struct cmd_opts opts;
	int argc; /* operands */
	char **argv;
};

typedef int cmd_handler_fn(struct cmd_ctx *ctx);

/* One command. */
struct cmd {
	const char *name;
	const char *synopsis; /* behind the name */
	const char *help;     /* one line */
	cmd_handler_fn *run;
	const char *keys; /* of cmd_options[], the options that it takes */
	int min_args, max_args;
	bool stop_at_operand; /* options end at the first operand (exec) */
	const char *text;     /* the rest of --help: what it does, examples */
};

/* One option. `key` is its letter on the command line if `letter` is set, otherwise a name inside this program only. */
struct cmd_option {
	char key;
	bool letter;
	const char *name; /* long name */
	const char *arg;  /* NULL: takes none */
	const char *help;
};

extern const struct cmd cmd_table[];
extern const size_t cmd_table_len;
extern const struct cmd_option cmd_options[];
extern const size_t cmd_options_len;

/* cmd_opts.c */
/** Parse the options of `cmd`; argv[0] is its name. 0, or CMD_USAGE after a message. Free with cmd_opts_clear(), also then. */
int cmd_opts_parse(const struct cmd *cmd, int argc, char **argv, struct cmd_opts *opts, int *ret_first);
void cmd_opts_clear(struct cmd_opts *opts);
/** Help texts on `f`. */
void cmd_help(FILE *f, const struct cmd *cmd);
void cmd_help_all(FILE *f);
const struct cmd *cmd_find(const char *name);

/* cmd_msg.c: messages on standard error, one line each, control characters escaped. Any thread. */
/** "objm: WHAT SUBJECT: why": returns CMD_FAILED. `subject` may be NULL. */
int cmd_fail(const char *what, const char *subject, const char *fmt, ...) OM_PRINTF(3, 4);
/** The same for a failed call of the library on an object. */
int cmd_fail_lib(objm_t *s, const char *what, const char *uri, int status);
/** "objm: CMD: ..." and how to get help: returns CMD_USAGE. */
int cmd_usage(const char *cmd, const char *fmt, ...) OM_PRINTF(2, 3);
/** A remark that is no failure. */
void cmd_note(const char *subject, const char *fmt, ...) OM_PRINTF(2, 3);
/** A URI on `f`: raw, or quoted where `f` is a terminal. */
void cmd_put_uri(FILE *f, bool terminal, const char *uri);
/** End of standard output: CMD_FAILED and a message when something could not be written (a full disk behind > FILE). */
int cmd_flush(void);

/* cmd_tcp.c */
/** True if the daemon is named by address (tcp:ADDRESS:PORT): bytes come then, and objects are only got. */
bool cmd_is_tcp(const struct cmd_opts *opts);
/**
 * Get an object by its bytes, compressed on the way where the server finds it worth it.
 * @param what     the command, for messages
 * @param ret_fd   a nameless file with the bytes, at offset 0; the caller's
 * @return CMD_OK; CMD_FAILED after a message
 */
int cmd_tcp_get(const struct cmd_opts *opts, const char *what, const char *uri, uint64_t *ret_size, int *ret_fd);

/* cmd_session.c */
/** A session by the options, or NULL after a message that says how to reach a daemon. Any thread. */
objm_t *cmd_connect(const struct cmd_opts *opts);
/** The library's put options from the command's; the result borrows from `opts`. */
struct objm_put_options cmd_put_options(const struct cmd_opts *opts);

/* cmd_progress.c: a line on standard error, when that is a terminal and the work takes longer than a moment. Any thread. */
struct cmd_progress {
	bool on;
	const char *verb;
	uint64_t start_ns;
	_Atomic uint64_t drawn_ns, bytes, files, total_bytes, total_files; /* totals: 0 is not known */
	atomic_flag drawing;
	atomic_bool visible;
};
void cmd_progress_init(struct cmd_progress *p, const char *verb);
void cmd_progress_add(struct cmd_progress *p, uint64_t bytes, uint64_t files);
/** Wipe the line: before a message, and at the end. */
void cmd_progress_clear(struct cmd_progress *p);

/* cmd_file.c: object bytes to files and pipes. */
extern volatile sig_atomic_t cmd_interrupted; /* a signal asked to stop: copies end with an error, the caller cleans up */
/** Let SIGINT, SIGTERM, SIGHUP set cmd_interrupted (the second one ends the program at once). */
void cmd_catch_signals(void);
/** After the clean-up: die by the signal that was caught, if one was. */
void cmd_reraise(void);
/**
 * Copy `size` bytes of an object (from its start) to `to`. 0; -OBJM_STATUS_SYSTEM with errno; -OBJM_STATUS_CORRUPT: the
 * object ended early. `progress` may be NULL. The descriptor's own offset is neither used nor changed.
 */
int cmd_copy(int objfd, uint64_t size, int to, struct cmd_progress *progress);
/**
 * Put an object's bytes under `name` in a directory: whole or not at all. An existing regular file is replaced and its
 * permissions kept. Same errors; EEXIST never.
 */
int cmd_file_replace(int dirfd, const char *name, int objfd, uint64_t size, struct cmd_progress *progress);
/** The same for a path: symbolic links are followed, a device or pipe is written to. -OBJM_STATUS_INVALID_REQUEST: a directory. */
int cmd_file_write(const char *path, int objfd, uint64_t size, struct cmd_progress *progress);
/** True if `rel` may be made below a directory: no empty component, no "." or "..", not absolute. */
bool cmd_path_safe(const char *rel);
/**
 * Open (making what is missing) the directory that `rel` goes in, below `dirfd`, following no symbolic link.
 * `rel` is safe. *ret_name points into it. 0; -OBJM_STATUS_SYSTEM with errno.
 */
int cmd_path_parent(int dirfd, const char *rel, int *ret_fd, const char **ret_name);

/* cmd_pool.c: the same job for many objects on several sessions at once, so that the daemon can commit them together. */
struct cmd_job {
	char *uri;  /* owned */
	char *path; /* owned, may be NULL: the other half of the job */
	uint64_t size;
};
struct cmd_pool;
/** One job on one of the sessions: CMD_OK or CMD_FAILED after a message; *ret_stop: others would fail the same way. */
typedef int cmd_job_fn(struct cmd_ctx *ctx, objm_t *s, const struct cmd_job *job, void *arg, bool *ret_stop);
/** NULL after a message. */
struct cmd_pool *cmd_pool_open(struct cmd_ctx *ctx, cmd_job_fn *fn, void *arg);
/** Queue a job (waits while the queue is full). Takes the strings, success or not. False: the pool has stopped. */
bool cmd_pool_add(struct cmd_pool *pool, char *uri, char *path, uint64_t size);
/** Wait for all: CMD_OK, or CMD_FAILED if one failed. *ret_done: jobs that succeeded; may be NULL. */
int cmd_pool_close(struct cmd_pool *pool, uint64_t *ret_done);
/** True if a failure with this status would repeat for every further object. */
bool cmd_status_stops(int status);

/* cmd_tree.c */
int cmd_tree_put(struct cmd_ctx *ctx, const char *prefix, const char *dir);
int cmd_tree_get(struct cmd_ctx *ctx, const char *prefix, const char *dir);
int cmd_tree_rm(struct cmd_ctx *ctx, const char *prefix);
/** `prefix` with a "/" at its end unless it is empty or has one: what a directory's URIs begin with. NULL: out of memory. */
char *cmd_tree_prefix(const char *prefix);

/* Handlers. */
cmd_handler_fn cmd_put, cmd_get, cmd_stat, cmd_rm, cmd_ls, cmd_cat, cmd_exec, cmd_set, cmd_pin, cmd_unpin, cmd_watch;

#endif
