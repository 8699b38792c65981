/*
 * idx_cat_env.c: LMDB environments as this project uses them. Runs in the supervisor; under the catalogs and the state
 * environment.
 *
 * The named recoveries:
 *  - MAP_FULL: the transaction fails with NO_SPACE; the next write transaction first doubles the map (env_grow).
 *  - MAP_RESIZED: somebody enlarged the file beyond our map: adopt its size (env_adopt), then begin again.
 *  - READERS_FULL: clear the slots of dead processes, try once more, then LIMIT_EXCEEDED.
 *  - full disk at commit: NO_SPACE, the transaction is gone, what was committed stands. LMDB reports a short write as
 *    EIO, so at EIO the disk is asked whether it is full (env_disk_full).
 *  - any other I/O error at commit: no more writes until the environment is opened again.
 * The map is never written through (no MDB_WRITEMAP), so a full disk can not raise SIGBUS here.
 *
 * Moving the map under an active read transaction would pull the pages from under it. LMDB leaves that to us: the gate
 * counts active readers and holds new ones back while the map moves.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "index/cat/idx_cat_int.h"

#define ENV_DBS_MAX 8u
#define ENV_GATE_WAIT_S 2 /* a snapshot that is held longer makes growing fail with BUSY */
#define ENV_CHECK_ALWAYS_BYTES (64 << 20) /* read in some 50 ms: checked at every open */
#define ENV_PROBE_BYTES (16u << 20) /* more than one transaction ever writes */

/* Where a failed commit's EIO comes from: is there no room for what a transaction may write? */
static bool env_disk_full(const struct idx_cat_env *env)
{
	OM_AUTO_FD fd = openat(env->dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == ENOSPC || errno == EDQUOT;
	return fallocate(fd, 0, 0, ENV_PROBE_BYTES) < 0 && (errno == ENOSPC || errno == EDQUOT);
}

static int env_status(int rc)
{
	switch (rc) {
	case MDB_NOTFOUND:
		return -OBJM_STATUS_NOT_FOUND;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
		return -OBJM_STATUS_NO_SPACE;
	case MDB_READERS_FULL:
	case MDB_TXN_FULL:
		return -OBJM_STATUS_LIMIT_EXCEEDED;
	case MDB_PAGE_NOTFOUND:
	case MDB_CORRUPTED:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
	case MDB_CURSOR_FULL:
	case MDB_PAGE_FULL:
		return -OBJM_STATUS_CORRUPT;
	case MDB_MAP_RESIZED:
		return -OBJM_STATUS_BUSY;
	case MDB_PANIC:
	case EIO:
		return -OBJM_STATUS_STORAGE;
	default:
		return rc > 0 ? -om_status_errno(rc) : -OBJM_STATUS_INTERNAL;
	}
}

int idx_cat_env_fail(struct idx_cat_env *env, int rc, const char *what)
{
	int status = env_status(rc);

	if (rc == MDB_MAP_FULL)
		atomic_store(&env->want_grow, true);
	if (rc == MDB_PANIC)
		atomic_store(&env->failed, true);
	return idx_cat_fail(status, "%s: %s: %s", env->dir, what, mdb_strerror(rc));
}

/* A failed assertion inside LMDB: damage that it did not expect. It aborts after this; the next start checks first. */
static void env_assert(MDB_env *mdb, const char *msg)
{
	const struct idx_cat_env *env = mdb_env_get_userctx(mdb);

	(void)fprintf(stderr, "objmapperd: %s: LMDB found the environment damaged (%s); it is checked at the next start\n",
		      env ? env->dir : "?", msg);
}

/* ---- opening ---- */

/* One try with one map size: LMDB's result. */
static int env_try_open(struct idx_cat_env *env, uint64_t map_bytes)
{
	unsigned f = MDB_NOTLS;
	int rc = mdb_env_create(&env->mdb);

	if (rc != MDB_SUCCESS) {
		env->mdb = NULL;
		return rc;
	}
	if (env->flags & IDX_CAT_VOLATILE)
		f |= MDB_NOSYNC;
	if (env->flags & IDX_CAT_READONLY)
		f |= MDB_RDONLY;
	if (env->flags & IDX_CAT_ENV_NOLOCK)
		f |= MDB_NOLOCK;
	(void)mdb_env_set_userctx(env->mdb, env); /* these fail only for a NULL or an open environment */
	(void)mdb_env_set_assert(env->mdb, env_assert);
	(void)mdb_env_set_maxdbs(env->mdb, ENV_DBS_MAX);
	(void)mdb_env_set_maxreaders(env->mdb, IDX_CAT_READERS);
	rc = mdb_env_set_mapsize(env->mdb, map_bytes);
	if (rc == MDB_SUCCESS)
		rc = mdb_env_open(env->mdb, env->dir, f, 0600);
	if (rc != MDB_SUCCESS) {
		mdb_env_close(env->mdb); /* as LMDB demands after a failed open */
		env->mdb = NULL;
	}
	return rc;
}

static int env_open_files(struct idx_cat_env *env, uint64_t map_bytes)
{
	bool exists = false, is_short = false;
	uint64_t bytes = map_bytes ? map_bytes : IDX_CAT_MAP_BYTES;
	int rc = idx_cat_file_prepare(env->dirfd, env->dir, env->flags, &exists, &is_short);

	if (rc != 0)
		return rc;
	rc = env_try_open(env, bytes);
	while (rc == ENOMEM && map_bytes == 0 && bytes > IDX_CAT_MAP_MIN_BYTES) /* RLIMIT_AS, a small address space */
		rc = env_try_open(env, bytes /= 2);
	if (rc != MDB_SUCCESS) {
		int status = env_status(rc);
		return idx_cat_fail(status, "%s: cannot open the environment: %s", env->dir, mdb_strerror(rc));
	}
	env->created = !exists;
	if (env->created && (env->flags & IDX_CAT_VOLATILE) == 0 && fsync(env->dirfd) < 0)
		return idx_cat_fail(-om_status_errno(errno), "%s: cannot sync the directory: %s", env->dir, strerror(errno));
	if ((env->flags & (IDX_CAT_READONLY | IDX_CAT_ENV_NOLOCK)) == 0 && exists) {
		/* Best effort: without it a damaged environment that crashes us is not noticed at the next start. */
		int fd = openat(env->dirfd, IDX_CAT_UNPROVEN_NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		atomic_store(&env->unproven, fd >= 0);
		om_close(&fd);
	}
	return 0;
}

int idx_cat_env_open(const char *dir, unsigned flags, uint64_t map_bytes, struct idx_cat_env *env)
{
	pthread_condattr_t ca;
	int rc;

	memset(env, 0, sizeof(*env));
	env->dirfd = -1;
	env->flags = flags;
	env->dir = strdup(dir);
	if (!env->dir)
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory to open it", dir);
	(void)pthread_mutex_init(&env->write_lock, NULL); /* these cannot fail on Linux */
	(void)pthread_mutex_init(&env->gate_lock, NULL);
	(void)pthread_condattr_init(&ca);
	(void)pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&env->gate_cond, &ca);
	(void)pthread_condattr_destroy(&ca);
	rc = idx_cat_file_dir(dir, (flags & IDX_CAT_READONLY) != 0, &env->dirfd);
	if (rc == 0)
		rc = env_open_files(env, map_bytes);
	if (rc != 0)
		idx_cat_env_close(env);
	return rc;
}

void idx_cat_env_close(struct idx_cat_env *env)
{
	if (env->mdb)
		mdb_env_close(env->mdb);
	env->mdb = NULL;
	if (env->dir) {
		(void)pthread_cond_destroy(&env->gate_cond);
		(void)pthread_mutex_destroy(&env->gate_lock);
		(void)pthread_mutex_destroy(&env->write_lock);
	}
	om_close(&env->dirfd);
	free(env->dir);
	env->dir = NULL;
}

bool idx_cat_env_suspect(const char *dir)
{
	OM_AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool exists = false, is_short = false;

	if (fd < 0)
		return false;
	if (faccessat(fd, IDX_CAT_UNPROVEN_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	/* A last transaction may leave the file short of pages that it took and gave back; so may damage. */
	return idx_cat_file_prepare(fd, dir, IDX_CAT_READONLY | IDX_CAT_ENV_NOLOCK, &exists, &is_short) == 0 && is_short;
}

bool idx_cat_env_check_due(const char *dir)
{
	OM_AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstatat(fd, IDX_CAT_DATA_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size < IDX_CAT_FILE_MIN_BYTES)
		return false; /* there is nothing to check */
	return st.st_size <= ENV_CHECK_ALWAYS_BYTES || idx_cat_env_suspect(dir);
}

void idx_cat_env_proven(struct idx_cat_env *env)
{
	if (atomic_exchange(&env->unproven, false))
		(void)unlinkat(env->dirfd, IDX_CAT_UNPROVEN_NAME, 0); /* left behind it only costs a check */
}

/* ---- moving the map ---- */

/* Close the gate and wait until no reader is active. The caller holds write_lock. */
static int env_gate_close(struct idx_cat_env *env)
{
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ENV_GATE_WAIT_S;
	(void)pthread_mutex_lock(&env->gate_lock);
	env->gate_closed = true;
	while (env->gate_active > 0 && rc == 0)
		rc = pthread_cond_timedwait(&env->gate_cond, &env->gate_lock, &until);
	if (env->gate_active > 0) {
		env->gate_closed = false;
		(void)pthread_cond_broadcast(&env->gate_cond);
		rc = idx_cat_fail(-OBJM_STATUS_BUSY, "%s: the map has to move and a snapshot was held for %d s", env->dir,
				  ENV_GATE_WAIT_S);
	} else {
		rc = 0;
	}
	(void)pthread_mutex_unlock(&env->gate_lock);
	return rc;
}

static void env_gate_open(struct idx_cat_env *env)
{
	(void)pthread_mutex_lock(&env->gate_lock);
	env->gate_closed = false;
	(void)pthread_cond_broadcast(&env->gate_cond);
	(void)pthread_mutex_unlock(&env->gate_lock);
}

/* Set the map's size; 0 adopts what the file says. The caller holds write_lock; no transaction of ours is open then. */
static int env_map_move(struct idx_cat_env *env, uint64_t bytes)
{
	int rc = env_gate_close(env);

	if (rc != 0)
		return rc;
	rc = mdb_env_set_mapsize(env->mdb, bytes);
	env_gate_open(env);
	if (rc != MDB_SUCCESS) {
		/* The old map may be gone by now. */
		atomic_store(&env->failed, true);
		return idx_cat_env_fail(env, rc, "cannot move the map");
	}
	return 0;
}

static int env_grow(struct idx_cat_env *env)
{
	MDB_envinfo info;
	void *probe;

	(void)mdb_env_info(env->mdb, &info);
	/* LMDB unmaps the old map before it maps the new one: see first whether there is address space. */
	probe = mmap(NULL, info.me_mapsize * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (probe == MAP_FAILED)
		return idx_cat_fail(-OBJM_STATUS_NO_SPACE, "%s: the map of %zu bytes is full and there is no address space for more",
				    env->dir, info.me_mapsize);
	(void)munmap(probe, info.me_mapsize * 2);
	int rc = env_map_move(env, info.me_mapsize * 2);
	if (rc == 0)
		atomic_store(&env->want_grow, false);
	return rc;
}

static int env_adopt(struct idx_cat_env *env)
{
	int rc;

	(void)pthread_mutex_lock(&env->write_lock);
	rc = env_map_move(env, 0);
	(void)pthread_mutex_unlock(&env->write_lock);
	return rc;
}

/* ---- read transactions ---- */

static void env_gate_enter(struct idx_cat_env *env)
{
	(void)pthread_mutex_lock(&env->gate_lock);
	while (env->gate_closed)
		(void)pthread_cond_wait(&env->gate_cond, &env->gate_lock);
	env->gate_active++;
	(void)pthread_mutex_unlock(&env->gate_lock);
}

static void env_gate_leave(struct idx_cat_env *env)
{
	(void)pthread_mutex_lock(&env->gate_lock);
	OM_ASSERT(env->gate_active > 0);
	if (--env->gate_active == 0)
		(void)pthread_cond_broadcast(&env->gate_cond);
	(void)pthread_mutex_unlock(&env->gate_lock);
}

/* With one recovery of each kind. */
int idx_cat_env_read_begin(struct idx_cat_env *env, MDB_txn **ret_txn)
{
	MDB_txn *txn = NULL;
	int rc = MDB_SUCCESS;

	for (unsigned tries = 0; tries < 3; tries++) {
		int dead = 0;

		env_gate_enter(env);
		rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
		if (rc == MDB_SUCCESS) {
			*ret_txn = txn;
			return 0;
		}
		env_gate_leave(env);
		if (rc == MDB_MAP_RESIZED) {
			int st = env_adopt(env);
			if (st != 0)
				return st;
		} else if (rc == MDB_READERS_FULL) {
			if (mdb_reader_check(env->mdb, &dead) != MDB_SUCCESS || dead == 0)
				break;
		} else {
			break;
		}
	}
	return idx_cat_env_fail(env, rc, "cannot begin a snapshot");
}

void idx_cat_env_read_leave(struct idx_cat_env *env)
{
	env_gate_leave(env);
}

void idx_cat_env_read_end(struct idx_cat_env *env, MDB_txn *txn)
{
	mdb_txn_abort(txn);
	env_gate_leave(env);
}

/* ---- write transactions ---- */

static int env_write_start(struct idx_cat_env *env, MDB_txn **ret_txn)
{
	int rc;

	if (env->flags & IDX_CAT_READONLY)
		return idx_cat_fail(-OBJM_STATUS_READ_ONLY, "%s: opened read-only", env->dir);
	if (atomic_load(&env->failed))
		return idx_cat_fail(-OBJM_STATUS_STORAGE, "%s: takes no writes after an earlier error of its disk; see the log", env->dir);
	if (atomic_load(&env->want_grow)) {
		rc = env_grow(env);
		if (rc != 0)
			return rc;
	}
	rc = mdb_txn_begin(env->mdb, NULL, 0, ret_txn);
	if (rc == MDB_MAP_RESIZED) {
		rc = env_map_move(env, 0);
		if (rc != 0)
			return rc;
		rc = mdb_txn_begin(env->mdb, NULL, 0, ret_txn);
	}
	return rc == MDB_SUCCESS ? 0 : idx_cat_env_fail(env, rc, "cannot begin a transaction");
}

int idx_cat_env_write_begin(struct idx_cat_env *env, MDB_txn **ret_txn)
{
	int rc;

	(void)pthread_mutex_lock(&env->write_lock);
	rc = env_write_start(env, ret_txn);
	if (rc != 0)
		(void)pthread_mutex_unlock(&env->write_lock);
	return rc;
}

int idx_cat_env_write_commit(struct idx_cat_env *env, MDB_txn *txn)
{
	int rc = mdb_txn_commit(txn), status = 0;

	if (rc == EIO && env_disk_full(env))
		rc = ENOSPC;
	if (rc != MDB_SUCCESS) {
		status = idx_cat_env_fail(env, rc, "cannot commit");
		if (status != -OBJM_STATUS_NO_SPACE && status != -OBJM_STATUS_LIMIT_EXCEEDED &&
		    status != -OBJM_STATUS_OUT_OF_MEMORY)
			atomic_store(&env->failed, true);
	}
	(void)pthread_mutex_unlock(&env->write_lock);
	return status;
}

void idx_cat_env_write_abort(struct idx_cat_env *env, MDB_txn *txn)
{
	mdb_txn_abort(txn);
	(void)pthread_mutex_unlock(&env->write_lock);
}
