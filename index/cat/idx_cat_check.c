/*
 * idx_cat_check.c: reading a whole environment in a process that may die of it. Called by the supervisor before it opens
 * an environment whose last reader did not get through, or that looks truncated.
 *
 * LMDB follows what is in its pages, so damage can end in SIGSEGV, SIGBUS or an assertion. A supervisor that opened such
 * a file would die at every start. The child reads every entry of every database and the list of free pages, and tells by
 * a pipe and its exit how that went.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "index/cat/idx_cat_int.h"

static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE }; /* what damaged pages do to who reads them */

#define CHECK_EXIT_BAD 17 /* the child found damage, or could not look: status and text are in the pipe */

struct check_verdict {
	int status;
	char text[500];
};

/* ---- in the child ---- */

static int check_cmp(const MDB_val *a, const MDB_val *b)
{
	return idx_cat_key_cmp(a->mv_data, a->mv_size, b->mv_data, b->mv_size);
}

int idx_cat_check_db(struct idx_cat_env *env, MDB_txn *txn, const char *name, idx_cat_check_entry_fn *fn, const void *arg)
{
	MDB_cursor *cur;
	MDB_val key, val, prev = { 0, NULL };
	MDB_stat st;
	MDB_dbi dbi;
	uint64_t n = 0;
	int rc = mdb_dbi_open(txn, name, 0, &dbi);

	if (rc == MDB_SUCCESS)
		rc = mdb_stat(txn, dbi, &st);
	if (rc == MDB_SUCCESS)
		rc = mdb_cursor_open(txn, dbi, &cur);
	if (rc != MDB_SUCCESS) {
		(void)idx_cat_env_fail(env, rc, "cannot open a database");
		return -OBJM_STATUS_CORRUPT;
	}
	while ((rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) == MDB_SUCCESS) {
		if (++n > st.ms_entries || (prev.mv_data && check_cmp(&prev, &key) >= 0) || (fn && fn(arg, &key, &val) != 0))
			return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: damaged at entry %" PRIu64 " of '%s'", env->dir, n, name);
		prev = key;
	}
	mdb_cursor_close(cur);
	if (rc != MDB_NOTFOUND || n != st.ms_entries)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: '%s' ends after %" PRIu64 " of %zu entries", env->dir, name, n,
				    st.ms_entries);
	return 0;
}

/* The list of free pages: each value is a count and that many page numbers, descending. A page on it twice, or one that
 * cannot be, would be handed out over live data. */
static int check_free_list(struct idx_cat_env *env, MDB_txn *txn)
{
	MDB_cursor *cur;
	MDB_envinfo info;
	MDB_val key, val;
	int rc = mdb_cursor_open(txn, 0, &cur);

	(void)mdb_env_info(env->mdb, &info);
	if (rc != MDB_SUCCESS)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: cannot read its free pages", env->dir);
	while ((rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) == MDB_SUCCESS) {
		size_t words = val.mv_size / 8;
		const unsigned char *p = val.mv_data;
		uint64_t n = words ? idx_le64(p) : 0, prev = UINT64_MAX;

		if (key.mv_size != 8 || words < 1 || n > words - 1)
			return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: its list of free pages is damaged", env->dir);
		for (uint64_t i = 1; i <= n; i++) {
			uint64_t pgno = idx_le64(p + i * 8);
			if (pgno < 2 || pgno > info.me_last_pgno || pgno >= prev)
				return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: its list of free pages is damaged", env->dir);
			prev = pgno;
		}
	}
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? 0 : idx_cat_env_fail(env, rc, "its list of free pages is damaged");
}

static int check_child(const char *dir, idx_cat_check_fn *fn, const void *arg)
{
	struct idx_cat_env env;
	MDB_txn *txn = NULL;
	int rc = idx_cat_env_open(dir, IDX_CAT_READONLY | IDX_CAT_ENV_NOLOCK, 0, &env);

	if (rc != 0)
		return rc;
	rc = idx_cat_env_read_begin(&env, &txn);
	if (rc == 0)
		rc = check_free_list(&env, txn);
	if (rc == 0)
		rc = fn(&env, txn, arg);
	return rc; /* the process ends here: nothing is closed */
}

static _Noreturn void check_child_main(int out, const char *dir, idx_cat_check_fn *fn, const void *arg)
{
	struct rlimit no_core = { 0, 0 };
	struct check_verdict v = { 0 };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setrlimit(RLIMIT_CORE, &no_core); /* its death is an answer, not an incident */
	for (size_t i = 0; i < OM_ARRAY_SIZE(fatal_signals); i++)
		(void)signal(fatal_signals[i], SIG_DFL);
	v.status = check_child(dir, fn, arg);
	if (v.status == 0)
		_exit(0);
	(void)snprintf(v.text, sizeof(v.text), "%s", idx_cat_message());
	(void)!write(out, &v, sizeof(v)); /* a pipe takes this at once; without it the exit code still says "bad" */
	_exit(CHECK_EXIT_BAD);
}

/* ---- in the parent ---- */

static int check_reap(pid_t pid, int *ret_wstatus)
{
	while (waitpid(pid, ret_wstatus, 0) < 0)
		if (errno != EINTR)
			return idx_cat_fail(-OBJM_STATUS_SYSTEM, "cannot wait for the checker: %s", strerror(errno));
	return 0;
}

/* Wait until the child has closed its end of the pipe, reading what it says. */
static int check_listen(int in, unsigned timeout_s, struct check_verdict *v)
{
	uint64_t until = om_now_ns() + (uint64_t)timeout_s * 1000000000u;
	size_t at = 0;

	for (;;) {
		struct pollfd p = { .fd = in, .events = POLLIN };
		uint64_t now = om_now_ns();
		int wait_ms = timeout_s == 0 ? -1 : now >= until ? 0 : (int)((until - now) / 1000000u) + 1;
		int n = poll(&p, 1, wait_ms);

		if (n == 0)
			return -OBJM_STATUS_TIMEOUT;
		if (n < 0 && errno == EINTR)
			continue;
		ssize_t r = n < 0 ? -1 : read(in, (char *)v + at, sizeof(*v) - at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return 0;
		at += (size_t)r;
		if (at == sizeof(*v))
			return 0;
	}
}

/*
 * It gave no verdict. What it read may have killed it: then it is as good as damaged. Who was killed by somebody (memory is short, an
 * operator) has said nothing about what it read, and what is set aside for that would be lost for nothing.
 */
static int check_died(const char *dir, int wstatus)
{
	int sig = WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : 0;

	if (sig == 0)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: the checker died of it (exit status %d)", dir, WEXITSTATUS(wstatus));
	for (size_t i = 0; i < OM_ARRAY_SIZE(fatal_signals); i++)
		if (sig == fatal_signals[i])
			return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: the checker died of it (signal %d)", dir, sig);
	return idx_cat_fail(-OBJM_STATUS_SYSTEM, "%s: the checker was killed before it was done (signal %d): is memory short? Nothing was changed",
			    dir, sig);
}

int idx_cat_check_run(const char *dir, unsigned timeout_s, idx_cat_check_fn *fn, const void *arg)
{
	struct check_verdict v = { 0 };
	int pipefd[2], wstatus = 0, heard;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return idx_cat_fail(-OBJM_STATUS_SYSTEM, "%s: cannot check it: pipe: %s", dir, strerror(errno));
	pid = fork();
	if (pid == 0)
		check_child_main(pipefd[1], dir, fn, arg);
	(void)close(pipefd[1]);
	OM_AUTO_FD in = pipefd[0];
	if (pid < 0)
		return idx_cat_fail(-OBJM_STATUS_SYSTEM, "%s: cannot check it: fork: %s", dir, strerror(errno));
	heard = check_listen(in, timeout_s, &v);
	if (heard != 0)
		(void)kill(pid, SIGKILL);
	if (check_reap(pid, &wstatus) != 0)
		return -OBJM_STATUS_SYSTEM;
	if (heard != 0)
		return idx_cat_fail(-OBJM_STATUS_TIMEOUT, "%s: its check took longer than %u s", dir, timeout_s);
	if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0)
		return 0;
	v.text[sizeof(v.text) - 1] = '\0';
	if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == CHECK_EXIT_BAD && v.status < 0)
		return idx_cat_fail(v.status, "%s", v.text);
	return check_died(dir, wstatus);
}

/* ---- a catalog ---- */

static int check_record(const void *arg, const MDB_val *key, const MDB_val *val)
{
	const struct idx_cat_params *p = arg;
	struct idx_cat_key want;
	struct om_rec rec;
	int rc = idx_cat_rec_decode(key->mv_data, key->mv_size, val->mv_data, val->mv_size, p->tier, &rec);

	if (rc != 0 || !idx_cat_key_is_long(rec.uri_len))
		return rc;
	idx_cat_key_make(rec.uri, rec.uri_len, p->secret, NULL, &want);
	return want.len == key->mv_size && memcmp(want.b, key->mv_data, want.len) == 0 ? 0 : -OBJM_STATUS_CORRUPT;
}

static int check_id(const void *arg, const MDB_val *key, const MDB_val *val)
{
	(void)arg;
	return key->mv_size == 8 && val->mv_size == 0 ? 0 : -OBJM_STATUS_CORRUPT;
}

static int check_catalog(struct idx_cat_env *env, MDB_txn *txn, const void *arg)
{
	int rc = idx_cat_check_db(env, txn, "meta", NULL, NULL);

	if (rc == 0)
		rc = idx_cat_check_db(env, txn, "removed", check_id, NULL);
	if (rc == 0)
		rc = idx_cat_check_db(env, txn, "objects", check_record, arg);
	return rc;
}

int idx_cat_check(const struct idx_cat_params *params, unsigned timeout_s)
{
	return idx_cat_check_run(params->dir, timeout_s, check_catalog, params);
}
